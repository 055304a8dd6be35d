/*
 * The file that keeps a TPM's permanent state: 24 bytes of header, then what the engine's library calls its state, as it
 * gave it.
 *
 *   0   8  magic "TSTPM\r\n\x1a"
 *   8   4  version, 1
 *  12   4  bytes behind the header
 *  16   4  0
 *  20   4  CRC-32 (IEEE 802.3) of everything before and behind it
 *
 * Numbers are little-endian. What is not exactly this is refused, and nobody touches it.
 */
#ifndef DEV_TPM_STATE_H
#define DEV_TPM_STATE_H

#include "base/base.h"

enum { TPM_STATE_HEADER = 24, TPM_STATE_VERSION = 1 };

/* Where the state lies in a file's content. ST_ARG: err->text says why it is none. */
enum status tpm_state_parse(const u8 *file, u64 size, const u8 **state, u32 *length, struct err *err) must_check;
void tpm_state_header(u8 header[TPM_STATE_HEADER], const u8 *state, u32 length);

#endif
