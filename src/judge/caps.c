/*
 * What the processor behind a dump can do: a model's capabilities, or those that a file tells in lines of its capability
 * MSRs and CPUID leaves, which tools/vmdump.h prints on any machine and `turnstile caps` on this one.
 */
#include "judge/judge.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/os.h"
#include "cpu/decode/decode.h"
#include "vmdump.h"

/* ---- words of a file ---- */

bool words_msr(const struct judge_words *w, u32 index, u64 *value)
{
	for (unsigned n = 0; n < w->msrs; n++)
		if (w->msr[n].index == index) {
			*value = w->msr[n].value;
			return true;
		}
	return false;
}

bool words_cpuid(const struct judge_words *w, u32 leaf, u32 subleaf, u32 reg[4])
{
	for (unsigned n = 0; n < w->cpuids; n++)
		if (w->cpuid[n].leaf == leaf && w->cpuid[n].subleaf == subleaf) {
			memcpy(reg, w->cpuid[n].reg, sizeof(w->cpuid[n].reg));
			return true;
		}
	memset(reg, 0, 4 * sizeof(*reg));
	return false;
}

static bool literal(const char **p, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - *p) < n || memcmp(*p, word, n))
		return false;
	*p += n;
	return true;
}

static bool number(const char **p, const char *end, u64 most, u64 *value)
{
	const char *s = *p, *e = s;

	while (e < end && isalnum((unsigned char)*e))
		e++;
	*p = e;
	return format_number(&s, e, 16, value) && s == e && *value <= most;
}

static bool msr_line(struct judge_words *w, const char *p, const char *end)
{
	u64 index, value;

	if (!number(&p, end, ~0u, &index) || !literal(&p, end, "=") || !number(&p, end, ~0ull, &value) || w->msrs == ARRAY_LEN(w->msr))
		return false;
	w->msr[w->msrs].index = (u32)index;
	w->msr[w->msrs++].value = value;
	return true;
}

static bool cpuid_line(struct judge_words *w, const char *p, const char *end)
{
	u64 leaf, subleaf, reg[4];

	if (!number(&p, end, ~0u, &leaf) || !literal(&p, end, ".") || !number(&p, end, ~0u, &subleaf) || !literal(&p, end, ":"))
		return false;
	for (unsigned n = 0; n < 4; n++)
		if (!literal(&p, end, " ") || !number(&p, end, ~0u, &reg[n]))
			return false;
	if (w->cpuids == ARRAY_LEN(w->cpuid))
		return false;
	w->cpuid[w->cpuids].leaf = (u32)leaf;
	w->cpuid[w->cpuids].subleaf = (u32)subleaf;
	for (unsigned n = 0; n < 4; n++)
		w->cpuid[w->cpuids].reg[n] = (u32)reg[n];
	w->cpuids++;
	return true;
}

bool words_line(struct judge_words *w, const char *s, const char *end)
{
	if (literal(&s, end, "msr "))
		return msr_line(w, s, end);
	return literal(&s, end, "cpuid ") && cpuid_line(w, s, end);
}

/* The features of ours that the file's processor has. Behind 0x48e to 0x490 a bit that is 0 is the freedom. */
static bool has_feature(const struct judge_words *w, enum feature f)
{
	const struct feature_info *i = &arch_features[f];
	u32 reg[4];
	u64 value;

	if (!FEATURE_IS_VMX(i->leaf))
		return words_cpuid(w, i->leaf, i->subleaf, reg) && (reg[i->reg] >> i->bit & 1);
	if (!words_msr(w, i->leaf, &value))
		return false;
	value = i->reg == EDX ? value >> 32 : value;
	return (value >> i->bit & 1) != (i->leaf >= 0x48e && i->leaf <= 0x490);
}

/* ---- a processor without a machine ---- */

struct probe {
	struct clock clock;
	struct hooks hooks;
	struct bus bus;
	struct code_cache *code;
	void *memory;
	struct cpu *c, *all[1];
	bool bus_there, cpu_there;
};

static void probe_close(struct probe *p)
{
	if (p->cpu_there)
		cpu_fini(p->c);
	if (p->code)
		code_cache_free(p->code);
	if (p->bus_there)
		bus_fini(&p->bus);
	base_free(p->memory);
}

static enum status probe_open(struct probe *p, const struct cpu_model *m, const struct feature_set *f, u8 phys_bits, struct err *err)
{
	enum status s;

	memset(p, 0, sizeof(*p));
	clock_init(&p->clock);
	p->memory = base_alloc(sizeof(struct cpu) + 64);
	if (!p->memory)
		return err_set(err, ST_NOMEM, "out of memory");
	p->c = (struct cpu *)(void *)(((uintptr_t)p->memory + 63) & ~(uintptr_t)63);
	s = bus_init(&p->bus, &p->clock, &p->hooks, PAGE_SIZE, 1u << 31, err);
	if (s != ST_OK)
		return s;
	p->bus_there = true;
	if (code_cache_new(&p->code, &p->bus) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	p->all[0] = p->c;
	p->c->all = p->all;
	p->c->count = 1;
	p->c->code = p->code;
	p->c->phys_bits = phys_bits;
	s = cpu_init(p->c, m, f, &p->bus, err);
	p->cpu_there = s == ST_OK;
	return s;
}

static enum status probe_spec(struct probe *p, const char *spec, struct err *err)
{
	const struct cpu_model *m;
	struct feature_set f;
	enum status s = model_parse(spec, &m, &f, err);

	memset(p, 0, sizeof(*p));
	return s == ST_OK ? probe_open(p, m, &f, model_phys_bits(spec, m), err) : s;
}

static void take_caps(struct cpu *c, struct judge_caps *k)
{
	k->has_vmx = c->virt == &vmx_ops;
	k->has_svm = c->virt == &svm_ops;
	if (k->has_vmx)
		k->vmx = *vmx_caps(c);
	if (k->has_svm)
		svm_env_fill(c, &k->env);
}

enum status caps_of_spec(const char *spec, struct judge_caps *k, struct err *err)
{
	struct probe p;
	enum status s = probe_spec(&p, spec, err);

	memset(k, 0, sizeof(*k));
	if (s == ST_OK) {
		take_caps(p.c, k);
		snprintf(k->how, sizeof(k->how), "as --cpu %s", spec);
		if (!k->has_vmx && !k->has_svm)
			s = err_set(err, ST_ARG, "%s: this processor has neither VMX nor SVM", spec);
	}
	probe_close(&p);
	return s;
}

/* ---- capabilities from a file ---- */

static u64 word_or(const struct judge_words *w, u32 index, u64 otherwise)
{
	u64 value;

	return words_msr(w, index, &value) ? value : otherwise;
}

static bool cpuid_bit(const struct judge_words *w, u32 leaf, unsigned reg, unsigned bit)
{
	u32 out[4];

	return words_cpuid(w, leaf, 0, out) && (out[reg] >> bit & 1);
}

/* "Reserved Controls and Default Settings": the TRUE MSRs where there are any. */
static void take_controls(const struct judge_words *w, struct vmx_caps *p)
{
	static const struct {
		u16 msr, precise;
	} of[VMX_WORDS] = {[VMX_PIN] = {0x481, 0x48d}, [VMX_PROC] = {0x482, 0x48e}, [VMX_PROC2] = {0x48b, 0},
	                   [VMX_EXIT] = {0x483, 0x48f}, [VMX_ENTRY] = {0x484, 0x490}};

	for (unsigned n = 0; n < VMX_WORDS; n++) {
		u64 v = word_or(w, of[n].msr, 0);

		if (of[n].precise && (p->basic & BIT(55)))
			v = word_or(w, of[n].precise, v);
		p->required1[n] = (u32)v;
		p->allowed1[n] = v >> 32;
	}
	p->required1[VMX_PROC3] = p->required1[VMX_EXIT2] = 0;
	p->allowed1[VMX_PROC3] = word_or(w, 0x492, 0);
	p->allowed1[VMX_EXIT2] = word_or(w, 0x493, 0);
}

/* IA32_DEBUGCTL, IA32_PERF_GLOBAL_CTRL and IA32_EFER, as far as CPUID tells what they have. */
static void take_msr_bits(const struct judge_words *w, struct vmx_caps *p)
{
	bool ds = cpuid_bit(w, 1, EDX, 21), cpl = cpuid_bit(w, 1, ECX, 4);
	u32 perf[4];

	words_cpuid(w, 0xa, 0, perf);
	p->debugctl = BIT(0) | BIT(1) | (p->bus_lock ? BIT(2) : 0) | (ds ? mask(8, 6) : 0) | (ds && cpl ? mask(10, 9) : 0) |
	              ((perf[EAX] & 0xff) >= 2 ? mask(14, 11) : 0) | (p->rtm ? BIT(15) : 0);
	p->perf_global = (BIT(bits(perf[EAX], 15, 8) & 31) - 1) | (BIT(perf[EDX] & 31) - 1) << 32;
	if (bits(perf[EAX], 7, 0) >= 5) /* IA32_PERF_CAPABILITIES, which says more, is in no file */
		p->perf_global |= BIT(48) | (u64)perf[ECX] << 32;
	p->efer = (cpuid_bit(w, 0x80000001, EDX, 20) ? EFER_NXE : 0) |
	          (cpuid_bit(w, 0x80000001, EDX, 29) ? EFER_SCE | EFER_LME | EFER_LMA : 0);
}

static void take_vmx(const struct judge_words *w, struct vmx_caps *p)
{
	u32 size[4];

	p->basic = word_or(w, 0x480, 0);
	p->misc = word_or(w, 0x485, 0);
	p->ept_vpid = word_or(w, 0x48c, 0);
	p->vmfunc = word_or(w, 0x491, 0);
	p->cr0_fixed0 = word_or(w, 0x486, 0);
	p->cr0_fixed1 = word_or(w, 0x487, ~0ull);
	p->cr4_fixed0 = word_or(w, 0x488, 0);
	p->cr4_fixed1 = word_or(w, 0x489, ~0ull);
	p->sgx = cpuid_bit(w, 7, EBX, 2);
	p->rtm = cpuid_bit(w, 7, EBX, 11);
	p->bus_lock = cpuid_bit(w, 7, ECX, 24);
	words_cpuid(w, 0x80000008, 0, size);
	p->phys_bits = (u8)size[EAX];
	p->la_bits = cpuid_bit(w, 7, ECX, 16) ? 57 : 48;
	take_controls(w, p);
	take_msr_bits(w, p);
}

/* What this machine's processors never have, and others may. */
static void widen_svm(const struct judge_words *w, struct svm_env *e)
{
	e->cr4_bits |= cpuid_bit(w, 7, ECX, 7) ? BIT(23) : 0;              /* CET */
	e->efer_bits |= cpuid_bit(w, 0x80000008, EBX, 20) ? 0 : EFER_LMSLE;
	e->efer_bits |= cpuid_bit(w, 0x80000001, ECX, 17) ? BIT(15) : 0;   /* TCE */
	e->efer_bits |= cpuid_bit(w, 0x80000008, EBX, 13) ? BIT(18) : 0;   /* INTWB */
	e->efer_bits |= cpuid_bit(w, 0x80000021, EAX, 7) ? BIT(20) : 0;    /* UAIE */
}

static enum status take_svm(const struct judge_words *w, struct svm_env *e, struct err *err)
{
	struct feature_set f = {.w = {0}};
	struct probe p;
	u32 svm[4], size[4];

	for (unsigned n = 1; n < FEAT_COUNT; n++)
		feat_put(&f, (enum feature)n, !FEATURE_IS_VMX(arch_features[n].leaf) && has_feature(w, (enum feature)n));
	words_cpuid(w, 0x8000000a, 0, svm);
	words_cpuid(w, 0x80000008, 0, size);
	enum status s = probe_open(&p, &model_amd, &f, (u8)size[EAX], err);
	if (s == ST_OK) {
		svm_env_fill(p.c, e);
		e->asids = svm[EBX];
		widen_svm(w, e);
	}
	probe_close(&p);
	return s;
}

enum status caps_of_words(const char *file, const struct judge_words *w, struct judge_caps *k, struct err *err)
{
	u32 reg[4];
	u64 value;

	memset(k, 0, sizeof(*k));
	snprintf(k->how, sizeof(k->how), "with --caps %.120s", file);
	if (!words_cpuid(w, 0x80000008, 0, reg) || (reg[EAX] & 0xff) < 32 || (reg[EAX] & 0xff) > 52)
		return err_set(err, ST_ARG, "%s: no line `cpuid 0x80000008.0x0: ...` that tells the width of physical addresses", file);
	k->has_vmx = words_msr(w, 0x480, &value);
	k->has_svm = cpuid_bit(w, 0x80000001, ECX, 2);
	if (k->has_vmx && (!words_msr(w, 0x482, &value) || !words_msr(w, 0x486, &value)))
		return err_set(err, ST_ARG, "%s: IA32_VMX_BASIC is there, and not all of the MSRs 0x481 to 0x489", file);
	if (!k->has_vmx && !k->has_svm)
		return err_set(err, ST_ARG, "%s: neither capability MSRs of VMX (msr 0x480=...) nor a processor with SVM", file);
	if (k->has_vmx)
		take_vmx(w, &k->vmx);
	return k->has_svm ? take_svm(w, &k->env, err) : ST_OK;
}

/* ---- the lines, of a model and of this computer ---- */

struct source {
	FILE *out;
	struct probe *p;
};

static void source_put(void *arg, char ch)
{
	fputc(ch, ((struct source *)arg)->out);
}

static int model_rdmsr(void *arg, unsigned index, unsigned long long *value)
{
	u64 v;

	if (!msr_read(((struct source *)arg)->p->c, index, &v))
		return 0;
	*value = v;
	return 1;
}

static void model_cpuid(void *arg, unsigned leaf, unsigned subleaf, unsigned reg[4])
{
	cpuid_query(((struct source *)arg)->p->c, leaf, subleaf, reg);
}

enum status caps_print_spec(FILE *out, const char *spec, struct err *err)
{
	struct probe p;
	enum status s = probe_spec(&p, spec, err);

	if (s == ST_OK) {
		struct source src = {.out = out, .p = &p};
		const struct vmdump v = {.put = source_put, .arg = &src, .rdmsr = model_rdmsr, .cpuid = model_cpuid};

		fprintf(out, "# turnstile caps --cpu %s\n", spec);
		vmdump_caps(&v);
	}
	probe_close(&p);
	return s;
}

static int here_rdmsr(void *arg, unsigned index, unsigned long long *value)
{
	char why[160];
	u64 v;

	(void)arg;
	if (!os_read_msr(0, index, &v, why, sizeof(why)))
		return 0;
	*value = v;
	return 1;
}

void caps_print_here(FILE *out)
{
	struct source src = {.out = out};
	const struct vmdump v = {.put = source_put, .arg = &src, .rdmsr = here_rdmsr};
	char why[160];
	u64 tsc;

	fprintf(out, "# turnstile caps\n");
	if (!os_read_msr(0, 0x10, &tsc, why, sizeof(why)))
		fprintf(out, "# without MSRs: %s\n", why);
	vmdump_caps(&v);
}

/* ---- --cpu like:FILE ---- */

/* Capability bits of the file's that no feature here stands for. */
static void lack_controls(const struct judge_words *w, const struct judge_caps *has, FILE *lacks)
{
	struct vmx_caps theirs;
	unsigned n = 0;

	memset(&theirs, 0, sizeof(theirs));
	take_vmx(w, &theirs);
	for (size_t k = 0; k < vmx_control_count; k++) {
		const struct vmx_control *c = &vmx_controls[k];

		if ((theirs.allowed1[c->word] >> c->bit & 1) && !(has->vmx.allowed1[c->word] >> c->bit & 1))
			fprintf(lacks, "%s\"%s\"", n++ ? ", " : "", c->name);
	}
}

/* Which registers of which leaves are features. */
static const struct {
	u32 leaf, subleaf;
	u8 reg;
	u32 not; /* bits that are none */
} feature_words[] = {
        {1, 0, ECX, 1u << 27 | 1u << 31}, {1, 0, EDX, 1u << 28}, {7, 0, EBX, 0}, {7, 0, ECX, 0}, {7, 0, EDX, 0}, {7, 1, EAX, 0},
        {7, 1, EDX, 0}, {0xd, 1, EAX, 0}, {0x80000001, 0, ECX, 1u << 1}, {0x80000001, 0, EDX, 0x0183fbff}, {0x80000008, 0, EBX, 0},
        {0x8000000a, 0, EDX, 0}, {0x80000021, 0, EAX, 0},
};

/* What no switch of the model and no leaf of it has. */
static void lack_bits(const struct judge_words *w, struct cpu *c, FILE *lacks, bool more)
{
	static const char *const name[4] = {"EAX", "EBX", "ECX", "EDX"};

	for (size_t n = 0; n < ARRAY_LEN(feature_words); n++) {
		u32 leaf = feature_words[n].leaf, subleaf = feature_words[n].subleaf, r = feature_words[n].reg, reg[4], here[4];

		words_cpuid(w, leaf, subleaf, reg);
		cpuid_query(c, leaf, subleaf, here);
		for (unsigned f = 1; f < FEAT_COUNT; f++)
			if (arch_features[f].leaf == leaf && arch_features[f].subleaf == subleaf && arch_features[f].reg == r &&
			    model_can(c->model, (enum feature)f))
				here[r] |= 1u << arch_features[f].bit;
		reg[r] &= ~(here[r] | feature_words[n].not);
		if (!reg[r])
			continue;
		fprintf(lacks, "%sCPUID 0x%" PRIx32 ".%" PRIu32 " %s 0x%" PRIx32, more ? ", " : "", leaf, subleaf, name[r], reg[r]);
		more = true;
	}
}

static const struct cpu_model *maker(const struct judge_words *w)
{
	u32 reg[4];
	u64 value;

	if (words_cpuid(w, 0, 0, reg) && reg[EBX] == 0x756e6547) /* "Genu" */
		return &model_intel;
	return words_msr(w, 0x480, &value) ? &model_intel : &model_amd;
}

/* Bits that tell of how many processors there are and of the mode CPUID was executed in. */
static bool by_circumstance(const struct judge_words *w, enum feature f)
{
	return f == FEAT_HTT || f == FEAT_CMP_LEGACY || f == FEAT_HYPERVISOR || (f == FEAT_SYSCALL && has_feature(w, FEAT_LM));
}

/* Switched off, what the model has and the file's does not; switched on, the other way round where that can be. */
static void write_spec(const struct judge_words *w, const struct cpu_model *m, FILE *f)
{
	struct feature_set ours;
	u32 size[4];

	model_features(m, &ours);
	fprintf(f, "%s", m->name);
	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		bool theirs = has_feature(w, (enum feature)n), of_vmx = FEATURE_IS_VMX(arch_features[n].leaf);

		if (theirs == feat_has(&ours, (enum feature)n) || !model_can(m, (enum feature)n) || by_circumstance(w, (enum feature)n) ||
		    (of_vmx && !has_feature(w, FEAT_VMX)))
			continue;
		fprintf(f, ",%s%s", theirs ? "+" : "-", arch_features[n].name);
	}
	words_cpuid(w, 0x80000008, 0, size);
	if ((size[EAX] & 0xff) != m->phys_bits && (size[EAX] & 0xff) >= 36 && (size[EAX] & 0xff) <= 52)
		fprintf(f, ",phys-bits=%u", size[EAX] & 0xff);
}

/* What that model lacks of the file's processor. */
static enum status write_lacks(const struct judge_words *w, const struct cpu_model *m, FILE *f, struct err *err)
{
	struct probe p;
	struct judge_caps has = {.has_vmx = false};
	enum status s = probe_spec(&p, m->name, err);
	u64 value;

	if (s == ST_OK) {
		take_caps(p.c, &has);
		if (has.has_vmx && words_msr(w, 0x480, &value))
			lack_controls(w, &has, f);
		lack_bits(w, p.c, f, ftell(f) > 0);
	}
	probe_close(&p);
	return s;
}

enum status caps_like(const char *file, const struct judge_words *w, char **spec, char **lacks, struct err *err)
{
	const struct cpu_model *m = maker(w);
	enum status s = ST_NOMEM;
	size_t n;
	u32 reg[4];

	*spec = *lacks = NULL;
	if (!words_cpuid(w, 1, 0, reg) || !words_cpuid(w, 0x80000001, 0, reg))
		return err_set(err, ST_ARG, "%s: without the lines of CPUID leaves 0x1 and 0x80000001 nothing is like it", file);
	FILE *to = open_memstream(spec, &n), *missing = open_memstream(lacks, &n);
	if (to && missing) {
		write_spec(w, m, to);
		s = write_lacks(w, m, missing, err);
	} else {
		err_set(err, ST_NOMEM, "out of memory");
	}
	if (to)
		fclose(to);
	if (missing)
		fclose(missing);
	return s;
}
