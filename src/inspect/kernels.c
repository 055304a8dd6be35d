/*
 * Names of a Linux kernel for which nobody has given a file: its own, in its memory. They are looked for when an address is
 * asked for that Linux gives to its image or its modules, through the tables that are in force for it, so that a kernel that
 * has moved itself, or is a guest, is like any other; and believed as long as what was found is still there.
 */
#include "inspect/parts.h"
#include "symbols/symbols.h"

/* "Complete virtual memory map": the kernel's image, and its modules behind it, or in its last part. */
#define IMAGE_FIRST 0xffffffff80000000ull
#define IMAGE_END   0xffffffffc0000000ull
#define MODULES_END 0xffffffffff000000ull
#define PIECE       (2ull << 20) /* an image begins at a multiple of it */
#define SEARCH_UP   (96ull << 20)
#define SEARCH_DOWN (64ull << 20)
#define SIGNS_MOST  16 /* in one search: each is looked at closely */

/* ---- searching ---- */

static bool read_kernel(const struct eye *e, struct kernel *k, la_t sign)
{
	la_t from = sign - KALLSYMS_BEFORE < IMAGE_FIRST ? IMAGE_FIRST : (sign - KALLSYMS_BEFORE) & PAGE_MASK;
	u64 size = min_u64(sign + KALLSYMS_BEHIND, IMAGE_END) - from;
	u8 *bytes = base_alloc(size);
	size_t tokens;

	if (!bytes)
		return false;
	eye_read(e, from, bytes, size);
	struct symbols *s = kallsyms_read(bytes, size, from, sign - from, &tokens);
	if (s) {
		modules_close(k);
		symbols_close(k->symbols);
		/* The end of the table in front of it counts the bytes of all names. */
		*k = (struct kernel){.symbols = s, .anchor = from + tokens - KERNEL_ANCHOR / 2};
		memcpy(k->bytes, bytes + tokens - KERNEL_ANCHOR / 2, KERNEL_ANCHOR);
		(void)symbols_find(s, "modules", &k->list);
	}
	base_free(bytes);
	return s != NULL;
}

/* Piece by piece from `at` to `end`. */
static bool search_range(const struct eye *e, struct kernel *k, la_t at, la_t end, u8 *buf, unsigned *signs)
{
	for (; at < end; at += PIECE) {
		const u64 size = PIECE + KALLSYMS_SIGN;

		if (!eye_read(e, at, buf, size))
			continue;
		for (size_t from = 0, n; from < PIECE; from += n + 1) {
			n = kallsyms_sign(buf + from, size - from);
			if (from + n >= PIECE)
				break;
			if (++*signs > SIGNS_MOST)
				return false;
			if (read_kernel(e, k, at + from + n))
				return true;
		}
	}
	return false;
}

static struct kernel *oldest(struct kernels *ks)
{
	struct kernel *k = ks->at;

	for (unsigned n = 1; n < KERNELS; n++)
		if (ks->at[n].used < k->used)
			k = &ks->at[n];
	return k;
}

/* What is only read lies behind the code, and in front of the code that runs once. */
static struct kernel *search(struct kernels *ks, struct eye *e, la_t la)
{
	la_t here = la & ~(PIECE - 1), low = here - min_u64(SEARCH_DOWN, here - IMAGE_FIRST);
	la_t high = here + min_u64(SEARCH_UP, IMAGE_END - here);
	u8 *buf = base_alloc(PIECE + KALLSYMS_SIGN);
	struct kernel *k = oldest(ks);
	bool found = false;

	do {
		unsigned signs = 0;
		found = buf && (search_range(e, k, here, high, buf, &signs) || search_range(e, k, low, here, buf, &signs));
	} while (!found && !e->through && eye_through(e, low, high));
	base_free(buf);
	return found ? k : NULL;
}

/* ---- asking ---- */

/* The kernel that is there, and whether it can be seen to be: a program's tables show no more of it than its doors. */
static struct kernel *known(struct kernels *ks, const struct eye *e, unsigned guest)
{
	struct kernel *unseen = NULL;
	u8 there[KERNEL_ANCHOR];

	for (unsigned n = 0; n < KERNELS; n++) {
		struct kernel *k = &ks->at[n];

		if (!k->symbols)
			continue;
		if (eye_read(e, k->anchor, there, KERNEL_ANCHOR) != KERNEL_ANCHOR)
			unseen = k->guest == guest ? k : unseen;
		else if (!memcmp(there, k->bytes, KERNEL_ANCHOR))
			return k;
	}
	return unseen;
}

bool kernels_name(struct inspect *i, struct cpu *c, la_t la, bool monitor, char *out, size_t len)
{
	const unsigned guest = monitor ? 0 : guest_now(i, c);
	struct kernels *ks = &i->kernels;
	struct eye e;

	if (la < IMAGE_FIRST || la >= MODULES_END || !eye_open(&e, c, monitor))
		return false;
	struct kernel *k = known(ks, &e, guest);
	if (!k && la < IMAGE_END && time_now(c) >= ks->again[guest]) {
		k = search(ks, &e, la);
		/* No Linux, or none yet. However often somebody asks, searches stay few. */
		ks->again[guest] = k ? 0 : 2 * time_now(c) + 1000000;
	}
	if (!k)
		return false;
	k->guest = guest;
	k->used = ++ks->questions;
	return symbols_name(k->symbols, la, out, len) || modules_name(k, &e, la, out, len);
}

void kernels_close(struct kernels *ks)
{
	for (unsigned n = 0; n < KERNELS; n++) {
		modules_close(&ks->at[n]);
		symbols_close(ks->at[n].symbols);
	}
}
