/*
 * What the processor keeps of VMCSs and writes to memory areas: checks of one VMCS do not count for another, VMCLEAR of
 * one that is not current, the page-modification log entry by entry, MSR areas that are too long; and PAUSE loops and
 * waits to the tick.
 */
#include "exits.h"

SNIPPET(m_nop, "", "nop");
SNIPPET(m_stores, "mov $0x18000000, %eax; movb $1, (%rax)", "movb $1, 0x1000(%rax)");

/* ---- "Software Use of Virtual-Machine Control Structures" ---- */

static u64 current(void)
{
	u64 p;

	asm volatile("vmptrst %0" : "=m"(p)::"cc");
	return p;
}

static void load(u64 p)
{
	asm volatile("vmptrld %0" ::"m"(p) : "cc", "memory");
}

static void clear(u64 p)
{
	asm volatile("vmclear %0" ::"m"(p) : "cc", "memory");
}

static void two_regions(void)
{
	u64 a, b;

	base(&m_nop);
	b = current();
	vmx_write(VMCS_HOST_CR0, 0); /* b is bad, and is not written again */
	base(&m_nop);
	a = current();
	check("VMCS a", go(), R_VMCALL);
	vmx_write(VMCS_GUEST_RIP, (u64)m_nop.entry);
	check("VMCS a again: everything is known to be good", again(), R_VMCALL);
	load(b);
	check("VMCS b: its own host state is looked at", vmx_run(false), VMX_FAIL_VALID);
	check("VMCS b: error 8", vmx_read(VMCS_ERROR), 8);
	vmx_write(VMCS_HOST_CR0, read_cr0());
	check("VMCS b put right", go(), R_VMCALL);
	load(a);
	/* field by field, so that each group of checks is asked for (vmx_run() writes RSP and RIP of the host) */
	static const struct {
		const char *name;
		u32 field;
		u64 value, outcome; /* an error number, or an exit reason */
	} bad[] = {
	        {"CR3-target count", VMCS_CR3_COUNT, 5, 7}, {"VM-entry controls", VMCS_ENTRY_CONTROLS, 0, 7},
	        {"injected type", VMCS_ENTRY_EVENT, 0x80000100, 7}, {"host CR3", VMCS_HOST_CR3, 1ull << 60, 8},
	        {"guest CR4", VMCS_GUEST_CR4, 1ull << 63, 33}, {"guest RFLAGS", VMCS_GUEST_RFLAGS, 0, 33},
	        {"guest GDTR limit", VMCS_GUEST_GDTR_LIMIT, 0x10000, 33}, {"guest TR", VMCS_GUEST_TR_AR, 0x89, 33},
	        {"guest activity", VMCS_GUEST_ACTIVITY, 4, 33}, {"guest interruptibility", VMCS_GUEST_INTERRUPTIBILITY, 3, 33},
	        {"link pointer", VMCS_LINK, 0x1001, 33},
	};
	for (unsigned n = 0; n < COUNT(bad); n++) {
		u64 one;
		int r;

		base(&m_nop);
		one = current();
		vmx_write(bad[n].field, bad[n].value);
		base(&m_nop);
		vcheck(bad[n].name, "another VMCS enters", go(), R_VMCALL);
		load(one);
		r = vmx_run(false);
		vcheck(bad[n].name, "refused", bad[n].outcome == 33 ? vmx_read(VMCS_EXIT_REASON) : vmx_read(VMCS_ERROR),
		       bad[n].outcome == 33 ? 0x80000021 : bad[n].outcome);
		vcheck(bad[n].name, "refused: how", (u64)r, bad[n].outcome == 33 ? VMX_OK : VMX_FAIL_VALID);
	}
	load(a);
	/* VMCLEAR of a launched VMCS that is not current */
	clear(b);
	check("VMCLEAR leaves the current VMCS", current(), a);
	load(b);
	vmx_write(VMCS_GUEST_RIP, (u64)m_nop.entry);
	check("VMRESUME after VMCLEAR", vmx_run(true), VMX_FAIL_VALID);
	check("VMRESUME after VMCLEAR: error 5", vmx_read(VMCS_ERROR), 5);
	check("VMLAUNCH after VMCLEAR", go(), R_VMCALL);
	/* VMXOFF and VMXON: the launch state is in the region */
	vmx_write(VMCS_GUEST_RIP, (u64)m_nop.entry);
	vmx_disable();
	vmx_enable();
	load(b);
	check(REQ("vmx04.2.10.6.now") "VMRESUME after VMXOFF and VMXON", again(), R_VMCALL);
}

/* ---- MSR areas: IA32_VMX_MISC[27:25] recommends at most 512 entries ---- */

static unsigned host_nmis;

static bool count_nmi(struct regs *r)
{
	(void)r;
	host_nmis++;
	return true;
}

static void long_area(void)
{
	u32 *area = page_alloc();

	page_alloc(), page_alloc(); /* three pages in a row */
	base(&m_nop);
	for (unsigned n = 0; n < 600; n++) {
		area[4 * n] = 0xc0000102;
		area[4 * n + 2] = 0x1000 + n;
	}
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)area);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 512);
	check("512 MSRs are loaded", go(), R_VMCALL);
	check("512 MSRs are loaded: the last", rdmsr(MSR_KERNEL_GS_BASE), 0x1000 + 511);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	base(&m_nop);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)area);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 513);
	check(REQ("vmx04.2.6.2.18.now") "513 MSRs", go(), R_BAD_MSR);
	check(REQ("vmx04.2.6.2.18.now") "513 MSRs: the one that is refused", vmx_read(VMCS_QUALIFICATION), 513);
	check("513 MSRs: those before it were loaded", rdmsr(MSR_KERNEL_GS_BASE), 0x1000 + 511);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	/* the guest would have been under NMI blocking: the host is not */
	base(&m_nop);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)area);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 513);
	on(VMCS_PIN, PIN_NMI);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	check("513 MSRs, a guest under NMI blocking", go(), R_BAD_MSR);
	on_exception(2, count_nmi);
	host_nmis = 0;
	mmio_write(0xfee00310, 0);
	mmio_write(0xfee00300, 0x40400);
	check("513 MSRs: the host takes NMIs", host_nmis, 1);
}

/* ---- what a guest leaves in registers ---- */

SNIPPET(m_int3, "", "int3");
SNIPPET(m_into_ud, "", "ud2");

/* "Saving RIP, RSP, RFLAGS, and SSP": the arithmetic flags are the guest's at every exit. */
static void saved_flags(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u32 exceptions;
		u64 reason;
	} rows[] = {{"INT3", &m_int3, 1 << 3, 0}, {"#UD", &m_into_ud, 1 << 6, 0}, {"VMCALL", &m_nop, 0, R_VMCALL}};
	static const u64 flags[] = {2, 0x8d7, 3, 0x402, 0x803, 0x97};

	for (unsigned n = 0; n < 3; n++)
		for (unsigned f = 0; f < 6; f++) {
			base(rows[n].s);
			vmx_write(VMCS_EXCEPTIONS, rows[n].exceptions);
			vmx_write(VMCS_GUEST_RFLAGS, flags[f]);
			vcheck(rows[n].name, "reason", go(), rows[n].reason);
			vcheck(rows[n].name, "flags", vmx_read(VMCS_GUEST_RFLAGS) & ~0x10000ull, flags[f]);
		}
}

/* SYSCALL takes SS from IA32_STAR as it is, so that its RPL may be another than that of CS: entry then fails, although
 * nobody has written a field. "Checks on Guest Segment Registers" */
asm(".pushsection .text\nm_syscall: syscall\nm_target: vmcall\n.popsection");
extern char m_syscall[], m_target[];

static void star_rpl(void)
{
	static const struct snippet entry = {m_syscall, m_syscall, m_target};
	static const struct {
		u64 selector;
		u64 outcome;
	} rows[] = {{0x08, R_VMCALL}, {0x0b, 0x80000021}, {0x09, 0x80000021}};

	for (unsigned n = 0; n < 3; n++) {
		base(&entry);
		wrmsr(MSR_STAR, rows[n].selector << 32);
		wrmsr(MSR_LSTAR, (u64)m_target);
		wrmsr(MSR_SFMASK, 0);
		vmx_write(VMCS_GUEST_EFER, vmx_read(VMCS_GUEST_EFER) | 1);
		check("SYSCALL", go(), R_VMCALL);
		check("SYSCALL: CS", vmx_read(VMCS_GUEST_CS), 8);
		check("SYSCALL: SS", vmx_read(VMCS_GUEST_SS), rows[n].selector + 8);
		vmx_write(VMCS_GUEST_RIP, (u64)m_target);
		check("entry behind it", again(), rows[n].outcome);
	}
}

/* "Loading Guest Control Registers, Debug Registers, and MSRs": without "load IA32_EFER" LMA is what the control says, and
 * LME with it only if the guest pages. */
static void unpaged_efer(void)
{
	static u8 code[] = {0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32, 0xa3, 0, 0, 0, 0, 0x0f, 0x01, 0xc1}; /* EFER to seen[0] */
	static const struct snippet entry = {(char *)code, (char *)code, (char *)code};

	for (unsigned n = 0; n < 2; n++) {
		*(u32 *)(code + 8) = (u32)(u64)seen;
		base(&entry);
		on(VMCS_PROC, P_MSR_MAP);
		vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
		on(VMCS_PROC2, S_UNRESTRICTED);
		off(VMCS_GUEST_CR0, 1ull << 31);
		off(VMCS_ENTRY_CONTROLS, E_LONG | (n ? 0 : E_EFER));
		if (n) {
			on(VMCS_ENTRY_CONTROLS, E_EFER);
			vmx_write(VMCS_GUEST_EFER, rdmsr(MSR_EFER) & ~0x500ull);
		}
		vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
		vmx_write(VMCS_GUEST_CR3, 0);
		check("an unpaged guest", go(), R_VMCALL);
		check("an unpaged guest: LMA and LME", (u32)seen[0] & 0x500, n ? 0 : 0x100);
	}
}

/* Without VPIDs entry and exit leave no translation behind. */
SNIPPET(m_look, "mov $0x16000000, %eax", "mov (%rax), %rbx; mov %rbx, seen");

static void no_vpid(void)
{
	u64 *table = page_alloc(), *pd = &pds[0][0x16000000 >> 21], keep = *pd;

	*(u64 *)0x14000000 = 0xaaaa;
	*(u64 *)0x14001000 = 0xbbbb;
	base(&m_look);
	for (unsigned n = 0; n < 512; n++)
		table[n] = (0x16000000 + n * 4096) | 3;
	table[0] = 0x14000000 | 3;
	*pd = (u64)table | 3;
	check("no VPID", go(), R_VMCALL);
	check("no VPID: the first page", seen[0], 0xaaaa);
	table[0] = 0x14001000 | 3;
	vmx_write(VMCS_GUEST_RIP, (u64)m_look.entry);
	check("no VPID, again", again(), R_VMCALL);
	check("no VPID, again: what the tables say now", seen[0], 0xbbbb);
	*pd = keep;
	write_cr3(read_cr3());
}

/* ---- "Page-Modification Logging" ---- */

static u64 *log_page;

static void logging(u64 index)
{
	base(&m_stores);
	vmx_write(VMCS_EPTP, vmx_read(VMCS_EPTP) | 0x40);
	on(VMCS_PROC2, S_PML);
	for (unsigned n = 0; n < 512; n++)
		log_page[n] = 0xeeee;
	vmx_write(VMCS_PML, (u64)log_page);
	vmx_write(VMCS_PML_INDEX, index);
	*vmx_ept_entry(0x18000000) &= ~0x300ull;
}

/* The entries that the guest's stores have left; the rest is the tables' pages, which are logged as well. */
static unsigned count_of(u64 page)
{
	unsigned n = 0;

	for (unsigned k = 0; k < 512; k++)
		n += log_page[k] == page;
	return n;
}

static void modification_log(void)
{
	u64 left;
	unsigned written = 0;

	log_page = page_alloc();
	logging(511);
	check("PML", go(), R_VMCALL);
	left = vmx_read(VMCS_PML_INDEX);
	for (unsigned k = 0; k < 512; k++)
		written += log_page[k] != 0xeeee;
	check("PML: so many are written as the index has moved", written, 511 - left);
	check("PML: from the top down", log_page[511] != 0xeeee && log_page[left] == 0xeeee, 1);
	check("PML: the page of 2 MiB is logged by its 4-KByte page", count_of(0x18000000), 1);
	check("PML: once", count_of(0x18001000), 0);
	for (unsigned k = 0; k < 512; k++)
		check("PML: bits 11:0 are 0", log_page[k] == 0xeeee || !(log_page[k] & 0xfff), 1);
	logging(200);
	check("PML from 200", go(), R_VMCALL);
	check("PML from 200: entry 200", log_page[200] != 0xeeee, 1);
	check("PML from 200: entry 201", log_page[201], 0xeeee);
	logging(0);
	check("PML from 0: the second page does not fit", go(), R_PML);
	check("PML from 0: entry 0", log_page[0] != 0xeeee, 1);
	check("PML from 0: the index has gone round", vmx_read(VMCS_PML_INDEX), 0xffff);
	logging(512);
	check("PML from 512: full at once", go(), R_PML);
	check("PML from 512: the index stays", vmx_read(VMCS_PML_INDEX), 512);
	check("PML from 512: no instruction length", vmx_read(VMCS_EXIT_LENGTH), 0);
}

/* ---- "PAUSE-Loop Exiting": a gap of so many ticks is no new loop, a loop of more than so many exits ---- */

/* RDTSC before every PAUSE, into seen[0..]; ten of them. */
SNIPPET(m_pauses, "xor %ebx, %ebx",
        "1: rdtsc; mov %eax, seen(,%rbx,8); movl $0, seen+4(,%rbx,8); pause; inc %ebx; cmp $10, %ebx; jb 1b");
SNIPPET(m_one_pause, "", "pause");

static void pause_base(u64 gap, u64 window)
{
	base(&m_pauses);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, gap);
	vmx_write(VMCS_PLE_WINDOW, window);
	memset(seen, 0, sizeof(seen));
}

static unsigned pauses_seen(void)
{
	unsigned n = 0;

	while (n < 10 && seen[n])
		n++;
	return n;
}

static void pause_loops(void)
{
	u64 step;

	pause_base(0, ~0u);
	check("ten PAUSEs", go(), R_VMCALL);
	step = seen[5] - seen[4];
	check("they are evenly spaced", step > 0 && seen[9] - seen[8] == step, 1);
	pause_base(step, 3 * step);
	check("a loop longer than the window", go(), R_PAUSE);
	check("the first that is more than three steps behind", pauses_seen(), 5);
	pause_base(step, 3 * step - 1);
	check("a tick less", go(), R_PAUSE);
	check("three steps are more", pauses_seen(), 4);
	pause_base(step - 1, 0);
	check("gaps of a tick too many: each is the first of its loop", go(), R_VMCALL);
	/* a loop does not go on through an exit */
	base(&m_one_pause);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, ~0u);
	vmx_write(VMCS_PLE_WINDOW, 0);
	check("one PAUSE", go(), R_VMCALL);
	vmx_write(VMCS_GUEST_RIP, (u64)m_one_pause.entry);
	check("one PAUSE after the next entry", again(), R_VMCALL);
}

/* TPAUSE: "TSC scaling" counts only with "use TSC offsetting". */
SNIPPET(m_wait,
        "rdtsc; shl $32, %rdx; or %rdx, %rax; add $4000000, %rax; mov %rax, %rdx; shr $32, %rdx; xor %ecx, %ecx",
        "tpause %ecx");

static void waits(void)
{
	static const struct {
		u32 proc;
		u64 least, most;
	} rows[] = {{0, 4000000, 4500000}, {P_TSC_OFFSET, 2000000, 2500000}};

	for (unsigned n = 0; n < 2; n++) {
		u64 before, took;

		base(&m_wait);
		on(VMCS_PROC, rows[n].proc);
		on(VMCS_PROC2, S_TSC_SCALING | S_UMWAIT);
		vmx_write(VMCS_TSC_MULTIPLIER, 2ull << 48);
		vmx_write(VMCS_TSC_OFFSET, 0);
		before = rdtsc();
		check("TPAUSE", go(), R_VMCALL);
		took = rdtsc() - before;
		check("TPAUSE: as long as the guest's counter says", took >= rows[n].least && took < rows[n].most, 1);
	}
}

void test_memory_areas(void)
{
	two_regions();
	long_area();
	saved_flags();
	star_rpl();
	unpaged_efer();
	no_vpid();
	modification_log();
	pause_loops();
	waits();
}
