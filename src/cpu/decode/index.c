/* The instruction table of one model: its row sets joined and ordered by mnemonic, so that a lookup is one subscript. */
#include "cpu/decode/index.h"

static size_t count_rows(const struct row_set *const *sets)
{
	size_t n = 0;

	for (; sets && *sets; sets++)
		n += (*sets)->count;
	return n;
}

/* Rows of one mnemonic keep the order of their sets: first match wins. */
static void fill_index(struct decode_index *d, const struct cpu_model *model)
{
	const struct row_set *const *const lists[] = {model->insns, model->foreign};
	u32 count[ZYDIS_MNEMONIC_MAX_VALUE + 2] = {0};

	for (size_t n = 0; n < ARRAY_LEN(lists); n++)
		for (const struct row_set *const *s = lists[n]; s && *s; s++)
			for (size_t k = 0; k < (*s)->count; k++)
				count[(*s)->rows[k].mnemonic + 1]++;
	for (size_t m = 1; m < ARRAY_LEN(count); m++)
		count[m] += count[m - 1];
	memcpy(d->first, count, sizeof(d->first));
	for (size_t n = 0; n < ARRAY_LEN(lists); n++)
		for (const struct row_set *const *s = lists[n]; s && *s; s++)
			for (size_t k = 0; k < (*s)->count; k++)
				d->rows[count[(*s)->rows[k].mnemonic]++] = &(*s)->rows[k];
}

static void init_decoder(ZydisDecoder *z, ZydisMachineMode machine, ZydisStackWidth stack, const struct cpu_model *m,
			 const struct feature_set *f)
{
	ZydisDecoderInit(z, machine, stack);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_AMD_BRANCHES, !model_quirk(m, QUIRK_BRANCH_IGNORE_66));
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_LZCNT, feat_has(f, FEAT_ABM));
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_TZCNT, feat_has(f, FEAT_BMI1));
	ZydisDecoderEnableMode(z, ZYDIS_DECODER_MODE_WBNOINVD, feat_has(f, FEAT_WBNOINVD));
}

static void init_decoders(struct decode_index *d, const struct cpu_model *m, const struct feature_set *f)
{
	init_decoder(&d->zydis[DEC_REAL], ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16, m, f);
	init_decoder(&d->zydis[DEC_16], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, m, f);
	init_decoder(&d->zydis[DEC_16_SS32], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_32, m, f);
	init_decoder(&d->zydis[DEC_32], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, m, f);
	init_decoder(&d->zydis[DEC_32_SS16], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_16, m, f);
	init_decoder(&d->zydis[DEC_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, m, f);
}

enum status decode_index_new(const struct decode_index **out, const struct cpu_model *m, const struct feature_set *f,
			     const struct dispatch *how)
{
	size_t n = count_rows(m->insns) + count_rows(m->foreign);
	struct decode_index *d = base_alloc(sizeof(*d) + n * sizeof(d->rows[0]));

	if (!d)
		return ST_NOMEM;
	d->how = how;
	fill_index(d, m);
	init_decoders(d, m, f);
	*out = d;
	return ST_OK;
}

void decode_index_free(const struct decode_index *d)
{
	base_free((void *)(uintptr_t)d);
}

const struct insn_row *decode_index_find(const struct decode_index *d, const struct dec *view)
{
	unsigned m = view->zi->mnemonic;

	for (u32 k = d->first[m]; k < d->first[m + 1]; k++)
		if (!d->rows[k]->match || d->rows[k]->match(view))
			return d->rows[k];
	return NULL;
}

const ZydisDecoder *decode_index_decoder(const struct decode_index *d, u8 mode)
{
	switch (mode & MODE_SIZE) {
	case MODE_64: return &d->zydis[DEC_64];
	case MODE_32: return &d->zydis[mode & MODE_SS32 ? DEC_32 : DEC_32_SS16];
	default: break;
	}
	if (!(mode & MODE_PE))
		return &d->zydis[DEC_REAL];
	return &d->zydis[mode & MODE_SS32 ? DEC_16_SS32 : DEC_16];
}
