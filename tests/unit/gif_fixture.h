/*
 * What the tests of GIF, INIT and #SX share: a bare processor whose handlers and programs write a log, and a guest on it.
 */
#ifndef GIF_FIXTURE_H
#define GIF_FIXTURE_H

#include "svm_guest.h"

enum { IDT = 0x60000, HANDLERS = 0x70000, LOG = 0x98000, GDT = 0x58000, DATA = 0x9a000, VECTOR = 0x51 };
enum { EXIT_MC = 0x52, EXIT_INTR = 0x60, EXIT_NMI = 0x61, EXIT_SMI = 0x62, EXIT_INIT = 0x63, EXIT_SHUTDOWN = 0x7f };

static const char *const models[] = {"amd", "pacifica"};

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
	struct vmcb_page *v = svm_guest64(p);

	v->control.tlb_control = TLB_CONTROL_ALL;
	v->save.cr4 |= CR4_MCE;
	v->save.gdtr = (struct vmcb_seg){.limit = 23, .base = GDT};
	v->save.idtr = (struct vmcb_seg){.limit = 0xfff, .base = IDT};
	v->save.rflags |= FL_IF;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xb0, 3, 0xaa, 0x0f, 0x01, 0xdc, 0xfa, 0xf4); /* VMRUN; log 3; STGI; CLI; HLT */
	CODE(p, GUEST_CODE, 0xb0, 1, 0xaa, 0x90, 0xb0, 2, 0xaa, 0x0f, 0x01, 0xd9);        /* log 1; log 2; VMMCALL */
	p->c->r[REG_RAX] = VMCB_PA;
	p->c->gif = false; /* what is there at VMRUN waits for the guest */
	return v;
}

#endif
