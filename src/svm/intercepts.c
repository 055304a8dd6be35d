/*
 * The intercept table: intercept, exit code (the bit's number in the intercept words), name, information fields,
 * next-RIP save ("Intercept Exit Codes", "Nested and Next RIP"), and the decisions that a flat bit alone does not
 * settle.
 */
#include "cpu/exec/exec.h"
#include "svm/svm.h"

/* clang-format off */
#define SIXTEEN(X, id, code, pre, post, info, nrip) \
	X(id + 0, code + 0, pre "0" post, info, nrip)   X(id + 1, code + 1, pre "1" post, info, nrip) \
	X(id + 2, code + 2, pre "2" post, info, nrip)   X(id + 3, code + 3, pre "3" post, info, nrip) \
	X(id + 4, code + 4, pre "4" post, info, nrip)   X(id + 5, code + 5, pre "5" post, info, nrip) \
	X(id + 6, code + 6, pre "6" post, info, nrip)   X(id + 7, code + 7, pre "7" post, info, nrip) \
	X(id + 8, code + 8, pre "8" post, info, nrip)   X(id + 9, code + 9, pre "9" post, info, nrip) \
	X(id + 10, code + 10, pre "10" post, info, nrip) X(id + 11, code + 11, pre "11" post, info, nrip) \
	X(id + 12, code + 12, pre "12" post, info, nrip) X(id + 13, code + 13, pre "13" post, info, nrip) \
	X(id + 14, code + 14, pre "14" post, info, nrip) X(id + 15, code + 15, pre "15" post, info, nrip)
#define EXC(X, n, name) X(ICPT_EXC + n, 0x40 + n, "VMEXIT_EXCP" name, INFO_EXC, false)

#define ROWS(X) \
	SIXTEEN(X, ICPT_CR0_READ, 0x00, "VMEXIT_CR", "_READ", INFO_VALUE, true) \
	SIXTEEN(X, ICPT_CR0_WRITE, 0x10, "VMEXIT_CR", "_WRITE", INFO_VALUE, true) \
	SIXTEEN(X, ICPT_DR0_READ, 0x20, "VMEXIT_DR", "_READ", INFO_VALUE, true) \
	SIXTEEN(X, ICPT_DR0_WRITE, 0x30, "VMEXIT_DR", "_WRITE", INFO_VALUE, true) \
	SIXTEEN(X, ICPT_EXC, 0x40, "VMEXIT_EXCP", "", INFO_EXC, false) \
	EXC(X, 16, "16") EXC(X, 17, "17") EXC(X, 18, "18") EXC(X, 19, "19") EXC(X, 20, "20") EXC(X, 21, "21") \
	EXC(X, 22, "22") EXC(X, 23, "23") EXC(X, 24, "24") EXC(X, 25, "25") EXC(X, 26, "26") EXC(X, 27, "27") \
	EXC(X, 28, "28") EXC(X, 29, "29") EXC(X, 30, "30") EXC(X, 31, "31") \
	X(ICPT_INTR,          0x60, "VMEXIT_INTR",          INFO_NONE,  false) \
	X(ICPT_NMI,           0x61, "VMEXIT_NMI",           INFO_NONE,  false) \
	X(ICPT_SMI,           0x62, "VMEXIT_SMI",           INFO_VALUE, false) \
	X(ICPT_INIT,          0x63, "VMEXIT_INIT",          INFO_NONE,  false) \
	X(ICPT_VINTR,         0x64, "VMEXIT_VINTR",         INFO_NONE,  false) \
	X(ICPT_CR0_SEL_WRITE, 0x65, "VMEXIT_CR0_SEL_WRITE", INFO_VALUE, true)  \
	X(ICPT_IDTR_READ,     0x66, "VMEXIT_IDTR_READ",     INFO_NONE,  true)  \
	X(ICPT_GDTR_READ,     0x67, "VMEXIT_GDTR_READ",     INFO_NONE,  true)  \
	X(ICPT_LDTR_READ,     0x68, "VMEXIT_LDTR_READ",     INFO_NONE,  true)  \
	X(ICPT_TR_READ,       0x69, "VMEXIT_TR_READ",       INFO_NONE,  true)  \
	X(ICPT_IDTR_WRITE,    0x6a, "VMEXIT_IDTR_WRITE",    INFO_NONE,  true)  \
	X(ICPT_GDTR_WRITE,    0x6b, "VMEXIT_GDTR_WRITE",    INFO_NONE,  true)  \
	X(ICPT_LDTR_WRITE,    0x6c, "VMEXIT_LDTR_WRITE",    INFO_NONE,  true)  \
	X(ICPT_TR_WRITE,      0x6d, "VMEXIT_TR_WRITE",      INFO_NONE,  true)  \
	X(ICPT_RDTSC,         0x6e, "VMEXIT_RDTSC",         INFO_NONE,  true)  \
	X(ICPT_RDPMC,         0x6f, "VMEXIT_RDPMC",         INFO_NONE,  true)  \
	X(ICPT_PUSHF,         0x70, "VMEXIT_PUSHF",         INFO_NONE,  true)  \
	X(ICPT_POPF,          0x71, "VMEXIT_POPF",          INFO_NONE,  true)  \
	X(ICPT_CPUID,         0x72, "VMEXIT_CPUID",         INFO_NONE,  true)  \
	X(ICPT_RSM,           0x73, "VMEXIT_RSM",           INFO_NONE,  true)  \
	X(ICPT_IRET,          0x74, "VMEXIT_IRET",          INFO_NONE,  true)  \
	X(ICPT_SWINT,         0x75, "VMEXIT_SWINT",         INFO_VALUE, true)  \
	X(ICPT_INVD,          0x76, "VMEXIT_INVD",          INFO_NONE,  true)  \
	X(ICPT_PAUSE,         0x77, "VMEXIT_PAUSE",         INFO_NONE,  true)  \
	X(ICPT_HLT,           0x78, "VMEXIT_HLT",           INFO_NONE,  true)  \
	X(ICPT_INVLPG,        0x79, "VMEXIT_INVLPG",        INFO_VALUE, true)  \
	X(ICPT_INVLPGA,       0x7a, "VMEXIT_INVLPGA",       INFO_NONE,  true)  \
	X(ICPT_IOIO,          0x7b, "VMEXIT_IOIO",          INFO_VALUE, true)  \
	X(ICPT_MSR,           0x7c, "VMEXIT_MSR",           INFO_VALUE, true)  \
	X(ICPT_TASK_SWITCH,   0x7d, "VMEXIT_TASK_SWITCH",   INFO_TASK,  false) \
	X(ICPT_FERR_FREEZE,   0x7e, "VMEXIT_FERR_FREEZE",   INFO_NONE,  false) \
	X(ICPT_SHUTDOWN,      0x7f, "VMEXIT_SHUTDOWN",      INFO_NONE,  false) \
	X(ICPT_VMRUN,         0x80, "VMEXIT_VMRUN",         INFO_NONE,  true)  \
	X(ICPT_VMMCALL,       0x81, "VMEXIT_VMMCALL",       INFO_NONE,  true)  \
	X(ICPT_VMLOAD,        0x82, "VMEXIT_VMLOAD",        INFO_NONE,  true)  \
	X(ICPT_VMSAVE,        0x83, "VMEXIT_VMSAVE",        INFO_NONE,  true)  \
	X(ICPT_STGI,          0x84, "VMEXIT_STGI",          INFO_NONE,  true)  \
	X(ICPT_CLGI,          0x85, "VMEXIT_CLGI",          INFO_NONE,  true)  \
	X(ICPT_SKINIT,        0x86, "VMEXIT_SKINIT",        INFO_NONE,  true)  \
	X(ICPT_RDTSCP,        0x87, "VMEXIT_RDTSCP",        INFO_NONE,  true)  \
	X(ICPT_ICEBP,         0x88, "VMEXIT_ICEBP",         INFO_NONE,  true)  \
	X(ICPT_WBINVD,        0x89, "VMEXIT_WBINVD",        INFO_NONE,  true)  \
	X(ICPT_MONITOR,       0x8a, "VMEXIT_MONITOR",       INFO_NONE,  true)  \
	X(ICPT_MWAIT,         0x8b, "VMEXIT_MWAIT",         INFO_NONE,  true)  \
	X(ICPT_MWAIT_ARMED,   0x8c, "VMEXIT_MWAIT_CONDITIONAL", INFO_NONE, true) \
	X(ICPT_XSETBV,        0x8d, "VMEXIT_XSETBV",        INFO_NONE,  true)  \
	X(ICPT_RDPRU,         0x8e, "VMEXIT_RDPRU",         INFO_NONE,  true)  \
	X(ICPT_EFER_WRITE_TRAP, 0x8f, "VMEXIT_EFER_WRITE_TRAP", INFO_VALUE, false) \
	SIXTEEN(X, ICPT_CR0_WRITE_TRAP, 0x90, "VMEXIT_CR", "_WRITE_TRAP", INFO_VALUE, false) \
	X(ICPT_INVLPGB,       0xa0, "VMEXIT_INVLPGB",       INFO_NONE,  true)  \
	X(ICPT_INVLPGB_ILLEGAL, 0xa1, "VMEXIT_INVLPGB_ILLEGAL", INFO_NONE, true) \
	X(ICPT_INVPCID,       0xa2, "VMEXIT_INVPCID",       INFO_VALUE, true)  \
	X(ICPT_MCOMMIT,       0xa3, "VMEXIT_MCOMMIT",       INFO_NONE,  true)  \
	X(ICPT_TLBSYNC,       0xa4, "VMEXIT_TLBSYNC",       INFO_NONE,  true)  \
	X(ICPT_BUSLOCK,       0xa5, "VMEXIT_BUSLOCK",       INFO_NONE,  false) \
	X(ICPT_IDLE_HLT,      0xa6, "VMEXIT_IDLE_HLT",      INFO_NONE,  true)

#define ROW(id, code, text, info_, nrip_) [code] = {.name = text, .icpt = id, .info = info_, .nrip = nrip_},
const struct svm_exit_row svm_exit_rows[SVM_EXIT_ROWS] = { ROWS(ROW) };
#undef ROW

/* Exit code + 1 by intercept; 0: this vendor has no such intercept. */
#define ROW(id, code, text, info_, nrip_) [id] = (code) + 1,
static const u16 code_of[ICPT_COUNT] = {
	ROWS(ROW) [ICPT_STAGE2] = EXITCODE_NPF + 1, [ICPT_APIC_WRITE] = EXITCODE_AVIC_INCOMPLETE_IPI + 1,
	[ICPT_APIC_ACCESS] = EXITCODE_AVIC_NOACCEL + 1, [ICPT_PML_FULL] = EXITCODE_PML_FULL + 1,
};
#undef ROW
/* clang-format on */

static const struct svm_exit_row npf_row = {.name = "VMEXIT_NPF", .icpt = ICPT_STAGE2, .info = INFO_NPF};
static const struct svm_exit_row ipi_row = {
	.name = "VMEXIT_AVIC_INCOMPLETE_IPI", .icpt = ICPT_APIC_WRITE, .info = INFO_VALUE};
static const struct svm_exit_row noaccel_row = {
	.name = "VMEXIT_AVIC_NOACCEL", .icpt = ICPT_APIC_ACCESS, .info = INFO_VALUE};
static const struct svm_exit_row pml_row = {.name = "VMEXIT_PML_FULL", .icpt = ICPT_PML_FULL};
static const struct svm_exit_row invalid_row = {.name = "VMEXIT_INVALID"};

const struct svm_exit_row *svm_exit_row(u64 code)
{
	if (code < SVM_EXIT_ROWS)
		return svm_exit_rows[code].name ? &svm_exit_rows[code] : NULL;
	switch (code) {
	case EXITCODE_NPF: return &npf_row;
	case EXITCODE_AVIC_INCOMPLETE_IPI: return &ipi_row;
	case EXITCODE_AVIC_NOACCEL: return &noaccel_row;
	case EXITCODE_PML_FULL: return &pml_row;
	case EXITCODE_INVALID: return &invalid_row;
	default: return NULL;
	}
}

u64 svm_exit_code(unsigned icpt)
{
	return icpt < ICPT_COUNT && code_of[icpt] ? code_of[icpt] - 1ull : EXITCODE_INVALID;
}

/* The first three words have the order of enum icpt from ICPT_CR0_READ on: they move as a whole. */
_Static_assert(ICPT_CR0_READ == 1 && ICPT_EXC + 31 == 96, "CR, DR and exception intercepts are one run");

void svm_compile_intercepts(const u32 words[6], u64 icpt[5])
{
	u64 low = words[0] | (u64)words[1] << 32;

	memset(icpt, 0, 5 * sizeof(icpt[0]));
	icpt[0] = low << 1;
	icpt[1] = low >> 63 | (u64)words[2] << 1;
	for (unsigned w = 3; w < 6; w++) {
		for (u32 left = words[w]; left; left &= left - 1) {
			unsigned code = w * 32 + (unsigned)__builtin_ctz(left);

			if (code < SVM_EXIT_ROWS && svm_exit_rows[code].icpt)
				icpt[svm_exit_rows[code].icpt / 64] |= BIT(svm_exit_rows[code].icpt % 64);
		}
	}
}

/* "MOV CRx/DRx Intercepts": bit 63 and the register's number; CLTS, LMSW and SMSW give neither. */
static u64 assist_register(const struct cpu *c, const struct insn *i, bool read, bool control)
{
	if (!has(c, FEAT_DECODEASSISTS) || !i || i->row->mnemonic != ZYDIS_MNEMONIC_MOV)
		return 0;
	return (u64)((read ? i->r0 : i->r1) / 8 & 15) | (control ? BIT(63) : 0);
}

/* "Pause Intercept Filtering". The count is loaded at VMRUN; with a threshold, a gap longer than it reloads the count.
 */
static bool pause_filtered(struct cpu *c)
{
	struct svm *s = svm_of(c);
	const struct vmcb_control *v = svm_control(c);
	u64 gap;

	if (!has(c, FEAT_PAUSE_FILTER) || !v->pause_count)
		return false;
	cpu_sync_time(c);
	gap = c->clock->now - s->pause_last;
	s->pause_last = c->clock->now;
	if (has(c, FEAT_PFTHRESHOLD) && v->pause_threshold && gap > v->pause_threshold) {
		s->pause_left = v->pause_count;
		return true;
	}
	if (!s->pause_left)
		return false;
	s->pause_left--;
	return true;
}

static u64 linear_operand(const struct cpu *c, const struct insn *i)
{
	u64 la = insn_ea(c, i) + (i->flags & INSN_FLAT ? c->sb.base[i->seg] : c->seg[i->seg].base);

	return i->flags & INSN_FLAT ? la : (u32)la;
}

static bool monitor_armed(const struct cpu *c)
{
	return c->monitor_addr != ~0ull;
}

/*
 * "SMI Intercept": bit 0 tells an external SMI; the rest describes the I/O instruction behind which it came, whose own
 * address is EXITINFO2. SEG, TF and the breakpoints that matched have been added since 2005.
 */
static enum xr smi(struct cpu *c, u64 source)
{
	const struct smi_io *s = &c->smi_io;
	u64 info = source;

	if (!s->valid)
		return cpu_exit(c, NULL, ICPT_SMI, info, 0);
	info |= (u64)s->io.in << 32 | BIT(33) | (u64)s->io.string << 34 | (u64)s->io.rep << 35;
	info |= (u64)s->io.size << 36 | (u64)(s->io.addrsz / 2) << 39 | (u64)s->io.port << 48;
	if (!quirk(c, QUIRK_SVM_FIRST)) {
		info |= (u64)((c->rflags & FL_TF) != 0) << 43 | (c->pending_db & 15) << 44;
		if (s->io.string)
			info |= (u64)(s->io.in ? SEG_ES : s->io.seg) << 10;
	}
	return cpu_exit(c, NULL, ICPT_SMI, info, s->rip);
}

enum xr svm_intercept(struct cpu *c, const struct insn *i, enum icpt id, u64 q)
{
	u64 q0 = 0;

	if (id >= ICPT_CR0_READ && id < ICPT_DR0_WRITE + 16) {
		bool read = id < ICPT_CR0_WRITE || (id >= ICPT_DR0_READ && id < ICPT_DR0_WRITE);

		return cpu_exit(c, i, id, assist_register(c, i, read, id < ICPT_DR0_READ), 0);
	}
	switch (id) {
	case ICPT_SMI: return smi(c, q);
	case ICPT_PAUSE:
		if (pause_filtered(c))
			return XR_OK;
		break;
	case ICPT_MWAIT: /* the armed intercept is tested first */
		if (icpt_on(c, ICPT_MWAIT_ARMED) && monitor_armed(c))
			id = ICPT_MWAIT_ARMED;
		break;
	case ICPT_MWAIT_ARMED:
		if (!monitor_armed(c))
			return XR_OK;
		break;
	case ICPT_IDLE_HLT: /* "Idle HLT Intercept": only with nothing virtual pending */
		if ((svm_vnmi_on(c) && (svm_of(c)->vintr & VINTR_NMI)) ||
		    (svm_of(c)->avic ? svm_avic_ready(c) : (svm_of(c)->vintr & VINTR_IRQ) != 0))
			return XR_OK;
		break;
	case ICPT_SWINT: q0 = has(c, FEAT_DECODEASSISTS) && i ? i->imm & 0xff : 0; break;
	case ICPT_INVLPG: q0 = has(c, FEAT_DECODEASSISTS) ? q : 0; break;
	case ICPT_EFER_WRITE_TRAP: q0 = q; break;
	case ICPT_INVPCID: /* "INVPCID": the descriptor's linear address and the type; nothing is read yet */
		if (!i)
			break;
		return cpu_exit(c, i, id, linear_operand(c, i), reg_get(c, i->r0, mode64(c) ? 8 : 4));
	default: q0 = id >= ICPT_CR0_WRITE_TRAP && id <= ICPT_CR_WRITE_TRAP_LAST ? q : 0; break;
	}
	enum xr r = cpu_exit(c, i, id, q0, 0);

	if (id == ICPT_EFER_WRITE_TRAP || (id >= ICPT_CR0_WRITE_TRAP && id <= ICPT_CR_WRITE_TRAP_LAST))
		c->exit.trap = true;
	return r;
}

static u64 read_map(struct cpu *c, pa_t pa)
{
	const struct space_part *p = space_find(cpu_sees(c), pa = cpu_phys(c, pa), USE_READ);
	u8 b[2];

	if (p && (pa & ~PAGE_MASK) != PAGE_SIZE - 1) {
		memcpy(b, space_host(p, pa), 2);
		return (u64)b[0] | (u64)b[1] << 8;
	}
	cpu_read(c, BY_VIRT, pa, b, 2);
	return (u64)b[0] | (u64)b[1] << 8;
}

/* "IOIO Intercepts": a bit per port, all bytes of the access; 64K + 3 bits. */
enum xr svm_io(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	pa_t map = svm_control(c)->iopm_base_pa & PAGE_MASK;
	u64 hit = read_map(c, map + io->port / 8) >> (io->port % 8) & ((1u << io->size) - 1);
	u64 info = (u64)io->port << 16 | (u64)io->in;

	if (!hit)
		return XR_OK;
	info |= (io->string ? BIT(2) : 0) | (io->rep ? BIT(3) : 0) | (u64)io->size << 4; /* SZ8, SZ16, SZ32 */
	info |= (u64)(io->addrsz / 2) << 7;                                              /* A16, A32, A64 */
	if (has(c, FEAT_DECODEASSISTS) && io->string)
		info |= (u64)(io->in ? SEG_ES : io->seg) << 10;
	return cpu_exit(c, i, ICPT_IOIO, info, next_rip(c, i));
}

/* "MSR Intercepts": two bits per MSR in three ranges; any other MSR exits. */
enum xr svm_msr(struct cpu *c, const struct insn *i, u32 index, bool write)
{
	static const u32 range[] = {0, 0xc0000000, 0xc0010000};
	pa_t map = svm_control(c)->msrpm_base_pa & PAGE_MASK;

	for (unsigned n = 0; n < ARRAY_LEN(range); n++) {
		u32 bit = (index - range[n]) * 2 + write;

		if (index - range[n] > 0x1fff)
			continue;
		if (!(read_map(c, map + n * 0x800 + bit / 8) >> (bit % 8) & 1))
			return XR_OK;
		break;
	}
	return cpu_exit(c, i, ICPT_MSR, write, 0);
}

/* "Selective CR0 Write Intercept": LMSW always, CLTS never, MOV when more than TS and MP changes. The plain intercept
 * has been tested by now. */
enum xr svm_cr_write(struct cpu *c, const struct insn *i, struct cr_write *w)
{
	if (w->n != 0 || w->op == CR_CLTS || likely(!icpt_on(c, ICPT_CR0_SEL_WRITE)))
		return XR_OK;
	if (w->op == CR_MOV && !((w->value ^ c->cr0) & ~(CR0_TS | CR0_MP | CR0_ET))) /* ET never changes */
		return XR_OK;
	return cpu_exit(c, i, ICPT_CR0_SEL_WRITE, assist_register(c, i, false, true), 0);
}

/* "Exception Intercepts": raw exceptions, before they combine, and #DF after. INT1 and INTn do not take part. */
enum xr svm_event(struct cpu *c, const struct event *e)
{
	struct svm *s = svm_of(c);

	if (s->injecting) { /* "Injected events are not subject to intercept checks" */
		s->injecting = false;
		return XR_OK;
	}
	if ((e->type != EV_HW && e->type != EV_SWEX) || e->vector > 31 || !icpt_on(c, ICPT_EXC + e->vector))
		return XR_OK;
	enum xr r = cpu_exit(c, NULL, (enum icpt)(ICPT_EXC + e->vector),
	                     e->has_error || e->vector == EX_PF ? e->error : 0, 0);

	c->exit.event = *e;
	if (e->vector == EX_PF)
		c->exit.q[1] = e->payload;
	return r;
}

bool svm_shutdown(struct cpu *c)
{
	if (!icpt_on(c, ICPT_SHUTDOWN))
		return false;
	return cpu_exit(c, NULL, ICPT_SHUTDOWN, 0, 0) == XR_EXIT;
}
