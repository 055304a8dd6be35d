/*
 * "Nested Paging" at every level of a long-mode host's tables: the rights of all levels together, reserved bits, what is
 * present or not, accessed and dirty bits, pages of 4 KiB, 2 MiB and 1 GiB.
 */
#include "exits.h"

#define LA     0x20000000000ull			    /* of the guest */
#define GPA    (1ull << 39 | 3ull << 30 | 0x8807000ull) /* an index of its own at each level */
#define HPA    0x8807000ull
#define LEVELS 4
#define NX     (1ull << 63)
#define FINAL  (1ull << 32)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, MAGIC = 0x5a5a };
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSV = 8, PF_ID = 16 };

SNIPPET(n_read, "mov $0x20000000100, %rbx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(n_write, "mov $0x20000000100, %rbx", "movl $0x77, (%rbx)");
SNIPPET(n_fetch, "mov $0x20000000000, %rbx", "jmp *%rbx");
static const struct snippet *const code_of[] = {&n_read, &n_write, &n_fetch};
static const char *const kind_name[] = {"read", "write", "fetch"};
static const u64 kind_code[] = {PF_U, PF_U | PF_W, PF_U | PF_ID};
static u64 *entry[LEVELS + 1];
static bool large_1g;

static void tables(unsigned kind, unsigned leaf)
{
	base(code_of[kind]);
	map_path((u64 *)v->ncr3, leaf, GPA, HPA, P | W | U, P | W | U | (leaf > 1 ? PS : 0), entry);
	memcpy((void *)HPA, (u8[]){0x0f, 0x01, 0xd9}, 3); /* VMMCALL */
	*(u32 *)(HPA + 0x100) = MAGIC;
}

static void allowed(const char *name, unsigned kind)
{
	seen[0] = 0;
	vcheck(name, kind_name[kind], go(), EXIT_VMMCALL);
	if (kind == 0)
		vcheck(name, "the page's data", seen[0], MAGIC);
	else if (kind == 1)
		vcheck(name, "written to the page", *(u32 *)(HPA + 0x100), 0x77);
	else
		vcheck(name, "RIP in the page", v->rip, LA);
}

static void refused(const char *name, unsigned kind, u64 code)
{
	vcheck(name, kind_name[kind], go(), EXIT_NPF);
	vcheck(name, "EXITINFO1", v->exitinfo1, (code | kind_code[kind] | FINAL) & (of_2005 ? 0xffffffff : ~0ull));
	vcheck(name, "EXITINFO2", v->exitinfo2, GPA + (kind == 2 ? 0 : 0x100));
	vcheck(name, "nothing written", *(u32 *)(HPA + 0x100), MAGIC);
}

static void rights(unsigned leaf)
{
	static const struct {
		const char *name;
		u64 flip;
		u8 refuses; /* a bit a kind */
		u64 code;
	} row[] = {{"not present", P, 7, 0}, {"read-only", W, 2, PF_P}, {"supervisor", U, 7, PF_P}, {"no execute", NX, 4, PF_P},
		   {"bit 51", 1ull << 51, 7, PF_P | PF_RSV}};

	for (unsigned level = leaf; level <= LEVELS; level++)
		for (unsigned n = 0; n < 3 * COUNT(row); n++) {
			unsigned kind = n % 3;

			tables(kind, leaf);
			*entry[level] ^= row[n / 3].flip;
			if (row[n / 3].refuses >> kind & 1)
				refused(row[n / 3].name, kind, row[n / 3].code);
			else
				allowed(row[n / 3].name, kind);
		}
	for (unsigned bit = 13; bit < 12 + 9 * (leaf - 1); bit++) { /* bit 12 is PAT */
		tables(0, leaf);
		*entry[leaf] |= 1ull << bit;
		refused("large page, address bits", 0, PF_P | PF_RSV);
	}
}

static void order(void)
{
	for (unsigned level = 2; level <= LEVELS; level++) { /* the upper entry decides */
		tables(1, 1);
		*entry[level] = 0;
		*entry[level - 1] |= 1ull << 51;
		refused("not present above a reserved bit", 1, 0);
		tables(1, 1);
		*entry[level] |= 1ull << 51;
		*entry[level - 1] = 0;
		refused("reserved bit above one not present", 1, PF_P | PF_RSV);
	}
	tables(1, 1); /* rights are judged behind all of them */
	*entry[4] &= ~(u64)W;
	*entry[1] = 0;
	refused("read-only above one not present", 1, 0);
	for (unsigned bit = 7; bit <= 8; bit++) {
		tables(0, 1);
		*entry[4] |= 1 << bit;
		refused("PML4 entry, bits 7 and 8", 0, PF_P | PF_RSV);
	}
}

static void marks(unsigned leaf)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		tables(kind, leaf);
		allowed("accessed and dirty", kind);
		for (unsigned level = leaf; level <= LEVELS; level++)
			vcheck("accessed and dirty", kind_name[kind], *entry[level] & (A | D),
			       level == leaf && kind == 1 ? A | D : A);
		tables(kind, leaf); /* what the hardware does not look at */
		for (unsigned level = leaf; level <= LEVELS; level++)
			*entry[level] |= 7 << 9 | 0x7full << 52;
		*entry[leaf] |= 1 << 8;
		allowed("available bits", kind);
	}
}

void test_nested_levels(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	large_1g = r[3] >> 26 & 1;
	map_page(user_pml4, LA, GPA, 7);
	for (unsigned leaf = 1; leaf <= (large_1g ? 3u : 2u); leaf++) {
		rights(leaf);
		marks(leaf);
	}
	if (!large_1g) {
		tables(0, 2);
		*entry[3] |= PS;
		refused("no 1 GiB pages: bit 7 is reserved", 0, PF_P | PF_RSV);
	}
	order();
}
