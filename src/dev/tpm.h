/*
 * The TPM behind its register interface: a TPM 2.0 that takes commands and gives answers. Its engine is another process:
 * our own turnstile-tpm (src/tpm), which belongs to one machine and takes time and randomness from it, or a running
 * swtpm. Both speak swtpm's protocol (tpm_wire.h); whoever holds a struct tpm sees no difference.
 *
 * Nothing here runs by itself. A command that was sent waits in this structure; tpm_receive() has it executed and waits
 * for the answer. So what a machine sees depends on when, in its own time, it asks, and never on how long the engine
 * takes; a command that is cancelled in between has not been executed at all.
 *
 * No function fails once the TPM is open. A TPM whose engine has died, or whose state file cannot be written, has said
 * so in one line through config.lost, answers TPM_RC_FAILURE to everything from there on, as a TPM in failure mode does
 * (TPM 2.0 Part 1, "Failure Mode"), and stays so.
 */
#ifndef DEV_TPM_H
#define DEV_TPM_H

#include "base/base.h"

enum {
	TPM_BUFFER = 4096,    /* bytes: no command or answer is longer */
	TPM_HEADER = 10,      /* tag (2), size of the whole (4), command or response code (4); all big-endian */
	TPM_LOCALITIES = 5,
	TPM_RC_SUCCESS = 0,
	TPM_RC_FAILURE = 0x101,
	TPM_RC_COMMAND_SIZE = 0x142,
	TPM_RC_LOCALITY = 0x907,
	TPM_RC_CANCELED = 0x909,
};

struct tpm_config {
	const char *option; /* as it was typed, for messages: "--tpm" */
	const char *state;  /* a file that keeps what a TPM keeps without power; NULL: made anew, and gone at the end */
	const char *socket; /* the control socket of a running swtpm; NULL: an engine of our own */
	const char *helper; /* where turnstile-tpm is; NULL: it is looked for */
	u64 seed;           /* of all that is random in an engine of our own */
	void (*lost)(void *arg, const char *text); /* one line: the TPM has failed, or its file; may be NULL */
	void *arg;
};

struct tpm;

/*
 * An engine with power on. The strings of cfg stay the caller's, and stay. Files are read and locked, none is changed
 * before tpm_start(). ST_ARG: the state file is not one, is in use, or cannot be written; there is no swtpm; the helper
 * is missing (err->text is one line that begins with the option).
 */
enum status tpm_open(struct tpm **out, const struct tpm_config *cfg, struct err *err) must_check;
/* From here on the state file follows what the TPM keeps: it is on the disk before the answer to a command is returned. */
enum status tpm_start(struct tpm *t, struct err *err) must_check;
void tpm_close(struct tpm *t); /* power off; the engine of our own ends; NULL is fine */

/* _TPM_Init, TPM 2.0 Part 1, "_TPM_Init": power or a reset of the platform. Loses the volatile state, and a command that
 * was sent. `now`, here and below: the machine's virtual time in ns, which is all the time an engine of our own knows. */
void tpm_power_on(struct tpm *t, u64 now);

/* A command at a locality (0 to 4). One at a time: another that was sent and not received is dropped. size is at most
 * TPM_BUFFER; one that differs from the header's is answered by TPM_RC_COMMAND_SIZE. */
void tpm_send(struct tpm *t, u64 now, unsigned locality, const void *command, u32 size);
/* The answer: its size, TPM_HEADER to TPM_BUFFER bytes; 0 where nothing was sent. Waits for the engine. */
u32 tpm_receive(struct tpm *t, void *answer);
/* The command that was sent is not executed; its answer is TPM_RC_CANCELED. Nothing was sent: nothing happens. */
void tpm_cancel(struct tpm *t);

/* The dynamic launch's measurement: TPM 2.0 Part 1, "H-CRTM" and "Dynamic Root of Trust for Measurement". PCRs 17 to 22
 * become 0 at its start, PCR 17 is extended with the hash of the data at its end; before TPM2_Startup it is the H-CRTM's
 * and goes to PCR 0. Data may come in any number of pieces. Who may do this (locality 4) is for the caller to check. */
void tpm_hash_start(struct tpm *t, u64 now);
void tpm_hash_data(struct tpm *t, const void *data, u64 size);
void tpm_hash_end(struct tpm *t);

/* TPM_ACCESS_x.tpmEstablishment tells the reverse: its bit is 0 once this is true. */
bool tpm_established(struct tpm *t);
/* TPM_RC_SUCCESS, or why not: a TPM resets it at localities 3 and 4 only. */
u32 tpm_reset_established(struct tpm *t, unsigned locality);

/* Why the same command line may give another run; NULL: it does not. With an engine that is not ours it is so from the
 * first command that draws random numbers or reads the time. */
const char *tpm_unrepeatable(const struct tpm *t);
/* Everything the TPM holds, for the hash of the machine's state. */
u64 tpm_hash(struct tpm *t, u64 seed);

#endif
