/* How guests are run: --jit, --jit-cache, --block-cache. */
#include "api/options.h"

#include "cpu/decode/decode.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

#define THRESHOLD         64 /* of --jit on */
#define THRESHOLD_DEFAULT 0  /* without --jit, where there is a translator */
#define THRESHOLD_MAX     1000000000
#define CACHE_MIN         (64ull << 10)
#define CACHE_MAX         (1ull << 30) /* what jumps can span, with room to spare */

void opt_default_jit(struct options *o)
{
	o->cfg.jit.threshold = jit_available() ? THRESHOLD_DEFAULT : 0;
}

OPT_SET(jit)
{
	u64 n = THRESHOLD;

	(void)row;
	o->cfg.jit.threshold = 0;
	if (!strcmp(value, "off"))
		return ST_OK;
	if (strcmp(value, "on") != 0 && (!opt_count(value, &n) || !n || n > THRESHOLD_MAX))
		return BAD(" %s: off, on, or how often a block runs before it is translated, 1 to 1000000000", value);
	if (!jit_available())
		return BAD(" %s: there is no translator for this computer; the interpreter runs everything", value);
	o->cfg.jit.threshold = (u32)n;
	return ST_OK;
}

OPT_SET(block_cache)
{
	(void)row;
	if (!opt_size(value, 1ull << 20, &o->cfg.block_cache))
		return BAD(" %s: not a size (16, 512K, 64M)", value);
	if (o->cfg.block_cache < CODE_CACHE_LEAST || o->cfg.block_cache > CODE_CACHE_MOST)
		return BAD(" %s: 64K to 4G", value);
	if (!is_aligned(o->cfg.block_cache, PAGE_SIZE))
		return BAD(" %s: not a multiple of 4096 bytes", value);
	return ST_OK;
}

OPT_SET(jit_cache)
{
	(void)row;
	o->jit_cache_option = o->option;
	if (!opt_size(value, 1ull << 20, &o->cfg.jit.cache))
		return BAD(" %s: not a size (16, 512K, 64M)", value);
	if (o->cfg.jit.cache < CACHE_MIN || o->cfg.jit.cache > CACHE_MAX)
		return BAD(" %s: 64K to 1G", value);
	if (!is_aligned(o->cfg.jit.cache, PAGE_SIZE))
		return BAD(" %s: not a multiple of 4096 bytes", value);
	return ST_OK;
}

bool opt_jit_range(const char *s, struct jit_config *j)
{
	const char *dash = strchr(s, '-');
	char from[32];

	if (!dash || (size_t)(dash - s) >= sizeof(from))
		return false;
	snprintf(from, sizeof(from), "%.*s", (int)(dash - s), s);
	return opt_number(from, &j->from) && opt_number(dash + 1, &j->to) && j->from < j->to;
}

/* What was asked for of a translator that is not used. */
enum status opt_finish_jit(struct options *o, struct err *err)
{
	o->option = o->jit_cache_option;
	if (!o->option || o->cfg.jit.threshold)
		return ST_OK;
	return opt_note(o, err, ": has no effect: nothing is translated");
}
