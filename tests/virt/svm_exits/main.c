/*
 * Every intercept on and off, with EXITCODE, EXITINFO1, EXITINFO2 and nRIP as the manual gives them,
 	its priority against
 * the faults it competes with; events; nested page faults; the TLB. APM 2 "Secure Virtual Machine", chapter 2 of 33047.
 */
#include "exits.h"

struct vmcb *v;
u64 scratch[512] __attribute__((aligned(4096)));
u64 seen[16];
bool nrips, assists, of_2005;
struct idt_gate gidt[256] __attribute__((aligned(4096)));
unsigned nmis, irqs;
u64 user_pml4[512] __attribute__((aligned(4096)));
static struct vmcb template;
static u8 iopm[0x3000] __attribute__((aligned(4096))), msrpm[0x2000] __attribute__((aligned(4096)));

asm(".pushsection .text\n.balign 16\n.globl ev_stubs\nev_stubs:\n.rept 256\n.balign 16\nvmmcall\n.endr\n.popsection");

static bool on_nmi(struct regs *r)
{
	(void)r;
	nmis++;
	return true;
}

static bool on_irq(struct regs *r)
{
	(void)r;
	irqs++;
	mmio_write(0xfee000b0, 0);
	return true;
}

void self_ipi(u32 icr)
{
	mmio_write(0xfee00310, 0);
	mmio_write(0xfee00300, icr);
}

/* The first 4 GiB one to one, open to user code. */
static void user_tables(void)
{
	u64 *l3 = page_alloc();

	user_pml4[0] = (u64)l3 | 7;
	for (unsigned g = 0; g < 4; g++) {
		u64 *l2 = page_alloc();

		l3[g] = (u64)l2 | 7;
		for (unsigned k = 0; k < 512; k++)
			l2[k] = (u64)g << 30 | (u64)k << 21 | 0x87;
	}
}

static void setup(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	nrips = r[3] >> 3 & 1;
	assists = r[3] >> 7 & 1;
	of_2005 = !(r[3] & ~3u);
	cpuid(1, 0, r);
	if (r[2] >> 26 & 1)
		write_cr4(read_cr4() | 1 << 18); /* OSXSAVE */
	user_tables();
	v = svm_guest(NULL, STACK_TOP, true);
	v->intercept_exc = ~0u;
	v->intercept1 = SVM_SHUTDOWN | 1 << 2; /* 2005 asks for the SMI intercept */
	v->intercept2 = SVM_VMRUN | SVM_VMMCALL;
	v->cr3 = (u64)user_pml4;
	v->iopm_pa = (u64)iopm;
	v->msrpm_pa = (u64)msrpm;
	v->tlb_control = 1;
	memcpy(&template, v, sizeof(template));
	on_exception(2, on_nmi);
	on_exception(0x51, on_irq);
	mmio_write(0xfee000f0, 0x1ff);
	for (unsigned n = 0; n < 256; n++) {
		u64 a = stub_of(n);

		gidt[n].lo = (a & 0xffff) | 8 << 16 | 0xeeull << 40 | (a >> 16 & 0xffff) << 48;
		gidt[n].hi = a >> 32;
	}
}

void base(const struct snippet *s)
{
	memcpy(v, &template, sizeof(template));
	memset(iopm, 0, sizeof(iopm));
	memset(msrpm, 0, sizeof(msrpm));
	v->rip = (u64)s->entry;
}

void user(void)
{
	v->cpl = 3;
	v->cs.sel = 0x4b;
	v->cs.attrib = 0xafb;
	v->ss.sel = v->ds.sel = v->es.sel = 0x43;
	v->ss.attrib = v->ds.attrib = v->es.attrib = 0xcf3;
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

u64 go_gif0(void)
{
	struct vmcb *a = v;

	asm volatile("push %%rbp\n"
		     "vmrun\n"
		     "pop %%rbp"
		     : "+a"(a)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		       "memory", "cc");
	return v->exitcode;
}

u64 go(void)
{
	asm volatile("clgi" ::: "memory");
	u64 r = go_gif0();
	asm volatile("stgi" ::: "memory");
	return r;
}

void vcheck(const char *name, const char *what, u64 got, u64 want)
{
	char text[128];
	unsigned n = 0;

	for (const char *p = name; *p && n < 80; p++)
		text[n++] = *p;
	text[n++] = ':';
	text[n++] = ' ';
	for (const char *p = what; *p && n < 127; p++)
		text[n++] = *p;
	text[n] = 0;
	check(text, got, want);
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
	test_tlb();
	test_modes();
	test_state();
	test_lbr();
	test_clean();
	return guest_verdict();
}
