/*
 * What moves between the VMCS and the processor: every register comes from its field and goes to it, under its control,
 * and nothing else changes. Fields and controls are those of vmx_moves.c, from the manual.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx/vmx.h"
#include "vmx_moves.h"

static const struct {
	u32 entry, exit;
} controls[] = {{0, 0},
                {ENTRY_LOAD_DEBUG, EXIT_SAVE_DEBUG},
                {ENTRY_LOAD_PAT, EXIT_SAVE_PAT},
                {ENTRY_LOAD_EFER, EXIT_SAVE_EFER},
                {0, EXIT_LOAD_PAT | EXIT_LOAD_EFER}};

static u64 read_bytes(const void *from, size_t at, size_t width)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)from + at, width);
	return v;
}

static struct cpu *blank(u32 entry, u32 exit)
{
	static const struct cpu_model model;
	struct cpu *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->virt_state = calloc(1, sizeof(struct vmx));
	assert_non_null(c->virt_state);
	c->model = &model;
	vmcs_set(vmx_of(c), VMCS_ENTRY_CONTROLS, entry);
	vmcs_set(vmx_of(c), VMCS_EXIT_CONTROLS, exit);
	return c;
}

static void drop(struct cpu *c)
{
	free(c->virt_state);
	free(c);
}

static void test_guest_load(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		struct cpu *c = blank(controls[k].entry, controls[k].exit);

		for (size_t n = 0; n < guest_move_count; n++)
			vmcs_set(vmx_of(c), guest_moves[n].field, guest_moves[n].value);
		vmx_guest_load(c, (u64[4]){0x1001, 0x2001, 0x3001, 0x4001});
		for (size_t n = 0; n < guest_move_count; n++) {
			bool mine = !guest_moves[n].load || (guest_moves[n].load & controls[k].entry);

			assert_int_equal(read_bytes(c, guest_moves[n].at, guest_moves[n].size), mine ? guest_moves[n].value : 0);
		}
		drop(c);
	}
}

static void test_guest_save(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		struct cpu *c = blank(controls[k].entry, controls[k].exit);

		for (size_t n = 0; n < guest_move_count; n++)
			memcpy((u8 *)c + guest_moves[n].at, &guest_moves[n].value, guest_moves[n].size);
		vmx_guest_save(c, &(struct exit_request){.id = ICPT_CPUID});
		for (size_t n = 0; n < guest_move_count; n++) {
			bool mine = !guest_moves[n].save || (guest_moves[n].save & controls[k].exit);

			assert_int_equal(vmcs_get(vmx_of(c), guest_moves[n].field), mine ? guest_moves[n].value : 0);
			vmcs_set(vmx_of(c), guest_moves[n].field, 0);
		}
		vmcs_set(vmx_of(c), VMCS_ENTRY_CONTROLS, 0);
		vmcs_set(vmx_of(c), VMCS_EXIT_CONTROLS, 0);
		for (size_t n = 0; n < VMCS_SLOTS; n++) /* nothing else was written */
			assert_int_equal(vmx_of(c)->f[n], 0);
		drop(c);
	}
}

/* The PDPTEs are saved for a guest that pages by PAE under EPT, and for no other. */
static void test_pdptes(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 16; k++) {
		struct cpu *c = blank(0, 0);

		c->cr0 = k & 1 ? CR0_PG | CR0_PE : CR0_PE;
		c->cr4 = k & 2 ? CR4_PAE : 0;
		c->efer = k & 4 ? EFER_LMA | EFER_LME : 0;
		c->stage2 = k & 8;
		c->pdpte[0] = 0x1001;
		c->pdpte[3] = 0x4001;
		vmx_guest_save(c, &(struct exit_request){.id = ICPT_CPUID});
		assert_int_equal(vmcs_get(vmx_of(c), VMCS_GUEST_PDPTE0), k == (1 | 2 | 8) ? 0x1001 : 0);
		assert_int_equal(vmcs_get(vmx_of(c), VMCS_GUEST_PDPTE3), k == (1 | 2 | 8) ? 0x4001 : 0);
		drop(c);
	}
}

static void test_host_load(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		struct cpu *c = blank(controls[k].entry, controls[k].exit);

		for (size_t n = 0; n < host_move_count; n++)
			vmcs_set(vmx_of(c), host_moves[n].field, host_moves[n].value);
		vmx_host_load(c, true);
		for (size_t n = 0; n < host_move_count; n++) {
			bool mine = !host_moves[n].load || (host_moves[n].load & controls[k].exit);
			u64 otherwise = host_moves[n].field == VMCS_HOST_EFER ? 0x500 : 0; /* LMA and LME of a 64-bit host */

			assert_int_equal(read_bytes(c, host_moves[n].at, host_moves[n].size), mine ? host_moves[n].value : otherwise);
		}
		drop(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_guest_load),
	        cmocka_unit_test(test_guest_save),
	        cmocka_unit_test(test_pdptes),
	        cmocka_unit_test(test_host_load),
	};

	return cmocka_run_group_tests_name("vmx-map", tests, NULL, NULL);
}
