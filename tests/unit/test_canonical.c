/*
 * Which width decides whether an address is canonical: the one of the paging mode in force, or the widest that the
 * processor has. One row an instruction; every cell is run: processors with and without 57-bit addresses, both modes,
 * addresses on each side of each limit. "5-Level Paging and 5-Level EPT", "Linear-Address Registers and Canonicality":
 * accesses and loads of RIP go by the mode; all other loads of registers that hold addresses go by the processor.
 */
#include "rig.h"

#include "cpu/control/msr.h"
#include "cpu/control/segs.h"

enum { CODE = 0x10000, STACK = 0x8000, DATA = 0x9000, GDT = 0xa000, IDT = 0xb000, PML5 = 0x20000, PML4 = 0x21000 };
enum { INT_VECTOR = 0x30, GDT_CODE = 0x08, GDT_DATA = 0x10, GDT_GATE = 0x20, GDT_LDT = 0x30, GDT_TSS = 0x40, GDT_USER = 0x50 };

static void write_tables(struct bus *b)
{
	static const u64 gdt[] = {
		[GDT_CODE / 8] = 0x00af9b000000ffff, [GDT_DATA / 8] = 0x00cf93000000ffff,
		[GDT_USER / 8] = 0x00cff3000000ffff, [GDT_USER / 8 + 1] = 0x00affb000000ffff,
	};

	bus_write(b, GDT, gdt, sizeof(gdt));
	bus_write_u64(b, PML5, PML4 | 7);
	bus_write_u64(b, PML4, 0x22007);
	bus_write_u64(b, 0x22000, 0x23007);
	for (u64 k = 0; k < 8; k++)
		bus_write_u64(b, 0x23000 + 8 * k, k << 21 | 0x87);
}

/* In long mode, the first 16 MiB mapped one to one, with a descriptor of each kind. */
static struct rig *rig_64(const char *spec, bool five)
{
	struct rig *r = rig_new(spec);
	struct cpu *c = r->c;

	write_tables(&r->bus);
	c->cr0 |= CR0_PE | CR0_PG | CR0_NE;
	c->cr4 = CR4_PAE | CR4_FSGSBASE | (five ? CR4_LA57 : 0) | (c->model == &model_intel ? CR4_VMXE : 0);
	c->cr3 = five ? PML5 : PML4;
	c->efer = EFER_LME | EFER_LMA | EFER_SCE;
	c->gdtr.base = GDT;
	c->gdtr.limit = 0xff;
	c->idtr.base = IDT;
	c->idtr.limit = 0xfff;
	c->seg[SEG_CS] = seg_from_descriptor(GDT_CODE, 0x00af9b000000ffff);
	c->seg[SEG_SS] = seg_from_descriptor(GDT_DATA, 0x00cf93000000ffff);
	c->star = (u64)GDT_CODE << 32 | (u64)(GDT_USER - 8) << 48;
	c->sysenter_cs = GDT_CODE;
	cpu_update_mode(c);
	return r;
}

/* ---- rows ---- */

enum width { BY_MODE, BY_PROCESSOR, ANY };
enum effect {
	LOADS,    /* allowed: the next instruction runs */
	ACCESSES, /* allowed: nothing is mapped there, #PF */
	JUMPS,    /* allowed: the fetch from there raises #PF; else the fault is the instruction's */
	FAILS,    /* else VMfail */
};

struct row {
	const char *name;
	enum width width;
	enum effect effect;
	u8 vector; /* else */
	u8 code[8], length;
	void (*prepare)(struct rig *r, u64 address);
	u16 error;
	bool intel; /* only where the instruction exists in long mode */
};

static void put_msr(struct rig *r, u32 index, u64 v)
{
	r->c->r[REG_RCX] = index;
	r->c->r[REG_RAX] = (u32)v;
	r->c->r[REG_RDX] = v >> 32;
}

static void fs_msr(struct rig *r, u64 v) { put_msr(r, 0xc0000100, v); }
static void gs_msr(struct rig *r, u64 v) { put_msr(r, 0xc0000101, v); }
static void kernel_gs_msr(struct rig *r, u64 v) { put_msr(r, 0xc0000102, v); }
static void lstar_msr(struct rig *r, u64 v) { put_msr(r, 0xc0000082, v); }
static void esp_msr(struct rig *r, u64 v) { put_msr(r, 0x175, v); }
static void eip_msr(struct rig *r, u64 v) { put_msr(r, 0x176, v); }
static void lstar(struct rig *r, u64 v) { r->c->lstar = v; }
static void sysenter_eip(struct rig *r, u64 v) { r->c->sysenter_eip = v; }
static void in_rax(struct rig *r, u64 v) { r->c->r[REG_RAX] = v; }
static void in_rbp(struct rig *r, u64 v) { r->c->r[REG_RBP] = v; }
static void in_rcx(struct rig *r, u64 v) { r->c->r[REG_RCX] = v; }
static void on_stack(struct rig *r, u64 v) { bus_write_u64(&r->bus, STACK, v); }

static void in_rdx(struct rig *r, u64 v)
{
	r->c->r[REG_RDX] = v;
	r->c->r[REG_RCX] = STACK;
}

static void far_frame(struct rig *r, u64 v)
{
	bus_write_u64(&r->bus, STACK, v);
	bus_write_u64(&r->bus, STACK + 8, GDT_CODE);
	bus_write_u64(&r->bus, STACK + 16, 2);
	bus_write_u64(&r->bus, STACK + 24, STACK);
	bus_write_u64(&r->bus, STACK + 32, GDT_DATA);
}

static void table(struct rig *r, u64 v)
{
	bus_write_u64(&r->bus, DATA, 0xff);
	bus_write_u64(&r->bus, DATA + 2, v);
}

static void system_segment(struct rig *r, u32 at, u64 type, u64 v)
{
	bus_write_u64(&r->bus, GDT + at, 0x67 | (v & 0xffffff) << 16 | (0x80 | type) << 40 | (v >> 24 & 0xff) << 56);
	bus_write_u64(&r->bus, GDT + at + 8, v >> 32);
}

static void ldt(struct rig *r, u64 v)
{
	system_segment(r, GDT_LDT, SYS_LDT, v);
	r->c->r[REG_RAX] = GDT_LDT;
}

static void tss(struct rig *r, u64 v)
{
	system_segment(r, GDT_TSS, SYS_TSS32, v);
	r->c->r[REG_RAX] = GDT_TSS;
}

static void put_gate(struct rig *r, u64 at, u64 type, u64 v)
{
	bus_write_u64(&r->bus, at, (v & 0xffff) | GDT_CODE << 16 | (0x80 | type) << 40 | (v >> 16 & 0xffff) << 48);
	bus_write_u64(&r->bus, at + 8, v >> 32);
}

static void idt_gate(struct rig *r, u64 v)
{
	put_gate(r, IDT + INT_VECTOR * 16, SYS_INT32, v);
}

static void call_gate(struct rig *r, u64 v)
{
	put_gate(r, GDT + GDT_GATE, SYS_CALL32, v);
	bus_write_u64(&r->bus, DATA, (u64)GDT_GATE << 32);
}

static void invalidation(struct rig *r, u64 v)
{
	bus_write_u64(&r->bus, DATA, 0);
	bus_write_u64(&r->bus, DATA + 8, v);
	r->c->r[REG_RAX] = 0; /* one address */
}

static void vmx_invalidation(struct rig *r, u64 v)
{
	invalidation(r, v);
	bus_write_u64(&r->bus, DATA, 1); /* VPID */
	r->c->virt_root = true;
}

#define B(...) {__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__})
static const struct row rows[] = {
	{"MOV from memory", BY_MODE, ACCESSES, EX_GP, B(0x8b, 0x08), in_rax, 0, false},
	{"MOV to memory by SS", BY_MODE, ACCESSES, EX_SS, B(0x89, 0x4d, 0x00), in_rbp, 0, false},
	{"JMP", BY_MODE, JUMPS, EX_GP, B(0xff, 0xe0), in_rax, 0, false},
	{"CALL", BY_MODE, JUMPS, EX_GP, B(0xff, 0xd0), in_rax, 0, false},
	{"RET", BY_MODE, JUMPS, EX_GP, B(0xc3), on_stack, 0, false},
	{"far RET", BY_MODE, JUMPS, EX_GP, B(0x48, 0xcb), far_frame, 0, false},
	{"IRETQ", BY_MODE, JUMPS, EX_GP, B(0x48, 0xcf), far_frame, 0, false},
	{"INT through a gate", BY_MODE, JUMPS, EX_GP, B(0xcd, INT_VECTOR), idt_gate, 0, false},
	{"CALL through a gate", BY_MODE, JUMPS, EX_GP, B(0xff, 0x1c, 0x25, DATA & 0xff, DATA >> 8, 0, 0), call_gate, 0, false},
	{"SYSCALL", BY_MODE, JUMPS, EX_GP, B(0x0f, 0x05), lstar, 0, false},
	{"SYSRET", BY_MODE, JUMPS, EX_GP, B(0x48, 0x0f, 0x07), in_rcx, 0, true},
	{"SYSENTER", BY_MODE, JUMPS, EX_GP, B(0x0f, 0x34), sysenter_eip, 0, true},
	{"SYSEXIT", BY_MODE, JUMPS, EX_GP, B(0x48, 0x0f, 0x35), in_rdx, 0, true},
	{"WRFSBASE", BY_MODE, LOADS, EX_GP, B(0xf3, 0x48, 0x0f, 0xae, 0xd0), in_rax, 0, false},
	{"WRGSBASE", BY_MODE, LOADS, EX_GP, B(0xf3, 0x48, 0x0f, 0xae, 0xd8), in_rax, 0, false},
	{"WRMSR FS_BASE", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), fs_msr, 0, false},
	{"WRMSR GS_BASE", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), gs_msr, 0, false},
	{"WRMSR KERNEL_GS_BASE", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), kernel_gs_msr, 0, false},
	{"WRMSR LSTAR", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), lstar_msr, 0, false},
	{"WRMSR SYSENTER_ESP", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), esp_msr, 0, false},
	{"WRMSR SYSENTER_EIP", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x30), eip_msr, 0, false},
	{"LGDT", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x01, 0x14, 0x25, DATA & 0xff, DATA >> 8, 0, 0), table, 0, false},
	{"LIDT", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x01, 0x1c, 0x25, DATA & 0xff, DATA >> 8, 0, 0), table, 0, false},
	{"LLDT", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x00, 0xd0), ldt, GDT_LDT, false},
	{"LTR", BY_PROCESSOR, LOADS, EX_GP, B(0x0f, 0x00, 0xd8), tss, GDT_TSS, false},
	{"INVPCID of an address", BY_PROCESSOR, LOADS, EX_GP, B(0x66, 0x0f, 0x38, 0x82, 0x03), invalidation, 0, false},
	{"INVVPID of an address", BY_PROCESSOR, FAILS, 0, B(0x66, 0x0f, 0x38, 0x81, 0x03), vmx_invalidation, 0, true},
	{"INVLPG", ANY, LOADS, 0, B(0x0f, 0x01, 0x38), in_rax, 0, false},
	{"MOV to DR0", ANY, LOADS, 0, B(0x0f, 0x23, 0xc0), in_rax, 0, false},
	{"SWAPGS", ANY, LOADS, 0, B(0x0f, 0x01, 0xf8), in_rax, 0, false},
};

/* ---- cells ---- */

static const struct {
	u64 address;
	unsigned bits; /* canonical from this width on; 64: never */
} addresses[] = {
	{0x00007ffffffff000, 48}, {0x0000800000000000, 57}, {0x00fffffffffff000, 57}, {0x0100000000000000, 64},
	{0xffff800000000000, 48}, {0xffff7ffffffff000, 57}, {0xff00000000000000, 57}, {0xfefffffffffff000, 64},
};

static void run_cell(const char *spec, bool five, bool la57, const struct row *w, u64 address, unsigned bits)
{
	struct rig *r = rig_64(spec, five);
	struct cpu *c = r->c;
	unsigned width = w->width == ANY ? 64 : w->width == BY_MODE ? (five ? 57 : 48) : la57 ? 57 : 48;
	bool allowed = bits <= width;

	bus_write(&r->bus, CODE, w->code, w->length);
	bus_write(&r->bus, CODE + w->length, "\xf4", 1); /* HLT behind it */
	c->r[REG_RIP] = CODE;
	c->r[REG_RSP] = STACK;
	c->r[REG_RBX] = DATA;
	w->prepare(r, address);
	cpu_run(c, r->clock.now + 100);

	bool faulted = r->first.type != EV_NONE, moved = r->first_rip != CODE;
	bool ok;

	if (w->effect == FAILS)
		ok = !faulted && !!(flags_get(c) & FL_CF) == !allowed;
	else if (!allowed)
		ok = faulted && r->first.vector == w->vector && r->first.error == w->error && !moved;
	else if (w->effect == LOADS)
		ok = !faulted || moved; /* what stands behind it may fault with the new tables */
	else
		ok = faulted && r->first.vector == EX_PF && r->first.payload == address && moved == (w->effect == JUMPS);
	if (!ok)
		fail_msg("%s, %u levels, %s of %llx: %s, vector %u at %llx", spec, five ? 5 : 4, w->name,
		         (unsigned long long)address, faulted ? "faults" : "does not fault", r->first.vector,
		         (unsigned long long)r->first_rip);
	rig_free(r);
}

static void test_cells(void **state)
{
	static const struct {
		const char *spec;
		bool la57, intel;
	} processors[] = {{"intel", true, true}, {"intel,-la57", false, true}, {"amd", false, false}, {"amd,+la57", true, false}};

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(processors); p++)
		for (int five = 0; five <= processors[p].la57; five++)
			for (const struct row *w = rows; w < rows + ARRAY_LEN(rows); w++)
				for (size_t a = 0; a < ARRAY_LEN(addresses) && (!w->intel || processors[p].intel); a++)
					run_cell(processors[p].spec, five, processors[p].la57, w, addresses[a].address, addresses[a].bits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
