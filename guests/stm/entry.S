/*
 * Where the SMM-transfer monitor begins: the MSEG header, its descriptors, the way in at activation, the way in at
 * every SMM VM exit behind that, and the way back to whatever ran before, which is a VM entry. Assembled for 64-bit
 * mode and for 32-bit protected mode with paging. "Enabling the Dual-Monitor Treatment", "Activating the Dual-Monitor
 * Treatment".
 */
#include "stm.h"

	.section .header, "a"
	.globl mseg
mseg:	.long 0				/* revision identifier: of the processor, who puts MSEG together fills it in */
#ifdef __x86_64__
	.long 1				/* features: the STM begins in IA-32e mode */
#else
	.long 0
#endif
	.long gdt_end - gdt - 1, gdt - mseg
	.long CODE_SELECTOR
	.long activated - mseg, MSEG_STACK_TOP, MSEG_TABLES

	.data
	.align 8
	.globl gdt
gdt:	.quad 0
#ifdef __x86_64__
	.quad 0x00af9b000000ffff	/* CODE_SELECTOR */
#else
	.quad 0x00cf9b000000ffff
#endif
	.quad 0x00cf93000000ffff	/* DATA_SELECTOR */
	.quad 0x0000890000000067, 0	/* TASK_SELECTOR: VM exits load TR from the VMCS and never look here */
gdt_end:

	/* The general registers are those of whoever was interrupted, RSP apart: struct registers. */
#ifdef __x86_64__
	.macro save
	push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8
	push %rax; push %rcx; push %rdx; push %rbx; push %rsp; push %rbp; push %rsi; push %rdi
	mov %rsp, %rdi
	cld
	.endm
	.macro restore
	pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rbx; pop %rdx; pop %rcx; pop %rax
	pop %r8; pop %r9; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14; pop %r15
	.endm
#else
	.macro save
	pusha
	mov %esp, %eax			/* the first argument is in a register: -mregparm=1 */
	cld
	.endm
	.macro restore
	popa
	.endm
#endif

	.text
activated:
	save
	call monitor_activated
	restore
	vmlaunch			/* the SMM-transfer VMCS was clear: "Initial Checks" */
	call monitor_stuck

	.globl smm_exit
smm_exit:
	save
	call monitor_exit
	restore
	vmresume
	call monitor_stuck

	.globl fault
fault:	call monitor_fault
