/* A guest that dies of a store to a page that is not mapped: it has an IDT of its own, which is empty. */
#ifndef DYING_H
#define DYING_H

#include "guest.h"

#define NOWHERE 0x8000001000ull

static void dying_guest(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0, 0};

	asm volatile("lidt %0" ::"m"(none));
	*(volatile u16 *)NOWHERE = 0x741;
}

#endif
