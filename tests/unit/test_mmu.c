/*
 * The MMU against an evaluator that never walks: it builds the tables from a description of each level, and predicts
 * from that description alone whether an access works, its error code and every accessed and dirty bit.
 */
#include "mmu_fixture.h"
#include "report.h"

#include "cpu/mmu/mmu_priv.h"

static void random_mapping(struct mapping *m, enum mode mode)
{
	const struct shape *s = &shapes[mode];

	*m = (struct mapping){.mode = mode, .global = coin(2), .pkey = (u8)(rnd() % 16)};
	for (unsigned n = 0; n <= s->leaf; n++) {
		bool pdpte = n == 0 && s->levels == 3;
		struct level *l = &m->level[n];
		l->p = !coin(12);
		l->w = pdpte || !coin(4);
		l->u = pdpte || !coin(4);
		l->nx = !pdpte && s->entry == 8 && coin(8);
		l->reserved = !pdpte && mode != M_LEGACY && !(mode == M_LEGACY_4M && n != s->leaf) && coin(20);
	}
	m->la = rnd() % (1ull << 31);
	if (mode >= M_LONG)
		m->la = (u64)sign_extend(rnd(), mode == M_LONG5 ? 57 : 48);
	m->la &= ~(s->page - 1);
	m->pa = s->page > 4 * MIB ? 0 : s->page > PAGE_SIZE ? DATA & ~(s->page - 1) : DATA + (rnd() % 64) * PAGE_SIZE;
}

static void random_registers(struct cpu *c, enum mode m)
{
	c->cr0 = (c->cr0 & ~CR0_WP) | (coin(2) ? CR0_WP : 0);
	c->cr4 = (coin(2) ? CR4_SMEP : 0) | (coin(2) ? CR4_SMAP : 0) | (coin(2) ? CR4_PGE : 0);
	c->efer = coin(3) ? 0 : EFER_NXE;
	set_mode(c, m);
	if (m >= M_LONG && coin(2))
		c->cr4 |= CR4_PKE;
	c->pkru = coin(2) ? (u32)rnd() : (u32)(rnd() & rnd());
	c->cpl = coin(2) ? 3 : 0;
	c->rflags = FL_1 | (coin(2) ? FL_AC : 0);
}

/* ---- the prediction ---- */
struct verdict {
	bool ok;
	u32 error;
	bool accessed[5], dirty;
};

static struct verdict predict(const struct cpu *c, const struct mapping *m, unsigned access)
{
	const struct shape *s = &shapes[m->mode];
	bool user = c->cpl == 3 && !(access & ACC_SUPER), write = access & ACC_WRITE, exec = access & ACC_EXEC;
	bool nxe = (c->efer & EFER_NXE) && s->entry == 8, page_w = true, page_u = true, page_nx = false;
	struct verdict v = {.ok = false};
	bool pk = false;

	u32 base = (write ? 2u : 0) | (user ? 4u : 0) | (exec && (nxe || (c->cr4 & CR4_SMEP)) ? 16u : 0);
	for (unsigned n = 0; n <= s->leaf; n++) {
		const struct level *l = &m->level[n];
		if (!l->p) {
			v.error = base;
			return v;
		}
		if (l->reserved || (l->nx && !nxe)) {
			v.error = base | 9;
			return v;
		}
		page_w &= l->w, page_u &= l->u, page_nx |= l->nx;
		if (n < s->leaf)
			v.accessed[n] = !(n == 0 && s->levels == 3);
	}
	if ((c->cr4 & CR4_PKE) && page_u && !exec) {
		bool ad = (c->pkru >> (2 * m->pkey)) & 1, wd = (c->pkru >> (2 * m->pkey + 1)) & 1;
		pk = ad || (wd && write && (user || (c->cr0 & CR0_WP)));
	}
	bool bad = pk;
	if (user)
		bad |= !page_u || (write && !page_w) || (exec && page_nx);
	else if (exec)
		bad |= page_nx || (page_u && (c->cr4 & CR4_SMEP));
	else {
		bool open = !(c->cr4 & CR4_SMAP) || ((c->rflags & FL_AC) && !(access & ACC_SUPER));
		bad |= (page_u && !open) || (write && !page_w && (c->cr0 & CR0_WP));
	}
	if (bad) {
		v.error = base | 1 | (pk ? 32u : 0);
		return v;
	}
	v.ok = v.accessed[s->leaf] = true;
	v.dirty = write;
	return v;
}

static enum xr perform(struct cpu *c, la_t la, unsigned access, u64 *value)
{
	if (access & ACC_EXEC) {
		struct fetch f;
		enum xr r = mmu_fetch(c, la, &f);
		if (r == XR_OK)
			*value = bus_read_u64(c->bus, f.pa);
		return r;
	}
	if ((access & ACC_RMW) == ACC_RMW)
		return mem_load_rmw(c, la, 8, access, value);
	if (access & ACC_WRITE)
		return mem_write64(c, la, access, *value);
	return mem_read64(c, la, access, value);
}

static const unsigned kinds[] = {ACC_READ, ACC_WRITE, ACC_RMW, ACC_EXEC, ACC_READ | ACC_SUPER, ACC_WRITE | ACC_SUPER};

static void check_one(struct fixture *f, const struct mapping *m, unsigned access, bool fresh)
{
	struct cpu *c = f->c;
	struct verdict v = predict(c, m, access);
	u64 offset = (rnd() % shapes[m->mode].page) & 0x1fffff8, value = rnd(), got;
	u64 pa = (m->pa + offset) % (64 * MIB - 8);

	if (m->mode == M_LONG_1G) { /* the file of RAM is smaller than the page */
		offset &= 0xffff8;
		pa = m->pa + offset;
	}
	if (access == ACC_WRITE)
		got = value;
	else
		bus_write_u64(&f->bus, pa, value), got = 0;
	enum xr r = perform(c, m->la + offset, access, &got);
	if (r != (v.ok ? XR_OK : XR_FAULT) || (r && c->fault.error != v.error))
		fail_msg("mode %d la %llx access %x cpl %d cr0 %llx cr4 %llx efer %llx: got %d/%x, expected %d/%x",
		         m->mode, (unsigned long long)m->la, access, c->cpl, (unsigned long long)c->cr0,
		         (unsigned long long)c->cr4, (unsigned long long)c->efer, r, c->fault.error, v.ok, v.error);
	if (r) {
		assert_int_equal(c->fault.vector, EX_PF);
		assert_true(c->fault.payload == m->la + offset);
	} else if (access & ACC_WRITE && access != ACC_RMW) {
		if (access == ACC_WRITE)
			assert_true(bus_read_u64(&f->bus, pa) == value);
	} else {
		assert_true(got == value);
	}
	if (!fresh)
		return;
	for (unsigned n = 0; n <= shapes[m->mode].leaf; n++) {
		u64 e = get_entry(f, m->mode, m->level[n].at);
		bool leaf = n == shapes[m->mode].leaf;
		if (m->level[n].p && !m->level[n].reserved) {
			assert_int_equal(!!(e & PTE_A), v.accessed[n]);
			assert_int_equal(!!(e & PTE_D), leaf && v.dirty);
		}
	}
}

static void test_permissions(void **state)
{
	struct fixture *f = *state;

	drawn_begin();
	for (unsigned round = 0; round < 40000; round++) {
		struct mapping m;
		enum mode mode = round % M_COUNT;
		f->free = CR3_AT + PAGE_SIZE;
		random_mapping(&m, mode);
		random_registers(f->c, mode);
		build(f, &m);
		tlb_flush_all(f->c);
		check_one(f, &m, kinds[rnd() % 6], true);
		/* Without a flush: what is cached must be judged by the registers of the moment. */
		for (unsigned again = 0; again < 6; again++) {
			u64 keep = f->c->efer;
			random_registers(f->c, mode);
			f->c->efer = (f->c->efer & ~EFER_NXE) | (keep & EFER_NXE); /* its change is software's flush */
			mmu_update_context(f->c);
			check_one(f, &m, kinds[rnd() % 6], false);
		}
		put_entry(f, mode, m.level[0].at, 0);
	}
	drawn_end(40000 * 7);
}

/* A processor's features never change; here they do, behind the back of what is kept of the paging mode. */
static void set_feature(struct cpu *c, enum feature f, bool on)
{
	feat_put(&c->feat, f, on);
	c->l1_contexts->walk_key = 0;
}

static void test_physical_widths(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	u64 v;

	/* PSE-36: bits 20:13 are address bits 39:32; what reaches above MAXPHYADDR is reserved. */
	set_mode(c, M_LEGACY_4M);
	c->phys_bits = 36;
	bus_write_u32(&f->bus, CR3_AT + 4, 0x1400000 | PTE_PS | PTE_P | PTE_W | 1u << 17);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, 0x400000, 0, &v), XR_FAULT);
	assert_int_equal(c->fault.error, PF_P | PF_RSV);
	bus_write_u32(&f->bus, CR3_AT + 4, 0x1400000 | PTE_PS | PTE_P | PTE_W | 1u << 16);
	pa_t pa;
	assert_true(mmu_peek(c, 0x400123, &pa));
	assert_true(pa == (0x801400123ull));
	set_feature(c, FEAT_PSE36, false);
	assert_int_equal(mem_read64(c, 0x400000, 0, &v), XR_FAULT);
	/* Without CR4.PSE bit 7 means nothing and the entry points to a table. */
	bus_write_u32(&f->bus, CR3_AT + 4, 0x200000 | PTE_PS | PTE_P | PTE_W);
	bus_write_u32(&f->bus, 0x200000, (u32)DATA | PTE_P);
	bus_write_u64(&f->bus, DATA, 0x77);
	c->cr4 &= ~CR4_PSE;
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, 0x400000, 0, &v), XR_OK);
	assert_int_equal(v, 0x77);
	/* 1 GiB pages need the feature, else bit 7 is reserved. */
	set_mode(c, M_LONG);
	bus_write_u64(&f->bus, CR3_AT, 0x200000 | PTE_P);
	bus_write_u64(&f->bus, 0x200000, 0 | PTE_P | PTE_PS);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, DATA, 0, &v), XR_OK);
	set_feature(c, FEAT_PDPE1GB, false);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, DATA, 0, &v), XR_FAULT);
	assert_int_equal(c->fault.error, PF_P | PF_RSV);
	/* AMD: bit 8 of upper entries. */
	set_feature(c, FEAT_PDPE1GB, true);
	bus_write_u64(&f->bus, CR3_AT, 0x200000 | PTE_P | BIT(8));
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, DATA, 0, &v), XR_OK);
	f->model.quirks = BIT(QUIRK_UPPER_BIT8_RESERVED);
	set_feature(c, FEAT_PDPE1GB, true);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, DATA, 0, &v), XR_FAULT);
}

/* ---- accesses ---- */
static void test_unpaged(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	u64 v;

	c->mode = MODE_16;
	mmu_update_context(c);
	assert_int_equal(mem_write64(c, 0x5000, 0, 0x1122334455667788), XR_OK);
	assert_int_equal(bus_read_u64(&f->bus, 0x5000), 0x1122334455667788);
	assert_int_equal(mem_read64(c, 0x5000, 0, &v), XR_OK);
	/* A20: 100000h reads as 0 */
	bus_write_u64(&f->bus, 0x123, 0xaaaa);
	bus_write_u64(&f->bus, 0x100123, 0xbbbb);
	assert_int_equal(look(f, 0x100123), 0xbbbb);
	bus_mask_a20(&f->bus, true);
	assert_int_equal(look(f, 0x100123), 0xaaaa);
	bus_mask_a20(&f->bus, false);
	assert_int_equal(look(f, 0x100123), 0xbbbb);
	/* 4 GiB wraps */
	bus_write_u32(&f->bus, 0, 0x77665544);
	assert_int_equal(mem_read64(c, 0xfffffffc, 0, &v), XR_OK);
	assert_int_equal(v, 0x77665544ffffffff);
}

static void test_crossing(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping a, b;
	u64 v;

	set_mode(c, M_LONG);
	simple(f, &a, M_LONG, 0x40000000, DATA, false);
	b = a;
	b.la += PAGE_SIZE;
	u64 *second_leaf = leaf_ptr(f, &a) + 1;
	*second_leaf = (DATA + 8 * PAGE_SIZE) | PTE_P | PTE_U;
	c->cr0 |= CR0_WP;
	tlb_flush_all(c);
	bus_write_u32(&f->bus, DATA + 0xffc, 0x11111111);
	bus_write_u32(&f->bus, DATA + 8 * PAGE_SIZE, 0x22222222);
	assert_int_equal(look(f, a.la + 0xffc), 0x2222222211111111);
	assert_int_equal(mem_write64(c, a.la + 0xffc, 0, 0), XR_FAULT);
	assert_true(c->fault.payload == b.la); /* the first byte of the second page */
	assert_int_equal(c->fault.error, PF_P | PF_W);
	assert_int_equal(bus_read_u32(&f->bus, DATA + 0xffc), 0x11111111); /* nothing moved */
	*second_leaf |= PTE_W;
	assert_int_equal(mem_load_rmw(c, a.la + 0xffd, 8, 0, &v), XR_OK);
	assert_int_equal(mem_write64(c, a.la + 0xffd, 0, 0x0807060504030201), XR_OK);
	assert_int_equal(bus_read_u32(&f->bus, DATA + 0xffc), 0x03020111);
	assert_int_equal(bus_read_u64(&f->bus, DATA + 8 * PAGE_SIZE), 0x0000000807060504ull);
	struct span s;
	u8 buf[4096];
	assert_int_equal(mem_span(c, a.la + 1, 4096, ACC_WRITE, &s), XR_OK);
	assert_int_equal(s.parts, 2);
	assert_int_equal(s.part[0].len, 4095);
	for (unsigned n = 0; n < sizeof(buf); n++)
		buf[n] = (u8)(n * 7);
	span_write(c, &s, 0, buf, 4096);
	memset(buf, 0, sizeof(buf));
	span_read(c, &s, 4090, buf, 6);
	for (unsigned n = 0; n < 6; n++)
		assert_int_equal(buf[n], (u8)((4090 + n) * 7));
	assert_int_equal(bus_read_u32(&f->bus, DATA + 8 * PAGE_SIZE) & 0xff, (u8)(4095 * 7));
	c->stress.split_access = true;
	mmu_update_context(c);
	assert_int_equal(mem_write64(c, a.la + 16, 0, 0x1020304050607080), XR_OK);
	assert_int_equal(look(f, a.la + 16), 0x1020304050607080);
	assert_int_equal(look(f, a.la + 0xffc) & 0xff, (u8)(4091 * 7));
}

static void test_canonical_and_alignment(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;
	u64 v;

	set_mode(c, M_LONG);
	simple(f, &m, M_LONG, 0x7ffffffff000, DATA, false);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, 0x800000000000, 0, &v), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_GP);
	assert_int_equal(mem_read64(c, 0x7ffffffffffc, ACC_STACK, &v), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_SS);
	assert_int_equal(c->fault.error, 0);
	c->cpl = 3;
	c->cr0 |= CR0_AM;
	c->rflags = FL_AC | FL_1;
	mmu_update_context(c);
	u32 w;
	assert_int_equal(mem_read32(c, m.la + 4, 0, &w), XR_OK);
	assert_int_equal(mem_read32(c, m.la + 2, 0, &w), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_AC);
	assert_int_equal(mem_read32(c, m.la + 2, ACC_SUPER, &w), XR_OK);
	c->rflags = FL_1;
	mmu_update_context(c);
	assert_int_equal(mem_read32(c, m.la + 2, 0, &w), XR_OK);
}

static void test_data_breakpoints(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	u32 w;

	c->mode = MODE_32;
	(void)look(f, 0x5000); /* in the L1 before the breakpoint is set */
	c->dr[1] = 0x5004;
	c->dr7 = DR7_RESET | 1u << 2 | 1u << 20 | 3u << 22; /* L1, write, 4 bytes */
	c->dr[2] = 0x5012;
	c->dr7 |= 1u << 5 | 3u << 24 | 1u << 26; /* G2, read or write, 2 bytes */
	mmu_update_context(c);
	assert_int_equal(mem_read32(c, 0x5004, 0, &w), XR_OK);
	assert_int_equal(raised, 0);
	assert_int_equal(mem_write8(c, 0x5007, 0, 1), XR_OK);
	assert_int_equal(c->pending_db, 2);
	assert_true(c->pend & PEND_DB);
	c->pending_db = 0;
	assert_int_equal(mem_write8(c, 0x5008, 0, 1), XR_OK);
	assert_int_equal(c->pending_db, 0);
	assert_int_equal(mem_read32(c, 0x500f, 0, &w), XR_OK); /* 500f..5012 touches 5012 */
	assert_int_equal(c->pending_db, 4);
	c->pending_db = 0;
	struct span s;
	assert_int_equal(mem_span(c, 0x5000, 64, ACC_WRITE, &s), XR_OK);
	assert_int_equal(c->pending_db, 6);
	c->dr7 = DR7_RESET | 1u << 2 | 0u << 20; /* code breakpoints are not the MMU's */
	c->pending_db = 0;
	mmu_update_context(c);
	assert_int_equal(mem_write8(c, 0x5004, 0, 1), XR_OK);
	assert_int_equal(c->pending_db, 0);
}

static u64 last_off, last_val;
static unsigned last_size;
static u64 dev_read(void *dev, u64 off, unsigned size)
{
	(void)dev;
	last_off = off, last_size = size;
	return 0x8877665544332211;
}
static void dev_write(void *dev, u64 off, unsigned size, u64 v)
{
	(void)dev;
	last_off = off, last_size = size, last_val = v;
}

static void test_mmio_and_apic(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	const struct bus_ops ops = {dev_read, dev_write, 0, 0};
	struct bus_range r = {.ops = &ops, .base = 0xfed00000, .size = 0x1000};
	u64 v;
	u16 h;
	u32 w;

	c->mode = MODE_32;
	bus_map(&f->bus, &r);
	assert_int_equal(mem_read64(c, 0xfed00010, 0, &v), XR_OK);
	assert_true(v == 0x8877665544332211 && last_off == 0x10 && last_size == 8);
	assert_int_equal(f->clock.now, 1500);
	assert_int_equal(synced, 1);
	assert_int_equal(mem_write16(c, 0xfed00022, 0, 0xabcd), XR_OK);
	assert_true(last_off == 0x22 && last_size == 2 && last_val == 0xabcd);
	/* The local APIC hides RAM where software puts it, and only while it is enabled in xAPIC mode. */
	bus_write_u64(&f->bus, 0x9020, 0xdddddddd);
	assert_int_equal(look(f, 0x9020), 0xdddddddd);
	apic_regs[0x20 / 4] = 0x01000000;
	apic_regs[0x24 / 4] = 0x5;
	c->apic.base = 0x9000 | BIT(11);
	mmu_update_context(c);
	assert_int_equal(mem_read64(c, 0x9020, 0, &v), XR_OK);
	assert_true(v == 0x501000000);
	assert_int_equal(mem_read16(c, 0x9022, 0, &h), XR_OK);
	assert_int_equal(h, 0x100);
	assert_int_equal(mem_write32(c, 0x9080, 0, 0x20), XR_OK);
	assert_int_equal(apic_regs[0x80 / 4], 0x20);
	assert_int_equal(mem_write8(c, 0x9081, 0, 0x33), XR_OK);
	assert_int_equal(apic_regs[0x80 / 4], 0x3320);
	c->apic.base |= BIT(10);
	mmu_update_context(c);
	assert_int_equal(mem_read32(c, 0x9020, 0, &w), XR_OK);
	assert_int_equal(w, 0xdddddddd);
}

static void test_code_pages_and_rom(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	u8 rom[16] = {1, 2, 3, 4};
	u32 w;

	c->mode = MODE_32;
	assert_int_equal(bus_add_rom(&f->bus, 0xe0000, rom, sizeof(rom), NULL), ST_OK);
	assert_int_equal(mem_write32(c, 0x6000, 0, 1), XR_OK);
	assert_int_equal(f->written, 0);
	u8 *flag = mem_flag(&f->bus, bus_memory(&f->bus, 0x6000));
	assert_int_equal(*flag, 0); /* no longer clean */
	*flag = PAGE_CODE;
	assert_int_equal(mem_write32(c, 0x6004, 0, 1), XR_OK); /* though the L1 holds the page */
	assert_int_equal(f->written, 0x6004);
	assert_int_equal(f->writer.by, BY_CPU);
	assert_int_equal(mem_write32(c, 0xe0000, 0, 9), XR_OK);
	assert_int_equal(mem_read32(c, 0xe0000, 0, &w), XR_OK);
	assert_int_equal(w, 0x04030201);
	assert_int_equal(mem_write32(c, 0xe0000, 0, 9), XR_OK);
	assert_int_equal(mem_read32(c, 0xe0000, 0, &w), XR_OK);
	assert_int_equal(w, 0x04030201);
}

static void test_pdptes(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;
	u64 v;

	set_mode(c, M_PAE);
	simple(f, &m, M_PAE, 0xc0001000, DATA, false);
	bus_write_u64(&f->bus, DATA, 0x42);
	memset(c->pdpte, 0, sizeof(c->pdpte));
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, m.la, 0, &v), XR_FAULT); /* the registers decide, not memory */
	assert_int_equal(mmu_load_pdptes(c, CR3_AT), XR_OK);
	assert_int_equal(look(f, m.la), 0x42);
	bus_write_u64(&f->bus, CR3_AT + 8, PTE_P | PTE_W);
	assert_int_equal(mmu_load_pdptes(c, CR3_AT), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_GP);
	assert_true(c->pdpte[3] & 1);
	bus_write_u64(&f->bus, CR3_AT + 8, PTE_P | BIT(46));
	assert_int_equal(mmu_load_pdptes(c, CR3_AT), XR_FAULT);
	bus_write_u64(&f->bus, CR3_AT + 8, PTE_W | BIT(46)); /* not present: anything goes */
	assert_int_equal(mmu_load_pdptes(c, CR3_AT), XR_OK);
	memset(c->pdpte, 0, sizeof(c->pdpte));
	c->pdpte_on_demand = true;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 0x42);
}

static void test_second_stage(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;
	struct walk_step steps[8];
	pa_t pa;

	set_mode(c, M_LONG);
	simple(f, &m, M_LONG, 0x40000000, DATA, false);
	bus_write_u64(&f->bus, DATA, 1);
	bus_write_u64(&f->bus, DATA + PAGE_SIZE, 2);
	c->stage2 = true;
	second.moved_from = DATA;
	second.moved_to = DATA + PAGE_SIZE;
	second.shift = 12;
	tlb_flush_all(c);
	assert_true(mmu_peek(c, m.la + 8, &pa));
	assert_true(pa == DATA + PAGE_SIZE + 8);
	assert_int_equal(mmu_walk_steps(c, m.la, steps, 8), 4);
	assert_string_equal(steps[0].name, "PML4E");
	assert_string_equal(steps[3].name, "PTE");
	assert_true(steps[3].addr == m.level[3].at && steps[3].value == *leaf_ptr(f, &m));
	assert_false(*leaf_ptr(f, &m) & PTE_A);
	assert_true(second.last.peek);
	second.calls = 0;
	assert_int_equal(look(f, m.la), 2);
	assert_int_equal(second.calls, 5); /* four tables and the page; A bits needed no second look */
	assert_true(second.last.why == S2_FINAL && second.last.user && second.last.linear == m.la);
	assert_int_equal(look(f, m.la), 2);
	assert_int_equal(second.calls, 5);
}

static void test_second_stage_refuses(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;
	u64 v;

	set_mode(c, M_LONG);
	simple(f, &m, M_LONG, 0x40000000, DATA, false);
	bus_write_u64(&f->bus, DATA, 2);
	c->stage2 = true;
	second.shift = 12;
	/* Write-protected by the second stage: the first allows it, the walk runs into the exit. */
	second.odd_page = DATA;
	second.odd_perms = ACC_READ;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 2);
	assert_int_equal(mem_write64(c, m.la, 0, 7), XR_EXIT);
	assert_true(second.last.access == ACC_WRITE && second.last.gpa == DATA);
	struct fetch fe;
	assert_int_equal(mmu_fetch(c, m.la, &fe), XR_EXIT);
	/* A table the second stage write-protects: setting the accessed bit asks again, with intent. */
	*leaf_ptr(f, &m) &= ~(PTE_A | PTE_D);
	second.odd_page = m.level[3].at & PAGE_MASK;
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, m.la, 0, &v), XR_EXIT);
	assert_true(second.last.why == S2_TABLE && second.last.set_dirty && second.last.gpa == m.level[3].at);
	*leaf_ptr(f, &m) |= PTE_A;
	assert_int_equal(look(f, m.la), 2);
	/* Dirty tracking of the second stage keeps stores out of the caches. */
	second.odd_page = 1;
	second.dirty_ok = false;
	tlb_flush_all(c);
	assert_int_equal(mem_write64(c, m.la, 0, 3), XR_OK);
	unsigned calls = second.calls;
	assert_int_equal(mem_write64(c, m.la, 0, 3), XR_OK);
	assert_true(second.calls > calls);
	/* Paging off: guest-physical addresses only, and never mixed with paged ones. */
	c->cr0 &= ~CR0_PG;
	c->efer = 0;
	c->mode = MODE_32;
	mmu_update_context(c);
	assert_int_equal(look(f, DATA), 3);
	calls = second.calls;
	assert_int_equal(look(f, DATA), 3);
	assert_int_equal(second.calls, calls);
}

/* ---- EPT by the same loop ---- */
/* clang-format off */
static const struct {
	u8 level_from_root;
	u64 flags, addr;
	bool no_xonly, mbec;
	enum walk_kind kind;
} ept_rows[] = {
        {3, 0, DATA, 0, 0, WALK_NOT_PRESENT},
        {3, 2 | 6 << 3, DATA, 0, 0, WALK_RESERVED}, /* W without R */
        {3, 6 | 6 << 3, DATA, 0, 0, WALK_RESERVED},
        {3, 4 | 6 << 3, DATA, 0, 0, WALK_OK}, /* X only, supported */
        {3, 4 | 6 << 3, DATA, 1, 0, WALK_RESERVED},
        {3, 5 | 6 << 3, DATA, 1, 0, WALK_OK},
        {3, 7 | 2 << 3, DATA, 0, 0, WALK_RESERVED}, /* memory types 2, 3, 7 */
        {3, 7 | 3 << 3, DATA, 0, 0, WALK_RESERVED},
        {3, 7 | 7 << 3, DATA, 0, 0, WALK_RESERVED},
        {3, 7 | 0 << 3, DATA, 0, 0, WALK_OK},
        {3, 7 | 6 << 3, 1ull << 46, 0, 0, WALK_RESERVED}, /* above MAXPHYADDR */
        {2, 7 | 1 << 3, 0x303000, 0, 0, WALK_RESERVED},   /* bits 6:3 of an entry that points to a table */
        {0, 7 | 1 << 7, 0x301000, 0, 0, WALK_RESERVED},   /* bit 7 of a PML4E */
        {2, 7 | 1 << 7 | 6 << 3, DATA, 0, 0, WALK_OK},    /* 2 MiB */
        {2, 7 | 1 << 7 | 6 << 3 | 1 << 12, DATA, 0, 0, WALK_RESERVED},
        {1, 7 | 1 << 7 | 6 << 3, 0, 0, 0, WALK_OK}, /* 1 GiB */
        {1, 7 | 1 << 7 | 6 << 3 | 1 << 29, 0, 0, 0, WALK_RESERVED},
        {3, 1 << 10 | 6 << 3, DATA, 0, 0, WALK_NOT_PRESENT}, /* XU means nothing without MBEC */
        {3, 1 << 10 | 6 << 3, DATA, 0, 1, WALK_OK},
        {3, 1 << 10 | 6 << 3, DATA, 1, 1, WALK_RESERVED},
};
/* clang-format on */

static void test_ept(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	u64 root = 0x300000, gpa = 0x12345678000ull, t[4] = {root, 0x301000, 0x302000, 0x303000}, at[4];
	struct walk_rules rules = {.format = &walk_ept4,
	                           .present = 7,
	                           .phys_bits = 46,
	                           .large = 1 << 2 | 1 << 3,
	                           .bad_perms = EPT_BAD_PERMS,
	                           .bad_memtypes = EPT_BAD_MEMTYPES};
	struct walk_mode mode;
	struct walk_request q = {.mode = &mode, .root = root, .addr = gpa + 0x123, .keep_ad = true};
	struct walk_result r;

	for (unsigned n = 0; n < 4; n++) {
		at[n] = t[n] + ((gpa >> (39 - 9 * n)) & 511) * 8;
		bus_write_u64(&f->bus, at[n], n < 3 ? t[n + 1] | 7 : DATA | 7 | MT_WB << 3);
	}
	walk_mode_set(&mode, &rules);
	assert_int_equal(walk_run(c, &q, &r), XR_OK);
	assert_int_equal(r.kind, WALK_OK);
	assert_true(r.pa == DATA + 0x123 && (r.all & 7) == 7 && r.page_shift == 12 && r.memtype == MT_WB);
	assert_int_equal(bus_read_u64(&f->bus, at[2]) & (EPT_A | EPT_D), EPT_A);
	assert_int_equal(bus_read_u64(&f->bus, at[3]) & (EPT_A | EPT_D), 0);
	assert_int_equal(walk_mark(c, &q, &r, true), XR_OK);
	assert_int_equal(bus_read_u64(&f->bus, at[3]) & (EPT_A | EPT_D), EPT_A | EPT_D);

	for (unsigned n = 0; n < ARRAY_LEN(ept_rows); n++) {
		u64 old = bus_read_u64(&f->bus, at[ept_rows[n].level_from_root]);
		bus_write_u64(&f->bus, at[ept_rows[n].level_from_root], ept_rows[n].addr | ept_rows[n].flags);
		rules.bad_perms = EPT_BAD_PERMS | (ept_rows[n].no_xonly ? EPT_BAD_PERMS_NO_XONLY : 0);
		rules.present = ept_rows[n].mbec ? 7 | EPT_XU : 7;
		walk_mode_set(&mode, &rules);
		assert_int_equal(walk_run(c, &q, &r), XR_OK);
		if (r.kind != ept_rows[n].kind)
			fail_msg("row %u: %d instead of %d", n, r.kind, ept_rows[n].kind);
		bus_write_u64(&f->bus, at[ept_rows[n].level_from_root], old);
	}
	rules.large = 1 << 2; /* without 1 GiB pages bit 7 of a PDPTE is reserved */
	walk_mode_set(&mode, &rules);
	bus_write_u64(&f->bus, at[1], 7 | 1 << 7 | 6 << 3);
	assert_int_equal(walk_run(c, &q, &r), XR_OK);
	assert_int_equal(r.kind, WALK_RESERVED);
	assert_int_equal(r.level, 3);
}

/* ---- a second stage in memory: EPT as a vendor would walk it ---- */

#define EPT_AT 0x3000000ull
static struct walk_mode ept_mode;
static unsigned ept_walks;

static enum xr ept_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	struct walk_request w = {.mode = &ept_mode, .root = c->stage2_root, .addr = q->gpa, .keep_ad = true, .memo = q->memo};
	struct walk_result out;

	ept_walks++;
	TRY(walk_run(c, &w, &out));
	if (out.kind != WALK_OK)
		return XR_EXIT;
	TRY(walk_mark(c, &w, &out, true));
	*r = (struct stage2_res){.pa = out.pa, .perms = 7, .dirty_ok = true, .page_shift = out.page_shift};
	return XR_OK;
}

/* The first 64 MiB one to one in 4 KiB pages; returns where the entry of `gpa` lies. */
static u64 ept_identity(struct fixture *f, u64 root, u64 gpa)
{
	bus_write_u64(&f->bus, root, (root + 0x1000) | 7);
	bus_write_u64(&f->bus, root + 0x1000, (root + 0x2000) | 7);
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&f->bus, root + 0x2000 + 8 * n, (root + 0x3000 + (n << 12)) | 7);
	for (u64 n = 0; n < 64 * MIB >> 12; n++)
		bus_write_u64(&f->bus, root + 0x3000 + 8 * n, n << 12 | MT_WB << 3 | 7);
	return root + 0x3000 + 8 * (gpa >> 12);
}

/* What is remembered of a guest's tables is used, and holds only while memory says the same. */
static void test_memos(void **state)
{
	static const struct virt_ops ops = {
		.name = "test", .rules = {.a20_blocked = test_a20_masks, .control_ok = test_any_value},
		.memory = {.stage2 = ept_stage2, .flushed = test_flushed}};
	const struct walk_rules rules = {.format = &walk_ept4, .present = 7, .phys_bits = 46};
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;

	walk_mode_set(&ept_mode, &rules);
	set_mode(c, M_LONG);
	simple(f, &m, M_LONG, 0x40000000, DATA, false);
	bus_write_u64(&f->bus, DATA, 1);
	bus_write_u64(&f->bus, DATA + PAGE_SIZE, 2);

	u64 leaf = m.level[3].at, entry = ept_identity(f, EPT_AT, leaf), other = DATA + 2 * PAGE_SIZE;

	c->virt = &ops;
	c->stage2 = true;
	c->stage2_root = EPT_AT;
	c->stage2_mode = 1;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 1);
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 1);
	ept_walks = 0;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 1);
	assert_int_equal(ept_walks, 1); /* the page; the four tables were known */

	/* The guest's lowest table moves: the entry in memory decides, with nothing flushed but the translation. */
	bus_write_u64(&f->bus, other + (leaf & ~PAGE_MASK), (DATA + PAGE_SIZE) | PTE_P | PTE_U | PTE_A);
	bus_write_u64(&f->bus, entry, other | MT_WB << 3 | 7);
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 2);
	assert_int_equal(bus_read_u64(&f->bus, entry) & (EPT_A | EPT_D), EPT_A | EPT_D);

	/* An accessed bit that software cleared is set again. */
	bus_write_u64(&f->bus, EPT_AT, bus_read_u64(&f->bus, EPT_AT) & ~EPT_A);
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 2);
	assert_true(bus_read_u64(&f->bus, EPT_AT) & EPT_A);

	/* Another root, another mode: another walk. */
	(void)ept_identity(f, EPT_AT + 0x100000, leaf);
	c->stage2_root = EPT_AT + 0x100000;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 1);
	c->stage2_mode = 2;
	ept_walks = 0;
	tlb_flush_all(c);
	assert_int_equal(look(f, m.la), 1);
	assert_int_equal(ept_walks, 5);

	/* Gone: the walk finds out. */
	bus_write_u64(&f->bus, EPT_AT + 0x100000 + 0x2000, 0);
	u64 v;
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, m.la, 0, &v), XR_EXIT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_permissions),   T(test_physical_widths),         T(test_unpaged),
	        T(test_crossing),      T(test_canonical_and_alignment), T(test_data_breakpoints),
	        T(test_mmio_and_apic), T(test_code_pages_and_rom),      T(test_pdptes),
	        T(test_second_stage),  T(test_second_stage_refuses),    T(test_ept),
	        T(test_memos),
	};
	return cmocka_run_group_tests_name("mmu", tests, NULL, NULL);
}
