/*
 * A race between two processors, planted: each adds one to a shared counter without a lock, at the same moment, again and
 * again. It takes a turn that ends between a load and its store; turns of a fixed length do not, so that it comes out with some of the
 * schedules of --jitter alone. Ends with 0 if nothing was lost, else by the debug-exit port.
 */
#include "processors.h"

enum { LAPIC = 0xfee00000, SVR = 0xf0, ICR = 0x300, ICR_HI = 0x310, ROUNDS = 8 };

static volatile u64 counter, arrived, ap_done;
static u8 ap_stack[4096] __attribute__((aligned(16)));

/* Both come here before either goes on. */
static void meet(u64 round)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	while (arrived < 2 * round)
		;
}

static void work(void)
{
	for (u64 round = 1; round <= ROUNDS; round++) {
		meet(round);
		asm volatile("mov %0, %%rax\n\tinc %%rax\n\tmov %%rax, %0" : "+m"(counter) : : "rax", "cc");
	}
}

static void ap_main(void)
{
	work();
	ap_done = 1;
	for (;;)
		asm volatile("cli; hlt");
}

int main(void)
{
	mmio_write(LAPIC + SVR, 0x1ff);
	ap_prepare(ap_main, (u64)(ap_stack + sizeof(ap_stack)));
	mmio_write(LAPIC + ICR_HI, 1u << 24);
	mmio_write(LAPIC + ICR, 0x4500);
	mmio_write(LAPIC + ICR, STARTUP_IPI);
	work();
	while (!ap_done)
		;
	print("counted %lu of %d\n", counter, 2 * ROUNDS);
	guest_end(counter == 2 * ROUNDS ? 0 : 7);
}
