/* Stale translations, on both makers' processors: one guest that does what it is told at one address, and a monitor that changes
 * what the address means. The bad ones forget the flush, or make it where it does not help. */
#include "tables.h"

bool intel;
struct processor first;
u64 *table, page_a, page_b;
static struct processor second;
static volatile enum todo todo;
static volatile u64 where, sink;
static u64 *upper, root;

static void guest_code(void)
{
	for (;;) {
		if (todo == READ)
			sink = *(volatile u64 *)where;
		else if (todo == WRITE)
			*(volatile u64 *)where = 0xc3;
		else
			((void (*)(void))where)();
		asm volatile("hlt");
	}
}

/* ---- tables ---- */

u64 table_entry(u64 page, unsigned how)
{
	if (how == NOTHING)
		return 0;
	if (intel)
		return page | (how == READABLE ? 1 : how == WRITABLE ? 3 : 7) | (how == UNCACHED ? 0 : 6 << 3) | 1 << 8 |
		       (how == CLEAN ? 0 : 1 << 9);
	return page | 1 << 0 | (how == READABLE ? 0 : 1 << 1) | 1 << 2 | (how == UNCACHED ? 3 << 3 : 0) | 1 << 5 |
	       (how == CLEAN ? 0 : 1 << 6) | (how == READABLE || how == WRITABLE ? 1ull << 63 : 0);
}

u64 table_pointer(u64 to)
{
	return to | (intel ? 7 : 0x67);
}

u64 *table_pde(u64 address)
{
	return intel ? vmx_ept_entry(address) : svm_nested_entry(first.v, address);
}

static void fill(u64 *t, u64 page)
{
	for (unsigned n = 0; n < 512; n++)
		t[n] = table_entry(page, FULL);
}

/* ---- the guest ---- */

static void begin_on(struct processor *p)
{
	*p = (struct processor){.stack = (u64)stack_of()};
	if (intel) {
		expect("VMXON", vmx_enable(), true);
		p->vmcs = (u64)vmx_guest(guest_code, p->stack);
		vmx_write(VMCS_EPTP, root ? root : vmx_read(VMCS_EPTP) | 1 << 6);
		root = vmx_read(VMCS_EPTP);
	} else {
		expect("SVM", svm_enable(), true);
		p->v = svm_guest(guest_code, p->stack, true);
		p->v->ncr3 = root ? root : p->v->ncr3;
		root = p->v->ncr3;
	}
}

void guest_begin(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	intel = r[1] == 0x756e6547;
	begin_on(&first);
	table = page_alloc();
	page_a = (u64)page_alloc();
	page_b = (u64)page_alloc();
	*(u8 *)page_a = *(u8 *)page_b = 0xc3;
	fill(table, page_a);
	upper = table_pde(AREA);
	*upper = table_pointer((u64)table);
}

static void end_on(struct processor *p)
{
	if (!intel)
		return;
	vmx_clear(p->vmcs);
	vmx_disable();
}

static void visit_on(struct processor *p, u64 address, enum todo what)
{
	todo = what;
	where = address;
	if (!intel) {
		p->v->rip = (u64)guest_code;
		svm_run(p->v);
		p->v->tlb_control = 0;
		return;
	}
	vmx_write(VMCS_GUEST_RIP, (u64)guest_code);
	expect("VM entry", (u64)vmx_run(p->launched), VMX_OK);
	p->launched = true;
}

void guest_visit(u64 address, enum todo what)
{
	visit_on(&first, address, what);
}

static void flush_on(struct processor *p)
{
	if (intel)
		vmx_invept();
	else
		p->v->tlb_control = 3;
}

static void flush(bool forgotten)
{
	if (!forgotten)
		flush_on(&first);
}

void guest_end_visits(void)
{
	end_on(&first);
}

/* ---- cases ---- */

static void change(bool bad, unsigned was, u64 page, unsigned now, enum todo what)
{
	guest_begin();
	table[0] = table_entry(page_a, was);
	guest_visit(AREA, was == READABLE ? READ : WRITE);
	table[0] = table_entry(page, now);
	flush(bad);
	guest_visit(AREA, what);
	guest_end_visits();
}

static void present(bool bad) { change(bad, FULL, 0, NOTHING, READ); }
static void rights(bool bad) { change(bad, FULL, page_a, READABLE, WRITE); }
static void execute(bool bad) { change(bad, FULL, page_a, WRITABLE, CALL); }
static void dirty(bool bad) { change(bad, FULL, page_a, CLEAN, WRITE); }
static void type(bool bad) { change(bad, FULL, page_a, UNCACHED, READ); }

static void address(bool bad)
{
	guest_begin();
	guest_visit(AREA, READ);
	table[0] = table_entry(page_b, FULL);
	flush(bad);
	guest_visit(AREA, READ);
	guest_end_visits();
}

/* A large page becomes a table of small ones, of which one is another. */
static void split(bool bad)
{
	guest_begin();
	u64 large = page_a & ~0x1fffffull;
	*upper = table_entry(large, FULL) | 1 << 7;
	flush(false);
	guest_visit(AREA + 0x3000, READ);
	for (unsigned n = 0; n < 512; n++)
		table[n] = table_entry(n == 4 ? page_b : large + 4096ull * n, FULL);
	*upper = table_pointer((u64)table);
	flush(bad);
	guest_visit(AREA + 0x3000, READ);
	guest_visit(AREA + 0x4000, READ);
	guest_end_visits();
}

/* The old table is something else by now: the processor may still look there. */
static void reused(bool bad)
{
	u64 *other;

	guest_begin();
	other = page_alloc();
	fill(other, page_b);
	guest_visit(AREA, READ);
	*upper = table_pointer((u64)other);
	flush(bad);
	fill(table, 0x1000);
	guest_visit(AREA + 0x7000, READ);
	guest_end_visits();
}

/* What is granted needs no flush, nor does what was not there; the twin does less. */
static void granted(bool bad)
{
	guest_begin();
	table[0] = table_entry(page_a, READABLE);
	table[1] = 0;
	guest_visit(AREA, READ);
	guest_visit(AREA + 0x1000, READ);
	table[0] = table_entry(page_a, FULL);
	table[1] = table_entry(page_b, FULL);
	guest_visit(AREA, WRITE);
	guest_visit(AREA + 0x1000, READ);
	if (bad) {
		table[0] = table_entry(page_b, FULL);
		guest_visit(AREA, READ);
	}
	guest_end_visits();
}

static bool second_flushes;
static void second_begins(void)
{
	begin_on(&second);
	visit_on(&second, AREA, READ);
}
static void second_visits(void)
{
	if (second_flushes)
		flush_on(&second);
	visit_on(&second, AREA, READ);
	end_on(&second);
}

/* Flushed on the processor that made the change alone. */
static void elsewhere(bool bad)
{
	guest_begin();
	guest_visit(AREA, READ);
	on_second(second_begins);
	table[0] = 0;
	flush(false);
	guest_visit(AREA + 0x1000, READ);
	second_flushes = !bad;
	on_second(second_visits);
	guest_end_visits();
	root = 0;
}

static void by_dma(bool bad)
{
	u64 *buffer;

	guest_begin();
	buffer = page_alloc();
	buffer[0] = table_entry(page_b, FULL);
	guest_visit(AREA, READ);
	expect("DMA", dma(0, (u64)buffer, 8), true);
	expect("DMA", dma(1, (u64)table, 8), true);
	flush(bad);
	guest_visit(AREA, READ);
	guest_end_visits();
}

/* Of a page that holds the guest's own tables. */
static void walk(bool bad)
{
	u64 *copy;

	guest_begin();
	copy = (u64 *)AREA;
	u64 *cr3 = (u64 *)(read_cr3() & ~0xfffull);
	memcpy((void *)page_a, cr3, 4096);
	memcpy((void *)page_b, cr3, 4096);
	if (intel)
		vmx_write(VMCS_GUEST_CR3, (u64)copy);
	else
		first.v->cr3 = (u64)copy;
	guest_visit(AREA + 0x5000, READ);
	table[0] = table_entry(page_b, FULL);
	flush(bad);
	guest_visit(0x40000000, READ);
	guest_end_visits();
}

/* INVVPID and INVLPGA reach what is cached of the guest's tables, not of the monitor's. */
static void wrong_flush(bool bad)
{
	u64 descriptor[2] = {1, 0};

	guest_begin();
	guest_visit(AREA, READ);
	table[0] = 0;
	if (intel)
		asm volatile("invvpid %0, %1" ::"m"(descriptor), "r"(2ull) : "cc", "memory");
	else
		asm volatile("invlpga" ::"a"(AREA), "c"(first.v->asid));
	flush(bad);
	guest_visit(AREA, READ);
	guest_end_visits();
}

/* Entries are tagged with the ASID alone. */
static void new_root(bool bad)
{
	u64 *l4, *l3, *l2;

	guest_begin();
	guest_visit(AREA, READ);
	struct vmcb *old = first.v, *other = svm_guest(guest_code, (u64)stack_of(), true);
	l4 = (u64 *)other->ncr3, l3 = (u64 *)(l4[0] & ~0xfffull), l2 = (u64 *)(l3[0] & ~0xfffull);
	(void)l2;
	old->ncr3 = other->ncr3;
	if (!bad)
		old->asid = 7;
	guest_visit(AREA, READ);
	guest_end_visits();
}

#define CASES(kind)                                                                                                    \
	{kind "/present", present}, {kind "/rights", rights}, {kind "/execute", execute}, {kind "/dirty", dirty},      \
	{kind "/type", type}, {kind "/address", address}, {kind "/split", split}, {kind "/reused", reused},            \
	{kind "/granted", granted}, {kind "/elsewhere", elsewhere}, {kind "/dma", by_dma}, {kind "/walk", walk},       \
	{kind "/wrong-flush", wrong_flush}

const struct one_case vmx_stale_cases[] = {CASES("ept.stale"), {NULL, NULL}};
const struct one_case svm_stale_cases[] = {CASES("npt.stale"), {"npt.stale/root", new_root}, {NULL, NULL}};
