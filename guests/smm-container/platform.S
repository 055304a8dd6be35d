/*
 * The platform's SMM handler, as firmware would leave it in SMRAM: 16-bit code at 8000h behind its SMBASE. It does what the
 * platform needs: the SMI's status is cleared, the next one let through, the command answered. And it does what nobody wants:
 * it writes where a caller tells it to, opens SMRAM to everybody, moves it, and traps ports.
 */
#include "container.h"

	.section .rodata
	.globl platform_handler, platform_handler_end
	.code16
platform_handler:
	mov %cs, %ax
	movzwl %ax, %ebp
	shl $4, %ebp				/* SMBASE: the state-save area ends at 10000h behind it */
	addr32 incl PLATFORM_COUNT
	addr32 movw PLATFORM_PORT, %dx		/* SMI_STS */
	mov $SMI_APM, %eax
	out %eax, %dx
	sub $4, %dx				/* SMI_EN */
	in %dx, %eax
	or $SMI_EOS, %eax
	out %eax, %dx
	addr32 cmpl $PLATFORM_CALL, SAVED_RCX(%ebp)
	jne 1f					/* another processor's SMI: it came to all of them */
	addr32 movl SAVED_RAX(%ebp), %eax	/* the command */
	out %al, $APM_STATUS

	addr32 movl SAVED_RSI(%ebp), %esi	/* "please fill in this buffer" */
	addr32 movl (%esi), %ebx
	addr32 movl $PLATFORM_WRITES, (%esi)
	addr32 movl %ebx, SAVED_RBX(%ebp)
	mov $CONFIG_SMRAM, %eax			/* the host bridge's register that opens SMRAM */
	mov $0xcf8, %dx
	out %eax, %dx
	mov $MSR_SMM_ADDR_, %ecx		/* where the other protected area is */
	mov $0x40000, %eax
	xor %edx, %edx
	wrmsr
	mov $MSR_IO_TRAP0_, %ecx
	wrmsr

	addr32 movzbl SAVED_RAX(%ebp), %eax
	or $PLATFORM_ANSWER, %eax
	addr32 movl %eax, SAVED_RAX(%ebp)
1:	rsm
platform_handler_end:
