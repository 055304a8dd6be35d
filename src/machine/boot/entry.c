#include "machine/boot/boot.h"

static struct seg flat(u16 sel, u32 ar)
{
	return (struct seg){.sel = sel, .ar = ar, .limit = 0xffffffff, .base = 0};
}

enum {
	AR_CODE32 = AR_CODE | AR_W | AR_A | AR_S | AR_P | AR_DB | AR_G,
	AR_CODE64 = AR_CODE | AR_W | AR_A | AR_S | AR_P | AR_L | AR_G,
	AR_DATA32 = AR_W | AR_A | AR_S | AR_P | AR_DB | AR_G,
};

static void set_segments(struct cpu *c, struct seg cs, struct seg ds)
{
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		c->seg[i] = i == SEG_CS ? cs : ds;
	c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
	c->seg[SEG_TR] = (struct seg){.limit = 0x67, .ar = SYS_TSS32_BUSY | AR_P};
}

static void common(struct cpu *c, u64 entry)
{
	for (unsigned i = 0; i < 16; i++)
		c->r[i] = 0;
	c->r[REG_RIP] = entry;
	flags_set(c, FL_1);
	c->cpl = 0;
	c->cr0 = CR0_PE | CR0_ET;
	c->cr3 = c->cr4 = 0;
	c->efer = 0;
}

enum status boot_entry32(const struct boot *b, struct err *err)
{
	if (!(b->entry >> 32))
		return ST_OK;
	return err_set(err, ST_ARG, "%s: the entry point 0x%llx lies above 4 GiB; the protocol enters in 32-bit mode",
	               b->path, (unsigned long long)b->entry);
}

/* What Multiboot ("Machine state") and PVH ("x86/HVM direct boot ABI") ask for alike: flat 32-bit segments, paging off.
 * Selectors and GDTR are the loader's business; a guest loads its own before it loads a segment. */
void boot_enter_flat32(struct cpu *c, u64 entry)
{
	common(c, entry);
	set_segments(c, flat(0x08, AR_CODE32), flat(0x10, AR_DATA32));
	cpu_update_mode(c);
	mmu_update_context(c);
}

/* As a BIOS leaves it to what it jumps to. */
void boot_enter_real(struct cpu *c, u32 entry)
{
	struct seg data = {.limit = 0xffff, .ar = AR_W | AR_A | AR_S | AR_P}, code = data;

	common(c, entry & 15);
	c->cr0 = CR0_ET;
	code.sel = (u16)(entry >> 4);
	code.base = entry & ~15u;
	code.ar |= AR_CODE;
	set_segments(c, code, data);
	cpu_update_mode(c);
	mmu_update_context(c);
}

/* Identity-mapped first 4 GiB in 2 MiB pages. */
static void build_page_tables(struct bus *bus, u64 at)
{
	u64 table[512];

	memset(table, 0, sizeof(table));
	table[0] = (at + PAGE_SIZE) | 3;
	bus_write(bus, at, table, sizeof(table));
	memset(table, 0, sizeof(table));
	for (u64 i = 0; i < 4; i++)
		table[i] = (at + (2 + i) * PAGE_SIZE) | 3;
	bus_write(bus, at + PAGE_SIZE, table, sizeof(table));
	for (u64 g = 0; g < 4; g++) {
		for (u64 i = 0; i < 512; i++)
			table[i] = (g << 30) | (i << 21) | 0x83;
		bus_write(bus, at + (2 + g) * PAGE_SIZE, table, sizeof(table));
	}
}

/* "64-bit BOOT PROTOCOL": long mode, identity mapping, __BOOT_CS (10h) and __BOOT_DS (18h) in a loaded GDT, IF clear.
 */
void boot_enter_long(struct bus *bus, struct cpu *c, u64 gdt, u64 tables, u64 entry)
{
	static const u64 descriptors[] = {0, 0, 0x00af9a000000ffff, 0x00cf92000000ffff};

	build_page_tables(bus, tables);
	common(c, entry);
	if (gdt) {
		bus_write(bus, gdt, descriptors, sizeof(descriptors));
		c->gdtr.base = gdt;
		c->gdtr.limit = sizeof(descriptors) - 1;
	}
	set_segments(c, flat(0x10, AR_CODE64), flat(0x18, AR_DATA32));
	c->cr3 = tables;
	c->cr4 = CR4_PAE;
	c->cr0 |= CR0_PG;
	c->efer = EFER_LME | EFER_LMA;
	cpu_update_mode(c);
	mmu_update_context(c);
}
