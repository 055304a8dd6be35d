/* The table of functions that the processor calls, and those of them that are about nothing else. */
#include "vmx/vmx.h"

/* "Changes to Instruction Behavior", IRET: with NMI exiting and no virtual NMIs it does not touch blocking. */
static bool iret_keeps_nmi(struct cpu *c)
{
	return (vmcs_get(vmx_of(c), VMCS_PIN_CONTROLS) & (PIN_NMI | PIN_VIRTUAL_NMI)) == PIN_NMI;
}

/* With virtual NMIs physical ones are never blocked in the guest. */
static bool nmi_masked(struct cpu *c, bool *blocked)
{
	if (!vmx_virtual_nmis(vmx_of(c)))
		return false;
	*blocked = false;
	return true;
}

#define MSR_SPEC_CTRL 0x48u

/* "Virtualizing IA32_SPEC_CTRL": the guest sees the shadow; the mask's bits keep the monitor's value. */
static enum xr spec_ctrl(struct cpu *c, bool write, u64 *value)
{
	struct vmx *v = vmx_of(c);
	u64 own = vmcs_get(v, VMCS_SPEC_CTRL_MASK), now;

	if (!write) {
		*value = vmcs_get(v, VMCS_SPEC_CTRL_SHADOW);
		return XR_OK;
	}
	if (!msr_read(c, MSR_SPEC_CTRL, &now) || !msr_write(c, MSR_SPEC_CTRL, (now & own) | (*value & ~own)))
		return fault_gp(c, 0);
	vmcs_set(v, VMCS_SPEC_CTRL_SHADOW, *value);
	return XR_OK;
}

/* "Virtualizing MSR-Based APIC Accesses" */
static bool msr_virtual(struct cpu *c, const struct insn *i, u32 index, bool write, u64 *value, enum xr *r)
{
	(void)i;
	if (index == MSR_SPEC_CTRL && (vmx_proc3(vmx_of(c)) & PROC3_SPEC_CTRL)) {
		*r = spec_ctrl(c, write, value);
		return true;
	}
	return vmx_x2apic(c, index, write, value, r);
}

/* With external-interrupt exiting RFLAGS.IF does not matter. */
static bool intr_masked(struct cpu *c, bool *masked)
{
	if (!c->guest || !(vmcs_get(vmx_of(c), VMCS_PIN_CONTROLS) & PIN_EXT_INT))
		return false;
	*masked = false;
	return true;
}

/* "Restrictions on VMX Operation": fixed bits of CR0 and CR4. */
static bool control_ok(const struct cpu *c, enum control_register which, u64 value)
{
	if (!c->virt_root) /* "Protection of CR4.VMXE in SMM" */
		return !(c->smm && which == CONTROL_CR4 && (value & CR4_VMXE));
	switch (which) {
	case CONTROL_CR0: return !(vmx_cr0_fixed0(c) & ~value);
	case CONTROL_CR4: return (value & VMX_CR4_FIXED0) == VMX_CR4_FIXED0;
	default: return true;
	}
}

/* The one door out: of the guest, or into SMM. */
static void leave(struct cpu *c, const struct exit_request *x)
{
	if (unlikely(x->id == ICPT_SMI || !c->guest))
		vmx_smm_exit(c, x);
	else
		vmx_exit(c, x);
}

static u64 block_at(const struct cpu *c)
{
	return c->virt_state ? vmx_of(c)->current : UINT64_MAX;
}

static enum status init(struct cpu *c)
{
	c->virt_state = base_alloc(sizeof(struct vmx));
	if (!c->virt_state)
		return ST_NOMEM;
	vmx_timer_init(c);
	return ST_OK;
}

static void fini(struct cpu *c)
{
	vmx_diary_free(c);
	base_free(c->virt_state);
	c->virt_state = NULL;
}

static void reset(struct cpu *c, bool is_init)
{
	const u64 smm_ctl = is_init ? vmx_of(c)->smm_ctl : 0;
	struct vmx_shelf *shelf = vmx_of(c)->shelf;

	timer_disarm(&vmx_of(c)->preempt);
	vmx_diary_close(&vmx_of(c)->diary);
	vmx_diary_close(&vmx_of(c)->shadow_diary);
	memset(c->virt_state, 0, sizeof(struct vmx));
	vmx_of(c)->shelf = shelf;
	vmx_of(c)->smm_ctl = smm_ctl;
	vmx_timer_init(c);
	vmx_caps_fill(c);
	vmx_of(c)->preempt_end = ~0ull;
	vmx_of(c)->current = vmx_of(c)->shadow = VMCS_NONE;
	if (!is_init)
		c->feature_control = quirk(c, QUIRK_VMX_FIRST) ? 5 : 0; /* 2004 names no such MSR: locked, with VMX on */
}

static void loaded(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	v->space_now = 0;
	v->checked = 0;
	vmx_caps_fill(c);
	vmx_timer_rearm(c);
	vmx_diary_restart(c);
}

/* clang-format off */
static const struct state_row state_rows[] = {
	STATE(1, struct vmx, vmxon_pa), STATE(2, struct vmx, current), STATE_ARRAY(3, struct vmx, f), STATE(4,
	 struct vmx, launched),
	STATE_ARRAY(5, struct vmx, space_key), STATE(6, struct vmx, space_next), STATE(7, struct vmx, injecting),
	STATE(8, struct vmx, preempt_end), STATE(9, struct vmx, ple_first), STATE(10, struct vmx, ple_last),
	STATE(11, struct vmx, apic_todo), STATE(12, struct vmx, virq), STATE(13, struct vmx, apic_offset),
	STATE(14, struct vmx, is_shadow), STATE(15, struct vmx, shadow), STATE_ARRAY(16, struct vmx, shadow_f),
	STATE(17, struct vmx, smm_ctl), STATE(18, struct vmx, transfer), STATE(19, struct vmx, dual),
	STATE(20, struct vmx, smi_from), STATE(21, struct vmx, smi_vmxe), STATE(22, struct vmx, smi_cpl),
	STATE(24, struct vmx, smi_v86), STATE(25, struct vmx, smi_virtual_nmi),
	STATE(26, struct vmx, smi_mtf), STATE_ARRAY(27, struct vmx, smi_pdpte),
};
/* clang-format on */

/* A20M is ignored as INIT is kept pending. */
static bool a20_blocked(const struct cpu *c)
{
	return c->virt_root;
}

/* In 2004 INIT exits from no guest: it stays pending from VMXON to VMXOFF. */
static enum init_answer init_answer(const struct cpu *c)
{
	return c->guest && quirk(c, QUIRK_VMX_FIRST) ? INIT_HELD : INIT_TAKEN;
}

static const char *check_id(size_t n)
{
	size_t entry = vmx_check_count();

	if (n < entry)
		return vmx_check_at(n)->id;
	n -= entry;
	if (n < vmx_msr_check_count)
		return vmx_msr_checks[n].id;
	n -= vmx_msr_check_count;
	if (n < VMX_WHYS)
		return vmx_insn_checks[n].id;
	n -= VMX_WHYS;
	if (n < VMX_EPT_CAUSES)
		return vmx_ept_checks[n].id;
	n -= VMX_EPT_CAUSES;
	return n < vmx_abort_check_count ? vmx_abort_checks[n].id : NULL;
}

const struct virt_ops vmx_ops = {
        .name = "vmx",
        .block = "VMCS",
        .block_at = block_at,
        .fields = vmx_fields,
        .fields_at = vmx_fields_at,
        .decode = vmx_words,
        .view = vmx_view,
        .changed = vmx_changed,
        .check_id = check_id,
        .exit_told = vmx_exit_told,
        .exit_at = vmx_exit_at,
        .life = {
                .init = init,
                .fini = fini,
                .reset = reset,
                .loaded = loaded,
                .rows = state_rows,
                .row_count = ARRAY_LEN(state_rows),
        },
        .rules = {
                .init = init_answer,
                .started = virt_nothing,
                .control_ok = control_ok,
                .a20_blocked = a20_blocked,
                .root_blocks_init = true,
        },
        .smm = {
                .smi = vmx_smm_smi,
                .enter = vmx_smm_enter,
                .leave = vmx_smm_leave,
                .rsm = vmx_smm_rsm,
        },
        .guest = {
                .intercept = vmx_intercept,
                .undefined = vmx_undefined,
                .io = vmx_io,
                .msr = vmx_msr,
                .msr_virtual = msr_virtual,
                .cr_write = vmx_cr_write,
                .cr_read = vmx_cr_read,
                .event = vmx_event,
                .bus_lock = virt_goes_on,
                .completed = vmx_trap,
                .shutdown = vmx_shutdown,
                .shutdown_code = 2,
                .exit = leave,
                .lock_traps = true,
                .intercept_first = true,
        },
        .memory = {
                .stage2 = vmx_stage2,
                .page_trap = vmx_page_trap,
                .flushed = vmx_guest_flushed,
                .steps = vmx_stage2_steps,
        },
        .irq = {
                .virq_ready = vmx_virq_ready,
                .virq_take = vmx_virq_take,
                .vnmi_ready = virt_never,
                .vnmi_take = virt_nothing,
                .cr8_read = vmx_cr8_read,
                .cr8_write = vmx_cr8_write,
                .intr = vmx_intr,
                .intr_masked = intr_masked,
                .nmi_masked = nmi_masked,
                .iret_keeps_nmi = iret_keeps_nmi,
                .iret_done = virt_nothing,
                .mwait_passes = vmx_mwait_passes,
                .virq_first = true,
        },
        .time = {
                .tsc = vmx_tsc,
                .delay = vmx_delay,
                .mperf = virt_unscaled,
        },
};
