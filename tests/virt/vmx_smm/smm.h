/*
 * SMM for the tests of VMX: TSEG with a handler of the default treatment, an MSEG header to be spoilt at will, and an
 * SMM-transfer monitor that calls a test's hook. The monitor's code is this program's: SMM sees all memory, and TSEG
 * besides.
 */
#ifndef VMX_SMM_H
#define VMX_SMM_H

#include "vmx.h"

#include "../snippet.h"

#ifndef EX_UD
#define EX_UD 6
#define EX_GP 13
#endif
enum { MSR_SMM_MONITOR_CTL = 0x9b, MSR_SMBASE = 0x9e };
enum { E_DEACTIVATE = 1 << 11 };
enum { FROM_ROOT = 1 << 29, PENDING_MTF = 1 << 28 };
enum { APM_CNT = 0xb2, SMI_EN = 0x630, SMI_STS = 0x634 };
enum { ALL_SIX = 0x8d5, FLAG_CF = 1, FLAG_ZF = 0x40 };
#define NONE ~0ull

/* ---- the default treatment: what the 16-bit handler has seen, and what it is to do ---- */
struct mailbox {
	u32 count, cr4, command, write, low, high, smbase, interruptibility;
};
extern volatile struct mailbox *const mailbox; /* write: WRMSR of low and high to IA32_SMM_MONITOR_CTL, then 0 */

/* ---- MSEG ---- */
struct mseg_header {
	u32 revision, features, gdt_limit, gdt_offset, cs, eip_offset, esp_offset, cr3_offset;
};
extern struct mseg_header good; /* one that works */
extern u64 tseg, mseg;
void mseg_write(const struct mseg_header *h);
void monitor_ctl(u64 value); /* by the default treatment's handler */
bool smram_closed(void);

/* ---- the executive's side ---- */
extern u64 vmxon_region, transfer; /* physical addresses */
u64 current(void);                 /* VMPTRST */
u64 other_vmcs(void);              /* a new one is current. Behind activation the SMM-transfer VMCS is, which is not ours */
void no_vmcs(void);                /* none is current */
void transfer_fresh(void);         /* transfer: clear, current, VM-exit controls as they should be */
void send_smi(void);               /* by the local APIC: not by an I/O instruction */
void send_nmi(void);
void smi_port(u8 command);
extern u32 nmis;
struct result {
	u64 flags, rax;
};
struct result vmcall(u64 rax); /* with all six flags set before */
bool activate(void);           /* transfer_fresh() and VMCALL */
void deactivate(void);

/* ---- the monitor's side ---- */
typedef void hook(void);
extern hook *stm;   /* at the next SMM VM exits, in SMM; what is changed in the VMCS is what returns */
extern u32 stm_exits; /* since activation */
extern bool stm_deactivates;
struct entered { /* at activation, before anything else ran */
	u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r15, rsp, rflags, cr0, cr3, cr4, efer, dr7, debugctl, rip;
	u16 cs, ss, ds, es, fs, gs, ldtr, tr;
	struct { u16 limit; u64 base; } __attribute__((packed)) gdtr, idtr;
};
extern struct entered entered;
/* VMRESUME, or VMLAUNCH, from a hook, that is to be refused: the VM-instruction error, or an exit reason with bit 31. */
u64 refused(bool resume);
void host_is_stm(void); /* of the current VMCS: SMM VM exits come to the hook again */

void test_calls(void);
void test_activation(void);
void test_exits(void);
void test_returns(void);
void test_default(void);

#endif
