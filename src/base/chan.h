/*
 * A byte channel to the outside world (terminal, file, pty, socket, memory). A device writes at any time; input is
 * handed to the device only at a slice boundary by the machine's one door (machine/door.c), so that runs without such
 * a source repeat to the instruction.
 */
#ifndef BASE_CHAN_H
#define BASE_CHAN_H

#include "base/base.h"

struct chan;
struct chan_ops {
	void (*write)(struct chan *c, const u8 *buf, size_t n);
	/* Poll the computer, non-blocking: up to n bytes into buf; 0: nothing now. NULL: never any input. */
	size_t (*read)(struct chan *c, u8 *buf, size_t n);
	int (*fd)(struct chan *c); /* for poll(2) while idle, -1: none; may be NULL */
	void (*close)(struct chan *c);
};

struct chan {
	const struct chan_ops *ops;
	/* Set by the device that owns the channel. */
	size_t (*room)(void *dev);                        /* how many bytes the device takes now */
	void (*input)(void *dev, const u8 *buf, size_t n); /* n <= room */
	void *dev;
	struct chan *next; /* the door's list */
};

static inline void chan_write(struct chan *c, const u8 *buf, size_t n)
{
	if (c)
		c->ops->write(c, buf, n);
}

/* TYPE as on the command line: null, stdio, file:PATH, unix:PATH, pty. */
enum status chan_open(struct chan **out, const char *spec, struct err *err);
void chan_close(struct chan *c);

#endif
