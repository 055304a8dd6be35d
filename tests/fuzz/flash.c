/*
 * Flash under commands that make little sense, from processors in and out of system management mode and from devices, with
 * rows written from outside and resets in between. A bit never rises but by an erase, what smm_only keeps out changes
 * nothing, and no access leaves the chip. Built with a copy of the device under sanitizers.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "dev/flash.h"

enum { SIZE = 8 * FLASH_BLOCK, STEPS = 300 };
#define BASE (0x100000000ull - SIZE)

struct board {
	struct clock clock;
	struct hooks hooks;
	struct bus bus;
	struct device *flash;
	u8 before[SIZE];
	const u8 *array;
};

static u8 command(struct rng *r)
{
	static const u8 known[] = {0xff, 0x90, 0x98, 0x70, 0x50, 0xe8, 0x40, 0x10, 0x20, 0x60, 0xd0, 0xb0, 0x01};

	return rng_one_in(r, 4) ? (u8)rng_next(r) : RNG_PICK(r, known);
}

static struct initiator who(struct rng *r)
{
	const struct initiator all[] = {{.by = BY_CPU}, {.by = BY_CPU, .smm = true}, {.by = BY_DEVICE, .id = 8}, {.by = BY_DEBUGGER}};

	return RNG_PICK(r, all);
}

static void access_chip(struct board *b, struct rng *r, bool smm_only)
{
	u8 data[16];
	struct initiator me = who(r);
	u64 n = 1 + rng_below(r, sizeof(data)), at = BASE + rng_below(r, SIZE - sizeof(data));

	for (unsigned k = 0; k < n; k++)
		data[k] = command(r);
	if (rng_one_in(r, 3)) {
		phys_read(&b->bus, me, at, data, n);
		return;
	}
	memcpy(b->before, b->array, SIZE);
	phys_write(&b->bus, me, at, data, n);
	if (!memcmp(b->before, b->array, SIZE))
		return;
	bool heard = !smm_only || (me.by == BY_CPU && me.smm);
	for (unsigned k = 0; k < SIZE; k++) {
		if (b->array[k] == b->before[k])
			continue;
		if (!heard)
			fuzz_fail("somebody outside system management mode wrote");
		if (n == 1 && (b->array[k] & ~b->before[k]) && b->array[k] != 0xff)
			fuzz_fail("a bit rose without an erase at %x", k);
		fuzz_count("bytes changed");
	}
}

/* As a restored machine would. */
static void from_outside(struct board *b, struct rng *r)
{
	const struct device_ops *ops = b->flash->ops;

	for (size_t n = 0; n < ops->row_count; n++) {
		const struct state_row *row = &ops->rows[n];
		u8 *at = (u8 *)b->flash + row->offset;

		if (!strcmp(row->name, "changed"))
			*at = rng_one_in(r, 2); /* a truth value has two */
		else if (rng_one_in(r, 2))
			rng_fill(r, at, (size_t)row->width * row->count);
	}
	ops->loaded(b->flash);
}

static void one(struct rng *r)
{
	struct board *b = calloc(1, sizeof(*b));
	bool smm_only = rng_one_in(r, 3);
	u8 *image = malloc(SIZE);
	struct err err;

	clock_init(&b->clock);
	if (!image || bus_init(&b->bus, &b->clock, &b->hooks, 1 << 20, 1 << 20, &err) != ST_OK)
		fuzz_fail("no memory");
	rng_fill(r, image, SIZE);
	const struct dev_env env = {.bus = &b->bus, .clock = &b->clock};
	struct flash_config cfg = {
		.option = "fuzz", .base = BASE, .size = SIZE, .data = image, .writable = !rng_one_in(r, 4), .smm_only = smm_only,
		.file.fd = -1,
	};
	if (flash_create(&b->flash, &env, &cfg, &err) != ST_OK)
		fuzz_fail("%s", err.text);
	free(image);
	b->array = bus_memory(&b->bus, BASE);
	for (unsigned n = 0; n < STEPS; n++) {
		if (rng_one_in(r, 64))
			from_outside(b, r);
		else if (rng_one_in(r, 64))
			b->flash->ops->reset(b->flash);
		else
			access_chip(b, r, smm_only);
	}
	b->flash->ops->destroy(b->flash);
	bus_fini(&b->bus);
	free(b);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-flash", one);
}
