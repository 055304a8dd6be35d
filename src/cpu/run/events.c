/*
 * Events between instructions: in which order those that are pending are looked at, and when they may be taken. One
 * table, event_rows, is that order for both vendors; where theirs differ an event has two rows, and the vendor says which
 * is its own. SDM 3A "Priority Among Concurrent Events", APM 2 "Priorities".
 */
#include "cpu/run/run.h"

#include "cpu/apic/apic.h"
#include "cpu/control/smm.h"
#include "cpu/state/debug.h"

/* ---- may it be taken now? ---- */

static bool awake(const struct cpu *c)
{
	return c->activity != ACT_WAIT_SIPI && c->activity != ACT_SHUTDOWN && c->activity != ACT_OFF;
}

static bool always(struct cpu *c)
{
	(void)c;
	return true;
}

static bool gif_and_awake(struct cpu *c)
{
	return c->gif && awake(c);
}

/* Unlike an interrupt it ends a shutdown ("Interrupt 8: Double Fault Exception"). What an instruction's shadow holds back,
 * it holds back SMIs, too: no handler runs between STI and HLT. */
static bool smi_ready(struct cpu *c)
{
	return c->gif && !c->smi_blocked && !c->shadow && c->activity != ACT_WAIT_SIPI && c->activity != ACT_OFF;
}

/* SMM and VMX root operation keep INIT pending, and so may the vendor; a guest that waits for SIPI has no use for it. */
static bool init_ready(struct cpu *c)
{
	if (c->smm)
		return false;
	if (c->guest)
		return c->gif && c->activity != ACT_WAIT_SIPI && (icpt_on(c, ICPT_INIT) || c->virt->rules.init(c) != INIT_HELD);
	return c->gif && !(c->virt_root && c->virt->rules.root_blocks_init) && c->virt->rules.init(c) != INIT_HELD;
}

static bool sipi_ready(struct cpu *c)
{
	(void)c;
	return true; /* outside wait-for-SIPI it is dropped */
}

static bool db_ready(struct cpu *c)
{
	return awake(c) && !(c->shadow & SHADOW_MOVSS);
}

/* The text of 2004 leaves open whether STI holds NMIs back, too. */
static bool nmi_awake(const struct cpu *c)
{
	u8 shadow = c->shadow & (quirk(c, QUIRK_VMX_FIRST) ? SHADOW_MOVSS : SHADOW_MOVSS | SHADOW_STI);

	return c->gif && !shadow && c->activity != ACT_WAIT_SIPI && c->activity != ACT_OFF;
}

static bool nmi_ready(struct cpu *c)
{
	bool blocked = c->nmi_blocked;

	if (c->guest)
		c->virt->irq.nmi_masked(c, &blocked);
	return !blocked && nmi_awake(c);
}

static bool nmi_window_ready(struct cpu *c)
{
	return !c->nmi_blocked && nmi_awake(c);
}

static bool window_ready(struct cpu *c)
{
	return (c->rflags & FL_IF) && !c->shadow && awake(c);
}

static bool in_guest(struct cpu *c)
{
	return c->guest;
}

static bool timer_ready(struct cpu *c)
{
	return c->guest && c->activity != ACT_WAIT_SIPI && c->activity != ACT_OFF;
}

static bool intr_ready(struct cpu *c)
{
	bool masked = !(c->rflags & FL_IF);

	if (c->guest)
		c->virt->irq.intr_masked(c, &masked);
	if (masked && c->activity == ACT_MWAIT && c->halted_by_mwait_if)
		cpu_end_wait(c);
	return c->gif && !masked && !c->shadow && awake(c);
}

static bool virq_ready(struct cpu *c)
{
	return c->guest && awake(c) && c->virt->irq.virq_ready(c);
}

static bool virq_first_ready(struct cpu *c)
{
	return c->virt->irq.virq_first && virq_ready(c);
}

static bool vnmi_ready(struct cpu *c)
{
	return c->guest && awake(c) && c->virt->irq.vnmi_ready(c);
}

/* ---- taking it ---- */

static enum xr take(struct cpu *c, enum event_type type, u8 vector)
{
	c->fault = (struct event){.type = (u8)type, .vector = vector};
	return XR_FAULT;
}

static enum xr act_reset(struct cpu *c)
{
	c->pend = 0;
	c->stop = CPU_STOP_MACHINE;
	return XR_STOP;
}

/* Who is told of an SMI instead of the handler: was it external? */
static enum xr smi_exit(struct cpu *c, bool external)
{
	cpu_end_wait(c);
	return c->virt->guest.intercept(c, NULL, ICPT_SMI, external);
}

/* The handler decides whether what the SMI found halted goes on with that, so the row does not wake it. */
static enum xr act_smi(struct cpu *c)
{
	if (icpt_on(c, ICPT_SMI))
		return smi_exit(c, true);
	c->pend &= ~(u32)PEND_SMI;
	return smm_smi(c);
}

/* Intercepted or not, an SMI by I/O trapping is not pending afterwards. */
static enum xr act_io_trap(struct cpu *c)
{
	c->pend &= ~(u32)PEND_IO_TRAP;
	return icpt_on(c, ICPT_SMI) ? smi_exit(c, false) : smm_smi(c);
}

static enum xr act_init(struct cpu *c)
{
	if (icpt_on(c, ICPT_INIT))
		return cpu_exit(c, NULL, ICPT_INIT, 0, 0);
	c->pend &= ~(u32)PEND_INIT;
	if (c->virt->rules.init(c) == INIT_REDIRECTED)
		return cpu_fault(c, EX_SX, SX_INIT);
	cpu_reset(c, true);
	if (is_bootstrap(c) && c->bus->secure.init)
		c->bus->secure.init(c->bus->secure.arg);
	return XR_OK;
}

static enum xr act_sipi(struct cpu *c)
{
	c->pend &= ~(u32)PEND_SIPI;
	if (c->activity != ACT_WAIT_SIPI)
		return XR_OK;
	if (icpt_on(c, ICPT_SIPI))
		return cpu_exit(c, NULL, ICPT_SIPI, c->sipi_vector, 0);
	seg_set_real(c, SEG_CS, (u16)(c->sipi_vector << 8));
	c->r[REG_RIP] = 0;
	c->activity = ACT_RUN;
	c->virt->rules.started(c);
	cpu_update_mode(c);
	return XR_OK;
}

static enum xr act_mtf(struct cpu *c)
{
	c->pend &= ~(u32)PEND_MTF;
	return c->guest ? cpu_exit(c, NULL, ICPT_MTF, 0, 0) : XR_OK;
}

static enum xr act_db(struct cpu *c)
{
	u64 hit = c->gif ? c->pending_db : c->pending_db & ~0xfull; /* GIF 0: breakpoint matches are discarded */

	c->pend &= ~(u32)PEND_DB;
	c->pending_db = 0;
	return hit ? fault_db(c, hit) : XR_OK;
}

static enum xr act_preempt(struct cpu *c)
{
	c->pend &= ~(u32)PEND_PREEMPT;
	return c->guest ? cpu_exit(c, NULL, ICPT_PREEMPTION_TIMER, 0, 0) : XR_OK;
}

static enum xr act_nmi(struct cpu *c)
{
	if (icpt_on(c, ICPT_NMI))
		return cpu_exit(c, NULL, ICPT_NMI, 0, 0);
	c->pend &= ~(u32)PEND_NMI;
	c->nmi_blocked = true;
	return take(c, EV_NMI, EX_NMI);
}

static enum xr act_nmi_window(struct cpu *c)
{
	return cpu_exit(c, NULL, ICPT_NMI_WINDOW, 0, 0);
}

static enum xr act_intr_window(struct cpu *c)
{
	return cpu_exit(c, NULL, ICPT_VINTR, 0, 0);
}

static enum xr act_intr(struct cpu *c)
{
	int vector;

	if (icpt_on(c, ICPT_INTR))
		return c->virt->irq.intr(c);
	vector = cpu_intr_ack(c);
	return vector < 0 ? XR_OK : take(c, EV_EXT, (u8)vector);
}

static enum xr act_virq(struct cpu *c)
{
	if (icpt_on(c, ICPT_VINTR))
		return cpu_exit(c, NULL, ICPT_VINTR, 0, 0);
	return take(c, EV_EXT, (u8)c->virt->irq.virq_take(c));
}

static enum xr act_vnmi(struct cpu *c)
{
	c->virt->irq.vnmi_take(c);
	return take(c, EV_NMI, EX_NMI);
}

static enum xr act_vendor(struct cpu *c)
{
	c->pend &= ~(u32)PEND_VENDOR;
	return c->virt->guest.completed(c);
}

static enum xr act_mce(struct cpu *c)
{
	c->pend &= ~(u32)PEND_MCE;
	if (!(c->cr4 & CR4_MCE) || c->mc_fatal)
		return XR_STOP; /* the run loop shuts down: a guest's shutdown may be intercepted */
	return cpu_fault(c, EX_MC, 0);
}

int cpu_intr_ack(struct cpu *c)
{
	int vector = apic_ack(c);

	if (vector < 0)
		c->pend &= ~(u32)PEND_INTR;
	return vector;
}

/* ---- the table ---- */

struct event_row {
	u16 pend;
	bool wakes;     /* leaves HLT and MWAIT */
	bool (*ready)(struct cpu *c);
	enum xr (*act)(struct cpu *c);
};

static const struct event_row event_rows[] = {
	{PEND_RESET, true, always, act_reset},
	{PEND_MCE, true, gif_and_awake, act_mce},
	{PEND_VENDOR, false, in_guest, act_vendor},
	{PEND_IO_TRAP, false, smi_ready, act_io_trap},
	{PEND_SMI, false, smi_ready, act_smi},
	{PEND_INIT, true, init_ready, act_init},
	{PEND_SIPI, false, sipi_ready, act_sipi},
	{PEND_MTF, false, gif_and_awake, act_mtf},
	{PEND_DB, true, db_ready, act_db},
	{PEND_PREEMPT, true, timer_ready, act_preempt},
	{PEND_NMI_WINDOW, true, nmi_window_ready, act_nmi_window},
	{PEND_NMI, true, nmi_ready, act_nmi},
#define ROWS_BEFORE_VNMI 12
	[ROWS_BEFORE_VNMI] = {PEND_VNMI, true, vnmi_ready, act_vnmi},
	{PEND_INTR_WINDOW, true, window_ready, act_intr_window},
	{PEND_VIRQ, true, virq_first_ready, act_virq},
	{PEND_INTR, true, intr_ready, act_intr},
	{PEND_VIRQ, true, virq_ready, act_virq},
};

static void wake(struct cpu *c, const struct event_row *row)
{
	if (row->wakes)
		cpu_end_wait(c);
	if (c->activity == ACT_SHUTDOWN && (row->pend & (PEND_NMI | PEND_INIT | PEND_PREEMPT)))
		c->activity = ACT_RUN;
}

/* A debugger steps, and lets no interrupt in between: one that sleeps is woken by it all the same. */
static cold bool held_back(const struct cpu *c, const struct event_row *row)
{
	const u32 interrupts = PEND_SMI | PEND_NMI | PEND_NMI_WINDOW | PEND_VNMI | PEND_INTR | PEND_INTR_WINDOW | PEND_VIRQ | PEND_PREEMPT;

	return c->debug->step && c->debug->hold && (row->pend & interrupts) && c->activity == ACT_RUN;
}

enum xr event_poll(struct cpu *c, struct delivery *d)
{
	const u32 vendors = c->guest ? PEND_VNMI | PEND_VIRQ : 0; /* pending or not is asked of the vendor */
	const u32 look = (c->pend & ~(u32)(PEND_VNMI | PEND_VIRQ)) | vendors;

	/* MEASURED: behind every entry */
	const struct event_row *row = &event_rows[look & ~(u32)(PEND_VNMI | PEND_INTR_WINDOW | PEND_VIRQ | PEND_INTR) ? 0 : ROWS_BEFORE_VNMI];

	for (; look && row < event_rows + ARRAY_LEN(event_rows); row++) {
		if (!(look & row->pend) || !row->ready(c) || (unlikely(c->debug) && held_back(c, row)))
			continue;

		u8 before = d->activity = c->activity;

		wake(c, row);

		enum xr r = row->act(c);

		d->faulted = r == XR_FAULT && row->act == act_init; /* #SX is a fault, the others here are none */
		if (r == XR_OK && row->act == act_intr && (before == ACT_HLT || before == ACT_FREEZE))
			c->activity = before; /* consumed or gone: the halt goes on */
		return r;
	}
	c->attention = 0;
	return XR_OK;
}
