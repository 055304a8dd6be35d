/*
 * hello-vmx: the smallest complete VMX monitor. It runs three guests one after the other: 64-bit code, 32-bit protected
 * mode without paging, and 16-bit real mode. Every guest executes CPUID (which always leaves the guest), writes its
 * greeting to an I/O port that the monitor serves, touches memory that is not mapped until the monitor maps it, and says
 * goodbye by VMCALL. What the processor does not announce is left out: on one without EPT every page is mapped, on one
 * without "unrestricted guest" the 32-bit guest has paging and there is no real-mode guest. docs/tutorial-vmx.md walks
 * through this file. The chapter names below are of the Intel SDM, volume 3C.
 *
 * The word list. VMX root operation: where the monitor runs. Non-root operation: where the guest runs. VM entry: from
 * root to non-root, by VMLAUNCH the first time and VMRESUME afterwards. VM exit: the way back, for a reason that is in
 * the VMCS, the data structure of one virtual processor, which is read and written by VMREAD and VMWRITE only.
 */
#include "guest.h"

/* ---- 1. The instructions. They report failure in CF (no current VMCS) and ZF (the error number is in the VMCS). ---- */

static bool vmxon(u64 region)
{
	bool failed;

	asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return !failed;
}

static bool vmclear(u64 vmcs)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return !failed;
}

static bool vmptrld(u64 vmcs)
{
	bool failed;

	asm volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return !failed;
}

static u64 vmread(u64 field)
{
	u64 value = 0; /* what is left of it if there is no such field */

	asm volatile("vmread %1, %0" : "+r"(value) : "r"(field) : "cc");
	return value;
}

static bool vmwrite_if_there(u64 field, u64 value)
{
	bool failed;

	asm volatile("vmwrite %2, %1" : "=@ccbe"(failed) : "r"(field), "r"(value));
	return !failed;
}

static void vmwrite(u64 field, u64 value)
{
	if (!vmwrite_if_there(field, value)) {
		print("VMWRITE of field 0x%lx failed\n", field);
		guest_end(1);
	}
}

/* ---- 2. The fields this program uses: "Field Encoding in VMCS". A segment's fields stand 2 apart: ES CS SS DS FS GS
 * LDTR TR. ---- */

enum {
	GUEST_ES = 0x800, GUEST_ES_LIMIT = 0x4800, GUEST_ES_RIGHTS = 0x4814, GUEST_ES_BASE = 0x6806,
	GUEST_GDTR_LIMIT = 0x4810, GUEST_IDTR_LIMIT = 0x4812, GUEST_GDTR_BASE = 0x6816, GUEST_IDTR_BASE = 0x6818,
	GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804, GUEST_DR7 = 0x681a, GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820, GUEST_EFER = 0x2806, GUEST_LINK = 0x2800,
	HOST_ES = 0xc00, HOST_CS = 0xc02, HOST_SS = 0xc04, HOST_DS = 0xc06, HOST_FS = 0xc08, HOST_GS = 0xc0a, HOST_TR = 0xc0c,
	HOST_EFER = 0x2c02, HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e,
	PIN_CONTROLS = 0x4000, PROC_CONTROLS = 0x4002, EXIT_CONTROLS = 0x400c, ENTRY_CONTROLS = 0x4012, PROC2_CONTROLS = 0x401e,
	CR0_MASK = 0x6000, CR0_SHADOW = 0x6004, EPT_POINTER = 0x201a,
	INSTRUCTION_ERROR = 0x4400, EXIT_REASON = 0x4402, EXIT_LENGTH = 0x440c, QUALIFICATION = 0x6400, GUEST_PHYSICAL = 0x2400,
};
enum { REASON_TRIPLE_FAULT = 2, REASON_CPUID = 10, REASON_VMCALL = 18, REASON_IO = 30, REASON_EPT_VIOLATION = 48 };

/* ---- 3. VMX operation: "Enabling and Entering VMX Operation" ---- */

enum { MSR_FEATURE_CONTROL = 0x3a, MSR_VMX_BASIC = 0x480, MSR_PIN = 0x481, MSR_CR0_FIXED0 = 0x486, MSR_CR0_FIXED1 = 0x487,
       MSR_CR4_FIXED0 = 0x488, MSR_CR4_FIXED1 = 0x489, MSR_PROC2 = 0x48b, MSR_TRUE_PIN = 0x48d, MSR_EFER = 0xc0000080 };

/* VMXON region and VMCS are pages whose first word is the processor's revision identifier. The rest is its business. */
static u64 region(void)
{
	u32 *page = page_alloc();

	page[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	return (u64)page;
}

static bool enter_vmx_operation(void)
{
	u32 leaf[4];

	cpuid(1, 0, leaf);
	if (!(leaf[2] & 1 << 5))
		return false; /* no VMX */
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5); /* firmware's job: VMXON outside SMX allowed, and locked */
	/* Some bits of CR0 and CR4 (CR4.VMXE first of all) are fixed in VMX operation; two MSRs each say which. */
	write_cr0((read_cr0() | rdmsr(MSR_CR0_FIXED0)) & rdmsr(MSR_CR0_FIXED1));
	write_cr4((read_cr4() | rdmsr(MSR_CR4_FIXED0)) & rdmsr(MSR_CR4_FIXED1));
	return vmxon(region());
}

/* "Algorithms for Determining VMX Capabilities". Four words of controls have an MSR each, one behind the other; younger
 * processors have four more, precise ones, beside them. */
enum { PIN, PROC, EXIT, ENTRY };

static u64 capability(unsigned word)
{
	bool precise = rdmsr(MSR_VMX_BASIC) >> 55 & 1;

	return rdmsr((precise ? MSR_TRUE_PIN : MSR_PIN) + word);
}

/* The high half of such an MSR has the bits that may be 1. */
static bool may_be_1(u64 capability_of_word, u64 bits)
{
	return (capability_of_word >> 32 & bits) == bits;
}

static bool has_secondary(u64 bits)
{
	return may_be_1(capability(PROC), 1u << 31) && may_be_1(rdmsr(MSR_PROC2), bits);
}

#define PROC2_EPT             (1 << 1)
#define PROC2_UNRESTRICTED    (1 << 7) /* guests without paging, and in real mode */
static bool ept, unrestricted;

/* ---- 4. Memory: an extended page table that maps guest-physical 0 to 1 GiB one to one, by 2 MiB pages, with one hole.
 * "The Extended Page Table Mechanism". Bits 2:0 read, write, execute; bits 5:3 of a page 6, write-back; bit 7 a page. */

#define HOLE 0x10000000ull /* 256 MiB: not mapped until a guest touches it */

static u64 *ept_directory;

static u64 make_ept(void)
{
	u64 *level4 = page_alloc(), *level3 = page_alloc();

	ept_directory = page_alloc();
	level4[0] = (u64)level3 | 7;
	level3[0] = (u64)ept_directory | 7;
	for (u64 n = 0; n < 512; n++)
		ept_directory[n] = n << 21 | 7 | 6 << 3 | 1 << 7;
	return (u64)level4 | 3 << 3 | 6; /* four levels, the tables themselves are write-back memory */
}

/* Where a guest must have paging: ordinary 32-bit page tables, which map 4 GiB one to one by pages of 4 MiB. */
static u64 make_page_table32(void)
{
	u32 *directory = page_alloc();

	for (u32 n = 0; n < 1024; n++)
		directory[n] = n << 22 | 0x83;
	return (u64)directory;
}

/* ---- 5. The guests ---- */

#define GREETING_PORT 0x500 /* nobody is there but the monitor */

static void long_mode_guest(void)
{
	static const char text[] = "hello from a 64-bit guest\n";
	u32 leaf[4];

	cpuid(0x40000000, 0, leaf); /* the monitor answers with its name */
	for (const char *p = text; *p; p++)
		outb(GREETING_PORT, (u8)*p);
	*(volatile u32 *)HOLE = 64;
	asm volatile("vmcall");
}

/* The other two are machine code of their own mode; the linker puts them here, and real mode needs a copy below 1 MiB. */
extern u8 code32[], code32_end[], code16[], code16_end[];
asm(".data\n"
    ".code32\n"
    "code32:	mov $0x40000000, %eax; cpuid\n"
    "	mov $text32, %esi; mov $0x500, %edx; cld\n"
    "1:	lodsb; test %al, %al; jz 2f; outb %al, (%dx); jmp 1b\n"
    "2:	movl $32, 0x10000000; vmcall\n"
    "text32:	.asciz \"hello from a 32-bit guest\\n\"\n"
    "code32_end:\n"
    ".code16\n"
    "code16:	mov $0x40000000, %eax; cpuid\n"
    "	mov $(text16 - code16), %si; mov $0x500, %dx; cld\n"
    "1:	lodsb; test %al, %al; jz 2f; outb %al, (%dx); jmp 1b\n"
    "2:	vmcall\n" /* 256 MiB is out of reach here */
    "text16:	.asciz \"hello from a 16-bit guest\\n\"\n"
    "code16_end:\n"
    ".code64\n"
    ".text\n");

/* ---- 6. Filling the VMCS ---- */

/* The low half of a capability MSR has the bits that must be 1. */
static u64 controls(u64 capability_of_word, u64 wanted)
{
	if (!may_be_1(capability_of_word, wanted)) {
		print("this processor lacks a control that is needed (0x%lx, of 0x%lx)\n", wanted, capability_of_word);
		guest_end(1);
	}
	return wanted | (u32)capability_of_word;
}

/* Those of `wanted` that the processor has. */
static u64 optional(unsigned word, u64 wanted)
{
	return wanted & capability(word) >> 32;
}

#define PROC_UNCONDITIONAL_IO (1 << 24)
#define PROC_SECONDARY        (1u << 31)
#define EXIT_HOST_IS_64       (1 << 9)
#define EXIT_SAVE_EFER        (1 << 20)
#define EXIT_LOAD_EFER        (1 << 21)
#define ENTRY_GUEST_IS_64     (1 << 9)
#define ENTRY_LOAD_EFER       (1 << 15)

/* "VM-Execution Control Fields": what leaves the guest, and how entries and exits work. */
static void write_controls(bool guest64)
{
	vmwrite(PIN_CONTROLS, controls(capability(PIN), 0));
	vmwrite(PROC_CONTROLS, controls(capability(PROC), PROC_UNCONDITIONAL_IO | (ept ? PROC_SECONDARY : 0)));
	vmwrite(EXIT_CONTROLS, controls(capability(EXIT), EXIT_HOST_IS_64 | optional(EXIT, EXIT_SAVE_EFER | EXIT_LOAD_EFER)));
	vmwrite(ENTRY_CONTROLS, controls(capability(ENTRY), optional(ENTRY, ENTRY_LOAD_EFER) | (guest64 ? ENTRY_GUEST_IS_64 : 0)));
	vmwrite_if_there(GUEST_LINK, ~0ull); /* no shadow VMCS; nothing but the attempt tells whether there is the field */
	if (ept) {
		vmwrite(PROC2_CONTROLS, controls(rdmsr(MSR_PROC2), PROC2_EPT | (unrestricted ? PROC2_UNRESTRICTED : 0)));
		vmwrite(EPT_POINTER, make_ept());
	}
}

/* "Initializing a VMCS": a field that the processor reads and nobody has written may hold anything. These are 0 here; the oldest
 * processors lack some of them. */
static void write_zeros(void)
{
	static const u16 fields[] = {
		0x4004, 0x4006, 0x4008, 0x400a, 0x400e, 0x4010, 0x4014, 0x4016, /* exception bitmap to interruption information */
		CR0_MASK, 0x6002, 0x6008, 0x600a, 0x600c, 0x600e,               /* and CR4's, CR3-target values */
		0x2802, 0x4824, 0x4826, 0x482a, 0x6822, 0x6824, 0x6826,         /* guest: DEBUGCTL, what blocks it, activity, SYSENTER */
		0x4c00, 0x6c06, 0x6c08, 0x6c10, 0x6c12,                         /* host: SYSENTER, FS and GS base */
	};

	for (unsigned n = 0; n < sizeof(fields) / sizeof(fields[0]); n++)
		vmwrite_if_there(fields[n], 0);
}

/* "Host-State Area": where the processor stands after a VM exit. RSP and RIP are written just before entry. */
static void write_host(void)
{
	static const u16 data[] = {HOST_ES, HOST_SS, HOST_DS, HOST_FS, HOST_GS};

	for (unsigned n = 0; n < 5; n++)
		vmwrite(data[n], 0x10);
	vmwrite(HOST_CS, 0x08);
	vmwrite(HOST_TR, 0x28);
	vmwrite(HOST_TR_BASE, (u64)tss);
	vmwrite(HOST_GDTR_BASE, (u64)gdt);
	vmwrite(HOST_IDTR_BASE, (u64)idt);
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR3, read_cr3());
	vmwrite(HOST_CR4, read_cr4());
	if (optional(EXIT, EXIT_LOAD_EFER))
		vmwrite(HOST_EFER, rdmsr(MSR_EFER)); /* otherwise LMA and LME are "host address-space size", the rest stays */
}

static void write_segment(unsigned n, u64 selector, u64 base, u64 limit, u64 rights)
{
	vmwrite(GUEST_ES + 2 * n, selector);
	vmwrite(GUEST_ES_BASE + 2 * n, base);
	vmwrite(GUEST_ES_LIMIT + 2 * n, limit);
	vmwrite(GUEST_ES_RIGHTS + 2 * n, rights);
}

enum { CR0_PE = 1, CR0_NE = 1 << 5, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5 };
#define CR0_PG (1u << 31)

/* Which of the three modes a guest is in is for the control registers to say. */
static void write_mode(unsigned bits)
{
	bool paging = bits == 64 || !unrestricted;

	vmwrite(GUEST_CR0, bits == 64 ? read_cr0() : CR0_NE | (bits == 32 ? CR0_PE : 0) | (paging ? CR0_PG : 0));
	vmwrite(GUEST_CR3, bits == 64 ? read_cr3() : paging ? make_page_table32() : 0);
	vmwrite(GUEST_CR4, bits == 64 ? read_cr4() : (read_cr4() & ~(u64)CR4_PAE) | CR4_PSE);
	if (optional(ENTRY, ENTRY_LOAD_EFER))
		vmwrite(GUEST_EFER, bits == 64 ? rdmsr(MSR_EFER) : 0);
}

/* "Guest-State Area": where it starts. In every mode segments are given whole: base, limit and rights. */
static void write_guest(unsigned bits, u64 entry, u64 stack)
{
	u64 base = bits == 16 ? entry : 0, limit = bits == 16 ? 0xffff : 0xffffffff;
	u64 code = bits == 64 ? 0xa09b : bits == 32 ? 0xc09b : 0x009b; /* L, or D, or neither; present, accessed code */
	u64 data = bits == 16 ? 0x0093 : 0xc093;

	for (unsigned n = 0; n < 6; n++)
		write_segment(n, bits == 16 ? base >> 4 : n == 1 ? 0x08 : 0x10, base, limit, n == 1 ? code : data);
	write_segment(6, 0, 0, 0, 0x10000);        /* LDTR: unusable */
	write_segment(7, 0x28, (u64)tss, 0x67, 0x8b); /* TR: a busy 32-bit or 64-bit TSS */
	vmwrite(GUEST_GDTR_BASE, (u64)gdt);
	vmwrite(GUEST_GDTR_LIMIT, 0x7f);
	vmwrite(GUEST_IDTR_BASE, 0);
	vmwrite(GUEST_IDTR_LIMIT, 0); /* an exception here becomes a triple fault, which leaves the guest */
	write_mode(bits);
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_RFLAGS, 2);
	vmwrite(GUEST_RIP, bits == 16 ? 0 : entry);
	vmwrite(GUEST_RSP, stack);
}

/* ---- 7. Into the guest and back. The VMCS holds no general registers but RSP: they are switched here. ---- */

struct registers { u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15; };

bool enter(struct registers *r, bool resume); /* false: VMLAUNCH or VMRESUME failed, we never left */
asm("enter:	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
    "	mov $0x6c14, %eax; vmwrite %rsp, %rax\n" /* host RSP: this stack */
    "	lea come_back(%rip), %rdx; mov $0x6c16, %eax; vmwrite %rdx, %rax\n" /* host RIP */
    "	cmp $0, %sil\n"				/* no MOV below changes ZF */
    "	mov 0(%rdi), %rax; mov 8(%rdi), %rbx; mov 16(%rdi), %rcx; mov 24(%rdi), %rdx; mov 32(%rdi), %rsi\n"
    "	mov 48(%rdi), %rbp; mov 56(%rdi), %r8; mov 64(%rdi), %r9; mov 72(%rdi), %r10; mov 80(%rdi), %r11\n"
    "	mov 88(%rdi), %r12; mov 96(%rdi), %r13; mov 104(%rdi), %r14; mov 112(%rdi), %r15; mov 40(%rdi), %rdi\n"
    "	jne 1f; vmlaunch; jmp 2f\n"
    "1:	vmresume\n"
    "2:	pop %rdi; xor %eax, %eax; jmp 3f\n"
    "come_back:	xchg %rdi, (%rsp)\n"		/* our pointer; the guest's RDI waits on the stack */
    "	mov %rax, 0(%rdi); mov %rbx, 8(%rdi); mov %rcx, 16(%rdi); mov %rdx, 24(%rdi); mov %rsi, 32(%rdi)\n"
    "	mov %rbp, 48(%rdi); mov %r8, 56(%rdi); mov %r9, 64(%rdi); mov %r10, 72(%rdi); mov %r11, 80(%rdi)\n"
    "	mov %r12, 88(%rdi); mov %r13, 96(%rdi); mov %r14, 104(%rdi); mov %r15, 112(%rdi)\n"
    "	pop %rax; mov %rax, 40(%rdi); mov $1, %eax\n"
    "3:	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

/* ---- 8. What a VM exit asks for ---- */

static void skip_instruction(void)
{
	vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_LENGTH));
}

/* "Instructions That Cause VM Exits Unconditionally": the monitor decides what the guest sees of the processor. */
static void serve_cpuid(struct registers *r)
{
	u32 out[4];

	cpuid((u32)r->rax, (u32)r->rcx, out);
	if ((u32)r->rax == 0x40000000)
		memcpy(&out[1], "hello-vmx   ", 12);
	r->rax = out[0];
	r->rbx = out[1];
	r->rcx = out[2];
	r->rdx = out[3];
	print("  CPUID exit at 0x%lx\n", vmread(GUEST_RIP));
	skip_instruction();
}

/* "Exit Qualification for I/O Instructions": 2:0 size - 1, 3 in, 31:16 port. */
static void serve_io(struct registers *r)
{
	u64 q = vmread(QUALIFICATION);

	if (q >> 16 == GREETING_PORT && !(q & 8))
		print("%c", (int)(r->rax & 0xff));
	else if (q & 8)
		r->rax |= ~0u; /* nobody answers */
	skip_instruction();
}

/* "EPT Violations": map the page; the instruction runs again, so RIP stays. */
static bool serve_violation(void)
{
	u64 address = vmread(GUEST_PHYSICAL);

	print("  EPT violation: %s at guest-physical 0x%lx\n", vmread(QUALIFICATION) & 2 ? "write" : "read", address);
	if (address >> 21 != HOLE >> 21)
		return false;
	ept_directory[HOLE >> 21] = HOLE | 7 | 6 << 3 | 1 << 7;
	return true;
}

/* One guest from its first instruction to its VMCALL. */
static bool run(struct registers *r)
{
	for (bool resume = false;; resume = true) {
		if (!enter(r, resume)) {
			print("VM entry failed, VM-instruction error %lu\n", vmread(INSTRUCTION_ERROR));
			return false;
		}
		switch (vmread(EXIT_REASON)) {
		case REASON_CPUID: serve_cpuid(r); break;
		case REASON_IO: serve_io(r); break;
		case REASON_VMCALL: return true;
		case REASON_EPT_VIOLATION:
			if (serve_violation())
				break;
			return false;
		default:
			print("unexpected VM exit: reason 0x%lx, qualification 0x%lx, RIP 0x%lx\n", vmread(EXIT_REASON),
			      vmread(QUALIFICATION), vmread(GUEST_RIP));
			return false;
		}
	}
}

static bool guest(const char *name, unsigned bits, u64 entry)
{
	struct registers r = {0};
	u64 vmcs = region();

	print("%s\n", name);
	if (!vmclear(vmcs) || !vmptrld(vmcs)) /* its launch state is now clear, and it is the current VMCS */
		return false;
	write_zeros();
	write_controls(bits == 64);
	write_host();
	write_guest(bits, entry, bits == 16 ? 0x1000 : (u64)page_alloc() + 4096 - 8);
	if (ept)
		ept_directory[HOLE >> 21] = 0;
	*(volatile u32 *)HOLE = 0;

	bool ok = run(&r) && (bits == 16 || *(volatile u32 *)HOLE == bits);

	vmclear(vmcs);
	return ok;
}

int main(void)
{
	if (!enter_vmx_operation()) {
		print("hello-vmx: this processor has no VMX (try --cpu intel)\n");
		return 1;
	}
	ept = has_secondary(PROC2_EPT);
	unrestricted = ept && has_secondary(PROC2_UNRESTRICTED);
	memcpy((void *)0x8000, code16, (size_t)(code16_end - code16)); /* real mode reaches the first MiB */

	bool ok = guest("long-mode guest", 64, (u64)long_mode_guest) && guest("protected-mode guest", 32, (u64)code32);

	if (ok && unrestricted)
		ok = guest("real-mode guest", 16, 0x8000);
	asm volatile("vmxoff" ::: "cc");
	print(!ok ? "hello-vmx: something went wrong\n" : unrestricted ? "hello-vmx: three guests ran and ended\n" :
									"hello-vmx: two guests ran and ended\n");
	return ok ? 0 : 1;
}
