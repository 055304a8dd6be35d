/* Life of a processor: creation, RESET and INIT. SDM 3A "Processor State After Reset", APM 2 "Processor Initialization". */
#include "cpu/run/run.h"

#include "cpu/apic/apic.h"
#include "cpu/control/smm.h"
#include "cpu/decode/decode.h"
#include "cpu/exec/fpu.h"
#include "cpu/state/phys.h"
#include "cpu/state/watch.h"

/* ---- creation ---- */

enum status cpu_init(struct cpu *c, const struct cpu_model *m, const struct feature_set *feat, struct bus *bus, struct err *err)
{
	bool has_virt = feat_has(feat, FEAT_SVM) || feat_has(feat, FEAT_VMX);

	c->model = m;
	c->feat = *feat;
	c->bus = bus;
	c->clock = bus->clock;
	c->hooks = bus->hooks;
	c->virt = has_virt ? m->virt : &virt_none;
	c->phys_bits = c->phys_bits ? c->phys_bits : m->phys_bits;
	if (mmu_init(c) != ST_OK || decode_cpu_init(c) != ST_OK || c->virt->life.init(c) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory for processor %u", c->index);
	apic_init(c, c->index);
	c->stores = (struct observer){.pages = PAGE_WATCHED, .written = cpu_monitor_written, .arg = c};
	bus_observe(bus, &c->stores);
	cpu_reset(c, false);
	return ST_OK;
}

void cpu_fini(struct cpu *c)
{
	if (!c->model)
		return;
	bus_unobserve(c->bus, &c->stores);
	timer_disarm(&c->perf.timer);
	timer_disarm(&c->wake_timer);
	c->virt->life.fini(c);
	decode_cpu_fini(c);
	mmu_fini(c);
}

/* ---- reset ---- */

static void reset_segments(struct cpu *c)
{
	const u32 data = AR_S | AR_P | AR_W | AR_A;

	for (unsigned s = 0; s < SEG_COUNT; s++)
		c->seg[s] = (struct seg){.limit = 0xffff, .ar = data};
	c->seg[SEG_CS] = (struct seg){.sel = 0xf000, .base = 0xffff0000, .limit = 0xffff, .ar = data | AR_CODE};
	c->seg[SEG_LDTR].ar = AR_P | SYS_LDT;
	c->seg[SEG_TR].ar = AR_P | SYS_TSS32_BUSY;
	c->gdtr.base = c->idtr.base = 0;
	c->gdtr.limit = c->idtr.limit = 0xffff;
	c->lidt = false;
	c->chain_n = 0;
	c->rsm.check = NULL;
}

static void reset_registers(struct cpu *c, bool init)
{
	memset(c->r, 0, sizeof(c->r));
	c->r[REG_RDX] = c->model->signature;
	c->r[REG_RIP] = 0xfff0;
	flags_set(c, FL_1);
	c->cr0 = CR0_ET | (init ? c->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW);
	c->cr2 = c->cr3 = c->cr4 = c->efer = 0;
	memset(c->dr, 0, sizeof(c->dr));
	c->dr6 = DR6_RESET;
	c->dr7 = DR7_RESET;
}

static void reset_run_state(struct cpu *c, bool init)
{
	c->pend &= init ? (u32)PEND_SIPI : 0; /* INIT followed by SIPI at once */
	c->pending_db = c->smm_db = 0;
	memset(c->smm_pdpte, 0, sizeof(c->smm_pdpte));
	memset(&c->smi_io, 0, sizeof(c->smi_io));
	c->shadow = 0;
	c->nmi_blocked = c->smm = c->smi_blocked = c->smm_nmi = c->smm_shutdown = c->guest = c->virt_root = c->stage2 = c->mtf = c->pdpte_on_demand = false;
	c->lock_exits = c->bus_lock = c->halted_by_mwait_if = c->mc_fatal = false;
	c->gif = true;
	c->space = 0;
	memset(c->icpt, 0, sizeof(c->icpt));
	c->inject.type = EV_NONE;
	c->trap_page = TRAP_PAGE_NONE;
	c->monitor_addr = c->wake_at = c->guest_since = UINT64_MAX;
}

void cpu_reset(struct cpu *c, bool init)
{
	reset_segments(c);
	reset_registers(c, init);
	reset_run_state(c, init);
	if (!init) {
		c->smi_count = c->smrr_base = c->smrr_mask = 0;
		c->smbase = 0x30000; /* "SMRAM": INIT leaves it */
		fpu_reset(c, false);
		msr_reset(c);
		smm_ranges_changed(c);
	}
	apic_reset(c, init);
	c->virt->life.reset(c, init);
	if (unlikely(c->watch))
		c->watch->reset(c, init);
	tlb_flush_all(c);
	c->activity = is_bootstrap(c) ? ACT_RUN : ACT_WAIT_SIPI;
	cpu_update_mode(c);
	cpu_recheck(c);
}

/* "SKINIT Operation": like INIT. Its local APIC, and what waits there and at the pins, is not lost but held. */
void cpu_restart(struct cpu *c)
{
	const u32 pins = PEND_RESET | PEND_MCE | PEND_SMI | PEND_INIT | PEND_SIPI | PEND_NMI | PEND_INTR;
	const u32 held = c->pend & pins;

	smm_set(c, false); /* the loader does not see SMRAM */
	reset_segments(c);
	reset_registers(c, true);
	reset_run_state(c, true);
	c->pend = held;
	c->virt->life.reset(c, true);
	if (unlikely(c->watch))
		c->watch->reset(c, true);
	tlb_flush_all(c);
	c->activity = ACT_RUN;
	cpu_update_mode(c);
	cpu_recheck(c);
}

/* ---- after a load ---- */

/* A processor between two instructions. What it remembered of translations and of code was another's. */
void cpu_loaded(struct cpu *c)
{
	const struct space_part *line = space_find(cpu_sees(c), c->monitor_addr, USE_READ);

	c->cc_op = CC_FLAGS;
	c->cur = NULL;
	c->delivery = NULL;
	c->left = c->charged = 0;
	c->insn_shadow = 0;
	c->stop = CPU_GO;
	c->stage2_mode = 0;
	if (c->virt->life.loaded)
		c->virt->life.loaded(c);
	code_cache_flush(c->code);
	smm_ranges_changed(c);
	tlb_flush_all(c);
	cpu_update_mode(c); /* arms the overflow timer, too */
	apic_rearm(c);
	timer_disarm(&c->wake_timer);
	cpu_arm_wait(c);
	if (line)
		*mem_flag(c->bus, space_host(line, c->monitor_addr)) |= PAGE_WATCHED;
	cpu_recheck(c);
}

/* ---- pins ---- */

void cpu_set_ignne(struct cpu *c, bool active)
{
	c->ignne = active;
	if (fpu_ignne(c) && c->activity == ACT_FREEZE)
		c->activity = ACT_RUN;
	cpu_recheck(c);
}
