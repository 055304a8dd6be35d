/*
 * dev: one device per file behind one small descriptor. A device knows the bus, its interrupt lines, the clock and its
 * channel; it never sees a processor. May call: mem, base. Called by: machine/pc.c, which creates and wires it.
 *
 * Every device has the same five functions' worth of shape: NAME_create(...) allocates, maps its ranges and fills in a
 * struct device; ops->reset brings it to power-on; ops->destroy frees it; rows describe its state; bus_ops do the work.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "base/chan.h"
#include "base/clock.h"
#include "base/state.h"
#include "mem/mem.h"

struct device;
struct device_ops {
	const char *name;                /* "i8254" */
	void (*reset)(struct device *d); /* power-on or platform reset */
	void (*sleep)(struct device *d); /* S3; NULL: its power goes away, so that it is reset */
	void (*loaded)(struct device *d); /* the rows were written from outside: make caches and timers anew; NULL: none */
	void (*destroy)(struct device *d);
	const struct state_row *rows;    /* over the structure that starts with struct device */
	size_t row_count;
	/* Nobody has ever asked it anything: for the state hash it is not there. NULL: it always is. */
	bool (*untouched)(const struct device *d);
	u64 (*extra_hash)(struct device *d, u64 seed); /* state outside the rows (disk overlay, ...); may be NULL */
};

struct device {
	const struct device_ops *ops;
	struct bus *bus;
	struct clock *clock;
	struct device *next; /* the machine's list */
};

/* Fill in a range and map it: what every constructor does for each of its ranges. */
static inline void dev_map(struct device *d, struct bus_range *r, const struct bus_ops *ops, bool port, u64 base,
			   u64 size)
{
	*r = (struct bus_range){
		.ops = ops, .dev = d, .name = d->ops->name, .base = base, .size = size, .port = port };
	bus_map(d->bus, r);
}

/* What a device may ask of the machine as a whole. Set once by the machine, given to those that need it. */
struct platform {
	void (*power_off)(void *arg);
	void (*reset)(void *arg);             /* of everything: CF9h */
	void (*power_cycle)(void *arg);       /* the same with the power off for a while: CF9h with FULL_RST */
	void (*init)(void *arg);              /* INIT# of the processors: keyboard controller, port 92h, CF9h */
	void (*smi)(void *arg);               /* SMI# of the processors, all of them */
	void (*sleep)(void *arg);             /* S3 */
	void (*wake)(void *arg);
	void (*debug_exit)(void *arg, u32 v); /* isa-debug-exit */
	void (*a20)(void *arg, bool enabled);
	void (*note)(void *arg, const char *text);
	void *arg;
};

#endif
