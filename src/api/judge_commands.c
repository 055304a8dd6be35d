/* turnstile check, diff, caps: dumps from elsewhere, and what the processors behind them can do. */
#include "api/commands.h"
#include "api/options.h"
#include "base/os.h"
#include "judge/judge.h"

#include <stdlib.h>

/* ---- files ---- */

struct content {
	const char *name; /* as it was typed */
	const u8 *data;
	u64 size;
	struct os_file file;
	u8 *owned;
};

static enum status content_open(struct content *c, const char *name, struct err *err)
{
	enum status s;

	*c = (struct content){.name = name};
	if (strcmp(name, "-")) {
		s = os_file_map(&c->file, name, err);
		c->data = c->file.data;
		c->size = c->file.size;
		return s;
	}
	s = os_read_input(&c->owned, &c->size, err);
	c->data = c->owned;
	if (s == ST_OK && !c->size)
		return err_set(err, ST_ARG, "-: the standard input is empty");
	return s;
}

static void content_close(struct content *c)
{
	if (c->file.data)
		os_file_unmap(&c->file);
	base_free(c->owned);
	*c = (struct content){0};
}

/* ---- words of a command line ---- */

struct words {
	const char *cpu, *caps, *file[2];
	unsigned files;
	bool strict, json;
};

static const char *const check_options[] = {"--cpu", "--caps", "--strict", "--json", NULL};

static const char *option_name(unsigned n, const void *arg)
{
	return ((const char *const *)arg)[n];
}

static enum status unknown_option(const char *command, const char *word, struct err *err)
{
	const char *near = opt_nearest(word, option_name, check_options);

	if (near)
		return err_set(err, ST_ARG, "%s: %s: not an option of turnstile %s; did you mean %s?", command, word, command, near);
	return err_set(err, ST_ARG, "%s: %s: not an option of turnstile %s", command, word, command);
}

/* --name VALUE or --name=VALUE. */
static bool valued(const char *word, const char *name, int argc, const char *const argv[], int *n, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(word, name, len) || (word[len] && word[len] != '='))
		return false;
	if (word[len])
		*value = word + len + 1;
	else
		*value = *n + 1 < argc ? argv[++*n] : "";
	return true;
}

static enum status read_words(struct words *w, int argc, const char *const argv[], struct err *err)
{
	memset(w, 0, sizeof(*w));
	for (int n = 1; n < argc; n++) {
		const char *word = argv[n];

		if (valued(word, "--cpu", argc, argv, &n, &w->cpu) || valued(word, "--caps", argc, argv, &n, &w->caps)) {
			if (!argv[n][0] || (w->cpu && !*w->cpu) || (w->caps && !*w->caps))
				return err_set(err, ST_ARG, "%s: %s: a value is missing", argv[0], word);
		} else if (!strcmp(word, "--strict")) {
			w->strict = true;
		} else if (!strcmp(word, "--json")) {
			w->json = true;
		} else if (word[0] == '-' && word[1]) {
			return unknown_option(argv[0], word, err);
		} else if (w->files == ARRAY_LEN(w->file)) {
			return err_set(err, ST_ARG, "%s: %s: a file too many", argv[0], word);
		} else {
			w->file[w->files++] = word;
		}
	}
	return ST_OK;
}

/* ---- the processor to judge with ---- */

struct processors {
	struct judge_caps vmx, svm; /* of the two makers; the same one where a person has chosen */
	const struct judge_caps *for_vmcs, *for_vmcb;
};

static enum status read_caps(const char *name, struct judge_words *w, struct err *err)
{
	struct content c;
	enum status s = content_open(&c, name, err);

	if (s == ST_OK && !words_read(c.data, c.size, w))
		s = err_set(err, ST_ARG, "%s: no line `msr 0x480=0x...` or `cpuid 0x1.0x0: ...`; turnstile caps prints them", name);
	content_close(&c);
	return s;
}

enum status opt_cpu_like(const char *spec, char **out, char **lacks, struct err *err)
{
	const char *file = spec + strlen("like:"), *more = file + strcspn(file, ",");
	char *name = strndup(file, (size_t)(more - file)), *like = NULL;
	struct judge_words w;
	enum status s = name ? read_caps(name, &w, err) : opt_nomem(err);

	*out = *lacks = NULL;
	if (s == ST_OK)
		s = caps_like(name, &w, &like, lacks, err);
	if (s == ST_OK && asprintf(out, "%s%s", like, more) < 0) {
		*out = NULL;
		s = opt_nomem(err);
	}
	free(like);
	free(name);
	return s;
}

/* Of a model, or of --cpu like:FILE, whose one line about what is missing goes in front. */
static enum status spec_caps(FILE *out, const char *spec, struct judge_caps *k, struct err *err)
{
	char *like, *lacks;
	enum status s;

	if (strncmp(spec, "like:", 5))
		return caps_of_spec(spec, k, err);
	s = opt_cpu_like(spec, &like, &lacks, err);
	if (s == ST_OK)
		s = caps_of_spec(like, k, err);
	if (s == ST_OK) {
		snprintf(k->how, sizeof(k->how), "as --cpu %.120s", spec);
		if (*lacks)
			fprintf(out, "--cpu %s: this machine lacks %s\n", spec, lacks);
	}
	free(like);
	free(lacks);
	return s;
}

static enum status chosen(struct processors *p, struct err *err, enum status s, const char *option)
{
	if (s != ST_OK) {
		struct err inner = *err;

		return err_set(err, s, "%s%.400s", option, inner.text);
	}
	p->for_vmcs = p->vmx.has_vmx ? &p->vmx : NULL;
	p->for_vmcb = p->vmx.has_svm ? &p->vmx : NULL;
	return ST_OK;
}

/* --caps, --cpu, what the file itself tells of its processor, or a model of each maker. */
static enum status choose(struct processors *p, FILE *out, const struct words *w, const struct judge_words *told, struct err *err)
{
	struct judge_words words;
	enum status s;

	memset(p, 0, sizeof(*p));
	if (w->caps) {
		s = read_caps(w->caps, &words, err);
		if (s == ST_OK)
			s = caps_of_words(w->caps, &words, &p->vmx, err);
		return chosen(p, err, s, "--caps ");
	}
	if (w->cpu)
		return chosen(p, err, spec_caps(out, w->cpu, &p->vmx, err), "--cpu ");
	if (told->msrs || told->cpuids) {
		s = chosen(p, err, caps_of_words(w->file[0], told, &p->vmx, err), "");
		if (s == ST_OK)
			snprintf(p->vmx.how, sizeof(p->vmx.how), "with its own capabilities");
		return s;
	}
	s = caps_of_spec("intel", &p->vmx, err);
	if (s == ST_OK)
		s = caps_of_spec("amd", &p->svm, err);
	p->vmx.assumed = p->svm.assumed = true;
	p->for_vmcs = &p->vmx;
	p->for_vmcb = &p->svm;
	return s;
}

/* ---- check ---- */

static enum status check(struct command *k, const struct words *w, const struct content *c, struct err *err)
{
	struct judge_words told = {.msrs = 0};
	struct judge_report r = {.out = k->out, .name = w->file[0], .json = w->json};
	struct processors p;
	unsigned again;
	enum status s = dumps_read(w->file[0], c->data, c->size, NULL, NULL, &told, &r.of, err);

	if (s == ST_OK)
		s = choose(&p, k->out, w, &told, err);
	if (s != ST_OK)
		return s;
	r.vmx = p.for_vmcs;
	r.svm = p.for_vmcb;
	s = dumps_read(w->file[0], c->data, c->size, report_dump, &r, NULL, &again, err);
	if (s != ST_OK)
		return s;
	report_end(&r);
	k->status = r.fail ? 1 : r.unknown && w->strict ? 3 : 0;
	return ST_OK;
}

enum status command_check(struct command *k, int argc, const char *const argv[], struct err *err)
{
	struct words w;
	struct content c;
	enum status s = read_words(&w, argc, argv, err);

	if (s != ST_OK)
		return s;
	if (w.files != 1)
		return err_set(err, ST_ARG, "check: %s; turnstile check FILE|- [--cpu MODEL] [--caps FILE] [--strict] [--json]",
		               w.files ? "one file at a time" : "a file is missing");
	if (w.cpu && w.caps)
		return err_set(err, ST_ARG, "check: --cpu and --caps exclude each other");
	s = content_open(&c, w.file[0], err);
	if (s == ST_OK)
		s = check(k, &w, &c, err);
	content_close(&c);
	return s;
}

/* ---- diff ---- */

/* FILE, FILE:N or FILE:LINE: the first dump, the Nth, or if there are not so many, the one that has this line. */
struct choice {
	struct content c;
	char *path;
	u64 which;
	struct dump *dump;
	unsigned of;
	bool found, by_number;
};

static enum status keep(void *arg, const struct dump *d, struct err *err)
{
	struct choice *h = arg;
	bool number = d->number == (h->which ? h->which : 1), line = d->line && h->which >= d->line && h->which <= d->last;

	(void)err;
	if (number || (line && !h->by_number)) {
		*h->dump = *d;
		h->found = true;
		h->by_number = number;
	}
	return ST_OK;
}

static enum status choice_open(struct choice *h, const char *typed, struct err *err)
{
	char *colon;
	enum status s;

	memset(h, 0, sizeof(*h));
	h->path = strdup(typed);
	h->dump = base_alloc(sizeof(*h->dump));
	if (!h->path || !h->dump)
		return err_set(err, ST_NOMEM, "out of memory");
	colon = strrchr(h->path, ':');
	if (colon && opt_number(colon + 1, &h->which) && h->which)
		*colon = 0;
	else
		h->which = 0;
	s = content_open(&h->c, h->path, err);
	if (s == ST_OK)
		s = dumps_read(h->path, h->c.data, h->c.size, keep, h, NULL, &h->of, err);
	if (s == ST_OK && !h->found)
		s = err_set(err, ST_ARG, "%s: %u dump%s in it, and none is number or has line %llu", h->path, h->of, h->of == 1 ? "" : "s",
		            (unsigned long long)h->which);
	return s;
}

static void choice_close(struct choice *h)
{
	content_close(&h->c);
	free(h->path);
	base_free(h->dump);
}

enum status command_diff(struct command *k, int argc, const char *const argv[], struct err *err)
{
	struct words w;
	struct choice a = {.path = NULL}, b = {.path = NULL};
	enum status s = read_words(&w, argc, argv, err);
	bool same = false;

	if (s == ST_OK && (w.files != 2 || w.cpu || w.caps || w.strict || w.json))
		s = err_set(err, ST_ARG, "diff: turnstile diff A B: two files, each FILE, FILE:LINE or FILE:N for its Nth dump");
	if (s == ST_OK)
		s = choice_open(&a, w.file[0], err);
	if (s == ST_OK)
		s = choice_open(&b, w.file[1], err);
	if (s == ST_OK) {
		const struct diff_side left = {a.path, a.dump, a.of}, right = {b.path, b.dump, b.of};

		s = diff_print(k->out, &left, &right, &same, err);
	}
	choice_close(&a);
	choice_close(&b);
	k->status = !same;
	return s;
}

/* ---- caps ---- */

static enum status caps_of_model(FILE *out, const char *spec, struct err *err)
{
	char *like = NULL, *lacks = NULL;
	enum status s = ST_OK;

	if (!strncmp(spec, "like:", 5))
		s = opt_cpu_like(spec, &like, &lacks, err);
	if (s == ST_OK && lacks && *lacks)
		fprintf(out, "# this machine lacks %s\n", lacks);
	if (s == ST_OK)
		s = caps_print_spec(out, like ? like : spec, err);
	free(like);
	free(lacks);
	return s;
}

enum status command_caps(struct command *k, int argc, const char *const argv[], struct err *err)
{
	struct words w;
	enum status s = read_words(&w, argc, argv, err);

	if (s == ST_OK && (w.files || w.caps || w.strict || w.json))
		s = err_set(err, ST_ARG, "caps: turnstile caps [--cpu MODEL]");
	if (s != ST_OK)
		return s;
	if (w.cpu)
		return caps_of_model(k->out, w.cpu, err);
	caps_print_here(k->out);
	return ST_OK;
}
