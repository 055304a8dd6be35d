/*
 * The container: a guest in paged real mode that sees SMRAM and nothing else. "Containerizing Platform SMM", "Paged Real
 * Mode". Its page tables are the monitor's, every port, MSR, control register and exception leads here.
 */
#include "container.h"

enum { PRESENT = 1, WRITABLE = 2, PAGE = 4096, PAGES = 1024 };
enum { ICPT_RSM = SVM_BIT(EXIT_RSM), ICPT_EVENTS = 0xf /* INTR, NMI, SMI, INIT */ };
enum { REVISION = 0x30064, WRMSR_LENGTH = 2 };

struct container {
	struct vmcb *v;
	u32 *directory, *low; /* legacy paging: its first 4 MiB */
	u8 *blank;            /* what lies where nothing is shown: ones */
	struct registers r;
};
static struct container containers[PROCESSORS];
unsigned contained, refused, passed_on;

static void tables(struct container *c)
{
	memset(c->directory, 0, PAGE);
	memset(c->low, 0, PAGE);
	c->directory[0] = (u32)(u64)c->low | WRITABLE | PRESENT;
	for (u32 page = PLATFORM_SMRAM / PAGE; page < 0xc0000 / PAGE; page++)
		c->low[page] = page * PAGE | WRITABLE | PRESENT;
	memset(c->blank, 0xff, PAGE);
}

void container_prepare(unsigned cpu)
{
	struct container *c = &containers[cpu];
	u8 *iopm = page_alloc(), *msrpm;

	page_alloc();
	page_alloc();
	msrpm = page_alloc();
	page_alloc(); /* pages follow each other: three of ports, two of MSRs */
	memset(iopm, 0xff, 3 * PAGE);
	memset(msrpm, 0xff, 2 * PAGE);
	c->directory = page_alloc();
	c->low = page_alloc();
	c->blank = page_alloc();
	c->v = page_alloc();
	c->v->iopm_pa = (u64)iopm;
	c->v->msrpm_pa = (u64)msrpm;
}

/* As SMM begins: "SMM Operating-Environment", with paging. */
static void state(struct container *c, u32 smbase)
{
	const struct vmcb_seg data = {.attrib = 0x893, .limit = 0xffffffff};
	struct vmcb *v = c->v;

	v->intercept_cr = 0xffffffff;
	v->intercept_dr = 0xffffffff;
	v->intercept_exc = 0xffffffff;
	v->intercept1 = ICPT_EVENTS | ICPT_RSM | SVM_HLT | SVM_IOIO | SVM_MSR | SVM_SHUTDOWN | SVM_BIT(EXIT_INVLPG) |
	                SVM_BIT(EXIT_TASK) | SVM_BIT(EXIT_FERR) | SVM_BIT(EXIT_INVD) | SVM_BIT(EXIT_INTN);
	v->intercept2 = 0x7f; /* all of SVM */
	v->asid = 1;
	v->tlb_control = 1;
	v->vintr = 1 << 24; /* V_INTR_MASKING */
	v->int_state = v->eventinj = 0;
	v->efer = 1 << 12;
	v->cr0 = 0x80000010; /* PG, ET: PE is 0 */
	v->cr3 = (u64)c->directory;
	v->cr4 = 0;
	v->ds = v->es = v->fs = v->gs = v->ss = data;
	v->cs = (struct vmcb_seg){.sel = (u16)(smbase >> 4), .attrib = 0x89b, .limit = 0xffffffff, .base = smbase};
	v->gdtr = v->idtr = (struct vmcb_seg){0};
	v->cpl = 0;
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = 2;
	v->rip = SMM_CODE;
	v->rsp = v->rax = 0;
	memset(&c->r, 0, sizeof(c->r));
}

/* The state-save area that the handler believes in. Nothing of the interrupted program is there but the call. */
static void area(u32 smbase, const struct call *call)
{
	u8 *at = (u8 *)(u64)smbase;

	memset(at + SMM_AREA, 0, 0x200);
	*(u32 *)(at + 0xfefc) = REVISION;
	*(u32 *)(at + 0xff00) = smbase;
	*(u64 *)(at + SAVED_RAX) = call->rax;
	*(u64 *)(at + SAVED_RBX) = call->rbx;
	*(u64 *)(at + SAVED_RCX) = call->rcx;
	*(u64 *)(at + SAVED_RSI) = call->rsi;
}

/* ---- what the handler asks for ---- */

/* The SMI registers of the chipset and the APM status are the platform's business; nothing else is. */
static bool allowed(u16 port)
{
	return port == APM_STATUS || (port & ~7u) == smi_port();
}

static u32 port_in(u16 port, u32 size)
{
	return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_out(u16 port, u32 size, u32 v)
{
	if (size == 1)
		outb(port, (u8)v);
	else if (size == 2)
		outw(port, (u16)v);
	else
		outl(port, v);
}

/* EXITINFO1: the port in 31:16, bit 0 an input, 6:4 the size; EXITINFO2: where the handler goes on. */
static void io(unsigned cpu, struct vmcb *v)
{
	const u16 port = (u16)(v->exitinfo1 >> 16);
	const u32 size = v->exitinfo1 >> 4 & 7, keep = size == 4 ? 0 : ~0u << 8 * size;
	const bool in = v->exitinfo1 & 1, ok = allowed(port) && !(v->exitinfo1 & 4);
	u32 got = ~0u;

	print("container %u: %s port 0x%x, %u bytes: %s\n", cpu, in ? "IN" : "OUT", port, size, ok ? "passed on" : "refused");
	*(ok ? &passed_on : &refused) += 1;
	if (ok && in)
		got = port_in(port, size);
	else if (ok)
		port_out(port, size, (u32)v->rax);
	if (in)
		v->rax = ((u32)v->rax & keep) | (got & ~keep);
	v->rip = v->exitinfo2;
}

/* Where the container has no memory there is a page of ones, as on a bus where nobody answers. It may be written: what is
 * written goes nowhere. */
static void beyond(unsigned cpu, struct container *c)
{
	const u32 at = (u32)c->v->exitinfo2, slot = at >> 22;

	print("container %u: reached for 0x%x: nothing there\n", cpu, at);
	refused++;
	if (slot)
		c->directory[slot] = (u32)(u64)c->low | WRITABLE | PRESENT; /* seen again every 4 MiB: still only SMRAM */
	c->low[at / PAGE % PAGES] = (u32)(u64)c->blank | WRITABLE | PRESENT;
}

static void msr(unsigned cpu, struct container *c)
{
	const bool write = c->v->exitinfo1;

	print("container %u: %s 0x%x: refused\n", cpu, write ? "WRMSR" : "RDMSR", (u32)c->r.rcx);
	refused++;
	if (!write)
		c->v->rax = c->r.rdx = 0;
	c->v->rip += WRMSR_LENGTH;
}

void container_run(unsigned cpu, struct call *call)
{
	const u32 smbase = PLATFORM_SMRAM + cpu * PLATFORM_STEP;
	struct container *c = &containers[cpu];
	bool on = true;

	tables(c);
	state(c, smbase);
	area(smbase, call);
	while (on) {
		container_enter((u64)c->v, &c->r);
		if (c->v->exitcode == EXIT_IOIO)
			io(cpu, c->v);
		else if (c->v->exitcode == EXIT_PF)
			beyond(cpu, c);
		else if (c->v->exitcode == EXIT_MSR)
			msr(cpu, c);
		else
			on = false;
	}
	print("container %u: %s\n", cpu, c->v->exitcode == EXIT_RSM ? "RSM" : "ended by something else");
	if (c->v->exitcode != EXIT_RSM)
		guest_end(3);
	contained++;
	call->rax = *(u64 *)(u64)(smbase + SAVED_RAX);
	call->rbx = *(u64 *)(u64)(smbase + SAVED_RBX);
}
