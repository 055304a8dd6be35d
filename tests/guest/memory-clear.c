/*
 * What memory holds behind each kind of reset: "Automatic Memory Clear". All of it is filled before and read back behind;
 * what the program must know meanwhile stands in the CMOS, which no reset clears. Run with --on-triple-fault=reset; with
 * the word `none` on a processor without SKINIT, whose memory outlives them all.
 */
#include "comeback.h"

enum { STAGE = 0x60, FAILED = 0x61 };
enum { MAP = 0x8000c100, CONTROL = 0x8000c200 };
enum { DRAM_LIMIT = 0x44, CONFIG_LOW = 0x90, CONFIG_HIGH = 0x94, MISC = 0xa0, INIT_DRAM = 1 };

static u32 config(u32 function, u32 reg)
{
	outl(0xcf8, function | reg);
	return inl(0xcfc);
}

static void set_config(u32 function, u32 reg, u32 v)
{
	outl(0xcf8, function | reg);
	outl(0xcfc, v);
}

/* ---- all of memory ---- */

/* Bytes 34h and 35h: 64-KiB pieces above 16 MiB. */
static u64 ram_end(void)
{
	return 0x1000000 + ((u64)cmos(0x34) | (u64)cmos(0x35) << 8) * 0x10000;
}

struct piece {
	u64 *from, *to;
};

/* The halves of what neither firmware nor the loader writes: from behind the image to the end of RAM. */
static unsigned pieces(struct piece p[2])
{
	u64 end = ram_end();

	p[0] = (struct piece){(u64 *)(((u64)image_end + 0xfff) & ~0xfffull), (u64 *)(end / 2)};
	p[1] = (struct piece){(u64 *)(end / 2), (u64 *)end};
	return 2;
}

static void fill(u64 *from, const u64 *to, u64 with)
{
	u64 n = (u64)(to - from);

	asm volatile("rep stosq" : "+D"(from), "+c"(n) : "a"(with) : "memory");
}

static bool all(const u64 *from, const u64 *to, u64 what)
{
	u64 n = (u64)(to - from);
	bool same;

	asm volatile("repe scasq" : "+D"(from), "+c"(n), "=@cce"(same) : "a"(what) : "memory");
	return same;
}

#define PATTERN(stage) (0x0123456789abcdefull * (2 * (stage) + 1))

static void fill_all(u32 stage)
{
	struct piece p[2];

	for (unsigned n = pieces(p); n--;)
		fill(p[n].from, p[n].to, PATTERN(stage));
}

/* ---- ways to a reset, beside those of comeback.h: with nothing prepared firmware answers INIT by a whole one ---- */

static void warm(void)
{
	outb(0xcf9, 2);
	outb(0xcf9, 6);
}

static void cold(void)
{
	outb(0xcf9, 0xa);
	outb(0xcf9, 0xe);
}

static void by_acpi(void)
{
	outb(0xcf9, 0x0f); /* RESET_VALUE of the FADT: the power goes as well */
}

/* ---- changes of the DRAM configuration: the shadows follow when DRAM is initialised ---- */

static void init_dram(void)
{
	set_config(CONTROL, CONFIG_LOW, config(CONTROL, CONFIG_LOW) | INIT_DRAM);
}

static void other_timing(void)
{
	set_config(CONTROL, CONFIG_HIGH, config(CONTROL, CONFIG_HIGH) ^ 1);
	init_dram();
}

static void half_of_it(void)
{
	set_config(MAP, DRAM_LIMIT, (u32)((ram_end() / 2 >> 24) - 1) << 16);
	init_dram();
}

static void not_initialised(void)
{
	set_config(CONTROL, CONFIG_HIGH, config(CONTROL, CONFIG_HIGH) ^ 1);
}

/* ---- the stages: before each reset memory is filled; behind it the halves are zero, or as they were ---- */

enum { NONE = 0, LOW = 1, BOTH = 3 };
static const struct stage {
	const char *name;
	void (*way)(void);
	bool keep;             /* MemClrDis */
	void (*change)(void);
	u8 cleared;            /* which halves */
} stage[] = {
        {REQ("svm.3.2.4") "warm reset", warm, false, NULL, BOTH},
        {REQ("svm.3.2.6 svm.2.20.6.17") "warm reset, MemClrDis", warm, true, NULL, NONE},
        {REQ("svm.3.2.13") "warm reset behind one with MemClrDis", warm, false, NULL, BOTH},
        {"keyboard controller", by_keyboard, false, NULL, BOTH},
        {"keyboard controller, MemClrDis", by_keyboard, true, NULL, NONE},
        {"port 92h", by_port_92, false, NULL, BOTH},
        {"port 92h, MemClrDis", by_port_92, true, NULL, NONE},
        {"triple fault", by_triple_fault, false, NULL, BOTH},
        {"triple fault, MemClrDis", by_triple_fault, true, NULL, NONE},
        {REQ("svm.3.2.1") "power cycle, MemClrDis", cold, true, NULL, BOTH},
        {REQ("svm.3.2.1") "the reset register of ACPI, MemClrDis", by_acpi, true, NULL, BOTH},
        {REQ("svm.3.2.5 svm.3.2.2") "another configuration, MemClrDis", warm, true, other_timing, BOTH},
        {REQ("svm.3.2.9") "the same configuration again, MemClrDis", warm, true, NULL, NONE},
        {REQ("svm.3.2.8") "half of the memory was enabled, MemClrDis", warm, true, half_of_it, LOW},
        {REQ("svm.3.2.8") "half of the memory was enabled", warm, false, half_of_it, LOW},
        {REQ("svm.3.2.3") "registers written and nothing initialised, MemClrDis", warm, true, not_initialised, NONE},
        {"S3 without MemClrDis", by_sleep, false, NULL, BOTH},
};
enum { STAGES = sizeof(stage) / sizeof(stage[0]) };

/* Without a northbridge nothing of it is proved. */
static const char *name_of(const struct stage *s, bool none)
{
	const char *name = s->name;

	while (none && s->name[0] == '[' && *name++ != ']')
		;
	return name;
}

static void look(const struct stage *s, u32 n, bool none)
{
	u8 cleared = none ? NONE : s->cleared;
	struct piece p[2];

	for (unsigned k = pieces(p); k--;)
		CHECK(name_of(s, none), all(p[k].from, p[k].to, cleared >> k & 1 ? 0 : PATTERN(n)), true);
	if (none)
		return;
	CHECK("DEV_CR behind a reset", dev_cr(), 0);
	CHECK("MemClrStatus and DramEnabled", config(CONTROL, MISC) & 0x201, 0x201);
}

/* INIT comes back with everything as it was. */
static void init_keeps(bool none)
{
	struct piece p[2];

	come_back_by(0x0a, COMEBACK >> 4 << 16);
	fill_all(99);
	leave_by(by_keyboard);
	for (unsigned k = pieces(p); k--;)
		CHECK("INIT keeps memory", all(p[k].from, p[k].to, PATTERN(99)), true);
	if (!none)
		proves("svm.3.2.11 svm.2.17.8.7");
}

static void fresh(bool none)
{
	struct piece p[2];

	for (unsigned k = pieces(p); k--;)
		CHECK("memory of a machine that was just started", all(p[k].from, p[k].to, 0), true);
	init_keeps(none);
	CHECK("a northbridge", keep_memory(), !none);
	CHECK("MemClrDis can be set", dev_cr(), none ? 0 : 2);
}

static bool word(const char *wanted)
{
	extern u32 boot_info;
	const u64 *info = (const u64 *)(u64)boot_info;
	const char *s;

	asm("" : "+r"(info));
	s = (const char *)info[3];
	for (; s && *s; s++)
		if (!memcmp(s, wanted, 4))
			return true;
	return false;
}

int main(void)
{
	bool none = word("none");
	u32 n = cmos(STAGE);

	failed = cmos(FAILED);
	comeback_prepare();
	if (n == 0)
		fresh(none);
	else
		look(&stage[n - 1], n, none);
	set_cmos(FAILED, failed ? 1 : 0);
	if (n == STAGES) {
		if (!failed) /* in no stage: every other line of this output is one stage's alone */
			print("%u resets left of memory what they must\n", STAGES);
		return guest_verdict();
	}
	guest_verdict(); /* of this stage: the next one is another start */
	set_cmos(STAGE, (u8)(n + 1));
	fill_all(n + 1);
	if (stage[n].keep && !none)
		keep_memory();
	else if (dev_cr())
		set_config(0x8000c300, 0xf8, 0);
	if (stage[n].change && !none)
		stage[n].change();
	stage[n].way();
	for (;;)
		asm volatile("hlt");
}
