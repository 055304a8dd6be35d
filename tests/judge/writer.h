/*
 * Dumps as others print them, written from a VMCS or VMCB by hand of their formats: what the kernels' modules and Xen's image
 * have as text. Each returns a text to be freed.
 */
#ifndef TESTS_JUDGE_WRITER_H
#define TESTS_JUDGE_WRITER_H

#include "svm/svm.h"
#include "vmx/vmx.h"

char *write_linux_vmcs(const u64 f[VMCS_SLOTS], bool old, u64 reason); /* old: as kernels before 5.13 have it */
char *write_xen_vmcs(const u64 f[VMCS_SLOTS], u64 reason);
char *write_header_vmcs(const u64 f[VMCS_SLOTS], const u64 in[VMX_IN_END - VMX_IN]); /* by tools/vmdump.h */
char *write_json_vmcs(const u64 f[VMCS_SLOTS]);
char *write_linux_vmcb(const u8 page[4096], bool old);
char *write_xen_vmcb(const u8 page[4096]);
char *write_header_vmcb(const u8 page[4096], u64 host_cr0);
char *write_json_vmcb(const u8 page[4096]);

#endif
