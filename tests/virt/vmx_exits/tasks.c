/*
 * Task switches, which exit before anything is stored: "Task Switches", "Exit Qualification for Task Switches". A 32-bit
 * guest without paging; its GDT has a task at 60h, a gate to it at 68h, and tasks that cannot be switched to.
 */
#include "exits.h"

SNIPPET32(t_call, "nop", "lcall $0x60, $0");
SNIPPET32(t_jmp, "nop", "ljmp $0x60, $0");
SNIPPET32(t_call_gate, "nop", "lcall $0x68, $0");
SNIPPET32(t_jmp_gate, "nop", "ljmp $0x68, $0");
SNIPPET32(t_iret, "nop", "iret");
SNIPPET32(t_int, "nop", "int $0x40");
SNIPPET32(t_int3, "nop", "int3");
SNIPPET32(t_ud, "nop", "ud2");
SNIPPET32(t_call_absent, "nop", "lcall $0x70, $0");
SNIPPET32(t_call_busy, "nop", "lcall $0x78, $0");
SNIPPET32(t_call_short, "nop", "lcall $0x80, $0");
SNIPPET32(t_call_beyond, "nop", "lcall $0x200, $0");

enum { ON_CALL, ON_IRET, ON_JMP, ON_GATE };
enum { TSS32 = 0x89, TSS32_BUSY = 0x8b, TASK_GATE = 0x85, IN_GDT = 0x60 };
enum { NESTED_TASK = 0x4000 };

static u64 table[32], gates[256];
static u8 task[128] __attribute__((aligned(128)));
static u8 task_now[128] __attribute__((aligned(128)));

static u64 tss_descriptor(u64 base_, u32 limit, u32 type)
{
	return limit | (base_ & 0xffffff) << 16 | (u64)type << 40 | (base_ >> 24 & 0xff) << 56;
}

static void guest32(const struct snippet *s)
{
	base(s);
	on(VMCS_PROC2, S_UNRESTRICTED);
	off(VMCS_ENTRY_CONTROLS, E_LONG);
	vmx_write(VMCS_GUEST_EFER, 0);
	vmx_write(VMCS_GUEST_CR0, read_cr0() & ~(1ull << 31));
	vmx_write(VMCS_GUEST_CS, 0x18);
	vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
	for (unsigned n = 0; n < 11; n++)
		table[n] = gdt[n];
	table[IN_GDT / 8] = tss_descriptor((u64)task, 0x67, TSS32);
	table[IN_GDT / 8 + 1] = (u64)IN_GDT << 16 | (u64)TASK_GATE << 40;
	table[IN_GDT / 8 + 2] = tss_descriptor((u64)task, 0x67, TSS32 & 0x7f);
	table[IN_GDT / 8 + 3] = tss_descriptor((u64)task, 0x67, TSS32_BUSY);
	table[IN_GDT / 8 + 4] = tss_descriptor((u64)task, 0x66, TSS32);
	for (unsigned n = 0; n < 256; n++)
		gates[n] = table[IN_GDT / 8 + 1];
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)table);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, sizeof(table) - 1);
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)gates);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, sizeof(gates) - 1);
	vmx_write(VMCS_GUEST_TR_BASE, (u64)task_now);
	memset(task_now, 0, sizeof(task_now));
	task_now[0] = IN_GDT; /* the link to the previous task */
}

static const struct switch_row {
	const char *name;
	const struct snippet *s;
	unsigned cause;
	u32 vectoring; /* original event */
	u64 length;
	u32 flags;
	bool busy; /* where IRET returns to is busy */
} switches[] = {
	{"task switch by CALL", &t_call, ON_CALL, 0, 7, 0, false},
	{"task switch by JMP", &t_jmp, ON_JMP, 0, 7, 0, false},
	{"task switch by CALL through a gate", &t_call_gate, ON_CALL, 0, 7, 0, false},
	{"task switch by JMP through a gate", &t_jmp_gate, ON_JMP, 0, 7, 0, false},
	{"task switch by IRET", &t_iret, ON_IRET, 0, 1, NESTED_TASK, true},
	{"task switch by INT n", &t_int, ON_GATE, 0x80000440, 2, 0, false},
	{"task switch by INT3", &t_int3, ON_GATE, 0x80000603, 1, 0, false},
	{"task switch by an exception", &t_ud, ON_GATE, 0x80000306, 0, 0, false},
};

static void test_switches(void)
{
	for (unsigned n = 0; n < COUNT(switches); n++) {
		const struct switch_row *t = &switches[n];

		guest32(t->s);
		if (t->busy)
			table[IN_GDT / 8] = tss_descriptor((u64)task, 0x67, TSS32_BUSY);
		on(VMCS_GUEST_RFLAGS, t->flags);

		u64 before = table[IN_GDT / 8];

		vcheck(t->name, "exits", go(), R_TASK);
		vcheck(t->name, "qualification", vmx_read(VMCS_QUALIFICATION), IN_GDT | (u64)t->cause << 30);
		vcheck(t->name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)t->s->at);
		if (t->length)
			vcheck(t->name, "length", vmx_read(VMCS_EXIT_LENGTH), t->length);
		vcheck(t->name, "original event valid", vmx_read(VMCS_VECTORING) >> 31, t->vectoring >> 31);
		if (t->vectoring)
			vcheck(t->name, "original event", vmx_read(VMCS_VECTORING), t->vectoring);
		vcheck(t->name, "descriptor", table[IN_GDT / 8], before);
		vcheck(t->name, "TR", vmx_read(VMCS_GUEST_TR), 0x28);
	}
}

/* What a task switch checks before it begins faults and does not exit: "Task Switches", second paragraph. */
static void test_faults_first(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u32 event, error;
	} row[] = {
		{"task not present", &t_call_absent, 0x80000b0b, 0x70},
		{"task busy", &t_call_busy, 0x80000b0d, 0x78},
		{"TSS too short", &t_call_short, 0x80000b0a, 0x80},
		{"task selector beyond the GDT", &t_call_beyond, 0x80000b0d, 0x200},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		guest32(row[n].s);
		vmx_write(VMCS_EXCEPTIONS, ~0u);
		vcheck(row[n].name, "faults", go(), R_EXCEPTION);
		vcheck(row[n].name, "event", vmx_read(VMCS_EXIT_EVENT), row[n].event);
		vcheck(row[n].name, "error code", vmx_read(VMCS_EXIT_ERROR), row[n].error);
	}
	guest32(&t_iret); /* back to a task that is not busy */
	vmx_write(VMCS_EXCEPTIONS, ~0u);
	on(VMCS_GUEST_RFLAGS, NESTED_TASK);
	check("IRET to an idle task: faults", go(), R_EXCEPTION);
	check("IRET to an idle task: #TS", vmx_read(VMCS_EXIT_EVENT), 0x80000b0a);
}

/* The exit by a gate inside an injected event: the original event is what was injected. */
static void test_injected(void)
{
	guest32(&t_int);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000b0d);
	vmx_write(VMCS_ENTRY_ERROR, 0x1230);
	check("injected #GP into a task gate: exits", go(), R_TASK);
	check("injected #GP into a task gate: qualification", vmx_read(VMCS_QUALIFICATION), IN_GDT | 3ull << 30);
	check("injected #GP into a task gate: original event", vmx_read(VMCS_VECTORING), 0x80000b0d);
	check("injected #GP into a task gate: its error code", vmx_read(VMCS_VECTORING_ERROR), 0x1230);
	check("injected #GP into a task gate: RIP", vmx_read(VMCS_GUEST_RIP), (u64)t_int.entry);
	guest32(&t_int);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000440);
	vmx_write(VMCS_ENTRY_LENGTH, 2);
	check("injected INT n into a task gate: exits", go(), R_TASK);
	check("injected INT n into a task gate: original event", vmx_read(VMCS_VECTORING), 0x80000440);
	check("injected INT n into a task gate: length as injected", vmx_read(VMCS_EXIT_LENGTH), 2);
	guest32(&t_int); /* IA32_VMX_MISC[30] */
	vmx_write(VMCS_ENTRY_EVENT, 0x80000603);
	vmx_write(VMCS_ENTRY_LENGTH, 0);
	check("injected INT3 of length 0: exits by the gate", go(), R_TASK);
	check("injected INT3 of length 0: length", vmx_read(VMCS_EXIT_LENGTH), 0);
}

void test_tasks(void)
{
	test_switches();
	test_faults_first();
	test_injected();
}
