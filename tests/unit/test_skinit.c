/*
 * SKINIT on a bare processor: "Secure Startup with SKINIT", step by step. Who protects and who measures are doubles that
 * write down when they were asked, and what memory and the processor were then.
 */
#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

enum { SLB = 0x320000, ENTRY = 0x10, LOG = 0x98000, GDT = 0x58000, IDT = 0x59000, HANDLERS = 0x5a000, VECTOR = 0x51 };
enum { SECURE_BITS = 7 };

static const char *const models[] = {"amd", "pacifica"};

/* What the doubles saw. */
struct heard {
	unsigned protects, measures;
	bool order;       /* measured behind the protection */
	bool gif, paging; /* when it was protected */
	u64 slb, size, vm_cr;
	u8 image[0x10000];
	u64 late;         /* written to the image by a device, as it were, just before the protection; 0: nothing */
	u32 raise;        /* events that arise while the image is measured */
	struct event first; /* exception that was delivered; EV_NONE: none */
};

static void on_protect(void *arg, u64 slb)
{
	struct pc *p = arg;
	struct heard *h = p->own;

	h->protects++;
	h->slb = slb;
	h->gif = p->c->gif;
	h->paging = p->c->cr0 & CR0_PG;
	h->vm_cr = p->c->vm_cr;
	if (h->late)
		bus_write_u64(&p->bus, slb + 8, h->late);
}

static void on_measure(void *arg, const void *image, u64 size)
{
	struct pc *p = arg;
	struct heard *h = p->own;

	h->order = h->protects == 1 && !h->measures;
	h->measures++;
	h->size = size;
	memcpy(h->image, image, size);
	if (h->raise)
		cpu_raise(p->c, h->raise);
}

static struct heard *heard(struct pc *p)
{
	return p->own;
}

/* A loader of so many bytes: a pattern, the header, HLT at the entry point. */
static void put_image(struct pc *p, u64 slb, u16 entry, u16 length)
{
	u8 image[0x10000];

	for (unsigned n = 0; n < sizeof(image); n++)
		image[n] = (u8)(n * 7 + 3);
	memcpy(image, &entry, 2);
	memcpy(image + 2, &length, 2);
	image[entry] = 0xf4;
	bus_write(&p->bus, slb, image, sizeof(image));
}

static struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);

	p->own = calloc(1, sizeof(struct heard));
	assert_non_null(p->own);
	p->bus.secure = (struct secure_init){.protect = on_protect, .measure = on_measure, .arg = p};
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	p->c->efer |= EFER_SVME;
	cpu_update_mode(p->c);
	put_image(p, SLB, ENTRY, 0x1234);
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xde);
	p->c->r[REG_RAX] = SLB;
	return p;
}

static void done(struct pc *p)
{
	free(p->own);
	pc_free(p);
}

static void go_from(struct pc *p, u64 rip)
{
	p->c->r[REG_RIP] = rip;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN && !p->c->stop; slices++)
		cpu_run(p->c, p->clock.now + 100000);
}

/* ---- the state behind it ---- */

/* Something in every register that a program can reach. */
static void fill(struct cpu *c)
{
	for (unsigned n = 0; n < 16; n++)
		if (n != REG_RAX && n != REG_RSP)
			c->r[n] = 0x1111111111111111ull * n + 1;
	c->r[REG_RAX] = 0xabcdef0000000000ull | SLB | 0x5678;
	flags_set(c, FL_1 | FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_DF | FL_OF | FL_IOPL | FL_NT | FL_AC | FL_ID);
	c->cr2 = 0x1234;
	c->cr4 |= CR4_OSFXSR | CR4_MCE | CR4_PGE | CR4_DE;
	c->gdtr.base = GDT;
	c->idtr.base = IDT;
	c->gdtr.limit = 0x17;
	c->idtr.limit = 0x7ff;
	c->seg[SEG_FS].base = 0x77777;
	c->seg[SEG_LDTR] = (struct seg){.sel = 0x28, .base = 0x9000, .limit = 0x1f, .ar = AR_P | SYS_LDT};
	c->seg[SEG_TR] = (struct seg){.sel = 0x30, .base = 0x9100, .limit = 0x67, .ar = AR_P | SYS_TSS32_BUSY};
	for (unsigned n = 0; n < 4; n++)
		c->dr[n] = 0x5000 + n;
	c->dr7 = 0x400;
	c->fpu.cw = 0x27f;
	c->fpu.sw = 0x4700;
	c->fpu.top = 3;
	c->mxcsr = 0x9fc0;
	memset(c->v, 0x5a, sizeof(c->v));
	c->star = 1, c->lstar = 2, c->cstar = 3, c->sfmask = 4, c->kernel_gs_base = 5, c->sysenter_cs = 6;
	c->sysenter_esp = 7, c->sysenter_eip = 8, c->pat = 0x0001040600070406, c->tsc_aux = 9;
	c->mtrr.def_type = 0xc06;
	c->vm_hsave_pa = HSAVE_PA;
	c->apic.svr = 0x1ff;
	c->nmi_blocked = true;
	cpu_update_mode(c);
}

static void expect_segment(const struct seg *s, u16 sel, u32 limit, u32 ar)
{
	assert_int_equal(s->sel, sel);
	assert_int_equal(s->base, 0);
	assert_int_equal(s->limit, limit);
	assert_int_equal(s->ar, ar);
}

/* The page's own list, "Action". */
static void expect_loader(struct pc *p, u32 slb, u16 entry)
{
	struct cpu *c = p->c;

	assert_int_equal(c->activity, ACT_HLT);
	assert_int_equal(c->r[REG_RIP], slb + entry + 1u); /* behind its HLT */
	assert_int_equal(c->r[REG_RAX], slb);
	assert_int_equal(c->r[REG_RDX], strcmp(c->model->name, "amd") == 0 ? 0x00a00f11 : 0x00040f12);
	assert_int_equal(c->r[REG_RSP], (u32)(slb + 0x10000));
	for (unsigned n = 0; n < 16; n++)
		if (n != REG_RAX && n != REG_RDX && n != REG_RSP)
			assert_int_equal(c->r[n], 0);
	assert_int_equal(flags_get(c), 2);
	assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(c->mode & (MODE_SIZE | MODE_SS32), MODE_32 | MODE_SS32);
	assert_int_equal(c->cpl, 0);
	expect_segment(&c->seg[SEG_CS], 8, ~0u, 0xc09b);
	expect_segment(&c->seg[SEG_SS], 0x10, ~0u, 0xc093);
	expect_segment(&c->seg[SEG_DS], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_ES], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_FS], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_GS], 0, 0xffff, 0x93);
	assert_int_equal(c->efer, 0);
	assert_int_equal(c->vm_cr, SECURE_BITS);
	assert_false(c->gif);
	proves("svm.4.SKINIT.2 svm.4.SKINIT.3 svm.4.SKINIT.4 svm.4.SKINIT.5 svm.4.SKINIT.6 svm.4.SKINIT.7 svm.4.SKINIT.8 "
	       "svm.4.SKINIT.9 svm.4.SKINIT.10 svm.4.SKINIT.12 svm.4.SKINIT.16 svm.4.SKINIT.17 svm.3.1.3.2 svm.3.1.3.4 "
	       "svm.3.1.3.6 svm.3.1.3.7 svm.3.1.6.2 svm.3.1.6.3 svm.3.1.6.4 svm.3.1.6.5 svm.3.1.6.6 svm.3.1.6.7 svm.3.1.6.8 "
	       "svm.3.1.6.9 svm.3.1.6.10 svm.3.1.6.11 svm.3.1.6.16 svm.3.1.6.17 svm.3.1.6.18 svm.3.1.6.19 svm.3.1.6.20 "
	       "svm.3.1.6.27 svm.3.1.6.31 svm.3.1.6.41");
}

/* State rows in which INIT and SKINIT differ: what the page lists beside "as for an INIT signal", where and when the
 * processor is, and the local APIC's pending interrupts, which are no rows of the processor. */
static bool differs(const char *row)
{
	static const char *const rows[] = {"rax", "rsp", "rip", "cr0", "seg", "cs", "ss", "gif", "vm_cr", "insns", "mode", "activity"};

	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (!strncmp(row, rows[n], strlen(rows[n])))
			return true;
	return false;
}

static void expect_as_init(const struct pc *p, const struct pc *init)
{
	for (size_t n = 0; n < cpu_row_count; n++) {
		const struct state_row *r = &cpu_rows[n];
		const u8 *a = (const u8 *)p->c + r->offset, *b = (const u8 *)init->c + r->offset;

		if (!differs(r->name) && memcmp(a, b, (size_t)r->width * r->count) != 0)
			fail_msg("%s is not as after INIT", r->name);
	}
	proves("svm.3.1.6.1");
}

static void expect_kept(const struct cpu *c)
{
	assert_int_equal(c->fpu.cw, 0x27f);
	assert_int_equal(c->fpu.sw, 0x4700);
	assert_int_equal(c->fpu.top, 3);
	assert_int_equal(c->mxcsr, 0x9fc0);
	for (size_t n = 0; n < sizeof(c->v); n++)
		assert_int_equal(((const u8 *)c->v)[n], 0x5a);
	assert_int_equal(c->star, 1);
	assert_int_equal(c->lstar, 2);
	assert_int_equal(c->kernel_gs_base, 5);
	assert_int_equal(c->sysenter_eip, 8);
	assert_int_equal(c->pat, 0x0001040600070406);
	assert_int_equal(c->tsc_aux, 9);
	assert_int_equal(c->mtrr.def_type, 0xc06);
	assert_int_equal(c->vm_hsave_pa, HSAVE_PA);
	assert_int_equal(c->apic.svr, 0x1ff);
	proves("svm.3.1.6.13 svm.3.1.6.14");
}

static void test_state(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]), *init = machine(models[n]);

		fill(p->c);
		fill(init->c);
		bus_write_u64(&p->bus, 0x12345678 & 0x3ffffff, 0xfeedfacecafebeef); /* a line that was modified */
		go_from(p, HOST_CODE);
		cpu_reset(init->c, true);
		expect_loader(p, SLB, ENTRY);
		expect_as_init(p, init);
		expect_kept(p->c);
		assert_int_equal(bus_read_u64(&p->bus, 0x12345678 & 0x3ffffff), 0xfeedfacecafebeef);
		proves("svm.3.1.6.12");
		done(p);
		done(init);
	}
}

/* The loader's first push is the top of the block; its data is reached through SS, beyond what DS reaches. */
static void test_stack_and_data(void **state)
{
	struct pc *p = machine("amd");

	(void)state;
	/* PUSH 12345678h; SS: MOV EBX, [EAX+8]; HLT */
	CODE(p, SLB + ENTRY, 0x68, 0x78, 0x56, 0x34, 0x12, 0x36, 0x8b, 0x58, 0x08, 0xf4);
	bus_write_u64(&p->bus, SLB + 8, 0x600d);
	go_from(p, HOST_CODE);
	assert_int_equal(p->c->activity, ACT_HLT);
	assert_int_equal(bus_read_u32(&p->bus, SLB + 0xfffc), 0x12345678);
	assert_int_equal(p->c->r[REG_RBX], 0x600d);
	proves("svm.3.1.6.30 svm.3.1.3.5");
	done(p);
}

/* ---- the image ---- */

static void expect_measured(struct pc *p, u64 slb, u64 length)
{
	struct heard *h = heard(p);
	u8 memory[0x10000];

	bus_read(&p->bus, slb, memory, length);
	assert_int_equal(h->protects, 1);
	assert_int_equal(h->measures, 1);
	assert_true(h->order);
	assert_int_equal(h->slb, slb);
	assert_int_equal(h->size, length);
	assert_memory_equal(h->image, memory, length);
	assert_false(h->gif); /* one piece: GIF is 0 from the start */
	assert_false(h->paging);
	assert_int_equal(h->vm_cr & 7, SECURE_BITS);
	proves("svm.3.1.2.1 svm.3.1.2.2 svm.3.1.2.3 svm.3.1.2.5 svm.3.1.2.6 svm.3.1.3.1 svm.3.1.3.3 svm.3.1.6.21 svm.3.1.6.24 "
	       "svm.3.1.6.25 svm.3.1.6.32 svm.4.SKINIT.11 svm.4.SKINIT.13 svm.4.SKINIT.14 svm.4.SKINIT.15 svm.3.0.1 svm.3.1.1.1");
}

/* Lengths and entry points, those that the manual leaves open among them: as given, and started anyway. */
static void test_lengths(void **state)
{
	static const struct {
		u16 entry, length;
	} rows[] = {{ENTRY, 0x1234}, {ENTRY, 65535}, {ENTRY, 0}, {ENTRY, 1}, {ENTRY, 3}, {4, 5}, {0x2000, 0x100}, {0xffff, 65535},
	            {0xffff, 4}, {0x8000, 65535}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		size_t k = n / ARRAY_LEN(models);

		put_image(p, SLB, rows[k].entry, rows[k].length);
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, rows[k].entry);
		expect_measured(p, SLB, rows[k].length);
		done(p);
	}
	proves("svm.3.1.2.4 svm.3.1.2.7");
}

/* Bits 15:0 of EAX, and RAX above EAX, do not count. */
static void test_addresses(void **state)
{
	static const struct {
		u64 rax;
		u32 slb;
	} rows[] = {{0x320001, 0x320000}, {0x32ffff, 0x320000}, {0xffffffff00320000, 0x320000}, {0x10000, 0x10000},
	            {0x3ff0000, 0x3ff0000}, {0x80000, 0x80000}, {0xffff, 0}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = machine("amd");

		if (!rows[n].slb) /* the tables that HOST_CODE runs by */
			p->c->cr3 = 0x3001000, bus_write_u64(&p->bus, 0x3001000, 0x3002007), bus_write_u64(&p->bus, 0x3002000, 0xe7);
		tlb_flush_all(p->c);
		put_image(p, rows[n].slb, 0x100, 0x300);
		p->c->r[REG_RAX] = rows[n].rax;
		go_from(p, HOST_CODE);
		expect_loader(p, rows[n].slb, 0x100);
		expect_measured(p, rows[n].slb, 0x300);
		done(p);
	}
}

/* What a device wrote before it was shut out is measured and executed; and any one byte counts. */
static void test_protected_before_read(void **state)
{
	struct pc *p = machine("amd"), *q = machine("amd");

	(void)state;
	heard(p)->late = 0x1122334455667788;
	go_from(p, HOST_CODE);
	go_from(q, HOST_CODE);
	expect_measured(p, SLB, 0x1234);
	assert_memory_equal(heard(p)->image + 8, &heard(p)->late, 8);
	assert_true(memcmp(heard(p)->image, heard(q)->image, 0x1234) != 0);
	proves("svm.3.1.6.22");
	done(p);
	done(q);
}

/* ---- where there is no memory ---- */

static u64 window_read(void *dev, u64 offset, unsigned size)
{
	u64 v = 0;

	for (unsigned n = 0; n < size; n++)
		v |= (u64)(((const u8 *)dev)[(offset + n) & 0xff]) << 8 * n;
	return v;
}

/* The image is a device's registers; or nobody's, whose bytes are FFh, length and entry point among them. */
static void test_no_memory(void **state)
{
	static u8 window[256] = {0x00, 0x00, 0x40, 0x01};
	static const struct bus_ops ops = {.read = window_read, .max_size = 8};
	struct bus_range range = {.ops = &ops, .dev = window, .name = "window", .base = 0xd0000000, .size = 0x10000};
	struct pc *p = machine("amd"), *q = machine("amd");

	(void)state;
	for (unsigned n = 4; n < sizeof(window); n++)
		window[n] = (u8)n;
	bus_map(&p->bus, &range);
	p->c->r[REG_RAX] = 0xd0000000;
	go_from(p, HOST_CODE);
	assert_int_equal(heard(p)->size, 0x140);
	assert_memory_equal(heard(p)->image, window, 0x100);
	assert_memory_equal(heard(p)->image + 0x100, window, 0x40);
	bus_unmap(&p->bus, &range);
	q->c->r[REG_RAX] = 0xffffffff;
	go_from(q, HOST_CODE);
	assert_int_equal(heard(q)->slb, 0xffff0000);
	assert_int_equal(heard(q)->size, 65535);
	for (unsigned n = 0; n < 65535; n++)
		assert_int_equal(heard(q)->image[n], 0xff);
	assert_int_equal(q->c->r[REG_RSP], 0); /* FFFF0000h + 10000h */
	assert_int_equal(q->c->r[REG_RIP], 0xffffffff);
	done(p);
	done(q);
}

/* Nobody there to hear it, or no answer: the loader runs. */
static void test_unconditional(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);

		p->bus.secure = (struct secure_init){0};
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, ENTRY);
		done(p);
	}
	proves("svm.3.1.6.33 svm.3.1.4.2");
}

/* ---- when it faults ---- */

static void on_event(void *arg, struct cpu *c, const struct event *e)
{
	struct heard *h = ((struct pc *)arg)->own;

	(void)c;
	if (h->first.type == EV_NONE)
		h->first = *e;
}

/* Each model, EFER.SVME, privilege and mode: #UD where it does not exist, then #GP by CPL. Bytes at HOST_CODE. */
enum { REAL, VIRTUAL_8086, PROTECTED, LONG };
static int fault_of(const char *model, bool svme, unsigned mode, u8 cpl)
{
	struct pc *p = machine(model);
	struct cpu *c = p->c;
	u64 ar = AR_P | AR_S | 11 | AR_G | AR_DB | (u32)cpl << AR_DPL_SHIFT;

	if (mode != LONG) {
		c->cr0 = CR0_ET | (mode == REAL ? 0 : CR0_PE);
		c->cr4 = 0;
		c->efer = 0;
		c->seg[SEG_CS] = (struct seg){.sel = cpl, .limit = ~0u, .ar = (u32)ar};
		c->seg[SEG_SS].ar |= (u32)cpl << AR_DPL_SHIFT;
		flags_set(c, FL_1 | (mode == VIRTUAL_8086 ? FL_VM | FL_IOPL : 0));
	} else {
		c->seg[SEG_CS].ar |= (u32)cpl << AR_DPL_SHIFT;
		c->seg[SEG_SS].ar |= (u32)cpl << AR_DPL_SHIFT;
	}
	c->efer = (c->efer & ~EFER_SVME) | (svme ? EFER_SVME : 0);
	c->cpl = cpl;
	c->idtr.limit = 0;
	p->hooks.trace = TRACE_INT;
	p->hooks.event = on_event;
	cpu_update_mode(c);
	go_from(p, HOST_CODE);

	int vector = heard(p)->protects ? -1 : heard(p)->first.vector;

	if (vector >= 0) {
		assert_int_equal(heard(p)->measures, 0);
		assert_int_equal(c->vm_cr, 0);
		assert_int_equal(c->r[REG_RAX], SLB);
		if (vector == EX_GP)
			assert_int_equal(heard(p)->first.error, 0);
	}
	done(p);
	return vector;
}

static void test_faults(void **state)
{
	static const struct {
		const char *model;
		bool there, alone; /* SKINIT exists; without EFER.SVME, too */
	} rows[] = {{"amd", true, true}, {"pacifica", true, false}, {"amd,-skinit", false, false}, {"pacifica,-skinit", false, false},
	            {"amd,-svm", false, false}, {"plain", false, false}, {"intel", false, false}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		for (unsigned k = 0; k < 12; k++) {
			unsigned mode = k / 3;
			u8 cpl = mode == REAL ? 0 : mode == VIRTUAL_8086 ? 3 : k % 3 == 2 ? 3 : 0;
			bool svme = k % 3;
			bool there = rows[n].there && (svme || rows[n].alone);
			int want = !there || mode == REAL || mode == VIRTUAL_8086 ? EX_UD : cpl ? EX_GP : -1;

			if (svme && !strstr("amd,-skinit pacifica,-skinit", rows[n].model)) /* else no EFER.SVME */
				continue;
			if (fault_of(rows[n].model, svme, mode, cpl) != want)
				fail_msg("%s, SVME %u, mode %u, CPL %u", rows[n].model, svme, mode, cpl);
		}
	proves("svm.4.SKINIT.18 svm.4.SKINIT.19 svm.4.SKINIT.20 svm.4.SKINIT.21");
}

/* CPUID 8000_0001h ECX[12] says so today, and the bit is younger than `pacifica`. */
static void test_announced(void **state)
{
	static const struct {
		const char *model;
		bool bit;
	} rows[] = {{"amd", true}, {"amd,-skinit", false}, {"amd,-svm", false}, {"pacifica", false}, {"plain", false}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = machine(rows[n].model);
		u32 out[4];

		cpuid_query(p->c, 0x80000001, 0, out);
		assert_int_equal(out[2] >> 12 & 1, rows[n].bit);
		done(p);
	}
}

/* ---- what is pending ---- */

/*
 * A loader that can take interrupts: tables of its own, a log at ES:EDI. EFER.SVME is set for STGI, which needs it in
 * 2005. 32-bit code; each handler writes its vector.
 */
static void put_loader(struct pc *p)
{
	static const u8 tables[] = {0x17, 0, 0, 0x80, 0x05, 0, /* GDT */ 0xff, 7, 0, 0x90, 0x05, 0 /* IDT */};
	static const u8 code[] = {
	        0x36, 0x0f, 0x01, 0x90, 0x00, 0x01, 0, 0,    /* SS: LGDT [EAX+100h] */
	        0x36, 0x0f, 0x01, 0x98, 0x06, 0x01, 0, 0,    /* SS: LIDT [EAX+106h] */
	        0x66, 0x8c, 0xd3, 0x8e, 0xdb, 0x8e, 0xc3,    /* MOV BX, SS; MOV DS, BX; MOV ES, BX */
	        0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x10, 0, 0, 0x0f, 0x30, /* EFER.SVME */
	        0xbf, 0x00, 0x80, 0x09, 0x00,                /* MOV EDI, LOG */
	        0xfb, 0x90, 0xb0, 1, 0xaa,                   /* STI; NOP; log 1 */
	        0xb9, 0x14, 0x01, 0x01, 0xc0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, /* VM_CR = 0 */
	        0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa,       /* STGI; NOP; log 2 */
	        0xfa, 0xf4,                                  /* CLI; HLT */
	};

	bus_write(&p->bus, SLB + ENTRY, code, sizeof(code));
	bus_write(&p->bus, SLB + 0x100, tables, sizeof(tables));
	bus_write_u64(&p->bus, GDT + 8, 0x00cf9b000000ffff);
	bus_write_u64(&p->bus, GDT + 16, 0x00cf93000000ffff);
	for (u64 n = 0; n < 256; n++) {
		u64 at = HANDLERS + 16 * n;

		CODE(p, at, 0x50, 0xb0, (u8)n, 0xaa, 0x58, 0xcf);
		bus_write_u64(&p->bus, IDT + 8 * n, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
	}
}

static void expect_log(struct pc *p, const char *what, const u8 *want, size_t n)
{
	u8 got[16] = {0};

	bus_read(&p->bus, LOG, got, sizeof(got));
	if (memcmp(got, want, n) != 0 || got[n])
		fail_msg("%s: %x %x %x %x", what, got[0], got[1], got[2], got[3]);
}
#define EXPECT_LOG(p, what, ...) expect_log(p, what, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

enum { NMI = 2 };

/* Before SKINIT with IF = 0, or while it measures: held until STGI. */
static void test_pending(void **state)
{
	static const u8 vectors[] = {NMI, VECTOR};

	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(vectors) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		u8 vector = vectors[n / ARRAY_LEN(models) / 2];
		bool during = n / ARRAY_LEN(models) & 1;

		put_loader(p);
		p->c->apic.svr = 0x1ff;
		if (vector == VECTOR) { /* IF is 0: the fixture's */
			apic_msi(p->all, 1, 0xfee00000, VECTOR);
			if (during) { /* it comes anew */
				p->c->pend = 0;
				heard(p)->raise = PEND_INTR;
			}
		} else if (during) {
			heard(p)->raise = PEND_NMI;
		} else { /* before: GIF is 0 already */
			p->c->gif = false;
			cpu_raise(p->c, PEND_NMI);
		}
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, models[n % ARRAY_LEN(models)], 1, vector, 2);
		done(p);
	}
	proves("svm.3.1.6.28 svm.3.1.6.36 svm.3.1.6.37 svm.3.1.6.40");
}

/* SMI and INIT that arise while it measures. The loader has cleared VM_CR before it sets GIF: INIT is INIT again. */
static void test_pending_init_smi(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		u32 raised = n / ARRAY_LEN(models) ? PEND_INIT : PEND_SMI;

		put_loader(p);
		CODE(p, SLB + ENTRY + 58, 0xf4, 0x0f, 0x01, 0xdc, 0x90, 0xfa, 0xf4); /* HLT; STGI; NOP; CLI; HLT */
		heard(p)->raise = raised;
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "held", 1);
		assert_true(p->c->pend & raised);
		assert_false(p->c->gif);
		p->c->apic.base &= ~BIT(8); /* so that INIT waits for SIPI */
		go_from(p, p->c->r[REG_RIP]);
		assert_false(p->c->pend & raised);
		assert_int_equal(p->c->activity, raised == PEND_INIT ? ACT_WAIT_SIPI : ACT_HLT);
		done(p);
	}
	proves("svm.3.1.6.38 svm.3.1.6.39 svm.3.1.7.1");
}

/* ---- breakpoints and traps ---- */

/* A breakpoint on the loader's entry point, one on the block's data, the single-step trap; and what MOV SS held back. In
 * the loader's world any #DB would end in a shutdown: there is no IDT. */
static void test_no_breakpoints(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		struct pc *p = machine("amd");
		struct cpu *c = p->c;

		c->dr[0] = SLB + ENTRY;
		c->dr[1] = SLB;
		c->dr7 = 0x400 | (n & 1 ? 2u : 0) | (n & 2 ? 8u | 0xfu << 20 : 0);
		if (n & 4) {
			flags_set(c, FL_1 | FL_TF);
			c->shadow = SHADOW_MOVSS;
			c->pending_db = 2;
			cpu_raise(c, PEND_DB);
		}
		cpu_update_mode(c);
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, ENTRY);
		assert_int_equal(c->dr7, 0x400);
		assert_int_equal(c->dr6, 0xffff0ff0);
		assert_int_equal(c->pending_db, 0);
		done(p);
	}
	proves("svm.3.1.6.34");
}

static void test_no_trace_trap(void **state)
{
	struct pc *p = machine("amd");

	(void)state;
	flags_set(p->c, FL_1 | FL_TF);
	cpu_update_mode(p->c);
	go_from(p, HOST_CODE);
	expect_loader(p, SLB, ENTRY);
	proves("svm.3.1.6.35");
	done(p);
}

/* ---- shutdown ---- */

/* The loader's first instruction is UD2, and there is no IDT: shutdown with GIF = 0. INIT and NMI do not end it. */
static void test_shutdown(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);
		struct cpu *c = p->c;

		CODE(p, SLB + ENTRY, 0x0f, 0x0b);
		go_from(p, HOST_CODE);
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		c->stop = 0;
		cpu_raise(c, PEND_INIT);
		cpu_raise(c, PEND_NMI);
		for (unsigned slices = 0; slices < 3; slices++)
			cpu_run(c, p->clock.now + 1000);
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		assert_true((c->pend & (PEND_INIT | PEND_NMI)) == (PEND_INIT | PEND_NMI));
		cpu_reset(c, false);
		assert_int_equal(c->activity, ACT_RUN);
		assert_int_equal(c->vm_cr, 0);
		assert_true(c->gif);
		done(p);
	}
	proves("svm.3.1.6.29 svm.A.1.5");
}

/* ---- guests ---- */

static struct vmcb_page *guest(struct pc *p, bool intercepted)
{
	struct vmcb_page *v = (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA);
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 1 | (intercepted ? 1u << 6 : 0);
	v->control.icpt[3] = 1u << 31 | 1u << 2; /* shutdown; SMI, as 2005 demands */
	v->control.icpt[2] = 1u << EX_GP | 1u << EX_UD;
	v->control.asid = 1;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE;
	v->save.cr3 = 0x1000;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = FL_1;
	v->save.rip = GUEST_CODE;
	v->save.rax = SLB;
	p->c->vm_hsave_pa = HSAVE_PA;
	p->c->r[REG_RAX] = VMCB_PA;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xde);      /* SKINIT */
	return v;
}

/* Intercepted: exit 86h and nothing of it happens. Else the loader is out of the guest. CPL 3: #GP before the intercept. */
static void test_guest(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool intercepted = n / ARRAY_LEN(models) & 1, user = n / ARRAY_LEN(models) & 2;
		struct vmcb_page *v = guest(p, intercepted);

		if (user) {
			v->save.cpl = 3;
			v->save.ss.attrib |= 0x60;
			v->save.cs.attrib |= 0x60;
		}
		go_from(p, HOST_CODE);
		assert_false(p->c->guest);
		if (!user && !intercepted) {
			expect_loader(p, SLB, ENTRY);
			expect_measured(p, SLB, 0x1234);
			assert_int_equal(p->c->space, 0);
			assert_int_equal(p->c->icpt[0] | p->c->icpt[1] | p->c->icpt[2] | p->c->icpt[3] | p->c->icpt[4], 0);
			assert_int_equal(v->control.exitcode, 0);
		} else {
			assert_int_equal(p->c->r[REG_RIP], HOST_CODE + 4);
			assert_int_equal(v->control.exitcode, user ? 0x4d : 0x86);
			assert_int_equal(v->control.exitinfo1 | v->control.exitinfo2, 0);
			assert_int_equal(v->save.rip, GUEST_CODE);
			assert_int_equal(heard(p)->protects + heard(p)->measures, 0);
			assert_int_equal(p->c->vm_cr, 0);
		}
		done(p);
	}
	proves("svm.2.5.26.1 svm.2.5.26.2");
}

/* A guest that drops EFER.SVME: where SKINIT is announced both instructions are still there, and still intercepted. */
static void test_guest_without_svme(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		struct vmcb_page *v = guest(p, true);
		bool stgi = n / ARRAY_LEN(models);

		v->control.icpt[4] |= 1u << 4;
		/* MOV ECX, EFER; RDMSR; BTR EAX, 12; WRMSR; STGI or SKINIT */
		CODE(p, GUEST_CODE, 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32, 0x0f, 0xba, 0xf0, 12, 0x0f, 0x30, 0x0f, 0x01,
		     stgi ? 0xdc : 0xde);
		go_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, n % ARRAY_LEN(models) ? 0x46 : stgi ? 0x84 : 0x86);
		done(p);
	}
}

/* ---- "SVM-Lock" ---- */

/* LOCK and SVMDIS are none of SKINIT's business. With SVM disabled it works by its own bit, and so does STGI. */
static void test_locked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		struct pc *p = machine("amd");
		u64 lock = (u64)n << 3;

		p->c->efer &= ~EFER_SVME;
		assert_true(msr_write(p->c, 0xc0010118, 0x1234));
		assert_true(msr_write(p->c, 0xc0010114, lock));
		CODE(p, SLB + ENTRY, 0x0f, 0x01, 0xdc, 0xf4); /* STGI; HLT */
		cpu_update_mode(p->c);
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_int_equal(p->c->r[REG_RIP], SLB + ENTRY + 4);
		assert_true(p->c->gif);
		assert_int_equal(p->c->vm_cr, lock | SECURE_BITS);
		assert_true(msr_write(p->c, 0xc0010114, 0)); /* the loader's abort: only what is locked stays */
		assert_int_equal(p->c->vm_cr, lock & VM_CR_LOCK ? lock : 0);
		assert_int_equal(msr_write(p->c, 0xc0000080, EFER_SVME), !(p->c->vm_cr & VM_CR_SVMDIS));
		done(p);
	}
	proves("svm.3.1.6.42");
}

/* ---- the other processors ---- */

/* "Secure MP initialization": measured only on the bootstrap processor, with every other one waiting for SIPI. */
static void test_processors(void **state)
{
	static const struct {
		u8 activity;
		bool bsp, good;
	} rows[] = {{ACT_WAIT_SIPI, true, true}, {ACT_RUN, true, false}, {ACT_HLT, true, false}, {ACT_SHUTDOWN, true, false},
	            {ACT_WAIT_SIPI, false, false}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = machine("amd");
		struct cpu *other = calloc(1, sizeof(*other)), *all[2] = {p->c, other};

		assert_non_null(other);
		other->index = 1;
		other->activity = rows[n].activity;
		p->c->all = all;
		p->c->count = 2;
		if (!rows[n].bsp)
			p->c->apic.base &= ~BIT(8);
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, ENTRY);
		expect_measured(p, SLB, rows[n].good ? 0x1234 : 0);
		assert_string_equal(p->refused ? p->refused : "", rows[n].good ? "" : "svm.skinit.processors");
		p->c->all = p->all;
		p->c->count = 1;
		free(other);
		done(p);
	}
	proves("svm.3.1.6.23 svm.3.1.6.26 svm.3.1.8.15");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_state),
	        cmocka_unit_test(test_stack_and_data),
	        cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_addresses),
	        cmocka_unit_test(test_protected_before_read),
	        cmocka_unit_test(test_no_memory),
	        cmocka_unit_test(test_unconditional),
	        cmocka_unit_test(test_faults),
	        cmocka_unit_test(test_announced),
	        cmocka_unit_test(test_pending),
	        cmocka_unit_test(test_pending_init_smi),
	        cmocka_unit_test(test_no_breakpoints),
	        cmocka_unit_test(test_no_trace_trap),
	        cmocka_unit_test(test_shutdown),
	        cmocka_unit_test(test_guest),
	        cmocka_unit_test(test_guest_without_svme),
	        cmocka_unit_test(test_locked),
	        cmocka_unit_test(test_processors),
	};

	return cmocka_run_group_tests_name("skinit", tests, NULL, NULL);
}
