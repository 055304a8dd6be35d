/*
 * SVM by number, for every monitor and test that runs in the machine: exit codes, and the intercept bits, which lie in the
 * order of the codes from VMCB offset 000h on: bit `code` of the six words. Written down from the manual and from nothing
 * else. APM 2, appendices "VMCB Layout" and "SVM Intercept Exit Codes".
 */
#ifndef GUEST_SVM_NAMES_H
#define GUEST_SVM_NAMES_H

/* clang-format off */
enum {
	EXIT_CR_READ = 0x00, EXIT_CR_WRITE = 0x10, EXIT_DR_READ = 0x20, EXIT_DR_WRITE = 0x30, /* and the register */
	EXIT_EXCEPTION = 0x40, /* and the vector */
	EXIT_DB = 0x41, EXIT_UD = 0x46, EXIT_DF = 0x48, EXIT_TS = 0x4a, EXIT_NP = 0x4b, EXIT_SS = 0x4c, EXIT_GP = 0x4d, EXIT_PF = 0x4e,
	EXIT_MF = 0x50,
	EXIT_INTR = 0x60, EXIT_NMI, EXIT_SMI, EXIT_INIT, EXIT_VINTR, EXIT_CR0_SEL, EXIT_IDTR_READ, EXIT_GDTR_READ, EXIT_LDTR_READ,
	EXIT_TR_READ, EXIT_IDTR_WRITE, EXIT_GDTR_WRITE, EXIT_LDTR_WRITE, EXIT_TR_WRITE, EXIT_RDTSC, EXIT_RDPMC,
	EXIT_PUSHF = 0x70, EXIT_POPF, EXIT_CPUID, EXIT_RSM, EXIT_IRET, EXIT_INTN, EXIT_INVD, EXIT_PAUSE, EXIT_HLT, EXIT_INVLPG,
	EXIT_INVLPGA, EXIT_IOIO, EXIT_MSR, EXIT_TASK, EXIT_FERR, EXIT_SHUTDOWN,
	EXIT_VMRUN = 0x80, EXIT_VMMCALL, EXIT_VMLOAD, EXIT_VMSAVE, EXIT_STGI, EXIT_CLGI, EXIT_SKINIT, EXIT_RDTSCP, EXIT_ICEBP,
	EXIT_WBINVD, EXIT_MONITOR, EXIT_MWAIT, EXIT_MWAIT_ARMED, EXIT_XSETBV, EXIT_RDPRU, EXIT_EFER_TRAP,
	EXIT_CR_TRAP = 0x90, /* and the register */
	EXIT_INVLPGB = 0xa0, EXIT_INVLPGB_ILLEGAL, EXIT_INVPCID, EXIT_MCOMMIT, EXIT_TLBSYNC, EXIT_BUS_LOCK, EXIT_IDLE_HLT,
	EXIT_NPF = 0x400, EXIT_AVIC_IPI, EXIT_AVIC_ACCESS, EXIT_PML_FULL = 0x407,
};

/* The bit of an intercept in its word. */
#define SVM_BIT(code) (1u << ((code) & 31))
enum {
	SVM_CPUID = SVM_BIT(EXIT_CPUID), SVM_HLT = SVM_BIT(EXIT_HLT), SVM_IOIO = SVM_BIT(EXIT_IOIO), SVM_MSR = SVM_BIT(EXIT_MSR),
	SVM_SHUTDOWN = SVM_BIT(EXIT_SHUTDOWN), /* intercept1 */
	SVM_VMRUN = SVM_BIT(EXIT_VMRUN), SVM_VMMCALL = SVM_BIT(EXIT_VMMCALL), /* intercept2 */
};
/* clang-format on */

#endif
