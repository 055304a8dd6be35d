#include "dev/pci.h"

/* ---- INTx ---- */

unsigned pci_pirq(u8 devfn, u8 pin)
{
	return ((devfn >> 3) + pin - 1u) & 7;
}

static void update_intx(struct pci_dev *p)
{
	bool wire = p->intx && !(pci_get16(p, PCI_COMMAND) & PCI_CMD_INTX_DISABLE);
	struct pci_bus *b = p->pci;
	u8 pin = p->cfg[PCI_INTERRUPT_PIN];

	/* "Interrupt Status": the function's wish, whatever Interrupt Disable says. */
	p->cfg[PCI_STATUS] = (u8)((p->cfg[PCI_STATUS] & ~PCI_STS_INTERRUPT) | (p->intx ? PCI_STS_INTERRUPT : 0));
	if (wire == p->intx_wire || !pin)
		return;
	p->intx_wire = wire;
	unsigned n = pci_pirq(p->devfn, pin), before = b->asserted[n];
	b->asserted[n] = wire ? before + 1 : before - 1;
	if (b->pirq && !before != !b->asserted[n])
		b->pirq(b->pirq_arg, n, b->asserted[n] != 0);
}

void pci_set_intx(struct pci_dev *p, bool level)
{
	p->intx = level;
	update_intx(p);
}

/* ---- base address registers ---- */

static u64 bar_address(const struct pci_dev *p, unsigned n)
{
	unsigned reg = PCI_BAR0 + 4 * n;
	u32 v = pci_get32(p, reg);

	switch (p->bar[n].kind) {
	case PCI_BAR_IO: return v & ~3u;
	case PCI_BAR_MEM64: return (v & ~15u) | (u64)pci_get32(p, reg + 4) << 32;
	default: return v & ~15u;
	}
}

/* Does the function claim it? Zero is where an unprogrammed BAR stands; the last address is where a BAR stands while it
 * is being sized. Neither is anyone's intention, and both are other people's addresses. */
static bool bar_decodes(const struct pci_dev *p, unsigned n, u64 base)
{
	const struct pci_bar *bar = &p->bar[n];
	bool io = bar->kind == PCI_BAR_IO;
	u64 last = base + bar->range.size - 1;

	if (!(p->cfg[PCI_COMMAND] & (io ? PCI_CMD_IO : PCI_CMD_MEMORY)) || !base)
		return false;
	if (io)
		return last <= 0xffff; /* a processor cannot reach beyond */
	return last > base && last != 0xffffffff && last != UINT64_MAX;
}

static void update_bars(struct pci_dev *p)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *bar = &p->bar[n];
		if (!bar->range.size)
			continue;
		u64 base = bar_address(p, n);
		bool on = bar_decodes(p, n, base);
		if (on == bar->range.mapped && (!on || base == bar->range.base))
			continue;
		bus_unmap(p->pci->bus, &bar->range);
		bar->range.base = base;
		if (on)
			bus_map(p->pci->bus, &bar->range);
	}
}

/* ---- configuration cycles ---- */

u32 pci_config_read(struct pci_bus *b, u8 devfn, unsigned reg, unsigned size)
{
	struct pci_dev *p = b->fn[devfn];
	u32 v = 0;

	if (!p)
		return (u32)low_bytes(~0ull, size);
	if (reg + size > sizeof(p->cfg))
		return 0; /* no extended capabilities */
	if (p->cfg_ops && p->cfg_ops->before_read)
		p->cfg_ops->before_read(p, reg, size);
	for (unsigned i = 0; i < size; i++)
		v |= (u32)p->cfg[reg + i] << 8 * i;
	return v;
}

void pci_config_write(struct pci_bus *b, u8 devfn, unsigned reg, unsigned size, u32 v)
{
	struct pci_dev *p = b->fn[devfn];

	if (!p || reg + size > sizeof(p->cfg))
		return;
	for (unsigned i = 0; i < size; i++) {
		u8 m = p->wmask[reg + i], byte = (u8)(v >> 8 * i);
		p->cfg[reg + i] = (u8)((p->cfg[reg + i] & ~m) | (byte & m));
		if (reg + i == PCI_STATUS + 1) /* "Device Status": errors are cleared by writing ones */
			p->cfg[reg + i] &= (u8)~byte;
	}
	if (reg < PCI_HEADER_END) {
		update_bars(p);
		update_intx(p);
	}
	msix_written(p, reg, size);
	if (p->cfg_ops && p->cfg_ops->written)
		p->cfg_ops->written(p, reg, size);
}

/* ---- cycles that functions make ---- */

void pci_aborted(void *pci_bus, u16 requester)
{
	const struct pci_bus *b = pci_bus;
	struct pci_dev *p = requester < ARRAY_LEN(b->fn) ? b->fn[requester] : NULL;

	if (p)
		p->cfg[PCI_STATUS + 1] |= PCI_STS_MASTER_ABORT >> 8;
}

static bool may_configure(struct pci_bus *b, u16 requester, enum use use, u8 devfn, unsigned reg, unsigned size)
{
	struct dma_request r = { .requester = requester, .cycle = CYCLE_CONFIG, .use = (u8)use };
	u64 at = (u64)devfn << 12 | reg, len = size;

	return dma_may(b->bus, &r, &at, &len) && (b->fn[devfn] || dma_abort(b->bus, requester));
}

bool pci_master_config_read(struct pci_bus *b, u16 requester, u8 devfn, unsigned reg, unsigned size, u32 *v)
{
	bool ok = may_configure(b, requester, USE_READ, devfn, reg, size);

	*v = ok ? pci_config_read(b, devfn, reg, size) : (u32)low_bytes(~0ull, size);
	return ok;
}

bool pci_master_config_write(struct pci_bus *b, u16 requester, u8 devfn, unsigned reg, unsigned size, u32 v)
{
	bool ok = may_configure(b, requester, USE_WRITE, devfn, reg, size);

	if (ok)
		pci_config_write(b, devfn, reg, size, v);
	return ok;
}

/* ---- coming and going ---- */

static int place(const struct pci_bus *b, int devfn)
{
	if (devfn >= 0)
		return devfn < 256 && !b->fn[devfn] ? devfn : -1;
	/* Slot 0 is the host bridge, 31 the ICH9's. */
	for (int slot = 1; slot < 31; slot++) {
		bool free = true;
		for (int fn = 0; fn < 8; fn++)
			free = free && !b->fn[slot << 3 | fn];
		if (free)
			return slot << 3;
	}
	return -1;
}

/* Software looks at functions 1 to 7 only if function 0 says that there are some. */
static void note_multifunction(struct pci_bus *b, unsigned slot)
{
	struct pci_dev *first = b->fn[slot << 3];

	for (unsigned fn = 1; fn < 8 && first; fn++) {
		if (b->fn[slot << 3 | fn]) {
			first->cfg[PCI_HEADER_TYPE] |= 0x80;
			first->power_on[PCI_HEADER_TYPE] |= 0x80;
		}
	}
}

enum status pci_attach(struct pci_dev *p, struct pci_bus *b, int devfn, const struct pci_ids *ids)
{
	int at = b ? place(b, devfn) : -1;

	if (at < 0)
		return ST_ARG;
	p->pci = b;
	p->devfn = (u8)at;
	p->next_cap = PCI_HEADER_END;
	pci_set16(p, PCI_VENDOR_ID, ids->vendor);
	pci_set16(p, PCI_DEVICE_ID, ids->device);
	pci_set32(p, PCI_REVISION_ID, ids->class_code << 8 | ids->revision);
	pci_set16(p, PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	pci_set16(p, PCI_SUBSYSTEM_ID, ids->subsystem);
	p->cfg[PCI_INTERRUPT_PIN] = ids->pin;
	pci_writable(p, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_PARITY | PCI_CMD_SERR | PCI_CMD_INTX_DISABLE);
	pci_writable(p, PCI_CACHE_LINE_SIZE, 2, 0xffff);
	if (ids->pin)
		pci_writable(p, PCI_INTERRUPT_LINE, 1, 0xff);
	b->fn[at] = p;
	note_multifunction(b, (unsigned)at >> 3);
	return ST_OK;
}

void pci_detach(struct pci_dev *p)
{
	if (!p->pci)
		return;
	pci_set_intx(p, false);
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (p->bar[n].range.mapped)
			bus_unmap(p->pci->bus, &p->bar[n].range);
	p->pci->fn[p->devfn] = NULL;
}

void pci_ready(struct pci_dev *p)
{
	memcpy(p->power_on, p->cfg, sizeof(p->cfg));
	pci_reset(p);
}

void pci_loaded(struct device *d)
{
	struct pci_dev *p = (struct pci_dev *)d;
	struct pci_bus *b = p->pci;

	update_bars(p);
	memset(b->asserted, 0, sizeof(b->asserted));
	for (unsigned n = 0; n < ARRAY_LEN(b->fn); n++)
		if (b->fn[n] && b->fn[n]->intx_wire)
			b->asserted[pci_pirq(b->fn[n]->devfn, b->fn[n]->cfg[PCI_INTERRUPT_PIN])]++;
}

void pci_reset(struct pci_dev *p)
{
	pci_set_intx(p, false);
	memcpy(p->cfg, p->power_on, sizeof(p->cfg));
	update_bars(p);
	msix_reset(p);
}
