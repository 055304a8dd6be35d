#include "arch/arch.h"
#include "arch/features.h"

/* clang-format off */
/* "Exception and Interrupt Reference"; classes by "Interrupt and Exception Classes" for double faults. */
#define EX(n, t, c, e) { .name = n, .title = t, .class = c, .has_error = e }
const struct ex_info arch_exceptions[32] = {
	[EX_DE]  = EX("#DE", "Divide Error", EXC_CONTRIBUTORY, false),
	[EX_DB]  = EX("#DB", "Debug", EXC_BENIGN, false),
	[EX_NMI] = EX("NMI", "Nonmaskable Interrupt", EXC_BENIGN, false),
	[EX_BP]  = EX("#BP", "Breakpoint", EXC_BENIGN, false),
	[EX_OF]  = EX("#OF", "Overflow", EXC_BENIGN, false),
	[EX_BR]  = EX("#BR", "BOUND Range Exceeded", EXC_BENIGN, false),
	[EX_UD]  = EX("#UD", "Invalid Opcode", EXC_BENIGN, false),
	[EX_NM]  = EX("#NM", "Device Not Available", EXC_BENIGN, false),
	[EX_DF]  = EX("#DF", "Double Fault", EXC_DOUBLE_FAULT, true),
	[EX_CSO] = EX("CSO", "Coprocessor Segment Overrun", EXC_BENIGN, false),
	[EX_TS]  = EX("#TS", "Invalid TSS", EXC_CONTRIBUTORY, true),
	[EX_NP]  = EX("#NP", "Segment Not Present", EXC_CONTRIBUTORY, true),
	[EX_SS]  = EX("#SS", "Stack-Segment Fault", EXC_CONTRIBUTORY, true),
	[EX_GP]  = EX("#GP", "General Protection", EXC_CONTRIBUTORY, true),
	[EX_PF]  = EX("#PF", "Page Fault", EXC_PAGE_FAULT, true),
	[15]     = EX("#15", "Reserved", EXC_BENIGN, false),
	[EX_MF]  = EX("#MF", "x87 FPU Floating-Point Error", EXC_BENIGN, false),
	[EX_AC]  = EX("#AC", "Alignment Check", EXC_BENIGN, true),
	[EX_MC]  = EX("#MC", "Machine Check", EXC_BENIGN, false),
	[EX_XM]  = EX("#XM", "SIMD Floating-Point", EXC_BENIGN, false),
	[EX_VE]  = EX("#VE", "Virtualization", EXC_PAGE_FAULT, false), /* "treated like page faults" for double faults */
	[EX_CP]  = EX("#CP", "Control Protection", EXC_CONTRIBUTORY, true),
	[22]     = EX("#22", "Reserved", EXC_BENIGN, false),
	[23]     = EX("#23", "Reserved", EXC_BENIGN, false),
	[24]     = EX("#24", "Reserved", EXC_BENIGN, false),
	[25]     = EX("#25", "Reserved", EXC_BENIGN, false),
	[26]     = EX("#26", "Reserved", EXC_BENIGN, false),
	[27]     = EX("#27", "Reserved", EXC_BENIGN, false),
	[EX_HV]  = EX("#HV", "Hypervisor Injection", EXC_BENIGN, false),
	[EX_VC]  = EX("#VC", "VMM Communication", EXC_CONTRIBUTORY, true),
	[EX_SX]  = EX("#SX", "Security", EXC_CONTRIBUTORY, true),
	[31]     = EX("#31", "Reserved", EXC_BENIGN, false),
};

const struct feature_info arch_features[FEAT_COUNT] = {
#define FEATURE(id, leaf_, sub, reg_, bit_, name_) \
	[FEAT_##id] = { .name = name_, .leaf = leaf_, .subleaf = sub, .reg = reg_, .bit = bit_ },
	FEATURE_LIST(FEATURE)
#undef FEATURE
};
/* clang-format on */

bool arch_pat_valid(u64 pat)
{
	for (unsigned n = 0; n < 8; n++, pat >>= 8) {
		u8 t = (u8)pat;
		if (t > MT_UCM || t == 2 || t == 3)
			return false;
	}
	return true;
}
