/*
 * The system side of the processor: mode switches, far transfers, task switches, system calls, segment-load faults, MSRs,
 * CPUID, performance counters, and the reading of --cpu. Runs on every model, on a real bus with a real decoder.
 */
#include "rig.h"

#include "cpu/control/msr.h"
#include "cpu/control/segs.h"
#include "msr_names.h"

static void run(struct rig *r, u64 limit)
{
	u64 end = r->clock.now + limit;

	while (r->clock.now < end && r->c->activity == ACT_RUN && !r->c->stop) {
		u64 until = min_u64(end, r->clock.next);

		cpu_run(r->c, until > r->clock.now ? until : r->clock.now + 1);
		if (r->clock.now >= r->clock.next)
			clock_fire(&r->clock);
	}
}

static const char *const models[] = {"amd", "intel", "plain"};

/* ---- one guest through all modes ---- */

/*
 * Real mode (far CALL, RET), protected mode, CALL to a TSS and IRET back, RET to CPL 3, a call gate with two parameters,
 * INT to CPL 0, IRET to virtual-8086 mode, INT out of it, long mode, SYSRET, SYSCALL, INT, IRETQ, SWAPGS, HLT.
 */
#define BASE 0x10000u
/* clang-format off */
asm(".pushsection .rodata\n.globl guest,guest_end\n"
".code16\n"
"guest:\n"
" cli\n xor %ax,%ax\n mov %ax,%ds\n mov %ax,%es\n mov %ax,%ss\n mov $0x7000,%sp\n"
" .byte 0x9a\n .word (rf-guest), 0x1000\n"
" jmp 1f\n"
"rf: mov $0x1234,%bx\n lret\n"
"1: mov $0x1000,%ax\n mov %ax,%ds\n lgdtl (gdtr-guest)\n"
" mov %cr0,%eax\n or $1,%al\n mov %eax,%cr0\n"
" .byte 0x66,0xea\n .long (p32-guest)+0x10000\n .word 8\n"
".code32\n"
"p32: mov $0x10,%ax\n mov %ax,%ds\n mov %ax,%es\n mov %ax,%ss\n mov %ax,%fs\n mov %ax,%gs\n mov $0x6000,%esp\n"
" lidt (idtr-guest)+0x10000\n"
" mov $0x48,%ax\n ltr %ax\n"
" str %cx\n mov %cx,0x5000\n"
" .byte 0x9a\n .long 0\n .word 0x50\n"
" incl 0x5010\n"
" pushl $0x23\n pushl $0x5800\n pushl $0x1b\n pushl $(r3-guest)+0x10000\n lret\n"
"r3: mov $0x23,%ax\n mov %ax,%ds\n"
" pushl $0x11111111\n pushl $0x22222222\n"
" .byte 0x9a\n .long 0\n .word 0x5b\n"
" mov %cs,0x5024\n mov %esp,0x5028\n"
" pushl $0\n popl %fs\n"
" int $0x30\n"
"hang3: jmp hang3\n"
"gate: mov 8(%esp),%eax\n mov %eax,0x5018\n mov 12(%esp),%eax\n mov %eax,0x501c\n mov %ss,0x5020\n lret $8\n"
"int30: mov $0x10,%ax\n mov %ax,%ds\n"
" pushl $0\n pushl $0\n pushl $0x1000\n pushl $0\n pushl $0\n pushl $0x4000\n pushl $0x23202\n pushl $0x1000\n pushl $(v86-guest)\n iretl\n"
".code16\n"
"v86: mov $0x4444,%bp\n mov %cs,%ax\n mov %ax,%ds\n pushw %ds\n popw %gs\n"
" int $0x31\n"
"hangv: jmp hangv\n"
".code32\n"
"int31: mov $0x10,%ax\n mov %ax,%ds\n movzwl %bp,%ebp\n mov %ebp,0x5030\n mov 4(%esp),%eax\n mov %eax,0x5034\n mov 8(%esp),%eax\n mov %eax,0x503c\n"
" mov $0x23,%ax\n verr %ax\n setz 0x5038\n mov $0x1b,%ecx\n lar %ecx,%edx\n mov %edx,0x5040\n lsl %ecx,%edx\n mov %edx,0x5044\n"
" mov %cr4,%eax\n or $0x20,%eax\n mov %eax,%cr4\n mov $0x20000,%eax\n mov %eax,%cr3\n"
" mov $0xc0000080,%ecx\n rdmsr\n or $0x101,%eax\n wrmsr\n mov %cr0,%eax\n or $0x80000000,%eax\n mov %eax,%cr0\n"
" ljmp $0x28,$(l64-guest)+0x10000\n"
".code64\n"
"l64: mov $0x6000,%esp\n mov $0x10,%ax\n mov %ax,%ss\n mov %ax,%ds\n"
" lidt (idtr64-guest)+0x10000\n"
" mov $0x60,%ax\n ltr %ax\n"
" mov $0xc0000081,%ecx\n xor %eax,%eax\n mov $0x00130028,%edx\n wrmsr\n"
" mov $0xc0000082,%ecx\n lea sysent(%rip),%rax\n xor %edx,%edx\n wrmsr\n"
" mov $0xc0000084,%ecx\n mov $0x200,%eax\n wrmsr\n"
" lea u64(%rip),%rcx\n mov $0x202,%r11d\n mov $0x5800,%esp\n sysretq\n"
"u64: mov $0x77,%ebx\n syscall\n"
" mov $0x55555555,%ebx\n int $0x30\n"
"hu: jmp hu\n"
"sysent: mov %rcx,0x5050\n mov %r11,0x5058\n pushfq\n popq 0x5060\n mov %cs,0x5068\n mov %ss,0x506c\n"
" sysretq\n"
"int30_64: mov %rbx,0x5070\n mov %rsp,0x5078\n push $0x10\n lea -64(%rsp),%rax\n push %rax\n pushfq\n push $0x28\n lea ok(%rip),%rax\n push %rax\n iretq\n"
"ok: mov $0xc0000102,%ecx\n mov $0x1234,%eax\n xor %edx,%edx\n wrmsr\n swapgs\n mov $0xc0000101,%ecx\n rdmsr\n mov %rax,0x5080\n"
" xor %eax,%eax\n cpuid\n mov %ebx,0x5088\n rdtsc\n mov %eax,0x508c\n"
" mov $0xdeadbeef12345678,%rax\n hlt\n jmp ok\n"
".balign 16\n"
"gdt: .quad 0\n .quad 0x00cf9b000000ffff\n .quad 0x00cf93000000ffff\n .quad 0x00cffb000000ffff\n .quad 0x00cff3000000ffff\n"
" .quad 0x00af9b000000ffff\n"
" .quad 0x00cffb000000ffff\n .quad 0\n .quad 0\n"
" .quad 0x0000890180000067\n"
" .quad 0x0000890182000067\n"
" .quad 0\n"
" .quad 0x0000890184000067, 0\n"
"gdt_end:\n"
"gdtr: .word gdt_end-gdt-1\n .long (gdt-guest)+0x10000\n"
"idtr: .word 0x7ff\n .long 0x19000\n"
"idtr64: .word 0xfff\n .quad 0x1a000\n"
"taskb: incl 0x5008\n iretl\n jmp taskb\n"
".globl o_gdt,o_gate,o_taskb,o_int30,o_int31,o_int30_64\n"
"o_gdt: .long gdt-guest\no_gate: .long gate-guest\no_taskb: .long taskb-guest\no_int30: .long int30-guest\no_int31: .long int31-guest\no_int30_64: .long int30_64-guest\n"
"guest_end:\n.code64\n.popsection\n");
extern const u8 guest[], guest_end[];
extern const u32 o_gdt, o_gate, o_taskb, o_int30, o_int31, o_int30_64;
/* clang-format on */

enum { TSS_A = 0x18000, TSS_B = 0x18200, TSS_64 = 0x18400, IDT32 = 0x19000, IDT64 = 0x1a000, PML4 = 0x20000 };

static u64 gate32(u32 off, unsigned type, unsigned dpl)
{
	return (off & 0xffffull) | 8ull << 16 | (0x8000ull | type << 8 | dpl << 13) << 32 | (u64)(off >> 16) << 48;
}

static void write_tables(struct bus *b)
{
	bus_write(b, BASE, guest, (u64)(guest_end - guest));
	bus_write_u64(b, BASE + o_gdt + 0x58, gate32(o_gate + BASE, SYS_CALL32, 3) | 2ull << 32);
	bus_write_u64(b, IDT32 + 0x30 * 8, gate32(o_int30 + BASE, SYS_INT32, 3));
	bus_write_u64(b, IDT32 + 0x31 * 8, gate32(o_int31 + BASE, SYS_INT32, 3));
	bus_write_u64(b, IDT64 + 0x30 * 16, gate32(o_int30_64 + BASE, SYS_INT32, 3) | 0x20ull << 16);
	bus_write_u32(b, TSS_A + 4, 0x6800);
	bus_write_u32(b, TSS_A + 8, 0x10);
	bus_write_u32(b, TSS_B + 0x20, o_taskb + BASE);
	bus_write_u32(b, TSS_B + 0x24, 2);
	bus_write_u32(b, TSS_B + 0x38, 0x6c00);
	for (unsigned k = 0; k < 6; k++)
		bus_write_u32(b, TSS_B + 0x48 + 4 * k, k == SEG_CS ? 8 : 0x10);
	bus_write_u64(b, TSS_64 + 4, 0x6e00);
	bus_write_u64(b, PML4, 0x21007);
	bus_write_u64(b, 0x21000, 0x22007);
	for (u64 k = 0; k < 8; k++)
		bus_write_u64(b, 0x22000 + 8 * k, k << 21 | 0x87);
}

static void start_guest(struct rig *r)
{
	write_tables(&r->bus);
	seg_set_real(r->c, SEG_CS, 0x1000);
	r->c->r[REG_RIP] = 0;
	cpu_update_mode(r->c);
}

/* What the guest left behind: address, size, value. */
static const struct { u32 at, size, value; } expected[] = {
	{0x5000, 2, 0x48},          /* STR */
	{0x5008, 4, 1}, {0x5010, 4, 1}, /* the task ran once and came back */
	{0x5018, 4, 0x22222222}, {0x501c, 4, 0x11111111}, {0x5020, 2, 0x10}, /* call gate: parameters, inner SS */
	{0x5024, 2, 0x1b}, {0x5028, 4, 0x5800}, /* and back: CS, ESP */
	{0x5030, 4, 0x4444}, {0x5034, 4, 0x1000}, {0x503c, 4, 0x23202}, /* virtual-8086: BP, CS, EFLAGS */
	{0x5038, 1, 1}, {0x5040, 4, 0xcffb00}, {0x5044, 4, 0xffffffff}, /* VERR, LAR, LSL */
	{0x5058, 4, 0x202}, {0x5060, 4, 2}, {0x5068, 2, 0x28}, {0x506c, 2, 0x30}, /* SYSCALL: R11, masked flags, CS, SS */
	{0x5070, 4, 0x55555555}, {0x5078, 4, 0x6dd8}, {0x5080, 4, 0x1234}, /* INT's frame; SWAPGS */
};

static void test_modes(void **state)
{
	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(models); m++) {
		struct rig *r = rig_new(models[m]);

		start_guest(r);
		run(r, 10000);
		assert_int_equal(r->c->activity, ACT_HLT);
		assert_true(r->c->r[REG_RAX] == 0xdeadbeef12345678);
		for (unsigned k = 0; k < ARRAY_LEN(expected); k++) {
			u32 v = 0;

			bus_read(&r->bus, expected[k].at, &v, expected[k].size);
			assert_int_equal(v, expected[k].value);
		}
		rig_free(r);
	}
}

/* ---- segment loads ---- */

enum { GDT = 0x30000 };

static void protected_mode(struct rig *r, unsigned cpl)
{
	static const u64 gdt[] = {
		0,
		0x00cf9b000000ffff, /* 08 code 0 */
		0x00cf93000000ffff, /* 10 data 0 */
		0x00cffb000000ffff, /* 18 code 3 */
		0x00cff3000000ffff, /* 20 data 3 */
		0x00cf99000000ffff, /* 28 execute-only code 0 */
		0x00cf13000000ffff, /* 30 data 0, not present */
		0x00cf91000000ffff, /* 38 read-only data 0 */
		0x00cf9f000000ffff, /* 40 conforming code 0 */
		0x0000890000000067, /* 48 TSS */
		0x0000820000000017, /* 50 LDT */
		0x00c0f3000000ffff, /* 58 data 3, small */
		0x00cf90000000ffff, /* 60 data 0, read-only, not accessed */
	};
	struct cpu *c = r->c;

	bus_write(&r->bus, GDT, gdt, sizeof(gdt));
	c->gdtr.base = GDT;
	c->gdtr.limit = sizeof(gdt) - 1;
	c->cr0 |= CR0_PE;
	c->cpl = (u8)cpl;
	c->seg[SEG_CS] = seg_from_descriptor((u16)(cpl ? 0x1b : 8), gdt[cpl ? 3 : 1]);
	c->seg[SEG_SS] = seg_from_descriptor((u16)(cpl ? 0x23 : 0x10), gdt[cpl ? 4 : 2]);
	cpu_update_mode(c);
}

static const struct {
	u8 cpl, seg;
	u16 sel;
	u8 vector; /* 0: loads */
	u16 error;
} loads[] = {
	{0, SEG_DS, 0x10, 0, 0}, {0, SEG_DS, 0, 0, 0}, {0, SEG_DS, 3, 0, 0}, {0, SEG_ES, 0x08, 0, 0},
	{0, SEG_DS, 0x28, EX_GP, 0x28}, {0, SEG_DS, 0x30, EX_NP, 0x30}, {0, SEG_DS, 0x68, EX_GP, 0x68},
	{0, SEG_DS, 0x13, EX_GP, 0x10}, {0, SEG_DS, 0x48, EX_GP, 0x48}, {0, SEG_DS, 0x14, EX_GP, 0x14},
	{0, SEG_SS, 0, EX_GP, 0}, {0, SEG_SS, 0x10, 0, 0}, {0, SEG_SS, 0x20, EX_GP, 0x20}, {0, SEG_SS, 0x13, EX_GP, 0x10},
	{0, SEG_SS, 0x30, EX_SS, 0x30}, {0, SEG_SS, 0x38, EX_GP, 0x38}, {0, SEG_SS, 0x08, EX_GP, 0x08},
	{3, SEG_DS, 0x10, EX_GP, 0x10}, {3, SEG_DS, 0x23, 0, 0}, {3, SEG_DS, 0x20, 0, 0}, {3, SEG_DS, 0x43, 0, 0},
	{3, SEG_SS, 0x23, 0, 0}, {3, SEG_SS, 0x20, EX_GP, 0x20}, {3, SEG_FS, 0x1b, 0, 0}, {3, SEG_FS, 0x08, EX_GP, 0x08},
};

static void test_loads(void **state)
{
	struct rig *r = rig_new("amd");

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(loads); k++) {
		protected_mode(r, loads[k].cpl);

		enum xr x = seg_load(r->c, loads[k].seg, loads[k].sel);

		assert_int_equal(x, loads[k].vector ? XR_FAULT : XR_OK);
		if (loads[k].vector) {
			assert_int_equal(r->c->fault.vector, loads[k].vector);
			assert_int_equal(r->c->fault.error, loads[k].error);
		} else {
			assert_int_equal(r->c->seg[loads[k].seg].sel, loads[k].sel);
		}
	}
	/* The accessed bit is written, the busy bit too. */
	protected_mode(r, 0);
	assert_int_equal(seg_load(r->c, SEG_DS, 0x60), XR_OK);
	assert_int_equal(bus_read_u64(&r->bus, GDT + 0x60) >> 40 & 1, 1);
	assert_int_equal(seg_load_tr(r->c, 0x48), XR_OK);
	assert_int_equal(bus_read_u64(&r->bus, GDT + 0x48) >> 40 & 0xf, SYS_TSS32_BUSY);
	assert_int_equal(seg_load_tr(r->c, 0x48), XR_FAULT);
	assert_int_equal(r->c->fault.error, 0x48);
	assert_int_equal(seg_load_ldtr(r->c, 0x50), XR_OK);
	assert_int_equal(seg_load_ldtr(r->c, 0x54), XR_FAULT);
	rig_free(r);
}

/*
 * SDM 2 "IRET", RETURN-TO-OUTER-PRIVILEGE-LEVEL: what the outer level may not use, and what is null already (FS may be null
 * and usable by VM entry), gets selector 0 and is unusable. Base and limit stay.
 */
static void test_null_keeps_base_outwards(void **state)
{
	static const struct {
		struct seg before;
		bool dropped;
	} cases[] = {
		{{.sel = 0x10, .base = 0x7f0012345000, .limit = 0x1234, .ar = 3 | AR_S | AR_P}, true},
		{{.sel = 0, .base = 0x7f0012345000, .limit = ~0u, .ar = 3 | AR_S | AR_P}, true},
		{{.sel = 3, .base = 0x7f0012346000, .ar = AR_UNUSABLE}, true},
		{{.sel = 0x28, .base = 0x5000, .limit = 0xffff, .ar = 0xb | AR_S | AR_P}, true},
		{{.sel = 0x40, .base = 0x6000, .limit = 0xffff, .ar = 0xf | AR_S | AR_P}, false}, /* conforming code */
		{{.sel = 0x1b, .base = 0x7000, .limit = ~0u, .ar = 3 | AR_S | AR_P | AR_DPL}, false},
	};
	static const u8 which[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct rig *r = rig_new(models[m]);

		for (size_t k = 0; k < ARRAY_LEN(cases) * ARRAY_LEN(which); k++) {
			const struct seg *before = &cases[k / ARRAY_LEN(which)].before, *after;
			bool dropped = cases[k / ARRAY_LEN(which)].dropped;

			r->c->cpl = 3;
			r->c->seg[which[k % ARRAY_LEN(which)]] = *before;
			seg_drop_privileged(r->c);
			after = &r->c->seg[which[k % ARRAY_LEN(which)]];
			assert_int_equal(after->sel, dropped ? 0 : before->sel);
			assert_int_equal(after->ar, dropped ? before->ar | AR_UNUSABLE : before->ar);
			assert_true(after->base == before->base);
			assert_int_equal(after->limit, before->limit);
		}
		rig_free(r);
	}
}

/* Limits: expand-up, expand-down, both sizes. */
static void test_limits(void **state)
{
	static const struct { u32 ar, limit, off, size; bool ok; } cases[] = {
		{0x93, 0xffff, 0xfffc, 4, true}, {0x93, 0xffff, 0xfffd, 4, false}, {0x93, 0xffff, 0x10000, 1, false},
		{0xc093, 0xffffffff, 0xfffffffc, 4, true}, {0xc093, 0xffffffff, 0xfffffffd, 4, false},
		{0x97, 0x0fff, 0x0fff, 1, false}, {0x97, 0x0fff, 0x1000, 4, true}, {0x97, 0x0fff, 0xfffd, 4, false},
		{0x4097, 0x0fff, 0xfffffffc, 4, true}, {0x97, 0xffff, 0x8000, 1, false},
	};

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		struct seg s = {.ar = cases[k].ar, .limit = cases[k].limit};

		assert_int_equal(seg_covers(&s, cases[k].off, cases[k].size), cases[k].ok);
	}
}

/* A fault after the commit point belongs to the new task: its #TS arrives with the new EIP and TR. */
static void test_task_fault(void **state)
{
	struct rig *r = rig_new("amd");
	struct cpu *c = r->c;

	(void)state;
	protected_mode(r, 0);
	bus_write_u64(&r->bus, GDT + 0x48, 0x0000890180000067); /* current, at 18000h */
	bus_write_u64(&r->bus, GDT + 0x50, 0x0000890182000067); /* new, at 18200h */
	assert_int_equal(seg_load_tr(c, 0x48), XR_OK);
	bus_write_u32(&r->bus, TSS_B + 0x20, 0x4567);
	bus_write_u32(&r->bus, TSS_B + 0x4c, 0x10); /* CS: a data segment */
	c->r[REG_RIP] = 0x1000;
	c->r[REG_RBX] = 0x1234;
	assert_int_equal(task_switch(c, 0x50, TASK_JMP, NULL, 0x1005), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_TS);
	assert_int_equal(c->fault.error, 0x10);
	assert_true(c->r[REG_RIP] == 0x4567);
	assert_int_equal(c->seg[SEG_TR].sel, 0x50);
	assert_true(c->cr0 & CR0_TS);
	assert_int_equal(bus_read_u32(&r->bus, TSS_A + 0x20), 0x1005); /* the old task was saved */
	assert_int_equal(bus_read_u32(&r->bus, TSS_A + 0x34), 0x1234);
	assert_int_equal(bus_read_u64(&r->bus, GDT + 0x48) >> 40 & 0xf, SYS_TSS32);
	assert_int_equal(bus_read_u64(&r->bus, GDT + 0x50) >> 40 & 0xf, SYS_TSS32_BUSY);
	/* Before it: nothing has changed. */
	assert_int_equal(task_switch(c, 0x50, TASK_JMP, NULL, 0), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_GP);
	rig_free(r);
}

/* ---- tables ---- */

/* CPUID shows the features that are there and no others, and every MSR row answers. */
static void test_tables(void **state)
{
	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(models); m++) {
		struct rig *r = rig_new(models[m]);
		struct cpu *c = r->c;

		c->efer |= EFER_LMA;
		c->cr0 |= CR0_PE;
		c->seg[SEG_CS].ar |= AR_L;
		cpu_update_mode(c); /* 64-bit mode: SYSCALL shows on every model */
		for (unsigned f = 1; f < FEAT_COUNT; f++) {
			const struct feature_info *i = &arch_features[f];
			u32 out[4];

			if (f == FEAT_HTT || f == FEAT_CMP_LEGACY || FEATURE_IS_VMX(i->leaf))
				continue; /* by the number of processors; no feature of CPUID */
			cpuid_query(c, i->leaf, i->subleaf, out);
			if (i->leaf == 0x1f || (i->leaf >= 0x80000000 && i->leaf > c->model->max_ext_leaf))
				continue;
			assert_int_equal(out[i->reg] >> i->bit & 1, has(c, (enum feature)f));
		}
		for (const struct msr_set *const *s = c->model->msrs; *s; s++) {
			for (size_t k = 0; k < (*s)->count; k++) {
				const struct msr_row *row = &(*s)->rows[k];

				if (k)
					assert_true(row->index >= row[-1].index + (row[-1].count ? row[-1].count : 1));
				if (!row->feature || has(c, row->feature))
					assert_ptr_equal(msr_find(c, row->index), row);
			}
		}
		rig_free(r);
	}
}

/* Features that neither an instruction, an MSR, nor a control bit carries: what they promise, and where it is tested. */
static const struct {
	enum feature f;
	const char *promise;
} elsewhere[] = {
	{FEAT_PSE36, "tests/unit/test_mmu.c: 4 MiB pages above 4 GiB"},
	{FEAT_NX, "EFER.NXE: tests/unit/test_mmu.c"},
	{FEAT_PDPE1GB, "tests/unit/test_mmu.c: 1 GiB pages"},
	{FEAT_ARAT, "the APIC timer runs in HLT: tests/guest/interrupts.c"},
	{FEAT_INVTSC, "the TSC counts in HLT: tests/guest/modern.c"},
	{FEAT_ERMS, "a promise of speed; REP MOVSB and STOSB: tests/unit/test_integer_sys.c"},
	{FEAT_FSRM, "a promise of speed"},
	{FEAT_ZERO_FCS_FDS, "FCS and FDS are saved as 0: tests/unit/test_mmx.c"},
	{FEAT_FDP_EXCPTN_ONLY, "when FDP is written: tests/unit/test_x87.c"},
	{FEAT_XSAVEERPTR, "XSAVE keeps the error pointers: tests/unit/test_mmx.c"},
	{FEAT_HTT, "CPUID 1 EBX[23:16] counts processors"},
	{FEAT_CMP_LEGACY, "CPUID 80000008h ECX counts cores"},
	{FEAT_TOPOEXT, "CPUID 8000001Dh, 8000001Eh: test_tables"},
	{FEAT_SS, "self snoop: caches are not modelled, so memory always agrees"},
	{FEAT_XGETBV1, "XGETBV with ECX = 1: src/cpu/exec/xsave.c, tests/unit/test_mmx.c"},
	{FEAT_LAHF_LM, "LAHF and SAHF in 64-bit mode: tests/diff"},
	{FEAT_PREFETCHW, "PREFETCH and PREFETCHW are there without it too, doing nothing"},
	{FEAT_MMXEXT, "SSE's MMX instructions: tests/unit/test_mmx.c"},
	{FEAT_WBNOINVD, "the decoder knows it only then; no cache is modelled"},
	{FEAT_CPUID_USER_DIS, "HWCR[35]: tests/guest/modern.c"},
	{FEAT_AMD_IBPB, "PRED_CMD: test_speculation_msrs"},
	{FEAT_AMD_IBRS, "SPEC_CTRL[0]: test_speculation_msrs"},
	{FEAT_AMD_STIBP, "SPEC_CTRL[1]: test_speculation_msrs"},
	{FEAT_AMD_SSBD, "SPEC_CTRL[2]: test_speculation_msrs"},
	{FEAT_SPEC_CTRL, "SPEC_CTRL[0] and PRED_CMD: test_speculation_msrs"},
	{FEAT_STIBP, "SPEC_CTRL[1]: test_speculation_msrs"},
	{FEAT_SSBD, "SPEC_CTRL[2]: test_speculation_msrs"},
	{FEAT_MISALIGNSSE, "MXCSR.MM: tests/unit/test_vector.c"},
	{FEAT_CR8LEGACY, "LOCK MOV CR0: tests/virt/svm_exits"},
	{FEAT_EXTAPIC, "extended APIC space: tests/guest/svm-added.c"},
	{FEAT_X2APIC, "MSRs 800h-8FFh by IA32_APIC_BASE: tests/unit/test_apic.c"},
	{FEAT_NULL_SEL_CLR, "a null selector clears base and limit: tests/unit/test_system.c"},
	{FEAT_TM, "IA32_MISC_ENABLE[3]: test_misc_enable"},
	{FEAT_XTPR, "IA32_MISC_ENABLE[23]: test_misc_enable"},
	{FEAT_LFENCE_SERIAL, "DE_CFG[1] reads 1: nothing runs ahead here"},
	{FEAT_SRSO_NO, "nothing is speculated"},
	{FEAT_BTC_NO, "nothing is speculated"},
	{FEAT_AUTO_IBRS, "EFER[21]"},
	{FEAT_INVLPGB_NESTED, "INVLPGB, RAX bit 5: tests/virt/svm_exits/tlb.c"},
	{FEAT_BUS_LOCK_DETECT, "IA32_DEBUGCTL[2], #DB: tests/guest/debug.c"},
	{FEAT_MD_CLEAR, "VERW has nothing to clear: nothing is speculated"},
};

static bool promised_elsewhere(enum feature f)
{
	for (size_t k = 0; k < ARRAY_LEN(elsewhere); k++)
		if (elsewhere[k].f == f)
			return true;
	return false;
}

static bool in_tables(const struct cpu_model *m, enum feature f)
{
	for (const struct row_set *const *s = m->insns; *s; s++)
		for (size_t k = 0; k < (*s)->count; k++)
			if ((*s)->rows[k].feature == f)
				return true;
	for (const struct msr_set *const *s = m->msrs; *s; s++)
		for (size_t k = 0; k < (*s)->count; k++)
			if ((*s)->rows[k].feature == f)
				return true;
	return false;
}

/* Does switching the feature off take a bit of CR4 or EFER away? */
static bool in_control_bits(struct cpu *c, enum feature f)
{
	struct feature_set all = c->feat;
	bool found = false;

	for (unsigned bit = 0; bit < 64 && !found; bit++) {
		bool cr4 = cr4_valid(c, BIT(bit)), efer = efer_valid(c, BIT(bit));

		feat_put(&c->feat, f, false);
		found = cr4 != cr4_valid(c, BIT(bit)) || efer != efer_valid(c, BIT(bit));
		c->feat = all;
	}
	return found;
}

/* What CPUID announces exists: a row, an MSR, a control bit, or a promise that says where it is tested. */
static void test_every_feature_is_carried(void **state)
{
	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(models); m++) {
		struct rig *r = rig_new(models[m]);

		for (unsigned f = 1; f < FEAT_COUNT; f++) {
			enum feature feature = (enum feature)f;
			u32 leaf = arch_features[f].leaf;
			bool vendor = leaf == 0x8000000a || FEATURE_IS_VMX(leaf); /* SVM's and VMX's own: tests/virt */

			if (!has(r->c, feature) || vendor || in_tables(r->c->model, feature) || in_control_bits(r->c, feature) ||
			    promised_elsewhere(feature))
				continue;
			fail_msg("%s announces %s, and nothing carries it", models[m], arch_features[f].name);
		}
		rig_free(r);
	}
}

static void test_speculation_msrs(void **state)
{
	static const char *const names[] = {"amd", "intel"};

	(void)state;
	for (unsigned m = 0; m < ARRAY_LEN(names); m++) {
		struct rig *r = rig_new(names[m]);
		u64 v;

		for (u64 bit = 1; bit <= 4; bit <<= 1) {
			assert_true(msr_write(r->c, MSR_SPEC_CTRL, bit));
			assert_true(msr_read(r->c, MSR_SPEC_CTRL, &v));
			assert_int_equal(v, bit);
		}
		assert_false(msr_write(r->c, MSR_SPEC_CTRL, BIT(63)));
		assert_true(msr_write(r->c, MSR_PRED_CMD, 1)); /* IBPB */
		assert_false(msr_read(r->c, MSR_PRED_CMD, &v));
		rig_free(r);
	}
}

static void test_msrs(void **state)
{
	struct rig *r = rig_new("amd");
	struct cpu *c = r->c;
	u64 v;

	(void)state;
	assert_true(msr_read(c, MSR_PAT, &v) && v == 0x0007040600070406);
	assert_false(msr_write(c, MSR_PAT, 2));
	assert_false(msr_read(c, 0x12345, &v));
	assert_false(msr_write(c, MSR_LSTAR, 1ull << 47));  /* LSTAR: not canonical */
	assert_true(msr_write(c, MSR_LSTAR, 0xffff800000000000));
	assert_false(msr_write(c, MSR_MTRR_DEF_TYPE, 0x802));            /* default type 2 does not exist */
	assert_true(msr_write(c, MSR_MTRR_DEF_TYPE, 0x806));
	assert_false(msr_write(c, MSR_MTRR_PHYSMASK0, 1ull << 48));       /* beyond MAXPHYADDR */
	assert_false(msr_read(c, MSR_PRED_CMD, &v));                 /* PRED_CMD is write-only */
	assert_true(msr_write(c, MSR_PRED_CMD, 1));
	assert_false(msr_write(c, MSR_PRED_CMD, 2));
	assert_false(msr_write(c, 0x401, 1));                /* MC0_STATUS takes zero only... */
	assert_true(msr_read(c, MSR_HWCR, &v) && (v & BIT(24)));
	assert_true(msr_write(c, MSR_HWCR, v | BIT(18)));  /* ...unless McStatusWrEn */
	assert_true(msr_write(c, 0x401, 1));
	r->clock.now = 1000;
	assert_true(msr_write(c, MSR_TSC, 5000000));
	r->clock.now = 1234;
	assert_true(msr_read(c, MSR_TSC, &v) && v == 5000234);
	rig_free(r);
}

/* SDM 4 "IA32_MISC_ENABLE": bit 3 goes with CPUID 1 EDX[29], bit 23 with CPUID 1 ECX[14]. */
static void test_misc_enable(void **state)
{
	static const struct {
		const char *spec;
		bool tm, xtpr;
	} rows[] = {{"intel", true, true}, {"intel,-tm", false, true}, {"intel,-xtpr", true, false}, {"intel,-tm,-xtpr", false, false}};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		struct rig *r = rig_new(rows[k].spec);
		u64 v, back;
		u32 out[4];

		cpuid_query(r->c, 1, 0, out);
		assert_int_equal(out[EDX] >> 29 & 1, rows[k].tm);
		assert_int_equal(out[ECX] >> 14 & 1, rows[k].xtpr);
		assert_true(msr_read(r->c, MSR_MISC_ENABLE, &v));
		assert_int_equal(v >> 3 & 1, rows[k].tm);
		assert_int_equal(v >> 23 & 1, rows[k].xtpr);
		v &= ~(BIT(3) | BIT(23));
		assert_true(msr_write(r->c, MSR_MISC_ENABLE, v));
		assert_true(msr_read(r->c, MSR_MISC_ENABLE, &back) && back == v);
		assert_int_equal(msr_write(r->c, MSR_MISC_ENABLE, v | BIT(3)), rows[k].tm);
		assert_int_equal(msr_write(r->c, MSR_MISC_ENABLE, v | BIT(23)), rows[k].xtpr);
		assert_true(msr_read(r->c, MSR_MISC_ENABLE, &back));
		assert_true(back == (v | (rows[k].xtpr ? BIT(23) : rows[k].tm ? BIT(3) : 0)));
		rig_free(r);
	}
}

/* ---- performance counters ---- */

static void test_perf(void **state)
{
	static const u8 code[] = {0xb9, 0x40, 0x42, 0x0f, 0x00, 0x49, 0x75, 0xfd, 0xf4}; /* a million times DEC, JNZ */

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct rig *r = rig_new(models[m]);
		struct cpu *c = r->c;
		u32 ctr = m ? 0xc1 : 0xc0010201, sel = m ? 0x186 : 0xc0010200;
		u64 v;

		protected_mode(r, 0);
		bus_write(&r->bus, BASE, code, sizeof(code));
		bus_write(&r->bus, 0x9100, "\xcf", 1); /* NMI: IRET */
		bus_write_u64(&r->bus, 0x9000 + 16, gate32(0x9100, SYS_INT32, 0));
		c->idtr.base = 0x9000;
		c->idtr.limit = 0xff;
		c->r[REG_RIP] = BASE;
		c->r[REG_RSP] = 0x8000;
		assert_true(apic_base_write(c, 0xfee00900));
		apic_mmio_write(c, 0xf0, 0x1ff);
		apic_mmio_write(c, 0x340, 0x400); /* overflow: NMI */
		assert_true(msr_write(c, ctr, m ? -500000ull & 0xffffffff : -500000ull));
		assert_true(msr_write(c, sel, 0x5300c0));
		run(r, 10000000);
		assert_int_equal(c->activity, ACT_HLT);
		assert_int_equal(r->events, 1);
		assert_int_equal(r->last.type, EV_NMI);
		assert_true(msr_read(c, ctr, &v) && v == c->insns - 500000);
		rig_free(r);
	}
}

/* Branch instructions, taken or not, and repeated string instructions are none; beside them a counter of instructions. */
static void test_perf_branches(void **state)
{
	static const u8 code[] = {0xb9, 0xe8, 0x03, 0x00, 0x00, 0x49, 0x75, 0xfd, /* a thousand times DEC, JNZ */
				  0xb1, 0x05, 0xbf, 0x00, 0xa0, 0x00, 0x00, 0xf3, 0xaa, /* REP STOSB */
				  0xeb, 0x00, 0xf4}; /* JMP */

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct rig *r = rig_new(models[m]);
		struct cpu *c = r->c;
		u32 ctr = m ? 0xc1 : 0xc0010201, sel = m ? 0x186 : 0xc0010200, step = m ? 1 : 2;
		u64 v;

		protected_mode(r, 0);
		bus_write(&r->bus, BASE, code, sizeof(code));
		c->r[REG_RIP] = BASE;
		assert_true(msr_write(c, sel, m ? 0x4300c4 : 0x4300c2));
		assert_true(msr_write(c, sel + step, 0x4300c0));
		run(r, 10000000);
		assert_int_equal(c->activity, ACT_HLT);
		assert_true(msr_read(c, ctr, &v));
		assert_int_equal(v, 1001);
		assert_true(msr_read(c, ctr + step, &v));
		assert_int_equal(v, c->insns);
		assert_true(msr_write(c, sel, 0));
		assert_false(c->careful);
		rig_free(r);
	}
}

/* SDM 3B "Pre-defined Architectural Performance Events": CPUID 0Ah EBX marks those that do not count, and no others. */
static void test_architectural_events(void **state)
{
	static const u8 code[] = {0xb9, 0xe8, 0x03, 0x00, 0x00, 0x49, 0x75, 0xfd, 0xf4}; /* a thousand times DEC, JNZ */
	static const u16 events[] = {0x003c, 0x00c0, 0x013c, 0x4f2e, 0x412e, 0x00c4, 0x00c5}; /* by their bit of EBX */
	u32 leaf[4];

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(events); n++) {
		struct rig *r = rig_new("intel");
		u64 v;

		cpuid_query(r->c, 0xa, 0, leaf);
		assert_int_equal(leaf[EAX] >> 24, ARRAY_LEN(events));
		protected_mode(r, 0);
		bus_write(&r->bus, BASE, code, sizeof(code));
		r->c->r[REG_RIP] = BASE;
		assert_true(msr_write(r->c, MSR_PERFEVTSEL0, 0x430000 | events[n]));
		run(r, 10000000);
		assert_int_equal(r->c->activity, ACT_HLT);
		assert_true(msr_read(r->c, MSR_PMC0, &v));
		assert_int_equal(v == 0, leaf[EBX] >> n & 1);
		rig_free(r);
	}
}

/* The WRMSR that starts a counter is not in it, the one that stops it is; RDPMC sees what was before it. */
static void test_perf_boundaries(void **state)
{
	static const u8 code[] = {0x0f, 0x30, 0x90, 0x90, 0x90, 0x90, 0x90, /* WRMSR; five times NOP */
				  0x31, 0xc9, 0x0f, 0x33, 0x89, 0xc3,       /* XOR ECX, ECX; RDPMC; MOV EBX, EAX */
				  0x89, 0xf1, 0x31, 0xc0, 0x0f, 0x30,       /* MOV ECX, ESI; XOR EAX, EAX; WRMSR */
				  0xf4};

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct rig *r = rig_new(models[m]);
		struct cpu *c = r->c;
		u64 v;

		protected_mode(r, 0);
		bus_write(&r->bus, BASE, code, sizeof(code));
		c->r[REG_RIP] = BASE;
		c->r[REG_RCX] = c->r[REG_RSI] = m ? 0x186 : 0xc0010200;
		c->r[REG_RAX] = 0x4300c0;
		c->r[REG_RDX] = 0;
		run(r, 1000);
		assert_int_equal(c->activity, ACT_HLT);
		assert_int_equal(c->r[REG_RBX], 6);
		assert_true(msr_read(c, m ? 0xc1 : 0xc0010201, &v));
		assert_int_equal(v, 11);
		rig_free(r);
	}
}

/* Loads and stores by the instruction's form. AMD's PPR "LS Dispatch"; Intel's MEM_INST_RETIRED. */
static void test_perf_memory(void **state)
{
	/* 3 loads (MOV, CMP, POP), 2 stores (MOV, PUSH), 4 updates (INC, ADD, XCHG, LOCK ADD), MOVS, and LEA, NOP, which are none */
	static const u8 code[] = {0x8b, 0x07, 0x3b, 0x07, 0x89, 0x07, 0x50, 0x58, 0xff, 0x07, 0x01, 0x07, 0x87, 0x07, 0xf0, 0x01, 0x07,
				  0xa4, 0x8d, 0x07, 0x90, 0xf4};
	static const struct {
		u16 select;
		u8 count;
	} amd[] = {{0x0129, 4}, {0x0229, 3}, {0x0429, 4}, {0x0329, 7}, {0x0729, 11}},
	  intel[] = {{0x81d0, 8}, {0x82d0, 7}, {0x83d0, 10}};

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(amd) + ARRAY_LEN(intel); n++) {
		bool is_intel = n >= ARRAY_LEN(amd);
		unsigned k = is_intel ? n - (unsigned)ARRAY_LEN(amd) : n;
		struct rig *r = rig_new(is_intel ? "intel" : "amd");
		struct cpu *c = r->c;
		u64 v;

		protected_mode(r, 0);
		bus_write(&r->bus, BASE, code, sizeof(code));
		c->r[REG_RIP] = BASE;
		c->r[REG_RSP] = 0x8000;
		c->r[REG_RSI] = 0x9000;
		c->r[REG_RDI] = 0xa000;
		assert_true(msr_write(c, is_intel ? 0x186 : 0xc0010200, 0x430000u | (is_intel ? intel[k].select : amd[k].select)));
		run(r, 1000);
		assert_int_equal(c->activity, ACT_HLT);
		assert_true(msr_read(c, is_intel ? 0xc1 : 0xc0010201, &v));
		assert_int_equal(v, is_intel ? intel[k].count : amd[k].count);
		rig_free(r);
	}
}

/* ---- --cpu ---- */

static void test_parse(void **state)
{
	static const struct { const char *spec, *model; bool svm, vmx; } good[] = {
		{"amd", "amd", true, false}, {"intel", "intel", false, true}, {"intel,-vmx", "intel", false, false},
		{"plain", "plain", false, false}, {"qemu64", "amd", true, false}, {"max,+vmx", "intel", false, true},
		{"EPYC-Rome-v2,-svm", "amd", false, false}, {"host,migratable=no,pcid=off", "amd", true, false},
		{"Skylake-Server-noTSX-IBRS,vendor=GenuineIntel", "intel", false, true}, {"amd,svm=off,-hle", "amd", false, false},
	};
	static const struct { const char *spec, *says; } bad[] = {
		{"adm", "did you mean 'amd'"}, {"amd,+vmx", "use --cpu intel"}, {"max,+vmx,+svm", "exclude"}, {"", "unknown"},
		{"amd,+invtcs", "'invtsc'"}, {"amd,phys-bits=9", "36 to 52"}, {"amd,phys-bit=40", "'phys-bits'"},
		{"amd,vendor=GenuineIntel", "vendor"}, {"kvm64,vendor=Other", "GenuineIntel"}, {"amd,+avx512f", "avx512f"},
	};
	const struct cpu_model *m;
	struct feature_set f;
	struct err err;

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(good); k++) {
		assert_int_equal(model_parse(good[k].spec, &m, &f, &err), ST_OK);
		assert_string_equal(m->name, good[k].model);
		assert_int_equal(feat_has(&f, FEAT_SVM), good[k].svm);
		assert_int_equal(feat_has(&f, FEAT_VMX), good[k].vmx);
	}
	for (unsigned k = 0; k < ARRAY_LEN(bad); k++) {
		assert_int_equal(model_parse(bad[k].spec, &m, &f, &err), ST_ARG);
		assert_non_null(strstr(err.text, bad[k].says));
	}
	assert_int_equal(model_phys_bits("amd,phys-bits=40", &model_amd), 40);
	assert_int_equal(model_phys_bits("amd", &model_amd), 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes), cmocka_unit_test(test_loads), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_null_keeps_base_outwards),
		cmocka_unit_test(test_task_fault), cmocka_unit_test(test_tables), cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_every_feature_is_carried), cmocka_unit_test(test_speculation_msrs),
		cmocka_unit_test(test_misc_enable), cmocka_unit_test(test_architectural_events),
		cmocka_unit_test(test_perf_boundaries), cmocka_unit_test(test_perf_memory),
		cmocka_unit_test(test_perf), cmocka_unit_test(test_perf_branches), cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
