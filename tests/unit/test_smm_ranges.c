/*
 * SMRAM that the processor itself protects: SMM_ADDR and SMM_MASK of AMD ("SMRAM Protected Areas"), SMRRs of Intel
 * ("System-Management Range Register Interface"). From outside SMM there is no memory for an instruction, a page walk, a
 * fetch, the processor's own structures, and code that was decoded before; another processor and a device see what they saw.
 */
#include "smm_fixture.h"

#include "cpu/state/phys.h"

enum { SMM_ADDR = 0xc0010112, SMM_MASK, HWCR = 0xc0010015, SMM_BASE = 0xc0010111, SMRR_BASE = 0x1f2, SMRR_MASK };
enum { HIDDEN = 0x400000, SIZE = 0x40000, TABLE = HIDDEN + 0x1000, CODE_AT = HIDDEN + 0x2000 };
enum { ASEG = 0xa0000 };

static const char *const models[] = {"amd", "intel"};

static bool is_intel(const char *model)
{
	return !strcmp(model, "intel");
}

/* As SMM software does it, from inside. */
static void protect(struct pc *p, const char *model, bool on)
{
	struct cpu *c = p->c;
	bool outside = !c->smm;

	if (outside)
		smi(p);
	if (is_intel(model)) {
		assert_true(msr_write(c, SMRR_BASE, HIDDEN | MT_WB));
		assert_true(msr_write(c, SMRR_MASK, (0xfffff000u & ~(SIZE - 1u)) | (on ? BIT(11) : 0)));
	} else {
		assert_true(msr_write(c, SMM_ADDR, HIDDEN));
		assert_true(msr_write(c, SMM_MASK, (0xfffffffe0000 & ~(SIZE - 1ull)) | (on ? 2 : 0)));
	}
	if (outside)
		steps(p, 1);
	assert_int_equal(!c->smm, outside);
}

static u64 loaded(struct pc *p, la_t la)
{
	u64 v = 0;

	assert_int_equal(mmu_read_slow(p->c, la, 8, ACC_READ, &v), XR_OK);
	return v;
}

static void stored(struct pc *p, la_t la, u64 v)
{
	assert_int_equal(mmu_write_slow(p->c, la, 8, ACC_WRITE, &v), XR_OK);
}

static struct pc *ready(const char *model)
{
	struct pc *p = machine(model);

	CODE(p, HOST_CODE, 0xeb, 0xfe);
	p->c->r[REG_RIP] = HOST_CODE;
	for (u64 at = HIDDEN - 0x1000; at < HIDDEN + SIZE + 0x1000; at += 0x1000)
		bus_write_u64(&p->bus, at, at | 1);
	return p;
}

/* Loads, stores and what the processor reads for itself: none outside, all in SMM; every page and its neighbours. */
static void test_data(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = ready(models[n]);

		assert_int_equal(loaded(p, HIDDEN), HIDDEN | 1); /* the L1 and the TLB have it now */
		protect(p, models[n], true);
		for (u64 at = HIDDEN - 0x1000; at < HIDDEN + SIZE + 0x1000; at += 0x1000) {
			bool hidden = at - HIDDEN < SIZE;

			assert_int_equal(loaded(p, at), hidden ? ~0ull : at | 1);
			assert_int_equal(cpu_read_u64(p->c, BY_VIRT, at), hidden ? ~0ull : at | 1);
			stored(p, at, 5);
			cpu_write_u64(p->c, BY_VIRT, at + 8, 6);
			assert_int_equal(bus_read_u64(&p->bus, at), hidden ? at | 1 : 5); /* others see it */
			assert_int_equal(bus_read_u64(&p->bus, at + 8), hidden ? 0 : 6);
		}
		smi(p);
		assert_int_equal(loaded(p, HIDDEN + 0x1000), (HIDDEN + 0x1000) | 1);
		stored(p, HIDDEN + 0x1000, 7);
		steps(p, 1);
		assert_int_equal(bus_read_u64(&p->bus, HIDDEN + 0x1000), 7);
		assert_int_equal(loaded(p, HIDDEN + 0x1000), ~0ull);
		protect(p, models[n], false);
		assert_int_equal(loaded(p, HIDDEN + 0x1000), 7);
		machine_free(p);
	}
}

/* A table of a walk lies there: it reads as all ones, whose reserved bits fault. A walk from SMM finds it. */
static void test_walk(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = ready(models[n]);
		u64 v;

		bus_write_u64(&p->bus, 0x2028, TABLE | 7); /* 5 GiB */
		bus_write_u64(&p->bus, TABLE, 0x8000e7 & ~0x1fff00ull);
		bus_write_u64(&p->bus, 0x800010, 0x77);
		assert_int_equal(loaded(p, 5ull << 30 | 0x10), 0x77);
		protect(p, models[n], true);
		tlb_flush_all(p->c);
		assert_int_equal(mmu_read_slow(p->c, 5ull << 30 | 0x10, 8, ACC_READ, &v), XR_FAULT);
		assert_int_equal(p->c->fault.vector, EX_PF);
		assert_int_equal(p->c->fault.error & PF_RSV, PF_RSV);
		protect(p, models[n], false);
		assert_int_equal(loaded(p, 5ull << 30 | 0x10), 0x77);
		machine_free(p);
	}
}

/* INC EBX; RET, called in a loop. Decoded and linked before; then it is not there: FF FF is #UD. */
static void test_decoded(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = ready(models[n]);
		struct cpu *c = p->c;

		CODE(p, CODE_AT, 0xff, 0xc3, 0xc3);
		CODE(p, HOST_CODE, 0xff, 0xd0, 0xeb, 0xfc); /* CALL RAX; JMP -4 */
		c->r[REG_RAX] = CODE_AT;
		c->r[REG_RBX] = 0;
		cpu_run(c, p->clock.now + 400);
		assert_int_equal(c->r[REG_RBX], 100);
		protect(p, models[n], true);
		cpu_run(c, p->clock.now + 10);
		assert_true(c->r[REG_RBX] <= 101);
		assert_int_equal(c->r[REG_RDI], SMM_LOG + 1);
		assert_int_equal(bus_read_u64(&p->bus, SMM_LOG) & 0xff, EX_UD);
		/* in SMM the same code runs: MOV EAX, CODE_AT; CALL EAX; RSM by 32-bit operands */
		CODE(p, HANDLER, 0x90, 0x66, 0x31, 0xdb, 0xbc, 0x00, 0x50, 0x66, 0xb8, 0x00, 0x20, 0x40, 0x00, 0x67, 0x8a, 0x18, 0xf4);
		smi(p);
		steps(p, 5);
		assert_int_equal(c->r[REG_RBX], 0xff);
		machine_free(p);
	}
}

/* ASeg, and what SMM itself is kept from: data of a closed range, but not its code. */
static void test_amd_areas(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 16; n++) {
		struct pc *p = ready("amd");
		struct fetch f;
		bool aseg = n & 1, tseg = n & 2, aclose = n & 4, tclose = n & 8;

		bus_write_u64(&p->bus, ASEG, 0x11);
		bus_write_u64(&p->bus, ASEG + 0x1fff8, 0x12);
		bus_write_u64(&p->bus, ASEG - 8, 0x10);
		bus_write_u64(&p->bus, ASEG + 0x20000, 0x13);
		assert_true(msr_write(p->c, SMM_ADDR, HIDDEN));
		assert_true(msr_write(p->c, SMM_MASK, (0xfffffffe0000 & ~(SIZE - 1ull)) | n));
		assert_int_equal(loaded(p, ASEG), aseg ? ~0ull : 0x11);
		assert_int_equal(loaded(p, ASEG + 0x1fff8), aseg ? ~0ull : 0x12);
		assert_int_equal(loaded(p, ASEG - 8), 0x10);
		assert_int_equal(loaded(p, ASEG + 0x20000), 0x13);
		assert_int_equal(loaded(p, HIDDEN), tseg ? ~0ull : HIDDEN | 1);
		smi(p);
		assert_int_equal(loaded(p, ASEG), aseg && aclose ? ~0ull : 0x11);
		assert_int_equal(loaded(p, HIDDEN), tseg && tclose ? ~0ull : HIDDEN | 1);
		assert_int_equal(mmu_fetch(p->c, HIDDEN, &f), XR_OK);
		assert_non_null(f.host);
		machine_free(p);
	}
}

/* "SMM Lock": who may write what, and that only RESET unlocks. */
static void test_amd_lock(void **state)
{
	struct pc *p = ready("amd");
	struct cpu *c = p->c;
	u64 hwcr, v;

	(void)state;
	assert_true(msr_read(c, HWCR, &hwcr));
	assert_int_equal(hwcr & 1, 0);
	assert_false(msr_write(c, SMM_ADDR, 0x10000)); /* 128 KiB */
	assert_false(msr_write(c, SMM_MASK, 1ull << 48));
	assert_true(msr_write(c, SMM_ADDR, HIDDEN));
	assert_true(msr_write(c, SMM_MASK, 0xfffffffc0002));
	assert_true(msr_write(c, SMM_BASE, 0x40000));
	assert_int_equal(c->smbase, 0x40000);
	assert_true(msr_write(c, HWCR, hwcr | 1));
	assert_true(msr_write(c, HWCR, hwcr));
	assert_true(msr_read(c, HWCR, &v));
	assert_int_equal(v & 1, 1);
	assert_false(msr_write(c, SMM_ADDR, 0));
	assert_false(msr_write(c, SMM_MASK, 0));
	assert_false(msr_write(c, SMM_BASE, 0x30000));
	assert_true(msr_read(c, SMM_MASK, &v));
	assert_int_equal(v, 0xfffffffc0002);
	CODE(p, 0x48000, 0x90, 0x0f, 0xaa);
	smi(p);
	assert_false(msr_write(c, SMM_MASK, 0)); /* in SMM, too */
	steps(p, 1);
	assert_int_equal(loaded(p, HIDDEN), ~0ull);
	cpu_reset(c, true);
	assert_int_equal(c->smm_mask, 0xfffffffc0002);
	assert_false(msr_write(c, SMM_MASK, 0));
	cpu_reset(c, false);
	assert_int_equal(cpu_read_u64(c, BY_CPU, HIDDEN), HIDDEN | 1);
	assert_true(msr_write(c, SMM_MASK, 0));
	machine_free(p);
	proves("svm.2.18.3.2 svm.2.18.3.3 svm.2.18.3.4");
}

static void test_smrr_writes(void **state)
{
	struct pc *p = ready("intel");
	struct cpu *c = p->c;
	u64 v;

	(void)state;
	assert_true(msr_read(c, 0xfe, &v));
	assert_int_equal(v >> 11 & 1, 1);
	assert_false(msr_write(c, SMRR_BASE, HIDDEN | MT_WB));
	assert_false(msr_write(c, SMRR_MASK, 0));
	smi(p);
	assert_false(msr_write(c, SMRR_BASE, HIDDEN | 2));
	assert_false(msr_write(c, SMRR_BASE, HIDDEN | 0x106));
	assert_false(msr_write(c, SMRR_BASE, 1ull << 32));
	assert_false(msr_write(c, SMRR_MASK, 0x400));
	assert_true(msr_write(c, SMRR_BASE, HIDDEN | MT_WB));
	assert_true(msr_read(c, SMRR_BASE, &v));
	assert_int_equal(v, HIDDEN | MT_WB);
	assert_true(msr_write(c, SMRR_MASK, 0xfffff800)); /* one page */
	steps(p, 1);
	assert_true(msr_read(c, SMRR_MASK, &v));
	assert_int_equal(v, 0xfffff800);
	assert_int_equal(loaded(p, HIDDEN), ~0ull);
	assert_int_equal(loaded(p, HIDDEN + 0x1000), (HIDDEN + 0x1000) | 1);
	assert_true(msr_read(c, 0x34, &v));
	assert_int_equal(v, 1);
	assert_false(msr_write(c, 0x34, 0));
	smi(p); /* every second page of the range: a mask with a hole */
	assert_true(msr_write(c, SMRR_MASK, 0xfffc1800));
	steps(p, 1);
	for (u64 k = 0; k < SIZE / 0x1000; k++)
		assert_int_equal(loaded(p, HIDDEN + 0x1000 * k), k & 1 ? (HIDDEN + 0x1000 * k) | 1 : ~0ull);
	machine_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_data),      cmocka_unit_test(test_walk),     cmocka_unit_test(test_decoded),
	        cmocka_unit_test(test_amd_areas), cmocka_unit_test(test_amd_lock), cmocka_unit_test(test_smrr_writes),
	};

	return cmocka_run_group_tests_name("smm_ranges", tests, NULL, NULL);
}
