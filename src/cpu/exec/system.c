/*
 * System instructions: control and debug registers, descriptor-table registers, selector checks, caches and TLBs, MSRs,
 * CPUID, bases and keys. The gate has tested what the row says (#UD, CPL, plain intercepts); what depends on operands is here.
 * SDM 2, APM 3 "System Instruction Reference"; SVM's order: APM 2 "Instruction Intercepts".
 */
#include "cpu/apic/apic.h"
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "cpu/control/segs.h"

/* ---- control registers ---- */

static unsigned cr_size(const struct cpu *c)
{
	return mode64(c) ? 8 : 4;
}

static bool cr_exists(unsigned n)
{
	return n == 0 || n == 2 || n == 3 || n == 4 || n == 8;
}

/* #GP conditions that do not touch memory: SVM's intercept comes after them, VMX's exit before. */
static enum xr cr_precheck(struct cpu *c, unsigned n, u64 v)
{
	bool ok = true;

	if (n == 0)
		ok = cr0_valid(c, v | CR0_ET);
	else if (n == 4)
		ok = cr4_valid(c, v);
	else if (n == 3)
		ok = !long_mode(c) || !((c->cr4 & CR4_PCIDE ? v & ~BIT(63) : v) >> c->phys_bits);
	else if (n == 8)
		ok = v < 16;
	return ok ? XR_OK : fault_gp(c, 0);
}

static enum xr cr8_set(struct cpu *c, const struct insn *i, u64 v)
{
	if (v > 15)
		return fault_gp(c, 0);
	if (c->guest)
		return c->virt->irq.cr8_write(c, i, v);
	apic_set_tpr(c, (u8)(v << 4));
	return XR_OK;
}

static enum xr cr_set(struct cpu *c, const struct insn *i, unsigned n, u64 v)
{
	switch (n) {
	case 0: return cr0_write(c, v);
	case 2: c->cr2 = v; return XR_OK;
	case 3: return cr3_write(c, v);
	case 4: return cr4_write(c, v);
	default: return cr8_set(c, i, v);
	}
}

static enum xr mov_to_cr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r0;
	struct cr_write w = {.n = n, .op = CR_MOV, .value = reg_get(c, i->r1, cr_size(c))};

	if (!cr_exists(n))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	if (likely(!c->guest))
		return cr_set(c, i, n, w.value);
	if (!c->virt->guest.intercept_first)
		TRY(cr_precheck(c, n, w.value));
	TRY(icpt_test(c, i, ICPT_CR0_WRITE + n, w.value));
	TRY(c->virt->guest.cr_write(c, i, &w));
	TRY(cr_set(c, i, n, w.value));
	return icpt_test(c, i, ICPT_CR0_WRITE_TRAP + n, n == 0 ? c->cr0 : w.value); /* ET stays what it is */
}

static u64 cr_get(struct cpu *c, unsigned n)
{
	u64 v;

	switch (n) {
	case 0: v = c->cr0; break;
	case 2: return c->cr2;
	case 3: return c->cr3;
	case 4: v = c->cr4; break;
	default: return c->guest ? c->virt->irq.cr8_read(c) : c->apic.tpr >> 4;
	}
	return c->guest ? c->virt->guest.cr_read(c, n, v) : v;
}

static enum xr mov_from_cr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r1;

	if (!cr_exists(n))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_CR0_READ + n, 0));
	reg_set(c, i->r0, cr_size(c), cr_get(c, n));
	return XR_OK;
}

/* CLTS and LMSW: writes to CR0 that the vendor may see under their own name. */
static enum xr cr0_partial(struct cpu *c, const struct insn *i, struct cr_write *w)
{
	if (c->guest)
		TRY(c->virt->guest.cr_write(c, i, w));
	TRY(cr0_write(c, w->value));
	return icpt_test(c, i, ICPT_CR0_WRITE_TRAP, c->cr0);
}

static enum xr clts(struct cpu *c, const struct insn *i)
{
	TRY(icpt_test(c, i, ICPT_CR0_WRITE, 0));
	return cr0_partial(c, i, &(struct cr_write){.op = CR_CLTS, .value = c->cr0 & ~CR0_TS});
}

static enum xr read_rm16(struct cpu *c, const struct insn *i, u16 *v)
{
	if (i->flags & INSN_MEM)
		return op_read16(c, i, v);
	*v = reg16(c, i->r0);
	return XR_OK;
}

/* A 16-bit system value: memory takes 16 bits, a register the operand size, zero-extended. */
static enum xr store_word(struct cpu *c, const struct insn *i, u64 v)
{
	if (i->flags & INSN_MEM)
		return op_write16(c, i, (u16)v);
	reg_set(c, i->r0, i->opsz, v);
	return XR_OK;
}

static enum xr lmsw(struct cpu *c, const struct insn *i)
{
	const u64 m = CR0_MP | CR0_EM | CR0_TS;
	u16 v;

	TRY(icpt_test(c, i, ICPT_CR0_WRITE, 0));
	TRY(icpt_test(c, i, ICPT_CR0_SEL_WRITE, 0)); /* whatever the value, and before the operand is read */
	TRY(read_rm16(c, i, &v));
	return cr0_partial(c, i, &(struct cr_write){.op = CR_LMSW, .value = (c->cr0 & ~m) | (v & (m | CR0_PE)), .operand = v});
}

static enum xr umip(struct cpu *c)
{
	return (c->cr4 & CR4_UMIP) && c->cpl != 0 ? fault_gp(c, 0) : XR_OK;
}

static enum xr smsw(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_CR0_READ, 0));
	return store_word(c, i, cr_get(c, 0));
}

/* ---- debug registers ---- */

/* The exceptions of CR4.DE and of the privilege level. */
static enum xr dr_check(struct cpu *c, unsigned n)
{
	if ((n & 6) == 4 && (c->cr4 & CR4_DE))
		return fault_ud(c);
	return c->cpl ? fault_gp(c, 0) : XR_OK;
}

/* *n becomes the register the number names. VMX exits before every exception but that of a register that cannot exist,
 * SVM after all of them. */
static enum xr dr_gate(struct cpu *c, const struct insn *i, unsigned *n, unsigned icpt)
{
	unsigned number = *n & 15;

	if (*n > 7)
		return fault_ud(c);
	if (c->guest && c->virt->guest.intercept_first)
		TRY(icpt_test(c, i, icpt + number, 0));
	TRY(dr_check(c, *n));
	if ((*n & 6) == 4)
		*n += 2;
	if (c->dr7 & DR7_GD)
		return fault_db(c, DR6_BD);
	return c->guest && !c->virt->guest.intercept_first ? icpt_test(c, i, icpt + number, 0) : XR_OK;
}

static enum xr mov_to_dr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r0;
	u64 v = reg_get(c, i->r1, cr_size(c));

	if ((n & 6) == 6 && v >> 32 && !(c->guest && c->virt->guest.intercept_first) && c->cpl == 0 && !(c->dr7 & DR7_GD))
		return fault_gp(c, 0);
	TRY(dr_gate(c, i, &n, ICPT_DR0_WRITE));
	if (n >= 6 && v >> 32)
		return fault_gp(c, 0);
	if (n < 4)
		c->dr[n] = v;
	else if (n == 6)
		c->dr6 = (v & (0xe00f | DR6_BLD)) | dr6_fixed(c);
	else
		c->dr7 = (v & 0xffff23ff) | DR7_RESET;
	mmu_update_context(c);
	cpu_update_mode(c);
	return XR_OK;
}

static enum xr mov_from_dr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r1;

	TRY(dr_gate(c, i, &n, ICPT_DR0_READ));
	reg_set(c, i->r0, cr_size(c), n < 4 ? c->dr[n] : n == 6 ? c->dr6 : c->dr7);
	return XR_OK;
}

/* ---- descriptor-table registers ---- */

static enum xr load_table(struct cpu *c, const struct insn *i, u64 *base, u32 *limit)
{
	unsigned size = mode64(c) ? 8 : 4, acc = i->seg == SEG_SS ? ACC_STACK : 0;
	u16 lim;
	la_t la;

	TRY(insn_la(c, i, size + 2, ACC_READ, &la));
	TRY(mem_read16(c, la, acc, &lim));
	TRY(mem_read(c, la + 2, size, acc, base));
	if (size == 8 && !is_canonical(*base, msr_la_bits(c)))
		return fault_gp(c, 0);
	if (size == 4 && i->opsz == 2)
		*base &= 0xffffff;
	*limit = lim;
	return XR_OK;
}

static enum xr store_table(struct cpu *c, const struct insn *i, unsigned icpt, u64 base, u32 limit)
{
	unsigned size = mode64(c) ? 8 : 4;
	struct span s;
	u8 buf[10];
	la_t la;

	TRY(umip(c));
	TRY(icpt_test(c, i, icpt, 0));
	memcpy(buf, &limit, 2);
	memcpy(buf + 2, &base, size);
	TRY(insn_la(c, i, size + 2, ACC_WRITE, &la));
	TRY(mem_span(c, la, size + 2, ACC_WRITE | (i->seg == SEG_SS ? ACC_STACK : 0), &s));
	span_write(c, &s, 0, buf, size + 2);
	return XR_OK;
}

static enum xr lgdt(struct cpu *c, const struct insn *i)
{
	u64 base = 0;
	u32 limit = 0;

	TRY(load_table(c, i, &base, &limit));
	c->gdtr.base = base;
	c->gdtr.limit = limit;
	return XR_OK;
}

static enum xr lidt(struct cpu *c, const struct insn *i)
{
	u64 base = 0;
	u32 limit = 0;

	TRY(load_table(c, i, &base, &limit));
	c->idtr.base = base;
	c->idtr.limit = limit;
	c->lidt = true;
	return XR_OK;
}

static enum xr sgdt(struct cpu *c, const struct insn *i)
{
	return store_table(c, i, ICPT_GDTR_READ, c->gdtr.base, c->gdtr.limit);
}

static enum xr sidt(struct cpu *c, const struct insn *i)
{
	return store_table(c, i, ICPT_IDTR_READ, c->idtr.base, c->idtr.limit);
}

static enum xr lldt(struct cpu *c, const struct insn *i)
{
	u16 sel;

	TRY(read_rm16(c, i, &sel));
	return seg_load_ldtr(c, sel);
}

static enum xr ltr(struct cpu *c, const struct insn *i)
{
	u16 sel;

	TRY(read_rm16(c, i, &sel));
	return seg_load_tr(c, sel);
}

static enum xr sldt(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_LDTR_READ, 0));
	return store_word(c, i, c->seg[SEG_LDTR].sel);
}

static enum xr str(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_TR_READ, 0));
	return store_word(c, i, c->seg[SEG_TR].sel);
}

/* ---- selector checks: LAR LSL VERR VERW ARPL ---- */

static void set_zf(struct cpu *c, bool zf)
{
	cc_set_flags(c, (flags_get(c) & (FL_ARITH & ~(u32)FL_ZF)) | (zf ? FL_ZF : 0));
}

/* Bit n: system descriptor type n. */
#define LAR_TYPES      0x1a3eu /* TSS16, LDT, busy TSS16, CALL16, task gate, TSS32, busy TSS32, CALL32 */
#define LAR_TYPES_LONG 0x1a04u
#define LSL_TYPES      0x0a0eu
#define LSL_TYPES_LONG 0x0a04u

/* The descriptor of sel, if this privilege level may know of it. */
static enum xr visible(struct cpu *c, u16 sel, u32 system_types, u64 *desc, bool *ok)
{
	u64 d[2];
	la_t at;

	*ok = false;
	if (sel_null(sel))
		return XR_OK;
	TRY(desc_fetch(c, sel, d, &at, ok));
	*desc = d[0];
	if (!*ok)
		return XR_OK;

	unsigned type = desc_type(d[0]), dpl = desc_dpl(d[0]);
	bool conforming = !desc_is_system(d[0]) && (type & (AR_CODE | AR_E)) == (AR_CODE | AR_E);

	if (desc_is_system(d[0]) && !(system_types & BIT(type)))
		*ok = false;
	if (!conforming && (dpl < c->cpl || dpl < (sel & 3u)))
		*ok = false;
	return XR_OK;
}

static enum xr read_src16(struct cpu *c, const struct insn *i, u16 *v)
{
	if (i->flags & INSN_MEM)
		return op_read16(c, i, v);
	*v = reg16(c, i->r1);
	return XR_OK;
}

static enum xr lar(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_src16(c, i, &sel));
	TRY(visible(c, sel, long_mode(c) ? LAR_TYPES_LONG : LAR_TYPES, &d, &ok));
	if (ok)
		reg_set(c, i->r0, i->opsz, (d >> 32) & 0x00ffff00);
	set_zf(c, ok);
	return XR_OK;
}

static enum xr lsl(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_src16(c, i, &sel));
	TRY(visible(c, sel, long_mode(c) ? LSL_TYPES_LONG : LSL_TYPES, &d, &ok));
	if (ok)
		reg_set(c, i->r0, i->opsz, seg_from_descriptor(sel, d).limit);
	set_zf(c, ok);
	return XR_OK;
}

static enum xr verr(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, &sel));
	TRY(visible(c, sel, 0, &d, &ok));
	set_zf(c, ok && (desc_is_data(d) || (desc_type(d) & AR_W)));
	return XR_OK;
}

static enum xr verw(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, &sel));
	TRY(visible(c, sel, 0, &d, &ok));
	set_zf(c, ok && desc_is_data(d) && (desc_type(d) & AR_W));
	return XR_OK;
}

static enum xr arpl(struct cpu *c, const struct insn *i)
{
	u16 dst, src = reg16(c, i->r1);

	if (i->flags & INSN_MEM)
		TRY(op_read16(c, i, &dst));
	else
		dst = reg16(c, i->r0);

	bool raise = (dst & 3) < (src & 3);

	if (raise) {
		dst = (u16)((dst & ~3) | (src & 3));
		if (i->flags & INSN_MEM)
			TRY(op_write16(c, i, dst)); /* only now: what needs no change may be read-only */
		else
			set_reg16(c, i->r0, dst);
	}
	set_zf(c, raise);
	return XR_OK;
}

/* ---- caches and translations ---- */

/* The model has no caches: what is written is in memory at once. */
static enum xr cache_nop(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}

static u16 current_pcid(const struct cpu *c)
{
	return c->cr4 & CR4_PCIDE ? (u16)(c->cr3 & 0xfff) : 0;
}

/* No segment checks, and a non-canonical address is no fault but nothing to do. */
static enum xr invlpg(struct cpu *c, const struct insn *i)
{
	la_t la = insn_ea(c, i) + (mode64(c) ? c->sb.base[i->seg] : c->seg[i->seg].base);

	if (!mode64(c))
		la = (u32)la;
	TRY(icpt_test(c, i, ICPT_INVLPG, la));
	if (is_canonical(la, c->la_bits) || !mode64(c))
		tlb_flush_page(c, c->space, current_pcid(c), la, true);
	guest_flushed(c, &(struct tlb_match){.pcid = current_pcid(c), .la = la, .globals = true});
	return XR_OK;
}

/* The descriptor of INVPCID, INVEPT and INVVPID. */
enum xr op_read128(struct cpu *c, const struct insn *i, u64 out[2])
{
	struct span s;
	la_t la;

	TRY(insn_la(c, i, 16, ACC_READ, &la));
	TRY(mem_span(c, la, 16, ACC_READ | (i->seg == SEG_SS ? ACC_STACK : 0), &s));
	span_read(c, &s, 0, out, 16);
	return XR_OK;
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL_GLOBAL, INVPCID_ALL };

static enum xr invpcid(struct cpu *c, const struct insn *i)
{
	u64 type = reg_get(c, i->r0, cr_size(c)), d[2];

	TRY(op_read128(c, i, d));

	u16 pcid = d[0] & 0xfff;
	bool names_pcid = type == INVPCID_ADDRESS || type == INVPCID_SINGLE;

	if (type > INVPCID_ALL || d[0] >> 12 || (names_pcid && pcid && !(c->cr4 & CR4_PCIDE)))
		return fault_gp(c, 0);
	if (type == INVPCID_ADDRESS && !is_canonical(d[1], msr_la_bits(c)))
		return fault_gp(c, 0);
	guest_flushed(c, &(struct tlb_match){.pcid = pcid,
	                                     .la = d[1],
	                                     .any_page = type != INVPCID_ADDRESS,
	                                     .any_pcid = !names_pcid,
	                                     .globals = type == INVPCID_ALL_GLOBAL});
	if (type == INVPCID_ADDRESS)
		tlb_flush_page(c, c->space, pcid, d[1], false);
	else if (type == INVPCID_SINGLE)
		tlb_flush_pcid(c, c->space, pcid, true);
	else
		tlb_flush_space(c, c->space, type == INVPCID_ALL);
	return XR_OK;
}

static enum xr clzero(struct cpu *c, const struct insn *i)
{
	static const u8 zero[64];
	u64 ea = low_bytes(c->r[REG_RAX], i->addrsz) & ~63ull;
	struct span s;
	la_t la;

	TRY(seg_address(c, i->seg, ea, 64, ACC_WRITE, &la));
	TRY(mem_span(c, la, 64, ACC_WRITE, &s));
	span_write(c, &s, 0, zero, 64);
	return XR_OK;
}

/* "MCOMMIT": every earlier store is in memory, and none of them failed. */
static enum xr mcommit(struct cpu *c, const struct insn *i)
{
	if (!(c->efer & EFER_MCOMMIT))
		return fault_ud(c);
	TRY(icpt_test(c, i, ICPT_MCOMMIT, 0));
	cc_set_flags(c, flags_get(c) & (FL_ARITH & ~(u32)FL_CF));
	return XR_OK;
}

/* ---- MSRs, CPUID ---- */

static void trace_msr(struct cpu *c, bool write, u32 index, u64 v, bool ok)
{
	if (unlikely(c->hooks->trace & TRACE_MSR) && c->hooks->msr)
		c->hooks->msr(c->hooks->arg, c, write, index, v, ok);
}

static enum xr rdmsr(struct cpu *c, const struct insn *i)
{
	u32 index = (u32)c->r[REG_RCX];
	u64 v = 0;
	enum xr r;

	if (icpt_on(c, ICPT_MSR))
		TRY(c->virt->guest.msr(c, i, index, false));
	cpu_sync_time(c);
	if (c->guest && c->virt->guest.msr_virtual(c, i, index, false, &v, &r)) {
		if (r == XR_OK)
			c->r[REG_RAX] = (u32)v, c->r[REG_RDX] = v >> 32;
		return r;
	}

	bool ok = msr_read(c, index, &v);

	trace_msr(c, false, index, v, ok);
	if (!ok)
		return fault_gp(c, 0);
	c->r[REG_RAX] = (u32)v;
	c->r[REG_RDX] = v >> 32;
	return XR_OK;
}

#define MSR_EFER 0xc0000080u

static enum xr wrmsr(struct cpu *c, const struct insn *i)
{
	u32 index = (u32)c->r[REG_RCX];
	u64 v = (c->r[REG_RDX] << 32) | (u32)c->r[REG_RAX];

	enum xr r;

	if (icpt_on(c, ICPT_MSR))
		TRY(c->virt->guest.msr(c, i, index, true));
	cpu_sync_time(c);
	if (c->guest && c->virt->guest.msr_virtual(c, i, index, true, &v, &r))
		return r;

	bool ok = msr_write(c, index, v);

	trace_msr(c, true, index, v, ok);
	if (!ok)
		return fault_gp(c, 0);
	return index == MSR_EFER ? icpt_test(c, i, ICPT_EFER_WRITE_TRAP, c->efer) : XR_OK;
}

#define HWCR_CPUID_USER_DIS BIT(35)

static enum xr cpuid(struct cpu *c, const struct insn *i)
{
	u32 out[4];

	if (unlikely(c->cpl != 0 && (c->hwcr & HWCR_CPUID_USER_DIS)))
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_CPUID, 0));
	cpuid_query(c, (u32)c->r[REG_RAX], (u32)c->r[REG_RCX], out);
	c->r[REG_RAX] = out[EAX];
	c->r[REG_RBX] = out[EBX];
	c->r[REG_RCX] = out[ECX];
	c->r[REG_RDX] = out[EDX];
	return XR_OK;
}

static enum xr rdpmc(struct cpu *c, const struct insn *i)
{
	u64 v;

	if (c->cpl != 0 && !(c->cr4 & CR4_PCE))
		return fault_gp(c, 0);
	if (c->guest && !c->virt->guest.intercept_first && !perf_read(c, (u32)c->r[REG_RCX], &v)) /* SVM: every exception first */
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_RDPMC, 0));
	if (!perf_read(c, (u32)c->r[REG_RCX], &v))
		return fault_gp(c, 0);
	c->r[REG_RAX] = (u32)v;
	c->r[REG_RDX] = v >> 32;
	return XR_OK;
}

/* ---- bases, flags, keys ---- */

static enum xr swapgs(struct cpu *c, const struct insn *i)
{
	u64 old = c->seg[SEG_GS].base;

	(void)i;
	c->seg[SEG_GS].base = c->sb.base[SEG_GS] = c->kernel_gs_base;
	c->kernel_gs_base = old;
	return XR_OK;
}

static unsigned base_segment(const struct insn *i)
{
	return i->aux;
}

static enum xr rdbase(struct cpu *c, const struct insn *i)
{
	if (!(c->cr4 & CR4_FSGSBASE))
		return fault_ud(c);
	reg_set(c, i->r0, i->opsz, c->seg[base_segment(i)].base);
	return XR_OK;
}

static enum xr wrbase(struct cpu *c, const struct insn *i)
{
	u64 v = reg_get(c, i->r0, i->opsz);

	if (!(c->cr4 & CR4_FSGSBASE))
		return fault_ud(c);
	if (!is_canonical(v, c->la_bits))
		return fault_gp(c, 0);
	c->seg[base_segment(i)].base = c->sb.base[base_segment(i)] = v;
	return XR_OK;
}

static enum xr set_ac(struct cpu *c, bool on)
{
	if (c->cpl != 0)
		return fault_ud(c);
	c->rflags = on ? c->rflags | FL_AC : c->rflags & ~(u32)FL_AC;
	mmu_update_context(c);
	return XR_OK;
}

static enum xr clac(struct cpu *c, const struct insn *i)
{
	(void)i;
	return set_ac(c, false);
}

static enum xr stac(struct cpu *c, const struct insn *i)
{
	(void)i;
	return set_ac(c, true);
}

static enum xr rdpkru(struct cpu *c, const struct insn *i)
{
	(void)i;
	if (!(c->cr4 & CR4_PKE))
		return fault_ud(c);
	if ((u32)c->r[REG_RCX])
		return fault_gp(c, 0);
	c->r[REG_RAX] = c->pkru;
	c->r[REG_RDX] = 0;
	return XR_OK;
}

static enum xr wrpkru(struct cpu *c, const struct insn *i)
{
	(void)i;
	if (!(c->cr4 & CR4_PKE))
		return fault_ud(c);
	if ((u32)c->r[REG_RCX] || (u32)c->r[REG_RDX])
		return fault_gp(c, 0);
	c->pkru = (u32)c->r[REG_RAX];
	c->xinuse = c->pkru ? c->xinuse | BIT(9) : c->xinuse & ~BIT(9);
	mmu_update_context(c);
	return XR_OK;
}

/* ---- the rest ---- */

static enum xr rsm(struct cpu *c, const struct insn *i)
{
	(void)i;
	return fault_ud(c); /* outside SMM, and there is no SMM yet */
}

static enum xr serialize(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}

/* ---- rows ---- */

static bool is_class(const struct dec *d, unsigned k, ZydisRegisterClass cl)
{
	return d->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(d->op[k].reg.value) == cl;
}

static bool to_cr(const struct dec *d) { return is_class(d, 0, ZYDIS_REGCLASS_CONTROL); }
static bool from_cr(const struct dec *d) { return is_class(d, 1, ZYDIS_REGCLASS_CONTROL); }
static bool to_dr(const struct dec *d) { return is_class(d, 0, ZYDIS_REGCLASS_DEBUG); }
static bool from_dr(const struct dec *d) { return is_class(d, 1, ZYDIS_REGCLASS_DEBUG); }

/* Zydis 4.0.0 has no WBNOINVD mnemonic: it is WBINVD with F3. */
static bool is_wbnoinvd(const struct dec *d)
{
	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++)
		if (d->zi->raw.prefixes[k].value == 0xf3)
			return has(d->cpu, FEAT_WBNOINVD);
	return false;
}

/* F2 and F3 belong to other instructions, whether they exist or not. */
static bool no_repeat(const struct dec *d)
{
	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++)
		if (d->zi->raw.prefixes[k].value == 0xf2 || d->zi->raw.prefixes[k].value == 0xf3)
			return false;
	return true;
}

static void bind_base(struct insn *i, const struct dec *d)
{
	bool fs = d->zi->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || d->zi->mnemonic == ZYDIS_MNEMONIC_WRFSBASE;

	i->aux = fs ? SEG_FS : SEG_GS;
	i->opsz = d->zi->raw.rex.W ? 8 : 4; /* 66h changes nothing */
}

#define M(name) .mnemonic = ZYDIS_MNEMONIC_##name
#define PM (ROW_NO_REAL | ROW_NO_V86)
/* clang-format off */
static const struct insn_row rows[] = {
	{M(MOV), .form = "MOV CRn, r", .match = to_cr, .fn = mov_to_cr, .flags = ROW_END | ROW_LOCK},
	{M(MOV), .form = "MOV r, CRn", .match = from_cr, .fn = mov_from_cr, .flags = ROW_LOCK, .undef_flags = FL_ARITH},
	{M(MOV), .form = "MOV DRn, r", .match = to_dr, .fn = mov_to_dr, .flags = ROW_END, .undef_flags = FL_ARITH},
	{M(MOV), .form = "MOV r, DRn", .match = from_dr, .fn = mov_from_dr, .undef_flags = FL_ARITH},
	{M(CLTS), .form = "CLTS", .fn = clts, .flags = ROW_CPL0 | ROW_END},
	{M(LMSW), .form = "LMSW r/m16", .fn = lmsw, .flags = ROW_CPL0 | ROW_END},
	{M(SMSW), .form = "SMSW r/m", .fn = smsw},
	{M(LGDT), .form = "LGDT m", .fn = lgdt, .flags = ROW_CPL0, .icpt = ICPT_GDTR_WRITE},
	{M(LIDT), .form = "LIDT m", .fn = lidt, .flags = ROW_CPL0, .icpt = ICPT_IDTR_WRITE},
	{M(SGDT), .form = "SGDT m", .fn = sgdt, .flags = ROW_LATE_ICPT, .icpt = ICPT_GDTR_READ},
	{M(SIDT), .form = "SIDT m", .fn = sidt, .flags = ROW_LATE_ICPT, .icpt = ICPT_IDTR_READ},
	{M(LLDT), .form = "LLDT r/m16", .fn = lldt, .flags = ROW_CPL0 | PM, .icpt = ICPT_LDTR_WRITE},
	{M(LTR), .form = "LTR r/m16", .fn = ltr, .flags = ROW_CPL0 | PM, .icpt = ICPT_TR_WRITE},
	{M(SLDT), .form = "SLDT r/m", .fn = sldt, .flags = PM | ROW_LATE_ICPT, .icpt = ICPT_LDTR_READ},
	{M(STR), .form = "STR r/m", .fn = str, .flags = PM | ROW_LATE_ICPT, .icpt = ICPT_TR_READ},
	{M(LAR), .form = "LAR r, r/m16", .fn = lar, .flags = PM},
	{M(LSL), .form = "LSL r, r/m16", .fn = lsl, .flags = PM},
	{M(VERR), .form = "VERR r/m16", .fn = verr, .flags = PM},
	{M(VERW), .form = "VERW r/m16", .fn = verw, .flags = PM},
	{M(ARPL), .form = "ARPL r/m16, r16", .fn = arpl, .flags = PM | ROW_NOT64},
	{M(INVD), .form = "INVD", .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_INVD},
	{M(WBINVD), .form = "WBNOINVD", .match = is_wbnoinvd, .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_WBINVD},
	{M(WBINVD), .form = "WBINVD", .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_WBINVD},
	{M(INVLPG), .form = "INVLPG m", .fn = invlpg, .flags = ROW_CPL0 | ROW_END | ROW_LATE_ICPT, .icpt = ICPT_INVLPG},
	{M(INVPCID), .form = "INVPCID r, m128", .fn = invpcid, .feature = FEAT_INVPCID,
	 .flags = ROW_CPL0 | ROW_END | ROW_NO_V86, .icpt = ICPT_INVPCID},
	{M(CLZERO), .match = no_repeat, .form = "CLZERO", .bind = bind_implied_segment, .fn = clzero, .feature = FEAT_CLZERO},
	{M(RDMSR), .form = "RDMSR", .fn = rdmsr, .feature = FEAT_MSR, .flags = ROW_CPL0 | ROW_END},
	{M(WRMSR), .form = "WRMSR", .fn = wrmsr, .feature = FEAT_MSR, .flags = ROW_CPL0 | ROW_END},
	{M(CPUID), .form = "CPUID", .fn = cpuid, .flags = ROW_LATE_ICPT, .icpt = ICPT_CPUID},
	{M(RDPMC), .form = "RDPMC", .fn = rdpmc, .flags = ROW_LATE_ICPT, .icpt = ICPT_RDPMC},
	{M(SWAPGS), .form = "SWAPGS", .fn = swapgs, .flags = ROW_ONLY64 | ROW_CPL0},
	{M(RDFSBASE), .form = "RDFSBASE r", .bind = bind_base, .fn = rdbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(RDGSBASE), .form = "RDGSBASE r", .bind = bind_base, .fn = rdbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(WRFSBASE), .form = "WRFSBASE r", .bind = bind_base, .fn = wrbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(WRGSBASE), .form = "WRGSBASE r", .bind = bind_base, .fn = wrbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(CLAC), .form = "CLAC", .fn = clac, .feature = FEAT_SMAP, .flags = ROW_NO_V86},
	{M(STAC), .form = "STAC", .fn = stac, .feature = FEAT_SMAP, .flags = ROW_NO_V86},
	{M(MCOMMIT), .form = "MCOMMIT", .fn = mcommit, .feature = FEAT_MCOMMIT, .icpt = ICPT_MCOMMIT, .flags = ROW_LATE_ICPT},
	{M(RDPKRU), .form = "RDPKRU", .fn = rdpkru, .feature = FEAT_PKU},
	{M(WRPKRU), .form = "WRPKRU", .fn = wrpkru, .feature = FEAT_PKU},
	{M(RSM), .form = "RSM", .fn = rsm, .flags = ROW_END, .icpt = ICPT_RSM},
	{M(SERIALIZE), .form = "SERIALIZE", .fn = serialize, .feature = FEAT_SERIALIZE, .flags = ROW_END},
};
/* clang-format on */

const struct row_set exec_system_rows = {rows, ARRAY_LEN(rows)};
