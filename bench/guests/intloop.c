/* An integer loop: arithmetic, shifts, compares, a data-dependent branch. ~10 instructions an iteration. */
#include "bench.h"

static u64 loop(u64 n)
{
	u64 a = 1, b = 0x9e3779b97f4a7c15ull, sum = 0;

	asm volatile("1:\n"
		     "lea (%0,%1), %%rdx\n"
		     "rol $7, %%rdx\n"
		     "xor %%rdx, %1\n"
		     "add $3, %0\n"
		     "test $8, %%dl\n"
		     "jz 2f\n"
		     "sub %1, %2\n"
		     "2: add %%rdx, %2\n"
		     "dec %3\n"
		     "jnz 1b"
		     : "+r"(a), "+r"(b), "+r"(sum), "+r"(n)::"rdx", "cc");
	return sum;
}

int main(void)
{
	loop(1000);
	BENCH("intloop", 20000000, loop(20000000));
	bench_end();
	return 0;
}
