/* Memory by a size known at run time. */
#include "cpu/mmu/mem.h"

/* Zero-extends into *out. */
#define READ_CASE(N, CALL)                                                                                             \
	{                                                                                                              \
		u##N v;                                                                                                \
		TRY(CALL(c, la, access, &v));                                                                          \
		*out = v;                                                                                              \
		return XR_OK;                                                                                          \
	}

enum xr mem_read(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: READ_CASE(8, mem_read8)
	case 2: READ_CASE(16, mem_read16)
	case 4: READ_CASE(32, mem_read32)
	default: return mem_read64(c, la, access, out);
	}
}

enum xr mem_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: READ_CASE(8, mem_rmw8)
	case 2: READ_CASE(16, mem_rmw16)
	case 4: READ_CASE(32, mem_rmw32)
	default: return mem_rmw64(c, la, access, out);
	}
}

enum xr mem_write(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v)
{
	switch (size) {
	case 1: return mem_write8(c, la, access, (u8)v);
	case 2: return mem_write16(c, la, access, (u16)v);
	case 4: return mem_write32(c, la, access, (u32)v);
	default: return mem_write64(c, la, access, v);
	}
}
