/* The state components of XCR0 and the layout of an XSAVE area. */
#ifndef CPU_CONTROL_XSTATE_H
#define CPU_CONTROL_XSTATE_H

#include "cpu/state/model.h"

#define XC_X87  BIT(0)
#define XC_SSE  BIT(1)
#define XC_AVX  BIT(2)
#define XC_PKRU BIT(9)
u64 xsave_components(const struct cpu *c);           /* what XCR0 may hold: CPUID.(0Dh,0) EDX:EAX */
struct xstate_component {
	u16 n, offset, size; /* offset: in the standard format */
};
#define XSTATE_COMPONENTS 2
extern const struct xstate_component xstate_components[XSTATE_COMPONENTS]; /* beyond the legacy area */
u32 xsave_size(u64 components, bool compacted);      /* bytes of an area with these components */
u32 xsave_component(unsigned n, u32 *offset);        /* size and standard offset; 0: no such component */

#endif
