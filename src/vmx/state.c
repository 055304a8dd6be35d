/*
 * State between the processor and the VMCS: all of it from the rows of map.h, so that every function here is a straight
 * line of loads and stores with the few conditions that the rows have. "Loading Guest State", "Saving Guest State",
 * "Loading Host State".
 */
#include "vmx/map.h"
#include "vmx/vmx.h"

#define NOTHING(...)
#define AS(lvalue, x) ((lvalue) = (__typeof__(lvalue))(x))
#define UNUSED        __attribute__((unused)) /* by some rows' expressions */

#define EFER_MODE  (EFER_LMA | EFER_LME)
#define CR0_KEPT   (CR0_ET | CR0_NW | CR0_CD | mask(15, 6) | BIT(17) | mask(28, 19) | mask(63, 32)) /* at entry and exit */
#define AR_IN_VMCS 0x1f0ffu /* unusable segments are not checked */

/* ---- what the rows say, of the guest to be loaded ---- */

/* Without "load IA32_EFER" LMA is what "IA-32e mode guest" says, and LME with it if the guest pages. */
static inline u64 guest_efer(const struct cpu *c, const struct vmx *v, u64 x)
{
	u64 entry = vmcs_get(v, VMCS_ENTRY_CONTROLS), paged = vmcs_get(v, VMCS_GUEST_CR0) & CR0_PG;
	u64 decided = paged ? EFER_MODE : EFER_LMA;

	if (entry & ENTRY_LOAD_EFER)
		return x;
	return (c->efer & ~decided) | (entry & ENTRY_GUEST64 ? decided : 0);
}

static inline u64 perf_written(struct cpu *c, u64 x)
{
	(void)msr_write(c, 0x38f, x); /* checked */
	return c->perf_global_ctrl;
}

/* The lazy flags are void from here on. */
static inline u64 exact_flags(struct cpu *c, u64 x)
{
	c->cc_op = CC_FLAGS;
	return (x & FL_ALL) | FL_1;
}

static inline u64 guest_blocking(struct cpu *c, u64 x)
{
	c->nmi_blocked = (x & 8) != 0;
	return (x & 1 ? SHADOW_STI : 0) | (x & 2 ? SHADOW_MOVSS : 0);
}

static inline u64 guest_activity(u64 x)
{
	static const u8 activity[4] = {ACT_RUN, ACT_HLT, ACT_SHUTDOWN, ACT_WAIT_SIPI};

	return activity[x & 3];
}

/* ---- ... and to be saved ---- */

/* Blocking by SMI: of exits that end in SMM. */
static inline u64 saved_blocking(const struct cpu *c)
{
	return (c->shadow & SHADOW_STI ? 1u : 0) | (c->shadow & SHADOW_MOVSS ? 2u : 0) |
	       (c->smm && c->smi_blocked ? 4u : 0) | (c->nmi_blocked ? 8u : 0);
}

static u64 saved_activity(const struct exit_request *x)
{
	switch (x->activity) {
	case ACT_HLT: return 1;
	case ACT_SHUTDOWN: return 2;
	case ACT_WAIT_SIPI: return 3;
	default: return 0;
	}
}

/* "Saving RIP, RSP, RFLAGS, and SSP": RF as a delivery of the event would push it; 1 where the instruction is to run
 * again, 0 behind an instruction that exits by design. */
static u64 saved_flags(struct cpu *c, const struct exit_request *x)
{
	u64 fl = flags_get(c);
	const struct event *e = x->vectoring.type != EV_NONE && x->event.type == EV_NONE ? &x->vectoring : &x->event;
	bool software = e->type == EV_SW || e->type == EV_SWEX || e->type == EV_PRIVSW;

	if (software && e == &x->event)
		return fl & ~(u64)FL_RF;
	if (e->type != EV_NONE)
		return x->faulted && e->type == EV_HW && (e->vector != EX_DB || (e->payload & DR6_BD)) ? fl | FL_RF
		                                                                                       : fl;
	if (vmx_exit_rows[vmx_exit_reason(x->id)].kind == VMX_EXIT_ACCESS)
		return fl | FL_RF;
	return x->insn ? fl & ~(u64)FL_RF : fl;
}

/* "Saving Non-Register State": which exits keep what was pending. */
static u64 saved_pending_debug(const struct cpu *c, const struct exit_request *x)
{
	u64 hits = (c->pending_db | x->held_db) & (DR6_BS | DR6_BLD | 0xf);
	bool kept = (vmx_exit_rows[vmx_exit_reason(x->id)].fields & VMX_EXIT_KEEPS_DEBUG) || x->id == ICPT_EXC + EX_MC ||
	            ((c->shadow & SHADOW_MOVSS) && x->id != ICPT_EXC + EX_DB);

	/* Entry with TF asks for BS under blocking by MOV SS: without it no monitor could go on from here. ERRATA E88
	 */
	if ((c->shadow & SHADOW_MOVSS) && (c->rflags & FL_TF) && !(c->debugctl & DEBUGCTL_BTF))
		hits |= DR6_BS;
	if (!kept || !hits)
		return 0;
	return hits | (hits & 0xf ? BIT(12) : 0);
}

/* ---- the guest's registers ---- */

void vmx_guest_load(struct cpu *c, const u64 pdpte[4])
{
	const struct vmx *v = vmx_of(c);
	const u64 entry = vmcs_get(v, VMCS_ENTRY_CONTROLS);

#define GUEST(name, encoding, condition, text, member, loaded, load, ...)                                              \
	if (loaded) {                                                                                                  \
		UNUSED const u64 x = vmcs_get(v, VMCS_##name);                                                         \
		AS(c->member, load);                                                                                   \
	}
	VMCS_MAP(NOTHING, NOTHING, GUEST, NOTHING)
#undef GUEST
	c->cpl = (u8)(c->rflags & FL_VM ? 3 : ar_dpl(c->seg[SEG_SS].ar));
}

void vmx_guest_save(struct cpu *c, const struct exit_request *why)
{
	struct vmx *v = vmx_of(c);
	const u64 exit = vmcs_get(v, VMCS_EXIT_CONTROLS);
	const bool pae_ept = (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !long_mode(c) && c->stage2;

#define GUEST(name, encoding, condition, text, member, loaded, load, saved, save)                                      \
	if (saved) {                                                                                                   \
		UNUSED const u64 x = c->member;                                                                        \
		vmcs_set(v, VMCS_##name, save);                                                                        \
	}
	VMCS_MAP(NOTHING, NOTHING, GUEST, NOTHING)
#undef GUEST
}

/* ---- the host's ---- */

/* "Loading Host Segment and Descriptor-Table Registers": what no field holds. A null selector makes unusable. */
static inline void complete_segments(struct cpu *c, bool host64)
{
	const u32 data = AR_P | AR_S | 3 | AR_DB | AR_G, code = AR_P | AR_S | 11 | AR_G | (host64 ? AR_L : AR_DB);

	for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
		c->seg[s].ar = s == SEG_CS ? code : c->seg[s].sel ? data : AR_UNUSABLE;
		c->seg[s].limit = 0xffffffff;
		if (s <= SEG_DS)
			c->seg[s].base = 0;
	}
	c->seg[SEG_TR].ar = AR_P | SYS_TSS32_BUSY;
	c->seg[SEG_TR].limit = 0x67;
	c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
	c->gdtr.limit = c->idtr.limit = 0xffff;
}

void vmx_host_load(struct cpu *c, bool host64)
{
	const struct vmx *v = vmx_of(c);
	const u64 exit = vmcs_get(v, VMCS_EXIT_CONTROLS);

#define HOST(name, encoding, condition, text, member, loaded, load)                                                    \
	if (loaded) {                                                                                                  \
		const u64 x = vmcs_get(v, VMCS_##name);                                                                \
		AS(c->member, load);                                                                                   \
	}
	VMCS_MAP(NOTHING, NOTHING, NOTHING, HOST)
#undef HOST
	complete_segments(c, host64);
	c->dr7 = DR7_RESET;
	c->debugctl = 0;
	flags_set(c, FL_1);
	c->cpl = 0;
}
