/*
 * The words between a machine and the engine of its TPM: swtpm's, as swtpm_ioctls(3) has them. Two sockets. On the control
 * socket goes a command code (4 bytes) with its body, and comes a result (4 bytes, 0 is good) with what follows it; on the
 * data socket, which the control socket hands over, go TPM commands and come their answers. All numbers are big-endian.
 *
 * Our own engine, turnstile-tpm, has its control socket as standard input and knows a few words more, WIRE_OWN.
 */
#ifndef DEV_TPM_WIRE_H
#define DEV_TPM_WIRE_H

#include "base/base.h"

enum wire_command {
	WIRE_GET_CAPABILITY = 1,   /* answer: 8 bytes of WIRE_CAP and no result */
	WIRE_INIT = 2,             /* flags (4): _TPM_Init; again: a reset of the TPM */
	WIRE_SHUTDOWN = 3,         /* the engine ends */
	WIRE_GET_ESTABLISHED = 4,  /* answer: bit (1), 3 bytes of nothing */
	WIRE_SET_LOCALITY = 5,     /* locality (1), 3 bytes of nothing */
	WIRE_HASH_START = 6,
	WIRE_HASH_DATA = 7,        /* length (4), data */
	WIRE_HASH_END = 8,
	WIRE_CANCEL = 9,
	WIRE_STORE_VOLATILE = 10,
	WIRE_RESET_ESTABLISHED = 11, /* locality (1), 3 bytes of nothing */
	WIRE_GET_STATE = 12,       /* flags (4), type (4), offset (4); answer: flags (4), whole length (4), length (4), data */
	WIRE_SET_STATE = 13,       /* flags (4), type (4), length (4), data */
	WIRE_STOP = 14,            /* power off; WIRE_INIT is the next */
	WIRE_GET_CONFIG = 15,      /* answer: flags (4) */
	WIRE_SET_DATAFD = 16,      /* with the data socket as its SCM_RIGHTS */
	WIRE_SET_BUFFERSIZE = 17,  /* size (4), 0: asks; answer: size, least, most (4 each) */
	WIRE_GET_INFO = 18,        /* flags (8), offset (4), nothing (4); answer: whole length (4), length (4), text */
	WIRE_OWN = 0x54530000,
	WIRE_OWN_CLOCK,            /* ns (8): the machine's time, all the time there is until the next */
	WIRE_OWN_CHANGED,          /* answer: how often the permanent state was stored since the engine began (4) */
};

enum {
	WIRE_CAP_INIT = 1 << 0, WIRE_CAP_SHUTDOWN = 1 << 1, WIRE_CAP_GET_ESTABLISHED = 1 << 2, WIRE_CAP_SET_LOCALITY = 1 << 3,
	WIRE_CAP_HASHING = 1 << 4, WIRE_CAP_CANCEL = 1 << 5, WIRE_CAP_RESET_ESTABLISHED = 1 << 7, WIRE_CAP_GET_STATE = 1 << 8,
	WIRE_CAP_SET_STATE = 1 << 9, WIRE_CAP_STOP = 1 << 10, WIRE_CAP_GET_CONFIG = 1 << 11, WIRE_CAP_SET_DATAFD = 1 << 12,
	WIRE_CAP_SET_BUFFERSIZE = 1 << 13, WIRE_CAP_GET_INFO = 1 << 14,
};
#define WIRE_CAP_OWN        BIT(62) /* the words behind WIRE_OWN */
#define WIRE_CAP_REPEATABLE BIT(63) /* every random number comes from the seed */

enum { WIRE_PERMANENT = 1, WIRE_VOLATILE = 2 }; /* types of WIRE_GET_STATE and WIRE_SET_STATE */
enum { WIRE_INFO_SPECIFICATION = 1 };           /* flags of WIRE_GET_INFO: text has "family":"2.0" */
enum {                                          /* results */
	WIRE_OK = 0, WIRE_FAIL = 9, WIRE_BAD_ORDINAL = 0x0a, WIRE_BAD_LOCALITY = 0x3d,
};
enum { WIRE_STATE_MAX = 4 << 20, WIRE_CHUNK = 4096 }; /* bytes of a state, far above any; of what is hashed at once */

static inline void wire_put32(u8 *p, u32 v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static inline void wire_put64(u8 *p, u64 v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

static inline u32 wire_get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

static inline u64 wire_get64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

#endif
