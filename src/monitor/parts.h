/* What the files of monitor/ know of each other. */
#ifndef MONITOR_PARTS_H
#define MONITOR_PARTS_H

#include "monitor/monitor.h"

#define MONITOR_CLIENTS 8
#define MONITOR_INPUT   4096 /* the longest line, and the longest QMP command */

struct client {
	int fd; /* -1: nobody */
	bool qmp, ready; /* ready: qmp_capabilities was said */
	char input[MONITOR_INPUT + 1];
	size_t used;
};

struct monitor {
	struct machine *m;
	struct listener {
		int fd;
		bool qmp;
		char path[108]; /* of a socket that is ours */
	} listener[MONITORS];
	unsigned listeners;
	struct client client[MONITOR_CLIENTS];
	bool stopped; /* the machine stands still */
	bool quit;    /* somebody here has ended it */
	bool within;  /* somebody is being attended to */
	u64 resets;   /* that were told of */
	unsigned cpu; /* that `info` and `x` are about */
	struct chan *keys;
};

/* ---- words.c ---- */
void monitor_stop(struct monitor *mon, bool stop);
bool monitor_dump(struct monitor *mon, const char *path, const char *format, struct err *err);
void monitor_quit(struct monitor *mon);
void monitor_reset(struct monitor *mon);
void monitor_power_button(struct monitor *mon);

/* ---- paging.c ---- */
void paging_ranges(struct cpu *c, FILE *f); /* info mem */
void paging_pages(struct cpu *c, FILE *f);  /* info tlb */
bool paging_find(struct cpu *c, u64 la, u64 *pa);

/* ---- keys.c ---- */
struct chan *keys_new(struct machine *m);
/* "ctrl-alt-f1": pressed one behind the other, let go the other way. false: a name is unknown, or there is no room. */
bool keys_press(struct chan *keys, const char *names);

/* ---- qmp.c ---- */
void qmp_greet(struct monitor *mon, struct client *c);
/* What has come so far; how much of it is done with. */
size_t qmp_feed(struct monitor *mon, struct client *c);
void qmp_event(struct monitor *mon, const char *name, const char *data);

/* ---- json.c: text, of which parts are pointed to ---- */
struct json {
	const char *at;
	size_t n;
};
/* The length of the value that begins at the text's start; 0: it is not complete; -1: it is none. */
long json_value(const char *text, size_t n);
bool json_member(struct json object, const char *name, struct json *value);
bool json_element(struct json array, unsigned n, struct json *value);
bool json_string(struct json value, char *out, size_t room); /* false: it is none, or too long */
void json_quote(const char *text, size_t n, FILE *f);

/* ---- server.c ---- */
void client_send(struct client *c, const char *text, size_t n);

#endif
