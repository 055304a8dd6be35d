/* The fixture of smm.h. */
#include "smm.h"

volatile struct mailbox *const mailbox = (void *)0x7000;
struct mseg_header good;
u64 tseg, mseg, vmxon_region, transfer;
hook *stm;
u32 stm_exits, nmis;
bool stm_deactivates;
struct entered entered;
static u8 stm_stack[16384] __attribute__((aligned(16)));

/* ---- the default treatment: one handler for both places, 30000h + 8000h and TSEG + 8000h ---- */

asm(".pushsection .rodata; .code16\n"
    "smi_handler: xor %ax, %ax; mov %ax, %ds\n"
    " mov %cr4, %eax; mov %eax, 0x7004; incl 0x7000; in $0xb2, %al; mov %al, 0x7008\n"
    " mov 0x7018, %eax; mov $0xfef8, %bx; cmpw $0x64, %cs:0xfefc; jne 2f; mov $0xff00, %bx\n" /* AMD's map */
    "2: mov %eax, %cs:(%bx)\n" /* SMBASE: "SMRAM State Save Map" */
    " cmpl $0, 0x700c; je 1f; movl $0, 0x700c\n"
    " mov $0x9b, %ecx; mov 0x7010, %eax; mov 0x7014, %edx; wrmsr\n"
    "1: mov $0x634, %dx; mov $0x20, %eax; out %eax, %dx; mov $0x630, %dx; in %dx, %eax; or $2, %al; out %eax, %dx\n"
    " rsm\n"
    "smi_handler_end: .code64; .popsection");
extern u8 smi_handler[], smi_handler_end[];

static u32 bridge(u32 reg)
{
	outl(0xcf8, 0x80000000 | reg);
	return inl(0xcfc);
}

static void bridge_set(u32 reg, u32 v)
{
	outl(0xcf8, 0x80000000 | reg);
	outl(0xcfc, v);
}

static void smram_open(bool open)
{
	u32 v = bridge(0x9c) & ~(1u << 14 | 3u << 17);

	bridge_set(0x9c, v | 1 << 11 | 1 << 16 | (u32)open << 14);
}

bool smram_closed(void)
{
	return *(volatile u32 *)mseg == ~0u;
}

void smi_port(u8 command)
{
	outb(APM_CNT, command);
}

static void end_of_smi(void)
{
	outl(SMI_STS, inl(SMI_STS));
	outl(SMI_EN, inl(SMI_EN) | 2);
}

/* ---- MSEG ---- */

void mseg_write(const struct mseg_header *h)
{
	smram_open(true);
	memcpy((void *)mseg, h, sizeof(*h));
	smram_open(false);
}

void monitor_ctl(u64 value)
{
	mailbox->low = (u32)value;
	mailbox->high = (u32)(value >> 32);
	mailbox->write = 1;
	smi_port(0);
}

extern u8 stm_first[];

/* Where the header's EIP offset leads: JMP to this program. */
static void make_mseg(void)
{
	u64 first = (u64)stm_first;
	u8 *stub = (u8 *)mseg + 0x100;

	smram_open(true);
	memcpy(stub, (u8[]){0xff, 0x25, 0, 0, 0, 0}, 6); /* jmp *0(%rip) */
	memcpy(stub + 6, &first, 8);
	smram_open(false);
	good = (struct mseg_header){
		.revision = (u32)(rdmsr(MSR_VMX_MISC) >> 32),
		.features = 1,
		.gdt_limit = 0x5a5a007f, /* only 16 bits count */
		.gdt_offset = (u32)((u64)gdt - mseg),
		.cs = 0xabcd0008,
		.eip_offset = 0x100,
		.esp_offset = 0x8000,
		.cr3_offset = (u32)((u64)pml4 - mseg),
	};
	mseg_write(&good);
}

static void make_smram(void)
{
	tseg = ((u64)(bridge(0xb0) & 0xfff0) << 16) - 0x100000;
	mseg = tseg + 0x10000;
	memset((void *)mailbox, 0, sizeof(*mailbox));
	memcpy((void *)0x38000, smi_handler, (size_t)(smi_handler_end - smi_handler));
	mailbox->smbase = (u32)tseg;
	outl(SMI_STS, inl(SMI_STS));
	outl(SMI_EN, inl(SMI_EN) | 0x23);
	smi_port(1);
	bridge_set(0xac, (u32)tseg);
	smram_open(true);
	memcpy((void *)(tseg + 0x8000), smi_handler, (size_t)(smi_handler_end - smi_handler));
	smram_open(false);
}

/* ---- events ---- */

static void ipi(u32 mode)
{
	mmio_write(0xfee00310, mmio_read(0xfee00020) & 0xff000000);
	mmio_write(0xfee00300, mode << 8 | 1 << 14);
	while (mmio_read(0xfee00300) & 1 << 12)
		;
}

void send_smi(void)
{
	ipi(2);
}

void send_nmi(void)
{
	ipi(4);
}

static bool on_nmi(struct regs *r)
{
	(void)r;
	nmis++;
	return true;
}

/* ---- the executive's side ---- */

u64 current(void)
{
	u64 v = 0x5a5a;

	asm volatile("vmptrst %0" : "+m"(v)::"cc", "memory");
	return v;
}

u64 other_vmcs(void)
{
	u64 here = (u64)vmx_region();

	vmx_clear(here);
	vmx_load(here);
	return here;
}

void no_vmcs(void)
{
	vmx_clear(other_vmcs());
}

struct result vmcall(u64 rax)
{
	struct result r;

	asm volatile("push $0x8d7; popfq; vmcall; pushfq; pop %0" : "=&r"(r.flags), "+a"(rax)::"rbx", "cc", "memory");
	r.rax = rax;
	r.flags &= ALL_SIX;
	return r;
}

void transfer_fresh(void)
{
	transfer = other_vmcs();
	/* those that must be 1, and of the others what the first exit needs */
	vmx_write(VMCS_EXIT_CONTROLS, (u32)rdmsr(MSR_VMX_TRUE_EXIT) | X_LONG | X_SAVE_EFER | X_LOAD_EFER | X_DEBUG);
	vmx_write(VMCS_STORE_COUNT, 0);
	vmx_write(VMCS_LOAD_COUNT, 0);
}

bool activate(void)
{
	struct result r;

	transfer_fresh();
	stm_exits = 0;
	stm_deactivates = false;
	r = vmcall(0);
	if (r.flags & FLAG_ZF)
		print("activation fails: error %lu\n", vmx_read(VMCS_ERROR));
	check("activation", r.flags, 0);
	return !r.flags;
}

void deactivate(void)
{
	stm_deactivates = true;
	check("deactivation", vmcall(0).flags, 0);
	stm_deactivates = false;
	stm = NULL;
	check("the transfer VMCS becomes an ordinary one", vmx_clear(transfer), VMX_OK);
}

/* ---- the monitor's side ---- */

/* All registers as they are into `entered`; then as at every SMM VM exit, in a host that has to be made first. */
asm(".pushsection .text\n"
    "stm_first: mov %rsp, entered+72(%rip); pushfq; pop entered+80(%rip); mov stm_top(%rip), %rsp\n"
    " push %rax; mov %rax, entered(%rip); mov %rbx, entered+8(%rip); mov %rcx, entered+16(%rip)\n"
    " mov %rdx, entered+24(%rip)\n"
    " mov %rsi, entered+32(%rip); mov %rdi, entered+40(%rip); mov %rbp, entered+48(%rip); mov %r8, entered+56(%rip)\n"
    " mov %r15, entered+64(%rip); lea stm_first(%rip), %rax; mov %rax, entered+136(%rip)\n"
    " sgdt entered+160(%rip); sidt entered+170(%rip); pop %rax\n"
    " push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8\n"
    " push %rbp; push %rdi; push %rsi; push %rdx; push %rcx; push %rbx; push %rax; mov %rsp, %rdi; cld\n"
    " call stm_begins\n"
    " pop %rax; pop %rbx; pop %rcx; pop %rdx; pop %rsi; pop %rdi; pop %rbp\n"
    " pop %r8; pop %r9; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14; pop %r15\n"
    " vmlaunch; call stm_stuck\n"
    "stm_again:\n"
    " push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8\n"
    " push %rbp; push %rdi; push %rsi; push %rdx; push %rcx; push %rbx; push %rax; mov %rsp, %rdi; cld\n"
    " call stm_continues\n"
    " pop %rax; pop %rbx; pop %rcx; pop %rdx; pop %rsi; pop %rdi; pop %rbp\n"
    " pop %r8; pop %r9; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14; pop %r15\n"
    " vmresume; call stm_stuck\n"
    ".popsection\n"
    ".pushsection .data\n stm_top: .quad stm_stack + 8192\n .popsection"); /* the other half is the host's */
extern u8 stm_again[];
void stm_begins(void);
void stm_continues(void);
void stm_stuck(void);

_Static_assert(offsetof(struct entered, rsp) == 72 && offsetof(struct entered, rip) == 136 &&
	       offsetof(struct entered, gdtr) == 160 && offsetof(struct entered, idtr) == 170, "the assembler text above");

void stm_stuck(void)
{
	print("FAIL the monitor's VM entry: error %lu\n", vmx_read(VMCS_ERROR));
	guest_end(0x7d);
}

void host_is_stm(void)
{
	vmx_write(VMCS_HOST_RSP, (u64)stm_stack + sizeof(stm_stack));
	vmx_write(VMCS_HOST_RIP, (u64)stm_again);
}

/* `reason` and `length` as the exit left them: a hook's entries may fail. */
static void finish(u64 reason, u64 length)
{
	if ((reason & 0xffff) == R_VMCALL) {
		vmx_write(VMCS_GUEST_RIP, vmx_read(VMCS_GUEST_RIP) + length);
		vmx_write(VMCS_GUEST_RFLAGS, vmx_read(VMCS_GUEST_RFLAGS) & ~(u64)ALL_SIX);
	}
	if (stm_deactivates)
		vmx_write(VMCS_ENTRY_CONTROLS, vmx_read(VMCS_ENTRY_CONTROLS) | E_DEACTIVATE);
}

static void selectors(void)
{
	asm volatile("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2; mov %%es, %3; mov %%fs, %4; mov %%gs, %5; sldt %6; str %7"
		     : "=m"(entered.cs), "=m"(entered.ss), "=m"(entered.ds), "=m"(entered.es), "=m"(entered.fs),
		       "=m"(entered.gs), "=m"(entered.ldtr), "=m"(entered.tr));
}

void stm_begins(void)
{
	selectors();
	entered.cr0 = read_cr0();
	entered.cr3 = read_cr3();
	entered.cr4 = read_cr4();
	entered.efer = rdmsr(MSR_EFER);
	entered.debugctl = rdmsr(MSR_DEBUGCTL);
	asm volatile("mov %%dr7, %0" : "=r"(entered.dr7));
	if (stm)
		stm(); /* looks at what the processor has saved, before anything is written */
	vmx_host();
	host_is_stm();
	vmx_write(VMCS_EXIT_CONTROLS, (u32)rdmsr(MSR_VMX_TRUE_EXIT) | X_LONG | X_SAVE_EFER | X_LOAD_EFER | X_DEBUG);
	vmx_write(VMCS_ENTRY_CONTROLS, (u32)rdmsr(MSR_VMX_TRUE_ENTRY) | E_LONG | E_EFER | E_DEBUG);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 0);
	vmx_write(VMCS_ENTRY_EVENT, 0);
	finish(vmx_read(VMCS_EXIT_REASON), vmx_read(VMCS_EXIT_LENGTH));
}

void stm_continues(void)
{
	u64 reason = vmx_read(VMCS_EXIT_REASON), length = vmx_read(VMCS_EXIT_LENGTH);

	stm_exits++;
	if (reason >> 31) {
		print("FAIL the monitor's VM entry: exit reason 0x%lx, qualification 0x%lx\n", reason,
		      vmx_read(VMCS_QUALIFICATION));
		guest_end(0x7d);
	}
	if (stm)
		stm();
	end_of_smi();
	finish(reason, length);
}

u64 refused(bool resume)
{
	int r = vmx_run(resume);
	u64 why = r == VMX_FAIL_VALID ? vmx_read(VMCS_ERROR) : r == VMX_FAIL_INVALID ? NONE : vmx_read(VMCS_EXIT_REASON);

	host_is_stm();
	return why;
}

/* A processor without the dual-monitor treatment. */
static int absent(void)
{
	struct result r;

	check(REQ("vmcall.39") "RDMSR of IA32_SMM_MONITOR_CTL", CATCH(rdmsr(MSR_SMM_MONITOR_CTL)), EX_GP);
	check(REQ("vmcall.39") "WRMSR of IA32_SMM_MONITOR_CTL", CATCH(wrmsr(MSR_SMM_MONITOR_CTL, 0)), EX_GP);
	check("RDMSR of IA32_SMBASE", CATCH(rdmsr(MSR_SMBASE)), EX_GP);
	check("entry to SMM and deactivation cannot be set", rdmsr(MSR_VMX_TRUE_ENTRY) >> 42 & 3, 0);
	other_vmcs();
	r = vmcall(1);
	check("VMCALL in root operation", r.flags, FLAG_ZF);
	check("VM-instruction error", vmx_read(VMCS_ERROR), 1);
	vmx_disable();
	return guest_verdict();
}

int main(void)
{
	on_exception(2, on_nmi);
	if (!vmx_enable())
		return 1;
	if (!(rdmsr(MSR_VMX_BASIC) >> 49 & 1))
		return absent();
	make_smram();
	asm volatile("vmxoff" ::: "cc");
	vmxon_region = (u64)vmx_region();
	vmx_on(vmxon_region);
	make_mseg();
	test_default();
	test_calls();
	test_activation();
	test_exits();
	test_returns();
	vmx_disable();
	return guest_verdict();
}
