/*
 * I/O trapping: SMI_ON_IO_TRAP_0 to 3 name ports, or registers of configuration space, whose access is not made but
 * becomes an SMI of this processor. "BIOS and Kernel Developer's Guide", "I/O Trap Registers"; 33047 "Sources of SMI".
 */
#include "cpu/control/io_trap.h"

#define TRAP_CONFIG  BIT(60)
#define TRAP_WRITES  BIT(61)
#define TRAP_READS   BIT(62)
#define TRAP_ON      BIT(63)
#define CONFIG_PORT  0xcf8u
#define CONFIG_DATA  0xcfcu
#define CONFIG_ON    BIT(31)
#define CONFIG_WHERE mask(27, 2)

/* What the registers compare: the port, or, while CF8h opens configuration space, the register behind CFCh. */
struct accessed {
	u32 address;
	bool config;
};

static struct accessed accessed(struct cpu *c, const struct io_access *io)
{
	if ((io->port & ~3u) == CONFIG_DATA) {
		u64 v = bus_port_read(c->bus, CONFIG_PORT, 4);

		if (v & CONFIG_ON)
			return (struct accessed){(u32)(v & CONFIG_WHERE), true};
	}
	return (struct accessed){io->port, false};
}

/* Bits 55:32 are the mask of address bits 23:0: 1 compares. */
static bool matches(u64 trap, struct accessed a, bool in)
{
	const u32 compared = 0xff000000u | (u32)bits(trap, 55, 32);

	return (trap & TRAP_ON) && (trap & (in ? TRAP_READS : TRAP_WRITES)) && ((trap & TRAP_CONFIG) != 0) == a.config &&
	       !(((u32)trap ^ a.address) & compared);
}

u8 io_traps_hit(struct cpu *c, const struct io_access *io)
{
	struct accessed a;
	u8 hit = 0;

	if (!c->gif || c->smi_blocked)
		return 0;
	a = accessed(c, io);
	for (unsigned n = 0; n < ARRAY_LEN(c->io_trap); n++)
		if ((c->io_trap_ctl >> (2 * n + 1) & 1) && matches(c->io_trap[n], a, io->in))
			hit |= (u8)(1u << n);
	return hit;
}
