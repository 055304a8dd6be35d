#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static enum status map_fd(struct os_file *f, int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(err, ST_IO, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, ST_ARG, "%s: is a folder, not a file", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ST_ARG, "%s: not a plain file", path);
	if (st.st_size == 0)
		return err_set(err, ST_ARG, "%s: the file is empty", path);
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, ST_IO, "%s: %s", path, strerror(errno));
	f->data = p;
	f->size = (u64)st.st_size;
	return ST_OK;
}

enum status os_file_map(struct os_file *f, const char *path, struct err *err)
{
	/* O_NONBLOCK: a FIFO without a writer must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*f = (struct os_file){0};
	if (fd < 0)
		return err_set(err, ST_ARG, "%s: %s", path, strerror(errno));
	enum status s = map_fd(f, fd, path, err);
	close(fd);
	return s;
}

void os_file_unmap(struct os_file *f)
{
	if (f->data)
		munmap((void *)(uintptr_t)f->data, (size_t)f->size);
	*f = (struct os_file){0};
}

/* ---- which file ---- */

static struct os_file_id id_of(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return (struct os_file_id){.kind = OS_FILE_HERE, .device = st->st_dev, .inode = st->st_ino};
	if (S_ISBLK(st->st_mode)) /* a disk is one disk under each of its names */
		return (struct os_file_id){.kind = OS_FILE_HERE, .device = ~0ull, .inode = st->st_rdev};
	return (struct os_file_id){.kind = OS_FILE_NONE};
}

struct os_file_id os_fd_id(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? (struct os_file_id){.kind = OS_FILE_NONE} : id_of(&st);
}

/* path, cut at its last name; the name stays behind the cut. NULL: the folder is the current one. */
static char *split_folder(char *path, const char **name)
{
	char *slash = strrchr(path, '/');

	*name = slash ? slash + 1 : path;
	if (!slash)
		return NULL;
	*slash = 0;
	return path;
}

/* A symbolic link that leads nowhere is created where it leads. */
static bool follow(char path[4096])
{
	char target[4096], joined[8192];
	const char *name;
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = 0;
	char *folder = target[0] == '/' ? NULL : split_folder(path, &name);
	snprintf(joined, sizeof(joined), "%s%s%s", folder ? folder : "", folder ? "/" : "", target);
	if (strlen(joined) >= 4096)
		return false;
	memcpy(path, joined, strlen(joined) + 1);
	return true;
}

static struct os_file_id new_id(const char *path)
{
	struct os_file_id id = {.kind = OS_FILE_NEW};
	char text[4096];
	const char *name;
	struct stat st;

	if (strlen(path) >= sizeof(text))
		return (struct os_file_id){.kind = OS_FILE_NONE};
	memcpy(text, path, strlen(path) + 1);
	for (unsigned n = 0; n < 40 && follow(text); n++)
		;
	const char *folder = split_folder(text, &name);
	if (stat(!folder ? "." : *folder ? folder : "/", &st) || strlen(name) >= sizeof(id.name))
		return (struct os_file_id){.kind = OS_FILE_NONE};
	id.device = st.st_dev;
	id.inode = st.st_ino;
	memcpy(id.name, name, strlen(name));
	return id;
}

struct os_file_id os_path_id(const char *path)
{
	struct stat st;

	if (!stat(path, &st))
		return id_of(&st);
	return errno == ENOENT ? new_id(path) : (struct os_file_id){.kind = OS_FILE_NONE};
}

bool os_same_file(const struct os_file_id *a, const struct os_file_id *b)
{
	return a->kind != OS_FILE_NONE && a->kind == b->kind && a->device == b->device && a->inode == b->inode &&
	       !strcmp(a->name, b->name);
}

bool os_lock_file(int fd, bool write)
{
	return !flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) || errno != EWOULDBLOCK;
}

/* ---- time and waiting ---- */

u64 os_real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

u64 os_date_seconds(void)
{
	return (u64)time(NULL);
}

/* A pty without a reader is "hung up" all the time; waiting on it would be spinning. */
static bool drop_hung_up(struct pollfd *p, unsigned n)
{
	bool readable = false;

	for (unsigned i = 0; i < n; i++) {
		readable |= (p[i].revents & POLLIN) != 0;
		if (p[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			p[i].fd = -1;
	}
	return !readable;
}

void os_wait_readable(const int *fds, unsigned n, int timeout_ms)
{
	struct pollfd p[16];
	unsigned k = 0;

	for (unsigned i = 0; i < n && k < ARRAY_LEN(p); i++)
		if (fds[i] >= 0)
			p[k++] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	/* An interrupting signal ends the wait, which is what whoever sent it wants. */
	if (poll(p, k, timeout_ms) > 0 && drop_hung_up(p, k))
		(void)poll(p, k, timeout_ms);
}

int os_open_output(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static bool is_empty(const char *path)
{
	struct dirent *e;
	DIR *d = opendir(path);
	bool empty = d != NULL;

	while (empty && (e = readdir(d)) != NULL)
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

bool os_create_folder(const char *path)
{
	if (!mkdir(path, 0777))
		return true;
	if (errno == EEXIST && is_empty(path))
		return true;
	errno = errno == ENOTDIR ? EEXIST : errno;
	return false;
}

bool os_create_file(const char *path, const char *text, size_t n, bool executable)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, executable ? 0777 : 0666);

	if (fd < 0)
		return false;
	bool ok = os_write_all(fd, text, n);
	int why = errno;
	ok &= !close(fd);
	errno = ok ? 0 : why;
	return ok;
}

bool os_may_write(const char *path)
{
	char folder[4096];
	struct stat st;
	size_t n = strlen(path);

	if (!stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			errno = EISDIR;
		return !S_ISDIR(st.st_mode) && !access(path, W_OK);
	}
	if (errno != ENOENT || n >= sizeof(folder))
		return false;
	memcpy(folder, path, n + 1);
	char *slash = strrchr(folder, '/');
	if (!slash)
		return !access(".", W_OK);
	slash[slash == folder] = 0; /* the root keeps its slash */
	return !access(folder, W_OK);
}

void os_remove(const char *path)
{
	unlink(path);
}

static bool unix_address(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(a->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(a->sun_path, path, strlen(path));
	return true;
}

int os_unix_connect(const char *path)
{
	struct sockaddr_un a;

	if (!unix_address(&a, path))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a))) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int os_unix_listen(const char *path)
{
	struct sockaddr_un a;
	struct stat st;

	if (!unix_address(&a, path))
		return -1;
	/* A socket left by an earlier run is in the way; anything else at that path is somebody's file. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && (bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 1))) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

int os_accept(int fd)
{
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

int os_pty(char *name, size_t len)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	if (fd < 0)
		return -1;
	if (grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, len)) {
		close(fd);
		return -1;
	}
	/* The line discipline is the guest's business. */
	if (!tcgetattr(fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	return fd;
}

size_t os_read_ready(int fd, void *buf, size_t n, bool *eof)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	*eof = false;
	if (poll(&p, 1, 0) <= 0)
		return 0;
	ssize_t got = read(fd, buf, n);
	/* A pty whose other side is closed gives EIO; somebody may open it again. */
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR && errno != EIO))
		*eof = true;
	return got > 0 ? (size_t)got : 0;
}

bool os_write_all(int fd, const void *buf, size_t n)
{
	const u8 *p = buf;

	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EAGAIN) {
			struct pollfd w = {.fd = fd, .events = POLLOUT};
			(void)poll(&w, 1, 1000);
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENOSPC;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

bool os_write_at(int fd, u64 offset, const void *buf, size_t n)
{
	const u8 *p = buf;

	while (n) {
		ssize_t done = pwrite(fd, p, n, (off_t)offset);
		if (done <= 0)
			return false;
		p += done;
		offset += (u64)done;
		n -= (size_t)done;
	}
	return true;
}

bool os_readable_source(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	return !(S_ISCHR(st.st_mode) && major(st.st_rdev) == 1 && minor(st.st_rdev) == 3); /* /dev/null */
}

void os_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
