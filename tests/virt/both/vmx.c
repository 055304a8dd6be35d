/* The text of both.c in VMX's encoding. SDM 3C "VM Exits", "Basic VM-Exit Information". */
#include "vmx.h"

#include "both.h"

static u8 stack[4096] __attribute__((aligned(16)));
static u8 io_maps[8192] __attribute__((aligned(4096)));
static u64 user_pml4[512] __attribute__((aligned(4096))), user_pdpt[512] __attribute__((aligned(4096)));
static u64 cr2;

static void on(u32 field, u64 bits)
{
	vmx_write(field, vmx_read(field) | bits);
}

bool both_enable(void)
{
	user_pml4[0] = (u64)user_pdpt | 7;
	for (u64 n = 0; n < 4; n++)
		user_pdpt[n] = n << 30 | 0x87;
	return vmx_enable();
}

void both_guest(void *entry)
{
	if (!vmx_guest((void (*)(void))entry, (u64)stack + sizeof(stack) - 8))
		guest_end(1);
	memset(io_maps, 0, sizeof(io_maps));
}

void both_guest32(void *entry, u64 *gdt_, u64 *idt_, unsigned entries, u16 tr, u64 tss_)
{
	both_guest(entry);
	on(VMCS_PROC2, S_UNRESTRICTED); /* unrestricted guest */
	vmx_write(VMCS_ENTRY_CONTROLS, vmx_read(VMCS_ENTRY_CONTROLS) & ~(1ull << 9));
	vmx_write(VMCS_GUEST_EFER, 0);
	vmx_write(VMCS_GUEST_CR0, read_cr0() & ~(1ull << 31));
	vmx_write(VMCS_GUEST_CS, 8);
	vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)gdt_);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, entries * 8 - 1);
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)idt_);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 256 * 8 - 1);
	vmx_write(VMCS_GUEST_TR, tr);
	vmx_write(VMCS_GUEST_TR_BASE, tss_);
	vmx_write(VMCS_GUEST_ES_LIMIT + 14, 0x67);
	vmx_write(VMCS_GUEST_TR_AR, 0x8b);
}

void both_user(void)
{
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	for (unsigned n = 0; n < 6; n++) {
		vmx_write(VMCS_GUEST_ES + 2 * n, n == 1 ? 0x4b : 0x43);
		vmx_write(VMCS_GUEST_ES_AR + 2 * n, n == 1 ? 0xa0fb : 0xc0f3);
	}
}

void both_cr(unsigned n, bool write, u64 bits)
{
	switch (n) {
	case 0:
		vmx_write(VMCS_CR0_MASK, bits);
		vmx_write(VMCS_CR0_SHADOW, read_cr0());
		break;
	case 3: on(VMCS_PROC, write ? P_CR3_LOAD : P_CR3_STORE); break;
	case 4:
		vmx_write(VMCS_CR4_MASK, bits);
		vmx_write(VMCS_CR4_SHADOW, read_cr4());
		break;
	case 8: on(VMCS_PROC, write ? P_CR8_LOAD : P_CR8_STORE); break;
	}
}

void both_port(u32 port)
{
	io_maps[port / 8] |= (u8)(1 << (port & 7));
	vmx_write(VMCS_IO_A, (u64)io_maps);
	vmx_write(VMCS_IO_B, (u64)io_maps + 4096);
	on(VMCS_PROC, P_IO_MAP);
}

void both_exception(unsigned vector)
{
	on(VMCS_EXCEPTIONS, 1u << vector);
}

void both_idt_limit(u32 limit)
{
	vmx_write(VMCS_GUEST_IDTR_LIMIT, limit);
}

void both_stack(u64 rsp)
{
	vmx_write(VMCS_GUEST_RSP, rsp);
}

void both_flags(u64 rflags)
{
	vmx_write(VMCS_GUEST_RFLAGS, rflags);
}

void both_inject(const struct event *e)
{
	static const u32 type[] = {[EXTERNAL] = 0, [NMI] = 2, [HARDWARE] = 3, [SOFTWARE] = 4};

	vmx_write(VMCS_ENTRY_EVENT, 1u << 31 | (e->has_error ? 1 << 11 : 0) | type[e->kind] << 8 | e->vector);
	vmx_write(VMCS_ENTRY_ERROR, e->error);
}

u64 *both_entry(u64 gpa)
{
	return vmx_ept_entry(gpa);
}

/* The formats of 4404h and 4408h; type 5 is INT1's, 6 that of INT3 and INTO. */
static struct event event(u64 info, u32 error)
{
	static const enum kind kinds[8] = {EXTERNAL, NONE, NMI, HARDWARE, SOFTWARE, HARDWARE, HARDWARE, NONE};

	if (!(info >> 31 & 1))
		return (struct event){.kind = NONE};
	return (struct event){kinds[info >> 8 & 7], (u8)info, info >> 11 & 1, error};
}

static void cr_access(struct outcome *o, u64 q)
{
	unsigned how = q >> 4 & 3;

	o->what = how == 1 ? CR_READ : CR_WRITTEN;
	o->cr = q & 15;
	o->how = how < 2 ? BY_MOV : BY_ANOTHER;
	o->gpr = q >> 8 & 15;
}

static void port(struct outcome *o, u64 q)
{
	o->what = PORT;
	o->size = (u8)((q & 7) + 1);
	o->in = q >> 3 & 1;
	o->string = q >> 4 & 1;
	o->rep = q >> 5 & 1;
	o->port = (u16)(q >> 16);
}

struct outcome both_run(void)
{
	static const enum cause causes[] = {BY_CALL_OR_GATE, BY_IRET, BY_JMP, BY_CALL_OR_GATE};
	struct outcome o = {.what = OTHER};
	u64 q;

	if (vmx_run(false) != VMX_OK) {
		o.code = ~vmx_read(VMCS_ERROR);
		return o;
	}
	cr2 = read_cr2();
	q = vmx_read(VMCS_QUALIFICATION);
	o.code = vmx_read(VMCS_EXIT_REASON);
	o.rip = vmx_read(VMCS_GUEST_RIP);
	o.vectoring = event(vmx_read(VMCS_VECTORING), (u32)vmx_read(VMCS_VECTORING_ERROR));
	switch (o.code) {
	case R_EXCEPTION:
		o.what = EXCEPTION;
		o.event = event(vmx_read(VMCS_EXIT_EVENT), (u32)vmx_read(VMCS_EXIT_ERROR));
		o.address = q;
		return o;
	case R_TRIPLE: o.what = SHUTDOWN; return o;
	case R_VMCALL: o.what = CALLED; return o;
	case R_TASK:
		o.what = TASK;
		o.selector = (u16)q;
		o.cause = causes[q >> 30 & 3];
		return o;
	case R_EPT:
		o.what = SECOND_STAGE;
		o.address = vmx_read(VMCS_GUEST_PHYSICAL);
		o.write = q >> 1 & 1;
		return o;
	case R_CR: cr_access(&o, q); break;
	case R_IO: port(&o, q); break;
	}
	o.next = o.rip + vmx_read(VMCS_EXIT_LENGTH);
	return o;
}

u64 both_cr2(void)
{
	return cr2;
}
