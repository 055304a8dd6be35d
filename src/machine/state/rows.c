/* What of the machine itself is state: the wires between devices, whose turn it is, what was asked for, and the map. */
#include "machine/state/state.h"

#define M(id_, m) STATE(id_, struct machine, m)

/* clang-format off */
const struct state_row machine_rows[] = {
	M(1, irqs[IRQSRC_ISA].levels), M(2, irqs[IRQSRC_HPET].levels), M(3, irqs[IRQSRC_TEST].levels),
	M(4, irqs[IRQSRC_PCI].levels),
	STATE_ARRAY(5, struct machine, irq_wire), M(6, turn), M(7, reset_pending), M(8, sleep_pending), M(9, asleep),
	M(10, wake_pending), M(11, loaded), M(12, rsdp), M(13, facs),
	M(14, bus.space[SPACE_CPU].a20_masked), M(15, bus.space[SPACE_SMM].a20_masked), M(16, power_lost),
	M(17, irqs[IRQSRC_TPM].levels),
};
/* clang-format on */

const size_t machine_row_count = ARRAY_LEN(machine_rows);
