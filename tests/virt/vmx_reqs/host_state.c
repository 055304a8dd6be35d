/* What VM exit forces in the registers' hidden parts, which no guest can read; VMX aborts. On a processor without a program. */
#include "../../proved.h"
#include "../../unit/bare.h"
#include "vmx/vmx.h"

#define CURRENT 0x10000ull

static unsigned passed, failed;

static void check(const char *what, u64 got, u64 want)
{
	passed += got == want;
	failed += got != want;
	if (got == want)
		proved_by(what);
	else
		printf("FAILED: %s: got %#llx, want %#llx\n", what, (unsigned long long)got, (unsigned long long)want);
}

/* A guest whose every hidden part differs from what the host must get. */
static void guest(struct pc *p, bool host64)
{
	struct cpu *c = p->c;
	struct vmx *v = vmx_of(c);
	static const u32 sel[] = {VMCS_HOST_ES_SEL, VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL, VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL};

	for (unsigned n = 0; n < SEG_COUNT; n++)
		c->seg[n] = (struct seg){.sel = 0x33, .ar = 0xf3, .limit = 0x1234, .base = 0x5678000};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE | CR4_VMXE;
	c->efer = EFER_NXE | EFER_SCE | (host64 ? 0 : EFER_LME | EFER_LMA);
	c->cpl = 3;
	c->virt_root = c->guest = true;
	c->activity = ACT_HLT;
	c->shadow = SHADOW_STI;
	c->pending_db = 1;
	c->stop = CPU_GO;
	memset(v->f, 0, sizeof(v->f));
	v->current = CURRENT;
	for (unsigned n = 0; n < 5; n++)
		vmcs_set(v, sel[n], 0x10);
	vmcs_set(v, VMCS_HOST_CS_SEL, 8);
	vmcs_set(v, VMCS_HOST_TR_SEL, 0x28);
	vmcs_set(v, VMCS_HOST_TR_BASE, 0x9000);
	vmcs_set(v, VMCS_HOST_FS_BASE, 0x7000);
	vmcs_set(v, VMCS_HOST_GS_BASE, 0x8000);
	vmcs_set(v, VMCS_HOST_CR0, CR0_PE | CR0_PG | CR0_NE);
	vmcs_set(v, VMCS_HOST_CR3, 0x2000);
	vmcs_set(v, VMCS_HOST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_set(v, VMCS_HOST_RIP, 0x1000);
	vmcs_set(v, VMCS_EXIT_CONTROLS, host64 ? 1u << 9 : 0);
	for (unsigned n = 0; n < 4; n++)
		bus_write_u64(&p->bus, 0x2000 + 8 * n, 0x3001);
	bus_write_u32(&p->bus, CURRENT + 4, 0);
}

static void segments(struct pc *p, bool host64)
{
	static const unsigned data[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	struct cpu *c = p->c;

	guest(p, host64);
	vmx_load_host(c);
	/* bits of an AR: type 3:0, S 4, DPL 6:5, P 7, L 13, D/B 14, G 15 */
	check(REQ("vmx04.3.3.4.2.11") "CS type", c->seg[SEG_CS].ar & 15, 11);
	check(REQ("vmx04.3.3.4.2.12") "CS S, DPL, P", c->seg[SEG_CS].ar >> 4 & 15, 9);
	check(REQ("vmx04.3.3.4.2.12") "CS G", c->seg[SEG_CS].ar >> 15 & 1, 1);
	check(REQ("vmx04.2.6.1.3 vmx04.2.6.1.4") "CS L", c->seg[SEG_CS].ar >> 13 & 1, host64);
	check(REQ("vmx04.3.3.4.3.2") "CS D", c->seg[SEG_CS].ar >> 14 & 1, !host64);
	check(REQ("vmx04.3.3.4.2.8") "CS base", c->seg[SEG_CS].base, 0);
	check(REQ("vmx04.3.3.4.2.9") "CS limit", c->seg[SEG_CS].limit, 0xffffffff);
	for (unsigned n = 0; n < 5; n++) {
		const struct seg *s = &c->seg[data[n]];

		check(REQ("vmx04.3.3.4.2.13") "data segment: type 3, S, DPL 0, P, D/B, G", s->ar, 0xc093);
		check(REQ("vmx04.3.3.4.2.9") "data segment: limit", s->limit, 0xffffffff);
		if (n < 3)
			check(REQ("vmx04.3.3.4.2.8") "base of SS, DS, ES", s->base, 0);
	}
	check("FS and GS base", c->seg[SEG_FS].base == 0x7000 && c->seg[SEG_GS].base == 0x8000, 1);
	check(REQ("vmx04.3.3.4.2.15") "TR: type 11, S 0, DPL 0, P, D/B 0, G 0", c->seg[SEG_TR].ar, 0x8b);
	check(REQ("vmx04.3.3.4.2.10") "TR limit", c->seg[SEG_TR].limit, 0x67);
	check(REQ("vmx04.3.3.4.2.7.now") "LDTR unusable", c->seg[SEG_LDTR].ar >> 16 & 1, 1);
	check("LDTR base canonical", c->seg[SEG_LDTR].base + (1ull << 47) < 1ull << 48, 1);
	check(REQ("vmx04.2.6.1.3 vmx04.2.6.1.4 vmx04.2.6.1.5") "EFER.LMA and LME", c->efer & 0x500, host64 ? 0x500 : 0);
	check("EFER, the rest", c->efer & ~0x500ull, 0x801);
	/* 64-bit code with LMA or 32-bit code without; not virtual-8086. */
	check(REQ("vmx04.3.3.4.3.4") "mode", (c->efer >> 10 & 1) == (c->seg[SEG_CS].ar >> 13 & 1) && !(c->rflags & (1 << 17)) && (c->cr0 & 1), 1);
	check(REQ("vmx04.3.3.4.2.18.now") "no blocking, nothing pending, active", c->shadow == 0 && c->pending_db == 0 && c->activity == ACT_RUN, 1);
	check("CPL", c->cpl, 0);
	check("in root operation", !c->guest && c->virt_root, 1);
}

/* Selectors of 0 leave the registers unusable. */
static void null_selectors(struct pc *p)
{
	static const u32 field[] = {VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL, VMCS_HOST_ES_SEL, VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL};
	static const unsigned seg[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

	for (unsigned n = 0; n < 5; n++) {
		guest(p, true);
		vmcs_set(vmx_of(p->c), field[n], 0);
		vmx_load_host(p->c);
		check(REQ("vmx04.3.3.4.2.14.now") "unusable", p->c->seg[seg[n]].ar >> 16 & 1, 1); /* accesses: state.c */
		check("DPL 0", p->c->seg[seg[n]].ar >> 5 & 3, 0);
	}
}

/* "VMX Aborts": the indicator in bytes 7:4 of the region, and the processor shuts down. */
static void aborts(struct pc *p)
{
	struct vmx *v = vmx_of(p->c);
	struct exit_request x = {.id = ICPT_CPUID};

	guest(p, false);
	bus_write_u64(&p->bus, 0x2008, 0x3003); /* bit 1 of a PDPTE is reserved */
	vmx_load_host(p->c);
	check(REQ("vmx04.3.3.4.1.8.now") "bad host PDPTE: abort 2", bus_read_u32(&p->bus, CURRENT + 4), 2);
	check("shut down", p->c->activity == ACT_RUN && p->c->stop == CPU_GO, 0);
	guest(p, false);
	vmx_load_host(p->c);
	check("good host PDPTEs: no abort", bus_read_u32(&p->bus, CURRENT + 4), 0);
	check(REQ("vmx04.3.3.4.1.8.now") "they are loaded", p->c->pdpte[2], 0x3001);
	guest(p, true);
	vmcs_set(v, VMCS_EXIT_MSR_LOAD_COUNT, 1);
	vmcs_set(v, VMCS_EXIT_MSR_LOAD_ADDR, 0x20000);
	bus_write_u64(&p->bus, 0x20000, 0xc0000100); /* IA32_FS_BASE may not be loaded */
	vmx_load_host(p->c);
	check(REQ("vmx04.2.6.2.16.now") "load fails: abort 4", bus_read_u32(&p->bus, CURRENT + 4), 4);
	check("shut down", p->c->activity == ACT_RUN && p->c->stop == CPU_GO, 0);
	guest(p, true);
	vmcs_set(v, VMCS_EXIT_MSR_LOAD_COUNT, 1);
	vmcs_set(v, VMCS_EXIT_MSR_LOAD_ADDR, 0x20000);
	bus_write_u64(&p->bus, 0x20000, 0xc0000080);
	bus_write_u64(&p->bus, 0x20008, 0); /* IA32_EFER.LME from 1 to 0 under paging */
	vmx_load_host(p->c);
	check(REQ("vmx04.2.6.2.15.now") "EFER.LME changes: abort 4", bus_read_u32(&p->bus, CURRENT + 4), 4); /* on entry: memory.c */
	guest(p, true);
	vmcs_set(v, VMCS_EXIT_MSR_STORE_COUNT, 1);
	vmcs_set(v, VMCS_EXIT_MSR_STORE_ADDR, 0x20000);
	bus_write_u64(&p->bus, 0x20000, 0x40000000); /* no MSR */
	vmx_exit(p->c, &x);
	check(REQ("vmx04.2.6.2.16.now") "store fails: abort 1", bus_read_u32(&p->bus, CURRENT + 4), 1);
	check("shut down", p->c->activity == ACT_RUN && p->c->stop == CPU_GO, 0);
	guest(p, false); /* an unrestricted guest has turned IA-32e mode on by itself */
	p->c->efer |= EFER_LME | EFER_LMA;
	vmx_exit(p->c, &x);
	check("from IA-32e mode to a 32-bit host: abort 6", bus_read_u32(&p->bus, CURRENT + 4), 6);
	check("shut down", p->c->activity == ACT_RUN && p->c->stop == CPU_GO, 0);
}

/* The two areas of VM exit, entry by entry: "Saving MSRs", "Loading MSRs". */
static void areas(struct pc *p)
{
	enum { AREA = 0x200000 };
	static const struct {
		u64 entry; /* index and reserved bits */
		bool stores, loads;
	} rows[] = {
	        {0x175, true, true},                 /* IA32_SYSENTER_ESP */
	        {0x40000000, false, false},          /* no MSR */
	        {0x800, false, false},               /* x2APIC */
	        {0x8ff, false, false},
	        {0x802, false, false},
	        {0xc0000100, true, false},           /* IA32_FS_BASE, IA32_GS_BASE: the host fields have them */
	        {0xc0000101, true, false},
	        {0xc0000102, true, true},            /* IA32_KERNEL_GS_BASE */
	        {1ull << 32 | 0x175, false, false},  /* reserved */
	        {1ull << 63 | 0x175, false, false},
	};
	struct exit_request x = {.id = ICPT_CPUID};

	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		for (unsigned at = 0; at < 2; at++) { /* as the first and as the second entry */
			guest(p, true);
			msr_write(p->c, 0x1b, 0xfee00d00); /* x2APIC mode: 802h can be read */
			p->c->sysenter_esp = 0x123456;
			bus_write_u64(&p->bus, AREA, 0xc0000102);
			bus_write_u64(&p->bus, AREA + 16 * at, rows[n].entry);
			bus_write_u64(&p->bus, AREA + 16 * at + 8, 0x77);
			vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_COUNT, at + 1);
			vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_ADDR, AREA);
			vmx_exit(p->c, &x);
			check("store area: abort 1 or none", bus_read_u32(&p->bus, CURRENT + 4), rows[n].stores ? 0 : 1);
			if (rows[n].entry == 0x175)
				check("store area: the value", bus_read_u64(&p->bus, AREA + 16 * at + 8), 0x123456);
			guest(p, true);
			bus_write_u64(&p->bus, AREA, 0xc0000102);
			bus_write_u64(&p->bus, AREA + 8, 0x1000);
			bus_write_u64(&p->bus, AREA + 16 * at, rows[n].entry);
			bus_write_u64(&p->bus, AREA + 16 * at + 8, 0x5000);
			vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_COUNT, at + 1);
			vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_ADDR, AREA);
			vmx_load_host(p->c);
			check("load area: abort 4 or none", bus_read_u32(&p->bus, CURRENT + 4), rows[n].loads ? 0 : 4);
			if (rows[n].entry == 0x175)
				check("load area: the value", p->c->sysenter_esp, 0x5000);
		}
	for (unsigned count = 512; count < 514; count++) { /* IA32_VMX_MISC[27:25] = 0 */
		for (unsigned n = 0; n < 514; n++)
			bus_write_u64(&p->bus, AREA + 16 * n, 0x175);
		guest(p, true);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_COUNT, count);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_STORE_ADDR, AREA);
		vmx_exit(p->c, &x);
		check(REQ("vmx04.2.6.2.18.now") "a store area that is too long", bus_read_u32(&p->bus, CURRENT + 4),
		      count > 512 ? 1 : 0);
		guest(p, true);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_COUNT, count);
		vmcs_set(vmx_of(p->c), VMCS_EXIT_MSR_LOAD_ADDR, AREA);
		vmx_load_host(p->c);
		check(REQ("vmx04.2.6.2.18.now") "a load area that is too long", bus_read_u32(&p->bus, CURRENT + 4),
		      count > 512 ? 4 : 0);
	}
}

/* The last exits are kept for the evidence of a death. */
static void records(struct pc *p)
{
	static const struct insn_row row = {.form = "CPUID"};
	static const struct insn cpuid = {.len = 2, .row = &row};
	struct exit_request x = {.id = ICPT_CPUID, .insn = &cpuid};
	const struct exit_record *e;

	guest(p, true);
	p->c->r[REG_RIP] = 0x5678;
	vmx_exit(p->c, &x);
	e = &p->c->lastexit[(p->c->lastexit_n - 1) % ARRAY_LEN(p->c->lastexit)];
	check("exit record: reason", e->code, 10);
	check("exit record: name", e->name && strstr(e->name, "CPUID") != NULL, 1);
	check("exit record: qualification", e->info[0], 0);
	check("exit record: nothing else", e->info[1], 0);
	check("exit record: VMCS", e->guest, CURRENT);
	check("exit record: RIP", e->rip, 0x5678);
}

/* The processor of 2004: "State Forced to Specific Values", "State Loaded from the Host-State Area". */
static void first(void)
{
	static const u32 field[] = {VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL, VMCS_HOST_ES_SEL, VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL};
	static const unsigned seg[] = {SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	struct pc p;
	struct cpu *c;

	if (!bare_init(&p, "vanderpool")) {
		check("a processor of 2004", 0, 1);
		return;
	}
	c = p.c;
	for (unsigned n = 0; n < 10; n++) { /* with null selectors, too, but for SS, which a 32-bit host may not have so */
		bool host64 = n < 5;

		guest(&p, host64);
		if (host64 || seg[n - 5] != SEG_SS)
			vmcs_set(vmx_of(c), field[n % 5], 0);
		vmx_load_host(c);
		for (unsigned k = 0; k < 5; k++)
			check(REQ("vmx04.3.3.4.2.14 vmx04.3.3.4.2.17") "data segment: AVL 0, present", c->seg[seg[k]].ar, 0xc093);
		check(REQ("vmx04.3.3.4.2.17") "CS: AVL 0", c->seg[SEG_CS].ar, host64 ? 0xa09b : 0xc09b);
		check(REQ("vmx04.3.3.4.2.17") "TR: AVL 0", c->seg[SEG_TR].ar, 0x8b);
		check(REQ("vmx04.3.3.4.2.7") "LDTR: unusable", c->seg[SEG_LDTR].ar >> 16 & 1, 1);
		check(REQ("vmx04.3.3.4.2.18") "no blocking by STI or MOV SS", c->shadow, 0);
		check(REQ("vmx04.3.3.4.2.3 vmx04.3.3.4.2.5") "GDTR limit", c->gdtr.limit, 0xfffff);
		check(REQ("vmx04.3.3.4.2.4 vmx04.3.3.4.2.5") "IDTR limit", c->idtr.limit, 0xfffff);
	}
	guest(&p, false);
	bus_write_u64(&p.bus, 0x2008, 0x3003);
	vmx_load_host(c);
	check(REQ("vmx04.3.3.4.1.8") "bad host PDPTE: abort 2", bus_read_u32(&p.bus, CURRENT + 4), 2);
	check("shut down", c->activity == ACT_RUN && c->stop == CPU_GO, 0);
	guest(&p, false);
	vmx_load_host(c);
	check(REQ("vmx04.3.3.4.1.8") "good host PDPTEs are loaded", c->pdpte[2], 0x3001);
	bare_fini(&p);
}

int main(void)
{
	struct pc p;

	if (!bare_init(&p, "intel,+vmx"))
		return 1;
	segments(&p, true);
	segments(&p, false);
	null_selectors(&p);
	aborts(&p);
	areas(&p);
	records(&p);
	bare_fini(&p);
	first();
	proved_report(passed + failed, 0);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
