/*
 * ICH9 LPC bridge, 8086:2918 at 00:1F.0: where the ACPI block sits, and where the PCI interrupt pins go.
 * Intel ICH9 data sheet, "LPC Interface Bridge Registers (D31:F0)". The rule from device and pin to PIRQ: dev/pci.h.
 */
#include "dev/pci.h"

enum {
	PMBASE = 0x40, ACPI_CNTL = 0x44, GPIOBASE = 0x48, GC = 0x4c, PIRQ_ROUT = 0x60, SIRQ_CNTL = 0x64,
	PIRQ_ROUT2 = 0x68, LPC_IO_DEC = 0x80, LPC_EN = 0x82, GEN1_DEC = 0x84, GEN_PMCON_1 = 0xa0, GEN_PMCON_3 = 0xa4,
	RCBA = 0xf0,
};
enum { ACPI_EN = 0x80, PIRQ_OFF = 0x80, RESET_PMBASE = 0x600 };

/* Inputs of the 8259s that an external device may drive; "PIRQ[n]_ROUT": the others are reserved. */
#define ISA_INPUTS 0xdef8u

struct lpc {
	struct pci_dev pci;
	u8 pirq; /* levels of PIRQA# to PIRQH#, bit 0 is A */
	struct irq_line irq[24]; /* cache: from pirq and the routing registers */
	struct device *pm, *smi; /* what PMBASE moves; NULL: it stays where it is */
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

	if (l->pm)
		acpipm_move(l->pm, base, on);
	if (l->smi)
		smi_move(l->smi, base, on);
}

static void cfg_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct lpc *l = (struct lpc *)p;

	if (reg < ACPI_CNTL + 1 && reg + size > PMBASE)
		update_pm(l);
	update(l);
}

static const struct pci_cfg_ops cfg_ops = { .written = cfg_written };

static void registers(struct pci_dev *p)
{
	/* There is no firmware that must run first: the ACPI block is where the tables say it is. */
	pci_set32(p, PMBASE, RESET_PMBASE | 1);
	p->cfg[ACPI_CNTL] = ACPI_EN;
	pci_writable(p, PMBASE, 2, 0xff80);
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
	pci_writable(p, GEN_PMCON_1, 2, 0xffff);
	pci_writable(p, GEN_PMCON_3, 2, 0xffff);
	pci_writable(p, RCBA, 4, 0xffffc001); /* DEVIATION: the root complex registers behind it are not there */
	/* "PCICMD": decoding cannot be turned off. */
	p->cfg[PCI_COMMAND] = PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER;
	p->wmask[PCI_COMMAND] &= (u8)~PCI_CMD_MASTER;
	p->cfg[PCI_HEADER_TYPE] = 0x80;
}

void lpc_set_pm(struct device *lpc, struct device *pm, struct device *smi)
{
	struct lpc *l = (struct lpc *)lpc;

	l->pm = pm;
	l->smi = smi;
	update_pm(l);
}

static void lpc_reset(struct device *d)
{
	struct lpc *l = (struct lpc *)d;

	pci_reset(&l->pci);
	update(l);
	update_pm(l);
}

static void lpc_loaded(struct device *d)
{
	pci_loaded(d);
	update((struct lpc *)d);
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
	pci_ready(&l->pci);
	e->pci->pirq = pirq;
	e->pci->pirq_arg = l;
	*out = &l->pci.dev;
	return ST_OK;
}
