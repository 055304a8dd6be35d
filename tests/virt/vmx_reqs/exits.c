/* The runner of reqs.h. */
#include "reqs.h"

u64 g_flags, g_in[16], g_out[16], scratch[512] __attribute__((aligned(4096)));
u8 *code_page;
static u8 stack[8192] __attribute__((aligned(16)));

asm(".globl run_guest\nrun_guest: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    " mov $0x6c14, %eax; vmwrite %rsp, %rax; mov $0x6c16, %eax; lea 1f(%rip), %rcx; vmwrite %rcx, %rax\n"
    " mov g_in+8(%rip), %rcx; mov g_in+16(%rip), %rdx; mov g_in+24(%rip), %rbx; mov g_in+40(%rip), %rbp\n"
    " mov g_in+48(%rip), %rsi; mov g_in+64(%rip), %r8; mov g_in+72(%rip), %r9; mov g_in+80(%rip), %r10\n"
    " mov g_in+88(%rip), %r11; mov g_in+96(%rip), %r12; mov g_in+104(%rip), %r13; mov g_in+112(%rip), %r14\n"
    " mov g_in+120(%rip), %r15; mov g_in+0(%rip), %rax; test %edi, %edi; mov g_in+56(%rip), %rdi; jnz 2f\n"
    " vmlaunch; jmp 3f\n"
    "2: vmresume\n"
    "3: setc %al; movzbl %al, %eax; setz %cl; movzbl %cl, %ecx; lea (%rax,%rcx,2), %eax; jmp 4f\n"
    "1: pushfq; popq g_flags(%rip); mov %rax, g_out(%rip); mov %rcx, g_out+8(%rip); mov %rdx, g_out+16(%rip); mov %rbx, g_out+24(%rip)\n"
    " mov %rbp, g_out+40(%rip); mov %rsi, g_out+48(%rip); mov %rdi, g_out+56(%rip); mov %r8, g_out+64(%rip)\n"
    " mov %r9, g_out+72(%rip); mov %r10, g_out+80(%rip); mov %r11, g_out+88(%rip); mov %r12, g_out+96(%rip)\n"
    " mov %r13, g_out+104(%rip); mov %r14, g_out+112(%rip); mov %r15, g_out+120(%rip); xor %eax, %eax\n"
    "4: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n");
u32 run_guest(u64 resume);

void on(u32 field, u64 bits)
{
	vmx_write(field, vmx_read(field) | bits);
}

void off(u32 field, u64 bits)
{
	vmx_write(field, vmx_read(field) & ~bits);
}

static u64 outcome(u32 r)
{
	if (!r)
		return vmx_read(VMCS_EXIT_REASON);
	print("entry fails: %u, error %lu\n", r, vmx_read(VMCS_ERROR));
	return ~0ull;
}

u64 go(void)
{
	return outcome(run_guest(0));
}

u64 again(void)
{
	return outcome(run_guest(1));
}

u64 *fresh_page(void)
{
	return page_alloc();
}

void guest(enum guest_mode m, const struct snippet *code)
{
	guest_bytes(m, (const u8 *)code->entry, length_of(code));
}

void guest_bytes(enum guest_mode m, const u8 *code, unsigned length)
{
	static const u32 user_data[] = {VMCS_GUEST_ES, VMCS_GUEST_SS, VMCS_GUEST_DS, VMCS_GUEST_FS, VMCS_GUEST_GS};

	memcpy(code_page, code, length);
	memcpy(code_page + length, (u8[]){0x0f, 0x01, 0xc1}, 3);
	if (!vmx_guest((void (*)(void))code_page, (u64)stack + sizeof(stack) - 64))
		print("no VMCS\n");
	if (m == G64_USER || m == G_COMPAT_USER) {
		for (unsigned n = 0; n < 5; n++) {
			vmx_write(user_data[n], 0x43);
			vmx_write(VMCS_GUEST_ES_AR + user_data[n] - VMCS_GUEST_ES, 0xc0f3);
		}
		vmx_write(VMCS_GUEST_CS, m == G64_USER ? 0x4b : 0x5b);
		vmx_write(VMCS_GUEST_CS_AR, m == G64_USER ? 0xa0fb : 0xc0fb);
	} else if (m == G_COMPAT) {
		vmx_write(VMCS_GUEST_CS, 0x18);
		vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
	}
}

void rows(const struct row *r, unsigned count)
{
	for (const struct row *w = r; w < r + count; w++) {
		unsigned length = length_of(w->code);
		u64 reason;

		guest(w->mode, w->code);
		memset(g_in, 0, sizeof(g_in));
		memcpy(g_in, w->reg, sizeof(w->reg));
		for (unsigned n = 0; n < 4 && (n == 0 || w->edit[n].field); n++)
			if (w->edit[n].field)
				on(w->edit[n].field, w->edit[n].set);
		reason = go();
		vcheck(w->name, "exit reason", reason, w->reason);
		if (reason != w->reason)
			continue;
		if (reason == R_VMCALL && length) {
			vcheck(w->name, "RIP of the VMCALL behind", vmx_read(VMCS_GUEST_RIP), CODE + length);
			continue;
		}
		vcheck(w->name, "RIP at the instruction", vmx_read(VMCS_GUEST_RIP), CODE);
		vcheck(w->name, "no vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
		if (reason == R_EXCEPTION) {
			vcheck(w->name, "event", vmx_read(VMCS_EXIT_EVENT), w->event);
			continue;
		}
		vcheck(w->name, "length", vmx_read(VMCS_EXIT_LENGTH), length ? length : 3);
		vcheck(w->name, "qualification", vmx_read(VMCS_QUALIFICATION), w->qualification);
		vcheck(w->name, "no event", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
		g_in[4] = g_out[4] = 0;
		vcheck(w->name, "general registers", (u64)memcmp(g_in, g_out, sizeof(g_in)), 0);
	}
}

bool runner_begin(void)
{
	if (!vmx_enable())
		return false;
	pml4[0] |= 4;
	for (unsigned g = 0; g < 4; g++) {
		pdpt[g] |= 4;
		for (unsigned k = 0; k < 512; k++)
			pds[g][k] |= 4;
	}
	write_cr3(read_cr3());
	*(u16 *)(tss + 0x66) = 0x68; /* no I/O permission map */
	code_page = page_alloc();
	return true;
}
