/*
 * The VMX of 2004 on a bare processor: what no program in the machine can tell, because the processor ends or starts anew:
 * INIT, SMI, A20M, VMX aborts, shutdown of a guest. Section titles are C97063's.
 */
#include "report.h"
#include "vmx_fixture.h"

#define LIST_PA 0x60000ull

/* The model has no pages of 1 GiB: the first one by pages of 2 MiB. */
static struct pc *first_new(void)
{
	struct pc *p = pc_new("vanderpool");

	bus_write_u64(&p->bus, 0x2000, 0x6007);
	for (u64 n = 0; n < 512; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	return p;
}

/* In VMX operation with a guest whose code is VMCALL, and the controls of the text. */
static struct pc *in_vmx(void)
{
	struct pc *p = first_new();
	struct vmx *v = vmx_of(p->c);

	p->c->cr4 |= CR4_VMXE;
	assert_int_equal(vmx_step(p, VMXON_PA, VMXON), 0);
	assert_int_equal(vmx_step(p, VMCS_PA, VMCLEAR), 0);
	assert_int_equal(vmx_step(p, VMCS_PA, VMPTRLD), 0);
	vmx_setup(p);
	vmcs_set(v, VMCS_PROC_CONTROLS, 0x0401e172);
	vmcs_set(v, VMCS_EXIT_CONTROLS, 0x36dff | EXIT_HOST64);
	vmcs_set(v, VMCS_ENTRY_CONTROLS, 0x11ff | ENTRY_GUEST64);
	vmcs_set(v, VMCS_GUEST_RIP, GUEST_CODE);
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xc1);
	return p;
}

/* VMLAUNCH, and what comes of it within a while. */
static void launch(struct pc *p)
{
	bus_write_u32(&p->bus, HOST_CODE, VMLAUNCH);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
}

/* ---- "Restrictions on VMX Operation": INIT, A20M ---- */

static void test_init(void **state)
{
	struct pc *p = in_vmx();

	(void)state;
	CODE(p, GUEST_CODE, 0xeb, 0xfe); /* JMP to itself */
	cpu_raise(p->c, PEND_INIT);
	assert_int_equal(vmx_step(p, 0, 0x90909090), 0);
	assert_true(p->c->pend & PEND_INIT); /* in root operation */
	launch(p);
	assert_true(p->c->guest);
	assert_true(p->c->pend & PEND_INIT); /* in the guest, which it does not leave */
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xc1);
	tlb_flush_all(p->c);
	cpu_run(p->c, p->clock.now + 10000);
	assert_false(p->c->guest);
	assert_int_equal(vmcs_get(vmx_of(p->c), VMCS_EXIT_REASON), 18);
	assert_true(p->c->pend & PEND_INIT);
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xc4, 0xf4); /* VMXOFF */
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	assert_false(p->c->pend & PEND_INIT);
	assert_false(p->c->virt_root);
	assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), 0);
	pc_free(p);
	proves("vmx04.1.8.13");
}

#define MARK 0x10000ull

static u8 odd_megabyte(struct pc *p)
{
	static const u8 code[] = {0x8a, 0x04, 0x25, 0x00, 0x00, 0x31, 0x00, 0xf4}; /* MOV AL, [310000h]; HLT */

	bus_write(&p->bus, 0x70000, code, sizeof(code));
	p->c->r[REG_RIP] = 0x70000;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	return (u8)p->c->r[REG_RAX];
}

/* Below bit 20, so that masking leaves the code where it is. */
static void low_step(struct pc *p, u64 pointer, u32 bytes)
{
	bus_write_u64(&p->bus, 0x50000, pointer);
	bus_write_u32(&p->bus, 0x71000, bytes);
	CODE(p, 0x71004, 0xf4);
	p->c->r[REG_RBX] = 0x50000;
	p->c->r[REG_RIP] = 0x71000;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	assert_int_equal(p->c->activity, ACT_HLT);
	assert_int_equal(flags_get(p->c) & (FL_CF | FL_ZF), 0);
}

static void test_a20(void **state)
{
	struct pc *p = first_new();

	(void)state;
	p->c->cr4 |= CR4_VMXE;
	CODE(p, 0x200000 + MARK, 0x20);
	CODE(p, 0x300000 + MARK, 0x30);
	bus_mask_a20(&p->bus, true);
	assert_int_equal(odd_megabyte(p), 0x20);
	low_step(p, VMXON_PA, VMXON); /* not refused */
	assert_true(p->c->virt_root);
	assert_int_equal(odd_megabyte(p), 0x30); /* and A20M does not count from here on */
	low_step(p, 0, 0x90c4010f);		 /* VMXOFF */
	assert_false(p->c->virt_root);
	assert_int_equal(odd_megabyte(p), 0x20);
	pc_free(p);
	proves("vmx04.1.8.14");
}

/* ---- SMI, of which the text says nothing: it exits from no guest, SMM is outside VMX operation, RSM leads back ---- */

static void until_smm(struct pc *p, bool smm)
{
	for (unsigned n = 0; n < 100 && p->c->smm != smm; n++)
		cpu_run(p->c, p->clock.now + 1);
	assert_int_equal(p->c->smm, smm);
}

static void interrupt_for_a_while(struct pc *p)
{
	cpu_raise(p->c, PEND_SMI);
	until_smm(p, true);
	assert_false(p->c->virt_root || p->c->guest);
	assert_int_equal(p->c->cr4 & CR4_VMXE, 0);
	until_smm(p, false);
	assert_true(p->c->virt_root);
	assert_int_equal(p->c->cr4 & CR4_VMXE, CR4_VMXE);
	assert_int_equal(vmx_of(p->c)->current, VMCS_PA);
}

static void test_smi(void **state)
{
	struct pc *p = in_vmx();
	u64 exits = p->c->exits;

	(void)state;
	CODE(p, 0x38000, 0x90, 0x90, 0x90, 0x0f, 0xaa); /* NOPs, RSM */
	CODE(p, GUEST_CODE, 0xeb, 0xfe);
	CODE(p, HOST_CODE, 0xeb, 0xfe);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	interrupt_for_a_while(p);
	assert_false(p->c->guest);
	launch(p);
	interrupt_for_a_while(p);
	assert_true(p->c->guest);
	assert_int_equal(p->c->r[REG_RIP], GUEST_CODE);
	assert_int_equal(p->c->exits, exits);
	pc_free(p);
	proves("vmx04.1.8.15 vmx04.3.1.3.30");
}

/* ---- "VM-Exit Controls for MSRs": a list that cannot be processed ---- */

static void aborts(u32 address, u32 count, u64 index, u64 value, u32 indicator)
{
	struct pc *p = in_vmx();
	struct vmx *v = vmx_of(p->c);

	vmcs_set(v, address, LIST_PA);
	vmcs_set(v, count, 1);
	bus_write_u64(&p->bus, LIST_PA, index);
	bus_write_u64(&p->bus, LIST_PA + 8, value);
	launch(p);
	assert_int_equal(bus_read_u32(&p->bus, VMCS_PA + VMCS_REGION_ABORT), indicator);
	assert_int_equal(p->c->activity, indicator ? ACT_SHUTDOWN : ACT_HLT);
	pc_free(p);
}

static void test_aborts(void **state)
{
	const u64 efer = 0xc0000080, same = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;

	(void)state;
	aborts(VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT, 0xdead, 0, 1);
	aborts(VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT, 0x48b, 0, 1); /* of later processors */
	aborts(VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT, 0xc0000082, 0, 0);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, 0xdead, 0, 4);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, 0xc0000082, BIT(47), 4);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, 0xc0000082, 0x1000, 0);
	proves("vmx04.2.6.2.16");
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, efer, same, 0);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, efer, same & ~EFER_NXE, 0);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, efer, same & ~EFER_LME, 4);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, efer, same & ~EFER_LMA, 4);
	aborts(VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, efer, 0, 4);
	proves("vmx04.2.6.2.15");
}

/* ---- "State Forced to Specific Values": what SGDT and SIDT do not show ---- */

static void test_limits(void **state)
{
	struct pc *p = in_vmx();

	(void)state;
	launch(p);
	assert_int_equal(p->c->activity, ACT_HLT);
	assert_int_equal(p->c->gdtr.limit, 0xfffff);
	assert_int_equal(p->c->idtr.limit, 0xfffff);
	pc_free(p);
	proves("vmx04.3.3.4.2.3 vmx04.3.3.4.2.4");
}

/* ---- "Other Causes of VM Exits": a triple fault is none ---- */

static void test_triple_fault(void **state)
{
	struct pc *p = in_vmx();

	(void)state;
	CODE(p, GUEST_CODE, 0x0f, 0x0b); /* #UD, and no IDT */
	launch(p);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	assert_int_equal(p->c->stop, CPU_STOP_SHUTDOWN);
	assert_true(p->c->guest);
	pc_free(p);
	proves("vmx04.3.1.3.27");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_init),
	        cmocka_unit_test(test_a20),
	        cmocka_unit_test(test_smi),
	        cmocka_unit_test(test_aborts),
	        cmocka_unit_test(test_limits),
	        cmocka_unit_test(test_triple_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
