/* Which events a trace is for: by processor, address, moment, who runs, and by the exit that is being handled. */
#include "inspect/parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

static bool within(const struct trace_range *r, unsigned count, u64 value)
{
	for (unsigned n = 0; n < count; n++)
		if (value >= r[n].from && value <= r[n].to)
			return true;
	return !count;
}

static bool is_where(enum trace_where where, bool guest)
{
	return where == TRACE_ANYWHERE || (where == TRACE_IN_GUEST) == guest;
}

bool trace_wants(const struct inspect *i, const struct cpu *c, la_t la, bool guest)
{
	const struct trace_filter *f = &i->o.filter;

	if (likely(!f->any))
		return true;
	return within(f->cpu, f->cpus, c->index) && within(f->insn, f->insns, insn_number(c)) &&
	       within(f->rip, f->rips, la) && is_where(f->where, guest) &&
	       (!f->reasons || i->trace.cpu[c->index].answering);
}

/* An exit that was asked for, and all up to the next entry: what the monitor does about it. */
void trace_reason(struct inspect *i, const struct cpu *c, u64 code)
{
	const u64 basic = code & ~(code == UINT64_MAX ? 0 : ~0xffffull);
	bool asked = false;

	for (unsigned n = 0; n < i->trace.codes; n++)
		asked |= i->trace.code[n] == basic;
	i->trace.cpu[c->index].answering = asked;
}

/* ---- the names of exits ---- */

/* Letters and digits alone, without what manuals put in front: "VMEXIT_NPF" is "NPF", "EPT violation" "ept_violation". */
static void plain(const char *s, char *out, size_t len)
{
	static const char *const front[] = {"EXIT_REASON_", "VMEXIT_"};
	size_t n = 0;

	for (size_t k = 0; k < ARRAY_LEN(front); k++)
		if (!strncasecmp(s, front[k], strlen(front[k])))
			s += strlen(front[k]);
	for (; *s && n + 1 < len; s++)
		if (isalnum((unsigned char)*s))
			out[n++] = (char)tolower((unsigned char)*s);
	out[n] = 0;
}

static bool same_name(const char *a, const char *b)
{
	char x[80], y[80];

	plain(a, x, sizeof(x));
	plain(b, y, sizeof(y));
	return !strcmp(x, y);
}

/* "EPT_VIOLATION", "VMEXIT_NPF", "48" or "0x400". */
static bool find_exit(const struct cpu *c, const char *word, u64 *found)
{
	char *end;
	const u64 number = strtoull(word, &end, 0);
	const bool numeric = *word && !*end;
	const char *name;
	u64 code;

	for (size_t n = 0; c->virt->exit_at(n, &code, &name); n++) {
		*found = code;
		if (numeric ? code == number : same_name(word, name))
			return true;
	}
	return false;
}

enum status trace_resolve(struct inspect *i, struct err *err)
{
	const struct trace_filter *f = &i->o.filter;

	for (unsigned n = 0; n < f->reasons; n++) {
		const char *word = f->reason[n];
		if (!find_exit(i->m->cpus[0], word, &i->trace.code[i->trace.codes]))
			return err_set(err, ST_ARG, "%s reason=%s: this processor has no such exit; docs/reference lists them",
			               i->o.trace_option, word);
		i->trace.codes++;
	}
	return ST_OK;
}
