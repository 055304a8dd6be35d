#include "processors.h"

/* Real mode at 8000h, straight to long mode, then the C function. */
asm(".pushsection .rodata\n .globl ap_code, ap_code_end\n ap_code: .code16\n cli; xor %ax, %ax; mov %ax, %ds\n"
    " mov %cs, 0x8f00; mov %eax, 0x8f04; mov %edx, 0x8f08; pushf; lgdtl 0x8e00; mov 0x8e20, %eax; mov %eax, %cr3; mov "
    "$0x620, %eax; mov %eax, %cr4\n"
    " mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr; mov %cr0, %eax; mov %eax, 0x8f0c; and $0x9fffffff, %eax; "
    "or $0x80010001, %eax; mov %eax, %cr0\n"
    " ljmpl $8, $0x8e80; ap_code_end:\n .code64\n .globl ap64, ap64_end\n"
    "ap64: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov 0x8e28, %rsp; mov 0x8e30, %rax; lidt "
    "0x8e40; jmp *%rax; ap64_end: .popsection\n");
extern u8 ap_code[], ap_code_end[], ap64[], ap64_end[];

void ap_prepare(void (*entry)(void), u64 stack)
{
	u8 *p = (u8 *)AP_PAGE;

	memset(p, 0, 4096);
	memcpy(p, ap_code, (size_t)(ap_code_end - ap_code));
	asm volatile("sgdt %0" : "=m"(*(u8(*)[10])(p + 0xe00)));
	*(u64 *)(p + 0xe20) = read_cr3();
	*(u64 *)(p + 0xe28) = stack;
	*(u64 *)(p + 0xe30) = (u64)entry;
	*(u16 *)(p + 0xe40) = sizeof(idt) - 1;
	*(u64 *)(p + 0xe42) = (u64)idt;
	memcpy(p + 0xe80, ap64, (size_t)(ap64_end - ap64));
}
