/*
 * What the monitor has of its own in assembler: its SMM handler, a trampoline of a few instructions from 16 to 64 bits, and
 * VMRUN with the guest's registers.
 */
#include "container.h"

	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:				/* it uses no address of its own: a copy lies behind each processor's SMBASE */
	addr32 lgdtl gdt_pointer
	mov $0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	addr32 movl monitor_cr3, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax			/* LME, NXE; SVME is as it was */
	wrmsr
	mov %cr0, %eax
	or $0x80010001, %eax		/* PG, WP, PE */
	mov %eax, %cr0
	ljmpl $0x08, $trampoline64
trampoline_end:

	.text
	.code64
trampoline64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $MSR_SMM_BASE_, %ecx
	rdmsr
	lea MONITOR_STACK(%rax), %rsp
	mov %eax, %edi
	call monitor_smm
	rsm

/* void container_enter(u64 vmcb, struct registers *r): RAX and RSP are the VMCB's. */
	.globl container_enter
container_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rsi
	mov %rdi, %rax
	mov 0x00(%rsi), %rbx
	mov 0x08(%rsi), %rcx
	mov 0x10(%rsi), %rdx
	mov 0x20(%rsi), %rdi
	mov 0x28(%rsi), %rbp
	mov 0x18(%rsi), %rsi
	vmrun
	xchg %rsi, (%rsp)
	mov %rbx, 0x00(%rsi)
	mov %rcx, 0x08(%rsi)
	mov %rdx, 0x10(%rsi)
	mov %rdi, 0x20(%rsi)
	mov %rbp, 0x28(%rsi)
	pop %rax
	mov %rax, 0x18(%rsi)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
