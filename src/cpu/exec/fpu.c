/*
 * The x87 environment: control and status words, tags, pointers, their images in memory, pending exceptions, and the
 * gates of every instruction that uses the FPU, MMX, SSE or AVX. Arithmetic is in x87_arith.c, the rows in x87.c.
 */
#include "cpu/exec/fpu.h"

/* ---- exceptions ---- */

/* An unmasked exception: all pointers tell of the instruction that raised it. */
void fpu_except_slow(struct cpu *c)
{
	c->fpu.op = c->fpu_now.op;
	if (c->fpu_now.mem) {
		c->fpu.dp = c->fpu_now.dp;
		c->fpu.ds = c->fpu_now.ds;
	}
	fpu_summary(c);
}

/* "MS-DOS* Compatibility Sub-mode": with CR0.NE = 0 the error leaves through FERR#, on a PC as IRQ 13. */
void fpu_ferr(struct cpu *c)
{
	bool active = (c->fpu.sw & X87_ES) && !(c->cr0 & CR0_NE);

	if (active == c->ferr)
		return;
	c->ferr = active;
	if (c->ferr_pin)
		c->ferr_pin(c->ferr_pin_arg, active);
}

bool fpu_stack_fault(struct cpu *c, bool is_overflow)
{
	fpu_set_cc(c, X87_C1, is_overflow ? X87_C1 : 0);
	fpu_except(c, X87_IE | X87_SF);
	return c->fpu.cw & X87_IE;
}

enum xr fpu_pending(struct cpu *c, const struct insn *i)
{
	fpu_ferr(c);
	if (c->cr0 & CR0_NE)
		return cpu_fault(c, EX_MF, 0);
	if (fpu_ignne(c))
		return XR_OK;
	TRY(icpt_test(c, i, ICPT_FERR_FREEZE, 0));
	if (!c->ferr_pin && !(c->hwcr & HWCR_IGNNE_EM))
		return XR_OK;
	c->activity = ACT_FREEZE;
	cpu_recheck(c);
	return XR_STOP;
}

/* ---- gates ---- */

enum xr fpu_gate(struct cpu *c, const struct insn *i)
{
	if (likely(!(c->cr0 & (CR0_EM | CR0_TS))))
		return XR_OK;
	/* "WAIT/FWAIT": only MP and TS together. */
	if (i->row->mnemonic == ZYDIS_MNEMONIC_FWAIT && (c->cr0 & (CR0_MP | CR0_TS)) != (CR0_MP | CR0_TS))
		return XR_OK;
	return fault_nm(c);
}

enum xr mmx_gate(struct cpu *c, const struct insn *i)
{
	if (c->cr0 & CR0_EM)
		return fault_ud(c);
	/* Conversions between mm and xmm registers carry both flags. */
	if ((i->row->flags & ROW_SSE) && !(c->cr4 & CR4_OSFXSR))
		return fault_ud(c);
	if (c->cr0 & CR0_TS)
		return fault_nm(c);
	return fpu_wait(c, i);
}

enum xr sse_gate(struct cpu *c, const struct insn *i)
{
	if (unlikely(i->row->flags & ROW_MMX))
		return mmx_gate(c, i);
	if ((c->cr0 & CR0_EM) || !(c->cr4 & CR4_OSFXSR))
		return fault_ud(c);
	return c->cr0 & CR0_TS ? fault_nm(c) : XR_OK;
}

enum xr avx_gate(struct cpu *c, const struct insn *i)
{
	(void)i;
	if (!(c->mode & MODE_PE) || !(c->cr4 & CR4_OSXSAVE) || (c->xcr0 & (XC_SSE | XC_AVX)) != (XC_SSE | XC_AVX))
		return fault_ud(c);
	return c->cr0 & CR0_TS ? fault_nm(c) : XR_OK;
}

/* ---- reset ---- */

void fpu_finit(struct cpu *c)
{
	c->fpu.cw = X87_CW_INIT;
	c->fpu.sw = 0;
	fpu_ferr(c);
	c->fpu.top = 0;
	c->fpu.tag = 0;
	c->fpu.op = 0;
	c->fpu.ip = c->fpu.dp = 0;
	c->fpu.cs = c->fpu.ds = 0;
}

/* "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": INIT leaves all of this alone. */
void fpu_reset(struct cpu *c, bool init)
{
	if (init)
		return;
	memset(&c->fpu, 0, sizeof(c->fpu));
	fpu_ferr(c);
	c->fpu.cw = 0x40;
	c->fpu.tag = 0xff; /* tag word 5555h: eight zeros */
	memset(c->v, 0, sizeof(c->v));
	c->mxcsr = MXCSR_INITIAL;
	c->xcr0 = XC_X87;
	c->xss = 0;
	c->pkru = 0;
}

bool fpu_is_initial(const struct cpu *c)
{
	const struct x87 *f = &c->fpu;
	u8 any = 0;
	unsigned n, k;

	if (f->cw != X87_CW_INIT || f->sw || f->top || f->tag || f->op || f->ip || f->dp || f->cs || f->ds)
		return false;
	for (n = 0; n < 8; n++)
		for (k = 0; k < F80_BYTES; k++)
			any |= f->st[n][k];
	return !any;
}

u16 fpu_tag_word(const struct cpu *c)
{
	unsigned word = 0, p;

	for (p = 0; p < 8; p++) {
		unsigned tag = 3;

		if (c->fpu.tag >> p & 1) {
			enum f80_class k = f80_classify(st_get(c, (p - c->fpu.top) & 7));

			tag = k == F80_NORMAL ? 0 : k == F80_ZERO ? 1 : 2;
		}
		word |= tag << (2 * p);
	}
	return (u16)word;
}

static void set_tag_word(struct cpu *c, u16 word)
{
	unsigned p;

	c->fpu.tag = 0;
	for (p = 0; p < 8; p++)
		if ((word >> (2 * p) & 3) != 3)
			c->fpu.tag = (u8)(c->fpu.tag | 1u << p);
}

static void set_cw(struct cpu *c, u16 cw)
{
	c->fpu.cw = (u16)((cw & 0x1f7f) | 0x40);
	fpu_summary(c);
}

static void set_sw(struct cpu *c, u16 sw)
{
	c->fpu.top = sw >> 11 & 7;
	c->fpu.sw = (u16)(sw & ~(X87_TOP | X87_ES | X87_B));
}

/* ---- environment images: "x87 FPU State Image in Memory" ---- */

static void put16(u8 *p, u64 v)
{
	u16 w = (u16)v;

	memcpy(p, &w, 2);
}
static void put32(u8 *p, u64 v)
{
	u32 w = (u32)v;

	memcpy(p, &w, 4);
}
static u16 get16(const u8 *p)
{
	u16 v;

	memcpy(&v, p, 2);
	return v;
}
static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return v;
}

/* Real-mode images hold linear addresses. */
static bool real_image(const struct cpu *c)
{
	return real_mode(c) || v86_mode(c);
}
static u32 image_cs(const struct cpu *c)
{
	return has(c, FEAT_ZERO_FCS_FDS) ? 0 : c->fpu.cs;
}
static u32 image_ds(const struct cpu *c)
{
	return has(c, FEAT_ZERO_FCS_FDS) ? 0 : c->fpu.ds;
}

static unsigned env_size(const struct insn *i)
{
	return i->opsz == 2 ? 14 : 28;
}

static void env_image16(const struct cpu *c, u8 *p)
{
	const struct x87 *f = &c->fpu;
	u32 ip = (u32)f->ip, dp = (u32)f->dp;

	put16(p, f->cw);
	put16(p + 2, fpu_sw(c));
	put16(p + 4, fpu_tag_word(c));
	if (real_image(c)) {
		ip += (u32)f->cs << 4;
		dp += (u32)f->ds << 4;
		put16(p + 6, ip);
		put16(p + 8, (ip >> 16 & 0xf) << 12 | f->op);
		put16(p + 10, dp);
		put16(p + 12, (dp >> 16 & 0xf) << 12);
	} else {
		put16(p + 6, ip);
		put16(p + 8, image_cs(c));
		put16(p + 10, dp);
		put16(p + 12, image_ds(c));
	}
}

/* Reserved halves read as ones. */
static void env_image32(const struct cpu *c, u8 *p)
{
	const struct x87 *f = &c->fpu;
	u32 ip = (u32)f->ip, dp = (u32)f->dp;

	put32(p, 0xffff0000u | f->cw);
	put32(p + 4, 0xffff0000u | fpu_sw(c));
	put32(p + 8, 0xffff0000u | fpu_tag_word(c));
	if (real_image(c)) {
		ip += (u32)f->cs << 4;
		dp += (u32)f->ds << 4;
		put32(p + 12, 0xffff0000u | (ip & 0xffff));
		put32(p + 16, (ip >> 16) << 12 | f->op);
		put32(p + 20, 0xffff0000u | (dp & 0xffff));
		put32(p + 24, (dp >> 16) << 12);
	} else {
		put32(p + 12, ip);
		put32(p + 16, (u32)f->op << 16 | image_cs(c));
		put32(p + 20, dp);
		put32(p + 24, 0xffff0000u | image_ds(c));
	}
}

static void env_load(struct cpu *c, const u8 *p, unsigned size)
{
	struct x87 *f = &c->fpu;
	unsigned w = size == 14 ? 2 : 4;
	u32 v[7];
	unsigned k;

	for (k = 0; k < 7; k++)
		v[k] = w == 2 ? get16(p + 2 * k) : get32(p + 4 * k);
	set_sw(c, (u16)v[1]);
	set_tag_word(c, (u16)v[2]);
	if (real_image(c)) {
		f->op = v[4] & 0x7ff;
		f->ip = (v[3] & 0xffff) | (w == 2 ? (v[4] >> 12 & 0xf) << 16 : v[4] >> 12 << 16);
		f->dp = (v[5] & 0xffff) | (w == 2 ? (v[6] >> 12 & 0xf) << 16 : v[6] >> 12 << 16);
		f->cs = f->ds = 0;
	} else {
		f->ip = v[3];
		f->cs = (u16)v[4];
		f->op = w == 4 ? v[4] >> 16 & 0x7ff : 0;
		f->dp = v[5];
		f->ds = (u16)v[6];
	}
	set_cw(c, (u16)v[0]);
}

static enum xr env_span(struct cpu *c, const struct insn *i, unsigned size, unsigned access, struct span *s)
{
	la_t la;

	TRY(insn_la(c, i, size, access, &la));
	TRY(alignment_check(c, la, size, i->opsz == 2 ? 2 : 4));
	TRY(mem_span(c, la, i->opsz == 2 ? 2 : 4, access | stack_access(i), s));
	return image_span(c, i, la, size, access, s);
}

enum xr fpu_fnstenv(struct cpu *c, const struct insn *i)
{
	unsigned size = env_size(i);
	struct span s;
	u8 image[28];

	TRY(env_span(c, i, size, ACC_WRITE, &s));
	size == 14 ? env_image16(c, image) : env_image32(c, image);
	span_write(c, &s, 0, image, size);
	c->fpu.cw |= X87_EXC;
	fpu_summary(c);
	return XR_OK;
}

enum xr fpu_fldenv(struct cpu *c, const struct insn *i)
{
	unsigned size = env_size(i);
	struct span s;
	u8 image[28];

	TRY(fpu_wait(c, i));
	TRY(env_span(c, i, size, ACC_READ, &s));
	span_read(c, &s, 0, image, size);
	env_load(c, image, size);
	return XR_OK;
}

enum xr fpu_fnsave(struct cpu *c, const struct insn *i)
{
	unsigned size = env_size(i), n;
	struct span s;
	u8 image[28 + 8 * F80_BYTES];

	TRY(env_span(c, i, size + 8 * F80_BYTES, ACC_WRITE, &s));
	size == 14 ? env_image16(c, image) : env_image32(c, image);
	for (n = 0; n < 8; n++)
		memcpy(image + size + n * F80_BYTES, c->fpu.st[st_phys(c, n)], F80_BYTES);
	span_write(c, &s, 0, image, size + 8 * F80_BYTES);
	fpu_finit(c);
	return XR_OK;
}

enum xr fpu_frstor(struct cpu *c, const struct insn *i)
{
	unsigned size = env_size(i), n;
	struct span s;
	u8 image[28 + 8 * F80_BYTES];

	TRY(fpu_wait(c, i));
	TRY(env_span(c, i, size + 8 * F80_BYTES, ACC_READ, &s));
	span_read(c, &s, 0, image, size + 8 * F80_BYTES);
	env_load(c, image, size);
	for (n = 0; n < 8; n++)
		memcpy(c->fpu.st[st_phys(c, n)], image + size + n * F80_BYTES, F80_BYTES);
	return XR_OK;
}

/* ---- the other control instructions ---- */

enum xr fpu_fldcw(struct cpu *c, const struct insn *i)
{
	u16 v;

	TRY(fpu_wait(c, i));
	TRY(op_read16(c, i, &v));
	set_cw(c, v);
	return XR_OK;
}

enum xr fpu_fnstcw(struct cpu *c, const struct insn *i)
{
	return op_write16(c, i, c->fpu.cw);
}

enum xr fpu_fnstsw(struct cpu *c, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		return op_write16(c, i, fpu_sw(c));
	set_reg16(c, REG_OFF(REG_RAX), fpu_sw(c));
	return XR_OK;
}

enum xr fpu_fnclex(struct cpu *c, const struct insn *i)
{
	(void)i;
	c->fpu.sw = (u16)(c->fpu.sw & X87_CC);
	fpu_ferr(c);
	return XR_OK;
}

enum xr fpu_fninit(struct cpu *c, const struct insn *i)
{
	(void)i;
	fpu_finit(c);
	return XR_OK;
}

enum xr fpu_fwait(struct cpu *c, const struct insn *i)
{
	return fpu_wait(c, i);
}

/* FENI, FDISI, FSETPM: the 8087's and 80287's, no operation since; they do not wait. */
enum xr fpu_nop(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}
