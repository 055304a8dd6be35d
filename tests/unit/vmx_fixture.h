/* What the tests of VMX on a bare processor share: a VMCS with which a guest in 64-bit mode runs, and the way there. */
#ifndef VMX_FIXTURE_H
#define VMX_FIXTURE_H

#include "world_fixture.h"

#include "msr_names.h"
#include "vmx/vmx.h"

static void vmx_setup(struct pc *p)
{
	struct cpu *c = p->c;
	struct vmx *x = vmx_of(c);
	/* clang-format off */
	const u64 fields[][2] = {
		{VMCS_PIN_CONTROLS, 0x16}, {VMCS_PROC_CONTROLS, 0x84006172 | 1u << 7}, {VMCS_PROC2_CONTROLS, 0x22},
		 {VMCS_VPID, 1},
		{VMCS_EXIT_CONTROLS, 0x36dfb | 1 << 9 | 3 << 20}, {VMCS_ENTRY_CONTROLS, 0x11fb | 1 << 9 | 1 << 15},
		{VMCS_EPTP, NCR3 | 0x5e}, {VMCS_LINK_POINTER, ~0ull},
		{VMCS_HOST_CR0, c->cr0}, {VMCS_HOST_CR3, 0x1000}, {VMCS_HOST_CR4, c->cr4 | CR4_VMXE},
		 {VMCS_HOST_EFER, c->efer},
		{VMCS_HOST_CS_SEL, 8}, {VMCS_HOST_SS_SEL, 16}, {VMCS_HOST_TR_SEL, 24}, {VMCS_HOST_RSP, 0x80000},
		{VMCS_HOST_RIP, HOST_CODE + 0x80}, {VMCS_GUEST_CR0, c->cr0}, {VMCS_GUEST_CR3, 0x1000},
		{VMCS_GUEST_CR4, c->cr4 | CR4_VMXE}, {VMCS_GUEST_EFER, c->efer}, {VMCS_GUEST_CS_AR, 0xa09b},
		{VMCS_GUEST_CS_LIMIT, 0xffffffff}, {VMCS_GUEST_CS_SEL, 8}, {VMCS_GUEST_SS_AR, 0xc093},
		 {VMCS_GUEST_SS_LIMIT, 0xffffffff},
		{VMCS_GUEST_DS_AR, 0x10000}, {VMCS_GUEST_ES_AR, 0x10000}, {VMCS_GUEST_FS_AR, 0x10000},
		 {VMCS_GUEST_GS_AR, 0x10000},
		{VMCS_GUEST_LDTR_AR, 0x10000}, {VMCS_GUEST_TR_AR, 0x8b}, {VMCS_GUEST_TR_LIMIT, 0x67},
		 {VMCS_GUEST_RSP, 0x90000},
		{VMCS_GUEST_RFLAGS, 2},
	};
	/* clang-format on */

	for (size_t n = 0; n < ARRAY_LEN(fields); n++)
		vmcs_set(x, (u32)fields[n][0], fields[n][1]);
	bus_write_u64(&p->bus, NCR3, 0x4007);
	bus_write_u64(&p->bus, 0x4000, 0x5007);
	for (u64 n = 0; n < 8; n++)
		bus_write_u64(&p->bus, 0x5000 + 8 * n, n * 0x200000 | 0xb7);
	CODE(p, HOST_CODE + 0x80, 0xf4);
}

/* One instruction with RBX pointing at a pointer; CF and ZF come back. */
static u32 vmx_step(struct pc *p, u64 pointer, u32 bytes)
{
	bus_write_u64(&p->bus, 0x50000, pointer);
	bus_write_u32(&p->bus, HOST_CODE, bytes);
	CODE(p, HOST_CODE + 4, 0xf4);
	p->c->r[REG_RBX] = 0x50000;
	run_host(p);
	return flags_get(p->c) & (FL_CF | FL_ZF);
}
#define VMXON    0x33c70ff3
#define VMCLEAR  0x33c70f66
#define VMPTRLD  0x9033c70f
#define VMLAUNCH 0x90c2010f
#define VMRESUME 0x90c3010f

#define VMXON_PA 0x40000ull
#define VMCS_PA  0x41000ull

/* Into VMX operation, with a guest that halts. */
static inline struct pc *pc_enter_vmx(struct pc *p)
{
	p->c->cr4 |= CR4_VMXE;
	assert_true(msr_write(p->c, MSR_FEATURE_CONTROL, 5));
	bus_write_u32(&p->bus, VMXON_PA, VMX_REVISION);
	bus_write_u32(&p->bus, VMCS_PA, VMX_REVISION);
	assert_int_equal(vmx_step(p, VMXON_PA, VMXON), 0);
	assert_int_equal(vmx_step(p, VMCS_PA, VMCLEAR), 0);
	assert_int_equal(vmx_step(p, VMCS_PA, VMPTRLD), 0);
	vmx_setup(p);
	CODE(p, GUEST_CODE, 0xf4);
	return p;
}

static inline struct pc *pc_in_vmx(void)
{
	return pc_enter_vmx(pc_new("intel"));
}

#endif
