/* "VM-Exit Information Fields": qualifications and the fields of instructions. */
#include "first.h"

/* clang-format off */
SNIPPET(i_cpuid, "", "cpuid");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_rdpmc, "", "rdpmc");
SNIPPET(i_rdtsc, "", "rdtsc");
SNIPPET(i_nothing, "", "");
SNIPPET(i_rdmsr, "", "rdmsr");
SNIPPET(i_wrmsr, "", "wrmsr");
SNIPPET(i_mwait, "", "mwait");
SNIPPET(i_monitor_mwait, "", "monitor; mwait");
SNIPPET(i_in_dx_al, "", "in (%dx), %al");
SNIPPET(i_out_eax_dx, "", "out %eax, (%dx)");
SNIPPET(i_in_0x80_al, "", "in $0x80, %al");
SNIPPET(i_rep_in_dx_al, "", ".byte 0xf3; in (%dx), %al");
SNIPPET(i_rep_out_al_dx, "", ".byte 0xf3; out %al, (%dx)");
SNIPPET(i_rep_in_0x80_al, "", ".byte 0xf3; in $0x80, %al");
SNIPPET(i_rep_insb, "", "rep insb");
SNIPPET(i_insb, "", "insb");
SNIPPET(i_clts, "", "clts");
SNIPPET(i_lmsw_rbx, "", "lmsw (%rbx)");
SNIPPET(i_lmsw_ax, "", "lmsw %ax");
SNIPPET(i_mov_rax_cr0, "", "mov %rax, %cr0");
SNIPPET(i_mov_rax_cr3, "", "mov %rax, %cr3");
SNIPPET(i_mov_cr3_r9, "", "mov %cr3, %r9");
SNIPPET(i_mov_rax_cr8, "", "mov %rax, %cr8");
SNIPPET32(t_call, "", "lcall $0x60, $0");
SNIPPET32(t_jmp, "", "ljmp $0x60, $0");
SNIPPET32(t_call_gate, "", "lcall $0x68, $0");
SNIPPET32(t_iret, "", "iret");
SNIPPET32(t_int, "", "int $0x40");
SNIPPET32(t_ud, "", "ud2");

#define HIGH 0xfedcba9800000000
static const struct row qualifications[] = {
	/* table 2-5 */
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "LMSW from memory", G64, &i_lmsw_rbx, {0, 0, 0, (u64)scratch}, {{VMCS_CR0_MASK, 4}, {VMCS_CR0_SHADOW, 4}}, R_CR, 0x12310030, 0},
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "LMSW from a register", G64, &i_lmsw_ax, {HIGH | 0xfff1}, {{VMCS_CR0_MASK, 4}, {VMCS_CR0_SHADOW, 4}}, R_CR, 0xfff10030, 0},
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "CLTS", G64, &i_clts, {~0ull}, {{VMCS_CR0_MASK, 8}, {VMCS_CR0_SHADOW, 8}}, R_CR, 0x20, 0},
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "MOV to CR0", G64, &i_mov_rax_cr0, {HIGH | 0x80000031}, {{VMCS_CR0_MASK, 8}, {VMCS_CR0_SHADOW, 8}}, R_CR, 0, 0},
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "MOV to CR3", G64, &i_mov_rax_cr3, {HIGH | 0x5000}, {{0, 0}}, R_CR, 3, 0},
	{REQ("vmx04.2.8.1.30 vmx04.2.8.1.36") "MOV from CR3", G64, &i_mov_cr3_r9, {0}, {{0, 0}}, R_CR, 0x913, 0},
	{REQ("vmx04.2.8.1.36") "MOV to CR8", G64, &i_mov_rax_cr8, {HIGH | 5}, {{VMCS_PROC, P_CR8_LOAD}}, R_CR, 8, 0},
	/* table 2-6 */
	{REQ("vmx04.2.8.1.46") "IN AL, DX", G64, &i_in_dx_al, {0, 0, HIGH | 0x1234}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x12340008, 0},
	{REQ("vmx04.2.8.1.46") "OUT DX, EAX", G64, &i_out_eax_dx, {~0ull, 0, HIGH | 0xfff0}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0xfff00003, 0},
	{REQ("vmx04.2.8.1.46") "REP INSB", G64, &i_rep_insb, {0, 1, HIGH | 0x1234, 0, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x12340038, 0},
	{REQ("vmx04.2.8.1.47") "F3 IN AL, DX", G64, &i_rep_in_dx_al, {0, 0, 0x1234}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x12340008, 0},
	{REQ("vmx04.2.8.1.47") "F3 IN AL, 80h", G64, &i_rep_in_0x80_al, {0}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x00800048, 0},
	{REQ("vmx04.2.8.1.47") "F3 OUT DX, AL", G64, &i_rep_out_al_dx, {0, 0, 0x1234}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x12340000, 0},
	/* MWAIT, not armed; armed: below */
	{REQ("vmx04.2.8.1.57") "MWAIT", G64, &i_mwait, {0}, {{VMCS_PROC, P_MWAIT}}, R_MWAIT, 0, 0},
	/* the rest has none */
	{REQ("vmx04.2.8.1.58") "CPUID", G64, &i_cpuid, {~0ull}, {{0, 0}}, R_CPUID, 0, 0},
	{REQ("vmx04.2.8.1.58") "HLT", G64, &i_hlt, {~0ull}, {{0, 0}}, R_HLT, 0, 0},
	{REQ("vmx04.2.8.1.58") "RDPMC", G64, &i_rdpmc, {~0ull, 7}, {{VMCS_PROC, P_RDPMC}}, R_RDPMC, 0, 0},
	{REQ("vmx04.2.8.1.58") "RDTSC", G64, &i_rdtsc, {~0ull}, {{VMCS_PROC, P_RDTSC}}, R_RDTSC, 0, 0},
	{REQ("vmx04.2.8.1.58") "VMCALL", G64, &i_nothing, {1, 2, 3, 4}, {{0, 0}}, R_VMCALL, 0, 0},
	{REQ("vmx04.2.8.1.58") "RDMSR", G64, &i_rdmsr, {1, 0xc0000080}, {{0, 0}}, R_RDMSR, 0, 0},
	{REQ("vmx04.2.8.1.58") "WRMSR", G64, &i_wrmsr, {1, 0x174}, {{0, 0}}, R_WRMSR, 0, 0},
};
/* clang-format on */

static void armed(void)
{
	guest(G64, &i_monitor_mwait);
	memset(g_in, 0, sizeof(g_in));
	g_in[RAX] = (u64)scratch;
	on(VMCS_PROC, P_MWAIT);
	check("MWAIT behind MONITOR", go(), R_MWAIT);
	check(REQ("vmx04.2.8.1.57") "armed", vmx_read(VMCS_QUALIFICATION), 1);
	check("RIP", vmx_read(VMCS_GUEST_RIP), CODE + 3);
}

/* "I/O instruction initial linear address": what other exits leave in it. */
static void linear_address(void)
{
	static const struct {
		const char *name;
		const struct snippet *code;
		u64 reason;
	} others[] = {{"IN AL, DX", &i_in_dx_al, R_IO}, {"OUT DX, EAX", &i_out_eax_dx, R_IO}, {"IN AL, 80h", &i_in_0x80_al, R_IO},
		      {"CPUID", &i_cpuid, R_CPUID}, {"MOV to CR3", &i_mov_rax_cr3, R_CR}, {"LMSW", &i_lmsw_rbx, R_CR}};

	for (unsigned n = 0; n < COUNT(others); n++) {
		guest(G64, &i_insb);
		memset(g_in, 0, sizeof(g_in));
		g_in[RDI] = 0x77770 + n;
		on(VMCS_PROC, P_IO_ALL);
		vmx_write(VMCS_CR0_MASK, 4);
		vmx_write(VMCS_CR0_SHADOW, 4);
		vcheck(others[n].name, "INSB", go(), R_IO);
		vcheck(others[n].name, "its address", vmx_read(VMCS_GUEST_LINEAR), 0x77770 + n);
		memcpy(code_page, others[n].code->entry, length_of(others[n].code));
		g_in[RBX] = (u64)scratch;
		vcheck(others[n].name, "exit", again(), others[n].reason);
		vcheck(others[n].name, REQ("vmx04.2.8.4.27") "unchanged", vmx_read(VMCS_GUEST_LINEAR), 0x77770 + n);
	}
}

/* ---- task switches, of a 32-bit guest: its GDT has a task at 60h and a gate to it at 68h ---- */

enum { ON_CALL, ON_IRET, ON_JMP, ON_GATE };
enum { TASK = 0x60, TSS32 = 0x89, BUSY = 2, TASK_GATE = 0x85, NESTED_TASK = 0x4000 };

static const struct {
	const char *name;
	const struct snippet *code;
	unsigned cause;
	u32 vectoring, length, flags;
} switches[] = {
	{"CALL", &t_call, ON_CALL, 0, 7, 0},	    {"JMP", &t_jmp, ON_JMP, 0, 7, 0},
	{"CALL of a gate", &t_call_gate, ON_CALL, 0, 7, 0}, {"IRET", &t_iret, ON_IRET, 0, 1, NESTED_TASK},
	{"INT n", &t_int, ON_GATE, EV(0x40, 4), 2, 0},	    {"#UD", &t_ud, ON_GATE, EV(6, 3), 0, 0},
};

static void task_switches(void)
{
	static u8 task[128] __attribute__((aligned(128))), task_now[128] __attribute__((aligned(128)));
	static u64 task_gates[256];
	u64 base = (u64)task;

	for (unsigned n = 0; n < COUNT(switches); n++) {
		u64 type = TSS32 | (switches[n].cause == ON_IRET ? BUSY : 0);

		guest32(switches[n].code);
		table32[TASK / 8] = 0x67 | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
		table32[TASK / 8 + 1] = (u64)TASK << 16 | (u64)TASK_GATE << 40;
		for (unsigned k = 0; k < 256; k++)
			task_gates[k] = table32[TASK / 8 + 1];
		task_now[0] = TASK;
		vmx_write(VMCS_GUEST_IDTR_BASE, (u64)task_gates);
		vmx_write(VMCS_GUEST_TR_BASE, (u64)task_now);
		on(VMCS_GUEST_RFLAGS, switches[n].flags);
		vcheck(switches[n].name, "task switch", go(), R_TASK);
		vcheck(switches[n].name, REQ("vmx04.2.8.1.55") "selector and source", vmx_read(VMCS_QUALIFICATION),
		       TASK | (u64)switches[n].cause << 30);
		vcheck(switches[n].name, "original event", vmx_read(VMCS_VECTORING) & (switches[n].vectoring ? ~0ull : 1ull << 31),
		       switches[n].vectoring);
		if (switches[n].length)
			vcheck(switches[n].name, "length", vmx_read(VMCS_EXIT_LENGTH), switches[n].length);
	}
}

void test_information(void)
{
	scratch[0] = 0x1231;
	ROWS(qualifications);
	armed();
	linear_address();
	task_switches();
}
