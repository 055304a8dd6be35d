/*
 * --cpu: names of models (ours and QEMU's), features switched on and off, and keys. Every refusal is one line that names
 * the word and, where there is one, the nearest right word.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

static const struct cpu_model *const models[] = {&model_amd, &model_intel, &model_plain, &model_pacifica, &model_core2,
						&model_vanderpool};

static const struct model_name list[] = {
	{"amd", "AMD64 with SVM, Zen 3 class (default)"},
	{"intel", "Intel 64 with VMX, Sapphire Rapids class"},
	{"plain", "AMD64 without virtualisation"},
	{"pacifica", "AMD64 with SVM as first published in 2005"},
	{"core2", "Intel 64 with the VMX of its first generation, Core 2 class"},
	{"vanderpool", "Intel EM64T with VMX as first published in 2004"},
	{"max", "everything: amd, or intel with +vmx or vendor=GenuineIntel"},
	{"host", "the same as max"},
	{"qemu64", "the same as max, for QEMU command lines"},
	{"kvm64", "the same as max, for QEMU command lines"},
};

/* Names of QEMU's models, without version and variant suffixes. They select one of ours: the maker's, or, where nobody's
 * processor is meant, `amd`. */
static const struct foreign {
	const char *name;
	const struct cpu_model *model;
	bool generic; /* means "what there is": nothing is substituted */
} qemu_names[] = {
	{"max", &model_amd, true}, {"host", &model_amd, true}, {"base", &model_amd, true}, {"qemu64", &model_amd, true},
	{"kvm64", &model_amd, true}, {"qemu32", &model_amd, false}, {"kvm32", &model_amd, false},
	{"athlon", &model_amd, false}, {"phenom", &model_amd, false}, {"Dhyana", &model_amd, false},
	{"EPYC", &model_amd, false}, {"EPYC-Genoa", &model_amd, false}, {"EPYC-Milan", &model_amd, false},
	{"EPYC-Rome", &model_amd, false}, {"EPYC-Turin", &model_amd, false}, {"Opteron_G1", &model_amd, false},
	{"Opteron_G2", &model_amd, false}, {"Opteron_G3", &model_amd, false}, {"Opteron_G4", &model_amd, false},
	{"Opteron_G5", &model_amd, false},
	{"486", &model_intel, false}, {"pentium", &model_intel, false}, {"pentium2", &model_intel, false},
	{"pentium3", &model_intel, false}, {"core2duo", &model_core2, false}, {"coreduo", &model_core2, false},
	{"n270", &model_intel, false}, {"Broadwell", &model_intel, false}, {"Cascadelake-Server", &model_intel, false},
	{"ClearwaterForest", &model_intel, false}, {"Conroe", &model_core2, false}, {"Cooperlake", &model_intel, false},
	{"Denverton", &model_intel, false}, {"GraniteRapids", &model_intel, false}, {"Haswell", &model_intel, false},
	{"Icelake-Client", &model_intel, false}, {"Icelake-Server", &model_intel, false}, {"IvyBridge", &model_intel, false},
	{"KnightsMill", &model_intel, false}, {"Nehalem", &model_intel, false}, {"Penryn", &model_core2, false},
	{"SandyBridge", &model_intel, false}, {"SapphireRapids", &model_intel, false},
	{"SierraForest", &model_intel, false}, {"Skylake-Client", &model_intel, false},
	{"Skylake-Server", &model_intel, false}, {"Snowridge", &model_intel, false}, {"Westmere", &model_intel, false},
	{"YongFeng", &model_intel, false},
};
static const char *const qemu_variants[] = {"-IBRS", "-IBPB", "-noTSX", "-noTSX-IBRS"};

/* Other spellings of features. */
static const struct { const char *alias, *name; } aliases[] = {
	{"sse3", "pni"}, {"lzcnt", "abm"}, {"ffxsr", "fxsr_opt"}, {"xd", "nx"}, {"i64", "lm"}, {"pclmuldq", "pclmulqdq"},
	{"osfxsr", "fxsr"}, {"clfsh", "clflush"}, {"cx8", "cx8"}, {"mmx-ext", "mmxext"}, {"sha", "sha-ni"},
	{"tsc-deadline-timer", "tsc-deadline"}, {"amd-ibpb", "ibpb"}, {"vmx-vtpr", "vmx-flexpriority"},
	{"vmx-invept-single-context-noglobals", "vmx-invvpid-single-context-noglobals"},
};

/* Words of QEMU command lines for what no model has: switching them off is fine, on is refused. */
static const char *const absent[] = {
	"3dnow", "3dnowext", "acpi", "amx-tile", "amx-int8", "amx-bf16", "avx512f", "avx512bw", "avx512cd", "avx512dq",
	"avx512vl", "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512-vpopcntdq", "avx512-bf16",
	"avx512-fp16", "avx-vnni", "cet-ibt", "cet-ss", "cldemote", "core-capability", "dca", "ds", "ds-cpl",
	"dtes64", "est", "fma4", "fred", "gfni", "hle", "ibs", "intel-pt", "la57-user", "lwp", "mca-recov",
	"monitor-wait", "mpx", "nodeid-msr", "pbe", "pdcm", "perfctr-nb", "perfmon-v2", "pks", "pn", "rtm", "sgx", "smx",
	"ss", "svme-addr-chk", "tbm", "tm2", "uintr", "vaes", "virt-ssbd", "vpclmulqdq", "wdt", "xfd", "xop",
};

/* Keys without an effect here. */
static const char *const ignored_keys[] = {
	"migratable", "host-phys-bits", "host-phys-bits-limit", "enforce", "check", "kvm", "l3-cache", "legacy-cache",
	"host-cache-info", "pmu",
};

/* What a model can do beyond its defaults. */
static const enum feature amd_optional[] = {
	FEAT_HYPERVISOR, FEAT_HTT, FEAT_LA57, FEAT_TSC_DEADLINE, FEAT_TSC_ADJUST, FEAT_SERIALIZE, FEAT_GMET, FEAT_VNMI,
	FEAT_IDLE_HLT, FEAT_X2AVIC, FEAT_BUS_LOCK_THRESHOLD, FEAT_PML, FEAT_NO_SMM_CTL, FEAT_NONE,
};
static const enum feature intel_optional[] = {FEAT_HYPERVISOR, FEAT_HTT, FEAT_VMX, FEAT_NONE};
/* What some processors of that generation had, and its successor at 45 nm. */
static const enum feature core2_optional[] = {
	FEAT_HYPERVISOR, FEAT_HTT, FEAT_SSE4_1, FEAT_VMX_VNMI, FEAT_VMX_VNMI_PENDING, FEAT_VMX_SECONDARY_CTLS, FEAT_VMX_APICV_XAPIC,
	FEAT_VMX_WBINVD_EXIT, FEAT_VMX_INS_OUTS, FEAT_VMX_EXIT_LOAD_PERF_GLOBAL_CTRL, FEAT_VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL, FEAT_NONE,
};

static const struct {
	const struct cpu_model *model;
	const enum feature *features;
} optional_of[] = {{&model_intel, intel_optional}, {&model_core2, core2_optional}, {&model_vanderpool, intel_optional}};

const struct model_name *model_list(size_t *count)
{
	*count = ARRAY_LEN(list);
	return list;
}

void model_features(const struct cpu_model *m, struct feature_set *out)
{
	memset(out, 0, sizeof(*out));
	for (const enum feature *f = m->features; *f != FEAT_NONE; f++)
		feat_put(out, *f, true);
}

static bool in_list(const enum feature *l, enum feature f)
{
	for (; *l != FEAT_NONE; l++)
		if (*l == f)
			return true;
	return false;
}

bool model_can(const struct cpu_model *m, enum feature f)
{
	const enum feature *optional = amd_optional;

	for (size_t k = 0; k < ARRAY_LEN(optional_of); k++)
		if (optional_of[k].model == m)
			optional = optional_of[k].features;
	return in_list(m->features, f) || in_list(optional, f);
}

/* ---- words ---- */

/* Upper and lower case, '_', '-' and '.' are the same in names of features. */
static int fold(char ch)
{
	return ch == '_' || ch == '.' ? '-' : tolower((unsigned char)ch);
}

static bool same(const char *a, const char *b)
{
	while (*a && fold(*a) == fold(*b)) {
		a++;
		b++;
	}
	return !*a && !*b;
}

static enum feature find_feature(const char *word)
{
	for (size_t k = 0; k < ARRAY_LEN(aliases); k++)
		if (same(aliases[k].alias, word))
			word = aliases[k].name;
	for (unsigned f = 1; f < FEAT_COUNT; f++)
		if (same(arch_features[f].name, word))
			return (enum feature)f;
	return FEAT_NONE;
}

/* "ept" is short for "vmx-ept" where the processor has VMX, be it an older one, and no feature of CPUID has the name. */
static enum feature feature_by_name(const struct cpu_model *m, const char *word)
{
	enum feature f = find_feature(word);
	char name[64];

	if (f != FEAT_NONE && model_can(m, f))
		return f;
	snprintf(name, sizeof(name), "vmx-%s", word);
	enum feature vmx = find_feature(name);
	bool meant = vmx != FEAT_NONE && (model_can(m, vmx) || (f == FEAT_NONE && model_can(m, FEAT_VMX)));

	return meant ? vmx : f;
}

bool model_any(enum feature f)
{
	for (size_t k = 0; k < ARRAY_LEN(models); k++) {
		struct feature_set set;

		model_features(models[k], &set);
		if (feat_has(&set, f) || model_can(models[k], f))
			return true;
	}
	return false;
}

static bool among(const char *const *words, size_t n, const char *word)
{
	for (size_t k = 0; k < n; k++)
		if (same(words[k], word))
			return true;
	return false;
}

/* Edit distance, for words of ordinary length; two letters exchanged count as one edit. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][65], n = (unsigned)strlen(b);

	if (n > 64)
		return 99;
	for (unsigned k = 0; k <= n; k++)
		row[0][k] = k;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];

		now[0] = i;
		for (unsigned k = 1; k <= n; k++) {
			unsigned change = before[k - 1] + (fold(a[i - 1]) != fold(b[k - 1])), gap = 1 + (before[k] < now[k - 1] ? before[k] : now[k - 1]);

			now[k] = change < gap ? change : gap;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && two_before[k - 2] + 1 < now[k])
				now[k] = two_before[k - 2] + 1;
		}
	}
	return row[strlen(a) % 3][n];
}

struct nearest {
	const char *word, *best;
	unsigned distance;
};

static void consider(struct nearest *n, const char *candidate)
{
	unsigned d = distance(n->word, candidate);

	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}

/* "; did you mean 'x'?" or nothing. */
static void suggestion(const struct nearest *n, char *text, size_t size)
{
	text[0] = '\0';
	if (n->best && n->distance <= 2 + strlen(n->word) / 4)
		snprintf(text, size, "; did you mean '%s'?", n->best);
}

static enum status unknown_model(const char *word, struct err *err)
{
	struct nearest n = {.word = word, .distance = 99};
	char hint[96];

	for (size_t k = 0; k < ARRAY_LEN(models); k++)
		consider(&n, models[k]->name);
	for (size_t k = 0; k < ARRAY_LEN(qemu_names); k++)
		consider(&n, qemu_names[k].name);
	suggestion(&n, hint, sizeof(hint));
	return err_set(err, ST_ARG, "unknown processor model '%s'%s (--cpu help lists them)", word, hint);
}

static enum status unknown_feature(const struct cpu_model *m, const char *word, struct err *err)
{
	struct nearest n = {.word = word, .distance = 99};
	char hint[96];

	for (unsigned f = 1; f < FEAT_COUNT; f++) {
		const char *name = arch_features[f].name;

		consider(&n, name);
		if (FEATURE_IS_VMX(arch_features[f].leaf) && model_can(m, (enum feature)f))
			consider(&n, name + strlen("vmx-"));
	}
	suggestion(&n, hint, sizeof(hint));
	return err_set(err, ST_ARG, "unknown processor feature '%s'%s", word, hint);
}

static enum status unknown_key(const char *word, struct err *err)
{
	struct nearest n = {.word = word, .distance = 99};
	char hint[96];

	consider(&n, "vendor");
	consider(&n, "phys-bits");
	consider(&n, "host-phys-bits");
	consider(&n, "migratable");
	consider(&n, "smm-map");
	for (unsigned f = 1; f < FEAT_COUNT; f++)
		consider(&n, arch_features[f].name);
	suggestion(&n, hint, sizeof(hint));
	return err_set(err, ST_ARG, "unknown processor key '%s'%s", word, hint);
}

/* ---- one specification ---- */

#define SPEC_MAX 8192 /* --cpu like:FILE switches most features one by one */
#define WORDS_MAX 512

struct spec {
	char text[SPEC_MAX];
	char *word[WORDS_MAX];
	unsigned count;
};

static enum status split(struct spec *s, const char *text, struct err *err)
{
	size_t n = strlen(text);

	s->count = 0;
	if (n >= sizeof(s->text))
		return err_set(err, ST_ARG, "processor specification longer than %d characters", SPEC_MAX - 1);
	memcpy(s->text, text, n + 1);
	for (char *p = s->text; p;) {
		char *comma = strchr(p, ',');

		if (s->count == WORDS_MAX)
			return err_set(err, ST_ARG, "more than %d words in the processor specification", WORDS_MAX);
		s->word[s->count++] = p;
		if (comma)
			*comma++ = '\0';
		p = comma;
	}
	return ST_OK;
}

/* "on", "yes", "true"; "off", "no", "false". */
static bool read_switch(const char *v, bool *on)
{
	*on = !strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true");
	return *on || !strcmp(v, "off") || !strcmp(v, "no") || !strcmp(v, "false");
}

/* +name, -name, name=on, name=off: the name and whether it is switched on. Anything else: false. */
static bool as_switch(const struct cpu_model *m, const char *word, char *name, size_t size, bool *on)
{
	const char *eq = strchr(word, '=');
	size_t n;

	if (*word == '+' || *word == '-') {
		*on = *word == '+';
		snprintf(name, size, "%s", word + 1);
		return true;
	}
	if (!eq || !read_switch(eq + 1, on))
		return false;
	n = (size_t)(eq - word);
	if (n >= size)
		n = size - 1;
	memcpy(name, word, n);
	name[n] = '\0';
	return feature_by_name(m, name) != FEAT_NONE || among(absent, ARRAY_LEN(absent), name);
}

static bool switched_on(const struct cpu_model *m, const struct spec *s, enum feature f)
{
	char name[64];
	bool on, last = false;

	for (unsigned k = 1; k < s->count; k++)
		if (as_switch(m, s->word[k], name, sizeof(name), &on) && feature_by_name(m, name) == f)
			last = on;
	return last;
}

static const char *key_value(const struct spec *s, const char *key)
{
	size_t n = strlen(key);
	const char *v = NULL;

	for (unsigned k = 1; k < s->count; k++)
		if (!strncmp(s->word[k], key, n) && s->word[k][n] == '=')
			v = s->word[k] + n + 1;
	return v;
}

static bool is_version(const char *s)
{
	if (s[0] != '-' || s[1] != 'v' || !isdigit((unsigned char)s[2]))
		return false;
	for (s += 2; *s; s++)
		if (!isdigit((unsigned char)*s))
			return false;
	return true;
}

static const struct foreign *find_foreign(const char *name)
{
	for (size_t k = 0; k < ARRAY_LEN(qemu_names); k++) {
		size_t n = strlen(qemu_names[k].name);

		if (strncmp(name, qemu_names[k].name, n))
			continue;
		if (!name[n] || is_version(name + n))
			return &qemu_names[k];
		for (size_t v = 0; v < ARRAY_LEN(qemu_variants); v++)
			if (!strcmp(name + n, qemu_variants[v]))
				return &qemu_names[k];
	}
	return NULL;
}

const char *model_foreign(size_t n, const struct cpu_model **stands_in)
{
	for (size_t k = 0; k < ARRAY_LEN(qemu_names); k++) {
		if (qemu_names[k].generic || n--)
			continue;
		*stands_in = qemu_names[k].model;
		return qemu_names[k].name;
	}
	return NULL;
}

bool model_is_substitute(const char *spec)
{
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(spec, ","), spec);
	const struct foreign *f = find_foreign(name);
	return f && !f->generic;
}

/* One of ours for one of the names above: the maker's that vendor= or a switch asks for, and where an old processor is to
 * have what it cannot, which command lines for other people's systems like to write, the newest. */
static const struct cpu_model *stand_in(const struct spec *s, const struct foreign *f, const char *vendor)
{
	const struct cpu_model *m = f->model;

	if (vendor && strcmp(vendor, m->vendor))
		m = strcmp(vendor, model_intel.vendor) ? &model_amd : &model_intel;
	else if (!vendor && switched_on(&model_intel, s, FEAT_VMX) && !model_can(m, FEAT_VMX))
		m = &model_intel;
	else if (!vendor && switched_on(&model_amd, s, FEAT_SVM) && !model_can(m, FEAT_SVM))
		m = &model_amd;
	for (unsigned feature = 1; feature < FEAT_COUNT && m == &model_core2; feature++)
		if (!model_can(m, (enum feature)feature) && switched_on(&model_intel, s, (enum feature)feature))
			m = &model_intel;
	return m;
}

static enum status choose_model(const struct spec *s, const struct cpu_model **out, struct err *err)
{
	const char *name = s->word[0], *vendor = key_value(s, "vendor");
	bool vmx = switched_on(&model_intel, s, FEAT_VMX), svm = switched_on(&model_amd, s, FEAT_SVM);
	bool intel = vendor && !strcmp(vendor, "GenuineIntel");

	if (vendor && !intel && strcmp(vendor, "AuthenticAMD"))
		return err_set(err, ST_ARG, "vendor '%s': AuthenticAMD or GenuineIntel", vendor);
	if (vmx && svm)
		return err_set(err, ST_ARG, "+vmx and +svm exclude each other: one processor has one of them");
	for (size_t k = 0; k < ARRAY_LEN(models); k++) {
		if (strcmp(models[k]->name, name))
			continue;
		if (vendor && strcmp(vendor, models[k]->vendor))
			return err_set(err, ST_ARG, "model '%s' is %s, not vendor=%s", name, models[k]->vendor, vendor);
		*out = models[k];
		return ST_OK;
	}
	const struct foreign *f = find_foreign(name);
	if (!f)
		return unknown_model(name, err);
	*out = stand_in(s, f, vendor);
	return ST_OK;
}

static enum status apply_switch(const struct cpu_model *m, const char *name, bool on, struct feature_set *f, struct err *err)
{
	enum feature id = feature_by_name(m, name);

	if (!on && among(absent, ARRAY_LEN(absent), name))
		return ST_OK;
	if (id == FEAT_NONE && among(absent, ARRAY_LEN(absent), name))
		return err_set(err, ST_ARG, "feature '%s' is not in any model", name);
	if (id == FEAT_NONE)
		return unknown_feature(m, name, err);
	if (on && !model_can(m, id)) {
		if (id == FEAT_VMX || id == FEAT_SVM)
			return err_set(err, ST_ARG, "model '%s' has no %s; use --cpu %s", m->name, name,
				       id == FEAT_VMX ? "intel" : "amd");
		return err_set(err, ST_ARG, "model '%s' has no feature '%s'", m->name, arch_features[id].name);
	}
	feat_put(f, id, on);
	return ST_OK;
}

static bool phys_bits_ok(const char *v, unsigned long *bits_out)
{
	char *end;

	if (!isdigit((unsigned char)*v))
		return false;
	*bits_out = strtoul(v, &end, 10);
	return !*end && *bits_out >= 36 && *bits_out <= 52;
}

/* "SMRAM State Save Map": amd64 is what stock firmware for emulators reads and writes, on whichever processor it runs. */
static enum status apply_smm_map(const struct cpu_model *m, const char *value, struct feature_set *f, struct err *err)
{
	bool own_is_intel = model_quirk(m, QUIRK_SMM_MAP_INTEL);

	if (!strcmp(value, "intel") && !own_is_intel)
		return err_set(err, ST_ARG, "smm-map=intel: model '%s' has AMD64's save-state map; use --cpu intel", m->name);
	if (strcmp(value, "intel") && strcmp(value, "amd64"))
		return err_set(err, ST_ARG, "smm-map=%s: amd64 or intel", value);
	f->smm_map_amd64 = !strcmp(value, "amd64");
	return ST_OK;
}

static enum status apply_word(const struct cpu_model *m, const char *word, struct feature_set *f, struct err *err)
{
	char name[64];
	const char *eq = strchr(word, '=');
	unsigned long width;
	bool on;

	if (as_switch(m, word, name, sizeof(name), &on))
		return apply_switch(m, name, on, f, err);
	snprintf(name, sizeof(name), "%.*s", (int)(eq ? eq - word : (long)strlen(word)), word);
	if (!strcmp(name, "vendor") && eq)
		return ST_OK; /* choose_model has read it */
	if (!strcmp(name, "phys-bits") && eq) {
		if (phys_bits_ok(eq + 1, &width) || !strcmp(eq + 1, "0"))
			return ST_OK;
		return err_set(err, ST_ARG, "phys-bits=%s: 36 to 52", eq + 1);
	}
	if (!strcmp(name, "smm-map") && eq)
		return apply_smm_map(m, eq + 1, f, err);
	if (among(ignored_keys, ARRAY_LEN(ignored_keys), name)) {
		if (!eq || read_switch(eq + 1, &on) || isdigit((unsigned char)eq[1]))
			return ST_OK;
		return err_set(err, ST_ARG, "%s: on or off", word);
	}
	/* QEMU also takes a bare feature name as "on". */
	if (!eq && feature_by_name(m, word) != FEAT_NONE)
		return apply_switch(m, word, true, f, err);
	return eq ? unknown_key(name, err) : unknown_feature(m, word, err);
}

/* What has lost what it needs goes, too; unless it was asked for, which cannot be done then. */
static enum status drop_dependents(const struct cpu_model *m, const struct spec *s, struct feature_set *f, struct err *err)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (size_t k = 0; k < arch_feature_need_count; k++) {
			enum feature id = (enum feature)arch_feature_needs[k].feature,
				     need = (enum feature)arch_feature_needs[k].needs;

			if (!feat_has(f, id) || feat_has(f, need))
				continue;
			if (switched_on(m, s, id))
				return err_set(err, ST_ARG, "feature '%s' needs '%s', which is off",
					       arch_features[id].name, arch_features[need].name);
			feat_put(f, id, false);
			changed = true;
		}
	}
	return ST_OK;
}

enum status model_parse(const char *spec, const struct cpu_model **model, struct feature_set *features, struct err *err)
{
	struct spec s;
	enum status st = split(&s, spec, err);

	if (st == ST_OK)
		st = choose_model(&s, model, err);
	if (st != ST_OK)
		return st;
	model_features(*model, features);
	for (unsigned k = 1; k < s.count && st == ST_OK; k++)
		st = apply_word(*model, s.word[k], features, err);
	return st == ST_OK ? drop_dependents(*model, &s, features, err) : st;
}

const char *model_unheard(const char *spec)
{
	/* What takes something away, or shapes it, that stays as it is. */
	static const char *const words[] = {"pmu=off", "l3-cache=off", "legacy-cache=on", "host-cache-info=on"};

	for (size_t k = 0; k < ARRAY_LEN(words); k++) {
		const char *p = strstr(spec, words[k]);
		size_t n = strlen(words[k]);

		if (p && p != spec && p[-1] == ',' && (!p[n] || p[n] == ','))
			return words[k];
	}
	return NULL;
}

u8 model_phys_bits(const char *spec, const struct cpu_model *model)
{
	struct spec s;
	struct err err;
	unsigned long width;
	const char *v;

	if (split(&s, spec, &err) != ST_OK)
		return model->phys_bits;
	v = key_value(&s, "phys-bits");
	return v && phys_bits_ok(v, &width) ? (u8)width : model->phys_bits;
}
