/*
 * INVLPGB, TLBSYNC and MCOMMIT: operands, intercepts and who wins. APM 3 "INVLPGB", "TLBSYNC", "MCOMMIT", APM 2 "VMCB
 * Layout, Control Area" 014h and 090h bit 7. What INVLPGB removes is in tlb.c, that it reaches every processor in
 * tests/guest/smp.c.
 */
#include "exits.h"

SNIPPET(b_all, "xor %eax, %eax; xor %ecx, %ecx; xor %edx, %edx", "invlpgb");
SNIPPET(b_rax, "mov $0x40, %eax; xor %ecx, %ecx; xor %edx, %edx", "invlpgb");
SNIPPET(b_ecx, "xor %eax, %eax; mov $8, %ecx; xor %edx, %edx", "invlpgb");
SNIPPET(b_edx, "xor %eax, %eax; xor %ecx, %ecx; mov $0x10000000, %edx", "invlpgb");
SNIPPET(b_sync, "", "tlbsync");
#define MCOMMIT ".byte 0xf3, 0x0f, 0x01, 0xfa" /* clang 14 has no name for it */
SNIPPET(b_commit, "", MCOMMIT);

#define ALL     ICPT(EXIT_INVLPGB)
#define ILLEGAL ICPT(EXIT_INVLPGB_ILLEGAL)
#define COMMIT  ICPT(EXIT_MCOMMIT)
#define SYNC    ICPT(EXIT_TLBSYNC)
#define NOTHING {5, 31}
enum { STAYS = EXIT_VMMCALL, UD = EXIT_UD, GP = EXIT_GP };
enum { CPL3 = 1, OFF = 2 /* 090h bit 7 is 0 */, MCOMMIT_ON = 4 };
static const struct {
	const char *name;
	const struct snippet *s;
	struct icpt i, also;
	u8 flags;
	u8 code;
} rows[] = {
	{"INVLPGB", &b_all, NOTHING, NOTHING, 0, STAYS},
	{"INVLPGB, intercepted", &b_all, ALL, NOTHING, 0, EXIT_INVLPGB},
	{"INVLPGB, illegal ones intercepted", &b_all, ILLEGAL, NOTHING, 0, STAYS},
	{"illegal INVLPGB, RAX", &b_rax, NOTHING, NOTHING, 0, GP},
	{"illegal INVLPGB, ECX", &b_ecx, NOTHING, NOTHING, 0, GP},
	{"illegal INVLPGB, EDX", &b_edx, NOTHING, NOTHING, 0, GP},
	{"illegal INVLPGB, RAX, intercepted", &b_rax, ILLEGAL, NOTHING, 0, EXIT_INVLPGB_ILLEGAL},
	{"illegal INVLPGB, ECX, intercepted", &b_ecx, ILLEGAL, NOTHING, 0, EXIT_INVLPGB_ILLEGAL},
	{"illegal INVLPGB, EDX, intercepted", &b_edx, ILLEGAL, NOTHING, 0, EXIT_INVLPGB_ILLEGAL},
	{"illegal INVLPGB, all intercepted", &b_rax, ALL, NOTHING, 0, EXIT_INVLPGB},
	{"illegal INVLPGB, both intercepts", &b_rax, ALL, ILLEGAL, 0, EXIT_INVLPGB},
	{"INVLPGB at CPL 3", &b_all, ALL, ILLEGAL, CPL3, GP},
	{"illegal INVLPGB at CPL 3", &b_rax, ALL, ILLEGAL, CPL3, GP},
	{"INVLPGB, not enabled", &b_all, ALL, ILLEGAL, OFF, UD},
	{"INVLPGB, not enabled, at CPL 3", &b_all, ALL, ILLEGAL, OFF | CPL3, UD},
	{"TLBSYNC", &b_sync, NOTHING, NOTHING, 0, STAYS},
	{"TLBSYNC, intercepted", &b_sync, SYNC, NOTHING, 0, EXIT_TLBSYNC},
	{"TLBSYNC at CPL 3", &b_sync, SYNC, NOTHING, CPL3, GP},
	{"TLBSYNC, not enabled", &b_sync, SYNC, NOTHING, OFF, UD},
	{"TLBSYNC, not enabled, at CPL 3", &b_sync, SYNC, NOTHING, OFF | CPL3, UD},
	{"MCOMMIT", &b_commit, NOTHING, NOTHING, MCOMMIT_ON, STAYS},
	{"MCOMMIT at CPL 3", &b_commit, NOTHING, NOTHING, MCOMMIT_ON | CPL3, EXIT_VMMCALL},
	{"MCOMMIT, intercepted", &b_commit, COMMIT, NOTHING, MCOMMIT_ON, EXIT_MCOMMIT},
	{"MCOMMIT, intercepted, at CPL 3", &b_commit, COMMIT, NOTHING, MCOMMIT_ON | CPL3, EXIT_MCOMMIT},
	{"MCOMMIT, not enabled", &b_commit, COMMIT, NOTHING, 0, UD},
};

static void intercepts(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		base(rows[n].s);
		v->np_enable |= rows[n].flags & OFF ? 0 : 1 << 7;
		v->efer |= rows[n].flags & MCOMMIT_ON ? 1 << 17 : 0;
		if (rows[n].flags & CPL3)
			user();
		on((struct icpt)rows[n].i);
		on((struct icpt)rows[n].also);
		vcheck(rows[n].name, "code", go(), rows[n].code);
		vcheck(rows[n].name, "RIP", v->rip, (u64)(rows[n].code == STAYS ? rows[n].s->next : rows[n].s->at));
		if (rows[n].code >= 0xa0) {
			vcheck(rows[n].name, "nRIP", v->nrip, (u64)rows[n].s->next);
			vcheck(rows[n].name, "EXITINFO1", v->exitinfo1, 0);
			vcheck(rows[n].name, "EXITINFO2", v->exitinfo2, 0);
		}
	}
}

/* ---- in the host: every reserved bit, every limit ---- */

static int host_invlpgb(u64 rax, u32 ecx, u32 edx)
{
	return CATCH(asm volatile("invlpgb" ::"a"(rax), "c"(ecx), "d"(edx) : "memory"));
}

static void operands(void)
{
	vcheck("INVLPGB", "RAX bits 5:0", (u64)host_invlpgb(0x3f, 7, 0x0fff0001), ~0ull);
	for (unsigned bit = 6; bit < 12; bit++)
		vcheck("INVLPGB", "RAX[11:6]", (u64)host_invlpgb(1ull << bit, 0, 0), 13);
	for (unsigned bit = 3; bit < 31; bit++) /* 15:0 at most 7, 30:16 reserved */
		vcheck("INVLPGB", "ECX[30:3]", (u64)host_invlpgb(1, 1u << bit, 0), 13);
	vcheck("INVLPGB", "ECX[31]", (u64)host_invlpgb(1, 1u << 31, 0), ~0ull);
	for (unsigned bit = 28; bit < 32; bit++)
		vcheck("INVLPGB", "EDX[31:28]", (u64)host_invlpgb(0, 0, 1u << bit), 13);
	vcheck("INVLPGB", "the last ASID", (u64)host_invlpgb(4, 0, 0x7fff), ~0ull);
	vcheck("INVLPGB", "an ASID beyond it", (u64)host_invlpgb(4, 0, 0x8000), 13);
	vcheck("INVLPGB", "an ASID that is not used", (u64)host_invlpgb(0, 0, 0x8000), ~0ull);
	vcheck("TLBSYNC", "in the host", (u64)CATCH(asm volatile("tlbsync")), ~0ull);
}

#define EFER 0xc0000080
static void mcommit(void)
{
	u64 before = 0x8d7, after; /* every arithmetic flag */

	vcheck("MCOMMIT", "EFER bit 17 is 0", (u64)CATCH(asm volatile(MCOMMIT)), 6);
	wrmsr(EFER, rdmsr(EFER) | 1 << 17);
	asm volatile("push %1; popfq; " MCOMMIT "; pushfq; pop %0" : "=r"(after) : "r"(before) : "cc", "memory");
	vcheck("MCOMMIT", "CF and no other flag", after & 0x8d7, 0x8d6);
	wrmsr(EFER, rdmsr(EFER) & ~(1ull << 17));
}

/* Bus-lock threshold and page-modification logging come by name only: here their bits do nothing. */
SNIPPET(b_lock, "", "lock incq scratch+60");
static void ignored(void)
{
	base(&b_lock);
	on((struct icpt)ICPT(EXIT_BUS_LOCK));
	v->np_enable |= 1 << 11;
	v->pml_index = 512; /* a full log */
	*svm_nested_entry(v, (u64)scratch) &= ~0x60ull;
	vcheck("bits of what is not there", "code", go(), EXIT_VMMCALL);
}

void test_broadcast(void)
{
	u32 r[4], s[4];

	cpuid(0x80000008, 0, r);
	cpuid(0x8000000a, 0, s);
	ignored();
	if (of_2005) {
		vcheck("INVLPGB", "hidden", r[1] | (r[3] & 0xffff) | s[3] >> 24, 0);
		vcheck("INVLPGB", "#UD", (u64)host_invlpgb(0, 0, 0), 6);
		vcheck("TLBSYNC", "#UD", (u64)CATCH(asm volatile("tlbsync")), 6);
		vcheck("MCOMMIT", "#UD", (u64)CATCH(asm volatile(MCOMMIT)), 6);
		vcheck("EFER", "bit 17", (u64)CATCH(wrmsr(EFER, rdmsr(EFER) | 1 << 17)), 13);
		return;
	}
	vcheck("CPUID", "INVLPGB, MCOMMIT, nested", r[1] & (1 << 3 | 1 << 8 | 1 << 21), 1 << 3 | 1 << 8 | 1 << 21);
	vcheck("CPUID", "pages of INVLPGB", r[3] & 0xffff, 7);
	vcheck("CPUID", "TlbiCtl", s[3] >> 24 & 1, 1);
	intercepts();
	operands();
	mcommit();
	tlb_broadcast();
}
