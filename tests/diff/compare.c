/* Two ends of one case, item by item. */
#include "diff.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct list {
	char *text;
	size_t size, used;
	unsigned n;
};

static void printf_like(2, 3) item(struct list *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	l->n++;
	if (l->used + 1 >= l->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(l->text + l->used, l->size - l->used, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->used = (size_t)min_u64(l->used + (u64)n, l->size - 1);
}

static void value(struct list *l, const char *name, u64 core, u64 host)
{
	if (core != host)
		item(l, "  %-8s ours %016llx  host %016llx\n", name, (unsigned long long)core,
		     (unsigned long long)host);
}

static void bytes(struct list *l, const char *name, unsigned n, const u8 *core, const u8 *host, unsigned size)
{
	char a[65], b[65];

	if (!memcmp(core, host, size))
		return;
	for (unsigned k = 0; k < size; k++) {
		snprintf(a + 2 * k, 3, "%02x", core[size - 1 - k]);
		snprintf(b + 2 * k, 3, "%02x", host[size - 1 - k]);
	}
	item(l, "  %s%-5u ours %s\n           host %s\n", name, n, a, b);
}

/* ---- approximations ---- */

/* Distance in units of the last place of two 80-bit values of the same class and sign. */
static bool near_f80(const u8 *a, const u8 *b, u64 ulps)
{
	u64 ma, mb;
	u16 sa, sb;

	memcpy(&ma, a, 8);
	memcpy(&mb, b, 8);
	memcpy(&sa, a + 8, 2);
	memcpy(&sb, b + 8, 2);
	if (sa == sb)
		return (ma > mb ? ma - mb : mb - ma) <= ulps;
	if ((u16)(sa + 1) == sb) /* 1.111.. against 1.0 of the next exponent */
		return mb - BIT(63) <= ulps && ~ma <= 2 * ulps;
	if ((u16)(sb + 1) == sa)
		return ma - BIT(63) <= ulps && ~mb <= 2 * ulps;
	return false;
}

static bool near_f32(u32 a, u32 b)
{
	float x, y;

	if (a == b)
		return true;
	memcpy(&x, &a, 4);
	memcpy(&y, &b, 4);
	/* At the edge of underflow one may be flushed to zero. */
	if ((x == 0 || y == 0) && !((a ^ b) >> 31))
		return fabsf(x) + fabsf(y) <= 1.001f * 0x1p-126f;
	if (!isnormal(x) || !isnormal(y))
		return false;
	return fabs((double)x - (double)y) <= 2 * 1.5 / 4096 * fabs((double)y);
}

/* ---- parts ---- */

static void compare_x87(struct list *l, const struct diff_case *k, const struct diff_end *core,
                        const struct diff_end *host)
{
	static const char *const tags = "tag";
	u16 sw = (u16)(rule_sw_mask(k) & ~k->hide_sw);
	enum tolerance tol = rule_tolerance(k->row);

	value(l, "cw", core->s.cw, host->s.cw);
	value(l, "sw", core->s.sw & sw, host->s.sw & sw);
	value(l, tags, core->s.tag, host->s.tag);
	for (unsigned n = 0; n < 8; n++)
		if (tol != TOL_X87_TRANSCENDENTAL || !near_f80(core->s.st[n], host->s.st[n], 2))
			bytes(l, "st", n, core->s.st[n], host->s.st[n], 10);
}

static void compare_vectors(struct list *l, const struct diff_case *k, const struct diff_end *core,
                            const struct diff_end *host)
{
	enum tolerance tol = rule_tolerance(k->row);

	for (unsigned n = 0; n < 16; n++) {
		union vec a = core->s.v[n];

		for (unsigned e = 0; tol == TOL_RECIPROCAL && e < 8; e++)
			if (near_f32(a.d[e], host->s.v[n].d[e]))
				a.d[e] = host->s.v[n].d[e];
		bytes(l, "ymm", n, a.b, host->s.v[n].b, 32);
	}
	value(l, "mxcsr", core->s.mxcsr, host->s.mxcsr);
}

static void compare_integer(struct list *l, const struct diff_case *k, enum diff_mode mode, const struct diff_end *core,
                            const struct diff_end *host, bool gprs)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	u64 m = mode == DIFF_64 ? ~0ull : 0xffffffff;
	u32 f = FL_ARITH | FL_DF | FL_AC | FL_ID | FL_NT | FL_IF | FL_IOPL;

	for (unsigned n = 0; gprs && n < (mode == DIFF_64 ? 16u : 8u); n++)
		value(l, names[n], core->s.r[n] & m, host->s.r[n] & m);
	value(l, "rip", core->s.rip & m, host->s.rip & m);
	if (host->vector < 0)
		f &= ~(rule_undefined(k) | k->hide_flags);
	/* Single step commits the flags of every iteration; without it a fault restores the first ones. */
	else if (rule_is_rep(k))
		f &= ~(u32)FL_ARITH;
	value(l, "rflags", core->s.flags & f, host->s.flags & f);
	/* On its way in and out the host's kernel turns every null selector into 0; FS is not the test's to read. */
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		if (n != SEG_FS)
			value(l, segs[n], core->s.sel[n] < 4 ? 0 : core->s.sel[n],
			      host->s.sel[n] < 4 ? 0 : host->s.sel[n]);
	if (mode == DIFF_64)
		value(l, "gs.base", core->s.gs_base, host->s.gs_base);
}

static void compare_fault(struct list *l, const struct diff_end *core, const struct diff_end *host, bool any_page)
{
	u32 m = ~0u;

	if (core->vector != host->vector) {
		item(l, "  ended    ours %s%s  host %s%s\n", core->vector < 0 ? "completed" : "",
		     core->vector < 0 ? "" : arch_exceptions[core->vector].name, host->vector < 0 ? "completed" : "",
		     host->vector < 0 ? "" : arch_exceptions[host->vector].name);
		return;
	}
	if (core->vector < 0)
		return;
	/* The host's kernel says P for its own half, whatever is there. */
	if (core->vector == EX_PF && host->cr2 >= 0x7ffffffff000)
		m = ~(u32)PF_P;
	if (any_page && ((u16)(core->cr2 - host->cr2) < 2048 || (u16)(host->cr2 - core->cr2) < 2048)) /* offsets wrap */
		return;
	value(l, "error", core->error & m, host->error & m);
	value(l, "cr2", core->cr2, host->cr2);
}

static void compare_memory(struct list *l, const u8 *core, const u8 *host)
{
	if (!memcmp(core, host, DATA_SIZE))
		return;
	for (u64 n = 0; n < DATA_SIZE; n++) {
		if (core[n] == host[n])
			continue;
		u64 at = n & ~15ull;

		item(l, "  [%llx]\n", (unsigned long long)(DATA_BASE + at));
		bytes(l, "mem", 16, core + at, host + at, 16);
		n = at + 15;
		if (l->n > 24)
			return;
	}
}

unsigned compare(const struct diff_case *k, enum diff_mode mode, const struct diff_end *core,
                 const struct diff_end *host, const u8 *core_mem, const u8 *host_mem, char *text, size_t size)
{
	struct list l = {.text = text, .size = size};
	u32 ignored = rule_ignored(k, core, host);

	if (ignored & PART_ALL)
		return 0;
	compare_fault(&l, core, host, ignored & PART_CR2);
	compare_integer(&l, k, mode, core, host, !(ignored & PART_GPRS));
	if (!(ignored & PART_VECTORS))
		compare_vectors(&l, k, core, host);
	if (!(ignored & PART_X87))
		compare_x87(&l, k, core, host);
	if (!(ignored & PART_MEMORY))
		compare_memory(&l, core_mem, host_mem);
	return l.n;
}
