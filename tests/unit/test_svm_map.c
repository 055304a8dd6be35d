/*
 * What moves between the VMCB and the processor: every register comes from its field and goes to it, and nothing else
 * changes. The expected places are typed from the manual, not taken from the rows of src/svm/map.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "svm/svm.h"

/*
 * What VMRUN, VMLOAD and VMSAVE move, by the manual: "Loading Guest State", "Saving Host State", "VMLOAD and VMSAVE
 * Instructions", "Enabling LBR Virtualization". Offset of the field, width, register, a value that reads back as it is.
 */
enum mover { BY_VMRUN = 1, BY_VMLOAD = 2, BY_NP = 4, BY_LBRV = 8, BY_SPEC = 16, BY_STACK = 32, BY_LOCKS = 64, BY_PML = 128,
	HOST_TOO = 256, LOAD_ONLY = 512, IN_SVM = 1024 /* the register is in struct svm */ };
/* clang-format off */
#define R(m) offsetof(struct cpu, m), sizeof(((struct cpu *)0)->m)
#define S(m) offsetof(struct svm, m), sizeof(((struct svm *)0)->m)
static const struct { size_t at, width, is, size; u64 value; unsigned by; } moves[] = {
#define MOVED(off, seg_, by) \
	{off, 2, R(seg[seg_].sel), 0x10 + (off), by}, {(off) + 4, 4, R(seg[seg_].limit), 0x12345 + (off), by}, \
	{(off) + 8, 8, R(seg[seg_].base), 0x100000 + (off), by}
	MOVED(0x400, SEG_ES, BY_VMRUN | HOST_TOO), MOVED(0x410, SEG_CS, BY_VMRUN | HOST_TOO),
	MOVED(0x420, SEG_SS, BY_VMRUN | HOST_TOO), MOVED(0x430, SEG_DS, BY_VMRUN | HOST_TOO),
	MOVED(0x440, SEG_FS, BY_VMLOAD), MOVED(0x450, SEG_GS, BY_VMLOAD), MOVED(0x470, SEG_LDTR, BY_VMLOAD), MOVED(0x490, SEG_TR, BY_VMLOAD),
	{0x464, 4, R(gdtr.limit), 0x1234, BY_VMRUN | HOST_TOO}, {0x468, 8, R(gdtr.base), 0xffff800000001000, BY_VMRUN | HOST_TOO},
	{0x484, 4, R(idtr.limit), 0x0fff, BY_VMRUN | HOST_TOO}, {0x488, 8, R(idtr.base), 0xffff800000002000, BY_VMRUN | HOST_TOO},
	{0x4cb, 1, R(cpl), 2, BY_VMRUN}, {0x4d0, 8, R(efer), 0x1d01, BY_VMRUN | HOST_TOO}, {0x548, 8, R(cr4), 0x6a0, BY_VMRUN | HOST_TOO},
	{0x550, 8, R(cr3), 0x123000, BY_VMRUN | HOST_TOO}, {0x558, 8, R(cr0), 0x80050033, BY_VMRUN | HOST_TOO},
	{0x560, 8, R(dr7), 0x4ff, BY_VMRUN}, {0x568, 8, R(dr6), 0xffff4ff1, BY_VMRUN}, {0x570, 8, R(rflags), 0x10cd7, BY_VMRUN | HOST_TOO},
	{0x578, 8, R(r[REG_RIP]), 0x7fff00001111, BY_VMRUN | HOST_TOO}, {0x5d8, 8, R(r[REG_RSP]), 0x7fff00002222, BY_VMRUN | HOST_TOO},
	{0x5f8, 8, R(r[REG_RAX]), 0x3333333333333333, BY_VMRUN | HOST_TOO}, {0x640, 8, R(cr2), 0x4444444444444444, BY_VMRUN},
	{0x600, 8, R(star), 0x1122334455667788, BY_VMLOAD}, {0x608, 8, R(lstar), 0xffffffff81000000, BY_VMLOAD},
	{0x610, 8, R(cstar), 0xffffffff82000000, BY_VMLOAD}, {0x618, 8, R(sfmask), 0x47700, BY_VMLOAD},
	{0x620, 8, R(kernel_gs_base), 0xffff888000000000, BY_VMLOAD}, {0x628, 8, R(sysenter_cs), 0x10, BY_VMLOAD},
	{0x630, 8, R(sysenter_esp), 0xfffffe0000001000, BY_VMLOAD}, {0x638, 8, R(sysenter_eip), 0xffffffff83000000, BY_VMLOAD},
	{0x668, 8, R(pat), 0x0606060606060606, BY_NP | HOST_TOO}, {0x670, 8, R(debugctl), 1, BY_LBRV | HOST_TOO},
	{0x678, 8, R(lbr_from), 0x1111, BY_LBRV | HOST_TOO}, {0x680, 8, R(lbr_to), 0x2222, BY_LBRV | HOST_TOO},
	{0x688, 8, R(lex_from), 0x3333, BY_LBRV | HOST_TOO}, {0x690, 8, R(lex_to), 0x4444, BY_LBRV | HOST_TOO},
	{0x6e0, 8, R(spec_ctrl), 7, BY_SPEC | HOST_TOO},
	/* the control area: "Layout of VMCB", "INTERRUPT_SHADOW" bit 0 */
	{0x03e, 2, S(pause_left), 0x5a5a, BY_VMRUN | LOAD_ONLY | IN_SVM}, {0x060, 8, S(vintr), 0x3001001f, BY_VMRUN | IN_SVM},
	{0x068, 8, R(shadow), 1, BY_VMRUN}, {0x120, 2, S(bus_locks), 0x1234, BY_LOCKS | IN_SVM},
	{0x1d0, 2, S(pml_index), 0x1ff, BY_PML | IN_SVM},
	/* the branch records, the newest first; the processor's are a ring, whose newest VMRUN makes the last */
#define RECORD(n) \
	{0xa70 + 16 * (n), 8, R(lbr_stack_from[15 - (n)]), 0x100000 + (n), BY_STACK}, \
	{0xa78 + 16 * (n), 8, R(lbr_stack_to[15 - (n)]), 0x200000 + (n), BY_STACK}
	RECORD(0), RECORD(1), RECORD(2), RECORD(3), RECORD(4), RECORD(5), RECORD(6), RECORD(7), RECORD(8), RECORD(9), RECORD(10),
	RECORD(11), RECORD(12), RECORD(13), RECORD(14), RECORD(15), {0xb70, 8, R(lbr_select), 0x155, BY_STACK},
};
/* clang-format on */

static u64 read_bytes(const void *from, size_t at, size_t width)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)from + at, width);
	return v;
}

static const struct {
	u32 parts;
	unsigned by;
} runs[] = {
        {0, BY_VMRUN},
        {1u << SVM_PART_NP, BY_VMRUN | BY_NP},
        {1u << SVM_PART_LBRV, BY_VMRUN | BY_LBRV},
        {1u << SVM_PART_SPEC, BY_VMRUN | BY_SPEC},
        {1u << SVM_PART_NP | 1u << SVM_PART_LBRV | 1u << SVM_PART_SPEC, BY_VMRUN | BY_NP | BY_LBRV | BY_SPEC},
        {1u << SVM_PART_LBRV | 1u << SVM_PART_STACK, BY_VMRUN | BY_LBRV | BY_STACK},
        {1u << SVM_PART_LOCKS, BY_VMRUN | BY_LOCKS},
        {1u << SVM_PART_PML, BY_VMRUN | BY_PML},
        {0, BY_VMLOAD},
};

static struct cpu *blank_cpu(void)
{
	struct cpu *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->virt_state = calloc(1, sizeof(struct svm));
	assert_non_null(c->virt_state);
	return c;
}

static void drop(struct cpu *c)
{
	free(c->virt_state);
	free(c);
}

static u8 *registers(struct cpu *c, size_t move)
{
	return moves[move].by & IN_SVM ? (u8 *)c->virt_state : (u8 *)c;
}

/* The image that VMRUN makes of a page. */
static void image_of(struct svm_image *v, const struct vmcb_page *page)
{
	memset(v, 0, sizeof(*v));
	v->control = page->control;
	svm_state_copy(v, page);
	svm_state_copy_rare(v, page, 1u << SVM_PART_STACK | 1u << SVM_PART_LOCKS | 1u << SVM_PART_PML);
}

/* Every register that a part has comes from its field, and no other register changes. */
static void test_state_load(void **state)
{
	struct vmcb_page v = {0};
	struct svm_image image;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(moves); n++)
		memcpy((u8 *)&v + moves[n].at, &moves[n].value, moves[n].width);
	v.save.es.attrib = v.save.cs.attrib = v.save.ss.attrib = v.save.ds.attrib = 0xa9b; /* CS: 64-bit code */
	image_of(&image, &v);
	for (size_t k = 0; k < ARRAY_LEN(runs); k++) {
		struct cpu *c = blank_cpu();

		if (runs[k].by == BY_VMLOAD)
			svm_state_vmload(c, &v.save);
		else
			svm_state_load(c, svm_of(c), &image, runs[k].parts);
		for (size_t n = 0; n < ARRAY_LEN(moves); n++)
			assert_int_equal(read_bytes(registers(c, n), moves[n].is, moves[n].size),
			                 moves[n].by & runs[k].by ? moves[n].value : 0);
		drop(c);
	}
}

/* And goes to its field, and no other byte of the page changes. */
static void test_state_save(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(runs); k++) {
		struct cpu *c = blank_cpu();
		struct svm_image image = {0};
		struct vmcb_page v = {0};
		const struct svm_told told = {.vintr = ~0ull};

		for (size_t n = 0; n < ARRAY_LEN(moves); n++)
			memcpy(registers(c, n) + moves[n].is, &moves[n].value, moves[n].size);
		c->lbr_tos = 15;
		if (runs[k].by == BY_VMLOAD)
			svm_state_vmsave(c, &v.save);
		else
			svm_state_save(c, svm_of(c), &image, &v, &told, runs[k].parts);
		if (runs[k].by != BY_VMLOAD)
			assert_memory_equal(&image.save, &v.save, sizeof(v.save));
		for (size_t n = 0; n < ARRAY_LEN(moves); n++) {
			bool mine = (moves[n].by & runs[k].by) && !(moves[n].by & LOAD_ONLY);

			assert_int_equal(read_bytes(&v, moves[n].at, moves[n].width), mine ? moves[n].value : 0);
			memset((u8 *)&v + moves[n].at, 0, moves[n].width);
		}
		for (size_t b = 0; b < sizeof(v); b++)
			assert_int_equal(((u8 *)&v)[b], 0);
		drop(c);
	}
}

/* The host's registers survive VMRUN and #VMEXIT; those that every guest has are in the host save area, too. */
static void test_state_host(void **state)
{
	(void)state;
	for (size_t k = 0; k + 1 < ARRAY_LEN(runs); k++) {
		struct cpu *c = blank_cpu();
		struct svm_host h;
		struct vmcb_page area = {0};

		for (size_t n = 0; n < ARRAY_LEN(moves); n++)
			if (!(moves[n].by & IN_SVM))
				memcpy((u8 *)c + moves[n].is, &moves[n].value, moves[n].size);
		svm_host_save(c, &h, &area.save, 0x5555);
		void *own = c->virt_state;

		memset(c, 0, sizeof(*c));
		c->virt_state = own;
		svm_host_load(c, &h, runs[k].parts);
		for (size_t n = 0; n < ARRAY_LEN(moves); n++) {
			bool mine = (moves[n].by & HOST_TOO) && (moves[n].by & runs[k].by);
			u64 value = moves[n].is == offsetof(struct cpu, r[REG_RIP]) ? 0x5555 : moves[n].value;

			if (moves[n].is == offsetof(struct cpu, rflags))
				value &= ~(u64)FL_RF; /* VMRUN is over when the host goes on */
			assert_int_equal(read_bytes(registers(c, n), moves[n].is, moves[n].size), mine ? value : 0);
			if (moves[n].at == 0x4cb) /* the host's CPL: 0 wherever VMRUN may run */
				continue;
			mine = (moves[n].by & HOST_TOO) && (moves[n].by & BY_VMRUN);
			assert_int_equal(read_bytes(&area, moves[n].at, moves[n].width), mine ? value : 0);
		}
		drop(c);
	}
}

/* DBGEXTNCTL and DBGCTL are two fields of one register here. "LBR Stack": DebugExtnCtl.LBRSE is bit 6. */
static void test_stack_control(void **state)
{
	const u32 parts = 1u << SVM_PART_LBRV | 1u << SVM_PART_STACK;
	const struct svm_told told = {0};
	struct cpu *c = blank_cpu();
	struct svm_image image;
	struct vmcb_page v = {0};

	(void)state;
	v.save.dbgctl = 1;
	v.save.dbgextnctl = 0x40;
	image_of(&image, &v);
	svm_state_load(c, svm_of(c), &image, parts);
	assert_int_equal(c->debugctl, DEBUGCTL_LBR | DEBUGCTL_LBRSE);
	v.save.dbgctl = v.save.dbgextnctl = 0;
	svm_state_save(c, svm_of(c), &image, &v, &told, parts);
	assert_int_equal(v.save.dbgctl, 1);
	assert_int_equal(v.save.dbgextnctl, 0x40);
	c->debugctl = 0;
	svm_state_save(c, svm_of(c), &image, &v, &told, parts);
	assert_int_equal(v.save.dbgctl, 0);
	assert_int_equal(v.save.dbgextnctl, 0);
	drop(c);
}

/* What #VMEXIT says goes to its field, nRIP and the bytes only where the processor has them; EVENTINJ is done; of 060h the
 * bits that a run changes come from the processor, the others stay; so do bits 63:1 of 068h. */
static void test_told(void **state)
{
	static const struct svm_told told = {.code = 0x1111, .info1 = 0x2222, .info2 = 0x3333, .intinfo = 0x4444, .nrip = 0x5555,
	                                     .vintr = 0xf00, .fetched = 3, .bytes = {0x90, 0xf4, 0xcc}};

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct cpu *c = blank_cpu();
		struct svm_image image = {0};
		struct vmcb_page v = {0};
		struct svm_told t = told;

		feat_put(&c->feat, FEAT_NRIP_SAVE, k & 1);
		feat_put(&c->feat, FEAT_DECODEASSISTS, k & 2);
		t.fetched = k & 2 ? 3 : 0;
		svm_of(c)->vintr = 0x555;
		v.control.vintr = 0xaaaa;
		v.control.int_state = 0xfe;
		v.control.eventinj = 0x80000b0d;
		c->shadow = k & 1 ? SHADOW_MOVSS : 0;
		svm_state_save(c, svm_of(c), &image, &v, &t, 0);
		assert_int_equal(read_bytes(&v, 0x070, 8), 0x1111);
		assert_int_equal(read_bytes(&v, 0x078, 8), 0x2222);
		assert_int_equal(read_bytes(&v, 0x080, 8), 0x3333);
		assert_int_equal(read_bytes(&v, 0x088, 8), 0x4444);
		assert_int_equal(read_bytes(&v, 0x0a8, 8), 0);
		assert_int_equal(read_bytes(&v, 0x0c8, 8), k & 1 ? 0x5555 : 0);
		assert_int_equal(read_bytes(&v, 0x0d0, 4), k & 2 ? 0xccf49003 : 0);
		assert_int_equal(read_bytes(&v, 0x060, 8), 0xa5aa);
		assert_int_equal(image.control.vintr, 0xa5aa);
		assert_int_equal(read_bytes(&v, 0x068, 8), k & 1 ? 0xff : 0xfe);
		drop(c);
	}
}

/* Each group of clean bits keeps the fields that the table gives it, "VMCB Clean Bits". */
static void test_clean_groups(void **state)
{
	static const struct {
		u16 first, last;
		u8 bit;
	} groups[] = {
	        {0x000, 0x014, 0}, {0x03c, 0x03e, 0}, {0x050, 0x050, 0},  {0x040, 0x048, 1},  {0x058, 0x058, 2},
	        {0x060, 0x060, 3}, {0x090, 0x090, 4}, {0x0b0, 0x0b0, 4},  {0x668, 0x668, 4},  {0x4d0, 0x4d0, 5},
	        {0x548, 0x558, 5}, {0x560, 0x568, 6}, {0x464, 0x468, 7},  {0x484, 0x488, 7},  {0x400, 0x438, 8},
	        {0x4cb, 0x4cb, 8}, {0x640, 0x640, 9}, {0x670, 0x690, 10}, {0x098, 0x098, 11}, {0x0e0, 0x0f8, 11},
	};

	(void)state;
	for (unsigned bit = 0; bit < 13; bit++) {
		struct svm_image last, v;

		memset(&last, 0xaa, sizeof(last));
		memset(&v, 0x55, sizeof(v));
		svm_state_keep(&v, &last, 1u << bit);
		for (size_t n = 0; n < vmcb_field_count; n++) {
			const unsigned at = vmcb_fields[n].offset;
			bool kept = false;

			if (at == 0x120 || at == 0x1c8 ||
			    at == 0x1d0) /* the image has these apart; no bit covers them */
				continue;
			for (size_t g = 0; g < ARRAY_LEN(groups); g++)
				kept |= groups[g].bit == bit && at >= groups[g].first && at <= groups[g].last;
			assert_int_equal(svm_field_value(&v, at) & 0xff, kept ? 0xaa : 0x55);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_state_load),
	        cmocka_unit_test(test_state_save),
	        cmocka_unit_test(test_state_host),
	        cmocka_unit_test(test_stack_control),
	        cmocka_unit_test(test_told),
	        cmocka_unit_test(test_clean_groups),
	};

	return cmocka_run_group_tests_name("svm-map", tests, NULL, NULL);
}
