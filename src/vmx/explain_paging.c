/*
 * EPT misconfigurations in words: the walk, entry by entry, and what is wrong with the last one. "EPT Misconfigurations".
 * A monitor may make such entries on purpose, to catch accesses to devices: each is told once.
 */
#include <inttypes.h>
#include <stdio.h>

#include "arch/names.h"
#include "vmx/vmx.h"

#define EPT "SDM 3C \"EPT Misconfigurations\""

/* clang-format off */
const struct vmx_ept_check vmx_ept_checks[VMX_EPT_CAUSES] = {
	[VMX_EPT_WRITE_ONLY]   = {"vmx.ept.write-only", "an entry must not be writable (bit 1) without being readable (bit 0)", EPT},
	[VMX_EPT_EXECUTE_ONLY] = {"vmx.ept.execute-only", "an entry must not be executable without being readable: this processor has no execute-only translations", EPT},
	[VMX_EPT_ADDRESS]      = {"vmx.ept.address", "address bits beyond the physical-address width must be 0", EPT},
	[VMX_EPT_TABLE]        = {"vmx.ept.reserved", "bits 7:3 of an entry that points to a table must be 0", EPT},
	[VMX_EPT_LARGE]        = {"vmx.ept.large-page", "the address bits below the size of a large page must be 0", EPT},
	[VMX_EPT_MEMORY_TYPE]  = {"vmx.ept.memory-type", "the memory type of a page (bits 5:3) must not be 2, 3 or 7", EPT},
	[VMX_EPT_PAGING_WRITE] = {"vmx.ept.paging-write", "a page that only paging may write (bit 58) must be readable (bit 0)", EPT},
};
/* clang-format on */

/* What of an entry is wrong by its bits alone, by the masks of the walk itself. */
static u64 wrong_bits(const struct vmx *v, unsigned level, u64 entry)
{
	return entry & v->walk.bad[(entry & v->walk.maps[level]) != 0][level];
}

static enum vmx_ept_cause cause_of(const struct cpu *c, const struct walk_result *w)
{
	const struct vmx *v = vmx_of(c);
	const u64 wrong = wrong_bits(v, w->level, w->entry);
	const bool page = (w->entry & v->walk.maps[w->level]) != 0;

	if (wrong & mask(51, c->phys_bits))
		return VMX_EPT_ADDRESS;
	if (wrong)
		return page ? VMX_EPT_LARGE : VMX_EPT_TABLE;
	if (w->kind == WALK_OK)
		return VMX_EPT_PAGING_WRITE;
	if (!(w->entry & EPT_R) && (w->entry & EPT_W))
		return VMX_EPT_WRITE_ONLY;
	return w->entry & EPT_R ? VMX_EPT_MEMORY_TYPE : VMX_EPT_EXECUTE_ONLY;
}

/* "bits 3-5 must be 0; R-X, table at 0x5000", "RWX, WB, page at 0x7000" */
static void add_entry(struct words *w, const struct vmx *v, unsigned level, u64 entry)
{
	const bool page = (entry & v->walk.maps[level]) != 0;
	const u64 wrong = wrong_bits(v, level, entry);

	if (wrong) {
		arch_bit_list(w, wrong);
		words_add(w, " must be 0; ");
	}
	words_add(w, "%c%c%c", entry & EPT_R ? 'R' : '-', entry & EPT_W ? 'W' : '-', entry & EPT_X ? 'X' : '-');
	if (vmx_proc2(v) & PROC2_MBEC)
		words_add(w, "%c", entry & EPT_XU ? 'U' : '-');
	if (page)
		words_add(w, ", memory type %u (%s)", (unsigned)bits(entry, 5, 3), vmx_memory_type((unsigned)bits(entry, 5, 3)));
	words_add(w, ", %s at 0x%" PRIx64, page ? "page" : "table", entry & mask(51, 12));
}

static void set_by(struct cpu *c, u64 pa, struct origin *o)
{
	if (c->hooks->writer && !c->hooks->writer(c->hooks->arg, pa, o))
		o->kind = ORIGIN_UNKNOWN;
}

/* An entry that was told is remembered by where it lies and what it is. */
static bool told_before(struct vmx *v, const struct walk_result *w)
{
	const u64 key = w->entry_pa * 0x9e3779b97f4a7c15ull ^ w->entry;
	u64 *at = &v->told_entry[key >> 32 & (ARRAY_LEN(v->told_entry) - 1)];

	if (*at == key)
		return true;
	*at = key;
	return false;
}

static void add_walk(struct cpu *c, struct refusal *r, const struct walk_step *steps, unsigned count, unsigned level)
{
	for (unsigned n = 0; n < count; n++, level--) {
		struct refusal_line *l = &r->line[r->lines++];
		struct words w = {l->text, sizeof(l->text), 0};

		l->label = "walk";
		words_add(&w, "%s at 0x%" PRIx64 " = 0x%" PRIx64 ": ", steps[n].name, steps[n].addr, steps[n].value);
		add_entry(&w, vmx_of(c), level, steps[n].value);
		set_by(c, steps[n].addr, &l->who);
	}
}

static void add_fields(struct cpu *c, struct refusal *r, const struct stage2_req *q, const struct walk_result *w, const char *name)
{
	struct check_field *f = r->field;
	struct words words = {f[0].decoded, sizeof(f[0].decoded), 0};

	f[0] = (struct check_field){.name = name, .value = w->entry, .width = 8};
	add_entry(&words, vmx_of(c), w->level, w->entry);
	set_by(c, w->entry_pa, &f[0].set);
	f[1] = (struct check_field){.name = vmcs_field_at(VMCS_GUEST_PHYSICAL)->name, .value = q->gpa, .width = 8};
	snprintf(f[1].decoded, sizeof(f[1].decoded), "of %s",
	         q->why == S2_FINAL ? "a guest access" : q->why == S2_TABLE ? "a walk of the guest's tables" : "a load of PDPTEs");
	f[2] = vmx_field_told(c, VMCS_EPTP);
	r->fields = 3;
	if (!q->has_linear)
		return;
	f[3] = (struct check_field){.name = "guest-linear address", .value = q->linear};
	r->fields = 4;
}

cold void vmx_explain_walk(struct cpu *c, const struct stage2_req *q, const struct walk_result *w, const struct walk_step *steps,
                           unsigned count)
{
	const struct vmx_ept_check *k = &vmx_ept_checks[cause_of(c, w)];
	struct refusal r = vmx_refusal(c, REFUSAL_PAGING, "EPT misconfiguration: VM exit, reason 49", c->cur ? insn_rip(c, c->cur) : c->r[REG_RIP]);
	char name[48] = "";

	if (!count || told_before(vmx_of(c), w))
		return;
	r.check = k->id;
	r.rule = k->rule;
	r.manual = k->manual;
	r.then = "the instruction has not completed, and is to run again behind the VM exit";
	r.code = 49;
	r.info[1] = q->gpa;
	snprintf(name, sizeof(name), "%s at 0x%" PRIx64, steps[count - 1].name, w->entry_pa);
	add_fields(c, &r, q, w, name);
	add_walk(c, &r, steps, count, vmx_of(c)->walk.rules.format->levels);
	c->hooks->refused(c->hooks->arg, c, &r);
}
