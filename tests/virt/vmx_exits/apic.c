/* The virtual APIC. "APIC Virtualization and Virtual Interrupts". */
#include "exits.h"

/* The guest finds the APIC-access page at linear 10000000h: EPT leads there. */
#define ACCESS 0x10000000ull
SNIPPET(a_tpr_write, "mov $0x10000080, %ebx", "movl $0x30, (%rbx)");
SNIPPET(a_real_tpr, "mov $0xfee00080, %ebx; movl $0x20, (%rbx)", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(a_tpr_read, "mov $0x10000080, %ebx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(a_tpr_wide, "mov $0x10000080, %ebx", "mov (%rbx), %rax");
SNIPPET(a_id_read, "mov $0x10000020, %ebx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(a_timer_read, "mov $0x10000390, %ebx", "mov (%rbx), %eax");
SNIPPET(a_svr_write, "mov $0x100000f0, %ebx", "movl $0x1ff, (%rbx)");
SNIPPET(a_eoi, "mov $0x100000b0, %ebx", "movl $0, (%rbx)");
SNIPPET(a_icr, "mov $0x10000300, %ebx", "movl $0x40055, (%rbx)");
SNIPPET(a_icr_other, "mov $0x10000300, %ebx", "movl $0x00055, (%rbx)");
SNIPPET(a_icr_byte, "mov $0x10000301, %ebx", "movb $1, (%rbx)");
SNIPPET(a_eoi_byte, "mov $0x100000b2, %ebx", "movb $0, (%rbx)");
SNIPPET(a_fetch, "mov $0x10000080, %ebx", "jmp *%rbx");
SNIPPET(a_cr8_write, "mov $2, %eax", "mov %rax, %cr8");
SNIPPET(a_cr8_read, "mov %cr8, %rax", "mov %rax, seen");
SNIPPET(a_sti, "sti; nop; nop; nop", "cli");
SNIPPET(a_wait, "sti", "hlt; cli");
SNIPPET(x_tpr_read, "mov $0x808, %ecx", "rdmsr; mov %rax, seen");
SNIPPET(x_tpr_write, "mov $0x808, %ecx; mov $0x40, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(x_tpr_bad, "mov $0x808, %ecx; mov $0x140, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(x_self, "mov $0x83f, %ecx; mov $0x55, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(x_version, "mov $0x803, %ecx", "rdmsr; mov %rax, seen");


static u32 *vapic;
extern u64 irq_count; /* events.c's handler of vector 55h counts */

static void apic_base(const struct snippet *s, u32 proc2)
{
	u64 page = (u64)page_alloc();

	base(s);
	vapic = page_alloc();
	on(VMCS_PROC, P_TPR);
	on(VMCS_PROC2, proc2);
	if (proc2 & S_DELIVERY)
		on(VMCS_PIN, PIN_EXT);
	vmx_write(VMCS_VAPIC, (u64)vapic);
	vmx_write(VMCS_APIC_ACCESS, page);
	/* 2 MiB page to 4 KiB pages: the first one is the APIC-access page */
	u64 *table = page_alloc();

	for (u64 n = 0; n < 512; n++)
		table[n] = (n ? ACCESS + n * 4096 : page) | 7 | 6 << 3;
	*vmx_ept_entry(ACCESS) = (u64)table | 7;
}

static u32 *reg(u32 offset)
{
	return vapic + offset / 4;
}

static void access_exit(const char *name, const struct snippet *s, u32 proc2, u64 qualification)
{
	apic_base(s, proc2);
	vcheck(name, "APIC-access exit", go(), R_APIC_ACCESS);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
}

static void test_access(void)
{
	apic_base(&a_tpr_write, S_APIC);
	off(VMCS_PROC, P_TPR);
	vcheck("no TPR shadow", "APIC-access exit", go(), R_APIC_ACCESS);
	vcheck("no TPR shadow", "write at 80h", vmx_read(VMCS_QUALIFICATION), 0x1080);
	apic_base(&a_tpr_write, S_APIC);
	stays(REQ("vmx04.2.5.9.7.now") "TPR write", &a_tpr_write);
	check("TPR write: in the virtual-APIC page", *reg(0x80), 0x30);
	apic_base(&a_tpr_read, S_APIC);
	*reg(0x80) = 0x70;
	stays("TPR read", &a_tpr_read);
	check("TPR read: from the virtual-APIC page", seen[0], 0x70);
	access_exit("TPR read of 64 bits", &a_tpr_wide, S_APIC, 0x0080);
	access_exit("fetch", &a_fetch, S_APIC, 0x2080);
	access_exit("ID read, no register virtualization", &a_id_read, S_APIC, 0x0020);
	access_exit("current count read", &a_timer_read, S_APIC | S_REGISTERS, 0x0390);
	apic_base(&a_id_read, S_APIC | S_REGISTERS);
	*reg(0x20) = 0x5000000;
	stays("ID read", &a_id_read);
	check("ID read: from the page", seen[0], 0x5000000);
	apic_base(&a_svr_write, S_APIC | S_REGISTERS);
	check("SVR write: APIC-write exit", go(), R_APIC_WRITE);
	check("SVR write: offset", vmx_read(VMCS_QUALIFICATION), 0xf0);
	check("SVR write: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)a_svr_write.next);
	check("SVR write: written", *reg(0xf0), 0x1ff);
	apic_base(&a_svr_write, 0);
	stays("no APIC-access page", &a_svr_write);
	apic_base(&a_real_tpr, 0); /* the TPR shadow alone is for CR8 */
	*reg(0x80) = 0x70;
	stays("TPR of the local APIC", &a_real_tpr);
	check(REQ("vmx04.2.5.9.7.now") "TPR of the local APIC: read", seen[0], 0x20);
	check("TPR of the local APIC: written", mmio_read(0xfee00080), 0x20);
	check("TPR of the local APIC: the virtual-APIC page stays", *reg(0x80), 0x70);
	mmio_write(0xfee00080, 0);
}

static void test_threshold(void)
{
	apic_base(&a_tpr_write, S_APIC);
	*reg(0x80) = 0x50;
	vmx_write(VMCS_TPR_THRESHOLD, 4);
	check("TPR threshold: exits below it", go(), R_TPR);
	check("TPR threshold: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)a_tpr_write.next);
	apic_base(&a_tpr_write, S_APIC);
	*reg(0x80) = 0x50;
	vmx_write(VMCS_TPR_THRESHOLD, 3);
	stays("TPR threshold, reached", &a_tpr_write);
	apic_base(&a_tpr_write, S_APIC);
	vmx_write(VMCS_TPR_THRESHOLD, 4);
	check("TPR threshold at entry: exits", go(), R_TPR);
	check("TPR threshold at entry: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)a_tpr_write.entry);
	apic_base(&a_cr8_write, 0);
	*reg(0x80) = 0x50;
	vmx_write(VMCS_TPR_THRESHOLD, 3);
	check("CR8 below the threshold: exits", go(), R_TPR);
	check("CR8 below the threshold: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)a_cr8_write.next);
	check("CR8: the page", *reg(0x80), 0x20);
	apic_base(&a_cr8_read, 0);
	*reg(0x80) = 0x90;
	stays("CR8 read", &a_cr8_read);
	check("CR8 read: from the page", seen[0], 9);
}

static void request(unsigned vector)
{
	*reg(0x200 + vector / 32 * 16) |= 1u << (vector & 31);
	vmx_write(VMCS_INT_STATUS, vector);
}

static void test_delivery(void)
{
	u64 count;

	apic_base(&a_sti, S_APIC | S_REGISTERS | S_DELIVERY);
	request(0x55);
	count = irq_count;
	stays("virtual interrupt", &a_sti);
	check("virtual interrupt: delivered", irq_count, count + 1);
	check("virtual interrupt: in service (the handler's EOI went to the real APIC)", vmx_read(VMCS_INT_STATUS), 0x5500);
	check("virtual interrupt: VISR", *reg(0x120), 1 << 21);
	check("virtual interrupt: VIRR", *reg(0x220), 0);
	check("virtual interrupt: VPPR", *reg(0xa0), 0x50);
	apic_base(&a_sti, S_APIC | S_REGISTERS | S_DELIVERY);
	request(0x55);
	*reg(0x80) = 0x50;
	count = irq_count;
	stays("virtual interrupt, masked by TPR", &a_sti);
	check("virtual interrupt, masked by TPR: not delivered", irq_count, count);
	apic_base(&a_eoi, S_APIC | S_REGISTERS | S_DELIVERY);
	vmx_write(VMCS_INT_STATUS, 0x5500);
	*reg(0x120) = 1 << 21;
	stays("EOI", &a_eoi);
	check("EOI: nothing in service", vmx_read(VMCS_INT_STATUS), 0);
	check("EOI: VISR", *reg(0x120), 0);
	apic_base(&a_eoi, S_APIC | S_REGISTERS | S_DELIVERY);
	vmx_write(VMCS_INT_STATUS, 0x5500);
	*reg(0x120) = 1 << 21;
	vmx_write(VMCS_EOI0 + 2, 1 << 21);
	check("EOI with its bit in the bitmap: exits", go(), R_EOI);
	check("EOI with its bit in the bitmap: vector", vmx_read(VMCS_QUALIFICATION), 0x55);
	check("EOI with its bit in the bitmap: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)a_eoi.next);
	apic_base(&a_eoi, S_APIC | S_REGISTERS);
	check("EOI without delivery: APIC-write exit", go(), R_APIC_WRITE);
	apic_base(&a_icr, S_APIC | S_REGISTERS | S_DELIVERY);
	stays("self-IPI", &a_icr);
	check("self-IPI: requested", vmx_read(VMCS_INT_STATUS), 0x55);
	apic_base(&a_icr_other, S_APIC | S_REGISTERS | S_DELIVERY);
	check("IPI to another: APIC-write exit", go(), R_APIC_WRITE);
	check("IPI to another: offset", vmx_read(VMCS_QUALIFICATION), 0x300);
	/* "Exit Qualification for APIC-Write": the page offset of the write */
	apic_base(&a_icr_byte, S_APIC | S_REGISTERS | S_DELIVERY);
	check("a byte of the ICR: APIC-write exit", go(), R_APIC_WRITE);
	check("a byte of the ICR: offset", vmx_read(VMCS_QUALIFICATION), 0x301);
	apic_base(&a_eoi_byte, S_APIC | S_REGISTERS);
	check("a byte of EOI without delivery: APIC-write exit", go(), R_APIC_WRITE);
	check("a byte of EOI without delivery: offset", vmx_read(VMCS_QUALIFICATION), 0xb2);
}

static void test_x2apic(void)
{
	apic_base(&x_tpr_read, S_X2APIC);
	off(VMCS_PROC, P_MSR_MAP);
	u64 map = (u64)page_alloc();

	vmx_write(VMCS_MSR_BITMAP, map);
	on(VMCS_PROC, P_MSR_MAP);
	*reg(0x80) = 0x60;
	stays("x2APIC TPR read", &x_tpr_read);
	check("x2APIC TPR read: from the page", seen[0], 0x60);
	apic_base(&x_tpr_write, S_X2APIC);
	vmx_write(VMCS_MSR_BITMAP, map);
	on(VMCS_PROC, P_MSR_MAP);
	stays("x2APIC TPR write", &x_tpr_write);
	check("x2APIC TPR write: to the page", *reg(0x80), 0x40);
	apic_base(&x_tpr_bad, S_X2APIC);
	vmx_write(VMCS_MSR_BITMAP, map);
	on(VMCS_PROC, P_MSR_MAP);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check("x2APIC TPR, reserved bits: #GP", go(), R_EXCEPTION);
	apic_base(&x_version, S_X2APIC | S_REGISTERS);
	vmx_write(VMCS_MSR_BITMAP, map);
	on(VMCS_PROC, P_MSR_MAP);
	*reg(0x30) = 0x12345;
	stays("x2APIC version", &x_version);
	check("x2APIC version: from the page", seen[0], 0x12345);
	apic_base(&x_self, S_X2APIC | S_DELIVERY);
	vmx_write(VMCS_MSR_BITMAP, map);
	on(VMCS_PROC, P_MSR_MAP);
	stays("x2APIC self-IPI", &x_self);
	check("x2APIC self-IPI: requested", vmx_read(VMCS_INT_STATUS), 0x55);
}

static void test_posted(void)
{
	u32 *pid = page_alloc();
	u64 count;

	apic_base(&a_sti, S_APIC | S_REGISTERS | S_DELIVERY);
	on(VMCS_PIN, PIN_POSTED);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	vmx_write(VMCS_PI_VECTOR, 0xe2);
	vmx_write(VMCS_PID, (u64)pid);
	pid[0x55 / 32] = 1 << (0x55 & 31);
	pid[8] = 1; /* ON */
	mmio_write(0xfee000f0, 0x1ff);
	mmio_write(0xfee00300, 0x400e2); /* the notification, to ourselves: pending when the guest starts */
	count = irq_count;
	stays("posted interrupt", &a_sti);
	check("posted interrupt: delivered without an exit", irq_count, count + 1);
	check("posted interrupt: outstanding notification cleared", pid[8] & 1, 0);
	check("posted interrupt: PIR cleared", pid[0x55 / 32], 0);
	apic_base(&a_wait, S_APIC | S_REGISTERS | S_DELIVERY);
	off(VMCS_PROC, P_HLT);
	request(0x55);
	count = irq_count;
	check("virtual interrupt wakes from HLT: runs", go(), R_VMCALL);
	check("virtual interrupt wakes from HLT: delivered", irq_count, count + 1);
}

SNIPPET(x_spec, "mov $0x48, %ecx; mov $2, %eax; xor %edx, %edx; wrmsr", "rdmsr; mov %rax, seen");

/* "Virtualizing IA32_SPEC_CTRL" */
static void test_spec_ctrl(void)
{
	wrmsr(MSR_SPEC_CTRL, 1);
	apic_base(&x_spec, 0);
	vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
	on(VMCS_PROC, P_TERTIARY | P_MSR_MAP);
	vmx_write(VMCS_PROC3, T_SPEC_CTRL);
	vmx_write(VMCS_SPEC_CTRL_MASK, 1); /* bit 0 is the monitor's */
	vmx_write(VMCS_SPEC_CTRL_SHADOW, 0);
	stays("IA32_SPEC_CTRL", &x_spec);
	check("IA32_SPEC_CTRL: the guest reads what it wrote", seen[0], 2);
	check("IA32_SPEC_CTRL: the masked bit is kept", rdmsr(MSR_SPEC_CTRL), 3);
	wrmsr(MSR_SPEC_CTRL, 0);
}

void test_apic(void)
{
	test_spec_ctrl();
	test_access();
	test_threshold();
	test_delivery();
	test_x2apic();
	test_posted();
}
