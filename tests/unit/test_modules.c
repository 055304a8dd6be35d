/* The modules of a Linux kernel in its memory, which is made here: what is loaded has names, what is unloaded, or not finished yet, has
 * none; lists that lead in circles or into nothing, and counts of anything, cost no more than so many reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inspect/parts.h"
#include "rnd.h"
#include "symbols/symbols.h"

#define AT    0xffffffffc0000000ull
#define ROOM  0x20000
#define LIST  (AT + 0x100)
#define TEXT  0x10000 /* of the first module, from AT */
#define PARTS 20      /* functions of each */

static u8 memory[ROOM];
static u64 reads;

/* Instead of a processor's. */
size_t eye_read(const struct eye *e, la_t la, void *out, size_t size)
{
	size_t n = la - AT < ROOM ? min_u64(size, AT + ROOM - la) : 0;

	(void)e;
	reads++;
	memset(out, 0, size);
	memcpy(out, memory + (n ? la - AT : 0), n);
	return n;
}

static void put(u64 at, u64 v, unsigned n)
{
	memcpy(memory + (at - AT), &v, n);
}

struct made {
	u64 at, tables, symbols, strings, text;
};

/* struct module, its symbols and their names; `off`: where core_kallsyms is in this build. */
static struct made make_module(unsigned n, const char *name, unsigned off, bool letters)
{
	struct made m = {AT + 0x1000 + 0x4000 * n, 0, AT + 0x2000 + 0x4000 * n, AT + 0x3000 + 0x4000 * n, AT + TEXT + 0x4000 * n};

	m.tables = m.at + off + 8;
	strcpy((char *)memory + (m.at - AT) + 24, name);
	put(m.tables - 8, m.tables, 8);
	put(m.tables, m.symbols, 8);
	put(m.tables + 8, PARTS + 2, 4);
	put(m.tables + 16, m.strings, 8);
	for (unsigned k = 0; k < PARTS + 2; k++) { /* the first is empty, the last is data */
		u64 s = m.symbols + 24 * k, text = m.strings + 16 * k;
		snprintf((char *)memory + (text - AT), 16, "%.5s_%u", name, k);
		put(s, 16 * k, 4);
		put(s + 4, k > PARTS ? 1 : letters ? 't' : 2, 1);
		put(s + 8, k ? m.text + 0x40 * k : 0, 8);
		put(s + 16, k ? 0x30 : 0, 8);
	}
	return m;
}

static void link_to(u64 node, u64 next)
{
	put(node, next, 8);
}

struct world {
	struct cpu *c;
	struct clock clock;
	struct eye eye;
	struct kernel kernel;
	struct made alpha, beta;
};

static int start(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->c = calloc(1, sizeof(*w->c));
	w->c->clock = &w->clock;
	w->clock.now = 1000000000;
	w->eye.c = w->c;
	w->kernel.list = LIST;
	w->kernel.symbols = symbols_of_names(&(struct symbol_name){.value = LIST, .name = "modules"}, 1, LIST + 1);
	memset(memory, 0, sizeof(memory));
	w->alpha = make_module(0, "alpha", 0x1a0, false);
	w->beta = make_module(1, "beta", 0x348, true);
	link_to(LIST, w->beta.at + 8);
	link_to(w->beta.at + 8, w->alpha.at + 8);
	link_to(w->alpha.at + 8, LIST);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	modules_close(&w->kernel);
	symbols_close(w->kernel.symbols);
	free(w->c);
	free(w);
	return 0;
}

static bool ask(struct world *w, u64 la, char out[128])
{
	out[0] = 0;
	w->clock.now += 1000000;
	reads = 0;
	return modules_name(&w->kernel, &w->eye, la, out, 128);
}

static void is(struct world *w, u64 la, const char *want)
{
	char got[128];

	assert_int_equal(ask(w, la, got), want != NULL);
	if (want)
		assert_string_equal(got, want);
}

static void loaded(void **state)
{
	struct world *w = *state;

	is(w, w->alpha.text + 0x40, "alpha_1 [alpha]");
	is(w, w->alpha.text + 0x40 * PARTS + 0x2f, "alpha_20+0x2f [alpha]");
	is(w, w->beta.text + 0x40 * 7 + 3, "beta_7+0x3 [beta]");
	is(w, w->alpha.text, NULL);
	is(w, w->alpha.text + 0x40 * (PARTS + 1), NULL); /* data */
	is(w, AT + 0x1f000, NULL);
}

static void unloaded(void **state)
{
	struct world *w = *state;

	is(w, w->alpha.text + 0x40, "alpha_1 [alpha]");
	link_to(w->beta.at + 8, LIST);
	memset(memory + (w->alpha.at - AT), 0, 2048);
	is(w, w->alpha.text + 0x40, NULL);
	is(w, w->beta.text + 0x40, "beta_1 [beta]");
	/* Another one comes to its place. */
	w->alpha = make_module(0, "gamma", 0x1c0, false);
	link_to(w->alpha.at + 8, w->beta.at + 8);
	link_to(LIST, w->alpha.at + 8);
	is(w, w->alpha.text + 0x40, "gamma_1 [gamma]");
	is(w, w->beta.text + 0x40, "beta_1 [beta]");
}

/* Its symbols are elsewhere until it has been started. */
static void being_loaded(void **state)
{
	struct world *w = *state;

	put(w->beta.tables - 8, 0, 8);
	is(w, w->beta.text + 0x40, NULL);
	is(w, w->alpha.text + 0x40, "alpha_1 [alpha]");
	put(w->beta.tables - 8, w->beta.tables, 8);
	is(w, w->beta.text + 0x40, "beta_1 [beta]");
	is(w, AT + 0x1f000, NULL);
	is(w, AT + 0x1f000, NULL);
	assert_in_range(reads, 0, 8); /* an unknown address does not make it read the list once more */
}

/* What is being started has other tables then, and both are found: the place of the pointer is the same in all modules. */
static void being_started(void **state)
{
	struct world *w = *state;
	const u64 early = AT + 0x1e000;

	w->beta = make_module(1, "beta", 0x1a0, false);
	memcpy(memory + (early - AT), memory + (w->beta.tables - AT), 24);
	put(w->beta.tables - 8, early, 8);
	memset(memory + (w->beta.tables - AT), 0, 24);
	is(w, w->beta.text + 0x44, "beta_1+0x4 [beta]");
	memcpy(memory + (w->beta.tables - AT), memory + (early - AT), 24);
	put(w->beta.tables - 8, w->beta.tables, 8);
	memset(memory + (early - AT), 0, 24);
	is(w, w->beta.text + 0x44, "beta_1+0x4 [beta]");
	is(w, w->alpha.text + 0x40, "alpha_1 [alpha]");
}

static void hostile(void **state)
{
	static const u64 values[] = {0, 1, 0xffff, 0x10000, 0xffffffff, UINT64_MAX, LIST, AT, AT + ROOM - 4, AT + 0x1008};
	struct world *w = *state;
	char got[128];
	u64 most = 0;

	link_to(w->alpha.at + 8, w->beta.at + 8); /* a circle */
	is(w, w->alpha.text + 0x40, "alpha_1 [alpha]");
	for (unsigned turn = 0; turn < 400; turn++) {
		u64 tables = rnd() & 1 ? w->alpha.tables : w->beta.tables;
		u64 at = rnd() % 3 == 0 ? tables - 8 + 8 * (rnd() % 4) : AT + 8 * (rnd() % (ROOM / 8));
		put(rnd() % 5 ? at : LIST, rnd() % 4 ? values[rnd() % ARRAY_LEN(values)] : rnd(), 8);
		if (turn % 40 == 0) {
			w->alpha = make_module(0, "al\x1b[1m\"", 0x1a0, false);
			link_to(LIST, w->alpha.at + 8);
		}
		if (ask(w, w->alpha.text + 0x40 * (rnd() % PARTS), got))
			for (const char *p = got; *p; p++)
				assert_true(*p >= ' ' && *p != '"' && *p != 0x7f);
		most = reads > most ? reads : most;
	}
	assert_in_range(most, 100, 3u << 18); /* all symbols that one look at the list may read, with their names */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(loaded, start, end),
	        cmocka_unit_test_setup_teardown(unloaded, start, end),
	        cmocka_unit_test_setup_teardown(being_loaded, start, end),
	        cmocka_unit_test_setup_teardown(being_started, start, end),
	        cmocka_unit_test_setup_teardown(hostile, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
