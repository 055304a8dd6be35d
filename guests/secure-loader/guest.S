/*
 * What the loader measures and runs: a guest of 64 KiB, entered at 1000h in flat 32-bit protected mode. It says hello,
 * and then tries what it must not be able to do: reach the registers of DEV, and memory that is not its own.
 */
	.code32
	.text
	.globl _start
_start:
	mov $text, %esi
1:	lodsb
	test %al, %al
	jz 2f
	out %al, $0x20			/* the loader prints what comes here */
	jmp 1b

2:	mov $0x8000c3f4, %eax		/* DEV_OP, had it the configuration ports */
	mov $0xcf8, %edx
	out %eax, %dx
	mov $0xcfc, %edx
	in %dx, %eax
	mov %eax, %ebx

	mov 0x20000, %ecx		/* beyond its 64 KiB */

	mov $0x600d, %eax		/* done */
	vmmcall
	ud2

text:	.asciz "guest:  hello from a measured guest\n"
