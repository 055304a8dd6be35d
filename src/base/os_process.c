/* Programs that work for this one, and what goes to and from them. */
#include "base/os.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

bool os_program_folder(char *buf, size_t n)
{
	ssize_t got = n ? readlink("/proc/self/exe", buf, n - 1) : -1;

	if (got <= 0)
		return false;
	buf[got] = 0;
	char *slash = strrchr(buf, '/');
	if (!slash)
		return false;
	*slash = 0;
	return true;
}

bool os_may_execute(const char *path)
{
	return !access(path, X_OK);
}

static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr, int input)
{
	sigset_t none, all;
	int e = posix_spawn_file_actions_adddup2(files, input, STDIN_FILENO);

	if (!e) /* what the program that we are part of leaves open, too */
		e = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	sigemptyset(&none);
	sigfillset(&all);
	if (!e)
		e = posix_spawnattr_setsigmask(attr, &none);
	if (!e)
		e = posix_spawnattr_setsigdefault(attr, &all);
	if (!e)
		e = posix_spawnattr_setpgroup(attr, 0);
	return e ? e : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

bool os_spawn(struct os_process *p, const char *path, const char *argument, int input)
{
	char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)argument, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	pid_t pid = 0;

	*p = (struct os_process){.handle = -1};
	errno = posix_spawn_file_actions_init(&files);
	if (errno)
		return false;
	int e = posix_spawnattr_init(&attr);
	if (!e) {
		e = prepare(&files, &attr, input);
		if (!e)
			e = posix_spawn(&pid, path, &files, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&files);
	errno = e;
	if (e)
		return false;
	*p = (struct os_process){.pid = pid, .handle = pidfd_open(pid, 0)};
	return true;
}

void os_end_process(struct os_process *p, char *how, size_t n)
{
	int status = 0;

	snprintf(how, n, "ended");
	if (p->pid <= 0)
		return;
	/* Whose sockets are closed is about to end; this is for one that does not look at them. Is the process gone already,
	 * its status stays as it was. */
	if (p->handle >= 0)
		pidfd_send_signal(p->handle, SIGKILL, NULL, 0);
	else
		kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &status, 0) < 0)
		if (errno != EINTR)
			status = -1; /* the program that we are part of has waited for it */
	if (status >= 0 && WIFSIGNALED(status))
		snprintf(how, n, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (status >= 0 && WIFEXITED(status))
		snprintf(how, n, "ended with status %d", WEXITSTATUS(status));
	os_close(p->handle);
	*p = (struct os_process){.handle = -1};
}

/* ---- sockets ---- */

bool os_socket_pair(int fd[2])
{
	return !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd);
}

static ssize_t send_once(int fd, const void *buf, size_t n, int pass)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct iovec v = {.iov_base = (void *)(uintptr_t)buf, .iov_len = n};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (pass >= 0) {
		m.msg_control = &c;
		m.msg_controllen = sizeof(c);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &pass, sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

bool os_send(int fd, const void *buf, size_t n, int pass)
{
	const u8 *p = buf;

	while (n) {
		ssize_t done = send_once(fd, p, n, pass);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
		pass = -1;
	}
	return true;
}

size_t os_receive(int fd, void *buf, size_t least, size_t n, int timeout_ms)
{
	u64 end = os_real_ns() + (u64)timeout_ms * 1000000;
	size_t got = 0;

	do {
		u64 now = os_real_ns();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int ready = now < end ? poll(&p, 1, (int)((end - now) / 1000000 + 1)) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (!ready)
			errno = ETIMEDOUT;
		if (ready <= 0)
			return 0;
		ssize_t k = read(fd, (u8 *)buf + got, n - got);
		if (k < 0 && errno == EINTR)
			continue;
		if (!k)
			errno = ECONNRESET;
		if (k <= 0)
			return 0;
		got += (size_t)k;
	} while (got < least);
	return got;
}
