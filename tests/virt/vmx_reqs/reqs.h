/*
 * Guests for the tables of non-root operation: the instruction under test copied to a page, VMCALL behind it; registers
 * in and out.
 */
#ifndef VMX_REQS_H
#define VMX_REQS_H

#include "vmx.h"

#include "../snippet.h"

#define SNIPPET(name, setup, insn) SNIPPET_ENDING(name, setup, insn, "vmcall")
#define SNIPPET32(name, setup, insn) SNIPPET_ENDING(name, ".code32; " setup, insn, "vmcall; .code64")

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
#define EV(vector, type) (0x80000000u | (type) << 8 | (vector)) /* interruption information */
#define EV_E(vector)	 (EV(vector, 3) | 0x800)

extern u64 g_in[16], g_out[16]; /* general registers, numbered as in instructions */
extern u64 g_flags; /* RFLAGS where the host starts after an exit */
extern u8 *code_page;
extern u64 scratch[512]; /* a page of its own */
#define CODE (u64)code_page

bool runner_begin(void); /* VMXON and what the rows need; false: no VMX */

enum guest_mode { G64, G64_USER, G_COMPAT, G_COMPAT_USER };
/* A fresh VMCS whose guest starts at `code` followed by VMCALL; MSR bitmaps are off, HLT exiting on. */
void guest(enum guest_mode m, const struct snippet *code);
void guest_bytes(enum guest_mode m, const u8 *code, unsigned length); /* code made at run time, or of another mode */
#define GUEST_BYTES(m, ...) guest_bytes(m, (u8[]){__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__}))
static inline unsigned length_of(const struct snippet *code)
{
	return (unsigned)(code->next - code->entry);
}
void on(u32 field, u64 bits);
void off(u32 field, u64 bits);
u64 go(void); /* VMLAUNCH: exit reason, ~0 when it failed */
u64 again(void);
u64 *fresh_page(void);

struct edit {
	u32 field;
	u64 set;
};
struct row {
	const char *name;
	enum guest_mode mode;
	const struct snippet *code;
	u64 reg[8];
	struct edit edit[4];
	u64 reason, qualification;
	u32 event;    /* of reason 0 */
};
void rows(const struct row *r, unsigned count);
#define ROWS(table) rows(table, COUNT(table))

void test_instructions(void);
void test_registers(void);
void test_events(void);
void test_state(void);
void test_modes(void);
void test_memory(void);
void test_mtf(void);

#endif
