/*
 * To leave by a way that ends in real mode, protected mode or long mode with nothing but memory left, and to come back
 * as if from a call: what a monitor does around a sleep, and a program of the 286's time around a reset.
 */
#ifndef COMEBACK_H
#define COMEBACK_H

#include "guest.h"
#include "msr_names.h"

enum { COMEBACK = 0x7000 }; /* the real-mode entry, below 1 MiB */

/* How the processor arrived. */
struct arrival {
	u16 cs, ss, sp, flags;
	u32 cr0;
	u32 mode; /* 16, 32, 64 */
};
extern volatile struct arrival arrival;

extern u8 comeback32[], comeback64[]; /* entries in protected and in long mode */
void comeback_prepare(void);          /* copies the real-mode entry into place */
void leave_by(void (*way)(void));     /* returns when somebody jumped to one of the entries */

/* "Warm reset vector": the shutdown byte of the CMOS, and the pointer at 40:67. */
void come_back_by(u8 how, u32 pointer);

/* Ways to reset the processor: by its INIT pin, by its local APIC, by its shutdown. */
void by_keyboard(void);
void by_port_92(void);
void by_reset_control(void);
void by_init_message(void);
void by_triple_fault(void);
/* S3 until the RTC's alarm. Nobody leaves a waking vector that would outlive it: firmware starts the program anew. */
void by_sleep(void);

/* DEV_CR, MemClrDis: the next reset or sleep leaves memory alone. false: there is no northbridge that could clear it. */
bool keep_memory(void);
/* DEV_CR; 0 without a northbridge. Setting bits: false without one. */
u32 dev_cr(void);
bool dev_cr_set(u32 bits);

/* A check whose failure can be told behind a reset: whoever causes one writes `failed` where it lasts. */
extern u32 failed;
#define CHECK(name, got, want)                                                                                         \
	do {                                                                                                           \
		u64 got_ = (u64)(got), want_ = (u64)(want);                                                            \
		failed += got_ != want_;                                                                               \
		check(name, got_, want_);                                                                              \
	} while (0)

/* ---- what who does so looks at ---- */

/* Memory at a physical address, low ones included. */
static inline u8 *at(u64 a)
{
	asm("" : "+r"(a));
	return (u8 *)a;
}

static inline u8 cmos(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static inline void set_cmos(u8 index, u8 v)
{
	outb(0x70, index);
	outb(0x71, v);
}

#endif
