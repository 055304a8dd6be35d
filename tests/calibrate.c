/*
 * A fixed piece of work, like an interpreter's: loads, dependent branches and arithmetic over a megabyte. tests/run.py takes
 * the time it needs, the other load of the computer included, as the measure of every time limit.
 */
#include <stdint.h>
#include <stdio.h>

#define WORDS (1u << 17)

int main(void)
{
	static uint64_t memory[WORDS];
	uint64_t at = 1, sum = 0;

	for (uint32_t n = 0; n < WORDS; n++)
		memory[n] = n * 0x9e3779b97f4a7c15ull;
	for (uint32_t n = 0; n < 200000000; n++) {
		uint64_t *p = &memory[at % WORDS];

		switch (*p >> 61) {
		case 0: at += *p; break;
		case 1: at ^= *p >> 7; break;
		case 2: *p += at; break;
		case 3: *p ^= at << 5; break;
		case 4: at -= *p; break;
		case 5: sum += at * *p; break;
		case 6: sum ^= *p; break;
		default: at = at * 5 + sum; break;
		}
		at += 0x9e3779b97f4a7c15ull;
		*p += at >> 3;
	}
	printf("%llx\n", (unsigned long long)(sum ^ at));
	return 0;
}
