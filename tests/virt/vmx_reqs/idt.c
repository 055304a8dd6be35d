/* Behind idt.h. */
#include "idt.h"

u8 *stubs, handler_stack[4096] __attribute__((aligned(16)));
struct idt_gate *gates;

void idt_begin(void)
{
	stubs = (u8 *)fresh_page(); /* 256 of 16 bytes: one page */
	gates = (struct idt_gate *)fresh_page();
	for (unsigned n = 0; n < 256; n++)
		memcpy(stubs + 16 * n, (u8[]){0x0f, 0x01, 0xc1, 0x90, 0x90, 0x90, 0x0f, 0x01, 0xc1}, 9);
}

void gate(unsigned n, u64 to, unsigned type)
{
	gates[n].lo = (to & 0xffff) | 0x08 << 16 | (u64)(0x80 | type) << 40 | (to >> 16 & 0xffff) << 48;
	gates[n].hi = to >> 32;
}

void with_idt(enum guest_mode m, const struct snippet *code)
{
	guest(m, code);
	for (unsigned n = 0; n < 256; n++)
		gate(n, STUB(n), 0x6e);
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)gates);
	*(u64 *)(tss + 4) = (u64)(handler_stack + sizeof(handler_stack));
	memset(g_in, 0, sizeof(g_in));
}
