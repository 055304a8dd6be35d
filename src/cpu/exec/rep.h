/*
 * Repeated string instructions. Each iteration commits by itself; a long repetition is left after a chunk with rip still
 * at the instruction, so that events are seen in between. An iteration costs one cycle; the instruction counts as retired
 * when it completes. Private to exec/ (string.c, io.c).
 */
#ifndef CPU_EXEC_REP_H
#define CPU_EXEC_REP_H

#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define REP_CHUNK 1024

static inline bool is_string(const struct dec *d)
{
	return d->zi->meta.category == ZYDIS_CATEGORY_STRINGOP || d->zi->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* Zydis names CMPSD and MOVSD after two instructions each: the SSE2 ones are not ours. */
static inline bool match_single(const struct dec *d)
{
	return is_string(d) && !dec_repeat(d);
}

static inline bool match_repeated(const struct dec *d)
{
	return is_string(d) && dec_repeat(d);
}

/* The operand at rSI carries the segment override; it is hidden to the generic decoder. */
static inline void bind_string(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->zi->operand_width / 8);
	i->flags = (u8)((i->flags & ~(INSN_REP | INSN_REPNE)) | dec_repeat(d));
	i->seg = SEG_DS;
	for (unsigned k = 0; k < d->zi->operand_count; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_MEMORY && ZydisRegisterGetId(d->op[k].mem.base) == REG_RSI &&
		    d->op[k].mem.segment != ZYDIS_REGISTER_NONE)
			i->seg = (u8)ZydisRegisterGetId(d->op[k].mem.segment);
}

static inline u64 string_step(const struct cpu *c, const struct insn *i)
{
	return c->rflags & FL_DF ? 0 - (u64)i->opsz : i->opsz;
}

static inline void string_advance(struct cpu *c, const struct insn *i, unsigned r)
{
	set_addr_reg(c, i, r, c->r[r] + string_step(c, i));
}

/* How many iterations until the next timer, or until whoever runs us wants to look. */
static inline u64 rep_budget(struct cpu *c)
{
	/* RF alone, left from an event between two iterations, is no reason to stop after each. */
	bool rf_only = (c->rflags & FL_RF) && !(c->dr7 & 0xff) && !c->mtf && !c->stress.poll_every;

	if ((c->careful && !rf_only) || (c->rflags & FL_TF))
		return 1;
	cpu_sync_time(c);

	u64 next = c->until ? min_u64(c->clock->next, c->until) : c->clock->next, now = c->clock->now;

	return next > now ? min_u64(next - now, REP_CHUNK) : 1;
}

struct cc_state {
	u64 res, src1, src2;
	u32 rflags;
	u8 op, size;
};

static inline struct cc_state cc_save(const struct cpu *c)
{
	return (struct cc_state){c->cc_res, c->cc_src1, c->cc_src2, c->rflags, c->cc_op, c->cc_size};
}

static inline void cc_restore(struct cpu *c, const struct cc_state *s)
{
	c->cc_res = s->res;
	c->cc_src1 = s->src1;
	c->cc_src2 = s->src2;
	c->rflags = s->rflags;
	c->cc_op = s->op;
	c->cc_size = s->size;
}

/* Left with iterations to go: not retired yet. RF keeps a code breakpoint here from matching once more; see "REP". */
static inline void rep_suspend(struct cpu *c, const struct insn *i, u64 done)
{
	c->clock->now += done - 1;
	c->insns--;
	c->rflags |= FL_RF; /* "Resume Flag": what comes between two iterations pushes it */
	c->r[REG_RIP] = insn_rip(c, i);
}

/* The REP CMPS and SCAS condition after an iteration. */
static inline bool rep_condition(struct cpu *c, const struct insn *i)
{
	return zf_now(c) == !!(i->flags & INSN_REP);
}

/*
 * one: a single iteration, registers except the count. bulk: some of at most n iterations at once, 0 if it cannot; may be
 * NULL. A fault leaves the registers of the iterations done, and the flags as they were.
 */
static inlined enum xr rep_run(struct cpu *c, const struct insn *i, insn_fn *one,
                                     u64 (*bulk)(struct cpu *, const struct insn *, u64), bool compares)
{
	u64 count = addr_reg(c, i, REG_RCX), done = 0, budget = count ? rep_budget(c) : 0;
	struct cc_state saved = cc_save(c);
	bool more = count != 0;

	while (more && done < budget) {
		u64 n = bulk ? bulk(c, i, min_u64(count, budget - done)) : 0;

		if (n == 0) {
			enum xr r = one(c, i);

			if (unlikely(r != XR_OK)) {
				cc_restore(c, &saved);
				c->clock->now += done;
				return r;
			}
			n = 1;
		}
		done += n;
		count -= n;
		set_addr_reg(c, i, REG_RCX, count);
		more = count != 0 && (!compares || rep_condition(c, i));
		if (unlikely(c->kick))
			break;
	}
	if (more) {
		rep_suspend(c, i, done);
		return XR_OK;
	}
	if (done)
		c->clock->now += done - 1;
	c->rflags &= ~(u32)FL_RF;
	c->r[REG_RIP] = next_rip(c, i);
	return XR_OK;
}

#endif
