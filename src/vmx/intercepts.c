/*
 * Controls to flat intercepts, and the decisions of a guest's instruction that a flat bit
 * does not settle: CR masks and shadows, CR3 targets, I/O and MSR bitmaps, #PF mask and match. "VMX Non-Root
 * Operation".
 */
#include "cpu/exec/exec.h"
#include "vmx/vmx.h"

/* clang-format off */
/* What always exits, what does so since the first processors that were sold, and what a control adds. */
static const u16 always[] = {
	ICPT_CPUID, ICPT_GETSEC, ICPT_XSETBV, ICPT_INVEPT, ICPT_INVVPID, ICPT_VMCALL, ICPT_VMCLEAR, ICPT_VMLAUNCH,
	ICPT_VMPTRLD, ICPT_VMPTRST, ICPT_VMREAD, ICPT_VMWRITE, ICPT_VMRESUME, ICPT_VMXOFF, ICPT_VMXON,
	ICPT_TASK_SWITCH, ICPT_XSAVES, ICPT_XRSTORS, ICPT_UMWAIT, ICPT_TPAUSE,
};
static const u16 later[] = { /* 2004, "Instructions That Cause VM Exits Unconditionally", "Other Causes of VM Exits" */
	ICPT_INVD, ICPT_INIT, ICPT_SIPI, ICPT_SHUTDOWN,
};
static const struct { u8 word; u32 bit; u16 icpt; } by_control[] = {
	{VMX_PIN, PIN_EXT_INT, ICPT_INTR}, {VMX_PIN, PIN_NMI, ICPT_NMI},
	{VMX_PROC, PROC_HLT, ICPT_HLT}, {VMX_PROC, PROC_INVLPG, ICPT_INVLPG}, {VMX_PROC, PROC_MWAIT, ICPT_MWAIT},
	{VMX_PROC, PROC_RDPMC, ICPT_RDPMC}, {VMX_PROC, PROC_RDTSC, ICPT_RDTSC}, {VMX_PROC, PROC_RDTSC, ICPT_RDTSCP},
	{VMX_PROC, PROC_CR3_LOAD, ICPT_CR0_WRITE + 3}, {VMX_PROC, PROC_CR3_STORE, ICPT_CR0_READ + 3},
	{VMX_PROC, PROC_CR8_LOAD, ICPT_CR0_WRITE + 8}, {VMX_PROC, PROC_CR8_STORE, ICPT_CR0_READ + 8},
	{VMX_PROC, PROC_UNCOND_IO, ICPT_IOIO}, {VMX_PROC, PROC_IO_BITMAPS, ICPT_IOIO}, {VMX_PROC, PROC_MONITOR,
	 ICPT_MONITOR},
	{VMX_PROC, PROC_PAUSE, ICPT_PAUSE}, {VMX_PROC2, PROC2_PLE, ICPT_PAUSE}, {VMX_PROC, PROC_INVLPG, ICPT_INVPCID},
	{VMX_PROC2, PROC2_DESCRIPTOR, ICPT_GDTR_READ}, {VMX_PROC2, PROC2_DESCRIPTOR, ICPT_IDTR_READ},
	{VMX_PROC2, PROC2_DESCRIPTOR, ICPT_LDTR_READ}, {VMX_PROC2, PROC2_DESCRIPTOR, ICPT_TR_READ},
	{VMX_PROC2, PROC2_DESCRIPTOR, ICPT_GDTR_WRITE}, {VMX_PROC2, PROC2_DESCRIPTOR, ICPT_IDTR_WRITE},
	{VMX_PROC2, PROC2_DESCRIPTOR, ICPT_LDTR_WRITE}, {VMX_PROC2, PROC2_DESCRIPTOR, ICPT_TR_WRITE},
	{VMX_PROC2, PROC2_WBINVD, ICPT_WBINVD}, {VMX_PROC2, PROC2_RDRAND, ICPT_RDRAND}, {VMX_PROC2, PROC2_RDSEED,
	 ICPT_RDSEED},
};

/* clang-format on */

static void turn_on(struct cpu *c, unsigned id)
{
	c->icpt[id / 64] |= BIT(id % 64);
}

static void compile(struct cpu *c, const u32 words[VMX_WORDS], u32 exceptions)
{
	memset(c->icpt, 0, sizeof(c->icpt));
	for (size_t n = 0; n < ARRAY_LEN(always); n++)
		turn_on(c, always[n]);
	for (size_t n = 0; n < ARRAY_LEN(later) && !quirk(c, QUIRK_VMX_FIRST); n++)
		turn_on(c, later[n]);
	for (size_t n = 0; n < ARRAY_LEN(by_control); n++)
		if (words[by_control[n].word] & by_control[n].bit)
			turn_on(c, by_control[n].icpt);
	for (unsigned n = 0; n < 32; n++)
		if (exceptions >> n & 1)
			turn_on(c, ICPT_EXC + n);
	for (unsigned n = 0; n < 16 && (words[VMX_PROC] & PROC_MOV_DR); n++) {
		turn_on(c, ICPT_DR0_READ + n);
		turn_on(c, ICPT_DR0_WRITE + n);
	}
	/* No bitmaps: every access exits. Instructions whose enabling control is 0 do not exist: the intercept says
	 * #UD. */
	turn_on(c, ICPT_MSR);
	if (!(words[VMX_PROC2] & PROC2_RDTSCP))
		turn_on(c, ICPT_RDTSCP);
	if (!(words[VMX_PROC2] & PROC2_INVPCID))
		turn_on(c, ICPT_INVPCID);
	if (!(words[VMX_PROC2] & PROC2_RDTSCP))
		turn_on(c, ICPT_RDPID);
	if (!(words[VMX_PROC2] & PROC2_USER_WAIT))
		turn_on(c, ICPT_UMONITOR);
}

/* MEASURED: controls hardly ever change between two entries. */
void vmx_compile_intercepts(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	const u32 now[VMX_WORDS + 1] = {
	        [VMX_PIN] = (u32)vmcs_get(v, VMCS_PIN_CONTROLS),
	        [VMX_PROC] = (u32)vmcs_get(v, VMCS_PROC_CONTROLS),
	        [VMX_PROC2] = vmx_proc2(v),
	        [VMX_WORDS] = (u32)vmcs_get(v, VMCS_EXCEPTION_BITMAP) | 1u << EX_PF, /* mask and match decide #PF */
	};
	_Static_assert(sizeof(now) == sizeof(v->compiled_for), "one word each");

	if (memcmp(now, v->compiled_for, sizeof(now)) == 0) {
		memcpy(c->icpt, v->compiled, sizeof(c->icpt));
	} else {
		compile(c, now, now[VMX_WORDS]);
		memcpy(v->compiled, c->icpt, sizeof(v->compiled));
		memcpy(v->compiled_for, now, sizeof(now));
	}
	if (unlikely(c->smm))
		turn_on(c, ICPT_RSM); /* outside SMM it is #UD, in a guest too */
}

/* ---- what a flat bit does not settle ---- */

static unsigned gpr(u8 offset)
{
	return offset / 8 & 15;
}

static bool cr3_target(const struct vmx *v, u64 value)
{
	for (unsigned n = 0; n < vmcs_get(v, VMCS_CR3_TARGET_COUNT); n++)
		if (vmcs_get(v, VMCS_CR3_TARGET0 + 2 * n) == value)
			return true;
	return false;
}

/* An instruction whose enabling control is 0. */
bool vmx_undefined(struct cpu *c, enum icpt id)
{
	u32 proc2 = vmx_proc2(vmx_of(c));

	switch (id) {
	case ICPT_RDTSCP:
	case ICPT_RDPID: return !(proc2 & PROC2_RDTSCP);
	case ICPT_INVPCID: return !(proc2 & PROC2_INVPCID);
	case ICPT_XSAVES:
	case ICPT_XRSTORS: return !(proc2 & PROC2_XSAVES);
	case ICPT_UMONITOR:
	case ICPT_UMWAIT:
	case ICPT_TPAUSE: return !(proc2 & PROC2_USER_WAIT);
	default: return false;
	}
}

/* "VMREAD", "VMWRITE" with VMCS shadowing: does the access stay in the guest? */
static bool shadowed(struct cpu *c, const struct insn *i, enum icpt id)
{
	const struct vmx *v = vmx_of(c);
	u64 field = *(const u64 *)((const u8 *)c->r + (id == ICPT_VMREAD ? i->r1 : i->r0));
	u8 byte;

	if (!mode64(c))
		field = (u32)field;
	if (!(vmx_proc2(v) & PROC2_SHADOW_VMCS) || field >> 15)
		return false;
	cpu_read(c, BY_VIRT, vmcs_get(v, id == ICPT_VMREAD ? VMCS_VMREAD_BITMAP : VMCS_VMWRITE_BITMAP) + field / 8, &byte, 1);
	return !(byte >> (field & 7) & 1);
}

/* What a flat bit does not settle: does the instruction run after all? */
static bool stays(struct cpu *c, const struct insn *i, enum icpt id, u64 q)
{
	const struct vmx *v = vmx_of(c);

	switch ((unsigned)id) {
	case ICPT_PAUSE:
		return !(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_PAUSE) && (c->cpl != 0 || !vmx_pause_loop(c));
	case ICPT_XSAVES:
	case ICPT_XRSTORS: return !(q & vmcs_get(v, VMCS_XSS_EXITING));
	case ICPT_UMWAIT:
	case ICPT_TPAUSE: return !(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_RDTSC);
	case ICPT_VMREAD:
	case ICPT_VMWRITE: return shadowed(c, i, id);
	case ICPT_CR0_WRITE + 3: return cr3_target(v, q);
	default: return false;
	}
}

enum xr vmx_intercept(struct cpu *c, const struct insn *i, enum icpt id, u64 q)
{
	const struct vmx_exit_row *row = &vmx_exit_rows[vmx_exit_reason(id)];

	if (stays(c, i, id, q))
		return XR_OK;
	q = row->qualification ? row->qualification(&(struct vmx_asked){c, i, id, q}) : 0;
	return cpu_exit(c, i, id, q, 0);
}

static u64 map_bits(struct cpu *c, pa_t pa)
{
	u8 b[2];

	cpu_read(c, BY_VIRT, pa, b, (pa & ~PAGE_MASK) == PAGE_SIZE - 1 ? 1 : 2);
	return (u64)b[0] | ((pa & ~PAGE_MASK) == PAGE_SIZE - 1 ? 0 : (u64)b[1] << 8);
}

/* "I/O bitmaps" override unconditional exiting; an access that wraps around exits. */
static bool io_exits(struct cpu *c, const struct io_access *io)
{
	const struct vmx *v = vmx_of(c);

	if (!(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_IO_BITMAPS))
		return true;
	for (unsigned n = 0; n < io->size; n++) {
		u32 port = io->port + n;
		pa_t map = vmcs_get(v, port & 0x8000 ? VMCS_IO_BITMAP_B : VMCS_IO_BITMAP_A);

		if (port > 0xffff || (map_bits(c, map + (port & 0x7fff) / 8) >> (port & 7) & 1))
			return true;
	}
	return false;
}

enum xr vmx_io(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	u64 q;

	if (!io_exits(c, io))
		return XR_OK;
	q = (u64)io->size - 1;
	q |= (io->in ? BIT(3) : 0) | (io->string ? BIT(4) : 0) | (io->rep ? BIT(5) : 0) | (io->imm ? BIT(6) : 0) |
	     (u64)io->port << 16;

	enum xr r = cpu_exit(c, i, ICPT_IOIO, q, 0);

	if (io->string) {
		c->exit.linear = io->linear;
		c->exit.has_linear = true;
		c->exit.q[1] = (u64)(io->addrsz / 4) << 7 | (io->in ? 0 : (u64)io->seg << 15);
	}
	return r;
}

enum xr vmx_msr(struct cpu *c, const struct insn *i, u32 index, bool write)
{
	const struct vmx *v = vmx_of(c);
	u32 low = index & 0x1fff;

	if ((vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_MSR_BITMAPS) &&
	    (index <= 0x1fff || (index & ~0x1fffu) == 0xc0000000)) {
		pa_t map = vmcs_get(v, VMCS_MSR_BITMAP) + (write ? 0x800 : 0) + (index > 0x1fff ? 0x400 : 0);

		if (!(map_bits(c, map + low / 8) >> (low & 7) & 1))
			return XR_OK;
	}
	return cpu_exit(c, i, ICPT_MSR, 0, write);
}

/* ---- control registers: guest/host masks and read shadows ---- */

/* In 2004 bits 7:6 of the qualification are 0. */
static u64 lmsw_memory(const struct cpu *c, const struct insn *i)
{
	return (i->flags & INSN_MEM) && !quirk(c, QUIRK_VMX_FIRST) ? BIT(6) : 0;
}

static enum xr cr_exit(struct cpu *c, const struct insn *i, const struct cr_write *w)
{
	u64 q = w->n;

	if (w->op == CR_CLTS)
		q |= 2ull << 4;
	else if (w->op == CR_LMSW)
		q |= 3ull << 4 | (u64)w->operand << 16 | lmsw_memory(c, i);
	else
		q |= (u64)gpr(i->r1) << 8;

	u64 la = i->flags & INSN_MEM ? vmx_linear_operand(c, i) : 0;
	enum xr r = cpu_exit(c, i, (enum icpt)(ICPT_CR0_WRITE + w->n), q, 0);

	c->exit.linear = la;
	c->exit.has_linear = w->op == CR_LMSW && (i->flags & INSN_MEM);
	return r;
}

static bool lmsw_exits(u64 value, u64 mask_, u64 shadow)
{
	if ((mask_ & CR0_PE) && (value & CR0_PE) && !(shadow & CR0_PE))
		return true;
	return ((value ^ shadow) & mask_ & (CR0_MP | CR0_EM | CR0_TS)) != 0;
}

/* Host-owned bits keep what is there. */
enum xr vmx_cr_write(struct cpu *c, const struct insn *i, struct cr_write *w)
{
	const struct vmx *v = vmx_of(c);
	unsigned n = w->n;
	u64 own, shadow, now;
	bool exits;

	if (n != 0 && n != 4)
		return XR_OK;
	own = vmcs_get(v, n ? VMCS_CR4_MASK : VMCS_CR0_MASK);
	shadow = vmcs_get(v, n ? VMCS_CR4_SHADOW : VMCS_CR0_SHADOW);
	now = n ? c->cr4 : c->cr0;
	switch (w->op) {
	case CR_CLTS: exits = (own & shadow & CR0_TS) != 0; break;
	case CR_LMSW: exits = lmsw_exits(w->operand, own, shadow); break; /* LMSW never clears PE */
	default: exits = ((w->value ^ shadow) & own) != 0; break;
	}
	if (exits)
		return cr_exit(c, i, w);
	w->value = (w->value & ~own) | (now & own);
	return XR_OK;
}

u64 vmx_cr_read(struct cpu *c, unsigned n, u64 value)
{
	const struct vmx *v = vmx_of(c);
	u64 own;

	if (n != 0 && n != 4)
		return value;
	own = vmcs_get(v, n ? VMCS_CR4_MASK : VMCS_CR0_MASK);
	return (value & ~own) | (vmcs_get(v, n ? VMCS_CR4_SHADOW : VMCS_CR0_SHADOW) & own);
}

/* ---- exceptions ---- */

/* "Exceptions": the bitmap, and for #PF whether it equals the bitmap's bit that the error code matches. */
static bool page_fault_exits(const struct vmx *v, u32 error)
{
	bool bit = vmcs_get(v, VMCS_EXCEPTION_BITMAP) >> EX_PF & 1;
	bool match = (error & (u32)vmcs_get(v, VMCS_PF_MASK)) == (u32)vmcs_get(v, VMCS_PF_MATCH);

	return bit == match;
}

enum xr vmx_event(struct cpu *c, const struct event *e)
{
	struct vmx *v = vmx_of(c);

	if (v->injecting) { /* "Event Injection": injection never exits by itself */
		v->injecting = false;
		return XR_OK;
	}
	if (e->vector > 31 || !icpt_on(c, ICPT_EXC + e->vector) ||
	    (e->vector == EX_PF && !page_fault_exits(v, e->error)))
		return XR_OK;
	enum xr r = cpu_exit(c, NULL, (enum icpt)(ICPT_EXC + e->vector),
	                     e->vector == EX_PF || e->vector == EX_DB ? e->payload : 0, 0);

	c->exit.event = *e;
	return r;
}

bool vmx_shutdown(struct cpu *c)
{
	return icpt_on(c, ICPT_SHUTDOWN) && cpu_exit(c, NULL, ICPT_SHUTDOWN, 0, 0) == XR_EXIT;
}
