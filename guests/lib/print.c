/* The library behind print.h. */
#include "print.h"

#include <stdarg.h>

void *memset(void *d, int v, size_t n)
{
	void *r = d;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory");
	return r;
}

void *memcpy(void *d, const void *s, size_t n)
{
	void *r = d;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
	return r;
}

static void put(char ch)
{
	while (!(inb(0x3fd) & 0x20))
		;
	outb(0x3f8, (u8)ch);
}

static void put_number(u32 v, u32 base)
{
	if (v >= base)
		put_number(v / base, base);
	put("0123456789abcdef"[v % base]);
}

static void put_one(char kind, va_list *ap)
{
	switch (kind) {
	case 'c': put((char)va_arg(*ap, int)); break;
	case 's':
		for (const char *s = va_arg(*ap, const char *); *s; s++)
			put(*s);
		break;
	default: put_number(va_arg(*ap, u32), kind == 'x' ? 16 : 10); break;
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt == '%')
			put_one(*++fmt, &ap);
		else
			put(*fmt);
	}
	va_end(ap);
}
