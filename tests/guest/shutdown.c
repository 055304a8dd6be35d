/*
 * Resets of the processor alone. Software that prepared the shutdown byte of the CMOS and the pointer at 40:67 goes on
 * there, in real mode, with memory, devices and what INIT keeps as they were; whoever did not gets a whole reset. "Warm
 * reset vector" of the MultiProcessor Specification. Run with --on-triple-fault=reset.
 */
#include "comeback.h"

enum { MAGIC_AT = 0x6ff0, FAILED_AT = 0x6ff8, STACK = 0x6f00 };
#define MAGIC 0x7e57ab1e

static volatile u32 *word(u64 a)
{
	return (volatile u32 *)at(a);
}

static void put32(u64 a, u32 v)
{
	*word(a) = v;
}

/* IRQ 0 in service at the master: polled, as interrupts are off. */
static void serve_irq0(void)
{
	outb(0x21, 0xfe);
	do {
		outb(0x20, 0x0c);
	} while (!(inb(0x20) & 0x80));
	outb(0x21, 0xa5);
}

static u8 in_service(void)
{
	outb(0x20, 0x0b);
	return inb(0x20);
}

static void prepare(u8 code, const char *how)
{
	/* the stack of IRET and RETF */
	put32(STACK, COMEBACK >> 4 << 16);
	put32(STACK + 4, 0x0002);
	come_back_by(code, how[0] == 'j' ? COMEBACK >> 4 << 16 : STACK >> 4 << 16);
}

static void comes_back(void)
{
	static const struct {
		const char *name;
		u8 code;
		const char *how;
		void (*way)(void);
	} row[] = {
	        {"keyboard controller, 0Ah", 0x0a, "jump", by_keyboard},
	        {"keyboard controller, 05h", 0x05, "jump", by_keyboard},
	        {"port 92h, 09h", 0x09, "jump", by_port_92},
	        {"CF9h without SYS_RST, 0Ah", 0x0a, "jump", by_reset_control},
	        {"CF9h without SYS_RST, 0Bh", 0x0b, "iret", by_reset_control},
	        {"keyboard controller, 0Ch", 0x0c, "retf", by_keyboard},
	        {"INIT from the local APIC, 0Ah", 0x0a, "jump", by_init_message},
	        {"triple fault, 0Ah", 0x0a, "jump", by_triple_fault},
	};

	for (unsigned n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		u16 cw = 0x27f;
		u64 types = rdmsr(MSR_MTRR_DEF_TYPE), frames = rdtsc();

		serve_irq0();
		asm volatile("fldcw %0" ::"m"(cw));
		put32(MAGIC_AT, 0x1234567 + n);
		prepare(row[n].code, row[n].how);
		leave_by(row[n].way);
		asm volatile("fstcw %0" : "=m"(cw));
		print("%s\n", row[n].name);
		CHECK("in real mode", arrival.mode, 16);
		CHECK("CS", arrival.cs, COMEBACK >> 4);
		CHECK("CR0.PE and PG", arrival.cr0 & 0x80000001, 0);
		CHECK("IF", arrival.flags & 0x200, 0);
		if (row[n].how[0] == 'j')
			CHECK("stack", (u64)arrival.ss << 16 | arrival.sp, 0x400);
		CHECK("memory", *word(MAGIC_AT), 0x1234567 + n);
		CHECK("the byte is good for one time", cmos(0x0f), 0);
		CHECK("the 8259's mask", inb(0x21), 0xa5);
		CHECK("end of interrupt", in_service() & 1, row[n].code != 5);
		CHECK("INIT keeps the x87's control word", cw, 0x27f);
		CHECK("INIT keeps the memory types", rdmsr(MSR_MTRR_DEF_TYPE), types);
		CHECK("INIT keeps the time-stamp counter", rdtsc() > frames, true);
		outb(0x20, 0x20);
	}
}

int main(void)
{
	comeback_prepare();
	if (*word(MAGIC_AT) == MAGIC) {
		put32(MAGIC_AT, 0);
		check("what failed before the whole reset", *word(FAILED_AT), 0);
		check("the 8259's mask behind a whole reset", inb(0x21), 0xff);
		return guest_verdict();
	}
	comes_back();
	put32(FAILED_AT, failed);
	put32(MAGIC_AT, MAGIC);
	outb(0x21, 0xa5);
	keep_memory();
	by_keyboard(); /* with 00h */
	return 1;
}
