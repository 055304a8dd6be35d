/*
 * tpm: turnstile-tpm, the engine behind a machine's TPM: a program of its own, because the state of libtpms is the process's.
 * It knows no file and no clock: state, time and seed come from the machine, through the words of dev/tpm_wire.h. May call:
 * base, dev (its wire), libtpms, OpenSSL. Started by: dev/tpm_link.c.
 *
 * main.c: the two sockets. library.c: libtpms. nature.c: time and chance as libtpms finds them.
 */
#ifndef TPM_TPM_H
#define TPM_TPM_H

#include "base/base.h"

/* ---- nature.c ---- */
bool nature_seed(u64 seed); /* false: OpenSSL keeps its own random numbers */
void nature_clock(u64 ns);

/* ---- library.c: a result of libtpms each, 0 is good ---- */
bool library_open(void);
u32 library_init(void); /* _TPM_Init, also of a TPM that has power already */
void library_stop(void);
bool library_running(void);
u32 library_locality(u8 locality);
/* A whole command; the answer is the library's until the next. */
u32 library_command(u8 *command, u32 size, u8 **answer, u32 *answer_size);
u32 library_hash_start(void);
u32 library_hash_data(const u8 *data, u32 size);
u32 library_hash_end(void);
u32 library_established(bool *established);
u32 library_reset_established(u8 locality);
u32 library_cancel(void);
u32 library_buffer(u32 wanted, u32 *least, u32 *most); /* the size in use; 0: asks */
char *library_info(u32 flags);                         /* to be freed; NULL: out of memory */
u32 library_stores(void);                              /* of permanent state, so far */
u32 library_set_permanent(const u8 *data, u32 size);   /* good for the next library_init() */
/* *data is to be freed. */
u32 library_get_state(unsigned type, u8 **data, u32 *size);

#endif
