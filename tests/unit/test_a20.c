/*
 * When address bit 20 reads as 0: A20M#, and what is in its way. VM_CR.DIS_A20M ("VM_CR MSR"), VMX operation, system
 * management mode ("SMI Handler Execution Environment"); no mode and no guest is. Cell by cell, by what a program reads, by
 * what the processor reads for itself, and by the walk of its tables, in the space of processors and in that of SMM.
 */
#include "report.h"
#include "svm_guest.h"

enum { LOW = 0x200000, ODD = 0x300000, MARK = 0x800, VM_CR_MSR = 0xc0010114 };
enum mode { REAL, PROTECTED, LEGACY_PAGED, LONG };

struct cell {
	const char *model;
	enum mode mode;
	bool pin, smm, disabled /* DIS_A20M */, root /* VMX operation */;
};

static const char *const models[] = {"amd", "pacifica", "plain", "intel"};

static bool is_svm(const char *model)
{
	return !strcmp(model, "amd") || !strcmp(model, "pacifica");
}

static bool want_masked(const struct cell *x)
{
	if (!x->pin || x->smm)
		return false;
	if (is_svm(x->model))
		return !x->disabled;
	return !x->root;
}

/*
 * A byte in each of two MiB. Tables whose first level is in the odd one, and another first level at the same place in the
 * even one: 512 GiB leads to 800000h by the first, to A00000h by the second.
 */
static void put_memory(struct pc *p)
{
	struct bus *b = &p->bus;

	bus_write(b, LOW + MARK, (const u8[]){0x20}, 1);
	bus_write(b, ODD + MARK, (const u8[]){0x30}, 1);
	bus_write(b, 0x800000, (const u8[]){0x30}, 1);
	bus_write(b, 0xa00000, (const u8[]){0x20}, 1);
	for (u64 n = 0; n < 2; n++) { /* 0: behind the even first level, 1: behind the odd one */
		u64 first = (n ? ODD : LOW) + 0x1000, second = 0x40000 + n * 0x2000, third = second + 0x1000;

		bus_write_u64(b, first, 0x2007);
		bus_write_u64(b, first + 8, second | 7);
		bus_write_u64(b, second, third | 7);
		bus_write_u64(b, third, (n ? 0x800000 : 0xa00000) | 0xe7);
	}
	bus_write_u64(b, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(b, 0x6000 + 8 * n, n << 21 | 0xe7);
	for (u64 n = 0; n < 8; n++) /* legacy paging: 4 MiB pages one to one */
		bus_write_u32(b, 0x7000 + 4 * n, (u32)(n << 22 | 0xe7));
}

static void enter_mode(struct pc *p, const struct cell *x)
{
	struct cpu *c = p->c;

	if (x->mode != LONG) {
		c->efer = 0;
		c->cr4 = x->mode == LEGACY_PAGED ? CR4_PSE : 0;
		c->cr3 = 0x7000;
		c->cr0 = CR0_ET | (x->mode == REAL ? 0 : CR0_PE) | (x->mode == LEGACY_PAGED ? CR0_PG : 0);
		c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | AR_DB;
	} else {
		c->cr3 = ODD + 0x1000;
	}
	c->smm = x->smm;
	c->virt_root = x->root;
	if (x->disabled)
		assert_true(msr_write(c, VM_CR_MSR, VM_CR_DIS_A20M));
	bus_mask_a20(&p->bus, x->pin);
	cpu_update_mode(c);
}

static u8 by_address(struct pc *p, la_t la)
{
	u8 v = 0;

	assert_int_equal(mmu_read_slow(p->c, la, 1, ACC_READ, &v), XR_OK);
	return v;
}

static void judge(const struct cell *x)
{
	struct pc *p = pc_new(x->model);
	const u8 want = want_masked(x) ? 0x20 : 0x30;

	put_memory(p);
	enter_mode(p, x);

	u8 got = by_address(p, ODD + MARK), own = (u8)cpu_read_u64(p->c, BY_VIRT, ODD + MARK);
	u8 walked = x->mode == LONG ? by_address(p, 512ull << 30) : want;

	if (got != want || own != want || walked != want)
		fail_msg("%s, mode %u, pin %u, SMM %u, DIS_A20M %u, VMX %u: %x %x %x", x->model, x->mode, x->pin, x->smm,
		         x->disabled, x->root, got, own, walked);
	bus_mask_a20(&p->bus, !x->pin); /* what was remembered of translations is not believed any more */

	struct cell other = *x;

	other.pin = !x->pin;
	assert_int_equal(by_address(p, ODD + MARK), want_masked(&other) ? 0x20 : 0x30);
	pc_free(p);
}

static void test_cells(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4 * 4 * 8; n++) {
		struct cell x = {.model = models[n / 32], .mode = n / 8 % 4, .pin = n & 1, .smm = n & 2};

		x.disabled = is_svm(x.model) && n & 4;
		x.root = !strcmp(x.model, "intel") && n & 4;
		judge(&x);
	}
	proves("svm.2.13.26 svm.E.1.4 svm.E.1.5");
}

/* DIS_A20M as software changes it: what was read before is not remembered. */
static void test_switched(void **state)
{
	struct pc *p = pc_new("amd");

	(void)state;
	put_memory(p);
	bus_mask_a20(&p->bus, true);
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(by_address(p, ODD + MARK), n & 1 ? 0x30 : 0x20);
		assert_true(msr_write(p->c, VM_CR_MSR, n & 1 ? 0 : VM_CR_DIS_A20M));
	}
	pc_free(p);
}

/* Guests: the address that both translations lead to is masked, or not, as the host's own. MOV AL, [300800h]; VMMCALL. */
static u8 guest_reads(const char *model, bool nested, bool pin, u64 vm_cr, bool gif)
{
	struct pc *p = pc_new(model);
	struct vmcb_page *v = svm_guest64(p);

	put_memory(p);
	v->control.nested_ctl = nested;
	v->control.n_cr3 = 0x1000;
	bus_write_u64(&p->bus, 0x1000, 0x2007);
	CODE(p, LOW + 0x100, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT: where bit 20 is 0 */
	CODE(p, GUEST_CODE, 0x8a, 0x04, 0x25, 0x00, 0x08, 0x30, 0x00, 0x0f, 0x01, 0xd9);
	p->c->efer |= EFER_SVME;
	p->c->vm_hsave_pa = HSAVE_PA;
	p->c->gif = gif;
	assert_true(msr_write(p->c, VM_CR_MSR, vm_cr));
	bus_mask_a20(&p->bus, pin);
	p->c->r[REG_RAX] = VMCB_PA;
	p->c->r[REG_RIP] = LOW + 0x100;
	cpu_update_mode(p->c);
	cpu_run(p->c, p->clock.now + 1000);
	assert_int_equal(p->c->activity, ACT_HLT);
	assert_int_equal(v->control.exitcode, 0x81);

	u8 got = (u8)v->save.rax;

	pc_free(p);
	return got;
}

static void test_guests(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 32; n++) {
		bool nested = n & 1, pin = n & 2, disabled = n & 4, gif = n & 8;
		const char *model = models[n / 16];

		assert_int_equal(guest_reads(model, nested, pin, disabled ? VM_CR_DIS_A20M : 0, gif), pin && !disabled ? 0x20 : 0x30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cells),
	        cmocka_unit_test(test_switched),
	        cmocka_unit_test(test_guests),
	};

	return cmocka_run_group_tests_name("a20", tests, NULL, NULL);
}
