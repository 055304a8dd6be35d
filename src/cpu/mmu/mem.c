/* Memory by a size known at run time. */
#include "cpu/mmu/mem.h"

enum xr mem_read(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: return mem_load(c, la, 1, access, out);
	case 2: return mem_load(c, la, 2, access, out);
	case 4: return mem_load(c, la, 4, access, out);
	default: return mem_load(c, la, 8, access, out);
	}
}

enum xr mem_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	switch (size) {
	case 1: return mem_load_rmw(c, la, 1, access, out);
	case 2: return mem_load_rmw(c, la, 2, access, out);
	case 4: return mem_load_rmw(c, la, 4, access, out);
	default: return mem_load_rmw(c, la, 8, access, out);
	}
}

enum xr mem_write(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v)
{
	switch (size) {
	case 1: return mem_store(c, la, 1, access, v);
	case 2: return mem_store(c, la, 2, access, v);
	case 4: return mem_store(c, la, 4, access, v);
	default: return mem_store(c, la, 8, access, v);
	}
}
