#include "base/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int hostmem_file(const char *name, u64 size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && !hostmem_resize(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool hostmem_resize(int fd, u64 size)
{
	return ftruncate(fd, (off_t)size) == 0;
}

void *hostmem_map(int fd, u64 offset, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

void hostmem_unmap(void *p, u64 size)
{
	if (p)
		munmap(p, size);
}

void hostmem_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

bool hostmem_used(int fd, u64 *from, u64 *end)
{
	off_t data = lseek(fd, (off_t)*from, SEEK_DATA);

	if (data < 0 && errno != ENXIO)
		return *from < *end; /* no such knowledge: it may all be used */
	if (data < 0 || (u64)data >= *end)
		return false;
	off_t hole = lseek(fd, data, SEEK_HOLE);
	*from = (u64)data;
	if (hole > data)
		*end = min_u64(*end, (u64)hole);
	return true;
}

void hostmem_zero(int fd, void *at, u64 offset, u64 size)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size))
		memset(at, 0, size);
}

#define PATTERN_BYTES (1ull << 20)

/* Every MiB of the range is a copy-on-write view of the same pattern: only what is written becomes memory. */
static bool map_pattern(u8 *at, u64 size, u8 value)
{
	int fd = hostmem_file("turnstile-pattern", PATTERN_BYTES);
	u8 *pattern = fd < 0 ? NULL : hostmem_map(fd, 0, PATTERN_BYTES);
	bool ok = pattern != NULL;

	if (ok)
		memset(pattern, value, PATTERN_BYTES);
	for (u64 done = 0; ok && done < size; done += PATTERN_BYTES)
		ok = mmap(at + done, min_u64(PATTERN_BYTES, size - done), PROT_READ | PROT_WRITE,
		          MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) != MAP_FAILED;
	hostmem_unmap(pattern, PATTERN_BYTES);
	hostmem_close(fd);
	return ok;
}

void *hostmem_filled(u8 value, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (size <= PATTERN_BYTES) {
		memset(p, value, size);
	} else if (!map_pattern(p, size, value)) {
		munmap(p, size);
		return NULL;
	}
	return p;
}
