#include "api/conditions.h"

#include <inttypes.h>

bool condition_add(struct condition_list *l, const char *id, const char *option)
{
	struct condition *k = l->at;

	while (k < l->at + l->n && strcmp(k->id, id))
		k++;
	if (k == l->at + CONDITIONS)
		return false;
	if (k == l->at + l->n)
		*k = (struct condition){.id = id}, l->n++;
	k->option = option;
	k->times++;
	return true;
}

static bool taken_off(struct condition_list *expect, const char *id)
{
	for (struct condition *k = expect->at; k < expect->at + expect->n; k++) {
		if (k->came == k->times || strcmp(k->id, id))
			continue;
		k->came++;
		return true;
	}
	return false;
}

/* What is told like a refusal but is none: a guest's own triple fault, and tables that monitors make invalid on purpose,
 * to be told of every access to a device. */
static bool covers(const struct condition *k, const struct inspect_event *e)
{
	if (!strcmp(k->id, "sanitize"))
		return e->kind == INSPECT_SANITIZE;
	if (!strcmp(k->id, "refused"))
		return e->kind == INSPECT_REFUSED && e->refusal != REFUSAL_SHUTDOWN && e->refusal != REFUSAL_PAGING;
	return !strcmp(k->id, e->id);
}

const struct condition *condition_met(const struct condition_list *fail_on, struct condition_list *expect,
                                      const struct inspect_event *e)
{
	if ((e->kind != INSPECT_REFUSED && e->kind != INSPECT_SANITIZE) || taken_off(expect, e->id))
		return NULL;
	for (unsigned n = 0; n < fail_on->n; n++)
		if (covers(&fail_on->at[n], e))
			return &fail_on->at[n];
	return NULL;
}

void conditions_unmet(const struct condition_list *expect, FILE *f)
{
	for (unsigned n = 0; n < expect->n; n++) {
		const struct condition *k = &expect->at[n];

		if (k->came == k->times)
			continue;
		fprintf(f, "%s %s: was expected and did not come", k->option, k->id);
		if (k->times > 1)
			fprintf(f, " (%" PRIu64 " of %" PRIu64 " came)", k->came, k->times);
		fputc('\n', f);
	}
}
