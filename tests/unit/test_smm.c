/*
 * System-management mode: an SMI saves a processor in any mode, the handler runs at SMBASE + 8000h, RSM brings everything
 * back. On a bare processor, whose memory has no SMRAM of its own.
 */
#include "report.h"
#include "world_fixture.h"

#include "cpu/control/smm.h"
#include "svm/svm.h"

enum { SMBASE = 0x30000, MARK = 0x9000, ICR = 0xfee00300 };

static const char *const models[] = {"amd", "intel", "pacifica", "plain"};

static struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);
	struct cpu *c = p->c;

	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	bus_write_u64(&p->bus, 0x2018, 0x7007);
	bus_write_u64(&p->bus, 0x7000 + 8 * 0x1f7, 0xfee000f7);
	c->apic.svr = 0x1ff;
	return p;
}

/* What comes back: every register that a program can tell. */
static void expect_same(const struct cpu *a, const struct cpu *b)
{
	assert_memory_equal(a->r, b->r, 16 * sizeof(a->r[0]));
	for (unsigned n = 0; n < SEG_COUNT; n++) {
		assert_int_equal(a->seg[n].sel, b->seg[n].sel);
		assert_int_equal(a->seg[n].ar, b->seg[n].ar);
		assert_int_equal(a->seg[n].limit, b->seg[n].limit);
		assert_int_equal(a->seg[n].base, b->seg[n].base);
	}
	assert_int_equal(a->rflags, b->rflags);
	assert_int_equal(a->cr0, b->cr0);
	assert_int_equal(a->cr3, b->cr3);
	assert_int_equal(a->cr4, b->cr4);
	assert_int_equal(a->efer, b->efer);
	assert_int_equal(a->dr6, b->dr6);
	assert_int_equal(a->dr7, b->dr7);
	assert_int_equal(a->cpl, b->cpl);
	assert_int_equal(a->gdtr.base, b->gdtr.base);
	assert_int_equal(a->gdtr.limit, b->gdtr.limit);
	assert_int_equal(a->idtr.base, b->idtr.base);
	assert_int_equal(a->idtr.limit, b->idtr.limit);
}

/* MOV DWORD [ICR], 4200h: an SMI to itself. The handler: MOV BYTE [9000h], 5; RSM. */
static void test_ipi(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);
		struct cpu *c = p->c, before;
		u8 mark = 0;

		CODE(p, SMBASE + 0x8000, 0xc6, 0x06, 0x00, 0x90, 0x05, 0x0f, 0xaa);
		CODE(p, HOST_CODE, 0xc7, 0x00, 0x00, 0x42, 0x00, 0x00, 0x90, 0xf4);
		for (unsigned k = 1; k < 16; k++)
			c->r[k] = k * 0x0123456789abcdefull;
		c->r[REG_RAX] = ICR;
		before = *c;
		run_host(p);
		expect_same(c, &before);
		assert_int_equal(c->r[REG_RIP], HOST_CODE + 8);
		assert_false(c->smm || c->smi_blocked || c->nmi_blocked);
		bus_read(&p->bus, MARK, &mark, 1);
		assert_int_equal(mark, 5);
		pc_free(p);
	}
}

/* RSM: 0F AA. */
static void test_outside(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);

		CODE(p, HOST_CODE, 0x0f, 0xaa);
		p->c->r[REG_RIP] = HOST_CODE;
		p->c->idtr.limit = 0;
		cpu_run(p->c, p->clock.now + 1);
		assert_int_equal(p->c->chain_from.vector, EX_UD);
		pc_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ipi),
	        cmocka_unit_test(test_outside),
	};

	return cmocka_run_group_tests_name("smm", tests, NULL, NULL);
}
