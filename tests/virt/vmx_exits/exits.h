/*
 * What the parts of this test share: snippets of guest code, the baseline they run from, and how an exit is compared with
 * the manual. A snippet is `setup; insn; vmcall`: it leaves at the instruction if that exits, else by VMCALL.
 */
#ifndef EXITS_H
#define EXITS_H

#include "vmx.h"

struct snippet {
	char *entry, *at, *next; /* first instruction, the one in question, the one behind it */
};
#define SNIPPET(name, setup, insn)                                                                                     \
	asm(".pushsection .text\ns_" #name ": " setup "\na_" #name ": " insn "\nn_" #name ": vmcall\n.popsection");   \
	extern char s_##name[], a_##name[], n_##name[];                                                                \
	static const struct snippet name __attribute__((unused)) = {s_##name, a_##name, n_##name}

enum { /* fields that guests/lib/vmx.h does not name */
	F_VPID = 0x0000, F_PI_VECTOR = 0x0002, F_EPTP_INDEX = 0x0004, F_INT_STATUS = 0x0810, F_PML_INDEX = 0x0812,
	F_IO_A = 0x2000, F_IO_B = 0x2002, F_MSR_BITMAP = 0x2004, F_STORE_ADDR = 0x2006, F_LOAD_ADDR = 0x2008,
	F_PML = 0x200e, F_TSC_OFFSET = 0x2010, F_VAPIC = 0x2012, F_APIC_ACCESS = 0x2014, F_PID = 0x2016,
	F_VMFUNC = 0x2018, F_EOI0 = 0x201c, F_EPTP_LIST = 0x2024, F_VMREAD_MAP = 0x2026, F_VMWRITE_MAP = 0x2028,
	F_VE = 0x202a, F_XSS = 0x202c, F_SPPTP = 0x2030, F_TSC_MULTIPLIER = 0x2032, F_PF_MASK = 0x4006, F_PF_MATCH = 0x4008,
	F_CR3_TARGETS = 0x400a, F_STORE_COUNT = 0x400e, F_LOAD_COUNT = 0x4010, F_ENTRY_ERROR = 0x4018,
	F_ENTRY_LENGTH = 0x401a, F_TPR_THRESHOLD = 0x401c, F_PLE_GAP = 0x4020, F_PLE_WINDOW = 0x4022,
	F_EXIT_ERROR = 0x4406, F_VECTORING_ERROR = 0x440a, F_INFO = 0x440e, F_TIMER = 0x482e, F_CR0_MASK = 0x6000, F_CR4_MASK = 0x6002,
	F_CR0_SHADOW = 0x6004, F_CR4_SHADOW = 0x6006, F_CR3_TARGET0 = 0x6008, F_IO_RCX = 0x6402, F_IO_RSI = 0x6404,
	F_IO_RDI = 0x6406, F_IO_RIP = 0x6408, F_PENDING_DEBUG = 0x6822,
};

/* Reasons: "Basic Exit Reasons". */
enum {
	R_EXCEPTION, R_INTERRUPT, R_TRIPLE, R_INIT, R_SIPI, R_INT_WINDOW = 7, R_NMI_WINDOW, R_TASK, R_CPUID, R_GETSEC, R_HLT,
	R_INVD, R_INVLPG, R_RDPMC, R_RDTSC, R_RSM, R_VMCALL, R_VMCLEAR, R_VMLAUNCH, R_VMPTRLD, R_VMPTRST, R_VMREAD, R_VMRESUME,
	R_VMWRITE, R_VMXOFF, R_VMXON, R_CR, R_DR, R_IO, R_RDMSR, R_WRMSR, R_MWAIT = 36, R_MTF, R_MONITOR = 39, R_PAUSE,
	R_TPR = 43, R_APIC_ACCESS, R_EOI, R_GDTR, R_LDTR, R_EPT, R_MISCONFIG, R_INVEPT, R_RDTSCP, R_TIMER, R_INVVPID, R_WBINVD,
	R_XSETBV, R_APIC_WRITE, R_RDRAND, R_INVPCID, R_VMFUNC, R_RDSEED = 61, R_PML, R_XSAVES, R_XRSTORS, R_UMWAIT = 67, R_TPAUSE,
};

extern u64 scratch[512]; /* a page the snippets may touch */
extern u64 seen[16];     /* where they leave what they saw */

/* A fresh VMCS in the baseline: EPT, HLT exiting, MSRs exit, nothing else. */
void base(const struct snippet *s);
void on(u32 field, u64 bits);
void off(u32 field, u64 bits);
u64 go(void);     /* VMLAUNCH; the exit reason, ~0 if the entry failed */
u64 again(void);  /* VMRESUME */
/* Run and compare: fault-like exit at the instruction, with its length and qualification. */
void leaves(const char *name, const struct snippet *s, u64 reason, u64 qualification);
/* Run: an exit by the exception `event`, at the instruction. */
void faults(const char *name, const struct snippet *s, u32 event);
/* Run: the instruction does not exit (the VMCALL behind it does). */
void stays(const char *name, const struct snippet *s);

void test_instructions(void);
void test_registers(void);
void test_io_msr(void);
void test_events(void);
void test_ept(void);
void test_spp(void);
void test_paging_write(void);
void test_apic(void);
void test_shadow(void);
void test_tasks(void);
void test_changed_behavior(void);
void test_debug(void);
void test_priorities(void);
void test_init_sipi(void);
void test_ept_information(void);
void test_invalidation(void);
void test_bus_lock(void);
void test_ept_levels(void);
void test_ipi(void);
void test_stale(void);
void test_apic_registers(void);
void test_memory_areas(void);

void to_user(void); /* the guest's segments are those of a program at CPL 3 */
extern u64 user_pml4[512]; /* tables that let it run: the first 4 GiB one to one */

#endif
