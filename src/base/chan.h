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
	void (*flush)(struct chan *c); /* buffered output leaves; NULL: nothing is buffered */
	enum status (*start)(struct chan *c, struct err *err); /* NULL: nothing to do */
};

struct chan {
	const struct chan_ops *ops;
	/* Set by the device that owns the channel. */
	size_t (*room)(void *dev);                        /* how many bytes the device takes now */
	void (*input)(void *dev, const u8 *buf, size_t n); /* n <= room */
	void *dev;
	struct chan *next; /* the door's list */
	/* The program's own terminal: whoever owns it may look at keys first; returns how many bytes stay in buf. */
	bool terminal;
	size_t (*filter)(void *arg, u8 *buf, size_t n);
	void *filter_arg;
	char note[96]; /* what a person should know, such as the name of the pty; "" if nothing */
	const char *option, *spec; /* as on the command line, for messages; the owner's */
	int failed;    /* errno of the write after which output is lost; 0: none */
	bool promised; /* output that was asked for and must not be lost: a file; a peer may leave when it likes */
	bool told;     /* `failed` was said */
	u64 in_line;   /* standard output stands within a line: bytes that have gone there; 0: it does not, or it is another */
};

static inline void chan_write(struct chan *c, const u8 *buf, size_t n)
{
	if (c)
		c->ops->write(c, buf, n);
}

/* spec as on the command line: null, stdio, stdout (output only), file:PATH, unix:PATH[,server=on][,wait=off], pty. */
enum status chan_open(struct chan **out, const char *spec, struct err *err);
/* What changes files (truncating, creating a socket) happens here, once all other input has proved good. Output written
 * before is kept. May wait for a client. */
enum status chan_start(struct chan *c, struct err *err);
void chan_close(struct chan *c); /* flushes; NULL is fine */
void chan_flush(struct chan *c); /* NULL is fine */
/* Input may still come: the machine must not skip time past it, and its run is not repeatable. */
bool chan_live(struct chan *c);

#endif
