/*
 * An intercepted instruction, run again without the intercept, does what it would have done; the permission maps, which lie
 * in physical memory that the guest cannot reach.
 */
#include "reqs.h"

SNIPPET(m_in, "mov $0x3ff, %edx; mov $0x5a, %eax; out %al, %dx", "");
SNIPPET(m_rep, "mov $0x3ff, %edx; mov $scratch, %edi; mov $3, %ecx; rep insb", "");
SNIPPET(m_rdmsr, "mov $0xc0000081, %ecx; rdmsr", "");

/*
 * Twice: up to the intercept, then, without it and with the guest's own registers, to the end.
 */
u32 *clear_at, clear_mask;
u64 first_code;
asm(".pushsection .text\n"
    "run_twice: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; clgi; mov v, %rax; vmrun\n"
    "mov v, %rax; push %rbx; mov 0x70(%rax), %rbx; mov %rbx, first_code; mov clear_at, %rax; mov clear_mask, %ebx\n"
    "and %ebx, (%rax); pop %rbx; mov v, %rax; vmrun\n"
    "stgi; cld; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");
extern void run_twice(void);

static u64 again(unsigned word, u32 bits)
{
	clear_at = (u32 *)v + word;
	clear_mask = ~bits;
	*clear_at |= bits;
	asm volatile("call run_twice" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return v->exitcode;
}

/* ---- the permission maps ---- */

static void maps(void)
{
	u8 *iopm = (u8 *)0x7200000, *msrpm = (u8 *)0x7204000, scratch_register;

	memset(iopm, 0, 0x3000);
	memset(msrpm, 0, 0x2000);
	iopm[0x3ff / 8] = 1 << (0x3ff & 7);
	msrpm[0x800 + 0x81 / 4] = 1 << (0x81 & 3) * 2;
	outb(0x3ff, 0xc3);
	for (unsigned n = 0; n < 2; n++) {
		/* the maps' pages are in no table of the guest: neither its own nor the nested ones */
		base(n ? &m_rdmsr : &m_in);
		u64 *nested = split(0x7200000);

		nested[0] = nested[1] = nested[2] = nested[4] = nested[5] = 0;
		v->intercept1 |= SVM_IOIO | SVM_MSR;
		v->iopm_pa = (u64)iopm | 0xabc;
		v->msrpm_pa = (u64)msrpm | 0xdef;
		v->rax = 0x77;
		if (n) {
			check(REQ("svm.2.7.15 svm.2.7.12 svm.P.3") "RDMSR by the map", go(), EXIT_MSR);
		} else {
			check(REQ("svm.2.6.11 svm.2.6.3 svm.P.3 svm.2.6.21") "OUT by the map", go(), EXIT_IOIO);
			check(REQ("svm.2.6.23 svm.4.VMRUN.21") "EXITINFO1", v->exitinfo1, 0x3ff0210);
			check(REQ("svm.2.6.21") "RAX", v->rax, 0x5a);
		}
	}
	scratch_register = inb(0x3ff);
	check(REQ("svm.2.6.21") "the device was not reached", scratch_register, 0xc3);
	scratch[0] = 0;
	base(&m_rep);
	v->intercept1 |= SVM_IOIO;
	v->iopm_pa = (u64)iopm;
	check(REQ("svm.2.6.21") "REP INSB", go(), EXIT_IOIO);
	check(REQ("svm.2.6.21") "no byte came", scratch[0], 0);
	base(&m_rep);
	v->iopm_pa = (u64)iopm;
	check(REQ("svm.2.6.21 svm.1.2.6.1") "RDI, RCX: run again, it does all", again(3, SVM_IOIO), EXIT_VMMCALL);
	check("intercepted first", first_code, EXIT_IOIO);
	check(REQ("svm.2.6.21 svm.1.2.6.1") "three bytes", scratch[0], 0xc3c3c3);
}

/* ---- an intercepted instruction, run again, does what it would have done ---- */

SNIPPET(r_pushf, "push $0x8d7; popf; r_pushf_at: pushf; pop seen", "");
SNIPPET(r_popf, "push $0x8d7; popf; pushf; pop seen", "");
SNIPPET(r_cpuid, "xor %eax, %eax; cpuid; mov %ebx, seen; mov %ecx, seen + 4", "");
SNIPPET(r_cr3, "mov %cr3, %rcx; mov %rcx, %cr3; mov %rcx, seen", "");
SNIPPET(r_cr0, "mov %cr0, %rcx; xor $0x40000, %rcx; mov %rcx, %cr0; mov %cr0, %rdx; mov %rdx, seen", "");
SNIPPET(r_dr, "mov $0x123, %ecx; mov %rcx, %dr2; mov %dr2, %rdx; mov %rdx, seen", "");
SNIPPET(r_sidt, "sidt seen", "");
SNIPPET(r_lidt, "sidt seen; lidt seen; sidt seen + 16", "");
SNIPPET(r_iret, "mov %rsp, %rcx; push $0x10; push %rcx; push $0x402; push $8; push $1f; iretq; 1: pushf; pop seen", "");
SNIPPET(r_msr, "mov $0xc0000082, %ecx; mov $0x1234, %eax; xor %edx, %edx; wrmsr; rdmsr; mov %eax, seen", "");
SNIPPET(r_invlpg, "invlpg scratch; movl $5, seen", "");

static void restart(void)
{
	static const struct {
		const struct snippet *code;
		u8 word;
		u32 bits;
	} rows[] = {{&r_pushf, 3, SVM_BIT(EXIT_PUSHF)}, {&r_popf, 3, SVM_BIT(EXIT_POPF)}, {&r_cpuid, 3, SVM_BIT(EXIT_CPUID)}, {&r_cr3, 0, 0x80008},
	            {&r_cr0, 0, 0x10001},   {&r_dr, 1, 0x40004},   {&r_sidt, 3, SVM_BIT(EXIT_IDTR_READ)},   {&r_lidt, 3, SVM_BIT(EXIT_IDTR_WRITE)},
	            {&r_iret, 3, SVM_BIT(EXIT_IRET)},  {&r_msr, 3, SVM_MSR},  {&r_invlpg, 3, SVM_BIT(EXIT_INVLPG)}};
	static struct vmcb plain;
	static u64 plain_seen[4];
	u8 *msrpm = page_alloc();

	page_alloc();
	memset(msrpm, 0xff, 0x2000);
	for (unsigned n = 0; n < COUNT(rows); n++) {
		memset(seen, 0, 32);
		base(rows[n].code);
		check("without the intercept", go(), EXIT_VMMCALL);
		memcpy(&plain, v, sizeof(plain));
		memcpy(plain_seen, seen, 32);
		memset(seen, 0, 32);
		base(rows[n].code);
		v->msrpm_pa = (u64)msrpm;
		check(REQ("svm.1.2.6.1") "run again", again(rows[n].word, rows[n].bits), EXIT_VMMCALL);
		check("intercepted first", first_code != EXIT_VMMCALL, 1);
		check(REQ("svm.1.2.6.1") "the same state", memcmp((u8 *)v + 0x400, (u8 *)&plain + 0x400, 0x268), 0);
		check(REQ("svm.1.2.6.1") "the same memory", memcmp(seen, plain_seen, 32), 0);
	}
}

void test_restart(void)
{
	maps();
	restart();
}
