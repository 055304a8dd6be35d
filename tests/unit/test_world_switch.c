/*
 * SVM's world switch itself, by a few bytes of host and guest code on a bare processor in long mode: from VMRUN to
 * #VMEXIT.
 */
#include "report.h"
#include "svm_guest.h"

/* A 64-bit guest at GUEST_CODE under nested paging that maps the first 16 MiB by 2 MiB pages. */
static struct vmcb_page *svm_setup(struct pc *p)
{
	struct vmcb_page *v = svm_guest64(p);

	p->c->efer |= EFER_SVME;
	p->c->vm_hsave_pa = HSAVE_PA;
	v->control.icpt[3] = 1u << 24 | ICPT_3_SHUTDOWN; /* HLT */
	v->control.tlb_control = TLB_CONTROL_ALL;
	v->control.nested_ctl = NESTED_NP_ENABLE;
	v->control.n_cr3 = NCR3;
	bus_write_u64(&p->bus, NCR3, 0x4007);
	bus_write_u64(&p->bus, 0x4000, 0x5007);
	for (u64 n = 0; n < 8; n++)
		bus_write_u64(&p->bus, 0x5000 + 8 * n, n * 0x200000 | 0x87);
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
	return v;
}

static u64 vmrun(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);

	v->save.rip = GUEST_CODE;
	p->c->r[REG_RAX] = VMCB_PA;
	run_host(p);
	assert_int_equal(p->c->r[REG_RIP], HOST_CODE + 4);
	assert_int_equal(p->c->r[REG_RAX], VMCB_PA);
	assert_false(p->c->guest);
	assert_false(p->c->gif);
	proves("svm.2.3.1");
	return v->control.exitcode;
}

static void test_world_switch(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p),
	                 *h = (struct vmcb_page *)(void *)bus_memory(&p->bus, HSAVE_PA);

	(void)state;
	memset(h, 0xa5, sizeof(*h));
	CODE(p, GUEST_CODE, 0x48, 0xc7, 0xc0, 0x2a, 0, 0, 0, 0xf4); /* MOV RAX, 42; HLT */
	p->c->dr7 = 0x400;
	p->c->cr2 = 7;
	v->save.cr2 = 9;
	assert_int_equal(vmrun(p), 0x78);
	assert_int_equal(v->save.rax, 42);
	assert_int_equal(v->save.rip, GUEST_CODE + 7);
	assert_int_equal(v->control.nrip, GUEST_CODE + 8);
	assert_int_equal(v->save.cr2, 9);
	assert_int_equal(p->c->cr2, 9); /* not reloaded */
	assert_int_equal(p->c->cr3, 0x1000);
	assert_int_equal(p->c->space, 0);
	proves("svm.2.3.9");
	assert_false(p->c->stage2);
	proves("svm.4.VMRUN.25");
	/* the save area: host state, and VMSAVE's fields untouched */
	assert_int_equal(h->save.rip, HOST_CODE + 3);
	assert_int_equal(h->save.rax, VMCB_PA);
	assert_int_equal(h->save.rsp, 0x80000);
	assert_int_equal(h->save.cs.sel, 8);
	assert_int_equal(h->save.cr3, 0x1000);
	assert_int_equal(h->save.fs.sel, 0xa5a5);
	assert_int_equal(h->save.kernel_gs_base, 0xa5a5a5a5a5a5a5a5ull);
	pc_free(p);
}

static void test_vmrun_invalid(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	v->control.asid = 0;
	v->control.eventinj = 0x80000306;
	v->save.rax = 0x1234;
	assert_int_equal(vmrun(p), ~0ull);
	proves("svm.2.21.1.7");
	assert_string_equal(p->refused, "svm.control.asid-zero");
	assert_int_equal(v->save.rax, 0x1234);
	assert_int_equal(v->control.eventinj, 0);
	pc_free(p);
}

/* What a nested page fault reports: one row each, on the same guest access to 2000000h. */
static void test_nested_faults(void **state)
{
	static const struct {
		u64 pde, info1, info2;
		bool write, fetch;
	} rows[] = {
	        {0, 0x100000004, 0x2000000, false, false},
	        {0x2000083, 0x100000005, 0x2000000, false, false},
	        {0x2000085, 0x100000007, 0x2000000, true, false},
	        {0x20020a7, 0x10000000d, 0x2000000, false, false},
	        {BIT(63) | 0x2000087, 0x100000015, 0x2000000, false, true},
	        {0, 0x100000006, 0x2000000, true, false},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_setup(p);

		if (rows[n].fetch)
			CODE(p, GUEST_CODE, 0xb8, 0, 0, 0, 2, 0xff, 0xe0); /* JMP RAX */
		else
			CODE(p, GUEST_CODE, 0x48, rows[n].write ? 0xa3 : 0xa1, 0, 0, 0, 2, 0, 0, 0, 0, 0xf4);
		bus_write_u64(&p->bus, 0x5080, rows[n].pde);
		assert_int_equal(vmrun(p), 0x400);
		assert_int_equal(v->control.exitinfo1, rows[n].info1);
		assert_int_equal(v->control.exitinfo2, rows[n].info2);
		assert_int_equal(v->control.nrip, 0);
		assert_int_equal(v->control.bytes_fetched, rows[n].fetch ? 0 : 15);
		pc_free(p);
	}
}

/* Guest tables count as user writes; their host entries become accessed and dirty. */
static void test_nested_tables(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	CODE(p, GUEST_CODE, 0xf4);
	bus_write_u64(&p->bus, 0x5000, 0x85);
	assert_int_equal(vmrun(p), 0x400);
	assert_int_equal(v->control.exitinfo1, 0x200000007);
	assert_int_equal(v->control.exitinfo2, 0x1000);
	bus_write_u64(&p->bus, 0x5000, 0x87);
	assert_int_equal(vmrun(p), 0x78);
	assert_int_equal(bus_read_u64(&p->bus, 0x5000) & 0x60, 0x60);
	assert_int_equal(bus_read_u64(&p->bus, 0x5008) & 0x60, 0x20);
	pc_free(p);
	proves("svm.2.21.5.6 svm.2.21.5.7");
}

static void test_exceptions_and_injection(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	CODE(p, GUEST_CODE, 0x0f, 0x0b);
	v->control.icpt[2] = 1u << 6;
	assert_int_equal(vmrun(p), 0x46);
	assert_int_equal(v->save.rip, GUEST_CODE);
	/* injected: not intercepted itself; no IDT, so a #GP, a #DF and the intercepted shutdown */
	v->control.eventinj = 0x80000306;
	assert_int_equal(vmrun(p), 0x7f);
	assert_int_equal(v->control.eventinj, 0);
	/* the secondary #GP is intercepted, before it combines */
	v->control.icpt[2] |= 1u << 13;
	v->control.eventinj = 0x80000306;
	assert_int_equal(vmrun(p), 0x4d);
	assert_int_equal(v->control.exitinfo1, 6 * 8 + 2);
	assert_int_equal(v->control.exitintinfo, 0x80000306);
	/* #PF: address in EXITINFO2, CR2 not written */
	v->control.icpt[2] = 1u << 14;
	v->save.cr2 = 0x77;
	CODE(p, GUEST_CODE, 0x48, 0xa1, 0, 0, 0, 0, 0, 1, 0, 0);
	assert_int_equal(vmrun(p), 0x4e);
	assert_int_equal(v->control.exitinfo2, 0x10000000000ull);
	assert_int_equal(v->save.cr2, 0x77);
	assert_int_equal(v->control.insn_bytes[1], 0xa1);
	pc_free(p);
}

static void test_instruction_intercepts(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	v->control.icpt[3] |= 1u << 27 | 1u << 28 | 1u << 4;
	v->control.icpt[0] = 1u << 19;
	CODE(p, GUEST_CODE, 0xe4, 0x71, 0xe4, 0x72, 0xf4); /* IN AL, 71h; IN AL, 72h */
	bus_write_u64(&p->bus, 0x20008, 4ull << 48);       /* port 72h */
	assert_int_equal(vmrun(p), 0x7b);
	assert_int_equal(v->control.exitinfo1, 0x720211);
	assert_int_equal(v->control.exitinfo2, GUEST_CODE + 4);
	CODE(p, GUEST_CODE, 0x41, 0x0f, 0x22, 0xd9); /* MOV CR3, R9 */
	assert_int_equal(vmrun(p), 0x13);
	assert_int_equal(v->control.exitinfo1, BIT(63) | 9);
	CODE(p, GUEST_CODE, 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x30); /* WRMSR EFER */
	assert_int_equal(bus_read_u64(&p->bus, 0x24820), 0);
	bus_write_u64(&p->bus, 0x24820, 2);
	assert_int_equal(vmrun(p), 0x7c);
	assert_int_equal(v->control.exitinfo1, 1);
	assert_int_equal(v->control.nrip, GUEST_CODE + 7);
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xd9); /* VMMCALL */
	assert_int_equal(vmrun(p), 0x81);
	/* a virtual interrupt, open: VINTR leaves it pending; masked by V_TPR: it waits */
	CODE(p, GUEST_CODE, 0xf4);
	v->control.vintr = VINTR_IRQ | 5u << 16 | VINTR_MASKING | 0x40ull << 32;
	v->save.rflags = 0x202;
	assert_int_equal(vmrun(p), 0x64);
	assert_true(v->control.vintr & VINTR_IRQ);
	v->control.vintr |= 5;
	assert_int_equal(vmrun(p), 0x78);
	assert_int_equal(v->control.vintr & 0xff, 5);
	pc_free(p);
}

/* PE = 0 with PG = 1, paged by a legacy table that moves the page. */
static void test_paged_real_mode(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	v->control.nested_ctl = 0;
	v->save.efer = EFER_SVME;
	v->save.cr0 = CR0_PG | CR0_ET;
	v->save.cr4 = CR4_PSE;
	v->save.cr3 = 0x8000;
	v->save.cs = (struct vmcb_seg){.sel = 0, .attrib = 0x9b, .limit = 0xffffffff};
	v->save.es = v->save.ss = v->save.ds = (struct vmcb_seg){.sel = 0, .attrib = 0x93, .limit = 0xffff};
	v->save.cpl = 3;                            /* ignored */
	bus_write_u32(&p->bus, 0x8000, 0x00400087); /* linear 0 is physical 400000h */
	CODE(p, 0x400000 + 0x7000, 0xb8, 0x34, 0x12, 0xa3, 0x00, 0x60, 0xf4);
	p->c->r[REG_RAX] = VMCB_PA;
	v->save.rip = 0x7000;
	run_host(p);
	assert_int_equal(v->control.exitcode, 0x78);
	proves("svm.2.2.1.55");
	assert_int_equal(v->save.rip, 0x7006);
	assert_int_equal(v->save.cpl, 0);
	assert_int_equal(bus_read_u32(&p->bus, 0x406000) & 0xffff, 0x1234);
	pc_free(p);
	proves("svm.2.2.1.120");
}

static void test_vmload_vmsave(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	v->save.fs = (struct vmcb_seg){.sel = 0x2b, .attrib = 0xcf3, .limit = 0xffffffff, .base = 0x7fff12345000};
	v->save.tr = (struct vmcb_seg){.sel = 0x40, .attrib = 0x8b, .limit = 0x206f, .base = 0xfffffe0000003000};
	v->save.kernel_gs_base = BIT(47);
	v->save.lstar = 0xffffffff81000000;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xda, 0x05, 0, 0x10, 0, 0, 0x0f, 0x01, 0xdb,
	     0xf4); /* VMLOAD; ADD EAX, 1000h; VMSAVE */
	p->c->r[REG_RAX] = VMCB_PA;
	run_host(p);
	assert_int_equal(p->c->seg[SEG_FS].base, 0x7fff12345000);
	assert_int_equal(p->c->kernel_gs_base, 0xffff800000000000ull);

	const struct vmcb_page *o = (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA + 0x1000);

	assert_memory_equal(&o->save.fs, &v->save.fs, sizeof(o->save.fs));
	assert_memory_equal(&o->save.tr, &v->save.tr, sizeof(o->save.tr));
	assert_int_equal(o->save.lstar, 0xffffffff81000000);
	assert_int_equal(o->save.kernel_gs_base, 0xffff800000000000ull);
	pc_free(p);
}

/* The second stage in each mode of the host: the table walk of that mode, and what lies beyond its reach. */
static void test_nested_host_modes(void **state)
{
	struct pc *p = pc_new("amd");
	struct stage2_req q = {.gpa = 0x40123456, .why = S2_FINAL, .access = ACC_READ, .user = true};
	struct stage2_res r;
	struct svm *s = svm_of(p->c);

	(void)state;
	s->image[s->cur].control.n_cr3 = 0x8020; /* PAE: 32-byte aligned */
	s->host.cr4 = CR4_PAE;
	s->host.efer = EFER_NXE;
	bus_write_u64(&p->bus, 0x8028, 0x9001);
	bus_write_u64(&p->bus, 0x9000, 0xa007);
	bus_write_u64(&p->bus, 0xa000 + 8 * 0x123, 0x777005 | BIT(63));
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x777456);
	assert_int_equal(r.perms, ACC_READ);
	q.access = ACC_EXEC;
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_EXIT);
	assert_int_equal(p->c->exit.q[0], 0x100000015);
	q.access = ACC_READ;
	q.gpa = BIT(32);
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_EXIT);
	assert_int_equal(p->c->exit.q[0], 0x100000004);
	assert_int_equal(p->c->exit.q[1], BIT(32));
	/* 32-bit tables, with and without page-size extensions */
	s->image[s->cur].control.n_cr3 = 0xb000;
	s->host.cr4 = CR4_PSE;
	s->host.efer = 0;
	q.gpa = 0x00c01234;
	bus_write_u32(&p->bus, 0xb00c, 0x01400087);
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x01401234);
	assert_int_equal(r.page_shift, 22);
	s->host.cr4 = 0;
	bus_write_u32(&p->bus, 0xb00c, 0xc087);
	bus_write_u32(&p->bus, 0xc004, 0x5007);
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x5234);
	/* five levels: the root's entry leads to what four levels begin with */
	s->image[s->cur].control.n_cr3 = 0xd000;
	s->host.cr4 = CR4_PAE | CR4_LA57;
	s->host.efer = EFER_NXE | EFER_LME | EFER_LMA;
	q.gpa = 0x40123456;
	bus_write_u64(&p->bus, 0xd000, 0xe007);
	bus_write_u64(&p->bus, 0xe000, 0xf007);
	bus_write_u64(&p->bus, 0xf008, 0x9007);
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x777456);
	assert_int_equal(bus_read_u64(&p->bus, 0xd000), 0xe027);
	s->host.cr4 = CR4_PAE;
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_EXIT);
	s->image[s->cur].control.n_cr3 = 0xe000;
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x777456);
	s->host.cr4 = CR4_PAE | CR4_LA57;
	s->image[s->cur].control.n_cr3 = 0xd000;
	bus_write_u64(&p->bus, 0xd000, 0xe006);
	assert_int_equal(svm_stage2(p->c, &q, &r), XR_EXIT);
	assert_int_equal(p->c->exit.q[0], 0x100000004);
	pc_free(p);
	proves("svm.2.21.3.3");
}

/* ---- memory types of guest accesses, as the walk reports them ---- */

#define TYPES_GPA 0x600000ull
#define TYPES_HPA 0x800000ull

static struct pc *pc_for_types(void)
{
	struct pc *p = pc_new("amd");
	struct svm *s;

	svm_setup(p);
	s = svm_of(p->c);
	s->image[s->cur].control.n_cr3 = NCR3;
	s->nested = true;
	s->host.cr0 = CR0_PE | CR0_PG;
	s->host.cr4 = CR4_PAE;
	s->host.efer = EFER_LME | EFER_LMA | EFER_NXE;
	p->c->stage2 = true;
	p->c->mtrr.def_type = 0x806;                         /* on, WB */
	bus_write_u64(&p->bus, 0x5000 + 8 * 3, 0xd007);      /* 600000h to 7FFFFFh by small pages */
	bus_write_u64(&p->bus, 0xd000, TYPES_HPA | 7);
	return p;
}

static u8 type_seen(struct pc *p)
{
	u8 byte;

	tlb_flush_all(p->c);
	assert_int_equal(mmu_read_slow(p->c, TYPES_GPA, 1, ACC_READ, &byte), XR_OK);
	for (unsigned set = 0; set < TLB_SETS; set++)
		for (unsigned way = 0; way < TLB_WAYS; way++) {
			const struct tlb_entry *e = &p->c->tlb.small[set][way];

			if (e->valid && e->gpa == TYPES_GPA && e->vpn == TYPES_GPA >> 12) {
				assert_int_equal(e->pfn, TYPES_HPA >> 12);
				return e->memtype;
			}
		}
	fail_msg("no TLB entry");
	return 0;
}

static void test_memory_types(void **state)
{
	/* two different permutations: which PAT a type came from shows. */
	static const u8 guest[8] = {MT_WB, MT_WT, MT_UCM, MT_UC, MT_WP, MT_WC, MT_WB, MT_WB};
	static const u8 host[8] = {MT_WP, MT_WB, MT_WC, MT_UCM, MT_UC, MT_WT, MT_WB, MT_WB};
	struct pc *p = pc_for_types();
	struct svm *s = svm_of(p->c);

	(void)state;
	memcpy(&p->c->pat, guest, 8);
	memcpy(&s->host.pat, host, 8);
	for (unsigned g = 0; g < 8; g++)
		for (unsigned h = 0; h < 8; h++) {
			u64 pcd_pwt_guest = (g & 3u) << 3 | (u64)(g >> 2) << 12;
			u64 pcd_pwt_host = (h & 3u) << 3 | (u64)(h >> 2) << 7;

			bus_write_u64(&p->bus, 0x2000, 0xe7 | pcd_pwt_guest);
			bus_write_u64(&p->bus, 0xd000, TYPES_HPA | 7 | pcd_pwt_host);
			assert_int_equal(type_seen(p), svm_combine_mtrr(svm_combine_pat(guest[g], host[h]), MT_WB));
			proves("svm.2.21.8.2 svm.2.21.8.3");
		}
	/* MTRRs know host physical addresses */
	bus_write_u64(&p->bus, 0x2000, 0xe7);
	bus_write_u64(&p->bus, 0xd000, TYPES_HPA | 7 | 8); /* WB in both PATs */
	p->c->mtrr.base[0] = TYPES_GPA | MT_UC;
	p->c->mtrr.mask[0] = (mask(p->c->phys_bits - 1u, 12) & ~0xfffull) | BIT(11);
	assert_int_equal(type_seen(p), MT_WB);
	proves("svm.2.21.8.4");
	p->c->mtrr.base[0] = TYPES_HPA | MT_WP;
	assert_int_equal(type_seen(p), MT_WP);
	p->c->mtrr.mask[0] = 0;
	/* CR0.CD of either */
	assert_int_equal(type_seen(p), MT_WB);
	proves("svm.2.21.8.8 svm.2.21.8.9");
	p->c->cr0 |= CR0_CD;
	assert_int_equal(type_seen(p), SVM_MT_CD);
	p->c->cr0 &= ~(u64)CR0_CD;
	s->host.cr0 |= CR0_CD;
	assert_int_equal(type_seen(p), SVM_MT_CD);
	pc_free(p);
}

/* Cells of the manual's two tables, by their names there and not by our functions: guest PAT, host PAT, MTRR, result. */
static void test_memory_type_cells(void **state)
{
	static const u8 cells[][4] = {
	        {MT_WB, MT_WB, MT_WB, MT_WB},         {MT_WB, MT_WB, MT_UC, MT_UC},     {MT_WB, MT_WB, MT_WC, MT_WC},
	        {MT_WB, MT_WB, MT_WT, MT_WT},         {MT_WB, MT_WT, MT_WB, MT_WT},     {MT_WB, MT_WT, MT_WP, SVM_MT_CD},
	        {MT_WT, MT_WP, MT_WB, SVM_MT_CD},     {MT_UC, MT_WB, MT_WB, SVM_MT_CD}, {MT_UC, MT_UC, MT_UC, MT_UC},
	        {MT_UCM, MT_UCM, MT_WC, MT_WC},       {MT_UCM, MT_WC, MT_UC, MT_WC},    {MT_UCM, MT_WB, MT_WC, SVM_MT_CD},
	        {MT_WC, MT_UC, MT_WB, MT_WC},         {MT_WC, MT_WB, MT_UC, MT_WC},     {MT_WC, MT_WT, MT_WP, SVM_MT_WC_PLUS},
	        {MT_WC, MT_WB, MT_WB, SVM_MT_WC_PLUS}, {MT_WP, MT_WB, MT_WP, MT_WP},    {MT_WP, MT_WP, MT_WT, SVM_MT_CD},
	        {MT_WP, MT_WT, MT_WC, SVM_MT_CD},     {MT_WB, MT_UCM, MT_WT, SVM_MT_CD}, {MT_WP, MT_WB, MT_UC, MT_UC},
	};
	struct pc *p = pc_for_types();

	(void)state;
	bus_write_u64(&p->bus, 0x2000, 0xe7);
	for (size_t n = 0; n < ARRAY_LEN(cells); n++) {
		p->c->pat = cells[n][0]; /* entry 0 of each */
		svm_of(p->c)->host.pat = cells[n][1];
		p->c->mtrr.def_type = 0x800 | cells[n][2];
		if (type_seen(p) != cells[n][3])
			fail_msg("cell %u: %u, not %u", (unsigned)n, type_seen(p), cells[n][3]);
	}
	pc_free(p);
}

/* A20M does not touch guest-physical addresses: 600000h and 700000h stay two pages. */
static void test_a20(void **state)
{
	struct pc *p = pc_for_types();
	u8 low = 0, high = 0;

	(void)state;
	bus_write_u64(&p->bus, 0xd000 + 8 * 256, 0xa00007);
	bus_write(&p->bus, TYPES_HPA, &(const u8){1}, 1);
	bus_write(&p->bus, 0xa00000, &(const u8){2}, 1);
	bus_mask_a20(&p->bus, true);
	tlb_flush_all(p->c);
	assert_int_equal(mmu_read_slow(p->c, TYPES_GPA, 1, ACC_READ, &low), XR_OK);
	assert_int_equal(mmu_read_slow(p->c, TYPES_GPA + BIT(20), 1, ACC_READ, &high), XR_OK);
	assert_int_equal(low, 1);
	assert_int_equal(high, 2);
	bus_mask_a20(&p->bus, false);
	pc_free(p);
	proves("svm.2.21.11.1");
}

/* RESET in the middle of a guest ends all that VMRUN began. */
/* What an overlay puts over the VMCB and the save area is what VMRUN and #VMEXIT use, from the change of the map on. */
static void test_remapped(void **state)
{
	enum { OTHER_PA = 0x700000 };
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);
	struct vmcb_page *other = (struct vmcb_page *)(void *)bus_memory(&p->bus, OTHER_PA);
	struct space_overlay over = {.base = VMCB_PA, .size = PAGE_SIZE, .memory = OTHER_PA};

	(void)state;
	over.to[SPACE_CPU].memory = over.to[SPACE_SMM].memory = USE_ALL;
	CODE(p, GUEST_CODE, 0xf4);
	assert_int_equal(vmrun(p), 0x78);
	*other = *v;
	other->control.asid = 0;
	v->control.exitcode = 0;
	assert_true(bus_overlay(&p->bus, &over));
	bus_remap(&p->bus);
	vmrun(p);
	assert_int_equal(other->control.exitcode, ~0ull);
	assert_int_equal(v->control.exitcode, 0);
	other->control.asid = 1;
	other->save.rip = GUEST_CODE;
	vmrun(p);
	assert_int_equal(other->control.exitcode, 0x78);
	assert_int_equal(v->control.exitcode, 0);
	bus_lift(&p->bus, &over);
	bus_remap(&p->bus);
	other->control.exitcode = 0;
	assert_int_equal(vmrun(p), 0x78);
	assert_int_equal(other->control.exitcode, 0);
	pc_free(p);
}

static void test_reset_in_guest(void **state)
{
	for (unsigned gif = 0; gif < 2; gif++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_setup(p);
		struct cpu *c = p->c;
		u64 left = 0;
		bool masked;

		(void)state;
		v->control.icpt[3] = 1u << 31; /* not HLT: the guest stays */
		v->control.vintr = VINTR_IRQ | VINTR_MASKING | 5;
		v->control.tsc_offset = 0x123456789;
		CODE(p, GUEST_CODE, 0xf4);
		v->save.rip = GUEST_CODE;
		c->r[REG_RAX] = VMCB_PA;
		run_host(p);
		assert_true(c->guest);
		c->gif = gif;
		cpu_reset(c, false); /* whatever GIF is */
		assert_false(c->guest);
		proves("svm.2.13.7 svm.2.13.8");
		assert_false(svm_intr_masked(c, &masked));
		proves("svm.A.1.7");
		assert_true(c->gif);
		assert_int_equal(c->r[REG_RIP], 0xfff0);
		assert_int_equal(c->space, 0);
		proves("svm.A.1.4");
		assert_false(c->stage2);
		proves("svm.A.1.9");
		assert_false(c->pend & PEND_VIRQ);
		proves("svm.A.1.6");
		assert_int_equal(c->efer & EFER_SVME, 0);
		for (unsigned n = 0; n < ARRAY_LEN(c->icpt); n++)
			left |= c->icpt[n];
		assert_int_equal(left, 0);
		proves("svm.A.1.3");
		assert_int_equal(c->vm_hsave_pa, 0);
		proves("svm.E.4.6");
		pc_free(p);
	}
}

/* A host in legacy PAE mode whose PDPEs the guest changes: #VMEXIT reads them again. */
static void pae_host(struct pc *p, u64 pdpe)
{
	struct vmcb_page *v = svm_setup(p);
	struct cpu *c = p->c;

	v->control.n_cr3 = 0xe000;
	for (u64 g = 0; g < 2; g++) {
		bus_write_u64(&p->bus, 0xe000 + 8 * g, 0x40001 + 0x1000 * g);
		for (u64 n = 0; n < 512; n++)
			bus_write_u64(&p->bus, 0x40000 + 0x1000 * g + 8 * n, g << 30 | n << 21 | 0x87);
	}
	CODE(p, GUEST_CODE, 0x48, 0x89, 0x07, 0xf4); /* MOV [RDI], RAX; HLT */
	c->r[REG_RDI] = 0xe018;
	v->save.rax = pdpe;
	v->save.rip = GUEST_CODE;
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | AR_DB;
	c->efer = EFER_SVME | EFER_NXE;
	c->cr3 = 0xe000;
	cpu_update_mode(c);
	assert_int_equal(mmu_load_pdptes(c, c->cr3), XR_OK);
	c->r[REG_RAX] = VMCB_PA;
	c->r[REG_RIP] = HOST_CODE;
	for (unsigned slices = 0; slices < 20 && c->activity == ACT_RUN; slices++)
		cpu_run(c, p->clock.now + 100000);
}

static void test_host_pdptes(void **state)
{
	struct pc *p = pc_new("amd");

	(void)state;
	pae_host(p, 0x41001); /* legal: the host has it */
	assert_int_equal(p->c->activity, ACT_HLT);
	proves("svm.4.VMRUN.30");
	assert_false(p->c->guest);
	assert_int_equal(p->c->pdpte[3], 0x41001);
	pc_free(p);
	p = pc_new("amd");
	pae_host(p, 0x41003); /* reserved bit: shutdown */
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	proves("svm.2.3.24 svm.4.VMRUN.40");
	assert_int_equal(vmcb_of(p)->control.exitcode, 0x78);
	pc_free(p);
}

/* A triple fault of the guest, with the shutdown intercept and without */
static void test_guest_shutdown(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_setup(p);

		(void)state;
		v->control.icpt[3] = on << 31;
		v->save.rip = GUEST_CODE;
		CODE(p, GUEST_CODE, 0x0f, 0x0b); /* UD2, and no IDT */
		p->c->r[REG_RAX] = VMCB_PA;
		p->c->r[REG_RIP] = HOST_CODE;
		for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN; slices++)
			cpu_run(p->c, p->clock.now + 100000);
		assert_int_equal(p->c->activity, on ? ACT_HLT : ACT_SHUTDOWN);
		pc_free(p);
	}
	proves("svm.2.4.3.8");
}

/* An unmasked x87 error with CR0.NE = 0: the processor freezes, and that exits, unless IGNNE# is asserted. */
static void test_ferr_freeze(void **state)
{
	for (unsigned ignne = 0; ignne < 2; ignne++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_setup(p);

		(void)state;
		v->control.icpt[3] |= 1u << 30;
		v->save.cr0 &= ~(u64)CR0_NE;
		/* FNINIT; FLDCW [RIP + 38h]; FLD1; FLDZ; FDIVP; FWAIT; HLT */
		CODE(p, GUEST_CODE, 0xdb, 0xe3, 0xd9, 0x2d, 0x38, 0, 0, 0, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b,
		     0xf4);
		CODE(p, GUEST_CODE + 0x40, 0x7b, 0x03); /* division by zero is not masked */
		cpu_set_ignne(p->c, ignne);
		assert_int_equal(vmrun(p), ignne ? 0x78 : 0x7e);
		proves("svm.2.10.2.2");
		assert_int_equal(v->save.rip, GUEST_CODE + (ignne ? 15 : 14));
		pc_free(p);
	}
}

/* Virtual VMSAVE goes through the second stage; STGI and CLGI change the virtual GIF; LBR registers are exchanged. */
static void test_virtual_instructions(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	v->control.virt_ext = VIRT_EXT_VLS | VIRT_EXT_LBRV;
	v->control.vintr = VINTR_GIF_EN;
	v->save.rax = 0x2300000;
	v->save.dbgctl = 0;
	v->save.br_from = 0x1111;
	p->c->lbr_from = 0x2222;
	p->c->kernel_gs_base = 0x4455;
	bus_write_u64(&p->bus, 0x5000 + 8 * 0x11, 0x400087);           /* 2200000h is 400000h */
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xdb, 0x0f, 0x01, 0xdc, 0xf4); /* VMSAVE; STGI; HLT */
	assert_int_equal(vmrun(p), 0x78);
	assert_int_equal(bus_read_u64(&p->bus, 0x500000 + 0x400 + 0x220), 0x4455);
	assert_true(v->control.vintr & VINTR_GIF);
	assert_int_equal(v->save.br_from, 0x1111);
	assert_int_equal(p->c->lbr_from, 0x2222);
	v->save.rax = 0x2600000; /* not mapped */
	assert_int_equal(vmrun(p), 0x400);
	assert_int_equal(v->control.exitinfo2, 0x2600000);
	v->save.rax = 0x2300000;
	p->c->seg[SEG_CS].ar ^= AR_L | AR_DB; /* not honoured if the host is in compatibility mode */
	cpu_update_mode(p->c);
	assert_int_equal(vmrun(p), 0x83);
	p->c->seg[SEG_CS].ar ^= AR_L | AR_DB;
	cpu_update_mode(p->c);
	assert_int_equal(vmrun(p), 0x78);
	v->control.nested_ctl = 0; /* nor without nested paging: exits */
	assert_int_equal(vmrun(p), 0x83);
	pc_free(p);
}

static void test_tsc_and_pause(void **state)
{
	struct pc *p = pc_new("amd");
	struct vmcb_page *v = svm_setup(p);

	(void)state;
	p->c->guest = true;
	svm_of(p->c)->image[svm_of(p->c)->cur].control.tsc_offset = 5;
	p->c->tsc_ratio = BIT(31);
	assert_int_equal(svm_tsc(p->c, 1000), 505);
	p->c->guest = false;
	assert_int_equal(svm_tsc(p->c, 1000), 1000);
	/* three PAUSEs pass, the fourth exits; with a threshold that every gap exceeds, all pass */
	v->control.icpt[3] |= 1u << 23;
	v->control.pause_count = 3;
	CODE(p, GUEST_CODE, 0xf3, 0x90, 0xf3, 0x90, 0xf3, 0x90, 0xf3, 0x90, 0xf4);
	assert_int_equal(vmrun(p), 0x77);
	assert_int_equal(v->save.rip, GUEST_CODE + 6);
	v->control.pause_threshold = 1;
	assert_int_equal(vmrun(p), 0x78);
	v->control.pause_count = 0;
	assert_int_equal(vmrun(p), 0x77);
	assert_int_equal(v->save.rip, GUEST_CODE);
	pc_free(p);
}

/*
 * "I/O Permissions Map": twelve Kbytes of physical memory, whatever is there. Its first page is the last of RAM, and what
 * lies behind RAM reads as ones: a port of the first page is free, one of the second is not, and an access to both reads
 * both pages.
 */
static void test_iopm_behind_ram(void **state)
{
	static const struct {
		u16 port;
		bool leaves;
	} rows[] = {{0x7ffc, false}, {0x7ffe, true}, {0x8000, true}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = pc_new("amd");
		struct vmcb_page *v = svm_setup(p);

		v->control.icpt[3] |= 1u << 27;
		v->control.iopm_base_pa = BARE_RAM - PAGE_SIZE;
		CODE(p, GUEST_CODE, 0xef, 0x0f, 0x01, 0xd9); /* OUT DX, EAX; VMMCALL */
		p->c->r[REG_RDX] = rows[n].port;
		assert_int_equal(vmrun(p), rows[n].leaves ? 0x7b : 0x81);
		pc_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_world_switch),
	        cmocka_unit_test(test_vmrun_invalid),
	        cmocka_unit_test(test_nested_faults),
	        cmocka_unit_test(test_nested_tables),
	        cmocka_unit_test(test_exceptions_and_injection),
	        cmocka_unit_test(test_instruction_intercepts),
	        cmocka_unit_test(test_paged_real_mode),
	        cmocka_unit_test(test_vmload_vmsave),
	        cmocka_unit_test(test_nested_host_modes),
	        cmocka_unit_test(test_memory_types),
	        cmocka_unit_test(test_memory_type_cells),
	        cmocka_unit_test(test_a20),
	        cmocka_unit_test(test_remapped),
	        cmocka_unit_test(test_reset_in_guest),
	        cmocka_unit_test(test_host_pdptes),
	        cmocka_unit_test(test_guest_shutdown),
	        cmocka_unit_test(test_ferr_freeze),
	        cmocka_unit_test(test_virtual_instructions),
	        cmocka_unit_test(test_tsc_and_pause),
	        cmocka_unit_test(test_iopm_behind_ram),
	};

	return cmocka_run_group_tests_name("world_switch", tests, NULL, NULL);
}
