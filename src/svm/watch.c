/*
 * What SVM tells to who looks for a monitor's mistakes (cpu/state/watch.h): what a VMCB claims by its clean bits against
 * what the last #VMEXIT left in it, whether interrupts are seen around VMRUN and in the guest, what is injected and what
 * was not delivered. "VMCB State Caching", "Global Interrupt Flag, STGI and CLGI Instructions".
 */
#include <inttypes.h>
#include <stdio.h>

#include "cpu/state/watch.h"
#include "svm/svm.h"

#define CLEAN_BITS mask(12, 0)

static u64 value_at(const void *page, const struct vmcb_field *f)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)page + f->offset, f->width);
	return v;
}

/* ---- clean bits ---- */

static void add_changed(struct cpu *c, struct refusal *r, const struct vmcb_field *f, pa_t pa, u64 was, u64 is)
{
	struct check_field *k;

	if (r->fields == ARRAY_LEN(r->field))
		return;
	k = &r->field[r->fields++];
	*k = (struct check_field){.name = f->name, .value = is, .width = f->width, .keyed = true, .key = f->offset};
	snprintf(k->decoded, sizeof(k->decoded), "clean bit %u is set, was 0x%0*" PRIx64, f->clean, f->width * 2, was);
	if (c->hooks->writer && !c->hooks->writer(c->hooks->arg, pa + f->offset, &k->set))
		k->set.kind = ORIGIN_UNKNOWN;
}

static void look_changed(struct cpu *c, const struct insn *i, pa_t pa, const struct vmcb_page *now, const void *last)
{
	struct refusal r = {.event = "VMRUN with a VMCB field changed under its clean bit (silicon may use the old value, or "
	                             "the new)",
	                    .guest = pa,
	                    .rip = insn_rip(c, i)};

	for (const struct vmcb_field *f = vmcb_fields; f < vmcb_fields + vmcb_field_count; f++)
		if (f->clean < 32 && (now->control.clean >> f->clean & 1) && value_at(now, f) != value_at(last, f))
			add_changed(c, &r, f, pa, value_at(last, f), value_at(now, f));
	if (r.fields)
		c->watch->found(c, WATCH_CLEAN_CHANGED, &r);
}

static void look_moved(struct cpu *c, const struct insn *i, pa_t pa, u32 clean, int last_cpu)
{
	struct refusal r = {.event = last_cpu < 0 ? "VMRUN with clean bits set of a VMCB that never ran at this address"
	                                          : "VMRUN with clean bits set of a VMCB that ran on another processor",
	                    .guest = pa,
	                    .rip = insn_rip(c, i),
	                    .fields = 1};

	r.field[0] = (struct check_field){
	        .name = vmcb_field_at(0xc0)->name, .value = clean, .width = 4, .keyed = true, .key = 0xc0};
	if (last_cpu >= 0)
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "VMCB 0x%" PRIx64 " ran last on cpu %d", pa, last_cpu);
	else
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "VMCB 0x%" PRIx64 " runs for the first time", pa);
	c->watch->found(c, WATCH_CLEAN_MOVED, &r);
}

static void look_clean(struct cpu *c, const struct insn *i, pa_t pa, const struct vmcb_page *page)
{
	u32 clean = page->control.clean & (u32)CLEAN_BITS;
	unsigned cpu = 0;
	const void *last;

	if (!clean || !has(c, FEAT_VMCB_CLEAN))
		return;
	last = c->watch->last_run(c, pa, &cpu);
	if (!last || cpu != c->index)
		look_moved(c, i, pa, clean, last ? (int)cpu : -1);
	else
		look_changed(c, i, pa, page, last);
}

/* ---- interrupts around VMRUN ---- */

static void look_window(struct cpu *c, const struct insn *i, pa_t pa, const struct vmcb_page *page)
{
	struct refusal r = {.event = "VMRUN while interrupts can be taken: GIF 1 and RFLAGS.IF 1",
	                    .guest = pa,
	                    .rip = insn_rip(c, i),
	                    .fields = 2};

	if (!c->gif || !(c->rflags & FL_IF) || !(page->control.word3 & 1))
		return;
	r.field[0] = (struct check_field){.name = "RFLAGS", .value = c->rflags, .width = 4, .decoded = "IF 1, GIF 1"};
	r.field[1] = (struct check_field){.name = vmcb_field_at(0x0c)->name,
	                                  .value = page->control.word3,
	                                  .width = 4,
	                                  .keyed = true,
	                                  .key = 0x0c,
	                                  .decoded = "INTR intercept 1"};
	c->watch->found(c, WATCH_OPEN_WINDOW, &r);
}

void svm_watch_vmrun(struct cpu *c, const struct insn *i, pa_t pa)
{
	struct vmcb_page tmp;
	struct svm_access a;

	svm_open(c, &a, pa, &tmp);
	look_clean(c, i, pa, a.page);
	look_window(c, i, pa, a.page);
}

/* "Physical (INTR) Interrupt Masking in EFLAGS": an interrupt has waited for a guest that did not know of it. */
static void look_held(struct cpu *c, const struct exit_request *x)
{
	const struct svm *s = svm_of(c);
	struct refusal r = {.event = "a physical interrupt was held while a guest ran: VMRUN with RFLAGS.IF 0 under V_INTR_MASKING",
	                    .guest = s->vmcb_pa,
	                    .rip = s->host.rip,
	                    .fields = 2};
	int vector = c->apic.extint ? 0 : apic_pending(c);
	bool masked;

	if (x->id == ICPT_INTR || !(c->pend & PEND_INTR) || vector < 0 || !svm_intr_masked(c, &masked) || !masked)
		return;
	r.field[0] = (struct check_field){
	        .name = "host RFLAGS at VMRUN", .value = s->host.rflags, .width = 4, .decoded = "IF 0"};
	r.field[1] = (struct check_field){.name = vmcb_field_at(0x60)->name,
	                                  .value = s->vintr,
	                                  .width = 8,
	                                  .keyed = true,
	                                  .key = 0x60,
	                                  .decoded = "V_INTR_MASKING 1"};
	r.line[0].label = "use";
	snprintf(r.line[0].text, sizeof(r.line[0].text), "%s waits for this processor, vector 0x%02x, since before this exit",
	         c->apic.extint ? "the 8259" : "the local APIC", (unsigned)vector);
	r.lines = 1;
	c->watch->found(c, WATCH_INTR_HELD, &r);
}

/* ---- entry and exit ---- */

static void pending(struct cpu *c, const struct svm_image *v, struct watch_entry *e)
{
	u64 vintr = v->control.vintr;
	unsigned vector = (unsigned)bits(vintr, 39, 32);

	if (v->env.avic && (vintr & VINTR_AVIC))
		for (unsigned n = 0; n < 8; n++)
			e->irr[n] = cpu_read_u32(c, BY_VIRT, (v->control.avic_backing_page & mask(51, 12)) + 0x200 + 0x10 * n);
	else if (vintr & VINTR_IRQ)
		e->irr[vector / 32] |= 1u << vector % 32;
	e->vnmi = v->env.vnmi && (vintr & VINTR_NMI_EN) && (vintr & VINTR_NMI);
}

void svm_watch_entering(struct cpu *c, const struct insn *i, const struct svm_image *v, pa_t pa)
{
	bool shadow = v->control.int_state & INT_STATE_SHADOW;
	struct watch_entry e = {.block = pa,
	                        .at = insn_rip(c, i),
	                        .rip = v->save.rip,
	                        .open = (v->save.rflags & FL_IF) && !shadow,
	                        .nmi_open = !shadow,
	                        .posted = ~0ull};

	if (v->control.eventinj & INTINFO_V)
		e.inject = svm_event_from_intinfo(v->control.eventinj, 0);
	pending(c, v, &e);
	c->watch->entering(c, &e);
}

void svm_watch_exit(struct cpu *c, const struct exit_request *x, const struct vmcb_page *page, const struct svm_told *o)
{
	const struct svm_exit_row *row = svm_exit_row(o->code);
	struct watch_exit e = {.block = svm_of(c)->vmcb_pa,
	                       .rip = page->save.rip,
	                       .code = o->code,
	                       .name = row ? row->name : "VMEXIT",
	                       .acknowledged = -1,
	                       .page = page};

	if (o->intinfo & INTINFO_V)
		e.vectoring = svm_event_from_intinfo(o->intinfo, 0);
	e.field = vmcb_field_at(0x88)->name;
	e.value = (u32)o->intinfo;
	look_held(c, x);
	c->watch->left(c, &e);
}

/* "TLB Flush" (APM 2). DEVIATION: 7, this ASID's but for global translations, is taken for a flush of what nested tables say as
 * well: no monitor can know which pages its guest has as global. */
void svm_watch_tlb_control(struct cpu *c, u16 asid, u8 control)
{
	bool by_asid = has(c, FEAT_FLUSHBYASID) && (control == TLB_CONTROL_ASID || control == TLB_CONTROL_ASID_NON_GLOBAL);

	if (by_asid)
		c->watch->tables.asid_flushed(c, asid, false, "TLB_CONTROL for the ASID");
	else if (control == TLB_CONTROL_ALL)
		c->watch->tables.asid_flushed(c, asid, true, "TLB_CONTROL 1");
}

/* ---- what the guest must not reach ---- */

enum { IOPM_LEN = 3 * PAGE_SIZE, MSRPM_LEN = 2 * PAGE_SIZE }; /* "IO Permissions Map", "MSR Permissions Map" */
enum { INTERCEPT_IOIO = 1u << 27, INTERCEPT_MSR = 1u << 28 }; /* of the word at 00Ch */

void svm_watch_entered(struct cpu *c)
{
	const struct svm *s = svm_of(c);
	const struct vmcb_control *v = svm_control(c);
	const u64 page = mask(51, 12);
	struct watch_structure list[WATCH_STRUCTURES] = {
	        {s->vmcb_pa, PAGE_SIZE, STRUCTURE_BLOCK, "the VMCB"},
	        {c->vm_hsave_pa, PAGE_SIZE, STRUCTURE_HOST, "the host save area"},
	};
	unsigned n = 2;

	if (v->icpt[3] & INTERCEPT_IOIO)
		list[n++] = (struct watch_structure){v->iopm_base_pa & page, IOPM_LEN, STRUCTURE_BITMAP, "the I/O permissions map"};
	if (v->icpt[3] & INTERCEPT_MSR)
		list[n++] = (struct watch_structure){v->msrpm_base_pa & page, MSRPM_LEN, STRUCTURE_BITMAP, "the MSR permissions map"};
	if (s->avic) {
		list[n++] = (struct watch_structure){v->avic_physical_table & page, PAGE_SIZE, STRUCTURE_APIC, "AVIC's physical table"};
		list[n++] = (struct watch_structure){v->avic_logical_table & page, PAGE_SIZE, STRUCTURE_APIC, "AVIC's logical table"};
		list[n++] = (struct watch_structure){v->avic_backing_page & page, PAGE_SIZE, STRUCTURE_APIC, "AVIC's backing page"};
	}
	c->watch->tables.structures(c, list, n);
	c->watch->entered(c);
}
