#include "dev/exclusion.h"

enum { PAGES_PER_WORD = 64, WORD_BYTES = 8 };
#define TABLE_BASE_LO  0xfffff000u
#define TABLE_BASE_HI  0xffu
#define TABLE_REACH    BIT(40) /* "bits 39-12" index the vector: none reaches further, whatever its SIZE */
#define SL_REGION      0x10000ull
#define DEV_MAP_DOMAIN (DEV_DOMAINS - 1u) /* bits of a domain number that this bridge has */

/* DEV_ERR_STATUS, which the manual leaves to the bridge (docs/ERRATA.md). */
enum {
	ERR_READ = 1, ERR_WRITE = 2, ERR_DRAM = 1 << 2, ERR_MMIO = 2 << 2, ERR_PERIPHERAL = 2 << 5,
	ERR_UNIT_SHIFT = 8, ERR_BUS_SHIFT = 16, ERR_DOMAIN_SHIFT = 24,
};
#define ERR_OVER  BIT(30)
#define ERR_VALID BIT(31)

/* ---- "Device IDs and Protection Domains" ---- */

/* A device and a HyperTransport unit are the same number here. */
static unsigned unit_of(u16 requester)
{
	return requester >> 3 & 31;
}

static unsigned bus_of(u16 requester)
{
	return requester >> 8;
}

/* "DEV_MAP Registers". Of several that match, the first counts, and in it UNIT0. */
static unsigned domain_of(const struct exclusion *x, u16 requester)
{
	unsigned unit = unit_of(requester);

	for (unsigned n = 0; n < DEV_MAPS; n++) {
		u32 m = x->map[n];
		if (bits(m, 19, 12) != bus_of(requester))
			continue;
		if ((m & BIT(5)) && bits(m, 4, 0) == unit)
			return (unsigned)bits(m, 25, 20) & DEV_MAP_DOMAIN;
		if ((m & BIT(11)) && bits(m, 10, 6) == unit)
			return (unsigned)bits(m, 31, 26) & DEV_MAP_DOMAIN;
	}
	return 0;
}

/* ---- the table ---- */

static u64 table_base(const struct exclusion *x, unsigned domain)
{
	return (u64)(x->base_hi[domain] & TABLE_BASE_HI) << 32 | (x->base_lo[domain] & TABLE_BASE_LO);
}

/* SIZE: "4GB * 2^SIZE" */
static u64 covered(const struct exclusion *x, unsigned domain)
{
	unsigned size = (unsigned)bits(x->base_lo[domain], 6, 2);

	return size >= 8 ? TABLE_REACH : BIT(32) << size;
}

/* Where there is no memory the walk reads ones: what cannot be looked up is refused. */
static u64 table_word(struct bus *b, u64 at)
{
	u64 room, v;
	const u8 *host = space_memory(&b->space[SPACE_DMA], at, USE_READ, &room);

	if (!host || room < sizeof(v))
		return ~0ull;
	memcpy(&v, host, sizeof(v));
	return v;
}

/* The word of a domain's table, from the cache if it is there. Caches of processors hold nothing that memory does not:
 * DEV_CR.NO_PROBE makes no difference. */
static u64 cached_word(struct exclusion *x, struct bus *b, unsigned domain, u32 word)
{
	unsigned line = word % DEV_CACHE_LINES;

	if (x->cache_word[domain][line] != word + 1) {
		x->cache_bits[domain][line] = table_word(b, table_base(x, domain) + (u64)word * WORD_BYTES);
		x->cache_word[domain][line] = word + 1;
	}
	return x->cache_bits[domain][line];
}

static bool excluded(struct exclusion *x, struct bus *b, u16 requester, u64 pa)
{
	unsigned domain = domain_of(x, requester);
	u64 page = pa >> PAGE_SHIFT;

	if (!(x->base_lo[domain] & DEV_BASE_V))
		return false;
	if (pa >= covered(x, domain))
		return x->base_lo[domain] & DEV_BASE_P;
	return cached_word(x, b, domain, (u32)(page / PAGES_PER_WORD)) >> page % PAGES_PER_WORD & 1;
}

/* "Secure Initialization Support": whether or not anything else is on. */
static bool in_secure_loader(const struct exclusion *x, u64 pa)
{
	return (x->cr & DEV_CR_SL_DEV_EN) && pa - x->sl_base < SL_REGION;
}

bool exclusion_allows(struct exclusion *x, struct bus *b, u16 requester, u64 pa, u64 *len)
{
	if (!(x->cr & (DEV_CR_ENABLE | DEV_CR_SL_DEV_EN)))
		return true;
	*len = min_u64(*len, PAGE_SIZE - (pa & (PAGE_SIZE - 1)));
	return !in_secure_loader(x, pa) && !((x->cr & DEV_CR_ENABLE) && excluded(x, b, requester, pa));
}

/* ---- "Unauthorized Access Logging" ---- */

/* The first is kept, later ones are counted by one bit, until software has written the status. */
bool exclusion_log(struct exclusion *x, const struct dma_request *r, u64 pa, bool memory)
{
	if (x->err_status & ERR_VALID) {
		x->err_status |= (u32)ERR_OVER;
	} else {
		x->err_status = (u32)ERR_VALID | domain_of(x, r->requester) << ERR_DOMAIN_SHIFT |
				bus_of(r->requester) << ERR_BUS_SHIFT | unit_of(r->requester) << ERR_UNIT_SHIFT |
				ERR_PERIPHERAL | (memory ? ERR_DRAM : ERR_MMIO) |
				(r->use == USE_WRITE ? ERR_WRITE : ERR_READ);
		x->err_addr = pa;
	}
	return x->cr & DEV_CR_MCE;
}

/* ---- "DEV Control and Status Registers" ---- */

static void invalidate(struct exclusion *x)
{
	memset(x->cache_word, 0, sizeof(x->cache_word));
	memset(x->cache_bits, 0, sizeof(x->cache_bits));
}

void exclusion_reset(struct exclusion *x)
{
	*x = (struct exclusion){ 0 };
}

/* "DEV table features are disabled": where the tables are, and a secure loader's region, are no features of theirs. */
void exclusion_init(struct exclusion *x)
{
	x->cr &= ~(u32)DEV_CR_ENABLE;
}

void exclusion_protect(struct exclusion *x, u64 slb)
{
	x->sl_base = slb & ~(SL_REGION - 1);
	x->cr |= DEV_CR_SL_DEV_EN;
}

/* The invalidation is over before the next instruction. Software may clear SL_DEV_EN; that it may set it is not said,
 * and SL_DEV_BASE would be nobody's choice then. */
static void write_cr(struct exclusion *x, u32 v, bool memory_enabled)
{
	u32 plain = DEV_CR_ENABLE | DEV_CR_IOSPEN | DEV_CR_MCE | DEV_CR_NO_PROBE;

	if (memory_enabled)
		plain |= DEV_CR_MEM_CLR_DIS;
	if (v & DEV_CR_INVALIDATE)
		invalidate(x);
	x->cr = (v & plain) | (x->cr & ~plain & (v | ~(u32)DEV_CR_SL_DEV_EN));
}

/* Domain numbers keep the bits that this bridge has domains for. */
static u32 map_kept(u32 v)
{
	return v & ~((u32)mask(25, 20) & ~(DEV_MAP_DOMAIN << 20)) & ~((u32)mask(31, 26) & ~(DEV_MAP_DOMAIN << 26));
}

struct selected {
	unsigned function, index;
};

/* "INDEX" counts where there are several; false: no such register. */
static bool select_register(u16 op, struct selected *s)
{
	static const u8 instances[] = { DEV_DOMAINS, DEV_DOMAINS, DEV_MAPS };

	s->function = op >> 8;
	s->index = s->function < ARRAY_LEN(instances) ? op & 0xff : 0;
	return s->function <= DEV_ERR_ADDR_HI &&
	       (s->function >= ARRAY_LEN(instances) || s->index < instances[s->function]);
}

u32 exclusion_read(const struct exclusion *x, u16 op)
{
	struct selected s;

	if (!select_register(op, &s))
		return 0;
	switch (s.function) {
	case DEV_BASE_LO: return x->base_lo[s.index];
	case DEV_BASE_HI: return x->base_hi[s.index];
	case DEV_MAP: return x->map[s.index];
	case DEV_CAP: return DEV_MAPS << 16 | DEV_DOMAINS << 8 | DEV_REVISION;
	case DEV_CR: return x->cr;
	case DEV_ERR_STATUS: return x->err_status;
	case DEV_ERR_ADDR_LO: return (u32)x->err_addr;
	default: return (u32)(x->err_addr >> 32);
	}
}

void exclusion_write(struct exclusion *x, u16 op, u32 v, bool memory_enabled)
{
	struct selected s;

	if (!select_register(op, &s))
		return;
	switch (s.function) {
	case DEV_BASE_LO: x->base_lo[s.index] = v & (TABLE_BASE_LO | 0x7f); break;
	case DEV_BASE_HI: x->base_hi[s.index] = v & TABLE_BASE_HI; break;
	case DEV_MAP: x->map[s.index] = map_kept(v); break;
	case DEV_CR: write_cr(x, v, memory_enabled); break;
	case DEV_ERR_STATUS: x->err_status = 0; break; /* any write: seen */
	default: break;
	}
}
