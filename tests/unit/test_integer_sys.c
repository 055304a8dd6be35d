/*
 * What the computer's own processor cannot show: branches, 16- and 32-bit stacks, RFLAGS by privilege, virtual-8086
 * interrupts, port permissions, and repetitions that stop half-way. Expected values are worked out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "integer_fixture.h"

static struct cpu cpu;
static struct clock virtual_clock;
static struct cpu_model model;
static u8 memory[1 << 20];
static u8 no_page_flags;

#define CODE64 (MODE_64 | MODE_PE | MODE_LMA)
#define CODE32 (MODE_32 | MODE_PE | MODE_SS32)
#define CODE16 (MODE_16 | MODE_PE)
#define REAL   MODE_16
#define V86    (MODE_16 | MODE_V86)

static void fresh(u8 mode)
{
	const struct decode_index *d = cpu.decode;

	memset(&cpu, 0, sizeof(cpu));
	memset(memory, 0, sizeof(memory));
	memset(&fx, 0, sizeof(fx));
	fx.base = (uintptr_t)memory;
	fx.size = sizeof(memory);
	memset(&cpu.feat, 0xff, sizeof(cpu.feat));
	virtual_clock = (struct clock){.next = UINT64_MAX};
	cpu.decode = d;
	cpu.model = &model;
	cpu.clock = &virtual_clock;
	cpu.mode = mode;
	cpu.la_bits = 48;
	cpu.ctx = 1;
	cpu.rflags = FL_1;
	cpu.cr0 = mode & (MODE_PE | MODE_V86) ? CR0_PE : 0;
	cpu.cpl = mode & MODE_V86 ? 3 : 0;
	cpu.r[REG_RIP] = 0x1000;
	cpu.r[REG_RSP] = 0x8000;
	for (unsigned k = 0; k < SEG_COUNT; k++)
		cpu.seg[k].limit = (mode & MODE_SIZE) == MODE_16 ? 0xffff : 0xffffffff;
	cpu.seg[SEG_TR] = (struct seg){.ar = AR_P | SYS_TSS32_BUSY, .limit = 0x2067, .base = 0x20000};
}

static void map_pages(void)
{
	for (unsigned p = 0; p < sizeof(memory) / 4096; p++)
		cpu.l1[p % (1u << L1_BITS)] = (struct l1_entry){p * 4096u | 1, p * 4096u | 1, fx.base, &no_page_flags};
}

static struct insn block[2];

static enum xr run(bool chain, const char *bytes, size_t n)
{
	memset(block, 0, sizeof(block));
	block[1].fast = block[1].fn = insn_end;
	assert_int_equal(decode_bytes(&cpu, cpu.mode, (const u8 *)bytes, n, &block[0]), n);
	return chain ? block[0].fast(&cpu, block) : block[0].fn(&cpu, block);
}
#define RUN(text)   run(false, text, sizeof(text) - 1)
#define CHAIN1(text) run(true, text, sizeof(text) - 1)

static void assert_fault(enum xr r, unsigned vector)
{
	assert_int_equal(r, XR_FAULT);
	assert_int_equal(cpu.fault.vector, vector);
}

static u16 word_at(u32 at)
{
	return (u16)(memory[at] | memory[at + 1] << 8);
}

static void jumps_and_conditions(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4000; k++) {
		char near[6] = {0x0f, (char)(0x80 | (k & 15)), 0x10, 0x01, 0, 0};
		u32 f = FL_1 | ((k * 2654435761u >> 7) & FL_ARITH);

		fresh(CODE64);
		flags_set(&cpu, f);
		switch ((k >> 4) & 7) {
		case 0: cc_set(&cpu, CC_SUB, 4, k - 77u, k, 77); break;
		case 1: cc_set(&cpu, CC_SUB, 1, (u8)(k - 77), (u8)k, 77); break;
		case 2: cc_set(&cpu, CC_ADD, 2, (u16)(k + 0xf800), k, 0xf800); break;
		case 3: cc_set(&cpu, CC_LOGIC, 8, k % 3 - 1u, 0, 0); break;
		case 4: cc_set(&cpu, CC_DEC, 1, k % 5 - 2u, 0, k & 1); break;
		case 5: cc_set(&cpu, CC_COUT, 4, k % 3 - 1u, k << 29, 0); break;
		default: break; /* CC_FLAGS */
		}
		bool taken = cc_eval(&cpu, k & 15);

		assert_int_equal(run(k % 7 != 0, near, 6), XR_OK);
		assert_int_equal(cpu.r[REG_RIP], taken ? 0x1116 : 0x1006);
	}
	fresh(CODE16);
	cpu.r[REG_RIP] = 0xfffc;
	assert_int_equal(CHAIN1("\xeb\x10"), XR_OK); /* IP wraps */
	assert_int_equal(cpu.r[REG_RIP], 0x000e);
	fresh(CODE32);
	cpu.r[REG_RIP] = 0x12340000;
	assert_int_equal(CHAIN1("\x66\xe9\x00\x10"), XR_OK); /* 66h truncates EIP */
	assert_int_equal(cpu.r[REG_RIP], 0x1004);
	fresh(CODE32);
	cpu.seg[SEG_CS].limit = 0x1fff;
	assert_fault(CHAIN1("\xe9\x00\x10\x00\x00"), EX_GP);
	assert_int_equal(cpu.r[REG_RIP], 0x1000);
	fresh(CODE64);
	cpu.r[REG_RAX] = 0x0000900000000000;
	assert_fault(CHAIN1("\xff\xe0"), EX_GP);
}

static void loops(void **state)
{
	(void)state;
	fresh(CODE64);
	cpu.r[REG_RCX] = 0x500000001;
	assert_int_equal(CHAIN1("\x67\xe2\x10"), XR_OK); /* ECX: 1 -> 0, zero-extended, not taken */
	assert_int_equal(cpu.r[REG_RCX], 0);
	assert_int_equal(cpu.r[REG_RIP], 0x1003);
	fresh(CODE32);
	cpu.r[REG_RCX] = 0x10000;
	assert_int_equal(CHAIN1("\x67\xe2\x10"), XR_OK); /* CX: 0 -> FFFF */
	assert_int_equal(cpu.r[REG_RCX], 0x1ffff);
	assert_int_equal(cpu.r[REG_RIP], 0x1013);
	fresh(CODE32);
	cpu.r[REG_RCX] = 2;
	assert_int_equal(CHAIN1("\xe1\x10"), XR_OK); /* LOOPE with ZF clear */
	assert_int_equal(cpu.r[REG_RIP], 0x1002);
	assert_int_equal(cpu.r[REG_RCX], 1);
	assert_int_equal(CHAIN1("\xe3\x10"), XR_OK);
	assert_int_equal(cpu.r[REG_RIP], 0x1004);
}

static void calls(void **state)
{
	(void)state;
	for (unsigned chain = 0; chain < 2; chain++)
		for (unsigned mapped = 0; mapped < 2; mapped++) {
			fresh(CODE64);
			if (mapped)
				map_pages();
			assert_int_equal(run(chain, "\xe8\x00\x01\x00\x00", 5), XR_OK);
			assert_int_equal(cpu.r[REG_RIP], 0x1105);
			assert_int_equal(cpu.r[REG_RSP], 0x7ff8);
			assert_int_equal(word_at(0x7ff8), 0x1005);
			assert_int_equal(run(chain, "\xc2\x10\x00", 3), XR_OK);
			assert_int_equal(cpu.r[REG_RIP], 0x1005);
			assert_int_equal(cpu.r[REG_RSP], 0x8010);
			assert_int_equal(cpu.lastbr_n, 2);
		}
	fresh(CODE64);
	cpu.r[REG_RAX] = 0x0000900000000000; /* the target is checked before the push */
	assert_fault(CHAIN1("\xff\xd0"), EX_GP);
	assert_int_equal(cpu.r[REG_RSP], 0x8000);
	assert_int_equal(word_at(0x7ff8), 0);
	fresh(CODE64);
	memory[0x8006] = 0x90; /* RET to a non-canonical address leaves RSP */
	assert_fault(CHAIN1("\xc3"), EX_GP);
	assert_int_equal(cpu.r[REG_RSP], 0x8000);
	fresh(REAL);
	cpu.r[REG_RSP] = 0x12340000; /* 16-bit stack: SP wraps, the rest stays */
	assert_int_equal(CHAIN1("\xe8\x00\x01"), XR_OK);
	assert_int_equal(cpu.r[REG_RSP], 0x1234fffe);
	assert_int_equal(word_at(0xfffe), 0x1003);
	assert_int_equal(CHAIN1("\xc3"), XR_OK);
	assert_int_equal(cpu.r[REG_RSP], 0x12340000);
	assert_int_equal(cpu.r[REG_RIP], 0x1003);
}

static void stacks(void **state)
{
	(void)state;
	fresh(CODE32);
	for (unsigned r = 0; r < 8; r++)
		if (r != REG_RSP)
			cpu.r[r] = 0x11110000u + r;
	assert_int_equal(CHAIN1("\x60"), XR_OK);
	assert_int_equal(cpu.r[REG_RSP], 0x8000 - 32);
	assert_int_equal(word_at(0x8000 - 20), 0x8000); /* the old ESP */
	for (unsigned r = 0; r < 8; r++)
		if (r != REG_RSP)
			cpu.r[r] = 0;
	assert_int_equal(CHAIN1("\x61"), XR_OK);
	for (unsigned r = 0; r < 8; r++)
		assert_int_equal(cpu.r[r], r == REG_RSP ? 0x8000 : 0x11110000u + r);
	fresh(CODE32);
	cpu.r[REG_RSP] = 16; /* PUSHA that faults half-way writes nothing */
	cpu.r[REG_RAX] = 0x55aa55aa;
	cpu.seg[SEG_SS].limit = 0xfffff;
	assert_fault(CHAIN1("\x60"), EX_SS);
	assert_int_equal(cpu.r[REG_RSP], 16);
	assert_int_equal(word_at(12), 0);
}

static void stack_operands(void **state)
{
	(void)state;
	fresh(CODE32);
	cpu.r[REG_RSP] = 0x9000;
	memory[0x9000] = 0x77;
	assert_int_equal(CHAIN1("\x8f\x04\x24"), XR_OK); /* POP [ESP]: address after the increment */
	assert_int_equal(memory[0x9004], 0x77);
	assert_int_equal(CHAIN1("\x54"), XR_OK); /* PUSH ESP: the old value */
	assert_int_equal(word_at(0x9000), 0x9004);
	assert_int_equal(CHAIN1("\x5c"), XR_OK);
	assert_int_equal(cpu.r[REG_RSP], 0x9004);
	fresh(CODE32);
	cpu.r[REG_RBP] = 0x8400;
	memory[0x83fc] = 0x21;
	assert_int_equal(CHAIN1("\xc8\x10\x00\x02"), XR_OK); /* ENTER 16, 2 */
	assert_int_equal(word_at(0x7ffc), 0x8400);
	assert_int_equal(word_at(0x7ff8), 0x21);
	assert_int_equal(word_at(0x7ff4), 0x7ffc);
	assert_int_equal(cpu.r[REG_RBP], 0x7ffc);
	assert_int_equal(cpu.r[REG_RSP], 0x7ff4 - 16);
	assert_int_equal(CHAIN1("\xc9"), XR_OK);
	assert_int_equal(cpu.r[REG_RBP], 0x8400);
	assert_int_equal(cpu.r[REG_RSP], 0x8000);
}

static void flags_by_privilege(void **state)
{
	(void)state;
	fresh(CODE32);
	cpu.cpl = 3;
	cpu.rflags = FL_1 | FL_IF;
	memory[0x8001] = 0x30; /* IOPL 3, IF 0: neither changes at CPL 3 > IOPL */
	memory[0x8002] = 0x04; /* AC does */
	assert_int_equal(RUN("\x9d"), XR_OK);
	assert_int_equal(cpu.rflags, FL_1 | FL_IF | FL_AC);
	fresh(CODE32);
	memory[0x8001] = 0x30;
	cpu.rflags = FL_1 | FL_RF | FL_VIF;
	assert_int_equal(RUN("\x9d"), XR_OK); /* CPL 0: IOPL changes, RF goes, VIF stays */
	assert_int_equal(cpu.rflags, FL_1 | FL_IOPL | FL_VIF);
	fresh(V86);
	assert_fault(RUN("\x9c"), EX_GP);
	assert_fault(RUN("\x9d"), EX_GP);
	assert_fault(RUN("\xfa"), EX_GP);
	cpu.cr4 = CR4_VME;
	cpu.rflags = FL_1 | FL_VM | FL_IF | FL_VIF;
	assert_int_equal(RUN("\x9c"), XR_OK); /* IOPL reads as 3, IF as VIF */
	assert_int_equal(word_at(0x7ffe), FL_1 | FL_IOPL | FL_IF);
	assert_fault(RUN("\x66\x9c"), EX_GP);
	assert_int_equal(RUN("\xfa"), XR_OK);
	assert_int_equal(cpu.rflags, FL_1 | FL_VM | FL_IF);
	cpu.rflags |= FL_VIP;
	assert_fault(RUN("\xfb"), EX_GP);
	assert_fault(RUN("\x9d"), EX_GP); /* would set VIF with VIP pending */
	assert_int_equal(cpu.r[REG_RSP], 0x7ffe);
	fresh(CODE32);
	assert_int_equal(RUN("\xfb"), XR_OK);
	assert_int_equal(cpu.shadow, SHADOW_STI);
	cpu.shadow = 0;
	assert_int_equal(RUN("\xfb"), XR_OK); /* IF was 1: no shadow */
	assert_int_equal(cpu.shadow, 0);
	cpu.cpl = 3;
	assert_fault(RUN("\xfa"), EX_GP);
	cpu.cr4 = CR4_PVI;
	assert_int_equal(RUN("\xfb"), XR_OK);
	assert_true(cpu.rflags & FL_VIF);
}

static void software_interrupts(void **state)
{
	(void)state;
	fresh(CODE32);
	assert_int_equal(RUN("\xcd\x80"), XR_FAULT);
	assert_int_equal(cpu.fault.type, EV_SW);
	assert_int_equal(cpu.fault.vector, 0x80);
	assert_int_equal(cpu.fault.insn_len, 2);
	assert_int_equal(RUN("\xcc"), XR_FAULT);
	assert_int_equal(cpu.fault.type, EV_SWEX);
	assert_int_equal(RUN("\xce"), XR_OK);
	assert_int_equal(cpu.r[REG_RIP], 0x1001);
	fresh(V86); /* IOPL and the redirection bitmap are looked at behind it */
	assert_int_equal(RUN("\xcd\x21"), XR_FAULT);
	assert_int_equal(cpu.fault.type, EV_SW);
}

static void ports(void **state)
{
	(void)state;
	fresh(CODE32);
	fx.port_value = 0x12345678;
	cpu.r[REG_RAX] = ~0ull;
	cpu.r[REG_RDX] = 0xabc03f8;
	assert_int_equal(RUN("\xec"), XR_OK);
	assert_int_equal(fx.port, 0x3f8);
	assert_int_equal(cpu.r[REG_RAX], 0xffffffffffffff78);
	assert_int_equal(RUN("\xe5\x70"), XR_OK);
	assert_int_equal(fx.port, 0x70);
	assert_int_equal(cpu.r[REG_RAX], 0x12345678);
	cpu.cpl = 3;
	memory[0x20000 + 102] = 0x68;
	memory[0x20068 + 0x3f8 / 8] = 0x02; /* 3F9h is denied */
	assert_int_equal(RUN("\xec"), XR_OK);
	assert_fault(RUN("\xed"), EX_GP);
	cpu.r[REG_RDX] = 0xffff; /* the second byte of the map lies beyond the limit */
	assert_fault(RUN("\xec"), EX_GP);
	fresh(CODE32);
	cpu.cr4 = CR4_DE;
	cpu.dr7 = 1 | 2 << 16 | 1 << 18; /* DR0: I/O, two bytes */
	cpu.dr[0] = 0x60;
	assert_int_equal(RUN("\xe4\x61"), XR_OK);
	assert_int_equal(cpu.pending_db, 1);
	assert_int_equal(fx.raised, PEND_DB);
	fresh(CODE32);
	fx.port_value = 0x5a;
	cpu.r[REG_RCX] = 3;
	cpu.r[REG_RDI] = 0x5000;
	assert_int_equal(RUN("\xf3\x6c"), XR_OK); /* each access ends its chunk */
	while (cpu.r[REG_RIP] == 0x1000)
		assert_int_equal(RUN("\xf3\x6c"), XR_OK);
	assert_int_equal(fx.accesses, 3);
	assert_int_equal(memory[0x5002], 0x5a);
	assert_int_equal(memory[0x5003], 0);
}

static void repetitions(void **state)
{
	(void)state;
	for (unsigned mapped = 0; mapped < 2; mapped++) {
		unsigned chunks = 0;

		fresh(CODE64);
		if (mapped)
			map_pages();
		cpu.r[REG_RCX] = 5000;
		cpu.r[REG_RDI] = 0x10001;
		cpu.r[REG_RSI] = 0x10000; /* overlap: the first byte repeats */
		memory[0x10000] = 0x42;
		virtual_clock.next = 700;
		do {
			assert_int_equal(RUN("\xf3\xa4"), XR_OK);
			virtual_clock.now++; /* the run loop adds the chunk's own instruction */
			cpu.insns++;
			if (chunks++ == 0) {
				assert_int_equal(virtual_clock.now, 700); /* not one iteration past the timer */
				virtual_clock.next = UINT64_MAX;
			}
		} while (cpu.r[REG_RIP] == 0x1000);
		assert_int_equal(chunks, 6);
		assert_int_equal(cpu.insns, 1);
		assert_int_equal(virtual_clock.now, 5000);
		assert_int_equal(cpu.r[REG_RCX], 0);
		assert_int_equal(cpu.r[REG_RDI], 0x10001 + 5000);
		assert_int_equal(memory[0x10000 + 5000], 0x42);
		assert_int_equal(memory[0x10000 + 5001], 0);
	}
}

static void repetitions_cut_short(void **state)
{
	(void)state;
	fresh(CODE64);
	map_pages();
	cpu.r[REG_RAX] = 0x1122;
	cpu.r[REG_RCX] = 100;
	cpu.r[REG_RDI] = sizeof(memory) - 20;
	assert_fault(RUN("\xf3\x66\xab"), EX_PF); /* the ten that fit are stored */
	assert_int_equal(cpu.r[REG_RCX], 90);
	assert_int_equal(cpu.r[REG_RDI], sizeof(memory));
	assert_int_equal(word_at(sizeof(memory) - 2), 0x1122);
	fresh(CODE16);
	cpu.r[REG_RCX] = 4;
	cpu.r[REG_RDI] = 0xfffe; /* DI wraps at the address size */
	cpu.r[REG_RAX] = 0x99;
	assert_int_equal(RUN("\xf3\xaa"), XR_OK);
	assert_int_equal(cpu.r[REG_RDI], 2);
	assert_int_equal(memory[0xffff], 0x99);
	assert_int_equal(memory[1], 0x99);
	fresh(CODE64);
	cpu.careful = true;
	cpu.r[REG_RCX] = 3;
	cpu.r[REG_RDI] = 0x6000;
	assert_int_equal(RUN("\xf3\xaa"), XR_OK);
	assert_int_equal(cpu.r[REG_RCX], 2);
	assert_int_equal(cpu.r[REG_RIP], 0x1000);
}

static void decimal(void **state)
{
	(void)state;
	fresh(CODE32);
	cpu.r[REG_RAX] = 0x79;
	cc_set(&cpu, CC_ADD, 1, 0xae, 0x79, 0x35);
	cpu.r[REG_RAX] = 0xae;
	assert_int_equal(RUN("\x27"), XR_OK); /* DAA, the manual's example: 79h + 35h */
	assert_int_equal(cpu.r[REG_RAX], 0x14);
	assert_int_equal(flags_get(&cpu) & (FL_CF | FL_AF | FL_PF | FL_ZF | FL_SF), FL_CF | FL_AF | FL_PF);
	cc_set(&cpu, CC_SUB, 1, 0xee, 0x35, 0x47);
	cpu.r[REG_RAX] = 0xee;
	assert_int_equal(RUN("\x2f"), XR_OK); /* DAS, likewise: 35h - 47h */
	assert_int_equal(cpu.r[REG_RAX], 0x88);
	assert_int_equal(flags_get(&cpu) & (FL_CF | FL_AF | FL_PF | FL_ZF | FL_SF), FL_CF | FL_AF | FL_PF | FL_SF);
	cpu.r[REG_RAX] = 0x004b;
	assert_int_equal(RUN("\xd4\x0a"), XR_OK);
	assert_int_equal(cpu.r[REG_RAX], 0x0705);
	assert_int_equal(RUN("\xd5\x0a"), XR_OK);
	assert_int_equal(cpu.r[REG_RAX], 0x004b);
	assert_fault(RUN("\xd4\x00"), EX_DE);
	flags_set(&cpu, FL_1);
	cpu.r[REG_RAX] = 0x010b;
	assert_int_equal(RUN("\x37"), XR_OK);
	assert_int_equal(cpu.r[REG_RAX], 0x0201);
	assert_int_equal(RUN("\x3f"), XR_OK); /* AF is set */
	assert_int_equal(cpu.r[REG_RAX], 0x000b);
}

static int set_up(void **state)
{
	static const struct row_set *const sets[] = {&exec_alu_rows,	&exec_shift_rows, &exec_muldiv_rows, &exec_move_rows,
						     &exec_string_rows, &exec_stack_rows, &exec_bit_rows,    &exec_branch_rows,
						     &exec_io_rows,	NULL};
	struct feature_set f;

	(void)state;
	memset(&f, 0xff, sizeof(f));
	model.insns = sets;
	return decode_index_new(&cpu.decode, &model, &f, &fixture_dispatch) == ST_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jumps_and_conditions), cmocka_unit_test(loops),	       cmocka_unit_test(calls),
		cmocka_unit_test(stacks),		cmocka_unit_test(flags_by_privilege), cmocka_unit_test(software_interrupts),
		cmocka_unit_test(ports),		cmocka_unit_test(repetitions),	       cmocka_unit_test(decimal),
		cmocka_unit_test(stack_operands),	cmocka_unit_test(repetitions_cut_short),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
