/* What each packet asks. An empty answer means that the server does not know the packet, which gdb takes as an answer. */
#include "base/os.h"
#include "gdb/parts.h"

#include <inttypes.h>
#include <stdlib.h>

static void ok(struct gdb *g)
{
	out_put(&g->out, "OK");
}

static void error(struct gdb *g)
{
	out_reset(&g->out);
	out_put(&g->out, "E22");
}

static void answer(struct gdb *g, bool good)
{
	if (good)
		ok(g);
	else
		error(g);
}

/* Threads are numbered from 1. "-1": all of them; 0: any. */
static bool thread(struct gdb *g, const char **p, u32 *mask)
{
	u64 n;

	*mask = 0;
	if (skip_char(p, '-')) {
		*mask = (u32)(BIT(g->m->count) - 1);
		return skip_char(p, '1');
	}
	if (!hex_number(p, &n) || n > g->m->count)
		return false;
	*mask = n ? 1u << (n - 1) : 1u << g->at;
	return true;
}

/* ---- stops ---- */

static void watch_reason(struct gdb *g, const struct debug *d)
{
	const char *kind = d->use == DEBUG_WRITE ? "watch" : d->use == DEBUG_READ ? "rwatch" : "awatch";

	out_put(&g->out, "%s:%" PRIx64 ";", kind, d->at);
}

void command_stop_reply(struct gdb *g)
{
	struct debug *d = &g->cpu[g->at];

	out_put(&g->out, "T%02xthread:%02x;", g->signal, g->at + 1);
	if (g->signal == SIG_TRAP && d->why == DEBUG_WATCH)
		watch_reason(g, d);
	else if (g->signal == SIG_TRAP && d->why == DEBUG_POINT && d->tag == 0 && g->swbreak)
		out_put(&g->out, "swbreak:;");
	else if (g->signal == SIG_TRAP && d->why == DEBUG_POINT && d->tag == 1 && g->hwbreak)
		out_put(&g->out, "hwbreak:;");
}

static void go(struct gdb *g, u32 stepped, u32 held)
{
	g->signal = 0;
	g->owed = true;
	gdb_let_go(g, stepped, held);
}

/* c, C, s, S: the others go on, too. An address to go on at is of the times before P. */
static void go_on(struct gdb *g, const char *p)
{
	bool step = *p == 's' || *p == 'S';

	go(g, step ? 1u << g->c : 0, 0);
}

/* "vCont;s:1;c": the first action that names a thread counts for it; threads without one stand still. */
static void cont(struct gdb *g, const char *p)
{
	u32 all = (u32)(BIT(g->m->count) - 1), stepped = 0, going = 0, given = 0;

	while (skip_char(&p, ';')) {
		const char action = *p ? *p++ : 0;
		u32 who = all;
		u64 signal;

		if (!strchr("csCSt", action) || !action)
			return error(g);
		if ((action == 'C' || action == 'S') && !hex_number(&p, &signal))
			return error(g);
		if (skip_char(&p, ':') && !thread(g, &p, &who))
			return error(g);
		who &= ~given;
		given |= who;
		if (action != 't')
			going |= who;
		if (action == 's' || action == 'S')
			stepped |= who;
	}
	if (*p || !going)
		return error(g);
	go(g, stepped, all & ~going);
}

/* ---- q: what gdb asks about ---- */

static void supported(struct gdb *g, const char *p)
{
	g->swbreak = strstr(p, "swbreak+") != NULL;
	g->hwbreak = strstr(p, "hwbreak+") != NULL;
	out_put(&g->out,
	        "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;vContSupported+;swbreak+;hwbreak+",
	        GDB_PACKET);
}

static void describe_threads(struct gdb *g, FILE *f)
{
	char text[128];

	fprintf(f, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (unsigned n = 0; n < g->m->count; n++) {
		monitor_thread(g, n, text, sizeof(text));
		fprintf(f, "<thread id=\"%x\" core=\"%u\" name=\"CPU %u\">%s</thread>\n", n + 1, n, n, text);
	}
	fprintf(f, "</threads>\n");
}

/* "features:read:target.xml:0,3fff": a part of a document. */
static void transfer(struct gdb *g, const char *p)
{
	const bool features = !strncmp(p, "features:read:target.xml:", 25), threads = !strncmp(p, "threads:read::", 14);
	u64 from, n;
	char *text = NULL;
	size_t size = 0;

	p += features ? 25 : threads ? 14 : 0;
	if (!features && !threads) {
		out_put(&g->out, !strncmp(p, "features:read:", 14) ? "E00" : "");
		return;
	}
	if (!hex_number(&p, &from) || !skip_char(&p, ',') || !hex_number(&p, &n))
		return error(g);
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return error(g);
	if (features)
		registers_describe(f);
	else
		describe_threads(g, f);
	fclose(f);
	from = min_u64(from, size);
	n = min_u64(min_u64(n, GDB_PACKET / 2), size - from);
	out_put(&g->out, from + n < size ? "m" : "l");
	out_raw(&g->out, text + from, n);
	free(text);
}

static void list_threads(struct gdb *g)
{
	for (unsigned n = 0; n < g->m->count; n++)
		out_put(&g->out, "%s%x", n ? "," : "m", n + 1);
}

static void thread_info(struct gdb *g, const char *p)
{
	char text[128];
	u32 who;

	if (!thread(g, &p, &who) || !who)
		return error(g);
	monitor_thread(g, (unsigned)__builtin_ctz(who), text, sizeof(text));
	out_hex(&g->out, text, strlen(text));
}

/* `monitor ...`: its answer goes to the console, then OK. */
static void remote_command(struct gdb *g, const char *p)
{
	char line[GDB_PACKET / 2 + 1], *text = NULL;
	size_t n = strlen(p) / 2, size = 0;

	if (strlen(p) % 2 || !hex_bytes(&p, line, n))
		return error(g);
	line[n] = 0;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return error(g);
	monitor_run(g, line, f);
	fclose(f);
	gdb_text(g, text);
	free(text);
	out_reset(&g->out);
	if (!g->killed)
		ok(g);
}

/* Which of interrupts and timers a step lets through, as QEMU has it: 1 steps, 2 no interrupts, 4 no timers. */
static void set_step_bits(struct gdb *g, const char *p)
{
	u64 v;

	if (!hex_number(&p, &v) || v & ~7ull || *p)
		return error(g);
	g->step_hold = (v & 2) != 0;
	ok(g);
}

struct query {
	const char *name;
	void (*with)(struct gdb *g, const char *rest); /* NULL: the name alone is it */
	void (*alone)(struct gdb *g);
	const char *fixed;
};

static void no_ack(struct gdb *g)
{
	ok(g);
	g->no_ack = true;
}

static void current_thread(struct gdb *g)
{
	out_put(&g->out, "QC%x", g->g + 1);
}

static void step_bits(struct gdb *g)
{
	out_put(&g->out, "0x%x", g->step_hold ? 7 : 5);
}

static const struct query queries[] = {
        {"qSupported", supported, NULL, NULL},
        {"qXfer:", transfer, NULL, NULL},
        {"QStartNoAckMode", NULL, no_ack, NULL},
        {"qfThreadInfo", NULL, list_threads, NULL},
        {"qsThreadInfo", NULL, NULL, "l"},
        {"qThreadExtraInfo,", thread_info, NULL, NULL},
        {"qC", NULL, current_thread, NULL},
        {"qAttached", NULL, NULL, "1"},
        {"qRcmd,", remote_command, NULL, NULL},
        {"qSymbol::", NULL, NULL, "OK"},
        {"qqemu.sstepbits", NULL, NULL, "ENABLE=1,NOIRQ=2,NOTIMER=4"},
        {"qqemu.sstep", NULL, step_bits, NULL},
        {"Qqemu.sstep=", set_step_bits, NULL, NULL},
};

static void query(struct gdb *g, const char *p)
{
	for (const struct query *q = queries; q < queries + ARRAY_LEN(queries); q++) {
		size_t n = strlen(q->name);

		if (strncmp(p, q->name, n) || (!q->with && p[n]))
			continue;
		if (q->with)
			q->with(g, p + n);
		else if (q->alone)
			q->alone(g);
		else
			out_put(&g->out, "%s", q->fixed);
		return;
	}
}

/* ---- memory ---- */

static bool range(const char **p, u64 *addr, u64 *len)
{
	return hex_number(p, addr) && skip_char(p, ',') && hex_number(p, len);
}

static void read_memory(struct gdb *g, const char *p)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len;

	if (!range(&p, &addr, &len) || *p)
		return error(g);
	size_t n = gdb_read(gdb_cpu(g, g->g), g->space, addr, buf, min_u64(len, sizeof(buf)));
	if (!n && len)
		out_put(&g->out, "E14");
	else
		out_hex(&g->out, buf, n);
}

static void write_memory(struct gdb *g, const char *p, size_t left, bool binary)
{
	const char *end = p + left;
	u8 buf[GDB_PACKET];
	u64 addr, len;

	if (!range(&p, &addr, &len) || !skip_char(&p, ':') || len > sizeof(buf))
		return error(g);
	if (binary ? (size_t)(end - p) != len : !hex_bytes(&p, buf, len) || *p)
		return error(g);
	if (gdb_write(gdb_cpu(g, g->g), g->space, addr, binary ? (const u8 *)p : buf, len) == len)
		ok(g);
	else
		out_put(&g->out, "E14");
}

/* ---- the rest ---- */

static void point(struct gdb *g, const char *p, bool set)
{
	u64 addr, len;
	unsigned type = (unsigned)(p[0] - '0');

	if (p[0] < '0' || p[0] > '4' || p[1] != ',')
		return;
	p += 2;
	if (!range(&p, &addr, &len))
		return error(g);
	answer(g, set ? point_add(g, type, addr, len) : point_remove(g, type, addr, len));
}

static void choose_thread(struct gdb *g, const char *p)
{
	const char what = *p ? *p++ : 0;
	u32 who;

	if ((what != 'g' && what != 'c') || !thread(g, &p, &who) || *p)
		return error(g);
	unsigned n = who & (1u << g->at) ? g->at : (unsigned)__builtin_ctz(who);
	*(what == 'g' ? &g->g : &g->c) = n;
	ok(g);
}

static void thread_alive(struct gdb *g, const char *p)
{
	u32 who;

	answer(g, thread(g, &p, &who) && !*p);
}

static void one_register(struct gdb *g, const char *p, bool set)
{
	u64 n;

	if (!hex_number(&p, &n) || (set && !skip_char(&p, '=')))
		return error(g);
	if (set)
		answer(g, register_write(gdb_cpu(g, g->g), n, p));
	else if (!register_read(gdb_cpu(g, g->g), n, &g->out))
		error(g);
}

static void kill_machine(struct gdb *g)
{
	g->killed = true;
}

static void v_packet(struct gdb *g, const char *p)
{
	if (!strcmp(p, "vCont?"))
		out_put(&g->out, "vCont;c;C;s;S;t");
	else if (!strncmp(p, "vCont;", 6))
		cont(g, p + 5);
	else if (!strncmp(p, "vKill;", 6)) {
		ok(g);
		kill_machine(g);
	}
}

static void leave(struct gdb *g)
{
	char frame[16];

	ok(g);
	size_t n = out_frame(&g->out, frame);
	if (g->send)
		g->send(g->send_arg, frame, n);
	else
		(void)os_socket_write(g->client, frame, n, 1000);
	gdb_detach(g);
}

/* The machine starts anew when it goes on. */
static void restart(struct gdb *g)
{
	g->m->reset_pending = true;
}

void command_run(struct gdb *g, const char *body, size_t n)
{
	const char *p = body;

	switch (*p) {
	case '?': command_stop_reply(g); break;
	case '!': ok(g); break;
	case 'g': registers_read_all(gdb_cpu(g, g->g), &g->out); break;
	case 'G': answer(g, registers_write_all(gdb_cpu(g, g->g), p + 1)); break;
	case 'p': one_register(g, p + 1, false); break;
	case 'P': one_register(g, p + 1, true); break;
	case 'm': read_memory(g, p + 1); break;
	case 'M': write_memory(g, p + 1, n - 1, false); break;
	case 'X': write_memory(g, p + 1, n - 1, true); break;
	case 'c':
	case 'C':
	case 's':
	case 'S': go_on(g, p); break;
	case 'v': v_packet(g, p); break;
	case 'H': choose_thread(g, p + 1); break;
	case 'T': thread_alive(g, p + 1); break;
	case 'Z': point(g, p + 1, true); break;
	case 'z': point(g, p + 1, false); break;
	case 'q':
	case 'Q': query(g, p); break;
	case 'D': leave(g); break;
	case 'k': kill_machine(g); break;
	case 'R': restart(g); break;
	default: break;
	}
}
