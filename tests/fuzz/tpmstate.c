/*
 * The file of a TPM's state: a good one, then spoiled. It is taken exactly where a second reading of its format says so,
 * nothing is read beyond it, and a machine's TPM that is given it opens or says in one line why not; the file is as it was.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "dev/tpm.h"
#include "dev/tpm_state.h"

enum { ROOM = 4096, WITH_ENGINE = 4000 /* one case in so many goes to the engine itself */ };

struct image {
	u8 *d; /* ends where memory ends */
	size_t n;
};

static struct image exactly(const u8 *from, size_t n)
{
	struct image m = {malloc(n ? n : 1), n};

	if (!m.d)
		fuzz_fail("out of memory");
	memcpy(m.d, from, n);
	return m;
}

/* ---- a second reading: the header's comment in dev/tpm_state.h, with the table that CRC-32 is usually computed by ---- */

static u32 crc32_of(const u8 *a, size_t na, const u8 *b, size_t nb)
{
	u32 table[256], sum = 0xffffffff;

	for (u32 i = 0; i < 256; i++) {
		u32 v = i;
		for (unsigned k = 0; k < 8; k++)
			v = v & 1 ? v >> 1 ^ 0xedb88320 : v >> 1;
		table[i] = v;
	}
	for (size_t i = 0; i < na + nb; i++)
		sum = sum >> 8 ^ table[(sum ^ (i < na ? a[i] : b[i - na])) & 0xff];
	return sum ^ 0xffffffff;
}

static u64 number(const u8 *p)
{
	return p[0] + 0x100ull * p[1] + 0x10000ull * p[2] + 0x1000000ull * p[3];
}

static bool good(const struct image *m)
{
	return m->n >= 24 && !memcmp(m->d, "TSTPM\r\n\x1a", 8) && number(m->d + 8) == 1 && number(m->d + 16) == 0 &&
	       number(m->d + 12) == m->n - 24 && number(m->d + 20) == crc32_of(m->d, 20, m->d + 24, m->n - 24);
}

/* ---- cases ---- */

/* What may happen to a file; often mended so that only one thing is wrong with it. */
static size_t spoil(struct rng *r, u8 *d, size_t n)
{
	switch (rng_below(r, 8)) {
	case 0: return rng_below(r, n + 1);
	case 1: rng_fill(r, d + rng_below(r, n), 1); return n;
	case 2: d[rng_below(r, n)] ^= (u8)(1u << rng_below(r, 8)); return n;
	case 3: d[8 + rng_below(r, 16)] = (u8)rng_odd(r); return n;
	case 4: { /* a length that looks right, or not */
		u32 v = (u32)rng_odd(r);
		memcpy(d + 12, &v, 4);
		return n;
	}
	case 5: rng_fill(r, d + n, 8); return n + 1 + rng_below(r, 8);
	case 6: { /* the checksum fits whatever the rest says */
		d[rng_below(r, 20)] ^= (u8)(1u << rng_below(r, 8));
		u32 v = crc32_of(d, 20, d + 24, n - 24);
		memcpy(d + 20, &v, 4);
		return n;
	}
	default: return n;
	}
}

static void parse(const struct image *m)
{
	const u8 *state = NULL;
	u32 length = 0;
	struct err err = {""};
	enum status s = tpm_state_parse(m->d, m->n, &state, &length, &err);

	if ((s == ST_OK) != good(m))
		fuzz_fail("%zu bytes: %s", m->n, s == ST_OK ? "taken, and not one" : err.text);
	if (s == ST_OK && (state != m->d + TPM_STATE_HEADER || length != m->n - TPM_STATE_HEADER))
		fuzz_fail("it lies elsewhere");
	if (s != ST_OK && (s != ST_ARG || !err.text[0] || strchr(err.text, '\n')))
		fuzz_fail("not one line: %s", err.text);
	fuzz_count(s == ST_OK ? "taken" : "refused");
}

/* With turnstile-tpm, where it was built. Its library is told about what it keeps, not about what our header is for. */
static void open_tpm(const struct image *m)
{
	char path[64], folder[4000], helper[4096];
	struct image after = {malloc(m->n + 1), 0};
	struct err err = {""};
	struct tpm *t;

	bool found = os_program_folder(folder, sizeof(folder));
	snprintf(helper, sizeof(helper), "%s/../../turnstile-tpm", folder);
	snprintf(path, sizeof(path), "/tmp/fuzz-tpmstate-%d", (int)getpid());
	FILE *f = found && os_may_execute(helper) && after.d ? fopen(path, "w+") : NULL;
	if (!f) {
		free(after.d);
		return;
	}
	fwrite(m->d, 1, m->n, f);
	fflush(f);
	const struct tpm_config c = {.option = "--tpm", .state = path, .helper = helper};
	enum status s = tpm_open(&t, &c, &err);
	rewind(f);
	after.n = fread(after.d, 1, m->n + 1, f);
	fclose(f);
	unlink(path);
	if (s != ST_OK && (strncmp(err.text, "--tpm state=", 12) || strchr(err.text, '\n')))
		fuzz_fail("not one line: %s", err.text);
	if (after.n != m->n || memcmp(after.d, m->d, m->n))
		fuzz_fail("the file was changed");
	if (s == ST_OK && !good(m))
		fuzz_fail("an engine that was given this");
	tpm_close(t);
	free(after.d);
	fuzz_count(s == ST_OK ? "the engine took it" : "refused, with the engine at hand");
}

static void one(struct rng *r)
{
	u8 d[ROOM + 64];
	size_t n = TPM_STATE_HEADER + rng_below(r, ROOM - TPM_STATE_HEADER);

	rng_fill(r, d, n);
	tpm_state_header(d, d + TPM_STATE_HEADER, (u32)(n - TPM_STATE_HEADER));
	for (u64 times = rng_below(r, 3); times && n >= TPM_STATE_HEADER; times--)
		n = min_u64(spoil(r, d, n), ROOM);
	struct image m = exactly(d, n);
	parse(&m);
	if (rng_one_in(r, WITH_ENGINE))
		open_tpm(&m);
	free(m.d);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-tpmstate", one);
}
