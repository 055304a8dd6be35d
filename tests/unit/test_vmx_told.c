/*
 * What VMX tells beside the checks: who set each field of a VMCS and what changed since its last entry, EPT misconfigurations
 * with the walk ("EPT Misconfigurations"), VMX aborts ("VMX Aborts").
 */
#include "report.h"
#include "vmx_fixture.h"

static struct refusal last;
static char event[128], names[9][64];
static unsigned told;

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	(void)arg;
	(void)c;
	last = *r;
	snprintf(event, sizeof(event), "%s", r->event);
	for (unsigned n = 0; n < r->fields; n++)
		snprintf(names[n], sizeof(names[n]), "%s", r->field[n].name);
	told++;
}

static struct pc *listening(struct pc *p)
{
	p->hooks.refused = listen;
	told = 0;
	return p;
}

/* ---- who set a field ---- */

#define VMWRITE 0x90c1790f /* VMWRITE RAX, RCX */

static void vmwrite(struct pc *p, u32 encoding, u64 value)
{
	p->c->r[REG_RAX] = encoding;
	p->c->r[REG_RCX] = value;
	assert_int_equal(vmx_step(p, 0, VMWRITE), 0);
}

static void launch(struct pc *p, u32 insn)
{
	assert_int_equal(vmx_step(p, 0, insn), 0);
	assert_int_equal(vmcs_get(vmx_of(p->c), VMCS_EXIT_REASON), 12); /* the guest's HLT */
}

static struct pc *ready(void)
{
	struct pc *p = listening(pc_in_vmx());

	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	return p;
}

static void test_origins(void **state)
{
	struct pc *p = ready();
	struct origin o;
	u64 insn;

	(void)state;
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RFLAGS).kind, ORIGIN_NEVER);
	assert_false(vmx_written(vmx_of(p->c), VMCS_GUEST_RFLAGS));
	insn = p->c->insns;
	vmwrite(p, VMCS_GUEST_RFLAGS, 2);
	o = vmx_origin(p->c, VMCS_GUEST_RFLAGS);
	assert_int_equal(o.kind, ORIGIN_VMWRITE);
	assert_true(o.placed);
	assert_int_equal(o.rip, HOST_CODE);
	assert_int_equal(o.insn, insn);
	assert_int_equal(o.cpu, 0);
	assert_true(vmx_written(vmx_of(p->c), VMCS_GUEST_RFLAGS));
	vmwrite(p, VMCS_HOST_RIP, HOST_CODE + 0x80);
	launch(p, VMLAUNCH);
	/* guest state is saved by the exit, host state is not; IA32_DEBUGCTL only with "save debug controls" */
	o = vmx_origin(p->c, VMCS_GUEST_RFLAGS);
	assert_int_equal(o.kind, ORIGIN_EXIT);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.code, 12);
	assert_string_equal(o.name, "HLT");
	assert_int_equal(vmx_origin(p->c, VMCS_HOST_RIP).kind, ORIGIN_VMWRITE);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_DEBUGCTL).kind, ORIGIN_NEVER);
	assert_true(vmx_written(vmx_of(p->c), VMCS_GUEST_CS_BASE));
	assert_false(vmx_written(vmx_of(p->c), VMCS_GUEST_DEBUGCTL));
	assert_false(vmx_written(vmx_of(p->c), VMCS_HOST_RSP));
	/* written again, it is the VMWRITE's until the next exit */
	vmwrite(p, VMCS_GUEST_RIP, GUEST_CODE);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RIP).kind, ORIGIN_VMWRITE);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_EXIT);
	launch(p, VMRESUME);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RIP).n, 2);
	pc_free(p);
}

#define OTHER_PA 0x42000ull

/* The diary is the region's: it is kept while others are current, and VMCLEAR ends it. */
static void test_regions(void **state)
{
	struct pc *p = ready();

	(void)state;
	vmwrite(p, VMCS_GUEST_RSP, 0x1234);
	bus_write_u32(&p->bus, OTHER_PA, VMX_REVISION);
	assert_int_equal(vmx_step(p, OTHER_PA, VMPTRLD), 0); /* which no VMCLEAR has seen: nobody knows */
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_UNKNOWN);
	assert_true(vmx_written(vmx_of(p->c), VMCS_GUEST_RSP));
	assert_int_equal(vmx_step(p, VMCS_PA, VMPTRLD), 0);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_VMWRITE);
	assert_int_equal(vmx_step(p, VMCS_PA, VMCLEAR), 0);
	assert_int_equal(vmx_step(p, VMCS_PA, VMPTRLD), 0);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_NEVER);
	/* state from outside: nobody knows again */
	p->c->virt->life.loaded(p->c);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_UNKNOWN);
	pc_free(p);
}

/* More regions than the shelf has places: what is forgotten is not known, and nothing else happens. */
static void test_many(void **state)
{
	struct pc *p = ready();

	(void)state;
	for (u64 n = 0; n < 3000; n++)
		assert_int_equal(vmx_step(p, 0x1000000 + n * PAGE_SIZE, VMCLEAR), 0);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_NEVER); /* the current one's stays */
	pc_free(p);
}

/* VMWRITE in a guest goes to the shadow VMCS. */
static void test_shadow(void **state)
{
	struct pc *p = ready();

	(void)state;
	bus_write_u32(&p->bus, OTHER_PA, VMX_REVISION);
	assert_int_equal(vmx_step(p, OTHER_PA, VMCLEAR), 0);
	bus_write_u32(&p->bus, OTHER_PA, VMX_REVISION | VMCS_SHADOW);
	bus_write_u32(&p->bus, 0x48000, 0);
	vmcs_set(vmx_of(p->c), VMCS_LINK_POINTER, OTHER_PA);
	vmcs_set(vmx_of(p->c), VMCS_PROC2_CONTROLS, 0x22 | PROC2_SHADOW_VMCS);
	vmcs_set(vmx_of(p->c), VMCS_VMREAD_BITMAP, 0x48000);
	vmcs_set(vmx_of(p->c), VMCS_VMWRITE_BITMAP, 0x48000);
	/* MOV EAX, 6820h; VMWRITE RAX, RCX; HLT */
	CODE(p, GUEST_CODE, 0xb8, 0x20, 0x68, 0x00, 0x00, 0x0f, 0x79, 0xc1, 0xf4);
	launch(p, VMLAUNCH);
	assert_int_equal(vmx_step(p, OTHER_PA, VMPTRLD), 0);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RFLAGS).kind, ORIGIN_VMWRITE);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RFLAGS).rip, GUEST_CODE + 5);
	assert_int_equal(vmx_origin(p->c, VMCS_GUEST_RSP).kind, ORIGIN_NEVER);
	pc_free(p);
}

static void test_changes(void **state)
{
	struct pc *p = ready();
	struct check_change ch[64];
	size_t count;

	(void)state;
	CODE(p, GUEST_CODE, 0x90, 0xf4);
	assert_int_equal(vmx_changed(p->c, ch, ARRAY_LEN(ch)), 0); /* no entry yet */
	launch(p, VMLAUNCH);
	vmwrite(p, VMCS_HOST_RSP, 0x7f000);
	vmwrite(p, VMCS_HOST_TR_SEL, 24); /* as it was */
	count = vmx_changed(p->c, ch, ARRAY_LEN(ch));
	assert_int_equal(count, 1);
	assert_int_equal(ch[0].key, VMCS_HOST_RSP);
	assert_int_equal(ch[0].was, 0x80000);
	assert_int_equal(ch[0].now, 0x7f000);
	assert_int_equal(ch[0].set.kind, ORIGIN_VMWRITE);
	vmwrite(p, VMCS_HOST_RSP, 0x7e000); /* the old value stays that of the entry */
	vmwrite(p, VMCS_GUEST_RIP, GUEST_CODE);
	count = vmx_changed(p->c, ch, ARRAY_LEN(ch));
	assert_int_equal(count, 2);
	assert_int_equal(ch[0].key, VMCS_GUEST_RIP);
	assert_int_equal(ch[0].was, GUEST_CODE + 1); /* as the exit left it */
	assert_int_equal(ch[0].now, GUEST_CODE);
	assert_int_equal(ch[1].was, 0x80000);
	assert_int_equal(ch[1].now, 0x7e000);
	assert_int_equal(vmx_changed(p->c, ch, 1), count); /* how many there are */
	/* an entry that fails changes nothing of this, one that succeeds does */
	vmwrite(p, VMCS_HOST_CR3, 1ull << 60);
	assert_int_equal(vmx_step(p, 0, VMRESUME), FL_ZF);
	assert_string_equal(last.check, "vmx.host.cr3");
	assert_int_equal(last.field[0].set.kind, ORIGIN_VMWRITE);
	assert_int_equal(last.field[0].key, VMCS_HOST_CR3);
	assert_int_equal(vmx_changed(p->c, ch, 0), count + 1);
	vmwrite(p, VMCS_HOST_CR3, 0x1000);
	launch(p, VMRESUME);
	assert_int_equal(vmx_changed(p->c, ch, ARRAY_LEN(ch)), 0);
	pc_free(p);
}

/* Of what a check looks at in memory, the store; with EPT the PDPTEs are fields. */
static u64 asked;

static bool writer(void *arg, u64 pa, struct origin *o)
{
	(void)arg;
	asked = pa;
	*o = (struct origin){.kind = ORIGIN_STORE, .placed = true, .rip = 0x1234, .insn = 77};
	return true;
}

static void refused(struct pc *p, const char *id, const char *name, unsigned field, enum origin_kind kind, u64 pa)
{
	p->hooks.writer = writer;
	asked = 0;
	told = 0;
	(void)vmx_step(p, 0, VMLAUNCH);
	assert_int_equal(told, 1);
	assert_string_equal(last.check, id);
	assert_string_equal(names[field], name);
	assert_int_equal(last.field[field].set.kind, kind);
	assert_int_equal(asked, pa);
	pc_free(p);
}

/* A guest with PAE paging, whose second PDPTE has a reserved bit. */
static struct pc *pae_guest(bool ept)
{
	struct pc *p = ready();
	struct vmx *v = vmx_of(p->c);

	vmcs_set(v, VMCS_ENTRY_CONTROLS, vmcs_get(v, VMCS_ENTRY_CONTROLS) & ~(u64)ENTRY_GUEST64);
	vmcs_set(v, VMCS_GUEST_EFER, 0);
	vmcs_set(v, VMCS_GUEST_CS_AR, 0xc09b);
	vmcs_set(v, VMCS_GUEST_CR3, 0x61020);
	bus_write_u64(&p->bus, 0x61028, 0x7021);
	if (ept)
		vmwrite(p, VMCS_GUEST_PDPTE0 + 2, 0x7021);
	else
		vmcs_set(v, VMCS_PROC2_CONTROLS, 0);
	return p;
}

static void test_memory(void **state)
{
	struct pc *p = ready();

	(void)state;
	bus_write_u32(&p->bus, OTHER_PA, 0x1234);
	vmcs_set(vmx_of(p->c), VMCS_LINK_POINTER, OTHER_PA);
	refused(p, "vmx.guest.link-pointer.revision", "first doubleword at the VMCS link pointer", 1, ORIGIN_STORE, OTHER_PA);
	refused(pae_guest(false), "vmx.guest.pdpte", "PDPTE1", 0, ORIGIN_STORE, 0x61028);
	refused(pae_guest(true), "vmx.guest.pdpte", "PDPTE1", 0, ORIGIN_VMWRITE, 0);
}

/* ---- EPT misconfigurations ---- */

static const struct {
	const char *model, *id;
	u64 at, entry;
	const char *name, *words;
	u64 proc3;
} misconfigured[] = {
        {"intel", "vmx.ept.write-only", 0x5008, 0x2000b6, "EPT PDE at 0x5008", "-WX, memory type 6 (WB), page at 0x200000", 0},
        {"intel,-vmx-ept-execonly", "vmx.ept.execute-only", 0x5008, 0x2000b4, "EPT PDE at 0x5008",
         "--X, memory type 6 (WB), page at 0x200000", 0},
        {"intel", "vmx.ept.address", 0x5008, 1ull << 46 | 0x2000b7, "EPT PDE at 0x5008",
         "bit 46 must be 0; RWX, memory type 6 (WB), page at 0x400000200000", 0},
        {"intel", "vmx.ept.reserved", 0x4000, 0x500f, "EPT PDPTE at 0x4000", "bit 3 must be 0; RWX, table at 0x5000", 0},
        {"intel", "vmx.ept.large-page", 0x5008, 0x2010b7, "EPT PDE at 0x5008",
         "bit 12 must be 0; RWX, memory type 6 (WB), page at 0x201000", 0},
        {"intel", "vmx.ept.memory-type", 0x5008, 0x200097, "EPT PDE at 0x5008",
         "RWX, memory type 2 (reserved type), page at 0x200000", 0},
        {"intel", "vmx.ept.paging-write", 0x5008, BIT(58) | 0x2000b4, "EPT PDE at 0x5008",
         "--X, memory type 6 (WB), page at 0x200000", PROC3_PAGING_WRITE},
};

static struct pc *on_model(const char *model)
{
	struct pc *p = pc_enter_vmx(listening(pc_new(model)));

	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	return p;
}

static void one_misconfiguration(unsigned n)
{
	struct pc *p = on_model(misconfigured[n].model);
	struct vmx *v = vmx_of(p->c);

	if (misconfigured[n].proc3) {
		vmcs_set(v, VMCS_PROC_CONTROLS, vmcs_get(v, VMCS_PROC_CONTROLS) | PROC_TERTIARY);
		vmcs_set(v, VMCS_PROC3_CONTROLS, misconfigured[n].proc3);
	}
	bus_write_u64(&p->bus, misconfigured[n].at, misconfigured[n].entry);
	assert_int_equal(vmx_step(p, 0, VMLAUNCH), 0);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), 49);
	assert_int_equal(told, 1);
	assert_int_equal(last.kind, REFUSAL_PAGING);
	assert_string_equal(last.check, misconfigured[n].id);
	assert_string_equal(event, "EPT misconfiguration: VM exit, reason 49");
	assert_string_equal(names[0], misconfigured[n].name);
	assert_int_equal(last.field[0].value, misconfigured[n].entry);
	assert_string_equal(last.field[0].decoded, misconfigured[n].words);
	assert_string_equal(names[1], "Guest-physical address (0x2400)");
	assert_string_equal(last.line[0].label, "walk");
	/* with accessed flags: bit 8 */
	assert_string_equal(last.line[0].text, "EPT PML4E at 0x3000 = 0x4107: RWX, table at 0x4000");
	assert_int_equal(last.lines, misconfigured[n].at == 0x4000 ? 2 : 3);
	/* the same entry is told once */
	assert_int_equal(vmx_step(p, 0, VMRESUME), 0);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), 49);
	assert_int_equal(told, 1);
	pc_free(p);
}

static void test_misconfigurations(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(misconfigured); n++)
		one_misconfiguration(n);
	for (unsigned k = 0; k < VMX_EPT_CAUSES; k++) {
		bool found = false;

		for (unsigned n = 0; n < ARRAY_LEN(misconfigured); n++)
			found |= !strcmp(misconfigured[n].id, vmx_ept_checks[k].id);
		assert_true(found);
	}
}

/* ---- VMX aborts ---- */

static void aborted(struct pc *p, const char *id, u32 indicator, const char *what)
{
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	assert_int_equal(bus_read_u32(&p->bus, VMCS_PA + VMCS_REGION_ABORT), indicator);
	assert_int_equal(told, 1);
	assert_int_equal(last.kind, REFUSAL_ABORT);
	assert_string_equal(last.check, id);
	assert_string_equal(event, what);
	pc_free(p);
}

static void to_the_end(struct pc *p)
{
	bus_write_u32(&p->bus, HOST_CODE, VMLAUNCH);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
}

static void test_abort_msrs(void **state)
{
	struct pc *p = ready();

	(void)state;
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_ADDR, 0x60000);
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_COUNT, 2);
	bus_write_u64(&p->bus, 0x60000, 0x174);
	bus_write_u64(&p->bus, 0x60010, 0x808);
	to_the_end(p);
	assert_string_equal(names[0], "MSR index");
	assert_int_equal(last.field[0].value, 0x808);
	assert_string_equal(last.field[0].decoded, "entry 2");
	assert_string_equal(names[1], "VM-exit MSR-store address (0x2006)");
	aborted(p, "vmx.abort.msr-store", 1, "VM exit failed: VMX abort, indicator 1: saving guest MSRs");

	p = ready();
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_ADDR, 0x60000);
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_COUNT, 1);
	bus_write_u64(&p->bus, 0x60000, 0x174 | 1ull << 32);
	to_the_end(p);
	assert_string_equal(names[2], "VM-exit MSR-load address (0x2008)");
	aborted(p, "vmx.msr-load.reserved", 4, "VM exit failed: VMX abort, indicator 4: loading host MSRs");
}

static void test_abort_state(void **state)
{
	struct pc *p = ready();

	(void)state;
	p->c->cr3 = 0x60000;
	bus_write_u64(&p->bus, 0x60008, 0x7021);
	vmx_abort(p->c, VMX_ABORT_PDPTE, 0);
	assert_string_equal(names[0], "PDPTE1");
	assert_string_equal(last.field[0].decoded, "bit 5 must be 0");
	aborted(p, "vmx.abort.host-pdpte", 2, "VM exit failed: VMX abort, indicator 2: host page-directory-pointer-table entries");

	p = ready();
	vmx_abort(p->c, VMX_ABORT_MODE, 0);
	assert_string_equal(names[0], "VM-exit controls (0x400c)");
	aborted(p, "vmx.abort.address-space", 6, "VM exit failed: VMX abort, indicator 6: host address-space size");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_origins), cmocka_unit_test(test_regions),        cmocka_unit_test(test_many),
	        cmocka_unit_test(test_shadow),  cmocka_unit_test(test_changes),        cmocka_unit_test(test_misconfigurations),
	        cmocka_unit_test(test_abort_msrs), cmocka_unit_test(test_memory), cmocka_unit_test(test_abort_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
