/* Raising: faults as values, the wish to leave the guest, and what becomes pending. */
#include "cpu/state/events.h"

enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error)
{
	c->fault = (struct event){.type = EV_HW, .vector = (u8)vector, .has_error = arch_exceptions[vector].has_error};
	c->fault.error = c->fault.has_error ? error : 0;
	return XR_FAULT;
}

enum xr fault_pf(struct cpu *c, la_t la, u32 error)
{
	cpu_fault(c, EX_PF, error);
	c->fault.payload = la;
	return XR_FAULT;
}

enum xr fault_db(struct cpu *c, u64 dr6_bits)
{
	cpu_fault(c, EX_DB, 0);
	c->fault.payload = dr6_bits;
	return XR_FAULT;
}

enum xr raise_soft(struct cpu *c, const struct insn *i, enum event_type type, u8 vector)
{
	c->fault = (struct event){.type = (u8)type, .vector = vector, .insn_len = i->len};
	return XR_FAULT;
}

enum xr cpu_exit(struct cpu *c, const struct insn *i, enum icpt id, u64 q0, u64 q1)
{
	c->exit = (struct exit_request){.id = (u16)id, .q = {q0, q1}, .insn = i};
	return XR_EXIT;
}

void cpu_recheck(struct cpu *c)
{
	c->attention = 1;
	c->kick = 1;
}

void cpu_raise(struct cpu *c, enum pend p)
{
	c->pend |= p;
	cpu_recheck(c);
}
