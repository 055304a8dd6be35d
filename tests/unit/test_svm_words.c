/* A refused VMRUN in words: what is said of each kind of field, and which other checks are named with it. */
#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

static char told[2048];

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	size_t n = (size_t)snprintf(told, sizeof(told), "%s", r->check);

	(void)arg;
	(void)c;
	for (unsigned f = 0; f < r->fields; f++)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "; %llx %s", (unsigned long long)r->field[f].value,
		                      r->field[f].decoded);
	n += (size_t)snprintf(told + n, sizeof(told) - n, "; also %s", r->also);
	assert_string_equal(r->event, "VMRUN refused: #VMEXIT(VMEXIT_INVALID), EXITCODE 0xffffffffffffffff");
	assert_string_equal(r->then, "guest state in the VMCB unchanged; GIF 0");
	assert_int_equal(r->code, ~0ull);
	assert_int_equal(r->guest, VMCB_PA);
}

/* A legal VMCB of a 64-bit guest; each case changes it by the manual's names. */
static struct vmcb_page *legal(struct pc *p)
{
	struct vmcb_page *v = (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA);

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 3;
	v->control.icpt[3] = 1u << 2;
	v->control.asid = 1;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->control.nested_ctl = NESTED_NP_ENABLE;
	v->control.n_cr3 = NCR3;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET;
	v->save.cr4 = CR4_PAE;
	v->save.cr3 = 0x1000;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = 2;
	v->save.rip = GUEST_CODE;
	v->save.g_pat = 0x0007040600070406;
	return v;
}

#define CASE(name, change, words)                                                                                      \
	static void name(struct vmcb_page *v)                                                                          \
	{                                                                                                              \
		change;                                                                                                \
	}                                                                                                              \
	static const char name##_words[] = words
/* the field's value, then its bits by their names */
CASE(asid, v->control.asid = 0, "svm.control.asid-zero; 0 this processor has 1 to 0x7fff; also none");
CASE(iopm, v->control.iopm_base_pa = BIT(51),
     "svm.control.iopm-address; 8000000000000 48 physical address bits; also none");
CASE(msrpm, v->control.msrpm_base_pa = BIT(52),
     "svm.control.msrpm-address; 10000000000000 48 physical address bits; also none");
CASE(ncr3, v->control.n_cr3 = BIT(50),
     "svm.nested.ncr3-reserved; 4000000000000 48 physical address bits; 1 ; also none");
CASE(cr3, v->save.cr3 = BIT(60), "svm.guest.cr3.reserved; 1000000000000000 48 physical address bits; also none");
CASE(svme, v->save.efer &= ~EFER_SVME, "svm.guest.efer.svme; 500 SVME 0, LMA 1, LME 1; also none");
CASE(efer, v->save.efer = EFER_SVME | BIT(63) | BIT(40),
     "svm.guest.efer.reserved; 8000010000001000 reserved bits 0x8000010000000000; also none");
CASE(cr4, v->save.cr4 |= BIT(33) | BIT(13), "svm.guest.cr4.reserved; 200002020 reserved bits 0x200002000; also none");
CASE(pae, v->save.cr4 = CR4_DE,
     "svm.guest.cr4.pae-long; 8 ; 1500 SVME 1, LMA 1, LME 1; 80000011 PE 1, PG 1, CD 0, NW 0; also none");
CASE(nw, v->save.cr0 |= CR0_NW, "svm.guest.cr0.nw-cd; a0000011 PE 1, PG 1, CD 0, NW 1; also none");
CASE(upper, v->save.cr0 = (v->save.cr0 & ~CR0_PE) | CR0_CD | BIT(32),
     "svm.guest.cr0.pe-long; 1c0000010 PE 0, PG 1, CD 1, NW 0; 1500 SVME 1, LMA 1, LME 1; also svm.guest.cr0.upper");
CASE(event, v->control.eventinj = 0x80000599, "svm.inject.type; 80000599 vector 153, type 5; also none");
CASE(several, (v->control.asid = 0, v->save.dr6 = BIT(32), v->save.dr7 = BIT(40)),
     "svm.control.asid-zero; 0 this processor has 1 to 0x7fff; also svm.guest.dr6.upper, svm.guest.dr7.upper");

CASE(control, (v->control.asid = 0, v->control.iopm_base_pa = BIT(51), v->control.n_cr3 = BIT(51)),
     "svm.control.asid-zero; 0 this processor has 1 to 0x7fff; also svm.control.iopm-address, svm.nested.ncr3-reserved");

static const struct {
	void (*change)(struct vmcb_page *v);
	const char *words;
} cases[] = {
#define USE(name)                                                                                                      \
	{                                                                                                              \
		name, name##_words                                                                                     \
	}
        USE(asid), USE(iopm), USE(msrpm), USE(ncr3),  USE(cr3),   USE(svme),    USE(efer),
        USE(cr4),  USE(pae),  USE(nw),    USE(upper), USE(event), USE(several), USE(control),
};

static void test_words(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct pc *p = pc_new("amd");

		p->hooks.refused = listen;
		p->c->efer |= EFER_SVME;
		p->c->vm_hsave_pa = HSAVE_PA;
		CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
		cases[n].change(legal(p));
		p->c->r[REG_RAX] = VMCB_PA;
		told[0] = 0;
		run_host(p);
		assert_string_equal(told, cases[n].words);
		pc_free(p);
	}
}

/* Nobody listens to refusals: the entry is refused all the same, and the record of the exit says what the VMCB says. */
static void test_unheard(void **state)
{
	struct pc *p = pc_new("amd");
	const struct exit_record *e = &p->c->lastexit[0];
	const struct vmcb_page *v;

	(void)state;
	p->hooks.refused = NULL;
	p->c->efer |= EFER_SVME;
	p->c->vm_hsave_pa = HSAVE_PA;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
	v = legal(p);
	bus_write_u32(&p->bus, VMCB_PA + 0x58, 0); /* ASID */
	p->c->r[REG_RAX] = VMCB_PA;
	run_host(p);
	assert_int_equal(v->control.exitcode, ~0ull);
	assert_int_equal(p->c->lastexit_n, 1);
	assert_int_equal(e->code, v->control.exitcode);
	assert_int_equal(e->info[0], v->control.exitinfo1);
	assert_int_equal(e->info[1], v->control.exitinfo2);
	pc_free(p);
}

static void listen_shutdown(void *arg, struct cpu *c, const struct refusal *r)
{
	size_t n = 0;

	(void)arg;
	(void)c;
	assert_string_equal(r->check, "svm.host.pdpte.reserved");
	for (unsigned f = 0; f < r->fields; f++)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "%s = %llx %s; ", r->field[f].name,
		                      (unsigned long long)r->field[f].value, r->field[f].decoded);
}

/* The host's PDPEs that are wrong, and no others: what is not present is not looked at. */
static void test_host_pdpes(void **state)
{
	static const u64 pdpe[4] = {0, 0x9021, 0x3ff00000000001e6, 0x1000000009003};
	struct pc *p = pc_new("amd");

	(void)state;
	p->hooks.refused = listen_shutdown;
	p->c->cr3 = 0x8000;
	for (unsigned n = 0; n < 4; n++)
		bus_write_u64(&p->bus, 0x8000 + 8 * n, pdpe[n]);
	svm_check_shutdown(p->c);
	assert_string_equal(told, "host CR3 = 8000 ; host PDPE 1 = 9021 reserved bits 0x20; "
	                          "host PDPE 3 = 1000000009003 reserved bits 0x1000000000002; ");
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_unheard),
	                                   cmocka_unit_test(test_host_pdpes)};

	return cmocka_run_group_tests_name("svm words", tests, NULL, NULL);
}
