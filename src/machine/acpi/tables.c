/* Table layouts: "ACPI Software Programming Model" of the ACPI specification, revision 6. */
#include "machine/acpi/acpi.h"

#include "machine/acpi/loader.h"

#include "dsdt_aml.h"
#include "tpm_aml.h"

enum { RSDP_SIZE = 36, RSDP_ROOM = 0x40 };

/* All tables, one behind the other, at `base`; who offers them to firmware counts from 0 and says where addresses are. */
struct tables {
	struct machine *m;
	struct acpi_loader *loader; /* NULL: they go where base says */
	u64 base;
	u8 data[MACHINE_ACPI_END - MACHINE_ACPI_BASE];
	u32 next;
	u64 xsdt[8];
	unsigned count;
	bool full;
};

/* One table under construction, and which of its fields are addresses of others. */
struct table {
	u8 data[4096];
	u32 len;
	struct {
		u32 at;
		u8 size;
	} address[16];
	unsigned addresses;
};

static void byte(struct table *t, u64 v)
{
	if (t->len < sizeof(t->data))
		t->data[t->len++] = (u8)v;
}

static void word(struct table *t, u64 v)
{
	byte(t, v);
	byte(t, v >> 8);
}

static void dword(struct table *t, u64 v)
{
	word(t, v);
	word(t, v >> 16);
}

static void qword(struct table *t, u64 v)
{
	dword(t, v);
	dword(t, v >> 32);
}

static void address(struct table *t, u64 v, u8 size)
{
	if (t->addresses < ARRAY_LEN(t->address)) {
		t->address[t->addresses].at = t->len;
		t->address[t->addresses++].size = size;
	}
	dword(t, v);
	if (size == 8)
		dword(t, v >> 32);
}

static void text(struct table *t, const char *s, unsigned width)
{
	size_t n = strlen(s);

	for (unsigned i = 0; i < width; i++)
		byte(t, i < n ? (u8)s[i] : 0);
}

static u8 checksum(const u8 *p, u64 n)
{
	u8 sum = 0;

	while (n--)
		sum = (u8)(sum + *p++);
	return (u8)(0 - sum);
}

/* "System Description Table Header" */
static void begin(struct table *t, const char *signature, u8 revision)
{
	t->len = t->addresses = 0;
	text(t, signature, 4);
	dword(t, 0); /* length */
	byte(t, revision);
	byte(t, 0); /* checksum */
	text(t, "TURNST", 6);
	text(t, "TURNSTIL", 8);
	dword(t, 1);
	text(t, "TURN", 4);
	dword(t, 1);
}

static u64 place(struct tables *ts, const void *data, u64 size, u64 align)
{
	u64 at = (ts->next + align - 1) & ~(align - 1);

	if (at + size > sizeof(ts->data)) {
		ts->full = true;
		return 0;
	}
	memcpy(ts->data + at, data, size);
	ts->next = (u32)(at + size);
	return ts->base + at;
}

static u64 finish(struct tables *ts, struct table *t)
{
	enum { CHECKSUM = 9 };

	t->data[4] = (u8)t->len;
	t->data[5] = (u8)(t->len >> 8);
	if (!ts->loader)
		t->data[CHECKSUM] = checksum(t->data, t->len);
	u64 at = place(ts, t->data, t->len, 16);
	for (unsigned n = 0; ts->loader && n < t->addresses; n++)
		loader_pointer(ts->loader, LOADER_TABLES, (u32)at + t->address[n].at, t->address[n].size);
	if (ts->loader)
		loader_checksum(ts->loader, LOADER_TABLES, (u32)at + CHECKSUM, (u32)at, t->len);
	return at;
}

static void listed(struct tables *ts, u64 at)
{
	if (ts->count < ARRAY_LEN(ts->xsdt))
		ts->xsdt[ts->count++] = at;
}

/* "Generic Address Structure": system I/O. */
static void gas_io(struct table *t, u16 port, u8 width)
{
	byte(t, port ? 1 : 0);
	byte(t, port ? width : 0);
	byte(t, 0);
	byte(t, !port ? 0 : width >= 32 ? 3 : width == 16 ? 2 : 1);
	qword(t, port);
}

/* The FADT's first half: 32-bit addresses and lengths of the register blocks. */
static void fadt_legacy_blocks(struct table *t)
{
	const u16 pm = MACHINE_PMBASE;

	dword(t, pm);
	dword(t, 0);
	dword(t, pm + 4u);
	dword(t, 0);
	dword(t, 0); /* PM2_CNT */
	dword(t, pm + 8u);
	dword(t, pm + 0x20u);
	dword(t, 0);
	byte(t, 4); /* lengths: PM1_EVT, PM1_CNT, PM2_CNT, PM_TMR, GPE0, GPE1; GPE1_BASE; CST_CNT */
	byte(t, 2);
	byte(t, 0);
	byte(t, 4);
	byte(t, 16);
	byte(t, 0);
	byte(t, 0);
	byte(t, 0);
}

/* The same blocks as the extended fields have them. */
static void fadt_extended_blocks(struct table *t)
{
	const u16 pm = MACHINE_PMBASE;

	gas_io(t, pm, 32);
	gas_io(t, 0, 0);
	gas_io(t, pm + 4, 16);
	gas_io(t, 0, 0);
	gas_io(t, 0, 0);
	gas_io(t, pm + 8, 32);
	gas_io(t, pm + 0x20, 128);
	gas_io(t, 0, 0);
	gas_io(t, 0, 0); /* sleep control, sleep status */
	gas_io(t, 0, 0);
}

/* "Fixed ACPI Description Table (FADT)". SMI_CMD is 0: the machine is in ACPI mode from the start, with firmware as well. */
static void build_fadt(struct tables *ts, struct table *t, u64 facs, u64 dsdt)
{
	enum { LEGACY_DEVICES = 1, HAS_8042 = 2, NO_VGA = 4 };
	enum {
		WBINVD = 1 << 0,
		PROC_C1 = 1 << 2,
		SLP_BUTTON = 1 << 5,
		TMR_VAL_EXT = 1 << 8,
		RESET_REG_SUP = 1 << 10,
		USE_PLATFORM_CLOCK = 1 << 15,
	};

	begin(t, "FACP", 6);
	address(t, facs, 4);
	address(t, dsdt, 4);
	byte(t, 0);
	byte(t, 1);  /* preferred profile: desktop */
	word(t, 9);  /* SCI_INT */
	dword(t, 0); /* SMI_CMD, and ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
	dword(t, 0);
	fadt_legacy_blocks(t);
	word(t, 0xfff); /* no C2, no C3 */
	word(t, 0xfff);
	dword(t, 0);   /* flush size and stride */
	word(t, 0);    /* duty cycle */
	word(t, 0);    /* RTC day and month alarm: none */
	byte(t, 0x32); /* RTC century */
	word(t, LEGACY_DEVICES | HAS_8042 | NO_VGA);
	byte(t, 0);
	dword(t, WBINVD | PROC_C1 | SLP_BUTTON | TMR_VAL_EXT | RESET_REG_SUP | USE_PLATFORM_CLOCK);
	gas_io(t, 0xcf9, 8);
	byte(t, 0x0f); /* full reset */
	word(t, 0);
	byte(t, 3);  /* minor version: 6.3 */
	qword(t, 0); /* X_FIRMWARE_CTRL: the 32-bit field serves */
	address(t, dsdt, 8);
	fadt_extended_blocks(t);
	qword(t, 0); /* hypervisor vendor */
	listed(ts, finish(ts, t));
}

/* "Multiple APIC Description Table (MADT)" */
static void build_madt(struct tables *ts, struct table *t)
{
	enum { LOCAL_APIC = 0, IO_APIC = 1, OVERRIDE = 2, LOCAL_NMI = 4 };

	begin(t, "APIC", 5);
	dword(t, MACHINE_LAPIC);
	dword(t, 1); /* PCAT_COMPAT: a pair of 8259s is there */
	for (unsigned i = 0; i < ts->m->count; i++) {
		byte(t, LOCAL_APIC);
		byte(t, 8);
		byte(t, i);
		byte(t, ts->m->cpus[i]->apic.id);
		dword(t, 1);
	}
	byte(t, IO_APIC);
	byte(t, 12);
	byte(t, 0);
	byte(t, 0);
	dword(t, MACHINE_IOAPIC);
	dword(t, 0);
	const struct {
		u8 irq;
		u8 gsi;
		u16 flags;
	} override[] = {
	        {0, 2, 0},    /* the PIT; as the bus has it */
	        {9, 9, 0x0d}, /* SCI: level, active high */
	};
	for (size_t i = 0; i < ARRAY_LEN(override); i++) {
		byte(t, OVERRIDE);
		byte(t, 10);
		byte(t, 0);
		byte(t, override[i].irq);
		dword(t, override[i].gsi);
		word(t, override[i].flags);
	}
	byte(t, LOCAL_NMI);
	byte(t, 6);
	byte(t, 0xff); /* every processor: LINT1 */
	word(t, 0);
	byte(t, 1);
	listed(ts, finish(ts, t));
}

/* "IA-PC HPET Description Table"; the block id is what the device's capability register says. */
static void build_hpet(struct tables *ts, struct table *t)
{
	begin(t, "HPET", 1);
	dword(t, bus_mmio_read(&ts->m->bus, MACHINE_HPET, 4));
	byte(t, 0); /* system memory */
	byte(t, 64);
	byte(t, 0);
	byte(t, 0);
	qword(t, MACHINE_HPET);
	byte(t, 0);
	word(t, 0x80); /* main counter minimum in periodic mode */
	byte(t, 0);
	listed(ts, finish(ts, t));
}

/* "MCFG Table Description" of the PCI firmware specification. */
static void build_mcfg(struct tables *ts, struct table *t)
{
	begin(t, "MCFG", 1);
	qword(t, 0);
	qword(t, MACHINE_ECAM);
	word(t, 0);
	byte(t, 0);
	byte(t, 0xff);
	dword(t, 0);
	listed(ts, finish(ts, t));
}

/* "TPM2 Table" of the TCG ACPI specification: the FIFO interface, without a control area, and firmware's log. The device
 * itself is in a table of its own. */
static void build_tpm(struct tables *ts, struct table *t)
{
	enum { CLIENT = 0, TIS = 6, PARAMETERS = 12 };

	begin(t, "TPM2", 4);
	word(t, CLIENT);
	word(t, 0);
	qword(t, 0);
	dword(t, TIS);
	text(t, "", PARAMETERS);
	dword(t, ts->loader ? 0 : MACHINE_TPM_LOG_SIZE); /* firmware has a log of its own */
	qword(t, ts->loader ? 0 : MACHINE_TPM_LOG);
	listed(ts, finish(ts, t));
	listed(ts, place(ts, tpm_aml, sizeof(tpm_aml), 16));
}

/* Scope (\_SB) { Device (C00n) { _HID "ACPI0007", _UID n } ... }: "AML Byte Stream Byte Values". */
static void build_ssdt(struct tables *ts, struct table *t)
{
	enum { SCOPE_OP = 0x10, NAME_OP = 0x08, STRING = 0x0d, BYTE = 0x0a, DEVICE_LEN = 27 };
	static const char hex[] = "0123456789ABCDEF";
	unsigned n = ts->m->count;
	u32 scope_len = 2 + 5 + n * (2 + DEVICE_LEN);

	begin(t, "SSDT", 2);
	byte(t, SCOPE_OP);
	byte(t, 0x40 | (scope_len & 0xf)); /* two-byte package length, which counts itself */
	byte(t, scope_len >> 4);
	text(t, "\\_SB_", 5);
	for (unsigned i = 0; i < n; i++) {
		byte(t, 0x5b);
		byte(t, 0x82); /* DeviceOp */
		byte(t, DEVICE_LEN);
		text(t, "C0", 2);
		byte(t, (u8)hex[i >> 4]);
		byte(t, (u8)hex[i & 15]);
		byte(t, NAME_OP);
		text(t, "_HID", 4);
		byte(t, STRING);
		text(t, "ACPI0007", 9);
		byte(t, NAME_OP);
		text(t, "_UID", 4);
		byte(t, BYTE);
		byte(t, i);
	}
	listed(ts, finish(ts, t));
}

static u64 build_facs(struct tables *ts)
{
	u8 facs[64] = {'F', 'A', 'C', 'S', 64};

	facs[20] = 2; /* 64BIT_WAKE_SUPPORTED_F */
	facs[32] = 2; /* version */
	ts->m->facs = place(ts, facs, sizeof(facs), 64);
	return ts->m->facs;
}

/* RSDT and XSDT list the same tables; the RSDP names both. */
static void build_roots(struct tables *ts, struct table *t)
{
	begin(t, "RSDT", 1);
	for (unsigned i = 0; i < ts->count; i++)
		address(t, ts->xsdt[i], 4);
	u64 rsdt = finish(ts, t);
	begin(t, "XSDT", 1);
	for (unsigned i = 0; i < ts->count; i++)
		address(t, ts->xsdt[i], 8);
	u64 xsdt = finish(ts, t);
	t->len = t->addresses = 0;
	text(t, "RSD PTR ", 8);
	byte(t, 0);
	text(t, "TURNST", 6);
	byte(t, 2);
	dword(t, rsdt);
	dword(t, RSDP_SIZE);
	qword(t, xsdt);
	dword(t, 0);
}

static void build_all(struct tables *ts, struct table *t)
{
	u64 dsdt = place(ts, dsdt_aml, sizeof(dsdt_aml), 16), facs = build_facs(ts);

	build_fadt(ts, t, facs, dsdt);
	build_madt(ts, t);
	build_hpet(ts, t);
	build_mcfg(ts, t);
	build_ssdt(ts, t);
	if (ts->m->tis)
		build_tpm(ts, t);
	build_roots(ts, t);
}

/* The RSDP, which lies in `t`, in front of the other tables. */
static void write_tables(const struct tables *ts, struct table *t)
{
	struct bus *bus = &ts->m->bus;

	t->data[8] = checksum(t->data, 20);
	t->data[32] = checksum(t->data, RSDP_SIZE);
	bus_write(bus, MACHINE_ACPI_BASE, t->data, RSDP_SIZE);
	bus_write(bus, ts->base + RSDP_ROOM, ts->data + RSDP_ROOM, ts->next - RSDP_ROOM);
	ts->m->rsdp = MACHINE_ACPI_BASE;
}

static void offer_tables(const struct tables *ts, const struct table *t)
{
	enum { RSDT = 16, XSDT = 24 };

	loader_pointer(ts->loader, LOADER_RSDP, RSDT, 4);
	loader_pointer(ts->loader, LOADER_RSDP, XSDT, 8);
	loader_checksum(ts->loader, LOADER_RSDP, 8, 0, 20);
	loader_checksum(ts->loader, LOADER_RSDP, 32, 0, RSDP_SIZE);
	loader_offer(ts->loader, ts->m->fwcfg, ts->data, ts->next, t->data, RSDP_SIZE);
}

static enum status build(struct machine *m, struct acpi_loader *loader, struct err *err)
{
	struct tables *ts = base_alloc(sizeof(*ts));
	struct table *t = base_alloc(sizeof(*t));
	bool full = false;

	if (ts && t) {
		*ts = (struct tables){.m = m, .loader = loader, .next = RSDP_ROOM, .base = loader ? 0 : MACHINE_ACPI_BASE};
		build_all(ts, t);
		full = ts->full;
		if (!full && loader)
			offer_tables(ts, t);
		else if (!full)
			write_tables(ts, t);
	}
	bool ok = ts && t && (!loader || !loader->failed);
	base_free(ts);
	base_free(t);
	if (full)
		return err_set(err, ST_FAULT, "the ACPI tables do not fit into their 16 KiB");
	return ok ? ST_OK : err_set(err, ST_NOMEM, "out of memory");
}

enum status acpi_build(struct machine *m, struct err *err)
{
	return build(m, NULL, err);
}

enum status acpi_offer(struct machine *m, struct err *err)
{
	struct acpi_loader *l = loader_new();
	enum status s = l ? build(m, l, err) : err_set(err, ST_NOMEM, "out of memory");

	loader_free(l);
	return s;
}
