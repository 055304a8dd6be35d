/*
 * MMX registers: every form that decodes to a row of exec_mmx_rows, found by trying all opcodes of the 0F, 0F 38 and
 * 0F 3A maps, against the computer's own processor. Then FXSAVE and the XSAVE family against their manual.
 */
#include "cpu/exec/fpu.h"
#include "host_memory.h"
#include "report.h"

void cpu_recheck(struct cpu *c)
{
	(void)c;
}

void mmu_update_context(struct cpu *c)
{
	(void)c;
}

/* Lanes of all kinds: small, extreme, and floating point of moderate size. */
static u64 rnd_lanes(void)
{
	static const u64 edges[] = {0, ~0ull, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x0001000100010001, 0x80, 0x7f, 3, 15, 31, 63};
	float f[2];
	double d;
	u64 v = rnd();

	switch ((v >> 40) % 6) {
	case 0:
		return edges[(v >> 8) % ARRAY_LEN(edges)];
	case 1:
		f[0] = (float)(s32)v / 3.0f;
		f[1] = (float)(s16)(v >> 32) / 7.0f;
		memcpy(&v, f, 8);
		return v;
	case 2:
		d = (double)(s64)v / (double)(1ull << (v & 63));
		memcpy(&v, &d, 8);
		return v;
	default:
		return v;
	}
}

/* ---- both sides ---- */
struct __attribute__((packed, aligned(64))) native_state {
	u32 cw, sw, tw, ip;
	u16 cs, op;
	u32 dp, ds;
	u8 st[8][F80_BYTES]; /* 28 */
	u8 pad[4];
	u64 gpr[2];          /* 112: rax, rcx */
	u8 xmm[2][16];       /* 128 */
	u32 mxcsr;           /* 160 */
};

static u8 *thunk;
static void native(const u8 *bytes, unsigned len, struct native_state *s, void *mem)
{
	/* push rbx; mov rbx,rsi; frstor [rbx]; ldmxcsr [rbx+160]; movaps xmm0,[rbx+128]; movaps xmm1,[rbx+144];
	 * mov rax,[rbx+112]; mov rcx,[rbx+120] */
	static const u8 before[] = {0x53, 0x48, 0x89, 0xf3, 0xdd, 0x23, 0x0f, 0xae, 0x93, 0xa0, 0, 0, 0,
				    0x0f, 0x28, 0x83, 0x80, 0, 0, 0, 0x0f, 0x28, 0x8b, 0x90, 0, 0, 0,
				    0x48, 0x8b, 0x43, 0x70, 0x48, 0x8b, 0x4b, 0x78};
	/* and back: movs; fnsave; fninit; ldmxcsr is the caller's */
	static const u8 after[] = {0x48, 0x89, 0x43, 0x70, 0x48, 0x89, 0x4b, 0x78, 0x0f, 0x29, 0x83, 0x80, 0, 0, 0,
				   0x0f, 0x29, 0x8b, 0x90, 0, 0, 0, 0x0f, 0xae, 0x9b, 0xa0, 0, 0, 0,
				   0xdd, 0x33, 0xdb, 0xe3, 0x5b, 0xc3};
	void (*fn)(void *, struct native_state *);
	u32 csr = MXCSR_INITIAL;

	memcpy(thunk, before, sizeof(before));
	memcpy(thunk + sizeof(before), bytes, len);
	memcpy(thunk + sizeof(before) + len, after, sizeof(after));
	memcpy(&fn, &thunk, sizeof(fn));
	fn(mem, s);
	__asm__ volatile("ldmxcsr %0" : : "m"(csr));
}

static struct cpu *cpu;
static ZydisDecoder decoder;

static u8 slot(ZydisRegister r)
{
	u8 id = (u8)ZydisRegisterGetId(r);
	ZydisRegisterClass cl = ZydisRegisterGetClass(r);

	return cl == ZYDIS_REGCLASS_GPR32 || cl == ZYDIS_REGCLASS_GPR64 ? REG_OFF(id) : id;
}

static bool decode(const u8 *bytes, unsigned n, const struct row_set *set, struct insn *out)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct dec d = {.zi = &zi, .op = op, .mode = MODE_64, .cpu = cpu};
	u8 slots[4] = {0xff, 0xff, 0xff, 0xff};
	unsigned k;
	size_t r;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &zi, op)))
		return false;
	for (r = 0; r < set->count && !d.row; r++)
		if (set->rows[r].mnemonic == zi.mnemonic && (!set->rows[r].match || set->rows[r].match(&d)))
			d.row = &set->rows[r];
	if (!d.row)
		return false;
	*out = (struct insn){.row = d.row, .fn = d.row->fn, .len = zi.length, .opsz = zi.operand_width / 8, .addrsz = 8,
			     .opcode = zi.opcode, .base = REG_OFF(REG_RDI), .index = REG_OFF(REG_ZERO), .seg = SEG_DS,
			     .flags = INSN_FLAT};
	for (k = 0; k < zi.operand_count_visible; k++) {
		if (op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && k < 4)
			slots[k] = slot(op[k].reg.value);
		if (op[k].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			out->imm = op[k].imm.value.u;
		if (op[k].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			out->flags |= INSN_MEM;
			out->memsz = (u8)(op[k].size / 8);
		}
	}
	memcpy(&out->r0, slots, 4);
	if (d.row->bind)
		d.row->bind(out, &d);
	return true;
}

static u8 reached[512];

static unsigned one_case(const u8 *bytes, const struct insn *i)
{
	static const u32 rounding[4] = {0, 0x2000, 0x4000, 0x6000};
	u8 mem[64] __attribute__((aligned(64))), mem_native[64] __attribute__((aligned(64)));
	struct native_state s = {.cw = 0x37f};
	unsigned n, bad = 0;
	u64 v;

	s.sw = (u32)(rnd() & 0x7f00);
	s.tw = (u32)rnd() & 0xffff;
	for (n = 0; n < 8; n++) {
		v = rnd_lanes();
		memcpy(s.st[n], &v, 8);
		v = rnd();
		memcpy(s.st[n] + 8, &v, 2);
	}
	for (n = 0; n < 8; n++) {
		v = rnd_lanes();
		memcpy(mem + 8 * n, &v, 8);
		v = rnd_lanes();
		if (n < 4)
			memcpy(s.xmm[0] + 8 * n, &v, 8);
	}
	memcpy(mem_native, mem, sizeof(mem));
	s.gpr[0] = rnd_lanes();
	s.gpr[1] = rnd_lanes();
	s.mxcsr = MXCSR_INITIAL | rounding[rnd() >> 62];

	cpu->fpu = (struct x87){.cw = 0x37f, .sw = s.sw & 0x4700, .top = s.sw >> 11 & 7};
	for (n = 0; n < 8; n++) {
		unsigned p = (cpu->fpu.top + n) & 7;

		memcpy(cpu->fpu.st[p], s.st[n], F80_BYTES);
		cpu->fpu.tag |= (u8)((s.tw >> (2 * p) & 3) != 3 ? 1 << p : 0);
	}
	memcpy(&cpu->v[0], s.xmm[0], 16);
	memcpy(&cpu->v[1], s.xmm[1], 16);
	cpu->mxcsr = s.mxcsr;
	cpu->r[REG_RAX] = s.gpr[0];
	cpu->r[REG_RCX] = s.gpr[1];
	cpu->r[REG_RDI] = (u64)mem;
	native(bytes, i->len, &s, mem_native);
	assert_int_equal(i->fn(cpu, i), XR_OK);

	bad |= (u16)s.sw != fpu_sw(cpu) ? 1 : 0;
	bad |= (u16)s.tw != fpu_tag_word(cpu) ? 2 : 0;
	for (n = 0; n < 8; n++)
		bad |= memcmp(s.st[n], cpu->fpu.st[st_phys(cpu, n)], F80_BYTES) ? 4 : 0;
	bad |= s.gpr[0] != cpu->r[REG_RAX] || s.gpr[1] != cpu->r[REG_RCX] ? 8 : 0;
	bad |= memcmp(s.xmm[0], &cpu->v[0], 16) || memcmp(s.xmm[1], &cpu->v[1], 16) ? 16 : 0;
	bad |= memcmp(mem, mem_native, sizeof(mem)) ? 32 : 0;
	bad |= s.mxcsr != cpu->mxcsr ? 64 : 0;
	if (bad)
		printf("# %s (%02x %02x %02x %02x): mismatch %#x\n", i->row->form, bytes[0], bytes[1], bytes[2], bytes[3], bad);
	return bad != 0;
}

static unsigned try_bytes(const u8 *bytes, unsigned rounds, unsigned *total)
{
	struct insn i;
	unsigned n, bad = 0;

	if (!decode(bytes, 15, &exec_mmx_rows, &i) || i.r0 == REG_OFF(REG_RSP)) /* the thunk needs its stack */
		return 0;
	reached[i.row - exec_mmx_rows.rows] = 1;
	for (n = 0; n < rounds && bad < 2; n++)
		bad += one_case(bytes, &i);
	*total += n;
	return bad;
}

static void test_against_host(void **state)
{
	static const u8 prefixes[] = {0, 0x66, 0xf2, 0xf3, 0x48};
	static const u8 modrms[] = {0xc1, 0xc8, 0xd1, 0xe1, 0xf1, 0xf9, 0x07, 0xc0};
	unsigned p, op, m, map, bad = 0, total = 0, missed = 0;

	(void)state;
	drawn_begin();
	for (map = 0; map < 3; map++)
		for (p = 0; p < sizeof(prefixes); p++)
			for (op = 0; op < 256; op++)
				for (m = 0; m < sizeof(modrms); m++) {
					u8 b[15] = {0};
					unsigned n = 0;

					if (!map && (op == 0x38 || op == 0x3a)) /* the other maps */
						continue;
					if (prefixes[p])
						b[n++] = prefixes[p];
					b[n++] = 0x0f;
					if (map)
						b[n++] = map == 1 ? 0x38 : 0x3a;
					b[n++] = (u8)op;
					b[n++] = modrms[m];
					b[n] = (u8)(rnd() >> 50);
					bad += try_bytes(b, 60, &total);
				}
	for (op = 0; op < exec_mmx_rows.count; op++)
		if (!reached[op]) {
			printf("# not reached: %s\n", exec_mmx_rows.rows[op].form);
			missed++;
		}
	printf("# %u cases, %u mismatches, %u rows\n", total, bad, (unsigned)exec_mmx_rows.count);
	drawn_end(total);
	assert_int_equal(bad, 0);
	assert_int_equal(missed, 0);
}

/* ---- extended state ---- */

static enum xr run(const char *bytes, unsigned n)
{
	struct insn i;
	u8 b[15] = {0};

	memcpy(b, bytes, n);
	assert_true(decode(b, 15, &exec_xsave_rows, &i));
	return i.fn(cpu, &i);
}
#define RUN(s) run(s, sizeof(s) - 1)
#define FXSAVE64 "\x48\x0f\xae\x07"
#define FXRSTOR64 "\x48\x0f\xae\x0f"
#define XSAVE64 "\x48\x0f\xae\x27"
#define XRSTOR64 "\x48\x0f\xae\x2f"
#define XSAVEOPT64 "\x48\x0f\xae\x37"
#define XSAVEC64 "\x48\x0f\xc7\x27"
#define XSAVES64 "\x48\x0f\xc7\x2f"
#define XRSTORS64 "\x48\x0f\xc7\x1f"

static void random_vectors(void)
{
	unsigned n;

	for (n = 0; n < 16 * 4; n++)
		cpu->v[n / 4].q[n % 4] = rnd();
}
static void random_x87(void)
{
	unsigned n;

	fpu_finit(cpu);
	cpu->fpu.top = rnd() & 7;
	cpu->fpu.tag = (u8)rnd();
	cpu->fpu.sw = (u16)rnd() & 0x477f;
	cpu->fpu.ip = rnd();
	cpu->fpu.dp = rnd();
	cpu->fpu.op = (u16)rnd() & 0x7ff;
	for (n = 0; n < 80; n++)
		cpu->fpu.st[n / 10][n % 10] = (u8)(rnd() >> 30);
}
static void ask(u64 mask_)
{
	cpu->r[REG_RAX] = (u32)mask_;
	cpu->r[REG_RDX] = mask_ >> 32;
}

/* The image of FXSAVE64 is what the computer's FXRSTOR64 takes, and its FXSAVE64 gives back. */
static void test_fxsave(void **state)
{
	u8 a[512] __attribute__((aligned(64))), b[512] __attribute__((aligned(64))), keep[512] __attribute__((aligned(64)));
	struct x87 was;
	union vec v[16];

	(void)state;
	random_x87();
	random_vectors();
	cpu->mxcsr = 0x3fa0;
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	cpu->r[REG_RDI] = (u64)a;
	assert_int_equal(RUN(FXSAVE64), XR_OK);
	__asm__ volatile("fxsave64 %0" : "=m"(keep));
	__asm__ volatile("fxrstor64 %1; fxsave64 %0; fxrstor64 %2" : "=m"(b) : "m"(a), "m"(keep));
	memcpy(a + 6, b + 6, 18); /* pointers: AMD keeps them only with an error pending */
	memcpy(a + 28, b + 28, 4); /* MXCSR_MASK is the model's */
	assert_memory_equal(a, b, 416);
	RUN(FXSAVE64);
	was = cpu->fpu;
	memcpy(v, cpu->v, sizeof(v));
	random_x87();
	random_vectors();
	cpu->mxcsr = MXCSR_INITIAL;
	assert_int_equal(RUN(FXRSTOR64), XR_OK);
	assert_memory_equal(cpu->fpu.st, was.st, sizeof(was.st));
	assert_int_equal(cpu->fpu.sw, was.sw);
	assert_int_equal(cpu->fpu.top, was.top);
	assert_int_equal(cpu->fpu.tag, was.tag);
	assert_true(cpu->fpu.ip == was.ip && cpu->fpu.dp == was.dp && cpu->fpu.op == was.op);
	assert_int_equal(cpu->mxcsr, 0x3fa0);
	assert_memory_equal(&cpu->v[7], &v[7], 16);
	/* misaligned, and reserved MXCSR bits */
	cpu->r[REG_RDI] = (u64)a + 8;
	assert_int_equal(RUN(FXSAVE64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_GP);
	cpu->r[REG_RDI] = (u64)a;
	a[27] = 0x80;
	assert_int_equal(RUN(FXRSTOR64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_GP);
}

static void test_xsave(void **state)
{
	u8 a[2752] __attribute__((aligned(64)));
	union vec v[16];
	struct x87 was;
	u64 bv, comp;

	(void)state;
	cpu->xcr0 = XC_X87 | XC_SSE | XC_AVX | XC_PKRU;
	random_x87();
	random_vectors();
	cpu->pkru = 0x55555554;
	cpu->mxcsr = 0x1fa0;
	was = cpu->fpu;
	memcpy(v, cpu->v, sizeof(v));
	memset(a, 0, sizeof(a));
	cpu->r[REG_RDI] = (u64)a;
	ask(~0ull);
	assert_int_equal(RUN(XSAVE64), XR_OK);
	memcpy(&bv, a + 512, 8);
	assert_int_equal(bv, cpu->xcr0);
	assert_memory_equal(a + 576 + 16 * 15, &v[15].q[2], 16);
	assert_memory_equal(a + 2688, &cpu->pkru, 4);
	/* everything back, by a partial restore first: AVX only, the rest stays */
	memset(cpu->v, 0, sizeof(cpu->v));
	fpu_finit(cpu);
	ask(XC_AVX);
	assert_int_equal(RUN(XRSTOR64), XR_OK);
	assert_true(cpu->v[3].q[0] == 0 && cpu->v[3].q[2] == v[3].q[2]);
	ask(~0ull);
	cpu->pkru = 0;
	assert_int_equal(RUN(XRSTOR64), XR_OK);
	assert_memory_equal(cpu->v, v, sizeof(v));
	assert_memory_equal(cpu->fpu.st, was.st, sizeof(was.st));
	assert_int_equal(cpu->pkru, 0x55555554);
	/* a clear XSTATE_BV bit initialises */
	a[512] &= (u8)~XC_AVX;
	assert_int_equal(RUN(XRSTOR64), XR_OK);
	assert_true(cpu->v[3].q[2] == 0 && cpu->v[3].q[0] == v[3].q[0]);
	/* XSAVEOPT: AVX is now initial, its area stays as it is */
	memset(a + 576, 0xee, 256);
	assert_int_equal(RUN(XSAVEOPT64), XR_OK);
	assert_int_equal(a[512], XC_X87 | XC_SSE);
	assert_int_equal(a[576], 0xee);
	/* compacted: PKRU follows AVX */
	memset(a, 0, sizeof(a));
	memcpy(cpu->v, v, sizeof(v));
	assert_int_equal(RUN(XSAVEC64), XR_OK);
	memcpy(&comp, a + 520, 8);
	assert_true(comp == (cpu->xcr0 | BIT(63)));
	assert_memory_equal(a + 576 + 256, &cpu->pkru, 4);
	assert_int_equal(xsave_size(cpu->xcr0, true), 576 + 256 + 8);
	assert_int_equal(xsave_size(cpu->xcr0, false), 2696);
	assert_int_equal(xsave_size(XC_X87 | XC_SSE, false), 576);
	memset(cpu->v, 0x11, sizeof(cpu->v));
	assert_int_equal(RUN(XRSTORS64), XR_OK);
	assert_memory_equal(cpu->v, v, sizeof(v));
	assert_int_equal(RUN(XSAVES64), XR_OK);
	/* header checks */
	a[540] = 1;
	assert_int_equal(RUN(XRSTOR64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_GP);
	a[540] = 0;
	a[512] |= 0x20;
	assert_int_equal(RUN(XRSTOR64), XR_FAULT);
	a[512] &= 0x1f;
	assert_int_equal(RUN(XRSTOR64), XR_OK);
	cpu->r[REG_RDI] += 16;
	assert_int_equal(RUN(XRSTOR64), XR_FAULT);
	cpu->r[REG_RDI] -= 16;
	cpu->cpl = 3;
	assert_int_equal(RUN(XRSTORS64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_GP);
	cpu->cpl = 0;
	cpu->cr0 |= CR0_TS;
	assert_int_equal(RUN(XSAVE64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_NM);
	cpu->cr0 &= ~CR0_TS;
	cpu->cr4 &= ~CR4_OSXSAVE;
	assert_int_equal(RUN(XSAVE64), XR_FAULT);
	assert_int_equal(cpu->fault.vector, EX_UD);
	cpu->cr4 |= CR4_OSXSAVE;
}

static void test_xcr0(void **state)
{
	(void)state;
	cpu->r[REG_RCX] = 0;
	ask(7);
	assert_int_equal(RUN("\x0f\x01\xd1"), XR_OK);
	assert_int_equal(cpu->xcr0, 7);
	ask(5);
	assert_int_equal(RUN("\x0f\x01\xd1"), XR_FAULT);
	ask(6);
	assert_int_equal(RUN("\x0f\x01\xd1"), XR_FAULT);
	ask(0x17);
	assert_int_equal(RUN("\x0f\x01\xd1"), XR_FAULT);
	assert_int_equal(RUN("\x0f\x01\xd0"), XR_OK);
	assert_int_equal(cpu->r[REG_RAX], 7);
	memset(cpu->v, 0, sizeof(cpu->v));
	cpu->mxcsr = MXCSR_INITIAL;
	cpu->r[REG_RCX] = 1;
	assert_int_equal(RUN("\x0f\x01\xd0"), XR_OK);
	assert_int_equal(cpu->r[REG_RAX] & 6, 0);
	cpu->r[REG_RCX] = 2;
	assert_int_equal(RUN("\x0f\x01\xd0"), XR_FAULT);
}

static int setup(void **state)
{
	static struct cpu_model model;

	(void)state;
	cpu = calloc(1, sizeof(*cpu) + 64);
	cpu = (struct cpu *)(((uintptr_t)cpu + 63) & ~63ull);
	cpu->model = &model;
	cpu->mode = MODE_64;
	cpu->ctx = 1;
	cpu->cr0 = CR0_NE;
	cpu->cr4 = CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
	feat_put(&cpu->feat, FEAT_AVX, true);
	feat_put(&cpu->feat, FEAT_PKU, true);
	feat_put(&cpu->feat, FEAT_XSAVEC, true);
	feat_put(&cpu->feat, FEAT_XSAVES, true);
	feat_put(&cpu->feat, FEAT_XGETBV1, true);
	thunk = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return thunk == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_host), cmocka_unit_test(test_fxsave), cmocka_unit_test(test_xsave),
		cmocka_unit_test(test_xcr0),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
