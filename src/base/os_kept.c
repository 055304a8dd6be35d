/*
 * A file with one owner that is always whole: the next content is written beside it, brought to the disk, and takes its
 * place in one step. The lock is on the file itself, so that every content is locked before it has the name; who opened the
 * one before it finds that out by looking whether the name still means what was locked.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT ".turnstile-next"

char *os_kept_next(const char *path)
{
	char *next = base_alloc(strlen(path) + sizeof(NEXT));

	if (next)
		snprintf(next, strlen(path) + sizeof(NEXT), "%s%s", path, NEXT);
	return next;
}

/* The folder of path; to be freed. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
	char *folder = base_alloc(n + 1);

	if (folder)
		memcpy(folder, slash ? path : ".", n);
	return folder;
}

/* ---- opening ---- */

static bool still_named(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* -1 with errno; EWOULDBLOCK: somebody else has it. */
static int open_locked(const char *path, int flags)
{
	for (;;) {
		int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);
		if (fd < 0)
			return -1;
		if (!os_lock_file(fd, true)) {
			close(fd);
			errno = EWOULDBLOCK;
			return -1;
		}
		if (still_named(fd, path))
			return fd;
		close(fd); /* its owner replaced it meanwhile */
	}
}

static bool replaceable(const char *path)
{
	char *folder = folder_of(path);
	bool ok = folder && !access(folder, W_OK | X_OK);
	int e = folder ? errno : ENOMEM;

	base_free(folder);
	errno = e;
	return ok;
}

static enum status lock(struct os_kept *k, const char *name, struct err *err)
{
	struct stat st;

	if (!k->path || !k->next)
		return err_set(err, ST_NOMEM, "out of memory");
	k->fd = open_locked(k->path, O_RDWR);
	if (k->fd < 0 && errno == EWOULDBLOCK)
		return err_set(err, ST_ARG, "%s: another machine has it", name);
	if (k->fd < 0 && errno == EISDIR)
		return err_set(err, ST_ARG, "%s: is a folder, not a file", name);
	if (k->fd < 0 && (errno != ENOENT || !lstat(k->path, &st)))
		return err_set(err, ST_ARG, "%s: %s", name, strerror(errno));
	if (k->fd >= 0 && (fstat(k->fd, &st) || !S_ISREG(st.st_mode)))
		return err_set(err, ST_ARG, "%s: not a plain file", name);
	if (!replaceable(k->path))
		return err_set(err, ST_ARG, "%s: its folder: %s", name, strerror(errno));
	return ST_OK;
}

enum status os_kept_open(struct os_kept *k, const char *name, const char *path, struct err *err)
{
	char *real = realpath(path, NULL);

	*k = (struct os_kept){.fd = -1};
	k->path = base_alloc(strlen(real ? real : path) + 1);
	if (k->path)
		memcpy(k->path, real ? real : path, strlen(real ? real : path));
	k->next = os_kept_next(real ? real : path);
	free(real);
	enum status s = lock(k, name, err);
	if (s != ST_OK)
		os_kept_close(k);
	return s;
}

enum status os_kept_read(struct os_kept *k, const char *name, u64 most, u8 **data, u64 *size, struct err *err)
{
	struct stat st;
	u64 got = 0;

	*data = NULL;
	*size = 0;
	if (k->fd < 0)
		return ST_OK;
	if (fstat(k->fd, &st))
		return err_set(err, ST_ARG, "%s: %s", name, strerror(errno));
	if ((u64)st.st_size > most)
		return err_set(err, ST_ARG, "%s: %llu bytes are too many", name, (unsigned long long)st.st_size);
	*data = base_alloc((size_t)st.st_size);
	if (!*data)
		return err_set(err, ST_NOMEM, "out of memory");
	while (got < (u64)st.st_size) {
		ssize_t n = pread(k->fd, *data + got, (size_t)st.st_size - got, (off_t)got);
		if (n > 0)
			got += (u64)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	*size = got;
	if (got == (u64)st.st_size)
		return ST_OK;
	base_free(*data);
	*data = NULL;
	return err_set(err, ST_ARG, "%s: %s", name, strerror(errno));
}

/* ---- replacing ---- */

/* The file beside it, empty, locked. What a killed machine left there is in nobody's use. */
static int begin(const struct os_kept *k)
{
	struct stat st;
	int fd = open_locked(k->next, O_WRONLY | O_CREAT | O_NOFOLLOW);

	if (fd < 0)
		return -1;
	/* Whoever could read and write the file still can. */
	bool ok = !ftruncate(fd, 0);
	if (ok && k->fd >= 0 && !fstat(k->fd, &st)) {
		ok = !fchmod(fd, st.st_mode & 07777);
		if (fchown(fd, st.st_uid, st.st_gid))
			errno = 0; /* not everybody may give files away */
	}
	if (ok)
		return fd;
	close(fd);
	return -1;
}

/* The first content does not take the place of a file that came meanwhile. */
static bool rename_next(const struct os_kept *k)
{
	if (k->fd >= 0)
		return !rename(k->next, k->path);
	if (!renameat2(AT_FDCWD, k->next, AT_FDCWD, k->path, RENAME_NOREPLACE))
		return true;
	return errno == EINVAL && access(k->path, F_OK) && !rename(k->next, k->path);
}

static bool sync_folder(const char *path)
{
	char *folder = folder_of(path);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	/* A file system that cannot do it says EINVAL. */
	bool ok = fd >= 0 && (!fsync(fd) || errno == EINVAL);
	int e = errno;

	os_close(fd);
	base_free(folder);
	errno = e;
	return ok;
}

bool os_kept_write(struct os_kept *k, const void *data, size_t size)
{
	int fd = begin(k);

	if (fd < 0)
		return false;
	if (!os_write_all(fd, data, size) || fsync(fd) || !rename_next(k)) {
		int e = errno;
		unlink(k->next);
		close(fd);
		errno = e;
		return false;
	}
	os_close(k->fd);
	k->fd = fd;
	return sync_folder(k->path);
}

void os_kept_close(struct os_kept *k)
{
	os_close(k->fd);
	base_free(k->path);
	base_free(k->next);
	*k = (struct os_kept){.fd = -1};
}
