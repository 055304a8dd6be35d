/* "LBR Virtualization", and the local APIC's extended registers: sections 2.17.7 and 2.19 of 33047. */
#include "exits.h"

enum { DEBUGCTL = 0x1d9, FROM = 0x1db, TO = 0x1dc, INT_FROM = 0x1dd, INT_TO = 0x1de };
#define LBR(n) ((&v->dbgctl)[n])

SNIPPET(branch, "", "jmp 1f; nop; 1: nop");

static void lbr(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!(r[3] & 2))
		return;
	wrmsr(DEBUGCTL, 0);
	wrmsr(FROM, 0x1000);
	wrmsr(TO, 0x2000);
	base(&branch);
	v->lbrv = 1;
	LBR(0) = 1; /* DBGCTL.LBR */
	LBR(3) = 0x3000;
	LBR(4) = 0x4000;
	vcheck("LBR", "code", go(), EXIT_VMMCALL);
	vcheck("LBR", REQ("svm.2.19.0.1 svm.2.19.0.2 svm.2.19.1.2 svm.2.19.1.3 svm.2.19.2.3") "guest from", LBR(1), (u64)branch.at);
	vcheck("LBR", REQ("svm.2.19.0.3 svm.2.19.1.4 svm.2.19.2.3") "guest to", LBR(2), (u64)branch.next - 1);
	vcheck("LBR", REQ("svm.2.19.1.5") "guest exception from", LBR(3), 0x3000);
	vcheck("LBR", REQ("svm.2.19.1.6") "guest exception to", LBR(4), 0x4000);
	vcheck("LBR", REQ("svm.2.19.2.1 svm.2.19.2.4") "host control", rdmsr(DEBUGCTL), 0);
	vcheck("LBR", "host from", rdmsr(FROM), 0x1000);
	vcheck("LBR", "host to", rdmsr(TO), 0x2000);
	base(&branch); /* shared */
	LBR(0) = 1;
	LBR(1) = 0x5000;
	vcheck("LBR off", REQ("svm.2.19.2.5") "code", go(), EXIT_VMMCALL);
	vcheck("LBR off", "nothing recorded", rdmsr(FROM), 0x1000);
	vcheck("LBR off", "VMCB not written", LBR(1), 0x5000);
}

/* ---- the LBR stack: APM 2 "Last Branch Record Stack" and the registers it names ---- */

enum { SELECT = 0xc000010e, EXTN = 0xc000010f, STACK_FROM = 0xc0010300, STACK_TO = 0xc0010301, LBRSE = 1 << 6 };
#define V        (1ull << 63)
#define IP(a)    ((u64)(a) & ((1ull << 57) - 1))
#define SLOT_FROM(n) (*(u64 *)((u8 *)v + 0xa70 + 16 * (n)))
#define SLOT_TO(n)   (*(u64 *)((u8 *)v + 0xa78 + 16 * (n)))
#define DBGEXTN  (v->dbgextn)
#define V_SELECT (*(u64 *)((u8 *)v + 0xb70))

/* One branch of each kind, each with its address and target; the recording is on between two WRMSRs, whose own Jcc-free
 * code leaves nothing. */
asm(".pushsection .text\n.globl b_run, b_jcc, b_jcc_t, b_calli, b_callr, b_ret, b_jmpi, b_jmpi_t, b_jmpr, b_jmpr_t, b_far, "
    "b_far_t, b_loop, b_loop_t, b_sub, b_done, b_not\n"
    "b_run: push %rbx\n lea b_jmpi_t, %rbx\n lea b_sub, %rsi\n mov $1, %ecx\n mov $0x40, %eax\n xor %edx, %edx\n"
    " mov $0xc000010f, %ecx\n wrmsr\n test %eax, %eax\n"
    "b_not: jz b_done\n"
    "b_jcc: jnz b_jcc_t\n nop\nb_jcc_t: nop\n"
    "b_callr: call b_sub\n"
    "b_calli: call *%rsi\n"
    "b_jmpi: jmp *%rbx\n nop\nb_jmpi_t:\n"
    "b_jmpr: jmp b_jmpr_t\n nop\nb_jmpr_t: mov $2, %ecx\n"
    "b_loop: loop b_loop_t\n nop\nb_loop_t: push $8\n push $b_far_t\n"
    "b_far: lretq\nb_far_t: xor %eax, %eax\n mov $0xc000010f, %ecx\n wrmsr\n"
    "b_done: pop %rbx\n ret\n"
    "b_sub: nop\nb_ret: ret\n.popsection");
extern char b_run[], b_jcc[], b_jcc_t[], b_calli[], b_callr[], b_ret[], b_jmpi[], b_jmpi_t[], b_jmpr[], b_jmpr_t[], b_far[],
	b_far_t[], b_loop[], b_loop_t[], b_sub[];

/* In program order, with the bit of LastBranchStackSelect that leaves it out. */
static const struct {
	char *from, *to;
	u32 suppress;
} branches[] = {
	{b_jcc, b_jcc_t, 1 << 2},    {b_callr, b_sub, 1 << 3},	 {b_ret, b_calli, 1 << 5},   {b_calli, b_sub, 1 << 4},
	{b_ret, b_jmpi, 1 << 5},     {b_jmpi, b_jmpi_t, 1 << 6}, {b_jmpr, b_jmpr_t, 1 << 7}, {b_loop, b_loop_t, 1 << 2},
	{b_far, b_far_t, 1 << 8},
};

static void clear_stack(void)
{
	wrmsr(EXTN, 0);
	wrmsr(SELECT, 0);
	for (unsigned n = 0; n < 32; n++)
		wrmsr(STACK_FROM + n, 0);
}

/* The newest entry first: what was recorded is what the select register lets through, nothing else. */
static void recorded(u32 select)
{
	unsigned n = 0;

	clear_stack();
	wrmsr(SELECT, select);
	((void (*)(void))b_run)();
	for (unsigned k = COUNT(branches); k-- > 0;) {
		if ((select & branches[k].suppress) || (select & 1))
			continue;
		vcheck("LBR stack", "from", rdmsr(STACK_FROM + 2 * n), IP(branches[k].from));
		vcheck("LBR stack", "to", rdmsr(STACK_TO + 2 * n), IP(branches[k].to) | V);
		n++;
	}
	for (; n < 16; n++)
		vcheck("LBR stack", "nothing else", rdmsr(STACK_FROM + 2 * n) | rdmsr(STACK_TO + 2 * n), 0);
}

static int write_extn(u64 value)
{
	return CATCH(wrmsr(EXTN, value));
}

static void stack_registers(void)
{
	for (unsigned bit = 0; bit < 64; bit++)
		vcheck("DebugExtnCtl", "bit 6 alone", (u64)write_extn(1ull << bit), bit == 6 ? ~0ull : 13);
	vcheck("DebugExtnCtl", "reads", rdmsr(EXTN), LBRSE);
	vcheck("DebugCtl", "is another register", rdmsr(DEBUGCTL), 0);
	wrmsr(DEBUGCTL, 1);
	wrmsr(DEBUGCTL, 0);
	vcheck("DebugExtnCtl", "is another register", rdmsr(EXTN), LBRSE);
	wrmsr(EXTN, 0);
	vcheck("DebugExtnCtl", "off", rdmsr(EXTN), 0);
	wrmsr(SELECT, ~0ull);
	vcheck("LastBranchStackSelect", "bits 8:0", rdmsr(SELECT), 0x1ff);
	wrmsr(SELECT, 0);
	for (unsigned n = 0; n < 32; n++)
		wrmsr(STACK_FROM + n, ~0ull - n);
	for (unsigned n = 0; n < 32; n++)
		vcheck("LBR stack", "keeps", rdmsr(STACK_FROM + n), (~0ull - n) & ((n & 1 ? 3ull << 62 : V) | IP(~0ull)));
	vcheck("LBR stack", "no more entries", (u64)CATCH(rdmsr(STACK_FROM + 32)), 13);
}

static bool count_db(struct regs *r)
{
	seen[9] = rdmsr(EXTN);
	r->rflags &= ~0x100ull;
	return true;
}

static bool count_ud(struct regs *r)
{
	seen[10] = rdmsr(EXTN);
	wrmsr(EXTN, 0);
	r->rip += 2;
	return true;
}

/* #DB ends the recording; other exceptions are recorded as far branches. docs/ERRATA.md E82 */
static void stack_exceptions(void)
{
	extern char lbr_ud[];

	on_exception(1, count_db);
	on_exception(6, count_ud);
	clear_stack();
	seen[9] = LBRSE;
	wrmsr(EXTN, LBRSE);
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "memory", "cc");
	vcheck("LBR stack", "#DB ends it", seen[9], 0);
	vcheck("LBR stack", "and it stays off", rdmsr(EXTN), 0);
	clear_stack();
	seen[10] = 0;
	asm volatile("wrmsr\n.globl lbr_ud\nlbr_ud: ud2" ::"a"(LBRSE), "d"(0), "c"(EXTN) : "memory");
	vcheck("LBR stack", "#UD does not", seen[10], LBRSE);
	unsigned n = 0;

	while (n < 16 && rdmsr(STACK_FROM + 2 * n) != IP(lbr_ud))
		n++;
	vcheck("LBR stack", "#UD is there, the oldest", n < 15 && !rdmsr(STACK_TO + 2 * n + 2), 1);
	clear_stack();
	wrmsr(SELECT, 0xfc | 1 << 8);
	asm volatile("wrmsr; ud2" ::"a"(LBRSE), "d"(0), "c"(EXTN) : "memory");
	vcheck("LBR stack", "#UD counts as far", rdmsr(STACK_TO), 0);
	on_exception(1, NULL);
	on_exception(6, NULL);
}

SNIPPET(g_branch, "", "jmp 1f; nop; 1: nop");
static void stack_of_guest(bool on)
{
	clear_stack();
	for (unsigned n = 0; n < 32; n++)
		wrmsr(STACK_FROM + n, 0x1000 + n);
	wrmsr(SELECT, 0x55);
	wrmsr(EXTN, on ? 0 : LBRSE);
	wrmsr(EXTN, on ? 0 : LBRSE);
	base(&g_branch);
	v->lbrv = 1;
	DBGEXTN = on ? LBRSE : 0;
	LBR(0) = on ? 0 : ~0x3full; /* bits that do not exist switch nothing on */
	for (unsigned n = 0; n < 16; n++) {
		SLOT_FROM(n) = 0x2000 + n;
		SLOT_TO(n) = 0x3000 + n;
	}
	V_SELECT = 0x100;
	u64 code = go(), host = rdmsr(EXTN);

	wrmsr(EXTN, 0);
	vcheck("LBR stack of a guest", "code", code, EXIT_VMMCALL);
	vcheck("LBR stack of a guest", "DBGEXTNCTL", DBGEXTN, on ? LBRSE : 0);
	vcheck("LBR stack of a guest", "DBGCTL", LBR(0), 0);
	vcheck("LBR stack of a guest", "LBR_SELECT", V_SELECT, 0x100);
	if (on) {
		vcheck("LBR stack of a guest", "from", SLOT_FROM(0), (u64)g_branch.at);
		vcheck("LBR stack of a guest", "to", SLOT_TO(0), ((u64)g_branch.next - 1) | V);
	}
	for (unsigned n = on; n < 16; n++) {
		vcheck("LBR stack of a guest", "older from", SLOT_FROM(n), 0x2000 + n - on);
		vcheck("LBR stack of a guest", "older to", SLOT_TO(n), 0x3000 + n - on);
	}
	/* the control register is the host's again, the rest is left as the guest had it */
	vcheck("LBR stack of a guest", "host control", host, on ? 0 : LBRSE);
	if (on) {
		vcheck("LBR stack of a guest", "select stays", rdmsr(SELECT), 0x100);
		vcheck("LBR stack of a guest", "stack stays", rdmsr(STACK_FROM + 2), 0x2000);
	}
}

/* Bits 1:0 of the select register: by the level in which a branch ends. */
static void stack_by_level(void)
{
	for (unsigned n = 0; n < 8; n++) {
		unsigned select = n & 3, cpl3 = n >> 2;

		base(&g_branch);
		if (cpl3)
			user();
		v->lbrv = 1;
		DBGEXTN = LBRSE;
		V_SELECT = select;
		vcheck("LBR stack by level", "code", go(), EXIT_VMMCALL);
		vcheck("LBR stack by level", "recorded", SLOT_FROM(0) != 0, !(select & (cpl3 ? 2 : 1)));
		vcheck("LBR stack by level", "V", SLOT_TO(0) >> 63, !(select & (cpl3 ? 2 : 1)));
	}
}

/* Without LBR virtualization the fields are neither read nor written, and the guest uses the host's registers. */
static void stack_shared(void)
{
	clear_stack();
	base(&g_branch);
	DBGEXTN = LBRSE;
	SLOT_FROM(0) = 0x4000;
	V_SELECT = 0x1ff;
	vcheck("LBR stack, shared", "code", go(), EXIT_VMMCALL);
	vcheck("LBR stack, shared", "nothing recorded", rdmsr(STACK_FROM), 0);
	vcheck("LBR stack, shared", "VMCB not written", SLOT_FROM(0), 0x4000);
	vcheck("LBR stack, shared", "select", rdmsr(SELECT), 0);
}

static void lbr_stack(void)
{
	u32 r[4];

	cpuid(0x80000000, 0, r);
	if (r[0] < 0x80000022) {
		vcheck("LBR stack", "hidden", (u64)CATCH(rdmsr(EXTN)), 13);
		return;
	}
	cpuid(0x80000022, 0, r);
	if (!(r[0] >> 1 & 1))
		return;
	vcheck("LBR stack", "entries", r[1] >> 4 & 63, 16);
	stack_registers();
	for (unsigned bit = 0; bit < 10; bit++)
		recorded(bit < 9 ? 1u << bit : 0);
	recorded(0x1fc);
	recorded(0xfc);
	stack_exceptions();
	stack_of_guest(true);
	stack_of_guest(false);
	stack_by_level();
	stack_shared();
	clear_stack();
}

/* ---- IER and SEOI ---- */
#define APIC(r) (0xfee00000ull + (r))

static void pend(unsigned vector)
{
	self_ipi(vector);
}

static u32 bit_of(unsigned map, unsigned vector)
{
	return mmio_read(APIC(map + 16 * (vector / 32))) >> vector % 32 & 1;
}

static bool keep(struct regs *r)
{
	seen[8] = seen[8] << 8 | r->vector;
	return true;
}

static void extended_apic(void)
{
	if (!(mmio_read(APIC(0x30)) >> 31))
		return;
	vcheck("APIC", REQ("svm.2.17.7.18 svm.2.17.7.19 svm.E.7.2 svm.E.7.3") "IER and SEOI", mmio_read(APIC(0x400)) & 3, 3);
	on_exception(0x61, keep);
	on_exception(0x72, keep);
	mmio_write(APIC(0x410), 3);
	for (unsigned n = 0; n < 8; n++)
		vcheck("IER", REQ("svm.2.17.7.2") "all ones", mmio_read(APIC(0x480 + 16 * n)), ~0u);
	for (unsigned n = 1; n < 8; n++) {
		mmio_write(APIC(0x480 + 16 * n), 0x1234u << n);
		vcheck("IER", REQ("svm.2.17.7.3 svm.2.17.7.14 svm.2.17.7.15 svm.2.17.7.16 svm.E.6.8 svm.E.6.9 svm.E.6.10 svm.E.6.11 svm.E.6.12 svm.E.6.13 svm.E.6.14") "keeps", mmio_read(APIC(0x480 + 16 * n)), 0x1234u << n);
		mmio_write(APIC(0x480 + 16 * n), ~0u);
	}
	seen[8] = 0;
	mmio_write(APIC(0x480 + 16 * 3), ~(1u << (0x72 - 96))); /* 72h off */
	pend(0x61);
	pend(0x72);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	vcheck("IER", REQ("svm.2.17.7.4 svm.2.17.7.6") "the lower one", seen[8], 0x61);
	vcheck("IER", "the higher one stays pending", bit_of(0x200, 0x72), 1);
	mmio_write(APIC(0x480 + 16 * 3), ~0u);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	vcheck("IER", REQ("svm.2.17.7.5") "then the higher one", seen[8], 0x6172);
	vcheck("SEOI", "both in service", bit_of(0x100, 0x61) + bit_of(0x100, 0x72), 2);
	mmio_write(APIC(0x420), 0x61);
	vcheck("SEOI", REQ("svm.2.17.7.7 svm.2.17.7.11 svm.2.17.7.12 svm.2.17.7.10 svm.E.6.3 svm.E.6.4") "the lower ends", bit_of(0x100, 0x61), 0);
	vcheck("SEOI", REQ("svm.2.17.7.9") "the higher stays", bit_of(0x100, 0x72), 1);
	mmio_write(APIC(0x410), 0);
	mmio_write(APIC(0x420), 0x72);
	vcheck("SEOI off", "nothing ends", bit_of(0x100, 0x72), 1);
	mmio_write(APIC(0xb0), 0);
	vcheck("EOI", REQ("svm.2.17.7.8") "the highest ends", bit_of(0x100, 0x72), 0);
}

void test_lbr(void)
{
	lbr();
	lbr_stack();
	extended_apic();
}
