/* Every instruction intercept on and off: "Instruction Intercepts",
	sections 2.5.1 to 2.5.29 of 33047 and the later ones. */
#include "exits.h"

/* ---- control and debug registers ---- */
SNIPPET(r_cr0, "", "mov %cr0, %rbx");
SNIPPET(r_cr2, "", "mov %cr2, %rcx");
SNIPPET(r_cr3, "", "mov %cr3, %rdx");
SNIPPET(r_cr4, "", "mov %cr4, %r9");
SNIPPET(r_cr8, "", "mov %cr8, %r15");
SNIPPET(r_smsw, "", "smsw %ebx");
SNIPPET(w_cr0, "mov %cr0, %rbx", "mov %rbx, %cr0");
SNIPPET(w_cr2, "", "mov %rcx, %cr2");
SNIPPET(w_cr3, "mov %cr3, %rdx", "mov %rdx, %cr3");
SNIPPET(w_cr4, "mov %cr4, %r9", "mov %r9, %cr4");
SNIPPET(w_cr8, "xor %r15d, %r15d", "mov %r15, %cr8");
SNIPPET(w_clts, "", "clts");
SNIPPET(w_lmsw, "smsw %eax", "lmsw %ax");
SNIPPET(w_cr0_cd, "mov %cr0, %rbx; or $0x40000000, %rbx", "mov %rbx, %cr0");
SNIPPET(w_cr0_ts, "mov %cr0, %rbx; xor $0xa, %rbx", "mov %rbx, %cr0");
SNIPPET(l_cr8_read, "", ".byte 0xf0; mov %cr0, %rbx");  /* LOCK MOV EBX, CR0 */
SNIPPET(l_cr8_write, "xor %ebx, %ebx", ".byte 0xf0; mov %rbx, %cr0");
SNIPPET(r_dr0, "", "mov %dr0, %rbx");
SNIPPET(r_dr1, "", "mov %dr1, %rcx");
SNIPPET(r_dr2, "", "mov %dr2, %r8");
SNIPPET(r_dr3, "", "mov %dr3, %r14");
SNIPPET(r_dr6, "", "mov %dr6, %rsi");
SNIPPET(r_dr7, "", "mov %dr7, %rdi");
SNIPPET(w_dr0, "xor %ebx, %ebx", "mov %rbx, %dr0");
SNIPPET(w_dr1, "xor %ecx, %ecx", "mov %rcx, %dr1");
SNIPPET(w_dr2, "xor %r8d, %r8d", "mov %r8, %dr2");
SNIPPET(w_dr3, "xor %r14d, %r14d", "mov %r14, %dr3");
SNIPPET(w_dr6, "xor %esi, %esi", "mov %rsi, %dr6");
SNIPPET(w_dr7, "mov $0x400, %edi", "mov %rdi, %dr7");
/* ---- tables ---- */
extern char gdt_pointer[];
SNIPPET(i_sidt, "", "sidt scratch");
SNIPPET(i_sgdt, "", "sgdt scratch");
SNIPPET(i_sldt, "", "sldt %ebx");
SNIPPET(i_str, "", "str %ebx");
SNIPPET(i_lidt, "sidt scratch", "lidt scratch");
SNIPPET(i_lgdt, "", "lgdt gdt_pointer");
SNIPPET(i_lldt, "xor %ebx, %ebx", "lldt %bx");
SNIPPET(i_ltr, "andb $0xfd, gdt+0x2d; mov $0x28, %ebx", "ltr %bx");
/* ---- the rest of word 00Ch ---- */
SNIPPET(i_rdtsc, "", "rdtsc");
SNIPPET(i_rdpmc, "xor %ecx, %ecx", "rdpmc");
SNIPPET(i_pushf, "", "pushfq");
SNIPPET(i_popf, "push $2", "popfq");
SNIPPET(i_cpuid, "xor %eax, %eax; xor %ecx, %ecx", "cpuid");
SNIPPET(i_rsm, "", "rsm");
SNIPPET(i_iret, "mov %rsp, %rax; push $0x10; push %rax; push $2; push $8; push $n_i_iret", "iretq");
SNIPPET(i_int, "", "int $0x80");
SNIPPET(i_int14, "", "int $14");
SNIPPET(i_invd, "", "invd");
SNIPPET(i_pause, "", "pause");
SNIPPET(i_nop, "", "nop");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_invlpg, "lea scratch, %rbx; mov $2, %ecx", "invlpg 0x40(%rbx,%rcx,8)");
SNIPPET(i_invlpga, "lea scratch, %rax; mov $7, %ecx", "invlpga");
/* ---- word 010h and later ---- */
SNIPPET(i_vmrun, "mov $0x1000, %eax", "vmrun");
SNIPPET(i_vmmcall, "", "vmmcall");
SNIPPET(i_vmload, "lea scratch, %rax", "vmload");
SNIPPET(i_vmsave, "lea scratch, %rax", "vmsave");
SNIPPET(i_stgi, "", "stgi");
SNIPPET(i_clgi, "", "clgi");
SNIPPET(i_skinit, "mov $0x100000, %eax", "skinit");
SNIPPET(i_rdtscp, "", "rdtscp");
SNIPPET(i_icebp, "", ".byte 0xf1");
SNIPPET(i_wbinvd, "", "wbinvd");
SNIPPET(i_monitor, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx", "monitor");
SNIPPET(i_mwait, "xor %eax, %eax; xor %ecx, %ecx", "mwait");
SNIPPET(i_mwait_armed, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor; xor %eax, %eax", "mwait");
SNIPPET(i_xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "xsetbv");
SNIPPET(i_rdpru, "xor %ecx, %ecx", ".byte 0x0f, 0x01, 0xfd");
SNIPPET(i_invpcid, "lea scratch, %rbx; mov $2, %ecx", "invpcid 8(%rbx), %rcx");
SNIPPET(i_efer, "mov $0xc0000080, %ecx; rdmsr", "wrmsr");

enum { STAYS = -1, NOT_TRIED = -2 };
enum { ALWAYS, IN_1C, IN_81D, IN_7B, IN_88B, NOT_2005 };
struct row {
	const char *name;
	const struct snippet *s;
	struct icpt i;
	u64 code, info1; /* info1 with decode assists; without, 0 */
	int off;	 /* with the intercept off: STAYS, or the exception that comes instead */
	u8 word, bit;	 /* CPUID bit the instruction needs: enum above, 0 always */
};
#define MOVCR(gpr) (1ull << 63 | (gpr))
static const struct row rows[] = {
	{REQ("svm.2.5.1.2") "CR0 read", &r_cr0, CR_READ(0), EXIT_CR_READ + 0, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.3.1") "CR2 read", &r_cr2, CR_READ(2), EXIT_CR_READ + 2, MOVCR(1), STAYS, 0, 0},
	{REQ("svm.2.5.2.2") "CR3 read", &r_cr3, CR_READ(3), EXIT_CR_READ + 3, MOVCR(2), STAYS, 0, 0},
	{"CR4 read", &r_cr4, CR_READ(4), EXIT_CR_READ + 4, MOVCR(9), STAYS, 0, 0},
	{REQ("svm.2.5.3.2") "CR8 read", &r_cr8, CR_READ(8), EXIT_CR_READ + 8, MOVCR(15), STAYS, 0, 0},
	{REQ("svm.2.5.3.2") "CR8 read by LOCK", &l_cr8_read, CR_READ(8), EXIT_CR_READ + 8, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.1.4") "SMSW", &r_smsw, CR_READ(0), EXIT_CR_READ + 0, 0, STAYS, 0, 0},
	{REQ("svm.2.5.1.1") "CR0 write", &w_cr0, CR_WRITE(0), EXIT_CR_WRITE + 0, MOVCR(3), STAYS, 0, 0},
	{"CR2 write", &w_cr2, CR_WRITE(2), EXIT_CR_WRITE + 2, MOVCR(1), STAYS, 0, 0},
	{REQ("svm.2.5.2.1") "CR3 write", &w_cr3, CR_WRITE(3), EXIT_CR_WRITE + 3, MOVCR(2), STAYS, 0, 0},
	{"CR4 write", &w_cr4, CR_WRITE(4), EXIT_CR_WRITE + 4, MOVCR(9), STAYS, 0, 0},
	{"CR8 write", &w_cr8, CR_WRITE(8), EXIT_CR_WRITE + 8, MOVCR(15), STAYS, 0, 0},
	{REQ("svm.2.17.3.2 svm.2.17.3.5") "CR8 write by LOCK", &l_cr8_write, CR_WRITE(8), EXIT_CR_WRITE + 8, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.1.5") "CLTS", &w_clts, CR_WRITE(0), EXIT_CR_WRITE + 0, 0, STAYS, 0, 0},
	{REQ("svm.2.5.1.3") "LMSW", &w_lmsw, CR_WRITE(0), EXIT_CR_WRITE + 0, 0, STAYS, 0, 0},
	{REQ("svm.2.5.5.1") "CR0 selective, CD", &w_cr0_cd, ICPT(EXIT_CR0_SEL), EXIT_CR0_SEL, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.5.5 svm.2.5.5.8") "CR0 selective, LMSW", &w_lmsw, ICPT(EXIT_CR0_SEL), EXIT_CR0_SEL, 0, STAYS, 0, 0},
	{REQ("svm.2.5.4.1") "DR0 read", &r_dr0, DR_READ(0), EXIT_DR_READ + 0, 3, STAYS, 0, 0},
	{"DR1 read", &r_dr1, DR_READ(1), EXIT_DR_READ + 1, 1, STAYS, 0, 0},
	{"DR2 read", &r_dr2, DR_READ(2), EXIT_DR_READ + 2, 8, STAYS, 0, 0},
	{"DR3 read", &r_dr3, DR_READ(3), EXIT_DR_READ + 3, 14, STAYS, 0, 0},
	{"DR6 read", &r_dr6, DR_READ(6), EXIT_DR_READ + 6, 6, STAYS, 0, 0},
	{"DR7 read", &r_dr7, DR_READ(7), EXIT_DR_READ + 7, 7, STAYS, 0, 0},
	{REQ("svm.2.5.4.2") "DR0 write", &w_dr0, DR_WRITE(0), EXIT_DR_WRITE + 0, 3, STAYS, 0, 0},
	{"DR1 write", &w_dr1, DR_WRITE(1), EXIT_DR_WRITE + 1, 1, STAYS, 0, 0},
	{"DR2 write", &w_dr2, DR_WRITE(2), EXIT_DR_WRITE + 2, 8, STAYS, 0, 0},
	{"DR3 write", &w_dr3, DR_WRITE(3), EXIT_DR_WRITE + 3, 14, STAYS, 0, 0},
	{"DR6 write", &w_dr6, DR_WRITE(6), EXIT_DR_WRITE + 6, 6, STAYS, 0, 0},
	{"DR7 write", &w_dr7, DR_WRITE(7), EXIT_DR_WRITE + 7, 7, STAYS, 0, 0},
	{REQ("svm.2.5.6.2") "SIDT", &i_sidt, ICPT(EXIT_IDTR_READ), EXIT_IDTR_READ, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.4") "SGDT", &i_sgdt, ICPT(EXIT_GDTR_READ), EXIT_GDTR_READ, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.6") "SLDT", &i_sldt, ICPT(EXIT_LDTR_READ), EXIT_LDTR_READ, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.8") "STR", &i_str, ICPT(EXIT_TR_READ), EXIT_TR_READ, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.1") "LIDT", &i_lidt, ICPT(EXIT_IDTR_WRITE), EXIT_IDTR_WRITE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.3") "LGDT", &i_lgdt, ICPT(EXIT_GDTR_WRITE), EXIT_GDTR_WRITE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.5") "LLDT", &i_lldt, ICPT(EXIT_LDTR_WRITE), EXIT_LDTR_WRITE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.7") "LTR", &i_ltr, ICPT(EXIT_TR_WRITE), EXIT_TR_WRITE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.7.1") "RDTSC", &i_rdtsc, ICPT(EXIT_RDTSC), EXIT_RDTSC, 0, STAYS, 0, 0},
	{REQ("svm.2.5.8.1") "RDPMC", &i_rdpmc, ICPT(EXIT_RDPMC), EXIT_RDPMC, 0, STAYS, 0, 0},
	{REQ("svm.2.5.9.1") "PUSHF", &i_pushf, ICPT(EXIT_PUSHF), EXIT_PUSHF, 0, STAYS, 0, 0},
	{REQ("svm.2.5.10.1") "POPF", &i_popf, ICPT(EXIT_POPF), EXIT_POPF, 0, STAYS, 0, 0},
	{REQ("svm.2.5.11.1") "CPUID", &i_cpuid, ICPT(EXIT_CPUID), EXIT_CPUID, 0, STAYS, 0, 0},
	{REQ("svm.2.5.12.1 svm.2.5.12.2 svm.2.4.0.10") "RSM", &i_rsm, ICPT(EXIT_RSM), EXIT_RSM, 0, 6, 0, 0},
	{REQ("svm.2.5.13.1") "IRET", &i_iret, ICPT(EXIT_IRET), EXIT_IRET, 0, STAYS, 0, 0},
	{REQ("svm.2.5.14.1 svm.2.5.14.3") "INTn", &i_int, ICPT(EXIT_INTN), EXIT_INTN, 0x80, NOT_TRIED, 0, 0},
	{"INTn of an exception", &i_int14, ICPT(EXIT_INTN), EXIT_INTN, 14, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.15.1") "INVD", &i_invd, ICPT(EXIT_INVD), EXIT_INVD, 0, STAYS, 0, 0},
	{REQ("svm.2.5.16.1") "PAUSE", &i_pause, ICPT(EXIT_PAUSE), EXIT_PAUSE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.17.1") "HLT", &i_hlt, ICPT(EXIT_HLT), EXIT_HLT, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.18.1") "INVLPG", &i_invlpg, ICPT(EXIT_INVLPG), EXIT_INVLPG, (u64)scratch + 0x50, STAYS, 0, 0},
	{REQ("svm.2.5.19.1") "INVLPGA", &i_invlpga, ICPT(EXIT_INVLPGA), EXIT_INVLPGA, 0, STAYS, 0, 0},
	{REQ("svm.2.5.20.1") "VMRUN", &i_vmrun, ICPT(EXIT_VMRUN), EXIT_VMRUN, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.23.1 svm.2.5.23.3 svm.2.14.2") "VMMCALL", &i_vmmcall, ICPT(EXIT_VMMCALL), EXIT_VMMCALL, 0, 6, 0, 0},
	{REQ("svm.2.5.21.1") "VMLOAD", &i_vmload, ICPT(EXIT_VMLOAD), EXIT_VMLOAD, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.22.1") "VMSAVE", &i_vmsave, ICPT(EXIT_VMSAVE), EXIT_VMSAVE, 0, STAYS, 0, 0},
	{REQ("svm.2.5.24.1") "STGI", &i_stgi, ICPT(EXIT_STGI), EXIT_STGI, 0, STAYS, 0, 0},
	{REQ("svm.2.5.25.1") "CLGI", &i_clgi, ICPT(EXIT_CLGI), EXIT_CLGI, 0, STAYS, 0, 0},
	{REQ("svm.2.5.26.1") "SKINIT", &i_skinit, ICPT(EXIT_SKINIT), EXIT_SKINIT, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.27.1") "RDTSCP", &i_rdtscp, ICPT(EXIT_RDTSCP), EXIT_RDTSCP, 0, STAYS, IN_81D, 27},
	{REQ("svm.2.5.28.1 svm.2.5.28.3") "ICEBP", &i_icebp, ICPT(EXIT_ICEBP), EXIT_ICEBP, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.29.1") "WBINVD", &i_wbinvd, ICPT(EXIT_WBINVD), EXIT_WBINVD, 0, STAYS, 0, 0},
	{"MONITOR", &i_monitor, ICPT(EXIT_MONITOR), EXIT_MONITOR, 0, STAYS, IN_1C, 3},
	{"MWAIT", &i_mwait, ICPT(EXIT_MWAIT), EXIT_MWAIT, 0, NOT_TRIED, IN_1C, 3},
	{"MWAIT, armed", &i_mwait_armed, ICPT(EXIT_MWAIT_ARMED), EXIT_MWAIT_ARMED, 0, NOT_TRIED, IN_1C, 3},
	{"XSETBV", &i_xsetbv, ICPT(EXIT_XSETBV), EXIT_XSETBV, 0, STAYS, IN_1C, 26},
	{"RDPRU", &i_rdpru, ICPT(EXIT_RDPRU), EXIT_RDPRU, 0, STAYS, IN_88B, 4},
	{"INVPCID", &i_invpcid, ICPT(EXIT_INVPCID), EXIT_INVPCID, (u64)scratch + 8, STAYS, IN_7B, 10},
};

static bool there(const struct row *r)
{
	u32 c[4];

	switch (r->word) {
	case IN_1C: cpuid(1, 0, c); return c[2] >> r->bit & 1;
	case IN_81D: cpuid(0x80000001, 0, c); return c[3] >> r->bit & 1;
	case IN_7B: cpuid(7, 0, c); return c[1] >> r->bit & 1;
	case IN_88B: cpuid(0x80000008, 0, c); return c[1] >> r->bit & 1;
	case NOT_2005: return !of_2005;
	default: return true;
	}
}

static void with_it(const struct row *r)
{
	u64 code;

	base(r->s);
	if (r->code == EXIT_ICEBP)
		v->intercept_exc = ~0u; /* the #DB intercept does not see ICEBP */
	on(r->i);
	v->rax = 0x1111;
	code = go();
	vcheck(r->name, "code", code, r->code);
	if (code != r->code)
		return;
	vcheck(r->name, REQ("svm.2.4.0.7 svm.2.4.1.1 svm.2.4.1.3 svm.2.4.1.4") "RIP", v->rip, (u64)r->s->at);
	if (nrips)
		vcheck(r->name, "nRIP", v->nrip, (u64)r->s->next);
	vcheck(r->name, "EXITINFO1", v->exitinfo1, r->code == EXIT_INVPCID || assists ? r->info1 : 0);
	vcheck(r->name, "EXITINFO2", v->exitinfo2, r->code == EXIT_INVPCID ? 2 : 0);
	vcheck(r->name, REQ("svm.2.4.2.19") "EXITINTINFO", v->exitintinfo, 0);
}

static void without_it(const struct row *r)
{
	u64 code;

	if (r->off == NOT_TRIED)
		return;
	base(r->s);
	off(r->i);
	code = go();
	if (r->off == STAYS) {
		vcheck(r->name, "off: goes on", code, EXIT_VMMCALL);
		vcheck(r->name, "off: RIP", v->rip, (u64)r->s->next);
	} else {
		vcheck(r->name, "off: exception", code, 0x40 + (u64)r->off);
		vcheck(r->name, "off: RIP", v->rip, (u64)r->s->at);
	}
}

/* "Segmentation": 64-bit mode has a base for FS and GS, and for no other operand, whatever the VMCB says. */
static void invpcid_base(void)
{
	static struct vmcb mine __attribute__((aligned(4096)));
	u32 r[4];

	cpuid(7, 0, r);
	if (!(r[1] >> 10 & 1))
		return;
	base(&i_invpcid);
	asm volatile("vmsave" ::"a"(&mine) : "memory");
	on((struct icpt)ICPT(EXIT_INVPCID));
	v->es.base = v->ss.base = v->ds.base = 0x10000;
	v->fs = v->gs = mine.fs;
	v->tr = mine.tr;
	v->ldtr = (struct vmcb_seg){.sel = 0x28, .attrib = 0x82, .limit = 0xfff, .base = 0x20000};
	asm volatile("clgi; vmload" ::"a"(v) : "memory");
	vcheck("INVPCID, bases that do not count", "code", go_gif0(), EXIT_INVPCID);
	asm volatile("vmload; stgi" ::"a"(&mine) : "memory");
	vcheck("INVPCID, bases that do not count", "EXITINFO1", v->exitinfo1, (u64)scratch + 8);
}

/* Rows that set one intercept and see another decide. */
static void combinations(void)
{
	base(&w_cr0);
	on((struct icpt)ICPT(EXIT_CR0_SEL));
	vcheck("selective CR0", REQ("svm.2.5.5.2") "nothing changes", go(), EXIT_VMMCALL);
	base(&w_cr0_ts);
	on((struct icpt)ICPT(EXIT_CR0_SEL));
	vcheck("selective CR0", "only TS and MP change", go(), EXIT_VMMCALL);
	base(&w_clts);
	on((struct icpt)ICPT(EXIT_CR0_SEL));
	vcheck("selective CR0", REQ("svm.2.5.5.3") "CLTS", go(), EXIT_VMMCALL);
	base(&r_smsw);
	on((struct icpt)ICPT(EXIT_CR0_SEL));
	vcheck("selective CR0", REQ("svm.2.5.5.9") "SMSW", go(), EXIT_VMMCALL);
	base(&w_cr0_cd);
	on((struct icpt)ICPT(EXIT_CR0_SEL));
	on((struct icpt)CR_WRITE(0));
	vcheck("selective CR0", REQ("svm.2.5.5.4") "the plain intercept wins", go(), EXIT_CR_WRITE + 0);
	invpcid_base();
	base(&i_nop);
	on((struct icpt)ICPT(EXIT_PAUSE));
	vcheck("PAUSE", REQ("svm.2.5.16.2") "NOP is none", go(), EXIT_VMMCALL);
	base(&i_int14);
	own_idt();
	on((struct icpt)EXCEPTION(14));
	vcheck("INTn", REQ("svm.2.5.14.4") "no exception intercept", go(), EXIT_VMMCALL);
	vcheck("INTn", "is delivered", v->rip, stub_of(14));
	base(&i_icebp);
	own_idt();
	on((struct icpt)EXCEPTION(1));
	on((struct icpt)ICPT(EXIT_INTN));
	vcheck("ICEBP", REQ("svm.2.5.28.2 svm.2.5.14.5") "no #DB intercept", go(), EXIT_VMMCALL);
	vcheck("ICEBP", "is delivered", v->rip, stub_of(1));
}

/* Write traps: the instruction has completed. "EFER Write Trap", "CRx Write Trap". */
static void traps(void)
{
	if (of_2005)
		return;
	base(&w_cr4);
	on((struct icpt)ICPT(EXIT_CR_TRAP + 4));
	vcheck("CR4 write trap", "code", go(), EXIT_CR_TRAP + 4);
	vcheck("CR4 write trap", "RIP behind", v->rip, (u64)w_cr4.next);
	vcheck("CR4 write trap", "new value", v->exitinfo1, v->cr4);
	base(&i_efer);
	on((struct icpt)ICPT(EXIT_EFER_TRAP));
	vcheck("EFER write trap", "code", go(), EXIT_EFER_TRAP);
	vcheck("EFER write trap", "RIP behind", v->rip, (u64)i_efer.next);
}

void test_instructions(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		if (!there(&rows[n]))
			continue;
		with_it(&rows[n]);
		without_it(&rows[n]);
	}
	/* rows of theirs are above */
	proves("svm.4.MOVCR.1 svm.4.MOVCR.2 svm.4.MOVCR.5 svm.4.MOVCR.6 svm.4.MOVCR.10 svm.4.CLGI.1 svm.4.INVLPGA.1 svm.2.3.6 "
	       "svm.2.3.7");
	combinations();
	traps();
}
