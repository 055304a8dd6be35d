/*
 * Bytes to the gdb server: packets that gdb sends, spoiled; packets put together of parts; and noise. Whatever comes, every
 * packet is well-formed that goes out, the machine goes on when it is let, and a processor stays what one can be.
 */
#include "fuzz.h"

#include "gdb/gdb.h"
#include "gdb/packet.h"

#include <stdio.h>

enum { STEPS = 60, SLOW_SECONDS = 10 };
#define RAM (4ull << 20)

/* ---- what comes out ---- */

struct ear {
	struct gdb_reader reader;
	u64 packets;
};

static void hear(void *arg, const void *buf, size_t n)
{
	struct ear *e = arg;

	for (const u8 *p = buf; n; n--, p++) {
		enum gdb_in in = gdb_read_byte(&e->reader, *p);
		if (in == GDB_BROKEN)
			fuzz_fail("a packet with a wrong checksum left the server");
		e->packets += in == GDB_IN;
	}
}

/* ---- what goes in ---- */

static const char *const seeds[] = {
        "?", "g", "G", "p10", "P0=0102030405060708", "P29=00", "m100020,40", "M90000,4:01020304", "X90000,2:ab", "c", "s", "C05", "S05",
        "vCont?", "vCont;c", "vCont;s:1;c", "vCont;s:2", "vCont;t:1;c", "vCont;s:-1", "Hg1", "Hg2", "Hc-1", "T1", "T2",
        "qSupported:swbreak+;hwbreak+", "qXfer:features:read:target.xml:0,3fff", "qXfer:threads:read::0,100", "qfThreadInfo",
        "qsThreadInfo", "qThreadExtraInfo,1", "qC", "qAttached", "QStartNoAckMode", "qqemu.sstep", "Qqemu.sstep=1", "qSymbol::",
        "Z0,100020,1", "Z1,100021,1", "z0,100020,1", "Z2,90000,8", "Z3,ff8,10", "Z4,0,1000", "z4,0,1000", "R00", "!",
};
static const char *const monitors[] = {
        "help", "regs", "where", "space", "space phys", "space guest-phys", "space guest-linear", "space host-linear", "space linear",
        "context guest 0x5000", "context any", "context monitor", "x 0x100000 16", "x phys 0 2", "xp 0xfffffffffffffff8 4", "disas", "disas 0 40",
        "walk 0x1000", "walk guest-linear 0x1000", "vmcs", "vmcb", "vmcs 0x3000", "vmcb 0x3000", "vmcs rip", "tlb", "explain", "exits", "ring",
        "break-on", "break-on exit", "break-on exit=1 entry refused", "break-on none", "break-on triple-fault", "reset",
};

static size_t build_monitor(struct rng *r, char *out)
{
	const char *line = RNG_PICK(r, monitors);
	size_t n = (size_t)sprintf(out, "qRcmd,");

	for (; *line; line++)
		n += (size_t)sprintf(out + n, "%02x", (u8)(rng_one_in(r, 200) ? rng_next(r) : (u64)*line));
	return n;
}

static size_t build_body(struct rng *r, char *out)
{
	if (rng_one_in(r, 3))
		return build_monitor(r, out);
	if (rng_one_in(r, 8)) {
		size_t n = rng_below(r, rng_one_in(r, 20) ? 2 * GDB_PACKET : 64);
		rng_fill(r, out, n);
		return n;
	}
	if (rng_one_in(r, 4))
		return (size_t)sprintf(out, "%c%llx,%llx%s", "mMXZzpP"[rng_below(r, 7)], (unsigned long long)rng_odd(r),
		                       (unsigned long long)rng_odd(r), rng_one_in(r, 2) ? ":00" : "");
	size_t n = (size_t)sprintf(out, "%s", RNG_PICK(r, seeds));
	while (rng_one_in(r, 3) && n)
		out[rng_below(r, n)] = (char)rng_next(r);
	return rng_one_in(r, 6) ? rng_below(r, n + 1) : n;
}

static void say(struct rng *r, struct gdb *g)
{
	static char body[4 * GDB_PACKET], frame[8 * GDB_PACKET];
	size_t n = build_body(r, body), k = 0;
	u8 sum = 0;

	if (rng_one_in(r, 10))
		frame[k++] = "+-\3$#"[rng_below(r, 5)];
	frame[k++] = '$';
	for (size_t at = 0; at < n; at++) {
		bool special = (body[at] == '$' || body[at] == '#' || body[at] == '}') && !rng_one_in(r, 10);
		if (special)
			frame[k++] = '}';
		frame[k++] = special ? (char)(body[at] ^ 0x20) : body[at];
	}
	for (size_t at = 1 + (frame[0] != '$'); at < k; at++)
		sum = (u8)(sum + (u8)frame[at]);
	k += (size_t)sprintf(frame + k, "#%02x", (u8)(sum + rng_one_in(r, 30)));
	gdb_feed(g, frame, rng_one_in(r, 20) ? rng_below(r, k) : k);
}

/* ---- a case ---- */

static void one(struct rng *r)
{
	static struct ear ear;
	static const char *const cpus[] = {"amd", "intel", "plain", "core2", "pacifica"};
	struct machine_config cfg;
	struct inspect *i;
	struct gdb *g;
	struct err err;
	const struct gdb_options o = {.magic = rng_one_in(r, 2)};

	fuzz_config(&cfg, RNG_PICK(r, cpus), RAM);
	cfg.cpus = 1 + (unsigned)rng_below(r, 2);
	fuzz_knobs(r, &cfg);
	struct machine *m = fuzz_machine(&cfg);
	if (inspect_new(&i, m, &(struct inspect_options){.stats = true}, &err) != ST_OK || gdb_new(&g, m, i, &o, &err) != ST_OK)
		fuzz_fail("no server: %s", err.text);
	ear = (struct ear){0};
	if (rng_one_in(r, 2))
		fuzz_long_mode(m->cpus[0]);
	gdb_attach(g, hear, &ear);
	for (unsigned n = 0; n < STEPS; n++) {
		say(r, g);
		enum machine_stop why = gdb_run(g, 1 + rng_below(r, 2000), &err);
		if (machine_ended(why))
			break;
		if (fuzz_case_seconds() > SLOW_SECONDS)
			fuzz_fail("takes too long");
	}
	for (unsigned n = 0; n < ear.packets; n += 10)
		fuzz_count("packets/10");
	gdb_free(g);
	inspect_free(i);
	machine_destroy(m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "gdb", one);
}
