/*
 * Intel's save-state maps: SDM 3C "SMRAM State Save Map", and "SMRAM State Save Map and Intel 64 Architecture" for processors
 * with it; "I/O State Implementation". The manual does not say where in the reserved parts the hidden halves of segment
 * registers are, nor what an instruction restart needs: DEVIATION: these places are our own, and their names say so.
 */
#include "cpu/control/smm_map.h"

#define HIDDEN " (reserved area)"
#define SEGMENT(at, n, name)                                                                                           \
	SMM_FIELD(at, 4, seg[n].ar, name " rights" HIDDEN), SMM_FIELD((at) + 4, 4, seg[n].limit, name " limit" HIDDEN)
#define SELECTORS                                                                                                      \
	SMM_FIELD(0xffc4, 4, seg[SEG_TR].sel, "TR selector"), SMM_FIELD(0xffc0, 4, seg[SEG_LDTR].sel, "LDTR selector"), \
	SMM_FIELD(0xffbc, 4, seg[SEG_GS].sel, "GS selector"), SMM_FIELD(0xffb8, 4, seg[SEG_FS].sel, "FS selector"),    \
	SMM_FIELD(0xffb4, 4, seg[SEG_DS].sel, "DS selector"), SMM_FIELD(0xffb0, 4, seg[SEG_SS].sel, "SS selector"),    \
	SMM_FIELD(0xffac, 4, seg[SEG_CS].sel, "CS selector"), SMM_FIELD(0xffa8, 4, seg[SEG_ES].sel, "ES selector")
#define FLAGS                                                                                                          \
	SMM_FIELD(0xff02, 2, halted, "auto HALT restart"), SMM_FIELD(0xff00, 2, io_restart, "I/O instruction restart"),    \
	SMM_FIELD(0xfefc, 4, revision, "SMM revision identifier"), SMM_FIELD(0xfef8, 4, smbase, "SMBASE")
#define HALVES(low, high, member, name)                                                                                \
	SMM_AT(low, 4, SMM_LOW, member, name " (lower 32 bits)"), SMM_AT(high, 4, SMM_HIGH, member, name " (upper 32 bits)")

/* clang-format off */
static const struct smm_row intel64[] = {
	SMM_FIELD(0xfff8, 8, cr0, "CR0"), SMM_FIELD(0xfff0, 8, cr3, "CR3"), SMM_FIELD(0xffe8, 8, rflags, "RFLAGS"),
	SMM_FIELD(0xffe0, 8, efer, "IA32_EFER"), SMM_FIELD(0xffd8, 8, rip, "RIP"), SMM_FIELD(0xffd0, 8, dr6, "DR6"),
	SMM_FIELD(0xffc8, 8, dr7, "DR7"), SELECTORS, SMM_FIELD(0xffa4, 4, io_trap, "IO_MISC"), SMM_FIELD(0xff9c, 8, io_address, "IO_MEM_ADDR"),
	SMM_FIELD(0xff94, 8, r[REG_RDI], "RDI"), SMM_FIELD(0xff8c, 8, r[REG_RSI], "RSI"), SMM_FIELD(0xff84, 8, r[REG_RBP], "RBP"),
	SMM_FIELD(0xff7c, 8, r[REG_RSP], "RSP"), SMM_FIELD(0xff74, 8, r[REG_RBX], "RBX"), SMM_FIELD(0xff6c, 8, r[REG_RDX], "RDX"),
	SMM_FIELD(0xff64, 8, r[REG_RCX], "RCX"), SMM_FIELD(0xff5c, 8, r[REG_RAX], "RAX"), SMM_FIELD(0xff54, 8, r[8], "R8"),
	SMM_FIELD(0xff4c, 8, r[9], "R9"), SMM_FIELD(0xff44, 8, r[10], "R10"), SMM_FIELD(0xff3c, 8, r[11], "R11"),
	SMM_FIELD(0xff34, 8, r[12], "R12"), SMM_FIELD(0xff2c, 8, r[13], "R13"), SMM_FIELD(0xff24, 8, r[14], "R14"),
	SMM_FIELD(0xff1c, 8, r[15], "R15"), FLAGS,
	HALVES(0xfe9c, 0xfdd4, seg[SEG_LDTR].base, "LDT base"), HALVES(0xfe94, 0xfdd8, idtr.base, "IDT base"),
	HALVES(0xfe8c, 0xfdd0, gdtr.base, "GDT base"), SMM_FIELD(0xfe40, 8, cr4, "CR4"), SMM_FIELD(0xfde8, 8, io_rip, "IO_RIP"),
	SEGMENT(0xfc00, SEG_ES, "ES"), SEGMENT(0xfc08, SEG_CS, "CS"), SEGMENT(0xfc10, SEG_SS, "SS"), SEGMENT(0xfc18, SEG_DS, "DS"),
	SEGMENT(0xfc20, SEG_FS, "FS"), SEGMENT(0xfc28, SEG_GS, "GS"), SEGMENT(0xfc30, SEG_LDTR, "LDTR"), SEGMENT(0xfc38, SEG_TR, "TR"),
	SMM_FIELD(0xfc40, 8, seg[SEG_ES].base, "ES base" HIDDEN), SMM_FIELD(0xfc48, 8, seg[SEG_CS].base, "CS base" HIDDEN),
	SMM_FIELD(0xfc50, 8, seg[SEG_SS].base, "SS base" HIDDEN), SMM_FIELD(0xfc58, 8, seg[SEG_DS].base, "DS base" HIDDEN),
	SMM_FIELD(0xfc60, 8, seg[SEG_FS].base, "FS base" HIDDEN), SMM_FIELD(0xfc68, 8, seg[SEG_GS].base, "GS base" HIDDEN),
	SMM_FIELD(0xfc70, 8, seg[SEG_TR].base, "TR base" HIDDEN),
	SMM_FIELD(0xfc78, 4, gdtr.limit, "GDT limit" HIDDEN), SMM_FIELD(0xfc7c, 4, idtr.limit, "IDT limit" HIDDEN),
	SMM_FIELD(0xfc80, 8, io_rcx, "I/O RCX" HIDDEN), SMM_FIELD(0xfc88, 8, io_rsi, "I/O RSI" HIDDEN), SMM_FIELD(0xfc90, 8, io_rdi, "I/O RDI" HIDDEN),
};

/* FED8h to FEE3h are free in this layout, too: they are the vendor's. */
static const struct smm_row ia32[] = {
	SMM_FIELD(0xfffc, 4, cr0, "CR0"), SMM_FIELD(0xfff8, 4, cr3, "CR3"), SMM_FIELD(0xfff4, 4, rflags, "EFLAGS"), SMM_FIELD(0xfff0, 4, rip, "EIP"),
	SMM_FIELD(0xffec, 4, r[REG_RDI], "EDI"), SMM_FIELD(0xffe8, 4, r[REG_RSI], "ESI"), SMM_FIELD(0xffe4, 4, r[REG_RBP], "EBP"),
	SMM_FIELD(0xffe0, 4, r[REG_RSP], "ESP"), SMM_FIELD(0xffdc, 4, r[REG_RBX], "EBX"), SMM_FIELD(0xffd8, 4, r[REG_RDX], "EDX"),
	SMM_FIELD(0xffd4, 4, r[REG_RCX], "ECX"), SMM_FIELD(0xffd0, 4, r[REG_RAX], "EAX"), SMM_FIELD(0xffcc, 4, dr6, "DR6"),
	SMM_FIELD(0xffc8, 4, dr7, "DR7"), SELECTORS, SMM_FIELD(0xffa4, 4, io_trap, "I/O state"), SMM_FIELD(0xffa0, 4, io_address, "I/O memory address"),
	FLAGS,
	SEGMENT(0xfe00, SEG_ES, "ES"), SEGMENT(0xfe08, SEG_CS, "CS"), SEGMENT(0xfe10, SEG_SS, "SS"), SEGMENT(0xfe18, SEG_DS, "DS"),
	SEGMENT(0xfe20, SEG_FS, "FS"), SEGMENT(0xfe28, SEG_GS, "GS"), SEGMENT(0xfe30, SEG_LDTR, "LDTR"), SEGMENT(0xfe38, SEG_TR, "TR"),
	SMM_FIELD(0xfe40, 4, seg[SEG_ES].base, "ES base" HIDDEN), SMM_FIELD(0xfe44, 4, seg[SEG_CS].base, "CS base" HIDDEN),
	SMM_FIELD(0xfe48, 4, seg[SEG_SS].base, "SS base" HIDDEN), SMM_FIELD(0xfe4c, 4, seg[SEG_DS].base, "DS base" HIDDEN),
	SMM_FIELD(0xfe50, 4, seg[SEG_FS].base, "FS base" HIDDEN), SMM_FIELD(0xfe54, 4, seg[SEG_GS].base, "GS base" HIDDEN),
	SMM_FIELD(0xfe58, 4, seg[SEG_LDTR].base, "LDT base" HIDDEN), SMM_FIELD(0xfe5c, 4, seg[SEG_TR].base, "TR base" HIDDEN),
	SMM_FIELD(0xfe60, 4, gdtr.base, "GDT base" HIDDEN), SMM_FIELD(0xfe64, 4, gdtr.limit, "GDT limit" HIDDEN),
	SMM_FIELD(0xfe68, 4, idtr.base, "IDT base" HIDDEN), SMM_FIELD(0xfe6c, 4, idtr.limit, "IDT limit" HIDDEN),
	SMM_FIELD(0xfe70, 8, efer, "IA32_EFER" HIDDEN), SMM_FIELD(0xfe78, 4, cr4, "CR4" HIDDEN), SMM_FIELD(0xfe7c, 4, io_rip, "I/O EIP" HIDDEN),
	SMM_FIELD(0xfe80, 4, io_rcx, "I/O ECX" HIDDEN), SMM_FIELD(0xfe84, 4, io_rsi, "I/O ESI" HIDDEN), SMM_FIELD(0xfe88, 4, io_rdi, "I/O EDI" HIDDEN),
};
/* clang-format on */

/* IO_SMI 0, length 3:1, type 7:4, port 31:16. "I/O Instruction Type Encodings": IN 1, string 2, REP 4, immediate 8. */
static u64 io_trap(const struct cpu *c, const struct smi_io *s)
{
	const struct io_access *io = &s->io;
	u64 type = (u64)io->in | (u64)io->string << 1 | (u64)(io->string && io->rep) << 2 | (u64)io->imm << 3;

	(void)c;
	return 1 | (u64)io->size << 1 | type << 4 | (u64)io->port << 16;
}

#define MAP(table) .rows = table, .count = ARRAY_LEN(table), .io_valid = 1, .restart = 0xff, .io_trap = io_trap

const struct smm_map smm_map_intel64 = {.name = "intel", .first = 0xfc00, .revision = 0x00030101, MAP(intel64)};
const struct smm_map smm_map_ia32 = {.name = "intel", .first = 0xfe00, .revision = 0x00030004, MAP(ia32)};
