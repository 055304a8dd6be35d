/*
 * What the manual leaves open or gets wrong, as docs/ERRATA.md and docs/requirements have decided it: each decision is
 * looked at as a monitor sees it.
 */
#include "exits.h"

#define APIC(offset) (0xfee00000 + (offset))

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

SNIPPET(plain, "", "nop");

static void reserved_bits(void)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		bool legal = has_bit(cr4_bits, COUNT(cr4_bits), bit);

		if (bit == 5) /* long mode needs PAE */
			continue;
		base(&plain);
		v->cr4 |= 1ull << bit;
		/* under CR4.LA57 the guest's tables are not what they were: it enters and faults */
		vcheck("CR4 bit", legal ? REQ("svm.2.2.1.102") "implemented" : REQ("svm.2.2.1.102") "not implemented",
		       go() == ~0ull, !legal);
	}
	for (unsigned bit = 11; bit < 64; bit++) {
		bool legal = has_bit(efer_bits, COUNT(efer_bits), bit) && !(of_2005 && bit > 14);

		if (bit == 12 || bit == 13) /* SVME must be 1; LMSLE: the next */
			continue;
		base(&plain);
		v->efer |= 1ull << bit;
		vcheck("EFER bit", legal ? REQ("svm.2.2.1.106") "implemented" : REQ("svm.2.2.1.106") "not implemented", go(),
		       legal ? EXIT_VMMCALL : ~0ull);
	}
	base(&plain);
	v->efer |= 1 << 13;
	/* bad addresses of VMRUN, VMLOAD and VMSAVE: priorities.c has what comes first, and this announces it */
	vcheck("CPUID", "the VMCB address check comes behind the intercept", reported(0x8000000a, EDX, 28), !of_2005);
	vcheck("EFER.LMSLE", "by CPUID 8000_0008h EBX[20]", go(), reported(0x80000008, EBX, 20) ? ~0ull : EXIT_VMMCALL);
}

/* ---- REP INS and OUTS with rCX = 0 access nothing ---- */

SNIPPET(rep_in_0, "mov $0x80, %edx; lea scratch, %rdi; xor %ecx, %ecx", "rep insb");
SNIPPET(rep_out_0, "mov $0x80, %edx; lea scratch, %rsi; xor %ecx, %ecx", "rep outsl");
SNIPPET(rep_out_a32, "mov $0x80, %edx; lea scratch, %rsi; mov $1, %ecx; shl $32, %rcx", "addr32 rep outsb");
SNIPPET(rep_out_1, "mov $0x80, %edx; lea scratch, %rsi; mov $1, %ecx", "rep outsb");

static void no_iterations(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u64 code;
	} rows[] = {
	        {REQ("svm.2.6.38") "REP INSB, RCX 0", &rep_in_0, EXIT_VMMCALL},
	        {REQ("svm.2.6.38") "REP OUTSD, RCX 0", &rep_out_0, EXIT_VMMCALL},
	        {REQ("svm.2.6.38") "REP OUTSB, ECX 0 of 32-bit addresses", &rep_out_a32, EXIT_VMMCALL},
	        {"REP OUTSB, RCX 1", &rep_out_1, EXIT_IOIO},
	};

	for (unsigned n = 0; n < COUNT(rows); n++) {
		base(rows[n].s);
		v->intercept1 |= SVM_IOIO;
		memset((void *)v->iopm_pa, 0xff, 0x3000);
		vcheck(rows[n].name, "code", go(), rows[n].code);
	}
}

/* ---- "PAUSE Intercept Filtering": so many pass, the next one exits ---- */

SNIPPET(pauses, "xor %ebx, %ebx", "1: mov %rbx, seen; inc %ebx; pause; cmp $100, %ebx; jb 1b");

static void pause_filter(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!(r[3] >> 10 & 1))
		return;
	for (u16 count = 1; count < 40; count = (u16)(count * 3)) {
		base(&pauses);
		on((struct icpt){3, 23});
		v->pause_count = count;
		vcheck("PAUSE filter", "code", go(), 0x77);
		vcheck("PAUSE filter", "that many have passed", seen[0], count);
	}
}

/* ---- type 4, INTn: the DPL of its gate counts as it does for the instruction ---- */

static void injected_intn(void)
{
	struct idt_gate saved = gidt[0x60];

	base(&plain);
	own_idt();
	user();
	gidt[0x60].lo &= ~(3ull << 45);
	v->intercept_exc = 1 << 13;
	v->eventinj = 0x80000460;
	v->nrip = (u64)plain.next;
	vcheck("INTn injected, gate of DPL 0 at CPL 3", "#GP", go(), 0x4d);
	vcheck("INTn injected, gate of DPL 0 at CPL 3", "its error code: the gate", v->exitinfo1, 0x60 * 8 + 2);
	gidt[0x60] = saved;
}

/* ---- INVLPGA: a global page goes, an ASID that does not exist has none ---- */

#define PAGE   0x8000000ull
#define FIRST  0x8400000ull
#define SECOND 0x8401000ull
SNIPPET(look, "mov $0x8000000, %eax", "mov (%rax), %rbx; mov %rbx, seen");
static u64 *nested;

static u64 read_page(u64 root)
{
	v->rip = (u64)look.entry;
	v->tlb_control = 0;
	v->cr3 = root;
	seen[0] = 0;
	return go() == EXIT_VMMCALL ? seen[0] : ~0ull;
}

static void stale_page(void)
{
	*nested = FIRST | 0x67;
	v->tlb_control = 1;
	v->rip = (u64)plain.entry;
	go();
	read_page((u64)user_pml4);
	*nested = SECOND | 0x67;
	vcheck("a cached page", "is believed", read_page((u64)user_pml4), 0xaa);
}

static void invlpga(u64 address, u64 asid)
{
	asm volatile("invlpga" ::"a"(address), "c"(asid) : "memory");
}

static void translations(void)
{
	u64 *l2 = (u64 *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull), *l1 = page_alloc(), *copy = page_alloc();
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	*(u64 *)FIRST = 0xaa;
	*(u64 *)SECOND = 0xbb;
	base(&look);
	for (unsigned n = 0; n < 512; n++)
		l1[n] = (PAGE + n * 4096) | 7;
	*svm_nested_entry(v, PAGE) = (u64)l1 | 7;
	nested = &l1[0];
	l2[PAGE >> 21] |= 0x100; /* global */
	v->cr4 |= 0x80;
	v->asid = 1;
	stale_page();
	invlpga(PAGE, r[1]); /* the first that is none */
	invlpga(PAGE, 0xffffffff);
	vcheck("INVLPGA of an ASID that is none", REQ("svm.4.INVLPGA.6") "nothing goes", read_page((u64)user_pml4), 0xaa);
	invlpga(PAGE, 1);
	vcheck("INVLPGA of a global page", REQ("svm.4.INVLPGA.6") "it goes", read_page((u64)user_pml4), 0xbb);
	l2[PAGE >> 21] &= ~0x100ull;
	v->cr4 &= ~0x80ull;
	/* the monitor puts other tables into the VMCB and flushes nothing: what is cached stays */
	stale_page();
	memcpy(copy, user_pml4, 4096);
	vcheck("another CR3 in the VMCB", REQ("svm.2.12.0.8") "the cached translation is used", read_page((u64)copy), 0xaa);
	v->cr0 ^= 1 << 16;
	v->cr4 ^= 0x10;
	v->efer ^= 1 << 11;
	vcheck("another CR0.WP, CR4.PSE, EFER.NXE", REQ("svm.2.12.0.8") "the cached translation is used", read_page((u64)copy),
	       0xaa);
	v->tlb_control = 1;
	v->rip = (u64)look.entry;
	go();
	vcheck("after a flush", "the tables are read", seen[0], 0xbb);
}

/* ---- IER and SEOI of the extended APIC space ---- */

static bool in_service(unsigned vector)
{
	return mmio_read(APIC(0x100 + 16 * (vector / 32))) >> vector % 32 & 1;
}

static bool nothing(struct regs *r)
{
	(void)r;
	return true;
}

static void extended_apic(void)
{
	if (!(mmio_read(APIC(0x30)) >> 31))
		return;
	mmio_write(APIC(0x410), 0);
	mmio_write(APIC(0x490), 0x12345678);
	vcheck("IER while it is off", REQ("svm.2.17.7.22") "reads and writes", mmio_read(APIC(0x490)), 0x12345678);
	mmio_write(APIC(0x490), ~0u);
	mmio_write(APIC(0x410), 3);
	on_exception(0x62, nothing);
	mmio_write(APIC(0x310), 0);
	mmio_write(APIC(0x300), 0x40062);
	asm volatile("sti; nop; cli" ::: "memory");
	vcheck("SEOI", "in service", in_service(0x62), 1);
	mmio_write(APIC(0x420), 0x63);
	vcheck("SEOI of a vector not in service", REQ("svm.E.6.5") "nothing happens", in_service(0x62), 1);
	mmio_write(APIC(0x420), 0xabcdef62);
	vcheck("SEOI", REQ("svm.2.17.7.13 svm.2.17.7.22") "bits 31:8 are ignored", in_service(0x62), 0);
	mmio_write(APIC(0x410), 0);
}

void test_decisions(void)
{
	reserved_bits();
	no_iterations();
	pause_filter();
	injected_intn();
	translations();
	extended_apic();
}
