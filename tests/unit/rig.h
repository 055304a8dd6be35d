/*
 * A machine with one processor of any model, the real decoder and 16 MiB, for tests of what a processor does by itself. It
 * remembers the events that were delivered.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "model/model.h"

struct rig {
	struct clock clock;
	struct hooks hooks;
	struct bus bus;
	struct cpu *c, *all[1];
	struct code_cache *code;
	const struct decode_index *index;
	struct event last;
	unsigned events;
	struct event first; /* the first exception; EV_NONE: none yet */
	u64 first_rip;      /* where it was raised */
};

static void rig_event(void *arg, struct cpu *c, const struct event *e)
{
	struct rig *r = arg;

	r->last = *e;
	r->events++;
	if (r->first.type != EV_NONE || e->type != EV_HW)
		return;
	r->first = *e;
	r->first_rip = c->r[REG_RIP];
}

static struct rig *rig_new(const char *spec)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct cpu_model *m;
	struct feature_set f;
	struct err err;

	assert_int_equal(model_parse(spec, &m, &f, &err), ST_OK);
	clock_init(&r->clock);
	r->hooks = (struct hooks){.arg = r, .trace = TRACE_INT, .event = rig_event};
	assert_int_equal(bus_init(&r->bus, &r->clock, &r->hooks, 16 << 20, 16 << 20, &err), ST_OK);
	assert_int_equal(decode_index_new(&r->index, m, &f, &exec_dispatch), ST_OK);
	assert_int_equal(code_cache_new(&r->code, &r->bus), ST_OK);
	r->c = calloc(1, sizeof(*r->c));
	r->all[0] = r->c;
	r->c->all = r->all;
	r->c->count = 1;
	r->c->code = r->code;
	r->c->decode = r->index;
	assert_int_equal(cpu_init(r->c, m, &f, &r->bus, &err), ST_OK);
	return r;
}

static void rig_free(struct rig *r)
{
	cpu_fini(r->c);
	free(r->c);
	code_cache_free(r->code);
	decode_index_free(r->index);
	bus_fini(&r->bus);
	free(r);
}

#endif
