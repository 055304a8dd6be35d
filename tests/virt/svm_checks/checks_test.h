/* What the files of this test share. evaluator.c sees nothing of src/svm: a page of bytes and the processor's facts. */
#ifndef SVM_CHECKS_TEST_H
#define SVM_CHECKS_TEST_H

#include <stdint.h>

struct facts { /* of the processor and the host, as CPUID and the control registers tell them */
	unsigned phys_bits;
	uint32_t asids;
	int has_long_mode, has_np, has_avic, has_x2avic, has_vnmi;
	int of_2005;
	int host_paging;
	uint64_t cr4_defined, efer_defined;
	uint64_t pdpe[4]; /* what lies at the guest's CR3 */
};

#define MAX_IDS 64
/* Bit n: the check with id_name(n) fails. */
uint64_t evaluate(const uint8_t page[4096], const struct facts *f);
const char *id_name(unsigned n); /* NULL behind the last */

#endif
