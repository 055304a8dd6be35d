/* MOVS CMPS SCAS LODS STOS, alone and repeated. */
#include "cpu/exec/rep.h"

#define HANDLER(NAME) static inlined enum xr NAME(struct cpu *c, const struct insn *i)

/*
 * One iteration each. MOVS reads before it writes, but what it reads may be a device: unless the source is plain memory at
 * hand, both translations are proved first, the source's before the destination's address is looked at.
 */
static enum xr movs_prove(struct cpu *c, const struct insn *i, la_t la, unsigned access)
{
	struct span s;

	TRY(alignment_check(c, la, i->opsz, i->opsz));
	return mem_span(c, la, i->opsz, access, &s);
}

/* Sizes are constants wherever these are called. */
static inlined enum xr movs(struct cpu *c, const struct insn *i, unsigned size)
{
	la_t from, to;
	bool prove;
	u64 v;

	TRY(linear(c, i->seg, addr_reg(c, i, REG_RSI), size, ACC_READ, &from));
	prove = !l1_read(c, from, size);
	if (unlikely(prove))
		TRY(movs_prove(c, i, from, ACC_READ | stack_acc(i)));
	TRY(linear(c, SEG_ES, addr_reg(c, i, REG_RDI), size, ACC_WRITE, &to));
	if (unlikely(prove))
		TRY(movs_prove(c, i, to, ACC_WRITE));
	TRY(mem_load(c, from, size, stack_acc(i), &v));
	TRY(mem_store(c, to, size, 0, v));
	string_advance(c, i, REG_RSI);
	string_advance(c, i, REG_RDI);
	return XR_OK;
}

static inlined enum xr stos(struct cpu *c, const struct insn *i, unsigned size)
{
	la_t to;

	TRY(linear(c, SEG_ES, addr_reg(c, i, REG_RDI), size, ACC_WRITE, &to));
	TRY(mem_store(c, to, size, 0, reg_get(c, REG_OFF(REG_RAX), size)));
	string_advance(c, i, REG_RDI);
	return XR_OK;
}

static inlined enum xr string_source(struct cpu *c, const struct insn *i, unsigned size, u64 *v)
{
	la_t from;

	TRY(linear(c, i->seg, addr_reg(c, i, REG_RSI), size, ACC_READ, &from));
	return mem_load(c, from, size, stack_acc(i), v);
}

static inlined enum xr string_destination(struct cpu *c, const struct insn *i, unsigned size, u64 *v)
{
	la_t at;

	TRY(linear(c, SEG_ES, addr_reg(c, i, REG_RDI), size, ACC_READ, &at));
	return mem_load(c, at, size, 0, v);
}

static inlined enum xr lods(struct cpu *c, const struct insn *i, unsigned size)
{
	u64 v;

	TRY(string_source(c, i, size, &v));
	reg_set(c, REG_OFF(REG_RAX), size, v);
	string_advance(c, i, REG_RSI);
	return XR_OK;
}

static inlined enum xr scas(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 a = reg_get(c, REG_OFF(REG_RAX), size);
	u64 b;

	TRY(string_destination(c, i, size, &b));
	cc_set(c, CC_SUB, size, low_bytes(a - b, size), a, b);
	string_advance(c, i, REG_RDI);
	return XR_OK;
}

static inlined enum xr cmps(struct cpu *c, const struct insn *i, unsigned size)
{
	const bool dest_first = quirk(c, QUIRK_CMPS_DEST_FIRST);
	u64 a, b = 0;

	if (dest_first)
		TRY(string_destination(c, i, size, &b));
	TRY(string_source(c, i, size, &a));
	if (!dest_first)
		TRY(string_destination(c, i, size, &b));
	cc_set(c, CC_SUB, size, low_bytes(a - b, size), a, b);
	string_advance(c, i, REG_RSI);
	string_advance(c, i, REG_RDI);
	return XR_OK;
}

#define STRING(op, N)                                                                                                  \
	HANDLER(op##N) { return op(c, i, N / 8); }                                                                     \
	CHAIN(op##N)
#define STRING_SIZE(N) STRING(movs, N) STRING(stos, N) STRING(lods, N) STRING(scas, N) STRING(cmps, N)
STRING_SIZE(8)
STRING_SIZE(16)
STRING_SIZE(32)
STRING_SIZE(64)

/* ---- forward runs inside one page of plain memory ---- */

/*
 * The elements of [seg:r] that lie in one page, for which the segment allows every byte and the offset does not wrap.
 * 0: take the slow way, which finds the fault if there is one. Direction up only.
 */
static u64 run_of(struct cpu *c, const struct insn *i, unsigned seg, unsigned r, unsigned access, u64 max, la_t *la)
{
	u64 ea = addr_reg(c, i, r), n = min_u64(max, (addr_mask(i) - ea) / i->opsz);

	if (n == 0 || linear(c, seg, ea, i->opsz, access, la) != XR_OK)
		return 0;
	n = min_u64(n, (PAGE_SIZE - (*la & ~PAGE_MASK)) / i->opsz);
	if (n == 0 || linear(c, seg, ea, (u32)n * i->opsz, access, la) != XR_OK)
		return 0;
	return n;
}

/* Element by element upward, so that overlapping runs repeat as the processor repeats them. */
static void copy_up(u8 *to, const u8 *from, u64 n, unsigned size)
{
	if (to <= from || (u64)(to - from) >= n * size) {
		memmove(to, from, n * size);
		return;
	}
	for (u64 k = 0; k < n; k++) {
		u64 v;

		memcpy(&v, from + k * size, size);
		memcpy(to + k * size, &v, size);
	}
}

static u64 movs_bulk(struct cpu *c, const struct insn *i, u64 max)
{
	la_t from, to;
	u64 n, bytes;

	if (max < 2 || (c->rflags & FL_DF))
		return 0;
	n = run_of(c, i, i->seg, REG_RSI, ACC_READ, max, &from);
	if (n)
		n = run_of(c, i, SEG_ES, REG_RDI, ACC_WRITE, n, &to);
	if (n == 0)
		return 0;
	bytes = n * i->opsz;

	u8 *src = l1_read(c, from, (unsigned)bytes), *dst = l1_write(c, to, (unsigned)bytes);

	if (!src || !dst)
		return 0;
	copy_up(dst, src, n, i->opsz);
	set_addr_reg(c, i, REG_RSI, c->r[REG_RSI] + bytes);
	set_addr_reg(c, i, REG_RDI, c->r[REG_RDI] + bytes);
	return n;
}

static void fill_up(u8 *to, u64 v, u64 n, unsigned size)
{
	if (size == 1) {
		memset(to, (int)(v & 0xff), n);
		return;
	}
	for (u64 k = 0; k < n; k++)
		memcpy(to + k * size, &v, size);
}

static u64 stos_bulk(struct cpu *c, const struct insn *i, u64 max)
{
	la_t to;
	u64 n, bytes;

	if (max < 2 || (c->rflags & FL_DF))
		return 0;
	n = run_of(c, i, SEG_ES, REG_RDI, ACC_WRITE, max, &to);
	if (n == 0)
		return 0;
	bytes = n * i->opsz;

	u8 *dst = l1_write(c, to, (unsigned)bytes);

	if (!dst)
		return 0;
	fill_up(dst, c->r[REG_RAX], n, i->opsz);
	set_addr_reg(c, i, REG_RDI, c->r[REG_RDI] + bytes);
	return n;
}

/* ---- repeated ---- */

/* QUIRK_REP_EXTENDS: what the first iteration would write at the address size anyway. */
static inline void rep_extend(struct cpu *c, const struct insn *i, unsigned registers)
{
	if (likely(i->addrsz != 4) || !mode64(c) || !quirk(c, QUIRK_REP_EXTENDS))
		return;
	for (unsigned n = 0; n < 8; n++)
		if (registers >> n & 1)
			c->r[n] = (u32)c->r[n];
}

enum {
	EXTENDS_movs = 1 << REG_RCX | 1 << REG_RSI | 1 << REG_RDI,
	EXTENDS_stos = 1 << REG_RCX | 1 << REG_RDI,
	EXTENDS_lods = 1 << REG_RCX,
	EXTENDS_scas = 1 << REG_RCX,
	EXTENDS_cmps = 1 << REG_RCX,
};

static inlined enum xr repeat(struct cpu *c, const struct insn *i, insn_fn *one, unsigned extends,
                                    u64 (*bulk)(struct cpu *, const struct insn *, u64), bool compares)
{
	rep_extend(c, i, extends);
	return rep_run(c, i, one, bulk, compares);
}

#define REPEATED_SIZE(op, N, BULK, COMPARES)                                                                           \
	HANDLER(rep_##op##N) { return repeat(c, i, op##N, EXTENDS_##op, BULK, COMPARES); }                             \
	CHAIN_BRANCH(rep_##op##N)
#define REPEATED(op, BULK, COMPARES)                                                                                   \
	REPEATED_SIZE(op, 8, BULK, COMPARES) REPEATED_SIZE(op, 16, BULK, COMPARES)                                     \
	REPEATED_SIZE(op, 32, BULK, COMPARES) REPEATED_SIZE(op, 64, BULK, COMPARES)                                    \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op), FORM_SIZES(rep_##op) };
REPEATED(movs, movs_bulk, false)
REPEATED(stos, stos_bulk, false)
REPEATED(lods, NULL, false)
REPEATED(scas, NULL, true)
REPEATED(cmps, NULL, true)

static void bind_strings(struct insn *i, const struct dec *d)
{
	const struct form(*t)[4] = d->row->op;

	bind_string(i, d);
	use_form(i, &t[(i->flags & (INSN_REP | INSN_REPNE)) != 0][size_index(i->opsz * 8u)]);
}

/* clang-format off */
#define ONE(MN, nm) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_BRANCH | ROW_REPEAT, .form = "REP " #MN, .match = match_repeated, .bind = bind_strings, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .form = #MN, .match = match_single, .bind = bind_strings, .op = nm##_forms }
#define ALL(MN, nm) ONE(MN##B, nm), ONE(MN##W, nm), ONE(MN##D, nm), ONE(MN##Q, nm)

static const struct insn_row rows[] = {
	ALL(MOVS, movs), ALL(STOS, stos), ALL(LODS, lods), ALL(SCAS, scas), ALL(CMPS, cmps),
};
/* clang-format on */
const struct row_set exec_string_rows = {rows, ARRAY_LEN(rows)};
