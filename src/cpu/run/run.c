/*
 * The run loop. A newcomer reads this file first: poll events, find the next block, run it, settle what it asked for.
 *
 *   event_poll   interrupts, traps, windows, in the documented priority (events.c)
 *   block_next   fetch and decode, cached by (physical address, mode) (decode/block.c)
 *   gate         from the instruction's row: coprocessor state, privilege, intercept (exec/chain.c)
 *   fn           the semantics (exec/)
 *   settle       fault -> may the vendor intercept it? -> deliver or exit;  exit -> virt->guest.exit()
 *
 * While a block runs, r[REG_RIP] holds the address of its first instruction; insn_rip() and next_rip() add the rest.
 * The fast loop lets a block's handlers tail-call each other; the careful loop runs the same handlers one at a time.
 */
#include <stdio.h>

#include "cpu/run/run.h"

#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "cpu/state/debug.h"

static inline void account(struct cpu *c)
{
	u32 n = c->left;

	c->clock->now += n - c->charged;
	c->insns += n;
	c->charged = 0;
}

/* ---- settle ---- */

static bool contributory_pair(u8 first, u8 second)
{
	enum ex_class a = (enum ex_class)arch_exceptions[first].class, b = (enum ex_class)arch_exceptions[second].class;

	if (a == EXC_CONTRIBUTORY)
		return b == EXC_CONTRIBUTORY;
	return a == EXC_PAGE_FAULT && (b == EXC_CONTRIBUTORY || b == EXC_PAGE_FAULT);
}

static void leave_guest(struct cpu *c, const struct delivery *d)
{
	struct exit_request *x = &c->exit;

	x->vectoring = d->event;
	x->activity = d->event.type == EV_NONE ? d->activity : ACT_RUN; /* an exit that comes directly leaves it as it was */
	x->faulted = d->faulted;
	x->fetching = d->fetching;
	x->held_db = d->held_db;
	x->nmi_unblocked |= x->event.nmi_unblocked;
	c->block_mode_changed = 1;
	c->wake_at = UINT64_MAX; /* a wait of the guest's ends with it */
	c->virt->guest.exit(c, x);
	cpu_guest_ends(c);
	c->exits++;
	c->attention = 1;
}

static const char *exit_name(const struct cpu *c, u64 code)
{
	const char *name = "VM exit";
	u64 at;

	for (size_t n = 0; c->virt->exit_at(n, &at, &name) && at != code;)
		n++;
	return name;
}

/* A guest's own end is told while everything is still as it was. */
static cold void tell_shutdown(struct cpu *c)
{
	bool faults = c->chain_n == ARRAY_LEN(c->chain);
	char then[96];
	const struct refusal r = {
	        .kind = REFUSAL_SHUTDOWN,
	        .event = faults ? "guest triple fault" : "guest shutdown",
	        .check = CHECK_GUEST_SHUTDOWN,
	        .rule = faults ? "an exception while #DF was being delivered" : "no exceptions led there",
	        .manual = "SDM 3A \"Interrupt 8-Double Fault Exception (#DF)\", APM 2 \"#DF-Double-Fault Exception (Vector 8)\"",
	        .then = then,
	        .also = "",
	        .guest = c->virt->block_at(c),
	        .code = c->virt->guest.shutdown_code,
	        .rip = c->r[REG_RIP],
	        .insn = c->insns,
	        .cpu = c->index,
	};

	snprintf(then, sizeof(then), "the guest was left: %s (0x%llx)", exit_name(c, r.code), (unsigned long long)r.code);
	if (c->hooks->refused)
		c->hooks->refused(c->hooks->arg, c, &r);
}

static void shut_down(struct cpu *c)
{
	if (c->guest && c->virt->guest.shutdown(c)) {
		tell_shutdown(c);
		c->chain_n = 0;
		if (unlikely(c->debug) && c->debug->shutdowns) {
			debug_stop(c, DEBUG_GUEST_SHUTDOWN);
			c->debug->exiting = true;
			return;
		}
		leave_guest(c, &(struct delivery){.activity = ACT_RUN});
		return;
	}
	if (c->hooks->death)
		c->hooks->death(c->hooks->arg, c);
	c->activity = ACT_SHUTDOWN;
	c->stop = CPU_STOP_SHUTDOWN;
}

static bool executed(const struct event *e)
{
	return e->type == EV_SW || e->type == EV_SWEX || e->type == EV_PRIVSW;
}

static void note_chain(struct cpu *c, const struct event *e)
{
	/* Benign pairs are delivered one after the other: the last three are those that lead to a shutdown. */
	if (c->chain_n == ARRAY_LEN(c->chain)) {
		c->chain_from = c->chain[0];
		memmove(&c->chain[0], &c->chain[1], sizeof(c->chain) - sizeof(c->chain[0]));
		c->chain_n--;
	}
	c->chain[c->chain_n++] = *e;
}

/* "Double Fault Exception", table of conditions: e was raised while `prior` was being delivered. false: shutdown. */
static bool combine(struct event *e, const struct event *prior)
{
	if (prior->type != EV_HW)
		return true;
	if (prior->vector == EX_DF)
		return arch_exceptions[e->vector].class == EXC_BENIGN;
	if (contributory_pair(prior->vector, e->vector))
		*e = (struct event){.type = EV_HW, .vector = EX_DF, .has_error = true};
	return true;
}

/* Does the vendor intercept this exception? Then the guest is left. */
static bool intercepted(struct cpu *c, const struct event *e, const struct delivery *d)
{
	if (!c->guest || (e->type != EV_HW && e->type != EV_SWEX && e->type != EV_PRIVSW))
		return false;
	if (c->virt->guest.event(c, e) != XR_EXIT)
		return false;
	leave_guest(c, d);
	return true;
}

/*
 * Deliver an event, and whatever its delivery raises, until one arrives, the guest is left, or the processor shuts
 * down. Exceptions are offered to the vendor before they combine; #DF and shutdown after. What is offered finds the
 * state as it was: only a delivery ends blocking by STI and MOV SS, and clears those flags.
 */
static void deliver(struct cpu *c, struct event e, struct delivery *d)
{
	c->chain_n = 0;
	c->chain_from = e.type == EV_HW ? d->event : e;
	for (;;) {
		if (e.type == EV_HW)
			note_chain(c, &e);
		if (intercepted(c, &e, d))
			return;
		if (!combine(&e, &d->event)) {
			shut_down(c);
			return;
		}
		if (e.type == EV_HW && e.vector == EX_DF && d->event.type != EV_NONE && intercepted(c, &e, d))
			return;
		d->event = e;
		c->shadow = 0;
		if (executed(&e) && !d->injected)
			c->rflags &= ~(u32)FL_RF; /* "Resume Flag": a software interrupt pushes 0 */
		recent_event(c, RECENT_EVENT, &e);
		if (unlikely(c->hooks->trace & TRACE_INT) && c->hooks->event)
			c->hooks->event(c->hooks->arg, c, &e);

		enum xr r = event_deliver(c, d);

		if (r == XR_EXIT) {
			leave_guest(c, d);
			return;
		}
		if (r != XR_FAULT) {
			c->clock->now++; /* or a handler whose first instruction faults would stop time for everybody */
			if (c->mtf && c->guest) /* "Monitor Trap Flag": pending behind a delivery, too */
				cpu_raise(c, PEND_MTF);
			return;
		}
		e = c->fault;
		d->faulted = true;
	}
}

/* A data breakpoint is a trap: an instruction that did not complete has none. What MOV SS held back is saved by an exit
 * and lost by a fault; INT n, INT3 and INTO complete, and it comes behind their delivery. */
static void forget_traps(struct cpu *c, enum xr r, u64 held)
{
	u64 gone = 0xf | (held & DR6_BS), kept = 0;

	if (r == XR_EXIT)
		kept = held;
	else if (r == XR_FAULT && (c->fault.type == EV_SW || c->fault.type == EV_SWEX))
		kept = held & 0xf;
	c->pend &= ~(u32)PEND_VENDOR;
	c->pending_db = (c->pending_db & ~gone) | kept;
	if (!c->pending_db)
		c->pend &= ~(u32)PEND_DB;
	else
		c->attention = 1;
}

/*
 * The instruction i ended with r; NULL: it was the fetch of the one at rip. held: the data breakpoints, and BS by MOV SS,
 * that were pending before it.
 */
static void settle(struct cpu *c, enum xr r, const struct insn *i, u64 held)
{
	bool redirected = false;

	c->cur = NULL;
	if (i && !(r == XR_EXIT && c->exit.trap && (i->row->flags & ROW_BRANCH)))
		c->r[REG_RIP] = r == XR_EXIT && c->exit.trap ? next_rip(c, i) : insn_rip(c, i);
	c->block_mode_changed = 1;
	if (r == XR_FAULT && c->fault.type == EV_SW)
		r = event_redirect(c, &redirected);
	if (i && !(r == XR_EXIT && c->exit.trap))
		forget_traps(c, r, held);
	if (r == XR_FAULT) {
		deliver(c, c->fault,
		        &(struct delivery){.faulted = c->fault.type == EV_HW,
		                           .fetching = !i,
		                           .redirected = redirected,
		                           .held_db = held});
	} else if (r == XR_EXIT) {
		c->exit.insn = i;
		leave_guest(c, &(struct delivery){.fetching = !i, .held_db = held});
	} else if (r == XR_STOP && c->activity == ACT_SHUTDOWN) {
		shut_down(c); /* RSM found an illegal state */
	}
}

/* Events between instructions. */
static inlined void poll(struct cpu *c)
{
	if (c->guest && c->guest_since == UINT64_MAX) /* every entry asks for attention */
		c->guest_since = c->insns;

	struct delivery d = {.injected = c->inject.type != EV_NONE};

	if (d.injected) {
		struct event e = c->inject;

		c->inject.type = EV_NONE;
		deliver(c, e, &d);
		return;
	}

	enum xr r = event_poll(c, &d);

	if (r == XR_FAULT)
		deliver(c, c->fault, &d);
	else if (r == XR_EXIT)
		leave_guest(c, &d);
	else if (r == XR_STOP && !c->stop)
		shut_down(c);
	c->smi_io.valid = false;
}

/* ---- the careful loop: breakpoints, single step, shadows, traces, stress ---- */

/* Code breakpoints match before the instruction runs, unless RF. "Instruction-Breakpoint Exception Condition" */
static enum xr code_breakpoint(struct cpu *c)
{
	u64 la = (mode64(c) ? 0 : c->seg[SEG_CS].base) + c->r[REG_RIP], hit = 0;

	if ((c->rflags & FL_RF) || !(c->dr7 & 0xff))
		return XR_OK;
	if ((c->shadow & SHADOW_MOVSS) && quirk(c, QUIRK_MOVSS_HOLDS_BREAKPOINT))
		return XR_OK;
	for (unsigned n = 0; n < 4; n++)
		if (((c->dr7 >> (2 * n)) & 3) && bits(c->dr7, 17 + 4 * n, 16 + 4 * n) == 0 && c->dr[n] == la)
			hit |= BIT(n);
	return hit && c->gif ? fault_db(c, hit) : XR_OK;
}

/* What an instruction found. */
struct before {
	u64 rip;
	u32 flags, branches;
	u16 task;
	u8 shadow;
};

/* "Single-Step Exception Condition", "Single-Stepping on Branches": TF as the instruction found it; with BTF, only behind
 * a branch that was taken; a switch to another task never, that is what the T bit is for. */
static bool single_steps(const struct cpu *c, const struct insn *i, const struct before *b)
{
	if (!(b->flags & FL_TF) || (c->shadow & SHADOW_MOVSS) || (i->row->flags & ROW_LOADS_TF))
		return false;
	if ((i->row->flags & ROW_BRANCH) && c->seg[SEG_TR].sel != b->task)
		return false;
	return !(c->debugctl & DEBUGCTL_BTF) || c->lastbr_n != b->branches;
}

/* After an instruction completed: RF, shadows and the single-step trap. */
static void after_insn(struct cpu *c, const struct insn *i, const struct before *b)
{
	bool suspended = (i->flags & (INSN_REP | INSN_REPNE)) && c->r[REG_RIP] == b->rip;

	if (((b->flags & c->rflags) & FL_RF) && !suspended)
		c->rflags &= ~(u32)FL_RF;
	if (b->shadow)
		c->attention = 1;
	if (single_steps(c, i, b)) {
		c->pending_db |= DR6_BS;
		cpu_raise(c, PEND_DB);
	}
	if (c->mtf)
		cpu_raise(c, PEND_MTF);
	cpu_flags_changed(c, b->flags);
}

static void step(struct cpu *c)
{
	struct block *b;
	const struct before was = {c->r[REG_RIP], c->rflags, c->lastbr_n, c->seg[SEG_TR].sel, c->shadow};
	u64 held = c->pending_db & (was.shadow & SHADOW_MOVSS ? 0xf | DR6_BS : 0xf);
	bool guest = c->guest;
	enum xr r = code_breakpoint(c);

	c->cur = NULL;
	if (r == XR_OK)
		r = block_next(c, NULL, 0, &b);
	if (r != XR_OK) {
		settle(c, r, NULL, held);
		return;
	}

	const struct insn *i = b->insn;

	if (unlikely(c->hooks->trace & TRACE_INSN) && c->hooks->insn)
		c->hooks->insn(c->hooks->arg, c, i);
	c->shadow = 0;
	c->insn_shadow = was.shadow;
	c->cur = i;
	r = insn_run(c, i);
	c->insn_shadow = 0;
	if (r != XR_OK) {
		c->shadow = was.shadow;
		if (was.shadow)
			cpu_flags_changed(c, was.flags);
		c->left = r == XR_EXIT && c->exit.trap ? 1 : 0;
		account(c);
		settle(c, r, i, held);
		return;
	}
	if (!(i->row->flags & ROW_BRANCH))
		c->r[REG_RIP] = next_rip(c, i);
	c->left = 1;
	account(c);
	c->cur = NULL;
	if (unlikely(c->perf.by_form) && c->guest == guest && !c->frozen)
		perf_retired(c, i);
	if (c->guest == guest) /* else these are the guest's flags; the exit raises the monitor's own trap */
		after_insn(c, i, &was);
	if (unlikely(c->stress.poll_every))
		c->attention = 1;
}

/* The next event falls inside this block: run up to it, instruction by instruction. */
static enum xr run_partial(struct cpu *c, const struct block *b, u64 until)
{
	for (const struct insn *i = b->insn; i->idx < b->n; i++) {
		c->cur = i;

		enum xr r = insn_run(c, i);

		if (r != XR_OK || c->kick || (i->row->flags & ROW_BRANCH) ||
		    c->clock->now + (i->idx + 1u - c->charged) >= until)
			return insn_leave(c, i, r);
	}
	return insn_end(c, &b->insn[b->n]);
}

/* ---- the fast loop ---- */

/* A timer that the program itself armed may come before the end of the slice. Arming one kicks the processor. */
static u64 horizon(const struct cpu *c, u64 until)
{
	return min_u64(until, c->clock->next);
}

static inline struct block *follow_far(struct cpu *c, struct block *b, u64 rip)
{
	u64 context = block_context(c);

	for (unsigned k = 0; k < ARRAY_LEN(b->far); k++)
		if (b->far[k].rip == rip && b->far[k].context == context && b->far[k].b->valid)
			return b->far[k].b;
	return NULL;
}

/* What follows b, if it was seen before. */
static inline struct block *follow(struct cpu *c, struct block *b, u64 before)
{
	u64 rip = c->r[REG_RIP];

	if (unlikely(!b->linkable))
		return NULL;
	if ((rip ^ before) & PAGE_MASK)
		return follow_far(c, b, rip);
	for (unsigned k = 0; k < ARRAY_LEN(b->succ); k++)
		if (b->succ[k].off == (rip & ~PAGE_MASK) && b->succ[k].b->valid && block_fits(c, b->succ[k].b))
			return b->succ[k].b;
	return NULL;
}

/* The block at rip by way of the caches; remembered as b's successor. NULL: the fetch faulted and was settled. */
static struct block *find(struct cpu *c, struct block *b, u64 before)
{
	struct block *next;
	enum xr r;

	c->cur = NULL;
	r = block_next(c, b, before, &next);
	if (likely(r == XR_OK))
		return next;
	settle(c, r, NULL, 0);
	return NULL;
}

static inline enum xr run_block(struct cpu *c, const struct block *b, u64 until)
{
	if (likely(c->clock->now + b->cost <= until))
		return b->insn[0].fast(c, b->insn);
	return run_partial(c, b, until);
}

/* Run blocks until something other than plain code needs attention. */
static void run_blocks(struct cpu *c, u64 end)
{
	struct block *b = NULL;
	u64 until = horizon(c, end), before = 0;

	for (;;) {
		struct block *next = b ? follow(c, b, before) : NULL;

		if (unlikely(!next)) {
			next = find(c, b, before);
			if (!next)
				return;
		}
		b = next;
		before = c->r[REG_RIP];

		enum xr r = run_block(c, b, until);

		account(c);
		if (likely(r == XR_OK && !c->interrupted && c->clock->now < until))
			continue;
		if (r != XR_OK) {
			settle(c, r, c->cur, 0);
			return;
		}
		c->cur = NULL;
		c->kick = c->block_mode_changed = 0;
		until = horizon(c, end);
		if (c->interrupted || c->clock->now >= until)
			return;
		b = NULL;
	}
}

/*
 * RF is good for one instruction. Without code breakpoints nothing asks for it, but the flags show it: the block runs
 * as ever, and its first instruction gets RF back if it did not complete.
 */
static void run_resumed(struct cpu *c, u64 end)
{
	u64 before = c->r[REG_RIP];
	struct block *b = find(c, NULL, 0);

	if (!b)
		return;
	c->rflags &= ~(u32)FL_RF;

	enum xr r = run_block(c, b, horizon(c, end));
	bool first = r != XR_OK && c->cur->idx == 0 && !(r == XR_EXIT && c->exit.trap);
	bool suspended = r == XR_OK && (b->insn[0].flags & (INSN_REP | INSN_REPNE)) && c->r[REG_RIP] == before;

	if (first || suspended)
		c->rflags |= FL_RF;
	account(c);
	if (r != XR_OK)
		settle(c, r, c->cur, 0);
	c->cur = NULL;
}

/* Until the clock reaches `until`, or something else comes up; in a test that freezes it, also when SMM begins. */
static void run_on(struct cpu *c, u64 until)
{
	c->until = until;
	while (c->clock->now < horizon(c, until) && !c->stop && !c->yield) {
		if (c->attention || c->inject.type != EV_NONE) {
			poll(c);
			if (unlikely(c->smm && c->stress.freeze_smm))
				return;
		}
		if (c->activity != ACT_RUN)
			return;
		if (c->attention)
			continue;
		c->kick = c->block_mode_changed = 0;
		if (c->careful)
			step(c);
		else if (unlikely(c->rflags & FL_RF))
			run_resumed(c, until);
		else
			run_blocks(c, until);
	}
}

/* ---- a test's SMIs ---- */

/* Its system management mode begins and ends at the same moment, and in the same turn. */
static cold void run_frozen(struct cpu *c)
{
	const u64 now = c->clock->now, insns = c->insns;
	const bool yield = c->yield;

	c->frozen = true;
	while (c->smm && c->activity == ACT_RUN && !c->stop) {
		if (c->attention)
			poll(c);
		else
			step(c);
		c->insns = insns; /* at once: counters are brought up to date from it */
	}
	c->frozen = false;
	c->clock->now = now;
	c->yield = yield;
}

static cold void run_stormed(struct cpu *c, u64 until)
{
	while (c->clock->now < horizon(c, until) && !c->stop && !c->yield && (c->activity == ACT_RUN || c->attention)) {
		if (c->smm && c->stress.freeze_smm) {
			run_frozen(c);
			continue;
		}

		const u64 now = c->clock->now;

		run_on(c, c->stress.smi_bits ? storm_bound(c, until) : until);
		if (c->stress.smi_bits)
			storm_passed(c, c->clock->now - now);
	}
}

/* ---- a debugger's single step ---- */

/* One instruction, or as far as an event that takes its place is delivered. Who sleeps is woken first. */
static cold void run_stepped(struct cpu *c, u64 until)
{
	while (c->clock->now < horizon(c, until) && !c->stop && !c->yield) {
		const u64 rip = c->r[REG_RIP], exits = c->exits;

		if (c->attention || c->inject.type != EV_NONE) {
			poll(c);
			if (c->r[REG_RIP] != rip || c->exits != exits)
				debug_stop(c, DEBUG_STEP);
			if (c->stop || c->attention)
				continue;
		}
		if (c->activity != ACT_RUN)
			return;
		c->kick = c->block_mode_changed = 0;
		step(c);
		debug_stop(c, DEBUG_STEP);
	}
}

static cold void run_debugged(struct cpu *c, u64 until)
{
	c->until = until;
	if (c->debug->exiting) {
		c->debug->exiting = false;
		leave_guest(c, &(struct delivery){.activity = ACT_RUN});
		if (c->debug->step)
			debug_stop(c, DEBUG_STEP);
	}
	if (c->debug->step)
		run_stepped(c, until);
	else
		run_on(c, until);
}

void cpu_run(struct cpu *c, u64 until)
{
	c->yield = false;
	c->cur = NULL;
	if (unlikely(c->debug) && (c->debug->step || c->debug->exiting)) {
		run_debugged(c, until);
		return;
	}
	if (unlikely(c->stress.smi_bits || c->stress.freeze_smm))
		run_stormed(c, until);
	else
		run_on(c, until);
}
