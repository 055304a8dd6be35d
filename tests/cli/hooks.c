/*
 * hooks SVM.elf VMX.elf TRIPLE.elf: what TS_ON_REFUSED promises, seen through the public header alone. A hook that
 * returns 1 stops the machine at that instruction; the event names the control block and the code; a machine that went
 * on afterwards ends as one that was never stopped; and one that has powered itself off does not run again.
 */
#include <turnstile/turnstile.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned passed, failed;

static void check(const char *what, uint64_t got, uint64_t want)
{
	if (got == want) {
		passed++;
		return;
	}
	failed++;
	printf("FAIL: %s: 0x%" PRIx64 ", want 0x%" PRIx64 "\n", what, got, want);
}

/* ---- a machine ---- */

static ts_machine *machine(const char *cpu, const char *kernel)
{
	const char *argv[] = {"turnstile", "run", "--cpu", cpu, "--serial", "null", kernel};
	char err[600];
	ts_machine *m;

	if (ts_create(sizeof(argv) / sizeof(argv[0]), argv, &m, err, sizeof(err)) == TS_OK)
		return m;
	printf("%s\n", err);
	exit(1);
}

static void keep(void *arg, const char *text, size_t len)
{
	snprintf(arg, 160, "%.*s", (int)len, text);
}

static uint64_t retired(ts_machine *m)
{
	char text[160];

	ts_report(m, "status", keep, text);
	return strtoull(text, NULL, 10);
}

static uint64_t hash(ts_machine *m)
{
	char text[160];

	ts_report(m, "hash", keep, text);
	return strtoull(text, NULL, 16);
}

static uint64_t reg(ts_machine *m, const char *name)
{
	uint64_t v = 0;
	size_t len = sizeof(v);

	check(name, ts_get(m, 0, name, &v, &len), TS_OK);
	return v;
}

static uint64_t phys(ts_machine *m, uint64_t at, size_t len)
{
	uint64_t v = 0;
	size_t done;

	check("physical read", ts_read(m, 0, TS_PHYS, at, &v, len, &done), TS_OK);
	return v;
}

/* ---- the hook ---- */

struct seen {
	unsigned count;
	uint32_t kind;
	uint64_t insn, rip, guest, code, qualification;
	char text[256];
};

static int stop_at(ts_machine *m, const ts_event *e, void *arg)
{
	struct seen *s = arg;

	(void)m;
	s->count++;
	s->kind = e->kind;
	s->insn = e->insn;
	s->rip = e->rip;
	s->guest = e->guest;
	s->code = e->code;
	s->qualification = e->info[0];
	snprintf(s->text, sizeof(s->text), "%s", e->text);
	return 1;
}

/* ---- both vendors ---- */

static void svm_refusal(ts_machine *m, const struct seen *s)
{
	enum { ASID = 0x58, EXITCODE = 0x70, VMRUN_LENGTH = 3 };

	check("EXITCODE of the event", s->code, ~0ull);
	check("EXITCODE in the VMCB that the event names", phys(m, s->guest + EXITCODE, 8), ~0ull);
	check("ASID in that VMCB", phys(m, s->guest + ASID, 4), 0);
	check("the monitor is behind VMRUN", reg(m, "rip"), s->rip + VMRUN_LENGTH);
}

static bool faults(const char *text)
{
	return strstr(text, " refused: #GP") || strstr(text, " refused: #UD");
}

/* "VMfailValid, error 7: ..." or "exit reason 0x80000021 (...)". "VM-Instruction Error Numbers", "VM-Entry Failures".
 */
static void vmx_refusal(ts_machine *m, const struct seen *s)
{
	enum { VMLAUNCH_LENGTH = 3, INSN_LENGTH_MAX = 15 };
	const char *error = strstr(s->text, "error "), *reason = strstr(s->text, "exit reason ");
	uint64_t revision = reg(m, "msr:0x480") & 0x7fffffff;

	check("the event names a VMCS", phys(m, s->guest, 4), revision);
	if (reason) {
		check("exit reason", s->code, strtoull(reason + 12, NULL, 16));
		check("a failed entry", s->code >> 31, 1);
	} else if (faults(s->text)) {
		check("the exception's vector", s->code, strstr(s->text, " refused: #GP") ? 13 : 6);
	} else {
		check("the message tells an error", error != NULL, 1);
		check("VM-instruction error", s->code, error ? strtoull(error + 6, NULL, 10) : 0);
		if (!strncmp(s->text, "VMLAUNCH", 8) || !strncmp(s->text, "VMRESUME", 8))
			check("the monitor is behind the instruction", reg(m, "rip"), s->rip + VMLAUNCH_LENGTH);
		else
			check("the monitor is behind another instruction", reg(m, "rip") - s->rip <= INSN_LENGTH_MAX, 1);
	}
}

static void end_is_the_end(ts_machine *m, ts_stop want)
{
	uint64_t n = retired(m), h = hash(m);
	ts_stop why = TS_FAULT;

	check("ts_run after the end", ts_run(m, 1000, &why, NULL), TS_OK);
	check("its reason", why, want);
	check("it ran nothing", retired(m), n);
	check("it changed nothing", hash(m), h);
}

static void vendor(const char *cpu, const char *kernel, unsigned least,
                   void (*refusal)(ts_machine *m, const struct seen *s))
{
	ts_machine *m = machine(cpu, kernel), *plain = machine(cpu, kernel);
	struct seen s = {0};
	ts_stop why;
	unsigned stops = 0;

	check("hook", ts_hook(m, TS_ON_REFUSED, stop_at, &s), TS_OK);
	for (ts_run(m, 0, &why, NULL); why == TS_STOPPED; ts_run(m, 0, &why, NULL)) {
		check("one event a stop", s.count, ++stops);
		check("its kind", s.kind, TS_ON_REFUSED);
		check("stopped at that instruction", retired(m), s.insn + !faults(s.text)); /* which then has retired nothing */
		refusal(m, &s);
	}
	check("ends as ever", why, TS_POWEROFF);
	check("stopped often enough", stops >= least, 1);
	ts_run(plain, 0, &why, NULL);
	check("as many instructions as without stops", retired(m), retired(plain));
	check("the same state as without stops", hash(m), hash(plain));
	end_is_the_end(plain, TS_POWEROFF);
	ts_destroy(m);
	ts_destroy(plain);
}

/* A hook's wish to stop does not hide that the machine is dead. */
static void death(const char *kernel)
{
	ts_machine *m = machine("amd", kernel);
	struct seen s = {0};
	ts_stop why;

	check("hook", ts_hook(m, TS_ON_DEATH, stop_at, &s), TS_OK);
	ts_run(m, 0, &why, NULL);
	check("one death", s.count, 1);
	check("reason", why, TS_SHUTDOWN);
	check("no guest was running", s.guest, UINT64_MAX);
	end_is_the_end(m, TS_SHUTDOWN);
	ts_destroy(m);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "hooks SVM.elf VMX.elf TRIPLE.elf\n");
		return 2;
	}
	vendor("amd", argv[1], 5, svm_refusal);
	vendor("intel", argv[2], 20, vmx_refusal);
	death(argv[3]);
	printf("checks: %u\n%u passed, %u failed\n", passed + failed, passed, failed);
	return failed != 0;
}
