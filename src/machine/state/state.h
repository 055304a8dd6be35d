/*
 * state: struct machine, what it is built from (config.h) and its memory map (layout.h): what everything in machine/
 * needs, the firmware in acpi/ and boot/ as well as those who run it. What of it is architectural has a row in rows.c;
 * the rest is marked. May call: base, arch, mem, cpu, dev. Called by: all of machine/.
 */
#ifndef MACHINE_STATE_H
#define MACHINE_STATE_H

#include "base/chan.h"
#include "base/clock.h"
#include "cpu/cpu.h"
#include "dev/dev.h"
#include "machine/state/config.h"
#include "machine/state/layout.h"
#include "mem/mem.h"

enum machine_stop {
	MSTOP_NONE,
	MSTOP_POWEROFF,
	MSTOP_EXIT_PORT,
	MSTOP_RESET,
	MSTOP_SHUTDOWN,
	MSTOP_DEADLOCK,
	MSTOP_LIMIT,
	MSTOP_REQUEST,
	MSTOP_FAILED, /* something came that was to end the run */
	MSTOP_INTERNAL,
	MSTOP_DEBUG, /* a debugger wants it to stand still */
};
/* A machine that stopped for this reason has nothing left to run. */
static inline bool machine_ended(enum machine_stop why)
{
	return why == MSTOP_POWEROFF || why == MSTOP_EXIT_PORT || why == MSTOP_RESET || why == MSTOP_SHUTDOWN ||
	       why == MSTOP_FAILED || why == MSTOP_INTERNAL;
}
enum machine_limit { LIMIT_INSNS = 1, LIMIT_TIME, LIMIT_TIMEOUT, LIMIT_BREAK };

/* The OR of everything that drives one interrupt input; a bit per input. */
struct machine;
struct irq_source {
	struct machine *m;
	u32 levels;
};
enum { IRQSRC_ISA, IRQSRC_HPET, IRQSRC_TEST, IRQSRC_PCI, IRQSRC_TPM, IRQSRC_COUNT };

struct door {
	struct chan *chans;
	struct device *nets[MACHINE_NETS];
	unsigned net_count; /* wired */
	bool typed;    /* evidence: input came in, the run is not repeatable */
	u64 next_poll; /* cache: clock time of the next look outside */
	void (*look)(void *arg); /* wired: a debugger's turn to look; NULL: there is none */
	void *look_arg;          /* wired */
	int look_fd;             /* wired: ends a wait; -1: none */
	void (*attend)(void *arg); /* wired: a monitor's turn to look; NULL: there is none */
	unsigned (*attend_fds)(void *arg, int *fds, unsigned room); /* wired: what ends a wait for it */
	void *attend_arg;          /* wired */
	bool attend_live;          /* wired: somebody may come, so that a machine that stands still is not lost */
};

struct jitter {
	u64 state;
};

struct machine {
	struct clock clock;
	struct bus bus;
	struct hooks hooks;
	struct platform platform;
	struct machine_config cfg; /* wired: a shallow copy; strings are the caller's */
	struct cpu *cpus[CPU_MAX];
	void *cpu_mem[CPU_MAX]; /* wired */
	unsigned count;         /* wired */
	struct code_cache *code;
	struct jit *jit; /* cache: of translated code, from what is decoded; NULL: everything is interpreted */
	const struct decode_index *decode;

	struct device *devices; /* every one, for reset, state and destruction */
	struct device *pic, *ioapic, *rtc, *hpet, *pm, *smi, *tco, *fwcfg;
	struct device *tis, *northbridge, *dram, *vga, *i8042; /* NULL: none */
	struct pci_bus *pci;
	struct tpm *tpm; /* wired: the engine behind the TPM; NULL: there is none */
	struct irq_source irqs[IRQSRC_COUNT];
	u32 irq_wire[2]; /* PIC inputs, I/O APIC inputs as driven now */

	u64 resets; /* statistics: how often it was reset */
	struct door door;
	u64 rsdp, facs; /* where the tables stand */
	u64 code_size;  /* wired: of the flash with firmware's code */
	u64 started_ns; /* wired: real time of the first run */

	enum machine_stop stop; /* scratch: what machine_run() will answer */
	u32 stop_value;         /* scratch: debug-exit value, enum machine_limit */
	bool reset_pending, power_lost;           /* a reset, and one behind which memory has nothing */
	bool sleep_pending, asleep, wake_pending; /* S3: asked for, entered, something ends it */
	bool loaded;                              /* the loader ran before: fw_cfg has its content */
	volatile int stop_request;                /* scratch: set from a signal handler */
	unsigned turn;                            /* whose slice is next */
	u64 slice_end;   /* scratch: a debugger has interrupted that slice: how far it goes; 0: nobody has */
	u32 held;        /* scratch: processors that a debugger lets stand, a bit each */
	bool hold_death; /* wired: a debugger looks at a processor that shut down before anything comes of it */
	struct cpu *dead; /* scratch: that one; NULL: none */
	u64 idle_since; /* cache: clock time since when nobody ran, UINT64_MAX: somebody does */
	u64 sleep_debt; /* cache: virtual idle time not yet slept in real time */
	struct jitter jitter;   /* wired: a knob of the run, as struct stress is; unused without --jitter */
	void (*note)(void *arg, const char *text), (*lost)(void *arg, const char *text);
	void *note_arg; /* wired */
};
extern const struct state_row machine_rows[];
extern const size_t machine_row_count;

#endif
