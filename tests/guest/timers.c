/* The timers of the PC, each by its interrupt: 8254, RTC, HPET, the UART's transmitter. They go off while nothing else
 * is done, in the numbers that their rates and the time that passed give. */
#include "t64.h"

#define HPET   0xfed00000ull
#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull
enum { PIT_IRQ = 0x20, COM2_IRQ = 0x23, RTC_IRQ = 0x28, HPET_IRQ = 0x40 };
enum { HPET_INPUT = 20 };

static volatile u32 count[256];

static void cmos(u8 index, u8 v)
{
	outb(0x70, index);
	outb(0x71, v);
}

static u8 cmos_read(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static bool on_irq(struct regs *r)
{
	count[r->vector]++;
	if (r->vector == RTC_IRQ)
		cmos_read(0x0c);
	if (r->vector == COM2_IRQ && (inb(0x2fa) & 7) == 2)
		outb(0x2f8, 'x');
	if (r->vector == HPET_IRQ) {
		mmio_write(LAPIC + 0xb0, 0);
		return true;
	}
	if (r->vector >= 0x28)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
	return true;
}

static void controllers(void)
{
	static const u8 vectors[] = {PIT_IRQ, COM2_IRQ, RTC_IRQ, HPET_IRQ};

	outb(0x20, 0x11), outb(0x21, 0x20), outb(0x21, 4), outb(0x21, 1);
	outb(0xa0, 0x11), outb(0xa1, 0x28), outb(0xa1, 2), outb(0xa1, 1);
	outb(0x21, 0xff & ~(1 << 0 | 1 << 2 | 1 << 3)); /* IRQ 0, the cascade, IRQ 3 */
	outb(0xa1, 0xff & ~(1 << 0));                   /* IRQ 8 */
	mmio_write(IOAPIC, 0x10 + 2 * HPET_INPUT);
	mmio_write(IOAPIC + 0x10, HPET_IRQ);
	for (u32 n = 0; n < sizeof(vectors); n++)
		on_exception(vectors[n], on_irq);
}

static void timers(void)
{
	outb(0x43, 0x34); /* mode 2: 1193182 / 1193, 1.0002 kHz */
	outb(0x40, 1193 & 0xff);
	outb(0x40, 1193 >> 8);
	cmos(0x0a, 0x26); /* 1024 Hz */
	cmos_read(0x0c);
	cmos(0x0b, 0x42);
	*(volatile u64 *)(HPET + 0x10) = 0;
	*(volatile u64 *)(HPET + 0xf0) = 0;
	u64 period_fs = *(volatile u64 *)HPET >> 32, ms = 1000000000000 / period_fs;
	*(volatile u64 *)(HPET + 0x100) = HPET_INPUT << 9 | 1 << 6 | 1 << 3 | 1 << 2; /* periodic */
	*(volatile u64 *)(HPET + 0x108) = ms;
	*(volatile u64 *)(HPET + 0x108) = ms;
	*(volatile u64 *)(HPET + 0x10) = 1;
	outb(0x2fc, 8); /* OUT2 */
	outb(0x2f9, 2); /* the transmitter is empty */
}

int main(void)
{
	t_setup();
	controllers();
	timers();
	asm volatile("sti");
	u64 begin = rdtsc();
	while (count[PIT_IRQ] < 40)
		asm volatile("pause");
	asm volatile("cli");
	u64 us = (rdtsc() - begin) / 1000; /* the virtual clock has 1 GHz */
	check("8254: 1 kHz", us / 990 >= 39 && us / 1010 <= 41, 1);
	check("RTC: 1024 Hz", count[RTC_IRQ] >= 39 && count[RTC_IRQ] <= 43, 1);
	check("HPET: 1 kHz", count[HPET_IRQ] >= 38 && count[HPET_IRQ] <= 42, 1);
	check("UART: transmitter", count[COM2_IRQ] > 5, 1);
	return guest_verdict();
}
