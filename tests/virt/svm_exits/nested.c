#include "exits.h"
void test_nested(void)
{
}
