/* "VM Exits", and what holds of both directions: translations, and the address spaces of guest and host. */
#include "first.h"

/* clang-format off */
SNIPPET(i_read, "", "mov (%rbx), %rax");
SNIPPET32(i_nop_32, "", "nop");
SNIPPET(i_cpuid, "", "cpuid");
/* clang-format on */

static struct {
	u16 limit;
	u64 base;
} __attribute__((packed)) gdtr, idtr;

/* ---- "State Forced to Specific Values" ---- */

static void forced(void)
{
	u16 ldt;

	guest(G64, &i_cpuid);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, 0x77);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0x33);
	vmx_write(VMCS_GUEST_LDTR, 0x20);
	vmx_write(VMCS_GUEST_LDTR_AR, 0x82);
	vmx_write(VMCS_GUEST_LDTR_LIMIT, 0xffff);
	vmx_write(VMCS_GUEST_LDTR_BASE, (u64)gdt);
	check("exits", go(), R_CPUID);
	asm volatile("sgdt %0; sidt %1; sldt %2" : "=m"(gdtr), "=m"(idtr), "=m"(ldt));
	check(REQ("vmx04.3.3.4.2.3 vmx04.3.3.4.2.5") "GDTR limit, 16 bits of it", gdtr.limit, 0xffff);
	check(REQ("vmx04.3.3.4.2.4 vmx04.3.3.4.2.5") "IDTR limit, 16 bits of it", idtr.limit, 0xffff);
	check(REQ("vmx04.3.3.4.2.7") "LDTR", ldt, 0);
	check(REQ("vmx04.3.3.4.2.7") "unusable: a selector of the LDT", CATCH(asm volatile("mov %0, %%fs" ::"r"(0x14))), 13);
}

/* ---- "If any of CR3[63:5], CR4.PAE, or CR4.PSE is changing" and if not, too: every transition flushes ---- */

static void flushes(void)
{
	u64 *entry = &pds[1][0], kept = *entry, *page = (u64 *)0x40000000, *tables = fresh_page();
	u64 *one = fresh_page(), *two = fresh_page();

	one[0] = 0x1111;
	two[0] = 0x2222;
	for (u64 global = 0; global < 2; global++) {
		write_cr4((read_cr4() & ~(1ull << 7)) | global << 7);
		tables[0] = (u64)one | 7 | global << 8;
		*entry = (u64)tables | 7;
		write_cr3(read_cr3());
		check("the host reads", *(volatile u64 *)page, 0x1111);
		tables[0] = (u64)two | 7 | global << 8;
		guest(G64, &i_read);
		memset(g_in, 0, sizeof(g_in));
		g_in[RBX] = (u64)page;
		check("entry", go(), R_VMCALL);
		check(REQ("vmx04.3.2.3.1.12") "the guest sees the new page", g_out[RAX], 0x2222);
		check(REQ("vmx04.3.2.3.1.12") "and so does the host", *(volatile u64 *)page, 0x2222);
		tables[0] = (u64)one | 7 | global << 8;
		vmx_write(VMCS_GUEST_RIP, CODE);
		check("entry again", again(), R_VMCALL);
		check(REQ("vmx04.3.2.3.1.12") "nothing of its last run is left", g_out[RAX], 0x1111);
		*entry = kept;
		invlpg(page);
	}
	write_cr4(read_cr4() & ~(1ull << 7));
	write_cr3(read_cr3());
}

/* ---- saved RSP outside 64-bit mode ---- */

static void upper_halves(void)
{
	guest(G_COMPAT, &i_nop_32);
	vmx_write(VMCS_GUEST_RSP, 0x123456789abcdef0);
	check("compatibility mode", go(), R_VMCALL);
	check(REQ("vmx04.3.3.3.7") "RSP", vmx_read(VMCS_GUEST_RSP), 0x123456789abcdef0);
	check(REQ("vmx04.3.3.3.7") "RIP", vmx_read(VMCS_GUEST_RIP), CODE + 1);
}

/*
 * ---- A 64-bit host whose exit leads to a 32-bit one, and back: "Checks on Contents of the Virtual-Machine Control
 * Structure" has no rule against it. The 32-bit host lies in wait at host32_entry, uses data through null selectors, and
 * enters the same guest with "host address-space size" 1, from where the exit leads to 64-bit mode again.
 * ----
 */
extern u8 host32_entry[];
u32 host32_seen, host32_cr3, host32_far_cr3, host32_failed, host32_limits[4];
u32 host32_null[4];
asm(".pushsection .text\n"
    "enter_host32: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    " mov $0x6c14, %eax; vmwrite %rsp, %rax; mov %esp, host32_stack(%rip)\n"
    " vmlaunch; xor %eax, %eax; jmp 9f\n"
    ".code32\n"
    "host32_entry: movl $1, host32_seen\n"
    " mov %ds, %eax; mov %eax, host32_null; mov %es, %eax; mov %eax, %es:host32_null+4\n"
    " mov %fs, %eax; mov %eax, %fs:host32_null+8; mov %gs, %eax; mov %eax, %gs:host32_null+12\n"
    " mov %cr3, %eax; mov %eax, host32_cr3\n"
    " mov $0x400c, %eax; vmread %eax, %ecx; or $0x200, %ecx; vmwrite %ecx, %eax\n"    /* host address-space size */
    " mov $0x6c00+2, %eax; mov host32_far_cr3, %ecx; vmwrite %ecx, %eax\n"		      /* CR3 */
    " mov $0x6c04, %eax; mov %cr4, %ecx; or $0x20, %ecx; vmwrite %ecx, %eax\n"	      /* CR4.PAE */
    " mov $0x0c02, %eax; mov $8, %ecx; vmwrite %ecx, %eax\n"			      /* 64-bit code */
    " mov $0x6c14, %eax; mov host32_stack, %ecx; vmwrite %ecx, %eax\n"
    " mov $0x6c16, %eax; mov $host64_entry, %ecx; vmwrite %ecx, %eax\n"
    " vmresume; movl $1, host32_failed\n"
    "1: cli; hlt; jmp 1b\n"
    ".code64\n"
    "host64_entry: mov $1, %eax\n"
    "9: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n"
    ".popsection\n"
    ".pushsection .bss\n.balign 8\nhost32_stack: .skip 8\n.popsection\n");
u32 enter_host32(void);

/* Its paging: 4 MiB pages, or PAE with PDPTEs from memory. */
static void through_host32(bool pae)
{
	static const u32 selectors[] = {VMCS_HOST_ES, VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS};
	u64 *pdpt32 = fresh_page();
	u32 *directory = (u32 *)fresh_page();

	for (u32 n = 0; n < 1024; n++)
		directory[n] = n << 22 | 0x83;
	for (unsigned n = 0; n < 4; n++)
		pdpt32[n] = (u64)pds[n] | 1;
	guest32(&i_nop_32);
	off(VMCS_EXIT_CONTROLS, X_LONG);
	for (unsigned n = 0; n < 4; n++)
		vmx_write(selectors[n], 0);
	vmx_write(VMCS_HOST_CS, 0x18);
	vmx_write(VMCS_HOST_CR3, pae ? (u64)pdpt32 : (u64)directory);
	vmx_write(VMCS_HOST_CR4, 1 << 13 | (pae ? 1 << 5 : 1 << 4));
	vmx_write(VMCS_HOST_RIP, (u64)host32_entry);
	host32_seen = host32_failed = 0;
	host32_far_cr3 = (u32)read_cr3();
	memset(host32_null, 0xff, sizeof(host32_null));
	check(REQ("vmx04.3.2.2.22") "the exit behind the second entry leads to 64-bit mode", enter_host32(), 1);
	check(REQ("vmx04.3.2.2.21") "a 64-bit host enters with a 32-bit host behind", host32_seen, 1);
	check(REQ("vmx04.3.2.2.21") "its page tables", host32_cr3, (u32)(pae ? (u64)pdpt32 : (u64)directory));
	check("the entry from 32 bits", host32_failed, 0);
	for (unsigned n = 0; n < 4; n++)
		check(REQ("vmx04.3.3.4.2.14") "data through a null selector", host32_null[n], 0);
	check(REQ("vmx04.3.2.2.22") "exit reason", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	for (unsigned n = 0; n < 4; n++)
		asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(0x10));
	if (pae)
		proves("vmx04.3.3.4.1.8"); /* it ran at all; reserved bits: ../vmx_reqs/host_state.c */
}

void test_transitions(void)
{
	forced();
	flushes();
	upper_halves();
	through_host32(false);
	through_host32(true);
}
