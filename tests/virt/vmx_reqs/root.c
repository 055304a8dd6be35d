/* The runner of root.h. */
#include "../../guest/t64.h"
#include "root.h"
#include "vmx.h"

u64 operand, other_operand[4], vmxon_region, current_region, op_at;
static u8 *code_page;
static enum op_state now = OUTSIDE;

u64 op_fresh(void)
{
	u32 *p = page_alloc();

	p[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	return (u64)p;
}

u64 op_current(void)
{
	u64 v = 0x5a5a;

	asm volatile("vmptrst %0" : "+m"(v)::"cc", "memory");
	return v;
}

static void leave(void)
{
	if (now == ROOT || now == CURRENT)
		asm volatile("vmxoff" ::: "cc");
	now = OUTSIDE;
}

void op_to(enum op_state state)
{
	leave();
	if (state == NO_VMXE) {
		write_cr4(read_cr4() & ~(1ull << 13));
	} else {
		write_cr4(read_cr4() | 1 << 13);
		if (state != OUTSIDE)
			asm volatile("vmxon %0" ::"m"(vmxon_region) : "cc", "memory");
		if (state == CURRENT) {
			current_region = op_fresh();
			asm volatile("vmclear %0; vmptrld %0" ::"m"(current_region) : "cc", "memory");
		}
	}
	now = state;
}

static u8 *load(u8 *p, bool wide, u8 rex, u8 opcode, u64 value)
{
	if (wide)
		*p++ = rex;
	*p++ = opcode;
	memcpy(p, &value, wide ? 8 : 4);
	return p + (wide ? 8 : 4);
}

int op_run(enum op_mode mode, const u8 *code, unsigned length, const struct op_registers *r)
{
	static u8 kernel_stack[4096] __attribute__((aligned(16)));
	bool wide = mode == K64 || mode == U64, user_mode = mode == U64 || mode == U32;
	u64 stack = user_mode ? (u64)(t_stack3 + sizeof(t_stack3)) : (u64)(kernel_stack + sizeof(kernel_stack));
	u64 cs = mode == K64 ? KCODE : mode == U64 ? UCODE : mode == K32 ? KCODE32 : UCODE32;
	u8 *p = code_page;

	p = load(p, wide, 0x48, 0xbb, r->rbx);
	p = load(p, wide, 0x48, 0xb9, r->rcx);
	p = load(p, wide, 0x48, 0xba, r->rdx);
	p = load(p, wide, 0x48, 0xbd, r->rbp);
	if (wide) {
		p = load(p, true, 0x49, 0xb9, r->r9);
		p = load(p, true, 0x49, 0xbb, r->r11);
	}
	op_at = (u64)p;
	memcpy(p, code, length);
	p[length] = 0xcd;
	p[length + 1] = 0x80;
	return CATCH(iret_to((u64)code_page, cs, user_mode ? UDATA : KDATA, stack, ALL_SIX | 2));
}

bool op_unharmed(void)
{
	return last_regs.rip == op_at && (last_regs.rflags & ALL_SIX) == ALL_SIX;
}

static u64 pointer(enum op_pointer p)
{
	u32 r[4];
	u64 fresh = op_fresh();

	cpuid(0x80000008, 0, r);
	switch (p) {
	case P_ODD: return fresh + 0x800;
	case P_HIGH: return fresh | 1ull << (r[0] & 0xff);
	case P_VMXON: return vmxon_region;
	case P_REVISION: *(u32 *)fresh ^= 1; return fresh;
	case P_SHADOW: *(u32 *)fresh |= 1u << 31; return fresh;
	case P_SAME: return current_region;
	default: return fresh;
	}
}

static void after(const struct op_row *w, u64 before)
{
	if (w->after == A_LEFT) {
		vcheck(w->name, "VMX operation has ended", CATCH(op_current()), EX_UD);
		now = OUTSIDE;
	} else if (w->state >= ROOT) {
		u64 want = w->after == A_OPERAND ? operand : w->after == A_NONE ? ~0ull : before;

		vcheck(w->name, "current-VMCS pointer", op_current(), want);
	} else if (w->vector == DONE && w->flags == CLEAR) { /* VMXON */
		now = ROOT;
		vcheck(w->name, "no current VMCS", op_current(), ~0ull);
	} else if (w->state == OUTSIDE) {
		vcheck(w->name, "not in VMX operation", CATCH(op_current()), EX_UD);
	}
}

void op_rows(const struct op_row *row, unsigned count)
{
	for (const struct op_row *w = row; w < row + count; w++) {
		struct op_registers r = {(u64)&operand, 0x681e, 0x1122334455667788, (u64)&operand, 0x681e, (u64)&operand};
		u64 before;
		int v;

		op_to(w->state);
		operand = pointer(w->pointer);
		if (w->pointer == P_UNMAPPED)
			r.rbx = 1ull << 45;
		before = w->state >= ROOT ? op_current() : 0;
		v = op_run(w->mode, w->code, w->length, &r);
		vcheck(w->name, "vector", (u64)v, (u64)w->vector);
		if (v != w->vector)
			continue;
		if (v == DONE) {
			/* all six were 1 before */
			vcheck(w->name, REQ("vmx04.4.2 vmx04.4.3.now vmcall.25") "flags", last_regs.rflags & ALL_SIX, w->flags);
			vcheck(w->name, "next instruction", last_regs.rip, op_at + w->length + 2);
		} else {
			vcheck(w->name, "error code", last_regs.error, 0);
			vcheck(w->name, REQ("vmx04.4.4") "a fault: RIP and flags", op_unharmed(), 1);
		}
		if (w->state == CURRENT && v == DONE && w->flags == FAIL_VALID)
			vcheck(w->name, "VM-instruction error", vmx_read(VMCS_ERROR), w->error);
		after(w, before);
	}
}

bool op_begin(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 5))
		return false;
	t_setup();
	set_gate(0x80, exception_stubs[0x80], 14, 3, 0);
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	write_cr0(read_cr0() | 0x20);
	code_page = page_alloc();
	vmxon_region = op_fresh();
	return true;
}
