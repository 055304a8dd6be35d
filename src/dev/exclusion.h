/*
 * The device exclusion vector of a northbridge: which pages of memory which devices must not touch. 33047 "External Access
 * Protection". The registers behind DEV_OP and DEV_DATA, the table walk with its cache, and the log of what was refused.
 * Knows nothing of configuration space: northbridge.c has the capability block.
 */
#ifndef DEV_EXCLUSION_H
#define DEV_EXCLUSION_H

#include "mem/mem.h"

/* "Encoding of function field in DEV_OP register" */
enum {
	DEV_BASE_LO, DEV_BASE_HI, DEV_MAP, DEV_CAP, DEV_CR, DEV_ERR_STATUS, DEV_ERR_ADDR_LO, DEV_ERR_ADDR_HI,
};
/* "DEV_CR Control Register" */
enum {
	DEV_CR_ENABLE = 1 << 0, DEV_CR_MEM_CLR_DIS = 1 << 1, DEV_CR_IOSPEN = 1 << 2, DEV_CR_MCE = 1 << 3,
	DEV_CR_INVALIDATE = 1 << 4, DEV_CR_SL_DEV_EN = 1 << 5, DEV_CR_NO_PROBE = 1 << 6,
};
/* DEV_BASE_LO */
enum { DEV_BASE_V = 1 << 0, DEV_BASE_P = 1 << 1 };

/* What this bridge has; the manual leaves the numbers to it. */
enum { DEV_DOMAINS = 4, DEV_MAPS = 4, DEV_REVISION = 0 };

/* "Host Bridge and Processor DEV Caching": words of the tables, by domain and place in the table. Nothing but an
 * invalidation, a reset or another word for the same line makes the bridge read a table again. */
enum { DEV_CACHE_LINES = 16 };

struct exclusion {
	u32 base_lo[DEV_DOMAINS], base_hi[DEV_DOMAINS];
	u32 map[DEV_MAPS];
	u32 cr;
	u32 err_status;
	u64 err_addr;
	u64 sl_base; /* SL_DEV_BASE: software never sees it */
	u64 cache_bits[DEV_DOMAINS][DEV_CACHE_LINES]; /* 64 pages each */
	u32 cache_word[DEV_DOMAINS][DEV_CACHE_LINES]; /* 1 + which word of the table; 0: nothing */
};

/* Nine ids. */
#define EXCLUSION_ROWS(base, type, x)                                                                                  \
	STATE_ARRAY((base) + 0, type, x.base_lo), STATE_ARRAY((base) + 1, type, x.base_hi),                            \
	STATE_ARRAY((base) + 2, type, x.map), STATE((base) + 3, type, x.cr), STATE((base) + 4, type, x.err_status),    \
	STATE((base) + 5, type, x.err_addr), STATE((base) + 6, type, x.sl_base),                                       \
	STATE_ARRAY((base) + 7, type, x.cache_bits), STATE_ARRAY((base) + 8, type, x.cache_word)

void exclusion_reset(struct exclusion *x);
void exclusion_init(struct exclusion *x); /* "Action of INIT" */

/* DEV_DATA as DEV_OP selects. Registers that are not there read as 0 and ignore writes. */
u32 exclusion_read(const struct exclusion *x, u16 op);
void exclusion_write(struct exclusion *x, u16 op, u32 v, bool memory_enabled);

/* SKINIT: SL_DEV protects 64 KiB from here on. */
void exclusion_protect(struct exclusion *x, u64 slb);

/* May this device make this memory access? *len becomes what of it the answer is about. `b` has the tables in it. */
bool exclusion_allows(struct exclusion *x, struct bus *b, u16 requester, u64 pa, u64 *len);
/* "Unauthorized Access Logging". true: a machine check is to report it. */
bool exclusion_log(struct exclusion *x, const struct dma_request *r, u64 pa, bool memory);

#endif
