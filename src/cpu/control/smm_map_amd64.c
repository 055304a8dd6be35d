/* AMD's save-state map: APM 2 "SMRAM State-Save Area", "SMM-Revision Identifier", "I/O Instruction Restart". */
#include "cpu/control/smm_map.h"

#define SEGMENT(at, n, name)                                                                                           \
	SMM_FIELD(at, 2, seg[n].sel, name " selector"),                                                                \
	SMM_AT((at) + 2, 2, SMM_ATTRIBUTES, seg[n].ar, name " attributes"),                                            \
	SMM_FIELD((at) + 4, 4, seg[n].limit, name " limit"), SMM_FIELD((at) + 8, 8, seg[n].base, name " base")
#define TABLE(at, member, name)                                                                                        \
	SMM_FIELD((at) + 4, 2, member.limit, name " limit"), SMM_FIELD((at) + 8, 8, member.base, name " base")

/* clang-format off */
static const struct smm_row rows[] = {
	SEGMENT(0xfe00, SEG_ES, "ES"), SEGMENT(0xfe10, SEG_CS, "CS"), SEGMENT(0xfe20, SEG_SS, "SS"),
	SEGMENT(0xfe30, SEG_DS, "DS"), SEGMENT(0xfe40, SEG_FS, "FS"), SEGMENT(0xfe50, SEG_GS, "GS"),
	TABLE(0xfe60, gdtr, "GDTR"), SEGMENT(0xfe70, SEG_LDTR, "LDTR"), TABLE(0xfe80, idtr, "IDTR"), SEGMENT(0xfe90, SEG_TR, "TR"),
	SMM_FIELD(0xfea0, 8, io_rip, "I/O instruction restart RIP"), SMM_FIELD(0xfea8, 8, io_rcx, "I/O instruction restart RCX"),
	SMM_FIELD(0xfeb0, 8, io_rsi, "I/O instruction restart RSI"), SMM_FIELD(0xfeb8, 8, io_rdi, "I/O instruction restart RDI"),
	SMM_FIELD(0xfec0, 4, io_trap, "I/O instruction restart dword"),
	SMM_FIELD(0xfec8, 1, io_restart, "I/O instruction restart"), SMM_FIELD(0xfec9, 1, halted, "auto-halt restart"),
	SMM_FIELD(0xfeca, 1, nmi_masked, "NMI mask"), /* "SMM NMI Mask" of Processor Programming References */
	SMM_FIELD(0xfed0, 8, efer, "EFER"),
	SMM_FIELD(0xfefc, 4, revision, "SMM-revision identifier"), SMM_FIELD(0xff00, 4, smbase, "SMBASE"),
	SMM_FIELD(0xff48, 8, cr4, "CR4"), SMM_FIELD(0xff50, 8, cr3, "CR3"), SMM_FIELD(0xff58, 8, cr0, "CR0"),
	SMM_FIELD(0xff60, 8, dr7, "DR7"), SMM_FIELD(0xff68, 8, dr6, "DR6"),
	SMM_FIELD(0xff70, 8, rflags, "RFLAGS"), SMM_FIELD(0xff78, 8, rip, "RIP"),
	SMM_FIELD(0xff80, 8, r[15], "R15"), SMM_FIELD(0xff88, 8, r[14], "R14"), SMM_FIELD(0xff90, 8, r[13], "R13"),
	SMM_FIELD(0xff98, 8, r[12], "R12"), SMM_FIELD(0xffa0, 8, r[11], "R11"), SMM_FIELD(0xffa8, 8, r[10], "R10"),
	SMM_FIELD(0xffb0, 8, r[9], "R9"), SMM_FIELD(0xffb8, 8, r[8], "R8"), SMM_FIELD(0xffc0, 8, r[REG_RDI], "RDI"),
	SMM_FIELD(0xffc8, 8, r[REG_RSI], "RSI"), SMM_FIELD(0xffd0, 8, r[REG_RBP], "RBP"), SMM_FIELD(0xffd8, 8, r[REG_RSP], "RSP"),
	SMM_FIELD(0xffe0, 8, r[REG_RBX], "RBX"), SMM_FIELD(0xffe8, 8, r[REG_RDX], "RDX"), SMM_FIELD(0xfff0, 8, r[REG_RCX], "RCX"),
	SMM_FIELD(0xfff8, 8, r[REG_RAX], "RAX"),
};
/* clang-format on */

/* TYPE 0, VAL 1, STR 2, REP 3, size 6:4, address size 9:7, TF 11, DR6.B0 to B3 of this access 15:12, PORT. */
static u64 io_trap(const struct cpu *c, const struct smi_io *s)
{
	const struct io_access *io = &s->io;

	return (u64)io->in | BIT(1) | (u64)io->string << 2 | (u64)io->rep << 3 | (u64)io->size << 4 |
	       (u64)(io->addrsz >> 1) << 7 | (u64)!!(c->rflags & FL_TF) << 11 | (c->smm_db & 15) << 12 | (u64)io->port << 16;
}

#define MAP .rows = rows, .count = ARRAY_LEN(rows), .first = 0xfe00, .io_valid = BIT(1), .fixed_revision = true, .io_trap = io_trap

const struct smm_map smm_map_amd64 = {.name = "amd64", .revision = 0x00030064, MAP};
/* The same for firmware that knows one revision only: it says that no instruction restarts. */
const struct smm_map smm_map_firmware = {.name = "amd64", .revision = 0x00020064, MAP};
