/*
 * A program hangs with interrupts off, and the watchdog that it armed restarts the machine: HLT that nothing can end is no
 * end while a timer runs that asks no processor. Intel ICH9 data sheet, "System Management TCO Registers".
 */
#include "t64.h"

enum { TCO_RLD = 0x660, TCO2_STS = 0x666, TCO1_CNT = 0x668, TCO_TMR = 0x672, SECOND_TO = 2, BOOT = 4 };

int main(void)
{
	if (inw(TCO2_STS) & SECOND_TO) {
		check("it was the watchdog", inw(TCO2_STS) & (SECOND_TO | BOOT), SECOND_TO | BOOT);
		return guest_verdict();
	}
	outw(TCO_TMR, 5); /* two times 3 s */
	outw(TCO1_CNT, 0);
	outw(TCO_RLD, 1);
	asm volatile("cli; hlt");
	print("HLT ended\n");
	return 1;
}
