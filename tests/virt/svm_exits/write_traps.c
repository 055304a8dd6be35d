/* Control registers and debug registers once more: "CRx Write Trap"; DR4 and DR5, which are told apart as coded. */
#include "exits.h"

static struct icpt trap(unsigned n)
{
	return (struct icpt)ICPT((u8)(EXIT_CR_TRAP + n));
}

/* ---- write traps ---- */

SNIPPET(t_cr0, "mov %cr0, %rbx; xor $8, %ebx", "mov %rbx, %cr0");
SNIPPET(t_et, "mov %cr0, %rbx; xor $0x18, %ebx", "mov %rbx, %cr0");
SNIPPET(t_lmsw, "smsw %eax; xor $8, %eax", "lmsw %ax");
SNIPPET(t_clts, "", "clts");
SNIPPET(t_cr3, "mov %cr3, %rdx", "mov %rdx, %cr3");
SNIPPET(t_cr4, "mov %cr4, %rcx; xor $4, %ecx", "mov %rcx, %cr4");
SNIPPET(t_cr8, "mov $5, %eax", "mov %rax, %cr8");
SNIPPET(t_read, "", "mov %cr0, %rax");
SNIPPET(t_bad, "mov %cr4, %rbx; bts $31, %rbx", "mov %rbx, %cr4");

static void write_traps(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		unsigned n;
	} row[] = {
	        {"CR0 write trap", &t_cr0, 0},        {"CR0 write trap, LMSW", &t_lmsw, 0},
	        {"CR0 write trap, ET 0", &t_et, 0},
	        {"CR0 write trap, CLTS", &t_clts, 0}, {"CR3 write trap", &t_cr3, 3},
	        {"CR4 write trap", &t_cr4, 4},        {"CR8 write trap", &t_cr8, 8},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		u64 value;

		base(row[n].s);
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		on(trap(row[n].n));
		vcheck(row[n].name, "code", go(), EXIT_CR_TRAP + row[n].n);
		vcheck(row[n].name, "RIP behind", v->rip, (u64)row[n].s->next);
		value = row[n].n == 0 ? v->cr0 : row[n].n == 3 ? v->cr3 : row[n].n == 4 ? v->cr4 : v->vintr & 0xf;
		vcheck(row[n].name, "new value", v->exitinfo1, value);
		vcheck(row[n].name, "goes on", go(), EXIT_VMMCALL);
		base(row[n].s);
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		vcheck(row[n].name, "off", go(), EXIT_VMMCALL);
		base(row[n].s); /* the intercept comes before the write */
		v->cr0 |= row[n].s == &t_clts ? 8 : 0;
		on(trap(row[n].n));
		on((struct icpt)CR_WRITE(row[n].n));
		vcheck(row[n].name, "the intercept wins", go(), EXIT_CR_WRITE + row[n].n);
		vcheck(row[n].name, "RIP at it", v->rip, (u64)row[n].s->at);
	}
	write_cr8(0); /* the guest's writes were the processor's */
	base(&t_read);
	on(trap(0));
	vcheck("CR0 write trap", "a read", go(), EXIT_VMMCALL);
	base(&t_bad);
	on(trap(4));
	vcheck("CR4 write trap", "a write that faults", go(), EXIT_GP);
}

/* ---- the numbers as coded ---- */

SNIPPET(d_dr4, "", "mov %dr4, %rbx");
SNIPPET(d_dr5, "", "mov %dr5, %rbx");
SNIPPET(d_to_dr4, "mov %dr6, %rbx", "mov %rbx, %dr4");
SNIPPET(d_to_dr5, "mov %dr7, %rbx", "mov %rbx, %dr5");

static void aliases(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u8 bit, code;
	} row[] = {
	        {"DR4 read", &d_dr4, 4, 0x24},
	        {"DR5 read", &d_dr5, 5, 0x25},
	        {"DR4 write", &d_to_dr4, 20, 0x34},
	        {"DR5 write", &d_to_dr5, 21, 0x35},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		base(row[n].s);
		on((struct icpt){1, row[n].bit});
		vcheck(row[n].name, "code", go(), row[n].code);
		vcheck(row[n].name, "RIP", v->rip, (u64)row[n].s->at);
		base(row[n].s);
		vcheck(row[n].name, "off", go(), EXIT_VMMCALL);
	}
}

void test_write_traps(void)
{
	aliases();
	if (!of_2005)
		write_traps();
}
