/*
 * The local APIC by itself: a few struct cpu without a processor around them. What run.c and events.c do is stubbed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/cpu.h"

enum { CPUS = 3 };
enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100,
       TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVTT = 0x320, LVTPC = 0x340, LVT0 = 0x350,
       LVT1 = 0x360, LVTERR = 0x370, TMICT = 0x380, TMCCT = 0x390, TDCR = 0x3e0 };
#define EN 0xfee00800ull
#define X2 0xfee00c00ull

struct rig {
	struct clock clock;
	struct cpu *cpu[CPUS];
	unsigned eois;
	u8 eoi_vector;
};

void cpu_raise(struct cpu *c, enum pend p)
{
	c->pend |= p;
	c->attention = c->kick = 1;
}

void cpu_recheck(struct cpu *c)
{
	c->attention = 1;
}

void cpu_sync_time(struct cpu *c)
{
	(void)c;
}

void tlb_flush_all(struct cpu *c)
{
	(void)c;
}

static void on_eoi(void *arg, u8 vector)
{
	struct rig *r = arg;

	r->eois++;
	r->eoi_vector = vector;
}

static int ack_8259(void *arg)
{
	(void)arg;
	return 0x78;
}

static int setup(void **state)
{
	struct rig *r = base_alloc(sizeof(*r));

	clock_init(&r->clock);
	for (unsigned i = 0; i < CPUS; i++) {
		struct cpu *c = base_alloc(sizeof(*c));

		r->cpu[i] = c;
		c->clock = &r->clock;
		c->index = i;
		c->all = r->cpu;
		c->count = CPUS;
		c->phys_bits = 40;
		c->intr_ack = ack_8259;
		feat_put(&c->feat, FEAT_APIC, true);
		feat_put(&c->feat, FEAT_X2APIC, true);
		feat_put(&c->feat, FEAT_TSC_DEADLINE, true);
		apic_init(c, i);
	}
	apic_eoi_hook(r->cpu, CPUS, on_eoi, r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < CPUS; i++)
		base_free(r->cpu[i]);
	base_free(r);
	return 0;
}

static void run_to(struct rig *r, u64 when)
{
	while (r->clock.next <= when) {
		r->clock.now = max_u64(r->clock.now, r->clock.next);
		clock_fire(&r->clock);
	}
	r->clock.now = when;
}

static void enable(struct rig *r)
{
	for (unsigned i = 0; i < CPUS; i++)
		apic_mmio_write(r->cpu[i], SVR, 0x1ff);
}

static bool pending(const struct cpu *c)
{
	return (c->pend & PEND_INTR) != 0;
}

static void send(struct rig *r, bool logical, u32 dest, u8 vector, bool level)
{
	struct apic_msg m = { .vector = vector, .logical = logical, .dest = dest, .level = level, .assert = true };

	apic_bus_send(r->cpu, CPUS, &m, NULL, 0);
}

static void reset_state(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[1];

	assert_int_equal(r->cpu[0]->apic.base, 0xfee00900);
	assert_int_equal(c->apic.base, 0xfee00800);
	assert_int_equal(apic_mmio_read(c, ID), 0x01000000);
	assert_int_equal(apic_mmio_read(c, VERSION), 0x01050014);
	assert_int_equal(apic_mmio_read(c, SVR), 0xff);
	assert_int_equal(apic_mmio_read(c, DFR), 0xffffffff);
	assert_int_equal(apic_mmio_read(c, LVTT), 0x10000);
	apic_mmio_write(c, LVT0, 0x700);
	assert_int_equal(apic_mmio_read(c, LVT0), 0x10700); /* software-disabled: the mask stays */
	send(r, false, 1, 0x40, false);
	assert_false(pending(c));
}

static void priorities(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	send(r, false, 0, 0x51, false);
	send(r, false, 0, 0x62, true);
	assert_true(pending(c));
	assert_int_equal(apic_ack(c), 0x62);
	assert_false(pending(c)); /* 51h waits below PPR */
	assert_int_equal(apic_mmio_read(c, PPR), 0x60);
	assert_int_equal(apic_mmio_read(c, ISR + 0x30), 1 << 2);
	assert_int_equal(apic_mmio_read(c, TMR + 0x30), 1 << 2);
	assert_int_equal(apic_mmio_read(c, IRR + 0x20), 1 << 17);
	send(r, false, 0, 0x6f, false); /* same class */
	assert_false(pending(c));
	send(r, false, 0, 0x70, false);
	assert_int_equal(apic_ack(c), 0x70);
	apic_mmio_write(c, EOI, 0);
	assert_int_equal(r->eois, 0); /* edge */
	apic_mmio_write(c, EOI, 0);
	assert_int_equal(r->eois, 1);
	assert_int_equal(r->eoi_vector, 0x62);
	apic_set_tpr(c, 0x60);
	assert_false(pending(c));
	assert_int_equal(apic_pending(c), -1);
	apic_mmio_write(c, TPR, 0x5f);
	assert_int_equal(apic_mmio_read(c, PPR), 0x5f);
	assert_int_equal(apic_ack(c), 0x6f);
	apic_set_tpr(c, 0);
	apic_mmio_write(c, EOI, 0);
	assert_int_equal(apic_ack(c), 0x51);
	assert_int_equal(apic_ack(c), 0xff); /* nothing: spurious */
	assert_int_equal(apic_mmio_read(c, ISR + 0x70), 0);
}

static void directed_eoi(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	apic_mmio_write(c, SVR, 0x11ff);
	send(r, false, 0, 0x62, true);
	apic_ack(c);
	apic_mmio_write(c, EOI, 0);
	assert_int_equal(r->eois, 0);
}

static unsigned hit(struct rig *r, u8 vector)
{
	unsigned who = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		who |= apic_pending(r->cpu[i]) == vector ? 1u << i : 0;
		if (apic_pending(r->cpu[i]) >= 0) {
			apic_ack(r->cpu[i]);
			apic_eoi(r->cpu[i]);
		}
	}
	return who;
}

static void addressing(void **state)
{
	struct rig *r = *state;

	enable(r);
	send(r, false, 0xff, 0x40, false);
	assert_int_equal(hit(r, 0x40), 7);
	send(r, false, 2, 0x40, false);
	assert_int_equal(hit(r, 0x40), 4);
	for (unsigned i = 0; i < CPUS; i++)
		apic_mmio_write(r->cpu[i], LDR, 0x01000000u << i);
	send(r, true, 5, 0x40, false);
	assert_int_equal(hit(r, 0x40), 5);
	for (unsigned i = 0; i < CPUS; i++) {
		apic_mmio_write(r->cpu[i], DFR, 0x0fffffff);
		apic_mmio_write(r->cpu[i], LDR, i == 2 ? 0x11000000 : 0x01000000u << i);
	}
	send(r, true, 0x03, 0x41, false);
	assert_int_equal(hit(r, 0x41), 3);
	send(r, true, 0x1f, 0x41, false);
	assert_int_equal(hit(r, 0x41), 4);
	send(r, true, 0xff, 0x41, false);
	assert_int_equal(hit(r, 0x41), 7);
	apic_msi(r->cpu, CPUS, 0xfee01000, 0x4042);
	assert_int_equal(hit(r, 0x42), 2);
}

static void lowest_priority(void **state)
{
	struct rig *r = *state;

	enable(r);
	apic_mmio_write(r->cpu[0], TPR, 0x20);
	for (unsigned i = 0; i < CPUS; i++)
		apic_mmio_write(r->cpu[i], LDR, 0x01000000u << i);
	apic_msi(r->cpu, CPUS, 0xfee0700c, 0x0150);
	assert_int_equal(hit(r, 0x50), 2);
	apic_mmio_write(r->cpu[1], TPR, 0x30);
	apic_mmio_write(r->cpu[2], TPR, 0x30);
	apic_msi(r->cpu, CPUS, 0xfee0700c, 0x0150);
	assert_int_equal(hit(r, 0x50), 1);
}

static void ipis(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	apic_mmio_write(c, ICR2, 0x01000000);
	apic_mmio_write(c, ICR, 0x40fd);
	assert_int_equal(hit(r, 0xfd), 2);
	assert_true(c->yield);
	assert_int_equal(apic_mmio_read(c, ICR), 0x40fd);
	c->yield = false;
	apic_mmio_write(c, ICR, 0x440f0); /* self */
	assert_int_equal(hit(r, 0xf0), 1);
	assert_false(c->yield);
	apic_mmio_write(c, ICR, 0x840f0);
	assert_int_equal(hit(r, 0xf0), 7);
	apic_mmio_write(c, ICR, 0xc40f0);
	assert_int_equal(hit(r, 0xf0), 6);
	apic_mmio_write(c, ICR, 0xc4500); /* INIT, then de-assert: nothing, then SIPI */
	assert_int_equal(r->cpu[1]->pend & PEND_INIT, PEND_INIT);
	assert_int_equal(c->pend & PEND_INIT, 0);
	r->cpu[1]->pend = 0;
	r->cpu[1]->activity = ACT_WAIT_SIPI;
	apic_mmio_write(c, ICR, 0xc8500);
	assert_int_equal(r->cpu[1]->pend, 0);
	apic_mmio_write(c, ICR, 0x0469a);
	assert_int_equal(r->cpu[1]->pend & PEND_SIPI, PEND_SIPI);
	assert_int_equal(r->cpu[1]->sipi_vector, 0x9a);
	r->cpu[1]->pend = 0;
	r->cpu[1]->activity = ACT_RUN;
	apic_mmio_write(c, ICR, 0x04610);
	assert_int_equal(r->cpu[1]->pend & PEND_SIPI, 0); /* lost while it runs */
	apic_mmio_write(c, ICR, 0x04400);
	assert_int_equal(r->cpu[1]->pend & PEND_NMI, PEND_NMI);
}

/* The processors that an SMI has reached since the last time somebody asked. */
static unsigned smis(struct rig *r)
{
	unsigned set = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		set |= r->cpu[i]->pend & PEND_SMI ? 1u << i : 0;
		r->cpu[i]->pend &= ~(u32)PEND_SMI;
	}
	return set;
}

/* "Interrupt Command Register", delivery mode 010b: with a destination or to all but the sender; a level is taken for an
 * edge; the vector "must be 00h", which nobody looks at. */
static void smi_ipis(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	apic_mmio_write(c, ICR2, 0x02000000);
	apic_mmio_write(c, ICR, 0x04200);
	assert_int_equal(smis(r), 4);
	assert_true(c->yield);
	apic_mmio_write(c, ICR, 0x0c200); /* level, assert */
	assert_int_equal(smis(r), 4);
	apic_mmio_write(c, ICR, 0x00205); /* a vector below 16 is no error of this mode */
	assert_int_equal(smis(r), 4);
	apic_mmio_write(c, ESR, 0);
	assert_int_equal(apic_mmio_read(c, ESR), 0);
	apic_mmio_write(c, ICR2, 0x00000000);
	apic_mmio_write(c, ICR, 0x04200); /* itself, by its number */
	assert_int_equal(smis(r), 1);
	apic_mmio_write(c, ICR2, 0xff000000);
	apic_mmio_write(c, ICR, 0x04200);
	assert_int_equal(smis(r), 7);
	apic_mmio_write(r->cpu[1], LDR, 0x02000000);
	apic_mmio_write(r->cpu[2], LDR, 0x04000000);
	apic_mmio_write(c, ICR2, 0x06000000);
	apic_mmio_write(c, ICR, 0x04a00); /* logical */
	assert_int_equal(smis(r), 6);
	apic_mmio_write(c, ICR, 0xc4200); /* all but self */
	assert_int_equal(smis(r), 6);
	apic_mmio_write(c, ICR, 0x44200); /* self, and all with self: no such combinations */
	apic_mmio_write(c, ICR, 0x84200);
	assert_int_equal(smis(r), 0);
	apic_mmio_write(r->cpu[1], SVR, 0xff); /* "software disabled": it still hears SMIs */
	apic_mmio_write(c, ICR, 0xc4200);
	assert_int_equal(smis(r), 6);
	assert_true(apic_base_write(r->cpu[1], EN & ~BIT(11)));
	apic_mmio_write(c, ICR, 0xc4200);
	assert_int_equal(smis(r), 4);
	assert_true(apic_base_write(c, X2 | BIT(8)));
	assert_true(apic_base_write(r->cpu[2], X2));
	assert_true(apic_msr_write(c, 0x830, 0x200004200ull));
	assert_int_equal(smis(r), 4);
}

/* From outside: an I/O APIC's message and an MSI, whose level is no level. */
static void smi_messages(void **state)
{
	struct rig *r = *state;
	struct apic_msg m = {.delivery = DM_SMI, .dest = 1, .assert = true};

	enable(r);
	apic_bus_send(r->cpu, CPUS, &m, NULL, 0);
	assert_int_equal(smis(r), 2);
	m.vector = 0x40;
	m.dest = 0xff;
	apic_bus_send(r->cpu, CPUS, &m, NULL, 0);
	assert_int_equal(smis(r), 7);
	for (unsigned v = 0; v < 256; v++)
		assert_int_equal(r->cpu[0]->apic.irr[v / 32] >> v % 32 & 1, 0);
	apic_msi(r->cpu, CPUS, 0xfee02000, 0x0200);
	assert_int_equal(smis(r), 4);
	apic_msi(r->cpu, CPUS, 0xfee02000, 0xc200);
	assert_int_equal(smis(r), 4);
	apic_mmio_write(r->cpu[0], LDR, 0x01000000);
	apic_mmio_write(r->cpu[2], LDR, 0x04000000);
	apic_msi(r->cpu, CPUS, 0xfee05004, 0x0200);
	assert_int_equal(smis(r), 5);
}

/* "Local Vector Table": entries that have a delivery mode, on each rising edge of a pin, whatever its trigger mode. */
static void smi_lvt(void **state)
{
	static const struct {
		unsigned reg;
		enum apic_lvt n;
	} entry[] = {{0x330, LVT_THERMAL}, {LVTPC, LVT_PERF}, {LVT0, LVT_LINT0}, {LVT1, LVT_LINT1}, {0x2f0, LVT_CMCI}};
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	c->apic.version = (c->apic.version & ~0xff0000u) | LVT_CMCI << 16;
	enable(r);
	for (size_t k = 0; k < sizeof(entry) / sizeof(*entry); k++) {
		apic_mmio_write(c, entry[k].reg, 0x10200);
		apic_post_lvt(c, entry[k].n);
		assert_int_equal(smis(r), 0);
		apic_mmio_write(c, entry[k].reg, 0x200);
		apic_post_lvt(c, entry[k].n);
		assert_int_equal(smis(r), 1);
	}
	assert_int_equal(apic_mmio_read(c, LVTPC), 0x10200); /* masks itself, as for other modes */
	for (unsigned n = 0; n < 2; n++) {
		apic_mmio_write(c, n ? LVT1 : LVT0, 0x8200); /* level: has no meaning here */
		apic_lint(c, n, true);
		assert_int_equal(smis(r), 1);
		apic_lint(c, n, true);
		assert_int_equal(smis(r), 0);
		apic_lint(c, n, false);
		assert_int_equal(smis(r), 0);
		apic_lint(c, n, true);
		assert_int_equal(smis(r), 1);
		assert_int_equal(apic_mmio_read(c, n ? LVT1 : LVT0) & 0x5000, 0);
		apic_lint(c, n, false);
	}
	apic_mmio_write(c, LVTT, 0x10230); /* the timer's and the error's have none: fixed */
	assert_int_equal(apic_mmio_read(c, LVTT), 0x10030);
	apic_mmio_write(c, LVTERR, 0x10231);
	assert_int_equal(apic_mmio_read(c, LVTERR), 0x10031);
}

static void errors(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	apic_mmio_write(c, LVTERR, 0xfe);
	apic_mmio_write(c, ICR, 0x4005);
	assert_int_equal(apic_mmio_read(c, ESR), 0); /* until a write latches it */
	assert_int_equal(hit(r, 0xfe), 1);
	apic_mmio_write(c, ESR, 0);
	assert_int_equal(apic_mmio_read(c, ESR), 0x20);
	send(r, false, 0, 5, false);
	apic_mmio_read(c, 0x3f0);
	apic_mmio_write(c, ESR, 0);
	assert_int_equal(apic_mmio_read(c, ESR), 0xc0);
	apic_mmio_write(c, ESR, 0);
	assert_int_equal(apic_mmio_read(c, ESR), 0);
	apic_mmio_write(c, VERSION, 0); /* read-only is no error */
	apic_mmio_write(c, ESR, 0);
	assert_int_equal(apic_mmio_read(c, ESR), 0);
}

static void timer_counts(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	apic_mmio_write(c, LVTT, 0x40);
	apic_mmio_write(c, TDCR, 0xb); /* by 1 */
	apic_mmio_write(c, TMICT, 1000);
	run_to(r, 400);
	assert_int_equal(apic_mmio_read(c, TMCCT), 600);
	apic_mmio_write(c, TDCR, 0); /* by 2, from here on */
	run_to(r, 600);
	assert_int_equal(apic_mmio_read(c, TMCCT), 500);
	run_to(r, 1599);
	assert_false(pending(c));
	run_to(r, 1600);
	assert_int_equal(hit(r, 0x40), 1);
	assert_int_equal(apic_mmio_read(c, TMCCT), 0);
	assert_int_equal(apic_mmio_read(c, TMICT), 1000);
	apic_mmio_write(c, LVTT, 0x20040);
	run_to(r, 10000);
	assert_false(pending(c)); /* an expired count does not start again by itself */
	apic_mmio_write(c, TMICT, 500);
	for (unsigned i = 1; i <= 5; i++) {
		run_to(r, 10000 + i * 1000 - 1);
		assert_false(pending(c));
		assert_int_equal(apic_mmio_read(c, TMCCT), 1);
		run_to(r, 10000 + i * 1000);
		assert_int_equal(hit(r, 0x40), 1);
		assert_int_equal(apic_mmio_read(c, TMCCT), 500);
	}
	apic_mmio_write(c, LVTT, 0x30040); /* masked: counts, says nothing */
	run_to(r, 18250);
	assert_int_equal(apic_mmio_read(c, TMCCT), 375);
	assert_false(pending(c));
	apic_mmio_write(c, TMICT, 0);
	assert_null(r->clock.first);
}

static void timer_deadline(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	c->tsc_offset = 5000;
	apic_deadline_write(c, 7000);
	assert_int_equal(apic_deadline_read(c), 0); /* not in that mode */
	apic_mmio_write(c, LVTT, 0x40040);
	apic_mmio_write(c, TMICT, 10);
	assert_int_equal(apic_mmio_read(c, TMICT), 0);
	apic_deadline_write(c, 7000);
	assert_int_equal(apic_deadline_read(c), 7000);
	run_to(r, 1999);
	assert_false(pending(c));
	run_to(r, 2000);
	assert_int_equal(hit(r, 0x40), 1);
	assert_int_equal(apic_deadline_read(c), 0);
	apic_deadline_write(c, 100); /* long gone: at once */
	clock_fire(&r->clock);
	assert_int_equal(hit(r, 0x40), 1);
	apic_deadline_write(c, 10000);
	c->tsc_offset = 6000;
	apic_rearm(c);
	run_to(r, 4000);
	assert_int_equal(hit(r, 0x40), 1);
	apic_deadline_write(c, 1ull << 62);
	apic_mmio_write(c, LVTT, 0x40);
	assert_null(r->clock.first); /* a change of mode disarms */
}

static void pins(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];

	enable(r);
	apic_lint(c, 0, true);
	assert_false(pending(c)); /* masked */
	apic_mmio_write(c, LVT0, 0x700);
	assert_true(pending(c));
	assert_true(c->apic.extint);
	assert_int_equal(apic_ack(c), 0x78);
	apic_lint(c, 0, false);
	assert_false(pending(c));
	apic_mmio_write(c, LVT1, 0x400);
	apic_lint(c, 1, true);
	assert_int_equal(c->pend & PEND_NMI, PEND_NMI);
	apic_mmio_write(c, LVT0, 0x8055); /* fixed, level */
	apic_lint(c, 0, true);
	assert_int_equal(apic_mmio_read(c, LVT0), 0xc055);
	assert_int_equal(apic_ack(c), 0x55);
	apic_mmio_write(c, EOI, 0);
	assert_int_equal(apic_ack(c), 0x55); /* still asserted */
	apic_lint(c, 0, false);
	apic_mmio_write(c, EOI, 0);
	assert_false(pending(c));
	apic_mmio_write(c, LVTPC, 0x400);
	c->pend = 0;
	apic_post_lvt(c, LVT_PERF);
	assert_int_equal(c->pend, PEND_NMI);
	assert_int_equal(apic_mmio_read(c, LVTPC), 0x10400);
}

static void base_transitions(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[1];

	enable(r);
	assert_false(apic_base_write(c, 0xfee00400)); /* EXTD without EN */
	assert_false(apic_base_write(c, EN | 1));
	assert_false(apic_base_write(c, EN | 1ull << 40));
	assert_true(apic_base_write(c, 0x12345800));
	apic_mmio_write(c, LDR, 0x02000000);
	assert_true(apic_base_write(c, X2));
	assert_false(apic_base_write(c, EN)); /* not back to xAPIC */
	assert_true(apic_base_write(c, 0xfee00000));
	apic_lint(c, 0, true); /* no APIC: the pin is INTR */
	assert_true(pending(c));
	apic_lint(c, 0, false);
	send(r, false, 1, 0x40, false);
	assert_false(pending(c));
	assert_false(apic_base_write(c, X2)); /* not from disabled */
	assert_true(apic_base_write(c, EN));
	assert_int_equal(apic_mmio_read(c, SVR), 0xff);
	assert_int_equal(apic_mmio_read(c, LDR), 0);
	apic_reset(c, true);
	assert_int_equal(c->apic.base, EN);
}

static void x2apic(void **state)
{
	struct rig *r = *state;
	struct cpu *c = r->cpu[0];
	u64 v;

	enable(r);
	assert_false(apic_msr_read(c, 0x802, &v));
	r->cpu[2]->apic.id = 0x123;
	for (unsigned i = 0; i < CPUS; i++)
		assert_true(apic_base_write(r->cpu[i], X2));
	assert_true(apic_msr_read(r->cpu[2], 0x802, &v));
	assert_int_equal(v, 0x123);
	assert_true(apic_msr_read(r->cpu[2], 0x80d, &v));
	assert_int_equal(v, 0x120008);
	assert_true(apic_msr_write(c, 0x830, 0x12300004040ull));
	assert_int_equal(hit(r, 0x40), 4);
	assert_true(apic_msr_read(c, 0x830, &v));
	assert_int_equal(v, 0x12300004040ull);
	assert_true(apic_msr_write(c, 0x830, 0x12000800000000ull | 0x4841));
	assert_int_equal(hit(r, 0x41), 4);
	assert_true(apic_msr_write(c, 0x830, 0xffffffff00004042ull));
	assert_int_equal(hit(r, 0x42), 7);
	assert_true(apic_msr_write(c, 0x83f, 0x43));
	assert_int_equal(hit(r, 0x43), 1);
	assert_false(apic_msr_write(c, 0x802, 0));
	assert_false(apic_msr_write(c, 0x80b, 1));
	assert_false(apic_msr_write(c, 0x808, 0x100));
	assert_false(apic_msr_write(c, 0x828, 1));
	assert_false(apic_msr_write(c, 0x830, 0x2000));
	assert_false(apic_msr_write(c, 0x832, 0x100));
	assert_false(apic_msr_read(c, 0x80e, &v));
	assert_false(apic_msr_read(c, 0x831, &v));
	assert_false(apic_msr_read(c, 0x83f, &v));
	assert_false(apic_msr_read(c, 0x840, &v));
	assert_true(apic_msr_write(c, 0x808, 0x30));
	assert_true(apic_msr_read(c, 0x80a, &v));
	assert_int_equal(v, 0x30);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_state), TEST(priorities), TEST(directed_eoi), TEST(addressing), TEST(lowest_priority), TEST(ipis),
		TEST(smi_ipis), TEST(smi_messages), TEST(smi_lvt),
		TEST(errors), TEST(timer_counts), TEST(timer_deadline), TEST(pins), TEST(base_transitions), TEST(x2apic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
