#include "gdb/packet.h"

#include <stdarg.h>

/* ---- in ---- */

static int digit(u8 b)
{
	if (b >= '0' && b <= '9')
		return b - '0';
	if (b >= 'a' && b <= 'f')
		return b - 'a' + 10;
	if (b >= 'A' && b <= 'F')
		return b - 'A' + 10;
	return -1;
}

static void begin(struct gdb_reader *r)
{
	r->state = READ_BODY;
	r->broken = false;
	r->sum = 0;
	r->n = 0;
}

static void add(struct gdb_reader *r, u8 b)
{
	if (r->n < GDB_PACKET)
		r->body[r->n++] = (char)b;
	else
		r->broken = true;
}

static enum gdb_in idle(struct gdb_reader *r, u8 b)
{
	if (b == '$')
		begin(r);
	return b == 3 ? GDB_INTERRUPT : b == '-' ? GDB_AGAIN : GDB_MORE; /* '+' and noise mean nothing */
}

/* A '$' inside a packet is the beginning of another one: the rest of this was lost. */
static enum gdb_in inside(struct gdb_reader *r, u8 b)
{
	if (b == '$') {
		begin(r);
		return GDB_MORE;
	}
	if (b == '#') {
		r->state = READ_SUM;
		return GDB_MORE;
	}
	r->sum = (u8)(r->sum + b);
	if (b == '}')
		r->state = READ_ESCAPED;
	else
		add(r, b);
	return GDB_MORE;
}

enum gdb_in gdb_read_byte(struct gdb_reader *r, u8 b)
{
	switch (r->state) {
	case READ_IDLE: return idle(r, b);
	case READ_BODY: return inside(r, b);
	case READ_ESCAPED:
		r->sum = (u8)(r->sum + b);
		add(r, b ^ 0x20);
		r->state = READ_BODY;
		return GDB_MORE;
	case READ_SUM:
		r->broken |= digit(b) < 0;
		r->said = (u8)((digit(b) & 15) << 4);
		r->state = READ_SUM2;
		return GDB_MORE;
	case READ_SUM2: break;
	}
	r->state = READ_IDLE;
	r->body[r->n] = 0;
	return r->broken || digit(b) < 0 || (r->said | digit(b)) != r->sum ? GDB_BROKEN : GDB_IN;
}

/* ---- out ---- */

void out_reset(struct gdb_out *o)
{
	o->full = false;
	o->n = 0;
	o->body[0] = 0;
}

void out_put(struct gdb_out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(o->body + o->n, sizeof(o->body) - o->n, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(o->body) - o->n)
		o->full = true;
	else
		o->n += (size_t)n;
}

void out_hex(struct gdb_out *o, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = bytes;

	if (2 * n > GDB_PACKET - o->n) {
		o->full = true;
		return;
	}
	for (; n; n--, p++) {
		o->body[o->n++] = digits[*p >> 4];
		o->body[o->n++] = digits[*p & 15];
	}
	o->body[o->n] = 0;
}

void out_raw(struct gdb_out *o, const void *bytes, size_t n)
{
	const u8 *p = bytes;

	for (; n; n--, p++) {
		bool special = *p == '#' || *p == '$' || *p == '}' || *p == '*';

		if (o->n + 2 > GDB_PACKET) {
			o->full = true;
			return;
		}
		if (special)
			o->body[o->n++] = '}';
		o->body[o->n++] = (char)(special ? *p ^ 0x20 : *p);
	}
	o->body[o->n] = 0;
}

size_t out_frame(const struct gdb_out *o, char *buf)
{
	u8 sum = 0;

	buf[0] = '$';
	for (size_t k = 0; k < o->n; k++) {
		buf[k + 1] = o->body[k];
		sum = (u8)(sum + (u8)o->body[k]);
	}
	buf[o->n + 1] = '#';
	buf[o->n + 2] = "0123456789abcdef"[sum >> 4];
	buf[o->n + 3] = "0123456789abcdef"[sum & 15];
	return o->n + 4;
}

/* ---- parsing ---- */

bool hex_number(const char **p, u64 *v)
{
	unsigned n = 0;

	*v = 0;
	for (; digit((u8)**p) >= 0; (*p)++, n++)
		*v = *v << 4 | (u64)digit((u8)**p);
	return n > 0 && n <= 16;
}

bool hex_bytes(const char **p, void *out, size_t n)
{
	u8 *to = out;

	for (; n; n--, *p += 2) {
		int high = digit((u8)(*p)[0]), low = high < 0 ? -1 : digit((u8)(*p)[1]);

		if (low < 0)
			return false;
		*to++ = (u8)(high << 4 | low);
	}
	return true;
}

bool skip_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}
