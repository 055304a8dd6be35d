/*
 * A handler of system-management mode changes one dword of the save-state map and returns. The command line says which:
 * three hexadecimal numbers, the offset from SMBASE, what is set there and what is cleared.
 */
#include "guest.h"

enum { SMBASE = 0x30000, ENTRY = 0x8000, WISH = 0x9000 };
#define ICR_LOW  0xfee00300
#define ICR_HIGH 0xfee00310

extern u32 boot_info;
extern u8 rsm_code[], rsm_code_end[];

asm(".pushsection .rodata\n"
    "rsm_code: .code16\n"
    "	mov %cs:0x9000, %ebx\n"
    "	addr32 mov %cs:(%ebx), %eax\n"
    "	or %cs:0x9004, %eax\n"
    "	and %cs:0x9008, %eax\n"
    "	addr32 mov %eax, %cs:(%ebx)\n"
    "	rsm\n"
    "rsm_code_end: .code64\n"
    ".popsection");

static const char *text(void)
{
	const u64 *info = (const u64 *)(u64)boot_info;

	asm("" : "+r"(info));
	return (const char *)info[3];
}

static u32 number(const char **s)
{
	u32 v = 0;

	while (**s == ' ')
		++*s;
	for (; **s && **s != ' '; ++*s)
		v = v << 4 | (u32)(**s <= '9' ? **s - '0' : **s - 'a' + 10);
	return v;
}

int main(void)
{
	const char *s = text();
	volatile u32 *wish = (volatile u32 *)(u64)(SMBASE + WISH);

	asm("" : "+r"(wish));
	memcpy((void *)(u64)(SMBASE + ENTRY), rsm_code, (size_t)(rsm_code_end - rsm_code));
	wish[0] = number(&s);
	wish[1] = number(&s);
	wish[2] = ~number(&s);
	mmio_write(ICR_HIGH, 0);
	mmio_write(ICR_LOW, 0x4200); /* SMI, to APIC 0 */
	check("back from system-management mode", 1, 1);
	return guest_verdict();
}
