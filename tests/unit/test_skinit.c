/*
 * SKINIT on a bare processor: the state behind it, which image is measured, and when it faults. "SKINIT Operation", "Secure
 * Loader Image", "Secure Loader Block".
 */
#include "skinit_fixture.h"

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

/* A20M asserted: DIS_A20M is set before the image is read, whose address has bit 20; behind an abort it masks again. */
static void test_a20(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);

		put_image(p, SLB & ~0x100000u, ENTRY, 0x777); /* what would be read with the bit as 0 */
		CODE(p, GUEST_CODE, 0x0f, 0x01, 0xde);
		bus_mask_a20(&p->bus, true);
		cpu_update_mode(p->c);
		go_from(p, GUEST_CODE);
		expect_loader(p, SLB, ENTRY);
		expect_measured(p, SLB, 0x1234);
		assert_int_equal(cpu_read_u32(p->c, BY_VIRT, SLB), 0x12340000 | ENTRY);
		assert_true(msr_write(p->c, 0xc0010114, 0));
		assert_int_equal(cpu_read_u32(p->c, BY_VIRT, SLB), 0x07770000 | ENTRY);
		done(p);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_state),
	        cmocka_unit_test(test_stack_and_data),
	        cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_addresses),
	        cmocka_unit_test(test_protected_before_read),
	        cmocka_unit_test(test_a20),
	        cmocka_unit_test(test_no_memory),
	        cmocka_unit_test(test_unconditional),
	        cmocka_unit_test(test_faults),
	        cmocka_unit_test(test_announced),
	};

	return cmocka_run_group_tests_name("skinit", tests, NULL, NULL);
}
