/*
 * Extended state: FXSAVE and the XSAVE family, MXCSR, XCR0. Components: x87, SSE, AVX, PKRU. All saving goes through
 * one span over the part of the area the instruction may touch; what is in use is computed from the registers
 * themselves ("XSAVE-Enabled Registers": XINUSE may be 0 only for the initial configuration).
 */
#include "cpu/exec/fpu.h"

enum {
	OFF_FIP = 8, OFF_FDP = 16, OFF_MXCSR = 24, OFF_ST = 32, OFF_XMM = 160, LEGACY_SIZE = 512, HEADER_SIZE = 64,
	EXTENDED = LEGACY_SIZE + HEADER_SIZE,
};

#define AREA_MAX 2696

struct header {
	u64 xstate_bv, xcomp_bv, reserved[6];
};
#define XCOMP_COMPACTED BIT(63)

u32 mxcsr_mask(const struct cpu *c)
{
	return has(c, FEAT_MISALIGNSSE) ? 0x2ffff : 0xffff;
}

bool xcr0_valid(const struct cpu *c, u64 v)
{
	return (v & XC_X87) && !(v & ~xsave_components(c)) && (!(v & XC_AVX) || (v & XC_SSE));
}

/* Outside 64-bit mode there are eight registers. */
static unsigned vector_count(const struct cpu *c)
{
	return mode64(c) ? 16 : 8;
}

u64 xsave_inuse(const struct cpu *c)
{
	u64 low = 0, high = 0, inuse = 0;
	unsigned n;

	for (n = 0; n < vector_count(c); n++) {
		low |= c->v[n].q[0] | c->v[n].q[1];
		high |= c->v[n].q[2] | c->v[n].q[3];
	}
	if (!fpu_is_initial(c))
		inuse |= XC_X87;
	if (low)
		inuse |= XC_SSE;
	if (high)
		inuse |= XC_AVX;
	if (c->pkru)
		inuse |= XC_PKRU;
	return inuse;
}

/* ---- the legacy region ---- */

static bool wide(const struct insn *i)
{
	return i->opsz == 8;
}

/* AMD: without a pending error the pointers are not kept ("FXSAVE"). */
static bool pointers_kept(const struct cpu *c, u16 sw)
{
	return !quirk(c, QUIRK_FXSAVE_PTR_ES) || (sw & X87_ES);
}

static void image_x87(const struct cpu *c, bool rex_w, u8 *p)
{
	const struct x87 *f = &c->fpu;
	bool selectors = !has(c, FEAT_ZERO_FCS_FDS);
	u16 sw = fpu_sw(c), cs = selectors ? f->cs : 0, ds = selectors ? f->ds : 0;
	unsigned n;

	memset(p, 0, OFF_MXCSR);
	memset(p + OFF_ST, 0, 128);
	memcpy(p, &f->cw, 2);
	memcpy(p + 2, &sw, 2);
	p[4] = f->tag;
	if (pointers_kept(c, sw)) {
		memcpy(p + 6, &f->op, 2);
		memcpy(p + OFF_FIP, &f->ip, rex_w ? 8 : 4);
		memcpy(p + OFF_FDP, &f->dp, rex_w ? 8 : 4);
		if (!rex_w) {
			memcpy(p + OFF_FIP + 4, &cs, 2);
			memcpy(p + OFF_FDP + 4, &ds, 2);
		}
	}
	for (n = 0; n < 8; n++)
		memcpy(p + OFF_ST + 16 * n, f->st[st_phys(c, n)], F80_BYTES);
}

static void load_x87(struct cpu *c, bool rex_w, const u8 *p)
{
	struct x87 *f = &c->fpu;
	unsigned n;
	u16 sw;

	memcpy(&f->cw, p, 2);
	f->cw = (u16)((f->cw & 0x1f7f) | 0x40);
	memcpy(&sw, p + 2, 2);
	f->top = sw >> 11 & 7;
	f->sw = (u16)(sw & ~X87_TOP);
	fpu_summary(c);
	f->tag = p[4];
	if (pointers_kept(c, sw) || has(c, FEAT_XSAVEERPTR)) {
		f->op = (u16)((p[6] | p[7] << 8) & 0x7ff);
		f->ip = f->dp = 0;
		f->cs = f->ds = 0;
		memcpy(&f->ip, p + OFF_FIP, rex_w ? 8 : 4);
		memcpy(&f->dp, p + OFF_FDP, rex_w ? 8 : 4);
		if (!rex_w) {
			memcpy(&f->cs, p + OFF_FIP + 4, 2);
			memcpy(&f->ds, p + OFF_FDP + 4, 2);
		}
	}
	for (n = 0; n < 8; n++)
		memcpy(f->st[st_phys(c, n)], p + OFF_ST + 16 * n, F80_BYTES);
}

static void init_x87(struct cpu *c)
{
	fpu_finit(c);
	memset(c->fpu.st, 0, sizeof(c->fpu.st));
}

static void image_mxcsr(const struct cpu *c, u8 *p)
{
	u32 m = mxcsr_mask(c);

	memcpy(p + OFF_MXCSR, &c->mxcsr, 4);
	memcpy(p + OFF_MXCSR + 4, &m, 4);
}

static void image_xmm(const struct cpu *c, u8 *p)
{
	unsigned n;

	for (n = 0; n < vector_count(c); n++)
		memcpy(p + OFF_XMM + 16 * n, c->v[n].b, 16);
}

static u32 image_get_mxcsr(const u8 *p)
{
	u32 v;

	memcpy(&v, p + OFF_MXCSR, 4);
	return v;
}

/* p NULL: the initial configuration. */
static void load_xmm(struct cpu *c, const u8 *p)
{
	unsigned n;

	for (n = 0; n < vector_count(c); n++) {
		if (p)
			memcpy(c->v[n].b, p + OFF_XMM + 16 * n, 16);
		else
			memset(c->v[n].b, 0, 16);
	}
}

static void load_avx(struct cpu *c, const u8 *p)
{
	unsigned n;

	for (n = 0; n < vector_count(c); n++) {
		if (p)
			memcpy(c->v[n].b + 16, p + 16 * n, 16);
		else
			memset(c->v[n].b + 16, 0, 16);
	}
}

/* ---- FXSAVE, FXRSTOR ---- */

static enum xr fx_span(struct cpu *c, const struct insn *i, unsigned access, struct span *s)
{
	la_t la;

	if (c->cr0 & CR0_EM)
		return quirk(c, QUIRK_FXSAVE_EM_NM) ? fault_nm(c) : fault_ud(c);
	if (c->cr0 & CR0_TS)
		return fault_nm(c);
	TRY(insn_la(c, i, LEGACY_SIZE, access, &la));
	TRY(alignment_check(c, la, LEGACY_SIZE, 4));
	if (!is_aligned(la, 16))
		return fault_gp(c, 0);
	return image_span(c, i, la, LEGACY_SIZE, access, s);
}

/* "Fast FXSAVE/FXRSTOR": at CPL 0 in 64-bit mode the XMM registers are left out. */
static bool with_xmm(const struct cpu *c)
{
	if ((c->efer & EFER_FFXSR) && c->cpl == 0 && mode64(c))
		return false;
	return c->cr4 & CR4_OSFXSR;
}

static enum xr fxsave(struct cpu *c, const struct insn *i)
{
	u8 image[LEGACY_SIZE];
	struct span s;

	TRY(fx_span(c, i, ACC_WRITE, &s));
	image_x87(c, wide(i), image);
	image_mxcsr(c, image);
	span_write(c, &s, 0, image, OFF_XMM);
	if (with_xmm(c)) {
		image_xmm(c, image);
		span_write(c, &s, OFF_XMM, image + OFF_XMM, 16 * vector_count(c));
	}
	return XR_OK;
}

static enum xr fxrstor(struct cpu *c, const struct insn *i)
{
	u8 image[LEGACY_SIZE];
	struct span s;

	TRY(fx_span(c, i, ACC_READ, &s));
	span_read(c, &s, 0, image, LEGACY_SIZE);
	if ((c->cr4 & CR4_OSFXSR) && (image_get_mxcsr(image) & ~mxcsr_mask(c)))
		return fault_gp(c, 0);
	load_x87(c, wide(i), image);
	if (c->cr4 & CR4_OSFXSR)
		c->mxcsr = image_get_mxcsr(image);
	if (with_xmm(c))
		load_xmm(c, image);
	return XR_OK;
}

/* ---- XSAVE family ---- */

static u64 edx_eax(struct cpu *c)
{
	return (u64)reg32(c, REG_OFF(REG_RDX)) << 32 | reg32(c, REG_OFF(REG_RAX));
}

static enum xr xsave_gate(struct cpu *c, const struct insn *i, enum icpt icpt)
{
	if (!(c->cr4 & CR4_OSXSAVE))
		return fault_ud(c);
	if (icpt != ICPT_NONE) {
		TRY(icpt_undefined(c, icpt));
		if (c->cpl > 0)
			return fault_gp(c, 0);
		TRY(icpt_test(c, i, icpt, edx_eax(c) & c->xss));
	}
	return c->cr0 & CR0_TS ? fault_nm(c) : XR_OK;
}

static enum xr area_span(struct cpu *c, const struct insn *i, u32 size, unsigned access, struct span *s)
{
	la_t la;

	TRY(insn_la(c, i, size, access, &la));
	if (!quirk(c, QUIRK_XSAVE_START_FIRST))
		TRY(alignment_check(c, la, size, 4));
	if (!is_aligned(la, 64))
		return fault_gp(c, 0);
	if (quirk(c, QUIRK_XSAVE_START_FIRST))
		TRY(mem_span(c, la, 4, access | stack_access(i), s));
	return image_span(c, i, la, size, access, s);
}

/* Write one extended component at `at`. */
static void save_component(struct cpu *c, const struct span *s, unsigned n, u32 at)
{
	unsigned k;

	if (n == 9) {
		u64 v = c->pkru;

		span_write(c, s, at, &v, 8);
		return;
	}
	for (k = 0; k < vector_count(c); k++)
		span_write(c, s, at + 16 * k, c->v[k].b + 16, 16);
}

static void save_components(struct cpu *c, const struct insn *i, const struct span *s, u64 layout, u64 which,
			    bool mxcsr, bool compacted)
{
	u8 image[LEGACY_SIZE];
	u32 at = EXTENDED;
	unsigned k;

	if (which & XC_X87) {
		image_x87(c, wide(i), image);
		span_write(c, s, 0, image, OFF_MXCSR);
		span_write(c, s, OFF_ST, image + OFF_ST, OFF_XMM - OFF_ST);
	}
	if (mxcsr) {
		image_mxcsr(c, image);
		span_write(c, s, OFF_MXCSR, image + OFF_MXCSR, 8);
	}
	if (which & XC_SSE) {
		image_xmm(c, image);
		span_write(c, s, OFF_XMM, image + OFF_XMM, 16 * vector_count(c));
	}
	for (k = 0; k < XSTATE_COMPONENTS; k++) {
		if (!compacted)
			at = xstate_components[k].offset;
		if (which >> xstate_components[k].n & 1)
			save_component(c, s, xstate_components[k].n, at);
		if (layout >> xstate_components[k].n & 1)
			at += xstate_components[k].size;
	}
}

/* "Operation of XSAVE", "Operation of XSAVEOPT": standard format; the header's other bits are kept. */
static enum xr save_standard(struct cpu *c, const struct insn *i, bool optimised)
{
	u64 rfbm, inuse, bv;
	struct span s;

	TRY(xsave_gate(c, i, ICPT_NONE));
	rfbm = edx_eax(c) & c->xcr0;
	inuse = xsave_inuse(c);
	TRY(area_span(c, i, xsave_size(rfbm, false), ACC_RMW, &s));
	span_read(c, &s, LEGACY_SIZE, &bv, 8);
	bv = (bv & ~rfbm) | (inuse & rfbm);
	save_components(c, i, &s, rfbm, optimised ? rfbm & inuse : rfbm, rfbm & (XC_SSE | XC_AVX), false);
	span_write(c, &s, LEGACY_SIZE, &bv, 8);
	return XR_OK;
}

static enum xr xsave(struct cpu *c, const struct insn *i)
{
	return save_standard(c, i, false);
}
static enum xr xsaveopt(struct cpu *c, const struct insn *i)
{
	return save_standard(c, i, true);
}

/* "Operation of XSAVEC", "Operation of XSAVES": MXCSR belongs to the SSE component and counts for its being in use. */
static enum xr save_compacted(struct cpu *c, const struct insn *i, u64 enabled, enum icpt icpt)
{
	u64 rfbm, which, head[2];
	struct span s;

	TRY(xsave_gate(c, i, icpt));
	rfbm = edx_eax(c) & enabled;
	which = (xsave_inuse(c) | (c->mxcsr != MXCSR_INITIAL ? XC_SSE : 0)) & rfbm;
	TRY(area_span(c, i, xsave_size(rfbm, true), ACC_WRITE, &s));
	save_components(c, i, &s, rfbm, which, which & XC_SSE, true);
	head[0] = which;
	head[1] = rfbm | XCOMP_COMPACTED;
	span_write(c, &s, LEGACY_SIZE, head, sizeof(head));
	return XR_OK;
}

static enum xr xsavec(struct cpu *c, const struct insn *i)
{
	return save_compacted(c, i, c->xcr0, ICPT_NONE);
}
static enum xr xsaves(struct cpu *c, const struct insn *i)
{
	return save_compacted(c, i, c->xcr0 | c->xss, ICPT_XSAVES);
}

/* "Operation of XRSTOR": the header's rules. */
static bool header_valid(const struct cpu *c, const struct header *h, u64 enabled, bool supervisor)
{
	unsigned k;

	if (!(h->xcomp_bv & XCOMP_COMPACTED)) {
		if (supervisor)
			return false;
		return !(h->xstate_bv & ~c->xcr0) && !h->xcomp_bv && !h->reserved[0];
	}
	if (!has(c, FEAT_XSAVEC))
		return false;
	if ((h->xcomp_bv & ~(enabled | XCOMP_COMPACTED)) || (h->xstate_bv & ~h->xcomp_bv))
		return false;
	for (k = 0; k < ARRAY_LEN(h->reserved); k++)
		if (h->reserved[k])
			return false;
	return true;
}

static void restore_components(struct cpu *c, const struct insn *i, const u8 *area, u64 rfbm, const struct header *h)
{
	bool compacted = h->xcomp_bv & XCOMP_COMPACTED;
	u64 load = rfbm & h->xstate_bv;
	u32 at = EXTENDED;
	unsigned k;

	if (load & XC_X87)
		load_x87(c, wide(i), area);
	else if (rfbm & XC_X87)
		init_x87(c);
	if (rfbm & XC_SSE)
		load_xmm(c, load & XC_SSE ? area : NULL);
	for (k = 0; k < XSTATE_COMPONENTS; k++) {
		unsigned n = xstate_components[k].n;

		if (!compacted)
			at = xstate_components[k].offset;
		if ((rfbm >> n & 1) && n == 2)
			load_avx(c, load >> n & 1 ? area + at : NULL);
		if ((rfbm >> n & 1) && n == 9) {
			c->pkru = 0;
			if (load >> n & 1)
				memcpy(&c->pkru, area + at, 4);
			mmu_update_context(c);
		}
		if (h->xcomp_bv >> n & 1)
			at += xstate_components[k].size;
	}
}

/* XCOMP_BV by itself, where its offset wraps at the address size. */
static enum xr header_probe(struct cpu *c, const struct insn *i)
{
	u64 ea = insn_ea(c, i) + LEGACY_SIZE + 8;
	struct span s;
	la_t la;

	if (!is_aligned(ea - 8, 64))
		return XR_OK;
	ea = i->addrsz == 8 ? ea : i->addrsz == 4 ? (u32)ea : (u16)ea;
	TRY(seg_address(c, i->seg, ea, 8, ACC_READ, &la));
	return mem_span(c, la, 8, ACC_READ | stack_access(i), &s);
}

static enum xr restore(struct cpu *c, const struct insn *i, u64 enabled, bool supervisor)
{
	u8 area[AREA_MAX];
	struct header h;
	struct span s;
	u64 rfbm = edx_eax(c) & enabled;
	bool compacted, mxcsr;
	u32 size, v;

	if (quirk(c, QUIRK_XRSTOR_HEADER_FIRST))
		TRY(header_probe(c, i));
	TRY(area_span(c, i, EXTENDED, ACC_READ, &s));
	span_read(c, &s, LEGACY_SIZE, &h, sizeof(h));
	if (!header_valid(c, &h, enabled, supervisor))
		return fault_gp(c, 0);
	compacted = h.xcomp_bv & XCOMP_COMPACTED;
	size = compacted ? xsave_size(h.xcomp_bv & ~XCOMP_COMPACTED, true) : xsave_size(rfbm & h.xstate_bv, false);
	TRY(area_span(c, i, size, ACC_READ, &s));
	span_read(c, &s, 0, area, size);
	/* Standard form: MXCSR comes with SSE or AVX even if both are to be initialised. */
	mxcsr = compacted ? rfbm & h.xstate_bv & XC_SSE : rfbm & (XC_SSE | XC_AVX);
	v = mxcsr ? image_get_mxcsr(area) : MXCSR_INITIAL;
	if (v & ~mxcsr_mask(c))
		return fault_gp(c, 0);
	if (mxcsr || (rfbm & XC_SSE))
		c->mxcsr = v;
	restore_components(c, i, area, rfbm, &h);
	return XR_OK;
}

static enum xr xrstor(struct cpu *c, const struct insn *i)
{
	TRY(xsave_gate(c, i, ICPT_NONE));
	return restore(c, i, c->xcr0, false);
}
static enum xr xrstors(struct cpu *c, const struct insn *i)
{
	TRY(xsave_gate(c, i, ICPT_XRSTORS));
	return restore(c, i, c->xcr0 | c->xss, true);
}

/* ---- XCR0, MXCSR ---- */

static enum xr xgetbv(struct cpu *c, const struct insn *i)
{
	u32 n = reg32(c, REG_OFF(REG_RCX));
	u64 v = c->xcr0;

	(void)i;
	if (!(c->cr4 & CR4_OSXSAVE))
		return fault_ud(c);
	if (n == 1 && has(c, FEAT_XGETBV1))
		v &= xsave_inuse(c) | (c->mxcsr != MXCSR_INITIAL ? XC_SSE : 0);
	else if (n != 0)
		return fault_gp(c, 0);
	set_reg32(c, REG_OFF(REG_RAX), (u32)v);
	set_reg32(c, REG_OFF(REG_RDX), (u32)(v >> 32));
	return XR_OK;
}

static enum xr xsetbv(struct cpu *c, const struct insn *i)
{
	u64 v = edx_eax(c);

	if (!(c->cr4 & CR4_OSXSAVE))
		return fault_ud(c);
	if (!quirk(c, QUIRK_XSETBV_EXITS_FIRST) && c->cpl > 0) /* "Relative Priority of Faults and VM Exits" */
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_XSETBV, 0));
	if (c->cpl > 0 || reg32(c, REG_OFF(REG_RCX)) != 0 || !xcr0_valid(c, v))
		return fault_gp(c, 0);
	c->xcr0 = v;
	return XR_OK;
}

static enum xr ldmxcsr(struct cpu *c, const struct insn *i)
{
	u32 v;

	TRY(op_read32(c, i, &v));
	if (v & ~mxcsr_mask(c))
		return fault_gp(c, 0);
	c->mxcsr = v;
	return XR_OK;
}

static enum xr stmxcsr(struct cpu *c, const struct insn *i)
{
	return op_write32(c, i, c->mxcsr);
}

/* clang-format off */
#define ROW(M, FEAT, FLAGS, FN) \
	{.mnemonic = ZYDIS_MNEMONIC_##M, .flags = FLAGS, .feature = FEAT_##FEAT, .form = #M, .fn = FN},
#define PAIR(M, FEAT, FLAGS, FN) ROW(M, FEAT, FLAGS, FN) ROW(M##64, FEAT, FLAGS, FN)
#define ROW_ICPT(M, FEAT, ICPT, FN) \
	{.mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_##FEAT, .icpt = ICPT, .form = #M, \
	 .fn = FN},

static const struct insn_row rows[] = {
	PAIR(FXSAVE, FXSR, 0, fxsave) PAIR(FXRSTOR, FXSR, 0, fxrstor)
	PAIR(XSAVE, XSAVE, 0, xsave) PAIR(XSAVEOPT, XSAVEOPT, 0, xsaveopt) PAIR(XSAVEC, XSAVEC, 0, xsavec)
	PAIR(XRSTOR, XSAVE, ROW_END, xrstor)
	ROW_ICPT(XSAVES, XSAVES, ICPT_XSAVES, xsaves) ROW_ICPT(XSAVES64, XSAVES, ICPT_XSAVES, xsaves)
	ROW_ICPT(XRSTORS, XSAVES, ICPT_XRSTORS, xrstors) ROW_ICPT(XRSTORS64, XSAVES, ICPT_XRSTORS, xrstors)
	ROW(XGETBV, XSAVE, 0, xgetbv) ROW_ICPT(XSETBV, XSAVE, ICPT_XSETBV, xsetbv)
	ROW(LDMXCSR, SSE, ROW_SSE, ldmxcsr) ROW(STMXCSR, SSE, ROW_SSE, stmxcsr)
	ROW(VLDMXCSR, AVX, ROW_AVX, ldmxcsr) ROW(VSTMXCSR, AVX, ROW_AVX, stmxcsr)
};
/* clang-format on */

const struct row_set exec_xsave_rows = {rows, ARRAY_LEN(rows)};
