/* Where the host goes on lies beyond its code segment, or is no canonical address: sections 2.3.25 and 2.3.26. */
#include "reqs.h"

SNIPPET(m_nop, "nop; nop", "");

asm(".pushsection .text\n"
    "limit_go: mov %rdi, %rax; pushq $0x38; lea limit_vmrun - 0x100000, %ecx; push %rcx; lretq\n"
    ".code32\nlimit_vmrun: vmrun\n.code64\nlimit_behind: hlt\n"
    ".popsection");
extern void limit_go(u64 vmcb);
extern char limit_behind[];

void test_host_limits(void)
{
	u64 was = gdt[7], limit = (u64)limit_behind - 0x100000 - 1;
	u8 *page = page_alloc();
	void (*edge)(void) = (void (*)(void))0x7ffffffffffdull;
	u64 *root = (u64 *)read_cr3(), a = (u64)v;

	gdt[7] = 0x00409b1000000000 | (limit & 0xffff) | (limit >> 16 & 15) << 48;
	base(&m_nop);
	check(REQ("svm.2.3.25") "RIP beyond the CS limit", CATCH(limit_go((u64)v)), 13);
	asm volatile("stgi");
	check(REQ("svm.2.3.25") "at that RIP", last_fault.rip, limit + 1);
	check(REQ("svm.2.3.25") "in the host's code segment", last_regs.cs, 0x38);
	check(REQ("svm.2.3.25") "the guest had run", v->exitcode, EXIT_VMMCALL);
	gdt[7] = was;

	page[4093] = 0x0f, page[4094] = 0x01, page[4095] = 0xd8;
	map_page(root, 0x7ffffffff000, (u64)page, 3);
	base(&m_nop);
	check(REQ("svm.2.3.26") "RIP not canonical",
	      CATCH(asm volatile("call *%1"
	                         : "+a"(a)
	                         : "r"(edge)
	                         : "rbx", "rcx", "rdx", "rsi", "rdi", "memory")),
	      13);
	asm volatile("stgi");
	check(REQ("svm.2.3.26") "at that RIP", last_fault.rip, 0x800000000000);
	check(REQ("svm.2.3.26") "the guest had run", v->exitcode, EXIT_VMMCALL);
	root[255] = 0;
	write_cr3((u64)root);
}
