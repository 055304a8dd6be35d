/*
 * The wiring of the PC: which device sits where and which wire goes to which controller. Reads like the list of
 * constructors in dev/devices.h.
 */
#include "dev/devices.h"
#include "base/os.h"
#include "dev/tpm.h"
#include "machine/firmware.h"
#include "machine/machine.h"

void pc_stop(struct machine *m, enum machine_stop why, u32 value)
{
	/* The first reason counts, but an end is not lost to a stop from which the machine could go on. */
	if (m->stop == MSTOP_NONE || (!machine_ended(m->stop) && machine_ended(why))) {
		m->stop = why;
		m->stop_value = value;
	}
	for (unsigned i = 0; i < m->count; i++) {
		m->cpus[i]->stop = CPU_STOP_MACHINE;
		m->cpus[i]->kick = 1;
	}
}

/* ---- what devices may ask of the machine ---- */

static void power_off(void *arg)
{
	pc_stop(arg, MSTOP_POWEROFF, 0);
}

static void reset(void *arg)
{
	struct machine *m = arg;

	if (m->cfg.no_reboot) {
		pc_stop(m, MSTOP_RESET, 0);
		return;
	}
	m->reset_pending = true;
	for (unsigned i = 0; i < m->count; i++) {
		m->cpus[i]->stop = CPU_STOP_MACHINE;
		m->cpus[i]->kick = 1;
	}
}

static void power_cycle(void *arg)
{
	struct machine *m = arg;

	m->power_lost = true;
	reset(m);
}

/* An INIT now would bring it to the reset vector. */
static bool init_restarts(const struct cpu *c)
{
	return !c->guest && c->gif && c->virt->rules.init(c) == INIT_TAKEN;
}

/* Nothing is prepared: a reset at once, as boot/reset.c would, and also where a processor in VMX operation holds INIT
 * back. A processor with SVM may hold it, leave its guest or take #SX: what it makes of INIT is its monitor's affair. */
void pc_init(struct machine *m)
{
	enum { SHUTDOWN_STATUS = 0x0f };
	const struct cpu *first = m->cpus[0];

	if (!m->cfg.firmware.option && !rtc_cmos(m->rtc, SHUTDOWN_STATUS) && (init_restarts(first) || first->virt->rules.root_blocks_init)) {
		reset(m);
		return;
	}
	for (unsigned i = 0; i < m->count; i++)
		cpu_raise(m->cpus[i], PEND_INIT);
}

/* A shutdown with GIF = 0 "can only be restarted by means of a RESET". An #SX would have to be delivered by the tables
 * that have just failed. */
void pc_shutdown(struct machine *m, const struct cpu *c)
{
	if (c->gif && c->virt->rules.init(c) != INIT_REDIRECTED)
		pc_init(m);
	else
		reset(m);
}

static void init(void *arg)
{
	pc_init(arg);
}

/* With firmware for virtual machines that has not negotiated more (etc/smi is not offered): the processor that wrote. */
static struct cpu *smi_taker(const struct machine *m)
{
	struct initiator who = m->bus.who;

	return m->cpus[who.by == BY_CPU && who.id < m->count ? who.id : 0];
}

/* SMI# is one wire to all of them: each one's turn comes soon, and who caused it sees the end of their handlers. */
static void smi(void *arg)
{
	struct machine *m = arg;

	if (m->cfg.firmware.option) {
		cpu_raise(smi_taker(m), PEND_SMI);
		return;
	}

	for (unsigned i = 0; i < m->count; i++) {
		cpu_raise(m->cpus[i], PEND_SMI);
		m->cpus[i]->yield |= m->count > 1;
	}
}

static void sleep(void *arg)
{
	struct machine *m = arg;

	m->sleep_pending = true;
	for (unsigned i = 0; i < m->count; i++) {
		m->cpus[i]->stop = CPU_STOP_MACHINE;
		m->cpus[i]->kick = 1;
	}
}

static void wake(void *arg)
{
	struct machine *m = arg;

	m->wake_pending = true;
}

static void debug_exit(void *arg, u32 v)
{
	pc_stop(arg, MSTOP_EXIT_PORT, v);
}

static void a20(void *arg, bool enabled)
{
	struct machine *m = arg;

	bus_mask_a20(&m->bus, !enabled);
}

static void note(void *arg, const char *text)
{
	machine_note(arg, "%s", text);
}

/* ---- interrupt wires ---- */

struct wires {
	u32 pic, apic;
};

/* Who reaches which input. ISA line 0 is I/O APIC input 2 (the MADT says so), line 2 is the 8259s' own cascade. Under
 * legacy replacement the HPET takes lines 0 and 8 from the 8254 and the RTC ("LegacyReplacement Route Capability"). */
static struct wires wires(const struct machine *m)
{
	bool legacy = m->hpet && hpet_legacy(m->hpet);
	u32 isa = m->irqs[IRQSRC_ISA].levels & (legacy ? ~0x101u : ~0u), test = m->irqs[IRQSRC_TEST].levels;
	u32 hpet = m->irqs[IRQSRC_HPET].levels, pci = m->irqs[IRQSRC_PCI].levels;
	struct wires w = {0, 0};

	isa |= (test & ~4u) | m->irqs[IRQSRC_TPM].levels;
	w.pic = (isa & 0xfffb) | (pci & 0xffff);
	w.apic = (isa & ~5u) | (isa & 1) << 2 | (test & 4) | (pci & 0xff0000);
	if (legacy) {
		w.pic |= (hpet & 5 ? 1u : 0u) | (hpet & 0x100);
		w.apic |= (hpet & 5 ? 4u : 0u) | (hpet & ~5u);
	} else {
		w.apic |= hpet;
	}
	return w;
}

static void irq_changed(void *arg, unsigned n, bool level)
{
	struct irq_source *s = arg;
	struct machine *m = s->m;
	struct wires w;

	s->levels = level ? s->levels | 1u << n : s->levels & ~(1u << n);
	w = wires(m);
	u32 pic = w.pic ^ m->irq_wire[0], apic = w.apic ^ m->irq_wire[1];
	m->irq_wire[0] = w.pic;
	m->irq_wire[1] = w.apic;
	for (; pic && m->pic; pic &= pic - 1) {
		unsigned k = (unsigned)__builtin_ctz(pic);
		pic_set_irq(m->pic, k, (w.pic >> k) & 1);
	}
	for (; apic && m->ioapic; apic &= apic - 1) {
		unsigned k = (unsigned)__builtin_ctz(apic);
		ioapic_set_irq(m->ioapic, k, (w.apic >> k) & 1);
	}
}

/* The RTC's interrupt is an event of the ACPI block, too. */
static void rtc_changed(void *arg, unsigned n, bool level)
{
	struct irq_source *s = arg;

	irq_changed(arg, n, level);
	if (level && s->m->pm)
		acpipm_rtc(s->m->pm);
}

static void bios_release(void *arg)
{
	const struct machine *m = arg;

	acpipm_bios_release(m->pm);
}

static struct irq_line line(struct machine *m, unsigned source, unsigned n)
{
	return (struct irq_line){.set = irq_changed, .arg = &m->irqs[source], .n = n};
}

static void lines(struct machine *m, unsigned source, struct irq_line out[24])
{
	for (unsigned n = 0; n < 24; n++)
		out[n] = line(m, source, n);
}

static void intr_pin(void *arg, unsigned n, bool level)
{
	struct machine *m = arg;

	apic_lint(m->cpus[0], n, level);
}

static int intr_ack(void *arg)
{
	return pic_ack(arg);
}

static void apic_message(void *arg, u8 vector, u8 delivery, bool logical, bool level, u8 dest)
{
	struct machine *m = arg;
	struct apic_msg msg = {
	        .vector = vector,
	        .delivery = delivery,
	        .logical = logical,
	        .level = level,
	        .assert = true,
	        .dest = dest,
	};

	apic_bus_send(m->cpus, m->count, &msg, NULL, 0);
}

static void msi(void *arg, struct initiator who, u64 addr, u32 data)
{
	struct machine *m = arg;

	(void)who; /* nobody remaps interrupts yet */
	apic_msi(m->cpus, m->count, addr, data);
}

static void level_eoi(void *arg, u8 vector)
{
	struct machine *m = arg;

	if (m->ioapic)
		ioapic_eoi(m->ioapic, vector);
}

static void ferr_pin(void *arg, bool active)
{
	ferr_set(arg, active);
}

/* Only the bootstrap processor's error pins are wired: MultiProcessor Specification, "Floating-Point Exception". */
static void ignne_pin(void *arg, bool active)
{
	struct machine *m = arg;

	cpu_set_ignne(m->cpus[0], active);
}

/* ---- building ---- */

struct build {
	struct machine *m;
	struct dev_env env;
	struct err *err;
};

/* Link what a constructor made. */
static enum status keep(struct build *b, enum status s, struct device *d, const char *what)
{
	if (s != ST_OK) {
		if (!b->err->text[0])
			err_set(b->err, s, "%s: %s", what, s == ST_NOMEM ? "out of memory" : "cannot be created");
		return s;
	}
	d->next = b->m->devices;
	b->m->devices = d;
	return ST_OK;
}

#define MAKE(what, call)                                                                                               \
	do {                                                                                                           \
		d = NULL;                                                                                              \
		enum status make_ = (call);                                                                            \
		make_ = keep(b, make_, d, what);                                                                       \
		if (make_ != ST_OK)                                                                                    \
			return make_;                                                                                  \
	} while (0)

static enum status controllers(struct build *b)
{
	struct machine *m = b->m;
	struct irq_line out = {.set = intr_pin, .arg = m, .n = 0};
	struct ioapic_sink sink = {.send = apic_message, .arg = m};
	struct device *d;

	MAKE("i8259", pic_create(&d, &b->env, out));
	m->pic = d;
	MAKE("ioapic", ioapic_create(&d, &b->env, 0, sink));
	m->ioapic = d;
	m->cpus[0]->intr_ack = intr_ack;
	m->cpus[0]->intr_ack_arg = m->pic;
	apic_eoi_hook(m->cpus, m->count, level_eoi, m);
	m->bus.msi = msi;
	m->bus.msi_arg = m;
	return ST_OK;
}

static enum status platform_devices(struct build *b)
{
	struct machine *m = b->m;
	struct irq_line all[24];
	struct device *d;

	MAKE("i8254", pit_create(&d, &b->env, line(m, IRQSRC_ISA, 0)));
	struct irq_line irq8 = line(m, IRQSRC_ISA, 8);
	irq8.set = rtc_changed;
	MAKE("rtc", rtc_create(&d, &b->env, irq8, m->cfg.rtc_host ? os_date_seconds() : m->cfg.rtc_epoch));
	m->rtc = d;
	MAKE("ferr",
	     ferr_create(&d, &b->env, line(m, IRQSRC_ISA, 13), (struct ferr_sink){.ignne = ignne_pin, .arg = m}));
	m->cpus[0]->ferr_pin = ferr_pin;
	m->cpus[0]->ferr_pin_arg = d;
	MAKE("i8042", i8042_create(&d, &b->env, line(m, IRQSRC_ISA, 1), line(m, IRQSRC_ISA, 12)));
	m->i8042 = d;
	lines(m, IRQSRC_HPET, all);
	MAKE("hpet", hpet_create(&d, &b->env, all));
	m->hpet = d;
	struct smi_sink sink = {.bios_release = bios_release, .arg = m, .events = m->cfg.firmware.option};
	MAKE("smi", smi_create(&d, &b->env, MACHINE_PMBASE, sink));
	m->smi = d;
	MAKE("acpi", acpipm_create(&d, &b->env, MACHINE_PMBASE, line(m, IRQSRC_ISA, 9), m->smi));
	m->pm = d;
	MAKE("tco", tco_create(&d, &b->env, MACHINE_PMBASE, m->smi));
	m->tco = d;
	MAKE("fw_cfg", fwcfg_create(&d, &b->env));
	m->fwcfg = d;
	return ST_OK;
}

/* A channel for a device; the door polls and closes it. */
static enum status open_chan(struct build *b, const char *option, const char *spec, struct chan **out)
{
	*out = NULL;
	if (!spec)
		return ST_OK;
	enum status s = chan_open(out, spec, b->err);
	if (s != ST_OK)
		return err_in(b->err, s, option);
	(*out)->option = option;
	(*out)->spec = spec;
	door_add(&b->m->door, *out);
	if ((*out)->note[0])
		machine_note(b->m, "%s", (*out)->note);
	return ST_OK;
}

static enum status serial_ports(struct build *b)
{
	static const u16 base[2] = {0x3f8, 0x2f8};
	static const u8 irq[2] = {4, 3};
	struct chan *c;
	struct device *d;

	for (unsigned i = 0; i < 2; i++) {
		enum status s = open_chan(b, b->m->cfg.serial_option[i], b->m->cfg.serial[i], &c);
		if (s != ST_OK)
			return s;
		MAKE("uart", uart_create(&d, &b->env, base[i], line(b->m, IRQSRC_ISA, irq[i]), c));
	}
	if (!b->m->cfg.debugcon)
		return ST_OK;
	enum status s = open_chan(b, b->m->cfg.debugcon_option, b->m->cfg.debugcon, &c);
	if (s != ST_OK)
		return s;
	MAKE("debugcon", debugcon_create(&d, &b->env, 0xe9, c));
	if (b->m->cfg.firmware.option)
		MAKE("debugcon", debugcon_create(&d, &b->env, 0x402, c)); /* where firmware for virtual machines speaks */
	return ST_OK;
}

/* The northbridge's bank, and in it DEV errors. Of a node's processors the first one hears of them. */
static void northbridge_error(void *arg, u64 status, u64 addr)
{
	enum { BANK = 4, DEV_ERR_EN = 13 };
	struct machine *m = arg;

	cpu_machine_check(m->cpus[0], BANK, DEV_ERR_EN, status, addr);
}

static void protect(void *arg, u64 slb)
{
	const struct machine *m = arg;

	northbridge_protect(m->northbridge, slb);
}

static void northbridge_hears_init(void *arg)
{
	const struct machine *m = arg;

	northbridge_init(m->northbridge);
}

static bool memory_enabled(void *arg)
{
	const struct machine *m = arg;

	return dram_enabled(m->dram);
}

static bool keep_memory(void *arg)
{
	const struct machine *m = arg;

	return northbridge_clear_disabled(m->northbridge);
}

/* A processor with SKINIT comes with its northbridge. */
static enum status northbridge(struct build *b)
{
	struct machine *m = b->m;
	struct northbridge_env env = {
	        .machine_check = northbridge_error,
	        .memory_enabled = memory_enabled,
	        .arg = m,
	        .type = quirk(m->cpus[0], QUIRK_DEV_TYPED) ? 2 : 0,
	};
	struct device *d;

	if (!has(m->cpus[0], FEAT_SKINIT))
		return ST_OK;
	MAKE("northbridge", northbridge_create(&d, &b->env, env));
	m->northbridge = d;
	MAKE("DRAM controller", dram_create(&d, &b->env, NORTHBRIDGE_SLOT, (struct dram_keeper){.keep = keep_memory, .arg = m}));
	m->dram = d;
	m->bus.secure.protect = protect;
	m->bus.secure.init = northbridge_hears_init;
	m->bus.secure.arg = m;
	return ST_OK;
}

static enum status pci_bridges(struct build *b)
{
	struct irq_line all[24];
	struct device *d;

	MAKE("q35", q35_create(&d, &b->env, &b->m->pci));
	b->env.pci = b->m->pci;
	lines(b->m, IRQSRC_PCI, all);
	MAKE("lpc", lpc_create(&d, &b->env, all));
	lpc_set_blocks(d, (struct lpc_blocks){.pm = b->m->pm, .smi = b->m->smi, .tco = b->m->tco});
	return northbridge(b);
}

/* The plain one is no PCI function: a machine that nobody gave a screen is none the different for it. */
static enum status screen(struct build *b)
{
	struct vga_config cfg = {.extended = b->m->cfg.vga == MACHINE_VGA_STD};
	struct device *d;

	if (b->m->cfg.vga == MACHINE_VGA_NONE)
		return ST_OK;
	MAKE("vga", vga_create(&d, &b->env, &cfg));
	b->m->vga = d;
	return ST_OK;
}

static enum status network_card(struct build *b, const struct net_config *k, struct device **out)
{
	enum status s = virtio_net_create(out, &b->env, k->devfn, (const char *const *)k->hostfwd, k->mac, b->err);

	return s == ST_OK || !b->err->text[0] ? s : err_in(b->err, s, k->option);
}

static enum status pci_devices(struct build *b)
{
	const struct machine_config *cfg = &b->m->cfg;
	struct device *d;

	for (unsigned i = 0; i < cfg->disks; i++) {
		const struct disk_config *k = &cfg->disk[i];
		const struct virtio_blk_config disk = {
		        .path = k->path,
		        .serial = k->serial,
		        .option = k->option,
		        .readonly = k->readonly,
		        .snapshot = k->snapshot,
		        .devfn = k->devfn,
		};
		MAKE("virtio-blk", virtio_blk_create(&d, &b->env, &disk, b->err));
	}
	for (unsigned i = 0; i < cfg->nets; i++) {
		const struct net_config *k = &cfg->net[i];
		MAKE("virtio-net", network_card(b, k, &d));
		b->m->door.nets[b->m->door.net_count++] = d;
	}
	for (unsigned i = 0; i < cfg->rngs; i++)
		MAKE("virtio-rng", virtio_rng_create(&d, &b->env, -1, cfg->seed + 0x9e3779b97f4a7c15ull * (i + 1)));
	for (unsigned i = 0; i < cfg->consoles; i++) {
		struct chan *c;
		enum status s = open_chan(b, cfg->console_option[i], cfg->console[i], &c);
		if (s != ST_OK)
			return s;
		MAKE("virtio-console", virtio_console_create(&d, &b->env, -1, c));
	}
	for (unsigned i = 0; i < cfg->edus; i++)
		MAKE("edu", edu_create(&d, &b->env, cfg->edu[i].devfn, cfg->edu[i].dma_mask));
	if (cfg->pcitestdev)
		MAKE("pci-testdev", pcitestdev_create(&d, &b->env, -1));
	return ST_OK;
}

static void tpm_lost(void *arg, const char *text)
{
	machine_lost(arg, "%s", text);
}

/* SKINIT's transfer of the image, and nobody else's. */
static void measure(void *arg, const void *image, u64 size)
{
	struct machine *m = arg;

	tpm_tis_measure(m->tis, image, size);
}

static enum status trusted_platform(struct build *b)
{
	struct machine *m = b->m;
	const struct tpm_config c = {
	        .option = m->cfg.tpm_option,
	        .state = m->cfg.tpm_state,
	        .socket = m->cfg.tpm_socket,
	        .seed = m->cfg.seed,
	        .lost = tpm_lost,
	        .arg = m,
	};

	struct irq_line irq[24];
	struct device *d;

	if (!c.option)
		return ST_OK;
	enum status s = tpm_open(&m->tpm, &c, b->err);
	if (s != ST_OK)
		return s;
	lines(m, IRQSRC_TPM, irq);
	MAKE("tpm-tis", tpm_tis_create(&d, &b->env, m->tpm, irq));
	m->tis = d;
	m->bus.secure.measure = measure;
	m->bus.secure.arg = m;
	return ST_OK;
}

static enum status test_devices(struct build *b)
{
	const struct machine_config *cfg = &b->m->cfg;
	struct irq_line all[24];
	struct device *d;

	if (cfg->debugexit_size)
		MAKE("isa-debug-exit", debugexit_create(&d, &b->env, cfg->debugexit_port, cfg->debugexit_size));
	if (cfg->testdev) {
		lines(b->m, IRQSRC_TEST, all);
		MAKE("pc-testdev", testdev_create(&d, &b->env, all));
		MAKE("shutdown port", shutdownport_create(&d, &b->env));
	}
	return ST_OK;
}

static enum status flash(struct build *b)
{
	struct device *d;

	for (unsigned chip = 0; chip < 2; chip++)
		if (firmware_has_flash(b->m, chip))
			MAKE("flash", firmware_flash(b->m, &d, &b->env, chip, b->err));
	return ST_OK;
}

static enum status fwcfg_files(struct build *b)
{
	const struct machine_config *cfg = &b->m->cfg;

	for (unsigned i = 0; i < cfg->fwcfgs; i++) {
		enum status s = fwcfg_add_file(b->m->fwcfg, cfg->fwcfg[i].name, cfg->fwcfg[i].data, cfg->fwcfg[i].len);
		if (s != ST_OK)
			return err_set(b->err, s, "--fw-cfg: %s cannot be added", cfg->fwcfg[i].name);
	}
	return ST_OK;
}

enum status pc_build(struct machine *m, struct err *err)
{
	static enum status (*const steps[])(struct build * b) = {
	        controllers, platform_devices, serial_ports, pci_bridges, trusted_platform, screen, pci_devices, test_devices,
	        flash, fwcfg_files,
	};
	struct build b = {
	        .m = m,
	        .err = err,
	        .env = {.bus = &m->bus, .clock = &m->clock, .platform = &m->platform},
	};

	m->platform = (struct platform){
	        .power_off = power_off,
	        .reset = reset,
	        .power_cycle = power_cycle,
	        .init = init,
	        .smi = m->cfg.no_smi ? NULL : smi,
	        .sleep = sleep,
	        .wake = wake,
	        .debug_exit = debug_exit,
	        .a20 = a20,
	        .note = note,
	        .arg = m,
	};
	for (unsigned i = 0; i < IRQSRC_COUNT; i++)
		m->irqs[i].m = m;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		enum status s = steps[i](&b);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

void pc_reset(struct machine *m)
{
	for (struct device *d = m->devices; d; d = d->next)
		if (d->ops->reset)
			d->ops->reset(d);
	bus_mask_a20(&m->bus, false);
}

void pc_loaded(struct machine *m)
{
	bool masked = m->bus.space[SPACE_CPU].a20_masked;

	for (struct device *d = m->devices; d; d = d->next)
		if (d->ops->loaded)
			d->ops->loaded(d);
	bus_mask_a20(&m->bus, !masked); /* whichever it is, processors have to hear of it */
	bus_mask_a20(&m->bus, masked);
}

void pc_sleep(struct machine *m)
{
	for (struct device *d = m->devices; d; d = d->next) {
		if (d->ops->sleep)
			d->ops->sleep(d);
		else if (d->ops->reset)
			d->ops->reset(d);
	}
	bus_mask_a20(&m->bus, false);
}

void pc_fini(struct machine *m)
{
	/* Last made, first destroyed: a device may still use the bridge or the wires of an earlier one. */
	while (m->devices) {
		struct device *d = m->devices;
		m->devices = d->next;
		d->ops->destroy(d);
	}
	tpm_close(m->tpm);
	door_close(m);
}
