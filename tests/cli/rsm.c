/* Dies in SMM on purpose: the handler sets bit 40 of CR4 in the save-state map, wherever this processor has it. */
#include "guest.h"

/* MOV BYTE CS:[FF4Dh], 1; MOV BYTE CS:[FE45h], 1; RSM */
static const u8 handler[] = {0x2e, 0xc6, 0x06, 0x4d, 0xff, 1, 0x2e, 0xc6, 0x06, 0x45, 0xfe, 1, 0x0f, 0xaa};

int main(void)
{
	memcpy((void *)0x38000, handler, sizeof(handler));
	*(volatile u32 *)0xfee00310 = 0;
	*(volatile u32 *)0xfee00300 = 0x4200; /* SMI to itself */
	for (;;)
		asm volatile("pause");
}
