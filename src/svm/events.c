/* Events at the edge: EVENTINJ and EXITINTINFO. "Event Injection", "EXITINTINFO". */
#include "svm/svm.h"

struct event svm_event_from_intinfo(u64 info, unsigned insn_len)
{
	static const u8 type[8] = {EV_EXT, EV_NONE, EV_NMI, EV_HW, EV_SW, EV_NONE, EV_NONE, EV_NONE};
	struct event e = {.type = type[bits(info, 10, 8)], .vector = (u8)info};

	if (e.type == EV_NMI)
		e.vector = EX_NMI;
	if (e.type == EV_HW && (e.vector == EX_BP || e.vector == EX_OF))
		e.type = EV_SWEX;
	if (e.type == EV_SW || e.type == EV_SWEX)
		e.insn_len = (u8)insn_len;
	e.has_error = (info & INTINFO_EV) != 0;
	e.error = e.has_error ? (u32)(info >> 32) : 0;
	return e;
}

u64 svm_intinfo_from_event(const struct event *e)
{
	static const u8 type[] = {
	        [EV_EXT] = INTINFO_INTR, [EV_NMI] = INTINFO_NMI,          [EV_HW] = INTINFO_EXCEPTION,
	        [EV_SW] = INTINFO_SOFT,  [EV_PRIVSW] = INTINFO_EXCEPTION, [EV_SWEX] = INTINFO_EXCEPTION,
	};

	if (e->type == EV_NONE || e->type >= ARRAY_LEN(type))
		return 0;
	return e->vector | (u64)type[e->type] << 8 | INTINFO_V | (e->has_error ? INTINFO_EV | (u64)e->error << 32 : 0);
}
