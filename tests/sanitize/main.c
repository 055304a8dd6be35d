/* The frame of the cases: which one, the second processor, DMA. */
#include "cases.h"
#include "processors.h"

/* ---- fw_cfg ---- */

static u32 big(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static void fw_read(u8 *to, u32 n)
{
	while (n--)
		*to++ = inb(0x511);
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static bool fw_file(const char *name, char *to, u32 room)
{
	u8 count[4], entry[64];

	outw(0x510, 0x19);
	fw_read(count, 4);
	for (u32 n = big(count); n; n--) {
		fw_read(entry, sizeof(entry));
		if (!equal((char *)entry + 8, name))
			continue;
		u32 size = big(entry) < room - 1 ? big(entry) : room - 1;
		outw(0x510, (u16)(entry[4] << 8 | entry[5]));
		fw_read((u8 *)to, size);
		to[size] = 0;
		return true;
	}
	return false;
}

/* ---- the second processor ---- */

static u8 second_stack[8192] __attribute__((aligned(16)));
static void (*volatile job)(void);
static volatile bool up, done;

static void second(void)
{
	mmio_write(LAPIC + 0xf0, 0x1ff);
	asm volatile("ltr %w0" ::"r"(0x28)); /* a VM entry looks at TR */
	up = true;
	for (;;) {
		while (!job)
			asm volatile("pause" ::: "memory");
		void (*j)(void) = job;

		job = NULL;
		j();
		done = true;
	}
}

void start_on_second(void (*j)(void))
{
	if (!up) {
		gdt[5] &= ~(2ull << 40); /* a TSS that is not busy, once more */
		ap_prepare(second, (u64)second_stack + sizeof(second_stack) - 8);
		mmio_write(LAPIC + 0x310, 1u << 24);
		mmio_write(LAPIC + 0x300, 0x4500);
		mmio_write(LAPIC + 0x310, 1u << 24);
		mmio_write(LAPIC + 0x300, STARTUP_IPI);
		while (!up)
			asm volatile("pause" ::: "memory");
	}
	done = false;
	job = j;
}

void wait_for_second(void)
{
	while (!done)
		asm volatile("pause" ::: "memory");
}

void on_second(void (*j)(void))
{
	start_on_second(j);
	wait_for_second();
}

/* ---- DMA ---- */

static u32 config(u32 fn, u32 at)
{
	outl(0xcf8, 1u << 31 | fn << 8 | at);
	return inl(0xcfc);
}

bool dma(u64 device_to, u64 memory, u32 len)
{
	u32 fn = 0;

	while (fn < 256 && config(fn, 0) != 0x11e81234)
		fn++;
	if (fn == 256)
		return false;
	outl(0xcf8, 1u << 31 | fn << 8 | 4);
	outl(0xcfc, config(fn, 4) | 7);
	u64 bar = config(fn, 0x10) & ~15u;
	*(volatile u64 *)(bar + 0x80) = device_to ? 0x40000 : memory;
	*(volatile u64 *)(bar + 0x88) = device_to ? memory : 0x40000;
	*(volatile u64 *)(bar + 0x90) = len;
	*(volatile u64 *)(bar + 0x98) = 1 | device_to << 1;
	while (*(volatile u64 *)(bar + 0x98) & 1)
		;
	return true;
}

/* ---- odds and ends ---- */

void expect(const char *what, u64 got, u64 want)
{
	if (got == want)
		return;
	print("case: %s: 0x%lx, want 0x%lx\n", what, got, want);
	guest_end(1);
}

void *stack_of(void)
{
	return (u8 *)page_alloc() + 4096 - 8;
}

void eoi(void)
{
	mmio_write(LAPIC + 0xb0, 0);
}

void self_ipi(u32 vector)
{
	mmio_write(LAPIC + 0xf0, 0x1ff);
	mmio_write(LAPIC + 0x300, 1u << 18 | vector);
}

static void look_for(const struct one_case *c, const char *which)
{
	bool bad = which[0] == 'b';
	const char *name = which + (bad ? 4 : 5);

	for (; c->name; c++) {
		if (equal(which, "list"))
			print("case %s\n", c->name);
		if (equal(name, c->name)) {
			c->run(bad);
			print("case: done\n");
		}
	}
}

int main(void)
{
	u32 r[4];
	char which[80];

	cpuid(0, 0, r);
	bool intel = r[1] == 0x756e6547;

	if (!fw_file("opt/case", which, sizeof(which)))
		return 1;
	look_for(intel ? vmx_cases : svm_cases, which);
	look_for(intel ? vmx_stale_cases : svm_stale_cases, which);
	look_for(intel ? vmx_reach_cases : svm_reach_cases, which);
	return 0;
}
