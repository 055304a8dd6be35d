/*
 * What a monitor changes in a control block that lies in its memory (a VMCB): compared when the guest is entered with what
 * the last exit left there. One that is written by instructions of its own (a VMCS) tells each of them itself.
 */
#include "inspect/parts.h"

/* The fields of the block, without the host's, which are elsewhere. */
static size_t fields_now(const struct cpu *c, struct block_field out[BLOCK_FIELDS])
{
	const size_t all = c->virt->fields(c, out, BLOCK_FIELDS);
	size_t n = 0;

	for (size_t k = 0; k < all; k++)
		if (out[k].part != BLOCK_HOST)
			out[n++] = out[k];
	return n;
}

/* NULL: out of memory, and nothing is told. */
static struct block_seen *seen(struct inspect *i, unsigned guest)
{
	struct block_seen **b = &i->trace.block[guest];

	if (!*b)
		*b = base_alloc(sizeof(**b));
	return *b;
}

void block_left(struct inspect *i, const struct cpu *c)
{
	struct block_field f[BLOCK_FIELDS];
	struct block_seen *b = c->virt->block_in_memory && c->guest ? seen(i, guest_now(i, c)) : NULL;
	const size_t n = b ? fields_now(c, f) : 0;

	for (size_t k = 0; k < n; k++)
		b->value[k] = f[k].value;
}

void block_entered(struct inspect *i, struct cpu *c)
{
	struct block_field f[BLOCK_FIELDS];
	struct block_seen *b = c->virt->block_in_memory ? seen(i, guest_now(i, c)) : NULL;
	const size_t n = b ? fields_now(c, f) : 0;

	for (size_t k = 0; k < n; k++) {
		if (b->value[k] == f[k].value)
			continue;
		struct field_access a = {.write = true, .name = f[k].name, .value = f[k].value, .width = f[k].width};
		snprintf(a.decoded, sizeof(a.decoded), "was %s", hex(b->value[k], f[k].width).s);
		b->value[k] = f[k].value;
		trace_field(i, c, &a);
	}
}

void block_free(struct inspect *i)
{
	for (unsigned n = 0; n <= GUESTS; n++)
		base_free(i->trace.block[n]);
}
