/*
 * Four- and five-level paging: permissions and error codes, accessed and dirty, reserved bits, 1 GiB pages, NX, WP,
 * SMEP, SMAP, UMIP, protection keys, PCID and INVPCID, global pages, and what a TLB may keep. SDM 3A "Paging".
 */
#include "t64.h"

#define VA        0x8000000000ull /* pml4[1] */
#define P         1ull
#define W         2ull
#define U         4ull
#define A         0x20ull
#define D         0x40ull
#define PS        0x80ull
#define G         0x100ull
#define NX        (1ull << 63)
#define ADDR_MASK 0x000ffffffffff000ull

static u64 *l3, *l2, *l1; /* the tables that lead to VA */
static u8 *page_a, *page_b;

static void remap(u64 e4, u64 e3, u64 e2, u64 e1)
{
	pml4[1] = (u64)l3 | e4;
	l3[0] = (u64)l2 | e3;
	l2[0] = (u64)l1 | e2;
	l1[0] = (u64)page_a | e1;
	invlpg((void *)VA);
}

static int read_va(void)
{
	return CATCH(*(volatile u8 *)VA);
}
static int write_va(void)
{
	return CATCH(*(volatile u8 *)VA = 1);
}
static int fetch_va(void)
{
	return CATCH(((void (*)(void))VA)());
}

asm("u_write: movabs $0x8000000000, %rbx; mov %al, (%rbx); int $0x80\n"
    "u_fetch: movabs $0x8000000000, %rbx; jmp *%rbx\n u_rd: movabs $0x8000000000, %rbx; mov (%rbx), %al; int $0x80\n");
extern char u_write[], u_fetch[], u_rd[];
static int user_read(void)
{
	return user((void (*)(void))u_rd, 0);
}
static int user_write(void)
{
	return user((void (*)(void))u_write, 0);
}
static int user_fetch(void)
{
	return user((void (*)(void))u_fetch, 0);
}

/* -1 or the page fault's error code */
static long code(int vector)
{
	if (vector == EX_PF)
		check("CR2", last_fault.cr2, VA);
	return vector == EX_PF ? (long)last_fault.error : vector == 0x80 ? -1 : vector;
}

static void permissions(void)
{
	static const u64 bits[] = {W | U, W, U, 0};

	page_a[0] = 0xc3; /* RET */
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned level = 0; level < 4; level++) {
			u64 e[4] = {P | W | U, P | W | U, P | W | U, P | W | U}, f = P | bits[k];
			bool w = f & W, us = f & U;

			e[level] = f;
			remap(e[0], e[1], e[2], e[3]);
			check("supervisor read", code(read_va()), -1);
			check("supervisor write with WP", code(write_va()), w ? -1 : 3);
			page_a[0] = 0xc3;
			check("supervisor fetch", code(fetch_va()), -1);
			check("user read", code(user_read()), us ? -1 : 5);
			check("user write", code(user_write()), us && w ? -1 : 7);
			page_a[0] = 0xcc;
			check("user fetch", code(user_fetch()), us ? EX_BP : 0x15);
			page_a[0] = 0xc3;
			e[level] |= NX;
			remap(e[0], e[1], e[2], e[3]);
			check("NX supervisor fetch", code(fetch_va()), 0x11);
			check("NX user fetch", code(user_fetch()), 0x15);
			check("NX read", code(read_va()), -1);
		}
	}
	for (unsigned level = 0; level < 4; level++) {
		u64 e[4] = {P | W | U, P | W | U, P | W | U, P | W | U};

		e[level] = 0;
		remap(e[0], e[1], e[2], e[3]);
		check("not present read", code(read_va()), 0);
		check("not present write", code(write_va()), 2);
		check("not present fetch", code(fetch_va()), 0x10);
		check("not present user read", code(user_read()), 4);
		check("not present user write", code(user_write()), 6);
		check("not present user fetch", code(user_fetch()), 0x14);
	}
	remap(P | W | U, P | W | U, P | W | U, P | U);
	write_cr0(read_cr0() & ~0x10000ull);
	check("supervisor write without WP", code(write_va()), -1);
	check("user write without WP", code(user_write()), 7);
	write_cr0(read_cr0() | 0x10000);
	check("WP again", code(write_va()), 3);
	page_a[0] = 0xc3;
	put_msr_bit(0xc0000080, 11, false); /* NXE */
	remap(P | W | U, P | W | U, P | W | U, P | W | U | NX);
	check("NX is reserved without NXE", code(read_va()), 9);
	check("NX is reserved without NXE, write", code(write_va()), 0xb);
	remap(P | W | U, P | W | U, P | W | U, P);
	check("fetch without NXE has no I/D bit", code(user_fetch()), 5);
	put_msr_bit(0xc0000080, 11, true);
}

static void accessed_dirty(void)
{
	remap(P | W | U, P | W | U, P | W | U, P | W | U);
	read_va();
	check("A in level 4", pml4[1] & A, A);
	check("A in level 3", l3[0] & A, A);
	check("A in level 2", l2[0] & A, A);
	check("A in level 1", l1[0] & (A | D), A);
	write_va();
	check("D in level 1", l1[0] & (A | D), A | D);
	check("no D above", (pml4[1] | l3[0] | l2[0]) & D, 0);
	remap(P | W | U, P | W | U, P | W | U, P);
	write_va();
	check("no A, D for a refused write", l1[0] & D, 0);
	remap(P | W | U, P | W | U, P | W | U, P | W | U);
	CATCH(asm volatile("lock cmpxchg %%cl, (%0)" ::"r"(VA), "a"(0x55) : "memory"));
	check("D by a failing CMPXCHG", l1[0] & D, D);
	l2[0] = P | W | U | PS; /* physical 0, 2 MiB */
	invlpg((void *)VA);
	read_va();
	check("A in a 2 MiB page", l2[0] & (A | D), A);
	CATCH((*(volatile u8 *)(VA + 0x500)) = 1);
	check("D in a 2 MiB page", l2[0] & (A | D), A | D);
}

static unsigned phys_bits(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	return r[0] & 0xff;
}

static void reserved(void)
{
	u64 high = 1ull << phys_bits(), ok = P | W | U;

	remap(ok | high, ok, ok, ok);
	check("reserved address bit, level 4", code(read_va()), 9);
	remap(ok, ok | high, ok, ok);
	check("reserved address bit, level 3", code(read_va()), 9);
	remap(ok, ok, ok | high, ok);
	check("reserved address bit, level 2", code(read_va()), 9);
	remap(ok, ok, ok, ok | high);
	check("reserved address bit, level 1", code(read_va()), 9);
	check("reserved, user write", code(user_write()), 0xf);
	check("reserved, fetch", code(fetch_va()), 0x19);
	remap(ok | PS, ok, ok, ok);
	check("PS in level 4", code(read_va()), 9);
	remap(ok, ok, ok, ok);
	l2[0] = ok | PS | 0x2000;
	invlpg((void *)VA);
	check("2 MiB page, bit 13", code(read_va()), 9);
	l2[0] = ok | PS | 0x1000; /* PAT */
	invlpg((void *)VA);
	check("2 MiB page, PAT", code(read_va()), -1);
	l3[0] = ok | PS | 0x2000;
	invlpg((void *)VA);
	check("1 GiB page, bit 13", code(read_va()), 9);
	l3[0] = ok | PS;
	invlpg((void *)VA);
	page_a[7] = 0x77;
	check("1 GiB page", *(volatile u8 *)(VA + (u64)page_a + 7), 0x77);
	check("1 GiB page A", l3[0] & (A | D), A);
	*(volatile u8 *)(VA + (u64)page_a + 8) = 0x78;
	check("1 GiB page D", l3[0] & (A | D), A | D);
	check("1 GiB page written", page_a[8], 0x78);
	remap(ok, ok, ok, 0 | high);
	check("reserved bits do not matter when not present", code(read_va()), 0);
	remap(ok, ok | NX, ok, ok);
	page_a[0] = 0xc3;
	check("NX above", code(fetch_va()), 0x11);
}

static void smep_smap(void)
{
	u64 ok = P | W | U;

	remap(ok, ok, ok, ok);
	/* the guest's own code must be supervisor's while SMEP and SMAP are on */
	pml4[0] &= ~U;
	write_cr3(read_cr3());
	page_a[0] = 0xc3;
	write_cr4(read_cr4() | 1 << 20);
	check("SMEP fetch", code(fetch_va()), 0x11);
	check("SMEP read", code(read_va()), -1);
	write_cr4((read_cr4() & ~(1ull << 20)) | 1 << 21);
	check("SMAP read", code(read_va()), 1);
	check("SMAP write", code(write_va()), 3);
	check("SMAP fetch", code(fetch_va()), -1);
	asm volatile("stac");
	u64 fl;
	asm volatile("pushf; pop %0" : "=r"(fl));
	check("STAC sets AC", fl & FL_AC, FL_AC);
	check("SMAP read with AC", *(volatile u8 *)VA, 0xc3);
	asm volatile("clac");
	check("SMAP read again", code(read_va()), 1);
	/* "implicit supervisor-mode accesses" fail whatever AC says: an LDT in a user page */
	*(u64 *)page_a = t_gdt[KDATA / 8];
	t_gdt[0x60 / 8] = descriptor((u32)VA, 0xfff, 0x82, 0);
	t_gdt[0x68 / 8] = VA >> 32;
	asm volatile("lldt %w0" ::"r"(0x60));
	check("SMAP implicit access", CATCH(asm volatile("stac; mov %0, %%fs" ::"r"(4))), EX_PF);
	check("SMAP implicit access error", last_fault.error, 1);
	asm volatile("lldt %w0" ::"r"(0));
	write_cr4(read_cr4() & ~(3ull << 20));
	RAISES("STAC at CPL 0 without SMAP runs", -1, 0, NONE, "", "stac; clac");
	pml4[0] |= U;
	write_cr3(read_cr3());
}

asm("u_sgdt: sgdt -64(%rsp); int $0x80\n u_sidt: sidt -64(%rsp); int $0x80\n u_sldt: sldt %eax; int $0x80\n"
    "u_str: str %eax; int $0x80\n u_smsw: smsw %eax; int $0x80\n u_stac: stac; u_rdpkru: xor %ecx, %ecx; rdpkru; int "
    "$0x80\n"
    "u_pk: xor %ecx, %ecx; xor %edx, %edx; mov t_pkru, %eax; wrpkru; jmp *t_then\n");
extern char u_sgdt[], u_sidt[], u_sldt[], u_str[], u_smsw[], u_stac[], u_pk[];
u32 t_pkru;
u64 t_then;

static void umip(void)
{
	char *insns[] = {u_sgdt, u_sidt, u_sldt, u_str, u_smsw};

	for (volatile unsigned on = 0; on < 2; on++) {
		write_cr4((read_cr4() & ~0x800ull) | on << 11);
		for (unsigned k = 0; k < 5; k++)
			check("UMIP", user((void (*)(void))insns[k], 0), on ? EX_GP : 0x80);
		RUNS("UMIP at CPL 0", "", "smsw %%eax");
	}
	write_cr4(read_cr4() & ~0x800ull);
	check("STAC at CPL 3", user((void (*)(void))u_stac, 0), EX_UD);
}

static long pkey(u32 pkru, char *then)
{
	t_pkru = pkru;
	t_then = (u64)then;
	return code(user((void (*)(void))u_pk, 0));
}

static void protection_keys(void)
{
	u32 r[4];
	u64 ok = P | W | U;

	cpuid(7, 0, r);
	if (!(r[2] & 8)) {
		RAISES("CR4.PKE without PKU", EX_GP, 0, AT, "mov %%cr4, %%rax; bts $22, %%rax", "mov %%rax, %%cr4");
		return;
	}
	check("OSPKE off", r[2] & 16, 0);
	RAISES("RDPKRU without PKE", EX_UD, 0, AT, "xor %%ecx, %%ecx", ".byte 0x0f, 0x01, 0xee");
	write_cr4(read_cr4() | 1 << 22);
	cpuid(7, 0, r);
	check("OSPKE on", r[2] & 16, 16);
	RAISES("RDPKRU ECX", EX_GP, 0, AT, "mov $1, %%ecx", ".byte 0x0f, 0x01, 0xee");
	RAISES("WRPKRU EDX", EX_GP, 0, AT, "xor %%ecx, %%ecx; mov $1, %%edx", ".byte 0x0f, 0x01, 0xef");
	remap(ok, ok, ok, ok | 5ull << 59);
	check("key 5 open", pkey(0, u_write), -1);
	check("key 5 AD read", pkey(1 << 10, u_rd), 0x25);
	check("key 5 AD write", pkey(1 << 10, u_write), 0x27);
	check("key 5 WD read", pkey(2 << 10, u_rd), -1);
	check("key 5 WD write", pkey(2 << 10, u_write), 0x27);
	page_a[0] = 0xcc;
	check("key 5 AD fetch", pkey(1 << 10, u_fetch), EX_BP);
	check("supervisor read with AD", code(read_va()), 0x21);
	pkey(2 << 10, u_rd);
	check("supervisor write with WD, WP", code(write_va()), 0x23);
	write_cr0(read_cr0() & ~0x10000ull);
	check("supervisor write with WD, no WP", code(write_va()), -1);
	write_cr0(read_cr0() | 0x10000);
	remap(ok, ok, ok, P | W | 5ull << 59);
	check("keys leave supervisor pages alone", code(write_va()), -1);
	pkey(0, u_rd);
	write_cr4(read_cr4() & ~(1ull << 22));
}

static void put_invpcid(u64 type, u64 pcid, u64 la)
{
	u64 d[2] = {pcid, la};

	asm volatile("invpcid %0, %1" ::"m"(d), "r"(type) : "memory");
}

#define VALUE (*(volatile u8 *)VA)
static void point_to(u8 *page, u64 flags)
{
	l1[0] = (u64)page | flags;
}

/* A changed entry stays in use until something invalidates it: pinned for the normal geometry. */
static void staleness(void)
{
	u64 ok = P | W | U, root = read_cr3();

	page_a[0] = 0xa;
	page_b[0] = 0xb;
	remap(ok, ok, ok, ok);
	check("page a", VALUE, 0xa);
	point_to(page_b, ok);
	check("still page a", VALUE, 0xa);
	invlpg((void *)(VA + 0xfff));
	check("INVLPG", VALUE, 0xb);
	point_to(page_a, ok);
	check("still page b", VALUE, 0xb);
	write_cr3(root);
	check("CR3 write", VALUE, 0xa);
	point_to(page_a, P);
	VALUE;
	point_to(page_a, P | W);
	check("more rights need no invalidation, faults look again", code(write_va()), -1);
	remap(ok, ok, ok, ok);
	page_a[0] = 0xa;
	VALUE;
	/* a fault drops what the TLB had for the address */
	point_to(page_a, 0);
	invlpg((void *)VA);
	check("not present is never cached", code(read_va()), 0);
	point_to(page_b, ok);
	check("present now", VALUE, 0xb);
	/* global pages */
	write_cr4(read_cr4() | 0x80);
	point_to(page_a, ok | G);
	invlpg((void *)VA);
	check("global a", VALUE, 0xa);
	point_to(page_b, ok | G);
	write_cr3(root);
	check("global survives CR3", VALUE, 0xa);
	write_cr4(read_cr4() & ~0x80ull);
	check("CR4.PGE write flushes", VALUE, 0xb);
	write_cr4(read_cr4() | 0x80);
	point_to(page_a, ok | G);
	invlpg((void *)VA);
	VALUE;
	point_to(page_b, ok | G);
	invlpg((void *)VA);
	check("INVLPG takes global ones", VALUE, 0xb);
	/* large pages go as a whole */
	l2[0] = ok | PS;
	invlpg((void *)VA);
	volatile u8 *x = (u8 *)VA + 0x1000, *y = (u8 *)VA + 0x5000;
	u8 v = *x, w = *y;
	(void)v, (void)w;
	l2[0] = 0;
	invlpg((void *)VA);
	check("INVLPG takes the whole 2 MiB page", CATCH(*y), EX_PF);
	write_cr4(read_cr4() & ~0x80ull);
}

static void pcids(void)
{
	u64 ok = P | W | U, root = read_cr3();

	RAISES("PCIDE with CR3 bits", EX_GP, 0, AT,
	       "mov %%cr3, %%rcx; or $8, %%rcx; mov %%rcx, %%cr3; mov %%cr4, %%rax; bts $17, %%rax",
	       "mov %%rax, %%cr4");
	write_cr3(root);
	write_cr4(read_cr4() | 1 << 17);
	page_a[0] = 0xa;
	page_b[0] = 0xb;
	remap(ok, ok, ok, ok);
	write_cr3(root | 1);
	check("pcid 1: a", VALUE, 0xa);
	write_cr3(root | 2);
	point_to(page_b, ok);
	check("pcid 2: b", VALUE, 0xb);
	write_cr3(root | 1 | 1ull << 63);
	check("CR3 reads without bit 63", read_cr3(), root | 1);
	check("pcid 1 kept", VALUE, 0xa);
	write_cr3(root | 1);
	check("pcid 1 flushed", VALUE, 0xb);
	point_to(page_a, ok);
	write_cr3(root | 2 | 1ull << 63);
	check("pcid 2 kept", VALUE, 0xb);
	put_invpcid(0, 2, VA);
	check("INVPCID address", VALUE, 0xa);
	point_to(page_b, ok);
	put_invpcid(0, 1, VA);
	check("INVPCID address of another pcid", VALUE, 0xa);
	put_invpcid(1, 2, 0);
	check("INVPCID single context", VALUE, 0xb);
	point_to(page_a, ok);
	put_invpcid(3, 0, 0);
	check("INVPCID all but global", VALUE, 0xa);
	write_cr4(read_cr4() | 0x80);
	point_to(page_a, ok | G);
	invlpg((void *)VA);
	VALUE;
	point_to(page_b, ok | G);
	put_invpcid(3, 0, 0);
	check("INVPCID 3 keeps global", VALUE, 0xa);
	write_cr3(root | 3);
	check("global across pcids", VALUE, 0xa);
	put_invpcid(2, 0, 0);
	check("INVPCID all", VALUE, 0xb);
	check("INVPCID type 4", CATCH(put_invpcid(4, 0, 0)), EX_GP);
	check("INVPCID pcid reserved", CATCH(put_invpcid(1, 0x1000, 0)), EX_GP);
	check("INVPCID non-canonical", CATCH(put_invpcid(0, 1, 1ull << 62)), EX_GP);
	RUNS("PCIDE off with a pcid", "mov %%cr4, %%rax; btr $17, %%rax", "mov %%rax, %%cr4");
	write_cr3(root);
	check("CR3 bit 63 without PCIDE", CATCH(write_cr3(root | 1ull << 63)), EX_GP);
	check("INVPCID 0 without PCIDE", CATCH(put_invpcid(0, 0, VA)), -1);
	check("INVPCID pcid 1 without PCIDE", CATCH(put_invpcid(0, 1, VA)), EX_GP);
	write_cr4(read_cr4() & ~0x80ull);
}

/* ---- five levels: left and entered through compatibility mode with paging off ---- */

asm("switch_la57: push %rbx; mov %rdi, %rbx; mov %rsi, %r8; mov %rsp, %r9; ljmp *to32\n"
    ".code32\n sw32: mov $0x10, %eax; mov %eax, %ss; mov %eax, %ds; mov %cr0, %eax; btr $31, %eax; mov %eax, %cr0\n"
    " mov %ebx, %cr3; mov %cr4, %eax; btr $12, %eax; or la57_bit, %eax; mov %eax, %cr4\n"
    " mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0; ljmp $8, $sw64\n"
    ".code64\n sw64: mov %r9, %rsp; pop %rbx; ret\n .data; to32: .long sw32, 0x18; .globl la57_bit; la57_bit: .long 0; "
    ".text\n");
void switch_la57(u64 root);
extern u32 la57_bit;

static void five_levels(void)
{
	u32 r[4];
	u64 root = read_cr3(), *pml5 = page_alloc(), *high4 = page_alloc();

	cpuid(7, 0, r);
	if (!(r[2] & 1 << 16)) {
		RAISES("CR4.LA57 without the feature", EX_GP, 0, AT, "mov %%cr4, %%rax; bts $12, %%rax",
		       "mov %%rax, %%cr4");
		return;
	}
	RAISES("CR4.LA57 in long mode", EX_GP, 0, AT, "mov %%cr4, %%rax; bts $12, %%rax", "mov %%rax, %%cr4");
	pml5[0] = root | P | W | U;
	pml5[0x101] = (u64)high4 | P | W | U;
	high4[0] = (u64)l3 | P | W | U;
	remap(P | W | U, P | W | U, P | W | U, P | W | U);
	page_a[0] = 0x57;
	volatile u8 *p = (u8 *)0xff01000000000000ull;
	check("57-bit address with four levels", CATCH(*p), EX_GP);
	la57_bit = 1 << 12;
	switch_la57((u64)pml5);
	check("LA57 is on", read_cr4() >> 12 & 1, 1);
	check("five levels", VALUE, 0x57);
	check("57-bit address", *p, 0x57);
	check("A in level 5", pml5[0x101] & A, A);
	check("not canonical for 57 bits", CATCH(*(volatile u8 *)(1ull << 57)), EX_GP);
	check("hole in level 5", CATCH(*(volatile u8 *)(1ull << 50)), EX_PF);
	pml5[0x101] |= PS;
	invlpg((void *)p);
	check("PS in level 5", CATCH(*p), EX_PF);
	check("PS in level 5 error", last_fault.error, 9);
	la57_bit = 0;
	switch_la57(root);
	check("LA57 is off", read_cr4() >> 12 & 1, 0);
	check("four levels again", VALUE, 0x57);
}

int main(void)
{
	t_setup();
	l3 = page_alloc();
	l2 = page_alloc();
	l1 = page_alloc();
	page_a = page_alloc();
	page_b = page_alloc();
	permissions();
	accessed_dirty();
	reserved();
	smep_smap();
	umip();
	protection_keys();
	staleness();
	pcids();
	five_levels();
	return guest_verdict();
}
