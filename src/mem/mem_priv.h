/* What the files of mem share and nobody else sees. */
#ifndef MEM_PRIV_H
#define MEM_PRIV_H

#include "mem/mem.h"

/* The largest naturally aligned piece at the front of a range. */
static inline unsigned aligned_piece(u64 pa, u64 len)
{
	unsigned n = 8;
	while (n > len || (pa & (n - 1)))
		n /= 2;
	return n;
}

#endif
