/* The table of functions that the processor calls, and those of them that are about nothing else. */
#include "svm/svm.h"

/* EFER.SVME is reserved while VM_CR.SVMDIS is set; nothing else is restricted. */
static bool control_ok(const struct cpu *c, enum control_register which, u64 value)
{
	if (likely(which != CONTROL_EFER || !(value & EFER_SVME) || !(c->vm_cr & VM_CR_SVMDIS)))
		return true;
	return svm_refuse_msr(c->all[c->index], SVM_EFER_SVMDIS, value, EFER_SVME);
}

static bool a20_blocked(const struct cpu *c)
{
	return c->vm_cr & VM_CR_DIS_A20M;
}

/* ---- life ---- */

static u64 block_at(const struct cpu *c)
{
	return c->virt_state ? svm_of(c)->vmcb_pa : UINT64_MAX;
}

static enum status init(struct cpu *c)
{
	c->virt_state = base_alloc(sizeof(struct svm));
	return c->virt_state ? ST_OK : ST_NOMEM;
}

static void fini(struct cpu *c)
{
	base_free(c->virt_state);
	c->virt_state = NULL;
}

/* Whose VMCBs have run is not known any more. */
static void loaded(struct cpu *c)
{
	memset(svm_of(c)->last, 0, sizeof(svm_of(c)->last));
	svm_of(c)->forgot = true;
}

static void reset(struct cpu *c, bool is_init)
{
	/* "Action of INIT" clears VM_CR; "SVM-Lock": but not what is locked */
	c->vm_cr &= is_init && (c->vm_cr & VM_CR_LOCK) ? VM_CR_LOCK | VM_CR_SVMDIS : 0;
	svm_secure_start_check(c);
	memset(c->virt_state, 0, sizeof(struct svm));
	svm_of(c)->cached_pa = ~0ull;
	svm_of(c)->forgot = is_init; /* memory stays */
	c->gif = true;
	if (is_init)
		return;
	c->vm_hsave_pa = c->svm_key = c->smm_key = 0;
	c->tsc_ratio = BIT(32);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct svm, vmcb_pa), STATE(2, struct svm, vintr), STATE(3, struct svm, pause_left),
	STATE(4, struct svm, pause_last), STATE(5, struct svm, host), STATE(6, struct svm, cur),
	STATE(7, struct svm, nested), STATE(8, struct svm, injecting), STATE(9, struct svm, good),
	STATE_ARRAY(10, struct svm, image), STATE(11, struct svm, recheck), STATE(12, struct svm, cached_pa),
	STATE(13, struct svm, avic), STATE(14, struct svm, avic_written), STATE(15, struct svm, bus_locks),
	STATE(16, struct svm, pml_index), STATE(17, struct svm, avic_pending), STATE(18, struct svm, secure_start),
	STATE(19, struct svm, behind), STATE(20, struct svm, host_space),
};
/* clang-format on */

static const char *check_id(size_t n)
{
	if (n < svm_check_count)
		return svm_checks[n].id;
	n -= svm_check_count;
	if (n < SVM_CAUSES)
		return svm_causes[n].id;
	n -= SVM_CAUSES;
	if (n < SVM_PAGING_CAUSES)
		return svm_paging_checks[n].id;
	n -= SVM_PAGING_CAUSES;
	return n ? NULL : svm_host_check.id;
}

const struct virt_ops svm_ops = {
        .name = "svm",
        .block = "VMCB",
        .block_in_memory = true,
        .block_at = block_at,
        .fields = svm_fields,
        .fields_at = svm_fields_at,
        .decode = svm_words,
        .view = svm_view,
        .changed = svm_changed,
        .check_id = check_id,
        .exit_told = svm_exit_told,
        .exit_at = svm_exit_at,
        .life = {
                .init = init,
                .fini = fini,
                .reset = reset,
                .loaded = loaded,
                .rows = rows,
                .row_count = ARRAY_LEN(rows),
        },
        .rules = {
                .init = svm_init_answer,
                .started = svm_started,
                .a20_blocked = a20_blocked,
                .control_ok = control_ok,
        },
        .smm = {
                .smi = virt_goes_on,
                .enter = svm_smm_enter,
                .leave = svm_smm_leave,
                .rsm = virt_rsm_runs,
        },
        .guest = {
                .intercept = svm_intercept,
                .undefined = virt_all_defined,
                .io = svm_io,
                .msr = svm_msr,
                .msr_virtual = svm_avic_msr,
                .cr_write = svm_cr_write,
                .cr_read = virt_own_value,
                .event = svm_event,
                .bus_lock = svm_bus_lock,
                .completed = svm_avic_trap,
                .shutdown = svm_shutdown,
                .shutdown_code = 0x7f,
                .exit = svm_exit,
        },
        .memory = {
                .stage2 = svm_stage2,
                .page_trap = svm_avic_access,
                .flushed = virt_shares_nothing,
                .steps = svm_stage2_steps,
        },
        .irq = {
                .virq_ready = svm_virq_ready,
                .virq_take = svm_virq_take,
                .vnmi_ready = svm_vnmi_ready,
                .vnmi_take = svm_vnmi_take,
                .cr8_read = svm_cr8_read,
                .cr8_write = svm_cr8_write,
                .intr = virt_intr_exits,
                .intr_masked = svm_intr_masked,
                .nmi_masked = virt_as_ever,
                .iret_keeps_nmi = virt_never,
                .iret_done = svm_iret_done,
                .mwait_passes = virt_never,
        },
        .time = {
                .tsc = svm_tsc,
                .delay = virt_unscaled,
                .mperf = svm_mperf,
        },
};
