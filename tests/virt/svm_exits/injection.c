/* "Event Injection": every type, the frame each pushes, and everything that is refused. */
#include "exits.h"

SNIPPET(plain, "", "nop");

#define V(type, vector)	   (0x80000000ull | (type) << 8 | (vector))
#define VE(vector, error)  (0x80000b00ull | (vector) | (u64)(error) << 32)

static const struct {
	const char *name;
	u64 eventinj;
	u8 vector;
	bool error, soft; /* pushes an error code; returns to nRIP */
} rows[] = {
	{REQ("svm.2.16.13 svm.2.16.1") "interrupt 20h", V(0, 0x20), 0x20, false, false},
	{"interrupt FFh", V(0, 0xff), 0xff, false, false},
	{"interrupt 0Eh", V(0, 0x0e), 0x0e, false, false},
	{REQ("svm.2.16.14") "NMI", V(2, 2), 2, false, false},
	{REQ("svm.2.16.11") "NMI, vector ignored", V(2, 0x77), 2, false, false},
	{REQ("svm.2.16.15") "#DE", V(3, 0), 0, false, false},
	{"#DB", V(3, 1), 1, false, false},
	{"#UD", V(3, 6), 6, false, false},
	{"#NM", V(3, 7), 7, false, false},
	{REQ("svm.2.16.21 svm.2.16.26") "#DF", VE(8, 0), 8, true, false},
	{"#TS", VE(10, 0x1234), 10, true, false},
	{"#NP", VE(11, 0x2345), 11, true, false},
	{"#SS", VE(12, 0), 12, true, false},
	{"#GP", VE(13, 0xabcd), 13, true, false},
	{"#PF", VE(14, 7), 14, true, false},
	{REQ("svm.2.16.22") "#GP without EV", V(3, 13) | 0xabcdull << 32, 13, false, false},
	{"#MF", V(3, 16), 16, false, false},
	{"#UD with EV", VE(6, 0x55), 6, true, false}, /* EV against the vector's own rule is no reason to refuse */
	{"#AC", VE(17, 0), 17, true, false},
	{"#MC", V(3, 18), 18, false, false},
	{"#XF", V(3, 19), 19, false, false},
	{"INT3", V(3, 3), 3, false, true},
	{REQ("svm.2.16.16") "INT 80h", V(4, 0x80), 0x80, false, true},
	{"INT 0Dh", V(4, 0x0d), 0x0d, false, true},
};

static void deliveries(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		u64 *frame, size = rows[n].error ? 48 : 40;

		if (rows[n].soft && !nrips)
			continue;
		base(&plain);
		own_idt();
		v->intercept_exc = ~0u; /* not tested against the intercepts */
		v->intercept1 |= SVM_BIT(EXIT_INTR) | SVM_BIT(EXIT_NMI) | SVM_BIT(EXIT_VINTR) | SVM_BIT(EXIT_INTN);
		v->rflags = 2;		/* IF = 0 delays nothing */
		v->int_state = 1;
		v->vintr = 15;
		v->eventinj = rows[n].eventinj;
		v->nrip = (u64)plain.next;
		v->cr2 = 0x1234;
		vcheck(rows[n].name, REQ("svm.2.16.5 svm.2.16.2") "code", go(), EXIT_VMMCALL);
		vcheck(rows[n].name, "handler", v->rip, stub_of(rows[n].vector));
		vcheck(rows[n].name, "frame", STACK_TOP - v->rsp, size);
		frame = (u64 *)(v->rsp + (rows[n].error ? 8 : 0));
		vcheck(rows[n].name, "return RIP", frame[0], (u64)(rows[n].soft ? plain.next : plain.entry));
		vcheck(rows[n].name, "CS", frame[1], 8);
		vcheck(rows[n].name, "RSP", frame[3], STACK_TOP);
		if (rows[n].error)
			vcheck(rows[n].name, "error code", frame[-1], rows[n].eventinj >> 32);
		vcheck(rows[n].name, "EVENTINJ cleared", v->eventinj >> 31 & 1, 0);
		vcheck(rows[n].name, "EXITINTINFO", v->exitintinfo, 0);
		vcheck(rows[n].name, "CR2", v->cr2, 0x1234);
	}
	base(&plain);
	own_idt();
	v->eventinj = 0x7ffff30d;
	vcheck("V clear", REQ("svm.2.16.25") "nothing is injected", go(), EXIT_VMMCALL);
	vcheck("V clear", "RIP", v->rip, (u64)plain.next);
}

/* INT3 and INTO by injection, INTn: the gate's DPL counts. */
static void gate_dpl(void)
{
	struct idt_gate saved = gidt[3];

	base(&plain);
	own_idt();
	user();
	gidt[3].lo &= ~(3ull << 45);
	v->intercept_exc = 1 << 13;
	v->eventinj = V(3, 3);
	v->nrip = (u64)plain.next;
	vcheck("INT3 through a gate of DPL 0", REQ("svm.2.16.27") "#GP", go(), EXIT_GP);
	vcheck("INT3 through a gate of DPL 0", "error", v->exitinfo1, 3 * 8 + 2);
	vcheck("INT3 through a gate of DPL 0", "a fault: RIP is the instruction's", v->rip, (u64)plain.entry);
	gidt[3] = saved;
}

static const struct {
	const char *name;
	u64 eventinj;
} refused[] = {
	{"type 1", V(1, 0)}, {"type 5", V(5, 0)}, {"type 6", V(6, 0)}, {"type 7", V(7, 0)}, {"exception 2", V(3, 2)},
	{"exception 9", V(3, 9)}, {"exception 15", V(3, 15)}, {"exception 20", V(3, 20)}, {"exception 31", V(3, 31)},
	{"exception 32", V(3, 32)}, {"exception 255", V(3, 255)}, {"#BR in 64-bit mode", V(3, 5)},
		{"#OF in 64-bit mode", V(3, 4)},
};

/* VMEXIT_INVALID: nothing of the guest's state changes, the host goes on, GIF is 0. */
static void refusals(void)
{
	static struct vmcb before __attribute__((aligned(4096)));

	for (unsigned n = 0; n < COUNT(refused); n++) {
		base(&plain);
		v->eventinj = refused[n].eventinj;
		memcpy(&before, v, sizeof(before));
		vcheck(refused[n].name, REQ("svm.2.2.1.96 svm.D.95") "code", go(), ~0ull);
		vcheck(refused[n].name, REQ("svm.2.3.29") "save area unchanged",
		       memcmp((u8 *)v + 0x400, (u8 *)&before + 0x400, 0xc00), 0);
		v->eventinj = 0;
		vcheck(refused[n].name, "put right", go(), EXIT_VMMCALL);
	}
}

/* Each consistency check through VMRUN itself. */
static const struct {
	const char *name;
	u16 offset;
	u8 width;
	u64 value;
} illegal[] = {
	{"EFER.SVME", 0x4d0, 8, 0x500}, {"EFER bit 63", 0x4d0, 8, 0x8000000000001500}, {"CR0.NW", 0x558, 8, 0xa0000011},
	{"CR0 bit 32", 0x558, 8, 0x180000011}, {"CR3 bit 52", 0x550, 8, 1ull << 52}, {"CR4 bit 31", 0x548, 8,
		0x80000020},
	{"CR4.PAE", 0x548, 8, 0}, {"CR0.PE", 0x558, 8, 0x80000010}, {"CS.L and CS.D", 0x412, 2, 0xe9b},
	{"DR6", 0x568, 8, 1ull << 32}, {"DR7", 0x560, 8, 1ull << 63}, {"VMRUN intercept", 0x010, 4, 2}, {"ASID 0",
		0x058, 4, 0},
	{"ASID too high", 0x058, 4, 0x10000}, {"I/O map", 0x040, 8, ~0ull << 12}, {"MSR map", 0x048, 8, ~0ull << 12},
	{"N_CR3", 0x0b0, 8, 1ull << 52}, {"G_PAT", 0x668, 8, 2},
};

static int efer_fault(u64 value)
{
	return CATCH(wrmsr(MSR_EFER, value));
}

/* EFER's bits that this processor does not define, although others do. 2005: LMSLE is one of its own. */
static void efer_bits(void)
{
	static const u8 bits[] = {9, 13, 15, 16, 18, 19, 20, 22};

	for (unsigned n = 0; n < COUNT(bits); n++) {
		base(&plain);
		v->efer |= 1ull << bits[n];
		vcheck("EFER, undefined bits", "code", go(), of_2005 && bits[n] == 13 ? EXIT_VMMCALL : ~0ull);
		if (!of_2005 || bits[n] != 13)
			vcheck("EFER, undefined bits", "WRMSR", (u64)efer_fault(v->efer), 13);
	}
}

static void checks(void)
{
	for (unsigned n = 0; n < COUNT(illegal); n++) {
		base(&plain);
		memcpy((u8 *)v + illegal[n].offset, &illegal[n].value, illegal[n].width);
		v->tlb_control = 0;
		vcheck(illegal[n].name, REQ("svm.2.2.1.13 svm.2.2.1.58 svm.4.VMRUN.13 svm.4.VMRUN.41") "code", go(), ~0ull);
		vcheck(illegal[n].name, "RIP", v->rip, (u64)plain.entry);
		base(&plain);
		vcheck(illegal[n].name, "put right", go(), EXIT_VMMCALL);
	}
	base(&plain); /* legal, and its #GP is the guest's */
	v->rip = 0x800000000000;
	vcheck("RIP not canonical", REQ("svm.2.2.1.62") "code", go(), EXIT_GP);
	base(&plain); /* made canonical, and saved so */
	u64 gdt_base = v->gdtr.base;

	v->gdtr.base ^= 1ull << 62;
	vcheck("GDTR base not canonical", "code", go(), EXIT_VMMCALL);
	vcheck("GDTR base not canonical", "saved", v->gdtr.base, gdt_base);
	if (of_2005) {
		base(&plain);
		v->intercept1 &= ~4u;
		vcheck("SMI intercept", REQ("svm.2.2.1.113 svm.2.9.3.22") "code", go(), ~0ull);
	}
}

void test_injection(void)
{
	deliveries();
	gate_dpl();
	refusals();
	efer_bits();
	checks();
}
