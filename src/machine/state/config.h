/* What a machine is built from. */
#ifndef MACHINE_STATE_CONFIG_H
#define MACHINE_STATE_CONFIG_H

#include "cpu/cpu.h"
#include "jit/jit.h"
#include "machine/state/smbios.h"

enum machine_idle { IDLE_AUTO, IDLE_SKIP, IDLE_WAIT };

/* Which VGA: the one at fixed addresses that every PC has, none, or a PCI function with a linear frame buffer. */
enum machine_vga { MACHINE_VGA_PLAIN, MACHINE_VGA_NONE, MACHINE_VGA_STD };

#define MACHINE_DISKS    16
#define MACHINE_NETS     4
#define MACHINE_CONSOLES 4
#define MACHINE_FWCFG    32
#define MACHINE_HOSTFWD  16
#define MACHINE_EDUS     4

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

struct edu_config {
	u64 dma_mask;
	int devfn; /* -1: next free slot */
};

/* Stock firmware instead of a kernel, or in front of one. */
struct firmware_config {
	char *bios;                      /* a ROM image; NULL: none */
	char *code, *vars;               /* flash: an image, and the file of its variables */
	const char *vars_template;       /* what they are without a file */
	const char *option;              /* as on the command line, for messages; NULL: no firmware */
	char order[4];                   /* of drives: c, d, n */
	bool menu;
	bool smm_only;                   /* the flash hears system management mode alone */
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
	struct firmware_config firmware;
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
	enum machine_vga vga;
	struct edu_config edu[MACHINE_EDUS];
	unsigned edus;
	struct fwcfg_config {
		char *name;
		void *data;
		u32 len;
	} fwcfg[MACHINE_FWCFG];
	unsigned fwcfgs;
	const char *tpm_option;      /* as on the command line; NULL: no TPM */
	const char *tpm_state, *tpm_socket; /* its file, or the swtpm it is; NULL: neither */
	struct smbios_config smbios;
	u64 rtc_epoch;
	bool rtc_host; /* the computer's clock at start */
	u64 seed;
	bool jitter; /* schedules are drawn from jitter_seed */
	u64 jitter_seed;
	u64 max_insns, max_time_ns, timeout_ns; /* 0: no limit */
	enum machine_idle idle;
	bool no_reboot, triple_fault_resets;
	bool no_smi; /* the chipset's SMI# is not connected */
	struct stress stress; /* every processor's knobs */
	struct jit_config jit;
	u64 block_cache; /* bytes of decoded instructions; 0: as many as usual */
	bool testdev, pcitestdev;
	u16 debugexit_port, debugexit_size;        /* size 0: none */
	void (*note)(void *arg, const char *text); /* one line a person may want to know */
	void (*lost)(void *arg, const char *text); /* ... about output that was asked for and could not be written */
	void *note_arg;
};

#endif
