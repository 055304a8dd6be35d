/* VMLOAD and VMSAVE, field by field: section 2.11. */
#include "reqs.h"

static const struct {
	const char *req;
	u16 offset; /* in the VMCB */
	u32 msr;
	u64 value;
} msrs[] = {
        {REQ("svm.2.11.6"), 0x620, 0xc0000102, 0xffff800012345678},
        {REQ("svm.2.11.7"), 0x600, 0xc0000081, 0x0010000812345678},
        {REQ("svm.2.11.8"), 0x608, 0xc0000082, 0xffffffff81000000},
        {REQ("svm.2.11.9"), 0x610, 0xc0000083, 0x00007fff00001000},
        {REQ("svm.2.11.10"), 0x618, 0xc0000084, 0x47700},
        {REQ("svm.2.11.11"), 0x628, 0x174, 0x10},
        {REQ("svm.2.11.12"), 0x630, 0x175, 0x123456},
        {REQ("svm.2.11.13"), 0x638, 0x176, 0x654321},
};

/* ID of the statement, selector, attributes, limit, base, its place. */
static const struct {
	const char *req;
	u16 offset;
	struct vmcb_seg value;
} segs[] = {
        {REQ("svm.2.11.2"), 0x440, {0x43, 0x4f3, 0x12345, 0x00007abc00000000}},
        {REQ("svm.2.11.3"), 0x450, {0x53, 0x8f1, 0xfffffff, 0xffffa00000001000}},
        {REQ("svm.2.11.4"), 0x490, {0x78, 0x08b, 0x1067, 0x0000000000200000}},
        {REQ("svm.2.11.5"), 0x470, {0x68, 0x082, 0x1ff, 0xffff900000000000}},
};

static u64 field(const void *vmcb, unsigned offset)
{
	return *(const u64 *)((const u8 *)vmcb + offset);
}

void test_vmload(void)
{
	u8 *in = page_alloc(), *out = page_alloc(), *host = page_alloc();
	u64 gdt_was[16], cr0 = read_cr0(), cr4 = read_cr4(), efer = rdmsr(EFER), flags_in = 0x8d7, flags_out, rax;
	u64 msr_before[COUNT(msrs)], msr_read[COUNT(msrs)], fs_base, gs_base;
	u16 tr, ldt, fs, gs;

	for (unsigned n = 0; n < COUNT(msrs); n++) {
		*(u64 *)(in + msrs[n].offset) = msrs[n].value;
		msr_before[n] = rdmsr(msrs[n].msr);
	}
	for (unsigned n = 0; n < COUNT(segs); n++)
		memcpy(in + segs[n].offset, &segs[n].value, sizeof(segs[n].value));
	memset(out, 0xa5, 4096);
	memcpy(gdt_was, gdt, 12 * 8);
	asm volatile("vmsave" ::"a"(host) : "memory");
	memset(gdt + 6, 0xff, 8); /* no descriptor is looked at: these are rubbish */
	asm volatile("push %2; popf; vmload; pushf; pop %1"
	             : "+a"(in), "=r"(flags_out)
	             : "r"(flags_in)
	             : "memory", "cc");
	for (unsigned n = 0; n < COUNT(msrs); n++)
		msr_read[n] = rdmsr(msrs[n].msr);
	fs_base = rdmsr(MSR_FS_BASE);
	gs_base = rdmsr(MSR_GS_BASE);
	asm volatile("str %0; sldt %1; mov %%fs, %2; mov %%gs, %3" : "=r"(tr), "=r"(ldt), "=r"(fs), "=r"(gs));
	rax = (u64)out;
	asm volatile("vmsave" : "+a"(rax)::"memory");
	asm volatile("vmload" ::"a"(host) : "memory");
	memcpy(gdt, gdt_was, 12 * 8);

	for (unsigned n = 0; n < COUNT(msrs); n++) {
		check(msrs[n].req, msr_read[n], msrs[n].value);
		check(msrs[n].req, field(out, msrs[n].offset), msrs[n].value);
		check(REQ("svm.4.VMLOAD.3 svm.4.VMSAVE.3"), field(out, msrs[n].offset), field(in, msrs[n].offset));
		check("and back", rdmsr(msrs[n].msr), msr_before[n]);
	}
	for (unsigned n = 0; n < COUNT(segs); n++)
		check(segs[n].req, memcmp(out + segs[n].offset, &segs[n].value, sizeof(segs[n].value)), 0);
	check(REQ("svm.2.11.2") "FS", fs == 0x43 && fs_base == segs[0].value.base, 1);
	check(REQ("svm.2.11.3") "GS", gs == 0x53 && gs_base == segs[1].value.base, 1);
	check(REQ("svm.2.11.4") "TR", tr, 0x78);
	check(REQ("svm.2.11.5") "LDTR", ldt, 0x68);
	check(REQ("svm.2.11.14") "no descriptor was read", tr == 0x78 && fs == 0x43, 1);
	check(REQ("svm.2.11.1") "rAX is an address, and stays", rax, out);
	check(REQ("svm.4.VMLOAD.4") "RFLAGS", flags_out, flags_in);
	for (unsigned n = 0; n < 4096; n++) {
		bool stored = (n >= 0x440 && n < 0x460) || (n >= 0x470 && n < 0x480) || (n >= 0x490 && n < 0x4a0) ||
		              (n >= 0x600 && n < 0x640);

		if (!stored)
			check(REQ("svm.2.11.15") "another byte of the VMCB", out[n], 0xa5);
	}
	check(REQ("svm.2.11.15") "control registers", read_cr0() == cr0 && read_cr4() == cr4 && rdmsr(EFER) == efer, 1);

	/* 67h: the address is EAX */
	memset(out, 0, 4096);
	rax = (u64)out | 0xffff000000000000;
	asm volatile(".byte 0x67; vmsave" : "+a"(rax)::"memory");
	check(REQ("svm.4.VMSAVE.2"), field(out, 0x490) & 0xffff, 0x28);
	*(u64 *)(host + 0x628) = 0x77;
	rax = (u64)host | 0xffff000000000000;
	asm volatile(".byte 0x67; vmload" : "+a"(rax)::"memory");
	check(REQ("svm.4.VMLOAD.2"), rdmsr(MSR_SYSENTER_CS), 0x77);
	wrmsr(MSR_SYSENTER_CS, msr_before[5]);

	/* bases are made canonical: bit 47 (or the top one) is copied upward */
	*(u64 *)(in + 0x448) = 0x00008000000000ff | (read_cr4() >> 12 & 1 ? 0 : 0);
	asm volatile("vmload" ::"a"(in) : "memory");
	fs_base = rdmsr(MSR_FS_BASE);
	asm volatile("vmload" ::"a"(host) : "memory");
	u32 r[4];
	cpuid(7, 0, r);
	check(REQ("svm.2.3.27") "FS base", fs_base, r[2] >> 16 & 1 ? 0x00008000000000ff : 0xffff8000000000ff);
	wrmsr(MSR_SYSENTER_CS, msr_before[5]);
}
