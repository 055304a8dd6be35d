/* The first guest: prints a line and powers off. */
#include "guest.h"

int main(void)
{
	print("hello from 64-bit mode\n");
	return 0;
}
