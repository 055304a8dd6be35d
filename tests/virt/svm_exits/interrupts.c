#include "exits.h"
void test_interrupts(void)
{
}
