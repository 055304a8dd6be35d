/*
 * Segments: descriptors, loads with every check, and the address arithmetic of the modes that have limits.
 * May call: mmu, events (faults). Called by: exec, events, tasks.
 */
#include "cpu/control/segs.h"

#include "cpu/control/msr.h"
#include "cpu/mmu/mem.h"

/* ---- descriptors ---- */

struct seg seg_from_descriptor(u16 sel, u64 desc)
{
	u32 limit = (u32)(bits(desc, 51, 48) << 16 | bits(desc, 15, 0));
	struct seg s = {
		.sel = sel,
		.ar = (u32)(bits(desc, 47, 40) | bits(desc, 55, 52) << 12),
		.base = bits(desc, 63, 56) << 24 | bits(desc, 39, 16),
	};

	s.limit = s.ar & AR_G ? limit << 12 | 0xfff : limit;
	return s;
}

struct seg seg_from_system(const struct cpu *c, u16 sel, const u64 d[2])
{
	struct seg s = seg_from_descriptor(sel, d[0]);

	if (long_mode(c))
		s.base |= d[1] << 32;
	return s;
}

static bool has_upper_half(const struct cpu *c, u64 d)
{
	unsigned t = desc_type(d);

	return long_mode(c) && desc_is_system(d) &&
	       (t == SYS_LDT || t == SYS_TSS32 || t == SYS_TSS32_BUSY || t == SYS_CALL32);
}

static la_t table_address(const struct cpu *c, u64 base, u32 off)
{
	return long_mode(c) ? base + off : (u32)(base + off);
}

enum xr desc_fetch(struct cpu *c, u16 sel, u64 out[2], la_t *at, bool *inside)
{
	bool ldt = sel & 4;
	u32 off = sel & 0xfff8u;
	u32 limit = ldt ? c->seg[SEG_LDTR].limit : c->gdtr.limit;
	u64 base = ldt ? c->seg[SEG_LDTR].base : c->gdtr.base;

	*inside = false;
	out[0] = out[1] = 0;
	if ((ldt && (c->seg[SEG_LDTR].ar & AR_UNUSABLE)) || off + 7 > limit)
		return XR_OK;
	*at = table_address(c, base, off);
	TRY(mem_read64(c, *at, ACC_SUPER, &out[0]));
	if (has_upper_half(c, out[0])) {
		if (off + 15 > limit)
			return XR_OK;
		TRY(mem_read64(c, table_address(c, base, off + 8), ACC_SUPER, &out[1]));
	}
	*inside = true;
	return XR_OK;
}

enum xr read_descriptor(struct cpu *c, u16 sel, unsigned fault_vector, u64 out[2], la_t *at)
{
	bool inside;

	TRY(desc_fetch(c, sel, out, at, &inside));
	return inside ? XR_OK : cpu_fault(c, fault_vector, sel_error(sel));
}

enum xr desc_set_accessed(struct cpu *c, la_t at, u64 desc)
{
	if (desc & BIT(40))
		return XR_OK;
	return mem_write8(c, at + 5, ACC_SUPER, (u8)(bits(desc, 47, 40) | AR_A));
}

enum xr desc_set_busy(struct cpu *c, la_t at, bool busy)
{
	u64 b;

	TRY(mem_load_rmw(c, at + 5, 1, ACC_SUPER, &b));
	return mem_store(c, at + 5, 1, ACC_SUPER, busy ? b | 2 : b & ~2ull);
}

/* ---- commits ---- */

void seg_commit(struct cpu *c, unsigned n, const struct seg *s)
{
	c->seg[n] = *s;
	if (n == SEG_CS || n == SEG_SS)
		cpu_update_mode(c);
	else if (n <= SEG_GS)
		c->sb.base[n] = mode64(c) && n < SEG_FS ? 0 : s->base;
}

/* Real mode loads selector and base; limit and the D/B bit stay as they were ("Switching Back to Real-Address Mode"). */
static void set_real(struct cpu *c, unsigned n, u16 sel)
{
	struct seg s = c->seg[n];

	s.sel = sel;
	s.base = (u64)sel << 4;
	if (s.ar & AR_UNUSABLE)
		s.limit = 0xffff;
	s.ar = (s.ar & AR_UNUSABLE ? 0 : s.ar & (AR_G | AR_DB)) | 0x93;
	seg_commit(c, n, &s);
}

void seg_set_v86(struct cpu *c, unsigned n, u16 sel)
{
	struct seg s = {.sel = sel, .base = (u64)sel << 4, .limit = 0xffff, .ar = 0xf3};

	seg_commit(c, n, &s);
}

void seg_set_real(struct cpu *c, unsigned seg, u16 sel)
{
	if (v86_mode(c))
		seg_set_v86(c, seg, sel);
	else
		set_real(c, seg, sel);
}

void seg_set_null(struct cpu *c, unsigned n, u16 sel)
{
	struct seg s = {.sel = sel, .ar = AR_UNUSABLE};

	if (quirk(c, QUIRK_NULL_KEEPS_BASE) && !has(c, FEAT_NULL_SEL_CLR)) {
		s.base = c->seg[n].base;
		s.limit = c->seg[n].limit;
	}
	if (n == SEG_SS)
		s.ar |= (u32)c->cpl << AR_DPL_SHIFT;
	seg_commit(c, n, &s);
}

/*
 * SDM 2 "IRET", RETURN-TO-OUTER-PRIVILEGE-LEVEL; APM 3 "IRET". Only the selector and the right to use the segment go: FS
 * and GS keep the base that a kernel gave them, so that it finds it when it comes back.
 */
void seg_drop_privileged(struct cpu *c)
{
	static const u8 which[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned k = 0; k < ARRAY_LEN(which); k++) {
		struct seg s = c->seg[which[k]];
		bool conforming = (s.ar & (AR_CODE | AR_E)) == (AR_CODE | AR_E);

		if (!sel_null(s.sel) && (conforming || ar_dpl(s.ar) >= c->cpl))
			continue;
		s.sel = 0;
		s.ar |= AR_UNUSABLE;
		seg_commit(c, which[k], &s);
	}
}

/* ---- loads ---- */

enum xr seg_check_ss(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, struct seg *out)
{
	u64 d[2];
	la_t at = 0;

	if (sel_null(sel))
		return cpu_fault(c, vector, 0);
	TRY(read_descriptor(c, sel, vector, d, &at));
	if (!desc_is_data(d[0]) || !(desc_type(d[0]) & AR_W) || (sel & 3u) != cpl || desc_dpl(d[0]) != cpl)
		return cpu_fault(c, vector, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_SS, sel_error(sel));
	TRY(desc_set_accessed(c, at, d[0]));
	*out = seg_from_descriptor(sel, d[0]);
	out->ar |= AR_A;
	return XR_OK;
}

static enum xr load_ss(struct cpu *c, u16 sel)
{
	struct seg s;

	/* A null SS is legal in 64-bit mode below CPL 3: returns to the kernel's own level leave one. */
	if (sel_null(sel)) {
		if (!mode64(c) || c->cpl == 3 || (sel & 3) != c->cpl)
			return fault_gp(c, 0);
		seg_set_null(c, SEG_SS, sel);
		return XR_OK;
	}
	TRY(seg_check_ss(c, sel, c->cpl, EX_GP, &s));
	seg_commit(c, SEG_SS, &s);
	return XR_OK;
}

enum xr seg_load(struct cpu *c, unsigned seg, u16 sel)
{
	u64 d[2];
	la_t at = 0;
	struct seg s;

	if (real_mode(c) || v86_mode(c)) {
		seg_set_real(c, seg, sel);
		return XR_OK;
	}
	if (seg == SEG_SS)
		return load_ss(c, sel);
	if (sel_null(sel)) {
		seg_set_null(c, seg, sel);
		return XR_OK;
	}
	TRY(read_descriptor(c, sel, EX_GP, d, &at));

	unsigned type = desc_type(d[0]);
	bool conforming = (type & (AR_CODE | AR_E)) == (AR_CODE | AR_E);

	if (desc_is_system(d[0]) || (type & (AR_CODE | AR_W)) == AR_CODE)
		return fault_gp(c, sel_error(sel));
	if (!conforming && (desc_dpl(d[0]) < (sel & 3u) || desc_dpl(d[0]) < c->cpl))
		return fault_gp(c, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	TRY(desc_set_accessed(c, at, d[0]));
	s = seg_from_descriptor(sel, d[0]);
	s.ar |= AR_A;
	seg_commit(c, seg, &s);
	return XR_OK;
}

/* LLDT and LTR in long mode: the upper half's type field must be zero and the base canonical. */
static bool upper_half_ok(const struct cpu *c, const struct seg *s, const u64 d[2])
{
	return !long_mode(c) || (bits(d[1], 44, 40) == 0 && is_canonical(s->base, msr_la_bits(c)));
}

enum xr seg_load_ldtr(struct cpu *c, u16 sel)
{
	u64 d[2];
	la_t at = 0;

	if (sel_null(sel)) {
		seg_set_null(c, SEG_LDTR, sel);
		return XR_OK;
	}
	if (sel & 4)
		return fault_gp(c, sel_error(sel));
	TRY(read_descriptor(c, sel, EX_GP, d, &at));

	struct seg s = seg_from_system(c, sel, d);

	if (!desc_is_system(d[0]) || desc_type(d[0]) != SYS_LDT || !upper_half_ok(c, &s, d))
		return fault_gp(c, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	seg_commit(c, SEG_LDTR, &s);
	return XR_OK;
}

enum xr seg_load_tr(struct cpu *c, u16 sel)
{
	u64 d[2];
	la_t at = 0;

	if (sel_null(sel))
		return fault_gp(c, 0);
	if (sel & 4)
		return fault_gp(c, sel_error(sel));
	TRY(read_descriptor(c, sel, EX_GP, d, &at));

	struct seg s = seg_from_system(c, sel, d);
	unsigned type = desc_type(d[0]);

	if (!desc_is_system(d[0]) || (type != SYS_TSS32 && (type != SYS_TSS16 || long_mode(c))) || !upper_half_ok(c, &s, d))
		return fault_gp(c, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	TRY(desc_set_busy(c, at, true));
	s.ar |= 2; /* busy */
	seg_commit(c, SEG_TR, &s);
	return XR_OK;
}

/* ---- addresses ---- */

bool seg_covers(const struct seg *s, u64 off, u32 size)
{
	u64 last = off + size - 1;

	if ((s->ar & (AR_S | AR_CODE | AR_E)) == (AR_S | AR_E)) /* expand-down: valid above the limit */
		return off > s->limit && last <= (s->ar & AR_DB ? 0xffffffffull : 0xffffull);
	return last <= s->limit && last >= off;
}

static bool rights_ok(const struct seg *s, unsigned access)
{
	if (s->ar & AR_UNUSABLE)
		return false;
	if (s->ar & AR_CODE)
		return !(access & ACC_WRITE) && ((s->ar & AR_W) || !(access & ACC_READ));
	return !(access & ACC_WRITE) || (s->ar & AR_W);
}

enum xr seg_address(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la)
{
	const struct seg *s = &c->seg[seg];
	unsigned vector = seg == SEG_SS ? EX_SS : EX_GP;

	if (mode64(c)) {
		u64 a = ea + c->sb.base[seg];

		if (unlikely(!is_canonical(a, c->la_bits) || !is_canonical(a + size - 1, c->la_bits)))
			return cpu_fault(c, vector, 0);
		*la = a;
		return XR_OK;
	}
	if (unlikely(!seg_covers(s, ea, size)))
		return cpu_fault(c, vector, 0);
	/* Real and virtual-8086 mode have limits but no rights. */
	if (unlikely((c->mode & MODE_PE) && !rights_ok(s, access)))
		return cpu_fault(c, vector, 0);
	*la = (u32)(s->base + ea);
	return XR_OK;
}

/* ---- stacks ---- */

struct stack stack_current(const struct cpu *c)
{
	return (struct stack){.ss = c->seg[SEG_SS], .sp = c->r[REG_RSP], .mask = stack_mask(c), .flat = mode64(c)};
}

enum xr tss_bytes(struct cpu *c, u32 offset, u32 size, u64 *v)
{
	struct span s;

	*v = 0;
	TRY(mem_span(c, c->seg[SEG_TR].base + offset, size, ACC_READ | ACC_SUPER, &s));
	span_read(c, &s, 0, v, size);
	return XR_OK;
}

static enum xr tss_read(struct cpu *c, u32 off, unsigned size, u64 *v)
{
	const struct seg *tr = &c->seg[SEG_TR];

	if (off + size - 1 > tr->limit)
		return cpu_fault(c, EX_TS, sel_error(tr->sel));
	return mem_read(c, table_address(c, tr->base, off), size, ACC_SUPER, v);
}

/* RSPn of the 64-bit TSS; SS becomes null. */
static enum xr stack_inner64(struct cpu *c, unsigned cpl, struct stack *out)
{
	u64 rsp;

	TRY(tss_read(c, 4 + 8 * cpl, 8, &rsp));
	if (!is_canonical(rsp, c->la_bits))
		return cpu_fault(c, EX_SS, 0);
	*out = (struct stack){
		.ss = {.sel = (u16)cpl, .ar = AR_UNUSABLE | (u32)cpl << AR_DPL_SHIFT},
		.sp = rsp,
		.mask = ~0ull,
		.flat = true,
		.super = true,
	};
	return XR_OK;
}

enum xr stack_inner(struct cpu *c, unsigned cpl, struct stack *out)
{
	bool wide = (c->seg[SEG_TR].ar & AR_TYPE & ~2u) == SYS_TSS32;
	u64 sp, ss;

	if (long_mode(c))
		return stack_inner64(c, cpl, out);
	TRY(tss_read(c, wide ? 4 + 8 * cpl : 2 + 4 * cpl, wide ? 4 : 2, &sp));
	TRY(tss_read(c, wide ? 8 + 8 * cpl : 4 + 4 * cpl, 2, &ss));
	*out = (struct stack){.sp = sp, .super = true, .error = sel_error((u16)ss)};
	TRY(seg_check_ss(c, (u16)ss, cpl, EX_TS, &out->ss));
	out->mask = out->ss.ar & AR_DB ? 0xffffffffull : 0xffffull;
	return XR_OK;
}

static enum xr stack_address(struct cpu *c, const struct stack *st, u64 sp, u32 len, la_t *la)
{
	if (st->flat) {
		if (!is_canonical(sp, c->la_bits) || !is_canonical(sp + len - 1, c->la_bits))
			return cpu_fault(c, EX_SS, st->error);
		*la = sp;
		return XR_OK;
	}

	u64 off = sp & st->mask;

	if (!seg_covers(&st->ss, off, len) || ((c->mode & MODE_PE) && !rights_ok(&st->ss, ACC_WRITE)))
		return cpu_fault(c, EX_SS, st->error);
	*la = (u32)(st->ss.base + off);
	return XR_OK;
}

static unsigned stack_access(const struct stack *st)
{
	return ACC_STACK | (st->super ? ACC_SUPER : 0u);
}

/* A frame that wraps around a 16-bit stack segment: every element is made writable before the first is written. */
static enum xr push_wrapped(struct cpu *c, struct stack *st, unsigned size, const u64 *v, unsigned n)
{
	u64 sp = st->sp, old;
	la_t la;

	for (unsigned k = 1; k <= n; k++) {
		TRY(stack_address(c, st, sp - k * size, size, &la));
		TRY(mem_rmw(c, la, size, stack_access(st), &old));
	}
	for (unsigned k = 1; k <= n; k++) {
		TRY(stack_address(c, st, sp - k * size, size, &la));
		TRY(mem_write(c, la, size, stack_access(st), v[k - 1]));
	}
	st->sp = sp - n * size;
	return XR_OK;
}

enum xr stack_push(struct cpu *c, struct stack *st, unsigned size, const u64 *v, unsigned n)
{
	u32 len = n * size;
	u64 sp = st->sp - len;
	u8 frame[40 * 8];
	struct span s;
	la_t la;

	if (!st->flat && (sp & st->mask) + len - 1 > st->mask)
		return push_wrapped(c, st, size, v, n);
	TRY(stack_address(c, st, sp, len, &la));
	TRY(mem_span(c, la, len, ACC_WRITE | stack_access(st), &s));
	for (unsigned k = 0; k < n; k++)
		memcpy(frame + (n - 1 - k) * size, &v[k], size);
	span_write(c, &s, 0, frame, len);
	st->sp = sp;
	return XR_OK;
}

enum xr stack_peek(struct cpu *c, const struct stack *st, unsigned size, unsigned k, u64 skip, u64 *v)
{
	la_t la = 0;

	TRY(stack_address(c, st, st->sp + k * size + skip, size, &la));
	return mem_read(c, la, size, stack_access(st), v);
}

void far_land(struct cpu *c, u64 from, u64 rip)
{
	struct branch_record *b = &c->lastbr[c->lastbr_n++ & (ARRAY_LEN(c->lastbr) - 1)];

	b->from = from;
	b->to = rip;
	if (unlikely(c->debugctl))
		lbr_branch(c, from, rip, LBR_FAR);
	c->r[REG_RIP] = rip;
	c->block_mode_changed = 1;
}
