/* MOV CRn: chapter 4, and the task priority of section 2.17. */
#include "reqs.h"

SNIPPET(c_write2, "mov %rax, %cr2; mov %cr2, %rcx; mov %rcx, seen", "");
SNIPPET(c_66, ".byte 0x66; mov %rax, %cr2; .byte 0x66; mov %cr2, %rcx; mov %rcx, seen", "");
SNIPPET(c_mod, ".byte 0x0f, 0x22, 0x10; .byte 0x0f, 0x20, 0x51; mov %rcx, seen", ""); /* MOD 0 and 1 */
SNIPPET(c_lock, "mov $-1, %rcx; .byte 0xf0; mov %rax, %cr0; .byte 0xf0; mov %cr0, %rcx; mov %rcx, seen", "");
SNIPPET(c_rex, "mov $-1, %rcx; mov %rax, %cr8; mov %cr8, %rcx; mov %rcx, seen", "");
SNIPPET(c_flags, "push $0x8d7; popf; mov %cr2, %rax; mov %rax, %cr2; pushf; pop seen", "");
SNIPPET(c_read_only, "mov %cr8, %rax; mov %rax, seen", "");
SNIPPET(c_mmio, "mov $0xfee00080, %edi; mov (%rdi), %eax; mov %rax, seen; movl $0x20, (%rdi)", "");
SNIPPET(c_cpl, "mov %cr0, %rax", "");
SNIPPET(c_code32, ".code32; mov %cr2, %eax; .code64", "");
SNIPPET(c_lock32, ".byte 0xf0; mov %rax, %cr0; .byte 0xf0; mov %cr0, %rcx", ""); /* CR8 from EAX, to ECX */

static const u64 wide = 0x123456789abcdef0;

static void forms(void)
{
	static const struct {
		const char *req;
		const struct snippet *code;
		u64 rax, want;
	} rows[] = {
	        {REQ("svm.4.MOVCR.1 svm.4.MOVCR.2 svm.4.MOVCR.7") "CR2", &c_write2, wide, wide},
	        {REQ("svm.4.MOVCR.7") "with 66h", &c_66, wide, wide},
	        {REQ("svm.4.MOVCR.17") "other MOD", &c_mod, wide, wide},
	        {REQ("svm.4.MOVCR.5 svm.4.MOVCR.6 svm.2.17.3.6") "LOCK", &c_lock, 9, 9},
	        {REQ("svm.4.MOVCR.10") "REX.R", &c_rex, 11, 11},
	        {REQ("svm.4.MOVCR.19") "RFLAGS", &c_flags, 0, 0x8d7},
	};

	for (unsigned n = 0; n < COUNT(rows); n++) {
		base(rows[n].code);
		v->rax = rows[n].rax;
		v->vintr = 1 << 24;
		seen[0] = ~0ull;
		check(rows[n].req, go(), EXIT_VMMCALL);
		check(rows[n].req, seen[0], rows[n].want);
		if (rows[n].code == &c_lock)
			check(REQ("svm.2.17.3.6") "in V_TPR", v->vintr & 0xff, 9);
	}
	/* 32-bit code */
	base(&c_code32);
	v->cs.attrib = 0xc9b;
	v->rax = ~0ull;
	v->cr2 = wide;
	check(REQ("svm.4.MOVCR.8") "32 bits", go(), EXIT_VMMCALL);
	check(REQ("svm.4.MOVCR.8") "32 bits", v->rax, wide & 0xffffffff);
	base(&c_lock32);
	v->cs.attrib = 0xc9b;
	v->rax = 0xffffffff00000007;
	v->vintr = 1 << 24;
	check(REQ("svm.4.MOVCR.3 svm.4.MOVCR.4 svm.4.MOVCR.14") "LOCK outside 64-bit mode", go(), EXIT_VMMCALL);
	check(REQ("svm.4.MOVCR.3") "V_TPR", v->vintr & 0xff, 7);
}

static void undefined(void)
{
	static u8 code[8] __attribute__((aligned(16)));
	static const u8 none[] = {1, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15};

	for (unsigned n = 0; n < COUNT(none); n++)
		for (unsigned write = 0; write < 2; write++) {
			u8 insn[4] = {(u8)(0x40 | (none[n] >> 3) << 2), 0x0f, (u8)(0x20 | write << 1),
			              (u8)(0xc0 | (none[n] & 7) << 3)};

			memcpy(code, insn, 4);
			base_at(code);
			check(REQ("svm.4.MOVCR.9"), go(), EXIT_UD);
		}
	for (unsigned n = 1; n < 8; n++)
		for (unsigned write = 0; write < 2; write++) {
			u8 insn[4] = {0xf0, 0x0f, (u8)(0x20 | write << 1), (u8)(0xc0 | n << 3)};

			memcpy(code, insn, 4);
			base_at(code);
			check(REQ("svm.4.MOVCR.15"), go(), EXIT_UD);
		}
	{
		u8 insn[5] = {0xf0, 0x44, 0x0f, 0x20, 0xc0};

		memcpy(code, insn, 5);
		base_at(code);
		check(REQ("svm.4.MOVCR.16") "LOCK and REX.R", go(), EXIT_UD);
	}
}

static void faults(void)
{
	u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
	u32 r[4];

	base(&c_cpl);
	user();
	check(REQ("svm.4.MOVCR.21") "CPL 3", go(), EXIT_GP);
	base_at((void *)0);
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr0 = 0x11;
	v->rflags = 0x20002;
	v->cs.base = (u64)c_code32.entry;
	v->cs.limit = 0xffff;
	check(REQ("svm.4.MOVCR.21") "virtual-8086 mode", go(), EXIT_GP);
	check(REQ("svm.4.MOVCR.22"), CATCH(write_cr0(cr0 & ~1ull)), 13);
	check(REQ("svm.4.MOVCR.23"), CATCH(write_cr0((cr0 & ~(1ull << 30)) | 1 << 29)), 13);
	for (volatile unsigned n = 32; n < 64; n++)
		check(REQ("svm.4.MOVCR.25"), CATCH(write_cr0(cr0 | 1ull << n)), 13);
	cpuid(0x80000008, 0, r);
	for (volatile unsigned n = 52; n < 63; n++)
		check(REQ("svm.4.MOVCR.26"), CATCH(write_cr3(cr3 | 1ull << n)), 13);
	for (volatile unsigned n = 4; n < 64; n++)
		check(REQ("svm.4.MOVCR.28"), CATCH(write_cr8(1ull << n)), 13);
	check(REQ("svm.4.MOVCR.30"), CATCH(write_cr4(cr4 & ~(1ull << 5))), 13);
	check(REQ("svm.4.MOVCR.29"), ({
		      static u8 code[] = {0x0f, 0x20, 0xc0, 0x0d, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0}; /* set CR0.PG */

		      base_at((void *)0);
		      v->efer = 0x1100;
		      v->cr4 = 0;
		      v->cr0 = 0x11;
		      v->cs.base = (u64)code;
		      v->cs.attrib = 0xc9b;
		      go();
	      }),
	      EXIT_GP);
	check(REQ("svm.4.MOVCR.29"), v->rip, 8);
}

/* CR8, the APIC's TPR and V_TPR. */
static void priority(void)
{
	unsigned before;
	volatile u64 got;
	u64 efer = rdmsr(EFER);

	write_cr8(6);
	check(REQ("svm.4.MOVCR.20"), mmio_read(APIC + 0x80), 0x60);
	mmio_write(APIC + 0x80, 0x35);
	check(REQ("svm.4.MOVCR.20"), read_cr8(), 3);
	base(&c_read_only);
	v->vintr = 9;
	go();
	check(REQ("svm.2.17.2.7") "CR8 without masking", seen[0], 3);
	base(&c_mmio);
	v->vintr = 9 | 1 << 24;
	go();
	check(REQ("svm.2.17.3.1") "the memory-mapped TPR is the APIC's", seen[0] & 0xff, 0x35);
	check(REQ("svm.2.17.3.1") "written, too", mmio_read(APIC + 0x80), 0x20);
	check(REQ("svm.2.17.3.1") "and V_TPR is not", v->vintr & 0xff, 9);
	wrmsr(EFER, efer & ~0x1000ull);
	check(REQ("svm.2.17.3.3") "LOCK with EFER.SVME 0",
	      CATCH(asm volatile(".byte 0xf0; mov %%rax, %%cr0; .byte 0xf0; mov %%cr0, %%rax"
	                         : "=a"(got)
	                         : "a"(4ull))),
	      -1);
	wrmsr(EFER, efer);
	check(REQ("svm.2.17.3.3"), got, 4);
	/* an interrupt of priority 5 against APIC TPR and V_TPR */
	for (unsigned masking = 0; masking < 2; masking++)
		for (unsigned blocked = 0; blocked < 2; blocked++) {
			mmio_write(APIC + 0x80, blocked ? 0x60 : 0x40);
			before = irqs;
			base(&c_read_only);
			v->vintr = (blocked ? 0 : 15) | masking << 24;
			v->rflags = 0x202;
			v->intercept1 |= SVM_BIT(EXIT_INTR);
			asm volatile("clgi; sti");
			self_ipi(0x51);
			check(REQ("svm.2.17.2.3") "the APIC's TPR and physical interrupts", go_gif0(),
			      blocked ? 0x81 : 0x60);
			asm volatile("cli; stgi");
			mmio_write(APIC + 0x80, 0);
			asm volatile("sti; nop; nop; cli" ::: "memory");
			check("taken in the end", irqs, before + 1);
			base(&c_read_only);
			mmio_write(APIC + 0x80, blocked ? 0 : 0xf0);
			v->vintr = (blocked ? 6 : 4) | (u64)masking << 24 | 1 << 8 | 5 << 16 | 0x61ull << 32;
			v->rflags = 0x202;
			v->intercept1 |= SVM_BIT(EXIT_VINTR);
			/* without masking the guest's CR8 is not V_TPR, yet V_TPR governs */
			check(REQ("svm.2.17.2.4 svm.C.1.64") "V_TPR and virtual interrupts", go(),
			      blocked ? 0x81 : 0x64);
			mmio_write(APIC + 0x80, 0);
		}
}

void test_cr8(void)
{
	forms();
	undefined();
	faults();
	priority();
}
