/* Assertions are counted where cmocka makes them: the linker leads its functions through here (tests/meson.build). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../proved.h"
#include "report.h"

static unsigned long long checks, cases, before;

void drawn_begin(void)
{
	before = checks;
}

void drawn_end(unsigned long long n)
{
	checks = before;
	cases += n;
}

void proves(const char *ids)
{
	proved(ids);
}

static void __attribute__((destructor)) report(void)
{
	proved_report(checks, cases);
}

#define WRAP(name, parameters, arguments)                                                                              \
	void __real_##name parameters;                                                                                 \
	void __wrap_##name parameters;                                                                                 \
	void __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		checks++;                                                                                              \
		__real_##name arguments;                                                                               \
	}
#define NUMBER const LargestIntegralType
#define TEXT   const char *const
WRAP(_assert_true, (NUMBER v, TEXT text, TEXT file, const int line), (v, text, file, line))
WRAP(_assert_int_equal, (NUMBER a, NUMBER b, TEXT file, const int line), (a, b, file, line))
WRAP(_assert_int_not_equal, (NUMBER a, NUMBER b, TEXT file, const int line), (a, b, file, line))
WRAP(_assert_in_range, (NUMBER v, NUMBER low, NUMBER high, TEXT file, const int line), (v, low, high, file, line))
WRAP(_assert_string_equal, (TEXT a, TEXT b, TEXT file, const int line), (a, b, file, line))
WRAP(_assert_string_not_equal, (TEXT a, TEXT b, const char *file, const int line), (a, b, file, line))
WRAP(_assert_memory_equal, (const void *const a, const void *const b, const size_t size, TEXT file, const int line),
     (a, b, size, file, line))
