#include "exits.h"
void test_exceptions(void)
{
}
