/* The host at its limits, permission maps as physical memory, restarts, legacy guests, virtual interrupt masking. */
#include "reqs.h"

SNIPPET(m_nop, "nop; nop");
SNIPPET(m_in, "mov $0x3ff, %edx; mov $0x5a, %eax; out %al, %dx");
SNIPPET(m_rep, "mov $0x3ff, %edx; mov $scratch, %edi; mov $3, %ecx; rep insb");
SNIPPET(m_rdmsr, "mov $0xc0000081, %ecx; rdmsr");
SNIPPET(m_efer, "mov $0xc0000080, %ecx; rdmsr; mov %eax, seen");
SNIPPET(m_mtrr, "mov $0x200, %ecx; mov $0x55000006, %eax; xor %edx, %edx; wrmsr; rdmsr; mov %eax, seen");
SNIPPET(m_read, "mov (%rax), %rbx; mov %rbx, seen");
SNIPPET(m_remap,
        "mov (%rax), %rcx; mov %rsi, (%rdi); mov %cr3, %rcx; mov %rcx, %cr3; mov (%rax), %rbx; mov %rbx, seen");

/* ---- the instruction behind VMRUN lies beyond CS's limit, or beyond the canonical addresses ---- */

asm(".pushsection .text\n"
    "limit_go: mov %rdi, %rax; pushq $0x38; lea limit_vmrun - 0x100000, %ecx; push %rcx; lretq\n"
    ".code32\nlimit_vmrun: vmrun\n.code64\nlimit_behind: hlt\n"
    ".popsection");
extern void limit_go(u64 vmcb);
extern char limit_behind[];

static void host_limits(void)
{
	u64 was = gdt[7], limit = (u64)limit_behind - 0x100000 - 1;
	u8 *page = page_alloc();
	void (*edge)(void) = (void (*)(void))0x7ffffffffffdull;
	u64 *root = (u64 *)read_cr3(), a = (u64)v;

	gdt[7] = 0x00409b1000000000 | (limit & 0xffff) | (limit >> 16 & 15) << 48;
	base(m_nop);
	check(REQ("svm.2.3.25") "RIP beyond the CS limit", CATCH(limit_go((u64)v)), 13);
	asm volatile("stgi");
	check(REQ("svm.2.3.25") "at that RIP", last_fault.rip, limit + 1);
	check(REQ("svm.2.3.25") "in the host's code segment", last_regs.cs, 0x38);
	check(REQ("svm.2.3.25") "the guest had run", v->exitcode, EXIT_VMMCALL);
	gdt[7] = was;

	page[4093] = 0x0f, page[4094] = 0x01, page[4095] = 0xd8;
	map_page(root, 0x7ffffffff000, (u64)page, 3);
	base(m_nop);
	check(REQ("svm.2.3.26") "RIP not canonical",
	      CATCH(asm volatile("call *%1"
	                         : "+a"(a)
	                         : "r"(edge)
	                         : "rbx", "rcx", "rdx", "rsi", "rdi", "memory")),
	      13);
	asm volatile("stgi");
	check(REQ("svm.2.3.26") "at that RIP", last_fault.rip, 0x800000000000);
	check(REQ("svm.2.3.26") "the guest had run", v->exitcode, EXIT_VMMCALL);
	root[255] = 0;
	write_cr3((u64)root);
}

/*
 * Twice: up to the intercept, then, without it and with the guest's own registers, to the end.
 */
u32 *clear_at, clear_mask;
u64 first_code;
asm(".pushsection .text\n"
    "run_twice: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; clgi; mov v, %rax; vmrun\n"
    "mov v, %rax; push %rbx; mov 0x70(%rax), %rbx; mov %rbx, first_code; mov clear_at, %rax; mov clear_mask, %ebx\n"
    "and %ebx, (%rax); pop %rbx; mov v, %rax; vmrun\n"
    "stgi; cld; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");
extern void run_twice(void);

static u64 again(unsigned word, u32 bits)
{
	clear_at = (u32 *)v + word;
	clear_mask = ~bits;
	*clear_at |= bits;
	asm volatile("call run_twice" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
	return v->exitcode;
}

/* ---- the permission maps ---- */

static void maps(void)
{
	u8 *iopm = (u8 *)0x7200000, *msrpm = (u8 *)0x7204000, scratch_register;

	memset(iopm, 0, 0x3000);
	memset(msrpm, 0, 0x2000);
	iopm[0x3ff / 8] = 1 << (0x3ff & 7);
	msrpm[0x800 + 0x81 / 4] = 1 << (0x81 & 3) * 2;
	outb(0x3ff, 0xc3);
	for (unsigned n = 0; n < 2; n++) {
		/* the maps' pages are in no table of the guest: neither its own nor the nested ones */
		base(n ? m_rdmsr : m_in);
		u64 *nested = split(0x7200000);

		nested[0] = nested[1] = nested[2] = nested[4] = nested[5] = 0;
		v->intercept1 |= SVM_IOIO | SVM_MSR;
		v->iopm_pa = (u64)iopm | 0xabc;
		v->msrpm_pa = (u64)msrpm | 0xdef;
		v->rax = 0x77;
		if (n) {
			check(REQ("svm.2.7.15 svm.2.7.12 svm.P.3") "RDMSR by the map", go(), 0x7c);
		} else {
			check(REQ("svm.2.6.11 svm.2.6.3 svm.P.3 svm.2.6.21") "OUT by the map", go(), 0x7b);
			check(REQ("svm.2.6.23 svm.4.VMRUN.21") "EXITINFO1", v->exitinfo1, 0x3ff0210);
			check(REQ("svm.2.6.21") "RAX", v->rax, 0x5a);
		}
	}
	scratch_register = inb(0x3ff);
	check(REQ("svm.2.6.21") "the device was not reached", scratch_register, 0xc3);
	scratch[0] = 0;
	base(m_rep);
	v->intercept1 |= SVM_IOIO;
	v->iopm_pa = (u64)iopm;
	check(REQ("svm.2.6.21") "REP INSB", go(), 0x7b);
	check(REQ("svm.2.6.21") "no byte came", scratch[0], 0);
	base(m_rep);
	v->iopm_pa = (u64)iopm;
	check(REQ("svm.2.6.21 svm.1.2.6.1") "RDI, RCX: run again, it does all", again(3, SVM_IOIO), EXIT_VMMCALL);
	check("intercepted first", first_code, 0x7b);
	check(REQ("svm.2.6.21 svm.1.2.6.1") "three bytes", scratch[0], 0xc3c3c3);
}

/* ---- an intercepted instruction, run again, does what it would have done ---- */

SNIPPET(r_pushf, "push $0x8d7; popf; r_pushf_at: pushf; pop seen");
SNIPPET(r_popf, "push $0x8d7; popf; pushf; pop seen");
SNIPPET(r_cpuid, "xor %eax, %eax; cpuid; mov %ebx, seen; mov %ecx, seen + 4");
SNIPPET(r_cr3, "mov %cr3, %rcx; mov %rcx, %cr3; mov %rcx, seen");
SNIPPET(r_cr0, "mov %cr0, %rcx; xor $0x40000, %rcx; mov %rcx, %cr0; mov %cr0, %rdx; mov %rdx, seen");
SNIPPET(r_dr, "mov $0x123, %ecx; mov %rcx, %dr2; mov %dr2, %rdx; mov %rdx, seen");
SNIPPET(r_sidt, "sidt seen");
SNIPPET(r_lidt, "sidt seen; lidt seen; sidt seen + 16");
SNIPPET(r_iret, "mov %rsp, %rcx; push $0x10; push %rcx; push $0x402; push $8; push $1f; iretq; 1: pushf; pop seen");
SNIPPET(r_msr, "mov $0xc0000082, %ecx; mov $0x1234, %eax; xor %edx, %edx; wrmsr; rdmsr; mov %eax, seen");
SNIPPET(r_invlpg, "invlpg scratch; movl $5, seen");

static void restart(void)
{
	static const struct {
		char *code;
		u8 word;
		u32 bits;
	} rows[] = {{r_pushf, 3, 1 << 16}, {r_popf, 3, 1 << 17}, {r_cpuid, 3, 1 << 18}, {r_cr3, 0, 0x80008},
	            {r_cr0, 0, 0x10001},   {r_dr, 1, 0x40004},   {r_sidt, 3, 1 << 6},   {r_lidt, 3, 1 << 10},
	            {r_iret, 3, 1 << 20},  {r_msr, 3, SVM_MSR},  {r_invlpg, 3, 1 << 25}};
	static struct vmcb plain;
	static u64 plain_seen[4];
	u8 *msrpm = page_alloc();

	page_alloc();
	memset(msrpm, 0xff, 0x2000);
	for (unsigned n = 0; n < COUNT(rows); n++) {
		memset(seen, 0, 32);
		base(rows[n].code);
		check("without the intercept", go(), EXIT_VMMCALL);
		memcpy(&plain, v, sizeof(plain));
		memcpy(plain_seen, seen, 32);
		memset(seen, 0, 32);
		base(rows[n].code);
		v->msrpm_pa = (u64)msrpm;
		check(REQ("svm.1.2.6.1") "run again", again(rows[n].word, rows[n].bits), EXIT_VMMCALL);
		check("intercepted first", first_code != EXIT_VMMCALL, 1);
		check(REQ("svm.1.2.6.1") "the same state", memcmp((u8 *)v + 0x400, (u8 *)&plain + 0x400, 0x268), 0);
		check(REQ("svm.1.2.6.1") "the same memory", memcmp(seen, plain_seen, 32), 0);
	}
}

/* ---- #UD before the intercepts of the table registers ---- */

static void illegal_forms(void)
{
	static u8 code[8] __attribute__((aligned(16)));
	static const struct {
		u8 op, modrm, bit; /* 0F op, with a memory operand at [RAX] */
	} rows[] = {{0x01, 0x08, 6},  {0x01, 0x00, 7},  {0x00, 0x00, 8},  {0x00, 0x08, 9},
	            {0x01, 0x18, 10}, {0x01, 0x10, 11}, {0x00, 0x10, 12}, {0x00, 0x18, 13}};

	for (unsigned n = 0; n < COUNT(rows); n++) {
		u8 insn[4] = {0xf0, 0x0f, rows[n].op, rows[n].modrm};

		memcpy(code, insn, 4);
		base(code);
		v->rax = (u64)scratch;
		v->intercept1 |= 1u << rows[n].bit;
		check(REQ("svm.2.5.6.9") "LOCK", go(), EXIT_UD);
		if (rows[n].op)
			continue;
		memcpy(code, insn + 1, 3);
		base((void *)0);
		v->efer = 0x1000;
		v->cr4 = 0;
		v->cr0 = 0x10;
		v->cs.base = (u64)code;
		v->cs.limit = 0xffff;
		v->intercept1 |= 1u << rows[n].bit;
		check(REQ("svm.2.5.6.9") "real mode", go(), EXIT_UD);
	}
}

/* ---- #TS in 32-bit code: the ring 0 stack of the TSS is no segment ---- */

SNIPPET(t_int, ".code32; int $0x20; .code64");
static void invalid_tss(void)
{
	static u64 idt32[33];
	static u32 task[32];
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u64 h = (u64)m_nop;

	idt32[0x20] = (h & 0xffff) | 8 << 16 | 0xeeull << 40 | (h >> 16) << 48;
	task[1] = 0x7000;
	task[2] = 0x1f8; /* SS0: beyond the GDT's limit */
	asm volatile("vmsave" ::"a"(host) : "memory");
	memcpy(guest, host, 4096);
	guest->tr = (struct vmcb_seg){.sel = 0x28, .attrib = 0x8b, .limit = 0x67, .base = (u64)task};
	base(t_int);
	user();
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr3 = 0;
	v->cr0 = 0x11;
	gdt[1] ^= 0x0060000000000000; /* 08h: 32-bit code for this guest */
	v->cs.sel = 0x5b;
	v->cs.attrib = 0xcfb;
	v->gdtr.limit = 0x5f;
	v->idtr.base = (u64)idt32;
	v->idtr.limit = sizeof(idt32) - 1;
	asm volatile("clgi; vmload" ::"a"(guest) : "memory");
	go_gif0();
	asm volatile("vmload; stgi" ::"a"(host) : "memory");
	gdt[1] ^= 0x0060000000000000;
	check(REQ("svm.2.8.11.1") "#TS", v->exitcode, 0x4a);
	check(REQ("svm.2.8.11.4") "EXITINFO1", v->exitinfo1 & ~1ull, 0x1f8);
}

/* ---- a task switch loads CR3 without asking the CR3 intercepts ---- */

SNIPPET(t_jump, ".code32; ljmp $0x20, $0; .code64");
static u64 task_descriptor(u64 base, u64 type)
{
	return 0x67 | (base & 0xffffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
}

static void task_switch(void)
{
	static u64 table[5];
	static u32 tasks[2][32];
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u32 *dir = page_alloc(), *other = page_alloc();

	for (u32 n = 0; n < 1024; n++)
		dir[n] = other[n] = n << 22 | 0x87;
	table[1] = 0x00cf9b000000ffff;
	table[2] = 0x00cf93000000ffff;
	table[3] = task_descriptor((u64)tasks[0], 0x8b);
	table[4] = task_descriptor((u64)tasks[1], 0x89);
	tasks[1][7] = (u32)(u64)other;
	tasks[1][8] = (u32)(u64)m_nop;
	tasks[1][9] = 2;
	for (unsigned n = 18; n < 24; n++)
		tasks[1][n] = n == 19 ? 8 : 0x10;
	asm volatile("vmsave" ::"a"(host) : "memory");
	memcpy(guest, host, 4096);
	guest->tr = (struct vmcb_seg){.sel = 0x18, .attrib = 0x8b, .limit = 0x67, .base = (u64)tasks[0]};
	base(t_jump);
	v->efer = 0x1000;
	v->cr4 = 0x10;
	v->cr3 = (u64)dir;
	v->cr0 = 0x80000011;
	v->cs.attrib = 0xc9b;
	v->gdtr.base = (u64)table;
	v->gdtr.limit = sizeof(table) - 1;
	v->intercept_cr = 0x80008;
	asm volatile("clgi; vmload" ::"a"(guest) : "memory");
	go_gif0();
	asm volatile("vmload; stgi" ::"a"(host) : "memory");
	check(REQ("svm.2.5.2.3") "JMP to a task", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.5.2.3") "in the new task", v->rip, m_nop_end);
	check(REQ("svm.2.5.2.3") "CR3", v->cr3, other);
}

/* ---- TR: its type, and nothing else ---- */

SNIPPET(t_in, "mov $0x3ff, %edx; in %dx, %al");
static void task_register(void)
{
	static const struct {
		u16 attrib;
		u64 exit;
	} rows[] = {{0x8b, EXIT_VMMCALL}, {0x83, EXIT_GP}, {0xf6b, EXIT_VMMCALL}, {0xf63, EXIT_GP}};
	struct vmcb *host = page_alloc(), *guest = page_alloc();
	u8 *task = page_alloc();

	task[0x66] = 0x68; /* an I/O map of zeros, which only a 32-bit TSS has */
	for (unsigned n = 0; n < COUNT(rows); n++) {
		asm volatile("vmsave" ::"a"(host) : "memory");
		memcpy(guest, host, 4096);
		guest->tr = (struct vmcb_seg){.sel = 0x28, .attrib = rows[n].attrib, .limit = 0xfff, .base = (u64)task};
		base(t_in);
		user();
		asm volatile("clgi; vmload" ::"a"(guest) : "memory");
		go_gif0();
		asm volatile("vmload; stgi" ::"a"(host) : "memory");
		check(REQ("svm.2.2.1.88") "TR", v->exitcode, rows[n].exit);
	}
}

/* ---- V_INTR_MASKING, the host's IF ---- */

static void masking(void)
{
	for (unsigned on = 0; on < 2; on++)
		for (unsigned guest_if = 0; guest_if < 2; guest_if++)
			for (unsigned host_if = 0; host_if < 2; host_if++) {
				base(m_nop);
				v->vintr = on << 24;
				v->rflags = 2 | guest_if << 9;
				v->intercept1 |= 1;
				asm volatile("clgi");
				self_ipi(0x51);
				if (host_if)
					asm volatile("sti");
				go_gif0();
				asm volatile("cli; stgi");
				check(REQ("svm.2.2.1.71 svm.2.2.1.135") "which IF counts", v->exitcode,
				      (on ? host_if : guest_if) ? 0x60 : EXIT_VMMCALL);
				asm volatile("sti; nop; nop; cli" ::: "memory");
			}
}

/* ---- odds and ends ---- */

static void odds(void)
{
	u64 was, *a, *b, *l3, *l2, *l1, *root = page_alloc(), *nested;
	u32 r[4];
	struct vmcb *p;

	base(m_efer);
	v->efer &= ~0x400ull;
	check(REQ("svm.2.2.1.116") "EFER.LMA 0 in the VMCB", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.116") "the guest has LMA by LME and PG", seen[0] >> 10 & 1, 1);
	base(m_nop);
	v->lbrv = ~3ull;
	check(REQ("svm.C.1.83") "0B8h", go(), EXIT_VMMCALL);
	was = rdmsr(0x200);
	base(m_mtrr);
	check("MTRR", go(), EXIT_VMMCALL);
	check(REQ("svm.2.21.2.5 svm.2.21.8.5") "the guest's write is the host's", rdmsr(0x200), 0x55000006);
	wrmsr(0x200, was);
	cpuid(0x8000000a, 0, r);
	if (r[3] >> 2 & 1) { /* SVM_KEY is write-only: zero whatever was written */
		wrmsr(0xc0010118, 0x1234);
		check(REQ("svm.P.2") "SVM_KEY", rdmsr(0xc0010118), 0);
		wrmsr(0xc0010118, 0);
	}
	mmio_write(APIC + 0x420, 0x55);
	check(REQ("svm.E.6.6") "SEOI", mmio_read(APIC + 0x420), 0);

	/* the TLB holds linear to physical: a nested entry changes, and nothing is seen of it before a flush */
	a = page_alloc(), b = page_alloc(), l3 = page_alloc(), l2 = page_alloc(), l1 = page_alloc();
	*a = 0xa, *b = 0xb;
	memcpy(root, user_pml4, 4096);
	root[1] = (u64)l3 | 7, l3[0] = (u64)l2 | 7, l2[0] = (u64)l1 | 7, l1[0] = 0x8000000 | 7;
	base(m_read);
	nested = split(0x8000000);
	nested[0] = (u64)a | 7;
	v->cr3 = (u64)root;
	for (unsigned n = 0; n < 3; n++) {
		v->rip = (u64)m_read;
		v->rax = 0x8000000000;
		v->tlb_control = n != 1;
		check("TLB", go(), EXIT_VMMCALL);
		check(REQ("svm.2.21.1.6") "what is cached", seen[0], n < 2 ? 0xa : 0xb);
		nested[0] = (u64)b | 7;
	}
	/* G in the nested entry makes nothing global: the guest's own CR3 load drops the entry */
	base(m_remap);
	nested = split(0x8000000);
	for (unsigned n = 0; n < 512; n++)
		nested[n] |= 0x100;
	nested[0] = (u64)a | 0x107;
	nested[1] = (u64)b | 0x107;
	v->cr3 = (u64)root;
	v->cr4 |= 0x80;
	p = v;
	v->rax = 0x8000000000;
	write_cr4(read_cr4() | 0x80);
	asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
	             : "+a"(p)
	             : "D"(l1), "S"(0x8001007ull)
	             : "rbx", "rcx", "rdx", "memory", "cc");
	write_cr4(read_cr4() & ~0x80ull);
	check("G", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.21.7.7") "not global by the nested G", seen[0], 0xb);
}

/* ---- paged real mode: the #PF exit's error code ---- */
SNIPPET(real_store, ".code16; movw $0x1111, 0x10; .code64");
static void real_fault(void)
{
	u32 *dir = page_alloc(), *table = page_alloc();

	base((void *)0);
	dir[0] = (u32)(u64)table | 7;
	table[7] = (u32)((u64)real_store & ~0xfffull) | 7;
	v->cr0 = 1u << 31 | 0x10;
	v->cr3 = (u64)dir;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 0x700, .attrib = 0x9b, .limit = 0xffff, .base = 0x7000};
	v->ds = v->es = v->ss = (struct vmcb_seg){.sel = 0x1000, .attrib = 0x93, .limit = 0xffff, .base = 0x10000};
	v->rip = (u64)real_store & 0xfff;
	check(REQ("svm.2.8.15.4") "#PF in paged real mode", go(), EXIT_PF);
	check(REQ("svm.2.8.15.4") "error code of a write", v->exitinfo1, 2);
	table[0x10] = (u32)(u64)page_alloc() | 5; /* there, read-only */
	v->cr0 |= 1 << 16;
	v->tlb_control = 1;
	check(REQ("svm.2.8.15.4") "#PF in paged real mode, read-only", go(), EXIT_PF);
	check(REQ("svm.2.8.15.4") "error code", v->exitinfo1, 3);
}

void test_more(void)
{
	host_limits();
	maps();
	restart();
	illegal_forms();
	invalid_tss();
	task_switch();
	task_register();
	masking();
	odds();
	real_fault();
}
