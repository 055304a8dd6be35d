/* load NAME N: N units of one load, and a line with the sum of what it computed. */
#include "loads.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	QSORT_WORDS = 100000,
	COPY_BYTES = 1 << 20,
	FAULT_PAGES = 1024,
	CHASE_NODES = 1 << 19, /* 32 MiB: beyond every TLB and cache of the second level */
};

static void *memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("load: mmap");
		exit(1);
	}
	return p;
}

static uint64_t integer(uint64_t n)
{
	return integer_loop(n);
}

static uint64_t memory_rounds(uint64_t n)
{
	return memory_loop(n, memory(MEMORY_WORDS * sizeof(uint64_t)));
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t sort(uint64_t n)
{
	uint64_t *words = memory(QSORT_WORDS * sizeof(*words)), state = 1, sum = 0;

	while (n--) {
		for (unsigned k = 0; k < QSORT_WORDS; k++)
			words[k] = next_random(&state);
		qsort(words, QSORT_WORDS, sizeof(*words), by_value);
		sum = sum * 31 + words[QSORT_WORDS / 3];
	}
	return sum;
}

static uint64_t copy(uint64_t n)
{
	unsigned char *from = memory(COPY_BYTES), *to = memory(COPY_BYTES);
	uint64_t sum = 0;

	memset(from, 1, COPY_BYTES);
	for (uint64_t k = 0; k < n; k++) {
		from[k % COPY_BYTES]++;
		memcpy(to, from, COPY_BYTES);
		sum += to[(k * 7) % COPY_BYTES];
	}
	return sum;
}

static uint64_t syscalls(uint64_t n)
{
	uint64_t same = 0;
	pid_t parent = getppid();

	while (n--)
		same += syscall(SYS_getppid) == parent;
	return same;
}

static uint64_t forks(uint64_t n)
{
	uint64_t sum = 0;
	int status;

	for (uint64_t k = 0; k < n; k++) {
		pid_t child = fork();

		if (!child)
			_exit((int)(k & 127));
		if (child < 0 || waitpid(child, &status, 0) != child)
			exit(1);
		sum += (uint64_t)WEXITSTATUS(status);
	}
	return sum;
}

static uint64_t faults(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		unsigned char *p = memory(FAULT_PAGES * 4096);

		madvise(p, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
		for (unsigned k = 0; k < FAULT_PAGES; k++)
			p[k * 4096] = 1;
		sum += p[0];
		munmap(p, FAULT_PAGES * 4096);
	}
	return sum;
}

/* One cycle through all nodes (Sattolo), a node a cache line. */
static uint64_t chase(uint64_t n)
{
	struct node {
		struct node *next;
		uint64_t rest[7];
	} *nodes = memory(CHASE_NODES * sizeof(*nodes)), *at = nodes;
	uint64_t state = 1;

	for (unsigned k = 0; k < CHASE_NODES; k++)
		nodes[k].next = &nodes[k];
	for (unsigned k = CHASE_NODES - 1; k; k--) {
		uint64_t other = next_random(&state) % k;
		struct node *t = nodes[k].next;

		nodes[k].next = nodes[other].next;
		nodes[other].next = t;
	}
	while (n--)
		at = at->next;
	return (uint64_t)(at - nodes);
}

static const struct {
	const char *name;
	uint64_t (*run)(uint64_t n);
} loads[] = {
	{"integer", integer},	      {"memory", memory_rounds}, {"core-mix", core_mix},   {"qsort", sort},
	{"nbody-sse2", nbody_sse2},   {"nbody-x87", nbody_x87},	 {"memcpy", copy},	   {"syscalls", syscalls},
	{"fork", forks},	      {"faults", faults},	 {"chase", chase},
};

int main(int argc, char **argv)
{
	for (unsigned k = 0; argc == 3 && k < sizeof(loads) / sizeof(loads[0]); k++) {
		if (strcmp(argv[1], loads[k].name) == 0) {
			printf("%s %016llx\n", argv[1], (unsigned long long)loads[k].run(strtoull(argv[2], NULL, 10)));
			return 0;
		}
	}
	fprintf(stderr, "load: NAME N\n");
	return 2;
}
