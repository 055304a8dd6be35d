/*
 * reload CPU KERNEL: rows are all there is. The kernel runs in two machines; in one of them, every thousand
 * instructions, the rows of everything are kept, every device is reset and its timers are taken away, the rows are
 * written back and the devices told so. Both machines must go the same way to the end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dev/dev.h"
#include "machine/machine.h"
#include "model/model.h"

#define PIECE 1000

static void fail(const char *text)
{
	fprintf(stderr, "reload: %s\n", text);
	exit(1);
}

static struct machine *build(const char *cpu, const char *kernel)
{
	struct machine_config *cfg = calloc(1, sizeof(*cfg));
	struct machine *m = NULL;
	struct err err = {0};

	cfg->ram = 256ull << 20;
	cfg->cpus = 1;
	cfg->kernel = (char *)(uintptr_t)kernel;
	cfg->serial[0] = cfg->serial[1] = (char *)(uintptr_t) "null";
	cfg->testdev = true;
	cfg->rngs = 1;
	if (model_parse(cpu, &cfg->model, &cfg->feat, &err) != ST_OK || machine_create(&m, cfg, &err) != ST_OK)
		fail(err.text);
	return m;
}

/* ---- every row of a machine: kept, written back ---- */

struct image {
	u8 data[1 << 20];
	size_t used;
};

static void move(struct image *i, bool write, const struct state_row *rows, size_t n, void *owner)
{
	for (size_t k = 0; k < n; k++) {
		size_t bytes = (size_t)rows[k].width * rows[k].count;
		u8 *at = (u8 *)owner + rows[k].offset;
		if (i->used + bytes > sizeof(i->data))
			fail("more rows than room");
		memcpy(write ? at : i->data + i->used, write ? i->data + i->used : at, bytes);
		i->used += bytes;
	}
}

static void move_all(struct image *i, bool write, struct machine *m)
{
	struct cpu *c = m->cpus[0];

	i->used = 0;
	flags_set(c, flags_get(c));
	move(i, write, cpu_rows, cpu_row_count, c);
	move(i, write, apic_rows, apic_row_count, &c->apic);
	move(i, write, machine_rows, machine_row_count, m);
	for (struct device *d = m->devices; d; d = d->next)
		move(i, write, d->ops->rows, d->ops->row_count, d);
}

/* Timers of devices: those whose owner is no processor. */
static void take_timers(struct machine *m)
{
	const u8 *from = m->cpu_mem[0], *to = from + sizeof(struct cpu) + 64;

	for (struct timer *t = m->clock.first, *next; t; t = next) {
		next = t->next;
		if ((const u8 *)t < from || (const u8 *)t >= to)
			timer_disarm(t);
	}
}

static void reload(struct machine *m, struct image *i)
{
	u8 attention = m->cpus[0]->attention;

	move_all(i, false, m);
	pc_reset(m);
	take_timers(m);
	move_all(i, true, m);
	m->cpus[0]->attention = attention;
	pc_loaded(m);
}

int main(int argc, char **argv)
{
	static struct image a, b;
	unsigned pieces = 0;

	if (argc != 3)
		fail("CPU KERNEL");
	struct machine *plain = build(argv[1], argv[2]), *m = build(argv[1], argv[2]);
	struct err err;
	for (enum machine_stop why = MSTOP_LIMIT; why == MSTOP_LIMIT; pieces++) {
		if (machine_run(plain, PIECE, &err) != (why = machine_run(m, PIECE, &err)))
			fail("one ended before the other");
		move_all(&a, false, plain);
		reload(m, &b);
		if (a.used != b.used || memcmp(a.data, b.data, a.used)) {
			fprintf(stderr, "reload: after %u pieces, at %llu instructions\n", pieces,
			        (unsigned long long)machine_insns(plain));
			fail("the rows are others than without it");
		}
	}
	if (memcmp(plain->bus.memory, m->bus.memory, plain->bus.ram_size))
		fail("memory is another");
	printf("%u times loaded\nchecks: %u\n", pieces, pieces + 1);
	machine_destroy(m);
	machine_destroy(plain);
	return pieces > 10 ? 0 : 1;
}
