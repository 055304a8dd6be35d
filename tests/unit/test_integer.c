/*
 * The integer handlers against the computer's own processor: random forms, registers, immediates, flags and memory; each
 * case runs natively and twice here, alone and chained. An argument sets the number of cases, a second one the seed.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "integer_fixture.h"
#include "report.h"
#include "rnd.h"

/* ---- native execution ---- */

#define DATA_SIZE 8192
struct shared { /* in the low 2 GiB, so that code can address it absolutely */
	u64 r[16];
	u64 flags;
	u64 host_rsp;
	u64 stack[64];
	u8 code[512];
	u8 data[DATA_SIZE] __attribute__((aligned(4096)));
};
static struct shared *sh;
static sigjmp_buf on_fault;
static volatile sig_atomic_t in_native;

static void fault_handler(int sig)
{
	if (!in_native) {
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	siglongjmp(on_fault, sig);
}

static u8 *emit(u8 *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/* mov r64, [abs] or mov [abs], r64 */
static u8 *emit_move(u8 *p, bool store, unsigned reg, const void *at)
{
	const u8 head[4] = {(u8)(0x48 | (reg >> 3) << 2), store ? 0x89 : 0x8b, (u8)((reg & 7) << 3 | 4), 0x25};
	u32 addr = (u32)(uintptr_t)at;

	p = emit(p, head, 4);
	return emit(p, &addr, 4);
}

static void build_thunk(const u8 *insn, size_t len)
{
	static const u8 saves[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57};
	static const u8 restores[] = {0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};
	u64 *flags_slot = &sh->flags, *stack_top = &sh->stack[60];
	u8 *p = sh->code;

	p = emit(p, saves, sizeof(saves));
	p = emit_move(p, true, REG_RSP, &sh->host_rsp);
	p = emit(p, (const u8[]){0x48, 0xc7, 0xc4}, 3); /* mov rsp, imm32 */
	p = emit(p, &(u32){(u32)(uintptr_t)flags_slot}, 4);
	p = emit(p, (const u8[]){0x9d}, 1);
	for (unsigned r = 0; r < 16; r++)
		p = emit_move(p, false, r, &sh->r[r]);
	p = emit(p, insn, len);
	for (unsigned r = 0; r < 16; r++)
		p = emit_move(p, true, r, &sh->r[r]);
	p = emit(p, (const u8[]){0x48, 0xc7, 0xc4}, 3);
	p = emit(p, &(u32){(u32)(uintptr_t)stack_top}, 4);
	p = emit(p, (const u8[]){0x9c, 0x8f, 0x04, 0x25}, 4); /* pushfq; pop [abs] */
	p = emit(p, &(u32){(u32)(uintptr_t)flags_slot}, 4);
	p = emit_move(p, false, REG_RSP, &sh->host_rsp);
	emit(p, restores, sizeof(restores));
}

/* 0, or the signal. */
static int run_native(const u8 *insn, size_t len)
{
	int sig;

	build_thunk(insn, len);
	sig = sigsetjmp(on_fault, 1);
	if (sig == 0) {
		void (*f)(void);
		void *code = sh->code;

		memcpy(&f, &code, sizeof(f));
		in_native = 1;
		f();
	}
	in_native = 0;
	return sig;
}

/* ---- forms ---- */

enum { S8 = 1, S16 = 2, S32 = 4, S64 = 8, SW = 14, SALL = 15 };
enum { PLUS_R = 1, REG_ONLY = 2, MEM_ONLY = 4, NO_MODRM = 8, VEX = 16, STACK = 32, STRING = 64, BITSTRING = 128 };
struct tmpl {
	u8 map;   /* 0 one byte, 1: 0F, 2: 0F38, 3: 0F3A */
	u8 op;
	s8 digit; /* modrm.reg, -1: a register */
	u8 imm;   /* 0, 1, 2 bytes, 4: operand size, 8: full size */
	u8 sizes; /* S8 means the form is 8-bit by opcode */
	u8 prefix;
	u8 flags;
};
#define ALU(op) {0, op, -1, 0, S8, 0, 0}, {0, op + 1, -1, 0, SW, 0, 0}, {0, op + 2, -1, 0, S8, 0, 0}, {0, op + 3, -1, 0, SW, 0, 0}, \
	{0, op + 4, -1, 1, S8, 0, NO_MODRM}, {0, op + 5, -1, 4, SW, 0, NO_MODRM}
#define GRP1(d) {0, 0x80, d, 1, S8, 0, 0}, {0, 0x81, d, 4, SW, 0, 0}, {0, 0x83, d, 1, SW, 0, 0}
#define SHIFTS(d) {0, 0xc0, d, 1, S8, 0, 0}, {0, 0xc1, d, 1, SW, 0, 0}, {0, 0xd0, d, 0, S8, 0, 0}, {0, 0xd1, d, 0, SW, 0, 0}, \
	{0, 0xd2, d, 0, S8, 0, 0}, {0, 0xd3, d, 0, SW, 0, 0}
#define UN(d) {0, 0xf6, d, 0, S8, 0, 0}, {0, 0xf7, d, 0, SW, 0, 0}
#define CC4(n, F) F(n), F(n + 1), F(n + 2), F(n + 3)
#define CC16(F) CC4(0, F), CC4(4, F), CC4(8, F), CC4(12, F)
#define CMOV(n) {1, 0x40 + (n), -1, 0, SW, 0, 0}
#define SETCC(n) {1, 0x90 + (n), -1, 0, S8, 0, 0}
#define STR(op, pfx) {0, op, -1, 0, S8, pfx, NO_MODRM | STRING}, {0, op + 1, -1, 0, SW, pfx, NO_MODRM | STRING}
#define STRS(op) STR(op, 0), STR(op, 0xf3), STR(op, 0xf2)
static const struct tmpl tmpls[] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
	GRP1(0), GRP1(1), GRP1(2), GRP1(3), GRP1(4), GRP1(5), GRP1(6), GRP1(7),
	SHIFTS(0), SHIFTS(1), SHIFTS(2), SHIFTS(3), SHIFTS(4), SHIFTS(5), SHIFTS(6), SHIFTS(7),
	{0, 0xf6, 0, 1, S8, 0, 0}, {0, 0xf7, 0, 4, SW, 0, 0}, UN(2), UN(3), UN(4), UN(5), UN(6), UN(7),
	{0, 0xfe, 0, 0, S8, 0, 0}, {0, 0xfe, 1, 0, S8, 0, 0}, {0, 0xff, 0, 0, SW, 0, 0}, {0, 0xff, 1, 0, SW, 0, 0},
	{0, 0x84, -1, 0, S8, 0, 0}, {0, 0x85, -1, 0, SW, 0, 0}, {0, 0xa8, -1, 1, S8, 0, NO_MODRM}, {0, 0xa9, -1, 4, SW, 0, NO_MODRM},
	{0, 0x86, -1, 0, S8, 0, 0}, {0, 0x87, -1, 0, SW, 0, 0}, {0, 0x88, -1, 0, S8, 0, 0}, {0, 0x89, -1, 0, SW, 0, 0},
	{0, 0x8a, -1, 0, S8, 0, 0}, {0, 0x8b, -1, 0, SW, 0, 0}, {0, 0xc6, 0, 1, S8, 0, 0}, {0, 0xc7, 0, 4, SW, 0, 0},
	{0, 0xb0, -1, 1, S8, 0, PLUS_R}, {0, 0xb8, -1, 8, SW, 0, PLUS_R}, {0, 0x8d, -1, 0, SW, 0, MEM_ONLY}, {0, 0x90, -1, 0, SW, 0, PLUS_R},
	{0, 0x63, -1, 0, SW, 0, 0}, {1, 0xb6, -1, 0, SW, 0, 0}, {1, 0xb7, -1, 0, SW, 0, 0}, {1, 0xbe, -1, 0, SW, 0, 0}, {1, 0xbf, -1, 0, SW, 0, 0},
	{0, 0x98, -1, 0, SW, 0, NO_MODRM}, {0, 0x99, -1, 0, SW, 0, NO_MODRM}, {0, 0x9e, -1, 0, S32, 0, NO_MODRM}, {0, 0x9f, -1, 0, S32, 0, NO_MODRM},
	{0, 0xf5, -1, 0, S32, 0, NO_MODRM}, {0, 0xf8, -1, 0, S32, 0, NO_MODRM}, {0, 0xf9, -1, 0, S32, 0, NO_MODRM},
	{0, 0x69, -1, 4, SW, 0, 0}, {0, 0x6b, -1, 1, SW, 0, 0}, {1, 0xaf, -1, 0, SW, 0, 0},
	{1, 0xa4, -1, 1, SW, 0, 0}, {1, 0xa5, -1, 0, SW, 0, 0}, {1, 0xac, -1, 1, SW, 0, 0}, {1, 0xad, -1, 0, SW, 0, 0},
	{1, 0xa3, -1, 0, SW, 0, BITSTRING}, {1, 0xab, -1, 0, SW, 0, BITSTRING}, {1, 0xb3, -1, 0, SW, 0, BITSTRING}, {1, 0xbb, -1, 0, SW, 0, BITSTRING},
	{1, 0xba, 4, 1, SW, 0, 0}, {1, 0xba, 5, 1, SW, 0, 0}, {1, 0xba, 6, 1, SW, 0, 0}, {1, 0xba, 7, 1, SW, 0, 0},
	{1, 0xbc, -1, 0, SW, 0, 0}, {1, 0xbd, -1, 0, SW, 0, 0}, {1, 0xbc, -1, 0, SW, 0xf3, 0}, {1, 0xbd, -1, 0, SW, 0xf3, 0}, {1, 0xb8, -1, 0, SW, 0xf3, 0},
	{1, 0xb0, -1, 0, S8, 0, 0}, {1, 0xb1, -1, 0, SW, 0, 0}, {1, 0xc0, -1, 0, S8, 0, 0}, {1, 0xc1, -1, 0, SW, 0, 0},
	{1, 0xc7, 1, 0, S32 | S64, 0, MEM_ONLY}, {1, 0xc8, -1, 0, SW, 0, PLUS_R}, {1, 0xc3, -1, 0, S32 | S64, 0, MEM_ONLY},
	{2, 0xf0, -1, 0, SW, 0, MEM_ONLY}, {2, 0xf1, -1, 0, SW, 0, MEM_ONLY},
	{2, 0xf6, -1, 0, S32 | S64, 0x66, 0}, {2, 0xf6, -1, 0, S32 | S64, 0xf3, 0},
	{2, 0xf2, -1, 0, S32 | S64, 0, VEX}, {2, 0xf7, -1, 0, S32 | S64, 0, VEX}, {2, 0xf3, 1, 0, S32 | S64, 0, VEX},
	{2, 0xf3, 2, 0, S32 | S64, 0, VEX}, {2, 0xf3, 3, 0, S32 | S64, 0, VEX}, {2, 0xf5, -1, 0, S32 | S64, 0, VEX},
	{2, 0xf5, -1, 0, S32 | S64, 0xf2, VEX}, {2, 0xf5, -1, 0, S32 | S64, 0xf3, VEX}, {2, 0xf6, -1, 0, S32 | S64, 0xf2, VEX},
	{2, 0xf7, -1, 0, S32 | S64, 0x66, VEX}, {2, 0xf7, -1, 0, S32 | S64, 0xf2, VEX}, {2, 0xf7, -1, 0, S32 | S64, 0xf3, VEX},
	{3, 0xf0, -1, 1, S32 | S64, 0xf2, VEX},
	{0, 0x50, -1, 0, S16 | S32, 0, PLUS_R | STACK}, {0, 0x58, -1, 0, S16 | S32, 0, PLUS_R | STACK}, {0, 0x6a, -1, 1, S16 | S32, 0, NO_MODRM | STACK},
	{0, 0x68, -1, 4, S16 | S32, 0, NO_MODRM | STACK}, {0, 0xff, 6, 0, S16 | S32, 0, STACK}, {0, 0x8f, 0, 0, S16 | S32, 0, STACK},
	{0, 0xc8, -1, 3, S16 | S32, 0, NO_MODRM | STACK}, {0, 0xc9, -1, 0, S16 | S32, 0, NO_MODRM | STACK}, {0, 0x9c, -1, 0, S16 | S32, 0, NO_MODRM | STACK},
	{0, 0xd7, -1, 0, S32, 0, NO_MODRM | STRING},
	STRS(0xa4), STRS(0xa6), STRS(0xaa), STRS(0xac), STRS(0xae), CC16(CMOV), CC16(SETCC),
};

static u64 value(void)
{
	static const u64 special[] = {0, 1, 2, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, ~0ull, 1ull << 63, ~0ull >> 1};
	u64 r = rnd();

	return r & 3 ? rnd() : special[rnd() % ARRAY_LEN(special)];
}

/* RBX is the base of memory operands, RSP never an operand. */
static unsigned some_reg(void)
{
	unsigned r;

	do
		r = rnd() % 16;
	while (r == REG_RSP || r == REG_RBX);
	return r;
}

struct built {
	u8 b[24];
	size_t n;
};

static void put(struct built *o, u64 v, unsigned bytes)
{
	memcpy(o->b + o->n, &v, bytes);
	o->n += bytes;
}

static void put_modrm(struct built *o, unsigned reg, bool mem, unsigned rm)
{
	if (mem) { /* [rbx + disp8], [rbx + rsi * 2 + disp8] */
		bool sib = rnd() & 1;

		put(o, 0x40 | (reg & 7) << 3 | (sib ? 4 : 3), 1);
		if (sib)
			put(o, 0x73, 1);
		put(o, rnd(), 1);
	} else {
		put(o, 0xc0 | (reg & 7) << 3 | (rm & 7), 1);
	}
}

static void put_vex(struct built *o, const struct tmpl *t, bool w, unsigned reg, unsigned vvvv, unsigned rm)
{
	unsigned pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;

	put(o, 0xc4, 1);
	put(o, (reg & 8 ? 0u : 0x80u) | 0x40 | (rm & 8 ? 0u : 0x20u) | t->map, 1);
	put(o, (w ? 0x80u : 0u) | (~vvvv & 15) << 3 | pp, 1);
	put(o, t->op, 1);
}

static void put_immediate(struct built *o, const struct tmpl *t, unsigned size)
{
	unsigned n = t->imm == 4 ? (size == 2 ? 2 : 4) : t->imm == 8 ? size : t->imm == 3 ? 0 : t->imm;

	put(o, value(), n);
	if (t->imm == 3) { /* ENTER */
		put(o, rnd() % 256, 2);
		put(o, rnd() % 5, 1);
	}
}

static unsigned pick_size(const struct tmpl *t)
{
	unsigned s;

	do
		s = rnd() % 4;
	while (!(t->sizes & (1u << s)));
	return 1u << s;
}

static struct built build(const struct tmpl *t)
{
	struct built o = {.n = 0};
	unsigned size = pick_size(t), reg = t->digit >= 0 ? (unsigned)t->digit : some_reg(), rm = some_reg(), rex;
	bool modrm = !(t->flags & (NO_MODRM | PLUS_R)), mem = modrm && !(t->flags & REG_ONLY) && ((t->flags & MEM_ONLY) || (rnd() & 1));

	if (t->flags & VEX) {
		unsigned vvvv = some_reg();

		if (t->map == 3)
			vvvv = 0;
		put_vex(&o, t, size == 8, reg, vvvv, mem ? 0 : rm);
		put_modrm(&o, reg, mem, rm);
		put_immediate(&o, t, size);
		return o;
	}
	if (size == 2)
		put(&o, 0x66, 1);
	if (t->prefix)
		put(&o, t->prefix, 1);
	rex = (size == 8 ? 8u : 0u) | (t->digit < 0 && modrm && reg >= 8 ? 4u : 0u) | (!mem && (modrm || (t->flags & PLUS_R)) && rm >= 8 ? 1u : 0u);
	if (rex || (rnd() & 1))
		put(&o, 0x40 | rex, 1);
	else if (size == 1 && !mem && rm == REG_RBX)
		rm = 0;
	if (t->map)
		put(&o, 0x0f, 1);
	if (t->map == 2)
		put(&o, 0x38, 1);
	put(&o, t->flags & PLUS_R ? (t->op | (rm & 7)) : t->op, 1);
	if (modrm)
		put_modrm(&o, reg, mem, rm);
	put_immediate(&o, t, size);
	return o;
}

/* ---- both sides ---- */

static struct cpu cpu;
static const struct decode_index *decode_index;
static struct clock virtual_clock = {.next = UINT64_MAX};

struct outcome {
	u64 r[16];
	u32 flags;
	bool fault;
	u8 data[DATA_SIZE];
};
static struct outcome start, native, alone, chained;

static void prepare(const struct tmpl *t)
{
	for (unsigned k = 0; k < 16; k++)
		start.r[k] = value();
	start.r[REG_RBX] = (uintptr_t)(sh->data + 4096 + (rnd() & 15 ? rnd() % 64 : 0u));
	start.r[REG_RSP] = (uintptr_t)(sh->data + 2048);
	start.r[REG_RSI] = rnd() % 256;
	if (t->flags & STACK)
		start.r[REG_RBP] = (uintptr_t)(sh->data + 1024 + rnd() % 512);
	if (t->flags & STRING) {
		start.r[REG_RSI] = (uintptr_t)(sh->data + 4096 - 64 + rnd() % 128);
		start.r[REG_RDI] = rnd() & 1 ? start.r[REG_RSI] + rnd() % 16 - 8 : (uintptr_t)(sh->data + 4096 + rnd() % 128);
		start.r[REG_RCX] = rnd() % 70;
	}
	if (t->flags & BITSTRING)
		for (unsigned k = 0; k < 16; k++)
			if (k != REG_RBX && k != REG_RSP && k != REG_RSI)
				start.r[k] = (u64)((s64)(rnd() % 16384) - 8192);
	start.flags = (u32)(rnd() & (FL_ARITH | ((t->flags & STRING) && t->op != 0xd7 ? FL_DF : 0))) | FL_1 | FL_IF;
	for (unsigned k = 0; k < DATA_SIZE; k += 8) {
		u64 v = t->flags & STRING ? (rnd() & 1 ? 0x0101010101010101ull * (rnd() & 1) : rnd()) : value();

		memcpy(start.data + k, &v, sizeof(v));
	}
}

static void enter_native(void)
{
	memcpy(sh->r, start.r, sizeof(sh->r));
	sh->flags = start.flags;
	memcpy(sh->data, start.data, DATA_SIZE);
}

static void enter_cpu(void)
{
	memcpy(cpu.r, start.r, sizeof(start.r));
	cpu.r[REG_RIP] = 0x1000;
	flags_set(&cpu, start.flags);
	cpu.kick = 0;
	memcpy(sh->data, start.data, DATA_SIZE);
}

static void leave_cpu(struct outcome *o, enum xr r)
{
	memcpy(o->r, cpu.r, sizeof(o->r));
	o->flags = flags_get(&cpu);
	o->fault = r != XR_OK;
	memcpy(o->data, sh->data, DATA_SIZE);
}

/* L1 holds the data pages in half of the cases, so that flat handlers both hit and miss. */
static void fill_l1(bool on)
{
	static u8 no_flags;

	memset(cpu.l1, 0, sizeof(cpu.l1));
	cpu.ctx = 1;
	for (unsigned p = 0; on && p < DATA_SIZE / 4096; p++) {
		la_t la = (uintptr_t)sh->data + p * 4096u;

		cpu.l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)] = (struct l1_entry){la | 1, la | 1, 0, &no_flags};
	}
}

static void run_alone(const struct insn *i)
{
	enum xr r;

	enter_cpu();
	do
		r = i->fn(&cpu, i);
	while (r == XR_OK && (i->row->flags & ROW_BRANCH) && cpu.r[REG_RIP] == 0x1000);
	leave_cpu(&alone, r);
}

static void run_chained(const struct insn *i)
{
	enum xr r;

	enter_cpu();
	do
		r = i->fast(&cpu, i);
	while (r == XR_OK && (i->row->flags & ROW_BRANCH) && cpu.r[REG_RIP] == 0x1000);
	leave_cpu(&chained, r);
}

static bool same(const struct outcome *a, u32 ignored)
{
	return a->fault == native.fault &&
	       (a->fault || (!memcmp(a->r, native.r, sizeof(a->r)) && !((a->flags ^ native.flags) & FL_ARITH & ~ignored) &&
			     !memcmp(a->data, native.data, DATA_SIZE)));
}

static void report(const struct built *b, const struct outcome *a, const char *how)
{
	char text[128];

	disassemble(&cpu, 0x1000, b->b, b->n, text, sizeof(text));
	print_error("%s (%s): fault %d/%d flags %x -> %x, native %x\n", text, how, a->fault, native.fault, start.flags, a->flags, native.flags);
	for (unsigned k = 0; k < 16; k++)
		if (a->r[k] != native.r[k])
			print_error("  r%u: %llx -> %llx, native %llx\n", k, (unsigned long long)start.r[k], (unsigned long long)a->r[k],
				    (unsigned long long)native.r[k]);
	for (unsigned k = 0; k < DATA_SIZE; k++)
		if (a->data[k] != native.data[k]) {
			print_error("  memory +%x: %x -> %x, native %x\n", k, start.data[k], a->data[k], native.data[k]);
			break;
		}
	print_error("  rcx %llx rax %llx rdx %llx\n", (unsigned long long)start.r[1], (unsigned long long)start.r[0], (unsigned long long)start.r[2]);
}

/* Results the manuals leave undefined, beyond flags. */
static bool undefined_result(const struct insn *i)
{
	unsigned n = (i->aux ? (unsigned)start.r[REG_RCX] : (unsigned)i->imm) & 31;

	switch (i->row->mnemonic) {
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD: return i->opsz == 2 && n > 16;
	case ZYDIS_MNEMONIC_BSWAP: return i->opsz == 2;
	default: return false;
	}
}

static unsigned long case_count = 150000;

static bool one_case(const struct tmpl *t)
{
	struct built b = build(t);
	struct insn block[2] = {{.idx = 0}, {.idx = 1, .fast = insn_end, .fn = insn_end}};

	prepare(t);
	if (decode_bytes(&cpu, MODE_64 | MODE_PE | MODE_LMA, b.b, b.n, &block[0]) != (int)b.n || !block[0].row->mnemonic) {
		print_error("does not decode: %02x %02x %02x %02x %02x\n", b.b[0], b.b[1], b.b[2], b.b[3], b.b[4]);
		return false;
	}
	enter_native();

	int sig = run_native(b.b, b.n);

	if (sig == SIGILL) /* this computer lacks it */
		return true;
	native.fault = sig != 0;
	memcpy(native.r, sh->r, sizeof(native.r));
	native.flags = (u32)sh->flags;
	memcpy(native.data, sh->data, DATA_SIZE);
	fill_l1(rnd() & 1);
	run_alone(&block[0]);
	run_chained(&block[0]);
	if (!same(&alone, block[0].row->undef_flags) && !undefined_result(&block[0])) {
		report(&b, &alone, "alone");
		return false;
	}
	if (!same(&chained, block[0].row->undef_flags) && !undefined_result(&block[0])) {
		report(&b, &chained, "chained");
		return false;
	}
	return true;
}

/* On a stack of their own: a faulting case has its stack pointer inside the data. cmocka catches signals too. */
static void catch_faults(void)
{
	static u8 stack[65536];
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = fault_handler, .sa_flags = SA_ONSTACK};

	sigaltstack(&alt, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
}

static void against_the_computer(void **state)
{
	unsigned bad = 0;

	(void)state;
	catch_faults();
	drawn_begin();
	for (unsigned long k = 0; k < case_count && bad < 20; k++)
		bad += !one_case(&tmpls[rnd() % ARRAY_LEN(tmpls)]);
	drawn_end(case_count);
	assert_int_equal(bad, 0);
}

static int set_up(void **state)
{
	static struct cpu_model model;
	static const struct row_set *const sets[] = {&exec_alu_rows,	&exec_shift_rows, &exec_muldiv_rows, &exec_move_rows,
						     &exec_string_rows, &exec_stack_rows, &exec_bit_rows,    NULL};
	struct feature_set f;

	(void)state;
	memset(&f, 0xff, sizeof(f));
	model.insns = sets;
	cpu.model = &model;
	cpu.feat = f;
	cpu.clock = &virtual_clock;
	cpu.mode = MODE_64 | MODE_PE | MODE_LMA;
	cpu.la_bits = 48;
	cpu.cpl = 3;
	cpu.seg[SEG_CS].limit = ~0u;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (sh == MAP_FAILED || decode_index_new(&decode_index, &model, &f, &fixture_dispatch) != ST_OK)
		return -1;
	cpu.decode = decode_index;
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(against_the_computer)};

	if (argc > 1)
		case_count = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		rnd_state ^= strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15ull;
	return cmocka_run_group_tests(tests, set_up, NULL);
}
