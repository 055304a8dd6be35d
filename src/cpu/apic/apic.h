/*
 * The local APIC, in xAPIC and x2APIC mode, and the bus between the APICs of a machine. One per processor; part of cpu/
 * because interrupt delivery, TPR/CR8 and both vendors' virtual APICs are the processor's business.
 */
#ifndef CPU_APIC_APIC_H
#define CPU_APIC_APIC_H

#include "cpu/state/state.h"

enum apic_mode { APIC_DISABLED, APIC_XAPIC, APIC_X2APIC };
enum apic_delivery { DM_FIXED, DM_LOWEST, DM_SMI, DM_RESERVED3, DM_NMI, DM_INIT, DM_SIPI, DM_EXTINT };
/* A message on the APIC bus: from an ICR, an I/O APIC or an MSI. */
struct apic_msg {
	u8 vector, delivery;  /* enum apic_delivery */
	bool logical, level, assert, x2apic_dest;
	u32 dest;
};

void apic_reset(struct cpu *c, bool init);
void apic_init(struct cpu *c, u32 id);
/* Deliver to every processor of c's machine that the message addresses; returns how many took it. */
unsigned apic_bus_send(struct cpu *const *cpus, unsigned n, const struct apic_msg *m, struct cpu *from, unsigned shorthand);
void apic_msi(struct cpu *const *cpus, unsigned n, u64 addr, u32 data);

/* MMIO page of this processor (only while enabled in xAPIC mode): offset 0..FFFh. */
u32 apic_mmio_read(struct cpu *c, u32 offset);
void apic_mmio_write(struct cpu *c, u32 offset, u32 value);
/* x2APIC MSRs 800h..8FFh. false: #GP. */
bool apic_msr_read(struct cpu *c, u32 index, u64 *value);
bool apic_msr_write(struct cpu *c, u32 index, u64 value);
u64 apic_x2_reserved(const struct cpu *c, u32 offset); /* of the MSR whose register this is */
/* IA32_APIC_BASE. false: #GP. Translations say which page is RAM and which is the APIC's: the caller flushes them. */
bool apic_base_write(struct cpu *c, u64 value);
bool apic_deadline_write(struct cpu *c, u64 value);
u64 apic_deadline_read(struct cpu *c);

/* The highest-priority deliverable vector (above PPR), -1: none. ExtINT is not in it: see lapic.extint. */
int apic_pending(const struct cpu *c);
/* The INTA cycle: moves the vector to ISR; nothing there: the ExtINT's vector from c->intr_ack, else the spurious vector. */
int apic_ack(struct cpu *c);
void apic_eoi(struct cpu *c);
void apic_eoi_vector(struct cpu *c, u8 vector); /* specific EOI; nothing if the vector is not in service */
void apic_set_tpr(struct cpu *c, u8 tpr);  /* CR8 is bits 7:4 */
void apic_lint(struct cpu *c, unsigned n, bool level); /* LINT0, LINT1 */
void apic_post_lvt(struct cpu *c, enum apic_lvt n);    /* e.g. performance counter overflow */
void apic_eoi_hook(struct cpu *const *cpus, unsigned n, void (*fn)(void *arg, u8 vector), void *arg); /* I/O APIC: level EOI */

/* ---- apic_ext.c: offsets from 400h on. false: there is no such register. ---- */
#define APIC_EXT_SPACE 0x400u
enum { APIC_EXT_IER = 1, APIC_EXT_SEOI = 2, APIC_EXT_ID = 4 }; /* feature and control register */
bool apic_ext_read(struct cpu *c, u32 offset, u32 *v);
bool apic_ext_write(struct cpu *c, u32 offset, u32 v);
void apic_ext_reset(struct cpu *c);

void apic_rearm(struct cpu *c); /* after tsc_offset changed or the rows were loaded: the timer follows its fields */

extern const struct state_row apic_rows[]; /* over struct lapic */
extern const size_t apic_row_count;

#endif
