/* Memory by any of five kinds of address, as a debugger reads and writes it: nothing faults, no flag is set, no device sees it. */
#include "gdb/parts.h"

const char *const gdb_space_names[GDB_SPACES] = {"linear", "host-linear", "guest-linear", "guest-phys", "phys"};

static bool locate(struct cpu *c, enum gdb_space s, u64 addr, u64 *pa)
{
	struct view w;

	if (s == GDB_PHYS || s == GDB_LINEAR) {
		*pa = addr;
		return s == GDB_PHYS || mmu_peek(c, long_mode(c) ? addr : (u32)addr, pa);
	}
	if ((s == GDB_GUEST_LINEAR && c->guest) || (s == GDB_HOST_LINEAR && !c->guest))
		return mmu_peek(c, addr, pa);
	return view_open(&w, c, s) && view_translate(&w, s, addr, pa);
}

bool gdb_sees(struct cpu *c, enum gdb_space s)
{
	struct view w;

	return view_open(&w, c, s);
}

size_t gdb_read(struct cpu *c, enum gdb_space s, u64 addr, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		u64 at = addr + done, piece = min_u64(n - done, PAGE_SIZE - (at & ~PAGE_MASK)), pa, room;
		const u8 *host = locate(c, s, at, &pa) ? space_memory(cpu_sees(c), pa, USE_READ, &room) : NULL;

		if (!host)
			break;
		memcpy((u8 *)buf + done, host, piece);
		done += piece;
	}
	return done;
}

size_t gdb_write(struct cpu *c, enum gdb_space s, u64 addr, const void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		u64 at = addr + done, piece = min_u64(n - done, PAGE_SIZE - (at & ~PAGE_MASK)), pa, room;

		if (!locate(c, s, at, &pa) || !space_memory(cpu_sees(c), pa, USE_WRITE, &room))
			break;
		space_write(c->bus, cpu_sees(c), cpu_as(c, BY_DEBUGGER), pa, (const u8 *)buf + done, piece);
		done += piece;
	}
	return done;
}
