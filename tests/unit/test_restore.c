/*
 * All state has a row. A machine is stopped between two instructions, in a guest or outside, timers running; its rows, its
 * memory and its clock go to a second machine, and nothing else does. That one ends where a machine ends that was never
 * stopped: at the same time, with the same rows and the same memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "bare.h"
#include "machine/machine.h"
#include "rnd.h"
#include "vmx/vmx.h"

#define MEMORY (512u << 20)

static struct machine *make(const char *model, const char *program)
{
	const char *build = getenv("BUILD");
	struct machine_config cfg = {.ram = MEMORY, .cpus = 1, .seed = 1, .testdev = true, .rtc_epoch = 946684800};
	static char path[4096];
	struct machine *m;
	struct err err;

	snprintf(path, sizeof(path), "%s/%s", build ? build : "build", program);
	cfg.kernel = path;
	assert_int_equal(model_parse(model, &cfg.model, &cfg.feat, &err), ST_OK);
	assert_int_equal(machine_create(&m, &cfg, &err), ST_OK);
	return m;
}

static enum machine_stop run(struct machine *m, u64 max)
{
	struct err err;

	return machine_run(m, max, &err);
}

/* ---- rows ---- */

static void copy_rows(const struct state_row *rows, size_t n, void *to, const void *from)
{
	for (size_t k = 0; k < n; k++)
		memcpy((u8 *)to + rows[k].offset, (const u8 *)from + rows[k].offset, (size_t)rows[k].width * rows[k].count);
}

static void copy_cpu(struct cpu *to, struct cpu *from)
{
	flags_set(from, flags_get(from));
	copy_rows(cpu_rows, cpu_row_count, to, from);
	copy_rows(apic_rows, apic_row_count, &to->apic, &from->apic);
	copy_rows(from->virt->life.rows, from->virt->life.row_count, to->virt_state, from->virt_state);
}

/* The first row that differs, or NULL. */
static const char *differing(const struct state_row *rows, size_t n, const void *a, const void *b)
{
	for (size_t k = 0; k < n; k++)
		if (memcmp((const u8 *)a + rows[k].offset, (const u8 *)b + rows[k].offset, (size_t)rows[k].width * rows[k].count))
			return rows[k].name;
	return NULL;
}

static const char *compare_cpu(struct cpu *a, struct cpu *b)
{
	const char *name;

	flags_set(a, flags_get(a));
	flags_set(b, flags_get(b));
	if ((name = differing(cpu_rows, cpu_row_count, a, b)) != NULL)
		return name;
	if ((name = differing(apic_rows, apic_row_count, &a->apic, &b->apic)) != NULL)
		return name;
	return differing(a->virt->life.rows, a->virt->life.row_count, a->virt_state, b->virt_state);
}

/* ---- memory: most of it was never touched, and is zero ---- */

#define PAGES (MEMORY / PAGE_SIZE)
static unsigned char there[2][PAGES]; /* bit 0: the page was touched */

static void look(const struct machine *a, const struct machine *b)
{
	assert_int_equal(mincore(a->bus.memory, MEMORY, there[0]), 0);
	assert_int_equal(mincore(b->bus.memory, MEMORY, there[1]), 0);
}

static void copy_memory(struct machine *to, const struct machine *from)
{
	look(to, from);
	for (u64 p = 0; p < PAGES; p++)
		if ((there[0][p] | there[1][p]) & 1)
			memcpy(to->bus.memory + p * PAGE_SIZE, from->bus.memory + p * PAGE_SIZE, PAGE_SIZE);
}

static bool same_memory(const struct machine *a, const struct machine *b)
{
	look(a, b);
	for (u64 p = 0; p < PAGES; p++)
		if (((there[0][p] | there[1][p]) & 1) &&
		    memcmp(a->bus.memory + p * PAGE_SIZE, b->bus.memory + p * PAGE_SIZE, PAGE_SIZE))
			return false;
	return true;
}

static const char *compare(struct machine *a, struct machine *b)
{
	if (a->clock.now != b->clock.now)
		return "the clock";
	return same_memory(a, b) ? compare_cpu(a->cpus[0], b->cpus[0]) : "memory";
}

/* ---- the second machine ---- */

static struct machine *restore(const char *model, const char *program, struct machine *from)
{
	struct machine *m = make(model, program);
	struct device *d = m->devices, *s = from->devices;

	run(m, 1); /* the loader has run: what it left is overwritten now */
	copy_memory(m, from);
	m->clock.now = from->clock.now;
	copy_cpu(m->cpus[0], from->cpus[0]);
	for (; d && s; d = d->next, s = s->next)
		copy_rows(s->ops->rows, s->ops->row_count, d, s);
	pc_loaded(m);
	cpu_loaded(m->cpus[0]);
	return m;
}

/* Stop after `at` instructions and go on in another machine. */
static void cut(const char *model, const char *program, struct machine *whole, enum machine_stop why, u64 at)
{
	struct machine *first = make(model, program), *second;

	assert_int_equal(run(first, at), MSTOP_LIMIT);
	second = restore(model, program, first);
	machine_destroy(first);

	enum machine_stop end = run(second, 0);
	const char *name = end == why ? compare(whole, second) : "the end";

	if (name)
		print_message("%s %s: stopped after %llu instructions: %s differs\n", model, program, (unsigned long long)at, name);
	assert_null(name);
	machine_destroy(second);
}

/* After how many instructions the program is in a guest, in system-management mode, or waits. Returns how many such counts there are. */
static unsigned find_special(const char *model, const char *program, u64 n, u64 *at, unsigned max)
{
	struct machine *m = make(model, program);
	unsigned found = 0;

	for (u64 k = 1; k < n - 1 && run(m, 1) == MSTOP_LIMIT; k++)
		if ((m->cpus[0]->guest || m->cpus[0]->smm || m->cpus[0]->activity != ACT_RUN) && found < max)
			at[found++] = k;
	machine_destroy(m);
	return found;
}

#define SCOUT 4000000u /* instructions in which guests and waits are looked for */

/* special: so many stops in guests or in waits; others: anywhere. */
static void everywhere(const char *model, const char *program, unsigned special, unsigned others)
{
	static u64 inside[1 << 16];
	struct machine *whole = make(model, program);
	enum machine_stop why = run(whole, 0);
	u64 n = machine_insns(whole);
	unsigned found = special ? find_special(model, program, min_u64(n, SCOUT), inside, ARRAY_LEN(inside)) : 0;

	assert_true(!special || found);
	for (unsigned k = 0; k < others; k++)
		cut(model, program, whole, why, 1 + rnd() % (n - 2));
	for (unsigned k = 0; k < special; k++)
		cut(model, program, whole, why, inside[rnd() % found]);
	machine_destroy(whole);
}

static void test_guests(void **state)
{
	(void)state;
	everywhere("amd", "tests/virt/both/both-svm.elf", 16, 4);
	everywhere("intel", "tests/virt/both/both-vmx.elf", 16, 4);
	everywhere("intel", "guests/vmx-exits.elf", 16, 4);
}

/* In a handler of system-management mode, in a guest within one, and in a guest with one behind it. */
static void test_smm(void **state)
{
	(void)state;
	everywhere("amd", "guests/smm-container.elf", 24, 4);
	everywhere("intel", "guests/stm.elf", 24, 4);
}

/* The local APIC's timer, in its three modes. */
static void test_timers(void **state)
{
	(void)state;
	everywhere("amd", "tests/guest/t-interrupts.elf", 8, 8);
	everywhere("intel", "tests/guest/t-interrupts.elf", 8, 8);
}

/* A wait that ends by time, and one that a store to a monitored line ends. */
static void test_waits(void **state)
{
	const u64 line = 0x5000;
	struct pc p;

	(void)state;
	assert_true(bare_init(&p, "intel"));
	p.c->activity = ACT_TPAUSE;
	p.c->wake_at = p.clock.now + 1000;
	cpu_loaded(p.c);
	assert_int_equal(p.clock.next, p.c->wake_at);
	p.clock.now = p.c->wake_at;
	clock_fire(&p.clock);
	assert_int_equal(p.c->activity, ACT_RUN);
	p.c->activity = ACT_MWAIT;
	p.c->monitor_addr = line;
	cpu_loaded(p.c);
	cpu_write_u32(p.c, BY_VIRT, line + 4, 1);
	assert_int_equal(p.c->activity, ACT_RUN);
	bare_fini(&p);
}

/* The VMX-preemption timer of a guest that runs. */
static void test_preemption(void **state)
{
	struct pc p;

	(void)state;
	assert_true(bare_init(&p, "intel"));
	vmx_of(p.c)->preempt_end = (p.clock.now + 1000) >> VMX_TIMER_SHIFT;
	cpu_loaded(p.c);
	assert_int_equal(p.clock.next, p.clock.now + 1000);
	bare_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_guests), cmocka_unit_test(test_smm), cmocka_unit_test(test_timers), cmocka_unit_test(test_waits),
	        cmocka_unit_test(test_preemption)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
