/* What the files of the secure loader share: 32-bit code without paging at first, then with all of memory as it is. */
#ifndef SECURE_LOADER_H
#define SECURE_LOADER_H

#include "agree.h"
#include "print.h"

#define MSR_EFER        0xc0000080
#define MSR_VM_CR       0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117
#define EFER_SVME       (1u << 12)
enum { VM_CR_DPD = 1 << 0, VM_CR_R_INIT = 1 << 1, VM_CR_DIS_A20M = 1 << 2 };

static inline u32 rdmsr(u32 i) { u32 a, d; __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(i)); return a; }
static inline void wrmsr(u32 i, u32 v) { __asm__ volatile("wrmsr" ::"c"(i), "a"(v), "d"(0) : "memory"); }
static inline void pause(void) { __asm__ volatile("pause" ::: "memory"); }
static inline void stgi(void) { __asm__ volatile("stgi" ::: "memory"); }

#pragma GCC visibility push(hidden) /* all in one image: no table of addresses */

void sha256(const u8 *data, u32 size, u8 digest[32]);

/* dev.c: "External Access Protection" */
bool dev_find(void);
void dev_close_memory(u32 slb); /* to every device */
void dev_open(void);            /* everything as before SKINIT */
bool dev_refused(u32 *address, u32 *device); /* the first access that was refused */

/* others.c: "Secure Multiprocessor Initialization" */
void others_prepare(u32 slb);   /* their start-up code in place, behind DEV */
bool others_start(u32 count);
void others_release(void);      /* "Aborting MP initialization" */

/* guest.c */
bool guest_run(u32 slb);        /* what lies at AT_GUEST */

/* start.S */
extern u8 gdt[], ap_code[], ap_code_end[], ap_gdt_limit[], ap_gdt_base[], ap_slb[], ap_target[], ap_entry[];
extern u8 stub_nmi[], stub_other[];
extern volatile u32 nmi_count[64]; /* by APIC id */
enum { GDT_LIMIT = 3 * 8 - 1 };
void enter_guest(u32 vmcb, u32 regs[6]);
void load_idt(const void *idt, u32 limit);

#pragma GCC visibility pop

#endif
