/*
 * Vector instructions where the computer's own processor is no judge: faults in the middle of an access, masked
 * accesses, gathers that resume, the bound of the approximations, which encodings have a row.
 */
#include "vector_harness.h"

/* "RCPPS", "RSQRTPS": the relative error is at most 1.5 * 2^-12. */
static void test_approximations(void **state)
{
	const double bound = 1.5 / 4096;
	bool near = true;

	(void)state;
	for (u32 v = 0x00800000; v < 0x7e800000; v += 2953) {
		union vec b = { .d = { v, v, v, v } }, r, q;
		double x = (double)b.f[0];
		hostfp_rcpps(&r, &b, &b, 16, MXCSR_RESET, 0);
		hostfp_rsqrtps(&q, &b, &b, 16, MXCSR_RESET, 0);
		double e = (double)r.f[0] * x - 1, f = (double)q.f[0] * (double)q.f[0] * x;
		near = near && e < bound && e > -bound;
		near = near && f < (1 + bound) * (1 + bound) && f > (1 - bound) * (1 - bound);
	}
	assert_true(near);
}

/* ---- faults in the middle ---- */

/* One instruction from bytes, with RDI at `at`; the second page of memory is not there. */
static enum xr run_at(const char *bytes, size_t len, const u8 *at)
{
	struct insn i;

	assert_non_null(decode((const u8 *)bytes, len, &i));
	cpu->r[REG_RDI] = (u64)at;
	forbidden = (la_t)memory + PAGE_SIZE;
	map_page(memory);
	cpu->l1[((la_t)memory / PAGE_SIZE + 1) & ((1u << L1_BITS) - 1)] = (struct l1_entry){ 0 };
	enum xr x = i.fn(cpu, &i);
	forbidden = 1;
	map_page(memory + PAGE_SIZE);
	return x;
}
#define RUN_AT(bytes, at) run_at(bytes, sizeof(bytes) - 1, at)

static void fill_state(void)
{
	for (unsigned n = 0; n < 16; n++)
		for (unsigned k = 0; k < 8; k++)
			cpu->v[n].d[k] = 0x01010101 * (n + 1);
	for (unsigned k = 0; k < 2 * PAGE_SIZE; k++)
		memory[k] = (u8)k;
	cpu->mxcsr = MXCSR_RESET;
}

/* Nothing of a store becomes visible when its second page faults, nothing of a load arrives. */
static void test_crossing(void **state)
{
	u8 *end = memory + PAGE_SIZE, copy[64];

	(void)state;
	fill_state();
	memcpy(copy, end - 32, 64);
	assert_int_equal(RUN_AT("\x0f\x11\x0f", end - 8), XR_FAULT); /* MOVUPS [rdi], xmm1 */
	assert_int_equal(cpu->fault.vector, EX_PF);
	assert_int_equal(RUN_AT("\xc5\xfc\x11\x0f", end - 24), XR_FAULT); /* VMOVUPS [rdi], ymm1 */
	assert_memory_equal(copy, end - 32, 64);
	assert_int_equal(RUN_AT("\x0f\x10\x0f", end - 8), XR_FAULT); /* MOVUPS xmm1, [rdi] */
	assert_int_equal(cpu->v[1].d[0], 0x02020202);
	assert_int_equal(RUN_AT("\x0f\x28\x0f", end - 8), XR_FAULT); /* MOVAPS: alignment comes first */
	assert_int_equal(cpu->fault.vector, EX_GP);
}

/* Elements that the mask leaves out do not fault. */
static void test_masked(void **state)
{
	u8 *end = memory + PAGE_SIZE;

	(void)state;
	fill_state();
	cpu->v[2].d[0] = cpu->v[2].d[1] = 0x80000000;
	assert_int_equal(RUN_AT("\xc4\xe2\x69\x2c\x0f", end - 8), XR_OK); /* VMASKMOVPS xmm1, xmm2, [rdi] */
	assert_int_equal(cpu->v[1].q[0], *(u64 *)(end - 8));
	assert_int_equal(cpu->v[1].q[1], 0);
	assert_int_equal(RUN_AT("\xc4\xe2\x69\x2e\x1f", end - 8), XR_OK); /* VMASKMOVPS [rdi], xmm2, xmm3 */
	assert_int_equal(*(u64 *)(end - 8), 0x0404040404040404);
	cpu->v[2].d[3] = 0x80000000;
	assert_int_equal(RUN_AT("\xc4\xe2\x69\x2c\x0f", end - 8), XR_FAULT);
	assert_int_equal(RUN_AT("\xc4\xe2\x69\x2e\x27", end - 8), XR_FAULT);
	assert_int_equal(*(u64 *)(end - 8), 0x0404040404040404);
	memset(&cpu->v[5], 0, 32);
	cpu->v[5].b[7] = 0x80;
	assert_int_equal(RUN_AT("\x66\x0f\xf7\xe5", end - 8), XR_OK); /* MASKMOVDQU xmm4, xmm5 */
	assert_int_equal(*(u64 *)(end - 8), 0x0504040404040404);
	cpu->v[5].b[8] = 0x80;
	assert_int_equal(RUN_AT("\x66\x0f\xf7\xf5", end - 8), XR_FAULT);
	assert_int_equal(*(u64 *)(end - 8), 0x0504040404040404);
}

/* A gather keeps what it has when an element faults: the mask says what is left. */
static void test_gather_resumes(void **state)
{
	(void)state;
	fill_state();
	for (unsigned k = 0; k < 4; k++) {
		cpu->v[2].d[k] = 0xffffffff;
		cpu->v[3].d[k] = k == 2 ? PAGE_SIZE / 4 : k;
	}
	static const char gather[] = "\xc4\xe2\x69\x92\x0c\x9f"; /* VGATHERDPS xmm1, [rdi+xmm3*4], xmm2 */
	assert_int_equal(RUN_AT("\xc4\xe2\x69\x92\x0c\x9f", memory), XR_FAULT);
	assert_int_equal(cpu->v[1].d[0], *(u32 *)memory);
	assert_int_equal(cpu->v[1].d[1], *(u32 *)(memory + 4));
	assert_int_equal(cpu->v[1].d[2], 0x02020202);
	assert_int_equal(cpu->v[2].q[0], 0);
	assert_int_equal(cpu->v[2].q[1], ~0ull);
	cpu->v[3].d[2] = 2;
	assert_int_equal(run_at(gather, sizeof(gather) - 1, memory), XR_OK);
	assert_memory_equal(&cpu->v[1], memory, 16);
	assert_int_equal(cpu->v[1].q[2] | cpu->v[2].q[1] | cpu->v[2].q[2], 0);
}

/* An unmasked exception without CR4.OSXMMEXCPT is #UD. */
static void test_no_osxmmexcpt(void **state)
{
	(void)state;
	fill_state();
	memset(&cpu->v[2], 0, 32);
	cpu->mxcsr = MXCSR_RESET & ~(MXCSR_ZE << 7);
	assert_int_equal(RUN_AT("\x0f\x5e\xca", memory), XR_FAULT); /* DIVPS xmm1, xmm2 */
	assert_int_equal(cpu->fault.vector, EX_XM);
	assert_int_equal(cpu->mxcsr & MXCSR_FLAGS, MXCSR_ZE);
	cpu->cr4 &= ~CR4_OSXMMEXCPT;
	assert_int_equal(RUN_AT("\x0f\x5e\xca", memory), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_UD);
	cpu->cr4 |= CR4_OSXMMEXCPT;
}

/* Forms name rows: each once. EVEX forms of the same mnemonics have no row. */
static void test_forms(void **state)
{
	struct insn i;
	bool twice = false;

	(void)state;
	for (unsigned a = 0; a < ARRAY_LEN(sets); a++)
		for (size_t n = 0; n < sets[a]->count; n++)
			for (unsigned b = 0; b <= a; b++)
				for (size_t m = 0; m < (a == b ? n : sets[b]->count); m++)
					twice = twice || !strcmp(sets[a]->rows[n].form, sets[b]->rows[m].form);
	assert_false(twice);
	assert_null(decode((const u8 *)"\x62\xf1\x7c\x48\x58\xca", 6, &i)); /* VADDPS zmm1, zmm0, zmm2 */
	assert_null(decode((const u8 *)"\x62\xf1\x7c\x08\x58\xca", 6, &i)); /* EVEX VADDPS xmm1, xmm0, xmm2 */
	assert_null(decode((const u8 *)"\xc4\xe2\x6d\xdc\xca", 5, &i)); /* VAESENC ymm1, ymm2, ymm2 */
	assert_null(decode((const u8 *)"\xf2\xa5", 2, &i)); /* the string MOVSD */
}

static int setup(void **state)
{
	(void)state;
	return harness_init() ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_approximations), cmocka_unit_test(test_crossing), cmocka_unit_test(test_masked),
		cmocka_unit_test(test_gather_resumes), cmocka_unit_test(test_no_osxmmexcpt), cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
