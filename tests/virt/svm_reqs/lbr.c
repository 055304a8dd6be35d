/* Last-branch records and their virtualisation: section 2.19. */
#include "reqs.h"

enum { DEBUGCTL = 0x1d9, BR_FROM = 0x1db, BR_TO = 0x1dc, EXC_FROM = 0x1dd, EXC_TO = 0x1de };

asm(".pushsection .text\n"
    "lbr_run: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "lbr_src: jmp lbr_dst; nop\n"
    "lbr_dst: xor %eax, %eax; wrmsr; ret\n"
    "lbr_fault: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "lbf_src: jmp lbf_dst; nop\n"
    "lbf_dst: ud2\n"
    "lbr_icebp: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "lbi_src: jmp lbi_dst; nop\n"
    "lbi_dst: .byte 0xf1\n"
    "ret\n.popsection");
extern void lbr_run(void), lbr_fault(void), lbr_icebp(void);
extern char lbr_src[], lbr_dst[], lbf_src[], lbf_dst[], lbi_src[];

static u64 debug_from, debug_exc;
static bool on_debug(struct regs *r)
{
	(void)r;
	debug_from = rdmsr(BR_FROM);
	debug_exc = rdmsr(EXC_FROM);
	return true;
}

static void records(void)
{
	asm volatile("call lbr_run" ::: "rax", "rcx", "rdx", "memory");
	check(REQ("svm.2.19.0.1 svm.2.19.0.2") "source", rdmsr(BR_FROM), lbr_src);
	check(REQ("svm.2.19.0.1 svm.2.19.0.3") "target", rdmsr(BR_TO), lbr_dst);
	check("exception", CATCH(asm volatile("call lbr_fault" ::: "rax", "rcx", "rdx", "memory")), 6);
	wrmsr(DEBUGCTL, 0);
	check(REQ("svm.2.19.0.4") "the branch before the exception", rdmsr(EXC_FROM), lbf_src);
	check(REQ("svm.2.19.0.5") "the branch before the exception", rdmsr(EXC_TO), lbf_dst);
	on_exception(1, on_debug);
	asm volatile("call lbr_icebp" ::: "rax", "rcx", "rdx", "memory");
	wrmsr(DEBUGCTL, 0);
	on_exception(1, NULL);
	check(REQ("svm.2.19.0.6") "ICEBP is no exception here", rdmsr(EXC_FROM), lbf_src);
	check(REQ("svm.2.19.0.6") "nor at its delivery", debug_exc, lbf_src);
}

SNIPPET(g_lbr,
        "mov $0x1d9, %ecx; rdmsr; mov %eax, seen; mov $0x1db, %ecx; rdmsr; mov %eax, seen + 8; mov %edx, seen + 12;"
        "mov $0x1dc, %ecx; rdmsr; mov %eax, seen + 16; mov %edx, seen + 20; mov $0x1dd, %ecx; rdmsr; mov %eax, seen + "
        "24;"
        "mov %edx, seen + 28; mov $0x1de, %ecx; rdmsr; mov %eax, seen + 32; mov %edx, seen + 36;"
        "mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr; g_lbr_src: jmp g_lbr_dst; g_lbr_dst: nop", "");
extern char g_lbr_src[], g_lbr_dst[];

static void swapped(void)
{
	u64 before[5], after[5];
	static const char *const loaded[5] = {REQ("svm.2.19.1.2 svm.2.19.2.2 svm.4.VMRUN.12 svm.C.1.151"),
	                                      REQ("svm.2.19.1.3 svm.2.19.2.2 svm.4.VMRUN.12 svm.C.1.152"),
	                                      REQ("svm.2.19.1.4 svm.2.19.2.2 svm.4.VMRUN.12 svm.C.1.153"),
	                                      REQ("svm.2.19.1.5 svm.2.19.1.7 svm.2.19.2.2 svm.C.1.154"),
	                                      REQ("svm.2.19.1.6 svm.2.19.1.7 svm.2.19.2.2 svm.C.1.155")};

	asm volatile("call lbr_run" ::: "rax", "rcx", "rdx", "memory");
	for (unsigned on = 0; on < 2; on++) {
		for (unsigned n = 0; n < 5; n++)
			before[n] = rdmsr(n ? 0x1da + n : DEBUGCTL);
		base(&g_lbr);
		v->lbrv = on;
		for (unsigned n = 0; n < 5; n++)
			(&v->dbgctl)[n] = n ? 0x7000001000ull + 0x100 * n : 2;
		seen[0] = 0;
		check("LBR", go(), EXIT_VMMCALL);
		for (unsigned n = 0; n < 5; n++)
			after[n] = rdmsr(n ? 0x1da + n : DEBUGCTL);
		wrmsr(DEBUGCTL, 0);
		if (on) {
			for (unsigned n = 0; n < 5; n++) {
				check(loaded[n], seen[n], n ? 0x7000001000ull + 0x100 * n : 2);
				check(REQ("svm.2.19.2.1 svm.2.19.2.4 svm.4.VMRUN.39") "the host's", after[n],
				      before[n]);
			}
			check(REQ("svm.2.19.2.3 svm.4.VMRUN.39 svm.2.19.1.2") "DBGCTL", v->dbgctl, 1);
			check(REQ("svm.2.19.2.3 svm.4.VMRUN.39 svm.2.19.1.3") "BR_FROM", v->br_from, g_lbr_src);
			check(REQ("svm.2.19.2.3 svm.4.VMRUN.39 svm.2.19.1.4") "BR_TO", v->br_to, g_lbr_dst);
			check(REQ("svm.2.19.2.3 svm.2.19.1.8") "LASTEXCPFROM", v->excp_from, 0x7000001300);
			check(REQ("svm.2.19.2.3 svm.2.19.1.8") "LASTEXCPTO", v->excp_to, 0x7000001400);
		} else {
			check(REQ("svm.2.19.2.5") "the guest has the host's", seen[1], before[1]);
			check(REQ("svm.2.19.2.5") "and the host the guest's", after[0] == 1 && after[1] != before[1],
			      1);
			for (unsigned n = 0; n < 5; n++)
				check(REQ("svm.2.19.2.5") "the VMCB is not written", (&v->dbgctl)[n],
				      n ? 0x7000001000ull + 0x100 * n : 2);
		}
	}
}

SNIPPET(l_nop, "nop; nop", "");

static void reserved(void)
{
	base(&l_nop);
	v->lbrv = ~3ull;
	check(REQ("svm.C.1.83") "0B8h", go(), EXIT_VMMCALL);
}

void test_lbr(void)
{
	records();
	swapped();
	reserved();
}
