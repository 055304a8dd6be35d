/* "SMM VM Exits": where they come from, what they say, save and block. And SMIs under the default treatment. */
#include "smm.h"

static struct {
	u64 reason, qualification, linear, rcx, rsi, rdi, io_rip, rip, executive, link, current, smbase, activity, blocking;
	u64 length;
} told;
static u32 came;

static void note(void)
{
	came++;
	told.reason = vmx_read(VMCS_EXIT_REASON);
	told.qualification = vmx_read(VMCS_QUALIFICATION);
	told.linear = vmx_read(VMCS_GUEST_LINEAR);
	told.rcx = vmx_read(VMCS_IO_RCX);
	told.rsi = vmx_read(VMCS_IO_RSI);
	told.rdi = vmx_read(VMCS_IO_RDI);
	told.io_rip = vmx_read(VMCS_IO_RIP);
	told.rip = vmx_read(VMCS_GUEST_RIP);
	told.executive = vmx_read(VMCS_EXECUTIVE);
	told.link = vmx_read(VMCS_LINK);
	told.current = current();
	told.smbase = vmx_read(VMCS_GUEST_SMBASE);
	told.activity = vmx_read(VMCS_GUEST_ACTIVITY);
	told.blocking = vmx_read(VMCS_GUEST_INTERRUPTIBILITY);
	told.length = vmx_read(VMCS_EXIT_LENGTH);
}

static void listen(hook *h)
{
	memset(&told, 0xcc, sizeof(told));
	came = 0;
	stm = h;
}

/* ---- behind an I/O instruction: each form, in root operation and in a guest ---- */

static u8 outs_data[16] = {0x21, 0x22, 0x23, 0x24};
static u8 *guest_stack;

/* RCX 1, RDX the port, RSI the data, RDI something. */
#define IO(name, insn) SNIPPET_ENDING(name, "", insn, "ret")
IO(i_imm8, "outb %al, $0xb2");
IO(i_imm16, "outw %ax, $0xb2");
IO(i_imm32, "outl %eax, $0xb2");
IO(i_dx8, "outb %al, %dx");
IO(i_dx16, "outw %ax, %dx");
IO(i_dx32, "outl %eax, %dx");
IO(i_outsb, "outsb");
IO(i_outsw, "outsw");
IO(i_outsd, "outsl");
IO(i_rep, "rep outsb");
IO(i_rep_fs, "rep outsb %fs:(%rsi), %dx");

static const struct io_row {
	const char *name;
	const struct snippet *code;
	u32 qualification; /* but for the port */
	bool string;
	u64 base;
} io_rows[] = {
	{"OUT imm8, AL", &i_imm8, 0x40, false, 0},
	{"OUT imm8, AX", &i_imm16, 0x41, false, 0},
	{"OUT imm8, EAX", &i_imm32, 0x43, false, 0},
	{"OUT DX, AL", &i_dx8, 0, false, 0},
	{"OUT DX, AX", &i_dx16, 1, false, 0},
	{"OUT DX, EAX", &i_dx32, 3, false, 0},
	{"OUTSB", &i_outsb, 0x10, true, 0},
	{"OUTSW", &i_outsw, 0x11, true, 0},
	{"OUTSD", &i_outsd, 0x13, true, 0},
	{"REP OUTSB", &i_rep, 0x30, true, 0},
	{"REP OUTSB, FS", &i_rep_fs, 0x30, true, 0x100},
};
#define FS_AT 0x100

asm(".pushsection .text\n"
    "run_io: push %rbx; mov %rdi, %rbx; mov $1, %ecx; mov $0xb2, %edx; lea outs_data(%rip), %rsi; sub io_base, %rsi\n"
    " mov $0x77, %edi; mov $0x42, %eax; cld; call *%rbx; pop %rbx; ret\n"
    ".popsection");
void run_io(const void *entry);
u64 io_base __attribute__((used));
static const void *io_entry;

static void io_guest(void)
{
	run_io(io_entry);
	for (;;)
		asm volatile("vmcall");
}

static void io_told(const struct io_row *w, u64 extra, u64 executive, u64 link)
{
	u64 length = (u64)(w->code->next - w->code->entry), data = (u64)outs_data;

	vcheck(w->name, "one SMM VM exit", came, 1);
	vcheck(w->name, REQ("vmx04.3.1.3.30.now") "exit reason", told.reason, extra | R_IO_SMI);
	vcheck(w->name, "qualification", told.qualification, w->qualification | (u64)APM_CNT << 16);
	vcheck(w->name, "I/O RIP: the instruction", told.io_rip, (u64)w->code->entry);
	vcheck(w->name, "guest RIP: behind it", told.rip, (u64)w->code->entry + length);
	vcheck(w->name, "I/O RCX", told.rcx, 1);
	vcheck(w->name, "I/O RSI", told.rsi, data - w->base);
	vcheck(w->name, "I/O RDI", told.rdi, 0x77);
	if (w->string)
		vcheck(w->name, "guest-linear address", told.linear, data);
	vcheck(w->name, REQ("vmcall.45") "executive-VMCS pointer", told.executive, executive);
	vcheck(w->name, REQ("vmcall.45") "current VMCS", told.current, transfer);
	vcheck(w->name, "VMCS link pointer", told.link, link);
	vcheck(w->name, REQ("vmx04.2.3.1.46.now") "SMBASE", told.smbase, tseg);
	vcheck(w->name, "activity state", told.activity, 0);
}

static void *new_guest(void (*entry)(void))
{
	return vmx_guest(entry, (u64)guest_stack + 4096 - 64);
}

static void io_exits(void)
{
	u64 here;

	for (unsigned n = 0; n < COUNT(io_rows); n++) {
		const struct io_row *w = &io_rows[n];

		io_base = w->base;
		io_entry = w->code->entry;
		wrmsr(MSR_FS_BASE, w->base);
		here = other_vmcs();
		listen(note);
		run_io(w->code->entry);
		io_told(w, FROM_ROOT, vmxon_region, here);
		vcheck(w->name, "the executive's VMCS is current again", current(), here);

		here = (u64)new_guest(io_guest);
		vmx_write(VMCS_GUEST_FS_BASE, w->base);
		vmx_write(VMCS_GUEST_SMBASE, 0x5a5a5a5a);
		listen(note);
		vcheck(w->name, "guest: entry", vmx_run(false), VMX_OK);
		vcheck(w->name, "guest: ends", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
		io_told(w, 0, here, NONE);
		vcheck(w->name, "the guest's VMCS is current", current(), here);
		vcheck(w->name, REQ("vmx04.2.3.1.46.now") "no other exit or entry touches SMBASE",
		       vmx_read(VMCS_GUEST_SMBASE), 0x5a5a5a5a);
	}
	wrmsr(MSR_FS_BASE, 0);
	io_base = 0;
}

/* In compatibility mode a linear address has 32 bits, whatever the upper half of RSI is. */
SNIPPET_ENDING(i_compat, "movabs $0x5a5a5a5a00000000 + outs_data, %rsi; push $0x18; push $1f; lretq; .code32; 1: mov $0xb2, %edx",
	       "outsb", "vmcall; .code64");

static void compatibility_mode(void)
{
	u64 here = (u64)new_guest((void (*)(void))i_compat.entry);

	listen(note);
	check("a guest in compatibility mode", vmx_run(false), VMX_OK);
	check("ends", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	check("one SMM VM exit", came, 1);
	check("I/O SMI", told.reason, R_IO_SMI);
	check("qualification", told.qualification, 0x10 | (u64)APM_CNT << 16);
	check("guest-linear address: bits 63:32 are clear", told.linear, (u64)outs_data);
	check("I/O RIP", told.io_rip, (u64)i_compat.at);
	check("executive-VMCS pointer", told.executive, here);
}

/* ---- any other ---- */

static void smi_guest(void)
{
	send_smi();
	for (;;)
		asm volatile("vmcall");
}

static void other_exits(void)
{
	u64 here = (u64)new_guest(smi_guest);

	listen(note);
	send_smi();
	check("an SMI by the local APIC", came, 1);
	check(REQ("vmx04.3.1.3.30.now") "exit reason 6", told.reason, FROM_ROOT | R_SMI);
	check("no qualification", told.qualification, 0);
	check("from root operation", told.executive, vmxon_region);
	listen(note);
	check("a guest that sends itself one", vmx_run(false), VMX_OK);
	check("came", came, 1);
	check(REQ("vmx04.3.1.3.30.now") "exit reason 6 from non-root operation", told.reason, R_SMI);
	check("its VMCS", told.executive, here);
	listen(note);
	here = other_vmcs();
	check("VMCALL of the executive", vmcall(3).flags, 0);
	check(REQ("vmcall.46") "exit reason 18 from root operation", told.reason, FROM_ROOT | R_VMCALL);
	check(REQ("vmcall.47") "length", told.length, 3);
	check("current again", current(), here);
}

/* An SMI before an MTF VM exit: bit 28; the monitor that wants the guest to have it injects it. */
static void mtf_lost(void)
{
	note();
}

static void mtf_kept(void)
{
	note();
	vmx_write(VMCS_ENTRY_EVENT, 0x80000700);
}

static void mtf(void)
{
	for (unsigned kept = 0; kept < 2; kept++) {
		new_guest((void (*)(void))i_imm8.entry);
		*(u64 *)((u64)guest_stack + 4096 - 64) = (u64)io_guest;
		vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_MTF);
		listen(kept ? mtf_kept : mtf_lost);
		check("a guest with the monitor trap flag", vmx_run(false), VMX_OK);
		check("bit 28: the MTF VM exit was pending", told.reason, PENDING_MTF | R_IO_SMI);
		check("MTF VM exit", vmx_read(VMCS_EXIT_REASON), R_MTF);
		check(kept ? "injected: where the SMI came" : "not injected: one instruction later", vmx_read(VMCS_GUEST_RIP),
		      kept ? (u64)i_imm8.next : (u64)io_guest);
	}
}

/* HLT, and what the saved state says about blocking. */
static void back_to_work(void)
{
	note();
	vmx_write(VMCS_GUEST_ACTIVITY, 0);
}

static void to_hlt(void)
{
	send_smi();
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	stm = back_to_work;
}

static bool on_nmi_smi(struct regs *r)
{
	(void)r;
	if (nmis++ == 0) {
		send_nmi(); /* blocked until IRET */
		smi_port(2);
		check("NMIs are still blocked when the monitor has returned", nmis, 1);
	}
	return true;
}

static void states(void)
{
	listen(to_hlt);
	smi_port(1);
	check("an SMI in the HLT state", came, 1);
	check("is saved as such", told.activity, 1);
	check("exit reason", told.reason, FROM_ROOT | R_SMI);
	nmis = 0;
	on_exception(2, on_nmi_smi);
	listen(note);
	send_nmi();
	check("an SMI in the NMI handler", came, 1);
	check("blocking by NMI is saved", told.blocking, 8);
	check("the second NMI came behind the first", nmis, 2);
	listen(note);
	smi_port(1);
	check("no blocking", told.blocking, 0);
}

/* The areas of the SMM-transfer VMCS are used, as at every VM exit. */
static u64 store[2] __attribute__((aligned(16))) = {MSR_PAT};
static u64 load[2] __attribute__((aligned(16))) = {MSR_SYSENTER_ESP, 0x1234};
static u64 sysenter_in_monitor;

static void arm_areas(void)
{
	vmx_write(VMCS_STORE_COUNT, 1);
	vmx_write(VMCS_STORE_ADDR, (u64)store);
	vmx_write(VMCS_LOAD_COUNT, 1);
	vmx_write(VMCS_LOAD_ADDR, (u64)load);
	stm = note;
}

static void disarm_areas(void)
{
	note();
	sysenter_in_monitor = rdmsr(MSR_SYSENTER_ESP);
	vmx_write(VMCS_STORE_COUNT, 0);
	vmx_write(VMCS_LOAD_COUNT, 0);
}

static void areas(void)
{
	listen(arm_areas);
	smi_port(1);
	listen(disarm_areas);
	smi_port(1);
	check("the MSR-store area is used", store[1], rdmsr(MSR_PAT));
	check("the MSR-load area is used", sysenter_in_monitor, 0x1234);
	check("the executive's value is back", rdmsr(MSR_SYSENTER_ESP), 0);
}

/* VMXOFF, and the default treatment that is not. */
static void meanwhile(void)
{
	u64 flags, here = other_vmcs(), count = mailbox->count;

	asm volatile("push $0x8d7; popfq; vmxoff; pushfq; pop %0" : "=r"(flags)::"cc", "memory");
	check(REQ("vmx04.VMXOFF.10.now vmcall.55") "VMXOFF", flags & ALL_SIX, FLAG_ZF);
	check(REQ("vmx04.VMXOFF.10.now vmcall.55") "VM-instruction error", vmx_read(VMCS_ERROR), 23);
	check("nothing else: still in VMX operation", current(), here);
	vmx_clear(here);
	asm volatile("push $0x8d7; popfq; vmxoff; pushfq; pop %0" : "=r"(flags)::"cc", "memory");
	check(REQ("vmx04.VMXOFF.10.now") "VMXOFF without a current VMCS", flags & ALL_SIX, FLAG_CF);
	listen(note);
	smi_port(1);
	check(REQ("vmcall.55") "an SMI: to the monitor", came, 1);
	check(REQ("vmcall.55") "and not to SMRAM", mailbox->count, count);
	check("no current VMCS: the link pointer says so", told.link, NONE);
	check("and there is none again", current(), NONE);
}

void test_exits(void)
{
	guest_stack = page_alloc();
	if (!activate())
		return;
	io_exits();
	compatibility_mode();
	other_exits();
	mtf();
	states();
	areas();
	meanwhile();
	deactivate();
}

/* ---- "Default Treatment of SMI Delivery", "Default Treatment of RSM" ---- */

void test_default(void)
{
	u64 here = other_vmcs(), count = mailbox->count;

	guest_stack = page_alloc();
	vmx_write(VMCS_GUEST_RIP, 0x12345678);
	smi_port(1);
	check("the handler ran", mailbox->count, count + 1);
	check(REQ("vmx04.1.8.15.now") "CR4.VMXE in SMM", mailbox->cr4 >> 13 & 1, 0);
	check("CR4.VMXE behind it", read_cr4() >> 13 & 1, 1);
	check(REQ("vmx04.1.8.15.now") "root operation, the same current VMCS", current(), here);
	check("and its fields", vmx_read(VMCS_GUEST_RIP), 0x12345678);

	io_entry = i_imm8.entry;
	here = (u64)new_guest(io_guest);
	mailbox->cr4 = ~0u;
	check("a guest", vmx_run(false), VMX_OK);
	check(REQ("vmx04.1.8.15.now") "the guest's SMI: served, and back in the guest", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	check("the handler ran", mailbox->count, count + 2);
	check(REQ("vmx04.1.8.15.now") "CR4.VMXE in SMM", mailbox->cr4 >> 13 & 1, 0);
	check("the guest's VMCS is current", current(), here);
}
