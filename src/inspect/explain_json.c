/* What explain.c tells in words, as one JSON object: everything that the block has, by name. */
#include "inspect/parts.h"

#include <inttypes.h>
#include <stdlib.h>

static void add_string(struct text *t, const char *key, const char *value)
{
	text_add(t, ",\"%s\":", key);
	if (value)
		text_json(t, value);
	else
		text_add(t, "null");
}

/* "vcpu.c:301", or "301" of the same file; what it is, goes to `file`. */
static void add_line(struct text *t, const char *s, size_t n, char file[PLACE_SIZE])
{
	const char *colon = memrchr(s, ':', n);

	if (colon)
		snprintf(file, PLACE_SIZE, "%.*s", (int)(colon - s), s);
	text_add(t, "\"file\":");
	text_json(t, file);
	text_add(t, ",\"line\":%u", (unsigned)strtoul(colon ? colon + 1 : s, NULL, 10));
}

/* "vcpu_run+0x22 vcpu.h:301 (from 59, vcpu.c:77)": the symbol, and where there is one the source line, with those that it was
 * inlined in from the inside to the outside. */
static void add_place(struct text *t, const char *place)
{
	const char *from = strstr(place, " (from "), *end = from ? from : place + strlen(place);
	const char *space = memrchr(place, ' ', (size_t)(end - place));
	char part[PLACE_SIZE];

	if (space && !memchr(space, ':', (size_t)(end - space)))
		space = NULL;
	snprintf(part, sizeof(part), "%.*s", (int)((space ? space : end) - place), place);
	add_string(t, "symbol", part[0] ? part : NULL);
	if (!space)
		return;
	text_add(t, ",");
	add_line(t, space + 1, (size_t)(end - space - 1), part);
	if (!from)
		return;
	text_add(t, ",\"from\":[");
	for (const char *p = from + strlen(" (from "); *p && *p != ')'; p += strspn(p, ", ")) {
		const size_t n = strcspn(p, ",)");

		text_add(t, "%s{", p[-1] == ' ' && p[-2] == ',' ? "," : "");
		add_line(t, p, n, part);
		text_add(t, "}");
		p += n;
	}
	text_add(t, "]");
}

static void add_rip(struct inspect *i, struct cpu *c, la_t la, struct text *t)
{
	char place[PLACE_SIZE];

	inspect_place(i, c, la, place, sizeof(place));
	add_place(t, place);
}

static void add_origin(struct inspect *i, struct cpu *c, const struct origin *o, struct text *t)
{
	static const char *const kind[] = {
	        [ORIGIN_NEVER] = "never", [ORIGIN_VMWRITE] = "vmwrite", [ORIGIN_STORE] = "store",
	        [ORIGIN_EXIT] = "exit",   [ORIGIN_EARLY] = "early",
	};

	if (o->kind == ORIGIN_UNKNOWN) {
		text_add(t, "null");
		return;
	}
	text_add(t, "{\"kind\":\"%s\"", kind[o->kind]);
	if (o->kind == ORIGIN_EXIT || (o->n && !o->placed)) {
		text_add(t, ",\"n\":%" PRIu64 ",\"code\":\"0x%" PRIx64 "\"", o->n, o->code);
		add_string(t, "name", o->name);
	} else if (o->name) {
		add_string(t, "by", o->name);
	}
	if (o->placed && o->kind != ORIGIN_EXIT) {
		add_rip(i, c, o->rip, t);
		text_add(t, ",\"rip\":\"0x%" PRIx64 "\",\"cpu\":%u", o->rip, o->cpu);
	}
	if (o->placed)
		text_add(t, ",\"insn\":%" PRIu64, o->insn);
	text_add(t, "}");
}

static void add_key(struct text *t, bool keyed, u32 key)
{
	text_add(t, ",\"key\":");
	text_add(t, keyed ? "\"0x%" PRIx32 "\"" : "null", key);
}

static void add_fields(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	text_add(t, ",\"fields\":[");
	for (unsigned n = 0; n < r->fields; n++) {
		const struct check_field *f = &r->field[n];

		text_add(t, "%s{\"name\":", n ? "," : "");
		text_json(t, f->name);
		add_key(t, f->keyed, f->key);
		text_add(t, ",\"value\":\"0x%" PRIx64 "\",\"decoded\":", f->value);
		text_json(t, f->decoded);
		text_add(t, ",\"set\":");
		add_origin(i, c, &f->set, t);
		text_add(t, "}");
	}
	text_add(t, "]");
}

static void add_lines(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	text_add(t, ",\"lines\":[");
	for (unsigned n = 0; n < r->lines; n++) {
		text_add(t, "%s{\"label\":", n ? "," : "");
		text_json(t, r->line[n].label);
		add_string(t, "text", r->line[n].text);
		text_add(t, ",\"set\":");
		add_origin(i, c, &r->line[n].who, t);
		text_add(t, "}");
	}
	text_add(t, "]");
}

/* Does a check's id begin here? Words of values have no dot. */
static bool is_id(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return memchr(s, '.', n) && (!s[n] || strchr(":,", s[n]));
}

/* Where the item that begins at p ends; NULL: with the text. */
static const char *item_end(const char *p)
{
	const char *end = strstr(p, ", ");

	while (end && !is_id(end + 2) && strncmp(end + 2, "and ", 4))
		end = strstr(end + 2, ", ");
	return end;
}

static void add_part(struct text *t, const char *key, const char *s, size_t n)
{
	char part[1024];

	snprintf(part, sizeof(part), "%.*s", (int)n, s);
	add_string(t, key, n ? part : NULL);
}

/* "vmx.host.selector.null: Host TR selector (0x0c0c) = 0x0000, vmx...": each with what the text says of it. */
static void add_also(const struct refusal *r, struct text *t)
{
	const char *end;

	text_add(t, ",\"also\":[");
	for (const char *p = r->also; p && is_id(p); p = end ? end + 2 : NULL) {
		end = item_end(p);
		size_t n = end ? (size_t)(end - p) : strlen(p), id = strcspn(p, ":,");

		text_add(t, "%s{\"check\":\"%.*s\"", p == r->also ? "" : ",", (int)min_u64(id, n), p);
		add_part(t, "field", p + id + 2, n > id + 2 ? n - id - 2 : 0);
		text_add(t, "}");
	}
	text_add(t, "]");
}

static void add_changes(struct inspect *i, struct cpu *c, const struct changes *ch, struct text *t)
{
	text_add(t, ",\"changed\":[");
	for (size_t n = 0; n < ch->told; n++) {
		const struct check_change *k = &ch->at[n];

		text_add(t, "%s{\"name\":", n ? "," : "");
		text_json(t, k->name);
		add_key(t, k->keyed, k->key);
		text_add(t, ",\"was\":\"0x%" PRIx64 "\",\"now\":\"0x%" PRIx64 "\",\"set\":", k->was, k->now);
		add_origin(i, c, &k->set, t);
		text_add(t, "}");
	}
	text_add(t, "]");
}

void explain_json(struct inspect *i, struct cpu *c, const struct refusal *r, const struct changes *ch, u64 count,
                  struct text *t)
{
	static const char *const kind[REFUSAL_KINDS] = {
	        [REFUSAL_ENTRY] = "entry",   [REFUSAL_INSN] = "instruction", [REFUSAL_ABORT] = "abort",
	        [REFUSAL_PAGING] = "paging", [REFUSAL_SHUTDOWN] = "shutdown", [REFUSAL_SANITIZE] = "sanitizer",
	};

	text_add(t, "{\"event\":\"%s\",\"kind\":\"%s\"", r->kind == REFUSAL_SANITIZE ? "sanitize" : "refused",
	         kind[r->kind]);
	add_string(t, "text", r->event);
	add_string(t, "check", r->check);
	add_string(t, "rule", r->rule);
	add_fields(i, c, r, t);
	add_lines(i, c, r, t);
	add_also(r, t);
	add_changes(i, c, ch, t);
	text_add(t, ",\"at\":{\"rip\":\"0x%" PRIx64 "\"", r->rip);
	add_rip(i, c, linear_rip(c, r->rip), t);
	text_add(t, ",\"cpu\":%u,\"insn\":%" PRIu64 "}", r->cpu, insn_number(c));
	if (r->guest != UINT64_MAX)
		text_add(t, ",\"guest\":\"0x%" PRIx64 "\"", r->guest);
	text_add(t, ",\"code\":\"0x%" PRIx64 "\"", r->code);
	add_string(t, "then", r->then);
	add_string(t, "fix", r->fix);
	add_string(t, "manual", r->manual);
	text_add(t, ",\"count\":%" PRIu64, count);
	if (r->kind == REFUSAL_SHUTDOWN)
		evidence_chain_json(c, t);
	text_add(t, "}");
}
