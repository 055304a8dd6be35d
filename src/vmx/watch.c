/*
 * What VMX tells to who looks for a monitor's mistakes (cpu/state/watch.h): which fields a VM entry reads and an exit writes,
 * by the rows of map.h and the controls in force; what is injected, and what was not delivered. "Initializing a VMCS":
 * "It is not necessary to initialize fields that the logical processor will not use."
 */
#include <inttypes.h>
#include <stdio.h>

#include "cpu/state/watch.h"
#include "vmx/map.h"
#include "vmx/vmx.h"

#define NOTHING(...)

static void put(u64 *set, u32 encoding)
{
	unsigned slot = vmcs_slot(encoding);

	set[slot / 64] |= BIT(slot % 64);
}

static bool in(const u64 *set, u32 encoding)
{
	unsigned slot = vmcs_slot(encoding);

	return set[slot / 64] >> (slot % 64) & 1;
}

/* ---- what an entry reads ---- */

/* A control word as it counts; those that another control switches on are 0 without it. */
static u64 word(const struct vmx *v, unsigned w)
{
	switch (w) {
	case VMX_PIN: return vmcs_get(v, VMCS_PIN_CONTROLS);
	case VMX_PROC: return vmcs_get(v, VMCS_PROC_CONTROLS);
	case VMX_PROC2: return vmx_proc2(v);
	case VMX_PROC3: return vmx_proc3(v);
	case VMX_EXIT: return vmcs_get(v, VMCS_EXIT_CONTROLS);
	case VMX_EXIT2: return vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_SECONDARY ? vmcs_get(v, VMCS_EXIT2_CONTROLS) : 0;
	default: return vmcs_get(v, VMCS_ENTRY_CONTROLS);
	}
}

/* The control whose support brings a field into being is the one that has it used. */
static bool switched_on(const struct vmx *v, u8 condition)
{
	return condition >= VMX_LATER || (word(v, condition >> 5) >> (condition & 31) & 1);
}

static bool injects(const struct vmx *v, u64 types)
{
	u64 info = vmcs_get(v, VMCS_ENTRY_INTR_INFO);

	return (info & BIT(31)) && (types >> bits(info, 10, 8) & 1);
}

/* Controls that are used on terms of their own. */
static bool control_used(const struct vmx *v, u32 encoding)
{
	u64 proc = word(v, VMX_PROC);

	switch (encoding) {
	case VMCS_IO_BITMAP_A:
	case VMCS_IO_BITMAP_B: return proc & PROC_IO_BITMAPS;
	case VMCS_EXIT_MSR_STORE_ADDR: return vmcs_get(v, VMCS_EXIT_MSR_STORE_COUNT) != 0;
	case VMCS_EXIT_MSR_LOAD_ADDR: return vmcs_get(v, VMCS_EXIT_MSR_LOAD_COUNT) != 0;
	case VMCS_ENTRY_MSR_LOAD_ADDR: return vmcs_get(v, VMCS_ENTRY_MSR_LOAD_COUNT) != 0;
	case VMCS_TSC_OFFSET:
	case VMCS_TSC_MULTIPLIER: return proc & PROC_TSC_OFFSET;
	case VMCS_CR3_TARGET0:
	case VMCS_CR3_TARGET1:
	case VMCS_CR3_TARGET2:
	case VMCS_CR3_TARGET3:
		return (proc & PROC_CR3_LOAD) &&
		       (encoding - VMCS_CR3_TARGET0) / 2 < vmcs_get(v, VMCS_CR3_TARGET_COUNT);
	case VMCS_ENTRY_ERROR_CODE: return injects(v, ~0ull) && (vmcs_get(v, VMCS_ENTRY_INTR_INFO) & BIT(11));
	case VMCS_ENTRY_INSN_LEN: return injects(v, BIT(4) | BIT(5) | BIT(6));
	case VMCS_TPR_THRESHOLD: return !(vmx_proc2(v) & PROC2_VIRTUAL_INT);
	case VMCS_EPTP_LIST: return vmcs_get(v, VMCS_VMFUNC_CONTROLS) & VMX_VMFUNC_EPTP_SWITCHING;
	case VMCS_CR0_SHADOW: return vmcs_get(v, VMCS_CR0_MASK) != 0;
	case VMCS_CR4_SHADOW: return vmcs_get(v, VMCS_CR4_MASK) != 0;
	case VMCS_EXECUTIVE_VMCS:
	case VMCS_GUEST_SMBASE:
	case VMCS_INSN_ERROR: return false;
	default: return true;
	}
}

/* "Loading Guest Segment Registers and Descriptor-Table Registers": little is loaded of what is unusable. */
static bool segment_used(const struct vmx *v, u32 encoding)
{
	u32 first = encoding >= VMCS_GUEST_ES_BASE ? VMCS_GUEST_ES_BASE : VMCS_GUEST_ES_LIMIT;
	u32 n = (encoding - first) / 2;

	if (n > SEG_LDTR || n == SEG_CS) /* GDTR and IDTR are behind TR, which is usable */
		return true;
	if (!(vmcs_get(v, VMCS_GUEST_ES_AR + 2 * n) & AR_UNUSABLE))
		return true;
	return first == VMCS_GUEST_ES_BASE && (n == SEG_FS || n == SEG_GS);
}

static bool guest_used(const struct vmx *v, u32 encoding)
{
	u64 entry = vmcs_get(v, VMCS_ENTRY_CONTROLS);

	if ((encoding >= VMCS_GUEST_ES_BASE && encoding <= VMCS_GUEST_TR_BASE) ||
	    (encoding >= VMCS_GUEST_ES_LIMIT && encoding <= VMCS_GUEST_TR_LIMIT))
		return segment_used(v, encoding);
	switch (encoding) {
	case VMCS_GUEST_EFER: return entry & ENTRY_LOAD_EFER;
	case VMCS_GUEST_PDPTE0:
	case VMCS_GUEST_PDPTE1:
	case VMCS_GUEST_PDPTE2:
	case VMCS_GUEST_PDPTE3:
		return (vmx_proc2(v) & PROC2_EPT) && (vmcs_get(v, VMCS_GUEST_CR0) & CR0_PG) &&
		       (vmcs_get(v, VMCS_GUEST_CR4) & CR4_PAE) && !(entry & ENTRY_GUEST64);
	default: return true;
	}
}

/* All that this entry, the guest's controls and the next exit have from the current VMCS. */
static void reads(const struct vmx *v, u64 *set)
{
	const u64 entry = vmcs_get(v, VMCS_ENTRY_CONTROLS), exit = vmcs_get(v, VMCS_EXIT_CONTROLS);

#define FIELD(name, encoding, condition, ...)                                                                          \
	if (switched_on(v, condition) && control_used(v, encoding))                                                    \
		put(set, encoding);
#define GUEST(name, encoding, condition, text, member, loaded, ...)                                                    \
	if ((loaded) && guest_used(v, encoding))                                                                       \
		put(set, encoding);
#define HOST(name, encoding, condition, text, member, loaded, ...)                                                     \
	if ((loaded) && ((encoding) != VMCS_HOST_EFER || (exit & EXIT_LOAD_EFER)))                                     \
		put(set, encoding);
	VMCS_MAP(FIELD, NOTHING, GUEST, HOST)
#undef FIELD
#undef GUEST
#undef HOST
	put(set, VMCS_ENTRY_INTR_INFO);
}

/* ---- findings ---- */

static void show(struct check_field *f, const struct vmx *v, u32 encoding)
{
	*f = (struct check_field){.name = vmcs_field_at(encoding)->name,
	                          .value = vmcs_get(v, encoding),
	                          .width = vmcs_width(encoding),
	                          .keyed = true,
	                          .key = encoding,
	                          .set = {.kind = ORIGIN_NEVER}};
	vmx_decode_field(f->decoded, sizeof(f->decoded), encoding, f->value);
}

/* Those for which there is no room: their encodings, as many as fit. */
static size_t add_more(struct refusal_line *l, size_t at, u32 encoding)
{
	int n;

	l->label = "note";
	n = snprintf(l->text + at, sizeof(l->text) - at, at ? ", 0x%04x" : "and 0x%04x", encoding);
	return min_u64(at + (size_t)n, sizeof(l->text) - 1);
}

void vmx_watch_read_by_entry(struct cpu *c, const struct insn *i, bool resume)
{
	const struct vmx *v = vmx_of(c);
	u64 *written = c->watch->written(c, v->current), set[WATCH_WORDS] = {0};
	char event[96];
	struct refusal r = {.event = event, .guest = v->current, .rip = insn_rip(c, i)};
	size_t more = 0;

	if (!written || !watched(c, WATCH_NEVER_WRITTEN))
		return;
	reads(v, set);
	for (const struct vmcs_field *f = vmcs_fields; f < vmcs_fields + vmcs_field_count; f++) {
		if (!in(set, f->encoding) || in(written, f->encoding) || !vmx_field_exists(vmx_caps(c), f->encoding))
			continue;
		put(written, f->encoding); /* once for each VMCS */
		if (r.fields < ARRAY_LEN(r.field))
			show(&r.field[r.fields++], v, f->encoding);
		else
			more = add_more(&r.line[0], more, f->encoding);
	}
	if (!r.fields)
		return;
	snprintf(event, sizeof(event), "%s uses VMCS fields that were never written (silicon finds anything there)",
	         resume ? "VMRESUME" : "VMLAUNCH");
	r.lines = more != 0;
	c->watch->found(c, WATCH_NEVER_WRITTEN, &r);
}

/* Of a guest it is the VMCS at the link pointer. */
static u64 target(const struct cpu *c)
{
	return c->guest ? vmcs_get(vmx_of(c), VMCS_LINK_POINTER) : vmx_of(c)->current;
}

void vmx_watch_written(struct cpu *c, u32 encoding)
{
	u64 *written = c->watch->written(c, target(c));

	if (written)
		put(written, encoding);
}

void vmx_watch_read(struct cpu *c, u32 encoding, u64 value)
{
	u64 *written = c->watch->written(c, target(c));
	if (encoding == VMCS_EXIT_INTR_INFO && !c->guest)
		c->watch->asked(c);
	struct refusal r = {.event = "VMREAD of a VMCS field that was never written (silicon finds anything there)",
	                    .guest = target(c),
	                    .fields = 1};

	if (!written || encoding == VMCS_INSN_ERROR || in(written, encoding) || !watched(c, WATCH_READ_UNSET))
		return;
	put(written, encoding);
	show(&r.field[0], vmx_of(c), encoding);
	r.field[0].value = value;
	c->watch->found(c, WATCH_READ_UNSET, &r);
}

/* ---- entry and exit ---- */

static bool posts(const struct vmx *v)
{
	return vmcs_get(v, VMCS_PIN_CONTROLS) & PIN_POSTED_INT;
}

static void add_area(const struct vmx *v, struct watch_entry *e, u32 encoding, u32 len)
{
	if (len && e->areas < WATCH_AREAS)
		e->area[e->areas++] = (struct watch_area){vmcs_get(v, encoding), len, vmcs_field_at(encoding)->name};
}

#define MSR_ENTRY 16u

/* "Software Access to Related Structures": those that a guest's processor reads. The posted-interrupt descriptor has rules of
 * its own; the virtual-APIC page changes while the guest runs. */
static void add_areas(const struct vmx *v, struct watch_entry *e)
{
	static const struct {
		u16 address, count;
	} list[] = {
	        {VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT},
	        {VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT},
	        {VMCS_ENTRY_MSR_LOAD_ADDR, VMCS_ENTRY_MSR_LOAD_COUNT},
	};
	const u32 proc = (u32)word(v, VMX_PROC), proc2 = vmx_proc2(v);

	add_area(v, e, VMCS_IO_BITMAP_A, proc & PROC_IO_BITMAPS ? PAGE_SIZE : 0);
	add_area(v, e, VMCS_IO_BITMAP_B, proc & PROC_IO_BITMAPS ? PAGE_SIZE : 0);
	add_area(v, e, VMCS_MSR_BITMAP, proc & PROC_MSR_BITMAPS ? PAGE_SIZE : 0);
	add_area(v, e, VMCS_VMREAD_BITMAP, proc2 & PROC2_SHADOW_VMCS ? PAGE_SIZE : 0);
	add_area(v, e, VMCS_VMWRITE_BITMAP, proc2 & PROC2_SHADOW_VMCS ? PAGE_SIZE : 0);
	add_area(v, e, VMCS_EPTP_LIST,
	         (proc2 & PROC2_VMFUNC) && (vmcs_get(v, VMCS_VMFUNC_CONTROLS) & VMX_VMFUNC_EPTP_SWITCHING) ? PAGE_SIZE : 0);
	for (unsigned n = 0; n < ARRAY_LEN(list); n++)
		add_area(v, e, list[n].address, (u32)min_u64(vmcs_get(v, list[n].count), VMX_MSR_LIST_MAX) * MSR_ENTRY);
}

void vmx_watch_entering(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);
	u64 info = vmcs_get(v, VMCS_ENTRY_INTR_INFO), blocked = vmcs_get(v, VMCS_GUEST_INTERRUPTIBILITY);
	struct watch_entry e = {.block = v->current,
	                        .at = v->entry_rip,
	                        .rip = vmcs_get(v, VMCS_GUEST_RIP),
	                        .open = (vmcs_get(v, VMCS_GUEST_RFLAGS) & FL_IF) && !(blocked & 3),
	                        .nmi_open = !(blocked & 3), /* NMI blocking: by the delivery that was interrupted */
	                        .posted = posts(v) ? vmcs_get(v, VMCS_PI_DESCRIPTOR) : ~0ull};

	if (info & BIT(31))
		e.inject = vmx_event_from_info(info, 0, 0);
	for (unsigned n = 0; n < 8 && (vmx_proc2(v) & PROC2_VIRTUAL_INT); n++)
		e.irr[n] = cpu_read_u32(c, BY_VIRT, vmcs_get(v, VMCS_VIRTUAL_APIC_ADDR) + 0x200 + 0x10 * n);
	add_areas(v, &e);
	c->watch->entering(c, &e);
}

/* What an exit gives a value. Some of what tells of it stays undefined, by reason: that is not looked at. */
void vmx_watch_saved(struct cpu *c)
{
	static const u16 by_smm[] = {VMCS_EXECUTIVE_VMCS, VMCS_LINK_POINTER, VMCS_GUEST_SMBASE, VMCS_GUEST_INT_STATUS,
	                             VMCS_PML_INDEX}; /* exits that end there */
	const struct vmx *v = vmx_of(c);
	u64 *written = c->watch->written(c, v->current);
	const u64 exit = vmcs_get(v, VMCS_EXIT_CONTROLS);
	const bool pae_ept = (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !long_mode(c) && (vmx_proc2(v) & PROC2_EPT);

	if (!written)
		return;
#define TOLD(name, encoding, ...) put(written, encoding);
#define GUEST(name, encoding, condition, text, member, loaded, load, saved, save)                                      \
	if (saved)                                                                                                     \
		put(written, encoding);
	VMCS_MAP(NOTHING, TOLD, GUEST, NOTHING)
#undef TOLD
#undef GUEST
	if (exit & EXIT_SAVE_TIMER)
		put(written, VMCS_PREEMPTION_TIMER);
	for (unsigned n = 0; n < ARRAY_LEN(by_smm) && c->smm; n++)
		put(written, by_smm[n]);
}

void vmx_watch_exit(struct cpu *c, const struct exit_request *x, u64 reason)
{
	const struct vmx *v = vmx_of(c);
	u64 info = vmcs_get(v, VMCS_IDT_VECTORING), acknowledged = vmcs_get(v, VMCS_EXIT_INTR_INFO);
	struct watch_exit e = {.block = v->current,
	                       .rip = vmcs_get(v, VMCS_GUEST_RIP),
	                       .code = reason,
	                       .name = vmx_exit_rows[reason & 0xffff].name,
	                       .field = vmcs_field_at(VMCS_IDT_VECTORING)->name,
	                       .value = (u32)info,
	                       .acknowledged = -1};

	if (x->id == ICPT_INTR && (acknowledged & BIT(31)))
		e.acknowledged = (u8)acknowledged;
	if (info & BIT(31))
		e.vectoring = vmx_event_from_info(info, 0, 0);
	vmx_watch_saved(c);
	c->watch->left(c, &e);
}

/* ---- what the guest must not reach ---- */

static void add(struct watch_structure *list, unsigned *n, u64 pa, u32 len, enum watch_structure_kind kind, const char *name)
{
	if (len)
		list[(*n)++] = (struct watch_structure){.pa = pa, .len = len, .kind = (u8)kind, .name = name};
}

static void add_msrs(const struct vmx *v, struct watch_structure *list, unsigned *n, u32 address, u32 count)
{
	add(list, n, vmcs_get(v, address), (u32)vmcs_get(v, count) * 16, STRUCTURE_MSRS, vmcs_field_at(address)->name);
}

void vmx_watch_entered(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);
	const u64 proc = vmcs_get(v, VMCS_PROC_CONTROLS), link = vmcs_get(v, VMCS_LINK_POINTER);
	struct watch_structure list[WATCH_STRUCTURES];
	unsigned n = 0;

	add(list, &n, v->current, PAGE_SIZE, STRUCTURE_BLOCK, "the current VMCS");
	if (link != VMCS_NONE && (vmx_proc2(v) & PROC2_SHADOW_VMCS))
		add(list, &n, link, PAGE_SIZE, STRUCTURE_BLOCK, "the shadow VMCS");
	if (v->vmxon_pa != VMCS_NONE)
		add(list, &n, v->vmxon_pa, PAGE_SIZE, STRUCTURE_HOST, "the VMXON region");
	if (proc & PROC_IO_BITMAPS) {
		add(list, &n, vmcs_get(v, VMCS_IO_BITMAP_A), PAGE_SIZE, STRUCTURE_BITMAP, "I/O bitmap A");
		add(list, &n, vmcs_get(v, VMCS_IO_BITMAP_B), PAGE_SIZE, STRUCTURE_BITMAP, "I/O bitmap B");
	}
	if (proc & PROC_MSR_BITMAPS)
		add(list, &n, vmcs_get(v, VMCS_MSR_BITMAP), PAGE_SIZE, STRUCTURE_BITMAP, "the MSR bitmaps");
	add_msrs(v, list, &n, VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT);
	add_msrs(v, list, &n, VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT);
	add_msrs(v, list, &n, VMCS_ENTRY_MSR_LOAD_ADDR, VMCS_ENTRY_MSR_LOAD_COUNT);
	if (proc & PROC_TPR_SHADOW)
		add(list, &n, vmcs_get(v, VMCS_VIRTUAL_APIC_ADDR), PAGE_SIZE, STRUCTURE_APIC, "the virtual-APIC page");
	if (posts(v))
		add(list, &n, vmcs_get(v, VMCS_PI_DESCRIPTOR), 64, STRUCTURE_APIC, "the posted-interrupt descriptor");
	c->watch->tables.structures(c, list, n);
	c->watch->entered(c);
}
