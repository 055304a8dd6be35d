/*
 * What the vector tests share: a bare struct cpu whose L1 maps the computer's own addresses, the decoder's adapter in
 * small, and what host_memory.h puts in place of the floors around exec.
 */
#ifndef VECTOR_HARNESS_H
#define VECTOR_HARNESS_H

#include "cpu/exec/sse.h"
#include "host_memory.h"
#include "host_model.h"

static struct cpu *cpu;
static u8 *memory; /* two pages */
static ZydisDecoder decoder;

static const struct row_set *const sets[] = { &exec_sse_rows, &exec_sseint_rows, &exec_avx_rows, &exec_crypto_rows };

enum xr op_read(struct cpu *c, const struct insn *i, unsigned size, u64 *out)
{
	*out = 0;
	memcpy(out, (const void *)insn_ea(c, i), size);
	return XR_OK;
}

/* What the decoder's adapter does. */
static u8 slot_of(const ZydisDecodedOperand *o)
{
	ZydisRegister r = o->reg.value;
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
		return (u8)(r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH ? (r - ZYDIS_REGISTER_AH) * 8 + 1 :
			    r >= ZYDIS_REGISTER_SPL ? (r - ZYDIS_REGISTER_SPL + 4) * 8 : (r - ZYDIS_REGISTER_AL) * 8);
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (u8)(ZydisRegisterGetId(r) * 8);
	default:
		return (u8)ZydisRegisterGetId(r);
	}
}

static const struct insn_row *decode(const u8 *bytes, size_t len, struct insn *out)
{
	static ZydisDecodedInstruction zi;
	static ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct dec d = { .zi = &zi, .op = op, .mode = MODE_64 | MODE_LMA | MODE_PE, .cpu = cpu };
	u8 *slots = &out->r0;
	unsigned immediates = 0;

	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, len, &zi, op)))
		return NULL;
	memset(out, 0, sizeof(*out));
	for (unsigned k = 0; k < ARRAY_LEN(sets) && !out->row; k++) {
		for (size_t r = 0; r < sets[k]->count && !out->row; r++) {
			d.row = &sets[k]->rows[r];
			if (d.row->mnemonic == zi.mnemonic && (!d.row->match || d.row->match(&d)))
				out->row = d.row;
		}
	}
	if (!out->row)
		return NULL;
	out->len = (u8)len;
	out->addrsz = 8;
	out->base = out->index = REG_OFF(REG_ZERO);
	out->flags = INSN_FLAT;
	memset(slots, 0xff, 4);
	for (unsigned k = 0; k < zi.operand_count_visible; k++) {
		const ZydisDecodedOperand *o = &op[k];
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			out->flags |= INSN_MEM;
			out->base = REG_OFF(ZydisRegisterGetId(o->mem.base));
			out->disp = o->mem.disp.value;
			out->memsz = (u8)(o->size / 8);
			out->seg = SEG_DS;
		} else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && k < 4) {
			slots[k] = slot_of(o);
		} else if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !immediates++) {
			out->imm = o->imm.is_signed ? (u64)o->imm.value.s : o->imm.value.u;
		}
	}
	out->fn = out->row->fn;
	if (out->row->bind)
		out->row->bind(out, &d);
	return out->row;
}

static void map_page(const void *p)
{
	static u8 no_flags;
	la_t la = (la_t)p;
	struct l1_entry *e = &cpu->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];

	*e = (struct l1_entry){ .tag_r = (la & PAGE_MASK) | cpu->ctx, .tag_w = (la & PAGE_MASK) | cpu->ctx,
				.add = 0, .flag = &no_flags };
}

/* A bare processor with everything on and two pages of memory. */
static bool harness_init(void)
{
	static struct cpu_model model;

	model.quirks = host_quirks();
	cpu = calloc(1, (sizeof(*cpu) + 63) & ~(size_t)63);
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!cpu || memory == MAP_FAILED)
		return false;
	cpu->model = &model;
	cpu->ctx = 1;
	cpu->mode = MODE_64 | MODE_LMA | MODE_PE;
	cpu->cr4 = CR4_OSXMMEXCPT | CR4_OSFXSR;
	memset(&cpu->feat, 0xff, sizeof(cpu->feat));
	map_page(memory);
	map_page(memory + 4096);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return true;
}

#endif
