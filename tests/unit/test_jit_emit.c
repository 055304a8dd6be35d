/* What the translator writes, read by Zydis: every operation with every pair of registers, sizes, and kinds of address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "jit/emit.h"
#include "report.h"

struct code {
	u8 bytes[32];
	struct emit e;
};

static void begin(struct code *c)
{
	c->e = (struct emit){.p = c->bytes, .end = c->bytes + sizeof(c->bytes)};
}

/* One instruction, as long as what was written. */
static void decode(const struct code *c, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	const size_t n = (size_t)(c->e.p - c->bytes);
	ZydisDecoder d;

	ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, c->bytes, n, zi, op)));
	assert_int_equal(zi->length, n);
}

static ZydisRegister name(unsigned n, unsigned size, bool high)
{
	static const ZydisRegisterClass classes[9] = {
		[1] = ZYDIS_REGCLASS_GPR8, [2] = ZYDIS_REGCLASS_GPR16, [4] = ZYDIS_REGCLASS_GPR32, [8] = ZYDIS_REGCLASS_GPR64};

	if (size == 1) /* Zydis counts AH to BH between BL and SPL */
		return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR8, (ZyanU8)(high || n < 4 ? n : n + 4));
	return ZydisRegisterEncode(classes[size], (ZyanU8)n);
}

static const ZydisMnemonic alu_names[] = {
	ZYDIS_MNEMONIC_ADD, ZYDIS_MNEMONIC_OR, ZYDIS_MNEMONIC_ADC, ZYDIS_MNEMONIC_SBB,
	ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_SUB, ZYDIS_MNEMONIC_XOR, ZYDIS_MNEMONIC_CMP,
};

static void test_registers(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 8u * 4 * 16 * 16; k++) {
		const unsigned op = k & 7, size = 1u << (k >> 3 & 3), a = k >> 5 & 15, b = k >> 9;
		ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction zi;
		struct code c;

		begin(&c);
		e_alu(&c.e, op, size, size == 1 ? o_byte(a) : o_reg(a), size == 1 ? o_byte(b) : o_reg(b));
		decode(&c, &zi, o);
		assert_int_equal(zi.mnemonic, alu_names[op]);
		assert_int_equal(o[0].reg.value, name(a, size, false));
		assert_int_equal(o[1].reg.value, name(b, size, false));
	}
}

/* AH to BH have no encoding beside a REX prefix. */
static void test_high(void **state)
{
	const struct opnd bh = {.high = true, .byte = true, .n = 7, .index = NO_INDEX};
	ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction zi;
	struct code c;

	(void)state;
	for (unsigned a = 0; a < 16; a++) {
		begin(&c);
		e_mov(&c.e, 1, o_byte(a), bh);
		assert_int_equal(c.e.bad, a >= 4);
		if (c.e.bad)
			continue;
		decode(&c, &zi, o);
		assert_int_equal(o[0].reg.value, name(a, 1, false));
		assert_int_equal(o[1].reg.value, name(7, 1, true));
	}
}

static void test_addresses(void **state)
{
	static const s32 disps[] = {0, 1, -128, 127, 128, -129, 0x7fffffff, -0x7fffffff};

	(void)state;
	for (unsigned k = 0; k < 16u * 17 * 4 * ARRAY_LEN(disps); k++) {
		const unsigned base = k & 15, scale = k >> 4 & 3, d = (k >> 6) % ARRAY_LEN(disps), index = (k >> 6) / ARRAY_LEN(disps);
		ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction zi;
		struct opnd m = o_mem(base, disps[d]);
		struct code c;

		if (index == HRSP)
			continue;
		if (index < 16)
			m.index = (u8)index, m.scale = (u8)scale;
		begin(&c);
		e_mov(&c.e, 8, o_reg(HR9), m);
		decode(&c, &zi, o);
		assert_int_equal(zi.mnemonic, ZYDIS_MNEMONIC_MOV);
		assert_int_equal(o[1].mem.base, name(base, 8, false));
		assert_int_equal(o[1].mem.index, index < 16 ? name(index, 8, false) : ZYDIS_REGISTER_NONE);
		assert_int_equal(o[1].mem.disp.value, disps[d]);
		if (index < 16)
			assert_int_equal(o[1].mem.scale, 1u << scale);
	}
}

static void test_constants(void **state)
{
	static const u64 values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, ~0ull, 1ull << 63, ~0x7fffffffull};

	(void)state;
	for (unsigned k = 0; k < 16 * ARRAY_LEN(values); k++) {
		const u64 v = values[k / 16];
		ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction zi;
		struct code c;

		begin(&c);
		e_const(&c.e, k & 15, v);
		decode(&c, &zi, o);
		assert_int_equal(zi.mnemonic, ZYDIS_MNEMONIC_MOV);
		assert_int_equal(ZydisRegisterGetId(o[0].reg.value), k & 15);
		assert_true((o[0].size == 64 ? o[1].imm.value.u : (u32)o[1].imm.value.u) == v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_high),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_constants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
