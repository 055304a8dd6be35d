/* MOV MOVZX MOVSX LEA XCHG CMOVcc SETcc and relatives, CMPXCHG8B/16B, and the instructions that do nothing here. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)
#define SINGLE(op) static const struct form op##_form = FORM(op);

/* ---- MOV ---- */

/* Sizes are constants wherever these are called. */
static inlined enum xr load_to_reg(struct cpu *c, const struct insn *i, unsigned size)
{
	u64 v;

	TRY(op_load(c, i, size, &v));
	reg_set(c, i->r0, size, v);
	return XR_OK;
}

static inlined bool load_to_reg_flat(struct cpu *c, const struct insn *i, unsigned size)
{
	const void *m = flat_read(c, i, size);

	if (unlikely(!m))
		return false;
	reg_set(c, i->r0, size, any_get(m, size));
	return true;
}

static inlined bool store_flat(struct cpu *c, const struct insn *i, unsigned size, u64 v)
{
	void *m = flat_write(c, i, size);

	if (unlikely(!m))
		return false;
	any_set(m, size, v);
	return true;
}

static inlined enum xr put(struct cpu *c, const struct insn *i, unsigned size, u64 v)
{
	reg_set(c, i->r0, size, v);
	return XR_OK;
}

#define REG1(N) reg_get(c, i->r1, N / 8)
#define MOV_SIZE(N)                                                                                                    \
	HANDLER(mov_rr##N) { return put(c, i, N / 8, REG1(N)); }                                                       \
	CHAIN_PURE(mov_rr##N)                                                                                          \
	HANDLER(mov_ri##N) { return put(c, i, N / 8, low_bytes(i->imm, N / 8)); }                                      \
	CHAIN_PURE(mov_ri##N)                                                                                          \
	HANDLER(mov_rm##N) { return load_to_reg(c, i, N / 8); }                                                        \
	CHAIN(mov_rm##N)                                                                                               \
	FLAT(mov_rm##N, load_to_reg_flat(c, i, N / 8))                                                                 \
	HANDLER(mov_mr##N) { return op_store(c, i, N / 8, REG1(N)); }                                                  \
	CHAIN(mov_mr##N)                                                                                               \
	FLAT(mov_mr##N, store_flat(c, i, N / 8, REG1(N)))                                                              \
	HANDLER(mov_mi##N) { return op_store(c, i, N / 8, i->imm); }                                                   \
	CHAIN(mov_mi##N)                                                                                               \
	FLAT(mov_mi##N, store_flat(c, i, N / 8, i->imm))
MOV_SIZE(8)
MOV_SIZE(16)
MOV_SIZE(32)
MOV_SIZE(64)

static const struct form mov_forms[SH_COUNT][4] = {
	[SH_RR] = FORM_SIZES(mov_rr), [SH_RI] = FORM_SIZES(mov_ri), [SH_RM] = FLAT_SIZES(mov_rm),
	[SH_MR] = FLAT_SIZES(mov_mr), [SH_MI] = FLAT_SIZES(mov_mi),
};

/* Segment, control and debug registers have rows of their own. */
static bool match_mov(const struct dec *d)
{
	return (is_gpr(d, 0) || is_mem(d, 0)) && (is_gpr(d, 1) || is_mem(d, 1) || is_imm(d, 1));
}

static bool match_mov_reg(const struct dec *d)
{
	return match_mov(d) && match_no_mem(d);
}

/* ---- MOVZX, MOVSX, MOVSXD: [source size][destination size][memory] ---- */

static inlined u64 extended(u64 v, unsigned from, bool sign)
{
	return sign ? (u64)sign_extend(v, 8 * from) : v;
}

static inlined enum xr extend_mem(struct cpu *c, const struct insn *i, unsigned from, unsigned to, bool sign)
{
	u64 v;

	TRY(op_load(c, i, from, &v));
	reg_set(c, i->r0, to, extended(v, from, sign));
	return XR_OK;
}

static inlined bool extend_mem_flat(struct cpu *c, const struct insn *i, unsigned from, unsigned to, bool sign)
{
	const void *m = flat_read(c, i, from);

	if (unlikely(!m))
		return false;
	reg_set(c, i->r0, to, extended(any_get(m, from), from, sign));
	return true;
}

#define EXTEND(NAME, S, N, SIGN)                                                                                       \
	HANDLER(NAME##_r##S##_##N) { return put(c, i, N / 8, extended(REG1(S), S / 8, SIGN)); }                        \
	CHAIN_PURE(NAME##_r##S##_##N)                                                                                  \
	HANDLER(NAME##_m##S##_##N) { return extend_mem(c, i, S / 8, N / 8, SIGN); }                                    \
	CHAIN(NAME##_m##S##_##N)                                                                                       \
	FLAT(NAME##_m##S##_##N, extend_mem_flat(c, i, S / 8, N / 8, SIGN))
#define EXTEND_ALL(NAME, SIGN)                                                                                 \
	EXTEND(NAME, 8, 16, SIGN) EXTEND(NAME, 8, 32, SIGN) EXTEND(NAME, 8, 64, SIGN) EXTEND(NAME, 16, 16, SIGN)              \
	EXTEND(NAME, 16, 32, SIGN) EXTEND(NAME, 16, 64, SIGN) EXTEND(NAME, 32, 32, SIGN) EXTEND(NAME, 32, 64, SIGN)        \
	static const struct form NAME##_forms[3][4][2] = {                                                             \
		{ [1] = { FORM(NAME##_r8_16), FLAT_FORM(NAME##_m8_16) },                                               \
		  [2] = { FORM(NAME##_r8_32), FLAT_FORM(NAME##_m8_32) },                                               \
		  [3] = { FORM(NAME##_r8_64), FLAT_FORM(NAME##_m8_64) } },                                             \
		{ [1] = { FORM(NAME##_r16_16), FLAT_FORM(NAME##_m16_16) },                                             \
		  [2] = { FORM(NAME##_r16_32), FLAT_FORM(NAME##_m16_32) },                                             \
		  [3] = { FORM(NAME##_r16_64), FLAT_FORM(NAME##_m16_64) } },                                           \
		{ [2] = { FORM(NAME##_r32_32), FLAT_FORM(NAME##_m32_32) },                                             \
		  [3] = { FORM(NAME##_r32_64), FLAT_FORM(NAME##_m32_64) } },                                           \
	};
EXTEND_ALL(movzx, false)
EXTEND_ALL(movsx, true)

HANDLER(movsxd16_m32)
{
	u32 v;

	TRY(op_read32(c, i, &v));
	set_reg16(c, i->r0, (u16)v);
	return XR_OK;
}
CHAIN(movsxd16_m32)

static void bind_extend(struct insn *i, const struct dec *d)
{
	const struct form(*t)[4][2] = d->row->op;
	unsigned to = size_index(d->op[0].size), from = size_index(d->op[1].size);

	if (from > to && is_mem(d, 1) && quirk(d->cpu, QUIRK_MOVSXD16_READS_32)) {
		i->opsz = 2;
		BIND(i, movsxd16_m32);
		return;
	}
	if (from > to) { /* MOVSXD r16, r/m16: Zydis knows the operand as 32 bits wide */
		from = to;
		i->memsz = 2;
	}
	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &t[from][to][is_mem(d, 1)]);
}

/* ---- LEA ---- */

HANDLER(lea)
{
	reg_set(c, i->r0, i->opsz, insn_ea(c, i));
	return XR_OK;
}
CHAIN_PURE(lea)

HANDLER(lea32)
{
	set_reg32(c, i->r0, (u32)insn_ea(c, i));
	return XR_OK;
}
CHAIN_PURE(lea32)

#define LEA_BASE  (*(const u64 *)reg_ptr(c, i->base))
#define LEA_INDEX (*(const u64 *)reg_ptr(c, i->index) << i->scale)

HANDLER(lea64_base)
{
	set_reg64(c, i->r0, LEA_BASE + (u64)i->disp);
	return XR_OK;
}
CHAIN_PURE(lea64_base)

HANDLER(lea64_full)
{
	set_reg64(c, i->r0, LEA_BASE + LEA_INDEX + (u64)i->disp);
	return XR_OK;
}
CHAIN_PURE(lea64_full)

static void bind_lea(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
	if (i->opsz == 8 && i->addrsz == 8 && i->index == REG_OFF(REG_ZERO))
		BIND(i, lea64_base);
	else if (i->opsz == 8 && i->addrsz == 8)
		BIND(i, lea64_full);
	else if (i->opsz == 4)
		BIND(i, lea32);
	else
		BIND(i, lea);
}

/* ---- XCHG ---- */

static inlined enum xr xchg_reg(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 a = reg_get(c, i->r0, size), b = reg_get(c, i->r1, size);

	reg_set(c, i->r0, size, b);
	reg_set(c, i->r1, size, a);
	return XR_OK;
}

static inlined enum xr xchg_mem(struct cpu *c, const struct insn *i, unsigned size)
{
	const u8 r = i->r0 == SLOT_NONE ? i->r1 : i->r0;
	la_t la;
	u64 a;

	TRY(op_load_rmw(c, i, size, &la, &a));
	TRY(mem_store(c, la, size, stack_acc(i), reg_get(c, r, size)));
	reg_set(c, r, size, a);
	return XR_OK;
}

#define XCHG_SIZE(N)                                                                                                   \
	HANDLER(xchg_rr##N) { return xchg_reg(c, i, N / 8); }                                                          \
	CHAIN_PURE(xchg_rr##N)                                                                                         \
	HANDLER(xchg_m##N) { return xchg_mem(c, i, N / 8); }                                                           \
	CHAIN(xchg_m##N)
XCHG_SIZE(8)
XCHG_SIZE(16)
XCHG_SIZE(32)
XCHG_SIZE(64)

static const struct form xchg_forms[SH_COUNT][4] = {
	[SH_RR] = FORM_SIZES(xchg_rr), [SH_RM] = FORM_SIZES(xchg_m), [SH_MR] = FORM_SIZES(xchg_m),
};

/* ---- CMOVcc: the source is always read, a 32-bit destination always zero-extended ---- */

static inlined enum xr cmov_reg(struct cpu *c, const struct insn *i, unsigned cc, unsigned size)
{
	const u64 v = reg_get(c, i->r1, size), old = reg_get(c, i->r0, size);

	return put(c, i, size, cond_now(c, cc) ? v : old);
}

static inlined bool cmov_reg_quick(struct cpu *c, const struct insn *i, unsigned cc, unsigned size)
{
	const int v = cond_quick(c, cc);

	if (unlikely(v < 0))
		return false;
	reg_set(c, i->r0, size, v ? reg_get(c, i->r1, size) : reg_get(c, i->r0, size));
	return true;
}

static inlined enum xr cmov_mem(struct cpu *c, const struct insn *i, unsigned cc, unsigned size)
{
	u64 v;

	TRY(op_load(c, i, size, &v));
	return put(c, i, size, cond_now(c, cc) ? v : reg_get(c, i->r0, size));
}

#define CMOV_SIZE(CC, NAME, N)                                                                                         \
	HANDLER(cmov##NAME##_r##N) { return cmov_reg(c, i, CC, N / 8); }                                               \
	CHAIN_PURE(cmov##NAME##_r##N)                                                                                  \
	FLAT(cmov##NAME##_r##N, cmov_reg_quick(c, i, CC, N / 8))                                                       \
	HANDLER(cmov##NAME##_m##N) { return cmov_mem(c, i, CC, N / 8); }                                               \
	CHAIN(cmov##NAME##_m##N)
#define CMOV(CC, NAME) CMOV_SIZE(CC, NAME, 16) CMOV_SIZE(CC, NAME, 32) CMOV_SIZE(CC, NAME, 64)
COND_LIST(CMOV)

/* [condition][memory][size] */
#define NO_FORM { NULL, NULL, NULL }
#define CMOV_FORMS(CC, NAME)                                                                                           \
	{ { NO_FORM, FLAT_FORM(cmov##NAME##_r16), FLAT_FORM(cmov##NAME##_r32), FLAT_FORM(cmov##NAME##_r64) },                         \
	  { NO_FORM, FORM(cmov##NAME##_m16), FORM(cmov##NAME##_m32), FORM(cmov##NAME##_m64) } },
static const struct form cmov_forms[16][2][4] = { COND_LIST(CMOV_FORMS) };

static void bind_cmov(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
	i->cc = d->zi->opcode & 15;
	use_form(i, &cmov_forms[i->cc][is_mem(d, 1)][size_index(d->op[0].size)]);
}

/* ---- SETcc ---- */

static inlined bool setcc_reg_quick(struct cpu *c, const struct insn *i, unsigned cc)
{
	const int v = cond_quick(c, cc);

	if (unlikely(v < 0))
		return false;
	set_reg8(c, i->r0, (u8)v);
	return true;
}

#define SETCC(CC, NAME)                                                                                                \
	HANDLER(set##NAME##_r) { return put(c, i, 1, cond_now(c, CC)); }                                               \
	CHAIN_PURE(set##NAME##_r)                                                                                      \
	FLAT(set##NAME##_r, setcc_reg_quick(c, i, CC))                                                                 \
	HANDLER(set##NAME##_m) { return op_store(c, i, 1, cond_now(c, CC)); }                                          \
	CHAIN(set##NAME##_m)
COND_LIST(SETCC)
#define SETCC_FORMS(CC, NAME) { FLAT_FORM(set##NAME##_r), FORM(set##NAME##_m) },
static const struct form setcc_forms[16][2] = { COND_LIST(SETCC_FORMS) };

static void bind_setcc(struct insn *i, const struct dec *d)
{
	i->cc = d->zi->opcode & 15;
	use_form(i, &setcc_forms[i->cc][is_mem(d, 0)]);
}

/* ---- byte order, sign extension of the accumulator ---- */

static u64 swapped(u64 v, unsigned size)
{
	return size == 8 ? __builtin_bswap64(v) : size == 4 ? __builtin_bswap32((u32)v) : __builtin_bswap16((u16)v);
}

/* The 16-bit form is undefined; processors clear the register. */
HANDLER(bswap)
{
	reg_set(c, i->r0, i->opsz, i->opsz == 2 ? 0 : swapped(reg_get(c, i->r0, i->opsz), i->opsz));
	return XR_OK;
}
CHAIN_PURE(bswap)

HANDLER(movbe_load)
{
	u64 v;

	TRY(op_read(c, i, i->opsz, &v));
	reg_set(c, i->r0, i->opsz, swapped(v, i->opsz));
	return XR_OK;
}
CHAIN(movbe_load)

HANDLER(movbe_store)
{
	return op_write(c, i, i->opsz, swapped(reg_get(c, i->r1, i->opsz), i->opsz));
}
CHAIN(movbe_store)

static void bind_movbe(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
	if (is_mem(d, 0))
		BIND(i, movbe_store);
	else
		BIND(i, movbe_load);
}

HANDLER(movnti)
{
	return op_write(c, i, i->opsz, reg_get(c, i->r1, i->opsz));
}
CHAIN(movnti)

static inlined enum xr extend_rax(struct cpu *c, unsigned size)
{
	reg_set(c, REG_OFF(REG_RAX), size, (u64)sign_extend(c->r[REG_RAX], size * 4));
	return XR_OK;
}

static inlined enum xr sign_to_rdx(struct cpu *c, unsigned size)
{
	reg_set(c, REG_OFF(REG_RDX), size, (u64)(sign_extend(c->r[REG_RAX], size * 8) >> 63));
	return XR_OK;
}

#define OF_RAX(NAME, HOW, SIZE)                                                                                        \
	HANDLER(NAME) { return (void)i, HOW(c, SIZE); }                                                                \
	CHAIN_PURE(NAME)
OF_RAX(cbw, extend_rax, 2)
OF_RAX(cwde, extend_rax, 4)
OF_RAX(cdqe, extend_rax, 8)
OF_RAX(cwd, sign_to_rdx, 2)
OF_RAX(cdq, sign_to_rdx, 4)
OF_RAX(cqo, sign_to_rdx, 8)

/* ---- XLAT ---- */

HANDLER(xlat)
{
	u64 ea = (c->r[REG_RBX] + reg8(c, REG_OFF(REG_RAX))) & addr_mask(i);
	la_t la;
	u8 v;

	TRY(linear(c, i->seg, ea, 1, ACC_READ, &la));
	TRY(mem_read8(c, la, stack_acc(i), &v));
	set_reg8(c, REG_OFF(REG_RAX), v);
	return XR_OK;
}
CHAIN(xlat)

/* The table's segment may be overridden; the operand is hidden to the generic decoder. */
static void bind_xlat(struct insn *i, const struct dec *d)
{
	BIND(i, xlat);
	for (unsigned k = 0; k < d->zi->operand_count; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_MEMORY && d->op[k].mem.segment != ZYDIS_REGISTER_NONE)
			i->seg = (u8)ZydisRegisterGetId(d->op[k].mem.segment);
}

/* ---- CMPXCHG8B, CMPXCHG16B: only ZF changes; memory is always written ---- */

HANDLER(cmpxchg8b)
{
	u64 expected = (u64)reg32(c, REG_OFF(REG_RDX)) << 32 | reg32(c, REG_OFF(REG_RAX)), v;
	u64 wanted = (u64)reg32(c, REG_OFF(REG_RCX)) << 32 | reg32(c, REG_OFF(REG_RBX));
	la_t la;

	TRY(op_load_rmw(c, i, 8, &la, &v));
	TRY(mem_store(c, la, 8, stack_acc(i), v == expected ? wanted : v));
	cc_set_zf(c, v == expected);
	if (v != expected) {
		set_reg32(c, REG_OFF(REG_RAX), (u32)v);
		set_reg32(c, REG_OFF(REG_RDX), (u32)(v >> 32));
	}
	return XR_OK;
}
CHAIN(cmpxchg8b)

/* Alignment keeps the operand inside one page: its two halves are one access. */
HANDLER(cmpxchg16b)
{
	la_t la;
	u64 v[2];

	TRY(insn_la(c, i, 16, ACC_RMW, &la));
	if (!is_aligned(la, 16))
		return fault_gp(c, 0);
	TRY(mem_load_rmw(c, la, 8, stack_acc(i), &v[0]));
	TRY(mem_load_rmw(c, la + 8, 8, stack_acc(i), &v[1]));

	bool equal = v[0] == c->r[REG_RAX] && v[1] == c->r[REG_RDX];

	TRY(mem_store(c, la, 8, stack_acc(i), equal ? c->r[REG_RBX] : v[0]));
	TRY(mem_store(c, la + 8, 8, stack_acc(i), equal ? c->r[REG_RCX] : v[1]));
	cc_set_zf(c, equal);
	if (!equal) {
		c->r[REG_RAX] = v[0];
		c->r[REG_RDX] = v[1];
	}
	return XR_OK;
}
CHAIN(cmpxchg16b)

/* ---- nothing to do ---- */

HANDLER(nop)
{
	(void)c;
	(void)i;
	return XR_OK;
}
CHAIN_PURE(nop)

/* Caches are not modelled: the line's address is translated as a read and may fault. */
HANDLER(clflush)
{
	struct span s;
	la_t la;

	TRY(insn_la(c, i, 1, ACC_READ, &la));
	return mem_span(c, la, 1, ACC_READ | stack_acc(i), &s);
}
CHAIN(clflush)

/* Ends the block, and with it the slice of a processor that spins. */
HANDLER(pause)
{
	(void)i;
	if (c->model->cost.pause > 1)
		cpu_charge(c, c->model->cost.pause - 1u);
	c->yield = true;
	return XR_OK;
}

static bool match_f3_xchg(const struct dec *d)
{
	return dec_mode64(d) && d->zi->raw.rex.B && quirk(d->cpu, QUIRK_PAUSE_WITHOUT_REX_B);
}

/* 0F 0D with a register, which Zydis calls NOP. */
static bool match_nop(const struct dec *d)
{
	const ZydisDecodedInstruction *zi = d->zi;

	return !(zi->opcode_map == ZYDIS_OPCODE_MAP_0F && zi->opcode == 0x0d && zi->raw.modrm.mod == 3 &&
	         quirk(d->cpu, QUIRK_PREFETCH_REG_UD));
}

static void bind_f3_xchg(struct insn *i, const struct dec *d)
{
	i->opsz = d->zi->raw.rex.W ? 8 : dec_o16(d) ? 2 : 4;
	i->r0 = REG_OFF(8);
	i->r1 = REG_OFF(REG_RAX);
	use_form(i, &xchg_forms[SH_RR][size_index(i->opsz * 8u)]);
}

SINGLE(bswap) SINGLE(movnti) SINGLE(cbw) SINGLE(cwde) SINGLE(cdqe) SINGLE(cwd) SINGLE(cdq) SINGLE(cqo)
SINGLE(cmpxchg8b) SINGLE(cmpxchg16b) SINGLE(nop) SINGLE(clflush)

/* clang-format off */
#define PLAIN(MN, nm, fl, feat, how) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = fl, .feature = feat, .form = #MN, .bind = how, .op = &nm##_form }
#define NOP(MN)       PLAIN(MN, nop, ROW_PURE, FEAT_NONE, bind_plain)
#define NOP_IF(MN, f) PLAIN(MN, nop, ROW_PURE, f, bind_plain)
#define CMOV_ROW(CC, NAME) \
	{ .mnemonic = ZYDIS_MNEMONIC_CMOV##NAME, .flags = ROW_PURE, .feature = FEAT_CMOV, .form = "CMOV" #NAME " r, r", \
	  .match = match_no_mem, .bind = bind_cmov }, \
	{ .mnemonic = ZYDIS_MNEMONIC_CMOV##NAME, .feature = FEAT_CMOV, .form = "CMOV" #NAME " r, m", .bind = bind_cmov },
#define SET_ROW(CC, NAME) \
	{ .mnemonic = ZYDIS_MNEMONIC_SET##NAME, .flags = ROW_PURE, .form = "SET" #NAME " r", .match = match_no_mem, .bind = bind_setcc }, \
	{ .mnemonic = ZYDIS_MNEMONIC_SET##NAME, .form = "SET" #NAME " m", .bind = bind_setcc },
#define EXTEND_ROWS(MN, nm) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE, .form = #MN " r, r", .match = match_no_mem, .bind = bind_extend, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .form = #MN " r, m", .bind = bind_extend, .op = nm##_forms }

static const struct insn_row rows[] = {
	{ .mnemonic = ZYDIS_MNEMONIC_MOV, .flags = ROW_PURE, .form = "MOV r, r/imm", .match = match_mov_reg, .bind = bind_two, .op = mov_forms },
	{ .mnemonic = ZYDIS_MNEMONIC_MOV, .form = "MOV r/m, r/m/imm", .match = match_mov, .bind = bind_two, .op = mov_forms },
	EXTEND_ROWS(MOVZX, movzx), EXTEND_ROWS(MOVSX, movsx), EXTEND_ROWS(MOVSXD, movsx),
	{ .mnemonic = ZYDIS_MNEMONIC_LEA, .flags = ROW_PURE, .form = "LEA r, m", .bind = bind_lea },
	{ .mnemonic = ZYDIS_MNEMONIC_XCHG, .flags = ROW_PURE, .form = "XCHG r, r", .match = match_no_mem, .bind = bind_two, .op = xchg_forms },
	{ .mnemonic = ZYDIS_MNEMONIC_XCHG, .flags = ROW_LOCK, .form = "XCHG m, r", .bind = bind_two, .op = xchg_forms },
	COND_LIST(CMOV_ROW) COND_LIST(SET_ROW)
	PLAIN(BSWAP, bswap, ROW_PURE, FEAT_NONE, bind_sized), PLAIN(MOVNTI, movnti, 0, FEAT_SSE2, bind_sized),
	{ .mnemonic = ZYDIS_MNEMONIC_MOVBE, .feature = FEAT_MOVBE, .form = "MOVBE r/m, r/m", .bind = bind_movbe },
	PLAIN(CBW, cbw, ROW_PURE, FEAT_NONE, bind_plain), PLAIN(CWDE, cwde, ROW_PURE, FEAT_NONE, bind_plain),
	PLAIN(CDQE, cdqe, ROW_PURE, FEAT_NONE, bind_plain), PLAIN(CWD, cwd, ROW_PURE, FEAT_NONE, bind_plain),
	PLAIN(CDQ, cdq, ROW_PURE, FEAT_NONE, bind_plain), PLAIN(CQO, cqo, ROW_PURE, FEAT_NONE, bind_plain),
	{ .mnemonic = ZYDIS_MNEMONIC_XLAT, .form = "XLAT", .bind = bind_xlat },
	PLAIN(CMPXCHG8B, cmpxchg8b, ROW_LOCK, FEAT_CX8, bind_plain), PLAIN(CMPXCHG16B, cmpxchg16b, ROW_LOCK, FEAT_CX16, bind_plain),
	PLAIN(CLFLUSH, clflush, 0, FEAT_CLFSH, bind_plain), PLAIN(CLFLUSHOPT, clflush, 0, FEAT_CLFLUSHOPT, bind_plain),
	PLAIN(CLWB, clflush, 0, FEAT_CLWB, bind_plain),
	{ .mnemonic = ZYDIS_MNEMONIC_PAUSE, .flags = ROW_PURE, .form = "XCHG r8, rAX", .match = match_f3_xchg, .bind = bind_f3_xchg },
	{ .mnemonic = ZYDIS_MNEMONIC_PAUSE, .flags = ROW_END, .icpt = ICPT_PAUSE, .form = "PAUSE", .fn = pause },
	{ .mnemonic = ZYDIS_MNEMONIC_NOP, .flags = ROW_PURE, .form = "NOP", .match = match_nop, .bind = bind_plain, .op = &nop_form },
	NOP(ENDBR32), NOP(ENDBR64), NOP(CLDEMOTE), NOP(PREFETCH), NOP(PREFETCHW), NOP(PREFETCHWT1),
	NOP_IF(PREFETCHNTA, FEAT_SSE), NOP_IF(PREFETCHT0, FEAT_SSE), NOP_IF(PREFETCHT1, FEAT_SSE), NOP_IF(PREFETCHT2, FEAT_SSE),
	NOP_IF(SFENCE, FEAT_SSE), NOP_IF(LFENCE, FEAT_SSE2), NOP_IF(MFENCE, FEAT_SSE2),
};
/* clang-format on */
const struct row_set exec_move_rows = {rows, ARRAY_LEN(rows)};
