/*
 * "IPI Virtualization": writes to the ICR, through the APIC-access page and by MSR 830h, that post into the descriptor the
 * PID-pointer table names, and those that exit instead ("APIC-Write Emulation", "Virtualizing MSR-Based APIC Accesses").
 */
#include "exits.h"

#define ACCESS 0x10000000ull /* where the guest finds the APIC-access page */
#define APIC   0xfee00000ull
SNIPPET(i_page, "mov $0x10000300, %ebx; mov seen+64, %eax", "mov %eax, (%rbx)");
SNIPPET(i_high, "mov $0x10000310, %ebx; mov seen+68, %eax", "mov %eax, (%rbx)");
SNIPPET(i_msr, "mov $0x830, %ecx; mov seen+64, %eax; mov seen+68, %edx", "wrmsr");
SNIPPET(i_read, "mov $0x830, %ecx", "rdmsr; mov %eax, seen; mov %edx, seen + 4");

SNIPPET(i_own, "mov $0x830, %ecx; mov seen+64, %eax; mov seen+68, %edx; sti", "wrmsr; nop; nop; cli");

enum { LAST = 3, ON = 1, SN = 2, VECTOR = 0x55, PID_CONTROL = 8, PID_NDST = 9 };
enum outcome { POSTED, EXITS, SELF, FAULTS };

static u32 *vapic, *pid[LAST + 1];
static u64 *table;
extern u64 irq_count; /* events.c's handler of vector 55h counts */

static void ipi_base(const struct snippet *s, u32 proc2, bool ipi)
{
	u64 page = (u64)page_alloc(), *small = page_alloc();

	base(s);
	vapic = page_alloc();
	table = page_alloc();
	for (unsigned n = 0; n <= LAST; n++) {
		pid[n] = page_alloc();
		pid[n][PID_CONTROL] = ON; /* a notification is under way: none is sent */
		table[n] = (u64)pid[n] | 1;
	}
	on(VMCS_PROC, P_TERTIARY | P_TPR | P_MSR_MAP);
	on(VMCS_PROC2, proc2);
	if (proc2 & S_DELIVERY)
		on(VMCS_PIN, PIN_EXT);
	vmx_write(VMCS_VAPIC, (u64)vapic);
	vmx_write(VMCS_APIC_ACCESS, page);
	vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
	vmx_write(VMCS_PROC3, ipi ? T_IPI : 0);
	vmx_write(VMCS_PID_POINTERS, (u64)table);
	vmx_write(VMCS_PID_POINTER_LAST, LAST);
	for (u64 n = 0; n < 512; n++)
		small[n] = (n ? ACCESS + n * 4096 : page) | 7 | 6 << 3;
	*vmx_ept_entry(ACCESS) = (u64)small | 7;
	if (proc2 & S_DELIVERY)
		vmx_write(VMCS_INT_STATUS, 0);
}

static bool posted_in(const u32 *descriptor, unsigned vector)
{
	bool only = true;

	for (unsigned n = 0; n < 8; n++)
		only &= descriptor[n] == (n == vector / 32 ? 1u << (vector & 31) : 0);
	return only;
}

static bool untouched(void)
{
	u32 any = 0;

	for (unsigned n = 0; n <= LAST; n++)
		for (unsigned w = 0; w < 8; w++)
			any |= pid[n][w];
	return !any;
}

static void expect(const char *name, const struct snippet *s, u64 icr, u32 target, enum outcome o)
{
	u64 r;

	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	seen[8] = icr;
	r = go();
	vcheck(name, "reason", r, o == EXITS ? R_APIC_WRITE : o == FAULTS ? R_EXCEPTION : R_VMCALL);
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)(o == FAULTS ? s->at : s->next));
	if (o == POSTED)
		vcheck(name, "posted", posted_in(pid[target], (u8)icr), 1);
	else
		vcheck(name, "nothing is posted", untouched(), 1);
	if (o == EXITS)
		vcheck(name, "offset", vmx_read(VMCS_QUALIFICATION), 0x300);
	if (o == FAULTS)
		vcheck(name, "#GP(0)", vmx_read(VMCS_EXIT_EVENT) == 0x80000b0d && !vmx_read(VMCS_EXIT_ERROR), 1);
	if (o == SELF)
		vcheck(name, "requested of itself", vmx_read(VMCS_INT_STATUS), (u8)icr);
	vcheck(name, "the page's ICR", vapic[0x300 / 4], o == FAULTS ? 0 : (u32)icr);
}

struct row {
	const char *name;
	u32 low, high; /* high: the target */
	enum outcome page, msr;
	bool delivery; /* with virtual-interrupt delivery on */
};

static const struct row rows[] = {
	{"a fixed IPI", VECTOR, 2, POSTED, POSTED, false},
	{"with the assert bit", 1 << 14 | VECTOR, 2, POSTED, POSTED, false},
	{"with delivery on", VECTOR, 2, POSTED, POSTED, true},
	{"target 0", VECTOR, 0, POSTED, POSTED, false},
	{"the last index", VECTOR, LAST, POSTED, POSTED, false},
	{"beyond the last index", VECTOR, LAST + 1, EXITS, EXITS, false},
	{"broadcast", VECTOR, 0xff, EXITS, EXITS, false},
	{"vector 16", 16, 1, POSTED, POSTED, false},
	{"vector 255", 255, 1, POSTED, POSTED, false},
	{"vector 15", 15, 1, EXITS, EXITS, false},
	{"vector 0", 0, 1, EXITS, EXITS, false},
	{"logical", 1 << 11 | VECTOR, 2, EXITS, EXITS, false},
	{"lowest priority", 1 << 8 | VECTOR, 2, EXITS, EXITS, false},
	{"NMI", 4 << 8 | VECTOR, 2, EXITS, EXITS, false},
	{"INIT", 5 << 8, 2, EXITS, EXITS, false},
	{"start-up", 6 << 8 | VECTOR, 2, EXITS, EXITS, false},
	{"delivery status", 1 << 12 | VECTOR, 2, EXITS, EXITS, false},
	{"level", 1 << 15 | VECTOR, 2, EXITS, EXITS, false},
	{"bit 13", 1 << 13 | VECTOR, 2, EXITS, FAULTS, false},
	{"bit 16", 1 << 16 | VECTOR, 2, EXITS, FAULTS, false},
	{"bit 17", 1 << 17 | VECTOR, 2, EXITS, FAULTS, false},
	{"bit 20", 1 << 20 | VECTOR, 2, EXITS, FAULTS, false},
	{"bit 31", 1u << 31 | VECTOR, 2, EXITS, FAULTS, false},
	{"to itself, no delivery", 1 << 18 | VECTOR, 2, EXITS, EXITS, false},
	{"to itself", 1 << 18 | VECTOR, 2, SELF, EXITS, true},
	{"to itself, vector 15", 1 << 18 | 15, 2, EXITS, EXITS, true},
	{"to itself, logical", 1 << 18 | 1 << 11 | VECTOR, 2, SELF, EXITS, true},
	{"to itself, level", 1 << 18 | 1 << 15 | VECTOR, 2, EXITS, EXITS, true},
	{"all including itself", 2 << 18 | VECTOR, 2, EXITS, EXITS, true},
	{"all excluding itself", 3 << 18 | VECTOR, 2, EXITS, EXITS, true},
};

static void writes(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		const struct row *t = &rows[n];

		ipi_base(&i_page, S_APIC | (t->delivery ? S_DELIVERY : 0), true);
		vapic[0x310 / 4] = t->high << 24;
		expect(t->name, &i_page, t->low, t->high, t->page);
		ipi_base(&i_msr, S_X2APIC | (t->delivery ? S_DELIVERY : 0), true);
		expect(t->name, &i_msr, (u64)t->high << 32 | t->low, t->high, t->msr);
		vcheck(t->name, "the page's upper half", vapic[0x304 / 4], t->msr == FAULTS ? 0 : t->high);
	}
	ipi_base(&i_msr, S_X2APIC, true); /* all 32 bits of the destination count */
	expect("target 2^31 + 2", &i_msr, 0x8000000200000000 | VECTOR, 2, EXITS);
	ipi_base(&i_page, S_APIC, true); /* 23:0 of ICR_HI are no part of it */
	vapic[0x310 / 4] = 2u << 24 | 0xffffff;
	expect("ICR_HI 23:0", &i_page, VECTOR, 2, POSTED);
	ipi_base(&i_high, S_APIC | S_REGISTERS, true);
	seen[8] = 0x2ffffffull << 32;
	stays("ICR_HI", &i_high);
	check("ICR_HI: bytes 2 to 0 are cleared", vapic[0x310 / 4], 2u << 24);
}

static void table_entries(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	const struct {
		const char *name;
		u64 flip;
		enum outcome o;
	} bad[] = {
	        {"entry: not valid", 1, EXITS},     {"entry: bit 1", 2, EXITS},
	        {"entry: bit 5", 1 << 5, EXITS},    {"entry: the first bit too wide", 1ull << (r[0] & 0xff), EXITS},
	        {"entry: bit 63", 1ull << 63, EXITS},
	};

	for (unsigned n = 0; n < 2 * COUNT(bad); n++) {
		const struct snippet *s = n & 1 ? &i_msr : &i_page;

		ipi_base(s, n & 1 ? S_X2APIC : S_APIC, true);
		table[2] ^= bad[n / 2].flip;
		vapic[0x310 / 4] = 2u << 24;
		expect(bad[n / 2].name, s, 2ull << 32 | VECTOR, 2, bad[n / 2].o);
	}
	ipi_base(&i_page, S_APIC, true); /* 64 bytes are enough of an alignment */
	table[2] += 64;
	pid[2][16 + PID_CONTROL] = ON;
	vapic[0x310 / 4] = 2u << 24;
	seen[8] = VECTOR;
	stays("descriptor in a page", &i_page);
	check("descriptor in a page: posted", posted_in(pid[2] + 16, VECTOR), 1);
}

/* ON and SN hold the notification back; the vector is posted all the same. */
static void notifications(bool x2, u32 id)
{
	const struct {
		const char *name;
		u32 control, ndst;
		bool sent;
		u32 after;
	} note[] = {
	        {"notified", 0, x2 ? id : id << 8, true, ON},
	        {"ON", ON, x2 ? id : id << 8, false, ON},
	        {"SN", SN, x2 ? id : id << 8, false, SN},
	        {"ON and SN", ON | SN, x2 ? id : id << 8, false, ON | SN},
	        {"another processor", 0, x2 ? id | 0x100 : 7 << 8, false, ON},
	        {"the rest of NDST", 0, x2 ? id | 1u << 31 : id << 8 | 7, !x2, ON},
	};

	for (unsigned n = 0; n < COUNT(note); n++) {
		u64 r;

		ipi_base(&i_msr, S_X2APIC, true);
		on(VMCS_PIN, PIN_EXT);
		on(VMCS_EXIT_CONTROLS, X_ACK);
		pid[2][PID_CONTROL] = note[n].control | 0x61u << 16;
		pid[2][PID_NDST] = note[n].ndst;
		seen[8] = 2ull << 32 | VECTOR;
		r = go();
		vcheck(note[n].name, "reason", r, note[n].sent ? R_INTERRUPT : R_VMCALL);
		vcheck(note[n].name, "posted", posted_in(pid[2], VECTOR), 1);
		vcheck(note[n].name, "ON and SN", pid[2][PID_CONTROL] & 0xffff, note[n].after);
		vcheck(note[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)i_msr.next);
		if (r != R_INTERRUPT)
			continue;
		vcheck(note[n].name, "the notification vector", vmx_read(VMCS_EXIT_EVENT), 0x80000061);
		if (x2)
			wrmsr(MSR_X2APIC_EOI, 0);
		else
			mmio_write(APIC + 0xb0, 0);
	}
}

/* The target's descriptor is this processor's own: the notification is processed as a posted interrupt, and the guest has
 * it without an exit. */
static void round_trip(u32 id)
{
	u64 count;

	ipi_base(&i_own, S_X2APIC | S_DELIVERY, true);
	on(VMCS_PIN, PIN_POSTED);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	vmx_write(VMCS_PI_VECTOR, 0x62);
	vmx_write(VMCS_PID, (u64)pid[1]);
	pid[1][PID_CONTROL] = 0x62 << 16;
	pid[1][PID_NDST] = id << 8;
	seen[8] = 1ull << 32 | VECTOR;
	count = irq_count;
	stays("IPI to its own descriptor", &i_own);
	check("IPI to its own descriptor: delivered", irq_count, count + 1);
	check("IPI to its own descriptor: nothing is posted", untouched(), 1);
	check("IPI to its own descriptor: ON", pid[1][PID_CONTROL], 0x62 << 16);
	check("IPI to its own descriptor: in service", vmx_read(VMCS_INT_STATUS), VECTOR << 8);
}

static void x2apic_host(u32 id)
{
	u64 apic_base = rdmsr(MSR_APIC_BASE);

	wrmsr(MSR_APIC_BASE, apic_base | 1 << 10);
	wrmsr(MSR_X2APIC_SVR, 0x1ff);
	notifications(true, id);
	wrmsr(MSR_APIC_BASE, apic_base & ~0xc00ull);
	wrmsr(MSR_APIC_BASE, apic_base);
	mmio_write(APIC + 0xf0, 0x1ff);
	mmio_write(APIC + 0x350, 1 << 16);
}

/* Without the control, and what is asked before it. */
static void around(void)
{
	ipi_base(&i_page, S_APIC, false);
	check("ICR, no control: APIC-access exit", go(), R_APIC_ACCESS);
	ipi_base(&i_page, S_APIC | S_DELIVERY, false);
	seen[8] = VECTOR;
	check("ICR, delivery alone: APIC-write exit", go(), R_APIC_WRITE);
	ipi_base(&i_msr, S_X2APIC, false);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("MSR 830h, no control: the local APIC is no x2APIC", go(), R_EXCEPTION);
	ipi_base(&i_msr, S_X2APIC, true);
	((u8 *)vmx_read(VMCS_MSR_BITMAP))[0x800 + 0x830 / 8] = 1; /* write low */
	leaves("MSR 830h by the bitmap", &i_msr, 32, 0);
	check("MSR 830h by the bitmap: nothing is posted", untouched() && !vapic[0x300 / 4], 1);
	ipi_base(&i_read, S_X2APIC | S_REGISTERS, true);
	vapic[0x300 / 4] = 0x1234;
	vapic[0x304 / 4] = 0x5678;
	stays("MSR 830h read", &i_read);
	check("MSR 830h read: both halves", seen[0], 0x567800001234);
}

void test_ipi(void)
{
	u32 id = mmio_read(APIC + 0x20) >> 24;

	mmio_write(APIC + 0xf0, 0x1ff);
	writes();
	table_entries();
	notifications(false, id);
	round_trip(id);
	x2apic_host(id);
	around();
}
