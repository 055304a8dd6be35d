/*
 * Every row of the checks on a whole processor: the state in which it alone fails is put into the current VMCS and into
 * the places the checks look at, and VM entry must end as documented and name the check; put right, it must enter. And
 * what is not written again is not looked at again, but never at the cost of a check.
 */
#include "../../proved.h"
#include "../../unit/bare.h"
#include "checks_test.h"

static unsigned passed, failed;

static void check(bool ok, const char *what, const char *which)
{
	passed += ok;
	failed += !ok;
	if (!ok) {
		printf("FAILED: %s: %s\n", which, what);
		return;
	}
	proved_by(what);
	proved_by(which);
}

/* The monitor, in the mode the state asks for. */
static void monitor(struct cpu *c, bool lma)
{
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		c->seg[n] = (struct seg){.sel = 0x10, .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = ~0u};
	c->seg[SEG_CS] = (struct seg){.sel = 8, .ar = AR_P | AR_S | 11 | AR_G | (lma ? AR_L : AR_DB), .limit = ~0u};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE | CR4_VMXE;
	c->cr3 = 0x1000;
	c->efer = EFER_NXE | EFER_SCE | (lma ? EFER_LME | EFER_LMA : 0);
	c->cpl = 0;
	c->virt_root = true;
	c->guest = false;
	c->activity = ACT_RUN;
	c->stop = CPU_GO;
	cpu_update_mode(c);
}

static bool in_ram(u64 pa)
{
	return pa < BARE_RAM && is_aligned(pa, PAGE_SIZE);
}

static void put_memory(struct pc *p, const struct state *s)
{
	u64 link = s->f[vmcs_slot(VMCS_LINK_POINTER)], page = s->f[vmcs_slot(VMCS_VIRTUAL_APIC_ADDR)];
	u64 cr3 = s->f[vmcs_slot(VMCS_GUEST_CR3)] & 0xffffffe0;

	if (in_ram(link))
		bus_write_u32(&p->bus, link, (u32)s->in[VMX_IN_LINK_WORD - VMX_IN]);
	if (in_ram(page))
		bus_write_u32(&p->bus, page + 0x80, (u32)s->in[VMX_IN_VTPR - VMX_IN]);
	for (unsigned n = 0; n < 4; n++) {
		if (cr3 < BARE_RAM)
			bus_write_u64(&p->bus, cr3 + 8 * n, s->in[VMX_IN_PDPTE0 - VMX_IN + n]);
		vmx_of(p->c)->f[vmcs_slot(VMCS_GUEST_PDPTE0) + n] = s->in[VMX_IN_PDPTE0 - VMX_IN + n];
	}
}

/* The executive VMCS: the merged one, as far as it is that. */
static void put_executive(struct pc *p, const struct state *s)
{
	u64 pa = s->f[vmcs_slot(VMCS_EXECUTIVE_VMCS)], f[VMCS_SLOTS];

	vmx_of(p->c)->vmxon_pa = s->in[VMX_IN_VMXON - VMX_IN];
	if (!in_ram(pa) || !returns_from_smm(s))
		return;
	memcpy(f, s->f, sizeof(f));
	f[vmcs_slot(VMCS_EXIT_CONTROLS)] = s->in[VMX_IN_EXEC_EXIT - VMX_IN];
	for (unsigned n = 0; n < VMCS_SLOTS; n++)
		bus_write_u64(&p->bus, pa + VMCS_REGION_FIELDS + 8 * n, f[n]);
	bus_write_u32(&p->bus, pa, (u32)s->in[VMX_IN_EXEC_WORD - VMX_IN]);
	bus_write_u32(&p->bus, pa + VMCS_REGION_LAUNCHED, (u32)s->in[VMX_IN_EXEC_LAUNCHED - VMX_IN]);
}

static void put(struct pc *p, const struct state *s)
{
	struct vmx *v = vmx_of(p->c);

	monitor(p->c, s->in[VMX_IN_LMA - VMX_IN] != 0);
	memcpy(v->f, s->f, sizeof(v->f));
	v->current = s->in[VMX_IN_CURRENT - VMX_IN];
	v->launched = s->in[VMX_IN_LAUNCHED - VMX_IN];
	p->c->insn_shadow = s->in[VMX_IN_MOVSS - VMX_IN] ? SHADOW_MOVSS : 0;
	p->c->smm = s->in[VMX_IN_SMM - VMX_IN] != 0;
	put_memory(p, s);
	put_executive(p, s);
	/* no MSR of the areas is loaded: the checks come before them */
	vmcs_set(v, VMCS_INSN_ERROR, 0);
	vmcs_set(v, VMCS_EXIT_REASON, 0);
	vmcs_set(v, VMCS_EXIT_QUALIFICATION, 0);
	p->refused = NULL;
}

static void enter(struct pc *p, const struct state *s)
{
	static const struct insn insn = {.len = 3};

	bool resume = s->in[VMX_IN_RESUME - VMX_IN] != 0;

	check((returns_from_smm(s) ? vmx_smm_return : vmx_enter)(p->c, &insn, resume) == XR_OK, "completes", "vmx_enter");
}

/* In the guest, or, where an entry returns from SMM, outside SMM. */
static bool entered(const struct pc *p, const struct state *s)
{
	bool root = s->f[vmcs_slot(VMCS_EXECUTIVE_VMCS)] == s->in[VMX_IN_VMXON - VMX_IN];

	return returns_from_smm(s) ? !p->c->smm && p->c->guest == !root : p->c->guest;
}

/* Back to the monitor after an entry that succeeded. */
static void leave(struct pc *p)
{
	vmx_timer_stop(p->c);
	p->c->guest = p->c->stage2 = p->c->mtf = false;
	p->c->pend = 0;
	p->c->inject.type = EV_NONE;
	p->c->space = 0;
}

static void refused_as_documented(struct pc *p, const struct vmx_check *k, bool smm, const char *which)
{
	const struct expectation *e = &expected[id_number(k->id)];
	struct vmx *v = vmx_of(p->c);

	check(!p->c->guest && p->c->smm == smm, "does not enter", which);
	check(p->refused && !strcmp(p->refused, k->id), "names the check", which);
	if (e->outcome == 33) {
		check(vmcs_get(v, VMCS_EXIT_REASON) == (33 | BIT(31)), "exit reason 33", which);
		check(vmcs_get(v, VMCS_EXIT_QUALIFICATION) == e->qualification, "qualification", which);
		check(p->c->r[REG_RIP] == vmcs_get(v, VMCS_HOST_RIP), "continues at host RIP", which);
		check(strstr(p->event, "exit reason 0x80000021") != NULL, "says exit reason 33", which);
	} else {
		char words[16];

		snprintf(words, sizeof(words), "error %u:", e->outcome);
		check(vmcs_get(v, VMCS_INSN_ERROR) == e->outcome, "VM-instruction error", which);
		check((flags_get(p->c) & (FL_CF | FL_ZF)) == FL_ZF, "VMfailValid", which);
		check(vmcs_get(v, VMCS_EXIT_REASON) == 0, "no exit", which);
		check(strstr(p->event, words) != NULL, "says the error", which);
	}
}

static bool one_row(struct pc *p, const struct table *t, size_t row, const struct vmx_caps *caps)
{
	static struct state bad, good;
	struct vmx *v = vmx_of(p->c);
	unsigned changed;
	char which[160];

	if (!find_alone(t, caps, row, &bad, &good, &changed))
		return false;
	snprintf(which, sizeof(which), "%s (field %04x)", t->row[row]->id, t->row[row]->field[0]);
	/* 1: everything is looked at */
	v->checked = 0;
	put(p, &bad);
	enter(p, &bad);
	refused_as_documented(p, t->row[row], bad.in[VMX_IN_SMM - VMX_IN] != 0, which);
	/* 2: put right */
	put(p, &good);
	vmcs_set(v, VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	enter(p, &good);
	check(entered(p, &good) && !p->refused, "enters when put right", which);
	leave(p);
	if (returns_from_smm(&good)) /* nothing is taken as known */
		goto proved;
	/* 3: after that entry, one VMWRITE of the same field makes it fail again */
	put(p, &good);
	check(v->checked != 0, "groups that passed are known", which);
	put(p, &bad);
	if (changed < VMX_IN)
		vmcs_written(v, changed);
	vmcs_written(v, VMCS_ENTRY_MSR_LOAD_COUNT);
	enter(p, &bad);
	refused_as_documented(p, t->row[row], bad.in[VMX_IN_SMM - VMX_IN] != 0, which);
proved:
	if (!failed && expected[t->id[row]].proves)
		proved(expected[t->id[row]].proves);
	return true;
}

/* ---- what entry loads and exit stores, field by field ---- */

struct register_row {
	u16 guest, host; /* 0: none */
	u32 offset;
	u8 width;
	const char *name;
};
#define REG(guest_, host_, member, name_)                                                                              \
	{                                                                                                              \
		guest_, host_, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member), name_                  \
	}
/* clang-format off */
static const struct register_row registers[] = {
	REG(0x6800, 0x6c00, cr0, REQ("vmx04.2.3.1.1 vmx04.2.4.1") "CR0"),
	REG(0x6802, 0x6c02, cr3, REQ("vmx04.2.3.1.2 vmx04.2.4.2") "CR3"),
	REG(0x6804, 0x6c04, cr4, REQ("vmx04.2.3.1.3 vmx04.2.4.3") "CR4"),
	REG(0x681a, 0, dr7, REQ("vmx04.2.3.1.4") "DR7"),
	REG(0x681c, 0x6c14, r[REG_RSP], REQ("vmx04.2.3.1.5 vmx04.2.4.4") "RSP"),
	REG(0x681e, 0x6c16, r[REG_RIP], REQ("vmx04.2.3.1.6 vmx04.2.4.5") "RIP"),
	REG(0x6820, 0, rflags, REQ("vmx04.2.3.1.7") "RFLAGS"),
	REG(0x0802, 0x0c02, seg[SEG_CS].sel, REQ("vmx04.2.3.1.8 vmx04.2.4.6") "CS"),
	REG(0x0804, 0x0c04, seg[SEG_SS].sel, REQ("vmx04.2.3.1.9 vmx04.2.4.7") "SS"),
	REG(0x0806, 0x0c06, seg[SEG_DS].sel, REQ("vmx04.2.3.1.10 vmx04.2.4.8") "DS"),
	REG(0x0800, 0x0c00, seg[SEG_ES].sel, REQ("vmx04.2.3.1.11 vmx04.2.4.9") "ES"),
	REG(0x0808, 0x0c08, seg[SEG_FS].sel, REQ("vmx04.2.3.1.12 vmx04.2.4.10") "FS"),
	REG(0x080a, 0x0c0a, seg[SEG_GS].sel, REQ("vmx04.2.3.1.13 vmx04.2.4.11") "GS"),
	REG(0x080c, 0, seg[SEG_LDTR].sel, REQ("vmx04.2.3.1.14 vmx04.2.3.1.37") "LDTR"),
	REG(0x080e, 0x0c0c, seg[SEG_TR].sel, REQ("vmx04.2.3.1.15 vmx04.2.4.12 vmx04.2.4.19") "TR"),
	REG(0x6806, 0, seg[SEG_ES].base, "ES base"), REG(0x6808, 0, seg[SEG_CS].base, "CS base"),
	REG(0x680a, 0, seg[SEG_SS].base, "SS base"), REG(0x680c, 0, seg[SEG_DS].base, "DS base"),
	REG(0x680e, 0x6c06, seg[SEG_FS].base, REQ("vmx04.2.4.13") "FS base"),
	REG(0x6810, 0x6c08, seg[SEG_GS].base, REQ("vmx04.2.4.14") "GS base"),
	REG(0x6812, 0, seg[SEG_LDTR].base, "LDTR base"),
	REG(0x6814, 0x6c0a, seg[SEG_TR].base, REQ("vmx04.2.4.15 vmx04.2.3.1.40 vmx04.2.4.20") "TR base"),
	REG(0x6816, 0x6c0c, gdtr.base, REQ("vmx04.2.3.1.33 vmx04.2.4.16") "GDTR base"),
	REG(0x6818, 0x6c0e, idtr.base, REQ("vmx04.2.3.1.35 vmx04.2.4.17") "IDTR base"),
	REG(0x4810, 0, gdtr.limit, REQ("vmx04.2.3.1.34") "GDTR limit"),
	REG(0x4812, 0, idtr.limit, REQ("vmx04.2.3.1.36") "IDTR limit"),
	REG(0x4800, 0, seg[SEG_ES].limit, "ES limit"), REG(0x4802, 0, seg[SEG_CS].limit, "CS limit"),
	REG(0x4804, 0, seg[SEG_SS].limit, "SS limit"), REG(0x4806, 0, seg[SEG_DS].limit, "DS limit"),
	REG(0x4808, 0, seg[SEG_FS].limit, "FS limit"), REG(0x480a, 0, seg[SEG_GS].limit, "GS limit"),
	REG(0x480c, 0, seg[SEG_LDTR].limit, "LDTR limit"), REG(0x480e, 0, seg[SEG_TR].limit, REQ("vmx04.2.3.1.38") "TR limit"),
	REG(0x4814, 0, seg[SEG_ES].ar, REQ("vmx04.2.3.1.26") "ES rights"), REG(0x4816, 0, seg[SEG_CS].ar, "CS rights"),
	REG(0x4818, 0, seg[SEG_SS].ar, "SS rights"), REG(0x481a, 0, seg[SEG_DS].ar, "DS rights"),
	REG(0x481c, 0, seg[SEG_FS].ar, "FS rights"), REG(0x481e, 0, seg[SEG_GS].ar, "GS rights"),
	REG(0x4820, 0, seg[SEG_LDTR].ar, "LDTR rights"), REG(0x4822, 0, seg[SEG_TR].ar, REQ("vmx04.2.3.1.39") "TR rights"),
	REG(0x482a, 0x4c00, sysenter_cs, REQ("vmx04.2.3.1.41.now") "IA32_SYSENTER_CS"),
	REG(0x6824, 0x6c10, sysenter_esp, "IA32_SYSENTER_ESP"), REG(0x6826, 0x6c12, sysenter_eip, "IA32_SYSENTER_EIP"),
	REG(0x2806, 0, efer, "IA32_EFER"),
};
/* clang-format on */

static u64 register_value(const struct cpu *c, const struct register_row *r)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)c + r->offset, r->width);
	return value;
}

/* Every field a value of its own, as far as the checks let it. */
static void distinct_state(struct state *s)
{
	for (unsigned n = 0; n < 8; n++) {
		s->f[vmcs_slot(VMCS_GUEST_ES_SEL) + n] = 0x100 + 8 * n;
		s->f[vmcs_slot(VMCS_GUEST_ES_LIMIT) + n] = 0x12fff + 0x1000 * n;
		s->f[vmcs_slot(VMCS_GUEST_ES_BASE) + n] = 0x10000 + 0x100 * n;
		s->f[vmcs_slot(VMCS_HOST_ES_SEL) + (n < 7 ? n : 0)] = 0x200 + 8 * (n < 7 ? n : 0);
	}
	s->f[vmcs_slot(VMCS_GUEST_ES_AR)] |= AR_AVL;
	s->f[vmcs_slot(VMCS_GUEST_CR0)] |= CR0_AM | CR0_MP;
	s->f[vmcs_slot(VMCS_GUEST_CR3)] = 0x5000;
	s->f[vmcs_slot(VMCS_GUEST_CR4)] |= CR4_PGE | CR4_OSFXSR;
	s->f[vmcs_slot(VMCS_GUEST_DR7)] = 0x401;
	s->f[vmcs_slot(VMCS_GUEST_RSP)] = 0x1234567890;
	s->f[vmcs_slot(VMCS_GUEST_RIP)] = 0xffff800000001000;
	s->f[vmcs_slot(VMCS_GUEST_RFLAGS)] = 0x4c97;
	s->f[vmcs_slot(VMCS_GUEST_GDTR_BASE)] = 0xffff800000002000;
	s->f[vmcs_slot(VMCS_GUEST_IDTR_BASE)] = 0xffff800000003000;
	s->f[vmcs_slot(VMCS_GUEST_SYSENTER_CS)] = 0x60;
	s->f[vmcs_slot(VMCS_GUEST_SYSENTER_ESP)] = 0xffff800000004000;
	s->f[vmcs_slot(VMCS_GUEST_SYSENTER_EIP)] = 0xffff800000005000;
	for (unsigned n = VMCS_HOST_FS_BASE; n <= VMCS_HOST_RIP; n += 2)
		s->f[vmcs_slot(n)] = 0xffff900000000000 + 0x1000 * n;
	s->f[vmcs_slot(VMCS_HOST_SYSENTER_CS)] = 0x70;
	s->f[vmcs_slot(VMCS_ENTRY_INTR_INFO)] = 0;
	s->f[vmcs_slot(VMCS_EXIT_CONTROLS)] |= EXIT_SAVE_DEBUG | EXIT_SAVE_EFER;
}

static void test_registers(struct pc *p, const struct vmx_caps *caps)
{
	static const struct insn_row row = {.form = "CPUID"};
	static const struct insn cpuid = {.len = 2, .row = &row};
	static struct state s;
	struct exit_request x = {.id = ICPT_CPUID, .insn = &cpuid};
	struct vmx *v = vmx_of(p->c);

	template_state(10, caps, &s);
	distinct_state(&s);
	v->checked = 0;
	put(p, &s);
	enter(p, &s);
	check(p->c->guest && !p->refused, "enters", "distinct state");
	for (unsigned n = 0; n < ARRAY_LEN(registers); n++)
		check(register_value(p->c, &registers[n]) == s.f[vmcs_slot(registers[n].guest)], "loaded by VM entry",
		      registers[n].name);
	check((p->c->efer & (EFER_LMA | EFER_LME)) == (EFER_LMA | EFER_LME), REQ("vmx04.2.7.1.2") "IA-32e mode guest",
	      "EFER");
	vmx_exit(p->c, &x);
	for (unsigned n = 0; n < ARRAY_LEN(registers); n++) {
		const struct register_row *r = &registers[n];

		check(v->f[vmcs_slot(r->guest)] == s.f[vmcs_slot(r->guest)], "stored by VM exit", r->name);
		if (r->host && r->host != VMCS_HOST_CR0)
			check(register_value(p->c, r) == s.f[vmcs_slot(r->host)], "loaded by VM exit", r->name);
		if (r->host)
			check(v->f[vmcs_slot(r->host)] == s.f[vmcs_slot(r->host)], REQ("vmx04.2.2.1") "host state stays",
			      r->name);
	}
	check((p->c->cr0 & 0xe005003f) == (s.f[vmcs_slot(VMCS_HOST_CR0)] & 0xe005003f), "loaded by VM exit", "CR0");
	check(flags_get(p->c) == 2, "host RFLAGS", "RFLAGS");
	check(!vmx_field_exists(vmx_caps(p->c), 0x0c0e), REQ("vmx04.2.4.18") "no host LDTR", "fields");
	leave(p);
}

/* The PDPTEs that were checked are those the guest gets; bits 4:0 of CR3 are no address. */
static void test_pdptes(struct pc *p, const struct vmx_caps *caps)
{
	static struct state s;

	for (u64 low = 0; low < 0x20; low = low * 2 + 1) {
		template_state(4, caps, &s);
		s.f[vmcs_slot(VMCS_ENTRY_MSR_LOAD_COUNT)] = 0;
		s.f[vmcs_slot(VMCS_GUEST_CR3)] |= low;
		vmx_of(p->c)->checked = 0;
		put(p, &s);
		enter(p, &s);
		check(p->c->guest && !p->refused, "enters", "PAE paging");
		for (unsigned n = 0; n < 4; n++)
			check(p->c->pdpte[n] == s.in[VMX_IN_PDPTE0 - VMX_IN + n], "loaded", "PDPTE");
		leave(p);
	}
}

/* A VM exit writes CR0, and the monitor may change its mode: what stood against another value is looked at again. */
static void test_changed_modes(struct pc *p, const struct table *t, const struct vmx_caps *caps)
{
	unsigned refused = 0;

	for (unsigned n = 0; n < TEMPLATES; n++)
		for (unsigned bit = 0; bit < 64; bit++) {
			static struct state s;
			size_t only;
			bool bad;

			template_state(n, caps, &s);
			if (failing_rows(t, &s, &only))
				continue;
			vmx_of(p->c)->checked = 0;
			s.f[vmcs_slot(VMCS_ENTRY_MSR_LOAD_COUNT)] = 0;
			put(p, &s);
			enter(p, &s);
			leave(p);
			if (bit == 63)
				s.in[VMX_IN_LMA - VMX_IN] ^= 1;
			else
				s.f[vmcs_slot(VMCS_GUEST_CR0)] ^= BIT(bit);
			bad = failing_rows(t, &s, &only) != 0;
			put(p, &s);
			enter(p, &s);
			check(entered(p, &s) == !bad, "another mode", bit == 63 ? "EFER.LMA of the monitor" : "CR0 of the guest");
			refused += bad;
			leave(p);
		}
	check(refused > 100, "some are refused", "another mode");
}

/* What the table of controls says is what software reads. */
static void test_capability_msrs(struct pc *p)
{
	static const struct {
		u32 index;
		u8 word, shift;
	} msrs[] = {{0x481, VMX_PIN, 32},   {0x482, VMX_PROC, 32}, {0x483, VMX_EXIT, 32}, {0x484, VMX_ENTRY, 32},
	            {0x48b, VMX_PROC2, 32}, {0x48d, VMX_PIN, 32},  {0x48e, VMX_PROC, 32}, {0x48f, VMX_EXIT, 32},
	            {0x490, VMX_ENTRY, 32}, {0x492, VMX_PROC3, 0}};

	for (size_t n = 0; n < ARRAY_LEN(msrs); n++) {
		u64 value;

		if (!msr_read(p->c, msrs[n].index, &value))
			continue;
		for (size_t k = 0; k < vmx_control_count; k++) {
			const struct vmx_control *e = &vmx_controls[k];

			if (e->word == msrs[n].word)
				check((value >> (msrs[n].shift + e->bit) & 1) == e->here, "is reported as it is",
				      e->name);
		}
	}
	if (!failed)
		proved("vmx04.1.6.3.now");
}

int main(void)
{
	static struct table t;
	struct pc p;
	unsigned on = 0, absent = 0;

	fill_table(&t);
	if (!bare_init(&p, "intel")) {
		printf("no processor\n");
		return 1;
	}
	monitor(p.c, true);
	const struct vmx_caps caps = *vmx_caps(p.c);

	for (size_t row = 0; row < t.count; row++) {
		if (one_row(&p, &t, row, &caps)) {
			on++;
		} else if (!t.row[row]->implied_by) {
			absent++;
			printf("note: %s (field %04x) needs what this processor does not have\n", t.row[row]->id,
			       t.row[row]->field[0]);
		}
	}
	test_registers(&p, &caps);
	test_pdptes(&p, &caps);
	test_changed_modes(&p, &t, &caps);
	test_capability_msrs(&p);
	check(caps.debugctl && msr_write(p.c, 0x1d9, caps.debugctl), "every bit may be set", "IA32_DEBUGCTL");
	check(msr_write(p.c, 0x38f, caps.perf_global), "every bit may be set", "IA32_PERF_GLOBAL_CTRL");
	for (unsigned n = 0; n < 64; n++) {
		check(msr_write(p.c, 0x1d9, BIT(n)) == (caps.debugctl >> n & 1), "reserved bits", "IA32_DEBUGCTL");
		check(msr_write(p.c, 0x38f, BIT(n)) == (caps.perf_global >> n & 1), "reserved bits",
		      "IA32_PERF_GLOBAL_CTRL");
	}
	bare_fini(&p);
	printf("%u rows on the processor, %u need what it does not have\n", on, absent);
	proved_report(passed + failed, 0);
	printf("vmx_entry: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
