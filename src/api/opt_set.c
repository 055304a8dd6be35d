/* What the rows of the option table do, all but devices. */
#include "api/options.h"
#include "base/os.h"

#define BAD(...) err_set(err, ST_ARG, __VA_ARGS__)

/* Is word one of the space-separated list's? */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	if (!strcmp(list, "*"))
		return true;
	for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == n && !memcmp(p, word, n))
			return true;
	return false;
}

OPT_SET(accept)
{
	(void)o;
	if (!value || listed(row->accepts, value))
		return ST_OK;
	return BAD("-%s %s: %s", row->name, value, row->argname);
}

OPT_SET(refuse)
{
	(void)o;
	return BAD("-%s%s%s: %s", row->name, value ? " " : "", value ? value : "", row->accepts);
}

OPT_SET(cpu)
{
	(void)row;
	(void)err;
	o->cpu = value;
	return ST_OK;
}

OPT_SET(memory)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	if (!opt_item(o, &p, &key, &v))
		return BAD("-m: a size is missing");
	if (key && strcmp(key, "size"))
		return BAD("-m %s=%s: the size comes first (-m 512M)", key, v);
	if (!opt_size(v, 1ull << 20, &o->cfg.ram))
		return BAD("-m %s: not a size (512, 512M, 6G)", v);
	if (!o->cfg.ram)
		return BAD("-m %s: the machine needs RAM", v);
	if (o->cfg.ram < 2ull << 20)
		return BAD("-m %s: at least 2M", v);
	if (o->cfg.ram > 1ull << 40)
		return BAD("-m %s: at most 1T", v);
	if (!is_aligned(o->cfg.ram, PAGE_SIZE))
		return BAD("-m %s: not a multiple of 4096 bytes", v);
	return ST_OK;
}

OPT_SET(smp)
{
	const char *p = value;
	char *key, *v;
	u64 n = 0, product = 1;
	bool explicit_count = false;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		u64 k;
		if (key && !listed("cpus maxcpus sockets dies clusters cores threads", key))
			return BAD("-smp %s=%s: unknown key", key, v);
		if (!opt_number(v, &k))
			return BAD("-smp %s: not a number", v);
		if (!key || !strcmp(key, "cpus")) {
			n = k;
			explicit_count = true;
		} else if (strcmp(key, "maxcpus")) {
			product *= k < 1000 ? k : 1000;
		}
	}
	n = explicit_count ? n : product;
	if (n < 1 || n > CPU_MAX)
		return BAD("-smp %s: 1 to %d processors", value, CPU_MAX);
	o->cfg.cpus = (unsigned)n;
	return ST_OK;
}

OPT_SET(kernel)
{
	(void)row;
	if (o->cfg.kernel)
		return BAD("%s: a kernel is given already (%s)", value, o->cfg.kernel);
	if (!*value)
		return BAD("--kernel: the file name is empty");
	o->cfg.kernel = value;
	return ST_OK;
}

OPT_SET(initrd)
{
	(void)row;
	if (!*value)
		return BAD("--initrd: the file name is empty");
	o->cfg.initrd = value;
	return ST_OK;
}

OPT_SET(append)
{
	(void)row;
	(void)err;
	o->cfg.append = value;
	return ST_OK;
}

static bool is_stdio(const char *spec)
{
	return spec && (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"));
}

OPT_SET(serial)
{
	(void)row;
	if (o->serials == ARRAY_LEN(o->cfg.serial))
		return BAD("--serial %s: there are two serial ports", value);
	if (is_stdio(value) && is_stdio(o->cfg.serial[0]))
		return BAD("--serial %s: COM1 has the terminal already", value);
	o->cfg.serial[o->serials++] = !strcmp(value, "none") ? NULL : value;
	return ST_OK;
}

/* Output only: two readers of one terminal would each get half of what is typed. */
OPT_SET(debugcon)
{
	(void)row;
	o->cfg.debugcon = is_stdio(value) ? opt_copy(o, "stdout", 6) : value;
	return o->cfg.debugcon ? ST_OK : opt_nomem(err);
}

OPT_SET(rtc)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		if (key && listed("clock driftfix", key))
			continue;
		if (key && strcmp(key, "base"))
			return BAD("--rtc %s: unknown key (base)", key);
		o->cfg.rtc_host = !strcmp(v, "utc");
		if (!o->cfg.rtc_host && !opt_date(v, &o->cfg.rtc_epoch) && !opt_number(v, &o->cfg.rtc_epoch))
			return BAD("--rtc base=%s: not a date (2024-01-01T00:00:00, seconds since 1970, or utc)", v);
	}
	return ST_OK;
}

static const struct {
	const char *name;
	u32 bit;
} kinds[] = {
        {"vm", TRACE_VM},     {"insn", TRACE_INSN}, {"int", TRACE_INT},
        {"mmio", TRACE_MMIO}, {"io", TRACE_IO},     {"msr", TRACE_MSR},
};

static const char *kind_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < ARRAY_LEN(kinds) ? kinds[i].name : NULL;
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
			return BAD("--trace=%s: the file name is empty", value);
	}
	while (opt_item(o, &p, &key, &v)) {
		size_t i = 0;
		while (i < ARRAY_LEN(kinds) && (key || strcmp(kinds[i].name, v)))
			i++;
		if (i == ARRAY_LEN(kinds)) {
			const char *near = opt_nearest(v, kind_name, NULL);
			return BAD("--trace=%s: unknown kind%s%s%s (vm, insn, int, mmio, io, msr)", v,
			           near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		}
		o->trace |= kinds[i].bit;
	}
	return o->trace ? ST_OK : BAD("--trace: a kind is missing (vm, insn, int, mmio, io, msr)");
}

OPT_SET(stats)
{
	(void)row;
	o->stats = true;
	o->stats_file = value;
	return value && !*value ? BAD("--stats=: the file name is empty") : ST_OK;
}

OPT_SET(max_insns)
{
	if (!opt_count(value, &o->cfg.max_insns) || !o->cfg.max_insns)
		return BAD("--%s %s: not a number above 0", row->name, value);
	return ST_OK;
}

OPT_SET(max_time)
{
	if (!opt_duration(value, &o->cfg.max_time_ns) || !o->cfg.max_time_ns)
		return BAD("--%s %s: not a time (10s, 500ms, 2m)", row->name, value);
	return ST_OK;
}

OPT_SET(timeout)
{
	if (!opt_duration(value, &o->cfg.timeout_ns) || !o->cfg.timeout_ns)
		return BAD("--%s %s: not a time (10s, 500ms, 2m)", row->name, value);
	return ST_OK;
}

OPT_SET(idle)
{
	(void)row;
	o->cfg.idle = !strcmp(value, "skip") ? IDLE_SKIP : IDLE_WAIT;
	return !strcmp(value, "skip") || !strcmp(value, "wait") ? ST_OK : BAD("--idle %s: skip or wait", value);
}

OPT_SET(flag)
{
	(void)value;
	(void)err;
	if (!strcmp(row->name, "no-reboot"))
		o->cfg.no_reboot = true;
	else if (!strcmp(row->name, "nodefaults"))
		o->nodefaults = true;
	else if (!strcmp(row->name, "snapshot"))
		o->snapshot_all = true;
	else if (!strcmp(row->name, "rng"))
		o->cfg.rngs++;
	return ST_OK;
}

OPT_SET(triple)
{
	(void)row;
	o->cfg.triple_fault_resets = !strcmp(value, "reset");
	return !strcmp(value, "stop") || !strcmp(value, "reset") ? ST_OK
	                                                         : BAD("--on-triple-fault %s: stop or reset", value);
}

/* Knobs for tests: what must make no difference to a guest. allocation=N makes the Nth allocation from here on fail. */
OPT_SET(stress)
{
	struct stress *s = &o->cfg.stress;
	const char *p = value;
	char *key, *v;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		struct alloc_knob knob = { .fail_at = 0 };
		if (key && !strcmp(key, "allocation") && opt_number(v, &knob.fail_at))
			base_alloc_knob(&knob);
		else if (!key && !strcmp(v, "tiny-tlb"))
			s->tiny_tlb = true;
		else if (!key && !strcmp(v, "no-blocks"))
			s->no_blocks = true;
		else if (!key && !strcmp(v, "split-access"))
			s->split_access = true;
		else if (!key && !strcmp(v, "poll-every"))
			s->poll_every = true;
		else
			return BAD("--stress %s: tiny-tlb, no-blocks, split-access, poll-every or allocation=N", value);
	}
	return ST_OK;
}

OPT_SET(seed)
{
	(void)row;
	return opt_number(value, &o->cfg.seed) ? ST_OK : BAD("--seed %s: not a number", value);
}

static enum status add_fwcfg(struct options *o, char *name, const void *data, u64 len, struct err *err)
{
	struct fwcfg_config *f = &o->cfg.fwcfg[o->cfg.fwcfgs];

	if (len > 0xffffffff)
		return BAD("--fw-cfg: %s is too large", name);
	f->data = base_alloc(len + 1);
	if (!f->data)
		return opt_nomem(err);
	memcpy(f->data, data, len);
	f->name = name;
	f->len = (u32)len;
	o->cfg.fwcfgs++;
	return ST_OK;
}

OPT_SET(fwcfg)
{
	const char *p = value;
	char *key, *v, *name = NULL, *file = NULL, *text = NULL;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		if (!key || !strcmp(key, "name"))
			name = v;
		else if (!strcmp(key, "file"))
			file = v;
		else if (!strcmp(key, "string"))
			text = v;
		else
			return BAD("--fw-cfg %s=%s: unknown key (name, file, string)", key, v);
	}
	if (!name || !*name || strlen(name) > 55)
		return BAD("--fw-cfg: name=NAME of 1 to 55 characters is needed");
	if (!file == !text)
		return BAD("--fw-cfg name=%s: one of file=FILE and string=TEXT is needed", name);
	if (o->cfg.fwcfgs == MACHINE_FWCFG)
		return BAD("--fw-cfg: at most %d files", MACHINE_FWCFG);
	if (text)
		return add_fwcfg(o, name, text, strlen(text), err);
	struct os_file f;
	enum status s = os_file_map(&f, file, err);
	if (s == ST_OK)
		s = add_fwcfg(o, name, f.data, f.size, err);
	os_file_unmap(&f);
	return s;
}

/* -machine, -accel, -enable-kvm: one machine, one way to run it. Asking for KVM deserves a word. */
OPT_SET(machine)
{
	bool kvm = !value || strstr(value, "kvm");

	(void)err;
	if (strcmp(row->name, "machine") && kvm && o->notes < OPT_NOTES && !o->notes)
		o->note[o->notes++] =
		        "KVM was asked for: there is no need, this processor is software and virtualises itself";
	return ST_OK;
}
