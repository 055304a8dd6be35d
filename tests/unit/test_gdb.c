/*
 * The gdb server without a socket: bytes in, bytes out. Checksums, what the packets ask of a small machine, and packets that
 * are truncated, wrong or hostile. Expected answers are those of gdb's manual, "Remote Protocol".
 */
#include <setjmp.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gdb/gdb.h"
#include "gdb/packet.h"
#include "model/model.h"

/* ---- bytes ---- */

static enum gdb_in feed(struct gdb_reader *r, const char *s)
{
	enum gdb_in last = GDB_MORE;

	for (; *s; s++)
		last = gdb_read_byte(r, (u8)*s);
	return last;
}

static void packets_in(void **state)
{
	static struct gdb_reader r;

	(void)state;
	memset(&r, 0, sizeof(r));
	assert_int_equal(feed(&r, "+$OK#9a"), GDB_IN); /* 4fh + 4bh = 9ah */
	assert_string_equal(r.body, "OK");
	assert_int_equal(feed(&r, "$OK#9A"), GDB_IN);
	assert_int_equal(feed(&r, "$OK#9b"), GDB_BROKEN);
	assert_int_equal(feed(&r, "$OK#zz"), GDB_BROKEN);
	assert_int_equal(feed(&r, "$#00"), GDB_IN);
	assert_int_equal(r.n, 0);
	assert_int_equal(feed(&r, "\3"), GDB_INTERRUPT);
	assert_int_equal(feed(&r, "-"), GDB_AGAIN);
	/* A packet whose end was lost ends where the next one begins. */
	assert_int_equal(feed(&r, "$g1234$OK#9a"), GDB_IN);
	assert_string_equal(r.body, "OK");
	/* "}" and a byte ^ 20h: here '#', whose two bytes both count for the checksum, 7dh + 3 = 80h. */
	assert_int_equal(feed(&r, "$}\3#80"), GDB_IN);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.body[0], '#');
}

static void too_long_a_packet(void **state)
{
	static struct gdb_reader r;

	(void)state;
	memset(&r, 0, sizeof(r));
	(void)gdb_read_byte(&r, '$');
	for (unsigned n = 0; n < 3 * GDB_PACKET; n++)
		assert_int_equal(gdb_read_byte(&r, 0), GDB_MORE);
	assert_int_equal(feed(&r, "#00"), GDB_BROKEN);
	assert_int_equal(feed(&r, "$OK#9a"), GDB_IN);
}

static void packets_out(void **state)
{
	static struct gdb_out o;
	static char frame[GDB_PACKET + 4];
	static u8 much[GDB_PACKET];

	(void)state;
	out_reset(&o);
	out_put(&o, "OK");
	assert_int_equal(out_frame(&o, frame), 6);
	assert_memory_equal(frame, "$OK#9a", 6);
	out_reset(&o);
	out_raw(&o, "a#$}*b", 6);
	assert_memory_equal(o.body, "a}\x03}\x04}\x5d}\x0a"
	                            "b",
	                    o.n);
	assert_int_equal(o.n, 10);
	out_reset(&o);
	out_hex(&o, "\x01\xab", 2);
	assert_string_equal(o.body, "01ab");
	assert_false(o.full);
	out_hex(&o, much, sizeof(much));
	assert_true(o.full);
}

static void numbers_in(void **state)
{
	const char *p = "1fG", *q = "", *r = "12345678901234567", *h = "0aF";
	u64 v;
	u8 b[2];

	(void)state;
	assert_true(hex_number(&p, &v));
	assert_int_equal(v, 0x1f);
	assert_string_equal(p, "G");
	assert_false(hex_number(&q, &v));
	assert_false(hex_number(&r, &v)); /* more than 64 bits */
	assert_false(hex_bytes(&h, b, 2));
}

/* ---- a machine ---- */

enum { LOOP = 0x10002a, STORE = 0x10002b, NOP = 0x100030, COUNTER = 0x90010, START = 0x100020 };

/* Multiboot 1 by the a.out kludge: MOV ESP; MOV EAX, 0; LOOP: INC EAX; MOV [90010h], EAX; NOP; JMP LOOP. */
static void make_image(u8 image[64])
{
	static const u32 header[] = {0x1badb002, 0x10000, 0u - 0x1badb002u - 0x10000u, 0x100000, 0x100000, 0, 0, START};
	static const u8 code[] = {0xbc, 0, 0, 9, 0, 0xb8, 0, 0, 0, 0, 0x40, 0xa3, 0x10, 0, 9, 0, 0x90, 0xeb, 0xf7};

	memset(image, 0x90, 64);
	memcpy(image, header, sizeof(header));
	memcpy(image + 32, code, sizeof(code));
}

struct session {
	struct machine *m;
	struct inspect *i;
	struct gdb *g;
	char heard[1 << 16]; /* what came since the last question */
	size_t n;
};

static void hear(void *arg, const void *buf, size_t n)
{
	struct session *s = arg;

	assert_true(s->n + n < sizeof(s->heard));
	memcpy(s->heard + s->n, buf, n);
	s->n += n;
	s->heard[s->n] = 0;
}

static struct machine_config config(char *kernel, const char *cpu)
{
	struct machine_config c = {.ram = 8 << 20, .cpus = 2, .seed = 1, .idle = IDLE_SKIP, .kernel = kernel};
	struct err err;

	assert_int_equal(model_parse(cpu, &c.model, &c.feat, &err), ST_OK);
	c.serial[0] = c.serial[1] = c.debugcon = (char *)(uintptr_t) "null";
	return c;
}

/* One file for all sessions: multiboot tells the machine its name, and two machines must be alike to the byte. */
static char folder[] = "/tmp/test-gdb.XXXXXX", path[sizeof(folder) + sizeof("/kernel")];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/kernel", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void open_session(struct session *s, const struct gdb_options *o, const char *cpu)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	u8 image[64];
	struct err err = {""};
	struct machine_config c = config(path, cpu);

	memset(s, 0, sizeof(*s));
	make_image(image);
	assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
	close(fd);
	assert_int_equal(machine_create(&s->m, &c, &err), ST_OK);
	assert_int_equal(inspect_new(&s->i, s->m, &(struct inspect_options){.stats = true}, &err), ST_OK);
	assert_int_equal(gdb_new(&s->g, s->m, s->i, o, &err), ST_OK);
	gdb_attach(s->g, hear, s);
}

static void close_session(struct session *s)
{
	gdb_free(s->g);
	inspect_free(s->i);
	machine_destroy(s->m);
}

static void say(struct session *s, const void *body, size_t n)
{
	static char frame[2 * GDB_PACKET + 8];
	u8 sum = 0;

	for (size_t k = 0; k < n; k++)
		sum = (u8)(sum + ((const u8 *)body)[k]);
	frame[0] = '$';
	memcpy(frame + 1, body, n);
	snprintf(frame + 1 + n, 4, "#%02x", sum);
	s->n = 0;
	s->heard[0] = 0;
	gdb_feed(s->g, frame, n + 4);
}

/* What is answered, without what surrounds it. */
static const char *ask(struct session *s, const char *body)
{
	static char answer[1 << 16];

	say(s, body, strlen(body));
	const char *from = strrchr(s->heard, '$'), *to = from ? strrchr(from, '#') : NULL;
	if (!from || !to)
		return "(nothing)";
	snprintf(answer, sizeof(answer), "%.*s", (int)(to - from - 1), from + 1);
	return answer;
}

/* A packet that lets the machine go on, and what comes of it. */
static const char *go(struct session *s, const char *body)
{
	struct err err;
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", body);
	say(s, copy, strlen(copy));
	(void)gdb_run(s->g, 100000, &err);
	static char answer[256];
	const char *from = strrchr(s->heard, '$'), *to = from ? strrchr(from, '#') : NULL;
	snprintf(answer, sizeof(answer), "%.*s", from && to ? (int)(to - from - 1) : 0, from ? from + 1 : "");
	return answer;
}

static u64 little(const char *hex)
{
	u8 b[8] = {0};
	const char *p = hex;

	assert_true(hex_bytes(&p, b, 8));
	u64 v;
	memcpy(&v, b, 8);
	return v;
}

enum { RAX = 0, RIP = 16 };

static u64 reg(struct session *s, unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "p%x", n);
	return little(ask(s, text));
}

static void asks(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "intel");
	assert_string_equal(ask(&s, "?"), "T05thread:01;");
	assert_non_null(strstr(ask(&s, "qSupported:multiprocess+;swbreak+;hwbreak+"), "PacketSize=4000;"));
	assert_non_null(strstr(ask(&s, "qSupported:swbreak+;hwbreak+"), "qXfer:features:read+"));
	assert_null(strstr(ask(&s, "qSupported:swbreak+;hwbreak+"), "multiprocess"));
	assert_string_equal(ask(&s, "vCont?"), "vCont;c;C;s;S;t");
	assert_string_equal(ask(&s, "qfThreadInfo"), "m1,2");
	assert_string_equal(ask(&s, "qsThreadInfo"), "l");
	assert_string_equal(ask(&s, "qAttached"), "1");
	assert_string_equal(ask(&s, "qC"), "QC1");
	assert_string_equal(ask(&s, "Hg2"), "OK");
	assert_string_equal(ask(&s, "qC"), "QC2");
	assert_string_equal(ask(&s, "Hg0"), "OK");
	assert_string_equal(ask(&s, "Hg3"), "E22");
	assert_string_equal(ask(&s, "Hc-1"), "OK");
	assert_string_equal(ask(&s, "T2"), "OK");
	assert_string_equal(ask(&s, "T3"), "E22");
	assert_string_equal(ask(&s, "qThreadExtraInfo,1"), "4350552030"); /* "CPU 0" */
	assert_string_equal(ask(&s, "qqemu.sstepbits"), "ENABLE=1,NOIRQ=2,NOTIMER=4");
	assert_string_equal(ask(&s, "Qqemu.sstep=5"), "OK");
	assert_string_equal(ask(&s, "qqemu.sstep"), "0x5");
	assert_string_equal(ask(&s, "vMustReplyEmpty"), "");
	assert_string_equal(ask(&s, "qNobodyKnows"), "");
	/* Without an acknowledge the packet comes again. */
	assert_string_equal(ask(&s, "qAttached"), "1");
	s.n = 0;
	gdb_feed(s.g, "-", 1);
	assert_string_equal(s.heard, "$1#31");
	assert_string_equal(ask(&s, "QStartNoAckMode"), "OK");
	(void)ask(&s, "qAttached");
	assert_string_equal(s.heard, "$1#31"); /* no '+' in front any more */
	close_session(&s);
}

/* The description, the length of `g` and the registers one by one say the same. */
static void registers(void **state)
{
	static struct session s;
	static char text[1 << 16], all[1 << 14], again[1 << 14];
	const struct gdb_options o = {0};
	size_t n = 0, digits = 0, count = 0;
	char question[64];

	(void)state;
	open_session(&s, &o, "amd");
	for (const char *part; (void)snprintf(question, sizeof(question), "qXfer:features:read:target.xml:%zx,800", n),
	     part = ask(&s, question), *part == 'm' || *part == 'l';) {
		size_t k = strlen(part + 1);
		memcpy(text + n, part + 1, k + 1);
		n += k;
		if (*part == 'l')
			break;
	}
	assert_non_null(strstr(text, "<architecture>i386:x86-64</architecture>"));
	assert_non_null(strstr(text, "</target>"));
	for (const char *p = text; (p = strstr(p, "bitsize=\"")) != NULL; count++)
		digits += strtoul(p += 9, NULL, 10) / 4;
	snprintf(all, sizeof(all), "%s", ask(&s, "g"));
	assert_int_equal(strlen(all), digits);
	for (size_t k = 0, at = 0; k < count; k++) {
		snprintf(question, sizeof(question), "p%zx", k);
		const char *one = ask(&s, question);
		assert_memory_equal(one, all + at, strlen(one));
		at += strlen(one);
	}
	snprintf(question, sizeof(question), "p%zx", count);
	assert_string_equal(ask(&s, question), "E22");
	/* G with what g said changes nothing. */
	snprintf(again, sizeof(again), "G%s", all);
	assert_string_equal(ask(&s, again), "OK");
	assert_string_equal(ask(&s, "g"), all);
	assert_string_equal(ask(&s, "P0=efcdab8967452301"), "OK");
	assert_int_equal(reg(&s, RAX), 0x0123456789abcdef);
	assert_string_equal(ask(&s, "P0=ef"), "E22");
	assert_string_equal(ask(&s, "G00"), "E22");
	assert_int_equal(reg(&s, RIP), START);
	close_session(&s);
}

static void memory(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "plain");
	assert_string_equal(ask(&s, "m100020,5"), "bc00000900");
	assert_string_equal(ask(&s, "M90000,3:0a0b0c"), "OK");
	assert_string_equal(ask(&s, "m90000,3"), "0a0b0c");
	say(&s, "X90001,4:a}\3bc", 14 - 0); /* 'a', '#', 'b', 'c' */
	assert_non_null(strstr(s.heard, "$OK#9a"));
	assert_string_equal(ask(&s, "m90001,4"), "61236263");
	assert_string_equal(ask(&s, "M90000,3:0a0b"), "E22");
	assert_string_equal(ask(&s, "M90000,3:0a0b0c0d"), "E22");
	assert_string_equal(ask(&s, "m40000000,4"), "E14"); /* no memory */
	assert_string_equal(ask(&s, "mfee00000,4"), "E14"); /* a device's: reading could change it */
	assert_true(gdb_sees(s.m->cpus[0], GDB_PHYS) && gdb_sees(s.m->cpus[0], GDB_HOST_LINEAR));
	assert_false(gdb_sees(s.m->cpus[0], GDB_GUEST_LINEAR) || gdb_sees(s.m->cpus[0], GDB_GUEST_PHYS)); /* there is no guest */
	/* As much as there is. */
	assert_string_equal(ask(&s, "m7ffffe,8"), "0000");
	close_session(&s);
}

static void breakpoints(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "intel");
	(void)ask(&s, "qSupported:swbreak+;hwbreak+");
	assert_string_equal(ask(&s, "Z0,100030,1"), "OK");
	assert_string_equal(go(&s, "c"), "T05thread:01;swbreak:;");
	assert_int_equal(reg(&s, RIP), NOP);
	assert_int_equal(reg(&s, RAX), 1);
	/* It goes on over it, and comes back. */
	assert_string_equal(go(&s, "c"), "T05thread:01;swbreak:;");
	assert_int_equal(reg(&s, RAX), 2);
	/* Memory shows no trace. */
	assert_string_equal(ask(&s, "m100030,1"), "90");
	assert_string_equal(ask(&s, "Z1,10002b,1"), "OK");
	assert_string_equal(go(&s, "c"), "T05thread:01;hwbreak:;");
	assert_int_equal(reg(&s, RIP), STORE);
	assert_string_equal(ask(&s, "z0,100030,1"), "OK");
	assert_string_equal(ask(&s, "z1,10002b,1"), "OK");
	assert_string_equal(go(&s, "s"), "T05thread:01;");
	assert_int_equal(reg(&s, RIP), NOP);
	assert_string_equal(go(&s, "vCont;s:1;c"), "T05thread:01;");
	assert_int_equal(reg(&s, RIP), NOP + 1);
	/* A step starts at a breakpoint without stopping there. */
	assert_string_equal(ask(&s, "Z0,100031,1"), "OK");
	assert_string_equal(go(&s, "vCont;s:1"), "T05thread:01;");
	assert_int_equal(reg(&s, RIP), LOOP);
	assert_string_equal(ask(&s, "Z5,100031,1"), "");
	close_session(&s);
}

static void watchpoints(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "intel");
	assert_string_equal(ask(&s, "Z2,90010,4"), "OK");
	assert_string_equal(go(&s, "c"), "T05thread:01;watch:90010;");
	assert_int_equal(reg(&s, RIP), NOP); /* behind the store */
	assert_string_equal(ask(&s, "m90010,4"), "01000000");
	assert_string_equal(go(&s, "c"), "T05thread:01;watch:90010;");
	assert_string_equal(ask(&s, "m90010,4"), "02000000");
	assert_string_equal(ask(&s, "z2,90010,4"), "OK");
	/* Neighbours, and reads, are none of it. */
	assert_string_equal(ask(&s, "Z2,90014,4"), "OK");
	assert_string_equal(ask(&s, "Z3,90010,4"), "OK");
	assert_string_equal(ask(&s, "Z4,9000c,4"), "OK");
	assert_string_equal(go(&s, "c"), "");
	close_session(&s);
}

static void monitor(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "intel");
	assert_string_equal(ask(&s, "qRcmd,68656c70"), "OK"); /* help */
	assert_non_null(strstr(s.heard, "$O"));
	assert_string_equal(ask(&s, "qRcmd,6"), "E22");
	assert_string_equal(ask(&s, "qRcmd,zz"), "E22");
	assert_string_equal(ask(&s, "qRcmd,7370616365206c6f6e67"), "OK"); /* space long */
	close_session(&s);
}

/* Whatever is wrong with them, there is an answer, and nothing changes. */
static void hostile(void **state)
{
	static const char *const bad[] = {
	        "m",        "m,",         "mzz,1",    "m100000",       "m100000,",  "m100000,1,",   "M",           "M0,1",
	        "X0,5:abc", "p",          "pzz",      "P",             "P0",        "P0=",          "Pffffffff=00", "G",
	        "Gzz",      "H",          "Hx1",      "Hg",            "Hg-2",      "Hgffffffffff", "T",           "Tzz",
	        "vCont;",   "vCont;x",    "vCont;s:", "vCont;s:7",     "vCont;C",   "vCont;t:1",    "vCont;s:1junk",
	        "Z0,",      "Z0,1",       "Z2,0,0",   "Z4,ffffffffffffffff,2", "qThreadExtraInfo,9", "Qqemu.sstep=9",
	        "qXfer:features:read:target.xml:", "qXfer:features:read:target.xml:0", "qXfer:threads:read::zz,1",
	};
	static struct session s;
	const struct gdb_options o = {0};

	(void)state;
	open_session(&s, &o, "amd");
	for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
		const char *a = ask(&s, bad[n]);
		if (strcmp(a, "E22") != 0)
			fail_msg("%s: '%s'", bad[n], a);
	}
	assert_string_equal(ask(&s, "m100020,ffffffffffffffff") , ask(&s, "m100020,ffffffffffffffff"));
	assert_string_equal(ask(&s, "qXfer:features:read:target.xml:ffffffff,10"), "l");
	assert_string_equal(ask(&s, "qXfer:features:read:other.xml:0,10"), "E00");
	assert_string_equal(ask(&s, "Zx"), "");
	assert_string_equal(ask(&s, ""), "");
	assert_int_equal(reg(&s, RIP), START);
	close_session(&s);
}

static void goes_away(void **state)
{
	static struct session s;
	const struct gdb_options o = {0};
	struct err err;

	(void)state;
	open_session(&s, &o, "intel");
	assert_string_equal(ask(&s, "Z0,100030,1"), "OK");
	assert_string_equal(ask(&s, "D"), "OK");
	assert_int_equal(gdb_run(s.g, 1000, &err), MSTOP_LIMIT); /* no breakpoint is left */
	assert_int_equal(machine_insns(s.m), 1000);
	close_session(&s);
	open_session(&s, &o, "intel");
	say(&s, "k", 1);
	assert_int_equal(gdb_run(s.g, 1000, &err), MSTOP_POWEROFF);
	assert_int_equal(machine_insns(s.m), 0);
	close_session(&s);
}

/* Stops leave the run as it is. */
static void leaves_no_trace(void **state)
{
	static struct session s, t;
	const struct gdb_options o = {0};
	struct err err;

	(void)state;
	open_session(&s, &o, "intel");
	open_session(&t, &o, "intel");
	(void)ask(&t, "D");
	assert_int_equal(gdb_run(t.g, 5000, &err), MSTOP_LIMIT);
	(void)ask(&s, "Z0,100030,1");
	(void)ask(&s, "Z2,90010,4");
	for (unsigned n = 0; n < 300; n++)
		(void)go(&s, "c");
	assert_true(machine_insns(s.m) < 5000);
	(void)ask(&s, "D");
	assert_int_equal(gdb_run(s.g, 5000 - machine_insns(s.m), &err), MSTOP_LIMIT);
	assert_int_equal(machine_insns(s.m), machine_insns(t.m));
	assert_int_equal(inspect_hash(s.i), inspect_hash(t.i));
	close_session(&s);
	close_session(&t);
}

static void words(void **state)
{
	static const char *const good[] = {"refused", "entry", "exit", "exit=48", "exit=EPT_VIOLATION", "exit=ept violation", "exit=EPT violation",
	                                   "triple-fault", "sanitize", "vmx.guest.rflags.if-extint"};
	static const char *const bad[] = {"exit=", "exit=VMEXIT_NPF", "exit=9999", "nothing", "", "vmx.no.such"};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(good) + ARRAY_LEN(bad); n++) {
		static struct session s;
		const bool fine = n < ARRAY_LEN(good);
		struct gdb_options o = {.stop = {fine ? good[n] : bad[n - ARRAY_LEN(good)]}, .stop_option = "--break-on", .stops = 1};
		struct gdb *g;
		struct err err;

		if (!n)
			open_session(&s, &(struct gdb_options){0}, "intel");
		gdb_free(s.g);
		enum status got = gdb_new(&g, s.m, s.i, &o, &err);
		if ((got == ST_OK) != fine)
			fail_msg("%s: %d", o.stop[0], got);
		s.g = NULL;
		if (got == ST_OK)
			gdb_free(g);
		else
			assert_non_null(strstr(err.text, "--break-on"));
		if (n + 1 == ARRAY_LEN(good) + ARRAY_LEN(bad))
			close_session(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(packets_in),  cmocka_unit_test(too_long_a_packet), cmocka_unit_test(packets_out),
	        cmocka_unit_test(numbers_in),  cmocka_unit_test(asks),              cmocka_unit_test(registers),
	        cmocka_unit_test(memory),      cmocka_unit_test(breakpoints),       cmocka_unit_test(watchpoints),
	        cmocka_unit_test(monitor),     cmocka_unit_test(hostile),           cmocka_unit_test(goes_away),
	        cmocka_unit_test(leaves_no_trace), cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
