/*
 * The model core2 by what processors of its kind are known to report: capability MSRs and CPUID of public dumps (family 6,
 * model 0Fh), and what they lack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bare.h"
#include "report.h"

#include "cpu/control/control.h"
#include "cpu/control/msr.h"
#include "vmx/vmx.h"

static u64 msr(struct pc *p, u32 index)
{
	u64 value = 0;

	assert_true(msr_read(p->c, index, &value));
	return value;
}

static void capability_msrs(void **state)
{
	struct pc p;
	u64 value;

	(void)state;
	assert_true(bare_init(&p, "core2"));
	assert_int_equal(msr(&p, 0x480) >> 32, 0x00181000); /* 4 KiB, write-back; no INS/OUTS information, no TRUE MSRs */
	assert_int_not_equal(msr(&p, 0x480) & 0x7fffffff, VMX_REVISION);
	assert_int_equal(msr(&p, 0x481), 0x0000001f00000016);
	assert_int_equal(msr(&p, 0x482), 0x77b9fffe0401e172);
	assert_int_equal(msr(&p, 0x483), 0x0003efff00036dff);
	assert_int_equal(msr(&p, 0x484), 0x000013ff000011ff); /* no SMM controls: no dual-monitor treatment here */
	assert_int_equal(msr(&p, 0x485), 0x00000000000401c0); /* three activity states, four CR3 targets */
	assert_int_equal(msr(&p, 0x486), 0x80000021);
	assert_int_equal(msr(&p, 0x487), 0xffffffff);
	assert_int_equal(msr(&p, 0x488), 0x2000);
	assert_int_equal(msr(&p, 0x489), 0x27ff);
	for (u32 n = 0x48b; n <= 0x493; n++)
		assert_false(msr_read(p.c, n, &value));
	bare_fini(&p);
}

/* Penryn's additions, by name. */
static void additions(void **state)
{
	struct pc p;

	(void)state;
	assert_true(bare_init(&p, "core2,+vnmi,+vnmi-pending,+secondary-ctls,+apicv-xapic,+wbinvd-exit,+ins-outs"));
	assert_int_equal(msr(&p, 0x480) >> 54 & 1, 1);
	assert_int_equal(msr(&p, 0x481), 0x0000003f00000016);
	assert_int_equal(msr(&p, 0x482), 0xf7f9fffe0401e172);
	assert_int_equal(msr(&p, 0x48b), 0x0000004100000000);
	bare_fini(&p);
}

static void cpuid_and_counters(void **state)
{
	struct pc p;
	u32 out[4];
	u64 value;

	(void)state;
	assert_true(bare_init(&p, "core2"));
	cpuid_query(p.c, 0, 0, out);
	assert_int_equal(out[EAX], 10);
	cpuid_query(p.c, 1, 0, out);
	assert_int_equal(out[EAX], 0x6fb);
	/* SSE3, MONITOR, VMX, SSSE3, CX16, xTPR; and nothing above */
	assert_int_equal(out[ECX], 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 13 | 1 << 14);
	cpuid_query(p.c, 0x0a, 0, out);
	assert_int_equal(out[EAX] & 0xffff, 0x0202); /* version 2, two counters */
	assert_int_equal(out[EDX] & 31, 3);
	cpuid_query(p.c, 0x80000001, 0, out);
	assert_int_equal(out[ECX], 1);
	assert_int_equal(out[EDX] & ~(1u << 11), 0x20100000);
	cpuid_query(p.c, 0x80000008, 0, out);
	assert_int_equal(out[EAX], 0x3024);
	assert_true(msr_read(p.c, 0xc2, &value));
	assert_false(msr_read(p.c, 0xc3, &value));
	assert_false(msr_read(p.c, 0x188, &value));
	assert_true(msr_write(p.c, 0x38f, 0x700000003));
	assert_false(msr_write(p.c, 0x38f, 4));
	bare_fini(&p);
}

/* Four last branches, in a ring. */
static void branches(void **state)
{
	struct pc p;

	(void)state;
	assert_true(bare_init(&p, "core2"));
	assert_true(msr_write(p.c, 0x1d9, DEBUGCTL_LBR));
	for (u64 n = 1; n <= 6; n++)
		lbr_branch(p.c, 0x1000 * n, 0x2000 * n, LBR_JMP_REL);
	assert_int_equal(msr(&p, 0x1c9), 6 % 4);
	assert_int_equal(msr(&p, 0x40 + 2), 0x6000);
	assert_int_equal(msr(&p, 0x60 + 2), 0xc000);
	assert_int_equal(msr(&p, 0x40 + 3), 0x3000);
	assert_false(msr_write(p.c, 0x1c9, 4));
	bare_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(capability_msrs),
	        cmocka_unit_test(additions),
	        cmocka_unit_test(cpuid_and_counters),
	        cmocka_unit_test(branches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
