/*
 * The life of the translator, and of one run: a block's first instruction counts until the block is hot; then it leads into
 * translated code, which runs from superblock to superblock until something has to be seen to outside.
 */
#include "jit/priv.h"

#include "cpu/state/flags.h"
#include "cpu/state/model.h"

#include <time.h>

/* ---- flags: the image is AH as LAHF gives it and, in AL, 0 or 1 for OF; FFh and 7Fh are the same with AF cleared ---- */

static u16 image_of(u32 f)
{
	return (u16)((f & 0xd5) << 8 | 0x200 | (f & FL_OF ? 1 : 0));
}

static u32 flags_of(u16 image)
{
	u8 al = (u8)image;

	return ((u32)(image >> 8) & (al > 1 ? 0xc5u : 0xd5u)) | (al == 1 || al == 0x7f ? FL_OF : 0);
}

static void take_flags(struct cpu *c)
{
	cc_set_flags(c, flags_of(c->native.flags));
}

static void give_flags(struct cpu *c)
{
	c->native.flags = image_of(flags_get(c));
}

/* ---- taken branches ---- */
static void take_branches(struct jit *j, struct cpu *c)
{
	struct native_run *n = &c->native;
	const u64 places = ARRAY_LEN(n->ring);
	u64 count = (n->branch - n->branch_base) / sizeof(n->ring[0]), at = n->branch / sizeof(n->ring[0]);
	u64 keep = min_u64(count, places);

	c->lastbr_n += (u32)(count - keep);
	for (u64 k = at - keep; k != at; k++) {
		const struct jit_branch *b = &j->branch[(u32)n->ring[k % places].id];

		c->lastbr[c->lastbr_n++ % ARRAY_LEN(c->lastbr)] = (struct branch_record){
		        .from = b->from, .to = b->to == BRANCH_INDIRECT ? n->ring[k % places].to : b->to};
	}
	n->branch_base = n->branch;
}

/* ---- a handler called from translated code ---- */

/* The clock and the count of instructions are brought to the instruction that has `rest` from it on to go. */
static void bring_clock(struct cpu *c, u32 rest)
{
	struct native_run *n = &c->native;
	const s32 left = n->budget + (s32)rest, done = n->start - left;

	c->clock->now += (u64)done;
	c->insns += (u64)done;
	c->jit->count.run += (u64)done;
	n->start = left;
}

#define BUDGET_MAX (1 << 29)

/* As in the interpreter, what does not kick waits for the block's end: the next superblock's head fails. */
static void end_here(struct native_run *n)
{
	if (n->budget < 0)
		return;
	n->budget -= BUDGET_MAX + BLOCK_MAX;
	n->start -= BUDGET_MAX + BLOCK_MAX;
}

u32 jit_call(struct cpu *c, u32 number)
{
	struct jit *j = c->jit;
	struct native_run *n = &c->native;
	const struct jit_insn *p = &j->insn[number];
	enum xr r;

	bring_clock(c, p->rest);
	j->count.calls++;
	if (p->i.row->flags & ROW_BRANCH)
		take_branches(j, c);
	c->r[REG_RIP] = p->rip;
	take_flags(c);
	c->cur = &p->i;
	r = insn_run(c, &p->i);
	n->result = r;
	if (unlikely(r != XR_OK)) {
		c->left = r == XR_EXIT && c->exit.trap ? 1 : 0;
		return LEFT_CALL;
	}
	c->clock->now += 1 - c->charged;
	c->insns++;
	j->count.run++;
	c->charged = 0;
	n->start--;
	give_flags(c);
	if (unlikely((p->i.row->flags & ROW_BRANCH) || c->kick)) {
		n->budget = n->start;
		if (!(p->i.row->flags & ROW_BRANCH))
			c->r[REG_RIP] = p->rip + p->i.len;
		return LEFT_CALL;
	}
	if (unlikely(c->interrupted || block_context(c) != n->context))
		end_here(n);
	return 0;
}

/* ---- running ---- */

static struct jit_code *code_at(const struct jit *j, const struct block *b, u64 rip)
{
	struct jit_code *t = b->flushes == (u32)j->count.flushes ? b->native : NULL;

	while (t && t->rip != rip)
		t = t->next;
	return t;
}

static void remember(struct cpu *c, const struct jit_code *t)
{
	struct jit_target *e = &c->native.targets[t->rip % JIT_TARGETS];

	*e = (struct jit_target){.rip = t->rip, .context = c->native.context, .code = jit_run_view(c->jit, t->code)};
}

/* Where a link leads, if that is translated by now. The block is in the same page: its mapping is this one. */
static const struct jit_code *follow_link(struct jit *j, u32 number)
{
	struct jit_exit_point *x = &j->exit[number];
	const struct block *b = x->key ? code_cache_peek(j->cache, x->key) : NULL;
	const struct jit_code *t = b ? code_at(j, b, x->rip) : NULL;

	if (t)
		e_patch(x->site, t->code);
	return t;
}

static const u8 *go_on(struct jit *j, struct cpu *c, u32 left)
{
	const struct jit_code *t;

	if (left == LEFT_CALL || left == LEFT_INDIRECT) {
		j->count.exits[left == LEFT_CALL ? JIT_EXIT_CALL : JIT_EXIT_INDIRECT]++;
		return NULL;
	}
	c->r[REG_RIP] = j->exit[left >> 2].rip;
	if ((left & 3) != LEFT_LINK) {
		j->count.exits[(left & 3) == LEFT_BUDGET ? JIT_EXIT_BUDGET : JIT_EXIT_INSN]++;
		return NULL;
	}
	t = j->cfg.check ? NULL : follow_link(j, left >> 2);
	if (!t)
		j->count.exits[JIT_EXIT_LINK]++;
	return t ? t->code : NULL;
}

static u64 horizon(const struct cpu *c)
{
	return min_u64(c->until, c->clock->next);
}

/* As if the whole block had been interpreted: what is no end of it there is none here. */
static enum xr interpret_rest(struct cpu *c, const struct jit_exit_point *x)
{
	const struct insn *i = &x->block->insn[x->at];
	const u32 before = c->left - x->at;

	if (c->clock->now + before + x->block->cost > horizon(c) || (s32)before < 0)
		return XR_OK;
	c->clock->now += before;
	c->insns += before;
	c->r[REG_RIP] -= i->off;
	return i->fast(c, i);
}

/* At least one superblock. Who has been asked for something ends behind it, as behind any block. */
static s32 budget_now(const struct cpu *c, const struct jit_code *t)
{
	return c->interrupted ? (s32)t->n : (s32)min_u64(horizon(c) - c->clock->now, BUDGET_MAX);
}

enum xr jit_run(struct jit *j, struct cpu *c, const struct jit_code *t)
{
	u32 (*enter)(struct cpu *, const u8 *) = (u32(*)(struct cpu *, const u8 *))(uintptr_t)jit_run_view(j, j->enter);
	struct native_run *n = &c->native;
	u32 left = LEFT_INDIRECT;

	n->start = n->budget = budget_now(c, t);
	n->result = XR_OK;
	n->context = block_context(c);
	give_flags(c);
	remember(c, t);
	j->count.entries++;
	for (const u8 *code = t->code; code;)
		code = go_on(j, c, left = enter(c, jit_run_view(j, code)));
	take_branches(j, c);
	if (n->result != XR_OK)
		return n->result; /* the handler's state is the processor's */
	take_flags(c);
	c->left = (u32)(n->start - n->budget);
	j->count.run += c->left;
	if ((left & 3) == LEFT_STOP && !j->cfg.check)
		return interpret_rest(c, &j->exit[left >> 2]);
	return XR_OK;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* Who watches each instruction or access, or each branch, has the interpreter. */
static bool may_run(const struct cpu *c)
{
	return !c->debug && !c->watch && !(c->debugctl & (DEBUGCTL_LBR | DEBUGCTL_LBRSE)) && c->ctx != MMU_CTX_NEVER &&
	       !c->stress.no_blocks && !c->stress.split_access && !c->stress.poll_every && !c->frozen && !c->charged;
}

/* Every superblock is void. None runs. */
static void flushed(void *arg)
{
	struct jit *j = arg;

	j->e.p = j->first;
	j->insns = j->exits = j->branches = j->codes = 0;
	j->count.flushes++;
	for (unsigned k = 0; k < CPU_MAX; k++)
		if (j->targets[k])
			memset(j->targets[k], 0, JIT_TARGETS * sizeof(*j->targets[k]));
}

static struct jit_code *translate(struct jit *j, struct cpu *c, struct block *b)
{
	const u64 before = now_ns();
	struct jit_code *t = jit_translate(j, c, b, c->r[REG_RIP]);

	j->count.ns += now_ns() - before;
	if (t) {
		j->count.superblocks++;
		j->count.insns += t->n;
	} else if (!b->native) {
		b->insn[0].fast = b->first;
	}
	return t;
}

/* A test looks for the superblock that differs. */
static bool left_out(const struct jit *j, u64 rip)
{
	return j->cfg.to && (rip < j->cfg.from || rip >= j->cfg.to);
}

static enum xr first_insn(struct cpu *c, const struct insn *i)
{
	struct block *b = (struct block *)((u8 *)(uintptr_t)i - offsetof(struct block, insn));
	struct jit *j = c->jit;
	struct jit_code *t = code_at(j, b, c->r[REG_RIP]);

	if (unlikely(!may_run(c) || left_out(j, c->r[REG_RIP])))
		return b->first(c, i);
	if (likely(t != NULL) && c->clock->now + t->n <= horizon(c))
		return j->cfg.check ? check_run(j, c, b, t) : jit_run(j, c, t);
	if (t || ++b->heat < j->cfg.threshold)
		return b->first(c, i);
	if (unlikely(!jit_room(j)))
		flushed(j);
	if (b->flushes != (u32)j->count.flushes) {
		b->flushes = (u32)j->count.flushes;
		b->native = NULL;
	}
	t = translate(j, c, b);
	if (!t)
		return b->first(c, i);
	t->next = b->native;
	b->native = t;
	return j->cfg.check ? check_run(j, c, b, t) : jit_run(j, c, t);
}

/* ---- blocks come and go ---- */

static void built(void *arg, const struct cpu *c, struct block *b)
{
	const unsigned mode = b->key & 0xff;

	(void)arg;
	(void)c;
	if ((mode & MODE_SIZE) != MODE_64 || (mode & MODE_LOCKS))
		return;
	b->first = b->insn[0].fast;
	b->insn[0].fast = first_insn;
}

static void dropped(void *arg, struct block *b)
{
	const struct jit *j = arg;

	if (b->flushes != (u32)j->count.flushes)
		return;
	for (struct jit_code *t = b->native; t; t = t->next) {
		struct emit e = {.p = t->code, .end = t->code + 5};

		e_patch(e_jmp(&e), t->stale);
	}
	b->native = NULL;
}

/* ---- life ---- */

bool jit_available(void)
{
	return true;
}

enum status jit_new(struct jit **out, const struct jit_config *cfg, struct code_cache *code, struct bus *bus)
{
	struct jit *j = base_alloc(sizeof(*j));

	(void)bus;
	*out = NULL;
	if (!j)
		return ST_NOMEM;
	j->cfg = *cfg;
	j->fd = -1;
	j->cache = code;
	if (jit_memory_new(j) != ST_OK) {
		jit_memory_free(j);
		base_free(j);
		return ST_NOMEM;
	}
	jit_features(j);
	jit_stubs(j);
	j->hook = (struct translator){.built = built, .dropped = dropped, .flushed = flushed, .arg = j};
	code_cache_translate(code, &j->hook);
	*out = j;
	return ST_OK;
}

enum status jit_attach(struct jit *j, struct cpu *c)
{
	c->native.targets = base_alloc(JIT_TARGETS * sizeof(*c->native.targets));
	if (!c->native.targets)
		return ST_NOMEM;
	c->jit = j;
	j->targets[c->index] = c->native.targets;
	return ST_OK;
}

void jit_free(struct jit *j)
{
	if (!j)
		return;
	code_cache_translate(j->cache, NULL);
	for (unsigned k = 0; k < CPU_MAX; k++)
		base_free(j->targets[k]);
	jit_memory_free(j);
	base_free(j);
}

const struct jit_counts *jit_counts(const struct jit *j)
{
	static const struct jit_counts none;

	return j ? &j->count : &none;
}

const char *jit_exit_name(enum jit_exit e)
{
	static const char *const names[JIT_EXITS] = {"link", "budget", "instruction", "indirect", "call"};

	return names[e];
}
