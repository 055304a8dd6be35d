/*
 * SMRAM that the processor itself protects: APM 2 "SMRAM Protected Areas" and the MSRs SMM_ADDR and SMM_MASK of "BIOS and
 * Kernel Developer's Guides", SDM 3A "System-Management Range Register Interface". Each processor has its own; who is not in
 * SMM finds no memory there, whatever the chipset says. There are no caches, so that the memory types of the ranges have no effect.
 */
#include "cpu/control/smm.h"
#include "cpu/mmu/mmu.h"

#define MASK_AVALID BIT(0)
#define MASK_TVALID BIT(1)
#define MASK_ACLOSE BIT(2) /* in SMM, too, data goes elsewhere */
#define MASK_TCLOSE BIT(3)
#define MASK_ADDR   mask(47, 17)
#define SMRR_VALID  BIT(11)
#define SMRR_ADDR   mask(31, 12)

struct veils {
	struct space_veil veil[MMU_VEILS];
	unsigned n;
};

static void hide(struct veils *v, u64 base, u64 mask_, u8 uses)
{
	v->veil[v->n++] = (struct space_veil){.base = base, .mask = mask_, .uses = uses};
}

void smm_ranges_changed(struct cpu *c)
{
	struct veils outside = {.n = 0}, inside = {.n = 0};
	const u64 aseg = 0xa0000, aseg_mask = ~0x1ffffull, tseg_mask = (c->smm_mask & MASK_ADDR) | mask(63, 48);

	if (c->smm_mask & MASK_AVALID) {
		hide(&outside, aseg, aseg_mask, USE_ALL);
		if (c->smm_mask & MASK_ACLOSE)
			hide(&inside, aseg, aseg_mask, USE_READ | USE_WRITE);
	}
	if (c->smm_mask & MASK_TVALID) {
		hide(&outside, c->smm_addr, tseg_mask, USE_ALL);
		if (c->smm_mask & MASK_TCLOSE)
			hide(&inside, c->smm_addr, tseg_mask, USE_READ | USE_WRITE);
	}
	if (c->smrr_mask & SMRR_VALID)
		hide(&outside, c->smrr_base & SMRR_ADDR, (c->smrr_mask & SMRR_ADDR) | mask(63, 32), USE_ALL);
	mmu_veil(c, false, outside.veil, outside.n);
	mmu_veil(c, true, inside.veil, inside.n);
}
