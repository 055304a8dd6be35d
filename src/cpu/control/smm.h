/*
 * System-management mode by the default treatment: an SMI saves the processor's state to SMRAM and enters the handler at
 * SMBASE + 8000h; RSM loads it again. SDM 3C "System Management Mode", APM 2 "System-Management Mode". What a vendor adds is
 * virt_ops.smm; the layouts of the save-state map are smm_map_amd64.c and smm_map_intel.c.
 */
#ifndef CPU_SMM_H
#define CPU_SMM_H

#include "cpu/control/control.h"

enum xr smm_smi(struct cpu *c) must_check; /* between instructions: an SMI is taken, as the vendor wants it */
void smm_enter(struct cpu *c);             /* the default treatment */
enum xr smm_rsm_outside(struct cpu *c, u64 rip) must_check; /* RSM where there is nothing to resume: #UD */
enum xr smm_rsm(struct cpu *c) must_check; /* RSM in SMM. XR_STOP with ACT_SHUTDOWN: the state is illegal */
void smm_ranges_changed(struct cpu *c);    /* SMM_ADDR, SMM_MASK or the SMRRs: what of memory is seen */
void smm_set(struct cpu *c, bool on);      /* SMRAM is seen, or not any more, and the chipset is told; nothing else */
void smm_see(struct cpu *c, bool on);      /* the one without the other */
void smm_cycle(struct cpu *c, bool entered);

#endif
