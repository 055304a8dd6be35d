/* What stops the machine beside breakpoints: --break-on, and `monitor break-on`. */
#include "gdb/parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

static const char *const words[STOP_KINDS] = {
        [STOP_REFUSED] = "refused", [STOP_ENTRY] = "entry",       [STOP_EXIT] = "exit",
        [STOP_TRIPLE] = "triple-fault", [STOP_SANITIZE] = "sanitize",
};

/* ---- which exit: by number, or by name as the manuals and others spell it ---- */

/* "VMEXIT_NPF", "npf"; "EPT violation", "EPT_VIOLATION": letters and digits alone count. */
static bool same_name(const char *name, const char *word)
{
	if (!strncasecmp(name, "VMEXIT_", 7))
		name += 7;
	if (!strncasecmp(word, "VMEXIT_", 7))
		word += 7;
	for (;; name++, word++) {
		while (*name && !isalnum((u8)*name))
			name++;
		while (*word && !isalnum((u8)*word))
			word++;
		if (!*name || !*word)
			return !*name && !*word;
		if (tolower((u8)*name) != tolower((u8)*word))
			return false;
	}
}

static bool exit_code(const struct cpu *c, const char *word, u64 *out)
{
	const char *name;
	char *end;
	u64 wanted = strtoull(word, &end, 0), code;
	bool by_number = end != word && !*end;

	for (size_t n = 0; c->virt->exit_at(n, &code, &name); n++)
		if (by_number ? code == wanted : same_name(name, word)) {
			*out = code;
			return true;
		}
	return false;
}

static bool is_check(const struct cpu *c, const char *word)
{
	const char *id;

	for (size_t n = 0; (id = c->virt->check_id(n)); n++)
		if (!strcmp(id, word))
			return true;
	return !strncmp(word, "sanitize.", 9) || !strcmp(word, CHECK_GUEST_SHUTDOWN);
}

/* ---- the list ---- */

static enum stop_kind kind_of(const char *word)
{
	for (unsigned k = 0; k < STOP_KINDS; k++)
		if (words[k] && !strcmp(words[k], word))
			return (enum stop_kind)k;
	if (!strncmp(word, "exit=", 5) && word[5])
		return STOP_EXIT;
	return strchr(word, '.') ? STOP_CHECK : STOP_KINDS;
}

bool gdb_valid_stop(const char *what)
{
	return kind_of(what) != STOP_KINDS;
}

bool stop_add(struct gdb *g, const char *word, char *why, size_t n)
{
	struct stop s = {.kind = kind_of(word), .code = UINT64_MAX};
	const struct cpu *c = g->m->cpus[0];

	if (s.kind == STOP_KINDS)
		snprintf(why, n, "refused, entry, exit, exit=REASON, triple-fault, sanitize or the id of a check");
	else if (s.kind == STOP_EXIT && word[4] && !exit_code(c, word + 5, &s.code))
		snprintf(why, n, "this processor has no such exit");
	else if (s.kind == STOP_CHECK && !is_check(c, word))
		snprintf(why, n, "there is no check of this id");
	else if (g->stops == GDB_BREAKS)
		snprintf(why, n, "more than %u of them", GDB_BREAKS);
	else if (strlen(word) >= sizeof(s.word))
		snprintf(why, n, "too long");
	else {
		memcpy(s.word, word, strlen(word) + 1);
		g->stop[g->stops++] = s;
		stops_apply(g);
		return true;
	}
	return false;
}

void stops_clear(struct gdb *g)
{
	g->stops = 0;
	stops_apply(g);
}

void stops_print(const struct gdb *g, FILE *f)
{
	for (unsigned n = 0; n < g->stops; n++)
		fprintf(f, "%s\n", g->stop[n].word);
	if (!g->stops)
		fprintf(f, "nothing\n");
}

void stops_apply(struct gdb *g)
{
	bool triple = false;

	for (unsigned n = 0; n < g->stops; n++)
		triple |= g->stop[n].kind == STOP_TRIPLE;
	for (unsigned n = 0; n < g->m->count; n++)
		g->cpu[n].shutdowns = triple;
	g->m->hold_death = g->attached || (triple && g->address[0]);
}

/* ---- something happened ---- */

/* Bit 31 of a reason says that it was a VM entry that failed. */
static bool is_exit(const struct stop *s, const struct exit_record *x)
{
	if (s->kind != STOP_EXIT)
		return false;
	return !s->word[4] || s->code == x->code || (x->code >> 31 == 1 && s->code == (u16)x->code);
}

static void say_exit(struct gdb *g, struct cpu *c, const struct exit_record *x)
{
	struct exit_told told = {.text = ""};

	c->virt->exit_told(c, x, &told);
	if (!told.text[0])
		snprintf(told.text, sizeof(told.text), "information 0x%" PRIx64 " and 0x%" PRIx64, x->info[0], x->info[1]);
	snprintf(g->reason, sizeof(g->reason), "VM exit on cpu %u: %s (0x%" PRIx64 "), %s, guest of %s 0x%" PRIx64 ", guest rip 0x%" PRIx64,
	         c->index, x->name, x->code, told.text, c->virt->block, x->guest, x->rip);
}

void gdb_switched(struct gdb *g, struct cpu *c, const struct exit_record *x)
{
	const struct stop *s = g->stop;

	while (s < g->stop + g->stops && !(x ? is_exit(s, x) : s->kind == STOP_ENTRY))
		s++;
	if (s == g->stop + g->stops)
		return;
	if (x)
		say_exit(g, c, x);
	else
		snprintf(g->reason, sizeof(g->reason), "VM entry on cpu %u: guest of %s 0x%" PRIx64, c->index, c->virt->block,
		         c->virt->block_at(c));
	debug_stop(c, DEBUG_ASKED);
}

static void keep(struct gdb *g, const char *text)
{
	char **slot = &g->told[g->told_n++ % GDB_TOLD];
	size_t n = strlen(text) + 1;

	base_free(*slot);
	*slot = base_alloc(n);
	if (*slot)
		memcpy(*slot, text, n);
}

void gdb_told(struct gdb *g, const struct inspect_event *e)
{
	const bool sanitize = e->kind == INSPECT_SANITIZE;

	if (e->kind != INSPECT_REFUSED && !sanitize)
		return;
	keep(g, e->text);
	for (const struct stop *s = g->stop; s < g->stop + g->stops && e->cpu; s++) {
		if (s->kind != (sanitize ? STOP_SANITIZE : STOP_REFUSED) && (s->kind != STOP_CHECK || strcmp(s->word, e->id)))
			continue;
		snprintf(g->reason, sizeof(g->reason), "%s", e->line);
		g->told_reason = !g->attached; /* it stands on the program's error output */
		debug_stop(e->cpu, DEBUG_ASKED);
		return;
	}
}
