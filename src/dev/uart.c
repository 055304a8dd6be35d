/*
 * 16550A UART. Transmission takes no virtual time: THR and shift register are empty again when the store retires. Only
 * the interrupt that says so comes a little later, so that a burst into the FIFO causes one and not sixteen. Received
 * bytes enter by the channel's callback. National Semiconductor PC16550D data sheet.
 */
#include "dev/devices.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RDA = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_THRE = 2, IIR_RDA = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 16, LSR_THRE = 32, LSR_TEMT = 64, LSR_FIFO_ERROR = 128 };
enum { MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128, MSR_TERI = 4 };
enum { DEPTH = 16, THRE_LATENCY = 10000 /* ns after the last store */ };

struct uart {
	struct device dev;
	u8 ier, fcr, lcr, mcr, scr;
	u16 divisor;
	u8 rx[DEPTH], rx_error[DEPTH]; /* oldest first; errors are LSR bits */
	u8 rx_len;
	bool overrun, thre_pending, timeout;
	u8 msr_delta;
	struct irq_line irq;
	struct chan *chan;
	struct timer timer;   /* cache: character timeout, armed from timeout_at */
	struct timer thre_timer; /* cache: armed from thre_at */
	u64 timeout_at;       /* 0: none */
	u64 thre_at;          /* the THRE interrupt becomes pending, 0: not on its way */
	struct bus_range range;
};

static bool fifo_on(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

static unsigned trigger(const struct uart *u)
{
	static const u8 level[4] = { 1, 4, 8, 14 };

	return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

/* "Modem Control Register": in loopback the outputs are the inputs. */
static u8 modem_lines(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD; /* somebody is always there */
	return (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
		    (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static u8 line_errors(const struct uart *u)
{
	return (u8)((u->overrun ? LSR_OE : 0) | (u->rx_len ? u->rx_error[0] : 0));
}

/* "Interrupt Identification Register", in priority order. */
static u8 interrupt_id(const struct uart *u)
{
	if ((u->ier & IER_LINE) && line_errors(u))
		return IIR_LINE;
	if ((u->ier & IER_RDA) && u->rx_len >= trigger(u))
		return IIR_RDA;
	if ((u->ier & IER_RDA) && u->timeout && u->rx_len)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

/* A PC gates the interrupt pin with OUT2, which is inactive in loopback. */
static void update(struct uart *u)
{
	bool gate = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);

	irq_set(&u->irq, gate && interrupt_id(u) != IIR_NONE);
}

/* Four character times at the programmed rate: 16 clocks of 1.8432 MHz over the divisor a bit. */
static u64 four_characters(const struct uart *u)
{
	u64 char_bits = 6u + (u->lcr & 3u) + (u->lcr & 8 ? 1u : 0u) + (u->lcr & 4 ? 2u : 1u);

	return 4 * char_bits * (u->divisor ? u->divisor : 1) * 16 * 1000000000ull / 1843200;
}

/* "FIFO Interrupt Mode Operation": the timeout runs from the last byte in or out while any are left. */
static void restart_timeout(struct uart *u)
{
	u->timeout = false;
	u->timeout_at = 0;
	timer_disarm(&u->timer);
	if (fifo_on(u) && u->rx_len) {
		u->timeout_at = u->dev.clock->now + four_characters(u);
		timer_arm(&u->timer, u->timeout_at);
	}
}

static void timeout_fired(void *arg)
{
	struct uart *u = arg;

	u->timeout = true;
	u->timeout_at = 0;
	update(u);
}

static void thre_fired(void *arg)
{
	struct uart *u = arg;

	u->thre_pending = true;
	u->thre_at = 0;
	update(u);
}

static void receive(struct uart *u, u8 v, u8 error)
{
	unsigned depth = fifo_on(u) ? DEPTH : 1;

	if (u->rx_len >= depth) {
		u->overrun = true; /* the FIFO keeps what it has; the holding register is overwritten */
		if (depth == 1)
			u->rx[0] = v;
	} else {
		u->rx[u->rx_len] = v;
		u->rx_error[u->rx_len] = error;
		u->rx_len++;
	}
	restart_timeout(u);
}

static void clear_rx(struct uart *u)
{
	u->rx_len = 0;
	restart_timeout(u);
}

static u8 read_rbr(struct uart *u)
{
	u8 v = u->rx[0];

	if (!u->rx_len)
		return v;
	u->rx_len--;
	memmove(u->rx, u->rx + 1, u->rx_len);
	memmove(u->rx_error, u->rx_error + 1, u->rx_len);
	restart_timeout(u);
	return v;
}

static void write_thr(struct uart *u, u8 v)
{
	u->thre_pending = false;
	if (u->mcr & MCR_LOOP)
		receive(u, v, 0);
	else
		chan_write(u->chan, &v, 1);
	if (!(u->ier & IER_THRE)) {
		u->thre_pending = true; /* nobody listens: no need to wake anybody */
		return;
	}
	u->thre_at = u->dev.clock->now + THRE_LATENCY;
	timer_arm(&u->thre_timer, u->thre_at);
}

static void write_ier(struct uart *u, u8 v)
{
	if ((v & IER_THRE) && !(u->ier & IER_THRE))
		u->thre_pending = true; /* the transmitter is empty */
	u->ier = v & 0xf;
}

static void write_fcr(struct uart *u, u8 v)
{
	if ((v ^ u->fcr) & FCR_ENABLE || v & FCR_CLEAR_RX)
		clear_rx(u);
	/* "Bit 0 must be 1 when other FCR bits are written to or they will not be programmed" */
	u->fcr = v & FCR_ENABLE ? v & 0xc9 : 0;
}

static void write_lcr(struct uart *u, u8 v)
{
	bool breaks = (v & LCR_BREAK) && !(u->lcr & LCR_BREAK);

	u->lcr = v;
	if (breaks && (u->mcr & MCR_LOOP))
		receive(u, 0, LSR_BI);
}

static void write_mcr(struct uart *u, u8 v)
{
	u8 before = modem_lines(u), changed;

	u->mcr = v & 0x1f;
	changed = before ^ modem_lines(u);
	u->msr_delta |= (changed >> 4) & 0xb;
	if ((changed & MSR_RI) && (before & MSR_RI))
		u->msr_delta |= MSR_TERI; /* trailing edge only */
}

static u8 read_lsr(struct uart *u)
{
	u8 v = (u8)(LSR_THRE | LSR_TEMT | (u->rx_len ? LSR_DR : 0) | line_errors(u));

	for (unsigned i = 0; fifo_on(u) && i < u->rx_len; i++)
		v |= u->rx_error[i] ? LSR_FIFO_ERROR : 0;
	u->overrun = false;
	u->rx_error[0] = 0;
	return v;
}

static u8 read_iir(struct uart *u)
{
	u8 v = interrupt_id(u);

	if (v == IIR_THRE)
		u->thre_pending = false;
	return v | (fifo_on(u) ? IIR_FIFO : 0);
}

static u8 read_msr(struct uart *u)
{
	u8 v = modem_lines(u) | u->msr_delta;

	u->msr_delta = 0;
	return v;
}

static u64 uart_read(void *dev, u64 offset, unsigned size)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;
	u8 v;

	(void)size;
	switch (offset) {
	case RBR_THR: v = dlab ? (u8)u->divisor : read_rbr(u); break;
	case IER: v = dlab ? (u8)(u->divisor >> 8) : u->ier; break;
	case IIR_FCR: v = read_iir(u); break;
	case LCR: v = u->lcr; break;
	case MCR: v = u->mcr; break;
	case LSR: v = read_lsr(u); break;
	case MSR: v = read_msr(u); break;
	default: v = u->scr; break;
	}
	update(u);
	return v;
}

static void uart_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct uart *u = dev;
	bool dlab = u->lcr & LCR_DLAB;
	u8 v = (u8)value;

	(void)size;
	switch (offset) {
	case RBR_THR:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff00) | v);
		else
			write_thr(u, v);
		break;
	case IER:
		if (dlab)
			u->divisor = (u16)(v << 8 | (u->divisor & 0xff));
		else
			write_ier(u, v);
		break;
	case IIR_FCR: write_fcr(u, v); break;
	case LCR: write_lcr(u, v); break;
	case MCR: write_mcr(u, v); break;
	case SCR: u->scr = v; break;
	default: break; /* LSR and MSR are read-only */
	}
	update(u);
}

static const struct bus_ops uart_ops = { .read = uart_read, .write = uart_write, .max_size = 1 };

/* ---- the channel's side ---- */

static size_t chan_room(void *dev)
{
	struct uart *u = dev;

	if (u->mcr & MCR_LOOP)
		return 0; /* the receiver is disconnected from its pin; the sender waits */
	return (fifo_on(u) ? DEPTH : 1u) - u->rx_len;
}

static void chan_input(void *dev, const u8 *buf, size_t n)
{
	struct uart *u = dev;

	for (size_t i = 0; i < n; i++)
		receive(u, buf[i], 0);
	update(u);
}

/* "Reset": the divisor and the scratch register are not affected by it; a PC powers on at 9600 baud as good as any. */
static void uart_reset(struct device *d)
{
	struct uart *u = (struct uart *)d;

	u->ier = u->fcr = u->lcr = u->mcr = u->msr_delta = 0;
	u->overrun = u->thre_pending = false;
	u->thre_at = 0;
	timer_disarm(&u->thre_timer);
	clear_rx(u);
	update(u);
}

static void arm_or_not(struct timer *t, u64 at)
{
	if (at)
		timer_arm(t, at);
	else
		timer_disarm(t);
}

static void uart_loaded(struct device *d)
{
	struct uart *u = (struct uart *)d;

	arm_or_not(&u->timer, u->timeout_at);
	arm_or_not(&u->thre_timer, u->thre_at);
}

static void uart_destroy(struct device *d)
{
	struct uart *u = (struct uart *)d;

	timer_disarm(&u->timer);
	timer_disarm(&u->thre_timer);
	bus_unmap(d->bus, &u->range);
	base_free(u);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct uart, ier), STATE(2, struct uart, fcr), STATE(3, struct uart, lcr), STATE(4, struct uart, mcr),
	STATE(5, struct uart, scr), STATE(6, struct uart, divisor), STATE_ARRAY(7, struct uart, rx),
	STATE_ARRAY(8, struct uart, rx_error), STATE(9, struct uart, rx_len), STATE(10, struct uart, overrun),
	STATE(11, struct uart, thre_pending), STATE(12, struct uart, timeout), STATE(13, struct uart, msr_delta),
	STATE(14, struct uart, timeout_at), STATE(15, struct uart, thre_at), STATE(16, struct uart, irq.level),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "16550a", .reset = uart_reset, .loaded = uart_loaded, .destroy = uart_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status uart_create(struct device **out, const struct dev_env *e, u16 base, struct irq_line irq, struct chan *chan)
{
	struct uart *u = base_alloc(sizeof(*u));

	if (!u)
		return ST_NOMEM;
	u->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	u->irq = irq;
	u->divisor = 12;
	u->chan = chan;
	timer_init(&u->timer, e->clock, timeout_fired, u);
	timer_init(&u->thre_timer, e->clock, thre_fired, u);
	if (chan) {
		chan->room = chan_room;
		chan->input = chan_input;
		chan->dev = u;
	}
	dev_map(&u->dev, &u->range, &uart_ops, true, base, 8);
	uart_reset(&u->dev);
	*out = &u->dev;
	return ST_OK;
}
