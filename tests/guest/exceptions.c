/* Every exception class of 64-bit mode: vector, error code, pushed RIP and RF. SDM 3A "Exception and Interrupt
 * Reference". */
#include "t64.h"

#define HOLE 0x4000000000ull /* canonical, not mapped */

static void arithmetic(void)
{
	RAISES("#DE div by zero", EX_DE, 0, AT, "xor %%ecx, %%ecx; mov $1, %%eax; xor %%edx, %%edx", "div %%ecx");
	RAISES("#DE div overflow", EX_DE, 0, AT, "mov $2, %%ecx; mov $2, %%edx; xor %%eax, %%eax", "div %%ecx");
	RAISES("#DE idiv overflow", EX_DE, 0, AT, "mov $-1, %%rcx; mov $1, %%eax; ror $1, %%rax; cqo", "idiv %%rcx");
	RAISES("#DE div8 overflow", EX_DE, 0, AT, "mov $0x100, %%eax; mov $1, %%cl", "div %%cl");
	RUNS("div", "mov $1, %%ecx; mov $2, %%eax; xor %%edx, %%edx", "div %%ecx");
}

static void traps(void)
{
	RAISES("#BP", EX_BP, 0, AFTER, "", "int3");
	RAISES("INT 3", EX_BP, 0, AFTER, "", ".byte 0xcd, 3");
	RAISES("INT 4", EX_OF, 0, AFTER, "", "int $4");
	RAISES("INT 80h", 0x80, 0, AFTER, "", "int $0x80");
	RAISES("ICEBP", EX_DB, 0, AFTER, "", ".byte 0xf1");
	RAISES("INTO in 64-bit mode", EX_UD, 0, AT, "", ".byte 0xce");
	RAISES("BOUND in 64-bit mode", EX_UD, 0, AT, "", ".byte 0x62, 0x00");
}

static void invalid(void)
{
	RAISES("UD2", EX_UD, 0, AT, "", "ud2");
	RAISES("UD1", EX_UD, 0, AT, "", ".byte 0x0f, 0xb9, 0xc0");
	RAISES("UD0", EX_UD, 0, AT, "", ".byte 0x0f, 0xff, 0xc0");
	RAISES("LOCK on a register", EX_UD, 0, AT, "", ".byte 0xf0, 0x01, 0xc0");
	RAISES("LOCK MOV", EX_UD, 0, AT, "lea t_at, %%rax", ".byte 0xf0, 0x89, 0x08");
	RAISES("PUSH ES", EX_UD, 0, AT, "", ".byte 0x06");
	RAISES("AAA", EX_UD, 0, AT, "", ".byte 0x37");
	RAISES("LES", EX_UD, 0, AT, "", ".byte 0xc4, 0x00, 0x00, 0x00, 0x00");
	RAISES("MOV CS", EX_UD, 0, AT, "xor %%eax, %%eax", ".byte 0x8e, 0xc8");
	RAISES("MOV CR1", EX_UD, 0, AT, "", ".byte 0x0f, 0x20, 0xc8");
	RAISES("MOV CR5", EX_UD, 0, AT, "", ".byte 0x0f, 0x20, 0xe8");
	RAISES("far JMP ptr16:32", EX_UD, 0, AT, "", ".byte 0xea, 0, 0, 0, 0, 8, 0");
	RAISES("LEA register", EX_UD, 0, AT, "", ".byte 0x8d, 0xc0");
	RAISES("16-byte instruction", EX_GP, 0, AT, "",
	       ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
	RUNS("15-byte instruction", "",
	     ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
}

static void device_not_available(void)
{
	u64 cr0 = read_cr0();

	write_cr0(cr0 | 8); /* TS */
	RAISES("#NM FLD1 with TS", EX_NM, 0, AT, "", "fld1");
	RAISES("#NM SSE with TS", EX_NM, 0, AT, "", "xorps %%xmm0, %%xmm0");
	RAISES("#NM MOVAPS with TS", EX_NM, 0, AT, "", "movaps %%xmm0, %%xmm1");
	RAISES("#NM MOVUPS with TS, load", EX_NM, 0, AT, "", "movups (%%rsp), %%xmm1");
	RAISES("#NM MOVDQU with TS, store", EX_NM, 0, AT, "lea -64(%%rsp), %%rax", "movdqu %%xmm1, (%%rax)");
	RAISES("#NM before #GP", EX_NM, 0, AT, "lea 1(%%rsp), %%rax", "movaps (%%rax), %%xmm0");
	RAISES("#NM WAIT with TS, MP", EX_NM, 0, AT, "", "fwait");
	write_cr0((cr0 | 8) & ~2ull);
	RUNS("WAIT with TS, no MP", "", "fwait");
	write_cr0(cr0 | 4); /* EM */
	RAISES("#NM FLD1 with EM", EX_NM, 0, AT, "", "fld1");
	RAISES("#UD SSE with EM", EX_UD, 0, AT, "", "xorps %%xmm0, %%xmm0");
	RAISES("#UD MOVD with EM, load", EX_UD, 0, AT, "", "movd (%%rsp), %%xmm1");
	RUNS("WAIT with EM", "", "fwait");
	write_cr0(cr0);
	RUNS("CLTS leaves TS clear", "clts", "fld1; fstp %%st(0)");
	u64 cr4 = read_cr4();

	write_cr4(cr4 & ~0x200ull); /* OSFXSR */
	RAISES("#UD SSE without OSFXSR", EX_UD, 0, AT, "", "xorps %%xmm0, %%xmm0");
	RAISES("#UD MOVQ without OSFXSR, load", EX_UD, 0, AT, "", "movq (%%rsp), %%xmm1");
	write_cr4(cr4);
}

const u64 not_canonical = 0x8000000000000000ull;

static void segments(void)
{
	t_gdt[FREE_SEL / 8] = descriptor(0, 0xfffff, 0x13, 0xc);     /* data, not present */
	t_gdt[FREE_SEL / 8 + 1] = descriptor(0, 0xfffff, 0x99, 0xc); /* execute-only code */
	t_gdt[FREE_SEL / 8 + 2] = descriptor(0, 0xfffff, 0x91, 0xc); /* read-only data */
	RAISES("#NP DS", EX_NP, 0x60, AT, "mov $0x60, %%eax", "mov %%eax, %%ds");
	RAISES("#SS SS not present", EX_SS, 0x60, AT, "mov $0x60, %%eax", "mov %%eax, %%ss");
	RAISES("#GP DS execute-only", EX_GP, 0x68, AT, "mov $0x68, %%eax", "mov %%eax, %%ds");
	RAISES("#GP SS read-only", EX_GP, 0x70, AT, "mov $0x70, %%eax", "mov %%eax, %%ss");
	RAISES("#GP SS RPL", EX_GP, 0x10, AT, "mov $0x11, %%eax", "mov %%eax, %%ss");
	RAISES("#GP beyond the GDT", EX_GP, 0x200, AT, "mov $0x200, %%eax", "mov %%eax, %%ds");
	RAISES("#GP LDT null", EX_GP, 0xc, AT, "mov $0xc, %%eax", "mov %%eax, %%ds");
	RAISES("#GP LLDT of data", EX_GP, 0x10, AT, "mov $0x10, %%eax", "lldt %%ax");
	RAISES("#GP LTR busy", EX_GP, 0x28, AT, "mov $0x28, %%eax", "ltr %%ax");
	RAISES("#GP LTR null", EX_GP, 0, AT, "xor %%eax, %%eax", "ltr %%ax");
	RUNS("null DS", "xor %%eax, %%eax", "mov %%eax, %%ds");
	RUNS("null SS at CPL 0", "xor %%eax, %%eax", "mov %%eax, %%ss");
	asm volatile("mov %0, %%ss" ::"r"(KDATA));
	t_gdt[FREE_SEL / 8 + 3] = descriptor(0, 0xffff, 0x02, 0); /* LDT, not present */
	RAISES("#NP LLDT", EX_NP, 0x78, AT, "mov $0x78, %%eax", "lldt %%ax");
	t_gdt[FREE_SEL / 8] = descriptor(0, 0xfffff, 0x1b, 0xa); /* 64-bit code, not present */
	RAISES("#NP far JMP", EX_NP, 0x60, AT, "sub $16, %%rsp; movl $0, (%%rsp); movl $0x60, 4(%%rsp)",
	       "ljmp *(%%rsp)");
	RAISES("#GP far JMP to data", EX_GP, 0x10, AT, "sub $16, %%rsp; movl $0, (%%rsp); movl $0x10, 4(%%rsp)",
	       "ljmp *(%%rsp)");
	RAISES("#GP far JMP null", EX_GP, 0, AT, "sub $16, %%rsp; movl $0, (%%rsp); movl $0, 4(%%rsp)",
	       "ljmp *(%%rsp)");
}

static void addresses(void)
{
	RAISES("#GP non-canonical load", EX_GP, 0, AT, "mov not_canonical, %%rax", "mov (%%rax), %%ecx");
	RAISES("#GP non-canonical store", EX_GP, 0, AT, "mov not_canonical, %%rax", "mov %%ecx, (%%rax)");
	RAISES("#SS non-canonical RBP", EX_SS, 0, AT, "mov not_canonical, %%rax; mov %%rax, %%rbp",
	       "mov (%%rbp), %%ecx");
	RAISES("#SS non-canonical push", EX_SS, 0, AT, "mov not_canonical, %%rax; mov %%rax, %%rsp", "push %%rax");
	RAISES("#GP non-canonical jump", EX_GP, 0, AT, "mov not_canonical, %%rax", "jmp *%%rax");
	RAISES("#GP FS non-canonical", EX_GP, 0, AT, "mov not_canonical, %%rbp", "mov %%fs:(%%rbp), %%ecx");
	RAISES("#GP MOVAPS misaligned, store", EX_GP, 0, AT, "lea -63(%%rsp), %%rax", "movaps %%xmm0, (%%rax)");
	RAISES("#GP MOVAPS misaligned", EX_GP, 0, AT, "lea 1(%%rsp), %%rax", "movaps (%%rax), %%xmm0");
	RAISES("#GP CMPXCHG16B misaligned", EX_GP, 0, AT, "lea t_stack3 + 8, %%rsi", "cmpxchg16b (%%rsi)");
	RAISES("#PF read", EX_PF, 0, AT, "mov $0x4000000123, %%rax", "mov (%%rax), %%cl");
	check("#PF CR2", last_fault.cr2, HOLE + 0x123);
	RAISES("#PF write", EX_PF, 2, AT, "mov $0x4000000456, %%rax", "mov %%cl, (%%rax)");
	check("#PF write CR2", last_fault.cr2, HOLE + 0x456);
	RAISES("#PF fetch", EX_PF, 0x10, NONE, "mov $0x4000000000, %%rax", "jmp *%%rax");
	check("#PF fetch RIP", last_fault.rip, HOLE);
	check("#PF fetch CR2", last_fault.cr2, HOLE);
	RAISES("#PF RMW is a write", EX_PF, 2, AT, "mov $0x4000000000, %%rax", "incl (%%rax)");
	RAISES("#PF LOCK CMPXCHG is a write", EX_PF, 2, AT, "mov $0x4000000000, %%rbx", "lock cmpxchg %%ecx, (%%rbx)");
}

static void privileged_values(void)
{
	RAISES("#GP RDMSR", EX_GP, 0, AT, "mov $0x12345, %%ecx", "rdmsr");
	RAISES("#GP WRMSR", EX_GP, 0, AT, "mov $0x12345, %%ecx", "wrmsr");
	RAISES("#GP WRMSR EFER reserved", EX_GP, 0, AT, "mov $0xc0000080, %%ecx; rdmsr; or $2, %%eax", "wrmsr");
	RAISES("#GP WRMSR FS base", EX_GP, 0, AT, "mov $0xc0000100, %%ecx; mov $0x80000000, %%edx", "wrmsr");
	RAISES("#GP CR0 PG without PE", EX_GP, 0, AT, "mov %%cr0, %%rax; and $~1, %%rax", "mov %%rax, %%cr0");
	RAISES("#GP CR0 NW without CD", EX_GP, 0, AT, "mov %%cr0, %%rax; or $0x20000000, %%eax", "mov %%rax, %%cr0");
	RAISES("#GP CR0 high half", EX_GP, 0, AT, "mov %%cr0, %%rax; bts $32, %%rax", "mov %%rax, %%cr0");
	RAISES("#GP CR0 PG off in 64-bit mode", EX_GP, 0, AT, "mov %%cr0, %%rax; btr $31, %%rax", "mov %%rax, %%cr0");
	RAISES("#GP CR4 reserved", EX_GP, 0, AT, "mov %%cr4, %%rax; bts $31, %%rax", "mov %%rax, %%cr4");
	RAISES("#GP CR4 PAE off in long mode", EX_GP, 0, AT, "mov %%cr4, %%rax; btr $5, %%rax", "mov %%rax, %%cr4");
	RAISES("#GP CR3 beyond MAXPHYADDR", EX_GP, 0, AT, "mov %%cr3, %%rax; bts $60, %%rax", "mov %%rax, %%cr3");
	RAISES("#GP CR8 reserved", EX_GP, 0, AT, "mov $0x10, %%eax", "mov %%rax, %%cr8");
	RAISES("#GP DR7 high half", EX_GP, 0, AT, "mov $1, %%eax; shl $32, %%rax", "mov %%rax, %%dr7");
	RAISES("#GP DR6 high half", EX_GP, 0, AT, "mov $1, %%eax; shl $32, %%rax", "mov %%rax, %%dr6");
	RAISES("#UD DR4 with DE", EX_UD, 0, AT, "mov %%cr4, %%rax; or $8, %%rax; mov %%rax, %%cr4",
	       ".byte 0x0f, 0x21, 0xe0");
	write_cr4(read_cr4() & ~8ull);
	RUNS("DR4 is DR6 without DE", "", ".byte 0x0f, 0x21, 0xe0");
}

static void floating_point(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	write_cr0(cr0 | 0x20); /* NE */
	RAISES("#MF at the next instruction", EX_MF, 0, AT,
	       "fninit; pushq $0x37b; fldcw (%%rsp); fld1; fldz; fdivrp; pop %%rax", "fwait");
	RAISES("#MF at FLD1", EX_MF, 0, AT, "", "fld1");
	RUNS("FNSTSW does not wait", "", "fnstsw %%ax");
	RUNS("FNCLEX clears", "fnclex", "fld1");
	asm volatile("fninit");
	write_cr0(cr0);
	RAISES("#XM", EX_XM, 0, AT,
	       "pushq $0x1d80; ldmxcsr (%%rsp); pop %%rax; mov $1, %%eax; cvtsi2ss %%eax, %%xmm0; xorps %%xmm1, %%xmm1",
	       "divss %%xmm1, %%xmm0");
	write_cr4(cr4 & ~0x400ull);
	RAISES("#UD for #XM without OSXMMEXCPT", EX_UD, 0, AT, "", "divss %%xmm1, %%xmm0");
	write_cr4(cr4);
	RAISES("#GP LDMXCSR reserved", EX_GP, 0, AT, "movl $0x80000000, -64(%%rsp)", "ldmxcsr -64(%%rsp)");
	RUNS("MXCSR default", "pushq $0x1f80; ldmxcsr (%%rsp); pop %%rax", "nop");
}

/* IST 1 for vectors whose delivery must not depend on the current stack. */
static void double_faults(void)
{
	struct idt_gate ud = idt[EX_UD], de = idt[EX_DE], gp = idt[EX_GP], pf = idt[EX_PF];

	*(u64 *)(tss + 0x24) = (u64)(t_stack3 + sizeof(t_stack3));
	idt[EX_UD].lo &= ~(1ull << 47);
	RAISES("#NP for a gate not present", EX_NP, EX_UD * 8 + 2 + ext_inside(), NONE, "", "ud2");
	check("its RIP", last_fault.rip, t_at);
	RAISES("#NP INT n", EX_NP, EX_UD * 8 + 2, AT, "", "int $6");
	idt[EX_DE].lo &= ~(1ull << 47);
	RAISES("#DF: #DE, #NP", EX_DF, 0, NONE, "xor %%ecx, %%ecx", "div %%ecx");
	idt[EX_PF].lo &= ~(1ull << 47);
	RAISES("#DF: #PF, #NP", EX_DF, 0, NONE, "mov $0x4000000000, %%rax", "mov (%%rax), %%eax");
	idt[EX_PF] = pf;
	/* A contributory exception, then a page fault: served one after the other. */
	*(u64 *)(tss + 0x2c) = HOLE + 0x1000;
	set_gate(EX_GP, exception_stubs[EX_GP], 14, 0, 2);
	RAISES("#GP, #PF in series", EX_PF, 2, NONE, "mov $0x12345, %%ecx", "rdmsr");
	check("#GP, #PF RIP", last_fault.rip, t_at);
	idt[EX_GP] = gp;
	set_gate(EX_PF, exception_stubs[EX_PF], 14, 0, 2);
	RAISES("#DF: #PF, #PF", EX_DF, 0, NONE, "mov $0x4000000000, %%rax", "mov (%%rax), %%eax");
	idt[EX_PF] = pf;
	idt[EX_UD] = ud;
	idt[EX_UD].lo = (ud.lo & ~(0x1full << 40)) | 0xcull << 40; /* a call gate is no gate of the IDT */
	RAISES("#GP gate type", EX_GP, EX_UD * 8 + 2 + ext_inside(), NONE, "", "ud2");
	idt[EX_UD].lo = (ud.lo & ~0xffff0000ull) | (u64)KDATA << 16;
	RAISES("#GP gate to data", EX_GP, KDATA + ext_inside(), NONE, "", "ud2");
	idt[EX_UD].lo = (ud.lo & ~0xffff0000ull) | (u64)KCODE32 << 16;
	RAISES("#GP gate to 32-bit code", EX_GP, KCODE32 + ext_inside(), NONE, "", "ud2");
	idt[EX_UD].lo = (ud.lo & ~0xffff0000ull);
	RAISES("#GP gate null", EX_GP, ext_inside(), NONE, "", "ud2");
	idt[EX_UD] = ud;
	idt[EX_DE] = de;
}

static void idt_limit(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) small = {32 * 16 - 1, (u64)idt}, full = {sizeof(idt) - 1, (u64)idt};

	asm volatile("lidt %0" ::"m"(small));
	RAISES("#GP INT n beyond the IDT", EX_GP, 0x80 * 8 + 2, AT, "", "int $0x80");
	asm volatile("lidt %0" ::"m"(full));
	RAISES("INT n inside", 0x80, 0, AFTER, "", "int $0x80");
}

asm("u_cli: cli\n u_hlt: hlt\n u_in: in $0x80, %al\n u_int: int $0x21\n u_int3: int3\n"
    "u_align: mov t_stack3 + 1, %eax; int $0x80\n u_align_ok: mov t_stack3 + 4, %eax; int $0x80\n"
    "u_align_push: lea t_stack3 + 129, %rsp; push %rax; int $0x80\n u_cr: mov %cr0, %rax\n u_wbinvd: wbinvd\n"
    "u_rdmsr: rdmsr\n u_ss0: xor %eax, %eax; mov %eax, %ss; int $0x80\n u_ds: mov $0x10, %eax; u_ds_at: mov %eax, %ds\n"
    "u_popf: pushq $0x3202; popf; pushf; pop %rax; int $0x80\n u_iret: iretq; u_sysret: sysretq; u_lgdt: lgdt 0; "
    "u_clts: clts;"
    "u_invlpg: invlpg 0; u_ltr: ltr %ax; u_swapgs: swapgs; u_dr: mov %dr7, %rax; u_swint: int $0x21\n");
extern char u_cli[], u_hlt[], u_in[], u_int[], u_int3[], u_align[], u_align_ok[], u_align_push[], u_cr[], u_wbinvd[],
        u_rdmsr[];
extern char u_ss0[], u_ds[], u_ds_at[], u_popf[], u_lgdt[], u_clts[], u_invlpg[], u_ltr[], u_swapgs[], u_dr[],
        u_sysret[];

static void in_user(const char *name, char *code, u64 flags, int vector, u64 error, long rip)
{
	user((void (*)(void))code, flags);
	check(name, last_fault.vector, vector);
	check(name, last_fault.error, error);
	if (rip >= 0)
		check(name, last_fault.rip, (u64)code + (u64)rip);
	check(name, last_regs.cs, UCODE);
	check(name, last_regs.ss, UDATA);
}

static void user_mode(void)
{
	char *gp0[] = {u_cli,  u_hlt,    u_in,  u_cr,     u_wbinvd, u_rdmsr, u_lgdt,
	               u_clts, u_invlpg, u_ltr, u_swapgs, u_dr,     u_sysret};
	u64 cr0 = read_cr0();

	put_msr_bit(0xc0000080, 0, true); /* SCE: SYSRET exists */
	for (unsigned k = 0; k < sizeof(gp0) / sizeof(gp0[0]); k++)
		in_user("#GP at CPL 3", gp0[k], 0, EX_GP, 0, 0);
	in_user("#GP INT n at CPL 3", u_int, 0, EX_GP, 0x21 * 8 + 2, 0);
	in_user("INT3 at CPL 3", u_int3, 0, EX_BP, 0, 1);
	in_user("#GP null SS at CPL 3", u_ss0, 0, EX_GP, 0, 2);
	in_user("#GP DS of ring 0", u_ds, 0, EX_GP, 0x10, u_ds_at - u_ds);
	in_user("POPF at CPL 3", u_popf, 0, 0x80, 0, -1);
	check("POPF leaves IOPL and IF", last_regs.rax, 2);
	in_user("no #AC without AM", u_align, FL_AC, 0x80, 0, -1);
	write_cr0(cr0 | 0x40000);
	in_user("#AC", u_align, FL_AC, EX_AC, 0, 0);
	in_user("#AC push", u_align_push, FL_AC, EX_AC, 0, 8);
	in_user("aligned", u_align_ok, FL_AC, 0x80, 0, -1);
	in_user("no #AC without AC", u_align, 0, 0x80, 0, -1);
	RUNS("no #AC at CPL 0", "pushq $0x40002; popf", "mov t_stack3 + 1, %%eax");
	write_cr0(cr0);
}

/* "#TS": the IST entry lies beyond the TSS limit. */
static void tss_limit(void)
{
	u64 saved = t_gdt[0x28 / 8];

	t_gdt[0x28 / 8] = (saved & ~0xffffull & ~(2ull << 40)) | 0x1f;
	asm volatile("ltr %w0" ::"r"(0x28));
	set_gate(0x81, exception_stubs[0x81], 14, 0, 1);
	RAISES("#TS IST beyond the limit", EX_TS, 0x28, AT, "", "int $0x81");
	t_gdt[0x28 / 8] = saved & ~(2ull << 40);
	asm volatile("ltr %w0" ::"r"(0x28));
}

int main(void)
{
	t_setup();
	arithmetic();
	traps();
	invalid();
	device_not_available();
	segments();
	addresses();
	privileged_values();
	floating_point();
	double_faults();
	idt_limit();
	user_mode();
	tss_limit();
	return guest_verdict();
}
