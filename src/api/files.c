/*
 * Which files a command line reads and which it writes, so that no output ever destroys an input: two names that mean
 * one file, by whatever links and spellings, are refused before the first is opened.
 */
#include "api/options.h"
#include "base/os.h"

#include <errno.h>

enum file_use { READS, CHANGES /* a disk, in place; a TPM's state */, WRITES /* from scratch */ };

struct file {
	const char *option, *path;
	enum file_use use;
	struct os_file_id id;
};

struct files {
	struct file *at;
	unsigned n, room;
};

static void add(struct files *f, const char *option, const char *path, enum file_use use, struct os_file_id id)
{
	if (f->n < f->room)
		f->at[f->n] = (struct file){option, path, use, id};
	f->n++;
}

static void add_path(struct files *f, const char *option, const char *path, enum file_use use)
{
	if (path)
		add(f, option, path, use, os_path_id(path));
}

/* ---- what there is ---- */

/* "file:PATH" writes; a server's socket replaces what an earlier run left there. */
static void add_channel(struct files *f, struct options *o, const char *option, const char *spec)
{
	if (!spec)
		return;
	if (!strncmp(spec, "file:", 5))
		add_path(f, option, spec + 5, WRITES);
	else if (!strncmp(spec, "unix:", 5) && strstr(spec, ",server"))
		add_path(f, option, opt_copy(o, spec + 5, strcspn(spec + 5, ",")), WRITES);
}

/* One RAM disk, or modules: "FILE ARGS,FILE ARGS". Which it is depends on the kernel; files that are not meant are not
 * there. */
static void add_initrd(struct files *f, struct options *o)
{
	const char *option = options_given(o, "initrd"), *p = o->cfg.initrd;
	char *key, *value;

	add_path(f, option, o->cfg.initrd, READS);
	while (p && opt_item(o, &p, &key, &value)) {
		char *word = key ? key : value;
		if (key)
			key[strlen(key)] = '='; /* of a name or of arguments: not a key here */
		add_path(f, option, opt_copy(o, word, strcspn(word, " ")), READS);
	}
}

/* It is replaced as a whole, by what is prepared beside it. */
static void add_kept(struct files *f, struct options *o, const char *option, const char *path)
{
	char *next = path ? os_kept_next(path) : NULL;

	add_path(f, option, path, CHANGES);
	if (next)
		add_path(f, option, opt_copy(o, next, strlen(next)), CHANGES);
	base_free(next);
}

static void add_configured(struct files *f, struct options *o)
{
	const struct machine_config *c = &o->cfg;

	add_path(f, options_given(o, "kernel"), c->kernel, READS);
	add_initrd(f, o);
	add_path(f, c->firmware.option, c->firmware.bios, READS);
	add_path(f, c->firmware.option, c->firmware.code, READS);
	add_kept(f, o, c->firmware.option, c->firmware.vars);
	for (unsigned i = 0; i < o->inputs; i++)
		add_path(f, o->input_option[i], o->input[i], READS);
	for (unsigned i = 0; i < c->disks; i++)
		add_path(f, c->disk[i].option, c->disk[i].path,
		         c->disk[i].readonly || c->disk[i].snapshot ? READS : CHANGES);
	for (unsigned i = 0; i < ARRAY_LEN(c->serial); i++)
		add_channel(f, o, c->serial_option[i], c->serial[i]);
	add_channel(f, o, c->debugcon_option, c->debugcon);
	for (unsigned i = 0; i < c->consoles; i++)
		add_channel(f, o, c->console_option[i], c->console[i]);
	add_kept(f, o, c->tpm_option, c->tpm_state);
	add_path(f, options_given(o, "trace"), o->trace_file, WRITES);
	add_path(f, options_given(o, "explain"), o->explain_file, WRITES);
	add_path(f, o->gdb.core_option, o->gdb.core, WRITES);
	add_path(f, options_given(o, "stats"), o->stats_file, WRITES);
	for (unsigned i = 0; i < o->monitor.count; i++)
		if (!strncmp(o->monitor.spec[i].at, "unix:", 5))
			add_path(f, o->monitor.spec[i].option, o->monitor.spec[i].at + 5, CHANGES);
	add_path(f, o->display.option, o->display.at, WRITES);
}

/* The shell may have led them into files, and two of them into one. */
static void add_standard(struct files *f)
{
	add(f, "standard input", "", READS, os_fd_id(0));
	add(f, "standard output", "", WRITES, os_fd_id(1));
	add(f, "standard error", "", WRITES, os_fd_id(2));
}

/* ---- what may not be ---- */

static bool collide(const struct file *a, const struct file *b)
{
	return (a->use != READS || b->use != READS) && os_same_file(&a->id, &b->id);
}

static enum status refuse(const struct file *a, const struct file *b, struct err *err)
{
	const char *why = a->use != READS && b->use != READS ? "one would overwrite the other"
	                                                     : "the output would destroy the input";

	return err_set(err, ST_ARG, "%s %s: is the same file as %s%s%s; %s", a->option, a->path, b->option,
	               *b->path ? " " : "", b->path, why);
}

/* What is written late is refused early. */
static enum status writable(const struct file *a, struct err *err)
{
	if (a->use != WRITES || os_may_write(a->path))
		return ST_OK;
	return err_set(err, ST_ARG, "%s %s: %s", a->option, a->path, strerror(errno));
}

enum status files_check(struct options *o, struct err *err)
{
	struct file at[512];
	struct files f = {.at = at, .room = ARRAY_LEN(at)};
	enum status s = ST_OK;

	add_configured(&f, o);
	unsigned named = f.n;
	add_standard(&f);
	if (o->out_of_memory)
		return opt_nomem(err);
	if (f.n > f.room)
		return err_set(err, ST_ARG, "more than %u files", f.room);
	for (unsigned i = 0; i < named && s == ST_OK; i++) {
		for (unsigned k = i + 1; k < f.n && s == ST_OK; k++)
			if (collide(&at[i], &at[k]))
				s = refuse(at[k].use == READS || k >= named ? &at[i] : &at[k],
				           at[k].use == READS || k >= named ? &at[k] : &at[i], err);
	}
	for (unsigned i = 0; i < named && s == ST_OK; i++)
		s = writable(&at[i], err);
	return s;
}
