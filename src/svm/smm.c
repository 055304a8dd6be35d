/*
 * SVM and system-management mode. An SMI that no intercept takes leaves the guest for the handler, without the monitor,
 * and RSM goes back into it: "SMM Support", "SMM State-Save Area". SMM_CTL gives a monitor the parts of that one by one:
 * "Containerizing Platform SMM", "SMM_CTL MSR".
 */
#include "svm/svm.h"

#include "cpu/control/smm.h"

/* ---- the state-save area, from FE00h on ---- */

enum {
	AT_LOCAL_STATUS = 0xc4,
	AT_GUEST = 0xd8,
	AT_VMCB = 0xe0,
	AT_VINTR = 0xe8,
	AT_GUEST_PAT = 0x120,
	AT_HOST_EFER = 0x128,
	AT_HOST_CR4 = 0x130,
	AT_HOST_CR3 = 0x138,
	AT_HOST_CR0 = 0x140,
};
/* "SVM Guest" */
enum { BEHIND_GUEST = 2, BEHIND_NESTED = 4, BEHIND_HOST_IF = 8 };

static void put(u8 *map, unsigned at, u64 value)
{
	memcpy(map + at, &value, sizeof(value));
}

/* All of it is for the handler to read: RSM goes by what the processor has kept. */
static void describe(const struct cpu *c, u8 *map)
{
	const struct svm *s = svm_of(c);
	const struct svm_host *h = &s->host;

	put(map, AT_GUEST,
	    BEHIND_GUEST | (s->nested ? BEHIND_NESTED : 0u) | (h->rflags & FL_IF ? BEHIND_HOST_IF : 0u));
	put(map, AT_VMCB, s->vmcb_pa);
	put(map, AT_VINTR, s->vintr);
	put(map, AT_GUEST_PAT, s->nested ? c->pat : 0);
	put(map, AT_HOST_EFER, h->efer);
	put(map, AT_HOST_CR4, h->cr4);
	put(map, AT_HOST_CR3, s->nested ? svm_control(c)->n_cr3 : h->cr3);
	put(map, AT_HOST_CR0, h->cr0);
}

/* ---- the guest behind SMM ---- */

/* What a VMRUN within SMM would replace. */
#define KEPT(X)                                                                                                        \
	X(vmcb_pa) X(vintr) X(pause_left) X(pause_last) X(bus_locks) X(pml_index) X(nested) X(recheck) X(host_space) X(host)

static void keep(const struct cpu *c, const struct svm *s, struct svm_behind *b)
{
#define COPY(member) b->member = s->member;
	KEPT(COPY)
#undef COPY
	memcpy(&b->image, &s->image[s->cur], sizeof(b->image));
	b->space = c->space;
	b->pat = c->pat;
	b->spec_ctrl = c->spec_ctrl;
	b->guest = true;
}

static void take_up(struct cpu *c, struct svm *s, const struct svm_behind *b)
{
#define COPY(member) s->member = b->member;
	KEPT(COPY)
#undef COPY
	memcpy(&s->image[s->cur], &b->image, sizeof(b->image));
	s->cached_pa = b->vmcb_pa;
	s->good = true;
	if (b->nested)
		c->pat = b->pat;
	if (has(c, FEAT_SVM_SPEC_CTRL))
		c->spec_ctrl = b->spec_ctrl;
}

/* The registers that a guest has of its own and the state-save area does not: SMM works with the host's. */
static void host_registers(struct cpu *c, const struct svm *s)
{
	if (s->nested)
		c->pat = s->host.pat;
	if (has(c, FEAT_SVM_SPEC_CTRL))
		c->spec_ctrl = s->host.spec_ctrl;
}

void svm_smm_enter(struct cpu *c, u8 *map)
{
	struct svm *s = svm_of(c);
	const u32 traps = c->smi_io.valid && c->smi_io.internal ? c->smi_io.traps : 0;

	memcpy(map + AT_LOCAL_STATUS, &traps, sizeof(traps));
	memset(&s->behind, 0, sizeof(s->behind));
	if (!c->guest)
		return;
	describe(c, map);
	keep(c, s, &s->behind);
	host_registers(c, s);
	svm_guest_off(c);
}

/* A guest that runs within SMM, and executes RSM without being intercepted, ends with it. */
bool svm_smm_leave(struct cpu *c, const u8 *map)
{
	struct svm *s = svm_of(c);

	(void)map;
	if (c->guest)
		svm_guest_off(c);
	c->space = 0;
	if (!s->behind.guest)
		return true;
	if (!(c->efer & EFER_SVME)) /* the handler has cleared it, and RSM does not set it: no guest can go on */
		return false;
	take_up(c, s, &s->behind);
	svm_control_load(c, s, &s->image[s->cur].control);
	s->pause_last = s->behind.pause_last;
	svm_avic_enter(c);
	c->space = s->behind.space;
	c->gif = true;
	memset(&s->behind, 0, sizeof(s->behind));
	return true;
}

/* ---- SMM_CTL ---- */

enum { DISMISS = 1 << 0, ENTER = 1 << 1, SMI_CYCLE = 1 << 2, EXIT = 1 << 3, RSM_CYCLE = 1 << 4, ACTIONS = 0x1f };

/* Within SMM there is nothing to enter: what was recorded stays. */
static void enter(struct cpu *c)
{
	if (c->smm)
		return;
	c->smm_nmi = c->nmi_blocked;
	c->nmi_blocked = c->smi_blocked = true;
	smm_see(c, true);
}

static void leave(struct cpu *c)
{
	if (c->smm)
		c->nmi_blocked = c->smm_nmi;
	c->smi_blocked = false;
	smm_see(c, false);
	cpu_recheck(c);
}

/* "The bits are processed in the order of ENTER, SMI_CYCLE, DISMISS, RSM_CYCLE, EXIT": combinations that are not listed,
 * too. */
bool svm_smm_ctl_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (has(c, FEAT_NO_SMM_CTL))
		return svm_refuse_msr(c, SVM_SMM_CTL_ABSENT, value, 0);
	if (c->hwcr & HWCR_SMMLOCK)
		return svm_refuse_msr(c, SVM_SMM_CTL_LOCKED, value, 0);
	if (value & ~(u64)ACTIONS)
		return svm_refuse_msr(c, SVM_SMM_CTL_RESERVED, value, value & ~(u64)ACTIONS);
	if (value & ENTER)
		enter(c);
	if (value & SMI_CYCLE)
		smm_cycle(c, true);
	if (value & DISMISS)
		c->pend &= ~(u32)PEND_SMI;
	if (value & RSM_CYCLE)
		smm_cycle(c, false);
	if (value & EXIT)
		leave(c);
	return true;
}
