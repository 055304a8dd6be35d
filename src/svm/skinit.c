/*
 * SKINIT: the secure start of a loader on a machine that is running. "Secure Startup with SKINIT", step by step: the
 * processor begins anew, devices are kept from the loader's block, the other processors are looked at, the image is
 * measured, and the loader runs, whatever became of its measurement.
 */
#include "svm/svm.h"

#include "cpu/run/run.h"

#define SLB_SIZE   0x10000u /* the secure loader block */
#define SLB_ENTRY  0u       /* word: where the loader begins */
#define SLB_LENGTH 2u       /* word: bytes of the image, from the block's first one on */

/* "Reinitialize processor state in the same manner as for the INIT signal, then enter flat 32-bit protected mode". What
 * is locked of VM_CR stays, unlike with INIT. Nothing is delivered from here on. */
static void reinitialise(struct cpu *c, u32 slb)
{
	const u32 flat = AR_P | AR_S | AR_W | AR_A | AR_G | AR_DB;
	const u64 kept = c->vm_cr & (VM_CR_LOCK | VM_CR_SVMDIS);

	cpu_restart(c);
	c->cr0 |= CR0_PE;
	c->seg[SEG_CS] = (struct seg){.sel = 0x08, .limit = ~0u, .ar = flat | AR_CODE};
	c->seg[SEG_SS] = (struct seg){.sel = 0x10, .limit = ~0u, .ar = flat};
	c->r[REG_RAX] = slb;
	c->r[REG_RSP] = (u32)(slb + SLB_SIZE); /* RDX: as after INIT */
	c->vm_cr = kept | VM_CR_SECURE;
	c->gif = false;
	cpu_update_mode(c);
}

/* "Software requirements for Secure MP initialization" were not met: by whom. */
static const struct cpu *unprepared(const struct cpu *c)
{
	for (unsigned n = 0; n < c->count; n++)
		if (c->all[n] != c && c->all[n]->activity != ACT_WAIT_SIPI)
			return c->all[n];
	return c;
}

static u16 header(const struct cpu *c, u32 slb, u32 word)
{
	u16 v;

	cpu_read(c, BY_VIRT, slb + word, &v, sizeof(v));
	return v;
}

/* The image as its header says, or nothing: then whoever measures "will conclude that no valid SL was started". A block
 * lies within one MiB. */
static void measure(struct cpu *c, u32 slb, u64 length)
{
	const struct secure_init *secure = &c->bus->secure;
	u8 image[SLB_SIZE];

	cpu_read(c, BY_VIRT, slb, image, length);
	if (secure->measure)
		secure->measure(secure->arg, image, length);
}

void svm_skinit(struct cpu *c, u32 eax, u64 rip)
{
	const u32 slb = eax & ~(SLB_SIZE - 1);
	const struct secure_init *secure = &c->bus->secure;

	reinitialise(c, slb);
	if (secure->protect)
		secure->protect(secure->arg, slb);

	bool complete = svm_secure_start(c);

	if (!complete)
		svm_tell_skinit(c, unprepared(c), slb, rip);
	measure(c, slb, complete ? header(c, slb, SLB_LENGTH) : 0);
	c->r[REG_RIP] = slb + header(c, slb, SLB_ENTRY);
}
