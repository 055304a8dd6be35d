/* The ways into translated code, out of it, and from it to a handler: written once, ahead of all superblocks. */
#include "jit/priv.h"

/* R8 to R11 and R15 are those that compilers use least. The others are where they are in the guest, so that instructions
 * with fixed registers need nothing; the stack pointer is the host's own. */
const u8 jit_host_reg[16] = {
	HRAX, HRCX, HRDX, HRBX, HR8, HRBP, HRSI, HRDI, HOST_NONE, HOST_NONE, HOST_NONE, HOST_NONE, HR12, HR13, HR14, HOST_NONE,
};

static void move_registers(struct emit *e, bool load)
{
	for (unsigned g = 0; g < 16; g++) {
		const struct opnd home = o_mem(FRAME, CPU_AT(r) + 8 * (s32)g), reg = o_reg(jit_host_reg[g]);

		if (jit_host_reg[g] == HOST_NONE)
			continue;
		e_mov(e, 8, load ? reg : home, load ? home : reg);
	}
}

static const u8 saved[] = {HRBX, HRBP, HR12, HR13, HR14, HR15};

static void push_pop(struct emit *e, unsigned opcode, unsigned r)
{
	if (r >= 8)
		e1(e, 0x41);
	e1(e, opcode | (r & 7));
}

/* u32 enter(struct cpu *c, const void *code); six registers and the return address leave the stack 8 bytes off. */
static void enter_stub(struct emit *e)
{
	for (unsigned k = 0; k < ARRAY_LEN(saved); k++)
		push_pop(e, 0x50, saved[k]);
	e_alu_imm(e, SUB, 8, o_reg(HRSP), 8);
	e_lea(e, 8, FRAME, o_mem(HRDI, FRAME_BIAS));
	e_mov(e, 8, o_reg(ADDRESS), o_reg(HRSI));
	move_registers(e, true);
	e_op(e, 4, 0xff, o_digit(4), o_reg(ADDRESS));
}

static void leave_stub(struct jit *j)
{
	struct emit *e = &j->e;

	j->leave = e->p;
	move_registers(e, false);
	e_mov(e, 4, o_reg(HRAX), o_reg(ADDRESS));
	j->leave_saved = e->p;
	e_alu_imm(e, ADD, 8, o_reg(HRSP), 8);
	for (unsigned k = ARRAY_LEN(saved); k-- > 0;)
		push_pop(e, 0x58, saved[k]);
	e1(e, 0xc3);
}

/* R10D: the instruction's number. Registers and flags are the handler's between; then both the image and EFLAGS are right. */
static void call_stub(struct jit *j)
{
	struct emit *e = &j->e;
	u8 *stop;

	j->call = e->p;
	move_registers(e, false);
	e_alu_imm(e, SUB, 8, o_reg(HRSP), 8);
	e_lea(e, 8, HRDI, o_mem(FRAME, -FRAME_BIAS));
	e_mov(e, 4, o_reg(HRSI), o_reg(ADDRESS));
	e_const(e, HRAX, (u64)(uintptr_t)jit_call);
	e_op(e, 4, 0xff, o_digit(2), o_reg(HRAX));
	e_op(e, 4, 0x85, o_reg(HRAX), o_reg(HRAX));
	stop = e_jcc(e, 5);
	e_alu_imm(e, ADD, 8, o_reg(HRSP), 8);
	e_op(e, 4, 0xb7 | OP_0F, o_reg(HRAX), o_mem(FRAME, CPU_AT(native.flags)));
	e_bytes(e, 0x7f04, 2); /* add al, 7fh */
	e1(e, 0x9e);           /* sahf */
	move_registers(e, true);
	e1(e, 0xc3);
	e_patch(stop, e->p);
	e_alu_imm(e, ADD, 8, o_reg(HRSP), 16);
	e_patch(e_jmp(e), j->leave_saved);
}

void jit_stubs(struct jit *j)
{
	struct emit *e = &j->e;

	*e = (struct emit){.p = j->rw, .end = j->rw + j->size};
	j->enter = e->p;
	enter_stub(e);
	leave_stub(j);
	call_stub(j);
	j->miss = e->p; /* no code is known for the address in SCRATCH */
	e_mov(e, 8, o_mem(FRAME, CPU_AT(r) + 8 * REG_RIP), o_reg(SCRATCH));
	e_const(e, ADDRESS, LEFT_INDIRECT);
	e_patch(e_jmp(e), j->leave);
	j->first = e->p;
}

void jit_features(struct jit *j)
{
	__builtin_cpu_init();
	j->bmi1 = __builtin_cpu_supports("bmi");
	j->bmi2 = __builtin_cpu_supports("bmi2");
	j->lzcnt = __builtin_cpu_supports("lzcnt");
	j->popcnt = __builtin_cpu_supports("popcnt");
}
