/*
 * Every intercept on and off, with EXITCODE, EXITINFO1, EXITINFO2 and nRIP as the manual gives them, its priority against the
 * faults it competes with; events; nested page faults; the TLB. APM 2 "Secure Virtual Machine", chapter 2 of 33047.
 */
#include "exits.h"

u64 seen[16];
bool nrips, assists;
struct idt_gate gidt[256] __attribute__((aligned(4096)));
static u8 iopm[0x3000] __attribute__((aligned(4096))), msrpm[0x2000] __attribute__((aligned(4096)));

asm(".pushsection .text\n.balign 16\n.globl ev_stubs\nev_stubs:\n.rept 256\n.balign 16\nvmmcall\n.endr\n.popsection");

u32 svm_features(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	return r[3];
}

static void setup(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	nrips = r[3] >> 3 & 1;
	assists = r[3] >> 7 & 1;
	cpuid(1, 0, r);
	if (r[2] >> 26 & 1)
		write_cr4(read_cr4() | 1 << 18); /* OSXSAVE */
	svm_test_guest(STACK_TOP);
	count_interrupts();
	for (unsigned n = 0; n < 256; n++) {
		u64 a = stub_of(n);

		gidt[n].lo = (a & 0xffff) | 8 << 16 | 0xeeull << 40 | (a >> 16 & 0xffff) << 48;
		gidt[n].hi = a >> 32;
	}
}

void base(const struct snippet *s)
{
	fresh();
	memset(iopm, 0, sizeof(iopm));
	memset(msrpm, 0, sizeof(msrpm));
	v->iopm_pa = (u64)iopm;
	v->msrpm_pa = (u64)msrpm;
	v->rip = (u64)s->entry;
}

void own_idt(void)
{
	v->idtr.base = (u64)gidt;
	v->idtr.limit = sizeof(gidt) - 1;
	v->intercept_exc = 0;
}

u64 stub_of(unsigned vector)
{
	return (u64)ev_stubs + 16 * vector;
}

static u32 *word(struct icpt i)
{
	return (u32 *)v + i.word;
}

void on(struct icpt i)
{
	*word(i) |= 1u << i.bit;
}

void off(struct icpt i)
{
	*word(i) &= ~(1u << i.bit);
}

int main(void)
{
	if (!svm_enable()) {
		print("this processor has no SVM\n");
		return 1;
	}
	setup();
	test_instructions();
	test_priorities();
	test_io_msr();
	test_exceptions();
	test_injection();
	test_interrupts();
	test_nested();
	test_nested_levels();
	test_tlb();
	test_modes();
	test_state();
	test_lbr();
	test_clean();
	test_locked_msrs();
	test_write_traps();
	test_virtual_gif();
	test_avic();
	test_broadcast();
	test_decisions();
	test_switch();
	test_smm_lock();
	return guest_verdict();
}
