/* Devices that reach for memory: configuration space, and a virtio random number generator, whose buffer goes where it is told. */
#ifndef MASTERS_H
#define MASTERS_H

#include "guest.h"

enum { COMMAND = 4, BUS_MASTER = 4 };

static inline u32 cfg(unsigned fn, unsigned reg)
{
	outl(0xcf8, 0x80000000u | fn << 8 | (reg & 0xfc));
	return inl(0xcfc);
}

static inline void cfg_put(unsigned fn, unsigned reg, u32 v)
{
	outl(0xcf8, 0x80000000u | fn << 8 | (reg & 0xfc));
	outl(0xcfc, v);
}

/* 0: it has none. */
static inline unsigned capability(unsigned fn, unsigned id)
{
	unsigned at = cfg(fn, COMMAND) >> 20 & 1 ? cfg(fn, 0x34) & 0xff : 0;

	while (at && (cfg(fn, at) & 0xff) != id)
		at = cfg(fn, at) >> 8 & 0xff;
	return at;
}

/* The common configuration of a modern virtio function, at the start of BAR 4. */
static inline u64 generator_start(unsigned fn, u64 ring)
{
	u64 common = cfg(fn, 0x20) & ~15u;

	cfg_put(fn, COMMAND, BUS_MASTER | 3);
	*(volatile u8 *)(common + 0x14) = 0;
	*(volatile u8 *)(common + 0x14) = 3;
	mmio_write(common + 0x08, 1);
	mmio_write(common + 0x0c, 1); /* VERSION_1 */
	*(volatile u8 *)(common + 0x14) = 11;
	*(volatile u16 *)(common + 0x16) = 0;
	*(volatile u16 *)(common + 0x18) = 8;
	mmio_write(common + 0x20, (u32)ring);
	mmio_write(common + 0x28, (u32)ring + 0x400);
	mmio_write(common + 0x30, (u32)ring + 0x800);
	*(volatile u16 *)(common + 0x1c) = 1;
	*(volatile u8 *)(common + 0x14) = 15;
	return common;
}

/* One buffer of 16 bytes; what the driver then sees of the device's status. */
static inline u8 generator_ask(unsigned fn, u64 ring, u64 buffer)
{
	memset((void *)ring, 0, 4096);
	*(u64 *)ring = buffer;
	*(u32 *)(ring + 8) = 16;
	*(u16 *)(ring + 12) = 2; /* the device writes */
	u64 common = generator_start(fn, ring);
	*(volatile u16 *)(ring + 0x402) = 1;
	*(volatile u16 *)(common + 0x3000) = 0; /* the doorbell */
	return *(volatile u8 *)(common + 0x14);
}

#endif
