/* What a word means: every topic is asked, and prints what it knows. */
#include <ctype.h>
#include <stdarg.h>

#include "base/said.h"
#include "lookup/parts.h"

/* clang-format off */
static const struct topic {
	const char *name;
	void (*ask)(struct ask *a);
	const char *takes; /* a number alone is asked of these, in this order; others want their name in front */
} topics[] = {
	{"exit",    ask_exit,     "number"},
	{"error",   ask_error,    "number"},
	{"vmcs",    ask_vmcs,     "number"},
	{"vmcb",    ask_vmcb,     "number"},
	{"msr",     ask_msr,      "number"},
	{"control", ask_control,  NULL},
	{"check",   ask_check,    NULL},
	{"register", ask_register, NULL},
	{"cpuid",   ask_cpuid,    NULL},
	{"insn",    ask_insn,     NULL},
};
/* clang-format on */

const char *lookup_topic(size_t n)
{
	return n < ARRAY_LEN(topics) ? topics[n].name : NULL;
}

const struct cpu_model *const lookup_models[] = {&model_intel, &model_amd};
const size_t lookup_model_count = ARRAY_LEN(lookup_models);

/* ---- printing ---- */

void say_title(struct ask *a, const char *fmt, ...)
{
	va_list ap;

	if (a->found++)
		fputc('\n', a->out);
	va_start(ap, fmt);
	vfprintf(a->out, fmt, ap);
	va_end(ap);
	fputc('\n', a->out);
}

void say(struct ask *a, const char *label, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	said_label(a->out, label, text);
}

void say_bits(struct ask *a, const struct bit_names *names, u64 value)
{
	char text[1024] = "";
	struct words w = {text, sizeof(text), 0};

	arch_bits(&w, names, value, 0);
	say(a, "bits", "%s", text[0] ? text : "none is 1");
}

/* ---- words ---- */

bool read_number(const char *s, u64 *v)
{
	char *end;
	size_t n = strlen(s);

	if (!isxdigit((unsigned char)s[0]))
		return false;
	if (n > 1 && (s[n - 1] == 'h' || s[n - 1] == 'H') && strspn(s, "0123456789abcdefABCDEF_") == n - 1) {
		*v = strtoull(s, &end, 16);
		return end == s + n - 1;
	}
	*v = strtoull(s, &end, s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	return !*end;
}

/* Letters and digits in one case, without the prefixes that kernels' headers have. */
static void plain(const char *s, char *out, size_t room)
{
	static const char *const prefixes[][2] = {
	        {"EXIT_REASON_", ""}, {"SVM_EXIT_", "vmexit"}, {"MSR_IA32_", ""}, {"MSR_", ""}, {"IA32_", ""}};
	size_t n = 0;

	out[0] = 0;
	for (size_t k = 0; k < ARRAY_LEN(prefixes) && !n; k++)
		if (!strncasecmp(s, prefixes[k][0], strlen(prefixes[k][0]))) {
			n = (size_t)snprintf(out, room, "%s", prefixes[k][1]);
			s += strlen(prefixes[k][0]);
			break;
		}
	for (; *s && n + 1 < room; s++)
		if (isalnum((unsigned char)*s))
			out[n++] = (char)tolower((unsigned char)*s);
	out[n] = 0;
}

bool is_called(struct ask *a, const char *name)
{
	char asked[64], here[64];

	plain(a->word, asked, sizeof(asked));
	plain(name, here, sizeof(here));
	if (asked[0] && !strcmp(asked, here))
		return true;
	unsigned d = base_distance(asked, here);
	if (d < a->distance && d <= strlen(asked) / 3) {
		a->near = name;
		a->distance = d;
	}
	return false;
}

/* ---- the question ---- */

static const struct topic *topic_of(const char **what)
{
	for (size_t n = 0; n < ARRAY_LEN(topics); n++) {
		size_t len = strlen(topics[n].name);

		if (!strncmp(*what, topics[n].name, len) && (*what)[len] == ':') {
			*what += len + 1;
			return &topics[n];
		}
	}
	return NULL;
}

static enum status not_known(const struct ask *a, const struct topic *only, struct err *err)
{
	char topic[64] = "";

	if (only)
		snprintf(topic, sizeof(topic), "%s:", only->name);
	if (a->near)
		return err_set(err, ST_ARG, "%s%s: nothing is called that; did you mean %.*s?", topic, a->word,
		               (int)strcspn(a->near, "("), a->near);
	return err_set(err, ST_ARG, "%s%s: nothing is called that; turnstile list exits|fields|checks|msrs|... has the names",
	               topic, a->word);
}

enum status lookup_explain(FILE *out, const char *what, const char *value, struct err *err)
{
	char word[256];
	const struct topic *only = topic_of(&what);
	const char *equals = value ? NULL : strchr(what, '=');
	struct ask a = {.out = out, .word = word, .distance = 63, .text = equals ? equals + 1 : value};

	snprintf(word, sizeof(word), "%.*s", (int)(equals ? equals - what : 255), what);
	if (a.text && !(a.has_value = read_number(a.text, &a.value)) && !only)
		return err_set(err, ST_ARG, "%s: not a number", a.text);
	a.has_number = read_number(word, &a.number);
	for (size_t n = 0; n < ARRAY_LEN(topics); n++)
		if (only ? only == &topics[n] : !a.has_number || topics[n].takes)
			topics[n].ask(&a);
	if (!a.found && !only && a.has_number)
		ask_insn(&a); /* bytes */
	return a.found ? ST_OK : not_known(&a, only, err);
}
