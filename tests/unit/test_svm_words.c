/* A refused VMRUN in words: what is said of each kind of field, and which other checks are named with it. */
#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

static char told[2048];

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	static const char vmcb_is[] = "VMCB 0x10000; ";
	size_t n = (size_t)snprintf(told, sizeof(told), "%s", r->check);

	(void)arg;
	(void)c;
	for (unsigned f = 0; f < r->fields; f++)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "; %llx %s", (unsigned long long)r->field[f].value,
		                      r->field[f].decoded + (f ? 0 : sizeof(vmcb_is) - 1));
	assert_memory_equal(r->field[0].decoded, vmcb_is, sizeof(vmcb_is) - 1);
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
     "svm.control.iopm-address; 8000000000000 bit 51 must be 0, 48 physical address bits; also none");
CASE(msrpm, v->control.msrpm_base_pa = BIT(52),
     "svm.control.msrpm-address; 10000000000000 bit 52 must be 0, 48 physical address bits; also none");
CASE(ncr3, v->control.n_cr3 = BIT(50),
     "svm.nested.ncr3-reserved; 4000000000000 bit 50 must be 0, 48 physical address bits; 1 NP_ENABLE; also none");
CASE(cr3, v->save.cr3 = BIT(60), "svm.guest.cr3.reserved; 1000000000000000 bit 60 must be 0, 48 physical address bits; also none");
CASE(svme, v->save.efer &= ~EFER_SVME, "svm.guest.efer.svme; 500 bit 12 must be 1: LME LMA; SVME 0; also none");
CASE(efer, v->save.efer = EFER_SVME | BIT(63) | BIT(40),
     "svm.guest.efer.reserved; 8000010000001000 bits 40 63 must be 0, allowed 0x225dff: SVME bits 40 63; LME 0, LMA 0; also none");
CASE(cr4, v->save.cr4 |= BIT(33) | BIT(13), "svm.guest.cr4.reserved; 200002020 bits 13 33 must be 0, allowed 0x770fff: PAE VMXE bit 33; also none");
CASE(pae, v->save.cr4 = CR4_DE,
     "svm.guest.cr4.pae-long; 8 bit 5 must be 1: DE; PAE 0; 1500 LME LMA SVME; 80000011 PE ET PG; also none");
CASE(nw, v->save.cr0 |= CR0_NW, "svm.guest.cr0.nw-cd; a0000011 bit 29 must be 0: PE ET NW PG; also none");
CASE(upper, v->save.cr0 = (v->save.cr0 & ~CR0_PE) | CR0_CD | BIT(32),
     "svm.guest.cr0.pe-long; 1c0000010 bit 0 must be 1: ET CD PG bit 32; PE 0; 1500 LME LMA SVME; "
     "also svm.guest.cr0.upper: VMCB+0x558 CR0 = 0x1c0000010");
CASE(event, v->control.eventinj = 0x80000599, "svm.inject.type; 80000599 type 5 is none, vector 0x99; also none");
CASE(several, (v->control.asid = 0, v->save.dr6 = BIT(32), v->save.dr7 = BIT(40)),
     "svm.control.asid-zero; 0 this processor has 1 to 0x7fff; also svm.guest.dr6.upper: VMCB+0x568 DR6 = 0x100000000, "
     "svm.guest.dr7.upper: VMCB+0x560 DR7 = 0x10000000000");

CASE(control, (v->control.asid = 0, v->control.iopm_base_pa = BIT(51), v->control.n_cr3 = BIT(51)),
     "svm.control.asid-zero; 0 this processor has 1 to 0x7fff; also svm.control.iopm-address: "
     "VMCB+0x040 IOPM_BASE_PA = 0x8000000000000, svm.nested.ncr3-reserved: VMCB+0x0b0 N_CR3 = 0x8000000000000");

CASE(intercept, v->control.icpt[4] = 2, "svm.control.vmrun-intercept; 2 bit 0 must be 1: VMMCALL; also none");
CASE(vnmi, (v->control.vintr = BIT(26) | BIT(24) | 0xf, v->control.icpt[3] = 1u << 2),
     "svm.control.vnmi-nmi-intercept; 500000f bit 26 must be 0: V_TPR 15 V_INTR_MASKING V_NMI_ENABLE; 4 SMI; also none");
CASE(last_map, v->control.iopm_base_pa = 0xffffffffe000,
     "svm.control.iopm-address; ffffffffe000 the last byte lies beyond 48 physical address bits; also none");
CASE(pat, v->save.g_pat = 0x0705040600030201, "svm.nested.g-pat; 705040600030201 PA0 WC, PA1 reserved type, PA2 reserved type, "
     "PA3 UC, PA4 WB, PA5 WT, PA6 WP, PA7 UC-; 1 NP_ENABLE; also none");
CASE(both_sizes, v->save.cs.attrib = 0x69b, "svm.guest.cs.l-and-d; 69b type 11 (code execute/read accessed), DPL 0, S 1, P 1, L 1, "
     "D/B 1, G 0; 1500 LME LMA SVME; 80000011 PE ET PG; 20 PAE; also none");
CASE(vector, v->control.eventinj = 0x80000302, "svm.inject.vector; 80000302 exception 2 NMI; also none");
CASE(bound, v->control.eventinj = 0x80000305,
     "svm.inject.mode; 80000305 exception 5 #BR; 1500 LME LMA SVME; 80000011 PE ET PG; a9b type 11 (code execute/read accessed), "
     "DPL 0, S 1, P 1, L 1, D/B 0, G 1; also none");
CASE(dr7, v->save.dr7 = BIT(32) | 0x2403, "svm.guest.dr7.upper; 100002403 bit 32 must be 0: L0 G0 GD bit 32; also none");
CASE(dr6, v->save.dr6 = BIT(63) | 0xffff4ff1, "svm.guest.dr6.upper; 80000000ffff4ff1 bit 63 must be 0: B0 BS bit 63; also none");

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
        USE(intercept), USE(vnmi), USE(last_map), USE(pat), USE(both_sizes), USE(vector), USE(bound), USE(dr7), USE(dr6),
};

/* What no check is about: from "Layout of VMCB". */
static const struct {
	u16 offset;
	u64 value;
	const char *words;
} fields[] = {
        {0x000, 0x8009, "CR0_READ, CR3_READ, CR15_READ"},
        {0x002, 0x10, "CR4_WRITE"},
        {0x004, 0x80, "DR7_READ"},
        {0x006, 0, "nothing intercepted"},
        {0x008, 1u << 14 | 1u << 1, "EXCP1, EXCP14"},
        {0x00c, 1u << 31 | 1u << 27 | 3, "INTR, NMI, IOIO, SHUTDOWN"},
        {0x010, 0x201, "VMRUN, WBINVD"},
        {0x014, 1u << 2, "INVPCID"},
        {0x05c, 0, "flushes nothing"},
        {0x05c, 1, "flushes all ASIDs"},
        {0x05c, 3, "flushes this ASID"},
        {0x05c, 7, "flushes this ASID but for global pages"},
        {0x05c, 2, "reserved: flushes nothing"},
        {0x060, 0x51000f1308ull, "V_TPR 8 V_IRQ VGIF V_NMI_MASK V_INTR_PRIO 15 V_INTR_VECTOR 81"},
        {0x060, 1u << 31 | 1u << 30 | 1u << 25 | 1u << 20, "V_IGN_TPR VGIF_ENABLE x2AVIC AVIC"},
        {0x068, 1, "INTERRUPT_SHADOW"},
        {0x070, 0x7b, "VMEXIT_IOIO"},
        {0x070, 0x3ff, "no such exit"},
        {0x088, 0x80000b0eull | 5ull << 32, "exception 14 #PF, error code 0x5"},
        {0x088, 0x80000051, "external interrupt 0x51"},
        {0x0a8, 0x51, "no event"},
        {0x0a8, 0x80000202, "NMI 0x02"},
        {0x0a8, 0x80000480, "INT n 0x80"},
        {0x090, 0x889, "NP_ENABLE GMET INVLPGB/TLBSYNC PML"},
        {0x090, 0, "NP_ENABLE 0"},
        {0x0b8, 3, "LBR_VIRTUALIZATION VIRTUAL_VMLOAD_VMSAVE"},
        {0x0c0, 0x125, "I ASID CRX SEG"},
        {0x0f8, 0x12345ff, "AVIC_PHYSICAL_MAX_INDEX 1535"},
        {0x410, 0x2b, "index 5, TI 0, RPL 3"},
        {0x422, 0xcf3, "type 3 (data read/write accessed), DPL 3, S 1, P 1, L 0, D/B 1, G 1"},
        {0x492, 0x8b, "type 11 (busy TSS), DPL 0, S 0, P 1, L 0, D/B 0, G 0"},
        {0x570, 0x202, "IF"},
        {0x570, 2, "IF 0"},
        {0x670, 3, "LBR BTF"},
        {0x578, 0x1234, ""},
};

static void test_fields(void **state)
{
	static struct svm_image v;
	char words[192];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(fields); n++) {
		const unsigned at = fields[n].offset;
		u8 *image = (u8 *)(at < 0x400 ? (void *)&v.control : (void *)&v.save) + (at < 0x400 ? at : at - 0x400);

		memset(&v, 0, sizeof(v));
		memcpy(image, &fields[n].value, (size_t)vmcb_field_at(at)->width);
		svm_decode_field(words, sizeof(words), &v, NULL, at);
		assert_string_equal(words, fields[n].words);
	}
}

static void test_words(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct pc *p = pc_new("amd,+vnmi");

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
	svm_explain_shutdown(p->c);
	assert_string_equal(told, "host PDPE 1 = 9021 bit 5 must be 0, at 0x8008; "
	                          "host PDPE 3 = 1000000009003 bits 1 48 must be 0, at 0x8018; host CR3 = 8000 ; ");
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields), cmocka_unit_test(test_words), cmocka_unit_test(test_unheard),
	                                   cmocka_unit_test(test_host_pdpes)};

	return cmocka_run_group_tests_name("svm words", tests, NULL, NULL);
}
