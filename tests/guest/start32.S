/* Start-up of the 32-bit guests: PVH entry, which already is flat protected mode. */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.section .start, "ax"
	.code32
	.globl start32
start32:
	cli
	cld
	mov $boot_stack_top, %esp
	mov %cr0, %eax
	and $~0x6000000c, %eax
	or $0x33, %eax			/* PE, MP, NE */
	mov %eax, %cr0
	mov $0x600, %eax
	mov %eax, %cr4
	fninit
	call lib_init
	lgdt gdt_pointer
	ljmp $0x08, $1f
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov %eax, %ss
	mov $0x18, %eax
	ltr %ax
	lidt idt_pointer
	call main
	push %eax
	call guest_end

	.globl fault_setjmp
fault_setjmp:
	mov %ebx, fault_buffer
	mov %ebp, fault_buffer + 4
	mov %esi, fault_buffer + 8
	mov %edi, fault_buffer + 12
	lea 4(%esp), %eax
	mov %eax, fault_buffer + 16
	mov (%esp), %eax
	mov %eax, fault_buffer + 20
	xor %eax, %eax
	ret

	/* Leave whatever runs and return 1 from fault_setjmp; reached by IRET or by a jump. */
	.globl fault_longjmp
fault_longjmp:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov %eax, %ss
	mov fault_buffer, %ebx
	mov fault_buffer + 4, %ebp
	mov fault_buffer + 8, %esi
	mov fault_buffer + 12, %edi
	mov fault_buffer + 16, %esp
	pushl $2
	popfl
	mov $1, %eax
	jmp *fault_buffer + 20

	.globl stubs
	.align 16
stubs:
	.set n, 0
	.rept 256
	.align 16
	.if n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30
	.else
	push $0
	.endif
	push $n
	jmp common
	.set n, n + 1
	.endr

common:
	push %ds
	push %es
	push %fs
	push %gs
	pusha
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	push %esp
	call lib_exception
	add $4, %esp
	test %eax, %eax
	jz fault_longjmp
	popa
	pop %gs
	pop %fs
	pop %es
	pop %ds
	add $8, %esp
	iret

	.data
	.align 8
	.globl gdt_pointer, idt_pointer
gdt_pointer: .word 128 * 8 - 1
	.long gdt
	.word 0
idt_pointer: .word 256 * 8 - 1
	.long idt
	.bss
	.align 16
	.globl fault_buffer
fault_buffer: .skip 32
	.skip 32768
boot_stack_top:
