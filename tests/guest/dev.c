/*
 * External access protection as software and devices see it: the capability block, the registers behind it, and what
 * becomes of every kind of access that a malicious device can make. 33047 "External Access Protection". Run with two
 * educational devices whose DMA engines reach all addresses and a virtio random number generator.
 */
#include "masters.h"
#include "svm.h"

enum { EDU = 0x11e81234, RNG = 0x10441af4, NORTHBRIDGE = 0x11031022 };
enum { STATUS = 6, MASTER_ABORT = 1 << 13 };
/* Table 2-10, table 2-11, figure 2-10. */
enum { BASE_LO = 0x000, BASE_HI = 0x100, MAP = 0x200, CAP = 0x300, CR = 0x400, ERR_STATUS = 0x500, ADDR_LO = 0x600, ADDR_HI = 0x700 };
enum { ENABLE = 1, IOSPEN = 4, MCE = 8, INVALIDATE = 16, SL_DEV_EN = 32 };
enum { V = 1, P = 2 };
enum { DMA_START = 1, DMA_OUT = 2, CYCLE_START = 1, CYCLE_WRITE = 2, MEMORY = 0 << 2, PORT = 1 << 2, CONFIG = 2 << 2 };
#define ECAM 0xb0000000ull
#define ONES 0xffffffffu

static unsigned nb, block, edu_fn[2], rng_fn;
static u64 edu[2];

/* ---- configuration space ---- */

static void find_devices(void)
{
	unsigned edus = 0, blocks = 0;

	for (unsigned fn = 0; fn < 256; fn++) {
		u32 id = cfg(fn, 0);
		if (id == ONES)
			continue;
		if (capability(fn, 0x0f))
			nb = fn, blocks++;
		if (id == EDU && edus < 2)
			edu_fn[edus++] = fn;
		if (id == RNG)
			rng_fn = fn;
	}
	check("two devices", edus, 2);
	check("one generator", rng_fn != 0, 1);
	check(REQ("svm.2.20.4.1") "one DEV capability block", blocks, 1);
	block = capability(nb, 0x0f);
	for (unsigned n = 0; n < 2; n++) {
		edu[n] = cfg(edu_fn[n], 0x10) & ~15u;
		cfg_put(edu_fn[n], COMMAND, BUS_MASTER | 3);
	}
}

/* ---- the registers ---- */

static u32 dev(unsigned op)
{
	cfg_put(nb, block + 4, op);
	return cfg(nb, block + 8);
}

static void dev_put(unsigned op, u32 v)
{
	cfg_put(nb, block + 4, op);
	cfg_put(nb, block + 8, v);
}

/* The manual's 010b is in the model of its processor; those that were sold say 000b (docs/ERRATA.md). */
static void block_type(u32 h)
{
	u32 id[4];

	cpuid(1, 0, id);
	if (id[0] == 0x40f12)
		check(REQ("svm.2.20.4.9") "DEV_HDR: type, as published", h >> 16 & 7, 2);
	else
		check("DEV_HDR: type, as loaders ask for it", h & 0xf00ff, 0x0000f);
}

static void capability_block(void)
{
	u32 h = cfg(nb, block);

	check("where loaders look for it", nb, 0x18 << 3 | 3);
	check("its name", cfg(nb, 0), NORTHBRIDGE);
	check("class: host bridge", cfg(nb, 8) >> 8, 0x060000);
	check(REQ("svm.2.20.4.2 svm.2.20.4.11") "DEV_HDR: id", h & 0xff, 0x0f);
	check(REQ("svm.2.20.4.10") "DEV_HDR: the last of the list", h >> 8 & 0xff, 0);
	block_type(h);
	check(REQ("svm.2.20.4.8") "DEV_HDR: bit 19", h >> 19 & 1, 0);
	check(REQ("svm.2.20.4.7") "DEV_HDR: machine-check reporting", h >> 20 & 1, 1);
	check(REQ("svm.2.20.4.6") "DEV_HDR: no interrupt reporting", h >> 21 & 1, 0);
	check(REQ("svm.2.20.4.5") "DEV_HDR: 31:22", h >> 22, 0);
	cfg_put(nb, block, ONES);
	check("DEV_HDR is read-only", cfg(nb, block), h);
}

static void indirection(void)
{
	cfg_put(nb, block + 4, ONES);
	check(REQ("svm.2.20.5.1 svm.2.20.5.2 svm.2.20.5.3") "DEV_OP", cfg(nb, block + 4), 0xffff);
	cfg_put(nb, block + 4, 0x0102);
	cfg_put(nb, block + 8, 0x5a);
	check(REQ("svm.2.20.5.14 svm.2.20.4.3") "the manual's example", dev(BASE_HI | 2), 0x5a);
	check(REQ("svm.2.20.4.4 svm.2.20.5.4") "another instance", dev(BASE_HI | 1), 0);
	dev_put(BASE_LO | 3, 0x12345000);
	outb((u16)(0xcfc + 1), 0x60); /* narrow accesses, DEV_DATA being selected */
	check("a byte of DEV_DATA", dev(BASE_LO | 3), 0x12346000);
	check("a word of DEV_DATA", inw(0xcfe), 0x1234);
	cfg_put(nb, block + 4, CAP);
	for (unsigned reg = 0; reg < 0x100; reg += 4)
		check(REQ("svm.2.20.6.1") "visible nowhere else", cfg(nb, reg) == 0x12346000, false);
	dev_put(BASE_LO | 3, 0);
	dev_put(BASE_HI | 2, 0);
	check("DEV_CAP", dev(CAP), 0x00040400);
	check("DEV_CR of a machine that was just switched on", dev(CR), 0);
}

/* ---- a malicious device ---- */

static u32 reg(unsigned n, unsigned at)
{
	return mmio_read(edu[n] + at);
}

/* The bit of its status register, which is cleared by writing it. */
static bool aborted(unsigned n)
{
	bool was = cfg(edu_fn[n], COMMAND) >> 16 & MASTER_ABORT;

	cfg_put(edu_fn[n], COMMAND, (u32)MASTER_ABORT << 16 | BUS_MASTER | 3);
	return was;
}

/* One cycle of 2^log bytes. false: a master abort, which the status register must agree with. */
static bool cycle(unsigned n, unsigned kind, unsigned log, u64 addr, u64 *data)
{
	(void)aborted(n);
	*(volatile u64 *)(edu[n] + 0xa0) = addr;
	*(volatile u64 *)(edu[n] + 0xa8) = *data;
	mmio_write(edu[n] + 0xb0, kind | log << 4 | CYCLE_START);
	*data = *(volatile u64 *)(edu[n] + 0xa8);
	bool ok = !reg(n, 0xb4);
	check(REQ("svm.2.20.3.5") "master abort in the requester's status", aborted(n), !ok);
	return ok;
}

static u32 reads(unsigned n, unsigned kind, u64 addr)
{
	u64 v = 0x11223344;

	(void)cycle(n, kind, 2, addr, &v);
	return (u32)v;
}

static bool writes(unsigned n, unsigned kind, u64 addr, u32 value)
{
	u64 v = value;

	return cycle(n, kind | CYCLE_WRITE, 2, addr, &v);
}

/* The DMA engine, between memory and its buffer at 40000h. */
static void dma(unsigned n, u64 src, u64 dst, u64 count, unsigned out)
{
	*(volatile u64 *)(edu[n] + 0x80) = src;
	*(volatile u64 *)(edu[n] + 0x88) = dst;
	*(volatile u64 *)(edu[n] + 0x90) = count;
	mmio_write(edu[n] + 0x98, DMA_START | out);
	while (reg(n, 0x98) & DMA_START)
		asm volatile("pause" ::: "memory");
}

/* ---- tables ---- */

static u8 *table[2]; /* 128 KiB each: domains 0 and 1 */

static void protect(unsigned domain, u64 pa, bool on)
{
	u8 *byte = table[domain] + pa / 4096 / 8;

	*byte = (u8)(on ? *byte | 1u << pa / 4096 % 8 : *byte & ~(1u << pa / 4096 % 8));
}

static void flush(void)
{
	dev_put(CR, dev(CR) | INVALIDATE);
	check(REQ("svm.2.20.2.7") "the flush is over", dev(CR) & INVALIDATE, 0);
}

static void make_tables(void)
{
	for (unsigned n = 0; n < 2; n++) {
		table[n] = page_alloc();
		for (unsigned k = 1; k < 32; k++)
			(void)page_alloc(); /* they follow each other */
		check("a table on a page boundary", (u64)table[n] & 0xfff, 0);
		dev_put(BASE_LO | n, (u32)(u64)table[n] | V);
	}
}

/* ---- memory ---- */

static volatile u32 *page[4]; /* 0 free, 1 protected, 2 and 3 free and protected, one after the other */

static void before_enabling(void)
{
	for (unsigned n = 0; n < 4; n++) {
		page[n] = page_alloc();
		page[n][0] = 0xc0de0000 + n;
	}
	protect(0, (u64)page[1], true);
	protect(0, (u64)page[3], true);
	check(REQ("svm.2.20.2.4 svm.2.20.6.20") "DEV off: read", reads(0, MEMORY, (u64)page[1]), 0xc0de0001);
	check(REQ("svm.2.20.2.4 svm.2.20.6.20") "DEV off: write", writes(0, MEMORY, (u64)page[1], 1), true);
	check("DEV off: written", page[1][0], 1);
	page[1][0] = 0xc0de0001;
}

static void protected_pages(void)
{
	dev_put(CR, ENABLE | INVALIDATE);
	for (unsigned n = 0; n < 4; n++) {
		bool open = !(n & 1);
		check(REQ("svm.2.20.3.3 svm.2.20.3.6 svm.2.20.6.19") "read", reads(0, MEMORY, (u64)page[n]), open ? 0xc0de0000 + n : ONES);
		check(REQ("svm.2.20.3.4 svm.2.20.3.6") "write", writes(0, MEMORY, (u64)page[n], 0xbad0000 + n), open);
		check(REQ("svm.2.20.3.4 svm.2.20.3.6") "in memory", page[n][0], open ? 0xbad0000 + n : 0xc0de0000 + n);
		check(REQ("svm.2.20.3.10") "processors are not asked", ++page[n][1], 1);
	}
	for (unsigned log = 0; log < 4; log++) {
		u64 v = 0;
		check("each size is refused", cycle(0, MEMORY, log, (u64)page[1] + 8, &v), false);
		check(REQ("svm.2.20.3.3") "ones in each size", v, log == 3 ? ~0ull : (1ull << (8 << log)) - 1);
	}
}

/* The engine's transfers: refused from the protected page on. */
static void transfers(void)
{
	u8 *two = (u8 *)page[2];

	memset(two, 0x11, 8192);
	dma(0, (u64)two + 0xf80, 0x40000, 256, 0);
	check("crossing read: aborted", aborted(0), true);
	memset((void *)page[0], 0, 4096);
	dma(0, 0x40000, (u64)page[0], 256, DMA_OUT);
	for (unsigned n = 0; n < 256; n++)
		check(REQ("svm.2.20.3.3 svm.2.20.3.6") "crossing read", ((u8 *)page[0])[n], n < 128 ? 0x11 : 0xff);
	memset((void *)page[0], 0x22, 4096);
	dma(0, (u64)page[0], 0x40000, 256, 0);
	check("free to free", aborted(0), false);
	dma(0, 0x40000, (u64)two + 0xf80, 256, DMA_OUT);
	check("crossing write: aborted", aborted(0), true);
	for (unsigned n = 0; n < 256; n++)
		check(REQ("svm.2.20.3.4 svm.2.20.3.6") "crossing write", two[0xf80 + n], n < 128 ? 0x22 : 0x11);
}

static void two_domains(void)
{
	dev_put(MAP | 1, edu_fn[1] >> 3 | 1 << 5 | 1 << 20); /* the second device: domain 1 */
	check(REQ("svm.2.20.6.34 svm.2.20.3.1") "free in its own domain", reads(1, MEMORY, (u64)page[1]), 0xc0de0001);
	protect(1, (u64)page[0], true);
	flush();
	check(REQ("svm.2.20.6.34") "protected in its own domain", reads(1, MEMORY, (u64)page[0]), ONES);
	check(REQ("svm.2.20.6.35") "the first device is in domain 0", reads(0, MEMORY, (u64)page[0]), 0x22222222);
	dev_put(BASE_LO | 1, 0);
	check(REQ("svm.2.20.6.30") "V = 0: no checks", reads(1, MEMORY, (u64)page[0]), 0x22222222);
	dev_put(MAP | 1, 0);
}

static void beyond(void)
{
	u64 v = 0;

	dev_put(BASE_LO, (u32)(u64)table[0] | V | P);
	check(REQ("svm.2.20.6.29") "P = 1 beyond the table", cycle(0, MEMORY, 2, 1ull << 32, &v), false);
	check("logged", dev(ERR_STATUS) >> 31, 1);
	dev_put(ERR_STATUS, 0);
	(void)cycle(0, MEMORY, 2, 1ull << 32, &v); /* nobody is there, but that is no refusal */
	check("P = 1: logged", dev(ADDR_HI), 1);
	dev_put(ERR_STATUS, 0);
	dev_put(BASE_LO, (u32)(u64)table[0] | V);
	(void)cycle(0, MEMORY, 2, 1ull << 32, &v);
	check(REQ("svm.2.20.6.28") "P = 0: not logged", dev(ERR_STATUS), 0);
}

static void stale(void)
{
	u64 at = (u64)page[0];

	check("free", reads(0, MEMORY, at), 0x22222222);
	protect(0, at, true);
	check(REQ("svm.2.20.2.5") "still free: the bridge has not looked", reads(0, MEMORY, at), 0x22222222);
	flush();
	check(REQ("svm.2.20.2.6 svm.2.20.2.8") "flushed", reads(0, MEMORY, at), ONES);
	protect(0, at, false);
	check(REQ("svm.2.20.2.5") "still protected", reads(0, MEMORY, at), ONES);
	flush();
	check(REQ("svm.2.20.2.8") "flushed again", reads(0, MEMORY, at), 0x22222222);
}

/* ---- other devices and interrupts ---- */

static void peer_to_peer(void)
{
	check(REQ("svm.2.20.3.7") "a peer's register", reads(0, MEMORY, edu[1]), 0x010000ed);
	check("a peer is written", writes(0, MEMORY, edu[1] + 4, 0x1234), true);
	check("and sees it", reg(1, 4), ~0x1234u);
	protect(0, edu[1], true);
	flush();
	check(REQ("svm.2.20.3.7 svm.2.20.2.2") "a protected peer", reads(0, MEMORY, edu[1]), ONES);
	check(REQ("svm.2.20.3.7 svm.2.20.2.2") "is not written", writes(0, MEMORY, edu[1] + 4, 0x9999), false);
	check("and sees nothing", reg(1, 4), ~0x1234u);
	check("the processor reaches it", mmio_read(edu[1]), 0x010000ed);
	protect(0, edu[1], false);
	flush();
}

static volatile unsigned interrupts;

static bool on_interrupt(struct regs *r)
{
	(void)r;
	interrupts++;
	mmio_write(0xfee000b0, 0);
	return true;
}

static unsigned interrupt_of(unsigned n)
{
	unsigned before = interrupts;

	mmio_write(edu[n] + 0x60, 1);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	mmio_write(edu[n] + 0x64, 1);
	return interrupts - before;
}

/* A message is a store to FEExxxxxh like any other. */
static void messages(void)
{
	unsigned at = capability(edu_fn[0], 5);

	on_exception(0x60, on_interrupt);
	mmio_write(0xfee000f0, 0x1ff);
	cfg_put(edu_fn[0], at + 4, 0xfee00000);
	cfg_put(edu_fn[0], at + 8, 0);
	cfg_put(edu_fn[0], at + 12, 0x60);
	cfg_put(edu_fn[0], at, cfg(edu_fn[0], at) | 1 << 16);
	check("a message arrives", interrupt_of(0), 1);
	check("a forged one, too", writes(0, MEMORY, 0xfee00000, 0x60), true);
	protect(0, 0xfee00000, true);
	flush();
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check("the forged one", interrupts, 2);
	check(REQ("svm.2.20.2.2") "a protected FEE00000h: no message", interrupt_of(0), 0);
	check("aborted", aborted(0), true);
	check("nor a forged one", writes(0, MEMORY, 0xfee00000, 0x60), false);
	protect(0, 0xfee00000, false);
	flush();
	check("and again", interrupt_of(0), 1);
	cfg_put(edu_fn[0], at, cfg(edu_fn[0], at) & ~(1u << 16));
}

/* ---- I/O and configuration space ---- */

static u8 port_read(u16 port)
{
	u64 v = 0;

	(void)cycle(0, PORT, 0, port, &v);
	return (u8)v;
}

static bool port_write(u16 port, u8 value)
{
	u64 v = value;

	return cycle(0, PORT | CYCLE_WRITE, 0, port, &v);
}

static void ports(u32 on)
{
	enum { SCRATCH = 0x3ff }; /* of the first serial port */

	for (unsigned block_io = 0; block_io < 2; block_io++) {
		dev_put(CR, on | (block_io ? IOSPEN : 0));
		outb(SCRATCH, 0x33);
		check(REQ("svm.2.20.3.11 svm.2.20.3.12 svm.2.20.6.16") "I/O read", port_read(SCRATCH), block_io ? 0xff : 0x33);
		check(REQ("svm.2.20.3.11 svm.2.20.3.12 svm.2.20.3.14") "I/O write", port_write(SCRATCH, 0x44), !block_io);
		check("the port", inb(SCRATCH), block_io ? 0x33 : 0x44);
	}
	dev_put(CR, on);
}

/* By memory, by ports and as cycles of their own: whatever DEV_CR says. */
static void configuration(u32 on)
{
	u64 line = ECAM + (edu_fn[1] << 12) + 0x3c;
	u64 v = 0x80000000u | edu_fn[1] << 8 | 0x3c;

	dev_put(CR, on);
	cfg_put(edu_fn[1], 0x3c, 0x5a);
	check("ECAM is there", mmio_read(line) & 0xff, 0x5a);
	check(REQ("svm.2.20.3.15") "configuration space by DMA: read", reads(0, MEMORY, line), ONES);
	check(REQ("svm.2.20.3.15") "by DMA: write", writes(0, MEMORY, line, 0), false);
	check(REQ("svm.2.20.3.15") "a cycle: read", reads(0, CONFIG, edu_fn[1] << 12 | 0x3c), ONES);
	check(REQ("svm.2.20.3.15") "a cycle: write", writes(0, CONFIG, edu_fn[1] << 12 | 0x3c, 0), false);
	check(REQ("svm.2.20.3.15") "CF8h", cycle(0, PORT | CYCLE_WRITE, 2, 0xcf8, &v), false);
	outl(0xcf8, 0x80000000u | edu_fn[1] << 8 | 0x3c);
	check(REQ("svm.2.20.3.15") "CFCh: write", port_write(0xcfc, 0), false);
	outl(0xcf8, 0x80000000u | edu_fn[1] << 8 | 0x3c);
	check(REQ("svm.2.20.3.15") "CFCh: read", port_read(0xcfc), 0xff);
	check("nothing has changed", cfg(edu_fn[1], 0x3c) & 0xff, 0x5a);
	dma(0, ECAM - 64, 0x40000, 128, 0);
	check("a transfer into it", aborted(0), true);
}

/* ---- the log and machine checks ---- */

static void logging(void)
{
	u64 at = (u64)page[1] + 0x124;

	dev_put(ERR_STATUS, 0);
	(void)reads(0, MEMORY, (u64)page[0]);
	check("what is allowed is not logged", dev(ERR_STATUS), 0);
	(void)writes(0, MEMORY, at, 0);
	check(REQ("svm.2.20.7.1") "status", dev(ERR_STATUS), 1u << 31 | edu_fn[0] >> 3 << 8 | 2 << 5 | 1 << 2 | 2);
	check(REQ("svm.2.20.7.2") "address", (u64)dev(ADDR_HI) << 32 | dev(ADDR_LO), at);
	(void)reads(0, MEMORY, (u64)page[3]);
	check("a second one: overflow", dev(ERR_STATUS), 3u << 30 | edu_fn[0] >> 3 << 8 | 2 << 5 | 1 << 2 | 2);
	check("the first address stays", dev(ADDR_LO), at);
	dev_put(ERR_STATUS, 0);
	check("seen", dev(ERR_STATUS), 0);
}

static u64 mc_status, mc_addr, mcg_status;
static unsigned machine_checks;

static bool on_machine_check(struct regs *r)
{
	(void)r;
	machine_checks++;
	mcg_status = rdmsr(0x17a);
	mc_status = rdmsr(0x411);
	mc_addr = rdmsr(0x412);
	wrmsr(0x411, 0);
	wrmsr(0x17a, 0);
	return true;
}

/* Bank 4 is the northbridge's; a DEV error is a bus error with extended code 9, bit 13 of its control. */
static void reports(void)
{
	on_exception(18, on_machine_check);
	write_cr4(read_cr4() | 1 << 6);
	wrmsr(0x17b, ~0ull);
	wrmsr(0x410, 1 << 13);
	wrmsr(0x411, 0);
	(void)writes(0, MEMORY, (u64)page[1], 0);
	check(REQ("svm.2.20.6.15") "MCE = 0: none", machine_checks, 0);
	check(REQ("svm.2.20.6.15") "MCE = 0: the bank is empty", rdmsr(0x411), 0);
	dev_put(CR, ENABLE | MCE);
	(void)writes(0, MEMORY, (u64)page[1] + 8, 0);
	check(REQ("svm.2.20.6.14 svm.2.20.4.7") "MCE = 1: write", machine_checks, 1);
	check("MC4_STATUS: VAL, UC, EN, ADDRV, DEV error, write", mc_status, 0xb400000000090c23ull);
	check("MC4_ADDR", mc_addr, (u64)page[1] + 8);
	check("MCG_STATUS: MCIP, RIPV", mcg_status, 5);
	(void)reads(0, MEMORY, (u64)page[3]);
	check(REQ("svm.2.20.6.14") "MCE = 1: read", machine_checks, 2);
	check("MC4_STATUS of a read", mc_status, 0xb400000000090c13ull);
	(void)reads(0, CONFIG, 0);
	check("what is not protected memory is not reported", machine_checks, 2);
	wrmsr(0x410, 0);
	(void)reads(0, MEMORY, (u64)page[3]);
	check("bank control 0: logged without EN", rdmsr(0x411), 0xa400000000090c13ull);
	check("and no exception", machine_checks, 2);
	wrmsr(0x411, 0);
	dev_put(CR, ENABLE);
}

/* ---- drivers whose device is refused ---- */

static u8 ask_generator(u64 ring, u64 buffer)
{
	return generator_ask(rng_fn, ring, buffer);
}

static void refused_rings(void)
{
	u64 ring = (u64)page_alloc();

	memset((void *)page[0], 0, 4096);
	memset((void *)page[1], 0, 4096);
	check("a ring: status", ask_generator(ring, (u64)page[0]), 15);
	check("a ring: used", *(u16 *)(ring + 0x802), 1);
	check("a ring: random", page[0][0] != 0, true);
	check("a refused buffer: DEVICE_NEEDS_RESET", ask_generator(ring, (u64)page[1]), 15 | 64);
	check(REQ("svm.2.20.3.4") "a refused buffer: untouched", page[1][0], 0);
	check("a refused buffer: not used", *(u16 *)(ring + 0x802), 0);
	protect(0, ring, true);
	flush();
	check("a refused ring: DEVICE_NEEDS_RESET", ask_generator(ring, (u64)page[0]), 15 | 64);
	check("a refused ring: master abort", cfg(rng_fn, COMMAND) >> 16 & MASTER_ABORT, MASTER_ABORT);
	protect(0, ring, false);
	flush();
	check("after the reset", ask_generator(ring, (u64)page[0]), 15);
	check("after the reset: used", *(u16 *)(ring + 0x802), 1);
}

static u32 swap(u32 v)
{
	return __builtin_bswap32(v);
}

/* fw_cfg's DMA is the host bridge's own device, 00:00.0. */
static u32 firmware_dma(u64 descriptor, u64 to)
{
	volatile u32 *d = (volatile u32 *)descriptor;

	d[0] = swap(8 | 2); /* select key 0, read */
	d[1] = swap(4);
	d[2] = 0;
	d[3] = swap((u32)to);
	outl(0x514, 0);
	outl(0x518, swap((u32)descriptor));
	return swap(d[0]);
}

static void refused_firmware(void)
{
	u64 descriptor = (u64)page[0] + 0x100;

	page[0][0] = page[1][0] = 0;
	check("fw_cfg", firmware_dma(descriptor, (u64)page[0]), 0);
	check("fw_cfg: the signature", page[0][0], 0x554d4551);
	check("fw_cfg: a refused buffer", firmware_dma(descriptor, (u64)page[1]), 1);
	check(REQ("svm.2.20.3.4") "fw_cfg: untouched", page[1][0], 0);
	check("fw_cfg: a refused descriptor", firmware_dma((u64)page[1] + 0x100, (u64)page[0]), 10);
}

/* ---- "they may be secured by appropriate settings in the I/O protection bitmap" ---- */

static void meddle(void)
{
	outl(0xcf8, 0x80000000u | (0x18 << 3 | 3) << 8 | 0xf4);
	asm volatile("vmmcall");
}

static void from_a_guest(void)
{
	u8 *map = page_alloc();

	(void)page_alloc(), (void)page_alloc();
	check("SVM", svm_enable(), true);
	map[0xcf8 / 8] = 0xff;
	struct vmcb *v = svm_guest(meddle, (u64)page_alloc() + 4096 - 8, true);
	v->intercept1 |= 1 << 27 | 1 << 2;
	v->intercept2 |= 1; /* both are required by the first manual */
	v->iopm_pa = (u64)map;
	outl(0xcf8, 0);
	svm_run(v);
	check(REQ("svm.2.20.5.15") "the guest's OUT is intercepted", v->exitcode, 0x7b);
	check(REQ("svm.2.20.5.15") "at CF8h, a dword", v->exitinfo1 >> 16 << 16 | (v->exitinfo1 & 0x71), 0xcf8ull << 16 | 0x40);
	check("and nothing was selected", inl(0xcf8), 0);
}

/* ---- SKINIT: the smallest loader there is, which goes back to whoever started it ---- */

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));
struct table_register saved_gdt, saved_idt;
u32 saved_cr0, saved_cr3, saved_cr4, saved_efer;
u64 saved_rsp;

/* SS alone is flat behind SKINIT. */
asm(".pushsection .text\n .globl loader, loader_end, secure_start\n"
    "loader: .word loader_entry - loader, loader_end - loader\n .code32\n"
    "loader_entry: lgdt %ss:saved_gdt; mov %ss:saved_cr4, %eax; mov %eax, %cr4; mov %ss:saved_cr3, %eax; mov %eax, %cr3\n"
    " mov $0xc0000080, %ecx; mov %ss:saved_efer, %eax; xor %edx, %edx; wrmsr; mov %ss:saved_cr0, %eax; mov %eax, %cr0\n"
    " ljmp $8, $started; loader_end: .code64\n"
    "started: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov saved_rsp, %rsp; lidt saved_idt\n"
    " stgi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    "secure_start: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; mov %rsp, saved_rsp\n"
    " sgdt saved_gdt; sidt saved_idt; mov %edi, %eax; skinit; .popsection\n");
extern u8 loader[], loader_end[];
void secure_start(u64 slb);

static void secure_initialisation(void)
{
	volatile u32 *slb = (volatile u32 *)0x1000000;
	u64 at = (u64)slb;

	memset((void *)slb, 0x77, 0x10000);
	memcpy((void *)slb, loader, (size_t)(loader_end - loader));
	slb[-1] = slb[0x4000] = 0x12345678;
	dev_put(CR, 0);
	dev_put(ERR_STATUS, 0);
	saved_cr0 = (u32)read_cr0(), saved_cr3 = (u32)read_cr3(), saved_cr4 = (u32)read_cr4();
	saved_efer = (u32)rdmsr(0xc0000080) & ~0x400u;
	check("before", reads(0, MEMORY, at + 0xfffc), 0x77777777);
	secure_start(at);
	check(REQ("svm.2.20.6.11 svm.2.20.6.10") "SKINIT has set SL_DEV_EN", dev(CR), SL_DEV_EN);
	check(REQ("svm.2.20.8.2") "the first dword", reads(0, MEMORY, at), ONES);
	check(REQ("svm.2.20.8.2") "the last one", reads(0, MEMORY, at + 0xfffc), ONES);
	check("which is logged", dev(ADDR_LO), at);
	check(REQ("svm.2.20.8.2") "a write", writes(0, MEMORY, at + 0x8000, 0), false);
	check(REQ("svm.2.20.8.5") "processors reach it", slb[0x2000], 0x77777777);
	slb[0x2000] = 1;
	check(REQ("svm.2.20.8.5") "and write it", slb[0x2000], 1);
	check(REQ("svm.2.20.8.1") "it begins at 64 KiB", reads(0, MEMORY, at - 4), 0x12345678);
	check(REQ("svm.2.20.8.1") "and ends there", reads(0, MEMORY, at + 0x10000), 0x12345678);
	check(REQ("svm.2.20.8.6") "configuration space", reads(0, MEMORY, ECAM), ONES);
	check(REQ("svm.2.20.8.6") "configuration ports", port_write(0xcfc, 0), false);
	dma(0, at, 0x40000, 4096, 0);
	check("a transfer", aborted(0), true);
	dev_put(CR, 0);
	check(REQ("svm.2.20.6.12") "software clears SL_DEV_EN", dev(CR), 0);
	check(REQ("svm.2.20.8.7") "and devices see the block", reads(0, MEMORY, at + 0xfffc), 0x77777777);
	dev_put(CR, SL_DEV_EN);
	check(REQ("svm.2.20.6.21") "but does not set it", dev(CR), 0);
}

int main(void)
{
	find_devices();
	capability_block();
	indirection();
	make_tables();
	before_enabling();
	configuration(0);
	ports(0);
	protected_pages();
	transfers();
	two_domains();
	beyond();
	stale();
	peer_to_peer();
	messages();
	ports(ENABLE);
	configuration(ENABLE);
	logging();
	reports();
	refused_rings();
	refused_firmware();
	from_a_guest();
	secure_initialisation();
	return guest_verdict();
}
