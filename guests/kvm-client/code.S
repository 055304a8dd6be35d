/* The code that kvm-client's virtual machines run, position-independent within each block: name_start .. name_end. */
	.macro BLOCK name
	.globl \name\()_start
\name\()_start:
	.endm
	.macro BLOCK_END name
	.globl \name\()_end
\name\()_end:
	.endm

	.section .rodata
	.code16
/* Real mode at 1000h: add two numbers, tell port 3F8h, stop. */
BLOCK real
	mov $0x3f8, %dx
	mov $40, %al
	add $2, %al
	out %al, %dx
	in %dx, %al
	add $1, %al
	out %al, %dx
	hlt
BLOCK_END real

/* Real mode, string I/O: OUTSB eight bytes from 2000h, INSB them back to 2100h, checksum out. */
BLOCK string
	cld
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov $0x3f9, %dx
	mov $0x2000, %si
	mov $8, %cx
	rep outsb
	mov $0x2100, %di
	mov $8, %cx
	rep insb
	xor %bx, %bx
	mov $0x2100, %si
	mov $8, %cx
1:	lodsb
	add %al, %bl
	loop 1b
	mov %bl, %al
	mov $0x3f8, %dx
	out %al, %dx
	hlt
BLOCK_END string

/* Real mode: the interrupt handler of vector 20h (IVT at 80h set by us) writes its number; the main line waits in HLT. */
BLOCK intr
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x3000, %sp
	movw $(intr_handler - intr_start + 0x1000), 0x80
	movw $0, 0x82
	sti
	hlt
	mov $0x3f8, %dx
	mov $0x55, %al
	out %al, %dx
	cli
	hlt
intr_handler:
	push %dx
	push %ax
	mov $0x3f8, %dx
	mov $0x20, %al
	out %al, %dx
	pop %ax
	pop %dx
	iret
BLOCK_END intr

	.code32
/* Protected mode, flat, paging off: read and write MMIO at 10000000h. */
BLOCK mmio
	mov $0x10000000, %ebx
	movl $0x12345678, (%ebx)
	mov 4(%ebx), %eax
	movzwl 8(%ebx), %ecx
	add %ecx, %eax
	movb %al, 12(%ebx)
	mov $0x3f8, %edx
	out %eax, %dx
	hlt
BLOCK_END mmio

/* Protected mode with 32-bit paging (CR3 and tables set by the client): the page at 400000h maps to 5000h. */
BLOCK paged
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	movl $0xcafe1234, 0x400010
	mov 0x5010, %eax
	mov $0x3f8, %edx
	out %eax, %dx
	mov %cr3, %eax
	mov %eax, %cr3
	invlpg 0x400000
	mov %cr2, %eax
	hlt
BLOCK_END paged

/* An empty IDT and an undefined instruction: a triple fault. */
BLOCK triple
	ud2
	hlt
BLOCK_END triple

	.code64
/* Long mode: CPUID, RDMSR of EFER, a page touched in each of four pages from 200000h on, sum in RAX to port 3F8h. */
BLOCK longm
	mov $0x80000000, %eax
	cpuid
	mov $0xc0000080, %ecx
	rdmsr
	mov $0x3f8, %edx
	out %eax, %dx
	mov $0x200000, %rdi
	mov $4, %ecx
1:	mov %rdi, (%rdi)
	add $0x1000, %rdi
	dec %ecx
	jnz 1b
	movabs $0x123456789abcdef0, %rax
	mov %rax, %cr2
	xor %eax, %eax
	mov %cr2, %rax
	shr $32, %rax
	out %eax, %dx
	movaps %xmm0, %xmm1
	movq %xmm0, %rax
	out %eax, %dx
	hlt
BLOCK_END longm

/* Long mode: count to 100,000 in a loop, report, for a share of guest instructions worth counting. */
BLOCK loopm
	mov $100000, %ecx
	xor %eax, %eax
1:	add %ecx, %eax
	dec %ecx
	jnz 1b
	mov $0x3f8, %edx
	out %eax, %dx
	hlt
BLOCK_END loopm
	.section .note.GNU-stack, "", @progbits
