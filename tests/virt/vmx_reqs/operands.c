/* Memory operands of the VMX instructions and of INVPCID in 64-bit mode: segments, address size, non-canonical addresses, page faults. */
#include "root.h"

struct memory_insn {
	const char *name;
	enum op_state state;
	bool writes;
	u8 prefix, opcode[3], mod; /* mandatory prefix or 0; 0F xx or 0F 38 xx; ModRM of (%rbx), reg in place */
	u8 type;                   /* in RCX, of an instruction whose operand is a descriptor; the others have an encoding there */
	u32 flags;                 /* when it is done */
};

static const struct memory_insn insns[] = {
	{"VMCLEAR", CURRENT, false, 0x66, {0x0f, 0xc7}, 0x33, 0, CLEAR},
	{"VMPTRLD", CURRENT, false, 0, {0x0f, 0xc7}, 0x33, 0, CLEAR},
	{"VMPTRST", CURRENT, true, 0, {0x0f, 0xc7}, 0x3b, 0, CLEAR},
	{"VMREAD", CURRENT, true, 0, {0x0f, 0x78}, 0x0b, 0, CLEAR},
	{"VMWRITE", CURRENT, false, 0, {0x0f, 0x79}, 0x0b, 0, CLEAR},
	{"VMXON", OUTSIDE, false, 0xf3, {0x0f, 0xc7}, 0x33, 0, CLEAR},
	{"INVEPT", CURRENT, false, 0x66, {0x0f, 0x38, 0x80}, 0x0b, 2, CLEAR},
	{"INVVPID", CURRENT, false, 0x66, {0x0f, 0x38, 0x81}, 0x0b, 2, CLEAR},
	{"INVPCID", CURRENT, false, 0x66, {0x0f, 0x38, 0x82}, 0x0b, 3, ALL_SIX},
};

enum { HOLE_LOW = 0, FS_DISTANCE = 0x1234000 };
#define NON_CANONICAL 0x800000000000ull
#define NOT_MAPPED    (1ull << 45)
#define ENCODING      0x681eull /* guest RIP: any value may be there */

static u8 code[15];
static unsigned length;

static void put(u8 v)
{
	code[length++] = v;
}

static void assemble(const struct memory_insn *m, u8 segment, u8 size, u8 rex, u8 modrm)
{
	length = 0;
	if (segment)
		put(segment);
	if (size)
		put(size);
	if (m->prefix)
		put(m->prefix);
	if (rex)
		put(rex);
	for (unsigned n = 0; n < (m->opcode[1] == 0x38 ? 3 : 2); n++)
		put(m->opcode[n]);
	put(modrm);
}

static int run(const struct memory_insn *m, u64 rbx, u64 rbp, u64 r11)
{
	struct op_registers r = {rbx, m->type ? m->type : ENCODING, 7, rbp, ENCODING, r11};

	op_to(m->state);
	operand = m->type ? 0 : op_fresh();
	return op_run(K64, code, length, &r);
}

static void expect(const struct memory_insn *m, const char *what, u64 got, u64 want)
{
	if (got != want)
		print("%s: ", m->name);
	check(what, got, want);
}

static void works(const struct memory_insn *m, const char *what, u64 rbx, u64 r11)
{
	expect(m, what, (u64)run(m, rbx, NOT_MAPPED, r11), DONE);
	expect(m, what, last_regs.rflags & ALL_SIX, m->flags);
	if (m->state == OUTSIDE) /* leave VMX operation whichever way the runner thinks */
		asm volatile("vmxoff" ::: "cc");
}

static void refused(const struct memory_insn *m, const char *what, int vector, u64 rbx, u64 rbp)
{
	expect(m, what, (u64)run(m, rbx, rbp, NOT_MAPPED), (u64)vector);
	expect(m, what, op_unharmed(), 1);
	if (vector != EX_PF)
		expect(m, what, last_fault.error, 0);
	if (m->state == CURRENT)
		expect(m, "nothing changed", op_current(), current_region);
}

static void addressing(const struct memory_insn *m)
{
	u64 at = (u64)&operand;

	assemble(m, 0x64, 0, 0, m->mod);
	works(m, "FS override", at - FS_DISTANCE, NOT_MAPPED);
	assemble(m, 0x65, 0, 0, m->mod);
	works(m, "GS override", at - 2 * FS_DISTANCE, NOT_MAPPED);
	assemble(m, 0, 0x67, 0, m->mod);
	works(m, "address size", at | 5ull << 40, NOT_MAPPED);
	assemble(m, 0, 0, 0x41, m->mod);
	works(m, "REX.B", NOT_MAPPED, at);
	assemble(m, 0, 0, 0x42, (u8)((m->mod & 0x38) | 4)); /* index R11 without base */
	put(0x1d);
	for (unsigned n = 0; n < 4; n++)
		put(0);
	works(m, "REX.X", NOT_MAPPED, at);
}

static void faults(const struct memory_insn *m)
{
	static const u8 segments[] = {0, 0x2e, 0x3e, 0x26, 0x64, 0x65};

	for (unsigned n = 0; n < sizeof(segments); n++) {
		assemble(m, segments[n], 0, 0, m->mod);
		refused(m, "non-canonical through CS, DS, ES, FS, GS", EX_GP, NON_CANONICAL, (u64)&operand);
	}
	assemble(m, 0, 0, 0, (u8)(0x45 | (m->mod & 0x38))); /* 0(%rbp) */
	put(0);
	refused(m, "non-canonical through SS", EX_SS, (u64)&operand, NON_CANONICAL);
	assemble(m, 0, 0, 0, m->mod);
	refused(m, "page fault", EX_PF, NOT_MAPPED, (u64)&operand);
	expect(m, "W/R of the error code", last_fault.error, m->writes ? 2 : 0);
	expect(m, "CR2", last_fault.cr2, NOT_MAPPED);
}

void test_operands(void)
{
	u64 fs = rdmsr(MSR_FS_BASE), gs = rdmsr(MSR_GS_BASE);

	wrmsr(MSR_FS_BASE, FS_DISTANCE);
	wrmsr(MSR_GS_BASE, 2 * FS_DISTANCE);
	for (unsigned n = 0; n < sizeof(insns) / sizeof(insns[0]); n++) {
		addressing(&insns[n]);
		faults(&insns[n]);
	}
	wrmsr(MSR_FS_BASE, fs);
	wrmsr(MSR_GS_BASE, gs);
	/* each: segment override, address size, non-canonical, non-canonical through SS, page fault, REX.B and REX.X */
	proves("vmx04.VMCLEAR.17 vmx04.VMCLEAR.19 vmx04.VMCLEAR.26 vmx04.VMCLEAR.27 vmx04.VMCLEAR.23 "
	       "vmx04.VMPTRLD.16 vmx04.VMPTRLD.18 vmx04.VMPTRLD.25 vmx04.VMPTRLD.26 vmx04.VMPTRLD.22 "
	       "vmx04.VMPTRST.12 vmx04.VMPTRST.14 vmx04.VMPTRST.22 vmx04.VMPTRST.23 vmx04.VMPTRST.19 "
	       "vmx04.VMREAD.21 vmx04.VMREAD.23 vmx04.VMREAD.31 vmx04.VMREAD.32 vmx04.VMREAD.28 "
	       "vmx04.VMWRITE.20 vmx04.VMWRITE.22 vmx04.VMWRITE.29 vmx04.VMWRITE.30 vmx04.VMWRITE.26 "
	       "vmx04.VMXON.21 vmx04.VMXON.24 vmx04.VMXON.31 vmx04.VMXON.32 vmx04.VMXON.28 vmx04.4.8");
}
