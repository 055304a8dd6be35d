/*
 * A piece of guest code in assembler text: what sets it up, the instruction in question, and behind both the call that leaves
 * the guest, VMCALL or VMMCALL. It exits at the instruction if that exits, else by the call. What assemblers refuse, as LOCK
 * where it may not stand, is the prefix by .byte before the instruction.
 */
#ifndef SNIPPET_H
#define SNIPPET_H

struct snippet {
	char *entry, *at, *next; /* the first instruction, the one in question, the call */
};
#define SNIPPET_ENDING(name, setup, insn, call)                                                                        \
	asm(".pushsection .text\n.balign 16\ns_" #name ": " setup "\na_" #name ": " insn "\nn_" #name ": " call           \
	    "\n.popsection");                                                                                          \
	extern char s_##name[], a_##name[], n_##name[];                                                                \
	static const struct snippet name __attribute__((unused)) = {s_##name, a_##name, n_##name}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
