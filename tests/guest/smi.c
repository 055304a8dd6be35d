/*
 * Where SMIs come from, and that locked SMRAM stays shut: two processors with handlers in SMRAM, every cause that the ICH9,
 * the I/O APIC, MSIs, IPIs and local vectors have, and everybody who might look into SMRAM or change it. Intel ICH9 data
 * sheet, Intel 3 Series Express Chipset data sheet. Run with --smp 2, one educational device and a generator.
 */
#include "masters.h"
#include "processors.h"
#include "t64.h"

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull
enum { EDU = 0x11e81234, RNG = 0x10441af4, LPC = 0x1f << 3 };
enum { PM1_STS = 0x600, PM1_EN = 0x602, PM1_CNT = 0x604, SMI_EN = 0x630, SMI_STS = 0x634 };
enum { TCO_DAT_IN = 0x662, TCO1_STS = 0x664 };
enum { GBL = 1, EOS = 2, BIOS = 4, SLP = 0x10, APMC = 0x20, SWSMI = 0x40, BIOS_RLS = 0x80, PM1 = 0x100 };
enum { TCO = 0x2000, PERIODIC = 0x4000 };
enum { SCI_EN = 1, GBL_RLS = 4, SLP_S3 = 1 << 10, SLP_EN = 1 << 13 };
enum { G_SMRAME = 8, D_LCK = 0x10, D_OPEN = 0x40, T_EN = 1, E_SMERR = 0x40 };
enum { SMBASE = 0x30000, ENTRY = 0x8000, SECRET = 0xb8000, CODE = 0xb9000 };
static const u32 home[2] = {0xa0000, 0xa8000}; /* SMBASE of each */
static u64 tseg;

/* ---- handlers: 16-bit code at SMBASE + 8000h, and what they and we have to say to each other ---- */

struct box {
	u32 count;
	u32 relocate; /* the SMBASE to come; 0: as it is */
	u32 look;     /* an address; 0: none */
	u8 seen, store, stores;
	u32 answers;  /* it deals with the chipset: clears SMI_STS and sets EOS */
	u32 causes;   /* SMI_STS as it was, one over the other */
	u32 port, value; /* before that: a dword to be written there; 0: none */
};
static volatile struct box *const box = (struct box *)0x9000;

asm(".pushsection .rodata\n .globl smi_code, smi_box, smi_code_end\n smi_code: .code16\n"
    " mov %cs:(smi_box - smi_code + 0x8000), %ebx; addr32 incl (%ebx)\n"
    " addr32 mov 8(%ebx), %esi; test %esi, %esi; jz 1f; addr32 mov (%esi), %al; addr32 mov %al, 12(%ebx)\n"
    " addr32 cmpb $0, 14(%ebx); je 1f; addr32 mov 13(%ebx), %al; addr32 mov %al, (%esi)\n"
    "1: addr32 mov 4(%ebx), %eax; test %eax, %eax; jz 3f; mov %cs:0xfefc, %cl; cmp $0x64, %cl; je 2f\n"
    " mov %eax, %cs:0xfef8; jmp 3f\n" /* the revision id says whose map it is */
    "2: mov %eax, %cs:0xff00\n"
    "3: addr32 cmpl $0, 16(%ebx); je 5f\n"
    " mov $0x634, %dx; in %dx, %eax; addr32 or %eax, 20(%ebx)\n"
    " addr32 mov 24(%ebx), %edx; test %dx, %dx; jz 4f; addr32 mov 28(%ebx), %eax; out %eax, %dx\n"
    "4: mov $0x634, %dx; in %dx, %eax; out %eax, %dx; mov $0x630, %dx; in %dx, %eax; or $2, %al; out %eax, %dx\n"
    "5: rsm\n .balign 4\n smi_box: .long 0\n smi_code_end: .code64\n .popsection\n");
extern u8 smi_code[], smi_box[], smi_code_end[];

static void put_handler(u32 smbase, unsigned n)
{
	u8 *to = (u8 *)(u64)(smbase + ENTRY);

	memcpy(to, smi_code, (size_t)(smi_code_end - smi_code));
	*(u32 *)(to + (smi_box - smi_code)) = (u32)(u64)&box[n];
}

/* ---- registers ---- */

static u8 bridge(unsigned reg)
{
	return (u8)(cfg(0, reg) >> 8 * (reg & 3));
}

static void bridge_put(unsigned reg, u8 v)
{
	outl(0xcf8, 0x80000000u | (reg & 0xfc));
	outb((u16)(0xcfc + (reg & 3)), v);
}

static void lpc_put(unsigned reg, u8 v)
{
	outl(0xcf8, 0x80000000u | LPC << 8 | (reg & 0xfc));
	outb((u16)(0xcfc + (reg & 3)), v);
}

static void smram(u8 v)
{
	bridge_put(0x9d, v);
}

/* ---- the second processor ---- */

static volatile struct {
	u64 (*what)(u64 arg);
	u64 arg, result;
	bool here;
} order;

enum { TIMER = 0x50, WAKE };

static bool on_interrupt(struct regs *r)
{
	(void)r;
	mmio_write(LAPIC + 0xb0, 0);
	return true;
}

/* Halted in between: SMIs find it so. */
static void second(void)
{
	mmio_write(LAPIC + 0xf0, 0x1ff);
	order.here = true;
	for (;;) {
		while (!order.what)
			asm volatile("sti; hlt; cli" ::: "memory");
		order.result = order.what(order.arg);
		order.what = NULL;
	}
}

static void wait_for(volatile u32 *v, u32 want)
{
	for (u64 k = 0; k < 1000000 && *v != want; k++)
		asm volatile("pause" ::: "memory");
}

static void ipi(unsigned to, u32 v)
{
	mmio_write(LAPIC + 0x310, to << 24);
	mmio_write(LAPIC + 0x300, v);
}

static u64 ask(u64 (*what)(u64), u64 arg)
{
	order.arg = arg;
	order.what = what;
	ipi(1, 0x4000 | WAKE);
	for (u64 k = 0; k < 10000000 && order.what; k++)
		asm volatile("pause" ::: "memory");
	check("the second processor has done it", order.what == NULL, true);
	return order.result;
}

static void start_second(void)
{
	on_exception(TIMER, on_interrupt);
	on_exception(WAKE, on_interrupt);
	ap_prepare(second, (u64)page_alloc() + 4096);
	ipi(1, 0x4500);
	ipi(1, STARTUP_IPI);
	for (u64 k = 0; k < 10000000 && !order.here; k++)
		asm volatile("pause" ::: "memory");
	check("the second processor is here", order.here, true);
}

/* How many SMIs each had since it was asked last; who answers for the chipset is the first. */
static void expect(const char *name, u32 first, u32 others, u32 causes)
{
	for (u64 k = 0; k < 100000 && (box[0].count != first || box[1].count != others); k++)
		asm volatile("pause" ::: "memory");
	check(name, box[0].count, first);
	vcheck(name, "the second processor", box[1].count, others);
	vcheck(name, "SMI_STS", box[0].causes, causes);
	box[0].count = box[1].count = box[0].causes = 0;
}

/* ---- homes ---- */

static void relocate(void)
{
	smram(G_SMRAME | D_OPEN);
	for (unsigned n = 0; n < 2; n++) {
		put_handler(SMBASE, n);
		put_handler(home[n], n);
		box[n].relocate = home[n];
		ipi(n, 0x4200);
		wait_for(&box[n].count, 1);
		box[n].relocate = 0;
	}
	smram(G_SMRAME);
	expect("an IPI each, at 38000h", 1, 1, 0);
	*(volatile u8 *)(SMBASE + ENTRY) = 0xf4; /* nobody comes there any more */
	box[0].answers = 1;
}

/* ---- causes ---- */

static void by_command(void)
{
	outl(SMI_EN, GBL | APMC);
	outb(0xb3, 0x5a);
	outb(0xb2, 0x17);
	check("APM: at once", box[0].count, 1);
	expect("APM: both", 1, 1, APMC);
	check("APM_CNT", inb(0xb2), 0x17);
	check("APM_STS", inb(0xb3), 0x5a);
	check("EOS", inl(SMI_EN), GBL | APMC | EOS);
	asm volatile("mov $3, %%ecx; mov $0xb2, %%edx; rep outsb" ::"S"(smi_code) : "ecx", "edx", "memory");
	expect("APM: repeated", 3, 3, APMC);
	outl(SMI_EN, GBL);
	outb(0xb2, 0x17);
	expect("APMC_EN 0", 0, 0, 0);
}

static void by_messages(unsigned edu_fn)
{
	unsigned at = capability(edu_fn, 5);
	u64 edu = cfg(edu_fn, 0x10) & ~15u;

	ipi(1, 0x4200);
	expect("an IPI to the other", 0, 1, 0);
	ipi(0, 0xc4200);
	expect("to all but self", 0, 1, 0);
	ipi(0, 0x44200);
	ipi(0, 0x84200);
	expect("to self, to all: no such IPI", 0, 0, 0);
	ipi(0xff, 0xc200);
	expect("to everybody, as a level", 1, 1, 0);

	mmio_write(IOAPIC, 0x15);
	mmio_write(IOAPIC + 0x10, 1 << 24);
	mmio_write(IOAPIC, 0x14);
	mmio_write(IOAPIC + 0x10, 0x200);
	outb(0x43, 0x30), outb(0x40, 100), outb(0x40, 0); /* the 8254's interrupt on terminal count: input 2 */
	expect("I/O APIC", 0, 1, 0);
	mmio_write(IOAPIC + 0x10, 0x10000);

	cfg_put(edu_fn, COMMAND, BUS_MASTER | 3);
	cfg_put(edu_fn, at + 4, 0xfee00000 | 1 << 12);
	cfg_put(edu_fn, at + 8, 0);
	cfg_put(edu_fn, at + 12, 0x200);
	cfg_put(edu_fn, at, cfg(edu_fn, at) | 1 << 16);
	mmio_write(edu + 0x60, 1);
	expect("MSI", 0, 1, 0);
	mmio_write(edu + 0x64, 1);

	outb(0x21, 0xfe);
	mmio_write(LAPIC + 0x350, 0x200);
	outb(0x43, 0x30), outb(0x40, 100), outb(0x40, 0);
	expect("LINT0, an edge of the 8259s", 1, 0, 0);
	mmio_write(LAPIC + 0x350, 0x10000);
	outb(0x21, 0xff);
}

/* HLT for so many milliseconds: the processor is halted when the SMI comes, and again behind it. */
static void sleep_ms(u32 ms)
{
	mmio_write(LAPIC + 0x3e0, 0xa); /* by 128, of 1 GHz */
	mmio_write(LAPIC + 0x320, TIMER);
	mmio_write(LAPIC + 0x380, ms * 7813);
	asm volatile("sti; hlt; cli" ::: "memory");
}

static void by_timers(void)
{
	static const u32 us[4] = {1500, 16000, 32000, 64000};

	for (u8 n = 0; n < 4; n++) {
		lpc_put(0xa4, (u8)(n << 6));
		outl(SMI_EN, GBL | SWSMI);
		u64 from = rdtsc();
		while (!box[0].count && rdtsc() - from < 200000000)
			;
		u64 took = (rdtsc() - from) / 1000;
		check("software timer: not before", took >= us[n], true);
		check("software timer: soon", took < us[n] + 100, true);
		expect("software timer", 1, 1, SWSMI);
		sleep_ms(100);
		expect("software timer: once", 0, 0, 0);
		outl(SMI_EN, GBL | EOS);
	}
	lpc_put(0xa0, 3);
	outl(SMI_STS, PERIODIC);
	outl(SMI_EN, GBL | PERIODIC | EOS);
	for (unsigned n = 0; n < 3; n++) {
		sleep_ms(8000);
		expect("periodic, 8 s", 1, 1, PERIODIC);
	}
	lpc_put(0xa0, 2);
	sleep_ms(16000);
	expect("periodic, 16 s", 1, 1, PERIODIC);
	outl(SMI_EN, GBL | EOS);
}

static void by_power_management(void)
{
	check("ACPI mode", inw(PM1_CNT), SCI_EN);
	outl(SMI_EN, GBL | BIOS | EOS);
	outw(PM1_CNT, SCI_EN | GBL_RLS);
	expect("GBL_RLS", 1, 1, BIOS);
	outl(SMI_EN, GBL | BIOS_RLS);
	check("BIOS_RLS: GBL_STS", inw(PM1_STS) & 0x20, 0x20);
	expect("BIOS_RLS: no SMI", 0, 0, 0);
	outw(PM1_STS, 0x20);

	outl(SMI_EN, GBL | SLP);
	outw(PM1_CNT, SCI_EN | SLP_S3 | SLP_EN); /* or we shall not wake up */
	expect("SLP_EN", 1, 1, SLP);
	outl(SMI_EN, GBL);

	outw(PM1_CNT, 0);
	outw(PM1_STS, 0xffff);
	outw(PM1_EN, 1);
	box[0].port = PM1_STS; /* the handler's: clear it, disable it */
	box[0].value = 1;
	sleep_ms(2400);
	expect("the PM timer, SCI_EN 0", 1, 1, PM1);
	outw(PM1_CNT, SCI_EN);
	outw(PM1_EN, 1);
	sleep_ms(2400);
	check("SCI_EN 1: the status", inw(PM1_STS) & 1, 1);
	expect("the PM timer, SCI_EN 1", 0, 0, 0);
	outw(PM1_EN, 0);

	outl(SMI_EN, GBL | TCO);
	box[0].port = TCO1_STS;
	box[0].value = 0xffff;
	outb(TCO_DAT_IN, 1);
	expect("TCO_DAT_IN", 1, 1, TCO);
	lpc_put(0xdc, 2); /* BLE */
	lpc_put(0xdc, 3);
	expect("BIOSWE, locked", 1, 1, TCO);
	box[0].port = 0;
}

static void locks(void)
{
	lpc_put(0xa0, 0x10);
	outl(SMI_EN, APMC);
	check("SMI_LOCK: GBL_SMI_EN stays", inl(SMI_EN) & (GBL | APMC), GBL | APMC);
	outb(0xb2, 1);
	expect("SMI_LOCK: an SMI as ever", 1, 1, APMC);
	lpc_put(0xa0, 0);
	check("SMI_LOCK stays", cfg(LPC, 0xa0) & 0x10, 0x10);
	lpc_put(0xdc, 0);
	check("BLE stays", cfg(LPC, 0xdc) & 3, 2);
}

/* ---- locked SMRAM ---- */

static u64 read8(u64 at)
{
	return *(volatile u8 *)at;
}

static u64 write8(u64 at)
{
	*(volatile u8 *)at = 0xee;
	asm volatile("lock incb (%0)" ::"r"(at) : "memory");
	return 0;
}

static u64 call(u64 at)
{
	u64 (*f)(void) = (u64(*)(void))at;

	return f();
}

/* The exception that comes of it. */
static u64 fault_of(u64 at)
{
	return (u64)CATCH(call(at));
}

/* What a handler finds there; the byte it then stores. */
static u8 inside(unsigned n, u64 at, int store)
{
	box[n].look = (u32)at;
	box[n].store = (u8)store;
	box[n].stores = store >= 0;
	ipi(n, 0x4200);
	wait_for(&box[n].count, 1);
	box[n].look = 0;
	box[0].count = box[1].count = box[0].causes = 0;
	return box[n].seen;
}

static void edu_dma(u64 edu, u64 src, u64 dst, unsigned command)
{
	*(volatile u64 *)(edu + 0x80) = src;
	*(volatile u64 *)(edu + 0x88) = dst;
	*(volatile u64 *)(edu + 0x90) = 16;
	mmio_write(edu + 0x98, command);
	while (mmio_read(edu + 0x98) & 1)
		asm volatile("pause" ::: "memory");
}

static u32 edu_cycle(u64 edu, u64 addr, u32 command, u64 *data)
{
	*(volatile u64 *)(edu + 0xa0) = addr;
	*(volatile u64 *)(edu + 0xa8) = *data;
	mmio_write(edu + 0xb0, command);
	*data = *(volatile u64 *)(edu + 0xa8);
	return mmio_read(edu + 0xb4);
}

static void devices_keep_out(const char *name, u64 at, unsigned edu_fn, unsigned rng_fn)
{
	static u8 memory[64] __attribute__((aligned(64)));
	u64 edu = cfg(edu_fn, 0x10) & ~15u, data = 0x33, ring = (u64)page_alloc();

	edu_dma(edu, at, 0x40000, 1);
	edu_dma(edu, 0x40000, (u64)memory, 1 | 2);
	for (unsigned n = 0; n < 16; n++)
		vcheck(name, "DMA reads", memory[n], 0xff);
	memset(memory, 0x44, sizeof(memory));
	edu_dma(edu, (u64)memory, 0x40000, 1);
	edu_dma(edu, 0x40000, at, 1 | 2);
	vcheck(name, "a cycle that writes: master abort", edu_cycle(edu, at, 1 | 2, &data), 1);
	vcheck(name, "a cycle that reads: master abort", edu_cycle(edu, at, 1, &data), 1);
	vcheck(name, "a cycle reads", data & 0xff, 0xff);
	vcheck(name, "a generator's ring and buffer elsewhere", generator_ask(rng_fn, ring, ring + 0x100), 15);
	vcheck(name, "a generator's buffer", generator_ask(rng_fn, ring, at), 15 | 64);
	vcheck(name, "a generator's ring", generator_ask(rng_fn, at & ~0xfffull, ring + 0x100), 15 | 64);
}

/* One place in SMRAM, which holds 5Ah, and code beside it that returns 77h. */
static void nobody_reaches(const char *name, u64 at, u64 code, unsigned edu_fn, unsigned rng_fn)
{
	vcheck(name, "read", read8(at), 0xff);
	vcheck(name, "read by the other", ask(read8, at), 0xff);
	write8(at);
	ask(write8, at);
	vcheck(name, "run", fault_of(code), EX_UD);
	vcheck(name, "run by the other", ask(fault_of, code), EX_UD);
	devices_keep_out(name, at, edu_fn, rng_fn);
	vcheck(name, "read", read8(at), 0xff);
	vcheck(name, "inside", inside(0, at, -1), 0x5a);
	vcheck(name, "inside, the other", inside(1, at, 0x5b), 0x5a);
	vcheck(name, "inside, what that stored", inside(0, at, 0x5a), 0x5b);
	vcheck(name, "and outside not", read8(at), 0xff);
}

static void put_secret(u64 at, u64 code)
{
	static const u8 returns[] = {0xb8, 0x77, 0, 0, 0, 0xc3};

	memset((void *)at, 0x5a, 16);
	memcpy((void *)code, returns, sizeof(returns));
	for (unsigned n = 0; n < 3; n++)
		check("open: it runs", call(code), 0x77);
	check("open: on both", ask(call, code), 0x77);
	check("open: read by both", ask(read8, at), 0x5a);
}

static void locked(unsigned edu_fn, unsigned rng_fn)
{
	smram(G_SMRAME | D_OPEN);
	bridge_put(0x9e, T_EN);
	put_secret(SECRET, CODE);
	put_secret(tseg, tseg + 0x1000);
	smram(G_SMRAME);
	nobody_reaches("closed A0000h", SECRET, CODE, edu_fn, rng_fn);
	nobody_reaches("closed TSEG", tseg, tseg + 0x1000, edu_fn, rng_fn);
	smram(G_SMRAME | D_OPEN);
	check("open again: it runs", call(CODE), 0x77);
	check("open again: TSEG", call(tseg + 0x1000), 0x77);
	smram(G_SMRAME | D_OPEN | D_LCK);
	for (unsigned v = 0; v < 256; v++)
		smram((u8)(v & ~0x20));
	bridge_put(0x9e, 0);
	bridge_put(0xae, 0xff);
	nobody_reaches("locked A0000h", SECRET, CODE, edu_fn, rng_fn);
	nobody_reaches("locked TSEG", tseg, tseg + 0x1000, edu_fn, rng_fn);
	check("E_SMERR", bridge(0x9e), T_EN | E_SMERR | 0x38);
	bridge_put(0x9e, E_SMERR);
	check("E_SMERR: cleared", bridge(0x9e), T_EN | 0x38);
}

int main(void)
{
	unsigned edu_fn = 0, rng_fn = 0;

	for (unsigned fn = 0; fn < 256; fn++) {
		edu_fn = cfg(fn, 0) == EDU ? fn : edu_fn;
		rng_fn = cfg(fn, 0) == RNG ? fn : rng_fn;
	}
	check("an educational device and a generator", edu_fn && rng_fn, true);
	tseg = (cfg(0, 0xb0) >> 4 & 0xfff) << 20;
	tseg -= 1 << 20;
	memset((void *)box, 0, 2 * sizeof(*box));
	start_second();
	relocate();
	by_command();
	by_messages(edu_fn);
	by_timers();
	by_power_management();
	locked(edu_fn, rng_fn);
	locks();
	return guest_verdict();
}
