/*
 * What is not compared, each with its reason, and what counts as equal. Nothing is waved through elsewhere: a row that
 * is not in these tables is compared in every bit but its undef_flags.
 */
#include "diff.h"

bool rule_strict;
static const char not_shared[] = "reads what two processors do not share";
static const char enters_kernel[] = "enters the host's kernel";
static const char umip[] = "the host's kernel answers in its place (UMIP)";
static const char loads_segment[] = "loads a segment register: the descriptor tables are the host kernel's";

/* clang-format off */
static const struct {
	u16 mnemonic;
	const char *form; /* NULL: every row of the mnemonic */
	const char *why;
} excluded[] = {
	{ZYDIS_MNEMONIC_CPUID, NULL, not_shared},   {ZYDIS_MNEMONIC_RDTSC, NULL, not_shared},
	{ZYDIS_MNEMONIC_RDTSCP, NULL, not_shared},  {ZYDIS_MNEMONIC_RDPMC, NULL, not_shared},
	{ZYDIS_MNEMONIC_RDRAND, NULL, not_shared},  {ZYDIS_MNEMONIC_RDSEED, NULL, not_shared},
	{ZYDIS_MNEMONIC_RDPID, NULL, not_shared},   {ZYDIS_MNEMONIC_RDPRU, NULL, not_shared},
	{ZYDIS_MNEMONIC_XGETBV, NULL, not_shared},
	{ZYDIS_MNEMONIC_SYSCALL, NULL, enters_kernel}, {ZYDIS_MNEMONIC_SYSENTER, NULL, enters_kernel},
	{ZYDIS_MNEMONIC_INT, NULL, enters_kernel},
	{ZYDIS_MNEMONIC_SGDT, NULL, umip}, {ZYDIS_MNEMONIC_SIDT, NULL, umip}, {ZYDIS_MNEMONIC_SLDT, NULL, umip},
	{ZYDIS_MNEMONIC_STR, NULL, umip},  {ZYDIS_MNEMONIC_SMSW, NULL, umip},
	{ZYDIS_MNEMONIC_LDS, NULL, loads_segment}, {ZYDIS_MNEMONIC_LES, NULL, loads_segment},
	{ZYDIS_MNEMONIC_LSS, NULL, loads_segment}, {ZYDIS_MNEMONIC_LFS, NULL, loads_segment},
	{ZYDIS_MNEMONIC_LGS, NULL, loads_segment}, {ZYDIS_MNEMONIC_IRET, NULL, loads_segment},
	{ZYDIS_MNEMONIC_IRETD, NULL, loads_segment}, {ZYDIS_MNEMONIC_IRETQ, NULL, loads_segment},
	{ZYDIS_MNEMONIC_JMP, "JMP far", loads_segment}, {ZYDIS_MNEMONIC_CALL, "CALL far", loads_segment},
	{ZYDIS_MNEMONIC_RET, "RET far", loads_segment},
	{ZYDIS_MNEMONIC_POP, "POP FS/GS", loads_segment}, {ZYDIS_MNEMONIC_POP, "POP Sreg", loads_segment},
	{ZYDIS_MNEMONIC_SYSEXIT, NULL, "hypervisors under the host emulate it for other vendors' guests"},
	{ZYDIS_MNEMONIC_INT1, NULL, "the address of its #DB depends on the hypervisor under the host"},
	{ZYDIS_MNEMONIC_WRFSBASE, NULL, "would take the test's own thread pointer"},
};
/* clang-format on */

static bool host_has(enum feature f)
{
	const struct feature_info *i = &arch_features[f];
	u32 r[4] = {i->leaf & 0x80000000, 0, 0, 0};

	__asm__ volatile("cpuid" : "+a"(r[0]), "=b"(r[1]), "+c"(r[2]), "=d"(r[3]));
	if (r[0] < i->leaf)
		return false;
	r[EAX] = i->leaf;
	r[ECX] = i->subleaf;
	__asm__ volatile("cpuid" : "+a"(r[0]), "=b"(r[1]), "+c"(r[2]), "=d"(r[3]));
	return (r[i->reg] >> i->bit) & 1;
}

const char *rule_excluded(const struct cpu *c, const struct insn_row *row, enum diff_mode mode)
{
	for (size_t n = 0; n < ARRAY_LEN(excluded); n++)
		if (excluded[n].mnemonic == row->mnemonic &&
		    (!excluded[n].form || !strcmp(excluded[n].form, row->form)))
			return excluded[n].why;
	if (row->feature && !has(c, (enum feature)row->feature))
		return "not in the model";
	if (row->feature && !host_has((enum feature)row->feature))
		return "the host lacks it";
	if (mode != DIFF_64 && (row->flags & ROW_ONLY64))
		return "64-bit mode only";
	if (mode == DIFF_64 && (row->flags & ROW_NOT64))
		return "not in 64-bit mode";
	return NULL;
}

/* What decode/adapter.c corrects, too: no base register with mod = 0 and SIB base 101b. */
void rule_fix_operands(const ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	if (!(zi->attributes & ZYDIS_ATTRIB_HAS_SIB) || zi->raw.modrm.mod != 0 || zi->raw.sib.base != 5)
		return;
	for (unsigned n = 0; n < zi->operand_count; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && ZydisRegisterGetId(op[n].mem.base) == 13) {
			op[n].mem.base = ZYDIS_REGISTER_NONE;
			op[n].mem.disp.value = zi->raw.disp.value;
		}
}

bool rule_is_gather(const struct diff_case *k)
{
	return k->row && strstr(k->row->form, "GATHER") != NULL;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/*
 * Ends that both are right: what the manuals leave to the implementation. Returns the parts of the state that are not
 * compared.
 */
static u32 ignored_by_fault(const struct diff_case *k, const struct diff_end *core, const struct diff_end *host)
{
	const char *f = k->row ? k->row->form : "";
	u32 parts = 0;

	/* Elements that were gathered before the fault are anyone's guess. */
	if (rule_is_gather(k))
		parts |= PART_VECTORS;
	/* Several stores: how many were made before the one that faulted. */
	if (starts(f, "PUSHA") || strstr(f, "SAVE") || starts(f, "FNSTENV"))
		parts |= PART_MEMORY;
	/* Masked operands: which of their bytes is named. */
	if (core->vector == EX_PF && host->vector == EX_PF && strstr(f, "MASKMOV"))
		parts |= PART_CR2;
	return parts;
}

/* clang-format off */
static bool is_prefix(u8 b, enum diff_mode mode)
{
	switch (b) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
	case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	default: return mode == DIFF_64 && (b & 0xf0) == 0x40;
	}
}

/* clang-format on */

static bool has_many_prefixes(const struct diff_case *k)
{
	unsigned n = 0;

	while (n < 15 && is_prefix(k->bytes[n], DIFF_64))
		n++;
	return n >= 3;
}

u32 rule_ignored(const struct diff_case *k, const struct diff_end *core, const struct diff_end *host)
{
	const char *f = k->row ? k->row->form : "";

	if (rule_strict)
		return 0;
	/* "MASKMOVDQU": whether unselected bytes may fault is left open. */
	if ((starts(f, "MASKMOV") || starts(f, "VMASKMOVDQU")) && host->vector >= 0 && core->vector != host->vector)
		return PART_ALL;
	/* Across the canonical boundary, or the end of the address space: the whole operand or its first page. */
	if (host->vector == EX_PF && (core->vector == EX_GP || core->vector == EX_SS) &&
	    (host->cr2 - 0x7ffffffff000 < PAGE_SIZE || host->cr2 >= 0ull - PAGE_SIZE || host->cr2 >> 12 == 0xfffff ||
	     host->cr2 < PAGE_SIZE))
		return PART_ALL;
	/* Invalid, and too long: the length of what is no instruction is anyone's guess. */
	if (k->invalid && host->vector == EX_GP && has_many_prefixes(k))
		return PART_ALL;
	/* Misaligned, and beyond the limit or not canonical: either comes first. */
	if (((k->row && (k->row->flags & (ROW_SSE | ROW_AVX))) || strstr(f, "SAVE") || strstr(f, "RSTOR")) &&
	    ((core->vector == EX_SS && host->vector == EX_GP) ||
	     (core->vector == EX_GP && (host->vector == EX_SS || host->vector == EX_AC))))
		return PART_ALL;
	return core->vector >= 0 && core->vector == host->vector ? ignored_by_fault(k, core, host) : 0;
}

bool rule_is_rep(const struct diff_case *k)
{
	bool string =
	        k->zi.meta.category == ZYDIS_CATEGORY_STRINGOP || k->zi.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;

	return k->row && string && !strncmp(k->row->form, "REP", 3);
}

bool rule_reads_selector(const struct diff_case *k)
{
	unsigned m = k->row->mnemonic;

	return m == ZYDIS_MNEMONIC_LAR || m == ZYDIS_MNEMONIC_LSL || m == ZYDIS_MNEMONIC_VERR ||
	       m == ZYDIS_MNEMONIC_VERW || !strcmp(k->row->form, "MOV Sreg, r/m16");
}

/* Selectors come from registers, where they can be kept to the local descriptor table; FS is the test's. */
static bool refuses_selector(const struct diff_case *k)
{
	const ZydisDecodedOperand *op = &k->op[k->zi.operand_count_visible - 1];

	return op->type != ZYDIS_OPERAND_TYPE_REGISTER || k->op[0].reg.value == ZYDIS_REGISTER_FS;
}

static bool has_prefix(const struct diff_case *k, u8 prefix)
{
	for (unsigned n = 0; n < k->zi.raw.prefix_count; n++)
		if (k->zi.raw.prefixes[n].value == prefix)
			return true;
	return false;
}

bool rule_refuses(const struct diff_case *k)
{
	unsigned m = k->row->mnemonic;

	if (m == ZYDIS_MNEMONIC_CLZERO && has_prefix(k, 0x64))
		return true;
	if (rule_reads_selector(k) && refuses_selector(k))
		return true;
	/* The result is undefined when the count exceeds the operand size. */
	if ((m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD) && k->op[0].size == 16 &&
	    k->op[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && (k->op[2].imm.value.u & 31) > 16)
		return true;
	/* FS is the thread pointer of the test itself. */
	for (unsigned n = 0; n < k->zi.operand_count; n++)
		if (k->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY && k->op[n].mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
		    k->op[n].mem.segment == ZYDIS_REGISTER_FS)
			return true;
	return false;
}

/* Bytes that nobody decodes are still tried on the host: not those that could reach its kernel or hypervisor, or that
 * are instructions of processors newer than the decoder. */
bool rule_bytes_safe(const u8 *b, size_t n, enum diff_mode mode)
{
	size_t k = 0;

	while (k < n && is_prefix(b[k], mode))
		k++;
	if (k + 3 > n)
		return false;
	if (b[k] == 0xcd || b[k] == 0x62 || (b[k] == 0xd5 && mode == DIFF_64) || b[k] == 0xea || b[k] == 0x9a)
		return false;
	if (b[k] != 0x0f)
		return true;
	if (b[k + 1] == 0x05 || b[k + 1] == 0x34 || b[k + 1] == 0x07 || b[k + 1] == 0x35)
		return false;
	return b[k + 1] != 0x01 && b[k + 1] != 0xae && b[k + 1] != 0xc7 && b[k + 1] != 0x0f;
}

/* ---- flags ---- */

static int shift_count(const struct diff_case *k)
{
	const ZydisDecodedOperand *last = &k->op[k->zi.operand_count_visible - 1];
	unsigned n = last->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? (u8)last->imm.value.u : (u8)k->in.r[REG_RCX];

	return (int)(n & (k->op[0].size == 64 ? 63 : 31));
}

/* clang-format off */
/* Shifts by 0 and 1 leave less undefined than the row, which knows no count: "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR". */
u32 rule_undefined(const struct diff_case *k)
{
	if (!k->row)
		return 0;
	switch (k->row->mnemonic) {
	case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_ROL: case ZYDIS_MNEMONIC_ROR: case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
	case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD: {
		int n = shift_count(k);
		u32 u = k->row->undef_flags;

		if (n == 0)
			return 0;
		if (n == 1)
			u &= ~(u32)FL_OF;
		return n < (int)k->op[0].size ? u & ~(u32)FL_CF : u;
	}
	default: return k->row->undef_flags;
	}
}

/* ---- approximations ---- */

enum tolerance rule_tolerance(const struct insn_row *row)
{
	if (!row)
		return TOL_EXACT;
	switch (row->mnemonic) {
	case ZYDIS_MNEMONIC_FSIN: case ZYDIS_MNEMONIC_FCOS: case ZYDIS_MNEMONIC_FSINCOS: case ZYDIS_MNEMONIC_FPTAN:
	case ZYDIS_MNEMONIC_FPATAN: case ZYDIS_MNEMONIC_F2XM1: case ZYDIS_MNEMONIC_FYL2X: case ZYDIS_MNEMONIC_FYL2XP1:
		return TOL_X87_TRANSCENDENTAL;
	case ZYDIS_MNEMONIC_RCPPS: case ZYDIS_MNEMONIC_RCPSS: case ZYDIS_MNEMONIC_RSQRTPS: case ZYDIS_MNEMONIC_RSQRTSS:
	case ZYDIS_MNEMONIC_VRCPPS: case ZYDIS_MNEMONIC_VRCPSS:
	case ZYDIS_MNEMONIC_VRSQRTPS: case ZYDIS_MNEMONIC_VRSQRTSS:
		return TOL_RECIPROCAL;
	default: return TOL_EXACT;
	}
}

/* clang-format on */
u16 rule_sw_mask(const struct diff_case *k)
{
	if (rule_tolerance(k->row) == TOL_X87_TRANSCENDENTAL)
		return (u16)~0x200u;
	return 0xffff;
}

const char *rule_note(const struct insn_row *row)
{
	if (rule_tolerance(row) == TOL_X87_TRANSCENDENTAL)
		return "result within 2 units in the last place; C1 (rounded up) follows the approximation";
	if (rule_tolerance(row) == TOL_RECIPROCAL)
		return "result within twice the relative error bound of 1.5 * 2^-12";
	return NULL;
}
