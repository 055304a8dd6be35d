/*
 * Our processor, in a machine of nothing but RAM: long mode at CPL 3, identity page tables for the pages of diff.h. It
 * runs one instruction through the real run loop. The instruction ends at the end of its page, so that its block holds
 * it alone and the chain handlers (insn.fast) run; the careful half of the cases goes through insn.fn instead. The
 * first event that the run loop is about to deliver ends the run, seen by the event hook.
 */
#include "diff.h"

#include <setjmp.h>
#include <stdlib.h>

#include "jit/jit.h"
#include "model/model.h"

#define RAM_SIZE    (16ull << 20)
#define PML4_AT     0x100000ull
#define PDPT_AT     0x101000ull
#define PD_AT       0x102000ull
#define PT_DATA_AT  0x103000ull
#define PT_CODE_AT  0x104000ull
#define PT_LDT_AT   0x105000ull
#define LDT_AT      0x106000ull
#define LDT_LA      0xffff900000000000ull /* no offset of a test reaches it */
#define PDPT_LDT_AT 0x107000ull
#define PD_LDT_AT   0x108000ull
#define DATA_AT     0x200000ull
#define CODE_AT     0x300000ull

bool core_translates;

struct core {
	struct cpu *cpu;
	struct bus bus;
	struct clock clock;
	struct hooks hooks;
	struct code_cache *code;
	struct jit *jit; /* NULL: interpreted */
	const struct decode_index *index;
	struct cpu *all[1];
	enum diff_mode mode;
	struct seg seg[SEG_COUNT];
	jmp_buf back;
	struct event event;
};

static void on_event(void *arg, struct cpu *c, const struct event *e)
{
	struct core *w = arg;

	(void)c;
	w->event = *e;
	_longjmp(w->back, 1);
}

/* ---- set-up ---- */

static void map_page(struct core *w, u64 table, u64 la, u64 pa, bool writable, bool exec)
{
	bus_write_u64(&w->bus, table + ((la >> 12) & 511) * 8,
	              pa | PTE_P | PTE_U | (writable ? PTE_W : 0) | (exec ? 0 : PTE_NX));
}

/* As the host's kernel makes it from the same entry: DPL 3, accessed, AVL set. */
static u64 descriptor(struct ldt_entry e)
{
	u64 type = (e.fixed ? 0 : AR_W) | (u64)e.contents << 2 | AR_A;
	u64 ar = type | AR_S | 3u << AR_DPL_SHIFT | (e.absent ? 0 : AR_P);

	return (e.limit & 0xffff) | (u64)(e.base & 0xffffff) << 16 | ar << 40 | (u64)(e.limit >> 16 & 15) << 48 |
	       1ull << 52 | (u64)e.big << 54 | (u64)e.pages << 55 | (u64)(e.base >> 24) << 56;
}

static void build_tables(struct core *w)
{
	const u64 dir = PTE_P | PTE_W | PTE_U;

	bus_write_u64(&w->bus, PML4_AT, PDPT_AT | dir);
	bus_write_u64(&w->bus, PDPT_AT, PD_AT | dir);
	bus_write_u64(&w->bus, PD_AT + ((DATA_BASE >> 21) & 511) * 8, PT_DATA_AT | dir);
	bus_write_u64(&w->bus, PD_AT + ((CODE_BASE >> 21) & 511) * 8, PT_CODE_AT | dir);
	for (u64 n = 0; n < DATA_PAGES; n++)
		map_page(w, PT_DATA_AT, DATA_BASE + n * PAGE_SIZE, DATA_AT + n * PAGE_SIZE, n * PAGE_SIZE < DATA_WRITE,
		         false);
	map_page(w, PT_CODE_AT, CODE_BASE, CODE_AT, false, true);
	bus_write_u64(&w->bus, PML4_AT + ((LDT_LA >> 39) & 511) * 8, PDPT_LDT_AT | dir);
	bus_write_u64(&w->bus, PDPT_LDT_AT, PD_LDT_AT | dir);
	bus_write_u64(&w->bus, PD_LDT_AT, PT_LDT_AT | dir);
	bus_write_u64(&w->bus, PT_LDT_AT, LDT_AT | PTE_P | PTE_W);
	for (unsigned n = 0; n < DIFF_LDT_SIZE; n++)
		bus_write_u64(&w->bus, LDT_AT + 8 * n, descriptor(diff_ldt(w->mode, n)));
}

static struct seg make_seg(const struct seg_spec *s, bool code, bool mode64)
{
	u32 ar = AR_S | AR_P | AR_A | 3u << AR_DPL_SHIFT;

	ar |= code ? AR_CODE | AR_W : s->writable ? AR_W : 0;
	ar |= mode64 && code ? AR_L : s->big ? AR_DB : 0;
	ar |= s->limit > 0xfffff ? AR_G : 0;
	return (struct seg){.sel = s->sel, .ar = ar, .limit = s->limit, .base = s->base};
}

static void enter_mode(struct core *w, u64 gs_base, u64 fs_base)
{
	struct cpu *c = w->cpu;
	const struct seg_spec *s = diff_segments(w->mode);

	memcpy(w->seg, c->seg, sizeof(w->seg));
	for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
		w->seg[n] = make_seg(&s[n], n == SEG_CS, w->mode == DIFF_64);
		if (s[n].sel < 4)
			w->seg[n].ar |= AR_UNUSABLE;
	}
	w->seg[SEG_FS].base = fs_base;
	w->seg[SEG_LDTR] =
	        (struct seg){.sel = 0x50, .ar = AR_P | SYS_LDT, .limit = 8 * DIFF_LDT_SIZE - 1, .base = LDT_LA};
	w->seg[SEG_TR].limit = 0x10; /* no I/O permission bitmap */
	if (w->mode == DIFF_64)
		w->seg[SEG_GS].base = gs_base;
	c->cr0 = CR0_PE | CR0_PG | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM;
	c->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_UMIP | CR4_SMEP |
	         CR4_SMAP;
	c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	c->cr3 = PML4_AT;
	c->xcr0 = 7;
	c->idtr.limit = c->gdtr.limit = 0;
	memcpy(c->seg, w->seg, sizeof(w->seg));
	c->cpl = 3;
	cpu_update_mode(c);
	tlb_flush_all(c);
}

static bool make_cpu(struct core *w, const struct cpu_model *m)
{
	struct feature_set features = {0};
	struct cpu *c = aligned_alloc(64, (sizeof(*c) + 63) & ~63ull);

	if (!c)
		return false;
	memset(c, 0, sizeof(*c));
	w->cpu = w->all[0] = c;
	clock_init(&w->clock);
	w->hooks = (struct hooks){.arg = w, .trace = TRACE_INT, .event = on_event};
	model_features(m, &features);
	if (bus_init(&w->bus, &w->clock, &w->hooks, RAM_SIZE, RAM_SIZE, NULL) != ST_OK)
		return false;
	if (code_cache_new(&w->code, &w->bus) != ST_OK || decode_index_new(&w->index, m, &features, &exec_dispatch) != ST_OK)
		return false;
	c->all = w->all;
	c->count = 1;
	c->code = w->code;
	c->decode = w->index;
	if (cpu_init(c, m, &features, &w->bus, NULL) != ST_OK)
		return false;
	if (!core_translates)
		return true;
	return jit_new(&w->jit, &(struct jit_config){.threshold = 1}, w->code, &w->bus) == ST_OK && jit_attach(w->jit, c) == ST_OK;
}

const struct cpu_model *core_model(const char *vendor)
{
	return !strcmp(vendor, model_intel.vendor) ? &model_intel : &model_plain; /* `amd` without SVM */
}

struct core *core_new(enum diff_mode mode, const struct cpu_model *m, u64 gs_base, u64 fs_base)
{
	struct core *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->mode = mode;
	if (!make_cpu(w, m)) {
		core_free(w);
		return NULL;
	}
	build_tables(w);
	enter_mode(w, gs_base, fs_base);
	return w;
}

void core_free(struct core *w)
{
	if (w->cpu)
		cpu_fini(w->cpu);
	jit_free(w->jit);
	decode_index_free(w->index);
	code_cache_free(w->code);
	bus_fini(&w->bus);
	free(w->cpu);
	free(w);
}

struct cpu *core_cpu(struct core *w)
{
	return w->cpu;
}

u64 core_translated(const struct core *w)
{
	return jit_counts(w->jit)->run;
}

u8 *core_data(struct core *w)
{
	return w->bus.memory + DATA_AT;
}

/* ---- one instruction ---- */

static void load_fpu(struct cpu *c, const struct diff_state *s)
{
	c->fpu.cw = s->cw;
	c->fpu.sw = (u16)(s->sw & ~0x3800);
	c->fpu.top = (s->sw >> 11) & 7;
	c->fpu.tag = (u8)s->tag;
	c->fpu.ip = c->fpu.dp = 0;
	c->fpu.op = c->fpu.cs = c->fpu.ds = 0;
	for (unsigned n = 0; n < 8; n++)
		memcpy(c->fpu.st[(c->fpu.top + n) & 7], s->st[n], 16);
	c->mxcsr = s->mxcsr;
	memcpy(c->v, s->v, sizeof(c->v));
}

static void load_lazy(struct cpu *c, const struct diff_case *k)
{
	c->cc_op = k->cc_op;
	c->cc_size = k->cc_size;
	c->cc_res = k->cc_res;
	c->cc_src1 = k->cc_src1;
	c->cc_src2 = k->cc_src2;
}

void core_flags(struct core *w, struct diff_case *k)
{
	struct cpu *c = w->cpu;

	c->rflags = k->in.flags | FL_1 | FL_IF;
	load_lazy(c, k);
	k->in.flags = flags_get(c);
}

static void load(struct core *w, const struct diff_case *k)
{
	struct cpu *c = w->cpu;

	memcpy(c->r, k->in.r, sizeof(k->in.r));
	c->r[REG_ZERO] = 0;
	c->r[REG_RIP] = k->rip;
	c->rflags = k->in.flags | FL_1 | FL_IF | (k->careful ? FL_TF : 0);
	load_lazy(c, k);
	load_fpu(c, &k->in);
	memcpy(c->seg, w->seg, sizeof(w->seg));
	c->cpl = 3;
	c->activity = ACT_RUN;
	c->stop = CPU_GO;
	c->shadow = c->kick = c->attention = 0;
	c->pend = 0;
	c->pending_db = 0;
	c->cur = NULL;
	c->left = c->charged = 0;
	c->inject.type = EV_NONE;
	if (k->cold_tlb)
		tlb_flush_all(c);
	cpu_update_mode(c);
}

static void take(struct cpu *c, struct diff_state *s)
{
	memcpy(s->r, c->r, sizeof(s->r));
	s->rip = c->r[REG_RIP];
	s->flags = flags_get(c);
	s->mxcsr = c->mxcsr;
	memcpy(s->v, c->v, sizeof(s->v));
	s->cw = c->fpu.cw;
	s->sw = (u16)(c->fpu.sw | c->fpu.top << 11);
	s->tag = c->fpu.tag;
	memset(s->st, 0, sizeof(s->st));
	for (unsigned n = 0; n < 8; n++)
		memcpy(s->st[n], c->fpu.st[(c->fpu.top + n) & 7], 10);
	s->gs_base = c->seg[SEG_GS].base;
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		s->sel[n] = c->seg[n].sel;
}

/* Software interrupts are traps: the address after them counts. */
static void note_event(const struct core *w, struct diff_end *out)
{
	out->vector = w->event.vector;
	out->error = w->event.has_error ? w->event.error : 0;
	out->cr2 = w->event.type == EV_HW && w->event.vector == EX_PF ? w->event.payload : 0;
	if (w->event.type != EV_HW)
		out->s.rip += w->event.insn_len;
	if (w->event.type == EV_PRIVSW)
		out->vector = -1;
}

void core_run(struct core *w, const struct diff_case *k, struct diff_end *out)
{
	struct cpu *c = w->cpu;
	bool rep = rule_is_rep(k);
	/* A repetition may take as long as it wants: what follows it is an unmapped page. */
	u64 budget = rep && !k->careful ? 1u << 20 : 1;

	bus_write(&w->bus, CODE_AT + PAGE_SIZE - k->len, k->bytes, k->len);
	load(w, k);
	if (_setjmp(w->back) == 0) {
		for (unsigned n = 0; n < 5000; n++) {
			cpu_run(c, w->clock.now + budget);
			if (!rep || c->r[REG_RIP] != k->rip)
				break;
			/* Single step between iterations is not the point here. */
			c->pend = 0;
			c->pending_db = 0;
			c->attention = 0;
		}
		w->event.type = EV_NONE;
	}
	take(c, &out->s);
	out->vector = -1;
	out->error = 0;
	out->cr2 = 0;
	if (w->event.type == EV_NONE)
		return;
	if (rep && w->event.vector == EX_PF && w->event.payload == CODE_END && (w->event.error & PF_I))
		return; /* the fetch behind it */
	note_event(w, out);
}
