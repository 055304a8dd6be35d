/* turnstile new vmx|svm DIR: a monitor of one's own to begin with, which needs nothing but a compiler and this program. */
#include <errno.h>
#include <stdlib.h>

#include "api/commands.h"
#include "base/os.h"

/* clang-format off */
static const struct template_file {
	const char *path, *text;
} files[] = {
#include "template_files.h"
};

/* What stands for @NAME@ in the files. */
static const struct kind {
	const char *name, *monitor; /* of the command, and the file that becomes monitor.c */
	struct { const char *from, *to; } word[6];
} kinds[] = {
	{"vmx", "hello-vmx.c", {{"@CPU@", "intel"}, {"@NAME@", "Intel VMX"}, {"@DONE@", "ran and ended$"}, {"@ASK@", "EPT_VIOLATION=0x182"}, {"@BREAK@",
		"- write 0 instead of 0x28 to HOST_TR: VM-instruction error 8, and which check, which field, who wrote it\n"
		"- leave out the line that writes HOST_GDTR_BASE: nothing fails, and the sanitizer names the field that was never written\n"
		"- write 0 instead of 2 to GUEST_RFLAGS: exit reason 0x80000021, and which bit must be 1"}}},
	{"svm", "hello-svm.c", {{"@CPU@", "amd"}, {"@NAME@", "AMD SVM"}, {"@DONE@", "guest ended, exit code 0x78"}, {"@ASK@", "VMEXIT_NPF=0x100000006"}, {"@BREAK@",
		"- write 0 instead of 1 to the ASID: VMEXIT_INVALID, and which check, which field\n"
		"- leave ICPT_VMRUN out of the intercepts: the rule that every VMCB must keep\n"
		"- leave EFER_SVME out of the guest's EFER: the bit that must be 1 inside as well"}}},
};
/* clang-format on */

/* The text with its words filled in; to be freed. NULL: out of memory. */
static char *fill(const char *text, const struct kind *k)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	while (f && *text) {
		size_t w = 0;

		while (w < ARRAY_LEN(k->word) && (!k->word[w].from || strncmp(text, k->word[w].from, strlen(k->word[w].from)) != 0))
			w++;
		fputs(w < ARRAY_LEN(k->word) ? k->word[w].to : (const char[]){*text, 0}, f);
		text += w < ARRAY_LEN(k->word) ? strlen(k->word[w].from) : 1;
	}
	return f && !fclose(f) ? out : NULL;
}

/* hello-vmx.c and hello-svm.c are the monitors of both kinds: one of them is monitor.c, the other is not for this one. */
static const char *name_of(const struct template_file *t, const struct kind *k)
{
	if (!strcmp(t->path, k->monitor))
		return "monitor.c";
	return strncmp(t->path, "hello-", 6) ? t->path : NULL;
}

static enum status write_file(const char *folder, const struct template_file *t, const struct kind *k, struct err *err)
{
	char path[1024];
	char *text;
	bool ok;

	if (!name_of(t, k))
		return ST_OK;
	snprintf(path, sizeof(path), "%s/%s", folder, name_of(t, k));
	text = fill(t->text, k);
	if (!text)
		return err_set(err, ST_NOMEM, "out of memory");
	ok = os_create_file(path, text, strlen(text), !strncmp(text, "#!", 2));
	free(text);
	return ok ? ST_OK : err_set(err, ST_IO, "%.400s: %s", path, strerror(errno));
}

enum status command_new(struct command *c, int argc, const char *const argv[], struct err *err)
{
	const struct kind *k = NULL;
	char lib[1024];

	for (size_t n = 0; argc > 1 && n < ARRAY_LEN(kinds); n++)
		if (!strcmp(argv[1], kinds[n].name))
			k = &kinds[n];
	if (!k || argc != 3)
		return err_set(err, ST_ARG, "new: turnstile new vmx|svm DIR is meant");
	snprintf(lib, sizeof(lib), "%.1000s/lib", argv[2]);
	if (!os_create_folder(argv[2]) || !os_create_folder(lib))
		return err_set(err, ST_IO, "new: %.400s: %s", argv[2], strerror(errno));
	for (size_t n = 0; n < ARRAY_LEN(files); n++) {
		enum status s = write_file(argv[2], &files[n], k, err);
		if (s != ST_OK)
			return err_in(err, s, "new");
	}
	fprintf(c->out, "%s: a monitor for %s; make -C %s run\n", argv[2], k->word[1].to, argv[2]);
	return ST_OK;
}
