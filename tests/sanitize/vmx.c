/* Mistakes under VMX. Each case leaves VMX operation in order, but for what it is about. */
#include "cases.h"
#include "vmx.h"

static u64 vmcs, other, own; /* this monitor's; the second processor's */

static void halts(void)
{
	for (;;)
		asm volatile("hlt");
}

static void begin(void (*entry)(void))
{
	expect("VMXON", vmx_enable(), true);
	vmcs = (u64)vmx_guest(entry, (u64)stack_of());
	expect("a VMCS", vmcs != 0, true);
}

static void end(void)
{
	if (vmcs)
		vmx_clear(vmcs);
	vmx_disable();
}

static void run_to(bool resume, u64 reason)
{
	expect("VM entry", (u64)vmx_run(resume), VMX_OK);
	expect("exit reason", vmx_read(VMCS_EXIT_REASON), reason);
}

/* ---- fields ---- */

static void never_written(bool bad)
{
	begin(halts);
	vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_MSR_MAP);
	if (!bad)
		vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
	run_to(false, R_HLT);
	end();
}

/* Migrated: what VMCLEAR has put into memory has been written. */
static void read_unset(bool bad)
{
	begin(halts);
	if (!bad) {
		run_to(false, R_HLT);
		vmx_clear(vmcs);
		vmx_load(vmcs);
	}
	(void)vmx_read(VMCS_QUALIFICATION);
	(void)vmx_read(VMCS_GUEST_RIP);
	end();
}

static void not_cleared(bool bad)
{
	u64 region;

	begin(halts);
	region = (u64)vmx_region();
	if (!bad)
		vmx_clear(region);
	vmx_load(region);
	vmx_clear(region);
	end();
}

/* A page that was a VMCS and becomes one again begins anew. */
static void used_again(bool bad)
{
	begin(halts);
	run_to(false, R_HLT);
	vmx_clear(vmcs);
	u32 revision = *(u32 *)vmcs;
	memset((void *)vmcs, 0, 4096);
	*(u32 *)vmcs = revision;
	if (!bad)
		vmx_clear(vmcs);
	vmx_load(vmcs);
	end();
}

/* ---- processors ---- */

static void second_on(void)
{
	expect("VMXON there", vmx_enable(), true);
}

static void second_off(void)
{
	vmx_disable();
}

static void second_loads(void)
{
	vmx_load(other);
}

static void second_clears(void)
{
	vmx_clear(other);
}

static void two_processors(bool bad)
{
	begin(halts);
	on_second(second_on);
	other = vmcs;
	if (!bad)
		vmx_clear(vmcs);
	on_second(second_loads);
	on_second(second_clears);
	on_second(second_off);
	vmcs = 0;
	vmx_disable();
}

static void cleared_elsewhere(bool bad)
{
	begin(halts);
	on_second(second_on);
	other = vmcs;
	if (!bad)
		vmx_clear(vmcs);
	on_second(second_clears);
	on_second(second_off);
	end();
}

static void vmxoff(bool bad)
{
	begin(halts);
	if (bad)
		vmcs = 0;
	end();
}

static void vmxon_as_vmcs(bool bad)
{
	expect("VMXON", vmx_enable(), true);
	own = other = (u64)vmx_region();
	vmx_disable();
	write_cr4(read_cr4() | 1 << 13);
	expect("VMXON of a known region", (u64)vmx_on(own), VMX_OK);
	if (!bad)
		other = (u64)vmx_region();
	on_second(second_on);
	on_second(second_clears);
	on_second(second_off);
	vmx_disable();
}

static void second_shares(void)
{
	second_on();
	vmx_disable();
	write_cr4(read_cr4() | 1 << 13);
	expect("VMXON there", (u64)vmx_on(other), VMX_OK);
	vmx_disable();
}

static void vmxon_shared(bool bad)
{
	expect("VMXON", vmx_enable(), true);
	vmx_disable();
	write_cr4(read_cr4() | 1 << 13);
	own = (u64)vmx_region();
	expect("VMXON of a known region", (u64)vmx_on(own), VMX_OK);
	other = bad ? own : (u64)vmx_region();
	on_second(second_shares);
	vmx_disable();
}

/* ---- memory ---- */

static void touch(u64 page, int how)
{
	switch (how) {
	case 0: (void)*(volatile u64 *)(page + 0x20); break;
	case 1: *(volatile u32 *)(page + 0x40) = 1; break;
	case 2: asm volatile("lock orl $1, (%0)" ::"r"(page + 0x80) : "memory"); break;
	default: asm volatile("rep movsb" ::"S"(page), "D"(page_alloc()), "c"(16ull) : "memory"); break;
	}
}

static void vmcs_access(bool bad, int how)
{
	u64 warm;

	begin(halts);
	warm = vmcs;
	if (!bad)
		vmx_clear(vmcs);
	touch(warm, how);
	end();
}

static void vmcs_load(bool bad) { vmcs_access(bad, 0); }
static void vmcs_store(bool bad) { vmcs_access(bad, 1); }
static void vmcs_update(bool bad) { vmcs_access(bad, 2); }
static void vmcs_string(bool bad) { vmcs_access(bad, 3); }

static void vmcs_dma(bool bad, u64 direction)
{
	begin(halts);
	if (!bad)
		vmx_clear(vmcs);
	expect("DMA", dma(direction, vmcs, 256), true);
	end();
}

static void vmcs_dma_read(bool bad) { vmcs_dma(bad, 0); }
static void vmcs_dma_write(bool bad) { vmcs_dma(bad, 1); }

/* The guest shares the monitor's memory. */
static u64 victim;
static void stores_and_halts(void)
{
	*(volatile u64 *)(victim + 0x100) = 1;
	halts();
}

static void vmcs_by_guest(bool bad)
{
	begin(stores_and_halts);
	victim = bad ? vmcs : (u64)page_alloc();
	run_to(false, R_HLT);
	end();
}

static void vmxon_access(bool bad)
{
	expect("VMXON", vmx_enable(), true);
	vmx_disable();
	write_cr4(read_cr4() | 1 << 13);
	own = (u64)vmx_region();
	vmx_on(own);
	if (bad)
		touch(own, 1);
	vmx_disable();
	touch(own, 0);
	vmcs = 0;
}

/* ---- the posted-interrupt descriptor ---- */

static volatile u64 *descriptor;
static volatile u32 guest_up, guest_stop;

static void waits(void)
{
	guest_up = 1;
	while (!guest_stop)
		asm volatile("pause" ::: "memory");
	halts();
}

static void allow(u32 control, u32 msr, u64 want)
{
	u64 now = vmx_read(control) | want;

	expect("controls", now & ~(rdmsr(msr) >> 32), 0);
	vmx_write(control, now);
}

static void second_runs(void)
{
	begin(waits);
	allow(VMCS_PIN, MSR_VMX_TRUE_PIN, PIN_EXT | PIN_POSTED);
	allow(VMCS_PROC, MSR_VMX_TRUE_PROC, P_TPR);
	allow(VMCS_PROC2, MSR_VMX_PROC2, S_DELIVERY);
	allow(VMCS_EXIT_CONTROLS, MSR_VMX_TRUE_EXIT, X_ACK);
	vmx_write(VMCS_VAPIC, (u64)page_alloc());
	vmx_write(VMCS_PID, (u64)descriptor);
	vmx_write(VMCS_PI_VECTOR, 0x50);
	vmx_write(VMCS_INT_STATUS, 0);
	for (unsigned n = 0; n < 4; n++)
		vmx_write(VMCS_EOI0 + 2 * n, 0);
	run_to(false, R_HLT);
	end();
}

static void posted_store(bool bad)
{
	descriptor = page_alloc();
	*descriptor = 0; /* nobody runs with it yet */
	start_on_second(second_runs);
	while (!guest_up)
		asm volatile("pause" ::: "memory");
	if (bad)
		*descriptor |= 2;
	else
		asm volatile("lock btsq $1, (%0)" ::"r"(descriptor) : "memory");
	guest_stop = 1;
	wait_for_second();
	*descriptor = 0;
}

/* The same with an MSR bitmap, which must stay as it is: the twin waits for the exit. */
static u8 *bitmap;
static void second_with_bitmap(void)
{
	begin(waits);
	bitmap = page_alloc();
	allow(VMCS_PROC, MSR_VMX_TRUE_PROC, P_MSR_MAP);
	vmx_write(VMCS_MSR_BITMAP, (u64)bitmap);
	run_to(false, R_HLT);
	end();
}

static void area_modified(bool bad)
{
	start_on_second(second_with_bitmap);
	while (!guest_up)
		asm volatile("pause" ::: "memory");
	(void)*(volatile u8 *)bitmap; /* it may be read */
	if (bad)
		((volatile u8 *)bitmap)[1] = 0xff;
	guest_stop = 1;
	wait_for_second();
	bitmap[1] = 0xff;
}

/* ---- events ---- */

extern char vmx_handler[];
asm(".pushsection .text\nvmx_handler: push %rax; lea vmx_taken(%rip), %rax; incl (%rax); pop %rax; iretq\n.popsection\n"
    ".pushsection .bss\n.globl vmx_taken\nvmx_taken: .zero 4\n.popsection");
extern volatile u32 vmx_taken;

#define IDT_COPY 0x10000000ull /* in a large page of its own */

/* Delivery reads a gate that EPT does not map. */
static void dropped(bool bad, u64 event)
{
	set_gate(0x40, vmx_handler, 14, 0, 0);
	set_gate(2, vmx_handler, 14, 0, 0);
	memcpy((void *)IDT_COPY, idt, 4096);
	begin(halts);
	vmx_write(VMCS_GUEST_IDTR_BASE, IDT_COPY);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_ENTRY_EVENT, event);
	u64 *entry = vmx_ept_entry(IDT_COPY), mapped = *entry;
	*entry = 0;
	run_to(false, R_EPT);
	expect("IDT-vectoring information", vmx_read(VMCS_VECTORING) & 0x80000fff, event);
	*entry = mapped;
	expect("INVEPT", (u64)vmx_invept(), VMX_OK);
	if (!bad)
		vmx_write(VMCS_ENTRY_EVENT, event);
	run_to(true, R_HLT);
	expect("taken", vmx_taken, !bad);
	end();
}

static void dropped_interrupt(bool bad) { dropped(bad, 0x80000040); }
static void dropped_nmi(bool bad) { dropped(bad, 0x80000202); }

/* A monitor that emulates the delivery goes on at the handler; one that has something more urgent injects that first. */
static void dropped_emulated(bool bad)
{
	set_gate(0x40, vmx_handler, 14, 0, 0);
	memcpy((void *)IDT_COPY, idt, 4096);
	begin(halts);
	vmx_write(VMCS_GUEST_IDTR_BASE, IDT_COPY);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000040);
	u64 *entry = vmx_ept_entry(IDT_COPY), mapped = *entry;
	*entry = 0;
	run_to(false, R_EPT);
	*entry = mapped;
	vmx_invept();
	if (!bad)
		vmx_write(VMCS_GUEST_RIP, vmx_read(VMCS_GUEST_RIP) + 1); /* elsewhere */
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	run_to(true, R_HLT);
	end();
}

static void acknowledged(bool bad)
{
	begin(halts);
	allow(VMCS_PIN, MSR_VMX_TRUE_PIN, PIN_EXT);
	allow(VMCS_EXIT_CONTROLS, MSR_VMX_TRUE_EXIT, X_ACK);
	self_ipi(0x41);
	run_to(false, R_INTERRUPT);
	if (!bad) {
		expect("which", vmx_read(VMCS_EXIT_EVENT), 0x80000041);
		eoi();
	}
	run_to(true, R_HLT);
	if (bad)
		eoi();
	end();
}

const struct one_case vmx_cases[] = {
	{"vmcs.never-written", never_written},
	{"vmcs.read-unset", read_unset},
	{"vmcs.not-cleared", not_cleared},
	{"vmcs.not-cleared/again", used_again},
	{"vmcs.two-processors", two_processors},
	{"vmcs.cleared-elsewhere", cleared_elsewhere},
	{"vmcs.vmxoff", vmxoff},
	{"vmxon.as-vmcs", vmxon_as_vmcs},
	{"vmxon.shared", vmxon_shared},
	{"vmcs.access/load", vmcs_load},
	{"vmcs.access/store", vmcs_store},
	{"vmcs.access/update", vmcs_update},
	{"vmcs.access/string", vmcs_string},
	{"vmcs.access/dma-read", vmcs_dma_read},
	{"vmcs.access/dma-write", vmcs_dma_write},
	{"vmcs.access/guest", vmcs_by_guest},
	{"vmxon.access", vmxon_access},
	{"posted.store", posted_store},
	{"structure.modified", area_modified},
	{"event.dropped/interrupt", dropped_interrupt},
	{"event.dropped/nmi", dropped_nmi},
	{"event.dropped/emulated", dropped_emulated},
	{"interrupt.acknowledged", acknowledged},
	{NULL, NULL},
};
