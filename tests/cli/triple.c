/* Dies on purpose: a store to a page that is not mapped, with an IDT that was never set and is empty. */
#include "guest.h"

static void early_print(volatile u16 *screen, u16 cell)
{
	asm volatile("nop"); /* the store is not at the symbol */
	*screen = cell;
}

static void (*volatile print_by)(volatile u16 *, u16) = early_print; /* neither inlined nor cloned */

int main(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0, 0};

	map_page(pml4, 0x8000000000, 0x1000, 3); /* the page before it */
	asm volatile("lidt %0" ::"m"(none));
	print_by((void *)0x8000001000, 0x741);
	return 0;
}
