/* Operands of the system instructions. Private to exec/ (cregs.c, tables.c, system.c). */
#ifndef CPU_EXEC_SYSOP_H
#define CPU_EXEC_SYSOP_H

#include "cpu/exec/exec.h"

/* Of registers whose size the mode alone decides. */
static inline unsigned native_size(const struct cpu *c)
{
	return mode64(c) ? 8 : 4;
}

/* A 16-bit value in a register or in memory. */
static inline enum xr read_rm16(struct cpu *c, const struct insn *i, u8 slot, u16 *v)
{
	if (i->flags & INSN_MEM)
		return op_read16(c, i, v);
	*v = reg16(c, slot);
	return XR_OK;
}

/* The same written: memory takes 16 bits, a register the operand size, zero-extended. */
static inline enum xr store_word(struct cpu *c, const struct insn *i, u64 v)
{
	if (i->flags & INSN_MEM)
		return op_write16(c, i, (u16)v);
	reg_set(c, i->r0, i->opsz, v);
	return XR_OK;
}

/* "User-mode instruction prevention" */
static inline enum xr umip(struct cpu *c)
{
	return (c->cr4 & CR4_UMIP) && c->cpl != 0 ? fault_gp(c, 0) : XR_OK;
}

#endif
