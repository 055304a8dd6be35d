/*
 * The integer loop and the memory loop, position-independent, so that the same bytes run in a program and in a virtual
 * machine that a program makes.
 *
 * u64 integer_loop(u64 n): arithmetic, a rotate, a data-dependent branch; 10 instructions an iteration, none touches memory.
 * u64 memory_loop(u64 rounds, u64 *data): loads, stores and read-modify-write over MEMORY_WORDS words.
 */
#include "loads.h"

	.text
	.globl loops_begin, integer_loop, memory_loop, loops_end
	.align 64
loops_begin:
integer_loop:
	mov $1, %eax
	movabs $0x9e3779b97f4a7c15, %rcx
	xor %esi, %esi
1:	lea (%rax,%rcx), %rdx
	rol $7, %rdx
	xor %rdx, %rcx
	add $3, %rax
	test $8, %dl
	jz 2f
	sub %rcx, %rsi
2:	add %rdx, %rsi
	dec %rdi
	jnz 1b
	mov %rsi, %rax
	ret

	.align 64
memory_loop:
	xor %ecx, %ecx
1:	mov (%rsi,%rcx,8), %rax
	add 8(%rsi,%rcx,8), %rax
	mov %rax, 8(%rsi,%rcx,8)
	addl $5, (%rsi,%rcx,8)
	add $2, %rcx
	cmp $MEMORY_WORDS, %rcx
	jb 1b
	dec %rdi
	jnz memory_loop
	ret
loops_end:
	.section .note.GNU-stack, "", @progbits
