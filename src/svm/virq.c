/*
 * What the guest sees of interrupts and time: V_IRQ, V_TPR and CR8, who masks physical interrupts, the TSC.
 * "Interrupt and Local APIC Support", "TSC Ratio MSR".
 */
#include "svm/svm.h"

static bool masking(const struct cpu *c)
{
	return (svm_of(c)->vintr & VINTR_MASKING) != 0;
}

static bool virtual_gif(const struct cpu *c)
{
	u64 v = svm_of(c)->vintr;

	return !(v & VINTR_GIF_EN) || !has(c, FEAT_VGIF) || (v & VINTR_GIF);
}

/* "Injecting Virtual (INTR) Interrupts" */
bool svm_virq_ready(struct cpu *c)
{
	u64 v = svm_of(c)->vintr;

	if (unlikely(svm_of(c)->avic)) /* V_IRQ, V_INTR_PRIO, V_IGN_TPR and V_INTR_VECTOR are ignored */
		return c->gif && (c->rflags & FL_IF) && !c->shadow && virtual_gif(c) && svm_avic_ready(c);
	if (!(v & VINTR_IRQ) || !c->gif || !(c->rflags & FL_IF) || c->shadow || !virtual_gif(c))
		return false;
	return (v & VINTR_IGN_TPR) || bits(v, 19, 16) > bits(v, 3, 0);
}

/* V_IRQ is cleared after the VINTR intercept test and before the IDT is read. */
int svm_virq_take(struct cpu *c)
{
	struct svm *s = svm_of(c);

	if (unlikely(s->avic))
		return svm_avic_take(c);
	s->vintr &= ~VINTR_IRQ;
	c->pend &= ~(u32)PEND_VIRQ;
	return (int)bits(s->vintr, 39, 32);
}

/* ---- "Virtual NMI" ---- */

bool svm_vnmi_on(const struct cpu *c)
{
	return (svm_of(c)->vintr & VINTR_NMI_EN) && has(c, FEAT_VNMI);
}

bool svm_vnmi_ready(struct cpu *c)
{
	u64 v = svm_of(c)->vintr;

	return svm_vnmi_on(c) && (v & VINTR_NMI) && !(v & VINTR_NMI_MASK) && c->gif && !c->shadow && virtual_gif(c);
}

/* Before the IDT is read. */
void svm_vnmi_take(struct cpu *c)
{
	struct svm *s = svm_of(c);

	s->vintr = (s->vintr & ~VINTR_NMI) | VINTR_NMI_MASK;
}

/* A completed IRET ends the masking. */
void svm_iret_done(struct cpu *c)
{
	struct svm *s = svm_of(c);

	if (likely(!svm_vnmi_on(c) || !(s->vintr & VINTR_NMI_MASK)))
		return;
	s->vintr &= ~VINTR_NMI_MASK;
	cpu_recheck(c);
}

/* "Virtualizing APIC.TPR" */
u64 svm_cr8_read(struct cpu *c)
{
	return masking(c) || svm_of(c)->avic ? bits(svm_of(c)->vintr, 3, 0) : c->apic.tpr >> 4 & 15;
}

enum xr svm_cr8_write(struct cpu *c, const struct insn *i, u64 v)
{
	struct svm *s = svm_of(c);

	(void)i;
	if (v > 15)
		return fault_gp(c, 0);
	s->vintr = (s->vintr & ~VINTR_TPR_MASK) | v;
	if (s->avic)
		svm_avic_tpr(c, (u8)v);
	else if (!masking(c))
		apic_set_tpr(c, (u8)(v << 4));
	cpu_recheck(c);
	return XR_OK;
}

/* V_INTR_MASKING: the host's RFLAGS.IF at VMRUN gates physical interrupts. "Physical (INTR) Interrupt Masking in
 * EFLAGS" */
bool svm_intr_masked(struct cpu *c, bool *masked)
{
	if (!c->guest || !masking(c))
		return false;
	*masked = !(svm_of(c)->host.rflags & FL_IF);
	return true;
}

/* By the 8.32 ratio, only in the guest. MPERF counts at the TSC's rate and is scaled like it, without the offset. */
u64 svm_mperf(struct cpu *c, u64 count)
{
	const u64 one = BIT(32);
	__extension__ typedef unsigned __int128 u128;

	if (likely(!c->guest || c->tsc_ratio == one || !has(c, FEAT_TSC_SCALE)))
		return count;
	return (u64)((u128)count * c->tsc_ratio >> 32);
}

u64 svm_tsc(struct cpu *c, u64 tsc)
{
	return c->guest ? svm_mperf(c, tsc) + svm_control(c)->tsc_offset : tsc;
}

/* "Bus Lock Threshold". DEVIATION: the walker's own locks, for flags in tables that are not write-back, do not
 * count. */
enum xr svm_bus_lock(struct cpu *c)
{
	struct svm *s = svm_of(c);

	if (!s->bus_locks)
		return cpu_exit(c, NULL, ICPT_BUSLOCK, 0, 0);
	s->bus_locks--;
	return XR_OK;
}
