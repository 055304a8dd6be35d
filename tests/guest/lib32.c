/* The library behind t32.h. */
#include "t32.h"

u64 gdt[128] __attribute__((aligned(16))), idt[256] __attribute__((aligned(16)));
struct tss32 main_tss;
u8 stack0[16384] __attribute__((aligned(16))), stack3[16384] __attribute__((aligned(16)));
struct regs last;
u32 last_cr2;
volatile bool fault_armed;
extern u8 image_end[];
static u8 *next_page;
static exception_fn *handlers[256];
static unsigned passed, failed;
static struct proved proved;

void *memset(void *d, int v, size_t n)
{
	void *r = d;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory");
	return r;
}

void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
	return r;
}

void *page_alloc(void)
{
	u8 *p = next_page;

	next_page += 4096;
	return memset(p, 0, 4096);
}

static void put(char ch)
{
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, (u8)ch);
}

void print(const char *s)
{
	while (*s)
		put(*s++);
}

static void number(u32 v, u32 base)
{
	char buf[12];
	int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(buf[--n]);
}

static void report(const char *name, u32 a, const char *middle, u32 b)
{
	print(name);
	number(a, 16);
	print(middle);
	number(b, 16);
	print("\n");
}

void check_(const char *name, u32 got, u32 want)
{
	if (got == want) {
		passed++;
		if (!proved_name(&proved, name))
			check("room for what is proved", 0, 1);
		return;
	}
	failed++;
	print("FAIL ");
	print(name);
	report(": got 0x", got, ", want 0x", want);
}

void proves(const char *ids)
{
	if (!failed && !proved_add(&proved, ids))
		check("room for what is proved", 0, 1);
}

int guest_verdict(void)
{
	proved_say(&proved, put);
	print("checks: ");
	number(passed + failed, 10);
	print("\n");
	number(passed, 10);
	print(" passed, ");
	number(failed, 10);
	print(" failed\n");
	return failed || !passed;
}

void guest_end(int status);
void guest_end(int status)
{
	if (status)
		asm volatile("outl %0, %w1" ::"a"(status), "d"(0xf4));
	asm volatile("outw %w0, %w1" ::"a"(0x2000 | 5 << 10), "d"(0x604));
	for (;;)
		asm volatile("cli; hlt");
}

void on_exception(unsigned vector, exception_fn *fn)
{
	handlers[vector] = fn;
}

/* 1: resume what *r says; 0: fault_longjmp. */
int lib_exception(struct regs *r);
int lib_exception(struct regs *r)
{
	last = *r;
	asm volatile("mov %%cr2, %0" : "=r"(last_cr2));
	if (handlers[r->vector] && handlers[r->vector](r))
		return 1;
	if (fault_armed) {
		fault_armed = false;
		return 0;
	}
	report("unexpected exception 0x", r->vector, ", error 0x", r->error);
	report("eip 0x", r->eip, ", cr2 0x", last_cr2);
	guest_end(0x7f);
	return 0;
}

void lib_init(void);
void lib_init(void)
{
	next_page = image_end;
	outb(0x3fb, 0x83);
	outb(0x3f8, 1);
	outb(0x3f9, 0);
	outb(0x3fb, 0x03);
	gdt[KCODE / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
	gdt[KDATA / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
	gdt[TSS_SEL / 8] = descriptor((u32)&main_tss, sizeof(main_tss) - 1, 0x89, 0);
	gdt[UCODE / 8] = descriptor(0, 0xfffff, 0xfb, 0xc);
	gdt[UDATA / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
	gdt[CODE16 / 8] = descriptor(0, 0xffff, 0x9b, 0);
	gdt[DATA16 / 8] = descriptor(0, 0xffff, 0x93, 0);
	main_tss.ss0 = KDATA;
	main_tss.esp0 = stack0_top();
	main_tss.iomap = 0x68 + 32;
	memset(main_tss.more + 32, 0xff, 8192 + 1);
	for (unsigned v = 0; v < 256; v++)
		idt[v] = gate((u32)stubs[v], KCODE, 14, v == 3 || v == 4 || v == 0x80 ? 3 : 0, 0);
}
