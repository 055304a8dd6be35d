/*
 * A TPM engine in place of the real one (src/dev/tpm.h): the answer is a function of the command, well-formed as far as
 * its header. Programs that have it wrap the calls: meson.build.
 */
#ifndef TESTS_FUZZ_ENGINE_H
#define TESTS_FUZZ_ENGINE_H

#include "dev/tpm.h"

struct tpm {
	u8 command[TPM_BUFFER]; /* the last that was sent */
	u32 size;
	unsigned locality, executed; /* from where it came; how many were executed */
	bool sent, canceled, established;
	u64 launches, fed; /* hash starts; bytes since the last */
};
extern struct tpm fuzz_engine;

void engine_reset(void);
/* What the engine answers; the size. */
u32 engine_answer(const u8 *command, u32 size, bool canceled, u8 answer[TPM_BUFFER]);

#endif
