/* 32-bit paging with PSE and PSE-36, PAE paging with its PDPTE registers and NX. SDM 3A "32-Bit Paging", "PAE Paging".
 */
#include "t32.h"

#define VA   0x40000000u
#define P    1u
#define W    2u
#define U    4u
#define A    0x20u
#define D    0x40u
#define PS   0x80u
#define G    0x100u
#define L(x) ((u32)(x))

static u32 *pd, *pt;
static u64 *pdpt, *pds, *pt64;
static u8 *page;

asm("u_rd: mov 0x40000000, %al; int $0x80; u_wr: mov %al, 0x40000000; int $0x80; u_ex: mov $0x40000000, %eax; jmp "
    "*%eax\n");
extern char u_rd[], u_wr[], u_ex[];
static int rd(void)
{
	return CATCH(*(volatile u8 *)VA);
}
static int wr(void)
{
	return CATCH(*(volatile u8 *)VA = 1);
}
static int ex(void)
{
	return CATCH(((void (*)(void))VA)());
}
static int code(int v)
{
	if (v == EX_PF)
		check("CR2", last_cr2, VA);
	return v == EX_PF ? (int)last.error : v == 0x80 || v == -1 ? -1 : 0x1000 + v;
}

static void permissions(void (*set)(u32, u32))
{
	page[0] = 0xc3;
	for (unsigned k = 0; k < 16; k++) {
		u32 upper = P | (k & 1 ? W : 0) | (k & 2 ? U : 0), lower = P | (k & 4 ? W : 0) | (k & 8 ? U : 0);
		bool w = upper & lower & W, u = upper & lower & U;

		set(upper, lower);
		check("supervisor read", code(rd()), -1);
		check("supervisor write, WP 0", code(wr()), -1);
		write_cr0(read_cr0() | 0x10000);
		check("supervisor write, WP 1", code(wr()), w ? -1 : 3);
		write_cr0(read_cr0() & ~0x10000u);
		check("user read", code(user(u_rd, 0)), u ? -1 : 5);
		check("user write", code(user(u_wr, 0)), u && w ? -1 : 7);
		page[0] = 0xc3;
		check("supervisor fetch", code(ex()), -1);
	}
	set(0, P | W | U);
	check("not present above", code(rd()), 0);
	set(P | W | U, 0);
	check("not present", code(user(u_wr, 0)), 6);
}

/* ---- 32-bit paging ---- */

static void set32(u32 upper, u32 lower)
{
	pd[VA >> 22] = L(pt) | upper;
	pt[0] = L(page) | lower;
	invlpg((void *)VA);
}

static void legacy(void)
{
	u32 r[4];

	pd = page_alloc();
	pt = page_alloc();
	page = page_alloc();
	/* without PSE: 4 KiB pages for the guest itself */
	for (unsigned k = 0; k < 4; k++) {
		u32 *t = page_alloc();

		for (unsigned n = 0; n < 1024; n++)
			t[n] = k << 22 | n << 12 | P | W | U;
		pd[k] = L(t) | P | W | U;
	}
	write_cr3(L(pd));
	write_cr0(read_cr0() | 0x80000000);
	permissions(set32);
	set32(P | W | U, P | W | U);
	wr();
	check("A above", pd[VA >> 22] & (A | D), A);
	check("A, D below", pt[0] & (A | D), A | D);
	pd[VA >> 22] = L(pt) | P | W | U | PS;
	invlpg((void *)VA);
	check("PS is ignored without PSE", code(rd()), -1);
	write_cr4(read_cr4() | 0x10);
	pd[VA >> 22] = P | W | U | PS;
	write_cr3(read_cr3());
	*(volatile u8 *)0x9000 = 0x42;
	check("4 MiB page", *(volatile u8 *)(VA + 0x9000), 0x42);
	check("4 MiB A", pd[VA >> 22] & (A | D), A);
	*(volatile u8 *)(VA + 0x9001) = 0x43;
	check("4 MiB D", pd[VA >> 22] & (A | D), A | D);
	check("4 MiB written", *(volatile u8 *)0x9001, 0x43);
	cpuid(0x80000008, 0, r);
	pd[VA >> 22] = P | W | U | PS | 1u << 21; /* reserved */
	invlpg((void *)VA);
	check("PSE-36 bit 21", code(rd()), 9);
	pd[VA >> 22] = P | W | U | PS | 1u << 13; /* address bit 32: nothing there, reads as ones */
	invlpg((void *)VA);
	check("PSE-36 address", CATCH(*(volatile u8 *)VA), -1);
	/* staleness */
	set32(P | W | U, P | W | U);
	page[0] = 1;
	u8 *other = page_alloc();
	other[0] = 2;
	check("page", *(volatile u8 *)VA, 1);
	pt[0] = L(other) | P | W | U;
	check("stale", *(volatile u8 *)VA, 1);
	write_cr3(L(pd));
	check("fresh", *(volatile u8 *)VA, 2);
	/* page crossing: the second page missing */
	pt[1] = 0;
	invlpg((void *)(VA + 0x1000));
	check("crossing", CATCH(*(volatile u32 *)(VA + 0xffe) = 0), EX_PF);
	check("crossing CR2", last_cr2, VA + 0x1000);
	write_cr0(read_cr0() & ~0x80000000u);
	write_cr4(read_cr4() & ~0x10u);
}

/* ---- PAE ---- */

static void set_pae(u32 upper, u32 lower)
{
	pds[512 + 0] = L(pt64) | upper; /* VA is 1 GiB: the second directory */
	pt64[0] = L(page) | lower;
	invlpg((void *)VA);
}

static void pae(void)
{
	u64 nx = 1ull << 63;

	pdpt = page_alloc();
	pds = page_alloc();
	page_alloc();
	pt64 = page_alloc();
	pdpt[0] = L(pds) | P;
	pdpt[1] = L(pds + 512) | P;
	for (unsigned k = 0; k < 8; k++)
		pds[k] = k << 21 | P | W | U | PS;
	write_cr4(read_cr4() | 0x20);
	write_cr3(L(pdpt));
	write_cr0(read_cr0() | 0x80000000);
	permissions(set_pae);
	set_pae(P | W | U, P | W | U);
	wr();
	check("PAE A", pds[512] & (A | D), A);
	check("PAE D", pt64[0] & (A | D), A | D);
	/* NX */
	pt64[0] |= nx;
	invlpg((void *)VA);
	check("NX reserved without NXE", code(rd()), 9);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 0x800);
	page[0] = 0xc3;
	check("NX", code(ex()), 0x11);
	check("NX read", code(rd()), -1);
	check("NX user", code(user(u_ex, 0)), 0x15);
	set_pae(P | W | U, P | W | U);
	pds[512] |= nx;
	invlpg((void *)VA);
	check("NX above", code(ex()), 0x11);
	set_pae(P | W | U, P | W | U);
	pt64[0] |= 1ull << 60;
	invlpg((void *)VA);
	check("PAE reserved", code(rd()), 9);
	set_pae(P | W | U | PS, P | W | U);
	pds[512] = P | W | U | PS | 0x2000;
	invlpg((void *)VA);
	check("2 MiB, bit 13", code(rd()), 9);
	pds[512] = P | W | U | PS;
	invlpg((void *)VA);
	check("2 MiB", *(volatile u8 *)(VA + 0x9001), 0x43);
	/* the PDPTEs are registers: a change in memory counts at the next CR3 write (Intel), or walk (AMD may read
	 * either) */
	if (cpu_is_intel()) {
		pdpt[1] = 0;
		invlpg((void *)VA);
		check("PDPTE register", CATCH(*(volatile u8 *)VA), -1);
		write_cr3(L(pdpt));
		check("PDPTE loaded", CATCH(*(volatile u8 *)VA), EX_PF);
	}
	pdpt[1] = L(pds + 512) | P | W; /* reserved bit */
	check("MOV CR3 with a reserved PDPTE bit", CATCH(write_cr3(L(pdpt))), EX_GP);
	check("error", last.error, 0);
	pdpt[1] = L(pds + 512) | P;
	write_cr3(L(pdpt));
	pdpt[2] = W | U; /* not present: no checks */
	check("PDPTE not present", CATCH(write_cr3(L(pdpt))), -1);
	check("CR3 bits 11:5 belong to the table", (write_cr3(L(pdpt)), read_cr3()), L(pdpt));
	/* PAE off under paging reloads; into long mode is impossible without LME: EFER.LME under paging is #GP */
	check("LME under paging", CATCH(wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 0x100)), EX_GP);
	check("MOV CR4 PCIDE outside long mode", CATCH(write_cr4(read_cr4() | 1u << 17)), EX_GP);
	write_cr0(read_cr0() & ~0x80000000u);
	write_cr4(read_cr4() & ~0x20u);
}

int main(void)
{
	legacy();
	pae();
	return guest_verdict();
}
