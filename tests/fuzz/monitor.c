/*
 * Lines to the monitor and bytes to QMP: what clients send, spoiled, cut and joined. Whatever comes, the machine stays one that can
 * go on, JSON that is taken for well formed has its parts inside itself, and all that is read is done with or waited for.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "monitor/parts.h"

enum { STEPS = 40, SLOW_SECONDS = 10 };
#define RAM (4ull << 20)

static const char *const lines[] = {
        "info registers -a", "info mem", "info tlb", "info status", "info cpus", "x/8xg 0x100000", "xp/4096xb 0", "x/3dw $sp",
        "xp/2c 0xb8000", "x/1oh $pc", "cpu 0", "cpu 7", "sendkey ctrl-alt-delete", "sendkey a-b-c-d-e-f-g", "stop", "cont", "help", "system_reset",
        "system_powerdown", "screendump", "x/99999999999999999999xg 0", "xp/1xg 0xffffffffffffffff", "x/", "info",
};
static const char *const commands[] = {
        "{\"execute\": \"qmp_capabilities\"}", "{\"execute\": \"query-status\", \"id\": [1, {\"a\": \"\\u0041\"}]}",
        "{\"execute\": \"query-commands\"}", "{\"execute\": \"stop\"}{\"execute\": \"cont\"}", "{\"execute\": \"nothing\", \"arguments\": {}}",
        "{\"execute\": \"send-key\", \"arguments\": {\"keys\": [{\"type\": \"qcode\", \"data\": \"ctrl\"}, {\"type\": \"qcode\", \"data\": \"a\"}]}}",
        "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"info registers\"}}",
        "{\"execute\": \"system_reset\"}", "{\"arguments\": [true, false, null, -1.5e3], \"execute\": \"system_powerdown\"}", "[[[[[[[[[[[[[[[[[[[[",
};

/* One of them as it is, or with bytes changed, or cut off. */
static size_t spoil(struct rng *r, const char *text, char *out, size_t room)
{
	size_t n = min_u64(strlen(text), room - 1);

	memcpy(out, text, n);
	if (rng_one_in(r, 2))
		for (u64 k = rng_below(r, 4); k-- && n;)
			out[rng_below(r, n)] = (char)(rng_one_in(r, 3) ? rng_next(r) : (u64) "{}[]\",:\\ 0-/"[rng_below(r, 12)]);
	if (rng_one_in(r, 8))
		n = rng_below(r, n + 1);
	out[n] = 0;
	return n;
}

/* Pictures are files: none is written here. */
static void say_line(struct rng *r, struct monitor *mon)
{
	char line[256], *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		fuzz_fail("no memory");
	spoil(r, RNG_PICK(r, lines), line, sizeof(line));
	if (strncmp(line, "screendump ", 11) != 0)
		monitor_line(mon, line, f);
	fclose(f);
	free(text);
}

static void inside(struct json whole, struct json part)
{
	if (part.n && (part.at < whole.at || part.at + part.n > whole.at + whole.n))
		fuzz_fail("a part of JSON lies outside");
}

static void read_json(const char *text, size_t n)
{
	long k = json_value(text, n);
	struct json whole = {text, k > 0 ? (size_t)k : 0}, part;
	char name[64];

	if (k > (long)n)
		fuzz_fail("longer than what there is");
	if (k <= 0)
		return;
	fuzz_count("JSON");
	if (json_member(whole, "arguments", &part))
		inside(whole, part);
	for (unsigned i = 0; json_element(whole, i, &part); i++)
		inside(whole, part);
	(void)json_string(whole, name, sizeof(name));
}

static void say_bytes(struct rng *r, struct monitor *mon, struct client *c)
{
	char text[512], *copy;
	size_t n = spoil(r, RNG_PICK(r, commands), text, sizeof(text));

	copy = malloc(n + 1); /* no byte behind it is anybody's */
	memcpy(copy, text, n);
	read_json(copy, n);
	free(copy);
	n = min_u64(n, MONITOR_INPUT - c->used);
	memcpy(c->input + c->used, text, n);
	c->used += n;
	for (size_t done = 1; done && c->used;) {
		done = qmp_feed(mon, c);
		if (done > c->used)
			fuzz_fail("more was taken than there was");
		c->used -= done;
		memmove(c->input, c->input + done, c->used);
	}
	if (c->used == MONITOR_INPUT)
		fuzz_fail("what does not fit is waited for");
}

static void one(struct rng *r)
{
	const struct monitor_options none = {.count = 0};
	static struct client c;
	struct machine_config cfg;
	struct monitor *mon;
	struct err err;

	fuzz_config(&cfg, rng_one_in(r, 2) ? "amd" : "intel", RAM);
	cfg.vga = MACHINE_VGA_STD;
	struct machine *m = fuzz_machine(&cfg);
	if (monitor_new(&mon, m, &none, &err) != ST_OK)
		fuzz_fail("%s", err.text);
	c = (struct client){.fd = -1, .qmp = true};
	for (unsigned n = 0; n < STEPS; n++) {
		if (rng_one_in(r, 2))
			say_line(r, mon);
		else
			say_bytes(r, mon, &c);
		mon->stopped = false;
		if (rng_one_in(r, 4) && machine_run(m, 1 + rng_below(r, 200), &err) == MSTOP_INTERNAL)
			fuzz_fail("machine_run: %.100s", err.text);
		fuzz_check_cpu(m->cpus[0]);
	}
	if (fuzz_case_seconds() > SLOW_SECONDS)
		fuzz_fail("takes too long");
	monitor_free(mon);
	machine_destroy(m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-monitor", one);
}
