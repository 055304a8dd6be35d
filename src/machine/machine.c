/*
 * The scheduler. Processors take turns in one thread: a slice is run, timers fire, the door is looked at. One processor
 * alone runs to the next timer; when none can run, the clock skips to the next timer, or, with a live source outside,
 * sleeps for as long.
 */
#include "base/os.h"
#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "dev/tpm.h"
#include "machine/acpi/acpi.h"
#include "dev/devices.h"
#include "machine/boot/boot.h"
#include "machine/firmware.h"
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>

/* How far the clock may run before somebody looks outside: about 10 ms of real time. */
#define DOOR_INTERVAL 1000000ull
#define SLICE         1024 /* instructions of one processor's turn, when there are several */
/* Idle for so long with interrupts enabled means that nothing is coming: an RTC alarm repeats every 24 hours. */
#define IDLE_LIMIT (25ull * 3600 * 1000000000)
/* With interrupts disabled only an NMI can help; a watchdog would have fired by then. */
#define IDLE_LIMIT_MASKED 1000000000ull

/* ---- life ---- */

static enum status make_cpu(struct machine *m, unsigned i, struct err *err)
{
	enum { ALIGN = 64 };
	/* The vector registers want more alignment than the allocator gives. */
	m->cpu_mem[i] = base_alloc(sizeof(struct cpu) + ALIGN);
	if (!m->cpu_mem[i])
		return err_set(err, ST_NOMEM, "out of memory for processor %u", i);
	struct cpu *c = (struct cpu *)(((uintptr_t)m->cpu_mem[i] + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
	m->cpus[i] = c;
	c->index = i;
	c->all = m->cpus;
	c->count = m->cfg.cpus;
	c->code = m->code;
	c->decode = m->decode;
	c->phys_bits = m->cfg.phys_bits;
	c->stress = m->cfg.stress;
	/* Distinct, never zero, and a function of the seed alone. */
	c->rng = (m->cfg.seed + i + 1) * 0x9e3779b97f4a7c15ull | 1;
	enum status s = cpu_init(c, m->cfg.model, &m->cfg.feat, &m->bus, err);
	if (s == ST_OK && m->jit && jit_attach(m->jit, c) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory for the translator");
	return s;
}

static enum status make_cpus(struct machine *m, struct err *err)
{
	if (decode_index_new(&m->decode, m->cfg.model, &m->cfg.feat, &exec_dispatch) != ST_OK ||
	    code_cache_new(&m->code, &m->bus) != ST_OK ||
	    (m->cfg.block_cache && code_cache_limit(m->code, m->cfg.block_cache) != ST_OK))
		return err_set(err, ST_NOMEM, "out of memory for the decoder");
	if (m->cfg.jit.threshold && jit_new(&m->jit, &m->cfg.jit, m->code, &m->bus) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory for the translator");
	for (unsigned i = 0; i < m->cfg.cpus; i++) {
		enum status s = make_cpu(m, i, err);
		if (s != ST_OK)
			return s;
		m->count = i + 1;
	}
	return ST_OK;
}

/* Behind a start, a reset, or a sleep that memory has not outlived. */
static enum status play_firmware(struct machine *m, struct err *err)
{
	if (m->cfg.firmware.option)
		return firmware_start(m, err);
	boot_dram(m, false);
	boot_shadow(m);
	enum status s = acpi_build(m, err);
	if (s == ST_OK)
		s = smbios_build(m, err);
	return s == ST_OK ? boot_load(m, err) : s;
}

static enum status build(struct machine *m, struct err *err)
{
	u64 low_end = m->cfg.ram <= MACHINE_ECAM ? MACHINE_ECAM : MACHINE_SPLIT;
	enum status s = bus_init(&m->bus, &m->clock, &m->hooks, m->cfg.ram, low_end, err);

	if (s == ST_OK)
		s = make_cpus(m, err);
	if (s == ST_OK)
		s = m->cfg.firmware.option ? firmware_rom(m, err) : boot_rom(m, err);
	if (s == ST_OK)
		s = pc_build(m, err);
	if (s == ST_OK)
		s = play_firmware(m, err);
	if (s == ST_OK && m->tpm)
		s = tpm_start(m->tpm, err);
	return s == ST_OK ? door_start(m, err) : s;
}

/* Options that nobody typed have their plain names. */
static void spell(struct machine_config *c)
{
	const struct {
		const char **option, *plain;
	} row[] = {
	        {&c->kernel_option, "--kernel"},
	        {&c->initrd_option, "--initrd"},
	        {&c->append_option, "--append"},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (!*row[i].option)
			*row[i].option = row[i].plain;
}

enum status machine_create(struct machine **out, const struct machine_config *cfg, struct err *err)
{
	struct machine *m = base_alloc(sizeof(*m));

	*out = NULL;
	err->text[0] = 0;
	if (!m)
		return err_set(err, ST_NOMEM, "out of memory");
	m->cfg = *cfg;
	spell(&m->cfg);
	clock_init(&m->clock);
	jitter_start(m);
	m->bus.memfd = -1;
	m->idle_since = UINT64_MAX;
	m->note = cfg->note;
	m->lost = cfg->lost;
	m->note_arg = cfg->note_arg;
	enum status s = build(m, err);
	if (s != ST_OK) {
		machine_destroy(m);
		return s;
	}
	*out = m;
	return ST_OK;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	/* A processor's timers leave the clock's list while those of the devices are still there. */
	for (unsigned i = 0; i < CPU_MAX; i++)
		if (m->cpu_mem[i])
			cpu_fini(m->cpus[i]);
	pc_fini(m);
	for (unsigned i = 0; i < CPU_MAX; i++)
		base_free(m->cpu_mem[i]);
	jit_free(m->jit);
	if (m->code)
		code_cache_free(m->code);
	if (m->decode)
		decode_index_free(m->decode);
	if (m->bus.ram_size)
		bus_fini(&m->bus);
	base_free(m);
}

/* Platform reset. The loader does its work again, as firmware would. What RAM keeps is the northbridge's business; without
 * one it keeps all of it. */
static enum status reset_machine(struct machine *m, struct err *err)
{
	if (m->power_lost && m->dram)
		dram_power_lost(m->dram);
	m->power_lost = m->reset_pending = m->sleep_pending = m->asleep = m->wake_pending = false;
	pc_reset(m);
	m->resets++;
	for (unsigned i = 0; i < m->count; i++) {
		m->cpus[i]->stop = CPU_GO;
		cpu_reset(m->cpus[i], false);
	}
	return play_firmware(m, err);
}

/* S3, "Sleeping States": memory keeps its content, processors and most devices lose theirs. */
static void fall_asleep(struct machine *m)
{
	m->sleep_pending = false;
	m->asleep = true;
	pc_sleep(m);
	for (unsigned i = 0; i < m->count; i++) {
		struct cpu *c = m->cpus[i];
		c->stop = CPU_GO;
		cpu_reset(c, false);
		c->activity = ACT_OFF;
		c->attention = 0;
	}
}

static enum status wake_up(struct machine *m, struct err *err)
{
	m->asleep = m->wake_pending = false;
	for (unsigned i = 0; i < m->count; i++)
		cpu_reset(m->cpus[i], false);
	if (m->cfg.firmware.option) {
		firmware_wake(m);
		return ST_OK;
	}
	boot_dram(m, true);
	boot_shadow(m); /* the host bridge lost its registers, and the tables lie there */
	return boot_kept(m) ? boot_resume(m, err) : play_firmware(m, err);
}

/* What was asked for while somebody ran, or woke the machine. */
static void change_power(struct machine *m, struct err *err)
{
	enum status s = ST_OK;

	if (m->reset_pending)
		s = reset_machine(m, err);
	else if (m->sleep_pending)
		fall_asleep(m);
	else if (m->asleep && m->wake_pending)
		s = wake_up(m, err);
	if (s != ST_OK)
		pc_stop(m, MSTOP_INTERNAL, 0);
}

/* ---- running ---- */

u64 machine_insns(const struct machine *m)
{
	u64 sum = 0;

	for (unsigned i = 0; i < m->count; i++)
		sum += m->cpus[i]->insns;
	return sum;
}

void machine_request_stop(struct machine *m)
{
	m->stop_request = 1;
}

/* Instructions that may still retire; every one costs at least a unit of the clock. */
static u64 budget(const struct machine *m, u64 target)
{
	u64 done = machine_insns(m), end = m->cfg.max_insns ? min_u64(m->cfg.max_insns, target) : target;

	return done < end ? end - done : 0;
}

static u64 time_limit(const struct machine *m)
{
	return m->cfg.max_time_ns ? m->cfg.max_time_ns : UINT64_MAX;
}

static void stopped(struct machine *m, struct cpu *c)
{
	if (c->stop == CPU_STOP_DEBUG) {
		pc_stop(m, MSTOP_DEBUG, c->index);
	} else if (c->stop == CPU_STOP_SHUTDOWN && m->hold_death && m->dead != c) {
		m->dead = c;
		pc_stop(m, MSTOP_DEBUG, c->index);
	} else if (c->stop == CPU_STOP_SHUTDOWN) {
		c->stop = CPU_GO;
		m->dead = NULL;
		if (m->cfg.triple_fault_resets)
			pc_shutdown(m, c);
		else
			pc_stop(m, MSTOP_SHUTDOWN, c->index);
	} else if (c->stop == CPU_STOP_INTERNAL) {
		pc_stop(m, MSTOP_INTERNAL, c->index);
	}
}

static bool may_run(struct cpu *c)
{
	return c->activity == ACT_RUN || c->attention;
}

/* The slice that a debugger interrupted goes on, if it is not over. */
static cold u64 resumed(struct machine *m)
{
	u64 end = max_u64(m->slice_end, m->clock.now);

	m->slice_end = 0;
	return end;
}

/* A processor alone has nobody to take turns with. */
static u64 slice_length(struct machine *m)
{
	if (m->count == 1)
		return DOOR_INTERVAL;
	return m->cfg.jitter ? jitter_slice(&m->jitter) : SLICE;
}

/* One slice of one processor. true: it did something. */
static bool run_slice(struct machine *m, struct cpu *c, u64 target)
{
	u64 now = m->clock.now, left = budget(m, target), insns = c->insns;

	if (!left || !may_run(c) || (m->held & BIT(c->index)))
		return false;
	u64 until = now + min_u64(left, m->slice_end ? resumed(m) - now : slice_length(m));
	until = min_u64(until, min_u64(m->clock.next, time_limit(m)));
	if (until <= now)
		return true; /* a timer is due first */
	cpu_run(c, until);
	if (unlikely(c->stop))
		stopped(m, c);
	if (unlikely(m->stop == MSTOP_DEBUG) && m->clock.now < until && !c->yield && may_run(c)) {
		m->slice_end = until;
		m->turn = c->index;
	}
	return c->insns != insns || m->clock.now != now || c->activity == ACT_RUN;
}

/* Everybody's turn, beginning with the one after the last. */
static bool run_turns(struct machine *m, u64 target)
{
	bool ran = false;

	for (unsigned k = 0; k < m->count; k++) {
		struct cpu *c = m->cpus[m->turn];
		m->turn = m->turn + 1 < m->count ? m->turn + 1 : 0;
		ran |= run_slice(m, c, target);
		if (m->stop != MSTOP_NONE || m->reset_pending || m->sleep_pending)
			return true;
		if (m->clock.now >= m->clock.next)
			clock_fire(&m->clock);
	}
	return ran;
}

/* Interrupts cannot reach it where it sleeps. In guest mode the vendor decides, whatever IF says. */
static bool masked(const struct cpu *c)
{
	if (!c->gif)
		return true;
	if (c->activity == ACT_WAIT_SIPI || c->activity == ACT_SHUTDOWN || c->activity == ACT_OFF)
		return true;
	return !(c->rflags & FL_IF) && !c->guest && !c->halted_by_mwait_if && c->wake_at == UINT64_MAX;
}

static bool all_masked(const struct machine *m)
{
	for (unsigned i = 0; i < m->count; i++)
		if (!masked(m->cpus[i]))
			return false;
	return true;
}

/* Nothing but a reset from outside can go on from here: no interrupt, no SMI, no watchdog. */
static bool hopeless(const struct machine *m)
{
	return all_masked(m) && !m->asleep && !m->door.attend_live && !smi_awaited(m->smi) && !tco_runs(m->tco);
}

/* Real time for virtual time, in pieces the computer can sleep for. */
static void sleep_for(struct machine *m, u64 ns)
{
	m->sleep_debt += ns;
	if (m->sleep_debt < 1000000)
		return;
	u64 start = os_real_ns();
	door_wait(m, m->sleep_debt);
	u64 slept = os_real_ns() - start;
	m->sleep_debt -= min_u64(slept, m->sleep_debt);
}

/* Nobody can run: go to the next event, or wait for the outside. */
static void idle(struct machine *m)
{
	bool live = door_live(m);
	bool wait = m->cfg.idle == IDLE_WAIT || (m->cfg.idle == IDLE_AUTO && live);
	u64 next = m->clock.next, now = m->clock.now;

	if (m->idle_since == UINT64_MAX)
		m->idle_since = now;
	if (hopeless(m) ? next == UINT64_MAX || now - m->idle_since > IDLE_LIMIT_MASKED
	                : !live && (next == UINT64_MAX || now - m->idle_since > IDLE_LIMIT)) {
		pc_stop(m, MSTOP_DEADLOCK, 0);
		return;
	}
	if (next == UINT64_MAX) {
		/* Only the outside can wake it: time passes as it does there. */
		u64 start = os_real_ns();
		door_wait(m, 100000000);
		m->clock.now += os_real_ns() - start;
		m->door.next_poll = 0;
		return;
	}
	u64 gap = next > now ? next - now : 0;
	if (wait) {
		gap = min_u64(gap, 10000000); /* look outside at least so often */
		sleep_for(m, gap);
		m->door.next_poll = 0;
	}
	m->clock.now = min_u64(now + gap, max_u64(time_limit(m), now));
}

static void look_outside(struct machine *m)
{
	m->door.next_poll = m->clock.now + DOOR_INTERVAL;
	door_poll(m);
	if (m->cfg.timeout_ns && os_real_ns() - m->started_ns >= m->cfg.timeout_ns)
		pc_stop(m, MSTOP_LIMIT, LIMIT_TIMEOUT);
}

static void check_limits(struct machine *m, u64 target)
{
	if (m->stop_request) {
		m->stop_request = 0;
		pc_stop(m, MSTOP_REQUEST, 0);
	} else if (!budget(m, target)) {
		pc_stop(m, MSTOP_LIMIT, LIMIT_INSNS);
	} else if (m->clock.now >= time_limit(m)) {
		pc_stop(m, MSTOP_LIMIT, LIMIT_TIME);
	}
}

static void go_on(struct machine *m)
{
	m->stop = MSTOP_NONE;
	m->stop_value = 0;
	for (unsigned i = 0; i < m->count; i++)
		m->cpus[i]->stop = CPU_GO;
	if (!m->started_ns)
		m->started_ns = os_real_ns();
	if (m->dead) {
		m->dead->stop = CPU_STOP_SHUTDOWN;
		stopped(m, m->dead);
	}
}

enum machine_stop machine_run(struct machine *m, u64 max_insns, struct err *err)
{
	u64 target = max_insns ? machine_insns(m) + max_insns : UINT64_MAX;

	if (machine_ended(m->stop))
		return m->stop;
	go_on(m);
	while (m->stop == MSTOP_NONE) {
		if (m->clock.now >= m->door.next_poll)
			look_outside(m);
		check_limits(m, target);
		if (m->stop != MSTOP_NONE)
			break;
		if (m->clock.now >= m->clock.next)
			clock_fire(&m->clock);
		change_power(m, err);
		if (run_turns(m, target))
			m->idle_since = UINT64_MAX;
		else
			idle(m);
	}
	door_flush(m);
	return m->stop;
}

/* ---- is the run repeatable ---- */

bool machine_unrepeatable(const struct machine *m, char *text, size_t n)
{
	const char *why[] = {
	        m->door.typed ? "typed input" : NULL,
	        m->door.net_count ? "network" : NULL,
	        m->cfg.rtc_host ? "the computer's clock" : NULL,
	        m->tpm ? tpm_unrepeatable(m->tpm) : NULL,
	};
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_LEN(why); i++)
		if (why[i] && used < n)
			used += (size_t)snprintf(text + used, n - used, "%s%s", used ? ", " : "", why[i]);
	return used;
}
