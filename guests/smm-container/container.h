/* What the platform's SMM handler, the trampoline and the monitor agree on; also included from assembler. */
#ifndef CONTAINER_H
#define CONTAINER_H

/* ---- the platform: 33047's "platform SMM code" ---- */
#define PLATFORM_SMRAM  0xa0000 /* SMBASE of the first processor; the others' follow at PLATFORM_STEP */
#define PLATFORM_STEP   0x400
#define PLATFORM_PORT   0xa0200 /* in SMRAM: the port of SMI_STS */
#define PLATFORM_COUNT  0xa0204 /* how often the handler ran */
#define PLATFORM_ANSWER 0x600d0000
#define PLATFORM_CALL   0x534d4943 /* in RCX: whoever has written the port means it */
#define PLATFORM_WRITES 0x0badc0de
#define SMI_APM         0x20
#define SMI_EOS         2
#define APM_COMMAND     0xb2
#define APM_STATUS      0xb3
#define CONFIG_SMRAM    0x8000009c
#define MSR_SMM_BASE_   0xc0010111
#define MSR_SMM_ADDR_   0xc0010112
#define MSR_IO_TRAP0_   0xc0010050

/* ---- the state-save area, behind SMBASE ---- */
#define SMM_CODE  0x8000
#define SMM_AREA  0xfe00
#define SAVED_RBX 0xffe0
#define SAVED_RCX 0xfff0
#define SAVED_RSI 0xffc8
#define SAVED_RAX 0xfff8

/* ---- the monitor ---- */
#define MONITOR_STACK 0x7000 /* behind a processor's SMBASE */

#ifndef __ASSEMBLER__
#include "svm.h"

enum { PROCESSORS = 8 };

struct registers { /* container_enter() knows the order */
	u64 rbx, rcx, rdx, rsi, rdi, rbp;
};
/* What of the interrupted program the platform's handler sees, and may change: the parameters of a call. */
struct call {
	u64 rax, rbx, rcx, rsi;
};

extern u8 platform_handler[], platform_handler_end[], trampoline[], trampoline_end[];
extern u32 monitor_cr3;
void container_enter(u64 vmcb, struct registers *r);
void monitor_smm(u64 smbase); /* from the trampoline */

/* ---- container.c ---- */
void container_prepare(unsigned cpu); /* on that processor, which has SVM enabled */
/* Run the platform's handler for this processor in its container. In SMM, however that came about: SMRAM is there. */
void container_run(unsigned cpu, struct call *call);
extern unsigned contained, refused, passed_on; /* handlers run; accesses of theirs */

/* ---- monitor.c ---- */
u16 smi_port(void); /* of SMI_EN; SMI_STS follows */
#endif
#endif
