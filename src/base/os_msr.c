/* Of the processor we run on, what only the operating system may read. */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool os_read_msr(unsigned cpu, u32 index, u64 *value, char *why, size_t size)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/dev/cpu/%u/msr", cpu);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, size, "%s: %s; %s", path, strerror(errno),
		         errno == ENOENT || errno == ENXIO ? "modprobe msr" : "it needs root's rights");
		return false;
	}
	bool ok = pread(fd, value, sizeof(*value), index) == (ssize_t)sizeof(*value);
	if (!ok)
		snprintf(why, size, "%s: MSR 0x%x: %s", path, index, strerror(errno));
	close(fd);
	return ok;
}

enum status os_read_input(u8 **data, u64 *size, struct err *err)
{
	u64 room = 0, n = 0;
	u8 *p = NULL;

	for (;;) {
		if (n == room) {
			u8 *more = room < OS_INPUT_MOST ? base_realloc(p, room ? room * 2 : 65536) : NULL;

			if (!more) {
				base_free(p);
				return err_set(err, ST_ARG, "-: more than this program reads from its standard input");
			}
			p = more;
			room = room ? room * 2 : 65536;
		}
		ssize_t got = read(STDIN_FILENO, p + n, room - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			*data = p;
			*size = n;
			return got ? err_set(err, ST_IO, "-: %s", strerror(errno)) : ST_OK;
		}
		n += (u64)got;
	}
}
