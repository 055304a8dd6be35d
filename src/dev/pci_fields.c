/* The fields of a configuration space: what functions, and the capabilities they share, are declared and read with. */
#include "dev/pci.h"

u16 pci_get16(const struct pci_dev *p, unsigned reg)
{
	return (u16)(p->cfg[reg] | p->cfg[reg + 1] << 8);
}

u32 pci_get32(const struct pci_dev *p, unsigned reg)
{
	return pci_get16(p, reg) | (u32)pci_get16(p, reg + 2) << 16;
}

void pci_set16(struct pci_dev *p, unsigned reg, u16 v)
{
	p->cfg[reg] = (u8)v;
	p->cfg[reg + 1] = (u8)(v >> 8);
}

void pci_set32(struct pci_dev *p, unsigned reg, u32 v)
{
	pci_set16(p, reg, (u16)v);
	pci_set16(p, reg + 2, (u16)(v >> 16));
}

void pci_writable(struct pci_dev *p, unsigned reg, unsigned size, u32 bits)
{
	for (unsigned i = 0; i < size; i++)
		p->wmask[reg + i] |= (u8)(bits >> 8 * i);
}

void pci_add_bar(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, u64 size, const struct bus_ops *ops, void *dev)
{
	unsigned reg = PCI_BAR0 + 4 * n;
	u64 writable = ~(size - 1);

	p->bar[n] = (struct pci_bar){
		.kind = kind,
		.range = { .ops = ops, .dev = dev, .name = p->dev.ops->name, .size = size, .port = kind == PCI_BAR_IO },
	};
	pci_set32(p, reg, kind == PCI_BAR_IO ? 1 : kind == PCI_BAR_MEM64 ? 4 : 0);
	pci_writable(p, reg, 4, (u32)writable);
	if (kind == PCI_BAR_MEM64)
		pci_writable(p, reg + 4, 4, (u32)(writable >> 32));
	pci_writable(p, PCI_COMMAND, 1, kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEMORY);
}

unsigned pci_add_cap(struct pci_dev *p, u8 id, unsigned len)
{
	unsigned at = p->next_cap;

	p->cfg[at] = id;
	p->cfg[at + 1] = p->cfg[PCI_CAPABILITIES];
	p->cfg[PCI_CAPABILITIES] = (u8)at;
	p->cfg[PCI_STATUS] |= PCI_STS_CAP_LIST;
	p->next_cap = (u8)(at + ((len + 3) & ~3u));
	return at;
}
