/* What VM entry loads and VM exit saves, loads and forces. */
#include "reqs.h"

/* clang-format off */
SNIPPET(i_nop, "", "nop");
SNIPPET(i_mov_cr0_rax, "", "mov %cr0, %rax");
SNIPPET(i_mov_rax_cr0, "", "mov %rax, %cr0");
SNIPPET(i_mov_dr7_rax, "", "mov %dr7, %rax");
SNIPPET(i_mov_dr0_rax, "", "mov %dr0, %rax");
SNIPPET(i_mov_rcx_dr3_mov_rcx_cr2, "", "mov %rcx, %dr3; mov %rcx, %cr2");
SNIPPET(i_rdmsr_debugctl, "", "mov $0x1d9, %ecx; rdmsr");
SNIPPET(i_rdmsr_fs_gs_base, "", "mov $0xc0000100, %ecx; rdmsr; mov %eax, %esi; mov %edx, %edi; inc %ecx; rdmsr");
SNIPPET(i_load_ds_fs_cpuid, "", "mov %eax, %ds; mov %ecx, %fs; cpuid");
SNIPPET32(i_cpuid_32, "", "cpuid");
SNIPPET(i_mov_cs_eax_cpuid, "", "mov %cs, %eax; cpuid");
SNIPPET(i_cpuid, "", "cpuid");
SNIPPET(i_rdmsr_efer, "", "mov $0xc0000080, %ecx; rdmsr");
/* clang-format on */

static u64 dr7(void)
{
	u64 v;

	asm volatile("mov %%dr7, %0" : "=r"(v));
	return v;
}

struct table {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* Values that VM entry accepts, in the fields it loads and VM exit saves. */
static const struct {
	u32 field;
	u64 value;
} kept[] = {
	{VMCS_GUEST_ES_BASE, 0x11111000}, {VMCS_GUEST_DS_BASE, 0x22222000}, {VMCS_GUEST_FS_BASE, 0x333333333000}, {VMCS_GUEST_GS_BASE, 0x444444444000},
	{VMCS_GUEST_GDTR_BASE, 0x555555555000}, {VMCS_GUEST_IDTR_BASE, 0x666666666000}, {VMCS_GUEST_GDTR_LIMIT, 0x1234},
	{VMCS_GUEST_IDTR_LIMIT, 0x2345}, {VMCS_GUEST_SYSENTER_ESP, 0x777777777000}, {VMCS_GUEST_SYSENTER_EIP, 0x7fff11111000}, {VMCS_GUEST_SYSENTER_CS, 0x5678},
	{VMCS_GUEST_RSP, 0x7fff22222222}, {VMCS_GUEST_RFLAGS, 0x246}, {VMCS_GUEST_DS, 0x10}, {VMCS_GUEST_FS, 0x50}, {VMCS_GUEST_DS_LIMIT, 0xffffffff},
	{VMCS_GUEST_DS_AR, 0xc093}, {VMCS_GUEST_FS_AR, 0xc091},
};

static void entry(enum guest_mode m)
{
	guest(m, &i_nop);
	for (unsigned n = 0; n < COUNT(kept); n++)
		vmx_write(kept[n].field, kept[n].value);
	if (m == G_COMPAT)
		vmx_write(VMCS_GUEST_RSP, 0x1000);
	check("runs", go(), R_VMCALL);
	for (unsigned n = 0; n < COUNT(kept); n++) {
		if (m == G_COMPAT && kept[n].field == VMCS_GUEST_RSP)
			continue;
		if (vmx_read(kept[n].field) != kept[n].value)
			print("field 0x%x: ", kept[n].field);
		check(REQ("vmx04.3.2.3.1.1 vmx04.3.2.3.1.2 vmx04.3.3.3.1") "saved as loaded", vmx_read(kept[n].field), kept[n].value); /* the bases, in compatibility mode too */
	}
}

static void cr0_bits(void)
{
	u64 cr0 = read_cr0();

	guest(G64, &i_mov_cr0_rax);
	vmx_write(VMCS_GUEST_CR0, (cr0 ^ 0x60000000) & ~0x10ull); /* CD, NW; ET */
	vmx_write(VMCS_GUEST_CR0, vmx_read(VMCS_GUEST_CR0) | 0x1ffaffc0); /* 28:19, 17, 15:6 */
	check(REQ("vmx04.3.2.3.1.5.now") "entry accepts them", go(), R_VMCALL); /* with the row below */
	check(REQ("vmx04.3.2.3.1.3 vmx04.3.2.3.1.4") "CD, NW, ET and the reserved bits as before", g_out[RAX] & 0x7ffaffd0, cr0 & 0x7ffaffd0);
	check(REQ("vmx04.3.3.3.3") "and they are saved", vmx_read(VMCS_GUEST_CR0) & 0x60000010, cr0 & 0x60000010);
	guest(G64, &i_nop);
	on(VMCS_GUEST_CR0, 1ull << 32);
	check(REQ("vmx04.3.2.3.1.5.now") "bit 32 of CR0", go(), R_BAD_GUEST);
	/* the way back: the guest's CD and NW stay, whatever the host field says */
	guest(G64, &i_mov_rax_cr0);
	memset(g_in, 0, sizeof(g_in));
	g_in[RAX] = cr0 | 0x60000000;
	vmx_write(VMCS_HOST_CR0, (cr0 & ~0x60000000ull) | 0x1ffaffc0);
	check("the guest sets CD and NW", go(), R_VMCALL);
	check(REQ("vmx04.3.3.4.1.2") "CD and NW after the exit", read_cr0() & 0x60000000, 0x60000000);
	check(REQ("vmx04.3.3.4.1.3") "reserved bits after the exit", read_cr0() & 0x1ffaffc0, cr0 & 0x1ffaffc0);
	write_cr0(cr0);
}

static void debug_registers(void)
{
	/* DR7 of the host, 400h, stays without the control */
	guest(G64, &i_mov_dr7_rax);
	vmx_write(VMCS_GUEST_DR7, 0x401);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.7.now") "DR7 not loaded", g_out[RAX], 0x400);
	check(REQ("vmx04.3.3.3.4.now") "DR7 not saved", vmx_read(VMCS_GUEST_DR7), 0x401);
	guest(G64, &i_mov_dr7_rax);
	vmx_write(VMCS_GUEST_DR7, 0xd001); /* bits 15:14 and 12 set, 10 clear */
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	on(VMCS_EXIT_CONTROLS, X_DEBUG);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.6 vmx04.3.2.3.1.7.now") "DR7 loaded, bits forced", g_out[RAX], 0x401);
	check(REQ("vmx04.3.3.3.4.now") "DR7 saved", vmx_read(VMCS_GUEST_DR7), 0x401);
	check(REQ("vmx04.3.3.4.2.1") "DR7 of the host", dr7(), 0x400);
	guest(G64, &i_mov_dr0_rax);
	asm volatile("mov %0, %%dr0" ::"r"(0x1234ull));
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.2.3.0.1") "DR0 is not switched", g_out[RAX], 0x1234); /* with the rows of this function */
	guest(G64, &i_mov_rcx_dr3_mov_rcx_cr2); /* DR3 = CR2 = RCX */
	memset(g_in, 0, sizeof(g_in));
	g_in[RCX] = 0x5678;
	check("runs", go(), R_VMCALL);
	u64 dr3;
	asm volatile("mov %%dr3, %0" : "=r"(dr3));
	check(REQ("vmx04.2.3.0.1") "DR3 and CR2 of the guest stay", dr3 == 0x5678 && read_cr2() == 0x5678, 1);
	guest(G64, &i_rdmsr_debugctl);
	u64 *map = fresh_page();
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	on(VMCS_EXIT_CONTROLS, X_DEBUG);
	vmx_write(VMCS_GUEST_DEBUGCTL, 1);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.2.3.1.42.now") "DEBUGCTL loaded", g_out[RAX] & 0xffffffff, 1);
	check("DEBUGCTL saved", vmx_read(VMCS_GUEST_DEBUGCTL), 1);
	check("DEBUGCTL of the host", rdmsr(MSR_DEBUGCTL), 0);
	guest(G64, &i_rdmsr_debugctl);
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_GUEST_DEBUGCTL, 1);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.2.3.1.42.now") "DEBUGCTL not loaded", g_out[RAX] & 0xffffffff, 0);
	check("DEBUGCTL not saved", vmx_read(VMCS_GUEST_DEBUGCTL), 1);
}

static void host(void)
{
	struct table gdtr, idtr;
	u16 ldtr, tr, cs, ss, ds, es, fs, gs;

	guest(G64_USER, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x44cd7); /* AC, NT, DF and the arithmetic flags */
	vmx_write(VMCS_HOST_FS_BASE, 0x7ffff0000000);
	vmx_write(VMCS_HOST_GS_BASE, 0x123456789000);
	vmx_write(VMCS_HOST_ES, 0);
	vmx_write(VMCS_HOST_DS, 0);
	vmx_write(VMCS_HOST_FS, 0);
	vmx_write(VMCS_HOST_SYSENTER_CS, 0x77);
	vmx_write(VMCS_HOST_SYSENTER_EIP, 0x7fff00001000);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.3.3.4.2.2") "RFLAGS", g_flags, 2);
	asm volatile("sgdt %0; sidt %1; sldt %2; str %3" : "=m"(gdtr), "=m"(idtr), "=m"(ldtr), "=m"(tr));
	check(REQ("vmx04.3.3.4.2.3.now") "GDTR limit", gdtr.limit, 0xffff);
	check(REQ("vmx04.3.3.4.2.4.now") "IDTR limit", idtr.limit, 0xffff);
	check("GDTR and IDTR bases", gdtr.base == (u64)gdt && idtr.base == (u64)idt, 1);
	check(REQ("vmx04.3.3.4.2.6") "LDTR", ldtr, 0);
	check("TR", tr, 0x28);
	asm volatile("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2; mov %%es, %3; mov %%fs, %4; mov %%gs, %5" : "=r"(cs), "=r"(ss), "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	check(REQ("vmx04.3.3.4.0.2") "CPL 0", (cs & 3) == 0 && cs == 8, 1);
	check("data selectors", ss == 0x10 && ds == 0 && es == 0 && fs == 0 && gs == 0x10, 1);
	check(REQ("vmx04.3.3.4.1.1 vmx04.3.3.4.1.5") "IA32_FS_BASE", rdmsr(MSR_FS_BASE), 0x7ffff0000000);
	check("IA32_GS_BASE", rdmsr(MSR_GS_BASE), 0x123456789000);
	check(REQ("vmx04.3.3.4.1.1") "IA32_SYSENTER_EIP", rdmsr(MSR_SYSENTER_EIP), 0x7fff00001000);
	check(REQ("vmx04.2.6.1.4 vmx04.2.6.1.5") "IA32_EFER: LMA and LME", rdmsr(MSR_EFER) & 0x500, 0x500); /* 64-bit code runs: CS.L */
	check(REQ("vmx04.3.3.4.0.2 vmx04.1.3.1") "the VMCS stays current", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(0x10));
}

static void guest_bases(void)
{
	/* rdmsr of FS and GS bases in the guest */
	u64 *map = fresh_page();

	guest(G64, &i_rdmsr_fs_gs_base);
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_GUEST_FS_BASE, 0x7fff12345000);
	vmx_write(VMCS_GUEST_GS_BASE, 0x7ffe54321000);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.8") "IA32_FS_BASE", g_out[RDI] << 32 | g_out[RSI], 0x7fff12345000);
	check("IA32_GS_BASE", g_out[RDX] << 32 | g_out[RAX], 0x7ffe54321000);
}

/* A null selector loaded by the guest is stored as unusable; the descriptors in memory do not matter afterwards. */
static void segments(void)
{
	static u64 own_gdt[16];

	memcpy(own_gdt, gdt, sizeof(own_gdt));
	guest(G64, &i_load_ds_fs_cpuid); /* DS = AX = 0, FS = CX, CPUID */
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)own_gdt);
	own_gdt[12] = 0x00cf93000000ffff;
	memset(g_in, 0, sizeof(g_in));
	g_in[RCX] = 0x60;
	check("runs", go(), R_CPUID);
	check(REQ("vmx04.2.3.1.30.now vmx04.2.3.1.31.now") "DS: unusable", vmx_read(VMCS_GUEST_DS_AR) >> 16 & 1, 1);
	check("DS: 31:17", vmx_read(VMCS_GUEST_DS_AR) >> 17, 0);
	check("FS: selector", vmx_read(VMCS_GUEST_FS), 0x60);
	/* a descriptor with limit 19:16 = F, type 3, S, DPL 0, P, D, G */
	check(REQ("vmx04.2.3.1.19 vmx04.2.3.1.20 vmx04.2.3.1.21 vmx04.2.3.1.22 vmx04.2.3.1.23 vmx04.2.3.1.24 vmx04.2.3.1.25 vmx04.2.3.1.28 vmx04.2.3.1.29") "FS: access rights", vmx_read(VMCS_GUEST_FS_AR), 0xc093);
	check(REQ("vmx04.2.3.1.18") "FS: limit in bytes", vmx_read(VMCS_GUEST_FS_LIMIT), 0xffffffff);
	own_gdt[12] = 0;
	vmx_write(VMCS_GUEST_RIP, CODE + 4);
	check("runs again", again(), R_CPUID);
	check(REQ("vmx04.2.3.1.32") "FS: the cached descriptor", vmx_read(VMCS_GUEST_FS_AR), 0xc093);
	check("FS: its limit", vmx_read(VMCS_GUEST_FS_LIMIT), 0xffffffff);
	check(REQ("vmx04.2.3.1.27") "CS: L", vmx_read(VMCS_GUEST_CS_AR) >> 13 & 1, 1);
	guest(G_COMPAT, &i_cpuid_32);
	check("compatibility mode", go(), R_CPUID);
	check(REQ("vmx04.2.3.1.27 vmx04.2.3.1.19") "CS: L 0, D 1", vmx_read(VMCS_GUEST_CS_AR), 0xc09b);
	guest(G64_USER, &i_mov_cs_eax_cpuid);
	check("CPL 3", go(), R_CPUID);
	check("CPL is SS.DPL: the selector the guest sees", g_out[RAX] & 3, 3);
}

/* "Acknowledge interrupt on exit" is for external interrupts alone. */
static void acknowledge(void)
{
	guest(G64, &i_cpuid);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	mmio_write(0xfee00300, 0x40051); /* pending, the guest's IF is 0, no external-interrupt exiting */
	check(REQ("vmx04.2.6.1.11") "CPUID exits", go(), R_CPUID);
	check("nothing acknowledged", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
	check("still pending", mmio_read(0xfee00200 + 0x20) >> 17 & 1, 1);
	check("the host takes it", CATCH(asm volatile("sti; nop; nop; cli")), 0x51);
	mmio_write(0xfee000b0, 0);
}

/* IA32_EFER without the load controls: SCE and NXE stay both ways. */
static void efer(void)
{
	u64 old = rdmsr(MSR_EFER), *map = fresh_page();

	for (unsigned n = 0; n < 4; n++) {
		u64 want = (old & ~0x801ull) | (n & 1) | (n & 2 ? 0x800 : 0);

		wrmsr(MSR_EFER, want);
		guest(G64, &i_rdmsr_efer);
		vmx_write(VMCS_MSR_BITMAP, (u64)map);
		on(VMCS_PROC, P_MSR_MAP);
		off(VMCS_ENTRY_CONTROLS, E_EFER);
		off(VMCS_EXIT_CONTROLS, X_SAVE_EFER | X_LOAD_EFER);
		vmx_write(VMCS_GUEST_EFER, ~0ull);
		vmx_write(VMCS_HOST_EFER, ~0ull);
		check("runs", go(), R_VMCALL);
		check(REQ("vmx04.3.2.3.2.1") "EFER in the guest", g_out[RAX], want);
		check(REQ("vmx04.3.3.4.3.1") "EFER after the exit", rdmsr(MSR_EFER), want);
	}
	wrmsr(MSR_EFER, old);
}

/* The host runs on cached descriptors: its table in memory is rubbish at the exit. */
static void no_descriptors(void)
{
	u64 was[3] = {gdt[1], gdt[2], gdt[5]};

	guest(G64, &i_nop);
	gdt[1] = gdt[2] = gdt[5] = 0;
	u64 r = go();
	gdt[1] = was[0];
	gdt[2] = was[1];
	gdt[5] = was[2];
	check(REQ("vmx04.3.3.4.2.16") "exit with an empty GDT", r, R_VMCALL);
}

/* Blocking of the guest does not reach the host. */
static void blocking(void)
{
	guest(G64, &i_cpuid);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	check("exit under MOV-SS blocking", go(), R_CPUID);
	check("stored", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 2);
	check("VMRESUME is not blocked", again(), R_CPUID);
}

/* The controls do not change by running; the 64-bit host is as its controls say. */
static void controls_stay(void)
{
	static const u32 list[] = {VMCS_PIN, VMCS_PROC, VMCS_EXCEPTIONS, VMCS_PF_MASK, VMCS_PF_MATCH, VMCS_CR3_COUNT, VMCS_PROC2, VMCS_EXIT_CONTROLS, VMCS_STORE_COUNT, VMCS_LOAD_COUNT, VMCS_CR0_MASK, VMCS_CR0_SHADOW};
	u64 was[12];

	guest(G64, &i_cpuid);
	for (unsigned n = 0; n < 12; n++)
		was[n] = vmx_read(list[n]);
	check("exit", go(), R_CPUID);
	for (unsigned n = 0; n < 12; n++)
		check(REQ("vmx04.2.2.2 vmx04.2.2.3") "a control stays", vmx_read(list[n]), was[n]);
}

/* Every exit writes the information fields anew. */
static void rewritten(void)
{
	guest(G64, &i_cpuid);
	vmx_write(VMCS_EXIT_EVENT, ~0u);
	vmx_write(VMCS_VECTORING, ~0u);
	vmx_write(VMCS_QUALIFICATION, ~0ull);
	vmx_write(VMCS_EXIT_LENGTH, 77);
	check(REQ("vmx04.3.3.1.1") "exit", go(), R_CPUID);
	check("bit 31 of both information words", (vmx_read(VMCS_EXIT_EVENT) | vmx_read(VMCS_VECTORING)) >> 31, 0);
	check("qualification", vmx_read(VMCS_QUALIFICATION), 0);
	check("length", vmx_read(VMCS_EXIT_LENGTH), 2);
}

/* A control may be 1 as far as its capability MSR says, and only so far. */
static void control_bits(u32 field, u32 msr, const char *name)
{
	u64 allowed = rdmsr(msr) >> 32;

	if (field == VMCS_ENTRY_CONTROLS) /* "entry to SMM" and "deactivate dual-monitor treatment": in SMM only */
		allowed &= ~(3ull << 10);
	for (unsigned n = 0; n < 32; n++) {
		u64 r;

		guest(G64, &i_cpuid);
		on(field, 1u << n);
		on(VMCS_PIN, PIN_TIMER); /* saving the preemption timer wants it */
		vmx_write(VMCS_TIMER, 1000000);
		r = go();
		vcheck(name, "allowed: runs; else VMfailValid(7)", r == ~0ull ? vmx_read(VMCS_ERROR) : r, allowed >> n & 1 ? R_CPUID : 7);
	}
}

/* Host selectors of 0: in 64-bit mode they serve, in compatibility mode every access faults. */
static void null_segments(void)
{
	static const u32 field[] = {VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_ES, VMCS_HOST_FS, VMCS_HOST_GS};
	static const u8 prefix[] = {0x36, 0x3e, 0x26, 0x64, 0x65};
	static struct {
		u32 offset;
		u16 selector;
	} __attribute__((packed)) far;

	guest(G64, &i_nop);
	for (unsigned n = 0; n < 5; n++)
		vmx_write(field[n], 0);
	check("runs", go(), R_VMCALL);
	far.offset = (u32)CODE;
	far.selector = 0x18;
	for (unsigned n = 0; n < 6; n++) { /* the last: DS again, usable */
		memcpy(code_page, (u8[]){n < 5 ? prefix[n] : 0x3e, 0x8b, 0x03, 0xcc}, 4);
		if (n == 5)
			asm volatile("mov %0, %%ds" ::"r"(0x10));
		check(REQ("vmx04.3.3.4.2.14.now") "an access through a null segment", CATCH(asm volatile("ljmpl *%0" ::"m"(far), "b"(scratch) : "rax", "memory")), n == 0 ? 12 : n < 5 ? 13 : 3);
		if (n < 5)
			check("error code", last_fault.error, 0);
	}
	asm volatile("mov %0, %%ss; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(0x10));
}

void test_state(void)
{
	entry(G64);
	entry(G_COMPAT);
	cr0_bits();
	debug_registers();
	host();
	null_segments();
	guest_bases();
	segments();
	controls_stay();
	acknowledge();
	efer();
	no_descriptors();
	blocking();
	rewritten();
	control_bits(VMCS_EXIT_CONTROLS, 0x48f, REQ("vmx04.2.6.1.12.now") "exit control");
	control_bits(VMCS_ENTRY_CONTROLS, 0x490, REQ("vmx04.2.7.1.4.now") "entry control");
}
