/*
 * The virtual machine control block as it lies in memory: "Layout of VMCB". The two structures are the page's own
 * layout (little-endian, naturally aligned); the field table in fields.c names every field by offset for checks,
 * traces and explanations, with its width, clean-bit group and part; both it and what moves the fields come from map.h.
 */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include "base/base.h"
#include "svm/map.h"

/* Control area, offset 000h. What is implemented of the bytes from 100h on is in struct vmcb_page. */
struct vmcb_control {
	union {
		u32 icpt[6];
		struct {
			u16 cr_read, cr_write, dr_read, dr_write;
			u32 exceptions, word3, word4, word5; /* 008h, 00Ch, 010h, 014h */
		};
	};
	u8 rsvd_018[0x24];
	u16 pause_threshold; /* 03Ch */
	u16 pause_count;     /* 03Eh */
	u64 iopm_base_pa;    /* 040h */
	u64 msrpm_base_pa;   /* 048h */
	u64 tsc_offset;      /* 050h */
	u32 asid;            /* 058h */
	u8 tlb_control;      /* 05Ch */
	u8 rsvd_05d[3];
	u64 vintr;       /* 060h: V_TPR, V_IRQ, V_GIF, ... */
	u64 int_state;   /* 068h: INTERRUPT_SHADOW */
	u64 exitcode;    /* 070h */
	u64 exitinfo1;   /* 078h */
	u64 exitinfo2;   /* 080h */
	u64 exitintinfo; /* 088h */
	u64 nested_ctl;  /* 090h: NP_ENABLE, ... */
	u64 avic_bar;    /* 098h */
	u64 ghcb_pa;     /* 0A0h */
	u64 eventinj;    /* 0A8h */
	u64 n_cr3;       /* 0B0h */
	u64 virt_ext;    /* 0B8h: LBR virtualization, virtual VMLOAD/VMSAVE */
	u32 clean;       /* 0C0h */
	u32 rsvd_0c4;
	u64 nrip;              /* 0C8h */
	u8 bytes_fetched;      /* 0D0h */
	u8 insn_bytes[15];     /* 0D1h */
	u64 avic_backing_page; /* 0E0h */
	u64 rsvd_0e8;
	u64 avic_logical_table;  /* 0F0h */
	u64 avic_physical_table; /* 0F8h */
};

struct vmcb_seg {
	u16 sel, attrib; /* attrib: descriptor bits 55:52 and 47:40 */
	u32 limit;
	u64 base;
};

/* State save area, offset 400h, up to what is implemented. */
struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 000h..09Fh */
	u8 rsvd_0a0[0x2b];
	u8 cpl; /* 0CBh */
	u32 rsvd_0cc;
	u64 efer; /* 0D0h */
	u8 rsvd_0d8[0x70];
	u64 cr4, cr3, cr0; /* 148h, 150h, 158h */
	u64 dr7, dr6;      /* 160h, 168h */
	u64 rflags, rip;   /* 170h, 178h */
	u8 rsvd_180[0x58];
	u64 rsp; /* 1D8h */
	u8 rsvd_1e0[0x18];
	u64 rax;                                        /* 1F8h */
	u64 star, lstar, cstar, sfmask, kernel_gs_base; /* 200h..227h */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;    /* 228h..23Fh */
	u64 cr2;                                        /* 240h */
	u8 rsvd_248[0x20];
	u64 g_pat;                                            /* 268h */
	u64 dbgctl, br_from, br_to, lastexcpfrom, lastexcpto; /* 270h..297h */
	u64 dbgextnctl;                                       /* 298h */
	u8 rsvd_2a0[0x40];
	u64 spec_ctrl; /* 2E0h */
	u8 rsvd_2e8[0x388];
	u64 lbr_stack[32]; /* 670h: from and to in turn, the newest first */
	u64 lbr_select;    /* 770h */
};

#define VMCB_SAVE 0x400u
/* Offsets in the page. */
#define CTL_AT(member)  ((u16)offsetof(struct vmcb_control, member))
#define SAVE_AT(member) ((u16)(VMCB_SAVE + offsetof(struct vmcb_save, member)))

struct vmcb_page {
	struct vmcb_control control;
	u8 rsvd_100[0x20];
	u16 bus_lock_counter; /* 120h */
	u8 rsvd_122[0xa6];
	u64 pml_base;  /* 1C8h */
	u16 pml_index; /* 1D0h */
	u8 rsvd_1d2[0x22e];
	struct vmcb_save save;
	u8 rsvd_b78[0x1000 - VMCB_SAVE - sizeof(struct vmcb_save)];
};
_Static_assert(sizeof(struct vmcb_control) == 0x100, "control area");
_Static_assert(offsetof(struct vmcb_page, save) == VMCB_SAVE, "save area");
_Static_assert(offsetof(struct vmcb_save, lbr_select) == 0x770, "save area, its end");
_Static_assert(sizeof(struct vmcb_page) == 4096, "one page");

/* 060h */
#define VINTR_TPR_MASK 0xffull
#define VINTR_IRQ      BIT(8)
#define VINTR_GIF      BIT(9)
#define VINTR_NMI      BIT(11)
#define VINTR_NMI_MASK BIT(12)
#define VINTR_IGN_TPR  BIT(20)
#define VINTR_MASKING  BIT(24)
#define VINTR_GIF_EN   BIT(25)
#define VINTR_NMI_EN   BIT(26)
#define VINTR_X2AVIC   BIT(30)
#define VINTR_AVIC     BIT(31)
/* 068h */
#define INT_STATE_SHADOW BIT(0)
/* 090h */
#define NESTED_NP_ENABLE BIT(0)
#define NESTED_GMET      BIT(3)
#define NESTED_TLBI      BIT(7)
#define NESTED_PML       BIT(11)
/* 0B8h */
#define VIRT_EXT_LBRV BIT(0)
#define VIRT_EXT_VLS  BIT(1)
/* Save area 270h, as the MSR */
#define DBGCTL_DEFINED 0x3full
/* 298h */
#define DBGEXTN_LBRSE BIT(6)
/* 088h EXITINTINFO, 0A8h EVENTINJ */
#define INTINFO_EV BIT(11)
#define INTINFO_V  BIT(31)
enum { INTINFO_INTR = 0, INTINFO_NMI = 2, INTINFO_EXCEPTION = 3, INTINFO_SOFT = 4 };
/* 05Ch */
enum { TLB_CONTROL_NONE = 0, TLB_CONTROL_ALL = 1, TLB_CONTROL_ASID = 3, TLB_CONTROL_ASID_NON_GLOBAL = 7 };

#define EXITCODE_INVALID (~0ull)
enum {
	EXITCODE_NPF = 0x400,
	EXITCODE_AVIC_INCOMPLETE_IPI = 0x401,
	EXITCODE_AVIC_NOACCEL = 0x402,
	EXITCODE_PML_FULL = 0x407,
};

/* CLEAN_NEVER: always read from memory. */
enum clean_bit {
#define GROUP(bit, name, text) CLEAN_##name = (bit),
	VMCB_CLEAN_MAP(GROUP)
#undef GROUP
	        CLEAN_NEVER = 32,
};

enum svm_part {
#define PART(name, loaded, saved) SVM_PART_##name,
	VMCB_PART_MAP(PART)
#undef PART
};

enum vmcb_kind {
#define KIND(name, text) VMCB_##name,
	VMCB_KIND_MAP(KIND)
#undef KIND
};

/* One row per field; `name` opens with the offset, as messages print it. */
struct vmcb_field {
	u16 offset;
	u16 host;       /* SWAPPED: where struct svm_host has the value that VMRUN keeps and #VMEXIT loads */
	u8 width;       /* bytes */
	u8 host_width;
	u8 clean;       /* enum clean_bit */
	u8 part;        /* enum svm_part */
	u8 kind;        /* enum vmcb_kind */
	const char *name;
	const char *member; /* of struct cpu, or what else comes from it; "": none */
};
extern const struct vmcb_field vmcb_fields[];
extern const size_t vmcb_field_count;
const struct vmcb_field *vmcb_field_at(unsigned offset);
const char *vmcb_clean_text(unsigned clean); /* what the bits of a group keep; NULL for CLEAN_NEVER */
const char *vmcb_kind_text(unsigned kind);   /* enum vmcb_kind */

#endif
