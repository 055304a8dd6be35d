#include "dev/tpm.h"

struct tpm {
	struct tpm_config cfg;
};

enum status tpm_open(struct tpm **out, const struct tpm_config *cfg, struct err *err)
{
	*out = NULL;
	return err_set(err, ST_ARG, "%s: no TPM yet", cfg->option);
}

enum status tpm_start(struct tpm *t, struct err *err)
{
	(void)t;
	(void)err;
	return ST_OK;
}

void tpm_close(struct tpm *t)
{
	base_free(t);
}

void tpm_power_on(struct tpm *t, u64 now)
{
	(void)t;
	(void)now;
}

void tpm_send(struct tpm *t, u64 now, unsigned locality, const void *command, u32 size)
{
	(void)t;
	(void)now;
	(void)locality;
	(void)command;
	(void)size;
}

u32 tpm_receive(struct tpm *t, void *answer)
{
	(void)t;
	(void)answer;
	return 0;
}

void tpm_cancel(struct tpm *t)
{
	(void)t;
}

void tpm_hash_start(struct tpm *t, u64 now)
{
	(void)t;
	(void)now;
}

void tpm_hash_data(struct tpm *t, const void *data, u64 size)
{
	(void)t;
	(void)data;
	(void)size;
}

void tpm_hash_end(struct tpm *t)
{
	(void)t;
}

bool tpm_established(struct tpm *t)
{
	(void)t;
	return false;
}

u32 tpm_reset_established(struct tpm *t, unsigned locality)
{
	(void)t;
	(void)locality;
	return TPM_RC_FAILURE;
}

const char *tpm_unrepeatable(const struct tpm *t)
{
	(void)t;
	return NULL;
}

u64 tpm_hash(struct tpm *t, u64 seed)
{
	(void)t;
	return seed;
}
