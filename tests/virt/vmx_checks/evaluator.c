/*
 * The checks of VM entry once more, by a different route: one function per section of SDM 3C, each condition as the
 * text states it, with the bit numbers of the text. It shares no predicate and no helper with src/vmx; only the
 * encodings of fields and the layout of the cached VMCS are common.
 */
#include "checks_test.h"

#define GET(enc) (s->f[vmcs_slot(enc)])
#define INPUT(x) (s->in[(x)-VMX_IN])
#define B(v, n)  ((unsigned)((v) >> (n)) & 1u)

struct judge {
	const struct state *s, *x; /* x: the VMCS whose VM-execution controls count */
	struct verdict *out;
	/* the controls in force: a vector that is not activated counts as 0 */
	u64 pin, proc, sec, ter, xit, ent;
	int from_smm, to_root;    /* "VM Entries that Return from SMM" */
	u8 invalid_control;       /* 7, or 25 of the executive VMCS */
};

static void refuse(struct judge *j, unsigned id, u8 outcome, u8 qualification)
{
	j->out->ids[id / 64] |= 1ull << (id % 64);
	if (!j->out->outcome) {
		j->out->outcome = outcome;
		j->out->qualification = qualification;
	}
}

#define FAIL_Q(j, condition, id, outcome, q)                                                                           \
	do {                                                                                                           \
		static int number = -1;                                                                                \
		if (number < 0)                                                                                        \
			number = (int)id_number(id);                                                                   \
		if (condition)                                                                                         \
			refuse(j, (unsigned)number, outcome, q);                                                       \
	} while (0)
#define FAIL(condition, id, outcome) FAIL_Q(j, condition, id, outcome, 0)
#define E7(condition, id)            FAIL(condition, "vmx.control." id, j->invalid_control)
#define E8(condition, id)            FAIL(condition, "vmx.host." id, 8)
#define X33(condition, id)           FAIL(condition, "vmx.guest." id, 33)

static int beyond(const struct state *s, u64 address)
{
	for (unsigned n = s->caps.phys_bits; n < 64; n++)
		if (B(address, n))
			return 1;
	return 0;
}

/* A 4-KByte structure: bits 11:0 zero, no bit beyond the processor's physical-address width. */
static int bad_4k(const struct state *s, u64 address)
{
	return address % 4096 != 0 || beyond(s, address);
}

/* Bits 63 down to the topmost address bit must all be equal. */
static int canonical(const struct state *s, u64 address)
{
	unsigned width = s->caps.la_bits, ones = 0;

	for (unsigned n = width - 1; n < 64; n++)
		ones += B(address, n);
	return ones == 0 || ones == 64 - (width - 1);
}

static int reserved_ok(const struct state *s, unsigned word, u64 value)
{
	for (unsigned n = 0; n < 64; n++) {
		if (!B(value, n) && B(s->caps.required1[word], n))
			return 0;
		if (B(value, n) && !B(s->caps.allowed1[word], n))
			return 0;
	}
	return 1;
}

/* ---- "Basic VM-Entry Checks" ---- */

static void basic(struct judge *j)
{
	const struct state *s = j->s;

	FAIL(INPUT(VMX_IN_MOVSS), "vmx.basic.mov-ss", 26);
	if (INPUT(VMX_IN_RESUME))
		FAIL(!INPUT(VMX_IN_LAUNCHED), "vmx.basic.not-launched", 5);
	else
		FAIL(INPUT(VMX_IN_LAUNCHED), "vmx.basic.not-clear", 4);
}

/* ---- "Checks on the Executive-VMCS Pointer Field" ---- */

static void executive_pointer(struct judge *j)
{
	const struct state *s = j->s;
	u64 pointer = GET(0x200c), word = INPUT(VMX_IN_EXEC_WORD);
	int ok = !bad_4k(s, pointer) && word == s->caps.basic % 0x80000000;

	if (!j->from_smm)
		return;
	FAIL(bad_4k(s, pointer), "vmx.smm.executive.address", 16);
	if (!bad_4k(s, pointer))
		FAIL(!ok, "vmx.smm.executive.revision", 16);
	if (B(j->ent, 11))
		FAIL(!j->to_root, "vmx.smm.executive.vmxon", 18);
	else if (ok && !j->to_root)
		FAIL(!INPUT(VMX_IN_EXEC_LAUNCHED), "vmx.smm.executive.launched", 17);
}

/* ---- "VM-Execution Control Fields" ---- */

static void execution_reserved(struct judge *j)
{
	const struct state *s = j->x;

	E7(!reserved_ok(s, VMX_PIN, GET(0x4000)), "pin.reserved");
	E7(!reserved_ok(s, VMX_PROC, GET(0x4002)), "proc.reserved");
	if (B(j->proc, 31))
		E7(!reserved_ok(s, VMX_PROC2, GET(0x401e)), "proc2.reserved");
	if (B(j->proc, 17))
		E7(!reserved_ok(s, VMX_PROC3, GET(0x2034)), "proc3.reserved");
	E7(GET(0x400a) > (s->caps.misc >> 16) % 512, "cr3-targets");
}

static void execution_addresses(struct judge *j)
{
	const struct state *s = j->x;

	if (B(j->proc, 25)) {
		E7(bad_4k(s, GET(0x2000)), "io-bitmap");
		E7(bad_4k(s, GET(0x2002)), "io-bitmap");
	}
	if (B(j->proc, 28))
		E7(bad_4k(s, GET(0x2004)), "msr-bitmap");
	if (B(j->proc, 21))
		E7(bad_4k(s, GET(0x2012)), "virtual-apic");
	if (B(j->sec, 0))
		E7(bad_4k(s, GET(0x2014)), "apic-access");
	if (B(j->sec, 17))
		E7(bad_4k(s, GET(0x200e)), "pml");
	if (B(j->sec, 23))
		E7(bad_4k(s, GET(0x2030)), "spptp");
	if (B(j->sec, 13) && B(GET(0x2018), 0))
		E7(bad_4k(s, GET(0x2024)), "eptp-list");
	if (B(j->sec, 14)) {
		E7(bad_4k(s, GET(0x2026)), "shadow-bitmap");
		E7(bad_4k(s, GET(0x2028)), "shadow-bitmap");
	}
	if (B(j->sec, 18))
		E7(bad_4k(s, GET(0x202a)), "ve-info");
}

static void execution_apic(struct judge *j)
{
	const struct state *s = j->x;

	if (!B(j->pin, 3))
		E7(B(j->pin, 5), "virtual-nmis");
	if (!B(j->pin, 5))
		E7(B(j->proc, 22), "nmi-window");
	if (B(j->proc, 21) && !B(j->sec, 9)) {
		E7(GET(0x401c) > 15, "tpr-threshold.reserved");
		if (!B(j->sec, 0))
			E7(GET(0x401c) % 16 > INPUT(VMX_IN_VTPR) % 256 / 16, "tpr-threshold.above-tpr");
	}
	if (!B(j->proc, 21)) {
		E7(B(j->sec, 4), "tpr-shadow.x2apic");
		E7(B(j->sec, 8), "tpr-shadow.apic-registers");
		E7(B(j->sec, 9), "tpr-shadow.virtual-interrupts");
		E7(B(j->ter, 4), "tpr-shadow.ipi");
	}
	if (B(j->sec, 4))
		E7(B(j->sec, 0), "x2apic.apic-access");
	if (B(j->sec, 9))
		E7(!B(j->pin, 0), "virtual-interrupts.external");
	if (B(j->pin, 7)) {
		E7(!B(j->sec, 9), "posted.virtual-interrupts");
		E7(!B(j->from_smm ? INPUT(VMX_IN_EXEC_EXIT) : j->xit, 15), "posted.acknowledge");
		E7(GET(0x0002) > 255, "posted.vector");
		E7(GET(0x2016) % 64 != 0 || beyond(s, GET(0x2016)), "posted.descriptor");
	}
	if (B(j->ter, 4)) {
		unsigned __int128 last = (unsigned __int128)GET(0x2042) + 8 * GET(0x0008);

		E7(GET(0x2042) % 8 != 0 || beyond(s, GET(0x2042)), "ipi.table");
		E7(last >> s->caps.phys_bits != 0, "ipi.table-end");
	}
}

static void execution_ept(struct judge *j)
{
	const struct state *s = j->x;
	u64 eptp = GET(0x201a), cap = s->caps.ept_vpid;

	if (B(j->sec, 5))
		E7(GET(0x0000) == 0, "vpid-zero");
	if (B(j->sec, 1)) {
		E7(!((eptp % 8 == 0 && B(cap, 8)) || (eptp % 8 == 6 && B(cap, 14))), "eptp.memory-type");
		E7(!((eptp / 8 % 8 == 3 && B(cap, 6)) || (eptp / 8 % 8 == 4 && B(cap, 7))), "eptp.walk-length");
		E7(B(eptp, 6) && !B(cap, 21), "eptp.accessed-dirty");
		E7((B(eptp, 7) && !B(cap, 23)) || B(eptp, 8) || B(eptp, 9) || B(eptp, 10) || B(eptp, 11),
		   "eptp.reserved");
		E7(beyond(s, eptp), "eptp.address");
	} else {
		E7(B(j->sec, 7), "ept.unrestricted");
		E7(B(j->sec, 17), "ept.pml");
		E7(B(j->sec, 22), "ept.mode-based");
		E7(B(j->sec, 23), "ept.sub-page");
		E7(B(j->ter, 2), "ept.paging-write");
		E7(B(j->ter, 3), "ept.guest-paging");
	}
	if (B(j->sec, 13)) {
		E7((GET(0x2018) | s->caps.vmfunc) != s->caps.vmfunc, "vmfunc.reserved");
		E7(B(GET(0x2018), 0) && !B(j->sec, 1), "vmfunc.ept");
	}
	if (B(j->sec, 25))
		E7(!GET(0x2032), "tsc-multiplier");
}

/* ---- "VM-Exit Control Fields", "VM-Entry Control Fields" ---- */

static int bad_msr_area(const struct state *s, u64 address, u64 count)
{
	if (count == 0)
		return 0;
	return address % 16 != 0 || beyond(s, address) || beyond(s, address + (count * 16) - 1);
}

static void exit_and_entry(struct judge *j)
{
	const struct state *s = j->s;

	E7(!reserved_ok(s, VMX_EXIT, GET(0x400c)), "exit.reserved");
	if (B(j->xit, 31))
		E7(!reserved_ok(s, VMX_EXIT2, GET(0x2044)), "exit2.reserved");
	if (!B(j->pin, 6) && !j->from_smm)
		E7(B(j->xit, 22), "exit.save-timer");
	E7(bad_msr_area(s, GET(0x2006), GET(0x400e)), "exit.msr-store");
	E7(bad_msr_area(s, GET(0x2008), GET(0x4010)), "exit.msr-load");
	E7(!reserved_ok(s, VMX_ENTRY, GET(0x4012)), "entry.reserved");
	E7(bad_msr_area(s, GET(0x200a), GET(0x4014)), "entry.msr-load");
	if (!INPUT(VMX_IN_SMM)) {
		E7(B(j->ent, 10), "entry.smm");
		E7(B(j->ent, 11), "entry.dual-monitor");
	}
	E7(B(j->ent, 10) && B(j->ent, 11), "entry.smm-and-dual");
}

/* ---- "VM-Entry Controls for Event Injection" ---- */

static int pushes_error_code(unsigned vector)
{
	switch (vector) {
	case 8:  /* #DF */
	case 10: /* #TS */
	case 11: /* #NP */
	case 12: /* #SS */
	case 13: /* #GP */
	case 14: /* #PF */
	case 17: /* #AC */ return 1;
	default: return 0;
	}
}

static void injection(struct judge *j)
{
	const struct state *s = j->s;
	u64 info = GET(0x4016), length = GET(0x401a);
	unsigned vector = info % 256, type = info / 256 % 8, deliver = B(info, 11);
	int real = B(j->sec, 7) && !B(GET(0x6800), 0);

	if (!B(info, 31))
		return;
	E7(type == 1 || (type == 7 && !B(s->caps.allowed1[VMX_PROC], 27)), "inject.type");
	if (type == 2)
		E7(vector != 2, "inject.vector.nmi");
	if (type == 3)
		E7(vector >= 32, "inject.vector.exception");
	if (type == 7)
		E7(vector, "inject.vector.other");
	if (type == 7 && vector == 0)
		E7(j->to_root, "inject.mtf-root");
	if (deliver) {
		E7(type != 3, "inject.error-flag.type");
		E7(real, "inject.error-flag.real-mode");
		E7(GET(0x4018) > 0xffff, "inject.error-code");
	}
	if (!B(s->caps.basic, 56) && type == 3) {
		if (pushes_error_code(vector))
			E7(!deliver && !real, "inject.error-flag.missing");
		else
			E7(deliver, "inject.error-flag.extra");
	}
	E7((info & 0x7fffd000) || (B(info, 13) && (type != 3 || !B(s->caps.basic, 58))), "inject.reserved");
	if (type == 4 || type == 5 || type == 6)
		E7(length > 15 || (!length && !B(s->caps.misc, 30)), "inject.length");
}

/* ---- "Checks on the Host-State Area" ---- */

static int fixed_ok(u64 value, u64 fixed0, u64 fixed1)
{
	return (value & fixed0) == fixed0 && (value | fixed1) == fixed1;
}

static int pat_ok(u64 pat)
{
	for (unsigned n = 0; n < 8; n++, pat >>= 8)
		if (pat % 256 == 2 || pat % 256 == 3 || pat % 256 > 7)
			return 0;
	return 1;
}

static void host_registers(struct judge *j)
{
	const struct state *s = j->s;

	E8(!fixed_ok(GET(0x6c00), s->caps.cr0_fixed0, s->caps.cr0_fixed1), "cr0.fixed");
	E8(!fixed_ok(GET(0x6c04), s->caps.cr4_fixed0, s->caps.cr4_fixed1), "cr4.fixed");
	E8(beyond(s, GET(0x6c02)), "cr3");
	E8(!canonical(s, GET(0x6c10)) || !canonical(s, GET(0x6c12)), "sysenter");
	if (B(j->xit, 12))
		E8((GET(0x2c04) | s->caps.perf_global) != s->caps.perf_global, "perf-global-ctrl");
	if (B(j->xit, 19))
		E8(!pat_ok(GET(0x2c00)), "pat");
	if (B(j->xit, 21)) {
		E8((GET(0x2c02) | s->caps.efer) != s->caps.efer, "efer.reserved");
		E8(B(GET(0x2c02), 10) != B(j->xit, 9), "efer.lma");
		E8(B(GET(0x2c02), 8) != B(j->xit, 9), "efer.lme");
	}
}

static void host_segments(struct judge *j)
{
	const struct state *s = j->s;
	static const u16 bases[] = {0x6c06, 0x6c08, 0x6c0a, 0x6c0c, 0x6c0e};

	for (unsigned sel = 0x0c00; sel <= 0x0c0c; sel += 2)
		E8(GET(sel) % 8 != 0, "selector.rpl-ti");
	E8(GET(0x0c02) == 0 || GET(0x0c0c) == 0 || (GET(0x0c04) == 0 && !B(j->xit, 9)), "selector.null");
	for (unsigned n = 0; n < 5; n++)
		E8(!canonical(s, GET(bases[n])), "base");
}

static void address_space(struct judge *j)
{
	const struct state *s = j->s;
	unsigned host64 = B(j->xit, 9), guest64 = B(j->ent, 9);

	if (!INPUT(VMX_IN_LMA)) {
		E8(guest64, "address-space.legacy-guest64");
		E8(host64, "address-space.legacy-host64");
	} else {
		E8(!host64, "address-space.long-host32");
	}
	if (!host64) {
		E8(guest64, "address-space.host32-guest64");
		E8(B(GET(0x6c04), 17), "address-space.host32-pcide");
		E8(GET(0x6c16) > 0xffffffff, "address-space.host32-rip");
	} else {
		E8(!B(GET(0x6c04), 5), "address-space.host64-pae");
		E8(!canonical(s, GET(0x6c16)), "address-space.host64-rip");
	}
}

/* ---- "Checks on Guest Control Registers, Debug Registers, and MSRs" ---- */

static void guest_registers(struct judge *j)
{
	const struct state *s = j->s;
	u64 cr0 = GET(0x6800), cr4 = GET(0x6804), efer = GET(0x2806), need = s->caps.cr0_fixed0;
	unsigned guest64 = B(j->ent, 9);

	if (B(j->sec, 7))
		need &= 0xffffffff7ffffffe;
	X33(!fixed_ok(cr0, need, s->caps.cr0_fixed1), "cr0.fixed");
	X33(B(cr0, 31) > B(cr0, 0), "cr0.pg-without-pe");
	X33(!fixed_ok(cr4, s->caps.cr4_fixed0, s->caps.cr4_fixed1), "cr4.fixed");
	if (B(j->ent, 2)) {
		X33((GET(0x2802) | s->caps.debugctl) != s->caps.debugctl, "debugctl");
		X33(GET(0x681a) > 0xffffffff, "dr7");
	}
	X33(guest64 && !B(cr0, 31), "ia32e.pg");
	X33(guest64 && !B(cr4, 5), "ia32e.pae");
	X33(!guest64 && B(cr4, 17), "pcide");
	X33(beyond(s, GET(0x6802)), "cr3");
	X33(!canonical(s, GET(0x6824)) || !canonical(s, GET(0x6826)), "sysenter");
	if (B(j->ent, 13))
		X33((GET(0x2808) | s->caps.perf_global) != s->caps.perf_global, "perf-global-ctrl");
	if (B(j->ent, 14))
		X33(!pat_ok(GET(0x2804)), "pat");
	if (B(j->ent, 15)) {
		X33((efer | s->caps.efer) != s->caps.efer, "efer.reserved");
		X33(B(efer, 10) != guest64, "efer.lma");
		X33(B(cr0, 31) && B(efer, 10) != B(efer, 8), "efer.lme");
	}
}

/* ---- "Checks on Guest Segment Registers" ---- */

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };
struct segment {
	u64 sel, base, limit, ar;
	unsigned type, s, dpl, p, l, d, g, unusable, rpl;
};

static struct segment segment(const struct state *s, unsigned n)
{
	struct segment r = {.sel = GET(0x0800 + 2 * n),
	                    .base = GET(0x6806 + 2 * n),
	                    .limit = GET(0x4800 + 2 * n),
	                    .ar = GET(0x4814 + 2 * n)};

	r.type = r.ar % 16;
	r.s = B(r.ar, 4);
	r.dpl = r.ar / 32 % 4;
	r.p = B(r.ar, 7);
	r.l = B(r.ar, 13);
	r.d = B(r.ar, 14);
	r.g = B(r.ar, 15);
	r.unusable = B(r.ar, 16);
	r.rpl = r.sel % 4;
	return r;
}

static int ar_reserved(u64 ar)
{
	return (ar & 0xf00) != 0 || ar >> 17 != 0;
}

static void granularity(struct judge *j, const struct segment *r)
{
	X33(r->limit % 4096 != 4095 && r->g, "segment.g-set");
	X33(r->limit >= 0x100000 && !r->g, "segment.g-clear");
}

static void selectors_and_bases(struct judge *j, const struct segment *r, int virtual8086)
{
	const struct state *s = j->s;

	X33(B(r[TR].sel, 2), "tr.ti");
	X33(!r[LDTR].unusable && B(r[LDTR].sel, 2), "ldtr.ti");
	X33(!virtual8086 && !B(j->sec, 7) && r[SS].rpl != r[CS].rpl, "ss.rpl");
	X33(!canonical(s, r[TR].base) || !canonical(s, r[FS].base) || !canonical(s, r[GS].base) ||
	            (!r[LDTR].unusable && !canonical(s, r[LDTR].base)),
	    "base.canonical");
	X33(r[CS].base >> 32 != 0, "base.high");
	for (unsigned n = ES; n <= DS; n++)
		if (n != CS && !r[n].unusable)
			X33(r[n].base >> 32 != 0, "base.high");
	for (unsigned n = ES; n <= GS && virtual8086; n++) {
		X33(r[n].base != r[n].sel * 16, "v86.base");
		X33(r[n].limit != 0x0000ffff, "v86.limit");
		X33(r[n].ar != 0x000000f3, "v86.access-rights");
	}
}

static void code_segment(struct judge *j, const struct segment *cs, const struct segment *ss)
{
	switch (cs->type) {
	case 3:
		X33(!B(j->sec, 7), "cs.type");
		if (B(j->sec, 7))
			X33(cs->dpl != 0, "cs.dpl-data");
		break;
	case 9:
	case 11: X33(cs->dpl != ss->dpl, "cs.dpl"); break;
	case 13:
	case 15: X33(cs->dpl > ss->dpl, "cs.dpl-conforming"); break;
	default: X33(1, "cs.type"); break;
	}
	X33(B(j->ent, 9) && cs->l && cs->d, "cs.l-and-d");
}

static void data_segment(struct judge *j, const struct segment *r)
{
	X33(r->type % 2 == 0, "data.accessed");
	X33(r->type >= 8 && !(r->type & 2), "data.readable");
	X33(!B(j->sec, 7) && r->type <= 11 && r->dpl < r->rpl, "data.dpl");
}

static void access_rights(struct judge *j, const struct segment *r)
{
	const struct state *s = j->s;

	code_segment(j, &r[CS], &r[SS]);
	X33(!r[SS].unusable && r[SS].type != 3 && r[SS].type != 7, "ss.type");
	X33(!B(j->sec, 7) && r[SS].dpl != r[SS].rpl, "ss.dpl");
	X33((r[CS].type == 3 || !B(GET(0x6800), 0)) && r[SS].dpl, "ss.dpl-zero");
	for (unsigned n = ES; n <= GS; n++) {
		if (r[n].unusable && n != CS)
			continue;
		X33(!r[n].s, "segment.s");
		X33(!r[n].p, "segment.present");
		X33(ar_reserved(r[n].ar), "segment.reserved");
		granularity(j, &r[n]);
		if (n != CS && n != SS)
			data_segment(j, &r[n]);
	}
}

static void system_segments(struct judge *j, const struct segment *tr, const struct segment *ldtr)
{
	X33(B(j->ent, 9) ? tr->type != 11 : tr->type != 3 && tr->type != 11, "tr.type");
	X33(tr->s, "tr.s");
	X33(!tr->p, "tr.present");
	X33(ar_reserved(tr->ar), "tr.reserved");
	granularity(j, tr);
	X33(tr->unusable, "tr.unusable");
	if (ldtr->unusable)
		return;
	X33(ldtr->type != 2, "ldtr.type");
	X33(ldtr->s, "ldtr.s");
	X33(!ldtr->p, "ldtr.present");
	X33(ar_reserved(ldtr->ar), "ldtr.reserved");
	granularity(j, ldtr);
}

static void guest_segments(struct judge *j)
{
	const struct state *s = j->s;
	struct segment r[8];
	int virtual8086 = (int)B(GET(0x6820), 17);

	for (unsigned n = 0; n < 8; n++)
		r[n] = segment(s, n);
	selectors_and_bases(j, r, virtual8086);
	if (!virtual8086)
		access_rights(j, r);
	system_segments(j, &r[TR], &r[LDTR]);
}

/* ---- "Checks on Guest Descriptor-Table Registers", "Checks on Guest RIP, RFLAGS, and SSP" ---- */

static void tables_rip_rflags(struct judge *j)
{
	const struct state *s = j->s;
	u64 rip = GET(0x681e), flags = GET(0x6820), info = GET(0x4016);
	unsigned ones = 0;

	X33(!canonical(s, GET(0x6816)), "gdtr.base");
	X33(!canonical(s, GET(0x6818)), "idtr.base");
	X33(GET(0x4810) > 0xffff, "gdtr.limit");
	X33(GET(0x4812) > 0xffff, "idtr.limit");
	for (unsigned n = s->caps.la_bits; n < 64; n++)
		ones += B(rip, n);
	if (!B(j->ent, 9) || !B(GET(0x4816), 13))
		X33(rip > 0xffffffff, "rip.high");
	else
		X33(ones != 0 && ones != 64u - s->caps.la_bits, "rip.width");
	X33((flags & 0xffffffffffc08028) || !B(flags, 1), "rflags.reserved");
	X33(B(flags, 17) && B(j->ent, 9), "rflags.vm-ia32e");
	X33(B(flags, 17) && !B(GET(0x6800), 0), "rflags.vm-real");
	X33(B(info, 31) && info / 256 % 8 == 0 && !B(flags, 9), "rflags.if-extint");
}

/* ---- "Checks on Guest Non-Register State" ---- */

static void activity(struct judge *j)
{
	const struct state *s = j->s;
	u64 state = GET(0x4826), blocking = GET(0x4824), info = GET(0x4016);
	unsigned type = info / 256 % 8, vector = info % 256;

	X33(state > 3 || (state == 1 && !B(s->caps.misc, 6)) || (state == 2 && !B(s->caps.misc, 7)) ||
	            (state == 3 && !B(s->caps.misc, 8)),
	    "activity.supported");
	X33(state == 1 && GET(0x4818) / 32 % 4 != 0, "activity.hlt-dpl");
	if (B(blocking, 0) || B(blocking, 1))
		X33(state != 0, "activity.blocking");
	if (B(j->ent, 10))
		X33(state == 3, "activity.smm");
	if (j->to_root)
		X33(state == 3, "activity.wait-root");
	if (!B(info, 31))
		return;
	if (state == 1) {
		int ok = type == 0 || type == 2 || (type == 3 && (vector == 1 || vector == 18)) ||
		         (type == 7 && vector == 0);

		X33(!ok, "activity.inject-hlt");
	}
	if (state == 2)
		X33(!(type == 2 || (type == 3 && vector == 18)), "activity.inject-shutdown");
	X33(state == 3, "activity.inject-wait");
}

static void interruptibility(struct judge *j)
{
	const struct state *s = j->s;
	u64 v = GET(0x4824), info = GET(0x4016);

	X33(v >= 32, "interruptibility.reserved");
	X33((v & 3) == 3, "interruptibility.sti-mov-ss");
	X33(B(v, 0) && !B(GET(0x6820), 9), "interruptibility.sti-if");
	X33(B(v, 2) && !INPUT(VMX_IN_SMM), "interruptibility.smi");
	X33(!B(v, 2) && B(j->ent, 10), "interruptibility.smi-entry");
	if (B(v, 4)) {
		X33(B(v, 1), "interruptibility.enclave-mov-ss");
		X33(!s->caps.sgx, "interruptibility.enclave");
	}
	if (!B(info, 31))
		return;
	if (info / 256 % 8 == 0)
		X33(v & 3, "interruptibility.extint");
	if (info / 256 % 8 == 2) {
		X33(B(v, 1), "interruptibility.nmi-mov-ss");
		FAIL_Q(j, B(v, 0), "vmx.guest.interruptibility.nmi-sti", 33, 3);
		X33(B(j->pin, 5) && B(v, 3), "interruptibility.virtual-nmi");
	}
}

static void pending_debug(struct judge *j)
{
	const struct state *s = j->s;
	u64 v = GET(0x6822);

	X33(v & (s->caps.bus_lock ? 0xfffffffffffea7f0 : 0xfffffffffffeaff0), "pending-debug.reserved");
	if (B(GET(0x4824), 0) || B(GET(0x4824), 1) || GET(0x4826) == 1) {
		unsigned step = B(GET(0x6820), 8) && !B(GET(0x2802), 1);

		X33(step && !B(v, 14), "pending-debug.bs-missing");
		X33(!step && B(v, 14), "pending-debug.bs-extra");
	}
	if (B(v, 16)) {
		X33(!s->caps.rtm, "pending-debug.rtm");
		X33((v & ~0x10000ull) != 0x1000, "pending-debug.rtm-form");
		X33(B(GET(0x4824), 1), "pending-debug.rtm-mov-ss");
	}
}

static void link_pointer(struct judge *j)
{
	const struct state *s = j->s;
	u64 link = GET(0x2800), word = INPUT(VMX_IN_LINK_WORD);

	if (link + 1 == 0)
		return;
	FAIL_Q(j, bad_4k(s, link), "vmx.guest.link-pointer.address", 33, 4);
	if (!bad_4k(s, link))
		FAIL_Q(j, word % 0x80000000 != s->caps.basic % 0x80000000 || word >> 31 != B(j->sec, 14),
		       "vmx.guest.link-pointer.revision", 33, 4);
	FAIL_Q(j, link == (j->from_smm ? GET(0x200c) : INPUT(VMX_IN_CURRENT)), "vmx.guest.link-pointer.current", 33, 4);
}

/* ---- "Checks on Guest Page-Directory-Pointer-Table Entries" ---- */

static void pdptes(struct judge *j)
{
	const struct state *s = j->s;

	if (!B(GET(0x6800), 31) || !B(GET(0x6804), 5) || B(j->ent, 9))
		return;
	for (unsigned n = 0; n < 4; n++) {
		u64 v = s->in[VMX_IN_PDPTE0 - VMX_IN + n];

		FAIL_Q(j, B(v, 0) && ((v & 0x1e6) || beyond(s, v)), "vmx.guest.pdpte", 33, 2);
	}
}

static void controls_in_force(struct judge *j, const struct state *s)
{
	j->pin = GET(0x4000);
	j->proc = GET(0x4002);
	j->sec = B(j->proc, 31) ? GET(0x401e) : 0;
	j->ter = B(j->proc, 17) ? GET(0x2034) : 0;
}

static void execution(struct judge *j)
{
	j->invalid_control = j->from_smm ? 25 : 7;
	execution_reserved(j);
	execution_addresses(j);
	execution_apic(j);
	execution_ept(j);
	j->invalid_control = 7;
}

static void behind_execution(struct judge *j)
{
	exit_and_entry(j);
	injection(j);
	host_registers(j);
	host_segments(j);
	address_space(j);
	guest_registers(j);
	guest_segments(j);
	tables_rip_rflags(j);
	activity(j);
	interruptibility(j);
	pending_debug(j);
	link_pointer(j);
	pdptes(j);
}

static struct judge judge_of(const struct state *s, const struct state *x, struct verdict *out)
{
	struct judge j = {.s = s, .x = x, .out = out, .invalid_control = 7};

	memset(out, 0, sizeof(*out));
	j.xit = GET(0x400c);
	j.ent = GET(0x4012);
	j.from_smm = INPUT(VMX_IN_SMM) && !B(j.ent, 10);
	j.to_root = j.from_smm && GET(0x200c) == INPUT(VMX_IN_VMXON);
	return j;
}

void evaluate(const struct state *s, struct verdict *out)
{
	struct judge judge = judge_of(s, s, out), *j = &judge;

	controls_in_force(j, s);
	basic(j);
	executive_pointer(j);
	execution(j);
	behind_execution(j);
}

/* "Checks on VM-Execution Control Fields": to root operation none is made, otherwise those of the executive VMCS are looked
 * at. "Checks on the Guest State Area": as if all relevant VM-execution controls were 0, or as that VMCS has them. */
void evaluate_return(const struct state *s, const struct state *x, struct verdict *out)
{
	struct judge judge = judge_of(s, x, out), *j = &judge;

	if (!j->to_root)
		controls_in_force(j, x);
	basic(j);
	executive_pointer(j);
	if (!j->to_root)
		execution(j);
	behind_execution(j);
}
