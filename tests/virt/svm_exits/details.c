/*
 * The later chapters in passing: write traps, DR4 and DR5, the virtual GIF, virtual SPEC_CTRL, AVIC's logical
 * destinations and the targets that it refuses. "CRx Write Trap", "Virtual GIF", "Advanced Virtual Interrupt
 * Controller".
 */
#include "exits.h"

#define FIELD(offset) (*(u64 *)((u8 *)v + (offset)))
enum { V_IRQ = 1 << 8, V_GIF = 1 << 9, V_MASKING = 1 << 24, V_GIF_EN = 1 << 25, SPEC_CTRL = 0x6e0 };
#define V_AVIC      (1ull << 31)
#define V_INTERRUPT (V_IRQ | 0xfull << 16 | 0x61ull << 32)
#define STGI                                                                                                           \
	(struct icpt)                                                                                                  \
	{                                                                                                              \
		4, 4                                                                                                   \
	}
#define INTR                                                                                                           \
	(struct icpt)                                                                                                  \
	{                                                                                                              \
		3, 0                                                                                                   \
	}
#define TRAP(n)                                                                                                        \
	(struct icpt)                                                                                                  \
	{                                                                                                              \
		4, 16 + (n)                                                                                            \
	}

static u32 features(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	return r[3];
}

/* ---- write traps ---- */

SNIPPET(t_cr0, "mov %cr0, %rbx; xor $8, %ebx", "mov %rbx, %cr0");
SNIPPET(t_et, "mov %cr0, %rbx; xor $0x18, %ebx", "mov %rbx, %cr0");
SNIPPET(t_lmsw, "smsw %eax; xor $8, %eax", "lmsw %ax");
SNIPPET(t_clts, "", "clts");
SNIPPET(t_cr3, "mov %cr3, %rdx", "mov %rdx, %cr3");
SNIPPET(t_cr4, "mov %cr4, %rcx; xor $4, %ecx", "mov %rcx, %cr4");
SNIPPET(t_cr8, "mov $5, %eax", "mov %rax, %cr8");
SNIPPET(t_read, "", "mov %cr0, %rax");
SNIPPET(t_bad, "mov %cr4, %rbx; bts $31, %rbx", "mov %rbx, %cr4");

static void write_traps(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		unsigned n;
	} row[] = {
	        {"CR0 write trap", &t_cr0, 0},        {"CR0 write trap, LMSW", &t_lmsw, 0},
	        {"CR0 write trap, ET 0", &t_et, 0},
	        {"CR0 write trap, CLTS", &t_clts, 0}, {"CR3 write trap", &t_cr3, 3},
	        {"CR4 write trap", &t_cr4, 4},        {"CR8 write trap", &t_cr8, 8},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		u64 value;

		base(row[n].s);
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		on(TRAP(row[n].n));
		vcheck(row[n].name, "code", go(), 0x90 + row[n].n);
		vcheck(row[n].name, "RIP behind", v->rip, (u64)row[n].s->next);
		value = row[n].n == 0 ? v->cr0 : row[n].n == 3 ? v->cr3 : row[n].n == 4 ? v->cr4 : v->vintr & 0xf;
		vcheck(row[n].name, "new value", v->exitinfo1, value);
		vcheck(row[n].name, "goes on", go(), EXIT_VMMCALL);
		base(row[n].s);
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		vcheck(row[n].name, "off", go(), EXIT_VMMCALL);
		base(row[n].s); /* the intercept comes before the write */
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		on(TRAP(row[n].n));
		on((struct icpt)CR_WRITE(row[n].n));
		vcheck(row[n].name, "the intercept wins", go(), 0x10 + row[n].n);
		vcheck(row[n].name, "RIP at it", v->rip, (u64)row[n].s->at);
	}
	write_cr8(0); /* the guest's writes were the processor's */
	base(&t_read);
	on(TRAP(0));
	vcheck("CR0 write trap", "a read", go(), EXIT_VMMCALL);
	base(&t_bad);
	on(TRAP(4));
	vcheck("CR4 write trap", "a write that faults", go(), 0x4d);
}

/* ---- the numbers as coded ---- */

SNIPPET(d_dr4, "", ".byte 0x0f, 0x21, 0xe3");
SNIPPET(d_dr5, "", ".byte 0x0f, 0x21, 0xeb");
SNIPPET(d_to_dr4, "mov %dr6, %rbx", ".byte 0x0f, 0x23, 0xe3");
SNIPPET(d_to_dr5, "mov %dr7, %rbx", ".byte 0x0f, 0x23, 0xeb");

static void aliases(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u8 bit, code;
	} row[] = {
	        {"DR4 read", &d_dr4, 4, 0x24},
	        {"DR5 read", &d_dr5, 5, 0x25},
	        {"DR4 write", &d_to_dr4, 20, 0x34},
	        {"DR5 write", &d_to_dr5, 21, 0x35},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		base(row[n].s);
		on((struct icpt){1, row[n].bit});
		vcheck(row[n].name, "code", go(), row[n].code);
		vcheck(row[n].name, "RIP", v->rip, (u64)row[n].s->at);
		base(row[n].s);
		vcheck(row[n].name, "off", go(), EXIT_VMMCALL);
	}
}

/* ---- virtual GIF ---- */

SNIPPET(g_nops, "nop", "nop");
SNIPPET(g_stgi, "stgi", "nop");
SNIPPET(g_clgi, "clgi", "nop");

static void gif(const struct snippet *s, u64 vintr)
{
	base(s);
	own_idt();
	v->rflags = 0x202;
	v->vintr = V_GIF_EN | vintr;
}

static void virtual_gif(void)
{
	unsigned before;

	gif(&g_nops, V_INTERRUPT);
	vcheck("V_GIF 0", "the virtual interrupt waits", go(), EXIT_VMMCALL);
	vcheck("V_GIF 0", "RIP", v->rip, (u64)g_nops.next);
	vcheck("V_GIF 0", "V_IRQ and V_GIF saved", v->vintr & (V_IRQ | V_GIF), V_IRQ);
	gif(&g_nops, V_INTERRUPT | V_GIF);
	vcheck("V_GIF 1", "the virtual interrupt", go(), EXIT_VMMCALL);
	vcheck("V_GIF 1", "is taken", v->rip, stub_of(0x61));
	vcheck("V_GIF 1", "V_IRQ and V_GIF saved", v->vintr & (V_IRQ | V_GIF), V_GIF);
	gif(&g_stgi, V_INTERRUPT);
	vcheck("STGI by the guest", "no exit", go(), EXIT_VMMCALL);
	vcheck("STGI by the guest", "the virtual interrupt is taken", v->rip, stub_of(0x61));
	vcheck("STGI by the guest", "V_GIF", v->vintr & (V_IRQ | V_GIF), V_GIF);
	gif(&g_clgi, V_GIF);
	vcheck("CLGI by the guest", "no exit", go(), EXIT_VMMCALL);
	vcheck("CLGI by the guest", "V_GIF", v->vintr & V_GIF, 0);
	gif(&g_stgi, 0);
	on(STGI);
	vcheck("STGI, intercepted", "exits", go(), 0x84);
	vcheck("STGI, intercepted", "V_GIF", v->vintr & V_GIF, 0);
	before = irqs;
	gif(&g_nops, 0); /* the physical interrupt is the host's GIF's */
	on(INTR);
	self_ipi(0x40051);
	vcheck("V_GIF 0", "a physical interrupt", go(), 0x60);
	asm volatile("sti; nop; cli" ::: "memory");
	vcheck("V_GIF 0", "is the host's", irqs, before + 1);
}

/* ---- SPEC_CTRL ---- */

SNIPPET(s_spec, "mov $0x48, %ecx; rdmsr; mov %eax, seen; mov $2, %eax; wrmsr", "rdmsr; mov %eax, seen + 4");

static void spec_ctrl(void)
{
	wrmsr(0x48, 1);
	base(&s_spec);
	FIELD(SPEC_CTRL) = 0;
	seen[0] = ~0ull;
	vcheck("SPEC_CTRL", "runs", go(), EXIT_VMMCALL);
	vcheck("SPEC_CTRL", "the guest's, before and behind its write", seen[0], 2ull << 32);
	vcheck("SPEC_CTRL", "saved", FIELD(SPEC_CTRL), 2);
	vcheck("SPEC_CTRL", "the host's", rdmsr(0x48), 1);
	wrmsr(0x48, 0);
}

/* ---- AVIC: who is meant ---- */

SNIPPET(a_send, "mov $0xfee00000, %ebx; mov icr + 4, %eax; mov %eax, 0x310(%rbx); mov icr, %eax",
        "mov %eax, 0x300(%rbx)");
u64 icr;

static void avic(void)
{
	enum { FLAT = -1, CLUSTER = 0x0fffffff, IRR_61 = 0x230 };
	static const struct {
		const char *name;
		int dfr;
		u64 icr, id, index; /* EXITINFO2; id 9: no exit */
		u32 posted;         /* to the one that does not run, APIC 2 */
	} row[] = {
	        {"AVIC, flat, bit 1", FLAT, 2ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, flat, no such bit", FLAT, 8ull << 56 | 0x861, 2, 3, 0},
	        {"AVIC, cluster 1, member 1", CLUSTER, 0x12ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, cluster 1, member 0", CLUSTER, 0x11ull << 56 | 0x861, 9, 0, 0},
	        {"AVIC, cluster 1, members 0 and 1", CLUSTER, 0x13ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, a cluster of nobody", CLUSTER, 0x22ull << 56 | 0x861, 2, ~0ull, 0},
	        {"AVIC, physical, runs", FLAT, 0x61, 9, 0, 0},
	        {"AVIC, physical, does not run", FLAT, 2ull << 56 | 0x61, 1, 2, 2},
	        {"AVIC, physical, not valid", FLAT, 1ull << 56 | 0x61, 2, 1, 0},
	        {"AVIC, physical, beyond the table", FLAT, 0x10ull << 56 | 0x61, 2, 0x10, 0},
	        {"AVIC, a backing page that cannot be", FLAT, 3ull << 56 | 0x61, 3, 3, 0},
	        {"AVIC, broadcast", FLAT, 0xffull << 56 | 0x61, 1, 2, 2},
	        {"AVIC, level-triggered", FLAT, 0x8061, 0, ~0ull, 0},
	        {"AVIC, NMI", FLAT, 0x461, 0, ~0ull, 0},
	        {"AVIC, INIT", FLAT, 0x500, 0, ~0ull, 0},
	        {"AVIC, vector 15", FLAT, 0x0f, 4, ~0ull, 0},
	};
	u8 *own = page_alloc(), *other = page_alloc();
	u64 *physical = page_alloc();
	u32 *logical = page_alloc();

	physical[0] = 3ull << 62 | (u64)own;
	physical[2] = 1ull << 63 | (u64)other;
	logical[0] = logical[4] = 1u << 31 | 0;
	logical[1] = logical[5] = 1u << 31 | 2;
	for (unsigned n = 0; n < COUNT(row); n++) {
		bool exits = row[n].id != 9;

		memset(own, 0, 4096);
		memset(other, 0, 4096);
		*(u32 *)(own + 0xe0) = (u32)row[n].dfr;
		physical[3] = row[n].id == 3 ? 1ull << 63 | 0xffffffffff000ull : 0;
		base(&a_send);
		icr = row[n].icr;
		v->vintr = V_AVIC | V_MASKING;
		FIELD(0x98) = 0xfee00000;
		FIELD(0xe0) = (u64)own;
		FIELD(0xf0) = (u64)logical;
		FIELD(0xf8) = (u64)physical | 3;
		vcheck(row[n].name, "code", go(), exits ? 0x401 : EXIT_VMMCALL);
		vcheck(row[n].name, "posted", *(u32 *)(other + IRR_61), row[n].posted);
		if (!exits) {
			vcheck(row[n].name, "to itself", *(u32 *)(own + IRR_61), 2);
			continue;
		}
		vcheck(row[n].name, "the ICR", v->exitinfo1, row[n].icr);
		vcheck(row[n].name, "why", v->exitinfo2 >> 32, row[n].id);
		if (row[n].index != ~0ull)
			vcheck(row[n].name, "whom", v->exitinfo2 & 0xfff, row[n].index);
	}
}

/* ---- "SVM-Lock": VM_CR.LOCK and SVMDIS, SVM_KEY ---- */

enum { EFER = 0xc0000080, VM_CR = 0xc0010114, SVM_KEY = 0xc0010118, LOCK = 8, SVMDIS = 16 };

static int msr_fault(u32 index, u64 value)
{
	return CATCH(wrmsr(index, value));
}

static void svm_lock(void)
{
	static const u64 wrong[] = {0x1235, 0, 0x123400001234};
	u64 efer = rdmsr(EFER);
	u32 r[4];

	vcheck("SVMDIS", "while SVME is 1", (u64)msr_fault(VM_CR, SVMDIS), 13);
	wrmsr(EFER, efer & ~0x1000ull);
	vcheck("SVMDIS", "while SVME is 0", (u64)msr_fault(VM_CR, SVMDIS), ~0ull);
	vcheck("SVMDIS", "SVME is MBZ", (u64)msr_fault(EFER, efer), 13);
	cpuid(0x80000001, 0, r);
	vcheck("SVMDIS", "CPUID keeps SVM", r[2] >> 2 & 1, 1);
	wrmsr(SVM_KEY, 0x1234);
	wrmsr(VM_CR, LOCK | SVMDIS);
	vcheck("LOCK", "a write is ignored", (u64)msr_fault(VM_CR, 0), ~0ull);
	vcheck("LOCK", "both bits stay", rdmsr(VM_CR), LOCK | SVMDIS);
	for (unsigned n = 0; n < COUNT(wrong); n++) {
		wrmsr(SVM_KEY, wrong[n]);
		vcheck("SVM_KEY", "another key", rdmsr(VM_CR), LOCK | SVMDIS);
	}
	wrmsr(SVM_KEY, 0x1234);
	vcheck("SVM_KEY", "unlocks", rdmsr(VM_CR), SVMDIS);
	vcheck("SVM_KEY", "reads 0", rdmsr(SVM_KEY), 0);
	wrmsr(VM_CR, LOCK);
	wrmsr(EFER, efer);
	vcheck("SVMDIS", "while SVME is 1, locked", (u64)msr_fault(VM_CR, LOCK | SVMDIS), 13);
	wrmsr(SVM_KEY, 0x1234);
	wrmsr(VM_CR, 0);
	vcheck("SVM_KEY", "unlocked again", rdmsr(VM_CR), 0);
	wrmsr(SVM_KEY, 0);
}

void test_details(void)
{
	u32 has = features();

	aliases();
	if (of_2005)
		return;
	if (has >> 2 & 1)
		svm_lock();
	write_traps();
	if (has >> 16 & 1)
		virtual_gif();
	if (has >> 20 & 1)
		spec_ctrl();
	if (has >> 13 & 1)
		avic();
	check("virtual GIF, SPEC_CTRL, AVIC", has >> 13 & (1 << 3 | 1 << 7 | 1), 1 << 3 | 1 << 7 | 1);
}
