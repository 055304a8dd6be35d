/* What the 64-bit guest tests share: a larger GDT, ring 3, and one line for "this instruction raises that exception".
 */
#ifndef TESTS_GUEST_T64_H
#define TESTS_GUEST_T64_H

#include "guest.h"
#include "msr_names.h"

#define KCODE    0x08
#define KDATA    0x10
#define KCODE32  0x18
#define KCODE16  0x20
#define UDATA    0x43
#define UCODE    0x4b
#define UCODE32  0x5b
#define FREE_SEL 0x60 /* the first selector tests may use */

#define FL_CF 0x1ull
#define FL_TF 0x100ull
#define FL_IF 0x200ull
#define FL_DF 0x400ull
#define FL_NT 0x4000ull
#define FL_RF 0x10000ull
#define FL_AC 0x40000ull

#define EX_DE 0
#define EX_DB 1
#define EX_BP 3
#define EX_OF 4
#define EX_BR 5
#define EX_UD 6
#define EX_NM 7
#define EX_DF 8
#define EX_TS 10
#define EX_NP 11
#define EX_SS 12
#define EX_GP 13
#define EX_PF 14
#define EX_MF 16
#define EX_AC 17
#define EX_XM 19

static u64 t_gdt[64] __attribute__((aligned(16)));
static u8 t_stack0[16384] __attribute__((aligned(16))), t_stack3[16384] __attribute__((aligned(16)));
static u8 t_stack_ist[8192] __attribute__((aligned(16)));
u64 t_at, t_after; /* addresses of the tested instruction and of the next one */

static inline u64 descriptor(u64 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)flags << 52 | (base >> 24 & 0xff) << 56;
}

static inline void load_gdt(u64 *table, unsigned limit)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) r = {(u16)limit, (u64)table};

	asm volatile("lgdt %0" ::"m"(r));
}

/* A GDT with room, ring 3 able to run, and INT 80h as its way out of ring 3 (vector 80h seen by CATCH). */
static inline void t_setup(void)
{
	memcpy(t_gdt, gdt, 0x60);
	t_gdt[0x38 / 8] = 0x00cffb000000ffffull; /* SYSRET to 32-bit code */
	t_gdt[0x28 / 8] &= ~(2ull << 40);
	load_gdt(t_gdt, sizeof(t_gdt) - 1);
	asm volatile("ltr %w0" ::"r"(0x28));
	*(u64 *)(tss + 4) = (u64)(t_stack0 + sizeof(t_stack0));
	*(u16 *)(tss + 0x66) = 0x68; /* no I/O permission map */
	pml4[0] |= 4;
	for (unsigned g = 0; g < 4; g++) {
		pdpt[g] |= 4;
		for (unsigned k = 0; k < 512; k++)
			pds[g][k] |= 4;
	}
	write_cr3(read_cr3());
	set_gate(0x80, exception_stubs[0x80], 14, 3, 0);
	*(u64 *)(tss + 0x3c) = (u64)(t_stack_ist + sizeof(t_stack_ist)); /* IST 4: when the stack itself is the fault */
	set_gate(EX_SS, exception_stubs[EX_SS], 14, 0, 4);
	set_gate(EX_DF, exception_stubs[EX_DF], 14, 0, 4);
	asm volatile("fninit");
}

static inline void iret_to(u64 rip, u64 cs, u64 ss, u64 rsp, u64 rflags)
{
	asm volatile("push %2; push %3; push %4; push %1; push %0; iretq" ::"r"(rip), "r"(cs), "r"(ss), "r"(rsp),
	             "r"(rflags)
	             : "memory");
}

/* Run code at `rip` in ring 3 until an exception (INT 80h is the polite one). */
static inline int user(void (*code)(void), u64 rflags)
{
	return CATCH(iret_to((u64)code, UCODE, UDATA, (u64)(t_stack3 + sizeof(t_stack3)), rflags | 2));
}

static inline int user32(void (*code)(void), u64 rflags)
{
	return CATCH(iret_to((u64)code, UCODE32, UDATA, (u64)(t_stack3 + sizeof(t_stack3)), rflags | 2));
}

#define T_CLOBBERS "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"
/* `pre` prepares (anything but R11), `insn` is the one under test. */
#define T_RUN(pre, insn)                                                                                               \
	CATCH(asm volatile(pre "\n lea 71f(%%rip), %%r11\n mov %%r11, t_at\n lea 72f(%%rip), %%r11\n"                  \
	                       " mov %%r11, t_after\n 71: " insn "\n 72:\n" ::                                         \
	                               : T_CLOBBERS))

enum rip_rule { AT, AFTER, NONE };
static inline void t_raised(const char *name, int vector, u64 error, enum rip_rule where)
{
	check(name, last_fault.vector, vector);
	if (vector < 0 || last_fault.vector != vector)
		return;
	check(name, last_fault.error, error);
	if (where != NONE)
		check(name, last_fault.rip, where == AT ? t_at : t_after);
	/* "Debug Exceptions: Resume Flag": faults push RF 1, traps do not */
	if (where != NONE)
		check(name, !!(last_regs.rflags & FL_RF), where == AT);
}
#define RAISES(name, vector, error, where, pre, insn)                                                                  \
	do {                                                                                                           \
		T_RUN(pre, insn);                                                                                      \
		t_raised(name, vector, error, where);                                                                  \
	} while (0)
#define RUNS(name, pre, insn) RAISES(name, -1, 0, NONE, pre, insn)

static inline bool cpu_is_intel(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	return r[1] == 0x756e6547;
}

/* EXT of an error code that arises while an exception is delivered. APM 2 "Selector-Error Code": it tells of sources outside
 * the processor; SDM 3A "Error Code": of earlier exceptions, too. */
static inline unsigned ext_inside(void)
{
	return cpu_is_intel();
}

static inline void put_msr_bit(u32 msr, unsigned bit, bool on)
{
	u64 v = rdmsr(msr);

	wrmsr(msr, on ? v | 1ull << bit : v & ~(1ull << bit));
}

#endif
