/*
 * The TPM's engine: what a machine sees of turnstile-tpm. Digests are those of sha256sum over the bytes that the comment
 * names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "dev/tpm_link.h"
#include "report.h"
#include "tpm_fixture.h"

static char helper[4096], lost_text[512];
static unsigned lost_count;

static void lost(void *arg, const char *text)
{
	(void)arg;
	lost_count++;
	snprintf(lost_text, sizeof(lost_text), "%s", text);
}

static void power_on(struct tpm_test *x, u64 seed)
{
	const struct tpm_config c = {.option = "--tpm", .helper = helper, .seed = seed, .lost = lost};
	struct err err = {""};

	*x = (struct tpm_test){0};
	lost_count = 0;
	if (tpm_open(&x->t, &c, &err) != ST_OK || tpm_start(x->t, &err) != ST_OK)
		fail_msg("%s", err.text);
}

static void started(struct tpm_test *x, u64 seed)
{
	power_on(x, seed);
	assert_int_equal(tpm2_startup(x), TPM_RC_SUCCESS);
}

static void from_hex(const char *hex, u8 *to)
{
	for (; *hex; hex += 2) {
		unsigned v;
		sscanf(hex, "%2x", &v);
		*to++ = (u8)v;
	}
}

static void pcr_is(struct tpm_test *x, unsigned pcr, const char *hex)
{
	u8 want[TPM2_SIZE], got[TPM2_SIZE];

	from_hex(hex, want);
	assert_int_equal(tpm2_pcr_read(x, pcr, got), TPM_RC_SUCCESS);
	assert_memory_equal(got, want, TPM2_SIZE);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ONES  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
/* 32 bytes 0, then the digest of the data: a launch of "abc", of nothing, of 65,536 bytes 7 * i */
#define LAUNCH_ABC   "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe08faee8d"
#define LAUNCH_EMPTY "1c9ecec90e28d2461650418635878a5c91e49f47586ecf75f2b0cbb94e897112"
#define LAUNCH_BIG   "c89d6ed921a4d55eb7c6a3880079ed9fac3a4f56c4561560d1421da4eaced4af"

static void launch(struct tpm_test *x, const void *data, u64 size, u64 piece)
{
	tpm_hash_start(x->t, x->now += 1000);
	for (u64 at = 0; at < size; at += piece)
		tpm_hash_data(x->t, (const u8 *)data + at, min_u64(piece, size - at));
	tpm_hash_end(x->t);
}

/* ---- commands ---- */

static void startup(void **state)
{
	struct tpm_test x;

	(void)state;
	power_on(&x, 1);
	assert_int_equal(tpm2_get_random(&x, 8), 0x100); /* TPM_RC_INITIALIZE */
	assert_int_equal(x.size, TPM_HEADER);
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_startup(&x), 0x100);
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_SUCCESS);
	assert_int_equal(x.size, TPM_HEADER + 2 + 8);
	assert_int_equal(lost_count, 0);
	tpm_close(x.t);
}

/* What the engine draws: random bytes, and the endorsement key, which comes of its seed. */
static void draw(struct tpm_test *x, u8 random[32], u8 key[64], u64 *hash)
{
	u32 handle;

	assert_int_equal(tpm2_get_random(x, 32), TPM_RC_SUCCESS);
	memcpy(random, x->a + 12, 32);
	assert_int_equal(tpm2_create_primary(x, TPM2_RH_ENDORSEMENT, &handle, key), TPM_RC_SUCCESS);
	assert_int_equal(handle >> 24, 0x80);
	*hash = tpm_hash(x->t, 1);
}

static void same_seed_same_tpm(void **state)
{
	u8 random[4][32], key[4][64];
	u64 hash[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct tpm_test x;
		started(&x, i == 3 ? 8 : 7);
		if (i)
			usleep(1100000 / 2 * (i & 1)); /* the computer's time is not the TPM's */
		draw(&x, random[i], key[i], &hash[i]);
		assert_null(tpm_unrepeatable(x.t));
		tpm_close(x.t);
	}
	for (unsigned i = 1; i < 3; i++) {
		assert_memory_equal(random[i], random[0], 32);
		assert_memory_equal(key[i], key[0], 64);
		assert_true(hash[i] == hash[0]);
	}
	assert_memory_not_equal(random[3], random[0], 32);
	assert_memory_not_equal(key[3], key[0], 64);
	assert_true(hash[3] != hash[0]);
}

/* TPM2_ReadClock: the time since power-on in ms, the machine's. */
static void time_is_the_machine_s(void **state)
{
	struct tpm_test x;

	(void)state;
	started(&x, 1);
	for (u64 s = 5; s < 5000; s *= 7) {
		x.now = s * 1000000000 - 1000000;
		tpm2_begin(&x, TPM2_NO_SESSIONS, 0x181);
		assert_int_equal(tpm2_run(&x), TPM_RC_SUCCESS);
		assert_int_equal(wire_get64(x.a + TPM_HEADER), s * 1000);
	}
	tpm_close(x.t);
}

static void pcrs(void **state)
{
	struct tpm_test x;
	u8 digest[TPM2_SIZE];

	(void)state;
	started(&x, 1);
	for (unsigned i = 0; i < TPM2_SIZE; i++)
		digest[i] = (u8)i;
	pcr_is(&x, 10, ZEROS);
	assert_int_equal(tpm2_pcr_extend(&x, 10, digest), TPM_RC_SUCCESS);
	/* 32 bytes 0, then 0 to 31 */
	pcr_is(&x, 10, "bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73");
	assert_int_equal(tpm2_pcr_extend(&x, 10, digest), TPM_RC_SUCCESS);
	/* that, then 0 to 31 */
	pcr_is(&x, 10, "de961d6b9f269c61ba4852123480daaced4c6a5d6df190941fb20be417d78a2e");
	pcr_is(&x, 11, ZEROS);
	pcr_is(&x, 17, ONES); /* nothing was launched */
	pcr_is(&x, 22, ONES);
	pcr_is(&x, 23, ZEROS);
	tpm_close(x.t);
}

static u32 pcr_reset(struct tpm_test *x, unsigned pcr)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x13d);
	tpm2_put(x, pcr, 4);
	tpm2_password(x);
	return tpm2_run(x);
}

/* ---- measuring ---- */

static void launches(void **state)
{
	static u8 big[65536];
	static const u8 digest[TPM2_SIZE];
	struct tpm_test x;

	(void)state;
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (u8)(i * 7);
	started(&x, 1);
	assert_false(tpm_established(x.t));
	launch(&x, "abc", 3, 3);
	assert_true(tpm_established(x.t));
	pcr_is(&x, 17, LAUNCH_ABC);
	for (unsigned pcr = 18; pcr <= 22; pcr++)
		pcr_is(&x, pcr, ZEROS);
	launch(&x, "abc", 3, 1);
	pcr_is(&x, 17, LAUNCH_ABC);
	/* Software at locality 0 neither resets nor extends it. */
	assert_int_equal(pcr_reset(&x, 17), TPM_RC_LOCALITY);
	assert_int_equal(tpm2_pcr_extend(&x, 17, digest), TPM_RC_LOCALITY);
	pcr_is(&x, 17, LAUNCH_ABC);
	x.at = 2;
	assert_int_equal(tpm2_pcr_extend(&x, 17, digest), TPM_RC_SUCCESS);
	x.at = 0;
	launch(&x, NULL, 0, 1);
	pcr_is(&x, 17, LAUNCH_EMPTY);
	launch(&x, big, sizeof(big), sizeof(big));
	pcr_is(&x, 17, LAUNCH_BIG);
	launch(&x, big, sizeof(big), 4095);
	pcr_is(&x, 17, LAUNCH_BIG);
	big[4711] ^= 1;
	launch(&x, big, sizeof(big), 64);
	u8 got[TPM2_SIZE], want[TPM2_SIZE];
	from_hex(LAUNCH_BIG, want);
	assert_int_equal(tpm2_pcr_read(&x, 17, got), TPM_RC_SUCCESS);
	assert_memory_not_equal(got, want, TPM2_SIZE);
	assert_int_equal(lost_count, 0);
	tpm_close(x.t);
}

/* Before TPM2_Startup the measurement is the H-CRTM's: PCR 0 begins as 4, its locality. */
static void measured_before_startup(void **state)
{
	struct tpm_test x;

	(void)state;
	power_on(&x, 1);
	launch(&x, "abc", 3, 2);
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	/* 31 bytes 0, a 4, then the digest of "abc" */
	pcr_is(&x, 0, "15703cc929081671c587dad9b09606521a35aa6bf4741df448d22c4b307acc71");
	pcr_is(&x, 17, ONES);
	tpm_close(x.t);
}

static void establishment(void **state)
{
	struct tpm_test x;

	(void)state;
	started(&x, 1);
	launch(&x, "abc", 3, 3);
	for (unsigned l = 0; l < 3; l++)
		assert_int_equal(tpm_reset_established(x.t, l), TPM_RC_LOCALITY);
	assert_true(tpm_established(x.t));
	tpm_power_on(x.t, x.now);
	assert_true(tpm_established(x.t)); /* it survives a reset of the platform */
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	assert_int_equal(tpm_reset_established(x.t, 3), TPM_RC_SUCCESS);
	assert_false(tpm_established(x.t));
	launch(&x, "abc", 3, 3);
	assert_int_equal(tpm_reset_established(x.t, 4), TPM_RC_SUCCESS);
	assert_false(tpm_established(x.t));
	tpm_close(x.t);
}

/* ---- what does not reach the engine ---- */

static void canceled(void **state)
{
	struct tpm_test x, y;
	static const u8 digest[TPM2_SIZE];

	(void)state;
	started(&x, 5);
	started(&y, 5);
	assert_int_equal(tpm_receive(x.t, x.a), 0);
	tpm_cancel(x.t);
	assert_int_equal(tpm_receive(x.t, x.a), 0);
	assert_int_equal(tpm2_get_random(&x, 16), TPM_RC_SUCCESS);
	tpm2_pcr_extend(&x, 10, digest); /* leaves the command in x.c */
	tpm2_send(&x);
	tpm_cancel(x.t);
	assert_int_equal(tpm_receive(x.t, x.a), TPM_HEADER);
	assert_int_equal(wire_get32(x.a), 0x80010000);
	assert_int_equal(wire_get32(x.a + 2), TPM_HEADER);
	assert_int_equal(wire_get32(x.a + 6), TPM_RC_CANCELED);
	assert_int_equal(tpm_receive(x.t, x.a), 0);
	/* It was not executed, and nothing was drawn for it; nor is the next command cancelled. */
	assert_int_equal(tpm2_get_random(&y, 16), TPM_RC_SUCCESS);
	tpm2_pcr_extend(&y, 10, digest);
	u8 a[TPM2_SIZE], b[TPM2_SIZE];
	assert_int_equal(tpm2_pcr_read(&x, 10, a), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_pcr_read(&y, 10, b), TPM_RC_SUCCESS);
	assert_memory_equal(a, b, TPM2_SIZE);
	assert_int_equal(tpm2_get_random(&x, 16), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_get_random(&y, 16), TPM_RC_SUCCESS);
	assert_memory_equal(x.a, y.a, 28);
	tpm_close(x.t);
	tpm_close(y.t);
}

static void sizes(void **state)
{
	static u8 c[TPM_BUFFER];
	struct tpm_test x;

	(void)state;
	started(&x, 1);
	for (u32 n = 1; n <= TPM_BUFFER; n = n < 16 ? n + 1 : n * 2) {
		for (int off = -1; off <= 1; off += 2) {
			c[0] = 0x80;
			c[1] = 0x01;
			wire_put32(c + 2, (u32)((int)n + off));
			wire_put32(c + 6, 0x17a);
			tpm_send(x.t, 0, 0, c, n);
			assert_int_equal(tpm_receive(x.t, x.a), TPM_HEADER);
			assert_int_equal(wire_get32(x.a + 6), TPM_RC_COMMAND_SIZE);
		}
	}
	/* The longest command there is: the engine reads it, and refuses what it says. */
	wire_put32(c + 2, TPM_BUFFER);
	tpm_send(x.t, 0, 0, c, TPM_BUFFER);
	assert_in_range(tpm_receive(x.t, x.a), TPM_HEADER, TPM_BUFFER);
	assert_int_not_equal(wire_get32(x.a + 6), TPM_RC_SUCCESS);
	/* Sent again before it was received: the last one counts. */
	tpm_send(x.t, 0, 0, c, 5);
	assert_int_equal(tpm2_get_random(&x, 3), TPM_RC_SUCCESS);
	assert_int_equal(lost_count, 0);
	tpm_close(x.t);
}

/* ---- power ---- */

static void resets(void **state)
{
	static const u8 digest[TPM2_SIZE];
	struct tpm_test x;

	(void)state;
	started(&x, 1);
	assert_int_equal(tpm2_nv_define(&x, 0x01500000, 0, 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_write(&x, 0x01500000, "kept for", 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_pcr_extend(&x, 10, digest), TPM_RC_SUCCESS);
	tpm2_begin(&x, TPM2_NO_SESSIONS, 0x17b);
	tpm2_put(&x, 1, 2);
	tpm2_send(&x);
	tpm_power_on(x.t, x.now);
	assert_int_equal(tpm_receive(x.t, x.a), 0); /* gone with the reset */
	assert_int_equal(tpm2_get_random(&x, 8), 0x100);
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	pcr_is(&x, 10, ZEROS);
	assert_int_equal(tpm2_nv_read(&x, 0x01500000, 8), TPM_RC_SUCCESS);
	assert_memory_equal(x.a + 16, "kept for", 8);
	tpm_close(x.t);
}

/* ---- the end of an engine ---- */

static void helper_killed(void **state)
{
	static const u8 digest[TPM2_SIZE];
	struct tpm_test x;
	u8 got[TPM2_SIZE];

	(void)state;
	started(&x, 1);
	pid_t pid = tpm_test_child(getpid());
	assert_true(pid > 0);
	kill(pid, SIGKILL);
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_FAILURE);
	assert_int_equal(x.size, TPM_HEADER);
	assert_int_equal(lost_count, 1);
	assert_string_equal(lost_text, "--tpm: turnstile-tpm was killed by signal 9 (Killed); the TPM is in failure mode "
	                               "from here on");
	/* Whatever is asked, nothing hangs, and it is said once. */
	assert_int_equal(tpm2_pcr_extend(&x, 10, digest), TPM_RC_FAILURE);
	assert_int_equal(tpm2_pcr_read(&x, 10, got), TPM_RC_FAILURE);
	launch(&x, "abc", 3, 1);
	assert_int_equal(tpm_reset_established(x.t, 4), TPM_RC_FAILURE);
	assert_false(tpm_established(x.t));
	tpm_power_on(x.t, 0);
	assert_int_equal(tpm2_startup(&x), TPM_RC_FAILURE);
	tpm2_send(&x);
	tpm_cancel(x.t);
	assert_int_equal(tpm_receive(x.t, x.a), TPM_HEADER);
	assert_int_equal(tpm_hash(x.t, 3), 3);
	assert_int_equal(lost_count, 1);
	tpm_close(x.t);
}

/* The program dies, or forgets the TPM: its helper goes with it. */
static void helper_ends(void **state)
{
	struct tpm_test x;

	(void)state;
	started(&x, 1);
	pid_t pid = tpm_test_child(getpid());
	assert_true(pid > 0);
	tpm_close(x.t);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void no_helper(void **state)
{
	const struct tpm_config c = {.option = "-tpm", .helper = "/nowhere/turnstile-tpm"};
	struct tpm *t;
	struct err err;

	(void)state;
	assert_int_equal(tpm_open(&t, &c, &err), ST_ARG);
	assert_null(t);
	assert_non_null(strstr(err.text, "-tpm: turnstile-tpm is neither"));
	assert_non_null(strstr(err.text, "libtpms-dev"));
	const struct tpm_config other = {.option = "--tpm", .helper = "/bin/true"};
	assert_int_equal(tpm_open(&t, &other, &err), ST_IO);
	assert_string_equal(err.text, "--tpm: /bin/true ended with status 0");
	const struct tpm_config socket = {.option = "--tpm", .socket = "/nowhere/s"};
	assert_int_equal(tpm_open(&t, &socket, &err), ST_ARG);
	assert_non_null(strstr(err.text, "--tpm socket=/nowhere/s: No such file or directory; start one: swtpm"));
}

/* ---- the helper's words, those too that no machine says ---- */

static u32 say(struct tpm_link *l, u32 code, const void *body, size_t n, void *answer, size_t want)
{
	u32 result = ~0u;

	assert_true(tpm_link_call(l, (enum wire_command)code, body, n, &result, answer, want));
	return result;
}

static void words(void **state)
{
	static const u32 powered[] = {WIRE_HASH_START, WIRE_HASH_END, WIRE_CANCEL};
	static const u8 random[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 4};
	const struct tpm_config c = {.option = "--tpm", .helper = helper};
	u8 body[16] = {0}, answer[TPM_BUFFER], *blob;
	struct tpm_link l;
	struct err err;
	u32 size;

	(void)state;
	assert_int_equal(tpm_link_open(&l, &c, &err), ST_OK);
	assert_true(l.caps & WIRE_CAP_OWN && l.caps & WIRE_CAP_REPEATABLE);
	for (size_t i = 0; i < ARRAY_LEN(powered); i++)
		assert_int_equal(say(&l, powered[i], NULL, 0, NULL, 0), WIRE_BAD_ORDINAL);
	assert_int_equal(say(&l, WIRE_STORE_VOLATILE, NULL, 0, NULL, 0), WIRE_BAD_ORDINAL);
	assert_int_equal(say(&l, 4711, NULL, 0, NULL, 0), WIRE_BAD_ORDINAL);
	wire_put32(body, 4);
	assert_int_equal(say(&l, WIRE_HASH_DATA, body, 8, NULL, 0), WIRE_BAD_ORDINAL);
	assert_int_equal(say(&l, WIRE_GET_CONFIG, NULL, 0, answer, 4), WIRE_OK);
	/* Without power there is no TPM to answer, and no state. */
	assert_int_equal(tpm_link_command(&l, random, sizeof(random), answer), TPM_HEADER);
	assert_int_equal(wire_get32(answer + 6), TPM_RC_FAILURE);
	tpm_link_get_state(&l, WIRE_PERMANENT, &blob, &size);
	assert_null(blob);
	memset(body, 0, sizeof(body));
	assert_int_equal(say(&l, WIRE_INIT, body, 4, NULL, 0), WIRE_OK);
	/* The size of its buffer, and that it changes without power alone. */
	wire_put32(body, 3000);
	assert_int_equal(say(&l, WIRE_SET_BUFFERSIZE, body, 4, answer, 12), WIRE_OK);
	assert_int_equal(wire_get32(answer), TPM_BUFFER);
	assert_int_equal(say(&l, WIRE_CANCEL, NULL, 0, NULL, 0), WIRE_OK);
	assert_int_equal(tpm_link_command(&l, random, sizeof(random), answer), TPM_HEADER);
	assert_int_equal(wire_get32(answer + 6), 0x100);
	body[0] = 5;
	assert_int_equal(say(&l, WIRE_SET_LOCALITY, body, 4, NULL, 0), WIRE_BAD_LOCALITY);
	for (unsigned type = WIRE_PERMANENT; type <= WIRE_VOLATILE; type++) {
		tpm_link_get_state(&l, type, &blob, &size);
		assert_non_null(blob);
		assert_true(size > 100);
		base_free(blob);
	}
	/* What it keeps is given to a TPM that is off. */
	assert_true(tpm_link_set_state(&l, body, 16, &size));
	assert_int_equal(size, WIRE_FAIL);
	assert_int_equal(say(&l, WIRE_STOP, NULL, 0, NULL, 0), WIRE_OK);
	assert_true(tpm_link_set_state(&l, body, 16, &size));
	assert_int_not_equal(size, WIRE_OK);
	assert_int_equal(say(&l, WIRE_SHUTDOWN, NULL, 0, NULL, 0), WIRE_OK);
	assert_false(tpm_link_call(&l, WIRE_STOP, NULL, 0, &size, NULL, 0));
	assert_string_equal(l.broken, "ended with status 0");
	tpm_link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(startup),          cmocka_unit_test(same_seed_same_tpm),
	        cmocka_unit_test(time_is_the_machine_s), cmocka_unit_test(pcrs),
	        cmocka_unit_test(launches),         cmocka_unit_test(measured_before_startup),
	        cmocka_unit_test(establishment),    cmocka_unit_test(canceled),
	        cmocka_unit_test(sizes),            cmocka_unit_test(resets),
	        cmocka_unit_test(helper_killed),    cmocka_unit_test(helper_ends),
	        cmocka_unit_test(no_helper),        cmocka_unit_test(words),
	};

	if (!tpm_test_helper(helper, sizeof(helper))) {
		printf("skipped: the TPM: turnstile-tpm was not built: libtpms-dev and libssl-dev are not installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
