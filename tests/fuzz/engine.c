#include "engine.h"

#include "fuzz.h"

struct tpm fuzz_engine;

void engine_reset(void)
{
	fuzz_engine = (struct tpm){.size = 0};
}

static u64 sum_of(const u8 *p, u32 n)
{
	u64 h = 0xcbf29ce484222325ull;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h ^ h >> 29;
}

/* Short ones and long ones, most of them of success. */
u32 engine_answer(const u8 *command, u32 size, bool canceled, u8 answer[TPM_BUFFER])
{
	u64 sum = sum_of(command, size);
	u32 n = TPM_HEADER + (u32)(sum >> 8) % (sum & 3 ? 200 : TPM_BUFFER - TPM_HEADER + 1);
	u32 code = canceled ? TPM_RC_CANCELED : sum & 0x70 ? TPM_RC_SUCCESS : TPM_RC_FAILURE;

	n = code == TPM_RC_SUCCESS ? n : TPM_HEADER;
	const u8 header[TPM_HEADER] = {0x80, 1, 0, 0, (u8)(n >> 8), (u8)n, 0, 0, (u8)(code >> 8), (u8)code};
	memcpy(answer, header, TPM_HEADER);
	for (u32 i = TPM_HEADER; i < n; i++)
		answer[i] = sum & 0x100 && i % 4 != 3 ? 0 : (u8)((sum >> i % 50) + i * 5);
	return n;
}

enum status __wrap_tpm_open(struct tpm **out, const struct tpm_config *cfg, struct err *err);
enum status __wrap_tpm_start(struct tpm *t, struct err *err);
void __wrap_tpm_close(struct tpm *t);
void __wrap_tpm_power_on(struct tpm *t, u64 now);
void __wrap_tpm_send(struct tpm *t, u64 now, unsigned locality, const void *command, u32 size);
u32 __wrap_tpm_receive(struct tpm *t, void *answer);
void __wrap_tpm_cancel(struct tpm *t);
void __wrap_tpm_hash_start(struct tpm *t, u64 now);
void __wrap_tpm_hash_data(struct tpm *t, const void *data, u64 size);
void __wrap_tpm_hash_end(struct tpm *t);
bool __wrap_tpm_established(struct tpm *t);
u32 __wrap_tpm_reset_established(struct tpm *t, unsigned locality);
u64 __wrap_tpm_hash(struct tpm *t, u64 seed);

enum status __wrap_tpm_open(struct tpm **out, const struct tpm_config *cfg, struct err *err)
{
	(void)cfg, (void)err;
	engine_reset();
	*out = &fuzz_engine;
	return ST_OK;
}

enum status __wrap_tpm_start(struct tpm *t, struct err *err)
{
	(void)t, (void)err;
	return ST_OK;
}

void __wrap_tpm_close(struct tpm *t)
{
	(void)t;
}

void __wrap_tpm_power_on(struct tpm *t, u64 now)
{
	(void)now;
	t->sent = false;
}

void __wrap_tpm_send(struct tpm *t, u64 now, unsigned locality, const void *command, u32 size)
{
	(void)now;
	if (size < TPM_HEADER || size > TPM_BUFFER || locality > 3)
		fuzz_fail("%u bytes sent from locality %u", size, locality);
	memcpy(t->command, command, size);
	t->size = size;
	t->locality = locality;
	t->canceled = false;
	t->sent = true;
}

u32 __wrap_tpm_receive(struct tpm *t, void *answer)
{
	if (!t->sent)
		fuzz_fail("an answer to nothing");
	t->sent = false;
	t->executed++;
	return engine_answer(t->command, t->size, t->canceled, answer);
}

void __wrap_tpm_cancel(struct tpm *t)
{
	t->canceled = true;
}

void __wrap_tpm_hash_start(struct tpm *t, u64 now)
{
	(void)now;
	t->launches++;
	t->established = true;
	t->fed = 0;
}

void __wrap_tpm_hash_data(struct tpm *t, const void *data, u64 size)
{
	(void)data;
	t->fed += size;
}

void __wrap_tpm_hash_end(struct tpm *t)
{
	if (!t->launches)
		fuzz_fail("an end without a start");
}

bool __wrap_tpm_established(struct tpm *t)
{
	return t->established;
}

u32 __wrap_tpm_reset_established(struct tpm *t, unsigned locality)
{
	if (locality == 3)
		t->established = false;
	return locality == 3 ? TPM_RC_SUCCESS : TPM_RC_LOCALITY;
}

u64 __wrap_tpm_hash(struct tpm *t, u64 seed)
{
	return seed ^ t->executed;
}
