/*
 * A boot sector for peers without PVH (Bochs): reads SECTORS sectors behind itself to 10000h, enters protected mode,
 * copies them to 1 MiB and jumps there, as a PVH loader would.
 */
	.code16
	.globl _start
_start:
	ljmp $0, $1f
1:	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x7c00, %sp
	mov %dl, drive
	mov $8, %cx			/* 8 chunks of 64 sectors */
2:	push %cx
	mov $packet, %si
	mov $0x42, %ah
	mov drive, %dl
	int $0x13
	addl $64, packet + 8
	addw $0x800, packet + 6
	pop %cx
	loop 2b
	lgdt gdt_pointer
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmp $8, $3f
	.code32
3:	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	in $0x92, %al
	or $2, %al
	out %al, $0x92
	cld
	mov $0x10000, %esi
	mov $0x100000, %edi
	mov $0x10000, %ecx
	rep movsl
	xor %ebx, %ebx
	mov $0x100000, %eax
	jmp *%eax
	.align 4
packet:	.byte 16, 0
	.word 64, 0, 0x1000
	.quad 1
	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt
drive:	.byte 0
	.org 510
	.word 0xaa55
