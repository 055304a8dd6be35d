/* The least of a TPM that these tests need: a locality's registers, TPM2_PCR_Read, and the digest to compare with. */
#ifndef SKINIT_TPM_H
#define SKINIT_TPM_H

#include "guest.h"

bool tpm_present(void);
/* PCR 17 of the SHA-256 bank, asked for at this locality. */
void tpm_pcr17(unsigned locality, u8 value[32]);
void sha256(const void *data, u64 size, u8 digest[32]);

#endif
