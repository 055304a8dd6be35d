/*
 * Shared start-up: PVH entry (32-bit protected mode, flat, paging off) to 64-bit long mode with the first 4 GiB mapped
 * one to one by 2 MiB pages, interrupts off, an IDT whose entries lead to guest_exception(), and a call to main().
 * main's return value becomes the exit: 0 powers off, anything else goes to the debug-exit port.
 */
	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.section .start, "ax"
	.code32
	.globl start32
start32:
	cli
	mov $stack_top, %esp
	mov %ebx, boot_info

	/* page tables: pml4 -> pdpt -> 4 page directories of 2 MiB pages */
	mov $pdpt + 3, %eax
	mov %eax, pml4
	mov $pds + 3, %eax
	mov $pdpt, %edi
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $8, %edi
	add $4096, %eax
	loop 1b
	mov $pds, %edi
	mov $0x83, %eax
	mov $2048, %ecx
2:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 2b

	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax			/* LME, NXE */
	wrmsr
	mov %cr0, %eax
	and $~0x6000000c, %eax		/* caches on; no EM, no TS */
	or $0x80010003, %eax		/* PG, WP, MP, PE */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $start64

	.code64
start64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $0x28, %eax
	lea tss(%rip), %rbx		/* the TSS descriptor's base */
	mov %bx, gdt + 0x28 + 2
	shr $16, %rbx
	mov %bl, gdt + 0x28 + 4
	mov %bh, gdt + 0x28 + 7
	ltr %ax
	call guest_init
	call main
	mov %eax, %edi
	call guest_end

	.globl fault_setjmp
fault_setjmp:
	mov %rbx, fault_buffer
	mov %rbp, fault_buffer + 8
	mov %r12, fault_buffer + 16
	mov %r13, fault_buffer + 24
	mov %r14, fault_buffer + 32
	mov %r15, fault_buffer + 40
	lea 8(%rsp), %rax
	mov %rax, fault_buffer + 48
	mov (%rsp), %rax
	mov %rax, fault_buffer + 56
	xor %eax, %eax
	ret

	/* One 16-byte stub an exception: push vector (and a zero where no error code comes), join the common path. */
	.globl exception_stubs
	.align 16
exception_stubs:
	.set n, 0
	.rept 256
	.align 16
	.if n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30
	.else
	push $0
	.endif
	push $n
	jmp exception_common
	.set n, n + 1
	.endr

exception_common:
	push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8
	push %rbp; push %rdi; push %rsi; push %rdx; push %rcx; push %rbx; push %rax
	mov %rsp, %rdi
	cld
	call guest_exception
	pop %rax; pop %rbx; pop %rcx; pop %rdx; pop %rsi; pop %rdi; pop %rbp
	pop %r8; pop %r9; pop %r10; pop %r11; pop %r12; pop %r13; pop %r14; pop %r15
	add $16, %rsp
	iretq

	.data
	.align 16
	.globl gdt
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 10: data */
	.quad 0x00cf9b000000ffff	/* 18: 32-bit code */
	.quad 0x00009b000000ffff	/* 20: 16-bit code */
	.quad 0x0000890000000067, 0	/* 28: TSS */
	.quad 0				/* 38: spare */
	.quad 0x00cff3000000ffff	/* 40: user data */
	.quad 0x00affb000000ffff	/* 48: user 64-bit code */
	.quad 0x000093000000ffff	/* 50: 16-bit data */
	.quad 0x00cffb000000ffff	/* 58: user 32-bit code */
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.globl boot_info
boot_info: .long 0

	.bss
	.align 64
	.globl fault_buffer
fault_buffer: .skip 64
	.align 4096
	.globl pml4, pdpt, pds, tss
pml4:	.skip 4096
pdpt:	.skip 4096
pds:	.skip 4 * 4096
tss:	.skip 128
	.skip 65536
	.globl stack_top
stack_top:
