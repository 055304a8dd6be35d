/*
 * What the tests of GIF, INIT and #SX share: a bare processor whose handlers and programs write a log, and a guest on it.
 */
#ifndef GIF_FIXTURE_H
#define GIF_FIXTURE_H

#include "world_fixture.h"

#include "svm/svm.h"

enum { IDT = 0x60000, HANDLERS = 0x70000, LOG = 0x98000, GDT = 0x58000, DATA = 0x9a000, VECTOR = 0x51 };
enum { EXIT_MC = 0x52, EXIT_INTR = 0x60, EXIT_NMI = 0x61, EXIT_SMI = 0x62, EXIT_INIT = 0x63, EXIT_SHUTDOWN = 0x7f };

static const char *const models[] = {"amd", "pacifica"};

static inline struct vmcb_page *vmcb_of(struct pc *p)
{
	return (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA);
}

/* Every vector's handler writes its number: PUSH RAX; MOV AL, v; STOSB; POP RAX; IRETQ. */
static inline struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);
	struct cpu *c = p->c;

	for (u64 n = 0; n < 256; n++) {
		u64 at = HANDLERS + 16 * n;

		CODE(p, at, 0x50, 0xb0, (u8)n, 0xaa, 0x58, 0x48, 0xcf);
		bus_write_u64(&p->bus, IDT + 16 * n, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
		bus_write_u64(&p->bus, IDT + 16 * n + 8, 0);
	}
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	bus_write_u64(&p->bus, GDT + 8, 0x00af9b000000ffff);
	bus_write_u64(&p->bus, GDT + 16, 0x00cf93000000ffff);
	c->gdtr.base = GDT;
	c->idtr.base = IDT;
	c->gdtr.limit = 23;
	c->idtr.limit = 0xfff;
	c->efer |= EFER_SVME;
	c->cr4 |= CR4_MCE | CR4_OSFXSR;
	c->vm_hsave_pa = HSAVE_PA;
	c->apic.svr = 0x1ff;
	c->r[REG_RDI] = LOG;
	flags_set(c, FL_1 | FL_IF);
	cpu_update_mode(c);
	return p;
}

static inline void run_from(struct pc *p, u64 rip)
{
	p->c->r[REG_RIP] = rip;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN && !p->c->stop; slices++)
		cpu_run(p->c, p->clock.now + 100000);
}

static inline void expect_log(struct pc *p, const char *what, const u8 *want, size_t n)
{
	u8 got[16] = {0};
	u64 length = p->c->r[REG_RDI] - LOG;

	assert_true(length <= sizeof(got));
	bus_read(&p->bus, LOG, got, (u32)length);
	if (length != n || memcmp(got, want, n) != 0)
		fail_msg("%s: %u events, first %x %x %x", what, (unsigned)length, got[0], got[1], got[2]);
}
#define EXPECT_LOG(p, what, ...) expect_log(p, what, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* In its monitor: VMRUN; log 3; STGI; CLI; HLT. The guest logs 1 and 2 and calls. */
static inline struct vmcb_page *guest(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 3;
	v->control.icpt[3] = 1u << 31 | 1u << 2; /* shutdown; SMI, as 2005 demands */
	v->control.asid = 1;
	v->control.tlb_control = TLB_CONTROL_ALL;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE | CR4_MCE;
	v->save.cr3 = 0x1000;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.gdtr = (struct vmcb_seg){.limit = 23, .base = GDT};
	v->save.idtr = (struct vmcb_seg){.limit = 0xfff, .base = IDT};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = FL_1 | FL_IF;
	v->save.rip = GUEST_CODE;
	v->save.rsp = 0x90000;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xb0, 3, 0xaa, 0x0f, 0x01, 0xdc, 0xfa, 0xf4); /* VMRUN; log 3; STGI; CLI; HLT */
	CODE(p, GUEST_CODE, 0xb0, 1, 0xaa, 0x90, 0xb0, 2, 0xaa, 0x0f, 0x01, 0xd9);        /* log 1; log 2; VMMCALL */
	p->c->r[REG_RAX] = VMCB_PA;
	p->c->gif = false; /* what is there at VMRUN waits for the guest */
	return v;
}

#endif
