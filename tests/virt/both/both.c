/* CR accesses, ports, task switches and exceptions during delivery: what is the same under VMX and SVM. */
#include "both.h"

#include "../snippet.h"

#define NOT_MAPPED 0x4000000000ull /* by the guest's own tables */
#define HOLE       0x10000000ull   /* left out of the second stage where a row says so */

#define SNIPPET(name, setup, insn) SNIPPET_ENDING(name, setup, insn, LEAVE)

#define NOTHING                                                                                                        \
	{                                                                                                              \
		NONE, 0, false, 0                                                                                      \
	}
#define EVENT(kind, v)                                                                                                 \
	{                                                                                                              \
		kind, v, false, 0                                                                                      \
	}
#define WITH_ERROR(v, e)                                                                                               \
	{                                                                                                              \
		HARDWARE, v, true, e                                                                                   \
	}

u64 both_scratch[8];

static void expect_event(const char *name, const char *what, const struct event *got, const struct event *want)
{
	vcheck(name, what, (u64)got->kind << 8 | got->vector, (u64)want->kind << 8 | want->vector);
	if (got->kind == NONE || want->kind == NONE)
		return;
	vcheck(name, "has an error code", got->has_error, want->has_error);
	if (want->has_error)
		vcheck(name, "error code", got->error, want->error);
}

static bool left(const char *name, const struct outcome *o, enum what what, const void *rip)
{
	vcheck(name, "outcome", o->what, what);
	if (o->what != what) {
		if (o->what == OTHER)
			print("code 0x%lx\n", o->code);
		return false;
	}
	vcheck(name, "RIP", o->rip, (u64)rip);
	return true;
}

/* ---- control registers ---- */

SNIPPET(w_cr0, "mov %cr0, %rbx; xor $8, %ebx", "mov %rbx, %cr0");
SNIPPET(w_cr0_same, "mov %cr0, %rbx", "mov %rbx, %cr0");
SNIPPET(w_cr3, "mov %cr3, %r11", "mov %r11, %cr3");
SNIPPET(r_cr3, "", "mov %cr3, %rdx");
SNIPPET(w_cr4, "mov %cr4, %rcx; xor $4, %ecx", "mov %rcx, %cr4");
SNIPPET(w_cr8, "xor %r15d, %r15d", "mov %r15, %cr8");
SNIPPET(r_cr8, "", "mov %cr8, %rsi");
SNIPPET(w_clts, "mov %cr0, %rbx; or $8, %ebx; mov %rbx, %cr0", "clts");
SNIPPET(w_lmsw, "smsw %eax; xor $8, %eax", "lmsw %ax");
SNIPPET(u_cr0, "", "mov %rbx, %cr0");
SNIPPET(u_cr3, "", "mov %cr3, %rbx");
SNIPPET(u_cr4, "", "mov %rbx, %cr4");
SNIPPET(u_cr8, "", "mov %rbx, %cr8");
SNIPPET(u_clts, "", "clts");
SNIPPET(u_lmsw, "", "lmsw %ax");

static const struct {
	const char *name;
	const struct snippet *s;
	u8 cr;
	bool write;
	u64 bits;
	enum how how;
	u8 gpr;
} cr_rows[] = {
        {"MOV to CR0", &w_cr0, 0, true, 8, BY_MOV, 3},      {"LMSW", &w_lmsw, 0, true, 8, BY_ANOTHER, 0},
        {"MOV to CR3", &w_cr3, 3, true, ~0ull, BY_MOV, 11}, {"MOV from CR3", &r_cr3, 3, false, 0, BY_MOV, 2},
        {"MOV to CR4", &w_cr4, 4, true, 4, BY_MOV, 1},      {"MOV to CR8", &w_cr8, 8, true, ~0ull, BY_MOV, 15},
        {"MOV from CR8", &r_cr8, 8, false, 0, BY_MOV, 6},
};

/* At CPL 3 the #GP comes first. */
static const struct {
	const char *name;
	const struct snippet *s;
	u8 cr;
	bool write;
} cr_user[] = {
        {"MOV to CR0 at CPL 3", &u_cr0, 0, true}, {"MOV from CR3 at CPL 3", &u_cr3, 3, false},
        {"MOV to CR4 at CPL 3", &u_cr4, 4, true}, {"MOV to CR8 at CPL 3", &u_cr8, 8, true},
        {"CLTS at CPL 3", &u_clts, 0, true},      {"LMSW at CPL 3", &u_lmsw, 0, true},
};

static void control_registers(void)
{
	struct outcome o;

	for (unsigned n = 0; n < COUNT(cr_rows); n++) {
		const char *name = cr_rows[n].name;

		both_guest(cr_rows[n].s->entry);
		both_cr(cr_rows[n].cr, cr_rows[n].write, cr_rows[n].bits);
		o = both_run();
		if (left(name, &o, cr_rows[n].write ? CR_WRITTEN : CR_READ, cr_rows[n].s->at)) {
			vcheck(name, "which", o.cr, cr_rows[n].cr);
			vcheck(name, "how", o.how, cr_rows[n].how);
			if (o.how == BY_MOV)
				vcheck(name, "register", o.gpr, cr_rows[n].gpr);
			vcheck(name, "next", o.next ? o.next : (u64)cr_rows[n].s->next, (u64)cr_rows[n].s->next);
		}
		both_guest(cr_rows[n].s->entry);
		o = both_run();
		left(name, &o, CALLED, cr_rows[n].s->next);
	}
	both_guest(w_clts.entry);
	o = both_run();
	left("CLTS", &o, CALLED, w_clts.next);
	both_guest(w_cr0_same.entry);
	o = both_run();
	left("MOV to CR0, nothing changes", &o, CALLED, w_cr0_same.next);
	for (unsigned n = 0; n < COUNT(cr_user); n++) {
		both_guest(cr_user[n].s->entry);
		both_user();
		both_cr(cr_user[n].cr, cr_user[n].write, ~0ull);
		both_exception(13);
		o = both_run();
		if (left(cr_user[n].name, &o, EXCEPTION, cr_user[n].s->at))
			expect_event(cr_user[n].name, "event", &o.event, &(struct event)WITH_ERROR(13, 0));
	}
}

/* ---- ports ---- */

SNIPPET(in8, "mov $0x510, %edx", "in %dx, %al");
SNIPPET(in16, "mov $0x510, %edx", "in %dx, %ax");
SNIPPET(in32, "mov $0x510, %edx", "in %dx, %eax");
SNIPPET(in8i, "", "in $0x60, %al");
SNIPPET(out8, "mov $0x510, %edx", "out %al, %dx");
SNIPPET(out32, "mov $0x510, %edx", "out %eax, %dx");
SNIPPET(high16, "mov $0x9510, %edx", "in %dx, %ax");
SNIPPET(edge32, "mov $0x7ffe, %edx", "in %dx, %eax");
SNIPPET(last8, "mov $0xffff, %edx", "in %dx, %al");
SNIPPET(insb, "mov $0x510, %edx; lea both_scratch, %rdi", "insb");
SNIPPET(outsw, "mov $0x510, %edx; lea both_scratch, %rsi", "outsw");
SNIPPET(rep_insd, "mov $0x510, %edx; lea both_scratch, %rdi; mov $2, %ecx", "rep insl");
SNIPPET(rep_none, "mov $0x510, %edx; lea both_scratch, %rsi; xor %ecx, %ecx", "rep outsb");
SNIPPET(insb_pf, "mov $0x510, %edx; mov $0x4000000000, %rdi", "insb");

static const struct {
	const char *name;
	const struct snippet *s;
	u32 bit; /* the port that is asked for */
	bool hit;
	u16 port;
	u8 size;
	bool in, string, rep;
} port_rows[] = {
        {"IN AL, DX", &in8, 0x510, true, 0x510, 1, true, false, false},
        {"IN AL, DX, the port before", &in8, 0x50f, false, 0, 0, 0, 0, 0},
        {"IN AL, DX, the port behind", &in8, 0x511, false, 0, 0, 0, 0, 0},
        {"IN AX, DX, its second port", &in16, 0x511, true, 0x510, 2, true, false, false},
        {"IN EAX, DX, its last port", &in32, 0x513, true, 0x510, 4, true, false, false},
        {"IN EAX, DX, the port behind", &in32, 0x514, false, 0, 0, 0, 0, 0},
        {"IN AL, 60h", &in8i, 0x60, true, 0x60, 1, true, false, false},
        {"OUT DX, AL", &out8, 0x510, true, 0x510, 1, false, false, false},
        {"OUT DX, EAX", &out32, 0x512, true, 0x510, 4, false, false, false},
        {"IN AX of 9510h", &high16, 0x9511, true, 0x9510, 2, true, false, false},
        {"IN EAX across 8000h, below", &edge32, 0x7fff, true, 0x7ffe, 4, true, false, false},
        {"IN EAX across 8000h, above", &edge32, 0x8000, true, 0x7ffe, 4, true, false, false},
        {"IN EAX across 8000h, behind", &edge32, 0x8002, false, 0, 0, 0, 0, 0},
        {"IN AL of the last port", &last8, 0xffff, true, 0xffff, 1, true, false, false},
        {"IN AL of the last port, the first asked for", &last8, 0, false, 0, 0, 0, 0, 0},
        {"INSB", &insb, 0x510, true, 0x510, 1, true, true, false},
        {"OUTSW", &outsw, 0x511, true, 0x510, 2, false, true, false},
        {"REP INSD", &rep_insd, 0x510, true, 0x510, 4, true, true, true},
        {"REP OUTSB, RCX 0", &rep_none, 0x510, false, 0, 0, 0, 0, 0},
        {"INSB to a page that is not there", &insb_pf, 0x510, true, 0x510, 1, true, true, false},
};

static void ports(void)
{
	struct outcome o;

	tss[0x66] = tss[0x67] = 0xff; /* the guest has no map */
	for (unsigned n = 0; n < COUNT(port_rows); n++) {
		const char *name = port_rows[n].name;

		both_guest(port_rows[n].s->entry);
		both_port(port_rows[n].bit);
		both_exception(14);
		o = both_run();
		if (!left(name, &o, port_rows[n].hit ? PORT : CALLED,
		          port_rows[n].hit ? port_rows[n].s->at : port_rows[n].s->next) ||
		    !port_rows[n].hit)
			continue;
		vcheck(name, "port", o.port, port_rows[n].port);
		vcheck(name, "size", o.size, port_rows[n].size);
		vcheck(name, "IN", o.in, port_rows[n].in);
		vcheck(name, "string", o.string, port_rows[n].string);
		vcheck(name, "REP", o.rep, port_rows[n].rep);
		vcheck(name, "next", o.next ? o.next : (u64)port_rows[n].s->next, (u64)port_rows[n].s->next);
	}
	both_guest(in8.entry);
	both_user();
	both_port(0x510);
	both_exception(13);
	o = both_run();
	if (left("IN at CPL 3 without permission", &o, EXCEPTION, in8.at))
		expect_event("IN at CPL 3 without permission", "event", &o.event, &(struct event)WITH_ERROR(13, 0));
}

/* ---- task switches: of a 32-bit guest whose every gate leads to the task at 20h ---- */

enum { OLD = 0x18, NEW = 0x20, GATE = 0x28, ABSENT_DATA = 0x30, BUSY = 0x38, SHORT = 0x40 };
static u64 gdt32[16], idt32[256];
static u32 old_tss[32], new_tss[32];
static u8 code32[32];

static const struct {
	const char *name;
	u8 code[12], length, at;
	u32 flags;
	enum cause cause;
	struct event vectoring;
} task_rows[] = {
        {"JMP to a task", {0xea, 0, 0, 0, 0, NEW, 0}, 7, 0, 2, BY_JMP, NOTHING},
        {"JMP to a task gate", {0xea, 0, 0, 0, 0, GATE, 0}, 7, 0, 2, BY_JMP, NOTHING},
        {"CALL of a task", {0x9a, 0, 0, 0, 0, NEW, 0}, 7, 0, 2, BY_CALL_OR_GATE, NOTHING},
        {"CALL of a task gate", {0x9a, 0, 0, 0, 0, GATE, 0}, 7, 0, 2, BY_CALL_OR_GATE, NOTHING},
        {"IRET from a task", {0xcf}, 1, 0, 0x4002, BY_IRET, NOTHING},
        {"INT 40h through a task gate", {0xcd, 0x40}, 2, 0, 2, BY_CALL_OR_GATE, EVENT(SOFTWARE, 0x40)},
        {"INT3 through a task gate", {0xcc}, 1, 0, 2, BY_CALL_OR_GATE, EVENT(HARDWARE, 3)},
        {"#UD through a task gate", {0x0f, 0x0b}, 2, 0, 2, BY_CALL_OR_GATE, EVENT(HARDWARE, 6)},
        {"#NP through a task gate",
         {0xb8, ABSENT_DATA, 0, 0, 0, 0x8e, 0xd8},
         7,
         5,
         2,
         BY_CALL_OR_GATE,
         WITH_ERROR(11, ABSENT_DATA)},
};
/* What a switch refuses comes before it. */
static const struct {
	const char *name;
	u8 code[8], length;
	u8 vector;
	u32 error;
} task_faults[] = {
        {"JMP to a busy task", {0xea, 0, 0, 0, 0, BUSY, 0}, 7, 13, BUSY},
        {"CALL of a task beyond the GDT", {0x9a, 0, 0, 0, 0, 0, 1}, 7, 13, 0x100},
        {"CALL of a task that is not present", {0x9a, 0, 0, 0, 0, SHORT, 0}, 7, 11, SHORT},
};

static u64 descriptor(const void *base, u32 limit, u32 access)
{
	u64 a = (u64)base;

	return limit | (a & 0xffffff) << 16 | (u64)access << 40 | (a >> 24 & 0xff) << 56;
}

static void guest32(const u8 *code, unsigned length, u32 flags)
{
	memset(code32, 0x90, sizeof(code32));
	memcpy(code32, code, length);
	memcpy(code32 + length, (u8[]){0x0f, 0x01, BOTH_CALL}, 3);
	gdt32[1] = 0x00cf9b000000ffff;
	gdt32[2] = 0x00cf93000000ffff;
	gdt32[OLD / 8] = descriptor(old_tss, 0x67, 0x8b);
	gdt32[NEW / 8] = descriptor(new_tss, 0x67, flags & 0x4000 ? 0x8b : 0x89); /* the one to return to is busy */
	gdt32[GATE / 8] = (u64)NEW << 16 | 0xe5ull << 40;
	gdt32[ABSENT_DATA / 8] = 0x00cf13000000ffff;
	gdt32[BUSY / 8] = descriptor(new_tss, 0x67, 0x8b);
	gdt32[SHORT / 8] = descriptor(new_tss, 0x67, 0x09);
	old_tss[0] = NEW;
	for (unsigned n = 0; n < COUNT(idt32); n++)
		idt32[n] = gdt32[GATE / 8];
	both_guest32(code32, gdt32, idt32, COUNT(gdt32), OLD, (u64)old_tss);
	both_flags(flags);
}

static void tasks(void)
{
	static u32 before[32];
	struct outcome o;

	for (unsigned n = 0; n < COUNT(task_rows); n++) {
		const char *name = task_rows[n].name;

		guest32(task_rows[n].code, task_rows[n].length, task_rows[n].flags);
		memcpy(before, old_tss, sizeof(before));
		o = both_run();
		if (!left(name, &o, TASK, code32 + task_rows[n].at))
			continue;
		vcheck(name, "selector", o.selector, NEW);
		vcheck(name, "cause", o.cause, task_rows[n].cause);
		expect_event(name, "vectoring", &o.vectoring, &task_rows[n].vectoring);
		vcheck(name, "nothing stored", (u64)memcmp(before, old_tss, sizeof(before)), 0);
		vcheck(name, "busy as before", gdt32[NEW / 8] >> 41 & 1, task_rows[n].flags >> 14 & 1);
	}
	for (unsigned n = 0; n < COUNT(task_faults); n++) {
		guest32(task_faults[n].code, task_faults[n].length, 2);
		both_exception(task_faults[n].vector);
		o = both_run();
		if (left(task_faults[n].name, &o, EXCEPTION, code32))
			expect_event(task_faults[n].name, "event", &o.event,
			             &(struct event)WITH_ERROR(task_faults[n].vector, task_faults[n].error));
	}
}

/* ---- exceptions while an event is delivered ---- */

SNIPPET(e_ud, "", "ud2");
SNIPPET(e_int3, "", "int3");
SNIPPET(e_int, "", "int $0x40");
SNIPPET(e_de, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "div %ecx");
SNIPPET(e_nop, "nop", "nop");
SNIPPET(e_pf, "mov $0x4000000008, %rbx", "movl $1, (%rbx)");

enum { SHORT_IDT = 1, BAD_STACK = 2, HOLE_STACK = 4, NOT_VECTORING = 8 };
static const struct {
	const char *name;
	const struct snippet *s;
	u32 flags, asked; /* the exceptions asked for */
	struct event inject;
	enum what what;
	struct event event, vectoring;
} event_rows[] = {
        {"#GP while #UD is delivered", &e_ud, SHORT_IDT, 1 << 13, NOTHING, EXCEPTION, WITH_ERROR(13, 6 * 8 + 2 + EXT_INSIDE),
         EVENT(HARDWARE, 6)},
        {"#GP while INT3 is delivered", &e_int3, SHORT_IDT, 1 << 13, NOTHING, EXCEPTION, WITH_ERROR(13, 3 * 8 + 2),
         EVENT(HARDWARE, 3)},
        {"#GP while INT 40h is delivered", &e_int, SHORT_IDT, 1 << 13, NOTHING, EXCEPTION, WITH_ERROR(13, 0x40 * 8 + 2),
         EVENT(SOFTWARE, 0x40)},
        {"#GP while #DE is delivered", &e_de, SHORT_IDT, 1 << 13 | 1 << 8, NOTHING, EXCEPTION, WITH_ERROR(13, 2 + EXT_INSIDE),
         EVENT(HARDWARE, 0)},
        {"#DE and #GP: a double fault", &e_de, SHORT_IDT | NOT_VECTORING, 1 << 8, NOTHING, EXCEPTION, WITH_ERROR(8, 0),
         NOTHING},
        {"#UD, #GP, then #DF not delivered either", &e_ud, SHORT_IDT | NOT_VECTORING, 0, NOTHING, SHUTDOWN, NOTHING,
         NOTHING},
        {"#PF while #UD is pushed", &e_ud, BAD_STACK, 1 << 14, NOTHING, EXCEPTION, WITH_ERROR(14, 2),
         EVENT(HARDWARE, 6)},
        {"#PF while #PF is pushed", &e_pf, BAD_STACK, 1 << 8, NOTHING, EXCEPTION, WITH_ERROR(8, 0), NOTHING},
        {"the second stage while #UD is pushed", &e_ud, HOLE_STACK, 0, NOTHING, SECOND_STAGE, NOTHING,
         EVENT(HARDWARE, 6)},
        {"the second stage while INT 40h is pushed", &e_int, HOLE_STACK, 0, NOTHING, SECOND_STAGE, NOTHING,
         EVENT(SOFTWARE, 0x40)},
        {"#GP while an injected interrupt is delivered", &e_nop, SHORT_IDT, 1 << 13, EVENT(EXTERNAL, 0x55), EXCEPTION,
         WITH_ERROR(13, 0x55 * 8 + 3), EVENT(EXTERNAL, 0x55)},
        {"#GP while an injected NMI is delivered", &e_nop, SHORT_IDT, 1 << 13, EVENT(NMI, 2), EXCEPTION,
         WITH_ERROR(13, 2 * 8 + 3), EVENT(NMI, 2)},
        {"#GP while an injected #NP is delivered", &e_nop, SHORT_IDT, 1 << 13 | 1 << 11, WITH_ERROR(11, 0x1230),
         EXCEPTION, WITH_ERROR(13, 11 * 8 + 2 + EXT_INSIDE), WITH_ERROR(11, 0x1230)},
        {"the second stage while an injected interrupt is pushed", &e_nop, HOLE_STACK, 0, EVENT(EXTERNAL, 0x55),
         SECOND_STAGE, NOTHING, EVENT(EXTERNAL, 0x55)},
};

static void events(void)
{
	for (unsigned n = 0; n < COUNT(event_rows); n++) {
		const char *name = event_rows[n].name;
		u32 flags = event_rows[n].flags;
		bool injected = event_rows[n].inject.kind != NONE;
		struct outcome o;
		u64 cr2;

		both_guest(event_rows[n].s->entry);
		for (unsigned v = 0; v < 32; v++)
			if (event_rows[n].asked >> v & 1)
				both_exception(v);
		if (flags & SHORT_IDT)
			both_idt_limit(0);
		if (flags & BAD_STACK)
			both_stack(NOT_MAPPED + 0x1000);
		if (flags & HOLE_STACK) {
			both_stack(HOLE + 0x1000);
			*both_entry(HOLE) = 0;
		}
		if (injected) {
			both_flags(0x202);
			both_inject(&event_rows[n].inject);
		}
		asm volatile("mov %0, %%cr2" ::"r"(0x5555ull));
		o = both_run();
		cr2 = both_cr2();
		if (event_rows[n].what == SHUTDOWN) {
			vcheck(name, "outcome", o.what, SHUTDOWN);
			continue;
		}
		if (!left(name, &o, event_rows[n].what, injected ? event_rows[n].s->entry : event_rows[n].s->at))
			continue;
		if (o.what == EXCEPTION)
			expect_event(name, "event", &o.event, &event_rows[n].event);
		if (!(flags & NOT_VECTORING) && event_rows[n].event.vector != 8)
			expect_event(name, "vectoring", &o.vectoring, &event_rows[n].vectoring);
		if (o.what == EXCEPTION && o.event.vector == 14) {
			vcheck(name, "address", o.address, NOT_MAPPED + 0x1000 - 40);
			vcheck(name, "CR2 stays", cr2, 0x5555);
		}
		if (o.what == SECOND_STAGE) {
			vcheck(name, "address", o.address, HOLE + 0x1000 - 40);
			vcheck(name, "a write", o.write, true);
		}
	}
}

int main(void)
{
	if (!both_enable()) {
		print("this processor has no virtualisation\n");
		return 1;
	}
	control_registers();
	ports();
	tasks();
	events();
	both_pm_timer();
	return guest_verdict();
}
