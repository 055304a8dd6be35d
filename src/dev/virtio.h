/*
 * virtio 1.x over PCI: feature negotiation, split virtqueues, interrupts. Virtual I/O Device (VIRTIO) Version 1.2,
 * "Virtio Over PCI Bus", "Split Virtqueues". What a device does with its buffers is its own file's.
 *
 * A ring that makes no sense sets DEVICE_NEEDS_RESET and the device rests until the driver resets it.
 */
#ifndef DEV_VIRTIO_H
#define DEV_VIRTIO_H

#include "dev/pci.h"

enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4 };
enum {
	VIRTIO_STATUS_ACKNOWLEDGE = 1, VIRTIO_STATUS_DRIVER = 2, VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8, VIRTIO_STATUS_NEEDS_RESET = 64, VIRTIO_STATUS_FAILED = 128,
};
enum { VIRTIO_F_INDIRECT_DESC = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_VERSION_1 = 32 };

#define VIRTIO_QUEUES     2
#define VIRTIO_QUEUE_SIZE 256
#define VIRTIO_CONFIG_MAX 64
#define VIRTQ_SEGS        1024 /* of one chain, its indirect table included */

struct virtio;

struct virtq {
	u64 desc, driver, device; /* where the three areas are */
	u16 size, vector;
	bool enabled;
	u16 last_avail;   /* the next entry of the available ring to take */
	u16 used_idx;
	u16 signalled;    /* used_idx when the driver was last told */
	struct virtio *v; /* cache: its owner */
};

/* Rows of a queue: ten ids. */
#define VIRTQ_ROWS(base, type, q)                                                                                      \
	STATE((base) + 0, type, q.desc), STATE((base) + 1, type, q.driver), STATE((base) + 2, type, q.device),         \
	STATE((base) + 3, type, q.size), STATE((base) + 4, type, q.vector), STATE((base) + 5, type, q.enabled),        \
	STATE((base) + 6, type, q.last_avail), STATE((base) + 7, type, q.used_idx), STATE((base) + 8, type, q.signalled)

/* What one kind of device adds. */
struct virtio_class {
	u16 id; /* VIRTIO_ID_ */
	u32 class_code;
	unsigned queues;
	unsigned config_size;
	void (*notify)(struct virtio *v, unsigned queue);
	void (*reset)(struct virtio *v); /* by the driver or the platform; NULL: nothing of its own */
};

struct virtio {
	struct pci_dev pci; /* first */
	const struct virtio_class *cls;
	u64 offered;  /* wired: feature bits */
	u64 accepted;
	u32 device_select, driver_select;
	u8 status, isr;
	u16 config_vector, queue_select;
	struct virtq q[VIRTIO_QUEUES];
	u8 config[VIRTIO_CONFIG_MAX]; /* wired: device-specific; read-only to the driver */
	u8 pci_cfg_cap;               /* wired: where VIRTIO_PCI_CAP_PCI_CFG is */
};

/* Ids base to base + 39. */
#define VIRTIO_ROWS(base, type, v)                                                                                     \
	PCI_ROWS(base, type, v.pci), STATE((base) + 10, type, v.accepted), STATE((base) + 11, type, v.device_select),  \
	STATE((base) + 12, type, v.driver_select), STATE((base) + 13, type, v.status),                             \
	STATE((base) + 14, type, v.isr), STATE((base) + 15, type, v.config_vector),                         \
	STATE((base) + 16, type, v.queue_select),                                                                      \
	VIRTQ_ROWS((base) + 20, type, v.q[0]), VIRTQ_ROWS((base) + 30, type, v.q[1])

/* A chain of buffers: first what the device reads, then what it writes. */
struct virtq_elem {
	u16 head;
	unsigned out_count, in_count; /* segments */
	u64 out_len, in_len;          /* bytes */
	struct virtq_seg {
		u64 addr;
		u32 len;
	} seg[VIRTQ_SEGS];
};

/* v->pci.dev is filled in, features without the transport's own and config are set. */
enum status virtio_attach(struct virtio *v, const struct dev_env *e, int devfn, const struct virtio_class *cls)
	must_check;
void virtio_detach(struct virtio *v);
void virtio_reset(struct device *d); /* device_ops.reset */

static inline bool virtio_has(const struct virtio *v, unsigned feature)
{
	return v->accepted >> feature & 1;
}
bool virtio_running(const struct virtio *v); /* DRIVER_OK, bus master, not broken */
void virtio_broken(struct virtio *v);

/* Rings. Take the next chain; false: none there, or the ring is broken. */
bool virtq_pop(struct virtq *q, struct virtq_elem *e);
/* The available index as the driver left it; false: no queue, or broken. `ask`: tell the driver to notify beyond it. */
bool virtq_available(struct virtq *q, u16 *idx, bool ask);
void virtq_push(struct virtq *q, const struct virtq_elem *e, u32 written);
void virtq_signal(struct virtq *q); /* interrupt if the driver wants one for what was pushed */

/* Copy out of what the device reads, or into what it writes, from byte `at` of it. false: beyond its end, or the
 * guest's address is not memory. */
bool virtq_read(struct virtq *q, const struct virtq_elem *e, u64 at, void *buf, u64 len);
bool virtq_write(struct virtq *q, const struct virtq_elem *e, u64 at, const void *buf, u64 len);

#endif
