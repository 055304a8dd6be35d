/*
 * "Combining Memory Types, MTRRs": the type of a guest access under nested paging, as pure functions. No cache is
 * modelled; the walk reports the type, and tests hold the tables cell by cell.
 */
#include "svm/svm.h"

/* clang-format off */
enum { UC = MT_UC, UCM = MT_UCM, WC = MT_WC, WP = MT_WP, WT = MT_WT, WB = MT_WB, CD = SVM_MT_CD, WCP = SVM_MT_WC_PLUS };

/* The order of the columns; row and column numbers of a type. 0xff: no such type. */
static const u8 pat_slot[] = {
	[MT_UC] = 0, [MT_UCM] = 1, [MT_WC] = 2, [MT_WP] = 3, [MT_WT] = 4, [MT_WB] = 5, [2] = 0xff, [3] = 0xff,
	[SVM_MT_CD] = 0xff, [SVM_MT_WC_PLUS] = 6,
};
static const u8 mtrr_slot[] = {
	[MT_UC] = 0, [MT_WC] = 1, [MT_WP] = 2, [MT_WT] = 3, [MT_WB] = 4, [2] = 0xff, [3] = 0xff, [MT_UCM] = 0xff,
};

/* "Combining Guest and Host PAT Types" (2005: table 2-12): guest down, host across. */
static const u8 pat_table[6][6] = {
	/*         UC  UC-  WC   WP   WT   WB */
	/* UC  */ {UC, UC,  UC,  UC,  UC,  UC},
	/* UC- */ {UC, UCM, WC,  UC,  UC,  UC},
	/* WC  */ {WC, WC,  WC,  WCP, WCP, WCP},
	/* WP  */ {UC, UC,  UC,  WP,  UC,  WP},
	/* WT  */ {UC, UC,  UC,  UC,  WT,  WT},
	/* WB  */ {UC, UC,  WC,  WP,  WT,  WB},
};

/* "Combining PAT and MTRR Types" (2005: table 2-13): combined PAT type down, MTRR type of the address across. */
static const u8 mtrr_table[7][5] = {
	/*         UC  WC   WP   WT   WB */
	/* UC  */ {UC, CD,  CD,  CD,  CD},
	/* UC- */ {UC, WC,  CD,  CD,  CD},
	/* WC  */ {WC, WC,  WC,  WC,  WC},
	/* WP  */ {UC, CD,  WP,  CD,  WP},
	/* WT  */ {UC, CD,  CD,  WT,  WT},
	/* WB  */ {UC, WC,  WP,  WT,  WB},
	/* WC+ */ {WC, WC,  WCP, WCP, WCP},
};
/* clang-format on */

u8 svm_combine_pat(u8 guest, u8 host)
{
	u8 g = guest <= MT_UCM ? pat_slot[guest] : 0xff, h = host <= MT_UCM ? pat_slot[host] : 0xff;

	return g == 0xff || h == 0xff ? MT_UC : pat_table[g][h];
}

u8 svm_combine_mtrr(u8 pat, u8 mtrr)
{
	u8 p = pat < ARRAY_LEN(pat_slot) ? pat_slot[pat] : 0xff, m = mtrr < ARRAY_LEN(mtrr_slot) ? mtrr_slot[mtrr] : 0xff;

	return p == 0xff || m == 0xff ? MT_UC : mtrr_table[p][m];
}

/* "MTRRs ... are only applied to host physical addresses." Fixed ranges below 1 MiB, then the variable ones: UC wins
 * over all, WT over WB; other overlaps are undefined, the first range stands. */
static u8 fixed_type(const struct mtrr_state *m, pa_t pa)
{
	unsigned slot, byte;

	if (pa < 0x80000)
		slot = 0, byte = (unsigned)(pa >> 16);
	else if (pa < 0xc0000)
		slot = 1 + (unsigned)(pa - 0x80000) / 0x20000, byte = (pa >> 14) & 7;
	else
		slot = 3 + (unsigned)(pa - 0xc0000) / 0x8000, byte = (pa >> 12) & 7;
	return (u8)(m->fixed[slot] >> (8 * byte) & 7);
}

u8 svm_mtrr_type(const struct mtrr_state *m, pa_t pa)
{
	int found = -1;

	if (!(m->def_type & BIT(11)))
		return MT_UC;
	if (pa < 0x100000 && (m->def_type & BIT(10)))
		return fixed_type(m, pa);
	for (unsigned n = 0; n < ARRAY_LEN(m->base); n++) {
		int type = (int)(m->base[n] & 7);

		if (!(m->mask[n] & BIT(11)) || ((pa ^ m->base[n]) & m->mask[n] & mask(51, 12)))
			continue;
		if (type == MT_UC)
			return MT_UC;
		if (found < 0 || (found == MT_WB && type == MT_WT))
			found = type;
	}
	return found < 0 ? (u8)(m->def_type & 7) : (u8)found;
}

/* "gCR0.CD or hCR0.CD can disable caching": what was cacheable becomes CD; uncacheable types stay. */
u8 svm_combine_cd(u8 type, bool cache_disabled)
{
	bool cacheable = type == MT_WB || type == MT_WT || type == MT_WP;

	return cache_disabled && cacheable ? SVM_MT_CD : type;
}
