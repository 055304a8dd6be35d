/*
 * The ACPI timer by itself and through another monitor: what Linux looks at before it believes in it. Reads follow one
 * another as fast as a program can; each is 24 bits wide, and later than the one before. "Power Management Timer".
 */
#include "both.h"

enum { PORT_TMR = 0x608, READS = 256, WIDTH = 0x1000000, SOON = 3580 /* ticks of a millisecond */ };

u32 both_pm[READS];

asm(".pushsection .text\n"
    "pm_guest: lea both_pm, %rdi; mov $0x608, %edx; mov $256, %ecx\n"
    "1: in %dx, %eax; stosl; loop 1b\n"
    "pm_done: " LEAVE "\n.popsection");
extern char pm_guest[], pm_done[];

static void look_at(const char *where)
{
	for (int n = 0; n < READS; n++) {
		u32 step = (both_pm[n] - both_pm[n ? n - 1 : 0]) % WIDTH;

		if (both_pm[n] >= WIDTH || (n && (step == 0 || step > SOON))) {
			print("%s: read %d gives 0x%x, 0x%x ticks after the one before\n", where, n, both_pm[n], step);
			check(where, false, true);
			return;
		}
	}
	check(where, true, true);
}

void both_pm_timer(void)
{
	struct outcome o;

	for (int n = 0; n < READS; n++)
		both_pm[n] = inl(PORT_TMR);
	look_at("PM timer without a monitor");
	u32 last = both_pm[READS - 1];
	for (int n = 0; n < READS; n++)
		both_pm[n] = ~0u;
	both_guest(pm_guest);
	o = both_run();
	vcheck("PM timer in a guest", "outcome", o.what, CALLED);
	vcheck("PM timer in a guest", "RIP", o.rip, (u64)pm_done);
	look_at("PM timer in a guest");
	check("PM timer: the same clock in a guest", (both_pm[0] - last) % WIDTH < 1000 * SOON, true);
}
