/* Scalar memory operands by a size known at run time, for handlers that are not worth specialising. */
#include "cpu/exec/bind.h"

/* Zero-extends into *out. */
#define READ_CASE(N, CALL)                                                                                             \
	{                                                                                                              \
		u##N v;                                                                                                \
		TRY(CALL(c, la, access, &v));                                                                          \
		*out = v;                                                                                              \
		return XR_OK;                                                                                          \
	}

enum xr mem_read(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: READ_CASE(8, mem_read8)
	case 2: READ_CASE(16, mem_read16)
	case 4: READ_CASE(32, mem_read32)
	default: return mem_read64(c, la, access, out);
	}
}

enum xr mem_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: READ_CASE(8, mem_rmw8)
	case 2: READ_CASE(16, mem_rmw16)
	case 4: READ_CASE(32, mem_rmw32)
	default: return mem_rmw64(c, la, access, out);
	}
}

enum xr mem_write(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v)
{
	switch (size) {
	case 1: return mem_write8(c, la, access, (u8)v);
	case 2: return mem_write16(c, la, access, (u16)v);
	case 4: return mem_write32(c, la, access, (u32)v);
	default: return mem_write64(c, la, access, v);
	}
}

enum xr op_read(struct cpu *c, const struct insn *i, unsigned size, u64 *out)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_READ, &la));
	return mem_read(c, la, size, stack_acc(i), out);
}

enum xr op_write(struct cpu *c, const struct insn *i, unsigned size, u64 v)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_WRITE, &la));
	return mem_write(c, la, size, stack_acc(i), v);
}
