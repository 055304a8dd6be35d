/*
 * The secure loader: what SKINIT starts, measured and alone. docs/tutorial-skinit.md goes through it with the manual's
 * sections. It believes nothing that lies outside its measured image, keeps devices and the other processors in order,
 * measures what it is going to run, runs it, and gives the machine back.
 */
#include "loader.h"
#include "tis.h"

extern u8 image_end[] __attribute__((visibility("hidden")));
extern u8 bss_start[] __attribute__((visibility("hidden")));
extern u8 bss_end[] __attribute__((visibility("hidden")));

u32 loader_main(u32 slb) __attribute__((visibility("hidden")));
void unexpected(u32 eip) __attribute__((noreturn, visibility("hidden")));

void unexpected(u32 eip)
{
	print("loader: an exception that nobody expected; on its stack 0x%x\n", eip);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* "Second measurement": a copy that nobody can change any more is hashed, the digest goes to PCR 18, and the copy runs. */
static bool measure_guest(const struct handoff *h, u32 slb)
{
	u8 *memory = (u8 *)(slb + AT_GUEST), digest[DIGEST];
	u32 rc;

	if (h->guest_size > GUEST_MAX)
		return false;
	memset(memory, 0, GUEST_MEMORY);
	memcpy(memory + GUEST_ENTRY, (const void *)h->guest, h->guest_size);
	sha256(memory + GUEST_ENTRY, h->guest_size, digest);
	print("loader: %u bytes of guest, SHA-256 ", h->guest_size);
	for (unsigned n = 0; n < DIGEST; n++)
		print("%c%c", "0123456789abcdef"[digest[n] >> 4], "0123456789abcdef"[digest[n] & 15]);
	print("\n");
	if (!tpm_there()) {
		print("loader: no TPM: nobody will ever know what ran\n");
		return true;
	}
	if (!tpm_take(2))
		return false;
	rc = tpm_pcr_extend(2, 18, digest);
	tpm_leave(2);
	print("loader: PCR 18 extended with it at locality 2: TPM response 0x%x\n", rc);
	return !rc;
}

static void report_refused(void)
{
	u32 address, device;

	if (dev_refused(&address, &device))
		print("loader: device %u reached for 0x%x: refused\n", device, address);
}

static void launch(const struct handoff *h, u32 slb)
{
	dev_close_memory(slb);
	others_prepare(slb);
	if (!others_start(h->others))
		print("loader: the other processors are not as they should be\n");
	else if (!measure_guest(h, slb))
		print("loader: the guest was not measured, and is not run\n");
	else if (!guest_run(slb))
		print("loader: the guest did not do as it should\n");
	else
		print("loader: done\n");
	report_refused();
}

/* "SL Abort", "Aborting MP initialization": nothing of ours stays behind; then GIF, VM_CR, and the devices. */
static void give_back(u32 slb)
{
	memset((void *)(slb + AT_PAGES), 0, SLB_RESERVED - AT_PAGES);
	others_release();
	stgi();
	wrmsr(MSR_VM_CR, 0);
	wrmsr(MSR_EFER, 0);
	dev_open();
	print("loader: GIF 1, VM_CR 0x%x, SL_DEV off, DEV off: back to the driver\n", rdmsr(MSR_VM_CR));
}

/* Called on the loader's stack with everything in protected memory; the answer: where to go on, 0 for nowhere. */
u32 loader_main(u32 slb)
{
	struct handoff h = *(const struct handoff *)image_end; /* once: what is checked is what is used */

	memset(bss_start, 0, (size_t)(bss_end - bss_start)); /* it was not measured */
	if (h.magic != HANDOFF_MAGIC || slb < SLB_LOWEST || slb + SLB_RESERVED > SLB_LIMIT)
		return 0;
	print("loader: measured and started at 0x%x, VM_CR 0x%x\n", slb, rdmsr(MSR_VM_CR));
	wrmsr(MSR_EFER, EFER_SVME); /* SKINIT cleared it; STGI is needed */
	if (dev_find())
		launch(&h, slb);
	else
		print("loader: no DEV: devices cannot be kept out\n");
	give_back(slb);
	return h.resume;
}
