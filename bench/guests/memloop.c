/* A memory loop: loads, stores and read-modify-write over 1 MiB. */
#include "bench.h"

static u64 data[131072];

static void loop(u64 rounds)
{
	while (rounds--)
		for (u64 k = 0; k < 131072; k += 2) {
			asm volatile("mov (%0), %%rax\n"
				     "add 8(%0), %%rax\n"
				     "mov %%rax, 8(%0)\n"
				     "addl $5, (%0)\n"
				     :
				     : "r"(&data[k])
				     : "rax", "memory", "cc");
		}
}

int main(void)
{
	loop(1);
	BENCH("memloop", 400, loop(400));
	bench_end();
	return 0;
}
