/*
 * Control structures in memory: which VMCS is active where, whose pages are whose, and who touches them by ordinary
 * accesses. A region is known from its first VMCLEAR, VMPTRLD or VMRUN until somebody stores to it while it is not active:
 * then the page is something else, and what it holds next begins anew.
 */
#include "sanitize/parts.h"

#include <inttypes.h>
#include <stdio.h>

/* Software may write the revision identifier, the shadow indicator and the abort indicator of a VMCS that is not active. */
#define VMCS_HEADER 8u

/* ---- the table ---- */

static struct region **bucket(struct sanitize *s, pa_t pa)
{
	return &s->bucket[(pa >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 56];
}

struct region *region_find(struct sanitize *s, pa_t pa)
{
	struct region *r = *bucket(s, pa);

	while (r && r->pa != pa)
		r = r->next;
	return r;
}

struct region *region_make(struct sanitize *s, pa_t pa)
{
	struct region *r = base_alloc(sizeof(*r));

	if (!r) {
		sanitize_lost(s);
		return NULL;
	}
	r->pa = pa;
	r->cpu = NOWHERE;
	r->next = *bucket(s, pa);
	*bucket(s, pa) = r;
	return r;
}

static void drop(struct sanitize *s, struct region *r)
{
	struct region **p = bucket(s, r->pa);

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	base_free(r->last);
	base_free(r);
}

void regions_forget(struct sanitize *s)
{
	for (unsigned n = 0; n < REGION_BUCKETS; n++)
		while (s->bucket[n])
			drop(s, s->bucket[n]);
}

void regions_guard(struct sanitize *s, pa_t pa)
{
	u8 *host = bus_memory(s->bus, pa & PAGE_MASK);

	if (!host || (*mem_flag(s->bus, host) & PAGE_GUARDED))
		return;
	*mem_flag(s->bus, host) |= PAGE_GUARDED;
	for (unsigned n = 0; n < s->count; n++)
		mmu_hold(s->cpus[n], host);
}

/* ---- VMX operation ---- */

static void vmxon(struct cpu *c, pa_t pa)
{
	struct sanitize *s = sanitize_of(c);
	struct refusal r = {.event = "VMXON with the VMXON region of another processor", .guest = UINT64_MAX, .fields = 1};

	s->cpu[c->index].vmxon = pa;
	regions_guard(s, pa);
	for (unsigned n = 0; n < s->count; n++) {
		if (n == c->index || s->cpu[n].vmxon != pa)
			continue;
		r.field[0] = (struct check_field){.name = "VMXON pointer", .value = pa};
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "that of cpu %u, too", n);
		sanitize_found(c, WATCH_VMXON_SHARED, &r);
		return;
	}
}

static void vmxoff(struct cpu *c)
{
	struct sanitize *s = sanitize_of(c);
	struct refusal r = {.event = "VMXOFF while a VMCS is active (silicon may lose what the VMCS holds)", .guest = UINT64_MAX};

	for (unsigned n = 0; n < REGION_BUCKETS; n++) {
		for (struct region *g = s->bucket[n]; g; g = g->next) {
			if (g->vmcb || g->cpu != c->index)
				continue;
			sanitize_line(&r, "use", &g->loaded, "VMCS 0x%" PRIx64 ", active on cpu %u", g->pa, c->index);
			r.guest = g->pa;
			g->cpu = NOWHERE;
		}
	}
	s->cpu[c->index].vmxon = NO_PAGE;
	if (r.lines)
		sanitize_found(c, WATCH_VMXOFF_ACTIVE, &r);
}

void regions_reset(struct cpu *c)
{
	struct sanitize *s = sanitize_of(c);

	for (unsigned n = 0; n < REGION_BUCKETS; n++)
		for (struct region *g = s->bucket[n]; g; g = g->next)
			if (!g->vmcb && g->cpu == c->index)
				g->cpu = NOWHERE;
}

/* ---- VMCSs ---- */

static void look_vmxon(struct cpu *c, pa_t pa, const char *insn)
{
	struct sanitize *s = sanitize_of(c);
	char event[96];
	struct refusal r = {.event = event, .guest = pa, .fields = 1};

	for (unsigned n = 0; n < s->count; n++) {
		if (s->cpu[n].vmxon != pa)
			continue;
		snprintf(event, sizeof(event), "%s of a VMXON region", insn);
		r.field[0] = (struct check_field){.name = "operand", .value = pa};
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "VMXON pointer of cpu %u", n);
		sanitize_found(c, WATCH_VMXON_AS_VMCS, &r);
	}
}

/* Active on another processor; r has the event. */
static void found_elsewhere(struct cpu *c, enum watch_kind k, struct refusal *r, const struct region *g)
{
	r->guest = g->pa;
	r->fields = 1;
	r->field[0] = (struct check_field){.name = "VMCS", .value = g->pa};
	snprintf(r->field[0].decoded, sizeof(r->field[0].decoded), "active on cpu %u", g->cpu);
	sanitize_line(r, "use", &g->loaded, "VMPTRLD on cpu %u", g->cpu);
	sanitize_found(c, k, r);
}

static void vmclear(struct cpu *c, pa_t pa)
{
	struct sanitize *s = sanitize_of(c);
	struct region *g = region_find(s, pa);
	struct refusal r = {.event = "VMCLEAR of a VMCS that is active on another processor (there it stays active)"};

	look_vmxon(c, pa, "VMCLEAR");
	if (!g)
		g = region_make(s, pa);
	else if (g->cpu != NOWHERE && g->cpu != c->index && !g->vmcb)
		found_elsewhere(c, WATCH_CLEAR_ELSEWHERE, &r, g);
	if (g)
		g->cpu = NOWHERE;
	regions_guard(s, pa);
}

static void look_cleared(struct cpu *c, pa_t pa)
{
	struct refusal r = {.event = "VMPTRLD of a region that was never VMCLEARed (silicon finds anything there)",
	                    .guest = pa,
	                    .fields = 1};

	r.field[0] = (struct check_field){.name = "VMCS", .value = pa};
	sanitize_found(c, WATCH_NOT_CLEARED, &r);
}

static void vmptrld(struct cpu *c, pa_t pa)
{
	struct sanitize *s = sanitize_of(c);
	struct region *g = region_find(s, pa);
	struct refusal r = {.event = "VMPTRLD of a VMCS that is active on another processor (silicon may corrupt it)"};

	look_vmxon(c, pa, "VMPTRLD");
	if (!g) {
		look_cleared(c, pa);
		g = region_make(s, pa);
		regions_guard(s, pa);
	} else if (g->cpu != NOWHERE && g->cpu != c->index) {
		found_elsewhere(c, WATCH_TWO_PROCESSORS, &r, g);
	}
	if (!g || g->cpu == c->index)
		return;
	g->vmcb = false;
	g->cpu = (u8)c->index;
	g->loaded = sanitize_here(c, ORIGIN_UNKNOWN);
}

static u64 *written(struct cpu *c, pa_t pa)
{
	struct region *g = region_find(sanitize_of(c), pa);

	return g ? g->written : NULL;
}

/* ---- VMCBs, the host save area ---- */

static const void *last_run(struct cpu *c, pa_t pa, unsigned *cpu)
{
	struct region *g = region_find(sanitize_of(c), pa);

	if (!g || !g->last)
		return NULL;
	*cpu = g->cpu;
	return g->last;
}

static void hsave(struct cpu *c, pa_t was, pa_t now)
{
	struct sanitize *s = sanitize_of(c);
	struct refusal r = {.event = "WRMSR VM_HSAVE_PA with the host save area of another processor",
	                    .guest = UINT64_MAX,
	                    .fields = 1};

	(void)was;
	s->cpu[c->index].hsave = now ? now : NO_PAGE;
	if (!now)
		return;
	regions_guard(s, now);
	for (unsigned n = 0; n < s->count; n++) {
		if (n == c->index || s->cpu[n].hsave != now)
			continue;
		r.field[0] = (struct check_field){.name = "VM_HSAVE_PA (0xc0010117)", .value = now, .width = 8};
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "that of cpu %u, too", n);
		sanitize_found(c, WATCH_HSAVE_SHARED, &r);
		return;
	}
}

/* ---- ordinary accesses ---- */

struct access {
	struct cpu *cpu;    /* who does it; of a device: the first processor */
	struct initiator who;
	pa_t pa;
	u64 len;
	unsigned use;       /* enum use */
};

static void found_access(const struct access *a, enum watch_kind k, const char *what, pa_t pa, u64 owner)
{
	static const char *const verbs[] = {[USE_READ] = "load from", [USE_WRITE] = "store to", [USE_FETCH] = "fetch from"};
	char event[128];
	struct refusal r = {.event = event, .guest = k == WATCH_VMCS_ACCESS ? pa : UINT64_MAX};

	if (a->who.by == BY_DEVICE) {
		snprintf(event, sizeof(event), "DMA %s %s", a->use == USE_READ ? "from" : "to", what);
		sanitize_line(&r, "use", NULL, "%" PRIu64 " bytes at 0x%" PRIx64 ", offset 0x%" PRIx64 ", by device %02x:%02x.%x",
		              a->len, a->pa, a->pa - pa, a->who.id >> 8, a->who.id >> 3 & 31u, a->who.id & 7u);
	} else {
		snprintf(event, sizeof(event), "ordinary %s %s%s", verbs[a->use], what,
		         k == WATCH_POSTED_STORE || k == WATCH_AREA_MODIFIED ? " of a guest that runs" : " (silicon may keep its data elsewhere)");
		sanitize_line(&r, "use", NULL, "%" PRIu64 " bytes at 0x%" PRIx64 ", offset 0x%" PRIx64 ", by %s", a->len, a->pa,
		              a->pa - pa, a->cpu->guest ? "the guest" : "the monitor");
	}
	sanitize_line(&r, "note", NULL, "%s 0x%" PRIx64 ", cpu %" PRIu64, what, pa, owner);
	sanitize_found(a->cpu, k, &r);
}

/* LOCK, or XCHG, which needs none. */
static bool locked(struct cpu *c)
{
	la_t la = c->sb.base[SEG_CS] + (c->cur ? insn_rip(c, c->cur) : c->r[REG_RIP]);

	for (unsigned n = 0; n < 15; n++) {
		pa_t pa;
		const u8 *byte = mmu_peek(c, la + n, &pa) ? bus_memory(c->bus, pa) : NULL;

		if (!byte || *byte == 0xf0)
			return byte != NULL;
		if (*byte == 0x86 || *byte == 0x87)
			return true;
		if (!memchr("\x66\x67\xf2\xf3\x2e\x36\x3e\x26\x64\x65", *byte, 10) && !(mode64(c) && (*byte & 0xf0) == 0x40))
			return false;
	}
	return false;
}

#define POSTED_SIZE 64u

static void look_posted(const struct sanitize *s, const struct access *a)
{
	for (unsigned n = 0; n < s->count; n++) {
		pa_t at = s->cpu[n].posted;

		if (at == NO_PAGE || a->pa >= at + POSTED_SIZE || a->pa + a->len <= at || !s->cpus[n]->guest)
			continue;
		if (a->use == USE_WRITE && (a->who.by == BY_DEVICE || !locked(a->cpu)))
			found_access(a, WATCH_POSTED_STORE, "the posted-interrupt descriptor", at, n);
	}
}

static void look_areas(const struct sanitize *s, const struct access *a)
{
	if (a->use != USE_WRITE)
		return;
	for (unsigned n = 0; n < s->count; n++) {
		const struct sanitize_cpu *of = &s->cpu[n];

		for (unsigned k = 0; k < of->areas && s->cpus[n]->guest; k++)
			if (a->pa < of->area[k].pa + of->area[k].len && a->pa + a->len > of->area[k].pa)
				found_access(a, WATCH_AREA_MODIFIED, of->area[k].name, of->area[k].pa, n);
	}
}

void regions_entering(struct cpu *c, const struct watch_entry *e)
{
	struct sanitize *s = sanitize_of(c);
	struct sanitize_cpu *me = &s->cpu[c->index];

	me->areas = e->areas;
	memcpy(me->area, e->area, e->areas * sizeof(*e->area));
	for (unsigned n = 0; n < e->areas; n++)
		for (u64 at = e->area[n].pa & PAGE_MASK; at < e->area[n].pa + e->area[n].len; at += PAGE_SIZE)
			regions_guard(s, at);
}

static void look(struct sanitize *s, const struct access *a)
{
	struct region *g = region_find(s, a->pa & PAGE_MASK);

	if (g && !g->vmcb && g->cpu != NOWHERE)
		found_access(a, WATCH_VMCS_ACCESS, "an active VMCS", g->pa, g->cpu);
	for (unsigned n = 0; n < s->count; n++) {
		if (s->cpu[n].vmxon == (a->pa & PAGE_MASK))
			found_access(a, WATCH_VMXON_ACCESS, "the VMXON region", s->cpu[n].vmxon, n);
		if (s->cpu[n].hsave == (a->pa & PAGE_MASK))
			found_access(a, WATCH_HSAVE_ACCESS, "the host save area", s->cpu[n].hsave, n);
	}
	look_posted(s, a);
	look_areas(s, a);
}

static void touched(struct cpu *c, pa_t pa, u32 len, unsigned use)
{
	const struct access a = {.cpu = c, .who = {.by = BY_CPU, .id = (u16)c->index}, .pa = pa, .len = len, .use = use};

	look(sanitize_of(c), &a);
}

void regions_dma_read(void *arg, struct initiator who, u64 pa, u64 len)
{
	struct sanitize *s = arg;
	const struct access a = {.cpu = s->cpus[0], .who = who, .pa = pa, .len = len, .use = USE_READ};

	look(s, &a);
}

void regions_written(void *arg, const struct written *w)
{
	struct sanitize *s = arg;
	struct region *g = region_find(s, w->pa & PAGE_MASK);
	bool cpu = w->who.by == BY_CPU && w->who.id < s->count;
	const struct access a = {
	        .cpu = s->cpus[cpu ? w->who.id : 0], .who = w->who, .pa = w->pa, .len = w->len, .use = USE_WRITE};

	if (w->who.by == BY_VIRT)
		return;
	if (cpu || w->who.by == BY_DEVICE)
		look(s, &a);
	if (g && !g->vmcb && g->cpu == NOWHERE && (w->pa & ~PAGE_MASK) + w->len > VMCS_HEADER)
		drop(s, g);
}

void regions_ops(struct watch_ops *o)
{
	o->vmxon = vmxon;
	o->vmxoff = vmxoff;
	o->vmclear = vmclear;
	o->vmptrld = vmptrld;
	o->written = written;
	o->last_run = last_run;
	o->hsave = hsave;
	o->touched = touched;
}
