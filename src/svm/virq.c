/*
 * What the guest sees of interrupts and time: V_IRQ, V_TPR and CR8, who masks physical interrupts, the TSC; and the
 * table of functions that the processor calls. "Interrupt and Local APIC Support", "TSC Ratio MSR".
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
static void iret_done(struct cpu *c)
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
static u64 scaled(struct cpu *c, u64 count)
{
	const u64 one = BIT(32);
	__extension__ typedef unsigned __int128 u128;

	if (likely(!c->guest || c->tsc_ratio == one || !has(c, FEAT_TSC_SCALE)))
		return count;
	return (u64)((u128)count * c->tsc_ratio >> 32);
}

u64 svm_tsc(struct cpu *c, u64 tsc)
{
	return c->guest ? scaled(c, tsc) + svm_control(c)->tsc_offset : tsc;
}

static u64 cr_read(struct cpu *c, unsigned n, u64 value)
{
	(void)c, (void)n;
	return value;
}

static void iret(struct cpu *c)
{
	(void)c;
}

/* "Bus Lock Threshold". DEVIATION: the walker's own locks, for flags in tables that are not write-back, do not
 * count. */
static enum xr bus_lock(struct cpu *c)
{
	struct svm *s = svm_of(c);

	if (!s->bus_locks)
		return cpu_exit(c, NULL, ICPT_BUSLOCK, 0, 0);
	s->bus_locks--;
	return XR_OK;
}

/* EFER.SVME is reserved while VM_CR.SVMDIS is set; nothing else is restricted. The core asks EFER as 80h. */
static bool cr_ok(struct cpu *c, unsigned n, u64 value)
{
	return !(n == 0x80 && (value & EFER_SVME) && (c->vm_cr & VM_CR_SVMDIS));
}

/* ---- life ---- */

static enum status init(struct cpu *c)
{
	c->virt_state = base_alloc(sizeof(struct svm));
	return c->virt_state ? ST_OK : ST_NOMEM;
}

static void fini(struct cpu *c)
{
	base_free(c->virt_state);
	c->virt_state = NULL;
}

static void reset(struct cpu *c, bool is_init)
{
	memset(c->virt_state, 0, sizeof(struct svm));
	svm_of(c)->cached_pa = ~0ull;
	c->gif = true;
	if (is_init) { /* INIT clears SVMDIS unless it is locked */
		if (!(c->vm_cr & VM_CR_LOCK))
			c->vm_cr &= ~VM_CR_SVMDIS;
		return;
	}
	c->vm_cr = c->vm_hsave_pa = c->svm_key = 0;
	c->tsc_ratio = BIT(32);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct svm, vmcb_pa), STATE(2, struct svm, vintr), STATE(3, struct svm, pause_left),
	STATE(4, struct svm, pause_last), STATE(5, struct svm, host), STATE(6, struct svm, cur),
	STATE(7, struct svm, nested), STATE(8, struct svm, injecting), STATE(9, struct svm, good),
	STATE_ARRAY(10, struct svm, image), STATE(11, struct svm, recheck), STATE(12, struct svm, cached_pa),
	STATE(13, struct svm, avic), STATE(14, struct svm, avic_written), STATE(15, struct svm, bus_locks),
	STATE(16, struct svm, pml_index), STATE(17, struct svm, avic_pending),
};
/* clang-format on */

const struct virt_ops svm_ops = {
        .name = "svm",
        .init = init,
        .fini = fini,
        .reset = reset,
        .rows = rows,
        .row_count = ARRAY_LEN(rows),
        .intercept = svm_intercept,
        .io = svm_io,
        .msr = svm_msr,
        .cr_write = svm_cr_write,
        .cr_read = cr_read,
        .event = svm_event,
        .stage2 = svm_stage2,
        .tsc = svm_tsc,
        .mperf = scaled,
        .iret = iret,
        .iret_done = iret_done,
        .exit = svm_exit,
        .shutdown = svm_shutdown,
        .virq_ready = svm_virq_ready,
        .virq_take = svm_virq_take,
        .page_trap = svm_avic_access,
        .trap = svm_avic_trap,
        .bus_lock = bus_lock,
        .msr_virtual = svm_avic_msr,
        .vnmi_ready = svm_vnmi_ready,
        .vnmi_take = svm_vnmi_take,
        .cr8_read = svm_cr8_read,
        .cr8_write = svm_cr8_write,
        .intr_masked = svm_intr_masked,
        .cr_ok = cr_ok,
};
