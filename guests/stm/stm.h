/*
 * What the executive monitor and the SMM-transfer monitor share: the instructions, the fields they use, where things
 * lie in the memory of system management mode, and the services that one has from the other. Both are compiled for 64
 * bits and for 32. Section titles are of the Intel SDM, volume 3C, "System Management Mode".
 *
 * The word list. SMI: an interrupt that nothing but the processor itself can hold back. SMM: the mode it leads to, in
 * memory (SMRAM) that nobody else sees. Default treatment: the processor saves its state there and runs a 16-bit
 * handler, which ends with RSM. Dual-monitor treatment: an SMI becomes a VM exit. Executive monitor: the one outside
 * SMM, an ordinary hypervisor. SMM-transfer monitor, STM: the one in SMM, to which such VM exits lead, and which
 * returns by VM entry.
 */
#ifndef STM_H
#define STM_H

/* ---- the memory: the last MiB below 4 GiB, TSEG ---- */

#define TSEG_SIZE  0x100000
#define AT_HANDLER 0x8000   /* SMBASE is where TSEG begins: an SMI of the default treatment leads to SMBASE + 8000h */
#define AT_MSEG    0x10000  /* 64 KiB for the STM, of which its image is the first part */

/* Within MSEG. "Enabling the Dual-Monitor Treatment", format of MSEG header: everything is an offset from the MSEG base. */
#define MSEG_IMAGE_MAX 0x8000
#define MSEG_TABLES    0x8000 /* CR3 will point here: the executive builds the tables while the image is still its own */
#define MSEG_STACK_TOP 0x10000

#define CODE_SELECTOR 0x08 /* the header says so; data is the next one: "Loading Host State" */
#define DATA_SELECTOR 0x10
#define TASK_SELECTOR 0x18 /* a VM exit loads TR, and no host may be without */

/* ---- services, in EAX of a VMCALL. The answer is in EAX. ---- */

#define SERVICE_NAME  0x53544d01 /* who is there: four letters; EBX counts the calls */
#define SERVICE_LEAVE 0x53544d02 /* end of the dual-monitor treatment */
#define ANSWER_NAME   0x214d5453 /* "STM!" */
#define ANSWER_NO     0xffffffff

#define APM_CNT 0xb2 /* a write raises an SMI: ICH9, "Advanced Power Management Control Port" */
#define COMMAND_RELOCATE 0x01
#define COMMAND_INSTALL  0x02
#define COMMAND_GREET    0x03 /* nothing to do but to notice it */

#define PM_BASE 0x600 /* ICH9, "SMI_EN", "SMI_STS" */
#define SMI_EN  (PM_BASE + 0x30)
#define SMI_STS (PM_BASE + 0x34)
#define SMI_EN_GLOBAL (1 << 0)
#define SMI_EN_EOS    (1 << 1) /* end of SMI: without it no other is raised */
#define SMI_EN_APMC   (1 << 5) /* the same bit of SMI_STS says that this was it */

/* ---- what the SMM handler of the default treatment is told, below 1 MiB where its 16-bit code reaches ---- */

#define ORDERS 0x7000
#define ORDERS_SOURCE 0  /* "install": copy so many bytes from here to there, */
#define ORDERS_TARGET 4
#define ORDERS_BYTES  8
#define ORDERS_COUNT  12 /* and write so many MSRs: index, low half, high half */
#define ORDERS_MSR    16
#define ORDERS_SEEN   64 /* how many SMIs it has served */

#ifndef __ASSEMBLER__
#include "print.h"
#include "msr_names.h"
#include "vmx_names.h"

#pragma GCC visibility push(hidden) /* the STM runs where it is put: no table of addresses */

typedef unsigned long word; /* of this processor mode */

/* "The 32 bytes located at the MSEG base address are called the MSEG header" */
struct mseg_header {
	u32 revision, features, gdt_limit, gdt_offset, cs, eip_offset, esp_offset, cr3_offset;
};
#define FEATURE_IA32E 1u /* the STM starts in 64-bit mode */

struct orders {
	u32 source, target, bytes, count;
	struct { u32 index, low, high; } msr[4];
	u32 seen;
};

enum { MSR_SMM_MONITOR_CTL = 0x9b, MSR_SMBASE = 0x9e, MSR_MTRRCAP = 0xfe, MSR_SMRR_BASE = 0x1f2, MSR_SMRR_MASK = 0x1f3 };
enum { E_DEACTIVATE = 1 << 11 }; /* VM-entry control "deactivate dual-monitor treatment" */
enum { REASON_FROM_ROOT = 1 << 29, REASON_BASIC = 0xffff };
#define NO_VMCS (~0ull)

static inline u64 rdmsr64(u32 i)
{
	u32 a, d;

	__asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(i));
	return (u64)d << 32 | a;
}

/* "Conventions": success, or CF (no current VMCS), or ZF (an error number is in the current VMCS). */
enum outcome { DONE, FAIL_INVALID, FAIL_VALID };

static inline enum outcome outcome(bool carry, bool zero)
{
	return carry ? FAIL_INVALID : zero ? FAIL_VALID : DONE;
}

#define ON_VMCS(name)                                                                                                  \
	static inline enum outcome name(u64 region)                                                                    \
	{                                                                                                              \
		bool carry, zero;                                                                                      \
                                                                                                                       \
		__asm__ volatile(#name " %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");                \
		return outcome(carry, zero);                                                                           \
	}
ON_VMCS(vmxon)
ON_VMCS(vmclear)
ON_VMCS(vmptrld)
#undef ON_VMCS

static inline u64 vmptrst(void)
{
	u64 region;

	__asm__ volatile("vmptrst %0" : "=m"(region)::"cc");
	return region;
}

static inline enum outcome vmxoff(void)
{
	bool carry, zero;

	__asm__ volatile("vmxoff" : "=@ccc"(carry), "=@ccz"(zero)::"memory");
	return outcome(carry, zero);
}

static inline word vmread(u32 field)
{
	word value = 0;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((word)field) : "cc");
	return value;
}

static inline void vmwrite(u32 field, word value)
{
	__asm__ volatile("vmwrite %1, %0" ::"r"((word)field), "r"(value) : "cc");
}

/* Of a field of 64 bits: outside 64-bit mode each half has its encoding. */
static inline u64 vmread64(u32 field)
{
	return sizeof(word) == 8 ? vmread(field) : (u64)vmread(field + 1) << 32 | vmread(field);
}

static inline void vmwrite64(u32 field, u64 value)
{
	vmwrite(field, (word)value);
	if (sizeof(word) == 4)
		vmwrite(field + 1, (word)(value >> 32));
}

/* "Algorithms for Determining VMX Capabilities": bits that must be 1 in the low half, that may be 1 in the high half. */
static inline u32 controls(u32 plain, u32 wanted)
{
	bool is_true = rdmsr64(MSR_VMX_BASIC) >> 55 & 1;
	u64 capability = rdmsr64(is_true ? plain - MSR_VMX_PIN + MSR_VMX_TRUE_PIN : plain);

	return (wanted | (u32)capability) & (u32)(capability >> 32);
}

static inline word read_cr(unsigned n)
{
	word v = 0;

	switch (n) {
	case 0: __asm__ volatile("mov %%cr0, %0" : "=r"(v)); break;
	case 3: __asm__ volatile("mov %%cr3, %0" : "=r"(v)); break;
	case 4: __asm__ volatile("mov %%cr4, %0" : "=r"(v)); break;
	}
	return v;
}

#pragma GCC visibility pop
#endif

#endif
