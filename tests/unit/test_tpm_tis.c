/*
 * The TPM's registers from the platform's side: what SKINIT sends at locality 4, what a reset and a reload do, and when
 * answers come. tests/guest/tpm.c has what software does with them. Digests are judged by another SHA-256.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/devices.h"
#include "report.h"
#include "sha256.h"
#include "tpm_fixture.h"

#define TIS 0xfed40000ull
enum { ACCESS = 0, INT_ENABLE = 8, INT_VECTOR = 0xc, INT_STATUS = 0x10, STS = 0x18, FIFO = 0x24 };
enum { VALID = 0x80, ACTIVE = 0x20, SEIZED = 0x10, PENDING = 4, REQUEST = 2, UNESTABLISHED = 1 };
enum { S_VALID = 0x80, S_READY = 0x40, S_GO = 0x20, S_AVAIL = 0x10 };
enum { MS = 1000000 };

struct board {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct device *tis;
	bool level[16];
	struct tpm_test x; /* the engine, by itself */
};

static char helper[4096];

static void line_set(void *arg, unsigned n, bool level)
{
	((struct board *)arg)->level[n] = level;
}

static void build(struct board *b)
{
	const struct tpm_config c = {.option = "--tpm", .helper = helper};
	struct irq_line lines[16];
	struct err err = {""};

	memset(b, 0, sizeof(*b));
	clock_init(&b->clock);
	if (bus_init(&b->bus, &b->clock, NULL, 1 << 20, 0x80000000, &err) != ST_OK ||
	    tpm_open(&b->x.t, &c, &err) != ST_OK || tpm_start(b->x.t, &err) != ST_OK)
		fail_msg("%s", err.text);
	for (unsigned n = 0; n < 16; n++)
		lines[n] = (struct irq_line){.set = line_set, .arg = b, .n = n};
	b->env = (struct dev_env){.bus = &b->bus, .clock = &b->clock};
	assert_int_equal(tpm_tis_create(&b->tis, &b->env, b->x.t, lines), ST_OK);
	assert_int_equal(tpm2_startup(&b->x), TPM_RC_SUCCESS);
}

static void tear_down(struct board *b)
{
	b->tis->ops->destroy(b->tis);
	tpm_close(b->x.t);
	bus_fini(&b->bus);
}

static u32 get(struct board *b, unsigned l, unsigned offset, unsigned size)
{
	return (u32)bus_mmio_read(&b->bus, TIS + (l << 12) + offset, size);
}

static void put(struct board *b, unsigned l, unsigned offset, unsigned size, u32 v)
{
	bus_mmio_write(&b->bus, TIS + (l << 12) + offset, size, v);
}

static u8 access_of(struct board *b, unsigned l)
{
	return (u8)get(b, l, ACCESS, 1);
}

static void pass(struct board *b, u64 ns)
{
	b->clock.now += ns;
	clock_fire(&b->clock);
}

/* What the fixture has put together, through the registers up to tpmGo. */
static void start(struct board *b, unsigned l)
{
	wire_put32(b->x.c + 2, b->x.n);
	put(b, l, STS, 1, S_READY);
	pass(b, MS);
	for (u32 i = 0; i < b->x.n; i++) {
		put(b, l, FIFO, 1, b->x.c[i]);
		pass(b, MS / 10);
	}
	put(b, l, STS, 1, S_GO);
}

/* The last command's extension of a PCR with 32 times `fill`, not yet sent. */
static void make_extend(struct board *b, unsigned pcr, u8 fill)
{
	u8 digest[TPM2_SIZE];

	memset(digest, fill, sizeof(digest));
	tpm2_begin(&b->x, TPM2_SESSIONS, 0x182);
	tpm2_put(&b->x, pcr, 4);
	tpm2_password(&b->x);
	tpm2_put(&b->x, 1, 4);
	tpm2_put(&b->x, TPM2_SHA256, 2);
	tpm2_bytes(&b->x, digest, sizeof(digest));
}

/* What a PCR of value `old` becomes by extending it with a digest. */
static void extended(const u8 old[32], const u8 digest[32], u8 value[32])
{
	u8 both[64];

	memcpy(both, old, 32);
	memcpy(both + 32, digest, 32);
	sha256(both, sizeof(both), value);
}

static const u8 zeros[32];

static void assert_pcr(struct board *b, unsigned pcr, const u8 want[32])
{
	u8 got[32];

	assert_int_equal(tpm2_pcr_read(&b->x, pcr, got), TPM_RC_SUCCESS);
	assert_memory_equal(got, want, 32);
}

static void assert_launched(struct board *b, const void *image, size_t size)
{
	u8 digest[32], value[32];

	sha256(image, size, digest);
	extended(zeros, digest, value);
	assert_pcr(b, 17, value);
}

/* ---- the judge: FIPS 180-4 and its examples ---- */

static void test_judge(void **state)
{
	static const u8 abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
	                         0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	static const u8 two[] = {0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8, 0xe5, 0xc0, 0x26, 0x93, 0x0c, 0x3e, 0x60, 0x39,
	                         0xa3, 0x3c, 0xe4, 0x59, 0x64, 0xff, 0x21, 0x67, 0xf6, 0xec, 0xed, 0xd4, 0x19, 0xdb, 0x06, 0xc1};
	const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	u8 got[32];

	(void)state;
	sha256("abc", 3, got);
	assert_memory_equal(got, abc, 32);
	sha256(text, strlen(text), got);
	assert_memory_equal(got, two, 32);
}

/* ---- tpm_tis_measure ---- */

static void test_measure(void **state)
{
	static u8 image[65535];
	static const u32 sizes[] = {65535, 4096, 64, 1, 0};
	u8 before[32];
	struct board b;

	(void)state;
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (u8)(i * 7 + i / 251);
	build(&b);
	assert_int_equal(tpm2_pcr_extend(&b.x, 10, image), TPM_RC_SUCCESS);
	assert_int_equal(tpm2_pcr_read(&b.x, 10, before), TPM_RC_SUCCESS);
	assert_int_equal(access_of(&b, 0), VALID | UNESTABLISHED);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		tpm_tis_measure(b.tis, image, sizes[i]);
		assert_launched(&b, image, sizes[i]);
		for (unsigned pcr = 18; pcr <= 22; pcr++)
			assert_pcr(&b, pcr, zeros);
		assert_pcr(&b, 10, before);
		for (unsigned l = 0; l < 4; l++) /* nobody is active; "tpmEstablishment" is 0 */
			assert_int_equal(access_of(&b, l), VALID);
	}
	tpm_tis_measure(b.tis, image, 4096);
	image[1234] ^= 0x10;
	tpm_tis_measure(b.tis, image, 4096);
	assert_launched(&b, image, 4096);
	tear_down(&b);
	proves("svm.3.1.4.1");
}

/* "TPM_HASH_START": a command under way is aborted, and who had the TPM was seized from. */
static void test_measure_seizes(void **state)
{
	static const u8 image[64] = {4, 0, 64, 0, 1};
	struct board b;

	(void)state;
	build(&b);
	put(&b, 1, ACCESS, 1, REQUEST);
	put(&b, 1, INT_VECTOR, 1, 6);
	put(&b, 1, INT_ENABLE, 4, 1u << 31 | 0x87);
	put(&b, 3, ACCESS, 1, REQUEST);
	make_extend(&b, 16, 5);
	start(&b, 1);
	put(&b, 1, INT_STATUS, 4, 0x87);
	assert_false(b.level[6]);
	tpm_tis_measure(b.tis, image, sizeof(image));
	assert_int_equal(access_of(&b, 1), VALID | SEIZED);
	assert_int_equal(access_of(&b, 3), VALID | ACTIVE); /* it waited, and is next */
	assert_int_equal(get(&b, 3, INT_STATUS, 4), 4);
	assert_true(b.level[6]);
	assert_int_equal(get(&b, 1, STS, 4), 0xffffffff);
	assert_int_equal(get(&b, 3, STS, 4) & 0xfffff8, S_VALID);
	pass(&b, 1000ull * MS);
	assert_int_equal(get(&b, 3, STS, 4) & S_AVAIL, 0);
	assert_pcr(&b, 16, zeros);
	assert_launched(&b, image, sizeof(image));
	tear_down(&b);
}

/* Stores of processors and of devices to locality 4 are no transactions of the platform's. */
static void test_nobody_else(void **state)
{
	static const u16 offsets[] = {ACCESS, STS, 0x20, 0x24, 0x28};
	u8 ones[32];
	struct board b;
	u64 v = 0x0808080808080808;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	build(&b);
	for (unsigned i = 0; i < 2 * ARRAY_LEN(offsets); i++) {
		u64 pa = TIS + (4 << 12) + offsets[i % ARRAY_LEN(offsets)];
		u8 got[8] = {0};
		for (unsigned size = 1; size <= 4; size *= 2) {
			put(&b, 4, offsets[i % ARRAY_LEN(offsets)], size, 1);
			dma_write(&b.bus, 0x10, pa, &v, size);
			assert_int_equal(get(&b, 4, offsets[i % ARRAY_LEN(offsets)], size), low_bytes(~0ull, size));
			dma_read(&b.bus, 0x10, pa, got, size);
			assert_memory_equal(got, ones, size);
		}
	}
	assert_pcr(&b, 17, ones);
	for (unsigned l = 0; l < 4; l++)
		assert_int_equal(access_of(&b, l), VALID | UNESTABLISHED);
	tear_down(&b);
	proves("svm.3.1.5.1");
}

/* "Reset Establishment Bit": at locality 3 and no lower one. */
static void test_establishment(void **state)
{
	struct board b;

	(void)state;
	build(&b);
	tpm_tis_measure(b.tis, "x", 1);
	for (unsigned l = 0; l < 4; l++) {
		put(&b, l, ACCESS, 1, REQUEST);
		put(&b, l, STS + 3, 1, 2);
		assert_int_equal(access_of(&b, l), VALID | ACTIVE | (l == 3 ? UNESTABLISHED : 0));
		put(&b, l, ACCESS, 1, ACTIVE);
	}
	tear_down(&b);
}

/* ---- the TPM's own verdict: what it keeps for one image it keeps from another ---- */

enum { POLICY = 1, TRIAL = 3, POLICY_FAIL = 0x99d, INDEX = 0x01500020 };

static u32 start_session(struct board *b, u8 kind)
{
	static const u8 nonce[16] = {1};

	tpm2_begin(&b->x, TPM2_NO_SESSIONS, 0x176);
	tpm2_put(&b->x, 0x40000007, 4); /* no key, not bound */
	tpm2_put(&b->x, 0x40000007, 4);
	tpm2_put(&b->x, sizeof(nonce), 2);
	tpm2_bytes(&b->x, nonce, sizeof(nonce));
	tpm2_put(&b->x, 0, 2);
	tpm2_put(&b->x, kind, 1);
	tpm2_put(&b->x, 0x10, 2);
	tpm2_put(&b->x, TPM2_SHA256, 2);
	assert_int_equal(tpm2_run(&b->x), TPM_RC_SUCCESS);
	return wire_get32(b->x.a + TPM_HEADER);
}

/* "TPM2_PolicyPCR": PCR 17 as it is now. */
static void policy_pcr17(struct board *b, u32 session)
{
	tpm2_begin(&b->x, TPM2_NO_SESSIONS, 0x17f);
	tpm2_put(&b->x, session, 4);
	tpm2_put(&b->x, 0, 2);
	tpm2_put(&b->x, 1, 4);
	tpm2_put(&b->x, TPM2_SHA256, 2);
	tpm2_put(&b->x, 3, 1);
	tpm2_put(&b->x, 2, 3);
	assert_int_equal(tpm2_run(&b->x), TPM_RC_SUCCESS);
}

/* Eight bytes of NV that are read under this PCR 17 alone. */
static void keep_secret(struct board *b, u64 secret)
{
	u32 session = start_session(b, TRIAL);
	u8 digest[32];

	policy_pcr17(b, session);
	tpm2_begin(&b->x, TPM2_NO_SESSIONS, 0x189); /* PolicyGetDigest */
	tpm2_put(&b->x, session, 4);
	assert_int_equal(tpm2_run(&b->x), TPM_RC_SUCCESS);
	memcpy(digest, b->x.a + TPM_HEADER + 2, sizeof(digest));
	assert_int_equal(tpm2_flush(&b->x, session), TPM_RC_SUCCESS);
	tpm2_begin(&b->x, TPM2_SESSIONS, 0x12a); /* NV_DefineSpace */
	tpm2_put(&b->x, TPM2_RH_OWNER, 4);
	tpm2_password(&b->x);
	tpm2_put(&b->x, 0, 2);
	tpm2_put(&b->x, 14 + sizeof(digest), 2);
	tpm2_put(&b->x, INDEX, 4);
	tpm2_put(&b->x, TPM2_SHA256, 2);
	tpm2_put(&b->x, 0x00080002, 4); /* read by policy, written by the owner */
	tpm2_put(&b->x, sizeof(digest), 2);
	tpm2_bytes(&b->x, digest, sizeof(digest));
	tpm2_put(&b->x, 8, 2);
	assert_int_equal(tpm2_run(&b->x), TPM_RC_SUCCESS);
	tpm2_begin(&b->x, TPM2_SESSIONS, 0x137); /* NV_Write */
	tpm2_put(&b->x, TPM2_RH_OWNER, 4);
	tpm2_put(&b->x, INDEX, 4);
	tpm2_password(&b->x);
	tpm2_put(&b->x, 8, 2);
	tpm2_put(&b->x, secret, 8);
	tpm2_put(&b->x, 0, 2);
	assert_int_equal(tpm2_run(&b->x), TPM_RC_SUCCESS);
}

static u32 read_secret(struct board *b, u64 *secret)
{
	u32 session = start_session(b, POLICY);

	policy_pcr17(b, session);
	tpm2_begin(&b->x, TPM2_SESSIONS, 0x14e); /* NV_Read */
	tpm2_put(&b->x, INDEX, 4);
	tpm2_put(&b->x, INDEX, 4);
	tpm2_put(&b->x, 9, 4);
	tpm2_put(&b->x, session, 4);
	tpm2_put(&b->x, 0, 5);
	tpm2_put(&b->x, 8, 2);
	tpm2_put(&b->x, 0, 2);
	u32 code = tpm2_run(&b->x);
	*secret = (u64)wire_get32(b->x.a + 16) << 32 | wire_get32(b->x.a + 20);
	return code;
}

static void test_verdict(void **state)
{
	static const u8 image[256] = {4, 0, 0, 1, 0x90}, wrong[256] = {4, 0, 0, 1, 0x91};
	const u64 secret = 0x1122334455667788;
	struct board b;
	u64 got;

	(void)state;
	build(&b);
	tpm_tis_measure(b.tis, image, sizeof(image));
	keep_secret(&b, secret);
	assert_int_equal(read_secret(&b, &got), TPM_RC_SUCCESS);
	assert_true(got == secret);
	tpm_tis_measure(b.tis, wrong, sizeof(wrong)); /* it is started all the same */
	assert_int_equal(read_secret(&b, &got), POLICY_FAIL);
	tpm_tis_measure(b.tis, image, sizeof(image));
	assert_int_equal(read_secret(&b, &got), TPM_RC_SUCCESS);
	assert_true(got == secret);
	tear_down(&b);
	proves("svm.3.1.4.2");
}

/* ---- time, reset, reload ---- */

static void test_times(void **state)
{
	struct board b;

	(void)state;
	build(&b);
	put(&b, 0, ACCESS, 1, REQUEST);
	put(&b, 0, STS, 1, S_READY);
	assert_int_equal(get(&b, 0, STS, 1) & S_READY, 0);
	pass(&b, MS);
	assert_int_equal(get(&b, 0, STS, 1) & (S_READY | S_VALID), S_READY | S_VALID);
	make_extend(&b, 16, 5);
	start(&b, 0);
	for (unsigned n = 0; n < 19; n++) {
		pass(&b, MS / 10);
		assert_int_equal(get(&b, 0, STS, 1) & S_AVAIL, 0);
		assert_pcr(&b, 16, zeros); /* nothing has happened yet */
	}
	pass(&b, MS / 10);
	assert_int_equal(get(&b, 0, STS, 1) & (S_AVAIL | S_VALID), S_AVAIL | S_VALID);
	u8 digest[32], want[32];
	memset(digest, 5, sizeof(digest));
	extended(zeros, digest, want);
	assert_pcr(&b, 16, want);
	tear_down(&b);
}

/* All rows, there and back. */
static void rows(struct device *d, u8 *data, bool write)
{
	for (size_t i = 0; i < d->ops->row_count; i++) {
		const struct state_row *r = &d->ops->rows[i];
		u8 *p = (u8 *)d + r->offset;
		size_t n = (size_t)r->width * r->count;
		memcpy(write ? p : data, write ? data : p, n);
		data += n;
	}
}

static void test_reload(void **state)
{
	static u8 saved[8192];
	struct board b;
	u8 answer[256];

	(void)state;
	build(&b);
	put(&b, 2, ACCESS, 1, REQUEST);
	put(&b, 2, INT_VECTOR, 1, 5);
	put(&b, 2, INT_ENABLE, 4, 1u << 31 | 1);
	tpm2_begin(&b.x, TPM2_NO_SESSIONS, 0x17b); /* GetRandom */
	tpm2_put(&b.x, 20, 2);
	start(&b, 2);
	pass(&b, MS);
	rows(b.tis, saved, false);
	tpm_tis_measure(b.tis, "x", 1); /* spoils everything */
	put(&b, 0, ACCESS, 1, REQUEST);
	rows(b.tis, saved, true);
	b.tis->ops->loaded(b.tis);
	assert_int_equal(access_of(&b, 2), VALID | ACTIVE);
	pass(&b, MS - 1);
	assert_int_equal(get(&b, 2, STS, 1) & S_AVAIL, 0);
	assert_false(b.level[5]);
	pass(&b, 1);
	assert_int_equal(get(&b, 2, STS, 4) & 0xffff90, 32 << 8 | S_VALID | S_AVAIL);
	assert_true(b.level[5]);
	for (unsigned i = 0; i < 32; i++)
		answer[i] = (u8)get(&b, 2, FIFO, 1);
	assert_int_equal(wire_get32(answer + 2), 32);
	assert_int_equal(wire_get32(answer + 6), TPM_RC_SUCCESS);
	tear_down(&b);
}

static u32 startup_or_shutdown(struct board *b, u32 code, u16 how)
{
	tpm2_begin(&b->x, TPM2_NO_SESSIONS, code);
	tpm2_put(&b->x, how, 2);
	return tpm2_run(&b->x);
}

/* _TPM_Init at every reset; what TPM2_Shutdown(STATE) kept, TPM2_Startup(STATE) brings back. */
static void test_reset(void **state)
{
	enum { STARTUP = 0x144, SHUTDOWN = 0x145, CLEAR = 0, STATE_KEPT = 1, INITIALIZE = 0x100 };
	u8 digest[32] = {1}, want[32], got[32];
	struct board b;

	(void)state;
	build(&b);
	extended(zeros, digest, want);
	assert_int_equal(tpm2_pcr_extend(&b.x, 3, digest), TPM_RC_SUCCESS);
	assert_int_equal(startup_or_shutdown(&b, SHUTDOWN, STATE_KEPT), TPM_RC_SUCCESS);
	put(&b, 1, ACCESS, 1, REQUEST);
	put(&b, 1, INT_VECTOR, 1, 7);
	put(&b, 1, INT_ENABLE, 4, 1u << 31 | 0x87);
	put(&b, 3, ACCESS, 1, REQUEST);
	put(&b, 2, ACCESS, 1, 8);
	put(&b, 2, STS, 1, S_READY);
	pass(&b, MS);
	assert_true(b.level[7]);
	b.tis->ops->reset(b.tis);
	assert_false(b.level[7]);
	for (unsigned l = 0; l < 4; l++)
		assert_int_equal(access_of(&b, l), VALID | UNESTABLISHED);
	assert_int_equal(get(&b, 0, INT_ENABLE, 4), 8);
	assert_int_equal(get(&b, 0, INT_STATUS, 4), 0);
	assert_int_equal(get(&b, 0, INT_VECTOR, 1), 0);
	assert_int_equal(tpm2_pcr_read(&b.x, 3, got), INITIALIZE);
	assert_int_equal(startup_or_shutdown(&b, STARTUP, STATE_KEPT), TPM_RC_SUCCESS);
	assert_pcr(&b, 3, want);
	b.tis->ops->reset(b.tis);
	assert_int_equal(startup_or_shutdown(&b, STARTUP, CLEAR), TPM_RC_SUCCESS);
	assert_pcr(&b, 3, zeros);
	tear_down(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_judge),         cmocka_unit_test(test_measure), cmocka_unit_test(test_measure_seizes),
	        cmocka_unit_test(test_nobody_else),   cmocka_unit_test(test_establishment),
	        cmocka_unit_test(test_verdict),       cmocka_unit_test(test_times),   cmocka_unit_test(test_reload),
	        cmocka_unit_test(test_reset),
	};

	if (!tpm_test_helper(helper, sizeof(helper))) {
		puts("skipped: the TPM's registers: turnstile-tpm was not built");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
