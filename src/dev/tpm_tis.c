/*
 * A TPM 2.0 behind the FIFO interface, at FED40000h: five localities of a page each. TCG PC Client Specific TPM
 * Interface Specification (TIS) 1.3 and PC Client Platform TPM Profile (PTP), "FIFO Interface". The engine behind it
 * thinks in the computer's time; what software sees of it happens at times that only the command decides.
 *
 * A command reaches the engine when its time is over. Until then it can be cancelled or aborted as if it had never been,
 * and never half.
 */
#include "dev/devices.h"
#include "dev/tpm.h"

#define BASE 0xfed40000ull

enum { PLATFORM = 4, NOBODY = 0xff }; /* locality 4 is the platform's: no processor's cycle reaches it */
enum { PACKET = 64 };                                 /* bytes that one burst takes or gives */

/* Offsets within a locality's page: "Register Space" */
enum {
	ACCESS = 0x00, INT_ENABLE = 0x08, INT_VECTOR = 0x0c, INT_STATUS = 0x10, INTF_CAPABILITY = 0x14, STS = 0x18,
	DATA_FIFO = 0x24, INTERFACE_ID = 0x30, XDATA_FIFO = 0x80, XDATA_END = 0xc0, DID_VID = 0xf00, RID = 0xf04,
};
/* TPM_ACCESS_x */
enum {
	ACCESS_NOT_ESTABLISHED = 1 << 0, ACCESS_REQUEST = 1 << 1, ACCESS_PENDING = 1 << 2, ACCESS_SEIZE = 1 << 3,
	ACCESS_SEIZED = 1 << 4, ACCESS_ACTIVE = 1 << 5, ACCESS_VALID = 1 << 7,
};
/* TPM_STS_x */
enum {
	STS_RETRY = 1 << 1, STS_SELF_TEST = 1 << 2, STS_EXPECT = 1 << 3, STS_AVAIL = 1 << 4, STS_GO = 1 << 5,
	STS_READY = 1 << 6, STS_VALID = 1 << 7, STS_BURST = 8, STS_CANCEL = 1 << 24, STS_RESET_ESTABLISHED = 1 << 25,
	STS_FAMILY_2 = 1 << 26,
};
/* TPM_INT_ENABLE_x and TPM_INT_STATUS_x */
enum {
	INT_AVAIL = 1 << 0, INT_VALID = 1 << 1, INT_LOCALITY = 1 << 2, INT_EDGE = 1 << 4, INT_READY = 1 << 7,
	INT_CAUSES = INT_AVAIL | INT_VALID | INT_LOCALITY | INT_READY, INT_POLARITY = 3 << 3, INT_LEVEL_LOW = 1 << 3,
};
#define INT_GLOBAL (1u << 31)
/* All four causes and polarities; bursts vary; transfers of 64 bytes; interface version 3: TIS 1.3 with a TPM 2.0. */
#define CAPABILITY (0xffu | 3u << 9 | 3u << 28)
/* The FIFO interface and no other, version 0, five localities, 64 bytes. */
#define INTERFACE (1u << 8 | 3u << 11 | 1u << 13)
#define ID_VENDOR 0x00011014u /* the maker that the engine's library reports of itself */
#define ID_REVISION 0x01u

enum tis_state { IDLE, READY, RECEPTION, EXECUTION, COMPLETION };

/* What a TPM on a real board may take for the interface itself. */
enum { READY_NS = 10000, PACKET_NS = 5000, CANCEL_NS = 50000 };

struct tpm_tis {
	struct device dev;
	struct tpm *engine;        /* wired */
	u8 active;                 /* whose commands it takes; NOBODY */
	u8 requests, seized;       /* a bit a locality */
	u8 state;
	u8 vector;                 /* the interrupt line; 0: none */
	bool canceled;
	u32 int_enable, int_status;
	u32 size, at;              /* of the command (0: no header yet) or the answer; how far it has come */
	u32 burst;                 /* bytes left of this packet */
	u64 due;                   /* when what is under way ends; UINT64_MAX: nothing is */
	u8 data[TPM_BUFFER];       /* the command, then the answer */
	struct timer timer;        /* cache: of due */
	struct irq_line irq[16];
	struct bus_range range;
};

/* ---- how long commands take: as TPMs on real boards, to one digit ---- */

static const struct {
	u32 code;
	u32 microseconds;
} durations[] = {
	{0x120, 10000},  /* HierarchyControl */
	{0x126, 300000}, /* Clear */
	{0x129, 10000},  /* HierarchyChangeAuth */
	{0x12a, 20000},  /* NV_DefineSpace */
	{0x122, 20000},  /* NV_UndefineSpace */
	{0x131, 400000}, /* CreatePrimary */
	{0x134, 10000},  /* NV_Increment */
	{0x136, 10000},  /* NV_Extend */
	{0x137, 10000},  /* NV_Write */
	{0x13c, 2000},   /* PCR_Event */
	{0x13e, 2000},   /* SequenceComplete */
	{0x143, 50000},  /* SelfTest */
	{0x144, 5000},   /* Startup */
	{0x145, 20000},  /* Shutdown */
	{0x14e, 3000},   /* NV_Read */
	{0x153, 400000}, /* Create */
	{0x157, 30000},  /* Load */
	{0x158, 80000},  /* Quote */
	{0x159, 80000},  /* RSA_Decrypt */
	{0x15b, 1000},   /* HMAC_Start */
	{0x15c, 1000},   /* SequenceUpdate */
	{0x15d, 80000},  /* Sign */
	{0x15e, 30000},  /* Unseal */
	{0x162, 20000},  /* ContextLoad */
	{0x163, 20000},  /* ContextSave */
	{0x165, 1000},   /* FlushContext */
	{0x173, 1000},   /* ReadPublic */
	{0x174, 10000},  /* RSA_Encrypt */
	{0x176, 10000},  /* StartAuthSession */
	{0x177, 10000},  /* VerifySignature */
	{0x17a, 1000},   /* GetCapability */
	{0x17b, 2000},   /* GetRandom */
	{0x17d, 1000},   /* Hash */
	{0x17e, 1000},   /* PCR_Read */
	{0x182, 2000},   /* PCR_Extend */
	{0x185, 2000},   /* EventSequenceComplete */
	{0x191, 400000}, /* CreateLoaded */
};

static u32 be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static u64 duration_ns(const u8 *command)
{
	enum { OTHER = 5000 };

	for (size_t i = 0; i < ARRAY_LEN(durations); i++)
		if (durations[i].code == be32(command + 6))
			return durations[i].microseconds * 1000ull;
	return OTHER * 1000ull;
}

/* ---- interrupts: "Interrupts" ---- */

static void update_line(struct tpm_tis *t)
{
	bool on = (t->int_enable & INT_GLOBAL) && (t->int_status & t->int_enable & INT_CAUSES);

	for (unsigned n = 0; n < ARRAY_LEN(t->irq); n++)
		irq_set(&t->irq[n], on && n && n == t->vector);
}

/* A cause that is not enabled leaves no trace. With an edge each new one is an edge of its own. */
static void interrupt(struct tpm_tis *t, u32 cause)
{
	cause &= t->int_enable;
	if ((t->int_enable & INT_EDGE) && (cause & ~t->int_status)) {
		u32 before = t->int_status;

		t->int_status = 0;
		update_line(t);
		t->int_status = before;
	}
	t->int_status |= cause;
	update_line(t);
}

/* ---- states: "TPM State Diagram" ---- */

static bool busy(const struct tpm_tis *t)
{
	return t->due != UINT64_MAX;
}

static void start(struct tpm_tis *t, u64 ns)
{
	t->due = t->dev.clock->now + ns;
	timer_arm(&t->timer, t->due);
}

static void stop(struct tpm_tis *t)
{
	t->due = UINT64_MAX;
	timer_disarm(&t->timer);
}

static void packet(struct tpm_tis *t)
{
	u32 left = t->state == READY || !t->size ? PACKET : t->size - t->at;

	t->burst = left < PACKET ? left : PACKET;
}

static bool expects(const struct tpm_tis *t)
{
	return t->state == RECEPTION && (!t->size || t->at < t->size);
}

static bool available(const struct tpm_tis *t)
{
	return t->state == COMPLETION && t->at < t->size;
}

/* What was sent or to be read is gone; a command under way never was. */
static void become_idle(struct tpm_tis *t)
{
	stop(t);
	t->state = IDLE;
	t->canceled = false;
	t->size = t->at = t->burst = 0;
}

static void ask_engine(struct tpm_tis *t)
{
	tpm_send(t->engine, t->dev.clock->now, t->active, t->data, t->size);
	if (t->canceled)
		tpm_cancel(t->engine);
	t->canceled = false;
	t->size = tpm_receive(t->engine, t->data);
}

static void show_answer(struct tpm_tis *t)
{
	t->at = 0;
	packet(t);
	interrupt(t, INT_AVAIL | INT_VALID);
}

/* What was under way has ended: stsValid comes back, and what the state says. */
static void ended(void *arg)
{
	struct tpm_tis *t = arg;

	t->due = UINT64_MAX;
	switch (t->state) {
	case IDLE:
		t->state = READY;
		packet(t);
		interrupt(t, INT_READY | INT_VALID);
		break;
	case EXECUTION:
		ask_engine(t);
		t->state = COMPLETION;
		show_answer(t);
		break;
	default: /* the next packet */
		packet(t);
		interrupt(t, INT_VALID);
		break;
	}
}

/* ---- the FIFO: one byte after the other, however wide the access ---- */

static void take(struct tpm_tis *t, u8 v)
{
	if (t->state == READY) {
		t->state = RECEPTION;
		t->size = t->at = 0;
	}
	if (!expects(t))
		return;
	t->data[t->at++] = v;
	if (t->at == TPM_HEADER) { /* "commandSize" says what to expect; the engine judges sizes that cannot be */
		u32 size = be32(t->data + 2);

		t->size = size < TPM_HEADER ? TPM_HEADER : size > sizeof(t->data) ? (u32)sizeof(t->data) : size;
	}
	if (t->burst)
		t->burst--;
	if (!t->burst || !expects(t)) {
		t->burst = 0;
		start(t, PACKET_NS);
	}
}

static u8 give(struct tpm_tis *t)
{
	if (!available(t))
		return 0xff;
	if (t->burst)
		t->burst--;
	if (!t->burst && t->at + 1 < t->size && !busy(t))
		start(t, PACKET_NS);
	return t->data[t->at++];
}

/* ---- TPM_STS_x ---- */

static u32 status(const struct tpm_tis *t)
{
	return STS_FAMILY_2 | t->burst << STS_BURST | (busy(t) ? 0 : STS_VALID) | (t->state == READY ? STS_READY : 0) |
	       (available(t) ? STS_AVAIL : 0) | (expects(t) ? STS_EXPECT : 0) | STS_SELF_TEST;
}

static void make_ready(struct tpm_tis *t)
{
	if (t->state == IDLE && !busy(t))
		start(t, READY_NS);
	else if (t->state != IDLE && t->state != READY)
		become_idle(t);
}

static void go(struct tpm_tis *t)
{
	if (t->state != RECEPTION || expects(t))
		return;
	t->state = EXECUTION;
	t->burst = 0;
	start(t, duration_ns(t->data));
}

static void retry(struct tpm_tis *t)
{
	if (t->state != COMPLETION)
		return;
	stop(t);
	show_answer(t);
}

static void cancel(struct tpm_tis *t)
{
	if (t->state != EXECUTION || t->canceled)
		return;
	t->canceled = true;
	if (t->due > t->dev.clock->now + CANCEL_NS)
		start(t, CANCEL_NS);
}

/* One of the three commands at a time: "Only one bit may be written 1". */
static void write_status(struct tpm_tis *t, u32 v)
{
	switch (v & (STS_READY | STS_GO | STS_RETRY)) {
	case STS_READY: make_ready(t); break;
	case STS_GO: go(t); break;
	case STS_RETRY: retry(t); break;
	default: break;
	}
	if (v & STS_CANCEL)
		cancel(t);
	if (v & STS_RESET_ESTABLISHED)
		tpm_reset_established(t->engine, t->active);
}

/* ---- TPM_ACCESS_x ---- */

static u8 access_of(const struct tpm_tis *t, unsigned l)
{
	u8 self = (u8)(1u << l);

	return (u8)(ACCESS_VALID | (t->active == l ? ACCESS_ACTIVE : 0) | (t->seized & self ? ACCESS_SEIZED : 0) |
		    (t->requests & ~self ? ACCESS_PENDING : 0) | (t->requests & self ? ACCESS_REQUEST : 0) |
		    (tpm_established(t->engine) ? 0 : ACCESS_NOT_ESTABLISHED));
}

/* The highest locality that asked is next. It alone had to wait, and so it alone is told by an interrupt. */
static void hand_on(struct tpm_tis *t)
{
	become_idle(t);
	t->active = NOBODY;
	if (!t->requests)
		return;
	t->active = (u8)(31 - __builtin_clz(t->requests));
	t->requests &= (u8)~(1u << t->active);
	interrupt(t, INT_LOCALITY);
}

static void seize(struct tpm_tis *t, unsigned l)
{
	if (t->active != NOBODY && t->active >= l)
		return;
	if (t->active != NOBODY)
		t->seized |= (u8)(1u << t->active);
	t->requests &= (u8)~(1u << l);
	become_idle(t);
	t->active = (u8)l;
}

/* One bit at a time: "a write of more than one field" does nothing. */
static void write_access(struct tpm_tis *t, unsigned l, u8 v)
{
	u8 self = (u8)(1u << l);

	switch (v) {
	case ACCESS_ACTIVE:
		t->requests &= (u8)~self;
		if (t->active == l)
			hand_on(t);
		break;
	case ACCESS_SEIZED: t->seized &= (u8)~self; break;
	case ACCESS_SEIZE: seize(t, l); break;
	case ACCESS_REQUEST:
		if (t->active == NOBODY)
			t->active = (u8)l;
		else if (t->active != l)
			t->requests |= self;
		break;
	default: break;
	}
}

/* ---- registers: four bytes each. What is not there reads as ones ---- */

static bool is_fifo(u64 offset)
{
	return (offset & ~3ull) == DATA_FIFO || (offset >= XDATA_FIFO && offset < XDATA_END);
}

static u32 reg_read(struct tpm_tis *t, unsigned l, u64 offset)
{
	switch (offset) {
	case ACCESS: return ~0xffu | access_of(t, l);
	case INT_ENABLE: return t->int_enable;
	case INT_VECTOR: return ~0xffu | t->vector;
	case INT_STATUS: return t->int_status;
	case INTF_CAPABILITY: return CAPABILITY;
	case STS: return t->active == l ? status(t) : ~0u;
	case INTERFACE_ID: return ID_REVISION << 24 | INTERFACE;
	case INTERFACE_ID + 4: return ID_VENDOR;
	case DID_VID: return ID_VENDOR;
	case RID: return ~0xffu | ID_REVISION;
	default: return ~0u;
	}
}

/* Only the active locality's writes count, but for those to TPM_ACCESS_x. written: the bits this access carried. */
static void reg_write(struct tpm_tis *t, unsigned l, u64 offset, u32 v, u32 written)
{
	if (offset == ACCESS && (written & 0xff))
		write_access(t, l, (u8)v);
	if (t->active != l)
		return;
	switch (offset) {
	case INT_ENABLE:
		t->int_enable = ((t->int_enable & ~written) | v) & (INT_GLOBAL | INT_CAUSES | INT_POLARITY);
		update_line(t);
		break;
	case INT_VECTOR:
		if (written & 0xff)
			t->vector = v & 0xf;
		update_line(t);
		break;
	case INT_STATUS:
		t->int_status &= ~v;
		update_line(t);
		break;
	case STS: write_status(t, v); break;
	default: break;
	}
}

static u64 tis_read(void *dev, u64 offset, unsigned size)
{
	struct tpm_tis *t = dev;
	unsigned l = (unsigned)(offset >> 12), shift = (unsigned)(offset & 3) * 8;
	u64 v = 0;

	offset &= 0xfff;
	if (l == PLATFORM)
		return low_bytes(~0ull, size);
	if (!is_fifo(offset))
		return low_bytes(reg_read(t, l, offset & ~3ull) >> shift, size);
	for (unsigned i = 0; i < size; i++)
		v |= (u64)(t->active == l ? give(t) : 0xff) << 8 * i;
	return v;
}

static void tis_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct tpm_tis *t = dev;
	unsigned l = (unsigned)(offset >> 12), shift = (unsigned)(offset & 3) * 8;

	offset &= 0xfff;
	if (l == PLATFORM)
		return;
	if (!is_fifo(offset)) {
		reg_write(t, l, offset & ~3ull, (u32)(v << shift), (u32)(low_bytes(~0ull, size) << shift));
		return;
	}
	for (unsigned i = 0; i < size && t->active == l; i++)
		take(t, (u8)(v >> 8 * i));
}

static const struct bus_ops mmio_ops = { .read = tis_read, .write = tis_write, .max_size = 4 };

/* ---- the platform's own cycles ---- */

/* "TPM_HASH_START", "TPM_HASH_DATA", "TPM_HASH_END": locality 4 takes the TPM from whoever had it and gives it back. */
void tpm_tis_measure(struct device *d, const void *image, u64 size)
{
	struct tpm_tis *t = (struct tpm_tis *)d;

	seize(t, PLATFORM);
	tpm_hash_start(t->engine, d->clock->now);
	tpm_hash_data(t->engine, image, size);
	tpm_hash_end(t->engine);
	hand_on(t);
}

/* What firmware asks before the first instruction runs. */
u32 tpm_tis_command(struct device *d, const void *command, u32 size, void *answer)
{
	struct tpm_tis *t = (struct tpm_tis *)d;

	tpm_send(t->engine, d->clock->now, 0, command, size);
	return tpm_receive(t->engine, answer);
}

/* ---- life ---- */

static void power_on(struct tpm_tis *t)
{
	become_idle(t);
	t->active = NOBODY;
	t->requests = t->seized = t->vector = 0;
	t->int_enable = INT_LEVEL_LOW;
	t->int_status = 0;
	memset(t->data, 0, sizeof(t->data));
	update_line(t);
}

static void tis_reset(struct device *d)
{
	struct tpm_tis *t = (struct tpm_tis *)d;

	power_on(t);
	tpm_power_on(t->engine, d->clock->now);
}

static void tis_loaded(struct device *d)
{
	struct tpm_tis *t = (struct tpm_tis *)d;

	timer_disarm(&t->timer);
	if (busy(t))
		timer_arm(&t->timer, t->due);
}

static void tis_destroy(struct device *d)
{
	struct tpm_tis *t = (struct tpm_tis *)d;

	timer_disarm(&t->timer);
	bus_unmap(d->bus, &t->range);
	base_free(t);
}

static u64 tis_hash(struct device *d, u64 seed)
{
	return tpm_hash(((struct tpm_tis *)d)->engine, seed);
}

/* clang-format off */
#define T(id, m) STATE(id, struct tpm_tis, m)
#define LINE(i) T(40 + i, irq[i].level)
static const struct state_row rows[] = {
	T(1, active), T(2, requests), T(3, seized), T(4, state), T(5, vector), T(6, canceled), T(7, int_enable),
	T(8, int_status), T(9, size), T(10, at), T(11, burst), T(12, due), STATE_ARRAY(13, struct tpm_tis, data),
	LINE(0), LINE(1), LINE(2), LINE(3), LINE(4), LINE(5), LINE(6), LINE(7),
	LINE(8), LINE(9), LINE(10), LINE(11), LINE(12), LINE(13), LINE(14), LINE(15),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "tpm-tis", .reset = tis_reset, .loaded = tis_loaded, .extra_hash = tis_hash, .destroy = tis_destroy,
	.rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status tpm_tis_create(struct device **out, const struct dev_env *e, struct tpm *engine,
			   const struct irq_line irq[16])
{
	struct tpm_tis *t = base_alloc(sizeof(*t));

	if (!t)
		return ST_NOMEM;
	t->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	t->engine = engine;
	memcpy(t->irq, irq, sizeof(t->irq));
	timer_init(&t->timer, e->clock, ended, t);
	dev_map(&t->dev, &t->range, &mmio_ops, false, BASE, TPM_LOCALITIES << 12);
	power_on(t);
	*out = &t->dev;
	return ST_OK;
}
