/*
 * The rows of what makes an instruction of VMX fail, but for the checks of VM entry, and of writes to CR0, CR4 and MSRs. "VMX
 * Instruction Reference", "Restrictions on VMX Operation".
 */
#include <inttypes.h>

#include "arch/names.h"
#include "cpu/control/msr.h"
#include "vmx/vmx.h"

/* ---- values in words ---- */

/* "bit 13 must be 1: FIXED0 0x2000; " */
static void fixed(struct words *w, u64 value, u64 fixed0, u64 fixed1)
{
	const u64 missing = fixed0 & ~value, excess = value & ~fixed1;

	if (missing) {
		arch_bit_list(w, missing);
		words_add(w, " must be 1: FIXED0 0x%" PRIx64 "; ", fixed0);
	}
	if (excess) {
		arch_bit_list(w, excess);
		words_add(w, " must be 0: FIXED1 0x%" PRIx64 "; ", fixed1);
	}
}

static void absent(struct words *w, const struct cpu *c, u64 value)
{
	(void)value;
	if (has(c, FEAT_VMX))
		words_add(w, "this processor is %s", c->model->name);
	else
		words_add(w, "this processor (%s) has no VMX: use --cpu intel", c->model->name);
}

static void msr(struct words *w, const struct cpu *c, u64 value)
{
	char name[MSR_NAME_MAX];
	const struct msr_row *r = vmx_msr_row((u32)value);

	words_add(w, "%s", msr_name(r, (u32)value, name));
	if (!has(c, FEAT_VMX)) {
		words_add(w, "; ");
		absent(w, c, value);
	}
}

static void cr0(struct words *w, const struct cpu *c, u64 value)
{
	fixed(w, value, vmx_cr0_fixed0(c), vmx_caps(c)->cr0_fixed1);
	arch_bits(w, &arch_cr0_names, value, CR0_PE | CR0_NE | CR0_PG);
}

static void mode_cr0(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bits(w, &arch_cr0_names, value, CR0_PE);
}

static void cr4(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bits(w, &arch_cr4_names, value, CR4_VMXE);
}

static void fixed_cr4(struct words *w, const struct cpu *c, u64 value)
{
	fixed(w, value, VMX_CR4_FIXED0, vmx_caps(c)->cr4_fixed1);
	cr4(w, c, value);
}

static void cr4_vmxe(struct words *w, const struct cpu *c, u64 value)
{
	arch_bit_list(w, CR4_VMXE);
	words_add(w, " must be 0; ");
	cr4(w, c, value);
}

static void flags(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bits(w, &arch_rflags_names, value, FL_VM);
}

static void rights(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_rights(w, value);
}

static void feature_control(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	words_add(w, "lock %u, VMX inside SMX %u, VMX outside SMX %u", (unsigned)(value & 1), (unsigned)(value >> 1 & 1),
	          (unsigned)(value >> 2 & 1));
}

static void not_feature_control(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bit_list(w, value & ~FEATURE_CONTROL_BITS);
	words_add(w, " must be 0");
}

static void not_monitor_ctl(struct words *w, const struct cpu *c, u64 value)
{
	arch_bit_list(w, value & ~vmx_monitor_ctl_bits(c));
	words_add(w, " must be 0");
}

static void unaligned(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bit_list(w, value & ~PAGE_MASK);
	words_add(w, " must be 0");
}

static void too_wide(struct words *w, const struct cpu *c, u64 value)
{
	arch_bit_list(w, value >> c->phys_bits << c->phys_bits);
	words_add(w, " must be 0: this processor has %u physical-address bits", c->phys_bits);
}

static void revision(struct words *w, const struct cpu *c, u64 value)
{
	words_add(w, "this processor's is 0x%x%s", vmx_revision(c), value & VMCS_SHADOW ? ", and bit 31 is 1" : "");
}

/* A field's encoding: whether there is such a field at all. */
static void field(struct words *w, const struct cpu *c, u64 value)
{
	const bool high = (value & 1) && (value >> 13 & 3) == 1;
	const struct vmcs_field *f = !(value >> 15) && !((value & 1) && !high) ? vmcs_field_at((u32)value) : NULL;

	if (!f)
		words_add(w, "not in the list of fields");
	else if (!vmx_field_exists(vmx_caps(c), (u32)value))
		words_add(w, "%s: this processor lacks it", f->name);
	else
		words_add(w, "%s%s", f->name, high ? ", high half" : "");
}

static void monitor_ctl(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	words_add(w, "valid %u", (unsigned)(value & SMM_CTL_VALID));
}

static void mseg_revision(struct words *w, const struct cpu *c, u64 value)
{
	(void)value;
	words_add(w, "this processor's is 0x%" PRIx64, vmx_caps(c)->misc >> 32);
}

static void invept_type(struct words *w, const struct cpu *c, u64 value)
{
	(void)value;
	words_add(w, "this processor has%s%s", has(c, FEAT_VMX_INVEPT_SINGLE_CONTEXT) ? " 1 (single-context)" : "",
	          has(c, FEAT_VMX_INVEPT_ALL_CONTEXT) ? " 2 (all-context)" : "");
}

static void invvpid_type(struct words *w, const struct cpu *c, u64 value)
{
	(void)value;
	words_add(w, "this processor has%s%s%s%s", has(c, FEAT_VMX_INVVPID_SINGLE_ADDR) ? " 0 (individual address)" : "",
	          has(c, FEAT_VMX_INVVPID_SINGLE_CONTEXT) ? " 1 (single-context)" : "",
	          has(c, FEAT_VMX_INVVPID_ALL_CONTEXT) ? " 2 (all-context)" : "",
	          has(c, FEAT_VMX_INVVPID_SINGLE_CONTEXT_NOGLOBALS) ? " 3 (single-context, retaining globals)" : "");
}

static void eptp(struct words *w, const struct cpu *c, u64 value)
{
	char text[160];

	(void)c;
	vmx_decode_field(text, sizeof(text), VMCS_EPTP, value);
	words_add(w, "%s", text);
}

static void vpid_reserved(struct words *w, const struct cpu *c, u64 value)
{
	(void)c;
	arch_bit_list(w, value & ~0xffffull);
	words_add(w, " must be 0");
}

static void noncanonical(struct words *w, const struct cpu *c, u64 value)
{
	(void)value;
	words_add(w, "this processor has %u linear-address bits", vmx_caps(c)->la_bits);
}

static void secondary(struct words *w, const struct cpu *c, u64 value)
{
	char text[160];

	(void)c;
	vmx_decode_field(text, sizeof(text), VMCS_PROC2_CONTROLS, value);
	words_add(w, "%s", text);
}

/* ---- the rows ---- */

/* clang-format off */
#define ROW(name, id_, insns_, outcome_, rule_, manual_, ...) \
	[VMX_WHY_##name] = {.id = "vmx." id_, .insns = insns_, .outcome = outcome_, .rule = rule_, .manual = "SDM 3C \"" manual_ "\"", __VA_ARGS__}
#define CONVENTIONS "VMX Instruction Reference"
#define ANY         "all but VMCALL and VMFUNC"
#define ON          "VMXON"
#define WITH_VMX     "run it with --cpu intel"
#define TO_CR0       "MOV to CR0"
#define TO_CR4       "MOV to CR4"
#define TO_CONTROL   "WRMSR to IA32_FEATURE_CONTROL"
#define RESTRICTIONS "Restrictions on VMX Operation"
#define REVISION_FIX "copy bits 30:0 of IA32_VMX_BASIC (0x480) there"

const struct vmx_insn_check vmx_insn_checks[VMX_WHYS] = {
	ROW(ABSENT, "insn.absent", "all", VMX_WHY_UD, "the processor must have the instruction, which CPUID and IA32_VMX_EPT_VPID_CAP report",
	    "Discovering Support for VMX", .value = "CPUID.1:ECX.VMX", .decode = absent, .fix = WITH_VMX),
	ROW(REAL, "insn.real-mode", ANY, VMX_WHY_UD, "instructions of VMX need protected mode", CONVENTIONS, .value = "CR0", .decode = mode_cr0),
	ROW(V86, "insn.v86", "all but VMFUNC", VMX_WHY_UD, "there are no instructions of VMX in virtual-8086 mode", CONVENTIONS,
	    .value = "RFLAGS", .decode = flags),
	ROW(COMPATIBILITY, "insn.compatibility", "all but VMFUNC", VMX_WHY_UD, "in IA-32e mode instructions of VMX need 64-bit mode: CS.L must be 1",
	    CONVENTIONS, .value = "CS access rights", .decode = rights),
	ROW(OUTSIDE, "insn.outside", "all but VMXON and VMFUNC", VMX_WHY_UD, "the instruction needs VMX operation, which VMXON begins and VMXOFF ends",
	    CONVENTIONS, .value = "CR4", .decode = cr4, .fix = "execute VMXON first, on each processor"),
	ROW(CPL, "insn.cpl", "all but VMFUNC", VMX_WHY_GP, "CPL must be 0", CONVENTIONS, .value = "CPL"),

	ROW(VMXON_VMXE, "vmxon.cr4-vmxe", ON, VMX_WHY_UD, "CR4.VMXE (bit 13) must be 1", ON, .value = "CR4", .decode = cr4,
	    .fix = "set bit 13 of CR4 before VMXON"),
	ROW(VMXON_CR0, "vmxon.cr0-fixed", ON, VMX_WHY_GP, "CR0 must have a value that VMX operation supports: IA32_VMX_CR0_FIXED0 and FIXED1", ON,
	    .value = "CR0", .decode = cr0),
	ROW(VMXON_A20M, "vmxon.a20m", ON, VMX_WHY_GP, "address line 20 must not be masked", ON, .value = "A20M", .fix = "enable A20 by port 92h or the keyboard controller"),
	ROW(VMXON_UNLOCKED, "vmxon.feature-control-unlocked", ON, VMX_WHY_GP, "the lock bit (bit 0) of IA32_FEATURE_CONTROL must be 1", ON,
	    .value = "IA32_FEATURE_CONTROL (0x3a)", .decode = feature_control, .fix = "where firmware has not, write 5 to IA32_FEATURE_CONTROL"),
	ROW(VMXON_DISABLED, "vmxon.feature-control-disabled", ON, VMX_WHY_GP,
	    "IA32_FEATURE_CONTROL must enable VMX outside SMX operation (bit 2), and is locked until a reset", ON,
	    .value = "IA32_FEATURE_CONTROL (0x3a)", .decode = feature_control),
	ROW(VMXON_ALIGNED, "vmxon.alignment", ON, VMX_WHY_INVALID, "the VMXON pointer must be 4-KByte aligned", ON, .value = "VMXON pointer", .decode = unaligned),
	ROW(VMXON_WIDE, "vmxon.width", ON, VMX_WHY_INVALID, "the VMXON pointer must be within the physical-address width", ON,
	    .value = "VMXON pointer", .decode = too_wide),
	ROW(VMXON_REVISION, "vmxon.revision", ON, VMX_WHY_INVALID, "the VMXON region must begin with the VMCS revision identifier, and bit 31 be 0", ON,
	    .value = "first doubleword of the VMXON region", .decode = revision, .operand = "VMXON pointer", .fix = REVISION_FIX),
	ROW(VMXON_ROOT, "vmxon.in-root", ON, 15, "the processor must not be in VMX operation already", ON, .value = "VMXON pointer in use"),

	ROW(VMXOFF_DUAL, "vmxoff.dual-monitor", "VMXOFF", 23, "the dual-monitor treatment of SMIs and SMM must not be active", "VMXOFF",
	    .value = "SMM-transfer VMCS pointer"),

	ROW(VMCLEAR_ALIGNED, "vmclear.alignment", "VMCLEAR", 2, "the VMCS pointer must be 4-KByte aligned", "VMCLEAR", .value = "operand", .decode = unaligned),
	ROW(VMCLEAR_WIDE, "vmclear.width", "VMCLEAR", 2, "the VMCS pointer must be within the physical-address width", "VMCLEAR",
	    .value = "operand", .decode = too_wide),
	ROW(VMCLEAR_VMXON, "vmclear.vmxon-pointer", "VMCLEAR", 3, "the VMXON region is no VMCS", "VMCLEAR", .value = "operand"),

	ROW(VMPTRLD_ALIGNED, "vmptrld.alignment", "VMPTRLD", 9, "the VMCS pointer must be 4-KByte aligned", "VMPTRLD", .value = "operand", .decode = unaligned),
	ROW(VMPTRLD_WIDE, "vmptrld.width", "VMPTRLD", 9, "the VMCS pointer must be within the physical-address width", "VMPTRLD",
	    .value = "operand", .decode = too_wide),
	ROW(VMPTRLD_VMXON, "vmptrld.vmxon-pointer", "VMPTRLD", 10, "the VMXON region is no VMCS", "VMPTRLD", .value = "operand"),
	ROW(VMPTRLD_REVISION, "vmptrld.revision", "VMPTRLD", 11, "bits 30:0 of the region's first doubleword must be the VMCS revision identifier", "VMPTRLD",
	    .value = "first doubleword of the VMCS region", .decode = revision, .operand = "operand", .fix = REVISION_FIX),
	ROW(VMPTRLD_SHADOW, "vmptrld.shadow", "VMPTRLD", 11, "a shadow VMCS (bit 31 of the first doubleword) needs a processor with VMCS shadowing", "VMPTRLD",
	    .value = "first doubleword of the VMCS region", .operand = "operand"),

	ROW(VMREAD_NO_VMCS, "vmread.no-vmcs", "VMREAD", VMX_WHY_INVALID, "there must be a current VMCS", "VMREAD", .value = "field encoding", .decode = field,
	    .operand = "current-VMCS pointer", .fix = "VMPTRLD first"),
	ROW(VMREAD_NO_LINK, "vmread.no-link", "VMREAD", VMX_WHY_INVALID, "in a guest there must be a shadow VMCS at the VMCS link pointer", "VMREAD",
	    .value = "field encoding", .decode = field, .operand = "VMCS link pointer (0x2800)"),
	ROW(VMREAD_FIELD, "vmread.unsupported", "VMREAD", 12, "the field must be one that this processor has", "VMREAD", .value = "field encoding", .decode = field),

	ROW(VMWRITE_NO_VMCS, "vmwrite.no-vmcs", "VMWRITE", VMX_WHY_INVALID, "there must be a current VMCS", "VMWRITE", .value = "field encoding", .decode = field,
	    .operand = "current-VMCS pointer", .fix = "VMPTRLD first"),
	ROW(VMWRITE_NO_LINK, "vmwrite.no-link", "VMWRITE", VMX_WHY_INVALID, "in a guest there must be a shadow VMCS at the VMCS link pointer", "VMWRITE",
	    .value = "field encoding", .decode = field, .operand = "VMCS link pointer (0x2800)"),
	ROW(VMWRITE_FIELD, "vmwrite.unsupported", "VMWRITE", 12, "the field must be one that this processor has", "VMWRITE", .value = "field encoding", .decode = field),
	ROW(VMWRITE_READ_ONLY, "vmwrite.read-only", "VMWRITE", 13, "VM-exit information can be written only where bit 29 of IA32_VMX_MISC says so", "VMWRITE",
	    .value = "field encoding", .decode = field),

	ROW(ENTRY_NO_VMCS, "basic.no-vmcs", "VMLAUNCH, VMRESUME", VMX_WHY_INVALID, "there must be a current VMCS", "VMLAUNCH/VMRESUME",
	    .value = "current-VMCS pointer", .fix = "VMPTRLD first"),
	ROW(ENTRY_SHADOW, "basic.shadow", "VMLAUNCH, VMRESUME", VMX_WHY_INVALID, "a shadow VMCS cannot be entered", "VMLAUNCH/VMRESUME", .value = "current-VMCS pointer"),

	ROW(VMCALL_FIRST, "vmcall.in-root", "VMCALL", VMX_WHY_UD, "2004: VMCALL is there for guests only", "VMCALL", .value = "current-VMCS pointer"),
	ROW(VMCALL_SMM, "vmcall.in-smm", "VMCALL", 1, "in SMM nobody is there to be called", "VMCALL", .value = "IA32_SMM_MONITOR_CTL (0x9b)", .decode = monitor_ctl),
	ROW(VMCALL_ABSENT, "vmcall.no-dual-monitor", "VMCALL", 1,
	    "VMCALL in VMX root operation calls a monitor in SMM, and this processor has no dual-monitor treatment", "VMCALL", .value = "IA32_VMX_BASIC (0x480)"),
	ROW(VMCALL_NO_MONITOR, "vmcall.no-monitor", "VMCALL", 1,
	    "VMCALL in VMX root operation calls a monitor in SMM: IA32_SMM_MONITOR_CTL must say that there is one (bit 0)", "VMCALL",
	    .value = "IA32_SMM_MONITOR_CTL (0x9b)", .decode = monitor_ctl),
	ROW(VMCALL_NO_VMCS, "vmcall.no-vmcs", "VMCALL", VMX_WHY_INVALID, "the VMCALL that activates dual-monitor treatment needs a current VMCS", "Initial Checks",
	    .value = "current-VMCS pointer"),
	ROW(VMCALL_CLEAR, "vmcall.not-clear", "VMCALL", 19, "the VMCS that activates dual-monitor treatment must have a clear launch state", "Initial Checks",
	    .value = "launch state of the current VMCS"),
	ROW(VMCALL_REVISION, "vmcall.mseg-revision", "VMCALL", 22, "MSEG must begin with the revision identifier in bits 63:32 of IA32_VMX_MISC", "MSEG Checking",
	    .value = "MSEG revision identifier", .decode = mseg_revision),
	ROW(VMCALL_FEATURES, "vmcall.mseg-features", "VMCALL", 24,
	    "of the monitor features in MSEG bits 31:1 must be 0, and bit 0, IA-32e mode, be 1 for VMCALL in 64-bit mode", "MSEG Checking",
	    .value = "SMM-transfer monitor features"),

	ROW(INVEPT_TYPE, "invept.type", "INVEPT", 28, "the type must be one that IA32_VMX_EPT_VPID_CAP reports", "INVEPT", .value = "type", .decode = invept_type),
	ROW(INVEPT_EPTP, "invept.eptp", "INVEPT", 28, "the EPT pointer of a single-context invalidation must be one that VM entry would accept", "INVEPT",
	    .value = "EPT pointer", .decode = eptp, .operand = "type"),

	ROW(INVVPID_TYPE, "invvpid.type", "INVVPID", 28, "the type must be one that IA32_VMX_EPT_VPID_CAP reports", "INVVPID", .value = "type", .decode = invvpid_type),
	ROW(INVVPID_RESERVED, "invvpid.reserved", "INVVPID", 28, "bits 63:16 of the descriptor must be 0", "INVVPID", .value = "descriptor bits 63:0",
	    .decode = vpid_reserved, .operand = "type"),
	ROW(INVVPID_ZERO, "invvpid.zero", "INVVPID", 28, "the VPID must not be 0 but for all-context invalidation", "INVVPID", .value = "VPID", .operand = "type"),
	ROW(INVVPID_CANONICAL, "invvpid.canonical", "INVVPID", 28, "the linear address of an individual-address invalidation must be canonical", "INVVPID",
	    .value = "linear address", .decode = noncanonical, .operand = "VPID"),

	ROW(VMFUNC_ROOT, "vmfunc.outside-guest", "VMFUNC", VMX_WHY_UD, "VM functions are for VMX non-root operation", "VMFUNC", .value = "EAX"),
	ROW(VMFUNC_DISABLED, "vmfunc.disabled", "VMFUNC", VMX_WHY_UD, "\"enable VM functions\" must be 1", "VMFUNC", .value = "Secondary processor-based controls (0x401e)",
	    .decode = secondary, .operand = "EAX"),
	ROW(VMFUNC_NUMBER, "vmfunc.number", "VMFUNC", VMX_WHY_UD, "there are no functions above 63", "VMFUNC", .value = "EAX"),

	ROW(CR4_ABSENT, "cr4.vmxe-absent", TO_CR4, VMX_WHY_GP, "CR4.VMXE (bit 13) must be 0: this processor has no VMX", "Enabling and Entering VMX Operation",
	    .value = "CR4", .decode = cr4_vmxe, .fix = WITH_VMX),
	ROW(CR4_SMM, "cr4.vmxe-in-smm", TO_CR4, VMX_WHY_GP, "CR4.VMXE (bit 13) cannot be set in SMM", "Protection of CR4.VMXE in SMM", .value = "CR4", .decode = cr4_vmxe),
	ROW(CR0_FIXED, "cr0.fixed", TO_CR0, VMX_WHY_GP, "in VMX operation CR0 must have the bits that IA32_VMX_CR0_FIXED0 and FIXED1 fix", RESTRICTIONS,
	    .value = "CR0", .decode = cr0),
	ROW(CR4_FIXED, "cr4.fixed", TO_CR4, VMX_WHY_GP, "in VMX operation CR4 must have the bits that IA32_VMX_CR4_FIXED0 and FIXED1 fix", RESTRICTIONS,
	    .value = "CR4", .decode = fixed_cr4),

	ROW(MSR_ABSENT, "msr.absent", "access to an MSR of VMX", VMX_WHY_GP, "the processor must have the MSR, which CPUID and IA32_VMX_BASIC report",
	    "Discovering Support for VMX", .value = "MSR", .decode = msr, .fix = WITH_VMX),
	ROW(MSR_READ_ONLY, "msr.read-only", "WRMSR to an MSR of VMX", VMX_WHY_GP, "this MSR can only be read", "VMX Capability Reporting Facility",
	    .value = "MSR", .decode = msr, .operand = "value"),
	ROW(MSR_LOCKED, "feature-control.locked", TO_CONTROL, VMX_WHY_GP,
	    "while the lock bit (bit 0) is 1 every write fails; only a reset clears it", "Enabling and Entering VMX Operation", .value = "IA32_FEATURE_CONTROL (0x3a)",
	    .decode = feature_control, .operand = "value", .fix = "read it first, and write only where bit 0 is 0"),
	ROW(MSR_RESERVED, "feature-control.reserved", TO_CONTROL, VMX_WHY_GP, "bits of features that the processor lacks, SMX among them, must be 0",
	    "Enabling and Entering VMX Operation", .value = "value", .decode = not_feature_control, .fix = "write 5: locked, with VMX outside SMX operation"),
	ROW(MSR_SMM, "smm-monitor-ctl.outside-smm", "WRMSR to IA32_SMM_MONITOR_CTL", VMX_WHY_GP, "IA32_SMM_MONITOR_CTL can be written in SMM only",
	    "Enabling the Dual-Monitor Treatment", .value = "value"),
	ROW(MSR_MONITOR, "smm-monitor-ctl.reserved", "WRMSR to IA32_SMM_MONITOR_CTL", VMX_WHY_GP, "reserved bits of IA32_SMM_MONITOR_CTL must be 0",
	    "Enabling the Dual-Monitor Treatment", .value = "value", .decode = not_monitor_ctl),
};
/* clang-format on */
