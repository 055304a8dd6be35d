/* Guests in other modes: paged real mode, 32-bit protected mode, virtual-8086 mode, task switches. */
#include "exits.h"

#define LOW 0x7000ull /* where 16-bit and 32-bit code appears */

/* ---- "Paged Real Mode" ---- */
asm(".pushsection .text\n.code16\n"
    "real_start: mov $0x1234, %ax; mov %ax, %ds; mov 0x10, %bl; mov %bl, %cs:0x40; int $0x21\nreal_end:\n"
    ".code64\n.popsection");
extern char real_start[], real_end[];

static void paged_real_mode(void)
{
	static const struct snippet none;
	u32 *dir = page_alloc(), *table = page_alloc(), *ivt = page_alloc();
	u8 *code = page_alloc(), *data = page_alloc();

	base(&none);
	memcpy(code, real_start, (size_t)(real_end - real_start));
	code[0x80] = 0x0f, code[0x81] = 0x01, code[0x82] = 0xd9; /* VMMCALL: the handler */
	data[0x350] = 0x77;
	ivt[0x21] = 0x0700 << 16 | 0x80;
	dir[0] = (u32)(u64)table | 7;
	for (u32 n = 1; n < 1024; n++)
		table[n] = n << 12 | 7;
	table[0] = (u32)(u64)ivt | 7;
	table[7] = (u32)(u64)code | 7;
	table[0x12] = (u32)(u64)data | 7; /* 1234h:10h is 12350h */
	v->cr0 = 1u << 31 | 0x10;
	v->cr3 = (u64)dir;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 0x700, .attrib = 0x9b, .limit = 0xffff, .base = 0x7000};
	v->ds = v->es = v->ss = (struct vmcb_seg){.attrib = 0x93, .limit = 0xffff};
	v->idtr.base = 0;
	v->idtr.limit = 0x3ff;
	v->rip = 0;
	v->rsp = 0x6000;
	v->cpl = 3; /* ignored: real mode has CPL 0 */
	vcheck("paged real mode", REQ("svm.2.15.1 svm.2.2.1.120") "code", go(), EXIT_VMMCALL);
	vcheck("paged real mode", REQ("svm.2.15.3") "through the IVT", v->rip, 0x80);
	vcheck("paged real mode", "CS", v->cs.sel, 0x700);
	vcheck("paged real mode", "DS base", v->ds.base, 0x12340);
	vcheck("paged real mode", REQ("svm.2.15.4") "data through the tables", code[0x40], 0x77);
	vcheck("paged real mode", "frame", v->rsp, 0x5ffa);
	vcheck("paged real mode", REQ("svm.2.2.1.55") "CPL", v->cpl, 0);

	table[0x12] = 0;
	v->rip = 0;
	v->rsp = 0x6000;
	v->ds = v->es;
	v->tlb_control = 1;
	vcheck("paged real mode", REQ("svm.2.15.5") "#PF", go(), EXIT_PF);
	vcheck("paged real mode", "#PF address", v->exitinfo2, 0x12350);
	vcheck("paged real mode", "#PF error", v->exitinfo1, 0);
	/* without the intercept it is an exception like another: through the IVT, no error code on the stack */
	ivt[14] = 0x0700 << 16 | 0x80;
	v->rip = 0;
	v->rsp = 0x6000;
	v->ds = v->es;
	v->intercept_exc = 0;
	v->cr2 = 0;
	vcheck("paged real mode, #PF not intercepted", REQ("svm.2.15.6") "code", go(), EXIT_VMMCALL);
	vcheck("paged real mode, #PF not intercepted", REQ("svm.2.15.6") "through the IVT", v->rip, 0x80);
	vcheck("paged real mode, #PF not intercepted", "CR2", v->cr2, 0x12350);
	vcheck("paged real mode, #PF not intercepted", "frame of three words", v->rsp, 0x5ffa);
}

/* ---- 32-bit protected mode without paging ---- */
static u64 gdt32[16];
static u32 tss_old[32], tss_new[32];
static u8 code32[64];

static u64 descriptor(u64 address, u32 limit, u32 access)
{
	return (limit & 0xffff) | (address & 0xffffff) << 16 | (u64)access << 40 | (address >> 24 & 0xff) << 56;
}

static void protected32(const char *bytes, unsigned n)
{
	static const struct snippet none;

	base(&none);
	memset(code32, 0x90, sizeof(code32));
	memcpy(code32, bytes, n);
	code32[n] = 0x0f, code32[n + 1] = 0x01, code32[n + 2] = 0xd9;
	gdt32[1] = 0x00cf9b000000ffff;
	gdt32[2] = 0x00cf93000000ffff;
	gdt32[3] = descriptor((u64)tss_old, 0x67, 0x8b);
	/* the task to return to is busy */
	gdt32[4] = descriptor((u64)tss_new, 0x67, bytes[0] == (char)0xcf ? 0x8b : 0x89);
	gdt32[5] = 0x0000e50000200000; /* a task gate, DPL 3, to 20h */
	tss_old[0] = 0x20;
	v->cr0 = 0x11;
	v->cr3 = 0;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 8, .attrib = 0xc9b, .limit = ~0u};
	v->gdtr.base = (u64)gdt32;
	v->gdtr.limit = sizeof(gdt32) - 1;
	v->rip = (u64)code32;
}

static struct vmcb others __attribute__((aligned(4096))); /* what VMLOAD gives back */

static const struct {
	const char *name;
	u8 bytes[12];
	u8 length, at;
	u64 rflags;
	u32 word, bit;
	u64 code, info1, info2;
	bool nrip;
} rows32[] = {
	{REQ("svm.2.8.5.1 svm.2.4.2.13") "INTO", {0xce}, 1, 0, 0x802, 2, 4, 0x44, 0, 0, true},
	{REQ("svm.2.8.6.1") "BOUND", {0x31, 0xc0, 0x48, 0x62, 0x05, 0, 0, 0, 0}, 9, 3, 2, 2, 5, 0x45, 0, 0, true},
	{REQ("svm.2.10.1.1") "JMP to a task", {0xea, 0, 0, 0, 0, 0x20, 0}, 7, 0, 2, 3, 29, 0x7d, 0x20, 1ull << 38, false},
	{"CALL of a task", {0x9a, 0, 0, 0, 0, 0x20, 0}, 7, 0, 2, 3, 29, 0x7d, 0x20, 0, false},
	{"CALL of a task gate", {0x9a, 0, 0, 0, 0, 0x28, 0}, 7, 0, 2, 3, 29, 0x7d, 0x20, 0, false},
	{"IRET from a task", {0xcf}, 1, 0, 0x4002, 3, 29, 0x7d, 0x20, 1ull << 36, false},
	{REQ("svm.2.17.3.4") "LOCK MOV from CR0", {0xf0, 0x0f, 0x20, 0xc3}, 4, 0, 2, 0, 8, 0x08, 0, 0, true},
	{"PUSHF", {0x9c}, 1, 0, 2, 3, 16, 0x70, 0, 0, true},
	{"INT3", {0xcc}, 1, 0, 2, 2, 3, 0x43, 0, 0, true},
};

static void test_32(void)
{
	for (unsigned n = 0; n < COUNT(rows32); n++) {
		struct icpt i = {(u8)rows32[n].word, (u8)rows32[n].bit};
		u64 code;

		protected32((const char *)rows32[n].bytes, rows32[n].length);
		if (rows32[n].code == 0x45) { /* EAX = -1 below the bounds 0, 0 */
			u32 bounds = (u32)(u64)&scratch[0];

			scratch[0] = 0;
			memcpy(code32 + 5, &bounds, 4);
		}
		v->rflags = rows32[n].rflags;
		/* TR belongs to VMLOAD: give the guest its own, and ours back afterwards */
		if (rows32[n].code == 0x7d) {
			asm volatile("vmsave" ::"a"(&others) : "memory");
			v->tr = (struct vmcb_seg){.sel = 0x18, .attrib = 0x8b, .limit = 0x67, .base = (u64)tss_old};
			v->fs = v->gs = others.fs;
			v->ldtr = others.ldtr;
			on(i);
			asm volatile("clgi; vmload" ::"a"(v) : "memory");
			code = go_gif0();
			asm volatile("vmload; stgi" ::"a"(&others) : "memory");
		} else {
			on(i);
			code = go();
		}
		vcheck(rows32[n].name, "code", code, rows32[n].code);
		if (code != rows32[n].code)
			continue;
		bool behind = of_2005 && (code == 0x43 || code == 0x44); /* traps in 2005 */

		vcheck(rows32[n].name, "RIP", v->rip, (u64)code32 + (behind ? rows32[n].length : rows32[n].at));
		vcheck(rows32[n].name, "EXITINFO1", v->exitinfo1,
			code == 8 && assists ? 1ull << 63 | 3 : rows32[n].info1);
		if (code == 0x7d) /* bit 48 tells RFLAGS.RF */
			vcheck(rows32[n].name, "EXITINFO2", v->exitinfo2 & ~(1ull << 48), rows32[n].info2);
		if (nrips)
			vcheck(rows32[n].name, "nRIP", v->nrip, rows32[n].nrip ? (u64)code32 + rows32[n].length : 0);
	}
	proves("svm.2.10.1.5 svm.2.10.1.8 svm.2.10.1.9 svm.2.10.1.10 svm.2.21.5.12 svm.4.MOVCR.4");
}

/* An exception through a task gate: the error code for the new task, and the event. */
static void task_gate(void)
{
	static u64 idt32[32];
	static u32 before[32];
	u64 code;

	protected32("\x66\xb8\x34\x12\x8e\xd8", 6); /* MOV AX, 1234h; MOV DS, AX: #GP(1234h) */
	idt32[13] = 0x0000850000200000;
	v->idtr.base = (u64)idt32;
	v->idtr.limit = sizeof(idt32) - 1;
	v->intercept_exc = 0;
	on((struct icpt)ICPT(EXIT_TASK));
	on((struct icpt)CR_WRITE(3));
	on((struct icpt)ICPT(EXIT_LDTR_WRITE));
	on((struct icpt)ICPT(EXIT_TR_WRITE));
	memcpy(before, tss_old, sizeof(before));
	asm volatile("vmsave" ::"a"(&others) : "memory");
	v->tr = (struct vmcb_seg){.sel = 0x18, .attrib = 0x8b, .limit = 0x67, .base = (u64)tss_old};
	v->fs = v->gs = others.fs;
	v->ldtr = others.ldtr;
	asm volatile("clgi; vmload" ::"a"(v) : "memory");
	code = go_gif0();
	asm volatile("vmload; stgi" ::"a"(&others) : "memory");
	vcheck("task gate", REQ("svm.2.10.1.4") "code", code, 0x7d);
	vcheck("task gate", "EXITINFO1", v->exitinfo1, 0x20);
	/* a fault sets RF in what is saved */
	vcheck("task gate", REQ("svm.2.10.1.6 svm.2.10.1.11 svm.2.10.1.12") "EXITINFO2", v->exitinfo2, 1ull << 48 | 1ull << 44 | 0x1234);
	vcheck("task gate", REQ("svm.2.10.1.13") "EXITINTINFO", v->exitintinfo, 0x123480000b0dull);
	vcheck("task gate", "RIP", v->rip, (u64)code32 + 4);
	vcheck("task gate", REQ("svm.2.10.1.3") "no task was saved", memcmp(before, tss_old, sizeof(before)), 0);
	protected32("\xea\x00\x00\x00\x00\x20\x00", 7); /* the incoming task is not present */
	gdt32[4] &= ~(1ull << 47);
	on((struct icpt)ICPT(EXIT_TASK));
	vcheck("JMP to a task not present", REQ("svm.2.10.1.2") "#NP first", go(), EXIT_NP);
	vcheck("JMP to a task not present", "error code", v->exitinfo1, 0x20);
}

void test_modes(void)
{
	paged_real_mode();
	test_32();
	task_gate();
}
