/* --trace, --ring: what is wanted, of whom, and where it goes. */
#include "api/options.h"


#define BAD(...) opt_bad(o, err, __VA_ARGS__)
#define KINDS    "vm, insn, int, mmio, io, msr, vmread, vmwrite"
#define KEYS     "cpu, rip, insns, reason, in, limit"

static const struct {
	const char *name;
	u32 bit;
} kinds[] = {
        {"vm", TRACE_VM}, {"insn", TRACE_INSN}, {"int", TRACE_INT},       {"mmio", TRACE_MMIO},
        {"io", TRACE_IO}, {"msr", TRACE_MSR},   {"vmread", TRACE_VMREAD}, {"vmwrite", TRACE_VMWRITE},
};

static const char *kind_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < ARRAY_LEN(kinds) ? kinds[i].name : NULL;
}

static enum status add_kind(struct options *o, const char *v, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].name, v))
			continue;
		o->trace |= kinds[i].bit;
		return ST_OK;
	}
	const char *near = opt_nearest(v, kind_name, NULL);
	return BAD(" %s: unknown kind%s%s%s (" KINDS ")", v, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* "5", "0x1000-0x1fff", "1000-": both ends belong to it. */
static bool read_range(const char *v, bool (*number)(const char *s, u64 *n), struct trace_range *r)
{
	const char *dash = strchr(v, '-');
	char from[32];

	snprintf(from, sizeof(from), "%.*s", (int)(dash ? dash - v : (long)strlen(v)), v);
	if (!number(from, &r->from))
		return false;
	r->to = dash ? UINT64_MAX : r->from;
	if (dash && dash[1] && !number(dash + 1, &r->to))
		return false;
	return r->from <= r->to;
}

static enum status add_range(struct options *o, const char *key, const char *v, struct err *err)
{
	struct trace_filter *f = &o->filter;
	const bool cpu = !strcmp(key, "cpu"), rip = !strcmp(key, "rip");
	struct trace_range *r = cpu ? f->cpu : rip ? f->rip : f->insn;
	unsigned *n = cpu ? &f->cpus : rip ? &f->rips : &f->insns;

	if (*n == TRACE_RANGES)
		return BAD(" %s=%s: at most %d of them", key, v, TRACE_RANGES);
	if (!read_range(v, rip ? opt_number : opt_count, &r[*n]))
		return BAD(" %s=%s: not a number or a range (%s)", key, v, rip ? "0x1000-0x1fff" : "1000-2000");
	++*n;
	return ST_OK;
}

static enum status add_key(struct options *o, const char *key, char *v, struct err *err)
{
	struct trace_filter *f = &o->filter;

	f->any |= strcmp(key, "limit") != 0;
	if (opt_listed("cpu rip insns", key))
		return add_range(o, key, v, err);
	if (!strcmp(key, "reason")) {
		if (f->reasons == TRACE_REASONS)
			return BAD(" reason=%s: at most %d of them", v, TRACE_REASONS);
		f->reason[f->reasons++] = v;
		return ST_OK;
	}
	if (!strcmp(key, "in")) {
		f->where = !strcmp(v, "guest") ? TRACE_IN_GUEST : TRACE_IN_MONITOR;
		return opt_listed("guest monitor", v) ? ST_OK : BAD(" in=%s: guest or monitor", v);
	}
	if (strcmp(key, "limit"))
		return BAD(" %s=%s: unknown key (" KEYS ")", key, v);
	if (!opt_size(v, 1, &f->limit) || f->limit < 4096 || f->limit > 16ull << 30)
		return BAD(" limit=%s: not a size from 4K to 16G", v);
	return ST_OK;
}

OPT_SET(trace)
{
	char *colon = strchr(value, ':'), *v, *key;
	const char *p = value;

	(void)row;
	if (colon) {
		*colon = 0;
		o->trace_file = colon + 1;
		if (!*o->trace_file)
			return BAD(" %s: the file name is empty", value);
	}
	while (opt_item(o, &p, &key, &v)) {
		enum status s = key ? add_key(o, key, v, err) : add_kind(o, v, err);
		if (s != ST_OK)
			return s;
	}
	for (unsigned n = 0; n < o->filter.cpus; n++)
		if (o->filter.cpu[n].from >= CPU_MAX)
			return BAD(" cpu=%u: 0 to %d", (unsigned)o->filter.cpu[n].from, CPU_MAX - 1);
	if (o->filter.limit && !o->trace_file)
		return BAD(" limit: the last events are kept for a file: KIND,limit=SIZE:FILE");
	return o->trace ? ST_OK : BAD(": a kind is missing (" KINDS ")");
}

OPT_SET(ring)
{
	(void)row;
	if (!opt_count(value, &o->ring) || !o->ring || o->ring > 1ull << 24)
		return BAD(" %s: not a number from 1 to 16M", value);
	return ST_OK;
}
