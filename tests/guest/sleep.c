/*
 * S3 by the hand of a program: what the tables say of it, an alarm of the RTC, and back through each kind of waking
 * vector with memory as it was, and processors and devices as firmware leaves them. "Waking and Initialization" and
 * "Firmware ACPI Control Structure (FACS)" of the ACPI specification. Runs with any number of processors; the word
 * `forever` on the command line: no alarm, so that somebody must press a button; `above`: a vector above 4 GiB, too,
 * with -m 3G.
 */
#include "comeback.h"

enum { LAPIC = 0xfee00000, AP_PAGE = 0x8000, AP_COUNT = 0x8ff0, SIZE = 1 << 20 };
enum { PM1_EN = 2, WAK = 0x8000, RTC = 0x400, PWRBTN = 0x100, SLP_EN = 1 << 13 };

static u8 *facs, *dsdt;
static u16 pm1_evt, pm1_cnt;
static u8 sleep_type;
static u8 pattern[SIZE];
static bool kept; /* by MemClrDis: there is a northbridge */

static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return v;
}

static u64 get64(const u8 *p)
{
	return get32(p) | (u64)get32(p + 4) << 32;
}

/* ---- what the tables say ---- */

static u8 *find_table(const char *name)
{
	for (u64 a = 0xe0000; a < 0x100000; a += 16) {
		if (memcmp(at(a), "RSD PTR ", 8))
			continue;
		u8 *xsdt = at(get64(at(a) + 24));
		for (u32 n = 36; n < get32(xsdt + 4); n += 8)
			if (!memcmp(at(get64(xsdt + n)), name, 4))
				return at(get64(xsdt + n));
	}
	return NULL;
}

/* Name (\_S3, Package () { PM1a_CNT.SLP_TYP, ...}): NameOp, "_S3_", PackageOp, length, elements. */
static bool find_sleep_type(void)
{
	for (u32 n = 36; n + 9 < get32(dsdt + 4); n++) {
		const u8 *p = dsdt + n;
		if (p[0] != 0x08 || memcmp(p + 1, "_S3_", 4) || p[5] != 0x12)
			continue;
		sleep_type = p[8] == 0x0a ? p[9] : p[8]; /* BytePrefix, or ZeroOp, OneOp */
		return true;
	}
	return false;
}

static bool tables(void)
{
	u8 *fadt = find_table("FACP");

	if (!fadt)
		return false;
	facs = at(get32(fadt + 36));
	dsdt = at(get32(fadt + 40));
	pm1_evt = (u16)get32(fadt + 56);
	pm1_cnt = (u16)get32(fadt + 64);
	check("FACS", memcmp(facs, "FACS", 4), 0);
	check("FACS length", get32(facs + 4), 64);
	check("64BIT_WAKE_SUPPORTED_F", get32(facs + 20) & 2, 2);
	check("FACS version", facs[32], 2);
	check("FIX_RTC: the RTC's event is a fixed one", get32(fadt + 112) >> 6 & 1, 0);
	check("\\_S3 is there", find_sleep_type(), true);
	check("and not \\_S0's", sleep_type != 0, true);
	return true;
}

/* ---- the clock ---- */

static unsigned seconds(void)
{
	u8 v;

	do
		v = cmos(0);
	while (v != cmos(0));
	return (v >> 4) * 10u + (v & 15);
}

static void set_alarm(unsigned in)
{
	unsigned s = (seconds() + in) % 60;

	set_cmos(1, (u8)(s / 10 << 4 | s % 10));
	set_cmos(3, 0xff); /* any minute and hour */
	set_cmos(5, 0xff);
	cmos(0x0c);
	set_cmos(0x0b, cmos(0x0b) | 0x20);
	outw(pm1_evt + PM1_EN, RTC);
}

/* ---- the other processors ---- */

/* Each counts itself and stops. */
asm(".pushsection .rodata\n ap_code: .code16\n xor %ax, %ax; mov %ax, %ds; lock incl 0x8ff0; 1: cli; hlt; jmp 1b; "
    "ap_code_end: .code64; .popsection");
extern u8 ap_code[], ap_code_end[];

static void ipi(u32 low)
{
	mmio_write(LAPIC + 0x300, 0xc0000 | low); /* all but self */
	for (u64 end = rdtsc() + 20000000; rdtsc() < end;)
		asm volatile("pause");
}

static u32 start_others(void)
{
	volatile u32 *count = (volatile u32 *)at(AP_COUNT);

	memcpy(at(AP_PAGE), ap_code, (size_t)(ap_code_end - ap_code));
	*count = 0;
	ipi(0x4500);
	ipi(0x4608);
	return *count;
}

/* ---- sleeping ---- */

static void go_to_sleep(void)
{
	outw(pm1_evt, 0xffff);
	kept = keep_memory(); /* as \_PTS does */
	asm volatile("wbinvd");
	outw(pm1_cnt, (u16)(sleep_type << 10));
	outw(pm1_cnt, (u16)(sleep_type << 10 | SLP_EN));
}

static void fill(u8 with)
{
	for (u32 n = 0; n < SIZE; n++)
		pattern[n] = (u8)(n * 31 + (n >> 8) + with);
}

static u32 wrong(u8 with)
{
	u32 bad = 0;

	for (u32 n = 0; n < SIZE; n++)
		bad += pattern[n] != (u8)(n * 31 + (n >> 8) + with);
	return bad;
}

static void vectors(unsigned mode, u64 entry)
{
	u32 real = mode == 16 ? (u32)entry : 0, flags = mode == 64;
	u64 wide = mode == 16 ? 0 : entry;

	memcpy(facs + 12, &real, 4);
	memcpy(facs + 24, &wide, 8);
	memcpy(facs + 36, &flags, 4);
}

static void one_sleep(unsigned mode, u64 entry, u32 others, bool alarm)
{
	u64 types = rdmsr(MSR_MTRR_DEF_TYPE);
	u16 cw = 0x27f;

	print("%u-bit vector 0x%lx\n", mode, entry);
	fill((u8)mode);
	vectors(mode, entry);
	outb(0x21, 0xa5);
	wrmsr(MSR_MTRR_DEF_TYPE, types & ~0x400ull); /* no fixed ranges */
	mmio_write(LAPIC + 0xf0, 0x1ff);
	asm volatile("fldcw %0" ::"m"(cw));
	unsigned before = seconds();
	outw(pm1_evt + PM1_EN, 0);
	if (alarm)
		set_alarm(3);
	leave_by(go_to_sleep);
	asm volatile("fstcw %0" : "=m"(cw));
	check("mode", arrival.mode, mode);
	if (mode == 16) {
		check("CS", arrival.cs, COMEBACK >> 4);
		check("CR0.PE and PG", arrival.cr0 & 0x80000001, 0);
		check("IF", arrival.flags & 0x200, 0);
	} else {
		check("CR0.PE and PG", arrival.cr0 & 0x80000001, mode == 64 ? 0x80000001 : 1);
	}
	check("memory", wrong((u8)mode), 0);
	if (kept)
		proves("svm.3.2.10");
	check("WAK_STS and who woke", inw(pm1_evt) & (WAK | RTC | PWRBTN), alarm ? WAK | RTC : WAK | PWRBTN);
	check("slept", !alarm || (seconds() + 60 - before) % 60 == 3, true);
	check("the 8259 lost its mask", inb(0x21), 0xff);
	check("memory types as firmware leaves them", rdmsr(MSR_MTRR_DEF_TYPE), types);
	check("local APIC as firmware leaves it", mmio_read(LAPIC + 0xf0), 0x10f);
	check("x87 as firmware leaves it", cw, 0x37f);
	check("the other processors start again", start_others(), others);
	cmos(0x0c);
}

/* mov eax, comeback64; jmp rax, in the last page of RAM above 4 GiB. */
static u64 far_entry(void)
{
	u64 la = 0x140000000 - 4096;
	u8 *p = at(la);
	u32 to = (u32)(u64)comeback64;

	map_page(pml4, la, la, 3);
	p[0] = 0xb8;
	memcpy(p + 1, &to, 4);
	p[5] = 0xff;
	p[6] = 0xe0;
	return la;
}

static bool word(const char *wanted)
{
	extern u32 boot_info;
	const char *s = (const char *)at(get64(at(boot_info) + 24));
	size_t n = 0;

	while (wanted[n])
		n++;
	for (; *s; s++)
		if (!memcmp(s, wanted, n))
			return true;
	return false;
}

int main(void)
{
	u32 others;

	comeback_prepare();
	if (!tables())
		return 1;
	others = start_others();
	if (word("forever")) {
		one_sleep(16, COMEBACK, others, false);
		return guest_verdict();
	}
	one_sleep(16, COMEBACK, others, true);
	one_sleep(32, (u64)comeback32, others, true);
	one_sleep(64, (u64)comeback64, others, true);
	if (word("above"))
		one_sleep(64, far_entry(), others, true);
	one_sleep(16, COMEBACK, others, true);
	return guest_verdict();
}
