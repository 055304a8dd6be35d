#include "exits.h"
void test_tlb(void)
{
}
