/* Goes round for ever: it is left, not ended. */
#include "guest.h"

int main(void)
{
	for (;;)
		asm volatile("pause");
}
