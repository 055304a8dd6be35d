#include "exits.h"
void test_io_msr(void)
{
}
