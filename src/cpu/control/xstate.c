/*
 * Which state components XCR0 may name, and where each lies in an XSAVE area: facts for CPUID leaf 0Dh and for exec/xsave.c.
 */
#include "cpu/control/xstate.h"

enum { LEGACY_SIZE = 512, HEADER_SIZE = 64, EXTENDED = LEGACY_SIZE + HEADER_SIZE };

/* "Standard Format" offsets; neither component is aligned in the compacted format. */
const struct xstate_component xstate_components[XSTATE_COMPONENTS] = {{2, EXTENDED, 256}, {9, 2688, 8}};

u64 xsave_components(const struct cpu *c)
{
	return XC_X87 | XC_SSE | (has(c, FEAT_AVX) ? XC_AVX : 0) | (has(c, FEAT_PKU) ? XC_PKRU : 0);
}

u32 xsave_component(unsigned n, u32 *offset)
{
	unsigned k;

	for (k = 0; k < XSTATE_COMPONENTS; k++)
		if (xstate_components[k].n == n) {
			*offset = xstate_components[k].offset;
			return xstate_components[k].size;
		}
	*offset = 0;
	return 0;
}

u32 xsave_size(u64 which, bool compacted)
{
	u32 size = EXTENDED;
	unsigned k;

	for (k = 0; k < XSTATE_COMPONENTS; k++) {
		if (!(which >> xstate_components[k].n & 1))
			continue;
		size = compacted ? size + xstate_components[k].size : (u32)xstate_components[k].offset + xstate_components[k].size;
	}
	return size;
}
