/* IN OUT INS OUTS: permission, intercept, the bus, I/O breakpoints; in that order. */
#include "cpu/control/io_trap.h"
#include "cpu/exec/rep.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/* "I/O Permission Bit Map": consulted above IOPL and always in virtual-8086 mode; two bytes are read. */
static enum xr io_permitted(struct cpu *c, u16 port, unsigned size)
{
	const struct seg *tr = &c->seg[SEG_TR];
	unsigned type = tr->ar & AR_TYPE;
	u16 base, map;
	u32 at;

	if (real_mode(c) || (!v86_mode(c) && c->cpl <= (c->rflags & FL_IOPL) >> 12))
		return XR_OK;
	if ((tr->ar & AR_UNUSABLE) || (type != SYS_TSS32 && type != SYS_TSS32_BUSY) || tr->limit < 103)
		return fault_gp(c, 0);
	TRY(mem_read16(c, tr->base + 102, ACC_SUPER, &base));
	at = base + port / 8u;
	if (at + 1 > tr->limit)
		return fault_gp(c, 0);
	TRY(mem_read16(c, tr->base + at, ACC_SUPER, &map));
	return (map >> (port & 7)) & ((1u << size) - 1) ? fault_gp(c, 0) : XR_OK;
}

static inline enum xr io_allowed(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	TRY(io_permitted(c, io->port, io->size));
	return unlikely(icpt_on(c, ICPT_IOIO)) ? c->virt->guest.io(c, i, io) : XR_OK;
}

/* "I/O breakpoints": CR4.DE, R/W = 10b; a trap after the instruction. */
static void io_breakpoints(struct cpu *c, u16 port, unsigned size)
{
	static const u8 lengths[4] = {1, 2, 8, 4};
	u64 hit = 0;

	if (likely(!(c->dr7 & 0xff) || !(c->cr4 & CR4_DE)))
		return;
	for (unsigned n = 0; n < 4; n++) {
		unsigned len = lengths[bits(c->dr7, 19 + 4 * n, 18 + 4 * n)];
		u64 first = c->dr[n] & ~(u64)(len - 1);

		if (((c->dr7 >> (2 * n)) & 3) && bits(c->dr7, 17 + 4 * n, 16 + 4 * n) == 2 && port < first + len &&
		    first < (u64)port + size)
			hit |= BIT(n);
	}
	if (hit) {
		c->pending_db |= hit;
		cpu_raise(c, PEND_DB);
	}
}

/* The device sees the time of this instruction; the access ends the block. */
static void io_done(struct cpu *c, const struct io_access *io)
{
	cpu_charge(c, c->model->cost.port > 1 ? c->model->cost.port - 1u : 0);
	io_breakpoints(c, io->port, io->size);
}

/* An SMI came up during the access: it is taken behind this instruction or iteration, which it may want to know about. */
static void describe_smi(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	struct smi_io *s = &c->smi_io;

	memset(s, 0, sizeof(*s)); /* it is state to the last byte */
	s->io.port = io->port;
	s->io.size = io->size;
	s->io.in = io->in;
	s->io.string = io->string;
	s->io.rep = io->rep;
	s->io.imm = io->imm;
	s->io.addrsz = io->addrsz;
	s->io.seg = io->seg;
	s->io.linear = io->linear;
	s->rip = insn_rip(c, i);
	s->rcx = c->r[REG_RCX];
	s->rsi = c->r[REG_RSI];
	s->rdi = c->r[REG_RDI];
	s->valid = true;
}

/* I/O trapping: the instruction does nothing, and behind it comes an SMI of the processor's own. */
static bool trapped(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	const u8 traps = io_traps(c, io);

	if (likely(!traps))
		return false;
	describe_smi(c, i, io);
	c->smi_io.internal = true;
	c->smi_io.traps = traps;
	cpu_raise(c, PEND_IO_TRAP);
	return true;
}

static u64 port_in(struct cpu *c, const struct insn *i, const struct io_access *io)
{
	u32 before = c->pend;

	cpu_sync_time(c);

	u64 v = bus_port_read(c->bus, io->port, io->size);

	if (unlikely(c->pend & ~before & PEND_SMI))
		describe_smi(c, i, io);
	io_done(c, io);
	return v;
}

static void port_out(struct cpu *c, const struct insn *i, const struct io_access *io, u64 v)
{
	u32 before = c->pend;

	cpu_sync_time(c);
	bus_port_write(c->bus, io->port, io->size, v);
	if (unlikely(c->pend & ~before & PEND_SMI))
		describe_smi(c, i, io);
	io_done(c, io);
}

/* ---- IN, OUT ---- */

/* i->aux: the port is immediate. */
static struct io_access direct_access(struct cpu *c, const struct insn *i, bool in)
{
	return (struct io_access){
		.port = i->aux ? (u8)i->imm : reg16(c, REG_OFF(REG_RDX)),
		.size = i->opsz,
		.in = in,
		.imm = i->aux != 0,
		.addrsz = i->addrsz,
		.seg = SEG_DS,
	};
}

HANDLER(in)
{
	struct io_access io = direct_access(c, i, true);

	TRY(io_allowed(c, i, &io));
	if (trapped(c, i, &io))
		return XR_OK;
	reg_set(c, REG_OFF(REG_RAX), i->opsz, port_in(c, i, &io));
	return XR_OK;
}

HANDLER(out)
{
	struct io_access io = direct_access(c, i, false);

	TRY(io_allowed(c, i, &io));
	if (trapped(c, i, &io))
		return XR_OK;
	port_out(c, i, &io, reg_get(c, REG_OFF(REG_RAX), i->opsz));
	return XR_OK;
}

/* REX.W does not widen port accesses. */
static void bind_io(struct insn *i, const struct dec *d)
{
	unsigned acc = d->zi->mnemonic == ZYDIS_MNEMONIC_IN ? 0 : 1;

	i->opsz = (u8)(d->op[acc].size / 8);
	i->aux = is_imm(d, 1 - acc);
}

/* ---- INS, OUTS ---- */

/* The linear address an intercept reports is not checked yet: the intercept comes before faults of the memory operand. */
static struct io_access string_access(struct cpu *c, const struct insn *i, bool in)
{
	unsigned seg = in ? SEG_ES : i->seg;
	u64 la = addr_reg(c, i, in ? REG_RDI : REG_RSI) + c->sb.base[seg];

	return (struct io_access){
		.port = reg16(c, REG_OFF(REG_RDX)),
		.size = i->opsz,
		.in = in,
		.string = true,
		.rep = (i->flags & (INSN_REP | INSN_REPNE)) != 0,
		.addrsz = i->addrsz,
		.seg = (u8)seg,
		.linear = mode64(c) ? la : (u32)la,
	};
}

/* The destination is proved writable before the port is read. */
HANDLER(ins)
{
	struct io_access io = string_access(c, i, true);
	struct span s;
	la_t la;

	TRY(io_allowed(c, i, &io));
	TRY(linear(c, SEG_ES, addr_reg(c, i, REG_RDI), i->opsz, ACC_WRITE, &la));
	TRY(mem_span(c, la, i->opsz, ACC_WRITE, &s));
	TRY(mem_write(c, la, i->opsz, 0, port_in(c, i, &io)));
	string_advance(c, i, REG_RDI);
	return XR_OK;
}

HANDLER(outs)
{
	struct io_access io = string_access(c, i, false);
	la_t la;
	u64 v;

	TRY(io_allowed(c, i, &io));
	TRY(linear(c, i->seg, addr_reg(c, i, REG_RSI), i->opsz, ACC_READ, &la));
	TRY(mem_read(c, la, i->opsz, stack_acc(i), &v));
	port_out(c, i, &io, v);
	string_advance(c, i, REG_RSI);
	return XR_OK;
}

/* Processors of both makers test the permission even if the count is 0. */
static enum xr rep_permitted(struct cpu *c, const struct insn *i)
{
	return addr_reg(c, i, REG_RCX) ? XR_OK : io_permitted(c, reg16(c, REG_OFF(REG_RDX)), i->opsz);
}

HANDLER(rep_ins)
{
	TRY(rep_permitted(c, i));
	return rep_run(c, i, ins, NULL, false);
}

HANDLER(rep_outs)
{
	TRY(rep_permitted(c, i));
	return rep_run(c, i, outs, NULL, false);
}

/* INSD and OUTSD with REX.W stay 32 bits wide. */
static void bind_io_string(struct insn *i, const struct dec *d)
{
	bind_string(i, d);
	if (i->opsz == 8)
		i->opsz = 4;
}

/* clang-format off */
#define STRING(MN, nm) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_BRANCH | ROW_REPEAT | ROW_END, .form = "REP " #MN, .match = match_repeated, .bind = bind_io_string, .fn = rep_##nm }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_END, .form = #MN, .match = match_single, .bind = bind_io_string, .fn = nm }

static const struct insn_row rows[] = {
	{ .mnemonic = ZYDIS_MNEMONIC_IN, .flags = ROW_END, .form = "IN acc, imm/DX", .bind = bind_io, .fn = in },
	{ .mnemonic = ZYDIS_MNEMONIC_OUT, .flags = ROW_END, .form = "OUT imm/DX, acc", .bind = bind_io, .fn = out },
	STRING(INSB, ins), STRING(INSW, ins), STRING(INSD, ins), STRING(OUTSB, outs), STRING(OUTSW, outs), STRING(OUTSD, outs),
};
/* clang-format on */
const struct row_set exec_io_rows = {rows, ARRAY_LEN(rows)};
