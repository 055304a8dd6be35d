/* "VM-Execution Control Fields", "VM-Exit Controls", "VM-Entry Controls", "VM-Entry Controls for Event Injection". */
#include "structure.h"

/* clang-format off */
SNIPPET(i_to_cr3, "", "mov %rax, %cr3");
SNIPPET(i_from_cr3, "", "mov %cr3, %rax");
SNIPPET(i_rdmsr, "", "rdmsr");
SNIPPET(i_wrmsr, "", "wrmsr");
SNIPPET(i_in_dx_eax, "", "in (%dx), %eax");
SNIPPET(i_out_al_dx, "", "out %al, (%dx)");
SNIPPET(i_in_dx_ax, "", "in (%dx), %ax");
SNIPPET(i_to_cr8, "", "mov %rax, %cr8");
SNIPPET(i_tpr, "", "mov (%rbx), %eax; movl $0x30, (%rbx); mov (%rbx), %ecx");
/* clang-format on */

/* ---- reserved bits: each alone ---- */

static const struct {
	const char *name;
	u32 field, one, zero;
} reserved[] = {
	{REQ("vmx04.2.5.1.7") "pin-based", VMCS_PIN, 0x16, 0xffffffe0},
	{REQ("vmx04.2.5.2.14 vmx04.2.5.2.15 vmx04.2.5.2.16") "processor-based", VMCS_PROC, 0x0401e172, 0xf8460001},
	{REQ("vmx04.2.6.1.12") "VM-exit", VMCS_EXIT_CONTROLS, 0x36dff, 0xfffc1000},
	{REQ("vmx04.2.7.1.4") "VM-entry", VMCS_ENTRY_CONTROLS, 0x11ff, 0xffffec00},
};

static void reserved_bits(void)
{
	for (unsigned n = 0; n < COUNT(reserved); n++)
		for (unsigned bit = 0; bit < 32; bit++) {
			fresh_guest();
			check(reserved[n].name, vmx_read(reserved[n].field) & (reserved[n].one | reserved[n].zero), reserved[n].one);
			if (!((reserved[n].one | reserved[n].zero) >> bit & 1))
				continue;
			vmx_write(reserved[n].field, vmx_read(reserved[n].field) ^ 1u << bit);
			refused(reserved[n].name);
		}
}

/* ---- what exits by no control ---- */

static const struct row unconditional[] = {
	{REQ("vmx04.2.5.2.15") "MOV to CR3", G64, &i_to_cr3, {0x5000}, {{0, 0}}, R_CR, 3, 0},
	{REQ("vmx04.2.5.2.15") "MOV from CR3", G64, &i_from_cr3, {0}, {{0, 0}}, R_CR, 0x13, 0},
	{REQ("vmx04.2.5.2.16") "RDMSR", G64, &i_rdmsr, {0, 0x10}, {{0, 0}}, R_RDMSR, 0, 0},
	{REQ("vmx04.2.5.2.16") "WRMSR", G64, &i_wrmsr, {0, 0x174}, {{0, 0}}, R_WRMSR, 0, 0},
};

static void cr3_targets(void)
{
	for (u64 n = 0; n < 4; n++) {
		guest(G64, &i_to_cr3);
		memset(g_in, 0, sizeof(g_in));
		g_in[RAX] = read_cr3();
		vmx_write(VMCS_CR3_TARGET0 + 2 * (u32)n, read_cr3());
		vmx_write(VMCS_CR3_COUNT, n);
		check(REQ("vmx04.2.5.2.15") "MOV to CR3 that is no target yet", go(), R_CR);
		vmx_write(VMCS_CR3_COUNT, n + 1);
		check(REQ("vmx04.2.5.2.15") "a target", again(), R_VMCALL);
	}
}

/* ---- "I/O-Bitmap Addresses" ---- */

static void io_at_the_end(void)
{
	static const struct {
		const char *name;
		const struct snippet *code;
		u64 port, reason, qualification;
	} way[] = {
		{REQ("vmx04.2.5.5.8") "4 bytes at FFFFH", &i_in_dx_eax, 0xffff, R_IO, 0xffff000b},
		{REQ("vmx04.2.5.5.8") "4 bytes at FFFDH", &i_in_dx_eax, 0xfffd, R_IO, 0xfffd000b},
		{REQ("vmx04.2.5.5.8") "2 bytes at FFFFH", &i_in_dx_ax, 0xffff, R_IO, 0xffff0009},
		{REQ("vmx04.2.5.5.8") "4 bytes at FFFCH", &i_in_dx_eax, 0xfffc, R_VMCALL, 0},
		{REQ("vmx04.2.5.5.8") "1 byte at FFFFH", &i_out_al_dx, 0xffff, R_VMCALL, 0},
	};
	u64 a = (u64)page_alloc(), b = (u64)page_alloc(); /* no port exits by its bit */

	for (unsigned n = 0; n < COUNT(way); n++) {
		guest(G64, way[n].code);
		memset(g_in, 0, sizeof(g_in));
		g_in[RDX] = way[n].port;
		on(VMCS_PROC, P_IO_MAP);
		vmx_write(VMCS_IO_A, a);
		vmx_write(VMCS_IO_B, b);
		check(way[n].name, go(), way[n].reason);
		if (way[n].reason == R_IO)
			check(way[n].name, vmx_read(VMCS_QUALIFICATION), way[n].qualification);
	}
}

/* ---- "Controls for CR8 Accesses" ---- */

static u8 *vapic;

static void with_shadow(const struct snippet *code, u64 threshold, u8 shadow)
{
	if (!vapic)
		vapic = page_alloc();
	guest(G64, code);
	memset(g_in, 0, sizeof(g_in));
	on(VMCS_PROC, P_TPR);
	vmx_write(VMCS_VAPIC, (u64)vapic);
	vmx_write(VMCS_TPR_THRESHOLD, threshold);
	vapic[0x80] = shadow;
}

static void tpr(void)
{
	with_shadow(&i_nothing, 0xfffffff0, 0);
	accepted(REQ("vmx04.2.5.9.5") "bits 31:4 of the threshold");
	with_shadow(&i_to_cr8, 0xfffffff5, 0x70);
	g_in[RAX] = 5;
	check(REQ("vmx04.2.5.9.5") "and they do not count", go(), R_VMCALL);
	with_shadow(&i_to_cr8, 0xfffffff5, 0x70);
	g_in[RAX] = 4;
	check(REQ("vmx04.2.5.9.5") "bits 3:0 do", go(), R_TPR);
	with_shadow(&i_nothing, 9, 0x20);
	accepted(REQ("vmx04.2.5.9.6") "a threshold above the shadow");
	check(REQ("vmx04.2.5.9.6") "nothing is told", vmx_read(VMCS_GUEST_RIP), CODE);
	with_shadow(&i_tpr, 0, 0x50);
	g_in[RBX] = 0xfee00080;
	mmio_write(0xfee00080, 0x20);
	check("the guest reads and writes the TPR", go(), R_VMCALL);
	check(REQ("vmx04.2.5.9.7") "it reads the local APIC's", g_out[RAX], 0x20);
	check(REQ("vmx04.2.5.9.7") "and writes it", g_out[RCX], 0x30);
	check(REQ("vmx04.2.5.9.7") "which the host sees", mmio_read(0xfee00080), 0x30);
	check(REQ("vmx04.2.5.9.7") "the shadow stays", vapic[0x80], 0x50);
	mmio_write(0xfee00080, 0);
}

/* ---- "VM-Entry Controls for Event Injection" ---- */

static void types(void)
{
	static const struct {
		const char *name;
		u32 event;
	} bad[] = {
		{REQ("vmx04.2.7.3.9") "type 4", EV(0x40, 4)},	 {REQ("vmx04.2.7.3.9") "type 4, vector 3", EV(3, 4)},
		{REQ("vmx04.2.7.3.10") "type 5", EV(1, 5)},	 {REQ("vmx04.2.7.3.11") "type 6", EV(3, 6)},
		{REQ("vmx04.2.7.3.11") "type 6, vector 4", EV(4, 6)}, {REQ("vmx04.2.7.3.12") "type 7", EV(0, 7)},
	};

	for (unsigned n = 0; n < COUNT(bad); n++) {
		fresh_guest();
		vmx_write(VMCS_ENTRY_EVENT, bad[n].event);
		refused(bad[n].name);
		vmx_write(VMCS_ENTRY_EVENT, bad[n].event & 0x7fffffff);
		accepted(bad[n].name);
	}
}

/* The error code goes to the stack as it is: bits 31:16, too. */
static void error_codes(void)
{
	static const u32 codes[] = {0, 0xffffffff, 0x12345678, 0x8000, 0x10000};

	for (unsigned n = 0; n < COUNT(codes); n++) {
		u64 *frame;

		with_idt(G64, &i_nothing);
		vmx_write(VMCS_ENTRY_EVENT, EV_E(13));
		vmx_write(VMCS_ENTRY_ERROR, codes[n]);
		check("#GP, injected", go(), R_VMCALL);
		check("its handler", vmx_read(VMCS_GUEST_RIP), STUB(13));
		frame = (u64 *)vmx_read(VMCS_GUEST_RSP);
		check(REQ("vmx04.2.7.3.17") "the error code", (u32)frame[0], codes[n]);
		check(REQ("vmx04.2.7.3.17") "RIP behind it", frame[1], CODE);
	}
}

void test_controls(void)
{
	idt_begin();
	reserved_bits();
	ROWS(unconditional);
	cr3_targets();
	io_at_the_end();
	tpr();
	types();
	error_codes();
}
