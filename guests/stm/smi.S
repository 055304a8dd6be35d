/*
 * The SMM handlers of the default treatment: 16-bit code at SMBASE + 8000h, with segment limits of 4 GiB, so that
 * addresses of 32 bits reach everything. "SMM Handler Execution Environment". They are what firmware would be: the
 * first moves SMBASE to TSEG; the second, which then lies there, puts MSEG together and enables the dual-monitor
 * treatment.
 */
#include "stm.h"

/* Within the segment that SMBASE begins: "SMRAM State Save Map". With --cpu intel,smm-map=amd64 the map is AMD's. */
#define REVISION     0xfefc
#define SAVED_SMBASE 0xfef8
#define AMD_REVISION 0x64	/* bits 15:0 */
#define AMD_SMBASE   0xff00

	/* ICH9: what raised the SMI is cleared, and the next may come. */
	.macro end_of_smi
	mov $SMI_STS, %dx
	mov $SMI_EN_APMC, %eax
	out %eax, %dx
	mov $SMI_EN, %dx
	in %dx, %eax
	or $SMI_EN_EOS, %eax
	out %eax, %dx
	.endm

	.section .rodata
	.code16
	/* Once, at the SMBASE of reset, 30000h, where memory is everybody's. */
	.globl relocate, relocate_end
relocate:
	xor %ax, %ax
	mov %ax, %ds
	mov ORDERS + ORDERS_TARGET, %eax
	mov $SAVED_SMBASE, %bx
	cmpw $AMD_REVISION, %cs:REVISION
	jne 1f
	mov $AMD_SMBASE, %bx
1:	mov %eax, %cs:(%bx)		/* RSM loads it: the next SMI finds its handler at TSEG + 8000h */
	end_of_smi
	rsm
relocate_end:

	.globl handler, handler_end
handler:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	addr32 incl ORDERS + ORDERS_SEEN
	in $APM_CNT, %al
	cmp $COMMAND_INSTALL, %al
	jne 2f

	/* MSEG lies in TSEG, which only SMM can write. */
	cld
	mov ORDERS + ORDERS_SOURCE, %esi
	mov ORDERS + ORDERS_TARGET, %edi
	mov ORDERS + ORDERS_BYTES, %ecx
	addr32 rep movsb
	/* "A write to the IA32_SMM_MONITOR_CTL MSR generates #GP(0) if executed outside of SMM" */
	mov ORDERS + ORDERS_COUNT, %bp
	mov $ORDERS + ORDERS_MSR, %bx
1:	mov (%bx), %ecx
	mov 4(%bx), %eax
	mov 8(%bx), %edx
	wrmsr
	add $12, %bx
	dec %bp
	jnz 1b
2:	end_of_smi
	rsm
handler_end:
