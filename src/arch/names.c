/* Values in words: the bits of registers by name, access rights, selectors. */
#include "arch/names.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void words_add(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->s + w->n, w->size - w->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->n = min_u64(w->n + (size_t)n, w->size - 1);
}

/* ---- bits of registers. "Control Registers", "EFLAGS Register in IA-32e Mode", "Debug Registers" ---- */

/* clang-format off */
#define NAMES(register_, ...) \
	static const struct bit_name register_##_rows[] = {__VA_ARGS__}; \
	const struct bit_names arch_##register_##_names = {register_##_rows, ARRAY_LEN(register_##_rows)}

NAMES(cr0, {0, 1, "PE"}, {1, 1, "MP"}, {2, 1, "EM"}, {3, 1, "TS"}, {4, 1, "ET"}, {5, 1, "NE"}, {16, 1, "WP"}, {18, 1, "AM"},
      {29, 1, "NW"}, {30, 1, "CD"}, {31, 1, "PG"});
NAMES(cr4, {0, 1, "VME"}, {1, 1, "PVI"}, {2, 1, "TSD"}, {3, 1, "DE"}, {4, 1, "PSE"}, {5, 1, "PAE"}, {6, 1, "MCE"},
      {7, 1, "PGE"}, {8, 1, "PCE"}, {9, 1, "OSFXSR"}, {10, 1, "OSXMMEXCPT"}, {11, 1, "UMIP"}, {12, 1, "LA57"},
      {13, 1, "VMXE"}, {14, 1, "SMXE"}, {16, 1, "FSGSBASE"}, {17, 1, "PCIDE"}, {18, 1, "OSXSAVE"}, {19, 1, "KL"},
      {20, 1, "SMEP"}, {21, 1, "SMAP"}, {22, 1, "PKE"}, {23, 1, "CET"}, {24, 1, "PKS"}, {25, 1, "UINTR"},
      {28, 1, "LAM_SUP"}, {32, 1, "FRED"});
NAMES(efer, {0, 1, "SCE"}, {8, 1, "LME"}, {10, 1, "LMA"}, {11, 1, "NXE"}, {12, 1, "SVME"}, {13, 1, "LMSLE"},
      {14, 1, "FFXSR"}, {15, 1, "TCE"}, {17, 1, "MCOMMIT"}, {18, 1, "INTWB"}, {20, 1, "UAIE"}, {21, 1, "AIBRSE"});
NAMES(rflags, {0, 1, "CF"}, {1, 1, "(1)"}, {2, 1, "PF"}, {4, 1, "AF"}, {6, 1, "ZF"}, {7, 1, "SF"}, {8, 1, "TF"}, {9, 1, "IF"},
      {10, 1, "DF"}, {11, 1, "OF"}, {12, 2, "IOPL"}, {14, 1, "NT"}, {16, 1, "RF"}, {17, 1, "VM"}, {18, 1, "AC"},
      {19, 1, "VIF"}, {20, 1, "VIP"}, {21, 1, "ID"});
NAMES(dr6, {0, 1, "B0"}, {1, 1, "B1"}, {2, 1, "B2"}, {3, 1, "B3"}, {11, 1, "BLD"}, {13, 1, "BD"}, {14, 1, "BS"}, {15, 1, "BT"},
      {16, 1, "RTM"});
NAMES(dr7, {0, 1, "L0"}, {1, 1, "G0"}, {2, 1, "L1"}, {3, 1, "G1"}, {4, 1, "L2"}, {5, 1, "G2"}, {6, 1, "L3"}, {7, 1, "G3"},
      {8, 1, "LE"}, {9, 1, "GE"}, {10, 1, "(1)"}, {11, 1, "RTM"}, {13, 1, "GD"}, {16, 2, "R/W0"}, {18, 2, "LEN0"}, {20, 2, "R/W1"},
      {22, 2, "LEN1"}, {24, 2, "R/W2"}, {26, 2, "LEN2"}, {28, 2, "R/W3"}, {30, 2, "LEN3"});
NAMES(debugctl, {0, 1, "LBR"}, {1, 1, "BTF"}, {2, 1, "BUS_LOCK_DETECT"}, {6, 1, "TR"}, {7, 1, "BTS"}, {8, 1, "BTINT"},
      {9, 1, "BTS_OFF_OS"}, {10, 1, "BTS_OFF_USR"}, {11, 1, "FREEZE_LBRS_ON_PMI"}, {12, 1, "FREEZE_PERFMON_ON_PMI"},
      {13, 1, "ENABLE_UNCORE_PMI"}, {14, 1, "FREEZE_WHILE_SMM"}, {15, 1, "RTM_DEBUG"});
NAMES(xcr0, {0, 1, "x87"}, {1, 1, "SSE"}, {2, 1, "AVX"}, {3, 1, "BNDREG"}, {4, 1, "BNDCSR"}, {5, 1, "opmask"},
      {6, 1, "ZMM_Hi256"}, {7, 1, "Hi16_ZMM"}, {9, 1, "PKRU"}, {17, 1, "TILECFG"}, {18, 1, "TILEDATA"});
NAMES(pf_error, {0, 1, "P"}, {1, 1, "W"}, {2, 1, "U"}, {3, 1, "RSVD"}, {4, 1, "I"}, {5, 1, "PK"}, {6, 1, "SS"});
/* clang-format on */

const char *arch_bit_name(const struct bit_names *names, unsigned bit)
{
	for (size_t n = 0; n < names->count; n++)
		if (names->rows[n].bit == bit && names->rows[n].width == 1)
			return names->rows[n].name;
	return NULL;
}

void arch_bit_list(struct words *w, u64 bits_)
{
	unsigned first = 0;

	words_add(w, "%s", bits_ & (bits_ - 1) ? "bits" : "bit");
	for (unsigned n = 0; n < 64; n++) {
		if (!(bits_ >> n & 1))
			continue;
		if (!n || !(bits_ >> (n - 1) & 1))
			first = n;
		if (n < 63 && (bits_ >> (n + 1) & 1))
			continue;
		if (n == first)
			words_add(w, " %u", n);
		else
			words_add(w, " %u-%u", first, n);
	}
}

static const char *gap(const struct words *w, size_t begin, const char *between)
{
	return w->n > begin ? between : "";
}

/* A bit that is always 1 is worth a word only when it is not. */
static bool is_fixed(const struct bit_name *b)
{
	return b->name[0] == '(';
}

void arch_bits(struct words *w, const struct bit_names *names, u64 value, u64 tell)
{
	const size_t begin = w->n;
	const char *between = "; ";
	u64 rest = value;

	for (const struct bit_name *b = names->rows; b < names->rows + names->count; b++) {
		const u64 field = bits(value, b->bit + b->width - 1u, b->bit);

		rest &= ~mask(b->bit + b->width - 1u, b->bit);
		if (!field || is_fixed(b))
			continue;
		words_add(w, "%s%s", gap(w, begin, " "), b->name);
		if (b->width > 1)
			words_add(w, " %u", (unsigned)field);
	}
	if (rest) {
		words_add(w, "%s", gap(w, begin, " "));
		arch_bit_list(w, rest);
	}
	for (const struct bit_name *b = names->rows; b < names->rows + names->count; b++) {
		if ((value >> b->bit & 1) || !((tell >> b->bit & 1) || is_fixed(b)))
			continue;
		words_add(w, "%s", gap(w, begin, between));
		between = ", ";
		if (is_fixed(b))
			words_add(w, "bit %u 0", b->bit);
		else
			words_add(w, "%s 0", b->name);
	}
	if (w->n == begin)
		words_add(w, "no bit set");
}

/* ---- segments. "Code- and Data-Segment Types", "System-Segment and Gate-Descriptor Types" ---- */

static const char *type_name(u64 ar)
{
	static const char *const code_or_data[16] = {
	        "data read-only", "data read-only accessed", "data read/write", "data read/write accessed",
	        "data read-only expand-down", "data read-only expand-down accessed", "data read/write expand-down",
	        "data read/write expand-down accessed", "code execute-only", "code execute-only accessed", "code execute/read",
	        "code execute/read accessed", "code execute-only conforming", "code execute-only conforming accessed",
	        "code execute/read conforming", "code execute/read conforming accessed",
	};
	static const char *const system[16] = {
	        [SYS_TSS16] = "16-bit TSS", [SYS_LDT] = "LDT", [SYS_TSS16_BUSY] = "busy 16-bit TSS", [SYS_CALL16] = "16-bit call gate",
	        [SYS_TASK] = "task gate", [SYS_INT16] = "16-bit interrupt gate", [SYS_TRAP16] = "16-bit trap gate",
	        [SYS_TSS32] = "TSS", [SYS_TSS32_BUSY] = "busy TSS", [SYS_CALL32] = "call gate", [SYS_INT32] = "interrupt gate",
	        [SYS_TRAP32] = "trap gate",
	};
	const char *name = (ar & AR_S ? code_or_data : system)[ar & AR_TYPE];

	return name ? name : "reserved";
}

void arch_rights(struct words *w, u64 ar)
{
	const u64 reserved = ar & ~(u64)(AR_TYPE | AR_S | AR_DPL | AR_P | AR_AVL | AR_L | AR_DB | AR_G | AR_UNUSABLE);

	words_add(w, "type %u (%s), DPL %u, S %u, P %u, L %u, D/B %u, G %u", (unsigned)(ar & AR_TYPE), type_name(ar),
	          ar_dpl((u32)ar), !!(ar & AR_S), !!(ar & AR_P), !!(ar & AR_L), !!(ar & AR_DB), !!(ar & AR_G));
	if (ar & AR_UNUSABLE)
		words_add(w, ", unusable");
	if (reserved) {
		words_add(w, ", reserved ");
		arch_bit_list(w, reserved);
	}
}

void arch_selector(struct words *w, u16 selector)
{
	words_add(w, "index %u, TI %u, RPL %u", selector >> 3, selector >> 2 & 1u, selector & 3u);
}

const char arch_gpr_names[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                    "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

const char *arch_memory_type(unsigned type)
{
	static const char *const names[8] = {[MT_UC] = "UC", [MT_WC] = "WC", [MT_WT] = "WT", [MT_WP] = "WP", [MT_WB] = "WB", [MT_UCM] = "UC-"};

	return type < 8 && names[type] ? names[type] : "reserved type";
}
