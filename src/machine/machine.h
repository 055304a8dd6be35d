/*
 * machine: the whole PC. What lives here: struct machine, the scheduler and its one door for outside input (machine.c,
 * door.c), the wiring of the devices (pc.c), the firmware tables (acpi/), and one loader per boot protocol (boot/).
 * May call: base, arch, mem, cpu, model, dev. Called by: inspect, api.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "cpu/cpu.h"
#include "dev/dev.h"
#include "machine/smbios.h"
#include "mem/mem.h"

/* The memory map. All of RAM lies below ECAM if it fits there, otherwise so much as SPLIT says, and the rest from 4 GiB
 * up. */
#define MACHINE_SPLIT     0x80000000ull
#define MACHINE_HIGH_BASE 0x100000000ull
#define MACHINE_ECAM      0xb0000000ull
#define MACHINE_ECAM_SIZE 0x10000000ull
#define MACHINE_PCI_BASE  0xc0000000ull /* 32-bit memory window for BARs */
#define MACHINE_PCI_END   0xfec00000ull
#define MACHINE_PIO_BASE  0xc000u /* I/O window for BARs */
#define MACHINE_IOAPIC    0xfec00000ull
#define MACHINE_HPET      0xfed00000ull
#define MACHINE_LAPIC     0xfee00000ull
#define MACHINE_PMBASE    0x600
#define MACHINE_EBDA      0x9fc00ull
#define MACHINE_ACPI_BASE 0xf0000ull /* RSDP first, then every table */
#define MACHINE_ACPI_END  0xf4000ull
#define MACHINE_DMI_BASE  0xf4000ull /* SMBIOS */
#define MACHINE_DMI_END   0xf8000ull
#define MACHINE_WAKE_BASE 0xf8000ull /* page tables for a waking vector in long mode */
#define MACHINE_BIOS_END  0x100000ull
#define MACHINE_SLICE     1024 /* instructions of one processor's turn, when there are several */

enum machine_stop {
	MSTOP_NONE,
	MSTOP_POWEROFF,
	MSTOP_EXIT_PORT,
	MSTOP_RESET,
	MSTOP_SHUTDOWN,
	MSTOP_DEADLOCK,
	MSTOP_LIMIT,
	MSTOP_REQUEST,
	MSTOP_INTERNAL,
};
/* A machine that stopped for this reason has nothing left to run. */
static inline bool machine_ended(enum machine_stop why)
{
	return why == MSTOP_POWEROFF || why == MSTOP_EXIT_PORT || why == MSTOP_RESET || why == MSTOP_SHUTDOWN ||
	       why == MSTOP_INTERNAL;
}
enum machine_limit { LIMIT_INSNS = 1, LIMIT_TIME, LIMIT_TIMEOUT };
enum machine_idle { IDLE_AUTO, IDLE_SKIP, IDLE_WAIT };

#define MACHINE_DISKS    16
#define MACHINE_NETS     4
#define MACHINE_CONSOLES 4
#define MACHINE_FWCFG    32
#define MACHINE_HOSTFWD  16

struct disk_config {
	char *path, *serial;
	bool readonly, snapshot;
	int devfn;          /* -1: next free slot */
	const char *option; /* as on the command line, for messages */
};

struct net_config {
	char *hostfwd[MACHINE_HOSTFWD + 1]; /* NULL-terminated */
	u8 mac[6];
	int devfn;
	const char *option; /* as on the command line, for messages */
};

/* What to build: filled by api/options.c from the command line, owned by the caller. */
struct machine_config {
	const struct cpu_model *model;
	struct feature_set feat;
	u8 phys_bits; /* 0: the model's */
	u64 ram;
	unsigned cpus;
	char *kernel, *initrd, *append;
	const char *kernel_option, *initrd_option, *append_option; /* as on the command line, for messages */
	char *serial[2], *debugcon;                                /* channel specs, NULL: none */
	const char *serial_option[2], *debugcon_option;            /* as on the command line, for messages */
	struct disk_config disk[MACHINE_DISKS];
	unsigned disks;
	struct net_config net[MACHINE_NETS];
	unsigned nets;
	char *console[MACHINE_CONSOLES]; /* virtio consoles */
	const char *console_option[MACHINE_CONSOLES];
	unsigned consoles;
	unsigned rngs;
	struct fwcfg_config {
		char *name;
		void *data;
		u32 len;
	} fwcfg[MACHINE_FWCFG];
	unsigned fwcfgs;
	struct smbios_config smbios;
	u64 rtc_epoch;
	bool rtc_host; /* the computer's clock at start */
	u64 seed;
	u64 max_insns, max_time_ns, timeout_ns; /* 0: no limit */
	enum machine_idle idle;
	bool no_reboot, triple_fault_resets;
	struct stress stress; /* every processor's knobs */
	bool testdev, pcitestdev;
	u16 debugexit_port, debugexit_size;        /* size 0: none */
	void (*note)(void *arg, const char *text); /* one line a person may want to know */
	void (*lost)(void *arg, const char *text); /* ... about output that was asked for and could not be written */
	void *note_arg;
};

/* The OR of everything that drives one interrupt input; a bit per input. */
struct machine;
struct irq_source {
	struct machine *m;
	u32 levels;
};
enum { IRQSRC_ISA, IRQSRC_HPET, IRQSRC_TEST, IRQSRC_PCI, IRQSRC_COUNT };

struct door {
	struct chan *chans;
	struct device *nets[MACHINE_NETS];
	unsigned net_count; /* wired */
	bool typed;    /* evidence: input came in, the run is not repeatable */
	u64 next_poll; /* cache: clock time of the next look outside */
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
	const struct decode_index *decode;

	struct device *devices; /* every one, for reset, state and destruction */
	struct device *pic, *ioapic, *rtc, *hpet, *pm, *fwcfg;
	struct pci_bus *pci;
	struct irq_source irqs[IRQSRC_COUNT];
	u32 irq_wire[2]; /* PIC inputs, I/O APIC inputs as driven now */

	struct door door;
	u64 rsdp, facs; /* where the tables stand */
	u64 started_ns; /* wired: real time of the first run */

	enum machine_stop stop; /* scratch: what machine_run() will answer */
	u32 stop_value;         /* scratch: debug-exit value, enum machine_limit */
	bool reset_pending;
	bool sleep_pending, asleep, wake_pending; /* S3: asked for, entered, something ends it */
	bool loaded;                              /* the loader ran before: fw_cfg has its content */
	volatile int stop_request;                /* scratch: set from a signal handler */
	unsigned turn;                            /* whose slice is next */
	u64 idle_since; /* cache: clock time since when nobody ran, UINT64_MAX: somebody does */
	u64 sleep_debt; /* cache: virtual idle time not yet slept in real time */
	void (*note)(void *arg, const char *text), (*lost)(void *arg, const char *text);
	void *note_arg; /* wired */
};
extern const struct state_row machine_rows[];
extern const size_t machine_row_count;

enum status machine_create(struct machine **out, const struct machine_config *cfg, struct err *err);
void machine_destroy(struct machine *m);
/* Run until a stop reason arises or max_insns (0: no limit) more instructions retired. A loader that fails after a
 * reset gives MSTOP_INTERNAL with err filled. A machine that has ended stays where it is. */
enum machine_stop machine_run(struct machine *m, u64 max_insns, struct err *err);
void machine_request_stop(struct machine *m); /* async-signal-safe */
u64 machine_insns(const struct machine *m);
/* May the same command give another run? Typed input, network, the computer's clock. NULL: no; else the reasons. */
const char *machine_unrepeatable(const struct machine *m);

/* ---- pc.c ---- */
enum status pc_build(struct machine *m, struct err *err);
void pc_fini(struct machine *m);
void pc_reset(struct machine *m); /* devices to power-on */
void pc_loaded(struct machine *m); /* rows of the machine and its devices were written from outside */
void pc_sleep(struct machine *m); /* devices lose their power, but for those that wake the machine */
/* INIT# of every processor, which a BIOS answers by a reset of everything unless software prepared something else. */
void pc_init(struct machine *m);
void pc_note(struct machine *m, const char *fmt, ...) printf_like(2, 3);
void pc_lost(struct machine *m, const char *fmt, ...) printf_like(2, 3);
void pc_stop(struct machine *m, enum machine_stop why, u32 value);

/* ---- door.c ---- */
void door_add(struct door *d, struct chan *c);
enum status door_start(struct machine *m, struct err *err); /* the last step of creation: files change from here on */
bool door_poll(struct machine *m);                          /* true: something came in */
void door_wait(struct machine *m, u64 max_real_ns);         /* sleep until input or the time is over */
bool door_live(const struct machine *m);                    /* sources an idle machine must wait for */
void door_flush(struct machine *m);
void door_close(struct machine *m);

/* ---- the memory map as firmware reports it ---- */
enum { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };
struct map_entry {
	u64 base, size;
	u32 type;
};
#define MAP_MAX 12
unsigned machine_memory_map(const struct machine *m, struct map_entry out[MAP_MAX]);
u64 machine_low_ram(const struct machine *m);  /* end of RAM below 4 GiB */
u64 machine_high_ram(const struct machine *m); /* bytes of RAM from 4 GiB up */

#endif
