/* A bare processor with 64 MiB and nothing around it: for tests that put its state and the memory together themselves.
 */
#ifndef TESTS_BARE_H
#define TESTS_BARE_H

#include <stdio.h>
#include <stdlib.h>

#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "model/model.h"

#define BARE_RAM (64ull << 20)

struct pc {
	struct bus bus;
	struct clock clock;
	struct hooks hooks;
	struct code_cache *code;
	const struct decode_index *decode;
	void *mem;
	struct cpu *c, *all[1];
	const char *refused; /* of the last refused entry: the check's id, NULL: none; and the event */
	char event[128];
	void *own; /* the test's */
};

static void bare_refused(void *arg, struct cpu *c, const struct refusal *r)
{
	struct pc *p = arg;

	(void)c;
	if (r->kind == REFUSAL_ABORT && p->refused) /* what the way back from a refused entry ended in */
		return;
	p->refused = r->check;
	snprintf(p->event, sizeof(p->event), "%s", r->event);
}

static bool bare_init(struct pc *p, const char *model)
{
	struct feature_set feat;
	const struct cpu_model *m;
	struct err err;

	memset(p, 0, sizeof(*p));
	clock_init(&p->clock);
	p->hooks.arg = p;
	p->hooks.refused = bare_refused;
	if (model_parse(model, &m, &feat, &err) != ST_OK ||
	    bus_init(&p->bus, &p->clock, &p->hooks, BARE_RAM, 0x80000000, &err) != ST_OK ||
	    decode_index_new(&p->decode, m, &feat, &exec_dispatch) != ST_OK || code_cache_new(&p->code, &p->bus) != ST_OK)
		return false;
	p->mem = calloc(1, sizeof(struct cpu) + 64);
	p->c = (struct cpu *)(void *)(((uintptr_t)p->mem + 63) & ~(uintptr_t)63);
	p->all[0] = p->c;
	p->c->all = p->all;
	p->c->count = 1;
	p->c->code = p->code;
	p->c->decode = p->decode;
	return cpu_init(p->c, m, &feat, &p->bus, &err) == ST_OK;
}

static void bare_fini(struct pc *p)
{
	cpu_fini(p->c);
	code_cache_free(p->code);
	decode_index_free(p->decode);
	bus_fini(&p->bus);
	free(p->mem);
}

#endif
