/*
 * One text for both architectures: what a guest does, what its monitor asked to see, and what it must be told, in words
 * of neither. vmx.c and svm.c say it in VMCS fields and exit qualifications, and in VMCB fields and EXITINFO.
 */
#ifndef BOTH_H
#define BOTH_H

#include "guest.h"

enum what { CALLED, CR_WRITTEN, CR_READ, PORT, TASK, EXCEPTION, SHUTDOWN, SECOND_STAGE, OTHER };
enum kind {
	NONE,
	EXTERNAL,
	NMI,
	HARDWARE,
	SOFTWARE
};                               /* of an event; INT3 and INTO are exceptions, INT n is SOFTWARE */
enum how { BY_MOV, BY_ANOTHER }; /* LMSW, SMSW, CLTS */
enum cause { BY_CALL_OR_GATE, BY_IRET, BY_JMP };

struct event {
	enum kind kind;
	u8 vector;
	bool has_error;
	u32 error;
};

/* Why the guest was left. Only what belongs to `what` counts; rip and vectoring always. */
struct outcome {
	enum what what;
	u64 rip;
	u64 next; /* the instruction behind; 0: this processor does not tell */
	struct event vectoring;
	u8 cr, gpr;
	enum how how;
	u16 port;
	u8 size;
	bool in, string, rep;
	u16 selector;
	enum cause cause;
	struct event event;
	u64 address; /* #PF: linear; SECOND_STAGE: guest-physical */
	bool write;
	u64 code; /* OTHER: the vendor's */
};

bool both_enable(void);
void both_guest(void *entry); /* 64-bit, CPL 0, its own tables; nothing is asked for */
void both_guest32(void *entry, u64 *gdt, u64 *idt, unsigned entries, u16 tr, u64 tss); /* protected mode, no paging */
void both_user(void);                                                                  /* at CPL 3 */
void both_cr(unsigned n, bool write, u64 bits); /* tell of reads, or of writes that change these bits */
void both_port(u32 port);                       /* tell of accesses to it */
void both_exception(unsigned vector);           /* tell of it */
void both_idt_limit(u32 limit);
void both_stack(u64 rsp);
void both_flags(u64 rflags);
void both_inject(const struct event *e);
u64 *both_entry(u64 gpa); /* of the second stage: 0 is not present */
struct outcome both_run(void);
u64 both_cr2(void); /* after a run */

void both_pm_timer(void); /* pm_timer.c */

/* EXT of a selector error code met while an exception is delivered: by the vendor, as interrupts and NMIs always have it. */
#define EXT_INSIDE BOTH_EXT

#define TO_TEXT_(x) #x
#define TO_TEXT(x)  TO_TEXT_(x)
#define LEAVE       ".byte 0x0f, 0x01, " TO_TEXT(BOTH_CALL) /* VMCALL, VMMCALL */

#endif
