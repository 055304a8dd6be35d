/*
 * A secure start and the way back: secure_start(rax) executes SKINIT from 64-bit mode; the loader behind it writes down how
 * it was started, through SS, which alone is flat, goes back to 64-bit mode, and returns as if from a call. It may lie
 * anywhere: what it needs is at absolute addresses outside.
 */
	.text
	.globl secure_start, loader, loader_end
secure_start:
	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15
	mov %rsp, kept_rsp
	mov %cr0, %rax
	mov %eax, kept_cr0
	mov %cr3, %rax
	mov %eax, kept_cr3
	mov %cr4, %rax
	mov %eax, kept_cr4
	mov $0xc0000080, %ecx
	rdmsr
	mov %eax, kept_efer
	sidt kept_idt
	mov %rdi, %rax
	skinit

	.code32
	.balign 4
loader:	.word loader_entry - loader, 0
	.long 0, 0, 0			/* the test's */
loader_entry:
	mov %eax, %ss:landed
	mov %edx, %ss:landed + 4
	mov %esp, %ss:landed + 8
	or %ebx, %ecx
	or %esi, %ecx
	or %edi, %ecx
	or %ebp, %ecx
	mov %ecx, %ss:landed + 12
	pushf
	pop %ebx
	mov %ebx, %ss:landed + 16
	mov %cr0, %ebx
	mov %ebx, %ss:landed + 20
	mov %cs, %bx
	mov %bx, %ss:landed + 24
	mov %ss, %bx
	mov %bx, %ss:landed + 26
	call 1f
1:	pop %ebx
	sub $(1b - loader), %ebx
	mov %ebx, %ss:landed + 28
	mov $0xc0000080, %ecx
	rdmsr
	mov %eax, %ss:landed + 32
	mov $0xc0010114, %ecx
	rdmsr
	mov %eax, %ss:landed + 36
	lgdt %ss:gdt_pointer
	mov %ss:kept_cr4, %eax
	mov %eax, %cr4
	mov %ss:kept_cr3, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	xor %edx, %edx
	mov %ss:kept_efer, %eax
	wrmsr
	mov %ss:kept_cr0, %eax
	mov %eax, %cr0
	ljmp $0x08, $landed64
loader_end:
	.code64
landed64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	lidt kept_idt
	movb $0x89, gdt + 0x28 + 5	/* not busy */
	mov $0x28, %eax
	ltr %ax
	mov kept_rsp, %rsp
	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
	ret

	/* Another processor: real mode, says that it is there, and sleeps. Copied below 1 MiB. */
	.globl other, other_end
	.code16
other:	lock incl 0x8f00
	cli
1:	hlt
	jmp 1b
other_end:
	.code64

	.bss
	.balign 8
	.globl landed
landed:	.skip 64
kept_rsp: .skip 8
kept_cr0: .skip 4
kept_cr3: .skip 4
kept_cr4: .skip 4
kept_efer: .skip 4
kept_idt: .skip 16
