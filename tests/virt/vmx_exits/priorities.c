/* Which comes first, the fault or the exit: "Relative Priority of Faults and VM Exits". */
#include "exits.h"

SNIPPET(p_hlt, "", "hlt");
SNIPPET(p_invd, "", "invd");
SNIPPET(p_wbinvd, "", "wbinvd");
SNIPPET(p_cpuid, "", "cpuid");
SNIPPET(p_cr3, "", "mov %cr3, %rax");
SNIPPET(p_dr0, "", "mov %dr0, %rax");
SNIPPET(p_rdmsr, "mov $0x10, %ecx", "rdmsr");
SNIPPET(p_invlpg, "", "invlpg (%rbx)");
SNIPPET(p_rdtsc, "", "rdtsc");
SNIPPET(p_rdpmc, "xor %ecx, %ecx", "rdpmc");
SNIPPET(p_vmcall, "", "vmcall");
SNIPPET(p_vmread, "", "vmread %rax, %rbx");
SNIPPET(p_vmxoff, "", "vmxoff");
SNIPPET(p_xsetbv, "", "xsetbv");
SNIPPET(p_lgdt, "", "lgdt (%rbx)");
SNIPPET(p_in, "", "in $0x80, %al");
SNIPPET(p_monitor, "", "monitor");
SNIPPET(p_invpcid, "", "invpcid (%rbx), %rax");
SNIPPET(p_xrstors, "", "xrstors (%rbx)");
SNIPPET(p_lock, "", ".byte 0xf0; cpuid");
SNIPPET(p_sgdt, "mov $0x8000000000, %rbx", "sgdt (%rbx)");
SNIPPET(p_vmptrld, "mov $0x8000000000, %rbx", "vmptrld (%rbx)");
SNIPPET(p_vmclear, "mov $0x800000000000, %rbx", "vmclear (%rbx)");
SNIPPET(p_vmfunc, "xor %eax, %eax; xor %ecx, %ecx", "vmfunc");
SNIPPET(p_outs, "mov $0x8000000000, %rsi; mov $0x80, %edx", "outsb");

#define NONE 0
static const struct priority {
	const char *name;
	const struct snippet *s;
	unsigned cpl;
	u32 reason, event; /* R_EXCEPTION: which */
} priorities[] = {
	{"HLT at CPL 3: #GP first", &p_hlt, 3, R_EXCEPTION, 0x80000b0d},
	{"INVD at CPL 3: #GP first", &p_invd, 3, R_EXCEPTION, 0x80000b0d},
	{"WBINVD at CPL 3: #GP first", &p_wbinvd, 3, R_EXCEPTION, 0x80000b0d},
	{"CPUID at CPL 3: exits", &p_cpuid, 3, R_CPUID, NONE},
	{"MOV from CR3 at CPL 3: #GP first", &p_cr3, 3, R_EXCEPTION, 0x80000b0d},
	{"MOV from DR0 at CPL 3: exits first", &p_dr0, 3, R_DR, NONE},
	{"RDMSR at CPL 3: #GP first", &p_rdmsr, 3, R_EXCEPTION, 0x80000b0d},
	{"INVLPG at CPL 3: #GP first", &p_invlpg, 3, R_EXCEPTION, 0x80000b0d},
	{"RDTSC at CPL 3: exits", &p_rdtsc, 3, R_RDTSC, NONE},
	{"RDPMC at CPL 3, CR4.PCE = 0: #GP first", &p_rdpmc, 3, R_EXCEPTION, 0x80000b0d},
	{"VMCALL at CPL 3: exits", &p_vmcall, 3, R_VMCALL, NONE},
	{"VMREAD at CPL 3: exits first", &p_vmread, 3, R_VMREAD, NONE},
	{"VMXOFF at CPL 3: exits first", &p_vmxoff, 3, R_VMXOFF, NONE},
	{"XSETBV at CPL 3: #GP first", &p_xsetbv, 3, R_EXCEPTION, 0x80000b0d},
	{"LGDT at CPL 3: #GP first", &p_lgdt, 3, R_EXCEPTION, 0x80000b0d},
	{"IN at CPL 3, no permission: #GP first", &p_in, 3, R_EXCEPTION, 0x80000b0d},
	{"MONITOR at CPL 3: #UD first", &p_monitor, 3, R_EXCEPTION, 0x80000306},
	{"INVPCID at CPL 3, disabled: #UD before #GP", &p_invpcid, 3, R_EXCEPTION, 0x80000306},
	{"XRSTORS at CPL 3, disabled: #UD before #GP", &p_xrstors, 3, R_EXCEPTION, 0x80000306},
	{"LOCK CPUID: #UD first", &p_lock, 0, R_EXCEPTION, 0x80000306},
	{"SGDT to an unmapped page: exits first", &p_sgdt, 0, R_GDTR, NONE},
	{"VMPTRLD of an unmapped operand: exits first", &p_vmptrld, 0, R_VMPTRLD, NONE},
	{"VMCLEAR of a non-canonical operand: exits first", &p_vmclear, 0, R_VMCLEAR, NONE},
	{"OUTS from an unmapped page: exits first", &p_outs, 0, R_IO, NONE},
};

void test_priorities(void)
{
	tss[0x66] = tss[0x67] = 0xff; /* no I/O permission map */
	for (unsigned n = 0; n < COUNT(priorities); n++) {
		const struct priority *t = &priorities[n];

		base(t->s);
		if (t->cpl)
			to_user();
		vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
		vmx_write(VMCS_EXCEPTIONS, ~0u);
		on(VMCS_PROC, P_INVLPG | P_RDPMC | P_RDTSC | P_CR3_LOAD | P_CR3_STORE | P_DR | P_IO_ALL | P_MONITOR);
		on(VMCS_PROC2, S_TABLES | S_WBINVD);

		u64 r = go();

		vcheck(t->name, "reason", r, t->reason);
		if (r == t->reason && r == R_EXCEPTION)
			vcheck(t->name, "event", vmx_read(VMCS_EXIT_EVENT), t->event);
		if (r == t->reason)
			vcheck(t->name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)t->s->at);
	}
	u64 *list = page_alloc();

	base(&p_vmfunc);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	list[0] = vmx_read(VMCS_EPTP);
	on(VMCS_PROC2, S_VMFUNC);
	vmx_write(VMCS_VMFUNC, 1);
	vmx_write(VMCS_EPTP_LIST, (u64)list);
	stays(REQ("sdm30.22") "VMFUNC at CPL 3", &p_vmfunc);
}
