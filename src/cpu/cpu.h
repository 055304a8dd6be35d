/*
 * cpu: one x86-64 processor. What lives here: struct cpu, the run loop (run.c: read it first), events, segments, tasks,
 * MSRs, CPUID, the local APIC; mmu/ decode/ exec/ below it. It sees no vendor: cpu->virt is the only way to VMX or SVM.
 * May call: base, arch, mem. Called by: vmx, svm, model, machine, inspect. This header is all of it, for those.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "cpu/control.h" /* life, mode, registers, time */
#include "cpu/events.h"  /* pending, delivery, faults, exits */
#include "cpu/model.h"   /* what a model is */
#include "cpu/state.h"   /* struct cpu */

#endif
