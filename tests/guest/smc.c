/* Self-modifying code (same page, other page, through an alias, by DMA) and accesses and instructions that cross pages.
 */
#include "t64.h"

#define VA    0x8000000000ull
#define FLAGS 7ull

asm("smc_next: movb $0x2b, 1f + 1(%rip); mov $0, %eax; 1: .byte 0x04, 0x01; ret\n" /* ADD AL, 1 becomes ADD AL, 2Bh */
    "smc_loop: xor %eax, %eax; mov $5, %ecx; 1: .byte 0x83, 0xc0, 0x01; incb 1b + 2(%rip); dec %ecx; jnz 1b\n"
    " movb $1, 1b + 2(%rip); ret\n" /* 1 + 2 + 3 + 4 + 5 */
    "smc_rep: lea 1f(%rip), %rdi; mov $0x90, %al; mov $4, %ecx; mov $7, %edx; rep stosb; 1: inc %edx; inc %edx; mov "
    "%edx, %eax\n"
    " movl $0xc2ffc2ff, 1b(%rip); ret\n"
    "smc_opcode: movw $0x9090, 1f(%rip); mov $1, %eax; 1: .byte 0xff, 0xc0; movw $0xc0ff, 1b(%rip); ret\n");
u32 smc_next(void), smc_loop(void), smc_rep(void), smc_opcode(void);

static void same_page(void)
{
	check("next instruction", smc_next(), 0x2b);
	check("loop", smc_loop(), 15);
	check("loop again", smc_loop(), 15);
	check("REP STOSB over what follows", smc_rep(), 7);
	check("REP STOSB again", smc_rep(), 7);
	check("opcode", smc_opcode(), 1);
}

static void put_mov(u8 *at, u32 value) /* MOV EAX, value; RET */
{
	at[0] = 0xb8;
	memcpy(at + 1, &value, 4);
	at[5] = 0xc3;
}

static u32 call(const void *p)
{
	u32 v;

	asm volatile("call *%1"
	             : "=a"(v)
	             : "r"(p)
	             : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return v;
}

static void other_page(void)
{
	u8 *p = page_alloc();

	for (u32 k = 0; k < 100; k++) {
		put_mov(p, k);
		if (call(p) != k)
			check("other page", call(p), k);
	}
	map_page(pml4, VA, (u64)p, FLAGS);
	put_mov((u8 *)VA, 1234);
	check("written through an alias", call(p), 1234);
	put_mov(p, 4321);
	check("run through an alias", call((void *)VA), 4321);
	/* the mapping changes, not the bytes */
	u8 *q = page_alloc();

	put_mov(q, 55);
	map_page(pml4, VA, (u64)q, FLAGS);
	invlpg((void *)VA);
	check("another page at the same address", call((void *)VA), 55);
	put_mov(p, 66);
	check("the first page is still its own", call(p), 66);
}

static u32 be32(u32 v)
{
	return __builtin_bswap32(v);
}

static void dma(void)
{
	/* mov %rsp, %rdx; 4 bytes; mov %rdx, %rax; sub %rsp, %rax; mov %rdx, %rsp; ret */
	static const u8 code[] = {0x48, 0x89, 0xe2, 0x90, 0x90, 0x90, 0x90, 0x48, 0x89,
	                          0xd0, 0x48, 0x29, 0xe0, 0x48, 0x89, 0xd4, 0xc3};
	u8 *p = page_alloc();
	volatile struct {
		u32 control, length;
		u64 address;
	} *d = page_alloc();

	memcpy(p, code, sizeof(code));
	check("before DMA", call(p), 0);
	d->control = be32(0 << 16 | 8 | 2); /* select key 0, read: "QEMU", which is push %rcx; push %r13 */
	d->length = be32(4);
	d->address = __builtin_bswap64((u64)p + 3);
	outl(0x514, 0);
	outl(0x518, be32((u32)(u64)d));
	check("DMA done", d->control, 0);
	check("after DMA", call(p), 16);
}

/* ---- page crossing ---- */

static u8 *two_pages(u64 second)
{
	u8 *a = page_alloc(), *b = page_alloc();

	map_page(pml4, VA + 0x10000, (u64)b, FLAGS); /* deliberately not adjacent in physical memory */
	map_page(pml4, VA + 0x11000, (u64)a, second);
	invlpg((void *)(VA + 0x10000));
	invlpg((void *)(VA + 0x11000));
	return (u8 *)VA + 0x10000;
}

/* What cannot be decoded is looked at again when any byte of it changes, not the first alone. */
static void invalid(void)
{
	u8 *p = page_alloc();

	memcpy(p, (u8[]){0x41, 0x0f, 0x04, 0xc3}, 4); /* 0F 04 is no instruction, */
	check("no instruction", CATCH(call(p)), EX_UD);
	p[2] = 0xc8; /* BSWAP R8D and RET are two */
	check("its third byte makes it one", CATCH(call(p)), -1);
}

static void crossing(void)
{
	u8 *p = two_pages(FLAGS);
	volatile u64 *q = (u64 *)(p + 0xffd);
	u64 v = 0x1122334455667788ull;

	*q = v;
	check("crossing store and load", *q, v);
	check("first part", p[0xffd] | p[0xffe] << 8 | p[0xfff] << 16, 0x667788);
	check("second part", p[0x1000], 0x55);
	asm volatile("lock incq (%0)" ::"r"(q) : "memory");
	check("crossing LOCK INC", *q, v + 1);
	asm volatile("push (%0)" ::"r"(q) : "memory");
	asm volatile("pop %0" : "=r"(v));
	check("crossing PUSH m", v, 0x1122334455667789ull);
	for (unsigned at = 0xffa; at < 0x1001; at++) {
		put_mov(p + at, at);
		check("crossing instruction", call(p + at), at);
	}
	p = two_pages(0); /* second page missing: nothing may be written */
	p[0xffd] = p[0xffe] = p[0xfff] = 0x5a;
	check("crossing store faults", CATCH(*(volatile u64 *)(p + 0xffd) = 0), EX_PF);
	check("crossing CR2", last_fault.cr2, (u64)p + 0x1000);
	check("nothing was written", p[0xffd], 0x5a);
	check("crossing load faults", CATCH(*(volatile u64 *)(p + 0xffd)), EX_PF);
	check("crossing load error", last_fault.error, 0);
	p[0xffd] = 0xb8;
	CATCH(call(p + 0xffd));
	check("crossing fetch CR2", last_fault.cr2, (u64)p + 0x1000);
	check("crossing fetch RIP", last_fault.rip, (u64)p + 0xffd);
	check("crossing fetch error", last_fault.error, 0x10);
	u8 src[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	u64 n = 8, to = (u64)p + 0xffd;

	CATCH(asm volatile("rep movsb" ::"S"(src), "D"(to), "c"(n) : "memory"));
	check("REP MOVSB stops at the page", last_regs.rcx, 5);
	check("REP MOVSB RDI", last_regs.rdi, (u64)p + 0x1000);
	check("REP MOVSB wrote", p[0xfff], 3);
	CATCH(asm volatile("mov %0, %%rsp; pushq $1" ::"r"(p + 0x1004) : "memory"));
	check("crossing push faults", last_fault.vector, EX_PF);
}

int main(void)
{
	t_setup();
	*(u64 *)(tss + 0x24) = (u64)(t_stack3 + sizeof(t_stack3));
	set_gate(EX_PF, exception_stubs[EX_PF], 14, 0, 1);
	same_page();
	other_page();
	dma();
	invalid();
	crossing();
	return guest_verdict();
}
