/*
 * PCI bus 0: functions with type 0 headers, their base address registers, capabilities and interrupts.
 * PCI Local Bus Specification 3.0, "Configuration Space", "Message Signaled Interrupts"; PCI Firmware, MCFG.
 *
 * INTx routing, the rule that machine/acpi's _PRT and boot/platform.c repeat: pin p (INTA# is 0) of the device in slot
 * s drives PIRQ[(s + p) & 7] of the LPC bridge, PIRQA# being 0. PIRQ n is always I/O APIC input 16 + n, and the 8259
 * input that the bridge's PIRQ[n]_ROUT register (60h-63h, 68h-6Bh) names unless its bit 7 is set.
 */
#ifndef DEV_PCI_H
#define DEV_PCI_H

#include "dev/dev.h"
#include "dev/devices.h"

/* "Type 00h Configuration Space Header" */
enum {
	PCI_VENDOR_ID = 0x00, PCI_DEVICE_ID = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION_ID = 0x08,
	PCI_CLASS_CODE = 0x09, PCI_CACHE_LINE_SIZE = 0x0c, PCI_LATENCY_TIMER = 0x0d, PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10, PCI_SUBSYSTEM_VENDOR_ID = 0x2c, PCI_SUBSYSTEM_ID = 0x2e, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_LINE = 0x3c, PCI_INTERRUPT_PIN = 0x3d, PCI_HEADER_END = 0x40,
};
enum {
	PCI_CMD_IO = 1 << 0, PCI_CMD_MEMORY = 1 << 1, PCI_CMD_MASTER = 1 << 2, PCI_CMD_PARITY = 1 << 6,
	PCI_CMD_SERR = 1 << 8, PCI_CMD_INTX_DISABLE = 1 << 10,
};
enum { PCI_STS_INTERRUPT = 1 << 3, PCI_STS_CAP_LIST = 1 << 4, PCI_STS_MASTER_ABORT = 1 << 13 };
enum { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_DEV = 0x0f, PCI_CAP_MSIX = 0x11 };
enum pci_bar_kind { PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

#define PCI_BARS     6
#define PCI_MSIX_MAX 8
#define PCI_MSIX_SIZE 4096 /* of the BAR that holds table and pending bits */

struct pci_dev;

struct pci_bar {
	struct bus_range range; /* cache: where the registers say; size 0: no such BAR */
	enum pci_bar_kind kind; /* wired */
};

/* What the function wants to hear about its configuration space; each may be NULL. */
struct pci_cfg_ops {
	void (*before_read)(struct pci_dev *p, unsigned reg, unsigned size);
	void (*written)(struct pci_dev *p, unsigned reg, unsigned size);
};

struct pci_dev {
	struct device dev; /* first: a function is a device */
	struct pci_bus *pci;
	const struct pci_cfg_ops *cfg_ops;
	u8 devfn;        /* wired */
	u8 cfg[256];
	u8 wmask[256];   /* wired: which bits software may write; cache, where a lock bit changes it */
	u8 power_on[256]; /* wired */
	u8 next_cap;     /* wired: where the next capability goes */
	u8 msi_cap, msix_cap; /* wired; 0: none */
	u8 msix_count;   /* wired */
	bool intx;       /* the function wants INTx */
	bool intx_wire;  /* and its pin says so */
	u32 msix[PCI_MSIX_MAX][4]; /* "MSI-X Table": address, upper address, data, vector control */
	u32 msix_pending;
	struct pci_bar bar[PCI_BARS];
};

/* A row each of what software can change. `base`: the first of eight ids. */
#define PCI_ROWS(base, type, p)                                                                                        \
	STATE_ARRAY((base) + 0, type, p.cfg), STATE((base) + 1, type, p.intx), STATE((base) + 2, type, p.intx_wire),   \
	STATE((base) + 3, type, p.msix), STATE((base) + 4, type, p.msix_pending)

struct pci_bus {
	struct bus *bus;
	struct pci_dev *fn[256]; /* wired */
	unsigned asserted[8];  /* cache: functions that hold PIRQ n down, from their intx_wire */
	void (*pirq)(void *arg, unsigned n, bool level); /* the LPC bridge */
	void *pirq_arg; /* wired */
	const struct bus_range *ecam; /* wired: where configuration space lies in memory, while that is mapped */
};

struct pci_ids {
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class_code; /* base class, sub-class, programming interface */
	u8 revision, pin; /* pin: 0 none, 1 INTA# */
};

/* Configuration cycles, whichever way they came. No function there: all ones, dropped. */
u32 pci_config_read(struct pci_bus *b, u8 devfn, unsigned reg, unsigned size);
void pci_config_write(struct pci_bus *b, u8 devfn, unsigned reg, unsigned size, u32 v);

/* The same as cycles that a function of the bus makes. false: a master abort, reads are all ones. */
bool pci_master_config_read(struct pci_bus *b, u16 requester, u8 devfn, unsigned reg, unsigned size, u32 *v);
bool pci_master_config_write(struct pci_bus *b, u16 requester, u8 devfn, unsigned reg, unsigned size, u32 v);
/* A cycle of this function ended in a master abort: "Received Master Abort". */
void pci_aborted(void *pci_bus, u16 requester);

/* Fill in the header and take a place: devfn, or the first free slot if -1. p->dev is already filled in.
 * ST_ARG: the place is taken, or none is left. */
enum status pci_attach(struct pci_dev *p, struct pci_bus *b, int devfn, const struct pci_ids *ids) must_check;
void pci_detach(struct pci_dev *p);
/* Everything is declared: what the configuration space holds now is what it holds at power-on. */
void pci_ready(struct pci_dev *p);
void pci_reset(struct pci_dev *p);
/* device_ops.loaded of a function that has nothing of its own to make anew: where its BARs are, who holds which PIRQ. */
void pci_loaded(struct device *d);

/* A BAR of a power of two bytes (at least 4 for I/O, 16 for memory). `dev` is handed to ops. MEM64 also takes n + 1. */
void pci_add_bar(struct pci_dev *p, unsigned n, enum pci_bar_kind kind, u64 size, const struct bus_ops *ops, void *dev);
/* Room for a capability of `len` bytes, linked in; returns its offset. */
unsigned pci_add_cap(struct pci_dev *p, u8 id, unsigned len);
void pci_writable(struct pci_dev *p, unsigned reg, unsigned size, u32 bits);

u16 pci_get16(const struct pci_dev *p, unsigned reg);
u32 pci_get32(const struct pci_dev *p, unsigned reg);
void pci_set16(struct pci_dev *p, unsigned reg, u16 v);
void pci_set32(struct pci_dev *p, unsigned reg, u32 v);

/* "Bus Master": without it the function neither moves data nor sends messages. */
static inline bool pci_is_master(const struct pci_dev *p)
{
	return p->cfg[PCI_COMMAND] & PCI_CMD_MASTER;
}
void pci_set_intx(struct pci_dev *p, bool level);
unsigned pci_pirq(u8 devfn, u8 pin); /* pin as the register says it: 1 is INTA# */

/* msi.c. One message; 64-bit address, no per-vector masking. */
void msi_add(struct pci_dev *p);
bool msi_enabled(const struct pci_dev *p);
void msi_send(struct pci_dev *p);
/* Table and pending bits in memory BAR `bar`. */
void msix_add(struct pci_dev *p, unsigned bar, unsigned vectors);
bool msix_enabled(const struct pci_dev *p);
void msix_send(struct pci_dev *p, unsigned vector); /* held pending while masked */
void msix_written(struct pci_dev *p, unsigned reg, unsigned size); /* pci.c: message control may have changed */
void msix_reset(struct pci_dev *p);

#endif
