/* Guests outside IA-32e mode: protected mode, virtual-8086 and real-address mode; task switches. */
#include "reqs.h"

/* code of real-address mode and virtual-8086 mode */
#define B(...) {__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__})

enum { NEW_TSS = 0x18, TASK_GATE = 0x20, OLD_TSS = 0x28, SMALL_TSS = 0x30, FREE = 0x38 };

static u32 *pd32;
static u64 own_gdt[16], own_idt[256];
static u32 new_tss[64], old_tss[64];
static u8 handlers[16]; /* VMCALL */

static u64 descriptor(u64 base, u32 limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)flags << 52 | (base >> 24 & 0xff) << 56;
}

/* 32-bit protected mode, paged by 4 MiB pages that map one to one. */
static void guest32(const u8 *code, unsigned length)
{
	guest_bytes(G64, code, length);
	off(VMCS_ENTRY_CONTROLS, E_LONG);
	vmx_write(VMCS_GUEST_EFER, rdmsr(MSR_EFER) & ~0x500ull);
	vmx_write(VMCS_GUEST_CR3, (u64)pd32);
	vmx_write(VMCS_GUEST_CR4, 0x2010);
	vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
	memset(own_gdt, 0, sizeof(own_gdt));
	memset(new_tss, 0, sizeof(new_tss));
	memset(old_tss, 0, sizeof(old_tss));
	own_gdt[1] = descriptor(0, 0xfffff, 0x9b, 0xc);
	own_gdt[2] = descriptor(0, 0xfffff, 0x93, 0xc);
	own_gdt[NEW_TSS / 8] = descriptor((u64)new_tss, 0x67, 0x89, 0);
	own_gdt[TASK_GATE / 8] = (u64)NEW_TSS << 16 | 0x85ull << 40;
	own_gdt[OLD_TSS / 8] = descriptor((u64)old_tss, 0x67, 0x8b, 0);
	own_gdt[SMALL_TSS / 8] = descriptor((u64)new_tss, 0x66, 0x89, 0);
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)own_gdt);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, sizeof(own_gdt) - 1);
	for (unsigned n = 0; n < 256; n++)
		own_idt[n] = ((u64)handlers & 0xffff) | 8ull << 16 | 0xeeull << 40 | ((u64)handlers >> 16 & 0xffff) << 48;
	own_idt[0x50] = (u64)NEW_TSS << 16 | 0xe5ull << 40;
	own_idt[6] = (u64)NEW_TSS << 16 | 0x85ull << 40;
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)own_idt);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, sizeof(own_idt) - 1);
	vmx_write(VMCS_GUEST_TR_BASE, (u64)old_tss);
	memset(g_in, 0, sizeof(g_in));
}

static void protected_mode(void)
{
	guest32((u8[]){0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32}, 7);
	u64 *map = fresh_page();
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	check(REQ("vmx04.1.8.11") "32-bit protected mode, one-to-one paging", go(), R_VMCALL);
	check(REQ("vmx04.2.7.1.3") "EFER.LMA and LME are 0", g_out[RAX] & 0x500, 0);
	check("the host's EFER is back", rdmsr(MSR_EFER) & 0x500, 0x500);
}

static void v86(const u8 *code, unsigned length)
{
	guest32(code, length);
	for (unsigned n = 0; n < 6; n++) {
		u16 sel = n == 1 ? (u16)(CODE >> 4) : 0x100;

		vmx_write(VMCS_GUEST_ES + 2 * n, sel);
		vmx_write(VMCS_GUEST_ES_BASE + 2 * n, (u64)sel << 4);
		vmx_write(VMCS_GUEST_ES_LIMIT + 2 * n, 0xffff);
		vmx_write(VMCS_GUEST_ES_AR + 2 * n, 0xf3);
	}
	vmx_write(VMCS_GUEST_RFLAGS, 0x20002);
	vmx_write(VMCS_GUEST_RIP, 0);
	vmx_write(VMCS_GUEST_RSP, 0x1000);
}

/*
 * INT 21h of virtual-8086 mode, executed and injected: CR4.VME and the redirection bitmap send it through the 16-bit table.
 * The #GP of IOPL comes before the delivery, and an injected one has none.
 */
static void software_interrupts(void)
{
	enum { REDIRECTED = 0x10 };
	static const struct {
		const char *name;
		bool injected, vme, bit;
		u32 iopl, sp, event, vectoring, rip; /* 0: the handler of the IDT */
	} list[] = {
		{"redirected", 0, 1, 0, 3, 0x1000, 0, 0, REDIRECTED},
		{REQ("vmx04.2.8.3.19") "redirected, the push faults", 0, 1, 0, 3, 1, EV_E(12), EV(0x21, 4), 0},
		{"redirected at IOPL 0", 0, 1, 0, 0, 0x1000, 0, 0, REDIRECTED},
		{"not redirected", 0, 1, 1, 3, 0x1000, 0, 0, 0},
		{"not redirected at IOPL 0", 0, 1, 1, 0, 0x1000, EV_E(13), 0, 0},
		{"IOPL 0 without VME", 0, 0, 0, 0, 0x1000, EV_E(13), 0, 0},
		{"injected, redirected at IOPL 0", 1, 1, 0, 0, 0x1000, 0, 0, REDIRECTED},
		{"injected, redirected, the push faults", 1, 1, 0, 3, 1, EV_E(12), EV(0x21, 4), 0},
		{"injected, not redirected at IOPL 0", 1, 1, 1, 0, 0x1000, 0, 0, 0},
		{"injected at IOPL 0 without VME", 1, 0, 0, 0, 0x1000, 0, 0, 0},
	};
	volatile u32 *vector = (u32 *)0x84;
	u32 was;

	asm("" : "+r"(vector));
	was = *vector;
	*vector = (u32)CODE << 12 | REDIRECTED;
	for (unsigned n = 0; n < COUNT(list); n++) {
		v86((u8[]){0xcd, 0x21}, 2);
		memcpy(code_page + REDIRECTED, (u8[]){0x0f, 0x01, 0xc1}, 3);
		old_tss[1] = (u64)scratch + 0x800;
		old_tss[2] = 0x10;
		old_tss[25] = 0x88u << 16;
		old_tss[26 + 1] = list[n].bit ? 1 << 1 : 0;
		vmx_write(VMCS_GUEST_TR_LIMIT, 0xff); /* the limit of TR */
		vmx_write(VMCS_GUEST_RFLAGS, 0x20002 | list[n].iopl << 12);
		vmx_write(VMCS_GUEST_RSP, list[n].sp);
		if (list[n].vme)
			on(VMCS_GUEST_CR4, 1);
		on(VMCS_EXCEPTIONS, 1 << 12 | 1 << 13);
		if (list[n].injected) {
			vmx_write(VMCS_ENTRY_EVENT, EV(0x21, 4));
			vmx_write(VMCS_ENTRY_LENGTH, 2);
		}
		vcheck(list[n].name, "reason", go(), list[n].event ? R_EXCEPTION : R_VMCALL);

		u64 vectoring = vmx_read(VMCS_VECTORING);

		vcheck(list[n].name, "vectoring", vectoring >> 31 ? vectoring : 0, list[n].vectoring);
		if (list[n].vectoring)
			vcheck(list[n].name, "length", vmx_read(VMCS_EXIT_LENGTH), 2);
		if (list[n].event) {
			vcheck(list[n].name, "event", vmx_read(VMCS_EXIT_EVENT), list[n].event);
			vcheck(list[n].name, "error code", vmx_read(VMCS_EXIT_ERROR), 0);
			vcheck(list[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), 0);
			continue;
		}
		vcheck(list[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), list[n].rip ? list[n].rip : (u64)handlers);
		vcheck(list[n].name, "mode", vmx_read(VMCS_GUEST_RFLAGS) >> 17 & 1, list[n].rip != 0);
		if (list[n].rip)
			vcheck(list[n].name, "pushed IOPL", *(volatile u16 *)0x1ffe >> 12 & 3, 3);
	}
	*vector = was;
}

/* The code page must lie below 1 MiB for virtual-8086 mode. */
static void virtual_8086(void)
{
	u8 *kept = code_page;

	code_page = (u8 *)0x7000;
	v86((u8[]){0x90}, 1);
	check(REQ("vmx04.1.8.10 vmx04.VMCALL.12 vmcall.32 vmcall.6") "virtual-8086 guest", go(), R_VMCALL);
	check("IP", vmx_read(VMCS_GUEST_RIP), 1);
	check("still virtual-8086", vmx_read(VMCS_GUEST_RFLAGS) >> 17 & 1, 1);
	v86((u8[]){0xf4}, 1);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check("HLT at CPL 3", go(), R_EXCEPTION);
	check(REQ("vmx04.3.2.3.1.9") "#GP", vmx_read(VMCS_EXIT_EVENT), EV_E(13)); /* and CPL 3 of state.c */
	v86((u8[]){0x90}, 1); /* injection goes through the IDT of protected mode */
	old_tss[1] = (u64)scratch + 0x800;
	old_tss[2] = 0x10;
	vmx_write(VMCS_GUEST_RFLAGS, 0x20202);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 0));
	check(REQ("vmx04.3.2.5.8") "injected into virtual-8086 mode", go(), R_VMCALL);
	check("the handler of the IDT", vmx_read(VMCS_GUEST_RIP), (u64)handlers);
	check("protected mode", vmx_read(VMCS_GUEST_RFLAGS) >> 17 & 1, 0);
	check("SS:ESP of the TSS, nine words pushed", vmx_read(VMCS_GUEST_RSP), (u64)scratch + 0x800 - 36);
	software_interrupts();
	code_page = kept;
}

static void real(const u8 *code, unsigned length, u64 cr0)
{
	guest32(code, length);
	on(VMCS_PROC2, S_UNRESTRICTED);
	vmx_write(VMCS_GUEST_CR0, cr0);
	if (cr0 & 1)
		return;
	for (unsigned n = 0; n < 6; n++) {
		vmx_write(VMCS_GUEST_ES + 2 * n, 0);
		vmx_write(VMCS_GUEST_ES_LIMIT + 2 * n, 0xffff);
		vmx_write(VMCS_GUEST_ES_AR + 2 * n, n == 1 ? 0x9b : 0x93);
	}
	vmx_write(VMCS_GUEST_CS_BASE, CODE);
	vmx_write(VMCS_GUEST_RIP, 0);
	vmx_write(VMCS_GUEST_RSP, 0x1000);
}

static void unrestricted(void)
{
	static const struct {
		u8 code[4], length;
	} list[] = {
		{B(0x66, 0x0f, 0xc7, 0x37)}, {B(0x0f, 0xc7, 0x37)}, {B(0x0f, 0xc7, 0x3f)}, {B(0x0f, 0x78, 0xca)}, {B(0x0f, 0x79, 0xca)},
		{B(0x0f, 0x01, 0xc2)},	     {B(0x0f, 0x01, 0xc3)}, {B(0x0f, 0x01, 0xc4)},
	};

	real((u8[]){0x90}, 1, 0x30);
	check(REQ("vmx04.1.8.9.now vmcall.31 vmx04.VMCALL.11.now") "real-address mode guest", go(), R_VMCALL);
	check("IP", vmx_read(VMCS_GUEST_RIP), 1);
	real((u8[]){0x90}, 1, 0x31);
	check(REQ("vmx04.1.8.9.now") "unpaged protected mode guest", go(), R_VMCALL);
	check("CR0", vmx_read(VMCS_GUEST_CR0) & 0x80000001, 1);
	for (unsigned n = 0; n < 8; n++) {
		real(list[n].code, list[n].length, 0x30);
		on(VMCS_EXCEPTIONS, 1 << 6);
		check(REQ("vmx04.4.10") "CR0.PE = 0", go(), R_EXCEPTION);
		check("#UD", vmx_read(VMCS_EXIT_EVENT), EV(6, 3));
	}
}

/* ---- task switches ---- */

SNIPPET32(m_call_tss, "", "lcall $0x18, $0"); /* NEW_TSS */
SNIPPET32(m_jmp_tss, "", "ljmp $0x18, $0");
SNIPPET32(m_call_gate, "", "lcall $0x20, $0"); /* TASK_GATE */
SNIPPET32(m_jmp_gate, "", "ljmp $0x20, $0");
SNIPPET32(m_iret, "", "iret");
SNIPPET32(m_int_50, "", "int $0x50");
SNIPPET32(m_ud2, "", "ud2");
SNIPPET32(m_call_beyond, "", "lcall $0x80, $0");
SNIPPET32(m_call_free, "", "lcall $0x38, $0"); /* FREE */
SNIPPET32(m_jmp_free, "", "ljmp $0x38, $0");
SNIPPET32(m_call_free_rpl, "", "lcall $0x3b, $0");
SNIPPET32(m_call_small, "", "lcall $0x30, $0"); /* SMALL_TSS */

static const struct task {
	const char *name;
	const struct snippet *code;
	u64 rflags;
	u64 qualification;
	u32 insn, vectoring;
} tasks[] = {
	{REQ("vmx04.3.1.3.16 vmx04.2.8.1.5 vmx04.2.8.1.55.now vmx04.2.8.4.18") "CALL TSS", &m_call_tss, 2, NEW_TSS, 7, 0},
	{"JMP TSS", &m_jmp_tss, 2, NEW_TSS | 2u << 30, 7, 0},
	{"CALL task gate", &m_call_gate, 2, NEW_TSS, 7, 0},
	{"JMP task gate", &m_jmp_gate, 2, NEW_TSS | 2u << 30, 7, 0},
	{REQ("vmx04.3.1.3.17") "IRET with NT", &m_iret, 0x4002, NEW_TSS | 1 << 30, 1, 0},
	{REQ("vmx04.3.1.3.18 vmx04.2.8.3.3") "INT 50h", &m_int_50, 2, NEW_TSS | 3u << 30, 2, EV(0x50, 4)},
	{REQ("vmx04.3.1.3.18 vmx04.2.8.3.3") "#UD", &m_ud2, 2, NEW_TSS | 3u << 30, 0, EV(6, 3)},
};

static void switches(void)
{
	static u64 gdt_before[16];
	static u32 old_before[64];

	for (unsigned n = 0; n < COUNT(tasks); n++) {
		const struct task *t = &tasks[n];

		guest32((const u8 *)t->code->entry, length_of(t->code));
		vmx_write(VMCS_GUEST_RFLAGS, t->rflags);
		if (t->rflags & 0x4000) {
			old_tss[0] = NEW_TSS;
			own_gdt[NEW_TSS / 8] |= 2ull << 40; /* busy */
		}
		memcpy(gdt_before, own_gdt, sizeof(own_gdt));
		memcpy(old_before, old_tss, sizeof(old_tss));
		vcheck(t->name, "exit", go(), R_TASK);
		vcheck(t->name, "qualification", vmx_read(VMCS_QUALIFICATION), t->qualification);
		if (t->insn)
			vcheck(t->name, "length", vmx_read(VMCS_EXIT_LENGTH), t->insn);
		vcheck(t->name, "vectoring", vmx_read(VMCS_VECTORING), t->vectoring);
		vcheck(t->name, REQ("vmx04.2.8.2.15") "no event", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
		vcheck(t->name, REQ("vmx04.3.1.3.21") "RIP", vmx_read(VMCS_GUEST_RIP), CODE); /* with the next ones */
		vcheck(t->name, "NT", vmx_read(VMCS_GUEST_RFLAGS) & 0x4000, t->rflags & 0x4000);
		vcheck(t->name, "busy bits", (u64)memcmp(gdt_before, own_gdt, sizeof(own_gdt)), 0);
		vcheck(t->name, "link and old TSS", (u64)memcmp(old_before, old_tss, sizeof(old_tss)), 0);
		vcheck(t->name, "TR", vmx_read(VMCS_GUEST_TR), OLD_TSS);
	}
	guest32((u8[]){0x90}, 1);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x50, 0));
	check(REQ("vmx04.3.2.5.13") "injected through a task gate", go(), R_TASK);
	check("vectoring", vmx_read(VMCS_VECTORING), EV(0x50, 0));
	check("qualification", vmx_read(VMCS_QUALIFICATION), NEW_TSS | 3u << 30);
}

/* The checks that come before the switch commits raise their exceptions. */
static const struct {
	const char *name;
	const struct snippet *code;
	u64 descriptor; /* of FREE */
	u32 vector, error;
} refused[] = {
	{"beyond the GDT", &m_call_beyond, 0, 13, 0x80},
	{"not present", &m_call_free, 0x09ull << 40 | 0x67, 11, FREE},
	{"busy, CALL", &m_call_free, 0x8bull << 40 | 0x67, 13, FREE},
	{"busy, JMP", &m_jmp_free, 0x8bull << 40 | 0x67, 13, FREE},
	{"RPL above DPL", &m_call_free_rpl, 0x89ull << 40 | 0x67, 13, FREE},
	{"limit", &m_call_small, 0, 10, SMALL_TSS},
};

static void checks_first(void)
{
	for (unsigned n = 0; n < COUNT(refused); n++) {
		guest32((const u8 *)refused[n].code->entry, length_of(refused[n].code));
		own_gdt[FREE / 8] = refused[n].descriptor;
		vmx_write(VMCS_EXCEPTIONS, 1 << 10 | 1 << 11 | 1 << 13);
		vcheck(refused[n].name, REQ("vmx04.3.1.3.19 vmx04.3.1.3.20") "an exception, no task-switch exit", go(), R_EXCEPTION);
		vcheck(refused[n].name, "event", vmx_read(VMCS_EXIT_EVENT), EV_E(refused[n].vector));
		vcheck(refused[n].name, "error code", vmx_read(VMCS_EXIT_ERROR), refused[n].error);
	}
	/* in the delivery of an event: the TSS behind the gate is not present */
	guest32((u8[]){0xcd, 0x50}, 2);
	own_gdt[NEW_TSS / 8] &= ~(0x80ull << 40);
	vmx_write(VMCS_EXCEPTIONS, 1 << 11);
	check(REQ("vmx04.2.8.3.4") "delivery: its exception instead", go(), R_EXCEPTION);
	check("#NP", vmx_read(VMCS_EXIT_EVENT), EV_E(11));
	check("vectoring", vmx_read(VMCS_VECTORING), EV(0x50, 4));
}

/* ---- translations cached before an entry or exit that changes the paging ---- */

#define X 0x40000000ull
enum { A = 0x2000000, C = 0x2400000 }; /* two pages of 4 MiB */

static u64 look(void)
{
	return *(volatile u64 *)X;
}

/* The IDT of a guest on a page with bit 63 set: with IA32_EFER.NXE data, without it a reserved bit. */
static void injected_through(u64 *root)
{
	guest_bytes(G64, NULL, 0);
	vmx_write(VMCS_GUEST_CR3, (u64)root);
	vmx_write(VMCS_GUEST_IDTR_BASE, X);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 0));
	on(VMCS_EXCEPTIONS, 1 << 14);
}

static void execute_disable(u64 *root, u64 *second)
{
	u64 efer = rdmsr(MSR_EFER), *area = fresh_page(), *table = (u64 *)A, h = (u64)handlers, kept = pds[1][0];

	wrmsr(MSR_EFER, efer | 0x800);
	area[0] = 0xc0000080;
	area[1] = efer & ~0x800ull;
	asm("" : "+r"(table));
	table[0x80] = (h & 0xffff) | 8ull << 16 | 0x8eull << 40 | (h >> 16 & 0xffff) << 48;
	table[0x81] = h >> 32;
	second[0] = A | 0x87 | 1ull << 63;
	injected_through(root);
	check("injection", go(), R_VMCALL);
	check(REQ("vmx04.3.2.0.4") "the IDTR and CR3 just loaded", vmx_read(VMCS_GUEST_RIP), h);
	injected_through(root);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)area);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 1);
	check(REQ("vmx04.3.2.0.4 vmx04.3.2.4.2") "injection after NXE was cleared by the MSR area", go(), R_EXCEPTION);
	check("#PF", vmx_read(VMCS_EXIT_EVENT), EV_E(14));
	check("a reserved bit", vmx_read(VMCS_EXIT_ERROR), 9);
	check("vectoring", vmx_read(VMCS_VECTORING), EV(0x40, 0));
	wrmsr(MSR_EFER, efer | 0x800);
	pds[1][0] = A | 0x87 | 1ull << 63;
	invlpg((void *)X);
	check("the host's page", look() == 0, *(volatile u64 *)A == 0);
	guest_bytes(G64, NULL, 0);
	vmx_write(VMCS_LOAD_ADDR, (u64)area);
	vmx_write(VMCS_LOAD_COUNT, 1);
	check("exit", go(), R_VMCALL);
	check(REQ("vmx04.3.3.4.4.1") "NXE was cleared by the MSR area", CATCH(look()), 14);
	check("a reserved bit", last_fault.error, 9);
	wrmsr(MSR_EFER, efer);
	pds[1][0] = kept;
	invlpg((void *)X);
}

static void translations(void)
{
	static const u8 read64[] = {0x48, 0x8b, 0x03};
	u64 *root = fresh_page(), *third = fresh_page(), *second = fresh_page(), kept = pds[1][0];

	*(volatile u64 *)A = 0xaaaa;
	*(volatile u64 *)C = 0xcccc;
	memcpy(root, pml4, 4096);
	memcpy(third, pdpt, 4096);
	memcpy(second, pds[1], 4096);
	root[0] = (u64)third | 7;
	third[1] = (u64)second | 7;
	pds[1][0] = A | 0x87;
	second[0] = C | 0x87;
	invlpg((void *)X);
	check("the host's page", look(), 0xaaaa);
	guest_bytes(G64, read64, 3);
	vmx_write(VMCS_GUEST_CR3, (u64)root);
	memset(g_in, 0, sizeof(g_in));
	g_in[RBX] = X;
	check("another CR3", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.10") "the guest's page", g_out[RAX], 0xcccc);
	check(REQ("vmx04.3.3.4.1.6") "the host's page again", look(), 0xaaaa);
	pd32[X >> 22] = C | 0x87;
	guest32(read64 + 1, 2);
	g_in[RBX] = X;
	check("without IA-32e mode", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.2.2 vmx04.3.2.3.1.11") "the guest's page", g_out[RAX] & 0xffffffff, 0xcccc); /* CR4.PAE and PSE change */
	check(REQ("vmx04.3.3.4.3.3 vmx04.3.3.4.1.7") "the host's page again", look(), 0xaaaa); /* and back */
	pd32[X >> 22] = X | 0x87;
	/* a stale translation of the host's does not survive an entry and an exit without VPID, and may with it */
	pds[1][0] = C | 0x87;
	guest_bytes(G64, read64, 0);
	check("without VPID", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.12.now") "flushed", look(), 0xcccc);
	pds[1][0] = A | 0x87;
	guest_bytes(G64, read64, 0);
	on(VMCS_PROC2, S_VPID);
	vmx_write(0, 5);
	check("with VPID", go(), R_VMCALL);
	check(REQ("vmx04.3.2.3.1.12.now") "kept", look(), 0xcccc);
	pds[1][0] = kept;
	invlpg((void *)X);
	execute_disable(root, second);
}

void test_modes(void)
{
	memcpy(handlers, (u8[]){0x0f, 0x01, 0xc1}, 3);
	pd32 = (u32 *)fresh_page();
	for (u32 n = 0; n < 1024; n++)
		pd32[n] = n << 22 | 0x87;
	protected_mode();
	virtual_8086();
	unrestricted();
	switches();
	checks_first();
	translations();
}
