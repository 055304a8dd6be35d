/*
 * What the manual leaves open or gets wrong, as docs/ERRATA.md and docs/requirements have decided it: each decision is
 * looked at as a monitor sees it.
 */
#include "exits.h"

#define APIC(offset) (0xfee00000 + (offset))

SNIPPET(plain, "", "nop");

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
		on((struct icpt)ICPT(EXIT_PAUSE));
		v->pause_count = count;
		vcheck("PAUSE filter", "code", go(), EXIT_PAUSE);
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
	vcheck("INTn injected, gate of DPL 0 at CPL 3", "#GP", go(), EXIT_GP);
	vcheck("INTn injected, gate of DPL 0 at CPL 3", "its error code: the gate", v->exitinfo1, 0x60 * 8 + 2);
	gidt[0x60] = saved;
	/* its return address is nRIP, wherever that is */
	static const int distance[] = {0, 1, 15, 16, 0x100, -1, -0x200};
	static const u32 events[] = {0x80000460, 0x80000303}; /* INTn, INT3 */

	for (unsigned n = 0; n < 2 * COUNT(distance) && nrips; n++) {
		base(&plain);
		own_idt();
		v->eventinj = events[n & 1];
		v->nrip = v->rip + (u64)(long)distance[n / 2];
		vcheck("software event injected", "code", go(), EXIT_VMMCALL);
		vcheck("software event injected", "the return address is nRIP", *(u64 *)v->rsp,
		       (u64)plain.entry + (u64)(long)distance[n / 2]);
	}
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
	no_iterations();
	pause_filter();
	injected_intn();
	translations();
	extended_apic();
}
