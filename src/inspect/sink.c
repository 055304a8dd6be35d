/* A file that is written while the machine runs. What could not be written is said once, when the run pauses or ends. */
#include "inspect/parts.h"

#include <errno.h>

enum status sink_open(struct sink *s, const char *option, const char *path, const char *what, struct err *err)
{
	*s = (struct sink){.option = option, .path = path, .what = what};
	s->f = fopen(path, "we");
	if (!s->f)
		return err_set(err, ST_ARG, "%s %s: %s", option, path, strerror(errno));
	return ST_OK;
}

void sink_put(struct sink *s, const char *text, size_t n)
{
	if (s->f && !s->failed && fwrite(text, 1, n, s->f) != n)
		s->failed = errno;
}

void sink_flush(struct inspect *i, struct sink *s)
{
	struct text said = {0};

	if (!s->f)
		return;
	if (fflush(s->f) && !s->failed)
		s->failed = errno;
	if (!s->failed || s->told)
		return;
	s->told = true;
	text_add(&said, "%s %s: %s could not be written completely: %s", s->option, s->path, s->what,
	         strerror(s->failed));
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_NOTE,
	                                       .id = "lost",
	                                       .text = text_str(&said),
	                                       .line = text_str(&said),
	                                       .json = "",
	                                       .guest = UINT64_MAX});
	text_free(&said);
}

void sink_close(struct inspect *i, struct sink *s)
{
	sink_flush(i, s);
	if (s->f)
		fclose(s->f);
	s->f = NULL;
}
