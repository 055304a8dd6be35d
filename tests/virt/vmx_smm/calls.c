/* VMCALL in root operation: a test for each branch of its Operation listing, and what the activation saves and loads. */
#include "smm.h"

/* What a VMCALL that fails leaves: nothing has changed but the flags and the VM-instruction error. */
static void fails(const char *name, u64 error)
{
	u64 before = current(), count = mailbox->count;
	struct result r = vmcall(0x1234);

	vcheck(name, REQ("vmcall.24") "flags", r.flags, error ? FLAG_ZF : FLAG_CF);
	if (error)
		vcheck(name, "VM-instruction error", vmx_read(VMCS_ERROR), error);
	vcheck(name, "registers", r.rax, 0x1234);
	vcheck(name, REQ("vmcall.23") "the current VMCS is the same", current(), before);
	vcheck(name, "SMM is left: SMRAM is closed", smram_closed(), 1);
	vcheck(name, "outside SMM, WRMSR of IA32_SMM_MONITOR_CTL", CATCH(wrmsr(MSR_SMM_MONITOR_CTL, 0)), EX_GP);
	smi_port(0x77);
	vcheck(name, "SMIs are not blocked, and have their default treatment", mailbox->count, count + 1);
	vcheck(name, "in VMX operation still", current(), before);
}

/* ---- IA32_SMM_MONITOR_CTL, IA32_SMBASE ---- */

static void msrs(void)
{
	check(REQ("vmcall.40") "IA32_SMM_MONITOR_CTL after reset", rdmsr(MSR_SMM_MONITOR_CTL), 0);
	check(REQ("vmcall.39") "WRMSR outside SMM", CATCH(wrmsr(MSR_SMM_MONITOR_CTL, mseg | 1)), EX_GP);
	check("error code", last_fault.error, 0);
	check("IA32_VMX_MISC bit 15: IA32_SMBASE is there", rdmsr(MSR_VMX_MISC) >> 15 & 1, 1);
	check("IA32_SMBASE outside SMM, RDMSR", CATCH(rdmsr(MSR_SMBASE)), EX_GP);
	check("IA32_SMBASE outside SMM, WRMSR", CATCH(wrmsr(MSR_SMBASE, 0x30000)), EX_GP);
	monitor_ctl(mseg | 1);
	check(REQ("vmcall.38 vmcall.39") "IA32_SMM_MONITOR_CTL written in SMM, read outside", rdmsr(MSR_SMM_MONITOR_CTL),
	      mseg | 1);
}

/* ---- branches 5 and 7 to 11 ---- */

static void valid_bit(void)
{
	transfer_fresh();
	monitor_ctl(mseg);
	fails(REQ("vmcall.12") "valid bit 0", 1);
	vmx_write(VMCS_EXIT_CONTROLS, 0);
	fails("valid bit 0, invalid VM-exit controls", 1);
	monitor_ctl(mseg | 1);
}

static void no_current(void)
{
	vmx_clear(transfer);
	mseg_write(&(struct mseg_header){0});
	fails(REQ("vmcall.16") "no current VMCS", 0);
	mseg_write(&good);
}

static void idle(void)
{
	for (;;)
		asm volatile("vmcall");
}

static void launched(void)
{
	u8 *stack = page_alloc();

	vmx_guest(idle, (u64)stack + 4096 - 64);
	check("a VMCS is launched", vmx_run(false), VMX_OK);
	vmx_write(VMCS_EXIT_CONTROLS, 0); /* 19 comes before 20 */
	fails(REQ("vmcall.17") "VMCS not clear", 19);
	vmx_write(VMCS_EXIT_CONTROLS, (u32)rdmsr(MSR_VMX_TRUE_EXIT) | X_LONG | X_SAVE_EFER | X_LOAD_EFER);
	check("its launch state is what it was", vmx_run(true), VMX_OK);
	check("it leaves by VMCALL", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
}

static void exit_controls(void)
{
	u64 capability = rdmsr(MSR_VMX_TRUE_EXIT), must = (u32)capability, may = capability >> 32, beyond;
	u32 r[4];

	cpuid(0x80000008, 0, r);
	beyond = 1ull << (r[0] & 0xff);
	transfer_fresh();
	mseg_write(&(struct mseg_header){0}); /* 20 comes before 22 */
	for (unsigned n = 0; n < 32; n++) {
		if ((must >> n & 1) || !(may >> n & 1)) {
			vmx_write(VMCS_EXIT_CONTROLS, must ^ 1ull << n);
			fails(REQ("vmcall.18 vmcall.43") "a reserved VM-exit control", 20);
		}
	}
	vmx_write(VMCS_EXIT_CONTROLS, must);
	fails("VM-exit controls in order, MSEG is read", 22);
	for (u64 count = 1; count < 3; count++) {
		vmx_write(VMCS_STORE_COUNT, count);
		for (unsigned bit = 0; bit < 4; bit++) {
			vmx_write(VMCS_STORE_ADDR, 0x100000 | 1 << bit);
			fails(REQ("vmcall.43") "MSR-store address not aligned", 20);
		}
		vmx_write(VMCS_STORE_ADDR, beyond);
		fails(REQ("vmcall.43") "MSR-store address beyond the address width", 20);
	}
	vmx_write(VMCS_STORE_ADDR, beyond - 16);
	fails(REQ("vmcall.43") "MSR-store area ends beyond the address width", 20);
	vmx_write(VMCS_STORE_COUNT, 1);
	fails(REQ("vmcall.43") "MSR-store area ends with the address width", 22);
	vmx_write(VMCS_STORE_COUNT, 0);
	vmx_write(VMCS_STORE_ADDR, beyond | 1);
	fails(REQ("vmcall.43") "no MSR-store area: its address is not looked at", 22);
	vmx_write(VMCS_STORE_ADDR, 0);
	vmx_write(VMCS_LOAD_COUNT, 1);
	vmx_write(VMCS_LOAD_ADDR, beyond | 1);
	fails("the MSR-load area is not looked at", 22);
	vmx_write(VMCS_LOAD_COUNT, 0);
	mseg_write(&good);
}

static void header(void)
{
	struct mseg_header h;

	transfer_fresh();
	for (unsigned bit = 0; bit < 32; bit++) {
		h = good;
		h.revision ^= 1u << bit;
		h.features = 2; /* 22 comes before 24 */
		mseg_write(&h);
		fails(REQ("vmcall.19 vmcall.22") "MSEG revision identifier", 22);
	}
	for (unsigned bit = 1; bit < 32; bit++) {
		h = good;
		h.features |= 1u << bit;
		mseg_write(&h);
		fails(REQ("vmcall.20 vmcall.42") "a reserved bit of the features", 24);
	}
	h = good;
	h.features = 0;
	mseg_write(&h);
	fails(REQ("vmcall.42") "features without IA-32e mode in 64-bit mode", 24);
	mseg_write(&good);
	check(REQ("vmcall.23") "after all of them the VMCS is still clear: it activates", vmcall(0).flags, 0);
	deactivate();
}

/* The launch state is what it was: a VMCS whose VMCALL failed is launched, by VMLAUNCH. */
static void launch_state(void)
{
	struct mseg_header h = good;
	u8 *stack = page_alloc();

	vmx_guest(idle, (u64)stack + 4096 - 64);
	h.revision ^= 1;
	mseg_write(&h);
	fails("VMCALL with a guest's VMCS", 22);
	h = good;
	h.features = 3;
	mseg_write(&h);
	fails("VMCALL with a guest's VMCS", 24);
	check(REQ("vmcall.23") "it can be launched", vmx_run(false), VMX_OK);
	mseg_write(&good);
}

/* ---- branch 5 in SMM, 6 and 12 ---- */

static struct result in_smm;

/* Bits 0, 2 and 31:12 may be 1. */
static void write_each_bit(void)
{
	for (unsigned n = 0; n < 64; n++) {
		bool fine = n == 0 || n == 2 || (n >= 12 && n < 32);

		check(fine ? REQ("vmcall.38") "a bit of IA32_SMM_MONITOR_CTL" : REQ("vmcall.38 vmcall.39") "a reserved bit",
		      (u64)CATCH(wrmsr(MSR_SMM_MONITOR_CTL, 1ull << n)), fine ? ~0ull : EX_GP);
		check("what can be read", rdmsr(MSR_SMM_MONITOR_CTL), fine ? 1ull << n : n < 2 ? 1 : n < 12 ? 4 : 1ull << 31);
	}
}

static void call_in_smm(void)
{
	in_smm = vmcall(0x55);
	write_each_bit();
	wrmsr(MSR_SMM_MONITOR_CTL, mseg | 5);
	check("bit 2, which IA32_VMX_MISC bit 28 announces", rdmsr(MSR_SMM_MONITOR_CTL), mseg | 5);
	wrmsr(MSR_SMM_MONITOR_CTL, mseg | 1);
	check("IA32_SMBASE in SMM", rdmsr(MSR_SMBASE), tseg);
	check("IA32_SMBASE in SMM, WRMSR", CATCH(wrmsr(MSR_SMBASE, 0x30000)), EX_GP);
	check("TSEG is open in SMM", *(u32 *)mseg, good.revision);
}

static void active(void)
{
	if (!activate())
		return;
	stm = call_in_smm;
	check(REQ("vmcall.3 vmcall.15") "VMCALL when active: to the monitor", vmcall(0x99).flags, 0);
	check("it came", stm_exits, 1);
	check(REQ("vmcall.10") "VMCALL in SMM: VMfail", in_smm.flags, FLAG_ZF);
	check(REQ("vmcall.10") "and nothing else", in_smm.rax, 0x55);
	stm = NULL;
	/* nothing of branches 7 to 9 matters now */
	no_vmcs();
	check("no VMCS is current", current(), NONE);
	check(REQ("vmcall.15") "VMCALL when active without a current VMCS", vmcall(0).flags, 0);
	check("the monitor returned to no current VMCS", current(), NONE);
	deactivate();
}

void test_calls(void)
{
	check("the MSEG header lies in closed SMRAM", smram_closed(), 1);
	transfer_fresh();
	fails("IA32_SMM_MONITOR_CTL as reset left it", 1);
	msrs();
	valid_bit();
	no_current();
	launched();
	exit_controls();
	header();
	launch_state();
	active();
}

/* ---- "Activating the Dual-Monitor Treatment": what is saved and what is loaded ---- */

static u64 saved_rip, saved_flags, saved_rsp, interruptibility;
static u64 executive_field, reason, length, link, is_current, saved_cs, saved_cr3, saved_smbase;
static u64 saved_activity, saved_efer;

static void remember(void)
{
	saved_rip = vmx_read(VMCS_GUEST_RIP);
	saved_flags = vmx_read(VMCS_GUEST_RFLAGS);
	saved_rsp = vmx_read(VMCS_GUEST_RSP);
	saved_cs = vmx_read(VMCS_GUEST_CS);
	saved_cr3 = vmx_read(VMCS_GUEST_CR3);
	saved_efer = vmx_read(VMCS_GUEST_EFER);
	saved_smbase = vmx_read(VMCS_GUEST_SMBASE);
	saved_activity = vmx_read(VMCS_GUEST_ACTIVITY);
	interruptibility = vmx_read(VMCS_GUEST_INTERRUPTIBILITY);
	executive_field = vmx_read(VMCS_EXECUTIVE);
	reason = vmx_read(VMCS_EXIT_REASON);
	length = vmx_read(VMCS_EXIT_LENGTH);
	link = vmx_read(VMCS_LINK);
	is_current = current();
}

static void saved(void)
{
	check(REQ("vmcall.44") "the SMM-transfer VMCS is current", is_current, transfer);
	check(REQ("vmcall.44") "executive-VMCS pointer: the VMXON pointer", executive_field, vmxon_region);
	check("VMCS link pointer: what was current", link, transfer);
	check(REQ("vmcall.46") "exit reason", reason, FROM_ROOT | R_VMCALL);
	check(REQ("vmcall.47") "instruction length", length, 3);
	check(REQ("vmcall.47") "saved RIP is the VMCALL's", *(u32 *)saved_rip & 0xffffff, 0xc1010f);
	check(REQ("vmcall.27") "saved flags are those before it", saved_flags & ALL_SIX, ALL_SIX);
	check("saved CS", saved_cs, 8);
	check("saved CR3", saved_cr3, (u64)pml4);
	check("saved EFER", saved_efer, rdmsr(MSR_EFER));
	check("saved activity state", saved_activity, 0);
	check("saved SMBASE", saved_smbase, tseg);
	check(REQ("vmcall.54") "saved blocking", interruptibility, 0);
}

static void loaded(u16 cs, u16 data)
{
	u64 low = (u64)pml4 & 0xfffff000;

	check(REQ("vmcall.48") "CR0", entered.cr0, 0x80000033);
	check(REQ("vmcall.49") "CR3", entered.cr3, low);
	check(REQ("vmcall.50") "CR4: PAE, neither MCE nor PGE nor PSE; the others stay", entered.cr4,
	      (read_cr4() & ~0xd0ull) | 0x20);
	check(REQ("vmcall.50") "DR7", entered.dr7, 0x400);
	check(REQ("vmcall.50") "IA32_DEBUGCTL", entered.debugctl, 0);
	check(REQ("vmcall.53") "IA32_EFER.LME and LMA", entered.efer & 0x500, 0x500);
	check(REQ("vmcall.51") "CS", entered.cs, cs);
	check(REQ("vmcall.51") "SS", entered.ss, data);
	check(REQ("vmcall.51") "DS", entered.ds, data);
	check(REQ("vmcall.51") "ES", entered.es, data);
	check(REQ("vmcall.51") "FS", entered.fs, data);
	check(REQ("vmcall.51") "GS", entered.gs, data);
	check(REQ("vmcall.52") "LDTR", entered.ldtr, 0);
	check(REQ("vmcall.52") "GDTR base", entered.gdtr.base, (u64)gdt);
	check(REQ("vmcall.52") "GDTR limit", entered.gdtr.limit, good.gdt_limit & 0xffff);
	check(REQ("vmcall.52") "IDTR base", entered.idtr.base, (u64)idt);
	check(REQ("vmcall.52") "IDTR limit", entered.idtr.limit, 0);
	check(REQ("vmcall.53") "RSP", entered.rsp, mseg + good.esp_offset);
	check(REQ("vmcall.53") "RFLAGS", entered.rflags, 2);
}

static void registers_kept(void)
{
	u64 rbx = 0x1111222233334444, r15 = 0x5555666677778888;

	asm volatile("mov %0, %%r15; mov %1, %%rbx; mov $0x77, %%eax; vmcall" ::"r"(r15), "r"(rbx)
		     : "rax", "rbx", "r15", "cc", "memory");
	check("RAX", entered.rax, 0x77);
	check("RBX", entered.rbx, rbx);
	check("R15", entered.r15, r15);
}

static u32 nmi_in_smm, smi_in_smm;

/* NMI and SMI pend until the monitor returns. */
static void blocked(void)
{
	remember();
	send_nmi();
	send_smi();
	smi_port(0x11);
	nmi_in_smm = nmis;
	smi_in_smm = stm_exits;
}

static u64 next_reason, next_executive, next_exits;
static void then(void)
{
	next_exits++;
	next_reason = vmx_read(VMCS_EXIT_REASON);
	next_executive = vmx_read(VMCS_EXECUTIVE);
}

static void blocked_first(void)
{
	blocked();
	stm = then;
}

static void shadows(void)
{
	transfer_fresh();
	stm = remember;
	asm volatile("sti; vmcall; cli" ::: "rax", "rbx", "cc", "memory");
	check("blocking by STI is saved", interruptibility, 1);
	deactivate();
	transfer_fresh();
	stm = remember;
	asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; vmcall" ::: "rax", "rbx", "cc", "memory");
	check("blocking by MOV SS is saved", interruptibility, 2);
	deactivate();
}

static void selector_rows(void)
{
	static const struct { u32 header; u16 cs, data; } rows[] = {
		{0xabcd0008, 0x0008, 0x0010}, {0x00000000, 0x0008, 0x0010}, {0x00000007, 0x0008, 0x0010},
		{0x1234567f, 0x5678, 0x5680}, {0x0000fff8, 0xfff8, 0x0008}, {0xffffffff, 0xfff8, 0x0008},
	};

	for (unsigned n = 0; n < COUNT(rows); n++) {
		struct mseg_header h = good;

		h.cs = rows[n].header;
		mseg_write(&h);
		if (!activate())
			continue;
		loaded(rows[n].cs, rows[n].data);
		deactivate();
	}
	mseg_write(&good);
}

/* CR3's low bits: of the offset only 4:3 count. */
static void cr3_bits(void)
{
	struct mseg_header h = good;

	h.cr3_offset |= 0xfff;
	mseg_write(&h);
	if (activate()) {
		check(REQ("vmcall.49") "CR3, bits 11:0", entered.cr3 & 0xfff, 0x18);
		deactivate();
	}
	mseg_write(&good);
}

/* Every bit of CR0, CR4 and the debug registers that the executive may have set. */
static void other_registers(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	write_cr0(cr0 | 1 << 16 | 1 << 18 | 1ull << 30);
	write_cr4(cr4 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7);
	asm volatile("mov %0, %%dr7" ::"r"(0x700ull));
	wrmsr(MSR_DEBUGCTL, 1);
	stm = remember;
	if (activate()) {
		check(REQ("vmcall.48") "CR0.CD stays, WP and AM do not", entered.cr0, 0xc0000033);
		check(REQ("vmcall.50") "CR4.DE stays, PSE MCE PGE do not", entered.cr4, ((cr4 | 1 << 3) & ~0xd0ull) | 0x20);
		check(REQ("vmcall.50") "DR7", entered.dr7, 0x400);
		check(REQ("vmcall.50") "IA32_DEBUGCTL", entered.debugctl, 0);
		check("the executive has its CR4 back", read_cr4(), cr4 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7);
		check("and IA32_DEBUGCTL", rdmsr(MSR_DEBUGCTL), 1);
		deactivate();
	}
	wrmsr(MSR_DEBUGCTL, 0);
	asm volatile("mov %0, %%dr7" ::"r"(0x400ull));
	write_cr0(cr0);
	write_cr4(cr4);
}

/* "Saving MSRs", "Loading MSRs": the areas of the VMCS are of no account. */
static void areas(void)
{
	static u64 store[2] __attribute__((aligned(16))), load[2] __attribute__((aligned(16)));
	u64 pat = rdmsr(MSR_PAT);

	transfer_fresh();
	store[0] = load[0] = MSR_PAT;
	store[1] = 0xfeed;
	load[1] = pat ^ 1ull << 32;
	vmx_write(VMCS_STORE_COUNT, 1);
	vmx_write(VMCS_STORE_ADDR, (u64)store);
	vmx_write(VMCS_LOAD_COUNT, 1);
	vmx_write(VMCS_LOAD_ADDR, (u64)load);
	stm = remember;
	check("activation", vmcall(0).flags, 0);
	check(REQ("vmcall.54") "the MSR-store area is not used", store[1], 0xfeed);
	check(REQ("vmcall.54") "the MSR-load area is not used", rdmsr(MSR_PAT), pat);
	stm_deactivates = true;
	vmx_load(transfer);
	vmx_write(VMCS_STORE_COUNT, 0);
	vmx_write(VMCS_LOAD_COUNT, 0);
	deactivate();
}

void test_activation(void)
{
	stm = remember;
	if (!activate())
		return;
	saved();
	check(REQ("vmcall.21") "control went to the entry in MSEG", stm_exits, 0);
	loaded(0x08, 0x10);
	deactivate();
	transfer_fresh();
	registers_kept();
	deactivate();
	asm volatile("nop");
	transfer_fresh();
	stm = remember;
	asm volatile(".byte 0x4f; vmcall" ::: "rax", "rbx", "cc", "memory");
	check(REQ("vmcall.47") "instruction length with a prefix", length, 4);
	deactivate();
	nmis = 0;
	next_exits = 0;
	stm = blocked_first;
	if (activate()) {
		check(REQ("vmcall.54") "NMIs are blocked in the monitor", nmi_in_smm, 0);
		check(REQ("vmcall.54") "and SMIs", smi_in_smm, 0);
		check("the SMI comes when it returns", next_exits, 1);
		check("as one that no I/O instruction made", next_reason, FROM_ROOT | R_SMI);
		check("from root operation", next_executive, vmxon_region);
		check("and so does the NMI", nmis, 1);
		deactivate();
	}
	shadows();
	selector_rows();
	cr3_bits();
	other_registers();
	areas();
	proves("vmcall.41"); /* each field of the header has led to something else */
}
