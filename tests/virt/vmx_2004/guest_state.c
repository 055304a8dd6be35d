/* "Guest-State Area", "Basic Format of the Virtual-Machine Control Structure", and what guests there are. */
#include "structure.h"

#define APIC 0xfee00000u
#define AR_G64_DATA 0xc093
#define LOW 0x8000ull /* free below 1 MiB */

/* clang-format off */
SNIPPET(i_null_ds, "", "xor %eax, %eax; mov %eax, %ds; mov %eax, %es");
SNIPPET(i_mov_ss_cpuid, "", "mov %eax, %ss; cpuid");
SNIPPET(i_sti_cpuid, "", "sti; cpuid");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_nops, "", "nop; nop");
SNIPPET(i_send_nmi, "", "movl $0, 0x10(%rbx); movl $0x400, (%rbx); nop; nop; nop");
SNIPPET(i_clear_pe, "", "mov %rax, %cr0");
SNIPPET(i_cr4, "", "mov %rax, %cr4");
SNIPPET32(i_load_ds, "", "mov (%eax), %ebx");
/* clang-format on */

/* ---- fields that came later ---- */

static const struct {
	const char *name;
	u32 field;
} later[] = {
	{REQ("vmx04.2.5.2.16") "MSR bitmaps", VMCS_MSR_BITMAP},
	{REQ("vmx04.2.3.1.45") "link pointer", VMCS_LINK},
	{REQ("vmx04.2.3.1.42") "DEBUGCTL", VMCS_GUEST_DEBUGCTL},
	{REQ("vmx04.2.7.3.18") "VM-entry instruction length", VMCS_ENTRY_LENGTH},
	{REQ("vmx04.2.3.1.43") "activity state", VMCS_GUEST_ACTIVITY},
	{REQ("vmx04.2.3.1.46") "SMBASE", VMCS_GUEST_SMBASE},
	{REQ("vmx04.2.3.1.41") "guest SYSENTER_CS", VMCS_GUEST_SYSENTER_CS},
	{REQ("vmx04.2.3.1.41") "guest SYSENTER_ESP", VMCS_GUEST_SYSENTER_ESP},
	{REQ("vmx04.2.3.1.41") "guest SYSENTER_EIP", VMCS_GUEST_SYSENTER_EIP},
	{REQ("vmx04.2.3.1.41") "host SYSENTER_CS", VMCS_HOST_SYSENTER_CS},
	{REQ("vmx04.2.3.1.41") "host SYSENTER_ESP", VMCS_HOST_SYSENTER_ESP},
	{REQ("vmx04.2.3.1.41") "host SYSENTER_EIP", VMCS_HOST_SYSENTER_EIP},
	{REQ("vmx04.2.3.1.44") "pending debug exceptions", VMCS_PENDING_DEBUG},
	{"executive VMCS", VMCS_EXECUTIVE}, {"APIC-access address", VMCS_APIC_ACCESS}, {"secondary controls", VMCS_PROC2},
	{"guest PAT", VMCS_GUEST_PAT}, {"guest EFER", VMCS_GUEST_EFER}, {"host PAT", VMCS_HOST_PAT}, {"host EFER", VMCS_HOST_EFER},
	{"VPID", VMCS_VPID}, {"EPT pointer", VMCS_EPTP}, {"preemption timer", VMCS_TIMER}, {"guest PDPTE 0", VMCS_GUEST_PDPTE0},
};

static void absent_fields(void)
{
	fresh_guest();
	for (unsigned n = 0; n < COUNT(later); n++) {
		vcheck(later[n].name, "VMREAD", (u64)read_field(later[n].field), VMX_FAIL_VALID);
		vcheck(later[n].name, "VMWRITE", (u64)vmx_write(later[n].field, 0), VMX_FAIL_VALID);
	}
}

/* Their registers stay as they are: what the host wrote goes into the guest, what the guest has comes out. */
static const struct {
	u32 msr;
	u64 first, second;
} kept[] = {{0x174, 0x8, 0x18}, {0x175, 0x111000, 0x222000}, {0x176, 0x333000, 0x444000}, {0x1d9, 1, 2}};

static void registers_without_field(void)
{
	u64 *in = page_alloc(), *out = page_alloc();

	fresh_guest();
	for (unsigned n = 0; n < COUNT(kept); n++) {
		wrmsr(kept[n].msr, kept[n].first);
		out[2 * n] = kept[n].msr;
		in[2 * n] = kept[n].msr;
		in[2 * n + 1] = kept[n].second;
	}
	vmx_write(VMCS_STORE_ADDR, (u64)out);
	vmx_write(VMCS_STORE_COUNT, COUNT(kept));
	check("enter and exit", go(), R_VMCALL);
	for (unsigned n = 0; n < COUNT(kept); n++) {
		check(REQ("vmx04.2.3.1.41 vmx04.2.3.1.42") "the guest has what the host had", out[2 * n + 1], kept[n].first);
		check(REQ("vmx04.2.3.1.41 vmx04.2.3.1.42") "and so has the host again", rdmsr(kept[n].msr), kept[n].first);
	}
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)in);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, COUNT(kept));
	vmx_write(VMCS_GUEST_RIP, CODE);
	check("once more", again(), R_VMCALL);
	for (unsigned n = 0; n < COUNT(kept); n++)
		check(REQ("vmx04.2.3.1.41 vmx04.2.3.1.42") "the host has what the guest had", rdmsr(kept[n].msr), kept[n].second);
	wrmsr(0x1d9, 0);
}

/* ---- access rights ---- */

static void access_rights(void)
{
	guest(G64, &i_null_ds);
	memset(g_in, 0, sizeof(g_in));
	check("null selectors", go(), R_VMCALL);
	for (u32 n = 0; n < 8; n++) {
		u64 ar = vmx_read(VMCS_GUEST_ES_AR + 2 * n);
		bool null = n == 0 || n == 3 || n == 6; /* ES, DS and, from the beginning, LDTR */

		check(REQ("vmx04.2.3.1.30") "bits 31:16 of access rights", ar >> 16, 0);
		check(REQ("vmx04.2.3.1.31") "P", ar >> 7 & 1, !null);
	}
	/* bits 31:16 are not looked at, P is */
	static const struct {
		const char *name;
		u32 ar;
		u64 reason;
	} ds[] = {
		{REQ("vmx04.2.3.1.31") "present", AR_G64_DATA, R_VMCALL},
		{REQ("vmx04.2.3.1.31") "present, bit 16 set", AR_G64_DATA | 0x10000, R_VMCALL},
		{REQ("vmx04.2.3.1.31") "present, bits 31:16 set", AR_G64_DATA | 0xffff0000, R_VMCALL},
		{REQ("vmx04.2.3.1.31") "not present", AR_G64_DATA & ~0x80u, R_EXCEPTION},
		{REQ("vmx04.2.3.1.31") "nothing", 0, R_EXCEPTION},
	};
	for (unsigned n = 0; n < COUNT(ds); n++) {
		guest(G_COMPAT, &i_load_ds);
		g_in[RAX] = (u64)scratch;
		on(VMCS_EXCEPTIONS, 1 << 13);
		vmx_write(VMCS_GUEST_DS_AR, ds[n].ar);
		check(ds[n].name, go(), ds[n].reason);
	}
	/* code and TR must be present */
	fresh_guest();
	off(VMCS_GUEST_CS_AR, 0x80);
	bad_guest("CS not present");
	fresh_guest();
	off(VMCS_GUEST_TR_AR, 0x80);
	bad_guest("TR not present");
}

/* ---- which guests there are ---- */

static void modes(void)
{
	static const u64 pe_pg[] = {1, 0x80000000, 0x80000001};
	static const enum guest_mode possible[] = {G64, G64_USER, G_COMPAT, G_COMPAT_USER};

	for (unsigned n = 0; n < 3; n++) {
		fresh_guest();
		off(VMCS_GUEST_CR0, pe_pg[n]);
		bad_guest(REQ("vmx04.1.8.9") "a guest without CR0.PE, CR0.PG or both");
	}
	for (unsigned n = 0; n < COUNT(possible); n++) {
		guest(possible[n], &i_nothing);
		accepted(REQ("vmx04.1.8.9") "64-bit and compatibility mode");
	}
	fresh_guest();
	memcpy((void *)LOW, code_page, 16);
	off(VMCS_ENTRY_CONTROLS, E_LONG);
	vmx_write(VMCS_GUEST_RFLAGS, 0x23002); /* VM, IOPL 3: of a monitor for real-mode programs */
	vmx_write(VMCS_GUEST_RIP, 0);
	for (u32 s = 0; s < 6; s++) {
		vmx_write(VMCS_GUEST_ES + 2 * s, LOW >> 4);
		vmx_write(VMCS_GUEST_ES_BASE + 2 * s, LOW);
		vmx_write(VMCS_GUEST_ES_LIMIT + 2 * s, 0xffff);
		vmx_write(VMCS_GUEST_ES_AR + 2 * s, 0xf3);
	}
	{ /* 4-MiB pages, one to one */
		static u32 directory[1024] __attribute__((aligned(4096)));

		for (u32 n = 0; n < 1024; n++)
			directory[n] = n << 22 | 0x87;
		vmx_write(VMCS_GUEST_CR3, (u64)directory);
		vmx_write(VMCS_GUEST_CR4, 1 << 13 | 1 << 4);
	}
	accepted(REQ("vmx04.1.8.9") "virtual-8086 mode");
}

/* MOV to control registers in a guest that owns the bits. */
static void fixed_bits(void)
{
	static const u64 fixed[] = {1 << 0, 1 << 5, 0x80000000};

	for (unsigned n = 0; n < 3; n++) {
		guest(G64, &i_clear_pe);
		memset(g_in, 0, sizeof(g_in));
		g_in[RAX] = read_cr0() & ~fixed[n] & (fixed[n] == 1 ? ~0x80000000ull : ~0ull);
		on(VMCS_EXCEPTIONS, 1 << 13);
		check(REQ("vmx04.1.8.7") "clearing PE, NE or PG: no exit for a CR access", go(), R_EXCEPTION);
		check(REQ("vmx04.1.8.7") "but #GP(0)", vmx_read(VMCS_EXIT_EVENT), EV_E(13));
		check(REQ("vmx04.1.8.7") "error code", vmx_read(VMCS_EXIT_ERROR), 0);
	}
	for (unsigned bit = 11; bit < 32; bit++) {
		if (bit == 13)
			continue;
		guest(G64, &i_cr4);
		g_in[RAX] = read_cr4() | 1ull << bit;
		on(VMCS_EXCEPTIONS, 1 << 13);
		check(REQ("vmx04.1.8.12") "a bit of CR4 that is not there: #GP in the guest", (go(), vmx_read(VMCS_EXIT_EVENT)), EV_E(13));
		fresh_guest();
		on(VMCS_GUEST_CR4, 1ull << bit);
		bad_guest(REQ("vmx04.1.8.12") "in the guest's field");
		fresh_guest();
		on(VMCS_HOST_CR4, 1ull << bit);
		refused(REQ("vmx04.1.8.12") "in the host's field");
	}
}

/* ---- VMX instructions in a guest: ERRATUM of "Introduction to VMX Operation", reading C ---- */

static void monitor_inside(void)
{
	static const struct {
		const char *name;
		u8 code[5], length;
		u64 reason;
	} insn[] = {
		{REQ("vmx04.1.3.6") "VMCLEAR", {0x66, 0x0f, 0xc7, 0x33}, 4, R_VMCLEAR},
		{REQ("vmx04.1.3.6") "VMLAUNCH", {0x0f, 0x01, 0xc2}, 3, R_VMLAUNCH},
		{REQ("vmx04.1.3.6") "VMPTRLD", {0x0f, 0xc7, 0x33}, 3, R_VMPTRLD},
		{REQ("vmx04.1.3.6") "VMPTRST", {0x0f, 0xc7, 0x3b}, 3, R_VMPTRST},
		{REQ("vmx04.1.3.6") "VMREAD", {0x0f, 0x78, 0xc1}, 3, R_VMREAD},
		{REQ("vmx04.1.3.6") "VMRESUME", {0x0f, 0x01, 0xc3}, 3, R_VMRESUME},
		{REQ("vmx04.1.3.6") "VMWRITE", {0x0f, 0x79, 0xc1}, 3, R_VMWRITE},
		{REQ("vmx04.1.3.6") "VMXOFF", {0x0f, 0x01, 0xc4}, 3, R_VMXOFF},
		{REQ("vmx04.1.3.6") "VMXON", {0xf3, 0x0f, 0xc7, 0x33}, 4, R_VMXON},
	};

	for (unsigned n = 0; n < COUNT(insn); n++) {
		guest_bytes(G64, insn[n].code, insn[n].length);
		g_in[RBX] = (u64)scratch;
		check(insn[n].name, go(), insn[n].reason);
		vcheck(insn[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
	}
}

/* ---- state that no field holds ---- */

static void halted(void)
{
	guest(G64, &i_hlt);
	memset(g_in, 0, sizeof(g_in));
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	mmio_write(APIC + 0xf0, 0x1ff);
	mmio_write(APIC + 0x320, 0x41);
	mmio_write(APIC + 0x3e0, 0xb);
	mmio_write(APIC + 0x380, 20000);
	check("an interrupt ends HLT", go(), R_INTERRUPT);
	check("behind HLT", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	mmio_write(APIC + 0xb0, 0);
	check(REQ("vmx04.2.3.1.43") "the guest is active again", again(), R_VMCALL);
	mmio_write(APIC + 0x320, 0x10000);
}

static void single_step(void)
{
	guest(G64, &i_mov_ss_cpuid);
	memset(g_in, 0, sizeof(g_in));
	g_in[RAX] = 0x10;
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	check("CPUID behind MOV SS, with TF", go(), R_CPUID);
	check("blocking by MOV SS", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 2);
	memcpy(code_page, i_nops.entry, 2);
	vmx_write(VMCS_GUEST_RIP, CODE);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	on(VMCS_EXCEPTIONS, 1 << 1);
	check("#DB", again(), R_EXCEPTION);
	check(REQ("vmx04.2.3.1.44") "of the next instruction, not of what was pending", vmx_read(VMCS_GUEST_RIP), CODE + 1);
}

/* ---- "Interruptibility State" ---- */

static void blocking(void)
{
	guest(G64, &i_sti_cpuid);
	check("STI, CPUID", go(), R_CPUID);
	check(REQ("vmx04.2.3.2.6") "blocking by STI", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 1);
	guest(G64, &i_mov_ss_cpuid);
	g_in[RAX] = 0x10;
	check("MOV SS, CPUID", go(), R_CPUID);
	check(REQ("vmx04.2.3.2.6") "blocking by MOV SS", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 2);
	fresh_guest();
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	accepted(REQ("vmx04.2.3.2.6") "blocking by NMI");
	check(REQ("vmx04.2.3.2.6") "blocking by NMI", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 8);
	for (unsigned bit = 4; bit < 32; bit++) {
		fresh_guest();
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 1u << bit);
		bad_guest(REQ("vmx04.2.3.2.6 vmx04.2.3.2.7") "a reserved bit");
	}
	fresh_guest();
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 3);
	bad_guest(REQ("vmx04.2.3.2.7") "blocking by STI and by MOV SS");
	fresh_guest();
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 1);
	bad_guest(REQ("vmx04.2.3.2.7") "blocking by STI with IF = 0");
	fresh_guest();
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 4);
	bad_guest(REQ("vmx04.2.3.2.6") "blocking by SMI, outside SMM");
}

/* An NMI exits and blocks NMIs, so that a second one waits for the next guest. */
static void nmi_waits(void)
{
	guest(G64, &i_send_nmi);
	g_in[RBX] = APIC + 0x300;
	on(VMCS_PIN, PIN_NMI);
	check("an NMI", go(), R_EXCEPTION);
	mmio_write(APIC + 0x310, 0);
	mmio_write(APIC + 0x300, 0x400);
}

static void nmi_and_blocking(void)
{
	static const struct {
		const char *name;
		u64 blocking, rip;
	} way[] = {
		{REQ("vmx04.2.3.2.8") "nothing blocks", 0, 0},
		{REQ("vmx04.2.3.2.8") "STI does not block NMIs", 1, 0},
		{REQ("vmx04.2.3.2.8") "MOV SS does, for an instruction", 2, 1},
	};

	for (unsigned n = 0; n < COUNT(way); n++) {
		nmi_waits();
		guest(G64, &i_nops);
		on(VMCS_PIN, PIN_NMI);
		vmx_write(VMCS_GUEST_RFLAGS, 0x202);
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, way[n].blocking);
		check("the second NMI", go(), R_EXCEPTION);
		check(way[n].name, vmx_read(VMCS_GUEST_RIP), CODE + way[n].rip);
	}
}

/* ---- what an exit changes among the controls ---- */

static void entry_controls(void)
{
	static const u32 field[] = {VMCS_ENTRY_CONTROLS, VMCS_ENTRY_LOAD_COUNT, VMCS_ENTRY_LOAD_ADDR, VMCS_ENTRY_ERROR, VMCS_EXIT_CONTROLS};
	u64 before[COUNT(field)];

	fresh_guest();
	vmx_write(VMCS_ENTRY_ERROR, 0x12345678);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, 0x5000);
	vmx_write(VMCS_ENTRY_EVENT, EV(3, 3));
	on(VMCS_EXCEPTIONS, 1 << 8 | 1 << 13);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0); /* delivery ends in #GP, which exits */
	for (unsigned n = 0; n < COUNT(field); n++)
		before[n] = vmx_read(field[n]);
	check("an event that is injected", go(), R_EXCEPTION);
	check(REQ("vmx04.2.2.4") "its valid bit, and no other", vmx_read(VMCS_ENTRY_EVENT), EV(3, 3) & 0x7fffffff);
	for (unsigned n = 0; n < COUNT(field); n++)
		check(REQ("vmx04.2.2.4") "the other VM-entry controls", vmx_read(field[n]), before[n]);
}

/* "Launch State": behind VMXOFF and VMXON, without VMCLEAR. */
static void launch_state(void)
{
	static u64 region;
	u64 vmcs;

	fresh_guest();
	check("launched", go(), R_VMCALL);
	region = (u64)fresh_page();
	asm volatile("vmptrst %0; vmxoff; vmxon %1; vmptrld %0" : "=m"(vmcs) : "m"(region) : "cc", "memory");
	refused(REQ("vmx04.2.10.6") "it is not clear");
	check(REQ("vmx04.2.10.6") "but still launched", again(), R_VMCALL);
}

void test_guest_state(void)
{
	absent_fields();
	registers_without_field();
	access_rights();
	modes();
	fixed_bits();
	monitor_inside();
	halted();
	single_step();
	blocking();
	nmi_and_blocking();
	entry_controls();
	launch_state();
}
