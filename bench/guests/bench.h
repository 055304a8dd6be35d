/* Benchmarks that run on Turnstile, Bochs and QEMU alike: the runner takes wall time between the two lines on COM1. */
#ifndef BENCH_H
#define BENCH_H

#include "guest.h"

#define BENCH(name, count, code)                                                                                       \
	do {                                                                                                           \
		print("start " name "\n");                                                                             \
		code;                                                                                                  \
		print("end " name " %lu\n", (u64)(count));                                                             \
	} while (0)

static inline void bench_end(void)
{
	print("over\n");
	for (const char *s = "Shutdown"; *s; s++)
		outb(0x8900, (u8)*s);
}

#endif
