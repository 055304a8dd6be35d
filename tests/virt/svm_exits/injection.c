#include "exits.h"
void test_injection(void)
{
}
