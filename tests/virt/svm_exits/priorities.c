/* Each intercept against the faults it competes with: who wins is the table. Sections 2.5.1 to 2.5.29 of 33047. */
#include "exits.h"

#define S SNIPPET
S(cr0_read, "", "mov %cr0, %rbx");
S(cr0_write, "", "mov %rbx, %cr0");
S(cr0_pg_no_pe, "mov $0x80000010, %ebx", "mov %rbx, %cr0");
S(cr0_nw_no_cd, "mov %cr0, %rbx; or $0x20000000, %rbx", "mov %rbx, %cr0");
S(cr0_upper, "mov %cr0, %rbx; bts $32, %rbx", "mov %rbx, %cr0");
S(lmsw_r, "", "lmsw %ax");
S(lmsw_m, "movabs " BAD_PF ", %rbx", "lmsw (%rbx)");
S(smsw_m, "movabs " BAD_PF ", %rbx", "smsw (%rbx)");
S(clts_, "", "clts");
S(cr3_write, "", "mov %rbx, %cr3");
S(cr4_write, "", "mov %rbx, %cr4");
S(cr4_bad, "mov %cr4, %rbx; bts $31, %rbx", "mov %rbx, %cr4");
S(cr8_write, "", "mov %rbx, %cr8");
S(cr8_bad, "mov $0x10, %ebx", "mov %rbx, %cr8");
S(cr1_read, "", "mov %cr1, %rbx");
S(cr5_write, "", "mov %rbx, %cr5");
S(cr9_read, "", "mov %cr9, %rbx");
S(dr0_read, "", "mov %dr0, %rbx");
S(dr7_write, "", "mov %rbx, %dr7");
S(dr7_bad, "mov $1, %ebx; shl $32, %rbx", "mov %rbx, %dr7");
S(dr6_bad, "mov $1, %ebx; shl $32, %rbx", "mov %rbx, %dr6");
S(dr4_de, "mov %cr4, %rbx; or $8, %ebx; mov %rbx, %cr4", "mov %dr4, %rbx");
S(dr8_read, "", "mov %dr8, %rbx");
S(dr0_gd, "mov $0x2400, %ebx; mov %rbx, %dr7", "mov %dr0, %rbx");
S(sidt_m, "movabs " BAD_PF ", %rbx", "sidt (%rbx)");
S(sgdt_m, "movabs " BAD_PF ", %rbx", "sgdt (%rbx)");
S(sldt_m, "movabs " BAD_PF ", %rbx", "sldt (%rbx)");
S(str_m, "movabs " BAD_GP ", %rbx", "str (%rbx)");
S(lidt_m, "movabs " BAD_PF ", %rbx", "lidt (%rbx)");
S(lgdt_m, "movabs " BAD_PF ", %rbx", "lgdt (%rbx)");
S(lldt_m, "movabs " BAD_PF ", %rbx", "lldt (%rbx)");
S(ltr_m, "movabs " BAD_PF ", %rbx", "ltr (%rbx)");
S(lldt_sel, "mov $0x10, %ebx", "lldt %bx");
S(ltr_sel, "mov $0x18, %ebx", "ltr %bx");
S(rdtsc_, "", "rdtsc");
S(rdtscp_, "", "rdtscp");
S(rdpmc_, "xor %ecx, %ecx", "rdpmc");
S(rdpmc_bad, "mov $0x7fffffff, %ecx", "rdpmc");
S(pushf_, "movabs " BAD_PF ", %rsp", "pushfq");
S(popf_, "movabs " BAD_PF ", %rsp", "popfq");
S(iret_, "movabs " BAD_PF ", %rsp", "iretq");
S(pushf_ss, "movabs " BAD_GP ", %rsp", "pushfq");
S(popf_ss, "movabs " BAD_GP ", %rsp", "popfq");
S(rsm_, "", "rsm");
S(int_, "", "int $0x40");
S(invd_, "", "invd");
S(wbinvd_, "", "wbinvd");
S(hlt_, "", "hlt");
S(invlpg_, "", "invlpg scratch");
S(invlpga_, "", "invlpga");
S(cpuid_, "", "cpuid");
S(pause_, "", "pause");
S(vmmcall_, "", "vmmcall");
S(stgi_, "", "stgi");
S(clgi_, "", "clgi");
S(vmrun_, "mov $0x1000, %eax", "vmrun");
S(vmload_, "mov $0x1000, %eax", "vmload");
S(vmsave_, "mov $0x1000, %eax", "vmsave");
S(vmrun_bad, "mov $0x1001, %eax", "vmrun");
S(vmload_bad, "mov $0x1001, %eax", "vmload");
S(vmsave_bad, "mov $0x1001, %eax", "vmsave");
S(xsetbv_, "mov $99, %ecx", "xsetbv");
S(invpcid_type, "lea scratch, %rbx; mov $99, %ecx", "invpcid 8(%rbx), %rcx");
S(invpcid_cpl, "lea scratch, %rbx; mov $2, %ecx", "invpcid 8(%rbx), %rcx");
S(monitor_, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx", "monitor");
S(monitor_ecx, "lea scratch, %rax; mov $1, %ecx; xor %edx, %edx", "monitor");
S(mwait_, "xor %eax, %eax; xor %ecx, %ecx", "mwait");
S(rdmsr_none, "mov $0x12345, %ecx", "rdmsr");
S(rdmsr_efer, "mov $0xc0000080, %ecx", "rdmsr");

enum { EXITS = 0x1000 };
enum { CPL3 = 1, TSD = 2, NO_PCE = 4, SHORT_IDT = 8, NEW = 16 /* not in 2005 */, OLD = 32, NO_OSXSAVE = 64 };
static const struct {
	const char *name;
	const struct snippet *s;
	struct icpt i;
	u16 flags;
	u16 wins; /* EXITS + code, or the vector of the exception */
} rows[] = {
	{REQ("svm.2.5.1.6 svm.2.4.0.8") "CR0 read at CPL 3", &cr0_read, CR_READ(0), CPL3, 13},
	{"CR0 write at CPL 3", &cr0_write, CR_WRITE(0), CPL3, 13},
	{"LMSW at CPL 3", &lmsw_r, CR_WRITE(0), CPL3, 13},
	{"CLTS at CPL 3", &clts_, CR_WRITE(0), CPL3, 13},
	{REQ("svm.2.5.1.7") "CR0: PG without PE", &cr0_pg_no_pe, CR_WRITE(0), 0, 13},
	{"CR0: NW without CD", &cr0_nw_no_cd, CR_WRITE(0), 0, 13},
	{"CR0: bit 32", &cr0_upper, CR_WRITE(0), 0, 13},
	{REQ("svm.2.5.1.8 svm.2.4.0.9") "LMSW, operand not mapped", &lmsw_m, CR_WRITE(0), 0, EXITS + EXIT_CR_WRITE + 0},
	{REQ("svm.2.5.1.9") "SMSW, operand not mapped", &smsw_m, CR_READ(0), 0, EXITS + EXIT_CR_READ + 0},
	{REQ("svm.2.5.5.6") "selective: CPL 3", &cr0_write, ICPT(EXIT_CR0_SEL), CPL3, 13},
	{"selective: NW without CD", &cr0_nw_no_cd, ICPT(EXIT_CR0_SEL), 0, 13},
	{REQ("svm.2.5.5.7") "selective: LMSW, operand not mapped", &lmsw_m, ICPT(EXIT_CR0_SEL), 0, EXITS + EXIT_CR0_SEL},
	{REQ("svm.2.5.2.4") "CR3 write at CPL 3", &cr3_write, CR_WRITE(3), CPL3, 13},
	{REQ("svm.2.5.3.3") "CR4 write at CPL 3", &cr4_write, CR_WRITE(4), CPL3, 13},
	{REQ("svm.2.5.3.4") "CR4: reserved bit", &cr4_bad, CR_WRITE(4), 0, 13},
	{"CR8 write at CPL 3", &cr8_write, CR_WRITE(8), CPL3, 13},
	{"CR8: reserved bit", &cr8_bad, CR_WRITE(8), 0, 13},
	{REQ("svm.2.5.3.5") "CR1 read", &cr1_read, CR_READ(1), 0, 6},
	{"CR5 write", &cr5_write, CR_WRITE(5), 0, 6},
	{"CR9 read", &cr9_read, CR_READ(9), 0, 6},
	{REQ("svm.2.5.4.4") "DR0 read at CPL 3", &dr0_read, DR_READ(0), CPL3, 13},
	{"DR7 write at CPL 3", &dr7_write, DR_WRITE(7), CPL3, 13},
	{REQ("svm.2.5.4.5") "DR4 with DE", &dr4_de, DR_READ(4), 0, 6},
	{"DR8 read", &dr8_read, DR_READ(8), 0, 6},
	{REQ("svm.2.5.4.6") "DR0 with GD", &dr0_gd, DR_READ(0), 0, 1},
	{REQ("svm.2.5.4.7") "DR7: upper bits", &dr7_bad, DR_WRITE(7), 0, 13},
	{"DR6: upper bits", &dr6_bad, DR_WRITE(6), 0, 13},
	{REQ("svm.2.5.6.11") "SIDT, operand not mapped", &sidt_m, ICPT(EXIT_IDTR_READ), 0, EXITS + EXIT_IDTR_READ},
	{"SGDT, operand not mapped", &sgdt_m, ICPT(EXIT_GDTR_READ), 0, EXITS + EXIT_GDTR_READ},
	{"SLDT, operand not mapped", &sldt_m, ICPT(EXIT_LDTR_READ), 0, EXITS + EXIT_LDTR_READ},
	{"STR, not canonical", &str_m, ICPT(EXIT_TR_READ), 0, EXITS + EXIT_TR_READ},
	{"LIDT, operand not mapped", &lidt_m, ICPT(EXIT_IDTR_WRITE), 0, EXITS + EXIT_IDTR_WRITE},
	{"LGDT, operand not mapped", &lgdt_m, ICPT(EXIT_GDTR_WRITE), 0, EXITS + EXIT_GDTR_WRITE},
	{"LLDT, operand not mapped", &lldt_m, ICPT(EXIT_LDTR_WRITE), 0, EXITS + EXIT_LDTR_WRITE},
	{"LTR, operand not mapped", &ltr_m, ICPT(EXIT_TR_WRITE), 0, EXITS + EXIT_TR_WRITE},
	{REQ("svm.2.5.6.12") "LLDT, wrong descriptor", &lldt_sel, ICPT(EXIT_LDTR_WRITE), 0, EXITS + EXIT_LDTR_WRITE},
	{"LTR, wrong descriptor", &ltr_sel, ICPT(EXIT_TR_WRITE), 0, EXITS + EXIT_TR_WRITE},
	{"SIDT at CPL 3", &sidt_m, ICPT(EXIT_IDTR_READ), CPL3, EXITS + EXIT_IDTR_READ},
	{REQ("svm.2.5.6.10") "LIDT at CPL 3", &lidt_m, ICPT(EXIT_IDTR_WRITE), CPL3, 13},
	{"LGDT at CPL 3", &lgdt_m, ICPT(EXIT_GDTR_WRITE), CPL3, 13},
	{"LLDT at CPL 3", &lldt_sel, ICPT(EXIT_LDTR_WRITE), CPL3, 13},
	{"LTR at CPL 3", &ltr_sel, ICPT(EXIT_TR_WRITE), CPL3, 13},
	{REQ("svm.2.5.7.2") "RDTSC with TSD", &rdtsc_, ICPT(EXIT_RDTSC), CPL3 | TSD, 13},
	{REQ("svm.2.5.27.2") "RDTSCP with TSD", &rdtscp_, ICPT(EXIT_RDTSCP), CPL3 | TSD | NEW, 13},
	{REQ("svm.2.5.8.2") "RDPMC without PCE", &rdpmc_, ICPT(EXIT_RDPMC), CPL3, 13},
	{"RDPMC, no such counter", &rdpmc_bad, ICPT(EXIT_RDPMC), 0, 13},
	{REQ("svm.2.5.9.2") "PUSHF, stack not mapped", &pushf_, ICPT(EXIT_PUSHF), 0, EXITS + EXIT_PUSHF},
	{"PUSHF, stack not canonical", &pushf_ss, ICPT(EXIT_PUSHF), 0, EXITS + EXIT_PUSHF},
	{REQ("svm.2.5.10.2") "POPF, stack not mapped", &popf_, ICPT(EXIT_POPF), 0, EXITS + EXIT_POPF},
	{"POPF, stack not canonical", &popf_ss, ICPT(EXIT_POPF), 0, EXITS + EXIT_POPF},
	{REQ("svm.2.5.13.2") "IRET, stack not mapped", &iret_, ICPT(EXIT_IRET), 0, EXITS + EXIT_IRET},
	{"RSM outside SMM", &rsm_, ICPT(EXIT_RSM), 0, EXITS + EXIT_RSM},
	{"RSM at CPL 3", &rsm_, ICPT(EXIT_RSM), CPL3, EXITS + EXIT_RSM},
	{REQ("svm.2.5.14.2") "INTn beyond the IDT", &int_, ICPT(EXIT_INTN), SHORT_IDT, EXITS + EXIT_INTN},
	{"INTn at CPL 3", &int_, ICPT(EXIT_INTN), CPL3, EXITS + EXIT_INTN},
	{REQ("svm.2.5.15.2") "INVD at CPL 3", &invd_, ICPT(EXIT_INVD), CPL3, 13},
	{REQ("svm.2.5.29.2") "WBINVD at CPL 3", &wbinvd_, ICPT(EXIT_WBINVD), CPL3, 13},
	{REQ("svm.2.5.17.2") "HLT at CPL 3", &hlt_, ICPT(EXIT_HLT), CPL3, 13},
	{REQ("svm.2.5.18.2") "INVLPG at CPL 3", &invlpg_, ICPT(EXIT_INVLPG), CPL3, 13},
	{REQ("svm.2.5.19.2") "INVLPGA at CPL 3", &invlpga_, ICPT(EXIT_INVLPGA), CPL3, 13},
	{"CPUID at CPL 3", &cpuid_, ICPT(EXIT_CPUID), CPL3, EXITS + EXIT_CPUID},
	{"PAUSE at CPL 3", &pause_, ICPT(EXIT_PAUSE), CPL3, EXITS + EXIT_PAUSE},
	{REQ("svm.2.14.1 svm.2.5.23.2") "VMMCALL at CPL 3", &vmmcall_, ICPT(EXIT_VMMCALL), CPL3, EXITS + EXIT_VMMCALL},
	{REQ("svm.2.5.24.2") "STGI at CPL 3", &stgi_, ICPT(EXIT_STGI), CPL3, 13},
	{REQ("svm.2.5.25.2") "CLGI at CPL 3", &clgi_, ICPT(EXIT_CLGI), CPL3, 13},
	{REQ("svm.2.5.20.2") "VMRUN at CPL 3", &vmrun_, ICPT(EXIT_VMRUN), CPL3, 13},
	{REQ("svm.2.5.21.2 svm.2.11.16") "VMLOAD at CPL 3", &vmload_, ICPT(EXIT_VMLOAD), CPL3, 13},
	{REQ("svm.2.5.22.2") "VMSAVE at CPL 3", &vmsave_, ICPT(EXIT_VMSAVE), CPL3, 13},
	{"VMRUN, address not aligned", &vmrun_bad, ICPT(EXIT_VMRUN), NEW, EXITS + EXIT_VMRUN},
	{"VMLOAD, address not aligned", &vmload_bad, ICPT(EXIT_VMLOAD), NEW, EXITS + EXIT_VMLOAD},
	{"VMSAVE, address not aligned", &vmsave_bad, ICPT(EXIT_VMSAVE), NEW, EXITS + EXIT_VMSAVE},
	{REQ("svm.2.5.20.4") "VMRUN, address not aligned, 2005", &vmrun_bad, ICPT(EXIT_VMRUN), OLD, 13},
	{"VMLOAD, address not aligned, 2005", &vmload_bad, ICPT(EXIT_VMLOAD), OLD, 13},
	{"VMSAVE, address not aligned, 2005", &vmsave_bad, ICPT(EXIT_VMSAVE), OLD, 13},
	{"XSETBV at CPL 3", &xsetbv_, ICPT(EXIT_XSETBV), CPL3 | NEW, EXITS + EXIT_XSETBV},
	{"XSETBV, no such register", &xsetbv_, ICPT(EXIT_XSETBV), NEW, EXITS + EXIT_XSETBV},
	{"XSETBV with OSXSAVE 0", &xsetbv_, ICPT(EXIT_XSETBV), NEW | NO_OSXSAVE, 6},
	{"INVPCID, no such type", &invpcid_type, ICPT(EXIT_INVPCID), NEW, EXITS + EXIT_INVPCID},
	{"INVPCID at CPL 3", &invpcid_cpl, ICPT(EXIT_INVPCID), CPL3 | NEW, 13},
	{"MONITOR at CPL 3", &monitor_, ICPT(EXIT_MONITOR), CPL3 | NEW, 6},
	{"MONITOR, ECX not 0", &monitor_ecx, ICPT(EXIT_MONITOR), NEW, 13},
	{"MWAIT at CPL 3", &mwait_, ICPT(EXIT_MWAIT), CPL3 | NEW, 6},
	{REQ("svm.2.7.21") "RDMSR, no such MSR", &rdmsr_none, ICPT(EXIT_MSR), 0, EXITS + EXIT_MSR},
	{REQ("svm.2.7.19") "RDMSR at CPL 3", &rdmsr_efer, ICPT(EXIT_MSR), CPL3, 13},
};

void test_priorities(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		u16 f = rows[n].flags;

		if (of_2005 ? f & NEW : f & OLD)
			continue;
		base(rows[n].s);
		if (f & CPL3)
			user();
		if (f & TSD)
			v->cr4 |= 4;
		if (f & NO_OSXSAVE)
			v->cr4 &= ~(1ull << 18);
		if (f & SHORT_IDT)
			v->idtr.limit = 0x1ff;
		on(rows[n].i);
		u64 code = go();

		vcheck(rows[n].name, "who wins", code,
			rows[n].wins >= EXITS ? rows[n].wins - (u64)EXITS : 0x40 + (u64)rows[n].wins);
		vcheck(rows[n].name, "RIP", v->rip, (u64)rows[n].s->at);
	}
	proves("svm.4.MOVCR.9 svm.4.MOVCR.21 svm.4.MOVCR.22 svm.4.MOVCR.23 svm.4.MOVCR.25 svm.4.MOVCR.27 "
	       "svm.4.MOVCR.28 svm.4.CLGI.7 svm.4.INVLPGA.12");
}
