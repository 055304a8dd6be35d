/*
 * What the tables of root operation share: a row runs one instruction, given by its bytes, in one state of VMX operation
 * and in one mode, and says what must come of it. "VMX Instruction Reference".
 */
#ifndef VMX_REQS_ROOT_H
#define VMX_REQS_ROOT_H

#include "guest.h"
#include "msr_names.h"

#ifndef TESTS_GUEST_T64_H /* its objects are the runner's alone */
#define EX_UD 6
#define EX_SS 12
#define EX_GP 13
#define EX_PF 14
#endif

enum op_state { OUTSIDE, NO_VMXE, ROOT, CURRENT }; /* CR4.VMXE 0, VMX operation without and with a current VMCS */
enum op_mode { K64, U64, K32, U32 };	     /* 64-bit mode and compatibility mode, CPL 0 and 3 */
enum op_pointer { P_FRESH, P_ODD, P_HIGH, P_VMXON, P_REVISION, P_SHADOW, P_SAME, P_UNMAPPED };
enum op_after { A_SAME, A_NONE, A_OPERAND, A_LEFT }; /* the current-VMCS pointer; A_LEFT: VMX operation has ended */
enum { DONE = 0x80, CLEAR = 0, FAIL_INVALID = 0x01, FAIL_VALID = 0x40, ALL_SIX = 0x8d5 };

struct op_row {
	const char *name;
	enum op_state state;
	enum op_mode mode;
	u8 code[15];
	u8 length;
	enum op_pointer pointer;
	int vector;		/* DONE: it ended, with `flags` and, for VMfailValid, `error` */
	u32 flags, error;
	enum op_after after;
};
#define B(...) {__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__})

extern u64 operand, other_operand[4]; /* what RBX points at */
extern u64 vmxon_region, current_region;
struct op_registers {
	u64 rbx, rcx, rdx, rbp, r9, r11;
};

bool op_begin(void); /* false: no VMX */
void op_to(enum op_state state);
u64 op_fresh(void);
u64 op_current(void); /* VMPTRST */
/* Bytes in a mode, the six flags set before; the vector, DONE if it reached the end. */
int op_run(enum op_mode mode, const u8 *code, unsigned length, const struct op_registers *r);
extern u64 op_at;	 /* where the bytes lay */
bool op_unharmed(void); /* after a fault: RIP at the instruction, no flag changed */
void op_rows(const struct op_row *row, unsigned count);

#define RUN(table) op_rows(table, sizeof(table) / sizeof((table)[0]))

/* A row of the usual kinds: #UD, #GP(0), success, VMfailInvalid, VMfailValid. */
#define UD_(name, state, mode, ...)  {name, state, mode, B(__VA_ARGS__), P_FRESH, EX_UD, 0, 0, A_SAME}
#define GP_(name, state, mode, ...)  {name, state, mode, B(__VA_ARGS__), P_UNMAPPED, EX_GP, 0, 0, A_SAME}
#define OK_(name, state, after, ...) {name, state, K64, B(__VA_ARGS__), P_FRESH, DONE, CLEAR, 0, after}
#define FI_(name, state, pointer, ...) {name, state, K64, B(__VA_ARGS__), pointer, DONE, FAIL_INVALID, 0, A_SAME}
#define FV_(name, pointer, error, ...) {name, CURRENT, K64, B(__VA_ARGS__), pointer, DONE, FAIL_VALID, error, A_SAME}

void test_operands(void);
void test_fields(void);
void test_life(void);

#endif
