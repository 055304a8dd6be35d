/*
 * The sanitizer's stale translations, on both makers' processors: each change of an entry that asks for an invalidation, with
 * and without each flush, and a great many random ones against another way of keeping the books: the set of all
 * translations that were ever made since the last flush that covers them.
 */
#include "report.h"
#include "rnd.h"
#include "svm_guest.h"
#include "vmx_fixture.h"

#include "sanitize/sanitize.h"

/* The guest's tables map one to one; this part of its memory is by small pages, from these tables. */
#define AREA    0xa00000ull
#define TABLE   0x6000ull
#define TABLE_B 0x7000ull
#define PDE     (0x5000ull + 8 * 5)
#define FRAMES  0x1000000ull

struct world {
	struct pc *p;
	struct sanitize *s;
	bool amd;
	unsigned told;
	struct refusal last;
	char field[160], fix[160];
	unsigned asid;
};

static void caught(void *arg, struct cpu *c, const struct refusal *r)
{
	struct world *w = ((struct pc *)arg)->own;

	(void)c;
	if (r->kind != REFUSAL_SANITIZE || strstr(r->check, ".stale") == NULL)
		return;
	w->told++;
	w->last = *r;
	snprintf(w->field, sizeof(w->field), "%s", r->field[0].name);
	snprintf(w->fix, sizeof(w->fix), "%s", r->fix);
}

/* ---- entries, in one form for both ---- */

enum { R = 1, W = 2, X = 4, CLEAN = 8, UC = 16, LARGE = 32, OLD = 64 /* not accessed */ };

static u64 entry(const struct world *w, u64 to, unsigned how)
{
	bool small = !(how & LARGE);

	if (!(how & 7))
		return 0;
	if (!w->amd)
		return to | (how & 7) | (how & UC ? 0 : 6 << 3) | (how & OLD ? 0 : BIT(8)) |
		       (how & CLEAN ? 0 : BIT(9)) | (small ? 0 : BIT(7));
	return to | PTE_P | PTE_U | (how & OLD ? 0 : PTE_A) | (how & W ? PTE_W : 0) | (how & X ? 0 : PTE_NX) | (how & CLEAN ? 0 : PTE_D) |
	       (how & UC ? 3 << 3 : 0) | (small ? 0 : PTE_PS);
}

static u64 pointer(const struct world *w, u64 table)
{
	return table | (w->amd ? PTE_P | PTE_W | PTE_U | PTE_A : 7 | BIT(8));
}

static void store(struct world *w, u64 pa, u64 value)
{
	bus_write_u64(&w->p->bus, pa, value);
}

static void world_start(struct world *w, const char *model)
{
	struct err err;

	*w = (struct world){.amd = strcmp(model, "amd") == 0, .asid = 1};
	if (w->amd) {
		w->p = pc_new(model);
		struct vmcb_page *v = svm_guest64(w->p);
		w->p->c->efer |= EFER_SVME;
		w->p->c->vm_hsave_pa = HSAVE_PA;
		v->control.icpt[3] |= 1u << 24; /* HLT */
		v->control.nested_ctl = NESTED_NP_ENABLE;
		v->control.n_cr3 = NCR3;
		store(w, NCR3, 0x4067);
		store(w, 0x4000, 0x5067);
		for (u64 n = 0; n < 16; n++)
			store(w, 0x5000 + 8 * n, n * 0x200000 | 0xe7);
	} else {
		w->p = pc_in_vmx();
		for (u64 n = 0; n < 16; n++)
			store(w, 0x5000 + 8 * n, n * 0x200000 | 0x3b7);
	}
	w->p->own = w;
	w->p->hooks.refused = caught;
	for (u64 n = 0; n < 512; n++) {
		store(w, TABLE + 8 * n, entry(w, FRAMES + n * PAGE_SIZE, R | W | X));
		store(w, TABLE_B + 8 * n, entry(w, FRAMES + 0x200000 + n * PAGE_SIZE, R | W | X));
		store(w, FRAMES + n * PAGE_SIZE, 0xc3);            /* RET */
		store(w, FRAMES + 0x200000 + n * PAGE_SIZE, 0xc3);
		store(w, AREA + n * PAGE_SIZE, 0xc3);
	}
	store(w, PDE, pointer(w, TABLE));
	assert_int_equal(sanitize_new(&w->s, &w->p->bus, w->p->c->all, 1,
	                              BIT(WATCH_EPT_STALE) | BIT(WATCH_NPT_STALE), &err),
	                 ST_OK);
}

static void world_end(struct world *w)
{
	sanitize_free(w->s);
	pc_free(w->p);
}

/* ---- the guest ---- */

/* One access to a page of the area, and out again. */
static void guest(struct world *w, u64 page, unsigned access)
{
	struct pc *p = w->p;
	struct cpu *c = p->c;
	const u8 code = access == X ? 0xff : access == W ? 0x89 : 0x8b;

	CODE(p, GUEST_CODE, code, (u8)(access == X ? 0xd3 : 0x03), 0xf4); /* CALL RBX; MOV [RBX], EAX; MOV EAX, [RBX] */
	if (w->amd) {
		struct vmcb_page *v = vmcb_of(p);
		v->save.rip = GUEST_CODE;
		v->save.rsp = 0x90000;
		v->save.rax = 0xc3;
		v->control.asid = w->asid;
		CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
		c->r[REG_RAX] = VMCB_PA;
	} else {
		vmcs_set(vmx_of(c), VMCS_GUEST_RIP, GUEST_CODE);
		vmcs_set(vmx_of(c), VMCS_GUEST_RSP, 0x90000);
		bus_write_u32(&p->bus, HOST_CODE, vmx_of(c)->launched ? VMRESUME : VMLAUNCH);
		CODE(p, HOST_CODE + 4, 0xf4);
		c->r[REG_RAX] = 0xc3;
	}
	c->r[REG_RBX] = AREA + page * PAGE_SIZE;
	run_host(p);
}

enum flush { NONE, MINE, ALL, OTHER_TAG, LINEAR, FLUSHES };

/* One instruction of the monitor with a descriptor at RDI. */
static void invept(struct world *w, u64 type, u64 eptp, u8 opcode)
{
	bus_write_u64(&w->p->bus, 0x50000, eptp);
	bus_write_u64(&w->p->bus, 0x50008, 0);
	CODE(w->p, HOST_CODE, 0x66, 0x0f, 0x38, opcode, 0x07, 0xf4);
	w->p->c->r[REG_RAX] = type;
	w->p->c->r[REG_RDI] = 0x50000;
	run_host(w->p);
}

static void svm_flush(struct world *w, enum flush how)
{
	struct vmcb_page *v = vmcb_of(w->p);

	v->control.tlb_control = how == MINE ? TLB_CONTROL_ASID : how == ALL ? TLB_CONTROL_ALL : TLB_CONTROL_NONE;
	if (how == OTHER_TAG || how == LINEAR) {
		CODE(w->p, HOST_CODE, 0x0f, 0x01, 0xdf, 0xf4); /* INVLPGA */
		w->p->c->r[REG_RAX] = AREA;
		w->p->c->r[REG_RCX] = how == LINEAR ? w->asid : w->asid + 1;
		run_host(w->p);
	}
	if (how == MINE || how == ALL) {
		guest(w, 511, R);
		v->control.tlb_control = TLB_CONTROL_NONE;
	}
}

static void flush(struct world *w, enum flush how)
{
	if (w->amd) {
		svm_flush(w, how);
		return;
	}
	switch (how) {
	case MINE: invept(w, 1, NCR3 | 0x5e, 0x80); break;
	case ALL: invept(w, 2, 0, 0x80); break;
	case OTHER_TAG: invept(w, 1, 0x8000 | 0x5e, 0x80); break;
	case LINEAR: invept(w, 2, 0, 0x81); break; /* INVVPID, all contexts */
	default: break;
	}
}

/* ---- one change ---- */

struct way {
	const char *name;
	unsigned was, now;  /* of the page's entry; frames follow below */
	unsigned access;    /* of the guest after it */
	u64 moved;          /* to another frame */
	const char *rule;   /* a part of it; NULL: nothing is to be said */
};
static const struct way ways[] = {
        {"not present, read", R | W | X, 0, R, 0, "not present"},
        {"not present, write", R | W | X, 0, W, 0, "not present"},
        {"not present, fetch", R | W | X, 0, X, 0, "not present"},
        {"write taken, write", R | W | X, R | X, W, 0, "after"},
        {"write taken, read", R | W | X, R | X, R, 0, NULL},
        {"execute taken, fetch", R | W | X, R | W, X, 0, "after"},
        {"execute taken, write", R | W | X, R | W, W, 0, NULL},
        {"address", R | W | X, R | W | X, R, 0x100000, "address"},
        {"address and less rights", R | W | X, R, R, 0x100000, "address"},
        {"memory type", R | W | X, R | W | X | UC, R, 0, "memory type"},
        {"dirty cleared, write", R | W | X, R | W | X | CLEAN, W, 0, "dirty"},
        {"dirty cleared, read", R | W | X, R | W | X | CLEAN, R, 0, NULL},
        {"accessed cleared", R | W | X, R | W | X | OLD, R, 0, NULL},
        {"clean all along", R | W | X | CLEAN, R | W | X | CLEAN, R, 0, NULL},
        {"write granted", R, R | W, W, 0, NULL},
        {"execute granted", R, R | X, X, 0, NULL},
        {"present", 0, R | W | X, R, 0, NULL},
        {"nothing", R | W | X, R | W | X, W, 0, NULL},
};

static void one_way(struct world *w, const struct way *y, enum flush how, u64 page, bool tiny)
{
	u64 at = TABLE + 8 * page, frame = FRAMES + page * PAGE_SIZE;
	bool covers = how == MINE || how == ALL;

	w->p->c->stress.tiny_tlb = tiny;
	store(w, at, entry(w, frame, y->was));
	flush(w, ALL);
	guest(w, page, y->was & CLEAN ? R : y->was & W ? W : R);
	guest(w, 510, R);
	w->told = 0;
	store(w, at, entry(w, frame + y->moved, y->now));
	assert_int_equal(w->told, 0); /* nothing has been used yet */
	flush(w, how);
	assert_int_equal(w->told, 0);
	guest(w, page, y->access);
	if (w->told != (y->rule && !covers))
		fail_msg("%s, flush %d, tiny %d: told %u", y->name, how, tiny, w->told);
	if (!w->told)
		return;
	assert_string_equal(w->last.check, w->amd ? "sanitize.npt.stale" : "sanitize.ept.stale");
	assert_non_null(strstr(w->last.rule, y->rule));
	assert_int_equal(w->last.field[0].value & ~0x60ull & ~BIT(9), entry(w, frame + y->moved, y->now) & ~0x60ull & ~BIT(9));
	guest(w, page, y->access);
	assert_int_equal(w->told, 1); /* once for the entry and the processor */
	store(w, at, entry(w, frame, R | W | X));
	flush(w, ALL);
}

static void test_ways(void **state)
{
	(void)state;
	for (unsigned amd = 0; amd < 2; amd++) {
		struct world w;

		world_start(&w, amd ? "amd" : "intel");
		for (unsigned n = 0; n < ARRAY_LEN(ways); n++)
			for (unsigned how = NONE; how < FLUSHES; how++)
				for (unsigned tiny = 0; tiny < 2; tiny++)
					one_way(&w, &ways[n], (enum flush)how, 3 + n, tiny);
		world_end(&w);
	}
}

/* ---- larger changes ---- */

static void test_split(void **state)
{
	(void)state;
	for (unsigned amd = 0; amd < 2; amd++) {
		struct world w;

		world_start(&w, amd ? "amd" : "intel");
		store(&w, PDE, entry(&w, FRAMES, R | W | X | LARGE));
		flush(&w, ALL);
		guest(&w, 7, W);
		store(&w, PDE, pointer(&w, TABLE)); /* the same pages, but for one */
		store(&w, TABLE + 8 * 9, entry(&w, FRAMES + 0x300000, R | W | X));
		guest(&w, 7, W);
		guest(&w, 8, W);
		assert_int_equal(w.told, 0); /* what is said of them is the same */
		guest(&w, 9, R);
		assert_int_equal(w.told, 1);
		assert_non_null(strstr(w.last.rule, amd ? "size of a page" : "bit 7"));
		assert_non_null(strstr(w.field, "PDE at 0x5028"));
		world_end(&w);
	}
}

static void test_table_reused(void **state)
{
	(void)state;
	for (unsigned amd = 0; amd < 2; amd++) {
		struct world w;

		world_start(&w, amd ? "amd" : "intel");
		guest(&w, 7, W);
		store(&w, PDE, pointer(&w, TABLE_B));
		guest(&w, 200, R); /* of which nothing is cached but the way to the old table */
		assert_int_equal(w.told, 1);
		assert_non_null(strstr(w.field, "PDE at 0x5028"));
		flush(&w, MINE);
		guest(&w, 201, R);
		assert_int_equal(w.told, 1);
		store(&w, PDE, 0);
		for (u64 n = 0; n < 512; n++)
			store(&w, TABLE_B + 8 * n, 0); /* freed, and cleared */
		guest(&w, 300, R);
		assert_int_equal(w.told, 1); /* through the old table it would fault as it does by the new */
		guest(&w, 201, R);
		assert_int_equal(w.told, 2);
		world_end(&w);
	}
}

/* The tag: other spaces know nothing, and on AMD's a root does not make another one. */
static void test_tags(void **state)
{
	struct world w;

	(void)state;
	world_start(&w, "amd");
	guest(&w, 7, W);
	store(&w, TABLE + 8 * 7, 0);
	w.asid = 2;
	guest(&w, 7, W); /* "a fresh ASID sees none of the translations cached under older ASIDs" */
	assert_int_equal(w.told, 0);
	w.asid = 1;
	guest(&w, 7, W);
	assert_int_equal(w.told, 1);
	flush(&w, ALL);
	guest(&w, 8, W);
	for (u64 n = 0; n < 16; n++)
		store(&w, 0x9000 + 8 * n, n * 0x200000 | 0xe7);
	store(&w, 0x8000, 0x9067);
	store(&w, 0xa000, 0x8067);
	vmcb_of(w.p)->control.n_cr3 = 0xa000; /* another root, the same ASID: there page 8 is where a large page has it */
	guest(&w, 8, R);
	assert_int_equal(w.told, 2);
	assert_non_null(strstr(w.last.rule, "N_CR3"));
	world_end(&w);

	world_start(&w, "amd");
	guest(&w, 8, W);
	for (u64 n = 0; n < 16; n++)
		store(&w, 0x9000 + 8 * n, n * 0x200000 | 0xe7);
	store(&w, 0x8000, 0x9067);
	store(&w, 0xa000, 0x8067);
	vmcb_of(w.p)->control.n_cr3 = 0xa000;
	flush(&w, MINE);
	guest(&w, 8, R);
	assert_int_equal(w.told, 0);
	world_end(&w);
}

static void test_violation_invalidates(void **state)
{
	(void)state;
	for (unsigned amd = 0; amd < 2; amd++) {
		struct world w;

		world_start(&w, amd ? "amd" : "intel");
		store(&w, TABLE + 8 * 7, entry(&w, FRAMES, R));
		guest(&w, 7, R);
		guest(&w, 7, W); /* a violation: nothing of this page is cached any more */
		store(&w, TABLE + 8 * 7, entry(&w, FRAMES + 0x5000, R | W));
		guest(&w, 7, W);
		assert_int_equal(w.told, 0);
		world_end(&w);
	}
}

/* ---- random ones, against a list of all translations that were ever made ---- */

#define PAGES 6u

struct book {
	u64 pde[64];                 /* pointers to tables, and large pages, that a walk went through */
	u64 gone[64];                /* bit: a page for which a violation has removed that */
	bool maybe[64];              /* only if the processor walked although it need not */
	unsigned pdes;
	struct { u64 pte; u64 page; bool maybe; } leaf[256];
	unsigned leaves;
};

struct where {
	bool ok;
	u64 frame, type;
	unsigned rights;
	bool dirty;
};

static struct where leaf_of(const struct world *w, u64 raw, u64 page, bool large)
{
	struct where r = {.ok = raw & (w->amd ? 1 : 7)};

	r.frame = large ? (raw & mask(51, 21)) + page * PAGE_SIZE : raw & mask(51, 12);
	r.type = w->amd ? bits(raw, 4, 3) : bits(raw, 6, 3);
	r.rights = w->amd ? (unsigned)(R | (raw & PTE_W ? W : 0) | (raw & PTE_NX ? 0 : X)) : (unsigned)(raw & 7);
	r.dirty = raw & (w->amd ? PTE_D : BIT(9));
	return r;
}

static struct where through(struct world *w, u64 pde, u64 page)
{
	if (!(pde & (w->amd ? 1 : 7)))
		return (struct where){.ok = false};
	if (pde & BIT(7))
		return leaf_of(w, pde, page, true);
	return leaf_of(w, bus_read_u64(&w->p->bus, (pde & mask(51, 12)) + 8 * page), page, false);
}

static bool matters(const struct where *old, const struct where *now, unsigned access)
{
	if (!old->ok || !(old->rights & access))
		return false;
	if (!now->ok || !(now->rights & access) || old->frame != now->frame || old->type != now->type)
		return true;
	return access == W && old->dirty && !now->dirty;
}

/* maybe: with what a processor need not have cached. */
static bool expected(struct world *w, const struct book *b, u64 page, unsigned access, bool maybe)
{
	struct where now = through(w, bus_read_u64(&w->p->bus, PDE), page), old;

	for (unsigned n = 0; n < b->leaves; n++) {
		if (b->leaf[n].page != page || b->leaf[n].maybe > maybe)
			continue;
		old = leaf_of(w, b->leaf[n].pte, page, false);
		if (matters(&old, &now, access))
			return true;
	}
	for (unsigned n = 0; n < b->pdes; n++) {
		old = through(w, b->pde[n], page);
		if (!(b->gone[n] >> page & 1) && b->maybe[n] <= maybe && matters(&old, &now, access))
			return true;
	}
	return false;
}

static void add_pde(struct book *b, u64 pde, bool maybe)
{
	for (unsigned n = 0; n < b->pdes; n++)
		if (b->pde[n] == pde && b->maybe[n] == maybe) {
			b->gone[n] = 0;
			return;
		}
	assert_true(b->pdes < ARRAY_LEN(b->pde));
	b->gone[b->pdes] = 0;
	b->maybe[b->pdes] = maybe;
	b->pde[b->pdes++] = pde;
}

/* What is cached already lets the access go where it went: nobody need have walked for it. */
static bool had_it(struct world *w, const struct book *b, u64 page, unsigned access, const struct where *now)
{
	struct where old;

	for (unsigned n = 0; n < b->leaves; n++) {
		old = leaf_of(w, b->leaf[n].pte, page, false);
		if (b->leaf[n].page == page && (old.rights & access))
			return now->ok;
	}
	for (unsigned n = 0; n < b->pdes; n++) {
		old = leaf_of(w, b->pde[n], page, true);
		if ((b->pde[n] & BIT(7)) && !(b->gone[n] >> page & 1) && (old.rights & access))
			return now->ok;
	}
	return false;
}

/* What the guest's access has left behind. */
static void remember(struct world *w, struct book *b, u64 page, unsigned access, const struct where *before)
{
	u64 pde = bus_read_u64(&w->p->bus, PDE);
	bool maybe = had_it(w, b, page, access, before);

	if (pde & (w->amd ? 1 : 7)) {
		add_pde(b, pde, maybe);
		u64 pte = bus_read_u64(&w->p->bus, (pde & mask(51, 12)) + 8 * page);
		if (!(pde & BIT(7)) && (pte & (w->amd ? 1 : 7))) {
			assert_true(b->leaves < ARRAY_LEN(b->leaf));
			b->leaf[b->leaves].pte = pte;
			b->leaf[b->leaves].maybe = maybe;
			b->leaf[b->leaves++].page = page;
		}
	}
	if (before->ok && (before->rights & access))
		return;
	for (unsigned n = 0; n < b->leaves;) /* a violation: nothing of this page remains */
		if (b->leaf[n].page == page)
			b->leaf[n] = b->leaf[--b->leaves];
		else
			n++;
	for (unsigned n = 0; n < b->pdes; n++)
		if (b->pde[n] != pde || (pde & BIT(7)))
			b->gone[n] |= BIT(page);
}

static u64 random_pte(const struct world *w, u64 page)
{
	static const unsigned how[] = {0, R, R | W, R | X, R | W | X, R | W | X, R | W | X | UC, R | W | X | CLEAN};
	u64 k = rnd();

	return entry(w, FRAMES + page * PAGE_SIZE + (k & 0x100 ? 0x100000 : 0), how[k % ARRAY_LEN(how)]);
}

static void random_store(struct world *w)
{
	u64 page = rnd() % PAGES, k = rnd() % 12;

	if (k == 0)
		store(w, PDE, pointer(w, rnd() & 1 ? TABLE : TABLE_B));
	else if (k == 1)
		store(w, PDE, entry(w, FRAMES, R | W | X | LARGE));
	else if (k == 2)
		store(w, PDE, 0);
	else
		store(w, (k & 1 ? TABLE : TABLE_B) + 8 * page, random_pte(w, page));
}

static void start_anew(struct world *w, struct book *b)
{
	tlb_flush_all(w->p->c); /* the knob changes where the TLB looks */
	w->p->c->stress.tiny_tlb = rnd() & 1;
	flush(w, ALL);
	*b = (struct book){.pdes = 0};
	if (w->amd) /* the flush comes with a guest that reads */
		remember(w, b, 511, R, &(struct where){.ok = true, .rights = 7});
}

static void random_run(struct world *w, unsigned steps)
{
	struct book b = {.pdes = 0};
	unsigned both = 0;

	start_anew(w, &b);
	for (unsigned n = 0; n < steps; n++) {
		u64 page = rnd() % PAGES;
		unsigned access = 1u << rnd() % 3;

		for (u64 stores = rnd() % 3; stores; stores--)
			random_store(w);
		if (rnd() % 40 == 0 || b.leaves > 200 || b.pdes > 40)
			start_anew(w, &b);
		bool must = expected(w, &b, page, access, false), may = expected(w, &b, page, access, true);
		struct where now = through(w, bus_read_u64(&w->p->bus, PDE), page);
		w->told = 0;
		guest(w, page, access);
		if (w->told ? !may : must)
			fail_msg("%s, step %u, page %u, access %u: told %u, must %d, may %d", w->amd ? "amd" : "intel", n,
			         (unsigned)page, access, w->told, must, may);
		both += must;
		remember(w, &b, page, access, &now);
		if (may)
			start_anew(w, &b);
	}
	assert_true(both > steps / 20); /* it has something to find */
}

static void test_random(void **state)
{
	const char *much = getenv("STALE_STEPS");
	unsigned steps = much ? (unsigned)strtoul(much, NULL, 0) : 8000;

	(void)state;
	drawn_begin();
	for (unsigned amd = 0; amd < 2; amd++) {
		struct world w;

		world_start(&w, amd ? "amd" : "intel");
		random_run(&w, steps);
		world_end(&w);
	}
	drawn_end(2ull * steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ways),
	        cmocka_unit_test(test_split),
	        cmocka_unit_test(test_table_reused),
	        cmocka_unit_test(test_tags),
	        cmocka_unit_test(test_violation_invalidates),
	        cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
