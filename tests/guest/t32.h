/* A small library for guests of 32-bit protected mode: flat segments, paging off, CPL 0. Cousin of guests/lib for long
 * mode. */
#ifndef TESTS_GUEST_T32_H
#define TESTS_GUEST_T32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../guests/lib/msr_names.h"
#include "../../guests/lib/proved.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

struct regs { /* what the stubs push */
	u32 edi, esi, ebp, esp0, ebx, edx, ecx, eax, gs, fs, es, ds;
	u32 vector, error, eip, cs, eflags, esp, ss, v_es, v_ds, v_fs, v_gs;
};
typedef bool exception_fn(struct regs *r); /* true: go on with *r */
void on_exception(unsigned vector, exception_fn *fn);
extern struct regs last; /* of the last exception; esp and ss: only after a change of level */
extern u32 last_cr2;
extern volatile bool fault_armed;
int fault_setjmp(void) __attribute__((returns_twice));
#define CATCH(code)                                                                                                    \
	({                                                                                                             \
		last.vector = ~0u;                                                                                     \
		last.error = 0;                                                                                        \
		if (!fault_setjmp()) {                                                                                 \
			fault_armed = true;                                                                            \
			asm volatile("" ::: "memory");                                                                 \
			code;                                                                                          \
			asm volatile("" ::: "memory");                                                                 \
		}                                                                                                      \
		fault_armed = false;                                                                                   \
		(int)last.vector;                                                                                      \
	})

void print(const char *s);
void check_(const char *name, u32 got, u32 want);
#define check(name, got, want) check_(name, (u32)(got), (u32)(want))
void proves(const char *ids); /* as in guests/lib/guest.h, and so is REQ() before a name */
int guest_verdict(void);
int main(void);
void *memset(void *d, int v, size_t n);
void *memcpy(void *d, const void *s, size_t n);
void *page_alloc(void);

enum {
	KCODE = 0x08,
	KDATA = 0x10,
	TSS_SEL = 0x18,
	UCODE = 0x23,
	UDATA = 0x2b,
	CODE16 = 0x30,
	DATA16 = 0x38,
	DF_TSS = 0x40,
	FREE_SEL = 0x48
};
enum {
	EX_DE,
	EX_DB,
	EX_NMI,
	EX_BP,
	EX_OF,
	EX_BR,
	EX_UD,
	EX_NM,
	EX_DF,
	EX_TS = 10,
	EX_NP,
	EX_SS,
	EX_GP,
	EX_PF,
	EX_MF = 16,
	EX_AC
};

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss,
	        ds, fs, gs, ldt;
	u16 trap, iomap;
	u8 more[32 + 8192 + 1];
};
extern u64 gdt[128], idt[256];
extern struct tss32 main_tss;
extern u8 stack0[16384], stack3[16384], stubs[256][16];

static inline u64 descriptor(u32 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)flags << 52 | (u64)(base >> 24) << 56;
}
static inline u64 gate(u32 offset, u16 sel, unsigned type, unsigned dpl, unsigned count)
{
	return (offset & 0xffff) | (u64)sel << 16 | (u64)count << 32 | (u64)(0x80 | dpl << 5 | type) << 40 |
	       (u64)(offset >> 16) << 48;
}
static inline void outb(u16 p, u8 v)
{
	asm volatile("outb %0, %1" ::"a"(v), "Nd"(p));
}
static inline u8 inb(u16 p)
{
	u8 v;
	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}
#define DEFINE_CR(n)                                                                                                   \
	static inline u32 read_cr##n(void)                                                                             \
	{                                                                                                              \
		u32 v;                                                                                                 \
		asm volatile("mov %%cr" #n ", %0" : "=r"(v));                                                          \
		return v;                                                                                              \
	}                                                                                                              \
	static inline void write_cr##n(u32 v)                                                                          \
	{                                                                                                              \
		asm volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                                                   \
	}
DEFINE_CR(0)
DEFINE_CR(3) DEFINE_CR(4)
#undef DEFINE_CR
        static inline void invlpg(const void *p)
{
	asm volatile("invlpg (%0)" ::"r"(p) : "memory");
}
static inline u64 rdmsr(u32 i)
{
	u64 v;
	asm volatile("rdmsr" : "=A"(v) : "c"(i));
	return v;
}
static inline void wrmsr(u32 i, u64 v)
{
	asm volatile("wrmsr" ::"c"(i), "A"(v) : "memory");
}
static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static inline bool cpu_is_intel(void)
{
	u32 r[4];
	cpuid(0, 0, r);
	return r[1] == 0x756e6547;
}

/* IRET to another level: pushes a full frame. */
static inline void iret_to(u32 eip, u32 cs, u32 eflags, u32 esp, u32 ss)
{
	asm volatile("push %4; push %3; push %2; push %1; push %0; iret" ::"r"(eip), "r"(cs), "r"(eflags), "r"(esp),
	             "r"(ss)
	             : "memory");
}
static inline void set_data(u16 sel)
{
	asm volatile("mov %0, %%ds; mov %0, %%es" ::"r"(sel) : "memory");
}
static inline u32 stack3_top(void)
{
	return (u32)(stack3 + sizeof(stack3));
}
static inline u32 stack0_top(void)
{
	return (u32)(stack0 + sizeof(stack0));
}
/* Run code at CPL 3 until an exception; INT 80h is the polite one. */
static inline int user(const void *code, u32 eflags)
{
	return CATCH((set_data(UDATA), iret_to((u32)code, UCODE, eflags | 2, stack3_top(), UDATA)));
}

#endif
