/*
 * What the tests of system-management mode share: a bare processor in long mode with a handler in plain memory, a log, and
 * one port at which an access raises an SMI.
 */
#ifndef SMM_FIXTURE_H
#define SMM_FIXTURE_H

#include "report.h"
#include "world_fixture.h"

#include "cpu/apic/apic.h"
#include "cpu/control/smm_map.h"

enum { SMBASE = 0x30000, HANDLER = SMBASE + 0x8000, SMI_PORT = 0x80, SMM_IDT = 0x60000, SMM_STUBS = 0x70000, SMM_LOG = 0x98000 };

/* Which map is whose: every model, and both with the firmware's. */
static const struct {
	const char *model;
	bool amd64;
	u32 revision;
} maps[] = {
        {"amd", true, 0x30064},
        {"pacifica", true, 0x30064},
        {"plain", true, 0x30064},
        {"intel", false, 0x30101},
        {"intel,smm-map=amd64", true, 0x20064},
        {"amd,smm-map=amd64", true, 0x20064},
};

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	struct pc *p = dev;

	(void)offset, (void)size;
	cpu_raise(p->c, PEND_SMI);
	return 0x5a5a5a5a;
}

static void port_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pc *p = dev;

	(void)offset, (void)size, (void)value;
	cpu_raise(p->c, PEND_SMI);
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write};

static inline struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);
	struct cpu *c = p->c;
	struct bus_range *r = calloc(1, sizeof(*r));

	*r = (struct bus_range){.ops = &port_ops, .dev = p, .name = "SMI", .base = SMI_PORT, .size = 4, .port = true};
	bus_map(&p->bus, r);
	p->own = r;
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	bus_write_u64(&p->bus, 0x2018, 0x7007);
	bus_write_u64(&p->bus, 0x7000 + 8 * 0x1f7, 0xfee000f7);
	for (u64 n = 0; n < 256; n++) { /* PUSH RAX; MOV AL, n; STOSB; POP RAX; IRETQ */
		u64 at = SMM_STUBS + 16 * n;

		CODE(p, at, 0x50, 0xb0, (u8)n, 0xaa, 0x58, 0x48, 0xcf);
		bus_write_u64(&p->bus, SMM_IDT + 16 * n, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
		bus_write_u64(&p->bus, SMM_IDT + 16 * n + 8, 0);
	}
	bus_write_u64(&p->bus, 0x58008, 0x00af9b000000ffff);
	bus_write_u64(&p->bus, 0x58010, 0x00cf93000000ffff);
	c->gdtr.base = 0x58000;
	c->gdtr.limit = 23;
	c->idtr.base = SMM_IDT;
	c->idtr.limit = 0xfff;
	c->apic.svr = 0x1ff;
	c->r[REG_RDI] = SMM_LOG;
	CODE(p, HANDLER, 0x90, 0x0f, 0xaa); /* NOP; RSM */
	return p;
}

static inline void machine_free(struct pc *p)
{
	free(p->own);
	pc_free(p);
}

static inline void steps(struct pc *p, unsigned n)
{
	while (n--)
		cpu_run(p->c, p->clock.now + 1);
}

/* Into the handler, behind its NOP. */
static inline void smi(struct pc *p)
{
	cpu_raise(p->c, PEND_SMI);
	steps(p, 1);
	assert_true(p->c->smm);
}

static inline u64 saved(struct pc *p, u32 at, unsigned width)
{
	u64 v = 0;

	bus_read(&p->bus, p->c->smbase + at, &v, width);
	return v;
}

static inline void patch(struct pc *p, u32 at, unsigned width, u64 v)
{
	bus_write(&p->bus, p->c->smbase + at, &v, width);
}

#endif
