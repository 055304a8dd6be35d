/*
 * VMX on a bare processor: VMXON to VM exit by a few bytes of host and guest code, VMX aborts, what stays pending across
 * the switch.
 */
#include "vmx_fixture.h"

#include "cpu/mmu/walk.h"

static u64 vmx_error(struct pc *p)
{
	return vmcs_get(vmx_of(p->c), VMCS_INSN_ERROR);
}

static u64 vmx_run(struct pc *p, u32 bytes)
{
	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	assert_int_equal(vmx_step(p, 0, bytes), 0);
	assert_int_equal(p->c->r[REG_RIP], HOST_CODE + 0x81);
	return vmcs_get(vmx_of(p->c), VMCS_EXIT_REASON);
}

static void test_vmx_slice(void **state)
{
	struct pc *p = pc_new("intel");
	struct vmx *x = vmx_of(p->c);

	(void)state;
	p->c->cr4 |= CR4_VMXE;
	assert_true(msr_write(p->c, MSR_FEATURE_CONTROL, 5));
	assert_false(msr_write(p->c, MSR_FEATURE_CONTROL, 5));
	bus_write_u32(&p->bus, 0x40000, VMX_REVISION);
	assert_int_equal(vmx_step(p, 0x40001, VMXON), FL_CF);
	assert_int_equal(vmx_step(p, 0x40000, VMXON), 0);
	assert_int_equal(vmx_step(p, 0x40000, VMXON), FL_CF); /* no current VMCS */
	assert_int_equal(vmx_step(p, 0x41000, VMPTRLD), FL_CF);
	bus_write_u32(&p->bus, 0x41000, VMX_REVISION);
	assert_int_equal(vmx_step(p, 0x41000, VMCLEAR), 0);
	assert_int_equal(vmx_step(p, 0x41000, VMPTRLD), 0);
	assert_int_equal(vmx_step(p, 0x40000, VMXON), FL_ZF);
	assert_int_equal(vmx_error(p), 15);
	assert_int_equal(vmx_step(p, 0x40000, VMPTRLD), FL_ZF);
	assert_int_equal(vmx_error(p), 10);
	assert_int_equal(vmx_step(p, 0, VMRESUME), FL_ZF);
	assert_int_equal(vmx_error(p), 5);
	assert_int_equal(vmx_step(p, 0, VMLAUNCH), FL_ZF);
	assert_int_equal(vmx_error(p), 7);
	vmx_setup(p);
	vmcs_set(x, VMCS_HOST_CS_SEL, 11);
	assert_int_equal(vmx_step(p, 0, VMLAUNCH), FL_ZF);
	assert_int_equal(vmx_error(p), 8);
	assert_string_equal(p->refused, "vmx.host.selector.rpl-ti");
	vmcs_set(x, VMCS_HOST_CS_SEL, 8);
	vmcs_set(x, VMCS_GUEST_RFLAGS, 0);
	assert_int_equal(vmx_run(p, VMLAUNCH), 33 | BIT(31));
	assert_string_equal(p->refused, "vmx.guest.rflags.reserved");
	vmcs_set(x, VMCS_GUEST_RFLAGS, 2);
	CODE(p, GUEST_CODE, 0xf4);
	assert_int_equal(vmx_run(p, VMLAUNCH), 12);
	assert_int_equal(vmcs_get(x, VMCS_EXIT_INSN_LEN), 1);
	assert_int_equal(vmx_step(p, 0, VMLAUNCH), FL_ZF);
	assert_int_equal(vmx_error(p), 4);
	CODE(p, GUEST_CODE, 0x48, 0xa1, 0, 0, 0, 2, 0, 0, 0, 0, 0xf4);
	assert_int_equal(vmx_run(p, VMRESUME), 48);
	assert_int_equal(vmcs_get(x, VMCS_EXIT_QUALIFICATION), 0x781); /* with advanced exit information */
	assert_int_equal(vmcs_get(x, VMCS_GUEST_PHYSICAL), 0x2000000);
	assert_int_equal(vmcs_get(x, VMCS_GUEST_LINEAR), 0x2000000);
	bus_write_u64(&p->bus, 0x5080, 0x20000b7);
	assert_int_equal(vmx_run(p, VMRESUME), 12);
	CODE(p, GUEST_CODE, 0x0f, 0x0b);
	vmcs_set(x, VMCS_EXCEPTION_BITMAP, 1 << 6);
	assert_int_equal(vmx_run(p, VMRESUME), 0);
	assert_int_equal(vmcs_get(x, VMCS_EXIT_INTR_INFO), 0x80000306);
	vmcs_set(x, VMCS_EXCEPTION_BITMAP, 0);
	assert_int_equal(vmx_run(p, VMRESUME), 2);
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xc1);
	assert_int_equal(vmx_run(p, VMRESUME), 18);
	pc_free(p);
}

/* Encodings of all widths and types find their slot and nobody else's. */
static void test_vmcs_slots(void **state)
{
	bool taken[VMCS_SLOTS] = {false};

	(void)state;
	for (size_t n = 0; n < vmcs_field_count; n++) {
		unsigned slot = vmcs_slot(vmcs_fields[n].encoding);

		assert_true(slot < VMCS_SLOTS && !taken[slot]);
		taken[slot] = true;
		assert_ptr_equal(vmcs_field_at(vmcs_fields[n].encoding), &vmcs_fields[n]);
	}
	assert_int_equal(VMCS_GUEST_RIP, 0x681e);
	assert_int_equal(VMCS_HOST_RIP, 0x6c16);
	assert_int_equal(VMCS_EXIT_REASON, 0x4402);
	assert_true(VMCS_REGION_FIELDS + 8 * VMCS_SLOTS <= 4096);
}

/* ---- "VMX Aborts" ---- */

#define LIST_PA  0x60000ull

static void enter_and_abort(struct pc *p, u32 indicator)
{
	bus_write_u32(&p->bus, HOST_CODE, VMLAUNCH);
	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	assert_int_equal(bus_read_u32(&p->bus, VMCS_PA + VMCS_REGION_ABORT), indicator);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	assert_int_equal(p->c->stop, CPU_STOP_SHUTDOWN);
	pc_free(p);
}

static void test_abort_store(void **state)
{
	static const u64 refused[] = {0x800, 0xdead, BIT(32) | 0x10};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(refused); n++) {
		struct pc *p = pc_in_vmx();

		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_ADDR, LIST_PA);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_COUNT, 1);
		bus_write_u64(&p->bus, LIST_PA, refused[n]);
		enter_and_abort(p, 1);
	}
}

static void test_abort_load(void **state)
{
	static const u64 refused[] = {0x830, 0xdead, 0xc0000100, BIT(32) | 0xc0000081};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(refused); n++) {
		struct pc *p = pc_in_vmx();

		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_ADDR, LIST_PA);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_COUNT, 1);
		bus_write_u64(&p->bus, LIST_PA, refused[n]);
		enter_and_abort(p, 4);
	}
	/* an entry that fails loads the same list */
	struct pc *p = pc_in_vmx();

	vmcs_set(vmx_of(p->c), VMCS_GUEST_RFLAGS, 0);
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_ADDR, LIST_PA);
	vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_COUNT, 1);
	bus_write_u64(&p->bus, LIST_PA, 0xdead);
	enter_and_abort(p, 4);
}

/* A host with PAE paging whose PDPTEs have reserved bits. */
static void test_abort_pdptes(void **state)
{
	struct pc *p = pc_in_vmx();
	struct vmx *v = vmx_of(p->c);

	(void)state;
	vmcs_set(v, VMCS_EXIT_CONTROLS, vmcs_get(v, VMCS_EXIT_CONTROLS) & ~(u64)(EXIT_HOST64 | EXIT_LOAD_EFER));
	vmcs_set(v, VMCS_HOST_CR3, 0x7000);
	bus_write_u64(&p->bus, 0x7000, 0x8001 | BIT(5));
	p->c->guest = true;
	vmx_load_host(p->c);
	assert_int_equal(bus_read_u32(&p->bus, VMCS_PA + VMCS_REGION_ABORT), 2);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	pc_free(p);
}

/* ---- what stays pending ---- */

/* INIT is blocked in VMX root operation: it neither happens nor keeps the processor busy, and VMXOFF lets it through. */
static void test_blocked_init(void **state)
{
	struct pc *p = pc_in_vmx();

	(void)state;
	cpu_raise(p->c, PEND_INIT);
	assert_int_equal(event_poll(p->c, &(struct delivery){0}), XR_OK);
	assert_int_equal(p->c->attention, 0);
	assert_true(p->c->pend & PEND_INIT);
	assert_int_equal(vmx_step(p, 0, 0x90909090), 0); /* NOP NOP NOP NOP HLT: time goes on */
	assert_true(p->c->pend & PEND_INIT);
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xc4, 0xf4); /* VMXOFF */
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	assert_false(p->c->pend & PEND_INIT);
	assert_false(p->c->virt_root);
	assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), 0);
	pc_free(p);
}

/* Whatever ends a wait with a deadline takes the deadline along: a later HLT must not look as if time could end it. */
static void test_stale_deadline(void **state)
{
	static const u8 waits[] = {ACT_TPAUSE, ACT_MWAIT};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(waits); n++) {
		struct pc *p = pc_new("intel");
		struct cpu *c = p->c;

		c->activity = waits[n]; /* by an event */
		c->wake_at = p->clock.now + 1000;
		cpu_raise(c, PEND_NMI);
		assert_int_equal(event_poll(c, &(struct delivery){0}), XR_FAULT);
		assert_int_equal(c->activity, ACT_RUN);
		assert_true(c->wake_at == UINT64_MAX);
		c->activity = waits[n]; /* by a store */
		c->wake_at = p->clock.now + 1000;
		c->monitor_addr = 0x50000;
		cpu_monitor_written(c, &(struct written){.pa = 0x50010, .len = 4});
		assert_int_equal(c->activity, ACT_RUN);
		assert_true(c->wake_at == UINT64_MAX);
		c->activity = waits[n]; /* by time */
		cpu_wait_until(c, p->clock.now + 1000);
		p->clock.now += 999;
		clock_fire(&p->clock);
		assert_int_equal(c->activity, waits[n]);
		p->clock.now++;
		clock_fire(&p->clock);
		assert_int_equal(c->activity, ACT_RUN);
		assert_true(c->wake_at == UINT64_MAX);
		pc_free(p);
	}
}

/* State from outside: the preemption timer follows its field. */
static void test_timer_after_load(void **state)
{
	struct pc *p = pc_in_vmx();
	struct cpu *c = p->c;
	struct vmx *v = vmx_of(c);

	(void)state;
	v->preempt_end = (c->clock->now >> VMX_TIMER_SHIFT) + 4;
	c->virt->life.loaded(c);
	assert_true(v->preempt.armed);
	assert_int_equal(v->preempt.when, v->preempt_end << VMX_TIMER_SHIFT);
	v->preempt_end = 0; /* over already */
	c->pend = 0;
	c->virt->life.loaded(c);
	assert_true(c->pend & PEND_PREEMPT);
	assert_false(v->preempt.armed);
	v->preempt_end = ~0ull; /* it does not run */
	c->pend = 0;
	c->virt->life.loaded(c);
	assert_false(v->preempt.armed);
	assert_false(c->pend & PEND_PREEMPT);
	pc_free(p);
}

/* ---- EPT with four and with five levels ---- */

#define ROOT5 0x9000ull

static void test_ept_levels(void **state)
{
	struct pc *p = pc_in_vmx();
	struct vmx *v = vmx_of(p->c);
	struct stage2_req q = {.gpa = BIT(48) | 0x212345, .why = S2_FINAL, .access = ACC_READ, .user = true};
	struct stage2_res r;

	(void)state;
	vmcs_set(v, VMCS_GUEST_CR0, p->c->cr0);
	assert_int_equal(vmx_stage2(p->c, &q, &r), XR_EXIT); /* four levels: 51:48 must be 0 */
	assert_int_equal(p->c->exit.id, ICPT_STAGE2);
	assert_int_equal(p->c->exit.q[0], 1);
	bus_write_u64(&p->bus, ROOT5 + 8, NCR3 | 7);
	assert_true(vmx_eptp_ok(p->c, ROOT5 | 4 << 3 | MT_WB));
	assert_false(vmx_eptp_ok(p->c, ROOT5 | 5 << 3 | MT_WB));
	assert_false(vmx_eptp_ok(p->c, ROOT5 | 2 << 3 | MT_WB));
	vmcs_set(v, VMCS_EPTP, ROOT5 | 4 << 3 | MT_WB);
	assert_int_equal(vmx_stage2(p->c, &q, &r), XR_OK);
	assert_int_equal(r.pa, 0x212345);
	q.gpa = 0x212345; /* PML5E 0 is not present */
	assert_int_equal(vmx_stage2(p->c, &q, &r), XR_EXIT);
	assert_int_equal(p->c->exit.id, ICPT_STAGE2);
	bus_write_u64(&p->bus, ROOT5, NCR3 | 0x87); /* bit 7 is reserved at this level */
	assert_int_equal(vmx_stage2(p->c, &q, &r), XR_EXIT);
	assert_int_equal(p->c->exit.id, ICPT_STAGE2_MISCONFIG);
	pc_free(p);
}

/* ---- machine checks around VM entry ---- */

enum { IDT_PA = 0x62000, HOST_IDT_PA = 0x63000, GDT_PA = 0x58000, STUB_PA = 0x70000, HOST_STUB_PA = 0x71000, LOG_PA = 0x98000 };
enum { EXIT_EXCEPTION, EXIT_TRIPLE = 2, EXIT_VMCALL = 18, MC_EVENT = 0x80000312 };

static void machine_check(struct cpu *c)
{
	c->mcg_status = 5; /* RIPV, MCIP */
	cpu_raise(c, PEND_MCE);
}

/* The last moment of VM entry: what comes now comes in the guest, before its first instruction. */
static void check_at_entry(void *arg, struct cpu *c)
{
	(void)arg;
	machine_check(c);
}

static void gate_to(struct pc *p, u64 idt, unsigned vector, u64 to)
{
	bus_write_u64(&p->bus, idt + 16 * vector, (to & 0xffff) | 8 << 16 | 0x8eull << 40 | (to >> 16) << 48);
	bus_write_u64(&p->bus, idt + 16 * vector + 8, 0);
}

/* The guest: NOP; VMCALL. Every handler of it is a VMCALL; the host's for #MC counts. */
static struct pc *pc_for_mc(bool guest_mce, bool bitmap)
{
	struct pc *p = pc_in_vmx();
	struct cpu *c = p->c;
	struct vmx *v = vmx_of(c);

	for (unsigned n = 0; n < 256; n++) {
		CODE(p, STUB_PA + 16 * n, 0x0f, 0x01, 0xc1);
		gate_to(p, IDT_PA, n, STUB_PA + 16 * n);
	}
	CODE(p, HOST_STUB_PA, 0xfe, 0x04, 0x25, 0x00, 0x80, 0x09, 0x00, 0x48, 0xcf); /* INC BYTE [LOG_PA]; IRETQ */
	gate_to(p, HOST_IDT_PA, EX_MC, HOST_STUB_PA);
	bus_write_u64(&p->bus, GDT_PA + 8, 0x00af9b000000ffff);
	bus_write_u64(&p->bus, GDT_PA + 16, 0x00cf93000000ffff);
	c->gdtr.base = GDT_PA;
	c->gdtr.limit = 31;
	c->idtr.base = HOST_IDT_PA;
	c->idtr.limit = 0xfff;
	c->cr4 |= CR4_MCE;
	vmcs_set(v, VMCS_HOST_CR4, c->cr4);
	vmcs_set(v, VMCS_HOST_IDTR_BASE, HOST_IDT_PA);
	vmcs_set(v, VMCS_HOST_GDTR_BASE, GDT_PA);
	vmcs_set(v, VMCS_GUEST_IDTR_BASE, IDT_PA);
	vmcs_set(v, VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmcs_set(v, VMCS_GUEST_GDTR_BASE, GDT_PA);
	vmcs_set(v, VMCS_GUEST_GDTR_LIMIT, 31);
	vmcs_set(v, VMCS_GUEST_CR4, (c->cr4 & ~(u64)CR4_MCE) | (guest_mce ? CR4_MCE : 0));
	vmcs_set(v, VMCS_EXCEPTION_BITMAP, bitmap ? 1u << EX_MC : 0);
	CODE(p, GUEST_CODE, 0x90, 0x0f, 0x01, 0xc1);
	return p;
}

static u64 frame_rip(struct pc *p)
{
	return bus_read_u64(&p->bus, vmcs_get(vmx_of(p->c), VMCS_GUEST_RSP));
}

/* "Machine-Check Events During VM Entry" lets them be taken before entry, as exit 41, or in the guest: never exit 41
 * here. */
static void test_mc_at_entry(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		bool mce = n & 1, bitmap = n & 2, halted = n & 4;
		struct pc *p = pc_for_mc(mce, bitmap);
		struct vmx *v = vmx_of(p->c);
		u64 reason;

		p->hooks.vm_entry = check_at_entry;
		vmcs_set(v, VMCS_GUEST_ACTIVITY, halted);
		reason = vmx_run(p, VMLAUNCH);
		assert_int_equal(p->c->mcg_status, 5);
		assert_int_equal(bus_read_u32(&p->bus, LOG_PA) & 0xff, 0); /* it was the guest's */
		assert_int_equal(vmcs_get(v, VMCS_IDT_VECTORING) >> 31, 0);
		if (!mce) {
			assert_int_equal(reason, EXIT_TRIPLE);
		} else if (bitmap) {
			assert_int_equal(reason, EXIT_EXCEPTION);
			assert_int_equal(vmcs_get(v, VMCS_EXIT_INTR_INFO), MC_EVENT);
			assert_int_equal(vmcs_get(v, VMCS_EXIT_QUALIFICATION), 0);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), GUEST_CODE);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RSP), 0x90000);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RFLAGS), 2); /* an abort: no RF */
			assert_int_equal(vmcs_get(v, VMCS_GUEST_ACTIVITY), halted); /* "before the VM exit" */
			p->hooks.vm_entry = NULL; /* and it is over */
			vmcs_set(v, VMCS_GUEST_ACTIVITY, 0);
			assert_int_equal(vmx_run(p, VMRESUME), EXIT_VMCALL);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), GUEST_CODE + 1);
		} else {
			assert_int_equal(reason, EXIT_VMCALL);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), STUB_PA + 16 * EX_MC);
			assert_int_equal(frame_rip(p), GUEST_CODE);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_ACTIVITY), 0);
		}
		pc_free(p);
	}
}

/* There before VMLAUNCH: the host's. Its CR4.MCE = 0: shutdown. */
static void test_mc_before_entry(void **state)
{
	struct pc *p = pc_for_mc(true, true);

	(void)state;
	machine_check(p->c);
	assert_int_equal(vmx_run(p, VMLAUNCH), EXIT_VMCALL);
	assert_int_equal(bus_read_u32(&p->bus, LOG_PA) & 0xff, 1);
	pc_free(p);
	p = pc_for_mc(true, true);
	p->c->cr4 &= ~(u64)CR4_MCE;
	machine_check(p->c);
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	cpu_run(p->c, p->clock.now + 10000);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	assert_false(p->c->guest);
	pc_free(p);
}

/* What entry injects is delivered by entry; the machine check finds its handler. */
static void test_mc_and_injection(void **state)
{
	(void)state;
	for (unsigned bitmap = 0; bitmap < 2; bitmap++) {
		struct pc *p = pc_for_mc(true, bitmap);
		struct vmx *v = vmx_of(p->c);

		p->hooks.vm_entry = check_at_entry;
		vmcs_set(v, VMCS_ENTRY_INTR_INFO, 0x80000306); /* #UD */
		if (bitmap) {
			assert_int_equal(vmx_run(p, VMLAUNCH), EXIT_EXCEPTION);
			assert_int_equal(vmcs_get(v, VMCS_EXIT_INTR_INFO), MC_EVENT);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), STUB_PA + 16 * EX_UD);
			assert_int_equal(frame_rip(p), GUEST_CODE);
		} else {
			assert_int_equal(vmx_run(p, VMLAUNCH), EXIT_VMCALL);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), STUB_PA + 16 * EX_MC);
			assert_int_equal(frame_rip(p), STUB_PA + 16 * EX_UD);
		}
		assert_int_equal(vmcs_get(v, VMCS_IDT_VECTORING) >> 31, 0);
		pc_free(p);
	}
}

/* In the middle of the guest, which spins or sleeps. "Saving Non-Register State": #MC is one of the exits that keep the
 * pending debug exceptions. */
static void test_mc_in_guest(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		bool mce = n & 1, bitmap = n & 2, halts = n & 4;
		struct pc *p = pc_for_mc(mce, bitmap);
		struct vmx *v = vmx_of(p->c);

		if (halts)
			CODE(p, GUEST_CODE, 0xf4);
		else
			CODE(p, GUEST_CODE, 0xeb, 0xfe);
		vmcs_set(v, VMCS_PROC_CONTROLS, vmcs_get(v, VMCS_PROC_CONTROLS) & ~(u64)PROC_HLT);
		vmcs_set(v, VMCS_GUEST_RIP, GUEST_CODE);
		bus_write_u32(&p->bus, HOST_CODE, VMLAUNCH);
		p->c->r[REG_RIP] = HOST_CODE;
		p->c->activity = ACT_RUN;
		cpu_run(p->c, p->clock.now + 1000);
		assert_true(p->c->guest);
		assert_int_equal(p->c->activity, halts ? ACT_HLT : ACT_RUN);
		machine_check(p->c);
		for (unsigned k = 0; k < 5 && !(!p->c->guest && p->c->activity == ACT_HLT); k++)
			cpu_run(p->c, p->clock.now + 1000);
		assert_false(p->c->guest);
		assert_int_equal(vmcs_get(v, VMCS_EXIT_REASON), !mce ? EXIT_TRIPLE : bitmap ? EXIT_EXCEPTION : EXIT_VMCALL);
		if (mce && bitmap) {
			assert_int_equal(vmcs_get(v, VMCS_EXIT_INTR_INFO), MC_EVENT);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_RIP), GUEST_CODE + halts);
			assert_int_equal(vmcs_get(v, VMCS_GUEST_ACTIVITY), halts);
		} else if (mce) {
			assert_int_equal(frame_rip(p), GUEST_CODE + halts);
		}
		pc_free(p);
	}
	struct pc *p = pc_for_mc(true, true);

	p->hooks.vm_entry = check_at_entry;
	vmcs_set(vmx_of(p->c), VMCS_GUEST_RFLAGS, 2 | FL_TF);
	vmcs_set(vmx_of(p->c), VMCS_GUEST_PENDING_DEBUG, DR6_BS);
	assert_int_equal(vmx_run(p, VMLAUNCH), EXIT_EXCEPTION);
	assert_int_equal(vmcs_get(vmx_of(p->c), VMCS_GUEST_PENDING_DEBUG), DR6_BS);
	pc_free(p);
}

/* ---- memory types, as the walk reports them ---- */

#define TYPES_PA 0x600000ull

static u8 type_seen(struct pc *p)
{
	u8 byte;

	tlb_flush_all(p->c);
	assert_int_equal(mmu_read_slow(p->c, TYPES_PA, 1, ACC_READ, &byte), XR_OK);
	for (unsigned set = 0; set < TLB_SETS; set++)
		for (unsigned way = 0; way < TLB_WAYS; way++) {
			const struct tlb_entry *e = &p->c->tlb.small[set][way];

			if (e->valid && e->vpn == TYPES_PA >> 12)
				return e->memtype;
		}
	fail_msg("no TLB entry");
	return 0;
}

/*
 * "Memory Type Used for Translated Guest-Physical Addresses": EPT's type in the place of the MTRRs', combined with the
 * PAT's as in "Effective Page-Level Memory Types", or alone with "ignore PAT"; the MTRRs have no part. Write-back or not
 * is what the processor asks.
 */
static void test_ept_memory_types(void **state)
{
	static const u8 ept[] = {MT_UC, MT_WC, MT_WT, MT_WP, MT_WB};
	static const u8 pat[8] = {MT_WB, MT_WT, MT_UCM, MT_UC, MT_WP, MT_WC, MT_WB, MT_WT};
	struct pc *p = pc_in_vmx();
	struct cpu *c = p->c;

	(void)state;
	memcpy(&c->pat, pat, 8);
	vmcs_set(vmx_of(c), VMCS_GUEST_CR0, c->cr0);
	c->stage2 = true;
	bus_write_u64(&p->bus, 0x5000 + 8 * (TYPES_PA >> 21), 0xd007);
	for (unsigned n = 0; n < ARRAY_LEN(ept) * 8 * 2 * 2; n++) {
		unsigned type = n / 32, index = n / 4 % 8;
		bool ignore = n & 1, mtrr_uc = n & 2, unpaged_type = index == 0 || index == 6;

		c->mtrr.def_type = mtrr_uc ? 0x800 : 0x806;
		bus_write_u64(&p->bus, 0x2000, 0xe7 | (index & 3u) << 3 | (u64)(index >> 2) << 12);
		bus_write_u64(&p->bus, 0xd000, TYPES_PA | 7 | (u64)ept[type] << 3 | (u64)ignore << 6);
		assert_int_equal(type_seen(p) == MT_WB, ept[type] == MT_WB && (ignore || unpaged_type));
		if (ignore)
			assert_int_equal(type_seen(p), ept[type]);
		else if (ept[type] == MT_WB)
			assert_int_equal(type_seen(p), pat[index]);
	}
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vmx_slice),     cmocka_unit_test(test_vmcs_slots),
	        cmocka_unit_test(test_abort_store),   cmocka_unit_test(test_abort_load),
	        cmocka_unit_test(test_abort_pdptes),  cmocka_unit_test(test_blocked_init),
	        cmocka_unit_test(test_stale_deadline), cmocka_unit_test(test_timer_after_load),
	        cmocka_unit_test(test_ept_levels),    cmocka_unit_test(test_mc_at_entry),
	        cmocka_unit_test(test_mc_before_entry), cmocka_unit_test(test_mc_and_injection),
	        cmocka_unit_test(test_mc_in_guest),   cmocka_unit_test(test_ept_memory_types),
	};

	return cmocka_run_group_tests_name("vmx", tests, NULL, NULL);
}
