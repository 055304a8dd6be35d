/*
 * The event stress: short instruction sequences in a guest, and an interrupt, NMI, virtual interrupt, redirected INIT, SMI,
 * or several of them, arriving at each instruction boundary in turn, with the guest's first event injected or not. What
 * the handlers log, and where, is compared with a sequential model: nothing is lost, doubled or out of order. Events
 * that the monitor intercepts are injected by it, so the log is the same. Argument: number of sequences.
 */
#include "../../proved.h"
#include "../../unit/bare.h"
#include "svm/svm.h"

enum {
	HOST_CODE = 0x100000, GUEST_CODE = 0x200000, VMCB = 0x10000, HSAVE = 0x30000, NCR3 = 0x3000, GDT = 0x58000,
	IDT = 0x60000, HANDLERS = 0x70000, STACK = 0x90000, LOG = 0x98000, PAE_CR3 = 0x6000,
	SMM_HANDLER = 0x38000, SMM_COUNT = 0x9a000,
};
enum { VEC_NMI = 2, VEC_SX = 30, VEC_INTR = 0x51, VEC_VIRQ = 0x62, VEC_INJECTED = 0x73, PRIORITY = 5 };

/* ---- the processor ---- */

struct plan {
	struct timer timer;
	u64 delay;
	unsigned arrives; /* enum arrival */
	bool entered, fired, spoil;
};

enum arrival { INTR = 1, NMI = 2, INIT = 4, SMI = 8 };

static struct plan *plan(struct pc *p)
{
	return p->own;
}

static void on_timer(void *arg)
{
	struct pc *p = arg;

	plan(p)->fired = true;
	if (plan(p)->arrives & INTR)
		apic_msi(p->all, 1, 0xfee00000, VEC_INTR);
	if (plan(p)->arrives & NMI)
		apic_msi(p->all, 1, 0xfee00000, DM_NMI << 8);
	if (plan(p)->arrives & INIT)
		apic_msi(p->all, 1, 0xfee00000, DM_INIT << 8);
	if (plan(p)->arrives & SMI)
		apic_msi(p->all, 1, 0xfee00000, DM_SMI << 8);
}

/* VMRUN is under way: its own cycle comes first. */
static void on_entry(void *arg, struct cpu *c)
{
	struct pc *p = arg;

	if (plan(p)->entered)
		return;
	plan(p)->entered = true;
	if (plan(p)->spoil)
		bus_write_u64(&p->bus, PAE_CR3, 0x7003); /* bit 1 of a PDPE is reserved */
	cpu_sync_time(c);
	if (plan(p)->arrives)
		timer_arm(&plan(p)->timer, p->clock.now + plan(p)->delay);
}

static u64 handler_of(u64 vector)
{
	return HANDLERS + 32 * vector;
}

static void build_tables(struct pc *p)
{
	static const u8 host[] = {0x0f, 0x01, 0xd8, 0xf4}; /* VMRUN; HLT */
	static const u8 smm[] = {0x66, 0x67, 0xff, 0x05, 0x00, 0xa0, 0x09, 0x00, 0x0f, 0xaa}; /* INC dword [SMM_COUNT]; RSM */

	bus_write_u64(&p->bus, 0x1000, 0x2007);
	bus_write_u64(&p->bus, 0x2000, 0xe7);
	bus_write_u64(&p->bus, NCR3, 0x4007);
	bus_write_u64(&p->bus, 0x4000, 0x5007);
	for (u64 n = 0; n < 8; n++)
		bus_write_u64(&p->bus, 0x5000 + 8 * n, n * 0x200000 | 0x87);
	bus_write_u64(&p->bus, GDT + 8, 0x00af9b000000ffff);
	bus_write_u64(&p->bus, GDT + 16, 0x00cf93000000ffff);
	for (u64 v = 0; v < 256; v++) {
		/* PUSH RAX; MOV RAX, [RSP+8]; SHL RAX, 8; MOV AL, v; STOSQ; POP RAX; IRETQ */
		const u8 handler[] = {0x50, 0x48, 0x8b, 0x44, 0x24, 8, 0x48, 0xc1, 0xe0, 8, 0xb0, (u8)v, 0x48, 0xab,
			0x58, 0x48, 0xcf};
		/* MOV [RSP], RAX in place of PUSH: over the error code */
		static const u8 save[] = {0x48, 0x89, 0x04, 0x24};
		const bool error = v == VEC_SX;
		const u64 at = handler_of(v);

		bus_write(&p->bus, at, error ? save : handler, error ? sizeof(save) : 1);
		bus_write(&p->bus, at + (error ? sizeof(save) : 1), handler + 1, sizeof(handler) - 1);
		bus_write_u64(&p->bus, IDT + 16 * v, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
		bus_write_u64(&p->bus, IDT + 16 * v + 8, 0);
	}
	bus_write(&p->bus, HOST_CODE, host, sizeof(host));
	bus_write(&p->bus, SMM_HANDLER, smm, sizeof(smm));
}

static void start(struct pc *p, struct plan *own)
{
	if (!bare_init(p, "amd"))
		exit(2);
	p->own = own;
	p->hooks.vm_entry = on_entry;
	timer_init(&own->timer, &p->clock, on_timer, p);
	build_tables(p);
}

static void host_state(struct pc *p, bool host_if)
{
	struct cpu *c = p->c;

	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		c->seg[s] = (struct seg){.sel = 0x10, .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = ~0u};
	c->seg[SEG_CS] = (struct seg){.sel = 8, .ar = AR_P | AR_S | 11 | AR_G | AR_L, .limit = ~0u};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE;
	c->cr3 = 0x1000;
	c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE | EFER_SVME;
	c->vm_hsave_pa = HSAVE;
	c->r[REG_RSP] = 0x80000;
	c->activity = ACT_RUN;
	c->gif = false;
	c->nmi_blocked = false;
	c->pend = 0;
	c->vm_cr = VM_CR_R_INIT;
	c->apic.svr = 0x1ff;
	c->apic.tpr = 0;
	memset(c->apic.irr, 0, sizeof(c->apic.irr));
	memset(c->apic.isr, 0, sizeof(c->apic.isr));
	flags_set(c, FL_1 | (host_if ? FL_IF : 0));
	cpu_update_mode(c);
}

/* ---- sequences ---- */

enum op { OP_NOP, OP_INC, OP_STI, OP_CLI, OP_MOVSS, OP_RAISE, OP_LOWER, OP_CLGI, OP_STGI, OPS };
static const struct {
	u8 bytes[4], length;
} ops[OPS] = {
        [OP_NOP] = {{0x90}, 1},
        [OP_INC] = {{0xff, 0xc1}, 2},
        [OP_STI] = {{0xfb}, 1},
        [OP_CLI] = {{0xfa}, 1},
        [OP_MOVSS] = {{0x8e, 0xd2}, 2},             /* MOV SS, EDX */
        [OP_RAISE] = {{0x44, 0x0f, 0x22, 0xc3}, 4}, /* MOV CR8, RBX */
        [OP_LOWER] = {{0x44, 0x0f, 0x22, 0xc6}, 4}, /* MOV CR8, RSI */
        [OP_CLGI] = {{0x0f, 0x01, 0xdd}, 3},
        [OP_STGI] = {{0x0f, 0x01, 0xdc}, 3},
};
#define MAX_LENGTH 8
struct sequence {
	u8 op[MAX_LENGTH], length;
	u16 at[MAX_LENGTH + 1]; /* offset of each, and of the VMMCALL behind them */
	bool iflag, shadow;
};

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void make_sequence(struct pc *p, struct sequence *q, u64 *seed)
{
	u8 code[64];
	u16 n = 0;
	bool shadowed = false;

	q->length = (u8)(3 + next_random(seed) % (MAX_LENGTH - 2));
	q->iflag = next_random(seed) & 1;
	q->shadow = next_random(seed) % 4 == 0;
	shadowed = q->shadow;
	for (unsigned k = 0; k < q->length; k++) {
		u8 op = (u8)(next_random(seed) % OPS);

		if (shadowed && (op == OP_STI || op == OP_MOVSS)) /* what two in a row do is undefined */
			op = OP_NOP;
		shadowed = op == OP_STI || op == OP_MOVSS;
		q->op[k] = op;
		q->at[k] = n;
		memcpy(code + n, ops[op].bytes, ops[op].length);
		n = (u16)(n + ops[op].length);
	}
	q->at[q->length] = n;
	memcpy(code + n, (const u8[]){0x0f, 0x01, 0xd9}, 3);
	bus_write(&p->bus, GUEST_CODE, code, n + 3u);
}

/* ---- the kinds of run ---- */

static const struct kind {
	const char *name;
	u8 arrives;
	bool virq, injected, masking, host_if;
	u32 intercepts; /* of 00Ch: INTR bit 0, NMI bit 1, SMI bit 2, INIT bit 3, VINTR bit 4; and bit 30: #SX */
} kinds[] = {
        {"interrupt", INTR, false, false, false, false, 0},
        {"interrupt, intercepted", INTR, false, false, false, false, 1},
        {"interrupt, masking, host IF 1", INTR, false, false, true, true, 0},
        {"interrupt, masking, host IF 1, intercepted", INTR, false, false, true, true, 1},
        {"interrupt, masking, host IF 0", INTR, false, false, true, false, 1},
        {"NMI", NMI, false, false, false, false, 0},
        {"NMI, intercepted", NMI, false, false, false, false, 2},
        {"NMI and interrupt", NMI | INTR, false, false, false, false, 0},
        {"NMI and interrupt, intercepted", NMI | INTR, false, false, false, false, 3},
        {"virtual interrupt", 0, true, false, false, false, 0},
        {"virtual interrupt, window", 0, true, false, false, false, 1 << 4},
        {"virtual interrupt, masking", 0, true, false, true, false, 0},
        {"virtual and physical", INTR, true, false, true, true, 0},
        {"virtual and physical, intercepted", INTR, true, false, true, true, 1},
        {"injected and interrupt", INTR, false, true, false, false, 0},
        {"injected and NMI, intercepted", NMI, false, true, false, false, 2},
        {"injected and virtual", 0, true, true, true, false, 0},
        {"injected and virtual, window", 0, true, true, true, false, 1 << 4},
        {"everything", NMI | INTR, true, true, true, true, 0},
        {"everything, intercepted", NMI | INTR, true, true, true, true, 3},
        {"INIT", INIT, false, false, false, false, 0},
        {"INIT, intercepted", INIT, false, false, false, false, 8},
        {"INIT, #SX intercepted", INIT, false, false, false, false, 1u << VEC_SX},
        {"INIT, NMI and interrupt", INIT | NMI | INTR, false, false, false, false, 0},
        {"INIT, NMI and interrupt, intercepted", INIT | NMI | INTR, false, false, false, false, 0xb},
        {"SMI", SMI, false, false, false, false, 0},
        {"SMI, intercepted", SMI, false, false, false, false, 4},
        {"SMI, NMI and interrupt", SMI | NMI | INTR, false, false, false, false, 0},
        {"everything and SMI", SMI | INIT | NMI | INTR, true, true, true, true, 0},
        {"everything and SMI, intercepted", SMI | INIT | NMI | INTR, true, true, true, true, 0xf},
        {"everything and INIT, #SX and NMI intercepted", INIT | NMI | INTR, true, true, true, true, 1u << VEC_SX | 2},
};

#define LOG_SIZE 16
struct outcome {
	u64 log[LOG_SIZE];
	unsigned n;
	unsigned smis; /* the handler ran, or the monitor was told */
	bool intr_left, nmi_left, virq_left, init_left, smi_left; /* not taken by the end */
};

/* ---- the sequential model ---- */

static const u8 handler_at[] = {0, 1, 6, 10, 12, 14, 15};
enum { HANDLER_STEPS = sizeof(handler_at), STEP_LOG = 4 };

struct frame {
	int vector; /* -1: the sequence */
	unsigned step;
	bool iflag;
};
struct sim {
	struct frame f[8];
	unsigned depth;
	bool gif, shadow, nmi_blocked;
	u8 tpr, vtpr;
	bool intr, nmi, virq, init, smi;
	struct outcome *out;
	const struct sequence *q;
};

static u64 address(const struct sim *s, const struct frame *f)
{
	if (f->vector < 0)
		return (u64)GUEST_CODE + s->q->at[f->step];
	return handler_of((u64)f->vector) + handler_at[f->step] + (f->vector == VEC_SX && f->step ? 3 : 0);
}

static void deliver(struct sim *s, int vector)
{
	s->f[++s->depth] = (struct frame){.vector = vector};
	s->shadow = false;
	if (vector == VEC_NMI)
		s->nmi_blocked = true;
}

static void execute(struct sim *s, bool masking)
{
	struct frame *f = &s->f[s->depth];
	bool shadow = false;

	if (f->vector >= 0) {
		if (f->step == STEP_LOG)
			s->out->log[s->out->n++ % LOG_SIZE] = address(s, f - 1) << 8 | (u64)f->vector;
		if (f->step == HANDLER_STEPS - 1) {
			s->depth--;
			s->nmi_blocked = false;
		} else {
			f->step++;
		}
		s->shadow = false;
		return;
	}
	switch (s->q->op[f->step++]) {
	case OP_STI:
		shadow = !f->iflag;
		f->iflag = true;
		break;
	case OP_CLI: f->iflag = false; break;
	case OP_MOVSS: shadow = true; break;
	case OP_RAISE: s->vtpr = 9; break;
	case OP_LOWER: s->vtpr = 0; break;
	case OP_CLGI: s->gif = false; break;
	case OP_STGI: s->gif = true; break;
	default: break;
	}
	s->shadow = shadow;
	if (!masking)
		s->tpr = s->vtpr;
}

/* true: the events came before the end. */
static bool model(const struct sequence *q, const struct kind *k, unsigned boundary, struct outcome *out)
{
	struct sim s = {.gif = true, .shadow = q->shadow, .out = out, .q = q, .virq = k->virq};
	bool arrived = false;

	memset(out, 0, sizeof(*out));
	s.f[0] = (struct frame){.vector = -1, .iflag = q->iflag};
	if (k->injected)
		deliver(&s, VEC_INJECTED);
	for (unsigned t = k->injected;; t++) {
		for (;; t++) { /* a delivery takes as long as an instruction */
			if (!arrived && t >= boundary) {
				arrived = true;
				s.intr = k->arrives & INTR;
				s.nmi = k->arrives & NMI;
				s.init = k->arrives & INIT;
				s.smi = k->arrives & SMI;
			}

			bool iflag = s.f[s.depth].iflag, open = s.gif && !s.shadow;

			if (s.smi && open) { /* before all others; RSM leaves everything as it was */
				s.smi = false;
				out->smis++;
			}

			if (s.init && s.gif) {
				s.init = false;
				deliver(&s, VEC_SX);
			} else if (s.nmi && open && !s.nmi_blocked) {
				s.nmi = false;
				deliver(&s, VEC_NMI);
			} else if (s.intr && open && (k->masking ? k->host_if : iflag) && s.tpr < PRIORITY) {
				s.intr = false;
				deliver(&s, VEC_INTR);
			} else if (s.virq && open && iflag && s.vtpr < PRIORITY) {
				s.virq = false;
				deliver(&s, VEC_VIRQ);
			} else {
				break;
			}
		}
		if (s.depth == 0 && s.f[0].step == q->length)
			break;
		execute(&s, k->masking);
	}
	out->intr_left = s.intr;
	out->nmi_left = s.nmi;
	out->virq_left = s.virq;
	out->init_left = s.init;
	out->smi_left = s.smi;
	return arrived;
}

/* ---- the same on the processor ---- */

static struct vmcb_page *vmcb_of(struct pc *p)
{
	return (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB);
}

static void guest_state(struct pc *p, const struct sequence *q, const struct kind *k)
{
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};
	struct vmcb_page *v = vmcb_of(p);

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 3;
	v->control.icpt[3] = 1u << 31 | (k->intercepts & ~(1u << VEC_SX));
	v->control.icpt[2] = ~(1u << VEC_NMI) & ~(1u << VEC_SX & ~k->intercepts);
	v->control.asid = 1;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->control.nested_ctl = NESTED_NP_ENABLE;
	v->control.n_cr3 = NCR3;
	v->control.int_state = q->shadow;
	v->control.vintr = (k->masking ? VINTR_MASKING : 0) | (k->virq ? VINTR_IRQ : 0) |
	                   (u64)PRIORITY << 16 | (u64)VEC_VIRQ << 32;
	v->control.eventinj = k->injected ? 0x80000000u | VEC_INJECTED : 0;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE;
	v->save.cr3 = 0x1000;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.gdtr = (struct vmcb_seg){.limit = 23, .base = GDT};
	v->save.idtr = (struct vmcb_seg){.limit = 4095, .base = IDT};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = FL_1 | (q->iflag ? FL_IF : 0);
	v->save.rip = GUEST_CODE;
	v->save.rsp = STACK;
	v->save.g_pat = 0x0007040600070406;
}

static u64 vmrun(struct pc *p)
{
	p->c->r[REG_RAX] = VMCB;
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	for (unsigned n = 0; n < 8 && p->c->activity == ACT_RUN; n++) {
		cpu_run(p->c, p->clock.next < p->clock.now + 1000 ? p->clock.next : p->clock.now + 1000);
		clock_fire(&p->clock);
	}
	return vmcb_of(p)->control.exitcode;
}

/* What a monitor does with an event it intercepted: takes it from where it waits and injects it. */
static bool reinject(struct pc *p, u64 code)
{
	struct vmcb_page *v = vmcb_of(p);
	int vector;

	switch (code) {
	case 0x60:
		vector = apic_ack(p->c);
		p->c->pend &= ~(u32)PEND_INTR;
		v->control.eventinj = 0x80000000u | (u64)(u8)vector;
		return vector == VEC_INTR;
	case 0x61:
		p->c->pend &= ~(u32)PEND_NMI;
		v->control.eventinj = 0x80000202;
		return true;
	case 0x63: /* what redirection would have made of it */
		p->c->pend &= ~(u32)PEND_INIT;
		v->control.eventinj = 0x80000b00u | VEC_SX | (u64)SX_INIT << 32;
		return true;
	case 0x40 + VEC_SX:
		v->control.eventinj = 0x80000b00u | VEC_SX | v->control.exitinfo1 << 32;
		return true;
	case 0x64:
		v->control.vintr &= ~VINTR_IRQ;
		v->control.eventinj = 0x80000000u | VEC_VIRQ;
		return true;
	default: return false;
	}
}

/* A monitor that dismisses the SMIs it intercepts. */
static unsigned dismissed(struct pc *p, u64 code)
{
	if (code != 0x62)
		return 0;
	p->c->pend &= ~(u32)PEND_SMI;
	return 1;
}

static u64 real(struct pc *p, const struct sequence *q, const struct kind *k, unsigned boundary, struct outcome *out)
{
	struct cpu *c = p->c;
	u64 code;

	memset(out, 0, sizeof(*out));
	host_state(p, k->host_if);
	guest_state(p, q, k);
	plan(p)->arrives = k->arrives;
	plan(p)->delay = boundary + 1; /* VMRUN's own cycle */
	plan(p)->entered = plan(p)->fired = false;
	c->r[REG_RDX] = 0x10;
	c->r[REG_RBX] = 9;
	c->r[REG_RSI] = 0;
	c->r[REG_RDI] = LOG;
	bus_write_u64(&p->bus, SMM_COUNT, 0);
	do {
		code = vmrun(p);
		out->smis += dismissed(p, code);
	} while (code == 0x62 || reinject(p, code));
	out->smis += (unsigned)bus_read_u64(&p->bus, SMM_COUNT);
	timer_disarm(&plan(p)->timer);
	out->n = (unsigned)((c->r[REG_RDI] - LOG) / 8);
	for (unsigned n = 0; n < out->n && n < LOG_SIZE; n++)
		out->log[n] = bus_read_u64(&p->bus, LOG + 8 * n);
	out->intr_left = c->apic.irr[VEC_INTR / 32] >> VEC_INTR % 32 & 1;
	out->nmi_left = c->pend & PEND_NMI;
	out->init_left = c->pend & PEND_INIT;
	out->smi_left = c->pend & PEND_SMI;
	out->virq_left = vmcb_of(p)->control.vintr & VINTR_IRQ;
	return code == 0x81 && vmcb_of(p)->save.rip == (u64)GUEST_CODE + q->at[q->length] ? 0 : code;
}

/* ---- INIT, and a host that cannot be reloaded ---- */

static unsigned checks;

static bool expect(bool ok, const char *what)
{
	checks++;
	if (!ok)
		printf("FAILED: %s\n", what);
	return !ok;
}

static void one_nop(struct pc *p, struct sequence *q, struct kind *k)
{
	u64 seed = 1;

	memset(q, 0, sizeof(*q));
	memset(k, 0, sizeof(*k));
	make_sequence(p, q, &seed);
	plan(p)->arrives = 0;
	plan(p)->entered = plan(p)->spoil = false;
}

/* Table 2-5: held while GIF is 0, intercepted it exits and stays pending. */
static unsigned test_init(struct pc *p)
{
	struct sequence q;
	struct kind k;
	unsigned failed = 0;

	one_nop(p, &q, &k);
	k.intercepts = 1 << 3;
	host_state(p, false);
	guest_state(p, &q, &k);
	apic_msi(p->all, 1, 0xfee00000, DM_INIT << 8);
	failed += expect(vmrun(p) == 0x63, "INIT: exit 63h");
	failed += expect(vmcb_of(p)->save.rip == GUEST_CODE, "INIT: before the first instruction");
	failed += expect(p->c->pend & PEND_INIT, "INIT: still pending");
	failed += expect(p->c->r[REG_RIP] == HOST_CODE + 4, "INIT: held while GIF is 0");
	p->c->pend = 0;
	if (!failed)
		proved("svm.2.9.4.1");
	return failed;
}

/* Table 2-5, not intercepted and not redirected: INIT resets the processor out of the guest. */
static unsigned test_init_taken(struct pc *p)
{
	struct cpu *c = p->c;
	struct sequence q;
	struct kind k;
	unsigned failed = 0;

	one_nop(p, &q, &k);
	host_state(p, false);
	c->vm_cr = 0;
	guest_state(p, &q, &k);
	c->apic.base &= ~BIT(8); /* not the bootstrap processor: it waits for SIPI */
	apic_msi(p->all, 1, 0xfee00000, DM_INIT << 8);
	vmrun(p);
	failed += expect(c->activity == ACT_WAIT_SIPI, "INIT, not intercepted: waits for SIPI");
	failed += expect(!c->guest && c->gif && !(c->pend & PEND_INIT), "INIT, not intercepted: out of the guest, GIF 1");
	failed += expect(c->r[REG_RIP] == 0xfff0 && !(c->cr0 & CR0_PE) && !c->efer, "INIT, not intercepted: reset state");
	failed += expect(vmcb_of(p)->control.exitcode == 0, "INIT, not intercepted: no #VMEXIT");
	c->apic.base |= BIT(8);
	if (!failed)
		proved("svm.2.17.8.2 svm.2.17.8.1");
	return failed;
}

/* Tables 2-3, 2-5 and 2-6, and "SMI Intercept": what is pending while GIF is 0 is held, and what the guest's first
 * boundary makes of it. A machine check has no source but this test. */
static const struct {
	const char *cell;
	u32 pend;
	u32 intercepts, exceptions;
	bool mce;
	u64 code;
	bool stays;
} cells[] = {
        {"INIT, intercepted", PEND_INIT, 1 << 3, 0, false, 0x63, true},
        {"NMI, intercepted", PEND_NMI, 1 << 1, 0, false, 0x61, true},
        {"NMI, not intercepted", PEND_NMI, 0, 0, false, 0x81, false},
        {"external SMI, intercepted", PEND_SMI, 1 << 2, 0, false, 0x62, true},
        {"external SMI, not intercepted", PEND_SMI, 0, 0, false, 0x81, false},
        {"machine check, intercepted", PEND_MCE, 0, 1 << 18, true, 0x52, false},
        {"machine check, CR4.MCE = 0", PEND_MCE, 1u << 31, 1 << 18, false, 0x7f, false},
        {"machine check, not intercepted", PEND_MCE, 0, 0, true, 0x81, false},
        {"SMI before INIT before NMI", PEND_SMI | PEND_INIT | PEND_NMI, 0xe, 0, false, 0x62, true},
        {"INIT before NMI", PEND_INIT | PEND_NMI, 0xe, 0, false, 0x63, true},
        {"machine check before SMI", PEND_MCE | PEND_SMI, 4, 1 << 18, true, 0x52, false},
};

static unsigned test_cells(struct pc *p)
{
	struct cpu *c = p->c;
	unsigned failed = 0;

	for (unsigned n = 0; n < ARRAY_LEN(cells); n++) {
		struct sequence q;
		struct kind k;
		u64 code;

		one_nop(p, &q, &k);
		k.intercepts = cells[n].intercepts;
		host_state(p, false);
		guest_state(p, &q, &k);
		vmcb_of(p)->control.icpt[2] = cells[n].exceptions;
		vmcb_of(p)->save.cr4 = (vmcb_of(p)->save.cr4 & ~CR4_MCE) | (cells[n].mce ? CR4_MCE : 0);
		c->r[REG_RDI] = LOG;
		c->gif = false;
		cpu_raise(c, (enum pend)cells[n].pend);
		failed += expect(event_poll(c, &(struct delivery){0}) == XR_OK && (c->pend & cells[n].pend) == cells[n].pend, cells[n].cell);
		code = vmrun(p);
		failed += expect(code == cells[n].code, cells[n].cell);
		if (code != cells[n].code)
			printf("  exit 0x%llx\n", (unsigned long long)code);
		if (code == 0x62)
			failed += expect(vmcb_of(p)->control.exitinfo1 == 1, "SMI: external");
		failed += expect(((c->pend & cells[n].pend & ~(u32)PEND_MCE) != 0) ==
		                         (cells[n].stays || (cells[n].pend & (cells[n].pend - 1))),
		                 cells[n].cell);
		failed += expect(!c->gif, "GIF is 0 again");
		c->pend = 0;
		c->nmi_blocked = false;
		c->stop = CPU_GO;
	}
	return failed;
}

/* Host in legacy PAE mode: #VMEXIT reads its PDPEs again; reserved bits shut it down. */
static unsigned test_host_pdpe(struct pc *p, bool spoil)
{
	struct cpu *c = p->c;
	struct sequence q;
	struct kind k;
	unsigned failed = 0;

	one_nop(p, &q, &k);
	for (u64 n = 0; n < 4; n++)
		bus_write_u64(&p->bus, PAE_CR3 + 8 * n, n ? 0 : 0x7001);
	bus_write_u64(&p->bus, 0x7000, 0x83);
	host_state(p, false);
	guest_state(p, &q, &k);
	vmcb_of(p)->control.nested_ctl = 0;
	c->efer = EFER_SVME;
	c->cr3 = PAE_CR3;
	c->seg[SEG_CS].ar = AR_P | AR_S | 11 | AR_G | AR_DB;
	c->pdpte[0] = 0x7001;
	cpu_update_mode(c);
	plan(p)->spoil = spoil;
	p->refused = NULL;
	failed += expect(vmrun(p) == 0x81, "PAE host: exit 81h");
	failed += expect((c->activity == ACT_SHUTDOWN) == spoil, "PAE host: shutdown by a reserved bit only");
	failed += expect(!strcmp(p->refused ? p->refused : "", spoil ? "svm.host.pdpte.reserved" : ""), "PAE host: told why");
	failed += expect(c->pdpte[0] == 0x7001 || spoil, "PAE host: PDPEs reloaded");
	c->stop = CPU_GO;
	if (!failed)
		proved("svm.2.3.18 svm.2.3.19");
	return failed;
}

static void tell(const char *who, const struct outcome *o)
{
	printf("  %s:", who);
	for (unsigned n = 0; n < o->n && n < LOG_SIZE; n++)
		printf(" %02x at %llx", (unsigned)(u8)o->log[n], (unsigned long long)(o->log[n] >> 8));
	printf("; SMIs %u; left: intr %d nmi %d virq %d init %d smi %d\n", o->smis, o->intr_left, o->nmi_left, o->virq_left,
	       o->init_left, o->smi_left);
}

int main(int argc, char **argv)
{
	unsigned long sequences = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000, runs = 0, failed = 0;
	struct plan own = {0};
	struct pc pc, *p = &pc;
	u64 seed = 0x2545f4914f6cdd1dull;

	start(p, &own);
	failed += test_init(p) + test_cells(p) + test_init_taken(p) + test_host_pdpe(p, false) + test_host_pdpe(p, true);
	for (unsigned long n = 0; n < sequences && failed < 5; n++) {
		struct sequence q;

		p->c->stress.no_blocks = n % 3 == 1;
		p->c->stress.poll_every = n % 3 == 2;
		make_sequence(p, &q, &seed);
		for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
			unsigned last = kinds[k].arrives ? q.length + 8u * kinds[k].injected + 8u * kinds[k].virq : 0;

			for (unsigned boundary = 0; boundary <= last; boundary++, runs++) {
				struct outcome want, is;
				u64 bad;

				bool arrived = model(&q, &kinds[k], boundary, &want);

				bad = real(p, &q, &kinds[k], boundary, &is);
				if (!arrived && plan(p)->fired) { /* behind the last instruction: they wait for the host */
					want.intr_left = kinds[k].arrives & INTR;
					want.nmi_left = kinds[k].arrives & NMI;
					want.init_left = kinds[k].arrives & INIT;
					want.smi_left = kinds[k].arrives & SMI;
				}
				if (!bad && !memcmp(&want, &is, sizeof(want)))
					continue;
				failed++;
				printf("FAILED: sequence %lu, %s, boundary %u, end 0x%llx, IF %d, shadow %d, ops", n,
					kinds[k].name,
				       boundary, (unsigned long long)bad, q.iflag, q.shadow);
				for (unsigned o = 0; o < q.length; o++)
					printf(" %u@%x", q.op[o], q.at[o]);
				printf("\n");
				tell("model", &want);
				tell("processor", &is);
			}
		}
	}
	bare_fini(p);
	if (!failed)
		proved("svm.2.17.4.15 svm.2.17.4.4 svm.2.13.18 svm.2.13.19 svm.2.13.17 svm.2.17.5.1 svm.2.17.5.2 "
		       "svm.2.17.5.5 svm.2.17.8.1 svm.2.17.8.14 svm.2.13.13 svm.2.13.14 svm.2.18.2.6");
	proved_report(checks, runs);
	printf("%lu sequences, %lu runs, %lu failed\n", sequences, runs, failed);
	return failed != 0;
}
