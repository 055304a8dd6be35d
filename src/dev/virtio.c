#include "dev/virtio.h"

/* ---- "Split Virtqueues": layout ---- */
enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_FLAGS = 0, AVAIL_IDX = 2, AVAIL_RING = 4, AVAIL_NO_INTERRUPT = 1 };
enum { USED_FLAGS = 0, USED_IDX = 2, USED_RING = 4, USED_ELEM = 8 };

/* ---- "Virtio Structure PCI Capabilities" ---- */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };
enum { CAP_CFG_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_LEN = 16, CAP_EXTRA = 16 };
enum { MSIX_BAR = 1, REG_BAR = 4, REG_SIZE = 0x4000 };
enum { COMMON_AT = 0x0000, ISR_AT = 0x1000, DEVICE_AT = 0x2000, NOTIFY_AT = 0x3000, NOTIFY_MULTIPLIER = 4 };
enum {
	DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c,
	CONFIG_MSIX_VECTOR = 0x10, NUM_QUEUES = 0x12, DEVICE_STATUS = 0x14, CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16, QUEUE_SIZE = 0x18, QUEUE_MSIX_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28, QUEUE_DEVICE = 0x30, COMMON_LEN = 0x38,
};
enum { ISR_QUEUE = 1, ISR_CONFIG = 2, NO_VECTOR = 0xffff };

/* ---- moving bytes ---- */

/* Buffers and rings are memory: an address that leads to a device, this one included, is the driver's mistake. */
static bool get(struct virtio *v, u64 pa, void *buf, u64 len)
{
	return dma_load(v->pci.dev.bus, v->pci.devfn, pa, buf, len);
}

static bool put(struct virtio *v, u64 pa, const void *buf, u64 len)
{
	return dma_store(v->pci.dev.bus, v->pci.devfn, pa, buf, len);
}

/* ---- interrupts ---- */

static void interrupt(struct virtio *v, u16 vector, u8 cause)
{
	if (msix_enabled(&v->pci)) {
		if (vector != NO_VECTOR)
			msix_send(&v->pci, vector);
		return;
	}
	v->isr |= cause;
	pci_set_intx(&v->pci, true);
}

bool virtio_running(const struct virtio *v)
{
	return (v->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) == VIRTIO_STATUS_DRIVER_OK &&
	       pci_is_master(&v->pci);
}

/* "DEVICE_NEEDS_RESET": a configuration change interrupt tells the driver, once there is one. */
void virtio_broken(struct virtio *v)
{
	bool told = v->status & VIRTIO_STATUS_NEEDS_RESET;

	v->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (!told && (v->status & VIRTIO_STATUS_DRIVER_OK))
		interrupt(v, v->config_vector, ISR_CONFIG);
}

/* ---- rings ---- */

static bool broken(struct virtq *q)
{
	virtio_broken(q->v);
	return false;
}

static u64 used_event_at(const struct virtq *q)
{
	return q->driver + AVAIL_RING + 2u * q->size;
}

static u64 avail_event_at(const struct virtq *q)
{
	return q->device + USED_RING + (u64)USED_ELEM * q->size;
}

bool virtq_available(struct virtq *q, u16 *idx, bool ask)
{
	if (!q->enabled || !virtio_running(q->v))
		return false;
	if (!get(q->v, q->driver + AVAIL_IDX, idx, sizeof(*idx)) || (u16)(*idx - q->last_avail) > q->size)
		return broken(q);
	if (ask && virtio_has(q->v, VIRTIO_F_EVENT_IDX) && !put(q->v, avail_event_at(q), idx, sizeof(*idx)))
		return broken(q);
	return true;
}

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

/* A table of descriptors: the ring's own, or an indirect one. */
struct table {
	u64 at;
	u32 count;
};

static bool read_desc(struct virtq *q, const struct table *t, u32 n, struct desc *d)
{
	return n < t->count && get(q->v, t->at + (u64)n * DESC_SIZE, d, sizeof(*d));
}

/* "The Virtqueue Descriptor Table": what is read comes before what is written. */
static bool add_segment(struct virtq_elem *e, const struct desc *d)
{
	unsigned n = e->out_count + e->in_count;

	if (n == VIRTQ_SEGS || (!(d->flags & DESC_WRITE) && e->in_count))
		return false;
	e->seg[n] = (struct virtq_seg){ d->addr, d->len };
	if (d->flags & DESC_WRITE) {
		e->in_count++;
		e->in_len += d->len;
	} else {
		e->out_count++;
		e->out_len += d->len;
	}
	return true;
}

/* "Indirect Descriptors": last in a chain, of whole descriptors, never nested, only if negotiated. */
static bool enter_indirect(const struct virtq *q, const struct desc *d, bool inside, struct table *t)
{
	if (inside || !virtio_has(q->v, VIRTIO_F_INDIRECT_DESC) || (d->flags & DESC_NEXT) || !d->len ||
	    d->len % DESC_SIZE)
		return false;
	*t = (struct table){ d->addr, d->len / DESC_SIZE };
	return true;
}

/* A loop in the chain runs out of segments, because every round takes one or enters the one indirect table. */
static bool walk(struct virtq *q, struct virtq_elem *e)
{
	struct table t = { q->desc, q->size };
	bool inside = false;
	struct desc d;

	for (u32 n = e->head;; n = d.next) {
		if (!read_desc(q, &t, n, &d))
			return false;
		if (d.flags & DESC_INDIRECT) {
			if (!enter_indirect(q, &d, inside, &t))
				return false;
			inside = true;
			d.next = 0;
			continue;
		}
		if (!add_segment(e, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
	}
}

bool virtq_pop(struct virtq *q, struct virtq_elem *e)
{
	u16 idx;

	if (!virtq_available(q, &idx, false))
		return false;
	if (idx == q->last_avail) {
		(void)virtq_available(q, &idx, true);
		return false;
	}
	e->out_count = e->in_count = 0;
	e->out_len = e->in_len = 0;
	u64 slot = q->driver + AVAIL_RING + 2u * (q->last_avail & (q->size - 1u));
	if (!get(q->v, slot, &e->head, sizeof(e->head)) || !walk(q, e))
		return broken(q);
	q->last_avail++;
	return true;
}

void virtq_push(struct virtq *q, const struct virtq_elem *e, u32 written)
{
	u32 entry[2] = { e->head, written };
	u64 slot = q->device + USED_RING + (u64)USED_ELEM * (q->used_idx & (q->size - 1u));
	u16 next = (u16)(q->used_idx + 1);

	if (!virtio_running(q->v))
		return;
	if (!put(q->v, slot, entry, sizeof(entry)) || !put(q->v, q->device + USED_IDX, &next, sizeof(next))) {
		virtio_broken(q->v);
		return;
	}
	q->used_idx = next;
}

/* "Used Buffer Notification Suppression" */
static bool wants_interrupt(struct virtq *q)
{
	u16 v;

	if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX))
		return get(q->v, q->driver + AVAIL_FLAGS, &v, sizeof(v)) && !(v & AVAIL_NO_INTERRUPT);
	return get(q->v, used_event_at(q), &v, sizeof(v)) &&
	       (u16)(q->used_idx - v - 1) < (u16)(q->used_idx - q->signalled);
}

void virtq_signal(struct virtq *q)
{
	if (q->signalled == q->used_idx || !virtio_running(q->v))
		return;
	bool wanted = wants_interrupt(q);
	q->signalled = q->used_idx;
	if (wanted)
		interrupt(q->v, q->vector, ISR_QUEUE);
}

/* ---- the bytes of a chain ---- */

static bool copy(struct virtq *q, const struct virtq_seg *s, unsigned n, u64 at, u8 *buf, u64 len, bool to_guest)
{
	for (unsigned i = 0; i < n && len; i++) {
		if (at >= s[i].len) {
			at -= s[i].len;
			continue;
		}
		u64 now = min_u64(len, s[i].len - at);
		if (!(to_guest ? put(q->v, s[i].addr + at, buf, now) : get(q->v, s[i].addr + at, buf, now)))
			return false;
		buf += now, len -= now;
		at = 0;
	}
	return !len;
}

bool virtq_read(struct virtq *q, const struct virtq_elem *e, u64 at, void *buf, u64 len)
{
	return copy(q, e->seg, e->out_count, at, buf, len, false);
}

bool virtq_write(struct virtq *q, const struct virtq_elem *e, u64 at, const void *buf, u64 len)
{
	/* put() only reads it */
	return copy(q, e->seg + e->out_count, e->in_count, at, (u8 *)(uintptr_t)buf, len, true);
}

/* ---- "Common configuration structure layout" ---- */

static void reset_queue(struct virtio *v, unsigned n)
{
	v->q[n] = (struct virtq){ .size = VIRTIO_QUEUE_SIZE, .vector = NO_VECTOR, .v = v };
}

/* "Device Reset": by the driver, or with the platform. */
static void device_reset(struct virtio *v)
{
	v->accepted = 0;
	v->device_select = v->driver_select = 0;
	v->status = v->isr = 0;
	v->config_vector = NO_VECTOR;
	v->queue_select = 0;
	for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
		reset_queue(v, n);
	v->pci.msix_pending = 0;
	pci_set_intx(&v->pci, false);
	if (v->cls->reset)
		v->cls->reset(v);
}

static struct virtq *selected(struct virtio *v)
{
	return v->queue_select < v->cls->queues ? &v->q[v->queue_select] : NULL;
}

static u32 queue_read(struct virtio *v, u64 reg)
{
	const struct virtq *q = selected(v);

	if (!q)
		return reg == QUEUE_MSIX_VECTOR ? NO_VECTOR : 0;
	switch (reg) {
	case QUEUE_SIZE: return q->size;
	case QUEUE_MSIX_VECTOR: return q->vector;
	case QUEUE_ENABLE: return q->enabled;
	case QUEUE_NOTIFY_OFF: return v->queue_select;
	case QUEUE_DESC: return (u32)q->desc;
	case QUEUE_DESC + 4: return (u32)(q->desc >> 32);
	case QUEUE_DRIVER: return (u32)q->driver;
	case QUEUE_DRIVER + 4: return (u32)(q->driver >> 32);
	case QUEUE_DEVICE: return (u32)q->device;
	case QUEUE_DEVICE + 4: return (u32)(q->device >> 32);
	default: return 0;
	}
}

static u32 feature_word(u64 features, u32 select)
{
	return select < 2 ? (u32)(features >> 32 * select) : 0;
}

/* Fields are read at their own width; CONFIG_GENERATION is 0 because the configuration never changes. */
static u32 common_read(struct virtio *v, u64 reg)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT: return v->device_select;
	case DEVICE_FEATURE: return feature_word(v->offered, v->device_select);
	case DRIVER_FEATURE_SELECT: return v->driver_select;
	case DRIVER_FEATURE: return feature_word(v->accepted, v->driver_select);
	case CONFIG_MSIX_VECTOR: return v->config_vector;
	case NUM_QUEUES: return v->cls->queues;
	case DEVICE_STATUS: return v->status;
	case CONFIG_GENERATION: return 0;
	case QUEUE_SELECT: return v->queue_select;
	default: return queue_read(v, reg);
	}
}

/* "Device Initialization": FEATURES_OK stays clear if the driver chose what we cannot do, or not
 * VERSION_1, which modern devices need. */
static void write_status(struct virtio *v, u8 s)
{
	bool was_running = virtio_running(v);

	if (!s) {
		device_reset(v);
		return;
	}
	if ((s & VIRTIO_STATUS_FEATURES_OK) && !(v->status & VIRTIO_STATUS_FEATURES_OK) &&
	    ((v->accepted & ~v->offered) || !virtio_has(v, VIRTIO_F_VERSION_1)))
		s &= (u8)~VIRTIO_STATUS_FEATURES_OK;
	v->status = s | (v->status & VIRTIO_STATUS_NEEDS_RESET);
	/* Buffers that were there before DRIVER_OK count from now on. */
	for (unsigned n = 0; n < v->cls->queues && !was_running && virtio_running(v); n++)
		v->cls->notify(v, n);
}

static void write_features(struct virtio *v, u32 value)
{
	if ((v->status & VIRTIO_STATUS_FEATURES_OK) || v->driver_select > 1)
		return;
	unsigned shift = 32 * v->driver_select;
	v->accepted = (v->accepted & ~(0xffffffffull << shift)) | (u64)value << shift;
}

static u16 vector(const struct virtio *v, u32 value)
{
	return value < v->pci.msix_count ? (u16)value : NO_VECTOR;
}

static void set_half(u64 *field, bool high, u32 value)
{
	*field = high ? (*field & 0xffffffff) | (u64)value << 32 : (*field & ~0xffffffffull) | value;
}

/* "Virtqueues": the three areas are aligned to 16, 2 and 4 bytes. */
static void enable_queue(struct virtq *q, u32 value)
{
	if (value != 1 || q->enabled)
		return;
	if (!is_aligned(q->desc, 16) || !is_aligned(q->driver, 2) || !is_aligned(q->device, 4)) {
		virtio_broken(q->v);
		return;
	}
	q->enabled = true;
}

static void queue_write(struct virtio *v, u64 reg, u32 value)
{
	struct virtq *q = selected(v);

	if (!q)
		return;
	if (reg == QUEUE_MSIX_VECTOR)
		q->vector = vector(v, value);
	if (q->enabled)
		return; /* "The driver MUST configure the other virtqueue fields before enabling the virtqueue" */
	switch (reg) {
	case QUEUE_SIZE:
		if (value && value <= VIRTIO_QUEUE_SIZE && !(value & (value - 1)))
			q->size = (u16)value;
		break;
	case QUEUE_ENABLE: enable_queue(q, value); break;
	case QUEUE_DESC: case QUEUE_DESC + 4: set_half(&q->desc, reg & 4, value); break;
	case QUEUE_DRIVER: case QUEUE_DRIVER + 4: set_half(&q->driver, reg & 4, value); break;
	case QUEUE_DEVICE: case QUEUE_DEVICE + 4: set_half(&q->device, reg & 4, value); break;
	default: break;
	}
}

static void common_write(struct virtio *v, u64 reg, u32 value)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT: v->device_select = value; break;
	case DRIVER_FEATURE_SELECT: v->driver_select = value; break;
	case DRIVER_FEATURE: write_features(v, value); break;
	case CONFIG_MSIX_VECTOR: v->config_vector = vector(v, value); break;
	case DEVICE_STATUS: write_status(v, (u8)value); break;
	case QUEUE_SELECT: v->queue_select = (u16)value; break;
	default: queue_write(v, reg, value); break;
	}
}

/* The width of the field at an offset: an access that is not its own is not the driver's right. */
static unsigned field_width(u64 reg)
{
	if (reg == DEVICE_STATUS || reg == CONFIG_GENERATION)
		return 1;
	if (reg >= CONFIG_MSIX_VECTOR && reg < QUEUE_DESC)
		return reg & 1 ? 0 : 2;
	return reg & 3 ? 0 : 4;
}

/* ---- the register BAR ---- */

static void notify(struct virtio *v, u64 queue)
{
	if (queue < v->cls->queues && v->q[queue].enabled && virtio_running(v))
		v->cls->notify(v, (unsigned)queue);
}

static u64 isr_read(struct virtio *v)
{
	u8 was = v->isr;

	v->isr = 0;
	pci_set_intx(&v->pci, false);
	return was;
}

static u64 regs_read(void *dev, u64 offset, unsigned size)
{
	struct virtio *v = dev;
	u64 value = 0;

	if (offset < COMMON_LEN) {
		unsigned width = field_width(offset);
		/* Wider and narrower reads see the neighbouring bytes, as memory would. */
		if (size == width)
			return common_read(v, offset);
		for (unsigned i = 0; i < size && offset + i < COMMON_LEN; i++) {
			u64 at = offset + i, start = at;
			while (!field_width(start))
				start--;
			value |= (u64)((common_read(v, start) >> 8 * (at - start)) & 0xff) << 8 * i;
		}
		return value;
	}
	if (offset == ISR_AT)
		return isr_read(v);
	for (unsigned i = 0; i < size; i++) {
		u64 at = offset + i - DEVICE_AT;
		value |= (u64)(offset >= DEVICE_AT && at < v->cls->config_size ? v->config[at] : 0) << 8 * i;
	}
	return value;
}

static void regs_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct virtio *v = dev;

	if (offset < COMMON_LEN) {
		if (size == field_width(offset))
			common_write(v, offset, (u32)value);
	} else if (offset >= NOTIFY_AT && offset % NOTIFY_MULTIPLIER == 0) {
		notify(v, (offset - NOTIFY_AT) / NOTIFY_MULTIPLIER);
	}
}

static const struct bus_ops regs_ops = { .read = regs_read, .write = regs_write, .max_size = 4 };

/* ---- "PCI configuration access capability": the registers without mapping the BAR ---- */

static bool window(const struct virtio *v, u32 *offset, u32 *len)
{
	unsigned cap = v->pci_cfg_cap;

	*offset = pci_get32(&v->pci, cap + CAP_OFFSET);
	*len = pci_get32(&v->pci, cap + CAP_LENGTH);
	return v->pci.cfg[cap + CAP_BAR] == REG_BAR && (*len == 1 || *len == 2 || *len == 4) && *offset % *len == 0 &&
	       *offset <= REG_SIZE - *len;
}

static bool touches_window(const struct virtio *v, unsigned reg, unsigned size)
{
	unsigned data = v->pci_cfg_cap + CAP_EXTRA;

	return v->pci_cfg_cap && reg < data + 4 && reg + size > data;
}

static void before_read(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct virtio *v = (struct virtio *)p;
	u32 offset, len;

	if (touches_window(v, reg, size) && window(v, &offset, &len))
		pci_set32(p, v->pci_cfg_cap + CAP_EXTRA, (u32)low_bytes(regs_read(v, offset, len), len));
}

static void written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct virtio *v = (struct virtio *)p;
	u32 offset, len;

	if (touches_window(v, reg, size) && window(v, &offset, &len))
		regs_write(v, offset, len, low_bytes(pci_get32(p, v->pci_cfg_cap + CAP_EXTRA), len));
	/* Bus mastering may just have come on: what was offered before is due now. */
	for (unsigned n = 0; reg <= PCI_COMMAND && reg + size > PCI_COMMAND && n < v->cls->queues; n++)
		notify(v, n);
}

static const struct pci_cfg_ops cfg_ops = { .before_read = before_read, .written = written };

static unsigned add_cap(struct virtio *v, u8 type, u32 at, u32 len, unsigned extra)
{
	unsigned cap = pci_add_cap(&v->pci, PCI_CAP_VENDOR, CAP_LEN + extra);

	v->pci.cfg[cap + 2] = (u8)(CAP_LEN + extra);
	v->pci.cfg[cap + CAP_CFG_TYPE] = type;
	v->pci.cfg[cap + CAP_BAR] = len ? REG_BAR : 0;
	pci_set32(&v->pci, cap + CAP_OFFSET, at);
	pci_set32(&v->pci, cap + CAP_LENGTH, len);
	return cap;
}

static void capabilities(struct virtio *v)
{
	struct pci_dev *p = &v->pci;
	unsigned cap;

	msix_add(p, MSIX_BAR, v->cls->queues + 1);
	pci_add_bar(p, REG_BAR, PCI_BAR_MEM64, REG_SIZE, &regs_ops, v);
	v->pci_cfg_cap = (u8)add_cap(v, CAP_PCI, 0, 0, 4);
	cap = v->pci_cfg_cap;
	pci_writable(p, cap + CAP_BAR, 1, 0xff);
	pci_writable(p, cap + CAP_OFFSET, 4, ~0u);
	pci_writable(p, cap + CAP_LENGTH, 4, ~0u);
	pci_writable(p, cap + CAP_EXTRA, 4, ~0u);
	cap = add_cap(v, CAP_NOTIFY, NOTIFY_AT, NOTIFY_MULTIPLIER * v->cls->queues, 4);
	pci_set32(p, cap + CAP_EXTRA, NOTIFY_MULTIPLIER);
	if (v->cls->config_size)
		add_cap(v, CAP_DEVICE, DEVICE_AT, v->cls->config_size, 0);
	add_cap(v, CAP_ISR, ISR_AT, 1, 0);
	add_cap(v, CAP_COMMON, COMMON_AT, COMMON_LEN, 0);
}

enum status virtio_attach(struct virtio *v, const struct dev_env *e, int devfn, const struct virtio_class *cls)
{
	struct pci_ids ids = {
		.vendor = 0x1af4, .device = (u16)(0x1040 + cls->id), .class_code = cls->class_code, .revision = 1,
		.pin = 1, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};

	v->cls = cls;
	v->offered |= BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);
	v->pci.cfg_ops = &cfg_ops;
	enum status s = pci_attach(&v->pci, e->pci, devfn, &ids);
	if (s != ST_OK)
		return s;
	capabilities(v);
	pci_ready(&v->pci);
	device_reset(v);
	return ST_OK;
}

void virtio_detach(struct virtio *v)
{
	pci_detach(&v->pci);
}

void virtio_reset(struct device *d)
{
	struct virtio *v = (struct virtio *)d;

	device_reset(v);
	pci_reset(&v->pci);
}
