/* Two processors: INIT and SIPI, IPIs of every delivery mode, code changed by the other processor, locked operations.
 * Run with --smp 2. */
#include "processors.h"
#include "t64.h"

#define LAPIC 0xfee00000ull
enum { ID = 0x20, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ICR = 0x300, ICR_HI = 0x310 };

static u8 ap_stack[8192] __attribute__((aligned(16)));
static void (*volatile job)(void);
static volatile u32 ap_up, ap_apic_id, ap_done;
volatile u64 shared;

static void relax(void)
{
	asm volatile("pause" ::: "memory");
}

static void ap_main(void)
{
	ap_apic_id = mmio_read(LAPIC + ID) >> 24;
	mmio_write(LAPIC + SVR, 0x1ff);
	ap_up++;
	for (;;) {
		while (!job)
			relax();
		void (*j)(void) = job;

		job = NULL;
		j();
		ap_done = 1;
	}
}

static void start_job(void (*j)(void))
{
	ap_done = 0;
	job = j;
}

static void finish_job(void)
{
	for (u64 k = 0; k < 100000000 && !ap_done; k++)
		relax();
	check("job done", ap_done, 1);
}

static void ipi(u32 low)
{
	mmio_write(LAPIC + ICR_HI, 1u << 24);
	mmio_write(LAPIC + ICR, low);
}

static void wait_up(u32 n)
{
	for (u64 k = 0; k < 10000000 && ap_up != n; k++)
		relax();
}

static void start(void)
{
	mmio_write(LAPIC + SVR, 0x1ff);
	check("BSP id", mmio_read(LAPIC + ID) >> 24, 0);
	ipi(0x608);
	wait_up(1);
	check("SIPI before INIT starts it or not", ap_up <= 1, 1);
	ap_up = 0;
	ipi(0x4500);
	ipi(0x608);
	wait_up(1);
	check("started", ap_up, 1);
	ipi(0x608);
	for (u32 k = 0; k < 100000; k++)
		relax();
	check("second SIPI ignored", ap_up, 1);
	check("AP id", ap_apic_id, 1);
	check("SIPI CS", *(u16 *)AP_CS, 0x800);
	check("CR0 after INIT: PE, PG off, CD, NW as they were or set", *(u32 *)AP_CR0 & 0x8000001f, 0x10);
}

/* ---- IPIs ---- */

static volatile u32 got[256];
static bool on_ipi(struct regs *r)
{
	got[r->vector]++;
	if (r->vector != 2)
		mmio_write(LAPIC + EOI, 0);
	return true;
}

static void ap_listen(void)
{
	asm volatile("sti" ::: "memory");
	while (!shared)
		relax();
	asm volatile("cli" ::: "memory");
}

static void ap_sleep(void)
{
	while (!shared)
		asm volatile("sti; hlt; cli" ::: "memory");
}

static void expect(const char *name, unsigned vector, u32 low)
{
	u32 before = got[vector];

	mmio_write(LAPIC + ICR, low | vector);
	for (u32 k = 0; k < 1000000 && got[vector] == before; k++)
		relax();
	check(name, got[vector], before + 1);
}

static void ipis(void)
{
	for (unsigned v = 0x20; v < 0x80; v++)
		on_exception(v, on_ipi);
	on_exception(2, on_ipi);
	shared = 0;
	start_job(ap_listen);
	mmio_write(LAPIC + ICR_HI, 1u << 24);
	expect("fixed physical", 0x40, 0x4000);
	expect("all but self", 0x41, 0xc4000);
	mmio_write(LAPIC + ICR_HI, 0xffu << 24);
	u32 self = got[0x42];
	expect("broadcast: the other one", 0x42, 0x4000);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check("broadcast: oneself as well", got[0x42], self + 2);
	mmio_write(LAPIC + ICR_HI, 1u << 24);
	expect("lowest priority", 0x43, 0x4100);
	got[2] = 0;
	ipi(0x4400);
	for (u32 k = 0; k < 1000000 && !got[2]; k++)
		relax();
	check("NMI", got[2], 1);
	shared = 1;
	finish_job();
	/* a halted processor wakes up */
	shared = 0;
	start_job(ap_sleep);
	for (u32 k = 0; k < 10000; k++)
		relax();
	shared = 1;
	ipi(0x4044);
	finish_job();
	check("HLT woken by an IPI", got[0x44], 1);
	/* it listens only while IF is set */
	u32 before = got[0x45];
	ipi(0x4045);
	for (u32 k = 0; k < 10000; k++)
		relax();
	check("IF clear: pending", got[0x45], before);
	shared = 1;
	start_job(ap_listen);
	finish_job();
	for (u32 k = 0; k < 1000000 && got[0x45] == before; k++) {
		start_job(ap_listen);
		finish_job();
	}
	check("then taken", got[0x45], before + 1);
}

/* ---- shared memory ---- */

static volatile u64 counter;
static void add_many(void)
{
	for (u32 k = 0; k < 20000; k++)
		asm volatile("lock incq %0" : "+m"(counter)::"memory", "cc");
}

static u32 spin;
static u64 guarded;
static void add_guarded(void)
{
	for (u32 k = 0; k < 2000; k++) {
		u32 one = 1;

		for (;;) {
			one = 1;
			asm volatile("xchg %0, %1" : "+r"(one), "+m"(spin)::"memory");
			if (!one)
				break;
			relax();
		}
		guarded = guarded + 1;
		asm volatile("movl $0, %0" : "=m"(spin)::"memory");
	}
}

static u64 wide[2] __attribute__((aligned(16)));
static void add_wide(void)
{
	for (u32 k = 0; k < 2000; k++) {
		bool ok;

		do {
			u64 a = ((volatile u64 *)wide)[0], d = ((volatile u64 *)wide)[1];

			asm volatile("lock cmpxchg16b %1"
			             : "=@ccz"(ok), "+m"(wide), "+a"(a), "+d"(d)
			             : "b"(a + 1), "c"(d + 2)
			             : "memory");
		} while (!ok);
	}
}

static void atomics(void)
{
	start_job(add_many);
	add_many();
	finish_job();
	check("LOCK INC", counter, 40000);
	start_job(add_guarded);
	add_guarded();
	finish_job();
	check("XCHG lock", guarded, 4000);
	start_job(add_wide);
	add_wide();
	finish_job();
	check("CMPXCHG16B low", wide[0], 4000);
	check("CMPXCHG16B high", wide[1], 8000);
}

/* ---- code changed by the other processor ---- */

static u8 *patch;
static volatile u32 result, rounds;
static u32 call_patch(void)
{
	u32 v, r[4];

	cpuid(0, 0, r); /* serialise: "Handling Self- and Cross-Modifying Code" */
	asm volatile("call *%1" : "=a"(v) : "r"(patch) : "rcx", "rdx", "memory");
	return v;
}

static void ap_patched(void)
{
	for (u32 k = 1; k <= 50; k++) {
		while (rounds != k)
			relax();
		result = call_patch();
		asm volatile("" ::: "memory");
		ap_up = 1000 + k;
	}
}

static void cross_modifying(void)
{
	patch = page_alloc();
	memcpy(patch, (u8[]){0xb8, 0, 0, 0, 0, 0xc3}, 6);
	rounds = 0;
	start_job(ap_patched);
	for (u32 k = 1; k <= 50; k++) {
		*(volatile u32 *)(patch + 1) = k * 3;
		rounds = k;
		while (ap_up != 1000 + k)
			relax();
		if (result != k * 3)
			check("cross-modifying code", result, k * 3);
	}
	finish_job();
	check("cross-modifying code, last", result, 150);
}

/* ---- TLBs are each processor's own ---- */

#define VA 0x8000000000ull
static volatile u32 seen_value, phase;
static void ap_tlb(void)
{
	seen_value = *(volatile u32 *)VA;
	phase = 1;
	while (phase != 2)
		relax();
	seen_value = *(volatile u32 *)VA;
	phase = 3;
	while (phase != 4)
		relax();
	invlpg((void *)VA);
	seen_value = *(volatile u32 *)VA;
}

static void tlbs(void)
{
	u32 *a = page_alloc(), *b = page_alloc();

	*a = 0xaaaa;
	*b = 0xbbbb;
	map_page(pml4, VA, (u64)a, 3);
	phase = 0;
	start_job(ap_tlb);
	while (phase != 1)
		relax();
	check("before", seen_value, 0xaaaa);
	map_page(pml4, VA, (u64)b, 3);
	invlpg((void *)VA); /* ours only */
	check("own TLB", *(volatile u32 *)VA, 0xbbbb);
	phase = 2;
	while (phase != 3)
		relax();
	check("the other's TLB keeps its entry", seen_value, 0xaaaa);
	phase = 4;
	finish_job();
	check("after its INVLPG", seen_value, 0xbbbb);
}

/* INVLPGB reaches the other processor. APM 3. */
static void ap_broadcast(void)
{
	seen_value = *(volatile u32 *)VA;
	phase = 1;
	while (phase != 2)
		relax();
	seen_value = *(volatile u32 *)VA;
}

static void broadcast(void)
{
	static const struct {
		const char *name;
		u64 rax;
		u32 edx, want;
	} rows[] = {
		{"INVLPGB: another page", (VA + 0x1000) | 5, 0, 0xaaaa}, {"INVLPGB: the page", VA | 5, 0, 0xbbbb},
		{"INVLPGB: another ASID", VA | 5, 1, 0xaaaa},		 {"INVLPGB: any ASID", VA | 1, 0, 0xbbbb},
		{"INVLPGB: everything", 4, 0, 0xbbbb},			 {"INVLPGB: everywhere", 8, 0, 0xbbbb},
	};
	u32 *a = page_alloc(), *b = page_alloc(), r[4];

	cpuid(0x80000008, 0, r);
	if (!(r[1] >> 3 & 1))
		return;
	*a = 0xaaaa;
	*b = 0xbbbb;
	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		map_page(pml4, VA, (u64)a, 3);
		asm volatile("invlpgb; tlbsync" ::"a"(8ull), "c"(0), "d"(0) : "memory");
		phase = 0;
		start_job(ap_broadcast);
		while (phase != 1)
			relax();
		check("the other's TLB before", seen_value, 0xaaaa);
		map_page(pml4, VA, (u64)b, 3);
		asm volatile("invlpgb; tlbsync" ::"a"(rows[n].rax), "c"(0), "d"(rows[n].edx) : "memory");
		phase = 2;
		finish_job();
		check(rows[n].name, seen_value, rows[n].want);
	}
}

/* ---- MONITOR and MWAIT; INIT in the middle of work ---- */

static void ap_mwait(void)
{
	while (!shared) {
		asm volatile("monitor" ::"a"(&shared), "c"(0), "d"(0));
		if (!shared)
			asm volatile("mwait" ::"a"(0), "c"(0));
	}
}

static void ap_spin(void)
{
	for (;;)
		relax();
}

static void mwait_and_init(void)
{
	shared = 0;
	start_job(ap_mwait);
	for (u32 k = 0; k < 10000; k++)
		relax();
	shared = 1;
	finish_job();
	ap_up = 0;
	start_job(ap_spin);
	for (u32 k = 0; k < 10000; k++)
		relax();
	ipi(0x4500);
	for (u32 k = 0; k < 10000; k++)
		relax();
	check("waits for SIPI", ap_up, 0);
	job = NULL;
	ipi(0x608);
	wait_up(1);
	check("started again", ap_up, 1);
	check("CS again", *(u16 *)AP_CS, 0x800);
	/* INIT leaves CR0.CD and NW alone, everything else is as after reset */
	check("EDX after INIT is the signature", *(u32 *)(AP_PAGE + 0xf08) != 0, 1);
}

/* The TSC of both processors shows one time. */
static volatile u64 tsc_ap;
static void ap_tsc(void)
{
	tsc_ap = rdtsc();
}

static void tscs(void)
{
	u64 a = rdtsc();

	start_job(ap_tsc);
	finish_job();
	u64 b = rdtsc();
	check("TSC is one time", a < tsc_ap && tsc_ap < b, 1);
}

int main(void)
{
	t_setup();
	ap_prepare(ap_main, (u64)(ap_stack + sizeof(ap_stack)));
	start();
	ipis();
	atomics();
	cross_modifying();
	tlbs();
	broadcast();
	tscs();
	mwait_and_init();
	return guest_verdict();
}
