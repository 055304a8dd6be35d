/* The causes for which instructions of SVM fail, and how a failure is raised and told. "SVM Instruction Set Reference". */
#include "svm/svm.h"

#include "arch/names.h"

#include <inttypes.h>
#include <stdio.h>

/* What a refusal shows. */
enum svm_shown {
	SHOW_NOTHING,
	SHOW_CR0,
	SHOW_VM,
	SHOW_EFER,
	SHOW_CPL,
	SHOW_RAX,     /* the operand, an address in rAX */
	SHOW_OPERAND, /* the operand, what an MSR is to become */
	SHOW_ECX,
	SHOW_EDX,
	SHOW_VM_CR,
	SHOW_HSAVE,
	SHOW_HWCR,
	SHOW_INTERCEPTS, /* the last three are fields of the VMCB that the instruction ran under, shown in a guest only */
	SHOW_NESTED_CTL,
	SHOW_VIRT_EXT,
};

/* clang-format off */
#define ROW_(cause, id_, insn_, raises, show, rule_, manual_, ...) \
	[SVM_##cause] = {.id = "svm." id_, .insn = (insn_), .vector = (raises), .shows = show, .rule = (rule_), \
	                 .manual = (manual_), __VA_ARGS__},
#define SHOW(...) {__VA_ARGS__}
#define APM3(insn)  "APM 3 \"" insn "\""
#define ABSENT(cause, id, insn, leaf) ROW_(cause, id ".absent", insn, EX_UD, SHOW(0), insn " needs a processor that has it: CPUID " leaf, APM3(insn), .fix = WITH_SVM)
#define HAS_SVM  "8000_0001h ECX bit 2"
#define WITH_SVM "run it with --cpu amd"
#define GATE(cause, id, insn, leaf) \
	ABSENT(cause, id, insn, leaf) \
	ROW_(cause##_MODE, id ".protected-mode", insn, EX_UD, SHOW(SHOW_CR0, SHOW_VM), insn " is for protected mode only: CR0.PE must be 1 and RFLAGS.VM 0", APM3(insn)) \
	ROW_(cause##_SVME, id ".efer-svme", insn, EX_UD, SHOW(SHOW_EFER, SHOW_VM_CR), "EFER.SVME must be 1", APM3(insn), \
	     .fix = "set bit 12 of EFER (MSR 0xc0000080) first") \
	ROW_(cause##_CPL, id ".cpl", insn, EX_GP, SHOW(SHOW_CPL), "CPL must be 0", APM3(insn))
#define ADDRESS(cause, id, insn) \
	ROW_(cause##_ADDRESS, id ".address-aligned", insn, EX_GP, SHOW(SHOW_RAX), "the VMCB's address in rAX must be that of a page: bits 11:0 must be 0", APM3(insn)) \
	ROW_(cause##_WIDTH, id ".address-width", insn, EX_GP, SHOW(SHOW_RAX), "the VMCB's address in rAX must not exceed the physical address width", APM3(insn))
#define VIRTUAL "APM 2 \"Virtual VMLOAD and VMSAVE\""
#define ADDRESS_VIRTUAL(cause, id, insn) \
	ROW_(cause##_ADDRESS, id ".virtual-aligned", insn, EX_GP, SHOW(SHOW_RAX, SHOW_VIRT_EXT), "the guest-physical address in rAX must be that of a page: bits 11:0 must be 0", VIRTUAL) \
	ROW_(cause##_WIDTH, id ".virtual-width", insn, EX_GP, SHOW(SHOW_RAX, SHOW_VIRT_EXT), "the guest-physical address in rAX must not exceed the physical address width", VIRTUAL)
#define TAKEN(cause, id, insn) \
	ABSENT(cause, id, insn, "8000_0008h EBX bit 3") \
	ROW_(cause##_TAKEN, id ".guest-enable", insn, EX_UD, SHOW(SHOW_NESTED_CTL), "in a guest bit 7 of VMCB+0x090 must be 1", APM3(insn)) \
	ROW_(cause##_CPL, id ".cpl", insn, EX_GP, SHOW(SHOW_CPL), "CPL must be 0", APM3(insn))
#define MSRS "APM 2 \"SVM Related MSRs\""

const struct svm_cause_row svm_causes[SVM_CAUSES] = {
	GATE(VMRUN, "vmrun", "VMRUN", HAS_SVM)
	ADDRESS(VMRUN, "vmrun", "VMRUN")
	ROW_(VMRUN_HSAVE, "vmrun.hsave-pa", "VMRUN", EX_GP, SHOW(SHOW_HSAVE), "VM_HSAVE_PA must have been given the address of a page: 0 is none", "APM 2 \"VM_HSAVE_PA MSR\"",
	     .fix = "write the address of a page of its own to VM_HSAVE_PA (MSR 0xc0010117)")
	GATE(VMLOAD, "vmload", "VMLOAD", HAS_SVM)
	ADDRESS(VMLOAD, "vmload", "VMLOAD")
	ADDRESS_VIRTUAL(VMLOAD_VIRTUAL, "vmload", "VMLOAD")
	GATE(VMSAVE, "vmsave", "VMSAVE", HAS_SVM)
	ADDRESS(VMSAVE, "vmsave", "VMSAVE")
	ADDRESS_VIRTUAL(VMSAVE_VIRTUAL, "vmsave", "VMSAVE")
	ABSENT(VMMCALL, "vmmcall", "VMMCALL", HAS_SVM)
	ROW_(VMMCALL_SVME, "vmmcall.efer-svme", "VMMCALL", EX_UD, SHOW(SHOW_EFER), "EFER.SVME must be 1", APM3("VMMCALL"))
	ROW_(VMMCALL_INTERCEPT, "vmmcall.intercept", "VMMCALL", EX_UD, SHOW(SHOW_INTERCEPTS), "VMMCALL must be intercepted: where it is not, and in no guest, it does not exist", APM3("VMMCALL"))
	GATE(STGI, "stgi", "STGI", HAS_SVM)
	GATE(CLGI, "clgi", "CLGI", HAS_SVM)
	GATE(INVLPGA, "invlpga", "INVLPGA", HAS_SVM)
	GATE(SKINIT, "skinit", "SKINIT", "8000_0001h ECX bit 12")
	ROW_(SKINIT_PROCESSORS, "skinit.processors", "SKINIT", SVM_GOES_ON, SHOW(0), "SKINIT is executed by the bootstrap processor while every other one waits for a Startup IPI",
	     "33047 \"Secure Multiprocessor Initialization\"")
	TAKEN(INVLPGB, "invlpgb", "INVLPGB")
	ROW_(INVLPGB_RAX, "invlpgb.rax-reserved", "INVLPGB", EX_GP, SHOW(SHOW_RAX), "bits 11:6 of rAX must be 0", APM3("INVLPGB"))
	ROW_(INVLPGB_ECX, "invlpgb.ecx-reserved", "INVLPGB", EX_GP, SHOW(SHOW_ECX), "bits 30:16 of ECX must be 0", APM3("INVLPGB"))
	ROW_(INVLPGB_EDX, "invlpgb.edx-reserved", "INVLPGB", EX_GP, SHOW(SHOW_EDX), "bits 31:28 of EDX must be 0", APM3("INVLPGB"))
	ROW_(INVLPGB_COUNT, "invlpgb.count", "INVLPGB", EX_GP, SHOW(SHOW_ECX), "the pages beyond the first, ECX bits 15:0, must not exceed CPUID 8000_0008h EDX bits 15:0", APM3("INVLPGB"))
	ROW_(INVLPGB_NESTED, "invlpgb.nested", "INVLPGB", EX_GP, SHOW(SHOW_RAX), "bit 5 of rAX needs CPUID 8000_0008h EBX bit 21: otherwise it must be 0", APM3("INVLPGB"))
	ROW_(INVLPGB_ASID, "invlpgb.asid", "INVLPGB", EX_GP, SHOW(SHOW_EDX, SHOW_RAX), "the ASID in EDX bits 15:0, valid by bit 2 of rAX, must be one that the processor implements", APM3("INVLPGB"))
	TAKEN(TLBSYNC, "tlbsync", "TLBSYNC")

	ROW_(EFER_ABSENT, "efer.svme-absent", "WRMSR to EFER", EX_GP, SHOW(SHOW_OPERAND), "EFER.SVME (bit 12) must be 0: this processor has no SVM", "APM 2 \"Enabling SVM\"",
	     .fix = WITH_SVM)
	ROW_(MSR_ABSENT, "msr.absent", "access to an MSR of SVM", EX_GP, SHOW(SHOW_ECX), "the processor must have SVM: CPUID " HAS_SVM, MSRS, .fix = WITH_SVM)
	ROW_(EFER_SVMDIS, "efer.svmdis", "WRMSR to EFER", EX_GP, SHOW(SHOW_OPERAND, SHOW_VM_CR), "EFER.SVME must be 0 while VM_CR.SVMDIS is 1", "APM 2 \"Enabling SVM\"",
	     .fix = "clear VM_CR.SVMDIS (MSR 0xc0010114 bit 4), unless VM_CR.LOCK is 1: then SVM is off by the firmware's wish")
	ROW_(VM_CR_RESERVED, "vm-cr.reserved", "WRMSR to VM_CR", EX_GP, SHOW(SHOW_OPERAND), "reserved bits of VM_CR must be 0", MSRS)
	ROW_(VM_CR_SVMDIS, "vm-cr.svmdis", "WRMSR to VM_CR", EX_GP, SHOW(SHOW_OPERAND, SHOW_EFER), "VM_CR.SVMDIS must be 0 while EFER.SVME is 1", "APM 2 \"SVM-Lock\"")
	ROW_(HSAVE_ADDRESS, "vm-hsave-pa.aligned", "WRMSR to VM_HSAVE_PA", EX_GP, SHOW(SHOW_OPERAND), "VM_HSAVE_PA must be the address of a page: bits 11:0 must be 0", MSRS)
	ROW_(HSAVE_WIDTH, "vm-hsave-pa.width", "WRMSR to VM_HSAVE_PA", EX_GP, SHOW(SHOW_OPERAND), "VM_HSAVE_PA must not exceed the physical address width", MSRS)
	ROW_(SMM_CTL_ABSENT, "smm-ctl.absent", "WRMSR to SMM_CTL", EX_GP, SHOW(SHOW_OPERAND), "SMM_CTL exists unless CPUID 8000_0021h EAX bit 9 is 1", MSRS)
	ROW_(SMM_CTL_LOCKED, "smm-ctl.locked", "WRMSR to SMM_CTL", EX_GP, SHOW(SHOW_HWCR, SHOW_OPERAND), "HWCR.SMMLOCK must be 0", MSRS,
	     .fix = "where the firmware has left a key: write it to SMM_KEY (MSR 0xc0010119)")
	ROW_(SMM_CTL_RESERVED, "smm-ctl.reserved", "WRMSR to SMM_CTL", EX_GP, SHOW(SHOW_OPERAND), "bits 63:5 of SMM_CTL must be 0", MSRS)
	ROW_(SMM_CTL_READ, "smm-ctl.write-only", "RDMSR of SMM_CTL", EX_GP, SHOW(0), "SMM_CTL may be written only", MSRS)
	ROW_(TSC_RATIO_RESERVED, "tsc-ratio.reserved", "WRMSR to TSC_RATIO", EX_GP, SHOW(SHOW_OPERAND), "bits 63:40 of TSC_RATIO must be 0", "APM 2 \"TSC Ratio MSR\"")
	ROW_(DOORBELL_RESERVED, "avic-doorbell.reserved", "WRMSR to AVIC_DOORBELL", EX_GP, SHOW(SHOW_OPERAND), "the doorbell takes an APIC ID: bits 63:12 must be 0", "APM 2 \"Doorbell Register\"")
	ROW_(DOORBELL_READ, "avic-doorbell.write-only", "RDMSR of AVIC_DOORBELL", EX_GP, SHOW(0), "AVIC_DOORBELL may be written only", "APM 2 \"Doorbell Register\"")
};
/* clang-format on */

/* ---- telling ---- */

/* A register. */
static void show_register(const struct cpu *c, u8 what, u64 operand, struct check_field *f)
{
	struct words w = {f->decoded, sizeof(f->decoded), 0};

	switch (what) {
	case SHOW_CR0:
		*f = (struct check_field){.name = "CR0", .value = c->cr0, .width = 4};
		arch_bits(&w, &arch_cr0_names, c->cr0, CR0_PE);
		break;
	case SHOW_VM: *f = (struct check_field){.name = "RFLAGS.VM", .value = (c->rflags & FL_VM) != 0}; break;
	case SHOW_EFER:
		*f = (struct check_field){.name = "EFER", .value = c->efer, .width = 4};
		arch_bits(&w, &arch_efer_names, c->efer, EFER_SVME);
		break;
	case SHOW_CPL: *f = (struct check_field){.name = "CPL", .value = c->cpl}; break;
	case SHOW_RAX: *f = (struct check_field){.name = "rAX", .value = operand}; break;
	case SHOW_OPERAND: *f = (struct check_field){.name = "value", .value = operand}; break;
	case SHOW_ECX: *f = (struct check_field){.name = "ECX", .value = (u32)c->r[REG_RCX], .width = 4}; break;
	case SHOW_EDX: *f = (struct check_field){.name = "EDX", .value = (u32)c->r[REG_RDX], .width = 4}; break;
	case SHOW_VM_CR:
		*f = (struct check_field){.name = "VM_CR", .value = c->vm_cr};
		svm_decode_vm_cr(f->decoded, sizeof(f->decoded), c->vm_cr);
		break;
	case SHOW_HSAVE: *f = (struct check_field){.name = "VM_HSAVE_PA", .value = c->vm_hsave_pa}; break;
	default:
		*f = (struct check_field){.name = "HWCR", .value = c->hwcr};
		words_add(&w, "SMMLOCK %u", (unsigned)(c->hwcr & HWCR_SMMLOCK));
		break;
	}
}

/* Of the VMCB that the instruction ran under. */
static void show_block(const struct cpu *c, unsigned offset, struct check_field *f)
{
	const struct svm_image *v = &svm_of(c)->image[svm_of(c)->cur];

	*f = (struct check_field){
	        .name = vmcb_field_at(offset)->name, .value = svm_field_value(v, offset), .keyed = true, .key = offset};
	svm_decode_field(f->decoded, sizeof(f->decoded), v, NULL, offset);
}

static void show(const struct cpu *c, struct refusal *r, u8 what, u64 operand)
{
	static const u16 block[] = {[SHOW_INTERCEPTS - SHOW_INTERCEPTS] = CTL_AT(word4),
	                            [SHOW_NESTED_CTL - SHOW_INTERCEPTS] = CTL_AT(nested_ctl),
	                            [SHOW_VIRT_EXT - SHOW_INTERCEPTS] = CTL_AT(virt_ext)};

	if (what < SHOW_INTERCEPTS)
		show_register(c, what, operand, &r->field[r->fields++]);
	else if (c->guest)
		show_block(c, block[what - SHOW_INTERCEPTS], &r->field[r->fields++]);
}

/* Of the culprit: which bits are wrong, or how many there may be. */
static void show_wrong(const struct cpu *c, enum svm_cause why, u64 wrong, struct check_field *f)
{
	struct words w = {f->decoded, sizeof(f->decoded), 0};

	if (why == SVM_INVLPGB_COUNT)
		words_add(&w, "%u pages beyond the first, this processor takes up to %u", (unsigned)(f->value & 0xffff), SVM_INVLPGB_MAX);
	if (why == SVM_INVLPGB_ASID)
		words_add(&w, "ASID 0x%x, this processor has 0 to 0x%x", (unsigned)(f->value & 0xffff), SVM_ASIDS - 1);
	if (!wrong)
		return;
	arch_bit_list(&w, wrong);
	words_add(&w, " must be 0");
	if (wrong >> c->phys_bits && svm_causes[why].shows[0] != SHOW_ECX)
		words_add(&w, ", %u physical address bits", c->phys_bits);
}

/* Whose guest it is: another maker's instruction may run in one, too. */
static bool in_guest(const struct cpu *c)
{
	return c->guest && has(c, FEAT_SVM);
}

/* words: of the culprit, too. */
static cold void tell(struct cpu *c, enum svm_cause why, u64 rip, u64 operand, u64 wrong, const char *words)
{
	const struct svm_cause_row *row = &svm_causes[why];
	char event[80];
	struct refusal r = {
	        .kind = REFUSAL_INSN,
	        .event = event,
	        .check = row->id,
	        .rule = row->rule,
	        .manual = row->manual,
	        .then = "nothing of the instruction was done",
	        .fix = row->fix,
	        .guest = in_guest(c) ? svm_of(c)->vmcb_pa : UINT64_MAX,
	        .code = row->vector,
	        .rip = rip,
	        .insn = c->insns,
	        .cpu = c->index,
	};

	if (!c->hooks->refused)
		return;
	snprintf(event, sizeof(event), "%s refused: %s", row->insn, row->vector == EX_UD ? "#UD" : "#GP(0)");
	for (unsigned n = 0; n < ARRAY_LEN(row->shows) && row->shows[n]; n++)
		show(c, &r, row->shows[n], operand);
	if (r.fields)
		show_wrong(c, why, wrong, &r.field[0]);
	if (r.fields && words[0])
		snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "%s", words);
	if (in_guest(c)) {
		r.line[r.lines] = (struct refusal_line){.label = "note"};
		snprintf(r.line[r.lines++].text, sizeof(r.line[0].text), "in the guest of VMCB 0x%" PRIx64, r.guest);
	}
	c->hooks->refused(c->hooks->arg, c, &r);
}

cold enum xr svm_refuse(struct cpu *c, const struct insn *i, enum svm_cause why, u64 operand, u64 wrong)
{
	tell(c, why, insn_rip(c, i), operand, wrong, "");
	return svm_causes[why].vector == EX_UD ? fault_ud(c) : fault_gp(c, 0);
}

cold bool svm_refuse_msr(struct cpu *c, enum svm_cause why, u64 value, u64 wrong)
{
	if (c->cur)
		tell(c, why, insn_rip(c, c->cur), value, wrong, "");
	return false;
}

cold void svm_refuse_absent(struct cpu *c, const char *name)
{
	char words[96];

	snprintf(words, sizeof(words), "%s; this processor (%s) has no SVM: use --cpu amd", name, c->model->name);
	if (c->cur)
		tell(c, SVM_MSR_ABSENT, insn_rip(c, c->cur), 0, 0, words);
}

cold void svm_tell_skinit(struct cpu *c, const struct cpu *unprepared, u32 slb, u64 rip)
{
	const struct svm_cause_row *row = &svm_causes[SVM_SKINIT_PROCESSORS];
	struct refusal r = {
	        .kind = REFUSAL_INSN,
	        .event = "SKINIT measured nothing: the processors were not prepared for it",
	        .check = row->id,
	        .rule = row->rule,
	        .manual = row->manual,
	        .then = "the TPM is told of an empty image; the loader runs",
	        .field = {{.name = "processor", .value = unprepared->index}, {.name = "SLB", .value = slb, .width = 4}},
	        .fields = 2,
	        .guest = UINT64_MAX,
	        .rip = rip,
	        .insn = c->insns,
	        .cpu = c->index,
	};

	if (!c->hooks->refused)
		return;
	snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "%s",
	         unprepared == c ? "not the bootstrap processor" : "not in the state that INIT leaves");
	c->hooks->refused(c->hooks->arg, c, &r);
}
