/* The local APIC's extended space: section 2.17.7, appendix E.6 and E.7. */
#include "reqs.h"

static unsigned order[8], taken;

static bool note(struct regs *r)
{
	order[taken++ & 7] = (unsigned)r->vector;
	return true;
}

static u32 reg(u32 offset)
{
	return mmio_read(APIC + offset);
}

static void window(void)
{
	asm volatile("sti; nop; nop; cli" ::: "memory");
}

static bool in_service(unsigned vector)
{
	return reg(0x100 + vector / 32 * 16) >> (vector % 32) & 1;
}

static void registers(void)
{
	static const struct {
		const char *req;
		u16 offset;
	} ier[] = {{REQ("svm.E.6.7 svm.2.17.7.15"), 0x480},  {REQ("svm.E.6.8 svm.2.17.7.15"), 0x490},
	           {REQ("svm.E.6.9 svm.2.17.7.15"), 0x4a0},  {REQ("svm.E.6.10 svm.2.17.7.15"), 0x4b0},
	           {REQ("svm.E.6.11 svm.2.17.7.15"), 0x4c0}, {REQ("svm.E.6.12 svm.2.17.7.15"), 0x4d0},
	           {REQ("svm.E.6.13 svm.2.17.7.15"), 0x4e0}, {REQ("svm.E.6.14 svm.2.17.7.15"), 0x4f0}};
	u32 features = reg(0x400);

	check(REQ("svm.2.17.7.17 svm.E.7.1") "version bit 31", reg(0x30) >> 31, 1);
	check(REQ("svm.2.17.7.18 svm.E.7.2") "feature bit 0", features & 1, 1);
	check(REQ("svm.2.17.7.19 svm.E.7.3") "feature bit 1", features >> 1 & 1, 1);
	mmio_write(APIC + 0x400, ~features);
	check(REQ("svm.E.6.1") "the feature register is read-only", reg(0x400), features);
	check(REQ("svm.A.1.11 svm.2.17.7.2") "before anything is written", reg(0x410) & 3, 0);
	for (unsigned n = 0; n < COUNT(ier); n++)
		check(REQ("svm.2.17.7.2 svm.A.1.11") "IER after reset", reg(ier[n].offset), ~0u);
	mmio_write(APIC + 0x410, 3);
	check(REQ("svm.E.6.2") "the control register reads back", reg(0x410) & 3, 3);
	/* eight registers, each its own */
	for (unsigned n = 0; n < COUNT(ier); n++)
		mmio_write(APIC + ier[n].offset, 0xa5a50000u | n);
	for (unsigned n = 0; n < COUNT(ier); n++)
		check(ier[n].req, reg(ier[n].offset), 0xa5a50000u | n);
	proves("svm.2.17.7.1 svm.2.17.7.3 svm.2.17.7.16 svm.E.6.15");
	for (unsigned n = 0; n < COUNT(ier); n++)
		mmio_write(APIC + ier[n].offset, ~0u);
}

/* One vector per IER register, disabled by bit (vector mod 32) of register vector / 32. */
static void each_register(void)
{
	for (unsigned n = 1; n < 8; n++) {
		unsigned vector = 32 * n + 5 + n;
		u32 at = 0x480 + 16 * n;

		on_exception(vector, note);
		taken = 0;
		mmio_write(APIC + at, ~(1u << (vector % 32)));
		self_ipi(vector);
		window();
		check(REQ("svm.2.17.7.14 svm.2.17.7.4") "a disabled vector waits", taken, 0);
		check(REQ("svm.2.17.7.5") "it stays pending", reg(0x200 + 16 * n) >> (vector % 32) & 1, 1);
		mmio_write(APIC + at, ~0u);
		window();
		check(REQ("svm.2.17.7.5") "and comes when enabled", taken == 1 && order[0] == vector, 1);
		mmio_write(APIC + 0xb0, 0);
	}
}

static void priorities(void)
{
	on_exception(0x41, note);
	on_exception(0x71, note);
	on_exception(0xa1, note);
	taken = 0;
	mmio_write(APIC + 0x480 + 16 * 3, ~(1u << 17)); /* 71h off */
	self_ipi(0x71);
	self_ipi(0x41);
	window();
	check(REQ("svm.2.17.7.6") "the lower one comes", taken == 1 && order[0] == 0x41, 1);
	mmio_write(APIC + 0x410, 2); /* IER off: all vectors take part */
	window();
	check(REQ("svm.2.17.7.20 svm.E.7.4") "control bit 0 clear: every vector", taken == 2 && order[1] == 0x71, 1);
	mmio_write(APIC + 0x410, 3);
	mmio_write(APIC + 0x480 + 16 * 3, ~0u);
	self_ipi(0xa1);
	window();
	check("three in service", in_service(0x41) && in_service(0x71) && in_service(0xa1), 1);
	mmio_write(APIC + 0x420, 0x41);
	check(REQ("svm.2.17.7.7 svm.2.17.7.11 svm.E.6.4 svm.E.6.3") "SEOI ends the lowest", in_service(0x41), 0);
	check(REQ("svm.2.17.7.9") "the others stay", in_service(0x71) && in_service(0xa1), 1);
	mmio_write(APIC + 0x410, 1);
	mmio_write(APIC + 0x420, 0x71);
	check(REQ("svm.2.17.7.21 svm.E.7.5") "control bit 1 clear: nothing ends", in_service(0x71) && in_service(0xa1),
	      1);
	mmio_write(APIC + 0x410, 3);
	mmio_write(APIC + 0xb0, 0);
	check(REQ("svm.2.17.7.8") "EOI ends the highest", in_service(0x71) && !in_service(0xa1), 1);
	/* ISR, not IRR: a pending vector is not ended. */
	self_ipi(0x41);
	mmio_write(APIC + 0x420, 0x41);
	check(REQ("svm.2.17.7.10 svm.2.17.7.10") "SEOI leaves what is pending", reg(0x200 + 0x20) >> 1 & 1, 1);
	mmio_write(APIC + 0x420, 0x71);
	check(REQ("svm.2.17.7.12") "bits 7:0 are the vector", in_service(0x71), 0);
	taken = 0;
	window();
	check("the pending one", taken == 1 && order[0] == 0x41, 1);
	mmio_write(APIC + 0xb0, 0);
	mmio_write(APIC + 0x410, 0);
}

void test_apic(void)
{
	registers();
	each_register();
	priorities();
	mmio_write(APIC + 0x420, 0x55);
	check(REQ("svm.E.6.6") "SEOI", mmio_read(APIC + 0x420), 0);
}
