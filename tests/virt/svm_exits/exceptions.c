/* "Exception Intercepts", "Intercepts During IDT Interrupt Delivery", shutdown. */
#include "exits.h"

SNIPPET(x_de, "xor %ecx, %ecx; xor %eax, %eax; xor %edx, %edx", "div %ecx");
SNIPPET(x_bp, "", "int3");
SNIPPET(x_np, "movabs $0x0000130000000000, %rax; mov %rax, gdt+0x38; mov $0x38, %eax", "mov %eax, %ds");
SNIPPET(x_freeze, "fninit; movw $0x37b, scratch; fldcw scratch; fld1; fldz; fdivrp", "fwait");
SNIPPET(x_ud, "", "ud2");
SNIPPET(x_nm, "mov %cr0, %rax; or $8, %rax; mov %rax, %cr0", "fnop");
SNIPPET(x_gp_sel, "mov $0x1234, %eax", "mov %eax, %ds");
SNIPPET(x_gp0, "movabs " BAD_GP ", %rax", "mov (%rax), %bl");
SNIPPET(x_ss, "movabs " BAD_GP ", %rsp", "push %rax");
SNIPPET(x_pf_read, "movabs " BAD_PF ", %rax", "mov 0x123(%rax), %bl");
SNIPPET(x_pf_write, "movabs " BAD_PF ", %rax", "mov %bl, 0x10(%rax)");
SNIPPET(x_mf,
	"mov %cr0, %rax; and $~0xc, %eax; or $0x20, %eax; mov %rax, %cr0; fninit; movw $0x37b, scratch; fldcw scratch; "
	"fld1; fldz; "
	      "fdivrp", "fnop; fwait");
SNIPPET(x_xf, "movl $0x1f00, scratch; ldmxcsr scratch; movl $0x3f800000, %eax; movd %eax, %xmm0; xorps %xmm1, %xmm1; "
	      "andl $~0x3f, scratch; movl $0x1d00, scratch; ldmxcsr scratch", "divss %xmm1, %xmm0");
SNIPPET(x_ac, "pushf; orl $0x40000, (%rsp); popf; lea scratch, %rbx", "mov 1(%rbx), %eax");
SNIPPET(x_db_tf, "pushf; orl $0x100, (%rsp); popf", "nop");
SNIPPET(x_int, "", "int $0x42");
SNIPPET(x_int_3, "", ".byte 0xcd, 3");
SNIPPET(x_icebp, "", ".byte 0xf1");
SNIPPET(x_plain, "", "nop");

enum { SKIP_INFO = 1, TRAP = 2, CPL3 = 4, HAS_NRIP = 8 };
static const struct {
	const char *name;
	const struct snippet *s;
	u8 vector, flags;
	u64 info1, info2;
} rows[] = {
	{REQ("svm.2.8.1.1") "#DE", &x_de, 0, 0, 0, 0},
	{"#DB, single step", &x_db_tf, 1, TRAP, 0, 0},
	{REQ("svm.2.8.4.1") "#BP", &x_bp, 3, HAS_NRIP, 0, 0},	      /* a trap in 2005 */
	{REQ("svm.2.8.7.1") "#UD", &x_ud, 6, 0, 0, 0},
	{REQ("svm.2.8.8.1") "#NM", &x_nm, 7, 0, 0, 0},
	{REQ("svm.2.8.14.1") "#GP, selector", &x_gp_sel, 13, 0, 0x1234, 0},
	{"#GP, address", &x_gp0, 13, 0, 0, 0},
	{REQ("svm.2.8.13.1") "#SS", &x_ss, 12, 0, 0, 0},
	{REQ("svm.2.8.15.1") "#PF, read", &x_pf_read, 14, 0, 0, 0x4000000123},
	{"#PF, write", &x_pf_write, 14, 0, 2, 0x4000000010},
	{REQ("svm.2.8.16.1") "#MF", &x_mf, 16, SKIP_INFO, 0, 0},
	{REQ("svm.2.8.17.1") "#AC", &x_ac, 17, CPL3, 0, 0},
	{REQ("svm.2.8.19.1") "#XF", &x_xf, 19, 0, 0, 0},
};

static void intercepted(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		u64 code;

		base(rows[n].s);
		v->intercept_exc = 1u << rows[n].vector;
		v->cr2 = 0x5555;
		if (rows[n].flags & CPL3) {
			user();
			v->cr0 |= 1 << 18;
		}
		code = go();
		vcheck(rows[n].name, "code", code, 0x40u + rows[n].vector);
		if (code != 0x40u + rows[n].vector)
			continue;
		bool behind = (rows[n].flags & TRAP) || (of_2005 && rows[n].vector == 3);

		if (!(rows[n].flags & SKIP_INFO)) {
			vcheck(rows[n].name, "RIP", v->rip,
				(u64)(behind ? rows[n].s->next : rows[n].s->at));
			vcheck(rows[n].name, "EXITINFO1", v->exitinfo1, rows[n].info1);
		}
		vcheck(rows[n].name, "EXITINFO2", v->exitinfo2, rows[n].info2);
		vcheck(rows[n].name, "EXITINTINFO", v->exitintinfo, 0);
		if (nrips)
			vcheck(rows[n].name, "nRIP", v->nrip, rows[n].flags & HAS_NRIP ? (u64)rows[n].s->next : 0);
		if (rows[n].vector == 14)
			vcheck(rows[n].name, REQ("svm.2.8.15.2") "CR2 unchanged", v->cr2, 0x5555);
		if (rows[n].vector == 1)
			vcheck(rows[n].name, REQ("svm.2.4.0.3") "DR6.BS", v->dr6 >> 14 & 1, 1);
	}
	proves("svm.2.8.0.1 svm.2.8.0.2 svm.2.8.0.3 svm.2.8.15.3 svm.2.8.1.2 svm.2.8.2.2 svm.2.8.2.3 "
	       "svm.2.8.7.2 svm.2.8.8.2");
}

/* The same without the intercept: through the guest's own table. */
static void delivered(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		base(rows[n].s);
		own_idt();
		if ((rows[n].flags & CPL3) || rows[n].vector == 12)
			continue; /* no stack to be delivered on */
		v->intercept_exc = ~(1u << rows[n].vector);
		vcheck(rows[n].name, "off: delivered", go(), EXIT_VMMCALL);
		vcheck(rows[n].name, "off: its handler", v->rip, stub_of(rows[n].vector));
		if (rows[n].vector == 14)
			vcheck(rows[n].name, "off: CR2", v->cr2, rows[n].info2);
	}
	proves("svm.2.21.6.20 svm.2.21.6.21");
}

/* ---- an intercept while an event is being delivered ---- */

#define INFO(type, vector) (0x80000000ull | (type) << 8 | (vector))
static const struct {
	const char *name;
	const struct snippet *s;
	u64 eventinj, intinfo, error; /* error of the #GP that delivery runs into: the IDT is empty */
} vectoring[] = {
	{REQ("svm.2.4.2.8 svm.2.4.2.16") "during #UD", &x_ud, 0, INFO(3, 6), 6 * 8 + 2},
	{"during #GP", &x_gp_sel, 0, 0x123480000b0dull, 0},
	{REQ("svm.2.4.2.12") "during INT3", &x_bp, 0, INFO(3, 3), 3 * 8 + 2},
	{REQ("svm.2.4.2.11") "during ICEBP", &x_icebp, 0, INFO(3, 1), 1 * 8 + 2},
	{REQ("svm.2.4.2.9") "during INTn", &x_int, 0, INFO(4, 0x42), 0x42 * 8 + 2},
	{REQ("svm.2.4.2.14 svm.2.8.4.2") "during INTn of 3", &x_int_3, 0, INFO(4, 3), 3 * 8 + 2},
	{REQ("svm.2.4.2.5") "during an injected interrupt", &x_plain, INFO(0, 0x55), INFO(0, 0x55), 0x55 * 8 + 3},
	{REQ("svm.2.4.2.6 svm.2.4.2.7") "during an injected NMI", &x_plain, INFO(2, 9), INFO(2, 2), 2 * 8 + 3},
	{"during an injected #PF", &x_plain, 0x780000b0eull | 0x80000000, 0x780000b0eull, 0},
	{"during an injected INTn", &x_plain, INFO(4, 0x66), INFO(4, 0x66), 0x66 * 8 + 2},
};

static void during_delivery(void)
{
	for (unsigned n = 0; n < COUNT(vectoring); n++) {
		bool twice = vectoring[n].error == 0; /* a second contributory exception: the raw #GP exits first */
		u64 code;

		base(vectoring[n].s);
		own_idt();
		v->idtr.limit = 0;
		v->intercept_exc = 1 << 13;
		v->eventinj = vectoring[n].eventinj;
		if (twice && !vectoring[n].eventinj)
			continue; /* intercepted itself; see double_fault() */
		v->nrip = v->rip;
		code = go();
		vcheck(vectoring[n].name, REQ("svm.2.4.0.1 svm.2.4.3.1 svm.2.16.6 svm.2.4.3.5 svm.2.8.0.7") "code", code, 0x4d);
		vcheck(vectoring[n].name, REQ("svm.2.4.0.6 svm.2.4.2.2 svm.2.4.2.17 svm.2.4.2.18 svm.2.16.4 svm.2.4.3.4") "EXITINTINFO", v->exitintinfo, vectoring[n].intinfo);
		if (!twice)
			vcheck(vectoring[n].name, REQ("svm.2.4.3.7") "error code", v->exitinfo1, vectoring[n].error);
		vcheck(vectoring[n].name, REQ("svm.2.4.0.2") "RSP untouched", v->rsp, STACK_TOP);
		if (of_2005 && vectoring[n].s == &x_bp)
			continue; /* without nRIP the monitor cannot put it back as it was */
		/* the table is repaired, the event goes in again and is completed */
		v->idtr.limit = sizeof(gidt) - 1;
		v->eventinj = v->exitintinfo;
		vcheck(vectoring[n].name, REQ("svm.2.4.2.26") "again", go(), EXIT_VMMCALL);
		vcheck(vectoring[n].name, "completed", v->rip, stub_of(vectoring[n].intinfo & 0xff));
		vcheck(vectoring[n].name, "EVENTINJ.V cleared", v->eventinj >> 31 & 1, 0);
		vcheck(vectoring[n].name, REQ("svm.2.4.3.6") "EXITINTINFO.V afterwards", v->exitintinfo >> 31 & 1, 0);
	}
}

static void double_fault(void)
{
	struct idt_gate saved13 = gidt[13], saved8 = gidt[8];

	base(&x_gp_sel); /* #GP, then #NP by its gate: combined, the intercept of #DF sees it */
	own_idt();
	gidt[13].lo &= ~(1ull << 47);
	v->intercept_exc = 1 << 8;
	vcheck("#NP during #GP", REQ("svm.2.8.9.1 svm.2.4.3.2 svm.2.8.0.8") "code", go(), EXIT_DF);
	vcheck("#NP during #GP", "EXITINFO1", v->exitinfo1, 0);
	vcheck("#NP during #GP", "RIP", v->rip, (u64)x_gp_sel.at);

	base(&x_gp_sel); /* the raw #NP before it combines */
	own_idt();
	v->intercept_exc = 1 << 11;
	vcheck("#NP during #GP, raw", REQ("svm.2.8.12.1") "code", go(), EXIT_NP);
	vcheck("#NP during #GP, raw", "EXITINFO1", v->exitinfo1, 13 * 8 + 2);
	vcheck("#NP during #GP, raw", REQ("svm.2.4.2.15 svm.2.4.2.21") "EXITINTINFO", v->exitintinfo, 0x123480000b0dull);

	/* and a #PF, intercepted, while the #DF is delivered */
	base(&x_gp_sel);
	own_idt();
	v->rsp = 0x4000000000;
	v->intercept_exc = 1 << 14;
	vcheck("#PF during #DF", REQ("svm.2.4.2.23 svm.2.4.2.24 svm.2.4.2.25") "code", go(), EXIT_PF);
	vcheck("#PF during #DF", "EXITINTINFO", v->exitintinfo, 0x80000b08);
	vcheck("#PF during #DF", "EXITINFO2", v->exitinfo2 >> 12, 0x3ffffff);

	base(&x_gp_sel); /* not intercepted: shutdown */
	own_idt();
	v->rsp = 0x4000000000;
	vcheck("triple fault", REQ("svm.2.10.3.1 svm.2.4.3.3") "code", go(), EXIT_SHUTDOWN);
	gidt[13] = saved13;
	gidt[8] = saved8;
}

SNIPPET(x_wait, "", "fwait");

/* Not intercepted, the guest stops at the waiting instruction until an interrupt comes; with IGNNE# it goes on. */
static void frozen(void)
{
	base(&x_freeze);
	on((struct icpt)ICPT(EXIT_INTR));
	v->cr0 &= ~0x20ull;
	v->rflags = 0x202;
	mmio_write(0xfee003e0, 0xb);
	mmio_write(0xfee00320, 0x51);
	mmio_write(0xfee00380, 30000);
	vcheck("frozen", "an interrupt ends it", go(), EXIT_INTR);
	vcheck("frozen", "at the instruction", v->rip, (u64)x_freeze.at);
	asm volatile("sti; nop; cli"); /* the host takes it */
	base(&x_wait);
	on((struct icpt)ICPT(EXIT_FERR));
	v->cr0 &= ~0x20ull;
	vcheck("FERR# is active", "FERR_FREEZE", go(), EXIT_FERR);
	outb(0xf0, 0);
	v->rip = (u64)x_wait.entry;
	vcheck("IGNNE# is active", "goes on", go(), EXIT_VMMCALL);
	asm volatile("fninit");
}

/* "Ferr_Freeze Intercept": an x87 exception with CR0.NE = 0. */
static void freeze(void)
{
	base(&x_freeze);
	on((struct icpt)ICPT(EXIT_FERR));
	v->cr0 &= ~0x20ull;
	vcheck("FERR_FREEZE", REQ("svm.2.10.2.1") "code", go(), EXIT_FERR);
	base(&x_mf);
	on((struct icpt)ICPT(EXIT_FERR));
	vcheck("FERR_FREEZE with NE", REQ("svm.2.10.2.3") "code", go(), EXIT_MF);
}

/* #NP, then #GP while it is delivered; which of the two intercepts are set decides. */
static void not_present_then_gp(void)
{
	for (unsigned both = 0; both < 2; both++) {
		base(&x_np);
		own_idt();
		v->idtr.limit = both ? 0 : 8 * 16 + 15; /* vector 8 is there, 11 and 13 are not */
		v->intercept_exc = 1u << 8 | both << 13;
		vcheck("#GP during #NP", both ? "#GP intercepted" : "#DF intercepted", go(), both ? 0x4d : 0x48);
		if (both)
			vcheck("#GP during #NP", "EXITINTINFO", v->exitintinfo, 0x3880000b0bull);
	}
	proves("svm.2.8.0.9 svm.2.8.0.10");
}

void test_exceptions(void)
{
	freeze();
	frozen();
	not_present_then_gp();
	intercepted();
	delivered();
	during_delivery();
	double_fault();
}
