/*
 * The SMM-transfer monitor. The processor comes to monitor_activated() once, by the VMCALL that activates the dual-
 * monitor treatment, in a state that the MSEG header describes; and to monitor_exit() for every SMI and every VMCALL
 * of the executive monitor after that, in the state that monitor_activated() has described in the VMCS.
 * docs/tutorial-stm.md goes through it.
 *
 * The current VMCS here is the SMM-transfer VMCS. What ran before is its guest-state area, wherever it ran: in a
 * guest of the executive monitor, or in the executive monitor itself.
 */
#include "stm.h"

#pragma GCC visibility push(hidden)

struct registers { word di, si, bp, sp, bx, dx, cx, ax; };
void monitor_activated(void);
void monitor_exit(struct registers *r);
void monitor_stuck(void) __attribute__((noreturn));
void monitor_fault(void) __attribute__((noreturn));

extern struct mseg_header mseg;
extern u8 gdt[], smm_exit[], fault[]; /* entry.S */

#pragma GCC visibility pop

static u64 vmxon_pointer; /* what the executive-VMCS pointer is when an SMM VM exit comes from root operation */
static u32 calls;

static void stop(void) __attribute__((noreturn));
static void stop(void)
{
	outl(0xf4, 2);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void monitor_fault(void)
{
	print("stm: an exception in the SMM-transfer monitor\n");
	stop();
}

/* Behind VMLAUNCH and VMRESUME: an entry that works does not come here. */
void monitor_stuck(void)
{
	print("stm: VM entry failed, VM-instruction error %u\n", (u32)vmread(VMCS_ERROR));
	stop();
}

/* ---- the host: this monitor, for all SMM VM exits to come. "Host-State Area" ---- */

static void make_idt(void)
{
	static struct { u32 part[sizeof(word) / 2]; } idt[32] __attribute__((aligned(16)));
	u64 entry = (u64)(word)fault;

	for (unsigned n = 0; n < 32; n++) {
		idt[n].part[0] = CODE_SELECTOR << 16 | (u32)(entry & 0xffff);
		idt[n].part[1] = (u32)(entry & 0xffff0000) | 0x8e00;
		if (sizeof(word) == 8)
			idt[n].part[sizeof(word) / 4] = (u32)(entry >> 32);
	}
	vmwrite(VMCS_HOST_IDTR_BASE, (word)idt);
}

static void describe_host(void)
{
	static u8 tss[104] __attribute__((aligned(16)));
	static const u16 data[] = {VMCS_HOST_ES, VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS};
	bool is_64 = mseg.features & FEATURE_IA32E;

	for (unsigned n = 0; n < sizeof(data) / sizeof(data[0]); n++)
		vmwrite(data[n], DATA_SELECTOR);
	vmwrite(VMCS_HOST_CS, CODE_SELECTOR);
	vmwrite(VMCS_HOST_TR, TASK_SELECTOR);
	vmwrite(VMCS_HOST_TR_BASE, (word)tss);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_GDTR_BASE, (word)gdt);
	make_idt();
	vmwrite(VMCS_HOST_CR0, read_cr(0));
	vmwrite(VMCS_HOST_CR3, read_cr(3));
	vmwrite(VMCS_HOST_CR4, read_cr(4));
	vmwrite64(VMCS_HOST_EFER, rdmsr64(MSR_EFER));
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RSP, (word)&mseg + MSEG_STACK_TOP);
	vmwrite(VMCS_HOST_RIP, (word)smm_exit);
	vmwrite(VMCS_EXIT_CONTROLS, controls(MSR_VMX_EXIT, (is_64 ? X_LONG : 0) | X_SAVE_EFER | X_LOAD_EFER));
	vmwrite(VMCS_STORE_COUNT, 0);
	vmwrite(VMCS_LOAD_COUNT, 0);
}

/* "VM Entries that Return from SMM". What the guest-state area says is loaded, whether the entry stays in root
 * operation or not: the mode must fit. The VM-execution controls are not ours; those of the executive VMCS count, if
 * it is to a guest. */
static void prepare_return(u32 more)
{
	bool was_64 = vmread64(VMCS_GUEST_EFER) >> 10 & 1;

	vmwrite(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_ENTRY, (was_64 ? E_LONG : 0) | E_EFER | more));
	vmwrite(VMCS_ENTRY_LOAD_COUNT, 0);
	vmwrite(VMCS_ENTRY_EVENT, 0);
}

/* ---- who came, and why ---- */

static bool from_root(void)
{
	return vmread(VMCS_EXIT_REASON) & REASON_FROM_ROOT;
}

static void say_where(void)
{
	u64 executive = vmread64(VMCS_EXECUTIVE);

	print("from %s operation, executive-VMCS pointer 0x%x%s\n", from_root() ? "VMX root" : "VMX non-root", (u32)executive,
	      executive == vmxon_pointer ? " (the VMXON pointer)" : "");
}

/* VMCALL stands where it was: behind it, and as after an instruction that succeeded. */
static void finish_vmcall(void)
{
	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + vmread(VMCS_EXIT_LENGTH));
	vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~0x8d5ul); /* OF SF ZF AF PF CF: "VMsucceed" */
}

/* What the chipset's SMI line tells, and its readiness for the next. ICH9, "SMI_STS", "SMI_EN". */
static u32 end_of_smi(void)
{
	u32 status = inl(SMI_STS);

	outl(SMI_STS, status);
	outl(SMI_EN, inl(SMI_EN) | SMI_EN_EOS);
	return status;
}

/* Basic exit reason 5: the SMI came directly behind an I/O instruction, which the qualification describes. */
static void serve_io_smi(void)
{
	u32 q = (u32)vmread(VMCS_QUALIFICATION);

	print("stm: I/O SMI: %s port 0x%x, %u byte, at 0x%x, ", q & 8 ? "IN from" : "OUT to", q >> 16, (q & 7) + 1,
	      (u32)vmread(VMCS_IO_RIP));
	say_where();
	if (q >> 16 == APM_CNT)
		print("stm: the command is 0x%x\n", inb(APM_CNT));
	end_of_smi();
}

/* Basic exit reason 6: any other, here one that a local APIC was sent. */
static void serve_other_smi(void)
{
	print("stm: SMI, ");
	say_where();
	print("stm: of the chipset's sources it was %s\n", end_of_smi() & inl(SMI_EN) & ~3u ? "one" : "none");
}

static void serve_vmcall(struct registers *r)
{
	u32 service = (u32)r->ax;

	print("stm: VMCALL, service 0x%x, ", service);
	say_where();
	finish_vmcall();
	r->ax = service == SERVICE_NAME ? ANSWER_NAME : service == SERVICE_LEAVE ? 0 : ANSWER_NO;
	if (service == SERVICE_NAME)
		r->bx = ++calls;
	if (service == SERVICE_LEAVE) { /* "Deactivating the Dual-Monitor Treatment": an entry to root operation does it */
		print("stm: this VM entry deactivates the dual-monitor treatment\n");
		prepare_return(E_DEACTIVATE);
	}
}

void monitor_exit(struct registers *r)
{
	u32 reason = (u32)vmread(VMCS_EXIT_REASON);

	prepare_return(0);
	switch (reason & REASON_BASIC) {
	case R_IO_SMI: serve_io_smi(); break;
	case R_SMI: serve_other_smi(); break;
	case R_VMCALL: serve_vmcall(r); break;
	default:
		print("stm: exit reason 0x%x, qualification 0x%x\n", reason, (u32)vmread(VMCS_QUALIFICATION));
		stop();
	}
}

/* The first words. The VMCS is the one that was current in the executive monitor: it has its host, not ours. */
void monitor_activated(void)
{
	vmxon_pointer = vmread64(VMCS_EXECUTIVE);
	print("stm: activated in %u-bit mode, MSEG at 0x%x, SMBASE 0x%x\n", (u32)sizeof(word) * 8, (u32)(word)&mseg,
	      (u32)vmread(VMCS_GUEST_SMBASE));
	print("stm: exit reason 0x%x, VMXON pointer 0x%x, SMM-transfer VMCS 0x%x\n", (u32)vmread(VMCS_EXIT_REASON),
	      (u32)vmxon_pointer, (u32)vmptrst());
	print("stm: CR0 0x%x, CR3 0x%x, CR4 0x%x, EFER 0x%x\n", (u32)read_cr(0), (u32)read_cr(3), (u32)read_cr(4),
	      (u32)rdmsr64(MSR_EFER));
	describe_host();
	prepare_return(0);
	finish_vmcall();
}
