/*
 * What the integer handlers call besides each other, for tests that link nothing else of the processor: memory is an array
 * (or, with a base of 0, the computer's own), segments have a base and a limit, ports remember what happened to them.
 */
#ifndef TESTS_INTEGER_FIXTURE_H
#define TESTS_INTEGER_FIXTURE_H

#include "cpu/exec/exec.h"

static struct {
	uintptr_t base; /* of linear address 0 */
	u64 size;       /* linear addresses beyond it fault; 0: all are good */
	u16 port;
	unsigned port_size, accesses;
	u64 port_value;
	u32 raised, flags_changed;
} fx;

enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error)
{
	c->fault = (struct event){.type = EV_HW, .vector = (u8)vector, .error = error};
	return XR_FAULT;
}

static enum xr fixture_check(struct cpu *c, la_t la, u32 size)
{
	if (fx.size && (la >= fx.size || la + size > fx.size)) {
		cpu_fault(c, EX_PF, 0);
		c->fault.payload = la;
		return XR_FAULT;
	}
	return XR_OK;
}

enum xr mmu_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out)
{
	(void)access;
	TRY(fixture_check(c, la, size));
	memcpy(out, (const void *)(fx.base + la), size);
	return XR_OK;
}

enum xr mmu_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in)
{
	(void)access;
	TRY(fixture_check(c, la, size));
	memcpy((void *)(fx.base + la), in, size);
	return XR_OK;
}

enum xr mem_span(struct cpu *c, la_t la, u32 len, unsigned access, struct span *s)
{
	TRY(fixture_check(c, la, len));
	*s = (struct span){.la = la, .len = len, .access = (u8)access};
	return XR_OK;
}

u64 mmu_watch_locks(struct cpu *c)
{
	return c->ctx;
}

bool mmu_unwatch_locks(struct cpu *c, u64 ctx)
{
	(void)c;
	(void)ctx;
	return false;
}

enum xr seg_address(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la)
{
	(void)access;
	if (ea + size - 1 > c->seg[seg].limit)
		return cpu_fault(c, seg == SEG_SS ? EX_SS : EX_GP, 0);
	*la = (u32)(c->seg[seg].base + ea);
	return XR_OK;
}

enum xr insn_leave(struct cpu *c, const struct insn *i, enum xr r)
{
	(void)c;
	(void)i;
	return r;
}

enum xr insn_end(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}

enum xr insn_chain_call(struct cpu *c, const struct insn *i)
{
	return i->fn(c, i);
}

enum xr insn_chain_gated(struct cpu *c, const struct insn *i)
{
	return i->fn(c, i);
}

static const struct dispatch fixture_dispatch = {insn_chain_call, insn_chain_gated, insn_locked_fast, insn_end};

enum xr raise_soft(struct cpu *c, const struct insn *i, enum event_type type, u8 vector)
{
	c->fault = (struct event){.type = (u8)type, .vector = vector, .insn_len = i->len};
	return XR_FAULT;
}

void cpu_raise(struct cpu *c, enum pend p)
{
	(void)c;
	fx.raised |= p;
}

void cpu_flags_changed(struct cpu *c, u32 old)
{
	fx.flags_changed |= old ^ c->rflags;
}

void cpu_sync_time(struct cpu *c)
{
	(void)c;
}

void seg_set_real(struct cpu *c, unsigned seg, u16 sel)
{
	c->seg[seg].sel = sel;
	c->seg[seg].base = sel * 16u;
}

u64 bus_port_read(struct bus *b, u16 port, unsigned size)
{
	(void)b;
	fx.port = port;
	fx.port_size = size;
	fx.accesses++;
	return fx.port_value;
}

void bus_port_write(struct bus *b, u16 port, unsigned size, u64 value)
{
	(void)b;
	fx.port = port;
	fx.port_size = size;
	fx.port_value = value;
	fx.accesses++;
}

#endif
