/*
 * arch: pure facts of the architecture. Register bits, the one segment form, the one event form, exception classes,
 * validity predicates. No state, no side effects. May call: base. Called by: everything above.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "base/base.h"

/* Addresses of three spaces; mixing them up is the classic nested-paging bug. */
typedef u64 la_t;  /* linear */
typedef u64 gpa_t; /* guest-physical: what a guest's own page tables produce */
typedef u64 pa_t;  /* physical: what the bus sees */

/* RFLAGS */
enum {
	FL_CF = 1 << 0, FL_1 = 1 << 1, FL_PF = 1 << 2, FL_AF = 1 << 4, FL_ZF = 1 << 6, FL_SF = 1 << 7, FL_TF = 1 << 8,
	FL_IF = 1 << 9, FL_DF = 1 << 10, FL_OF = 1 << 11, FL_IOPL = 3 << 12, FL_NT = 1 << 14, FL_RF = 1 << 16,
	FL_VM = 1 << 17, FL_AC = 1 << 18, FL_VIF = 1 << 19, FL_VIP = 1 << 20, FL_ID = 1 << 21,
	FL_ARITH = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
	FL_ALL = 0x3f7fd5 | FL_1,
};

/* CR0 */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)
#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* CR4 */
#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)

/* EFER */
#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_SVME  BIT(12)
#define EFER_LMSLE BIT(13)
#define EFER_FFXSR BIT(14)
#define EFER_TCE   BIT(15)
#define EFER_MCOMMIT BIT(17)
#define EFER_AIBRSE BIT(21)

/* DR6, DR7 */
#define DR6_RESET 0xffff0ff0ull
#define DR6_BLD   BIT(11) /* 0: a bus lock; always 1 without bus-lock detection. In payloads and pending_db 1: a bus lock */
#define DR6_BD    BIT(13)
#define DR6_BS    BIT(14)
#define DR6_BT    BIT(15)
#define DEBUGCTL_LBR   BIT(0)
#define DEBUGCTL_BTF   BIT(1)
#define DEBUGCTL_BUS_LOCK BIT(2)
#define DEBUGCTL_LBRSE BIT(30) /* AMD's DebugExtnCtl.LBRSE, which is kept here: one test of DebugCtl covers both */
#define HWCR_SMMLOCK   BIT(0)
#define HWCR_IGNNE_EM  BIT(8) /* the IGNNE MSR is the signal, and the pin is not */
#define DR7_RESET 0x400ull
#define DR7_GD    BIT(13)

/* Page-fault error code */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSV = 8, PF_I = 16, PF_PK = 32, PF_SS = 64 };

/* Exceptions */
enum vector {
	EX_DE, EX_DB, EX_NMI, EX_BP, EX_OF, EX_BR, EX_UD, EX_NM, EX_DF, EX_CSO, EX_TS, EX_NP, EX_SS, EX_GP, EX_PF,
	EX_MF = 16, EX_AC, EX_MC, EX_XM, EX_VE, EX_CP, EX_HV = 28, EX_VC, EX_SX,
};

/* #SX error code: what was made an exception of. */
enum { SX_INIT = 1 };

enum ex_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT, EXC_DOUBLE_FAULT };

/* One row per exception: "Exception and Interrupt Reference". */
struct ex_info {
	const char *name;  /* "#GP" */
	const char *title; /* "General Protection" */
	u8 class;          /* enum ex_class */
	bool has_error;
};
extern const struct ex_info arch_exceptions[32];

/* An exception, an interrupt, an injected event, IDT-vectoring information and EXITINTINFO are all this. */
enum event_type {
	EV_NONE,
	EV_EXT,    /* external (maskable) interrupt */
	EV_NMI,
	EV_HW,     /* hardware exception */
	EV_SW,     /* INT n */
	EV_PRIVSW, /* INT1 (ICEBP) */
	EV_SWEX,   /* INT3, INTO */
	EV_OTHER,  /* VMX: pending MTF */
};

struct event {
	u8 type;     /* enum event_type */
	u8 vector;
	bool has_error;
	u8 insn_len; /* software events: where the return address lies */
	bool nmi_unblocked; /* scratch: the IRET that raised it has just ended NMI blocking; no injected event has it */
	u32 error;
	u64 payload; /* #PF: the linear address for CR2; #DB: bits to merge into DR6, or EVENT_DB_BARE */
};

#define EVENT_DB_BARE BIT(63) /* injected by a monitor: DR6, DR7 and IA32_DEBUGCTL stay as they are */

/* One segment register. `ar` is in VMCS access-rights format: 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G,
 * 16 unusable. SVM's 12-bit attributes are packed and unpacked at SVM's edge. */
struct seg {
	u16 sel;
	u32 ar;
	u32 limit; /* in bytes, already expanded by G */
	u64 base;
};
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

enum {
	AR_TYPE = 0xf, AR_S = 1 << 4, AR_DPL_SHIFT = 5, AR_DPL = 3 << 5, AR_P = 1 << 7, AR_AVL = 1 << 12, AR_L = 1 << 13,
	AR_DB = 1 << 14, AR_G = 1 << 15, AR_UNUSABLE = 1 << 16,
	/* within type, S=1 */
	AR_A = 1, AR_W = 2 /* data: writable; code: readable */, AR_E = 4 /* data: expand-down; code: conforming */, AR_CODE = 8,
};
/* System descriptor types, S=0 */
enum { SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK = 5, SYS_INT16 = 6, SYS_TRAP16 = 7,
       SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15 };

static inline unsigned ar_dpl(u32 ar)
{
	return (ar & AR_DPL) >> AR_DPL_SHIFT;
}

/* Canonical for a processor with `width` linear-address bits (48 or 57). */
static inline bool is_canonical(u64 la, unsigned width)
{
	return (u64)sign_extend(la, width) == la;
}

/* Memory types, as in PAT and MTRRs. */
enum { MT_UC = 0, MT_WC = 1, MT_WT = 4, MT_WP = 5, MT_WB = 6, MT_UCM = 7 };
bool arch_pat_valid(u64 pat); /* every byte one of 0,1,4,5,6,7 */

#endif
