/* AMD's save-state map: APM 2 "SMM State-Save Area". */
#include "cpu/control/smm_map.h"

#define SEGMENT(at, n, name)                                                                                           \
	SMM_AT(at, 2, SMM_PLAIN, seg[n].sel, name " selector"),                                                        \
	SMM_AT((at) + 2, 2, SMM_ATTRIBUTES, seg[n].ar, name " attributes"),                                            \
	SMM_AT((at) + 4, 4, SMM_PLAIN, seg[n].limit, name " limit"), SMM_AT((at) + 8, 8, SMM_PLAIN, seg[n].base, name " base")
#define TABLE(at, member, name)                                                                                        \
	SMM_AT((at) + 4, 2, SMM_PLAIN, member.limit, name " limit"), SMM_AT((at) + 8, 8, SMM_PLAIN, member.base, name " base")

/* clang-format off */
static const struct smm_row rows[] = {
	SEGMENT(0xfe00, SEG_ES, "ES"), SEGMENT(0xfe10, SEG_CS, "CS"), SEGMENT(0xfe20, SEG_SS, "SS"),
	SEGMENT(0xfe30, SEG_DS, "DS"), SEGMENT(0xfe40, SEG_FS, "FS"), SEGMENT(0xfe50, SEG_GS, "GS"),
	TABLE(0xfe60, gdtr, "GDTR"), SEGMENT(0xfe70, SEG_LDTR, "LDTR"), TABLE(0xfe80, idtr, "IDTR"), SEGMENT(0xfe90, SEG_TR, "TR"),
	SMM_AT(0xfea0, 8, SMM_PLAIN, io_rip, "I/O restart RIP"), SMM_AT(0xfea8, 8, SMM_PLAIN, io_rcx, "I/O restart RCX"),
	SMM_AT(0xfeb0, 8, SMM_PLAIN, io_rsi, "I/O restart RSI"), SMM_AT(0xfeb8, 8, SMM_PLAIN, io_rdi, "I/O restart RDI"),
	SMM_AT(0xfec0, 4, SMM_SAVED, io_trap, "I/O trap"),
	SMM_AT(0xfec8, 1, SMM_RESTART, io_restart, "I/O instruction restart"), SMM_AT(0xfec9, 1, SMM_PLAIN, halted, "auto-halt restart"),
	SMM_AT(0xfeca, 1, SMM_PLAIN, nmi_masked, "NMI mask"),
	SMM_AT(0xfed0, 8, SMM_PLAIN, efer, "EFER"),
	SMM_AT(0xfefc, 4, SMM_SAVED, revision, "SMM revision identifier"), SMM_AT(0xff00, 4, SMM_PLAIN, smbase, "SMBASE"),
	SMM_AT(0xff48, 8, SMM_PLAIN, cr4, "CR4"), SMM_AT(0xff50, 8, SMM_PLAIN, cr3, "CR3"), SMM_AT(0xff58, 8, SMM_PLAIN, cr0, "CR0"),
	SMM_AT(0xff60, 8, SMM_PLAIN, dr7, "DR7"), SMM_AT(0xff68, 8, SMM_PLAIN, dr6, "DR6"),
	SMM_AT(0xff70, 8, SMM_PLAIN, rflags, "RFLAGS"), SMM_AT(0xff78, 8, SMM_PLAIN, rip, "RIP"),
	SMM_AT(0xff80, 8, SMM_PLAIN, r[15], "R15"), SMM_AT(0xff88, 8, SMM_PLAIN, r[14], "R14"),
	SMM_AT(0xff90, 8, SMM_PLAIN, r[13], "R13"), SMM_AT(0xff98, 8, SMM_PLAIN, r[12], "R12"),
	SMM_AT(0xffa0, 8, SMM_PLAIN, r[11], "R11"), SMM_AT(0xffa8, 8, SMM_PLAIN, r[10], "R10"),
	SMM_AT(0xffb0, 8, SMM_PLAIN, r[9], "R9"), SMM_AT(0xffb8, 8, SMM_PLAIN, r[8], "R8"),
	SMM_AT(0xffc0, 8, SMM_PLAIN, r[REG_RDI], "RDI"), SMM_AT(0xffc8, 8, SMM_PLAIN, r[REG_RSI], "RSI"),
	SMM_AT(0xffd0, 8, SMM_PLAIN, r[REG_RBP], "RBP"), SMM_AT(0xffd8, 8, SMM_PLAIN, r[REG_RSP], "RSP"),
	SMM_AT(0xffe0, 8, SMM_PLAIN, r[REG_RBX], "RBX"), SMM_AT(0xffe8, 8, SMM_PLAIN, r[REG_RDX], "RDX"),
	SMM_AT(0xfff0, 8, SMM_PLAIN, r[REG_RCX], "RCX"), SMM_AT(0xfff8, 8, SMM_PLAIN, r[REG_RAX], "RAX"),
};
/* clang-format on */

const struct smm_map smm_map_amd64 = {
        .name = "amd64",
        .rows = rows,
        .count = ARRAY_LEN(rows),
        .first = 0xfe00,
        .revision = 0x00020064,
};
