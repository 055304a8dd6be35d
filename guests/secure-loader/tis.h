/*
 * The least of a TPM 2.0 driver: the FIFO interface (TIS 1.3) at FED4_0000h by polling, and two commands. The same source
 * serves the driver in 64 bits and the loader in 32.
 */
#ifndef SECURE_LOADER_TIS_H
#define SECURE_LOADER_TIS_H

#include <stdbool.h>
#include <stdint.h>

enum { DIGEST = 32 }; /* the SHA-256 bank */

bool tpm_there(void);
/* One locality at a time: 0 for everybody, 2 for who was launched by SKINIT. */
bool tpm_take(unsigned locality);
void tpm_leave(unsigned locality);
/* The TPM's response code; 0: done. NO_ANSWER: it did not answer as a TPM does. */
#define TPM_NO_ANSWER 0xffffffffu
uint32_t tpm_pcr_read(unsigned locality, unsigned pcr, uint8_t digest[DIGEST]);
uint32_t tpm_pcr_extend(unsigned locality, unsigned pcr, const uint8_t digest[DIGEST]);

#endif
