/*
 * The moves of vecmov.h.
 */
#include "cpu/exec/flat.h"
#include "cpu/exec/fpu.h"
#include "cpu/exec/vecmov.h"

/*
 * ---- The short ways ----
 * The state that the unit's gate asks for is there, memory is 64-bit code's and in the L1, and aligned where it must be;
 * in everything else they tail-call the handler for every case. MEASURED: compared here that is cheaper than through a
 * gate, and blocks need not be told apart by it.
 */
static inlined bool unit_open(const struct cpu *c, bool vex)
{
	const u64 both = XC_SSE | XC_AVX;

	if (!vex)
		return !(c->cr0 & (CR0_EM | CR0_TS)) && (c->cr4 & CR4_OSFXSR);
	return !(c->cr0 & CR0_TS) && (c->cr4 & CR4_OSXSAVE) && (c->xcr0 & both) == both;
}

/* In 64-bit code: the bytes of the operand, NULL where the long way must be taken. */
static inlined void *operand(struct cpu *c, const struct insn *i, unsigned size, bool vex, bool write)
{
	const la_t la = flat_la(c, i);

	if (unlikely(!unit_open(c, vex) || (size > 8 && vec_misaligned(c, i, la))))
		return NULL;
	return write ? l1_write(c, la, size) : l1_read(c, la, size);
}

static inlined void put(struct cpu *c, const struct insn *i, const void *from, unsigned size, bool vex)
{
	union vec *to = &c->v[i->r0];

	if (size < 16)
		to->q[0] = to->q[1] = 0;
	memcpy(to, from, size);
	if (vex && size < 32)
		to->q[2] = to->q[3] = 0;
}

#define SHORT_MOVES(SIZE, FORM, VEX)                                                                                   \
	static enum xr load##SIZE##FORM(struct cpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		const void *p = operand(c, i, SIZE, VEX, false);                                                       \
                                                                                                                       \
		if (unlikely(!p))                                                                                      \
			return insn_chain_gated(c, i);                                                                 \
		put(c, i, p, SIZE, VEX);                                                                               \
		return NEXT(c, i);                                                                                     \
	}                                                                                                              \
	static enum xr store##SIZE##FORM(struct cpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		void *p = operand(c, i, SIZE, VEX, true);                                                              \
                                                                                                                       \
		if (unlikely(!p))                                                                                      \
			return insn_chain_gated(c, i);                                                                 \
		memcpy(p, &c->v[i->r2], SIZE);                                                                         \
		return NEXT(c, i);                                                                                     \
	}
#define SHORT_COPY(SIZE, FORM, VEX)                                                                                    \
	static enum xr copy##SIZE##FORM(struct cpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		if (unlikely(!unit_open(c, VEX)))                                                                      \
			return insn_chain_gated(c, i);                                                                 \
		put(c, i, &c->v[i->r2], SIZE, VEX);                                                                    \
		return NEXT(c, i);                                                                                     \
	}
SHORT_MOVES(4, _legacy, false) SHORT_MOVES(8, _legacy, false) SHORT_MOVES(16, _legacy, false)
SHORT_MOVES(4, _vex, true) SHORT_MOVES(8, _vex, true) SHORT_MOVES(16, _vex, true) SHORT_MOVES(32, _vex, true)
SHORT_COPY(16, _legacy, false) SHORT_COPY(16, _vex, true) SHORT_COPY(32, _vex, true)

/* [VEX][4, 8, 16, 32 bytes]; NULL: there is none. */
static insn_fn *const short_load[2][4] = {{load4_legacy, load8_legacy, load16_legacy, NULL}, {load4_vex, load8_vex, load16_vex, load32_vex}};
static insn_fn *const short_store[2][4] = {{store4_legacy, store8_legacy, store16_legacy, NULL},
                                           {store4_vex, store8_vex, store16_vex, store32_vex}};
static insn_fn *const short_copy[2][4] = {{NULL, NULL, copy16_legacy, NULL}, {NULL, NULL, copy16_vex, copy32_vex}};

static int size_of(unsigned bytes)
{
	return bytes == 4 ? 0 : bytes == 8 ? 1 : bytes == 16 ? 2 : bytes == 32 ? 3 : -1;
}

static void bind_short(struct insn *i, const struct dec *d)
{
	const bool vex = (i->flags & INSN_VEX) != 0, memory = (i->flags & INSN_MEM) != 0;
	const int size = size_of(memory ? i->memsz : i->cc);

	if (size < 0 || !dec_mode64(d) || (memory && (!(i->flags & INSN_FLAT) || i->addrsz != 8)))
		return;
	if (i->fn == vecmov_load)
		i->fast = short_load[vex][size];
	else if (i->fn == vecmov_store)
		i->fast = short_store[vex][size];
	else if (i->fn == vecmov_copy)
		i->fast = short_copy[vex][size];
}

static void bind_by_operands(struct insn *i, const struct dec *d)
{
	const struct vmov *m = d->row->op;

	vec_bind(i, d);
	const ZydisDecodedOperand *last = vec_operand(d, 2) ? vec_operand(d, 2) : vec_operand(d, 1);
	const ZydisRegisterClass first_class = ZydisRegisterGetClass(d->op[0].reg.value);
	if (vec_is_mem(d, 0))
		i->fn = m->store;
	else if (last->type == ZYDIS_OPERAND_TYPE_MEMORY)
		i->fn = m->load;
	else if (first_class == ZYDIS_REGCLASS_GPR32 || first_class == ZYDIS_REGCLASS_GPR64)
		i->fn = m->to_gpr;
	else if (m->from_gpr && ZydisRegisterGetClass(last->reg.value) != ZYDIS_REGCLASS_XMM)
		i->fn = m->from_gpr;
	else
		i->fn = m->rr;
}

void vec_bind_move(struct insn *i, const struct dec *d)
{
	bind_by_operands(i, d);
	bind_short(i, d);
}

enum xr vecmov_copy(struct cpu *c, const struct insn *i)
{
	vec_write_reg(c, i, i->r0, &c->v[i->r2]);
	return XR_OK;
}

enum xr vecmov_load(struct cpu *c, const struct insn *i)
{
	union vec t;

	TRY(vec_mem_read(c, i, i->memsz, &t));
	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_store(struct cpu *c, const struct insn *i)
{
	return vec_mem_write(c, i, i->memsz, &c->v[i->r2]);
}

enum xr vecmov_low(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t = c->v[i->r1];

	memcpy(&t, &c->v[i->r2], op->element);
	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_quad(struct cpu *c, const struct insn *i)
{
	union vec t = { .q = { c->v[i->r2].q[0] } };

	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_load_low(struct cpu *c, const struct insn *i)
{
	union vec t, r = c->v[i->r1];

	TRY(vec_mem_read(c, i, 8, &t));
	r.q[0] = t.q[0];
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_load_high(struct cpu *c, const struct insn *i)
{
	union vec t, r = c->v[i->r1];

	TRY(vec_mem_read(c, i, 8, &t));
	r.q[1] = t.q[0];
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_store_high(struct cpu *c, const struct insn *i)
{
	return vec_mem_write(c, i, 8, &c->v[i->r2].q[1]);
}

enum xr vecmov_from_gpr(struct cpu *c, const struct insn *i)
{
	union vec t = { .q = { reg_get(c, i->r2, i->imm2) } };

	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_to_gpr(struct cpu *c, const struct insn *i)
{
	set_reg64(c, i->r0, low_bytes(c->v[i->r2].q[0], i->imm2));
	return XR_OK;
}

enum xr vecmov_insert(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t, r = c->v[i->r1];

	if (i->flags & INSN_MEM)
		TRY(vec_mem_read(c, i, op->element, &t));
	else
		t.q[0] = reg64(c, i->r2);
	memcpy(&r.b[(i->imm * op->element) & 15], &t, op->element);
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_extract(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u64 v = 0;

	memcpy(&v, &c->v[i->r2].b[(i->imm * op->element) & 15], op->element);
	if (i->flags & INSN_MEM)
		return vec_mem_write(c, i, op->element, &v);
	set_reg64(c, i->r0, v);
	return XR_OK;
}

enum xr vecmov_mask(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;

	set_reg64(c, i->r0, lanes_movmsk(&c->v[i->r2], i->opsz, op->element));
	return XR_OK;
}

/* ---- MASKMOVDQU ---- */

void vec_bind_masked(struct insn *i, const struct dec *d)
{
	vec_bind(i, d);
	i->seg = SEG_DS;
	for (unsigned k = 0; k < d->zi->operand_count; k++) {
		if (d->op[k].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		ZydisRegister s = d->op[k].mem.segment;
		if (s >= ZYDIS_REGISTER_ES && s <= ZYDIS_REGISTER_GS)
			i->seg = (u8)(s - ZYDIS_REGISTER_ES);
	}
	i->flags = (u8)(i->flags & ~INSN_MEM);
	if ((d->mode & MODE_SIZE) == MODE_64)
		i->flags |= INSN_FLAT;
	i->base = REG_OFF(REG_RDI);
	i->index = REG_OFF(REG_ZERO);
	i->scale = 0;
	i->disp = 0;
	i->aux = 0;
}

/*
 * Only selected bytes are translated and written; all of them or, on a fault, none. A mask of zeroes touches nothing
 * ("exceptions associated with addressing memory ... are implementation-specific").
 */
enum xr vecmov_masked_bytes(struct cpu *c, const struct insn *i)
{
	const union vec *data = &c->v[i->r0], *m = &c->v[i->r2];
	u32 bytes = lanes_movmsk(m, 16, 1);
	struct span s;
	la_t la;

	if (!bytes)
		return XR_OK;
	unsigned first = (unsigned)__builtin_ctz(bytes), last = 31 - (unsigned)__builtin_clz(bytes);
	TRY(vec_part_la(c, i, first, last + 1 - first, ACC_WRITE, &la));
	TRY(mem_span(c, la, last + 1 - first, ACC_WRITE | vec_stack(i), &s));
	for (unsigned k = first; k <= last; k++)
		if (bytes >> k & 1)
			span_write(c, &s, k - first, &data->b[k], 1);
	return XR_OK;
}
