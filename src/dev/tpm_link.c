#include "dev/tpm_link.h"

#include "tpm_places.h"

#include <errno.h>
#include <stdio.h>

#define HELPER "turnstile-tpm"
/* Real time, in ms: to find out that nobody answers, not to hurry anybody. A key may take minutes on a slow computer. */
enum { HELLO_MS = 5000, CALL_MS = 120000, COMMAND_MS = 900000 };

/* ---- talking ---- */

static bool broke(struct tpm_link *l, const char *what)
{
	char how[80] = "closed the connection";
	int e = errno;

	if (l->broken[0])
		return false;
	os_close(l->control);
	os_close(l->data);
	l->control = l->data = -1;
	if (l->helper.pid)
		os_end_process(&l->helper, how, sizeof(how));
	snprintf(l->broken, sizeof(l->broken), "%s", what ? what : e == ETIMEDOUT ? "does not answer" : how);
	return false;
}

static bool receive(struct tpm_link *l, int fd, void *buf, size_t n, int timeout_ms)
{
	return !n || os_receive(fd, buf, n, n, timeout_ms) || broke(l, NULL);
}

/* What goes out goes as one message: swtpm reads whole ones. */
static bool request(struct tpm_link *l, u32 code, const void *body, size_t n, int pass)
{
	u8 message[4 + 16 + WIRE_CHUNK];

	if (l->broken[0])
		return false;
	wire_put32(message, code);
	if (n)
		memcpy(message + 4, body, n);
	return os_send(l->control, message, 4 + n, pass) || broke(l, NULL);
}

static bool call(struct tpm_link *l, u32 code, const void *body, size_t n, int pass, u32 *result)
{
	u8 word[4];

	if (!request(l, code, body, n, pass) || !receive(l, l->control, word, sizeof(word), CALL_MS))
		return false;
	*result = wire_get32(word);
	return true;
}

bool tpm_link_call(struct tpm_link *l, enum wire_command code, const void *body, size_t n, u32 *result, void *answer,
                   size_t want)
{
	return call(l, code, body, n, -1, result) && receive(l, l->control, answer, want, CALL_MS);
}

bool tpm_link_call32(struct tpm_link *l, enum wire_command code, u32 v, u32 *result)
{
	u8 body[4];

	wire_put32(body, v);
	return tpm_link_call(l, code, body, sizeof(body), result, NULL, 0);
}

u32 tpm_link_command(struct tpm_link *l, const u8 *command, u32 size, u8 answer[TPM_BUFFER])
{
	if (l->broken[0])
		return 0;
	if (!os_send(l->data, command, size, -1)) {
		broke(l, NULL);
		return 0;
	}
	if (!receive(l, l->data, answer, TPM_HEADER, COMMAND_MS))
		return 0;
	u32 n = wire_get32(answer + 2);
	if (n < TPM_HEADER || n > TPM_BUFFER) {
		broke(l, "gave an answer of an impossible size");
		return 0;
	}
	return receive(l, l->data, answer + TPM_HEADER, n - TPM_HEADER, COMMAND_MS) ? n : 0;
}

void tpm_link_get_state(struct tpm_link *l, unsigned type, u8 **state, u32 *size)
{
	u8 body[12] = {0}, head[12];
	u32 result;

	*state = NULL;
	*size = 0;
	wire_put32(body + 4, type);
	if (!tpm_link_call(l, WIRE_GET_STATE, body, sizeof(body), &result, head, sizeof(head)) || result != WIRE_OK)
		return;
	u32 n = wire_get32(head + 8);
	if (n > WIRE_STATE_MAX) {
		broke(l, "gave a state of an impossible size");
		return;
	}
	*state = base_alloc(n);
	if (!*state)
		broke(l, "gave a state that there is no memory for");
	else if (receive(l, l->control, *state, n, CALL_MS))
		*size = n;
	if (!l->broken[0])
		return;
	base_free(*state);
	*state = NULL;
}

bool tpm_link_set_state(struct tpm_link *l, const u8 *state, u32 size, u32 *result)
{
	u8 head[12] = {0}, word[4];

	wire_put32(head + 4, WIRE_PERMANENT);
	wire_put32(head + 8, size);
	if (!request(l, WIRE_SET_STATE, head, sizeof(head), -1))
		return false;
	if (!os_send(l->control, state, size, -1))
		return broke(l, NULL);
	if (!receive(l, l->control, word, sizeof(word), CALL_MS))
		return false;
	*result = wire_get32(word);
	return true;
}

/* ---- who is there ---- */

static bool get_caps(struct tpm_link *l, int timeout_ms)
{
	u8 caps[8];

	if (!request(l, WIRE_GET_CAPABILITY, NULL, 0, -1) || !receive(l, l->control, caps, sizeof(caps), timeout_ms))
		return false;
	l->caps = wire_get64(caps);
	return true;
}

static bool hand_over(struct tpm_link *l)
{
	int fd[2];
	u32 result;

	if (!os_socket_pair(fd))
		return broke(l, strerror(errno));
	l->data = fd[0];
	bool ok = call(l, WIRE_SET_DATAFD, NULL, 0, fd[1], &result);
	os_close(fd[1]);
	return ok && (result == WIRE_OK || broke(l, "takes no data socket"));
}

/* A TPM 1.2 talks the same on these sockets. */
static bool is_tpm2(struct tpm_link *l)
{
	u8 body[16] = {0}, head[8];
	char text[512];
	u32 result;

	if (!(l->caps & WIRE_CAP_GET_INFO))
		return true;
	wire_put64(body, WIRE_INFO_SPECIFICATION);
	if (!tpm_link_call(l, WIRE_GET_INFO, body, sizeof(body), &result, head, sizeof(head)))
		return false;
	u32 n = wire_get32(head + 4);
	if (n >= sizeof(text))
		return broke(l, "describes itself at an impossible length");
	if (!receive(l, l->control, text, n, CALL_MS))
		return false;
	text[n] = 0;
	return result != WIRE_OK || !strstr(text, "\"family\":\"1.2\"") || broke(l, "is a TPM 1.2: start it with --tpm2");
}

static bool greet(struct tpm_link *l)
{
	const u64 need = WIRE_CAP_INIT | WIRE_CAP_GET_ESTABLISHED | WIRE_CAP_SET_LOCALITY | WIRE_CAP_HASHING |
	                 WIRE_CAP_RESET_ESTABLISHED | WIRE_CAP_STOP | WIRE_CAP_SET_DATAFD;
	u8 sizes[12];
	u32 result, body = __builtin_bswap32(TPM_BUFFER);

	if (!get_caps(l, HELLO_MS))
		return false;
	if ((l->caps & need) != need)
		return broke(l, "lacks words that are needed");
	/* Its power may be on since another machine had it; the size of its buffer changes without. */
	if (!tpm_link_call(l, WIRE_STOP, NULL, 0, &result, NULL, 0))
		return false;
	if ((l->caps & WIRE_CAP_SET_BUFFERSIZE) &&
	    !tpm_link_call(l, WIRE_SET_BUFFERSIZE, &body, sizeof(body), &result, sizes, sizeof(sizes)))
		return false;
	return is_tpm2(l) && hand_over(l);
}

/* ---- opening ---- */

static bool find_helper(const struct tpm_config *cfg, char *path, size_t n)
{
	static const char *const beside[] = {"/" HELPER, "/../libexec/" HELPER}; /* as built; as installed, and moved */
	char folder[4096];

	if (cfg->helper) {
		snprintf(path, n, "%s", cfg->helper);
		return os_may_execute(path);
	}
	for (size_t i = 0; i < ARRAY_LEN(beside) && os_program_folder(folder, sizeof(folder)); i++)
		if ((size_t)snprintf(path, n, "%s%s", folder, beside[i]) < n && os_may_execute(path))
			return true;
	snprintf(path, n, "%s/" HELPER, TPM_LIBEXECDIR);
	return os_may_execute(path);
}

static enum status start_helper(struct tpm_link *l, const struct tpm_config *cfg, struct err *err)
{
	char path[4096], seed[32];
	int fd[2];

	if (!find_helper(cfg, path, sizeof(path)))
		return err_set(err, ST_ARG,
		               "%s: " HELPER " is neither beside this program nor in " TPM_LIBEXECDIR
		               "; it is built where the packages libtpms-dev and libssl-dev are installed",
		               cfg->option);
	if (!os_socket_pair(fd))
		return err_set(err, ST_IO, "%s: %s", cfg->option, strerror(errno));
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)cfg->seed);
	l->control = fd[0];
	bool started = os_spawn(&l->helper, path, seed, fd[1]);
	os_close(fd[1]);
	if (!started)
		return err_set(err, ST_IO, "%s: %s: %s", cfg->option, path, strerror(errno));
	if (!greet(l) || !(l->caps & WIRE_CAP_OWN))
		return err_set(err, ST_IO, "%s: %s %s", cfg->option, path, *l->broken ? l->broken : "is another program");
	return ST_OK;
}

static enum status connect_socket(struct tpm_link *l, const struct tpm_config *cfg, struct err *err)
{
	l->control = os_unix_connect(cfg->socket);
	if (l->control < 0)
		return err_set(err, ST_ARG, "%s socket=%s: %s; start one: swtpm socket --tpm2 --ctrl type=unixio,path=%s",
		               cfg->option, cfg->socket, strerror(errno), cfg->socket);
	if (greet(l))
		return ST_OK;
	return err_set(err, ST_ARG, "%s socket=%s: the swtpm there %s", cfg->option, cfg->socket,
	               strcmp(l->broken, "does not answer") ? l->broken
	                                                    : "does not answer; does another machine use it?");
}

enum status tpm_link_open(struct tpm_link *l, const struct tpm_config *cfg, struct err *err)
{
	*l = (struct tpm_link){.control = -1, .data = -1};
	return cfg->socket ? connect_socket(l, cfg, err) : start_helper(l, cfg, err);
}

void tpm_link_close(struct tpm_link *l)
{
	char how[80];
	u32 result;

	if (!l->broken[0] && l->control >= 0)
		tpm_link_call(l, l->helper.pid ? WIRE_SHUTDOWN : WIRE_STOP, NULL, 0, &result, NULL, 0);
	os_close(l->control);
	os_close(l->data);
	if (l->helper.pid)
		os_end_process(&l->helper, how, sizeof(how));
	l->control = l->data = -1;
}
