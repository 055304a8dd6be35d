/*
 * The tables of src/svm: VMCB layout, exit codes, intercept compilation, consistency checks, and the conversions at the
 * edge. The expected values are typed from the manual (33047 r3.02, appendices C and D), not taken from the headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "report.h"
#include "svm/svm.h"

/* ---- layout ---- */

/* clang-format off */
static const struct { const char *name; size_t is, expected, width; } layout[] = {
#define CTL(m, off, w) {"control." #m, offsetof(struct vmcb_page, control.m), off, w}
#define SA(m, off, w)  {"save." #m, offsetof(struct vmcb_page, save.m), 0x400 + (off), w}
#define SEG(m, off) \
	SA(m.sel, off, 2), SA(m.attrib, (off) + 2, 2), SA(m.limit, (off) + 4, 4), SA(m.base, (off) + 8, 8)
	CTL(icpt[0], 0x000, 4), CTL(icpt[1], 0x004, 4), CTL(icpt[2], 0x008, 4), CTL(icpt[3], 0x00c, 4), CTL(icpt[4],
	 0x010, 4),
	CTL(icpt[5], 0x014, 4), CTL(pause_threshold, 0x03c, 2), CTL(pause_count, 0x03e, 2), CTL(iopm_base_pa, 0x040,
	 8),
	CTL(msrpm_base_pa, 0x048, 8), CTL(tsc_offset, 0x050, 8), CTL(asid, 0x058, 4), CTL(tlb_control, 0x05c, 1),
	CTL(vintr, 0x060, 8), CTL(int_state, 0x068, 8), CTL(exitcode, 0x070, 8), CTL(exitinfo1, 0x078, 8),
	CTL(exitinfo2, 0x080, 8), CTL(exitintinfo, 0x088, 8), CTL(nested_ctl, 0x090, 8), CTL(avic_bar, 0x098, 8),
	CTL(ghcb_pa, 0x0a0, 8), CTL(eventinj, 0x0a8, 8), CTL(n_cr3, 0x0b0, 8), CTL(virt_ext, 0x0b8, 8), CTL(clean,
	 0x0c0, 4),
	CTL(nrip, 0x0c8, 8), CTL(bytes_fetched, 0x0d0, 1), CTL(insn_bytes, 0x0d1, 15), CTL(avic_backing_page, 0x0e0,
	 8),
	CTL(avic_logical_table, 0x0f0, 8), CTL(avic_physical_table, 0x0f8, 8),
	SEG(es, 0x000), SEG(cs, 0x010), SEG(ss, 0x020), SEG(ds, 0x030), SEG(fs, 0x040), SEG(gs, 0x050), SEG(gdtr,
	 0x060),
	SEG(ldtr, 0x070), SEG(idtr, 0x080), SEG(tr, 0x090), SA(cpl, 0x0cb, 1), SA(efer, 0x0d0, 8), SA(cr4, 0x148, 8),
	SA(cr3, 0x150, 8), SA(cr0, 0x158, 8), SA(dr7, 0x160, 8), SA(dr6, 0x168, 8), SA(rflags, 0x170, 8), SA(rip,
	 0x178, 8),
	SA(rsp, 0x1d8, 8), SA(rax, 0x1f8, 8), SA(star, 0x200, 8), SA(lstar, 0x208, 8), SA(cstar, 0x210, 8),
	SA(sfmask, 0x218, 8), SA(kernel_gs_base, 0x220, 8), SA(sysenter_cs, 0x228, 8), SA(sysenter_esp, 0x230, 8),
	SA(sysenter_eip, 0x238, 8), SA(cr2, 0x240, 8), SA(g_pat, 0x268, 8), SA(dbgctl, 0x270, 8), SA(br_from, 0x278,
	 8),
	SA(br_to, 0x280, 8), SA(lastexcpfrom, 0x288, 8), SA(lastexcpto, 0x290, 8), SA(spec_ctrl, 0x2e0, 8),
};
/* clang-format on */

static void test_layout(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(layout); n++)
		if (layout[n].is != layout[n].expected)
			fail_msg("%s at 0x%zx, expected 0x%zx", layout[n].name, layout[n].is, layout[n].expected);
}

/* Every field of the layout is in the field table with its width, and the table is sorted and without overlap. */
static void test_field_table(void **state)
{
	(void)state;
	for (size_t n = 1; n < vmcb_field_count; n++)
		assert_true(vmcb_fields[n].offset >= vmcb_fields[n - 1].offset + vmcb_fields[n - 1].width);
	for (size_t n = 0; n < ARRAY_LEN(layout); n++) {
		const struct vmcb_field *f = vmcb_field_at((unsigned)layout[n].expected);
		size_t dt = layout[n].expected - 0x400;
		bool selector = dt == 0x60 || dt == 0x62 || dt == 0x80 || dt == 0x82; /* GDTR and IDTR have none */

		if (selector || layout[n].expected == 0x0d1 || layout[n].expected == 0 || layout[n].expected == 4)
			continue;
		assert_non_null(f);
		assert_int_equal(f->width, layout[n].width);
		assert_int_equal(strtoul(f->name + 5, NULL, 16), f->offset);
	}
}

/* ---- exit codes ---- */

/* clang-format off */
static const struct { unsigned code; const char *name; unsigned icpt; } codes[] = {
	{0x00, "VMEXIT_CR0_READ", ICPT_CR0_READ}, {0x0f, "VMEXIT_CR15_READ", ICPT_CR0_READ + 15},
	{0x10, "VMEXIT_CR0_WRITE", ICPT_CR0_WRITE}, {0x13, "VMEXIT_CR3_WRITE", ICPT_CR0_WRITE + 3},
	{0x20, "VMEXIT_DR0_READ", ICPT_DR0_READ}, {0x37, "VMEXIT_DR7_WRITE", ICPT_DR0_WRITE + 7},
	{0x40, "VMEXIT_EXCP0", ICPT_EXC}, {0x4e, "VMEXIT_EXCP14", ICPT_EXC + 14}, {0x5f, "VMEXIT_EXCP31",
	 ICPT_EXC + 31},
	{0x60, "VMEXIT_INTR", ICPT_INTR}, {0x61, "VMEXIT_NMI", ICPT_NMI}, {0x62, "VMEXIT_SMI", ICPT_SMI},
	{0x63, "VMEXIT_INIT", ICPT_INIT}, {0x64, "VMEXIT_VINTR", ICPT_VINTR}, {0x65, "VMEXIT_CR0_SEL_WRITE",
	 ICPT_CR0_SEL_WRITE},
	{0x66, "VMEXIT_IDTR_READ", ICPT_IDTR_READ}, {0x67, "VMEXIT_GDTR_READ", ICPT_GDTR_READ},
	{0x68, "VMEXIT_LDTR_READ", ICPT_LDTR_READ}, {0x69, "VMEXIT_TR_READ", ICPT_TR_READ},
	{0x6a, "VMEXIT_IDTR_WRITE", ICPT_IDTR_WRITE}, {0x6b, "VMEXIT_GDTR_WRITE", ICPT_GDTR_WRITE},
	{0x6c, "VMEXIT_LDTR_WRITE", ICPT_LDTR_WRITE}, {0x6d, "VMEXIT_TR_WRITE", ICPT_TR_WRITE},
	{0x6e, "VMEXIT_RDTSC", ICPT_RDTSC}, {0x6f, "VMEXIT_RDPMC", ICPT_RDPMC}, {0x70, "VMEXIT_PUSHF", ICPT_PUSHF},
	{0x71, "VMEXIT_POPF", ICPT_POPF}, {0x72, "VMEXIT_CPUID", ICPT_CPUID}, {0x73, "VMEXIT_RSM", ICPT_RSM},
	{0x74, "VMEXIT_IRET", ICPT_IRET}, {0x75, "VMEXIT_SWINT", ICPT_SWINT}, {0x76, "VMEXIT_INVD", ICPT_INVD},
	{0x77, "VMEXIT_PAUSE", ICPT_PAUSE}, {0x78, "VMEXIT_HLT", ICPT_HLT}, {0x79, "VMEXIT_INVLPG", ICPT_INVLPG},
	{0x7a, "VMEXIT_INVLPGA", ICPT_INVLPGA}, {0x7b, "VMEXIT_IOIO", ICPT_IOIO}, {0x7c, "VMEXIT_MSR", ICPT_MSR},
	{0x7d, "VMEXIT_TASK_SWITCH", ICPT_TASK_SWITCH}, {0x7e, "VMEXIT_FERR_FREEZE", ICPT_FERR_FREEZE},
	{0x7f, "VMEXIT_SHUTDOWN", ICPT_SHUTDOWN}, {0x80, "VMEXIT_VMRUN", ICPT_VMRUN}, {0x81, "VMEXIT_VMMCALL",
	 ICPT_VMMCALL},
	{0x82, "VMEXIT_VMLOAD", ICPT_VMLOAD}, {0x83, "VMEXIT_VMSAVE", ICPT_VMSAVE}, {0x84, "VMEXIT_STGI", ICPT_STGI},
	{0x85, "VMEXIT_CLGI", ICPT_CLGI}, {0x86, "VMEXIT_SKINIT", ICPT_SKINIT}, {0x87, "VMEXIT_RDTSCP", ICPT_RDTSCP},
	{0x88, "VMEXIT_ICEBP", ICPT_ICEBP}, {0x89, "VMEXIT_WBINVD", ICPT_WBINVD}, {0x8a, "VMEXIT_MONITOR",
	 ICPT_MONITOR},
	{0x8b, "VMEXIT_MWAIT", ICPT_MWAIT}, {0x8c, "VMEXIT_MWAIT_CONDITIONAL", ICPT_MWAIT_ARMED},
	{0x8d, "VMEXIT_XSETBV", ICPT_XSETBV}, {0x8e, "VMEXIT_RDPRU", ICPT_RDPRU},
	{0x8f, "VMEXIT_EFER_WRITE_TRAP", ICPT_EFER_WRITE_TRAP}, {0x90, "VMEXIT_CR0_WRITE_TRAP", ICPT_CR0_WRITE_TRAP},
	{0x9f, "VMEXIT_CR15_WRITE_TRAP", ICPT_CR_WRITE_TRAP_LAST}, {0xa0, "VMEXIT_INVLPGB", ICPT_INVLPGB},
	{0xa2, "VMEXIT_INVPCID", ICPT_INVPCID}, {0xa6, "VMEXIT_IDLE_HLT", ICPT_IDLE_HLT}, {0x400, "VMEXIT_NPF",
	 ICPT_STAGE2},
};
/* clang-format on */

static void test_exit_codes(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(codes); n++) {
		const struct svm_exit_row *row = svm_exit_row(codes[n].code);

		assert_non_null(row);
		assert_string_equal(row->name, codes[n].name);
		assert_int_equal(row->icpt, codes[n].icpt);
		assert_int_equal(svm_exit_code(codes[n].icpt), codes[n].code);
	}
	assert_string_equal(svm_exit_row(~0ull)->name, "VMEXIT_INVALID");
	assert_null(svm_exit_row(0xa7));
	for (unsigned code = 0; code < SVM_EXIT_ROWS; code++)
		assert_int_equal(svm_exit_code(svm_exit_rows[code].icpt), code);
}

/* Exit codes equal the position of the intercept bit: one bit in, exactly its flat bit out. */
static void test_compile(void **state)
{
	(void)state;
	for (unsigned code = 0; code < SVM_EXIT_ROWS; code++) {
		u32 words[6] = {0};
		u64 icpt[5], seen = 0;
		unsigned id = svm_exit_rows[code].icpt;

		words[code / 32] = 1u << (code % 32);
		svm_compile_intercepts(words, icpt);
		for (unsigned w = 0; w < 5; w++)
			seen += (unsigned)__builtin_popcountll(icpt[w]);
		assert_int_equal(seen, 1);
		assert_true(icpt[id / 64] >> (id % 64) & 1);
	}
}

/* ---- consistency checks ---- */

static struct svm_image template(void)
{
	struct svm_image v;

	memset(&v, 0, sizeof(v));
	v.env = (struct svm_env){
	        .phys_bits = 40,
	        .long_mode = true,
	        .nested_paging = true,
	        .asids = 0x8000,
	        .avic = true,
	        .x2avic = true,
	        .vnmi = true,
	        .cr4_bits = 0x3717ff,
	        .efer_bits = 0xfdff & ~0xf0200ull,
	        .host_cr0 = CR0_PG | CR0_PE,
	};
	v.env.efer_bits = 0xfe | EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME;
	v.control.icpt[3] = 6;
	v.control.icpt[4] = 1;
	v.control.asid = 1;
	v.control.iopm_base_pa = 0x10000;
	v.control.msrpm_base_pa = 0x20000;
	v.control.nested_ctl = NESTED_NP_ENABLE;
	v.control.n_cr3 = 0x30000;
	v.save.g_pat = 0x0007040600070406;
	v.save.efer = EFER_SVME | EFER_LME | EFER_LMA;
	v.save.cr0 = CR0_PE | CR0_PG | CR0_ET;
	v.save.cr4 = CR4_PAE;
	v.save.cr3 = 0x40000;
	v.save.cs.attrib = 0x29b;
	v.save.dr6 = 0xffff0ff0;
	v.save.dr7 = 0x400;
	v.save.rflags = 2;
	return v;
}

/* Each breaks one thing of the template, and one check only. */
/* clang-format off */
#define BREAK(name, code) static void break_##name(struct svm_image *v) { code; }
BREAK(vmrun, v->control.icpt[4] = 0)
BREAK(asid, v->control.asid = 0)
BREAK(asid_range, v->control.asid = 0x8000)
BREAK(smi, (v->env.first = true, v->control.icpt[3] = 2))
BREAK(vnmi, (v->control.vintr = VINTR_NMI_EN, v->control.icpt[3] = 4))
BREAK(x2_alone, v->control.vintr = VINTR_X2AVIC)
BREAK(max_index, (v->control.vintr = VINTR_AVIC, v->control.avic_physical_table = 0x100))
BREAK(avic_backing, (v->control.vintr = VINTR_AVIC, v->control.avic_backing_page = BIT(40)))
BREAK(avic_physical, (v->control.vintr = VINTR_AVIC, v->control.avic_physical_table = BIT(40)))
BREAK(avic_logical, (v->control.vintr = VINTR_AVIC, v->control.avic_logical_table = BIT(51)))
BREAK(iopm, v->control.iopm_base_pa = BIT(40) - 0x2000)
BREAK(iopm_high, v->control.iopm_base_pa = ~0xfffull)
BREAK(msrpm, v->control.msrpm_base_pa = BIT(40) - 0x1000)
BREAK(np_host, v->env.host_cr0 = CR0_PE)
BREAK(ncr3, v->control.n_cr3 = BIT(40))
BREAK(g_pat, v->save.g_pat = 0x0007040600070402)
BREAK(svme, v->save.efer &= ~EFER_SVME)
BREAK(efer, v->save.efer |= BIT(16))
BREAK(efer_high, v->save.efer |= BIT(63))
BREAK(no_lm, v->env.long_mode = false)
BREAK(pae, v->save.cr4 = 0)
BREAK(pe, v->save.cr0 &= ~CR0_PE)
BREAK(l_d, v->save.cs.attrib |= 0x400)
BREAK(nw, v->save.cr0 |= CR0_NW)
BREAK(cr0_high, v->save.cr0 |= BIT(32))
BREAK(cr3, v->save.cr3 |= BIT(52))
BREAK(cr4, v->save.cr4 |= BIT(13))
BREAK(pdpte, v->env.pdpte[3] = 1 | BIT(5))
BREAK(dr6, v->save.dr6 |= BIT(32))
BREAK(dr7, v->save.dr7 |= BIT(63))
BREAK(type1, v->control.eventinj = BIT(31) | 1 << 8)
BREAK(type7, v->control.eventinj = BIT(31) | 7 << 8)
BREAK(nmi_as_exc, v->control.eventinj = BIT(31) | 3 << 8 | 2)
BREAK(exc_32, v->control.eventinj = BIT(31) | 3 << 8 | 32)
BREAK(bound64, v->control.eventinj = BIT(31) | 3 << 8 | 5)
BREAK(into64, v->control.eventinj = BIT(31) | 3 << 8 | 4)

static const struct { const char *id; void (*apply)(struct svm_image *v); const char *req; } breaks[] = {
	{"svm.control.vmrun-intercept", break_vmrun, "svm.2.2.1.112"}, {"svm.control.asid-zero", break_asid,
	 "svm.2.21.1.7"},
	{"svm.control.asid-range", break_asid_range, ""}, {"svm.control.smi-intercept", break_smi, "svm.2.2.1.113"},
	{"svm.control.vnmi-nmi-intercept", break_vnmi, ""}, {"svm.avic.x2avic-alone", break_x2_alone, ""},
	{"svm.avic.max-index", break_max_index, ""}, {"svm.avic.pointer", break_avic_backing, ""},
	{"svm.avic.pointer", break_avic_physical, ""}, {"svm.avic.pointer", break_avic_logical, ""},
	{"svm.control.iopm-address", break_iopm, "svm.2.2.1.118"}, {"svm.control.iopm-address", break_iopm_high, ""},
	{"svm.control.msrpm-address", break_msrpm, "svm.2.2.1.117"}, {"svm.nested.host-paging", break_np_host, ""},
	{"svm.nested.ncr3-reserved", break_ncr3, ""}, {"svm.nested.g-pat", break_g_pat, ""},
	{"svm.guest.efer.svme", break_svme, "svm.2.2.1.97"}, {"svm.guest.efer.reserved", break_efer, ""},
	{"svm.guest.efer.reserved", break_efer_high, ""}, {"svm.guest.efer.no-long-mode", break_no_lm,
	 "svm.2.2.1.107"},
	{"svm.guest.cr4.pae-long", break_pae, "svm.2.2.1.109"}, {"svm.guest.cr0.pe-long", break_pe, "svm.2.2.1.110"},
	{"svm.guest.cs.l-and-d", break_l_d, "svm.2.2.1.111"}, {"svm.guest.cr0.nw-cd", break_nw, "svm.2.2.1.98"},
	{"svm.guest.cr0.upper", break_cr0_high, "svm.2.2.1.99"}, {"svm.guest.cr3.reserved", break_cr3,
	 "svm.2.2.1.100"},
	{"svm.guest.cr4.reserved", break_cr4, ""}, {"svm.guest.pdpte.reserved", break_pdpte, "svm.2.2.1.59"},
	{"svm.guest.dr6.upper", break_dr6, "svm.2.2.1.103"}, {"svm.guest.dr7.upper", break_dr7, "svm.2.2.1.104"},
	{"svm.inject.type", break_type1, "svm.2.2.1.119"}, {"svm.inject.type", break_type7, ""},
	{"svm.inject.vector", break_nmi_as_exc, ""}, {"svm.inject.vector", break_exc_32, ""},
	{"svm.inject.mode", break_bound64, ""}, {"svm.inject.mode", break_into64, ""},
};
/* clang-format on */

static void test_template_passes(void **state)
{
	struct svm_image v = template();

	(void)state;
	assert_null(svm_check_next(&v, svm_checks, ~0u));
	/* paged real mode is legal */
	v.save.efer = EFER_SVME;
	v.save.cr0 = CR0_PG | CR0_ET;
	v.save.cr4 = 0;
	assert_null(svm_check_next(&v, svm_checks, ~0u));
	proves("svm.2.2.1.120");
	/* CD = NW = 1 is legal; the last possible maps are legal; without nested paging its fields are not looked at */
	v.save.cr0 |= CR0_CD | CR0_NW;
	v.control.iopm_base_pa = BIT(40) - 0x3000;
	v.control.msrpm_base_pa = BIT(40) - 0x2000;
	v.control.nested_ctl = 0;
	v.control.n_cr3 = ~0ull;
	v.save.g_pat = ~0ull;
	assert_null(svm_check_next(&v, svm_checks, ~0u));
}

/* What an explanation says must be 0 and 1 of the first field, done. */
static bool mended(const struct svm_check *k, struct svm_image v)
{
	u8 *field = k->field[0] < 0x400 ? (u8 *)&v.control + k->field[0] : (u8 *)&v.save + (k->field[0] - 0x400);
	const u8 width = vmcb_field_at(k->field[0])->width;
	u64 value = svm_field_value(&v, k->field[0]);

	value = (value & ~k->zero) | k->one;
	memcpy(field, &value, width);
	return !k->bad(&v);
}

static void test_checks_alone(void **state)
{
	bool fired[64] = {false};

	(void)state;
	assert_true(svm_check_count < ARRAY_LEN(fired));
	for (size_t n = 0; n < ARRAY_LEN(breaks); n++) {
		struct svm_image good = template(), v = template();
		const struct svm_check *k;

		breaks[n].apply(&v);
		k = svm_check_next(&v, svm_checks, ~0u);
		assert_non_null(k);
		assert_string_equal(k->id, breaks[n].id);
		assert_null(svm_check_next(&v, k + 1, ~0u));
		fired[k - svm_checks] = true;
		if (k->zero | k->one)
			assert_true(mended(k, v));
		if (breaks[n].apply == break_no_lm) /* the processor does not change between two entries */
			continue;
		assert_true(svm_check_groups(&v, &good) >> k->group & 1);
	}
	for (size_t n = 0; n < svm_check_count; n++)
		if (!fired[n])
			fail_msg("no test breaks %s", svm_checks[n].id);
}

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A predicate's answer does not depend on what is not in its field list. */
static void test_checks_read_only_their_fields(void **state)
{
	u64 seed = 88172645463325252ull;

	(void)state;
	drawn_begin();
	for (unsigned round = 0; round < 2000; round++) {
		struct svm_image v = template(), noise = template();

		breaks[round % ARRAY_LEN(breaks)].apply(&v);
		for (size_t b = 0; b < offsetof(struct svm_image, env); b++)
			((u8 *)&noise)[b] = (u8)next_random(&seed);
		noise.env = v.env;
		for (size_t n = 0; n < svm_check_count; n++) {
			struct svm_image mixed = noise;

			for (unsigned f = 0; f < SVM_CHECK_FIELDS && svm_checks[n].field[f] != 0xffff; f++) {
				unsigned off = svm_checks[n].field[f];
				size_t at = off < 0x400 ? off : offsetof(struct svm_image, save) + off - 0x400;

				assert_non_null(vmcb_field_at(off));
				memcpy((u8 *)&mixed + at, (u8 *)&v + at, vmcb_field_at(off)->width);
			}
			if (svm_checks[n].bad(&mixed) != svm_checks[n].bad(&v))
				fail_msg("%s reads more than its fields", svm_checks[n].id);
		}
	}
	drawn_end(2000);
}

/* ---- the edge ---- */

static void test_event_forms(void **state)
{
	static const u64 info[] = {
	        0x80000020,
	        0x80000202,
	        0x80000301,
	        0x1234567880000b0eull,
	        0x80000480,
	        0x80000303,
	        0xb0dull << 0 | 0x80000000,
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(info); n++) {
		struct event e = svm_event_from_intinfo(info[n], 2);

		assert_int_equal(svm_intinfo_from_event(&e), info[n]);
	}
	/* INT1 counts as an exception; nothing is nothing */
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_PRIVSW, .vector = 1}), 0x80000301);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_NONE}), 0);
	assert_int_equal(svm_event_from_intinfo(0x80000303, 1).type, EV_SWEX);
	assert_int_equal(svm_event_from_intinfo(0x80000303, 1).insn_len, 1);
}

static void test_segment_forms(void **state)
{
	struct vmcb_seg in = {.sel = 0x10, .attrib = 0xc93, .limit = 0xffffffff, .base = 0x12345678}, out;
	struct seg s = svm_seg_load(&in, SEG_DS, 48);

	(void)state;
	assert_int_equal(s.ar, AR_G | AR_DB | AR_P | AR_S | 3);
	out = svm_seg_save(&s);
	assert_memory_equal(&in, &out, sizeof(in));
	in.attrib = 0;
	s = svm_seg_load(&in, SEG_DS, 48);
	assert_true(s.ar & AR_UNUSABLE);
	proves("svm.2.2.1.79");
	out = svm_seg_save(&s);
	assert_false(out.attrib & 0x80);
	proves("svm.2.2.1.90");
	in.base = BIT(47);
	assert_int_equal(svm_seg_load(&in, SEG_FS, 48).base, 0xffff800000000000ull);
	proves("svm.2.2.1.122");
	assert_int_equal(svm_seg_load(&in, SEG_FS, 57).base, BIT(47));
	assert_true(svm_seg_load(&in, SEG_CS, 48).ar & AR_P);
	proves("svm.2.2.1.81");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_layout),
	        cmocka_unit_test(test_field_table),
	        cmocka_unit_test(test_exit_codes),
	        cmocka_unit_test(test_compile),
	        cmocka_unit_test(test_template_passes),
	        cmocka_unit_test(test_checks_alone),
	        cmocka_unit_test(test_checks_read_only_their_fields),
	        cmocka_unit_test(test_event_forms),
	        cmocka_unit_test(test_segment_forms),
	};

	return cmocka_run_group_tests_name("svm", tests, NULL, NULL);
}
