/*
 * What entries and exits owe each other: an event whose delivery an exit has interrupted, and an interrupt that an exit has
 * acknowledged. Exceptions are no debt, and software interrupts neither: the instruction that raised them runs again.
 */
#include "sanitize/parts.h"

#include <inttypes.h>
#include <stdio.h>

#define VMCB_SIZE 4096u

/* Of an entry's or exit's control block. That of VMX is known since VMPTRLD. */
static struct region *block(struct cpu *c, pa_t pa)
{
	struct sanitize *s = sanitize_of(c);
	struct region *g = region_find(s, pa);

	if (!g && (g = region_make(s, pa)))
		g->vmcb = true;
	return g;
}

/* ---- an event that was not delivered ---- */

static bool pays(const struct watch_entry *e, const struct event *owed)
{
	if (e->inject.type == owed->type && (owed->type == EV_NMI || e->inject.vector == owed->vector))
		return true;
	return owed->type == EV_NMI ? e->vnmi : e->irr[owed->vector / 32] >> owed->vector % 32 & 1;
}

static void found_dropped(struct cpu *c, const struct region *g, const struct watch_entry *e)
{
	char event[128];
	struct refusal r = {.event = event, .guest = g->pa, .rip = e->at, .fields = 1};
	const bool nmi = g->owed.type == EV_NMI;

	if (nmi)
		snprintf(event, sizeof(event), "an NMI was dropped: its delivery was interrupted, and this entry does not inject it");
	else
		snprintf(event, sizeof(event),
		         "external interrupt 0x%02x was dropped: its delivery was interrupted, and this entry does not inject it",
		         g->owed.vector);
	r.field[0] = (struct check_field){.name = g->owed_field, .value = g->owed_value, .width = 4};
	snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "%s 0x%02x", nmi ? "NMI" : "external interrupt",
	         g->owed.vector);
	sanitize_line(&r, "use", NULL, "exit %" PRIu64 " of this %s (0x%" PRIx64 ", %s) at guest rip 0x%" PRIx64, g->exits,
	              c->virt->block, g->owed_code, g->owed_name, g->owed_rip);
	sanitize_line(&r, "note", NULL, "the guest goes on at rip 0x%" PRIx64 " and could take it now", e->rip);
	sanitize_found(c, WATCH_EVENT_DROPPED, &r);
}

/* A monitor that goes on elsewhere has emulated the delivery, switched tasks, or made another guest of it. */
static void settle(struct cpu *c, struct region *g, const struct watch_entry *e)
{
	if (pays(e, &g->owed) || (!g->deferred && e->rip != g->owed_rip)) {
		g->owed.type = EV_NONE;
	} else if (e->inject.type != EV_NONE || !(g->owed.type == EV_NMI ? e->nmi_open : e->open)) {
		g->deferred = true;
	} else {
		found_dropped(c, g, e);
		g->owed.type = EV_NONE;
	}
}

/* ---- an interrupt that was acknowledged ---- */

static bool in_service(const struct cpu *c, int vector)
{
	return c->apic.isr[vector / 32] >> vector % 32 & 1;
}

/* The monitor has neither asked which it was nor ended it. */
static void look_acknowledged(struct cpu *c, const struct watch_entry *e)
{
	struct sanitize_cpu *me = &sanitize_of(c)->cpu[c->index];
	struct refusal r = {.event = "an interrupt that a VM exit acknowledged was dropped: nobody read which it was",
	                    .guest = e->block,
	                    .rip = e->at,
	                    .fields = 1};
	int vector = me->acknowledged;

	me->acknowledged = -1;
	if (vector < 0 || (me->in_service && !in_service(c, vector)))
		return;
	r.field[0] = (struct check_field){.name = "VM-exit interruption information (0x4404)",
	                                  .value = BIT(31) | (u32)vector,
	                                  .width = 4,
	                                  .keyed = true,
	                                  .key = 0x4404};
	snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "external interrupt 0x%02x", (unsigned)vector);
	if (me->in_service)
		sanitize_line(&r, "note", NULL, "the local APIC has it in service: no EOI, and it holds back all up to class %d",
		              vector >> 4);
	sanitize_found(c, WATCH_ACK_DROPPED, &r);
}

/* ---- told by the vendors ---- */

static void entering(struct cpu *c, const struct watch_entry *e)
{
	struct sanitize *s = sanitize_of(c);
	struct region *g = block(c, e->block);

	look_acknowledged(c, e);
	s->cpu[c->index].posted = e->posted;
	if (e->posted != NO_PAGE)
		regions_guard(s, e->posted);
	regions_entering(c, e);
	if (g && g->owed.type != EV_NONE)
		settle(c, g, e);
}

static void keep_page(struct cpu *c, struct region *g, const void *page)
{
	if (!g->last && !(g->last = base_alloc(VMCB_SIZE))) {
		sanitize_lost(sanitize_of(c));
		return;
	}
	memcpy(g->last, page, VMCB_SIZE);
	g->cpu = (u8)c->index;
}

static void left(struct cpu *c, const struct watch_exit *x)
{
	struct sanitize *s = sanitize_of(c);
	struct sanitize_cpu *me = &s->cpu[c->index];
	struct region *g = block(c, x->block);

	me->posted = NO_PAGE;
	me->areas = 0;
	me->acknowledged = x->acknowledged;
	me->in_service = x->acknowledged >= 0 && in_service(c, x->acknowledged);
	if (!g)
		return;
	g->exits++;
	if (x->page)
		keep_page(c, g, x->page);
	if (x->vectoring.type != EV_EXT && x->vectoring.type != EV_NMI)
		return;
	g->owed = x->vectoring;
	g->owed_rip = x->rip;
	g->owed_code = x->code;
	g->owed_name = x->name;
	g->owed_field = x->field;
	g->owed_value = x->value;
	g->deferred = false;
}

static void asked(struct cpu *c)
{
	sanitize_of(c)->cpu[c->index].acknowledged = -1;
}

void events_ops(struct watch_ops *o)
{
	o->entering = entering;
	o->entered = stale_entered;
	o->left = left;
	o->asked = asked;
}
