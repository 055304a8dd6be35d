/*
 * tpm_kill [--trials N] [--seed S]: a machine's TPM with a state file is killed at a random moment, as by kill -9: the
 * whole machine, or turnstile-tpm alone. The TPM that starts from the file has everything that was acknowledged: the last
 * NV write, the counter, the persistent keys; of what was under way it may have all or nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/tpm_fixture.h"
#include "trials.h"

enum { INDEX = 0x01500000, COUNTER = 0x01500001, KEYS = 4, MOMENTS_US = 100000 };
#define KEY(n) (0x81000000u + (n))

enum op { WRITE, COUNT, KEEP, DROP };

/* What the machine says to the test, before an operation and behind it. */
struct word {
	bool done;
	u8 op, key;
};

/* What a TPM has to have. */
struct kept {
	u64 written, counted;
	u8 keys; /* a bit for each */
};

static unsigned checks;

static bool power_on(struct tpm_test *x, const char *file, const char *helper, struct err *err)
{
	const struct tpm_config c = {.option = "--tpm", .state = file, .helper = helper, .seed = 1};

	*x = (struct tpm_test){0};
	return tpm_open(&x->t, &c, err) == ST_OK && tpm_start(x->t, err) == ST_OK && tpm2_startup(x) == TPM_RC_SUCCESS;
}

static void apply(struct kept *k, const struct word *w)
{
	switch (w->op) {
	case WRITE: k->written++; break;
	case COUNT: k->counted++; break;
	case KEEP: k->keys |= (u8)(1u << w->key); break;
	case DROP: k->keys &= (u8)~(1u << w->key); break;
	}
}

/* ---- the machine ---- */

static u32 execute(struct tpm_test *x, const struct word *w, const struct kept *k, u32 object)
{
	u8 value[8];

	switch (w->op) {
	case WRITE:
		wire_put64(value, k->written + 1);
		return tpm2_nv_write(x, INDEX, value, 8);
	case COUNT: return tpm2_nv_increment(x, COUNTER);
	case KEEP: return tpm2_evict_control(x, object, KEY(w->key));
	default: return tpm2_evict_control(x, KEY(w->key), KEY(w->key));
	}
}

static void tell(int fd, const struct word *w)
{
	if (write(fd, w, sizeof(*w)) != sizeof(*w))
		_exit(1);
}

/* Works until it is killed, or its TPM is. */
static _Noreturn void machine(const char *file, const char *helper, struct kept k, int fd)
{
	struct tpm_test x;
	struct err err;
	u8 point[64];
	u32 object;

	if (!power_on(&x, file, helper, &err) || tpm2_create_primary(&x, TPM2_RH_OWNER, &object, point))
		_exit(0);
	for (;;) {
		struct word w = {.op = (u8)draw(3), .key = (u8)draw(KEYS)};
		if (w.op == KEEP && k.keys & 1u << w.key)
			w.op = DROP;
		tell(fd, &w);
		if (execute(&x, &w, &k, object) != TPM_RC_SUCCESS)
			_exit(0);
		w.done = true;
		tell(fd, &w);
		apply(&k, &w);
	}
}

/* ---- the test ---- */

static struct kept read_back(struct tpm_test *x, unsigned trial)
{
	struct kept k = {0};

	if (tpm2_nv_read(x, INDEX, 8) != TPM_RC_SUCCESS)
		bad("the index is gone", trial);
	k.written = wire_get64(x->a + 16);
	if (tpm2_nv_read(x, COUNTER, 8) != TPM_RC_SUCCESS)
		bad("the counter is gone", trial);
	k.counted = wire_get64(x->a + 16);
	for (unsigned n = 0; n < KEYS; n++)
		if (tpm2_read_public(x, KEY(n)) == TPM_RC_SUCCESS)
			k.keys |= (u8)(1u << n);
	return k;
}

static bool same(const struct kept *a, const struct kept *b)
{
	return a->written == b->written && a->counted == b->counted && a->keys == b->keys;
}

static void make(const char *file, const char *helper, struct kept *k)
{
	struct tpm_test x;
	struct err err = {""};
	u8 value[8] = {0};

	if (!power_on(&x, file, helper, &err))
		bad(err.text, 0);
	if (tpm2_nv_define(&x, INDEX, 0, 8) || tpm2_nv_write(&x, INDEX, value, 8) || tpm2_nv_define(&x, COUNTER, 1, 8) ||
	    tpm2_nv_increment(&x, COUNTER))
		bad("no index", 0);
	*k = read_back(&x, 0);
	tpm_close(x.t);
}

/* One life, from the start of a machine to the next one's look at what is left. The operations that were acknowledged. */
static unsigned trial(const char *file, const char *helper, struct kept *k, unsigned n)
{
	struct kept maybe;
	struct tpm_test x;
	struct err err = {""};
	struct word w;
	unsigned done = 0;
	int fd[2];

	if (pipe(fd))
		bad("no pipe", n);
	u64 moment = draw(MOMENTS_US), alone = !draw(4);
	random_state += n; /* the machine draws others */
	pid_t pid = fork();
	if (!pid)
		machine(file, helper, *k, fd[1]);
	close(fd[1]);
	usleep((useconds_t)moment);
	pid_t engine = alone ? tpm_test_child(pid) : 0;
	kill(engine ? engine : pid, SIGKILL);
	for (maybe = *k; read(fd[0], &w, sizeof(w)) == sizeof(w);) {
		maybe = *k;
		apply(&maybe, &w);
		if (w.done) {
			*k = maybe;
			done++;
		}
	}
	close(fd[0]);
	waitpid(pid, NULL, 0);
	if (!power_on(&x, file, helper, &err))
		bad(err.text, n);
	struct kept now = read_back(&x, n);
	tpm_close(x.t);
	if (!same(&now, k) && !same(&now, &maybe))
		bad("what was acknowledged is lost", n);
	*k = now;
	checks++;
	return done;
}

int main(int argc, char **argv)
{
	char helper[4096], folder[] = "/tmp/tpm-kill-XXXXXX", file[64];
	unsigned trials = trials_asked(argc, argv), acknowledged = 0;
	struct kept k;

	if (!tpm_test_helper(helper, sizeof(helper))) {
		printf("skipped: killed TPMs: turnstile-tpm was not built: libtpms-dev and libssl-dev are not installed\n");
		return 77;
	}
	if (!mkdtemp(folder))
		return 1;
	snprintf(file, sizeof(file), "%s/state", folder);
	make(file, helper, &k);
	for (unsigned n = 1; n <= trials; n++)
		acknowledged += trial(file, helper, &k, n);
	unlink(file);
	if (rmdir(folder))
		bad("something is left beside the file", trials);
	printf("%u trials, %u operations acknowledged, none lost\nchecks: %u\n", trials, acknowledged, checks);
	if (!acknowledged)
		bad("nothing was acknowledged", trials);
	return 0;
}
