/*
 * Control registers and the mode they add up to: what a value may be, what a write does, and the caches that follow
 * from mode. SDM 3A "Control Registers", APM 2 "System-Control Registers".
 */
#include "cpu/control/control.h"

#include "cpu/mmu/mmu.h"

/* "OS Bus-Lock Detection", above CPL 0, or the vendor's in a guest, which has its own control. */
static bool sees_locks(const struct cpu *c, u8 m)
{
	return c->lock_exits || (has(c, FEAT_BUS_LOCK_DETECT) && ((m & MODE_V86) || ((m & MODE_PE) && c->cpl != 0)));
}

static u8 mode_key(const struct cpu *c)
{
	u32 cs = c->seg[SEG_CS].ar;
	u8 m = 0;

	if (c->cr0 & CR0_PE)
		m |= c->rflags & FL_VM ? MODE_V86 : MODE_PE;
	if (c->efer & EFER_LMA)
		m |= MODE_LMA;
	if (unlikely(c->lock_exits || (c->debugctl & DEBUGCTL_BUS_LOCK)) && sees_locks(c, m))
		m |= MODE_LOCKS;
	if ((m & MODE_LMA) && (m & MODE_PE) && (cs & AR_L))
		return m | MODE_64 | MODE_SS32;
	if (cs & AR_DB)
		m |= MODE_32;
	if (c->seg[SEG_SS].ar & AR_DB)
		m |= MODE_SS32;
	return m;
}

static void update_segment_bases(struct cpu *c)
{
	bool flat = mode64(c);

	for (unsigned s = SEG_ES; s <= SEG_DS; s++)
		c->sb.base[s] = flat ? 0 : c->seg[s].base;
	c->sb.base[SEG_FS] = c->seg[SEG_FS].base;
	c->sb.base[SEG_GS] = c->seg[SEG_GS].base;
	c->sb.base[6] = 0;
}

/* An enabled breakpoint on instruction execution: R/W field 00b. */
static bool code_breakpoints(const struct cpu *c)
{
	for (unsigned n = 0; n < 4; n++)
		if (((c->dr7 >> (2 * n)) & 3) && bits(c->dr7, 17 + 4 * n, 16 + 4 * n) == 0)
			return true;
	return false;
}

static void update_careful(struct cpu *c)
{
	c->careful = (c->rflags & FL_TF) || c->shadow || c->mtf || c->stress.poll_every || c->perf.by_form ||
		     ((c->dr7 & 0xff) && code_breakpoints(c)) || (c->hooks->trace & TRACE_INSN);
}

void cpu_update_mode(struct cpu *c)
{
	u8 m = mode_key(c);

	if (m != c->mode)
		c->block_mode_changed = 1;
	c->mode = m;
	if (!(c->cr0 & CR0_PE))
		c->cpl = 0;
	else if (m & MODE_V86)
		c->cpl = 3;
	c->la_bits = (c->cr4 & CR4_LA57) && (c->efer & EFER_LMA) ? 57 : 48;
	update_segment_bases(c);
	update_careful(c);
	if (unlikely(c->perf.on))
		perf_level_changed(c);
	mmu_update_context(c);
}

void cpu_flags_changed(struct cpu *c, u32 old)
{
	u32 changed = old ^ c->rflags;

	if (changed & FL_VM)
		cpu_update_mode(c);
	if (changed & FL_AC)
		mmu_update_context(c);
	if ((changed & (FL_IF | FL_VIF | FL_VIP)) || (c->rflags & FL_RF)) /* RF: see run_resumed() */
		cpu_recheck(c);
	update_careful(c);
	if (c->careful)
		c->kick = 1;
}

/* "TLB Flush": in the SVM of 2005 what flushes the TLB affects all ASIDs, since then only the current one. */
static void flush_translations(struct cpu *c, bool keep_global)
{
	if (likely(!quirk(c, QUIRK_SVM_FIRST))) {
		tlb_flush_space(c, c->space, keep_global);
		guest_flushed(c, &(struct tlb_match){.any_page = true, .any_pcid = true, .globals = !keep_global});
		return;
	}
	if (!keep_global) {
		tlb_flush_all(c);
		return;
	}
	for (u16 asid = 0; asid < QUIRK_SVM_FIRST_ASIDS; asid++)
		tlb_flush_space(c, asid, true);
}

static bool vendor_allows(const struct cpu *c, enum control_register which, u64 v)
{
	return c->virt->rules.control_ok(c, which, v);
}

cold enum xr cr_refuse(struct cpu *c, enum control_register which, u64 v)
{
	for (const struct gp_reasons *const *r = c->model->reasons; c->hooks->refused && r && *r; r++)
		(*r)->cr(c, which, v);
	return fault_gp(c, 0);
}

bool cr0_valid(const struct cpu *c, u64 v)
{
	/* "Paged Real Mode": VMRUN may have brought a guest there; it stays when CLTS or LMSW write the rest. */
	bool paged_real = (c->cr0 & (CR0_PG | CR0_PE)) == CR0_PG;

	if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE) && !paged_real) || ((v & CR0_NW) && !(v & CR0_CD)))
		return false;
	return vendor_allows(c, CONTROL_CR0, v);
}

/* CR4 bits and the feature that defines each. */
static const struct {
	u64 bit;
	u16 feature;
} cr4_bits[] = {
	{CR4_VME | CR4_PVI, FEAT_VME},	 {CR4_TSD, FEAT_TSC},	    {CR4_DE, FEAT_DE},
	{CR4_PSE, FEAT_PSE},		 {CR4_PAE, FEAT_PAE},	    {CR4_MCE, FEAT_MCE},
	{CR4_PGE, FEAT_PGE},		 {CR4_PCE, FEAT_NONE},	    {CR4_OSFXSR, FEAT_FXSR},
	{CR4_OSXMMEXCPT, FEAT_SSE},	 {CR4_UMIP, FEAT_UMIP},	    {CR4_LA57, FEAT_LA57},
	{CR4_VMXE, FEAT_VMX},		 {CR4_FSGSBASE, FEAT_FSGSBASE}, {CR4_PCIDE, FEAT_PCID},
	{CR4_OSXSAVE, FEAT_XSAVE},	 {CR4_SMEP, FEAT_SMEP},	    {CR4_SMAP, FEAT_SMAP},
	{CR4_PKE, FEAT_PKU},
};

u64 cr4_defined(const struct cpu *c)
{
	u64 m = 0;

	for (size_t k = 0; k < ARRAY_LEN(cr4_bits); k++)
		if (cr4_bits[k].feature == FEAT_NONE || has(c, (enum feature)cr4_bits[k].feature))
			m |= cr4_bits[k].bit;
	return m;
}

bool cr4_valid(const struct cpu *c, u64 v)
{
	if (v & ~cr4_defined(c))
		return false;
	return vendor_allows(c, CONTROL_CR4, v);
}

bool efer_valid(const struct cpu *c, u64 v)
{
	u64 ok = 0;

	if (has(c, FEAT_SYSCALL))
		ok |= EFER_SCE;
	if (has(c, FEAT_LM))
		ok |= EFER_LME | EFER_LMA;
	if (has(c, FEAT_NX))
		ok |= EFER_NXE;
	if (has(c, FEAT_SVM))
		ok |= EFER_SVME;
	if (has(c, FEAT_FXSR_OPT))
		ok |= EFER_FFXSR;
	if (has(c, FEAT_MCOMMIT))
		ok |= EFER_MCOMMIT;
	if (has(c, FEAT_AUTO_IBRS))
		ok |= EFER_AIBRSE;
	return !(v & ~ok);
}

static bool pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* "Initializing IA-32e Mode" and "Switching Out of IA-32e Mode Operation": may CR0.PG change to v's? */
static bool paging_switch_ok(const struct cpu *c, u64 v)
{
	if (v & CR0_PG) {
		u32 tss = c->seg[SEG_TR].ar & AR_TYPE;

		if (!(c->efer & EFER_LME))
			return true;
		return (c->cr4 & CR4_PAE) && !(c->seg[SEG_CS].ar & AR_L) && tss != SYS_TSS16 && tss != SYS_TSS16_BUSY;
	}
	return !mode64(c) && !(c->cr4 & CR4_PCIDE);
}

enum xr cr0_write(struct cpu *c, u64 v)
{
	u64 old = c->cr0, efer = c->efer;

	v |= CR0_ET;
	if (!cr0_valid(c, v))
		return cr_refuse(c, CONTROL_CR0, v);
	if ((v ^ old) & CR0_PG) {
		if (!paging_switch_ok(c, v))
			return fault_gp(c, 0);
		if (efer & EFER_LME)
			efer = v & CR0_PG ? efer | EFER_LMA : efer & ~EFER_LMA;
	}
	if (pae_paging(v, c->cr4, efer) && (!pae_paging(old, c->cr4, c->efer) || ((v ^ old) & (CR0_CD | CR0_NW))))
		TRY(mmu_load_pdptes(c, c->cr3));
	c->cr0 = v & CR0_DEFINED;
	c->efer = efer;
	if ((v ^ old) & CR0_PG)
		flush_translations(c, false);
	cpu_update_mode(c);
	return XR_OK;
}

enum xr cr3_write(struct cpu *c, u64 v)
{
	bool pcide = (c->cr4 & CR4_PCIDE) != 0, keep = pcide && (v & BIT(63));

	if (pcide)
		v &= ~BIT(63);
	if (long_mode(c) ? (v >> c->phys_bits) != 0 : (v >> 32) != 0 && mode64(c))
		return fault_gp(c, 0);
	if (pae_paging(c->cr0, c->cr4, c->efer))
		TRY(mmu_load_pdptes(c, v));
	c->cr3 = v;
	if (unlikely(quirk(c, QUIRK_SVM_FIRST))) {
		flush_translations(c, true);
	} else if (!keep) {
		u16 pcid = pcide ? v & 0xfff : 0;

		tlb_flush_pcid(c, c->space, pcid, true);
		guest_flushed(c, &(struct tlb_match){.pcid = pcid, .any_page = true});
	}
	c->block_mode_changed = 1;
	mmu_update_context(c);
	return XR_OK;
}

static bool cr4_switch_ok(const struct cpu *c, u64 v)
{
	u64 set = v & ~c->cr4, clear = c->cr4 & ~v;

	if (long_mode(c) && ((clear & CR4_PAE) || ((set | clear) & CR4_LA57)))
		return false;
	return !(set & CR4_PCIDE) || (long_mode(c) && !(c->cr3 & 0xfff));
}

enum xr cr4_write(struct cpu *c, u64 v)
{
	u64 changed = v ^ c->cr4;

	if (!cr4_valid(c, v) || !cr4_switch_ok(c, v))
		return cr_refuse(c, CONTROL_CR4, v);
	if (pae_paging(c->cr0, v, c->efer) && (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)))
		TRY(mmu_load_pdptes(c, c->cr3));
	c->cr4 = v;
	if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_LA57) || (changed & c->cr4 & (CR4_SMEP | CR4_SMAP)) ||
	    (changed & ~v & CR4_PCIDE))
		flush_translations(c, false);
	c->block_mode_changed = 1;
	cpu_update_mode(c);
	return XR_OK;
}

bool efer_write(struct cpu *c, u64 v)
{
	/* LMA is read-only: the written value is ignored. */
	v = (v & ~EFER_LMA) | (c->efer & EFER_LMA);
	if (!efer_valid(c, v) || (((v ^ c->efer) & EFER_LME) && (c->cr0 & CR0_PG)))
		return false;
	if (!vendor_allows(c, CONTROL_EFER, v))
		return false;

	u64 changed = v ^ c->efer;

	c->efer = v;
	if (changed & EFER_NXE)
		flush_translations(c, false);
	cpu_update_mode(c);
	return true;
}
