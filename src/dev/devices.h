/*
 * The constructors of every device, in one place: machine/pc.c reads like this list. Each allocates, maps its ranges and
 * registers nothing else; *out is linked and destroyed by the machine.
 */
#ifndef DEV_DEVICES_H
#define DEV_DEVICES_H

#include "dev/dev.h"

struct pci_bus; /* dev/pci.h */
struct tpm;     /* dev/tpm.h */

/* The place of the chipset's bridge on bus 0, under which devices go that are no PCI functions of their own. */
#define LPC_DEVFN (0x1f << 3)

/* What every constructor needs. */
struct dev_env {
	struct bus *bus;
	struct clock *clock;
	const struct platform *platform;
	struct pci_bus *pci; /* NULL until the host bridge exists */
};

/* 8259 pair, ports 20h, 21h, A0h, A1h, 4D0h, 4D1h. output: the INTR pin. pic_ack is the INTA cycle. */
enum status pic_create(struct device **out, const struct dev_env *e, struct irq_line output);
void pic_set_irq(struct device *pic, unsigned n, bool level);
int pic_ack(struct device *pic);

/* 8254, ports 40h-43h and 61h. irq0: channel 0's output. */
enum status pit_create(struct device **out, const struct dev_env *e, struct irq_line irq0);

/* MC146818 RTC and CMOS, ports 70h-71h. epoch: seconds since 1970 at power-on. cmos: initial bytes 10h.. set by the machine. */
enum status rtc_create(struct device **out, const struct dev_env *e, struct irq_line irq8, u64 epoch);
void rtc_set_cmos(struct device *rtc, u8 index, u8 value);
u8 rtc_cmos(const struct device *rtc, u8 index);

/* Coprocessor error, port F0h: FERR# comes in, interrupt line 13 and IGNNE# go out. */
struct ferr_sink {
	void (*ignne)(void *arg, bool active);
	void *arg;
};
enum status ferr_create(struct device **out, const struct dev_env *e, struct irq_line irq13, struct ferr_sink sink);
void ferr_set(struct device *d, bool active);

/* i8042 with keyboard and mouse ports, 60h, 64h; port 92h. */
enum status i8042_create(struct device **out, const struct dev_env *e, struct irq_line irq1, struct irq_line irq12);
void i8042_listen(struct device *d, struct chan *keys); /* its bytes are scan codes of set 1 */

/* VGA. extended: a PCI function with a linear frame buffer and an option ROM (NULL: none; copied), else the fixed addresses. */
struct vga_config {
	bool extended;
	const void *rom;
	u32 rom_size;
};
enum status vga_create(struct device **out, const struct dev_env *e, const struct vga_config *cfg);
void vga_text_mode(struct device *vga); /* mode 3 and an empty screen, as a BIOS leaves it */

/* 16550A at `base`. chan may be NULL. */
enum status uart_create(struct device **out, const struct dev_env *e, u16 base, struct irq_line irq, struct chan *chan);

/* I/O APIC with 24 inputs at FEC00000h; messages leave through bus->msi-like callback. */
struct ioapic_sink {
	void (*send)(void *arg, u8 vector, u8 delivery, bool logical, bool level, u8 dest);
	void *arg;
};
enum status ioapic_create(struct device **out, const struct dev_env *e, u8 id, struct ioapic_sink sink);
void ioapic_set_irq(struct device *ioapic, unsigned n, bool level);
void ioapic_eoi(struct device *ioapic, u8 vector);

/* HPET at FED00000h, 3 comparators, legacy replacement; routes to I/O APIC inputs through irq[0..23] and MSI. */
enum status hpet_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24]);
/* Legacy replacement is on: the machine then keeps the 8254's and the RTC's interrupts away from the controllers. */
bool hpet_legacy(const struct device *hpet);

/* ICH9 ACPI block: PM1 event/control, PM timer, GPE0, SCI; at PMBASE. Also CF9h. smi: who hears of events while SCI_EN is
 * 0, of GBL_RLS and SLP_EN; NULL: nobody. */
enum status acpipm_create(struct device **out, const struct dev_env *e, u16 pmbase, struct irq_line sci,
			  struct device *smi);
void acpipm_move(struct device *pm, u16 pmbase, bool enabled); /* the LPC bridge's PMBASE and ACPI_CNTL changed */
void acpipm_power_button(struct device *pm);
void acpipm_rtc(struct device *pm); /* the RTC raised its interrupt */
void acpipm_gpe(struct device *pm, unsigned n); /* sets GPE0_STS bit n */
void acpipm_bios_release(struct device *pm); /* sets GBL_STS */

/* ICH9 SMI# logic: SMI_EN and SMI_STS at PMBASE + 30h, APM_CNT and APM_STS at B2h and B3h. */
struct smi_sink {
	void (*bios_release)(void *arg); /* BIOS_RLS was written */
	void *arg;
	bool events; /* each cause is an SMI# as it comes, whatever EOS says: what firmware for virtual machines relies on */
};
struct smi_config { /* by the LPC bridge's registers */
	bool smi_lock, microcontroller;
	u8 per_smi_sel, swsmi_rate_sel;
};
enum status smi_create(struct device **out, const struct dev_env *e, u16 pmbase, struct smi_sink sink);
void smi_move(struct device *smi, u16 pmbase, bool enabled); /* with the ACPI block */
void smi_configure(struct device *smi, struct smi_config c);
void smi_power_events(struct device *smi, bool pm1, bool gpe0); /* enabled events of the ACPI block while SCI_EN is 0 */
void smi_global_release(struct device *smi); /* GBL_RLS was written */
bool smi_traps_sleep(struct device *smi);    /* SLP_EN was written; true: it is the handler's affair */
void smi_tco(struct device *smi, bool asserted);
void smi_lock_tco(struct device *smi, bool locked); /* TCO_EN */
bool smi_awaited(const struct device *smi); /* a timer of its own goes on that will ask for an SMI */

/* ICH9 TCO block at PMBASE + 60h. */
enum status tco_create(struct device **out, const struct dev_env *e, u16 pmbase, struct device *smi);
void tco_move(struct device *tco, u16 pmbase, bool enabled); /* with the ACPI block */
bool tco_runs(const struct device *tco); /* the watchdog counts */
void tco_bios_write(struct device *tco); /* BIOSWE was set although it is locked */

/* fw_cfg, ports 510h-51Bh, with DMA. Content is added before the first run. */
enum status fwcfg_create(struct device **out, const struct dev_env *e);
enum status fwcfg_add_key(struct device *fw, u16 key, const void *data, u32 len);     /* copied */
enum status fwcfg_add_file(struct device *fw, const char *name, const void *data, u32 len); /* copied */

/* TPM 2.0 at FED40000h and the engine behind it (dev/tpm.h), which stays the caller's; any ISA line, as software says. */
enum status tpm_tis_create(struct device **out, const struct dev_env *e, struct tpm *engine,
			   const struct irq_line irq[16]);
/* What SKINIT has the platform send: hash start, data and end at locality 4. */
void tpm_tis_measure(struct device *tis, const void *image, u64 size);
/* A command of who plays firmware, at locality 0 and at once; the answer's size. answer: TPM_BUFFER bytes. */
u32 tpm_tis_command(struct device *tis, const void *command, u32 size, void *answer);

/* Port E9h. */
enum status debugcon_create(struct device **out, const struct dev_env *e, u16 port, struct chan *chan);
/* isa-debug-exit. */
enum status debugexit_create(struct device **out, const struct dev_env *e, u16 port, u16 size);
/* pc-testdev: E0h-E3h, E4h, E8h-EBh, 2000h-2017h, scratch at FF000000h. */
enum status testdev_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24]);
/* `Shutdown` written to port 8900h. */
enum status shutdownport_create(struct device **out, const struct dev_env *e);

/* Q35 host bridge 8086:29C0: CF8h/CFCh, ECAM at B0000000h, PAM. Sets *pci. */
enum status q35_create(struct device **out, const struct dev_env *e, struct pci_bus **pci);
/* AMD's northbridge, 1022:1100 and 1022:1103 at 00:18.0 and 00:18.3: the DEV capability block, which guards the bus. */
#define NORTHBRIDGE_SLOT 0x18
struct northbridge_env {
	void (*machine_check)(void *arg, u64 status, u64 addr); /* of the northbridge's bank */
	bool (*memory_enabled)(void *arg);
	void *arg;
	u8 type; /* "DEV Capability Block Type" */
};
enum status northbridge_create(struct device **out, const struct dev_env *e, struct northbridge_env env);
void northbridge_init(struct device *nb); /* INIT of its first processor: the tables protect nothing any more */
void northbridge_protect(struct device *nb, u64 slb); /* SKINIT: devices are kept out of these 64 KiB */
bool northbridge_clear_disabled(const struct device *nb); /* DEV_CR.MEM_CLR_DIS before the last reset */
/* The northbridge's DRAM controller, 1022:1101 and 1022:1102, functions 1 and 2 of `slot`. */
struct dram_keeper {
	bool (*keep)(void *arg); /* MemClrDis, as the reset found it */
	void *arg;
};
enum status dram_create(struct device **out, const struct dev_env *e, u8 slot, struct dram_keeper keeper);
void dram_power_lost(struct device *dram); /* with it the content of memory */
bool dram_enabled(const struct device *dram); /* since the last reset */
/* ICH9 LPC 8086:2918 at 00:1F.0: PMBASE, PIRQ routing 60h-6Bh; INTx pins reach irq[16..23] (APIC) and irq[0..15] (PIC). */
enum status lpc_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24]);
/* What stands at PMBASE, and whose locks and rates the bridge's registers have; each may be NULL. */
struct lpc_blocks {
	struct device *pm, *smi, *tco;
};
void lpc_set_blocks(struct device *lpc, struct lpc_blocks blocks);
/* 1B36:0005. */
enum status pcitestdev_create(struct device **out, const struct dev_env *e, int devfn);
/* 1234:11E8, the educational device; dma_mask: the addresses its DMA engine reaches, 28 bits elsewhere. */
enum status edu_create(struct device **out, const struct dev_env *e, int devfn, u64 dma_mask);

/* Modern virtio-pci. devfn -1: next free slot. */
struct virtio_blk_config {
	const char *path;
	const char *serial; /* NULL: none */
	const char *option; /* for messages: who asked for it; NULL: nobody in particular */
	bool readonly, snapshot;
	int devfn;
};
enum status virtio_blk_create(struct device **out, const struct dev_env *e, const struct virtio_blk_config *cfg,
			      struct err *err);
enum status virtio_rng_create(struct device **out, const struct dev_env *e, int devfn, u64 seed);
enum status virtio_console_create(struct device **out, const struct dev_env *e, int devfn, struct chan *chan);
/* User-mode network by libslirp. hostfwd: QEMU's text, NULL-terminated list. The door polls it. */
enum status virtio_net_create(struct device **out, const struct dev_env *e, int devfn, const char *const *hostfwd,
			      const u8 mac[6], struct err *err);
/* Called at slice boundaries while a network is there: exchange packets with libslirp, non-blocking. timeout_ms >= 0: may sleep. */
void virtio_net_poll(struct device *net, int timeout_ms);

#endif
