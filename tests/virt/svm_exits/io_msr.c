/* The permission maps: "IOIO Intercepts", "MSR Intercepts". */
#include "exits.h"

/* ---- I/O ---- */
SNIPPET(in8i, "", "in $0x80, %al");
SNIPPET(in8, "mov $0x80, %edx", "in %dx, %al");
SNIPPET(in16, "mov $0x80, %edx", "in %dx, %ax");
SNIPPET(in32, "mov $0x80, %edx", "in %dx, %eax");
SNIPPET(out8, "mov $0x80, %edx", "out %al, %dx");
SNIPPET(out32, "mov $0x7c, %edx", "out %eax, %dx");
SNIPPET(last32, "mov $0xffff, %edx", "in %dx, %eax");
SNIPPET(last16, "mov $0xffff, %edx", "in %dx, %ax");
SNIPPET(insb, "mov $0x80, %edx; lea scratch, %rdi", "insb");
SNIPPET(outsd, "mov $0x80, %edx; lea scratch, %rsi", "outsl");
SNIPPET(rep_outsw, "mov $0x80, %edx; lea scratch, %rsi; mov $3, %ecx", "rep outsw");
SNIPPET(outsb_fs, "mov $0x80, %edx; lea scratch, %rsi", "fs outsb");
SNIPPET(outsb_a32, "mov $0x80, %edx; lea scratch, %rsi", "addr32 outsb");
SNIPPET(ins_pf, "mov $0x80, %edx; movabs " BAD_PF ", %rdi", "insb");
SNIPPET(outs_pf, "mov $0x80, %edx; movabs " BAD_PF ", %rsi", "outsb");

enum { IN = 1, STR = 4, REP = 8, SZ8 = 16, SZ16 = 32, SZ32 = 64, A32 = 256, A64 = 512 };
#define PORT(p) ((u64)(p) << 16)
#define SEGMENT(n) ((u64)(n) << 10)
static const struct {
	const char *name;
	const struct snippet *s;
	u32 bit;   /* the one bit set in the map */
	bool hit;
	u64 info1; /* without the segment */
	u64 segment;
} io_rows[] = {
	{REQ("svm.2.6.24 svm.2.6.29") "IN AL, imm8", &in8i, 0x80, true, PORT(0x80) | IN | SZ8 | A64, 0},
	{REQ("svm.2.6.8 svm.2.6.9 svm.2.6.15 svm.2.6.22") "IN AL, DX", &in8, 0x80, true, PORT(0x80) | IN | SZ8 | A64, 0},
	{REQ("svm.2.6.28 svm.2.6.16") "IN AX, DX, first byte", &in16, 0x80, true, PORT(0x80) | IN | SZ16 | A64, 0},
	{"IN AX, DX, second byte", &in16, 0x81, true, PORT(0x80) | IN | SZ16 | A64, 0},
	{REQ("svm.2.6.27 svm.2.6.17") "IN EAX, DX, last byte", &in32, 0x83, true, PORT(0x80) | IN | SZ32 | A64, 0},
	{REQ("svm.2.6.10 svm.2.6.17") "IN EAX, DX, byte behind", &in32, 0x84, false, 0, 0},
	{"IN EAX, DX, byte before", &in32, 0x7f, false, 0, 0},
	{REQ("svm.2.6.33") "OUT DX, AL", &out8, 0x80, true, PORT(0x80) | SZ8 | A64, 0},
	{"OUT DX, EAX", &out32, 0x7f, true, PORT(0x7c) | SZ32 | A64, 0},
	{REQ("svm.2.6.2 svm.2.6.18") "IN EAX of the last port, behind it", &last32, 0x10002, true, PORT(0xffff) | IN | SZ32 | A64, 0},
	{"IN EAX of the last port, itself", &last32, 0xffff, true, PORT(0xffff) | IN | SZ32 | A64, 0},
	{"IN AX of the last port", &last16, 0x10000, true, PORT(0xffff) | IN | SZ16 | A64, 0},
	{"IN AX of the last port, two behind", &last16, 0x10001, false, 0, 0},
	{REQ("svm.2.6.31") "INSB", &insb, 0x80, true, PORT(0x80) | IN | STR | SZ8 | A64, SEGMENT(0)},
	{"OUTSD", &outsd, 0x83, true, PORT(0x80) | STR | SZ32 | A64, SEGMENT(3)},
	{REQ("svm.2.6.30") "REP OUTSW", &rep_outsw, 0x81, true, PORT(0x80) | STR | REP | SZ16 | A64, SEGMENT(3)},
	{"FS OUTSB", &outsb_fs, 0x80, true, PORT(0x80) | STR | SZ8 | A64, SEGMENT(4)},
	{REQ("svm.2.6.25") "A32 OUTSB", &outsb_a32, 0x80, true, PORT(0x80) | STR | SZ8 | A32, SEGMENT(3)},
	{REQ("svm.2.6.20") "INSB, memory not mapped", &ins_pf, 0x80, true, PORT(0x80) | IN | STR | SZ8 | A64, SEGMENT(0)},
	{"OUTSB, memory not mapped", &outs_pf, 0x80, true, PORT(0x80) | STR | SZ8 | A64, SEGMENT(3)},
};

static void test_io(void)
{
	tss[0x66] = tss[0x67] = 0xff; /* no map of its own: ports are IOPL's business */
	for (unsigned n = 0; n < COUNT(io_rows); n++) {
		u64 code;

		base(io_rows[n].s);
		v->intercept1 |= SVM_IOIO;
		((u8 *)v->iopm_pa)[io_rows[n].bit / 8] |= (u8)(1 << io_rows[n].bit % 8);
		v->iopm_pa |= 0xabc; /* bits 11:0 are ignored */
		code = go();
		vcheck(io_rows[n].name, "code", code, io_rows[n].hit ? EXIT_IOIO : EXIT_VMMCALL);
		if (code != EXIT_IOIO)
			continue;
		vcheck(io_rows[n].name, "EXITINFO1", v->exitinfo1,
			io_rows[n].info1 | (assists ? io_rows[n].segment : 0));
		vcheck(io_rows[n].name, "EXITINFO2", v->exitinfo2, (u64)io_rows[n].s->next);
		vcheck(io_rows[n].name, "RIP", v->rip, (u64)io_rows[n].s->at);
		if (nrips)
			vcheck(io_rows[n].name, "nRIP", v->nrip, (u64)io_rows[n].s->next);
	}
	/* of all rows together; low bits of the base were set for each. A16 is in modes.c */
	proves("svm.2.6.1 svm.2.6.4 svm.2.6.14 svm.2.6.32 svm.2.6.34 svm.2.6.35 svm.2.6.36 svm.2.6.37");
	base(&in8);
	((u8 *)v->iopm_pa)[0x10] = 1;
	vcheck("I/O map", REQ("svm.2.6.13") "without the intercept", go(), EXIT_VMMCALL);
	base(&in8); /* the #GP of IOPL and the TSS's map comes first */
	user();
	v->intercept1 |= SVM_IOIO;
	((u8 *)v->iopm_pa)[0x10] = 1;
	vcheck("I/O map", REQ("svm.2.6.19") "CPL 3 above IOPL", go(), EXIT_GP);
	base(&in8);
	user();
	v->rflags |= 0x3000;
	v->intercept1 |= SVM_IOIO;
	((u8 *)v->iopm_pa)[0x10] = 1;
	vcheck("I/O map", "CPL 3 with IOPL 3", go(), EXIT_IOIO);
}

/* ---- MSRs ---- */
SNIPPET(read_msr, "mov scratch, %ecx", "rdmsr");
SNIPPET(write_msr, "mov scratch, %ecx; mov scratch+8, %eax; mov scratch+16, %edx", "wrmsr");

static const struct {
	const char *name;
	u32 index;
	u32 bit; /* of the read; the write's is the next one. ~0: no bit, exits always */
	bool exists;
} msr_rows[] = {
	{"MSR 10h", 0x10, 0x20, true},
	{"MSR 174h", 0x174, 0x2e8, true},
	{"MSR 1FFFh", 0x1fff, 0x3ffe, false},
	{"MSR C0000080h", 0xc0000080, 0x4100, true},
	{"MSR C0000000h", 0xc0000000, 0x4000, false},
	{"MSR C0001FFFh", 0xc0001fff, 0x7ffe, false},
	{"MSR C0010117h", 0xc0010117, 0x822e, true},
	{"MSR C0011FFFh", 0xc0011fff, 0xbffe, false},
	{"MSR 2000h", 0x2000, ~0u, false},
	{"MSR C0002000h", 0xc0002000, ~0u, false},
	{"MSR C0012000h", 0xc0012000, ~0u, false},
	{"MSR FFFFFFFFh", 0xffffffff, ~0u, false},
};

static void one_msr(unsigned n, bool write, bool other)
{
	u32 bit = msr_rows[n].bit + (write != other);
	bool hit = msr_rows[n].bit == ~0u || !other;
	u64 code;

	base(write ? &write_msr : &read_msr);
	scratch[0] = msr_rows[n].index;
	scratch[1] = msr_rows[n].exists ? rdmsr(msr_rows[n].index) : 0;
	scratch[2] = scratch[1] >> 32;
	v->intercept1 |= SVM_MSR;
	if (msr_rows[n].bit != ~0u)
		((u8 *)v->msrpm_pa)[bit / 8] |= (u8)(1 << bit % 8);
	memset((u8 *)v->msrpm_pa + 0x1800, 0xff, 0x800); /* reserved: changes nothing */
	v->msrpm_pa |= 0xfff;
	code = go();
	vcheck(msr_rows[n].name, write ? "write" : "read", code, hit ? 0x7c : msr_rows[n].exists ? EXIT_VMMCALL : 0x4d);
	if (code == EXIT_MSR) {
		vcheck(msr_rows[n].name, "EXITINFO1", v->exitinfo1, write);
		vcheck(msr_rows[n].name, "EXITINFO2", v->exitinfo2, 0);
		if (nrips)
			vcheck(msr_rows[n].name, "nRIP", v->nrip, (u64)(write ? write_msr.next : read_msr.next));
	}
	proves("svm.2.7.1 svm.2.7.2 svm.2.7.3 svm.2.7.4 svm.2.7.5 svm.2.7.6 svm.2.7.7 svm.2.7.8 svm.2.7.9 "
	       "svm.2.7.10");
	proves("svm.2.7.11 svm.2.7.13 svm.2.7.17 svm.2.7.20 svm.2.7.22 svm.2.7.23");
}

void test_io_msr(void)
{
	test_io();
	for (unsigned n = 0; n < COUNT(msr_rows); n++) {
		one_msr(n, false, false);
		one_msr(n, false, true);
		one_msr(n, true, false);
		one_msr(n, true, true);
	}
	base(&read_msr);
	scratch[0] = 0xc0000080;
	memset((u8 *)v->msrpm_pa, 0xff, 0x1800);
	vcheck("MSR map", REQ("svm.2.7.18") "without the intercept", go(), EXIT_VMMCALL);
}
