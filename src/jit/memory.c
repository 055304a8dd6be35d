/* The memory of translated code: one file, seen twice, so that no page is ever both written and run. */
#include "jit/priv.h"

#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_CODE (64u << 20)
#define LEAST_CODE   (64u << 10)
/* So much code, at the least, comes with one of what it refers to by number. */
#define CODE_PER_NUMBER 24u

static void *lazily(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t numbers(const struct jit *j)
{
	return (size_t)j->size / CODE_PER_NUMBER;
}

enum status jit_memory_new(struct jit *j)
{
	void *rw, *rx;

	j->size = j->cfg.cache ? max_u64(j->cfg.cache, LEAST_CODE) & ~(u64)(PAGE_SIZE - 1) : DEFAULT_CODE;
	j->fd = memfd_create("turnstile-jit", MFD_CLOEXEC);
	if (j->fd < 0 || ftruncate(j->fd, (off_t)j->size) != 0)
		return ST_NOMEM;
	rw = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
	if (rw == MAP_FAILED)
		return ST_NOMEM;
	j->rw = rw;
	rx = mmap(NULL, j->size, PROT_READ | PROT_EXEC, MAP_SHARED, j->fd, 0);
	if (rx == MAP_FAILED)
		return ST_NOMEM;
	j->rx = rx;
	j->insn = lazily(numbers(j) * sizeof(*j->insn));
	j->exit = lazily(numbers(j) * sizeof(*j->exit));
	j->branch = lazily(numbers(j) * sizeof(*j->branch));
	j->code = lazily(numbers(j) * sizeof(*j->code));
	return j->insn && j->exit && j->branch && j->code ? ST_OK : ST_NOMEM;
}

static void give_back(void *p, size_t n)
{
	if (p)
		munmap(p, n);
}

void jit_memory_free(struct jit *j)
{
	give_back(j->insn, numbers(j) * sizeof(*j->insn));
	give_back(j->exit, numbers(j) * sizeof(*j->exit));
	give_back(j->branch, numbers(j) * sizeof(*j->branch));
	give_back(j->code, numbers(j) * sizeof(*j->code));
	give_back(j->rx, j->size);
	give_back(j->rw, j->size);
	if (j->fd >= 0)
		close(j->fd);
}

/* For one more superblock, as large as they come. */
bool jit_room(const struct jit *j)
{
	const size_t most = 2 * BLOCK_MAX + 4, n = numbers(j);

	return (size_t)(j->e.end - j->e.p) > 24576 && j->insns + most < n && j->exits + most < n && j->branches + most < n &&
	       j->codes + 1 < n;
}
