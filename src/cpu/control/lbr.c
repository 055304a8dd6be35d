/*
 * Last-branch recording: the pair of MSRs that both vendors have, and their two stacks. SDM 3B "Last Branch, Interrupt,
 * and Exception Recording"; APM 2 "Recording Control Transfers", "Last Branch Record Stack". Nobody comes here while
 * DebugCtl is 0.
 */
#include "cpu/control/control.h"

static void push(struct cpu *c, u64 from, u64 to)
{
	c->lbr_tos = (c->lbr_tos + 1) % (c->model->lbr_depth ? c->model->lbr_depth : LBR_DEPTH);
	c->lbr_stack_from[c->lbr_tos] = from;
	c->lbr_stack_to[c->lbr_tos] = to;
}

/* "LastBranchStackSelect": by kind, and by the privilege level in which the branch ends. "LastBranchStackToIp": V. */
static void push_selected(struct cpu *c, u64 from, u64 to, enum lbr_kind kind)
{
	unsigned level = c->cpl == 0 ? 1 : 2;

	if (!(c->lbr_select & (kind | level)))
		push(c, from & mask(56, 0), (to & mask(56, 0)) | BIT(63));
}

void lbr_branch(struct cpu *c, u64 from, u64 to, enum lbr_kind kind)
{
	if (c->debugctl & DEBUGCTL_LBR) {
		c->lbr_from = from;
		c->lbr_to = to;
		if (!has(c, FEAT_AMD_LBR_V2))
			push(c, from, to);
	}
	if (c->debugctl & DEBUGCTL_LBRSE)
		push_selected(c, from, to, kind);
}

/* "These two registers are not updated ... when #DB or #MC exceptions are taken, or the ICEBP instruction is executed"; in
 * 2005 it was #DB and ICEBP. #DB has ended the recording by now. */
void lbr_event(struct cpu *c, const struct event *e, u64 from)
{
	if (c->debugctl & DEBUGCTL_LBR) {
		if (e->type != EV_PRIVSW && (!(e->type == EV_HW && e->vector == EX_MC) || quirk(c, QUIRK_LASTEXC_MC))) {
			c->lex_from = c->lbr_from;
			c->lex_to = c->lbr_to;
		}
		c->lbr_from = from;
		c->lbr_to = c->r[REG_RIP];
	}
	if (c->debugctl & DEBUGCTL_LBRSE)
		push_selected(c, from, c->r[REG_RIP], LBR_FAR);
}
