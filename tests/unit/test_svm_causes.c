/*
 * Every row of the causes for which an instruction of SVM fails, triggered by a few bytes of code: the row that whoever
 * listens is told of, and what the processor does, from "SVM Instruction Set Reference" and the MSRs' own sections. On
 * today's processor, and where 2005's differs on that.
 */
#include "report.h"
#include "svm_guest.h"

enum { IN_HOST, IN_GUEST, IN_NESTED }; /* nested: nested paging and virtual VMLOAD and VMSAVE */
enum { GOES_ON = 0, UD = 6, GP = 13 };
enum { EXIT_UD = 0x46, EXIT_GP = 0x4d };

struct snippet {
	const char *id, *model;
	u8 where, vector;
	void (*set)(struct pc *p);
	u64 rax, rcx, rdx;
	const char *code; /* three bytes */
	const char *shows; /* the culprit: name, value, words */
};

/* ---- what the tests are told ---- */

static struct told {
	unsigned times;
	char check[64], shows[256], event[96], note[64];
	u64 rip, guest, code;
	enum refusal_kind kind;
} told;

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	const struct check_field *f = &r->field[0];

	(void)arg, (void)c;
	told.times++;
	snprintf(told.check, sizeof(told.check), "%s", r->check);
	snprintf(told.event, sizeof(told.event), "%s", r->event);
	if (r->fields)
		snprintf(told.shows, sizeof(told.shows), "%s %llx %s", f->name, (unsigned long long)f->value, f->decoded);
	if (r->lines)
		snprintf(told.note, sizeof(told.note), "%s %.48s", r->line[0].label, r->line[0].text);
	told.kind = r->kind;
	told.rip = r->rip;
	told.guest = r->guest;
	told.code = r->code;
	assert_true(r->rule[0] && r->manual[0] && r->then[0]);
}

static struct event first; /* exception that is delivered; EV_NONE: none yet */

static void deliver(void *arg, struct cpu *c, const struct event *e)
{
	(void)arg, (void)c;
	if (first.type == EV_NONE)
		first = *e;
}

/* ---- processors ---- */

static void segments(struct cpu *c, u32 data, u32 code)
{
	for (unsigned n = 0; n < 6; n++)
		c->seg[n] = (struct seg){.base = HOST_CODE, .limit = 0xffff, .ar = n == SEG_CS ? code : data};
	c->efer &= ~(u64)(EFER_LME | EFER_LMA);
	c->cr4 = 0;
}

static void real(struct pc *p)
{
	segments(p->c, 0x93, 0x9b);
	p->c->cr0 = CR0_ET;
}

static void v86(struct pc *p)
{
	segments(p->c, 0xf3, 0xf3);
	p->c->cr0 = CR0_PE | CR0_ET;
	p->c->rflags |= FL_VM;
	p->c->cpl = 3;
}

static void user(struct pc *p)
{
	p->c->cpl = 3;
	p->c->seg[SEG_CS].ar |= 0x60;
	p->c->seg[SEG_SS].ar |= 0x60;
}

static void no_svme(struct pc *p)
{
	p->c->efer &= ~(u64)EFER_SVME;
}

static void no_hsave(struct pc *p)
{
	p->c->vm_hsave_pa = 0;
}

static void svm_disabled(struct pc *p)
{
	no_svme(p);
	p->c->vm_cr = BIT(4);
}

static void smm_locked(struct pc *p)
{
	p->c->hwcr |= 1;
}

static void not_bootstrap(struct pc *p)
{
	p->c->apic.base &= ~BIT(8);
}

static void guest_takes(struct pc *p)
{
	vmcb_of(p)->control.nested_ctl = 0x80;
}

static void guest_user(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);

	v->control.nested_ctl |= 0x80;
	v->save.cpl = 3;
	v->save.cs.attrib |= 0x60;
	v->save.ss.attrib |= 0x60;
}

static void not_intercepted(struct pc *p)
{
	vmcb_of(p)->control.icpt[4] = ICPT_4_VMRUN;
}

/* ---- rows ---- */

/* clang-format off */
#define VMRUN   "\x0f\x01\xd8"
#define VMMCALL "\x0f\x01\xd9"
#define VMLOAD  "\x0f\x01\xda"
#define VMSAVE  "\x0f\x01\xdb"
#define STGI    "\x0f\x01\xdc"
#define CLGI    "\x0f\x01\xdd"
#define SKINIT  "\x0f\x01\xde"
#define INVLPGA "\x0f\x01\xdf"
#define INVLPGB "\x0f\x01\xfe"
#define TLBSYNC "\x0f\x01\xff"
#define RDMSR   "\x0f\x32"
#define WRMSR   "\x0f\x30"
#define RSM     "\x0f\xaa"
#define SVM_PROTECTED(id, insn) \
	{id ".protected-mode", "amd", IN_HOST, UD, real, .code = insn, .shows = "CR0 10 ET; PE 0"}, \
	{id ".protected-mode", "pacifica", IN_HOST, UD, v86, .code = insn, .shows = "CR0 11 PE ET"}
#define SVM_GATED(id, insn) \
	{id ".absent", "amd,-svm", IN_HOST, UD, NULL, .code = insn}, \
	SVM_PROTECTED(id, insn), \
	{id ".efer-svme", "amd", IN_HOST, UD, no_svme, .code = insn, .shows = "EFER d01 SCE LME LMA NXE; SVME 0"}, \
	{id ".efer-svme", "pacifica", IN_HOST, UD, no_svme, .code = insn}, \
	{id ".cpl", "amd", IN_HOST, GP, user, .code = insn, .shows = "CPL 3 "}, \
	{id ".cpl", "pacifica", IN_HOST, GP, user, .code = insn}, \
	{id ".cpl", "amd", IN_GUEST, GP, guest_user, .code = insn}
#define SVM_ADDRESSED(id, insn) \
	{id ".address-aligned", "amd", IN_HOST, GP, NULL, 0x10010, .code = insn, .shows = "rAX 10010 bit 4 must be 0"}, \
	{id ".address-aligned", "pacifica", IN_HOST, GP, NULL, 0x10801, .code = insn, .shows = "rAX 10801 bits 0 11 must be 0"}, \
	{id ".address-width", "amd", IN_HOST, GP, NULL, 1ull << 48, .code = insn, .shows = "rAX 1000000000000 bit 48 must be 0, 48 physical address bits"}, \
	{id ".address-width", "pacifica", IN_HOST, GP, NULL, 1ull << 40, .code = insn, .shows = "rAX 10000000000 bit 40 must be 0, 40 physical address bits"}

static const struct snippet snippets[] = {
	SVM_GATED("svm.vmrun", VMRUN), SVM_ADDRESSED("svm.vmrun", VMRUN),
	{"svm.vmrun.hsave-pa", "amd", IN_HOST, GP, no_hsave, VMCB_PA, .code = VMRUN, .shows = "VM_HSAVE_PA 0 "},
	/* 2005: "Checks exceptions (#GP) before the intercept" */
	{"svm.vmrun.address-aligned", "pacifica", IN_GUEST, GP, NULL, 0x10010, .code = VMRUN},
	SVM_GATED("svm.vmload", VMLOAD), SVM_ADDRESSED("svm.vmload", VMLOAD),
	{"svm.vmload.virtual-aligned", "amd", IN_NESTED, GP, NULL, 0x10008, .code = VMLOAD, .shows = "rAX 10008 bit 3 must be 0"},
	{"svm.vmload.virtual-width", "amd", IN_NESTED, GP, NULL, 1ull << 50, .code = VMLOAD, .shows = "rAX 4000000000000 bit 50 must be 0, 48 physical address bits"},
	{"svm.vmload.address-aligned", "amd", IN_GUEST, GP, NULL, 0x10008, .code = VMLOAD},
	SVM_GATED("svm.vmsave", VMSAVE), SVM_ADDRESSED("svm.vmsave", VMSAVE),
	{"svm.vmsave.virtual-aligned", "amd", IN_NESTED, GP, NULL, 0x10800, .code = VMSAVE, .shows = "rAX 10800 bit 11 must be 0"},
	{"svm.vmsave.virtual-width", "amd", IN_NESTED, GP, NULL, 1ull << 63, .code = VMSAVE, .shows = "rAX 8000000000000000 bit 63 must be 0, 48 physical address bits"},

	{"svm.vmmcall.absent", "amd,-svm", IN_HOST, UD, NULL, .code = VMMCALL},
	{"svm.vmmcall.absent", "amd,-svm", IN_HOST, UD, real, .code = VMMCALL},
	{"svm.vmrun.absent", "amd,-svm", IN_HOST, UD, v86, .code = VMRUN},
	{"svm.stgi.absent", "amd,-svm", IN_HOST, UD, NULL, .code = STGI},
	{"svm.skinit.absent", "amd,-skinit", IN_HOST, UD, NULL, .code = SKINIT},
	{"svm.invlpgb.absent", "amd,-invlpgb", IN_HOST, UD, NULL, .code = INVLPGB},
	{"svm.tlbsync.absent", "amd,-invlpgb", IN_HOST, UD, NULL, .code = TLBSYNC},
	{"svm.vmmcall.efer-svme", "amd", IN_HOST, UD, no_svme, .code = VMMCALL},
	{"svm.vmmcall.efer-svme", "pacifica", IN_HOST, UD, no_svme, .code = VMMCALL},
	{"svm.vmmcall.intercept", "amd", IN_HOST, UD, NULL, .code = VMMCALL},
	{"svm.vmmcall.intercept", "amd", IN_HOST, UD, real, .code = VMMCALL},
	{"svm.vmmcall.intercept", "amd", IN_HOST, UD, v86, .code = VMMCALL},
	{"svm.invlpgb.cpl", "amd", IN_HOST, GP, v86, .code = INVLPGB},
	{"svm.vmmcall.intercept", "pacifica", IN_HOST, UD, user, .code = VMMCALL},
	{"svm.vmmcall.intercept", "amd", IN_GUEST, UD, not_intercepted, .code = VMMCALL, .shows = "VMCB+0x010 intercepts, word 4 1 VMRUN"},
	{"svm.vmmcall.intercept", "pacifica", IN_GUEST, UD, not_intercepted, .code = VMMCALL},

	/* "STGI and SKINIT": where SKINIT is announced they ask for no EFER.SVME */
	SVM_PROTECTED("svm.stgi", STGI),
	{"svm.stgi.efer-svme", "pacifica", IN_HOST, UD, no_svme, .code = STGI},
	{"svm.stgi.efer-svme", "amd,-skinit", IN_HOST, UD, no_svme, .code = STGI},
	{"svm.stgi.cpl", "amd", IN_HOST, GP, user, .code = STGI},
	{"svm.stgi.cpl", "pacifica", IN_HOST, GP, user, .code = STGI},
	SVM_GATED("svm.clgi", CLGI), SVM_GATED("svm.invlpga", INVLPGA),
	SVM_PROTECTED("svm.skinit", SKINIT),
	{"svm.skinit.efer-svme", "pacifica", IN_HOST, UD, no_svme, .code = SKINIT},
	{"svm.skinit.cpl", "amd", IN_HOST, GP, user, .code = SKINIT},
	{"svm.skinit.cpl", "pacifica", IN_GUEST, GP, guest_user, .code = SKINIT},
	{"svm.skinit.processors", "amd", IN_HOST, GOES_ON, not_bootstrap, 0x320000, .code = SKINIT, .shows = "processor 0 not the bootstrap processor"},
	{"svm.skinit.processors", "pacifica", IN_HOST, GOES_ON, not_bootstrap, 0x320000, .code = SKINIT},

	{"svm.invlpgb.guest-enable", "amd", IN_GUEST, UD, NULL, .code = INVLPGB, .shows = "VMCB+0x090 nested paging control 0 NP_ENABLE 0"},
	{"svm.invlpgb.cpl", "amd", IN_HOST, GP, user, .code = INVLPGB},
	{"svm.invlpgb.cpl", "amd", IN_GUEST, GP, guest_user, .code = INVLPGB},
	{"svm.invlpgb.rax-reserved", "amd", IN_HOST, GP, NULL, 0x841, .code = INVLPGB, .shows = "rAX 841 bits 6 11 must be 0"},
	{"svm.invlpgb.ecx-reserved", "amd", IN_HOST, GP, NULL, 0, 0xffff0000, .code = INVLPGB, .shows = "ECX ffff0000 bits 16-30 must be 0"},
	{"svm.invlpgb.edx-reserved", "amd", IN_HOST, GP, NULL, 0, 0, 0x90000000, .code = INVLPGB, .shows = "EDX 90000000 bits 28 31 must be 0"},
	{"svm.invlpgb.edx-reserved", "amd", IN_GUEST, GP, guest_takes, 0, 0, 0x10000000, .code = INVLPGB},
	{"svm.invlpgb.count", "amd", IN_HOST, GP, NULL, 0, 8, .code = INVLPGB, .shows = "ECX 8 8 pages beyond the first, this processor takes up to 7"},
	{"svm.invlpgb.nested", "amd,-invlpgb-nested", IN_HOST, GP, NULL, 0x20, .code = INVLPGB, .shows = "rAX 20 bit 5 must be 0"},
	{"svm.invlpgb.asid", "amd", IN_HOST, GP, NULL, 4, 0, 0x8000, .code = INVLPGB, .shows = "EDX 8000 ASID 0x8000, this processor has 0 to 0x7fff"},
	{"svm.tlbsync.guest-enable", "amd", IN_GUEST, UD, NULL, .code = TLBSYNC},
	{"svm.tlbsync.cpl", "amd", IN_HOST, GP, user, .code = TLBSYNC},

	/* on another maker's processor */
	{"svm.vmrun.absent", "intel", IN_HOST, UD, NULL, .code = VMRUN},
	{"svm.vmload.absent", "core2", IN_HOST, UD, user, .code = VMLOAD},
	{"svm.clgi.absent", "vanderpool", IN_HOST, UD, v86, .code = CLGI},
	{"svm.vmmcall.absent", "plain", IN_HOST, UD, real, .code = VMMCALL},
	{"svm.skinit.absent", "intel", IN_HOST, UD, NULL, .code = SKINIT},
	{"svm.invlpgb.absent", "intel", IN_HOST, UD, NULL, .code = INVLPGB},
	{"svm.efer.svme-absent", "intel", IN_HOST, GP, NULL, 0x1d01, 0xc0000080, .code = WRMSR, .shows = "value 1d01 bit 12 must be 0"},
	{"svm.efer.svme-absent", "amd,-svm", IN_HOST, GP, NULL, 0x1d01, 0xc0000080, .code = WRMSR},
	{"svm.msr.absent", "intel", IN_HOST, GP, NULL, 0x30000, 0xc0010117, .code = WRMSR, .shows = "ECX c0010117 VM_HSAVE_PA; this processor (intel) has no SVM: use --cpu amd"},
	{"svm.msr.absent", "plain", IN_HOST, GP, NULL, 0, 0xc0010114, .code = RDMSR, .shows = "ECX c0010114 VM_CR; this processor (plain) has no SVM: use --cpu amd"},
	{"svm.efer.svmdis", "amd", IN_HOST, GP, svm_disabled, 0x1d01, 0xc0000080, .code = WRMSR, .shows = "value 1d01 bit 12 must be 0"},
	{"svm.vm-cr.reserved", "amd", IN_HOST, GP, NULL, 0x20, 0xc0010114, .code = WRMSR, .shows = "value 20 bit 5 must be 0"},
	{"svm.vm-cr.reserved", "pacifica", IN_HOST, GP, NULL, 8, 0xc0010114, .code = WRMSR, .shows = "value 8 bit 3 must be 0"},
	{"svm.vm-cr.svmdis", "amd", IN_HOST, GP, NULL, 0x10, 0xc0010114, .code = WRMSR, .shows = "value 10 bit 4 must be 0"},
	{"svm.vm-hsave-pa.aligned", "amd", IN_HOST, GP, NULL, 0x30800, 0xc0010117, .code = WRMSR, .shows = "value 30800 bit 11 must be 0"},
	{"svm.vm-hsave-pa.aligned", "pacifica", IN_HOST, GP, NULL, 1, 0xc0010117, .code = WRMSR},
	{"svm.vm-hsave-pa.width", "amd", IN_HOST, GP, NULL, 0, 0xc0010117, 0x10000, .code = WRMSR, .shows = "value 1000000000000 bit 48 must be 0, 48 physical address bits"},
	{"svm.vm-hsave-pa.width", "pacifica", IN_HOST, GP, NULL, 0, 0xc0010117, 0x100, .code = WRMSR},
	{"svm.smm-ctl.absent", "amd,+no-smm-ctl", IN_HOST, GP, NULL, 0, 0xc0010116, .code = WRMSR},
	{"svm.smm-ctl.locked", "amd", IN_HOST, GP, smm_locked, 1, 0xc0010116, .code = WRMSR},
	{"svm.smm-ctl.reserved", "amd", IN_HOST, GP, NULL, 0x20, 0xc0010116, .code = WRMSR, .shows = "value 20 bit 5 must be 0"},
	{"svm.smm-ctl.reserved", "pacifica", IN_HOST, GP, NULL, 0, 0xc0010116, 1, .code = WRMSR, .shows = "value 100000000 bit 32 must be 0"},
	{"svm.smm-ctl.write-only", "amd", IN_HOST, GP, NULL, 0, 0xc0010116, .code = RDMSR},
	{"svm.tsc-ratio.reserved", "amd", IN_HOST, GP, NULL, 0, 0xc0000104, 0x100, .code = WRMSR, .shows = "value 10000000000 bit 40 must be 0"},
	{"svm.avic-doorbell.reserved", "amd", IN_HOST, GP, NULL, 0x1000, 0xc001011b, .code = WRMSR, .shows = "value 1000 bit 12 must be 0"},
	{"svm.avic-doorbell.write-only", "amd", IN_HOST, GP, NULL, 0, 0xc001011b, .code = RDMSR},

	{"rsm.outside-smm", "amd", IN_HOST, UD, NULL, .code = RSM},
	{"rsm.outside-smm", "pacifica", IN_HOST, UD, NULL, .code = RSM},
	{"rsm.outside-smm", "amd", IN_GUEST, UD, NULL, .code = RSM},
	{"rsm.outside-smm", "intel", IN_HOST, UD, NULL, .code = RSM},
};
/* clang-format on */

static void load(struct cpu *c, const struct snippet *s)
{
	c->r[REG_RAX] = s->rax;
	c->r[REG_RCX] = s->rcx;
	c->r[REG_RDX] = s->rdx;
}

/* There is no IDT: the exception leads to a shutdown, or in real mode to what is at 0. */
static void run_in_host(struct pc *p, const struct snippet *s)
{
	struct cpu *c = p->c;

	bus_write(&p->bus, HOST_CODE, s->code, 3);
	if (s->set)
		s->set(p);
	load(c, s);
	cpu_update_mode(c);
	c->r[REG_RIP] = HOST_CODE - c->seg[SEG_CS].base;
	cpu_run(c, p->clock.now + 1);
	if (s->vector == GOES_ON)
		return;
	if (first.type != EV_HW || first.vector != s->vector)
		fail_msg("%s on %s: event type %u, vector %u", s->id, s->model, first.type, first.vector);
	assert_int_equal(first.error, 0);
	assert_int_equal(first.has_error, s->vector == GP);
}

/* The guest's #UD and #GP are intercepted. */
static void run_in_guest(struct pc *p, const struct snippet *s)
{
	struct vmcb_page *v = svm_guest64(p);
	static const u8 into_guest[] = {0x0f, 0x01, 0xd8, 0xf4}; /* VMRUN; HLT */

	v->control.exceptions = 1u << UD | 1u << GP;
	if (s->where == IN_NESTED) {
		v->control.nested_ctl = 1;
		v->control.virt_ext = 2;
		v->control.n_cr3 = 0x1000;
	}
	if (s->set)
		s->set(p);
	v->save.rax = s->rax;
	bus_write(&p->bus, GUEST_CODE, s->code, 3);
	bus_write(&p->bus, HOST_CODE, into_guest, sizeof(into_guest));
	load(p->c, s);
	p->c->r[REG_RAX] = VMCB_PA;
	run_host(p);
	assert_int_equal(v->control.exitcode, s->vector == UD ? EXIT_UD : EXIT_GP);
	assert_int_equal(v->control.exitinfo1, 0);
	assert_int_equal(v->save.rip, GUEST_CODE);
}

static void one(const struct snippet *s)
{
	struct pc *p = pc_new(s->model);
	const bool guest = s->where != IN_HOST;

	p->hooks.refused = listen;
	p->hooks.event = deliver;
	p->hooks.trace = TRACE_INT;
	first = (struct event){.type = EV_NONE};
	memset(&told, 0, sizeof(told));
	if (has(p->c, FEAT_SVM)) {
		p->c->efer |= EFER_SVME;
		p->c->vm_hsave_pa = HSAVE_PA;
	}
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	if (guest)
		run_in_guest(p, s);
	else
		run_in_host(p, s);
	if (told.times != 1 || strcmp(told.check, s->id))
		fail_msg("%s on %s: told %u times, the last of %s", s->id, s->model, told.times, told.check);
	assert_int_equal(told.kind, REFUSAL_INSN);
	assert_int_equal(told.code, s->vector);
	assert_int_equal(told.guest, guest ? VMCB_PA : UINT64_MAX);
	if (s->vector != GOES_ON)
		assert_non_null(strstr(told.event, s->vector == UD ? " refused: #UD" : " refused: #GP(0)"));
	assert_int_equal(told.rip & 0xffff, guest ? GUEST_CODE & 0xffff : 0);
	if (strncmp(s->id, "rsm.", 4))
		assert_string_equal(told.note, guest ? "note in the guest of VMCB 0x10000" : "");
	if (s->shows)
		assert_string_equal(told.shows, s->shows);
	pc_free(p);
}

static void test_each(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(snippets); n++)
		one(&snippets[n]);
}

/* Every row has a snippet, and its id is nobody else's. */
static void test_all_rows(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SVM_CAUSES; k++) {
		bool met = false;

		assert_non_null(svm_causes[k].id);
		assert_true(svm_causes[k].rule[0] && svm_causes[k].manual[0]);
		for (size_t n = 0; n < ARRAY_LEN(snippets); n++)
			met |= !strcmp(snippets[n].id, svm_causes[k].id);
		if (!met)
			fail_msg("no snippet for %s", svm_causes[k].id);
		for (unsigned j = 0; j < k; j++)
			assert_string_not_equal(svm_causes[j].id, svm_causes[k].id);
	}
}

/* What is intercepted is no failure: nobody is told. */
static void test_intercepted(void **state)
{
	static const char *const codes[] = {VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA};
	static const u8 order[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x7a};

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(codes); n++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_guest64(p);

		p->hooks.refused = listen;
		memset(&told, 0, sizeof(told));
		p->c->efer |= EFER_SVME;
		p->c->vm_hsave_pa = HSAVE_PA;
		v->control.icpt[4] = 0xff;
		v->control.icpt[3] |= 1u << 26; /* INVLPGA */
		v->save.rax = 0x10001; /* would be #GP behind the intercept */
		bus_write(&p->bus, GUEST_CODE, codes[n], 3);
		CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4);
		p->c->r[REG_RAX] = VMCB_PA;
		run_host(p);
		assert_int_equal(v->control.exitcode, order[n]);
		assert_int_equal(told.times, 0);
		pc_free(p);
	}
}

/* Nobody listens: the processor does the same. */
static void test_unheard(void **state)
{
	struct pc *p = pc_new("amd");

	(void)state;
	p->hooks = (struct hooks){.trace = TRACE_INT, .event = deliver};
	first = (struct event){.type = EV_NONE};
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8);
	p->c->r[REG_RIP] = HOST_CODE;
	cpu_run(p->c, p->clock.now + 1);
	assert_int_equal(first.vector, UD);
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each), cmocka_unit_test(test_all_rows), cmocka_unit_test(test_intercepted),
	                                   cmocka_unit_test(test_unheard)};

	return cmocka_run_group_tests_name("svm causes", tests, NULL, NULL);
}
