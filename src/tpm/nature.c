/*
 * Time and chance. The library finds here what the C library and OpenSSL would answer it: these definitions stand in front
 * of theirs for every shared library of the process, so that a TPM's life is a function of the seed, the time and the
 * commands that its machine gives it.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* there is no other way to give every user of RAND_bytes() one source */
#include "tpm/tpm.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BEGIN = 1 }; /* seconds: a clock at 0 counts as one that was never set */

static struct {
	u64 now; /* ns */
	u64 seed, block;
	u8 pool[SHA256_DIGEST_LENGTH];
	unsigned left; /* bytes of the pool */
} nature;

/* ---- time ---- */

void nature_clock(u64 ns)
{
	nature.now = ns;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	t->tv_sec = (time_t)(nature.now / 1000000000 + BEGIN);
	t->tv_nsec = (long)(nature.now % 1000000000);
	return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	(void)zone;
	t->tv_sec = (time_t)(nature.now / 1000000000 + BEGIN);
	t->tv_usec = (suseconds_t)(nature.now / 1000 % 1000000);
	return 0;
}

time_t time(time_t *t)
{
	time_t now = (time_t)(nature.now / 1000000000 + BEGIN);

	if (t)
		*t = now;
	return now;
}

clock_t clock(void)
{
	return (clock_t)(nature.now / (1000000000 / CLOCKS_PER_SEC));
}

/* ---- chance ---- */

/* libtpms stirs it into what it calls entropy. */
pid_t getpid(void)
{
	return 1;
}

/* Block n is the SHA-256 of the seed and n. */
static int draw(unsigned char *to, int size)
{
	u64 input[2];

	for (int i = 0; i < size; i++) {
		if (!nature.left) {
			input[0] = nature.seed;
			input[1] = nature.block++;
			SHA256((const unsigned char *)input, sizeof(input), nature.pool);
			nature.left = sizeof(nature.pool);
		}
		to[i] = nature.pool[sizeof(nature.pool) - nature.left--];
	}
	return 1;
}

/* What is stirred in from elsewhere changes nothing. */
static int stir(const void *from, int size, double entropy)
{
	(void)from;
	(void)size;
	(void)entropy;
	return 1;
}

static int enough(void)
{
	return 1;
}

bool nature_seed(u64 seed)
{
	static const RAND_METHOD method = {.bytes = draw, .pseudorand = draw, .add = stir, .status = enough};
	u8 one[4], other[4];

	nature.seed = seed;
	/* Nor does what this computer configures for OpenSSL matter. */
	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) || !RAND_set_rand_method(&method))
		return false;
	/* Does everybody who asks come here? */
	if (RAND_bytes(one, sizeof(one)) != 1 || RAND_priv_bytes(other, sizeof(other)) != 1 ||
	    nature.left != sizeof(nature.pool) - 8)
		return false;
	nature.block = nature.left = 0;
	return true;
}
