/* Guests with an IDT of their own: the handler of vector n is a VMCALL at STUB(n), at CPL 0. */
#ifndef VMX_REQS_IDT_H
#define VMX_REQS_IDT_H

#include "reqs.h"

#define STUB(n) ((u64)stubs + 16 * (n))

extern u8 *stubs, handler_stack[4096];
extern struct idt_gate *gates;

void idt_begin(void);
void gate(unsigned n, u64 to, unsigned type);
void with_idt(enum guest_mode m, const struct snippet *code); /* a fresh guest, as guest() makes one; registers 0 */

#endif
