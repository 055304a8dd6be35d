/*
 * What VMRUN loads, what #VMEXIT saves and restores, VMLOAD and VMSAVE, the enabling rules, flags on both sides of the
 * switch: sections 2.1 to 2.3, 2.11, 2.13 of 33047, appendices B and E.
 */
#include "exits.h"

SNIPPET(dump,
	"mov %rax, seen; mov %cr0, %rbx; mov %rbx, seen+8; mov %cr2, %rbx; mov %rbx, seen+16;"
	"mov %cr3, %rbx; mov %rbx, seen+24;"
	"mov %cr4, %rbx; mov %rbx, seen+32; mov %dr6, %rbx; mov %rbx, seen+40; mov %dr7, %rbx; mov %rbx, seen+48;"
	"mov %rsp, seen+64; mov $0xc0000080, %ecx; rdmsr; mov %eax, seen+72; mov %cs, seen+80;"
	"mov %ss, seen+82; mov %ds, seen+84;"
	"mov %es, seen+86; sgdt seen+88; sidt seen+104; mov %cr8, %rbx; mov %rbx, seen+120;"
	"pushf; pop %rbx; mov %rbx, seen+56",
	"nop");
SNIPPET(change, "mov $0x7777, %eax; mov %rax, %cr2; mov $0x4000, %esi; mov %rsi, %dr6; stc", "nop");
SNIPPET(plain, "", "nop");
SNIPPET(tsc, "rdtsc; mov %edx, seen+4; mov %eax, seen", "nop");

static struct desc {
	u16 limit;
	u64 base;
} __attribute__((packed)) pseudo;

struct host {
	u64 cr0, cr3, cr4, efer, gdt, gdt_limit, idt, idt_limit, cs, ss, ds, es, flags, ldt, tr;
};

static void look(struct host *h)
{
	u16 s;

	h->cr0 = read_cr0();
	h->cr3 = read_cr3();
	h->cr4 = read_cr4();
	h->efer = rdmsr(MSR_EFER);
	asm volatile("sgdt %0" : "=m"(pseudo));
	h->gdt = pseudo.base;
	h->gdt_limit = pseudo.limit;
	asm volatile("sidt %0" : "=m"(pseudo));
	h->idt = pseudo.base;
	h->idt_limit = pseudo.limit;
	asm volatile("mov %%cs, %0" : "=r"(s));
	h->cs = s;
	asm volatile("mov %%ss, %0" : "=r"(s));
	h->ss = s;
	asm volatile("mov %%ds, %0" : "=r"(s));
	h->ds = s;
	asm volatile("mov %%es, %0" : "=r"(s));
	h->es = s;
	asm volatile("sldt %0" : "=r"(s));
	h->ldt = s;
	asm volatile("str %0" : "=r"(s));
	h->tr = s;
}

static void switch_state(void)
{
	struct host before, after;
	u64 dr6, dr7;
	u16 *sel = (u16 *)&seen[10];

	base(&dump);
	v->rax = 0x123456789abcdef0;
	v->cr2 = 0x5555666677778888;
	v->dr6 = 0xffff4ff1;
	v->dr7 = 0x401;
	v->rflags = 0xcd7;
	v->gdtr.limit = 0x5f;
	v->idtr.limit = 0x1ff;
	v->idtr.base = (u64)gidt;
	v->ds.sel = 0x1111;
	v->es.sel = 0x2222;
	v->ss.sel = 0x3330;
	v->cs.sel = 0x4440;
	v->rsp = STACK_TOP - 0x100;
	v->vintr = 6 | 1ull << 24;
	look(&before);
	vcheck("loaded", REQ("svm.2.2.1.1 svm.2.2.1.14 svm.2.2.1.35") "code", go(), EXIT_VMMCALL);
	look(&after);
	vcheck("loaded", REQ("svm.2.2.1.37") "RAX", seen[0], 0x123456789abcdef0);
	vcheck("loaded", REQ("svm.2.2.1.40") "CR0", seen[1], v->cr0);
	vcheck("loaded", REQ("svm.2.2.1.41 svm.2.21.2.4") "CR2", seen[2], 0x5555666677778888);
	vcheck("loaded", REQ("svm.2.2.1.42") "CR3", seen[3], (u64)user_pml4);
	vcheck("loaded", REQ("svm.2.2.1.43") "CR4", seen[4], v->cr4);
	vcheck("loaded", REQ("svm.2.2.1.52") "DR6", seen[5], 0xffff4ff1);
	vcheck("loaded", REQ("svm.2.2.1.51") "DR7", seen[6], 0x401);
	vcheck("loaded", REQ("svm.2.2.1.36 svm.2.2.1.133") "RFLAGS", seen[7], 0xcd7);
	vcheck("loaded", REQ("svm.2.2.1.39") "RSP", seen[8], STACK_TOP - 0x100);
	vcheck("loaded", REQ("svm.2.2.1.44") "EFER", (u32)seen[9], v->efer);
	vcheck("loaded", REQ("svm.2.2.1.34") "CS", sel[0], 0x4440);			/* no table is read */
	vcheck("loaded", REQ("svm.2.2.1.38") "SS", sel[1], 0x3330);
	vcheck("loaded", REQ("svm.2.2.1.50") "DS", sel[2], 0x1111);
	vcheck("loaded", REQ("svm.2.2.1.49") "ES", sel[3], 0x2222);
	vcheck("loaded", REQ("svm.2.2.1.48") "GDTR", (u16)seen[11], 0x5f);
	vcheck("loaded", REQ("svm.2.2.1.47") "IDTR", (u16)seen[13], 0x1ff);
	vcheck("loaded", REQ("svm.2.2.1.53 svm.2.17.2.1") "V_TPR", seen[15], 6);
	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	asm volatile("mov %%dr7, %0" : "=r"(dr7));
	vcheck("host", REQ("svm.2.2.1.22 svm.2.3.20") "CR0", after.cr0, before.cr0);
	vcheck("host", REQ("svm.2.2.1.23 svm.2.21.4.8") "CR3", after.cr3, before.cr3);
	vcheck("host", REQ("svm.2.2.1.24") "CR4", after.cr4, before.cr4);
	vcheck("host", REQ("svm.2.2.1.25") "EFER", after.efer, before.efer);
	vcheck("host", REQ("svm.2.2.1.27") "GDTR base", after.gdt, before.gdt);
	vcheck("host", "GDTR limit", after.gdt_limit, before.gdt_limit);
	vcheck("host", REQ("svm.2.2.1.26") "IDTR base", after.idt, before.idt);
	vcheck("host", "IDTR limit", after.idt_limit, before.idt_limit);
	vcheck("host", REQ("svm.2.2.1.16") "CS", after.cs, before.cs);
	vcheck("host", REQ("svm.2.2.1.20") "SS", after.ss, before.ss);
	vcheck("host", REQ("svm.2.2.1.30") "DS", after.ds, before.ds);
	vcheck("host", REQ("svm.2.2.1.29") "ES", after.es, before.es);
	vcheck("host", REQ("svm.2.2.1.31") "DR6 is the guest's", dr6, 0xffff4ff1);
	vcheck("host", REQ("svm.2.3.23") "DR7", dr7, 0x400);
	vcheck("host", "CR2 is the guest's", read_cr2(), 0x5555666677778888);
}

static void saved_state(void)
{
	base(&change);
	vcheck("saved", REQ("svm.2.3.2 svm.2.4.1.4") "code", go(), EXIT_VMMCALL);
	vcheck("saved", "RAX", v->rax, 0x7777);
	vcheck("saved", "CR2", v->cr2, 0x7777);
	vcheck("saved", "DR6", v->dr6, 0xffff4ff0);
	vcheck("saved", "RFLAGS", v->rflags, 3);
	vcheck("saved", "RIP", v->rip, (u64)change.next);
	vcheck("saved", "RSP", v->rsp, STACK_TOP);
	vcheck("saved", REQ("svm.2.2.1.94") "CPL", v->cpl, 0);
	vcheck("saved", REQ("svm.2.21.4.7") "N_CR3 unchanged", v->ncr3 != 0, 1);
}

static void privilege(void)
{
	base(&plain); /* the CPL field counts, not SS.DPL */
	user();
	v->ss.attrib = 0xc93;
	v->intercept1 |= SVM_BIT(EXIT_HLT);
	vcheck("CPL 3 with SS.DPL 0", REQ("svm.2.2.1.57 svm.2.2.1.92 svm.2.2.1.93") "code", go(), EXIT_VMMCALL);
	vcheck("CPL 3 with SS.DPL 0", "CPL", v->cpl, 3);
	base(&plain);
	v->ss.attrib = 0;
	vcheck("SS null in 64-bit mode", REQ("svm.2.2.1.83") "code", go(), EXIT_VMMCALL);
	base(&tsc);
	v->tsc_offset = 1ull << 50;
	vcheck("TSC_OFFSET", REQ("svm.2.2.1.66 svm.2.3.12 svm.2.2.1.69 svm.C.1.56") "code", go(), EXIT_VMMCALL);
	vcheck("TSC_OFFSET", "guest", seen[0] >> 50, 1);
	vcheck("TSC_OFFSET", "host", rdtsc() >> 50, 0);
}

/* ---- VMLOAD and VMSAVE ---- */
static struct vmcb mine __attribute__((aligned(4096))), given __attribute__((aligned(4096))),
	stored __attribute__((aligned(4096)));

static const struct {
	const char *name;
	u16 offset;
	u8 width;
	u64 value;
} moved[] = {
	{REQ("svm.2.11.2") "FS selector", 0x440, 2, 0x1230}, {"FS attributes", 0x442, 2, 0xc93}, {"FS limit", 0x444, 4, 0x12345},
	{"FS base", 0x448, 8, 0x7f0000001000},
	{REQ("svm.2.11.3") "GS selector", 0x450, 2, 0x4560}, {"GS attributes", 0x452, 2, 0x893}, {"GS limit", 0x454, 4, 0x2345},
	{"GS base", 0x458, 8, 0xffff800000002000},
	{REQ("svm.2.11.4") "TR selector", 0x490, 2, 0x40}, {"TR attributes", 0x492, 2, 0x8b}, {"TR limit", 0x494, 4, 0x77},
	{"TR base", 0x498, 8, 0x123456789000},
	{REQ("svm.2.11.5") "LDTR selector", 0x470, 2, 0x50}, {"LDTR attributes", 0x472, 2, 0x82}, {"LDTR limit", 0x474, 4, 0x3f},
	{"LDTR base", 0x478, 8, 0xffff900000003000},
	{REQ("svm.2.11.6") "KernelGsBase", 0x620, 8, 0x7f1234567000},
	{REQ("svm.2.11.7") "STAR", 0x600, 8, 0x0023001000000000},
	{REQ("svm.2.11.8") "LSTAR", 0x608, 8, 0xffffffff81000000},
	{REQ("svm.2.11.9") "CSTAR", 0x610, 8, 0xffffffff82000000},
	{REQ("svm.2.11.10") "SFMASK", 0x618, 8, 0x47700},
	{REQ("svm.2.11.11") "SYSENTER_CS", 0x628, 8, 0x10},
	{REQ("svm.2.11.12") "SYSENTER_ESP", 0x630, 8, 0xffffc90000000000},
	{REQ("svm.2.11.13") "SYSENTER_EIP", 0x638, 8, 0xffffffff83000000},
};

static void load_and_save(void)
{
	u64 gs_base, lstar;
	u8 *to = (u8 *)&stored;
	bool others = true;

	memset(&given, 0, sizeof(given));
	memset(&stored, 0xa5, sizeof(stored));
	for (unsigned n = 0; n < COUNT(moved); n++)
		memcpy((u8 *)&given + moved[n].offset, &moved[n].value, moved[n].width);
	asm volatile("vmsave" ::"a"(&mine) : "memory");
	asm volatile("vmload" ::"a"(&given) : "memory"); /* the selectors are in no table */
	lstar = rdmsr(MSR_LSTAR);
	gs_base = rdmsr(MSR_GS_BASE);
	asm volatile("vmsave" ::"a"(&stored) : "memory");
	asm volatile("vmload" ::"a"(&mine) : "memory");
	vcheck("VMLOAD", REQ("svm.2.11.1") "LSTAR", lstar, 0xffffffff81000000);
	vcheck("VMLOAD", "GS base", gs_base, 0xffff800000002000);
	for (unsigned n = 0; n < COUNT(moved); n++) {
		u64 is = 0;

		memcpy(&is, to + moved[n].offset, moved[n].width);
		vcheck("VMLOAD, VMSAVE", moved[n].name, is, moved[n].value);
		memset(to + moved[n].offset, 0xa5, moved[n].width);
	}
	for (unsigned n = 0; n < 4096; n++)
		others = others && to[n] == 0xa5;
	vcheck("VMSAVE", REQ("svm.2.11.15") "no other byte changes", others, true);
}

/* ---- enabling, MSRs, CPUID ---- */
static void enabling(void)
{
	u64 efer = rdmsr(MSR_EFER), hsave = rdmsr(MSR_VM_HSAVE_PA), top;
	u32 r[4];

	wrmsr(MSR_EFER, efer & ~0x1000ull);
	vcheck("SVME 0", REQ("svm.2.1.1 svm.2.1.2 svm.2.2.1.9 svm.2.11.18 svm.E.5.1.1 svm.E.5.1.2") "VMRUN", (u64)CATCH(asm volatile("vmrun" ::"a"(v))), 6);
	vcheck("SVME 0", "VMLOAD", (u64)CATCH(asm volatile("vmload" ::"a"(v))), 6);
	vcheck("SVME 0", "VMSAVE", (u64)CATCH(asm volatile("vmsave" ::"a"(v))), 6);
	vcheck("SVME 0", "VMMCALL", (u64)CATCH(asm volatile("vmmcall")), 6);
	cpuid(0x80000001, 0, r); /* "Enabling SVM": where SKINIT is announced, SKINIT and STGI need no SVME */
	vcheck("SVME 0", "STGI", (u64)CATCH(asm volatile("stgi")), r[2] >> 12 & 1 ? ~0ull : 6);
	vcheck("SVME 0", REQ("svm.4.CLGI.5 svm.4.INVLPGA.10") "CLGI", (u64)CATCH(asm volatile("clgi")), 6);
	vcheck("SVME 0", "INVLPGA", (u64)CATCH(asm volatile("invlpga" ::"a"(0), "c"(0))), 6);
	vcheck("SVME 0", REQ("svm.E.0.4 svm.E.0.5") "VM_HSAVE_PA", rdmsr(MSR_VM_HSAVE_PA), hsave);
	wrmsr(MSR_EFER, efer);
	vcheck("VMRUN", "address not aligned", (u64)CATCH(asm volatile("vmrun" ::"a"((u64)v + 8))), 13);
	vcheck("VMMCALL in the host", "#UD", (u64)CATCH(asm volatile("vmmcall")), 6);

	cpuid(0x80000008, 0, r);
	top = 1ull << (r[0] & 0xff);
	wrmsr(MSR_VM_HSAVE_PA, top - 4096);
	vcheck("VM_HSAVE_PA", REQ("svm.E.4.2 svm.E.4.5") "the highest page", rdmsr(MSR_VM_HSAVE_PA), top - 4096);
	vcheck("VM_HSAVE_PA", REQ("svm.E.4.4") "beyond", (u64)CATCH(wrmsr(MSR_VM_HSAVE_PA, top)), 13);
	vcheck("VM_HSAVE_PA", REQ("svm.E.4.3") "not aligned", (u64)CATCH(wrmsr(MSR_VM_HSAVE_PA, hsave | 0x800)), 13);
	wrmsr(MSR_VM_HSAVE_PA, hsave);

	cpuid(0x80000001, 0, r);
	vcheck("CPUID", REQ("svm.B.1 svm.B.2") "SVM", r[2] >> 2 & 1, 1);
	cpuid(0x80000000, 0, r);
	vcheck("CPUID", "the leaf", r[0] >= 0x8000000a, 1);
	cpuid(0x8000000a, 0, r);
	vcheck("CPUID", REQ("svm.B.3 svm.B.4 svm.B.6") "revision", r[0], 1);
	vcheck("CPUID", "ECX", r[2], 0);
	vcheck("CPUID", "NP", r[3] & 1, 1);
	base(&plain);
	v->asid = r[1] - 1;
	vcheck("CPUID", REQ("svm.B.7 svm.B.8") "the last ASID", go(), EXIT_VMMCALL);
	base(&plain);
	v->asid = r[1];
	vcheck("CPUID", "the first that is none", go(), ~0ull);
	if (of_2005)
		vcheck("CPUID", REQ("svm.B.12") "EDX", r[3] & ~3u, 0);
}

/* ---- TF, RF and breakpoints on both sides ---- */
static u64 db_rip, db_dr6;
static unsigned dbs;

static bool on_db(struct regs *r)
{
	dbs++;
	db_rip = r->rip;
	asm volatile("mov %%dr6, %0" : "=r"(db_dr6));
	asm volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
	r->rflags &= ~0x100ull;
	return true;
}

SNIPPET(watched_ss, "lea scratch, %rbx", "mov (%rbx), %ss");

/* MOV SS holds the trap of its own breakpoint back, and the VMMCALL behind it leaves: the host never hears of it. */
static void held_trap(void)
{
	base(&watched_ss);
	scratch[0] = 0x10;
	asm volatile("mov %0, %%dr0" ::"r"(scratch));
	v->dr7 = 0x400 | 1 | 3 << 16 | 1 << 18; /* L0, read or write, two bytes */
	vcheck("breakpoint behind MOV SS", "code", go(), EXIT_VMMCALL);
	vcheck("breakpoint behind MOV SS", "RIP", v->rip, (u64)watched_ss.next);
	dbs = 0;
	asm volatile("pushf; orl $0x100, (%%rsp); popf; nop" ::: "memory", "cc");
	vcheck("breakpoint behind MOV SS", "the host's own step", dbs, 1);
	vcheck("breakpoint behind MOV SS", "nothing of the guest is in DR6", db_dr6, 0xffff4ff0);
}

static void flags(void)
{
	extern char after_vmrun[];

	on_exception(1, on_db);
	held_trap();
	base(&plain);
	dbs = 0;
	asm volatile("push %%rbp; clgi; pushf; orl $0x100, (%%rsp); popf\nvmrun\n"
		     "after_vmrun: nop; stgi; pop %%rbp" ::"a"(v)
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		     	"memory", "cc");
	vcheck("host TF", REQ("svm.2.2.1.127 svm.2.13.5") "code", v->exitcode, EXIT_VMMCALL);
	vcheck("host TF", "one trap", dbs, 1);
	vcheck("host TF", "behind VMRUN", db_rip, (u64)after_vmrun);
	vcheck("host TF", "nothing of the guest is in DR6", db_dr6, 0xffff4ff0);
	base(&plain);
	v->rflags = 0x102;
	vcheck("guest TF", REQ("svm.2.2.1.131 svm.2.2.1.132") "code", go(), EXIT_DB);
	vcheck("guest TF", "after the first instruction", v->rip, (u64)plain.next);
	base(&plain);
	v->dr7 = 0x401;
	asm volatile("mov %0, %%dr0" ::"r"(plain.at));
	vcheck("guest breakpoint", REQ("svm.2.2.1.130") "code", go(), EXIT_DB);
	vcheck("guest breakpoint", "before the instruction", v->rip, (u64)plain.at);
	base(&plain);
	v->dr7 = 0x401;
	v->rflags = 0x10002;
	vcheck("guest RF", REQ("svm.2.2.1.129") "code", go(), EXIT_VMMCALL);
	base(&plain); /* no consistency check has it; long mode does not know virtual-8086 mode */
	v->rflags = 0x20002;
	vcheck("guest VM in long mode", "code", go(), EXIT_VMMCALL);
	vcheck("guest VM in long mode", "64-bit code ran", v->rip, (u64)plain.next);
	/* an intercepted instruction with a breakpoint on it: the breakpoint first */
	base(&plain);
	v->dr7 = 0x401;
	asm volatile("mov %0, %%dr0" ::"r"(plain.next));
	vcheck("breakpoint on VMMCALL", REQ("svm.2.4.0.11") "code", go(), EXIT_DB);
	vcheck("breakpoint on VMMCALL", "RIP", v->rip, (u64)plain.next);
	/* GIF 0: a data breakpoint is dropped, a single step is not. */
	asm volatile("mov %0, %%dr0" ::"r"(scratch));
	asm volatile("mov %0, %%dr7" ::"r"(0xd0402ull));
	dbs = 0;
	asm volatile("movl $1, scratch; nop" ::: "memory");
	vcheck("breakpoint, GIF 1", REQ("svm.2.13.4") "taken", dbs, 1);
	asm volatile("clgi; movl $1, scratch; nop; stgi; nop" ::: "memory");
	vcheck("breakpoint, GIF 0", "dropped", dbs, 1);
	asm volatile("mov %0, %%dr7" ::"r"(0x400ull));
	asm volatile("pushf; orl $0x100, (%%rsp); popf; nop" ::: "memory", "cc");
	vcheck("single step, GIF 1", "taken", dbs, 2);
	base(&plain); /* VMRUN with GIF 1 */
	vcheck("VMRUN with GIF 1", REQ("svm.2.2.1.64") "code", go_gif0(), EXIT_VMMCALL);
	asm volatile("stgi");
}

/* ---- "TSC Ratio MSR" ---- */
SNIPPET(tsc_msr, "mov $0x10, %ecx", "rdmsr; mov %edx, seen+4; mov %eax, seen");
SNIPPET(mperf, "xor %ecx, %ecx", ".byte 0x0f, 0x01, 0xfd; mov %edx, seen+4; mov %eax, seen");
SNIPPET(aperf, "mov $1, %ecx", ".byte 0x0f, 0x01, 0xfd; mov %edx, seen+4; mov %eax, seen");

static u64 count(bool is_tsc)
{
	u32 a, d;

	if (is_tsc)
		return rdtsc();
	asm volatile(".byte 0x0f, 0x01, 0xfd" : "=a"(a), "=d"(d) : "c"(0));
	return (u64)d << 32 | a;
}

static u64 times(u64 value, u64 ratio)
{
	return (u64)((unsigned __int128)value * ratio >> 32);
}

static void tsc_ratio(void)
{
	static const u64 ratios[] = {1ull << 32, 1ull << 31, 3ull << 32, 0x180000000, 0xffffffffff, 1, 0};
	static const struct {
		const char *name;
		const struct snippet *s;
		bool scaled, offset;
	} rows[] = {{"RDTSC", &tsc, true, true},
		    {"RDMSR of the TSC", &tsc_msr, true, true},
		    {"RDPRU of MPERF", &mperf, true, false},
		    {"RDPRU of APERF", &aperf, false, false}};
	const u64 offset = 1ull << 60;
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!(r[3] >> 4 & 1)) {
		vcheck("TSC_RATIO", "not there", (u64)CATCH(rdmsr(MSR_TSC_RATIO)), 13);
		return;
	}
	vcheck("TSC_RATIO", "reset", rdmsr(MSR_TSC_RATIO), 1ull << 32);
	vcheck("TSC_RATIO", "63:40 MBZ", (u64)CATCH(wrmsr(MSR_TSC_RATIO, 1ull << 40)), 13);
	for (unsigned n = 0; n < COUNT(ratios) * COUNT(rows); n++) {
		u64 ratio = ratios[n / COUNT(rows)], before, after, got;
		unsigned k = n % COUNT(rows);

		base(rows[k].s);
		v->tsc_offset = offset;
		wrmsr(MSR_TSC_RATIO, ratio);
		before = count(rows[k].offset);
		vcheck(rows[k].name, "code", go(), EXIT_VMMCALL);
		after = count(rows[k].offset);
		vcheck("the host's count", "not scaled", after - before < 1000000, 1);
		got = seen[0] - (rows[k].offset ? offset : 0);
		if (rows[k].scaled)
			before = times(before, ratio), after = times(after, ratio);
		vcheck(rows[k].name, "in proportion", got >= before && got <= after, 1);
	}
	wrmsr(MSR_TSC_RATIO, 1ull << 32);
}

/* "PERF_CTL", GuestOnly: neither VMRUN nor the VMMCALL that leaves is in it. */
SNIPPET(few, "nop; nop; mov $1, %ecx", "dec %ecx");

static void guest_counter(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[2] >> 23 & 1))
		return;
	base(&few);
	wrmsr(MSR_PERF_CTR0, 0);
	wrmsr(MSR_PERF_CTL0, 0x4300c0 | 1ull << 40);
	vcheck("PERF_CTL.GuestOnly", "code", go(), EXIT_VMMCALL);
	vcheck("PERF_CTL.GuestOnly", "the guest's instructions", rdmsr(MSR_PERF_CTR0), 4);
	v->rip = (u64)few.entry;
	vcheck("PERF_CTL.GuestOnly", "code", go(), EXIT_VMMCALL);
	vcheck("PERF_CTL.GuestOnly", "twice", rdmsr(MSR_PERF_CTR0), 8);
	wrmsr(MSR_PERF_CTL0, 0);
}

void test_state(void)
{
	switch_state();
	saved_state();
	privilege();
	load_and_save();
	enabling();
	flags();
	tsc_ratio();
	guest_counter();
}
