/*
 * x87: every register form and memory form against the computer's own processor, with random stacks, tags, control
 * words and status words; approximation rows within one unit of the last place. One instruction at a time: FRSTOR, the
 * instruction's bytes, FNSAVE.
 */
#include "cpu/exec/fpu.h"
#include "host_memory.h"
#include "host_model.h"
#include "report.h"

void cpu_recheck(struct cpu *c)
{
	(void)c;
}

bool cc_eval(struct cpu *c, unsigned cc)
{
	u32 f = c->rflags;
	bool v[8] = {f & FL_OF, f & FL_CF, f & FL_ZF, f & (FL_CF | FL_ZF), f & FL_SF, f & FL_PF, false, false};

	return v[cc >> 1 & 7] != (cc & 1);
}

/* ---- random state ---- */
static unsigned pick(unsigned n)
{
	return (unsigned)(rnd() >> 33) % n;
}

static u64 rnd_significand(void)
{
	switch (pick(6)) {
	case 0:
		return 1ull << 63;
	case 1:
		return ~0ull >> pick(64);
	case 2:
		return (rnd() | 1ull << 63) & ~0ull << pick(64);
	case 3:
		return 1ull << pick(64);
	case 4:
		return 3ull << pick(63);
	default:
		return rnd();
	}
}

static struct f80 rnd_f80(void)
{
	static const u16 edges[] = {0, 1, 2, 0x7fff, 0x7ffe, 0x7ffd, 0x3fff, 0x3ffe, 0x3c01, 0x3c00, 0x3bcd, 0x43fe, 0x43ff,
				    0x3f81, 0x3f80, 0x3f6a, 0x407e, 0x407f, 0x403d, 0x403e, 0x401d, 0x401e, 0x400e};
	u64 m = rnd_significand();
	unsigned neg = pick(2);
	unsigned kind = pick(16);

	if (kind < 8) /* of moderate size */
		return f80_make(neg, 0x3fff - 40 + pick(100), m | 1ull << 63);
	if (kind < 12)
		return f80_make(neg, edges[pick(ARRAY_LEN(edges))], pick(8) ? m | 1ull << 63 : m);
	if (kind == 12)
		return f80_make(neg, 0, 0);
	if (kind == 13)
		return f80_make(neg, 0x7fff, pick(2) ? 1ull << 63 : m | 1ull << 63);
	if (kind == 14)
		return f80_make(neg, 0, m);
	return f80_make(neg, (unsigned)rnd() & 0x7fff, m | 1ull << 63);
}

static void rnd_memory(u8 *buf)
{
	struct f80 v = rnd_f80();
	double d;
	float f;
	u64 q = rnd_significand() * (pick(2) ? 1 : (u64)-1);
	unsigned k;

	memcpy(buf, &v, sizeof(v));
	switch (pick(5)) {
	case 0:
		d = (double)(s64)q / (double)(1 << pick(30));
		memcpy(buf, &d, 8);
		break;
	case 1:
		f = (float)(s64)q / (float)(1 << pick(30));
		memcpy(buf, &f, 4);
		break;
	case 2: /* exponents at the edges of m32 and m64 */
		q = (q & ~0x7ff0000000000000ull) | (pick(2) ? 0x7ff0000000000000ull : 0);
		q = (q & ~0x7f800000ull) | (pick(2) ? 0x7f800000 : 0);
		memcpy(buf, &q, 8);
		break;
	case 3:
		for (k = 0; k < 9; k++)
			buf[k] = (u8)(pick(10) << 4 | pick(10));
		buf[9] = pick(2) ? 0x80 : 0;
		break;
	default:
		break;
	}
}

/* ---- both sides ---- */
struct __attribute__((packed)) image { /* 32-bit protected-mode FSAVE */
	u32 cw, sw, tw, ip;
	u16 cs, op;
	u32 dp, ds;
	u8 st[8][F80_BYTES];
};

static u8 *thunk;
static void native(const u8 *bytes, unsigned len, struct image *im, void *mem, u64 *flags, u64 *rax)
{
	/* frstor (%rsi); push *rdx; popf; mov (%rcx),%rax; insn; fnsave (%rsi); pushf; pop (%rdx); mov %rax,(%rcx); ret */
	static const u8 before[] = {0xdd, 0x26, 0xff, 0x32, 0x9d, 0x48, 0x8b, 0x01};
	static const u8 after[] = {0xdd, 0x36, 0x9c, 0x8f, 0x02, 0x48, 0x89, 0x01, 0xfc, 0xdb, 0xe3, 0xc3};
	void (*fn)(void *, struct image *, u64 *, u64 *);

	memcpy(thunk, before, sizeof(before));
	memcpy(thunk + sizeof(before), bytes, len);
	memcpy(thunk + sizeof(before) + len, after, sizeof(after));
	memcpy(&fn, &thunk, sizeof(fn));
	fn(mem, im, flags, rax);
}

static struct cpu *cpu;
static ZydisDecoder decoder;

static const struct insn_row *find_row(const struct row_set *set, const struct dec *d)
{
	size_t n;

	for (n = 0; n < set->count; n++)
		if (set->rows[n].mnemonic == d->zi->mnemonic && (!set->rows[n].match || set->rows[n].match(d)))
			return &set->rows[n];
	return NULL;
}

static bool decode(const u8 *bytes, unsigned n, struct insn *out)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct dec d = {.zi = &zi, .op = op, .mode = MODE_64, .cpu = cpu};

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &zi, op)))
		return false;
	d.row = find_row(&exec_x87_rows, &d);
	if (!d.row)
		return false;
	*out = (struct insn){.row = d.row, .fn = d.row->fn, .len = zi.length, .opsz = zi.operand_width / 8, .addrsz = 8,
			     .opcode = zi.opcode,
			     .modrm = (u8)(zi.raw.modrm.mod << 6 | zi.raw.modrm.reg << 3 | zi.raw.modrm.rm), .base = REG_OFF(REG_RDI), .index = REG_OFF(REG_ZERO), .seg = 6};
	if (zi.raw.modrm.mod != 3 && (zi.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		out->flags |= INSN_MEM | INSN_FLAT;
	if (d.row->bind)
		d.row->bind(out, &d);
	return true;
}

static void image_random(struct image *im, bool masked)
{
	unsigned n;

	memset(im, 0, sizeof(*im));
	im->cw = (u32)(rnd() & 0xf3f) | 0x40;
	if (masked || pick(3))
		im->cw |= 0x3f;
	if (!(im->cw & 0x300) && pick(2))
		im->cw |= 0x300;
	if ((im->cw & 0x300) == 0x100) /* reserved precision */
		im->cw ^= 0x200;
	im->sw = (u32)(rnd() & 0x7f7f);
	im->sw &= ~(~im->cw & 0x3f);
	if (pick(2))
		im->sw &= ~0x7fu;
	im->tw = pick(2) ? 0 : (u32)(rnd() & rnd() & 0xffff);
	if (pick(3) == 0) /* room for a push */
		im->tw |= 3u << (2 * (((im->sw >> 11) - 1) & 7));
	im->op = (u16)(rnd() & 0x7ff);
	im->dp = (u32)rnd() | 1;
	for (n = 0; n < 8; n++) {
		struct f80 v = rnd_f80();

		memcpy(im->st[n], &v, F80_BYTES);
	}
}

static void cpu_load(const struct image *im)
{
	unsigned n, p;

	cpu->fpu = (struct x87){.cw = (u16)im->cw, .sw = (u16)(im->sw & 0x477f), .top = im->sw >> 11 & 7, .op = im->op, .dp = im->dp};
	for (n = 0; n < 8; n++) {
		p = (cpu->fpu.top + n) & 7;
		memcpy(cpu->fpu.st[p], im->st[n], F80_BYTES);
		if ((im->tw >> (2 * p) & 3) != 3)
			cpu->fpu.tag |= (u8)(1 << p);
	}
}

/* FCOMI's C1 against an AMD processor: not measured there since the model follows Intel's (unchanged). */
static u32 undefined_sw(const u8 *b)
{
	if (!host_is_intel() && (b[0] == 0xdb || b[0] == 0xdf) && (b[1] & 0xc0) == 0xc0 && ((b[1] >> 3 & 7) == 5 || (b[1] >> 3 & 7) == 6))
		return X87_C1;
	return 0;
}

static bool approximate(const u8 *b)
{
	return b[0] == 0xd9 && ((b[1] >= 0xf0 && b[1] <= 0xf3) || b[1] == 0xf9 || b[1] == 0xfb || b[1] >= 0xfe);
}

/* The sine of the smallest normal value is tiny or it is not: the last place, which is the approximation's, decides. */
static void avoid_underflow(u8 *st)
{
	struct f80 v = {0};

	memcpy(&v, st, F80_BYTES);
	if (f80_exp(v) <= 1 && v.m - BIT(63) < 2)
		st[8] = 2;
}

static bool near(const u8 *x, const u8 *y)
{
	struct f80 a = {0}, b = {0};
	s64 dist;

	memcpy(&a, x, F80_BYTES);
	memcpy(&b, y, F80_BYTES);
	if (a.se == b.se && a.m == b.m)
		return true;
	if (f80_neg(a) != f80_neg(b) || f80_exp(a) == 0x7fff || f80_exp(b) == 0x7fff)
		return false;
	if (a.se == b.se)
		dist = (s64)(a.m - b.m);
	else if (a.se == b.se + 1 || b.se == a.se + 1)
		dist = (s64)(a.m - b.m) ^ (s64)(1ull << 63);
	else
		return false;
	return dist >= -2 && dist <= 2;
}

static int mismatch(const u8 *b, const struct image *want, u64 want_flags, const u8 *want_mem, const u8 *mem, u64 want_rax)
{
	u32 sw_mask = ~undefined_sw(b) & 0xffff;
	unsigned n, bad = 0;

	if (approximate(b))
		sw_mask &= ~(u32)X87_C1;
	bad |= ((want->sw ^ fpu_sw(cpu)) & sw_mask) ? 1 : 0;
	bad |= (u16)want->cw != cpu->fpu.cw ? 2 : 0;
	bad |= (u16)want->tw != fpu_tag_word(cpu) ? 4 : 0;
	bad |= ((u32)want_flags ^ cpu->rflags) & FL_ARITH ? 8 : 0;
	bad |= memcmp(want_mem, mem, 128) ? 16 : 0;
	bad |= want_rax != cpu->r[REG_RAX] ? 32 : 0;
	/* AMD: a context switch in between loses FOP and FDP. */
	bad |= want->op && want->op != cpu->fpu.op ? 64 : 0;
	bad |= want->dp && want->dp != (cpu->fpu.dp == (u64)mem ? (u32)(u64)want_mem : (u32)cpu->fpu.dp) ? 256 : 0;
	for (n = 0; n < 8; n++) {
		const u8 *ours = cpu->fpu.st[st_phys(cpu, n)];

		if (approximate(b) ? !near(want->st[n], ours) : memcmp(want->st[n], ours, F80_BYTES) != 0)
			bad |= 128;
	}
	return (int)bad;
}

static void print_image(const char *who, const struct image *im)
{
	unsigned n;

	printf("  %-6s cw=%04x sw=%04x tw=%04x op=%03x", who, im->cw & 0xffff, im->sw & 0xffff, im->tw & 0xffff, im->op);
	for (n = 0; n < 4; n++) {
		struct f80 v = {0};

		memcpy(&v, im->st[n], F80_BYTES);
		printf(" %04x:%016llx", v.se, (unsigned long long)v.m);
	}
	printf("\n");
}

static int one_case(const u8 *bytes, unsigned len, bool masked, bool *reached)
{
	u8 mem_native[128] __attribute__((aligned(64))) = {0}, mem[128] __attribute__((aligned(64)));
	struct image before, after;
	struct insn i;
	u64 flags = 0x202, rax = rnd();
	int bad;

	*reached = decode(bytes, len, &i);
	if (!*reached)
		return 0;
	image_random(&before, masked);
	if (approximate(bytes))
		avoid_underflow(before.st[0]);
	rnd_memory(mem_native);
	if (bytes[0] == 0xdf && (bytes[1] & 0x38) == 0x20) /* FBLD of other digits is undefined */
		for (unsigned k = 0; k < 10; k++)
			mem_native[k] = (u8)(k == 9 ? pick(2) << 7 : pick(10) << 4 | pick(10));
	flags |= rnd() & FL_ARITH;
	memcpy(mem, mem_native, sizeof(mem));
	cpu_load(&before);
	cpu->r[REG_RDI] = (u64)mem;
	cpu->r[REG_RAX] = rax;
	cpu->rflags = (u32)flags;
	after = before;
	native(bytes, i.len, &after, mem_native, &flags, &rax);
	assert_int_equal(i.fn(cpu, &i), XR_OK);
	bad = mismatch(bytes, &after, flags, mem_native, mem, rax);
	if (bad) {
		struct image ours = {.cw = cpu->fpu.cw, .sw = fpu_sw(cpu), .tw = fpu_tag_word(cpu), .op = cpu->fpu.op};

		for (unsigned n = 0; n < 8; n++)
			memcpy(ours.st[n], cpu->fpu.st[st_phys(cpu, n)], F80_BYTES);
		printf("%02x %02x %s: mismatch %#x flags %llx/%x mem %02x%02x%02x%02x%02x%02x%02x%02x%02x%02x\n", bytes[0], bytes[1],
		       i.row->form, (unsigned)bad, (unsigned long long)flags & FL_ARITH, cpu->rflags & FL_ARITH, mem[9], mem[8],
		       mem[7], mem[6], mem[5], mem[4], mem[3], mem[2], mem[1], mem[0]);
		print_image("before", &before);
		print_image("native", &after);
		print_image("ours", &ours);
	}
	return bad != 0;
}

/* Instructions with their own test, or whose image differs natively (environment: pointers of the thunk). */
static bool skipped(const u8 *b)
{
	bool mem = (b[1] & 0xc0) != 0xc0;
	unsigned reg = b[1] >> 3 & 7;

	if (b[0] == 0xd9 && mem && (reg == 4 || reg == 6))
		return true;
	if (b[0] == 0xdd && mem && (reg == 4 || reg == 6))
		return true;
	return b[0] == 0xd9 && mem && reg == 5; /* FLDCW: bits of its own, below */
}

static void run_all(unsigned rounds, bool masked, unsigned first, unsigned last)
{
	unsigned op, modrm, n, bad = 0, total = 0;
	bool reached;

	drawn_begin();
	for (op = first; op <= last; op++)
		for (modrm = 0; modrm < 256; modrm++) {
			u8 b[8] = {(u8)op, (u8)modrm};
			int fails = 0;

			if ((modrm < 0xc0 && (modrm & 0xc7) != 7) || skipped(b))
				continue;
			for (n = 0; n < rounds && fails < 2; n++) {
				fails += one_case(b, 2, masked, &reached);
				if (!reached)
					break;
				total++;
			}
			bad += (unsigned)fails;
		}
	printf("# %u cases, %u mismatches\n", total, bad);
	drawn_end(total);
	assert_int_equal(bad, 0);
}

static unsigned rounds(unsigned n)
{
	const char *e = getenv("TEST_ROUNDS");

	return e ? n * (unsigned)atoi(e) : n;
}
static void test_masked(void **state)
{
	(void)state;
	run_all(rounds(300), true, 0xd8, 0xdf);
}
static void test_unmasked(void **state)
{
	(void)state;
	run_all(rounds(300), false, 0xd8, 0xdf);
}

/* FLDCW keeps what the hardware keeps; unmasking a pending exception sets ES. */
static void test_fldcw(void **state)
{
	struct insn i;
	u8 b[8] = {0xd9, 0x2f};
	unsigned n;
	u16 cw, back;

	(void)state;
	assert_true(decode(b, 2, &i));
	for (n = 0; n < 200; n++) {
		cw = (u16)rnd();
		__asm__ volatile("fnclex; fldcw %1; fnstcw %0; fninit" : "=m"(back) : "m"(cw));
		fpu_finit(cpu);
		cpu->r[REG_RDI] = (u64)&cw;
		assert_int_equal(i.fn(cpu, &i), XR_OK);
		assert_int_equal(cpu->fpu.cw, back);
	}
	fpu_finit(cpu);
	cpu->fpu.sw = X87_ZE;
	cw = 0x37b;
	cpu->cr0 = CR0_NE;
	assert_int_equal(i.fn(cpu, &i), XR_OK);
	assert_int_equal(cpu->fpu.sw, X87_ZE | X87_ES | X87_B);
	assert_int_equal(i.fn(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_MF);
}

/* FNSTENV and FNSAVE leave the image the hardware leaves, pointers aside; FLDENV and FRSTOR take it back. */
static void test_environment(void **state)
{
	static const u8 forms[][3] = {{0xd9, 0x37}, {0x66, 0xd9, 0x37}, {0xdd, 0x37}, {0x66, 0xdd, 0x37}};
	static const u8 loads[][3] = {{0xd9, 0x27}, {0x66, 0xd9, 0x27}, {0xdd, 0x27}, {0x66, 0xdd, 0x27}};
	u8 a[128], b[128];
	struct image im, after;
	struct insn i;
	struct x87 was;
	u64 flags, rax = 0;
	unsigned n, k, ptr;

	(void)state;
	cpu->cr0 = CR0_NE | CR0_PE;
	for (n = 0; n < 400; n++) {
		image_random(&im, false);
		k = n & 3;
		memset(a, 0xa5, sizeof(a));
		memset(b, 0xa5, sizeof(b));
		cpu_load(&im);
		was = cpu->fpu;
		flags = 0x202;
		assert_true(decode(forms[k], 3, &i));
		cpu->r[REG_RDI] = (u64)b;
		after = im;
		native(forms[k], i.len, &after, a, &flags, &rax);
		assert_int_equal(i.fn(cpu, &i), XR_OK);
		ptr = k & 1 ? 6 : 12; /* pointers are the thunk's own */
		memcpy(a + ptr, b + ptr, k & 1 ? 8 : 14);
		assert_memory_equal(a, b, sizeof(a));
		assert_int_equal(cpu->fpu.cw, after.cw & 0xffff);
		assert_int_equal(fpu_sw(cpu), after.sw & 0xffff);
		assert_int_equal(fpu_tag_word(cpu), after.tw & 0xffff);
		assert_true(decode(loads[k], 3, &i));
		assert_int_equal(i.fn(cpu, &i), XR_OK);
		assert_int_equal(cpu->fpu.cw, was.cw);
		assert_int_equal(fpu_sw(cpu), (u16)(was.sw | was.top << 11));
		assert_int_equal(cpu->fpu.tag, was.tag);
		assert_memory_equal(cpu->fpu.st, was.st, sizeof(was.st));
	}
}

static void test_gates(void **state)
{
	struct insn_row row = {.mnemonic = ZYDIS_MNEMONIC_FWAIT};
	struct insn i = {.row = &row};

	(void)state;
	cpu->cr0 = CR0_TS;
	assert_int_equal(fpu_gate(cpu, &i), XR_OK);
	cpu->cr0 = CR0_TS | CR0_MP;
	assert_int_equal(fpu_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_NM);
	row.mnemonic = ZYDIS_MNEMONIC_FADD;
	cpu->cr0 = CR0_EM;
	assert_int_equal(fpu_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_NM);
	assert_int_equal(mmx_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_UD);
	cpu->cr0 = CR0_TS;
	cpu->cr4 = 0;
	assert_int_equal(sse_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_UD);
	cpu->cr4 = CR4_OSFXSR;
	assert_int_equal(sse_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_NM);
	cpu->cr0 = CR0_NE;
	fpu_finit(cpu);
	cpu->fpu.sw = X87_ES | X87_ZE;
	assert_int_equal(sse_gate(cpu, &i), XR_OK);
	row.flags = ROW_SSE | ROW_MMX; /* CVTPI2PS and the like */
	assert_int_equal(sse_gate(cpu, &i), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_MF);
}

/* "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": control word 0040h, tag word 5555h, that is
 * eight registers in use that hold +0; MXCSR 1F80h. INIT changes nothing. */
static void test_reset(void **state)
{
	static const u8 zero[10];

	(void)state;
	fpu_finit(cpu);
	cpu->fpu.cw = 0x27f;
	cpu->mxcsr = 0x9fc0;
	fpu_reset(cpu, true);
	assert_int_equal(cpu->fpu.cw, 0x27f);
	assert_int_equal(cpu->fpu.tag, 0);
	assert_int_equal(cpu->mxcsr, 0x9fc0);
	fpu_reset(cpu, false);
	assert_int_equal(cpu->fpu.cw, 0x40);
	assert_int_equal(cpu->fpu.sw | cpu->fpu.top, 0);
	assert_int_equal(cpu->fpu.tag, 0xff);
	for (unsigned n = 0; n < 8; n++)
		assert_memory_equal(&cpu->fpu.st[n], zero, sizeof(zero));
	assert_int_equal(cpu->mxcsr, 0x1f80);
}

static int setup(void **state)
{
	static struct cpu_model model;

	(void)state;
	model.quirks = host_quirks();
	cpu = calloc(1, sizeof(*cpu) + 64);
	cpu = (struct cpu *)(((uintptr_t)cpu + 63) & ~63ull);
	cpu->model = &model;
	feat_put(&cpu->feat, FEAT_FDP_EXCPTN_ONLY, host_has_leaf7_ebx(6));
	cpu->mode = MODE_64;
	cpu->ctx = 1;
	cpu->cr0 = CR0_NE;
	thunk = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return thunk == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masked), cmocka_unit_test(test_unmasked), cmocka_unit_test(test_fldcw),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_gates), cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
