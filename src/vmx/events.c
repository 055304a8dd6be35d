/* Events at the edge: VM-entry interruption information, VM-exit and IDT-vectoring information. */
#include "vmx/vmx.h"

/* Types 0 and 2 to 7 have the order of enum event_type with EV_EXT for 0. */
struct event vmx_event_from_info(u64 info, u32 error, unsigned len)
{
	unsigned type = (unsigned)bits(info, 10, 8);
	struct event e = {.type = (u8)(type ? type : EV_EXT), .vector = (u8)info, .has_error = (info & BIT(11)) != 0};

	e.error = e.has_error ? error : 0;
	if (e.type == EV_SW || e.type == EV_PRIVSW || e.type == EV_SWEX)
		e.insn_len = (u8)len;
	return e;
}

u64 vmx_info_from_event(const struct event *e)
{
	if (e->type == EV_NONE)
		return 0;
	return e->vector | (u64)(e->type == EV_EXT ? 0 : e->type) << 8 | (e->has_error ? BIT(11) : 0) | BIT(31);
}
