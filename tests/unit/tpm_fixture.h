/* TPM 2.0 commands as bytes (Part 3), sent to an engine and answered. */
#ifndef TESTS_UNIT_TPM_FIXTURE_H
#define TESTS_UNIT_TPM_FIXTURE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "base/os.h"
#include "dev/tpm.h"
#include "dev/tpm_wire.h"

enum {
	TPM2_RS_PW = 0x40000009, TPM2_RH_OWNER = 0x40000001, TPM2_RH_ENDORSEMENT = 0x4000000b, TPM2_SHA256 = 0x000b,
	TPM2_SIZE = 32, TPM2_NO_SESSIONS = 0x8001, TPM2_SESSIONS = 0x8002,
};

struct tpm_test {
	struct tpm *t;
	u64 now;
	u8 at; /* the locality of what follows */
	u8 c[TPM_BUFFER], a[TPM_BUFFER];
	u32 n, size; /* of the command, of the answer */
};

static inline void tpm2_put(struct tpm_test *x, u64 v, unsigned bytes)
{
	while (bytes--)
		x->c[x->n++] = (u8)(v >> 8 * bytes);
}

static inline void tpm2_bytes(struct tpm_test *x, const void *p, size_t n)
{
	memcpy(x->c + x->n, p, n);
	x->n += (u32)n;
}

static inline void tpm2_begin(struct tpm_test *x, u16 tag, u32 code)
{
	x->n = 0;
	tpm2_put(x, tag, 2);
	tpm2_put(x, 0, 4);
	tpm2_put(x, code, 4);
}

/* The authorization area: an empty password. */
static inline void tpm2_password(struct tpm_test *x)
{
	tpm2_put(x, 9, 4);
	tpm2_put(x, TPM2_RS_PW, 4);
	tpm2_put(x, 0, 5); /* nonce, attributes, password */
}

static inline void tpm2_send(struct tpm_test *x)
{
	wire_put32(x->c + 2, x->n);
	tpm_send(x->t, x->now += 1000000, x->at, x->c, x->n);
}

/* The response code. */
static inline u32 tpm2_run(struct tpm_test *x)
{
	tpm2_send(x);
	x->size = tpm_receive(x->t, x->a);
	return wire_get32(x->a + 6);
}

static inline u32 tpm2_startup(struct tpm_test *x)
{
	tpm2_begin(x, TPM2_NO_SESSIONS, 0x144);
	tpm2_put(x, 0, 2); /* TPM_SU_CLEAR */
	return tpm2_run(x);
}

/* The bytes begin at a + 12. */
static inline u32 tpm2_get_random(struct tpm_test *x, unsigned n)
{
	tpm2_begin(x, TPM2_NO_SESSIONS, 0x17b);
	tpm2_put(x, n, 2);
	return tpm2_run(x);
}

static inline u32 tpm2_pcr_extend(struct tpm_test *x, unsigned pcr, const u8 digest[TPM2_SIZE])
{
	tpm2_begin(x, TPM2_SESSIONS, 0x182);
	tpm2_put(x, pcr, 4);
	tpm2_password(x);
	tpm2_put(x, 1, 4);
	tpm2_put(x, TPM2_SHA256, 2);
	tpm2_bytes(x, digest, TPM2_SIZE);
	return tpm2_run(x);
}

static inline u32 tpm2_pcr_read(struct tpm_test *x, unsigned pcr, u8 digest[TPM2_SIZE])
{
	tpm2_begin(x, TPM2_NO_SESSIONS, 0x17e);
	tpm2_put(x, 1, 4);
	tpm2_put(x, TPM2_SHA256, 2);
	tpm2_put(x, 3, 1);
	for (unsigned i = 0; i < 3; i++)
		tpm2_put(x, pcr / 8 == i ? 1u << pcr % 8 : 0, 1);
	u32 code = tpm2_run(x);
	/* header, update counter, selection (4 + 2 + 1 + 3), count, size */
	if (code == TPM_RC_SUCCESS && x->size == TPM_HEADER + 4 + 10 + 4 + 2 + TPM2_SIZE)
		memcpy(digest, x->a + x->size - TPM2_SIZE, TPM2_SIZE);
	else
		memset(digest, 0xee, TPM2_SIZE);
	return code;
}

/* An ECC storage key on P-256. Its public area's unique part, 2 * 32 bytes, to point. */
static inline u32 tpm2_create_primary(struct tpm_test *x, u32 hierarchy, u32 *handle, u8 point[64])
{
	static const u8 public_area[] = {
	        0x00, 0x1a,                         /* size */
	        0x00, 0x23, 0x00, 0x0b,             /* ECC, SHA-256 */
	        0x00, 0x03, 0x04, 0x72,             /* fixed, restricted, decrypt, by user, made by the TPM */
	        0x00, 0x00,                         /* no policy */
	        0x00, 0x06, 0x00, 0x80, 0x00, 0x43, /* AES, 128 bits, CFB */
	        0x00, 0x10, 0x00, 0x03, 0x00, 0x10, /* no scheme, P-256, no KDF */
	        0x00, 0x00, 0x00, 0x00,             /* unique */
	};

	tpm2_begin(x, TPM2_SESSIONS, 0x131);
	tpm2_put(x, hierarchy, 4);
	tpm2_password(x);
	tpm2_put(x, 4, 2);
	tpm2_put(x, 0, 4);
	tpm2_bytes(x, public_area, sizeof(public_area));
	tpm2_put(x, 0, 2);
	tpm2_put(x, 0, 4);
	u32 code = tpm2_run(x);
	*handle = wire_get32(x->a + TPM_HEADER);
	/* header, handle, size of parameters, public area: all of it but the two coordinates is 26 bytes */
	if (code == TPM_RC_SUCCESS) {
		memcpy(point, x->a + 18 + 2 + 22 + 2, 32);
		memcpy(point + 32, x->a + 18 + 2 + 22 + 2 + 32 + 2, 32);
	}
	return code;
}

static inline u32 tpm2_evict_control(struct tpm_test *x, u32 object, u32 persistent)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x120);
	tpm2_put(x, TPM2_RH_OWNER, 4);
	tpm2_put(x, object, 4);
	tpm2_password(x);
	tpm2_put(x, persistent, 4);
	return tpm2_run(x);
}

static inline u32 tpm2_flush(struct tpm_test *x, u32 handle)
{
	tpm2_begin(x, TPM2_NO_SESSIONS, 0x165);
	tpm2_put(x, handle, 4);
	return tpm2_run(x);
}

static inline u32 tpm2_read_public(struct tpm_test *x, u32 handle)
{
	tpm2_begin(x, TPM2_NO_SESSIONS, 0x173);
	tpm2_put(x, handle, 4);
	return tpm2_run(x);
}

/* TPMA_NV: read and written by the owner and by who has the password; type: 0 ordinary, 1 counter. */
static inline u32 tpm2_nv_define(struct tpm_test *x, u32 index, unsigned type, unsigned size)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x12a);
	tpm2_put(x, TPM2_RH_OWNER, 4);
	tpm2_password(x);
	tpm2_put(x, 0, 2);
	tpm2_put(x, 14, 2);
	tpm2_put(x, index, 4);
	tpm2_put(x, TPM2_SHA256, 2);
	tpm2_put(x, 0x02060006 | type << 4, 4); /* owner and password write and read; no lockout */
	tpm2_put(x, 0, 2);
	tpm2_put(x, size, 2);
	return tpm2_run(x);
}

static inline u32 tpm2_nv_write(struct tpm_test *x, u32 index, const void *data, unsigned size)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x137);
	tpm2_put(x, index, 4);
	tpm2_put(x, index, 4);
	tpm2_password(x);
	tpm2_put(x, size, 2);
	tpm2_bytes(x, data, size);
	tpm2_put(x, 0, 2);
	return tpm2_run(x);
}

static inline u32 tpm2_nv_increment(struct tpm_test *x, u32 index)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x134);
	tpm2_put(x, index, 4);
	tpm2_put(x, index, 4);
	tpm2_password(x);
	return tpm2_run(x);
}

/* The bytes begin at a + 16. */
static inline u32 tpm2_nv_read(struct tpm_test *x, u32 index, unsigned size)
{
	tpm2_begin(x, TPM2_SESSIONS, 0x14e);
	tpm2_put(x, index, 4);
	tpm2_put(x, index, 4);
	tpm2_password(x);
	tpm2_put(x, size, 2);
	tpm2_put(x, 0, 2);
	return tpm2_run(x);
}

/* The child of a process that has one; 0: it has none. */
static inline pid_t tpm_test_child(pid_t parent)
{
	DIR *d = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		char path[300], text[300] = "";
		snprintf(path, sizeof(path), "/proc/%.200s/stat", e->d_name);
		FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		fclose(f);
		const char *p = strrchr(text, ')');
		if (p && strlen(p) > 4 && atoi(p + 4) == parent && p[2] != 'Z')
			found = atoi(text);
	}
	if (d)
		closedir(d);
	return found;
}

/* The helper of the build that this test is of; NULL: it was not built. */
static inline const char *tpm_test_helper(char *path, size_t n)
{
	char folder[4000];

	if (!os_program_folder(folder, sizeof(folder)))
		return NULL;
	snprintf(path, n, "%s/../turnstile-tpm", folder);
	return os_may_execute(path) ? path : NULL;
}

#endif
