/*
 * Which bits of CR4 and EFER VMRUN refuses: those of features that CPUID does not report, and all the others of the
 * registers; and the intercepts of instructions that not every processor has. Runs on processors with and without the
 * features.
 */
#include "../svm_test.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

asm(".pushsection .text\nat_once: vmmcall\n.popsection");
extern char at_once[];

/* ---- the reserved bits of CR4 and EFER: those of a feature that CPUID does not report ---- */

static bool reported(u32 leaf, unsigned reg, unsigned bit)
{
	u32 r[4];

	cpuid(leaf & 0xf0000000, 0, r);
	if (r[0] < leaf)
		return false;
	cpuid(leaf, 0, r);
	return r[reg] >> bit & 1;
}

enum { EAX, EBX, ECX, EDX };
struct feature_bit {
	u8 bit;
	u32 leaf;
	u8 reg, feature;
};

/* Intel's and AMD's manuals: "CPUID", and the registers' own figures. */
static const struct feature_bit cr4_bits[] = {
	{0, 1, EDX, 1}, {1, 1, EDX, 1}, {2, 1, EDX, 4}, {3, 1, EDX, 2}, {4, 1, EDX, 3}, {5, 1, EDX, 6}, {6, 1, EDX, 7},
	{7, 1, EDX, 13}, {8, 1, EDX, 0}, {9, 1, EDX, 24}, {10, 1, EDX, 25}, {11, 7, ECX, 2}, {12, 7, ECX, 16},
	{16, 7, EBX, 0}, {17, 1, ECX, 17}, {18, 1, ECX, 26}, {20, 7, EBX, 7}, {21, 7, EBX, 20}, {22, 7, ECX, 3},
	{23, 7, ECX, 7},
};
static const struct feature_bit efer_bits[] = {
	{11, 0x80000001, EDX, 20}, {14, 0x80000001, EDX, 25}, {15, 0x80000001, ECX, 17}, {17, 0x80000008, EBX, 8},
	{18, 0x80000008, EBX, 13}, {20, 0x80000021, EAX, 7}, {21, 0x80000021, EAX, 8},
};

static bool has_bit(const struct feature_bit *b, unsigned count, unsigned bit)
{
	for (unsigned n = 0; n < count; n++)
		if (b[n].bit == bit)
			return reported(b[n].leaf, b[n].reg, b[n].feature);
	return false;
}

static void reserved_bits(void)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		bool legal = has_bit(cr4_bits, COUNT(cr4_bits), bit);

		if (bit == 5) /* long mode needs PAE */
			continue;
		fresh();
		v->rip = (u64)at_once;
		v->cr4 |= 1ull << bit;
		/* under CR4.LA57 the guest's tables are not what they were: it enters and faults */
		vcheck("CR4 bit", legal ? REQ("svm.2.2.1.102") "implemented" : REQ("svm.2.2.1.102") "not implemented",
		       go() == ~0ull, !legal);
	}
	for (unsigned bit = 11; bit < 64; bit++) {
		bool legal = has_bit(efer_bits, COUNT(efer_bits), bit) && !(of_2005 && bit > 14);

		if (bit == 12 || bit == 13) /* SVME must be 1; LMSLE: the next */
			continue;
		fresh();
		v->rip = (u64)at_once;
		v->efer |= 1ull << bit;
		vcheck("EFER bit", legal ? REQ("svm.2.2.1.106") "implemented" : REQ("svm.2.2.1.106") "not implemented", go(),
		       legal ? EXIT_VMMCALL : ~0ull);
	}
	fresh();
	v->rip = (u64)at_once;
	v->efer |= 1 << 13;
	/* bad addresses of VMRUN, VMLOAD and VMSAVE: priorities.c has what comes first, and this announces it */
	vcheck("CPUID", "the VMCB address check comes behind the intercept", reported(0x8000000a, EDX, 28), !of_2005);
	vcheck("EFER.LMSLE", "by CPUID 8000_0008h EBX[20]", go(), reported(0x80000008, EBX, 20) ? ~0ull : EXIT_VMMCALL);
}

/* ---- the intercepts of instructions that not every processor has: each by its own feature, whatever else is missing ---- */

#define CODE(name, text) asm(".pushsection .text\ncode_" #name ": " text "\nvmmcall\n.popsection"); extern char code_##name[]
CODE(rdtscp, "rdtscp");
CODE(monitor, "xor %eax, %eax; xor %ecx, %ecx; xor %edx, %edx; monitor");
CODE(mwait, "xor %eax, %eax; xor %ecx, %ecx; mwait");
CODE(xsetbv, "mov $1, %eax; xor %ecx, %ecx; xor %edx, %edx; xsetbv");
CODE(rdpru, "xor %ecx, %ecx; .byte 0x0f, 0x01, 0xfd");
CODE(invpcid, "xor %ecx, %ecx; mov $0x123456789a0, %rbx; invpcid (%rbx), %rcx");
CODE(invlpgb, "xor %eax, %eax; xor %ecx, %ecx; xor %edx, %edx; .byte 0x0f, 0x01, 0xfe");
CODE(invlpgb_bad, "mov $0x40, %eax; xor %ecx, %ecx; xor %edx, %edx; .byte 0x0f, 0x01, 0xfe");
CODE(tlbsync, ".byte 0x0f, 0x01, 0xff");
CODE(mcommit, ".byte 0xf3, 0x0f, 0x01, 0xfa");
CODE(bus_lock, "lock incq scratch+60");
CODE(hlt, "hlt");

static const struct {
	const char *name, *code;
	u32 leaf;
	u8 reg, feature; /* CPUID */
	u8 word, bit;    /* of the VMCB */
	u64 exit;
} optional[] = {
	{"RDTSCP", code_rdtscp, 0x80000001, EDX, 27, 4, 7, 0x87},
	{"MONITOR", code_monitor, 1, ECX, 3, 4, 10, 0x8a},
	{"MWAIT", code_mwait, 1, ECX, 3, 4, 11, 0x8b},
	{"XSETBV", code_xsetbv, 1, ECX, 26, 4, 13, 0x8d},
	{"RDPRU", code_rdpru, 0x80000008, EBX, 4, 4, 14, 0x8e},
	{"INVLPGB", code_invlpgb, 0x80000008, EBX, 3, 5, 0, 0xa0},
	{"illegal INVLPGB", code_invlpgb_bad, 0x80000008, EBX, 3, 5, 1, 0xa1},
	{"INVPCID", code_invpcid, 7, EBX, 10, 5, 2, 0xa2},
	{"MCOMMIT", code_mcommit, 0x80000008, EBX, 8, 5, 3, 0xa3},
	{"TLBSYNC", code_tlbsync, 0x8000000a, EDX, 24, 5, 4, 0xa4},
	{"bus lock", code_bus_lock, 0x8000000a, EDX, 29, 5, 5, 0xa5},
	{"idle HLT", code_hlt, 0x8000000a, EDX, 30, 5, 6, 0xa6},
};

static void intercepts(void)
{
	for (unsigned n = 0; n < COUNT(optional); n++) {
		if (!reported(optional[n].leaf, optional[n].reg, optional[n].feature))
			continue;
		fresh();
		v->rip = (u64)optional[n].code;
		v->np_enable |= 1 << 7; /* INVLPGB and TLBSYNC are for guests, too */
		v->cr4 |= optional[n].exit == 0x8d ? 1 << 18 : 0; /* OSXSAVE */
		v->efer |= optional[n].exit == 0xa3 ? 1 << 17 : 0;     /* MCOMMIT */
		(&v->intercept2)[optional[n].word - 4] |= 1u << optional[n].bit;
		vcheck(optional[n].name, "exits by its bit", go(), optional[n].exit);
		if (optional[n].exit == 0xa2)
			vcheck(optional[n].name, "EXITINFO1: the whole address", v->exitinfo1, 0x123456789a0);
	}
}

int main(void)
{
	if (!svm_enable())
		return 1;
	svm_test_guest((u64)page_alloc() + 4096);
	reserved_bits();
	intercepts();
	return guest_verdict();
}
