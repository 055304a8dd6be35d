/* Sockets that somebody from outside comes to: listening by TCP, and talking without ever waiting for long. */
#include "base/os.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_at(const struct addrinfo *a)
{
	const int one = 1;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, 1))
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

static u16 port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char service[16];

	if (getsockname(fd, (struct sockaddr *)&a, &n) ||
	    getnameinfo((struct sockaddr *)&a, n, NULL, 0, service, sizeof(service), NI_NUMERICSERV))
		return 0;
	unsigned port = 0;
	sscanf(service, "%u", &port);
	return (u16)port;
}

int os_tcp_listen(const char *host, u16 *port, const char **why)
{
	const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
	char service[8];
	int fd = -1;

	snprintf(service, sizeof(service), "%u", *port);
	int bad = getaddrinfo(host, service, &want, &list);
	*why = bad ? gai_strerror(bad) : NULL;
	for (const struct addrinfo *a = list; !bad && a && fd < 0; a = a->ai_next)
		fd = listen_at(a);
	int e = errno;
	if (!bad)
		freeaddrinfo(list);
	if (fd >= 0)
		*port = port_of(fd);
	errno = e;
	return fd;
}

bool os_socket_write(int fd, const void *buf, size_t n, int patience_ms)
{
	const u8 *p = buf;

	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
			struct pollfd w = {.fd = fd, .events = POLLOUT};
			if (poll(&w, 1, patience_ms) == 0)
				return false;
			continue;
		}
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}
