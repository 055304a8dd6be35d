/*
 * SKINIT on a whole machine: a loader is started again and again, with this image and that, and PCR 17 of the TPM is what
 * SHA-256, computed here, makes of the same bytes. Without a TPM the loader starts all the same.
 */
#include "svm.h"

#include "tis.h"

enum { SLB = 0x3000000, VM_CR = 0xc0010114, APIC = 0xfee00000, OTHER = 0x8000, COUNT = 0x8f00, ENTRY = 16 };

extern const u8 loader[], loader_end[], other[], other_end[];
extern struct {
	u32 eax, edx, esp, others, eflags, cr0;
	u16 cs, ss;
	u32 base, efer, vm_cr;
} landed;
void secure_start(u64 rax);
void sha256(const u8 *data, u32 size, u8 digest[DIGEST]); /* of guests/secure-loader, as the TPM's registers are */

static bool tpm;

static void put_image(u16 length)
{
	u8 *slb = (u8 *)SLB;

	for (u32 n = 0; n < 0x10000; n++)
		slb[n] = (u8)(n * 11 + 5);
	memcpy(slb, loader, (u64)(loader_end - loader));
	memcpy(slb + 2, &length, 2);
}

/* H(0^32 || H(image)): PCR 17 was reset, and extended once. Before the loader uses the block as its stack. */
static u8 want[32];
static void expect(u32 size)
{
	u8 both[64] = {0};

	sha256((u8 *)SLB, size, both + 32);
	sha256(both, 64, want);
}

/* size: of the image that should be measured. */
static void start(u64 rax, u32 size)
{
	expect(size);
	memset(&landed, 0xa5, sizeof(landed));
	secure_start(rax);
	check(REQ("svm.4.SKINIT.5") "EAX", landed.eax, SLB);
	check(REQ("svm.3.1.6.30") "ESP", landed.esp, SLB + 0x10000);
	check(REQ("svm.4.SKINIT.8") "the other registers", landed.others, 0);
	check(REQ("svm.4.SKINIT.17") "EFLAGS", landed.eflags & ~0x44u, 2); /* ZF and PF are the loader's own */
	check(REQ("svm.4.SKINIT.2") "CR0", landed.cr0 & 0x80000001, 1);
	check(REQ("svm.4.SKINIT.3") "CS", landed.cs, 8);
	check(REQ("svm.4.SKINIT.4") "SS", landed.ss, 0x10);
	check(REQ("svm.3.1.6.31") "where it runs", landed.base, SLB);
	check(REQ("svm.4.SKINIT.9") "EFER", landed.efer, 0);
	check(REQ("svm.4.SKINIT.10") "VM_CR", landed.vm_cr & 7, 7);
}

/* "SL Abort": GIF and VM_CR as before. EFER.SVME is what it was. */
static void abort_it(void)
{
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x1000);
	asm volatile("stgi");
	wrmsr(VM_CR, 0);
}

static void pcr17(unsigned locality, u8 value[DIGEST])
{
	memset(value, 0, DIGEST);
	check("the locality is ours", tpm_take(locality), true);
	check("TPM2_PCR_Read", tpm_pcr_read(locality, 17, value), 0);
	tpm_leave(locality);
}

static void measured(const char *what)
{
	u8 got[32];

	if (!tpm)
		return;
	for (unsigned l = 0; l < 4; l++) {
		pcr17(l, got);
		vcheck(what, REQ("svm.3.1.4.1 svm.3.1.5.1 svm.3.1.6.24 svm.3.1.6.25 svm.4.SKINIT.15") "PCR 17",
		       (u64)memcmp(got, want, 32), 0);
	}
}

static void digest(void)
{
	static const u8 abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
	                         0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	u8 got[32];

	sha256((const u8 *)"abc", 3, got);
	check("SHA-256 as FIPS 180-4 has it", memcmp(got, abc, 32), 0);
}

/* ---- images ---- */

static void images(void)
{
	static const u16 lengths[] = {0x1000, 0x1000, 0, 1, 4, 63, 64, 0x8001, 65535};
	u8 before[32], after[32], zero[32];

	for (unsigned n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
		put_image(lengths[n]);
		start(SLB, lengths[n]);
		abort_it();
		measured("an image");
	}
	put_image(65535);
	((u8 *)SLB)[0xfffe] ^= 1; /* the last byte of it */
	start(SLB, 65535);
	abort_it();
	measured("a flipped byte");
	if (tpm)
		pcr17(0, before);
	put_image(65535);
	((u8 *)SLB)[0xffff] ^= 1; /* behind it */
	start(SLB, 65535);
	abort_it();
	measured("a byte that is not measured");
	if (!tpm)
		return;
	pcr17(0, after);
	check("one byte makes another PCR 17", memcmp(before, after, 32) != 0, 1);
	memset(zero, 0, 32);
	check("there is one", memcmp(zero, after, 32) != 0, 1);
}

static void addresses(void)
{
	static const u64 rax[] = {SLB | 1, SLB | 0xffff, 0xdeadbeef00000000 | SLB};

	for (unsigned n = 0; n < sizeof(rax) / sizeof(rax[0]); n++) {
		put_image(0x100);
		start(rax[n], 0x100);
		abort_it();
		measured("EAX not aligned");
	}
	proves("svm.3.1.6.20");
}

/* ---- "SL Abort" ---- */

static volatile unsigned taken;

static bool nmi(struct regs *r)
{
	(void)r;
	taken++;
	return true;
}

/* An NMI that comes behind SKINIT is held until GIF is 1; afterwards NMIs are taken at once. */
static void aborted(void)
{
	on_exception(2, nmi);
	put_image(0x100);
	start(SLB, 0x100);
	mmio_write(APIC + 0x300, 0x44400); /* to itself */
	for (volatile unsigned n = 0; n < 100; n++)
		;
	check(REQ("svm.3.1.6.28 svm.3.1.6.40") "held", taken, 0);
	abort_it();
	asm volatile("nop; nop");
	check(REQ("svm.3.1.6.40") "taken", taken, 1);
	mmio_write(APIC + 0x300, 0x44400);
	asm volatile("nop; nop");
	check(REQ("svm.3.1.7.1") "as ever", taken, 2);
	check(REQ("svm.3.1.7.1") "VM_CR", rdmsr(VM_CR), 0);
}

/* ---- several processors ---- */

static unsigned processors(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	return (r[2] & 0xff) + 1;
}

static void ipi(u32 icr)
{
	mmio_write(APIC + 0x310, 1u << 24);
	mmio_write(APIC + 0x300, icr);
	while (mmio_read(APIC + 0x300) & 0x1000)
		;
}

/* A processor that does not wait for a Startup IPI: the TPM hears of an empty image. */
static void unprepared(void)
{
	volatile u32 *count = (u32 *)COUNT;

	memcpy((void *)OTHER, other, (u64)(other_end - other));
	*count = 0;
	ipi(0x4500);                /* INIT */
	ipi(0x4600 | OTHER >> 12);  /* Startup */
	for (u64 begin = rdtsc(); !*count && rdtsc() - begin < 1000000000;)
		;
	check("the other one runs", *count, 1);
	put_image(0x200);
	start(SLB, 0);
	abort_it();
	measured(REQ("svm.3.1.8.15 svm.3.1.6.26") "another processor runs");
	ipi(0x4500);
	put_image(0x200);
	start(SLB, 0x200);
	abort_it();
	measured(REQ("svm.3.1.6.23") "it waits again");
}

int main(void)
{
	if (!svm_enable())
		return 1;
	digest();
	tpm = tpm_there();
	print("TPM: %s\n", tpm ? "there" : "none");
	mmio_write(APIC + 0xf0, 0x1ff);
	images();
	addresses();
	aborted();
	if (processors() > 1)
		unprepared();
	return guest_verdict();
}
