/*
 * "Dual-Monitor Treatment of SMIs and SMM", the way into SMM: VMCALL in root operation, which activates it or calls the
 * SMM-transfer monitor, and the SMM VM exits. The way out is smm_entry.c.
 */
#include "cpu/control/smm.h"
#include "vmx/vmx.h"

/* ---- "Initial Checks", "MSEG Checking" ---- */

/* "Format of MSEG Header" */
struct mseg {
	u32 revision, features, gdtr_limit, gdtr_offset, cs, eip_offset, esp_offset, cr3_offset;
};
#define MSEG_IA32E BIT(0) /* features: IA-32e mode SMM */

static u64 mseg_base(const struct vmx *v)
{
	return v->smm_ctl & SMM_CTL_BASE;
}

/* Seen as SMM sees it: "enter SMM; read revision identifier in MSEG ... leave SMM". */
static struct mseg mseg_read(struct cpu *c)
{
	const bool smm = c->smm;
	struct mseg m;

	c->smm = true;
	cpu_read(c, BY_VIRT, mseg_base(vmx_of(c)), &m, sizeof(m));
	c->smm = smm;
	return m;
}

/* The rows of VM entry about those VM-exit controls that such an exit uses. NULL: all pass. */
static const struct vmx_check *exit_controls(const struct vmx_image *g)
{
	static const char *const rows[] = {"vmx.control.exit.reserved", "vmx.control.exit2.reserved", "vmx.control.exit.msr-store"};

	for (size_t n = 0; n < vmx_control_checks.count; n++) {
		const struct vmx_check *k = &vmx_control_checks.rows[n];

		for (size_t r = 0; r < ARRAY_LEN(rows); r++)
			if (!strcmp(k->id, rows[r]) && vmx_check_fails(k, g))
				return k;
	}
	return NULL;
}

static bool features_ok(const struct cpu *c, u32 features)
{
	if (features & ~(u32)MSEG_IA32E)
		return false;
	return features & MSEG_IA32E ? has(c, FEAT_LM) : !mode64(c);
}

/* In the order of VMCALL's Operation listing. */
static enum xr activate(struct cpu *c, const struct insn *i)
{
	const struct vmx *v = vmx_of(c);
	const struct vmx_image g = {.f = v->f, .caps = vmx_caps(c)};
	const struct vmx_check *k;
	struct mseg m;

	if (v->current == VMCS_NONE)
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_NO_VMCS, v->current, 0);
	if (v->launched)
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_CLEAR, v->launched, 0);
	k = exit_controls(&g);
	if (k)
		return vmx_refuse_call(c, i, &g, k);
	m = mseg_read(c);
	if (m.revision != VMX_MSEG_REVISION)
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_REVISION, m.revision, 0);
	if (!features_ok(c, m.features))
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_FEATURES, m.features, 0);
	return cpu_exit(c, i, ICPT_VMCALL, 0, 0);
}

enum xr vmx_smm_call(struct cpu *c, const struct insn *i)
{
	const struct vmx *v = vmx_of(c);

	if (c->smm)
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_SMM, v->smm_ctl, 0);
	if (!has(c, FEAT_VMX_DUAL_MONITOR))
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_ABSENT, vmx_caps(c)->basic, 0);
	if (!(v->smm_ctl & SMM_CTL_VALID))
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_NO_MONITOR, v->smm_ctl, 0);
	return v->dual ? cpu_exit(c, i, ICPT_VMCALL, 0, 0) : activate(c, i);
}

/* ---- "SMM VM Exits" ---- */

/* "Exit Qualification for SMIs That Arrive Immediately After the Retirement of an I/O Instruction" */
static u64 io_qualification(const struct io_access *io)
{
	return (io->size - 1u) | (u64)io->in << 3 | (u64)io->string << 4 | (u64)io->rep << 5 | (u64)io->imm << 6 |
	       (u64)io->port << 16;
}

enum xr vmx_smm_smi(struct cpu *c)
{
	const struct io_access *io = &c->smi_io.io;
	const bool by_io = c->smi_io.valid;
	enum xr r;

	if (!vmx_of(c)->dual)
		return XR_OK;
	r = cpu_exit(c, NULL, ICPT_SMI, by_io ? io_qualification(io) : 0, by_io);
	c->exit.has_linear = by_io && io->string;
	c->exit.linear = io->linear;
	return r;
}

/* "Updating the Current-VMCS and Executive-VMCS Pointers". What a guest keeps in its VMCS goes along, as registers do.
 * The link pointer is what the way back reads the current-VMCS pointer from: ERRATA E180 */
static void change_vmcs(struct cpu *c, bool root)
{
	struct vmx *v = vmx_of(c);
	const u64 executive = root ? v->vmxon_pa : v->current;
	const u64 link = root ? v->current : vmcs_get(v, VMCS_LINK_POINTER);
	const u64 status = vmcs_get(v, VMCS_GUEST_INT_STATUS), pml = vmcs_get(v, VMCS_PML_INDEX);

	if (v->dual) {
		vmx_shadow_leave(c, v->shadow);
		vmx_region_leave(c);
		smm_set(c, true);
		vmx_region_enter(c, v->transfer, false);
	} else { /* "Activating the Dual-Monitor Treatment": the current VMCS becomes the SMM-transfer VMCS */
		smm_set(c, true);
		v->transfer = v->current;
		v->checked = 0;
	}
	vmcs_set(v, VMCS_EXECUTIVE_VMCS, executive);
	vmcs_set(v, VMCS_LINK_POINTER, link);
	if (!root) {
		vmcs_set(v, VMCS_GUEST_INT_STATUS, status);
		vmcs_set(v, VMCS_PML_INDEX, pml);
	}
}

/* "Loading Host State" of the exit that activates: the executive monitor's VMCS knows no host state of the monitor in
 * SMM. Addresses are sums of 32 bits. */
static void load_segments(struct cpu *c, const struct mseg *m)
{
	const bool ia32e = m->features & MSEG_IA32E;
	u16 cs = (u16)(m->cs & 0xfff8);
	u16 data;

	cs = cs ? cs : 8;
	data = (u16)(cs + 8);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		c->seg[s] = (struct seg){.sel = data ? data : 8, .limit = ~0u, .ar = AR_P | AR_S | 3 | AR_DB | AR_G};
	c->seg[SEG_CS].sel = cs;
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | (ia32e ? AR_L : AR_DB);
	c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
	c->cpl = 0;
}

static void load_control_registers(struct cpu *c, const struct mseg *m)
{
	const bool ia32e = m->features & MSEG_IA32E;
	const u64 cleared = CR4_MCE | CR4_PGE | CR4_PCIDE | CR4_LA57 | CR4_PAE | CR4_PSE;

	c->cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_MP | CR0_PE | (c->cr0 & (CR0_CD | CR0_NW));
	c->cr3 = ((u32)(mseg_base(vmx_of(c)) + m->cr3_offset) & 0xfffff000u) | (m->cr3_offset & 0x18);
	c->cr4 = (c->cr4 & ~(u64)cleared) | (ia32e ? CR4_PAE : CR4_PSE);
	c->efer = (c->efer & ~(u64)(EFER_LMA | EFER_LME)) | (ia32e ? EFER_LMA | EFER_LME : 0);
	c->dr7 = DR7_RESET;
	c->debugctl = 0;
}

static void load_monitor(struct cpu *c)
{
	const struct mseg m = mseg_read(c);
	const u64 base = mseg_base(vmx_of(c));

	vmx_guest_end(c);
	load_control_registers(c, &m);
	load_segments(c, &m);
	c->gdtr.base = (u32)(base + m.gdtr_offset);
	c->gdtr.limit = m.gdtr_limit & 0xffff;
	c->idtr.limit = 0;
	c->r[REG_RIP] = (u32)(base + m.eip_offset);
	c->r[REG_RSP] = (u32)(base + m.esp_offset);
	flags_set(c, FL_1);
	c->shadow = 0;
	c->activity = ACT_RUN;
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
	c->monitor_addr = c->wake_at = UINT64_MAX;
}

#define FROM_ROOT   BIT(29) /* "Basic VM-Exit Information" */
#define MTF_PENDING BIT(28)

void vmx_smm_exit(struct cpu *c, const struct exit_request *x)
{
	struct vmx *v = vmx_of(c);
	const bool root = !c->guest, activates = !v->dual;
	const u64 marks = root ? FROM_ROOT : c->pend & PEND_MTF ? MTF_PENDING : 0;
	u64 reason;

	c->bus_lock = false; /* bits 27:16 are clear */
	change_vmcs(c, root);
	v->dual = true;
	reason = vmx_exit_save(c, x, marks);
	vmcs_set(v, VMCS_GUEST_SMBASE, c->smbase);
	vmx_timer_stop(c);
	vmx_record_exit(c, reason, x->q[0], c->r[REG_RIP]);
	c->nmi_blocked = c->smi_blocked = true;
	vmx_flush_vpid(c, 0, false, false);
	if (activates)
		load_monitor(c);
	else
		vmx_exit_load(c);
	cpu_update_mode(c);
	cpu_recheck(c);
}
