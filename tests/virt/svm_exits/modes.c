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
	vcheck("paged real mode", REQ("svm.2.2.1.55 svm.C.1.125") "CPL", v->cpl, 0);

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

static u64 descriptor(u64 address, u32 limit, u32 access)
{
	return (limit & 0xffff) | (address & 0xffffff) << 16 | (u64)access << 40 | (address >> 24 & 0xff) << 56;
}

SNIPPET32(m_into, "", "into");
SNIPPET32(m_bound, "xor %eax, %eax; dec %eax", "bound %eax, scratch"); /* -1, and the bounds are 0 */
SNIPPET32(m_jmp_task, "", "ljmp $0x20, $0");
SNIPPET32(m_call_task, "", "lcall $0x20, $0");
SNIPPET32(m_call_gate, "", "lcall $0x28, $0");
SNIPPET32(m_iret, "", "iret");
SNIPPET32(m_lock_cr0, "", ".byte 0xf0; mov %cr0, %ebx");
SNIPPET32(m_pushf, "", "pushf");
SNIPPET32(m_int3, "", "int3");
SNIPPET32(m_outs16, "mov $0x80, %edx; xor %esi, %esi", "addr16 outsb");
SNIPPET32(m_gp, "mov $0x1234, %ax", "mov %eax, %ds"); /* #GP(1234h) */

static void protected32(const struct snippet *s)
{
	base(s);
	gdt32[1] = 0x00cf9b000000ffff;
	gdt32[2] = 0x00cf93000000ffff;
	gdt32[3] = descriptor((u64)tss_old, 0x67, 0x8b);
	/* the task to return to is busy */
	gdt32[4] = descriptor((u64)tss_new, 0x67, s == &m_iret ? 0x8b : 0x89);
	gdt32[5] = 0x0000e50000200000; /* a task gate, DPL 3, to 20h */
	tss_old[0] = 0x20;
	v->cr0 = 0x11;
	v->cr3 = 0;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 8, .attrib = 0xc9b, .limit = ~0u};
	v->gdtr.base = (u64)gdt32;
	v->gdtr.limit = sizeof(gdt32) - 1;
}

static struct vmcb others __attribute__((aligned(4096))); /* what VMLOAD gives back */

static const struct {
	const char *name;
	const struct snippet *s;
	u64 rflags, code, info1, info2;
	bool nrip;
} rows32[] = {
	{REQ("svm.2.8.5.1 svm.2.4.2.13") "INTO", &m_into, 0x802, EXIT_EXCEPTION + 4, 0, 0, true},
	{REQ("svm.2.8.6.1") "BOUND", &m_bound, 2, EXIT_EXCEPTION + 5, 0, 0, true},
	{REQ("svm.2.10.1.1") "JMP to a task", &m_jmp_task, 2, EXIT_TASK, 0x20, 1ull << 38, false},
	{"CALL of a task", &m_call_task, 2, EXIT_TASK, 0x20, 0, false},
	{"CALL of a task gate", &m_call_gate, 2, EXIT_TASK, 0x20, 0, false},
	{"IRET from a task", &m_iret, 0x4002, EXIT_TASK, 0x20, 1ull << 36, false},
	{REQ("svm.2.17.3.4") "LOCK MOV from CR0", &m_lock_cr0, 2, EXIT_CR_READ + 8, 0, 0, true},
	{"PUSHF", &m_pushf, 2, EXIT_PUSHF, 0, 0, true},
	{"INT3", &m_int3, 2, EXIT_EXCEPTION + 3, 0, 0, true},
	{REQ("svm.2.6.26 svm.2.6.34") "A16 OUTSB", &m_outs16, 2, EXIT_IOIO, 0x80 << 16 | 1 << 7 | 1 << 4 | 1 << 2, 0, true},
};

static void test_32(void)
{
	for (unsigned n = 0; n < COUNT(rows32); n++) {
		const struct snippet *at = rows32[n].s;
		struct icpt i = ICPT((u8)rows32[n].code);
		u64 code;

		scratch[0] = 0;
		protected32(at);
		((u8 *)v->iopm_pa)[0x80 / 8] = 1;
		v->rflags = rows32[n].rflags;
		/* TR belongs to VMLOAD: give the guest its own, and ours back afterwards */
		if (rows32[n].code == EXIT_TASK) {
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
		bool behind = of_2005 && (code == EXIT_EXCEPTION + 3 || code == EXIT_EXCEPTION + 4); /* traps in 2005 */

		vcheck(rows32[n].name, "RIP", v->rip, (u64)(behind ? at->next : at->at));
		vcheck(rows32[n].name, "EXITINFO1", v->exitinfo1,
			code == EXIT_CR_READ + 8 && assists ? 1ull << 63 | 3
			: code == EXIT_IOIO && assists	    ? rows32[n].info1 | 3 << 10 /* DS */
							    : rows32[n].info1);
		if (code == EXIT_TASK) /* bit 48 tells RFLAGS.RF */
			vcheck(rows32[n].name, "EXITINFO2", v->exitinfo2 & ~(1ull << 48), rows32[n].info2);
		if (nrips)
			vcheck(rows32[n].name, "nRIP", v->nrip, rows32[n].nrip ? (u64)at->next : 0);
	}
	proves("svm.2.10.1.5 svm.2.10.1.8 svm.2.10.1.9 svm.2.10.1.10 svm.2.21.5.12 svm.4.MOVCR.4");
}

/* An exception through a task gate: the error code for the new task, and the event. */
static void task_gate(void)
{
	static u64 idt32[32];
	static u32 before[32];
	u64 code;

	protected32(&m_gp);
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
	vcheck("task gate", REQ("svm.2.10.1.4") "code", code, EXIT_TASK);
	vcheck("task gate", "EXITINFO1", v->exitinfo1, 0x20);
	/* a fault sets RF in what is saved */
	vcheck("task gate", REQ("svm.2.10.1.6 svm.2.10.1.11 svm.2.10.1.12") "EXITINFO2", v->exitinfo2, 1ull << 48 | 1ull << 44 | 0x1234);
	vcheck("task gate", REQ("svm.2.10.1.13") "EXITINTINFO", v->exitintinfo, 0x123480000b0dull);
	vcheck("task gate", "RIP", v->rip, (u64)m_gp.at);
	vcheck("task gate", REQ("svm.2.10.1.3") "no task was saved", memcmp(before, tss_old, sizeof(before)), 0);
	protected32(&m_jmp_task); /* the incoming task is not present */
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
