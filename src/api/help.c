/* What the program says of itself: --help, --version, and the words that list what there is. */
#include <Zydis/Zydis.h>
#include <elfutils/version.h>
#include <slirp/libslirp.h>
#include <turnstile/turnstile.h>

#include "api/commands.h"
#include "api/options.h"
#include "commit.h"
#include "model/model.h"

static void list_commands(FILE *f)
{
	for (size_t n = 0; n < command_count; n++) {
		char left[96];

		snprintf(left, sizeof(left), "turnstile %s %s", command_rows[n].name, command_rows[n].argname);
		fprintf(f, "  %-34s %s\n", left, command_rows[n].help);
	}
}

/* clang-format off */
const struct exit_status_row exit_statuses[] = {
	{"0",     "the machine powered itself off"},
	{"odd",   "it wrote v to the debug-exit port: ((v << 1) | 1) & 255"},
	{"2",     "bad input: one line says which option or file, and what is wrong"},
	{"4",     "triple fault or shutdown; the evidence is printed"},
	{"6",     "a limit: --max-insns, --max-time, --timeout"},
	{"8",     "our own fault, or output that was asked for could not be written"},
	{"10",    "a reset under --no-reboot"},
	{"12",    "every processor is halted and nothing can wake one"},
	{"14",    "a --fail-on condition came, or what --expect named did not"},
	{"128+N", "signal N"},
};
/* clang-format on */
const size_t exit_status_count = ARRAY_LEN(exit_statuses);

static void list_statuses(FILE *f)
{
	fprintf(f, "\nExit statuses of turnstile run:\n");
	for (size_t n = 0; n < exit_status_count; n++)
		fprintf(f, "  %-6s %s\n", exit_statuses[n].status, exit_statuses[n].meaning);
}

static void usage(FILE *f, enum profile p)
{
	if (p == PROFILE_QEMU)
		fprintf(f,
		        "Turnstile %s, under a name that takes QEMU's options\nusage: turnstile-system-x86_64 "
		        "[options]\n\n",
		        TS_VERSION);
	else {
		fprintf(f, "An x86-64 PC in software with Intel VMX and AMD SVM.\n\n");
		list_commands(f);
		fprintf(f, "\nOptions of turnstile run:\n");
	}
	const struct option_row *r;
	for (size_t n = 0; (r = options_row(n)) != NULL; n++) {
		char left[96];
		if (!(r->profiles & p) || !r->help)
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s", p == PROFILE_QEMU || !r->name[1] ? "-" : "--", r->name,
		         (r->arg & ARG_KIND) == ARG_VALUE ? " " : "", r->argname);
		if (strlen(left) < 27)
			fprintf(f, "  %-27s %s\n", left, r->help);
		else
			fprintf(f, "  %s\n  %27s %s\n", left, "", r->help);
	}
	fprintf(f, "\nKeys of --cpu: +FEATURE, -FEATURE, FEATURE=on|off, phys-bits=36..52, vendor=NAME, smm-map=amd64|intel.\n");
	list_statuses(f);
	fprintf(f,
	        "\nExamples:\n"
	        "  turnstile run --cpu intel guest.elf\n"
	        "  turnstile run --cpu amd --kernel vmlinuz --initrd initrd.gz --append console=ttyS0\n"
	        "  turnstile run --cpu intel --sanitize --fail-on refused,sanitize --timeout 60 guest.elf\n"
	        "  turnstile explain EPT_VIOLATION=0x181\n");
	fprintf(f,
	        "\nOne or two dashes. QEMU's words that test runners use are accepted too; what means something else\n"
	        "here, or nothing, is said in one line.\n");
}

static void version(FILE *f, enum profile p)
{
	const ZyanU64 zydis = ZydisGetVersion();

	/* Scripts look for "QEMU emulator version N"; the rest of the line says what this is. */
	if (p == PROFILE_QEMU)
		fprintf(f, "QEMU emulator version 7.2.0 (answered by Turnstile %s, which is not QEMU)\n", TS_VERSION);
	else
		fprintf(f, "turnstile %s%s%s%s\nwith Zydis %u.%u.%u, libslirp %s, elfutils 0.%u\n%s\n", TS_VERSION,
		        TS_COMMIT[0] ? " (" : "", TS_COMMIT, TS_COMMIT[0] ? ")" : "", (unsigned)ZYDIS_VERSION_MAJOR(zydis),
		        (unsigned)ZYDIS_VERSION_MINOR(zydis), (unsigned)ZYDIS_VERSION_PATCH(zydis), slirp_version_string(),
		        _ELFUTILS_VERSION, jit_available() ? "interpreter and translator" : "interpreter");
}

static void machine_help(FILE *f)
{
	fprintf(f, "Supported machines are:\nq35                  Standard PC (Q35 + ICH9, 2009) (default)\n"
	           "pc                   Standard PC (alias of q35)\n");
}

/* In the form scripts for QEMU cut apart: "x86 NAME  text", then the flags. */
static void cpu_help(FILE *f, enum profile p)
{
	size_t n, column = 0;
	const struct model_name *m = model_list(&n);

	fprintf(f, p == PROFILE_QEMU ? "Available CPUs:\n" : "Models:\n");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%-20s  %s\n", p == PROFILE_QEMU ? "x86 " : "  ", m[i].name, m[i].about);
	const struct cpu_model *stands_in;
	const char *foreign;
	for (size_t i = 0; (foreign = model_foreign(i, &stands_in)); i++)
		fprintf(f, "%s%-20s  the model %s stands in\n", p == PROFILE_QEMU ? "x86 " : "  ", foreign,
		        stands_in->name);
	fprintf(f, p == PROFILE_QEMU ? "\nRecognized CPUID flags:\n" : "\nFeatures:\n");
	for (unsigned i = 1; i < FEAT_COUNT; i++) {
		const char *name = arch_features[i].name;

		if (!model_any((enum feature)i))
			continue;
		if (column && column + 1 + strlen(name) > 75) {
			fputc('\n', f);
			column = 0;
		}
		column += (size_t)fprintf(f, "%s%s", column ? " " : "  ", name);
	}
	fputc('\n', f);
}

static bool is_word(const char *value, const char *word)
{
	return value && (!strcmp(value, word) || !strcmp(value, "?"));
}

static bool answer(const char *name, size_t n, const char *value, enum profile p, FILE *f)
{
	const struct option_row *r = options_find(name, n, p);

	if (!r)
		return false;
	if (!strcmp(r->name, "help"))
		usage(f, p);
	else if (!strcmp(r->name, "version"))
		version(f, p);
	else if (!strcmp(r->name, "cpu") && is_word(value, "help"))
		cpu_help(f, p);
	else if (!strcmp(r->name, "device") && is_word(value, "help"))
		opt_device_help(f);
	else if (!strcmp(r->name, "sanitize") && (is_word(value, "help") || is_word(value, "list")))
		opt_sanitize_help(f);
	else if (!strcmp(r->name, "machine") && is_word(value, "help"))
		machine_help(f);
	else if (!strcmp(r->name, "accel") && is_word(value, "help"))
		fprintf(f, "Accelerators supported in QEMU binary:\ntcg\n");
	else
		return false;
	return true;
}

bool options_help(int argc, const char *const argv[], FILE *f, enum status *s, struct err *err)
{
	enum profile p = options_profile(argc > 0 ? argv[0] : NULL);

	*s = ST_OK;
	(void)err;
	if (argc > 1 && p == PROFILE_TURNSTILE && !strcmp(argv[1], "help")) {
		usage(f, p);
		return true;
	}
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i] + (argv[i][0] == '-' && argv[i][1] == '-' ? 2 : 1);
		if (argv[i][0] != '-' || !argv[i][1])
			continue;
		size_t n = strcspn(name, "=");
		const char *value = name[n] ? name + n + 1 : i + 1 < argc ? argv[i + 1] : NULL;
		if (answer(name, n, value, p, f))
			return true;
		const struct option_row *r = options_find(name, n, p);
		if (r && !name[n] && ((r->arg & ARG_KIND) == ARG_VALUE || (i + 1 < argc && options_belongs(r, argv[i + 1]))))
			i++; /* a value is not an option, whatever it looks like */
	}
	return false;
}
