/* Registers by name: the short names everybody uses, "msr:INDEX", and every row of the processor's state table. */
#include <turnstile/turnstile.h>

#include "api/api.h"
#include "api/options.h"

#include <stdlib.h>

static const char gpr[][4] = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};
static const char segs[][5] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

struct place {
	void *at;
	size_t size;
	bool mode; /* a write changes how the processor runs: caches follow */
};

static bool find_gpr(struct cpu *c, const char *name, struct place *p)
{
	for (unsigned i = 0; i < ARRAY_LEN(gpr); i++)
		if (!strcmp(name, gpr[i])) {
			*p = (struct place){&c->r[i], 8, false};
			return true;
		}
	if (strcmp(name, "rip"))
		return false;
	*p = (struct place){&c->r[REG_RIP], 8, true};
	return true;
}

static bool find_seg(struct cpu *c, const char *name, struct place *p)
{
	for (unsigned i = 0; i < ARRAY_LEN(segs); i++) {
		size_t n = strlen(segs[i]);
		struct seg *s = &c->seg[i];
		if (strncmp(name, segs[i], n))
			continue;
		if (!name[n])
			*p = (struct place){&s->sel, sizeof(s->sel), true};
		else if (!strcmp(name + n, ".base"))
			*p = (struct place){&s->base, sizeof(s->base), true};
		else if (!strcmp(name + n, ".limit"))
			*p = (struct place){&s->limit, sizeof(s->limit), true};
		else if (!strcmp(name + n, ".ar"))
			*p = (struct place){&s->ar, sizeof(s->ar), true};
		else
			continue;
		return true;
	}
	return false;
}

/* "cr3", "v[3]"; an array without index means all of it. */
static bool find_row(struct cpu *c, const char *name, struct place *p)
{
	size_t n = strcspn(name, "[");
	char *end = NULL;
	unsigned long index = name[n] ? strtoul(name + n + 1, &end, 10) : 0;

	if (name[n] && (end == name + n + 1 || strcmp(end, "]")))
		return false;
	for (size_t i = 0; i < cpu_row_count; i++) {
		const struct state_row *r = &cpu_rows[i];
		if (strlen(r->name) != n || memcmp(r->name, name, n))
			continue;
		if (index >= r->count)
			return false;
		*p = (struct place){(u8 *)c + r->offset + index * r->width,
		                    name[n] ? r->width : (size_t)r->width * r->count, true};
		return true;
	}
	return false;
}

static bool find(struct cpu *c, const char *name, struct place *p)
{
	return find_gpr(c, name, p) || find_seg(c, name, p) || find_row(c, name, p);
}

static bool msr_name(const char *name, u32 *index)
{
	u64 v;

	if (strncmp(name, "msr:", 4) || !opt_number(name + 4, &v) || v > 0xffffffff)
		return false;
	*index = (u32)v;
	return true;
}

static ts_status get_value(u64 v, void *buf, size_t *len)
{
	if (*len < sizeof(v))
		return TS_EARG;
	memcpy(buf, &v, sizeof(v));
	*len = sizeof(v);
	return TS_OK;
}

ts_status ts_get(ts_machine *t, unsigned cpu, const char *name, void *buf, size_t *len)
{
	struct cpu *c = api_cpu(t, cpu);
	struct place p;
	u32 index;
	u64 v;

	if (!c)
		return TS_EARG;
	if (!strcmp(name, "rflags"))
		return get_value(flags_get(c), buf, len);
	if (msr_name(name, &index))
		return msr_read(c, index, &v) ? get_value(v, buf, len) : TS_EFAULT;
	if (!find(c, name, &p) || *len < p.size)
		return TS_EARG;
	memcpy(buf, p.at, p.size);
	*len = p.size;
	return TS_OK;
}

static void settled(struct cpu *c)
{
	cpu_update_mode(c);
	mmu_update_context(c);
	cpu_recheck(c);
}

ts_status ts_set(ts_machine *t, unsigned cpu, const char *name, const void *buf, size_t len)
{
	struct cpu *c = api_cpu(t, cpu);
	struct place p;
	u32 index;
	u64 v = 0;

	if (!c)
		return TS_EARG;
	memcpy(&v, buf, min_u64(len, sizeof(v)));
	if (!strcmp(name, "rflags")) {
		u32 old = flags_get(c);
		if (len < 4)
			return TS_EARG;
		flags_set(c, ((u32)v & FL_ALL) | FL_1);
		cpu_flags_changed(c, old);
		return TS_OK;
	}
	if (msr_name(name, &index))
		return len != sizeof(v) ? TS_EARG : msr_write(c, index, v) ? TS_OK : TS_EFAULT;
	if (!find(c, name, &p) || len != p.size)
		return TS_EARG;
	memcpy(p.at, buf, len);
	if (p.mode)
		settled(c);
	return TS_OK;
}
