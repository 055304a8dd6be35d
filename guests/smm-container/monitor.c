/*
 * A monitor that does not trust the platform's SMM handler, and runs it in a container: 33047 "Containerizing Platform SMM".
 * SMIs of the monitor itself come to its own handler, a trampoline that the SMM_BASE MSR leads to; SMIs of its guest are
 * intercepted, and SMM_CTL enters SMM for as long as the container runs. docs/tutorial-smm-container.md goes through it.
 */
#include "container.h"

#include "processors.h"

enum { APIC = 0xfee00000, INIT_IPI = 0x4500 };
enum { G_SMRAME = 1 << 3, D_OPEN = 1 << 6 };               /* SMRAM, 00:00.0 register 9Dh */
enum { GBL_SMI_EN = 1, APMC_EN = 1 << 5 };                 /* SMI_EN */
enum { DISMISS = 1, ENTER = 2, SMI_CYCLE = 4, EXIT = 8, RSM_CYCLE = 16 }; /* SMM_CTL */
enum { SMMLOCK = 1, SECRET = 0x5ec4e7 };

u32 monitor_cr3;
static u8 area[PROCESSORS][0x10000] __attribute__((aligned(0x10000))); /* each processor's SMBASE, once the monitor is there */
static volatile unsigned online, busy;
static unsigned processors;
static volatile u32 secret[1024] __attribute__((aligned(4096)));
static volatile bool take_over[PROCESSORS];

/* ---- the machine ---- */

static u32 config(u32 function, u32 reg)
{
	outl(0xcf8, 0x80000000 | function << 8 | reg);
	return inl(0xcfc);
}

u16 smi_port(void)
{
	static u16 port;

	if (!port)
		port = (u16)((config(0x1f << 3, 0x40) & 0xff80) + 0x30);
	return port;
}

static void smram(u8 bits)
{
	config(0, 0x9c);
	outb(0xcfd, bits);
}

static void pause(unsigned n)
{
	while (n--)
		asm volatile("pause" ::: "memory");
}

static void lock(void)
{
	unsigned was;

	do {
		was = 1;
		asm volatile("xchg %0, %1" : "+r"(was), "+m"(busy)::"memory");
		if (was)
			pause(1);
	} while (was);
}

static void unlock(void)
{
	asm volatile("" ::: "memory");
	busy = 0;
}

/* ---- the platform: what firmware has done before the monitor comes ---- */

/* The other processors: SVM on, SMBASE as the platform wants it; then they wait, and take SMIs. */
static void other_main(void)
{
	const unsigned cpu = online;

	svm_enable();
	wrmsr(MSR_SMM_BASE, PLATFORM_SMRAM + cpu * PLATFORM_STEP);
	online = cpu + 1;
	for (;;) {
		pause(1);
		if (!take_over[cpu])
			continue;
		wrmsr(MSR_SMM_BASE, (u64)area[cpu]);
		take_over[cpu] = false;
	}
}

static void ipi(u32 id, u32 icr)
{
	mmio_write(APIC + 0x310, id << 24);
	mmio_write(APIC + 0x300, icr);
	pause(1000);
}

static void start_processors(void)
{
	online = 1;
	for (u32 id = 1; id < PROCESSORS; id++) {
		ap_prepare(other_main, (u64)page_alloc() + 4096);
		ipi(id, INIT_IPI);
		ipi(id, 0x4000 | STARTUP_IPI);
		for (unsigned n = 0; n < 1000 && online == id; n++)
			pause(10);
		if (online == id)
			break;
	}
	processors = online;
}

static void platform(bool locked)
{
	const u32 size = (u32)(platform_handler_end - platform_handler);

	start_processors();
	smram(G_SMRAME | D_OPEN);
	for (unsigned n = 0; n < processors; n++)
		memcpy((u8 *)PLATFORM_SMRAM + n * PLATFORM_STEP + SMM_CODE, platform_handler, size);
	*(volatile u16 *)PLATFORM_PORT = (u16)(smi_port() + 4);
	*(volatile u32 *)PLATFORM_COUNT = 0;
	smram(G_SMRAME);
	wrmsr(MSR_SMM_BASE, PLATFORM_SMRAM);
	outl(smi_port(), GBL_SMI_EN | APMC_EN | SMI_EOS);
	if (locked)
		wrmsr(MSR_HWCR, rdmsr(MSR_HWCR) | SMMLOCK);
	print("platform: %u processors, a handler of %u bytes in SMRAM, SMI_EN at port 0x%x\n", processors, size, smi_port());
}

/* A command to the platform's handler, wherever it runs by now. What it has read from `secret` is in RBX. */
static u32 command(u8 number, u32 *read)
{
	u64 rax = number, rbx = 0;

	secret[0] = SECRET;
	asm volatile("outb %%al, $0xb2; nop" : "+a"(rax), "+b"(rbx) : "c"((u64)PLATFORM_CALL), "S"(secret) : "memory");
	*read = (u32)rbx;
	return (u32)rax;
}

/* ---- SMIs of the monitor: its own handler, in SMM and in 64-bit mode ---- */

void monitor_smm(u64 smbase)
{
	const unsigned cpu = (unsigned)((smbase - (u64)area) / sizeof(area[0]));
	u8 *at = (u8 *)smbase;
	struct call call = {*(u64 *)(at + SAVED_RAX), *(u64 *)(at + SAVED_RBX), *(u64 *)(at + SAVED_RCX), *(u64 *)(at + SAVED_RSI)};

	lock();
	print("trampoline %u: an SMI at SMBASE 0x%lx\n", cpu, (unsigned long)smbase);
	container_run(cpu, &call);
	unlock();
	*(u64 *)(at + SAVED_RAX) = call.rax;
	*(u64 *)(at + SAVED_RBX) = call.rbx;
	asm volatile("stgi"); /* as it was before VMRUN; SMIs are blocked until RSM */
}

static void take_over_all(void)
{
	monitor_cr3 = (u32)read_cr3();
	for (unsigned n = 0; n < processors; n++) {
		memcpy(area[n] + SMM_CODE, trampoline, (size_t)(trampoline_end - trampoline));
		container_prepare(n);
		take_over[n] = n != 0;
		while (take_over[n])
			pause(1);
	}
	wrmsr(MSR_SMM_BASE, (u64)area[0]);
}

/* ---- SMIs of a guest: intercepted ---- */

asm(".pushsection .text\n.globl os\nos: outb %al, $0xb2\nos_next: nop\nvmmcall\n.popsection");
void os(void);
extern u8 os_next[];

static bool sees_smram(void)
{
	return !memcmp((u8 *)PLATFORM_SMRAM + SMM_CODE, platform_handler, 16);
}

/* GIF is 0 since #VMEXIT, so the SMI still waits: SMM_CTL dismisses it and enters SMM. */
static void contain_smi(struct vmcb *v, struct registers *r)
{
	struct call call = {v->rax, r->rbx, r->rcx, r->rsi};

	check(REQ("svm.2.9.3.6") "EXITINFO2 is the OUT", v->exitinfo2, os);
	check(REQ("svm.2.9.3.7 svm.2.9.3.14 svm.2.9.3.17 svm.2.9.3.18") "EXITINFO1 describes it", v->exitinfo1,
	      (u64)APM_COMMAND << 48 | 1ull << 41 | 1ull << 36 | 1ull << 33 | 1);
	check("the guest is behind it", v->rip, os_next);
	check("no SMRAM before", sees_smram(), false);
	wrmsr(MSR_SMM_CTL, ENTER | SMI_CYCLE | DISMISS);
	check(REQ("svm.2.18.3.8 svm.E.3.2") "SMM_CTL: SMRAM is there", sees_smram(), true);
	lock();
	print("monitor: #VMEXIT(SMI); SMM_CTL: ENTER, SMI_CYCLE, DISMISS\n");
	container_run(0, &call);
	print("monitor: SMM_CTL: RSM_CYCLE, EXIT\n");
	unlock();
	wrmsr(MSR_SMM_CTL, RSM_CYCLE | EXIT);
	check(REQ("svm.E.3.6") "SMM_CTL: and is gone", sees_smram(), false);
	v->rax = call.rax;
	r->rbx = call.rbx;
}

static void run_os(void)
{
	struct vmcb *v = svm_guest(os, (u64)page_alloc() + 4096, true);
	struct registers r = {.rcx = PLATFORM_CALL, .rsi = (u64)secret};
	unsigned smis = 0;

	v->intercept1 |= SVM_BIT(EXIT_SMI);
	v->rax = 0x43;
	secret[0] = SECRET;
	asm volatile("clgi" ::: "memory");
	for (container_enter((u64)v, &r); v->exitcode == EXIT_SMI && smis < 4; container_enter((u64)v, &r), smis++)
		contain_smi(v, &r);
	asm volatile("stgi; nop; nop" ::: "memory");
	check(REQ("svm.2.18.3.9") "dismissed: one SMI, and the guest's end", smis << 8 | v->exitcode, 1 << 8 | EXIT_VMMCALL);
	check("the guest has its answer", v->rax, PLATFORM_ANSWER | 0x43);
	check(REQ("svm.2.18.3.1") "its memory was not read", r.rbx, 0xffffffff);
	check("and not written", secret[0], SECRET);
}

/* ---- the story ---- */

static bool asked(const char *word)
{
	extern u32 boot_info;
	const char *s = (const char *)*(u64 *)(u64)(boot_info + 24); /* hvm_start_info.cmdline_paddr */

	return s && !memcmp(s, word, 4);
}

static void refused_by_firmware(void)
{
	print("monitor: firmware has locked SMM: there is no container here\n");
	check(REQ("svm.2.18.3.4") "SMM_BASE is read-only", CATCH(wrmsr(MSR_SMM_BASE, (u64)area[0])), 13);
	check(REQ("svm.2.18.3.10 svm.E.3.11") "SMM_CTL", CATCH(wrmsr(MSR_SMM_CTL, ENTER)), 13);
}

int main(void)
{
	u32 read;

	if (!svm_enable()) {
		print("monitor: this processor has no SVM\n");
		return 0;
	}
	platform(asked("lock"));
	if (rdmsr(MSR_HWCR) & SMMLOCK) {
		refused_by_firmware();
		return guest_verdict();
	}
	check("the platform answers", command(0x41, &read), PLATFORM_ANSWER | 0x41);
	check("nothing stopped its handler from reading", read, SECRET);
	check("and writing", secret[0], PLATFORM_WRITES);
	pause(20000);
	check(REQ("svm.2.18.3.3") "SMMLOCK", rdmsr(MSR_HWCR) & SMMLOCK, 0);
	take_over_all();
	check(REQ("svm.2.18.3.2") "SMM_BASE", rdmsr(MSR_SMM_BASE), area[0]);
	print("monitor: %u processors come to the trampoline\n", processors);
	check("the platform answers as before", command(0x42, &read), PLATFORM_ANSWER | 0x42);
	check(REQ("svm.2.18.3.1 svm.2.18.3.5") "its handler read nothing of ours", read, 0xffffffff);
	check("and wrote nothing", secret[0], SECRET);
	run_os();
	while (contained < 2 * processors)
		pause(1);
	pause(1000);
	check(REQ("svm.2.18.3.6 svm.2.18.1.2") "refused: memory, CF8h, SMM_ADDR, I/O traps, twice", refused, 2 * 4);
	check("passed on: SMI_STS, SMI_EN twice, APM status", passed_on, 2 * processors * 3 + 2);
	print("monitor: %u SMIs contained, %u accesses passed on, %u refused\n", contained, passed_on, refused);
	return guest_verdict();
}
