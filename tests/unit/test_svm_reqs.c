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

#include "svm/svm.h"

#define REQ(ids) ids

/* Bytes in memory, least significant first: REQ(svm.P.4) */
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
}

/* ---- segments and events at the edge ---- */

static void test_attributes(void **state)
{
	/* 7:0 are descriptor bits 47:40, 11:8 are 55:52: type, S, DPL, P; AVL, L, D/B, G. REQ(svm.2.2.1.77
	 * svm.2.2.1.78) */
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
		svm_seg_store(&out, &s); /* REQ(svm.2.2.1.91) */
		assert_int_equal(out.attrib, in.attrib);
	}
}

static void test_bases(void **state)
{
	const struct vmcb_seg in = {.attrib = 0x93, .limit = ~0u, .base = 0x12345678fedcba98ull};
	static const struct {
		const char *req;
		u8 seg;
		u64 base;
	} rows[] = {
	        {REQ("svm.C.1.123"), SEG_ES, 0xfedcba98},
	        {REQ("svm.C.1.123"), SEG_CS, 0xfedcba98},
	        {REQ("svm.C.1.123"), SEG_SS, 0xfedcba98},
	        {REQ("svm.C.1.123"), SEG_DS, 0xfedcba98},
	        {REQ("svm.2.2.1.124 svm.2.3.27"), SEG_FS, 0x00005678fedcba98ull},
	        {REQ("svm.2.2.1.124 svm.2.3.27"), SEG_GS, 0x00005678fedcba98ull},
	        {REQ("svm.2.2.1.124 svm.2.3.27"), SEG_TR, 0x00005678fedcba98ull},
	        {REQ("svm.2.2.1.124 svm.2.3.27"), SEG_LDTR, 0x00005678fedcba98ull},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (svm_seg_load(&in, rows[n].seg, 48).base != rows[n].base)
			fail_msg("%s: segment %u", rows[n].req, rows[n].seg);
	/* limits are in bytes whatever G says, bases are whole: REQ(svm.2.2.1.75 svm.2.2.1.76) */
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .limit = 0x12345}, SEG_DS, 48).limit,
	                 0x12345);
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .base = 0xfedcba98}, SEG_DS, 48).base,
	                 0xfedcba98);
}

static void test_event_bits(void **state)
{
	(void)state;
	/* EXITINTINFO: vector 7:0, type 10:8. REQ(svm.2.4.2.3 svm.2.4.2.4) */
	for (unsigned vector = 32; vector < 256; vector++)
		assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_EXT, .vector = (u8)vector}),
		                 0x80000000u | vector);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_NMI, .vector = 2}), 0x80000202);
	assert_int_equal(
	        svm_intinfo_from_event(&(struct event){.type = EV_HW, .vector = 14, .has_error = true, .error = 6}),
	        0x680000b0eull);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_SW, .vector = 0x80}), 0x80000480);
	/* no other type leaves the processor: REQ(svm.2.4.2.10) */
	for (unsigned type = 0; type < 16; type++) {
		u64 info = svm_intinfo_from_event(&(struct event){.type = (u8)type, .vector = 3});

		assert_true(!(info >> 31 & 1) || (1u << (info >> 8 & 7) & (1 | 4 | 8 | 16)));
	}
	/* EVENTINJ is read with the same encoding: what comes out is what went in. REQ(svm.2.16.3 svm.2.16.10
	 * svm.2.16.12) */
	for (unsigned vector = 0; vector < 256; vector++)
		for (unsigned type = 0; type < 5; type++) {
			u64 info = 0x80000000ull | type << 8 | vector;
			struct event e;

			if (type == 1 || (type == 2 && vector != 2) || (type == 3 && vector > 31))
				continue;
			e = svm_event_from_intinfo(info, 2);
			assert_int_equal(e.vector, vector);
			assert_int_equal(svm_intinfo_from_event(&e), info);
		}
}

/* ---- the bits of 060h, 068h, 090h, 0B8h ---- */

static void test_control_bits(void **state)
{
	static const struct {
		const char *req;
		u64 is, mask;
	} rows[] = {
	        {REQ("svm.C.1.62"), VINTR_IRQ, 1ull << 8},      {REQ("svm.C.1.65"), VINTR_IGN_TPR, 1ull << 20},
	        {REQ("svm.C.1.67"), VINTR_MASKING, 1ull << 24}, {REQ("svm.C.1.71"), INT_STATE_SHADOW, 1},
	        {REQ("svm.C.1.77"), NESTED_NP_ENABLE, 1},       {REQ("svm.C.1.82 svm.2.19.1.1"), VIRT_EXT_LBRV, 1},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (rows[n].is != rows[n].mask)
			fail_msg("%s", rows[n].req);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_little_endian), cmocka_unit_test(test_attributes),   cmocka_unit_test(test_bases),
	        cmocka_unit_test(test_event_bits),    cmocka_unit_test(test_control_bits),
	};

	return cmocka_run_group_tests_name("svm requirements", tests, NULL, NULL);
}
