/*
 * What the tests of the world switches share: a bare processor in long mode with 64 MiB, and bytes of host code run until
 * they halt.
 */
#ifndef WORLD_FIXTURE_H
#define WORLD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare.h"

#define HOST_CODE  0x100000ull
#define GUEST_CODE 0x200000ull
#define VMCB_PA    0x10000ull
#define HSAVE_PA   0x30000ull
#define NCR3       0x3000ull

static void host_state(struct cpu *c)
{
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		c->seg[s] = (struct seg){.sel = 0x10, .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = ~0u};
	c->seg[SEG_CS] = (struct seg){.sel = 8, .ar = AR_P | AR_S | 11 | AR_G | AR_L, .limit = ~0u};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE;
	c->cr3 = 0x1000;
	c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	c->r[REG_RSP] = 0x80000;
	c->activity = ACT_RUN;
	cpu_update_mode(c);
}

/* Long mode, first 2 GiB mapped one to one by pages that a guest may share. */
static struct pc *pc_new(const char *model)
{
	struct pc *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_true(bare_init(p, model));
	bus_write_u64(&p->bus, 0x1000, 0x2007);
	bus_write_u64(&p->bus, 0x2000, 0xe7);
	bus_write_u64(&p->bus, 0x2008, 0x400000e7);
	host_state(p->c);
	return p;
}

static void pc_free(struct pc *p)
{
	bare_fini(p);
	free(p);
}

#define CODE(p, pa, ...) bus_write(&(p)->bus, pa, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static inline void run_host(struct pc *p)
{
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN; slices++) /* PAUSE ends a slice */
		cpu_run(p->c, p->clock.now + 100000);
	assert_int_equal(p->c->activity, ACT_HLT);
}

#endif
