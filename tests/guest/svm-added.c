/*
 * What AMD added to SVM after 2005, seen from a monitor: AVIC and x2AVIC, virtual NMI, clean bits, guest mode execute
 * trap, write traps, idle HLT; and the extended APIC space. bus-lock threshold,
 * page-modification logging. Runs on --cpu amd,+vnmi,+gmet,+x2avic,+idle-hlt,+bus-lock-threshold,+svm-pml.
 */
#include "svm.h"

#define APIC  0xfee00000ull
enum { TPR = 0x80, PPR = 0xa0, EOI = 0xb0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200 };
enum { ICRL = 0x300, ICRH = 0x310 };
#define V_NMI      (1ull << 11)
#define V_NMI_MASK (1ull << 12)
#define V_MASKING  (1ull << 24)
#define V_NMI_EN   (1ull << 26)
#define V_X2AVIC   (1ull << 30)
#define V_AVIC     (1ull << 31)

static volatile u64 taken[8], in, out;
static volatile unsigned taken_count;

static bool note_interrupt(struct regs *r)
{
	taken[taken_count++ & 7] = r->vector;
	return true;
}

static struct vmcb *guest(void (*entry)(void))
{
	return svm_guest(entry, (u64)page_alloc() + 4096 - 8, true);
}

static void go(struct vmcb *v, void (*entry)(void))
{
	v->rip = (u64)entry;
	v->rflags = 2;
	svm_run(v);
}

static void call(void)
{
	asm volatile("vmmcall" ::: "memory");
}

/* ---- AVIC ---- */

static u64 *physical, other_page;
static u32 *page_reg(struct vmcb *v, unsigned offset)
{
	return (u32 *)(v->avic_page + offset);
}

static struct vmcb *avic_guest(u64 mode)
{
	struct vmcb *v = guest(call);
	u32 *logical = page_alloc();

	physical = page_alloc();
	other_page = (u64)page_alloc();
	v->vintr = V_AVIC | V_MASKING | mode;
	v->tlb_control = 1; /* or the ASID's last guest would lend its backing page */
	v->avic_bar = APIC;
	v->avic_page = (u64)page_alloc();
	v->avic_physical = (u64)physical | 3;
	v->avic_logical = (u64)logical;
	physical[0] = 1ull << 63 | 1ull << 62 | v->avic_page;
	physical[2] = 1ull << 63 | other_page;
	logical[0] = 1u << 31 | 0;
	logical[1] = 1u << 31 | 2;
	*page_reg(v, 0xe0) = 0xffffffff;
	return v;
}

static void read_in(void) { out = mmio_read(APIC + in); call(); }
static void write_in(void) { mmio_write(APIC + in, (u32)out); call(); }
static void write_cr8_three(void) { out = read_cr8(); write_cr8(3); call(); }
static void open_window(void) { asm volatile("sti\n\tnop\n\tcli"); call(); }
static void take_and_eoi(void)
{
	asm volatile("sti\n\tnop\n\tcli");
	out = mmio_read(APIC + ISR + 16 * (0x61 / 32));
	mmio_write(APIC + EOI, 0);
	call();
}

static void avic_registers(void)
{
	struct vmcb *v = avic_guest(0);

	*page_reg(v, 0x30) = 0x80050010;
	in = 0x30;
	go(v, read_in);
	check("AVIC read: no exit", v->exitcode, EXIT_VMMCALL);
	check("AVIC read: the page's value", out, 0x80050010);
	in = TPR, out = 0x57;
	go(v, write_in);
	check("AVIC TPR: V_TPR", v->vintr & 0xff, 5);
	check("AVIC TPR: PPR kept", *page_reg(v, PPR), 0x57);
	go(v, write_cr8_three);
	check("AVIC CR8 read", out, 5);
	check("AVIC CR8 write: TPR", *page_reg(v, TPR), 0x30);
	in = SVR, out = 0x1ff;
	go(v, write_in);
	check("AVIC SVR: trap", v->exitcode, EXIT_AVIC_ACCESS);
	check("AVIC SVR: EXITINFO1", v->exitinfo1, 1ull << 32 | SVR);
	check("AVIC SVR: the write landed", *page_reg(v, SVR), 0x1ff);
	check("AVIC SVR: RIP is behind", v->rip > (u64)write_in, 1);
	in = 0x390;
	go(v, read_in);
	check("AVIC current count: fault", v->exitcode, EXIT_AVIC_ACCESS);
	check("AVIC current count: EXITINFO1", v->exitinfo1, 0x390);
	in = IRR, out = 5;
	go(v, write_in);
	check("AVIC IRR write: fault", v->exitinfo1, 1ull << 32 | IRR);
	check("AVIC IRR write: nothing written", *page_reg(v, IRR), 0);
}

static void avic_interrupts(void)
{
	struct vmcb *v = avic_guest(0);

	taken_count = 0;
	on_exception(0x61, note_interrupt);
	on_exception(0x71, note_interrupt);
	*page_reg(v, IRR + 0x30) = 1u << 1;
	go(v, call);
	check("AVIC: IF = 0 holds", taken_count, 0);
	*page_reg(v, TPR) = 0x60;
	go(v, open_window);
	check("AVIC: TPR holds", taken_count, 0);
	*page_reg(v, TPR) = 0;
	go(v, take_and_eoi);
	check("AVIC: taken", taken_count, 1);
	check("AVIC: the vector", taken[0], 0x61);
	check("AVIC: IRR left", *page_reg(v, IRR + 0x30), 0);
	check("AVIC: in service", out, 2);
	check("AVIC: EOI needs no exit", v->exitcode, EXIT_VMMCALL);
	check("AVIC: EOI", *page_reg(v, ISR + 0x30), 0);
	*page_reg(v, ISR + 0x30) = *page_reg(v, TMR + 0x30) = 1u << 17;
	in = EOI, out = 0;
	go(v, write_in);
	check("AVIC level EOI: trap", v->exitcode, EXIT_AVIC_ACCESS);
	check("AVIC level EOI: EXITINFO1", v->exitinfo1, 1ull << 32 | EOI);
	check("AVIC level EOI: EXITINFO2", v->exitinfo2, 0x71);
	check("AVIC level EOI: still in service", *page_reg(v, ISR + 0x30), 1 << 17);
}

static void send_out(void)
{
	mmio_write(APIC + ICRH, (u32)(out >> 32));
	mmio_write(APIC + ICRL, (u32)out);
	asm volatile("sti\n\tnop\n\tcli");
	call();
}

static void ipi(struct vmcb *v, u64 icr)
{
	out = icr;
	taken_count = 0;
	go(v, send_out);
}

static void avic_ipis(void)
{
	struct vmcb *v = avic_guest(0);
	u32 *irr = (u32 *)(other_page + IRR + 0x30);

	ipi(v, 0x40000 | 0x61);
	check("IPI self: taken", taken_count, 1);
	*page_reg(v, ISR + 0x30) = 0;
	ipi(v, 0x71);
	check("IPI to 0, which runs: no exit", v->exitcode, EXIT_VMMCALL);
	check("IPI to 0: taken", taken[0], 0x71);
	*page_reg(v, ISR + 0x30) = 0;
	ipi(v, 1ull << 56 | 0x61);
	check("IPI to 1: 401h", v->exitcode, EXIT_AVIC_IPI);
	check("IPI to 1: EXITINFO1", v->exitinfo1, 1ull << 56 | 0x61);
	check("IPI to 1: invalid target", v->exitinfo2, 2ull << 32 | 1);
	ipi(v, 2ull << 56 | 0x61);
	check("IPI to 2: not running", v->exitinfo2, 1ull << 32 | 2);
	check("IPI to 2: IRR written", *irr, 2);
	ipi(v, 0x80000 | 0x71);
	check("IPI all: somebody does not run", v->exitinfo2, 1ull << 32 | 2);
	check("IPI all: both IRRs", *irr, 2 | 1 << 17);
	*irr = 0;
	*page_reg(v, IRR + 0x30) = 0;
	ipi(v, 2ull << 56 | 0x800 | 0x61);
	check("IPI logical: 2 by bit 1", *irr, 2);
	check("IPI logical: not running", v->exitinfo2, 1ull << 32 | 2);
	ipi(v, 8ull << 56 | 0x800 | 0x61);
	check("IPI logical: invalid", v->exitinfo2 >> 32, 2);
	ipi(v, 0x40061 | 4 << 8);
	check("IPI NMI: type", v->exitinfo2 >> 32, 0);
	check("IPI NMI: 401h", v->exitcode, EXIT_AVIC_IPI);
	ipi(v, 0x40005);
	check("IPI vector 5", v->exitinfo2 >> 32, 4);
}

static void doorbell(void)
{
	check("doorbell: 11:0", CATCH(wrmsr(MSR_AVIC_DOORBELL, 0xfff)), -1);
	check("doorbell: bit 12 is MBZ", CATCH(wrmsr(MSR_AVIC_DOORBELL, 0x1000)), 13);
	check("doorbell: write-only", CATCH(rdmsr(MSR_AVIC_DOORBELL)), 13);
}

static void x2_touch(void)
{
	out = rdmsr(MSR_X2APIC_VERSION);
	wrmsr(MSR_X2APIC_TPR, 0x20);
	wrmsr(MSR_X2APIC_SELF_IPI, 0x61);
	asm volatile("sti\n\tnop\n\tcli");
	wrmsr(MSR_X2APIC_EOI, 0);
	wrmsr(MSR_X2APIC_ICR, 2ull << 32 | 0x71);
	call();
}

static void x2avic(void)
{
	struct vmcb *v = avic_guest(V_X2AVIC);

	taken_count = 0;
	*page_reg(v, 0x30) = 0x50010;
	go(v, x2_touch);
	check("x2AVIC read", out, 0x50010);
	check("x2AVIC TPR", v->vintr & 0xff, 2);
	check("x2AVIC self IPI", taken_count, 1);
	check("x2AVIC EOI", *page_reg(v, ISR + 0x30), 0);
	check("x2AVIC ICR: 401h", v->exitcode, EXIT_AVIC_IPI);
	check("x2AVIC ICR: EXITINFO1", v->exitinfo1, 2ull << 32 | 0x71);
	check("x2AVIC ICR: IRR", *(u32 *)(other_page + IRR + 0x30), 1 << 17);
}

/* ---- virtual NMI ---- */

static bool nmi_calls(struct regs *r)
{
	taken[taken_count++ & 7] = r->vector;
	call();
	return true;
}

static void two_nops(void)
{
	asm volatile("nop\n\tnop");
	call();
}

static void virtual_nmi(void)
{
	struct vmcb *v = guest(two_nops);

	on_exception(2, nmi_calls);
	taken_count = 0;
	v->intercept1 |= 1 << 1;
	v->vintr = V_NMI_EN | V_NMI;
	svm_run(v);
	check("vNMI: in the handler", taken_count, 1);
	check("vNMI: taken and masked", v->vintr & (V_NMI | V_NMI_MASK), V_NMI_MASK);
	v->vintr |= V_NMI;
	v->rip += 3;
	svm_run(v);
	check("vNMI: the second waits for IRET", taken_count, 2);
	check("vNMI: masked again", v->vintr & (V_NMI | V_NMI_MASK), V_NMI_MASK);
	v->rip += 3;
	svm_run(v);
	check("vNMI: IRET ends the masking", v->vintr & (V_NMI | V_NMI_MASK), 0);
	check("vNMI: exit from the main program", v->rip < (u64)two_nops + 16 && v->rip > (u64)two_nops, 1);
	/* its delivery meets a fault: it is in EXITINTINFO and no longer masked, and nothing else of V_INTR changes */
	v->vintr = V_NMI_EN | V_NMI | 5;
	v->rip = (u64)two_nops;
	v->rflags = 2;
	v->idtr.limit = 0;
	v->intercept_exc = 1 << 13;
	svm_run(v);
	check("vNMI, delivery faults", v->exitcode, 0x4d);
	check("vNMI, delivery faults: EXITINTINFO", v->exitintinfo & 0xffffffff, 0x80000202);
	check("vNMI, delivery faults: V_INTR", v->vintr, V_NMI_EN | 5);
	v->idtr.limit = 0xfff;
	v->intercept_exc = 0;
	v->vintr = V_NMI; /* not enabled: the bits mean nothing */
	v->intercept1 = 1 << 31 | 1 << 2;
	v->rip = (u64)two_nops;
	v->rflags = 2;
	taken_count = 0;
	svm_run(v);
	check("vNMI not enabled: nothing is delivered", taken_count, 0);
	check("vNMI not enabled: the main program ran", v->rip < (u64)two_nops + 16 && v->rip > (u64)two_nops, 1);
	check("vNMI not enabled: the bit stays", v->vintr & (V_NMI | V_NMI_MASK), V_NMI);
	v->eventinj = 0x80000202; /* an injected NMI sets no mask */
	v->rip = (u64)two_nops;
	svm_run(v);
	check("vNMI not enabled: an injected NMI", taken_count, 1);
	check("vNMI not enabled: no mask", v->vintr & V_NMI_MASK, 0);
}

/* ---- clean bits, traps, HLT ---- */

static void do_cpuid(void)
{
	asm volatile("cpuid" ::: "eax", "ebx", "ecx", "edx");
	call();
}

static void clean_bits(void)
{
	struct vmcb *v = guest(do_cpuid);

	go(v, do_cpuid);
	check("clean: first run", v->exitcode, EXIT_VMMCALL);
	v->intercept1 |= SVM_CPUID;
	v->clean = 1;
	go(v, do_cpuid);
	check("clean bit 0 set: the old intercepts", v->exitcode, EXIT_VMMCALL);
	v->clean = 0;
	go(v, do_cpuid);
	check("clean bit 0 clear: the new ones", v->exitcode, EXIT_CPUID);
	v->cr4 |= 1 << 7;
	v->cr0 |= 1ull << 40;
	v->clean = 1 << 5;
	go(v, do_cpuid);
	check("clean bit 5 set: CR0 is not read, nor checked", v->exitcode, EXIT_CPUID);
	v->cr0 |= 1ull << 40;
	v->clean = 0;
	go(v, do_cpuid);
	check("clean bit 5 clear: refused", v->exitcode, ~0ull);
	v->cr0 &= 0xffffffff;
	v->clean = ~0u;
	go(v, do_cpuid);
	check("refused VMCB: nothing is cached of it", v->exitcode, EXIT_CPUID);
}

static void write_cr4_and_efer(void)
{
	write_cr4(read_cr4() | 1 << 7);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
	call();
}

static void write_traps(void)
{
	struct vmcb *v = guest(write_cr4_and_efer);

	v->intercept2 |= 1 << 15 | 1u << 20;
	svm_run(v);
	check("CR4 write trap", v->exitcode, EXIT_CR_TRAP + 4);
	check("CR4 write trap: EXITINFO1", v->exitinfo1, v->cr4);
	check("CR4 write trap: written", v->cr4 >> 7 & 1, 1);
	svm_run(v);
	check("EFER write trap: and RIP was behind", v->exitcode, EXIT_EFER_TRAP);
	check("EFER write trap: EXITINFO1", v->exitinfo1, v->efer);
	svm_run(v);
	check("then the program goes on", v->exitcode, EXIT_VMMCALL);
}

/* Reads the page at `in` and then runs it. */
static void read_and_run(void)
{
	out = *(volatile u8 *)in;
	((void (*)(void))in)();
	call();
}

/* What a read has left in the TLB gives no right to run the page; without the trap it is run. */
static void execute_trap_behind_read(void)
{
	enum { PAGE = 0x8000000 };
	struct vmcb *v = guest(read_and_run);

	*(u8 *)PAGE = 0xc3; /* RET */
	in = PAGE;
	for (unsigned n = 0; n < 4; n++) {
		bool trap = n & 1, user_page = n & 2;

		*svm_nested_entry(v, PAGE) = (*svm_nested_entry(v, PAGE) & ~4ull) | (user_page ? 4 : 0);
		*svm_nested_entry(v, (u64)read_and_run) &= ~4ull;
		v->np_enable = 1 | (trap ? 8 : 0);
		v->tlb_control = 1;
		go(v, read_and_run);
		if (!trap && !user_page) /* every page of a guest is a user page without the trap */
			check("no GMET: a supervisor page", v->exitcode, EXIT_NPF);
		else if (!trap)
			continue; /* the code's own page is a supervisor one */
		else
			check("GMET: read, then run", v->exitcode, user_page ? EXIT_NPF : EXIT_VMMCALL);
		if (trap && user_page)
			check("GMET: the fetch faults", v->exitinfo1 >> 4 & 1, 1);
	}
	*svm_nested_entry(v, PAGE) |= 4;
	*svm_nested_entry(v, (u64)read_and_run) |= 4;
}

static void execute_trap(void)
{
	struct vmcb *v = guest(call);

	v->np_enable |= 8;
	v->tlb_control = 1; /* other guests had this ASID */
	svm_run(v);
	check("GMET: a user page at CPL 0", v->exitcode, EXIT_NPF);
	check("GMET: error code, U aside", v->exitinfo1 & ~4ull, 0x100000011);
	*svm_nested_entry(v, (u64)call) &= ~4ull;
	svm_run(v);
	check("GMET: a supervisor page runs", v->exitcode, EXIT_VMMCALL);
}

static void halts(void)
{
	asm volatile("hlt");
	call();
}

static void idle_hlt(void)
{
	struct vmcb *v = guest(halts);

	v->intercept1 &= ~(u32)SVM_HLT;
	v->intercept3 |= 1 << 6;
	svm_run(v);
	check("idle HLT: nothing pending", v->exitcode, EXIT_IDLE_HLT);
	v->vintr = 1 << 8 | 0xfull << 16 | 0x61ull << 32 | V_MASKING;
	v->rflags |= 1 << 9;
	v->int_state = 1; /* the interrupt is pending behind the shadow */
	taken_count = 0;
	svm_run(v);
	check("idle HLT: an interrupt is pending", v->exitcode, EXIT_VMMCALL);
	check("idle HLT: and taken", taken_count, 1);
	v = avic_guest(0); /* V_IRQ means nothing there */
	v->intercept1 &= ~(u32)SVM_HLT;
	v->intercept3 |= 1 << 6;
	v->vintr |= 1 << 8 | 0xfull << 16 | 0x61ull << 32;
	go(v, halts);
	check("idle HLT: V_IRQ under AVIC", v->exitcode, EXIT_IDLE_HLT);
}

/* ---- bus-lock threshold: VMCB 014h bit 5, 120h. Locks that cross a line, or of memory that is not write-back ---- */

enum { MTRR_DEF_TYPE = 0x2ff };
u64 lines[16] __attribute__((aligned(64), used));
#define SPLIT "lines+60"
#define LOCKED(name, code)                                                                                             \
	asm(".pushsection .text\n" #name ": " code "\n" #name "_end: vmmcall\n.popsection");                           \
	extern u8 name[], name##_end[]
LOCKED(l_add, "lock incq " SPLIT);
LOCKED(l_xchg, "xchg %rax, " SPLIT);
LOCKED(l_cmpxchg, "lock cmpxchg %rcx, " SPLIT);
LOCKED(l_twice, "lock incq " SPLIT "\n l_second: lock incq " SPLIT);
LOCKED(l_plain, "incq " SPLIT);
LOCKED(l_aligned, "lock incq lines+64");
LOCKED(l_wide, "lock cmpxchg16b lines+64");
LOCKED(l_fits, "lock incl " SPLIT);
extern u8 l_second[];

static void lock_run(struct vmcb *v, u8 *code, u16 count)
{
	memset(lines, 0, sizeof(lines));
	v->bus_locks = count;
	v->rip = (u64)code;
	v->rax = 5;
	v->tlb_control = 1;
	svm_run(v);
}

static u64 split_value(void)
{
	u64 value;

	memcpy(&value, (u8 *)lines + 60, 8);
	return value;
}

static void bus_locks(void)
{
	static const struct {
		const char *name;
		u8 *code;
		u64 mtrr; /* 6: write-back, 0: uncached */
		u64 code0; /* with the counter at 0 */
	} rows[] = {
		{"LOCK INC, split", l_add, 6, EXIT_BUS_LOCK},	 {"XCHG, split", l_xchg, 6, EXIT_BUS_LOCK},
		{"LOCK CMPXCHG, split", l_cmpxchg, 6, EXIT_BUS_LOCK}, {"INC, split", l_plain, 6, EXIT_VMMCALL},
		{"LOCK INC, in a line", l_aligned, 6, EXIT_VMMCALL}, {"LOCK INC, up to its end", l_fits, 6, EXIT_VMMCALL},
		{"LOCK CMPXCHG16B, uncached", l_wide, 0, EXIT_BUS_LOCK},
		{"LOCK INC, uncached", l_aligned, 0, EXIT_BUS_LOCK},
		{"INC, uncached", l_plain, 0, EXIT_VMMCALL},
	};
	struct vmcb *v = guest(call);

	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		bool locks = rows[n].code0 == EXIT_BUS_LOCK;

		wrmsr(MTRR_DEF_TYPE, 0xc00 | rows[n].mtrr);
		v->intercept3 = 1 << 5;
		lock_run(v, rows[n].code, 0);
		check(rows[n].name, v->exitcode, rows[n].code0);
		if (locks) {
			check("bus lock: nothing written", split_value() | lines[8], 0);
			check("bus lock: RIP", v->rip, (u64)rows[n].code);
			check("bus lock: nRIP", v->nrip, 0);
			check("bus lock: EXITINFO", v->exitinfo1 | v->exitinfo2, 0);
		}
		lock_run(v, rows[n].code, 1);
		check("one lock is free", v->exitcode, EXIT_VMMCALL);
		check("the counter", v->bus_locks, !locks);
		v->intercept3 = 0;
		lock_run(v, rows[n].code, 7);
		check("not intercepted", v->exitcode, EXIT_VMMCALL);
		check("the counter, not intercepted", v->bus_locks, 7);
	}
	wrmsr(MTRR_DEF_TYPE, 0xc06);
	v->intercept3 = 1 << 5;
	lock_run(v, l_twice, 1);
	check("the second lock", v->exitcode, EXIT_BUS_LOCK);
	asm volatile("lock decq " SPLIT "; lock incq " SPLIT ::: "memory", "cc"); /* nobody minds the host's */
	check("the second lock: RIP", v->rip, (u64)l_second);
	check("the first one's value", split_value(), 1);
	v->bus_locks = 3;
	svm_run(v);
	check("and goes on", v->exitcode, EXIT_VMMCALL);
	check("both", split_value(), 2);
	check("the counter is what is left", v->bus_locks, 2);
	wrmsr(MTRR_DEF_TYPE, 0);
}

/* ---- page-modification logging: 090h bit 11, 1C8h, 1D0h ---- */

#define PAGE	     0x9003000ull
asm(".pushsection .text\np_read: mov 0x9003008, %rax\n vmmcall\n"
    "p_write: movl $7, 0x9003008\n movl $8, 0x9003010\n vmmcall\n.popsection");
extern u8 p_read[], p_write[];

static void pml_run(struct vmcb *v, u8 *code, u16 index, u64 clean)
{
	for (u64 gpa = 0; gpa < 4ull << 30; gpa += 2 << 20)
		*svm_nested_entry(v, gpa) |= 0x60;
	*svm_nested_entry(v, clean) &= ~0x60ull;
	v->pml_index = index;
	v->rip = (u64)code;
	v->tlb_control = 1;
	svm_run(v);
}

static void page_modification_log(void)
{
	struct vmcb *v = guest(call);
	u64 *log = page_alloc();

	v->pml_base = (u64)log | 0xfff; /* 11:0 do not count */
	pml_run(v, p_write, 511, PAGE);
	check("PML off: no log", v->pml_index, 511);
	check("PML off: no entry", log[511], 0);
	v->np_enable |= 1 << 11;
	pml_run(v, p_read, 511, PAGE);
	check("PML: a read", v->exitcode, EXIT_VMMCALL);
	check("PML: a read is not logged", v->pml_index, 511);
	pml_run(v, p_write, 511, PAGE);
	check("PML: a write", v->exitcode, EXIT_VMMCALL);
	check("PML: the page", log[511], PAGE);
	check("PML: once", v->pml_index, 510);
	check("PML: dirty", *svm_nested_entry(v, PAGE) >> 6 & 1, 1);
	v->rip = (u64)p_write;
	v->tlb_control = 0;
	svm_run(v);
	check("PML: dirty already", v->pml_index, 510);
	pml_run(v, p_write, 0, PAGE);
	check("PML: the last entry", log[0], PAGE);
	check("PML: the index wraps", v->pml_index, 0xffff);
	*(u64 *)(PAGE + 8) = 0;
	for (unsigned n = 0; n < 2; n++) {
		pml_run(v, p_write, n ? 512 : 0xffff, PAGE);
		check("PML: full", v->exitcode, EXIT_PML_FULL);
		check("PML full: RIP", v->rip, (u64)p_write);
		check("PML full: nothing written", *(u64 *)(PAGE + 8), 0);
		check("PML full: not dirty", *svm_nested_entry(v, PAGE) >> 6 & 1, 0);
		check("PML full: the index stays", v->pml_index, n ? 512 : 0xffff);
	}
	v->pml_index = 511;
	log[511] = 0;
	svm_run(v);
	check("PML: and goes on", v->exitcode, EXIT_VMMCALL);
	check("PML: logged then", log[511], PAGE);
	pml_run(v, p_read, 511, v->cr3); /* guest tables count as writes */
	check("PML: the guest's table", log[511], v->cr3 & ~0xfffull);
	v->np_enable &= ~1ull; /* without nested paging the bit has no effect */
	v->rip = (u64)p_write;
	v->pml_index = 512;
	svm_run(v);
	check("PML without nested paging", v->exitcode, EXIT_VMMCALL);
}

/* ---- next RIP of the exceptions that instructions raise: INT3, INTO, BOUND ---- */

asm(".pushsection .text\n.code32\nraise32: bound %eax, limits32\nint3_32: int3\ninto_32: into\n.code64\n.popsection");
extern u8 raise32[], int3_32[], into_32[];
int limits32[2] __attribute__((used)) = {0, 10};

static void next_rip(struct vmcb *v, const char *name, u8 *code, unsigned vector, unsigned length)
{
	v->rip = (u64)code;
	v->rax = 11;
	v->rflags = 0x802;
	svm_run(v);
	check(name, v->exitcode, 0x40 + vector);
	check(name, v->rip, (u64)code);
	check(name, v->nrip, (u64)code + length);
}

static void software_exceptions(void)
{
	struct vmcb *v = guest(call);

	v->cs.sel = 0x18;
	v->cs.attrib = 0xc9b;
	v->intercept_exc = 1 << 3 | 1 << 4 | 1 << 5;
	next_rip(v, "#BR", raise32, 5, 6);
	next_rip(v, "#BP", int3_32, 3, 1);
	next_rip(v, "#OF", into_32, 4, 1);
}

/* ---- the extended APIC space ---- */

static bool apic_seen(struct regs *r)
{
	taken[taken_count++ & 7] = r->vector;
	return true;
}

static void extended_apic(void)
{
	check("version: extended space", mmio_read(APIC + 0x30) >> 31, 1);
	check("feature register: IER, SEOI", mmio_read(APIC + 0x400) & 3, 3);
	check("IER after reset", mmio_read(APIC + 0x480), 0xffffffff);
	check("extended LVT after reset", mmio_read(APIC + 0x500), 0x10000);
	on_exception(0x41, apic_seen);
	on_exception(0x51, apic_seen);
	taken_count = 0;
	mmio_write(APIC + SVR, 0x1ff);
	mmio_write(APIC + 0x410, 3);
	mmio_write(APIC + 0x480 + 16 * (0x51 / 32), ~(1u << (0x51 % 32)));
	mmio_write(APIC + ICRL, 0x40051);
	mmio_write(APIC + ICRL, 0x40041);
	asm volatile("sti\n\tnop\n\tcli");
	check("IER: the disabled vector waits", taken_count, 1);
	check("IER: the lower one came", taken[0], 0x41);
	check("IER: IRR keeps it", mmio_read(APIC + IRR + 0x20) >> 17 & 1, 1);
	mmio_write(APIC + 0x480 + 0x20, 0xffffffff);
	asm volatile("sti\n\tnop\n\tcli");
	check("IER: enabled, it comes", taken[1], 0x51);
	mmio_write(APIC + 0x420, 0x41);
	check("SEOI: the lower one ends first", mmio_read(APIC + ISR + 0x20), 1 << 17);
	mmio_write(APIC + 0x410, 1);
	mmio_write(APIC + 0x420, 0x51);
	check("SEOI: off, nothing ends", mmio_read(APIC + ISR + 0x20), 1 << 17);
	mmio_write(APIC + EOI, 0);
	check("EOI: the highest", mmio_read(APIC + ISR + 0x20), 0);
}

int main(void)
{
	extended_apic();
	if (!svm_enable())
		return 1;
	avic_registers();
	avic_interrupts();
	avic_ipis();
	doorbell();
	x2avic();
	virtual_nmi();
	clean_bits();
	write_traps();
	execute_trap();
	execute_trap_behind_read();
	idle_hlt();
	bus_locks();
	page_modification_log();
	software_exceptions();
	return guest_verdict();
}
