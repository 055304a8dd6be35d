/*
 * Statements of the 2005 manual that are tables: appendix C (layout), appendix D (exit codes), the bits of VINTR and of
 * events, the memory types of tables 2-12 and 2-13. The numbers are those of the statements, typed; a row names the
 * statement that it holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "svm/svm.h"

#define REQ(...) #__VA_ARGS__

/* ---- appendix C ---- */

#define MEMBER_SIZE(m) sizeof(((struct vmcb_page *)0)->m)
#define SA(req, off, w, m, text)  {req, 0x400 + (off), w, offsetof(struct vmcb_page, save.m), MEMBER_SIZE(save.m), text}
#define CTL(req, off, w, m, text) {req, off, w, offsetof(struct vmcb_page, control.m), MEMBER_SIZE(control.m), text}

/* clang-format off */
static const struct { const char *req; size_t offset, width, is, size; const char *name; } layout[] = {
	CTL(REQ(svm.C.1.73), 0x070, 8, exitcode, "EXITCODE"),
	CTL(REQ(svm.C.1.74), 0x078, 8, exitinfo1, "EXITINFO1"),
	CTL(REQ(svm.C.1.75), 0x080, 8, exitinfo2, "EXITINFO2"),
	CTL(REQ(svm.C.1.76), 0x088, 8, exitintinfo, "EXITINTINFO"),
	CTL(REQ(svm.C.1.80), 0x0a8, 8, eventinj, "EVENTINJ"),
	CTL(REQ(svm.C.1.81), 0x0b0, 8, n_cr3, "N_CR3"), /* H_CR3 in 2005 */
	CTL(REQ(svm.C.1.57), 0x058, 4, asid, "guest ASID"),
	SA(REQ(svm.C.1.85), 0x000, 2, es.sel, "ES selector"),
	SA(REQ(svm.C.1.86), 0x002, 2, es.attrib, "ES attributes"),
	SA(REQ(svm.C.1.87), 0x004, 4, es.limit, "ES limit"),
	SA(REQ(svm.C.1.88), 0x008, 8, es.base, "ES base"),
	SA(REQ(svm.C.1.89), 0x010, 2, cs.sel, "CS selector"),
	SA(REQ(svm.C.1.90), 0x012, 2, cs.attrib, "CS attributes"),
	SA(REQ(svm.C.1.91), 0x014, 4, cs.limit, "CS limit"),
	SA(REQ(svm.C.1.92), 0x018, 8, cs.base, "CS base"),
	SA(REQ(svm.C.1.93), 0x020, 2, ss.sel, "SS selector"),
	SA(REQ(svm.C.1.94), 0x022, 2, ss.attrib, "SS attributes"),
	SA(REQ(svm.C.1.95), 0x024, 4, ss.limit, "SS limit"),
	SA(REQ(svm.C.1.96), 0x028, 8, ss.base, "SS base"),
	SA(REQ(svm.C.1.97), 0x030, 2, ds.sel, "DS selector"),
	SA(REQ(svm.C.1.98), 0x032, 2, ds.attrib, "DS attributes"),
	SA(REQ(svm.C.1.99), 0x034, 4, ds.limit, "DS limit"),
	SA(REQ(svm.C.1.100), 0x038, 8, ds.base, "DS base"),
	SA(REQ(svm.C.1.101), 0x040, 2, fs.sel, "FS selector"),
	SA(REQ(svm.C.1.102), 0x042, 2, fs.attrib, "FS attributes"),
	SA(REQ(svm.C.1.103), 0x044, 4, fs.limit, "FS limit"),
	SA(REQ(svm.C.1.104), 0x048, 8, fs.base, "FS base"),
	SA(REQ(svm.C.1.105), 0x050, 2, gs.sel, "GS selector"),
	SA(REQ(svm.C.1.106), 0x052, 2, gs.attrib, "GS attributes"),
	SA(REQ(svm.C.1.107), 0x054, 4, gs.limit, "GS limit"),
	SA(REQ(svm.C.1.108), 0x058, 8, gs.base, "GS base"),
	SA(REQ(svm.C.1.110), 0x064, 4, gdtr.limit, "GDTR limit"),
	SA(REQ(svm.C.1.111), 0x068, 8, gdtr.base, "GDTR base"),
	SA(REQ(svm.C.1.112), 0x070, 2, ldtr.sel, "LDTR selector"),
	SA(REQ(svm.C.1.113), 0x072, 2, ldtr.attrib, "LDTR attributes"),
	SA(REQ(svm.C.1.114), 0x074, 4, ldtr.limit, "LDTR limit"),
	SA(REQ(svm.C.1.115), 0x078, 8, ldtr.base, "LDTR base"),
	SA(REQ(svm.C.1.117), 0x084, 4, idtr.limit, "IDTR limit"),
	SA(REQ(svm.C.1.118), 0x088, 8, idtr.base, "IDTR base"),
	SA(REQ(svm.C.1.119), 0x090, 2, tr.sel, "TR selector"),
	SA(REQ(svm.C.1.120), 0x092, 2, tr.attrib, "TR attributes"),
	SA(REQ(svm.C.1.121), 0x094, 4, tr.limit, "TR limit"),
	SA(REQ(svm.C.1.122), 0x098, 8, tr.base, "TR base"),
	SA(REQ(svm.C.1.125), 0x0cb, 1, cpl, "CPL"),
	SA(REQ(svm.C.1.127), 0x0d0, 8, efer, "EFER"),
	SA(REQ(svm.C.1.129), 0x148, 8, cr4, "CR4"),
	SA(REQ(svm.C.1.130), 0x150, 8, cr3, "CR3"),
	SA(REQ(svm.C.1.131), 0x158, 8, cr0, "CR0"),
	SA(REQ(svm.C.1.132), 0x160, 8, dr7, "DR7"),
	SA(REQ(svm.C.1.133), 0x168, 8, dr6, "DR6"),
	SA(REQ(svm.C.1.134), 0x170, 8, rflags, "RFLAGS"),
	SA(REQ(svm.C.1.135), 0x178, 8, rip, "RIP"),
	SA(REQ(svm.C.1.137), 0x1d8, 8, rsp, "RSP"),
	SA(REQ(svm.C.1.139), 0x1f8, 8, rax, "RAX"),
	SA(REQ(svm.C.1.140), 0x200, 8, star, "STAR"),
	SA(REQ(svm.C.1.141), 0x208, 8, lstar, "LSTAR"),
	SA(REQ(svm.C.1.142), 0x210, 8, cstar, "CSTAR"),
	SA(REQ(svm.C.1.143), 0x218, 8, sfmask, "SFMASK"),
	SA(REQ(svm.C.1.144), 0x220, 8, kernel_gs_base, "KernelGsBase"),
	SA(REQ(svm.C.1.145), 0x228, 8, sysenter_cs, "SYSENTER_CS"),
	SA(REQ(svm.C.1.146), 0x230, 8, sysenter_esp, "SYSENTER_ESP"),
	SA(REQ(svm.C.1.147), 0x238, 8, sysenter_eip, "SYSENTER_EIP"),
	SA(REQ(svm.C.1.148), 0x240, 8, cr2, "CR2"),
	SA(REQ(svm.C.1.150), 0x268, 8, g_pat, "G_PAT"),
	SA(REQ(svm.C.1.151), 0x270, 8, dbgctl, "DBGCTL"),
	SA(REQ(svm.C.1.152), 0x278, 8, br_from, "BR_FROM"),
	SA(REQ(svm.C.1.153), 0x280, 8, br_to, "BR_TO"),
	SA(REQ(svm.C.1.154), 0x288, 8, lastexcpfrom, "LASTEXCPFROM"),
	SA(REQ(svm.C.1.155), 0x290, 8, lastexcpto, "LASTEXCPTO"),
};
/* clang-format on */

static void test_layout(void **state)
{
	(void)state;
	/* REQ(svm.C.1.1 svm.C.1.2) */
	assert_int_equal(offsetof(struct vmcb_page, control), 0);
	assert_int_equal(offsetof(struct vmcb_page, save), 0x400);
	assert_int_equal(sizeof(struct vmcb_page), 4096);
	for (size_t n = 0; n < ARRAY_LEN(layout); n++) {
		const struct vmcb_field *f = vmcb_field_at((unsigned)layout[n].offset);

		if (layout[n].is != layout[n].offset || layout[n].size != layout[n].width)
			fail_msg("%s: %s is at 0x%zx, %zu bytes", layout[n].req, layout[n].name, layout[n].is, layout[n].size);
		if (!f || f->width != layout[n].width || strcmp(strchr(f->name, ' ') + 1, layout[n].name) != 0)
			fail_msg("%s: the field table has not %s", layout[n].req, layout[n].name);
	}
}

/* Bytes in memory, least significant first: REQ(svm.P.4) */
static void test_little_endian(void **state)
{
	union {
		u8 bytes[4096];
		struct vmcb_page page;
	} *u = calloc(1, sizeof(*u));

	(void)state;
	assert_non_null(u);
	for (unsigned n = 0; n < 8; n++)
		u->bytes[0x50 + n] = (u8)(n + 1);
	u->bytes[0x58] = 0x34, u->bytes[0x59] = 0x12;
	u->bytes[0x402] = 0x93, u->bytes[0x403] = 0x0c;
	assert_int_equal(u->page.control.tsc_offset, 0x0807060504030201ull);
	assert_int_equal(u->page.control.asid, 0x1234);
	assert_int_equal(u->page.save.es.attrib, 0xc93);
	free(u);
}

/* ---- appendix D, and the intercept bits of table C-1 ---- */

/* clang-format off */
static const struct { const char *req; unsigned code; const char *name; unsigned icpt; } codes[] = {
	{REQ(svm.D.2), 0x00, "VMEXIT_CR0_READ", ICPT_CR0_READ},
	{REQ(svm.D.3), 0x02, "VMEXIT_CR2_READ", ICPT_CR0_READ + 2},
	{REQ(svm.D.4), 0x03, "VMEXIT_CR3_READ", ICPT_CR0_READ + 3},
	{REQ(svm.D.5), 0x04, "VMEXIT_CR4_READ", ICPT_CR0_READ + 4},
	{REQ(svm.D.6), 0x08, "VMEXIT_CR8_READ", ICPT_CR0_READ + 8},
	{REQ(svm.D.8), 0x10, "VMEXIT_CR0_WRITE", ICPT_CR0_WRITE},
	{REQ(svm.D.9), 0x12, "VMEXIT_CR2_WRITE", ICPT_CR0_WRITE + 2},
	{REQ(svm.D.10), 0x13, "VMEXIT_CR3_WRITE", ICPT_CR0_WRITE + 3},
	{REQ(svm.D.11), 0x14, "VMEXIT_CR4_WRITE", ICPT_CR0_WRITE + 4},
	{REQ(svm.D.12), 0x18, "VMEXIT_CR8_WRITE", ICPT_CR0_WRITE + 8},
	{REQ(svm.D.14), 0x20, "VMEXIT_DR0_READ", ICPT_DR0_READ},
	{REQ(svm.D.15), 0x21, "VMEXIT_DR1_READ", ICPT_DR0_READ + 1},
	{REQ(svm.D.16), 0x22, "VMEXIT_DR2_READ", ICPT_DR0_READ + 2},
	{REQ(svm.D.17), 0x23, "VMEXIT_DR3_READ", ICPT_DR0_READ + 3},
	{REQ(svm.D.18), 0x24, "VMEXIT_DR4_READ", ICPT_DR0_READ + 4},
	{REQ(svm.D.19), 0x25, "VMEXIT_DR5_READ", ICPT_DR0_READ + 5},
	{REQ(svm.D.20), 0x26, "VMEXIT_DR6_READ", ICPT_DR0_READ + 6},
	{REQ(svm.D.21), 0x27, "VMEXIT_DR7_READ", ICPT_DR0_READ + 7},
	{REQ(svm.D.23), 0x30, "VMEXIT_DR0_WRITE", ICPT_DR0_WRITE},
	{REQ(svm.D.24), 0x31, "VMEXIT_DR1_WRITE", ICPT_DR0_WRITE + 1},
	{REQ(svm.D.25), 0x32, "VMEXIT_DR2_WRITE", ICPT_DR0_WRITE + 2},
	{REQ(svm.D.26), 0x33, "VMEXIT_DR3_WRITE", ICPT_DR0_WRITE + 3},
	{REQ(svm.D.27), 0x34, "VMEXIT_DR4_WRITE", ICPT_DR0_WRITE + 4},
	{REQ(svm.D.28), 0x35, "VMEXIT_DR5_WRITE", ICPT_DR0_WRITE + 5},
	{REQ(svm.D.29), 0x36, "VMEXIT_DR6_WRITE", ICPT_DR0_WRITE + 6},
	{REQ(svm.D.30), 0x37, "VMEXIT_DR7_WRITE", ICPT_DR0_WRITE + 7},
	{REQ(svm.D.32), 0x40, "VMEXIT_EXCP0", ICPT_EXC},
	{REQ(svm.D.33), 0x41, "VMEXIT_EXCP1", ICPT_EXC + 1},
	{REQ(svm.D.34), 0x43, "VMEXIT_EXCP3", ICPT_EXC + 3},
	{REQ(svm.D.35), 0x44, "VMEXIT_EXCP4", ICPT_EXC + 4},
	{REQ(svm.D.36), 0x45, "VMEXIT_EXCP5", ICPT_EXC + 5},
	{REQ(svm.D.37), 0x46, "VMEXIT_EXCP6", ICPT_EXC + 6},
	{REQ(svm.D.38), 0x47, "VMEXIT_EXCP7", ICPT_EXC + 7},
	{REQ(svm.D.39), 0x48, "VMEXIT_EXCP8", ICPT_EXC + 8},
	{REQ(svm.D.40), 0x4a, "VMEXIT_EXCP10", ICPT_EXC + 10},
	{REQ(svm.D.41), 0x4b, "VMEXIT_EXCP11", ICPT_EXC + 11},
	{REQ(svm.D.42), 0x4c, "VMEXIT_EXCP12", ICPT_EXC + 12},
	{REQ(svm.D.43), 0x4d, "VMEXIT_EXCP13", ICPT_EXC + 13},
	{REQ(svm.D.44), 0x4e, "VMEXIT_EXCP14", ICPT_EXC + 14},
	{REQ(svm.D.45), 0x50, "VMEXIT_EXCP16", ICPT_EXC + 16},
	{REQ(svm.D.46), 0x51, "VMEXIT_EXCP17", ICPT_EXC + 17},
	{REQ(svm.D.47), 0x52, "VMEXIT_EXCP18", ICPT_EXC + 18},
	{REQ(svm.D.48), 0x53, "VMEXIT_EXCP19", ICPT_EXC + 19},
	{REQ(svm.D.51 svm.C.1.10), 0x60, "VMEXIT_INTR", ICPT_INTR},
	{REQ(svm.D.52 svm.C.1.11), 0x61, "VMEXIT_NMI", ICPT_NMI},
	{REQ(svm.D.54 svm.C.1.13), 0x63, "VMEXIT_INIT", ICPT_INIT},
	{REQ(svm.D.55 svm.C.1.14), 0x64, "VMEXIT_VINTR", ICPT_VINTR},
	{REQ(svm.D.56 svm.C.1.15), 0x65, "VMEXIT_CR0_SEL_WRITE", ICPT_CR0_SEL_WRITE},
	{REQ(svm.D.57 svm.C.1.16), 0x66, "VMEXIT_IDTR_READ", ICPT_IDTR_READ},
	{REQ(svm.D.58 svm.C.1.17), 0x67, "VMEXIT_GDTR_READ", ICPT_GDTR_READ},
	{REQ(svm.D.59 svm.C.1.18), 0x68, "VMEXIT_LDTR_READ", ICPT_LDTR_READ},
	{REQ(svm.D.60 svm.C.1.19), 0x69, "VMEXIT_TR_READ", ICPT_TR_READ},
	{REQ(svm.D.61 svm.C.1.20), 0x6a, "VMEXIT_IDTR_WRITE", ICPT_IDTR_WRITE},
	{REQ(svm.D.62 svm.C.1.21), 0x6b, "VMEXIT_GDTR_WRITE", ICPT_GDTR_WRITE},
	{REQ(svm.D.63 svm.C.1.22), 0x6c, "VMEXIT_LDTR_WRITE", ICPT_LDTR_WRITE},
	{REQ(svm.D.64 svm.C.1.23), 0x6d, "VMEXIT_TR_WRITE", ICPT_TR_WRITE},
	{REQ(svm.D.65 svm.C.1.24), 0x6e, "VMEXIT_RDTSC", ICPT_RDTSC},
	{REQ(svm.D.66 svm.C.1.25), 0x6f, "VMEXIT_RDPMC", ICPT_RDPMC},
	{REQ(svm.D.67 svm.C.1.26), 0x70, "VMEXIT_PUSHF", ICPT_PUSHF},
	{REQ(svm.D.68 svm.C.1.27), 0x71, "VMEXIT_POPF", ICPT_POPF},
	{REQ(svm.D.69 svm.C.1.28), 0x72, "VMEXIT_CPUID", ICPT_CPUID},
	{REQ(svm.D.70 svm.C.1.29), 0x73, "VMEXIT_RSM", ICPT_RSM},
	{REQ(svm.D.71 svm.C.1.30), 0x74, "VMEXIT_IRET", ICPT_IRET},
	{REQ(svm.D.72 svm.C.1.31), 0x75, "VMEXIT_SWINT", ICPT_SWINT},
	{REQ(svm.D.73 svm.C.1.32), 0x76, "VMEXIT_INVD", ICPT_INVD},
	{REQ(svm.D.74 svm.C.1.33), 0x77, "VMEXIT_PAUSE", ICPT_PAUSE},
	{REQ(svm.D.75 svm.C.1.34), 0x78, "VMEXIT_HLT", ICPT_HLT},
	{REQ(svm.D.76 svm.C.1.35), 0x79, "VMEXIT_INVLPG", ICPT_INVLPG},
	{REQ(svm.D.77 svm.C.1.36), 0x7a, "VMEXIT_INVLPGA", ICPT_INVLPGA},
	{REQ(svm.D.78 svm.C.1.37), 0x7b, "VMEXIT_IOIO", ICPT_IOIO},
	{REQ(svm.D.79 svm.C.1.38), 0x7c, "VMEXIT_MSR", ICPT_MSR},
	{REQ(svm.D.80 svm.C.1.39), 0x7d, "VMEXIT_TASK_SWITCH", ICPT_TASK_SWITCH},
	{REQ(svm.D.81 svm.C.1.40), 0x7e, "VMEXIT_FERR_FREEZE", ICPT_FERR_FREEZE},
	{REQ(svm.D.82 svm.C.1.41), 0x7f, "VMEXIT_SHUTDOWN", ICPT_SHUTDOWN},
	{REQ(svm.D.83 svm.C.1.42), 0x80, "VMEXIT_VMRUN", ICPT_VMRUN},
	{REQ(svm.D.84 svm.C.1.43), 0x81, "VMEXIT_VMMCALL", ICPT_VMMCALL},
	{REQ(svm.D.85 svm.C.1.44), 0x82, "VMEXIT_VMLOAD", ICPT_VMLOAD},
	{REQ(svm.D.86 svm.C.1.45), 0x83, "VMEXIT_VMSAVE", ICPT_VMSAVE},
	{REQ(svm.D.87 svm.C.1.46), 0x84, "VMEXIT_STGI", ICPT_STGI},
	{REQ(svm.D.88 svm.C.1.47), 0x85, "VMEXIT_CLGI", ICPT_CLGI},
	{REQ(svm.D.89 svm.C.1.48), 0x86, "VMEXIT_SKINIT", ICPT_SKINIT},
	{REQ(svm.D.90 svm.C.1.49), 0x87, "VMEXIT_RDTSCP", ICPT_RDTSCP},
	{REQ(svm.D.91 svm.C.1.50), 0x88, "VMEXIT_ICEBP", ICPT_ICEBP},
	{REQ(svm.D.92 svm.C.1.51), 0x89, "VMEXIT_WBINVD", ICPT_WBINVD},
};
static const struct { const char *req; unsigned first, last, icpt; const char *form; } ranges[] = {
	{REQ(svm.C.1.5), 0x00, 0x0f, ICPT_CR0_READ, "VMEXIT_CR%u_READ"},
	{REQ(svm.C.1.6), 0x10, 0x1f, ICPT_CR0_WRITE, "VMEXIT_CR%u_WRITE"},
	{REQ(svm.C.1.7), 0x20, 0x2f, ICPT_DR0_READ, "VMEXIT_DR%u_READ"},
	{REQ(svm.C.1.8), 0x30, 0x3f, ICPT_DR0_WRITE, "VMEXIT_DR%u_WRITE"},
	{REQ(svm.C.1.9), 0x40, 0x5f, ICPT_EXC, "VMEXIT_EXCP%u"},
};
/* clang-format on */

/* Bit n of the vector at offset 000h compiles to this intercept and no other, and its exit code is n: REQ(svm.D.1) */
static void one_code(const char *req, unsigned code, const char *name, unsigned icpt)
{
	const struct svm_exit_row *row = svm_exit_row(code);
	struct vmcb_page *page = calloc(1, sizeof(*page));
	u64 is[5], want[5] = {0};

	assert_non_null(page);
	((u8 *)page)[code / 8] = (u8)(1u << code % 8);
	svm_compile_intercepts(page->control.icpt, is);
	free(page);
	want[icpt / 64] = 1ull << icpt % 64;
	if (memcmp(is, want, sizeof(is)) != 0 || svm_exit_code(icpt) != code)
		fail_msg("%s: bit 0x%x", req, code);
	if (!row || row->icpt != icpt || strcmp(row->name, name) != 0)
		fail_msg("%s: code 0x%x is %s", req, code, row ? row->name : "nothing");
}

static void test_codes(void **state)
{
	char name[32];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(codes); n++)
		one_code(codes[n].req, codes[n].code, codes[n].name, codes[n].icpt);
	for (size_t n = 0; n < ARRAY_LEN(ranges); n++)
		for (unsigned k = ranges[n].first; k <= ranges[n].last; k++) {
			(void)snprintf(name, sizeof(name), ranges[n].form, k - ranges[n].first);
			one_code(ranges[n].req, k, name, ranges[n].icpt + k - ranges[n].first);
		}
}

/* ---- tables 2-12 and 2-13 ---- */

enum { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UCM = 7, CD = SVM_MT_CD, WCP = SVM_MT_WC_PLUS }; /* PAT and MTRR encodings */

static void test_pat_table(void **state)
{
	static const u8 order[6] = {UC, UCM, WC, WP, WT, WB};
	static const struct {
		const char *req;
		u8 guest, result[6];
	} rows[] = {
	        {REQ(svm.2.21.8.16), UC, {UC, UC, UC, UC, UC, UC}},
	        {REQ(svm.2.21.8.17), UCM, {UC, UCM, WC, UC, UC, UC}},
	        {REQ(svm.2.21.8.18 svm.2.21.8.14), WC, {WC, WC, WC, WCP, WCP, WCP}},
	        {REQ(svm.2.21.8.19), WP, {UC, UC, UC, WP, UC, WP}},
	        {REQ(svm.2.21.8.20), WT, {UC, UC, UC, UC, WT, WT}},
	        {"docs/ERRATA.md E35", WB, {UC, UC, WC, WP, WT, WB}},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		for (unsigned h = 0; h < 6; h++)
			if (svm_combine_pat(rows[n].guest, order[h]) != rows[n].result[h])
				fail_msg("%s, column %u", rows[n].req, h);
}

static void test_mtrr_table(void **state)
{
	static const u8 order[5] = {UC, WC, WP, WT, WB};
	static const struct {
		const char *req;
		u8 pat, result[5];
	} rows[] = {
	        {REQ(svm.2.21.8.23), UC, {UC, CD, CD, CD, CD}},
	        {REQ(svm.2.21.8.24), UCM, {UC, WC, CD, CD, CD}},
	        {REQ(svm.2.21.8.25), WC, {WC, WC, WC, WC, WC}},
	        {REQ(svm.2.21.8.26), WCP, {WC, WC, WCP, WCP, WCP}},
	        {REQ(svm.2.21.8.28), WP, {UC, CD, WP, CD, WP}},
	        {REQ(svm.2.21.8.29), WT, {UC, CD, CD, WT, WT}},
	        {REQ(svm.2.21.8.30), WB, {UC, WC, WP, WT, WB}},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		for (unsigned m = 0; m < 5; m++)
			if (svm_combine_mtrr(rows[n].pat, order[m]) != rows[n].result[m])
				fail_msg("%s, column %u", rows[n].req, m);
}

/* ---- segments and events at the edge ---- */

static void test_attributes(void **state)
{
	/* 7:0 are descriptor bits 47:40, 11:8 are 55:52: type, S, DPL, P; AVL, L, D/B, G. REQ(svm.2.2.1.77 svm.2.2.1.78) */
	static const struct {
		u16 attrib;
		u32 descriptor_high; /* the same bits in the upper half of a descriptor */
	} rows[] = {{0x001, 1u << 8},  {0x002, 1u << 9},  {0x004, 1u << 10}, {0x008, 1u << 11}, {0x010, 1u << 12}, {0x020, 1u << 13},
	            {0x040, 1u << 14}, {0x080, 1u << 15}, {0x100, 1u << 20}, {0x200, 1u << 21}, {0x400, 1u << 22}, {0x800, 1u << 23}};
	const struct seg plain = svm_seg_load(&(struct vmcb_seg){.attrib = 0x90}, SEG_DS, 48);

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct vmcb_seg in = {.attrib = rows[n].attrib | 0x90}, out; /* present, not a system segment */
		struct seg s = svm_seg_load(&in, SEG_DS, 48);

		assert_int_equal(s.ar, plain.ar | rows[n].descriptor_high >> 8);
		svm_seg_store(&out, &s); /* REQ(svm.2.2.1.91) */
		assert_int_equal(out.attrib, in.attrib);
	}
}

static void test_bases(void **state)
{
	const struct vmcb_seg in = {.attrib = 0x93, .limit = ~0u, .base = 0x12345678fedcba98ull};
	static const struct {
		const char *req;
		u8 seg;
		u64 base;
	} rows[] = {
	        {REQ(svm.C.1.123), SEG_ES, 0xfedcba98},
	        {REQ(svm.C.1.123), SEG_CS, 0xfedcba98},
	        {REQ(svm.C.1.123), SEG_SS, 0xfedcba98},
	        {REQ(svm.C.1.123), SEG_DS, 0xfedcba98},
	        {REQ(svm.2.2.1.124 svm.2.3.27), SEG_FS, 0x00005678fedcba98ull},
	        {REQ(svm.2.2.1.124 svm.2.3.27), SEG_GS, 0x00005678fedcba98ull},
	        {REQ(svm.2.2.1.124 svm.2.3.27), SEG_TR, 0x00005678fedcba98ull},
	        {REQ(svm.2.2.1.124 svm.2.3.27), SEG_LDTR, 0x00005678fedcba98ull},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (svm_seg_load(&in, rows[n].seg, 48).base != rows[n].base)
			fail_msg("%s: segment %u", rows[n].req, rows[n].seg);
	/* limits are in bytes whatever G says, bases are whole: REQ(svm.2.2.1.75 svm.2.2.1.76) */
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .limit = 0x12345}, SEG_DS, 48).limit, 0x12345);
	assert_int_equal(svm_seg_load(&(struct vmcb_seg){.attrib = 0x893, .base = 0xfedcba98}, SEG_DS, 48).base, 0xfedcba98);
}

static void test_event_bits(void **state)
{
	(void)state;
	/* EXITINTINFO: vector 7:0, type 10:8. REQ(svm.2.4.2.3 svm.2.4.2.4) */
	for (unsigned vector = 32; vector < 256; vector++)
		assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_EXTINT, .vector = (u8)vector}),
		                 0x80000000u | vector);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_NMI, .vector = 2}), 0x80000202);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_HWEX, .vector = 14, .has_error = true, .error = 6}),
	                 0x680000b0eull);
	assert_int_equal(svm_intinfo_from_event(&(struct event){.type = EV_SWINT, .vector = 0x80}), 0x80000480);
	/* no other type leaves the processor: REQ(svm.2.4.2.10) */
	for (unsigned type = 0; type < 16; type++) {
		u64 info = svm_intinfo_from_event(&(struct event){.type = (u8)type, .vector = 3});

		assert_true(!(info >> 31 & 1) || (1u << (info >> 8 & 7) & (1 | 4 | 8 | 16)));
	}
	/* EVENTINJ is read with the same encoding: what comes out is what went in. REQ(svm.2.16.3 svm.2.16.10 svm.2.16.12) */
	for (unsigned vector = 0; vector < 256; vector++)
		for (unsigned type = 0; type < 5; type++) {
			u64 info = 0x80000000ull | type << 8 | vector;
			struct event e;

			if (type == 1 || (type == 2 && vector != 2) || (type == 3 && vector > 31))
				continue;
			e = svm_event_from_intinfo(info, 2);
			assert_int_equal(e.vector, vector);
			assert_int_equal(svm_intinfo_from_event(&e), info);
		}
}

/* ---- the bits of 060h, 068h, 090h, 0B8h ---- */

static void test_control_bits(void **state)
{
	static const struct {
		const char *req;
		u64 is, mask;
	} rows[] = {
	        {REQ(svm.C.1.62), VINTR_IRQ, 1ull << 8},           {REQ(svm.C.1.65), VINTR_IGN_TPR, 1ull << 20},
	        {REQ(svm.C.1.67), VINTR_MASKING, 1ull << 24},      {REQ(svm.C.1.71), INT_STATE_SHADOW, 1},
	        {REQ(svm.C.1.77), NESTED_NP_ENABLE, 1},            {REQ(svm.C.1.82 svm.2.19.1.1), VIRT_EXT_LBRV, 1},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (rows[n].is != rows[n].mask)
			fail_msg("%s", rows[n].req);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_layout),
	        cmocka_unit_test(test_little_endian),
	        cmocka_unit_test(test_codes),
	        cmocka_unit_test(test_pat_table),
	        cmocka_unit_test(test_mtrr_table),
	        cmocka_unit_test(test_attributes),
	        cmocka_unit_test(test_bases),
	        cmocka_unit_test(test_event_bits),
	        cmocka_unit_test(test_control_bits),
	};

	return cmocka_run_group_tests_name("svm requirements", tests, NULL, NULL);
}
