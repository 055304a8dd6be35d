/* A first kernel: characters and colors at B8000h, the cursor behind them. */
#include "guest.h"

static void crtc(u8 n, u8 v)
{
	outb(0x3d4, n);
	outb(0x3d5, v);
}

static void put(unsigned row, unsigned column, const char *s, u8 color)
{
	volatile u16 *at = (volatile u16 *)0xb8000 + row * 80 + column;

	while (*s)
		*at++ = (u16)(color << 8 | (u8)*s++);
}

int main(void)
{
	put(0, 0, "Hello from B8000h", 0x07);
	for (unsigned n = 0; n < 16; n++)
		put(2 + n, n, "\xb3 \xc4\xdb\xc9 colors", (u8)(n | (15 - n) << 4));
	put(24, 79, "\xdf", 0x1e);
	*(volatile u8 *)0xb80a2 = 'k'; /* one byte: the color is what the BIOS left */
	crtc(0x0e, 0);
	crtc(0x0f, 17);
	print("drawn\n");
	return 0;
}
