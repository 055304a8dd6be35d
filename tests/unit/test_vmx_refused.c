/*
 * Instructions of VMX that fail, one for each row of insn_checks.c: which row is told, what the refusal says, and what the
 * architecture has the instruction do: "VMX Instruction Reference", "VM-Instruction Error Numbers". Expected outcomes are the
 * manual's Operation listings.
 */
#include "report.h"
#include "vmx_fixture.h"

#define OPERAND 0x50000ull /* RBX */
#define FAULT_UD 0x600
#define FAULT_GP 0xd00
#define INVALID  0x100

struct refused {
	const char *id;
	const char *model; /* NULL: intel */
	void (*prepare)(struct pc *p);
	u8 code[8];
	unsigned outcome; /* FAULT_UD, FAULT_GP, INVALID or the number of the error */
	const char *event;
	const char *field; /* the culprit: its name, value and words; NULL: not looked at */
};

static char told_id[64], told_event[128], told_field[320];
static unsigned told;

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	const struct check_field *f = &r->field[0];

	(void)arg;
	(void)c;
	told++;
	assert_int_equal(r->kind, REFUSAL_INSN);
	snprintf(told_id, sizeof(told_id), "%s", r->check);
	snprintf(told_event, sizeof(told_event), "%s", r->event);
	snprintf(told_field, sizeof(told_field), "%s = 0x%llx%s%s", f->name, (unsigned long long)f->value, f->decoded[0] ? ": " : "",
	         f->decoded);
}

/* ---- the states ---- */

static void operand(struct pc *p, u64 low, u64 high)
{
	bus_write_u64(&p->bus, OPERAND, low);
	bus_write_u64(&p->bus, OPERAND + 8, high);
}

/* Ready for VMXON, with a region that it accepts. */
static void outside(struct pc *p)
{
	p->c->cr4 |= CR4_VMXE;
	p->c->feature_control = 5;
	bus_write_u32(&p->bus, VMXON_PA, vmx_revision(p->c));
	bus_write_u32(&p->bus, VMCS_PA, vmx_revision(p->c));
	operand(p, VMXON_PA, 0);
}

static void in_root(struct pc *p)
{
	outside(p);
	p->c->virt_root = true;
	vmx_of(p->c)->vmxon_pa = VMXON_PA;
	vmx_of(p->c)->current = VMCS_NONE;
	operand(p, VMCS_PA, 0);
}

static void with_vmcs(struct pc *p)
{
	in_root(p);
	vmx_region_enter(p->c, VMCS_PA, false);
}

static void in_guest(struct pc *p)
{
	with_vmcs(p);
	vmcs_set(vmx_of(p->c), VMCS_LINK_POINTER, ~0ull);
	p->c->guest = true;
}

static void real(struct pc *p)
{
	in_root(p);
	p->c->cr0 &= ~(u64)(CR0_PE | CR0_PG);
	p->c->efer &= ~(u64)EFER_LMA;
	p->c->seg[SEG_CS].ar &= ~(u32)AR_L;
}
static void real_mode_only(struct pc *p)
{
	p->c->cr0 &= ~(u64)(CR0_PE | CR0_PG);
	p->c->efer &= ~(u64)EFER_LMA;
	p->c->seg[SEG_CS].ar &= ~(u32)AR_L;
}
static void v86(struct pc *p)
{
	in_root(p);
	p->c->efer &= ~(u64)(EFER_LMA | EFER_LME);
	p->c->seg[SEG_CS].ar &= ~(u32)AR_L;
	flags_set(p->c, FL_VM | FL_1);
}
static void compatibility(struct pc *p)
{
	in_root(p);
	p->c->seg[SEG_CS].ar = (p->c->seg[SEG_CS].ar & ~(u32)AR_L) | AR_DB;
}
static void user(struct pc *p)
{
	with_vmcs(p);
	p->c->cpl = 3;
}
static void user_outside(struct pc *p)
{
	outside(p);
	p->c->cpl = 3;
}
static void no_vmxe(struct pc *p)
{
	outside(p);
	p->c->cr4 &= ~(u64)CR4_VMXE;
}
static void no_ne(struct pc *p)
{
	outside(p);
	p->c->cr0 &= ~(u64)CR0_NE;
}
static void a20m(struct pc *p)
{
	outside(p);
	bus_mask_a20(&p->bus, true);
}
static void unlocked(struct pc *p)
{
	outside(p);
	p->c->feature_control = 4;
}
static void disabled(struct pc *p)
{
	outside(p);
	p->c->feature_control = 3;
}
static void on_odd(struct pc *p)
{
	outside(p);
	operand(p, VMXON_PA + 0x80, 0);
}
static void on_wide(struct pc *p)
{
	outside(p);
	operand(p, 1ull << 46 | VMXON_PA, 0);
}
static void on_revision(struct pc *p)
{
	outside(p);
	bus_write_u32(&p->bus, VMXON_PA, 0x1234);
}
static void on_shadow(struct pc *p)
{
	outside(p);
	bus_write_u32(&p->bus, VMXON_PA, 0x80545301);
}
static void dual(struct pc *p)
{
	with_vmcs(p);
	vmx_of(p->c)->dual = true;
	vmx_of(p->c)->transfer = 0x43000;
}
static void odd(struct pc *p)
{
	with_vmcs(p);
	operand(p, VMCS_PA + 8, 0);
}
static void wide(struct pc *p)
{
	with_vmcs(p);
	operand(p, 1ull << 50, 0);
}
static void wide_alone(struct pc *p)
{
	in_root(p);
	operand(p, 1ull << 50, 0);
}
static void region(struct pc *p)
{
	with_vmcs(p);
	operand(p, VMXON_PA, 0);
}
static void revision(struct pc *p)
{
	with_vmcs(p);
	bus_write_u32(&p->bus, 0x45000, 0x545300);
	operand(p, 0x45000, 0);
}
static void shadow(struct pc *p)
{
	with_vmcs(p);
	bus_write_u32(&p->bus, 0x45000, vmx_revision(p->c) | BIT(31));
	operand(p, 0x45000, 0);
}
static void shadow_current(struct pc *p)
{
	with_vmcs(p);
	vmx_of(p->c)->is_shadow = true;
}
static void encoding_none(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = 0x681e;
}
static void encoding_in_guest(struct pc *p)
{
	in_guest(p);
	p->c->r[REG_RAX] = 0x681f;
}
static void encoding_unknown(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0x6a00;
}
static void encoding_lacking(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0x2818;
}
static void encoding_high_half(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0x4001;
}
static void encoding_wide(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0x10000681eull;
}
static void encoding_read_only(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0x4402;
}
static void called_in_smm(struct pc *p)
{
	with_vmcs(p);
	p->c->smm = true;
}
static void monitored(struct pc *p)
{
	in_root(p);
	vmx_of(p->c)->smm_ctl = 0x60000 | SMM_CTL_VALID;
}
static void launched(struct pc *p)
{
	with_vmcs(p);
	vmx_of(p->c)->smm_ctl = 0x60000 | SMM_CTL_VALID;
	vmx_of(p->c)->launched = true;
}
/* VM-exit controls that a VMCALL accepts, and MSEG. */
static void clear(struct pc *p)
{
	with_vmcs(p);
	vmx_of(p->c)->smm_ctl = 0x60000 | SMM_CTL_VALID;
	vmcs_set(vmx_of(p->c), VMCS_EXIT_CONTROLS, 0x36dff);
	bus_write_u32(&p->bus, 0x60000, 0x0054534d);
	bus_write_u32(&p->bus, 0x60004, 1);
}
static void exit_controls(struct pc *p)
{
	clear(p);
	vmcs_set(vmx_of(p->c), VMCS_EXIT_CONTROLS, 0x36dff & ~4u & ~0x100u);
}
static void mseg_revision(struct pc *p)
{
	clear(p);
	bus_write_u32(&p->bus, 0x60000, 0x77);
}
static void mseg_features(struct pc *p)
{
	clear(p);
	bus_write_u32(&p->bus, 0x60004, 3);
}
static void type_5(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 5;
}
static void eptp(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 1;
	operand(p, 0x3007, 0);
}
static void vpid_reserved(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 1;
	operand(p, 0x10001, 0);
}
static void vpid_zero(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 3;
	operand(p, 0, 0);
}
static void vpid_address(struct pc *p)
{
	with_vmcs(p);
	p->c->r[REG_RAX] = 0;
	operand(p, 7, 1ull << 60);
}
static void no_functions(struct pc *p)
{
	in_guest(p);
	p->c->r[REG_RAX] = 0;
}
static void function_64(struct pc *p)
{
	in_guest(p);
	vmcs_set(vmx_of(p->c), VMCS_PROC_CONTROLS, PROC_SECONDARY);
	vmcs_set(vmx_of(p->c), VMCS_PROC2_CONTROLS, PROC2_VMFUNC);
	p->c->r[REG_RAX] = 64;
}

static void write_msr(struct pc *p, u32 index, u64 value)
{
	p->c->r[REG_RCX] = index;
	p->c->r[REG_RAX] = (u32)value;
	p->c->r[REG_RDX] = value >> 32;
}
static void capability(struct pc *p)
{
	write_msr(p, 0x480, 1);
}
static void mseg_msr(struct pc *p)
{
	write_msr(p, 0x9b, 1);
}
static void mseg_msr_bits(struct pc *p)
{
	p->c->smm = true;
	write_msr(p, 0x9b, 0x60801);
}
static void mseg_base(struct pc *p)
{
	write_msr(p, 0x9e, 0x30000);
}
static void control_msr(struct pc *p)
{
	write_msr(p, 0x3a, 5);
}
static void control_msr_locked(struct pc *p)
{
	p->c->feature_control = 1;
	control_msr(p);
}
static void control_msr_smx(struct pc *p)
{
	p->c->feature_control = 0;
	write_msr(p, 0x3a, 0xff07);
}
static void vmxe(struct pc *p)
{
	p->c->r[REG_RAX] = CR4_PAE | CR4_VMXE;
}
static void vmxe_in_smm(struct pc *p)
{
	p->c->smm = true;
	vmxe(p);
}
static void clear_vmxe(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = CR4_PAE;
}
static void set_cr4_31(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = CR4_PAE | CR4_VMXE | BIT(31);
}
static void clear_ne(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = CR0_PE | CR0_PG | CR0_ET;
}
static void set_cr0_40(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = CR0_PE | CR0_NE | CR0_PG | CR0_ET | BIT(40);
}
static void guest_clears_pe(struct pc *p)
{
	in_guest(p);
	p->c->r[REG_RAX] = CR0_NE | CR0_ET;
}
static void unrestricted_clears_ne(struct pc *p)
{
	in_guest(p);
	vmcs_set(vmx_of(p->c), VMCS_PROC_CONTROLS, PROC_SECONDARY);
	vmcs_set(vmx_of(p->c), VMCS_PROC2_CONTROLS, PROC2_UNRESTRICTED);
	p->c->r[REG_RAX] = CR0_ET;
}

/* ---- the rows ---- */

#define I_VMXON    {0xf3, 0x0f, 0xc7, 0x33}
#define I_VMXOFF   {0x0f, 0x01, 0xc4}
#define I_VMCLEAR  {0x66, 0x0f, 0xc7, 0x33}
#define I_VMPTRLD  {0x0f, 0xc7, 0x33}
#define I_VMPTRST  {0x0f, 0xc7, 0x3b}
#define I_VMREAD   {0x0f, 0x78, 0xc1} /* VMREAD RCX, RAX */
#define I_VMWRITE  {0x0f, 0x79, 0xc1} /* VMWRITE RAX, RCX */
#define I_VMLAUNCH {0x0f, 0x01, 0xc2}
#define I_VMRESUME {0x0f, 0x01, 0xc3}
#define I_VMCALL   {0x0f, 0x01, 0xc1}
#define I_VMFUNC   {0x0f, 0x01, 0xd4}
#define I_INVEPT   {0x66, 0x0f, 0x38, 0x80, 0x03} /* RAX, [RBX] */
#define I_INVVPID  {0x66, 0x0f, 0x38, 0x81, 0x03}
#define I_WRMSR    {0x0f, 0x30}
#define I_RDMSR    {0x0f, 0x32}
#define I_CR0      {0x0f, 0x22, 0xc0} /* MOV CR0, RAX */
#define I_CR4      {0x0f, 0x22, 0xe0}
#define CONTROL_EVENT "WRMSR to IA32_FEATURE_CONTROL refused: #GP(0)"
#define MONITOR_EVENT "WRMSR to IA32_SMM_MONITOR_CTL refused: #GP(0)"

/* clang-format off */
static const struct refused rows[] = {
	{"vmx.insn.absent", "intel,-vmx-invept", with_vmcs, I_INVEPT, FAULT_UD, "INVEPT refused: #UD", "CPUID.1:ECX.VMX = 0x1: this processor is intel"},
	{"vmx.insn.absent", "intel,-vmx", NULL, I_VMXON, FAULT_UD, "VMXON refused: #UD", "CPUID.1:ECX.VMX = 0x0: this processor (intel) has no VMX: use --cpu intel"},
	/* no such instruction on another maker's processor, in no mode */
	{"vmx.insn.absent", "amd", NULL, I_VMXON, FAULT_UD, "VMXON refused: #UD", "CPUID.1:ECX.VMX = 0x0: this processor (amd) has no VMX: use --cpu intel"},
	{"vmx.insn.absent", "amd", real_mode_only, I_VMPTRLD, FAULT_UD, "VMPTRLD refused: #UD", NULL},
	{"vmx.insn.absent", "amd", NULL, I_VMREAD, FAULT_UD, "VMREAD refused: #UD", NULL},
	{"vmx.insn.absent", "plain", NULL, I_VMCALL, FAULT_UD, "VMCALL refused: #UD", "CPUID.1:ECX.VMX = 0x0: this processor (plain) has no VMX: use --cpu intel"},
	{"vmx.insn.absent", "pacifica", NULL, I_INVEPT, FAULT_UD, "INVEPT refused: #UD", NULL},
	{"vmx.insn.absent", "amd", NULL, I_VMFUNC, FAULT_UD, "VMFUNC refused: #UD", NULL},
	{"vmx.insn.real-mode", NULL, real, I_VMXON, FAULT_UD, "VMXON refused: #UD", "CR0 = 0x30: ET NE; PE 0"},
	{"vmx.insn.v86", NULL, v86, I_VMPTRLD, FAULT_UD, "VMPTRLD refused: #UD", "RFLAGS = 0x20002: VM"},
	{"vmx.insn.compatibility", NULL, compatibility, I_VMREAD, FAULT_UD, "VMREAD refused: #UD",
	 "CS access rights = 0xc09b: type 11 (code execute/read accessed), DPL 0, S 1, P 1, L 0, D/B 1, G 1"},
	{"vmx.insn.compatibility", NULL, compatibility, I_VMCALL, FAULT_UD, "VMCALL refused: #UD",
	 "CS access rights = 0xc09b: type 11 (code execute/read accessed), DPL 0, S 1, P 1, L 0, D/B 1, G 1"},
	{"vmx.insn.outside", NULL, outside, I_VMPTRLD, FAULT_UD, "VMPTRLD refused: #UD", "CR4 = 0x2020: PAE VMXE"},
	{"vmx.insn.outside", NULL, no_vmxe, I_VMXOFF, FAULT_UD, "VMXOFF refused: #UD", "CR4 = 0x20: PAE; VMXE 0"},
	{"vmx.insn.outside", NULL, outside, I_VMCALL, FAULT_UD, "VMCALL refused: #UD", "CR4 = 0x2020: PAE VMXE"},
	{"vmx.insn.outside", NULL, outside, I_VMREAD, FAULT_UD, "VMREAD refused: #UD", NULL},
	{"vmx.insn.outside", NULL, outside, I_VMWRITE, FAULT_UD, "VMWRITE refused: #UD", NULL},
	{"vmx.insn.outside", NULL, outside, I_VMLAUNCH, FAULT_UD, "VMLAUNCH refused: #UD", NULL},
	{"vmx.insn.outside", NULL, outside, I_INVVPID, FAULT_UD, "INVVPID refused: #UD", NULL},
	{"vmx.insn.cpl", NULL, user, I_VMCLEAR, FAULT_GP, "VMCLEAR refused: #GP(0)", "CPL = 0x3"},
	{"vmx.insn.cpl", NULL, user, I_VMPTRST, FAULT_GP, "VMPTRST refused: #GP(0)", "CPL = 0x3"},
	{"vmx.insn.cpl", NULL, user, I_VMRESUME, FAULT_GP, "VMRESUME refused: #GP(0)", "CPL = 0x3"},
	{"vmx.insn.cpl", NULL, user, I_VMCALL, FAULT_GP, "VMCALL refused: #GP(0)", "CPL = 0x3"},
	{"vmx.insn.cpl", NULL, user, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)", "CPL = 0x3"},
	{"vmx.insn.cpl", NULL, user_outside, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)", "CPL = 0x3"},

	{"vmx.vmxon.cr4-vmxe", NULL, no_vmxe, I_VMXON, FAULT_UD, "VMXON refused: #UD", "CR4 = 0x20: PAE; VMXE 0"},
	{"vmx.vmxon.cr4-vmxe", "vanderpool", no_vmxe, I_VMXON, FAULT_UD, "VMXON refused: #UD", "CR4 = 0x20: PAE; VMXE 0"},
	{"vmx.vmxon.cr0-fixed", NULL, no_ne, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)",
	 "CR0 = 0x80000011: bit 5 must be 1: FIXED0 0x80000021; PE ET PG; NE 0"},
	{"vmx.vmxon.a20m", NULL, a20m, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)", "A20M = 0x1"},
	{"vmx.vmxon.feature-control-unlocked", NULL, unlocked, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)",
	 "IA32_FEATURE_CONTROL (0x3a) = 0x4: lock 0, VMX inside SMX 0, VMX outside SMX 1"},
	{"vmx.vmxon.feature-control-disabled", NULL, disabled, I_VMXON, FAULT_GP, "VMXON refused: #GP(0)",
	 "IA32_FEATURE_CONTROL (0x3a) = 0x3: lock 1, VMX inside SMX 1, VMX outside SMX 0"},
	{"vmx.vmxon.alignment", NULL, on_odd, I_VMXON, INVALID, "VMXON refused: VMfailInvalid", "VMXON pointer = 0x40080: bit 7 must be 0"},
	{"vmx.vmxon.width", NULL, on_wide, I_VMXON, INVALID, "VMXON refused: VMfailInvalid",
	 "VMXON pointer = 0x400000040000: bit 46 must be 0: this processor has 46 physical-address bits"},
	{"vmx.vmxon.revision", NULL, on_revision, I_VMXON, INVALID, "VMXON refused: VMfailInvalid",
	 "first doubleword of the VMXON region = 0x1234: this processor's is 0x545301"},
	{"vmx.vmxon.revision", NULL, on_shadow, I_VMXON, INVALID, "VMXON refused: VMfailInvalid",
	 "first doubleword of the VMXON region = 0x80545301: this processor's is 0x545301, and bit 31 is 1"},
	{"vmx.vmxon.in-root", NULL, with_vmcs, I_VMXON, 15, "VMXON refused: VMfailValid, error 15: VMXON executed in VMX root operation",
	 "VMXON pointer in use = 0x40000"},
	{"vmx.vmxon.in-root", "vanderpool", with_vmcs, I_VMXON, 15, "VMXON refused: ZF is 1: VMXON executed in VMX root operation", NULL},
	{"vmx.vmxon.in-root", NULL, in_root, I_VMXON, INVALID, "VMXON refused: VMfailInvalid: VMXON executed in VMX root operation", NULL},

	{"vmx.vmxoff.dual-monitor", NULL, dual, I_VMXOFF, 23,
	 "VMXOFF refused: VMfailValid, error 23: VMXOFF under dual-monitor treatment of SMIs and SMM", "SMM-transfer VMCS pointer = 0x43000"},

	{"vmx.vmclear.alignment", NULL, odd, I_VMCLEAR, 2, "VMCLEAR refused: VMfailValid, error 2: VMCLEAR with invalid physical address",
	 "operand = 0x41008: bit 3 must be 0"},
	{"vmx.vmclear.width", NULL, wide, I_VMCLEAR, 2, "VMCLEAR refused: VMfailValid, error 2: VMCLEAR with invalid physical address",
	 "operand = 0x4000000000000: bit 50 must be 0: this processor has 46 physical-address bits"},
	{"vmx.vmclear.width", NULL, wide_alone, I_VMCLEAR, INVALID, "VMCLEAR refused: VMfailInvalid: VMCLEAR with invalid physical address", NULL},
	{"vmx.vmclear.vmxon-pointer", NULL, region, I_VMCLEAR, 3, "VMCLEAR refused: VMfailValid, error 3: VMCLEAR with VMXON pointer", "operand = 0x40000"},

	{"vmx.vmptrld.alignment", NULL, odd, I_VMPTRLD, 9, "VMPTRLD refused: VMfailValid, error 9: VMPTRLD with invalid physical address", NULL},
	{"vmx.vmptrld.width", NULL, wide, I_VMPTRLD, 9, "VMPTRLD refused: VMfailValid, error 9: VMPTRLD with invalid physical address", NULL},
	{"vmx.vmptrld.vmxon-pointer", NULL, region, I_VMPTRLD, 10, "VMPTRLD refused: VMfailValid, error 10: VMPTRLD with VMXON pointer", NULL},
	{"vmx.vmptrld.revision", NULL, revision, I_VMPTRLD, 11,
	 "VMPTRLD refused: VMfailValid, error 11: VMPTRLD with incorrect VMCS revision identifier",
	 "first doubleword of the VMCS region = 0x545300: this processor's is 0x545301"},
	{"vmx.vmptrld.shadow", "intel,-vmx-shadow-vmcs", shadow, I_VMPTRLD, 11,
	 "VMPTRLD refused: VMfailValid, error 11: VMPTRLD with incorrect VMCS revision identifier",
	 "first doubleword of the VMCS region = 0x80545301"},

	{"vmx.vmread.no-vmcs", NULL, encoding_none, I_VMREAD, INVALID, "VMREAD refused: VMfailInvalid", "field encoding = 0x681e: Guest RIP (0x681e)"},
	{"vmx.vmread.no-link", NULL, encoding_in_guest, I_VMREAD, INVALID, "VMREAD refused: VMfailInvalid", "field encoding = 0x681f: not in the list of fields"},
	{"vmx.vmread.unsupported", NULL, encoding_unknown, I_VMREAD, 12,
	 "VMREAD refused: VMfailValid, error 12: VMREAD/VMWRITE from/to unsupported VMCS component", "field encoding = 0x6a00: not in the list of fields"},
	{"vmx.vmread.unsupported", NULL, encoding_lacking, I_VMREAD, 12,
	 "VMREAD refused: VMfailValid, error 12: VMREAD/VMWRITE from/to unsupported VMCS component",
	 "field encoding = 0x2818: Guest IA32_PKRS (0x2818): this processor lacks it"},
	{"vmx.vmread.unsupported", NULL, encoding_high_half, I_VMREAD, 12,
	 "VMREAD refused: VMfailValid, error 12: VMREAD/VMWRITE from/to unsupported VMCS component", "field encoding = 0x4001: not in the list of fields"},
	{"vmx.vmread.unsupported", NULL, encoding_wide, I_VMREAD, 12,
	 "VMREAD refused: VMfailValid, error 12: VMREAD/VMWRITE from/to unsupported VMCS component", "field encoding = 0x10000681e: not in the list of fields"},
	{"vmx.vmwrite.no-vmcs", NULL, encoding_none, I_VMWRITE, INVALID, "VMWRITE refused: VMfailInvalid", NULL},
	{"vmx.vmwrite.no-link", NULL, encoding_in_guest, I_VMWRITE, INVALID, "VMWRITE refused: VMfailInvalid", NULL},
	{"vmx.vmwrite.unsupported", NULL, encoding_unknown, I_VMWRITE, 12,
	 "VMWRITE refused: VMfailValid, error 12: VMREAD/VMWRITE from/to unsupported VMCS component", NULL},
	{"vmx.vmwrite.read-only", "intel,-vmx-vmwrite-vmexit-fields", encoding_read_only, I_VMWRITE, 13,
	 "VMWRITE refused: VMfailValid, error 13: VMWRITE to read-only VMCS component", "field encoding = 0x4402: Exit reason (0x4402)"},

	{"vmx.basic.no-vmcs", NULL, in_root, I_VMLAUNCH, INVALID, "VMLAUNCH refused: VMfailInvalid", "current-VMCS pointer = 0xffffffffffffffff"},
	{"vmx.basic.no-vmcs", NULL, in_root, I_VMRESUME, INVALID, "VMRESUME refused: VMfailInvalid", "current-VMCS pointer = 0xffffffffffffffff"},
	{"vmx.basic.shadow", NULL, shadow_current, I_VMLAUNCH, INVALID, "VMLAUNCH refused: VMfailInvalid", "current-VMCS pointer = 0x41000"},

	{"vmx.vmcall.in-root", "vanderpool", with_vmcs, I_VMCALL, FAULT_UD, "VMCALL refused: #UD", NULL},
	{"vmx.vmcall.in-smm", NULL, called_in_smm, I_VMCALL, 1, "VMCALL refused: VMfailValid, error 1: VMCALL executed in VMX root operation",
	 "IA32_SMM_MONITOR_CTL (0x9b) = 0x0: valid 0"},
	{"vmx.vmcall.no-dual-monitor", "intel,-vmx-dual-monitor", with_vmcs, I_VMCALL, 1,
	 "VMCALL refused: VMfailValid, error 1: VMCALL executed in VMX root operation", NULL},
	{"vmx.vmcall.no-monitor", NULL, with_vmcs, I_VMCALL, 1, "VMCALL refused: VMfailValid, error 1: VMCALL executed in VMX root operation",
	 "IA32_SMM_MONITOR_CTL (0x9b) = 0x0: valid 0"},
	{"vmx.vmcall.no-vmcs", NULL, monitored, I_VMCALL, INVALID, "VMCALL refused: VMfailInvalid", "current-VMCS pointer = 0xffffffffffffffff"},
	{"vmx.vmcall.not-clear", NULL, launched, I_VMCALL, 19, "VMCALL refused: VMfailValid, error 19: VMCALL with non-clear VMCS",
	 "launch state of the current VMCS = 0x1"},
	{"vmx.control.exit.reserved", NULL, exit_controls, I_VMCALL, 20, "VMCALL refused: VMfailValid, error 20: VMCALL with invalid VM-exit control fields", NULL},
	{"vmx.vmcall.mseg-revision", NULL, mseg_revision, I_VMCALL, 22, "VMCALL refused: VMfailValid, error 22: VMCALL with incorrect MSEG revision identifier",
	 "MSEG revision identifier = 0x77: this processor's is 0x54534d"},
	{"vmx.vmcall.mseg-features", NULL, mseg_features, I_VMCALL, 24, "VMCALL refused: VMfailValid, error 24: VMCALL with invalid SMM-monitor features",
	 "SMM-transfer monitor features = 0x3"},

	{"vmx.invept.type", NULL, type_5, I_INVEPT, 28, "INVEPT refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID",
	 "type = 0x5: this processor has 1 (single-context) 2 (all-context)"},
	{"vmx.invept.eptp", NULL, eptp, I_INVEPT, 28, "INVEPT refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID",
	 "EPT pointer = 0x3007: memory type 7 (reserved type), 1 levels, accessed and dirty flags 0"},
	{"vmx.invvpid.type", NULL, type_5, I_INVVPID, 28, "INVVPID refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID",
	 "type = 0x5: this processor has 0 (individual address) 1 (single-context) 2 (all-context) 3 (single-context, retaining globals)"},
	{"vmx.invvpid.reserved", NULL, vpid_reserved, I_INVVPID, 28, "INVVPID refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID",
	 "descriptor bits 63:0 = 0x10001: bit 16 must be 0"},
	{"vmx.invvpid.zero", NULL, vpid_zero, I_INVVPID, 28, "INVVPID refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID", "VPID = 0x0"},
	{"vmx.invvpid.canonical", NULL, vpid_address, I_INVVPID, 28, "INVVPID refused: VMfailValid, error 28: Invalid operand to INVEPT/INVVPID",
	 "linear address = 0x1000000000000000: this processor has 57 linear-address bits"},

	{"vmx.vmfunc.outside-guest", NULL, with_vmcs, I_VMFUNC, FAULT_UD, "VMFUNC refused: #UD", NULL},
	{"vmx.vmfunc.disabled", NULL, no_functions, I_VMFUNC, FAULT_UD, "VMFUNC refused: #UD", NULL},
	{"vmx.vmfunc.number", NULL, function_64, I_VMFUNC, FAULT_UD, "VMFUNC refused: #UD", "EAX = 0x40"},

	{"vmx.cr4.vmxe-absent", "amd", vmxe, I_CR4, FAULT_GP, "MOV to CR4 refused: #GP(0)", "CR4 = 0x2020: bit 13 must be 0; PAE VMXE"},
	{"vmx.cr4.vmxe-absent", "intel,-vmx", vmxe, I_CR4, FAULT_GP, "MOV to CR4 refused: #GP(0)", NULL},
	{"vmx.cr4.vmxe-in-smm", NULL, vmxe_in_smm, I_CR4, FAULT_GP, "MOV to CR4 refused: #GP(0)", "CR4 = 0x2020: bit 13 must be 0; PAE VMXE"},
	{"vmx.cr4.fixed", NULL, clear_vmxe, I_CR4, FAULT_GP, "MOV to CR4 refused: #GP(0)", "CR4 = 0x20: bit 13 must be 1: FIXED0 0x2000; PAE; VMXE 0"},
	{"vmx.cr4.fixed", "core2", set_cr4_31, I_CR4, FAULT_GP, "MOV to CR4 refused: #GP(0)",
	 "CR4 = 0x80002020: bit 31 must be 0: FIXED1 0x27ff; PAE VMXE bit 31"},
	{"vmx.cr0.fixed", NULL, clear_ne, I_CR0, FAULT_GP, "MOV to CR0 refused: #GP(0)",
	 "CR0 = 0x80000011: bit 5 must be 1: FIXED0 0x80000021; PE ET PG; NE 0"},
	{"vmx.cr0.fixed", NULL, set_cr0_40, I_CR0, FAULT_GP, "MOV to CR0 refused: #GP(0)", NULL},
	{"vmx.cr0.fixed", NULL, guest_clears_pe, I_CR0, FAULT_GP, "MOV to CR0 refused: #GP(0)",
	 "CR0 = 0x30: bits 0 31 must be 1: FIXED0 0x80000021; ET NE; PE 0, PG 0"},
	{"vmx.cr0.fixed", NULL, unrestricted_clears_ne, I_CR0, FAULT_GP, "MOV to CR0 refused: #GP(0)",
	 "CR0 = 0x10: bit 5 must be 1: FIXED0 0x20; ET; PE 0, NE 0, PG 0"},

	{"vmx.msr.absent", "amd", control_msr, I_WRMSR, FAULT_GP, "access to an MSR of VMX refused: #GP(0)",
	 "MSR = 0x3a: IA32_FEATURE_CONTROL; this processor (amd) has no VMX: use --cpu intel"},
	{"vmx.msr.absent", "plain", capability, I_RDMSR, FAULT_GP, "access to an MSR of VMX refused: #GP(0)",
	 "MSR = 0x480: IA32_VMX_BASIC; this processor (plain) has no VMX: use --cpu intel"},
	{"vmx.msr.absent", "intel,-vmx", control_msr, I_WRMSR, FAULT_GP, "access to an MSR of VMX refused: #GP(0)", NULL},
	{"vmx.msr.absent", "intel,-vmx-dual-monitor", mseg_msr, I_WRMSR, FAULT_GP, "access to an MSR of VMX refused: #GP(0)",
	 "MSR = 0x9b: IA32_SMM_MONITOR_CTL"},
	{"vmx.msr.read-only", NULL, capability, I_WRMSR, FAULT_GP, "WRMSR to an MSR of VMX refused: #GP(0)", "MSR = 0x480: IA32_VMX_BASIC"},
	{"vmx.msr.read-only", NULL, mseg_base, I_WRMSR, FAULT_GP, "WRMSR to an MSR of VMX refused: #GP(0)", "MSR = 0x9e: IA32_SMBASE"},
	{"vmx.feature-control.locked", NULL, control_msr_locked, I_WRMSR, FAULT_GP, CONTROL_EVENT,
	 "IA32_FEATURE_CONTROL (0x3a) = 0x1: lock 1, VMX inside SMX 0, VMX outside SMX 0"},
	{"vmx.feature-control.reserved", NULL, control_msr_smx, I_WRMSR, FAULT_GP, CONTROL_EVENT, "value = 0xff07: bits 1 8-15 must be 0"},
	{"vmx.smm-monitor-ctl.outside-smm", NULL, mseg_msr, I_WRMSR, FAULT_GP, MONITOR_EVENT, "value = 0x1"},
	{"vmx.smm-monitor-ctl.reserved", NULL, mseg_msr_bits, I_WRMSR, FAULT_GP, MONITOR_EVENT, "value = 0x60801: bit 11 must be 0"},
};
/* clang-format on */

/* ---- one instruction ---- */

static enum xr execute(struct cpu *c, const struct refused *row)
{
	struct insn i = {0};

	cpu_update_mode(c);
	c->r[REG_RBX] = OPERAND;
	c->r[REG_RIP] = HOST_CODE;
	assert_true(decode_bytes(c, c->mode, row->code, sizeof(row->code), &i) > 0);
	c->cur = &i; /* as the run loop leaves it */
	return i.fn(c, &i);
}

static void as_documented(struct cpu *c, const struct refused *row, enum xr r)
{
	const u32 flags = flags_get(c) & (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF);

	switch (row->outcome) {
	case FAULT_UD:
	case FAULT_GP:
		assert_int_equal(r, XR_FAULT);
		assert_int_equal(c->fault.type, EV_HW);
		assert_int_equal(c->fault.vector, row->outcome >> 8);
		assert_int_equal(c->fault.error, 0);
		break;
	case INVALID:
		assert_int_equal(r, XR_OK);
		assert_int_equal(flags, FL_CF);
		break;
	default:
		assert_int_equal(r, XR_OK);
		assert_int_equal(flags, FL_ZF);
		if (!quirk(c, QUIRK_VMX_FIRST))
			assert_int_equal(vmcs_get(vmx_of(c), VMCS_INSN_ERROR), row->outcome);
	}
}

static void one(const struct refused *row)
{
	struct pc *p = pc_new(row->model ? row->model : "intel");

	p->hooks.refused = listen;
	if (row->prepare)
		row->prepare(p);
	told = 0;
	told_id[0] = told_event[0] = told_field[0] = 0;
	as_documented(p->c, row, execute(p->c, row));
	assert_int_equal(told, 1);
	assert_string_equal(told_id, row->id);
	assert_string_equal(told_event, row->event);
	if (row->field)
		assert_string_equal(told_field, row->field);
	/* and the same without a listener */
	bus_mask_a20(&p->bus, false);
	if (row->prepare)
		row->prepare(p);
	p->hooks.refused = NULL;
	as_documented(p->c, row, execute(p->c, row));
	assert_int_equal(told, 1);
	pc_free(p);
}

/* What is #GP for other reasons, and what systems read to learn what there is: nobody is told. */
static void control_msr_read(struct pc *p)
{
	p->c->r[REG_RCX] = 0x3a;
}
static void hsave_read(struct pc *p)
{
	p->c->r[REG_RCX] = 0xc0010117;
}
static void later_capability(struct pc *p)
{
	p->c->r[REG_RCX] = 0x492;
}
static void not_write_through(struct pc *p)
{
	in_root(p);
	p->c->r[REG_RAX] = CR0_PE | CR0_NE | CR0_PG | CR0_ET | CR0_NW;
}
static void cr4_reserved(struct pc *p)
{
	p->c->r[REG_RAX] = CR4_PAE | BIT(31);
}
static void no_such_msr(struct pc *p)
{
	write_msr(p, 0x12345, 1);
}

static void test_quiet(void **state)
{
	static const struct refused quiet[] = {
	        {"", "amd", control_msr_read, I_RDMSR, FAULT_GP, "", NULL},
	        {"", NULL, hsave_read, I_RDMSR, FAULT_GP, "", NULL},
	        {"", "core2", later_capability, I_RDMSR, FAULT_GP, "", NULL},
	        {"", NULL, not_write_through, I_CR0, FAULT_GP, "", NULL},
	        {"", NULL, cr4_reserved, I_CR4, FAULT_GP, "", NULL},
	        {"", "amd", cr4_reserved, I_CR4, FAULT_GP, "", NULL},
	        {"", "amd", no_such_msr, I_WRMSR, FAULT_GP, "", NULL},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(quiet); n++) {
		struct pc *p = pc_new(quiet[n].model ? quiet[n].model : "intel");

		p->hooks.refused = listen;
		told = 0;
		quiet[n].prepare(p);
		as_documented(p->c, &quiet[n], execute(p->c, &quiet[n]));
		assert_int_equal(told, 0);
		pc_free(p);
	}
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		one(&rows[n]);
}

static bool tested(const char *id)
{
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (!strcmp(rows[n].id, id))
			return true;
	return false;
}

/* Every reason that the code can name has a whole row, and an instruction above. */
static void test_complete(void **state)
{
	(void)state;
	for (size_t n = 0; n < VMX_WHYS; n++) {
		const struct vmx_insn_check *k = &vmx_insn_checks[n];

		assert_non_null(k->id);
		assert_non_null(k->rule);
		assert_non_null(k->manual);
		assert_non_null(k->value);
		assert_true(strlen(k->rule) > 10 && strlen(k->rule) <= 160);
		assert_true(tested(k->id));
		for (size_t m = 0; m < n; m++)
			assert_string_not_equal(k->id, vmx_insn_checks[m].id);
	}
}

/* A guest's instruction that exits is no failure: nothing is told. */
static void test_exits(void **state)
{
	struct pc *p = pc_in_vmx();

	(void)state;
	told = 0;
	p->hooks.refused = listen;
	CODE(p, GUEST_CODE, 0x0f, 0xc7, 0x33); /* VMPTRLD */
	vmcs_set(vmx_of(p->c), VMCS_GUEST_RIP, GUEST_CODE);
	assert_int_equal(vmx_step(p, 0, VMLAUNCH), 0);
	assert_int_equal(vmcs_get(vmx_of(p->c), VMCS_EXIT_REASON), 21);
	assert_int_equal(told, 0);
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows), cmocka_unit_test(test_quiet),
	        cmocka_unit_test(test_complete),
	        cmocka_unit_test(test_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
