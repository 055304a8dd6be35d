/* "LBR Virtualization", and the local APIC's extended registers: sections 2.17.7 and 2.19 of 33047. */
#include "exits.h"

enum { DEBUGCTL = 0x1d9, FROM = 0x1db, TO = 0x1dc, INT_FROM = 0x1dd, INT_TO = 0x1de };
#define LBR(n) (*(u64 *)((u8 *)v + 0x670 + 8 * (n)))

SNIPPET(branch, "", "jmp 1f; nop; 1: nop");

static void lbr(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!(r[3] & 2)) /* REQ(svm.2.19.3.1) */
		return;
	wrmsr(DEBUGCTL, 0);
	wrmsr(FROM, 0x1000);
	wrmsr(TO, 0x2000);
	base(&branch);
	v->lbrv = 1;
	LBR(0) = 1; /* DBGCTL.LBR: REQ(svm.2.19.1.2) */
	LBR(3) = 0x3000;
	LBR(4) = 0x4000;
	vcheck("LBR", "code", go(), EXIT_VMMCALL);
	/* REQ(svm.2.19.0.1, svm.2.19.0.2, svm.2.19.0.3, svm.2.19.1.3, svm.2.19.1.4, svm.2.19.2.2, svm.2.19.2.3) */
	vcheck("LBR", "guest from", LBR(1), (u64)branch.at);
	vcheck("LBR", "guest to", LBR(2), (u64)branch.next - 1);
	vcheck("LBR", "guest exception from", LBR(3), 0x3000); /* REQ(svm.2.19.1.5) */
	vcheck("LBR", "guest exception to", LBR(4), 0x4000);   /* REQ(svm.2.19.1.6) */
	vcheck("LBR", "host control", rdmsr(DEBUGCTL), 0);     /* REQ(svm.2.19.2.1, svm.2.19.2.4) */
	vcheck("LBR", "host from", rdmsr(FROM), 0x1000);
	vcheck("LBR", "host to", rdmsr(TO), 0x2000);
	base(&branch); /* shared: REQ(svm.2.19.2.5) */
	LBR(0) = 1;
	LBR(1) = 0x5000;
	vcheck("LBR off", "code", go(), EXIT_VMMCALL);
	vcheck("LBR off", "nothing recorded", rdmsr(FROM), 0x1000);
	vcheck("LBR off", "VMCB not written", LBR(1), 0x5000);
}

/* ---- IER and SEOI ---- */
#define APIC(r) (0xfee00000ull + (r))

static void pend(unsigned vector)
{
	self_ipi(vector);
}

static u32 bit_of(unsigned map, unsigned vector)
{
	return mmio_read(APIC(map + 16 * (vector / 32))) >> vector % 32 & 1;
}

static bool keep(struct regs *r)
{
	seen[8] = seen[8] << 8 | r->vector;
	return true;
}

static void extended_apic(void)
{
	if (!(mmio_read(APIC(0x30)) >> 31)) /* REQ(svm.2.17.7.17, svm.E.7.1) */
		return;
	/* REQ(svm.2.17.7.18, svm.2.17.7.19, svm.E.7.2, svm.E.7.3) */
	vcheck("APIC", "IER and SEOI", mmio_read(APIC(0x400)) & 3, 3);
	on_exception(0x61, keep);
	on_exception(0x72, keep);
	mmio_write(APIC(0x410), 3); /* REQ(svm.2.17.7.20, svm.2.17.7.21, svm.E.6.2, svm.E.7.4, svm.E.7.5) */
	for (unsigned n = 0; n < 8; n++) /* REQ(svm.2.17.7.2, svm.2.17.7.1) */
		vcheck("IER", "all ones", mmio_read(APIC(0x480 + 16 * n)), ~0u);
	for (unsigned n = 1; n < 8; n++) { /* REQ(svm.2.17.7.3, svm.2.17.7.14, svm.2.17.7.15, svm.2.17.7.16) */
		mmio_write(APIC(0x480 + 16 * n), 0x1234u << n); /* REQ(svm.E.6.8, svm.E.6.9, svm.E.6.10, svm.E.6.11) */
		/* REQ(svm.E.6.12, svm.E.6.13, svm.E.6.14) */
		vcheck("IER", "keeps", mmio_read(APIC(0x480 + 16 * n)), 0x1234u << n);
		mmio_write(APIC(0x480 + 16 * n), ~0u);
	}
	seen[8] = 0;
	mmio_write(APIC(0x480 + 16 * 3), ~(1u << (0x72 - 96))); /* 72h off: REQ(svm.2.17.7.4, svm.2.17.7.6) */
	pend(0x61);
	pend(0x72);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	vcheck("IER", "the lower one", seen[8], 0x61);
	vcheck("IER", "the higher one stays pending", bit_of(0x200, 0x72), 1);
	mmio_write(APIC(0x480 + 16 * 3), ~0u); /* REQ(svm.2.17.7.5) */
	asm volatile("sti; nop; nop; cli" ::: "memory");
	vcheck("IER", "then the higher one", seen[8], 0x6172);
	vcheck("SEOI", "both in service", bit_of(0x100, 0x61) + bit_of(0x100, 0x72), 2);
	/* REQ(svm.2.17.7.7, svm.2.17.7.11, svm.2.17.7.12, svm.2.17.7.10, svm.E.6.3, svm.E.6.4) */
	mmio_write(APIC(0x420), 0x61);
	vcheck("SEOI", "the lower ends", bit_of(0x100, 0x61), 0);
	vcheck("SEOI", "the higher stays", bit_of(0x100, 0x72), 1); /* REQ(svm.2.17.7.9) */
	mmio_write(APIC(0x410), 0);
	mmio_write(APIC(0x420), 0x72);
	vcheck("SEOI off", "nothing ends", bit_of(0x100, 0x72), 1);
	mmio_write(APIC(0xb0), 0); /* REQ(svm.2.17.7.8) */
	vcheck("EOI", "the highest ends", bit_of(0x100, 0x72), 0);
}

void test_lbr(void)
{
	lbr();
	extended_apic();
}
