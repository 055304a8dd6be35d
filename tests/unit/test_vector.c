/*
 * Vector instructions against the computer's own processor. For every row of the SSE, AVX and crypto families the test
 * finds the operand shapes that encode, and runs each with random registers, memory and MXCSR (also with unmasked
 * exceptions and misaligned memory) both through the row's handler on a bare struct cpu and natively. Registers, flags,
 * MXCSR, memory and the kind of fault must agree. TEST_VECTOR_CASES: cases of each shape; TEST_VECTOR_ONLY: rows whose
 * form contains this.
 */
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

#include "report.h"
#include "vector_harness.h"

/* ---- native execution ---- */

struct native {
	u64 r[16];      /* 0 */
	union vec v[16]; /* 128 */
	u64 flags;      /* 640 */
	u32 mxcsr;      /* 648 */
};
_Static_assert(offsetof(struct native, flags) == 640, "the assembly knows the offsets");

void test_vector_native(struct native *n);
void *test_vector_code, *test_vector_state;
u64 test_vector_rax, test_vector_rsp;
__asm__(".text\n"
	"test_vector_native:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8, %rsp\n"
	"mov %rdi, test_vector_state(%rip)\n"
	"mov %rdi, %rax\n"
	"ldmxcsr 648(%rax)\n"
#define EACH(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7) OP(8) OP(9) OP(10) OP(11) OP(12) OP(13) OP(14) OP(15)
#define LOAD(n) "vmovdqu 128+32*" #n "(%rax), %ymm" #n "\n"
	EACH(LOAD)
	"push 640(%rax); popfq\n"
	"mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp; mov 48(%rax), %rsi\n"
	"mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10; mov 88(%rax), %r11\n"
	"mov 96(%rax), %r12; mov 104(%rax), %r13; mov 112(%rax), %r14; mov 120(%rax), %r15\n"
	"mov 0(%rax), %rax\n"
	"call *test_vector_code(%rip)\n"
	"mov %rax, test_vector_rax(%rip)\n"
	"mov test_vector_state(%rip), %rax\n"
	"pushfq; popq 640(%rax)\n"
#define STORE(n) "vmovdqu %ymm" #n ", 128+32*" #n "(%rax)\n"
	EACH(STORE)
	"stmxcsr 648(%rax)\n"
	"mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rbp, 40(%rax); mov %rsi, 48(%rax)\n"
	"mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax)\n"
	"mov %r12, 96(%rax); mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"mov test_vector_rax(%rip), %rcx\n"
	"mov %rcx, 0(%rax)\n"
	"vzeroupper; cld\n"
	"add $8, %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

static sigjmp_buf escape;
static u32 fault_mxcsr;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	(void)info;
	fault_mxcsr = u->uc_mcontext.fpregs->mxcsr;
	siglongjmp(escape, sig);
}

/* 0, or the signal. */
static int run_native(struct native *n)
{
	u32 standard = MXCSR_RESET;
	int sig = sigsetjmp(escape, 1);

	if (!sig) {
		test_vector_native(n);
		__asm__ volatile("ldmxcsr %0" : : "m"(standard));
		return 0;
	}
	__asm__ volatile("ldmxcsr %0; vzeroupper; cld" : : "m"(standard));
	return sig;
}

/* ---- random states ---- */

static u32 rnd32(void)
{
	static const u32 special[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00001,
		0x7f800001, 0xffa00000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000,
		0x477fe000, 0x477ff000, 0x38800000, 0x387fe000, 0x387ff000, 0x33800000, 0x33000000, 0x33000001 };
	u64 r = rnd();
	switch (r >> 60) {
	case 0: case 1: case 2: case 3:
		return special[(u32)r % ARRAY_LEN(special)];
	case 4: case 5: case 6:
		return (u32)r & 0x807fffff;
	case 7: case 8: case 9: /* near 1 */
		return ((u32)r & 0x87ffffff) + 0x3c000000;
	case 10: /* half denormals */
		return ((u32)r & 0x83ffffff) + 0x36000000;
	case 11:
		return (u32)(s32)(s16)r;
	default:
		return (u32)r;
	}
}

static u64 rnd64(void)
{
	static const u64 special[] = { 0, BIT(63), 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000000001, 0x7ff0000000000001, 0xfff4000000000000, 1, 0x800fffffffffffff,
		0x0010000000000000, 0x7fefffffffffffff, 0x41e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000 };
	u64 r = rnd();
	switch (r >> 60) {
	case 0: case 1: case 2:
		return special[(u32)r % ARRAY_LEN(special)];
	case 3: case 4:
		return r & 0x800fffffffffffff;
	case 5: case 6: case 7:
		return (r & 0x80ffffffffffffff) + 0x3f80000000000000;
	case 8: /* floats' denormals */
		return (r & 0x807fffffffffffff) + 0x3680000000000000;
	case 9:
		return (u64)(s64)(s32)r;
	default:
		return r;
	}
}

static void rnd_bytes(void *p, unsigned n)
{
	switch (rnd() % 4) {
	case 0:
		for (unsigned k = 0; k < n; k += 8)
			((u64 *)p)[k / 8] = rnd64();
		break;
	case 1:
		for (unsigned k = 0; k < n; k += 8)
			((u64 *)p)[k / 8] = rnd() & 0x0303030303030303; /* strings */
		break;
	default:
		for (unsigned k = 0; k < n; k += 4)
			((u32 *)p)[k / 4] = rnd32();
	}
}

/* ---- shapes ---- */

enum kind { END, X, Y, G4, G8, IMM, MEM, VX, VY };
struct shape {
	u8 k[4];
	u8 size; /* of memory */
	unsigned n;
};

static u8 *code;

static ZydisRegister gpr(ZydisRegister first)
{
	static const u8 usable[] = { 0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	return (ZydisRegister)(first + usable[rnd() % sizeof(usable)]);
}

static bool encode(u16 mnemonic, const struct shape *s, unsigned offset, u8 *out, size_t *len)
{
	ZydisEncoderRequest q;

	memset(&q, 0, sizeof(q));
	q.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
	q.allowed_encodings = ZYDIS_ENCODABLE_ENCODING_LEGACY | ZYDIS_ENCODABLE_ENCODING_VEX;
	q.mnemonic = (ZydisMnemonic)mnemonic;
	q.operand_count = (u8)s->n;
	for (unsigned k = 0; k < s->n; k++) {
		ZydisEncoderOperand *o = &q.operands[k];
		o->type = ZYDIS_OPERAND_TYPE_REGISTER;
		o->reg.is4 = k == 3;
		switch (s->k[k]) {
		case X:
			o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_XMM0 + rnd() % 16);
			break;
		case Y:
			o->reg.value = (ZydisRegister)(ZYDIS_REGISTER_YMM0 + rnd() % 16);
			break;
		case G4:
			o->reg.value = gpr(ZYDIS_REGISTER_EAX);
			break;
		case G8:
			o->reg.value = gpr(ZYDIS_REGISTER_RAX);
			break;
		case IMM:
			o->type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
			o->imm.u = rnd() & 0xff;
			break;
		default:
			o->type = ZYDIS_OPERAND_TYPE_MEMORY;
			o->mem.base = ZYDIS_REGISTER_RDI;
			o->mem.displacement = (ZyanI64)offset;
			o->mem.size = s->size;
			if (s->k[k] != MEM) {
				o->mem.index = (ZydisRegister)((s->k[k] == VX ? ZYDIS_REGISTER_XMM0 : ZYDIS_REGISTER_YMM0) +
							       rnd() % 16);
				o->mem.scale = (u8)(1u << rnd() % 4);
			}
		}
	}
	*len = 15;
	return ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&q, out, len));
}

static bool approximate(const struct insn_row *row)
{
	return row->op && (((const struct vop *)row->op)->fp == hostfp_rcpps ||
			   ((const struct vop *)row->op)->fp == hostfp_rsqrtps);
}

/* EXTRQ and INSERTQ leave the upper quadword undefined, and all of it where the field ends above bit 63. */
static void undefined_bits(const struct insn_row *row, const struct insn *i, const struct native *in, union vec *ours,
			   const union vec *want)
{
	if (row->mnemonic != ZYDIS_MNEMONIC_EXTRQ && row->mnemonic != ZYDIS_MNEMONIC_INSERTQ)
		return;
	u32 field = i->aux ? i->aux : in->v[i->r2].w[row->mnemonic == ZYDIS_MNEMONIC_EXTRQ ? 0 : 4];
	u32 length = field & 0x3f, index = field >> 8 & 0x3f;
	ours->q[1] = want->q[1];
	if (length + index > 64 || (!length && index))
		ours->q[0] = want->q[0];
}

/* RCPPS: both within 1.5 * 2^-12 of the truth, so twice that of each other. */
static bool close_enough(const union vec *a, const union vec *b)
{
	for (unsigned k = 0; k < 8; k++) {
		if (a->d[k] == b->d[k])
			continue;
		double x = (double)a->f[k], y = (double)b->f[k], e = x > y ? x - y : y - x;
		if (!(e <= 3.0 / 4096 * (y < 0 ? -y : y)) || e - e != 0)
			return false;
	}
	return true;
}

static void show(const char *what, const u8 *bytes, size_t len, const struct native *in, const struct native *want,
		 const struct insn *i)
{
	static unsigned shown;
	ZydisFormatter f;
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	char text[128];

	if (shown++ > 25)
		return;
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisDecoderDecodeFull(&decoder, bytes, len, &zi, op);
	ZydisFormatterFormatInstruction(&f, &zi, op, zi.operand_count_visible, text, sizeof(text), 0, NULL);
	printf("# %s: %s  mxcsr %x -> %x, native %x; flags %x, native %x\n", what, text, in->mxcsr, cpu->mxcsr,
	       want->mxcsr, cpu->rflags & FL_ARITH, (u32)want->flags & FL_ARITH);
	for (unsigned n = 0; n < 16; n++) {
		bool used = n == i->r0 || n == i->r1 || n == i->r2;
		if (!used && !memcmp(&cpu->v[n], &want->v[n], 32))
			continue;
		const union vec *v[3] = { &in->v[n], &want->v[n], &cpu->v[n] };
		for (unsigned k = 0; k < 3; k++)
			printf("#   v%u %s %016llx %016llx %016llx %016llx\n", n, k == 0 ? "before" : k == 1 ? "native" : "ours  ",
			       (unsigned long long)v[k]->q[3], (unsigned long long)v[k]->q[2],
			       (unsigned long long)v[k]->q[1], (unsigned long long)v[k]->q[0]);
	}
	for (unsigned n = 0; n < 16; n++)
		if (n != 4 && cpu->r[n] != want->r[n])
			printf("#   r%u native %llx ours %llx\n", n, (unsigned long long)want->r[n], (unsigned long long)cpu->r[n]);
}

static bool misaligned_mode; /* the computer has MXCSR.MM */

static u32 rnd_mxcsr(void)
{
	u64 r = rnd();
	u32 v = MXCSR_RESET;
	if (r & 3)
		v |= (u32)(r >> 8) & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ);
	if (r & 4)
		v |= (u32)(r >> 32) & MXCSR_FLAGS;
	if (misaligned_mode && (r & 0x60) == 0x60)
		v |= MXCSR_MM;
	if ((r & 0x18) == 0x18)
		v &= ~((u32)(r >> 40) & MXCSR_MASKS);
	return v;
}

/* One random case. 0: agreed, 1: differs, 2: the computer lacks it. */
static int one_case(const struct insn_row **row, u16 mnemonic, const struct shape *s)
{
	static u8 before[256], ours[256];
	struct native in, out;
	struct insn i;
	u8 bytes[16];
	size_t len = 15;
	bool vsib = false;
	u8 *mem = memory + 1024;
	/* SHA's memory, which need not be aligned: not measured on AMD's processors. */
	bool sha = mnemonic >= ZYDIS_MNEMONIC_SHA1MSG1 && mnemonic <= ZYDIS_MNEMONIC_SHA256RNDS2;
	unsigned offset = (sha && !host_is_intel()) || rnd() % 4 ? 0 : (unsigned)(rnd() % 64);

	if (!encode(mnemonic, s, offset, bytes, &len))
		return 3;
	*row = decode(bytes, len, &i);
	if (!*row) /* gathers: the registers happen to be equal */
		return 3;
	rnd_bytes(in.r, sizeof(in.r));
	in.r[7] = (u64)mem;
	rnd_bytes(in.v, sizeof(in.v));
	for (unsigned k = 0; k < s->n; k++)
		vsib |= s->k[k] == VX || s->k[k] == VY;
	if (vsib) {
		union vec *x = &in.v[i.aux];
		bool wide = ((const struct vop *)(*row)->op)->flags & VOP_INDEX64;
		if (i.aux == i.r0 || i.aux == i.r2 || i.r0 == i.r2)
			return 0;
		for (unsigned k = 0; k < 8; k++)
			x->d[k] = wide && k & 1 ? 0 : (u32)rnd() & 15;
	}
	in.flags = 0x202 | (rnd() & FL_ARITH);
	in.mxcsr = rnd_mxcsr();
	for (unsigned k = 0; k < sizeof(before); k += 32)
		rnd_bytes(before + k, 32);

	memcpy(cpu->r, in.r, sizeof(in.r));
	memcpy(cpu->v, in.v, sizeof(in.v));
	cpu->mxcsr = in.mxcsr;
	cc_set_flags(cpu, (u32)in.flags & FL_ARITH);
	cpu->rflags = (u32)in.flags;
	memcpy(mem, before, sizeof(before));
	i.off = 0;
	enum xr x = i.fn(cpu, &i);
	memcpy(ours, mem, sizeof(ours));
	memcpy(mem, before, sizeof(before));

	memcpy(code, bytes, len);
	code[len] = 0xc3;
	out = in;
	int sig = run_native(&out);
	if (sig == SIGILL)
		return 2;
	if (sig) {
		out = in;
		out.mxcsr = sig == SIGFPE ? fault_mxcsr : in.mxcsr;
		unsigned want = sig == SIGFPE ? EX_XM : EX_GP;
		if (x != XR_FAULT || cpu->fault.vector != want || cpu->mxcsr != out.mxcsr ||
		    memcmp(cpu->v, in.v, sizeof(in.v)) || memcmp(ours, before, sizeof(ours))) {
			show(sig == SIGFPE ? "#XM" : "#GP", bytes, len, &in, &out, &i);
			return 1;
		}
		return 0;
	}
	cpu->r[4] = out.r[4];
	if (approximate(*row) && close_enough(&cpu->v[i.r0], &out.v[i.r0]))
		cpu->v[i.r0] = out.v[i.r0];
	undefined_bits(*row, &i, &in, &cpu->v[i.r0 & 15], &out.v[i.r0 & 15]);
	if (x != XR_OK || memcmp(cpu->v, out.v, sizeof(out.v)) || memcmp(cpu->r, out.r, sizeof(out.r)) ||
	    cpu->mxcsr != out.mxcsr || (cpu->rflags ^ out.flags) & FL_ARITH || memcmp(ours, mem, sizeof(ours))) {
		show(x != XR_OK ? "unexpected fault" : "differs", bytes, len, &in, &out, &i);
		return 1;
	}
	return 0;
}

/* ---- the campaign ---- */

static struct shape shapes[4096];
static unsigned shape_count;

static void add_shapes(struct shape s)
{
	static const u8 sizes[] = { 1, 2, 4, 8, 16, 32 };
	unsigned mem = 0, g = 0;

	for (unsigned k = 0; k < s.n; k++) {
		mem += s.k[k] == MEM || s.k[k] == VX || s.k[k] == VY;
		g += s.k[k] == G4 || s.k[k] == G8;
		if (k && s.k[k - 1] == IMM && s.k[k] != IMM)
			return;
		if ((s.k[k] == VX || s.k[k] == VY) && (k != 1 || s.n > 3))
			return;
	}
	if (mem > 1 || g > 2 || (s.n && s.k[0] == IMM))
		return;
	for (unsigned k = 0; k < (mem ? sizeof(sizes) : 1); k++) {
		s.size = sizes[k];
		shapes[shape_count++] = s;
	}
	if (s.n == 4)
		return;
	for (u8 k = X; k <= VY; k++) {
		struct shape t = s;
		t.k[t.n++] = k;
		if (s.n == 3 && k != X && k != Y && k != IMM)
			continue;
		if (s.n && (t.k[0] == VX || t.k[0] == VY))
			continue;
		add_shapes(t);
	}
}

static bool *reached;
static unsigned long long drawn;
static size_t total;

static size_t row_number(const struct insn_row *row)
{
	size_t base = 0;
	for (unsigned k = 0; k < ARRAY_LEN(sets); k++) {
		if (row >= sets[k]->rows && row < sets[k]->rows + sets[k]->count)
			return base + (size_t)(row - sets[k]->rows);
		base += sets[k]->count;
	}
	return 0;
}

static unsigned campaign(u16 mnemonic, unsigned cases)
{
	const struct insn_row *row;
	unsigned bad = 0;

	for (unsigned n = 0; n < shape_count; n++) {
		u8 bytes[16];
		size_t len = 15;
		/* Gathers do not encode when registers happen to be equal: three tries. */
		if (!encode(mnemonic, &shapes[n], 0, bytes, &len) && !encode(mnemonic, &shapes[n], 0, bytes, &len) &&
		    !encode(mnemonic, &shapes[n], 0, bytes, &len))
			continue;
		for (unsigned k = 0; k < cases; k++) {
			int r = one_case(&row, mnemonic, &shapes[n]);
			if (r == 2)
				break;
			if (r == 3)
				continue;
			reached[row_number(row)] = true;
			bad += (unsigned)r;
			drawn++;
		}
	}
	return bad;
}

static void test_rows(void **state)
{
	const char *count = getenv("TEST_VECTOR_CASES"), *only = getenv("TEST_VECTOR_ONLY");
	unsigned cases = count ? (unsigned)atoi(count) : 200, bad = 0;
	static bool done[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	size_t at = 0, missed = 0;
	/* Here, since cmocka installs its own around each test. */
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	(void)state;
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	for (unsigned k = 0; k < ARRAY_LEN(sets); k++) {
		for (size_t r = 0; r < sets[k]->count; r++) {
			const struct insn_row *row = &sets[k]->rows[r];
			if (done[row->mnemonic] || (only && !strstr(row->form, only)))
				continue;
			done[row->mnemonic] = true;
			unsigned b = campaign(row->mnemonic, cases);
			if (b)
				printf("# %s: %u differences\n", row->form, b);
			bad += b;
		}
	}
	for (unsigned k = 0; k < ARRAY_LEN(sets); k++) {
		for (size_t r = 0; r < sets[k]->count; r++, at++) {
			if (reached[at] || (only && !strstr(sets[k]->rows[r].form, only)))
				continue;
			printf("# not reached: %s\n", sets[k]->rows[r].form);
			missed++;
		}
	}
	printf("# %zu rows, %zu not reached\n", total, missed);
	drawn_begin();
	drawn_end(drawn);
	assert_int_equal(bad, 0);
}

/* The path of computers without FMA gives what the processor's FMA gives. */
static void test_fma_soft(void **state)
{
	(void)state;
	if (!__builtin_cpu_supports("fma"))
		skip();
#define FMA_ENTRY(NAME, OP, FORM, T) { hostfp_##NAME, FMA_##OP, FORM, sizeof(#T) && #T[1] == 's' ? 4 : 8, #NAME },
	static const struct { fp_fn *fn; enum fma_op op; unsigned form, element; const char *name; } all[] = {
		HOSTFP_FMA_LIST(FMA_ENTRY)
	};
	unsigned bad = 0;
	for (unsigned k = 0; k < ARRAY_LEN(all); k++) {
		for (unsigned n = 0; n < 2000; n++) {
			union vec d, a, b, e;
			u32 csr = rnd_mxcsr() & ~(u32)MXCSR_FLAGS;
			rnd_bytes(&d, 32);
			rnd_bytes(&a, 32);
			rnd_bytes(&b, 32);
			e = d;
			u32 want = all[k].fn(&d, &a, &b, 32, csr, 0);
			u32 got = hostfp_fma_soft(&e, &a, &b, 32, csr, all[k].op, all[k].form, all[k].element);
			if ((want == got && !memcmp(&d, &e, 32)) || bad++ > 10)
				continue;
			printf("# %s csr %x flags %x soft %x\n", all[k].name, csr, want, got);
			for (unsigned q = 0; q < 4; q++)
				if (d.q[q] != e.q[q])
					printf("#  a %016llx b %016llx native %016llx soft %016llx\n", (unsigned long long)a.q[q],
					       (unsigned long long)b.q[q], (unsigned long long)d.q[q], (unsigned long long)e.q[q]);
		}
	}
	assert_int_equal(bad, 0);
}

static int setup(void **state)
{
	(void)state;
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!harness_init() || code == MAP_FAILED)
		return -1;
	test_vector_code = code;
	unsigned a, b, regs, d;
	misaligned_mode = __get_cpuid(0x80000001, &a, &b, &regs, &d) && regs >> 7 & 1;
	for (unsigned k = 0; k < ARRAY_LEN(sets); k++)
		total += sets[k]->count;
	reached = calloc(total, 1);
	add_shapes((struct shape){ .n = 0 });
	printf("# %u shapes\n", shape_count);
	return reached ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_fma_soft) };

	if (!__builtin_cpu_supports("avx")) {
		printf("skipped: vector instructions against this computer's: it has no AVX\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}
