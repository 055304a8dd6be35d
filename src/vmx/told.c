/*
 * A VM exit in words, from its qualification and, where the processor is at hand, the other fields that it filled. "Exit
 * Qualification", "Information for VM Exits Due to Vectored Events", "Information for VM Exits That Occur During Event
 * Delivery".
 */
#include <inttypes.h>

#include "arch/names.h"
#include "cpu/control/msr.h"
#include "vmx/vmx.h"

static void say_list(struct words *w, u64 value, const char *const name[], unsigned count)
{
	const char *sep = "";

	for (unsigned n = 0; n < count; n++) {
		if (!(value >> n & 1) || !name[n])
			continue;
		words_add(w, "%s%s", sep, name[n]);
		sep = ", ";
	}
}

/* ---- one reason each: q is the exit qualification ---- */

static void switch_task(struct words *w, u64 q)
{
	static const char *const by[] = {"CALL", "IRET", "JMP", "a task gate"};

	words_add(w, "to selector 0x%04x by %s", (unsigned)(q & 0xffff), by[bits(q, 31, 30)]);
}

static void cr_access(struct words *w, u64 q)
{
	switch (bits(q, 5, 4)) {
	case 0: words_add(w, "MOV CR%u, %s", (unsigned)(q & 15), arch_gpr_names[bits(q, 11, 8)]); break;
	case 1: words_add(w, "MOV %s, CR%u", arch_gpr_names[bits(q, 11, 8)], (unsigned)(q & 15)); break;
	case 2: words_add(w, "CLTS"); break;
	default: words_add(w, "LMSW 0x%04x%s", (unsigned)bits(q, 31, 16), q & BIT(6) ? " from memory" : "");
	}
}

static void dr_access(struct words *w, u64 q)
{
	if (q & BIT(4))
		words_add(w, "MOV %s, DR%u", arch_gpr_names[bits(q, 11, 8)], (unsigned)(q & 7));
	else
		words_add(w, "MOV DR%u, %s", (unsigned)(q & 7), arch_gpr_names[bits(q, 11, 8)]);
}

static void io(struct words *w, u64 q)
{
	words_add(w, "%s%s%s of %u byte%s at port 0x%x", q & BIT(5) ? "REP " : "", q & BIT(3) ? "IN" : "OUT", q & BIT(4) ? "S" : "",
	    (unsigned)(q & 7) + 1, q & 7 ? "s" : "", (unsigned)bits(q, 31, 16));
}

static void apic_access(struct words *w, u64 q)
{
	static const char *const how[16] = {"read", "write", "fetch", "read during event delivery", "write by a monitor",
	                                    [10] = "access during event delivery", [15] = "access by a guest-physical address"};
	const char *what = how[bits(q, 15, 12)];

	words_add(w, "%s at offset 0x%x", what ? what : "access", (unsigned)(q & 0xfff));
}

static void ept_violation(struct words *w, u64 q)
{
	static const char *const did[] = {"read", "write", "fetch"}, *const may[] = {"read", "write", "execute"};

	say_list(w, q & 7, did, 3);
	if (q & BIT(7))
		words_add(w, "%s", q & BIT(8) ? "" : " of a paging structure");
	words_add(w, ", entry allows ");
	if (bits(q, 5, 3))
		say_list(w, bits(q, 5, 3), may, 3);
	else
		words_add(w, "nothing");
}

static void by_reason(struct words *w, unsigned reason, u64 q)
{
	switch (reason) {
	case 4: words_add(w, "vector 0x%02x", (unsigned)(q & 0xff)); break;
	case 5:
	case 30: io(w, q); break;
	case 9: switch_task(w, q); break;
	case 14: words_add(w, "address 0x%" PRIx64, q); break;
	case 28: cr_access(w, q); break;
	case 29: dr_access(w, q); break;
	case 33:
	case 34: words_add(w, q ? "qualification %" PRIu64 : "", q); break;
	case 36: words_add(w, q & 1 ? "armed" : "not armed"); break;
	case 44: apic_access(w, q); break;
	case 45: words_add(w, "vector 0x%02x", (unsigned)(q & 0xff)); break;
	case 48: ept_violation(w, q); break;
	case 54: words_add(w, q & 1 ? "WBNOINVD" : ""); break;
	case 56: words_add(w, "offset 0x%x", (unsigned)(q & 0xfff)); break;
	default: break;
	}
}

/* ---- what the processor still has ---- */

static void registers(struct words *w, const struct cpu *c, unsigned reason)
{
	switch (reason) {
	case 10: words_add(w, "leaf 0x%x, subleaf 0x%x", (u32)c->r[REG_RAX], (u32)c->r[REG_RCX]); break;
	case 18: words_add(w, "RAX 0x%" PRIx64, c->r[REG_RAX]); break;
	case 31:
	case 32: msr_words(w, c, (u32)c->r[REG_RCX]); break;
	case 55: words_add(w, "XCR%u = 0x%x%08x", (u32)c->r[REG_RCX], (u32)c->r[REG_RDX], (u32)c->r[REG_RAX]); break;
	default: break;
	}
}

static struct event event_of(const struct vmx *v, u32 info, u32 error)
{
	const u64 word = vmcs_get(v, info);

	return word & BIT(31) ? vmx_event_from_info(word, (u32)vmcs_get(v, error), 0) : (struct event){.type = EV_NONE};
}

static void addresses(struct exit_told *o, const struct vmx *v, unsigned reason, u64 q)
{
	o->has_gpa = reason == 48 || reason == 49 || reason == 62 || reason == 66;
	o->gpa = o->has_gpa ? vmcs_get(v, VMCS_GUEST_PHYSICAL) : 0;
	o->has_linear = reason == 48 && (q & BIT(7));
	o->linear = o->has_linear ? vmcs_get(v, VMCS_GUEST_LINEAR) : 0;
}

void vmx_exit_told(const struct cpu *c, const struct exit_record *x, struct exit_told *o)
{
	const unsigned reason = (unsigned)(x->code & 0xffff);
	struct words text = {o->text, sizeof(o->text), 0}, *w = &text;

	*o = (struct exit_told){.text = ""};
	by_reason(w, reason, x->info[0]);
	if (!c || (x->code & BIT(31)))
		return;

	const struct vmx *v = vmx_of(c);

	registers(w, c, reason);
	addresses(o, v, reason, x->info[0]);
	o->event = event_of(v, VMCS_EXIT_INTR_INFO, VMCS_EXIT_INTR_ERROR);
	o->vectoring = event_of(v, VMCS_IDT_VECTORING, VMCS_IDT_VECTORING_ERROR);
	if (o->event.type == EV_HW && (o->event.vector == EX_PF || o->event.vector == EX_DB))
		o->event.payload = x->info[0];
}

bool vmx_exit_at(size_t n, u64 *code, const char **name)
{
	for (u64 reason = 0; reason < VMX_REASONS; reason++) {
		if (!vmx_exit_rows[reason].name || n--)
			continue;
		*code = reason;
		*name = vmx_exit_rows[reason].name;
		return true;
	}
	return false;
}
