/*
 * What RESET and INIT leave, register by register: "Reset Values" and "Action of INIT" of 33047 for what SVM adds,
 * "Initial Processor State" of APM 2 for the rest. Every register holds something else before. The table below has
 * each register of a processor, so that a new one cannot be forgotten: a row of the state tables that is not in it
 * fails.
 */
#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

#define KEPT 0xfeed0000cafe0001ull /* as it was */
#define ANY  0xfeed0000cafe0002ull /* no register: the simulator's own, or dead in the state that results */
#define FMS  0xfeed0000cafe0003ull /* family, model and stepping */

struct want {
	const char *name; /* of the row */
	u64 reset, init;
};
#define SEGMENT(name, sel, base, limit, ar)                                                                            \
	{name ".sel", sel, sel}, {name ".base", base, base}, {name ".limit", limit, limit}, {name ".ar", ar, ar}
#define BOTH(name, value) {name, value, value}
#define STAYS(name, value) {name, value, KEPT}

enum { DATA_AR = 0x93, CODE_AR = 0x9b, LDT_AR = 0x82, TSS_AR = 0x8b };

/* clang-format off */
static const struct want processor[] = {
	BOTH("rax", 0), BOTH("rcx", 0), BOTH("rdx", FMS), BOTH("rbx", 0), BOTH("rsp", 0), BOTH("rbp", 0),
	BOTH("rsi", 0), BOTH("rdi", 0), BOTH("r8", 0), BOTH("r9", 0), BOTH("r10", 0), BOTH("r11", 0), BOTH("r12", 0),
	BOTH("r13", 0), BOTH("r14", 0), BOTH("r15", 0), BOTH("rip", 0xfff0), BOTH("rflags", 2),
	SEGMENT("es", 0, 0, 0xffff, DATA_AR), SEGMENT("ss", 0, 0, 0xffff, DATA_AR),
	SEGMENT("ds", 0, 0, 0xffff, DATA_AR), SEGMENT("fs", 0, 0, 0xffff, DATA_AR),
	SEGMENT("gs", 0, 0, 0xffff, DATA_AR), SEGMENT("cs", 0xf000, 0xffff0000, 0xffff, CODE_AR),
	SEGMENT("ldtr", 0, 0, 0xffff, LDT_AR), SEGMENT("tr", 0, 0, 0xffff, TSS_AR), BOTH("gdtr.base", 0),
	BOTH("gdtr.limit", 0xffff), BOTH("idtr.base", 0), BOTH("idtr.limit", 0xffff),
	/* CR0 at INIT: CD and NW stay; they are 1 and 0 here */
	{"cr0", 0x60000010, 0x40000010},
	BOTH("cr2", 0), BOTH("cr3", 0), BOTH("cr4", 0), BOTH("efer", 0), BOTH("pdpte", ANY), BOTH("dr0", 0),
	BOTH("dr1", 0), BOTH("dr2", 0), BOTH("dr3", 0), BOTH("dr6", 0xffff0ff0), BOTH("dr7", 0x400), BOTH("cpl", 0),
	BOTH("activity", ACT_RUN), BOTH("shadow", 0), BOTH("sipi_vector", ANY), BOTH("nmi_blocked", 0),
	BOTH("gif", 1), BOTH("smm", 0), BOTH("smi_blocked", 0), BOTH("smm_nmi", 0), BOTH("smm_db", 0), BOTH("smm_shutdown", 0), BOTH("smm_pdpte", 0), STAYS("smi_count", 0), STAYS("smm_addr", 0),
	STAYS("smm_mask", 0), STAYS("smrr_base", 0), STAYS("smrr_mask", 0), BOTH("smi_io", 0),
	STAYS("smbase", 0x30000), BOTH("halted_by_mwait_if", 0), {"pend", 0, PEND_SIPI}, BOTH("pending_db", 0),
	/* x87, SSE and what came after: INIT leaves them */
	STAYS("xcr0", 1), STAYS("xss", 0), STAYS("v", 0), STAYS("mxcsr", 0x1f80), STAYS("fpu.cw", 0x40),
	STAYS("fpu.sw", 0), STAYS("fpu.top", 0), STAYS("fpu.op", 0), STAYS("fpu.tag", 0xff), STAYS("fpu.ip", 0),
	STAYS("fpu.dp", 0), STAYS("fpu.cs", 0), STAYS("fpu.ds", 0), STAYS("fpu.st", 0), STAYS("pkru", 0),
	/* MSRs */
	STAYS("star", 0), STAYS("lstar", 0), STAYS("cstar", 0), STAYS("sfmask", 0), STAYS("kernel_gs_base", 0),
	STAYS("sysenter_cs", 0), STAYS("sysenter_esp", 0), STAYS("sysenter_eip", 0), STAYS("pat", 0x0007040600070406),
	STAYS("tsc_adjust", 0), STAYS("tsc_aux", 0), BOTH("misc_enable", ANY), BOTH("feature_control", ANY),
	BOTH("umwait_control", ANY), BOTH("lbr_tos", ANY) /* Intel's */, STAYS("spec_ctrl", 0), STAYS("debugctl", 0),
	STAYS("lbr_from", 0), STAYS("lbr_to", 0), STAYS("lex_from", 0), STAYS("lex_to", 0),
	STAYS("lbr_stack_from", 0), STAYS("lbr_stack_to", 0), STAYS("lbr_select", 0),
	STAYS("tsc_offset", 0) /* the clock stands at 0 here */, STAYS("mtrr.def_type", 0), STAYS("mtrr.fixed", ANY),
	STAYS("mtrr.base", ANY), STAYS("mtrr.mask", ANY) /* undefined while off */, STAYS("mcg_status", 0),
	STAYS("mcg_ctl", 0), BOTH("mc_bank", KEPT) /* a warm reset keeps it */, STAYS("perf_ctr", 0),
	STAYS("perf_sel", 0), STAYS("perf_fixed", 0), STAYS("perf_fixed_ctrl", 0), STAYS("perf_global_ctrl", 0x3f),
	STAYS("perf_global_status", 0), STAYS("syscfg", 0), STAYS("top_mem", 0), STAYS("top_mem2", 0),
	STAYS("osvw", 0),
	STAYS("hwcr", BIT(24) | BIT(4)) /* TscFreqSel, INVDWBINVD: as BIOS and Kernel Developer's Guides have it */,
	STAYS("msr_misc", ANY) /* each with a row of its own in the model */, BOTH("vm_cr", 0),
	STAYS("vm_hsave_pa", 0), STAYS("svm_key", 0), STAYS("tsc_ratio", BIT(32)), STAYS("ignne_msr", 0),
	STAYS("smm_key", 0), STAYS("io_trap", 0), STAYS("io_trap_ctl", 0),
	/* waits, and what is not a register */
	BOTH("monitor_addr", UINT64_MAX), BOTH("wake_at", UINT64_MAX), BOTH("rng", ANY), BOTH("insns", ANY),
	BOTH("guest_insns", ANY), BOTH("exits", ANY), BOTH("perf.base", ANY), BOTH("perf.level", ANY),
	BOTH("perf.guest", ANY), BOTH("perf.on", ANY), BOTH("perf.by_form", ANY), BOTH("perf.form", ANY),
	BOTH("perf.form_base", ANY),
	/* virtualisation: no guest, ASID 0, no intercepts, no nested paging, no injected event */
	BOTH("guest", 0), BOTH("virt_root", 0), BOTH("stage2", 0), BOTH("space", 0), BOTH("icpt", 0), BOTH("mtf", 0),
	BOTH("pdpte_on_demand", 0), BOTH("trap_page", ~0ull), BOTH("inject.type", EV_NONE),
	BOTH("inject.vector", ANY), BOTH("inject.has_error", ANY), BOTH("inject.insn_len", ANY),
	BOTH("inject.error", ANY), BOTH("inject.payload", ANY), BOTH("lock_exits", 0), BOTH("bus_lock", 0),
	BOTH("guest_since", UINT64_MAX), BOTH("mc_fatal", 0), STAYS("ferr", 0), BOTH("ignne", KEPT) /* a pin */,
};
/* INIT and RESET of the local APIC differ by its base register and its ID. */
static const struct want lapic[] = {
	STAYS("base", 0xfee00900), BOTH("id", KEPT) /* wired */, STAYS("xapic_id", 0), BOTH("ldr", 0),
	BOTH("dfr", ~0u), BOTH("svr", 0xff), BOTH("tpr", 0), BOTH("esr", 0), BOTH("esr_pending", 0),
	BOTH("icr_hi", 0), BOTH("icr_lo", 0), BOTH("lvt", 0x10000), BOTH("irr", 0), BOTH("isr", 0), BOTH("tmr", 0),
	BOTH("timer_init", 0), BOTH("timer_div", 0), BOTH("timer_start", 0), BOTH("tsc_deadline", 0),
	BOTH("ext_ctrl", 0), BOTH("ext_ier", ~0u), BOTH("ext_lvt", 0x10000), BOTH("extint", 0), BOTH("extint_msg", 0),
	BOTH("lint_level", KEPT) /* pins */, BOTH("timer_expired", 0), BOTH("version", ANY),
};
/* What VMRUN began: V_IRQ and V_INTR_MASKING are in vintr, TSC_OFFSET is in the image. */
static const struct want svm[] = {
	BOTH("vmcb_pa", 0), BOTH("vintr", 0), BOTH("pause_left", 0), BOTH("pause_last", 0), BOTH("host", 0),
	BOTH("cur", 0), BOTH("nested", 0), BOTH("injecting", 0), BOTH("good", 0), BOTH("image", 0),
	BOTH("recheck", 0), BOTH("cached_pa", ~0ull), BOTH("avic", 0), BOTH("avic_written", 0), BOTH("bus_locks", 0),
	BOTH("pml_index", 0), BOTH("avic_pending", 0), BOTH("secure_start", 0), BOTH("behind", 0), BOTH("host_space", 0),
};
/* clang-format on */

static const struct table {
	const char *what;
	const struct want *want;
	size_t wants;
} tables[] = {
        {"processor", processor, ARRAY_LEN(processor)},
        {"local APIC", lapic, ARRAY_LEN(lapic)},
        {"SVM", svm, ARRAY_LEN(svm)},
};

/* The state behind table n: its rows, and where they lie. */
static const struct state_row *rows_of(struct cpu *c, size_t n, size_t *count, u8 **owner)
{
	*count = n == 0 ? cpu_row_count : n == 1 ? apic_row_count : c->virt->life.row_count;
	*owner = n == 0 ? (u8 *)c : n == 1 ? (u8 *)&c->apic : c->virt_state;
	return n == 0 ? cpu_rows : n == 1 ? apic_rows : c->virt->life.rows;
}

static const struct want *wanted(const struct table *t, const char *name)
{
	for (size_t k = 0; k < t->wants; k++)
		if (!strcmp(t->want[k].name, name))
			return &t->want[k];
	return NULL;
}

/* ---- dirt ---- */

/* Bytes are flags and small numbers, for which 1 will do; everything else gets a pattern. */
static void dirty(struct cpu *c)
{
	for (size_t n = 0; n < ARRAY_LEN(tables); n++) {
		size_t count;
		u8 *owner;
		const struct state_row *r = rows_of(c, n, &count, &owner);

		for (size_t k = 0; k < count; k++)
			memset(owner + r[k].offset, r[k].width == 1 ? 1 : 0x5a, (size_t)r[k].width * r[k].count);
	}
	/* what would not come out different, or could not be */
	c->gif = false;
	c->cr0 = CR0_PE | CR0_PG | CR0_CD | CR0_NE | CR0_WP;
	c->pend = PEND_SMI | PEND_INIT | PEND_SIPI | PEND_NMI | PEND_DB | PEND_VIRQ | PEND_INTR;
	c->vm_cr = VM_CR_SECURE | VM_CR_SVMDIS;
	c->hwcr = 0;
	c->apic.base = 0xfed00900;
	c->apic.id = 0;
	c->apic.version = 0;
	c->perf.on = c->perf.by_form = 0;
	svm_of(c)->cur = svm_of(c)->avic = 0;
}

/* ---- comparison ---- */

static unsigned wrongs;
#define wrong(...) (wrongs++, print_error(__VA_ARGS__), print_error("\n"))

static bool element_is(const u8 *got, unsigned width, u64 value)
{
	u64 v = 0;

	if (width <= sizeof(v)) {
		memcpy(&v, got, width);
		return v == (width == 8 ? value : value & ((1ull << 8 * width) - 1));
	}
	for (unsigned n = 0; n < width; n++) /* a structure: all zero */
		if (got[n])
			return false;
	return value == 0;
}

static void compare(const struct cpu *c, const char *what, const struct state_row *r, const u8 *got, const u8 *before,
                    u64 value)
{
	u32 signature = c->model->signature;
	size_t size = (size_t)r->width * r->count;

	if (value == ANY)
		return;
	if (value == KEPT) {
		if (memcmp(got, before, size) != 0)
			wrong("%s: %s has changed", what, r->name);
		return;
	}
	for (u32 n = 0; n < r->count; n++) {
		const u8 *at = got + (size_t)n * r->width;

		if (!element_is(at, r->width, value == FMS ? signature : value))
			wrong("%s: %s[%u] is %02x%02x%02x%02x..., expected 0x%llx", what, r->name, n, at[0],
			      r->width > 1 ? at[1] : 0, r->width > 2 ? at[2] : 0, r->width > 3 ? at[3] : 0,
			      (unsigned long long)value);
	}
}

static void everything(const char *model, bool init)
{
	struct pc *p = pc_new(model);
	struct cpu *c = p->c;
	u8 *copy[ARRAY_LEN(tables)];
	size_t size[] = {sizeof(struct cpu), sizeof(struct lapic), sizeof(struct svm)}, count;
	u8 *owner;

	dirty(c);
	for (size_t n = 0; n < ARRAY_LEN(tables); n++) {
		rows_of(c, n, &count, &owner);
		copy[n] = malloc(size[n]);
		assert_non_null(copy[n]);
		memcpy(copy[n], owner, size[n]);
	}
	cpu_reset(c, init);
	for (size_t n = 0; n < ARRAY_LEN(tables); n++) {
		const struct state_row *r = rows_of(c, n, &count, &owner);

		for (size_t k = 0; k < count; k++) {
			const struct want *w = wanted(&tables[n], r[k].name);

			if (!w)
				fail_msg("%s: no word about %s after RESET and INIT", tables[n].what, r[k].name);
			compare(c, init ? "INIT" : "RESET", &r[k], owner + r[k].offset, copy[n] + r[k].offset,
			        init ? w->init : w->reset);
		}
		free(copy[n]);
	}
	assert_int_equal(wrongs, 0);
	pc_free(p);
}

static void test_reset(void **state)
{
	(void)state;
	everything("amd", false);
	everything("pacifica", false);
	proves("svm.A.1.1 svm.A.1.2 svm.A.1.3 svm.A.1.4 svm.A.1.5 svm.A.1.6 svm.A.1.7 svm.A.1.8 svm.A.1.9 svm.A.1.11");
}

static void test_init(void **state)
{
	(void)state;
	everything("amd", true);
	everything("pacifica", true);
	proves("svm.A.2.4 svm.A.2.5 svm.A.2.6 svm.A.2.7 svm.A.2.8 svm.A.2.9 svm.A.2.10 svm.A.2.11 svm.A.2.12 "
	       "svm.A.2.14 svm.2.17.8.2 svm.2.17.8.3 svm.2.17.8.5 svm.2.17.8.6");
}

/* "SVM-Lock": INIT leaves what is locked, RESET does not. */
static void test_locked(void **state)
{
	(void)state;
	for (unsigned locked = 0; locked < 2; locked++) {
		struct pc *p = pc_new("amd");
		u64 lock = locked ? VM_CR_LOCK : 0;

		p->c->vm_cr = VM_CR_SECURE | VM_CR_SVMDIS | lock;
		p->c->svm_key = 0x1234;
		cpu_reset(p->c, true);
		assert_int_equal(p->c->vm_cr, locked ? VM_CR_LOCK | VM_CR_SVMDIS : 0);
		assert_int_equal(p->c->svm_key, 0x1234);
		p->c->vm_cr = VM_CR_SECURE | VM_CR_SVMDIS | lock;
		cpu_reset(p->c, false);
		assert_int_equal(p->c->vm_cr, 0);
		assert_int_equal(p->c->svm_key, 0);
		pc_free(p);
	}
	proves("svm.A.1.5 svm.A.2.8");
}

/* Every MSR that can be read, by number: INIT leaves them, but for those that the tables have at another value. */
static void test_msrs(void **state)
{
	static const u32 runs[][2] = {{0, 0x2000}, {0xc0000000, 0xc0002000}, {0xc0010000, 0xc0012000}};

	(void)state;
	for (size_t m = 0; m < 2; m++) {
		struct pc *p = pc_new(m ? "pacifica" : "amd");
		struct cpu *c = p->c;
		u64 *before = calloc(3 * 0x2000, sizeof(*before)), v;
		unsigned kept = 0;

		assert_non_null(before);
		for (size_t n = 0; n < 3 * 0x2000; n++)
			if (!msr_read(c, runs[n >> 13][0] + (u32)(n & 0x1fff), &before[n]))
				before[n] = ANY;
		cpu_reset(c, true);
		for (size_t n = 0; n < 3 * 0x2000; n++) {
			u32 index = runs[n >> 13][0] + (u32)(n & 0x1fff);
			bool changes = index == 0xc0000080 || index == 0xc0000100 || index == 0xc0000101;

			if (before[n] == ANY || changes)
				continue;
			assert_true(msr_read(c, index, &v));
			if (v != before[n])
				fail_msg("MSR 0x%x: 0x%llx before INIT, 0x%llx behind it", index,
				         (unsigned long long)before[n], (unsigned long long)v);
			kept++;
		}
		assert_true(kept > 100);
		free(before);
		pc_free(p);
	}
	proves("svm.2.17.8.3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_reset),
	        cmocka_unit_test(test_init),
	        cmocka_unit_test(test_locked),
	        cmocka_unit_test(test_msrs),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
