/*
 * The guest: 64 KiB of memory of its own by nested paging, no port and no MSR. Like the smallest monitor of
 * docs/tutorial-svm.md, in 32 bits: the loader's own tables have entries of 4 bytes, so the nested ones have, too.
 */
#include "loader.h"

struct segment {
	u16 selector, attributes;
	u32 limit;
	u64 base;
};

struct vmcb {
	u32 intercept[6]; /* 000h */
	u8 unused0[0x28];
	u64 iopm, msrpm, tsc_offset; /* 040h */
	u32 asid, tlb_control;
	u64 vintr, shadow; /* 060h */
	u64 exitcode, exitinfo1, exitinfo2, exitintinfo; /* 070h */
	u64 nested; /* 090h */
	u8 unused1[0x10];
	u64 eventinj, ncr3, lbr; /* 0A8h */
	u8 unused2[0x340];
	struct segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 400h */
	u8 unused3[0x30];
	u64 efer; /* 4D0h */
	u8 unused4[0x70];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548h */
	u8 unused5[0x58];
	u64 rsp; /* 5D8h */
	u8 unused6[0x18];
	u64 rax; /* 5F8h */
	u8 unused7[0x68];
	u64 gpat; /* 668h */
	u8 unused8[0x990];
} __attribute__((packed));
_Static_assert(sizeof(struct vmcb) == 4096 && offsetof(struct vmcb, efer) == 0x4d0, "appendix B");
_Static_assert(offsetof(struct vmcb, rip) == 0x578 && offsetof(struct vmcb, gpat) == 0x668, "appendix B");

enum { ICPT_INTR = 1 << 0, ICPT_NMI = 1 << 1, ICPT_SMI = 1 << 2, ICPT_INIT = 1 << 3, ICPT_HLT = 1 << 24,
	ICPT_IOIO = 1 << 27, ICPT_MSR = 1 << 28 };
#define ICPT_SHUTDOWN (1u << 31)
enum { ICPT_ALL_OF_SVM = 0x7f }; /* VMRUN to SKINIT */
enum { EXIT_IOIO = 0x7b, EXIT_VMMCALL = 0x81, EXIT_NPF = 0x400 };
enum { PRESENT = 1, WRITABLE = 2, USER = 4, LARGE = 0x80, PAGE = 4096 };
enum { CONSOLE = 0x20, GOOD = 0x600d };

/* Pages behind the DEV table, in this order. The maps are as long as the architecture says. */
enum { P_VMCB, P_HSAVE, P_HOST, P_NESTED, P_NESTED_TABLE, P_BLANK, P_IOPM, P_MSRPM = P_IOPM + 3, P_COUNT = P_MSRPM + 2 };

static u32 pages;

static void *page(u32 n)
{
	return (void *)(pages + n * PAGE);
}

/* All of memory as it is, by pages of 4 MiB: nested paging needs a host that pages. */
static void host_paging(bool on)
{
	u32 *directory = page(P_HOST), cr;

	for (u32 n = 0; n < 1024; n++)
		directory[n] = n << 22 | LARGE | WRITABLE | PRESENT;
	__asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4" : "=&r"(cr)); /* PSE */
	__asm__ volatile("mov %0, %%cr3" ::"r"(directory) : "memory");
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr));
	cr = on ? cr | 1u << 31 : cr & ~(1u << 31);
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr) : "memory");
}

static void nested_tables(struct vmcb *v, u32 memory)
{
	u32 *directory = page(P_NESTED), *table = page(P_NESTED_TABLE);

	directory[0] = (u32)table | USER | WRITABLE | PRESENT;
	for (u32 n = 0; n < GUEST_MEMORY / PAGE; n++)
		table[n] = (memory + n * PAGE) | USER | WRITABLE | PRESENT;
	v->ncr3 = (u32)directory;
	v->nested = 1;
}

static void controls(struct vmcb *v)
{
	memset(page(P_IOPM), 0xff, 3 * PAGE);
	memset(page(P_MSRPM), 0xff, 2 * PAGE);
	v->iopm = (u32)page(P_IOPM);
	v->msrpm = (u32)page(P_MSRPM);
	v->intercept[3] = ICPT_INTR | ICPT_NMI | ICPT_SMI | ICPT_INIT | ICPT_HLT | ICPT_IOIO | ICPT_MSR | ICPT_SHUTDOWN;
	v->intercept[4] = ICPT_ALL_OF_SVM;
	v->asid = 1;
}

static void state(struct vmcb *v)
{
	v->cs = (struct segment){ .selector = 0x08, .attributes = 0xc9b, .limit = 0xffffffff };
	v->ss = v->ds = v->es = (struct segment){ .selector = 0x10, .attributes = 0xc93, .limit = 0xffffffff };
	v->efer = EFER_SVME;
	v->cr0 = 0x11; /* PE, ET */
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = 2;
	v->rip = GUEST_ENTRY;
	v->rsp = GUEST_MEMORY;
	v->gpat = 0x0007040600070406;
}

/* EXITINFO1: the port in 31:16, bit 0 an input, 6:4 the size; EXITINFO2: where the guest goes on. */
static void port(struct vmcb *v)
{
	u32 number = (u32)v->exitinfo1 >> 16;

	if (number == CONSOLE && !(v->exitinfo1 & 1))
		print("%c", (char)v->rax);
	else
		print("loader: the guest asked for port 0x%x: refused\n", number);
	if (v->exitinfo1 & 1)
		v->rax = 0xffffffff;
	v->rip = v->exitinfo2;
}

/* Where the guest has no memory there is a page of ones, as on a bus where nobody answers. */
static bool beyond(struct vmcb *v)
{
	u32 *table = page(P_NESTED_TABLE), at = (u32)v->exitinfo2;

	print("loader: the guest reached for its address 0x%x: nothing there\n", at);
	if (at >= 1u << 22 || (v->exitinfo1 & WRITABLE) || table[at / PAGE])
		return false;
	memset(page(P_BLANK), 0xff, PAGE);
	table[at / PAGE] = (u32)page(P_BLANK) | USER | PRESENT;
	return true;
}

bool guest_run(u32 slb)
{
	u32 regs[6] = { 0 };
	struct vmcb *v;
	bool on = true;

	pages = slb + AT_PAGES;
	memset(page(0), 0, P_COUNT * PAGE);
	v = page(P_VMCB);
	wrmsr(MSR_EFER, EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (u32)page(P_HSAVE));
	host_paging(true);
	nested_tables(v, slb + AT_GUEST);
	controls(v);
	state(v);
	while (on) {
		enter_guest((u32)v, regs);
		if (v->exitcode == EXIT_IOIO)
			port(v);
		else if (v->exitcode == EXIT_NPF)
			on = beyond(v);
		else
			on = false;
	}
	host_paging(false);
	wrmsr(MSR_VM_HSAVE_PA, 0);
	print("loader: the guest ended: exit code 0x%x, EAX 0x%x\n", (u32)v->exitcode, (u32)v->rax);
	/* what it read beyond its memory, and at CFCh, was nothing but ones */
	return v->exitcode == EXIT_VMMCALL && v->rax == GOOD && regs[0] == 0xffffffff && regs[1] == 0xffffffff;
}
