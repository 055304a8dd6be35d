/*
 * What MSR tables share: the row macros and the functions that several models use. Private to cpu/ and the models.
 */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/control/control.h"

/* NULL: no such MSR on this model. */
const struct msr_row *msr_find(const struct cpu *c, u32 index);
/*
 * The name of one MSR of a row. A row's name lists its MSRs: "A|B" by turns, where # is the number of the turn, so that
 * "BASE#|MASK#" are BASE0, MASK0, BASE1... A list without # does not start again. Nothing between bars: no name, "".
 */
#define MSR_NAME_MAX 32
const char *msr_name(const struct msr_row *r, u32 index, char out[MSR_NAME_MAX]);
struct words;
void msr_words(struct words *w, const struct cpu *c, u32 index); /* "0xc0000080 EFER"; one that is none here: the number */
extern const struct msr_set msr_common;

/*
 * Bases in MSRs, descriptor-table registers and hidden parts of segments, and the addresses of INVPCID and INVVPID, must be
 * canonical for the widest addresses that the processor has, whatever CR4.LA57 says now; accesses and loads of RIP go by
 * the mode in force, c->la_bits. "5-Level Paging and 5-Level EPT", "Linear-Address Registers and Canonicality".
 */
static inline unsigned msr_la_bits(const struct cpu *c)
{
	return has(c, FEAT_LA57) ? 57 : 48;
}

/* A plain member of struct cpu. */
#define MSR_AT(i, n, name_, member_) .index = (i), .count = (n), .name = (name_), .offset = offsetof(struct cpu, member_)

/* PMCs and their selectors: the index within the run is the counter's number. */
bool perf_pair_read(struct cpu *c, u32 index, u64 *value);       /* C0010200h..: selector, counter, selector.. */
bool perf_pair_write(struct cpu *c, u32 index, u64 value);
bool perf_legacy_read(struct cpu *c, u32 index, u64 *value);     /* C0010000h..C0010007h */
bool perf_legacy_write(struct cpu *c, u32 index, u64 value);
bool perf_arch_read(struct cpu *c, u32 index, u64 *value);       /* every MSR of architectural monitoring, version 2 */
bool perf_arch_write(struct cpu *c, u32 index, u64 value);

bool msr_no_write(struct cpu *c, u32 index, u64 value);
bool msr_bank_write(struct cpu *c, u32 index, u64 value);
/* Write-only commands of which bit 0 exists. */
bool msr_command_write(struct cpu *c, u32 index, u64 value);

/* Machine-check banks of every model. */
#define MC_BANKS 10u

#endif
