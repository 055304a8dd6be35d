/*
 * smi_storm [-b BITS] [-s STEP] [-n LEAST] [-r] run OPTION...: SMIs leave no trace. The machine runs twice, with handlers in
 * locked SMRAM: once quietly, and once with an SMI on each processor whenever a random number of ticks, up to 2 to the BITS,
 * has passed, time frozen while one is handled. After every STEP instructions all rows of the processors are compared, at the
 * end what was printed and the state hash, SMRAM apart. LEAST: so many SMIs there must have been; -r: the handlers are RSM
 * alone. The exit status is the machine's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "smi_handler.h"

struct settings {
	u8 bits;
	u64 step, least;
	enum smi_work work;
	int argc;
	char **argv;
};

/* What the quiet run leaves for the other. */
struct steps {
	u8 *rows; /* of every step, one behind the other */
	size_t used, room, at;
};

struct outcome {
	ts_stop why;
	u32 value;
	char hash[20];
	FILE *printed;
	u64 smis;
	u32 wrong;
};

static void fail(const char *text)
{
	fprintf(stderr, "smi_storm: %s\n", text);
	exit(1);
}

static struct machine *machine_of(const struct cpu *c)
{
	return (struct machine *)(void *)((char *)c->bus - offsetof(struct machine, bus));
}

/* ---- rows ---- */

struct table {
	const struct state_row *rows;
	size_t count;
	void *owner;
};

static void tables_of(struct cpu *c, struct table t[3])
{
	t[0] = (struct table){cpu_rows, cpu_row_count, c};
	t[1] = (struct table){apic_rows, apic_row_count, &c->apic};
	t[2] = (struct table){c->virt->life.rows, c->virt->life.row_count, c->virt_state};
}

/* What an SMI changes by its nature: that one is pending, how often there was one, and since when the guest has been running. */
static bool apart(const struct state_row *r)
{
	static const char *const names[] = {"pend", "guest_since", "guest_insns", "smi_count", "smi_io"};

	for (size_t n = 0; n < ARRAY_LEN(names); n++)
		if (!strcmp(r->name, names[n]))
			return true;
	return false;
}

static void keep(struct steps *s, const u8 *from, size_t bytes)
{
	if (s->used + bytes > s->room) {
		s->room = 2 * (s->used + bytes);
		s->rows = realloc(s->rows, s->room);
		if (!s->rows)
			fail("out of memory");
	}
	memcpy(s->rows + s->used, from, bytes);
	s->used += bytes;
}

static void same(struct steps *s, const struct cpu *c, const struct state_row *r, const u8 *now, size_t bytes)
{
	if (s->at + bytes > s->used)
		fail("the run with SMIs is longer");
	if (!apart(r) && memcmp(s->rows + s->at, now, bytes) != 0) {
		fprintf(stderr, "smi_storm: processor %u, %llu instructions of its own, at %llx%s, %u SMIs: %s differs:\n",
		        c->index, (unsigned long long)c->insns, (unsigned long long)c->r[REG_RIP], c->smm ? " in SMM" : "",
		        smi_handled(machine_of(c), c->index), r->name);
		for (size_t k = 0; k < bytes && k < 64; k++)
			fprintf(stderr, "%02x/%02x ", s->rows[s->at + k], now[k]);
		fprintf(stderr, "\n");
		exit(1);
	}
	s->at += bytes;
}

static void look(struct steps *s, struct machine *m, bool storm)
{
	for (unsigned k = 0; k < m->count; k++) {
		struct table t[3];

		flags_set(m->cpus[k], flags_get(m->cpus[k]));
		tables_of(m->cpus[k], t);
		for (unsigned n = 0; n < 3; n++)
			for (size_t r = 0; r < t[n].count; r++) {
				const struct state_row *row = &t[n].rows[r];
				const u8 *at = (const u8 *)t[n].owner + row->offset;
				size_t bytes = (size_t)row->width * row->count;

				if (storm)
					same(s, m->cpus[k], row, at, bytes);
				else
					keep(s, at, bytes);
			}
	}
}

/* ---- a run ---- */

static void begin_storm(struct machine *m, u8 bits)
{
	for (unsigned k = 0; k < m->count; k++) {
		m->cpus[k]->stress.smi_bits = bits;
		m->cpus[k]->stress.smi_random = 0x1234567 + k;
	}
}

static void text(void *arg, const char *from, size_t n)
{
	char *to = arg;

	memcpy(to, from, min_u64(n, 16));
}

static struct outcome run(const struct settings *set, struct steps *steps, bool storm)
{
	struct outcome o = {.why = TS_LIMIT, .printed = tmpfile()};
	int out = dup(STDOUT_FILENO);
	char err[600];
	ts_machine *t;

	fflush(stdout);
	if (!o.printed || out < 0 || dup2(fileno(o.printed), STDOUT_FILENO) < 0)
		fail("no temporary file");
	if (ts_create(set->argc, (const char *const *)set->argv, &t, err, sizeof(err)) != TS_OK)
		fail(err);

	struct machine *m = machine_of(api_cpu(t, 0));

	if (m->count > SMI_CPUS)
		fail("too many processors");
	smi_firmware(m, set->work);
	for (unsigned k = 0; k < m->count; k++)
		m->cpus[k]->stress.freeze_smm = true;
	if (storm)
		begin_storm(m, set->bits);
	while (o.why == TS_LIMIT) {
		ts_run(t, set->step, &o.why, &o.value);
		look(steps, m, storm);
	}
	for (unsigned k = 0; k < m->count; k++) {
		o.smis += smi_handled(m, k);
		m->cpus[k]->smi_count = 0; /* the hash is over what does not stand apart() */
		memset(&m->cpus[k]->smi_io, 0, sizeof(m->cpus[k]->smi_io));
	}
	o.wrong = smi_wrong(m);
	smi_forget(m);
	ts_report(t, "hash", text, o.hash);
	ts_destroy(t);
	dup2(out, STDOUT_FILENO);
	close(out);
	return o;
}

/* ---- and their comparison ---- */

static bool same_output(FILE *a, FILE *b)
{
	int x, y;

	rewind(a);
	rewind(b);
	do {
		x = getc(a);
		y = getc(b);
	} while (x == y && x != EOF);
	return x == y;
}

static void show(FILE *f)
{
	rewind(f);
	for (int ch; (ch = getc(f)) != EOF;)
		putchar(ch);
}

static int status_of(const struct outcome *o)
{
	return o->why == TS_POWEROFF ? 0 : o->why == TS_EXIT_PORT ? (int)(((o->value << 1) | 1) & 255) : 4;
}

static void parse(struct settings *s, int argc, char **argv)
{
	for (int opt; (opt = getopt(argc, argv, "+b:s:n:r")) != -1;) {
		switch (opt) {
		case 'b': s->bits = (u8)strtoul(optarg, NULL, 10); break;
		case 's': s->step = strtoull(optarg, NULL, 10); break;
		case 'n': s->least = strtoull(optarg, NULL, 10); break;
		case 'r': s->work = SMI_RSM; break;
		default: fail("-b BITS, -s STEP, -n LEAST, -r");
		}
	}
	if (optind >= argc || strcmp(argv[optind], "run") != 0)
		fail("run OPTION...");
	s->argc = argc - optind + 1;
	s->argv = argv + optind - 1;
	s->argv[0] = (char *)(uintptr_t) "turnstile";
}

int main(int argc, char **argv)
{
	struct settings s = {.bits = 12, .step = 1000000, .work = SMI_ALL};
	struct steps steps = {0};

	parse(&s, argc, argv);

	struct outcome quiet = run(&s, &steps, false), storm = run(&s, &steps, true);

	show(storm.printed);
	printf("smi_storm: %llu SMIs, state %s\n", (unsigned long long)storm.smis, storm.hash);
	if (quiet.why != storm.why || quiet.value != storm.value || steps.at != steps.used)
		fail("another end");
	if (!same_output(quiet.printed, storm.printed))
		fail("something else was printed");
	if (quiet.smis || storm.wrong || storm.smis < s.least)
		fail("not so many SMIs, or one found a wrong state");
	if (strcmp(quiet.hash, storm.hash) != 0)
		fail("another state");
	free(steps.rows);
	return status_of(&storm);
}
