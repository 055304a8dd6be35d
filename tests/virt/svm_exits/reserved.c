/*
 * Which bits of CR4 and EFER VMRUN refuses: those of features that CPUID does not report, and all the others of the
 * registers. Runs on processors with and without the features.
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

int main(void)
{
	if (!svm_enable())
		return 1;
	svm_test_guest((u64)page_alloc() + 4096);
	reserved_bits();
	return guest_verdict();
}
