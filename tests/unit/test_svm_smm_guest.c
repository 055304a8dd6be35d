/*
 * An SMI that leaves a guest for the handler, and RSM back into it, in every shape of guest; "Changes to RSM Instruction".
 */
#include "svm_smm_fixture.h"

/* ---- an SMI leaves a guest, and RSM returns to it ---- */

enum { AVIC_PAGE = 0x40000, AVIC_TABLE = 0x42000, SECOND_VMCB = 0x14000 };
enum shape { PLAIN, NESTED, AVIC, VGIF, MASKED, LBR, LEGACY_PAE, SHAPES };

static void nested(struct pc *p, struct vmcb_page *v)
{
	bus_write_u64(&p->bus, NCR3, 0x4007);
	bus_write_u64(&p->bus, 0x4000, 0x5007);
	for (u64 n = 0; n < 8; n++)
		bus_write_u64(&p->bus, 0x5000 + 8 * n, n * 0x200000 | 0x87);
	v->control.nested_ctl = NESTED_NP_ENABLE;
	v->control.n_cr3 = NCR3;
	v->save.g_pat = 0x0007010600070106;
}

/* A vector that the guest takes at its first boundary, behind the SMI. */
static void avic(struct pc *p, struct vmcb_page *v)
{
	nested(p, v);
	memset(bus_memory(&p->bus, AVIC_PAGE), 0, 4096);
	v->control.vintr = VINTR_AVIC;
	v->control.avic_bar = 0xfee00000;
	v->control.avic_backing_page = AVIC_PAGE;
	v->control.avic_logical_table = v->control.avic_physical_table = AVIC_TABLE;
	bus_write_u64(&p->bus, AVIC_PAGE + 0x200 + VECTOR / 32 * 16, 1u << VECTOR % 32);
}

/* 32-bit code on the same addresses by PAE tables, which have no nested level below them. */
static void legacy_pae(struct pc *p, struct vmcb_page *v)
{
	for (u64 n = 0; n < 4; n++)
		bus_write_u64(&p->bus, 0x7000 + 8 * n, 0);
	bus_write_u64(&p->bus, 0x7000, 0x8001);
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x8000 + 8 * n, n << 21 | 0xe7);
	v->save.cr3 = 0x7000;
	v->save.efer = EFER_SVME;
	v->save.cs.attrib = 0xc9b;
	v->save.rflags &= ~(u64)FL_IF;
}

static struct vmcb_page *shaped(struct pc *p, enum shape shape)
{
	struct vmcb_page *v = guest(p);
	const u64 irq = VINTR_IRQ | 5ull << 16 | (u64)VECTOR << 32;

	v->control.icpt[3] &= ~(u32)ICPT_3_SMI;
	v->control.icpt[3] |= 1u << 18 | 1u << 24 | 3; /* CPUID, HLT, INTR, NMI: nothing that the handler does counts */
	switch (shape) {
	case NESTED: nested(p, v); break;
	case AVIC: avic(p, v); break;
	case VGIF:
		nested(p, v);
		v->control.vintr = VINTR_GIF_EN | irq; /* masked: V_GIF is 0 */
		break;
	case MASKED: v->control.vintr = VINTR_MASKING | irq | 3; break;
	case LBR:
		v->control.virt_ext = VIRT_EXT_LBRV;
		v->save.dbgctl = 1;
		v->save.br_from = 0x1234;
		break;
	case LEGACY_PAE: legacy_pae(p, v); break;
	default: break;
	}
	return v;
}

/* The handler: XOR EAX, EAX; CPUID; RDTSC; INC dword [COUNT]; RSM. */
static void busy_handler(struct pc *p)
{
	const u8 code[] = {0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x0f, 0x31, 0x66, 0x67, 0xff, 0x05, COUNT & 0xff, COUNT >> 8 & 0xff,
	                   COUNT >> 16, 0, 0x0f, 0xaa};

	memcpy(saved(p, 0x8000), code, sizeof(code));
}

struct outcome {
	struct vmcb_page vmcb;
	u64 r[REG_SLOTS], pat, dr6, dr7, efer, debugctl, lbr_from;
	u8 log[16], n;
};

static void outcome(struct pc *p, struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	memcpy(&o->vmcb, vmcb_of(p), sizeof(o->vmcb));
	memcpy(o->r, p->c->r, sizeof(o->r));
	o->pat = p->c->pat;
	o->dr6 = p->c->dr6;
	o->dr7 = p->c->dr7;
	o->efer = p->c->efer;
	o->debugctl = p->c->debugctl;
	o->lbr_from = p->c->lbr_from;
	o->n = (u8)(p->c->r[REG_RDI] - LOG);
	bus_read(&p->bus, LOG, o->log, sizeof(o->log));
}

/* What the state-save area says of the guest, field by field. */
static void check_map(struct pc *p, const struct vmcb_page *v, enum shape shape, bool host_if)
{
	const bool np = v->control.nested_ctl & NESTED_NP_ENABLE;

	assert_int_equal(saved64(p, 0xfed8), 2 | (np ? 4 : 0) | (host_if ? 8 : 0));
	assert_int_equal(saved64(p, 0xfee0), VMCB_PA);
	assert_int_equal(saved64(p, 0xfee8), v->control.vintr);
	assert_int_equal(saved64(p, 0xff20), np ? 0x0007010600070106 : 0);
	assert_int_equal(saved64(p, 0xff28), EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE | EFER_SVME);
	assert_int_equal(saved64(p, 0xff30), CR4_PAE | CR4_MCE | CR4_OSFXSR);
	assert_int_equal(saved64(p, 0xff38), np ? NCR3 : 0x1000);
	assert_int_equal(saved64(p, 0xff40), CR0_PE | CR0_PG | CR0_NE | CR0_ET);
	assert_int_equal(saved64(p, 0xff48), CR4_PAE | CR4_MCE); /* the guest's own from here on */
	assert_int_equal(saved64(p, 0xff50), shape == LEGACY_PAE ? 0x7000 : 0x1000);
	assert_int_equal(saved64(p, 0xff78), GUEST_CODE);
	assert_int_equal(saved64(p, 0xffd8), 0x90000);
}

/* With and without an SMI everything ends the same. */
static void test_guest_goes_on(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * SHAPES; n++) {
		const enum shape shape = n / 2;
		const bool host_if = n & 1;
		struct outcome o[2];

		for (unsigned smi = 0; smi < 2; smi++) {
			struct pc *p = smm_machine("amd");
			struct vmcb_page *v = shaped(p, shape), before = *v;

			busy_handler(p);
			flags_set(p->c, FL_1 | (host_if ? FL_IF : 0));
			if (smi)
				cpu_raise(p->c, PEND_SMI);
			run_from(p, HOST_CODE);
			assert_int_equal(v->control.exitcode, 0x81);
			assert_int_equal(entered(p), smi);
			if (smi)
				check_map(p, &before, shape, host_if);
			outcome(p, &o[smi]);
			smm_free(p);
		}
		if (memcmp(&o[0], &o[1], sizeof(o[0])) != 0)
			fail_msg("shape %u: %u and %u events, %x %x", shape, o[0].n, o[1].n, o[0].log[0], o[1].log[0]);
		assert_int_equal(o[0].log[0], shape == AVIC || shape == MASKED ? VECTOR : 1);
	}
	proves("svm.2.18.2.6");
}

/* An SMI at the boundary behind an instruction: HLT waits, and then goes on waiting or not, as the handler wants. */
static struct pc *stopped(const char *model, struct vmcb_page **v)
{
	struct pc *p = smm_machine(model);

	*v = shaped(p, PLAIN);
	stop_in_handler(p);
	cpu_raise(p->c, PEND_SMI);
	run_from(p, HOST_CODE);
	assert_true(p->c->smm);
	assert_int_equal(p->c->activity, ACT_HLT);
	return p;
}

/* "No intercepts inside": the processor is nobody's guest; what the handler changes in the area is the guest's. */
static void test_in_smm(void **state)
{
	struct vmcb_page *v;
	struct pc *p = stopped("amd", &v);

	(void)state;
	assert_false(p->c->guest);
	assert_false(p->c->stage2);
	for (unsigned n = 0; n < ARRAY_LEN(p->c->icpt); n++)
		assert_int_equal(p->c->icpt[n], 0);
	assert_true(p->c->smi_blocked);
	assert_true(p->c->nmi_blocked);
	assert_int_equal(p->c->efer, EFER_SVME);
	assert_int_equal(p->c->guest_insns, 0); /* the SMI came before the first instruction */
	assert_int_equal(p->c->guest_since, UINT64_MAX);
	assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), 0);
	assert_int_equal(around(p)->cycles, 1);
	memcpy(saved(p, 0xffe0), &(u64){0x1122334455667788}, 8); /* RBX */
	memcpy(saved(p, 0xff78), &(u64){GUEST_CODE + 4}, 8);     /* RIP: behind the first log */
	cpu_raise(p->c, PEND_SMI); /* a second one waits for RSM, and is taken before the next instruction */
	cpu_run(p->c, p->clock.now + 3000);
	assert_int_equal(p->c->activity, ACT_HLT);
	p->c->activity = ACT_RUN;
	go_on(p);
	assert_true(p->c->smm);
	assert_int_equal(around(p)->cycles, 1 << 4 | 2 << 2 | 1);
	assert_int_equal(saved64(p, 0xff78), GUEST_CODE + 4);
	go_on(p);
	assert_int_equal(v->control.exitcode, 0x81);
	assert_int_equal(p->c->r[REG_RBX], 0x1122334455667788);
	EXPECT_LOG(p, "behind the first log", 2, 3);
	smm_free(p);
	proves("svm.2.18.3.5");
}

/* VMRUN within SMM, as a trampoline does it: another guest comes and goes, and RSM still finds the one behind SMM. */
static void test_vmrun_in_smm(void **state)
{
	struct vmcb_page *v, *w;
	struct pc *p = stopped("amd", &v);
	struct cpu *c = p->c;

	(void)state;
	w = (struct vmcb_page *)(void *)bus_memory(&p->bus, SECOND_VMCB);
	memcpy(w, v, sizeof(*w));
	w->control.asid = 2;
	w->control.icpt[3] |= 1u << 19; /* RSM */
	w->save.rip = GUEST_CODE + 0x100;
	CODE(p, GUEST_CODE + 0x100, 0x8b, 0x1c, 0x25, 0x00, 0x80, 0x0a, 0x00, /* MOV EBX, [HANDLER]; MOV [DATA + 200h], EBX; RSM */
	     0x89, 0x1c, 0x25, 0x00, 0xa2, 0x09, 0x00, 0x0f, 0xaa);
	CODE(p, HOST_CODE + 0x100, 0x0f, 0x01, 0xd8, 0x0f, 0x01, 0xdc, 0x0f, 0xaa);       /* VMRUN; STGI; RSM */
	host_state(c);
	c->efer |= EFER_SVME;
	cpu_update_mode(c);
	c->r[REG_RAX] = SECOND_VMCB;
	c->r[REG_RBX] = 0;
	cpu_raise(c, PEND_SMI); /* blocked in this guest, too */
	c->r[REG_RIP] = HOST_CODE + 0x100;
	c->activity = ACT_RUN;
	cpu_run(c, p->clock.now + 4000);
	assert_int_equal(w->control.exitcode, 0x73);
	assert_int_equal(w->save.rip, GUEST_CODE + 0x10e);
	assert_int_equal(bus_read_u64(&p->bus, DATA + 0x200) & 0xffffff, 0xaa0ff4); /* it has seen SMRAM */
	assert_true(c->smm); /* again, by the SMI that was blocked */
	assert_int_equal(around(p)->cycles, 1 << 4 | 2 << 2 | 1);
	assert_int_equal(saved64(p, 0xfee0), VMCB_PA);
	assert_int_equal(saved64(p, 0xff78), GUEST_CODE);
	go_on(p);
	assert_int_equal(v->control.exitcode, 0x81);
	EXPECT_LOG(p, "the guest behind SMM", 1, 2, 3);
	smm_free(p);
	proves("svm.2.18.3.1");
}

/* ---- "Changes to RSM Instruction" ---- */

/* In SMM from a host, stopped: the area is there to be changed; RSM, and what the host does next. */
static struct pc *stopped_host(const char *model, bool svme)
{
	struct pc *p = smm_machine(model);

	p->c->efer = svme ? p->c->efer | EFER_SVME : p->c->efer & ~(u64)EFER_SVME;
	cpu_update_mode(p->c);
	stop_in_handler(p);
	CODE(p, HOST_CODE, 0x90, 0xfa, 0xf4);
	cpu_raise(p->c, PEND_SMI);
	run_from(p, HOST_CODE);
	assert_true(p->c->smm);
	return p;
}

static void set64(struct pc *p, unsigned offset, u64 v)
{
	memcpy(saved(p, offset), &v, 8);
}

static void test_rsm_svme(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		const bool svme = n & 1;
		struct pc *p = stopped_host(models[n / 2], svme);

		set64(p, 0xfed0, saved64(p, 0xfed0) ^ EFER_SVME);
		go_on(p);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_false(p->c->smm);
		assert_int_equal(p->c->efer & EFER_SVME, svme ? EFER_SVME : 0);
		smm_free(p);
	}
	proves("svm.4.1.1");
}

/* CR0.PE 0 with CR0.PG 1. With SVM: real mode with paging; 16-bit code at linear address 100000h is stored by page tables at
 * GUEST_CODE. Without: shutdown. */
static void test_rsm_paged_real(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		const bool svme = n & 1;
		struct pc *p = stopped_host(models[n / 2], svme);

		for (u64 k = 0; k < 1024; k++) /* 4 KiB pages of the first 4 MiB, 20000h at GUEST_CODE */
			bus_write(&p->bus, 0x8000 + 4 * k, &(u32){(u32)(k == 0x20 ? GUEST_CODE : k << 12) | 0x67}, 4);
		bus_write(&p->bus, 0x9000, &(u32){0x8067}, 4);
		CODE(p, GUEST_CODE, 0x66, 0x0f, 0x20, 0xc0, 0xa8, 1, 0x75, 2, 0xb0, 7, 0xf4); /* MOV EAX, CR0; TEST AL, 1; JNZ; MOV AL, 7 */
		set64(p, 0xff58, CR0_PG | CR0_ET);
		set64(p, 0xff50, 0x9000);
		set64(p, 0xff48, 0);
		set64(p, 0xfed0, svme ? EFER_SVME : 0);
		set64(p, 0xff70, FL_1);
		set64(p, 0xff78, 0);
		memcpy(saved(p, 0xfe10), (const u16[]){0x2000, 0x9b}, 4);
		memcpy(saved(p, 0xfe14), &(u32){0xffff}, 4);
		set64(p, 0xfe18, 0x20000);
		go_on(p);
		if (svme) {
			assert_int_equal(p->c->activity, ACT_HLT);
			assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), CR0_PG);
			assert_int_equal(p->c->r[REG_RAX] & 0xff, 7);
		} else {
			assert_int_equal(p->c->activity, ACT_SHUTDOWN);
		}
		smm_free(p);
	}
	proves("svm.2.15.2 svm.4.1.3 svm.4.1.4");
}

/* The PDPEs that RSM finds at CR3 count, not those from before the SMI. */
static void test_rsm_pdpes(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = stopped_host(models[n], true);

		for (u64 k = 0; k < 4; k++)
			bus_write_u64(&p->bus, 0x7000 + 8 * k, k ? 0 : 0x6001);
		set64(p, 0xff50, 0x7000);
		set64(p, 0xfed0, EFER_SVME | EFER_NXE);
		memcpy(saved(p, 0xfe12), &(u16){0xc9b}, 2); /* 32-bit code */
		p->c->pdpte[0] = p->c->pdpte[1] = 0x1234001;
		go_on(p);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_int_equal(p->c->pdpte[0], 0x6001);
		assert_int_equal(p->c->pdpte[1], 0);
		smm_free(p);
	}
	proves("svm.4.1.2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_guest_goes_on),
	        cmocka_unit_test(test_in_smm),
	        cmocka_unit_test(test_vmrun_in_smm),
	        cmocka_unit_test(test_rsm_svme),
	        cmocka_unit_test(test_rsm_paged_real),
	        cmocka_unit_test(test_rsm_pdpes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
