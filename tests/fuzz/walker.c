/*
 * Page tables of random entries, with and without a second stage under them (NPT, EPT), against a walker written down
 * here a second time as plainly as the manuals put it: one loop per level, no cache, no shared code. Address or fault,
 * error code, accessed and dirty bits, and what the second stage reports must agree; again without a flush in between.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "model/model.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

enum { QUERIES = 40, TABLES_N = 24 };
#define RAM     (4ull << 20)
#define TABLES  0x100000ull /* guest tables; one per page */
#define TABLES2 0x120000ull /* second-stage tables */
#define SPAN    0x40000ull  /* both together */

enum { NONE, NPT, EPT };
enum outcome { OUT_OK, OUT_PF, OUT_STAGE2, OUT_MISCONFIG };

struct result {
	enum outcome kind;
	u64 pa, code, gpa;
};

/* The other walker's world: registers by value and a copy of the memory that holds tables. */
struct ref {
	u64 cr0, cr3, cr4, efer, rflags, pdpte[4], root2;
	u32 pkru;
	u8 cpl, phys_bits, stage2;
	bool amd, host_nxe, ept_ad, big; /* big: 1 GiB pages */
	u8 mem[SPAN];
	u16 role[SPAN / 4]; /* what each dword was read as since the last flush: a bit per stage and level */
	bool outside;       /* a table lay outside the copy, or changed in two roles: no opinion */
};

static u64 get(struct ref *f, u64 pa, unsigned size, unsigned role)
{
	u64 v = 0;

	if (pa < TABLES || pa + size > TABLES + SPAN) {
		f->outside = true;
		return 0;
	}
	memcpy(&v, f->mem + (pa - TABLES), size);
	for (unsigned k = 0; k < size; k += 4)
		f->role[(pa - TABLES + k) / 4] |= (u16)(1u << role);
	return v;
}

/* An accessed or dirty bit of one role is another bit of another: what was cached of that may rightly be stale. */
static void set(struct ref *f, u64 pa, unsigned size, u64 v, unsigned role)
{
	u64 old = get(f, pa, size, role);

	if (f->outside || old == v)
		return;
	for (unsigned k = 0; k < size; k += 4)
		f->outside |= (f->role[(pa - TABLES + k) / 4] & (f->role[(pa - TABLES + k) / 4] - 1)) != 0;
	memcpy(f->mem + (pa - TABLES), &v, size);
}

enum { FIRST = 0, SECOND = 8 }; /* roles: these, plus the level */

/* ---- second stage ---- */

enum { R = 1, W = 2, X = 4 };

/* NPT, long mode: "Nested Table Walk". Every access is a user access. table: by the guest's walk. */
static struct result npt(struct ref *f, u64 gpa, unsigned access, bool table)
{
	struct result out = {.kind = OUT_STAGE2, .gpa = gpa};
	u64 at = f->root2, all = ~0ull, any = 0, e = 0, ea = 0;
	unsigned level = 4, want = table ? R | W : access;
	u64 code = 4u | (want & W ? 2u : 0u) | ((want & X) && f->host_nxe ? 16u : 0u) | (table ? BIT(33) : BIT(32));

	if (gpa >> 48) {
		out.code = code;
		return out;
	}
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);

		ea = at + 8 * (gpa >> shift & 511);
		e = get(f, ea, 8, SECOND + level);
		if (!(e & 1)) {
			out.code = code;
			return out;
		}
		bool page = level == 1 || (level == 2 && (e & 128)) || (level == 3 && (e & 128) && f->big);
		u64 bad = f->phys_bits < 52 ? mask(51, f->phys_bits) : 0;
		bad |= f->host_nxe ? 0 : BIT(63);
		bad |= level == 4 ? 128 : level == 3 && !page ? 128 : 0;
		bad |= level >= 3 && !page ? BIT(8) : 0;
		bad |= page && level > 1 ? mask(shift - 1, 13) : 0;
		if (e & bad) {
			out.code = code | 9;
			return out;
		}
		all &= e;
		any |= e;
		if (page) {
			out.pa = (e & mask(51, shift)) | (gpa & (BIT(shift) - 1));
			break;
		}
		set(f, ea, 8, e | 32, SECOND + level);
		at = e & mask(51, 12);
	}
	if (!(all & 4) || ((want & W) && !(all & 2)) || ((want & X) && (any & BIT(63)))) {
		out.code = code | 1;
		return out;
	}
	set(f, ea, 8, e | 32 | (want & W ? 64 : 0), SECOND + level);
	out.kind = OUT_OK;
	out.gpa = 0;
	return out;
}

/* EPT: "EPT Translation Mechanism", "EPT Misconfigurations", "EPT Violations". */
static struct result ept(struct ref *f, u64 gpa, unsigned access, bool table, bool sets)
{
	struct result out = {.kind = OUT_STAGE2, .gpa = gpa};
	u64 at = f->root2, all = 7, e = 0, ea = 0;
	unsigned level = 4, want = table ? (sets || f->ept_ad ? R | W : R) : access;

	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1), type;

		ea = at + 8 * (gpa >> shift & 511);
		e = get(f, ea, 8, SECOND + level);
		if (!(e & 7)) {
			all = 0;
			break;
		}
		bool page = level == 1 || (level < 4 && (e & 128));
		u64 bad = mask(51, f->phys_bits) | (page         ? level > 1 ? mask(shift - 1, 12) : 0
		                                    : level == 4 ? 0xf8
		                                                 : 0x78);
		type = (unsigned)(e >> 3 & 7);
		if ((e & bad) || (e & 3) == 2 || (page && (type == 2 || type == 3 || type == 7))) {
			out.kind = OUT_MISCONFIG;
			return out;
		}
		all &= e;
		if (page) {
			out.pa = (e & mask(51, shift)) | (gpa & (BIT(shift) - 1));
			break;
		}
		if (f->ept_ad)
			set(f, ea, 8, e | BIT(8), SECOND + level);
		at = e & mask(51, 12);
	}
	if ((want & ~all) & 7) {
		out.code = want | (all & 7) << 3;
		return out;
	}
	if (f->ept_ad)
		set(f, ea, 8, e | BIT(8) | (want & W ? BIT(9) : 0), SECOND + level);
	out.kind = OUT_OK;
	out.gpa = 0;
	return out;
}

static struct result second(struct ref *f, u64 gpa, unsigned access, bool table, bool sets)
{
	if (gpa >> f->phys_bits && f->stage2 == EPT)
		f->outside = true; /* what is wider than MAXPHYADDR is refused earlier */
	if (f->stage2 == NPT)
		return npt(f, gpa, access, table);
	if (f->stage2 == EPT)
		return ept(f, gpa, access, table, sets);
	return (struct result){.kind = OUT_OK, .pa = gpa};
}

/* ---- first stage ---- */

struct mode {
	unsigned levels, size, index;
	bool legacy, pae, wide;
};

static u64 reserved(const struct ref *f, const struct mode *m, unsigned level, bool page)
{
	if (m->legacy)
		return page && level == 2 ? mask(21, (unsigned)min_u64(40, f->phys_bits) - 19) : 0;
	u64 bad = mask(51, f->phys_bits) | (f->efer & EFER_NXE ? 0 : BIT(63));
	unsigned shift = 12 + 9 * (level - 1);

	if (m->pae) {
		bad |= level == 3 ? mask(2, 1) | mask(8, 5) | mask(63, 52) : mask(62, 52);
		return page && level == 2 ? bad | mask(20, 13) : bad;
	}
	bad |= page && level > 1 ? mask(shift - 1, 13) : 0;
	bad |= level > 3 || (level == 3 && !page) ? 128 : 0;
	return bad | (f->amd && level >= 3 && !page ? BIT(8) : 0);
}

static bool denied(const struct ref *f, unsigned access, bool user_page, bool w, bool nx, unsigned key, bool *pk)
{
	bool user = f->cpl == 3;

	*pk = f->cr4 & CR4_PKE && f->efer & EFER_LMA && user_page && !(access & X) &&
	      ((f->pkru >> 2 * key & 1) || ((f->pkru >> 2 * key & 2) && (access & W) && (user || (f->cr0 & CR0_WP))));
	if (user && !user_page)
		return true;
	if (access & X)
		return nx || (!user && user_page && (f->cr4 & CR4_SMEP));
	if (!user && user_page && (f->cr4 & CR4_SMAP) && !(f->rflags & FL_AC))
		return true;
	return ((access & W) && !w && (user || (f->cr0 & CR0_WP))) || *pk;
}

static struct result fault(const struct ref *f, unsigned access, u64 why)
{
	why |= access & W ? PF_W : 0;
	why |= f->cpl == 3 ? PF_U : 0;
	if ((access & X) && ((f->cr4 & CR4_SMEP) || ((f->cr4 & CR4_PAE) && (f->efer & EFER_NXE))))
		why |= PF_I;
	return (struct result){.kind = OUT_PF, .code = why};
}

static struct mode mode_of(const struct ref *f)
{
	bool wide = f->efer & EFER_LMA, pae = f->cr4 & CR4_PAE;

	return (struct mode){.levels = wide  ? 4
	                               : pae ? 3
	                                     : 2,
	                     .size = pae ? 8 : 4,
	                     .index = pae ? 9 : 10,
	                     .legacy = !pae,
	                     .pae = pae && !wide,
	                     .wide = wide};
}

static bool is_page(const struct ref *f, const struct mode *m, unsigned level, u64 e)
{
	if (level == 1)
		return true;
	if (!(e & 128) || level > 3 || (m->legacy && !(f->cr4 & CR4_PSE)))
		return false;
	return level == 2 || (m->wide && f->big);
}

static struct result first(struct ref *f, u64 la, unsigned access)
{
	struct mode m = mode_of(f);
	u64 at = f->cr3 & (m.legacy ? 0xfffff000 : m.pae ? 0xffffffe0 : mask(51, 12)), e, ea;
	bool user = true, w = true, nx = false, pk = false;

	for (unsigned level = m.levels;; level--) {
		unsigned shift = 12 + m.index * (level - 1);
		bool from_register = m.pae && level == 3 && f->stage2 != NPT;
		struct result s = {.kind = OUT_OK};

		ea = at + m.size * (la >> shift & (BIT(m.index) - 1));
		if (!from_register)
			s = second(f, ea, R, true, false);
		if (s.kind != OUT_OK)
			return s;
		e = from_register ? f->pdpte[la >> 30 & 3] : get(f, s.pa, m.size, FIRST + level);
		if (!(e & 1))
			return fault(f, access, 0);
		bool page = is_page(f, &m, level, e);
		if (!from_register && (e & reserved(f, &m, level, page)))
			return fault(f, access, PF_P | PF_RSV);
		if (!(m.pae && level == 3)) {
			user = user && (e & 4);
			w = w && (e & 2);
		}
		nx = nx || (!m.legacy && !(m.pae && level == 3) && (e & BIT(63)));
		u64 fresh = e | 32;
		if (page) {
			if (denied(f, access, user, w, nx, m.wide ? (unsigned)(e >> 59 & 15) : 0, &pk))
				return (struct result){.kind = OUT_PF,
				                       .code = fault(f, access, PF_P).code | (pk ? PF_PK : 0)};
			fresh |= access & W ? 64 : 0;
		}
		if (fresh != e && !(m.pae && level == 3)) {
			s = second(f, ea, R, true, true);
			if (s.kind != OUT_OK)
				return s;
			set(f, s.pa, m.size, fresh, FIRST + level);
		}
		if (page) {
			u64 base = m.legacy ? shift == 22 ? (e & 0xffc00000) | (e >> 13 & 0xff) << 32 : e & 0xfffff000
			                    : e & mask(51, shift);

			return second(f, base | (la & (BIT(shift) - 1)), access, false, false);
		}
		at = m.legacy ? e & 0xfffff000 : e & mask(51, 12);
	}
}

/* ---- random tables ---- */

static u64 entry(struct rng *r, u64 base, bool ept_bits, unsigned phys_bits)
{
	u64 e = rng_one_in(r, 5) ? rng_below(r, RAM) & PAGE_MASK : base + (rng_below(r, TABLES_N) << 12);

	if (ept_bits) {
		e |= rng_one_in(r, 6) ? rng_below(r, 8) : 7;
		e |= rng_one_in(r, 3) ? 0x30 : 0;
		e |= rng_one_in(r, 4) ? 0xb0 : 0;
		e |= rng_one_in(r, 16) ? rng_next(r) & 0x378 : 0;
	} else {
		e |= rng_one_in(r, 3) ? rng_below(r, 8) | (rng_one_in(r, 4) ? 0 : 1) : 7;
		e |= rng_one_in(r, 5) ? 0x80 : 0;
		e |= rng_next(r) & (rng_one_in(r, 2) ? 0x60 : 0);
		e |= rng_one_in(r, 12) ? BIT(63) : 0;
		e |= rng_one_in(r, 12) ? 0x100 : 0;
		e |= rng_one_in(r, 6) ? rng_next(r) & (15ull << 59) : 0;
	}
	if ((e & 0x80) && !rng_one_in(r, 4)) /* large pages are aligned */
		e &= ~mask(rng_one_in(r, 4) ? 29 : 20, 13);
	return rng_one_in(r, 40) ? e | BIT(phys_bits + rng_below(r, 52 - phys_bits)) : e;
}

static void make_tables(struct rng *r, struct machine *m, unsigned stage2, unsigned phys_bits)
{
	u8 *p = bus_memory(&m->bus, TABLES);
	u64 e;

	for (u64 n = 0; n < SPAN; n += 8) {
		bool upper = n >= TABLES2 - TABLES;

		if (n % (SPAN / 2) >= TABLES_N << 12)
			continue;
		e = entry(r, upper ? TABLES2 : TABLES, upper && stage2 == EPT, phys_bits);
		memcpy(p + n, &e, 8);
	}
	if (!stage2)
		return;
	/* Under a second stage the guest's tables must be reached now and then: the first 4 MiB one to one. */
	u64 low = stage2 == EPT ? 7 : 0x27;
	bus_write_u64(&m->bus, TABLES2, (TABLES2 + 0x1000) | low);
	bus_write_u64(&m->bus, TABLES2 + 0x1000, (TABLES2 + 0x2000) | low);
	bus_write_u64(&m->bus, TABLES2 + 0x2000, (TABLES2 + 0x3000) | low);
	bus_write_u64(&m->bus, TABLES2 + 0x2008, (TABLES2 + 0x4000) | low);
	for (u64 n = 0; n < 1024; n++) {
		e = n << 12 | (stage2 == EPT ? 0x37 : 7);
		e ^= rng_one_in(r, 12) ? BIT(rng_below(r, 3)) : 0;
		bus_write_u64(&m->bus, TABLES2 + 0x3000 + 8 * n, e);
	}
}

/* ---- the machine's state, and the same for the other walker ---- */

static void set_registers(struct rng *r, struct cpu *c)
{
	unsigned k = (unsigned)rng_below(r, 3);
	u64 cr4 = rng_next(r) & (CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE);

	fuzz_long_mode(c);
	if (rng_one_in(r, 2))
		cr4 &= ~(CR4_SMEP | CR4_SMAP | CR4_PKE);
	c->cr0 = CR0_PE | CR0_PG | CR0_ET | (rng_next(r) & CR0_WP);
	c->cr4 = cr4 | (k ? CR4_PAE : 0);
	c->efer = (k == 2 ? EFER_LME | EFER_LMA : 0) | (rng_next(r) & EFER_NXE);
	if (k != 2)
		c->seg[SEG_CS].ar = (c->seg[SEG_CS].ar & ~(u32)AR_L) | AR_DB;
	c->cr3 = TABLES + (rng_below(r, TABLES_N) << 12);
	for (unsigned n = 0; n < 4; n++)
		c->pdpte[n] = (TABLES + (rng_below(r, TABLES_N) << 12)) | (rng_one_in(r, 8) ? 0 : 1);
	c->pkru = (u32)rng_next(r);
}

static void set_second_stage(struct rng *r, struct cpu *c, struct ref *f)
{
	f->root2 = TABLES2;
	if (f->stage2 == NPT) {
		struct svm *s = svm_of(c);

		f->host_nxe = rng_one_in(r, 2);
		s->image[s->cur].control.n_cr3 = TABLES2;
		s->host.cr4 = CR4_PAE;
		s->host.efer = EFER_LMA | EFER_LME | EFER_SVME | (f->host_nxe ? EFER_NXE : 0);
		s->nested = true;
		c->efer |= EFER_SVME;
	} else if (f->stage2 == EPT) {
		f->ept_ad = rng_one_in(r, 2);
		vmcs_set(vmx_of(c), VMCS_EPTP, TABLES2 | 0x1e | (f->ept_ad ? BIT(6) : 0));
		vmcs_set(vmx_of(c), VMCS_PROC_CONTROLS, PROC_SECONDARY);
		vmcs_set(vmx_of(c), VMCS_PROC2_CONTROLS, PROC2_EPT);
	}
	c->guest = c->stage2 = f->stage2 != NONE;
	c->pdpte_on_demand = f->stage2 == NPT;
	c->space = f->stage2 ? 1 : 0;
}

static void copy_state(struct cpu *c, struct ref *f)
{
	f->cr0 = c->cr0, f->cr3 = c->cr3, f->cr4 = c->cr4, f->efer = c->efer, f->rflags = c->rflags, f->pkru = c->pkru;
	f->cpl = c->cpl;
	f->phys_bits = c->phys_bits;
	f->amd = quirk(c, QUIRK_UPPER_BIT8_RESERVED);
	f->big = has(c, FEAT_PDPE1GB);
	f->outside = false;
	memcpy(f->pdpte, c->pdpte, sizeof(f->pdpte));
}

static struct result ask_machine(struct cpu *c, u64 la, unsigned access)
{
	struct result out = {.kind = OUT_OK};
	struct span s;
	struct fetch x;
	enum xr r = access & X ? mmu_fetch(c, la, &x) : mem_span(c, la, 1, access, &s);

	if (r == XR_OK) {
		out.pa = access & X ? (x.pa & PAGE_MASK) | (la & ~PAGE_MASK) : s.part[0].pa;
	} else if (r == XR_FAULT) {
		out.kind = OUT_PF;
		out.code = c->fault.error;
		if (c->fault.vector != EX_PF || c->fault.payload != la)
			fuzz_fail("vector %u, address %llx", c->fault.vector, (unsigned long long)c->fault.payload);
	} else {
		out.kind = c->exit.id == ICPT_STAGE2_MISCONFIG ? OUT_MISCONFIG : OUT_STAGE2;
		out.gpa = c->exit.gpa;
		out.code = out.kind == OUT_STAGE2 ? c->exit.q[0] : 0;
	}
	return out;
}

/* ---- one case ---- */

static void compare(const struct ref *f, struct cpu *c, u64 la, unsigned access, struct result want, struct result got)
{
	static const char *const names[] = {"translated", "page faults", "second-stage faults", "misconfigurations"};
	const u8 *mem = bus_memory(c->bus, TABLES);

	if (want.kind != OUT_OK)
		want.pa = 0;
	if (f->stage2 == EPT && want.kind == OUT_STAGE2)
		got.code &= 0x3f; /* why the address was used is told by the bits above */
	if (want.kind != got.kind || want.pa != got.pa || want.code != got.code || want.gpa != got.gpa)
		fuzz_fail("stage %u la %llx access %u: want %d %llx %llx %llx, got %d %llx %llx %llx", f->stage2,
		          (unsigned long long)la, access, (int)want.kind, (unsigned long long)want.pa,
		          (unsigned long long)want.code, (unsigned long long)want.gpa, (int)got.kind,
		          (unsigned long long)got.pa, (unsigned long long)got.code, (unsigned long long)got.gpa);
	for (u64 n = 0; memcmp(f->mem, mem, SPAN) && n < SPAN; n++)
		if (f->mem[n] != mem[n])
			fuzz_fail("stage %u la %llx access %u: tables differ at %llx: want %02x, got %02x", f->stage2,
			          (unsigned long long)la, access, (unsigned long long)(TABLES + n), f->mem[n], mem[n]);
	fuzz_count(names[want.kind]);
}

static u64 random_address(struct rng *r, const struct cpu *c)
{
	u64 la = rng_next(r) & (c->efer & EFER_LMA ? mask(47, 0) : mask(31, 0));

	if (rng_one_in(r, 2))
		la &= 0x8080603007ull | (c->efer & EFER_LMA ? 0x8080403fffull : 0);
	return c->efer & EFER_LMA ? (u64)sign_extend(la, 48) : la;
}

static void fresh_start(struct cpu *c, struct ref *f)
{
	tlb_flush_all(c);
	memset(f->role, 0, sizeof(f->role));
	bus_read(c->bus, TABLES, f->mem, SPAN);
}

static void queries(struct rng *r, struct cpu *c, struct ref *f)
{
	u64 recent[4] = {0};

	fresh_start(c, f);
	for (unsigned n = 0; n < QUERIES; n++) {
		static const u8 kinds[] = {R, R, W, R | W, X};
		unsigned access = RNG_PICK(r, kinds);
		u64 la = n > 4 && rng_one_in(r, 2) ? RNG_PICK(r, recent) ^ rng_below(r, 64) : random_address(r, c);

		recent[n % 4] = la;
		c->cpl = rng_one_in(r, 2) ? 3 : 0;
		c->seg[SEG_SS].ar = (c->seg[SEG_SS].ar & ~(u32)AR_DPL) | (u32)c->cpl << AR_DPL_SHIFT;
		c->rflags = FL_1 | (rng_one_in(r, 2) ? FL_AC : 0);
		cpu_update_mode(c);
		mmu_update_context(c);
		copy_state(c, f);
		struct result got = ask_machine(c, la, access), want = first(f, la, access);
		if (f->outside || !bus_memory(c->bus, want.pa)) { /* tables the copy does not have */
			fuzz_count("no opinion");
			fresh_start(c, f);
			continue;
		}
		compare(f, c, la, access, want, got);
	}
}

static void one(struct rng *r)
{
	static const char *const cpus[] = {"amd", "intel", "plain", "amd", "intel"};
	static const u8 stages[] = {NONE, NONE, NONE, NPT, EPT};
	unsigned k = (unsigned)rng_below(r, ARRAY_LEN(cpus));
	struct ref *f = calloc(1, sizeof(*f));
	struct machine_config cfg;

	if (!f)
		fuzz_fail("out of memory");
	fuzz_config(&cfg, cpus[k], RAM);
	struct machine *m = fuzz_machine(&cfg);
	struct cpu *c = m->cpus[0];
	f->stage2 = stages[k];
	make_tables(r, m, f->stage2, c->phys_bits);
	for (unsigned n = 0; n < 6; n++) {
		set_registers(r, c);
		set_second_stage(r, c, f);
		tlb_flush_all(c);
		cpu_update_mode(c);
		queries(r, c, f);
		c->guest = c->stage2 = c->pdpte_on_demand = false;
		c->space = 0;
	}
	machine_destroy(m);
	free(f);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-walker", one);
}
