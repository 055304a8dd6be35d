/* Virtual-8086 mode: segments, IOPL-sensitive instructions, interrupts through the IDT, VME and its redirection map,
 * PVI. SDM 3B "8086 Emulation". */
#include "t32.h"

#define L(x)     ((u32)(x))
#define CODE_SEG 0x900 /* 9000h */
#define VM       0x20000u
#define VIF      0x80000u
#define VIP      0x100000u

/* Run bytes in virtual-8086 mode until INT 80h by way of the IDT (gate DPL 3), or a fault. */
static int v86(const void *code, u32 len, u32 eflags)
{
	memcpy((void *)(CODE_SEG * 16), code, len);
	last.vector = ~0u;
	return CATCH(asm volatile(
	        "push %4; push %4; push %4; push %4; push %3; push %2; push %1; push %0; pushl $0; iret" ::"i"(
	                CODE_SEG),
	        "r"(eflags | VM | 2), "i"(0xfff0), "i"(0x800), "i"(0x700)
	        : "memory"));
}
#define BYTES(...) ((const u8[]){__VA_ARGS__}), sizeof((const u8[]){__VA_ARGS__})
#define END        0xcd, 0x80

static u16 *stack(void)
{
	return (u16 *)(0x8000 + 0xfff0);
}

static void basics(void)
{
	u8 *data = (u8 *)0x7000;

	data[0x10] = 0x5a;
	/* mov al,[10h]; mov bx,cs; mov cx,ss; mov dx,ds; push ax; int 80h */
	check("INT 80h at IOPL 3", v86(BYTES(0xa0, 0x10, 0, 0x8c, 0xcb, 0x8c, 0xd1, 0x8c, 0xda, END), 0x3000), 0x80);
	check("DS base", last.eax & 0xff, 0x5a);
	check("CS", last.ebx & 0xffff, CODE_SEG);
	check("SS", last.ecx & 0xffff, 0x800);
	check("DS", last.edx & 0xffff, 0x700);
	check("pushed CS", last.cs, CODE_SEG);
	check("pushed EIP", last.eip, 11);
	check("pushed VM", last.eflags & VM, VM);
	check("pushed SS", last.ss, 0x800);
	check("pushed ESP", last.esp, 0xfff0);
	check("pushed ES, DS, FS, GS",
	      (last.v_es & 0xffff) == 0x700 && (last.v_ds & 0xffff) == 0x700 && (last.v_fs & 0xffff) == 0x700 &&
	              (last.v_gs & 0xffff) == 0x700,
	      1);
	check("DS in the handler is null", last.ds & 0xffff, 0);
	check("FS in the handler is null", last.fs & 0xffff, 0);
	/* mov ax,1234h; mov ds,ax; mov ax,ds; segment loads are real-mode like */
	check("MOV DS", v86(BYTES(0xb8, 0x34, 0x12, 0x8e, 0xd8, 0x8c, 0xd8, END), 0x3000), 0x80);
	check("DS value", last.eax & 0xffff, 0x1234);
	/* limit of 64 KiB: mov eax,[0xffff] (32-bit operand) */
	check("#GP beyond 64 KiB", v86(BYTES(0x66, 0xa1, 0xff, 0xff, END), 0x3000), EX_GP);
	check("#GP error", last.error, 0);
	/* 32-bit address above 64 KiB: a32 mov al,[0x10000] */
	check("#GP by a 32-bit address", v86(BYTES(0x67, 0xa0, 0, 0, 1, 0, END), 0x3000), EX_GP);
	check("#SS", v86(BYTES(0xbd, 0xff, 0xff, 0x8b, 0x46, 0, END), 0x3000), EX_SS);
	check("HLT", v86(BYTES(0xf4), 0x3000), EX_GP);
	check("HLT EIP", last.eip, 0);
	check("MOV CR0", v86(BYTES(0x0f, 0x20, 0xc0), 0x3000), EX_GP);
	check("LGDT", v86(BYTES(0x0f, 0x01, 0x16, 0, 0), 0x3000), EX_GP);
	check("SLDT", v86(BYTES(0x0f, 0x00, 0xc0), 0x3000), EX_UD);
	check("LAR", v86(BYTES(0x0f, 0x02, 0xc0), 0x3000), EX_UD);
	check("ARPL", v86(BYTES(0x63, 0xc0), 0x3000), EX_UD);
	check("VERR", v86(BYTES(0x0f, 0x00, 0xe0), 0x3000), EX_UD);
	check("UD2", v86(BYTES(0x0f, 0x0b), 0x3000), EX_UD);
	check("DIV 0", v86(BYTES(0x31, 0xc9, 0xf7, 0xf1), 0x3000), EX_DE);
	check("CLTS", v86(BYTES(0x0f, 0x06), 0x3000), EX_GP);
	/* far jump to 8A0:600h = 9000h: real-mode arithmetic */
	*(u8 *)0x9100 = 0xcd;
	*(u8 *)0x9101 = 0x80;
	check("far JMP", v86(BYTES(0xea, 0x00, 0x01, 0x00, 0x09), 0x3000), 0x80);
	check("far JMP CS", last.cs, 0x900);
	/* INT n with gate DPL 0 */
	check("INT 21h, gate DPL 0", v86(BYTES(0xcd, 0x21), 0x3000), EX_GP);
	check("INT 21h error", last.error, 0x21 * 8 + 2);
	check("INT3", v86(BYTES(0xcc), 0x3000), EX_BP);
	check("INT3 EIP", last.eip, 1);
	check("INTO", v86(BYTES(0xb0, 0x7f, 0x04, 0x01, 0xce), 0x3000), EX_OF);
}

static void sensitive(void)
{
	static const u8 codes[][2] = {{0xfa, 0xcd}, {0xfb, 0xcd}, {0x9c, 0xcd}, {0x9d, 0xcd}, {0xcf, 0xcd}};

	for (unsigned k = 0; k < 5; k++)
		check("CLI STI PUSHF POPF IRET at IOPL 0", v86(codes[k], 2, 0), EX_GP);
	check("INT 80h at IOPL 0", v86(BYTES(END), 0), EX_GP);
	check("INT 80h at IOPL 0 error", last.error, 0);
	check("CLI at IOPL 3", v86(BYTES(0xfa, END), 0x3200), 0x80);
	check("IF clear", last.eflags & 0x200, 0);
	check("PUSHF at IOPL 3", v86(BYTES(0x9c, 0x58, END), 0x3000), 0x80);
	check("PUSHF value", last.eax & 0x3fff, 0x3002);
	check("PUSHFD hides VM and RF", v86(BYTES(0x66, 0x9c, 0x66, 0x58, END), 0x3000), 0x80);
	check("PUSHFD value", last.eax & 0x30000, 0);
	/* push 3202h; popf; IOPL stays */
	check("POPF at IOPL 3", v86(BYTES(0x68, 0x02, 0x02, 0x9d, END), 0x3000), 0x80);
	check("IF set, IOPL kept", last.eflags & 0x3200, 0x3200);
	/* IRET: push flags, cs, ip */
	check("IRET at IOPL 3", v86(BYTES(0x68, 0x03, 0x00, 0x0e, 0x68, 0x09, 0x00, 0xcf, 0xf4, END), 0x3000), 0x80);
	check("IRET flags", last.eflags & 0x3001, 0x3001);
	/* I/O always follows the map */
	memset(main_tss.more + 32, 0xff, 64);
	check("IN", v86(BYTES(0xe4, 0x80), 0x3000), EX_GP);
	main_tss.more[32 + 16] = 0xfe;
	check("IN allowed, IOPL 0", v86(BYTES(0xe4, 0x80, 0xcc), 0), EX_BP);
	main_tss.more[32 + 16] = 0xff;
}

/* Interrupt redirection map in main_tss.more[0..31], the I/O map behind it. */
static void vme(void)
{
	u32 vector = 0x21 * 4, kept;

	asm("" : "+r"(vector));
	kept = *(u32 *)vector;
	*(u32 *)vector = 0x9000100; /* 900h:100h */
	/* at 9100h: mov bp,sp; mov ax,[bp+4]; mov bx,[bp]; mov cx,[bp+2]; int 80h through the IDT */
	static const u8 handler[] = {0x89, 0xe5, 0x8b, 0x46, 4, 0x8b, 0x5e, 0, 0x8b, 0x4e, 2, END};

	memcpy((void *)0x9100, handler, sizeof(handler));
	write_cr4(read_cr4() | 1);
	memset(main_tss.more, 0xff, 32);
	main_tss.more[0x21 / 8] &= (u8) ~(1u << (0x21 & 7));
	check("redirected INT 21h at IOPL 3", v86(BYTES(0xcd, 0x21), 0x3200), 0x80);
	check("return IP", last.ebx & 0xffff, 2);
	check("return CS", last.ecx & 0xffff, CODE_SEG);
	check("FLAGS", last.eax & 0x7200, 0x3200);
	check("IF cleared", last.eflags & 0x200, 0);
	check("SP", last.esp & 0xffff, 0xfff0 - 6);
	check("pushed on the v86 stack", stack()[-3], 2);
	check("redirected with TF: no trap behind it", v86(BYTES(0xcd, 0x21), 0x3300), 0x80);
	check("FLAGS with TF", last.eax & 0x7300, 0x3300);
	check("TF cleared", last.eflags & 0x100, 0);
	/* mov sp,1; int 21h: what its delivery raises goes through the IDT, not to the program's table */
	check("redirected, the push faults", v86(BYTES(0xbc, 1, 0, 0xcd, 0x21), 0x3200), EX_SS);
	check("the push faults: error", last.error, 0);
	check("the push faults: EIP", last.eip, 3);
	check("the push faults: RF", last.eflags & 0x10000, 0x10000);
	static const u16 outside[] = {31, 0xffff}; /* no bitmap below it, or not within the TSS */
	for (unsigned k = 0; k < 2; k++) {
		main_tss.iomap = outside[k];
		check("no redirection bitmap", v86(BYTES(0xcd, 0x21), 0x3200), EX_GP);
		check("no redirection bitmap: error", last.error, 0);
	}
	main_tss.iomap = 0x68 + 32;
	/* at IOPL 0 the virtual interrupt flag takes IF's place */
	idt[3] = gate(L(stubs[3]), KCODE, 14, 3, 0);
	static const u8 handler0[] = {0x89, 0xe5, 0x8b, 0x46, 4, 0x8b, 0x5e, 0, 0x8b, 0x4e, 2, 0xcc};

	memcpy((void *)0x9100, handler0, sizeof(handler0));
	check("redirected at IOPL 0", v86(BYTES(0xcd, 0x21), VIF | 0x200), EX_BP);
	check("FLAGS show VIF as IF and IOPL 3", last.eax & 0x3200, 0x3200);
	check("VIF cleared", last.eflags & VIF, 0);
	check("IF not touched", last.eflags & 0x200, 0x200);
	check("not redirected at IOPL 0", v86(BYTES(0xcd, 0x22), 0), EX_GP);
	check("not redirected at IOPL 0 error", last.error, 0);
	check("STI sets VIF", v86(BYTES(0xfb, 0xcc), 0), EX_BP);
	check("VIF", last.eflags & (VIF | 0x200), VIF);
	check("CLI clears VIF", v86(BYTES(0xfa, 0xcc), VIF | 0x200), EX_BP);
	check("VIF clear", last.eflags & (VIF | 0x200), 0x200);
	check("STI with VIP", v86(BYTES(0xfb, 0xcc), VIP), EX_GP);
	check("STI with VIP EIP", last.eip, 0);
	check("PUSHF", v86(BYTES(0x9c, 0x58, 0xcc), VIF), EX_BP);
	check("PUSHF shows VIF as IF and IOPL 3", last.eax & 0x3200, 0x3200);
	check("PUSHFD at IOPL 0", v86(BYTES(0x66, 0x9c, 0xcc), VIF), EX_GP);
	check("POPF", v86(BYTES(0x68, 0x02, 0x02, 0x9d, 0xcc), 0), EX_BP);
	check("POPF IF to VIF", last.eflags & (VIF | 0x3200), VIF);
	check("POPF with VIP", v86(BYTES(0x68, 0x02, 0x02, 0x9d, 0xcc), VIP), EX_GP);
	check("POPF with TF", v86(BYTES(0x68, 0x02, 0x01, 0x9d, 0xcc), 0), EX_GP);
	check("IRET", v86(BYTES(0x68, 0x02, 0x02, 0x0e, 0x68, 0x09, 0x00, 0xcf, 0xf4, 0xcc), 0), EX_BP);
	check("IRET IF to VIF", last.eflags & (VIF | 0x200), VIF);
	/* without VME VIF is an ordinary bit nobody reads */
	write_cr4(read_cr4() & ~1u);
	check("no redirection without VME", v86(BYTES(0xcd, 0x21), 0x3000), EX_GP);
	check("no redirection error", last.error, 0x21 * 8 + 2);
	*(u32 *)vector = kept;
}

asm("u_sti: sti; int $0x80; u_cli: cli; int $0x80\n");
extern char u_sti[], u_cli[];
static void pvi(void)
{
	write_cr4(read_cr4() | 2);
	check("PVI STI", user(u_sti, 0), 0x80);
	check("PVI VIF", last.eflags & (VIF | 0x200), VIF);
	check("PVI CLI", user(u_cli, VIF | 0x200), 0x80);
	check("PVI VIF clear", last.eflags & (VIF | 0x200), 0x200);
	check("PVI STI with VIP", user(u_sti, VIP), EX_GP);
	write_cr4(read_cr4() & ~2u);
	check("STI without PVI", user(u_sti, 0), EX_GP);
}

static void gates(void)
{
	u64 saved = idt[0x80];

	gdt[FREE_SEL / 8] = descriptor(0, 0xfffff, 0x9f, 0xc); /* conforming: not allowed out of v86 */
	idt[0x80] = gate(L(stubs[0x80]), FREE_SEL, 14, 3, 0);
	check("conforming handler", v86(BYTES(END), 0x3000), EX_GP);
	check("conforming handler error", last.error, FREE_SEL);
	gdt[FREE_SEL / 8] = descriptor(0, 0xfffff, 0xbb, 0xc); /* DPL 1 */
	check("handler of ring 1", v86(BYTES(END), 0x3000), EX_GP);
	check("handler of ring 1 error", last.error, FREE_SEL);
	idt[0x80] = saved;
}

int main(void)
{
	basics();
	sensitive();
	vme();
	pvi();
	gates();
	return guest_verdict();
}
