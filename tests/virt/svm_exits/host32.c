/*
 * Nested paging under hosts that are not in long mode: the nested tables have the format of the host's paging mode at
 * VMRUN, 32-bit with and without CR4.PSE, or PAE, with and without EFER.NXE. "Nested Paging", "Host Paging Modes".
 */
#include "t32.h"
#include "../../../guests/lib/svm_names.h"

#define DATA  0x2000000u /* the guest reads, writes and runs here */
#define PLACE 0x2400000u /* where the entry under test leads */
#define AT    0x120u
#define MAPPED 64u /* MiB, one to one in host and nested tables */
enum mode { LEGACY, PSE, PAE, PAE_NX, MODES };
static const char *const mode_names[MODES] = {"32-bit, ", "32-bit with PSE, ", "PAE, ", "PAE with NXE, "};
enum access { READ, WRITE, FETCH };
enum { INVALID = -1 };
#define NX    (1ull << 63)
#define FINAL (1ull << 32)

static u8 vmcb[4096] __attribute__((aligned(4096))), hsave[4096] __attribute__((aligned(4096)));
static u8 maps[0x5000] __attribute__((aligned(4096)));
static u8 code[32], stack[256];
#define F(type, offset) (*(type *)(void *)(vmcb + (offset)))

static bool of_2005;
static enum mode mode;

/* ---- tables of a mode; `small`: the region of DATA is mapped by 4 KiB pages ---- */
struct tables {
	u8 *root, *pd, *leaf; /* leaf: the entry that maps DATA */
	bool large;
};

static bool wide(void)
{
	return mode >= PAE;
}

static void put(void *entry, u64 value)
{
	if (wide())
		*(volatile u64 *)entry = value;
	else
		*(volatile u32 *)entry = (u32)value;
}

static u64 get(const void *entry)
{
	return wide() ? *(const volatile u64 *)entry : *(const volatile u32 *)entry;
}

static struct tables build(bool small)
{
	u32 size = wide() ? 8 : 4, shift = wide() ? 21 : 22, pages = 4096 / size;
	struct tables t = {.pd = page_alloc()};

	t.root = t.pd;
	if (wide()) {
		t.root = page_alloc();
		put(t.root, (u32)t.pd | 1);
	}
	for (u32 n = 0; n < MAPPED << 20 >> shift; n++) {
		u8 *pde = t.pd + n * size, *pt;

		if (mode != LEGACY && !(small && n == DATA >> shift)) {
			put(pde, n << shift | 0x87);
			continue;
		}
		pt = page_alloc();
		put(pde, (u32)pt | 7);
		for (u32 k = 0; k < pages; k++)
			put(pt + k * size, (n << shift) | k << 12 | 7);
	}
	t.large = mode != LEGACY && !small;
	t.leaf = t.pd + (DATA >> shift) * size;
	if (!t.large)
		t.leaf = (u8 *)(u32)(get(t.leaf) & 0xfffff000);
	return t;
}

/* ---- the guest: 32-bit protected mode without paging ---- */

static void guest(enum access what, u32 address)
{
	static const u8 first[] = {0xa1, 0xa3, 0xb8};
	u8 *p = code;

	*p++ = first[what];
	memcpy(p, &address, 4);
	p += 4;
	if (what == FETCH)
		*p++ = 0xff, *p++ = 0xd0; /* CALL EAX */
	*p++ = 0x0f, *p++ = 0x01, *p++ = 0xd9;
	F(u64, 0x578) = (u32)code;
	F(u64, 0x5d8) = (u32)(stack + sizeof(stack));
	F(u64, 0x5f8) = 0x5a5a5a5a;
}

static void segment(u32 offset, u16 sel, u16 attrib)
{
	F(u16, offset) = sel;
	F(u16, offset + 2) = attrib;
	F(u32, offset + 4) = ~0u;
}

static void fresh(const struct tables *nested)
{
	memset(vmcb, 0, sizeof(vmcb));
	F(u32, 0x08) = ~0u;
	F(u32, 0x0c) = 1u << 31 | 1 << 2;
	F(u32, 0x10) = 3;
	F(u64, 0x40) = (u32)maps;
	F(u64, 0x48) = (u32)maps;
	F(u32, 0x58) = 1;
	F(u32, 0x5c) = 1;
	F(u64, 0x90) = 1;
	F(u64, 0xb0) = (u32)nested->root;
	segment(0x400, 0x10, 0xc93);
	segment(0x410, 0x08, 0xc9b);
	segment(0x420, 0x10, 0xc93);
	segment(0x430, 0x10, 0xc93);
	F(u64, 0x4d0) = 0x1000;
	F(u64, 0x558) = 0x11;
	F(u64, 0x560) = 0x400;
	F(u64, 0x568) = 0xffff0ff0;
	F(u64, 0x570) = 2;
	F(u64, 0x668) = 0x0007040600070406ull;
}

static int run(void)
{
	u32 a = (u32)vmcb;

	asm volatile("push %%ebp; clgi; vmrun; stgi; pop %%ebp" : "+a"(a)::"ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
	return (int)F(u64, 0x70);
}

/* ---- one entry, one access ---- */
enum { ANY = 1 << LEGACY | 1 << PSE | 1 << PAE | 1 << PAE_NX, SMALL = 16, LARGE = 32, BOTH = SMALL | LARGE };
static const struct {
	const char *name;
	enum access access;
	u32 modes;
	u64 entry;
	u64 info1; /* bit 4 as with NXE; 0: no exit */
} rows[] = {
        {"read, not present", READ, ANY | BOTH, 6, FINAL | 4},
        {"write, not present", WRITE, ANY | BOTH, 6, FINAL | 6},
        {"fetch, not present", FETCH, ANY | BOTH, 6, FINAL | 0x14},
        {"read, U/S 0", READ, ANY | BOTH, 3, FINAL | 5},
        {"write, U/S 0", WRITE, ANY | BOTH, 3, FINAL | 7},
        {"fetch, U/S 0", FETCH, ANY | BOTH, 3, FINAL | 0x15},
        {"write, read-only", WRITE, ANY | BOTH, 5, FINAL | 7},
        {"read, read-only", READ, ANY | BOTH, 5, 0},
        {"fetch, read-only", FETCH, ANY | BOTH, 5, 0},
        {"read", READ, ANY | BOTH, 7, 0},
        {"write", WRITE, ANY | BOTH, 7, 0},
        {"read, bit 63 without NXE", READ, 1 << PAE | BOTH, NX | 7, FINAL | 0xd},
        {"write, bit 63 without NXE", WRITE, 1 << PAE | BOTH, NX | 7, FINAL | 0xf},
        {"fetch, NX", FETCH, 1 << PAE_NX | BOTH, NX | 7, FINAL | 0x15},
        {"read, NX", READ, 1 << PAE_NX | BOTH, NX | 7, 0},
        {"read, bit 51", READ, 1 << PAE | 1 << PAE_NX | BOTH, 1ull << 51 | 7, FINAL | 0xd},
        {"read, bit 13 of a 2 MiB page", READ, 1 << PAE | 1 << PAE_NX | LARGE, 1 << 13 | 7, FINAL | 0xd},
        {"write, bit 21 of a 4 MiB page", WRITE, 1 << PSE | LARGE, 1 << 21 | 7, FINAL | 0xf},
};

static char text[96];
static const char *named(const char *name, const char *what)
{
	const char *parts[] = {mode_names[mode], name, ": ", what};
	u32 n = 0;

	for (u32 k = 0; k < 4; k++)
		for (const char *p = parts[k]; *p && n < sizeof(text) - 1; p++)
			text[n++] = *p;
	text[n] = 0;
	return text;
}

static void one(u32 n, bool small)
{
	struct tables t = build(small);
	u64 info1 = rows[n].info1, flags = rows[n].entry | (t.large ? 0x80 : 0);
	int exit;

	*(u32 *)(PLACE + AT) = 0x112233c3;
	put(t.leaf, PLACE | flags);
	fresh(&t);
	guest(rows[n].access, DATA + AT);
	exit = run();
	check(named(rows[n].name, "code"), exit, info1 ? EXIT_NPF : EXIT_VMMCALL);
	if (!info1) {
		check(named(rows[n].name, "A and D"), get(t.leaf) & 0x60, rows[n].access == WRITE ? 0x60 : 0x20);
		if (rows[n].access == READ)
			check(named(rows[n].name, "the data"), F(u32, 0x5f8), 0x112233c3);
		if (rows[n].access == WRITE)
			check(named(rows[n].name, "the data"), *(u32 *)(PLACE + AT), 0x5a5a5a5a);
		return;
	}
	if (mode != PAE_NX)
		info1 &= ~0x10ull;
	check(named(rows[n].name, "EXITINFO1"), F(u32, 0x78), (u32)info1);
	check(named(rows[n].name, "EXITINFO1, upper half"), F(u32, 0x7c), of_2005 ? 0 : (u32)(info1 >> 32));
	check(named(rows[n].name, "EXITINFO2"), F(u32, 0x80), DATA + AT);
	check(named(rows[n].name, "entry untouched"), (u32)get(t.leaf), (u32)(PLACE | flags));
}

static void upper_levels(void)
{
	struct tables t = build(true);
	u8 *pde = t.pd + (wide() ? (DATA >> 21) * 8 : (DATA >> 22) * 4);

	fresh(&t);
	guest(READ, DATA + AT);
	put(pde, get(pde) & ~1ull);
	check(named("directory entry", "not present"), run(), EXIT_NPF);
	check(named("directory entry", "EXITINFO1"), F(u32, 0x78), 4);
	put(pde, get(pde) | 1);
	if (mode == LEGACY) { /* bit 7 is ignored */
		put(pde, get(pde) | 0x80);
		guest(READ, DATA + AT);
		check(named("bit 7 of a directory entry", "ignored"), run(), EXIT_VMMCALL);
	}
	if (!wide())
		return;
	guest(READ, 0x40000000); /* the second PDPE is not present */
	check(named("PDPE", "not present"), run(), EXIT_NPF);
	check(named("PDPE", "EXITINFO1"), F(u32, 0x78), 4);
	check(named("PDPE", "EXITINFO2"), F(u32, 0x80), 0x40000000);
	put(t.root + 8, (u32)t.pd | 1); /* read when it is walked: no VMRUN between would notice */
	put(t.leaf, DATA | 7);
	guest(READ, 0x40000000 | DATA | AT);
	check(named("PDPE", "present now"), run(), EXIT_VMMCALL);
	put(t.root + 8, (u32)t.pd | 3); /* bits 2:1 are reserved */
	guest(READ, 0x40000000 | DATA | AT);
	check(named("PDPE", "reserved bit"), run(), EXIT_NPF);
	check(named("PDPE", "reserved bit: EXITINFO1, P and RSV"), F(u32, 0x78) & 9, 9);
}

/* A 67h prefix makes the address 16 bits wide: AX, zero-extended. */
static void sixteen_bit_address(const struct tables *nested)
{
	u8 *low = (u8 *)0x7000, *high = (u8 *)0xab7000;
	u32 a = (u32)high;

	asm("" : "+r"(low), "+r"(high));
	fresh(nested);
	guest(READ, DATA);
	memcpy(low, vmcb, sizeof(vmcb));
	memset(high, 0, sizeof(vmcb));
	asm volatile("push %%ebp; clgi; addr16 vmrun; stgi; pop %%ebp"
		     : "+a"(a)::"ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
	check(named("VMRUN by AX", "code"), *(u32 *)(low + 0x70), EXIT_VMMCALL);
	check(named("VMRUN by AX", "EAX is back"), a, (u32)high);
	memset(low, 0, sizeof(vmcb));
	asm volatile("addr16 vmsave" ::"a"(high) : "memory");
	check(named("VMSAVE by AX", "the limit of FS"), *(u32 *)(low + 0x444), ~0u);
	check(named("VMSAVE by AX", "nothing at EAX"), *(u32 *)(high + 0x444), 0);
	*(u64 *)(low + 0x608) = 0x1234567; /* LSTAR */
	*(u64 *)(high + 0x608) = 0x89;
	asm volatile("addr16 vmload" ::"a"(high) : "memory");
	check(named("VMLOAD by AX", "LSTAR"), rdmsr(MSR_LSTAR), 0x1234567);
	proves("svm.2.2.1.4");
}

/* ---- the host ---- */

static void host_mode(const struct tables *t)
{
	wrmsr(MSR_EFER, 0x1000 | (mode == PAE_NX ? 0x800 : 0));
	write_cr4((read_cr4() & ~0x30u) | (mode == PSE ? 0x10 : 0) | (wide() ? 0x20 : 0));
	write_cr3((u32)t->root);
	write_cr0(read_cr0() | 1u << 31);
}

int main(void)
{
	struct tables none;
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	of_2005 = !(r[3] & ~3u);
	wrmsr(MSR_EFER, 0x1000);
	wrmsr(MSR_VM_HSAVE_PA, (u32)hsave);
	none = build(false);
	fresh(&none);
	guest(READ, DATA);
	check("host without paging: nested paging is refused", run(), INVALID);
	for (mode = LEGACY; mode < MODES; mode++) {
		struct tables host = build(false);

		host_mode(&host);
		for (u32 n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
			if (!(rows[n].modes >> mode & 1))
				continue;
			if (rows[n].modes & SMALL)
				one(n, true);
			if ((rows[n].modes & LARGE) && mode != LEGACY)
				one(n, false);
		}
		upper_levels();
		sixteen_bit_address(&host);
		write_cr0(read_cr0() & ~(1u << 31));
	}
	return guest_verdict();
}
