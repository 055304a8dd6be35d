/*
 * EPT at every level: rights are the AND over all entries used, accessed flags of all of them, the dirty flag of the last,
 * what is reserved and what is ignored where, pages of 4 KiB, 2 MiB and 1 GiB. "The Extended Page Table Mechanism", "Exit
 * Qualification for EPT Violations".
 */
#include "exits.h"

#define LA	  0x20000000000ull			   /* of the guest */
#define GPA	  (1ull << 39 | 3ull << 30 | 0x11007000ull) /* an index of its own at each level */
#define HPA	  0x11007000ull
#define MAGIC	  0x5a5a1234u
#define LEVELS	  4
SNIPPET(v_read, "mov $0x20000000100, %rbx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(v_write, "mov $0x20000000100, %rbx", "movl $0x77, (%rbx)");
SNIPPET(v_fetch, "mov $0x20000000000, %rbx", "jmp *%rbx");

enum { R = 1, W = 2, X = 4, RWX = 7, XU = 1 << 10, A = 1 << 8, D = 1 << 9, AD = 1 << 6 };
#define FINAL (1 << 7 | 1 << 8 | 1 << 10)
static const struct snippet *const access_code[] = {&v_read, &v_write, &v_fetch};
static const char *const access_name[] = {"read", "write", "fetch"};
static u64 *entry[LEVELS + 1]; /* by level; 4: the PML4 entry */

/* Level of the page: 1 is 4 KiB, 3 is 1 GiB. Everything is allowed. */
static void tables(const struct snippet *s, unsigned leaf)
{
	base(s);
	map_path((u64 *)(vmx_read(VMCS_EPTP) & ~0xfffull), leaf, GPA, HPA, RWX | XU,
	         6 << 3 | RWX | XU | (leaf > 1 ? 1 << 7 : 0), entry);
	memcpy((void *)HPA, (u8[]){0x0f, 0x01, 0xc1}, 3); /* VMCALL */
	*(u32 *)(HPA + 0x100) = MAGIC;
}

static void in_user_mode(void)
{
	u64 *l4 = (u64 *)(vmx_read(VMCS_EPTP) & ~0xfffull), *l3 = (u64 *)(l4[0] & ~0xfffull);

	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	l4[0] |= XU;
	l3[0] |= XU;
	for (u64 gpa = 0; gpa < 16 << 20; gpa += 2 << 20)
		*vmx_ept_entry(gpa) |= XU;
}

static void allowed(const char *name, unsigned kind)
{
	vcheck(name, access_name[kind], go(), R_VMCALL);
	if (kind == 0)
		vcheck(name, "the page's data", seen[0], MAGIC);
	else if (kind == 1)
		vcheck(name, "written to the page", *(u32 *)(HPA + 0x100), 0x77);
	else
		vcheck(name, "RIP in the page", vmx_read(VMCS_GUEST_RIP), LA);
}

static void refused(const char *name, unsigned kind, u64 qualification)
{
	vcheck(name, access_name[kind], go(), R_EPT);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), GPA + (kind == 2 ? 0 : 0x100));
	vcheck(name, "linear address", vmx_read(VMCS_GUEST_LINEAR), LA + (kind == 2 ? 0 : 0x100));
	vcheck(name, "nothing written", *(u32 *)(HPA + 0x100), MAGIC);
}

static const char *const leaf_names[] = {"", "4 KiB", "2 MiB", "1 GiB"};

/* One level withholds a right, the others grant all. */
static void rights(void)
{
	static const u64 perms[] = {RWX, R | X, R | W, R, X};

	for (unsigned leaf = 1; leaf <= 3; leaf++)
		for (unsigned level = leaf; level <= LEVELS; level++)
			for (unsigned n = 0; n < 5 * 3; n++) {
				unsigned kind = n % 3;
				u64 perm = perms[n / 3];

				tables(access_code[kind], leaf);
				*entry[level] = (*entry[level] & ~(u64)RWX) | perm;
				if (perm >> kind & 1)
					allowed(leaf_names[leaf], kind);
				else
					refused(leaf_names[leaf], kind, FINAL | 1 << kind | perm << 3);
			}
	/* two levels together: R and W of one, R and X of the other */
	tables(&v_write, 1);
	*entry[4] &= ~(u64)W;
	*entry[2] &= ~(u64)X;
	refused("two levels", 1, FINAL | 2 | R << 3);
	tables(&v_read, 1);
	*entry[4] &= ~(u64)W;
	*entry[2] &= ~(u64)X;
	allowed("two levels", 0);
}

/* "Mode-Based Execute Control": a fetch from a user address needs bit 10 of all levels, another one bit 2. */
static void mode_based(void)
{
	static const u64 perms[] = {R | W | X | XU, R | W | X, R | W | XU, R | W, XU, X};

	for (unsigned level = 1; level <= LEVELS; level++)
		for (unsigned n = 0; n < 6 * 3; n++) {
			unsigned user = n % 3 == 1, kind = n % 3 == 2 ? 0 : 2;
			u64 perm = perms[n / 3], need = kind == 0 ? R : user ? XU : X;

			tables(access_code[kind], 1);
			on(VMCS_PROC2, S_MBEC);
			if (user)
				in_user_mode();
			*entry[level] = (*entry[level] & ~(u64)(RWX | XU)) | perm;
			if (perm & need)
				allowed(user ? "mode-based, user" : "mode-based", kind);
			else
				refused(user ? "mode-based, user" : "mode-based", kind,
					FINAL | 1 << kind | (perm & 7) << 3 | (perm & XU ? 1 << 6 : 0) | user << 9);
		}
}

/* An entry is judged before what lies below: not present, or misconfigured. */
static void bad_entries(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);

	const u64 too_wide = 1ull << (r[0] & 0xff);
	const u64 bad_table[] = {W, W | X, RWX | 1 << 3, RWX | 1 << 4, RWX | 1 << 5, RWX | 1 << 6, RWX | too_wide, RWX | 1ull << 51};
	const u64 bad_page[] = {W | 6 << 3, W | X | 6 << 3, RWX | 2 << 3, RWX | 3 << 3, RWX | 7 << 3, RWX | 6 << 3 | too_wide,
				RWX | 6 << 3 | 1ull << 51};

	for (unsigned level = 1; level <= LEVELS; level++) {
		for (unsigned kind = 0; kind < 3; kind++) {
			tables(access_code[kind], 1);
			*entry[level] &= ~(u64)(RWX | XU);
			refused("not present", kind, FINAL | 1 << kind);
		}
		tables(&v_read, 1); /* not present: nothing else counts, and nothing below */
		*entry[level] = 0x7ffffffffffff878;
		if (level > 1)
			*entry[1] = W;
		refused("not present, reserved bits", 0, FINAL | 1);
		for (unsigned n = 0; level > 1 && n < COUNT(bad_table); n++) {
			tables(&v_read, 1);
			*entry[level] = (*entry[level] & ~(u64)RWX) | bad_table[n];
			*entry[1] = 0;
			vcheck("misconfigured table", "exit", go(), R_MISCONFIG);
			vcheck("misconfigured table", "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), GPA + 0x100);
		}
		for (unsigned n = 0; level < LEVELS && n < COUNT(bad_page); n++) {
			tables(&v_read, level);
			*entry[level] = (*entry[level] & ~(u64)(RWX | 7 << 3)) | bad_page[n];
			vcheck("misconfigured page", "exit", go(), R_MISCONFIG);
		}
		for (unsigned bit = 12; bit < 12 + 9 * (level - 1) && level < LEVELS; bit++) {
			tables(&v_read, level);
			*entry[level] |= 1ull << bit;
			vcheck("large page, address bits", "exit", go(), R_MISCONFIG);
		}
	}
	tables(&v_read, 1);
	*entry[4] |= 1 << 7;
	check("PML4 entry, bit 7: misconfigured", go(), R_MISCONFIG);
}

/* Ignored bits do nothing; every memory type there is does. */
static void good_entries(void)
{
	static const u64 types[] = {0, 1, 4, 5, 6};
	const u64 ignored = 1 << 8 | 1 << 9 | 1 << 11 | 0xfffull << 52;

	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		for (unsigned kind = 0; kind < 3; kind++) {
			tables(access_code[kind], leaf);
			for (unsigned level = leaf; level <= LEVELS; level++)
				*entry[level] |= ignored;
			*entry[leaf] |= 1 << 6 | (leaf == 1 ? 1 << 7 : 0);
			allowed("ignored bits", kind);
		}
		for (unsigned n = 0; n < 5; n++) {
			tables(&v_read, leaf);
			*entry[leaf] = (*entry[leaf] & ~(7ull << 3)) | types[n] << 3;
			allowed("memory types", 0);
		}
	}
}

static void accessed_and_dirty(void)
{
	for (unsigned leaf = 1; leaf <= 3; leaf++)
		for (unsigned n = 0; n < 2 * 3; n++) {
			unsigned kind = n % 3, flags = n / 3;

			tables(access_code[kind], leaf);
			if (flags)
				on(VMCS_EPTP, AD);
			allowed(leaf_names[leaf], kind);
			for (unsigned level = leaf; level <= LEVELS; level++)
				vcheck(leaf_names[leaf], flags ? "accessed and dirty" : "no flags", *entry[level] & (A | D),
				       !flags ? 0 : level == leaf && kind == 1 ? A | D : A);
		}
	tables(&v_read, 1); /* the guest's own tables are written: "EPT and accessed and dirty flags" */
	on(VMCS_EPTP, AD);
	allowed("tables of the guest", 0);
	check("tables of the guest: dirty", *vmx_ept_entry((u64)pml4) & (A | D), A | D);
	tables(&v_write, 1); /* the dirty flag once a page that was read is written */
	on(VMCS_EPTP, AD);
	*entry[1] |= A;
	allowed("accessed before", 1);
	check("accessed before: dirty", *entry[1] & (A | D), A | D);
}

void test_ept_levels(void)
{
	map_page(pml4, LA, GPA, 3);
	map_page(user_pml4, LA, GPA, 7);
	invlpg((void *)LA);
	rights();
	mode_based();
	bad_entries();
	good_entries();
	accessed_and_dirty();
}
