/*
 * The VMX of 2004 where it differs in kind from every later one: C97063-001, "Intel Vanderpool Technology Preliminary
 * Specification for IA-32 Processors". Which fields and controls it lacks, the rows of map.h and the model's features
 * say; here is what the processor does about it. The rest of QUIRK_VMX_FIRST stands where a manual's listing does.
 */
#include "vmx/vmx.h"

/* ---- checks: "Checks on Contents of the Virtual-Machine Control Structure" ---- */

/* Rows of later texts whose fields the first has, too. */
static const char *const later[] = {
	"vmx.basic.mov-ss",
	"vmx.control.tpr-threshold.reserved", /* "Controls for CR8 Accesses": bits 3:0 count */
	"vmx.control.tpr-threshold.above-tpr",
	"vmx.control.inject.error-code", /* "VM-Entry Controls for Event Injection": whatever it is, it is pushed */
	"vmx.host.address-space.legacy-host64",
	"vmx.host.address-space.long-host32",
	"vmx.guest.rflags.if-extint", /* "Injection of Vectoring Events": what blocks events does not block these */
	"vmx.guest.interruptibility.extint",
	"vmx.guest.interruptibility.nmi-mov-ss",
	"vmx.guest.interruptibility.nmi-sti",
	"vmx.guest.interruptibility.enclave", /* bit 4 is reserved */
	"vmx.guest.interruptibility.enclave-mov-ss",
};

/* A row is about its first field. */
bool vmx_first_lacks(const struct vmx_check *k, const struct vmx_caps *p)
{
	if (k->field[0] < VMX_IN && !vmx_field_exists(p, k->field[0]))
		return true;
	for (size_t n = 0; n < ARRAY_LEN(later); n++)
		if (!strcmp(later[n], k->id))
			return true;
	return false;
}

/* ---- fields that came later ---- */

/* Software need not have initialised the memory of a VMCS: every field has its width, and those that there are not yet
 * have what is without effect. */
void vmx_first_region(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	for (const struct vmcs_field *f = vmcs_fields; f < vmcs_fields + vmcs_field_count; f++)
		v->f[vmcs_slot(f->encoding)] &=
		        vmx_field_exists(vmx_caps(c), f->encoding) ? mask(8u * vmcs_width(f->encoding) - 1, 0) : 0;
	vmcs_set(v, VMCS_LINK_POINTER, VMCS_NONE);
}

/* Registers without a field stay in the processor: the fields that later ones have are given their values, so that loading
 * them changes nothing. Nothing that was pending or halted is loaded. */
static void hide(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	vmcs_set(v, VMCS_GUEST_ACTIVITY, 0);
	vmcs_set(v, VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_set(v, VMCS_GUEST_DEBUGCTL, c->debugctl);
	vmcs_set(v, VMCS_GUEST_SYSENTER_CS, c->sysenter_cs);
	vmcs_set(v, VMCS_GUEST_SYSENTER_ESP, c->sysenter_esp);
	vmcs_set(v, VMCS_GUEST_SYSENTER_EIP, c->sysenter_eip);
	vmcs_set(v, VMCS_HOST_SYSENTER_CS, c->sysenter_cs);
	vmcs_set(v, VMCS_HOST_SYSENTER_ESP, c->sysenter_esp);
	vmcs_set(v, VMCS_HOST_SYSENTER_EIP, c->sysenter_eip);
}

/* ---- "Guest Register State": access rights have no unusable bit. A register that is not present is unusable. ---- */

void vmx_first_guest_load(struct cpu *c, const u64 pdpte[4])
{
	const struct vmx *v = vmx_of(c);

	hide(c);
	vmx_guest_load(c, pdpte);
	for (unsigned s = SEG_ES; s <= SEG_TR; s++)
		c->seg[s].ar = ~0xf00u & (u32)vmx_rights(vmx_caps(c), v->f[vmcs_slot(VMCS_GUEST_ES_AR) + s]);
}

/* An exit by INT3, INTO or INT1 has done with the instruction: an injection, which knows no length, goes on behind it. */
void vmx_first_guest_save(struct cpu *c, const struct exit_request *why)
{
	struct vmx *v = vmx_of(c);

	vmx_guest_save(c, why);
	for (unsigned s = SEG_ES; s <= SEG_TR; s++) {
		u64 *ar = &v->f[vmcs_slot(VMCS_GUEST_ES_AR) + s];

		*ar &= *ar & AR_UNUSABLE ? 0xffff & ~(u64)AR_P : 0xffff;
	}
	if (why->event.type == EV_SWEX || why->event.type == EV_PRIVSW)
		vmcs_set(v, VMCS_GUEST_RIP, (c->r[REG_RIP] + why->event.insn_len) & ip_mask(c));
}

/* ---- "State Forced to Specific Values": segments are usable with null selectors, too, and limits are as printed ---- */

void vmx_first_host_load(struct cpu *c, bool host64)
{
	u64 debugctl = c->debugctl;

	hide(c);
	vmx_host_load(c, host64);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		if (s != SEG_CS)
			c->seg[s].ar = AR_P | AR_S | 3 | AR_DB | AR_G;
	c->gdtr.limit = c->idtr.limit = 0xfffff;
	c->debugctl = debugctl;
}
