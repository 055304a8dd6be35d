/*
 * Statements of the 2005 manual, one by one: each check opens with the statement's id. A snippet runs as a guest from a
 * fresh VMCB.
 */
#ifndef SVM_REQS_H
#define SVM_REQS_H

#include "../svm_test.h"

enum { EFER = 0xc0000080, HSAVE = 0xc0010117, VM_CR = 0xc0010114, IGNNE = 0xc0010115, APIC = 0xfee00000 };

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((packed));

extern u64 seen[64];

void base(const struct snippet *s);
void base_at(const void *entry); /* code that is no snippet */
u64 *split(u64 gpa); /* the nested entries of its 2 MiB as small pages */

void test_reset(void);
void test_state(void);
void test_segments(void);
void test_faults(void);
void test_vmload(void);
void test_debug(void);
void test_registers(void);
void test_apic(void);
void test_lbr(void);
void test_cr8(void);
void test_paging(void);
void test_events(void);
void test_host_limits(void);
void test_restart(void);
void test_tasks(void);

#endif
