/* General detect, and injected debug exceptions. "Debug Exceptions" under "Changes to Instruction Behavior". */
#include "exits.h"

SNIPPET(x_nop, "nop", "nop");
SNIPPET(x_detect, "nop", "mov %dr0, %rax");
SNIPPET(x_dr7, "nop", "mov %dr7, %rax; mov %rax, seen; mov %dr6, %rax; mov %rax, seen + 8");
extern char db_handler[];
asm(".pushsection .text\ndb_handler: incl db_count; iretq\n.popsection\n"
    ".pushsection .data\n.globl db_count\ndb_count: .long 0\n.popsection");
extern u32 db_count;

void test_debug(void)
{
	struct idt_gate kept = idt[1];

	base(&x_detect);
	on(VMCS_EXIT_CONTROLS, X_DEBUG);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x2400); /* GD */
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	faults("general detect", &x_detect, 0x80000301);
	check("general detect: qualification", vmx_read(VMCS_QUALIFICATION), 1 << 13);
	check("general detect: RF as its delivery would push it", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
	check("general detect: DR7.GD stays", vmx_read(VMCS_GUEST_DR7), 0x2400);
	set_gate(1, db_handler, 14, 0, 0);
	base(&x_nop); /* an injected #DB leaves DR7 and IA32_DEBUGCTL alone */
	on(VMCS_EXIT_CONTROLS, X_DEBUG);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x2400);
	vmx_write(VMCS_GUEST_DEBUGCTL, 1);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000301);
	stays("injected #DB", &x_nop);
	check("injected #DB: delivered", db_count, 1);
	check("injected #DB: DR7.GD stays", vmx_read(VMCS_GUEST_DR7), 0x2400);
	check("injected #DB: IA32_DEBUGCTL.LBR stays", vmx_read(VMCS_GUEST_DEBUGCTL), 1);
	base(&x_dr7); /* an ordinary one clears neither more nor less */
	vmx_write(VMCS_ENTRY_EVENT, 0x80000301);
	asm volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
	stays("injected #DB, DR6", &x_dr7);
	check("injected #DB: DR6 as it was", seen[1], 0xffff0ff0);
	idt[1] = kept;
}
