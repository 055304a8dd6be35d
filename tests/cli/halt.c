/* Nothing can wake it: interrupts are off, and no NMI comes. */
#include "guest.h"

int main(void)
{
	for (;;)
		asm volatile("cli; hlt");
}
