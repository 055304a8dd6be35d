/* Bus locks: which locked instructions take one, the VMM's exit for them and the bit in other exits, the guest's own #DB. */
#include "exits.h"

#define ASSERTED (1u << 26) /* in the exit reason */
#define DETECT   4          /* in IA32_DEBUGCTL */
#define BLD      (1u << 11)

static u8 *at __attribute__((used)); /* a cache line begins here; the program's memory is 60 bytes behind */

#define FIRST "mov at, %rbx; mov $1, %eax; mov $1, %edx; xor %ecx, %ecx; "
SNIPPET(b_add, FIRST, "lock addq $1, 60(%rbx)");
SNIPPET(b_inc, FIRST, "lock incl 62(%rbx)");
SNIPPET(b_xchg, FIRST, "xchg %eax, 61(%rbx)");
SNIPPET(b_xchg2, FIRST, "xchg %eax, 60(%rbx)");
SNIPPET(b_xadd, FIRST, "lock xadd %rax, 60(%rbx)");
SNIPPET(b_cmpxchg, FIRST, "lock cmpxchg %ecx, 61(%rbx)");
SNIPPET(b_cmpxchg8b, FIRST, "lock cmpxchg8b 60(%rbx)");
SNIPPET(b_bts, FIRST "mov $448, %eax", "lock bts %rax, 4(%rbx)");
SNIPPET(b_bts2, FIRST "mov $384, %eax", "lock bts %rax, 4(%rbx)");
SNIPPET(b_neg16, FIRST, "lock negw 63(%rbx)");
SNIPPET(b_last, FIRST, "lock addl $1, 60(%rbx)");
SNIPPET(b_byte, FIRST, "lock addb $1, 63(%rbx)");
SNIPPET(b_plain, FIRST, "addq $1, 60(%rbx)");
SNIPPET(b_load, FIRST, "mov 60(%rbx), %rax");
SNIPPET(b_whole, FIRST, "lock addq $1, (%rbx)");
SNIPPET(b_fault, "mov $0x8000000000, %rbx", "lock addq $1, 60(%rbx)");
SNIPPET(b_step, FIRST "pushf; orl $0x100, (%rsp); popf", "lock addq $1, 60(%rbx)");
SNIPPET(b_still, "", "lock addq $1, bus_line+60");
SNIPPET(b_nop, "", "nop");

static u8 bus_line[128] __attribute__((aligned(64), used));

static void prepare(const struct snippet *s)
{
	base(s);
	memset(at, 0, 128);
	on(VMCS_PROC2, S_BUS_LOCK);
}

static void locks(const char *name, const struct snippet *s)
{
	prepare(s);
	vcheck(name, REQ("vmx04.2.8.1.21.now") "bus lock", go(), R_BUS_LOCK | ASSERTED);
	vcheck(name, "no instruction length: none has caused it", vmx_read(VMCS_EXIT_LENGTH), 0);
	vcheck(name, "behind the instruction", vmx_read(VMCS_GUEST_RIP), (u64)s->next);
	vcheck(name, "goes on", again(), R_VMCALL);
	prepare(s);
	off(VMCS_PROC2, S_BUS_LOCK);
	stays(name, s);
}

static void no_lock(const char *name, const struct snippet *s)
{
	prepare(s);
	stays(name, s);
}

static void test_which(void)
{
	locks("LOCK ADD, split", &b_add);
	check("LOCK ADD, split: done", *(u64 *)(at + 60), 1);
	locks("LOCK INC, split", &b_inc);
	locks("XCHG without LOCK, split", &b_xchg);
	locks("LOCK XADD, split", &b_xadd);
	locks("LOCK CMPXCHG, split", &b_cmpxchg);
	locks("LOCK CMPXCHG8B, split", &b_cmpxchg8b);
	locks("LOCK BTS, split behind a bit offset", &b_bts);
	locks("LOCK NEG of a word, split", &b_neg16);
	no_lock("LOCK BTS, not split behind a bit offset", &b_bts2);
	no_lock("XCHG, not split", &b_xchg2);
	no_lock("LOCK ADD, the end of a line", &b_last);
	no_lock("LOCK ADD of a byte", &b_byte);
	no_lock("ADD, split", &b_plain);
	no_lock("MOV, split", &b_load);
	prepare(&b_fault);
	on(VMCS_EXCEPTIONS, 1 << 14);
	check("LOCK ADD that faults: no bus lock", go(), R_EXCEPTION);
}

/* Memory that is not write-back: any locked access. Page attributes PCD and PWT select UC in the PAT as it is at RESET. */
static void test_types(void)
{
	u64 *pde = &pds[0][(u64)at >> 21 & 511], kept = *pde, *ept;

	no_lock("write-back", &b_whole);
	*pde |= 0x18;
	invlpg(at);
	locks("uncacheable by the PAT", &b_whole);
	prepare(&b_whole);
	ept = vmx_ept_entry((u64)at);
	*ept |= 1 << 6 | 6 << 3;
	stays("uncacheable by the PAT, which EPT ignores", &b_whole);
	*pde = kept;
	invlpg(at);
	prepare(&b_whole);
	ept = vmx_ept_entry((u64)at);
	*ept &= ~(7ull << 3);
	check("uncacheable by EPT", go(), R_BUS_LOCK | ASSERTED);
	prepare(&b_whole);
	on(VMCS_GUEST_CR0, 1 << 30);
	write_cr0(read_cr0() | 1 << 30); /* CD: entry and exit leave it alone */
	check("caches off", go(), R_BUS_LOCK | ASSERTED);
	write_cr0(read_cr0() & ~(1ull << 30));
}

/* What is pending behind the same instruction: the exit comes first, and saves it or drops it. */
static void test_beside(void)
{
	prepare(&b_step);
	check("single step: the bus lock first", go(), R_BUS_LOCK | ASSERTED);
	check("single step: BS is pending", vmx_read(VMCS_PENDING_DEBUG), 1 << 14);
	prepare(&b_still);
	on(VMCS_PROC, P_MTF);
	check("monitor trap flag: the bus lock instead", go(), R_BUS_LOCK | ASSERTED);
	prepare(&b_nop);
	on(VMCS_PROC, P_MTF);
	check("monitor trap flag: without a bus lock", go(), R_MTF);
}

static void user_guest(const struct snippet *s)
{
	base(s);
	memset(at, 0, 128);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DEBUGCTL, DETECT);
}

/* "OS Bus-Lock Detection" in a guest. */
static void test_guest(void)
{
	user_guest(&b_add);
	check("#DB for a bus lock: exits", go(), R_EXCEPTION);
	check("#DB for a bus lock: the event", vmx_read(VMCS_EXIT_EVENT), 0x80000301);
	check("#DB for a bus lock: qualification", vmx_read(VMCS_QUALIFICATION), BLD);
	check("#DB for a bus lock: behind the instruction", vmx_read(VMCS_GUEST_RIP), (u64)b_add.next);
	user_guest(&b_add);
	vmx_write(VMCS_GUEST_DEBUGCTL, 0);
	stays("#DB for a bus lock, not asked for", &b_add);
	user_guest(&b_add);
	on(VMCS_PROC2, S_BUS_LOCK);
	check("both detectors: the exit first", go(), R_BUS_LOCK | ASSERTED);
	check("both detectors: the #DB is pending", vmx_read(VMCS_PENDING_DEBUG), BLD);
	check("both detectors: then the #DB", again(), R_EXCEPTION);
	check("both detectors: its qualification", vmx_read(VMCS_QUALIFICATION), BLD);
	user_guest(&b_add);
	on(VMCS_PROC2, S_BUS_LOCK);
	vmx_write(VMCS_GUEST_DEBUGCTL, 0);
	check("the VMM's alone, at CPL 3: exits", go(), R_BUS_LOCK | ASSERTED);
	check("the VMM's alone, at CPL 3: nothing is pending", vmx_read(VMCS_PENDING_DEBUG), 0);
	prepare(&b_add);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DEBUGCTL, DETECT);
	check("both detectors, at CPL 0: exits", go(), R_BUS_LOCK | ASSERTED);
	check("both detectors, at CPL 0: nothing is pending", vmx_read(VMCS_PENDING_DEBUG), 0);
	base(&b_add);
	memset(at, 0, 128);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DEBUGCTL, DETECT);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	stays("#DB for a bus lock, at CPL 0", &b_add);
	base(&b_nop);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	vmx_write(VMCS_PENDING_DEBUG, BLD);
	check("pending from entry: exits", go(), R_EXCEPTION);
	check("pending from entry: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)b_nop.entry);
	check("pending from entry: qualification", vmx_read(VMCS_QUALIFICATION), BLD);
	/* "Delivery of Pending Debug Exceptions after VM Entry": behind an injected INT n, under MOV-SS blocking */
	base(&b_nop);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	vmx_write(VMCS_PENDING_DEBUG, BLD);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000440);
	vmx_write(VMCS_ENTRY_LENGTH, 2);
	check("pending behind an injected INT n: exits", go(), R_EXCEPTION);
	check("pending behind an injected INT n: #DB", vmx_read(VMCS_EXIT_EVENT), 0x80000301);
	check("pending behind an injected INT n: qualification", vmx_read(VMCS_QUALIFICATION), BLD);
}

void test_bus_lock(void)
{
	at = page_alloc();
	test_which();
	test_types();
	test_beside();
	test_guest();
}
