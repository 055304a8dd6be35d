/*
 * Interrupts that a guest sends under AVIC and x2AVIC: every kind of destination, what is posted before the exit 401h and
 * what is not, its codes 0 to 4; the logical table in flat and in cluster form; MSRs under x2AVIC. "Advanced Virtual
 * Interrupt Controller". Runs on --cpu amd,+x2avic.
 */
#include "svm.h"

#define APIC 0xfee00000ull
enum { ID = 0x20, TPR = 0x80, DFR = 0xe0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ICRL = 0x300, ICRH = 0x310 };
enum { VECTOR = 0x61, IDS = 32 };
enum { E_TYPE, E_NOT_RUNNING, E_TARGET, E_BACKING_PAGE, E_VECTOR, E_NONE = 99 };
#define V_MASKING (1ull << 24)
#define V_X2AVIC  (1ull << 30)
#define V_AVIC	  (1ull << 31)
#define VALID	  (1ull << 63)
#define RUNNING	  (1ull << 62)
#define LOGICAL	  (1 << 11)
#define SELF	  (1 << 18)
#define ALL	  (2 << 18)
#define OTHERS	  (3 << 18)

static u64 *physical, pages[IDS], out, in;
static u32 *logical;
static volatile unsigned taken;
static struct vmcb *v;

static bool note_interrupt(struct regs *r)
{
	(void)r;
	taken++;
	return true;
}

static void done(void)
{
	asm volatile("sti\n\tnop\n\tcli\n\tvmmcall" ::: "memory");
}

static void send_page(void)
{
	mmio_write(APIC + ICRH, (u32)(out >> 32));
	mmio_write(APIC + ICRL, (u32)out);
	done();
}

static void send_msr(void)
{
	wrmsr(MSR_X2APIC_ICR, out);
	done();
}

static void write_msr(void)
{
	wrmsr((u32)in, out);
	done();
}

static void read_msr(void)
{
	out = rdmsr((u32)in);
	done();
}

static u32 *reg(u64 page, unsigned offset)
{
	return (u32 *)(page + offset);
}

/* Guest 0 is the one that runs; 1, 2, 4, 17 and 18 are valid and do not run; 3 does, on this processor, and 19 is valid
 * with a page beyond the physical address. The others are not valid, or beyond the last index. */
static void avic(bool x2)
{
	static const u8 idle[] = {1, 2, 4, 17, 18};

	v->vintr = V_AVIC | V_MASKING | (x2 ? V_X2AVIC : 0);
	v->tlb_control = 1;
	v->avic_bar = APIC;
	v->avic_page = pages[0];
	v->avic_physical = (u64)physical | (IDS - 1);
	v->avic_logical = (u64)logical;
	for (unsigned n = 0; n < IDS; n++)
		memset((void *)pages[n], 0, 4096);
	memset(physical, 0, 4096);
	memset(logical, 0, 4096);
	physical[0] = VALID | RUNNING | pages[0];
	physical[3] = VALID | RUNNING | pages[3];
	for (unsigned n = 0; n < sizeof(idle); n++)
		physical[idle[n]] = VALID | pages[idle[n]];
	physical[19] = VALID | 1ull << 51;
	physical[IDS] = VALID | pages[1]; /* beyond the last index */
	*reg(pages[0], DFR) = 0xffffffff;
}

static bool received(unsigned id)
{
	return *reg(pages[id], IRR + VECTOR / 32 * 16) == 1u << VECTOR % 32;
}

/* Who has the vector in IRR; guest 0 takes what it gets. */
static u64 receivers(void)
{
	u64 set = taken ? 1 : 0;

	for (unsigned n = 0; n < IDS; n++)
		set |= (u64)received(n) << n;
	return set;
}

struct ipi {
	const char *name;
	u64 icr;
	u64 received; /* a bit a guest */
	u64 code, index;
};
#define TO(n) ((u64)(n) << 32 | VECTOR)

static void send(const struct ipi *t, bool x2)
{
	v->rip = (u64)(x2 ? send_msr : send_page);
	v->rflags = 2;
	out = x2 ? t->icr : (t->icr >> 32) << 56 | (u32)t->icr;
	taken = 0;
	svm_run(v);
	check(t->name, v->exitcode, t->code == E_NONE ? EXIT_VMMCALL : EXIT_AVIC_IPI);
	if (t->code != E_NONE) {
		vcheck(t->name, "ICR", v->exitinfo1, out);
		vcheck(t->name, "code", v->exitinfo2 >> 32, t->code);
		if (t->code == E_NOT_RUNNING || (t->code == E_TARGET && !(t->icr & LOGICAL)))
			vcheck(t->name, "index", v->exitinfo2 & 0xfff, t->index);
		svm_run(v); /* RIP is behind the write */
		vcheck(t->name, "goes on", v->exitcode, EXIT_VMMCALL);
	}
	vcheck(t->name, "receivers", receivers(), t->received);
}

#define EVERYBODY (1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 17 | 1 << 18)
static const struct ipi common[] = {
	{"self", SELF | VECTOR, 1, E_NONE, 0},
	{"self, with a destination", SELF | TO(2), 1, E_NONE, 0},
	{"self, vector 15", SELF | 15, 0, E_VECTOR, 0},
	{"to itself", TO(0), 1, E_NONE, 0},
	{"to one that runs", TO(3), 1 << 3, E_NONE, 0},
	{"to one that does not", TO(2), 1 << 2, E_NOT_RUNNING, 2},
	{"to 18", TO(18), 1 << 18, E_NOT_RUNNING, 18},
	{"to one that is not valid", TO(5), 0, E_TARGET, 5},
	{"the last index, not valid", TO(IDS - 1), 0, E_TARGET, IDS - 1},
	{"beyond the last index", TO(IDS), 0, E_TARGET, IDS},
	{"a backing page that cannot be", TO(19), 0, E_BACKING_PAGE, 19},
	{"vector 15", 2ull << 32 | 15, 0, E_VECTOR, 0},
	{"vector 0", 2ull << 32, 0, E_VECTOR, 0},
	{"lowest priority", 1 << 8 | TO(2), 0, E_TYPE, 0},
	{"SMI", 2 << 8 | TO(2), 0, E_TYPE, 0},
	{"NMI", 4 << 8 | TO(2), 0, E_TYPE, 0},
	{"INIT", 5 << 8 | TO(2), 0, E_TYPE, 0},
	{"start-up", 6 << 8 | TO(2), 0, E_TYPE, 0},
	{"level", 1 << 15 | TO(2), 0, E_TYPE, 0},
	{"edge, assert", 1 << 14 | TO(2), 1 << 2, E_NOT_RUNNING, 2},
	{"all", ALL | VECTOR, EVERYBODY, E_NOT_RUNNING, 1},
	{"all but itself", OTHERS | VECTOR, EVERYBODY & ~1, E_NOT_RUNNING, 1},
	{"all, vector 15", ALL | 15, 0, E_VECTOR, 0},
	{"all, NMI", ALL | 4 << 8 | VECTOR, 0, E_TYPE, 0},
};

/* "x2AVIC: (id[19:4] << 16) or (1 << id[3:0])" */
static const struct ipi x2_only[] = {
	{"x2, logical, one", LOGICAL | TO(1 << 2), 1 << 2, E_NOT_RUNNING, 2},
	{"x2, logical, itself", LOGICAL | TO(1 << 0), 1, E_NONE, 0},
	{"x2, logical, two that run", LOGICAL | TO(1 << 0 | 1 << 3), 1 | 1 << 3, E_NONE, 0},
	{"x2, logical, four", LOGICAL | TO(0xf), 0xf, E_NOT_RUNNING, 1},
	{"x2, logical, one is not valid", LOGICAL | TO(1 << 2 | 1 << 5), 0, E_TARGET, 0},
	{"x2, logical, cluster 1", LOGICAL | TO(1 << 16 | 1 << 1 | 1 << 2), 1 << 17 | 1 << 18, E_NOT_RUNNING, 17},
	{"x2, logical, cluster 1, a bad page", LOGICAL | TO(1 << 16 | 1 << 2 | 1 << 3), 0, E_BACKING_PAGE, 0},
	{"x2, logical, beyond the last index", LOGICAL | TO(2 << 16 | 1), 0, E_TARGET, 0},
	{"x2, logical, a cluster beyond any", LOGICAL | TO(0x8000u << 16 | 1), 0, E_TARGET, 0},
	{"x2, physical, all 32 bits count", TO(0x10002), 0, E_TARGET, 2},
	{"x2, physical, broadcast", TO(0xffffffff), EVERYBODY, E_NOT_RUNNING, 1},
	{"x2, logical, broadcast", LOGICAL | TO(0xffffffff), EVERYBODY, E_NOT_RUNNING, 1},
	{"x2, FFh is no broadcast", TO(0xff), 0, E_TARGET, 0xff},
};

/* The logical table: bit n of a flat destination is entry n; in cluster c, 4c + n. */
static const struct ipi flat[] = {
	{"flat, bit 0", LOGICAL | TO(1), 1 << 2, E_NOT_RUNNING, 2},
	{"flat, bit 7", LOGICAL | TO(0x80), 1 << 18, E_NOT_RUNNING, 18},
	{"flat, two", LOGICAL | TO(0x81), 1 << 2 | 1 << 18, E_NOT_RUNNING, 2},
	{"flat, one that runs", LOGICAL | TO(2), 1 << 3, E_NONE, 0},
	{"flat, one entry not valid", LOGICAL | TO(0x83 | 4), 0, E_TARGET, 0},
	{"flat, a guest that is not valid", LOGICAL | TO(1 | 0x10), 0, E_TARGET, 0},
	{"flat, a guest beyond the last index", LOGICAL | TO(1 | 0x20), 0, E_TARGET, 0},
	{"flat, a bad page", LOGICAL | TO(1 | 0x40), 0, E_BACKING_PAGE, 0},
	{"flat, broadcast", LOGICAL | TO(0xff), EVERYBODY, E_NOT_RUNNING, 1},
	{"physical, broadcast", TO(0xff), EVERYBODY, E_NOT_RUNNING, 1},
};
static const struct ipi cluster[] = {
	{"cluster 0", LOGICAL | TO(0x01), 1 << 2, E_NOT_RUNNING, 2},
	{"cluster 1, bit 3", LOGICAL | TO(0x18), 1 << 18, E_NOT_RUNNING, 18},
	{"cluster 14, two", LOGICAL | TO(0xe6), 1 << 1 | 1 << 4, E_NOT_RUNNING, 1},
	{"cluster 14, one not valid", LOGICAL | TO(0xe7), 0, E_TARGET, 0},
	{"cluster 15 is none", LOGICAL | TO(0xf1), 0, E_TARGET, 0},
	{"cluster, broadcast", LOGICAL | TO(0xff), EVERYBODY, E_NOT_RUNNING, 1},
};

static void logical_table(bool clusters)
{
	const u32 valid = 1u << 31;

	logical[0] = valid | 2;
	logical[1] = valid | 3;
	logical[2] = 2; /* not valid */
	logical[4] = valid | 5;
	logical[5] = valid | IDS;
	logical[6] = valid | 19;
	logical[7] = valid | 18;
	if (!clusters)
		return;
	*reg(pages[0], DFR) = 0x0fffffff;
	logical[57] = valid | 1;
	logical[58] = valid | 4;
	logical[60] = valid | 2; /* where cluster 15 would begin */
}

static void destinations(void)
{
	for (unsigned n = 0; n < sizeof(common) / sizeof(common[0]); n++)
		for (unsigned x2 = 0; x2 < 2; x2++) {
			avic(x2);
			send(&common[n], x2);
		}
	for (unsigned n = 0; n < sizeof(x2_only) / sizeof(x2_only[0]); n++) {
		avic(true);
		send(&x2_only[n], true);
	}
	for (unsigned n = 0; n < sizeof(flat) / sizeof(flat[0]); n++) {
		avic(false);
		logical_table(false);
		send(&flat[n], false);
	}
	for (unsigned n = 0; n < sizeof(cluster) / sizeof(cluster[0]); n++) {
		avic(false);
		logical_table(true);
		send(&cluster[n], false);
	}
	for (unsigned x2 = 0; x2 < 2; x2++) { /* everybody runs: nobody is missing */
		static const struct ipi all = {"all run", ALL | VECTOR, EVERYBODY, E_NONE, 0};

		avic(x2);
		for (unsigned n = 0; n < IDS; n++)
			physical[n] |= physical[n] ? RUNNING : 0;
		physical[19] = 0;
		send(&all, x2);
	}
}

/* ---- MSRs ---- */

static u64 access_msr(void (*code)(void), u32 index, u64 value)
{
	avic(true);
	v->rip = (u64)code;
	v->rflags = 2;
	in = index;
	out = value;
	taken = 0;
	svm_run(v);
	return v->exitcode;
}

/* "x2APIC #GP checks come before AVIC"; trapped and faulting registers are those of the page. */
static void msrs(void)
{
	static const struct {
		const char *name;
		u32 index;
		u64 value;
		u64 code, info;
	} row[] = {
		{"TPR", 0x808, 0x30, EXIT_VMMCALL, 0},	     {"TPR, bit 8", 0x808, 0x100, EXIT_GP, 0},
		{"TPR, bit 32", 0x808, 1ull << 32, EXIT_GP, 0}, {"ID is read-only", 0x802, 0, EXIT_GP, 0},
		{"version is read-only", 0x803, 0, EXIT_GP, 0}, {"PPR is read-only", 0x80a, 0, EXIT_GP, 0},
		{"LDR is read-only", 0x80d, 0, EXIT_GP, 0},	 {"ISR is read-only", 0x810, 0, EXIT_GP, 0},
		{"IRR is read-only", 0x827, 0, EXIT_GP, 0},	 {"current count is read-only", 0x839, 0, EXIT_GP, 0},
		{"no DFR", 0x80e, 0, EXIT_GP, 0},		 {"no second half of the ICR", 0x831, 0, EXIT_GP, 0},
		{"EOI of 1", 0x80b, 1, EXIT_GP, 0},		 {"ESR of 1", 0x828, 1, EXIT_GP, 0},
		{"EOI", 0x80b, 0, EXIT_VMMCALL, 0},		 {"ESR", 0x828, 0, EXIT_AVIC_ACCESS, 0x280},
		{"SVR", 0x80f, 0x1ff, EXIT_AVIC_ACCESS, 0xf0},	 {"LVT timer", 0x832, 0x10000, EXIT_AVIC_ACCESS, 0x320},
		{"LVT error", 0x837, 0x10000, EXIT_AVIC_ACCESS, 0x370}, {"initial count", 0x838, 5, EXIT_AVIC_ACCESS, 0x380},
		{"divide", 0x83e, 3, EXIT_AVIC_ACCESS, 0x3e0},	 {"self-IPI", 0x83f, VECTOR, EXIT_VMMCALL, 0},
		{"self-IPI, bit 8", 0x83f, 0x100 | VECTOR, EXIT_GP, 0},
		{"ICR, bit 13", 0x830, 1 << 13 | TO(2), EXIT_GP, 0}, {"ICR, bit 16", 0x830, 1 << 16 | TO(2), EXIT_GP, 0},
		{"ICR, bit 20", 0x830, 1 << 20 | TO(2), EXIT_GP, 0}, {"ICR, bit 31", 0x830, 1u << 31 | TO(2), EXIT_GP, 0},
	};
	u8 *map = (u8 *)(v->msrpm_pa);

	v->intercept_exc = 1 << 13;
	for (unsigned n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		vcheck(row[n].name, "write", access_msr(write_msr, row[n].index, row[n].value), row[n].code);
		if (row[n].code == EXIT_AVIC_ACCESS) {
			vcheck(row[n].name, "EXITINFO1", v->exitinfo1, 1ull << 32 | row[n].info);
			vcheck(row[n].name, "landed", *reg(pages[0], row[n].info), row[n].value);
		}
		if (row[n].code == EXIT_GP) {
			vcheck(row[n].name, "error code", v->exitinfo1, 0);
			vcheck(row[n].name, "nothing is sent", receivers(), 0);
		}
	}
	check("self-IPI: taken", (access_msr(write_msr, 0x83f, VECTOR), taken), 1);
	check("EOI cannot be read", access_msr(read_msr, 0x80b, 0), EXIT_GP);
	check("no second half of the ICR to read", access_msr(read_msr, 0x831, 0), EXIT_GP);
	check("self-IPI cannot be read", access_msr(read_msr, 0x83f, 0), EXIT_GP);
	check("current count: fault", access_msr(read_msr, 0x839, 0), EXIT_AVIC_ACCESS);
	check("current count: EXITINFO1", v->exitinfo1, 0x390);
	avic(true);
	*reg(pages[0], ICRL) = 0x1234;
	*reg(pages[0], ICRH) = 0x5678;
	in = 0x830;
	v->rip = (u64)read_msr;
	svm_run(v);
	check("ICR read", v->exitcode == EXIT_VMMCALL ? out : 0, 0x567800001234);
	avic(true); /* a level-triggered interrupt's EOI */
	*reg(pages[0], ISR + 0x30) = *reg(pages[0], TMR + 0x30) = 1u << (VECTOR & 31);
	in = 0x80b;
	out = 0;
	v->rip = (u64)write_msr;
	svm_run(v);
	check("level EOI: trap", v->exitcode, EXIT_AVIC_ACCESS);
	check("level EOI: EXITINFO1", v->exitinfo1, 1ull << 32 | 0xb0);
	check("level EOI: vector", v->exitinfo2 & 0xff, VECTOR);
	v->intercept1 |= SVM_MSR; /* the map comes first */
	map[(0x830 * 2 + 1) / 8] |= 1 << (0x830 * 2 + 1) % 8;
	check("ICR in the MSR map", access_msr(write_msr, 0x830, TO(2)), EXIT_MSR);
	check("ICR in the MSR map: a write", v->exitinfo1, 1);
	check("ICR in the MSR map: nothing is sent", receivers(), 0);
	map[(0x830 * 2 + 1) / 8] = 0;
	check("ICR not in the MSR map", access_msr(write_msr, 0x830, TO(2)), EXIT_AVIC_IPI);
}

/* ---- the page: "Guest vAPIC Register Access Behavior", APM 2 ---- */

static void read_page(void)
{
	out = mmio_read(APIC + in);
	asm volatile("vmmcall" ::: "memory");
}

static void write_page(void)
{
	mmio_write(APIC + in, (u32)out);
	asm volatile("vmmcall" ::: "memory");
}

enum { A, F, T, X }; /* allowed, fault, trap after the write, accelerated: elsewhere */
static const struct {
	u16 first, last;
	u8 read, write;
} registers[] = {
	/* PPR: the next test */
	{0x20, 0x20, A, T}, {0x30, 0x30, A, F}, {0x80, 0x80, A, X}, {0x90, 0x90, F, F},
	{0xb0, 0xb0, A, X}, {0xc0, 0xc0, A, T}, {0xd0, 0xd0, A, T}, {0xe0, 0xe0, A, T}, {0xf0, 0xf0, A, T},
	{0x100, 0x170, A, F}, {0x180, 0x1f0, A, F}, {0x200, 0x270, A, F}, {0x280, 0x280, A, T}, {0x300, 0x300, A, X},
	{0x310, 0x310, A, A}, {0x320, 0x370, A, T}, {0x380, 0x380, A, T}, {0x390, 0x390, F, F}, {0x3e0, 0x3e0, A, T},
	{0x400, 0x420, F, F}, {0x480, 0x4f0, F, F},
};

static void one_register(unsigned offset, unsigned read, unsigned write)
{
	u32 *r = reg(pages[0], offset);

	avic(false);
	*r = 0x5a5a5a5a;
	v->rip = (u64)read_page;
	v->rflags = 2;
	in = offset;
	out = 0;
	svm_run(v);
	check("page, read", v->exitcode, read == F ? EXIT_AVIC_ACCESS : EXIT_VMMCALL);
	if (read == F)
		check("page, read: no vector", v->exitinfo2, 0);
	check("page, read: the register or the offset", read == F ? v->exitinfo1 : out, read == F ? offset : 0x5a5a5a5a);
	if (write == X)
		return;
	avic(false);
	*r = 0x5a5a5a5a;
	v->rip = (u64)write_page;
	out = 0x77;
	svm_run(v);
	check("page, write", v->exitcode, write == A ? EXIT_VMMCALL : EXIT_AVIC_ACCESS);
	if (write == F)
		check("page, write: no vector", v->exitinfo2, 0);
	if (write != A)
		check("page, write: EXITINFO1", v->exitinfo1, 1ull << 32 | offset);
	check("page, write: lands, or does not", *r, write == F ? 0x5a5a5a5a : 0x77);
}

static void page_registers(void)
{
	for (unsigned n = 0; n < sizeof(registers) / sizeof(registers[0]); n++)
		for (unsigned offset = registers[n].first; offset <= registers[n].last; offset += 16)
			one_register(offset, registers[n].read, registers[n].write);
}

static void lower_tpr(void)
{
	mmio_write(APIC + TPR, 0x80);
	mmio_write(APIC + TPR, 0x12);
	asm volatile("vmmcall" ::: "memory");
}

/* A write of the TPR goes to V_TPR, whose four bits are the class, and leaves its neighbours alone. */
static void task_priority(void)
{
	avic(false);
	v->rip = (u64)lower_tpr;
	v->rflags = 2;
	svm_run(v);
	check("TPR lowered", v->exitcode, EXIT_VMMCALL);
	check("TPR lowered: V_TPR", v->vintr & 0xff, 1);
	check("TPR lowered: AVIC stays on", v->vintr & (V_AVIC | V_MASKING), V_AVIC | V_MASKING);
}

/* PPR is the TPR, or the class of the highest vector in service if that is higher; the pointers' low bits are no address. */
static void priority(void)
{
	static const struct {
		u32 tpr, isr, ppr;
	} rows[] = {{0x50, 0x51, 0x50}, {0x5f, 0x51, 0x5f}, {0x4f, 0x51, 0x50}, {0x60, 0x51, 0x60}, {0x0f, 0x3f, 0x30}, {0x21, 0, 0x21}};

	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		avic(false);
		if (rows[n].isr)
			*reg(pages[0], ISR + rows[n].isr / 32 * 16) = 1u << rows[n].isr % 32;
		v->rip = (u64)write_page;
		v->rflags = 2;
		in = TPR;
		out = rows[n].tpr;
		svm_run(v);
		check("TPR write", v->exitcode, EXIT_VMMCALL);
		v->rip = (u64)read_page;
		in = 0xa0;
		svm_run(v);
		check("PPR", out, rows[n].ppr);
	}
	avic(false);
	physical[2] |= 0x3full << 52; /* reserved */
	v->rip = (u64)send_page;
	v->rflags = 2;
	out = 2ull << 56 | VECTOR;
	taken = 0;
	svm_run(v);
	check("reserved bits of an entry", v->exitcode, EXIT_AVIC_IPI);
	check("reserved bits of an entry: not running", v->exitinfo2 >> 32, E_NOT_RUNNING);
	check("reserved bits of an entry: received", receivers(), 1 << 2);
	avic(false);
	v->avic_logical |= 0xfff;
	*reg(pages[0], DFR) = 0xffffffff;
	logical[2] = 1u << 31 | 2; /* bit 2 of a flat destination: guest 2 */
	v->rip = (u64)send_page;
	out = 4ull << 56 | LOGICAL | VECTOR;
	taken = 0;
	svm_run(v);
	check("logical table, low bits of its pointer", v->exitcode, EXIT_AVIC_IPI);
	check("logical table, low bits of its pointer: received", receivers(), 1 << 2);
}

int main(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!svm_enable() || !(r[3] >> 18 & 1))
		return 1;
	on_exception(VECTOR, note_interrupt);
	v = svm_guest(done, (u64)page_alloc() + 4096 - 8, true);
	physical = page_alloc();
	logical = page_alloc();
	for (unsigned n = 0; n < IDS; n++)
		pages[n] = (u64)page_alloc();
	v->msrpm_pa = (u64)page_alloc(); /* two pages */
	page_alloc();
	destinations();
	page_registers();
	task_priority();
	priority();
	msrs();
	return guest_verdict();
}
