/* Memory operands by a size known at run time, for handlers that are not worth specialising. */
#include "cpu/exec/bind.h"

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
