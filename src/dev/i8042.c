/*
 * i8042 keyboard controller (60h, 64h) with a keyboard and a mouse behind it, and the fast A20/reset port 92h. Keys
 * come from a channel, if somebody has one; nobody moves the mouse, which only answers commands. Keys do not repeat.
 * IBM PS/2 Technical Reference, "Keyboard and Auxiliary Device Controller", "Keyboard", "Mouse".
 */
#include "dev/devices.h"

enum { ST_OBF = 1, ST_SYS = 4, ST_COMMAND = 8, ST_UNLOCKED = 0x10, ST_AUX_OBF = 0x20 };
enum { CTR_KBD_INT = 1, CTR_AUX_INT = 2, CTR_SYS = 4, CTR_KBD_OFF = 0x10, CTR_AUX_OFF = 0x20, CTR_XLATE = 0x40 };
enum { OUT_RESET_N = 1, OUT_A20 = 2, OUT_KBD_INT = 0x10, OUT_AUX_INT = 0x20 };
enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa };
enum { QUEUE = 16 };

struct ps2_queue {
	u8 data[QUEUE];
	u8 len;
};

struct i8042 {
	struct device dev;
	u8 ctr;            /* the command byte: byte 0 of the controller's memory */
	u8 ram[32];        /* the rest of it */
	u8 command;        /* waits for its parameter at 60h; 0: data is for the keyboard */
	u8 last_write_command; /* status bit 3 */
	u8 output;         /* output buffer */
	bool full, from_aux;
	bool a20;
	u8 port92;
	struct ps2_queue controller, kbd, aux;
	u8 kbd_command;    /* waits for its parameter; 0: none */
	u8 scancode_set, leds, typematic, kbd_scanning;
	u8 aux_command, rate, resolution, aux_status; /* aux_status: 6 remote, 5 enabled, 4 scaling 2:1 */
	bool aux_wrap;
	u8 rate_history[2]; /* the IntelliMouse knock: 200, 100, 80 */
	u8 aux_id, kbd_last, aux_last;
	struct irq_line irq1, irq12;
	const struct platform *platform;
	struct bus_range range[3];
};

static void put(struct ps2_queue *q, u8 v)
{
	if (q->len < QUEUE)
		q->data[q->len++] = v;
}

static bool take(struct ps2_queue *q, u8 *v)
{
	if (!q->len)
		return false;
	*v = q->data[0];
	memmove(q->data, q->data + 1, --q->len);
	return true;
}

/* "Keyboard Controller", the translation of set 2 to set 1. What is not in it passes unchanged. */
static const u8 set_1[0x80] = {
        0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10,
        0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21,
        0x14, 0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33,
        0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e,
        0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e,
        0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static u8 translate(u8 v)
{
	switch (v) {
	case 0x00: return 0x00; /* an answer, no key */
	case 0x83: return 0x41;
	case 0x84: return 0x54;
	default: return v < ARRAY_LEN(set_1) ? set_1[v] : v;
	}
}

static u8 set_2(u8 code)
{
	enum { F7 = 0x41 };

	for (unsigned n = 1; n < ARRAY_LEN(set_1); n++)
		if (set_1[n] == code)
			return code == F7 ? 0x83 : (u8)n;
	return 0;
}

/* A byte from the keyboard as the controller hands it on: F0h, which says that a key was let go, becomes its bit 7. */
static bool take_key(struct i8042 *k, u8 *v)
{
	enum { RELEASE = 0xf0 };
	bool released = (k->ctr & CTR_XLATE) && k->kbd.len > 1 && k->kbd.data[0] == RELEASE;

	if (released)
		take(&k->kbd, v);
	if (!take(&k->kbd, v))
		return false;
	if (k->ctr & CTR_XLATE)
		*v = (u8)(translate(*v) | (released ? 0x80 : 0));
	return true;
}

/* Fill the output buffer from whoever has something: the controller first, then the keyboard, then the mouse. */
static void refill(struct i8042 *k)
{
	u8 v;

	if (!k->full) {
		if (take(&k->controller, &v)) {
			k->output = v;
			k->full = true;
			k->from_aux = false;
		} else if (!(k->ctr & CTR_KBD_OFF) && take_key(k, &v)) {
			k->output = v;
			k->full = true;
			k->from_aux = false;
		} else if (!(k->ctr & CTR_AUX_OFF) && take(&k->aux, &v)) {
			k->output = v;
			k->full = k->from_aux = true;
		}
	}
	irq_set(&k->irq1, k->full && !k->from_aux && (k->ctr & CTR_KBD_INT));
	irq_set(&k->irq12, k->full && k->from_aux && (k->ctr & CTR_AUX_INT));
}

static void set_a20(struct i8042 *k, bool on)
{
	if (k->a20 == on)
		return;
	k->a20 = on;
	if (k->platform && k->platform->a20)
		k->platform->a20(k->platform->arg, on);
}

static void pulse_init(struct i8042 *k)
{
	set_a20(k, true); /* or the processor would not find the reset vector */
	if (k->platform && k->platform->init)
		k->platform->init(k->platform->arg);
}

/* ---- keyboard ---- */

static void kbd_defaults(struct i8042 *k)
{
	k->scancode_set = 2;
	k->typematic = 0x2b;
	k->leds = 0;
}

static void kbd_reply(struct i8042 *k, u8 v)
{
	k->kbd_last = v;
	put(&k->kbd, v);
}

static void kbd_parameter(struct i8042 *k, u8 v)
{
	u8 command = k->kbd_command;

	k->kbd_command = 0;
	kbd_reply(k, ACK);
	switch (command) {
	case 0xed: k->leds = v & 7; break;
	case 0xf0:
		if (!v)
			kbd_reply(k, k->scancode_set);
		else if (v <= 3)
			k->scancode_set = v;
		break;
	case 0xf3: k->typematic = v & 0x7f; break;
	default: break; /* FBh-FDh: key lists, until the next command */
	}
}

static void kbd_write(struct i8042 *k, u8 v)
{
	if (k->kbd_command && v < 0xed) {
		kbd_parameter(k, v);
		return;
	}
	k->kbd_command = 0;
	switch (v) {
	case 0xee: kbd_reply(k, 0xee); return;
	case 0xfe: put(&k->kbd, k->kbd_last); return;
	case 0xed:
	case 0xf0:
	case 0xf3:
	case 0xfb:
	case 0xfc:
	case 0xfd: k->kbd_command = v; break;
	case 0xf2:
		kbd_reply(k, ACK);
		kbd_reply(k, 0xab);
		kbd_reply(k, 0x83);
		return;
	case 0xf4:
		k->kbd.len = 0;
		k->kbd_scanning = true;
		break;
	case 0xf5:
	case 0xf6:
		k->kbd.len = 0;
		kbd_defaults(k);
		k->kbd_scanning = v == 0xf6;
		break;
	case 0xf7:
	case 0xf8:
	case 0xf9:
	case 0xfa: break;
	case 0xff:
		k->kbd.len = 0;
		kbd_defaults(k);
		k->kbd_scanning = true;
		kbd_reply(k, ACK);
		kbd_reply(k, BAT_OK);
		return;
	default: kbd_reply(k, RESEND); return;
	}
	kbd_reply(k, ACK);
}

/* ---- keys from outside, in set 1 ---- */

static size_t key_room(void *dev)
{
	const struct i8042 *k = dev;

	return (QUEUE - k->kbd.len) / 2u;
}

static void key_input(void *dev, const u8 *buf, size_t n)
{
	struct i8042 *k = dev;

	for (size_t i = 0; i < n && k->kbd_scanning; i++) {
		bool native = k->scancode_set == 1 || buf[i] == 0xe0;

		if (!native && (buf[i] & 0x80))
			put(&k->kbd, 0xf0);
		put(&k->kbd, native ? buf[i] : set_2(buf[i] & 0x7f));
	}
	refill(k);
}

void i8042_listen(struct device *d, struct chan *keys)
{
	keys->room = key_room;
	keys->input = key_input;
	keys->dev = d;
}

/* ---- mouse ---- */

static void aux_defaults(struct i8042 *k)
{
	k->rate = 100;
	k->resolution = 2;
	k->aux_status = 0;
	k->aux_wrap = false;
	k->aux_command = 0;
}

static void aux_reply(struct i8042 *k, u8 v)
{
	k->aux_last = v;
	put(&k->aux, v);
}

static void aux_parameter(struct i8042 *k, u8 v)
{
	u8 command = k->aux_command;

	k->aux_command = 0;
	if (command == 0xe8) {
		k->resolution = v & 3;
	} else {
		if (k->rate_history[0] == 200 && k->rate_history[1] == 100 && v == 80)
			k->aux_id = 3;
		k->rate_history[0] = k->rate_history[1];
		k->rate_history[1] = v;
		k->rate = v;
	}
	aux_reply(k, ACK);
}

static void aux_status_report(struct i8042 *k)
{
	aux_reply(k, k->aux_status);
	aux_reply(k, k->resolution);
	aux_reply(k, k->rate);
}

/* "Read Data": a packet without movement. */
static void aux_packet(struct i8042 *k)
{
	aux_reply(k, 8);
	aux_reply(k, 0);
	aux_reply(k, 0);
	if (k->aux_id == 3)
		aux_reply(k, 0);
}

static void aux_command(struct i8042 *k, u8 v)
{
	aux_reply(k, ACK);
	switch (v) {
	case 0xe6: k->aux_status &= (u8)~0x10; break;
	case 0xe7: k->aux_status |= 0x10; break;
	case 0xe8:
	case 0xf3: k->aux_command = v; break;
	case 0xe9: aux_status_report(k); break;
	case 0xea: k->aux_status &= (u8)~0x40; break;
	case 0xeb: aux_packet(k); break;
	case 0xec: k->aux_wrap = false; break;
	case 0xee: k->aux_wrap = true; break;
	case 0xf0: k->aux_status |= 0x40; break;
	case 0xf2: aux_reply(k, k->aux_id); break;
	case 0xf4: k->aux_status |= 0x20; break;
	case 0xf5: k->aux_status &= (u8)~0x20; break;
	case 0xf6: aux_defaults(k); break;
	case 0xff:
		aux_defaults(k);
		k->aux_id = 0;
		aux_reply(k, BAT_OK);
		aux_reply(k, 0);
		break;
	default: break;
	}
}

static void aux_write(struct i8042 *k, u8 v)
{
	bool known = (v >= 0xe6 && v <= 0xee && v != 0xed) || v == 0xf0 || (v >= 0xf2 && v <= 0xf6) || v == 0xff;

	if (k->aux_command) {
		aux_parameter(k, v);
	} else if (k->aux_wrap && v != 0xec && v != 0xff) {
		aux_reply(k, v);
	} else if (v == 0xfe) {
		put(&k->aux, k->aux_last);
	} else if (!known) {
		aux_reply(k, RESEND);
	} else {
		k->aux.len = 0; /* a command cancels what was still to be sent */
		aux_command(k, v);
	}
}

/* ---- controller ---- */

static u8 output_port(const struct i8042 *k)
{
	return (u8)(0xcc | OUT_RESET_N | (k->a20 ? OUT_A20 : 0) | (k->irq1.level ? OUT_KBD_INT : 0) |
		    (k->irq12.level ? OUT_AUX_INT : 0));
}

static void write_output_port(struct i8042 *k, u8 v)
{
	set_a20(k, v & OUT_A20);
	if (!(v & OUT_RESET_N))
		pulse_init(k);
}

static void controller_command(struct i8042 *k, u8 v)
{
	k->command = 0;
	switch (v) {
	case 0x20: put(&k->controller, k->ctr); break;
	case 0xa4: put(&k->controller, 0xf1); break; /* no password installed */
	case 0xa7: k->ctr |= CTR_AUX_OFF; break;
	case 0xa8: k->ctr &= (u8)~CTR_AUX_OFF; break;
	case 0xa9:
	case 0xab: put(&k->controller, 0); break; /* interface tests: no fault */
	case 0xaa:
		k->ctr |= CTR_SYS;
		put(&k->controller, 0x55);
		break;
	case 0xad: k->ctr |= CTR_KBD_OFF; break;
	case 0xae: k->ctr &= (u8)~CTR_KBD_OFF; break;
	case 0xc0: put(&k->controller, 0x80); break; /* input port: keyboard not locked */
	case 0xd0: put(&k->controller, output_port(k)); break;
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4: k->command = v; break;
	case 0xdd: set_a20(k, false); break;
	case 0xdf: set_a20(k, true); break;
	case 0xe0: put(&k->controller, 0); break;
	default:
		if (v > 0x20 && v < 0x40)
			put(&k->controller, k->ram[v & 31]);
		else if (v >= 0x60 && v < 0x80)
			k->command = v;
		else if (v >= 0xf0 && !(v & 1))
			pulse_init(k);
		break;
	}
}

/* D2h and D3h: the byte appears as if the device had sent it, past everything else. */
static void loop_back(struct i8042 *k, u8 v, bool aux)
{
	k->output = v;
	k->full = true;
	k->from_aux = aux;
}

static void data_write(struct i8042 *k, u8 v)
{
	u8 command = k->command;

	k->command = 0;
	switch (command) {
	case 0:
		k->ctr &= (u8)~CTR_KBD_OFF; /* sending to the keyboard enables its interface */
		kbd_write(k, v);
		break;
	case 0x60: k->ctr = v & 0x7f; break;
	case 0xd1: write_output_port(k, v); break;
	case 0xd2: loop_back(k, v, false); break;
	case 0xd3: loop_back(k, v, true); break;
	case 0xd4:
		k->ctr &= (u8)~CTR_AUX_OFF;
		aux_write(k, v);
		break;
	default: k->ram[command & 31] = v; break;
	}
}

static u64 data_port_read(void *dev, u64 offset, unsigned size)
{
	struct i8042 *k = dev;
	u8 v = k->output;

	(void)offset;
	(void)size;
	k->full = false;
	irq_set(&k->irq1, false); /* the next byte is an edge of its own */
	irq_set(&k->irq12, false);
	refill(k);
	return v;
}

static void data_port_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct i8042 *k = dev;

	(void)offset;
	(void)size;
	k->last_write_command = false;
	data_write(k, (u8)v);
	refill(k);
}

static u64 status_read(void *dev, u64 offset, unsigned size)
{
	struct i8042 *k = dev;

	(void)offset;
	(void)size;
	return (u64)ST_UNLOCKED | (k->full ? ST_OBF : 0) | (k->full && k->from_aux ? ST_AUX_OBF : 0) |
	       (k->ctr & CTR_SYS ? ST_SYS : 0) | (k->last_write_command ? ST_COMMAND : 0);
}

static void command_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct i8042 *k = dev;

	(void)offset;
	(void)size;
	k->last_write_command = true;
	controller_command(k, (u8)v);
	refill(k);
}

static u64 port92_read(void *dev, u64 offset, unsigned size)
{
	struct i8042 *k = dev;

	(void)offset;
	(void)size;
	return k->port92 | (k->a20 ? 2u : 0);
}

static void port92_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct i8042 *k = dev;
	bool reset = (v & 1) && !(k->port92 & 1);

	(void)offset;
	(void)size;
	k->port92 = v & 1;
	set_a20(k, v & 2);
	if (reset)
		pulse_init(k);
}

static const struct bus_ops data_ops = { .read = data_port_read, .write = data_port_write, .max_size = 1 };
static const struct bus_ops command_ops = { .read = status_read, .write = command_write, .max_size = 1 };
static const struct bus_ops port92_ops = { .read = port92_read, .write = port92_write, .max_size = 1 };

/* As firmware leaves it: self-test passed, both interfaces on, translation on, interrupts off, A20 open. */
static void i8042_reset(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	k->ctr = CTR_SYS | CTR_XLATE;
	memset(k->ram, 0, sizeof(k->ram));
	k->command = k->kbd_command = k->last_write_command = k->port92 = 0;
	k->full = k->from_aux = false;
	k->controller.len = k->kbd.len = k->aux.len = 0;
	k->kbd_scanning = true;
	k->aux_id = k->rate_history[0] = k->rate_history[1] = 0;
	kbd_defaults(k);
	aux_defaults(k);
	set_a20(k, true);
	refill(k);
}

static void i8042_destroy(struct device *d)
{
	struct i8042 *k = (struct i8042 *)d;

	for (unsigned i = 0; i < ARRAY_LEN(k->range); i++)
		bus_unmap(d->bus, &k->range[i]);
	base_free(k);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct i8042, ctr), STATE_ARRAY(2, struct i8042, ram), STATE(3, struct i8042, command),
	STATE(4, struct i8042, last_write_command), STATE(5, struct i8042, output), STATE(6, struct i8042, full),
	STATE(7, struct i8042, from_aux), STATE(8, struct i8042, a20), STATE(9, struct i8042, port92),
	STATE_ARRAY(10, struct i8042, controller.data), STATE(11, struct i8042, controller.len),
	STATE_ARRAY(12, struct i8042, kbd.data), STATE(13, struct i8042, kbd.len),
	STATE_ARRAY(14, struct i8042, aux.data), STATE(15, struct i8042, aux.len),
	STATE(16, struct i8042, kbd_command), STATE(17, struct i8042, scancode_set), STATE(18, struct i8042, leds),
	STATE(19, struct i8042, typematic), STATE(20, struct i8042, kbd_scanning), STATE(21, struct i8042, aux_command),
	STATE(22, struct i8042, rate), STATE(23, struct i8042, resolution), STATE(24, struct i8042, aux_status),
	STATE(25, struct i8042, aux_wrap), STATE_ARRAY(26, struct i8042, rate_history), STATE(27, struct i8042, aux_id),
	STATE(28, struct i8042, kbd_last), STATE(29, struct i8042, aux_last), STATE(30, struct i8042, irq1.level),
	STATE(31, struct i8042, irq12.level),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "i8042", .reset = i8042_reset, .destroy = i8042_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status i8042_create(struct device **out, const struct dev_env *e, struct irq_line irq1, struct irq_line irq12)
{
	struct i8042 *k = base_alloc(sizeof(*k));

	if (!k)
		return ST_NOMEM;
	k->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	k->irq1 = irq1;
	k->irq12 = irq12;
	k->platform = e->platform;
	k->a20 = true; /* the bus starts with the line open */
	dev_map(&k->dev, &k->range[0], &data_ops, true, 0x60, 1);
	dev_map(&k->dev, &k->range[1], &command_ops, true, 0x64, 1);
	dev_map(&k->dev, &k->range[2], &port92_ops, true, 0x92, 1);
	i8042_reset(&k->dev);
	*out = &k->dev;
	return ST_OK;
}
