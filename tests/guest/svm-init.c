/*
 * INIT on a whole machine of AMD's: table 2-5 of 33047 by every way there is to assert it (keyboard controller, port
 * 92h, reset control register, local APIC), in a host and in a guest; #SX with its monitor, and who may end a shutdown
 * with GIF = 0. Run with --on-triple-fault=reset.
 */
#include "comeback.h"
#include "svm.h"

enum { VM_CR = 0xc0010114, HSAVE = 0xc0010117, EFER = 0xc0000080, R_INIT = 2, SX = 30 };
enum { LIFE = 0x60, FAILED = 0x61, SECOND = 0x5e }; /* bytes of the CMOS: what outlives a RESET */

static const struct {
	const char *name;
	void (*way)(void);
} ways[] = {
        {"keyboard controller", by_keyboard},
        {"port 92h", by_port_92},
        {"CF9h without SYS_RST", by_reset_control},
        {"local APIC", by_init_message},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static u32 *kept; /* a page behind the image that nothing has written since */
#define KEPT 0x5ec2e7ed
static void expect(const char *name, const char *what, u64 got, u64 want)
{
	failed += got != want;
	vcheck(name, what, got, want);
}

/* ---- #SX ---- */

static unsigned redirected;
static u64 sx_error;
static bool stop_redirecting;

static bool on_sx(struct regs *r)
{
	redirected++;
	sx_error = r->error;
	if (stop_redirecting)
		wrmsr(VM_CR, 0);
	return true;
}

static void expect_sx(const char *name, unsigned want)
{
	expect(name, REQ("svm.3.3.1 svm.3.3.6") "#SX, and the INIT is gone", redirected, want);
	if (want)
		expect(name, REQ("svm.3.3.4") "error code", sx_error, 1);
	redirected = 0;
}

/* ---- the northbridge's DEV, where there is one ---- */

enum { DEV_ENABLE = 1 };
static bool has_dev;

static void enable_dev(void)
{
	has_dev = dev_cr_set(DEV_ENABLE);
	if (has_dev)
		expect("DEV", "enabled", dev_cr() & DEV_ENABLE, 1);
}

/* ---- the host ---- */

static void in_host(void)
{
	for (unsigned n = 0; n < WAYS; n++) {
		wrmsr(VM_CR, R_INIT);
		enable_dev();
		ways[n].way();
		expect_sx(ways[n].name, 1);
		if (has_dev)
			expect(ways[n].name, REQ("svm.A.2.2") "DEV is as it was", dev_cr() & DEV_ENABLE, 1);
		asm volatile("clgi" ::: "memory");
		ways[n].way();
		expect(ways[n].name, REQ("svm.2.17.8.11") "held while GIF is 0", redirected, 0);
		asm volatile("stgi; nop" ::: "memory");
		expect_sx(ways[n].name, 1);
		wrmsr(VM_CR, 0);
	}
	proves("svm.2.17.8.8 svm.2.17.8.10 svm.2.17.8.14");
}

/* Not redirected: reset state, and what INIT keeps; EFER.SVME has to be set again. */
static void expect_taken(const char *name)
{
	expect(name, REQ("svm.2.17.8.6") "by the reset vector, in real mode", arrival.mode, 16);
	expect(name, REQ("svm.A.2.4") "EFER.SVME", rdmsr(EFER) >> 12 & 1, 0);
	expect(name, REQ("svm.A.2.8") "VM_CR", rdmsr(VM_CR), 0);
	expect(name, REQ("svm.2.17.8.3") "VM_HSAVE_PA is kept", rdmsr(HSAVE) != 0, true);
	if (has_dev)
		expect(name, REQ("svm.A.2.13") "DEV disabled", dev_cr() & DEV_ENABLE, 0);
	expect(name, REQ("svm.2.17.8.7") "memory is not cleared", *(volatile u32 *)kept, KEPT);
	wrmsr(EFER, rdmsr(EFER) | 1 << 12);
}

static void (*way)(void);
static volatile u64 seen; /* behind what came before the INIT was taken */

static void from_gif0(void)
{
	asm volatile("clgi" ::: "memory");
	way();
	seen = 1;
	asm volatile("stgi; nop" ::: "memory");
	seen = 2;
}

static void out_of_host(void)
{
	for (unsigned n = 0; n < WAYS; n++) {
		come_back_by(0x0a, COMEBACK >> 4 << 16);
		enable_dev();
		leave_by(ways[n].way);
		expect_taken(ways[n].name);
		way = ways[n].way;
		come_back_by(0x0a, COMEBACK >> 4 << 16);
		leave_by(from_gif0);
		expect(ways[n].name, REQ("svm.2.17.8.11 svm.A.2.5") "held until STGI", seen, 1);
		expect_taken(ways[n].name);
	}
	proves("svm.2.17.8.10 svm.2.17.8.13");
}

/* The monitor has had its #SX and asks for the INIT again: now it is taken. */
static void ask_again(void)
{
	stop_redirecting = true;
	way();
	seen = redirected;
	way();
}

static void again(void)
{
	for (unsigned n = 0; n < WAYS; n++) {
		wrmsr(VM_CR, R_INIT);
		way = ways[n].way;
		come_back_by(0x0a, COMEBACK >> 4 << 16);
		leave_by(ask_again);
		expect(ways[n].name, "#SX first", seen, 1);
		expect_sx(ways[n].name, 1);
		expect_taken(ways[n].name);
	}
	stop_redirecting = false;
	proves("svm.2.17.8.9");
}

/* ---- the guest ---- */

static u8 guest_stack[4096] __attribute__((aligned(16)));
static struct vmcb *v;

static void guest_asks(void)
{
	way();
	asm volatile("nop; vmmcall");
}

static void vmrun(void)
{
	struct vmcb *a = v;

	asm volatile("push %%rbp; clgi; vmrun; pop %%rbp"
	             : "+a"(a)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	               "memory", "cc");
	seen = v->exitcode;
}

static void vmrun_stgi(void)
{
	vmrun();
	asm volatile("stgi; nop" ::: "memory");
	seen = 0xbad;
}

static void guest(void (*w)(void), bool intercept_init, bool intercept_sx)
{
	way = w;
	seen = 0;
	v = svm_guest(guest_asks, (u64)guest_stack + sizeof(guest_stack) - 8, false);
	v->intercept1 |= SVM_BIT(EXIT_SMI) | (intercept_init ? SVM_BIT(EXIT_INIT) : 0);
	v->intercept_exc = intercept_sx ? 1u << SX : 0;
	v->iopm_pa = (u64)page_alloc(); /* three zeroed pages, one behind the other, and two for the MSRs */
	page_alloc();
	page_alloc();
	v->msrpm_pa = (u64)page_alloc();
	page_alloc();
}

static void in_guest(void)
{
	for (unsigned n = 0; n < WAYS; n++) {
		const char *name = ways[n].name;

		wrmsr(VM_CR, R_INIT);
		guest(ways[n].way, true, false);
		vmrun();
		expect(name, REQ("svm.2.17.8.12 svm.2.9.4.1") "INIT exits", seen, EXIT_INIT);
		expect(name, "held with GIF = 0 behind #VMEXIT", redirected, 0);
		asm volatile("stgi; nop" ::: "memory");
		expect_sx(name, 1);

		guest(ways[n].way, false, false);
		vmrun();
		expect(name, REQ("svm.A.2.3") "#SX was the guest's", seen, EXIT_VMMCALL);
		asm volatile("stgi; nop" ::: "memory");
		expect_sx(name, 1);

		guest(ways[n].way, false, true);
		vmrun();
		asm volatile("stgi; nop" ::: "memory");
		expect(name, "exception 30 exits", seen, EXIT_EXCEPTION + SX);
		expect(name, "with its error code", v->exitinfo1, 1);
		expect_sx(name, 0);

		wrmsr(VM_CR, 0);
		guest(ways[n].way, true, false);
		come_back_by(0x0a, COMEBACK >> 4 << 16);
		leave_by(vmrun_stgi);
		expect(name, REQ("svm.2.17.8.15") "INIT exits, and is taken behind STGI", seen, EXIT_INIT);
		expect_taken(name);

		guest(ways[n].way, false, false);
		come_back_by(0x0a, COMEBACK >> 4 << 16);
		leave_by(vmrun);
		expect(name, "taken in the guest: no exit", seen, 0);
		expect(name, REQ("svm.2.17.8.13") "no exit", v->exitcode, 0);
		expect_taken(name);
	}
}

/* ---- shutdown with GIF = 0 ---- */

/* The chipset's INIT# does not end it, though software is prepared for one. */
static void shut_down(void)
{
	come_back_by(0x0a, COMEBACK >> 4 << 16);
	asm volatile("clgi" ::: "memory");
	by_triple_fault();
}

int main(void)
{
	comeback_prepare();
	on_exception(SX, on_sx);
	if (cmos(LIFE) == SECOND) {
		set_cmos(LIFE, 0);
		check("what failed before the shutdown", cmos(FAILED), 0);
		check(REQ("svm.3.1.6.29") "a whole reset: the 8259's mask", inb(0x21), 0xff);
		check("VM_CR", rdmsr(VM_CR), 0);
		return guest_verdict();
	}
	check("SVM", svm_enable(), true);
	mmio_write(0xfee000f0, 0x1ff);
	kept = page_alloc();
	*kept = KEPT;
	in_host();
	out_of_host();
	again();
	in_guest();
	guest_verdict(); /* what this life has proved */
	set_cmos(FAILED, failed ? 1 : 0);
	set_cmos(LIFE, SECOND);
	outb(0x21, 0xa5);
	leave_by(shut_down);
	print("INIT has ended a shutdown with GIF = 0: 1 failed\n");
	return 1;
}
