/*
 * The registers as gdb knows them: one description, always that of a 64-bit processor with everything, whatever mode the
 * machine is in and whatever its model has. Names and order of the first ones are gdb's own, the others' those that scripts
 * know. rip is the linear address of the next instruction, so that breakpoints and disassembly mean the same in every mode.
 */
#include "gdb/parts.h"

#include <inttypes.h>

enum kind {
	R_GPR, R_PC, R_IP, R_FLAGS, R_SELECTOR, R_BASE, R_LIMIT, R_RIGHTS, R_ST, R_X87, R_XMM, R_YMMH, R_CR8,
	R_MEMBER, /* of struct cpu: arg is its place */
	R_MSR,    /* arg is its index */
};
enum { X87_CW, X87_SW, X87_TAG, X87_CS, X87_IP, X87_DS, X87_DP, X87_OP };

struct row {
	const char *name, *type;
	u8 size, kind;
	u32 arg;
};
struct group {
	const char *name;
	const struct row *rows;
	size_t count;
};

#define GPR(name, n)           {name, "int64", 8, R_GPR, n}
#define SELECTOR(name, n)      {name, "int32", 4, R_SELECTOR, n}
#define ST(n)                  {"st" #n, "i387_ext", 10, R_ST, n}
#define X87(name, n)           {name, "int", 4, R_X87, n}
#define XMM(n)                 {"xmm" #n, "vec128", 16, R_XMM, n}
#define YMMH(n)                {"ymm" #n "h", "uint128", 16, R_YMMH, n}
#define MEMBER(name, type, member) {name, type, sizeof(((struct cpu *)0)->member), R_MEMBER, offsetof(struct cpu, member)}
#define SEGMENT(name, n)                                                                                               \
	{name "_base", "int64", 8, R_BASE, n}, {name "_limit", "int32", 4, R_LIMIT, n}, {name "_ar", "int32", 4, R_RIGHTS, n}
#define MSR(name, index)       {name, "int64", 8, R_MSR, index}

/* clang-format off */
static const struct row core[] = {
	GPR("rax", REG_RAX), GPR("rbx", REG_RBX), GPR("rcx", REG_RCX), GPR("rdx", REG_RDX), GPR("rsi", REG_RSI), GPR("rdi", REG_RDI),
	{"rbp", "data_ptr", 8, R_GPR, REG_RBP}, {"rsp", "data_ptr", 8, R_GPR, REG_RSP},
	GPR("r8", 8), GPR("r9", 9), GPR("r10", 10), GPR("r11", 11), GPR("r12", 12), GPR("r13", 13), GPR("r14", 14), GPR("r15", 15),
	{"rip", "code_ptr", 8, R_PC, 0}, {"eflags", "x86_eflags", 4, R_FLAGS, 0},
	SELECTOR("cs", SEG_CS), SELECTOR("ss", SEG_SS), SELECTOR("ds", SEG_DS), SELECTOR("es", SEG_ES), SELECTOR("fs", SEG_FS),
	SELECTOR("gs", SEG_GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	X87("fctrl", X87_CW), X87("fstat", X87_SW), X87("ftag", X87_TAG), X87("fiseg", X87_CS), X87("fioff", X87_IP), X87("foseg", X87_DS),
	X87("fooff", X87_DP), X87("fop", X87_OP),
}, sse[] = {
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14),
	XMM(15), MEMBER("mxcsr", "x86_mxcsr", mxcsr),
}, avx[] = {
	YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4), YMMH(5), YMMH(6), YMMH(7), YMMH(8), YMMH(9), YMMH(10), YMMH(11), YMMH(12),
	YMMH(13), YMMH(14), YMMH(15),
}, bases[] = {
	{"fs_base", "int64", 8, R_BASE, SEG_FS}, {"gs_base", "int64", 8, R_BASE, SEG_GS},
}, system_[] = {
	MEMBER("k_gs_base", "int64", kernel_gs_base), MEMBER("cr0", "x86_cr0", cr0), MEMBER("cr2", "int64", cr2),
	MEMBER("cr3", "int64", cr3), MEMBER("cr4", "x86_cr4", cr4), {"cr8", "int64", 8, R_CR8, 0}, MEMBER("efer", "x86_efer", efer),
	{"ip", "int64", 8, R_IP, 0},
	SEGMENT("cs", SEG_CS), SEGMENT("ss", SEG_SS), SEGMENT("ds", SEG_DS), SEGMENT("es", SEG_ES),
	{"fs_limit", "int32", 4, R_LIMIT, SEG_FS}, {"fs_ar", "int32", 4, R_RIGHTS, SEG_FS},
	{"gs_limit", "int32", 4, R_LIMIT, SEG_GS}, {"gs_ar", "int32", 4, R_RIGHTS, SEG_GS},
	SELECTOR("ldtr", SEG_LDTR), SEGMENT("ldtr", SEG_LDTR), SELECTOR("tr", SEG_TR), SEGMENT("tr", SEG_TR),
	MEMBER("gdtr_base", "int64", gdtr.base), MEMBER("gdtr_limit", "int32", gdtr.limit),
	MEMBER("idtr_base", "int64", idtr.base), MEMBER("idtr_limit", "int32", idtr.limit),
	MEMBER("dr0", "int64", dr[0]), MEMBER("dr1", "int64", dr[1]), MEMBER("dr2", "int64", dr[2]), MEMBER("dr3", "int64", dr[3]),
	MEMBER("dr6", "int64", dr6), MEMBER("dr7", "int64", dr7), MEMBER("xcr0", "int64", xcr0),
}, msrs[] = {
	MSR("star", 0xc0000081), MSR("lstar", 0xc0000082), MSR("cstar", 0xc0000083), MSR("sfmask", 0xc0000084),
	MSR("sysenter_cs", 0x174), MSR("sysenter_esp", 0x175), MSR("sysenter_eip", 0x176), MSR("pat", 0x277), MSR("apic_base", 0x1b),
	MSR("tsc", 0x10), MSR("tsc_aux", 0xc0000103), MSR("mtrr_def_type", 0x2ff), MSR("debugctl", 0x1d9),
	MSR("feature_control", 0x3a), MSR("vm_cr", 0xc0010114), MSR("vm_hsave_pa", 0xc0010117),
};
static const struct group features[] = {
	{"org.gnu.gdb.i386.core", core, ARRAY_LEN(core)},
	{"org.gnu.gdb.i386.sse", sse, ARRAY_LEN(sse)},
	{"org.gnu.gdb.i386.avx", avx, ARRAY_LEN(avx)},
	{"org.gnu.gdb.i386.segments", bases, ARRAY_LEN(bases)},
	{"org.turnstile.gdb.x86.system", system_, ARRAY_LEN(system_)},
	{"org.turnstile.gdb.x86.msr", msrs, ARRAY_LEN(msrs)},
};

/* Bits by name: start and end. */
struct bit { const char *name; u8 start, end; };
static const struct bit eflags_bits[] = {
	{"CF", 0, 0}, {"PF", 2, 2}, {"AF", 4, 4}, {"ZF", 6, 6}, {"SF", 7, 7}, {"TF", 8, 8}, {"IF", 9, 9}, {"DF", 10, 10}, {"OF", 11, 11},
	{"IOPL", 12, 13}, {"NT", 14, 14}, {"RF", 16, 16}, {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19}, {"VIP", 20, 20}, {"ID", 21, 21},
}, cr0_bits[] = {
	{"PE", 0, 0}, {"MP", 1, 1}, {"EM", 2, 2}, {"TS", 3, 3}, {"ET", 4, 4}, {"NE", 5, 5}, {"WP", 16, 16}, {"AM", 18, 18}, {"NW", 29, 29},
	{"CD", 30, 30}, {"PG", 31, 31},
}, cr4_bits[] = {
	{"VME", 0, 0}, {"PVI", 1, 1}, {"TSD", 2, 2}, {"DE", 3, 3}, {"PSE", 4, 4}, {"PAE", 5, 5}, {"MCE", 6, 6}, {"PGE", 7, 7}, {"PCE", 8, 8},
	{"OSFXSR", 9, 9}, {"OSXMMEXCPT", 10, 10}, {"UMIP", 11, 11}, {"LA57", 12, 12}, {"VMXE", 13, 13}, {"SMXE", 14, 14},
	{"FSGSBASE", 16, 16}, {"PCIDE", 17, 17}, {"OSXSAVE", 18, 18}, {"SMEP", 20, 20}, {"SMAP", 21, 21}, {"PKE", 22, 22},
}, efer_bits[] = {
	{"SCE", 0, 0}, {"LME", 8, 8}, {"LMA", 10, 10}, {"NXE", 11, 11}, {"SVME", 12, 12}, {"LMSLE", 13, 13}, {"FFXSR", 14, 14}, {"TCE", 15, 15},
}, mxcsr_bits[] = {
	{"IE", 0, 0}, {"DE", 1, 1}, {"ZE", 2, 2}, {"OE", 3, 3}, {"UE", 4, 4}, {"PE", 5, 5}, {"DAZ", 6, 6}, {"IM", 7, 7}, {"DM", 8, 8},
	{"ZM", 9, 9}, {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15},
};
static const struct flags {
	const char *id;
	u8 size;
	const struct bit *bits;
	size_t count;
} flag_types[] = {
	{"x86_eflags", 4, eflags_bits, ARRAY_LEN(eflags_bits)}, {"x86_mxcsr", 4, mxcsr_bits, ARRAY_LEN(mxcsr_bits)},
	{"x86_cr0", 8, cr0_bits, ARRAY_LEN(cr0_bits)}, {"x86_cr4", 8, cr4_bits, ARRAY_LEN(cr4_bits)},
	{"x86_efer", 8, efer_bits, ARRAY_LEN(efer_bits)},
};
static const char vector_types[] =
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
	"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
	"<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>\n";
/* clang-format on */

/* ---- the description ---- */

static bool uses(const struct group *f, const char *type)
{
	for (size_t n = 0; n < f->count; n++)
		if (!strcmp(f->rows[n].type, type))
			return true;
	return false;
}

static void describe_types(const struct group *f, FILE *out)
{
	for (const struct flags *t = flag_types; t < flag_types + ARRAY_LEN(flag_types); t++) {
		if (!uses(f, t->id))
			continue;
		fprintf(out, "<flags id=\"%s\" size=\"%u\">\n", t->id, t->size);
		for (const struct bit *b = t->bits; b < t->bits + t->count; b++)
			fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", b->name, b->start, b->end);
		fprintf(out, "</flags>\n");
	}
	if (uses(f, "vec128"))
		fprintf(out, "%s", vector_types);
}

void registers_describe(FILE *out)
{
	fprintf(out, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
	             "<architecture>i386:x86-64</architecture>\n");
	for (const struct group *f = features; f < features + ARRAY_LEN(features); f++) {
		fprintf(out, "<feature name=\"%s\">\n", f->name);
		describe_types(f, out);
		for (const struct row *r = f->rows; r < f->rows + f->count; r++)
			fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>\n", r->name, r->size * 8, r->type);
		fprintf(out, "</feature>\n");
	}
	fprintf(out, "</target>\n");
}

/* ---- x87 ---- */

/* "x87 FPU Tag Word": 0 valid, 1 zero, 2 special, 3 empty. */
static u64 tag_word(const struct x87 *f)
{
	u64 tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		u64 significand;
		u16 exponent;

		memcpy(&significand, f->st[n], sizeof(significand));
		memcpy(&exponent, f->st[n] + 8, sizeof(exponent));
		exponent &= 0x7fff;
		u64 tag = !(f->tag >> n & 1)          ? 3
		          : !exponent && !significand ? 1
		          : exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
		tags |= tag << (2 * n);
	}
	return tags;
}

static u64 x87_get(const struct x87 *f, u32 which)
{
	switch (which) {
	case X87_CW: return f->cw;
	case X87_SW: return f->sw | (u64)f->top << 11;
	case X87_TAG: return tag_word(f);
	case X87_CS: return f->cs;
	case X87_IP: return (u32)f->ip;
	case X87_DS: return f->ds;
	case X87_DP: return (u32)f->dp;
	default: return f->op;
	}
}

static void x87_set(struct x87 *f, u32 which, u32 v)
{
	switch (which) {
	case X87_CW: f->cw = (u16)v; break;
	case X87_SW:
		f->top = (u16)bits(v, 13, 11);
		f->sw = (u16)(v & ~mask(13, 11));
		break;
	case X87_TAG:
		f->tag = 0;
		for (unsigned n = 0; n < 8; n++)
			f->tag = (u8)(f->tag | ((v >> (2 * n) & 3) != 3 ? 1u << n : 0));
		break;
	case X87_CS: f->cs = (u16)v; break;
	case X87_IP: f->ip = v; break;
	case X87_DS: f->ds = (u16)v; break;
	case X87_DP: f->dp = v; break;
	default: f->op = (u16)(v & 0x7ff); break;
	}
}

/* ---- one register ---- */

u64 registers_pc(const struct cpu *c)
{
	return mode64(c) ? c->r[REG_RIP] : (u32)(c->seg[SEG_CS].base + c->r[REG_RIP]);
}

/* What of them lies in one piece; NULL: it is made. */
static void *place(struct cpu *c, const struct row *r)
{
	switch (r->kind) {
	case R_GPR: return &c->r[r->arg];
	case R_IP: return &c->r[REG_RIP];
	case R_BASE: return &c->seg[r->arg].base;
	case R_LIMIT: return &c->seg[r->arg].limit;
	case R_RIGHTS: return &c->seg[r->arg].ar;
	case R_ST: return c->fpu.st[(c->fpu.top + r->arg) & 7];
	case R_XMM: return &c->v[r->arg];
	case R_YMMH: return &c->v[r->arg].b[16];
	case R_MEMBER: return (u8 *)c + r->arg;
	default: return NULL;
	}
}

/* false: this model has no such register. */
static bool get(struct cpu *c, const struct row *r, u8 out[16])
{
	const void *at = place(c, r);
	u64 v = 0;

	memset(out, 0, 16);
	if (r->kind == R_CR8)
		v = c->apic.tpr >> 4;
	else if (r->kind == R_PC)
		v = registers_pc(c);
	else if (r->kind == R_FLAGS)
		v = flags_get(c);
	else if (r->kind == R_SELECTOR)
		v = c->seg[r->arg].sel;
	else if (r->kind == R_X87)
		v = x87_get(&c->fpu, r->arg);
	else if (r->kind == R_MSR && !msr_read(c, r->arg, &v))
		return false;
	memcpy(out, &v, sizeof(v));
	if (at)
		memcpy(out, at, r->size);
	return true;
}

static void set_flags(struct cpu *c, u32 v)
{
	u32 old = flags_get(c);

	flags_set(c, (v & FL_ALL) | FL_1);
	cpu_flags_changed(c, old);
}

static bool set(struct cpu *c, const struct row *r, const u8 in[16])
{
	void *at = place(c, r);
	u64 v;

	memcpy(&v, in, sizeof(v));
	if (r->kind == R_CR8)
		apic_set_tpr(c, (u8)(v << 4));
	else if (r->kind == R_PC)
		c->r[REG_RIP] = mode64(c) ? v : (u32)(v - c->seg[SEG_CS].base);
	else if (r->kind == R_FLAGS)
		set_flags(c, (u32)v);
	else if (r->kind == R_SELECTOR)
		c->seg[r->arg].sel = (u16)v;
	else if (r->kind == R_X87)
		x87_set(&c->fpu, r->arg, (u32)v);
	else if (r->kind == R_MSR)
		return msr_write(c, r->arg, v);
	else
		memcpy(at, in, r->size);
	return true;
}

/* What a write changed beside the register itself. */
static void settled(struct cpu *c)
{
	cpu_update_mode(c);
	tlb_flush_all(c);
	mmu_update_context(c);
	cpu_recheck(c);
}

/* ---- as gdb numbers them ---- */

static const struct row *row_at(u64 number)
{
	for (const struct group *f = features; f < features + ARRAY_LEN(features); number -= f->count, f++)
		if (number < f->count)
			return &f->rows[number];
	return NULL;
}

bool register_read(struct cpu *c, u64 number, struct gdb_out *o)
{
	const struct row *r = row_at(number);
	u8 value[16];

	if (!r)
		return false;
	if (get(c, r, value))
		out_hex(o, value, r->size);
	else
		for (unsigned n = 0; n < r->size; n++)
			out_put(o, "xx");
	return true;
}

static bool changes_mode(const struct row *r)
{
	return r->kind != R_GPR && r->kind != R_XMM && r->kind != R_YMMH && r->kind != R_ST && r->kind != R_X87;
}

bool register_write(struct cpu *c, u64 number, const char *hex)
{
	const struct row *r = row_at(number);
	u8 value[16] = {0};

	if (!r || !hex_bytes(&hex, value, r->size) || *hex || !set(c, r, value))
		return false;
	if (changes_mode(r))
		settled(c);
	return true;
}

void registers_read_all(struct cpu *c, struct gdb_out *o)
{
	for (u64 n = 0; row_at(n); n++)
		(void)register_read(c, n, o);
}

/* Only what differs is written: a G packet carries everything, and many registers are other ones' shadows. */
bool registers_write_all(struct cpu *c, const char *hex)
{
	bool good = true, mode = false;

	for (u64 n = 0; row_at(n); n++) {
		const struct row *r = row_at(n);
		u8 now[16], value[16] = {0};
		bool here = get(c, r, now);

		if (!here && !strncmp(hex, "xx", 2)) {
			hex += 2 * r->size;
			continue;
		}
		if (!hex_bytes(&hex, value, r->size))
			return false;
		if (here && memcmp(now, value, r->size)) {
			good &= set(c, r, value);
			mode |= changes_mode(r);
		}
	}
	if (mode)
		settled(c);
	return good && !*hex;
}

/* ---- for a person ---- */

static void print(const struct row *r, const u8 value[16], FILE *f)
{
	fprintf(f, "%-16s 0x", r->name);
	for (unsigned n = r->size; n; n--)
		fprintf(f, "%02x", value[n - 1]);
	fprintf(f, "\n");
}

void registers_print(struct cpu *c, FILE *f)
{
	u8 value[16];

	for (u64 n = 0; row_at(n); n++)
		if (get(c, row_at(n), value))
			print(row_at(n), value, f);
}
