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
SNIPPET(l_cr8_read, "", ".byte 0xf0, 0x0f, 0x20, 0xc3");  /* LOCK MOV EBX, CR0 */
SNIPPET(l_cr8_write, "xor %ebx, %ebx", ".byte 0xf0, 0x0f, 0x22, 0xc3");
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
#define STD(bit)   {3, bit}
#define SVMI(bit)  {4, bit}
static const struct row rows[] = {
	{REQ("svm.2.5.1.2") "CR0 read", &r_cr0, CR_READ(0), 0x00, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.3.1") "CR2 read", &r_cr2, CR_READ(2), 0x02, MOVCR(1), STAYS, 0, 0},
	{REQ("svm.2.5.2.2") "CR3 read", &r_cr3, CR_READ(3), 0x03, MOVCR(2), STAYS, 0, 0},
	{"CR4 read", &r_cr4, CR_READ(4), 0x04, MOVCR(9), STAYS, 0, 0},
	{REQ("svm.2.5.3.2") "CR8 read", &r_cr8, CR_READ(8), 0x08, MOVCR(15), STAYS, 0, 0},
	{"CR8 read by LOCK", &l_cr8_read, CR_READ(8), 0x08, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.1.4") "SMSW", &r_smsw, CR_READ(0), 0x00, 0, STAYS, 0, 0},
	{REQ("svm.2.5.1.1") "CR0 write", &w_cr0, CR_WRITE(0), 0x10, MOVCR(3), STAYS, 0, 0},
	{"CR2 write", &w_cr2, CR_WRITE(2), 0x12, MOVCR(1), STAYS, 0, 0},
	{REQ("svm.2.5.2.1") "CR3 write", &w_cr3, CR_WRITE(3), 0x13, MOVCR(2), STAYS, 0, 0},
	{"CR4 write", &w_cr4, CR_WRITE(4), 0x14, MOVCR(9), STAYS, 0, 0},
	{"CR8 write", &w_cr8, CR_WRITE(8), 0x18, MOVCR(15), STAYS, 0, 0},
	{REQ("svm.2.17.3.2 svm.2.17.3.5") "CR8 write by LOCK", &l_cr8_write, CR_WRITE(8), 0x18, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.1.5") "CLTS", &w_clts, CR_WRITE(0), 0x10, 0, STAYS, 0, 0},
	{REQ("svm.2.5.1.3") "LMSW", &w_lmsw, CR_WRITE(0), 0x10, 0, STAYS, 0, 0},
	{REQ("svm.2.5.5.1") "CR0 selective, CD", &w_cr0_cd, STD(5), 0x65, MOVCR(3), STAYS, 0, 0},
	{REQ("svm.2.5.5.5 svm.2.5.5.8") "CR0 selective, LMSW", &w_lmsw, STD(5), 0x65, 0, STAYS, 0, 0},
	{REQ("svm.2.5.4.1") "DR0 read", &r_dr0, DR_READ(0), 0x20, 3, STAYS, 0, 0},
	{"DR1 read", &r_dr1, DR_READ(1), 0x21, 1, STAYS, 0, 0},
	{"DR2 read", &r_dr2, DR_READ(2), 0x22, 8, STAYS, 0, 0},
	{"DR3 read", &r_dr3, DR_READ(3), 0x23, 14, STAYS, 0, 0},
	{"DR6 read", &r_dr6, DR_READ(6), 0x26, 6, STAYS, 0, 0},
	{"DR7 read", &r_dr7, DR_READ(7), 0x27, 7, STAYS, 0, 0},
	{REQ("svm.2.5.4.2") "DR0 write", &w_dr0, DR_WRITE(0), 0x30, 3, STAYS, 0, 0},
	{"DR1 write", &w_dr1, DR_WRITE(1), 0x31, 1, STAYS, 0, 0},
	{"DR2 write", &w_dr2, DR_WRITE(2), 0x32, 8, STAYS, 0, 0},
	{"DR3 write", &w_dr3, DR_WRITE(3), 0x33, 14, STAYS, 0, 0},
	{"DR6 write", &w_dr6, DR_WRITE(6), 0x36, 6, STAYS, 0, 0},
	{"DR7 write", &w_dr7, DR_WRITE(7), 0x37, 7, STAYS, 0, 0},
	{REQ("svm.2.5.6.2") "SIDT", &i_sidt, STD(6), 0x66, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.4") "SGDT", &i_sgdt, STD(7), 0x67, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.6") "SLDT", &i_sldt, STD(8), 0x68, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.8") "STR", &i_str, STD(9), 0x69, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.1") "LIDT", &i_lidt, STD(10), 0x6a, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.3") "LGDT", &i_lgdt, STD(11), 0x6b, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.5") "LLDT", &i_lldt, STD(12), 0x6c, 0, STAYS, 0, 0},
	{REQ("svm.2.5.6.7") "LTR", &i_ltr, STD(13), 0x6d, 0, STAYS, 0, 0},
	{REQ("svm.2.5.7.1") "RDTSC", &i_rdtsc, STD(14), 0x6e, 0, STAYS, 0, 0},
	{REQ("svm.2.5.8.1") "RDPMC", &i_rdpmc, STD(15), 0x6f, 0, STAYS, 0, 0},
	{REQ("svm.2.5.9.1") "PUSHF", &i_pushf, STD(16), 0x70, 0, STAYS, 0, 0},
	{REQ("svm.2.5.10.1") "POPF", &i_popf, STD(17), 0x71, 0, STAYS, 0, 0},
	{REQ("svm.2.5.11.1") "CPUID", &i_cpuid, STD(18), 0x72, 0, STAYS, 0, 0},
	{REQ("svm.2.5.12.1 svm.2.5.12.2 svm.2.4.0.10") "RSM", &i_rsm, STD(19), 0x73, 0, 6, 0, 0},
	{REQ("svm.2.5.13.1") "IRET", &i_iret, STD(20), 0x74, 0, STAYS, 0, 0},
	{REQ("svm.2.5.14.1 svm.2.5.14.3") "INTn", &i_int, STD(21), 0x75, 0x80, NOT_TRIED, 0, 0},
	{"INTn of an exception", &i_int14, STD(21), 0x75, 14, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.15.1") "INVD", &i_invd, STD(22), 0x76, 0, STAYS, 0, 0},
	{REQ("svm.2.5.16.1") "PAUSE", &i_pause, STD(23), 0x77, 0, STAYS, 0, 0},
	{REQ("svm.2.5.17.1") "HLT", &i_hlt, STD(24), 0x78, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.18.1") "INVLPG", &i_invlpg, STD(25), 0x79, (u64)scratch + 0x50, STAYS, 0, 0},
	{REQ("svm.2.5.19.1") "INVLPGA", &i_invlpga, STD(26), 0x7a, 0, STAYS, 0, 0},
	{REQ("svm.2.5.20.1") "VMRUN", &i_vmrun, SVMI(0), 0x80, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.23.1 svm.2.5.23.3 svm.2.14.2") "VMMCALL", &i_vmmcall, SVMI(1), 0x81, 0, 6, 0, 0},
	{REQ("svm.2.5.21.1") "VMLOAD", &i_vmload, SVMI(2), 0x82, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.22.1") "VMSAVE", &i_vmsave, SVMI(3), 0x83, 0, STAYS, 0, 0},
	{REQ("svm.2.5.24.1") "STGI", &i_stgi, SVMI(4), 0x84, 0, STAYS, 0, 0},
	{REQ("svm.2.5.25.1") "CLGI", &i_clgi, SVMI(5), 0x85, 0, STAYS, 0, 0},
	{REQ("svm.2.5.27.1") "RDTSCP", &i_rdtscp, SVMI(7), 0x87, 0, STAYS, IN_81D, 27},
	{REQ("svm.2.5.28.1 svm.2.5.28.3") "ICEBP", &i_icebp, SVMI(8), 0x88, 0, NOT_TRIED, 0, 0},
	{REQ("svm.2.5.29.1") "WBINVD", &i_wbinvd, SVMI(9), 0x89, 0, STAYS, 0, 0},
	{"MONITOR", &i_monitor, SVMI(10), 0x8a, 0, STAYS, IN_1C, 3},
	{"MWAIT", &i_mwait, SVMI(11), 0x8b, 0, NOT_TRIED, IN_1C, 3},
	{"MWAIT, armed", &i_mwait_armed, SVMI(12), 0x8c, 0, NOT_TRIED, IN_1C, 3},
	{"XSETBV", &i_xsetbv, SVMI(13), 0x8d, 0, STAYS, IN_1C, 26},
	{"RDPRU", &i_rdpru, SVMI(14), 0x8e, 0, STAYS, IN_88B, 4},
	{"INVPCID", &i_invpcid, {5, 2}, 0xa2, (u64)scratch + 8, STAYS, IN_7B, 10},
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
	if (r->code == 0x88)
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
	vcheck(r->name, "EXITINFO1", v->exitinfo1, r->code == 0xa2 || assists ? r->info1 : 0);
	vcheck(r->name, "EXITINFO2", v->exitinfo2, r->code == 0xa2 ? 2 : 0);
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

/* Rows that set one intercept and see another decide. */
static void combinations(void)
{
	base(&w_cr0);
	on((struct icpt)STD(5));
	vcheck("selective CR0", REQ("svm.2.5.5.2") "nothing changes", go(), EXIT_VMMCALL);
	base(&w_cr0_ts);
	on((struct icpt)STD(5));
	vcheck("selective CR0", "only TS and MP change", go(), EXIT_VMMCALL);
	base(&w_clts);
	on((struct icpt)STD(5));
	vcheck("selective CR0", REQ("svm.2.5.5.3") "CLTS", go(), EXIT_VMMCALL);
	base(&r_smsw);
	on((struct icpt)STD(5));
	vcheck("selective CR0", REQ("svm.2.5.5.9") "SMSW", go(), EXIT_VMMCALL);
	base(&w_cr0_cd);
	on((struct icpt)STD(5));
	on((struct icpt)CR_WRITE(0));
	vcheck("selective CR0", REQ("svm.2.5.5.4") "the plain intercept wins", go(), 0x10);
	base(&i_nop);
	on((struct icpt)STD(23));
	vcheck("PAUSE", REQ("svm.2.5.16.2") "NOP is none", go(), EXIT_VMMCALL);
	base(&i_int14);
	own_idt();
	on((struct icpt)EXCEPTION(14));
	vcheck("INTn", REQ("svm.2.5.14.4") "no exception intercept", go(), EXIT_VMMCALL);
	vcheck("INTn", "is delivered", v->rip, stub_of(14));
	base(&i_icebp);
	own_idt();
	on((struct icpt)EXCEPTION(1));
	on((struct icpt)STD(21));
	vcheck("ICEBP", REQ("svm.2.5.28.2 svm.2.5.14.5") "no #DB intercept", go(), EXIT_VMMCALL);
	vcheck("ICEBP", "is delivered", v->rip, stub_of(1));
}

/* Write traps: the instruction has completed. "EFER Write Trap", "CRx Write Trap". */
static void traps(void)
{
	if (of_2005)
		return;
	base(&w_cr4);
	on((struct icpt)SVMI(16 + 4));
	vcheck("CR4 write trap", "code", go(), 0x94);
	vcheck("CR4 write trap", "RIP behind", v->rip, (u64)w_cr4.next);
	vcheck("CR4 write trap", "new value", v->exitinfo1, v->cr4);
	base(&i_efer);
	on((struct icpt)SVMI(15));
	vcheck("EFER write trap", "code", go(), 0x8f);
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
