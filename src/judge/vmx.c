/*
 * A VMCS judged by the rows of VM entry. What the rows read beside fields is taken from the dump, or follows from what it
 * says: an exit reason of a failed entry tells that everything before the guest's state was accepted; a host RIP above
 * 4 GiB, that the monitor runs in IA-32e mode; and nobody prints VMCSs in system-management mode.
 */
#include "judge/judge.h"

#include <stdlib.h>

enum { DRAWS = 768 };

struct vmcs_image {
	u64 f[VMCS_SLOTS];
	struct vmx_image g;
};

bool judge_entry_failed(const struct dump *d)
{
	u64 reason = dump_value(d, VMCS_EXIT_REASON);

	return d->kind == DUMP_VMCS && dump_has(d, VMCS_EXIT_REASON) && (reason & BIT(31));
}

/* ---- what follows from the rest ---- */

static void tell(struct dump *d, unsigned input, u64 value)
{
	if (!dump_has(d, input))
		dump_put(d, input, 0, value, d->last);
}

static void tell_instruction(struct dump *d)
{
	u64 error = dump_value(d, VMCS_INSN_ERROR);

	if (judge_entry_failed(d) || error == VMX_FAIL_7 || error == VMX_FAIL_8) {
		tell(d, VMX_IN_MOVSS, 0);
		tell(d, VMX_IN_RESUME, 0);
		tell(d, VMX_IN_LAUNCHED, 0);
	} else if (error == VMX_FAIL_4 || error == VMX_FAIL_5) {
		tell(d, VMX_IN_MOVSS, 0);
		tell(d, VMX_IN_RESUME, error == VMX_FAIL_5);
		tell(d, VMX_IN_LAUNCHED, error == VMX_FAIL_4);
	} else if (error == VMX_FAIL_26) {
		tell(d, VMX_IN_MOVSS, 1);
	}
}

/* "Checks on Guest Page-Directory-Pointer-Table Entries": with EPT they come from the fields. */
static void tell_pdptes(struct dump *d)
{
	bool known = dump_has(d, VMCS_PROC_CONTROLS) && dump_has(d, VMCS_PROC2_CONTROLS);
	bool ept = known && (dump_value(d, VMCS_PROC_CONTROLS) & PROC_SECONDARY) && (dump_value(d, VMCS_PROC2_CONTROLS) & PROC2_EPT);

	for (unsigned n = 0; n < 4 && ept; n++)
		if (dump_has(d, VMCS_GUEST_PDPTE0 + 2 * n))
			tell(d, VMX_IN_PDPTE0 + n, dump_value(d, VMCS_GUEST_PDPTE0 + 2 * n));
}

static void conclude(struct dump *d)
{
	u64 error = dump_value(d, VMCS_INSN_ERROR);

	tell(d, VMX_IN_SMM, error >= VMX_FAIL_16 && error <= VMX_FAIL_25);
	if (dump_value(d, VMCS_HOST_RIP) >> 32)
		tell(d, VMX_IN_LMA, 1);
	tell_instruction(d);
	tell_pdptes(d);
}

/* ---- one row ---- */

static u64 *input_at(struct vmcs_image *i, unsigned key)
{
	return key >= VMX_IN ? &i->g.in[key - VMX_IN] : &i->f[vmcs_slot(key)];
}

static u64 random_of(struct vmcs_image *i, const struct dump *d, const struct judged *j, u64 *seed, unsigned key)
{
	u64 mine = *input_at(i, j->key[(*seed >> 40) % j->keys]);

	if (*seed >> 60 == 1)
		mine = i->g.caps->basic & mask(31, 0);
	return low_bytes(judge_draw(seed, mine), dump_width(d, key));
}

/*
 * With a field missing a row can still be judged where what is known decides: a page's address means nothing while its
 * control is off. The row passes if it does whatever the missing ones are: tried with the values at which rows turn.
 * A word that is made of parts (the event to inject) has too many of them.
 */
static bool passes_anyhow(struct vmcs_image *i, const struct dump *d, const struct vmx_check *k, const struct judged *j)
{
	u64 kept[JUDGE_KEYS], seed = 0x9e3779b97f4a7c15ull;
	bool pass = j->needs < j->keys; /* something is known */

	for (unsigned n = 0; n < j->needs; n++) {
		if (j->need[n] == VMCS_ENTRY_INTR_INFO)
			return false;
		kept[n] = *input_at(i, j->need[n]);
	}
	for (unsigned draw = 0; draw < DRAWS && pass; draw++) {
		for (unsigned n = 0; n < j->needs; n++)
			*input_at(i, j->need[n]) = random_of(i, d, j, &seed, j->need[n]);
		pass = !vmx_check_fails(k, &i->g);
	}
	for (unsigned n = 0; n < j->needs; n++)
		*input_at(i, j->need[n]) = kept[n];
	return pass;
}

/* The processor itself has looked at this, and gone on: "VM-Entry Failures During or After Loading Guest State" come
 * behind all that fails the instruction, and a failure to load MSRs behind the guest's state. */
static bool let_pass(const struct dump *d, const struct vmx_image *g, const struct vmx_check *k)
{
	return judge_entry_failed(d) && (vmx_check_outcome(g, k) < VMX_EXIT_33 || (u16)dump_value(d, VMCS_EXIT_REASON) == VMX_EXIT_34);
}

static void judge_row(struct vmcs_image *i, const struct dump *d, const struct judge_caps *caps, const struct vmx_check *k, struct judged *j)
{
	*j = (struct judged){.id = k->id, .rule = k->rule, .manual = k->manual, .image = &i->g, .row = k};
	for (unsigned n = 0; k->field[n] != VMX_FIELDS_END; n++) {
		j->key[j->keys++] = k->field[n];
		if (!dump_has(d, k->field[n]))
			j->need[j->needs++] = k->field[n];
	}
	if (!j->needs)
		j->verdict = vmx_check_fails(k, &i->g) ? JUDGE_FAIL : JUDGE_PASS;
	else
		j->verdict = let_pass(d, &i->g, k) || passes_anyhow(i, d, k, j) ? JUDGE_PASS : JUDGE_UNKNOWN;
	/* no failure, only because a model that nobody chose lacks something */
	if (j->verdict == JUDGE_FAIL && caps->assumed && let_pass(d, &i->g, k)) {
		j->verdict = JUDGE_UNKNOWN;
		j->caps_doubt = true;
	}
}

enum status judge_vmcs(const struct dump *d, const struct judge_caps *k, judged_fn *fn, void *arg)
{
	struct dump *told = base_alloc(sizeof(*told));
	struct vmcs_image *i = base_alloc(sizeof(*i));
	const bool room = told && i;

	if (room) {
		*told = *d;
		conclude(told);
		memcpy(i->f, told->f, sizeof(i->f));
		i->g.f = i->f;
		i->g.caps = &k->vmx;
		memcpy(i->g.in, told->in, sizeof(i->g.in));
		for (size_t n = 0; n < vmx_check_count(); n++) {
			struct judged j;

			judge_row(i, told, k, vmx_check_at(n), &j);
			fn(arg, told, &j);
		}
	}
	base_free(i);
	base_free(told);
	return room ? ST_OK : ST_NOMEM;
}

/* ---- for both makers ---- */

u64 judge_draw(u64 *seed, u64 mine)
{
	u64 r = *seed;

	r ^= r << 13;
	r ^= r >> 7;
	r ^= r << 17;
	*seed = r;
	switch (r >> 8 & 15) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2:
	case 3: return BIT(r >> 16 & 63);
	case 4:
	case 5: return ~BIT(r >> 16 & 63);
	case 6:
	case 7: return r >> 16 & 7;
	case 8: return r >> 16 & 0xff;
	case 9: return mine;
	case 10: return mine ^ BIT(r >> 16 & 63);
	default: return r * 0x2545f4914f6cdd1dull;
	}
}

const char *judge_input_name(const struct dump *d, unsigned key)
{
	if (d->kind == DUMP_VMCS)
		return vmx_input_name(key);
	return key == SVM_IN_HOST_CR0 ? "CR0 of the host" : "the four PDPEs at the guest's CR3";
}

void judge_field(const struct dump *d, const struct judged *j, unsigned key, struct check_field *out)
{
	*out = (struct check_field){.name = dump_name(d, key), .value = dump_value(d, key), .width = key < VMX_IN ? (u8)dump_width(d, key) : 0};
	if (d->kind == DUMP_VMCS && key == VMCS_GUEST_RFLAGS && !(out->value >> 32))
		out->width = 4;
	if (d->kind == DUMP_VMCS && key == j->key[0])
		vmx_decode_culprit(out->decoded, sizeof(out->decoded), j->image, j->row);
	else if (d->kind == DUMP_VMCS)
		vmx_decode_field(out->decoded, sizeof(out->decoded), key, out->value);
	else
		svm_decode_field(out->decoded, sizeof(out->decoded), j->image, key == j->key[0] ? j->row : NULL, key);
}
