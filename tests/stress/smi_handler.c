#include "smi_handler.h"

/*
 * Behind SMBASE. The map takes FC00h to FFFFh at the most.
 */
enum {
	ENTRY = 0x8000,
	COUNT = 0x9000,   /* SMIs handled */
	WRONG = 0x9004,
	WORK = 0x9008,    /* enum smi_work */
	/* 900Ch: DebugCtl */
	GDTR = 0x9010,    /* of 64-bit mode */
	IDTR = 0x9018,    /* of the handler's own INT3 */
	FAR = 0x9020,     /* where 64-bit mode begins */
	PML4_AT = 0x9028, /* its address */
	GDT = 0x9040,
	IVT = 0x9080,
	STACK = 0xa000,
	XSAVE_AREA = 0xa000,
	PML4 = 0xb000, PDPT = 0xc000, PD = 0xd000,
	MAP_END = 0x10000,
};

/* clang-format off */
asm(".pushsection .rodata\n"
    "smi_code:\n"
    ".code16\n"
    "	incl %cs:0x9000\n"
    /* Nor must its branches be recorded. */
    "	mov $0x1d9, %ecx\n"
    "	rdmsr\n"
    "	mov %eax, %cs:0x900c\n"
    "	xor %eax, %eax\n"
    "	wrmsr\n"
    "	cmpb $0, %cs:0x9008\n"
    "	je leave\n"
    "	testb $3, %cs:0x9000\n"
    "	jz leave\n"
    "	mov %cs, %ax\n"
    "	mov %ax, %ds\n"
    "	mov %ax, %ss\n"
    "	mov %ax, %fs\n"
    "	mov $0xa000, %esp\n"
    /* Somebody may be between CF8h and CFCh. */
    "	mov $0xcf8, %dx\n"
    "	inl %dx, %eax\n"
    "	mov %eax, %esi\n"
    "	mov $0x80000000, %eax\n"
    "	outl %eax, %dx\n"
    "	mov $0xcfc, %dx\n"
    "	inl %dx, %eax\n"
    "	cmp $0x29c08086, %eax\n"
    "	je 1f\n"
    "	incl 0x9004\n"
    "1:	mov %esi, %eax\n"
    "	mov $0xcf8, %dx\n"
    "	outl %eax, %dx\n"
    "	out %al, $0x80\n"
    /* MSRs that RSM does not bring back: LSTAR, KERNEL_GS_BASE. */
    "	mov $0xc0000082, %ecx\n"
    "	rdmsr\n"
    "	push %eax\n"
    "	push %edx\n"
    "	xor %edx, %edx\n"
    "	wrmsr\n"
    "	pop %edx\n"
    "	pop %eax\n"
    "	wrmsr\n"
    /* Exceptions and software interrupts of its own, repeated instructions, a wait. */
    "	lidtl 0x9018\n"
    "	int3\n"
    "	cmp $0x1234, %bp\n"
    "	je 1f\n"
    "	incl 0x9004\n"
    "1:	mov %cs, %ax\n"
    "	mov %ax, %es\n"
    "	mov $0x9100, %di\n"
    "	mov $200, %cx\n"
    "	cld\n"
    "	rep stosb\n"
    "	pause\n"
    "	std\n"
    "	sti\n"
    "	cli\n"
    "	testb $1, 0x9000\n"
    "	jz leave\n"
    /* 64-bit mode */
    "	mov $0x620, %eax\n" /* PAE, OSFXSR, OSXMMEXCPT */
    "	mov %eax, %cr4\n"
    "	mov 0x9028, %eax\n"
    "	mov %eax, %cr3\n"
    "	mov $0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	or $0x100, %eax\n"
    "	wrmsr\n"
    "	lgdtl 0x9010\n"
    "	mov %cr0, %eax\n"
    "	or $1, %al\n"
    "	mov %eax, %cr0\n"
    "	mov $0x18, %bx\n" /* with a 16-bit TSS, which may be in use, there is no 64-bit mode */
    "	movb $0x89, 0x905d\n"
    "	ltr %bx\n"
    "	or $0x80000000, %eax\n"
    "	mov %eax, %cr0\n"
    "	ljmpl *0x9020\n"
    "leave:\n"
    "	mov $0x1d9, %ecx\n"
    "	xor %edx, %edx\n"
    "	mov %cs:0x900c, %eax\n"
    "	wrmsr\n"
    "	rsm\n"
    "smi_int3:\n"
    "	mov $0x1234, %bp\n"
    "	lret $2\n" /* IRET would let NMIs in */
    ".code64\n"
    "smi_long:\n"
    "	lea smi_code(%rip), %rbx\n" /* SMBASE + 8000h */
    "	mov $0x10, %eax\n"
    "	mov %eax, %ss\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %fs\n"
    "	lea 0x2000(%rbx), %rsp\n"
    "	mov %cr2, %rax\n"
    "	mov %rax, %r8\n"
    "	not %rax\n"
    "	mov %rax, %cr2\n"
    "	mov %r8, %cr2\n"
    "	mov %dr0, %r9\n"
    "	mov %dr3, %r10\n"
    "	mov %rbx, %dr0\n"
    "	mov %rbx, %dr3\n"
    "	mov %r9, %dr0\n"
    "	mov %r10, %dr3\n"
    /* The vector registers, where the operating system has them under XSAVE. */
    "	push %rbx\n"
    "	mov $1, %eax\n"
    "	cpuid\n"
    "	pop %rbx\n"
    "	bt $26, %ecx\n"
    "	jnc 2f\n"
    "	mov %cr4, %rax\n"
    "	bts $18, %rax\n"
    "	mov %rax, %cr4\n"
    "	xor %ecx, %ecx\n"
    "	xgetbv\n"
    "	test $2, %al\n"
    "	jz 2f\n"
    "	mov $6, %eax\n"
    "	xor %edx, %edx\n"
    "	xsave64 0x2000(%rbx)\n"
    "	pcmpeqd %xmm0, %xmm0\n"
    "	paddd %xmm0, %xmm15\n"
    "	movl $0x7f80, 0x1200(%rbx)\n"
    "	ldmxcsr 0x1200(%rbx)\n"
    "	mov $6, %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor64 0x2000(%rbx)\n"
    "2:	wbinvd\n"
    "	invlpg (%rbx)\n"
    "	mov %cr3, %rax\n"
    "	mov %rax, %cr3\n"
    "	xor %r12d, %r12d\n"
    "	xor %r13d, %r13d\n"
    "	xor %r14d, %r14d\n"
    "	xor %r15d, %r15d\n"
    "	mov $0x1d9, %ecx\n"
    "	xor %edx, %edx\n"
    "	mov 0x100c(%rbx), %eax\n"
    "	wrmsr\n"
    "	rsm\n"
    "smi_code_end:\n"
    ".popsection");
/* clang-format on */
extern const u8 smi_code[], smi_int3[], smi_long[], smi_code_end[];

/* The handlers lie one behind the other: 32 KiB each, which is what is used behind SMBASE + 8000h. */
static u64 base_of(unsigned cpu)
{
	return 0x98000 + 0x8000ull * cpu;
}

static u8 *smram(struct machine *m, unsigned cpu, u64 at)
{
	return m->bus.memory + base_of(cpu) + at; /* low memory is the file's beginning */
}

static void put(struct machine *m, unsigned cpu, u64 at, u64 v)
{
	memcpy(smram(m, cpu, at), &v, sizeof(v));
}

static u32 get(struct machine *m, unsigned cpu, u64 at)
{
	u32 v;

	memcpy(&v, smram(m, cpu, at), sizeof(v));
	return v;
}

static void install(struct machine *m, unsigned cpu, enum smi_work work)
{
	u64 base = base_of(cpu);

	memset(smram(m, cpu, ENTRY), 0, MAP_END - ENTRY);
	memcpy(smram(m, cpu, ENTRY), smi_code, (size_t)(smi_code_end - smi_code));
	put(m, cpu, WORK, work);
	put(m, cpu, GDTR, 39 | (base + GDT) << 16);
	put(m, cpu, IDTR, 15 | (base + IVT) << 16);
	put(m, cpu, FAR, (u32)(base + ENTRY + (u64)(smi_long - smi_code)) | 8ull << 32);
	put(m, cpu, PML4_AT, base + PML4);
	put(m, cpu, GDT + 8, 0x00af9b000000ffff);
	put(m, cpu, GDT + 16, 0x00cf93000000ffff);
	put(m, cpu, GDT + 24, 0x0000890000000067); /* and of its upper half, 0 */
	put(m, cpu, IVT + 12, (u64)(ENTRY + (smi_int3 - smi_code)) | base >> 4 << 16);
	put(m, cpu, PML4, (base + PDPT) | 3);
	put(m, cpu, PDPT, (base + PD) | 3);
	put(m, cpu, PD, 0x83);
}

static void config(struct bus *b, unsigned reg, u8 v)
{
	bus_port_write(b, 0xcf8, 4, 0x80000000u | (reg & ~3u));
	bus_port_write(b, (u16)(0xcfc + (reg & 3)), 1, v);
	bus_port_write(b, 0xcf8, 4, 0);
}

void smi_firmware(struct machine *m, enum smi_work work)
{
	enum { SMRAM = 0x9d, G_SMRAME = 1 << 3, D_LCK = 1 << 4, ASEG = 2 };

	for (unsigned k = 0; k < m->count; k++) {
		struct cpu *c = m->cpus[k];

		install(m, k, work);
		c->smbase = base_of(k);
		if (!strcmp(c->virt->name, "svm")) {
			c->msr_misc[22] |= 1; /* SMM_MASK.AE: SMRAM at A0000h */
			c->hwcr |= HWCR_SMMLOCK;
		}
	}
	config(&m->bus, SMRAM, G_SMRAME | D_LCK | ASEG);
}

u32 smi_handled(struct machine *m, unsigned cpu)
{
	return get(m, cpu, COUNT);
}

u32 smi_wrong(struct machine *m)
{
	u32 sum = 0;

	for (unsigned k = 0; k < m->count; k++)
		sum += get(m, k, WRONG);
	return sum;
}

/* How many SMIs there were, and what the last one found under way. */
static void forget_rows(struct cpu *c)
{
	static const char *const names[] = {"smi_count", "smi_io"};

	for (size_t r = 0; r < cpu_row_count; r++)
		for (size_t n = 0; n < ARRAY_LEN(names); n++)
			if (!strcmp(cpu_rows[r].name, names[n]))
				memset((u8 *)c + cpu_rows[r].offset, 0, (size_t)cpu_rows[r].width * cpu_rows[r].count);
}

void smi_forget(struct machine *m)
{
	for (unsigned k = 0; k < m->count; k++) {
		u8 *from = smram(m, k, ENTRY);

		mem_written(&m->bus, (struct initiator){.by = BY_LOADER}, from, base_of(k) + ENTRY, MAP_END - ENTRY);
		memset(from, 0, MAP_END - ENTRY);
		m->cpus[k]->pend &= ~(u32)PEND_SMI;
		forget_rows(m->cpus[k]);
	}
}
