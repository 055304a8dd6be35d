/*
 * AVIC between two processors: the guest on one sends an interrupt, hardware posts it and rings, the guest on the other
 * takes it; neither leaves its guest. "Advanced Virtual Interrupt Controller", doorbell. Run with --smp 2.
 */
#include "svm.h"

#define APIC    0xfee00000ull
#define AP_PAGE 0x8000
enum { EOI = 0xb0, SVR = 0xf0, ISR = 0x100, IRR = 0x200, ICRL = 0x300, ICRH = 0x310 };
#define V_MASKING (1ull << 24)
#define V_AVIC    (1ull << 31)

/* Real mode at 8000h, straight to long mode on the tables of the first processor. */
asm(".pushsection .rodata\n .globl ap_code, ap_code_end\n ap_code: .code16\n cli; xor %ax, %ax; mov %ax, %ds\n"
    " lgdtl 0x8e00; mov 0x8e20, %eax; mov %eax, %cr3; mov $0x620, %eax; mov %eax, %cr4\n"
    " mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr; mov %cr0, %eax; and $0x9fffffff, %eax\n"
    " or $0x80010001, %eax; mov %eax, %cr0; ljmpl $8, $0x8e80; ap_code_end:\n .code64\n .globl ap64, ap64_end\n"
    "ap64: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov 0x8e28, %rsp; mov 0x8e30, %rax\n"
    " lidt 0x8e40; jmp *%rax; ap64_end: .popsection\n");
extern u8 ap_code[], ap_code_end[], ap64[], ap64_end[];
static u8 ap_stack[8192] __attribute__((aligned(16)));

static u64 pages[2], *physical;
static u32 *logical;
static struct vmcb *guests[2];
static volatile u32 in_guest, taken, early, finished, ap_exit;

static bool on_vector(struct regs *r)
{
	(void)r;
	taken++;
	mmio_write(APIC + EOI, 0);
	return true;
}

/* The receiving guest: nothing but a loop with interrupts on. */
static void listen(void)
{
	in_guest = 1;
	asm volatile("sti" ::: "memory");
	while (taken < 3)
		asm volatile("pause" ::: "memory");
	asm volatile("cli; vmmcall" ::: "memory");
}

static void send(u32 high, u32 low, u32 until)
{
	mmio_write(APIC + ICRH, high);
	mmio_write(APIC + ICRL, low);
	for (u32 n = 0; n < 1000000 && taken < until; n++)
		asm volatile("pause" ::: "memory");
}

static void sender(void)
{
	physical[1] |= 1 << 8; /* a host APIC ID has 12 bits: this is nobody's */
	mmio_write(APIC + ICRH, 1 << 24);
	mmio_write(APIC + ICRL, 0x61);
	for (u32 n = 0; n < 20000; n++)
		asm volatile("pause" ::: "memory");
	early = taken;
	physical[1] &= ~(1ull << 8);
	send(1 << 24, 0x61, 1);		    /* physical */
	send(2 << 24, 0x800 | 0x61, 2);	    /* logical, flat */
	send(0, 3 << 18 | 0x61, 3);	    /* all but self */
	asm volatile("vmmcall" ::: "memory");
}

static struct vmcb *avic_guest(void (*entry)(void), unsigned id)
{
	struct vmcb *v = svm_guest(entry, (u64)page_alloc() + 4096 - 8, true);

	v->vintr = V_AVIC | V_MASKING;
	v->tlb_control = 1;
	v->avic_bar = APIC;
	v->avic_page = pages[id];
	v->avic_physical = (u64)physical | 1;
	v->avic_logical = (u64)logical;
	*(u32 *)(pages[id] + 0x20) = id << 24;
	*(u32 *)(pages[id] + 0xe0) = ~0u;
	physical[id] = 1ull << 63 | 1ull << 62 | pages[id] | id;
	logical[id] = 1u << 31 | id;
	return v;
}

static void ap_main(void)
{
	mmio_write(APIC + SVR, 0x1ff);
	svm_enable();
	svm_run(guests[1]);
	ap_exit = (u32)guests[1]->exitcode;
	finished = 1;
	for (;;)
		asm volatile("cli; hlt");
}

static void start_ap(void)
{
	u8 *p = (u8 *)AP_PAGE;

	memset(p, 0, 4096);
	memcpy(p, ap_code, (size_t)(ap_code_end - ap_code));
	*(u16 *)(p + 0xe00) = 0x7f;
	*(u32 *)(p + 0xe02) = (u32)(u64)gdt;
	*(u64 *)(p + 0xe20) = read_cr3();
	*(u64 *)(p + 0xe28) = (u64)(ap_stack + sizeof(ap_stack));
	*(u64 *)(p + 0xe30) = (u64)ap_main;
	*(u16 *)(p + 0xe40) = 0xfff;
	*(u64 *)(p + 0xe42) = (u64)idt;
	memcpy(p + 0xe80, ap64, (size_t)(ap64_end - ap64));
	mmio_write(APIC + ICRH, 1 << 24);
	mmio_write(APIC + ICRL, 0x4500);
	mmio_write(APIC + ICRL, 0x608);
}

int main(void)
{
	if (!svm_enable())
		return 1;
	mmio_write(APIC + SVR, 0x1ff);
	on_exception(0x61, on_vector);
	physical = page_alloc();
	logical = page_alloc();
	pages[0] = (u64)page_alloc();
	pages[1] = (u64)page_alloc();
	guests[1] = avic_guest(listen, 1);
	guests[0] = avic_guest(sender, 0);
	start_ap();
	for (u32 n = 0; n < 10000000 && !in_guest; n++)
		asm volatile("pause" ::: "memory");
	check("the other processor is in its guest", in_guest, 1);
	svm_run(guests[0]);
	for (u32 n = 0; n < 10000000 && !finished; n++)
		asm volatile("pause" ::: "memory");
	check("the sender needed no exit", guests[0]->exitcode, EXIT_VMMCALL);
	check("the receiver needed no exit", ap_exit, EXIT_VMMCALL);
	check("another processor's doorbell is none", early, 0);
	check("every interrupt arrived", taken, 3);
	check("nothing pending", *(u32 *)(pages[1] + IRR + 0x30), 0);
	check("nothing in service", *(u32 *)(pages[1] + ISR + 0x30), 0);
	return guest_verdict();
}
