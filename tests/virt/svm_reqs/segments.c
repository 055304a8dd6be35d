/* "Segment State in the VMCB": which attributes are observed. The guest is 32-bit code. */
#include "reqs.h"

enum { ES, CS, SS, DS, NONE };
static const struct row {
	const char *req;
	u8 seg;
	u16 attrib;
	u32 limit;
	u64 base; /* added to the flat one */
	u8 code[8];
	u64 exit;
	u64 eax; /* with exit 81h */
} rows[] = {
#define LOAD_DS                                                                                                        \
	{                                                                                                              \
		0xa1, 0x10, 0, 0, 0                                                                                    \
	} /* mov ds:[10h], eax: reads */
#define STORE_DS                                                                                                       \
	{                                                                                                              \
		0xa3, 0x10, 0, 0, 0                                                                                    \
	}
#define LOAD_ES                                                                                                        \
	{                                                                                                              \
		0x26, 0xa1, 0x10, 0, 0, 0                                                                              \
	}
#define LOAD_SS                                                                                                        \
	{                                                                                                              \
		0x36, 0xa1, 0x10, 0, 0, 0                                                                              \
	}
#define LOAD_CS                                                                                                        \
	{                                                                                                              \
		0x2e, 0xa1, 0x10, 0, 0, 0                                                                              \
	}
#define PUSH_POP                                                                                                       \
	{                                                                                                              \
		0x66, 0x50, 0x66, 0x58                                                                                 \
	}
#define NOPS                                                                                                           \
	{                                                                                                              \
		0x90                                                                                                   \
	}
        /* base, limit and attributes come from the VMCB */
        {REQ("svm.2.2.1.34 svm.2.2.1.50") "DS base", DS, 0xc93, ~0u, 0, LOAD_DS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.49") "ES base", ES, 0xc93, ~0u, 0, LOAD_ES, 0x81, 0xcafe},
        {REQ("svm.2.2.1.38") "SS base", SS, 0xc93, ~0u, 0, LOAD_SS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.50 svm.2.2.1.75") "DS limit in bytes, too low", DS, 0xc93, 0x12, 0, LOAD_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.50 svm.2.2.1.75") "DS limit in bytes, enough", DS, 0xc93, 0x13, 0, LOAD_DS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.49") "ES limit", ES, 0xc93, 0x12, 0, LOAD_ES, EXIT_GP, 0},
        {REQ("svm.2.2.1.38") "SS limit", SS, 0xc93, 0x12, 0, LOAD_SS, 0x4c, 0},
        {REQ("svm.2.2.1.85") "DS not writable", DS, 0xc91, ~0u, 0, STORE_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.85") "DS expanding down, below", DS, 0xc97, 0x20, 0, LOAD_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.85") "DS expanding down, above", DS, 0xc97, 0x0f, 0, LOAD_DS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.85") "DS execute-only code", DS, 0xc99, ~0u, 0, LOAD_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.85") "DS readable code", DS, 0xc9b, ~0u, 0, LOAD_DS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.85") "DS readable code, write", DS, 0xc9b, ~0u, 0, STORE_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.85") "DS, G and AVL and A do not matter", DS, 0x592, ~0u, 0, LOAD_DS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.86") "DS not present", DS, 0xc13, ~0u, 0, LOAD_DS, EXIT_GP, 0},
        {REQ("svm.2.2.1.86") "ES not present", ES, 0xc13, ~0u, 0, LOAD_ES, EXIT_GP, 0},
        {REQ("svm.2.2.1.82") "SS expanding down, below", SS, 0xc97, 0x20, 0, LOAD_SS, 0x4c, 0},
        {REQ("svm.2.2.1.82") "SS, G and AVL and A do not matter", SS, 0x592, ~0u, 0, LOAD_SS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.80") "CS not present", CS, 0xc1b, ~0u, 0, NOPS, 0x81, 0},
        {REQ("svm.2.2.1.80") "CS DPL 3", CS, 0xcfb, ~0u, 0, NOPS, 0x81, 0},
        {REQ("svm.2.2.1.80") "CS conforming", CS, 0xc9f, ~0u, 0, NOPS, 0x81, 0},
        {REQ("svm.2.2.1.80") "CS not accessed, G 0, AVL 1", CS, 0x59a, ~0u, 0, NOPS, 0x81, 0},
        {REQ("svm.2.2.1.80") "CS readable", CS, 0xc9b, ~0u, 0, LOAD_CS, 0x81, 0xcafe},
        {REQ("svm.2.2.1.80") "CS not readable", CS, 0xc99, ~0u, 0, LOAD_CS, EXIT_GP, 0},
        {REQ("svm.2.2.1.92 svm.2.2.1.57") "CPL 0 with DPL 3 in SS", SS, 0xcf3, ~0u, 0, {0xf4}, 0x78, 0},
};

static u8 *window; /* code at 0, data at 10h from its middle */

static void prepare(const struct row *r)
{
	struct vmcb_seg *segs = &v->es;

	memcpy(window, r->code, sizeof(r->code));
	memset(window + 8, 0x90, 8);
	*(u32 *)(window + 0x810) = 0xcafe;
	base_at((void *)0);
	v->cs.attrib = 0xc9b;
	v->cs.base = (u64)window;
	if (r->seg != NONE) {
		segs[r->seg].attrib = r->attrib;
		segs[r->seg].limit = r->limit;
		if (r->seg != CS)
			segs[r->seg].base = (u64)window + 0x800;
	}
}

static void one(const struct row *r)
{
	unsigned length = r->code[0] == 0x90 || r->code[0] == 0xf4   ? 1
	                  : r->code[0] == 0xa1 || r->code[0] == 0xa3 ? 5
	                                                             : 6;

	prepare(r);
	window[length] = 0x0f, window[length + 1] = 0x01, window[length + 2] = 0xd9;
	if (r->seg == CS && r->code[0] == 0x2e) { /* CS:10h lies in the code's own page */
		*(u32 *)(window + 0x10) = 0xcafe;
		window[0xf] = 0;
	}
	v->rax = 0;
	if (r->code[0] == 0xf4)
		v->intercept1 |= SVM_HLT;
	check(r->req, go(), r->exit);
	if (r->exit == 0x81)
		check(r->req, v->rax & 0xffffffff, r->eax);
}

SNIPPET(g_null_ss, "push %rax; pop %rax", "");
SNIPPET(g_beyond, "nop", "");
SNIPPET(g_tss, "mov $0x4321, %edx; in %dx, %al", "");
SNIPPET(g_lar, "mov $0x0c, %eax; lar %eax, %ecx; setz %bl; mov %bl, seen", "");

void test_segments(void)
{
	window = page_alloc();
	for (unsigned n = 0; n < COUNT(rows); n++)
		one(&rows[n]);
	base(&g_null_ss);
	v->ss.sel = 0;
	v->ss.attrib = 0;
	check(REQ("svm.2.2.1.83") "NULL SS in 64-bit mode", go(), EXIT_VMMCALL);
	/* privilege is the CPL field, whatever SS.DPL says */
	base(&g_null_ss);
	user();
	v->ss.attrib = 0xc93;
	v->intercept1 |= SVM_BIT(EXIT_HLT);
	check(REQ("svm.2.2.1.92") "SS.DPL 0, CPL 3", go(), EXIT_VMMCALL);
	check(REQ("svm.2.2.1.92 svm.2.2.1.93") "CPL", v->cpl, 3);
	check(REQ("svm.2.2.1.93") "SS.DPL comes back as it was", v->ss.attrib >> 5 & 3, 0);
	/* RIP beyond the limit: VMRUN succeeds */
	base_at((void *)0x1000);
	v->cs.attrib = 0xc9b;
	v->cs.base = (u64)window;
	v->cs.limit = 0xfff;
	check(REQ("svm.2.2.1.61") "RIP beyond the CS limit", go(), EXIT_GP);
	check(REQ("svm.2.2.1.61") "at that RIP", v->rip, 0x1000);
	/* LDTR: only P is looked at */
	for (unsigned p = 0; p < 2; p++) {
		struct vmcb *host = page_alloc(), *guest = page_alloc();
		static u64 ldt[2] = {0, 0x00cf93000000ffff};

		asm volatile("vmsave" ::"a"(host) : "memory");
		memcpy(guest, host, 4096);
		guest->ldtr =
		        (struct vmcb_seg){.sel = 0x38, .attrib = (u16)(p << 7 | 0x71), .limit = 15, .base = (u64)ldt};
		base(&g_lar);
		seen[0] = 9;
		asm volatile("clgi; vmload" ::"a"(guest) : "memory");
		go_gif0();
		asm volatile("vmload; stgi" ::"a"(host) : "memory");
		check(REQ("svm.2.2.1.87") "LDTR.P", v->exitcode == 0x81 ? seen[0] & 0xff : 99, p);
	}
	/* TR: a 16-bit TSS has no I/O map */
	for (unsigned n = 0; n < 2; n++) {
		struct vmcb *host = page_alloc(), *guest = page_alloc();
		u8 *task = page_alloc();

		task[0x66] = 0x68; /* the map opens every port */
		asm volatile("vmsave" ::"a"(host) : "memory");
		memcpy(guest, host, 4096);
		guest->tr =
		        (struct vmcb_seg){.sel = 0x28, .attrib = n ? 0x83 : 0x8b, .limit = 0xfff, .base = (u64)task};
		base(&g_tss);
		user();
		asm volatile("clgi; vmload" ::"a"(guest) : "memory");
		go_gif0();
		asm volatile("vmload; stgi" ::"a"(host) : "memory");
		if (!n)
			check("TSS", v->exitcode, EXIT_VMMCALL);
	}
}
