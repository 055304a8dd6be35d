/*
 * The VMX instructions in 32-bit protected mode, in virtual-8086 and in real-address mode: segmentation and paging of their
 * operands, 32-bit operand sizes, privilege. "VMX Instruction Reference".
 */
#include "../../guest/t32.h"

enum { LIMITED = FREE_SEL, EXEC_ONLY = FREE_SEL + 8, READ_ONLY = FREE_SEL + 16, SHORT_CODE = FREE_SEL + 24,
       SHORT_DATA = FREE_SEL + 32, FLAT16 = FREE_SEL + 40, BIG16 = FREE_SEL + 48, CODE64 = FREE_SEL + 56,
       SS_TASK = FREE_SEL + 64 };
#define OUTSIDE_LIMIT 0x30000000u /* the short segments end at 512 MiB */
#define NOT_MAPPED    0xc0000000u
#define SIX	      0x8d5u
#define VMXE	      0x2000u
#define DONE	      0x80
enum { NONE, ES_ = 0x26, CS_ = 0x2e, SS_ = 0x36, DS_ = 0x3e, FS_ = 0x64, GS_ = 0x65 };

static u32 pd[1024] __attribute__((aligned(4096)));
static u32 pt[1024] __attribute__((aligned(4096)));
static u64 slot __attribute__((aligned(4096)));
static u64 region_at, vmxon_at;
static u8 *page;
static u32 at;

static const struct insn {
	const char *name;
	bool writes, root; /* root: it runs in VMX operation, else outside */
	u8 code[4], length; /* of the (%ebx) form */
} insns[] = {
	{"VMCLEAR", false, true, {0x66, 0x0f, 0xc7, 0x33}, 4}, {"VMPTRLD", false, true, {0x0f, 0xc7, 0x33}, 3},
	{"VMPTRST", true, true, {0x0f, 0xc7, 0x3b}, 3},	       {"VMREAD", true, true, {0x0f, 0x78, 0x0b}, 3},
	{"VMWRITE", false, true, {0x0f, 0x79, 0x0b}, 3},       {"VMXON", false, false, {0xf3, 0x0f, 0xc7, 0x33}, 4},
};
#define COUNT (sizeof(insns) / sizeof(insns[0]))

static u32 *fresh(void)
{
	u32 *p = page_alloc();

	p[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	return p;
}

static void enter(void)
{
	asm volatile("vmxon %0" ::"m"(vmxon_at) : "cc", "memory");
	asm volatile("vmclear %0; vmptrld %0" ::"m"(region_at) : "cc", "memory");
}

static void leave(void)
{
	asm volatile("vmxoff" ::: "cc");
}

static u8 *imm(u8 *p, u8 opcode, u32 v)
{
	*p++ = opcode;
	memcpy(p, &v, 4);
	return p + 4;
}

struct where {
	u16 cs;	       /* to run in; 0: KCODE */
	u8 override;
	u16 selector;  /* for the register of the override, if it is not CS or SS; 0xffff: leave it */
	u32 ebx, ebp;
};

static u8 *put_selector(u8 *p, u8 override, u16 sel)
{
	static const struct {
		u8 prefix, bytes[2];
	} moves[] = {{ES_, {0x8e, 0xc0}}, {DS_, {0x8e, 0xd8}}, {FS_, {0x8e, 0xe0}}, {GS_, {0x8e, 0xe8}}, {SS_, {0x8e, 0xd0}}};

	p = imm(p, 0xb8, sel);
	for (unsigned n = 0; n < 5; n++)
		if (moves[n].prefix == override) {
			*p++ = moves[n].bytes[0];
			*p++ = moves[n].bytes[1];
		}
	return p;
}

static int run(const struct insn *i, const struct where *w)
{
	u8 *p = page;

	p = imm(p, 0xbb, w->ebx);
	p = imm(p, 0xbd, w->ebp);
	p = imm(p, 0xb9, 0x681e); /* ECX: an encoding */
	if (w->selector != 0xffff)
		p = put_selector(p, w->override, w->selector);
	p = imm(p, 0x68, SIX | 2);
	*p++ = 0x9d; /* POPFD */
	at = (u32)p;
	if (w->override)
		*p++ = w->override;
	memcpy(p, i->code, i->length);
	p[i->length] = 0xcd;
	p[i->length + 1] = 0x80;
	slot = (u32)fresh();
	return CATCH(iret_to((u32)page, w->cs ? w->cs : KCODE, 2, stack0_top(), KDATA));
}

static void expect(const struct insn *i, const char *what, u32 got, u32 want)
{
	if (got != want) {
		print(i->name);
		print(" ");
	}
	check(what, got, want);
}

static void faults(const struct insn *i, const char *what, int vector, u32 error, struct where w)
{
	expect(i, what, (u32)run(i, &w), (u32)vector);
	expect(i, what, last.error, error);
	expect(i, "RIP", last.eip, at);
	expect(i, "flags", last.eflags & SIX, SIX);
}

static void works(const struct insn *i, const char *what, struct where w)
{
	expect(i, what, (u32)run(i, &w), DONE);
	expect(i, what, last.eflags & SIX, 0);
	if (!i->root)
		leave();
}

/* The addressing of a VMX operand is that of any data access. */
static void segmentation(const struct insn *i)
{
	static const u8 data[] = {DS_, ES_, FS_, GS_};
	const u32 here = (u32)&slot;

	works(i, "plain", (struct where){0, NONE, 0xffff, here, here});
	faults(i, "beyond the limit of CS", EX_GP, 0, (struct where){SHORT_CODE, CS_, 0xffff, OUTSIDE_LIMIT, here});
	for (unsigned n = 0; n < 4; n++) {
		works(i, "override", (struct where){0, data[n], LIMITED, 0x10, here});
		faults(i, "beyond the limit", EX_GP, 0, (struct where){0, data[n], LIMITED, 0x100, here});
		faults(i, "the last byte beyond the limit", EX_GP, 0, (struct where){0, data[n], LIMITED, i->code[1] == 0xc7 || i->code[2] == 0xc7 ? 0xf9u : 0xfdu, here});
		faults(i, "null selector", EX_GP, 0, (struct where){0, data[n], 0, here, here});
		if (i->writes) {
			faults(i, "read-only segment", EX_GP, 0, (struct where){0, data[n], READ_ONLY, here, here});
			faults(i, "code segment", EX_GP, 0, (struct where){0, data[n], KCODE, here, here});
		}
	}
	if (i->writes)
		faults(i, "through CS", EX_GP, 0, (struct where){0, CS_, 0xffff, here, here});
	faults(i, "execute-only segment", EX_GP, 0, (struct where){EXEC_ONLY, CS_, 0xffff, here, here});
	faults(i, "beyond the limit of SS", EX_SS, 0, (struct where){0, SS_, SHORT_DATA, OUTSIDE_LIMIT, here});
	faults(i, "page fault", EX_PF, i->writes ? 2 : 0, (struct where){0, NONE, 0xffff, NOT_MAPPED, here});
	expect(i, "CR2", last_cr2, NOT_MAPPED);
}

/* The operand of the four is 64 bits in this mode too: its second half lies on a page that is not there. */
static void width(void)
{
	for (unsigned n = 0; n < COUNT; n++) {
		const struct insn *i = &insns[n];
		bool wide = i->code[1] == 0xc7 || i->code[2] == 0xc7;

		if (!i->root)
			leave();
		if (wide) {
			faults(i, REQ("vmx04.4.9") "8 bytes", EX_PF, i->writes ? 2 : 0, (struct where){0, NONE, 0xffff, NOT_MAPPED + 0x1ffc, 0});
			expect(i, "CR2", last_cr2, NOT_MAPPED + 0x2000);
		}
		if (!i->root)
			enter();
	}
}

static u64 vmread64(u32 field)
{
	u32 lo, hi;

	asm volatile("vmread %1, %0" : "=r"(lo) : "r"(field) : "cc");
	asm volatile("vmread %1, %0" : "=r"(hi) : "r"(field | 1) : "cc");
	return lo | (u64)hi << 32;
}

static void vmwrite(u32 field, u32 v)
{
	asm volatile("vmwrite %1, %0" ::"r"(field), "r"(v) : "cc");
}

static void sizes(void)
{
	u32 m[3] = {~0u, ~0u, ~0u}, v;
	u64 ptr[3] = {1, 2, 3};
	static const u32 wide[2] = {0x55667788, 0x99aabbcc};

	vmwrite(0x2010, 0x11111111);
	vmwrite(0x2011, 0x22222222);
	check(REQ("vmx04.VMWRITE.16.now") "high access", vmread64(0x2010) >> 32, 0x22222222);
	vmwrite(0x2010, 0x33333333);
	check(REQ("vmx04.VMWRITE.12") "VMWRITE of a longer field: the high half is 0", vmread64(0x2010) >> 32, 0);
	check(REQ("vmx04.VMWRITE.2") "and the low half", vmread64(0x2010), 0x33333333);
	vmwrite(0x2011, 0x44444444);
	asm volatile("vmread %1, %0" : "=r"(v) : "r"(0x2010) : "cc");
	check(REQ("vmx04.VMREAD.13 vmx04.VMREAD.3") "VMREAD of a longer field: low 32 bits", v, 0x33333333);
	asm volatile("vmread %1, %0" : "=m"(m[1]) : "r"(0x2010) : "cc", "memory");
	check(REQ("vmx04.VMREAD.15 vmx04.VMREAD.3") "VMREAD to memory: 4 bytes", m[1] == 0x33333333 && m[0] == ~0u && m[2] == ~0u, 1);
	asm volatile("vmwrite %1, %0" ::"r"(0x2010), "m"(wide[0]) : "cc");
	check(REQ("vmx04.VMWRITE.2") "VMWRITE from memory: 4 bytes", vmread64(0x2010) == 0x55667788, 1);
	asm volatile("vmptrst %0" : "+m"(ptr[1])::"cc", "memory");
	check(REQ("vmx04.4.9") "VMPTRST: 8 bytes", ptr[1] == region_at && ptr[0] == 1 && ptr[2] == 3, 1);
}

/* A 16-bit code segment: the operands are 32 bits wide all the same. */
static void sixteen(void)
{
	u8 *p = page;

	p = imm(p, 0xb9, 0x6804); /* guest CR4 */
	p = imm(p, 0xba, 0x5555aaaa);
	p = imm(p, 0xea, (u32)p + 7);
	*p++ = BIG16 & 0xff;
	*p++ = BIG16 >> 8;
	memcpy(p, (u8[]){0x0f, 0x78, 0xca, 0xcd, 0x80}, 5);
	vmwrite(0x6804, 0x87654321);
	check("VMREAD in 16-bit code", CATCH(((void (*)(void))page)()), DONE);
	check(REQ("vmx04.VMREAD.4") "EDX: 32 bits", last.edx, 0x87654321);
}

/* ---- all of them, without operands that matter ---- */

static const struct all {
	const char *name;
	u8 code[5], length;
} all[] = {
	{"VMCLEAR", {0x66, 0x0f, 0xc7, 0x33}, 4}, {"VMPTRLD", {0x0f, 0xc7, 0x33}, 3}, {"VMPTRST", {0x0f, 0xc7, 0x3b}, 3},
	{"VMREAD", {0x0f, 0x78, 0x0b}, 3},	  {"VMWRITE", {0x0f, 0x79, 0x0b}, 3}, {"VMLAUNCH", {0x0f, 0x01, 0xc2}, 3},
	{"VMRESUME", {0x0f, 0x01, 0xc3}, 3},	  {"VMXOFF", {0x0f, 0x01, 0xc4}, 3},  {"VMCALL", {0x0f, 0x01, 0xc1}, 3},
	{"INVEPT", {0x66, 0x0f, 0x38, 0x80, 0x0b}, 5}, {"INVVPID", {0x66, 0x0f, 0x38, 0x81, 0x0b}, 5},
	{"VMXON", {0xf3, 0x0f, 0xc7, 0x33}, 4},
};
#define ALL (sizeof(all) / sizeof(all[0]))
#define VMCALL 8 /* this one and the next two are not in root operation of 2004 */

static void named(const struct all *a, const char *what, u32 got, u32 want)
{
	if (got != want) {
		print(a->name);
		print(" ");
	}
	check(what, got, want);
}

static int at_level(const struct all *a, u16 cs, u16 ss)
{
	u8 *p = imm(page, 0xbb, (u32)&slot);

	p = imm(p, 0xb9, 0x681e);
	memcpy(p, a->code, a->length);
	p[a->length] = 0xcd;
	p[a->length + 1] = 0x80;
	slot = (u32)fresh();
	return CATCH((set_data(UDATA), iret_to((u32)page, cs, SIX | 2, cs & 3 ? stack3_top() : stack0_top(), ss)));
}

/* The processor of 2004 has no VM-instruction error. With a current VMCS. */
static bool of_2004(void)
{
	u8 fails;

	asm volatile("vmread %1, %%eax; setz %0" : "=q"(fails) : "r"(0x4400) : "eax", "cc");
	return fails;
}

/* and the pages of the others */
static void protected_mode(void)
{
	bool first;

	for (unsigned n = 0; n < ALL - 1; n++) { /* without VMXON */
		named(&all[n], "outside VMX operation", (u32)at_level(&all[n], KCODE, KDATA), EX_UD);
		named(&all[n], "outside VMX operation, CPL 3", (u32)at_level(&all[n], UCODE, UDATA), EX_UD);
	}
	named(&all[ALL - 1], REQ("vmx04.VMXON.7") "outside VMX operation, CPL 3", (u32)at_level(&all[ALL - 1], UCODE, UDATA), EX_GP);
	enter();
	first = of_2004();
	if (first) {
		named(&all[VMCALL], REQ("vmx04.VMCALL.10") "root operation, 2004", (u32)at_level(&all[VMCALL], KCODE, KDATA), EX_UD);
		named(&all[VMCALL], REQ("vmx04.VMCALL.10") "root operation at CPL 3, 2004", (u32)at_level(&all[VMCALL], UCODE, UDATA), EX_UD);
	}
	for (unsigned n = 0; n < ALL; n++) {
		named(&all[n], "CPL 3", (u32)at_level(&all[n], UCODE, UDATA), first && n >= VMCALL && n < ALL - 1 ? EX_UD : EX_GP);
		named(&all[n], "error", last.error, 0);
		named(&all[n], "flags", last.eflags & SIX, SIX);
	}
	leave();
	proves("vmx04.VMCALL.10.now vmcall.28 vmcall.29");
}

static int v86(const struct all *a)
{
	u8 *code = (u8 *)0x9000;

	asm("" : "+r"(code));
	memcpy(code, a->code, a->length);
	code[a->length] = 0xcd;
	code[a->length + 1] = 0x80;
	return CATCH(asm volatile("push %4; push %4; push %4; push %4; push %3; push %2; push %1; push %0; pushl $0; iret" ::"i"(0x900),
				  "r"(0x23002), "i"(0xfff0), "i"(0x800), "i"(0x700)
				  : "memory"));
}

/* RFLAGS.VM = 1. */
static void virtual_8086(void)
{
	for (unsigned n = 0; n < ALL; n++)
		named(&all[n], "virtual-8086 mode", (u32)v86(&all[n]), EX_UD);
	enter();
	for (unsigned n = 0; n < ALL; n++)
		named(&all[n], "virtual-8086 mode, root operation", (u32)v86(&all[n]), EX_UD);
	leave();
	proves("vmx04.VMCLEAR.4 vmx04.VMPTRLD.4 vmx04.VMPTRST.5 vmx04.VMREAD.6 vmx04.VMWRITE.4 "
	       "vmx04.VMLAUNCH.3 vmx04.VMXOFF.3 vmcall.7 vmx04.VMXON.5");
}

/* Down to real-address mode at 5800h, the instruction at 5900h, and back. EDX: 6 after #UD, 0 if it ran. */
asm(".pushsection .rodata\n r16: .code16\n"
    " mov $0x38, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %fs; mov %ax, %gs; mov %ax, %ss; mov %cr0, %eax; and "
    "$0x7ffffffe, %eax; mov %eax, %cr0; ljmp $0, $0x5840\n .org r16 + 0x40\n"
    " xor %ax, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov $0x7ff0, %esp; mov $0x6800, %bx; mov $0x681e, %ecx; xor "
    "%edx, %edx; ljmp $0, $0x5900\n .org r16 + 0x80\n"
    " mov $6, %dx\n .org r16 + 0x90, 0x90\n" /* the handler of #UD at 5880h, the way back at 5890h */
    " mov %cr0, %eax; or $0x80000001, %eax; mov %eax, %cr0; ljmpl $8, $r_back\n r16_end: .code32\n .popsection\n"
    "r_enter: pusha; mov %esp, r_sp; lidt r_idt; ljmp $0x30, $0x5800\n"
    "r_back: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; mov %eax, %ss; mov r_sp, %esp; mov "
    "%edx, r_seen; lidt idt_pointer; popa; ret\n"
    ".pushsection .data; r_sp: .long 0; r_seen: .long 0; r_idt: .word 0x3ff; .long 0; .popsection\n");
extern u8 r16[], r16_end[];
extern u32 r_seen;
void r_enter(void);

static void real_mode(void)
{
	u8 *low = (u8 *)0x5800, *code = (u8 *)0x5900, *ivt = (u8 *)4;

	asm("" : "+r"(low), "+r"(code), "+r"(ivt));
	memcpy(low, r16, (u32)(r16_end - r16));
	*(u32 *)(ivt + 20) = 0x5880; /* vector 6 */
	for (unsigned n = 0; n < ALL; n++) {
		memcpy(code, all[n].code, all[n].length);
		memcpy(code + all[n].length, (u8[]){0xea, 0x90, 0x58, 0, 0}, 5);
		r_enter();
		named(&all[n], REQ("vmx04.VMCLEAR.29 vmx04.VMPTRLD.28 vmx04.VMPTRST.25 vmx04.VMREAD.34 vmx04.VMWRITE.32 vmx04.VMLAUNCH.21 vmx04.VMXOFF.16 vmcall.30 vmx04.VMXON.34 vmx04.VMXON.4 vmx04.VMCALL.11 vmx04.VMCALL.11.now vmx04.1.8.1") "real-address mode", r_seen, 6);
	}
}

/* PG: "Restrictions on VMX Operation" */
static void paging(void)
{
	u32 cr0;

	enter();
	cr0 = read_cr0();
	check(REQ("vmx04.1.8.4") "clearing CR0.PG in root operation", (u32)CATCH(write_cr0(cr0 & 0x7fffffff)), EX_GP);
	check("error", last.error, 0);
	check("CR0 unchanged", read_cr0(), cr0);
	check(REQ("vmx04.1.8.2") "clearing CR0.PE in root operation", (u32)CATCH(write_cr0(cr0 & 0x7ffffffe)), EX_GP);
	check("CR0 unchanged", read_cr0(), cr0);
	leave();
	write_cr0(cr0 & 0x7fffffff);
	check(REQ("vmx04.VMXON.9 vmx04.1.8.1") "VMXON with CR0.PG = 0", (u32)CATCH(asm volatile("vmxon (%0)" ::"r"(&vmxon_at))), EX_GP);
	check("error", last.error, 0);
	write_cr0(cr0 & ~0x20u & 0x7fffffff); /* after VMXOFF NE and PG are free */
	check(REQ("vmx04.VMXOFF.7") "CR0.NE and PG are 0", read_cr0() & 0x80000020, 0);
	write_cr0(cr0);
}

/*
 * SS null at CPL 0 in 32-bit protected mode: 64-bit code loads it, and the way back by compatibility mode never loads another.
 * A task takes #SS, for there is no stack; from there back to n_enter's caller.
 */
asm(".pushsection .text; .code32\n"
    "n_enter: pusha; mov %esp, n_sp; mov %cr0, %ebx; mov %cr3, %esi; mov %cr4, %edi\n"
    " mov %ebx, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
    " mov $0x20, %eax; mov %eax, %cr4; mov n_pml4, %eax; mov %eax, %cr3\n"
    " mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr; mov %ebx, %eax; mov %eax, %cr0\n"
    " ljmp *n_to64\n"
    ".code64\n"
    "n_long: xor %eax, %eax; mov %eax, %ss; .byte 0xff, 0x2c, 0x25; .long n_to32\n" /* LJMP *n_to32 */
    ".code32\n"
    "n_compat: mov %ebx, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
    " rdmsr; and $~0x100, %eax; wrmsr; mov %edi, %cr4; mov %esi, %cr3; mov %ebx, %cr0\n"
    " jmp *page\n"
    "n_task: popl n_error; incl n_faults\n"
    "n_leave: clts; andb $~2, gdt + 0x18 + 5; mov $0x18, %eax; ltr %ax; mov $0x10, %eax; mov %eax, %ss; mov n_sp, %esp\n"
    " push $2; popf; popa; ret\n"
    ".popsection\n"
    ".pushsection .data; n_sp: .long 0; n_error: .long 0; n_faults: .long 0; n_pml4: .long 0\n"
    "n_to64: .long n_long; .word 0x80; n_to32: .long n_compat; .word 8; .popsection\n");
_Static_assert(CODE64 == 0x80 && KCODE == 8 && KDATA == 0x10 && TSS_SEL == 0x18, "as above");
extern u32 n_error, n_faults, n_pml4;
extern u8 n_task[], n_leave[];
void n_enter(void);

static struct tss32 ss_tss;

static void task_for_ss(void)
{
	ss_tss.cr3 = (u32)pd;
	ss_tss.eip = (u32)n_task;
	ss_tss.eflags = 2;
	ss_tss.esp = stack3_top();
	ss_tss.cs = KCODE;
	ss_tss.ss = ss_tss.ds = ss_tss.es = ss_tss.fs = ss_tss.gs = KDATA;
	gdt[SS_TASK / 8] = descriptor((u32)&ss_tss, 0x67, 0x89, 0);
	idt[EX_SS] = gate(0, SS_TASK, 5, 0, 0);
}

static u8 *operand_at(u8 *p, const u8 *code, u32 length, u32 where)
{
	memcpy(p, code, length);
	p[length - 1] = (u8)((code[length - 1] & 0x38) | 5); /* disp32 */
	memcpy(p + length, &where, 4);
	return p + length + 4;
}

static void null_ss(void)
{
	u32 *l4 = page_alloc(), *l3 = page_alloc(), *l2 = page_alloc();
	u64 kept = idt[EX_SS];

	l4[0] = (u32)l3 | 7;
	l3[0] = (u32)l2 | 7;
	for (u32 n = 0; n < 512; n++)
		l2[2 * n] = n << 21 | 0x87;
	n_pml4 = (u32)l4;
	gdt[CODE64 / 8] = descriptor(0, 0xfffff, 0x9b, 0xa);
	for (unsigned n = 0; n < COUNT; n++) {
		for (unsigned through_ss = 0; through_ss < 2; through_ss++) {
			const struct insn *i = &insns[n];
			u8 *p = page;

			task_for_ss();
			if (i->root) {
				p = operand_at(p, insns[5].code, 4, (u32)&vmxon_at);
				p = operand_at(p, insns[0].code, 4, (u32)&region_at);
				p = operand_at(p, insns[1].code, 3, (u32)&region_at);
			}
			slot = (u32)fresh();
			p = imm(p, 0xb9, 0x681e);
			p = imm(p, 0xbb, (u32)&slot);
			at = (u32)p;
			*p++ = through_ss ? SS_ : DS_;
			memcpy(p, i->code, i->length);
			p = imm(p + i->length, 0xb8, (u32)n_leave);
			memcpy(p, (u8[]){0xff, 0xe0}, 2); /* JMP EAX */
			n_faults = 0;
			n_error = ~0u;
			n_enter();
			if (i->root || !through_ss)
				leave();
			expect(i, "null SS: #SS", n_faults, through_ss);
			if (!through_ss)
				continue;
			expect(i, "null SS: error", n_error, 0);
			expect(i, "null SS: EIP", main_tss.eip, at);
			expect(i, "null SS: SS", main_tss.ss, 0);
		}
	}
	idt[EX_SS] = kept;
	proves("vmx04.VMCLEAR.25 vmx04.VMPTRLD.24 vmx04.VMPTRST.21 vmx04.VMREAD.30 vmx04.VMWRITE.28 vmx04.VMXON.30");
}

static void setup(void)
{
	gdt[LIMITED / 8] = descriptor((u32)&slot - 0x10, 0xff, 0x93, 4);
	gdt[EXEC_ONLY / 8] = descriptor(0, 0xfffff, 0x99, 0xc);
	gdt[READ_ONLY / 8] = descriptor(0, 0xfffff, 0x91, 0xc);
	gdt[SHORT_CODE / 8] = descriptor(0, 0x1ffff, 0x9b, 0xc);
	gdt[SHORT_DATA / 8] = descriptor(0, 0x1ffff, 0x93, 0xc);
	gdt[BIG16 / 8] = descriptor(0, 0xfffff, 0x9b, 0x8);
	for (u32 n = 0; n < 0x300; n++)
		pd[n] = n << 22 | 0x87; /* 4 MiB, present, writable, user */
	pd[0x301] = (u32)pt | 7;
	pd[0x300] = (u32)pt | 7; /* C0000000h: page 1 alone */
	pt[1] = (u32)page_alloc() | 7;
	write_cr4(read_cr4() | 0x10 | VMXE);
	write_cr3((u32)pd);
	write_cr0(read_cr0() | 0x80000020);
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	page = page_alloc();
	region_at = (u32)fresh();
	vmxon_at = (u32)fresh();
}

int main(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 5))
		return 1;
	setup();
	protected_mode();
	virtual_8086();
	real_mode();
	paging();
	for (unsigned n = 0; n < COUNT; n++) {
		if (insns[n].root)
			enter();
		segmentation(&insns[n]);
		if (insns[n].root)
			leave();
	}
	enter();
	/* each of them has been through segmentation() */
	proves("vmx04.VMCLEAR.17 vmx04.VMCLEAR.20 vmx04.VMCLEAR.21 vmx04.VMCLEAR.22 vmx04.VMCLEAR.23 "
	       "vmx04.VMCLEAR.24 vmx04.VMPTRLD.16 vmx04.VMPTRLD.19 vmx04.VMPTRLD.20 vmx04.VMPTRLD.21 "
	       "vmx04.VMPTRLD.22 vmx04.VMPTRLD.23 vmx04.VMPTRST.12 vmx04.VMPTRST.15 vmx04.VMPTRST.16 "
	       "vmx04.VMPTRST.17 vmx04.VMPTRST.18 vmx04.VMPTRST.19 vmx04.VMPTRST.20 vmx04.VMREAD.21 "
	       "vmx04.VMREAD.24 vmx04.VMREAD.25 vmx04.VMREAD.26 vmx04.VMREAD.27 vmx04.VMREAD.28 vmx04.VMREAD.29 "
	       "vmx04.VMWRITE.20 vmx04.VMWRITE.23 vmx04.VMWRITE.24 vmx04.VMWRITE.25 vmx04.VMWRITE.26 "
	       "vmx04.VMWRITE.27 vmx04.VMXON.21 vmx04.VMXON.25 vmx04.VMXON.26 vmx04.VMXON.27 vmx04.VMXON.28 "
	       "vmx04.VMXON.29");
	width();
	asm volatile("vmptrld %0" ::"m"(region_at) : "cc", "memory");
	sizes();
	sixteen();
	leave();
	null_ss();
	return guest_verdict();
}
