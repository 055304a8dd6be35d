/* The commands. */
#include "monitor/parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cpu/state/flags.h"

struct words {
	struct monitor *mon;
	FILE *f;
	char text[MONITOR_INPUT + 1];
	char *word[8];
	unsigned count;
};

/* ---- what QMP asks for as well ---- */

void monitor_stop(struct monitor *mon, bool stop)
{
	if (mon->stopped == stop)
		return;
	mon->stopped = stop;
	qmp_event(mon, stop ? "STOP" : "RESUME", NULL);
}

void monitor_quit(struct monitor *mon)
{
	mon->m->door.typed = true;
	mon->quit = true;
	pc_stop(mon->m, MSTOP_POWEROFF, 0);
}

void monitor_reset(struct monitor *mon)
{
	mon->m->door.typed = true;
	mon->m->platform.reset(mon->m->platform.arg);
}

void monitor_power_button(struct monitor *mon)
{
	mon->m->door.typed = true;
	acpipm_power_button(mon->m->pm);
	qmp_event(mon, "POWERDOWN", NULL);
}

bool monitor_dump(struct monitor *mon, const char *path, const char *format, struct err *err)
{
	if (strcmp(format, "ppm") != 0 && strcmp(format, "png") != 0) {
		err_set(err, ST_ARG, "%.40s: ppm or png", format);
		return false;
	}
	return screen_dump(mon->m, format[1] == 'p' ? DISPLAY_PPM : DISPLAY_PNG, path, err) == ST_OK;
}

/* ---- registers ---- */

static void put_segment(struct cpu *c, FILE *f, const char *name, unsigned n)
{
	const struct seg *s = &c->seg[n];

	fprintf(f, "%-3s=%04x %016" PRIx64 " %08x %05x\n", name, s->sel, s->base, s->limit, s->ar);
}

static void put_registers(struct cpu *c, FILE *f)
{
	static const char *const name[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
	                                     "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
	static const u8 order[16] = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
	static const char segs[SEG_COUNT][4] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"};

	fprintf(f, "CPU#%u\n", c->index);
	for (unsigned n = 0; n < 16; n++)
		fprintf(f, "%s=%016" PRIx64 "%c", name[order[n]], c->r[order[n]], n % 4 == 3 ? '\n' : ' ');
	fprintf(f, "RIP=%016" PRIx64 " RFL=%08x CPL=%u HLT=%d%s\n", c->r[REG_RIP], flags_get(c), c->cpl, c->activity == ACT_HLT,
	        c->guest ? " guest" : "");
	for (unsigned n = 0; n < SEG_COUNT; n++)
		put_segment(c, f, segs[n], n);
	fprintf(f, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n", c->gdtr.base, c->gdtr.limit, c->idtr.base,
	        c->idtr.limit);
	fprintf(f, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64 "\n", c->cr0, c->cr2, c->cr3, c->cr4);
	fprintf(f, "DR6=%016" PRIx64 " DR7=%016" PRIx64 " EFER=%016" PRIx64 "\n", c->dr6, c->dr7, c->efer);
}

static void info(struct words *w)
{
	struct machine *m = w->mon->m;
	const char *what = w->count > 1 ? w->word[1] : "";
	struct cpu *c = m->cpus[w->mon->cpu];

	if (!strcmp(what, "registers")) {
		bool all = w->count > 2 && !strcmp(w->word[2], "-a");
		for (unsigned n = 0; n < m->count; n++)
			if (all || n == w->mon->cpu)
				put_registers(m->cpus[n], w->f);
	} else if (!strcmp(what, "mem")) {
		paging_ranges(c, w->f);
	} else if (!strcmp(what, "tlb")) {
		paging_pages(c, w->f);
	} else if (!strcmp(what, "status")) {
		fprintf(w->f, "VM status: %s\n", w->mon->stopped ? "paused" : "running");
	} else if (!strcmp(what, "cpus")) {
		for (unsigned n = 0; n < m->count; n++)
			fprintf(w->f, "%c CPU #%u: %s\n", n == w->mon->cpu ? '*' : ' ', n,
			        m->cpus[n]->activity == ACT_RUN ? "runs" : "waits");
	} else {
		fprintf(w->f, "info: registers [-a], mem, tlb, status or cpus\n");
	}
}

/* ---- memory ---- */

static bool number(struct words *w, const char *s, u64 *v)
{
	char *end;

	*v = strtoull(s, &end, 0);
	if (*s && *s != '-' && !*end)
		return true;
	if (!strcmp(s, "$pc") || !strcmp(s, "$rip"))
		*v = w->mon->m->cpus[w->mon->cpu]->r[REG_RIP];
	else if (!strcmp(s, "$sp") || !strcmp(s, "$rsp"))
		*v = w->mon->m->cpus[w->mon->cpu]->r[REG_RSP];
	else
		return false;
	return true;
}

struct format {
	u64 count;
	char how;
	unsigned size;
};

/* "/4xg": how many, how, how large; what is not said stays. false: no such format. */
static bool read_format(const char *s, struct format *f)
{
	char *end;

	*f = (struct format){.count = 1, .how = 'x', .size = 4};
	f->count = strtoull(s, &end, 10);
	if (end == s)
		f->count = 1;
	for (s = end; *s; s++) {
		if (strchr("xduoc", *s))
			f->how = *s;
		else if (strchr("bhwg", *s))
			f->size = *s == 'b' ? 1 : *s == 'h' ? 2 : *s == 'w' ? 4 : 8;
		else
			return false;
	}
	return f->count && f->count <= 4096;
}

/* Nothing is asked of devices. */
static bool read_memory(struct words *w, bool physical, u64 at, void *to, unsigned n)
{
	struct machine *m = w->mon->m;

	for (unsigned i = 0; i < n; i++) {
		u64 pa = at + i;
		if (!physical && !paging_find(m->cpus[w->mon->cpu], at + i, &pa))
			return false;
		const u8 *p = bus_memory(&m->bus, pa);
		if (!p)
			return false;
		((u8 *)to)[i] = *p;
	}
	return true;
}

static void put_value(FILE *f, const struct format *how, u64 v)
{
	s64 s = sign_extend(v, 8 * how->size);

	switch (how->how) {
	case 'd': fprintf(f, " %" PRId64, s); break;
	case 'u': fprintf(f, " %" PRIu64, v); break;
	case 'o': fprintf(f, " 0%" PRIo64, v); break;
	case 'c': fprintf(f, " '%c'", v >= ' ' && v < 0x7f ? (char)v : '.'); break;
	default: fprintf(f, " 0x%0*" PRIx64, (int)(2 * how->size), v); break;
	}
}

static void examine(struct words *w)
{
	bool physical = !strncmp(w->word[0], "xp", 2);
	const char *slash = strchr(w->word[0], '/');
	struct format how;
	u64 at, v = 0;

	if (!read_format(slash ? slash + 1 : "", &how) || w->count != 2 || !number(w, w->word[1], &at)) {
		fprintf(w->f, "%s/COUNT FORMAT SIZE ADDRESS: up to 4096, x d u o or c, b h w or g\n", physical ? "xp" : "x");
		return;
	}
	for (u64 n = 0; n < how.count; n++, at += how.size) {
		if (n % (16 / how.size) == 0)
			fprintf(w->f, "%s%016" PRIx64 ":", n ? "\n" : "", at);
		if (!read_memory(w, physical, at, &v, how.size)) {
			fprintf(w->f, " Cannot access memory");
			break;
		}
		put_value(w->f, &how, v);
	}
	fprintf(w->f, "\n");
}

/* ---- the others ---- */

static void dump(struct words *w)
{
	struct err err;
	const char *format = w->count == 4 && !strcmp(w->word[2], "-f") ? w->word[3] : "ppm";

	if (w->count != 2 && w->count != 4)
		fprintf(w->f, "screendump FILE [-f ppm|png]\n");
	else if (!monitor_dump(w->mon, w->word[1], format, &err))
		fprintf(w->f, "Error: %s\n", err.text);
}

static void send_key(struct words *w)
{
	if (w->count < 2 || !keys_press(w->mon->keys, w->word[1]))
		fprintf(w->f, "sendkey: %s: not keys joined by '-', or too many are waiting\n", w->count > 1 ? w->word[1] : "nothing");
}

static void choose_cpu(struct words *w)
{
	u64 n;

	if (w->count == 2 && number(w, w->word[1], &n) && n < w->mon->m->count)
		w->mon->cpu = (unsigned)n;
	else
		fprintf(w->f, "cpu: a processor's number is meant, below %u\n", w->mon->m->count);
}

static void reset(struct words *w)
{
	monitor_reset(w->mon);
}

static void power_button(struct words *w)
{
	monitor_power_button(w->mon);
}

static void quit(struct words *w)
{
	monitor_quit(w->mon);
}

static void stop(struct words *w)
{
	monitor_stop(w->mon, true);
}

static void go_on(struct words *w)
{
	monitor_stop(w->mon, false);
}

static void help(struct words *w);

static const struct command {
	const char *name, *args, *help;
	void (*run)(struct words *w);
} commands[] = {
        {"info", "registers [-a]|mem|tlb|status|cpus", "show registers, mapped ranges, mapped pages", info},
        {"x", "/FORMAT ADDRESS", "memory by linear address", examine},
        {"xp", "/FORMAT ADDRESS", "memory by physical address", examine},
        {"cpu", "N", "the processor that info and x are about", choose_cpu},
        {"screendump", "FILE [-f ppm|png]", "the screen as a picture", dump},
        {"sendkey", "KEY[-KEY...]", "press keys and let them go", send_key},
        {"stop", "", "let the machine stand still", stop},
        {"cont", "", "let it go on", go_on},
        {"system_reset", "", "reset it", reset},
        {"system_powerdown", "", "press its power button", power_button},
        {"quit", "", "end it", quit},
        {"help", "", "this", help},
};

static void help(struct words *w)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(w->f, "%s%s%s -- %s\n", commands[i].name, *commands[i].args && *commands[i].args != '/' ? " " : "",
		        commands[i].args, commands[i].help);
}

static const struct command *find(const char *word)
{
	static const struct {
		const char *name, *means;
	} other[] = {{"c", "cont"}, {"s", "stop"}, {"q", "quit"}, {"?", "help"}};
	size_t n = strcspn(word, "/");

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (!strcmp(word, other[i].name))
			return find(other[i].means);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strlen(commands[i].name) == n && !memcmp(commands[i].name, word, n) &&
		    (!word[n] || commands[i].args[0] == '/'))
			return &commands[i];
	return NULL;
}

void monitor_line(struct monitor *mon, const char *line, FILE *f)
{
	struct words w = {.mon = mon, .f = f};
	char *rest;

	snprintf(w.text, sizeof(w.text), "%s", line);
	for (char *p = strtok_r(w.text, " \t\r\n", &rest); p && w.count < ARRAY_LEN(w.word); p = strtok_r(NULL, " \t\r\n", &rest))
		w.word[w.count++] = p;
	if (!w.count)
		return;
	const struct command *c = find(w.word[0]);
	if (c)
		c->run(&w);
	else
		fprintf(f, "unknown command: '%.80s'; help lists them\n", w.word[0]);
}
