/*
 * secure-launch: a secure start on a machine that is running, from the untrusted side. This driver counts the processors
 * and lets them idle, puts a secure loader's image into memory, and executes SKINIT; loader.c runs then, and gives the
 * machine back here. What the TPM says afterwards tells a third party which loader ran, and which guest.
 * docs/tutorial-skinit.md goes through both with the manual's sections.
 *
 * On the command line: `flip`: one byte of the image is not what it was; `attack`: with --device edu, a device writes into
 * the loader's block while the loader runs.
 */
#include "agree.h"
#include "guest.h"
#include "svm.h"
#include "tis.h"

enum { SLB = 0x1000000, IDLE_PAGE = 0x7000, IDLE_COUNT = 0x7ff0 };
enum { LAPIC = 0xfee00000, ICR = 0x300, INIT = 0x4500, SIPI = 0x4600, ALL_OTHERS = 3 << 18, DELIVERY = 1 << 12 };
#define MSR_VM_CR 0xc0010114

extern u8 loader_image[] __asm__("_binary_guests_secure_loader_bin_start");
extern u8 loader_image_end[] __asm__("_binary_guests_secure_loader_bin_end");
extern u8 guest_image[] __asm__("_binary_guests_secure_guest_bin_start");
extern u8 guest_image_end[] __asm__("_binary_guests_secure_guest_bin_end");

/* An address the compiler knows nothing of. */
static void *at(u64 a)
{
	asm("" : "+r"(a));
	return (void *)a;
}

static bool word(const char *wanted)
{
	extern u32 boot_info;
	const char *s = at(*(u64 *)at(boot_info + 24)); /* hvm_start_info.cmdline_paddr */
	size_t n = 0;

	while (wanted[n])
		n++;
	for (; s && *s; s++)
		if (!memcmp(s, wanted, n))
			return true;
	return false;
}

/* ---- the other processors ---- */

/* What idles: counts itself and halts. */
asm(".pushsection .rodata\n idle: .code16\n cli; xor %ax, %ax; mov %ax, %ds; lock incl 0x7ff0; 1: hlt; jmp 1b\n"
    " idle_end: .code64; .popsection");
extern u8 idle[], idle_end[];

static void send_to_others(u32 command)
{
	mmio_write(LAPIC + ICR, ALL_OTHERS | command);
	while (mmio_read(LAPIC + ICR) & DELIVERY) /* "wait for its local APIC Busy indication to clear" */
		;
}

static u32 start_idling(void)
{
	volatile u32 *count = at(IDLE_COUNT);

	memcpy(at(IDLE_PAGE), idle, (size_t)(idle_end - idle));
	*count = 0;
	send_to_others(INIT);
	send_to_others(SIPI | IDLE_PAGE >> 12);
	for (u64 end = rdtsc() + 20000000; rdtsc() < end;)
		asm volatile("pause");
	return *count;
}

/* ---- a device that means harm: edu, 1234:11E8 ---- */

enum { DMA_SOURCE = 0x80, DMA_TARGET = 0x88, DMA_COUNT = 0x90, DMA_COMMAND = 0x98, BUFFER = 0x40000, ATTACK_BYTES = 256 };
static u64 edu;

static u32 config(u32 devfn, u32 reg)
{
	outl(0xcf8, 0x80000000 | devfn << 8 | reg);
	return inl(0xcfc);
}

static bool find_edu(void)
{
	for (u32 slot = 0; slot < 32; slot++) {
		if (config(slot << 3, 0) != 0x11e81234)
			continue;
		edu = config(slot << 3, 0x10) & ~15u;
		config(slot << 3, 4);
		outl(0xcfc, 6); /* memory decoded, bus master */
		return true;
	}
	return false;
}

static void dma(u64 source, u64 target, u32 to_memory)
{
	mmio_write(edu + DMA_SOURCE, (u32)source);
	mmio_write(edu + DMA_TARGET, (u32)target);
	mmio_write(edu + DMA_COUNT, ATTACK_BYTES);
	mmio_write(edu + DMA_COMMAND, 1 | to_memory);
}

static void wait_dma(void)
{
	while (mmio_read(edu + DMA_COMMAND) & 1)
		asm volatile("pause");
}

/* The last bytes of the SLB's first half: behind image and data, in front of the stacks. */
static u8 *target(void)
{
	return at(SLB + AT_STACKS - ATTACK_BYTES);
}

static u32 poisoned(void)
{
	u32 n = 0;

	for (u32 k = 0; k < ATTACK_BYTES; k++)
		n += target()[k] == 0x66;
	return n;
}

/* The device has the poison; what is started last takes some microseconds, and SKINIT comes first. */
static void load_attack(void)
{
	u8 *poison = page_alloc();

	memset(poison, 0x66, ATTACK_BYTES);
	dma((u64)poison, BUFFER, 0);
	wait_dma();
}

/* ---- the launch ---- */

/* SKINIT leaves nothing of a 64-bit world. What comes back is 32-bit code in a flat segment, on the loader's descriptors. */
asm(".pushsection .text\n"
    "launch: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq; cli\n"
    " mov %rsp, launch_rsp; sidt launch_idt; mov %edi, %eax; skinit %eax\n"
    " .code32\n"
    "resume: lgdt gdt_pointer; mov $pml4, %eax; mov %eax, %cr3; mov $0x620, %eax; mov %eax, %cr4\n"
    " mov $0xc0000080, %ecx; mov $0x900, %eax; xor %edx, %edx; wrmsr\n" /* LME, NXE */
    " mov %cr0, %eax; and $0x9fffffff, %eax; or $0x80010003, %eax; mov %eax, %cr0; ljmp $8, $1f\n"
    " .code64\n"
    "1: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs; mov %eax, %gs\n"
    " mov launch_rsp, %rsp; lidt launch_idt; popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection\n"
    ".pushsection .bss\n launch_rsp: .skip 8\n launch_idt: .skip 10\n .popsection");
void launch(u32 slb);
extern u8 resume[];

static void build_slb(u32 others)
{
	u32 size = (u32)(loader_image_end - loader_image);
	struct handoff h = { .magic = HANDOFF_MAGIC, .resume = (u32)(u64)resume, .others = others,
			     .guest = (u32)(u64)guest_image, .guest_size = (u32)(guest_image_end - guest_image) };

	memset(at(SLB), 0, SLB_SIZE);
	memcpy(at(SLB), loader_image, size);
	memcpy(at(SLB + size), &h, sizeof(h));
	if (word("flip"))
		*(u8 *)at(SLB + size - 1) ^= 1; /* padding, which is measured like everything else */
	print("driver: %u bytes of loader at 0x%x, entry point 0x%x\n", size, SLB, *(u16 *)at(SLB));
}

/* ---- what the TPM knows ---- */

static void show_pcr(unsigned pcr)
{
	u8 digest[DIGEST];
	u32 rc = tpm_take(0) ? tpm_pcr_read(0, pcr, digest) : TPM_NO_ANSWER;

	tpm_leave(0);
	print("driver: PCR %u ", pcr);
	for (unsigned n = 0; !rc && n < DIGEST; n++)
		print("%02x", digest[n]);
	if (rc)
		print("cannot be read: TPM response 0x%x", rc);
	print("\n");
}

static void show_pcrs(void)
{
	if (!tpm_there()) {
		print("driver: no TPM\n");
		return;
	}
	show_pcr(17);
	show_pcr(18);
}

/* A bit of its own says so today. In 2005 SKINIT was part of SVM, and a northbridge with DEV the sign that it is there. */
static bool has_skinit(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	return (r[2] & 1 << 12) || ((r[2] & 1 << 2) && (config(0x18 << 3 | 3, 0xf0) & 0xff) == 0x0f);
}

int main(void)
{
	bool attack = word("attack") && find_edu();
	u32 others, again;

	if (!has_skinit() || !svm_enable()) {
		print("driver: this processor has no SKINIT\n");
		return 1;
	}
	others = start_idling();
	print("driver: this processor and %u others, which are idle\n", others);
	show_pcrs();
	build_slb(others);
	if (attack)
		load_attack();
	send_to_others(INIT);
	print("driver: INIT sent to the others; now SKINIT\n");
	if (attack)
		dma(BUFFER, (u64)target(), 2);
	launch(SLB);
	print("driver: back, VM_CR 0x%lx\n", rdmsr(MSR_VM_CR));
	show_pcrs();
	if (attack) {
		print("driver: the device's write left %u of %u bytes in the SLB\n", poisoned(), ATTACK_BYTES);
		dma(BUFFER, (u64)target(), 2);
		wait_dma();
		print("driver: the same write now: %u of %u\n", poisoned(), ATTACK_BYTES);
	}
	again = start_idling();
	print("driver: %u others idle again\n", again);
	return again != others;
}
