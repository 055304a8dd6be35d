/* Time in the guest: TSC offset and multiplier, the preemption timer, PAUSE loops. "VMX Non-Root Operation". */
#include "vmx/vmx.h"

/* "TSC scaling": bits 111:48 of the product, then the offset. */
u64 vmx_tsc(struct cpu *c, u64 value)
{
	const struct vmx *v = vmx_of(c);

	if (!c->guest || !(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_TSC_OFFSET))
		return value;
	if (vmx_proc2(v) & PROC2_TSC_SCALING)
		value = (u64)((unsigned __int128)value * vmcs_get(v, VMCS_TSC_MULTIPLIER) >> 48);
	return value + vmcs_get(v, VMCS_TSC_OFFSET);
}

/* "Changes to Instruction Behavior in VMX Non-Root Operation", TPAUSE and UMWAIT: from the virtual to the physical delay. */
u64 vmx_delay(struct cpu *c, u64 ticks)
{
	const struct vmx *v = vmx_of(c);
	unsigned __int128 scaled = (unsigned __int128)ticks << 48;

	if (!(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_TSC_OFFSET) || !(vmx_proc2(v) & PROC2_TSC_SCALING))
		return ticks;
	scaled /= vmcs_get(v, VMCS_TSC_MULTIPLIER); /* checked: not 0 */
	return scaled >> 62 ? BIT(62) : (u64)scaled;
}

static u64 physical_tsc(struct cpu *c)
{
	cpu_sync_time(c);
	return c->clock->now + c->tsc_offset;
}

/* ---- "VMX-Preemption Timer": it counts down whenever bit X of the TSC changes ---- */

static void expired(void *arg)
{
	struct cpu *c = arg;

	if (c->guest)
		cpu_raise(c, PEND_PREEMPT);
}

void vmx_timer_init(struct cpu *c)
{
	timer_init(&vmx_of(c)->preempt, c->clock, expired, c);
}

void vmx_timer_start(struct cpu *c, u64 value)
{
	struct vmx *v = vmx_of(c);
	u64 now, ticks;

	v->preempt_end = ~0ull;
	if (!(vmcs_get(v, VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER))
		return;
	now = physical_tsc(c);
	v->preempt_end = (now >> VMX_TIMER_SHIFT) + value;
	ticks = (v->preempt_end << VMX_TIMER_SHIFT) - now;
	if (!value) {
		cpu_raise(c, PEND_PREEMPT);
		return;
	}
	timer_arm(&v->preempt, c->clock->now + ticks);
	c->kick = 1;
}

/* After preempt_end was loaded from outside. */
void vmx_timer_rearm(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u64 now = physical_tsc(c), end = v->preempt_end << VMX_TIMER_SHIFT;

	timer_disarm(&v->preempt);
	if (v->preempt_end == ~0ull)
		return;
	if (end > now)
		timer_arm(&v->preempt, c->clock->now + (end - now));
	else if (v->smi_from == VMX_SMI_OUTSIDE) /* in SMM: RSM looks */
		cpu_raise(c, PEND_PREEMPT);
}

/* At a VM exit. The value goes back to the field only with "save VMX-preemption timer value". */
void vmx_timer_stop(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u64 left = 0;

	if (v->preempt_end == ~0ull)
		return;
	cpu_sync_time(c);
	if (v->preempt.armed && v->preempt.when > c->clock->now)
		left = v->preempt.when - c->clock->now; /* not by the TSC, which the guest may have written */
	if (vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_SAVE_TIMER)
		vmcs_set(v, VMCS_PREEMPTION_TIMER, (left + BIT(VMX_TIMER_SHIFT) - 1) >> VMX_TIMER_SHIFT);
	timer_disarm(&v->preempt);
	v->preempt_end = ~0ull;
}

/* ---- "PAUSE-Loop Exiting" ---- */

bool vmx_pause_loop(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u64 now = physical_tsc(c), last = v->ple_last;
	bool leaves = false;

	if (!last || now - last > vmcs_get(v, VMCS_PLE_GAP))
		v->ple_first = now;
	else
		leaves = now - v->ple_first > vmcs_get(v, VMCS_PLE_WINDOW);
	v->ple_last = now;
	return leaves;
}
