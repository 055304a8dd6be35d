/*
 * SMIs in VMX operation, on a bare processor: by the default treatment what leaves it, what RSM brings back, what happens
 * in between; by the dual-monitor treatment what no register holds.  "Default Treatment of SMIs and SMM with VMX Operation and SMX Operation".
 */
#include "report.h"
#include "vmx_fixture.h"

#include "cpu/control/smm.h"
#include "cpu/control/smm_map.h"

/* Of the save-state map; the rest is where the model's rows say. */
enum { SMBASE = 0x30000, MAP_EPT = 0xfee0, MAP_EPTP = 0xfed8 };
enum { HANDLER_NOPS = 40 };

/* 40 NOPs, RSM. */
static struct pc *machine(void)
{
	struct pc *p = pc_in_vmx();

	for (unsigned n = 0; n < HANDLER_NOPS; n++)
		CODE(p, SMBASE + 0x8000 + n, 0x90);
	CODE(p, SMBASE + 0x8000 + HANDLER_NOPS, 0x0f, 0xaa);
	CODE(p, GUEST_CODE, 0xeb, 0xfe); /* the guest: JMP to itself */
	CODE(p, HOST_CODE + 0x80, 0xeb, 0xfe);
	return p;
}

static void run_one(struct pc *p)
{
	cpu_run(p->c, p->clock.now + 1);
	clock_fire(&p->clock);
}

static void launch(struct pc *p)
{
	bus_write_u32(&p->bus, HOST_CODE, VMLAUNCH);
	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	for (unsigned n = 0; n < 4 && !p->c->guest; n++)
		run_one(p);
	assert_true(p->c->guest);
}

static void into_smm(struct pc *p)
{
	cpu_raise(p->c, PEND_SMI);
	for (unsigned n = 0; n < 4 && !p->c->smm; n++)
		run_one(p);
	assert_true(p->c->smm);
}

static void back(struct pc *p)
{
	for (unsigned n = 0; n < 2 * HANDLER_NOPS && p->c->smm; n++)
		run_one(p);
	assert_false(p->c->smm);
}

/* Behind RSM: the exit, and that it came before any instruction. */
static u64 exit_behind(struct pc *p, u64 rip)
{
	for (unsigned n = 0; n < 4 && p->c->guest; n++)
		run_one(p);
	assert_false(p->c->guest);
	assert_int_equal(vmcs_get(vmx_of(p->c), VMCS_GUEST_RIP), rip);
	return vmcs_get(vmx_of(p->c), VMCS_EXIT_REASON);
}

static u64 map_read(struct pc *p, unsigned at)
{
	u64 v;

	bus_read(&p->bus, SMBASE + at, &v, sizeof(v));
	return v;
}

static unsigned place(const struct cpu *c, size_t member)
{
	const struct smm_map *m = smm_map_of(c);

	for (size_t n = 0; n < m->count; n++)
		if (m->rows[n].offset == member)
			return m->rows[n].at;
	fail();
	return 0;
}
#define MAP(member) place(p->c, offsetof(struct smm_state, member))

/* Nothing of VMX is left in SMM, and nothing of it can be had there. */
static void expect_outside(struct cpu *c)
{
	assert_false(c->virt_root || c->guest || c->stage2 || c->mtf);
	assert_int_equal(c->cr4 & CR4_VMXE, 0);
	assert_int_equal(c->icpt[0] | c->icpt[1] | c->icpt[2] | c->icpt[3] | c->icpt[4], 0);
	assert_int_equal(cr4_write(c, c->cr4 | CR4_VMXE), XR_FAULT); /* "Protection of CR4.VMXE in SMM" */
	assert_int_equal(c->fault.vector, EX_GP);
}

/* From root operation: the fixed bits are forced whatever the handler has made of the map, RPLs follow SS.DPL. */
static void test_root(void **state)
{
	struct pc *p = machine();
	struct cpu *c = p->c;

	(void)state;
	c->r[REG_RIP] = HOST_CODE + 0x80;
	c->activity = ACT_RUN;
	into_smm(p);
	expect_outside(c);
	assert_int_equal(map_read(p, MAP(cr4)) & CR4_VMXE, 0);
	assert_int_equal(map_read(p, MAP_EPT) & 1, 0);
	bus_write_u64(&p->bus, SMBASE + MAP(cr0), map_read(p, MAP(cr0)) & ~(u64)CR0_NE);
	CODE(p, SMBASE + MAP(seg[SEG_CS].sel), 0x0b);
	cpu_raise(c, PEND_INIT);
	back(p);
	assert_true(c->virt_root && !c->guest);
	assert_true(c->cr4 & CR4_VMXE);
	assert_true(c->cr0 & CR0_NE);
	assert_int_equal(c->seg[SEG_CS].sel, 8);
	assert_int_equal(vmx_of(c)->current, VMCS_PA);
	run_one(p);
	assert_true(c->pend & PEND_INIT); /* blocked in root operation */
	assert_true(c->virt_root);
	proves("vmx04.1.8.15.now");
	pc_free(p);
}

/* Outside VMX operation CR4.VMXE comes back, and nothing else. */
static void test_outside(void **state)
{
	struct pc *p = machine();
	struct cpu *c = p->c;

	(void)state;
	c->virt_root = false;
	c->r[REG_RIP] = HOST_CODE + 0x80;
	into_smm(p);
	expect_outside(c);
	back(p);
	assert_true(c->cr4 & CR4_VMXE);
	assert_false(c->virt_root);
	pc_free(p);
}

/* From a guest under EPT: where its tables are is in the map. Behind RSM no translation is older than it. */
static void test_guest(void **state)
{
	struct pc *p = machine();
	struct cpu *c = p->c;
	struct vmx *v = vmx_of(c);

	(void)state;
	vmcs_set(v, VMCS_EXCEPTION_BITMAP, 1u << EX_PF);
	bus_write_u64(&p->bus, 0x2008, 0xe7);          /* the second GiB is the first */
	CODE(p, GUEST_CODE, 0x8a, 0x03, 0xeb, 0xfc); /* MOV AL, [RBX]; JMP back */
	CODE(p, 0x300000, 0x5a);
	c->r[REG_RBX] = 0x40300000;
	launch(p);
	for (unsigned n = 0; n < 3; n++)
		run_one(p);
	assert_int_equal(c->r[REG_RAX] & 0xff, 0x5a);
	into_smm(p);
	expect_outside(c);
	assert_int_equal(map_read(p, MAP_EPT) & 1, 1);
	assert_int_equal(map_read(p, MAP_EPTP), NCR3 | 0x5e);
	bus_write_u64(&p->bus, 0x2008, 0);
	back(p);
	assert_true(c->virt_root && c->guest && c->stage2);
	assert_int_equal(exit_behind(p, GUEST_CODE), 0);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_INTR_INFO) & 0xff, EX_PF);
	proves("vmx04.1.8.15.now");
	pc_free(p);
}

/* A physical NMI that came in SMM exits behind RSM although a virtual one is blocked, which stays so. */
static void test_virtual_nmi(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	vmcs_set(v, VMCS_PIN_CONTROLS, 0x16 | PIN_NMI | PIN_VIRTUAL_NMI);
	vmcs_set(v, VMCS_GUEST_INTERRUPTIBILITY, 8);
	launch(p);
	into_smm(p);
	cpu_raise(p->c, PEND_NMI);
	run_one(p);
	assert_true(p->c->pend & PEND_NMI); /* blocked in SMM */
	back(p);
	assert_true(p->c->nmi_blocked);
	assert_int_equal(exit_behind(p, GUEST_CODE), 0);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_INTR_INFO), BIT(31) | 2 << 8 | 2);
	assert_int_equal(vmcs_get(v, VMCS_GUEST_INTERRUPTIBILITY), 8);
	pc_free(p);
}

/* "If an MTF VM exit was pending at the time of the previous SMI, an MTF VM exit is pending" behind RSM. */
static void test_mtf(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	for (unsigned pending = 0; pending < 2; pending++) {
		vmcs_set(v, VMCS_PROC_CONTROLS, vmcs_get(v, VMCS_PROC_CONTROLS) | (pending ? PROC_MTF : 0));
		CODE(p, GUEST_CODE, 0x90, 0xeb, 0xfe);
		launch(p);
		if (pending)
			cpu_raise(p->c, PEND_MTF);
		into_smm(p);
		assert_false(p->c->pend & PEND_MTF);
		back(p);
		assert_int_equal(p->c->mtf, pending);
		if (pending)
			assert_int_equal(exit_behind(p, GUEST_CODE), 37);
		else
			pc_free(p), p = machine(), v = vmx_of(p->c);
	}
	pc_free(p);
}

/* The preemption timer counts on in SMM; its exit comes behind RSM. */
static void test_timer(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	vmcs_set(v, VMCS_PIN_CONTROLS, 0x16 | PIN_PREEMPTION_TIMER);
	vmcs_set(v, VMCS_PREEMPTION_TIMER, 20);
	launch(p);
	into_smm(p);
	back(p);
	assert_int_equal(exit_behind(p, GUEST_CODE), 52);
	vmcs_set(v, VMCS_PREEMPTION_TIMER, 1000000); /* and not, if there is time left */
	v->launched = false;
	launch(p);
	into_smm(p);
	back(p);
	run_one(p);
	assert_true(p->c->guest && v->preempt.armed);
	pc_free(p);
}

/* A window that the handler's RFLAGS open is there behind RSM. */
static void test_window(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	vmcs_set(v, VMCS_PROC_CONTROLS, vmcs_get(v, VMCS_PROC_CONTROLS) | PROC_INT_WINDOW);
	launch(p);
	into_smm(p);
	bus_write_u64(&p->bus, SMBASE + MAP(rflags), map_read(p, MAP(rflags)) | FL_IF);
	back(p);
	assert_int_equal(exit_behind(p, GUEST_CODE), 7);
	pc_free(p);
}

/* "IF VMXE = 1 in CR4 image in SMRAM THEN fail and enter shutdown state" */
static void test_vmxe_in_map(void **state)
{
	struct pc *p = machine();

	(void)state;
	p->c->r[REG_RIP] = HOST_CODE + 0x80;
	p->c->activity = ACT_RUN;
	into_smm(p);
	bus_write_u64(&p->bus, SMBASE + MAP(cr4), map_read(p, MAP(cr4)) | CR4_VMXE);
	for (unsigned n = 0; n < 2 * HANDLER_NOPS && p->c->activity == ACT_RUN; n++)
		run_one(p);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	pc_free(p);
}

/* "VMXOFF and SMI Unblocking": what leaves SMIs blocked outside SMM is the monitor there, or SMX. */
static void test_vmxoff(void **state)
{
	(void)state;
	for (unsigned keeps = 0; keeps < 2; keeps++) {
		struct pc *p = machine();
		u64 v;

		assert_true(msr_read(p->c, 0x9b, &v) && v == 0);
		assert_false(msr_write(p->c, 0x9b, 0)); /* outside SMM */
		p->c->smm = true;
		assert_false(msr_write(p->c, 0x9b, BIT(1)) || msr_write(p->c, 0x9b, BIT(32)) || msr_write(p->c, 0x9b, BIT(11)));
		assert_true(msr_write(p->c, 0x9b, keeps ? 0x12345005 : 0x12345001));
		assert_true(msr_read(p->c, 0x9e, &v) && v == SMBASE && !msr_write(p->c, 0x9e, v));
		p->c->smm = false;
		assert_false(msr_read(p->c, 0x9e, &v));
		p->c->smi_blocked = true;
		CODE(p, HOST_CODE, 0x0f, 0x01, 0xc4, 0xf4); /* VMXOFF; HLT */
		run_host(p);
		assert_false(p->c->virt_root);
		assert_int_equal(p->c->smi_blocked, keeps);
		proves("vmcall.38 vmcall.39");
		cpu_reset(p->c, true);
		assert_true(msr_read(p->c, 0x9b, &v) && v == (keeps ? 0x12345005 : 0x12345001)); /* INIT is no reset */
		cpu_reset(p->c, false);
		assert_true(msr_read(p->c, 0x9b, &v) && v == 0);
		proves("vmcall.40");
		pc_free(p);
	}
}

/* ---- the dual-monitor treatment ---- */

enum { MSEG = 0x70000, STM_CODE = 0x71000, GUEST_VMCS = 0x42000 };

static void run_until(struct pc *p, bool smm)
{
	for (unsigned n = 0; n < 8 && p->c->smm != smm; n++)
		run_one(p);
	assert_int_equal(p->c->smm, smm);
}

/* The monitor's tables and code lie before and behind MSEG; it waits for what is to come. */
static void activate(struct pc *p)
{
	const u32 header[] = {VMX_MSEG_REVISION, 1, 0xffff, 0, 8, STM_CODE - MSEG, 0x8000, 0x1000u - MSEG};

	bus_write(&p->bus, MSEG, header, sizeof(header));
	p->c->smm = true;
	assert_true(msr_write(p->c, 0x9b, MSEG | 1));
	p->c->smm = false;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xc1);
	CODE(p, STM_CODE, 0xeb, 0xfe);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	run_until(p, true);
	assert_true(vmx_of(p->c)->dual);
	assert_int_equal(p->c->r[REG_RIP], STM_CODE);
}

/* A VMCS in memory for a guest with virtual interrupts and a page-modification log, launched. */
static void guest_vmcs(struct pc *p)
{
	u64 f[VMCS_SLOTS];

	memcpy(f, vmx_of(p->c)->f, sizeof(f));
	f[vmcs_slot(VMCS_PIN_CONTROLS)] = 0x16 | PIN_EXT_INT;
	f[vmcs_slot(VMCS_PROC_CONTROLS)] |= PROC_TPR_SHADOW;
	f[vmcs_slot(VMCS_PROC2_CONTROLS)] |= PROC2_VIRTUAL_INT | PROC2_PML;
	f[vmcs_slot(VMCS_VIRTUAL_APIC_ADDR)] = 0x43000;
	f[vmcs_slot(VMCS_PML_ADDR)] = 0x44000;
	f[vmcs_slot(VMCS_PML_INDEX)] = 1;
	f[vmcs_slot(VMCS_LINK_POINTER)] = ~0ull;
	bus_write_u32(&p->bus, GUEST_VMCS, VMX_REVISION);
	bus_write_u32(&p->bus, GUEST_VMCS + VMCS_REGION_LAUNCHED, 1);
	bus_write(&p->bus, GUEST_VMCS + VMCS_REGION_FIELDS, f, sizeof(f));
}

/* What a guest keeps in its VMCS goes along into SMM and back, and the link pointer tells the current-VMCS pointer. */
static void test_carried(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	activate(p);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), BIT(29) | 18);
	assert_int_equal(vmcs_get(v, VMCS_EXECUTIVE_VMCS), VMXON_PA);
	assert_int_equal(vmcs_get(v, VMCS_LINK_POINTER), VMCS_PA);
	proves("vmcall.44 vmcall.46");
	guest_vmcs(p);
	vmcs_set(v, VMCS_EXECUTIVE_VMCS, GUEST_VMCS);
	vmcs_set(v, VMCS_LINK_POINTER, ~0ull);
	vmcs_set(v, VMCS_GUEST_RIP, GUEST_CODE);
	vmcs_set(v, VMCS_GUEST_INT_STATUS, 0x2030);
	vmcs_set(v, VMCS_PML_INDEX, 77);
	vmcs_set(v, VMCS_HOST_RIP, STM_CODE + 0x100);
	CODE(p, STM_CODE, 0x0f, 0x01, 0xc2); /* VMLAUNCH */
	CODE(p, STM_CODE + 0x100, 0xeb, 0xfe);
	run_until(p, false);
	assert_true(p->c->guest && v->current == GUEST_VMCS && v->transfer == VMCS_PA);
	assert_int_equal(vmcs_get(v, VMCS_GUEST_INT_STATUS), 0x2030);
	assert_int_equal(vmcs_get(v, VMCS_PML_INDEX), 77);
	vmcs_set(v, VMCS_GUEST_INT_STATUS, 0x2040);
	vmcs_set(v, VMCS_PML_INDEX, 76);
	cpu_raise(p->c, PEND_SMI);
	run_until(p, true);
	assert_true(!p->c->guest && v->current == VMCS_PA);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), 6);
	assert_int_equal(vmcs_get(v, VMCS_EXECUTIVE_VMCS), GUEST_VMCS);
	assert_int_equal(vmcs_get(v, VMCS_LINK_POINTER), ~0ull);
	assert_int_equal(vmcs_get(v, VMCS_GUEST_INT_STATUS), 0x2040);
	assert_int_equal(vmcs_get(v, VMCS_PML_INDEX), 76);
	assert_int_equal(vmcs_get(v, VMCS_GUEST_SMBASE), SMBASE);
	proves("vmcall.45 vmx04.2.3.1.46.now vmx04.3.1.3.30.now");
	pc_free(p);
}

/* A list that an entry from SMM cannot load leaves the processor with the monitor, in SMM: exit reason 34. */
static void test_failed_return(void **state)
{
	struct pc *p = machine();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	activate(p);
	bus_write_u64(&p->bus, 0x60000, 0x9e); /* IA32_SMBASE */
	vmcs_set(v, VMCS_ENTRY_MSR_LOAD_ADDR, 0x60000);
	vmcs_set(v, VMCS_ENTRY_MSR_LOAD_COUNT, 1);
	vmcs_set(v, VMCS_GUEST_RIP, HOST_CODE + 0x80);
	vmcs_set(v, VMCS_HOST_RIP, STM_CODE + 0x100);
	CODE(p, STM_CODE, 0x0f, 0x01, 0xc2);
	CODE(p, STM_CODE + 0x100, 0xeb, 0xfe);
	run_one(p);
	run_one(p);
	assert_true(p->c->smm && v->dual && v->current == VMCS_PA);
	assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), BIT(31) | 34);
	assert_int_equal(p->c->r[REG_RIP], STM_CODE + 0x100);
	assert_string_equal(p->refused, "vmx.msr-load.refused");
	pc_free(p);
}

/* "The dual-monitor treatment may not be supported by all processors" */
static void test_absent(void **state)
{
	struct pc *p = pc_new("intel,-vmx-dual-monitor,-vmx-smbase-msr");
	const struct vmx_caps *caps;
	u64 v;

	(void)state;
	caps = vmx_caps(p->c);
	assert_int_equal(caps->basic >> 49 & 1, 0);
	assert_int_equal(caps->misc & (BIT(15) | BIT(28) | mask(63, 32)), 0);
	assert_int_equal(caps->allowed1[VMX_ENTRY] & (ENTRY_SMM | ENTRY_NO_DUAL), 0);
	p->c->smm = true;
	assert_false(msr_read(p->c, 0x9b, &v) || msr_write(p->c, 0x9b, 1) || msr_read(p->c, 0x9e, &v));
	p->c->smm = false;
	proves("vmcall.39");
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_root),        cmocka_unit_test(test_outside), cmocka_unit_test(test_guest),
	        cmocka_unit_test(test_virtual_nmi), cmocka_unit_test(test_mtf),     cmocka_unit_test(test_timer),
	        cmocka_unit_test(test_window),      cmocka_unit_test(test_vmxe_in_map), cmocka_unit_test(test_vmxoff),
	        cmocka_unit_test(test_absent),      cmocka_unit_test(test_carried), cmocka_unit_test(test_failed_return),
	};

	return cmocka_run_group_tests_name("vmx-smm", tests, NULL, NULL);
}
