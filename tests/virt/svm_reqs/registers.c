/* Appendices A, B and E: state after RESET, CPUID, the MSRs; the TSC offset. */
#include "reqs.h"

static const u32 bit_of_features = 1 << 2;

/* Before anything has touched EFER or GIF. */
void test_reset(void)
{
	unsigned before = irqs;

	check(REQ("svm.2.1.3 svm.A.1.1 svm.E.5.1.3") "EFER.SVME", rdmsr(EFER) >> 12 & 1, 0);
	asm volatile("sti");
	self_ipi(0x51);
	asm volatile("nop; nop; cli" ::: "memory");
	check(REQ("svm.A.1.2 svm.2.13.19") "GIF is 1: an interrupt is taken", irqs, before + 1);
	check(REQ("svm.A.1.8") "no offset: the TSC has just begun", rdtsc() >> 36, 0);
	check(REQ("svm.E.0.5") "VM_HSAVE_PA with EFER.SVME 0", CATCH(rdmsr(HSAVE)), -1);
	check(REQ("svm.E.0.5") "VM_HSAVE_PA with EFER.SVME 0", CATCH(wrmsr(HSAVE, 0x10000)), -1);
	check(REQ("svm.E.0.5") "VM_CR with EFER.SVME 0", CATCH(wrmsr(VM_CR, rdmsr(VM_CR))), -1);
	check(REQ("svm.2.1.2") "SVM instruction with EFER.SVME 0", CATCH(asm volatile("clgi")), 6);
	wrmsr(EFER, rdmsr(EFER) | 1 << 12);
	check(REQ("svm.2.1.1 svm.E.5.1.1") "and with bit 12 set", CATCH(asm volatile("clgi; stgi")), -1);
	wrmsr(EFER, rdmsr(EFER) & ~0x1000ull);
}

static void identification(void)
{
	u32 r[4], s[4];

	cpuid(0x80000001, 0, r);
	check(REQ("svm.B.1") "ECX bit 2", r[2] & bit_of_features, bit_of_features);
	check(REQ("svm.4.MOVCR.11") "ECX bit 4", r[2] >> 4 & 1, 1);
	cpuid(0x80000000, 0, r);
	check(REQ("svm.B.2") "leaf", r[0] >= 0x8000000a, 1);
	cpuid(0x8000000a, 0, s);
	check(REQ("svm.B.3") "revision", s[0] & 0xff, 1);
	check(REQ("svm.B.4 svm.B.5") "EAX bit 8", s[0] >> 8 & 1, 0);
	check(REQ("svm.B.6") "EAX 31:9", s[0] >> 9, 0);
	check(REQ("svm.B.9") "ECX", of_2005 ? s[2] : 0, 0);
	check(REQ("svm.B.10 svm.2.21.12.1") "EDX bit 0", s[3] & 1, 1);
	check(REQ("svm.B.11 svm.2.19.3.1") "EDX bit 1", s[3] >> 1 & 1, 1);
	if (of_2005)
		check(REQ("svm.B.12") "EDX 31:2", s[3] >> 2, 0);
}

SNIPPET(g_nothing, "nop", "");
static void asids(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	base(&g_nothing);
	v->asid = r[1] - 1;
	check(REQ("svm.B.7 svm.B.8") "the highest ASID", go(), EXIT_VMMCALL);
	base(&g_nothing);
	v->asid = r[1];
	check(REQ("svm.B.7") "one more", go(), ~0ull);
}

static void save_area(void)
{
	u32 r[4];
	u64 was = rdmsr(HSAVE), top;

	cpuid(0x80000008, 0, r);
	top = 1ull << (r[0] & 0xff);
	wrmsr(HSAVE, 0x12345000);
	check(REQ("svm.E.0.4 svm.E.4.2 svm.2.2.1.12") "VM_HSAVE_PA reads back", rdmsr(HSAVE), 0x12345000);
	for (volatile unsigned n = 0; n < 12; n++)
		check(REQ("svm.E.4.3") "a low bit", CATCH(wrmsr(HSAVE, 1ull << n)), 13);
	for (volatile unsigned n = r[0] & 0xff; n < 64; n++)
		check(REQ("svm.E.4.4") "a bit above the physical address", CATCH(wrmsr(HSAVE, 1ull << n)), 13);
	check(REQ("svm.E.4.5") "the highest page", CATCH(wrmsr(HSAVE, top - 4096)), -1);
	check(REQ("svm.E.4.5") "reads back", rdmsr(HSAVE), top - 4096);
	wrmsr(HSAVE, was);
}

/* MBZ, RAZ and IGN by the fields of VM_CR, EFER, TLB: the general words of the preface. */
static void qualifiers(void)
{
	for (volatile unsigned n = of_2005 ? 15 : 22; n < 64; n++)
		check(REQ("svm.P.1") "EFER", CATCH(wrmsr(EFER, rdmsr(EFER) | 1ull << n)), 13);
	for (volatile unsigned n = of_2005 ? 11 : 24; n < 64; n++)
		check(REQ("svm.P.1 svm.4.MOVCR.27") "CR4", CATCH(write_cr4(read_cr4() | 1ull << n)), 13);
	for (volatile unsigned n = of_2005 ? 3 : 5; n < 64; n++)
		check(of_2005 ? REQ("svm.P.1 svm.E.1.6") "VM_CR" : REQ("svm.P.1") "VM_CR", CATCH(wrmsr(VM_CR, 1ull << n)), 13);
}

/* ---- "New and Changed MSRs": VM_CR and IGNNE, with EFER.SVME and without ---- */

static void security_msrs(void)
{
	u64 efer = rdmsr(EFER);

	for (volatile unsigned n = 0; n < 16; n++) {
		wrmsr(EFER, n & 8 ? efer : efer & ~0x1000ull);
		check(REQ("svm.E.0.1") "VM_CR: written", CATCH(wrmsr(VM_CR, n & 7)), -1);
		check(REQ("svm.E.0.1 svm.E.1.7") "VM_CR: read", rdmsr(VM_CR), n & 7);
		check(REQ("svm.E.0.2 svm.E.0.6") "IGNNE: written", CATCH(wrmsr(IGNNE, n & 1)), -1);
		check(REQ("svm.E.0.2 svm.E.0.6") "IGNNE: read", rdmsr(IGNNE), n & 1);
	}
	for (volatile unsigned n = 1; n < 64; n++)
		check(REQ("svm.E.2.2") "IGNNE", CATCH(wrmsr(IGNNE, 1ull << n)), 13);
	wrmsr(VM_CR, 0);
	wrmsr(IGNNE, 0);
	wrmsr(EFER, efer);
}

/* ---- the TSC ---- */

SNIPPET(g_tsc,
        "rdtsc; mov %eax, seen; mov %edx, seen + 4; mov $0x10, %ecx; rdmsr; mov %eax, seen + 8; mov %edx, seen + 12;"
        "rdtscp; mov %eax, seen + 16; mov %edx, seen + 20", "");
static void tsc(void)
{
	static const u64 offsets[] = {0x123456789abcdef0, ~0ull << 40, 1ull << 63};

	for (unsigned n = 0; n < COUNT(offsets); n++) {
		u64 before, after;

		base(&g_tsc);
		v->tsc_offset = offsets[n];
		before = rdtsc();
		check("TSC", go(), EXIT_VMMCALL);
		after = rdtsc();
		for (unsigned k = 0; k < 3; k++)
			check(REQ("svm.2.2.1.66 svm.2.2.1.67 svm.4.VMRUN.6") "RDTSC, RDMSR, RDTSCP",
			      seen[k] - offsets[n] >= before && seen[k] - offsets[n] <= after, 1);
		check(REQ("svm.2.2.1.69 svm.2.3.12") "the host has no offset", after - before < 1ull << 36, 1);
		check(REQ("svm.2.2.1.65") "TSC_OFFSET stays", v->tsc_offset, offsets[n]);
	}
}

/* Intercepts, V_IRQ, masking end with #VMEXIT. */
SNIPPET(g_cpuid, "nop", "");
static void ended(void)
{
	u32 r[4];
	unsigned before = irqs;

	base(&g_cpuid);
	v->intercept1 |= SVM_BIT(EXIT_CPUID) | SVM_BIT(EXIT_RDTSC) | SVM_BIT(EXIT_HLT) | SVM_BIT(EXIT_MSR) | SVM_BIT(EXIT_IOIO);
	v->intercept_cr = ~0u;
	v->intercept_dr = ~0u;
	check("a guest with intercepts", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.74 svm.2.3.8 svm.4.VMRUN.24") "none in the host", CATCH(({
		      cpuid(0, 0, r);
		      rdtsc();
		      write_cr3(read_cr3());
		      (void)inb(0x61);
		      rdmsr(EFER);
		      asm volatile("mov %%dr7, %%rax" ::: "rax");
	      })),
	      -1);
	check(REQ("svm.1.2.2.1") "still in the host: VMMCALL is #UD here", CATCH(asm volatile("vmmcall")), 6);
	base(&g_cpuid);
	v->vintr = 1 << 8 | 15 << 16 | 0x51ull << 32 | 1 << 24;
	check("a guest with a virtual interrupt it cannot take", go(), EXIT_VMMCALL);
	check(REQ("svm.2.17.4.17") "V_IRQ is in the VMCB", v->vintr >> 8 & 1, 1);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check(REQ("svm.2.3.10 svm.2.17.4.17") "not in the host", irqs, before);
	mmio_write(APIC + 0x80, 0x30);
	base(&g_cpuid);
	v->vintr = 7 | 1 << 24;
	go();
	check(REQ("svm.2.3.11") "CR8 is the APIC's again", read_cr8(), 3);
	asm volatile("cli" ::: "memory");
	self_ipi(0x51);
	asm volatile("nop; nop");
	check(REQ("svm.2.3.11") "RFLAGS.IF masks", irqs, before);
	mmio_write(APIC + 0x80, 0);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check("taken", irqs, before + 1);
}

/* ---- EFER.LMA, the MTRRs, SVM_KEY ---- */

SNIPPET(g_efer, "mov $0xc0000080, %ecx; rdmsr; mov %eax, seen", "");
SNIPPET(g_mtrr, "mov $0x200, %ecx; mov $0x55000006, %eax; xor %edx, %edx; wrmsr; rdmsr; mov %eax, seen", "");
static void msrs(void)
{
	u64 was;
	u32 r[4];

	base(&g_efer);
	v->efer &= ~0x400ull;
	check(REQ("svm.2.2.1.116") "EFER.LMA 0 in the VMCB", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.116") "the guest has LMA by LME and PG", seen[0] >> 10 & 1, 1);
	was = rdmsr(MSR_MTRR_PHYSBASE0);
	base(&g_mtrr);
	check("MTRR", go(), EXIT_VMMCALL);
	check(REQ("svm.2.21.2.5 svm.2.21.8.5") "the guest's write is the host's", rdmsr(MSR_MTRR_PHYSBASE0), 0x55000006);
	wrmsr(MSR_MTRR_PHYSBASE0, was);
	cpuid(0x8000000a, 0, r);
	if (r[3] >> 2 & 1) { /* SVM_KEY is write-only: zero whatever was written */
		wrmsr(MSR_SVM_KEY, 0x1234);
		check(REQ("svm.P.2") "SVM_KEY", rdmsr(MSR_SVM_KEY), 0);
		wrmsr(MSR_SVM_KEY, 0);
	}
}

void test_registers(void)
{
	identification();
	asids();
	save_area();
	qualifiers();
	security_msrs();
	tsc();
	ended();
	msrs();
}
