/* Debian's swtpm behind the same TPM, beside an engine of our own: the same PCRs for the same commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "tpm_fixture.h"

static char helper[4096], folder[] = "/tmp/tpm-peer-XXXXXX", place[64], lost_text[512];
static unsigned lost_count;
static pid_t peer;

static void lost(void *arg, const char *text)
{
	(void)arg;
	lost_count++;
	snprintf(lost_text, sizeof(lost_text), "%s", text);
}

static void start_peer(bool tpm2)
{
	char ctrl[120], dir[80];
	struct stat st;

	snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s", place);
	snprintf(dir, sizeof(dir), "dir=%s", folder);
	unlink(place);
	peer = fork();
	if (!peer) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execlp("swtpm", "swtpm", "socket", "--ctrl", ctrl, "--tpmstate", dir, tpm2 ? "--tpm2" : NULL, NULL);
		_exit(1);
	}
	for (unsigned n = 0; n < 3000 && stat(place, &st); n++)
		usleep(10000);
}

static void stop_peer(void)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
}

static enum status open_at(struct tpm_test *x, const char *socket, struct err *err)
{
	const struct tpm_config c = {.option = "--tpm", .helper = helper, .lost = lost, .socket = socket};

	*x = (struct tpm_test){0};
	err->text[0] = 0;
	lost_count = 0;
	enum status s = tpm_open(&x->t, &c, err);
	return s == ST_OK ? tpm_start(x->t, err) : s;
}

static void started(struct tpm_test *x, const char *socket)
{
	struct err err;

	if (open_at(x, socket, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(tpm2_startup(x), TPM_RC_SUCCESS);
}

/* Every PCR of the SHA-256 bank. */
static void pcrs(struct tpm_test *x, u8 all[24][TPM2_SIZE])
{
	for (unsigned pcr = 0; pcr < 24; pcr++)
		assert_int_equal(tpm2_pcr_read(x, pcr, all[pcr]), TPM_RC_SUCCESS);
}

static void launch(struct tpm_test *x, const u8 *data, u64 size)
{
	tpm_hash_start(x->t, x->now);
	tpm_hash_data(x->t, data, size);
	tpm_hash_end(x->t);
}

/* The same to each; what each says. */
static void measure(struct tpm_test *x, u8 all[24][TPM2_SIZE])
{
	static u8 data[65536];
	u8 digest[TPM2_SIZE];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 13 >> 3);
	for (unsigned pcr = 0; pcr < 24; pcr++) {
		for (unsigned i = 0; i < TPM2_SIZE; i++)
			digest[i] = (u8)(pcr * 17 + i);
		u32 want = pcr >= 17 && pcr <= 22 ? TPM_RC_LOCALITY : TPM_RC_SUCCESS;
		assert_int_equal(tpm2_pcr_extend(x, pcr, digest), want);
	}
	assert_false(tpm_established(x->t));
	launch(x, data, sizeof(data));
	assert_true(tpm_established(x->t));
	x->at = 2;
	assert_int_equal(tpm2_pcr_extend(x, 17, digest), TPM_RC_SUCCESS);
	x->at = 0;
	assert_int_equal(tpm_reset_established(x->t, 1), TPM_RC_LOCALITY);
	assert_int_equal(tpm_reset_established(x->t, 4), TPM_RC_SUCCESS);
	assert_false(tpm_established(x->t));
	pcrs(x, all);
}

static void same_pcrs(void **state)
{
	static u8 theirs[24][TPM2_SIZE], ours[24][TPM2_SIZE];
	struct tpm_test x, y;

	(void)state;
	start_peer(true);
	started(&x, place);
	started(&y, NULL);
	measure(&x, theirs);
	measure(&y, ours);
	for (unsigned pcr = 0; pcr < 24; pcr++)
		assert_memory_equal(ours[pcr], theirs[pcr], TPM2_SIZE);
	tpm_power_on(x.t, 0);
	tpm_power_on(y.t, 0);
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_startup(&y), TPM_RC_SUCCESS);
	pcrs(&x, theirs);
	pcrs(&y, ours);
	for (unsigned pcr = 0; pcr < 24; pcr++)
		assert_memory_equal(ours[pcr], theirs[pcr], TPM2_SIZE);
	assert_int_equal(lost_count, 0);
	tpm_close(x.t);
	tpm_close(y.t);
	stop_peer();
}

static u32 plain(struct tpm_test *x, u32 code)
{
	tpm2_begin(x, TPM2_NO_SESSIONS, code);
	return tpm2_run(x);
}

/* It is not called unrepeatable before somebody asks for what only it knows. */
static void repeatable_until_asked(void **state)
{
	static u8 all[24][TPM2_SIZE];
	struct tpm_test x;

	(void)state;
	start_peer(true);
	started(&x, place);
	measure(&x, all);
	assert_int_equal(tpm2_nv_define(&x, 0x01500000, 0, 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_write(&x, 0x01500000, "something", 8), TPM_RC_SUCCESS);
	tpm2_begin(&x, TPM2_NO_SESSIONS, 0x17b);
	tpm2_put(&x, 8, 2);
	tpm2_send(&x);
	tpm_cancel(x.t); /* it never saw this one */
	assert_int_equal(tpm_receive(x.t, x.a), TPM_HEADER);
	assert_int_equal(wire_get32(x.a + 6), TPM_RC_CANCELED);
	assert_null(tpm_unrepeatable(x.t));
	assert_true(tpm_hash(x.t, 9) == 9);
	assert_int_equal(plain(&x, 0x181), TPM_RC_SUCCESS); /* TPM2_ReadClock */
	assert_string_equal(tpm_unrepeatable(x.t), "TPM clock");
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_SUCCESS);
	assert_string_equal(tpm_unrepeatable(x.t), "TPM random numbers, TPM clock");
	tpm_close(x.t);

	started(&x, place); /* it has outlived the machine, and serves the next */
	assert_int_equal(tpm2_nv_read(&x, 0x01500000, 8), TPM_RC_SUCCESS);
	assert_memory_equal(x.a + 16, "something", 8);
	assert_null(tpm_unrepeatable(x.t));
	u8 point[64];
	u32 handle;
	assert_int_equal(tpm2_create_primary(&x, TPM2_RH_OWNER, &handle, point), TPM_RC_SUCCESS);
	assert_string_equal(tpm_unrepeatable(x.t), "TPM random numbers");
	tpm_close(x.t);
	stop_peer();
}

static void peer_ends(void **state)
{
	struct tpm_test x;

	(void)state;
	start_peer(true);
	started(&x, place);
	stop_peer();
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_FAILURE);
	assert_int_equal(lost_count, 1);
	assert_string_equal(lost_text, "--tpm: the swtpm closed the connection; the TPM is in failure mode from here on");
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_FAILURE);
	assert_int_equal(lost_count, 1);
	tpm_close(x.t);
}

static void refused(const char *says)
{
	struct tpm_test x;
	struct err err;

	assert_int_equal(open_at(&x, place, &err), ST_ARG);
	assert_int_equal(strncmp(err.text, "--tpm socket=", 13), 0);
	if (!strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("%s", err.text);
}

static void not_for_us(void **state)
{
	struct tpm_test x;

	(void)state;
	start_peer(false);
	refused(": the swtpm there is a TPM 1.2: start it with --tpm2");
	stop_peer();
	start_peer(true);
	started(&x, place);
	refused(": the swtpm there does not answer; does another machine use it?");
	assert_int_equal(tpm2_get_random(&x, 8), TPM_RC_SUCCESS);
	tpm_close(x.t);
	stop_peer();
	refused(": Connection refused; start one: swtpm socket --tpm2 --ctrl type=unixio,path=");
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(place, sizeof(place), "%s/s", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char command[120];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(same_pcrs),
	        cmocka_unit_test(repeatable_until_asked),
	        cmocka_unit_test(peer_ends),
	        cmocka_unit_test(not_for_us),
	};

	if (system("command -v swtpm >/dev/null")) {
		printf("skipped: swtpm as the TPM: it is not installed\n");
		return 77;
	}
	if (!tpm_test_helper(helper, sizeof(helper))) {
		printf("skipped: the TPM: turnstile-tpm was not built: libtpms-dev and libssl-dev are not installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
