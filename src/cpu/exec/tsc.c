/*
 * Instructions that read the time or wait for it: RDTSC and its relatives, HLT, MONITOR/MWAIT, WAITPKG.
 * SDM 3B "Time-Stamp Counter", 2 "MWAIT", "TPAUSE"; APM 3 "RDPRU", "MONITORX".
 */
#include "cpu/exec/exec.h"
#include "cpu/control/segs.h"

/* CR4.TSD keeps user code from the time; the fault precedes every intercept. */
static enum xr tsd(struct cpu *c)
{
	return (c->cr4 & CR4_TSD) && c->cpl != 0 ? fault_gp(c, 0) : XR_OK;
}

static void put_edx_eax(struct cpu *c, u64 v)
{
	c->r[REG_RAX] = (u32)v;
	c->r[REG_RDX] = v >> 32;
}

static void charge(struct cpu *c)
{
	if (c->model->cost.rdtsc > 1)
		cpu_charge(c, c->model->cost.rdtsc - 1u);
}

static enum xr rdtsc(struct cpu *c, const struct insn *i)
{
	TRY(tsd(c));
	TRY(icpt_test(c, i, ICPT_RDTSC, 0));
	put_edx_eax(c, cpu_tsc(c));
	charge(c);
	return XR_OK;
}

static enum xr rdtscp(struct cpu *c, const struct insn *i)
{
	TRY(icpt_undefined(c, ICPT_RDTSCP));
	TRY(tsd(c));
	TRY(icpt_test(c, i, ICPT_RDTSCP, 0));
	put_edx_eax(c, cpu_tsc(c));
	c->r[REG_RCX] = (u32)c->tsc_aux;
	charge(c);
	return XR_OK;
}

static enum xr rdpid(struct cpu *c, const struct insn *i)
{
	reg_set(c, i->r0, mode64(c) ? 8 : 4, (u32)c->tsc_aux);
	return XR_OK;
}

/* ECX 0: MPERF, 1: APERF; both run at the TSC's rate. Others read 0. */
static enum xr rdpru(struct cpu *c, const struct insn *i)
{
	u32 which = (u32)c->r[REG_RCX];

	TRY(tsd(c));
	TRY(icpt_test(c, i, ICPT_RDPRU, 0));
	cpu_sync_time(c);

	u64 count = which < 2 ? c->clock->now : 0;

	if (which == 0 && c->guest)
		count = c->virt->time.mperf(c, count);
	put_edx_eax(c, count);
	charge(c);
	return XR_OK;
}

/* ---- waiting ---- */

static enum xr hlt(struct cpu *c, const struct insn *i)
{
	TRY(icpt_test(c, i, ICPT_IDLE_HLT, 0)); /* the plain intercept comes first: the gate has tested it */
	c->activity = ACT_HLT;
	c->yield = true;
	cpu_recheck(c);
	return XR_OK;
}

/* Which line: its page is watched from now on, and cpu_monitor_written() ends the wait. */
static enum xr arm_monitor(struct cpu *c, unsigned seg, u64 ea)
{
	struct span s;
	la_t la;

	TRY(seg_address(c, seg, ea, 1, ACC_READ, &la));
	TRY(mem_span(c, la, 1, ACC_READ, &s));
	if (s.part[0].from) {
		*mem_flag(c->bus, s.part[0].from) |= PAGE_WATCHED;
		c->monitor_addr = s.part[0].pa & ~63ull;
	}
	return XR_OK;
}

static enum xr monitor_common(struct cpu *c, const struct insn *i)
{
	if ((u32)c->r[REG_RCX])
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_MONITOR, 0));
	return arm_monitor(c, i->seg, low_bytes(c->r[REG_RAX], i->addrsz));
}

#define HWCR_MONMWAIT_DIS    BIT(9)
#define HWCR_MONMWAIT_USER   BIT(10)

/* MONITOR and MWAIT: #UD when software or firmware turned them off, and above CPL 0 unless AMD's HWCR allows it. */
static bool mwait_off(const struct cpu *c)
{
	if (c->hwcr & HWCR_MONMWAIT_DIS)
		return true;
	return c->cpl != 0 && !(c->hwcr & HWCR_MONMWAIT_USER);
}

static enum xr monitor(struct cpu *c, const struct insn *i)
{
	return mwait_off(c) ? fault_ud(c) : monitor_common(c, i);
}

static enum xr wait_for_store(struct cpu *c, const struct insn *i, enum activity how, u64 until)
{
	TRY(icpt_test(c, i, ICPT_MWAIT_ARMED, 0));
	TRY(icpt_test(c, i, ICPT_MWAIT, c->monitor_addr != UINT64_MAX));
	if (c->monitor_addr == UINT64_MAX)
		return XR_OK;
	if ((c->r[REG_RCX] & 1) && c->guest && c->virt->irq.mwait_passes(c))
		return XR_OK;
	c->activity = (u8)how;
	c->halted_by_mwait_if = c->r[REG_RCX] & 1;
	cpu_wait_until(c, until);
	return XR_OK;
}

static enum xr mwait(struct cpu *c, const struct insn *i)
{
	if (mwait_off(c))
		return fault_ud(c);
	if ((u32)c->r[REG_RCX] & ~1u)
		return fault_gp(c, 0);
	return wait_for_store(c, i, ACT_MWAIT, UINT64_MAX);
}

/* ECX[1]: EBX holds a timeout in TSC ticks. */
static enum xr mwaitx(struct cpu *c, const struct insn *i)
{
	u32 ext = (u32)c->r[REG_RCX], ticks = (u32)c->r[REG_RBX];
	u64 until = UINT64_MAX;

	if (ext & ~3u)
		return fault_gp(c, 0);
	if ((ext & 2) && ticks) {
		cpu_sync_time(c);
		until = c->clock->now + ticks;
	}
	return wait_for_store(c, i, ACT_MWAIT, until);
}

static enum xr umonitor(struct cpu *c, const struct insn *i)
{
	return arm_monitor(c, i->seg, reg_get(c, i->r0, i->addrsz));
}

/* UMWAIT and TPAUSE: until the deadline in EDX:EAX or IA32_UMWAIT_CONTROL's limit, which sets CF. */
static enum xr user_wait(struct cpu *c, const struct insn *i, unsigned icpt, bool needs_monitor)
{
	u64 deadline = (c->r[REG_RDX] << 32) | (u32)c->r[REG_RAX], tsc, delay, limit = c->umwait_control & 0xfffffffc;
	bool limited;

	TRY(icpt_undefined(c, icpt));
	if (reg32(c, i->r0) & ~1u)
		return fault_gp(c, 0);
	if (c->cpl != 0 && (c->cr4 & CR4_TSD))
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, icpt, 0));
	tsc = cpu_tsc(c);
	limited = limit && deadline > tsc + limit;
	cc_set_flags(c, 0);
	if (deadline <= tsc || (needs_monitor && c->monitor_addr == UINT64_MAX))
		return XR_OK;
	/* DEVIATION: CF is decided when the wait begins; an interrupt that ends it early leaves CF as the limit set it. */
	cc_set_flags(c, limited ? FL_CF : 0);
	c->activity = ACT_TPAUSE;
	delay = limited ? limit : deadline - tsc;
	if (c->guest)
		delay = c->virt->time.delay(c, delay);
	cpu_wait_until(c, c->clock->now + min_u64(delay, BIT(62))); /* a sum that stays in range */
	return XR_OK;
}

static enum xr umwait(struct cpu *c, const struct insn *i)
{
	return user_wait(c, i, ICPT_UMWAIT, true);
}

static enum xr tpause(struct cpu *c, const struct insn *i)
{
	return user_wait(c, i, ICPT_TPAUSE, false);
}

/* Instructions whose memory operand is implied by rAX: only a prefix says which segment. Zydis knows no operand there. */
void bind_implied_segment(struct insn *i, const struct dec *d)
{
	static const struct { u8 byte, seg; } prefix[] = {{0x2e, SEG_CS}, {0x36, SEG_SS}, {0x3e, SEG_DS},
							  {0x26, SEG_ES}, {0x64, SEG_FS}, {0x65, SEG_GS}};
	bool m64 = (d->mode & MODE_SIZE) == MODE_64;

	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++)
		for (unsigned p = 0; p < ARRAY_LEN(prefix); p++)
			if (d->zi->raw.prefixes[k].value == prefix[p].byte && (!m64 || prefix[p].seg >= SEG_FS))
				i->seg = prefix[p].seg;
}

#define M(name) .mnemonic = ZYDIS_MNEMONIC_##name
/* clang-format off */
static const struct insn_row rows[] = {
	{.mnemonic = ZYDIS_MNEMONIC_RDTSC, .form = "RDTSC", .fn = rdtsc, .feature = FEAT_TSC, .icpt = ICPT_RDTSC,
	 .flags = ROW_LATE_ICPT | ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_RDTSCP, .form = "RDTSCP", .fn = rdtscp, .feature = FEAT_RDTSCP, .icpt = ICPT_RDTSCP,
	 .flags = ROW_LATE_ICPT | ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_RDPID, .form = "RDPID r", .fn = rdpid, .feature = FEAT_RDPID, .icpt = ICPT_RDPID},
	{.mnemonic = ZYDIS_MNEMONIC_RDPRU, .form = "RDPRU", .fn = rdpru, .feature = FEAT_RDPRU, .icpt = ICPT_RDPRU,
	 .flags = ROW_LATE_ICPT | ROW_END},
	{M(HLT), .form = "HLT", .fn = hlt, .flags = ROW_CPL0 | ROW_END, .icpt = ICPT_HLT},
	{M(MONITOR), .form = "MONITOR", .bind = bind_implied_segment, .fn = monitor, .feature = FEAT_MONITOR,
	 .flags = ROW_LATE_ICPT, .icpt = ICPT_MONITOR},
	{M(MWAIT), .form = "MWAIT", .fn = mwait, .feature = FEAT_MONITOR, .flags = ROW_END | ROW_LATE_ICPT, .icpt = ICPT_MWAIT},
	{M(MONITORX), .form = "MONITORX", .bind = bind_implied_segment, .fn = monitor_common, .feature = FEAT_MONITORX,
	 .flags = ROW_LATE_ICPT, .icpt = ICPT_MONITOR},
	{M(MWAITX), .form = "MWAITX", .fn = mwaitx, .feature = FEAT_MONITORX, .flags = ROW_END | ROW_LATE_ICPT,
	 .icpt = ICPT_MWAIT},
	{M(UMONITOR), .form = "UMONITOR r", .bind = bind_implied_segment, .fn = umonitor, .feature = FEAT_WAITPKG,
	 .icpt = ICPT_UMONITOR},
	{M(UMWAIT), .form = "UMWAIT r32", .fn = umwait, .feature = FEAT_WAITPKG, .flags = ROW_END | ROW_LATE_ICPT,
	 .icpt = ICPT_UMWAIT},
	{M(TPAUSE), .form = "TPAUSE r32", .fn = tpause, .feature = FEAT_WAITPKG, .flags = ROW_END | ROW_LATE_ICPT,
	 .icpt = ICPT_TPAUSE},
};
/* clang-format on */

const struct row_set exec_tsc_rows = {rows, ARRAY_LEN(rows)};
