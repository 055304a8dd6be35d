/*
 * Stubs of the floors around exec for tests whose guest memory is the computer's own: linear addresses are pointers,
 * one page may fault. The linker takes these before the library's own.
 */
#ifndef TESTS_HOST_MEMORY_H
#define TESTS_HOST_MEMORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "rnd.h"

enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error)
{
	c->fault = (struct event){.type = EV_HW, .vector = (u8)vector, .error = error};
	return XR_FAULT;
}

/* Handlers are called alone here: none follows another. */
enum xr insn_chain_gated(struct cpu *c, const struct insn *i)
{
	(void)c, (void)i;
	abort();
}

static la_t forbidden = 1; /* this page faults; 1: none */

static enum xr touch(struct cpu *c, la_t la, u32 len)
{
	if (forbidden != 1 && la + len > forbidden && la < forbidden + PAGE_SIZE)
		return cpu_fault(c, EX_PF, 0);
	return XR_OK;
}

enum xr mmu_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out)
{
	(void)access;
	TRY(touch(c, la, size));
	memcpy(out, (const void *)la, size);
	return XR_OK;
}

enum xr mmu_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in)
{
	(void)access;
	TRY(touch(c, la, size));
	memcpy((void *)la, in, size);
	return XR_OK;
}

enum xr mem_span(struct cpu *c, la_t la, u32 len, unsigned access, struct span *s)
{
	TRY(touch(c, la, len));
	*s = (struct span){.la = la, .len = len, .access = (u8)access};
	return XR_OK;
}

void span_read(struct cpu *c, const struct span *s, u32 off, void *buf, u32 len)
{
	(void)c;
	assert_true(off + len <= s->len);
	memcpy(buf, (const u8 *)s->la + off, len);
}

void span_write(struct cpu *c, const struct span *s, u32 off, const void *buf, u32 len)
{
	(void)c;
	assert_true(off + len <= s->len);
	memcpy((u8 *)s->la + off, buf, len);
}

enum xr seg_address(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la)
{
	(void)c, (void)seg, (void)size, (void)access;
	*la = ea;
	return XR_OK;
}

#endif
