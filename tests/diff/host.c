/*
 * The computer's own processor as the reference. One instruction runs per rt_sigreturn(2): the kernel loads every
 * register from a signal frame of ours, TF set; the trap behind the instruction, or its fault, comes back as a signal
 * whose frame holds every register again. No register is free for a thunk, so none is used. The one static object
 * exists because a signal handler gets no argument.
 */
#undef _GNU_SOURCE /* its register names are ours, too */
#include "diff.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define FP_MAGIC1     0x46505853u
#define FP_MAGIC2     0x46505845u
#define UC_FLAGS_ALL  7ul /* extended FPU state, SS is meant, strictly */
#define FRAME_ROOM    (32u << 10)
#define REP_LIMIT     5000u
#define XSTATE_BV_OFF 512
#define YMM_OFF       576

/* Where the kernel keeps RAX, RCX, RDX, RBX... in gregs. */
static const u8 greg_of[16] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7};
enum { GREG_RIP = 16, GREG_EFL, GREG_CSGSFS, GREG_ERR, GREG_TRAPNO, GREG_OLDMASK, GREG_CR2 };

/* The kernel's part of ucontext_t; glibc's goes on behind it. */
struct frame {
	unsigned long flags;
	void *link;
	stack_t stack;
	gregset_t gregs;
	void *fp;
	u64 reserved[8];
	u64 sigmask;
};

static struct {
	struct frame frame;
	u8 *fp;      /* the frame's XSAVE image */
	u32 fp_size; /* without the closing magic */
	u8 *code;    /* writable alias of the code page */
	u8 *data;
	volatile sig_atomic_t inside;
	gregset_t gregs; /* as they came back */
	u8 image[YMM_OFF + 256];
	enum diff_mode mode;
	u16 cs, ss;
	u64 fs_base, gs_base;
	bool fsgsbase;
	const struct diff_case *current;
} h;
void *diff_host_rsp __attribute__((visibility("hidden")));

/* clang-format off */
/* AC, NT, DF of the interrupted instruction must not live on in C code. */
__asm__(".text\n"
	".local diff_host_enter, diff_host_leave, diff_host_trap\n"
	"diff_host_enter:\n\t"
	"push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n\t"
	"mov %rsp, diff_host_rsp(%rip)\n\t"
	"mov %rdi, %rsp\n\t"
	"mov $15, %eax\n\t"
	"syscall\n\t"
	"ud2\n"
	"diff_host_leave:\n\t"
	"mov diff_host_rsp(%rip), %rsp\n\t"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n\t"
	"ret\n"
	"diff_host_trap:\n\t"
	"push $0x202\n\t"
	"popfq\n\t"
	"jmp diff_host_signal\n");
/* clang-format on */
void diff_host_enter(struct frame *f);
_Noreturn void diff_host_leave(void);
void diff_host_trap(int sig, siginfo_t *si, void *uc);
void diff_host_signal(int sig, siginfo_t *si, void *uc) __attribute__((used, visibility("hidden")));

static u64 now_gs_base(void)
{
	u64 v = 0;

	__asm__ volatile("rdgsbase %0" : "=r"(v));
	return v;
}

/* Components in their initial state are not in the image: give them their values. */
static void copy_image(const u8 *fp)
{
	u64 bv;

	memcpy(h.image, fp, sizeof(h.image));
	memcpy(&bv, fp + XSTATE_BV_OFF, 8);
	if (!(bv & 1)) {
		memset(h.image, 0, 24);
		memset(h.image + 32, 0, 128);
		h.image[0] = 0x7f;
		h.image[1] = 0x03;
	}
	if (!(bv & 2))
		memset(h.image + 160, 0, 256);
	if (!(bv & 4))
		memset(h.image + YMM_OFF, 0, 256);
}

void diff_host_signal(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;

	(void)si;
	if (!h.inside) {
		char text[160];
		int n = snprintf(text, sizeof(text), "diff: signal %d in the test itself at %llx, case seed %llu\n",
		                 sig, (unsigned long long)uc->uc_mcontext.gregs[GREG_RIP],
		                 h.current ? (unsigned long long)h.current->seed : 0ull);

		(void)!write(2, text, (size_t)n);
		_exit(70);
	}
	h.inside = 0;
	memcpy(h.gregs, uc->uc_mcontext.gregs, sizeof(h.gregs));
	copy_image((const u8 *)uc->uc_mcontext.fpregs);
	diff_host_leave();
}

/* ---- set-up ---- */

/* The kernel tells its own layout of the extended state: take it from a real frame. */
static void template_signal(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;
	const u8 *fp = (const u8 *)uc->uc_mcontext.fpregs;
	u32 magic, size;

	(void)sig;
	(void)si;
	memcpy(&magic, fp + 464, 4);
	memcpy(&size, fp + 464 + 16, 4);
	if (magic != FP_MAGIC1 || size < YMM_OFF + 256 || size + 4 > FRAME_ROOM)
		return;
	h.fp_size = size;
	memset(h.fp, 0, FRAME_ROOM);
	memcpy(h.fp + 464, fp + 464, 48);
	memcpy(h.fp + 28, fp + 28, 4); /* MXCSR_MASK */
	memcpy(h.fp + size, &(u32){FP_MAGIC2}, 4);
}

static bool take_template(void)
{
	struct sigaction sa = {.sa_sigaction = template_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;

	sigaction(SIGUSR1, &sa, &old);
	raise(SIGUSR1);
	sigaction(SIGUSR1, &old, NULL);
	return h.fp_size != 0;
}

static bool map_pages(const char **why)
{
	int fd = (int)syscall(SYS_memfd_create, "diff-code", 0);

	*why = "no memory at the fixed addresses";
	if (fd < 0 || ftruncate(fd, PAGE_SIZE) != 0)
		return false;
	h.code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	void *x = mmap((void *)CODE_BASE, PAGE_SIZE, PROT_READ | PROT_EXEC,
	               MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);

	close(fd);
	fd = (int)syscall(SYS_memfd_create, "diff-data", 0);
	if (fd < 0 || ftruncate(fd, DATA_SIZE) != 0)
		return false;
	h.data = mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	void *d = mmap((void *)DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE,
	               MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0);

	close(fd);
	if (h.code == MAP_FAILED || h.data == MAP_FAILED || x != (void *)CODE_BASE || d != (void *)DATA_BASE)
		return false;
	return mprotect((void *)(DATA_BASE + DATA_WRITE), DATA_SIZE - DATA_WRITE, PROT_READ) == 0;
}

static bool write_ldt(enum diff_mode mode, unsigned n)
{
	struct ldt_entry e = diff_ldt(mode, n);
	struct user_desc d = {
	        .entry_number = n,
	        .base_addr = e.base,
	        .limit = e.limit,
	        .seg_32bit = e.big,
	        .contents = e.contents & 3u,
	        .read_exec_only = e.fixed,
	        .limit_in_pages = e.pages,
	        .seg_not_present = e.absent,
	        .useable = 1,
	};

	return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) == 0;
}

static void load_data_segments(void)
{
	const struct seg_spec *s = diff_segments(h.mode);

	__asm__ volatile("mov %w0, %%es" : : "r"((u32)s[SEG_ES].sel));
	__asm__ volatile("mov %w0, %%ds" : : "r"((u32)s[SEG_DS].sel));
	__asm__ volatile("mov %w0, %%gs" : : "r"((u32)s[SEG_GS].sel));
	if (h.mode == DIFF_64)
		__asm__ volatile("wrgsbase %0" : : "r"((u64)s[SEG_GS].base));
}

static bool load_segments(const char **why)
{
	*why = "modify_ldt(2) is not allowed here";
	for (unsigned n = 0; n < DIFF_LDT_SIZE; n++)
		if (!write_ldt(h.mode, n))
			return false;
	load_data_segments();
	h.cs = diff_segments(h.mode)[SEG_CS].sel;
	h.ss = diff_segments(h.mode)[SEG_SS].sel;
	return true;
}

static bool set_handlers(void)
{
	static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
	struct sigaction sa = {.sa_sigaction = diff_host_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	for (size_t n = 0; n < ARRAY_LEN(signals); n++)
		if (sigaction(signals[n], &sa, NULL) != 0)
			return false;
	return true;
}

bool host_init(enum diff_mode mode, const char **why)
{
	const size_t stack = 256u << 10;
	stack_t ss = {.ss_sp = malloc(stack), .ss_size = stack};

	h.mode = mode;
	h.fp = aligned_alloc(64, FRAME_ROOM);
	*why = "no alternate signal stack";
	if (!ss.ss_sp || !h.fp || sigaltstack(&ss, NULL) != 0)
		return false;
	*why = "the kernel's signal frames have no AVX state";
	if (!take_template())
		return false;
	syscall(SYS_arch_prctl, ARCH_GET_FS, &h.fs_base);
	if (!map_pages(why) || !load_segments(why))
		return false;
	h.gs_base = mode == DIFF_64 ? now_gs_base() : 0;
	h.frame.flags = UC_FLAGS_ALL;
	h.frame.stack = ss;
	h.frame.fp = h.fp;
	*why = "no signal handlers";
	return set_handlers();
}

u8 *host_data(void)
{
	return h.data;
}

u64 host_fs_base(void)
{
	return h.fs_base;
}

u64 host_gs_base(void)
{
	return h.gs_base;
}

/* ---- one instruction ---- */

static void load_frame(const struct diff_case *k)
{
	const struct diff_state *s = &k->in;
	u64 bv = 7;

	for (unsigned n = 0; n < 16; n++)
		h.frame.gregs[greg_of[n]] = (greg_t)s->r[n];
	h.frame.gregs[GREG_RIP] = (greg_t)k->rip;
	h.frame.gregs[GREG_EFL] = (greg_t)(s->flags | FL_TF);
	h.frame.gregs[GREG_CSGSFS] = (greg_t)(h.cs | (u64)h.ss << 48);
	memcpy(h.fp, &s->cw, 2);
	memcpy(h.fp + 2, &s->sw, 2);
	h.fp[4] = (u8)s->tag;
	memset(h.fp + 5, 0, 19);
	memcpy(h.fp + 24, &s->mxcsr, 4);
	memcpy(h.fp + 32, s->st, sizeof(s->st));
	for (unsigned n = 0; n < 16; n++) {
		memcpy(h.fp + 160 + 16 * n, &s->v[n], 16);
		memcpy(h.fp + YMM_OFF + 16 * n, s->v[n].b + 16, 16);
	}
	memcpy(h.fp + XSTATE_BV_OFF, &bv, 8);
}

static void take_segments(struct diff_state *s)
{
	const struct seg_spec *want = diff_segments(h.mode);
	u64 cgf = (u64)h.gregs[GREG_CSGSFS];
	u32 ds, es, gs;

	/* The frame has no room for DS and ES, and leaves FS and GS at 0. */
	__asm__ volatile("mov %%ds, %0" : "=r"(ds));
	__asm__ volatile("mov %%es, %0" : "=r"(es));
	__asm__ volatile("mov %%gs, %0" : "=r"(gs));
	s->sel[SEG_ES] = (u16)es;
	s->sel[SEG_CS] = (u16)cgf;
	s->sel[SEG_SS] = (u16)(cgf >> 48);
	s->sel[SEG_DS] = (u16)ds;
	s->sel[SEG_GS] = (u16)gs;
	s->gs_base = h.mode == DIFF_64 ? now_gs_base() : 0;
	if (s->gs_base != h.gs_base || ds != want[SEG_DS].sel || es != want[SEG_ES].sel ||
	    s->sel[SEG_GS] != want[SEG_GS].sel)
		load_data_segments();
}

static void take_state(struct diff_state *s)
{
	for (unsigned n = 0; n < 16; n++)
		s->r[n] = (u64)h.gregs[greg_of[n]];
	s->rip = (u64)h.gregs[GREG_RIP];
	s->flags = (u32)h.gregs[GREG_EFL];
	memcpy(&s->cw, h.image, 2);
	memcpy(&s->sw, h.image + 2, 2);
	s->tag = h.image[4];
	memcpy(&s->mxcsr, h.image + 24, 4);
	for (unsigned n = 0; n < 8; n++) {
		memset(s->st[n], 0, 16);
		memcpy(s->st[n], h.image + 32 + 16 * n, 10);
	}
	for (unsigned n = 0; n < 16; n++) {
		memcpy(&s->v[n], h.image + 160 + 16 * n, 16);
		memcpy(s->v[n].b + 16, h.image + YMM_OFF + 16 * n, 16);
	}
	take_segments(s);
}

bool host_run(const struct diff_case *k, struct diff_end *out)
{
	bool rep = rule_is_rep(k) || rule_is_gather(k);

	h.current = k;
	memcpy(h.code + PAGE_SIZE - k->len, k->bytes, k->len);
	load_frame(k);
	for (unsigned n = 0;; n++) {
		h.inside = 1;
		diff_host_enter(&h.frame);
		/* Single step stops after every iteration. */
		if (!rep || h.gregs[GREG_TRAPNO] != EX_DB || (u64)h.gregs[GREG_RIP] != k->rip)
			break;
		if (n == (rule_is_rep(k) ? REP_LIMIT : 16u))
			return false;
		memcpy(h.frame.gregs, h.gregs, sizeof(h.frame.gregs));
		h.frame.gregs[GREG_EFL] |= FL_TF;
	}
	take_state(&out->s);
	out->vector = (int)h.gregs[GREG_TRAPNO];
	out->error = (u32)h.gregs[GREG_ERR];
	out->cr2 = out->vector == EX_PF ? (u64)h.gregs[GREG_CR2] : 0;
	/* Loading SS holds the trap back: the fetch behind the instruction ends it. */
	if (out->vector == EX_DB ||
	    (out->vector == EX_PF && (u64)h.gregs[GREG_CR2] == CODE_END && k->row && rule_reads_selector(k)))
		out->vector = -1;
	if (out->vector < 0)
		out->error = 0, out->cr2 = 0;
	return true;
}
