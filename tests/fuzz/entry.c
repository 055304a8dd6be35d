/*
 * VM entry with control blocks that are nearly right: a VMCB or a VMCS that works, a few of its fields spoiled, entered
 * again and again with a guest of random code. Whatever comes of it, the processor is in a possible state, and when the
 * host runs it is the host that was left.
 */
#include "fuzz.h"

#include "cpu/decode/decode.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

enum { ENTRIES = 60 };
#define HOST_CODE  0x100000ull
#define HOST_BACK  0x100800ull /* where a VMX exit lands */
#define GUEST_CODE 0x200000ull
#define GUEST_SIZE 0x1000ull
#define BLOCK_PA   0x30000ull /* VMCB or VMCS */
#define HSAVE_PA   0x32000ull
#define BITMAPS    0x34000ull /* 16 KiB */
#define TABLES2    0x40000ull /* second stage: four pages */
#define SMALL_PAGES 0x3000ull /* where the model has no pages of 1 GiB: a directory of the host */

static u64 spoiled(struct rng *r, u64 old)
{
	switch (rng_below(r, 4)) {
	case 0: return old ^ BIT(rng_below(r, 64));
	case 1: return old + rng_below(r, 0x2001) - 0x1000;
	case 2: return old ^ BIT(rng_below(r, 16)) ^ BIT(rng_below(r, 16));
	default: return rng_odd(r);
	}
}

/* Second stage: the first 16 MiB one to one in 2 MiB pages, some of them odd; EPT and NPT entries differ in `low`. */
static void second_stage(struct rng *r, struct bus *b, u64 table_bits, u64 page_bits)
{
	bus_write_u64(b, TABLES2, (TABLES2 + 0x1000) | table_bits);
	bus_write_u64(b, TABLES2 + 0x1000, (TABLES2 + 0x2000) | table_bits);
	for (u64 n = 0; n < 8; n++) {
		u64 e = n << 21 | page_bits;

		bus_write_u64(b, TABLES2 + 0x2000 + 8 * n, rng_one_in(r, 16) ? spoiled(r, e) : e);
	}
}

/* Code that gets somewhere: instructions that leave, touch state or memory, and noise. */
static void guest_code(struct rng *r, struct bus *b)
{
	static const char *const words[] = {
	        "\x0f\xa2",         "\xf4",         "\x0f\x01\xd9", "\x0f\x01\xc1", "\x0f\x20\xc0", "\x0f\x22\xc0",
	        "\x0f\x22\xd8",     "\x0f\x22\xe0", "\x0f\x32",     "\x0f\x30",     "\xe4\x60",     "\xe6\x80",
	        "\xcd\x80",         "\xcc",         "\x0f\x0b",     "\x9c\x9d",     "\xfa",         "\xfb",
	        "\x0f\x31",         "\xf3\x90",     "\x48\x89\x07", "\x48\x8b\x06", "\x0f\x01\xd8", "\x0f\x01\xc2",
	        "\x0f\x78\xd8",     "\x0f\x79\xd8", "\x0f\x21\xf8", "\x0f\x23\xf8", "\x0f\x06",     "\x0f\x01\x3f",
	        "\x0f\x44\xc1\xff", "\xcf",         "\x0f\x01\xdc", "\x0f\x01\xdd", "\x0f\x01\xda", "\x0f\x01\xdb",
	        "\x0f\x09",         "\x0f\x01\xf9", "\x0f\x33",     "\x0f\x01\xd1", "\xc3",         "\x0f\x00\xd8",
	};
	u8 code_bytes[GUEST_SIZE];
	size_t n = 0;

	while (n < sizeof(code_bytes) - 16) {
		const char *w = RNG_PICK(r, words);

		if (rng_one_in(r, 3)) {
			code_bytes[n++] = (u8)rng_next(r);
			continue;
		}
		memcpy(code_bytes + n, w, strlen(w));
		n += strlen(w);
	}
	memset(code_bytes + n, 0x90, sizeof(code_bytes) - n);
	bus_write(b, GUEST_CODE, code_bytes, sizeof(code_bytes));
}

static void host_registers(struct rng *r, struct cpu *c)
{
	for (unsigned n = 0; n < 16; n++)
		c->r[n] = rng_one_in(r, 4) ? rng_odd(r) : 0x300000 + rng_below(r, 0x100000);
	c->r[REG_RCX] = rng_one_in(r, 2) ? 0xc0000080 : rng_odd(r);
	c->r[REG_RSP] = 0x80000;
	c->r[REG_RIP] = HOST_CODE;
	c->gdtr.base = c->idtr.base = 0x60000;
	c->gdtr.limit = c->idtr.limit = 0xfff;
	c->seg[SEG_TR] = (struct seg){.sel = 0x18, .base = 0x61000, .limit = 0x67, .ar = AR_P | SYS_TSS32_BUSY};
	c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
	c->activity = ACT_RUN;
	c->stop = CPU_GO;
	c->gif = true;
	c->pend = 0;
	c->pending_db = 0;
	c->shadow = 0;
	c->dr6 = DR6_RESET;
	c->dr7 = DR7_RESET;
	c->inject.type = EV_NONE;
}

/* ---- SVM ---- */

static void good_vmcb(struct vmcb_page *v)
{
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 3;
	v->control.icpt[3] = 1u << 24 | 1u << 31 | 1u << 18;
	v->control.asid = 1;
	v->control.iopm_base_pa = BITMAPS;
	v->control.msrpm_base_pa = BITMAPS;
	v->control.nested_ctl = NESTED_NP_ENABLE;
	v->control.n_cr3 = TABLES2;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE;
	v->save.cr3 = 0x1000;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.gdtr = v->save.idtr = (struct vmcb_seg){.limit = 0xfff, .base = 0x60000};
	v->save.dr6 = DR6_RESET;
	v->save.dr7 = DR7_RESET;
	v->save.rflags = FL_1;
	v->save.rip = GUEST_CODE;
	v->save.rsp = 0x90000;
	v->save.g_pat = 0x0007040600070406;
}

/* Other guests than the 64-bit one: real mode, protected mode with and without paging, virtual-8086 mode. */
static void vary_vmcb(struct rng *r, struct vmcb_page *v)
{
	unsigned k = (unsigned)rng_below(r, 6);

	if (k >= 3)
		return;
	v->save.efer = EFER_SVME;
	v->save.cr4 = 0;
	v->save.cr0 = k == 0 ? CR0_ET : CR0_PE | CR0_ET;
	v->save.cs.attrib = 0xc9b;
	v->save.cs.base = k == 0 || k == 2 ? GUEST_CODE : 0;
	v->save.rip = k == 0 || k == 2 ? 0 : GUEST_CODE;
	if (k == 2)
		v->save.rflags |= FL_VM, v->save.cpl = 3;
}

static void spoil_vmcb(struct rng *r, struct vmcb_page *v)
{
	if (rng_one_in(r, 3))
		v->control.nested_ctl = 0;
	if (rng_one_in(r, 3))
		v->control.eventinj = rng_below(r, 40) | rng_below(r, 5) << 8 | rng_below(r, 2) << 11 | INTINFO_V;
	for (u64 n = rng_below(r, 5); n; n--) {
		const struct vmcb_field *f = &vmcb_fields[rng_below(r, vmcb_field_count)];
		u64 x = 0;

		memcpy(&x, (u8 *)v + f->offset, f->width);
		x = spoiled(r, x);
		memcpy((u8 *)v + f->offset, &x, f->width);
	}
	if (rng_one_in(r, 8))
		((u8 *)v)[rng_below(r, sizeof(*v))] = (u8)rng_next(r);
}

static void prepare_svm(struct rng *r, struct machine *m, struct vmcb_page *v)
{
	struct cpu *c = m->cpus[0];

	c->efer |= EFER_SVME;
	c->virt_root = true;
	c->vm_hsave_pa = HSAVE_PA;
	c->r[REG_RAX] = rng_one_in(r, 40) ? rng_odd(r) : BLOCK_PA;
	bus_write(&m->bus, HOST_CODE, "\x0f\x01\xd8\x0f\x01\xdc\xf4", 7); /* VMRUN; STGI; HLT */
	second_stage(r, &m->bus, 0x27, 0xe7);
	if (rng_one_in(r, 4)) {
		good_vmcb(v);
		vary_vmcb(r, v);
	}
	spoil_vmcb(r, v);
	bus_write(&m->bus, BLOCK_PA, v, sizeof(*v));
}

/* ---- VMX ---- */

static void set_segment(struct vmx *v, unsigned s, u32 ar, u64 sel)
{
	vmcs_set(v, VMCS_GUEST_ES_SEL + 2 * s, sel);
	vmcs_set(v, VMCS_GUEST_ES_AR + 2 * s, ar);
	vmcs_set(v, VMCS_GUEST_ES_LIMIT + 2 * s, ar & AR_G ? ~0u : 0xffff);
	vmcs_set(v, VMCS_GUEST_ES_BASE + 2 * s, 0);
}

static void good_guest(struct vmx *v)
{
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		set_segment(v, s, s == SEG_CS ? 0xa09b : 0xc093, s == SEG_CS ? 8 : 0x10);
	set_segment(v, SEG_LDTR, AR_UNUSABLE, 0);
	set_segment(v, SEG_TR, 0x8b, 0x18);
	vmcs_set(v, VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_NE | CR0_ET);
	vmcs_set(v, VMCS_GUEST_CR3, 0x1000);
	vmcs_set(v, VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_set(v, VMCS_GUEST_DR7, DR7_RESET);
	vmcs_set(v, VMCS_GUEST_RFLAGS, FL_1);
	vmcs_set(v, VMCS_GUEST_RIP, GUEST_CODE);
	vmcs_set(v, VMCS_GUEST_RSP, 0x90000);
	vmcs_set(v, VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	vmcs_set(v, VMCS_GUEST_PAT, 0x0007040600070406);
	vmcs_set(v, VMCS_GUEST_GDTR_BASE, 0x60000);
	vmcs_set(v, VMCS_GUEST_GDTR_LIMIT, 0xfff);
	vmcs_set(v, VMCS_GUEST_IDTR_BASE, 0x60000);
	vmcs_set(v, VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmcs_set(v, VMCS_LINK_POINTER, ~0ull);
}

static void good_host(struct vmx *v)
{
	static const u32 selectors[] = {VMCS_HOST_ES_SEL, VMCS_HOST_SS_SEL, VMCS_HOST_DS_SEL, VMCS_HOST_FS_SEL,
	                                VMCS_HOST_GS_SEL};

	for (size_t n = 0; n < ARRAY_LEN(selectors); n++)
		vmcs_set(v, selectors[n], 0x10);
	vmcs_set(v, VMCS_HOST_CS_SEL, 8);
	vmcs_set(v, VMCS_HOST_TR_SEL, 0x18);
	vmcs_set(v, VMCS_HOST_CR0, CR0_PE | CR0_PG | CR0_NE | CR0_ET);
	vmcs_set(v, VMCS_HOST_CR3, 0x1000);
	vmcs_set(v, VMCS_HOST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_set(v, VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	vmcs_set(v, VMCS_HOST_PAT, 0x0007040600070406);
	vmcs_set(v, VMCS_HOST_RIP, HOST_BACK);
	vmcs_set(v, VMCS_HOST_RSP, 0x80000);
	vmcs_set(v, VMCS_HOST_GDTR_BASE, 0x60000);
	vmcs_set(v, VMCS_HOST_IDTR_BASE, 0x60000);
}

static void good_vmcs(struct rng *r, struct vmx *v)
{
	memset(v->f, 0, sizeof(v->f));
	good_guest(v);
	good_host(v);
	vmcs_set(v, VMCS_PIN_CONTROLS, 0x16 | PIN_EXT_INT);
	vmcs_set(v, VMCS_PROC_CONTROLS, 0x0401e172 | PROC_HLT | PROC_SECONDARY);
	vmcs_set(v, VMCS_PROC2_CONTROLS, PROC2_EPT | PROC2_UNRESTRICTED | (rng_one_in(r, 2) ? PROC2_VPID : 0));
	vmcs_set(v, VMCS_VPID, 1);
	vmcs_set(v, VMCS_EPTP, TABLES2 | 0x1e | (rng_one_in(r, 2) ? BIT(6) : 0));
	vmcs_set(v, VMCS_EXIT_CONTROLS, 0x36dff | EXIT_HOST64 | EXIT_LOAD_EFER);
	vmcs_set(v, VMCS_ENTRY_CONTROLS, 0x11ff | ENTRY_GUEST64 | ENTRY_LOAD_EFER);
	vmcs_set(v, VMCS_IO_BITMAP_A, BITMAPS);
	vmcs_set(v, VMCS_IO_BITMAP_B, BITMAPS + 0x1000);
	vmcs_set(v, VMCS_MSR_BITMAP, BITMAPS + 0x2000);
	if (!rng_one_in(r, 4))
		return;
	/* unrestricted guest: real mode */
	vmcs_set(v, VMCS_ENTRY_CONTROLS, 0x11ff | ENTRY_LOAD_EFER);
	vmcs_set(v, VMCS_GUEST_EFER, 0);
	vmcs_set(v, VMCS_GUEST_CR0, CR0_NE | CR0_ET);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		set_segment(v, s, s == SEG_CS ? 0x9b : 0x93, s == SEG_CS ? 0x1000 : 0);
	vmcs_set(v, VMCS_GUEST_CS_BASE, GUEST_CODE);
	vmcs_set(v, VMCS_GUEST_RIP, 0);
}

/* A processor without these controls. */
static void within_caps(struct vmx *v)
{
	static const struct { u8 word; u16 field; } words[] = {
	        {VMX_PIN, VMCS_PIN_CONTROLS}, {VMX_PROC, VMCS_PROC_CONTROLS}, {VMX_EXIT, VMCS_EXIT_CONTROLS}, {VMX_ENTRY, VMCS_ENTRY_CONTROLS},
	};

	for (unsigned n = 0; n < ARRAY_LEN(words); n++)
		vmcs_set(v, words[n].field,
		         (vmcs_get(v, words[n].field) & v->caps.allowed1[words[n].word]) | v->caps.required1[words[n].word]);
}

static void spoil_vmcs(struct rng *r, struct vmx *v)
{
	if (rng_one_in(r, 3))
		vmcs_set(v, VMCS_ENTRY_INTR_INFO,
		         rng_below(r, 40) | rng_below(r, 8) << 8 | rng_below(r, 2) << 11 | BIT(31));
	for (u64 n = rng_below(r, 5); n; n--) {
		const struct vmcs_field *f = &vmcs_fields[rng_below(r, vmcs_field_count)];

		static const u8 width[] = {16, 64, 32, 64};
		u64 x = spoiled(r, vmcs_get(v, f->encoding));

		vmcs_set(v, f->encoding, x & (~0ull >> (64 - width[f->encoding >> 13 & 3])));
	}
}

static void prepare_vmx(struct rng *r, struct machine *m, struct vmx *v)
{
	struct cpu *c = m->cpus[0];

	c->cr4 |= CR4_VMXE;
	c->virt_root = true;
	v->vmxon_pa = HSAVE_PA;
	v->current = BLOCK_PA;
	v->launched = rng_one_in(r, 2);
	bus_write_u32(&m->bus, BLOCK_PA, VMX_REVISION);
	bus_write(&m->bus, HOST_CODE, v->launched ? "\x0f\x01\xc3\xf4" : "\x0f\x01\xc2\xf4",
	          4);                                         /* VMRESUME, VMLAUNCH */
	bus_write(&m->bus, HOST_BACK, "\x0f\x78\xd8\xf4", 4); /* VMREAD; HLT */
	second_stage(r, &m->bus, 7, 0xb7);
	if (rng_one_in(r, 4))
		good_vmcs(r, v);
	if (v->caps.first)
		within_caps(v);
	spoil_vmcs(r, v);
	v->checked = 0; /* fields changed behind its back */
}

/* ---- one case ---- */

static void run_entry(struct machine *m, bool amd)
{
	struct cpu *c = m->cpus[0];
	u64 exits = c->exits;
	struct err err;

	m->cfg.max_time_ns = m->clock.now + 20000;
	enum machine_stop why = machine_run(m, 60, &err);
	if (why == MSTOP_INTERNAL || why == MSTOP_NONE)
		fuzz_fail("machine_run: %d", (int)why);
	fuzz_check_cpu(c);
	fuzz_count(c->guest ? "still in the guest" : c->exits > exits ? "left the guest, or refused" : "never entered");
	if (c->guest || c->exits == exits)
		return;
	if (amd && (c->cr3 != 0x1000 || c->cpl || !(c->efer & EFER_LMA) || c->cr4 != CR4_PAE || c->stage2 || c->space))
		fuzz_fail("after #VMEXIT the host is not the one that was left: cr3 %llx", (unsigned long long)c->cr3);
}

/* Back to a processor outside any guest. */
static void leave(struct cpu *c)
{
	c->guest = c->stage2 = c->mtf = c->pdpte_on_demand = false;
	c->space = 0;
	c->guest_since = UINT64_MAX;
	memset(c->icpt, 0, sizeof(c->icpt));
}

static void one(struct rng *r)
{
	bool amd = rng_one_in(r, 2), first = !amd && rng_one_in(r, 3);
	struct machine_config cfg;
	struct vmcb_page vmcb;

	fuzz_config(&cfg, amd ? "amd" : first ? "vanderpool" : "intel", 16 << 20);
	fuzz_knobs(r, &cfg);
	struct machine *m = fuzz_machine(&cfg);
	struct cpu *c = m->cpus[0];
	for (u64 n = 0; n < 512; n++) /* an IDT of no use, and bitmaps of every kind */
		bus_write_u64(&m->bus, 0x60000 + 8 * n, rng_one_in(r, 2) ? 0 : rng_odd(r));
	for (u64 n = 0; n < 0x800; n++)
		bus_write_u64(&m->bus, BITMAPS + 8 * n, rng_one_in(r, 2) ? rng_next(r) : 0);
	good_vmcb(&vmcb);
	if (!amd)
		good_vmcs(r, vmx_of(c));
	for (unsigned n = 0; n < ENTRIES; n++) {
		leave(c);
		fuzz_long_mode(c);
		if (first) { /* no pages of 1 GiB */
			bus_write_u64(&m->bus, 0x2000, SMALL_PAGES | 7);
			for (u64 k = 0; k < 512; k++)
				bus_write_u64(&m->bus, SMALL_PAGES + 8 * k, k << 21 | 0xe7);
		}
		host_registers(r, c);
		guest_code(r, &m->bus);
		if (amd)
			prepare_svm(r, m, &vmcb);
		else
			prepare_vmx(r, m, vmx_of(c));
		tlb_flush_all(c);
		cpu_update_mode(c);
		cpu_recheck(c);
		run_entry(m, amd);
		m->reset_pending = false;
	}
	machine_destroy(m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-entry", one);
}
