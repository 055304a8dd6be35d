/* When the instructions fault: "SVM Instruction Set Reference", section 2.1. */
#include "reqs.h"

/* As a guest, as a guest that has dropped EFER.SVME and gone to CPL 3, and in the host. */
#define I(name)                                                                                                        \
	asm(".pushsection .text\nh_" #name ": " #name "\nret\n.popsection");                                           \
	SNIPPET(s_##name, #name, "");                                                                                  \
	SNIPPET(d_##name, "mov $0xc0000080, %ecx; rdmsr; btr $12, %eax; wrmsr; mov %rsp, %rbx; push $0x43; push %rbx;" \
	                  "push $2; push $0x4b; push $1f; iretq; 1: " #name, "");                                      \
	extern void h_##name(void)
I(vmrun);
I(vmmcall);
I(vmload);
I(vmsave);
I(stgi);
I(clgi);
I(invlpga);
I(skinit);

static const struct {
	const struct snippet *code, *dropped;
	void (*host)(void);
	u16 exit;
	const char *opcode, *no_svme, *mode, *cpl;
} rows[] = {
        {&s_vmrun, &d_vmrun, h_vmrun, EXIT_VMRUN, REQ("svm.4.VMRUN.1"),
         REQ("svm.4.VMRUN.45 svm.2.1.2 svm.2.2.1.9 svm.E.5.1.2"), REQ("svm.4.VMRUN.46 svm.2.2.1.8"),
         REQ("svm.4.VMRUN.47 svm.2.2.1.7")},
        {&s_vmmcall, &d_vmmcall, h_vmmcall, EXIT_VMMCALL, REQ("svm.4.VMMCALL.1"), REQ("svm.4.VMMCALL.6 svm.2.1.2"), NULL,
         NULL},
        {&s_vmload, &d_vmload, h_vmload, EXIT_VMLOAD, REQ("svm.4.VMLOAD.1"), REQ("svm.4.VMLOAD.6 svm.2.11.18 svm.2.1.2"),
         REQ("svm.4.VMLOAD.7 svm.2.11.17"), REQ("svm.4.VMLOAD.8")},
        {&s_vmsave, &d_vmsave, h_vmsave, EXIT_VMSAVE, REQ("svm.4.VMSAVE.1"), REQ("svm.4.VMSAVE.6 svm.2.11.18 svm.2.1.2"),
         REQ("svm.4.VMSAVE.7 svm.2.11.17"), REQ("svm.4.VMSAVE.8")},
        {&s_stgi, &d_stgi, h_stgi, EXIT_STGI, REQ("svm.4.STGI.1"), REQ("svm.4.STGI.5 svm.2.1.2"), REQ("svm.4.STGI.6"),
         REQ("svm.4.STGI.7")},
        {&s_clgi, &d_clgi, h_clgi, EXIT_CLGI, REQ("svm.4.CLGI.1"), REQ("svm.4.CLGI.5 svm.2.1.2"), REQ("svm.4.CLGI.6"),
         REQ("svm.4.CLGI.7")},
        {&s_invlpga, &d_invlpga, h_invlpga, EXIT_INVLPGA, REQ("svm.4.INVLPGA.1"), REQ("svm.4.INVLPGA.10 svm.2.1.2"),
         REQ("svm.4.INVLPGA.11"), REQ("svm.4.INVLPGA.12")},
        {&s_skinit, &d_skinit, h_skinit, EXIT_SKINIT, REQ("svm.4.SKINIT.1 svm.D.89 svm.C.1.48"),
         REQ("svm.4.SKINIT.19 svm.2.1.2"), REQ("svm.4.SKINIT.20"), REQ("svm.4.SKINIT.21 svm.2.5.26.2")},
};

/* STGI and SKINIT without EFER.SVME, where CPUID announces them by themselves: "Enabling SVM". */
static bool alone(unsigned n)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	return (r[2] >> 12 & 1) && (rows[n].exit == EXIT_STGI || rows[n].exit == EXIT_SKINIT);
}

static void low_mode(const struct snippet *s, u64 cr0, u64 rflags)
{
	base_at((void *)0);
	v->efer = 0x1000;
	v->cr4 = 0;
	v->cr3 = 0;
	v->cr0 = cr0;
	v->rflags = rflags;
	v->cs.base = (u64)s->entry;
	v->cs.limit = 0xffff;
	v->cs.attrib = 0x9b;
}

static void each(unsigned n)
{
	u64 efer = rdmsr(EFER), rax = (u64)v;

	base(rows[n].code);
	v->rax = rax;
	((u32 *)v)[rows[n].exit / 32] |= SVM_BIT(rows[n].exit);
	check(rows[n].opcode, go(), rows[n].exit);
	check(rows[n].opcode, v->rip, rows[n].code->entry);
	if (n == 0) /* nothing of VMRUN has happened */
		check(REQ("svm.4.VMRUN.2") "exit before anything is saved",
		      *(u64 *)(rdmsr(HSAVE) + 0x578) != (u64)rows[n].code->entry + 3, 1);
	if (!alone(n)) { /* SKINIT itself without EFER.SVME: tests/virt/skinit */
		wrmsr(EFER, efer & ~0x1000ull);
		check(rows[n].no_svme, CATCH(asm volatile("call *%1" : "+a"(rax) : "r"(rows[n].host) : "rcx", "memory")), 6);
		wrmsr(EFER, efer);
	}
	base(rows[n].dropped);
	((u32 *)v)[rows[n].exit / 32] |= SVM_BIT(rows[n].exit);
	/* CPL 3 and EFER.SVME 0: #UD wins over #GP */
	if (alone(n))
		check("no EFER.SVME, at CPL 3", go(), EXIT_GP);
	else
		check(REQ("svm.4.0.1") "#UD before #GP", go(), EXIT_UD);
	check(REQ("svm.4.0.1") "at CPL 3", v->cpl, 3);
	if (!rows[n].mode)
		return;
	low_mode(rows[n].code, 0x10, 2);
	((u32 *)v)[rows[n].exit / 32] |= SVM_BIT(rows[n].exit);
	check(rows[n].mode, go(), EXIT_UD);
	low_mode(rows[n].code, 0x11, 0x20002);
	((u32 *)v)[rows[n].exit / 32] |= SVM_BIT(rows[n].exit);
	check(rows[n].mode, go(), EXIT_UD);
	base(rows[n].code);
	user();
	((u32 *)v)[rows[n].exit / 32] |= SVM_BIT(rows[n].exit);
	check(rows[n].cpl, go(), EXIT_GP);
	check(rows[n].cpl, v->exitinfo1, 0);
}

static void vmmcall(void)
{
	static const struct {
		u64 cr0, rflags;
		u8 cpl;
	} modes[] = {{0x10, 2, 0}, {0x11, 0x20002, 3}, {0x11, 2, 0}};

	for (unsigned n = 0; n < COUNT(modes); n++)
		for (unsigned on = 0; on < 2; on++) {
			low_mode(&s_vmmcall, modes[n].cr0, modes[n].rflags);
			v->cpl = modes[n].cpl;
			v->intercept2 = 1 | on << 1;
			check(on ? REQ("svm.4.VMMCALL.2") "" : REQ("svm.4.VMMCALL.3") "", go(), on ? EXIT_VMMCALL : EXIT_UD);
			check(REQ("svm.4.VMMCALL.4") "RIP, RFLAGS",
			      v->rip == 0 && (v->rflags & ~0x10000ull) == modes[n].rflags, 1);
		}
	for (unsigned on = 0; on < 2; on++) {
		base(&s_vmmcall);
		user();
		v->intercept2 = 1 | on << 1;
		check(on ? REQ("svm.4.VMMCALL.2") "CPL 3" : REQ("svm.4.VMMCALL.3") "CPL 3", go(), on ? EXIT_VMMCALL : EXIT_UD);
	}
	check(REQ("svm.4.VMMCALL.3") "on the host", CATCH(asm volatile("vmmcall")), 6);
}

#define AT(insn, address)                                                                                              \
	({                                                                                                             \
		u64 a_ = (address);                                                                                    \
		CATCH(asm volatile(insn                                                                                \
		                   : "+a"(a_)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",            \
		                     "memory"));                                                                       \
	})

static void addresses(void)
{
	u32 r[4];
	u64 top, area = rdmsr(HSAVE);
	volatile u64 sum = 0;

	cpuid(0x80000008, 0, r);
	top = 1ull << (r[0] & 0xff);
	base(&s_vmrun);
	memset((void *)area, 0x5a, 4096);
	check(REQ("svm.4.VMRUN.48"), AT("vmrun", top), 13);
	check(REQ("svm.4.VMLOAD.9"), AT("vmload", top), 13);
	check(REQ("svm.4.VMSAVE.9"), AT("vmsave", top), 13);
	for (volatile unsigned bit = 0; bit < 12; bit++) {
		check(REQ("svm.4.VMRUN.49"), AT("vmrun", (u64)v | 1u << bit), 13);
		check(REQ("svm.4.VMLOAD.10"), AT("vmload", (u64)v | 1u << bit), 13);
		check(REQ("svm.4.VMSAVE.10"), AT("vmsave", (u64)v | 1u << bit), 13);
	}
	for (unsigned n = 0; n < 4096; n++)
		sum |= ((u8 *)area)[n] ^ 0x5a;
	check(REQ("svm.4.VMRUN.50") "save area untouched", sum, 0);
	check(REQ("svm.4.VMRUN.50") "VMCB untouched", v->exitcode | v->exitinfo1, 0);
	unsigned before = irqs;
	asm volatile("sti");
	self_ipi(0x51);
	asm volatile("nop; nop; cli");
	check(REQ("svm.4.VMRUN.50") "GIF still 1", irqs, before + 1);
	asm volatile("clgi");
	AT("vmrun", 1);
	asm volatile("sti");
	self_ipi(0x51);
	asm volatile("nop; nop");
	check(REQ("svm.4.VMRUN.50") "GIF still 0", irqs, before + 1);
	asm volatile("stgi; nop; cli");
	check("taken at STGI", irqs, before + 2);
}

static void flags(void)
{
	u64 f[4], a = (u64)v;

	base(&s_vmrun);
#define FLAGS(insn, n)                                                                                                 \
	asm volatile("push $0x8d7; popf; " insn "; pushf; pop %0; stgi"                                                \
	             : "=r"(f[n])                                                                                      \
	             : "a"(a), "c"(1)                                                                                  \
	             : "memory", "c"                                                                                   \
	                         "c")
	FLAGS("clgi", 0);
	check(REQ("svm.4.CLGI.3"), f[0], 0x8d7);
	FLAGS("stgi", 1);
	check(REQ("svm.4.STGI.3"), f[1], 0x8d7);
	FLAGS("vmsave", 2);
	check(REQ("svm.4.VMSAVE.4"), f[2], 0x8d7);
	FLAGS("vmload", 2);
	check(REQ("svm.4.VMLOAD.4"), f[2], 0x8d7);
	FLAGS("invlpga", 3);
	check(REQ("svm.4.INVLPGA.8"), f[3], 0x8d7);
	unsigned before = irqs;
	asm volatile("clgi; sti");
	self_ipi(0x51);
	asm volatile("nop; nop" ::: "memory");
	check(REQ("svm.4.CLGI.2"), irqs, before);
	asm volatile("stgi; nop" ::: "memory");
	check(REQ("svm.4.STGI.2"), irqs, before + 1);
	asm volatile("cli");
}

/* INVLPGA: only ECX counts, and address bits by the effective address size. */
static void invlpga(void)
{
	volatile u64 *page = (u64 *)0x500000000000;
	u64 *a = page_alloc(), *b = page_alloc();
	u64 *root = (u64 *)read_cr3(), *entry;
	static const struct {
		const char *req;
		u64 rcx, rax;
		bool narrow, gone;
	} t[] = {
	        {REQ("svm.4.INVLPGA.3") "another ASID", 1, 0x500000000000, false, false},
	        {REQ("svm.4.INVLPGA.3") "ECX 0", 0x1234567800000000, 0x500000000000, false, true},
	        {REQ("svm.4.INVLPGA.2") "EAX is another page", 0, 0x500000000000, true, false},
	};

	*a = 1, *b = 2;
	map_page(root, (u64)page, (u64)a, 3);
	entry = (u64 *)(((u64 *)(((u64 *)(root[(u64)page >> 39] & ~0xfffull))[(u64)page >> 30 & 511] & ~0xfffull))[0] &
	                ~0xfffull);
	for (unsigned n = 0; n < COUNT(t); n++) {
		entry[0] = (u64)a | 3;
		invlpg((void *)page);
		(void)*page;
		entry[0] = (u64)b | 3;
		if (t[n].narrow)
			asm volatile("addr32 invlpga" ::"a"(t[n].rax), "c"(t[n].rcx) : "memory");
		else
			asm volatile("invlpga" ::"a"(t[n].rax), "c"(t[n].rcx) : "memory");
		check(t[n].req, *page, t[n].gone ? 2 : 1);
	}
	root[(u64)page >> 39] = 0;
	write_cr3((u64)root);
}

/* ---- #UD before the intercepts of the table registers ---- */

static void illegal_forms(void)
{
	static u8 code[8] __attribute__((aligned(16)));
	static const struct {
		u8 op, modrm, bit; /* 0F op, with a memory operand at [RAX] */
	} forms[] = {{0x01, 0x08, 6},  {0x01, 0x00, 7},  {0x00, 0x00, 8},  {0x00, 0x08, 9},
	            {0x01, 0x18, 10}, {0x01, 0x10, 11}, {0x00, 0x10, 12}, {0x00, 0x18, 13}};

	for (unsigned n = 0; n < COUNT(forms); n++) {
		u8 insn[4] = {0xf0, 0x0f, forms[n].op, forms[n].modrm};

		memcpy(code, insn, 4);
		base_at(code);
		v->rax = (u64)scratch;
		v->intercept1 |= 1u << forms[n].bit;
		check(REQ("svm.2.5.6.9") "LOCK", go(), EXIT_UD);
		if (forms[n].op)
			continue;
		memcpy(code, insn + 1, 3);
		base_at((void *)0);
		v->efer = 0x1000;
		v->cr4 = 0;
		v->cr0 = 0x10;
		v->cs.base = (u64)code;
		v->cs.limit = 0xffff;
		v->intercept1 |= 1u << forms[n].bit;
		check(REQ("svm.2.5.6.9") "real mode", go(), EXIT_UD);
	}
}

void test_faults(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++)
		each(n);
	vmmcall();
	addresses();
	flags();
	invlpga();
	illegal_forms();
}
