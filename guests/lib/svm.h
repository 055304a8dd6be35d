/*
 * The least a bare-metal monitor needs of SVM: the VMCB's layout, enabling, one nested page table, and the VMRUN loop.
 * APM 2 "VMCB Layout". Offsets are the manual's.
 */
#ifndef GUEST_SVM_H
#define GUEST_SVM_H

#include "guest.h"
#include "msr_names.h"
#include "svm_names.h"

struct vmcb_seg {
	u16 sel, attrib;
	u32 limit;
	u64 base;
};

struct vmcb {
	u32 intercept_cr, intercept_dr, intercept_exc, intercept1, intercept2, intercept3; /* 000h.. */
	u8 pad0[0x3c - 0x18];
	u16 pause_threshold, pause_count;  /* 03Ch */
	u64 iopm_pa, msrpm_pa, tsc_offset; /* 040h */
	u32 asid, tlb_control;		   /* 058h */
	u64 vintr, int_state;		   /* 060h */
	u64 exitcode, exitinfo1, exitinfo2, exitintinfo; /* 070h */
	u64 np_enable;			   /* 090h */
	u64 avic_bar, ghcb;		   /* 098h */
	u64 eventinj, ncr3, lbrv;	   /* 0A8h */
	u32 clean, pad2;		   /* 0C0h */
	u64 nrip;			   /* 0C8h */
	u8 bytes[16];			   /* 0D0h */
	u64 avic_page, pad3, avic_logical, avic_physical; /* 0E0h */
	u8 pad11[0x120 - 0x100];
	u16 bus_locks;			   /* 120h */
	u8 pad12[0x1c8 - 0x122];
	u64 pml_base;			   /* 1C8h */
	u16 pml_index;
	u8 pad13[0x400 - 0x1d2];
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400h */
	u8 pad4[0x4cb - 0x4a0];
	u8 cpl;				   /* 4CBh */
	u32 pad5;
	u64 efer;			   /* 4D0h */
	u8 pad6[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548h */
	u8 pad7[0x5d8 - 0x580];
	u64 rsp;			   /* 5D8h */
	u8 pad8[0x5f8 - 0x5e0];
	u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* 5F8h */
	u8 pad9[0x668 - 0x648];
	u64 g_pat;			   /* 668h */
	u64 dbgctl, br_from, br_to, excp_from, excp_to, dbgextn; /* 670h */
	u8 pad10[0x6e0 - 0x6a0];
	u64 spec_ctrl;			   /* 6E0h */
	u8 pad14[0x1000 - 0x6e8];
} __attribute__((packed, aligned(4096)));
_Static_assert(sizeof(struct vmcb) == 4096, "one page");
_Static_assert(offsetof(struct vmcb, avic_page) == 0xe0 && offsetof(struct vmcb, pml_base) == 0x1c8 &&
               offsetof(struct vmcb, dbgctl) == 0x670 && offsetof(struct vmcb, spec_ctrl) == 0x6e0, "APM 2, appendix B");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8 && offsetof(struct vmcb, rip) == 0x578, "APM 2, appendix B");

/* EFER.SVME and VM_HSAVE_PA. false: this processor has no SVM. */
bool svm_enable(void);
/* A 64-bit guest that shares the monitor's page tables, starting at `entry` with its own stack; nested paging maps the
 * first 4 GiB one to one if np. */
struct vmcb *svm_guest(void (*entry)(void), u64 stack, bool np);
/* The nested tables of svm_guest: the page directory entries (2 MiB each), 4 GiB in all. */
u64 *svm_nested_entry(struct vmcb *v, u64 gpa);
void svm_run(struct vmcb *v); /* CLGI, VMRUN, STGI; guest GPRs other than RAX, RSP are the monitor's */

#endif
