/* What Intel's processors share here, whichever generation. Private to the model folder. */
#ifndef MODEL_INTEL_H
#define MODEL_INTEL_H

#include "model/model.h"

/* IA32_MISC_ENABLE: fast strings, thermal control circuit, performance monitoring, no BTS, no PEBS, MONITOR, no xTPR
 * messages. */
#define INTEL_MISC_ENABLE_TCC     BIT(3)
#define INTEL_MISC_ENABLE_NO_XTPR BIT(23)
#define INTEL_MISC_ENABLE_RESET                                                                                        \
	(BIT(0) | INTEL_MISC_ENABLE_TCC | BIT(7) | BIT(11) | BIT(12) | BIT(18) | INTEL_MISC_ENABLE_NO_XTPR)
bool model_intel_misc_enable_read(struct cpu *c, u32 index, u64 *value);
bool model_intel_misc_enable_write(struct cpu *c, u32 index, u64 value);

bool model_intel_debugctl_write(struct cpu *c, u32 index, u64 value);

/* CPUID leaf 4: caches of one core, and those of the whole package; the package is one power of two of APIC ids. */
void model_intel_fix_core_cache(struct cpu *c, u32 out[4]);
void model_intel_fix_package_cache(struct cpu *c, u32 out[4]);
#define INTEL_WAYS(n) (((n) - 1u) << 22 | 63) /* of 64-byte lines */

#endif
