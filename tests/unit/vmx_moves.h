/* What test_vmx_map.c moves: a file of its own, because its names and those of the sources are the same words. */
#ifndef TESTS_VMX_MOVES_H
#define TESTS_VMX_MOVES_H

#include <stddef.h>

#include "base/base.h"

/* Controls under which VM entry loads a guest's register, or VM exit a host's, and under which VM exit saves it; 0: always. */
#define NEVER (1u << 30) /* not by this */
struct vmx_move {
	u32 field;
	size_t at, size; /* of struct cpu */
	u64 value;
	u32 load, save;
};
extern const struct vmx_move guest_moves[], host_moves[];
extern const size_t guest_move_count, host_move_count;

#endif
