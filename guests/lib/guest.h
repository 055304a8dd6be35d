/*
 * A small library for bare-metal guests: serial output, exceptions, ports, MSRs, control registers, page tables. Used by
 * the tests, the example monitors and the benchmarks. Everything runs in 64-bit mode at CPL 0 with memory mapped one to
 * one up to 4 GiB.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proved.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

struct regs { /* what exception_common pushed */
	u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* An exception handler: true if it changed regs so that the guest may go on. NULL: report and end. */
typedef bool exception_fn(struct regs *r);
void on_exception(unsigned vector, exception_fn *fn);

/* Run `code` and say which exception it raised, -1 for none; error code, CR2 and RIP are in last_fault. */
struct fault {
	int vector;
	u64 error, cr2, rip;
};
extern struct fault last_fault;
extern bool fault_armed;
extern struct regs last_regs; /* everything of the last exception, as it was pushed */
int fault_setjmp(void) __attribute__((returns_twice)); /* 0 now, 1 after a fault */
#define CATCH(code)                                                                                                    \
	({                                                                                                             \
		last_fault.vector = -1;                                                                                \
		if (!fault_setjmp()) {                                                                                 \
			fault_armed = true;										\
			asm volatile("" ::: "memory");									\
			code;												\
			asm volatile("" ::: "memory");									\
		}                                                                                                      \
		fault_armed = false;                                                                                   \
		last_fault.vector;                                                                                     \
	})

void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A check that fails says "FAIL NAME: got, want"; guest_verdict() prints what was proved and the sum, and is main's return
 * value. A name may open with the statements it proves: check(REQ("svm.2.3.2") "CR2", ...); in vcheck() both may. */
void check_(const char *name, u64 got, u64 want);
#define check(name, got, want) check_(name, (u64)(got), (u64)(want))
void vcheck(const char *name, const char *what, u64 got, u64 want); /* the line says "NAME: WHAT" */
void proves(const char *ids); /* behind checks that no name of theirs can carry: proved if none has failed yet */
int guest_verdict(void);
void guest_end(int status) __attribute__((noreturn)); /* 0: power off; else the debug-exit port */
int main(void);

void *memset(void *d, int v, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

struct idt_gate {
	u64 lo, hi;
};
extern struct idt_gate idt[256];
extern u8 exception_stubs[256][16];
extern u64 gdt[], pml4[512], pdpt[512], pds[4][512];
extern u8 tss[128], stack_top[], image_end[];
void set_gate(unsigned vector, void *handler, unsigned type, unsigned dpl, unsigned ist);

static inline void outb(u16 p, u8 v) { asm volatile("outb %0, %1" ::"a"(v), "Nd"(p)); }
static inline void outw(u16 p, u16 v) { asm volatile("outw %0, %1" ::"a"(v), "Nd"(p)); }
static inline void outl(u16 p, u32 v) { asm volatile("outl %0, %1" ::"a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u16 inw(u16 p) { u16 v; asm volatile("inw %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u32 inl(u16 p) { u32 v; asm volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u64 rdmsr(u32 i) { u32 a, d; asm volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(i)); return (u64)d << 32 | a; }
static inline void wrmsr(u32 i, u64 v) { asm volatile("wrmsr" ::"c"(i), "a"((u32)v), "d"((u32)(v >> 32)) : "memory"); }
static inline u64 rdtsc(void) { u32 a, d; asm volatile("rdtsc" : "=a"(a), "=d"(d)); return (u64)d << 32 | a; }
#define DEFINE_CR(n)                                                                                                   \
	static inline u64 read_cr##n(void) { u64 v; asm volatile("mov %%cr" #n ", %0" : "=r"(v)); return v; }          \
	static inline void write_cr##n(u64 v) { asm volatile("mov %0, %%cr" #n ::"r"(v) : "memory"); }
DEFINE_CR(0) DEFINE_CR(2) DEFINE_CR(3) DEFINE_CR(4) DEFINE_CR(8)
#undef DEFINE_CR
static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static inline void invlpg(const void *p) { asm volatile("invlpg (%0)" ::"r"(p) : "memory"); }
static inline u32 mmio_read(u64 a) { return *(volatile u32 *)a; }
static inline void mmio_write(u64 a, u32 v) { *(volatile u32 *)a = v; }

/* A zeroed page (4 KiB) from behind the image; never freed. */
void *page_alloc(void);
/* Map one 4 KiB page in the tables under `root` (4-level), creating tables as needed. */
void map_page(u64 *root, u64 la, u64 pa, u64 flags);
/* Four levels of tables from root down to the entry of level `leaf` (1: 4 KiB) that maps addr to pa; entry[level] is
 * where each lies. The tables between are new. */
void map_path(u64 *root, unsigned leaf, u64 addr, u64 pa, u64 table_bits, u64 page_bits, u64 *entry[5]);

#endif
