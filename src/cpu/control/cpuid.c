/*
 * CPUID: feature bits from the processor's feature set, everything else from the model's leaves, and the dynamic bits.
 * SDM 2A "CPUID", APM 3 appendix "Obtaining Processor Information Via the CPUID Instruction".
 */
#include "cpu/control/cpuid.h"

#include "cpu/control/xstate.h"

#define MISC_ENABLE_LIMIT_CPUID BIT(22)
#define MISC_ENABLE_MWAIT       BIT(18)
#define MISC_ENABLE_XD_DISABLE  BIT(34)

void cpuid_features(const struct cpu *c, u32 leaf, u32 subleaf, u32 out[4])
{
	for (unsigned f = 1; f < FEAT_COUNT; f++) {
		const struct feature_info *i = &arch_features[f];

		if (i->leaf == leaf && i->subleaf == subleaf && has(c, (enum feature)f))
			out[i->reg] |= 1u << i->bit;
	}
}

unsigned cpuid_core_bits(const struct cpu *c)
{
	return c->count > 1 ? 32 - (unsigned)__builtin_clz(c->count - 1) : 0;
}

/* ---- fix-ups ---- */

void cpuid_fix_1(struct cpu *c, u32 out[4])
{
	out[EAX] = c->model->signature;
	out[EBX] = c->apic.id << 24 | (c->count > 1 ? 1u << cpuid_core_bits(c) : 1) << 16 | 8u << 8; /* CLFLUSH: 8 quadwords */
	if (c->count > 1)
		out[EDX] |= 1u << 28; /* HTT: more than one APIC id in the package */
	else
		out[EDX] &= ~(1u << 28);
	if (c->cr4 & CR4_OSXSAVE)
		out[ECX] |= 1u << 27;
	if (!(c->apic.base & BIT(11)))
		out[EDX] &= ~(1u << 9);
	/* IA32_MISC_ENABLE reads as zero where it does not exist. */
	if (c->misc_enable && !(c->misc_enable & MISC_ENABLE_MWAIT))
		out[ECX] &= ~(1u << 3);
}

void cpuid_fix_5(struct cpu *c, u32 out[4])
{
	if (!has(c, FEAT_MONITOR) && !has(c, FEAT_MONITORX))
		memset(out, 0, 4 * sizeof(out[0]));
}

void cpuid_fix_7(struct cpu *c, u32 out[4])
{
	if (c->cr4 & CR4_PKE)
		out[ECX] |= 1u << 4;
}

void cpuid_fix_smt(struct cpu *c, u32 out[4])
{
	out[EAX] = 0;
	out[EBX] = 1;
	out[ECX] = 1u << 8;
	out[EDX] = c->apic.id;
}

void cpuid_fix_core(struct cpu *c, u32 out[4])
{
	out[EAX] = cpuid_core_bits(c);
	out[EBX] = c->count;
	out[ECX] = 2u << 8 | 1;
	out[EDX] = c->apic.id;
}

void cpuid_fix_apic_id(struct cpu *c, u32 out[4])
{
	out[EDX] = c->apic.id;
}

void cpuid_fix_d0(struct cpu *c, u32 out[4])
{
	u64 all;

	if (!has(c, FEAT_XSAVE))
		return;
	all = xsave_components(c);
	out[EAX] = (u32)all;
	out[EBX] = xsave_size(c->xcr0, false);
	out[ECX] = xsave_size(all, false);
	out[EDX] = (u32)(all >> 32);
}

void cpuid_fix_d1(struct cpu *c, u32 out[4])
{
	if (!has(c, FEAT_XSAVE))
		memset(out, 0, 4 * sizeof(out[0]));
	else if (has(c, FEAT_XSAVEC) || has(c, FEAT_XSAVES))
		out[EBX] = xsave_size(c->xcr0 | c->xss, true);
}

static void fix_component(struct cpu *c, unsigned n, u32 out[4])
{
	u32 offset = 0;

	if (!has(c, FEAT_XSAVE) || !(xsave_components(c) >> n & 1))
		return;
	out[EAX] = xsave_component(n, &offset);
	out[EBX] = offset;
}

void cpuid_fix_d_avx(struct cpu *c, u32 out[4])
{
	fix_component(c, 2, out);
}

void cpuid_fix_d_pkru(struct cpu *c, u32 out[4])
{
	fix_component(c, 9, out);
}

void cpuid_fix_ext1(struct cpu *c, u32 out[4])
{
	if (quirk(c, QUIRK_SYSCALL_LONG_ONLY) && !mode64(c))
		out[EDX] &= ~(1u << 11);
	if (c->misc_enable & MISC_ENABLE_XD_DISABLE)
		out[EDX] &= ~(1u << 20);
}

void cpuid_fix_address(struct cpu *c, u32 out[4])
{
	out[EAX] = c->phys_bits | (has(c, FEAT_LA57) ? 57u : 48u) << 8;
}

/* ---- the query ---- */

static void brand_leaf(const struct cpu *c, u32 leaf, u32 out[4])
{
	char text[48] = {0};
	size_t n = strlen(c->model->brand);

	memcpy(text, c->model->brand, n < sizeof(text) ? n : sizeof(text));
	memcpy(out, text + 16 * (leaf - 0x80000002), 16);
}

static u32 vendor_word(const char *vendor, unsigned at)
{
	u32 w;

	memcpy(&w, vendor + at, 4);
	return w;
}

static u32 max_basic(const struct cpu *c)
{
	return c->misc_enable & MISC_ENABLE_LIMIT_CPUID ? 2 : c->model->max_leaf;
}

static const struct cpuid_leaf *find_leaf(const struct cpu *c, u32 leaf, u32 subleaf)
{
	const struct cpuid_leaf *any = NULL;

	for (const struct cpuid_leaf *l = c->model->leaves; l->leaf != ~0u; l++) {
		if (l->leaf != leaf)
			continue;
		if (l->subleaf == subleaf)
			return l;
		any = l;
	}
	/* A leaf without subleaves ignores ECX: it has one row, subleaf 0, and is none of those that have. */
	switch (leaf) {
	case 4:
	case 7:
	case 0xb:
	case 0xd:
	case 0x1f:
	case 0x8000001d: return NULL;
	default: return any;
	}
}

void cpuid_query(struct cpu *c, u32 leaf, u32 subleaf, u32 out[4])
{
	const struct cpu_model *m = c->model;
	const struct cpuid_leaf *l;
	bool indexed = leaf == 7 || leaf == 0xd;

	memset(out, 0, 4 * sizeof(out[0]));
	if (leaf < 0x80000000 ? leaf > max_basic(c) : leaf > m->max_ext_leaf) {
		if (!quirk(c, QUIRK_CPUID_LAST_LEAF))
			return;
		leaf = max_basic(c);
	}
	if (leaf >= 0x80000002 && leaf <= 0x80000004) {
		brand_leaf(c, leaf, out);
		return;
	}
	l = find_leaf(c, leaf, subleaf);
	if (l)
		memcpy(out, l->out, 4 * sizeof(out[0]));
	cpuid_features(c, leaf, indexed ? subleaf : 0, out);
	if (l && l->fix)
		l->fix(c, out);
	if (leaf == 0) {
		out[EAX] = max_basic(c);
		out[EBX] = vendor_word(m->vendor, 0);
		out[EDX] = vendor_word(m->vendor, 4);
		out[ECX] = vendor_word(m->vendor, 8);
	} else if (leaf == 0x80000000) {
		out[EAX] = m->max_ext_leaf;
	} else if ((leaf == 0xb || leaf == 0x1f) && !l) { /* beyond the last level: type 0 */
		out[ECX] = subleaf & 0xff;
		out[EDX] = c->apic.id;
	}
}
