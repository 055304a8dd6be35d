/* The text of both.c in SVM's encoding. APM 2 "Intercepts", "SVM Intercept Exit Codes". */
#include "../svm_test.h"

#include "both.h"

enum { STACK_TOP = 0x7f0000 };

static u8 iopm[0x3000] __attribute__((aligned(4096))), msrpm[0x2000] __attribute__((aligned(4096)));
static struct vmcb others __attribute__((aligned(4096))); /* the host's part of what VMLOAD loads */
static bool nrips, assists;

bool both_enable(void)
{
	u32 r[4];

	if (!svm_enable())
		return false;
	cpuid(0x8000000a, 0, r);
	nrips = r[3] >> 3 & 1;
	assists = r[3] >> 7 & 1;
	svm_test_guest(STACK_TOP);
	return true;
}

void both_guest(void *entry)
{
	fresh();
	memset(iopm, 0, sizeof(iopm));
	asm volatile("vmsave" ::"a"(&others) : "memory");
	v->fs = others.fs;
	v->gs = others.gs;
	v->tr = others.tr;
	v->ldtr = others.ldtr;
	v->intercept_exc = 0;
	v->iopm_pa = (u64)iopm;
	v->msrpm_pa = (u64)msrpm;
	v->rip = (u64)entry;
}

void both_guest32(void *entry, u64 *gdt_, u64 *idt_, unsigned entries, u16 tr, u64 tss_)
{
	both_guest(entry);
	v->cr0 = 0x11;
	v->cr3 = 0;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 8, .attrib = 0xc9b, .limit = ~0u};
	v->gdtr.base = (u64)gdt_;
	v->gdtr.limit = entries * 8 - 1;
	v->idtr.base = (u64)idt_;
	v->idtr.limit = 256 * 8 - 1;
	v->tr = (struct vmcb_seg){.sel = tr, .attrib = 0x8b, .limit = 0x67, .base = tss_};
	v->intercept1 |= SVM_BIT(EXIT_TASK);
}

void both_user(void)
{
	user();
}

/* The intercept asks for every write; which bits change is VMX's question. */
void both_cr(unsigned n, bool write, u64 bits)
{
	(void)bits;
	v->intercept_cr |= 1u << (write ? 16 + n : n);
}

void both_port(u32 port)
{
	iopm[port / 8] |= (u8)(1 << (port & 7));
	v->intercept1 |= SVM_IOIO;
}

void both_exception(unsigned vector)
{
	v->intercept_exc |= 1u << vector;
}

void both_idt_limit(u32 limit)
{
	v->idtr.limit = limit;
}

void both_stack(u64 rsp)
{
	v->rsp = rsp;
}

void both_flags(u64 rflags)
{
	v->rflags = rflags;
}

void both_inject(const struct event *e)
{
	static const u32 type[] = {[EXTERNAL] = 0, [NMI] = 2, [HARDWARE] = 3, [SOFTWARE] = 4};

	v->eventinj = 1u << 31 | (e->has_error ? 1 << 11 : 0) | type[e->kind] << 8 | e->vector | (u64)e->error << 32;
}

/* The template's tables serve every guest: what was changed last is put back. */
u64 *both_entry(u64 gpa)
{
	return svm_nested_entry(v, gpa);
}

static struct event event(u64 info)
{
	static const enum kind kinds[8] = {EXTERNAL, NONE, NMI, HARDWARE, SOFTWARE};

	if (!(info >> 31 & 1))
		return (struct event){.kind = NONE};
	return (struct event){kinds[info >> 8 & 7], (u8)info, info >> 11 & 1, (u32)(info >> 32)};
}

static bool has_error(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void port(struct outcome *o, u64 info)
{
	o->what = PORT;
	o->in = info & 1;
	o->string = info >> 2 & 1;
	o->rep = info >> 3 & 1;
	o->size = (u8)(info >> 4 & 7);
	o->port = (u16)(info >> 16);
	o->next = v->exitinfo2;
}

static void task(struct outcome *o)
{
	o->what = TASK;
	o->selector = (u16)v->exitinfo1;
	o->cause = v->exitinfo2 >> 36 & 1 ? BY_IRET : v->exitinfo2 >> 38 & 1 ? BY_JMP : BY_CALL_OR_GATE;
	if (v->exitinfo2 >> 44 & 1) /* the error code for the new task must be that of the event */
		check("task switch: error code in both places", (u32)v->exitinfo2, (u32)(v->exitintinfo >> 32));
}

/* Without decode assists the instruction says which register, and MOV looks like the others: both are taken from it. */
static void cr_access(struct outcome *o)
{
	const u8 *p = (const u8 *)v->rip;
	bool rex = (*p & 0xf0) == 0x40, mov;

	o->what = o->code < 0x10 ? CR_READ : CR_WRITTEN;
	o->cr = o->code & 15;
	mov = p[rex + 1] == 0x20 || p[rex + 1] == 0x22;
	o->how = mov ? BY_MOV : BY_ANOTHER;
	o->gpr = (u8)((p[rex + 2] & 7) | (rex && (*p & 1) ? 8 : 0));
	if (assists) {
		check("EXITINFO1 tells of MOV", v->exitinfo1 >> 63, mov);
		o->gpr = v->exitinfo1 & 15;
	}
}

struct outcome both_run(void)
{
	struct outcome o = {.what = OTHER};

	asm volatile("mov %%cr2, %0" : "=r"(v->cr2));
	asm volatile("clgi; vmload" ::"a"(v) : "memory");
	o.code = go_gif0();
	asm volatile("vmload; stgi" ::"a"(&others) : "memory");
	*svm_nested_entry(v, 0x10000000) = 0x10000000 | 0x87;
	o.rip = v->rip;
	o.vectoring = event(v->exitintinfo);
	if (o.code < 0x20) {
		cr_access(&o);
		o.next = nrips ? v->nrip : 0;
	} else if (o.code >= 0x40 && o.code < 0x60) {
		o.what = EXCEPTION;
		o.event = (struct event){HARDWARE, (u8)(o.code - 0x40), has_error((unsigned)o.code - 0x40),
		                         (u32)v->exitinfo1};
		o.address = v->exitinfo2;
	} else if (o.code == EXIT_IOIO) {
		port(&o, v->exitinfo1);
	} else if (o.code == EXIT_TASK) {
		task(&o);
	} else if (o.code == EXIT_NPF) {
		o.what = SECOND_STAGE;
		o.address = v->exitinfo2;
		o.write = v->exitinfo1 >> 1 & 1;
	} else {
		o.what = o.code == EXIT_SHUTDOWN ? SHUTDOWN : o.code == EXIT_VMMCALL ? CALLED : OTHER;
	}
	return o;
}

u64 both_cr2(void)
{
	return v->cr2;
}
