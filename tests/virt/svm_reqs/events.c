/* Exceptions and their intercepts, injection, virtual interrupts: what sections 2.4, 2.8, 2.9, 2.16 and 2.17 say one by
 * one. */
#include "reqs.h"

SNIPPET(e_nop, "nop; nop", "");
SNIPPET(e_ud, "ud2", "");
SNIPPET(e_icebp, ".byte 0xf1", "");
SNIPPET(e_int, "int $13", "");
SNIPPET(e_pf, "mov 0x4000000000, %rax", "");
SNIPPET(e_tsc, "rdtsc", "");
SNIPPET(e_tscp, "rdtscp", "");
SNIPPET(e_handler, "nop", "");
SNIPPET(e_gp, "mov $0x7f8, %eax; mov %eax, %ds", "");
SNIPPET(e_poke, "movl $0xf010f, %eax; mov %rax, (%rbx); nop", "");
SNIPPET(e_sti, "sti; nop; nop", "");

static struct idt_gate gates[256] __attribute__((aligned(16)));

static void own_idt(unsigned dpl)
{
	u64 h = (u64)e_handler.entry;

	for (unsigned n = 0; n < 256; n++) {
		gates[n].lo = (h & 0xffff) | 8 << 16 | (u64)(0x8e | dpl << 5) << 40 | (h >> 16 & 0xffff) << 48;
		gates[n].hi = h >> 32;
	}
	v->idtr.base = (u64)gates;
	v->idtr.limit = sizeof(gates) - 1;
}

static void intercepts(void)
{
	/* INTn, ICEBP and interrupts of any vector do not look at the exception intercepts, which are all on */
	base(&e_int);
	own_idt(0);
	check(REQ("svm.2.8.0.6 svm.2.9.0.2") "INT 13", go(), EXIT_VMMCALL);
	check(REQ("svm.2.8.0.6") "in the handler", v->rip, e_handler.next);
	base(&e_icebp);
	own_idt(0);
	check(REQ("svm.2.8.2.5") "ICEBP", go(), EXIT_VMMCALL);
	check(REQ("svm.2.8.2.5") "in the handler", v->rip, e_handler.next);
	base(&e_nop);
	own_idt(0);
	v->vintr = 1 << 8 | 1 << 20 | 15ull << 16 | 14ull << 32;
	v->rflags = 0x202;
	u64 own = (u64)e_ud.next; /* vector 14 has a handler of its own */

	gates[14].lo = (own & 0xffff) | 8 << 16 | 0x8eull << 40 | (own >> 16 & 0xffff) << 48;
	v->intercept1 |= SVM_BIT(EXIT_INTR); /* INTR: nothing to do with a virtual one */
	check(REQ("svm.2.8.0.5 svm.2.9.0.2") "an interrupt with vector 14", go(), EXIT_VMMCALL);
	check(REQ("svm.2.9.1.3") "the INTR intercept", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.8.0.5 svm.C.1.69 svm.2.17.4.9") "in the handler of V_INTR_VECTOR", v->rip, e_ud.next);
	check(REQ("svm.4.VMRUN.6 svm.4.VMRUN.21") "V_IRQ", v->vintr >> 8 & 1, 0);

	base(&e_ud);
	check(REQ("svm.2.8.0.1") "#UD", go(), EXIT_UD);
	check(REQ("svm.2.8.0.3") "CS:RIP", v->cs.sel == 8 && v->rip == (u64)e_ud.entry, 1);
	base(&e_gp);
	v->gdtr.limit = 0x7f;
	check(REQ("svm.2.8.0.2") "#GP", go(), EXIT_GP);
	check(REQ("svm.2.8.0.2") "error code", v->exitinfo1, 0x7f8);
	base(&e_pf);
	v->cr2 = 0x1234;
	check(REQ("svm.2.8.15.3") "#PF", go(), EXIT_PF);
	check(REQ("svm.2.8.15.3") "EXITINFO2", v->exitinfo2, 0x4000000000);
	check(REQ("svm.2.8.0.4") "CR2 not written", v->cr2, 0x1234);
	/* delivery of an event that faults tells the event */
	base(&e_int);
	own_idt(0);
	v->idtr.limit = 0;
	check("INT with no IDT", go(), EXIT_GP);
	check(REQ("svm.2.4.1.2 svm.2.4.2.20 svm.4.VMRUN.21") "EXITINTINFO", v->exitintinfo, 0x8000040d);
	base(&e_ud);
	check(REQ("svm.2.4.1.2") "and 0 otherwise", (go(), v->exitintinfo), 0);
	/* RDTSC and RDTSCP each have their own */
	base(&e_tsc);
	v->intercept2 |= SVM_BIT(EXIT_RDTSCP);
	check(REQ("svm.2.5.27.3") "RDTSC, RDTSCP intercepted", go(), EXIT_VMMCALL);
	base(&e_tscp);
	v->intercept1 |= SVM_BIT(EXIT_RDTSC);
	check(REQ("svm.2.5.27.3") "RDTSCP, RDTSC intercepted", go(), EXIT_VMMCALL);
}

/* A physical interrupt whose delivery faults: acknowledged, named in EXITINTINFO, no longer pending. */
static void acknowledged(void)
{
	unsigned before = irqs;

	base(&e_nop);
	own_idt(0);
	v->idtr.limit = 0;
	v->rflags = 0x202;
	asm volatile("clgi");
	self_ipi(0x51);
	check(REQ("svm.2.4.2.1") "delivery faults", go_gif0(), EXIT_GP);
	check(REQ("svm.2.4.2.1 svm.2.4.2.20") "EXITINTINFO", v->exitintinfo, 0x80000051);
	asm volatile("stgi; sti; nop; nop; cli");
	check(REQ("svm.2.4.2.1") "not pending", irqs, before);
	mmio_write(APIC + 0xb0, 0);
}

/* #PF, not intercepted, then #PF of its delivery: #DF. CR2 was written. */
static void double_fault(void)
{
	base(&e_pf);
	v->idtr.base = 0x5000000000; /* not mapped: delivery of #PF gives #PF */
	v->intercept_exc = 1 << 8;
	v->cr2 = 0;
	check("#DF", go(), EXIT_DF);
	check(REQ("svm.2.8.9.2") "CR2", v->cr2 != 0, 1);
	check(REQ("svm.2.8.9.5") "EXITINFO1", v->exitinfo1, 0);
	/* an injected #PF meets no memory of what EXITINTINFO said */
	base(&e_nop);
	own_idt(0);
	v->intercept_exc = 1 << 8;
	v->exitintinfo = 0x80000b08;
	v->eventinj = 0x80000b0e;
	check(REQ("svm.2.4.2.27") "#PF injected after a recorded #DF", go(), EXIT_VMMCALL);
	check(REQ("svm.2.4.2.27 svm.4.VMRUN.6 svm.4.VMRUN.16") "in the handler", v->rip, e_handler.next);
}

/* Type 3, vectors 3 and 4: the gate's DPL against CPL. In 64-bit mode vector 4 is refused: 32-bit code. */
static void into(void)
{
	for (unsigned dpl = 0; dpl < 4; dpl += 3) {
		base(&e_nop);
		own_idt(dpl);
		user();
		v->cs.sel = 0x5b;
		v->cs.attrib = 0xcfb;
		v->eventinj = 0x80000304;
		/* with DPL 3 the handler starts: the stack of TSS.RSP0 */
		*(u64 *)(tss + 4) = (u64)stack_top - 0x8000;
		check(REQ("svm.2.16.28") "INTO injected", go(), dpl ? EXIT_VMMCALL : EXIT_GP);
		if (!dpl)
			check(REQ("svm.2.16.28") "error code: the gate", v->exitinfo1, 4 << 3 | 2);
	}
}

/* V_IRQ and its fields are registers while the guest runs: the guest's store into its VMCB changes nothing. */
static void loaded_once(void)
{
	struct vmcb *a = v;

	base(&e_poke);
	v->rflags = 2;
	asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
	             : "+a"(a)
	             : "b"((u8 *)v + 0x60)
	             : "rcx", "rdx", "memory", "cc");
	check(REQ("svm.2.17.4.7") "no interrupt", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.17.4.7") "V_IRQ and V_TPR come from the processor", v->vintr & 0x1ff, 0);
}

/* A virtual and a physical interrupt at once: the physical one first. */
static void both(void)
{
	static struct idt_gate two[256] __attribute__((aligned(16)));
	u64 h = (u64)e_handler.entry, w = (u64)e_ud.next;

	base(&e_sti);
	own_idt(0);
	memcpy(two, gates, sizeof(two));
	two[0x61].lo = (w & 0xffff) | 8 << 16 | 0x8eull << 40 | (w >> 16 & 0xffff) << 48;
	(void)h;
	v->idtr.base = (u64)two;
	v->rflags = 0x202;
	v->vintr = 1 << 8 | 15 << 16 | 0x61ull << 32;
	asm volatile("clgi");
	self_ipi(0x51);
	check(REQ("svm.2.17.4.15") "both pending", go_gif0(), EXIT_VMMCALL);
	asm volatile("stgi");
	check(REQ("svm.2.17.4.15") "in the physical one's handler", v->rip, e_handler.next);
	check(REQ("svm.2.17.4.15") "the virtual one waits", v->vintr >> 8 & 1, 1);
	mmio_write(APIC + 0xb0, 0);
}

/* The guest's own CLGI holds its virtual interrupt. */
SNIPPET(e_clgi, "clgi; sti; nop; nop; cli; stgi; nop", "");
SNIPPET(e_clgi_open, "clgi; sti; nop; nop; stgi; nop", "");
static void guest_gif(void)
{
	for (unsigned open = 0; open < 2; open++) {
		base(open ? &e_clgi_open : &e_clgi);
		own_idt(0);
		v->vintr = 1 << 8 | 15 << 16 | 0x61ull << 32;
		v->rflags = 2;
		check("CLGI in a guest", go(), EXIT_VMMCALL);
		check(open ? REQ("svm.2.13.18 svm.2.13.19") "STGI lets it in"
		           : REQ("svm.2.17.4.4 svm.2.13.18") "GIF 0 holds it",
		      v->rip, open ? e_handler.next : e_clgi.next);
		check(REQ("svm.2.13.18") "pending", v->vintr >> 8 & 1, !open);
	}
}

/* VMRUN sets GIF: the guest is interrupted. */
static void gif_set(void)
{
	base(&e_nop);
	v->intercept1 |= SVM_BIT(EXIT_INTR);
	v->rflags = 0x202;
	asm volatile("clgi");
	self_ipi(0x51);
	check(REQ("svm.2.2.1.63 svm.4.VMRUN.15") "GIF is 1 before the first instruction", go_gif0(), EXIT_INTR);
	check(REQ("svm.2.2.1.63") "RIP", v->rip, e_nop.entry);
	unsigned before = irqs;
	asm volatile("sti; nop; nop" ::: "memory");
	check(REQ("svm.4.VMRUN.17") "#VMEXIT clears GIF", irqs, before);
	asm volatile("stgi; nop; nop; cli" ::: "memory");
	check(REQ("svm.2.9.0.1") "the interrupt stayed pending", irqs, before + 1);
}

/* ---- V_INTR_MASKING, the host's IF ---- */

static void masking(void)
{
	for (unsigned on = 0; on < 2; on++)
		for (unsigned guest_if = 0; guest_if < 2; guest_if++)
			for (unsigned host_if = 0; host_if < 2; host_if++) {
				base(&e_nop);
				v->vintr = on << 24;
				v->rflags = 2 | guest_if << 9;
				v->intercept1 |= SVM_BIT(EXIT_INTR);
				asm volatile("clgi");
				self_ipi(0x51);
				if (host_if)
					asm volatile("sti");
				go_gif0();
				asm volatile("cli; stgi");
				check(REQ("svm.2.2.1.71 svm.2.2.1.135") "which IF counts", v->exitcode,
				      (on ? host_if : guest_if) ? EXIT_INTR : EXIT_VMMCALL);
				asm volatile("sti; nop; nop; cli" ::: "memory");
			}
}

void test_events(void)
{
	intercepts();
	acknowledged();
	double_fault();
	into();
	loaded_once();
	both();
	guest_gif();
	gif_set();
	masking();
}
