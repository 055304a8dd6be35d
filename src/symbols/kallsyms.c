/*
 * The names that a Linux kernel keeps of itself, from its memory. They are compressed: a name is a row of numbers of 256
 * pieces of text ("tokens"), the first character of the first one is the symbol's type. In one read-only section lie, each
 * aligned to 8 bytes:
 *
 *   [offsets, base]  count  names  markers  [order]  tokens  index  [offsets, base]
 *
 * offsets and base in front until Linux 6.3, behind since 6.4; `order`, three bytes for each name, stands there in 6.2 and
 * 6.3 alone. A marker is the place of every 256th name. Nothing points to any of it, so that it is found by what it holds,
 * and what is found is believed only if all of it fits together: this is some guest's memory, which may hold anything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "symbols/parts.h"

#define NAMES_MOST (1u << 20)
#define TEXT_MOST  (64u << 20) /* bytes of all names together */
#define NAME_ROOM  512         /* the longest name and its type */
#define STEPS_MOST (1u << 25)  /* names looked at in all: hostile tables end there */

struct tables {
	const u8 *bytes;
	u64 size, at;       /* at: the linear address of the first byte */
	u64 tokens, index;  /* all places count from the first byte */
	u64 count, names, offsets;
	u64 base;
	bool long_names;    /* a length byte above 127 has a second one: since Linux 6.1 */
	bool per_cpu;       /* offsets that are not negative are addresses of per-processor data */
	u64 steps;
};

static u64 field(const struct tables *t, u64 at, unsigned size)
{
	u64 v = 0;

	if (at <= t->size && size <= t->size - at)
		memcpy(&v, t->bytes + at, size);
	return v;
}

static u64 aligned(u64 at)
{
	return (at + 7) & ~7ull;
}

static const u8 *token(const struct tables *t, unsigned n)
{
	return t->bytes + t->tokens + field(t, t->index + 2 * n, 2);
}

/* ---- finding ---- */

/* The characters that names are made of are tokens of one character, and all digits are among them. */
size_t kallsyms_sign(const u8 *bytes, size_t size)
{
	static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	const u8 *p = memmem(bytes, size, digits, sizeof(digits));

	return p ? (size_t)(p - bytes) : size;
}

/* All 256 tokens follow each other, and behind them is where each begins. */
static bool find_tokens(struct tables *t, u64 sign)
{
	u64 end = sign;

	for (unsigned n = '0'; n < 256; n++) {
		const u8 *nul = end < t->size ? memchr(t->bytes + end, 0, t->size - end) : NULL;
		if (!nul)
			return false;
		end = (u64)(nul - t->bytes) + 1;
	}
	t->index = aligned(end);
	u64 before = field(t, t->index + 2 * '0', 2), at = 0;
	if (t->index + 512 > t->size || before > sign)
		return false;
	t->tokens = sign - before;
	for (unsigned n = 0; n < 256; n++) {
		if (t->tokens + at >= end || field(t, t->index + 2 * n, 2) != at)
			return false;
		at += strlen((const char *)t->bytes + t->tokens + at) + 1;
	}
	return t->tokens + at == end && !(t->tokens & 7);
}

/* The place behind a name, whose tokens begin at *first; 0: there is none. */
static u64 skip_name(struct tables *t, u64 at, u64 *first)
{
	u64 n = field(t, at++, 1);

	if (t->long_names && (n & 0x80))
		n = (n & 0x7f) | field(t, at++, 1) << 7;
	*first = at;
	if (!n || at + n > t->tokens || t->steps++ >= STEPS_MOST)
		return 0;
	u8 type = *token(t, t->bytes[at]);
	return (type >= 'A' && type <= 'Z') || (type >= 'a' && type <= 'z') || type == '?' ? at + n : 0;
}

/* Every 256th name is where its marker says; markers have 4 bytes, before Linux 4.20 8. */
static bool markers_fit(struct tables *t, u64 markers, unsigned size)
{
	u64 at = t->names, first;

	for (u64 n = 0; n < t->count; n++) {
		if (!(n & 255) && field(t, markers + (n >> 8) * size, size) != at - t->names)
			return false;
		at = skip_name(t, at, &first);
		if (!at)
			return false;
	}
	return true;
}

/* What lies between the names, which begin behind their count, and the tokens, is markers, and the order by name. */
static bool names_fit(struct tables *t, u64 count_at)
{
	u64 first;

	t->count = field(t, count_at, 8);
	t->names = count_at + 8;
	if (!t->count || t->count > NAMES_MOST || t->names + 2 * t->count > t->tokens)
		return false;
	u64 at = t->names;
	for (u64 n = 0; n < t->count && at; n++)
		at = skip_name(t, at, &first);
	if (!at)
		return false;
	u64 markers = aligned(at), pieces = (t->count + 255) / 256, end = aligned(markers + 4 * pieces);
	if (end == t->tokens || aligned(end + 3 * t->count) == t->tokens)
		return markers_fit(t, markers, 4);
	return markers + 8 * pieces == t->tokens && markers_fit(t, markers, 8);
}

static bool find_names(struct tables *t)
{
	for (u64 at = t->tokens; at >= 16 && t->steps < STEPS_MOST; at -= 8)
		for (int n = 1; n >= 0; n--) {
			t->long_names = n;
			if (names_fit(t, at - 16))
				return true;
		}
	return false;
}

/* ---- addresses ---- */

/* false: a processor's own data, which has no address of its own. */
static bool address_of(const struct tables *t, u64 n, u64 *address)
{
	u32 offset = (u32)field(t, t->offsets + 4 * n, 4);

	*address = t->per_cpu ? t->base - 1 - (u64)(s64)(s32)offset : t->base + offset;
	return !t->per_cpu || (s32)offset < 0;
}

/* The names are in the order of their addresses, and the tables lie in the same image. */
static bool addresses_fit(struct tables *t, u64 offsets, u64 base)
{
	u64 before = 0, address;

	if (offsets > t->size || 4 * t->count > t->size - offsets || base > t->size - 8)
		return false;
	t->offsets = offsets;
	t->base = field(t, base, 8);
	t->per_cpu = false;
	for (u64 n = 0; n < t->count; n++)
		t->per_cpu |= field(t, offsets + 4 * n + 3, 1) >= 0x80;
	if (t->base < 0xffff800000000000 || t->at + t->tokens - t->base >= 1ull << 30)
		return false;
	for (u64 n = 0; n < t->count; n++) {
		if (!address_of(t, n, &address))
			continue;
		if (address < before || address - t->base >= 1ull << 30)
			return false;
		before = address;
	}
	return before != 0;
}

static bool find_addresses(struct tables *t)
{
	u64 size = aligned(4 * t->count), count_at = t->names - 8, behind = aligned(t->index + 512);

	return addresses_fit(t, behind, behind + size) ||
	       (count_at >= size + 8 && addresses_fit(t, count_at - 8 - size, count_at - 8));
}

/* ---- names ---- */

/* Type and name; what could disturb a terminal or a file of JSON is not in a name. */
static void expand(const struct tables *t, u64 first, u64 end, char out[NAME_ROOM])
{
	size_t n = 0;

	for (u64 at = first; at < end; at++)
		for (const u8 *p = token(t, t->bytes[at]); *p && n < NAME_ROOM - 1; p++)
			out[n++] = *p > ' ' && *p < 0x7f && *p != '"' && *p != '\\' ? (char)*p : '?';
	out[n] = 0;
}

static bool collect(struct tables *t, struct symbol_name *out, FILE *text)
{
	u64 at = t->names, next, first, used = 0;
	char name[NAME_ROOM];

	for (u64 n = 0; n < t->count; n++, at = next, used += strlen(name)) {
		next = skip_name(t, at, &first);
		expand(t, first, next, name);
		out[n].code = name[0] == 't' || name[0] == 'T' || name[0] == 'w' || name[0] == 'W';
		if (used > TEXT_MOST || fwrite(name + 1, 1, strlen(name), text) != strlen(name))
			return false;
	}
	return fflush(text) == 0;
}

/* Addresses, with the names that stand one behind the other in `text`; those without an address are left out. */
static size_t join(const struct tables *t, struct symbol_name *out, const char *text)
{
	size_t kept = 0;

	for (u64 n = 0; n < t->count; n++, text += strlen(text) + 1) {
		out[kept].name = text;
		out[kept].code = out[n].code;
		kept += address_of(t, n, &out[kept].value);
	}
	return kept;
}

static struct symbols *read_names(struct tables *t)
{
	struct symbol_name *names = base_alloc(t->count * sizeof(*names));
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct symbols *s = NULL;

	t->steps = 0;
	bool whole = names && f && collect(t, names, f);
	if (f)
		fclose(f);
	if (whole) {
		size_t n = join(t, names, text);
		s = symbols_of_names(names, n, names[n - 1].value);
	}
	free(text);
	base_free(names);
	return s;
}

struct symbols *kallsyms_read(const u8 *bytes, size_t size, u64 at, size_t sign, size_t *tokens)
{
	struct tables t = {.bytes = bytes, .size = size, .at = at};

	if (!find_tokens(&t, sign) || !find_names(&t) || !find_addresses(&t))
		return NULL;
	*tokens = t.tokens;
	return read_names(&t);
}
