/*
 * Statements of the 2005 manual about forms: byte order, segment attributes and bases as VMRUN takes them, the coding
 * of events, the bits of the control words. The numbers are those of the statements; a row names the one that it holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report.h"
#include "svm/svm.h"

/* Bytes in memory, least significant first */
static void test_little_endian(void **state)
{
	union {
		u8 bytes[4096];
		struct vmcb_page page;
	} *u = calloc(1, sizeof(*u));

	(void)state;
	assert_non_null(u);
	for (unsigned n = 0; n < 8; n++)
		u->bytes[0x50 + n] = (u8)(n + 1);
	u->bytes[0x58] = 0x34, u->bytes[0x59] = 0x12;
	u->bytes[0x402] = 0x93, u->bytes[0x403] = 0x0c;
	assert_int_equal(u->page.control.tsc_offset, 0x0807060504030201ull);
	assert_int_equal(u->page.control.asid, 0x1234);
	assert_int_equal(u->page.save.es.attrib, 0xc93);
	free(u);
	proves("svm.P.4");
}

/* ---- segments and events at the edge ---- */

static void test_attributes(void **state)
{
	/* 7:0 are descriptor bits 47:40, 11:8 are 55:52: type, S, DPL, P; AVL, L, D/B, G. */
	static const struct {
		u16 attrib;
		u32 descriptor_high; /* the same bits in the upper half of a descriptor */
	} rows[] = {{0x001, 1u << 8},  {0x002, 1u << 9},  {0x004, 1u << 10}, {0x008, 1u << 11},
	            {0x010, 1u << 12}, {0x020, 1u << 13}, {0x040, 1u << 14}, {0x080, 1u << 15},
	            {0x100, 1u << 20}, {0x200, 1u << 21}, {0x400, 1u << 22}, {0x800, 1u << 23}};
	const struct seg plain = svm_seg_load(&(struct vmcb_seg){.attrib = 0x90}, SEG_DS, 48);

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct vmcb_seg in = {.attrib = rows[n].attrib | 0x90}, out; /* present, not a system segment */
		struct seg s = svm_seg_load(&in, SEG_DS, 48);

		assert_int_equal(s.ar, plain.ar | rows[n].descriptor_high >> 8);
		proves("svm.2.2.1.77 svm.2.2.1.78");
		out = svm_seg_save(&s);
		assert_int_equal(out.attrib, in.attrib);
		proves("svm.2.2.1.91");
	}
}

static void test_bases(void **state)
{
	const struct vmcb_seg in = {.attrib = 0x93, .limit = ~0u, .base = 0x12345678fedcba98ull};
	static const struct {
		const char *ids;
		u8 seg;
		u64 base;
	} rows[] = {
	        {"svm.C.1.123", SEG_ES, 0xfedcba98},
	        {"svm.C.1.123", SEG_CS, 0xfedcba98},
	        {"svm.C.1.123", SEG_SS, 0xfedcba98},
	        {"svm.C.1.123", SEG_DS, 0xfedcba98},
	        {"svm.2.2.1.124 svm.2.3.27", SEG_FS, 0x00005678fedcba98ull},
	        {"svm.2.2.1.124 svm.2.3.27", SEG_GS, 0x00005678fedcba98ull},
	        {"svm.2.2.1.124 svm.2.3.27", SEG_TR, 0x00005678fedcba98ull},
	        {"svm.2.2.1.124 svm.2.3.27", SEG_LDTR, 0x00005678fedcba98ull},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		assert_int_equal(svm_seg_load(&in, rows[n].seg, 48).base, rows[n].base);
		proves(rows[n].ids);
	}
	/* limits are in bytes whatever G says, bases are whole */
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .limit = 0x12345}, SEG_DS, 48).limit,
	                 0x12345);
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .base = 0xfedcba98}, SEG_DS, 48).base,
	                 0xfedcba98);
	proves("svm.2.2.1.75 svm.2.2.1.76");
}

static void test_event_bits(void **state)
{
	(void)state;
	/* EXITINTINFO: vector 7:0, type 10:8. */
	for (unsigned vector = 32; vector < 256; vector++)
		assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_EXT, .vector = (u8)vector}),
		                 0x80000000u | vector);
	proves("svm.2.4.2.3 svm.2.4.2.4");
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_NMI, .vector = 2}), 0x80000202);
	assert_int_equal(
	        svm_intinfo_from_event(&(struct event){.type = EV_HW, .vector = 14, .has_error = true, .error = 6}),
	        0x680000b0eull);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_SW, .vector = 0x80}), 0x80000480);
	/* no other type leaves the processor */
	for (unsigned type = 0; type < 16; type++) {
		u64 info = svm_intinfo_from_event(&(struct event){.type = (u8)type, .vector = 3});

		assert_true(!(info >> 31 & 1) || (1u << (info >> 8 & 7) & (1 | 4 | 8 | 16)));
		proves("svm.2.4.2.10");
	}
	/* EVENTINJ is read with the same encoding: what comes out is what went in. */
	for (unsigned vector = 0; vector < 256; vector++)
		for (unsigned type = 0; type < 5; type++) {
			u64 info = 0x80000000ull | type << 8 | vector;
			struct event e;

			if (type == 1 || (type == 2 && vector != 2) || (type == 3 && vector > 31))
				continue;
			e = svm_event_from_intinfo(info, 2);
			assert_int_equal(e.vector, vector);
			proves("svm.2.16.3 svm.2.16.10 svm.2.16.12");
			assert_int_equal(svm_intinfo_from_event(&e), info);
		}
}

/* ---- the bits of 060h, 068h, 090h, 0B8h ---- */

static void test_control_bits(void **state)
{
	static const struct {
		const char *ids;
		u64 is, mask;
	} rows[] = {
	        {"svm.C.1.62", VINTR_IRQ, 1ull << 8},      {"svm.C.1.65", VINTR_IGN_TPR, 1ull << 20},
	        {"svm.C.1.67", VINTR_MASKING, 1ull << 24}, {"svm.C.1.71", INT_STATE_SHADOW, 1},
	        {"svm.C.1.77", NESTED_NP_ENABLE, 1},       {"svm.C.1.82 svm.2.19.1.1", VIRT_EXT_LBRV, 1},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		assert_int_equal(rows[n].is, rows[n].mask);
		proves(rows[n].ids);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_little_endian), cmocka_unit_test(test_attributes),   cmocka_unit_test(test_bases),
	        cmocka_unit_test(test_event_bits),    cmocka_unit_test(test_control_bits),
	};

	return cmocka_run_group_tests_name("svm requirements", tests, NULL, NULL);
}
