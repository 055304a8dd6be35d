/* The library behind guest.h. */
#include "guest.h"

struct idt_gate idt[256] __attribute__((aligned(16)));
struct fault last_fault;
bool fault_armed;
struct regs last_regs;
extern u64 fault_buffer[8]; /* start.S: rbx rbp r12 r13 r14 r15 rsp rip */
static exception_fn *handlers[256];
static unsigned passed, failed;
static struct proved proved;
static u8 *next_page;

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

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

static void put(char ch)
{
	while (!(inb(0x3fd) & 0x20)) /* THRE: some machines send at the programmed speed */
		;
	outb(0x3f8, (u8)ch);
}

static void put_number(u64 v, unsigned base, int width, char pad)
{
	char buf[24];
	int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width-- > n)
		put(pad);
	while (n)
		put(buf[--n]);
}

static const char *put_one(const char *f, va_list *ap)
{
	char pad = *f == '0' ? '0' : ' ';
	int width = 0;
	bool wide = false;

	while (*f >= '0' && *f <= '9')
		width = width * 10 + *f++ - '0';
	while (*f == 'l') {
		wide = true;
		f++;
	}
	if (*f == 's') {
		for (const char *s = va_arg(*ap, const char *); *s; s++)
			put(*s);
	} else if (*f == 'd' && !wide) {
		int v = va_arg(*ap, int);

		if (v < 0)
			put('-');
		put_number((u64)(v < 0 ? -(long)v : v), 10, width, pad);
	} else if (*f == 'c') {
		put((char)va_arg(*ap, int));
	} else {
		put_number(wide ? va_arg(*ap, u64) : va_arg(*ap, u32), *f == 'x' ? 16 : 10, width, pad);
	}
	return f + 1;
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	while (*fmt) {
		if (*fmt == '%')
			fmt = put_one(fmt + 1, &ap);
		else
			put(*fmt++);
	}
	va_end(ap);
}

void check_(const char *name, u64 got, u64 want)
{
	vcheck(name, NULL, got, want);
}

void vcheck(const char *name, const char *what, u64 got, u64 want)
{
	if (got == want) {
		passed++;
		if (!proved_name(&proved, name) || (what && !proved_name(&proved, what)))
			check("room for what is proved", 0, 1);
		return;
	}
	failed++;
	print("FAIL %s%s%s: got 0x%lx, want 0x%lx\n", name, what ? ": " : "", what ? what : "", got, want);
}

void proves(const char *ids)
{
	if (!failed && !proved_add(&proved, ids))
		check("room for what is proved", 0, 1);
}

int guest_verdict(void)
{
	proved_say(&proved, put);
	print("checks: %u\n%u passed, %u failed\n", passed + failed, passed, failed);
	return failed || !passed;
}

void guest_end(int status)
{
	if (status)
		outl(0xf4, (u32)status);
	outw(0x604, 0x2000 | 5 << 10); /* PM1a_CNT: S5 */
	for (;;)
		asm volatile("cli; hlt");
}

void set_gate(unsigned vector, void *handler, unsigned type, unsigned dpl, unsigned ist)
{
	u64 a = (u64)handler;

	idt[vector].lo = (a & 0xffff) | 0x08ull << 16 | (u64)ist << 32 | (u64)(0x80 | dpl << 5 | type) << 40 | (a >> 16 & 0xffff) << 48;
	idt[vector].hi = a >> 32;
}

void on_exception(unsigned vector, exception_fn *fn)
{
	handlers[vector] = fn;
}

void guest_exception(struct regs *r);
void guest_exception(struct regs *r)
{
	last_fault = (struct fault){.vector = (int)r->vector, .error = r->error, .cr2 = read_cr2(), .rip = r->rip};
	last_regs = *r;
	if (handlers[r->vector] && handlers[r->vector](r))
		return;
	if (fault_armed) {
		fault_armed = false;
		r->rbx = fault_buffer[0];
		r->rbp = fault_buffer[1];
		r->r12 = fault_buffer[2];
		r->r13 = fault_buffer[3];
		r->r14 = fault_buffer[4];
		r->r15 = fault_buffer[5];
		r->rsp = fault_buffer[6];
		r->rip = fault_buffer[7];
		r->rax = 1;
		r->cs = 0x08;
		r->ss = 0x10;
		r->rflags = 2;
		return;
	}
	print("unexpected exception %u, error 0x%lx, rip 0x%lx, cr2 0x%lx\n", (u32)r->vector, r->error, r->rip, read_cr2());
	guest_end(0x7f);
}

void *page_alloc(void)
{
	u8 *p = next_page;

	next_page += 4096;
	memset(p, 0, 4096);
	return p;
}

void map_page(u64 *root, u64 la, u64 pa, u64 flags)
{
	u64 *table = root;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *e = &table[la >> shift & 511];

		if (!(*e & 1))
			*e = (u64)page_alloc() | 7;
		table = (u64 *)(*e & 0x000ffffffffff000ull);
	}
	table[la >> 12 & 511] = pa | flags;
}

void map_path(u64 *root, unsigned leaf, u64 addr, u64 pa, u64 table_bits, u64 page_bits, u64 *entry[5])
{
	u64 *table = root;

	for (unsigned level = 4; level >= leaf; level--) {
		unsigned shift = 12 + 9 * (level - 1);

		entry[level] = &table[addr >> shift & 511];
		if (level == leaf) {
			*entry[level] = (pa & ~((1ull << shift) - 1)) | page_bits;
			return;
		}
		table = page_alloc();
		*entry[level] = (u64)table | table_bits;
	}
}

void guest_init(void);
void guest_init(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u64)idt};

	next_page = image_end;
	outb(0x3fb, 0x83); /* COM1: divisor 1, eight bits, no parity */
	outb(0x3f8, 1);
	outb(0x3f9, 0);
	outb(0x3fb, 0x03);
	for (unsigned v = 0; v < 256; v++)
		set_gate(v, exception_stubs[v], 14, v == 3 || v == 4 ? 3 : 0, 0);
	asm volatile("lidt %0" ::"m"(idtr));
}
