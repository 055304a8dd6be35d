/* Nothing can wake it but RESET: the global interrupt flag is 0, though interrupts are on. */
#include "svm.h"

int main(void)
{
	if (!svm_enable())
		return 1;
	for (;;)
		asm volatile("clgi; sti; hlt");
}
