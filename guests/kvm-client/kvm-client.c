/*
 * kvm-client: a small virtual machine monitor on /dev/kvm. It runs one virtual machine after another in real, protected,
 * paged and long mode, checks each against what its code must have done, and prints one line a machine and a table of
 * exits. Exit status 0: all as expected.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE (4u << 20)
#define CODE     0x1000u
#define MAX_EXITS 64

#define BLOCK(name) extern const uint8_t name##_start[], name##_end[]
BLOCK(real);
BLOCK(string);
BLOCK(intr);
BLOCK(mmio);
BLOCK(paged);
BLOCK(triple);
BLOCK(longm);
BLOCK(loopm);

struct vm {
	int vm, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
	size_t run_size;
	/* what the guest said */
	uint32_t out[16];
	unsigned outs, halts;
	uint8_t echo[16];
	unsigned echoed, replayed;
	uint64_t mmio_written[8];
	unsigned mmio_writes;
	unsigned last_exit;
};

struct test {
	const char *name;
	const uint8_t *start, *end;
	void (*setup)(struct vm *v);
	bool (*verdict)(struct vm *v, char *why, size_t n);
};

static unsigned exits[64];

static const char *exit_name(unsigned reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",	      [KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",		      [KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",		      [KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN", [KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY", [KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
	};

	return reason < sizeof(names) / sizeof(names[0]) && names[reason] ? names[reason] : "other";
}

static int must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "kvm-client: %s: %s\n", what, strerror(errno));
		exit(2);
	}
	return r;
}

/* ---- one machine ---- */

static void set_cpuid(struct vm *v, int kvm)
{
	const uint32_t n = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));

	must(cpuid ? 0 : -1, "calloc");
	cpuid->nent = n;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(v->vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void open_vm(struct vm *v, int kvm)
{
	memset(v, 0, sizeof(*v));
	v->vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	must(ioctl(v->vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	v->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(v->ram == MAP_FAILED ? -1 : 0, "mmap");

	struct kvm_userspace_memory_region r = {.slot = 0, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)v->ram,
						.flags = KVM_MEM_LOG_DIRTY_PAGES};

	must(ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
	v->vcpu = must(ioctl(v->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	v->run_size = (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	must(v->run == MAP_FAILED ? -1 : 0, "mmap vcpu");

	set_cpuid(v, kvm);
}

static void close_vm(struct vm *v)
{
	munmap(v->run, v->run_size);
	munmap(v->ram, RAM_SIZE);
	close(v->vcpu);
	close(v->vm);
}

static void set_regs(struct vm *v, uint64_t rip)
{
	struct kvm_regs r = {.rip = rip, .rflags = 2, .rsp = 0x8000};

	must(ioctl(v->vcpu, KVM_SET_REGS, &r), "KVM_SET_REGS");
}

static struct kvm_segment flat(uint16_t sel, uint8_t type, bool db, bool l)
{
	return (struct kvm_segment){.limit = 0xffffffff, .selector = sel, .type = type, .present = 1, .db = db, .s = 1,
				    .l = l, .g = 1};
}

/* mode: 16, 32 or 64. Tables for paging: CR3. */
static void set_sregs(struct vm *v, int mode, uint64_t cr3)
{
	struct kvm_sregs s;

	must(ioctl(v->vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	if (mode == 16) {
		s.cs.base = s.cs.selector = 0;
	} else {
		s.cs = flat(0x08, 11, mode == 32, mode == 64);
		s.ds = s.es = s.ss = s.fs = s.gs = flat(0x10, 3, true, false);
		s.cr0 |= 1;
	}
	if (mode == 64) {
		s.cr4 |= 0x620;
		s.cr0 |= 0x80000000;
		s.efer |= 0x500;
	}
	s.cr3 = cr3;
	must(ioctl(v->vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

/* ---- what each machine needs ---- */

static void setup_real(struct vm *v)
{
	set_sregs(v, 16, 0);
	set_regs(v, CODE);
	memcpy(v->ram + 0x2000, "\1\2\3\4\5\6\7\10", 8);
}

static void setup_intr(struct vm *v)
{
	setup_real(v);
}

static void setup_protected(struct vm *v)
{
	set_sregs(v, 32, 0);
	set_regs(v, CODE);
}

/* 32-bit tables at 10000h: the first 4 MiB one to one by a table, 400000h -> 5000h by a second. */
static void setup_paged(struct vm *v)
{
	uint32_t *pd = (uint32_t *)(v->ram + 0x10000), *pt0 = (uint32_t *)(v->ram + 0x11000), *pt1 = (uint32_t *)(v->ram + 0x12000);

	for (uint32_t k = 0; k < 1024; k++)
		pt0[k] = k << 12 | 3;
	pt1[0] = 0x5000 | 3;
	pd[0] = 0x11000 | 3;
	pd[1] = 0x12000 | 3;
	set_sregs(v, 32, 0x10000);
	set_regs(v, CODE);
}

/* 4-level tables at 10000h: 2 MiB pages, one to one. */
static void setup_long(struct vm *v)
{
	uint64_t *l4 = (uint64_t *)(v->ram + 0x10000), *l3 = (uint64_t *)(v->ram + 0x11000), *l2 = (uint64_t *)(v->ram + 0x12000);

	l4[0] = 0x11000 | 3;
	l3[0] = 0x12000 | 3;
	l2[0] = 0x83;
	l2[1] = 0x200083;
	set_sregs(v, 64, 0x10000);
	set_regs(v, CODE);

	/* XMM0 by the XSAVE image: byte 160; its component bit in XSTATE_BV at byte 512, or the state counts as initial. */
	struct kvm_xsave x;

	must(ioctl(v->vcpu, KVM_GET_XSAVE, &x), "KVM_GET_XSAVE");
	x.region[160 / 4] = 0x12345678;
	x.region[512 / 4] |= 3;
	must(ioctl(v->vcpu, KVM_SET_XSAVE, &x), "KVM_SET_XSAVE");
}

static void setup_triple(struct vm *v)
{
	struct kvm_sregs s;

	setup_protected(v);
	must(ioctl(v->vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.idt.limit = 0;
	must(ioctl(v->vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

/* ---- what each machine must have done ---- */

static bool said(struct vm *v, unsigned n, const uint32_t *want, char *why, size_t len)
{
	for (unsigned k = 0; k < n; k++) {
		if (k >= v->outs || v->out[k] != want[k]) {
			snprintf(why, len, "output %u is 0x%x of %u, want 0x%x", k, k < v->outs ? v->out[k] : 0, v->outs, want[k]);
			return false;
		}
	}
	if (v->outs != n || v->last_exit != KVM_EXIT_HLT) {
		snprintf(why, len, "%u outputs, want %u; last exit %s", v->outs, n, exit_name(v->last_exit));
		return false;
	}
	return true;
}

static bool verdict_real(struct vm *v, char *why, size_t n)
{
	return said(v, 2, (uint32_t[]){42, 0x78}, why, n); /* IN answers 77h */
}

static bool verdict_string(struct vm *v, char *why, size_t n)
{
	return said(v, 1, (uint32_t[]){36}, why, n);
}

static bool verdict_intr(struct vm *v, char *why, size_t n)
{
	return said(v, 2, (uint32_t[]){0x20, 0x55}, why, n);
}

static bool verdict_mmio(struct vm *v, char *why, size_t n)
{
	if (v->mmio_writes != 2 || v->mmio_written[0] != 0x12345678 || v->mmio_written[1] != 0x14) {
		snprintf(why, n, "%u MMIO writes, 0x%jx, 0x%jx", v->mmio_writes, (uintmax_t)v->mmio_written[0], (uintmax_t)v->mmio_written[1]);
		return false;
	}
	return said(v, 1, (uint32_t[]){0x0b0a0908 + 0x0d0c}, why, n);
}

static bool verdict_paged(struct vm *v, char *why, size_t n)
{
	return said(v, 1, (uint32_t[]){0xcafe1234}, why, n);
}

static bool verdict_triple(struct vm *v, char *why, size_t n)
{
	if (v->last_exit == KVM_EXIT_SHUTDOWN)
		return true;
	snprintf(why, n, "last exit %s, want SHUTDOWN", exit_name(v->last_exit));
	return false;
}

static bool verdict_long(struct vm *v, char *why, size_t n)
{
	return said(v, 3, (uint32_t[]){0x500, 0x12345678, 0x12345678}, why, n);
}

/* The dirty log must hold the four pages from 200000h on that the guest wrote, and none of their neighbours. */
static bool verdict_dirty(struct vm *v, char *why, size_t n)
{
	uint64_t bitmap[RAM_SIZE / 4096 / 64];
	struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = bitmap};

	if (!verdict_long(v, why, n))
		return false;
	must(ioctl(v->vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
	if (bitmap[0x200 / 64] == 0xf)
		return true;
	snprintf(why, n, "dirty pages from 200000h: 0x%jx, want 0xf", (uintmax_t)bitmap[0x200 / 64]);
	return false;
}

static bool verdict_loop(struct vm *v, char *why, size_t n)
{
	return said(v, 1, (uint32_t[]){(uint32_t)(100000ull * 100001 / 2)}, why, n);
}

/* ---- running ---- */

static void serve_io(struct vm *v)
{
	uint8_t *data = (uint8_t *)v->run + v->run->io.data_offset;
	unsigned size = v->run->io.size;

	for (uint32_t k = 0; k < v->run->io.count; k++, data += size) {
		if (v->run->io.port == 0x3f9 && v->run->io.direction == KVM_EXIT_IO_OUT) {
			v->echo[v->echoed++ % sizeof(v->echo)] = *data;
		} else if (v->run->io.port == 0x3f9) {
			*data = v->echo[v->replayed++ % sizeof(v->echo)];
		} else if (v->run->io.direction == KVM_EXIT_IO_OUT) {
			uint32_t value = 0;

			memcpy(&value, data, size);
			if (v->outs < 16)
				v->out[v->outs++] = value;
		} else {
			memset(data, 0x77, size);
		}
	}
}

/* Our device: the byte at address a reads as the low byte of a plus 4, so that sizes and offsets show. */
static void serve_mmio(struct vm *v)
{
	if (v->run->mmio.is_write) {
		uint64_t value = 0;

		memcpy(&value, v->run->mmio.data, v->run->mmio.len);
		if (v->mmio_writes < 8)
			v->mmio_written[v->mmio_writes++] = value;
		return;
	}
	for (uint32_t k = 0; k < v->run->mmio.len; k++)
		v->run->mmio.data[k] = (uint8_t)(v->run->mmio.phys_addr + k + 4);
}

static void inject(struct vm *v)
{
	struct kvm_interrupt irq = {.irq = 0x20};

	must(ioctl(v->vcpu, KVM_INTERRUPT, &irq), "KVM_INTERRUPT");
}

static void run_vm(struct vm *v, const struct test *t)
{
	bool wants_irq = t->setup == setup_intr;

	for (unsigned n = 0; n < MAX_EXITS; n++) {
		must(ioctl(v->vcpu, KVM_RUN, 0), "KVM_RUN");
		v->last_exit = v->run->exit_reason;
		exits[v->last_exit & 63]++;
		if (v->last_exit == KVM_EXIT_IO) {
			serve_io(v);
		} else if (v->last_exit == KVM_EXIT_MMIO) {
			serve_mmio(v);
		} else if (v->last_exit == KVM_EXIT_HLT && wants_irq && v->halts++ == 0) {
			inject(v);
		} else {
			return;
		}
	}
}

static bool run_test(int kvm, const struct test *t)
{
	struct vm v;
	char why[128] = "";

	open_vm(&v, kvm);
	memcpy(v.ram + CODE, t->start, (size_t)(t->end - t->start));
	t->setup(&v);
	run_vm(&v, t);

	bool ok = t->verdict(&v, why, sizeof(why));

	printf("kvm-client: %-22s %s%s%s\n", t->name, ok ? "ok" : "FAIL", *why ? ": " : "", why);
	close_vm(&v);
	return ok;
}

int main(void)
{
	static const struct test tests[] = {
		{"real mode", real_start, real_end, setup_real, verdict_real},
		{"string I/O", string_start, string_end, setup_real, verdict_string},
		{"interrupt injection", intr_start, intr_end, setup_intr, verdict_intr},
		{"protected mode, MMIO", mmio_start, mmio_end, setup_protected, verdict_mmio},
		{"32-bit paging", paged_start, paged_end, setup_paged, verdict_paged},
		{"triple fault", triple_start, triple_end, setup_triple, verdict_triple},
		{"long mode", longm_start, longm_end, setup_long, verdict_long},
		{"dirty logging", longm_start, longm_end, setup_long, verdict_dirty},
		{"long mode, loop", loopm_start, loopm_end, setup_long, verdict_loop},
	};
	unsigned ok = 0, n = sizeof(tests) / sizeof(tests[0]);
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");

	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		fprintf(stderr, "kvm-client: unexpected KVM API version\n");
		return 2;
	}
	for (unsigned k = 0; k < n; k++)
		ok += run_test(kvm, &tests[k]);
	for (unsigned k = 0; k < 64; k++)
		if (exits[k])
			printf("kvm-client: exit %-16s %5u\n", exit_name(k), exits[k]);
	printf("kvm-client: %u passed, %u failed\n", ok, n - ok);
	return ok == n ? 0 : 1;
}
