/* The bytes of gdb's remote protocol: packets in, packets out, numbers in hexadecimal. No machine. */
#ifndef GDB_PACKET_H
#define GDB_PACKET_H

#include "base/base.h"

#include <stdio.h>

#define GDB_PACKET 0x4000u /* PacketSize: of what is between '$' and '#' */

/* ---- in ---- */
enum gdb_in {
	GDB_MORE,      /* nothing complete yet */
	GDB_IN,        /* a packet: body, n */
	GDB_INTERRUPT, /* Ctrl-C */
	GDB_AGAIN,     /* the other side did not get the last packet */
	GDB_BROKEN,    /* a packet with a wrong checksum, or too long: to be sent again */
};
struct gdb_reader {
	enum { READ_IDLE, READ_BODY, READ_ESCAPED, READ_SUM, READ_SUM2 } state;
	bool broken;
	u8 sum, said;
	size_t n;
	char body[GDB_PACKET + 1]; /* with escapes taken out; a NUL behind it */
};
enum gdb_in gdb_read_byte(struct gdb_reader *r, u8 b);

/* ---- out ---- */
struct gdb_out {
	bool full; /* something did not fit: the answer is an error */
	size_t n;
	char body[GDB_PACKET + 1];
};
void out_reset(struct gdb_out *o);
void out_put(struct gdb_out *o, const char *fmt, ...) printf_like(2, 3);
void out_hex(struct gdb_out *o, const void *bytes, size_t n); /* two digits a byte, in memory's order */
void out_raw(struct gdb_out *o, const void *bytes, size_t n); /* binary: escaped */
/* '$', body, '#', checksum to `buf`, which has room for GDB_PACKET + 4; how many. */
size_t out_frame(const struct gdb_out *o, char *buf);

/* ---- parsing: each moves *p behind what it took ---- */
bool hex_number(const char **p, u64 *v);                       /* at least one digit, at most 16 */
bool hex_bytes(const char **p, void *out, size_t n);           /* exactly n */
bool skip_char(const char **p, char c);

#endif
