/*
 * turnstile-tpm SEED: standard input is the control socket. Ends when the machine closes it, says so, or dies; ends with
 * status 1 where the machine says what cannot be.
 */
#include "tpm/tpm.h"
#include "dev/tpm.h"
#include "dev/tpm_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL = STDIN_FILENO, RESULT = 4 };

struct server {
	int data;       /* the data socket; -1: none yet */
	int passed;     /* a descriptor that came with the command at hand; -1: none */
	bool repeatable, end;
	u8 body[16];    /* of the control command at hand */
	u8 command[TPM_BUFFER];
};

/* ---- sockets ---- */

static _Noreturn void leave(int status)
{
	_exit(status);
}

/* All of it, or the machine is gone. A descriptor that comes along is kept. */
static void take(struct server *s, int fd, void *to, size_t size)
{
	u8 *p = to;

	while (size) {
		union {
			struct cmsghdr head;
			u8 room[CMSG_SPACE(sizeof(int))];
		} c;
		struct iovec v = {.iov_base = p, .iov_len = size};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
		ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			leave(0);
		const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			if (s->passed >= 0)
				close(s->passed);
			memcpy(&s->passed, CMSG_DATA(h), sizeof(int));
		}
		p += n;
		size -= (size_t)n;
	}
}

static void give(int fd, const void *from, size_t size)
{
	const u8 *p = from;

	while (size) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			leave(0);
		p += n;
		size -= (size_t)n;
	}
}

static void give_result(u32 result)
{
	u8 out[RESULT];

	wire_put32(out, result);
	give(CONTROL, out, sizeof(out));
}

/* ---- commands of the control socket ---- */

struct command {
	u32 code;
	u32 body;   /* bytes behind the code */
	bool power; /* wants a TPM with power on */
	void (*run)(struct server *s);
};

static void get_capability(struct server *s)
{
	u8 out[8];

	wire_put64(out, WIRE_CAP_INIT | WIRE_CAP_SHUTDOWN | WIRE_CAP_GET_ESTABLISHED | WIRE_CAP_SET_LOCALITY |
	                        WIRE_CAP_HASHING | WIRE_CAP_CANCEL | WIRE_CAP_RESET_ESTABLISHED | WIRE_CAP_GET_STATE |
	                        WIRE_CAP_SET_STATE | WIRE_CAP_STOP | WIRE_CAP_GET_CONFIG | WIRE_CAP_SET_DATAFD |
	                        WIRE_CAP_SET_BUFFERSIZE | WIRE_CAP_GET_INFO | WIRE_CAP_OWN |
	                        (s->repeatable ? WIRE_CAP_REPEATABLE : 0));
	give(CONTROL, out, sizeof(out));
}

static void init(struct server *s)
{
	(void)s;
	give_result(library_init());
}

static void stop(struct server *s)
{
	(void)s;
	library_stop();
	give_result(WIRE_OK);
}

static void shut_down(struct server *s)
{
	library_stop();
	give_result(WIRE_OK);
	s->end = true;
}

static void get_established(struct server *s)
{
	bool established;
	u8 out[RESULT + 4] = {0};

	(void)s;
	wire_put32(out, library_established(&established));
	out[RESULT] = established;
	give(CONTROL, out, sizeof(out));
}

static void reset_established(struct server *s)
{
	give_result(library_reset_established(s->body[0]));
}

static void set_locality(struct server *s)
{
	give_result(library_locality(s->body[0]));
}

static void hash_start(struct server *s)
{
	(void)s;
	give_result(library_hash_start());
}

static void hash_data(struct server *s)
{
	u8 piece[WIRE_CHUNK];
	u32 result = WIRE_OK;

	for (u32 left = wire_get32(s->body), n; left; left -= n) {
		n = (u32)min_u64(left, sizeof(piece));
		take(s, CONTROL, piece, n);
		if (result == WIRE_OK)
			result = library_running() ? library_hash_data(piece, n) : WIRE_BAD_ORDINAL;
	}
	give_result(result);
}

static void hash_end(struct server *s)
{
	(void)s;
	give_result(library_hash_end());
}

/* Commands are executed one after the other: there is none at work when this is read. */
static void cancel(struct server *s)
{
	(void)s;
	give_result(WIRE_OK);
}

static void get_state(struct server *s)
{
	enum { HEAD = RESULT + 12 };
	u8 *data, head[HEAD] = {0};
	u32 size, from = wire_get32(s->body + 8);
	u32 result = library_get_state(wire_get32(s->body + 4), &data, &size);

	from = (u32)min_u64(from, size);
	wire_put32(head, result);
	wire_put32(head + RESULT + 4, size);
	wire_put32(head + RESULT + 8, size - from);
	give(CONTROL, head, sizeof(head));
	if (result == WIRE_OK)
		give(CONTROL, data + from, size - from);
	free(data);
}

static void set_state(struct server *s)
{
	u32 type = wire_get32(s->body + 4), size = wire_get32(s->body + 8);
	u8 *data = size <= WIRE_STATE_MAX ? malloc(size ? size : 1) : NULL;

	if (!data)
		leave(1);
	take(s, CONTROL, data, size);
	give_result(type != WIRE_PERMANENT || library_running() ? WIRE_FAIL : library_set_permanent(data, size));
	free(data);
}

static void get_config(struct server *s)
{
	u8 out[RESULT + 4] = {0};

	(void)s;
	give(CONTROL, out, sizeof(out));
}

static void set_datafd(struct server *s)
{
	if (s->passed >= 0) {
		if (s->data >= 0)
			close(s->data);
		s->data = s->passed;
	}
	give_result(s->passed >= 0 ? WIRE_OK : WIRE_FAIL);
	s->passed = -1;
}

static void set_buffersize(struct server *s)
{
	u32 wanted = library_running() ? 0 : wire_get32(s->body), least = 0, most = 0;
	u8 out[RESULT + 12] = {0};

	wire_put32(out + RESULT, library_buffer(wanted, &least, &most));
	wire_put32(out + RESULT + 4, least);
	wire_put32(out + RESULT + 8, most);
	give(CONTROL, out, sizeof(out));
}

static void get_info(struct server *s)
{
	char *text = library_info((u32)wire_get64(s->body));
	u32 size = text ? (u32)strlen(text) + 1 : 0, from = (u32)min_u64(wire_get32(s->body + 8), size);
	u8 head[RESULT + 8];

	wire_put32(head, text ? WIRE_OK : WIRE_FAIL);
	wire_put32(head + RESULT, size);
	wire_put32(head + RESULT + 4, size - from);
	give(CONTROL, head, sizeof(head));
	if (text)
		give(CONTROL, text + from, size - from);
	free(text);
}

static void own_clock(struct server *s)
{
	nature_clock(wire_get64(s->body));
	give_result(WIRE_OK);
}

static void own_changed(struct server *s)
{
	u8 out[RESULT + 4] = {0};

	(void)s;
	wire_put32(out + RESULT, library_stores());
	give(CONTROL, out, sizeof(out));
}

static const struct command commands[] = {
        {WIRE_GET_CAPABILITY, 0, false, get_capability},
        {WIRE_INIT, 4, false, init},
        {WIRE_SHUTDOWN, 0, false, shut_down},
        {WIRE_GET_ESTABLISHED, 0, true, get_established},
        {WIRE_SET_LOCALITY, 4, false, set_locality},
        {WIRE_HASH_START, 0, true, hash_start},
        {WIRE_HASH_DATA, 4, false, hash_data}, /* what comes must be read in any case */
        {WIRE_HASH_END, 0, true, hash_end},
        {WIRE_CANCEL, 0, true, cancel},
        {WIRE_RESET_ESTABLISHED, 4, true, reset_established},
        {WIRE_GET_STATE, 12, false, get_state},
        {WIRE_SET_STATE, 12, false, set_state},
        {WIRE_STOP, 0, false, stop},
        {WIRE_GET_CONFIG, 0, false, get_config},
        {WIRE_SET_DATAFD, 0, false, set_datafd},
        {WIRE_SET_BUFFERSIZE, 4, false, set_buffersize},
        {WIRE_GET_INFO, 16, false, get_info},
        {WIRE_OWN_CLOCK, 8, false, own_clock},
        {WIRE_OWN_CHANGED, 0, false, own_changed},
};

static void serve_control(struct server *s)
{
	u8 code[4];

	take(s, CONTROL, code, sizeof(code));
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		if (c->code != wire_get32(code))
			continue;
		take(s, CONTROL, s->body, c->body);
		if (c->power && !library_running())
			give_result(WIRE_BAD_ORDINAL);
		else
			c->run(s);
		return;
	}
	give_result(WIRE_BAD_ORDINAL);
}

/* ---- the data socket ---- */

static void serve_data(struct server *s)
{
	u8 *answer, failure[TPM_HEADER] = {0x80, 0x01};
	u32 answer_size;

	take(s, s->data, s->command, TPM_HEADER);
	u32 size = wire_get32(s->command + 2);
	if (size < TPM_HEADER || size > sizeof(s->command))
		leave(1);
	take(s, s->data, s->command + TPM_HEADER, size - TPM_HEADER);
	if (library_running() && library_command(s->command, size, &answer, &answer_size) == WIRE_OK) {
		give(s->data, answer, answer_size);
		return;
	}
	wire_put32(failure + 2, TPM_HEADER);
	wire_put32(failure + 6, TPM_RC_FAILURE);
	give(s->data, failure, sizeof(failure));
}

/* ---- life ---- */

static pid_t parent; /* a signal handler takes no argument */

/* The machine's thread that started this program ended; or did the machine? */
static void orphaned(int signal)
{
	(void)signal;
	if (getppid() != parent)
		leave(0);
}

/* In the middle of a command nobody reads the sockets: a machine that is killed takes this process along. */
static void die_with_machine(void)
{
	struct sigaction a = {.sa_handler = orphaned};

	parent = getppid();
	sigaction(SIGUSR1, &a, NULL);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	orphaned(0); /* it may have died before */
}

/* What the library remarks on a state it does not take, the machine says in its own line. */
static void be_quiet(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
}

int main(int argc, char **argv)
{
	struct server s = {.data = -1, .passed = -1};
	int type;
	socklen_t size = sizeof(type);

	if (argc != 2 || getsockopt(CONTROL, SOL_SOCKET, SO_TYPE, &type, &size)) {
		fprintf(stderr, "turnstile-tpm: turnstile starts this program, for --tpm\n");
		return 2;
	}
	die_with_machine();
	s.repeatable = nature_seed(strtoull(argv[1], NULL, 0));
	if (!library_open()) {
		fprintf(stderr, "turnstile-tpm: libtpms has no TPM 2.0\n");
		return 1;
	}
	be_quiet();
	while (!s.end) {
		struct pollfd p[2] = {{.fd = CONTROL, .events = POLLIN}, {.fd = s.data, .events = POLLIN}};
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			serve_control(&s);
		else if (p[1].revents)
			serve_data(&s);
	}
	return 0;
}
