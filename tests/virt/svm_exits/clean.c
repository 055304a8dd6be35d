/*
 * "VMCB Clean Bits": a field changes in memory while its bit says that it did not. What is kept is seen by the guest, or
 * by a VMRUN that would refuse the new value; never cached is what the manual lists so.
 */
#include "exits.h"

SNIPPET(nothing, "", "nop");
SNIPPET(see_cr8, "mov %cr8, %rax", "mov %rax, seen");
SNIPPET(see_gdtr, "movq $0, seen", "sgdt seen");
SNIPPET(see_ds, "mov %ds, %eax", "mov %rax, seen");
SNIPPET(see_cr2, "mov %cr2, %rax", "mov %rax, seen");
SNIPPET(see_dbgctl, "mov $0x1d9, %ecx; rdmsr", "mov %eax, seen");
SNIPPET(see_rsp, "mov %rsp, seen", "nop");

static const struct {
	const char *name;
	const struct snippet *s; /* NULL: the new value is refused */
	u8 bit, width;
	u16 offset;
	u64 old, new;
} rows[] = {
	{"0, intercepts", NULL, 0, 4, 0x010, 3, 2},
	{"1, IOPM_BASE_PA", NULL, 1, 8, 0x040, 0, ~0xfffull},
	{"1, MSRPM_BASE_PA", NULL, 1, 8, 0x048, 0, ~0xfffull},
	{"2, ASID", NULL, 2, 4, 0x058, 1, 0},
	{"3, V_TPR", &see_cr8, 3, 8, 0x060, 1 << 24 | 3, 1 << 24 | 5},
	{"4, G_PAT", NULL, 4, 8, 0x668, 0x0007040600070406, 2},
	{"5, CR0", NULL, 5, 8, 0x558, 0x80000031, 0x180000031},
	{"5, EFER", NULL, 5, 8, 0x4d0, 0x1500, 0x500},
	{"6, DR6", NULL, 6, 8, 0x568, 0xffff0ff0, 0x1ffff0ff0},
	{"6, DR7", NULL, 6, 8, 0x560, 0x400, 0x100000400},
	{"7, GDTR limit", &see_gdtr, 7, 4, 0x464, 0x77, 0x7f},
	{"8, DS", &see_ds, 8, 2, 0x430, 0x10, 0x18},
	{"9, CR2", &see_cr2, 9, 8, 0x640, 0x1234, 0x5678},
	{"10, DBGCTL", &see_dbgctl, 10, 8, 0x670, 0, 1},
};

static u64 observe(unsigned n, struct vmcb *at, u64 value, u32 clean)
{
	struct vmcb *mine = v;
	u64 r, kept;

	v = at;
	memcpy((u8 *)v + rows[n].offset, &value, rows[n].width);
	v->clean = clean;
	v->rip = (u64)(rows[n].s ? rows[n].s : &nothing)->entry;
	r = go();
	kept = rows[n].s ? seen[0] & 0xffff : r == EXIT_VMMCALL;
	v = mine;
	if (rows[n].s && r != EXIT_VMMCALL)
		return ~0ull;
	return kept;
}

static void one(unsigned n, bool caches)
{
	static struct vmcb moved;
	u64 old = rows[n].s ? rows[n].old & 0xffff : 1, new = rows[n].s ? rows[n].new & 0xffff : 0;
	u32 bit = 1u << rows[n].bit;

	base(rows[n].s ? rows[n].s : &nothing);
	v->lbrv = 1;
	u64 value = rows[n].offset == 0x40 ? v->iopm_pa : rows[n].offset == 0x48 ? v->msrpm_pa : rows[n].old;

	vcheck(rows[n].name, "first run", observe(n, v, value, 0), old);
	vcheck(rows[n].name, "bit set: kept", observe(n, v, rows[n].new, bit), caches ? old : new);
	if (caches)
		vcheck(rows[n].name, "all bits set: kept", observe(n, v, rows[n].new, ~0u), old);
	vcheck(rows[n].name, "the others set: read", observe(n, v, rows[n].new, ~bit), new);
	observe(n, v, value, 0);
	memcpy(&moved, v, sizeof(moved));
	vcheck(rows[n].name, "another VMCB: read", observe(n, &moved, rows[n].new, ~0u), new);
}

/* RIP, RSP, RAX, RFLAGS, EVENTINJ, TLB_CONTROL and INTERRUPT_SHADOW are read at every VMRUN. */
static void never_cached(void)
{
	base(&see_rsp);
	vcheck("RSP", "code", go(), EXIT_VMMCALL);
	v->clean = ~0u;
	v->rsp = 0x12340;
	v->rip = (u64)see_rsp.entry;
	vcheck("RSP, all bits set", "code", go(), EXIT_VMMCALL);
	vcheck("RSP, all bits set", "read", seen[0], 0x12340);
	v->rip = (u64)nothing.entry;
	v->eventinj = 0x80000100;
	vcheck("EVENTINJ, all bits set", "read", go(), ~0ull);
}

void test_clean(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	for (unsigned n = 0; n < COUNT(rows); n++)
		if (rows[n].offset < 0x670 || (r[3] & 2))
			one(n, r[3] >> 5 & 1);
	never_cached();
}
