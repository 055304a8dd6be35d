/*
 * ICH9 LPC bridge, 8086:2918 at 00:1F.0: where the ACPI block sits, where the PCI interrupt pins go, and the locks and
 * rates of the SMI# logic. Intel ICH9 data sheet, "LPC Interface Bridge Registers (D31:F0)". The rule from device and pin
 * to PIRQ: dev/pci.h. There is no flash behind BIOS_CNTL: BIOSWE opens nothing, but raises what it raises; a bit for writes
 * by system management mode alone came with later chipsets.
 */
#include "dev/pci.h"

enum {
	PMBASE = 0x40, ACPI_CNTL = 0x44, GPIOBASE = 0x48, GC = 0x4c, PIRQ_ROUT = 0x60, SIRQ_CNTL = 0x64,
	PIRQ_ROUT2 = 0x68, LPC_IO_DEC = 0x80, LPC_EN = 0x82, GEN1_DEC = 0x84, GEN_PMCON_1 = 0xa0, GEN_PMCON_3 = 0xa4,
	GEN_PMCON_LOCK = 0xa6, BIOS_CNTL = 0xdc, RCBA = 0xf0,
};
enum {
	MC_LPC_EN = 1 << 11, /* LPC_EN */
	PER_SMI_SEL = 3, SMI_LOCK = 1 << 4, PMCON_1_BITS = 0x0473, PWRBTN_LVL = 1 << 9,
	SWSMI_RATE_SEL = 3 << 6, /* in the RTC well, as all of GEN_PMCON_3 */
	ACPI_BASE_LOCK = 1 << 1,
	BIOSWE = 1 << 0, BLE = 1 << 1, SRC = 3 << 2,
};
enum { ACPI_EN = 0x80, PIRQ_OFF = 0x80, RESET_PMBASE = 0x600 };

/* Inputs of the 8259s that an external device may drive; "PIRQ[n]_ROUT": the others are reserved. */
#define ISA_INPUTS 0xdef8u

struct lpc {
	struct pci_dev pci;
	u8 pirq; /* levels of PIRQA# to PIRQH#, bit 0 is A */
	struct irq_line irq[24]; /* cache: from pirq and the routing registers */
	struct lpc_blocks blocks; /* wired */
	bool bios_writable; /* cache: BIOSWE */
};

static unsigned rout(unsigned n)
{
	return n < 4 ? PIRQ_ROUT + n : PIRQ_ROUT2 + n - 4;
}

static void update(struct lpc *l)
{
	u32 isa = 0;

	for (unsigned n = 0; n < 8; n++) {
		u8 r = l->pci.cfg[rout(n)];
		bool level = l->pirq >> n & 1;
		irq_set(&l->irq[16 + n], level);
		if (level && !(r & PIRQ_OFF))
			isa |= 1u << (r & 15);
	}
	for (unsigned n = 0; n < 16; n++)
		irq_set(&l->irq[n], isa & ISA_INPUTS & 1u << n);
}

static void pirq(void *arg, unsigned n, bool level)
{
	struct lpc *l = arg;

	l->pirq = (u8)(level ? l->pirq | 1u << n : l->pirq & ~(1u << n));
	update(l);
}

static void update_pm(struct lpc *l)
{
	u16 base = pci_get16(&l->pci, PMBASE) & 0xff80;
	bool on = l->pci.cfg[ACPI_CNTL] & ACPI_EN;

	if (l->blocks.pm)
		acpipm_move(l->blocks.pm, base, on);
	if (l->blocks.smi)
		smi_move(l->blocks.smi, base, on);
	if (l->blocks.tco)
		tco_move(l->blocks.tco, base, on);
}

/* "SMI_LOCK", "ACPI_BASE_LOCK", "BLE": once set they stay until a reset, and the first two hold others fast. */
static void update_locks(struct lpc *l)
{
	const u8 *cfg = l->pci.cfg;
	u8 *w = l->pci.wmask;

	w[GEN_PMCON_1] = cfg[GEN_PMCON_1] & SMI_LOCK ? (u8)(PMCON_1_BITS & ~SMI_LOCK) : (u8)PMCON_1_BITS;
	w[GEN_PMCON_LOCK] = cfg[GEN_PMCON_LOCK] & ACPI_BASE_LOCK ? 0 : ACPI_BASE_LOCK;
	w[PMBASE] = cfg[GEN_PMCON_LOCK] & ACPI_BASE_LOCK ? 0 : 0x80;
	w[PMBASE + 1] = cfg[GEN_PMCON_LOCK] & ACPI_BASE_LOCK ? 0 : 0xff;
	w[BIOS_CNTL] = SRC | BIOSWE | (cfg[BIOS_CNTL] & BLE ? 0 : BLE);
}

static void update_smi(struct lpc *l)
{
	const u8 *cfg = l->pci.cfg;

	update_locks(l);
	l->bios_writable = cfg[BIOS_CNTL] & BIOSWE;
	if (!l->blocks.smi)
		return;
	smi_configure(l->blocks.smi, (struct smi_config){
		.smi_lock = cfg[GEN_PMCON_1] & SMI_LOCK,
		.microcontroller = pci_get16(&l->pci, LPC_EN) & MC_LPC_EN,
		.per_smi_sel = cfg[GEN_PMCON_1] & PER_SMI_SEL,
		.swsmi_rate_sel = (cfg[GEN_PMCON_3] & SWSMI_RATE_SEL) >> 6,
	});
}

/* "BLE": what sets BIOSWE from then on is an SMI. */
static void check_bios_lock(const struct lpc *l)
{
	u8 v = l->pci.cfg[BIOS_CNTL];

	if ((v & BIOSWE) && !l->bios_writable && (v & BLE) && l->blocks.tco)
		tco_bios_write(l->blocks.tco);
}

static void cfg_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct lpc *l = (struct lpc *)p;

	if (reg < ACPI_CNTL + 1 && reg + size > PMBASE)
		update_pm(l);
	if (reg <= BIOS_CNTL && reg + size > BIOS_CNTL)
		check_bios_lock(l);
	update_smi(l);
	update(l);
}

static const struct pci_cfg_ops cfg_ops = { .written = cfg_written };

static void registers(struct pci_dev *p)
{
	/* There is no firmware that must run first: the ACPI block is where the tables say it is. */
	pci_set32(p, PMBASE, RESET_PMBASE | 1);
	p->cfg[ACPI_CNTL] = ACPI_EN;
	pci_writable(p, ACPI_CNTL, 1, 0x87);
	pci_set32(p, GPIOBASE, 1);
	pci_writable(p, GPIOBASE, 2, 0xff80);
	pci_writable(p, GC, 1, 0x11);
	for (unsigned n = 0; n < 8; n++) {
		p->cfg[rout(n)] = PIRQ_OFF;
		pci_writable(p, rout(n), 1, 0x8f);
	}
	p->cfg[SIRQ_CNTL] = 0x10;
	pci_writable(p, SIRQ_CNTL, 1, 0xff);
	pci_writable(p, LPC_IO_DEC, 2, 0x1377);
	pci_writable(p, LPC_EN, 2, 0x3fff);
	for (unsigned n = 0; n < 4; n++)
		pci_writable(p, GEN1_DEC + 4 * n, 4, 0xfcfffd);
	pci_set16(p, GEN_PMCON_1, PWRBTN_LVL);
	pci_writable(p, GEN_PMCON_1 + 1, 1, PMCON_1_BITS >> 8);
	pci_writable(p, GEN_PMCON_3, 2, 0xffff);
	pci_writable(p, RCBA, 4, 0xffffc001); /* DEVIATION: the root complex registers behind it are not there */
	/* "PCICMD": decoding cannot be turned off. */
	p->cfg[PCI_COMMAND] = PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER;
	p->wmask[PCI_COMMAND] &= (u8)~PCI_CMD_MASTER;
	p->cfg[PCI_HEADER_TYPE] = 0x80;
}

void lpc_set_blocks(struct device *lpc, struct lpc_blocks blocks)
{
	struct lpc *l = (struct lpc *)lpc;

	l->blocks = blocks;
	update_pm(l);
	update_smi(l);
}

static void lpc_reset(struct device *d)
{
	struct lpc *l = (struct lpc *)d;

	u16 rtc_well = pci_get16(&l->pci, GEN_PMCON_3);

	pci_reset(&l->pci);
	pci_set16(&l->pci, GEN_PMCON_3, rtc_well);
	update(l);
	update_pm(l);
	update_smi(l);
}

static void lpc_loaded(struct device *d)
{
	pci_loaded(d);
	update((struct lpc *)d);
	update_smi((struct lpc *)d);
}

static void lpc_destroy(struct device *d)
{
	struct lpc *l = (struct lpc *)d;

	l->pci.pci->pirq = NULL;
	pci_detach(&l->pci);
	base_free(l);
}

static const struct state_row rows[] = { PCI_ROWS(1, struct lpc, pci), STATE(10, struct lpc, pirq) };

static const struct device_ops ops = {
	.name = "lpc", .reset = lpc_reset, .loaded = lpc_loaded, .destroy = lpc_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status lpc_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24])
{
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x2918, .class_code = 0x060100, .revision = 2,
		.subsystem_vendor = 0x8086, .subsystem = 0x2918,
	};
	struct lpc *l = base_alloc(sizeof(*l));

	if (!l)
		return ST_NOMEM;
	l->pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	l->pci.cfg_ops = &cfg_ops;
	memcpy(l->irq, irq, sizeof(l->irq));
	enum status s = pci_attach(&l->pci, e->pci, LPC_DEVFN, &ids);
	if (s != ST_OK) {
		base_free(l);
		return s;
	}
	registers(&l->pci);
	update_locks(l);
	pci_ready(&l->pci);
	e->pci->pirq = pirq;
	e->pci->pirq_arg = l;
	*out = &l->pci.dev;
	return ST_OK;
}
