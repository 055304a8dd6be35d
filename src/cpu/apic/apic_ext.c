/*
 * AMD's extended APIC space: the interrupt enable register, specific end of interrupt, the extended local vectors. APM 2
 * "Extended Interrupt Capability"; 2005: "Interrupt Masking in LocalAPIC", "APIC Extended Space".
 */
#include "cpu/apic/apic.h"

#include "cpu/state/model.h"

enum { R_FEATURE = 0x400, R_CONTROL = 0x410, R_SEOI = 0x420, R_IER = 0x480, R_EXT_LVT = 0x500 };

#define EXT_LVTS     4u
#define EXT_FEATURES (EXT_LVTS << 16 | APIC_EXT_ID | APIC_EXT_SEOI | APIC_EXT_IER)
#define VERSION_EAS  BIT(31)
#define EXT_LVT_MASK BIT(16)
#define SVR_ENABLE   BIT(8)

static bool in_run(u32 offset, u32 first, u32 count)
{
	return offset >= first && offset < first + 16 * count && !(offset & 15);
}

bool apic_ext_read(struct cpu *c, u32 offset, u32 *v)
{
	const struct lapic *a = &c->apic;

	if (!has(c, FEAT_EXTAPIC))
		return false;
	if (offset == R_FEATURE)
		*v = EXT_FEATURES;
	else if (offset == R_CONTROL)
		*v = a->ext_ctrl;
	else if (offset == R_SEOI)
		*v = 0;
	else if (in_run(offset, R_IER, 8))
		*v = a->ext_ier[(offset - R_IER) / 16];
	else if (in_run(offset, R_EXT_LVT, EXT_LVTS))
		*v = a->ext_lvt[(offset - R_EXT_LVT) / 16];
	else
		return false;
	return true;
}

/* The caller looks at the pending interrupts again. */
bool apic_ext_write(struct cpu *c, u32 offset, u32 v)
{
	struct lapic *a = &c->apic;

	if (!has(c, FEAT_EXTAPIC))
		return false;
	if (offset == R_CONTROL) {
		a->ext_ctrl = v & (APIC_EXT_IER | APIC_EXT_SEOI | APIC_EXT_ID);
	} else if (offset == R_SEOI) {
		if (a->ext_ctrl & APIC_EXT_SEOI)
			apic_eoi_vector(c, (u8)v);
	} else if (in_run(offset, R_IER, 8)) {
		a->ext_ier[(offset - R_IER) / 16] = v;
	} else if (in_run(offset, R_EXT_LVT, EXT_LVTS)) {
		a->ext_lvt[(offset - R_EXT_LVT) / 16] = v & (0x7ff | (u32)EXT_LVT_MASK);
		if (!(a->svr & SVR_ENABLE))
			a->ext_lvt[(offset - R_EXT_LVT) / 16] |= (u32)EXT_LVT_MASK;
	} else {
		return false; /* the feature register is read-only */
	}
	return true;
}

/* RESET and INIT: all vectors enabled, the extended vectors masked. */
void apic_ext_reset(struct cpu *c)
{
	struct lapic *a = &c->apic;

	a->version = has(c, FEAT_EXTAPIC) ? a->version | (u32)VERSION_EAS : a->version & ~(u32)VERSION_EAS;
	a->ext_ctrl = 0;
	for (unsigned n = 0; n < 8; n++)
		a->ext_ier[n] = 0xffffffff;
	for (unsigned n = 0; n < EXT_LVTS; n++)
		a->ext_lvt[n] = (u32)EXT_LVT_MASK;
}
