/*
 * What moves between the VMCS and the processor: every register comes from its field and goes to it, under its control,
 * and nothing else changes. Encodings and controls are typed from the manual ("Field Encoding in VMCS", "Loading Guest
 * State", "Saving Guest State", "Loading Host State"), not taken from the rows of src/vmx/map.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmx/vmx.h"

/* clang-format off */
#define R(m) offsetof(struct cpu, m), sizeof(((struct cpu *)0)->m)
/* Controls as the manual numbers their bits; 0: always, NEVER: not by this. */
enum { NEVER = 1 << 30, SAVE_DEBUG = 1 << 2, SAVE_PAT = 1 << 18, LOAD_PAT_EXIT = 1 << 19, SAVE_EFER = 1 << 20, LOAD_EFER_EXIT = 1 << 21,
	LOAD_DEBUG = 1 << 2, LOAD_PAT = 1 << 14, LOAD_EFER = 1 << 15 };
static const struct { u32 field; size_t at, size; u64 value; u32 load, save; } guest[] = {
#define SEGMENT(k, seg_) \
	{0x0800 + 2 * (k), R(seg[seg_].sel), 0x10 + 8 * (k), 0, 0}, {0x4800 + 2 * (k), R(seg[seg_].limit), 0x12345 + (k), 0, 0}, \
	{0x4814 + 2 * (k), R(seg[seg_].ar), 0xa09b + 0x1000 * ((k) & 3), 0, 0}, {0x6806 + 2 * (k), R(seg[seg_].base), 0x1000 * (k) + 1, 0, 0}
	SEGMENT(0, SEG_ES), SEGMENT(1, SEG_CS), SEGMENT(2, SEG_SS), SEGMENT(3, SEG_DS), SEGMENT(4, SEG_FS), SEGMENT(5, SEG_GS),
	SEGMENT(6, SEG_LDTR), SEGMENT(7, SEG_TR),
	{0x4810, R(gdtr.limit), 0x1234, 0, 0}, {0x6816, R(gdtr.base), 0xffff800000001000, 0, 0},
	{0x4812, R(idtr.limit), 0x0fff, 0, 0}, {0x6818, R(idtr.base), 0xffff800000002000, 0, 0},
	{0x6800, R(cr0), 0x80010021, 0, 0}, {0x6802, R(cr3), 0x123000, 0, 0}, {0x6804, R(cr4), 0x26b0, 0, 0},
	{0x681a, R(dr7), 0x4ff, LOAD_DEBUG, SAVE_DEBUG}, {0x2802, R(debugctl), 3, LOAD_DEBUG, SAVE_DEBUG},
	{0x2804, R(pat), 0x0606060606060606, LOAD_PAT, SAVE_PAT}, {0x2806, R(efer), 0xd01, LOAD_EFER, SAVE_EFER},
	{0x482a, R(sysenter_cs), 0x10, 0, 0}, {0x6824, R(sysenter_esp), 0xfffffe0000001000, 0, 0},
	{0x6826, R(sysenter_eip), 0xffffffff83000000, 0, 0}, {0x681c, R(r[REG_RSP]), 0x7fff00002222, 0, 0},
	{0x681e, R(r[REG_RIP]), 0x7fff00001111, 0, 0}, {0x6820, R(rflags), 0xcd7, 0, 0},
	{0x280a, R(pdpte[0]), 0x1001, 0, NEVER}, {0x280c, R(pdpte[1]), 0x2001, 0, NEVER}, /* saved with EPT and PAE paging */
	{0x280e, R(pdpte[2]), 0x3001, 0, NEVER}, {0x2810, R(pdpte[3]), 0x4001, 0, NEVER},
};
static const struct { u32 field; size_t at, size; u64 value; u32 load; } host[] = {
	{0x0c00, R(seg[SEG_ES].sel), 0x18, 0}, {0x0c02, R(seg[SEG_CS].sel), 0x10, 0}, {0x0c04, R(seg[SEG_SS].sel), 0x20, 0},
	{0x0c06, R(seg[SEG_DS].sel), 0x28, 0}, {0x0c08, R(seg[SEG_FS].sel), 0x30, 0}, {0x0c0a, R(seg[SEG_GS].sel), 0x38, 0},
	{0x0c0c, R(seg[SEG_TR].sel), 0x40, 0}, {0x6c06, R(seg[SEG_FS].base), 0x111000, 0}, {0x6c08, R(seg[SEG_GS].base), 0xffff888000000000, 0},
	{0x6c0a, R(seg[SEG_TR].base), 0x333000, 0}, {0x6c0c, R(gdtr.base), 0x444000, 0}, {0x6c0e, R(idtr.base), 0x555000, 0},
	{0x2c00, R(pat), 0x0406040604060406, LOAD_PAT_EXIT}, {0x2c02, R(efer), 0xd01, LOAD_EFER_EXIT},
	{0x4c00, R(sysenter_cs), 0x10, 0}, {0x6c10, R(sysenter_esp), 0xfffffe0000001000, 0}, {0x6c12, R(sysenter_eip), 0xffffffff83000000, 0},
	{0x6c00, R(cr0), 0x80010021, 0}, {0x6c02, R(cr3), 0x321000, 0}, {0x6c04, R(cr4), 0x20a0, 0},
	{0x6c14, R(r[REG_RSP]), 0x7fff00003333, 0}, {0x6c16, R(r[REG_RIP]), 0x7fff00004444, 0},
};
/* clang-format on */

static const struct {
	u32 entry, exit;
} controls[] = {{0, 0},
                {LOAD_DEBUG, SAVE_DEBUG},
                {LOAD_PAT, SAVE_PAT},
                {LOAD_EFER, SAVE_EFER},
                {0, LOAD_PAT_EXIT | LOAD_EFER_EXIT}};

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

		for (size_t n = 0; n < ARRAY_LEN(guest); n++)
			vmcs_set(vmx_of(c), guest[n].field, guest[n].value);
		vmx_guest_load(c, (u64[4]){0x1001, 0x2001, 0x3001, 0x4001});
		for (size_t n = 0; n < ARRAY_LEN(guest); n++) {
			bool mine = !guest[n].load || (guest[n].load & controls[k].entry);

			assert_int_equal(read_bytes(c, guest[n].at, guest[n].size), mine ? guest[n].value : 0);
		}
		drop(c);
	}
}

static void test_guest_save(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		struct cpu *c = blank(controls[k].entry, controls[k].exit);

		for (size_t n = 0; n < ARRAY_LEN(guest); n++)
			memcpy((u8 *)c + guest[n].at, &guest[n].value, guest[n].size);
		vmx_guest_save(c, &(struct exit_request){.id = ICPT_CPUID});
		for (size_t n = 0; n < ARRAY_LEN(guest); n++) {
			bool mine = !guest[n].save || (guest[n].save & controls[k].exit);

			assert_int_equal(vmcs_get(vmx_of(c), guest[n].field), mine ? guest[n].value : 0);
			vmcs_set(vmx_of(c), guest[n].field, 0);
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
		assert_int_equal(vmcs_get(vmx_of(c), 0x280a), k == (1 | 2 | 8) ? 0x1001 : 0);
		assert_int_equal(vmcs_get(vmx_of(c), 0x2810), k == (1 | 2 | 8) ? 0x4001 : 0);
		drop(c);
	}
}

static void test_host_load(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(controls); k++) {
		struct cpu *c = blank(controls[k].entry, controls[k].exit);

		for (size_t n = 0; n < ARRAY_LEN(host); n++)
			vmcs_set(vmx_of(c), host[n].field, host[n].value);
		vmx_host_load(c, true);
		for (size_t n = 0; n < ARRAY_LEN(host); n++) {
			bool mine = !host[n].load || (host[n].load & controls[k].exit);
			u64 otherwise = host[n].field == 0x2c02 ? 0x500 : 0; /* LMA and LME of a 64-bit host */

			assert_int_equal(read_bytes(c, host[n].at, host[n].size), mine ? host[n].value : otherwise);
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
