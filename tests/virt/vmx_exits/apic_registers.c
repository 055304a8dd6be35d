/*
 * The virtual-APIC page register by register: which offsets are virtual to reads and writes of the APIC-access page and to
 * MSRs, EOI of every vector against the four EOI-exit bitmaps, and interrupts that are not the notification vector.
 * "APIC Virtualization and Virtual Interrupts".
 */
#include "exits.h"

#define ACCESS 0x10000000ull
SNIPPET(r_read, "mov seen+64, %rbx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(r_write, "mov seen+64, %rbx", "movl $0, (%rbx)");
SNIPPET(r_rdmsr, "mov seen+64, %ecx", "rdmsr; mov %eax, seen; mov %edx, seen+4");
SNIPPET(r_eoi, "mov $0x100000b0, %ebx", "movl $0x77, (%rbx)");
SNIPPET(r_cli, "", "nop");
SNIPPET(r_nops, "sti; nop; nop", "nop");

enum { EOI = 0xb0, ISR = 0x100, PPR = 0xa0 };

static u32 *vapic;

static void apic_base(const struct snippet *s, u32 proc2)
{
	static u64 *table;
	static u64 page;

	base(s);
	if (!table) {
		page = (u64)page_alloc();
		vapic = page_alloc();
		table = page_alloc();
	}
	memset(vapic, 0, 4096);
	on(VMCS_PROC, P_TPR);
	on(VMCS_PROC2, proc2);
	if (proc2 & S_DELIVERY)
		on(VMCS_PIN, PIN_EXT);
	vmx_write(VMCS_VAPIC, (u64)vapic);
	vmx_write(VMCS_APIC_ACCESS, page);
	for (u64 n = 0; n < 512; n++)
		table[n] = (n ? ACCESS + n * 4096 : page) | 7 | 6 << 3;
	*vmx_ept_entry(ACCESS) = (u64)table | 7;
}

/* "Virtualizing Reads from the APIC-Access Page", "Virtualizing Writes to the APIC-Access Page", with "APIC-register
 * virtualization" 1: 1 read, 2 write. */
static unsigned virtual_to(unsigned offset)
{
	switch (offset) {
	case 0x20: case 0x80: case 0xb0: case 0xd0: case 0xe0: case 0xf0: case 0x280: case 0x300: case 0x310: case 0x320:
	case 0x330: case 0x340: case 0x350: case 0x360: case 0x370: case 0x380: case 0x3e0:
		return 3;
	case 0x30: return 1; /* the version */
	default: return offset >= 0x100 && offset < 0x280; /* ISR, TMR, IRR */
	}
}

static void page_accesses(void)
{
	for (unsigned offset = 0; offset < 0x1000; offset += 16) {
		unsigned to = virtual_to(offset);
		bool silent = offset == 0x80 || offset == 0x310; /* TPR; the high half of ICR: bytes 2:0 are cleared */
		u64 r;

		apic_base(&r_read, S_APIC | S_REGISTERS);
		vapic[offset / 4] = 0x5a000000 | offset;
		seen[8] = ACCESS + offset;
		seen[0] = 0;
		r = go();
		vcheck("APIC-access page", "read", r, to & 1 ? R_VMCALL : R_APIC_ACCESS);
		vcheck("APIC-access page", "value or qualification", r == R_VMCALL ? seen[0] : vmx_read(VMCS_QUALIFICATION),
		       to & 1 ? 0x5a000000 | offset : offset);
		apic_base(&r_write, S_APIC | S_REGISTERS);
		vapic[offset / 4] = 0x5a000000 | offset;
		seen[8] = ACCESS + offset;
		r = go();
		vcheck("APIC-access page", "write", r, silent ? R_VMCALL : to & 2 ? R_APIC_WRITE : R_APIC_ACCESS);
		vcheck("APIC-access page", "written", vapic[offset / 4], to & 2 ? 0 : 0x5a000000 | offset);
		if (!silent)
			vcheck("APIC-access page", "write, qualification", vmx_read(VMCS_QUALIFICATION),
			       to & 2 ? offset : 0x1000 | offset);
	}
}

/* "Virtualizing MSR-Based APIC Accesses": RDMSR of any of 800h to 8FFh reads the page, and no other MSR does. */
static void msr_reads(void)
{
	for (u32 index = 0x7ff; index <= 0x900; index++) {
		bool apic = index >> 8 == 8;

		apic_base(&r_rdmsr, S_X2APIC | S_REGISTERS);
		on(VMCS_PROC, P_MSR_MAP);
		vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
		vmx_write(VMCS_EXCEPTIONS, 1 << 13);
		vapic[(index & 0xff) * 4] = 0x11110000 | index;
		vapic[(index & 0xff) * 4 + 1] = 0x2222;
		seen[8] = index;
		seen[0] = 0;
		vcheck("x2APIC MSR", "read", go(), apic ? R_VMCALL : R_EXCEPTION);
		vcheck("x2APIC MSR", "value", seen[0], apic ? 0x222211110000 | index : 0);
		if (index == 0x80f || index == 0x8fe)
			index = index == 0x80f ? 0x82e : 0x8fe; /* the rest is alike */
	}
	apic_base(&r_rdmsr, S_X2APIC); /* without register virtualization the TPR alone is virtual */
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	vapic[0x80 / 4] = 0x60;
	seen[8] = 0x808;
	check("TPR by MSR", go(), R_VMCALL);
	check("TPR by MSR: value", seen[0], 0x60);
	vmx_write(VMCS_GUEST_RIP, (u64)r_rdmsr.entry);
	seen[8] = 0x80b;
	check("EOI by RDMSR", again(), R_EXCEPTION);
}

/* "EOI Virtualization": the highest vector in service ends, the next becomes SVI; RVI stays. */
static void ends(void)
{
	static const u8 vectors[] = {0x30, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff, 0x55};

	for (unsigned n = 0; n < sizeof(vectors); n++)
		for (unsigned in_map = 0; in_map < 3; in_map++) {
			unsigned v = vectors[n];
			u64 r;

			apic_base(&r_eoi, S_APIC | S_REGISTERS | S_DELIVERY);
			off(VMCS_PROC, P_WINDOW);
			vmx_write(VMCS_INT_STATUS, v << 8 | 0x11);
			vapic[(0x200 + 0x00) / 4] = 1 << 0x11; /* pending, below everything */
			vapic[(ISR + v / 32 * 16) / 4] |= 1u << v % 32;
			vapic[(ISR + 0x10) / 4] |= 1u << 1; /* 21h */
			for (unsigned m = 0; m < 4; m++)   /* its own bit; nothing; every bit but its own */
				vmx_write(VMCS_EOI0 + 2 * m, in_map == 2 ? ~0ull : 0);
			vmx_write(VMCS_EOI0 + 2 * (v / 64), in_map == 0 ? 1ull << v % 64 : in_map == 2 ? ~(1ull << v % 64) : 0);
			vapic[0x300 / 4] = 0x1234;
			r = go();
			check("EOI: the register is 0, its neighbours stay", vapic[EOI / 4] == 0 && vapic[0x300 / 4] == 0x1234, 1);
			check("EOI: exits by its bit alone", r, in_map == 0 ? R_EOI : R_VMCALL);
			if (in_map == 0)
				check("EOI: its vector", vmx_read(VMCS_QUALIFICATION), v);
			check("EOI: the next in service, RVI stays", vmx_read(VMCS_INT_STATUS), 0x2111);
			check("EOI: its bit", vapic[(ISR + v / 32 * 16) / 4] >> v % 32 & 1, 0);
			check("EOI: the other one's bit", vapic[(ISR + 0x10) / 4] >> 1 & 1, 1);
			check("EOI: PPR", vapic[PPR / 4], 0x20);
		}
}

/* "Posted-Interrupt Processing" is for one vector; any other is acknowledged and exits. */
static void other_vectors(void)
{
	u32 *pid = page_alloc();
	static const u8 vectors[] = {0x51, 0xe1, 0xe3, 0x62};

	for (unsigned n = 0; n < sizeof(vectors); n++) {
		apic_base(&r_nops, S_APIC | S_REGISTERS | S_DELIVERY);
		on(VMCS_PIN, PIN_POSTED);
		on(VMCS_EXIT_CONTROLS, X_ACK);
		vmx_write(VMCS_PI_VECTOR, 0xe2);
		vmx_write(VMCS_PID, (u64)pid);
		pid[0x55 / 32] = 1 << (0x55 & 31);
		pid[8] = 1;
		mmio_write(0xfee000f0, 0x1ff);
		mmio_write(0xfee00300, 0x40000u | vectors[n]);
		check("another vector: exits", go(), R_INTERRUPT);
		check("another vector: which", vmx_read(VMCS_EXIT_EVENT), 0x80000000u | vectors[n]);
		check("another vector: qualification", vmx_read(VMCS_QUALIFICATION), 0);
		check("another vector: nothing is taken from the descriptor", pid[8] == 1 && pid[0x55 / 32] != 0, 1);
		check("another vector: RVI", vmx_read(VMCS_INT_STATUS), 0);
		mmio_write(0xfee000b0, 0);
	}
	apic_base(&r_nops, S_APIC | S_REGISTERS | S_DELIVERY); /* without posting, whatever the vector */
	mmio_write(0xfee00300, 0x400e2);
	check("no posting: exits", go(), R_INTERRUPT);
	check("no posting: qualification", vmx_read(VMCS_QUALIFICATION), 0);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	mmio_write(0xfee000b0, 0);
}

/* All that is posted is requested in VIRR, on top of what was; RVI is the highest of it. */
static void posting(void)
{
	u32 *pid = page_alloc();
	static const u8 posted[] = {0x20, 0x3f, 0x45, 0x91, 0xfe};

	for (unsigned lowest = 0; lowest < 2; lowest++) {
		apic_base(&r_cli, S_APIC | S_REGISTERS | S_DELIVERY);
		on(VMCS_PIN, PIN_POSTED);
		on(VMCS_EXIT_CONTROLS, X_ACK);
		vmx_write(VMCS_PI_VECTOR, 0xe2);
		vmx_write(VMCS_PID, (u64)pid);
		memset(pid, 0, 64);
		vapic[0x210 / 4] = 1 << 1; /* 21h is requested */
		vmx_write(VMCS_INT_STATUS, 0x21);
		for (unsigned n = 0; n < (lowest ? 1 : sizeof(posted)); n++)
			pid[posted[n] / 32] |= 1u << posted[n] % 32;
		pid[8] = 1;
		mmio_write(0xfee000f0, 0x1ff);
		mmio_write(0xfee00300, 0x400e2);
		check("posting: no exit", go(), R_VMCALL);
		check("posting: RVI", vmx_read(VMCS_INT_STATUS), lowest ? 0x21 : 0xfe);
		check("posting: what was requested stays", vapic[0x210 / 4] >> 1 & 1, 1);
		for (unsigned n = 0; n < (lowest ? 1 : sizeof(posted)); n++)
			check("posting: in VIRR", vapic[(0x200 + posted[n] / 32 * 16) / 4] >> posted[n] % 32 & 1, 1);
		for (unsigned n = 0; n < 8; n++)
			check("posting: the descriptor is empty", pid[n], 0);
		check("posting: ON is clear", pid[8], 0);
	}
}

static bool take(struct regs *r)
{
	(void)r;
	return true;
}

/* ---- accesses that no instruction names, and the MSRs ---- */

#define PAGE 0x10000000000ull /* a linear address whose entry of the first table is this test's: 1 TiB */
SNIPPET(r_nop, "nop", "nop");
SNIPPET(r_page, "mov $0x10000000000, %rbx", "mov (%rbx), %eax");
SNIPPET(r_x2apic_eoi, "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(r_bad_eoi, "mov $0x80b, %ecx; mov $1, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(r_self_low, "mov $0x83f, %ecx; mov $15, %eax; xor %edx, %edx", "wrmsr");

/* Types 3 and 15: pushed by a delivery, and read by a walk. */
static void accesses(void)
{
	u64 kept = pml4[PAGE >> 39];

	apic_base(&r_nop, S_APIC);
	vmx_write(VMCS_GUEST_RSP, ACCESS + 0x200);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000306);
	check("delivery to the APIC-access page", go(), R_APIC_ACCESS);
	check("delivery to the APIC-access page: type", vmx_read(VMCS_QUALIFICATION) >> 12, 3);
	check("delivery to the APIC-access page: vectoring", vmx_read(VMCS_VECTORING), 0x80000306);
	apic_base(&r_page, S_APIC);
	pml4[PAGE >> 39] = ACCESS | 7;
	check("walk through the APIC-access page", go(), R_APIC_ACCESS);
	check("walk through the APIC-access page: type", vmx_read(VMCS_QUALIFICATION) >> 12 & 15, 15);
	check("walk through the APIC-access page: vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
	pml4[PAGE >> 39] = kept;
	invlpg((void *)PAGE);
}

static void x2apic_base(const struct snippet *s)
{
	apic_base(s, S_X2APIC | S_DELIVERY);
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
}

static void x2apic(void)
{
	x2apic_base(&r_x2apic_eoi);
	vmx_write(VMCS_INT_STATUS, 0x5500);
	vapic[0x120 / 4] = 1 << 21;
	stays("x2APIC EOI", &r_x2apic_eoi);
	check("x2APIC EOI: nothing in service", vmx_read(VMCS_INT_STATUS), 0);
	check("x2APIC EOI: VISR", vapic[0x120 / 4], 0);
	x2apic_base(&r_bad_eoi);
	vmx_write(VMCS_INT_STATUS, 0x5500);
	vapic[0x120 / 4] = 1 << 21;
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("x2APIC EOI of 1", go(), R_EXCEPTION);
	check("x2APIC EOI of 1: #GP", vmx_read(VMCS_EXIT_EVENT), 0x80000b0d);
	check("x2APIC EOI of 1: still in service", vmx_read(VMCS_INT_STATUS), 0x5500);
	x2apic_base(&r_self_low);
	check("x2APIC self-IPI of vector 15: APIC-write exit", go(), R_APIC_WRITE);
	check("x2APIC self-IPI of vector 15: offset", vmx_read(VMCS_QUALIFICATION), 0x3f0);
	check("x2APIC self-IPI of vector 15: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)r_self_low.next);
}

void test_apic_registers(void)
{
	on_exception(0xe2, take);
	page_accesses();
	msr_reads();
	ends();
	other_vectors();
	posting();
	accesses();
	x2apic();
}
