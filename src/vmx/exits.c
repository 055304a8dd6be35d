/*
 * The VM exits, one row for each basic reason: its name, the intercepts that lead to it, what its qualification is made
 * of, and which of the other fields it fills. "Basic VM-Exit Reasons", "Exit Qualification", "Information for VM Exits
 * Due to Instruction Execution", "Saving Non-Register State".
 */
#include "cpu/exec/exec.h"
#include "vmx/vmx.h"

/* ---- what qualifications are made of, where the intercept is an instruction's ---- */

static u64 given(const struct vmx_asked *a)
{
	return a->q;
}

static unsigned gpr(u8 offset)
{
	return offset / 8 & 15;
}

/* "Exit Qualification for Control-Register Accesses", "... for MOV DR" */
static u64 register_access(const struct vmx_asked *a)
{
	bool dr = a->id >= ICPT_DR0_READ;
	bool read = dr ? a->id < ICPT_DR0_WRITE : a->id < ICPT_CR0_WRITE;
	u64 reg = gpr(read ? a->insn->r0 : a->insn->r1);

	return (((unsigned)a->id - ICPT_CR0_READ) & 15) | reg << 8 | (read ? 1ull << 4 : 0);
}

u64 vmx_linear_operand(const struct cpu *c, const struct insn *i)
{
	u64 la = insn_ea(c, i) + (i->flags & INSN_FLAT ? c->sb.base[i->seg] : c->seg[i->seg].base);

	return i->flags & INSN_FLAT ? la : (u32)la;
}

static u64 linear_address(const struct vmx_asked *a)
{
	return vmx_linear_operand(a->c, a->insn);
}

/* Of a memory operand; RIP-relative: with the next instruction's address. */
static u64 displacement(const struct vmx_asked *a)
{
	if (!(a->insn->flags & INSN_MEM))
		return 0;
	return a->insn->base == REG_OFF(REG_RIP) ? a->c->r[REG_RIP] + (u64)a->insn->disp : (u64)a->insn->disp;
}

static u64 monitor_armed(const struct vmx_asked *a)
{
	return a->c->monitor_addr != ~0ull;
}

static u64 wbnoinvd(const struct vmx_asked *a)
{
	return (a->insn->flags & INSN_REP) != 0;
}

/* clang-format off */
#define L VMX_EXIT_LENGTH
#define I (VMX_EXIT_LENGTH | VMX_EXIT_INFO)
#define D VMX_EXIT_KEEPS_DEBUG
#define U VMX_EXIT_UNBLOCKING
#define EXITS(EXIT, ALSO, OTHER) \
	/*   reason  name                                   kind    fields  qualification    intercepts, from and to */ \
	EXIT(0,      "exception or NMI",                    EVENT,  0,      given,           EXC, EXC + 31) \
	ALSO(0,                                                                              NMI, NMI) \
	EXIT(1,      "external interrupt",                  EVENT,  0,      NULL,            INTR, INTR) \
	EXIT(2,      "triple fault",                        EVENT,  0,      NULL,            SHUTDOWN, SHUTDOWN) \
	EXIT(3,      "INIT",                                EVENT,  D,      NULL,            INIT, INIT) \
	EXIT(4,      "SIPI",                                EVENT,  0,      given,           SIPI, SIPI) \
	OTHER(5,      "I/O SMI",                             EVENT,  D,      given) /* SMI, with q[1] */ \
	EXIT(6,      "SMI",                                 EVENT,  D,      NULL,            SMI, SMI) \
	EXIT(7,      "interrupt window",                    EVENT,  0,      NULL,            VINTR, VINTR) \
	EXIT(8,      "NMI window",                          EVENT,  0,      NULL,            NMI_WINDOW, NMI_WINDOW) \
	EXIT(9,      "task switch",                         INSN,   L,      given,           TASK_SWITCH, TASK_SWITCH) \
	EXIT(10,     "CPUID",                               INSN,   L,      NULL,            CPUID, CPUID) \
	EXIT(11,     "GETSEC",                              INSN,   L,      NULL,            GETSEC, GETSEC) \
	EXIT(12,     "HLT",                                 INSN,   L,      NULL,            HLT, HLT) \
	EXIT(13,     "INVD",                                INSN,   L,      NULL,            INVD, INVD) \
	EXIT(14,     "INVLPG",                              INSN,   L,      linear_address,  INVLPG, INVLPG) \
	EXIT(15,     "RDPMC",                               INSN,   L,      NULL,            RDPMC, RDPMC) \
	EXIT(16,     "RDTSC",                               INSN,   L,      NULL,            RDTSC, RDTSC) \
	EXIT(17,     "RSM",                                 INSN,   L,      NULL,            RSM, RSM) \
	EXIT(18,     "VMCALL",                              INSN,   L,      NULL,            VMCALL, VMCALL) \
	EXIT(19,     "VMCLEAR",                             INSN,   I,      displacement,    VMCLEAR, VMCLEAR) \
	EXIT(20,     "VMLAUNCH",                            INSN,   L,      NULL,            VMLAUNCH, VMLAUNCH) \
	EXIT(21,     "VMPTRLD",                             INSN,   I,      displacement,    VMPTRLD, VMPTRLD) \
	EXIT(22,     "VMPTRST",                             INSN,   I,      displacement,    VMPTRST, VMPTRST) \
	EXIT(23,     "VMREAD",                              INSN,   I,      displacement,    VMREAD, VMREAD) \
	EXIT(24,     "VMRESUME",                            INSN,   L,      NULL,            VMRESUME, VMRESUME) \
	EXIT(25,     "VMWRITE",                             INSN,   I,      displacement,    VMWRITE, VMWRITE) \
	EXIT(26,     "VMXOFF",                              INSN,   L,      NULL,            VMXOFF, VMXOFF) \
	EXIT(27,     "VMXON",                               INSN,   I,      displacement,    VMXON, VMXON) \
	EXIT(28,     "CR access",                           INSN,   L,      register_access, CR0_READ, CR0_WRITE + 15) \
	EXIT(29,     "MOV DR",                              INSN,   L,      register_access, DR0_READ, DR0_WRITE + 15) \
	EXIT(30,     "I/O instruction",                     INSN,   I,      given,           IOIO, IOIO) \
	EXIT(31,     "RDMSR",                               INSN,   L,      NULL,            MSR, MSR) \
	OTHER(32,     "WRMSR",                               INSN,   L,      NULL) /* MSR, with q[1] */ \
	OTHER(33,     "VM-entry failure, invalid guest state", ENTRY, 0,     given) \
	OTHER(34,     "VM-entry failure, MSR loading",       ENTRY,  0,      given) \
	EXIT(36,     "MWAIT",                               INSN,   L,      monitor_armed,   MWAIT, MWAIT) \
	EXIT(37,     "monitor trap flag",                   EVENT,  D,      NULL,            MTF, MTF) \
	EXIT(39,     "MONITOR",                             INSN,   L,      NULL,            MONITOR, MONITOR) \
	EXIT(40,     "PAUSE",                               INSN,   L,      NULL,            PAUSE, PAUSE) \
	OTHER(41,     "VM-entry failure, machine check",     ENTRY,  0,      NULL) \
	EXIT(43,     "TPR below threshold",                 TRAP,   D,      NULL,            TPR_THRESHOLD, TPR_THRESHOLD) \
	EXIT(44,     "APIC access",                         ACCESS, L,      given,           APIC_ACCESS, APIC_ACCESS) \
	EXIT(45,     "virtualized EOI",                     TRAP,   D,      given,           VIRTUAL_EOI, VIRTUAL_EOI) \
	EXIT(46,     "GDTR or IDTR access",                 INSN,   I,      displacement,    IDTR_READ, GDTR_READ) \
	ALSO(46,                                                                             IDTR_WRITE, GDTR_WRITE) \
	EXIT(47,     "LDTR or TR access",                   INSN,   I,      displacement,    LDTR_READ, TR_READ) \
	ALSO(47,                                                                             LDTR_WRITE, TR_WRITE) \
	EXIT(48,     "EPT violation",                       ACCESS, L | U,  given,           STAGE2, STAGE2) \
	EXIT(49,     "EPT misconfiguration",                ACCESS, L,      NULL,            STAGE2_MISCONFIG, STAGE2_MISCONFIG) \
	EXIT(50,     "INVEPT",                              INSN,   I,      displacement,    INVEPT, INVEPT) \
	EXIT(51,     "RDTSCP",                              INSN,   L,      NULL,            RDTSCP, RDTSCP) \
	EXIT(52,     "preemption timer",                    EVENT,  0,      NULL,            PREEMPTION_TIMER, PREEMPTION_TIMER) \
	EXIT(53,     "INVVPID",                             INSN,   I,      displacement,    INVVPID, INVVPID) \
	EXIT(54,     "WBINVD",                              INSN,   L,      wbnoinvd,        WBINVD, WBINVD) \
	EXIT(55,     "XSETBV",                              INSN,   L,      NULL,            XSETBV, XSETBV) \
	EXIT(56,     "APIC write",                          TRAP,   D,      given,           APIC_WRITE, APIC_WRITE) \
	EXIT(57,     "RDRAND",                              INSN,   I,      NULL,            RDRAND, RDRAND) \
	EXIT(58,     "INVPCID",                             INSN,   I,      displacement,    INVPCID, INVPCID) \
	EXIT(59,     "VMFUNC",                              INSN,   L,      NULL,            VMFUNC, VMFUNC) \
	EXIT(61,     "RDSEED",                              INSN,   I,      NULL,            RDSEED, RDSEED) \
	EXIT(62,     "page-modification log full",          ACCESS, U,      given,           PML_FULL, PML_FULL) \
	EXIT(63,     "XSAVES",                              INSN,   I,      displacement,    XSAVES, XSAVES) \
	EXIT(64,     "XRSTORS",                             INSN,   I,      displacement,    XRSTORS, XRSTORS) \
	EXIT(66,     "SPP-related event",                   ACCESS, L | U,  given,           SPP, SPP) \
	EXIT(67,     "UMWAIT",                              INSN,   I,      NULL,            UMWAIT, UMWAIT) \
	EXIT(68,     "TPAUSE",                              INSN,   I,      NULL,            TPAUSE, TPAUSE) \
	EXIT(74,     "bus lock",                            TRAP,   D,      NULL,            BUSLOCK, BUSLOCK)
/* clang-format on */

#define NOTHING(...)
#define EXIT(reason, text, kind_, fields_, qualification_, first, last)                                                \
	[reason] = {.name = text, .kind = VMX_EXIT_##kind_, .fields = fields_, .qualification = qualification_,        \
	            .described = #qualification_},
#define OTHER(reason, text, kind_, fields_, qualification_)                                                            \
	EXIT(reason, text, kind_, fields_, qualification_, NONE, NONE)
const struct vmx_exit_row vmx_exit_rows[VMX_REASONS] = {EXITS(EXIT, NOTHING, OTHER)};
#undef EXIT
#undef OTHER

/* Reason + 1 by intercept; 0: VMX has no such intercept. */
#define EXIT(reason, text, kind, fields, qualification, first, last) [ICPT_##first... ICPT_##last] = (reason) + 1,
#define ALSO(reason, first, last)                                    [ICPT_##first... ICPT_##last] = (reason) + 1,
static const u8 reason_of[ICPT_COUNT] = {EXITS(EXIT, ALSO, NOTHING)};

unsigned vmx_exit_reason(unsigned icpt)
{
	return reason_of[icpt] ? reason_of[icpt] - 1u : 0;
}
