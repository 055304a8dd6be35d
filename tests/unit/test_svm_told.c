/*
 * What is told of a nested page table with reserved bits, entry by entry, and of a refused VMRUN beside the check: who gave
 * a field its value, and what has changed since the last run of the same VMCB.
 */
#include "report.h"
#include "svm_guest.h"

static struct refusal last;
static char check[64], event[128], field[64];
static unsigned told;
static struct check_change change[16];
static size_t changes;

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	(void)arg;
	told++;
	last = *r;
	snprintf(check, sizeof(check), "%s", r->check);
	snprintf(event, sizeof(event), "%s", r->event);
	snprintf(field, sizeof(field), "%s", r->field[0].name);
	changes = c->virt->changed(c, change, ARRAY_LEN(change));
}

static struct pc *machine(void)
{
	struct pc *p = pc_new("amd");

	told = 0;
	changes = 0;
	p->hooks.refused = listen;
	p->c->efer |= EFER_SVME;
	p->c->vm_hsave_pa = HSAVE_PA;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xd9);      /* VMMCALL */
	return p;
}

static void vmrun(struct pc *p)
{
	p->c->r[REG_RAX] = VMCB_PA;
	run_host(p);
}

/* ---- nested page tables ---- */

enum { PML4 = 0x3000, PDPT = 0x4000, PD = 0x5000, PT = 0x6000 };

static void nested(struct pc *p)
{
	struct vmcb_page *v = svm_guest64(p);

	v->control.nested_ctl = 1;
	v->control.n_cr3 = PML4;
	bus_write_u64(&p->bus, PML4, PDPT | 7);
	bus_write_u64(&p->bus, PDPT, PD | 7);
	bus_write_u64(&p->bus, PD, 0xe7);
	bus_write_u64(&p->bus, PD + 8, PT | 7);
	bus_write_u64(&p->bus, PT, 0x200067);
	bus_write_u64(&p->bus, 0x2000, 0xe7); /* the guest's, too */
}

/* A 32-bit host with PAE paging. */
static void legacy_host(struct pc *p)
{
	struct cpu *c = p->c;

	c->efer &= ~(u64)(EFER_LME | EFER_LMA);
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | AR_DB;
	bus_write_u64(&p->bus, 0x1000, 0x2001);
	bus_write_u64(&p->bus, 0x2000, 0x7000e7);
	bus_write_u64(&p->bus, 0x2000, 0xe7);
	bus_write_u64(&p->bus, 0x2008, 0x2000e7);
	assert_int_equal(mmu_load_pdptes(c, c->cr3), XR_OK);
	cpu_update_mode(c);
}

/* Its guest, real mode at 0:F000h. */
static void legacy_guest(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);

	v->save.efer = EFER_SVME;
	v->save.cr0 = CR0_ET;
	v->save.cr4 = 0;
	v->save.cs = (struct vmcb_seg){.attrib = 0x9b, .limit = 0xffff};
	v->save.rip = 0xf000;
	v->control.n_cr3 = PML4;
}

static const struct {
	const char *check, *field, *words;
	u64 at, value;
	u64 info1;
	unsigned walk; /* entries read */
	bool no_nxe, legacy;
} walks[] = {
        {"svm.npt.entry.upper", "nested PML4E at 0x3000", "bit 8 must be 0: P R/W U/S G, table at 0x4000", PML4, PDPT | 0x107, 0x20000000f, 1, 0, 0},
        {"svm.npt.entry.page-size", "nested PML4E at 0x3000", "bit 7 must be 0: P R/W U/S, table at 0x4000", PML4, PDPT | 0x87, 0x20000000f, 1, 0, 0},
        {"svm.npt.entry.address", "nested PDPTE at 0x4000", "bits 48 51 must be 0: P R/W U/S, table at 0x5000", PDPT,
         PD | 7 | BIT(48) | BIT(51), 0x20000000f, 2, 0, 0},
        /* the instruction fetch: I is told, as the host's EFER.NXE is 1 */
        {"svm.npt.entry.large-page", "nested PDE at 0x5008", "bits 13-14 must be 0: P R/W U/S A D, page at 0x200000", PD + 8, 0x2060e7,
         0x10000001d, 3, 0, 0},
        {"svm.npt.entry.address", "nested PTE at 0x6000", "bit 50 must be 0: P R/W U/S A D, page at 0x200000", PT, 0x200067 | BIT(50),
         0x10000001d, 4, 0, 0},
        {"svm.npt.entry.nx", "nested PTE at 0x6000", "bit 63 must be 0: P R/W U/S A D, page at 0x200000", PT, 0x200067 | BIT(63), 0x10000000d, 4, 1, 0},
        {"svm.npt.entry.pdpe", "nested PDPTE at 0x3000", "bits 1 5 must be 0: P R/W A, table at 0x5000", PML4, PD | 0x23, 0x10000001d, 1, 0, 1},
};

static void test_walks(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(walks); n++) {
		struct pc *p = machine();

		nested(p);
		if (walks[n].legacy) {
			legacy_host(p);
			legacy_guest(p);
		}
		if (walks[n].no_nxe) {
			p->c->efer &= ~(u64)EFER_NXE;
			vmcb_of(p)->save.efer &= ~(u64)EFER_NXE;
		}
		bus_write_u64(&p->bus, walks[n].at, walks[n].value);
		vmrun(p);
		if (told != 1 || strcmp(check, walks[n].check))
			fail_msg("walk %zu: told %u times, of %s", n, told, check);
		assert_int_equal(vmcb_of(p)->control.exitcode, 0x400);
		assert_int_equal(vmcb_of(p)->control.exitinfo1, walks[n].info1);
		assert_int_equal(last.kind, REFUSAL_PAGING);
		assert_int_equal(last.guest, VMCB_PA);
		assert_int_equal(last.code, 0x400);
		assert_int_equal(last.info[0], walks[n].info1);
		assert_int_equal(last.info[1], vmcb_of(p)->control.exitinfo2);
		assert_string_equal(field, walks[n].field);
		assert_int_equal(last.field[0].value, walks[n].value);
		assert_string_equal(last.field[0].decoded, walks[n].words);
		assert_int_equal(last.lines, walks[n].walk);
		assert_non_null(strstr(event, "reserved bits in nested page tables"));
		pc_free(p);
	}
}

/* Each entry of the walk is told: where it lies, its value, what it says. */
static void test_lines(void **state)
{
	struct pc *p = machine();

	(void)state;
	nested(p);
	bus_write_u64(&p->bus, PT, 0x200067 | BIT(62) | BIT(51));
	vmrun(p);
	assert_int_equal(last.lines, 4);
	for (unsigned n = 0; n < 4; n++)
		assert_string_equal(last.line[n].label, "walk");
	assert_string_equal(last.line[0].text, "PML4E at 0x3000 = 0x4027: P R/W U/S A, table at 0x4000");
	assert_string_equal(last.line[1].text, "PDPTE at 0x4000 = 0x5027: P R/W U/S A, table at 0x5000");
	assert_string_equal(last.line[2].text, "PDE at 0x5008 = 0x6027: P R/W U/S A, table at 0x6000");
	assert_string_equal(last.line[3].text, "PTE at 0x6000 = 0x4008000000200067: bit 51 must be 0: P R/W U/S A D, page at 0x200000");
	assert_string_equal(last.field[1].decoded, "of a guest access");
	assert_int_equal(last.field[1].value, GUEST_CODE);
	assert_int_equal(last.field[2].value, PML4);
	pc_free(p);
}

/* An ordinary nested page fault is no failure. */
static void test_not_present(void **state)
{
	struct pc *p = machine();

	(void)state;
	nested(p);
	bus_write_u64(&p->bus, PT, 0);
	vmrun(p);
	assert_int_equal(vmcb_of(p)->control.exitcode, 0x400);
	assert_int_equal(told, 0);
	pc_free(p);
}

/* ---- who set a field ---- */

static const struct check_field *told_field(const char *name)
{
	for (unsigned n = 0; n < last.fields; n++)
		if (!strcmp(last.field[n].name, name))
			return &last.field[n];
	fail_msg("%s is not told", name);
	return NULL;
}

static void test_early(void **state)
{
	struct pc *p = machine();

	(void)state;
	svm_guest64(p)->control.asid = 0;
	vmrun(p);
	assert_string_equal(check, "svm.control.asid-zero");
	assert_int_equal(last.field[0].set.kind, ORIGIN_EARLY);
	assert_int_equal(changes, 0);
	pc_free(p);
}

/* Behind two runs: CR0 is what the exit has saved, EFER what the monitor stored since, of EVENTINJ the exit left 0. */
static void test_behind_exits(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p);
	const struct check_field *f;

	(void)state;
	vmrun(p);
	v->save.rip = GUEST_CODE;
	vmrun(p);
	assert_int_equal(v->control.exitcode, 0x81);
	v->save.cr4 = 8;
	v->control.eventinj = 0x80000500;
	vmrun(p);
	assert_string_equal(check, "svm.guest.cr4.pae-long");
	f = told_field("VMCB+0x558 CR0");
	assert_int_equal(f->set.kind, ORIGIN_EXIT);
	assert_int_equal(f->set.n, 2);
	assert_int_equal(f->set.code, 0x81);
	assert_string_equal(f->set.name, "VMEXIT_VMMCALL");
	f = told_field("VMCB+0x548 CR4");
	assert_int_equal(f->set.kind, ORIGIN_STORE);
	assert_int_equal(f->set.n, 2);
	assert_false(f->set.placed);
	assert_string_equal(f->set.name, "VMEXIT_VMMCALL");
	assert_int_equal(changes, 2); /* in the order of the page */
	assert_string_equal(change[0].name, "VMCB+0x0a8 EVENTINJ");
	assert_int_equal(change[0].was, 0);
	assert_int_equal(change[0].now, 0x80000500);
	assert_string_equal(change[1].name, "VMCB+0x548 CR4");
	assert_int_equal(change[1].was, 0x20);
	assert_int_equal(change[1].now, 8);
	assert_int_equal(change[1].key, 0x548);
	assert_int_equal(change[1].set.kind, ORIGIN_STORE);
	assert_int_equal(p->c->virt->changed(p->c, change, 16), 0); /* later nobody is being refused */
	pc_free(p);
}

/* A control that nobody touched since a run that it passed: who stored it is not known. */
static void test_control(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p);

	(void)state;
	v->control.nested_ctl = 1;
	v->control.n_cr3 = PML4;
	nested(p);
	vmrun(p);
	v->save.rip = GUEST_CODE;
	v->control.n_cr3 = BIT(51);
	vmrun(p);
	assert_string_equal(check, "svm.nested.ncr3-reserved");
	assert_int_equal(told_field("VMCB+0x0b0 N_CR3")->set.kind, ORIGIN_STORE);
	assert_int_equal(told_field("VMCB+0x090 nested paging control")->set.kind, ORIGIN_UNKNOWN);
	pc_free(p);
}

/* Another VMCB has run meanwhile: there was an exit, and what it left is not known any more. */
static void test_other_vmcb(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p), *other = v + 2;

	(void)state;
	*other = *v;
	vmrun(p);
	p->c->r[REG_RAX] = VMCB_PA + 2 * sizeof(*v);
	run_host(p);
	assert_int_equal(other->control.exitcode, 0x81);
	v->save.cr0 |= CR0_NW;
	vmrun(p);
	assert_string_equal(check, "svm.guest.cr0.nw-cd");
	assert_int_equal(last.field[0].set.kind, ORIGIN_UNKNOWN);
	assert_int_equal(changes, 0);
	pc_free(p);
}

/* More VMCBs than there is room for: that one ran before is not taken for its first time. */
static void test_many(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p), *first = (struct vmcb_page *)(void *)bus_memory(&p->bus, 0x400000);

	(void)state;
	for (unsigned n = 0; n < 80; n++) {
		first[n] = *v;
		p->c->r[REG_RAX] = 0x400000 + n * sizeof(*v);
		run_host(p);
	}
	first[3].control.asid = 0;
	p->c->r[REG_RAX] = 0x403000;
	run_host(p);
	assert_string_equal(check, "svm.control.asid-zero");
	assert_int_equal(last.field[0].set.kind, ORIGIN_UNKNOWN);
	pc_free(p);
}

/* Who watches stores knows more. */
static bool writer(void *arg, u64 pa, struct origin *o)
{
	(void)arg;
	if (pa != VMCB_PA + 0x558)
		return false;
	*o = (struct origin){.kind = ORIGIN_STORE, .placed = true, .rip = 0x1234, .insn = 1000};
	return true;
}

static void test_writer(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p);

	(void)state;
	p->hooks.writer = writer;
	v->save.cr0 |= CR0_NW;
	vmrun(p);
	assert_int_equal(last.field[0].set.kind, ORIGIN_STORE);
	assert_int_equal(last.field[0].set.rip, 0x1234);
	/* an exit behind that store has written the field */
	v->save.cr0 &= ~(u64)CR0_NW;
	p->c->insns = 2000;
	vmrun(p);
	assert_int_equal(v->control.exitcode, 0x81);
	v[2] = *v;
	p->c->r[REG_RAX] = VMCB_PA + 2 * sizeof(*v);
	run_host(p);
	bus_write_u64(&p->bus, VMCB_PA + 0x558, v->save.cr0 | CR0_NW); /* by nobody who is watched */
	vmrun(p);
	assert_string_equal(check, "svm.guest.cr0.nw-cd");
	assert_int_equal(last.field[0].set.kind, ORIGIN_EXIT);
	pc_free(p);
}

/* "VMCB Clean Bits": what counted was the processor's copy. */
static void test_clean(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p);

	(void)state;
	vmrun(p);
	v->save.rip = GUEST_CODE;
	v->control.clean = 1u << 5;
	v->save.cr4 = 0x2000; /* would be refused */
	v->save.cs.attrib = 0xe9b;
	vmrun(p);
	assert_string_equal(check, "svm.guest.cs.l-and-d");
	assert_int_equal(told_field("VMCB+0x548 CR4")->value, 0x20);
	assert_int_equal(last.lines, 1);
	assert_string_equal(last.line[0].label, "note");
	assert_string_equal(last.line[0].text, "clean bit 5 (CRx) is set, so the processor's copy of VMCB+0x548 CR4 counts, not 0x2000 in memory");
	pc_free(p);
}

/* Legacy PAE paging without nested paging: which of the four is wrong. */
static void test_pdpes(void **state)
{
	struct pc *p = machine();
	struct vmcb_page *v = svm_guest64(p);

	(void)state;
	v->save.efer = EFER_SVME;
	v->save.cs.attrib = 0xc9b;
	v->save.cr3 = 0x9000;
	bus_write_u64(&p->bus, 0x9000, 0x2001);
	bus_write_u64(&p->bus, 0x9010, 0x2043);
	vmrun(p);
	assert_string_equal(check, "svm.guest.pdpte.reserved");
	assert_int_equal(last.lines, 1);
	assert_string_equal(last.line[0].text, "PDPE 2 at 0x9010 = 0x2043: bits 1 6 must be 0");
	pc_free(p);
}

/* ---- beside the VMCB ---- */

/* "Enabling Nested Paging": the host's CR0 is shown, which is in no field. */
static void test_host_paging(void **state)
{
	struct pc *p = machine();
	struct cpu *c = p->c;

	(void)state;
	nested(p);
	c->cr0 &= ~(u64)CR0_PG;
	c->efer = EFER_SVME;
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | AR_DB;
	cpu_update_mode(c);
	vmrun(p);
	assert_string_equal(check, "svm.nested.host-paging");
	assert_int_equal(last.fields, 2);
	assert_string_equal(last.field[0].decoded, "VMCB 0x10000; bit 0 must be 0: NP_ENABLE");
	assert_string_equal(last.field[1].name, "host CR0");
	assert_string_equal(last.field[1].decoded, "PE ET NE; PG 0");
	pc_free(p);
}

/* "#VMEXIT": reserved bits in the host's PDPEs, which VMRUN did not look at. */
static void test_host_pdpes(void **state)
{
	struct pc *p = machine();

	(void)state;
	svm_guest64(p);
	legacy_host(p);
	vmcb_of(p)->save.cr3 = 0x9000;
	bus_write_u64(&p->bus, 0x9000, 0xa007);
	bus_write_u64(&p->bus, 0xa000, 0xb007);
	bus_write_u64(&p->bus, 0xb008, 0x2000e7);
	bus_write_u64(&p->bus, 0x1010, 0x2003);
	p->c->r[REG_RAX] = VMCB_PA;
	p->c->r[REG_RIP] = HOST_CODE;
	for (unsigned n = 0; n < 4 && !p->c->stop; n++)
		cpu_run(p->c, p->clock.now + 1000);
	assert_int_equal(p->c->stop, CPU_STOP_SHUTDOWN);
	assert_int_equal(vmcb_of(p)->control.exitcode, 0x81);
	assert_int_equal(told, 1);
	assert_int_equal(last.kind, REFUSAL_ABORT);
	assert_string_equal(check, "svm.host.pdpte.reserved");
	assert_string_equal(field, "host PDPE 2");
	assert_string_equal(last.field[0].decoded, "bit 1 must be 0, at 0x1010");
	assert_int_equal(last.field[1].value, 0x1000);
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_walks),      cmocka_unit_test(test_lines),   cmocka_unit_test(test_not_present),
	        cmocka_unit_test(test_early),      cmocka_unit_test(test_control), cmocka_unit_test(test_behind_exits),
	        cmocka_unit_test(test_other_vmcb), cmocka_unit_test(test_many),    cmocka_unit_test(test_writer),
	        cmocka_unit_test(test_clean),      cmocka_unit_test(test_pdpes),
	        cmocka_unit_test(test_host_paging), cmocka_unit_test(test_host_pdpes),
	};

	return cmocka_run_group_tests_name("svm told", tests, NULL, NULL);
}
