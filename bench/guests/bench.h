/* Benchmarks that run on Turnstile, Bochs and QEMU alike: the runner takes processor time between the two lines on COM1. */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

#define BENCH(name, count, code)                                                                                       \
	do {                                                                                                           \
		print("start " name "\n");                                                                             \
		code;                                                                                                  \
		print("end " name " %lu\n", (u64)(count));                                                             \
	} while (0)

/* A guest that writes to one page of the window after the other. It has RSP and RIP only: the other registers are the
 * monitor's on one architecture or the other. */
enum { WINDOW = 0x40000000, WINDOW_PAGES = 256, BACKING = 0x2000000 }; /* 2 MiB pages */

__attribute__((naked, unused)) static void bench_toucher(void)
{
	asm("1: mov %0, %%esp\n"
	    "2: movq $1, (%%rsp)\n"
	    "add $0x200000, %%rsp\n"
	    "cmp %1, %%rsp\n"
	    "jb 2b\n"
	    "jmp 1b"
	    :
	    : "i"(WINDOW), "i"(WINDOW + WINDOW_PAGES * 0x200000));
}

static inline void bench_end(void)
{
	print("over\n");
	for (const char *s = "Shutdown"; *s; s++)
		outb(0x8900, (u8)*s);
}

#endif
