/*
 * Start-up of the executive monitor: PVH entry, which is 32-bit protected mode, then paging with memory mapped one to
 * one, in 64-bit mode or in 32-bit protected mode; and the way into its guest and back.
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
	cld
	mov $stack_top, %esp
	mov %ebx, boot_info
	mov $tables, %edi
#ifdef __x86_64__
	lea 0x1003(%edi), %eax		/* PML4, then PDPT, then four page directories of 2 MiB pages */
	mov %eax, (%edi)
	lea 0x2003(%edi), %eax
	mov $0, %ecx
1:	mov %eax, 0x1000(%edi,%ecx,8)
	add $0x1000, %eax
	inc %ecx
	cmp $4, %ecx
	jb 1b
	mov $0x83, %eax
	mov $0, %ecx
2:	mov %eax, 0x2000(%edi,%ecx,8)
	add $0x200000, %eax
	inc %ecx
	cmp $2048, %ecx
	jb 2b
#else
	mov $0x83, %eax			/* a page directory of 4 MiB pages */
	mov $0, %ecx
1:	mov %eax, (%edi,%ecx,4)
	add $0x400000, %eax
	inc %ecx
	cmp $1024, %ecx
	jb 1b
#endif
	mov $tables, %eax
	mov %eax, %cr3
#ifdef __x86_64__
	mov $0x20, %eax			/* CR4.PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx
	mov $0x100, %eax		/* EFER.LME */
	xor %edx, %edx
	wrmsr
#else
	mov $0x10, %eax			/* CR4.PSE */
	mov %eax, %cr4
#endif
	mov $0x80000033, %eax		/* PG, NE, ET, MP, PE; caches on */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x08, $1f
#ifdef __x86_64__
	.code64
#endif
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	call main
	mov %eax, %ebx
	test %eax, %eax
	jz 2f
	mov $0xf4, %edx			/* isa-debug-exit */
	out %eax, %dx
2:	mov $0x604, %edx		/* PM1a_CNT: S5 */
	mov $0x3400, %eax
	out %ax, %dx
3:	cli
	hlt
	jmp 3b

	/*
	 * enum outcome enter(void): VMLAUNCH of the current VMCS, whose host is filled in but for the stack and where
	 * to go on. 0 behind a VM exit.
	 */
	.globl enter
#ifdef __x86_64__
enter:	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
	mov $0x6c14, %eax		/* host RSP */
	vmwrite %rsp, %rax
	lea 1f(%rip), %rdx
	mov $0x6c16, %eax		/* host RIP */
	vmwrite %rdx, %rax
	vmlaunch
	setz %al
	inc %al				/* FAIL_INVALID, FAIL_VALID */
	movzbl %al, %eax
	jmp 2f
1:	xor %eax, %eax
2:	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
	ret
#else
enter:	push %ebx; push %ebp; push %esi; push %edi
	mov $0x6c14, %eax
	vmwrite %esp, %eax
	mov $1f, %edx
	mov $0x6c16, %eax
	vmwrite %edx, %eax
	vmlaunch
	setz %al
	inc %al
	movzbl %al, %eax
	jmp 2f
1:	xor %eax, %eax
2:	pop %edi; pop %esi; pop %ebp; pop %ebx
	ret
#endif

	.data
	.align 8
	.globl gdt
gdt:	.quad 0
#ifdef __x86_64__
	.quad 0x00af9b000000ffff	/* 08: code */
#else
	.quad 0x00cf9b000000ffff
#endif
	.quad 0x00cf93000000ffff	/* 10: data */
	.quad 0x0000890000000067, 0	/* 18: TSS; nobody loads it from here */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt, 0
	.globl boot_info
boot_info: .long 0

	.bss
	.align 4096
tables:	.skip 6 * 4096
	.skip 16384
stack_top:
