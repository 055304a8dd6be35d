/*
 * stm: the dual-monitor treatment of SMIs and SMM, from its beginning to its end, seen from the executive monitor,
 * which says what it does; the SMM-transfer monitor (monitor.c) answers on the same line. First, as firmware would,
 * it gives SMM a memory of its own, puts the SMM-transfer monitor there and closes it. docs/tutorial-stm.md goes
 * through all of it.
 *
 * On the command line: `64`: in the 32-bit executive, the 64-bit SMM-transfer monitor.
 */
#include "stm.h"

#define IMAGE(bits, place) __asm__("_binary_guests_stm_monitor" #bits "_bin_" #place)
extern u8 image64[] IMAGE(64, start), image64_end[] IMAGE(64, end), image32[] IMAGE(32, start), image32_end[] IMAGE(32, end);
extern u8 relocate[], relocate_end[], handler[], handler_end[]; /* smi.S */
extern u8 gdt[];
extern u32 boot_info; /* start.S */
enum outcome enter(void);
int main(void);

enum { RESET_SMBASE = 0x30000 };

/* An address the compiler knows nothing of. */
static void *at(word a)
{
	__asm__("" : "+r"(a));
	return (void *)a;
}

static volatile struct orders *orders(void)
{
	return at(ORDERS);
}

static void wrmsr64(u32 i, u64 v)
{
	__asm__ volatile("wrmsr" ::"c"(i), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static bool asked_for(const char *wanted)
{
	const char *s = at(*(u32 *)at(boot_info + 24)); /* hvm_start_info.cmdline_paddr */

	for (; s && *s; s++)
		if (s[0] == wanted[0] && s[1] == wanted[1])
			return true;
	return false;
}

static void *page(void)
{
	static u8 pages[8][4096] __attribute__((aligned(4096)));
	static unsigned used;

	return pages[used++];
}

static bool expect(const char *what, bool ok)
{
	if (!ok)
		print("executive: not so: %s\n", what);
	return ok;
}

/* ---- 1. What firmware does: memory for SMM, a handler there, MSEG. Q35: "SMRAM", "ESMRAMC", "TSEGMB", "TOLUD" ---- */

enum { BRIDGE_TSEGMB = 0xac, BRIDGE_TOLUD = 0xb0, BRIDGE_SMRAM = 0x9c }; /* SMRAM at 9Dh, ESMRAMC at 9Eh */
#define G_SMRAME (1u << 11) /* in the word at 9Ch */
#define D_LCK    (1u << 12)
#define T_EN     (1u << 16) /* and a size of 00b: 1 MiB */
#define TSEG_SZ  (3u << 17)

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

static void smi_by_port(u32 command)
{
	outb(APM_CNT, (u8)command);
}

/* TSEG is the last of the memory. As long as nobody has enabled it, it is memory like any other. */
static u32 make_smram(void)
{
	u32 tseg = ((bridge(BRIDGE_TOLUD) & 0xfff0) << 16) - TSEG_SIZE;

	memcpy(at(RESET_SMBASE + AT_HANDLER), relocate, (size_t)(relocate_end - relocate));
	memcpy(at(tseg + AT_HANDLER), handler, (size_t)(handler_end - handler));
	orders()->target = tseg; /* the new SMBASE */
	outl(SMI_STS, inl(SMI_STS));
	outl(SMI_EN, inl(SMI_EN) | SMI_EN_GLOBAL | SMI_EN_APMC | SMI_EN_EOS);
	smi_by_port(COMMAND_RELOCATE);
	bridge_set(BRIDGE_TSEGMB, tseg);
	bridge_set(BRIDGE_SMRAM, (bridge(BRIDGE_SMRAM) & ~TSEG_SZ) | G_SMRAME | T_EN | D_LCK);
	return tseg;
}

/* What CR3 will point at: all memory below 4 GiB as it is. */
static void build_tables(u8 *image, u32 mseg, bool is_64)
{
	u32 *t = (u32 *)(image + MSEG_TABLES), base = mseg + MSEG_TABLES;

	if (!is_64) {
		for (u32 n = 0; n < 1024; n++)
			t[n] = n << 22 | 0x83; /* 4 MiB, writable, present */
		return;
	}
	t[0] = base + 0x1003;
	for (u32 n = 0; n < 4; n++)
		t[1024 + 2 * n] = base + (0x2000 + 0x1000 * n + 3);
	for (u32 n = 0; n < 2048; n++)
		t[2048 + 2 * n] = n << 21 | 0x83;
}

/* "Enabling the Dual-Monitor Treatment": first the content of MSEG, then the valid bit, and both in SMM. */
static void install(u32 tseg, bool is_64)
{
	static u8 staging[MSEG_STACK_TOP] __attribute__((aligned(4096)));
	u8 *from = is_64 ? image64 : image32, *end = is_64 ? image64_end : image32_end;
	struct mseg_header *header = (struct mseg_header *)staging;
	volatile struct orders *o = orders();
	u32 mseg = tseg + AT_MSEG;

	memcpy(staging, from, (size_t)(end - from));
	build_tables(staging, mseg, is_64);
	header->revision = (u32)(rdmsr64(MSR_VMX_MISC) >> 32);
	o->source = (u32)(word)staging;
	o->target = mseg;
	o->bytes = sizeof(staging);
	o->count = 1;
	o->msr[0].index = MSR_SMM_MONITOR_CTL;
	o->msr[0].low = mseg | 1;
	if (rdmsr64(MSR_MTRRCAP) >> 11 & 1) { /* "SMRR": what is cached of TSEG is for SMM only, too */
		o->msr[1].index = MSR_SMRR_BASE;
		o->msr[1].low = tseg | 6;
		o->msr[2].index = MSR_SMRR_MASK;
		o->msr[2].low = -TSEG_SIZE | 1 << 11;
		o->count = 3;
	}
	smi_by_port(COMMAND_INSTALL);
	print("executive: MSEG revision 0x%x, features %u, entry point 0x%x: %u bytes of STM at 0x%x\n", header->revision,
	      header->features, header->eip_offset, (u32)(end - from), mseg);
}

static bool firmware(bool is_64)
{
	u32 tseg = make_smram();

	print("executive: TSEG at 0x%x, SMBASE with it, closed and locked: a read gives 0x%x\n", tseg,
	      *(volatile u32 *)at(tseg + AT_HANDLER));
	install(tseg, is_64);
	print("executive: IA32_SMM_MONITOR_CTL 0x%x, written by the SMM handler\n", (u32)rdmsr64(MSR_SMM_MONITOR_CTL));
	return expect("the second SMI was served in TSEG", orders()->seen == 1) &&
	       expect("MSEG is valid", rdmsr64(MSR_SMM_MONITOR_CTL) == tseg + AT_MSEG + 1);
}

/* ---- 2. VMX operation ---- */

static u64 region(void)
{
	u32 *p = page();

	p[0] = (u32)rdmsr64(MSR_VMX_BASIC) & 0x7fffffff;
	return (u64)(word)p;
}

static word fixed(word v, u32 msr)
{
	return (v | (word)rdmsr64(msr)) & (word)rdmsr64(msr + 1);
}

static bool enter_vmx_operation(void)
{
	u64 vmxon_region = region();

	if (!(rdmsr64(MSR_FEATURE_CONTROL) & 1))
		wrmsr64(MSR_FEATURE_CONTROL, 5);
	__asm__ volatile("mov %0, %%cr0" ::"r"(fixed(read_cr(0), MSR_VMX_CR0_FIXED0)));
	__asm__ volatile("mov %0, %%cr4" ::"r"(fixed(read_cr(4), MSR_VMX_CR4_FIXED0)));
	print("executive: VMXON, region 0x%x\n", (u32)vmxon_region);
	return expect("VMXON", vmxon(vmxon_region) == DONE);
}

/* ---- 3. Calls ---- */

struct answer {
	enum outcome outcome;
	u32 ax, bx;
};

static struct answer vmcall(u32 service)
{
	struct answer a;
	bool carry, zero;

	__asm__ volatile("vmcall" : "=@ccc"(carry), "=@ccz"(zero), "=a"(a.ax), "=b"(a.bx) : "a"(service), "b"(0) : "memory");
	a.outcome = outcome(carry, zero);
	return a;
}

/* "Activating the Dual-Monitor Treatment". The current VMCS becomes the SMM-transfer VMCS: it must be clear, and of
 * its fields only the VM-exit controls are looked at. From then on it is the STM's and nobody else's. */
static bool activate(u64 transfer)
{
	struct answer a;

	if (!expect("VMCLEAR, VMPTRLD", vmclear(transfer) == DONE && vmptrld(transfer) == DONE))
		return false;
	vmwrite(VMCS_EXIT_CONTROLS, controls(MSR_VMX_EXIT, (sizeof(word) == 8 ? X_LONG : 0) | X_SAVE_EFER | X_LOAD_EFER));
	vmwrite(VMCS_STORE_COUNT, 0);
	vmwrite64(VMCS_LINK, NO_VMCS);
	print("executive: VMCALL with the clear VMCS 0x%x: activate\n", (u32)transfer);
	a = vmcall(SERVICE_NAME);
	if (a.outcome == FAIL_VALID)
		print("executive: VM-instruction error %u\n", (u32)vmread(VMCS_ERROR));
	return expect("activated", a.outcome == DONE);
}

static bool call(void)
{
	struct answer a = vmcall(SERVICE_NAME);

	print("executive: it answers \"%c%c%c%c\", call %u\n", a.ax & 0xff, a.ax >> 8 & 0xff, a.ax >> 16 & 0xff, a.ax >> 24,
	      a.bx);
	return expect("the STM's name", a.outcome == DONE && a.ax == ANSWER_NAME && a.bx == 1) &&
	       expect("no such service", vmcall(0).ax == ANSWER_NO);
}

/* ---- 4. SMIs in root operation ---- */

/* Local APIC, "Interrupt Command Register": delivery mode SMI to this processor's own id. */
static void smi_by_apic(void)
{
	volatile u32 *apic = at(0xfee00000);

	apic[0x310 / 4] = apic[0x20 / 4] & 0xff000000;
	apic[0x300 / 4] = 2 << 8 | 1 << 14;
	while (apic[0x300 / 4] & 1 << 12)
		;
}

static void smis_here(void)
{
	print("executive: OUT to port 0x%x in root operation\n", APM_CNT);
	smi_by_port(COMMAND_GREET);
	print("executive: an SMI by the local APIC\n");
	smi_by_apic();
}

/* ---- 5. A guest of the executive, and an SMI while it runs ---- */

static void guest(void)
{
	smi_by_port(COMMAND_GREET);
	__asm__ volatile("vmcall"); /* in non-root operation: to the executive, as ever */
}

static void guest_segments(void)
{
	static const struct { u16 selector; u32 limit, rights; } seg[8] = { /* ES CS SS DS FS GS LDTR TR */
		{0x10, 0xffffffff, 0xc093}, {0x08, 0xffffffff, sizeof(word) == 8 ? 0xa09b : 0xc09b}, {0x10, 0xffffffff, 0xc093},
		{0x10, 0xffffffff, 0xc093}, {0x10, 0xffffffff, 0xc093}, {0x10, 0xffffffff, 0xc093}, {0, 0, 0x10000},
		{0x18, 0x67, 0x8b},
	};

	for (u32 n = 0; n < 8; n++) {
		vmwrite(VMCS_GUEST_ES + 2 * n, seg[n].selector);
		vmwrite(VMCS_GUEST_ES_LIMIT + 2 * n, seg[n].limit);
		vmwrite(VMCS_GUEST_ES_AR + 2 * n, seg[n].rights);
	}
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x27);
	vmwrite(VMCS_GUEST_GDTR_BASE, (word)gdt);
}

/* The guest has this program's memory, registers and tables. */
static void fill_guest(void)
{
	static u8 tss[104], stack[4096] __attribute__((aligned(16)));
	static const u16 data[] = {VMCS_HOST_ES, VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS};

	vmwrite(VMCS_PIN, controls(MSR_VMX_PIN, 0));
	vmwrite(VMCS_PROC, controls(MSR_VMX_PROC, 0));
	vmwrite(VMCS_EXIT_CONTROLS, controls(MSR_VMX_EXIT, sizeof(word) == 8 ? X_LONG : 0));
	vmwrite(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_ENTRY, sizeof(word) == 8 ? E_LONG : 0));
	vmwrite64(VMCS_LINK, NO_VMCS);
	for (u32 n = 0; n < 5; n++)
		vmwrite(data[n], 0x10);
	vmwrite(VMCS_HOST_CS, 0x08);
	vmwrite(VMCS_HOST_TR, 0x18);
	vmwrite(VMCS_HOST_TR_BASE, (word)tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (word)gdt);
	for (u32 n = 0; n < 6; n += 2) { /* CR0, CR3, CR4 stand 2 apart, guest's and host's */
		vmwrite(VMCS_HOST_CR0 + n, read_cr(n ? n / 2 + 2 : 0));
		vmwrite(VMCS_GUEST_CR0 + n, read_cr(n ? n / 2 + 2 : 0));
	}
	guest_segments();
	vmwrite(VMCS_GUEST_TR_BASE, (word)tss);
	vmwrite(VMCS_GUEST_DR7, 0x400);
	vmwrite(VMCS_GUEST_RFLAGS, 2);
	vmwrite(VMCS_GUEST_RSP, (word)(stack + sizeof(stack) - 2 * sizeof(word)));
	vmwrite(VMCS_GUEST_RIP, (word)guest);
}

static bool smi_in_a_guest(void)
{
	u64 vmcs = region();
	enum outcome r;

	if (!expect("a second VMCS", vmclear(vmcs) == DONE && vmptrld(vmcs) == DONE))
		return false;
	fill_guest();
	print("executive: VMLAUNCH of a guest, VMCS 0x%x, which writes to port 0x%x\n", (u32)vmcs, APM_CNT);
	r = enter();
	if (r == FAIL_VALID)
		print("executive: VM-instruction error %u\n", (u32)vmread(VMCS_ERROR));
	if (!expect("the guest ran", r == DONE))
		return false;
	print("executive: VM exit, reason %u\n", (u32)vmread(VMCS_EXIT_REASON));
	return expect("the guest's own VMCALL, in its own VMCS", vmread(VMCS_EXIT_REASON) == R_VMCALL && vmptrst() == vmcs);
}

/* ---- 6. The end ---- */

static bool leave(u64 transfer)
{
	if (!expect("VMXOFF fails", vmxoff() == FAIL_VALID))
		return false;
	print("executive: VMXOFF fails, VM-instruction error %u\n", (u32)vmread(VMCS_ERROR));
	if (!expect("the error", vmread(VMCS_ERROR) == 23) || !expect("deactivated", vmcall(SERVICE_LEAVE).outcome == DONE))
		return false;
	smi_by_port(COMMAND_GREET);
	print("executive: an SMI: the default treatment's handler has served %u\n", orders()->seen);
	vmclear(transfer);
	return expect("the old handler served it", orders()->seen == 2) && expect("VMXOFF", vmxoff() == DONE);
}

static bool dual_monitor(void)
{
	u32 max, b, c, d;

	__asm__ volatile("cpuid" : "=a"(max), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
	return (c & 1 << 5) && rdmsr64(MSR_VMX_BASIC) >> 49 & 1;
}

int main(void)
{
	bool is_64 = sizeof(word) == 8 || asked_for("64");
	u64 transfer;

	if (!dual_monitor()) {
		print("stm: this processor has no dual-monitor treatment (IA32_VMX_BASIC bit 49; try --cpu intel)\n");
		return 1;
	}
	transfer = region();
	if (!firmware(is_64) || !enter_vmx_operation() || !activate(transfer) || !call())
		return 1;
	smis_here();
	if (!smi_in_a_guest() || !leave(transfer))
		return 1;
	print("stm: activated, used and deactivated\n");
	return 0;
}
