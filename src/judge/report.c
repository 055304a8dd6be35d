/* What the rows say of a dump, for a person and as JSON. */
#include "base/said.h"
#include "judge/judge.h"

#include <inttypes.h>
#include <stdarg.h>

static void printf_like(3, 4) label(FILE *out, const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	said_label(out, name, text);
}

static void number(char out[24], const struct check_field *f)
{
	if (f->width)
		snprintf(out, 24, "0x%0*" PRIx64, f->width * 2, f->value);
	else
		snprintf(out, 24, "0x%" PRIx64, f->value);
}

static void place(FILE *out, const char *name, u32 line)
{
	if (line)
		fprintf(out, "%s:%u: ", name, line);
	else
		fprintf(out, "%s: ", name);
}

/* ---- one dump ---- */

struct state {
	struct judge_report *r;
	const struct judge_caps *caps;
	unsigned rows, fail, unknown, pass;
};

static u32 line_of(const struct dump *d, const struct judged *j)
{
	for (unsigned n = 0; n < j->keys && j->verdict == JUDGE_FAIL; n++)
		if (dump_line(d, j->key[n]))
			return dump_line(d, j->key[n]);
	return d->line;
}

static void needs(char *out, size_t size, const struct dump *d, const struct judged *j)
{
	size_t n = 0;

	out[0] = 0;
	for (unsigned k = 0; k < j->needs && n < size; k++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", k ? ", " : "", dump_name(d, j->need[k]));
	if (n < size && j->needs)
		snprintf(out + n, size - n, ", not in this dump");
}

static void text_row(const struct state *s, const struct dump *d, const struct judged *j)
{
	FILE *out = s->r->out;
	char words[600];

	place(out, s->r->name, line_of(d, j));
	fprintf(out, "%s %s\n", j->verdict == JUDGE_FAIL ? "FAIL" : "UNKNOWN", j->id);
	if (j->verdict == JUDGE_FAIL)
		label(out, "rule", "%s", j->rule);
	if (j->caps_doubt)
		label(out, "needs", "this processor's capability MSRs (--caps FILE): it fails %s, but exit reason 0x%" PRIx64
		      " says that the processor let it pass", s->caps->how, dump_value(d, VMCS_EXIT_REASON));
	for (unsigned n = 0; n < j->keys && (j->verdict == JUDGE_FAIL || j->caps_doubt); n++) {
		struct check_field f;
		char value[24];

		if (j->key[n] >= VMX_IN && !dump_has(d, j->key[n]))
			continue;
		judge_field(d, j, j->key[n], &f);
		number(value, &f);
		label(out, "field", "%s = %s%s%s", f.name, value, f.decoded[0] ? ": " : "", f.decoded);
	}
	if (j->verdict == JUDGE_FAIL)
		label(out, "manual", "%s", j->manual);
	needs(words, sizeof(words), d, j);
	if (j->verdict == JUDGE_UNKNOWN && words[0])
		label(out, "needs", "%s", words);
}

static void json_row(struct state *s, const struct dump *d, const struct judged *j)
{
	FILE *out = s->r->out;
	unsigned shown = 0;

	fprintf(out, "%s{\"check\":", s->rows++ ? "," : "");
	said_string(out, j->id);
	fprintf(out, ",\"verdict\":\"%s\",\"line\":%u,\"rule\":", j->verdict == JUDGE_FAIL ? "fail" : "unknown", line_of(d, j));
	said_string(out, j->rule);
	fprintf(out, ",\"manual\":");
	said_string(out, j->manual);
	fprintf(out, ",\"fields\":[");
	for (unsigned n = 0; n < j->keys; n++) {
		struct check_field f;

		if (!dump_has(d, j->key[n]))
			continue;
		judge_field(d, j, j->key[n], &f);
		fprintf(out, "%s{\"name\":", shown++ ? "," : "");
		said_string(out, f.name);
		fprintf(out, ",\"value\":\"0x%" PRIx64 "\",\"decoded\":", f.value);
		said_string(out, f.decoded);
		fprintf(out, "}");
	}
	fprintf(out, "],\"needs\":[");
	for (unsigned n = 0; n < j->needs; n++) {
		fprintf(out, "%s", n ? "," : "");
		said_string(out, dump_name(d, j->need[n]));
	}
	if (j->caps_doubt)
		fprintf(out, "\"capability MSRs\"");
	fprintf(out, "]}");
}

static void each_row(void *arg, const struct dump *d, const struct judged *j)
{
	struct state *s = arg;

	s->pass += j->verdict == JUDGE_PASS;
	s->fail += j->verdict == JUDGE_FAIL;
	s->unknown += j->verdict == JUDGE_UNKNOWN;
	if (j->verdict == JUDGE_PASS)
		return;
	if (s->r->json)
		json_row(s, d, j);
	else
		text_row(s, d, j);
}

/* What the dump says of its last exit. */
static void outcome(char *out, size_t size, const struct dump *d)
{
	unsigned code = d->kind == DUMP_VMCS ? VMCS_EXIT_REASON : (unsigned)offsetof(struct vmcb_control, exitcode);

	out[0] = 0;
	if (d->kind == DUMP_VMCS && dump_has(d, code))
		snprintf(out, size, ", exit reason 0x%" PRIx64, dump_value(d, code));
	else if (d->kind == DUMP_VMCB && d->b_known[code] == DUMP_KNOWN) {
		u64 v = dump_has(d, code) ? dump_value(d, code) : d->page.control.exitcode & 0xffffffff;

		snprintf(out, size, ", EXITCODE 0x%" PRIx64, v);
	}
}

/* "VM-Entry Failures During or After Loading Guest State" */
static void note_qualification(const struct judge_report *r, u64 q)
{
	static const char *const words[] = {[2] = "loading the PDPTEs", [3] = "an NMI to be injected under blocking by STI",
	                                    [4] = "the VMCS link pointer"};

	if (q < ARRAY_LEN(words) && words[q])
		label(r->out, "note", "exit qualification %u: the processor itself names %s", (unsigned)q, words[q]);
}

static void text_head(const struct judge_report *r, const struct dump *d, const char *how)
{
	char exit[64];

	outcome(exit, sizeof(exit), d);
	place(r->out, r->name, d->line);
	fprintf(r->out, "%s dump %u of %u, %s%s, judged %s\n", d->kind == DUMP_VMCS ? "VMCS" : "VMCB", d->number, r->of, d->source,
	        exit, how);
	for (unsigned n = 0; n < d->notes; n++)
		label(r->out, "note", "line %u: %s", d->note[n].line, d->note[n].text);
	if (judge_entry_failed(d) && dump_has(d, VMCS_EXIT_QUALIFICATION))
		note_qualification(r, dump_value(d, VMCS_EXIT_QUALIFICATION));
}

/* Controls that are on, and whose own checks this machine does not have. */
static void note_absent(const struct judge_report *r, const struct dump *d)
{
	static const struct {
		u16 field, gate;
		u8 word, bit;
	} of[] = {{VMCS_PIN_CONTROLS, 0, VMX_PIN, 0}, {VMCS_PROC_CONTROLS, 0, VMX_PROC, 0}, {VMCS_PROC2_CONTROLS, 1, VMX_PROC2, 31},
	          {VMCS_PROC3_CONTROLS, 1, VMX_PROC3, 17}, {VMCS_EXIT_CONTROLS, 0, VMX_EXIT, 0}, {VMCS_ENTRY_CONTROLS, 0, VMX_ENTRY, 0}};

	for (size_t k = 0; k < vmx_control_count && d->kind == DUMP_VMCS; k++)
		for (size_t n = 0; n < ARRAY_LEN(of); n++) {
			const struct vmx_control *c = &vmx_controls[k];
			bool on = !of[n].gate || (dump_value(d, VMCS_PROC_CONTROLS) >> of[n].bit & 1);

			if (c->here || c->word != of[n].word || !on || !(dump_value(d, of[n].field) >> c->bit & 1))
				continue;
			label(r->out, "note", "\"%s\" is on: what VM entry checks of it is not judged here", c->name);
		}
}

static void json_head(const struct judge_report *r, const struct dump *d, const char *how)
{
	fprintf(r->out, "{\"file\":");
	said_string(r->out, r->name);
	fprintf(r->out, ",\"line\":%u,\"dump\":%u,\"of\":%u,\"block\":\"%s\",\"source\":", d->line, d->number, r->of,
	        d->kind == DUMP_VMCS ? "vmcs" : "vmcb");
	said_string(r->out, d->source);
	if (d->kind == DUMP_VMCS && dump_has(d, VMCS_EXIT_REASON))
		fprintf(r->out, ",\"exit_reason\":\"0x%" PRIx64 "\"", dump_value(d, VMCS_EXIT_REASON));
	fprintf(r->out, ",\"judged\":");
	said_string(r->out, how);
	fprintf(r->out, ",\"notes\":[");
	for (unsigned n = 0; n < d->notes; n++) {
		fprintf(r->out, "%s{\"line\":%u,\"text\":", n ? "," : "", d->note[n].line);
		said_string(r->out, d->note[n].text);
		fprintf(r->out, "}");
	}
	fprintf(r->out, "],\"rows\":[");
}

enum status report_dump(void *arg, const struct dump *d, struct err *err)
{
	struct judge_report *r = arg;
	struct state s = {.r = r, .caps = d->kind == DUMP_VMCS ? r->vmx : r->svm};

	if (!s.caps)
		return err_set(err, ST_ARG, "%s:%u: a %s, but the processor it is to be judged with has no %s", r->name, d->line,
		               d->kind == DUMP_VMCS ? "VMCS" : "VMCB", d->kind == DUMP_VMCS ? "VMX" : "SVM");
	if (r->json)
		json_head(r, d, s.caps->how);
	else
		text_head(r, d, s.caps->how);
	if (!r->json && !s.caps->assumed)
		note_absent(r, d);
	if ((d->kind == DUMP_VMCS ? judge_vmcs : judge_vmcb)(d, s.caps, each_row, &s) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	if (r->json)
		fprintf(r->out, "],\"fail\":%u,\"unknown\":%u,\"pass\":%u}\n", s.fail, s.unknown, s.pass);
	r->fail += s.fail;
	r->unknown += s.unknown;
	r->pass += s.pass;
	return ST_OK;
}

void report_end(const struct judge_report *r)
{
	bool assumed = (r->vmx && r->vmx->assumed) || (r->svm && r->svm->assumed);

	if (r->json)
		return;
	fprintf(r->out, "%s: ", r->name);
	if (r->of > 1)
		fprintf(r->out, "%u dumps: ", r->of);
	fprintf(r->out, "%u fail, %u unknown, %u pass%s\n", r->fail, r->unknown, r->pass,
	        assumed ? "; capability MSRs assumed, give yours with --caps" : "");
}
