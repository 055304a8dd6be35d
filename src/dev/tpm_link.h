/*
 * The two sockets to the engine of a TPM, and the words on them (tpm_wire.h). Called by: tpm_engine.c. Whatever fails once
 * the link is open is the end of the engine: link->broken then says why, in words that go behind "turnstile-tpm" or
 * "the swtpm", and every later call fails at once.
 */
#ifndef DEV_TPM_LINK_H
#define DEV_TPM_LINK_H

#include "base/os.h"
#include "dev/tpm.h"
#include "dev/tpm_wire.h"

struct tpm_link {
	int control, data;
	struct os_process helper; /* pid 0: the engine is somebody else's */
	u64 caps;                 /* WIRE_CAP */
	char broken[120];         /* "": not broken */
};

/* Starts turnstile-tpm, or connects to cfg->socket. err->text begins with the option. */
enum status tpm_link_open(struct tpm_link *l, const struct tpm_config *cfg, struct err *err) must_check;
void tpm_link_close(struct tpm_link *l);

/* A word with a body of n bytes; `want` bytes of answer behind the result. true: *result is the engine's, and the answer
 * is there if it is 0 or the word always has one. */
bool tpm_link_call(struct tpm_link *l, enum wire_command code, const void *body, size_t n, u32 *result, void *answer,
                   size_t want);
/* The same with one number as the body, and no answer. */
bool tpm_link_call32(struct tpm_link *l, enum wire_command code, u32 v, u32 *result);
/* A command and its answer on the data socket. 0: the link is broken. */
u32 tpm_link_command(struct tpm_link *l, const u8 *command, u32 size, u8 answer[TPM_BUFFER]);
/* *state is to be freed with base_free(); NULL: the engine has none, or is gone. */
void tpm_link_get_state(struct tpm_link *l, unsigned type, u8 **state, u32 *size);
bool tpm_link_set_state(struct tpm_link *l, const u8 *state, u32 size, u32 *result);

#endif
