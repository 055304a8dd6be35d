/*
 * Where the secure loader begins, and what C cannot say. SKINIT leaves EAX = base of the SLB, ESP = its end, flat CS and SS,
 * and the other segments as real mode has them ("SKINIT Operation", step 1): until DS is loaded, data is reached through
 * SS, which ESP as a base does by itself. No address is known but by EAX.
 */
#include "agree.h"

#define OFFSET(x) (x - start + 8)	/* the image begins with its header: loader.ld */

	.section .start, "ax"
	.code32
	.align 8
start:
	.globl entry
entry:
	mov %eax, %ebx			/* the SLB, for good */
	lea AT_STACK_TOP(%ebx), %esp	/* the block's end belongs to the DEV table */
	call load_gdt
	push %ebx
	call loader_main		/* returns where the driver goes on, or 0 */
	test %eax, %eax
	jz 1f
	jmp *%eax
1:	hlt				/* with GIF 0 nothing but a reset ends this */
	jmp 1b

/* Descriptors of our own, in measured memory, and all segments from them. EBX: the SLB. */
load_gdt:
	lea OFFSET(gdt)(%ebx), %ecx
	push %ecx
	pushw $23			/* limit */
	lgdt (%esp)
	add $6, %esp
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %fs
	mov %ecx, %gs
	mov %ecx, %ss
	pop %ecx
	push $0x08
	push %ecx
	lret

	.align 8
	.globl gdt
gdt:	.quad 0
	.quad 0x00cf9b000000ffff	/* 08: code, 4 GiB */
	.quad 0x00cf93000000ffff	/* 10: data, 4 GiB */

/* ---- the other processors: "AP Startup Sequence" ---- */

/* Copied to AP_PAGE, real mode, with CS pointing at it; the four numbers are filled in there. */
	.code16
	.globl ap_code, ap_code_end, ap_gdt_limit, ap_gdt_base, ap_slb, ap_target
ap_code:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl ap_gdt_limit - ap_code
	movl ap_slb - ap_code, %ebx
	mov %cr0, %eax
	and $0x9fffffff, %eax		/* caches on */
	or $1, %eax
	mov %eax, %cr0
	ljmpl *(ap_target - ap_code)
	.align 4
ap_gdt_limit:	.word 0
ap_gdt_base:	.long 0
ap_slb:		.long 0
ap_target:	.long 0
		.word 0x08
ap_code_end:

	.code32
	.globl ap_entry
ap_entry:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov %eax, %ss
	mov $1, %eax			/* a number and a stack for each */
	lock xadd %eax, OFFSET(ap_tickets)(%ebx)
	cmp $AP_MAX, %eax
	jae 1f
	mov %eax, %ecx
	inc %ecx
	imul $AP_STACK, %ecx
	lea AT_STACKS(%ebx,%ecx), %esp
	push %eax
	call other_main
1:	cli
	hlt
	jmp 1b

	.align 4
ap_tickets:	.long 0

/* ---- interrupts: NMIs are counted, by processor; anything else is an error of ours ---- */

	.globl nmi_count, stub_nmi, stub_other, load_idt
stub_nmi:
	push %eax
	push %edx
	mov 0xfee00020, %eax		/* the local APIC's id */
	shr $24, %eax
	and $63, %eax
	call 1f
1:	pop %edx
	lock incl nmi_count - 1b(%edx,%eax,4)
	pop %edx
	pop %eax
	iret
stub_other:
	call unexpected
load_idt:				/* (address, limit) */
	mov 4(%esp), %eax
	mov 8(%esp), %ecx
	push %eax
	pushw %cx
	lidt (%esp)
	add $6, %esp
	ret
	.align 4
nmi_count:	.fill 64, 4, 0

/* ---- the world switch: VMRUN keeps EAX, ESP, EIP, EFLAGS; the other six are ours to exchange ---- */

	.globl enter_guest
enter_guest:				/* (VMCB, EBX ECX EDX ESI EDI EBP) */
	push %ebp
	push %ebx
	push %esi
	push %edi
	mov 20(%esp), %eax
	mov 24(%esp), %ebp
	push %ebp
	mov 0(%ebp), %ebx
	mov 4(%ebp), %ecx
	mov 8(%ebp), %edx
	mov 12(%ebp), %esi
	mov 16(%ebp), %edi
	mov 20(%ebp), %ebp
	vmrun %eax			/* GIF becomes 1 in the guest and 0 with the exit */
	xchg %ebp, (%esp)
	mov %ebx, 0(%ebp)
	mov %ecx, 4(%ebp)
	mov %edx, 8(%ebp)
	mov %esi, 12(%ebp)
	mov %edi, 16(%ebp)
	pop %eax
	mov %eax, 20(%ebp)
	pop %edi
	pop %esi
	pop %ebx
	pop %ebp
	ret
