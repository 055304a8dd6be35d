/*
 * names: values in words, where both makers mean the same by them: the bits of registers, access rights, selectors,
 * memory types. Each function writes to the end of a text of fixed size; what does not fit is left out.
 */
#ifndef ARCH_NAMES_H
#define ARCH_NAMES_H

#include "arch/arch.h"

/* A text that is being put together: s has room for `size` bytes, n of which are written. */
struct words {
	char *s;
	size_t size, n;
};
void printf_like(2, 3) words_add(struct words *w, const char *fmt, ...);

struct bit_name {
	u8 bit, width; /* width > 1: a field, which is named with its value unless that is 0 */
	const char *name;
};
struct bit_names {
	const struct bit_name *rows;
	size_t count;
};
extern const struct bit_names arch_cr0_names, arch_cr4_names, arch_efer_names, arch_rflags_names, arch_dr6_names,
        arch_dr7_names, arch_debugctl_names, arch_xcr0_names, arch_pf_error_names;

/* "PE NE PG bits 20-22; WP 0": what is 1, bits without a name by number, and of what is 0 the bits of `tell`. */
void arch_bits(struct words *w, const struct bit_names *names, u64 value, u64 tell);
const char *arch_bit_name(const struct bit_names *names, unsigned bit); /* of one bit; NULL: it has none */
void arch_bit_list(struct words *w, u64 bits); /* "bit 31", "bits 3-5 7" */

/* "type 11 (code execute/read accessed), DPL 0, S 1, P 1, L 1, D/B 0, G 1", access rights as struct seg has them. */
void arch_rights(struct words *w, u64 ar);
void arch_selector(struct words *w, u16 selector); /* "index 5, TI 0, RPL 3" */
extern const char arch_gpr_names[16][4]; /* "RAX", by number */
const char *arch_memory_type(unsigned type);       /* "WB"; what is none: "reserved type" */

#endif
