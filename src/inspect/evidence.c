/*
 * What is left when a processor shuts down: the exceptions that led there, the page walk, where it was, what came
 * before. Called while all state is still intact; reads everything without side effects.
 */
#include "cpu/decode/decode.h"
#include "inspect/parts.h"

#include <inttypes.h>


const char *evidence_mode(const struct cpu *c)
{
	if (real_mode(c))
		return "real mode";
	if (v86_mode(c))
		return "virtual-8086 mode";
	if (mode64(c))
		return "64-bit mode";
	if (c->mode & MODE_LMA)
		return "compatibility mode";
	return (c->mode & MODE_SIZE) == MODE_32 ? "32-bit protected mode" : "16-bit protected mode";
}

size_t evidence_bytes(struct cpu *c, la_t la, u8 *buf, size_t n)
{
	size_t done = 0;
	pa_t pa;

	while (done < n && mmu_peek(c, la + done, &pa)) {
		size_t piece = min_u64(n - done, PAGE_SIZE - (pa & ~PAGE_MASK));
		u64 room;
		const u8 *host = space_memory(cpu_sees(c), pa, USE_READ, &room);
		if (!host)
			break; /* reading a device could change it */
		memcpy(buf + done, host, piece);
		done += piece;
	}
	return done;
}

/* ---- exceptions and their error codes ---- */

/* "Page-Fault Exception (#PF)", error code. */
static void page_fault(const struct event *e, struct text *t)
{
	text_add(t, " (%s%s, %s", e->error & PF_U ? "user " : "",
	         e->error & PF_I   ? "fetch"
	         : e->error & PF_W ? "write"
	                           : "read",
	         e->error & PF_RSV  ? "reserved bit"
	         : e->error & PF_PK ? "protection key"
	         : e->error & PF_P  ? "protection"
	                            : "not present");
	text_add(t, "), CR2 %s", hex(e->payload, 0).s);
}

/* The descriptor of an interrupt gate as it lies in the IDT, or why there is none. */
static void gate(struct cpu *c, unsigned vector, struct text *t)
{
	unsigned size = long_mode(c) ? 16 : 8, off = vector * size;
	u64 desc = 0;

	if (off + size - 1 > c->idtr.limit) {
		text_add(t, "gate at IDT+0x%x..0x%x, IDTR limit 0x%x", off, off + size - 1, c->idtr.limit);
		return;
	}
	if (evidence_bytes(c, c->idtr.base + off, (u8 *)&desc, 8) != 8)
		text_add(t, "gate at IDT+0x%x, linear %s, not mapped", off, hex(c->idtr.base + off, 0).s);
	else
		text_add(t, "gate at IDT+0x%x = %s: P %u, DPL %u, S %u, type %u, selector 0x%04x", off, hex(desc, 8).s,
		         (unsigned)bits(desc, 47, 47), (unsigned)bits(desc, 46, 45), (unsigned)bits(desc, 44, 44),
		         (unsigned)bits(desc, 43, 40), (unsigned)bits(desc, 31, 16));
}

/* "Error Code": EXT, IDT, TI, index. */
static void selector_error(struct cpu *c, u32 error, struct text *t)
{
	if (error & 2)
		gate(c, (u8)(error >> 3), t);
	else
		text_add(t, "%s selector 0x%04x", error & 4 ? "LDT" : "GDT", error & 0xfff8);
}

static bool names_selector(unsigned vector)
{
	return vector == EX_TS || vector == EX_NP || vector == EX_SS || vector == EX_GP;
}

/* An interrupt or a software event, which has no error code. */
static void other_event(const struct event *e, struct text *t)
{
	switch (e->type) {
	case EV_EXT: text_add(t, "external interrupt 0x%02x", e->vector); break;
	case EV_NMI: text_add(t, "NMI"); break;
	case EV_SW: text_add(t, "INT 0x%02x", e->vector); break;
	case EV_PRIVSW: text_add(t, "INT1"); break;
	case EV_SWEX: text_add(t, e->vector == EX_BP ? "INT3" : "INTO"); break;
	default: text_add(t, "event of type %u, vector 0x%02x", e->type, e->vector);
	}
}

void evidence_event(struct cpu *c, const struct event *e, const struct event *delivering, struct text *t)
{
	if (e->type != EV_HW) {
		other_event(e, t);
		return;
	}
	text_add(t, "%s", arch_exceptions[e->vector & 31].name);
	if (e->has_error)
		text_add(t, ", error 0x%x", e->error);
	if (e->vector == EX_PF)
		page_fault(e, t);
	if (e->vector == EX_SX && e->error == SX_INIT)
		text_add(t, ", INIT redirected");
	if (e->vector == EX_DB)
		text_add(t, ", DR6 bits %s", hex(e->payload, 0).s);
	if (delivering && delivering->type != EV_NONE) {
		text_add(t, ", delivering ");
		if (delivering->type == EV_HW)
			text_add(t, "%s", arch_exceptions[delivering->vector & 31].name);
		else
			other_event(delivering, t);
	}
	if (e->has_error && names_selector(e->vector) && e->error & ~1u) {
		text_add(t, ": ");
		selector_error(c, e->error, t);
	}
}

/* ---- the chain ---- */

/* Where a table's entry lies in memory, whatever stages lead there. false: nowhere. */
static bool entry_place(struct cpu *c, bool guest_physical, u64 addr, pa_t *pa)
{
	const struct stage2_req q = {.gpa = addr, .why = S2_TABLE, .access = ACC_READ, .peek = true};
	struct stage2_res r = {.pa = addr};

	if (guest_physical && c->stage2 && c->virt->memory.stage2(c, &q, &r) != XR_OK)
		return false;
	*pa = r.pa;
	return true;
}

/* With --explain=all, who wrote each entry. */
static void walk_writers(struct inspect *i, struct cpu *c, bool guest_physical, const struct walk_step *step, unsigned n,
                         struct text *t)
{
	for (unsigned k = 0; i->writers && k < n; k++) {
		struct origin o;
		struct text v = {0};
		pa_t pa;

		if (!entry_place(c, guest_physical, step[k].addr, &pa) || !writers_find(i->writers, pa, &o))
			continue;
		text_add(&v, "%s at %s: ", step[k].name, hex(step[k].addr, 0).s);
		explain_origin(i, c, &o, &v);
		text_label(t, "set", "%s", text_str(&v));
		text_free(&v);
	}
}

/* The entries of a walk behind what it began with; the last one with its place. */
static void walk_line(const struct walk_step *step, unsigned n, struct text *v, struct text *t)
{
	for (unsigned k = 0; k + 1 < n; k++)
		text_add(v, ", %s %s", step[k].name, hex(step[k].value, 0).s);
	text_add(v, ", %s at %s = %s", step[n - 1].name, hex(step[n - 1].addr, 0).s, hex(step[n - 1].value, 0).s);
	text_label(t, "walk", "%s", text_str(v));
	text_free(v);
}

/* With a second stage: how that leads to the last entry, too. */
static void walk(struct inspect *i, struct cpu *c, la_t la, struct text *t)
{
	struct walk_step step[8], second[8];
	unsigned n = c->cr0 & CR0_PG ? mmu_walk_steps(c, la, step, ARRAY_LEN(step)) : 0, more = 0;
	gpa_t gpa = n ? step[n - 1].addr : la;
	struct text v = {0};

	if (n) {
		text_add(&v, "CR3 %s", hex(c->cr3, 0).s);
		walk_line(step, n, &v, t);
		walk_writers(i, c, true, step, n, t);
	}
	if (c->stage2)
		more = c->virt->memory.steps(c, gpa, second, ARRAY_LEN(second));
	if (!more)
		return;
	text_add(&v, "second stage of %s", hex(gpa, 0).s);
	walk_line(second, more, &v, t);
	walk_writers(i, c, false, second, more, t);
}

/* What was being delivered when chain[n] arose: the exceptions before it, combined as the manual says. */
static struct event delivered_at(const struct cpu *c, unsigned n)
{
	if (n == 0)
		return c->chain_from;
	if (n == 2)
		return (struct event){.type = EV_HW, .vector = EX_DF, .has_error = true};
	return c->chain[n - 1];
}

static bool died_of_faults(const struct cpu *c)
{
	return c->chain_n >= ARRAY_LEN(c->chain);
}

static void chain(struct inspect *i, struct cpu *c, struct text *t)
{
	static const char *const label[] = {"first", "second", "third"};
	u64 walked = 0;
	bool any = false;

	for (unsigned n = 0; n < c->chain_n && n < ARRAY_LEN(label); n++) {
		const struct event *e = &c->chain[n], from = delivered_at(c, n);
		struct text v = {0};

		evidence_event(c, e, &from, &v);
		text_label(t, label[n], "%s", text_str(&v));
		text_free(&v);
		bool fault = e->type == EV_HW && e->vector == EX_PF;
		if (fault && (!any || (e->payload & PAGE_MASK) != walked))
			walk(i, c, e->payload, t);
		walked = fault ? e->payload & PAGE_MASK : walked;
		any |= fault;
	}
}

/* ---- what a person would want to know ---- */

static void note_idt(const struct cpu *c, struct text *t)
{
	if (c->guest && c->idtr.limit < 8)
		text_label(t, "note", "the guest's IDT is empty (limit 0x%x)", c->idtr.limit);
	else if (!c->lidt && !c->guest)
		text_label(t, "note", "no LIDT since reset");
	else if (c->idtr.limit < 8 && !c->guest)
		text_label(t, "note", "LIDT set an empty IDT (limit 0x%x): software that wants a reset does this",
		           c->idtr.limit);
}

/* Delivery pushes below the stack pointer: a fault there is a stack that ran out or never was. */
static void note_stack(const struct cpu *c, struct text *t)
{
	for (unsigned n = 1; n < c->chain_n; n++) {
		const struct event *e = &c->chain[n];
		u64 sp = c->r[REG_RSP];
		bool near = e->vector == EX_PF && sp - e->payload <= 128;
		if (!near && e->vector != EX_SS)
			continue;
		text_label(t, "note",
		           "delivery pushes onto the stack at RSP %s, which is not usable: overflow, or never set up?",
		           hex(sp, 0).s);
		return;
	}
}

/* RSM met a save-state map that it refuses. */
static void refused_rsm(const struct rsm_refused *r, struct text *t)
{
	text_label(t, "check", "%s", r->check);
	text_label(t, "rule", "%s", r->rule);
	if (r->field)
		text_label(t, "field", "%s (SMRAM 0x%" PRIx64 ") = %s", r->field, r->at, hex(r->value, r->width).s);
	text_label(t, "manual", "%s", r->manual);
}

static void notes(const struct cpu *c, struct text *t)
{
	const char *block = c->virt->block;

	if (!died_of_faults(c)) {
		if (c->rsm.check)
			refused_rsm(&c->rsm, t);
		else
			text_label(t, "note", "a VM exit could not load the monitor's state (%s %s)", block,
			           hex(guest_block(c), 0).s);
	}
	if (!c->gif)
		text_label(t, "note", "GIF is 0: nothing but RESET restarts this processor");
	if (c->guest)
		text_label(t, "note", "in the guest of %s %s, whose shutdown is not intercepted", block,
		           hex(guest_block(c), 0).s);
}

/* ---- where, and what came before ---- */

/* "name+0x12", or the address itself. */
static void place(struct inspect *i, struct cpu *c, u64 rip, char *out, size_t len)
{
	inspect_place(i, c, linear_rip(c, rip), out, len);
	if (!out[0])
		snprintf(out, len, "0x%" PRIx64, rip);
}

static void at(struct inspect *i, struct cpu *c, struct text *t)
{
	u64 rip = rip_now(c);
	u8 code[15];
	size_t n = evidence_bytes(c, linear_rip(c, rip), code, sizeof(code));
	char name[PLACE_SIZE], text[128];

	inspect_place(i, c, linear_rip(c, rip), name, sizeof(name));
	disassemble(c, rip, code, n, text, sizeof(text));
	text_label(t, "at", "%s%srip 0x%" PRIx64 ", %s", name, name[0] ? ", " : "", rip,
	           text[0] ? text
	           : n     ? "bytes that are no instruction"
	                   : "where no instruction can be read");
}

static unsigned kept(u32 count, size_t room)
{
	return count < room ? count : (unsigned)room;
}

static void from(struct inspect *i, struct cpu *c, struct text *t)
{
	enum { SHOWN = 3 };
	unsigned branches = kept(c->lastbr_n, ARRAY_LEN(c->lastbr)),
	         exits = kept(c->lastexit_n, ARRAY_LEN(c->lastexit));
	unsigned n = branches < SHOWN ? branches : SHOWN;
	struct text v = {0};
	char name[PLACE_SIZE];

	for (unsigned k = n; k > 0; k--) {
		place(i, c, c->lastbr[(c->lastbr_n - k) % ARRAY_LEN(c->lastbr)].from, name, sizeof(name));
		text_add(&v, "%s%s", name, k > 1 ? ", " : " ");
	}
	text_label(t, "from", "%s(%u branch%s, %u exit%s and registers below)", text_str(&v), branches,
	           branches == 1 ? "" : "es", exits, exits == 1 ? "" : "s");
	text_free(&v);
}

static void branch(struct inspect *i, struct cpu *c, const struct branch_record *r, unsigned times, struct text *t)
{
	char from_name[PLACE_SIZE], to_name[PLACE_SIZE], again[24] = "";

	if (times > 1)
		snprintf(again, sizeof(again), ", %u times", times);
	inspect_place(i, c, linear_rip(c, r->from), from_name, sizeof(from_name));
	inspect_place(i, c, linear_rip(c, r->to), to_name, sizeof(to_name));
	text_label(t, "branch", "0x%" PRIx64 "%s%s to 0x%" PRIx64 "%s%s%s", r->from, from_name[0] ? " " : "", from_name,
	           r->to, to_name[0] ? " " : "", to_name, again);
}

/* Oldest first; a loop's are one line. */
static void branches(struct inspect *i, struct cpu *c, struct text *t)
{
	unsigned times = 1;

	for (unsigned k = kept(c->lastbr_n, ARRAY_LEN(c->lastbr)); k > 0; k--) {
		const struct branch_record *r = &c->lastbr[(c->lastbr_n - k) % ARRAY_LEN(c->lastbr)];
		const struct branch_record *next = &c->lastbr[(c->lastbr_n - k + 1) % ARRAY_LEN(c->lastbr)];
		if (k > 1 && next->from == r->from && next->to == r->to) {
			times++;
			continue;
		}
		branch(i, c, r, times, t);
		times = 1;
	}
}

static void registers(struct cpu *c, struct text *t)
{
	static const char name[16][4] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
	                                 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
	static const u8 slot[16] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
	                            8,       9,       10,      11,      12,      13,      14,      15};

	for (unsigned k = 0; k < 16; k += 4)
		text_add(t, "  %-3s %s  %-3s %s  %-3s %s  %-3s %s\n", name[k], hex(c->r[slot[k]], 8).s, name[k + 1],
		         hex(c->r[slot[k + 1]], 8).s, name[k + 2], hex(c->r[slot[k + 2]], 8).s, name[k + 3],
		         hex(c->r[slot[k + 3]], 8).s);
	text_add(t, "  rip %s  rflags %s  cr0 %s  cr2 %s\n", hex(rip_now(c), 8).s, hex(flags_get(c), 4).s,
	         hex(c->cr0, 4).s, hex(c->cr2, 8).s);
	text_add(t, "  cr3 %s  cr4 %s  efer %s  dr6 %s  dr7 %s\n", hex(c->cr3, 8).s, hex(c->cr4, 4).s,
	         hex(c->efer, 4).s, hex(c->dr6, 4).s, hex(c->dr7, 4).s);
}

static void segments(const struct cpu *c, struct text *t)
{
	static const char name[SEG_COUNT][5] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

	for (unsigned n = 0; n < SEG_COUNT; n++)
		text_add(t, "  %-4s %s  base %s  limit %s  access rights %s%s\n", name[n], hex(c->seg[n].sel, 2).s,
		         hex(c->seg[n].base, 8).s, hex(c->seg[n].limit, 4).s, hex(c->seg[n].ar & 0xffff, 2).s,
		         c->seg[n].ar & AR_UNUSABLE ? ", unusable" : "");
	text_add(t, "  gdtr         base %s  limit %s\n", hex(c->gdtr.base, 8).s, hex(c->gdtr.limit, 2).s);
	text_add(t, "  idtr         base %s  limit %s\n", hex(c->idtr.base, 8).s, hex(c->idtr.limit, 2).s);
}

/* ---- a guest's control block ---- */

static const char *const part_names[BLOCK_PARTS] = {"ctrl", "guest", "host", "exit"};

/* The fields of one part that are not 0. */
static void block_part(const struct block_field *f, size_t count, unsigned part, struct text *t)
{
	struct text v = {0};

	for (size_t n = 0; n < count; n++)
		if (f[n].part == part && f[n].value)
			text_add(&v, "%s%s = %s", v.n ? ", " : "", f[n].name, hex(f[n].value, f[n].width).s);
	if (v.n)
		text_label(t, part_names[part], "%s", text_str(&v));
	text_free(&v);
}

/* All fields of the guest that runs, or ran last; NULL: there has been none. */
static struct block_field *block_fields(const struct cpu *c, size_t *count)
{
	const size_t room = 512;
	struct block_field *f = NULL;

	if ((c->guest || c->exits) && guest_block(c) != UINT64_MAX)
		f = base_alloc(room * sizeof(*f));
	*count = f ? c->virt->fields(c, f, room) : 0;
	return f;
}

static void control_block(const struct cpu *c, struct text *t)
{
	size_t count;
	struct block_field *f = block_fields(c, &count);

	if (count)
		text_add(t, "  %s %s, fields that are not 0\n", c->virt->block, hex(guest_block(c), 0).s);
	for (unsigned part = 0; part < BLOCK_PARTS && count; part++)
		block_part(f, count, part, t);
	base_free(f);
}

/* ---- one line of where a processor is ---- */

/* What it does there: asleep, with what may wake it, or nothing worth a word. */
static const char *doing(const struct cpu *c)
{
	switch (c->activity) {
	case ACT_RUN: return "";
	case ACT_WAIT_SIPI: return ", waits for SIPI";
	case ACT_SHUTDOWN: return c->gif ? ", shut down" : ", shut down with GIF 0";
	case ACT_OFF: return ", off";
	default:
		return !c->gif ? ", halted with GIF 0" : c->rflags & FL_IF ? ", halted" : ", halted with interrupts off";
	}
}

void inspect_where(struct inspect *i, FILE *f)
{
	for (unsigned k = 0; k < i->m->count; k++) {
		struct cpu *c = i->m->cpus[k];
		struct text t = {0};
		char name[PLACE_SIZE];

		inspect_place(i, c, linear_rip(c, c->r[REG_RIP]), name, sizeof(name));
		text_label(&t, "at", "%s%srip 0x%" PRIx64 ", cpu %u, insn %s, %s, CPL %u%s%s%s%s%s", name,
		           name[0] ? ", " : "", c->r[REG_RIP], c->index, commas(c->insns).s, evidence_mode(c), c->cpl,
		           c->guest   ? ", in the guest of "
		           : c->exits ? ", in the monitor"
		                      : "",
		           c->guest ? c->virt->block : "", c->guest ? " " : "",
		           c->guest ? hex(guest_block(c), 0).s : "", doing(c));
		fputs(text_str(&t), f);
		text_free(&t);
	}
}

/* ---- the block ---- */

/* What happens next; the statuses are the command line's. */
static const char *outcome(const struct inspect *i)
{
	if (!i->m->cfg.triple_fault_resets)
		return "status 4";
	return i->m->cfg.no_reboot ? "a reset, which ends the run" : "the machine resets";
}

/* What led to the end. */
static void faults(struct inspect *i, struct cpu *c, struct text *t)
{
	if (!died_of_faults(c))
		return;
	chain(i, c, t);
	note_idt(c, t);
	note_stack(c, t);
}

static void before(struct inspect *i, struct cpu *c, struct text *t)
{
	branches(i, c, t);
	ring_recent(c, t);
	registers(c, t);
	segments(c, t);
}

void evidence_block(struct inspect *i, struct cpu *c, struct text *t)
{
	text_add(t, "%s: cpu %u shut down, %s, CPL %u, insn %s; %s\n",
	         died_of_faults(c) ? "triple fault"
	         : c->rsm.check    ? "RSM refused"
	                           : "shutdown",
	         c->index, evidence_mode(c), c->cpl, commas(c->insns).s, outcome(i));
	faults(i, c, t);
	notes(c, t);
	at(i, c, t);
	from(i, c, t);
	before(i, c, t);
	control_block(c, t);
}

void evidence_cause(struct cpu *c, struct text *t)
{
	if (died_of_faults(c))
		evidence_event(c, &c->chain[0], NULL, t);
}

void evidence_guest(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	text_add(t, "%s: %s %s, cpu %u, %s, CPL %u, insn %s\n", r->event, c->virt->block, hex(guest_block(c), 0).s,
	         c->index, evidence_mode(c), c->cpl, commas(insn_number(c)).s);
	faults(i, c, t);
	at(i, c, t);
	from(i, c, t);
	text_label(t, "then", "%s", r->then);
	before(i, c, t);
}

static void json_block(const struct cpu *c, struct text *t)
{
	size_t count;
	struct block_field *f = block_fields(c, &count);

	if (count)
		text_add(t, ",\"block\":\"0x%" PRIx64 "\",\"fields\":[", guest_block(c));
	for (size_t n = 0; n < count; n++) {
		text_add(t, "%s{\"part\":\"%s\",\"name\":", n ? "," : "", part_names[f[n].part]);
		text_json(t, f[n].name);
		text_add(t, ",\"value\":\"%s\"}", hex(f[n].value, f[n].width).s);
	}
	text_add(t, "%s", count ? "]" : "");
	base_free(f);
}

void evidence_chain_json(const struct cpu *c, struct text *t)
{
	text_add(t, ",\"chain\":[");
	for (unsigned n = 0; died_of_faults(c) && n < ARRAY_LEN(c->chain); n++)
		text_add(t, "%s{\"vector\":%u,\"error\":%u,\"address\":\"0x%" PRIx64 "\"}", n ? "," : "",
		         c->chain[n].vector, c->chain[n].error, c->chain[n].payload);
	text_add(t, "]");
}

void evidence_json(struct inspect *i, struct cpu *c, struct text *t)
{
	char name[PLACE_SIZE];

	inspect_place(i, c, linear_rip(c, rip_now(c)), name, sizeof(name));
	text_add(t,
	         "{\"event\":\"death\",\"cpu\":%u,\"insn\":%" PRIu64 ",\"mode\":\"%s\",\"cpl\":%u,\"rip\":\"0x%" PRIx64
	         "\",\"place\":",
	         c->index, c->insns, evidence_mode(c), c->cpl, rip_now(c));
	text_json(t, name);
	evidence_chain_json(c, t);
	if (c->rsm.check)
		text_add(t, ",\"check\":\"%s\",\"value\":\"%s\"", c->rsm.check, hex(c->rsm.value, c->rsm.width).s);
	json_block(c, t);
	text_add(t, "}");
}
