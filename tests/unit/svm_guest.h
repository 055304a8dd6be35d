/* The guest that tests of SVM begin with: 64-bit code at GUEST_CODE, its monitor's page tables, every VMCB field legal. */
#ifndef SVM_GUEST_H
#define SVM_GUEST_H

#include "world_fixture.h"

#include "svm/svm.h"

enum { ICPT_3_SMI = 1u << 2, ICPT_3_SHUTDOWN = 1u << 31, ICPT_4_VMRUN = 1, ICPT_4_VMMCALL = 2 };

static inline struct vmcb_page *vmcb_of(struct pc *p)
{
	return (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA);
}

/* Intercepted: VMRUN, VMMCALL, shutdown, and SMIs, as 2005 demands. */
static inline struct vmcb_page *svm_guest64(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};

	memset(v, 0, sizeof(*v));
	v->control.icpt[3] = ICPT_3_SHUTDOWN | ICPT_3_SMI;
	v->control.icpt[4] = ICPT_4_VMRUN | ICPT_4_VMMCALL;
	v->control.asid = 1;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE;
	v->save.cr3 = 0x1000;
	v->save.g_pat = 0x0007040600070406;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = FL_1;
	v->save.rip = GUEST_CODE;
	v->save.rsp = 0x90000;
	return v;
}

#endif
