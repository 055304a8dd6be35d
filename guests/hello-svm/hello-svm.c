/*
 * hello-svm: the smallest complete monitor for AMD's SVM. It turns the processor into a host, builds one guest with its
 * own page tables and nested page tables, runs it, and answers its exits: port output, CPUID, a call to the monitor, a
 * page that is not there yet, and the end. docs/tutorial-svm.md goes through it part by part; the numbers in brackets
 * are its chapters. Everything a monitor must have is in this file; guests/lib gives a serial line and page_alloc().
 */
#include "guest.h"

/* ---- [1] the VMCB: one page, two halves, offsets from APM 2 "Layout of VMCB" ---- */

struct segment {
	u16 selector, attributes; /* descriptor bits 55:52 and 47:40, pushed together */
	u32 limit;
	u64 base;
};

struct vmcb {
	u32 intercept[6];  /* 000h: CR, DR, exceptions, then instructions and events */
	u8 unused0[0x28];
	u64 iopm, msrpm;   /* 040h: which ports and MSRs exit */
	u64 tsc_offset;
	u32 asid;          /* 058h: the guest's tag in the TLB; 0 is the host's */
	u32 tlb_control;
	u64 vintr, shadow; /* 060h */
	u64 exitcode, exitinfo1, exitinfo2, exitintinfo; /* 070h: why the guest was left */
	u64 nested;        /* 090h: bit 0 turns nested paging on */
	u8 unused1[0x10];
	u64 eventinj;      /* 0A8h: an event to deliver at entry */
	u64 ncr3;          /* 0B0h: root of the nested tables */
	u64 lbr;
	u32 clean, unused2; /* 0C0h: 0 means "load everything" */
	u64 nrip;          /* 0C8h: where the intercepted instruction ends */
	u8 unused3[0x330];
	struct segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400h: the guest's state */
	u8 unused4[0x2b];
	u8 cpl;            /* 4CBh */
	u32 unused5;
	u64 efer;          /* 4D0h */
	u8 unused6[0x70];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548h */
	u8 unused7[0x58];
	u64 rsp;           /* 5D8h */
	u8 unused8[0x18];
	u64 rax;           /* 5F8h: VMRUN's operand, so the guest's lives here */
	u8 unused9[0x68];
	u64 gpat;          /* 668h */
	u8 unused10[0x990];
} __attribute__((packed));
_Static_assert(sizeof(struct vmcb) == 4096 && offsetof(struct vmcb, efer) == 0x4d0, "the manual's layout");
_Static_assert(offsetof(struct vmcb, rip) == 0x578 && offsetof(struct vmcb, rax) == 0x5f8, "the manual's layout");

/* The bits of intercept[3] and [4]; a bit's number over all words is its exit code. */
enum {
	ICPT_SMI = 1 << 2, ICPT_CPUID = 1 << 18, ICPT_HLT = 1 << 24, ICPT_IOIO = 1 << 27, ICPT_MSR = 1 << 28,
	ICPT_SHUTDOWN = 1u << 31,
};
enum { ICPT_VMRUN = 1 << 0, ICPT_VMMCALL = 1 << 1 };
enum {
	EXIT_CPUID = 0x72, EXIT_HLT = 0x78, EXIT_IOIO = 0x7b, EXIT_SHUTDOWN = 0x7f, EXIT_VMMCALL = 0x81, EXIT_NPF = 0x400,
};

#define MSR_EFER        0xc0000080
#define MSR_VM_CR       0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117
#define EFER_SVME       (1ull << 12)
#define VM_CR_SVMDIS    (1ull << 4)
#define PAGE_RWU        7ull /* present, writable, user: the nested walk counts every guest access as a user's */

/* ---- [2] turning SVM on ---- */

static const char *enable_svm(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[2] & 1 << 2))
		return "this processor has no SVM";
	cpuid(0x8000000a, 0, r);
	if (!(r[3] & 1 << 0))
		return "this processor has no nested paging";
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM is disabled by VM_CR.SVMDIS";
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (u64)page_alloc()); /* where VMRUN keeps the host's state meanwhile */
	return NULL;
}

/* ---- [3] the guest: 64-bit code in the monitor's image, seen through tables of its own ---- */

#define GUEST_STACK  0x7f000ull      /* guest-physical, like all addresses below */
#define GUEST_TABLES 0x70000ull
#define GUEST_CODE   0x40000ull
#define LAZY         0x60000ull      /* a page the monitor maps only when it is touched */
#define PORT         0x20

/* Copied to GUEST_CODE: it must not refer to anything outside itself. */
static void __attribute__((noinline)) guest_main(void)
{
	u32 eax = 0x40000000, name[3], ecx = 0;

	for (u64 text = 0x6f6c6c6568; text; text >>= 8) /* "hello": a string would lie outside */
		outb(PORT, (u8)text);
	asm volatile("cpuid" : "+a"(eax), "=b"(name[0]), "+c"(ecx), "=d"(name[2])); /* who is the monitor? */
	name[1] = ecx;
	for (int n = 0; n < 12; n++)
		outb(PORT, (u8)(name[n / 4] >> n % 4 * 8));
	outb(PORT, '\n');
	*(volatile u64 *)LAZY = 42;                                          /* nobody mapped this page yet */
	eax = 1;
	asm volatile("vmmcall" : "+a"(eax) : "b"(*(volatile u64 *)LAZY) : "memory"); /* "add one": the answer is in EAX */
	asm volatile("hlt" ::"a"(eax));
	for (;;)
		;
}

struct machine {
	struct vmcb *vmcb;
	u8 *memory;     /* the guest's 512 KiB: guest-physical 0 is memory[0] */
	u64 *ptes;      /* its nested page table: one entry a page */
	u64 regs[15];   /* rbx rcx rdx rsi rdi rbp r8..r15: VMRUN switches none of them */
	unsigned exits;
};
enum { RBX, RCX, RDX, RSI, RDI, RBP, R8 };

/* [4] Nested tables: guest-physical to physical, in the host's own paging mode. One table covers 2 MiB. */
static void map_memory(struct machine *m)
{
	u64 *l4 = page_alloc(), *l3 = page_alloc(), *l2 = page_alloc();

	m->ptes = page_alloc();
	l4[0] = (u64)l3 | PAGE_RWU;
	l3[0] = (u64)l2 | PAGE_RWU;
	l2[0] = (u64)m->ptes | PAGE_RWU;
	for (u64 pa = 0; pa < 0x80000; pa += 4096)
		if (pa != LAZY)
			m->ptes[pa / 4096] = (u64)(m->memory + pa) | PAGE_RWU;
	m->vmcb->ncr3 = (u64)l4;
	m->vmcb->nested = 1;
}

/* The guest's own tables, by guest-physical addresses: linear 0..2 MiB is itself. */
static void guest_tables(struct machine *m)
{
	u64 *l4 = (u64 *)(m->memory + GUEST_TABLES);

	l4[0] = (GUEST_TABLES + 0x1000) | PAGE_RWU;
	l4[512] = (GUEST_TABLES + 0x2000) | PAGE_RWU;
	l4[1024] = 0x80 | PAGE_RWU; /* one page of 2 MiB */
}

static void guest_state(struct vmcb *v)
{
	v->cs = (struct segment){.selector = 0x08, .attributes = 0xa9b, .limit = 0xffffffff}; /* P S code L G */
	v->ss = v->ds = v->es = (struct segment){.selector = 0x10, .attributes = 0xc93, .limit = 0xffffffff};
	v->efer = EFER_SVME | 1 << 8 | 1 << 10; /* LME and LMA; SVME is required even in the guest */
	v->cr0 = 0x80000011;                    /* PG, ET, PE */
	v->cr3 = GUEST_TABLES;
	v->cr4 = 1 << 5;                        /* PAE */
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = 2;
	v->rip = GUEST_CODE;
	v->rsp = GUEST_STACK - 8;
	v->gpat = 0x0007040600070406;
}

static void controls(struct vmcb *v)
{
	u8 *iopm = page_alloc();

	page_alloc(), page_alloc(); /* the I/O map is three pages; page_alloc() gives neighbours */
	memset(iopm, 0xff, 3 * 4096);
	v->iopm = (u64)iopm;
	v->msrpm = (u64)memset(page_alloc(), 0xff, 4096);
	memset(page_alloc(), 0xff, 4096); /* its second page */
	v->intercept[3] = ICPT_SMI | ICPT_CPUID | ICPT_HLT | ICPT_IOIO | ICPT_MSR | ICPT_SHUTDOWN;
	v->intercept[4] = ICPT_VMRUN | ICPT_VMMCALL; /* VMRUN's must be set, SMI's on the first generation, too */
	v->asid = 1;
}

/* ---- [5] the world switch ---- */

/* VMRUN saves and loads RAX, RSP, RIP, RFLAGS, CR, segments; all other general registers are ours to swap. GIF is 0
 * around it, so that no interrupt finds half a world. */
static void enter(struct machine *m)
{
	u64 rax = (u64)m->vmcb; /* VMRUN's operand */

	asm volatile("push %%rbp\n\t"
		     "push %1\n\t"
		     "mov 0(%1), %%rbx\n\tmov 8(%1), %%rcx\n\tmov 16(%1), %%rdx\n\tmov 24(%1), %%rsi\n\t"
		     "mov 40(%1), %%rbp\n\tmov 48(%1), %%r8\n\tmov 56(%1), %%r9\n\tmov 64(%1), %%r10\n\t"
		     "mov 72(%1), %%r11\n\tmov 80(%1), %%r12\n\tmov 88(%1), %%r13\n\tmov 96(%1), %%r14\n\t"
		     "mov 104(%1), %%r15\n\tmov 32(%1), %%rdi\n\t"
		     "clgi\n\tvmrun\n\tstgi\n\t"
		     "xchg %%rdi, (%%rsp)\n\t" /* the register file's address; the guest's RDI goes to the stack */
		     "mov %%rbx, 0(%%rdi)\n\tmov %%rcx, 8(%%rdi)\n\tmov %%rdx, 16(%%rdi)\n\tmov %%rsi, 24(%%rdi)\n\t"
		     "mov %%rbp, 40(%%rdi)\n\tmov %%r8, 48(%%rdi)\n\tmov %%r9, 56(%%rdi)\n\tmov %%r10, 64(%%rdi)\n\t"
		     "mov %%r11, 72(%%rdi)\n\tmov %%r12, 80(%%rdi)\n\tmov %%r13, 88(%%rdi)\n\tmov %%r14, 96(%%rdi)\n\t"
		     "mov %%r15, 104(%%rdi)\n\t"
		     "pop %%rax\n\tmov %%rax, 32(%%rdi)\n\t"
		     "pop %%rbp"
		     : "+a"(rax) : "D"(m->regs)
		     : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	m->exits++;
}

/* ---- [6] one function an exit; true: go on ---- */

/* The processor says where the next instruction is (EXITINFO2 for ports, nRIP otherwise). Without NRIP save a monitor
 * must know how long the instruction was: CPUID is two bytes, VMMCALL three. */
static void skip(struct vmcb *v, unsigned length)
{
	v->rip = v->nrip ? v->nrip : v->rip + length;
}

static bool port_output(struct machine *m)
{
	u64 info = m->vmcb->exitinfo1; /* 31:16 port, bit 0: input */

	if (info >> 16 != PORT || (info & 1))
		return false;
	print("%c", (char)m->vmcb->rax);
	m->vmcb->rip = m->vmcb->exitinfo2;
	return true;
}

static bool guest_cpuid(struct machine *m)
{
	u32 r[4];

	cpuid((u32)m->vmcb->rax, (u32)m->regs[RCX], r);
	if ((u32)m->vmcb->rax == 0x40000000)
		memcpy(&r[1], " from within", 12);
	m->vmcb->rax = r[0];
	m->regs[RBX] = r[1];
	m->regs[RCX] = r[2];
	m->regs[RDX] = r[3];
	skip(m->vmcb, 2);
	return true;
}

static bool monitor_call(struct machine *m)
{
	print("monitor: asked to add one to %lu\n", m->regs[RBX]);
	m->vmcb->rax = m->regs[RBX] + 1;
	skip(m->vmcb, 3);
	return true;
}

/* EXITINFO2: the guest-physical address. The instruction is not skipped: it runs again, and finds the page. */
static bool nested_page_fault(struct machine *m)
{
	u64 gpa = m->vmcb->exitinfo2 & ~0xfffull;

	print("monitor: guest-physical page 0x%lx is missing (error 0x%lx): mapped\n", gpa, m->vmcb->exitinfo1);
	if (gpa != LAZY)
		return false;
	m->ptes[gpa / 4096] = (u64)(m->memory + gpa) | PAGE_RWU;
	return true;
}

static bool handle(struct machine *m)
{
	switch (m->vmcb->exitcode) {
	case EXIT_IOIO: return port_output(m);
	case EXIT_CPUID: return guest_cpuid(m);
	case EXIT_VMMCALL: return monitor_call(m);
	case EXIT_NPF: return nested_page_fault(m);
	default: return false; /* HLT, SHUTDOWN, VMEXIT_INVALID (-1), whatever we did not expect */
	}
}

int main(void)
{
	const char *why = enable_svm();
	struct machine m = {0};

	if (why) {
		print("hello-svm: %s\n", why);
		return 1;
	}
	m.vmcb = page_alloc();
	m.memory = page_alloc();
	for (unsigned n = 1; n < 128; n++)
		page_alloc();
	memcpy(m.memory + GUEST_CODE, (void *)guest_main, 1024); /* more than there is of it */
	map_memory(&m);
	guest_tables(&m);
	guest_state(m.vmcb);
	controls(m.vmcb);
	do
		enter(&m);
	while (handle(&m));
	print("monitor: guest ended, exit code 0x%lx, RAX %lu, %u exits\n", m.vmcb->exitcode, m.vmcb->rax, m.exits);
	return m.vmcb->exitcode == EXIT_HLT && m.vmcb->rax == 43 ? 0 : 2;
}
