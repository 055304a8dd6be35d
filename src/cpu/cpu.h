/*
 * cpu: one x86-64 processor, from bottom to top: state/ (struct cpu), apic/, mmu/, decode/, control/, exec/, run/ (run.c:
 * read it first). It sees no vendor: cpu->virt is the only way to VMX or SVM. May call: base, arch, mem. Called by: vmx,
 * svm, model, machine, inspect. This header is what those need; inside cpu/ each floor includes what lies below it.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "cpu/apic/apic.h"       /* the local APIC */
#include "cpu/control/control.h" /* mode, registers, segments, MSRs */
#include "cpu/mmu/mmu.h"         /* memory by linear address */
#include "cpu/run/run.h"         /* the loop, delivery, life */
#include "cpu/state/phys.h"      /* memory by physical address */
#include "cpu/state/state.h"     /* struct cpu; events.h, flags.h, time.h */

#endif
