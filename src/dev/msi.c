/*
 * Message-signalled interrupts. PCI Local Bus Specification 3.0, "MSI Capability Structure", "MSI-X Capability and
 * Table Structures". A message is a dword stored by DMA, like any other data the function moves.
 */
#include "dev/pci.h"

enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_UPPER = 8, MSI_DATA = 12, MSI_LEN = 14 };
enum { MSI_ENABLE = 1 << 0, MSI_64BIT = 1 << 7 };
enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_LEN = 12 };
enum { MSIX_FUNCTION_MASK = 1 << 14, MSIX_ENABLE = 1 << 15 };
enum { ENTRY_ADDRESS, ENTRY_UPPER, ENTRY_DATA, ENTRY_CONTROL, ENTRY_MASKED = 1 };
enum { PBA_OFFSET = PCI_MSIX_SIZE / 2 };

static void send(struct pci_dev *p, u64 address, u32 data)
{
	if (pci_is_master(p))
		(void)dma_write(p->pci->bus, p->devfn, address, &data, sizeof(data));
}

/* ---- MSI ---- */

void msi_add(struct pci_dev *p)
{
	unsigned at = pci_add_cap(p, PCI_CAP_MSI, MSI_LEN);

	p->msi_cap = (u8)at;
	pci_set16(p, at + MSI_CONTROL, MSI_64BIT);
	pci_writable(p, at + MSI_CONTROL, 2, MSI_ENABLE);
	pci_writable(p, at + MSI_ADDRESS, 4, ~3u);
	pci_writable(p, at + MSI_UPPER, 4, ~0u);
	pci_writable(p, at + MSI_DATA, 2, 0xffff);
}

bool msi_enabled(const struct pci_dev *p)
{
	return p->msi_cap && (pci_get16(p, p->msi_cap + MSI_CONTROL) & MSI_ENABLE);
}

void msi_send(struct pci_dev *p)
{
	unsigned at = p->msi_cap;

	if (msi_enabled(p))
		send(p, pci_get32(p, at + MSI_ADDRESS) | (u64)pci_get32(p, at + MSI_UPPER) << 32,
		     pci_get16(p, at + MSI_DATA));
}

/* ---- MSI-X ---- */

static u16 control(const struct pci_dev *p)
{
	return p->msix_cap ? pci_get16(p, p->msix_cap + MSIX_CONTROL) : 0;
}

bool msix_enabled(const struct pci_dev *p)
{
	return control(p) & MSIX_ENABLE;
}

static bool masked(const struct pci_dev *p, unsigned vector)
{
	return (control(p) & MSIX_FUNCTION_MASK) || (p->msix[vector][ENTRY_CONTROL] & ENTRY_MASKED);
}

void msix_send(struct pci_dev *p, unsigned vector)
{
	if (vector >= p->msix_count || !msix_enabled(p))
		return;
	if (masked(p, vector)) {
		p->msix_pending |= 1u << vector;
		return;
	}
	const u32 *e = p->msix[vector];
	p->msix_pending &= ~(1u << vector);
	send(p, (e[ENTRY_ADDRESS] & ~3u) | (u64)e[ENTRY_UPPER] << 32, e[ENTRY_DATA]);
}

/* A mask went away: what waited behind it leaves. */
static void send_pending(struct pci_dev *p)
{
	if (!msix_enabled(p))
		return;
	for (unsigned v = 0; v < p->msix_count; v++)
		if ((p->msix_pending >> v & 1) && !masked(p, v))
			msix_send(p, v);
}

void msix_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	unsigned at = p->msix_cap;

	if (at && reg < at + MSIX_TABLE && reg + size > at + MSIX_CONTROL)
		send_pending(p);
}

void msix_reset(struct pci_dev *p)
{
	for (unsigned v = 0; v < PCI_MSIX_MAX; v++) {
		memset(p->msix[v], 0, sizeof(p->msix[v]));
		p->msix[v][ENTRY_CONTROL] = ENTRY_MASKED;
	}
	p->msix_pending = 0;
}

static u64 table_read(void *dev, u64 offset, unsigned size)
{
	const struct pci_dev *p = dev;
	u64 at = offset & ~3ull, v = 0;

	if (at < p->msix_count * 16u)
		v = p->msix[at / 16][at / 4 % 4];
	else if (at == PBA_OFFSET)
		v = p->msix_pending;
	return low_bytes(v >> (offset & 3) * 8, size);
}

static void table_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pci_dev *p = dev;
	u64 at = offset & ~3ull;

	if (at >= p->msix_count * 16u)
		return; /* the pending bits are read-only */
	u32 *e = &p->msix[at / 16][at / 4 % 4];
	unsigned shift = (unsigned)(offset & 3) * 8;
	u32 written = (u32)(low_bytes(~0ull, size) << shift);
	*e = (*e & ~written) | ((u32)(value << shift) & written);
	if (at / 4 % 4 == ENTRY_ADDRESS)
		*e &= ~3u;
	if (at / 4 % 4 == ENTRY_CONTROL) {
		*e &= ENTRY_MASKED;
		send_pending(p);
	}
}

static const struct bus_ops table_ops = { .read = table_read, .write = table_write, .max_size = 4 };

void msix_add(struct pci_dev *p, unsigned bar, unsigned vectors)
{
	unsigned at = pci_add_cap(p, PCI_CAP_MSIX, MSIX_LEN);

	p->msix_cap = (u8)at;
	p->msix_count = (u8)vectors;
	pci_set16(p, at + MSIX_CONTROL, (u16)(vectors - 1));
	pci_set32(p, at + MSIX_TABLE, bar);
	pci_set32(p, at + MSIX_PBA, PBA_OFFSET | bar);
	pci_writable(p, at + MSIX_CONTROL, 2, MSIX_FUNCTION_MASK | MSIX_ENABLE);
	pci_add_bar(p, bar, PCI_BAR_MEM32, PCI_MSIX_SIZE, &table_ops, p);
}
