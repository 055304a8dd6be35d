/*
 * What the models' CPUID leaves share: fix-ups for bits that depend on the machine or on software. Each is the `fix` of
 * a leaf row: out holds the row's constants when it is called.
 */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include "cpu/state/model.h"

/* Feature bits of one leaf and register, as the processor has them. */
void cpuid_features(const struct cpu *c, u32 leaf, u32 subleaf, u32 out[4]);
/* Bits of the APIC id that number the processors of the one package. */
unsigned cpuid_core_bits(const struct cpu *c);

void cpuid_fix_1(struct cpu *c, u32 out[4]);         /* APIC id, processor count, OSXSAVE, OSPKE's sisters */
void cpuid_fix_5(struct cpu *c, u32 out[4]);         /* MONITOR: zero without it */
void cpuid_fix_7(struct cpu *c, u32 out[4]);         /* OSPKE */
void cpuid_fix_smt(struct cpu *c, u32 out[4]);       /* Bh, 1Fh subleaf 0 */
void cpuid_fix_core(struct cpu *c, u32 out[4]);      /* subleaf 1 */
void cpuid_fix_apic_id(struct cpu *c, u32 out[4]);   /* EDX alone */
void cpuid_fix_d0(struct cpu *c, u32 out[4]);
void cpuid_fix_d1(struct cpu *c, u32 out[4]);
void cpuid_fix_d_avx(struct cpu *c, u32 out[4]);
void cpuid_fix_d_pkru(struct cpu *c, u32 out[4]);
void cpuid_fix_ext1(struct cpu *c, u32 out[4]);      /* 80000001h */
void cpuid_fix_address(struct cpu *c, u32 out[4]);   /* 80000008h: address widths */

/* The leaves whose content is the same on every model. */
/* clang-format off */
#define CPUID_COMMON_LEAVES \
	{0x00000001, 0, {0}, cpuid_fix_1}, \
	{0x00000005, 0, {64, 64, 3, 0}, cpuid_fix_5}, \
	{0x00000007, 0, {0}, cpuid_fix_7}, \
	{0x0000000b, 0, {0}, cpuid_fix_smt}, \
	{0x0000000b, 1, {0}, cpuid_fix_core}, \
	{0x0000000d, 0, {0}, cpuid_fix_d0}, \
	{0x0000000d, 1, {0}, cpuid_fix_d1}, \
	{0x0000000d, 2, {0}, cpuid_fix_d_avx}, \
	{0x0000000d, 9, {0}, cpuid_fix_d_pkru}
/* clang-format on */

#endif
