/*
 * What the host bridge does with memory below 1 MiB and at the top of RAM: PAM, SMRAM, high SMRAM, TSEG. Intel 4 Series
 * Chipset Family data sheet, "PAM0" to "PAM6", "SMRAM", "ESMRAMC". Run with --smp 2.
 */
#include "t64.h"

enum { PAM0 = 0x90, SMRAM = 0x9d, ESMRAMC = 0x9e, TSEGMB = 0xac, TOLUD = 0xb0 };
enum { G_SMRAME = 8, D_LCK = 0x10, D_CLS = 0x20, D_OPEN = 0x40 };
enum { T_EN = 1, H_SMRAME = 0x80 };
#define LAPIC 0xfee00000ull
#define SEG_A 0xa0000ull
#define HSEG  0xfeda0000ull

static void select(unsigned reg)
{
	outl(0xcf8, 0x80000000u | (reg & 0xfc));
}

static u8 get(unsigned reg)
{
	select(reg);
	return inb((u16)(0xcfc + (reg & 3)));
}

static void put(unsigned reg, unsigned v)
{
	select(reg);
	outb((u16)(0xcfc + (reg & 3)), (u8)v);
}

static u8 read8(u64 a)
{
	return *(volatile u8 *)a;
}

static void write8(u64 a, unsigned v)
{
	*(volatile u8 *)a = (u8)v;
}

/* ---- PAM ---- */

/* Segment 0 is F0000h; 1 to 12 are 16 KiB each from C0000h up. */
static u64 segment(unsigned n)
{
	return n ? 0xc0000 + 0x4000ull * (n - 1) : 0xf0000;
}

static void attribute(unsigned n, unsigned v)
{
	unsigned reg = PAM0 + (n + 1) / 2, shift = n & 1 ? 0 : 4;

	put(reg, (get(reg) & ~(3u << shift)) | v << shift);
}

/* "00 disabled; 01 read only: writes are forwarded; 10 write only: reads are forwarded; 11 normal". Nobody answers
 * behind the bridge: all ones. */
static void pam_values(unsigned n)
{
	static const struct {
		u8 seen, stored; /* after 11h was there and 22h is written: what is read, what RAM holds */
	} want[4] = {{0xff, 0x11}, {0x11, 0x11}, {0xff, 0x22}, {0x22, 0x22}};
	u64 at = segment(n) + 0x3ffd;

	for (unsigned v = 0; v < 4; v++) {
		attribute(n, 3);
		write8(at, 0x11);
		check("PAM: normal", read8(at), 0x11);
		attribute(n, v);
		check("PAM: before the write", read8(at), v & 1 ? 0x11 : 0xff);
		write8(at, 0x22);
		check("PAM: after the write", read8(at), want[v].seen);
		attribute(n, 3);
		check("PAM: in RAM", read8(at), want[v].stored);
		attribute(n, v);
		asm volatile("lock incb (%0)" ::"r"(at) : "memory"); /* reads and writes go apart */
		attribute(n, 3);
		check("PAM: read, modify, write", read8(at), v == 0 ? 0x11 : v == 1 ? 0x11 : v == 2 ? 0x00 : 0x23);
	}
}

/* Each attribute is of one segment. */
static void pam_segments(void)
{
	for (unsigned n = 0; n < 13; n++)
		write8(segment(n), 0x40 + n);
	for (unsigned off = 0; off < 13; off++) {
		attribute(off, 0);
		for (unsigned n = 0; n < 13; n++)
			check("PAM: one segment", read8(segment(n)), n == off ? 0xff : 0x40 + n);
		attribute(off, 3);
	}
}

/* MOV EAX, n; RET */
static void put_code(u64 at, u8 n)
{
	const u8 code[] = {0xb8, n, 0, 0, 0, 0xc3};

	for (unsigned k = 0; k < sizeof(code); k++)
		write8(at + k, code[k]);
}

static u32 call(u64 at)
{
	u32 (*f)(void) = (u32(*)(void))at;

	return f();
}

/* Code in such a page: what was decoded before is not what is there afterwards. */
static void pam_code(void)
{
	const u64 at = segment(5) + 0x100;

	put_code(at, 1);
	check("code: in RAM", call(at), 1);
	attribute(5, 2);
	put_code(at, 2); /* under the reads */
	attribute(5, 3);
	check("code: written while it could not be read", call(at), 2);
	attribute(5, 1);
	put_code(at, 3);
	check("code: write-protected", call(at), 2);
	attribute(5, 0);
	check("code: gone", CATCH(call(at)), EX_UD); /* FFh FFh */
	attribute(5, 3);
	check("code: back", call(at), 2);
}

/* ---- the second processor: real mode at 8000h; 8F00h orders, 8F01h and 8F02h answer ---- */

asm(".pushsection .rodata\n .globl ap_code, ap_code_end\n ap_code: .code16\n"
    " cli; xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp; mov $0xd000, %ax; mov %ax, %es\n"
    " movb $0xaa, 0x8f03\n"
    "1: pause; mov 0x8f00, %al; test %al, %al; jz 1b\n"
    " mov %es:0, %bl; mov %bl, 0x8f01; cmp $2, %al; jne 2f; lcall $0xd000, $0x10; mov %al, 0x8f02\n"
    "2: movb $0, 0x8f00; jmp 1b; ap_code_end: .code64\n .popsection\n");
extern u8 ap_code[], ap_code_end[];

static u8 order(u8 what)
{
	write8(0x8f00, what);
	for (u64 k = 0; k < 10000000 && read8(0x8f00); k++)
		asm volatile("pause" ::: "memory");
	check("second processor: done", read8(0x8f00), 0);
	return read8(0x8f01);
}

static void second_processor(void)
{
	const u64 at = segment(5); /* D0000h */

	memset((void *)0x8f00, 0, 16);
	memcpy((void *)0x8000, ap_code, (size_t)(ap_code_end - ap_code));
	mmio_write(LAPIC + 0xf0, 0x1ff);
	mmio_write(LAPIC + 0x310, 1u << 24);
	mmio_write(LAPIC + 0x300, 0x4500);
	mmio_write(LAPIC + 0x310, 1u << 24);
	mmio_write(LAPIC + 0x300, 0x608);
	for (u64 k = 0; k < 10000000 && read8(0x8f03) != 0xaa; k++)
		asm volatile("pause" ::: "memory");
	check("second processor: up", read8(0x8f03), 0xaa);
	for (u8 round = 1; round <= 3; round++) {
		attribute(5, 2);
		write8(at, round);
		write8(at + 0x10, 0xb0); /* MOV AL, round; RETF */
		write8(at + 0x11, round);
		write8(at + 0x12, 0xcb);
		check("second processor: not readable", order(1), 0xff);
		attribute(5, 3);
		check("second processor: data", order(2), round);
		check("second processor: code", read8(0x8f02), round);
	}
}

/* ---- SMRAM ---- */

static void smram(void)
{
	check("SMRAM: default", get(SMRAM), 2);
	write8(SEG_A, 0x77);
	check("A0000h: nobody", read8(SEG_A), 0xff);
	put(SMRAM, D_OPEN);
	check("A0000h: D_OPEN needs G_SMRAME", read8(SEG_A), 0xff);
	put(SMRAM, D_OPEN | G_SMRAME);
	write8(SEG_A, 0x5a);
	write8(SEG_A + 0x1ffff, 0x5b);
	put_code(SEG_A + 0x100, 7);
	check("A0000h: open", read8(SEG_A), 0x5a);
	check("A0000h: code", call(SEG_A + 0x100), 7);
	put(SMRAM, D_OPEN | D_CLS | G_SMRAME);
	check("A0000h: closed to data", read8(SEG_A), 0xff);
	check("A0000h: not to code", call(SEG_A + 0x100), 7);
	put(SMRAM, G_SMRAME);
	check("A0000h: not open", read8(SEG_A), 0xff);
	check("BFFFFh: not open", read8(SEG_A + 0x1ffff), 0xff);
	check("A0000h: no code", CATCH(call(SEG_A + 0x100)), EX_UD);
	write8(SEG_A, 0x66);
	put(SMRAM, D_OPEN | G_SMRAME);
	check("A0000h: a write outside SMM went nowhere", read8(SEG_A), 0x5a);
	put(ESMRAMC, H_SMRAME);
	check("high SMRAM: at FEDA0000h", read8(HSEG), 0x5a);
	check("high SMRAM: to FEDBFFFFh", read8(HSEG + 0x1ffff), 0x5b);
	check("high SMRAM: not at A0000h", read8(SEG_A), 0xff);
	check("high SMRAM: the code is the same", call(HSEG + 0x100), 7);
	put_code(HSEG + 0x100, 8);
	put(ESMRAMC, 0);
	check("high SMRAM: its code below", call(SEG_A + 0x100), 8);
	check("high SMRAM: off", read8(HSEG), 0xff);
}

static void tseg(void)
{
	u64 top = (u64)(get(TOLUD + 1) << 8 | (get(TOLUD) & 0xf0)) << 16, base = top - (1 << 20);

	write8(base - 1, 0x31);
	write8(base, 0x32);
	write8(top - 1, 0x33);
	put(TSEGMB + 2, (unsigned)(base >> 16));
	put(TSEGMB + 3, (unsigned)(base >> 24));
	put(SMRAM, G_SMRAME);
	put(ESMRAMC, T_EN);
	check("TSEG: below", read8(base - 1), 0x31);
	check("TSEG: first byte", read8(base), 0xff);
	check("TSEG: last byte", read8(top - 1), 0xff);
	put(SMRAM, G_SMRAME | D_OPEN);
	check("TSEG: open, first byte", read8(base), 0x32);
	check("TSEG: open, last byte", read8(top - 1), 0x33);
	put(SMRAM, G_SMRAME);
}

/* "When D_LCK is set to 1 then D_OPEN is reset to 0 and D_LCK, D_OPEN, ... become read only." */
static void lock(void)
{
	put(SMRAM, D_OPEN | G_SMRAME);
	put(SMRAM, D_OPEN | G_SMRAME | D_LCK);
	check("D_LCK: D_OPEN falls", get(SMRAM), G_SMRAME | D_LCK | 2);
	check("D_LCK: A0000h", read8(SEG_A), 0xff);
	put(SMRAM, D_OPEN | G_SMRAME);
	check("D_LCK: stays, and D_OPEN with it", get(SMRAM), G_SMRAME | D_LCK | 2);
	check("D_LCK: A0000h cannot be opened", read8(SEG_A), 0xff);
	put(SMRAM, 0);
	check("D_LCK: G_SMRAME stays", get(SMRAM), G_SMRAME | D_LCK | 2);
	put(SMRAM, D_CLS);
	check("D_LCK: D_CLS does not", get(SMRAM), G_SMRAME | D_LCK | D_CLS | 2);
	u8 before = get(ESMRAMC);
	put(ESMRAMC, H_SMRAME);
	check("D_LCK: ESMRAMC", get(ESMRAMC), before);
	check("D_LCK: TSEG stays on", before & T_EN, T_EN);
}

int main(void)
{
	t_setup();
	for (unsigned n = 0; n < 13; n++)
		pam_values(n);
	pam_segments();
	pam_code();
	second_processor();
	smram();
	tseg();
	lock();
	return guest_verdict();
}
