/* What VMRUN saves and loads, what #VMEXIT saves and loads: sections 2.2.1 and 2.3, "VMRUN" of chapter 4. */
#include "reqs.h"

/* ---- the host's registers around one run ---- */

struct snap {
	u64 cr0, cr2, cr3, cr4, efer, dr6, dr7, cpl;
	u16 cs, ss, ds, es, fs, gs, tr, ldtr;
	struct table_register gdtr, idtr;
};
u64 at_exit[4]; /* RAX, RSP, RFLAGS right behind VMRUN; the path taken */

/* rdi: VMCB address as RAX, rsi: RFLAGS at VMRUN. */
asm(".pushsection .text\n"
    "capture_run: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rdi, %rax; movq $0, at_exit + 24; push %rsi; popf\n"
    "capture_vmrun: .byte 0x67, 0x0f, 0x01, 0xd8\n"
    "movq $1, at_exit + 24; mov %rax, at_exit; mov %rsp, at_exit + 8; pushf; pop at_exit + 16\n"
    "cld; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");
extern void capture_run(u64 vmcb, u64 rflags);
extern char capture_vmrun[];

static void snap(struct snap *s)
{
	memset(s, 0, sizeof(*s));
	s->cr0 = read_cr0();
	s->cr2 = read_cr2();
	s->cr3 = read_cr3();
	s->cr4 = read_cr4();
	s->efer = rdmsr(EFER);
	asm volatile("mov %%dr6, %0; mov %%dr7, %1" : "=r"(s->dr6), "=r"(s->dr7));
	asm volatile("mov %%cs, %0; mov %%ss, %1; mov %%ds, %2; mov %%es, %3"
	             : "=r"(s->cs), "=r"(s->ss), "=r"(s->ds), "=r"(s->es));
	asm volatile("mov %%fs, %0; mov %%gs, %1; str %2; sldt %3"
	             : "=r"(s->fs), "=r"(s->gs), "=r"(s->tr), "=r"(s->ldtr));
	asm volatile("sgdt %0; sidt %1" : "=m"(s->gdtr), "=m"(s->idtr));
	s->cpl = s->cs & 3;
}

/* The guest looks at everything that VMRUN loads. */
SNIPPET(g_read,
        "mov %rax, seen; mov %rsp, seen + 8; pushf; pop seen + 16; mov %cr0, %rax; mov %rax, seen + 24;"
        "mov %cr2, %rax; mov %rax, seen + 32; mov %cr3, %rax; mov %rax, seen + 40; mov %cr4, %rax; mov %rax, seen + 48;"
        "mov $0xc0000080, %ecx; rdmsr; mov %eax, seen + 56; mov %dr7, %rax; mov %rax, seen + 64; mov %dr6, %rax;"
        "mov %rax, seen + 72; mov %cr8, %rax; mov %rax, seen + 80; mov %cs, %eax; mov %rax, seen + 88; mov %ss, %eax;"
        "mov %rax, seen + 96; mov %ds, %eax; mov %rax, seen + 104; mov %es, %eax; mov %rax, seen + 112;"
        "sgdt seen + 120; sidt seen + 136; lea s_g_read(%rip), %rax; mov %rax, seen + 152", "");
/* And changes it all. */
struct table_register new_gdtr = {0x5f, 0}, new_idtr = {0x4ff, 0x123000};
SNIPPET(g_write, "mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; lgdt new_gdtr; lidt new_idtr;"
                 "mov %cr0, %rax; xor $0x50000, %rax; mov %rax, %cr0; mov $0x12345678, %eax; mov %rax, %cr2;"
                 "mov $user_pml4 + 0x18, %eax; mov %rax, %cr3; mov %cr4, %rax; xor $8, %eax; mov %rax, %cr4;"
                 "mov $0xc0000080, %ecx; rdmsr; xor $1, %eax; wrmsr; mov $0xffff4ff2, %eax; mov %rax, %dr6;"
                 "mov $0x00070700, %eax; mov %rax, %dr7; mov $5, %eax; mov %rax, %cr8; mov $0x7ff008, %esp;"
                 "push $0x240ad7; popf; mov $0x5a5a5a5a, %eax", "");

static u64 *guest_root;

static void other_state(void)
{
	v->cr3 = (u64)guest_root;
	v->cr0 ^= 0x10000; /* WP */
	v->cr4 ^= 8;       /* DE */
	v->efer ^= 1;      /* SCE */
	v->cr2 = 0xdeadbeef000;
	v->dr6 = 0xffff0ff5;
	v->dr7 = 0x00050400;
	v->rflags = 0xc95; /* CF PF AF SF OF DF */
	v->rax = 0x1122334455667788;
	v->rsp = (u64)&scratch[100];
	v->gdtr.base = 0x1000, v->gdtr.limit = 0x6f;
	v->idtr.base = 0x2000, v->idtr.limit = 0x2ff;
	v->cs.sel = 0x18, v->ss.sel = 0x50, v->ds.sel = 0x58, v->es.sel = 0x40;
	v->vintr = 6 | 1 << 24;
}

static void loaded(void)
{
	static const struct {
		const char *req;
		u8 at;
		u64 want;
	} rows[] = {
	        {REQ("svm.2.2.1.37") "RAX", 0, 0x1122334455667788},
	        {REQ("svm.2.2.1.36 svm.2.2.1.133") "RFLAGS", 2, 0xc97},
	        {REQ("svm.2.2.1.41 svm.2.21.2.4") "CR2", 4, 0xdeadbeef000},
	        {REQ("svm.2.2.1.51") "DR7", 8, 0x00050400},
	        {REQ("svm.2.2.1.52") "DR6", 9, 0xffff0ff5},
	        {REQ("svm.2.2.1.53 svm.2.17.2.1 svm.4.VMRUN.6") "CR8 is V_TPR", 10, 6},
	        {REQ("svm.2.2.1.34") "CS", 11, 0x18},
	        {REQ("svm.2.2.1.38") "SS", 12, 0x50},
	        {REQ("svm.2.2.1.50") "DS", 13, 0x58},
	        {REQ("svm.2.2.1.49") "ES", 14, 0x40},
	};

	base(&g_read);
	other_state();
	check("guest reads its state", go(), EXIT_VMMCALL);
	for (unsigned n = 0; n < COUNT(rows); n++)
		check(rows[n].req, seen[rows[n].at], rows[n].want);
	check(REQ("svm.2.2.1.39") "RSP", seen[1], &scratch[100]);
	check(REQ("svm.2.2.1.40 svm.2.21.4.2") "CR0", seen[3], read_cr0() ^ 0x10000);
	check(REQ("svm.2.2.1.42 svm.2.21.4.2") "CR3", seen[5], guest_root);
	check(REQ("svm.2.2.1.43 svm.2.21.4.2") "CR4", seen[6], read_cr4() ^ 8);
	check(REQ("svm.2.2.1.44 svm.2.21.4.2") "EFER", seen[7], (rdmsr(EFER) ^ 1) & 0xffffffff);
	check(REQ("svm.2.2.1.48") "GDTR", seen[15], 0x1000ull << 16 | 0x6f);
	check(REQ("svm.2.2.1.47") "IDTR", seen[17], 0x2000ull << 16 | 0x2ff);
	check(REQ("svm.2.2.1.35") "RIP", seen[19], g_read.entry);
	check(REQ("svm.C.1.60") "V_TPR is in bits 3:0", v->vintr & 0xff, 6);
	check(REQ("svm.4.VMRUN.10") "all of it at once", v->exitcode, EXIT_VMMCALL);
}

static void saved(void)
{
	u64 h_cr3 = v->ncr3;

	base(&g_write);
	other_state();
	v->gdtr.base = new_gdtr.base = (u64)gdt;
	h_cr3 = v->ncr3;
	check("guest changes its state", go(), EXIT_VMMCALL);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "DS", v->ds.sel, 0x10);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "DS attributes", v->ds.attrib, 0xc93);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "ES", v->es.sel, 0x10);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "SS", v->ss.sel, 0x10);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "CS", v->cs.sel, 0x18);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "GDTR", v->gdtr.base == (u64)gdt && v->gdtr.limit == 0x5f, 1);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "IDTR", v->idtr.base == 0x123000 && v->idtr.limit == 0x4ff, 1);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18 svm.2.21.4.6") "CR0", v->cr0, read_cr0() ^ 0x40000);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "CR2", v->cr2, 0x12345678);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18 svm.2.21.4.6") "CR3", v->cr3, (u64)user_pml4 + 0x18);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18 svm.2.21.4.6") "CR4", v->cr4, read_cr4());
	check(REQ("svm.2.3.2 svm.4.VMRUN.18 svm.2.21.4.6") "EFER", v->efer, rdmsr(EFER));
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "DR6", v->dr6, 0xffff4ff2);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "DR7", v->dr7, 0x00070700);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "RFLAGS", v->rflags, 0x240ad7);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "RIP", v->rip, g_write.next);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "RSP", v->rsp, 0x7ff008);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "RAX", v->rax, 0x5a5a5a5a);
	check(REQ("svm.2.3.2 svm.4.VMRUN.18") "CPL", v->cpl, 0);
	check(REQ("svm.2.3.4 svm.4.VMRUN.21") "V_TPR", v->vintr & 0xff, 5);
	check(REQ("svm.2.21.4.7") "H_CR3 stays", v->ncr3, h_cr3);
	check(REQ("svm.2.3.6 svm.4.VMRUN.21") "EXITCODE", v->exitcode, EXIT_VMMCALL);
}

static void host_kept(void)
{
	struct snap a, b;
	u64 rsp;

	base(&g_write);
	other_state();
	v->gdtr.base = new_gdtr.base = (u64)gdt;
	asm volatile("clgi; mov %%rsp, %0" : "=r"(rsp)::"memory");
	snap(&a);
	/* 67h: the address is EAX; the upper half of RAX is not looked at and comes back */
	capture_run((u64)v | 0x1234567800000000, 0x2408d7);
	snap(&b);
	asm volatile("stgi" ::: "memory");
	check(REQ("svm.2.2.1.3") "EAX with a 32-bit address size", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.2.1.17 svm.2.2.1.14 svm.4.VMRUN.42") "behind VMRUN and its prefix", at_exit[3], 1);
	check(REQ("svm.2.2.1.19 svm.4.VMRUN.32") "RAX", at_exit[0], (u64)v | 0x1234567800000000);
	check(REQ("svm.2.2.1.21 svm.4.VMRUN.32") "RSP", at_exit[1] < rsp && at_exit[1] > rsp - 256, 1);
	check(REQ("svm.2.2.1.18 svm.2.2.1.134 svm.4.VMRUN.32 svm.4.VMRUN.43") "RFLAGS", at_exit[2], 0x2408d7);
	check(REQ("svm.2.2.1.16 svm.4.VMRUN.4") "CS", b.cs, a.cs);
	check(REQ("svm.2.2.1.20 svm.4.VMRUN.4") "SS", b.ss, a.ss);
	check(REQ("svm.2.2.1.29 svm.4.VMRUN.4") "ES", b.es, a.es);
	check(REQ("svm.2.2.1.30 svm.4.VMRUN.4") "DS", b.ds, a.ds);
	check(REQ("svm.2.2.1.22 svm.4.VMRUN.4 svm.2.21.2.3") "CR0", b.cr0, a.cr0);
	check(REQ("svm.2.2.1.23 svm.4.VMRUN.29 svm.2.21.4.8") "CR3", b.cr3, a.cr3);
	check(REQ("svm.2.2.1.24 svm.4.VMRUN.29") "CR4", b.cr4, a.cr4);
	check(REQ("svm.2.2.1.25 svm.4.VMRUN.27") "EFER", b.efer, a.efer);
	check(REQ("svm.2.2.1.26 svm.4.VMRUN.26") "IDTR", memcmp(&b.idtr, &a.idtr, 10), 0);
	check(REQ("svm.2.2.1.27 svm.4.VMRUN.26") "GDTR", memcmp(&b.gdtr, &a.gdtr, 10), 0);
	check(REQ("svm.2.3.13") "all of it",
	      b.cs == a.cs && b.ss == a.ss && b.ds == a.ds && b.es == a.es && b.cr0 == a.cr0 && b.cr3 == a.cr3 &&
	              b.cr4 == a.cr4 && b.efer == a.efer && !memcmp(&b.gdtr, &a.gdtr, 10) &&
	              !memcmp(&b.idtr, &a.idtr, 10),
	      1);
	check(REQ("svm.2.3.22 svm.4.VMRUN.35") "CPL", b.cpl, 0);
	check(REQ("svm.2.3.20 svm.4.VMRUN.28") "CR0.PE", b.cr0 & 1, 1);
	check(REQ("svm.2.2.1.31") "DR6 is the guest's", b.dr6 & 0xffffffff, v->dr6);
	check(REQ("svm.4.VMRUN.5 svm.4.VMRUN.31") "CR2 is the guest's", b.cr2, 0x12345678);
	check(REQ("svm.2.3.23 svm.4.VMRUN.33") "DR7", b.dr7 & 0xff, 0);
	check(REQ("svm.4.VMRUN.34") "DR7", b.dr7, 0x400);
}

/* Exits from CPL 3, from virtual-8086 mode and from real mode reach a host at CPL 0, RFLAGS.VM 0. */
static void host_mode(void)
{
	u64 flags;

	base_at(g_read.next);
	user();
	check("from CPL 3", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.94") "CPL of the guest", v->cpl, 3);
	check(REQ("svm.2.3.22") "CPL 0", CATCH(write_cr2(5)), -1);
	base_at(0);
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr0 = 0x11;
	v->rflags = 0x20002;
	v->cs.base = (u64)g_read.next;
	v->cs.limit = 0xffff;
	v->cpl = 0;
	check("from virtual-8086 mode", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.56 svm.2.2.1.94 svm.C.1.125") "CPL 3 there", v->cpl, 3);
	asm volatile("pushf; pop %0" : "=r"(flags));
	check(REQ("svm.2.3.21") "RFLAGS.VM", flags >> 17 & 1, 0);
	base_at(0);
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr0 = 0x10;
	v->cs.base = (u64)g_read.next;
	v->cs.limit = 0xffff;
	check("from real mode", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.94") "CPL 0 there", v->cpl, 0);
	check(REQ("svm.2.3.20") "PE", read_cr0() & 1, 1);
}

/* ---- what neither lists passes both ways ---- */

static const u32 msrs[] = {0xc0000100, 0xc0000101, 0xc0000102, 0xc0000081, 0xc0000082,
                           0xc0000083, 0xc0000084, 0x174,      0x175,      0x176};
u32 msr_list[COUNT(msrs)] __attribute__((used));
SNIPPET(g_msrs,
        "xor %ebx, %ebx; 1: mov msr_list(,%rbx,4), %ecx; rdmsr; mov %eax, seen(,%rbx,8); mov %edx, seen + 4(,%rbx,8);"
        "add $0x40, %eax; wrmsr; inc %ebx; cmp $10, %ebx; jne 1b;"
        "mov %dr0, %rax; mov %rax, seen + 80; add $1, %rax; mov %rax, %dr0; mov %dr3, %rax; mov %rax, seen + 88;"
        "add $1, %rax; mov %rax, %dr3; mov %r12, seen + 96; mov $0x77, %r12d; movq %xmm3, seen + 104; paddq %xmm3, "
        "%xmm3;"
        "str seen + 112; mov %fs, seen + 114; mov $0x10, %eax; mov %eax, %fs", "");

static void passing(void)
{
	u64 before[COUNT(msrs)], r12 = 0, xmm = 0, d0, d3;
	struct vmcb_seg *segments = &v->fs;
	u16 fs;

	base(&g_msrs);
	memset(&v->fs, 0xa5, 2 * sizeof(v->fs));
	memset(&v->ldtr, 0xa5, sizeof(v->ldtr));
	memset(&v->tr, 0xa5, sizeof(v->tr));
	memset(&v->star, 0xa5, 8 * 8);
	for (unsigned n = 0; n < COUNT(msrs); n++) {
		msr_list[n] = msrs[n];
		before[n] = rdmsr(msrs[n]);
		wrmsr(msrs[n], 0x1000 + 0x100 * n);
	}
	asm volatile("mov %0, %%dr0; mov %1, %%dr3" ::"r"(0x1110ull), "r"(0x3330ull));
	struct vmcb *a = v;
	asm volatile("push %%rbp; movq %3, %%xmm3; clgi; vmrun; stgi; movq %%xmm3, %1; mov %%r12, %0; pop %%rbp"
	             : "=&r"(r12), "=&r"(xmm), "+a"(a)
	             : "r"(0x55ull)
	             : "rcx", "rdx", "r12", "memory", "cc", "rbx", "rsi", "rdi");
	check("everything else", v->exitcode, EXIT_VMMCALL);
	for (unsigned n = 0; n < COUNT(msrs); n++) {
		check(REQ("svm.2.2.1.15") "an MSR, to the guest", seen[n], 0x1000 + 0x100 * n);
		if (msrs[n] != 0xc0000100) /* the guest's load of FS made it 0 */
			check(REQ("svm.2.2.1.15") "and back", rdmsr(msrs[n]), 0x1040 + 0x100 * n);
		wrmsr(msrs[n], before[n]);
	}
	asm volatile("mov %%dr0, %0; mov %%dr3, %1; mov %%fs, %2" : "=r"(d0), "=r"(d3), "=r"(fs));
	check(REQ("svm.2.2.1.15") "DR0, DR3 to the guest", seen[10] == 0x1110 && seen[11] == 0x3330, 1);
	check(REQ("svm.2.2.1.15") "and back", d0 == 0x1111 && d3 == 0x3331, 1);
	check(REQ("svm.2.2.1.15") "R12, XMM3 and back", r12 == 0x77 && xmm == 0xaa && seen[13] == 0x55, 1);
	check(REQ("svm.2.2.1.15") "TR to the guest, FS back", (seen[14] & 0xffff) == 0x28 && fs == 0x10, 1);
	for (unsigned n = 0; n < 2 * sizeof(*segments); n++)
		check(REQ("svm.4.VMRUN.20") "FS, GS in the VMCB", ((u8 *)&v->fs)[n], 0xa5);
	for (unsigned n = 0; n < 8 * 8; n++)
		check(REQ("svm.4.VMRUN.20") "STAR to SYSENTER_EIP in the VMCB", ((u8 *)&v->star)[n], 0xa5);
	for (unsigned n = 0; n < sizeof(*segments); n++)
		check(REQ("svm.4.VMRUN.20") "TR, LDTR in the VMCB",
		      ((u8 *)&v->tr)[n] == 0xa5 && ((u8 *)&v->ldtr)[n] == 0xa5, 1);
	asm volatile("mov %0, %%fs" ::"r"(0x10));
}

/* LDTR belongs to nobody but VMLOAD. */
SNIPPET(g_lldt, "mov $0x38, %eax; lldt %ax", "");
static void ldtr(void)
{
	u16 after;

	gdt[7] = 0; /* 38h, and the upper half at 40h must be 0 for a moment */
	u64 next = gdt[8];
	gdt[7] = 0x0000820000000fff | 0x50ull << 32 << 0;
	gdt[7] = 0x00008200300000ff;
	gdt[8] = 0;
	base(&g_lldt);
	check("guest loads LDTR", go(), EXIT_VMMCALL);
	asm volatile("sldt %0" : "=r"(after));
	check(REQ("svm.2.2.1.28 svm.2.3.15") "LDTR is the guest's", after, 0x38);
	asm volatile("lldt %w0" ::"r"(0));
	gdt[7] = 0;
	gdt[8] = next;
}

/* ---- the VMCB's address, the shadow, the fields that stay ---- */

SNIPPET(g_sti, "sti", "");
SNIPPET(g_nop, "nop", "");
static void the_rest(void)
{
	u64 area = rdmsr(HSAVE), here = read_cr3();
	u32 *l2_entry;
	struct vmcb copy;

	base(&g_sti);
	check("STI, then VMMCALL", go(), EXIT_VMMCALL);
	check(REQ("svm.2.3.5 svm.2.17.5.2") "INTERRUPT_SHADOW 1", v->int_state, 1);
	base(&g_nop);
	v->int_state = 1;
	check("NOP, then VMMCALL", go(), EXIT_VMMCALL);
	check(REQ("svm.2.17.5.3") "INTERRUPT_SHADOW 0", v->int_state, 0);
	base(&g_nop);
	memcpy(&copy, v, sizeof(copy));
	check("nothing to save but RIP", go(), EXIT_VMMCALL);
	/* 000h-05Fh and 090h-0A7h, 0B0h-0C7h; 060h but for V_TPR and V_IRQ */
	check(REQ("svm.2.2.1.65") "intercepts to TLB_CONTROL", memcmp(&copy, v, 0x60), 0);
	check(REQ("svm.2.2.1.65") "virtual interrupt", v->vintr, copy.vintr);
	check(REQ("svm.2.2.1.65") "nested paging", v->np_enable == copy.np_enable && v->ncr3 == copy.ncr3, 1);
	check(REQ("svm.2.2.1.65") "LBR", v->lbrv, copy.lbrv);
	/* the host save area holds the host */
	memset((void *)area, 0, 4096);
	base(&g_nop);
	go();
	check(REQ("svm.2.2.1.11 svm.E.4.1 svm.2.21.4.1") "VM_HSAVE_PA was written", *(u64 *)(area + 0x550), here);
	/* GIF = 1 at VMRUN is as good as GIF = 0 */
	base(&g_nop);
	check(REQ("svm.2.2.1.64") "VMRUN with GIF 1", go_gif0(), EXIT_VMMCALL);
	asm volatile("stgi");
	/* the VMCB is reached by physical address: its page is not mapped, yet VMRUN works */
	base(&g_nop);
	l2_entry = (u32 *)&pds[0][(u64)v >> 21];
	if ((u64)v >> 21 != (u64)g_nop.entry >> 21) {
		u32 was = *l2_entry;

		*l2_entry = 0;
		write_cr3(here);
		go();
		*l2_entry = was;
		write_cr3(here);
	} else { /* same 2 MiB: read it through a moved VMCB */
		struct vmcb *mine = v, *far = (struct vmcb *)0x6000000;
		u64 *entry = &pds[0][(u64)far >> 21], was = *entry;
		u64 a = (u64)far;

		memcpy(far, v, sizeof(*far));
		*entry = 0;
		write_cr3(here);
		asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
		             : "+a"(a)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
		               "r14", "r15", "memory", "cc");
		*entry = was;
		write_cr3(here);
		memcpy(mine, far, sizeof(*mine));
	}
	check(REQ("svm.2.2.1.5 svm.2.2.0.1 svm.2.2.1.1 svm.2.2.1.2") "VMCB not mapped", v->exitcode, EXIT_VMMCALL);
}

/* EVENTINJ is used up; EXITINFO; a VMCB of zeros but for what a guest needs. */
SNIPPET(g_ax, "mov $0x1000, %eax", "");
static void used_up(void)
{
	struct vmcb *mine = v, *bare = page_alloc();

	base(&g_nop);
	v->intercept_exc = 0;
	v->idtr.base =
	        (u64)idt; /* the handler's stub faults on nothing before VMMCALL is reached: inject a #BP to it */
	v->eventinj = 0x80000000 | 3 << 8 | 13 | 1 << 11;
	v->idtr.limit = 0;
	v->intercept_exc = 1 << 13;
	go();
	check(REQ("svm.4.VMRUN.22 svm.4.VMRUN.23") "EVENTINJ after #VMEXIT", v->eventinj, 0);
	check(REQ("svm.4.VMRUN.3") "the VMCB of VMRUN, whatever RAX is", (base(&g_ax), go()), EXIT_VMMCALL);
	base(&g_nop);
	bare->intercept2 = 3;
	bare->intercept1 = SVM_BIT(EXIT_SMI);
	bare->asid = 1;
	memcpy(&bare->es, &v->es, 0x1000 - 0x400);
	memset(&bare->fs, 0, 2 * sizeof(bare->fs));
	bare->cr3 = read_cr3();
	bare->tlb_control = 1;
	v = bare;
	check(REQ("svm.C.1.3") "only defined fields", go(), EXIT_VMMCALL);
	v = mine;
}

/* CR2 and PAT are not in the host's list; with nested paging the guest's PAT is its own. */
SNIPPET(g_pat_msr,
        "mov $0x277, %ecx; rdmsr; mov %eax, seen; mov %edx, seen + 4; mov $0x01010101, %eax; mov %eax, %edx; wrmsr", "");
static void pat(void)
{
	u64 host = rdmsr(MSR_PAT);

	base(&g_pat_msr);
	v->g_pat = 0x0006060606060606;
	check("PAT", go(), EXIT_VMMCALL);
	check(REQ("svm.2.21.4.3 svm.4.VMRUN.11 svm.2.21.2.1 svm.2.21.2.2") "the guest has G_PAT", seen[0],
	      0x0006060606060606);
	check(REQ("svm.2.21.4.6 svm.4.VMRUN.19 svm.2.21.2.2") "its write is saved", v->g_pat, 0x0101010101010101);
	check(REQ("svm.4.VMRUN.11 svm.2.21.2.3") "the host's stays", rdmsr(MSR_PAT), host);
	base(&g_pat_msr);
	v->np_enable = 0;
	v->cr3 = read_cr3();
	v->g_pat = 0xffffffffffffffff; /* not looked at, nor checked */
	v->ncr3 = ~0ull;
	check("PAT, no nested paging", go(), EXIT_VMMCALL);
	check(REQ("svm.2.21.3.2 svm.4.VMRUN.8") "G_PAT and H_CR3 are not used", seen[0], host);
	check(REQ("svm.4.VMRUN.19") "nor written", v->g_pat, 0xffffffffffffffff);
	check(REQ("svm.4.VMRUN.31 svm.2.21.2.6") "there is one PAT, and #VMEXIT leaves it", rdmsr(MSR_PAT),
	      0x0101010101010101);
	wrmsr(MSR_PAT, host);
}

/* GDTR and IDTR limits are 16 bits wide. */
static void limits(void)
{
	base(&g_nop);
	v->gdtr.limit = 0xabcd007f;
	v->idtr.limit = 0xabcd0fff;
	check("limits", go(), EXIT_VMMCALL);
	check(REQ("svm.C.1.110") "GDTR limit", v->gdtr.limit, 0x7f);
	check(REQ("svm.C.1.117") "IDTR limit", v->idtr.limit, 0xfff);
}

void test_state(void)
{
	guest_root = page_alloc();
	memcpy(guest_root, user_pml4, 4096);
	loaded();
	saved();
	host_kept();
	host_mode();
	passing();
	ldtr();
	the_rest();
	used_up();
	pat();
	limits();
}
