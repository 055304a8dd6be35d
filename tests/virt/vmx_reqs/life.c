/* VMX operation and the life of a VMCS: what VMXON and VMXOFF do to the processor, active and current VMCSs. */
#include "root.h"
#include "vmx.h"

#define CR0_NE 0x20ull
#define VMXE   (1ull << 13)

static u64 regions[16];

static int on_region(int which, u64 pa)
{
	u8 c, z;

	if (which == 0)
		asm volatile("vmclear %2; setc %0; setz %1" : "=q"(c), "=q"(z) : "m"(pa) : "cc", "memory");
	else
		asm volatile("vmptrld %2; setc %0; setz %1" : "=q"(c), "=q"(z) : "m"(pa) : "cc", "memory");
	return c | z << 1;
}

static int clear(u64 pa)
{
	return on_region(0, pa);
}

static int load(u64 pa)
{
	return on_region(1, pa);
}

/* "Restrictions on VMX Operation" */
static void control_registers(void)
{
	u64 cr0 = read_cr0(), cr4;

	op_to(NO_VMXE);
	check(REQ("vmx04.1.7.1") "CR4.VMXE can be set", CATCH(write_cr4(read_cr4() | VMXE)), -1);
	check("CR4.VMXE reads 1", read_cr4() & VMXE, VMXE);
	op_to(ROOT);
	cr4 = read_cr4();
	check(REQ("vmx04.1.7.2") "clearing CR4.VMXE in VMX operation", CATCH(write_cr4(cr4 & ~VMXE)), EX_GP);
	check("error", last_fault.error, 0);
	check("CR4 unchanged", read_cr4(), cr4);
	check(REQ("vmx04.1.8.2") "clearing CR0.PE", CATCH(write_cr0(cr0 & ~0x80000001ull)), EX_GP);
	check("error", last_fault.error, 0);
	check("CR0 unchanged", read_cr0(), cr0);
	check(REQ("vmx04.1.8.3") "clearing CR0.NE", CATCH(write_cr0(cr0 & ~CR0_NE)), EX_GP);
	check("error", last_fault.error, 0);
	check("CR0 unchanged", read_cr0(), cr0);
	asm volatile("lmsw %w0" ::"r"(0x32) : "memory");
	check(REQ("vmx04.1.8.5") "LMSW with bit 0 = 0", read_cr0() & 1, 1);
	static const u64 free_bits[] = {2, 4, 8, 1 << 16, 1 << 18, 1ull << 30, 3ull << 29}; /* MP EM TS WP AM CD NW */
	for (unsigned n = 0; n < sizeof(free_bits) / 8; n++) {
		write_cr0(cr0 ^ free_bits[n]);
		check(REQ("vmx04.1.8.6") "other bits of CR0 are free", read_cr0(), cr0 ^ free_bits[n]);
		write_cr0(cr0);
	}
	op_to(OUTSIDE);
	check(REQ("vmx04.1.7.3") "after VMXOFF CR4.VMXE can be cleared", CATCH(write_cr4(read_cr4() & ~VMXE)), -1);
	check("CR4.VMXE reads 0", read_cr4() & VMXE, 0);
	check("after VMXOFF CR0.NE can be cleared", CATCH(write_cr0(cr0 & ~CR0_NE)), -1);
	check("CR0.NE reads 0", read_cr0() & CR0_NE, 0);
	write_cr4(read_cr4() | VMXE);
	/* an operand that is not mapped: it is not read */
	check(REQ("vmx04.VMXON.8 vmx04.1.8.1 vmx04.VMXON.33") "VMXON with CR0.NE = 0", CATCH(asm volatile("vmxon (%0)" ::"r"(1ull << 45))), EX_GP);
	check("error", last_fault.error, 0);
	write_cr0(cr0);
}

/* In root operation the instructions that guests may exit by behave as ever. */
static void root_instructions(void)
{
	u32 r[4];
	u64 a, b, rip;

	op_to(CURRENT);
	vmx_write(VMCS_EXIT_REASON, 0x7777);
	cpuid(0, 0, r);
	check(REQ("vmx04.1.3.2") "CPUID", r[1] != 0, 1);
	a = rdtsc();
	b = rdtsc();
	check("RDTSC", b > a, 1);
	wrmsr(MSR_KERNEL_GS_BASE, 0x123456);
	check("WRMSR, RDMSR", rdmsr(MSR_KERNEL_GS_BASE), 0x123456);
	invlpg(&r);
	asm volatile("mov %1, %%dr0; mov %%dr0, %0" : "=r"(a) : "r"(0x5678ull));
	check("MOV DR", a, 0x5678);
	check("MOV CR3", CATCH(write_cr3(read_cr3())), -1);
	outb(0x80, 1);
	inb(0x80);
	asm volatile("lea 1f(%%rip), %0; 1:" : "=r"(rip));
	check("RDPMC", CATCH(asm volatile("rdpmc" ::"c"(0) : "rax", "rdx")), -1);
	check("no exit was recorded", vmx_read(VMCS_EXIT_REASON), 0x7777);
	(void)rip;
}

/* "Launch State", "Software Use of Virtual-Machine Control Structures" */
static void sixteen(void)
{
	op_to(ROOT);
	for (unsigned n = 0; n < 16; n++) {
		regions[n] = op_fresh();
		check("VMCLEAR", clear(regions[n]), 0);
		check("VMPTRLD", load(regions[n]), 0);
		vmx_write(VMCS_GUEST_RIP, 0x1000 + n);
		vmx_write(VMCS_PIN, 0x2000 + n);
	}
	for (unsigned n = 0; n < 16; n++) { /* no VMCLEAR between */
		check(REQ("vmx04.2.1.1 vmx04.2.1.2 vmx04.2.1.3") "VMPTRLD again", load(regions[n]), 0);
		check("RIP of an active VMCS", vmx_read(VMCS_GUEST_RIP), 0x1000 + n);
		check("pin-based controls", vmx_read(VMCS_PIN), 0x2000 + n);
	}
}

/* A region that VMCLEAR never saw is clear. */
static void never_cleared(void)
{
	u8 z;

	load(op_fresh());
	asm volatile("vmlaunch; setz %0" : "=q"(z)::"cc", "memory");
	check(REQ("vmx04.2.10.5") "VMLAUNCH fails by its contents, not by the launch state", z && vmx_read(VMCS_ERROR) == 7, 1);
}

static void current(void)
{
	load(regions[0]);
	load(regions[1]);
	check("VMCLEAR of another", clear(regions[2]), 0);
	check(REQ("vmx04.2.1.5 vmx04.2.1.6") "leaves the current VMCS", op_current(), regions[1]);
	check("and its fields", vmx_read(VMCS_GUEST_RIP), 0x1001);
	load(regions[3]);
	check(REQ("vmx04.2.1.6") "and others active", vmx_read(VMCS_GUEST_RIP), 0x1003);
	load(regions[0]);
	load(regions[1]);
	check("VMCLEAR of the current", clear(regions[1]), 0);
	check(REQ("vmx04.2.1.4") "no current VMCS then", op_current(), ~0ull);
	load(regions[0]);
	check("the other was still active", vmx_read(VMCS_GUEST_RIP), 0x1000);
}

/* After VMCLEAR the data are in the region: a copy of its bytes is the same VMCS. */
static void copies(void)
{
	u64 copy = (u64)page_alloc();

	load(regions[4]);
	vmx_write(VMCS_GUEST_RIP, 0x4444);
	vmx_write(VMCS_GUEST_CR3, 0x5555000);
	check("VMCLEAR", clear(regions[4]), 0);
	memcpy((void *)copy, (void *)regions[4], 4096);
	check("VMPTRLD of the copy", load(copy), 0);
	check(REQ("vmx04.VMCLEAR.14.now sdm30.7") "RIP of the copy", vmx_read(VMCS_GUEST_RIP), 0x4444);
	check("CR3 of the copy", vmx_read(VMCS_GUEST_CR3), 0x5555000);
	memset((void *)regions[4], 0x5a, 4096);
	check(REQ("vmx04.2.9.1.5") "CR3 of the copy, original reused", vmx_read(VMCS_GUEST_CR3), 0x5555000);
	load(regions[5]);
	check(REQ("vmx04.2.9.1.5") "another VMCS", vmx_read(VMCS_GUEST_RIP), 0x1005);
	clear(regions[6]);
	load(regions[6]);
	check(REQ("sdm30.3 sdm30.6") "fields after VMCLEAR", vmx_read(VMCS_GUEST_RIP), 0x1006);
}

static void off_and_on(void)
{
	op_to(CURRENT);
	op_to(OUTSIDE);
	check(REQ("vmx04.1.4.2") "VMCLEAR after VMXOFF", CATCH(clear(regions[0])), EX_UD);
	check("VMPTRLD after VMXOFF", CATCH(load(regions[0])), EX_UD);
	check("VMPTRST after VMXOFF", CATCH(op_current()), EX_UD);
	check("VMREAD after VMXOFF", CATCH(vmx_read(VMCS_GUEST_RIP)), EX_UD);
	check("VMWRITE after VMXOFF", CATCH(vmx_write(VMCS_GUEST_RIP, 1)), EX_UD);
	check("VMLAUNCH after VMXOFF", CATCH(asm volatile("vmlaunch")), EX_UD);
	check("VMRESUME after VMXOFF", CATCH(asm volatile("vmresume")), EX_UD);
	check("VMCALL after VMXOFF", CATCH(asm volatile("vmcall")), EX_UD);
	check("VMXOFF after VMXOFF", CATCH(asm volatile("vmxoff")), EX_UD);
	check("INVEPT after VMXOFF", CATCH(asm volatile("invept %0, %1" ::"m"(*(u64(*)[2])other_operand), "r"(2ull))), EX_UD);
	check("INVVPID after VMXOFF", CATCH(asm volatile("invvpid %0, %1" ::"m"(*(u64(*)[2])other_operand), "r"(2ull))), EX_UD);
	check("VMFUNC after VMXOFF", CATCH(asm volatile("vmfunc" ::"a"(0))), EX_UD);
	op_to(ROOT);
	check(REQ("vmx04.1.7.4") "VMXON again", op_current(), ~0ull);
	op_to(OUTSIDE);
	u64 half = op_fresh() + 0x10;
	check("a misaligned region", CATCH(asm volatile("vmxon %0" ::"m"(half))), -1);
	check("leaves it outside", CATCH(op_current()), EX_UD);
}

/* The operand of VMXON is only read: it may lie on a read-only page. */
static void read_only(void)
{
	u64 *slot = (u64 *)0x2000000, *pde = &pds[0][16], kept = *pde, cr0 = read_cr0();

	op_to(OUTSIDE);
	asm("" : "+r"(slot));
	*slot = vmxon_region;
	*pde &= ~2ull;
	write_cr0(cr0 | 1 << 16);
	invlpg(slot);
	check("a store faults", CATCH(*(volatile u64 *)slot = 0), EX_PF);
	check(REQ("vmx04.4.6") "VMXON does not", CATCH(asm volatile("vmxon (%0)" ::"r"(slot) : "cc")), -1);
	check("VMX operation", op_current(), ~0ull);
	asm volatile("vmxoff" ::: "cc");
	write_cr0(cr0);
	*pde = kept;
	invlpg(slot);
}

/* In VMX operation port 92h does not mask address bit 20: A20M is blocked. */
static void a20(void)
{
	volatile u32 *low = (u32 *)0x500, *high = (u32 *)0x100500; /* our own text: only read */
	u32 kept;

	asm("" : "+r"(low), "+r"(high));
	kept = *low;
	op_to(ROOT);
	*low = ~*high;
	outb(0x92, 0);
	check(REQ("vmx04.1.8.14.now") "A20M is blocked", *high != *low, 1);
	outb(0x92, 2);
	*low = kept;
}

/*
 * Outside it VMXON refuses while A20M is asserted. The image, which lies at 1 MiB, is copied to 0 first: there the processor
 * goes on when bit 20 reads as 0.
 */
static void a20_vmxon(void)
{
	volatile u64 *result = (u64 *)0x2000000; /* the same place either way */
	u8 *zero = NULL;

	op_to(OUTSIDE);
	asm("" : "+r"(zero));
	memcpy(zero, (void *)0x100000, (u64)image_end - 0x100000);
	outb(0x92, 0);
	*result = (u64)CATCH(asm volatile("vmxon %0" ::"m"(vmxon_region)));
	outb(0x92, 2);
	check(REQ("vmx04.1.8.14.now") "VMXON while A20M is asserted", *result, EX_GP);
	fault_armed = false;
}

/* A20M asserted in VMX operation takes effect with VMXOFF: the copy of the image at 0 has another value. */
static volatile u32 a20_mark;

static void a20_vmxoff(void)
{
	volatile u32 *result = (u32 *)0x2000000;
	u8 *zero = NULL;

	op_to(ROOT);
	asm("" : "+r"(zero));
	a20_mark = 1;
	memcpy(zero, (void *)0x100000, (u64)image_end - 0x100000);
	a20_mark = 2;
	outb(0x92, 0);
	result[0] = a20_mark;
	asm volatile("vmxoff" ::: "cc", "memory");
	result[1] = a20_mark;
	outb(0x92, 2);
	asm volatile("vmxon %0" ::"m"(vmxon_region) : "cc", "memory");
	check("A20M in VMX operation: blocked", result[0], 2);
	check(REQ("vmx04.VMXOFF.8") "A20M after VMXOFF: recognised", result[1], 1); /* INIT: vmx_exits/init_sipi.c */
}

/* What announces VMX: "Discovering Support for VMX" */
static void capabilities(void)
{
	u64 basic = rdmsr(MSR_VMX_BASIC), misc = rdmsr(MSR_VMX_MISC);
	u32 r[4];

	check(REQ("vmx04.1.7.10") "region size", (basic >> 32 & 0x1fff) >= 1 && (basic >> 32 & 0x1fff) <= 4096, 1);
	check(REQ("vmx04.1.6.4.now") "dual-monitor treatment", basic >> 49 & 1, 1);
	cpuid(0x80000001, 0, r);
	check(REQ("vmx04.2.3.1.16") "IA-32e mode", r[3] >> 29 & 1, 1);
	cpuid(1, 0, r);
	check("VMX", r[2] >> 5 & 1, 1);
	check(REQ("vmx04.1.6.9.now") "CR3 targets: four", misc >> 16 & 0x1ff, 4); /* used: registers.c; more refused: vmx_checks */
	check(REQ("vmx04.1.6.9.now") "HLT, shutdown, wait-for-SIPI", misc >> 6 & 7, 7); /* entered: vmx_exits/init_sipi.c */
	check("MSR lists of 512", misc >> 25 & 7, 0);
	check("IA32_SMBASE, and bit 2 of IA32_SMM_MONITOR_CTL", misc >> 15 & 0x2001, 0x2001);
	check(REQ("vmx04.1.6.9.now") "VMWRITE to every field", misc >> 29 & 1, 1); /* done: fields.c */
	check("MSEG has a revision", misc >> 32 != 0, 1);
	for (unsigned n = 0; n < 32; n++) {
		u64 was = read_cr4();
		bool pages = n == 20 || n == 21; /* SMEP and SMAP: the tables here are open to user code */

		if (!pages && CATCH(write_cr4(was | 1ull << n)) == 13)
			continue;
		write_cr4(was);
		check("no bit that CR4 can hold is fixed to 0", rdmsr(MSR_VMX_CR4_FIXED1) >> n & 1, 1);
	}
}

void test_life(void)
{
	capabilities();
	control_registers();
	root_instructions();
	sixteen();
	never_cleared();
	current();
	copies();
	off_and_on();
	read_only();
	a20();
	a20_vmxoff();
	a20_vmxon();
	op_to(OUTSIDE);
}
