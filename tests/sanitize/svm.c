/* Mistakes under SVM. */
#include "cases.h"
#include "svm.h"

#define IDT_COPY 0x10000000ull /* in a large page of its own */
enum { INTR = SVM_BIT(EXIT_INTR) };

static struct vmcb *v;
static u64 hsave;

static void halts(void)
{
	for (;;)
		asm volatile("hlt");
}

static void begin(void)
{
	expect("SVM", svm_enable(), true);
	hsave = rdmsr(MSR_VM_HSAVE_PA);
	v = svm_guest(halts, (u64)stack_of(), true);
}

static void run_to(u64 code)
{
	svm_run(v);
	expect("exit code", v->exitcode, code);
}

/* ---- the host save area ---- */

static void hsave_access(bool bad, int how)
{
	begin();
	run_to(EXIT_HLT);
	u64 page = bad ? hsave : (u64)page_alloc();
	switch (how) {
	case 0: (void)*(volatile u64 *)(page + 0x578); break;
	case 1: *(volatile u64 *)(page + 0xfe0) = 1; break;
	default: expect("DMA", dma(0, page, 64), true); break;
	}
	/* as KVM does: for what VMRUN does not save */
	asm volatile("vmsave\n\tvmload" ::"a"(hsave) : "memory");
	run_to(EXIT_HLT);
}

static void hsave_load(bool bad) { hsave_access(bad, 0); }
static void hsave_store(bool bad) { hsave_access(bad, 1); }
static void hsave_dma(bool bad) { hsave_access(bad, 2); }

static bool share;
static void second_takes(void)
{
	expect("SVM there", svm_enable(), true);
	if (share)
		wrmsr(MSR_VM_HSAVE_PA, hsave);
}

static void hsave_shared(bool bad)
{
	begin();
	share = bad;
	on_second(second_takes);
}

/* ---- clean bits ---- */

static void clean(bool bad)
{
	begin();
	run_to(EXIT_HLT);
	v->clean = ~0u;
	run_to(EXIT_HLT);
	v->intercept1 |= SVM_CPUID;
	v->gdtr.limit = 0x77;
	if (!bad)
		v->clean &= ~(1u << 0 | 1u << 7);
	run_to(EXIT_HLT);
}

/* What no bit covers may change. */
static void clean_rax(bool bad)
{
	begin();
	run_to(EXIT_HLT);
	v->clean = ~0u;
	v->rax = 5;
	v->rip = (u64)halts;
	v->rflags = 2;
	v->cr2 = 7;
	if (!bad)
		v->clean &= ~(1u << 9);
	run_to(EXIT_HLT);
}

/* Another VMCB in between: a processor may keep several. */
static void clean_other(bool bad)
{
	struct vmcb *first;

	begin();
	run_to(EXIT_HLT);
	first = v;
	v = svm_guest(halts, (u64)stack_of(), true);
	v->asid = 2;
	run_to(EXIT_HLT);
	v = first;
	v->clean = ~0u;
	v->dr6 = 0xffff0ff1;
	if (!bad)
		v->clean &= ~(1u << 6);
	run_to(EXIT_HLT);
}

static void clean_first(bool bad)
{
	begin();
	v->clean = bad ? 1 : 0;
	run_to(EXIT_HLT);
}

static void clean_copied(bool bad)
{
	begin();
	run_to(EXIT_HLT);
	struct vmcb *copy = page_alloc();
	memcpy(copy, v, sizeof(*copy));
	copy->clean = bad ? ~0u : 0;
	v = copy;
	run_to(EXIT_HLT);
}

static void second_runs(void)
{
	expect("SVM there", svm_enable(), true);
	run_to(EXIT_HLT);
}

static void clean_migrated(bool bad)
{
	begin();
	run_to(EXIT_HLT);
	v->clean = bad ? ~0u : 0;
	on_second(second_runs);
}

/* ---- events ---- */

extern volatile u32 svm_taken;
extern char svm_handler[];
asm(".pushsection .text\nsvm_handler: push %rax; lea svm_taken(%rip), %rax; incl (%rax); mov $0xfee000b0, %eax; movl $0, (%rax);"
    " pop %rax; iretq\n.popsection\n"
    ".pushsection .bss\n.globl svm_taken\nsvm_taken: .zero 4\n.popsection");

/* Delivery reads a gate that the nested tables do not map. */
static void dropped(bool bad, u64 event, bool virtual)
{
	set_gate(0x40, svm_handler, 14, 0, 0);
	set_gate(2, svm_handler, 14, 0, 0);
	memcpy((void *)IDT_COPY, idt, 4096);
	begin();
	v->idtr.base = IDT_COPY;
	v->rflags = 0x202;
	v->eventinj = event;
	u64 *entry = svm_nested_entry(v, IDT_COPY), mapped = *entry;
	*entry = 0;
	run_to(EXIT_NPF);
	expect("EXITINTINFO", v->exitintinfo & 0x80000fff, event);
	*entry = mapped;
	v->tlb_control = 1;
	if (!bad && virtual)
		v->vintr = 1u << 8 | 1u << 20 | 0x40ull << 32; /* V_IRQ */
	else if (!bad)
		v->eventinj = v->exitintinfo;
	run_to(EXIT_HLT);
	expect("taken", svm_taken, !bad);
}

static void dropped_interrupt(bool bad) { dropped(bad, 0x80000040, false); }
static void dropped_nmi(bool bad) { dropped(bad, 0x80000202, false); }
static void dropped_virtual(bool bad) { dropped(bad, 0x80000040, true); }

/* Something else is injected first, and then it is forgotten. */
static void dropped_later(bool bad)
{
	set_gate(0x40, svm_handler, 14, 0, 0);
	set_gate(0x60, svm_handler, 14, 0, 0);
	memcpy((void *)IDT_COPY, idt, 4096);
	begin();
	v->idtr.base = IDT_COPY;
	v->rflags = 0x202;
	v->eventinj = 0x80000040;
	u64 *entry = svm_nested_entry(v, IDT_COPY), mapped = *entry;
	*entry = 0;
	run_to(EXIT_NPF);
	*entry = mapped;
	v->tlb_control = 1;
	v->eventinj = 0x80000060;
	run_to(EXIT_HLT);
	v->eventinj = bad ? 0 : 0x80000040;
	run_to(EXIT_HLT);
	expect("taken", svm_taken, bad ? 1 : 2);
}

/* An exception's delivery: its instruction runs again, nothing is owed. */
static void raises(void)
{
	asm volatile("ud2");
	halts();
}

static void exception_again(bool bad)
{
	set_gate(6, svm_handler, 14, 0, 0);
	set_gate(0x40, svm_handler, 14, 0, 0);
	memcpy((void *)IDT_COPY, idt, 4096);
	begin();
	v->rip = (u64)raises;
	v->idtr.base = IDT_COPY;
	v->rflags = 0x202;
	v->eventinj = bad ? 0x80000040 : 0; /* with it, the interrupt's delivery is what is interrupted */
	u64 *entry = svm_nested_entry(v, IDT_COPY), mapped = *entry;
	*entry = 0;
	run_to(EXIT_NPF);
	expect("EXITINTINFO is valid", v->exitintinfo >> 31 & 1, 1);
	*entry = mapped;
	v->tlb_control = 1;
	v->intercept_exc = 1 << 6;
	run_to(EXIT_UD);
}

/* ---- interrupts around VMRUN ---- */

static void held(bool bad)
{
	set_gate(0x41, svm_handler, 14, 0, 0);
	begin();
	v->intercept1 |= INTR;
	v->vintr = 1 << 24; /* V_INTR_MASKING */
	self_ipi(0x41);
	if (bad) {
		run_to(EXIT_HLT);
		return;
	}
	asm volatile("push %%rbp; clgi; sti; vmrun; cli; pop %%rbp" : "+a"(v)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
	             "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	expect("exit code", v->exitcode, EXIT_INTR);
	asm volatile("stgi; sti; nop; cli");
	expect("taken", svm_taken, 1);
}

static void window(bool bad)
{
	begin();
	v->intercept1 |= INTR;
	v->vintr = 1 << 24;
	if (bad)
		asm volatile("push %%rbp; sti; nop; vmrun; cli; stgi; pop %%rbp" : "+a"(v)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
		             "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	else
		asm volatile("push %%rbp; clgi; sti; nop; vmrun; cli; stgi; pop %%rbp" : "+a"(v)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8",
		             "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	expect("exit code", v->exitcode, EXIT_HLT);
}

const struct one_case svm_cases[] = {
	{"hsave.access/load", hsave_load},
	{"hsave.access/store", hsave_store},
	{"hsave.access/dma", hsave_dma},
	{"hsave.shared", hsave_shared},
	{"vmcb.clean", clean},
	{"vmcb.clean/cr2", clean_rax},
	{"vmcb.clean/other", clean_other},
	{"vmcb.clean-moved/first", clean_first},
	{"vmcb.clean-moved/copied", clean_copied},
	{"vmcb.clean-moved/processor", clean_migrated},
	{"event.dropped/interrupt", dropped_interrupt},
	{"event.dropped/nmi", dropped_nmi},
	{"event.dropped/virtual", dropped_virtual},
	{"event.dropped/later", dropped_later},
	{"event.dropped/exception", exception_again},
	{"interrupt.held", held},
	{"interrupt.window", window},
	{NULL, NULL},
};
