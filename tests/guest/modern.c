/* CPUID against control bits, XSAVE, time-stamp counter, MSRs and their #GPs, RDRAND, MONITOR. SDM 2A "CPUID", 1
 * "Managing State Using the XSAVE Feature Set". */
#include "t64.h"

static u32 r[4];
#define LEAF(l, s) (cpuid(l, s, r), r)

asm("u_rdtsc: rdtsc; int $0x80; u_rdtscp: rdtscp; int $0x80; u_rdpmc: xor %ecx, %ecx; rdpmc; int $0x80; u_rdpid: rdpid "
    "%rax; int $0x80\n"
    "u_xsetbv: xor %ecx, %ecx; mov $3, %eax; xor %edx, %edx; xsetbv; int $0x80; u_monitor: mov %rsp, %rax; xor %ecx, "
    "%ecx; xor %edx, %edx; monitor; int $0x80\n"
    "u_cpuid: xor %eax, %eax; cpuid; int $0x80; u_xgetbv: xor %ecx, %ecx; xgetbv; int $0x80\n");
#define USER(label)                                                                                                    \
	({                                                                                                             \
		extern char label[];                                                                                   \
		user((void (*)(void))label, 0);                                                                        \
	})

static u64 xgetbv(u32 i)
{
	u32 a, d;

	asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(i));
	return (u64)d << 32 | a;
}

static void xsetbv(u32 i, u64 v)
{
	asm volatile("xsetbv" ::"c"(i), "a"((u32)v), "d"((u32)(v >> 32)));
}

static u8 area[4096] __attribute__((aligned(64))), ymm[64] __attribute__((aligned(64)));
#define XS(insn, mask)                                                                                                 \
	asm volatile(insn " %0" : "+m"(area) : "a"((u32)(mask)), "d"((u32)((u64)(mask) >> 32)) : "memory")

static void osxsave(void)
{
	check("OSXSAVE off", LEAF(1, 0)[2] >> 27 & 1, 0);
	RAISES("XGETBV without OSXSAVE", EX_UD, 0, AT, "xor %%ecx, %%ecx", "xgetbv");
	RAISES("XSAVE without OSXSAVE", EX_UD, 0, AT, "lea area, %%rbx", "xsave (%%rbx)");
	RAISES("AVX without OSXSAVE", EX_UD, 0, AT, "", ".byte 0xc5, 0xfc, 0x57, 0xc0");
	write_cr4(read_cr4() | 1 << 18);
	check("OSXSAVE on", LEAF(1, 0)[2] >> 27 & 1, 1);
	check("XCR0 at reset", xgetbv(0), 1);
	check("size enabled: x87", LEAF(13, 0)[1], 576);
	RAISES("AVX without XCR0.AVX", EX_UD, 0, AT, "", ".byte 0xc5, 0xfc, 0x57, 0xc0");
	check("XCR0 without x87", CATCH(xsetbv(0, 6)), EX_GP);
	check("XCR0 AVX without SSE", CATCH(xsetbv(0, 5)), EX_GP);
	check("XCR0 reserved", CATCH(xsetbv(0, 1ull << 62 | 3)), EX_GP);
	check("XCR1", CATCH(xsetbv(1, 1)), EX_GP);
	check("XGETBV ECX 9", CATCH(xgetbv(9)), EX_GP);
	check("XSETBV at CPL 3", USER(u_xsetbv), EX_GP);
	check("XGETBV at CPL 3", USER(u_xgetbv), 0x80);
	xsetbv(0, 7);
	check("size enabled: AVX", LEAF(13, 0)[1], 832);
	RUNS("AVX", "", ".byte 0xc5, 0xfc, 0x57, 0xc0");
	u64 all = LEAF(13, 0)[0] | (u64)r[3] << 32;
	check("XCR0 takes all it announces", CATCH(xsetbv(0, all)), -1);
	check("size of all", LEAF(13, 0)[1], r[2]);
	xsetbv(0, 7);
}

static void xsave(void)
{
	u32 off = LEAF(13, 2)[1];

	check("AVX component size", LEAF(13, 2)[0], 256);
	check("AVX component offset", off, 576);
	for (unsigned k = 0; k < 64; k++)
		ymm[k] = (u8)(k + 1);
	asm volatile("fninit; fld1; vmovups %0, %%ymm3" ::"m"(ymm));
	memset(area, 0xee, sizeof(area));
	memset(area + 512, 0, 64);
	XS("xsave", 7);
	check("XSTATE_BV", *(u64 *)(area + 512), 7);
	check("XCOMP_BV", *(u64 *)(area + 520), 0);
	check("FCW", *(u16 *)area, 0x37f);
	check("FTW", area[4], 0x80);
	check("ST0", *(u16 *)(area + 32 + 8), 0x3fff);
	check("MXCSR", *(u32 *)(area + 24), 0x1f80);
	check("XMM3", area[160 + 3 * 16 + 5], 6);
	check("YMM3 high", area[off + 3 * 16 + 5], 22);
	check("bytes 464..511 untouched", area[464], 0xee);
	RAISES("XSAVE misaligned", EX_GP, 0, AT, "lea area + 32, %%rbx; mov $7, %%eax; xor %%edx, %%edx",
	       "xsave (%%rbx)");
	/* back in by parts */
	asm volatile("fninit; vzeroall");
	XS("xrstor", 2);
	u8 got[16];
	asm volatile("movups %%xmm3, %0" : "=m"(got));
	check("XRSTOR SSE alone", got[5], 6);
	*(u64 *)(area + 512) = 3; /* AVX in its initial state */
	asm volatile("vmovups %0, %%ymm3" ::"m"(ymm));
	XS("xrstor", 7);
	u8 wide[32];
	asm volatile("vmovups %%ymm3, %0" : "=m"(wide));
	check("XRSTOR initialises AVX", wide[16 + 5], 0);
	check("XINUSE without AVX", xgetbv(1) & 4, 0);
	*(u64 *)(area + 512) = 8;
	check("XRSTOR XSTATE_BV beyond XCR0", CATCH(XS("xrstor", 7)), EX_GP);
	*(u64 *)(area + 512) = 1;
	area[528] = 1;
	check("XRSTOR header reserved", CATCH(XS("xrstor", 7)), EX_GP);
	area[528] = 0;
	*(u64 *)(area + 512) = 2;
	*(u32 *)(area + 24) = 0x80000000;
	check("XRSTOR MXCSR reserved", CATCH(XS("xrstor", 7)), EX_GP);
	*(u32 *)(area + 24) = 0x1f80;
	/* compaction */
	asm volatile("vmovups %0, %%ymm3" ::"m"(ymm));
	memset(area, 0, sizeof(area));
	XS("xsavec", 5);
	check("XSAVEC XCOMP_BV", *(u64 *)(area + 520), 1ull << 63 | 5);
	check("XSAVEC AVX at 576", area[576 + 3 * 16 + 5], 22);
	asm volatile("vzeroall");
	XS("xrstor", 5);
	asm volatile("vmovups %%ymm3, %0" : "=m"(wide));
	check("XRSTOR compacted", wide[16 + 5], 22);
	/* XSAVEOPT leaves the initial components out */
	asm volatile("vzeroall; fninit");
	memset(area, 0, sizeof(area));
	XS("xsaveopt", 7);
	check("XSAVEOPT: AVX initial", *(u64 *)(area + 512) & 4, 0);
	check("XSS reserved", CATCH(wrmsr(MSR_XSS, 1)), EX_GP);
	check("XSAVES with XSS 0", CATCH(XS("xsaves", 7)), -1);
	check("XSAVES compacts", *(u64 *)(area + 520) >> 63, 1);
	write_cr0(read_cr0() | 8);
	check("XSAVE with TS", CATCH(XS("xsave", 7)), EX_NM);
	check("AVX with TS", CATCH(asm volatile("vzeroall")), EX_NM);
	write_cr0(read_cr0() & ~8ull);
	RAISES("FXSAVE misaligned", EX_GP, 0, AT, "lea area + 8, %%rbx", "fxsave (%%rbx)");
}

static void tsc(void)
{
	u64 last = rdtsc();

	for (unsigned k = 0; k < 10000; k++) {
		u64 t = rdtsc();

		if (t <= last)
			check("RDTSC grows", t, last + 1);
		last = t;
	}
	wrmsr(MSR_TSC, 1ull << 40);
	u64 t = rdtsc();
	check("TSC written", t >= 1ull << 40 && t < (1ull << 40) + 1000000, 1);
	wrmsr(MSR_TSC_AUX, 0x1234);
	u32 a, d, c;
	asm volatile("rdtscp" : "=a"(a), "=d"(d), "=c"(c));
	check("RDTSCP AUX", c, 0x1234);
	u64 pid;
	asm volatile("rdpid %0" : "=r"(pid));
	check("RDPID", pid, 0x1234);
	check("TSC_AUX reserved", CATCH(wrmsr(MSR_TSC_AUX, 1ull << 32)), EX_GP);
	if (LEAF(7, 0)[1] & 2) {
		wrmsr(MSR_TSC_ADJUST, 0);
		u64 before = rdtsc();

		wrmsr(MSR_TSC_ADJUST, 1ull << 50);
		check("TSC_ADJUST moves the TSC", rdtsc() - before >= 1ull << 50, 1);
		wrmsr(MSR_TSC, 0);
		check("TSC write moves TSC_ADJUST", rdmsr(MSR_TSC_ADJUST) >> 63, 1);
	} else {
		check("TSC_ADJUST absent", CATCH(rdmsr(MSR_TSC_ADJUST)), EX_GP);
	}
	check("RDTSC at CPL 3", USER(u_rdtsc), 0x80);
	write_cr4(read_cr4() | 4);
	check("RDTSC at CPL 3 with TSD", USER(u_rdtsc), EX_GP);
	check("RDTSCP at CPL 3 with TSD", USER(u_rdtscp), EX_GP);
	check("RDTSC at CPL 0 with TSD", CATCH(rdtsc()), -1);
	write_cr4(read_cr4() & ~4ull);
	check("RDPMC at CPL 3", USER(u_rdpmc), EX_GP);
	write_cr4(read_cr4() | 0x100);
	check("RDPMC at CPL 3 with PCE", USER(u_rdpmc), 0x80);
	write_cr4(read_cr4() & ~0x100ull);
	RAISES("RDPMC ECX", EX_GP, 0, AT, "mov $0x1234, %%ecx", "rdpmc");
	check("CPUID at CPL 3", USER(u_cpuid), 0x80);
	check("MONITOR at CPL 3", USER(u_monitor), EX_UD);
	RAISES("MONITOR ECX", EX_GP, 0, AT, "mov %%rsp, %%rax; mov $1, %%ecx; xor %%edx, %%edx", "monitor");
	RAISES("MWAIT ECX", EX_GP, 0, AT, "xor %%eax, %%eax; mov $0x10, %%ecx", "mwait");
}

static void bad_msr(const char *name, u32 msr, u64 value)
{
	check(name, CATCH(wrmsr(msr, value)), EX_GP);
}

static void msrs(void)
{
	u64 pat = rdmsr(MSR_PAT);

	check("PAT at reset", pat, 0x0007040600070406ull);
	bad_msr("PAT type 2", 0x277, 2);
	bad_msr("PAT reserved", 0x277, 0x08);
	wrmsr(MSR_PAT, 0x0706050401000706ull);
	check("PAT", rdmsr(MSR_PAT), 0x0706050401000706ull);
	wrmsr(MSR_PAT, pat);
	bad_msr("MTRRcap", 0xfe, 0);
	bad_msr("MTRR type 2", 0x200, 2);
	bad_msr("MTRR base reserved", 0x200, 0x100);
	bad_msr("MTRR mask reserved", 0x201, 1);
	bad_msr("MTRR mask beyond MAXPHYADDR", 0x201, 1ull << 60);
	bad_msr("MTRR default type", 0x2ff, 0xc02);
	bad_msr("MTRR fixed type", 0x250, 0x0606060606060602ull);
	bad_msr("EFER reserved", 0xc0000080, rdmsr(MSR_EFER) | 1ull << 40);
	bad_msr("EFER LME under paging", 0xc0000080, rdmsr(MSR_EFER) & ~0x100ull);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) ^ 0x400);
	check("EFER.LMA is ignored", rdmsr(MSR_EFER) & 0x400, 0x400);
	bad_msr("LSTAR", 0xc0000082, 1ull << 62);
	bad_msr("CSTAR", 0xc0000083, 1ull << 62);
	bad_msr("GS base", 0xc0000101, 1ull << 62);
	bad_msr("KernelGSbase", 0xc0000102, 1ull << 62);
	bad_msr("MCG_CAP", 0x179, 0);
	bad_msr("MCi_STATUS not zero", 0x401, 1);
	check("MCi_STATUS zero", CATCH(wrmsr(0x401, 0)), -1);
	check("MCG_STATUS", CATCH(rdmsr(0x17a)), -1);
	bad_msr("beyond the banks", 0x4ff, 0);
	bad_msr("APIC_BASE beyond MAXPHYADDR", 0x1b, 1ull << 60 | 0xfee00900);
	if (cpu_is_intel()) {
		bad_msr("SYSENTER_EIP", 0x176, 1ull << 62);
		bad_msr("MISC_ENABLE reserved", 0x1a0, 1ull << 62);
		bad_msr("PLATFORM_INFO", 0xce, 0);
		bad_msr("ARCH_CAPABILITIES", 0x10a, 0);
		check("VM_CR is AMD's", CATCH(rdmsr(MSR_VM_CR)), EX_GP);
	} else {
		u64 hwcr = rdmsr(MSR_HWCR);

		check("HWCR", CATCH(rdmsr(MSR_HWCR)), -1);
		wrmsr(MSR_HWCR, hwcr | 1ull << 35); /* CpuidUserDis */
		check("CPUID at CPL 3, disabled", USER(u_cpuid), EX_GP);
		wrmsr(MSR_HWCR, hwcr);
		check("CPUID at CPL 3, enabled again", USER(u_cpuid), 0x80);
		check("MISC_ENABLE is Intel's", CATCH(rdmsr(MSR_MISC_ENABLE)), EX_GP);
		check("FEATURE_CONTROL is Intel's", CATCH(rdmsr(MSR_FEATURE_CONTROL)), EX_GP);
	}
	check("unknown", CATCH(rdmsr(0xdeadbeef)), EX_GP);
	check("no x2APIC MSRs", CATCH(rdmsr(MSR_X2APIC)), EX_GP);
}

static void cpuid_leaves(void)
{
	u32 max = LEAF(0, 0)[0], xmax;

	check("vendor", r[1] == 0x756e6547 || r[1] == 0x68747541, 1);
	xmax = LEAF(0x80000000, 0)[0];
	check("extended leaves", xmax >= 0x80000008, 1);
	check("HYPERVISOR bit clear", LEAF(1, 0)[2] >> 31, 0);
	check("long mode", LEAF(0x80000001, 0)[3] >> 29 & 1, 1);
	check("invariant TSC", LEAF(0x80000007, 0)[3] >> 8 & 1, 1);
	u32 beyond[4], last[4];
	cpuid(xmax + 1, 0, beyond);
	cpuid(max, 0, last);
	if (cpu_is_intel())
		check("beyond the last leaf: the last basic one", memcmp(beyond, last, sizeof(last)), 0);
	else
		check("beyond the last leaf: zero", beyond[0] | beyond[1] | beyond[2] | beyond[3], 0);
	/* RDRAND gives different numbers and CF */
	u64 a, b;
	bool ok;
	asm volatile("rdrand %0" : "=r"(a), "=@ccc"(ok));
	asm volatile("rdrand %0" : "=r"(b));
	check("RDRAND", ok && a != b, 1);
	asm volatile("rdseed %0" : "=r"(a), "=@ccc"(ok));
	check("RDSEED", ok, 1);
	check("CR4.OSXSAVE off hides it", (write_cr4(read_cr4() & ~(1ull << 18)), LEAF(1, 0)[2] >> 27 & 1), 0);
}

int main(void)
{
	t_setup();
	osxsave();
	xsave();
	tsc();
	msrs();
	cpuid_leaves();
	return guest_verdict();
}
