#include "exits.h"
void test_modes(void)
{
}
