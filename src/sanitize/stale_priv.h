/* What stale.c and stale_tell.c know of each other. */
#ifndef SANITIZE_STALE_PRIV_H
#define SANITIZE_STALE_PRIV_H

#include "sanitize/shadow.h"

struct stale_use {
	u64 addr;
	u8 access; /* as in struct watch_walk */
	bool table;
	bool walked; /* clean is known: the entry that maps the page had its dirty bit clear before the access */
	bool clean;
	la_t linear;
	bool has_linear;
};

/* A finding: this use, for which the entry as it was might stand. */
void stale_tell(struct shadows *s, struct cpu *c, const struct shadow_domain *d, const struct shadow_change *ch,
                const struct stale_use *u, const struct shadow_place *old);

#endif
