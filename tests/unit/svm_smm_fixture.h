/*
 * What the tests of SVM and system-management mode share: a bare processor with SMRAM that only SMM sees, a handler that
 * counts, a port whose access raises SMI#, and who hears the cycles.
 */
#ifndef SVM_SMM_FIXTURE_H
#define SVM_SMM_FIXTURE_H

#include "gif_fixture.h"
#include "report.h"

#define B(n) (1ull << (n))
enum { SMBASE = 0xa0000, HANDLER = SMBASE + 0x8000, MAP = SMBASE + 0xfe00, COUNT = DATA, PORT = 0x50, QUIET = 0x58 };
enum { TYPE_IN = 32, VAL, STR, REP, SZ8, SZ16, SZ32, A16, A32, A64, TF = 43, BRP };
enum { DISMISS = 1, ENTER = 2, SMI_CYCLE = 4, EXIT = 8, RSM_CYCLE = 16 };
enum { MSR_IO_TRAP = 0xc0010050, MSR_IO_TRAP_CTL = 0xc0010054, MSR_SMM_CTL = 0xc0010116, MSR_SMM_KEY = 0xc0010119 };

struct around {
	struct space_overlay smram;
	struct bus_range port;
	u32 raised;       /* accesses of the port */
	u32 cycles, seen; /* SMI and RSM cycles, 01b and 10b, the last in 1:0; was SMRAM mapped, one bit each */
	bool answer;      /* each cycle raises an SMI */
};

static inline struct around *around(struct pc *p)
{
	return p->own;
}

static inline u64 port_read(void *arg, u64 at, unsigned size)
{
	struct pc *p = arg;

	(void)at, (void)size;
	around(p)->raised++;
	cpu_raise(p->c, PEND_SMI);
	return 0x5a5a5a5a;
}

static inline void port_write(void *arg, u64 at, unsigned size, u64 v)
{
	(void)v;
	port_read(arg, at, size);
}

static inline void hear(void *arg, unsigned cpu, bool active)
{
	struct pc *p = arg;

	(void)cpu;
	around(p)->cycles = around(p)->cycles << 2 | (active ? 1 : 2);
	around(p)->seen = around(p)->seen << 1 | p->c->smm;
	if (around(p)->answer)
		cpu_raise(p->c, PEND_SMI);
}

/* INC dword [COUNT]; RSM: in 16-bit code with 32-bit addresses. */
static inline struct pc *smm_machine(const char *model)
{
	static const struct bus_ops ops = {.read = port_read, .write = port_write};
	struct pc *p = machine(model);
	struct around *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	p->own = a;
	CODE(p, HANDLER, 0x66, 0x67, 0xff, 0x05, COUNT & 0xff, COUNT >> 8 & 0xff, COUNT >> 16, 0, 0x0f, 0xaa);
	a->smram = (struct space_overlay){.base = 0xa0000, .size = 0x20000, .memory = 0xa0000};
	a->smram.to[SPACE_CPU].outside = a->smram.to[SPACE_DMA].outside = USE_ALL;
	a->smram.to[SPACE_SMM].memory = USE_ALL;
	assert_true(bus_overlay(&p->bus, &a->smram));
	bus_remap(&p->bus);
	a->port = (struct bus_range){.base = PORT, .size = 8, .ops = &ops, .dev = p, .port = true};
	bus_map(&p->bus, &a->port);
	p->bus.smi_ack = hear;
	p->bus.smi_ack_arg = p;
	p->c->smbase = SMBASE;
	bus_write_u64(&p->bus, COUNT, 0);
	return p;
}

static inline void smm_free(struct pc *p)
{
	void *a = p->own;

	pc_free(p);
	free(a);
}

/* Times that the handler ran. */
static inline u64 entered(struct pc *p)
{
	return bus_read_u64(&p->bus, COUNT);
}

/* The state-save area, which only this test's back door reaches. */
static inline void *saved(struct pc *p, unsigned offset)
{
	return p->bus.memory + SMBASE + offset;
}
static inline u64 saved64(struct pc *p, unsigned offset)
{
	u64 v;

	memcpy(&v, saved(p, offset), 8);
	return v;
}

static inline void trap_port(struct cpu *c, u16 port)
{
	assert_true(msr_write(c, MSR_IO_TRAP, BIT(63) | BIT(62) | BIT(61) | 0xffffffull << 32 | port));
	assert_true(msr_write(c, MSR_IO_TRAP_CTL, 0x8002));
}

/* The handler is HLT, RSM: a test that has stopped there goes on. */
static inline void stop_in_handler(struct pc *p)
{
	memcpy(saved(p, 0x8000), (const u8[]){0xf4, 0x0f, 0xaa}, 3);
}
static inline void go_on(struct pc *p)
{
	run_from(p, p->c->r[REG_RIP]);
}

#endif
