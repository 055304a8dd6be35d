#include "comeback.h"

volatile struct arrival arrival;
u32 failed;
u64 comeback_rsp;
struct {
	u16 limit;
	u64 base;
} __attribute__((packed)) comeback_idt;

asm(".pushsection .text\n"
    ".globl leave_by\n"
    "leave_by: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq\n"
    "mov %rsp, comeback_rsp; sidt comeback_idt; call *%rdi; 1: hlt; jmp 1b\n"

    /* real mode, wherever CS points; low memory only until there is paging */
    ".globl comeback16, comeback16_end\n"
    ".code16\n"
    "comeback16: cli; mov %cs, %ax; mov %ss, %bx; mov %sp, %cx; pushf; pop %dx; mov %cr0, %edi\n"
    "xor %si, %si; mov %si, %ds; lgdtl 0x7f00; mov 0x7f08, %esi; mov %esi, %cr3; mov $0x620, %esi; mov %esi, %cr4\n"
    "mov %bx, %si; shl $16, %esi; mov %ax, %si; mov %esi, %ebp; mov %dx, %si; shl $16, %esi; mov %cx, %si\n"
    "mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr\n"
    "mov %cr0, %eax; and $0x9fffffff, %eax; or $0x80010003, %eax; mov %eax, %cr0; ljmpl $8, $came16\n"
    "comeback16_end:\n"

    ".code32\n"
    ".globl comeback32\n"
    "comeback32: mov %cr0, %edi; mov %cs, %ax; lgdt gdt_pointer; mov $pml4, %esi; mov %esi, %cr3; mov $0x620, %esi; mov "
    "%esi, %cr4\n"
    "mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr\n"
    "mov %cr0, %eax; or $0x80010003, %eax; mov %eax, %cr0; ljmp $8, $came32\n"

    ".code64\n"
    ".globl comeback64\n"
    "comeback64: mov %cr0, %rdi; mov comeback_rsp, %rsp; lgdt gdt_pointer; mov $pml4, %esi; mov %rsi, %cr3\n"
    "mov $64, %eax; push $8; push $came; lretq\n"
    "came16: mov %esi, arrival + 4; mov %ebp, arrival; mov $16, %eax; jmp came\n"
    "came32: mov $32, %eax\n"
    "came: mov %eax, arrival + 12; mov %edi, arrival + 8\n"
    "mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs; mov %eax, %gs\n"
    "mov $0x620, %eax; mov %rax, %cr4; mov comeback_rsp, %rsp; lidt comeback_idt\n"
    "popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");
extern u8 comeback16[], comeback16_end[];
extern u8 gdt_pointer[];

void comeback_prepare(void)
{
	memcpy(at(COMEBACK), comeback16, (size_t)(comeback16_end - comeback16));
	memcpy(at(0x7f00), gdt_pointer, 6);
	*(u32 *)at(0x7f08) = (u32)(u64)pml4;
}

void come_back_by(u8 how, u32 pointer)
{
	*(volatile u32 *)at(0x467) = pointer;
	set_cmos(0x0f, how);
}

/* ---- ways to reset the processor ---- */

enum { APIC = 0xfee00000 };

void by_keyboard(void)
{
	outb(0x64, 0xfe);
}

void by_port_92(void)
{
	outb(0x92, (u8)(inb(0x92) & ~1));
	outb(0x92, inb(0x92) | 1);
}

void by_reset_control(void)
{
	outb(0xcf9, 0);
	outb(0xcf9, 4);
}

void by_init_message(void)
{
	mmio_write(APIC + 0x310, mmio_read(APIC + 0x20));
	mmio_write(APIC + 0x300, 0x4500);
}

void by_triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0};

	asm volatile("lidt %0; int3" ::"m"(none));
}

/* ---- the northbridge: DEV_OP and DEV_DATA of the capability block at F0h of 00:18.3 ---- */

static void config(u32 reg)
{
	outl(0xcf8, 0x8000c300 | reg);
}

static bool select_dev_cr(void)
{
	config(0xf0);
	if ((inl(0xcfc) & 0xff) != 0x0f)
		return false;
	config(0xf4);
	outl(0xcfc, 4 << 8);
	config(0xf8);
	return true;
}

u32 dev_cr(void)
{
	return select_dev_cr() ? inl(0xcfc) : 0;
}

bool dev_cr_set(u32 bits)
{
	if (!select_dev_cr())
		return false;
	outl(0xcfc, inl(0xcfc) | bits);
	return true;
}

bool keep_memory(void)
{
	return dev_cr_set(2);
}

void by_sleep(void)
{
	enum { PM1 = 0x600, PM1_EN = 0x602, PM1_CNT = 0x604, SCI_EN = 1, RTC_EN = 0x400, SLP_S3 = 1 << 10, SLP_EN = 1 << 13 };
	u8 second = cmos(0), next = (u8)((second >> 4) * 10 + (second & 15) + 2) % 60;

	set_cmos(1, (u8)(next / 10 << 4 | next % 10));
	set_cmos(3, 0xff);
	set_cmos(5, 0xff);
	cmos(0x0c);
	set_cmos(0x0b, cmos(0x0b) | 0x20);
	outw(PM1, 0xffff);
	outw(PM1_EN, RTC_EN);
	outw(PM1_CNT, SCI_EN | SLP_S3);
	outw(PM1_CNT, SCI_EN | SLP_S3 | SLP_EN);
}
