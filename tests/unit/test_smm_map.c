/*
 * The save-state maps, written down a second time from the manuals: APM 2 table "AMD64 Architecture SMM State-Save Area",
 * SDM 3C tables "SMRAM State Save Map" and "SMRAM State Save Map for Intel 64 Architecture". Each place holds what the
 * register held, and the register gets what the handler left there. Then what RSM refuses and what it mends.
 */
#include "smm_fixture.h"

#include "svm/svm.h"

#define IS(m) offsetof(struct cpu, m), sizeof(((struct cpu *)0)->m)
enum { EXACT, ATTRIBUTES, UPPER };

/* flip: what the handler changes; 0: not here. */
struct place {
	u16 at;
	u8 width;
	size_t offset, size;
	u64 flip;
	u8 how;
};

/* clang-format off */
#define SEGMENT(at, n, base_) {at, 2, IS(seg[n].sel), 0x100, EXACT}, {(at) + 2, 2, IS(seg[n].ar), 0x100, ATTRIBUTES}, \
	{(at) + 4, 4, IS(seg[n].limit), 0x1000000, EXACT}, {(at) + 8, 8, IS(seg[n].base), base_, EXACT}
static const struct place amd64[] = {
	SEGMENT(0xfe00, SEG_ES, 0x1000), SEGMENT(0xfe10, SEG_CS, 0x1000), SEGMENT(0xfe20, SEG_SS, 0x1000), SEGMENT(0xfe30, SEG_DS, 0x1000),
	SEGMENT(0xfe40, SEG_FS, 0x7f0000001000), SEGMENT(0xfe50, SEG_GS, 0x7f0000001000),
	{0xfe64, 2, IS(gdtr.limit), 0x10, EXACT}, {0xfe68, 8, IS(gdtr.base), 0x700000001000, EXACT},
	SEGMENT(0xfe70, SEG_LDTR, 0x7f0000001000), {0xfe84, 2, IS(idtr.limit), 0x10, EXACT}, {0xfe88, 8, IS(idtr.base), 0x700000001000, EXACT},
	SEGMENT(0xfe90, SEG_TR, 0x7f0000001000), {0xfed0, 8, IS(efer), 0x1, EXACT}, {0xff00, 4, IS(smbase), 0x70000, EXACT},
	{0xff48, 8, IS(cr4), CR4_PGE | CR4_DE, EXACT}, {0xff50, 8, IS(cr3), 0x8, EXACT}, {0xff58, 8, IS(cr0), CR0_WP | CR0_TS, EXACT},
	{0xff60, 8, IS(dr7), 0x300, EXACT}, {0xff68, 8, IS(dr6), 0x4002, EXACT}, {0xff70, 8, IS(rflags), 0x8d4, EXACT}, {0xff78, 8, IS(r[REG_RIP]), 0x1000, EXACT},
	{0xff80, 8, IS(r[15]), ~0ull, EXACT}, {0xff88, 8, IS(r[14]), ~0ull, EXACT}, {0xff90, 8, IS(r[13]), ~0ull, EXACT}, {0xff98, 8, IS(r[12]), ~0ull, EXACT},
	{0xffa0, 8, IS(r[11]), ~0ull, EXACT}, {0xffa8, 8, IS(r[10]), ~0ull, EXACT}, {0xffb0, 8, IS(r[9]), ~0ull, EXACT}, {0xffb8, 8, IS(r[8]), ~0ull, EXACT},
	{0xffc0, 8, IS(r[7]), ~0ull, EXACT}, {0xffc8, 8, IS(r[6]), ~0ull, EXACT}, {0xffd0, 8, IS(r[5]), ~0ull, EXACT}, {0xffd8, 8, IS(r[4]), ~0ull, EXACT},
	{0xffe0, 8, IS(r[3]), ~0ull, EXACT}, {0xffe8, 8, IS(r[2]), ~0ull, EXACT}, {0xfff0, 8, IS(r[1]), ~0ull, EXACT}, {0xfff8, 8, IS(r[0]), ~0ull, EXACT},
};

/* The manual counts from SMBASE + 8000h. */
static const struct place intel64[] = {
	{0x8000 + 0x7ff8, 8, IS(cr0), CR0_WP | CR0_TS, EXACT}, {0x8000 + 0x7ff0, 8, IS(cr3), 0x8, EXACT}, {0x8000 + 0x7fe8, 8, IS(rflags), 0x8d4, EXACT},
	{0x8000 + 0x7fe0, 8, IS(efer), 1, EXACT}, {0x8000 + 0x7fd8, 8, IS(r[REG_RIP]), 0x1000, EXACT}, {0x8000 + 0x7fd0, 8, IS(dr6), 0x4002, EXACT},
	{0x8000 + 0x7fc8, 8, IS(dr7), 0x300, EXACT}, {0x8000 + 0x7fc4, 4, IS(seg[SEG_TR].sel), 0x100, EXACT}, {0x8000 + 0x7fc0, 4, IS(seg[SEG_LDTR].sel), 0x100, EXACT},
	{0x8000 + 0x7fbc, 4, IS(seg[SEG_GS].sel), 0x100, EXACT}, {0x8000 + 0x7fb8, 4, IS(seg[SEG_FS].sel), 0x100, EXACT}, {0x8000 + 0x7fb4, 4, IS(seg[SEG_DS].sel), 0x100, EXACT},
	{0x8000 + 0x7fb0, 4, IS(seg[SEG_SS].sel), 0x100, EXACT}, {0x8000 + 0x7fac, 4, IS(seg[SEG_CS].sel), 0x100, EXACT}, {0x8000 + 0x7fa8, 4, IS(seg[SEG_ES].sel), 0x100, EXACT},
	{0x8000 + 0x7f94, 8, IS(r[7]), ~0ull, EXACT}, {0x8000 + 0x7f8c, 8, IS(r[6]), ~0ull, EXACT}, {0x8000 + 0x7f84, 8, IS(r[5]), ~0ull, EXACT},
	{0x8000 + 0x7f7c, 8, IS(r[4]), ~0ull, EXACT}, {0x8000 + 0x7f74, 8, IS(r[3]), ~0ull, EXACT}, {0x8000 + 0x7f6c, 8, IS(r[2]), ~0ull, EXACT},
	{0x8000 + 0x7f64, 8, IS(r[1]), ~0ull, EXACT}, {0x8000 + 0x7f5c, 8, IS(r[0]), ~0ull, EXACT}, {0x8000 + 0x7f54, 8, IS(r[8]), ~0ull, EXACT},
	{0x8000 + 0x7f4c, 8, IS(r[9]), ~0ull, EXACT}, {0x8000 + 0x7f44, 8, IS(r[10]), ~0ull, EXACT}, {0x8000 + 0x7f3c, 8, IS(r[11]), ~0ull, EXACT},
	{0x8000 + 0x7f34, 8, IS(r[12]), ~0ull, EXACT}, {0x8000 + 0x7f2c, 8, IS(r[13]), ~0ull, EXACT}, {0x8000 + 0x7f24, 8, IS(r[14]), ~0ull, EXACT},
	{0x8000 + 0x7f1c, 8, IS(r[15]), ~0ull, EXACT}, {0x8000 + 0x7ef8, 4, IS(smbase), 0x70000, EXACT},
	{0x8000 + 0x7e9c, 4, IS(seg[SEG_LDTR].base), 0x1000, EXACT}, {0x8000 + 0x7e94, 4, IS(idtr.base), 0x1000, EXACT}, {0x8000 + 0x7e8c, 4, IS(gdtr.base), 0x1000, EXACT},
	{0x8000 + 0x7e40, 8, IS(cr4), CR4_PGE | CR4_DE, EXACT}, {0x8000 + 0x7dd8, 4, IS(idtr.base), 0x7f00, UPPER}, {0x8000 + 0x7dd4, 4, IS(seg[SEG_LDTR].base), 0x7f00, UPPER},
	{0x8000 + 0x7dd0, 4, IS(gdtr.base), 0x7f00, UPPER},
};

static const struct place ia32[] = {
	{0x8000 + 0x7ffc, 4, IS(cr0), CR0_WP | CR0_TS, EXACT}, {0x8000 + 0x7ff8, 4, IS(cr3), 0x8, EXACT}, {0x8000 + 0x7ff4, 4, IS(rflags), 0x8d4, EXACT},
	{0x8000 + 0x7ff0, 4, IS(r[REG_RIP]), 0x1000, EXACT}, {0x8000 + 0x7fec, 4, IS(r[7]), 0xffffffff, EXACT}, {0x8000 + 0x7fe8, 4, IS(r[6]), 0xffffffff, EXACT},
	{0x8000 + 0x7fe4, 4, IS(r[5]), 0xffffffff, EXACT}, {0x8000 + 0x7fe0, 4, IS(r[4]), 0xffffffff, EXACT}, {0x8000 + 0x7fdc, 4, IS(r[3]), 0xffffffff, EXACT},
	{0x8000 + 0x7fd8, 4, IS(r[2]), 0xffffffff, EXACT}, {0x8000 + 0x7fd4, 4, IS(r[1]), 0xffffffff, EXACT}, {0x8000 + 0x7fd0, 4, IS(r[0]), 0xffffffff, EXACT},
	{0x8000 + 0x7fcc, 4, IS(dr6), 0x4002, EXACT}, {0x8000 + 0x7fc8, 4, IS(dr7), 0x300, EXACT}, {0x8000 + 0x7fc4, 4, IS(seg[SEG_TR].sel), 0x100, EXACT},
	{0x8000 + 0x7fbc, 4, IS(seg[SEG_GS].sel), 0x100, EXACT}, {0x8000 + 0x7fb8, 4, IS(seg[SEG_FS].sel), 0x100, EXACT}, {0x8000 + 0x7fb4, 4, IS(seg[SEG_DS].sel), 0x100, EXACT},
	{0x8000 + 0x7fb0, 4, IS(seg[SEG_SS].sel), 0x100, EXACT}, {0x8000 + 0x7fac, 4, IS(seg[SEG_CS].sel), 0x100, EXACT}, {0x8000 + 0x7fa8, 4, IS(seg[SEG_ES].sel), 0x100, EXACT},
	{0x8000 + 0x7ef8, 4, IS(smbase), 0x70000, EXACT},
};
/* clang-format on */

static const struct {
	const char *model;
	const struct place *places;
	size_t count;
	u16 revision_at;
	u32 revision;
	bool legacy;
} layouts[] = {
        {"amd", amd64, ARRAY_LEN(amd64), 0xfefc, 0x30064, false},
        {"intel,smm-map=amd64", amd64, ARRAY_LEN(amd64), 0xfefc, 0x20064, false},
        {"intel", intel64, ARRAY_LEN(intel64), 0xfefc, 0x30101, false},
        {"intel,-lm", ia32, ARRAY_LEN(ia32), 0xfefc, 0x30004, true},
};

/* Every register another value. In long mode, or with 4 MiB pages. */
static struct pc *filled(size_t n)
{
	struct pc *p = machine(layouts[n].model);
	struct cpu *c = p->c;

	for (unsigned k = 0; k < 16; k++)
		c->r[k] = layouts[n].legacy ? (k < 8 ? 0x01234567 * (k + 1) : 0) : 0x0123456789abcdefull * (k + 1);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		c->seg[s] = (struct seg){.sel = (u16)(0x10 + 8 * s), .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = 0xfff00fffu + (s << 16), .base = 0x10000 * s};
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | (layouts[n].legacy ? AR_DB : AR_L);
	c->seg[SEG_LDTR] = (struct seg){.sel = 0x60, .ar = AR_P | SYS_LDT, .limit = 0x77, .base = layouts[n].legacy ? 0x90000 : 0xffff800000090000};
	c->seg[SEG_TR] = (struct seg){.sel = 0x70, .ar = AR_P | SYS_TSS32_BUSY, .limit = 0x67, .base = 0xa0000};
	c->dr6 = 0xffff0ff1;
	c->dr7 = 0x400;
	if (layouts[n].legacy) {
		c->efer = 0;
		c->cr4 = CR4_PSE;
		for (unsigned k = 0; k < 16; k++)
			bus_write_u32(&p->bus, 0x1000 + 4 * k, k << 22 | 0xe7);
	}
	flags_set(c, FL_1 | FL_CF);
	CODE(p, HOST_CODE, 0xeb, 0xfe);
	c->r[REG_RIP] = HOST_CODE - (layouts[n].legacy ? c->seg[SEG_CS].base : 0);
	cpu_update_mode(c);
	return p;
}

static u64 member(const struct cpu *c, const struct place *x)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)c + x->offset, x->size);
	if (x->how == ATTRIBUTES) /* descriptor bits 47:40 and 55:52 */
		return (v & 0xff) | (v >> 4 & 0xf00);
	return x->how == UPPER ? v >> 32 : x->width < 8 ? v & ((1ull << 8 * x->width) - 1) : v;
}

static void test_saved(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(layouts); n++) {
		struct pc *p = filled(n);
		struct cpu before = *p->c;

		smi(p);
		for (size_t k = 0; k < layouts[n].count; k++) {
			const struct place *x = &layouts[n].places[k];

			if (saved(p, x->at, x->width) != member(&before, x))
				fail_msg("%s: %x is %llx, not %llx", layouts[n].model, x->at, (unsigned long long)saved(p, x->at, x->width),
				         (unsigned long long)member(&before, x));
		}
		assert_int_equal(saved(p, layouts[n].revision_at, 4), layouts[n].revision);
		steps(p, 1);
		assert_false(p->c->smm);
		for (size_t k = 0; k < layouts[n].count; k++)
			assert_int_equal(member(p->c, &layouts[n].places[k]), member(&before, &layouts[n].places[k]));
		machine_free(p);
	}
}

static void test_loaded(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(layouts); n++) {
		for (size_t k = 0; k < layouts[n].count; k++) {
			const struct place *x = &layouts[n].places[k];
			struct pc *p = filled(n);
			u64 want;

			smi(p);
			want = saved(p, x->at, x->width) ^ (x->width < 8 ? x->flip & ((1ull << 8 * x->width) - 1) : x->flip);
			patch(p, x->at, x->width, want);
			steps(p, 1);
			if (p->c->smm || member(p->c, x) != want)
				fail_msg("%s: %x gave %llx, not %llx (%s)", layouts[n].model, x->at, (unsigned long long)member(p->c, x),
				         (unsigned long long)want, p->c->rsm.check ? p->c->rsm.check : "accepted");
			machine_free(p);
		}
	}
}

/* ---- what is refused: one field each, by the name of the rule ---- */

enum { CR0_AT, CR3_AT, CR4_AT, EFER_AT, DR6_AT, DR7_AT, CS_AT, REVISION_AT, ATS };
static const u16 at[2][ATS] = {
        {0xfff8, 0xfff0, 0xfe40, 0xffe0, 0xffd0, 0xffc8, 0, 0xfefc},
        {0xff58, 0xff50, 0xff48, 0xfed0, 0xff68, 0xff60, 0xfe12, 0xfefc},
};
static const struct {
	const char *check;
	u8 field;
	u64 set, clear;
} illegal[] = {
        {"rsm.cr0.high", CR0_AT, BIT(32), 0},
        {"rsm.cr0.high", CR0_AT, BIT(63), 0},
        {"rsm.cr0.pg-pe", CR0_AT, 0, CR0_PE},
        {"rsm.cr0.nw-cd", CR0_AT, CR0_NW, CR0_CD},
        {"rsm.cr3.reserved", CR3_AT, BIT(52), 0},
        {"rsm.cr3.reserved", CR3_AT, BIT(63), 0},
        {"rsm.cr4.reserved", CR4_AT, BIT(31), 0},
        {"rsm.cr4.reserved", CR4_AT, BIT(63), 0},
        {"rsm.cr4.reserved", CR4_AT, BIT(15), 0},
        {"rsm.efer.reserved", EFER_AT, BIT(1), 0},
        {"rsm.efer.reserved", EFER_AT, BIT(63), 0},
        {"rsm.efer.lme-pae", CR4_AT, 0, CR4_PAE},
        {"rsm.cs.l-d", CS_AT, BIT(10), 0},
        {"rsm.dr6.high", DR6_AT, BIT(32), 0},
        {"rsm.dr7.high", DR7_AT, BIT(63), 0},
        {"rsm.revision", REVISION_AT, BIT(20), 0},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < 3 * ARRAY_LEN(illegal); n++) {
		size_t k = n / 3, layout = n % 3;
		u16 where = at[layout < 2][illegal[k].field];
		bool halves = illegal[k].field == REVISION_AT || illegal[k].field == CS_AT;
		struct pc *p = filled(layout);
		struct cpu *c = p->c;

		if (!where || (illegal[k].field == REVISION_AT && layout == 2)) {
			machine_free(p);
			continue;
		}
		smi(p);
		patch(p, where, halves ? 2 + 2 * (illegal[k].field == REVISION_AT) : 8,
		      (saved(p, where, halves ? 2 + 2 * (illegal[k].field == REVISION_AT) : 8) | illegal[k].set) & ~illegal[k].clear);
		steps(p, 1);
		assert_non_null(c->rsm.check);
		assert_string_equal(c->rsm.check, illegal[k].check);
		assert_non_null(p->refused);
		assert_string_equal(p->refused, illegal[k].check);
		assert_string_equal(p->event, "RSM refused: shutdown");
		assert_int_equal(c->rsm.at, SMBASE + (illegal[k].check[4] == 'e' && illegal[k].field == CR4_AT ? at[layout < 2][EFER_AT] : where));
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		assert_int_equal(c->stop, CPU_STOP_SHUTDOWN);
		assert_true(c->smm);
		assert_int_equal(c->r[REG_RIP], 0x8001);
		machine_free(p);
	}
}

/* ---- what is mended ---- */

static void test_mended(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2; n++) {
		struct pc *p = filled(n);
		struct cpu *c = p->c;
		u64 top = has(c, FEAT_LA57) ? BIT(56) : BIT(47);

		smi(p);
		patch(p, 0xfed0, 8, saved(p, 0xfed0, 8) & ~EFER_LMA);
		patch(p, 0xff70, 8, saved(p, 0xff70, 8) | FL_VM | BIT(15) | BIT(40));
		patch(p, 0xfe18, 8, 0x1234500001000);
		patch(p, 0xfe48, 8, top | top << 1);
		patch(p, 0xfe68, 8, top);
		patch(p, 0xff60, 8, BIT(14) | BIT(12));
		patch(p, 0xff68, 8, BIT(11));
		steps(p, 1);
		assert_false(c->smm);
		assert_true(c->efer & EFER_LMA);
		assert_int_equal(c->rflags, FL_1 | FL_CF);
		assert_int_equal(c->seg[SEG_CS].base, 0x1000);
		assert_int_equal(c->seg[SEG_FS].base, 0 - top);
		assert_int_equal(c->gdtr.base, 0 - top);
		assert_int_equal(c->dr7, 0x400);
		assert_int_equal(c->dr6, 0xffff0ff0);
		machine_free(p);
	}
	for (unsigned n = 0; n < 2; n++) { /* EFER.SVME as it is, either way; the map's is not looked at */
		struct pc *p = filled(0);

		p->c->efer |= n ? EFER_SVME : 0;
		smi(p);
		assert_int_equal(p->c->efer, n ? EFER_SVME : 0);
		patch(p, 0xfed0, 8, saved(p, 0xfed0, 8) ^ EFER_SVME);
		steps(p, 1);
		assert_false(p->c->smm);
		assert_int_equal(p->c->efer & EFER_SVME, n ? EFER_SVME : 0);
		machine_free(p);
	}
	proves("svm.4.1.1");
}

/* "Changes to RSM Instruction": PG without PE, and the PDPEs. */
static void test_svm_returns(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct pc *p = filled(0);

		p->c->efer |= n ? EFER_SVME : 0;
		smi(p);
		patch(p, 0xff58, 8, saved(p, 0xff58, 8) & ~CR0_PE);
		patch(p, 0xfed0, 8, 0);
		patch(p, 0xfe12, 2, 0x9b);
		steps(p, 1);
		if (n) {
			assert_false(p->c->smm);
			assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), CR0_PG);
		} else {
			assert_string_equal(p->c->rsm.check, "rsm.cr0.pg-pe");
		}
		machine_free(p);
	}
	for (unsigned n = 0; n < 2; n++) { /* legacy PAE paging: all four, from the new CR3 */
		struct pc *p = filled(0);

		p->c->efer |= EFER_SVME;
		for (unsigned k = 0; k < 4; k++)
			bus_write_u64(&p->bus, 0x8000 + 8 * k, 0x9001 + 0x1000 * k + (n && k == 3 ? BIT(1) : 0));
		smi(p);
		patch(p, 0xff50, 8, 0x8000);
		patch(p, 0xfed0, 8, 0);
		patch(p, 0xfe12, 2, 0xc9b);
		steps(p, 1);
		if (n) {
			assert_string_equal(p->c->rsm.check, "rsm.pdpte.reserved");
		} else {
			for (unsigned k = 0; k < 4; k++)
				assert_int_equal(p->c->pdpte[k], 0x9001 + 0x1000 * k);
		}
		machine_free(p);
	}
	{ /* without it they are what they were, whatever memory and the handler made of theirs */
		struct pc *p = filled(3);

		p->c->cr4 = CR4_PAE;
		p->c->cr3 = 0xa000;
		for (unsigned k = 0; k < 4; k++)
			bus_write_u64(&p->bus, 0xa000 + 8 * k, 0x7777000);
		bus_write_u64(&p->bus, 0xb000, 0xe7);
		p->c->pdpte[0] = 0xb001;
		cpu_update_mode(p->c);
		smi(p);
		p->c->pdpte[0] = 0xc001;
		steps(p, 1);
		assert_false(p->c->smm);
		assert_int_equal(p->c->pdpte[0], 0xb001);
		machine_free(p);
	}
	proves("svm.4.1.2 svm.4.1.3 svm.4.1.4 svm.2.15.2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_saved),   cmocka_unit_test(test_loaded),      cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_mended),  cmocka_unit_test(test_svm_returns),
	};

	return cmocka_run_group_tests_name("smm_map", tests, NULL, NULL);
}
