/* "VM Entries": what is checked, what is not, and how a failure looks. */
#include "first.h"

/* clang-format off */
SNIPPET(i_nop, "", "nop");
SNIPPET(i_mov_cr0_rax, "", "mov %cr0, %rax");
SNIPPET(i_mov_dr7_rax, "", "mov %dr7, %rax");
SNIPPET32(i_nop_32, "", "nop");
/* clang-format on */

#define ZF ~0ull /* control passes to the next instruction */
#define BEYOND (1ull << 36)

/* One field written otherwise than in a good VMCS. */
struct edit_row {
	const char *name;
	u32 field;
	u64 value;
	u64 outcome;
	u32 proc; /* controls that make it active */
};
/* clang-format off */
static const struct edit_row outcomes[] = {
	{REQ("vmx04.3.2.2.4") "control: a reserved pin-based bit", VMCS_PIN, 0x36, ZF, 0},
	{REQ("vmx04.3.2.2.4") "control: a default1 bit is 0", VMCS_EXIT_CONTROLS, 0x200, ZF, 0},
	{REQ("vmx04.3.2.2.4") "control: CR3-target count", VMCS_CR3_COUNT, 5, ZF, 0},
	{REQ("vmx04.3.2.2.4") "control: I/O bitmap A not aligned", VMCS_IO_A, 0x1800, ZF, P_IO_MAP},
	{"I/O bitmap A not aligned, not active", VMCS_IO_A, 0x1800, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.4") "host: RPL", VMCS_HOST_CS, 0x0b, ZF, 0},
	{REQ("vmx04.3.2.2.4") "host: TR 0", VMCS_HOST_TR, 0, ZF, 0},
	{REQ("vmx04.3.2.2.4") "host: CR0.NE", VMCS_HOST_CR0, 0x80000011, ZF, 0},
	{REQ("vmx04.3.2.2.4") "host: FS base not canonical", VMCS_HOST_FS_BASE, 1ull << 47, ZF, 0},
	{REQ("vmx04.3.2.2.4") "event: reserved type", VMCS_ENTRY_EVENT, EV(0x40, 1), ZF, 0},
	{REQ("vmx04.3.2.2.4") "MSR-load area not aligned", VMCS_ENTRY_LOAD_COUNT, 1, ZF, 0}, /* its address: 8, below */
	/* guest state */
	{REQ("vmx04.3.2.2.23 vmx04.3.2.2.4 vmx04.3.2.2.3") "guest: CR0.PE 0", VMCS_GUEST_CR0, 0x80000030, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.25 vmx04.3.2.2.4") "guest: CR0.PG 0", VMCS_GUEST_CR0, 0x31, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: CR0.NE 0", VMCS_GUEST_CR0, 0x80000011, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: CR4.VMXE 0", VMCS_GUEST_CR4, 0x20, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: RFLAGS bit 1 is 0", VMCS_GUEST_RFLAGS, 0, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: RFLAGS bit 15", VMCS_GUEST_RFLAGS, 0x8002, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: CS is data", VMCS_GUEST_CS_AR, 0xa093, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: TR is available", VMCS_GUEST_TR_AR, 0x89, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: DS limit and granularity", VMCS_GUEST_DS_LIMIT, 0xfffff000, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: GDTR limit", VMCS_GUEST_GDTR_LIMIT, 0x10000, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: RIP not canonical", VMCS_GUEST_RIP, 1ull << 48, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.43") "guest: blocking by STI with IF 0", VMCS_GUEST_INTERRUPTIBILITY, 1, R_BAD_GUEST, 0},
	/* DR7 */
	{REQ("vmx04.3.2.2.31") "DR7, bits 15:14 and 12", VMCS_GUEST_DR7, 0xd400, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.31") "DR7, bit 10 is 0", VMCS_GUEST_DR7, 0, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.31") "DR7, bit 32", VMCS_GUEST_DR7, 1ull << 32 | 0x400, R_BAD_GUEST, 0},
	{REQ("vmx04.3.2.2.31") "DR7, bit 63", VMCS_GUEST_DR7, 1ull << 63 | 0x400, R_BAD_GUEST, 0},
	/* beyond 36 bits */
	{REQ("vmx04.3.2.2.15") "I/O bitmap A", VMCS_IO_A, BEYOND, ZF, P_IO_MAP},
	{REQ("vmx04.3.2.2.15") "I/O bitmap B", VMCS_IO_B, BEYOND, ZF, P_IO_MAP},
	{REQ("vmx04.3.2.2.15") "virtual-APIC page", VMCS_VAPIC, BEYOND, ZF, P_TPR},
	{"I/O bitmap A, not active", VMCS_IO_A, BEYOND, R_VMCALL, 0},
	/* not present: whatever the rest */
	{REQ("vmx04.3.2.2.77") "SS, P 0", VMCS_GUEST_SS_AR, 0x0, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.77") "DS, P 0, code", VMCS_GUEST_DS_AR, 0x7b, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.77") "ES, P 0, a system segment", VMCS_GUEST_ES_AR, 0xf0f, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.77") "FS, P 0, reserved bits", VMCS_GUEST_FS_AR, 0xfff0ff73, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.77") "GS, P 0", VMCS_GUEST_GS_AR, 0xe073, R_VMCALL, 0},
	{REQ("vmx04.3.2.2.77") "LDTR, P 0", VMCS_GUEST_LDTR_AR, 0xff7f, R_VMCALL, 0},
	{"DS present, code that cannot be read", VMCS_GUEST_DS_AR, 0xc099, R_BAD_GUEST, 0},
};
/* clang-format on */

static void each_check(void)
{
	for (unsigned n = 0; n < COUNT(outcomes); n++) {
		u64 got;

		guest(G64, &i_nop);
		on(VMCS_PROC, outcomes[n].proc);
		vmx_write(VMCS_ENTRY_LOAD_ADDR, 8);
		vmx_write(outcomes[n].field, outcomes[n].value);
		got = go();
		vcheck(outcomes[n].name, REQ("vmx04.2.8.1.21") "outcome", got, outcomes[n].outcome);
		if (got == R_BAD_GUEST)
			vcheck(outcomes[n].name, REQ("vmx04.3.2.2.5") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
	}
}

/* The last byte of an MSR area: entries are 16 bytes. */
static void areas(void)
{
	static const u32 pairs[][2] = {{VMCS_ENTRY_LOAD_ADDR, VMCS_ENTRY_LOAD_COUNT}, {VMCS_LOAD_ADDR, VMCS_LOAD_COUNT},
				       {VMCS_STORE_ADDR, VMCS_STORE_COUNT}};

	for (unsigned n = 0; n < 3; n++) {
		guest(G64, &i_nop);
		vmx_write(pairs[n][0], BEYOND - 16);
		vmx_write(pairs[n][1], 2);
		check(REQ("vmx04.3.2.2.15") "the last entry of an MSR area", go(), ZF);
		guest(G64, &i_nop);
		vmx_write(pairs[n][0], BEYOND);
		vmx_write(pairs[n][1], 1);
		check(REQ("vmx04.3.2.2.15") "an MSR area", go(), ZF);
		guest(G64, &i_nop);
		vmx_write(pairs[n][0], BEYOND);
		check("an MSR area of nothing", go(), R_VMCALL);
	}
}

/* "Failed VM entry" of the second kind. */
static void failed(void)
{
	u64 *load = fresh_page(), *store = fresh_page(), before[4];

	guest(G64, &i_nop);
	check("an exit", go(), R_VMCALL);
	before[0] = vmx_read(VMCS_EXIT_EVENT);
	before[1] = vmx_read(VMCS_EXIT_LENGTH);
	before[2] = vmx_read(VMCS_VECTORING);
	before[3] = vmx_read(VMCS_GUEST_LINEAR);
	load[0] = 0xc0000102; /* KERNEL_GS_BASE */
	load[1] = 0x123456789000;
	store[0] = 0xc0000102;
	store[1] = 0x5555;
	wrmsr(0xc0000102, 0);
	vmx_write(VMCS_LOAD_ADDR, (u64)load);
	vmx_write(VMCS_LOAD_COUNT, 1);
	vmx_write(VMCS_STORE_ADDR, (u64)store);
	vmx_write(VMCS_STORE_COUNT, 1);
	vmx_write(VMCS_ENTRY_EVENT, EV(6, 3));
	vmx_write(VMCS_GUEST_RFLAGS, 0);
	vmx_write(VMCS_GUEST_RSP, 0x7777);
	check(REQ("vmx04.3.2.2.5 vmx04.2.8.1.21") "exit reason", again(), R_BAD_GUEST);
	check(REQ("vmx04.3.2.2.5") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
	check(REQ("vmx04.3.2.2.5") "guest area", vmx_read(VMCS_GUEST_RFLAGS) == 0 && vmx_read(VMCS_GUEST_RSP) == 0x7777, 1);
	check(REQ("vmx04.3.2.2.5") "the valid bit of the event", vmx_read(VMCS_ENTRY_EVENT), EV(6, 3));
	check(REQ("vmx04.3.2.2.5") "no MSR is stored", store[1], 0x5555);
	check(REQ("vmx04.3.2.2.5") "MSRs are loaded", rdmsr(0xc0000102), 0x123456789000);
	check(REQ("vmx04.3.2.2.5") "other information", before[0] == vmx_read(VMCS_EXIT_EVENT) && before[1] == vmx_read(VMCS_EXIT_LENGTH) &&
		      before[2] == vmx_read(VMCS_VECTORING) && before[3] == vmx_read(VMCS_GUEST_LINEAR), 1);
	vmx_write(VMCS_GUEST_RFLAGS, 2);
	vmx_write(VMCS_GUEST_RIP, CODE);
	vmx_write(VMCS_ENTRY_EVENT, 0);
	check("the launch state stays", again(), R_VMCALL);
}

/* "VM-Entry Controls for Event Injection": the error code goes with the vector. */
static void error_codes(void)
{
	for (u32 vector = 0; vector < 32; vector++)
		for (u32 code = 0; code < 2; code++) {
			bool has = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

			with_idt(G64, &i_nop);
			vmx_write(VMCS_ENTRY_EVENT, EV(vector, 3) | code << 11);
			if (code)
				check(REQ("vmx04.3.2.2.85") "bit 11 is 1", go(), has ? R_VMCALL : ZF);
			else
				check(REQ("vmx04.3.2.2.86") "bit 11 is 0", go(), has ? ZF : R_VMCALL);
			if (has == code)
				check("its handler", vmx_read(VMCS_GUEST_RIP), STUB(vector));
		}
}

/* "Injection of Vectoring Events": what blocks an interrupt does not block this one. */
static void injected_all_the_same(void)
{
	static const struct {
		u64 rflags, blocking;
	} states[] = {{2, 0}, {0x202, 1}, {0x202, 2}, {2, 2}};

	for (unsigned n = 0; n < COUNT(states); n++) {
		with_idt(G64, &i_nop);
		vmx_write(VMCS_GUEST_RFLAGS, states[n].rflags);
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, states[n].blocking);
		vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 0));
		check(REQ("vmx04.3.2.2.88") "injected", go(), R_VMCALL);
		check(REQ("vmx04.3.2.2.88") "its handler", vmx_read(VMCS_GUEST_RIP), STUB(0x40));
	}
}

/* "State Loaded from the Guest-State Area" */
static void loaded(void)
{
	u64 cr0 = read_cr0();

	for (unsigned bit = 0; bit < 64; bit++) {
		u64 b = 1ull << bit;

		if (!(0xffffffff7ffaffd0 & b) || bit == 18 || bit == 16)
			continue;
		guest(G64, &i_mov_cr0_rax);
		vmx_write(VMCS_GUEST_CR0, bit == 4 ? cr0 & ~b : bit == 29 ? cr0 | 3ull << 29 : cr0 | b);
		check(REQ("vmx04.3.2.3.1.5") "ET, CD, NW, 63:32, 28:19, 17 and 15:6 of CR0", go(), R_VMCALL);
		check("stay as they were", g_out[RAX], cr0);
	}
	guest(G64, &i_mov_dr7_rax);
	vmx_write(VMCS_GUEST_DR7, 0xd001);
	check(REQ("vmx04.3.2.3.1.7") "runs", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.7 vmx04.3.2.2.31") "DR7 is loaded, its reserved bits forced", g_out[RAX], 0x401);
	check(REQ("vmx04.3.3.3.4") "DR7 is saved", vmx_read(VMCS_GUEST_DR7), 0x401);
}

/* PDPTEs of a guest with PAE outside IA-32e mode come from memory. */
static void pdptes(void)
{
	u64 *table = fresh_page();

	for (unsigned bad = 0; bad < 5; bad++) {
		for (unsigned n = 0; n < 4; n++)
			table[n] = (u64)pds[n] | 1;
		if (bad < 4)
			table[bad] |= 1 << 1; /* reserved */
		guest32(&i_nop_32);
		vmx_write(VMCS_GUEST_CR3, (u64)table);
		vmx_write(VMCS_GUEST_CR4, 1 << 13 | 1 << 5);
		check(REQ("vmx04.3.2.2.80") "PDPTEs", go(), bad < 4 ? R_BAD_GUEST : R_VMCALL);
	}
	for (unsigned n = 0; n < 4; n++)
		table[n] &= n == 3 ? ~1ull : ~0ull;
	table[3] |= 1 << 1;
	guest32(&i_nop_32);
	vmx_write(VMCS_GUEST_CR3, (u64)table);
	vmx_write(VMCS_GUEST_CR4, 1 << 13 | 1 << 5);
	check(REQ("vmx04.3.2.2.80") "one that is not present may have any bit", go(), R_VMCALL);
}

/* "Basic VM-Entry Checks": blocking by MOV SS is none. */
asm("enter_behind_mov_ss: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    " mov $0x6c14, %eax; vmwrite %rsp, %rax; mov $0x6c16, %eax; lea 1f(%rip), %rcx; vmwrite %rcx, %rax\n"
    " mov %ss, %edx; mov $1, %ebx; mov %edx, %ss; vmlaunch; xor %ebx, %ebx; jmp 2f\n"
    "1: mov $1, %ebx\n"
    "2: mov %ebx, %eax; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n");
u32 enter_behind_mov_ss(void);

static void mov_ss(void)
{
	guest(G64, &i_nop);
	check(REQ("vmx04.3.2.1.2") "MOV SS, VMLAUNCH", enter_behind_mov_ss(), 1);
	check(REQ("vmx04.3.2.1.2") "entered", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	check("RIP", vmx_read(VMCS_GUEST_RIP), CODE + 1);
}

void test_entries(void)
{
	each_check();
	areas();
	failed();
	error_codes();
	injected_all_the_same();
	loaded();
	pdptes();
	mov_ss();
}
