/* Memory operands of x87 instructions: 2, 4, 8 or 10 bytes. */
#include "cpu/exec/fpu.h"

enum xr x87_read(struct cpu *c, const struct insn *i, unsigned size, u8 buf[16])
{
	u16 v16;
	u32 v32;
	u64 v64;
	la_t la;

	switch (size) {
	case 2:
		TRY(op_read16(c, i, &v16));
		memcpy(buf, &v16, 2);
		return XR_OK;
	case 4:
		TRY(op_read32(c, i, &v32));
		memcpy(buf, &v32, 4);
		return XR_OK;
	case 8:
		TRY(op_read64(c, i, &v64));
		memcpy(buf, &v64, 8);
		return XR_OK;
	default:
		TRY(insn_la(c, i, F80_BYTES, ACC_READ, &la));
		TRY(mem_read64(c, la, stack_access(i), &v64));
		la = mode64(c) ? la + 8 : (u32)(la + 8);
		TRY(mem_read16(c, la, stack_access(i), &v16));
		memcpy(buf, &v64, 8);
		memcpy(buf + 8, &v16, 2);
		return XR_OK;
	}
}

enum xr x87_prove(struct cpu *c, const struct insn *i, unsigned size, struct span *s)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_WRITE, &la));
	TRY(alignment_check(c, la, size, size > 8 ? 8 : size));
	return mem_span(c, la, size, ACC_WRITE | stack_access(i), s);
}

enum xr x87_write(struct cpu *c, const struct insn *i, unsigned size, const u8 buf[16])
{
	struct span s;
	u64 v;

	memcpy(&v, buf, 8);
	switch (size) {
	case 2:
		return op_write16(c, i, (u16)v);
	case 4:
		return op_write32(c, i, (u32)v);
	case 8:
		return op_write64(c, i, v);
	default:
		TRY(x87_prove(c, i, F80_BYTES, &s));
		span_write(c, &s, 0, buf, F80_BYTES);
		return XR_OK;
	}
}

enum xr x87_write_halves(struct cpu *c, const struct insn *i, const u8 buf[16])
{
	u64 low;
	u16 high;
	la_t la;

	memcpy(&low, buf, 8);
	memcpy(&high, buf + 8, 2);
	TRY(insn_la(c, i, F80_BYTES, ACC_WRITE, &la));
	TRY(mem_write64(c, la, stack_access(i), low));
	return mem_write16(c, mode64(c) ? la + 8 : (u32)(la + 8), stack_access(i), high);
}
