/*
 * VM entries that return from SMM, at random: a current VMCS and an executive VMCS, each a valid one with some fields
 * changed, executed on a processor and judged by the evaluator, which reads both VMCSs as they are. What fails must
 * leave everything as it was; what succeeds must have moved the pointers. Argument: number of random pairs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proved.h"
#include "../../unit/bare.h"
#include "judge.h"
#include "cpu/control/smm.h"

static unsigned passed, failed;

static void check(bool ok, const char *what, const char *which)
{
	passed += ok;
	failed += !ok;
	if (!ok)
		printf("FAILED: %s: %s\n", which, what);
}

/* Of each pair on the processor: one thing that is asserted, however many pairs there are. */
static bool all_hold = true;
static void holds(bool ok, const char *what, const char *which)
{
	if (!ok && all_hold)
		printf("FAILED: %s: %s\n", which, what);
	all_hold = all_hold && ok;
}

enum { TRANSFER = 0x41000, VMXON = 0x45000, EXECUTIVE = 0x44000, SHADOW = 0x46000, OTHER = 0x47000 };
struct pair {
	struct state s, x;
};

static u64 *input(struct state *s, unsigned which)
{
	return &s->in[which - VMX_IN];
}

/* All of type 0 but VM-exit and VM-entry controls and the pointer itself. SDM 3D "Field Encoding in VMCS" */
static bool is_execution(u32 encoding)
{
	static const u16 others[] = {0x2006, 0x2008, 0x200a, 0x200c, 0x2044, 0x400c, 0x400e,
	                             0x4010, 0x4012, 0x4014, 0x4016, 0x4018, 0x401a};

	for (size_t n = 0; n < ARRAY_LEN(others); n++)
		if (encoding == others[n])
			return false;
	return (encoding >> 10 & 3) == 0;
}

/* ---- a pair ---- */

static void draw(struct pair *p, const struct vmx_caps *caps, u64 *seed)
{
	u64 r = random_next(seed);
	bool root = r & 1;

	template_state((unsigned)(r >> 8) % 16, caps, &p->s);
	template_state(r & 2 ? (unsigned)(r >> 8) % 16 : (unsigned)(r >> 16) % 16, caps, &p->x);
	for (size_t n = 0; n < vmcs_field_count; n++) /* nobody is to look there */
		if (is_execution(vmcs_fields[n].encoding))
			p->s.f[vmcs_slot(vmcs_fields[n].encoding)] = random_next(seed);
	p->s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] &= ~BIT(10);
	if (root && (r & 4))
		p->s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] |= BIT(11);
	p->s.f[vmcs_slot(VMCS_EXECUTIVE_VMCS)] = root ? VMXON : EXECUTIVE;
	if (p->s.f[vmcs_slot(VMCS_LINK_POINTER)] == ~0ull && (r & 0x70) == 0)
		p->s.f[vmcs_slot(VMCS_LINK_POINTER)] = r & 8 ? OTHER : TRANSFER;
	p->s.f[vmcs_slot(VMCS_GUEST_SMBASE)] = 0x123000;
	*input(&p->s, VMX_IN_SMM) = *input(&p->s, VMX_IN_RESUME) = *input(&p->s, VMX_IN_LAUNCHED) = 1;
	*input(&p->s, VMX_IN_CURRENT) = TRANSFER;
	*input(&p->s, VMX_IN_VMXON) = VMXON;
	*input(&p->s, VMX_IN_EXEC_LAUNCHED) = r >> 24 & 15 ? 1 : 0;
	*input(&p->s, VMX_IN_EXEC_WORD) = p->s.caps.basic & mask(30, 0);
}

static void change(struct pair *p, u64 *seed)
{
	for (u64 n = random_next(seed) % 5; n; n--) {
		u64 r = random_next(seed);
		unsigned field = vmcs_fields[(r >> 8) % vmcs_field_count].encoding;

		if ((r & 15) == 0)
			field = VMCS_EXECUTIVE_VMCS;
		if ((r & 15) == 1)
			field = VMX_IN + (unsigned)(r >> 8) % (VMX_IN_EXEC_LAUNCHED - VMX_IN + 1);
		if (field != VMX_IN_SMM && field != VMX_IN_CURRENT && field != VMX_IN_VMXON)
			mutate(is_execution(field) && field < VMX_IN ? &p->x : &p->s, field, seed);
		/* an entry that does not return from SMM is checks_test.c's */
		p->s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] &= ~BIT(10);
	}
}

/* ---- rows and evaluator, on a processor that has everything ---- */

static void share_inputs(struct pair *p)
{
	*input(&p->s, VMX_IN_EXEC_EXIT) = p->x.f[vmcs_slot(VMCS_EXIT_CONTROLS)];
	p->x.caps = p->s.caps;
	memcpy(p->x.in, p->s.in, sizeof(p->x.in));
}

static u64 rows_and_text(const struct table *t, struct pair *p, u64 *refused)
{
	u64 merged[VMCS_SLOTS];
	struct vmx_image g = {.f = merged, .caps = &p->s.caps};
	struct verdict rows, text;
	bool root;

	share_inputs(p);
	root = p->s.f[vmcs_slot(VMCS_EXECUTIVE_VMCS)] == VMXON;
	vmx_image_merge(merged, p->s.f, root ? NULL : p->x.f, &p->s.caps);
	memcpy(g.in, p->s.in, sizeof(g.in));
	judge(t, &g, t->count, &rows);
	evaluate_return(&p->s, &p->x, &text);
	*refused += text.outcome != 0;
	if (same_verdict(&rows, &text))
		return 0;
	print_difference(&rows, &text);
	return 1;
}

/* ---- on the processor ---- */

static void monitor(struct cpu *c, bool lma)
{
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		c->seg[n] = (struct seg){.sel = 0x10, .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = ~0u};
	c->seg[SEG_CS] = (struct seg){.sel = 8, .ar = AR_P | AR_S | 11 | AR_G | (lma ? AR_L : AR_DB), .limit = ~0u};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE | CR4_VMXE;
	c->cr3 = 0x1000;
	c->efer = EFER_NXE | EFER_SCE | (lma ? EFER_LME | EFER_LMA : 0);
	c->cpl = 0;
	c->pend = 0;
	c->inject.type = EV_NONE;
	c->guest = c->stage2 = c->mtf = false;
	c->space = 0;
	c->virt_root = true;
	c->activity = ACT_RUN;
	c->stop = CPU_GO;
	c->nmi_blocked = c->smi_blocked = true;
	c->smbase = 0x30000;
	smm_set(c, true);
	cpu_update_mode(c);
}

static bool in_ram(u64 pa, unsigned size)
{
	return pa <= BARE_RAM - size;
}

static bool page_in_ram(u64 pa)
{
	return is_aligned(pa, PAGE_SIZE) && in_ram(pa, PAGE_SIZE);
}

static void put_vmcs(struct pc *p, u64 pa, const struct state *x, u64 word, u64 launched)
{
	bus_write_u32(&p->bus, pa, (u32)word);
	bus_write_u32(&p->bus, pa + VMCS_REGION_LAUNCHED, (u32)launched);
	for (unsigned n = 0; n < VMCS_SLOTS; n++)
		bus_write_u64(&p->bus, pa + VMCS_REGION_FIELDS + 8 * n, x->f[n]);
}

/* Where one place is another's, too, what lies there in the end counts. */
static void put_memory(struct pc *pc, struct pair *p)
{
	u64 executive = p->s.f[vmcs_slot(VMCS_EXECUTIVE_VMCS)], link = p->s.f[vmcs_slot(VMCS_LINK_POINTER)];
	u64 page = p->x.f[vmcs_slot(VMCS_VIRTUAL_APIC_ADDR)], cr3 = p->s.f[vmcs_slot(VMCS_GUEST_CR3)] & 0xffffffe0;
	bool ept = (p->x.f[vmcs_slot(VMCS_PROC_CONTROLS)] & BIT(31)) && (p->x.f[vmcs_slot(VMCS_PROC2_CONTROLS)] & 2);

	ept = ept && executive != VMXON;
	if (page_in_ram(link))
		bus_write_u32(&pc->bus, link, (u32)*input(&p->s, VMX_IN_LINK_WORD));
	if (page_in_ram(page))
		bus_write_u32(&pc->bus, page + 0x80, (u32)*input(&p->s, VMX_IN_VTPR));
	for (unsigned n = 0; n < 4; n++) {
		if (ept)
			p->s.f[vmcs_slot(VMCS_GUEST_PDPTE0) + n] = *input(&p->s, VMX_IN_PDPTE0 + n);
		else if (in_ram(cr3, 32))
			bus_write_u64(&pc->bus, cr3 + 8 * n, *input(&p->s, VMX_IN_PDPTE0 + n));
	}
	if (page_in_ram(executive))
		put_vmcs(pc, executive, &p->x, *input(&p->s, VMX_IN_EXEC_WORD), *input(&p->s, VMX_IN_EXEC_LAUNCHED));
}

/* An address that is none, or whose memory is there. */
static bool readable(const struct state *s, u64 pa)
{
	return !is_aligned(pa, PAGE_SIZE) || pa >> s->caps.phys_bits || in_ram(pa, PAGE_SIZE);
}

/* What memory can hold of what was drawn, and a pair of which no two places are one. */
static bool fits(struct pair *p)
{
	u64 executive = p->s.f[vmcs_slot(VMCS_EXECUTIVE_VMCS)], cr3 = p->s.f[vmcs_slot(VMCS_GUEST_CR3)] & 0xffffffe0;
	u64 link = p->s.f[vmcs_slot(VMCS_LINK_POINTER)], page = p->x.f[vmcs_slot(VMCS_VIRTUAL_APIC_ADDR)];
	const u64 at[] = {TRANSFER >> 12, executive >> 12, link >> 12, page >> 12, cr3 >> 12};

	*input(&p->s, VMX_IN_EXEC_WORD) &= 0xffffffff;
	*input(&p->s, VMX_IN_LINK_WORD) &= 0xffffffff;
	*input(&p->s, VMX_IN_VTPR) &= 0xff;
	*input(&p->s, VMX_IN_EXEC_LAUNCHED) = *input(&p->s, VMX_IN_EXEC_LAUNCHED) != 0;
	for (unsigned m = 0; m < ARRAY_LEN(at); m++)
		for (unsigned n = 0; n < m; n++)
			if (at[m] == at[n])
				return false;
	return in_ram(cr3, 32) && readable(&p->s, executive) && readable(&p->s, page) &&
	       (link == ~0ull || readable(&p->s, link));
}

static void put(struct pc *pc, struct pair *p)
{
	struct vmx *v = vmx_of(pc->c);

	monitor(pc->c, *input(&p->s, VMX_IN_LMA) != 0);
	put_memory(pc, p);
	memcpy(v->f, p->s.f, sizeof(v->f));
	v->current = v->transfer = TRANSFER;
	v->vmxon_pa = VMXON;
	v->dual = true;
	v->launched = *input(&p->s, VMX_IN_LAUNCHED) != 0;
	pc->c->insn_shadow = *input(&p->s, VMX_IN_MOVSS) ? SHADOW_MOVSS : 0;
	vmcs_set(v, VMCS_INSN_ERROR, 0);
	vmcs_set(v, VMCS_EXIT_REASON, 0);
	pc->refused = NULL;
}

static void returned(struct pc *pc, const struct pair *p)
{
	const struct vmx *v = vmx_of(pc->c);
	const struct cpu *c = pc->c;
	u64 executive = p->s.f[vmcs_slot(VMCS_EXECUTIVE_VMCS)];
	const char *which = "an entry that succeeds";
	bool root = executive == VMXON, ends = p->s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] >> 11 & 1;

	holds(!c->smm && c->virt_root, "SMM is left", which);
	holds(c->guest == !root, "root or non-root by the executive-VMCS pointer", which);
	holds(v->current == (root ? p->s.f[vmcs_slot(VMCS_LINK_POINTER)] : executive), "current-VMCS pointer", which);
	holds(v->dual == !ends, "active until deactivated", which);
	holds(ends || v->transfer == TRANSFER, "SMM-transfer VMCS pointer", which);
	holds(c->smi_blocked == (!ends && (p->s.f[vmcs_slot(VMCS_GUEST_INTERRUPTIBILITY)] & 4)), "blocking of SMIs",
	      which);
	holds(c->smbase == p->s.f[vmcs_slot(VMCS_GUEST_SMBASE)], "SMBASE", which);
	holds(c->r[REG_RIP] == p->s.f[vmcs_slot(VMCS_GUEST_RIP)], "guest state", which);
	holds(bus_read_u32(&pc->bus, TRANSFER + VMCS_REGION_LAUNCHED) == 1, "launched", which);
}

static void stayed(struct pc *pc, const struct pair *p, const struct verdict *text)
{
	const struct vmx *v = vmx_of(pc->c);
	const struct cpu *c = pc->c;
	char which[64];
	unsigned id;

	snprintf(which, sizeof(which), "outcome %u, refused by %s", text->outcome, pc->refused ? pc->refused : "nobody");
	holds(c->smm && !c->guest && c->virt_root && c->smi_blocked && c->nmi_blocked, "still in SMM", which);
	holds(v->current == TRANSFER && v->transfer == TRANSFER && v->dual, "no pointer has changed", which);
	holds(c->smbase == 0x30000, "nor SMBASE", which);
	holds(v->launched == (*input((struct state *)(uintptr_t)&p->s, VMX_IN_LAUNCHED) != 0), "nor the launch state", which);
	id = pc->refused ? id_number(pc->refused) : 0;
	holds(pc->refused && (text->ids[id / 64] >> (id % 64) & 1), "a check that fails is named", which);
	if (text->outcome == 33) {
		holds(vmcs_get(v, VMCS_EXIT_REASON) == (BIT(31) | 33), "exit reason", which);
		holds(c->r[REG_RIP] == vmcs_get(v, VMCS_HOST_RIP), "at host RIP", which);
	} else {
		holds(vmcs_get(v, VMCS_INSN_ERROR) == text->outcome, "VM-instruction error", which);
		holds(vmcs_get(v, VMCS_EXIT_REASON) == 0, "no exit", which);
	}
}

/* MSRs of areas are another test's. */
static void no_msrs(struct pair *p)
{
	p->s.f[vmcs_slot(VMCS_ENTRY_MSR_LOAD_COUNT)] = p->s.f[vmcs_slot(VMCS_EXIT_MSR_LOAD_COUNT)] = 0;
}

static void on_the_processor(struct pc *pc, struct pair *p, u64 tally[64])
{
	static const struct insn insn = {.len = 3};
	struct verdict text;

	no_msrs(p);
	put(pc, p);
	share_inputs(p);
	evaluate_return(&p->s, &p->x, &text);
	tally[text.outcome]++;
	holds(vmx_smm_return(pc->c, &insn, *input(&p->s, VMX_IN_RESUME) != 0) == XR_OK, "completes", "VM entry");
	if (text.outcome)
		stayed(pc, p, &text);
	else
		returned(pc, p);
	vmx_timer_stop(pc->c);
	smm_set(pc->c, true);
}

int main(int argc, char **argv)
{
	static struct table t;
	static struct pair p;
	static struct pc pc;
	u64 cases = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000, seed = 0x2545f4914f6cdd1d, refused = 0, different = 0;
	u64 tally[64] = {0}, executed = 0;

	fill_table(&t);
	if (!bare_init(&pc, "intel"))
		return 1;
	const struct vmx_caps caps = *vmx_caps(pc.c);

	for (u64 k = 0; k < cases && different < 10; k++) {
		draw(&p, k & 1 ? &caps : NULL, &seed);
		change(&p, &seed);
		different += rows_and_text(&t, &p, &refused);
		if (!(k & 1) || !fits(&p))
			continue;
		on_the_processor(&pc, &p, tally);
		executed++;
	}
	bare_fini(&pc);
	check(!different, "rows and evaluator agree on two VMCSs", "random");
	check(all_hold, "the processor does as the evaluator says", "random");
	for (size_t n = 0; n < ARRAY_LEN(tally); n++)
		if (tally[n])
			printf("outcome %zu: %llu\n", n, (unsigned long long)tally[n]);
	static const u8 outcomes[] = {0, 4, 5, 7, 8, 16, 17, 18, 25, 26, 33};
	for (size_t n = 0; n < ARRAY_LEN(outcomes); n++)
		check(tally[outcomes[n]] != 0, "occurs on the processor", "every outcome");
	printf("%llu pairs, %llu refused, %llu on the processor\n", (unsigned long long)cases, (unsigned long long)refused,
	       (unsigned long long)executed);
	proved_report(passed + failed, cases);
	printf("vmx_returns: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
