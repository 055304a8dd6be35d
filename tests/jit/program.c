/* The bytes of program.h: first what is the same for all seeds, then the snippets. */
#include "program.h"

#include <string.h>

/* ---- places, linear and physical ---- */
enum {
	AT_START = PROGRAM_BASE, /* start-up and handlers */
	AT_GDT = 0x201000,
	AT_TSS = 0x201100,      /* one for each processor, 128 bytes apart */
	AT_POINTERS = 0x201300, /* operands of LGDT and LIDT */
	AT_IDT = 0x202000,
	AT_PML4 = 0x203000,
	AT_PDPT = 0x204000,
	AT_PD_LOW = 0x205000, /* 0 to 1 GiB */
	AT_PD_ALIAS = 0x206000,
	AT_PT_ALIAS = 0x207000, /* 4-KByte pages from ALIAS on */
	AT_PD_APIC = 0x208000,
	AT_PT_LOW = 0x209000, /* 2 to 4 MiB */
	AT_VARS = 0x210000,   /* one page for each processor */
	AT_STACKS = 0x212000, /* of handlers: 4 KByte for each */
	AT_CODE = 0x220000,   /* 64 KByte of snippets, half for each processor */
	AT_FAR = 0x230000,    /* small functions, a page each: FAR_PAGES of them, every one at the same offset */
	AT_DATA = 0x240000,   /* 64 KByte that the snippets work on */
	AT_STACK = 0x258000,  /* below it: the snippets' stacks, 8 KByte for each */
	TRAMPOLINE = 0x8000,  /* where the second processor starts */
	ALIAS = 0x40000000, /* page n: CODE for n < 16, DATA for n < 32, then FAR pages by a page table that changes */
	APIC = 0xfee00000,
	MMIO = 1500, /* ticks of the timer that an access to the APIC takes */
};
#define CODE_BYTES 0x8000u
#define DATA_BYTES 0x10000u
#define FAR_PAGES  4u
enum { VAR_RECOVER, VAR_HASH = 8, VAR_DRAWN = 16, VAR_COUNT = 24, VAR_EVENTS = 32, VAR_STACK = 40 }; /* in AT_VARS */
enum { SEL_CODE = 8, SEL_DATA = 16, SEL_CODE_USER = 0x23, SEL_DATA_USER = 0x2b, SEL_CODE32 = 0x30, SEL_TSS = 0x40 };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
enum { TIMER = 0x30, SOFT = 0x31 };

struct maker {
	u8 *memory; /* PROGRAM_SIZE bytes at PROGRAM_BASE */
	u32 at;     /* where the next byte goes */
	u64 random;
	struct program_kind kind;
	unsigned cpu;
	u32 vars, data, patches[64]; /* patches: operands of 4 bytes that may be overwritten */
	unsigned patch_count;
	u32 far[FAR_PAGES];
};

static u64 draw(struct maker *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random * 0x2545f4914f6cdd1d;
}

static u32 below(struct maker *m, u32 n)
{
	return (u32)((draw(m) >> 32) * n >> 32);
}

static bool one_in(struct maker *m, u32 n)
{
	return !below(m, n);
}

/* ---- bytes ---- */
static u8 *place(struct maker *m, u32 at)
{
	return m->memory + (at - PROGRAM_BASE);
}

static void put(struct maker *m, unsigned b)
{
	*place(m, m->at++) = (u8)b;
}

static void put_n(struct maker *m, u64 v, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		put(m, (unsigned)(v >> 8 * k) & 255);
}

static void put32(struct maker *m, u32 v)
{
	put_n(m, v, 4);
}

/* Fixed code, as it stands in a listing: "48 8b 04 25", then operands by put32(). */
static void hex(struct maker *m, const char *s)
{
	static const char digits[] = "0123456789abcdef";

	for (; s[0] && s[1]; s += s[2] ? 3 : 2)
		put(m, (unsigned)(strchr(digits, s[0]) - digits) << 4 | (unsigned)(strchr(digits, s[1]) - digits));
}

static void write64(struct maker *m, u32 at, u64 v)
{
	memcpy(place(m, at), &v, 8);
}

/* ---- tables ---- */
static void make_tables(struct maker *m)
{
	const u64 all = 7; /* present, writable, user */

	write64(m, AT_PML4, AT_PDPT | all);
	write64(m, AT_PDPT, AT_PD_LOW | all);
	write64(m, AT_PDPT + 8, AT_PD_ALIAS | all);
	write64(m, AT_PDPT + 24, AT_PD_APIC | all);
	write64(m, AT_PD_LOW, 0x83); /* for the trampoline */
	write64(m, AT_PD_LOW + 8, AT_PT_LOW | all);
	for (u32 n = 0; n < PROGRAM_SIZE >> 12; n++) /* and nothing else: who goes astray is soon back */
		write64(m, AT_PT_LOW + 8 * n, (PROGRAM_BASE + n * 0x1000) | all);
	write64(m, AT_PD_ALIAS, AT_PT_ALIAS | all);
	write64(m, AT_PD_APIC + 8 * (APIC >> 21 & 511), (APIC & ~0x1fffffu) | 0x93); /* not for CPL 3, not cached */
	for (u32 n = 0; n < 32; n++)
		write64(m, AT_PT_ALIAS + 8 * n, (n < 16 ? (u32)AT_CODE : AT_DATA - 16 * 0x1000u) + n * 0x1000 + all);
	for (u32 n = 0; n < FAR_PAGES; n++)
		write64(m, AT_PT_ALIAS + 8 * (32 + n), AT_FAR + n * 0x1000 + all);
	write64(m, AT_PT_ALIAS + 8 * 48, (u64)AT_DATA | 5); /* read-only */
	write64(m, AT_GDT + SEL_CODE, 0x00af9b000000ffff);
	write64(m, AT_GDT + SEL_DATA, 0x00cf93000000ffff);
	write64(m, AT_GDT + (SEL_CODE_USER & ~7), 0x00affb000000ffff);
	write64(m, AT_GDT + (SEL_DATA_USER & ~7), 0x00cff3000000ffff);
	write64(m, AT_GDT + SEL_CODE32, 0x00cf9b000000ffff);
	for (u32 n = 0; n < 2; n++) {
		const u32 tss = AT_TSS + n * 128, stack = AT_STACKS + (n + 1) * 0x1000;

		write64(m, AT_GDT + SEL_TSS + 16 * n, 0x0000890000000067 | (u64)(tss & 0xffffff) << 16);
		write64(m, tss + 4, stack);
		write64(m, tss + 0x24, stack); /* IST1 */
	}
	write64(m, AT_POINTERS, 0x7f | (u64)AT_GDT << 16);
	write64(m, AT_POINTERS + 16, 0xfff | (u64)AT_IDT << 16);
}

static void gate(struct maker *m, unsigned vector, u32 handler)
{
	write64(m, AT_IDT + 16 * vector,
	        (handler & 0xffff) | SEL_CODE << 16 | 0x0000ee0100000000 | (u64)(handler >> 16) << 48);
}

/* ---- handlers: R11 is the page of variables; RAX, RBX and R11 are pushed below what the processor pushed ---- */

static void hash_stack(struct maker *m, unsigned offset)
{
	hex(m, "48 33 5c 24"); /* xor rbx, [rsp+offset] */
	put(m, offset);
	hex(m, "48 69 db"); /* imul rbx, rbx, K */
	put32(m, 0x5851f42d);
	hex(m, "48 c1 c3 11"); /* rol rbx, 17 */
}

/* The page of variables by the processor's own TSS: STR. */
static void enter_handler(struct maker *m)
{
	hex(m, "50 53 41 53");                /* push rax; push rbx; push r11 */
	hex(m, "66 0f 00 c8");                /* str ax */
	hex(m, "0f b7 c0 83 e8 40 c1 e0 08"); /* movzx eax, ax; sub eax, 40h; shl eax, 8: 0 or 1000h */
	hex(m, "44 8d 98");                   /* lea r11d, [rax+VARS] */
	put32(m, AT_VARS);
	hex(m, "49 8b 5b 08"); /* mov rbx, [r11+HASH] */
}

static void leave_handler(struct maker *m, unsigned drop)
{
	hex(m, "49 89 5b 08"); /* mov [r11+HASH], rbx */
	hex(m, "49 ff 43 20"); /* inc qword [r11+EVENTS] */
	hex(m, "41 5b 5b 58"); /* pop r11; pop rbx; pop rax */
	if (drop) {
		hex(m, "48 83 c4"); /* add rsp, drop */
		put(m, drop);
	}
	hex(m, "48 cf"); /* iretq */
}

/* An exception: to the next snippet, with a stack and flags that serve. */
static void make_exceptions(struct maker *m)
{
	const u32 errors = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
	u32 stub[32], common;

	for (unsigned v = 0; v < 32; v++) {
		stub[v] = m->at;
		if (!(errors >> v & 1))
			hex(m, "6a 00"); /* push 0 */
		hex(m, "6a");
		put(m, v);
		hex(m, "e9");
		put32(m, 0);
	}
	common = m->at;
	for (unsigned v = 0; v < 32; v++) {
		const u32 jump = stub[v] + (errors >> v & 1 ? 2 : 4) + 1, distance = common - (jump + 4);

		memcpy(place(m, jump), &distance, 4);
		gate(m, v, stub[v]);
	}
	enter_handler(m);
	for (unsigned offset = 24; offset <= 64; offset += 8) /* vector, error code, RIP, CS, RFLAGS, RSP */
		hash_stack(m, offset);
	hex(m, "0f 20 d0 48 31 c3");       /* mov rax, cr2; xor rbx, rax */
	hex(m, "49 8b 03 48 89 44 24 28"); /* mov rax, [r11+RECOVER]; mov [rsp+40], rax */
	hex(m, "48 81 64 24 38");          /* and qword [rsp+56], no DF, TF, NT, AC */
	put32(m, ~(u32)(0x400 | 0x100 | 0x4000 | 0x40000));
	hex(m, "81 4c 24 38 00 02 00 00");    /* or dword [rsp+56], IF */
	hex(m, "41 8b 43 28 48 89 44 24 40"); /* mov eax, [r11+40]; mov [rsp+64], rax: the stack of the snippets */
	leave_handler(m, 16);
}

/* The timer, which draws when it comes next; and INT SOFT, which only looks. */
static void make_interrupts(struct maker *m)
{
	gate(m, TIMER, m->at);
	enter_handler(m);
	hash_stack(m, 24);
	hash_stack(m, 40);
	hash_stack(m, 48);
	hex(m, "49 8b 43 10 48 69 c0"); /* mov rax, [r11+DRAWN]; imul rax, rax, K */
	put32(m, 0x4c957f2d);
	hex(m, "48 83 c0 2b 49 89 43 10 48 c1 e8 20 25 ff 03 00 00 05"); /* add; mov back; shr 32; and 3ffh; add eax,
	                                                                    MMIO */
	put32(m, m->kind.second ? 7 * MMIO : MMIO + 20);                 /* time passes for both */
	hex(m, "53 bb");                                                 /* push rbx; mov ebx, APIC */
	put32(m, APIC);
	hex(m, "c7 83 b0 00 00 00 00 00 00 00"); /* mov dword [rbx+0b0h], 0: EOI */
	hex(m, "89 83 80 03 00 00");             /* mov [rbx+380h], eax: initial count */
	hex(m, "5b");
	leave_handler(m, 0);
	gate(m, SOFT, m->at);
	enter_handler(m);
	hash_stack(m, 24);
	hash_stack(m, 40);
	leave_handler(m, 0);
}

/* ---- start-up, from flat 32-bit code on ---- */

static void mov_memory(struct maker *m, u32 at, u32 v)
{
	hex(m, "48 c7 04 25"); /* mov qword [at], v */
	put32(m, at);
	put32(m, v);
}

static void start_timer(struct maker *m)
{
	static const u32 write[][2] = {{0xf0, 0x1ff}, {0x3e0, 0xb}, {0x320, TIMER}, {0x380, 5000}};

	hex(m, "bb");
	put32(m, APIC);
	for (unsigned k = 0; k < ARRAY_LEN(write); k++) {
		hex(m, "c7 83"); /* mov dword [rbx+register], v */
		put32(m, write[k][0]);
		put32(m, write[k][1]);
	}
}

/* INIT, SIPI, SIPI: the trampoline is copied first. */
static void start_second(struct maker *m, u32 from, u32 bytes)
{
	hex(m, "be");
	put32(m, from);
	hex(m, "bf");
	put32(m, TRAMPOLINE);
	hex(m, "b9");
	put32(m, bytes);
	hex(m, "f3 a4 bb"); /* rep movsb; mov ebx, APIC */
	put32(m, APIC);
	for (unsigned k = 0; k < 3; k++) {
		hex(m, "c7 83 00 03 00 00");
		put32(m, k ? 0xc4600 | TRAMPOLINE >> 12 : 0xc4500);
		hex(m, "b9 00 20 00 00 ff c9 75 fc"); /* mov ecx, 2000h; dec ecx; jnz */
	}
}

static u32 make_start(struct maker *m, u32 trampoline, u32 trampoline_bytes)
{
	const u32 start = m->at, code = AT_CODE + m->cpu * CODE_BYTES, stack = AT_STACK - m->cpu * 0x2000;

	if (m->cpu)
		hex(m, "b8 10 00 00 00 8e d8 8e d0 8e c0"); /* it comes from real mode */
	hex(m, "b8");
	put32(m, AT_PML4);
	hex(m, "0f 22 d8 b8"); /* mov cr3, eax; mov eax, PAE OSFXSR OSXMMEXCPT OSXSAVE */
	put32(m, 0x40620);
	hex(m, "0f 22 e0 b9 80 00 00 c0 b8"); /* mov cr4, eax; mov ecx, EFER; mov eax, SCE LME NXE */
	put32(m, 0x901);
	hex(m, "31 d2 0f 30 0f 01 15"); /* xor edx, edx; wrmsr; lgdt */
	put32(m, AT_POINTERS);
	hex(m, "b8");
	put32(m, 0x80010033); /* PG WP NE ET MP PE */
	hex(m, "0f 22 c0 ea");
	put32(m, m->at + 6);
	put_n(m, SEL_CODE, 2);
	hex(m, "b8 10 00 00 00 8e d0 8e d8 8e c0"); /* SS, DS, ES */
	hex(m, "0f 01 1c 25");                      /* lidt */
	put32(m, AT_POINTERS + 16);
	hex(m, "66 b8");
	put_n(m, SEL_TSS + 16 * m->cpu, 2);
	hex(m, "0f 00 d8 31 c9 31 d2 b8 07 00 00 00 0f 01 d1"); /* ltr ax; xsetbv: x87, SSE, AVX */
	hex(m, "48 c7 c4");
	put32(m, stack);
	mov_memory(m, m->vars + VAR_STACK, stack);
	mov_memory(m, m->vars + VAR_DRAWN, (u32)draw(m) & 0x7fffffff);
	mov_memory(m, m->vars + VAR_RECOVER, code);
	if (trampoline)
		start_second(m, trampoline, trampoline_bytes);
	start_timer(m);
	for (unsigned r = 0; r < 16; r++) {
		if (r == RSP)
			continue;
		put(m, r < 8 ? 0x48 : 0x49); /* mov r, imm64 */
		put(m, 0xb8 | (r & 7));
		put_n(m, draw(m), 8);
	}
	hex(m, "68");
	put32(m, m->kind.user ? SEL_DATA_USER : SEL_DATA);
	hex(m, "68");
	put32(m, stack);
	hex(m, "68");
	put32(m, 0x202);
	hex(m, "68");
	put32(m, m->kind.user ? SEL_CODE_USER : SEL_CODE);
	hex(m, "68");
	put32(m, code);
	hex(m, "48 cf"); /* iretq */
	return start;
}

/* In real mode, at TRAMPOLINE: to the 32-bit code at `start`. */
static u32 make_trampoline(struct maker *m, u32 start)
{
	const u32 from = m->at;

	hex(m, "fa 66 2e 0f 01 16 18 00");       /* cli; o32 lgdt [cs:18h] */
	hex(m, "0f 20 c0 0c 01 0f 22 c0 66 ea"); /* mov eax, cr0; or al, 1; mov cr0, eax; jmp SEL_CODE32:start */
	put32(m, start);
	put_n(m, SEL_CODE32, 2);
	write64(m, m->at, 0x7f | (u64)AT_GDT << 16);
	m->at += 8;
	return from;
}

/* ---- random operands ---- */

/* Registers that hold addresses of data while a snippet runs, if nothing has overwritten them. */
static const u8 pointers[] = {RBX, RSI, RDI, RBP, 13, 14};

static u8 any_reg(struct maker *m)
{
	u8 r = (u8)below(m, 16);

	return r == RSP ? RAX : r;
}

static u8 a_target(struct maker *m)
{
	u8 r = any_reg(m);

	/* Mostly not a pointer: else every memory operand soon faults. */
	for (unsigned k = 0; k < ARRAY_LEN(pointers); k++)
		if (r == pointers[k] && !one_in(m, 24))
			return (u8)(k & 1 ? RDX : 8 + k / 2);
	return r;
}

struct operand {
	bool memory;
	u8 reg, base, index, scale;
	s32 disp;
};

static struct operand a_memory(struct maker *m)
{
	struct operand o = {.memory = true, .base = pointers[below(m, ARRAY_LEN(pointers))], .index = RSP};

	o.disp = (s32)below(m, 256) - 128;
	if (one_in(m, 6))
		o.disp = (s32)below(m, 0x3000) - 0x1800;
	if (one_in(m, 5)) {
		o.index = any_reg(m); /* mostly far away: a fault with all flags live */
		o.scale = (u8)below(m, 4);
		if (!one_in(m, 8))
			o.index = RSP;
	}
	return o;
}

static struct operand an_operand(struct maker *m)
{
	if (below(m, 5) < 2)
		return a_memory(m);
	return (struct operand){.reg = a_target(m)};
}

static unsigned rex_of(const struct operand *o, unsigned reg)
{
	unsigned rex = (reg & 8) >> 1;

	if (!o->memory)
		return rex | o->reg >> 3;
	return rex | o->base >> 3 | (unsigned)(o->index != RSP ? o->index >> 3 : 0) << 1;
}

static void put_modrm(struct maker *m, const struct operand *o, unsigned reg)
{
	const bool small = o->disp == (s8)o->disp, sib = o->memory && (o->index != RSP || (o->base & 7) == RSP);

	if (!o->memory) {
		put(m, 0xc0 | (reg & 7) << 3 | (o->reg & 7u));
		return;
	}
	put(m, (small ? 0x40u : 0x80u) | (reg & 7) << 3 | (sib ? RSP : o->base & 7u));
	if (sib)
		put(m, (unsigned)o->scale << 6 | (unsigned)(o->index & 7) << 3 | (o->base & 7u));
	put_n(m, (u64)(s64)o->disp, small ? 1 : 4);
}

/* size: 1, 2, 4, 8 of the operation; opcode: its bytes behind the prefixes, 0F escape and all. */
static void put_insn(struct maker *m, unsigned prefix, unsigned size, u32 opcode, const struct operand *o, unsigned reg)
{
	unsigned rex = rex_of(o, reg) | (size == 8 ? 8 : 0);

	if (prefix == 0xf0)
		put(m, prefix);
	if (size == 2)
		put(m, 0x66);
	if (prefix && prefix != 0xf0)
		put(m, prefix);
	if (rex || (size == 1 && one_in(m, 2))) /* without it, numbers 4 to 7 are AH to BH */
		put(m, 0x40 | rex);
	for (int n = opcode > 0xffff ? 2 : opcode > 0xff; n >= 0; n--)
		put(m, opcode >> 8 * n & 255);
	put_modrm(m, o, reg);
}

static unsigned a_size(struct maker *m)
{
	static const u8 size[] = {1, 2, 4, 4, 4, 8, 8, 8};

	return size[below(m, ARRAY_LEN(size))];
}

static void put_imm(struct maker *m, unsigned size)
{
	u64 v = one_in(m, 3) ? below(m, 64) : one_in(m, 4) ? 0x7fffffff + (u64)below(m, 3) : draw(m);

	put_n(m, v, size > 4 ? 4 : size);
}

/* ---- integer instructions ---- */

static void i_alu(struct maker *m)
{
	const struct operand o = an_operand(m);
	const unsigned size = a_size(m), op = below(m, 8) << 3, way = below(m, 4);

	if (way == 3) {
		const bool byte = size == 1 || one_in(m, 2);
		put_insn(m, 0, size, size == 1 ? 0x80 : byte ? 0x83 : 0x81, &o, op >> 3);
		put_imm(m, byte ? 1 : size);
	} else if (way == 2 && o.memory) {
		put_insn(m, 0, size, op | 2 | (size != 1), &o, a_target(m));
	} else {
		const bool lock = o.memory && op != 0x38 && one_in(m, 6);
		put_insn(m, lock ? 0xf0 : 0, size, op | (size != 1), &o, any_reg(m));
	}
}

static void i_move(struct maker *m)
{
	static const u32 extend[] = {0x0fb6, 0x0fb7, 0x0fbe, 0x0fbf, 0x63};
	const struct operand o = an_operand(m);
	const unsigned size = a_size(m);

	switch (below(m, 6)) {
	case 0: put_insn(m, 0, size, 0x88 | (size != 1), &o, any_reg(m)); break;
	case 1: put_insn(m, 0, size, 0x8a | (size != 1), &o, a_target(m)); break;
	case 2:
		put_insn(m, 0, size, 0xc6 | (size != 1), &o, 0);
		put_imm(m, size);
		break;
	case 3: put_insn(m, 0, one_in(m, 2) ? 4 : 8, extend[below(m, 5)], &o, a_target(m)); break;
	case 4: {
		const struct operand a = a_memory(m);
		put_insn(m, 0, one_in(m, 2) ? 4 : 8, 0x8d, &a, a_target(m));
		break;
	}
	default: put_insn(m, 0, size, 0x86 | (size != 1), &o, a_target(m)); break;
	}
}

static void i_unary(struct maker *m)
{
	const struct operand o = an_operand(m);
	const unsigned size = a_size(m), op = below(m, 9);

	if (op == 0) {
		put_insn(m, 0, size, 0xf6 | (size != 1), &o, 0); /* test */
		put_imm(m, size);
	} else if (op < 8) {
		if (op < 6 || one_in(m, 6)) /* divisions mostly fault */
			put_insn(m, 0, size, 0xf6 | (size != 1), &o, op);
	} else {
		put_insn(m, 0, size, 0xfe | (size != 1), &o, below(m, 2));
	}
}

static void i_shift(struct maker *m)
{
	const struct operand o = an_operand(m);
	const unsigned size = a_size(m), op = below(m, 8), way = below(m, 4);

	if (way == 3 && size != 1) {
		const bool by_cl = one_in(m, 2);
		const unsigned count = size == 2 ? below(m, 17) : below(m, 64);
		if (by_cl && size == 2)
			return; /* counts above 16 are undefined */
		put_insn(m, 0, size, (one_in(m, 2) ? 0x0fa4 : 0x0fac) | by_cl, &o, any_reg(m)); /* shld, shrd */
		if (!by_cl)
			put(m, count);
		return;
	}
	put_insn(m, 0, size, (way == 0 ? 0xc0 : way == 1 ? 0xd0 : 0xd2) | (size != 1), &o, op);
	if (way == 0)
		put(m, below(m, 70));
}

static void i_bits(struct maker *m)
{
	static const u32 plain[] = {0x0fa3, 0x0fab, 0x0fb3, 0x0fbb, 0x0fbc, 0x0fbd};
	static const u32 counts[] = {0x0fb8, 0x0fbc, 0x0fbd};
	const struct operand o = an_operand(m), r = {.reg = a_target(m)};
	const unsigned size = (unsigned)2 << below(m, 3);

	switch (below(m, 5)) {
	case 0:
		put_insn(m, 0, size, plain[below(m, 4)], &r, any_reg(m));
		break; /* in memory the number may lead anywhere */
	case 1: put_insn(m, 0, size, plain[4 + below(m, 2)], &o, a_target(m)); break;
	case 2: put_insn(m, 0xf3, size, counts[below(m, 3)], &o, a_target(m)); break;
	case 3:
		put_insn(m, 0, size, 0x0fba, &o, 4 + below(m, 4));
		put(m, below(m, 256));
		break;
	default:
		put(m, size == 8 || one_in(m, 2) ? 0x48 : 0x40); /* bswap of 16 bits is undefined */
		put(m, 0x0f);
		put(m, 0xc8 | (RAX + below(m, 3)));
		break;
	}
}

static void i_conditional(struct maker *m)
{
	const struct operand o = an_operand(m);

	if (one_in(m, 2))
		put_insn(m, 0, (unsigned)2 << below(m, 3), 0x0f40 | below(m, 16), &o, a_target(m));
	else
		put_insn(m, 0, 1, 0x0f90 | below(m, 16), &o, 0);
}

static void i_multiply(struct maker *m)
{
	const struct operand o = an_operand(m);
	const unsigned size = (unsigned)2 << below(m, 3), way = below(m, 3);

	put_insn(m, 0, size, way == 0 ? 0x0faf : way == 1 ? 0x69 : 0x6b, &o, a_target(m));
	if (way)
		put_imm(m, way == 1 ? size : 1);
}

static void i_exchange(struct maker *m)
{
	const struct operand o = an_operand(m), a = a_memory(m);
	const unsigned size = a_size(m), lock = o.memory && one_in(m, 2) ? 0xf0 : 0;

	switch (below(m, 4)) {
	case 0: put_insn(m, lock, size, 0x0fc0 | (size != 1), &o, a_target(m)); break;
	case 1: put_insn(m, lock, size, 0x0fb0 | (size != 1), &o, any_reg(m)); break;
	case 2: put_insn(m, one_in(m, 2) ? 0xf0 : 0, one_in(m, 2) ? 4 : 8, 0x0fc7, &a, 1); break; /* cmpxchg8b, 16b */
	default: put_insn(m, 0, size, 0x84 | (size != 1), &o, any_reg(m)); break;
	}
}

static void i_stack(struct maker *m)
{
	const u8 r = a_target(m);
	const unsigned pop = below(m, 2);

	switch (below(m, 5)) {
	case 0: hex(m, "9c"); break;    /* pushf */
	case 1: hex(m, "58 9e"); break; /* pop rax; sahf */
	case 2: hex(m, "9f"); break;    /* lahf */
	case 3:
		hex(m, "6a");
		put(m, below(m, 256));
		break;
	default:
		if (r >= 8)
			put(m, 0x41);
		put(m, (pop ? 0x58u : 0x50u) | (r & 7));
		break;
	}
}

static void i_single(struct maker *m)
{
	static const char *const code[] = {"98",
	                                   "48 98",
	                                   "99",
	                                   "48 99",
	                                   "f8",
	                                   "f9",
	                                   "f5",
	                                   "fc",
	                                   "66 98",
	                                   "66 99",
	                                   "90",
	                                   "f3 90",
	                                   "48 8b ec",
	                                   "0f 0b",
	                                   "cc",
	                                   "cd 31",
	                                   "f3 0f 1e fa",
	                                   "0f 1f 44 00 00",
	                                   "0f 31",
	                                   "fd fc",
	                                   "f1",
	                                   "0f 18 0b",
	                                   "0f ae e8",
	                                   "0f ae f0",
	                                   "9c 81 24 24 ff fa ff ff 9d",  /* pushf; and [rsp], no TF, DF; popf */
	                                   "9c 81 0c 24 00 01 00 00 9d"}; /* pushf; or [rsp], TF; popf */

	hex(m, code[below(m, ARRAY_LEN(code))]);
}

static void i_string(struct maker *m)
{
	static const char *const code[] = {"a4", "a5", "48 a5", "aa", "ab", "48 ab", "ac", "ad", "a6", "ae"};

	hex(m, "b9");
	put32(m, below(m, 20));
	if (one_in(m, 8))
		hex(m, "fd"); /* std */
	if (!one_in(m, 4))
		put(m, one_in(m, 4) ? 0xf2 : 0xf3);
	hex(m, code[below(m, ARRAY_LEN(code))]);
	hex(m, "fc");
}

/* BMI: ANDN, BEXTR, BZHI, SHLX, SARX, SHRX, MULX, PDEP, PEXT, RORX, BLSR and its kin. */
static void i_vex(struct maker *m)
{
	static const struct {
		u8 map, pp, opcode, reg; /* reg: an opcode extension with bit 7 set */
	} form[] = {{2, 0, 0xf2, 0},    {2, 0, 0xf7, 0},    {2, 0, 0xf5, 0},   {2, 1, 0xf7, 0}, {2, 2, 0xf7, 0},
	            {2, 3, 0xf7, 0},    {2, 3, 0xf6, 0},    {2, 3, 0xf5, 0},   {2, 2, 0xf5, 0}, {3, 3, 0xf0, 0},
	            {2, 0, 0xf3, 0x81}, {2, 0, 0xf3, 0x82}, {2, 0, 0xf3, 0x83}};
	const u32 n = below(m, ARRAY_LEN(form));
	const struct operand o = an_operand(m);
	const unsigned reg = form[n].reg ? form[n].reg & 7 : a_target(m), v = form[n].map == 3 ? 0 : a_target(m);
	const unsigned rex = rex_of(&o, reg);

	put(m, 0xc4);
	put(m, (~rex & 7) << 5 | form[n].map);
	put(m, below(m, 2) << 7 | (~v & 15) << 3 | form[n].pp);
	put(m, form[n].opcode);
	put_modrm(m, &o, reg);
	if (form[n].map == 3)
		put(m, below(m, 256));
}

/* ---- vectors and x87 ---- */

static void i_sse(struct maker *m)
{
	static const u8 moves[] = {0x10, 0x11, 0x28, 0x29, 0x12, 0x16, 0x14, 0x15},
	                arith[] = {0x58, 0x59, 0x5c, 0x5e, 0x51, 0x5d, 0x5f};
	static const u8 whole[] = {0xfc, 0xfd, 0xfe, 0xd4, 0xf8, 0xf9, 0xfa, 0xfb, 0xef, 0xeb, 0xdb, 0xdf, 0x74,
	                           0x75, 0x76, 0x60, 0x61, 0x62, 0x6c, 0x68, 0x69, 0x6a, 0x6d, 0xd5, 0xe5, 0xf4,
	                           0xf6, 0x64, 0x65, 0x66, 0xda, 0xde, 0x63, 0x67, 0x6b, 0xd2, 0xf3};
	static const u8 prefix[] = {0, 0x66, 0xf2, 0xf3};
	const struct operand o = one_in(m, 3) ? a_memory(m) : (struct operand){.reg = (u8)below(m, 16)},
	                     g = an_operand(m);
	const unsigned x = below(m, 16), p = prefix[below(m, 4)];

	switch (below(m, 9)) {
	case 0: {
		const u32 k = below(m, 8);
		put_insn(m, k < 2 ? p : p & 0x66, 4, 0x0f00 | moves[k], &o, x);
		break;
	}
	case 1:
	case 2: put_insn(m, p, 4, 0x0f00 | arith[below(m, ARRAY_LEN(arith))], &o, x); break;
	case 3:
	case 4: put_insn(m, 0x66, 4, 0x0f00 | whole[below(m, ARRAY_LEN(whole))], &o, x); break;
	case 5: put_insn(m, one_in(m, 2) ? 0x66 : 0xf3, 4, one_in(m, 2) ? 0x0f6f : 0x0f7f, &o, x); break;
	case 6:
		put_insn(m, p ? p : 0x66, 4, 0x0f70, &o, x);
		put(m, below(m, 256));
		break;
	case 7: put_insn(m, 0x66, one_in(m, 2) ? 4 : 8, one_in(m, 2) ? 0x0f6e : 0x0f7e, &g, x); break;
	default: {
		static const u8 convert[] = {0x2a, 0x2c, 0x2d};
		const u32 k = below(m, 4);
		if (k == 3)
			put_insn(m, p & 0x66, 4, 0x0f2e | below(m, 2), &o, x); /* ucomis, comis */
		else
			put_insn(m, one_in(m, 2) ? 0xf2 : 0xf3, one_in(m, 2) ? 4 : 8, 0x0f00u | convert[k], k ? &o : &g,
			         k ? a_target(m) : x);
		break;
	}
	}
}

/* The same operations with VEX, 128 and 256 bits. */
static void i_avx(struct maker *m)
{
	static const u8 arith[] = {0x58, 0x59, 0x5c, 0x5d, 0x5f, 0x54, 0x57},
	                whole[] = {0xfc, 0xfe, 0xd4, 0xef, 0xeb, 0xdb, 0xf4, 0x74};
	const struct operand o = one_in(m, 3) ? a_memory(m) : (struct operand){.reg = (u8)below(m, 16)};
	const unsigned x = below(m, 16), way = below(m, 3), rex = rex_of(&o, x), wide = below(m, 2) << 2;
	unsigned v = below(m, 16), pp = below(m, 2), opcode;

	if (way == 0)
		opcode = arith[below(m, ARRAY_LEN(arith))];
	else if (way == 1)
		opcode = whole[below(m, ARRAY_LEN(whole))], pp = 1;
	else
		opcode = one_in(m, 2) ? 0x10 : 0x11, v = 0;
	put(m, 0xc4);
	put(m, (~rex & 7) << 5 | 1);
	put(m, (~v & 15) << 3 | wide | pp);
	put(m, opcode);
	put_modrm(m, &o, x);
}

static void i_x87(struct maker *m)
{
	static const u8 memory[][2] = {{0xd9, 0}, {0xd9, 2}, {0xd9, 3}, {0xdd, 0}, {0xdd, 2}, {0xdd, 3},
	                               {0xdb, 0}, {0xdb, 3}, {0xdf, 5}, {0xdf, 7}, {0xd8, 0}, {0xd8, 1},
	                               {0xdc, 4}, {0xdc, 6}, {0xda, 1}, {0xde, 0}, {0xdb, 5}, {0xdb, 7}};
	static const char *const code[] = {"d9 e8", "d9 ee", "d9 e0", "d9 e1", "d9 c9", "d8 c1",
	                                   "dc c9", "de c1", "d9 fa", "dd d8", "d8 d1", "df e0",
	                                   "db e3", "db f1", "d9 c0", "dd c2", "d9 fc"};
	const struct operand o = a_memory(m);

	if (one_in(m, 2)) {
		const u32 k = below(m, ARRAY_LEN(memory));
		put_insn(m, 0, 4, memory[k][0], &o, memory[k][1]);
	} else {
		hex(m, code[below(m, ARRAY_LEN(code))]);
	}
}

static void one_insn(struct maker *m)
{
	static void (*const integer[])(struct maker *) = {
	        i_alu,   i_alu,   i_alu,  i_alu,         i_move,        i_move,     i_move,     i_move,  i_unary,
	        i_shift, i_shift, i_bits, i_conditional, i_conditional, i_multiply, i_exchange, i_stack, i_vex};
	static void (*const vector[])(struct maker *) = {i_sse, i_sse, i_sse, i_avx, i_x87};

	if (one_in(m, 30))
		i_single(m);
	else if (one_in(m, 50))
		i_string(m);
	else if (!m->kind.plain && one_in(m, 5))
		vector[below(m, ARRAY_LEN(vector))](m);
	else
		integer[below(m, ARRAY_LEN(integer))](m);
}

/* ---- snippets ---- */

static void pointer(struct maker *m, u8 r)
{
	const bool alias = one_in(m, 3);
	u32 to = (alias ? ALIAS + 0x10000u : (u32)AT_DATA) + 0x2000 + below(m, DATA_BYTES - 0x4000);

	if (one_in(m, 40))
		to = ALIAS + 48 * 0x1000 + below(m, 0x1000); /* read-only */
	if (one_in(m, 4))
		to = (to & ~0xfffu) | (0xff0 + below(m, 16));
	else if (one_in(m, 2))
		to &= ~15u;
	if (r >= 8)
		put(m, 0x41);
	put(m, 0xb8 | (r & 7)); /* mov r32, imm32 */
	put32(m, to);
}

static void pointers_again(struct maker *m)
{
	for (unsigned k = 0; k < ARRAY_LEN(pointers); k++)
		if (!one_in(m, 8))
			pointer(m, pointers[k]);
}

static void straight(struct maker *m, unsigned n)
{
	while (n--)
		one_insn(m);
}

/* Over a few instructions, or not. */
static void s_forward(struct maker *m)
{
	const bool wide = one_in(m, 4);
	u32 from;

	straight(m, 1 + below(m, 4));
	if (wide)
		put(m, 0x0f);
	put(m, (wide ? 0x80 : 0x70) | below(m, 16));
	from = m->at;
	put_n(m, 0, wide ? 4 : 1);
	straight(m, 1 + below(m, 3));
	const u32 distance = m->at - from - (wide ? 4 : 1);
	if (!wide && distance > 127)
		*place(m, from) = 0;
	else
		memcpy(place(m, from), &distance, wide ? 4 : 1);
}

/* A few times round, counted in memory. */
static void s_loop(struct maker *m)
{
	mov_memory(m, m->vars + VAR_COUNT, 2 + below(m, 12));
	const u32 top = m->at;

	straight(m, 1 + below(m, 7));
	hex(m, "48 ff 0c 25"); /* dec qword [COUNT] */
	put32(m, m->vars + VAR_COUNT);
	hex(m, "0f 8f"); /* jg: ends, whatever the snippet did to the count */
	put32(m, top - (m->at + 4));
}

static void s_straight(struct maker *m)
{
	straight(m, 2 + below(m, 14));
}

/* A function that other snippets call. */
static void s_call(struct maker *m)
{
	const u32 from = m->at;

	hex(m, "eb 00"); /* over the function */
	const u32 function = m->at;

	straight(m, 1 + below(m, 4));
	hex(m, "c3");
	if (m->at - from - 2 > 127) {
		m->at = from;
		return;
	}
	*place(m, from + 1) = (u8)(m->at - from - 2);
	for (unsigned k = 0; k < 2; k++) {
		straight(m, below(m, 3));
		if (one_in(m, 2)) {
			hex(m, "e8");
			put32(m, function - (m->at + 4));
		} else {
			hex(m, "b8"); /* mov eax, function; call rax */
			put32(m, one_in(m, 3) ? function - AT_CODE + ALIAS : function);
			hex(m, "ff d0");
		}
	}
}

/* mov r32, imm32, whose operand is a place that may be patched. */
static void patched(struct maker *m)
{
	const u8 r = (u8)below(m, 3);

	put(m, 0xb8 | r);
	m->patches[m->patch_count++ % ARRAY_LEN(m->patches)] = m->at;
	put32(m, below(m, 1000));
	hex(m, one_in(m, 2) ? "4d 01 c0" : "48 01 ca"); /* and something to do with it */
}

/* mov [somewhere in code], r32: ahead in this block, or anywhere that has such an operand. */
static void store_patch(struct maker *m, u32 to)
{
	static const char *const store[] = {"89 0c 25", "44 89 04 25", "88 0c 25", "66 89 14 25"};

	if (one_in(m, 3))
		to = to - AT_CODE + ALIAS;
	hex(m, store[below(m, ARRAY_LEN(store))]);
	put32(m, to);
}

static void s_patch(struct maker *m)
{
	u32 operand, to;

	if (one_in(m, 2)) {
		const u32 known = m->patch_count < ARRAY_LEN(m->patches) ? m->patch_count : ARRAY_LEN(m->patches);

		store_patch(m, m->patches[below(m, known)]);
		return;
	}
	store_patch(m, AT_CODE);
	operand = m->at - 4;
	straight(m, below(m, 3));
	if (one_in(m, 4))
		hex(m, "eb 00"); /* the next block */
	to = m->at + 1;
	patched(m);
	if (one_in(m, 3))
		to = to - AT_CODE + ALIAS;
	memcpy(place(m, operand), &to, 4);
}

/* Functions at the same offset of several pages: a page-table entry chooses, with INVLPG or without. */
static void s_remap(struct maker *m)
{
	const u32 entry = 32 + below(m, FAR_PAGES), offset = m->far[0] & 0xfff;

	mov_memory(m, AT_PT_ALIAS + 8 * entry, (AT_FAR + below(m, FAR_PAGES) * 0x1000) | 7);
	if (!one_in(m, 3)) {
		hex(m, "0f 01 3c 25"); /* invlpg */
		put32(m, ALIAS + entry * 0x1000);
	}
	hex(m, "b8");
	put32(m, ALIAS + entry * 0x1000 + offset);
	hex(m, "ff d0");
}

static void s_far(struct maker *m)
{
	hex(m, "e8");
	put32(m, m->far[below(m, FAR_PAGES)] - (m->at + 4));
}

static void s_flush(struct maker *m)
{
	hex(m, "0f 20 d8 0f 22 d8"); /* mov rax, cr3; mov cr3, rax */
}

static void snippet(struct maker *m)
{
	static void (*const kind[])(struct maker *) = {s_straight, s_straight, s_straight, s_forward,
	                                               s_forward,  s_loop,     s_loop,     s_call,
	                                               s_patch,    s_patch,    s_far,      s_remap};
	const u32 start = m->at;
	u32 next;

	mov_memory(m, m->vars + VAR_RECOVER, 0);
	if (one_in(m, 3))
		pointers_again(m);
	if (one_in(m, 60))
		s_flush(m);
	kind[below(m, ARRAY_LEN(kind))](m);
	next = m->at;
	memcpy(place(m, start + 8), &next, 4); /* where it goes on behind a fault */
}

static void make_far(struct maker *m)
{
	for (u32 n = 0; n < FAR_PAGES; n++) {
		m->at = m->far[n] = AT_FAR + n * 0x1000 + 0x40;
		hex(m, "41 ff c1 49 83 c2"); /* inc r9d; add r10, n */
		put(m, n + 1);
		straight(m, 2 + n);
		hex(m, "c3");
	}
}

static void make_snippets(struct maker *m)
{
	const u32 top = AT_CODE + m->cpu * CODE_BYTES;
	const unsigned n = 20 + below(m, 60);

	m->at = top;
	if (!m->kind.user)
		hex(m, "fb"); /* sti */
	hex(m, "48 c7 c4");   /* mov rsp: what was pushed is over */
	put32(m, AT_STACK - m->cpu * 0x2000);
	pointers_again(m);
	patched(m);
	for (unsigned k = 0; k < n && m->at < top + CODE_BYTES - 0x400; k++)
		snippet(m);
	hex(m, "e9");
	put32(m, top - (m->at + 4));
}

static void fill_data(struct maker *m)
{
	static const u64 edge[] = {0,
	                           ~0ull,
	                           1ull << 63,
	                           0x7fffffff,
	                           0x80000000,
	                           0x3ff0000000000000,
	                           0x7ff0000000000000,
	                           0x3f800000bf800000,
	                           1};

	for (u32 at = AT_DATA; at < AT_DATA + DATA_BYTES; at += 8)
		write64(m, at, one_in(m, 3) ? edge[below(m, ARRAY_LEN(edge))] : draw(m));
}

/* ---- the file ---- */

static void put_le(u8 *p, u64 v, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		p[k] = (u8)(v >> 8 * k);
}

/* ELF64, two program headers (the image, and the note with the entry point of the direct boot ABI), the note, the
 * image. */
static void make_file(u8 *f, u32 entry)
{
	static const u8 ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	u8 *ph = f + 64, *note = f + 64 + 2 * 56;

	memcpy(f, ident, sizeof(ident));
	put_le(f + 16, 2, 2);
	put_le(f + 18, 62, 2);
	put_le(f + 20, 1, 4);
	put_le(f + 24, entry, 8);
	put_le(f + 32, 64, 8);
	put_le(f + 52, 64, 2);
	put_le(f + 54, 56, 2);
	put_le(f + 56, 2, 2);
	for (unsigned k = 0; k < 2; k++, ph += 56) {
		put_le(ph, k ? 4 : 1, 4);
		put_le(ph + 4, 7, 4);
		put_le(ph + 8, k ? 64 + 2 * 56 : 0x1000, 8);
		put_le(ph + 16, k ? 0 : PROGRAM_BASE, 8);
		put_le(ph + 24, k ? 0 : PROGRAM_BASE, 8);
		put_le(ph + 32, k ? 20 : PROGRAM_SIZE, 8);
		put_le(ph + 40, k ? 20 : PROGRAM_SIZE, 8);
		put_le(ph + 48, k ? 4 : 0x1000, 8);
	}
	put_le(note, 4, 4);
	put_le(note + 4, 4, 4);
	put_le(note + 8, 18, 4); /* XEN_ELFNOTE_PHYS32_ENTRY */
	memcpy(note + 12, "Xen", 4);
	put_le(note + 16, entry, 4);
}

void program_make(u8 *elf, u64 seed, const struct program_kind *kind)
{
	struct maker m = {
	        .memory = elf + 0x1000, .at = AT_START, .random = seed * 0x9e3779b97f4a7c15 + 0x1234567, .kind = *kind};
	u32 entry, trampoline = 0;

	memset(elf, 0, PROGRAM_ELF);
	memset(m.memory + (AT_CODE - PROGRAM_BASE), 0xcc, AT_DATA - AT_CODE);
	make_tables(&m);
	make_exceptions(&m);
	make_interrupts(&m);
	fill_data(&m);
	make_far(&m);
	for (m.cpu = 0; m.cpu < (kind->second ? 2u : 1u); m.cpu++) {
		m.vars = AT_VARS + m.cpu * 0x1000;
		make_snippets(&m);
	}
	m.at = AT_START + 0x800;
	if (kind->second) {
		m.cpu = 1;
		m.vars = AT_VARS + 0x1000;
		entry = make_start(&m, 0, 0);
		trampoline = make_trampoline(&m, entry);
	}
	m.cpu = 0;
	m.vars = AT_VARS;
	entry = make_start(&m, trampoline, 32);
	make_file(elf, entry);
}
