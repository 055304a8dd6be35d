/*
 * The TPM's registers against their specification written down here a second time: one byte after the other, a state and
 * its transitions ("TPM State Diagram"), with an engine in place of libtpms whose answers are a function of the command.
 * Every read, every interrupt line, what reaches the engine, from which locality and when, must agree.
 */
#include "fuzz.h"

#include "dev/devices.h"
#include "engine.h"

enum { STEPS = 3000, LINES = 16, NOBODY = 9 };
enum { IDLE, READY, RECEPTION, EXECUTION, COMPLETION };
enum { AVAIL_INT = 1, VALID_INT = 2, LOCALITY_INT = 4, READY_INT = 0x80 };
#define TIS     0xfed40000ull
#define NEVER   UINT64_MAX
#define SECOND  1000000000ull
#define PACKET  64u
#define TO_BE_READY 10000u /* ns: these three are this TPM's own */
#define FOR_PACKET  5000u
#define TO_CANCEL   50000u

/* ---- the second evaluation ---- */

struct model {
	unsigned active, state;
	bool wants[4], seized[4], established, canceled;
	u8 command[TPM_BUFFER];
	u32 have, need;  /* of the command; need 0: not known yet */
	u8 answer[TPM_BUFFER];
	u32 size, given; /* of the answer */
	u32 burst;
	u64 due, since;  /* what is under way ends; when the execution began */
	u32 enable, occurred;
	u8 vector;
};

struct bench {
	struct clock clock;
	struct bus bus;
	struct device *tis;
	struct rng *r;
	struct model m;
	bool level[LINES];
};

static void happens(struct model *m, u32 causes)
{
	m->occurred |= causes & m->enable;
}

static void to_idle(struct model *m)
{
	m->state = IDLE;
	m->due = NEVER;
	m->burst = m->have = m->need = m->size = m->given = 0;
	m->canceled = false;
}

static bool expecting(const struct model *m)
{
	return m->state == RECEPTION && (m->need == 0 || m->have < m->need);
}

static u32 left(const struct model *m)
{
	if (m->state == COMPLETION)
		return m->size - m->given;
	return m->need ? m->need - m->have : PACKET;
}

static void refill(struct model *m)
{
	m->burst = left(m) > PACKET ? PACKET : left(m);
}

static void fifo_in(struct model *m, u64 now, u8 v)
{
	if (m->state == READY) {
		m->state = RECEPTION;
		m->have = m->need = 0;
	}
	if (!expecting(m))
		return;
	m->command[m->have++] = v;
	if (m->have == TPM_HEADER) {
		u64 n = 0;
		for (unsigned i = 2; i < 6; i++)
			n = n << 8 | m->command[i];
		m->need = n < TPM_HEADER ? TPM_HEADER : n > TPM_BUFFER ? TPM_BUFFER : (u32)n;
	}
	m->burst -= m->burst > 0;
	if (m->burst == 0 || m->have == m->need) {
		m->burst = 0;
		m->due = now + FOR_PACKET;
	}
}

static u8 fifo_out(struct model *m, u64 now)
{
	if (m->state != COMPLETION || m->given == m->size)
		return 0xff;
	u8 v = m->answer[m->given++];
	m->burst -= m->burst > 0;
	if (m->burst == 0 && m->given < m->size && m->due == NEVER)
		m->due = now + FOR_PACKET;
	return v;
}

static u32 sts(const struct model *m)
{
	u32 v = 1u << 26 | m->burst << 8 | 4;

	v |= m->due == NEVER ? 0x80 : 0;
	v |= m->state == READY ? 0x40 : 0;
	v |= m->state == COMPLETION && m->given < m->size ? 0x10 : 0;
	return v | (expecting(m) ? 8 : 0);
}

static void sts_write0(struct model *m, u64 now, u8 v)
{
	v &= 0x62;
	if (v == 0x40) {
		if (m->state == IDLE && m->due == NEVER)
			m->due = now + TO_BE_READY;
		else if (m->state != READY && m->state != IDLE)
			to_idle(m);
	} else if (v == 0x20 && m->state == RECEPTION && !expecting(m)) {
		m->state = EXECUTION;
		m->burst = 0;
		m->since = now;
		m->due = now + SECOND; /* at the latest: what ends it is seen at the engine */
	} else if (v == 2 && m->state == COMPLETION) {
		m->due = NEVER;
		m->given = 0;
		refill(m);
		happens(m, AVAIL_INT | VALID_INT);
	}
}

static void sts_write3(struct model *m, u64 now, u8 v)
{
	if ((v & 1) && m->state == EXECUTION && !m->canceled) {
		m->canceled = true;
		m->due = min_u64(m->due, now + TO_CANCEL);
	}
	if ((v & 2) && m->active == 3)
		m->established = false;
}

static void next_owner(struct model *m)
{
	to_idle(m);
	m->active = NOBODY;
	for (unsigned l = 4; l--;) {
		if (!m->wants[l])
			continue;
		m->wants[l] = false;
		m->active = l;
		happens(m, LOCALITY_INT);
		return;
	}
}

static void access_write(struct model *m, unsigned l, u8 v)
{
	if (v == 0x20) {
		m->wants[l] = false;
		if (m->active == l)
			next_owner(m);
	} else if (v == 0x10) {
		m->seized[l] = false;
	} else if (v == 8 && (m->active == NOBODY || m->active < l)) {
		if (m->active != NOBODY)
			m->seized[m->active] = true;
		m->wants[l] = false;
		to_idle(m);
		m->active = l;
	} else if (v == 2) {
		if (m->active == NOBODY)
			m->active = l;
		else if (m->active != l)
			m->wants[l] = true;
	}
}

static u8 access_read(const struct model *m, unsigned l)
{
	bool other = false;

	for (unsigned k = 0; k < 4; k++)
		other |= k != l && m->wants[k];
	return (u8)(0x80 | (m->active == l) << 5 | m->seized[l] << 4 | other << 2 | m->wants[l] << 1 | !m->established);
}

static bool fifo(unsigned o)
{
	return (o >= 0x24 && o < 0x28) || (o >= 0x80 && o < 0xc0);
}

static u8 part(u32 v, unsigned o)
{
	return (u8)(v >> 8 * (o & 3));
}

static u8 model_read(struct model *m, u64 now, unsigned l, unsigned o)
{
	if (l == 4)
		return 0xff;
	if (fifo(o))
		return m->active == l ? fifo_out(m, now) : 0xff;
	switch (o & ~3u) {
	case 0x00: return o == 0 ? access_read(m, l) : 0xff;
	case 0x08: return part(m->enable, o);
	case 0x0c: return o == 0xc ? m->vector : 0xff;
	case 0x10: return part(m->occurred, o);
	case 0x14: return part(0x300006ff, o);
	case 0x18: return m->active == l ? part(sts(m), o) : 0xff;
	case 0x30: return part(0x01003900, o);
	case 0x34:
	case 0xf00: return part(0x00011014, o);
	case 0xf04: return o == 0xf04 ? 1 : 0xff;
	default: return 0xff;
	}
}

static void model_write(struct model *m, u64 now, unsigned l, unsigned o, u8 v)
{
	static const u32 writable[4] = {0x9f, 0, 0, 0x80};

	if (l == 4)
		return;
	if (o == 0)
		access_write(m, l, v);
	if (m->active != l)
		return;
	if (fifo(o))
		fifo_in(m, now, v);
	else if (o >= 8 && o < 0xc)
		m->enable = (m->enable & ~(0xffu << 8 * (o & 3))) | (v & writable[o & 3]) << 8 * (o & 3);
	else if (o == 0xc)
		m->vector = v & 15;
	else if (o >= 0x10 && o < 0x14)
		m->occurred &= ~((u32)v << 8 * (o & 3));
	else if (o == 0x18)
		sts_write0(m, now, v);
	else if (o == 0x1b)
		sts_write3(m, now, v);
}

/* What ended while time passed. An execution is seen at the engine; how long it may take is bounded. */
static void model_pass(struct model *m, u64 now, unsigned executed)
{
	if (m->state == EXECUTION) {
		u64 took = now - m->since;

		if (!executed && now >= m->due)
			fuzz_fail("a command takes %llu ns", (unsigned long long)took);
		if (!executed)
			return;
		if (!m->canceled && took < 500000)
			fuzz_fail("a command took %llu ns", (unsigned long long)took);
		if (fuzz_engine.locality != m->active || fuzz_engine.size != m->need || fuzz_engine.canceled != m->canceled ||
		    memcmp(fuzz_engine.command, m->command, m->need))
			fuzz_fail("another command was executed than was sent");
		fuzz_count(m->canceled ? "commands canceled" : "commands executed");
		m->size = engine_answer(m->command, m->need, m->canceled, m->answer);
		m->canceled = false;
		m->given = 0;
		m->state = COMPLETION;
		m->due = NEVER;
		refill(m);
		happens(m, AVAIL_INT | VALID_INT);
		return;
	}
	if (executed)
		fuzz_fail("a command was executed that nobody sent");
	if (m->due > now)
		return;
	m->due = NEVER;
	if (m->state == IDLE) {
		m->state = READY;
		m->burst = PACKET;
		happens(m, READY_INT | VALID_INT);
	} else {
		refill(m);
		happens(m, VALID_INT);
	}
}

/* ---- both side by side ---- */

static void compare_lines(struct bench *b)
{
	const struct model *m = &b->m;
	bool on = (m->enable >> 31) && (m->occurred & m->enable & 0x87);

	for (unsigned n = 0; n < LINES; n++)
		if (b->level[n] != (on && n && n == m->vector))
			fuzz_fail("line %u is %d; enable 0x%x, occurred 0x%x, vector %u", n, b->level[n], m->enable, m->occurred,
			          m->vector);
	if (fuzz_engine.established != m->established)
		fuzz_fail("established: %d", fuzz_engine.established);
}

static void write_both(struct bench *b, unsigned l, unsigned o, unsigned size, u64 v)
{
	bus_mmio_write(&b->bus, TIS + (l << 12) + o, size, v);
	for (unsigned i = 0; i < size; i++)
		model_write(&b->m, b->clock.now, l, o + i, (u8)(v >> 8 * i));
	compare_lines(b);
}

static void read_both(struct bench *b, unsigned l, unsigned o, unsigned size)
{
	u64 got = bus_mmio_read(&b->bus, TIS + (l << 12) + o, size), want = 0;

	for (unsigned i = 0; i < size; i++)
		want |= (u64)model_read(&b->m, b->clock.now, l, o + i) << 8 * i;
	if (got != want)
		fuzz_fail("locality %u, offset 0x%x, %u bytes: 0x%llx, not 0x%llx; state %u", l, o, size, (unsigned long long)got,
		          (unsigned long long)want, b->m.state);
}

static void pass(struct bench *b, u64 ns)
{
	unsigned before = fuzz_engine.executed;

	b->clock.now += ns;
	clock_fire(&b->clock);
	model_pass(&b->m, b->clock.now, fuzz_engine.executed - before);
	compare_lines(b);
}

/* ---- what is done to them ---- */

static unsigned anyone(struct bench *b)
{
	return b->m.active != NOBODY && !rng_one_in(b->r, 4) ? b->m.active : (unsigned)rng_below(b->r, 5);
}

/* An access inside the page, at an offset that its size need not divide. */
static void any_access(struct bench *b)
{
	static const u16 offsets[] = {0, 0, 8, 0xb, 0xc, 0x10, 0x14, 0x18, 0x18, 0x1b, 0x20, 0x24, 0x24, 0x28, 0x30, 0x34, 0x80, 0xb8, 0xf00, 0xf04};
	unsigned size = 1u << rng_below(b->r, 4), o = RNG_PICK(b->r, offsets), l = anyone(b);

	if (rng_one_in(b->r, 8))
		o = (unsigned)rng_below(b->r, 0xff8);
	if (rng_one_in(b->r, 2))
		read_both(b, l, o, size);
	else
		write_both(b, l, o, size, low_bytes(rng_odd(b->r), size));
}

static void owners(struct bench *b)
{
	static const u8 bits[] = {2, 2, 8, 0x10, 0x20, 0x22, 0};
	unsigned l = rng_one_in(b->r, 2) ? anyone(b) : (unsigned)rng_below(b->r, 4);

	write_both(b, l, 0, 1, RNG_PICK(b->r, bits));
	for (unsigned k = 0; k < 4; k++)
		read_both(b, k, 0, 1);
}

static void commands(struct bench *b)
{
	static const u8 bits[] = {0x40, 0x40, 0x20, 0x20, 2, 0x60};
	unsigned l = anyone(b);

	if (rng_one_in(b->r, 6))
		write_both(b, l, 0x1b, 1, rng_below(b->r, 4));
	else
		write_both(b, l, 0x18, 1, RNG_PICK(b->r, bits));
	read_both(b, l, 0x18, 4);
}

/* Some of a command, most often with a header that could be. */
static void feed(struct bench *b)
{
	unsigned l = anyone(b), n = (unsigned)rng_below(b->r, rng_one_in(b->r, 8) ? 3000 : 100);
	u32 size = rng_one_in(b->r, 8) ? (u32)rng_odd(b->r) : TPM_HEADER + (u32)rng_below(b->r, 150);
	u8 header[TPM_HEADER] = {0x80, 1, (u8)(size >> 24), (u8)(size >> 16), (u8)(size >> 8), (u8)size, 0, 0, 1};

	header[9] = (u8)(0x20 + rng_below(b->r, 0x80));
	for (unsigned i = 0; i < n;) {
		unsigned width = 1u << rng_below(b->r, 3);
		u64 v = rng_next(b->r);
		if (b->m.state == READY || b->m.have < TPM_HEADER)
			v = b->m.state == READY ? header[0] : header[b->m.have], width = 1;
		write_both(b, l, width == 4 ? 0x24 : 0x80, width, low_bytes(v, width));
		i += width;
	}
	read_both(b, l, 0x18, 4);
}

static void drain(struct bench *b)
{
	unsigned l = anyone(b), n = (unsigned)rng_below(b->r, rng_one_in(b->r, 8) ? 3000 : 100);

	for (unsigned i = 0; i < n; i += 4)
		read_both(b, l, rng_one_in(b->r, 2) ? 0x24 : 0x90, 1u << rng_below(b->r, 3));
	read_both(b, l, 0x18, 4);
}

static void let_time_pass(struct bench *b)
{
	static const u64 most[] = {2000, 20000, 200000, 20000000, SECOND};

	pass(b, rng_below(b->r, RNG_PICK(b->r, most)));
}

/* The platform's own, a reset, and a reload of all rows. */
static void from_above(struct bench *b)
{
	static const u8 image[8] = {8, 0, 4};
	struct model *m = &b->m;

	if (rng_one_in(b->r, 3)) {
		u64 before = fuzz_engine.launches;
		tpm_tis_measure(b->tis, image, rng_below(b->r, sizeof(image) + 1));
		if (fuzz_engine.launches != before + 1 || fuzz_engine.fed > sizeof(image))
			fuzz_fail("no launch");
		if (m->active != NOBODY)
			m->seized[m->active] = true;
		m->established = true;
		next_owner(m);
	} else if (rng_one_in(b->r, 4)) {
		b->tis->ops->reset(b->tis);
		bool established = m->established;
		*m = (struct model){.active = NOBODY, .due = NEVER, .enable = 8, .established = established};
	} else {
		b->tis->ops->loaded(b->tis);
	}
	compare_lines(b);
}

/* ---- one case ---- */

static void line_set(void *arg, unsigned n, bool level)
{
	((struct bench *)arg)->level[n] = level;
}

static void one(struct rng *r)
{
	static void (*const doing[])(struct bench *b) = {
	        any_access, any_access, owners, commands, commands, commands, feed, feed, drain, let_time_pass, let_time_pass,
	        let_time_pass,
	};
	struct bench b = {.r = r, .m = {.active = NOBODY, .due = NEVER, .enable = 8}};
	struct irq_line lines[LINES];
	struct err err;

	engine_reset();
	clock_init(&b.clock);
	if (bus_init(&b.bus, &b.clock, NULL, 1 << 20, 0x80000000, &err) != ST_OK)
		fuzz_fail("%s", err.text);
	for (unsigned n = 0; n < LINES; n++)
		lines[n] = (struct irq_line){.set = line_set, .arg = &b, .n = n};
	const struct dev_env env = {.bus = &b.bus, .clock = &b.clock};
	if (tpm_tis_create(&b.tis, &env, &fuzz_engine, lines) != ST_OK)
		fuzz_fail("no memory");
	for (unsigned n = 0; n < STEPS; n++) {
		doing[rng_below(r, ARRAY_LEN(doing))](&b);
		if (rng_one_in(r, 64))
			from_above(&b);
	}
	b.tis->ops->destroy(b.tis);
	bus_fini(&b.bus);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-tpm", one);
}
