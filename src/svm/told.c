/*
 * An exit in words, from EXITINFO1 and EXITINFO2 and, where the processor is at hand, its registers and EXITINTINFO.
 * "SVM Intercept Exit Codes", "Exception Intercepts", "Instruction Intercepts".
 */
#include <inttypes.h>

#include "arch/names.h"
#include "cpu/control/msr.h"
#include "svm/svm.h"

static void io(struct words *w, u64 info)
{
	const unsigned size = (unsigned)bits(info, 6, 4);

	words_add(w, "%s%s%s of %u byte%s at port 0x%x", info & BIT(3) ? "REP " : "", info & BIT(0) ? "IN" : "OUT",
	    info & BIT(2) ? "S" : "", size, size > 1 ? "s" : "", (unsigned)bits(info, 31, 16));
}

static void switch_task(struct words *w, u64 info1, u64 info2)
{
	words_add(w, "to selector 0x%04x by %s", (unsigned)(info1 & 0xffff),
	    info2 & BIT(36)   ? "IRET"
	    : info2 & BIT(38) ? "a far jump"
	                      : "a far call or a task gate");
	if (info2 & BIT(44))
		words_add(w, ", error code 0x%x", (unsigned)info2);
}

/* Bits 31:0 are a page fault's error code; 32: the guest's own address, 33: one of its paging structures. */
static void nested_fault(struct words *w, u64 info)
{
	words_add(w, "%s%s, %s", info & PF_I ? "fetch" : info & PF_W ? "write" : "read",
	    info & BIT(33) ? " of a paging structure" : "",
	    info & PF_RSV  ? "reserved bit"
	    : info & PF_P  ? "protection"
	                   : "not present");
}

static void register_access(struct words *w, const struct exit_record *x)
{
	if (x->info[0] & BIT(63) || x->code >= 0x20)
		words_add(w, "%s", arch_gpr_names[x->info[0] & 15]);
}

static void acceleration(struct words *w, const struct exit_record *x)
{
	if (x->code == EXITCODE_AVIC_INCOMPLETE_IPI)
		words_add(w, "ICR 0x%" PRIx64 ", reason %u", x->info[0], (unsigned)(x->info[1] >> 32));
	else
		words_add(w, "%s at offset 0x%x, vector 0x%02x", x->info[0] & BIT(32) ? "write" : "read", (unsigned)(x->info[0] & 0xff0),
		    (unsigned)(x->info[1] & 0xff));
}

static void by_code(struct words *w, const struct exit_record *x)
{
	const u64 info = x->info[0];

	if (x->code < 0x40) {
		register_access(w, x);
		return;
	}
	switch (x->code) {
	case 0x75: words_add(w, "vector 0x%02x", (unsigned)(info & 0xff)); break;
	case 0x79: words_add(w, "address 0x%" PRIx64, info); break;
	case 0x7b: io(w, info); break;
	case 0x7c: words_add(w, info & 1 ? "WRMSR" : "RDMSR"); break;
	case 0x7d: switch_task(w, info, x->info[1]); break;
	case EXITCODE_NPF: nested_fault(w, info); break;
	case EXITCODE_AVIC_INCOMPLETE_IPI:
	case EXITCODE_AVIC_NOACCEL: acceleration(w, x); break;
	default: break;
	}
}

/* "EXITINFO1": the error code of those exceptions that have one; EXITINFO2: the address of a page fault. */
static struct event exception(const struct exit_record *x)
{
	const u8 vector = (u8)(x->code - 0x40) & 31;
	struct event e = {.type = EV_HW, .vector = vector, .has_error = arch_exceptions[vector].has_error};

	if (x->code == 0x61)
		return (struct event){.type = EV_NMI, .vector = EX_NMI};
	if (x->code < 0x40 || x->code > 0x5f)
		return (struct event){.type = EV_NONE};
	if (vector == EX_NMI)
		return e;
	e.error = e.has_error ? (u32)x->info[0] : 0;
	e.payload = vector == EX_PF ? x->info[1] : 0;
	return e;
}

static void registers(struct words *w, const struct cpu *c, u64 code)
{
	switch (code) {
	case 0x72: words_add(w, "leaf 0x%x, subleaf 0x%x", (u32)c->r[REG_RAX], (u32)c->r[REG_RCX]); break;
	case 0x7c:
		words_add(w, " ");
		msr_words(w, c, (u32)c->r[REG_RCX]);
		break;
	case 0x81: words_add(w, "RAX 0x%" PRIx64, c->r[REG_RAX]); break;
	case 0x8d: words_add(w, "XCR%u = 0x%x%08x", (u32)c->r[REG_RCX], (u32)c->r[REG_RDX], (u32)c->r[REG_RAX]); break;
	default: break;
	}
}

static u64 exitintinfo(const struct cpu *c)
{
	u64 left, word = 0;
	const pa_t at = cpu_phys(c, svm_of(c)->vmcb_pa) + offsetof(struct vmcb_page, control.exitintinfo);
	const u8 *host = space_memory(cpu_sees(c), at, USE_READ, &left);

	if (host)
		memcpy(&word, host, sizeof(word));
	return word;
}

void svm_exit_told(const struct cpu *c, const struct exit_record *x, struct exit_told *o)
{
	struct words text = {o->text, sizeof(o->text), 0}, *w = &text;

	*o = (struct exit_told){.text = ""};
	if (x->code == EXITCODE_INVALID)
		return;
	by_code(w, x);
	o->event = exception(x);
	o->has_gpa = x->code == EXITCODE_NPF;
	o->gpa = o->has_gpa ? x->info[1] : 0;
	if (!c)
		return;
	registers(w, c, x->code);
	const u64 word = exitintinfo(c);
	if (word & INTINFO_V)
		o->vectoring = svm_event_from_intinfo(word, 0);
}

bool svm_exit_at(size_t n, u64 *code, const char **name)
{
	static const u64 beyond[] = {EXITCODE_NPF, EXITCODE_AVIC_INCOMPLETE_IPI, EXITCODE_AVIC_NOACCEL, EXITCODE_PML_FULL,
	                             EXITCODE_INVALID};

	for (u64 k = 0; k < SVM_EXIT_ROWS + ARRAY_LEN(beyond); k++) {
		const u64 at = k < SVM_EXIT_ROWS ? k : beyond[k - SVM_EXIT_ROWS];
		const struct svm_exit_row *row = svm_exit_row(at);

		if (!row || n--)
			continue;
		*code = at;
		*name = row->name;
		return true;
	}
	return false;
}
