/*
 * Zydis -> struct insn. The generic fields are filled here for every instruction alike; then the row's bind() picks
 * specialised handlers. What is #UD by mode or feature is known now, since both are part of the block's key or fixed for
 * the machine: such an instruction is bound to ud().
 */
#include "cpu/decode/index.h"
#include "cpu/state/events.h"

static enum xr ud(struct cpu *c, const struct insn *i)
{
	(void)i;
	return fault_ud(c);
}

static enum xr too_long(struct cpu *c, const struct insn *i)
{
	(void)i;
	return fault_gp(c, 0);
}

static const struct insn_row ud_row = {.form = "(invalid)", .fn = ud, .flags = ROW_BRANCH};
static const struct insn_row too_long_row = {.form = "(too long)", .fn = too_long, .flags = ROW_BRANCH};

static u8 register_slot(ZydisRegister r)
{
	unsigned id = (unsigned)ZydisRegisterGetId(r);

	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8: /* AL CL DL BL, AH CH DH BH, SPL BPL SIL DIL, R8B.. */
		return id < 4 ? REG_OFF(id) : id < 8 ? (u8)(REG_OFF(id - 4) + 1) : REG_OFF(id - 4);
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return REG_OFF(id);
	case ZYDIS_REGCLASS_IP:
		return REG_OFF(REG_RIP);
	case ZYDIS_REGCLASS_INVALID:
		return REG_OFF(REG_ZERO);
	default:
		return (u8)id; /* segment, control, debug, x87, MMX, vector */
	}
}

static bool is_vector(ZydisRegister r)
{
	ZydisRegisterClass cl = ZydisRegisterGetClass(r);

	return cl == ZYDIS_REGCLASS_XMM || cl == ZYDIS_REGCLASS_YMM;
}

static u8 segment_slot(ZydisRegister r)
{
	return r == ZYDIS_REGISTER_NONE ? SEG_DS : (u8)ZydisRegisterGetId(r);
}

static void fill_memory(struct insn *i, const ZydisDecodedOperand *op)
{
	i->flags |= INSN_MEM;
	i->base = register_slot(op->mem.base);
	i->index = register_slot(op->mem.index);
	i->scale = op->mem.scale <= 1 ? 0 : (u8)__builtin_ctz(op->mem.scale);
	i->disp = op->mem.disp.value;
	if (i->base == REG_OFF(REG_RIP))
		i->disp += i->off + i->len;
	i->seg = segment_slot(op->mem.segment);
	i->memsz = (u8)(op->size / 8 > 255 ? 255 : op->size / 8);
}

/* String instructions have two memory operands: the one at rSI carries the segment override. */
static bool is_string_destination(const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	bool string = zi->meta.category == ZYDIS_CATEGORY_STRINGOP || zi->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;

	return string && ZydisRegisterGetId(op->mem.base) == REG_RDI && ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_INVALID;
}

static void fill_immediate(struct insn *i, const ZydisDecodedOperand *op, unsigned *seen)
{
	if ((*seen)++ == 0)
		i->imm = op->imm.is_signed ? (u64)op->imm.value.s : op->imm.value.u;
	else
		i->imm2 = (u8)op->imm.value.u;
}

/* Without a displacement-only ModRM (mod = 0), SIB base 101b is no base, whatever REX.B says: "SIB Byte Format". Zydis 4.0
 * takes it for R13 where the address size is 32 bits. */
static void fix_no_base(const ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	if (!(zi->attributes & ZYDIS_ATTRIB_HAS_SIB) || zi->raw.modrm.mod != 0 || zi->raw.sib.base != 5)
		return;
	for (unsigned k = 0; k < zi->operand_count_visible; k++) {
		if (op[k].type != ZYDIS_OPERAND_TYPE_MEMORY || ZydisRegisterGetId(op[k].mem.base) != 13)
			continue;
		op[k].mem.base = ZYDIS_REGISTER_NONE;
		op[k].mem.disp.has_displacement = ZYAN_TRUE;
		op[k].mem.disp.value = zi->raw.disp.value;
	}
}

/* Zydis also knows the instructions of Knights Corner, among them VEX forms of POPCNT, TZCNT and LZCNT. */
static bool foreign(const ZydisDecodedInstruction *zi)
{
	return zi->meta.isa_ext == ZYDIS_ISA_EXT_KNC || zi->meta.isa_ext == ZYDIS_ISA_EXT_KNCE ||
	       zi->meta.isa_ext == ZYDIS_ISA_EXT_KNCV;
}

static void fill_operands(struct insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	u8 slots[4] = {0xff, 0xff, 0xff, 0xff};
	unsigned immediates = 0;

	for (unsigned k = 0; k < zi->operand_count_visible; k++) {
		switch (op[k].type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (k < 4)
				slots[k] = register_slot(op[k].reg.value);
			if (is_vector(op[k].reg.value))
				i->opsz = zi->avx.vector_length == 256 ? 32 : 16;
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (!(i->flags & INSN_MEM) || !is_string_destination(zi, &op[k]))
				fill_memory(i, &op[k]);
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			i->imm = op[k].ptr.offset;
			i->aux = op[k].ptr.segment;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE: fill_immediate(i, &op[k], &immediates); break;
		default: break;
		}
	}
	memcpy(&i->r0, slots, sizeof(slots));
}

static void fill_flags(struct insn *i, const ZydisDecodedInstruction *zi, u8 mode)
{
	if ((mode & MODE_SIZE) == MODE_64)
		i->flags |= INSN_FLAT;
	if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		i->flags |= INSN_REP;
	if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		i->flags |= INSN_REPNE;
	if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		i->flags |= INSN_VEX;
}

/* Which memory accesses the form has, hidden operands included; an address that is only computed is none. */
static void fill_accesses(struct insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op)
{
	for (unsigned k = 0; k < zi->operand_count; k++) {
		bool reads = op[k].actions & ZYDIS_OPERAND_ACTION_MASK_READ, writes = op[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

		if (op[k].type == ZYDIS_OPERAND_TYPE_MEMORY && op[k].mem.type == ZYDIS_MEMOP_TYPE_MEM)
			i->flags |= reads && writes ? INSN_UPDATES : reads ? INSN_LOADS : writes ? INSN_STORES : 0;
	}
}

static void fill(struct insn *i, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *op, u8 mode)
{
	i->len = zi->length;
	i->opsz = (u8)(zi->operand_width / 8);
	i->addrsz = (u8)(zi->address_width / 8);
	i->seg = SEG_DS;
	i->base = i->index = REG_OFF(REG_ZERO);
	i->opcode = zi->opcode;
	i->cc = zi->opcode & 15;
	if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		i->modrm = (u8)(zi->raw.modrm.mod << 6 | zi->raw.modrm.reg << 3 | zi->raw.modrm.rm);
	fill_flags(i, zi, mode);
	fill_operands(i, zi, op);
	fill_accesses(i, zi, op);
	if (!i->memsz)
		i->memsz = i->opsz;
}

static bool ud_by_mode(u32 flags, u8 mode)
{
	bool m64 = (mode & MODE_SIZE) == MODE_64;

	return ((flags & (ROW_NO_REAL | ROW_AVX)) && !(mode & MODE_PE)) || ((flags & ROW_NO_V86) && (mode & MODE_V86)) ||
	       ((flags & ROW_NOT64) && m64) || ((flags & ROW_ONLY64) && !m64) ||
	       ((flags & ROW_COMPAT_UD) && (mode & MODE_LMA) && !m64);
}

static bool is_locked(const struct insn *i, const struct dec *d)
{
	return (i->flags & INSN_MEM) && ((d->zi->attributes & ZYDIS_ATTRIB_HAS_LOCK) || d->zi->mnemonic == ZYDIS_MNEMONIC_XCHG);
}

/* It is #UD whatever its row asks for otherwise; the row is what it is called by. */
static void bind_unavailable(struct insn *i, const struct insn_row *row, const struct dispatch *how)
{
	i->row = row;
	i->fn = row->unavailable;
	i->fast = how->call;
}

static void bind_row(struct insn *i, const struct dec *d)
{
	const struct insn_row *row = d->row;
	const struct dispatch *how = d->cpu->decode->how;
	const u32 gates = ROW_CPL0 | ROW_FPU | ROW_SSE | ROW_AVX | ROW_MMX;

	if (!row || ud_by_mode(row->flags, d->mode) || (row->feature && !has(d->cpu, (enum feature)row->feature))) {
		if (row && row->unavailable) {
			bind_unavailable(i, row, how);
			return;
		}
		row = &ud_row;
	}
	i->row = row;
	i->fn = row->fn;
	if (row->bind)
		row->bind(i, d);
	if (!i->fn)
		i->fn = ud;
	if (!i->fast)
		i->fast = (row->flags & gates) || (row->icpt && !(row->flags & ROW_LATE_ICPT)) ? how->gated : how->call;
	if (unlikely(d->mode & MODE_LOCKS) && is_locked(i, d) && row != &ud_row)
		i->fast = how->locked;
}

/* LOCK MOV CR0 is CR8 on processors with AltMovCr8; Zydis rejects the prefix. Decode without it, then rename. */
static bool decode_alt_cr8(const struct cpu *c, const ZydisDecoder *z, const u8 *bytes, size_t n, ZydisDecodedInstruction *zi,
			   ZydisDecodedOperand *op)
{
	u8 copy[ZYDIS_MAX_INSTRUCTION_LENGTH];
	size_t len = 0, skipped = 0;

	if (!has(c, FEAT_CR8LEGACY))
		return false;
	for (size_t k = 0; k < n && len < sizeof(copy); k++) {
		if (bytes[k] == 0xf0 && !skipped)
			skipped = 1;
		else
			copy[len++] = bytes[k];
	}
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(z, copy, len, zi, op)) || zi->mnemonic != ZYDIS_MNEMONIC_MOV)
		return false;
	for (unsigned k = 0; k < 2; k++) {
		if (op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && op[k].reg.value == ZYDIS_REGISTER_CR0) {
			op[k].reg.value = ZYDIS_REGISTER_CR8;
			zi->length++;
			return zi->length <= ZYDIS_MAX_INSTRUCTION_LENGTH;
		}
	}
	return false;
}

/* Real and virtual-8086 mode do not have it, as the decoder says, but the row's handler wants to tell so. */
static bool decode_elsewhere(const struct cpu *c, u8 mode, const u8 *bytes, size_t n, ZydisDecodedInstruction *zi, ZydisDecodedOperand *op)
{
	const struct dec d = {.zi = zi, .op = op, .mode = mode, .cpu = c};
	const struct insn_row *row;

	if ((mode & MODE_PE) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_index_decoder(c->decode, mode | MODE_PE), bytes, n, zi, op)))
		return false;
	row = decode_index_find(c->decode, &d);
	return row && row->unavailable;
}

static int bind_invalid(const struct cpu *c, struct insn *i, const struct insn_row *row, size_t len)
{
	i->row = row;
	i->fn = row->fn;
	i->fast = c->decode->how->call;
	i->len = (u8)len;
	return (int)len;
}

size_t decode_reach(const struct insn *i, size_t n)
{
	return i->row == &ud_row || i->row == &too_long_row ? min_u64(n, ZYDIS_MAX_INSTRUCTION_LENGTH) : i->len;
}

int decode_bytes(const struct cpu *c, u8 mode, const u8 *bytes, size_t n, struct insn *out)
{
	const ZydisDecoder *z = decode_index_decoder(c->decode, mode);
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	u16 off = out->off;
	u8 idx = out->idx;
	ZyanStatus st = ZydisDecoderDecodeFull(z, bytes, n, &zi, op);

	memset(out, 0, sizeof(*out));
	out->off = off;
	out->idx = idx;
	if (st == ZYDIS_STATUS_NO_MORE_DATA && n < ZYDIS_MAX_INSTRUCTION_LENGTH)
		return 0;
	if (st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || st == ZYDIS_STATUS_NO_MORE_DATA)
		return bind_invalid(c, out, &too_long_row, 1);
	if (!ZYAN_SUCCESS(st) && !(st == ZYDIS_STATUS_ILLEGAL_LOCK && decode_alt_cr8(c, z, bytes, n, &zi, op)) &&
	    !decode_elsewhere(c, mode, bytes, n, &zi, op))
		return bind_invalid(c, out, &ud_row, 1);

	if (foreign(&zi))
		return bind_invalid(c, out, &ud_row, 1);
	fix_no_base(&zi, op);

	struct dec d = {.zi = &zi, .op = op, .mode = mode, .cpu = c};

	fill(out, &zi, op, mode);
	d.row = decode_index_find(c->decode, &d);
	bind_row(out, &d);
	return out->len;
}

void disassemble(const struct cpu *c, u64 rip, const u8 *bytes, size_t n, char *text, size_t text_len)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter f;

	text[0] = '\0';
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_index_decoder(c->decode, c->mode), bytes, n, &zi, op)))
		return;
	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_FORCE_SIZE, ZYAN_TRUE);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterFormatInstruction(&f, &zi, op, zi.operand_count_visible, text, text_len, rip, ZYAN_NULL);
}
