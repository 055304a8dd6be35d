/* The tests that compare with this computer's processor do it as its maker's model. */
#ifndef HOST_MODEL_H
#define HOST_MODEL_H

#include <cpuid.h>

#include "arch/quirks.h"

static inline bool host_is_intel(void)
{
	u32 a, b = 0, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_INTEL_ebx;
}

static inline u64 host_quirks(void)
{
	return host_is_intel() ? QUIRKS(QUIRK_LIST_INTEL) : QUIRKS(QUIRK_LIST_AMD);
}

static inline bool host_has_leaf7_ebx(unsigned bit)
{
	u32 a = 0, b = 0, c = 0, d = 0;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> bit & 1);
}

#endif
