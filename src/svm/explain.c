/*
 * What failed, in words: a refused VMRUN from the row of its check, a #VMEXIT that could not load the host, reserved bits
 * that a nested walk met. hooks->refused prints it, or keeps it.
 */
#include "svm/svm.h"

#include "arch/names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static u64 memory_value(struct cpu *c, pa_t pa, const struct vmcb_field *f)
{
	u64 value = 0;

	cpu_read(c, BY_VIRT, pa + f->offset, &value, f->width);
	return value;
}

static void printf_like(3, 4) add_line(struct refusal *r, const char *label, const char *fmt, ...)
{
	va_list ap;

	if (r->lines == ARRAY_LEN(r->line))
		return;
	r->line[r->lines].label = label;
	va_start(ap, fmt);
	vsnprintf(r->line[r->lines].text, sizeof(r->line[0].text), fmt, ap);
	va_end(ap);
	r->lines++;
}

/* ---- a refused VMRUN ---- */

/* The first field says which VMCB it is. */
static void show_field(struct cpu *c, const struct svm_image *v, const struct svm_check *k, unsigned offset, struct check_field *f)
{
	const struct vmcb_field *row = vmcb_field_at(offset);
	struct words w = {f->decoded, sizeof(f->decoded), 0};

	*f = (struct check_field){.name = row->name, .value = svm_field_value(v, offset), .keyed = true, .key = offset};
	if (offset == k->field[0])
		words_add(&w, "VMCB 0x%" PRIx64 "; ", svm_of(c)->vmcb_pa);
	svm_decode_field(w.s + w.n, w.size - w.n, v, k, offset);
	if (w.n && !w.s[w.n])
		w.s[w.n - 2] = 0; /* the number says all */
	svm_origin(c, v, row, &f->set);
}

/* "VMCB Clean Bits": the processor's copy counted, and memory says something else. */
static void note_clean(struct cpu *c, const struct svm_image *v, pa_t pa, struct refusal *r, unsigned offset)
{
	const struct vmcb_field *f = vmcb_field_at(offset);
	const u64 memory = memory_value(c, pa, f);

	if (f->clean == CLEAN_NEVER || !(v->control.clean >> f->clean & 1) || memory == svm_field_value(v, offset))
		return;
	add_line(r, "note", "clean bit %u (%s) is set, so the processor's copy of %s counts, not 0x%" PRIx64 " in memory", f->clean,
	         vmcb_clean_text(f->clean), f->name, memory);
}

/* What a check looks at beside the VMCB. */
static void show_more(struct cpu *c, const struct svm_image *v, const struct svm_check *k, struct refusal *r)
{
	if (k->field[0] == CTL_AT(nested_ctl)) {
		struct check_field *f = &r->field[r->fields++];
		struct words w = {f->decoded, sizeof(f->decoded), 0};

		*f = (struct check_field){.name = "host CR0", .value = v->env.host_cr0};
		arch_bits(&w, &arch_cr0_names, f->value, CR0_PG);
	}
	for (unsigned n = 0; n < 4 && k->field[0] == SAVE_AT(cr3); n++) {
		const u64 e = v->env.pdpte[n];

		if (svm_pdpe_wrong(e, v->env.phys_bits)) {
			struct words w;

			add_line(r, "walk", "PDPE %u at 0x%" PRIx64 " = 0x%" PRIx64 ": ", n, (v->save.cr3 & 0xffffffe0) + 8 * n, e);
			w = (struct words){r->line[r->lines - 1].text, sizeof(r->line[0].text), strlen(r->line[r->lines - 1].text)};
			arch_bit_list(&w, svm_pdpe_wrong(e, v->env.phys_bits));
			words_add(&w, " must be 0");
		}
	}
	(void)c;
}

/* Every other check that fails, each with its first field. */
static void list_others(struct refusal *r, const struct svm_image *v, const struct svm_check *first)
{
	struct words w = {r->also, sizeof(r->also), 0};

	for (const struct svm_check *k = svm_checks; (k = svm_check_next(v, k, ~0u)) != NULL; k++)
		if (k != first)
			words_add(&w, "%s%s: %s = 0x%" PRIx64, w.n ? ", " : "", k->id, vmcb_field_at(k->field[0])->name,
			          svm_field_value(v, k->field[0]));
	if (!w.n)
		words_add(&w, "none");
}

cold void svm_explain(struct cpu *c, const struct svm_image *v, const struct svm_check *first, pa_t pa, u64 rip)
{
	struct refusal r = {
	        .kind = REFUSAL_ENTRY,
	        .event = "VMRUN refused: #VMEXIT(VMEXIT_INVALID), EXITCODE 0xffffffffffffffff",
	        .check = first->id,
	        .rule = first->rule,
	        .manual = first->manual,
	        .then = "guest state in the VMCB unchanged; GIF 0",
	        .guest = pa,
	        .code = EXITCODE_INVALID,
	        .rip = rip,
	        .insn = c->insns,
	        .cpu = c->index,
	};

	if (!c->hooks->refused)
		return;
	for (; r.fields < SVM_CHECK_FIELDS && first->field[r.fields] != SVM_FIELDS_END; r.fields++)
		show_field(c, v, first, first->field[r.fields], &r.field[r.fields]);
	for (unsigned n = 0, fields = r.fields; n < fields && svm_of(c)->cached_pa == pa; n++)
		note_clean(c, v, pa, &r, first->field[n]);
	show_more(c, v, first, &r);
	list_others(&r, v, first);
	c->hooks->refused(c->hooks->arg, c, &r);
}

/* ---- #VMEXIT ---- */

const struct svm_paging_check svm_host_check = {
        "svm.host.pdpte.reserved", "reserved bits of the host's four PDPEs must be 0 when #VMEXIT reloads them", "APM 2 \"#VMEXIT\""};

/*
 * "#VMEXIT": illegal bits in the host's PDPEs, found when they are reloaded, shut the processor down. The rest of the
 * host's state comes from a copy that VMRUN took and is never illegal.
 */
cold void svm_explain_shutdown(struct cpu *c)
{
	static const char *const names[] = {"host PDPE 0", "host PDPE 1", "host PDPE 2", "host PDPE 3"};
	struct refusal r = {
	        .kind = REFUSAL_ABORT,
	        .event = "#VMEXIT failed: the processor shut down while it reloaded the host",
	        .check = svm_host_check.id,
	        .rule = svm_host_check.rule,
	        .manual = svm_host_check.manual,
	        .then = "shutdown; GIF 0",
	        .also = "none",
	        .guest = svm_of(c)->vmcb_pa,
	        .rip = c->r[REG_RIP],
	        .insn = c->insns,
	        .cpu = c->index,
	};

	if (!c->hooks->refused)
		return;
	for (unsigned n = 0; n < 4; n++) {
		const pa_t at = (c->cr3 & 0xffffffe0) + 8 * n;
		const u64 e = cpu_read_u64(c, BY_VIRT, at), wrong = svm_pdpe_wrong(e, c->phys_bits);
		struct check_field *f = &r.field[r.fields];
		struct words w = {f->decoded, sizeof(f->decoded), 0};

		if (!wrong)
			continue;
		*f = (struct check_field){.name = names[n], .value = e, .width = 8};
		arch_bit_list(&w, wrong);
		words_add(&w, " must be 0, at 0x%" PRIx64, at);
		svm_writer(c, at, &f->set);
		r.fields++;
	}
	r.field[r.fields++] = (struct check_field){.name = "host CR3", .value = c->cr3};
	c->hooks->refused(c->hooks->arg, c, &r);
}

/* ---- nested paging ---- */

/* clang-format off */
#define NPT "APM 2 \"Nested Paging\""
const struct svm_paging_check svm_paging_checks[] = {
	[SVM_ENTRY_NX]      = {"svm.npt.entry.nx", "bit 63 of a nested entry must be 0 while the host's EFER.NXE is 0", NPT},
	[SVM_ENTRY_ADDRESS] = {"svm.npt.entry.address", "a nested entry must have no bit between the physical address width and its rights", NPT},
	[SVM_ENTRY_SIZE]    = {"svm.npt.entry.page-size", "bit 7 must be 0 in a nested entry of a level that maps no pages", NPT},
	[SVM_ENTRY_PDPE]    = {"svm.npt.entry.pdpe", "bits 8:5 and 2:1 of a PDPE of legacy PAE paging must be 0", NPT},
	[SVM_ENTRY_LARGE]   = {"svm.npt.entry.large-page", "the address bits below the size of a large page must be 0", NPT},
	[SVM_ENTRY_OTHER]   = {"svm.npt.entry.upper", "bit 8 must be 0 in a nested entry of an upper level that points to a table", NPT},
};
static const struct bit_name entry_rows[] = {
	{0, 1, "P"}, {1, 1, "R/W"}, {2, 1, "U/S"}, {3, 1, "PWT"}, {4, 1, "PCD"}, {5, 1, "A"}, {6, 1, "D"}, {8, 1, "G"}, {63, 1, "NX"}};
/* clang-format on */
static const struct bit_names entry_names = {entry_rows, ARRAY_LEN(entry_rows)};

static enum svm_paging_cause cause_of(const struct svm_nested_step *n)
{
	if (n->wrong & PTE_NX && n->no_nx)
		return SVM_ENTRY_NX;
	if (n->wrong & n->no_address)
		return SVM_ENTRY_ADDRESS;
	if (n->pdpe)
		return SVM_ENTRY_PDPE;
	if (!n->maps)
		return n->wrong & PTE_PS ? SVM_ENTRY_SIZE : SVM_ENTRY_OTHER;
	return SVM_ENTRY_LARGE;
}

/* "P R/W U/S A, table at 0x6000"; of one that is wrong: which bits. */
static void add_entry(struct words *w, const struct svm_nested_step *n, u64 value)
{
	if (n->wrong) {
		arch_bit_list(w, n->wrong);
		words_add(w, " must be 0: ");
	}
	arch_bits(w, &entry_names, value & (0x17f | (n->no_nx ? 0 : PTE_NX)), PTE_P);
	words_add(w, n->maps ? ", page at 0x%" PRIx64 : ", table at 0x%" PRIx64, n->address);
}

/* The walk that the exit x is about, once more: the tables are as the processor found them. */
cold void svm_explain_walk(struct cpu *c, const struct exit_request *x)
{
	static const char *const why[] = {"a guest access", "the walk of the guest's own tables"};
	char event[96], then[96], name[48] = "";
	struct walk_step steps[5];
	const unsigned count = svm_stage2_steps(c, x->gpa, steps, ARRAY_LEN(steps));
	struct svm_nested_step last = {0};
	struct refusal r = {.kind = REFUSAL_PAGING,
	                    .event = event,
	                    .then = then,
	                    .guest = svm_of(c)->vmcb_pa,
	                    .code = EXITCODE_NPF,
	                    .info = {x->q[0], x->gpa},
	                    .rip = c->r[REG_RIP],
	                    .insn = c->insns,
	                    .cpu = c->index,
	                    .fields = 3};

	if (!c->hooks->refused || !count)
		return;
	for (unsigned n = 0; n < count; n++) {
		struct words w;

		svm_nested_step(c, n, steps[n].value, &last);
		add_line(&r, "walk", "%s at 0x%" PRIx64 " = 0x%" PRIx64 ": ", steps[n].name, steps[n].addr, steps[n].value);
		w = (struct words){r.line[n].text, sizeof(r.line[n].text), strlen(r.line[n].text)};
		add_entry(&w, &last, steps[n].value);
		svm_writer(c, steps[n].addr, &r.line[n].who);
	}
	snprintf(event, sizeof(event), "#VMEXIT(VMEXIT_NPF): reserved bits in nested page tables, EXITINFO1 0x%" PRIx64, x->q[0]);
	snprintf(then, sizeof(then), "EXITCODE 0x400, EXITINFO2 0x%" PRIx64, x->gpa);
	snprintf(name, sizeof(name), "nested %s at 0x%" PRIx64, steps[count - 1].name, steps[count - 1].addr);
	r.check = svm_paging_checks[cause_of(&last)].id;
	r.rule = svm_paging_checks[cause_of(&last)].rule;
	r.manual = svm_paging_checks[cause_of(&last)].manual;
	r.field[0] = (struct check_field){.name = name, .value = steps[count - 1].value, .width = 8, .set = r.line[count - 1].who};
	struct words w = {r.field[0].decoded, sizeof(r.field[0].decoded), 0};
	add_entry(&w, &last, r.field[0].value);
	r.field[1] = (struct check_field){.name = "guest-physical address", .value = x->gpa};
	snprintf(r.field[1].decoded, sizeof(r.field[1].decoded), "of %s", why[x->q[0] >> 33 & 1]);
	r.field[2] = (struct check_field){.name = vmcb_field_at(CTL_AT(n_cr3))->name, .value = svm_control(c)->n_cr3, .keyed = true, .key = CTL_AT(n_cr3)};
	c->hooks->refused(c->hooks->arg, c, &r);
}
