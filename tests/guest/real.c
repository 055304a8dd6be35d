/*
 * Real-address mode: interrupts through the IVT, exceptions and their saved IP, the 64 KiB limit, addresses beyond 1
 * MiB, 32-bit operands, big segments kept from protected mode, a timer interrupt. SDM 3B "8086 Emulation".
 */
#include "t32.h"

#define L(x)     ((u32)(x))
#define CODE_SEG 0x900
#define STUBS    0x6000
#define COMMON   0x6c00

struct frame {
	u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
	u16 vector, ip, cs, flags;
};
static struct frame *f;
static u16 real_ds;

/*
 * Down: 16-bit protected mode first, so that the segments get their 64 KiB limits; then PE off. Up: the IVT stub pushed
 * its vector; everything is saved on the real-mode stack, whose address goes to 5F00h.
 */
asm(".pushsection .rodata; .globl down16, down16_end, up16, up16_end; .code16\n"
    "down16: mov $0x38, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %fs; mov %ax, %gs; mov %ax, %ss; mov %cr0, %eax; and "
    "$~1, %al; mov %eax, %cr0; ljmp $0, $0x5820\n"
    " .org down16 + 0x20; mov $0x800, %ax; mov %ax, %ss; mov $0xfff0, %esp; mov $0x700, %ax; mov %ax, %ds; mov %ax, "
    "%es; xor %ax, %ax; mov %ax, %fs; mov %fs:0x5f30, %gs; lidtl %fs:0x5f20\n"
    " pushw %fs:0x5f28; popf; ljmp $0x900, $0; down16_end:\n"
    "up16: cli; pushal; mov %ds, %bx; xor %ax, %ax; mov %ax, %ds; mov %bx, 0x5f08; xor %eax, %eax; mov %ss, %ax; shl "
    "$4, %eax; movzwl %sp, %ecx; add %ecx, %eax; mov %eax, 0x5f00\n"
    " lgdtl 0x5f10; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; ljmpl $8, $back32; up16_end: .code32; .popsection\n"
    "enter16: pusha; mov %esp, kept_sp; ljmp $0x30, $0x5800\n"
    "back32: cld; mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; mov %eax, %ss; mov "
    "kept_sp, %esp; lidt idt_pointer; popa; ret\n"
    ".data; kept_sp: .long 0; .text\n");
extern u8 down16[], down16_end[], up16[], up16_end[];
extern u8 gdt_pointer[];

static u8 *low(u32 a)
{
	asm("" : "+r"(a));
	return (u8 *)a;
}

static void put_ivt(u32 base, unsigned v, u32 to)
{
	*(u32 *)low(base + v * 4) = to;
}

static void setup(void)
{
	for (unsigned v = 0; v < 256; v++) {
		u8 *s = low(STUBS + v * 8);

		s[0] = 0x68; /* PUSH v */
		*(u16 *)(s + 1) = (u16)v;
		s[3] = 0xe9;
		*(u16 *)(s + 4) = (u16)(COMMON - (STUBS + v * 8 + 6));
		put_ivt(0, v, STUBS + v * 8);
	}
	memcpy(low(0x5800), down16, (size_t)(down16_end - down16));
	memcpy(low(COMMON), up16, (size_t)(up16_end - up16));
	memcpy(low(0x5f10), gdt_pointer, 6);
	*(u16 *)low(0x5f20) = 0x3ff;
	*(u32 *)low(0x5f22) = 0;
	*(u16 *)low(0x5f28) = 2;
}

/* Run bytes at 900:0 until an interrupt; which one. */
static int real(const void *code, u32 len)
{
	memcpy(low(CODE_SEG * 16), code, len);
	asm volatile("call enter16" ::: "memory", "cc");
	f = (struct frame *)*(u32 *)low(0x5f00);
	real_ds = *(u16 *)low(0x5f08);
	return f->vector;
}
#define BYTES(...) ((const u8[]){__VA_ARGS__}), sizeof((const u8[]){__VA_ARGS__})
#define END        0xcd, 0x80

static void fault(const char *name, int vector, u16 ip, const void *code, u32 len)
{
	check(name, real(code, len), vector);
	check(name, f->ip, ip);
	check(name, f->cs, CODE_SEG);
	check(name, L(f), 0x8000 + 0xfff0 - 40); /* FLAGS, CS, IP and no error code */
}

static void interrupts(void)
{
	fault("INT 80h", 0x80, 2, BYTES(END));
	check("flags", f->flags, 2);
	fault("INT3", 3, 1, BYTES(0xcc));
	fault("INTO", 4, 5, BYTES(0xb0, 0x7f, 0x04, 0x01, 0xce));
	fault("DIV 0", 0, 2, BYTES(0x31, 0xc9, 0xf7, 0xf1));
	fault("UD2", 6, 0, BYTES(0x0f, 0x0b));
	fault("BOUND", 5, 9, BYTES(0xc7, 0x06, 0, 0, 5, 0, 0xb8, 4, 0, 0x62, 0x06, 0, 0));
	fault("ICEBP", 1, 1, BYTES(0xf1));
	fault("SLDT", 6, 0, BYTES(0x0f, 0x00, 0xc0));
	fault("LTR", 6, 0, BYTES(0x0f, 0x00, 0xd8));
	fault("LAR", 6, 0, BYTES(0x0f, 0x02, 0xc0));
	fault("ARPL", 6, 0, BYTES(0x63, 0xc0));
	fault("LOCK NOP", 6, 0, BYTES(0xf0, 0x90));
	/* flags: PUSH 0AD7h; POPF; INT: IF and TF would be cleared in the handler, all are pushed */
	check("POPF", real(BYTES(0x68, 0xd5, 0x3c, 0x9d, END)), 0x80);
	check("pushed flags", f->flags, 0x3cd7);
	check("NT and IOPL can be set in real mode", real(BYTES(0x68, 0x02, 0x70, 0x9d, END)), 0x80);
	check("NT and IOPL", f->flags, 0x7002);
	/* a handler of the program's own: INT 60h, IRET back */
	put_ivt(0, 0x60, CODE_SEG << 16 | 0x100);
	memcpy(low(CODE_SEG * 16 + 0x100), (u8[]){0x9c, 0x5b, 0xb9, 0x77, 0x07, 0xcf},
	       6); /* pushf; pop bx; mov cx,777h; iret */
	check("INT 60h and IRET", real(BYTES(0x68, 0x03, 0x02, 0x9d, 0xcd, 0x60, END)), 0x80);
	check("handler ran", f->ecx & 0xffff, 0x777);
	check("IF cleared inside", f->ebx & 0x200, 0);
	check("flags restored", f->flags & 0x201, 0x201);
	put_ivt(0, 0x60, STUBS + 0x60 * 8);
	/* IRETD takes 32-bit slots */
	check("IRETD", real(BYTES(0x66, 0x68, 2, 0, 0, 0, 0x66, 0x0e, 0x66, 0x68, 0x10, 0, 0, 0, 0x66, 0xcf, END)),
	      0x80);
	/* single step */
	check("TF", real(BYTES(0x68, 0x02, 0x01, 0x9d, 0x90, 0x90)), 1);
	check("TF IP", f->ip, 5);
}

static void limits(void)
{
	fault("word at FFFFh", 13, 0, BYTES(0xa1, 0xff, 0xff));
	fault("dword at FFFDh", 13, 0, BYTES(0x66, 0xa1, 0xfd, 0xff));
	fault("word at FFFFh of the stack", 12, 3, BYTES(0xbd, 0xff, 0xff, 0x8b, 0x46, 0));
	fault("32-bit address beyond 64 KiB", 13, 0, BYTES(0x67, 0xa0, 0, 0, 1, 0));
	check("byte at FFFFh", real(BYTES(0xa0, 0xff, 0xff, END)), 0x80);
	check("16-bit addresses wrap", real(BYTES(0xc6, 0x06, 0x10, 0, 0x5d, 0xbb, 0xff, 0xff, 0x8a, 0x47, 0x11, END)),
	      0x80);
	check("wrapped", f->eax & 0xff, 0x5d);
	fault("MOV CS", 6, 0, BYTES(0x8e, 0xc8));
	/* jump over the end of the segment: jmp far 900:FFFF of a one-byte NOP, then IP would be 10000h */
	*low(0x9000 + 0xffff) = 0x90;
	check("running over the end", real(BYTES(0xea, 0xff, 0xff, 0x00, 0x09)), 13);
}

static void small_idt(void)
{
	*(u16 *)low(0x5f20) = 0x40 * 4 - 1;
	fault("INT beyond the IDT limit", 13, 0, BYTES(0xcd, 0x80));
	*(u16 *)low(0x5f20) = 0x3ff;
	/* the table elsewhere */
	for (unsigned v = 0; v < 256; v++)
		put_ivt(0x4000, v, STUBS + (v ^ 1) * 8);
	*(u32 *)low(0x5f22) = 0x4000;
	check("moved IVT", real(BYTES(0xcd, 0x80)), 0x81);
	*(u32 *)low(0x5f22) = 0;
}

static void memory(void)
{
	/* FFFF:0010 is 100000h: our own image's first byte */
	check("beyond 1 MiB", real(BYTES(0xb8, 0xff, 0xff, 0x8e, 0xd8, 0xa0, 0x10, 0x00, END)), 0x80);
	check("A20 is on", f->eax & 0xff, *low(0x100000));
	check("DS", real_ds, 0xffff);
	/* mov ax,1234h; mov es,ax; mov al,es:[0] */
	*low(0x12340) = 0x99;
	check("segment times sixteen", real(BYTES(0xb8, 0x34, 0x12, 0x8e, 0xc0, 0x26, 0xa0, 0, 0, END)), 0x80);
	check("value", f->eax & 0xff, 0x99);
	check("32-bit operands", real(BYTES(0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0x50, 0x5b, 0x59, END)), 0x80);
	check("low word", f->ebx & 0xffff, 0x5678);
	check("high word", f->ecx & 0xffff, 0x1234);
	/* lds si,[0]: 5:7 */
	check("LDS", real(BYTES(0xc7, 0x06, 0, 0, 7, 0, 0xc7, 0x06, 2, 0, 5, 0, 0xc5, 0x36, 0, 0, END)), 0x80);
	check("LDS DS", real_ds, 5);
	check("LDS SI", f->esi & 0xffff, 7);
	/* far call and return with parameters */
	memcpy(low(0x9100), (u8[]){0x89, 0xe5, 0x8b, 0x46, 4, 0xca, 2, 0}, 8); /* mov bp,sp; mov ax,[bp+4]; retf 2 */
	check("far CALL", real(BYTES(0x68, 0xcd, 0xab, 0x9a, 0, 1, 0, 9, 0x89, 0xe1, END)), 0x80);
	check("parameter", f->eax & 0xffff, 0xabcd);
	check("SP after RETF 2", f->ecx & 0xffff, 0xfff0);
	/* rep stosw over the wrap of DI; loop with CX */
	check("LOOP", real(BYTES(0xb9, 5, 0, 0x31, 0xc0, 0x40, 0xe2, 0xfd, END)), 0x80);
	check("LOOP count", f->eax & 0xffff, 5);
	check("REP STOSB wraps DI", real(BYTES(0xbf, 0xfe, 0xff, 0xb9, 4, 0, 0xb0, 0x31, 0xf3, 0xaa, END)), 0x80);
	check("DI", f->edi & 0xffff, 2);
	check("wrapped byte", *low(0x7001), 0x31);
	check("SMSW", real(BYTES(0x0f, 0x01, 0xe0, END)), 0x80);
	check("PE is off", f->eax & 1, 0);
	check("CPUID", real(BYTES(0x66, 0x31, 0xc0, 0x0f, 0xa2, END)), 0x80);
	check("MOV CR3", real(BYTES(0x0f, 0x20, 0xd8, END)), 0x80);
	/* SP = 2: FLAGS goes to 0000h, CS and IP wrap to the top of the segment */
	*(u16 *)low(0x8000) = 0;
	check("INT across the top of the stack", real(BYTES(0xbc, 2, 0, END)), 0x80);
	check("FLAGS below the wrap", *(u16 *)low(0x8000) & 2, 2);
	check("CS above the wrap", *(u16 *)low(0x8000 + 0xfffe), CODE_SEG);
	check("PUSH SP", real(BYTES(0x54, 0x58, END)), 0x80);
	check("PUSH SP value", f->eax & 0xffff, 0xfff0);
	check("ENTER, LEAVE", real(BYTES(0xc8, 0x10, 0, 0, 0x89, 0xe0, 0xc9, 0x89, 0xe3, END)), 0x80);
	check("ENTER SP", f->eax & 0xffff, 0xfff0 - 2 - 0x10);
	check("LEAVE SP", f->ebx & 0xffff, 0xfff0);
}

/* Big limits loaded in protected mode stay until the next load changes them; a real-mode load keeps the limit. */
static void big_segments(void)
{
	/* cli; lgdt 0:5f10; cr0|=1; mov bx,10h; mov ds,bx; cr0&=~1; xor bx,bx; mov ds,bx; a32 mov al,[100000h] */
	static const u8 code[] = {0xfa, 0x64, 0x66, 0x0f, 0x01, 0x16, 0x10, 0x5f, 0x0f, 0x20, 0xc0, 0x0c, 1,
	                          0x0f, 0x22, 0xc0, 0xbb, 0x10, 0,    0x8e, 0xdb, 0x24, 0xfe, 0x0f, 0x22, 0xc0,
	                          0x31, 0xdb, 0x8e, 0xdb, 0x67, 0xa0, 1,    0,    0x10, 0,    END};

	check("big real mode", real(code, sizeof(code)), 0x80);
	check("4 GiB limit", f->eax & 0xff, *low(0x100001));
}

/* IRQ 0 through the 8259 pair at its traditional vector. */
static void timer(void)
{
	outb(0x20, 0x11), outb(0x21, 8), outb(0x21, 4), outb(0x21, 1), outb(0x21, 0xfe), outb(0xa1, 0xff);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~0x800ull); /* no local APIC: INTR straight from the 8259 */
	outb(0x43, 0x34), outb(0x40, 0), outb(0x40, 0x10);
	fault("HLT and IRQ 0", 8, 2, BYTES(0xfb, 0xf4));
	check("IF pushed", f->flags & 0x200, 0x200);
	outb(0x21, 0xff);
	outb(0x20, 0x20);
}

int main(void)
{
	setup();
	interrupts();
	limits();
	small_idt();
	memory();
	big_segments();
	timer();
	return guest_verdict();
}
