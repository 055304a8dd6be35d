/* The task register and task switches within a guest: #TS, CR3 by a task switch, the type of TR. */
#include "reqs.h"

SNIPPET(t_nop, "nop; nop", "");

/* ---- #TS in 32-bit code: the ring 0 stack of the TSS is no segment ---- */

SNIPPET(t_int, ".code32; int $0x20; .code64", "");
static void invalid_tss(void)
{
	static u64 idt32[33];
	static u32 task[32];
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u64 h = (u64)t_nop.entry;

	idt32[0x20] = (h & 0xffff) | 8 << 16 | 0xeeull << 40 | (h >> 16) << 48;
	task[1] = 0x7000;
	task[2] = 0x1f8; /* SS0: beyond the GDT's limit */
	asm volatile("vmsave" ::"a"(host) : "memory");
	memcpy(guest, host, 4096);
	guest->tr = (struct vmcb_seg){.sel = 0x28, .attrib = 0x8b, .limit = 0x67, .base = (u64)task};
	base(&t_int);
	user();
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr3 = 0;
	v->cr0 = 0x11;
	gdt[1] ^= 0x0060000000000000; /* 08h: 32-bit code for this guest */
	v->cs.sel = 0x5b;
	v->cs.attrib = 0xcfb;
	v->gdtr.limit = 0x5f;
	v->idtr.base = (u64)idt32;
	v->idtr.limit = sizeof(idt32) - 1;
	asm volatile("clgi; vmload" ::"a"(guest) : "memory");
	go_gif0();
	asm volatile("vmload; stgi" ::"a"(host) : "memory");
	gdt[1] ^= 0x0060000000000000;
	check(REQ("svm.2.8.11.1") "#TS", v->exitcode, EXIT_TS);
	check(REQ("svm.2.8.11.4") "EXITINFO1", v->exitinfo1 & ~1ull, 0x1f8);
}

/* ---- a task switch loads CR3 without asking the CR3 intercepts ---- */

SNIPPET(t_jump, ".code32; ljmp $0x20, $0; .code64", "");
static u64 task_descriptor(u64 base, u64 type)
{
	return 0x67 | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
}

static void task_switch(void)
{
	static u64 table[5];
	static u32 tasks[2][32];
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u32 *dir = page_alloc(), *other = page_alloc();

	for (u32 n = 0; n < 1024; n++)
		dir[n] = other[n] = n << 22 | 0x87;
	table[1] = 0x00cf9b000000ffff;
	table[2] = 0x00cf93000000ffff;
	table[3] = task_descriptor((u64)tasks[0], 0x8b);
	table[4] = task_descriptor((u64)tasks[1], 0x89);
	tasks[1][7] = (u32)(u64)other;
	tasks[1][8] = (u32)(u64)t_nop.entry;
	tasks[1][9] = 2;
	for (unsigned n = 18; n < 24; n++)
		tasks[1][n] = n == 19 ? 8 : 0x10;
	asm volatile("vmsave" ::"a"(host) : "memory");
	memcpy(guest, host, 4096);
	guest->tr = (struct vmcb_seg){.sel = 0x18, .attrib = 0x8b, .limit = 0x67, .base = (u64)tasks[0]};
	base(&t_jump);
	v->efer = 0x1000;
	v->cr4 = 0x10;
	v->cr3 = (u64)dir;
	v->cr0 = 0x80000011;
	v->cs.attrib = 0xc9b;
	v->gdtr.base = (u64)table;
	v->gdtr.limit = sizeof(table) - 1;
	v->intercept_cr = 0x80008;
	asm volatile("clgi; vmload" ::"a"(guest) : "memory");
	go_gif0();
	asm volatile("vmload; stgi" ::"a"(host) : "memory");
	check(REQ("svm.2.5.2.3") "JMP to a task", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.5.2.3") "in the new task", v->rip, t_nop.next);
	check(REQ("svm.2.5.2.3") "CR3", v->cr3, other);
}

/* ---- TR: its type, and nothing else ---- */

SNIPPET(t_in, "mov $0x3ff, %edx; in %dx, %al", "");
static void task_register(void)
{
	static const struct {
		u16 attrib;
		u64 exit;
	} rows[] = {{0x8b, EXIT_VMMCALL}, {0x83, EXIT_GP}, {0xf6b, EXIT_VMMCALL}, {0xf63, EXIT_GP}};
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u8 *task = page_alloc();

	task[0x66] = 0x68; /* an I/O map of zeros, which only a 32-bit TSS has */
	for (unsigned n = 0; n < COUNT(rows); n++) {
		asm volatile("vmsave" ::"a"(host) : "memory");
		memcpy(guest, host, 4096);
		guest->tr = (struct vmcb_seg){.sel = 0x28, .attrib = rows[n].attrib, .limit = 0xfff, .base = (u64)task};
		base(&t_in);
		user();
		asm volatile("clgi; vmload" ::"a"(guest) : "memory");
		go_gif0();
		asm volatile("vmload; stgi" ::"a"(host) : "memory");
		check(REQ("svm.2.2.1.88") "TR", v->exitcode, rows[n].exit);
	}
}

void test_tasks(void)
{
	invalid_tss();
	task_switch();
	task_register();
}
