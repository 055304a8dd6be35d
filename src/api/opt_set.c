/* What the rows of the option table do, all but devices. */
#include "api/options.h"
#include "base/os.h"

#include <stdarg.h>

#define BAD(...)  opt_bad(o, err, __VA_ARGS__)
#define NOTE(...) opt_note(o, err, __VA_ARGS__)

/* ---- words without an effect ---- */

OPT_SET(accept)
{
	if (!value || opt_listed(row->accepts, value))
		return ST_OK;
	return BAD(" %s: %s", value, row->argname);
}

/* Accepted, and said to be without effect: row->accepts says why. */
OPT_SET(ignore)
{
	return NOTE("%s%s: %s", value ? " " : "", value ? value : "", row->accepts);
}

OPT_SET(refuse)
{
	return BAD("%s%s: %s", value ? " " : "", value ? value : "", row->accepts);
}

OPT_SET(cpu)
{
	(void)row;
	o->cpu = value;
	return *value ? ST_OK : BAD(": a model is missing; %s help lists them", o->option);
}

static enum status ram_size(struct options *o, const char *v, struct err *err)
{
	if (!opt_size(v, 1ull << 20, &o->cfg.ram))
		return BAD(" %s: not a size (512, 512M, 6G)", v);
	if (!o->cfg.ram)
		return BAD(" %s: the machine needs RAM", v);
	if (o->cfg.ram < 2ull << 20)
		return BAD(" %s: at least 2M", v);
	if (o->cfg.ram > 1ull << 40)
		return BAD(" %s: at most 1T", v);
	if (!is_aligned(o->cfg.ram, PAGE_SIZE))
		return BAD(" %s: not a multiple of 4096 bytes", v);
	return ST_OK;
}

OPT_SET(memory)
{
	const char *p = value;
	char *key, *v;
	bool sized = false;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		if (!key || !strcmp(key, "size")) {
			s = sized ? BAD(" %s: two sizes", value) : ram_size(o, v, err);
			sized = true;
		} else if (opt_listed("slots maxmem", key)) {
			s = NOTE(" %s=%s: has no effect: RAM is not plugged in later", key, v);
		} else {
			s = BAD(" %s=%s: unknown key (size)", key, v);
		}
		if (s != ST_OK)
			return s;
	}
	return sized ? ST_OK : BAD(": a size is missing");
}

/* The shape that QEMU's words describe. */
struct shape {
	u64 cpus, max, sockets, threads, product;
};

static enum status read_shape(struct options *o, const char *value, struct shape *t, struct err *err)
{
	const char *p = value;
	char *key, *v;

	while (opt_item(o, &p, &key, &v)) {
		u64 k;
		if (key && !opt_listed("cpus maxcpus sockets dies clusters modules cores threads", key))
			return BAD(" %s=%s: unknown key", key, v);
		if (!opt_number(v, &k))
			return BAD(" %s: not a number", v);
		u64 *named = !key || !strcmp(key, "cpus") ? &t->cpus
		             : !strcmp(key, "maxcpus")    ? &t->max
		             : !strcmp(key, "sockets")    ? &t->sockets
		             : !strcmp(key, "threads")    ? &t->threads
		                                          : NULL;
		if (!k || k > CPU_MAX)
			return BAD(" %s: 1 to %d processors", value, CPU_MAX);
		if (named)
			*named = k;
		if (named != &t->cpus && named != &t->max)
			t->product *= k;
	}
	return ST_OK;
}

OPT_SET(smp)
{
	struct shape t = {.product = 1};
	enum status s = read_shape(o, value, &t, err);

	(void)row;
	if (s != ST_OK)
		return s;
	if (!*value)
		return BAD(": a number is missing");
	u64 n = t.cpus ? t.cpus : t.product;
	if (n > CPU_MAX)
		return BAD(" %s: 1 to %d processors", value, CPU_MAX);
	if (t.max && t.max < n)
		return BAD(" %s: maxcpus is less than cpus", value);
	if (t.cpus && t.product > 1 && (t.max ? t.max : n) % t.product)
		return BAD(" %s: sockets, cores and threads do not give %u processors", value, (unsigned)n);
	o->cfg.cpus = (unsigned)n;
	if (t.max > n)
		return NOTE(" %s: maxcpus has no effect: processors are not plugged in later", value);
	if (t.sockets > 1 || t.threads > 1)
		return NOTE(" %s: every processor is a core of one socket, with one thread", value);
	return ST_OK;
}

OPT_SET(kernel)
{
	(void)row;
	if (!*value)
		return BAD(": the file name is empty");
	o->cfg.kernel = value;
	return ST_OK;
}

OPT_SET(initrd)
{
	(void)row;
	o->cfg.initrd = value;
	return *value ? ST_OK : BAD(": the file name is empty");
}

OPT_SET(append)
{
	(void)row;
	(void)err;
	o->cfg.append = value;
	return ST_OK;
}

/* ---- channels ---- */

static bool is_stdio(const char *spec)
{
	return spec && (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"));
}

/* What it is for is known here; whether it can be opened, when it is. */
static enum status check_channel(struct options *o, const char *spec, struct err *err)
{
	if (opt_listed("stdio mon:stdio stdout null pty", spec))
		return ST_OK;
	if (!strncmp(spec, "chardev:", 8) || !strncmp(spec, "unix:", 5) || (!strncmp(spec, "file:", 5) && spec[5]))
		return ST_OK;
	return BAD(" %s: not a channel (stdio, mon:stdio, null, none, file:PATH, unix:PATH, pty, chardev:ID)", spec);
}

OPT_SET(serial)
{
	(void)row;
	if (o->serials == ARRAY_LEN(o->cfg.serial))
		return BAD(" %s: there are two serial ports", value);
	if (is_stdio(value) && is_stdio(o->cfg.serial[0]))
		return BAD(" %s: COM1 has the terminal already", value);
	bool none = !strcmp(value, "none");
	o->cfg.serial_option[o->serials] = o->option;
	o->cfg.serial[o->serials++] = none ? NULL : value;
	return none ? ST_OK : check_channel(o, value, err);
}

/* Output only: two readers of one terminal would each get half of what is typed. */
OPT_SET(debugcon)
{
	(void)row;
	o->cfg.debugcon_option = o->option;
	if (!strcmp(value, "none"))
		return ST_OK;
	if (!strncmp(value, "chardev:", 8))
		return BAD(" %s: give the channel itself (stdio, null, file:PATH, unix:PATH, pty)", value);
	o->cfg.debugcon = is_stdio(value) ? opt_copy(o, "stdout", 6) : value;
	return o->cfg.debugcon ? check_channel(o, value, err) : opt_nomem(err);
}

/* ---- time ---- */

static enum status rtc_base(struct options *o, const char *v, struct err *err)
{
	o->cfg.rtc_host = !strcmp(v, "utc");
	if (o->cfg.rtc_host || opt_date(v, &o->cfg.rtc_epoch))
		return ST_OK;
	if (!opt_number(v, &o->cfg.rtc_epoch))
		return BAD(" base=%s: not a date (2024-01-01T00:00:00, seconds since 1970, or utc)", v);
	if (o->cfg.rtc_epoch > 0 && o->cfg.rtc_epoch < 10000)
		return BAD(" base=%s: a year alone is no date (%s-01-01)", v, v);
	return ST_OK;
}

OPT_SET(rtc)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	if (!*value)
		return BAD(": a value is missing (base=2024-01-01)");
	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		if (!key)
			s = BAD(" %s: base=DATE is meant? (base=2024-01-01T00:00:00, base=utc)", v);
		else if (!strcmp(key, "base"))
			s = rtc_base(o, v, err);
		else if (!strcmp(key, "clock") && opt_listed("host rt", v))
			s = NOTE(" clock=%s: the clock is virtual here, whatever the computer's does", v);
		else if (!(!strcmp(key, "clock") && !strcmp(v, "vm")) &&
		         !(!strcmp(key, "driftfix") && opt_listed("none slew", v)))
			s = BAD(" %s=%s: unknown (base=DATE, clock=vm)", key, v);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

OPT_SET(max_insns)
{
	(void)row;
	if (!opt_count(value, &o->cfg.max_insns) || !o->cfg.max_insns)
		return BAD(" %s: not a number above 0", value);
	return ST_OK;
}

OPT_SET(max_time)
{
	(void)row;
	if (!opt_duration(value, &o->cfg.max_time_ns) || !o->cfg.max_time_ns)
		return BAD(" %s: not a time (10s, 500ms, 2m)", value);
	return ST_OK;
}

OPT_SET(timeout)
{
	(void)row;
	if (!opt_duration(value, &o->cfg.timeout_ns) || !o->cfg.timeout_ns)
		return BAD(" %s: not a time (10s, 500ms, 2m)", value);
	return ST_OK;
}

OPT_SET(idle)
{
	(void)row;
	o->cfg.idle = !strcmp(value, "skip") ? IDLE_SKIP : IDLE_WAIT;
	return opt_listed("skip wait", value) ? ST_OK : BAD(" %s: skip or wait", value);
}

OPT_SET(triple)
{
	(void)row;
	o->cfg.triple_fault_resets = !strcmp(value, "reset");
	return opt_listed("stop reset", value) ? ST_OK : BAD(" %s: stop or reset", value);
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
	else if (!strcmp(row->name, "no-debug-exit"))
		o->no_debug_exit = true;
	else if (!strcmp(row->name, "rng"))
		o->cfg.rngs++;
	return ST_OK;
}

OPT_SET(seed)
{
	(void)row;
	return opt_number(value, &o->cfg.seed) ? ST_OK : BAD(" %s: not a number", value);
}

OPT_SET(jitter)
{
	(void)row;
	o->cfg.jitter = true;
	return opt_number(value, &o->cfg.jitter_seed) ? ST_OK : BAD(" %s: not a number", value);
}

/* ---- what is told ---- */

OPT_SET(stats)
{
	(void)row;
	o->stats = true;
	o->stats_file = value;
	return value && !*value ? BAD("=: the file name is empty") : ST_OK;
}

/* Knobs for tests: what must make no difference to a guest. allocation=N makes the Nth allocation from here on fail. */
OPT_SET(stress)
{
	struct stress *s = &o->cfg.stress;
	const char *p = value;
	char *key, *v;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		struct alloc_knob knob = {.fail_at = 0};
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
		else if (!key && !strcmp(v, "jit-check"))
			o->cfg.jit.check = true;
		else if (key && !strcmp(key, "jit-range") && opt_jit_range(v, &o->cfg.jit))
			continue;
		else
			return BAD(" %s: tiny-tlb, no-blocks, split-access, poll-every, jit-check, jit-range=FROM-TO or allocation=N", value);
	}
	return ST_OK;
}

static enum status add_fwcfg(struct options *o, char *name, const void *data, u64 len, struct err *err)
{
	struct fwcfg_config *f = &o->cfg.fwcfg[o->cfg.fwcfgs];

	if (len > 0xffffffff)
		return BAD(": %s is too large", name);
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
			return BAD(" %s=%s: unknown key (name, file, string)", key, v);
	}
	if (!name || !*name || strlen(name) > 55)
		return BAD(": name=NAME of 1 to 55 characters is needed");
	if (!file == !text)
		return BAD(" name=%s: one of file=FILE and string=TEXT is needed", name);
	for (unsigned i = 0; i < o->cfg.fwcfgs; i++)
		if (!strcmp(o->cfg.fwcfg[i].name, name))
			return BAD(" name=%s: this file is given already", name);
	if (o->cfg.fwcfgs == MACHINE_FWCFG)
		return BAD(": at most %d files", MACHINE_FWCFG);
	if (text)
		return add_fwcfg(o, name, text, strlen(text), err);
	struct os_file f;
	enum status s = os_file_map(&f, file, err);
	if (s != ST_OK)
		return err_in(err, s, o->option);
	o->input_option[o->inputs] = o->option;
	o->input[o->inputs++] = file;
	s = add_fwcfg(o, name, f.data, f.size, err);
	os_file_unmap(&f);
	return s;
}

/* ---- QEMU's machine ---- */

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* One way to run it. Asking for another deserves a word; "kvm:tcg" is a list of wishes. */
static enum status accelerator(struct options *o, const char *v, struct err *err)
{
	static const char known[] = "kvm tcg hvf whpx nvmm xen mshv";
	size_t n = strcspn(v, ":");
	char first[16];

	snprintf(first, sizeof(first), "%.*s", (int)min_u64(n, 15), v);
	for (const char *p = v; *p; p += n, p += *p == ':') {
		char word[16];
		n = strcspn(p, ":");
		snprintf(word, sizeof(word), "%.*s", (int)min_u64(n, 15), p);
		if (!opt_listed(known, word))
			return BAD(" %s: no such accelerator (tcg)", v);
	}
	if (!*first)
		return BAD(": an accelerator is missing (tcg)");
	if (!strcmp(first, "tcg") || o->kvm_noted)
		return ST_OK;
	o->kvm_noted = true;
	return NOTE(" %s: there is no need: this processor is software and virtualises itself", v);
}

/* Keys of QEMU's PC. What this machine always is, or never sees, is silent; what it is not is refused. */
static enum status machine_key(struct options *o, const char *key, const char *v, struct err *err)
{
	static const char silent[] = "kernel-irqchip kernel_irqchip vmport dump-guest-core mem-merge graphics "
	                             "suppress-vmdesc memory-backend kvm-shadow-mem max-fw-size nvdimm-persistence";
	static const char off[] = "usb nvdimm iommu igd-passthru sev memory-encryption sata xen-platform-dev",
	                  on[] = "acpi pit pic hpet i8042 rtc";
	bool is_on, smm = !strcmp(key, "smm");

	if (opt_listed(silent, key))
		return ST_OK;
	if (!opt_listed(off, key) && !opt_listed(on, key) && !smm)
		return BAD(" %s=%s: unknown key (accel)", key, v);
	if (!strcmp(v, "auto"))
		is_on = smm || opt_listed(on, key);
	else if (!opt_bool(v, &is_on))
		return BAD(" %s=%s: on or off", key, v);
	if (smm)
		o->cfg.no_smi = !is_on;
	if (smm || is_on == (opt_listed(on, key) != 0))
		return ST_OK;
	return BAD(" %s=%s: %s", key, v, is_on ? "this machine has none" : "this machine always has it");
}

OPT_SET(machine)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	if (!*value)
		return BAD(": a machine is missing (q35)");
	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		if (!key || !strcmp(key, "type")) {
			if (starts(v, "pc-i440fx-") || !strcmp(v, "pc"))
				s = NOTE(" %s: the machine is a q35 all the same", v);
			else if (strcmp(v, "q35") && !starts(v, "pc-q35-"))
				s = BAD(" %s: no such machine (q35)", v);
		} else {
			s = !strcmp(key, "accel") ? accelerator(o, v, err) : machine_key(o, key, v, err);
		}
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

OPT_SET(accel)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	if (!*value)
		return BAD(": an accelerator is missing (tcg)");
	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		if (!key || !strcmp(key, "accel"))
			s = accelerator(o, v, err);
		else if (!opt_listed("thread tb-size split-wx one-insn-per-tb kernel-irqchip kvm-shadow-mem "
		                     "dirty-ring-size "
		                     "notify-vmexit eager-split-size igd-passthru",
		                     key))
			s = BAD(" %s: unknown key '%s'", value, key);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

OPT_SET(enable_kvm)
{
	(void)row;
	(void)value;
	if (o->kvm_noted)
		return ST_OK;
	o->kvm_noted = true;
	return NOTE(": there is no need: this processor is software and virtualises itself");
}

/* -msg timestamp=on, -overcommit mem-lock=on: keys with a switch. row->accepts lists the keys. */
OPT_SET(switches)
{
	const char *p = value;
	char *key, *v;
	bool on;

	if (!*value)
		return BAD(": a value is missing");
	while (opt_item(o, &p, &key, &v)) {
		if (!opt_listed(row->accepts, key ? key : v))
			return BAD(" %s: unknown key '%s' (%s)", value, key ? key : v, row->accepts);
		if (!opt_bool(key ? v : NULL, &on))
			return BAD(" %s=%s: on or off", key, v);
		if (on)
			return NOTE(" %s: has no effect", value);
	}
	return ST_OK;
}

OPT_SET(global)
{
	(void)row;
	if (!strchr(value, '=') || !strchr(value, '.'))
		return BAD(" %s: not DRIVER.PROPERTY=VALUE", value);
	return NOTE(" %s: has no effect", value);
}
