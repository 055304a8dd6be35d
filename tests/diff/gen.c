/*
 * Instructions from the instruction table. At the start every opcode of every map is decoded in each of its forms, and
 * the bytes that reach a row become that row's templates; a case picks a row, one of its templates, and randomises
 * everything else. What it finally decodes to is counted.
 */
#include "diff.h"

#include <stdlib.h>

enum { VEX_NONE, VEX_3 };
struct template
{
	u32 row;
	u8 prefix; /* 66, F2, F3 or 0 */
	u8 map;    /* 0: one byte, 1: 0F, 2: 0F38, 3: 0F3A */
	u8 opcode;
	u8 modrm;
	bool has_modrm, exact, rex_w, vex, l, vvvv_used;
};

u64 rng_next(struct rng *g)
{
	u64 z = (g->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* ---- emitting ---- */

struct emit {
	u8 *b;
	unsigned n;
};

static void put(struct emit *e, unsigned byte)
{
	if (e->n < 15)
		e->b[e->n++] = (u8)byte;
}

/* rex: W R X B in bits 3:0; vvvv as a register number. */
static void put_opcode(struct emit *e, const struct template *t, unsigned rex, unsigned vvvv, enum diff_mode mode)
{
	static const u8 pp[256] = {[0x66] = 1, [0xf3] = 2, [0xf2] = 3};

	if (t->vex) {
		put(e, 0xc4);
		put(e, (~rex & 7) << 5 | t->map);
		put(e, (unsigned)t->rex_w << 7 | (~vvvv & 15) << 3 | (unsigned)t->l << 2 | pp[t->prefix]);
	} else {
		if (t->prefix)
			put(e, t->prefix);
		if (mode == DIFF_64 && (rex || t->rex_w))
			put(e, 0x40 | rex | (unsigned)t->rex_w << 3);
		if (t->map)
			put(e, 0x0f);
		if (t->map >= 2)
			put(e, t->map == 2 ? 0x38 : 0x3a);
	}
	put(e, t->opcode);
}

/* ---- templates ---- */

/* Rows keep the order of their sets, so that a seed means the same in every build; this finds one by its address. */
static int by_address(const void *a, const void *b)
{
	const struct row_at *x = a, *y = b;

	return x->row < y->row ? -1 : x->row > y->row;
}

static const struct row_at *row_place(const struct gen *g, const struct insn_row *row)
{
	struct row_at key = {.row = row};

	return bsearch(&key, g->at, g->row_count, sizeof(key), by_address);
}

static size_t row_index(const struct gen *g, const struct insn_row *row)
{
	return row_place(g, row)->index;
}

struct row_count *gen_count(struct gen *g, const struct insn_row *row)
{
	return &g->rows[row_index(g, row)];
}

static const struct insn_row *find_row(const struct gen *g, const u8 *bytes, size_t n, ZydisDecodedInstruction *zi,
                                       ZydisDecodedOperand *op, bool *valid)
{
	ZyanStatus st = ZydisDecoderDecodeFull(decode_index_decoder(g->cpu->decode, g->cpu->mode), bytes, n, zi, op);
	struct dec d = {.zi = zi, .op = op, .mode = g->cpu->mode, .cpu = g->cpu};

	*valid = ZYAN_SUCCESS(st) && zi->meta.isa_ext != ZYDIS_ISA_EXT_KNC && zi->meta.isa_ext != ZYDIS_ISA_EXT_KNCE &&
	         zi->meta.isa_ext != ZYDIS_ISA_EXT_KNCV;
	if (!*valid)
		return NULL;
	rule_fix_operands(zi, op);

	const struct insn_row *row = decode_index_find(g->cpu->decode, &d);

	return row && row_place(g, row) ? row : NULL; /* the other maker's are #UD */
}

/* Does this form reach a row? Keep it. false: the opcode takes no ModRM byte, so its other values are the same form. */
static bool try_template(struct gen *g, struct template t)
{
	u8 bytes[16] = {0};
	struct emit e = {bytes, 0};
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	bool valid;

	put_opcode(&e, &t, 0, t.vvvv_used ? 1 : 0, g->mode);
	put(&e, t.modrm);
	if (t.vex && (t.modrm & 0xc7) == 4)
		bytes[e.n] = 0x28; /* SIB: base RAX, index XMM5 */

	const struct insn_row *row = find_row(g, bytes, 15, &zi, op, &valid);

	if (!valid)
		return true;
	t.has_modrm = (zi.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
	if (!row) {
		g->no_row[zi.mnemonic] = 1;
		return t.has_modrm;
	}
	/* A prefix that is none of the instruction's own belongs to the random ones. */
	if (!t.vex && t.prefix && zi.raw.prefix_count && zi.raw.prefixes[0].type == ZYDIS_PREFIX_TYPE_IGNORED)
		return t.has_modrm;
	if (g->template_count == g->template_room) {
		g->template_room = g->template_room ? 2 * g->template_room : 4096;
		g->templates = realloc(g->templates, g->template_room * sizeof(t));
		if (!g->templates)
			abort();
	}
	t.row = (u32)row_index(g, row);
	g->templates[g->template_count++] = t;
	return t.has_modrm;
}

static bool wants_every_modrm(const struct template *t)
{
	if (t->vex)
		return false;
	if (t->map == 0)
		return t->opcode >= 0xd8 && t->opcode <= 0xdf;
	return t->map == 1 && (t->opcode == 0x01 || t->opcode == 0xae || t->opcode == 0xc7 || t->opcode == 0x1e);
}

static void try_modrms(struct gen *g, struct template t)
{
	unsigned step = wants_every_modrm(&t) ? 1 : 8;

	for (unsigned reg = 0; reg < 8; reg++) {
		/* Memory: [rCX]; gathers need a SIB byte. */
		t.exact = false;
		t.modrm = (u8)(reg << 3 | 1);
		if (!try_template(g, t))
			return;
		if (t.vex && t.map == 2 && (t.opcode & 0xfc) == 0x90) {
			t.modrm = (u8)(reg << 3 | 4);
			try_template(g, t);
		}
		t.exact = step == 1;
		for (unsigned rm = 0; rm < 8; rm += step) {
			t.modrm = (u8)(0xc0 | reg << 3 | rm);
			try_template(g, t);
		}
	}
}

static bool is_legacy_prefix(const struct gen *g, unsigned opcode)
{
	return opcode == 0x66 || opcode == 0x67 || opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3 ||
	       opcode == 0x26 || opcode == 0x2e || opcode == 0x36 || opcode == 0x3e || opcode == 0x64 ||
	       opcode == 0x65 || (g->mode == DIFF_64 && (opcode & 0xf0) == 0x40);
}

static void find_templates(struct gen *g)
{
	static const u8 prefixes[] = {0, 0x66, 0xf3, 0xf2};

	for (unsigned map = 0; map < 4; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			struct template t = {.map = (u8)map, .opcode = (u8)opcode};

			if (map == 0 &&
			    (is_legacy_prefix(g, opcode) || opcode == 0x0f || opcode == 0xc4 || opcode == 0xc5))
				continue;
			for (unsigned n = 0; n < (g->mode == DIFF_64 ? 8u : 4u); n++) {
				t.prefix = prefixes[n & 3];
				t.rex_w = n >> 2;
				try_modrms(g, t);
			}
			/* VEX: every pp, W, L, and vvvv used or not */
			for (unsigned n = 0; map && n < 32; n++) {
				struct template v = {.map = (u8)map,
				                     .opcode = (u8)opcode,
				                     .vex = true,
				                     .prefix = prefixes[n & 3],
				                     .rex_w = n >> 2 & 1,
				                     .l = n >> 3 & 1,
				                     .vvvv_used = n >> 4 & 1};

				try_modrms(g, v);
			}
		}
}

static int by_row(const void *a, const void *b)
{
	const struct template *x = a, *y = b;

	return memcmp(&x->row, &y->row, 4) == 0 ? memcmp(x, y, sizeof(*x)) : x->row < y->row ? -1 : 1;
}

static bool wanted(const struct gen *g, const struct insn_row *row)
{
	return !g->filter || strstr(row->form, g->filter) != NULL;
}

static void index_rows(struct gen *g)
{
	qsort(g->templates, g->template_count, sizeof(*g->templates), by_row);
	g->first = calloc(g->row_count + 1, sizeof(*g->first));
	g->live = calloc(g->row_count, sizeof(*g->live));
	if (!g->first || !g->live)
		abort();
	for (size_t n = 0; n < g->template_count; n++)
		g->rows[g->templates[n].row].templates++;
	for (size_t n = 0; n < g->row_count; n++) {
		g->first[n + 1] = g->first[n] + g->rows[n].templates;
		if (g->rows[n].templates && wanted(g, g->rows[n].row) &&
		    !rule_excluded(g->cpu, g->rows[n].row, g->mode))
			g->live[g->live_count++] = n;
	}
}

struct gen *gen_new(const struct cpu *c, enum diff_mode mode, const char *filter)
{
	struct gen *g = calloc(1, sizeof(*g));
	size_t n = 0;

	if (!g)
		abort();
	g->cpu = c;
	g->mode = mode;
	g->filter = filter;
	for (const struct row_set *const *s = c->model->insns; *s; s++)
		g->row_count += (*s)->count;
	g->rows = calloc(g->row_count, sizeof(*g->rows));
	g->at = calloc(g->row_count, sizeof(*g->at));
	if (!g->rows || !g->at)
		abort();
	for (const struct row_set *const *s = c->model->insns; *s; s++)
		for (size_t k = 0; k < (*s)->count; k++, n++) {
			g->rows[n].row = &(*s)->rows[k];
			g->at[n] = (struct row_at){.row = &(*s)->rows[k], .index = n};
		}
	qsort(g->at, g->row_count, sizeof(*g->at), by_address);
	find_templates(g);
	index_rows(g);
	return g;
}

void gen_free(struct gen *g)
{
	free(g->rows);
	free(g->at);
	free(g->templates);
	free(g->first);
	free(g->live);
	free(g);
}

/* ---- one instruction ---- */

static void put_random_prefixes(struct emit *e, struct rng *r, enum diff_mode mode)
{
	static const u8 some[] = {0x66, 0x67, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x65, 0x65, 0x66};

	while (e->n < 3 && rng_one_in(r, 5))
		put(e, some[rng_below(r, ARRAY_LEN(some))]);
	/* A REX prefix in front of another prefix counts for nothing. */
	if (mode == DIFF_64 && rng_one_in(r, 100))
		put(e, 0x40 | (unsigned)rng_below(r, 16));
}

static void put_tail(struct emit *e, struct rng *r)
{
	static const u8 values[] = {0, 0, 1, 0x7f, 0x80, 0xff, 0xff, 2, 0x10, 0x1f, 0x20, 0x3f, 0x40};

	while (e->n < 15) {
		u64 v = rng_next(r);

		if (v & 1) {
			for (unsigned n = 0; n < 4; n++)
				put(e, (unsigned)(v >> (8 + 8 * n)));
		} else {
			put(e, values[(v >> 8) % ARRAY_LEN(values)]);
		}
	}
}

static void emit_template(struct diff_case *k, const struct template *t, enum diff_mode mode)
{
	struct emit e = {k->bytes, 0};
	struct rng *r = &k->rng;
	unsigned rex = mode == DIFF_64 && !rng_one_in(r, 3) ? (unsigned)rng_below(r, 8) : 0;

	if (t->exact)
		rex = 0;
	if (!t->vex)
		put_random_prefixes(&e, r, mode);
	else if (rng_one_in(r, 8))
		put(&e, rng_one_in(r, 2) ? 0x67 : 0x65);
	if (!t->vex && (t->modrm >> 6) != 3 && rng_one_in(r, 12))
		put(&e, 0xf0);
	if (mode == DIFF_64 && !t->vex && !t->exact && !t->rex_w && rng_one_in(r, 8))
		rex |= 8;
	put_opcode(&e, t, rex, t->vvvv_used ? (unsigned)rng_below(r, mode == DIFF_64 ? 16 : 8) : 0, mode);
	if (t->has_modrm) {
		unsigned modrm = t->modrm;

		if (!t->exact && modrm >> 6 == 3)
			modrm = (modrm & 0xf8) | (unsigned)rng_below(r, 8);
		else if (modrm >> 6 != 3)
			modrm = (modrm & 0x38) | (unsigned)rng_below(r, 3) << 6 |
			        ((modrm & 7) == 4 ? 4 : (unsigned)rng_below(r, 8));
		put(&e, modrm);
	}
	put_tail(&e, r);
}

static void emit_mutated(struct diff_case *k)
{
	unsigned n = 1 + (unsigned)rng_below(&k->rng, 3);

	while (n--)
		k->bytes[rng_below(&k->rng, 5)] = (u8)rng_next(&k->rng);
}

/* Decode what is in k->bytes. false: it may not run. */
static bool settle(struct gen *g, struct diff_case *k)
{
	bool valid;

	k->row = find_row(g, k->bytes, 15, &k->zi, k->op, &valid);
	k->invalid = !valid;
	if (!valid) {
		ZydisDecodedInstruction zi;
		ZyanStatus st = ZydisDecoderDecodeInstruction(decode_index_decoder(g->cpu->decode, g->cpu->mode),
		                                              ZYAN_NULL, k->bytes, 15, &zi);
		k->len = 15;
		if (st == ZYDIS_STATUS_NO_MORE_DATA || st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || g->filter)
			return false;
		return rule_bytes_safe(k->bytes, 15, g->mode);
	}
	k->len = k->zi.length;
	if (!k->row) {
		g->no_row[k->zi.mnemonic] = 1;
		return false;
	}
	return wanted(g, k->row) && !rule_excluded(g->cpu, k->row, g->mode) && !rule_refuses(k);
}

bool gen_decode(const struct gen *g, struct diff_case *k)
{
	bool valid;

	k->cpu = g->cpu;
	k->row = find_row(g, k->bytes, k->invalid ? 15 : k->len, &k->zi, k->op, &valid);
	return k->invalid ? !valid : valid && k->row;
}

static void place_code(struct gen *g, struct diff_case *k)
{
	u64 la = CODE_END - k->len;

	k->rip = la - (g->mode == DIFF_64 ? 0 : diff_segments(g->mode)[SEG_CS].base);
	k->in.rip = k->rip;
}

bool gen_case(struct gen *g, struct diff_case *k)
{
	k->cpu = g->cpu;
	k->rng.s = k->seed;
	for (unsigned attempt = 0; attempt < 50; attempt++) {
		size_t row = g->live[rng_below(&k->rng, g->live_count)];
		u32 at = g->first[row] + (u32)rng_below(&k->rng, g->rows[row].templates);

		emit_template(k, &g->templates[at], g->mode);
		if (rng_one_in(&k->rng, 64))
			emit_mutated(k);
		if (!settle(g, k))
			continue;
		if (k->invalid && !rng_one_in(&k->rng, 4))
			continue;
		place_code(g, k);
		gen_state(g, k);
		return true;
	}
	return false;
}
