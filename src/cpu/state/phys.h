/*
 * Physical memory as this processor sees it, in or out of system management mode, with A20M: for everything that does
 * not go through its TLB. Each access says what it is for.
 */
#ifndef CPU_PHYS_H
#define CPU_PHYS_H

#include "cpu/state/state.h"

static inline const struct space *cpu_sees(const struct cpu *c)
{
	return c->seen[c->smm];
}

/* Who the processor is on the bus; by: BY_CPU, BY_WALK, BY_VIRT. */
static inline struct initiator cpu_as(const struct cpu *c, enum by by)
{
	return (struct initiator){.by = (u8)by, .smm = c->smm, .id = (u16)c->index};
}

/* A20M: "bit 20 of every processor access reads as 0", in every mode but system management ("SMI Handler Execution
 * Environment") and unless the vendor is in the way. */
static inline bool cpu_a20_masked(const struct cpu *c)
{
	return unlikely(cpu_sees(c)->a20_masked) && !c->smm && !c->virt->rules.a20_blocked(c);
}

static inline pa_t cpu_phys(const struct cpu *c, pa_t pa)
{
	return unlikely(cpu_a20_masked(c)) ? pa & ~BIT(20) : pa;
}

/* Any length that does not leave its MiB, for A20M. */
static inline void cpu_read(const struct cpu *c, enum by by, pa_t pa, void *buf, u64 len)
{
	space_read(c->bus, cpu_sees(c), cpu_as(c, by), cpu_phys(c, pa), buf, len);
}
static inline void cpu_write(const struct cpu *c, enum by by, pa_t pa, const void *buf, u64 len)
{
	space_write(c->bus, cpu_sees(c), cpu_as(c, by), cpu_phys(c, pa), buf, len);
}
static inline u64 cpu_read_u64(const struct cpu *c, enum by by, pa_t pa)
{
	const struct space_part *p = space_find(cpu_sees(c), pa = cpu_phys(c, pa), USE_READ);
	u64 v;

	if (likely(p && pa - p->base <= p->size - sizeof(v)))
		memcpy(&v, space_host(p, pa), sizeof(v));
	else
		space_read(c->bus, cpu_sees(c), cpu_as(c, by), pa, &v, sizeof(v));
	return v;
}
static inline u32 cpu_read_u32(const struct cpu *c, enum by by, pa_t pa)
{
	u32 v;

	cpu_read(c, by, pa, &v, sizeof(v));
	return v;
}
static inline void cpu_write_u64(const struct cpu *c, enum by by, pa_t pa, u64 v)
{
	cpu_write(c, by, pa, &v, sizeof(v));
}
static inline void cpu_write_u32(const struct cpu *c, enum by by, pa_t pa, u32 v)
{
	cpu_write(c, by, pa, &v, sizeof(v));
}

#endif
