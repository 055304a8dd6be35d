/*
 * The state table: one row per architectural field of the processor and of every device. Snapshot, state hash, gdb
 * registers and traces derive from it. A field without a row is marked as a cache where it is declared.
 */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include "base/base.h"

struct state_row {
	const char *name; /* "rip", "cr3", "ier"; lower case, stable once published */
	u16 id;           /* from 1; stable once published; unique within its table */
	u16 width;        /* bytes of one element */
	u32 count;        /* elements, 1 for a scalar */
	u32 offset;       /* within the owning structure */
	u16 since;        /* snapshot format version that introduced it */
};

#define STATE(id_, type, member)                                                                                       \
	{ .name = #member, .id = (id_), .width = sizeof(((type *)0)->member), .count = 1,                              \
	  .offset = offsetof(type, member), .since = 1 }
#define STATE_ARRAY(id_, type, member)                                                                                 \
	{ .name = #member, .id = (id_), .width = sizeof(((type *)0)->member[0]),                                       \
	  .count = sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), .offset = offsetof(type, member),     \
	  .since = 1 }

/* 64-bit FNV-1a style mixing over all rows; order of rows is part of the value. */
u64 state_hash(u64 seed, const struct state_row *rows, size_t n, const void *owner);
u64 state_mix(u64 seed, const void *data, size_t n);

#endif
