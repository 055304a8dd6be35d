/*
 * Guests for the tables of non-root operation: the instruction under test as bytes in a page, VMCALL behind it; registers
 * in and out; the fields and numbers of the manual that guests/lib/vmx.h does not name.
 */
#ifndef VMX_REQS_H
#define VMX_REQS_H

#include "vmx.h"

enum {
	F_IO_A = 0x2000, F_IO_B = 0x2002, F_MSR_BITMAP = 0x2004, F_STORE_ADDR = 0x2006, F_LOAD_ADDR = 0x2008,
	F_ENTRY_LOAD_ADDR = 0x200a, F_TSC_OFFSET = 0x2010, F_VAPIC = 0x2012, F_TSC_MULTIPLIER = 0x2032, F_PF_MASK = 0x4006,
	F_PF_MATCH = 0x4008, F_CR3_COUNT = 0x400a, F_STORE_COUNT = 0x400e, F_LOAD_COUNT = 0x4010, F_ENTRY_LOAD_COUNT = 0x4014,
	F_ENTRY_ERROR = 0x4018, F_ENTRY_LENGTH = 0x401a, F_TPR_THRESHOLD = 0x401c, F_EXIT_ERROR = 0x4406, F_VECTORING_ERROR =
	0x440a, F_INFO = 0x440e, F_TIMER = 0x482e, F_CR0_MASK = 0x6000, F_CR4_MASK = 0x6002, F_CR0_SHADOW = 0x6004,
	F_CR4_SHADOW = 0x6006, F_CR3_TARGET0 = 0x6008, F_PENDING_DEBUG = 0x6822, F_CS_AR = 0x4816, F_SS_AR = 0x4818,
};
enum {
	R_EXCEPTION, R_INTERRUPT, R_TRIPLE, R_INT_WINDOW = 7, R_NMI_WINDOW, R_TASK, R_CPUID, R_HLT = 12, R_INVD, R_INVLPG,
	R_RDPMC, R_RDTSC, R_VMCALL = 18, R_VMCLEAR, R_VMLAUNCH, R_VMPTRLD, R_VMPTRST, R_VMREAD, R_VMRESUME, R_VMWRITE, R_VMXOFF,
	R_VMXON, R_CR, R_DR, R_IO, R_RDMSR, R_WRMSR, R_MWAIT = 36, R_MONITOR = 39, R_PAUSE, R_TPR = 43, R_GDTR = 46, R_LDTR,
	R_EPT, R_INVEPT = 50, R_RDTSCP, R_TIMER, R_INVVPID, R_WBINVD, R_XSETBV, R_INVPCID = 58, R_VMFUNC = 59,
	R_BAD_GUEST = 0x80000021, R_BAD_MSR,
};
enum { PIN_EXT = 1, PIN_NMI = 8, PIN_VNMI = 32, PIN_TIMER = 64 };
enum { P_WINDOW = 1 << 2, P_TSC_OFFSET = 1 << 3, P_HLT = 1 << 7, P_INVLPG = 1 << 9, P_MWAIT = 1 << 10, P_RDPMC = 1 << 11,
       P_RDTSC = 1 << 12, P_CR3_LOAD = 1 << 15, P_CR3_STORE = 1 << 16, P_CR8_LOAD = 1 << 19, P_CR8_STORE = 1 << 20,
       P_TPR = 1 << 21, P_DR = 1 << 23, P_IO_ALL = 1 << 24, P_IO_MAP = 1 << 25, P_MSR_MAP = 1 << 28, P_MONITOR = 1 << 29,
       P_PAUSE = 1 << 30 };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
#define EV(vector, type) (0x80000000u | (type) << 8 | (vector)) /* interruption information */
#define EV_E(vector)	 (EV(vector, 3) | 0x800)

extern u64 g_in[16], g_out[16]; /* general registers, numbered as in instructions */
extern u64 g_flags; /* RFLAGS where the host starts after an exit */
extern u8 *code_page;
extern u64 scratch[512]; /* a page of its own */
#define CODE (u64)code_page

enum guest_mode { G64, G64_USER, G_COMPAT, G_COMPAT_USER };
/* A fresh VMCS whose guest starts at `code` followed by VMCALL; MSR bitmaps are off, HLT exiting on. */
void guest(enum guest_mode m, const u8 *code, unsigned length);
#define GUEST(m, ...) guest(m, (u8[]){__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__}))
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
	u8 code[16], length;
	u64 reg[8];
	struct edit edit[4];
	u64 reason, qualification;
	u32 event;    /* of reason 0 */
};
#define B(...) {__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__})
void rows(const struct row *r, unsigned count);
#define ROWS(table) rows(table, sizeof(table) / sizeof((table)[0]))

void test_instructions(void);
void test_registers(void);
void test_events(void);
void test_state(void);
void test_modes(void);
void test_memory(void);
void test_mtf(void);

#endif
