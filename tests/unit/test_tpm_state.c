/*
 * The file of a TPM's state: what was acknowledged is there at the next start; what is no state is refused, in one line that
 * names option and file, and stays as it was; a second machine and a full disk are told.
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
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dev/tpm_state.h"
#include "report.h"
#include "tpm_fixture.h"

enum { INDEX = 0x01500000, COUNTER = 0x01500001, PERSISTENT = (int)0x81000001 };

static char helper[4096], folder[] = "/tmp/tpm-state-XXXXXX", file[64], lost_text[512];
static unsigned lost_count;

static void lost(void *arg, const char *text)
{
	(void)arg;
	lost_count++;
	snprintf(lost_text, sizeof(lost_text), "%s", text);
}

static enum status open_at(struct tpm_test *x, const char *path, struct err *err)
{
	const struct tpm_config c = {
	        .option = "--tpm", .helper = helper, .seed = 3, .lost = lost, .state = path};

	*x = (struct tpm_test){0};
	err->text[0] = 0;
	lost_count = 0;
	enum status s = tpm_open(&x->t, &c, err);
	return s == ST_OK ? tpm_start(x->t, err) : s;
}

static void started(struct tpm_test *x)
{
	struct err err;

	if (open_at(x, file, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(tpm2_startup(x), TPM_RC_SUCCESS);
}

struct content {
	u8 d[1 << 17];
	size_t n;
};

static void get(const char *path, struct content *c)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK); /* it may be a FIFO */
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	c->n = f ? fread(c->d, 1, sizeof(c->d), f) : 0;
	if (f)
		fclose(f);
}

static void put(const char *path, const void *d, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(d, 1, n, f), n);
	fclose(f);
}

static void refused(const char *path, const char *says)
{
	static struct content before, after;
	struct tpm_test x;
	struct err err;

	get(path, &before);
	if (open_at(&x, path, &err) != ST_ARG || !strstr(err.text, says) || strchr(err.text, '\n'))
		fail_msg("%s: '%s', want '%s'", path, err.text, says);
	assert_null(x.t);
	assert_int_equal(strncmp(err.text, "--tpm state=", 12), 0);
	assert_int_equal(strncmp(err.text + 12, path, strlen(path)), 0);
	get(path, &after);
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.d, before.d, before.n);
}

/* ---- what is kept ---- */

static void kept(void **state)
{
	struct tpm_test x;
	u8 point[64], again[64];
	u32 handle;
	struct stat st;

	(void)state;
	started(&x);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* keys are in it */
	assert_int_equal(tpm2_nv_define(&x, INDEX, 0, 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_write(&x, INDEX, "eight by", 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_define(&x, COUNTER, 1, 8), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_increment(&x, COUNTER), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_read(&x, COUNTER, 8), TPM_RC_SUCCESS);
	u64 count = wire_get64(x.a + 16);
	assert_int_equal(tpm2_create_primary(&x, TPM2_RH_OWNER, &handle, point), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_evict_control(&x, handle, (u32)PERSISTENT), TPM_RC_SUCCESS);
	assert_null(tpm_unrepeatable(x.t));
	tpm_close(x.t); /* no TPM2_Shutdown: the power goes */

	started(&x);
	assert_int_equal(tpm2_nv_read(&x, INDEX, 8), TPM_RC_SUCCESS);
	assert_memory_equal(x.a + 16, "eight by", 8);
	assert_int_equal(tpm2_nv_read(&x, COUNTER, 8), TPM_RC_SUCCESS);
	assert_true(wire_get64(x.a + 16) == count);
	assert_int_equal(tpm2_read_public(&x, (u32)PERSISTENT), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_create_primary(&x, TPM2_RH_OWNER, &handle, again), TPM_RC_SUCCESS);
	assert_memory_equal(again, point, 64);
	tpm_close(x.t);
	assert_int_equal(lost_count, 0);
}

/* A file that is renamed keeps its mode; a link stays a link; what a killed machine left beside it is nobody's. */
static void places(void **state)
{
	static struct content c;
	char link[80], next[80];
	struct tpm_test x;
	struct stat st;

	(void)state;
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(next, sizeof(next), "%s.turnstile-next", file);
	assert_int_equal(symlink(file, link), 0);
	assert_int_equal(chmod(file, 0640), 0);
	put(next, "rest", 4);
	struct err err;
	assert_int_equal(open_at(&x, link, &err), ST_OK);
	assert_int_equal(tpm2_startup(&x), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_nv_write(&x, INDEX, "by links", 8), TPM_RC_SUCCESS);
	tpm_close(x.t);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(stat(next, &st), -1);
	started(&x);
	assert_int_equal(tpm2_nv_read(&x, INDEX, 8), TPM_RC_SUCCESS);
	assert_memory_equal(x.a + 16, "by links", 8);
	tpm_close(x.t);
	unlink(link);
	get(file, &c);
	assert_true(c.n > TPM_STATE_HEADER);
}

static void one_owner(void **state)
{
	struct tpm_test x;

	(void)state;
	started(&x);
	refused(file, "another machine has it");
	assert_int_equal(tpm2_nv_write(&x, INDEX, "replaced", 8), TPM_RC_SUCCESS); /* another file of that name */
	refused(file, "another machine has it");
	tpm_close(x.t);
	started(&x);
	tpm_close(x.t);
}

/* ---- what is refused ---- */

static void no_state(void **state)
{
	static const char swtpm[] = {0x02, 0x01, 0, 0, 0, 0, 0, 0x10};
	char path[80], dangling[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/other", folder);
	put(path, "", 0);
	refused(path, ": the file is empty");
	put(path, "#!/bin/sh\necho hello\n", 21);
	refused(path, ": not the state of a TPM of Turnstile");
	put(path, swtpm, sizeof(swtpm));
	refused(path, ": not the state of a TPM of Turnstile");
	assert_int_equal(truncate(path, 5 << 20), 0);
	refused(path, ": 5242880 bytes are too many");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(path, ": is a folder, not a file");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(path, ": not a plain file");
	unlink(path);
	refused("/nowhere/state", ": its folder: No such file or directory");
	refused("/dev/null", ": not a plain file");
	snprintf(dangling, sizeof(dangling), "%s/dangling", folder);
	assert_int_equal(symlink("not-there", dangling), 0);
	refused(dangling, ": No such file or directory");
	unlink(dangling);
}

static void spoiled(void **state)
{
	static struct content c;
	char path[80];
	u8 keep;

	(void)state;
	snprintf(path, sizeof(path), "%s/spoiled", folder);
	get(file, &c);
	for (size_t n = 1; n < c.n; n = n < 40 || n + 4 >= c.n ? n + 1 : n + 61) {
		put(path, c.d, n);
		refused(path, n < TPM_STATE_HEADER ? ": cut short within its header" : ": broken: ");
	}
	for (size_t at = 0; at < c.n; at = at < 40 ? at + 1 : at + 61) {
		keep = c.d[at];
		c.d[at] = (u8)(keep ^ 1u << at % 8);
		put(path, c.d, c.n);
		refused(path, at < 8 ? ": not the state" : at > 8 && at < 12 ? ": version " : ": broken: ");
		c.d[at] = keep;
	}
	put(path, c.d, c.n);
	FILE *f = fopen(path, "a");
	fputc(0, f);
	fclose(f);
	refused(path, "broken: ");
	c.d[8] = 2;
	put(path, c.d, c.n);
	refused(path, ": version 2; this program knows versions up to 1");
	unlink(path);
}

/* The header is right, what is behind it is not: the engine's library sees it. */
static void strange_to_the_library(void **state)
{
	static struct content c;
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/strange", folder);
	get(file, &c);
	for (size_t n = 0; n < c.n - TPM_STATE_HEADER; n = n < 16 ? n + 1 : n * 2) {
		tpm_state_header(c.d, c.d + TPM_STATE_HEADER, (u32)n);
		put(path, c.d, TPM_STATE_HEADER + n);
		refused(path, ": libtpms does not take it (error 0x");
	}
	unlink(path);
}

/* As somebody who may not: read, write, or put a file there. */
static void not_permitted(void **state)
{
	static struct content c;
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/private", folder);
	get(file, &c);
	put(path, c.d, c.n);
	chmod(path, 0400);
	chmod(folder, 0755);
	pid_t pid = fork();
	if (!pid) {
		struct tpm_test x;
		struct err err;
		bool ok = geteuid() || !setuid(65534);
		ok = ok && open_at(&x, path, &err) == ST_ARG && strstr(err.text, ": Permission denied");
		chmod(path, 0666);
		snprintf(path, sizeof(path), "%s/new", folder);
		if (geteuid() == 65534)
			ok = ok && open_at(&x, path, &err) == ST_ARG && strstr(err.text, ": its folder: Permission denied");
		_exit(!ok);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	unlink(path);
}

/* ---- a disk that is full ---- */

static void full_disk(void **state)
{
	static struct content before, after;
	struct rlimit old, none = {.rlim_cur = 100};
	struct tpm_test x;

	(void)state;
	started(&x);
	get(file, &before);
	getrlimit(RLIMIT_FSIZE, &old);
	none.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	/* What cannot be kept is not acknowledged. */
	u32 code = tpm2_nv_write(&x, INDEX, "too much", 8);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(code, TPM_RC_FAILURE);
	assert_int_equal(x.size, TPM_HEADER);
	assert_int_equal(lost_count, 1);
	char want[300];
	snprintf(want, sizeof(want), "--tpm state=%s: File too large; the file stays as it was, and the TPM is in failure mode "
	                             "from here on", file);
	assert_string_equal(lost_text, want);
	assert_int_equal(tpm2_nv_read(&x, INDEX, 8), TPM_RC_FAILURE);
	tpm_close(x.t);
	get(file, &after);
	assert_int_equal(after.n, before.n);
	assert_memory_equal(after.d, before.d, before.n);
	assert_int_equal(lost_count, 1);
	started(&x);
	assert_int_equal(tpm2_nv_read(&x, INDEX, 8), TPM_RC_SUCCESS);
	assert_memory_not_equal(x.a + 16, "too much", 8);
	tpm_close(x.t);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/tpm", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(kept),     cmocka_unit_test(places),        cmocka_unit_test(one_owner),
	        cmocka_unit_test(no_state), cmocka_unit_test(spoiled),       cmocka_unit_test(strange_to_the_library),
	        cmocka_unit_test(not_permitted), cmocka_unit_test(full_disk),
	};

	if (!tpm_test_helper(helper, sizeof(helper))) {
		printf("skipped: the TPM: turnstile-tpm was not built: libtpms-dev and libssl-dev are not installed\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
