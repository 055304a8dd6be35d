/*
 * Random bytes in random modes: through the decoder alone, and as the next instructions of a whole machine in a random
 * state. Nothing may crash, hang, or leave the processor in a state that cannot be.
 */
#include "fuzz.h"

#include "cpu/decode/decode.h"
#include "dev/devices.h"

enum { STEPS = 200 };
#define TABLES    0x10000ull /* page tables, GDT, IDT, TSS: 64 KiB of them */
#define GDT_AT    0x1b000ull
#define IDT_AT    0x1c000ull
#define TSS_AT    0x1d000ull
#define CODE_AT   0x40000ull
#define DATA_AT   0x60000ull
#define DATA_SIZE 0x20000ull

enum kind { KIND_REAL, KIND_V86, KIND_P16, KIND_P32, KIND_COMPAT, KIND_64, KINDS };

/* ---- bytes ---- */

static const u8 prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x48, 0x41, 0x4f, 0x40};

static unsigned put_vex(struct rng *r, u8 *p)
{
	unsigned n = 0;

	if (rng_one_in(r, 2)) {
		p[n++] = 0xc5;
	} else {
		p[n++] = rng_one_in(r, 8) ? 0x8f : 0xc4;
		p[n++] = (u8)((rng_next(r) & 0xe0) | (1 + rng_below(r, 3)));
	}
	p[n++] = (u8)(rng_one_in(r, 2) ? 0x78 | (rng_next(r) & 0x87) : rng_next(r));
	return n;
}

/* Fifteen bytes that start like an instruction of some map; the rest is ModR/M, SIB, displacement and immediates. */
static void make_bytes(struct rng *r, u8 *p, size_t size)
{
	unsigned n = 0;

	rng_fill(r, p, size);
	for (u64 k = rng_one_in(r, 3) ? 1 + rng_below(r, rng_one_in(r, 30) ? 14 : 3) : 0; k; k--)
		p[n++] = RNG_PICK(r, prefixes);
	switch (rng_below(r, 8)) {
	case 0:
	case 1: break; /* one-byte map */
	case 2:
	case 3:
	case 4: p[n++] = 0x0f; break;
	case 5:
		p[n++] = 0x0f;
		p[n++] = rng_one_in(r, 2) ? 0x38 : 0x3a;
		break;
	case 6: n += put_vex(r, p + n); break;
	default: /* the system corner */
		p[n++] = 0x0f;
		p[n++] = (u8)rng_below(r, 2);
		break;
	}
	if (n + 1 < size && rng_one_in(r, 3)) /* small displacements lead to memory more often */
		p[n + 1] = (u8)(p[n + 1] & 0x7f);
}

static void decode_alone(struct rng *r, struct cpu *c)
{
	static const u8 sizes[] = {MODE_16, MODE_32, MODE_64};
	u8 bytes[20], mode = RNG_PICK(r, sizes);
	size_t n = 1 + rng_below(r, 15);
	struct insn i = {.off = 0};

	mode |= rng_one_in(r, 2) ? MODE_SS32 : 0;
	mode |= mode == MODE_64    ? MODE_PE | MODE_LMA
	        : rng_one_in(r, 4) ? MODE_PE | MODE_V86
	        : rng_one_in(r, 4) ? 0
	                           : MODE_PE;
	make_bytes(r, bytes, sizeof(bytes));
	int len = decode_bytes(c, mode, bytes, n, &i);
	if (len < 0 || len > 15 || (size_t)len > n)
		fuzz_fail("decode_bytes: length %d of %zu", len, n);
	if (!len)
		return;
	if (!i.row || !i.fn || !i.fast || i.len != len)
		fuzz_fail("decode_bytes: %02x %02x %02x: incomplete", bytes[0], bytes[1], bytes[2]);
	char text[16];
	disassemble(c, rng_next(r), bytes, n, text, sizeof(text));
	if (!memchr(text, 0, sizeof(text)))
		fuzz_fail("disassemble: no end");
}

/* ---- memory ---- */

/* The first 4 MiB one to one, in 4 KiB pages with odd bits here and there, for each kind of paging. */
static void make_tables(struct rng *r, struct bus *b)
{
	static const u64 odd[] = {1, 2, 4, 0x200, 0x40, 0x20, BIT(63), BIT(51), 0x18, 0x100, 3ull << 59};

	bus_write_u64(b, TABLES, (TABLES + 0x1000) | 7);          /* PML4 */
	bus_write_u64(b, TABLES + 0x1000, (TABLES + 0x2000) | 7); /* PDPT of 4-level paging */
	bus_write_u64(b, TABLES + 0x5000, (TABLES + 0x2000) | 1); /* PDPT of PAE */
	bus_write_u64(b, TABLES + 0x2000, (TABLES + 0x3000) | 7);
	bus_write_u64(b, TABLES + 0x2008, (TABLES + 0x4000) | 7);
	bus_write_u32(b, TABLES + 0x6000, (u32)(TABLES + 0x7000) | 7); /* PD of 32-bit paging */
	bus_write_u64(b, TABLES + 0x8000, TABLES | 7);                 /* PML5 */
	for (u64 n = 0; n < 1024; n++) {
		bool user = n - 0x40 < 8 || n - 0x60 < 0x20; /* code and data; descriptors and handlers are not */
		u64 e = n << 12 | 0x63 | (user ? 4 : 0);

		if (rng_one_in(r, 24) && n > 0x20)
			e ^= RNG_PICK(r, odd);
		bus_write_u64(b, TABLES + 0x3000 + 8 * n, e);
		bus_write_u32(b, TABLES + 0x7000 + 4 * n, (u32)e);
	}
}

static u64 descriptor(u64 base, u64 limit, u64 ar)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (ar & 0xff) << 40 | (limit >> 16 & 15) << 48 |
	       (ar >> 12 & 15) << 52 | (base >> 24 & 255) << 56;
}

/* Plausible descriptors: most present, of every type and privilege. */
static u64 random_descriptor(struct rng *r)
{
	u64 ar = (rng_next(r) & 0xf07f) | (rng_one_in(r, 8) ? 0 : AR_P), base = rng_one_in(r, 4) ? rng_odd(r) : 0;

	if (!(ar & AR_S) && rng_one_in(r, 2)) { /* a gate */
		u64 d = descriptor(0, 0, ar) | (rng_one_in(r, 4) ? rng_odd(r) & 0xffff : CODE_AT & 0xffff);
		return d | (rng_below(r, 40) << 3 | rng_below(r, 4)) << 16 | (CODE_AT >> 16) << 48;
	}
	return descriptor(rng_one_in(r, 2) ? base : TSS_AT, rng_one_in(r, 2) ? 0xfffff : rng_odd(r), ar);
}

static void make_descriptors(struct rng *r, struct bus *b)
{
	for (u64 n = 0; n < 512; n++) {
		bus_write_u64(b, GDT_AT + 8 * n, random_descriptor(r));
		u64 gate = 0xeull | rng_below(r, 2) | (rng_below(r, 4) << 5) | 0x80;
		u64 d = (CODE_AT & 0xffff) | rng_below(r, 40) << 19 | gate << 40 | (CODE_AT >> 16) << 48;
		bus_write_u64(b, IDT_AT + 8 * n,
		              rng_one_in(r, 8)            ? random_descriptor(r)
		              : n & 1 && rng_one_in(r, 2) ? 0
		                                          : d);
	}
	for (u64 n = 0; n < 128; n++)
		bus_write_u64(b, TSS_AT + 8 * n, rng_one_in(r, 2) ? DATA_AT + rng_below(r, DATA_SIZE) : rng_odd(r));
}

/* ---- registers ---- */

static struct seg flat(struct rng *r, u32 type, unsigned dpl, u32 more)
{
	struct seg s = {.sel = (u16)(rng_below(r, 64) << 3 | dpl), .limit = ~0u};

	s.ar = AR_P | AR_S | type | (u32)dpl << AR_DPL_SHIFT | more;
	if (rng_one_in(r, 16))
		s.base = rng_next(r) & 0xfffff, s.limit = (u32)rng_odd(r) | 0xfff;
	return s;
}

static void real_segments(struct rng *r, struct cpu *c, unsigned dpl)
{
	for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
		u16 sel = (u16)((s == SEG_CS ? CODE_AT : DATA_AT) >> 4);

		sel = rng_one_in(r, 16) && s != SEG_CS ? (u16)rng_next(r) : sel;
		c->seg[s] = (struct seg){.sel = sel,
		                         .base = (u64)sel << 4,
		                         .limit = 0xffff,
		                         .ar = AR_P | AR_S | 3 | (u32)dpl << AR_DPL_SHIFT};
	}
}

static void protected_segments(struct rng *r, struct cpu *c, enum kind k, unsigned cpl)
{
	bool wide = k == KIND_P32 || (k == KIND_COMPAT && rng_one_in(r, 2));
	u32 size = wide ? AR_DB | AR_G : AR_G;

	for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
		c->seg[s] = flat(r, 3, cpl, size);
		if (s != SEG_SS && s != SEG_CS && rng_one_in(r, 12))
			c->seg[s].ar = AR_UNUSABLE, c->seg[s].sel = 0;
	}
	c->seg[SEG_SS].sel = (u16)((c->seg[SEG_SS].sel & ~3u) | cpl);
	c->seg[SEG_CS] = flat(r, AR_CODE | 3, cpl, k == KIND_64 ? AR_L | AR_G : size);
	c->seg[SEG_CS].base = 0;
	c->seg[SEG_CS].limit = ~0u;
}

static void system_segments(struct rng *r, struct cpu *c, bool wide)
{
	c->gdtr.base = GDT_AT, c->gdtr.limit = rng_one_in(r, 8) ? (u32)rng_below(r, 0x10000) : 0xfff;
	c->idtr.base = IDT_AT, c->idtr.limit = rng_one_in(r, 8) ? (u32)rng_below(r, 0x10000) : 0xfff;
	c->seg[SEG_TR] = (struct seg){.sel = (u16)(rng_below(r, 64) << 3), .base = TSS_AT, .limit = 0x2fff};
	c->seg[SEG_TR].ar = AR_P | (wide || !rng_one_in(r, 4) ? SYS_TSS32_BUSY : SYS_TSS16_BUSY);
	c->seg[SEG_LDTR] = (struct seg){.sel = 8, .base = GDT_AT, .limit = 0x1ff, .ar = AR_P | SYS_LDT};
	if (rng_one_in(r, 8))
		c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
}

/* Control registers as legal software could have set them. */
static void control_registers(struct rng *r, struct cpu *c, enum kind k)
{
	bool wide = k == KIND_COMPAT || k == KIND_64;
	u64 want, cr4 = 0;

	c->cr0 = CR0_ET | (k == KIND_REAL ? 0 : CR0_PE) | (rng_next(r) & (CR0_WP | CR0_AM | CR0_NE | CR0_MP));
	c->cr0 |= rng_one_in(r, 12) ? CR0_TS : 0;
	c->cr0 |= rng_one_in(r, 20) ? CR0_EM : 0;
	c->cr0 |= wide || (k != KIND_REAL && rng_one_in(r, 2)) ? CR0_PG : 0;
	want = rng_one_in(r, 4) ? rng_next(r) : rng_next(r) | CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
	want &= rng_one_in(r, 2) ? ~(CR4_SMEP | CR4_SMAP) : ~0ull;
	want &= ~(CR4_LA57 | CR4_PCIDE | CR4_CET);
	want |= wide ? CR4_PAE : 0;
	for (unsigned n = 0; n < 32; n++)
		if ((want & BIT(n)) && cr4_valid(c, cr4 | BIT(n)))
			cr4 |= BIT(n);
	c->cr4 = cr4;
	c->efer = (wide ? EFER_LME | EFER_LMA : 0) | (rng_next(r) & (EFER_SCE | EFER_NXE));
	if (has(c, FEAT_SVM) && rng_one_in(r, 2))
		c->efer |= EFER_SVME, c->virt_root = true, c->vm_hsave_pa = 0x30000;
	c->cr3 = wide ? TABLES : c->cr4 & CR4_PAE ? TABLES + 0x5000 : TABLES + 0x6000;
	if (!wide && (c->cr4 & CR4_PAE))
		for (unsigned n = 0; n < 4; n++)
			c->pdpte[n] = n ? 0 : (TABLES + 0x2000) | 1;
	c->xcr0 = has(c, FEAT_AVX) && !rng_one_in(r, 8) ? 7 : rng_one_in(r, 2) ? 3 : 1;
}

static void data_registers(struct rng *r, struct cpu *c, bool m64)
{
	for (unsigned n = 0; n < 16; n++) {
		u64 v = rng_one_in(r, 3) ? rng_odd(r) : DATA_AT + rng_below(r, DATA_SIZE);

		c->r[n] = rng_one_in(r, 8) ? DATA_AT + (rng_below(r, 32) << 12) - rng_below(r, 16) : v;
	}
	if (rng_one_in(r, 2))
		c->r[REG_RCX] = rng_below(r, 64);
	c->r[REG_RSP] = DATA_AT + rng_below(r, DATA_SIZE);
	if (!m64 && rng_one_in(r, 2))
		for (unsigned n = 0; n < 8; n++)
			c->r[n] = rng_below(r, 0x8000);
	rng_fill(r, c->v, sizeof(c->v));
	rng_fill(r, c->fpu.st, sizeof(c->fpu.st));
	c->fpu.tag = (u8)rng_next(r);
	c->fpu.top = (u16)rng_below(r, 8);
	c->fpu.cw = (u16)(rng_one_in(r, 2) ? 0x37f : (rng_next(r) & 0x1f3f) | 0x40);
	c->fpu.sw = (u16)(rng_one_in(r, 4) ? rng_next(r) & 0x477f : 0);
	if (c->fpu.sw & ~c->fpu.cw & 0x3f)
		c->fpu.sw |= 0x8080;
	c->mxcsr = rng_one_in(r, 2) ? 0x1f80 : (u32)rng_next(r) & 0xffff;
	c->pkru = rng_one_in(r, 4) ? (u32)rng_odd(r) : 0;
}

static void debug_registers(struct rng *r, struct cpu *c)
{
	c->dr6 = DR6_RESET;
	c->dr7 = DR7_RESET;
	if (!rng_one_in(r, 8))
		return;
	c->dr7 |= rng_next(r) & 0xffff23ff;
	for (unsigned n = 0; n < 4; n++)
		c->dr[n] = rng_one_in(r, 2) ? CODE_AT + rng_below(r, 32) : DATA_AT + rng_below(r, 64);
}

/* Handlers that can be reached, most of the time: a good gate for each exception, code and stack to go with it. */
static void good_handlers(struct rng *r, struct bus *b, enum kind k)
{
	bool wide = k == KIND_COMPAT || k == KIND_64;
	u64 handler = CODE_AT + 0x8000;

	if (rng_one_in(r, 8))
		return;
	bus_write_u64(b, GDT_AT + 8, descriptor(0, 0xfffff, AR_P | AR_S | AR_CODE | 3 | AR_G | (wide ? AR_L : AR_DB)));
	bus_write_u64(b, GDT_AT + 16, descriptor(0, 0xfffff, AR_P | AR_S | 3 | AR_G | AR_DB));
	bus_write_u64(b, TSS_AT, 0x80000ull << 32);
	bus_write_u64(b, TSS_AT + 8, wide ? 0 : 0x10);
	for (u64 n = 0; n < 32; n++) {
		u64 gate = (handler & 0xffff) | 8 << 16 | 0x8full << 40 | rng_below(r, 2) * 0x60ull << 40 |
		           handler >> 16 << 48;

		if (k == KIND_REAL) {
			bus_write_u32(b, IDT_AT + 4 * n, (u32)(handler >> 4 << 16));
			continue;
		}
		bus_write_u64(b, IDT_AT + (wide ? 16 : 8) * n, gate);
		if (wide)
			bus_write_u64(b, IDT_AT + 16 * n + 8, 0);
	}
}

static u64 random_state(struct rng *r, struct cpu *c)
{
	enum kind k = (enum kind)rng_below(r, KINDS);
	unsigned cpl = k == KIND_REAL ? 0 : k == KIND_V86 ? 3 : rng_one_in(r, 3) ? 3 : 0;
	u32 fl = ((u32)rng_next(r) & FL_ALL & ~(u32)(FL_VM | FL_TF)) | FL_1;
	u64 rip = CODE_AT + (rng_one_in(r, 4) ? 0x1000 - rng_below(r, 16) : rng_below(r, 0x4000));

	cpu_reset(c, true);
	c->activity = ACT_RUN;
	c->stop = CPU_GO;
	c->pend = 0;
	control_registers(r, c, k);
	if (k == KIND_REAL || k == KIND_V86)
		real_segments(r, c, cpl);
	else
		protected_segments(r, c, k, cpl);
	system_segments(r, c, k == KIND_COMPAT || k == KIND_64);
	good_handlers(r, c->bus, k);
	data_registers(r, c, k == KIND_64);
	debug_registers(r, c);
	c->cpl = (u8)cpl;
	fl |= rng_one_in(r, 12) ? FL_TF : 0;
	flags_set(c, fl | (k == KIND_V86 ? FL_VM : 0));
	c->r[REG_RIP] = rip - (k <= KIND_V86 ? CODE_AT : 0);
	c->shadow = rng_one_in(r, 12) ? (u8)(1 + rng_below(r, 2)) : 0;
	tlb_flush_all(c);
	cpu_update_mode(c);
	cpu_recheck(c);
	return rip;
}

/* ---- steps ---- */

static void step(struct rng *r, struct machine *m)
{
	struct cpu *c = m->cpus[0];
	u8 bytes[24];
	struct err err;
	u64 rip = random_state(r, c);

	make_bytes(r, bytes, sizeof(bytes));
	bus_write(&m->bus, rip, bytes, sizeof(bytes));
	u64 before = c->insns;
	m->cfg.max_time_ns = m->clock.now + 3000;
	enum machine_stop why = machine_run(m, 1 + rng_below(r, 4), &err);
	static const char *const names[] = {"stop: none",  "stop: power off", "stop: exit port",
	                                    "stop: reset", "stop: shutdown",  "stop: deadlock",
	                                    "stop: limit", "stop: request",   "stop: internal"};
	fuzz_count(names[why]);
	if (why == MSTOP_INTERNAL || why == MSTOP_NONE)
		fuzz_fail("machine_run: %s", names[why]);
	fuzz_count(c->insns > before ? "steps with an instruction completed" : "steps without");
	fuzz_check_cpu(c);
	c->guest = c->stage2 = c->pdpte_on_demand = false;
	m->reset_pending = false;
}

static void one(struct rng *r)
{
	static const char *const cpus[] = {"amd", "intel", "plain", "intel,-vmx", "amd,-avx2,-nx", "max"};
	struct machine_config cfg;

	fuzz_config(&cfg, RNG_PICK(r, cpus), 16 << 20);
	cfg.testdev = rng_one_in(r, 2);
	fuzz_knobs(r, &cfg);
	struct machine *m = fuzz_machine(&cfg);
	for (unsigned n = 0; n < STEPS; n++) {
		if (n % 10 == 0) { /* stores have spoiled them */
			make_tables(r, &m->bus);
			make_descriptors(r, &m->bus);
		}
		decode_alone(r, m->cpus[0]);
		step(r, m);
	}
	machine_destroy(m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-decoder", one);
}
