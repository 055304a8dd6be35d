/* vm integer|memory N: the loops of loops.S in a virtual machine on /dev/kvm, in long mode with pages of 2 MiB. */
#include "loads.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { RAM = 8 << 20, TABLES = 0x1000, CODE = 0x10000, STACK = 0x20000, DATA = 0x200000 };

static int must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "vm: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return r;
}

static void set_cpuid(int kvm, int vcpu)
{
	const uint32_t n = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));

	must(cpuid ? 0 : -1, "calloc");
	cpuid->nent = n;
	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

/* The code, a HLT behind it that it returns to, and identity paging. */
static void fill(uint8_t *ram)
{
	size_t size = (size_t)(loops_end - loops_begin);
	uint64_t *table = (uint64_t *)(ram + TABLES), home = CODE + size;

	memcpy(ram + CODE, loops_begin, size);
	ram[home] = 0xf4;
	memcpy(ram + STACK, &home, sizeof(home));
	table[0] = (TABLES + 0x1000) | 7;
	table[512] = (TABLES + 0x2000) | 7;
	for (unsigned k = 0; k < RAM >> 21; k++)
		table[1024 + k] = (uint64_t)k << 21 | 0x87;
}

static void set_long_mode(int vcpu)
{
	struct kvm_segment data = {.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1};
	struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1, .l = 1};
	struct kvm_sregs s;

	must(ioctl(vcpu, KVM_GET_SREGS, &s), "KVM_GET_SREGS");
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 = 0x80000033;
	s.cr3 = TABLES;
	s.cr4 = 0x20;
	s.efer = 0x500;
	must(ioctl(vcpu, KVM_SET_SREGS, &s), "KVM_SET_SREGS");
}

int main(int argc, char **argv)
{
	int memory = argc == 3 && strcmp(argv[1], "memory") == 0;

	if (argc != 3 || (!memory && strcmp(argv[1], "integer") != 0))
		return fprintf(stderr, "vm: integer|memory N\n"), 2;

	int kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
	int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(ram == MAP_FAILED ? -1 : 0, "mmap");
	must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");

	struct kvm_userspace_memory_region r = {.memory_size = RAM, .userspace_addr = (uintptr_t)ram};

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");

	int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size_t size = (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	must(run == MAP_FAILED ? -1 : 0, "mmap of the processor");
	set_cpuid(kvm, vcpu);
	fill(ram);
	set_long_mode(vcpu);

	uint64_t entry = CODE + (memory ? (uintptr_t)memory_loop - (uintptr_t)loops_begin : 0);
	struct kvm_regs regs = {.rip = entry, .rflags = 2, .rsp = STACK, .rdi = strtoull(argv[2], NULL, 10), .rsi = DATA};

	must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	do {
		int r2 = ioctl(vcpu, KVM_RUN, 0);

		if (r2 < 0 && errno != EINTR)
			must(r2, "KVM_RUN");
	} while (run->exit_reason == KVM_EXIT_INTR);
	must(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	if (run->exit_reason != KVM_EXIT_HLT)
		return fprintf(stderr, "vm: exit %u\n", run->exit_reason), 1;
	printf("%s %016llx\n", argv[1], (unsigned long long)regs.rax);
	return 0;
}
