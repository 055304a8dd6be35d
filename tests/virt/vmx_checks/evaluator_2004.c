/*
 * The checks of VM entry as the preliminary specification of 2004 has them (C97063, "Checks on Contents of the
 * Virtual-Machine Control Structure"), by a route of their own: each condition as that text states it, in its order; where
 * it says no more than that the state must be one that IA-32 and Intel EM64T know, as those manuals have it. It shares no
 * predicate with src/vmx and none with the evaluator of today's text; only the encodings of fields and the layout of the
 * cached VMCS are common. An id names the rule whose row must fail.
 */
#include "checks_test.h"

#define FIELD(enc) (s->f[vmcs_slot(enc)])
#define INPUT(x)   (s->in[(x)-VMX_IN])
#define BIT_OF(v, n) ((unsigned)((v) >> (n)) & 1u)

enum { WIDTH = 36, FAIL_ZF = 7, FAIL_HOST = 8, FAIL_GUEST = 33 };

static struct verdict *out;
static u64 named[MAX_IDS / 64];

static void judge_rule(int violated, unsigned n, u8 outcome, u8 qualification)
{
	named[n / 64] |= 1ull << (n % 64);
	if (!violated)
		return;
	out->ids[n / 64] |= 1ull << (n % 64);
	if (!out->outcome) {
		out->outcome = outcome;
		out->qualification = qualification;
	}
}

#define RULE(violated, id, outcome, qualification)                                                                     \
	do {                                                                                                           \
		static unsigned number = MAX_IDS;                                                                      \
		if (number == MAX_IDS)                                                                                 \
			number = id_number(id);                                                                        \
		judge_rule(violated, number, outcome, qualification);                                                  \
	} while (0)
#define CONTROL(violated, id) RULE(violated, "vmx.control." id, FAIL_ZF, 0)
#define HOST(violated, id)    RULE(violated, "vmx.host." id, FAIL_HOST, 0)
#define GUEST(violated, id)   RULE(violated, "vmx.guest." id, FAIL_GUEST, 0)

bool evaluator_knows(unsigned id)
{
	return named[id / 64] >> (id % 64) & 1;
}

/* ---- "Launch State of the Virtual-Machine Control Structure" ---- */

static void launch_state(const struct state *s)
{
	int resume = INPUT(VMX_IN_RESUME) != 0, launched = INPUT(VMX_IN_LAUNCHED) != 0;

	RULE(!resume && launched, "vmx.basic.not-clear", 4, 0);
	RULE(resume && !launched, "vmx.basic.not-launched", 5, 0);
}

/* ---- controls: tables 2-2 and the lists of 2.5.1, 2.6.1 and 2.7.1; the rest reserved, as the capability MSRs say ---- */

static int pin_wrong(u64 v)
{
	u64 free_bits = 1 << 0 | 1 << 3; /* external-interrupt exiting, NMI exiting */

	return (v & ~free_bits) != 0x16;
}

static int processor_wrong(u64 v)
{
	/* 2 virtual-interrupt pending, 3 TSC offsetting, 7 HLT, 9 INVLPG, 10 MWAIT, 11 RDPMC, 12 RDTSC, 19 and 20 CR8, 21 TPR
	 * shadow, 23 MOV DR, 24 and 25 I/O */
	static const u8 free_bits[] = {2, 3, 7, 9, 10, 11, 12, 19, 20, 21, 23, 24, 25};

	for (unsigned n = 0; n < sizeof(free_bits); n++)
		v &= ~(1ull << free_bits[n]);
	return v != 0x0401e172;
}

static int beyond(u64 address)
{
	return address >> WIDTH != 0;
}

static int page_wrong(u64 address)
{
	return (address & 0xfff) || beyond(address);
}

static int area_wrong(u64 address, u64 count)
{
	return count && ((address & 15) || beyond(address) || beyond(address + count * 16 - 1));
}

static bool controls_wrong(const struct state *s)
{
	u64 pin = FIELD(0x4000), proc = FIELD(0x4002), at_exit = FIELD(0x400c), at_entry = FIELD(0x4012);
	int wrong_exit = (at_exit & ~(1ull << 9 | 1ull << 15)) != 0x36dff, wrong_entry = (at_entry & ~(1ull << 9)) != 0x11ff;

	CONTROL(pin_wrong(pin), "pin.reserved");
	CONTROL(processor_wrong(proc), "proc.reserved");
	CONTROL(FIELD(0x400a) > 4, "cr3-targets");
	CONTROL(BIT_OF(proc, 25) && (page_wrong(FIELD(0x2000)) || page_wrong(FIELD(0x2002))), "io-bitmap");
	CONTROL(BIT_OF(proc, 21) && page_wrong(FIELD(0x2012)), "virtual-apic");
	CONTROL(wrong_exit, "exit.reserved");
	CONTROL(area_wrong(FIELD(0x2006), FIELD(0x400e)), "exit.msr-store");
	CONTROL(area_wrong(FIELD(0x2008), FIELD(0x4010)), "exit.msr-load");
	CONTROL(wrong_entry, "entry.reserved");
	CONTROL(area_wrong(FIELD(0x200a), FIELD(0x4014)), "entry.msr-load");
	return pin_wrong(pin) || processor_wrong(proc) || wrong_exit || wrong_entry;
}

/* Table 2-4: external interrupt, NMI, exception. An error code is delivered exactly for the exceptions that have one. */
static void injection(const struct state *s)
{
	u64 info = FIELD(0x4016);
	unsigned vector = (unsigned)info & 0xff, type = (unsigned)info >> 8 & 7, code = BIT_OF(info, 11), valid = BIT_OF(info, 31);
	int has_code = vector == 8 || vector == 17 || (vector > 9 && vector < 15);

	CONTROL(valid && (type == 1 || type > 3), "inject.type");
	CONTROL(valid && type == 2 && vector != 2, "inject.vector.nmi");
	CONTROL(valid && type == 3 && vector > 31, "inject.vector.exception");
	CONTROL(valid && type != 3 && code, "inject.error-flag.type");
	CONTROL(valid && type == 3 && has_code && !code, "inject.error-flag.missing");
	CONTROL(valid && type == 3 && !has_code && code, "inject.error-flag.extra");
	CONTROL(valid && (info & 0x7ffff000), "inject.reserved");
}

/* ---- host state ---- */

static int not_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) != address;
}

/* "Restrictions on VMX Operation": PE, NE, PG. Bits 63:32 are left alone by the transition. */
static int cr0_wrong(u64 v)
{
	return !BIT_OF(v, 0) || !BIT_OF(v, 5) || !BIT_OF(v, 31);
}

/* VMXE, and no bit that the processor of that time has not: VME to PCE, OSFXSR, OSXMMEXCPT. */
static int cr4_wrong(u64 v)
{
	return !BIT_OF(v, 13) || (v & ~0x27ffull);
}

static void host_state(const struct state *s)
{
	unsigned wide = BIT_OF(FIELD(0x400c), 9), guest_wide = BIT_OF(FIELD(0x4012), 9);
	int low_bits = 0, base = 0;

	for (unsigned n = 0; n < 7; n++)
		low_bits |= (FIELD(0x0c00 + 2 * n) & 7) != 0;
	for (unsigned n = 0; n < 5; n++)
		base |= not_canonical(FIELD(0x6c06 + 2 * n));
	HOST(cr0_wrong(FIELD(0x6c00)), "cr0.fixed");
	HOST(cr4_wrong(FIELD(0x6c04)), "cr4.fixed");
	HOST(beyond(FIELD(0x6c02)), "cr3");
	HOST(low_bits, "selector.rpl-ti");
	HOST(!FIELD(0x0c02) || !FIELD(0x0c0c) || (!FIELD(0x0c04) && !wide), "selector.null");
	HOST(base, "base");
	HOST(guest_wide && !INPUT(VMX_IN_LMA), "address-space.legacy-guest64");
	HOST(guest_wide && !wide, "address-space.host32-guest64");
	HOST(wide && !BIT_OF(FIELD(0x6c04), 5), "address-space.host64-pae");
	HOST(wide && not_canonical(FIELD(0x6c16)), "address-space.host64-rip");
	HOST(!wide && FIELD(0x6c16) >> 32, "address-space.host32-rip");
}

/* ---- guest state: what IA-32 and Intel EM64T know ---- */

static void guest_registers(const struct state *s)
{
	u64 cr0 = FIELD(0x6800), cr4 = FIELD(0x6804);
	unsigned wide = BIT_OF(FIELD(0x4012), 9);

	GUEST(cr0_wrong(cr0), "cr0.fixed");
	GUEST(BIT_OF(cr0, 31) && !BIT_OF(cr0, 0), "cr0.pg-without-pe");
	GUEST(cr4_wrong(cr4), "cr4.fixed");
	GUEST(FIELD(0x681a) >> 32 != 0, "dr7");
	GUEST(wide && !BIT_OF(cr0, 31), "ia32e.pg");
	GUEST(wide && !BIT_OF(cr4, 5), "ia32e.pae");
	GUEST(beyond(FIELD(0x6802)), "cr3");
}

/* Table 2-1: P = 0 is what makes a register unusable; bits 31:16 do not count, 11:8 are clear. */
struct register_ {
	u64 selector, base, limit;
	unsigned ar, type, dpl, usable;
};

static struct register_ segment(const struct state *s, unsigned n)
{
	struct register_ r = {.selector = FIELD(0x0800 + 2 * n), .base = FIELD(0x6806 + 2 * n), .limit = FIELD(0x4800 + 2 * n)};

	r.ar = (unsigned)FIELD(0x4814 + 2 * n) & 0xffff;
	r.type = r.ar & 15;
	r.dpl = r.ar >> 5 & 3;
	r.usable = r.ar >> 7 & 1;
	return r;
}

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };
enum { S = 1 << 4, RESERVED = 0xf00, L = 1 << 13, D = 1 << 14, G = 1 << 15 };

struct faults {
	int s, reserved, g_set, g_clear, accessed, readable, dpl;
};

static void common_faults(struct faults *f, const struct register_ *r)
{
	f->reserved |= (r->ar & RESERVED) != 0;
	f->g_set |= (r->ar & G) && (r->limit & 0xfff) != 0xfff;
	f->g_clear |= !(r->ar & G) && (r->limit & 0xfff00000);
}

static void data_faults(struct faults *f, const struct register_ *r)
{
	int code = r->type >= 8, conforming = code && (r->type & 4);

	f->accessed |= !(r->type & 1);
	f->readable |= code && !(r->type & 2);
	f->dpl |= !conforming && r->dpl < (r->selector & 3);
}

static void code_and_data(const struct state *s, const struct register_ *r, struct faults *f)
{
	unsigned wide = BIT_OF(FIELD(0x4012), 9), type = r[CS].type;
	int code = type == 9 || type == 11 || type == 13 || type == 15;

	for (unsigned n = ES; n <= GS; n++) {
		if (!r[n].usable && n != CS)
			continue;
		f->s |= !(r[n].ar & S);
		common_faults(f, &r[n]);
		if (n != CS && n != SS)
			data_faults(f, &r[n]);
	}
	GUEST(!code, "cs.type");
	GUEST(code && type < 12 && r[CS].dpl != r[SS].dpl, "cs.dpl");
	GUEST(code && type > 12 && r[CS].dpl > r[SS].dpl, "cs.dpl-conforming");
	GUEST(wide && (r[CS].ar & L) && (r[CS].ar & D), "cs.l-and-d");
	GUEST(!r[CS].usable, "segment.present");
	GUEST(r[SS].usable && r[SS].type != 3 && r[SS].type != 7, "ss.type");
	GUEST(r[SS].dpl != (r[SS].selector & 3), "ss.dpl");
	GUEST((r[CS].selector & 3) != (r[SS].selector & 3), "ss.rpl");
	GUEST(f->s, "segment.s");
	GUEST(f->reserved, "segment.reserved");
	GUEST(f->accessed, "data.accessed");
	GUEST(f->readable, "data.readable");
	GUEST(f->dpl, "data.dpl");
}

/* Virtual-8086 mode: base, limit and rights of all six are the mode's. */
static void virtual_8086(const struct register_ *r)
{
	int base = 0, limit = 0, rights = 0;

	for (unsigned n = ES; n <= GS; n++) {
		base |= r[n].base != r[n].selector << 4;
		limit |= r[n].limit != 0xffff;
		rights |= r[n].ar != 0xf3;
	}
	GUEST(base, "v86.base");
	GUEST(limit, "v86.limit");
	GUEST(rights, "v86.access-rights");
}

static void system_registers(const struct state *s, const struct register_ *r, struct faults *f)
{
	const struct register_ *tr = &r[TR], *ldtr = &r[LDTR];
	unsigned wide = BIT_OF(FIELD(0x4012), 9);

	common_faults(f, tr);
	GUEST((tr->ar & RESERVED) != 0, "tr.reserved");
	GUEST(tr->type != 11 && (wide || tr->type != 3), "tr.type");
	GUEST((tr->ar & S) != 0, "tr.s");
	GUEST(!tr->usable, "tr.present");
	GUEST(!tr->usable, "tr.unusable");
	GUEST((tr->selector & 4) != 0, "tr.ti");
	GUEST(ldtr->usable && (ldtr->selector & 4), "ldtr.ti");
	GUEST(ldtr->usable && ldtr->type != 2, "ldtr.type");
	GUEST(ldtr->usable && (ldtr->ar & S), "ldtr.s");
	GUEST(ldtr->usable && (ldtr->ar & RESERVED), "ldtr.reserved");
	if (ldtr->usable)
		common_faults(f, ldtr);
}

static void segments(const struct state *s)
{
	struct register_ r[8];
	struct faults f = {0}, system = {0};
	int v86 = (int)BIT_OF(FIELD(0x6820), 17), high = 0;

	for (unsigned n = 0; n < 8; n++)
		r[n] = segment(s, n);
	if (v86)
		virtual_8086(r);
	else
		code_and_data(s, r, &f);
	system_registers(s, r, &system);
	GUEST(f.g_set || system.g_set, "segment.g-set");
	GUEST(f.g_clear || system.g_clear, "segment.g-clear");
	for (unsigned n = ES; n <= DS; n++)
		high |= (r[n].usable || n == CS) && r[n].base >> 32;
	GUEST(high, "base.high");
	GUEST(not_canonical(r[TR].base) || not_canonical(r[FS].base) || not_canonical(r[GS].base) ||
	              (r[LDTR].usable && not_canonical(r[LDTR].base)),
	      "base.canonical");
}

static void the_rest(const struct state *s)
{
	u64 flags = FIELD(0x6820), rip = FIELD(0x681e), blocking = FIELD(0x4824);
	unsigned wide = BIT_OF(FIELD(0x4012), 9);
	int in64 = wide && (FIELD(0x4816) & L);
	u64 upper = rip >> 48;

	GUEST(not_canonical(FIELD(0x6816)), "gdtr.base");
	GUEST(not_canonical(FIELD(0x6818)), "idtr.base");
	GUEST(FIELD(0x4810) >> 16 != 0, "gdtr.limit");
	GUEST(FIELD(0x4812) >> 16 != 0, "idtr.limit");
	GUEST(!in64 && rip >> 32, "rip.high");
	GUEST(in64 && upper != 0 && upper != 0xffff, "rip.width");
	/* bits 63:22, 15, 5 and 3 are 0, bit 1 is 1 */
	GUEST(flags >> 22 || (flags & 0x8028) || !(flags & 2), "rflags.reserved");
	GUEST(BIT_OF(flags, 17) && wide, "rflags.vm-ia32e");
	/* "Interruptibility State": STI, MOV SS, SMI, NMI */
	GUEST(blocking >> 4 != 0, "interruptibility.reserved");
	GUEST((blocking & 3) == 3, "interruptibility.sti-mov-ss");
	GUEST(BIT_OF(blocking, 0) && !BIT_OF(flags, 9), "interruptibility.sti-if");
	GUEST(BIT_OF(blocking, 2), "interruptibility.smi"); /* no entry is made in SMM */
}

/* PAE outside IA-32e mode: the four entries at CR3. */
static void page_directory_pointers(const struct state *s)
{
	int pae = BIT_OF(FIELD(0x6800), 31) && BIT_OF(FIELD(0x6804), 5) && !BIT_OF(FIELD(0x4012), 9), wrong = 0;

	for (unsigned n = 0; n < 4; n++) {
		u64 entry = s->in[VMX_IN_PDPTE0 - VMX_IN + n];

		wrong |= (entry & 1) && ((entry & 0x1e6) || beyond(entry));
	}
	RULE(pae && wrong, "vmx.guest.pdpte", FAIL_GUEST, 0);
}

/* Also says whether reserved controls are as they must be. */
bool evaluate_2004(const struct state *s, struct verdict *verdict)
{
	bool wrong;

	out = verdict;
	memset(out, 0, sizeof(*out));
	launch_state(s);
	wrong = controls_wrong(s);
	injection(s);
	host_state(s);
	guest_registers(s);
	segments(s);
	the_rest(s);
	page_directory_pointers(s);
	return !wrong;
}
