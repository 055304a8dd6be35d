/* Says by the debug-exit port what it has to say; where nobody hears that, it powers the machine off. */
#include "guest.h"

int main(void)
{
	outl(0xf4, 0x10);
	return 0;
}
