/* The machine check architecture as those see it who report an error. APM 2 "Machine Check Architecture". */
#include "cpu/control/msr.h"

enum { MC_CTL, MC_STATUS, MC_ADDR };
enum { MCG_RIPV = 1 << 0, MCG_MCIP = 1 << 2 };
#define MC_VAL  BIT(63)
#define MC_OVER BIT(62)
#define MC_EN   BIT(60)

/* "Error Logging During Overflow": of two that are uncorrected, the first stays. */
static void log_error(u64 bank[4], u64 status, u64 addr)
{
	if (bank[MC_STATUS] & MC_VAL) {
		bank[MC_STATUS] |= MC_OVER;
		return;
	}
	bank[MC_STATUS] = status | MC_VAL;
	bank[MC_ADDR] = addr;
}

/* "Handling Machine Check Exceptions": while MCIP says that one is being handled, the next one is a shutdown. */
void cpu_machine_check(struct cpu *c, unsigned bank, unsigned control, u64 status, u64 addr)
{
	u64 *b = c->mc_bank[bank];
	bool enabled = (c->mcg_ctl >> bank & 1) && (b[MC_CTL] >> control & 1);

	log_error(b, enabled ? status | MC_EN : status, addr);
	if (!enabled)
		return;
	if ((c->mcg_status & MCG_MCIP) && !(c->pend & PEND_MCE))
		c->mc_fatal = true;
	c->mcg_status = MCG_MCIP | MCG_RIPV;
	cpu_raise(c, PEND_MCE);
}
