/*
 * AVIC: the guest's local APIC as a page of memory that the processor itself reads and writes. "Advanced Virtual
 * Interrupt Controller". An access goes to the backing page; what a write does beyond that happens at the next
 * instruction boundary (svm_avic_trap), either here or, by an exit, in the monitor. Pending vectors are looked at by
 * VMRUN, by the doorbell, and when TPR, ISR or, by a self-IPI, IRR change.
 */
#include "svm/svm.h"

enum {
	R_ID = 0x20, R_VERSION = 0x30, R_TPR = 0x80, R_APR = 0x90, R_PPR = 0xa0, R_EOI = 0xb0, R_RRR = 0xc0, R_LDR = 0xd0,
	R_DFR = 0xe0, R_SVR = 0xf0, R_ISR = 0x100, R_TMR = 0x180, R_IRR = 0x200, R_ESR = 0x280, R_ICR_LO = 0x300,
	R_ICR_HI = 0x310, R_LVT_TIMER = 0x320, R_LVT_ERROR = 0x370, R_TIMER_INIT = 0x380, R_TIMER_CURRENT = 0x390,
	R_TIMER_DIV = 0x3e0, R_SELF_IPI = 0x3f0,
};
enum how { HOW_ALLOW, HOW_TRAP, HOW_FAULT, HOW_ACCELERATE };
enum { IPI_TYPE, IPI_NOT_RUNNING, IPI_TARGET, IPI_BACKING_PAGE, IPI_VECTOR }; /* EXITINFO2[63:32] of 401h */
enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };
#define ICR_LOGICAL      BIT(11)
#define ICR_LEVEL        BIT(15)
#define PHYSICAL_VALID   BIT(63)
#define PHYSICAL_RUNNING BIT(62)
#define LOGICAL_VALID    BIT(31)
#define NOACCEL_WRITE    BIT(32)

static bool x2(const struct svm *s)
{
	return s->avic == SVM_AVIC_X2;
}

static pa_t backing_page(const struct cpu *c)
{
	return svm_control(c)->avic_backing_page & mask(51, 12);
}

static u32 reg(const struct cpu *c, pa_t page, u32 offset)
{
	return cpu_read_u32(c, BY_VIRT, page + offset);
}

static void set_reg(const struct cpu *c, pa_t page, u32 offset, u32 v)
{
	cpu_write_u32(c, BY_VIRT, page + offset, v);
}

static int highest(const struct cpu *c, u32 map)
{
	pa_t page = backing_page(c);

	for (int w = 7; w >= 0; w--) {
		u32 v = reg(c, page, map + 16 * (u32)w);

		if (v)
			return w * 32 + 31 - __builtin_clz(v);
	}
	return -1;
}

static void put(const struct cpu *c, pa_t page, u32 map, unsigned vector, bool on)
{
	u32 at = map + 16 * (vector / 32), bit = 1u << (vector % 32), v = reg(c, page, at);

	set_reg(c, page, at, on ? v | bit : v & ~bit);
}

static bool get(const struct cpu *c, u32 map, unsigned vector)
{
	return reg(c, backing_page(c), map + 16 * (vector / 32)) >> (vector % 32) & 1;
}

static bool deliverable(const struct cpu *c)
{
	int v = highest(c, R_IRR);

	return v >= 16 && ((u32)v & 0xf0) > (reg(c, backing_page(c), R_PPR) & 0xf0);
}

static void look(const struct cpu *c)
{
	svm_of(c)->avic_pending = deliverable(c);
}

/* "Hardware keeps PPR in the page when TPR or ISR changes and gates delivery by it." */
static void update_ppr(struct cpu *c)
{
	u32 tpr = reg(c, backing_page(c), R_TPR) & 0xff;
	int v = highest(c, R_ISR);
	u32 in_service = v < 0 ? 0 : (u32)v & 0xf0, ppr = (tpr & 0xf0) >= in_service ? tpr : in_service;

	set_reg(c, backing_page(c), R_PPR, ppr);
	look(c);
}

/* ---- entry ---- */

void svm_avic_enter(struct cpu *c)
{
	struct svm *s = svm_of(c);

	s->avic = SVM_AVIC_OFF;
	s->avic_written = 0;
	c->trap_page = TRAP_PAGE_NONE;
	if (likely(!(s->vintr & VINTR_AVIC) || !has(c, FEAT_AVIC) || !s->nested))
		return;
	s->avic = (s->vintr & VINTR_X2AVIC) && has(c, FEAT_X2AVIC) ? SVM_AVIC_X2 : SVM_AVIC_X1;
	if (!x2(s))
		c->trap_page = backing_page(c);
	update_ppr(c);
}

/* Is this guest-physical page the APIC's? Its nested mapping decides on permissions; the address is the backing page. */
bool svm_avic_page(const struct cpu *c, gpa_t gpa)
{
	return svm_of(c)->avic == SVM_AVIC_X1 && (gpa & PAGE_MASK) == (svm_control(c)->avic_bar & mask(51, 12));
}

/* ---- interrupts ---- */

/* What was seen pending, and that nobody has taken away since. */
bool svm_avic_ready(struct cpu *c)
{
	return svm_of(c)->avic_pending && deliverable(c);
}

int svm_avic_take(struct cpu *c)
{
	int v = highest(c, R_IRR);

	put(c, backing_page(c), R_IRR, (unsigned)v, false);
	put(c, backing_page(c), R_ISR, (unsigned)v, true);
	update_ppr(c);
	return v;
}

/* CR8 writes: bits 7:4 of the page's TPR, 3:0 become 0. */
void svm_avic_tpr(struct cpu *c, u8 cr8)
{
	set_reg(c, backing_page(c), R_TPR, (u32)cr8 << 4);
	update_ppr(c);
}

/* "Doorbell": whoever runs a guest there looks at its pending vectors. In host mode nothing happens: VMRUN looks. */
void svm_avic_doorbell(struct cpu *c, u32 apic_id)
{
	for (unsigned n = 0; n < c->count; n++) {
		struct cpu *t = c->all ? c->all[n] : c;

		if (t->apic.id != apic_id || !t->guest)
			continue;
		if (svm_of(t)->avic)
			look(t);
		cpu_recheck(t);
		if (t != c) {
			c->kick = 1;
			c->yield = true;
		}
	}
}

/* ---- interprocessor interrupts ---- */

static enum xr incomplete(struct cpu *c, u64 icr, u32 id, u32 index)
{
	return cpu_exit(c, NULL, ICPT_APIC_WRITE, icr, (u64)id << 32 | (index & 0xfff));
}

static u32 own_id(const struct cpu *c)
{
	u32 id = reg(c, backing_page(c), R_ID);

	return x2(svm_of(c)) ? id : id >> 24;
}

static u64 physical_entry(const struct cpu *c, u32 id)
{
	u64 table = svm_control(c)->avic_physical_table, max = table & (x2(svm_of(c)) ? 0xfff : 0xff);

	return id > max ? 0 : cpu_read_u64(c, BY_VIRT, (table & mask(51, 12)) + 8ull * id);
}

static bool backed(const struct cpu *c, u64 entry)
{
	return !((entry & mask(51, 12)) >> c->phys_bits);
}

/* The IRR first, then the doorbell. false: nobody runs it. */
static bool post(struct cpu *c, u64 entry, u8 vector)
{
	put(c, entry & mask(51, 12), R_IRR, vector, true);
	if (!(entry & PHYSICAL_RUNNING))
		return false;
	svm_avic_doorbell(c, (u32)(entry & 0xfff));
	return true;
}

static enum xr post_to_self(struct cpu *c, u8 vector)
{
	put(c, backing_page(c), R_IRR, vector, true);
	look(c);
	return XR_OK;
}

/* The guest APIC ID that bit n of a logical destination names; false: no valid entry. */
static bool logical_target(const struct cpu *c, u32 dest, unsigned n, u32 *id)
{
	bool flat = reg(c, backing_page(c), R_DFR) >> 28 == 0xf;
	u32 index = flat ? n : (dest >> 4) * 4 + n, entry;

	if (x2(svm_of(c))) {
		*id = (dest >> 16) * 16 + n;
		return true;
	}
	if (!flat && (dest >> 4) == 15)
		return false;
	entry = cpu_read_u32(c, BY_VIRT, (svm_control(c)->avic_logical_table & mask(51, 12)) + 4ull * index);
	*id = entry & 0xff;
	return (entry & LOGICAL_VALID) != 0;
}

/* Two passes over the bits of a logical destination: an invalid one exits before any IRR is written. */
static enum xr send_logical(struct cpu *c, u64 icr, u32 dest)
{
	bool wide = x2(svm_of(c)), flat = !wide && reg(c, backing_page(c), R_DFR) >> 28 == 0xf;
	u32 bits_named = wide ? dest & 0xffff : flat ? dest & 0xff : dest & 0xf, sleeping = 0;
	bool asleep = false;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (u32 left = bits_named; left; left &= left - 1) {
			u32 id;
			bool ok = logical_target(c, dest, (unsigned)__builtin_ctz(left), &id);
			u64 entry = ok ? physical_entry(c, id) : 0;

			if (!(entry & PHYSICAL_VALID))
				return incomplete(c, icr, IPI_TARGET, ok ? id : (u32)__builtin_ctz(left));
			if (!backed(c, entry))
				return incomplete(c, icr, IPI_BACKING_PAGE, id);
			if (pass && !post(c, entry, (u8)icr)) {
				sleeping = asleep ? sleeping : id;
				asleep = true;
			}
		}
	}
	return asleep ? incomplete(c, icr, IPI_NOT_RUNNING, sleeping) : XR_OK;
}

/* Invalid entries are skipped. */
static enum xr send_broadcast(struct cpu *c, u64 icr, bool others_only)
{
	u32 max = (u32)(svm_control(c)->avic_physical_table & (x2(svm_of(c)) ? 0xfff : 0xff)), sleeping = 0;
	bool asleep = false;

	for (u32 id = 0; id <= max; id++) {
		u64 entry = physical_entry(c, id);

		if (!(entry & PHYSICAL_VALID) || !backed(c, entry) || (others_only && id == own_id(c)))
			continue;
		if (!post(c, entry, (u8)icr)) {
			sleeping = asleep ? sleeping : id;
			asleep = true;
		}
	}
	return asleep ? incomplete(c, icr, IPI_NOT_RUNNING, sleeping) : XR_OK;
}

static enum xr send_ipi(struct cpu *c, u64 icr)
{
	u32 lo = (u32)icr, hi = (u32)(icr >> 32), dest = x2(svm_of(c)) ? hi : hi >> 24;
	unsigned shorthand = (unsigned)bits(lo, 19, 18);
	u64 entry;

	if (bits(lo, 10, 8) != DM_FIXED || (lo & ICR_LEVEL))
		return incomplete(c, icr, IPI_TYPE, 0);
	if ((u8)lo < 16)
		return incomplete(c, icr, IPI_VECTOR, 0);
	if (shorthand == SHORT_SELF)
		return post_to_self(c, (u8)lo);
	if (shorthand != SHORT_NONE || dest == (x2(svm_of(c)) ? 0xffffffff : 0xff))
		return send_broadcast(c, icr, shorthand == SHORT_OTHERS);
	if (lo & ICR_LOGICAL)
		return send_logical(c, icr, dest);
	entry = physical_entry(c, dest);
	if (!(entry & PHYSICAL_VALID))
		return incomplete(c, icr, IPI_TARGET, dest);
	if (!backed(c, entry))
		return incomplete(c, icr, IPI_BACKING_PAGE, dest);
	return post(c, entry, (u8)lo) ? XR_OK : incomplete(c, icr, IPI_NOT_RUNNING, dest);
}

/* ---- registers: "Guest APIC Accesses" ---- */

static enum how how_read(const struct cpu *c, u32 offset)
{
	(void)c;
	if (offset == R_APR || offset == R_TIMER_CURRENT || (offset >= 0x400 && offset <= 0x420) || offset >= 0x480)
		return HOW_FAULT; /* ExtLvtAvicAccessChg is not offered: 500h to 530h as well */
	return HOW_ALLOW;
}

static enum how how_write(u32 offset)
{
	switch (offset) {
	case R_ID: case R_RRR: case R_LDR: case R_DFR: case R_SVR: case R_ESR: case R_TIMER_INIT: case R_TIMER_DIV:
		return HOW_TRAP;
	case R_TPR: case R_EOI: case R_ICR_LO: return HOW_ACCELERATE;
	case R_VERSION: case R_APR: case R_PPR: case R_TIMER_CURRENT: return HOW_FAULT;
	default: break;
	}
	if (offset >= R_LVT_TIMER && offset <= R_LVT_ERROR)
		return HOW_TRAP;
	if ((offset >= R_ISR && offset < R_ESR) || (offset >= 0x400 && offset <= 0x420) || offset >= 0x480)
		return HOW_FAULT;
	return HOW_ALLOW;
}

static enum xr no_acceleration(struct cpu *c, const struct insn *i, u32 offset, bool write, u32 vector)
{
	return cpu_exit(c, i, ICPT_APIC_ACCESS, (write ? NOACCEL_WRITE : 0) | offset, vector);
}

static void remember_write(struct cpu *c, u32 offset)
{
	svm_of(c)->avic_written = (u16)(offset | 1);
	cpu_raise(c, PEND_VENDOR);
}

/* An access to the backing page by way of V_APIC_BAR. Faults exit with nothing done; the rest reaches the page. */
enum xr svm_avic_access(struct cpu *c, la_t la, u32 len, unsigned access, pa_t *pa)
{
	u32 offset = (u32)(*pa & 0xff0);
	bool write = (access & ACC_WRITE) != 0;

	(void)la, (void)len;
	if (svm_of(c)->avic != SVM_AVIC_X1)
		return XR_OK;
	if ((access & ACC_READ) && how_read(c, offset) == HOW_FAULT)
		return no_acceleration(c, c->cur, offset, write, 0);
	if (!write || how_write(offset) == HOW_ALLOW)
		return XR_OK;
	if (how_write(offset) == HOW_FAULT)
		return no_acceleration(c, c->cur, offset, true, 0);
	remember_write(c, offset);
	return XR_OK;
}

/* A level-triggered vector's EOI is the monitor's, and so is taking it out of service. */
static enum xr end_of_interrupt(struct cpu *c)
{
	int v = highest(c, R_ISR);

	if (v < 0)
		return XR_OK;
	if (get(c, R_TMR, (unsigned)v))
		return no_acceleration(c, NULL, R_EOI, true, (u32)v);
	put(c, backing_page(c), R_ISR, (unsigned)v, false);
	update_ppr(c);
	return XR_OK;
}

/* The write landed; its instruction is complete. */
enum xr svm_avic_trap(struct cpu *c)
{
	struct svm *s = svm_of(c);
	u32 offset = s->avic_written & 0xff0u, v;
	pa_t page = backing_page(c);

	if (!s->avic_written)
		return XR_OK;
	s->avic_written = 0;
	v = reg(c, page, offset);
	cpu_recheck(c);
	switch (offset) {
	case R_TPR:
		s->vintr = (s->vintr & ~VINTR_TPR_MASK) | bits(v, 7, 4);
		update_ppr(c);
		return XR_OK;
	case R_EOI: return end_of_interrupt(c);
	case R_ICR_LO: return send_ipi(c, (u64)reg(c, page, R_ICR_HI) << 32 | v);
	case R_SELF_IPI: return (u8)v >= 16 ? post_to_self(c, (u8)v) : XR_OK;
	default: return no_acceleration(c, NULL, offset, true, 0);
	}
}

/* ---- x2AVIC: the same registers as MSRs 800h.. ---- */

/* "x2APIC #GP checks come before AVIC": what is read-only, write-only or has reserved bits. */
static bool x2_write_ok(const struct cpu *c, u32 offset, u64 v)
{
	bool read_only = offset == R_ID || offset == R_VERSION || offset == R_PPR || offset == R_LDR || offset == R_DFR ||
	                 offset == R_ICR_HI || offset == R_TIMER_CURRENT || (offset >= R_ISR && offset < R_ESR);

	return !read_only && !(v & apic_x2_reserved(c, offset));
}

static bool x2_unreadable(u32 offset)
{
	return offset == R_EOI || offset == R_SELF_IPI || offset == R_DFR || offset == R_ICR_HI;
}

/* false: not ours, the physical APIC answers. */
bool svm_avic_msr(struct cpu *c, const struct insn *i, u32 index, bool write, u64 *value, enum xr *r)
{
	u32 offset = (index - 0x800) << 4;
	pa_t page = backing_page(c);

	if (!c->guest || svm_of(c)->avic != SVM_AVIC_X2 || index < 0x800 || index > 0x8ff)
		return false;
	*r = XR_OK;
	if (write ? !x2_write_ok(c, offset, *value) : x2_unreadable(offset)) {
		*r = fault_gp(c, 0);
	} else if (!write) {
		if (how_read(c, offset) == HOW_FAULT)
			*r = no_acceleration(c, i, offset, false, 0);
		*value = reg(c, page, offset) | (offset == R_ICR_LO ? (u64)reg(c, page, R_ICR_HI) << 32 : 0);
	} else if (how_write(offset) == HOW_FAULT) {
		*r = no_acceleration(c, i, offset, true, 0);
	} else {
		if (offset == R_ICR_LO)
			set_reg(c, page, R_ICR_HI, (u32)(*value >> 32));
		set_reg(c, page, offset, (u32)*value);
		if (offset == R_SELF_IPI || how_write(offset) != HOW_ALLOW)
			remember_write(c, offset);
	}
	return true;
}
