/*
 * The northbridge of a processor with the secure half of SVM as those of family 0Fh show it: function 0, the HyperTransport
 * configuration, and function 3, miscellaneous control, which has the DEV capability block at F0h, where secure loaders
 * look for it. (dram.c has the two between.) 33047 "External Access Protection".
 *
 * Its host bridge is the one door between devices and memory, ports and configuration space: bus->guard.
 */
#include "dev/exclusion.h"
#include "dev/pci.h"

enum { DEV_HDR = 0xf0, DEV_OP = DEV_HDR + 4, DEV_DATA = DEV_HDR + 8, DEV_BLOCK_SIZE = 12 };
enum { DEV_HAS_MCE = 1 << 4 }; /* DEV_HDR[31:16], over the type; no interrupt reporting, bit 21 */
enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };

/* "MCi_STATUS" and the northbridge's error codes: a bus error that it observed, generic level. */
#define MC_UC      BIT(61)
#define MC_ADDRV   BIT(58)
#define MC_DEV     (9ull << 16) /* extended error code: device exclusion vector */
#define MC_BUS     0x0c03ull    /* 0000 1PPT RRRR IILL: observed, no time-out, memory, generic */
#define MC_READ    (1ull << 4)
#define MC_WRITE   (2ull << 4)

struct northbridge {
	struct pci_dev misc, link; /* functions 3 and 0 */
	struct exclusion dev;
	bool clear_disabled; /* DEV_CR.MEM_CLR_DIS as the last reset found it */
	struct northbridge_env env; /* wired */
};

/* ---- who may pass ---- */

/* Only as a dword is CONFIG_ADDRESS there; other accesses are those of ordinary ports. */
static bool config_port(u64 port, u64 size)
{
	return (port == CONFIG_ADDRESS && size == 4) || (port < CONFIG_DATA + 4 && port + size > CONFIG_DATA);
}

static void refuse(struct northbridge *nb, const struct dma_request *r, u64 pa)
{
	struct bus *b = nb->misc.dev.bus;
	u64 room;
	bool memory = space_memory(&b->space[SPACE_DMA], pa, r->use, &room);

	if (exclusion_log(&nb->dev, r, pa, memory))
		nb->env.machine_check(nb->env.arg,
				      MC_UC | MC_ADDRV | MC_DEV | MC_BUS | (r->use == USE_WRITE ? MC_WRITE : MC_READ), pa);
}

/* "Config Space Accesses": never, whatever is enabled. Up to where it begins others may be answered for. */
static bool in_config_space(const struct northbridge *nb, u64 pa, u64 *len)
{
	const struct bus_range *ecam = nb->misc.pci->ecam;

	if (!ecam->mapped)
		return false;
	if (pa < ecam->base)
		*len = min_u64(*len, ecam->base - pa);
	return pa - ecam->base < ecam->size;
}

static bool allow(void *arg, const struct dma_request *r, u64 *at, u64 *len)
{
	struct northbridge *nb = arg;

	if (r->cycle == CYCLE_CONFIG)
		return false;
	if (r->cycle == CYCLE_IO)
		return !(nb->dev.cr & DEV_CR_IOSPEN) && !config_port(*at, *len);
	if (in_config_space(nb, *at, len))
		return false;
	if (exclusion_allows(&nb->dev, nb->misc.dev.bus, r->requester, *at, len))
		return true;
	refuse(nb, r, *at);
	return false;
}

void northbridge_init(struct device *d)
{
	exclusion_init(&((struct northbridge *)d)->dev);
}

void northbridge_protect(struct device *d, u64 slb)
{
	exclusion_protect(&((struct northbridge *)d)->dev, slb);
}

bool northbridge_clear_disabled(const struct device *d)
{
	return ((const struct northbridge *)d)->clear_disabled;
}

/* ---- "DEV Register Access Mechanism" ---- */

static bool touches(unsigned reg, unsigned size, unsigned at)
{
	return reg < at + 4 && reg + size > at;
}

static void misc_before_read(struct pci_dev *p, unsigned reg, unsigned size)
{
	if (touches(reg, size, DEV_DATA))
		pci_set32(p, DEV_DATA, exclusion_read(&((struct northbridge *)p)->dev, pci_get16(p, DEV_OP)));
}

/* What a narrow write leaves out keeps the register's value. */
static void misc_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct northbridge *nb = (struct northbridge *)p;
	struct exclusion *x = &nb->dev;
	u16 op = pci_get16(p, DEV_OP);
	u32 v = exclusion_read(x, op);

	if (!touches(reg, size, DEV_DATA))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (DEV_DATA + n >= reg && DEV_DATA + n < reg + size)
			v = (v & ~(0xffu << 8 * n)) | (u32)p->cfg[DEV_DATA + n] << 8 * n;
	exclusion_write(x, op, v, nb->env.memory_enabled(nb->env.arg));
	pci_set32(p, DEV_DATA, 0);
}

static const struct pci_cfg_ops misc_ops = { .before_read = misc_before_read, .written = misc_written };

/* ---- life ---- */

/* "cleared to zero by RESET"; what automatic memory clear has to know of the time before is kept aside. */
static void northbridge_reset(struct device *d)
{
	struct northbridge *nb = (struct northbridge *)d;

	nb->clear_disabled = nb->dev.cr & DEV_CR_MEM_CLR_DIS;
	exclusion_reset(&nb->dev);
	pci_reset(&nb->misc);
	pci_reset(&nb->link);
}

static void northbridge_destroy(struct device *d)
{
	struct northbridge *nb = (struct northbridge *)d;

	d->bus->guard = (struct dma_guard){ 0 };
	pci_detach(&nb->misc);
	pci_detach(&nb->link);
	base_free(nb);
}

/* clang-format off */
static const struct state_row rows[] = {
	PCI_ROWS(1, struct northbridge, misc), PCI_ROWS(9, struct northbridge, link),
	EXCLUSION_ROWS(20, struct northbridge, dev), STATE(30, struct northbridge, clear_disabled),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "northbridge", .reset = northbridge_reset, .loaded = pci_loaded, .destroy = northbridge_destroy,
	.rows = rows, .row_count = ARRAY_LEN(rows),
};

static void misc_registers(struct pci_dev *p, u8 type)
{
	p->cfg_ops = &misc_ops;
	p->next_cap = DEV_HDR;
	unsigned at = pci_add_cap(p, PCI_CAP_DEV, DEV_BLOCK_SIZE);
	pci_set16(p, at + 2, type | DEV_HAS_MCE);
	pci_writable(p, DEV_OP, 2, 0xffff);
	pci_writable(p, DEV_DATA, 4, ~0u);
}

static enum status add_function(struct pci_dev *p, const struct dev_env *e, unsigned fn)
{
	const struct pci_ids ids = { .vendor = 0x1022, .device = (u16)(0x1100 + fn), .class_code = 0x060000 };

	p->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	return pci_attach(p, e->pci, NORTHBRIDGE_SLOT << 3 | (int)fn, &ids);
}

enum status northbridge_create(struct device **out, const struct dev_env *e, struct northbridge_env env)
{
	struct northbridge *nb = base_alloc(sizeof(*nb));

	if (!nb)
		return ST_NOMEM;
	nb->env = env;
	enum status s = add_function(&nb->link, e, 0);
	if (s == ST_OK && add_function(&nb->misc, e, 3) != ST_OK) {
		pci_detach(&nb->link);
		s = ST_ARG;
	}
	if (s != ST_OK) {
		base_free(nb);
		return s;
	}
	misc_registers(&nb->misc, env.type);
	pci_ready(&nb->link);
	pci_ready(&nb->misc);
	e->bus->guard = (struct dma_guard){ .allow = allow, .arg = nb };
	*out = &nb->misc.dev;
	return ST_OK;
}
