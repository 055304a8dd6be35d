/*
 * The other processors: "AP Startup Sequence". They wait where the driver's INIT left them. A Startup IPI starts them in
 * real mode at AP_PAGE with GIF 0 and VM_CR set as SKINIT sets it here. The loader shows that by an NMI, which IF cannot
 * hold: it arrives on each of them, and waits until the processor executes STGI.
 */
#include "loader.h"

enum { LAPIC = 0xfee00000, ICR_LOW = 0x300, ICR_HIGH = 0x310, APIC_ID = 0x20, DELIVERY = 1 << 12 };
enum { SIPI = 0x4600, NMI = 0x4400, ALL_OTHERS = 3 << 18 };
enum { PATIENCE = 4000000 };

struct other {
	volatile u32 arrived, go, done; /* stages of the meeting */
	u32 id, vm_cr, early, late;     /* NMIs before STGI and behind it */
};

struct gate {
	u16 offset_low, selector, type, offset_high;
};

static struct other other[AP_MAX];
static struct gate idt[32];

static volatile u32 *apic(u32 reg)
{
	return (volatile u32 *)(LAPIC + reg);
}

static void send_to_others(u32 command)
{
	*apic(ICR_HIGH) = 0;
	*apic(ICR_LOW) = ALL_OTHERS | command;
	while (*apic(ICR_LOW) & DELIVERY)
		pause();
}

/* ---- on the other processor, with a stack of 512 bytes ---- */

void other_main(u32 n);
void other_main(u32 n)
{
	struct other *o = &other[n];

	load_idt(idt, sizeof(idt) - 1);
	o->id = *apic(APIC_ID) >> 24;
	o->vm_cr = rdmsr(MSR_VM_CR);
	o->arrived = 1;
	while (!o->go) /* the NMI has been sent */
		pause();
	for (u32 k = 0; k < 1000; k++)
		pause();
	o->early = nmi_count[o->id & 63];
	wrmsr(MSR_EFER, EFER_SVME); /* or STGI would not be there */
	stgi();
	for (u32 k = 0; k < 1000 && nmi_count[o->id & 63] == o->early; k++)
		pause();
	o->late = nmi_count[o->id & 63];
	o->arrived = 2;
	while (!o->done)
		pause();
	wrmsr(MSR_VM_CR, 0); /* "SL Abort": GIF is 1 already */
	wrmsr(MSR_EFER, 0);
	o->arrived = 3;
}

/* ---- on the bootstrap processor ---- */

/* An interrupt gate of the loader's code segment. */
static struct gate gate(const u8 *handler)
{
	return (struct gate){ (u16)(u32)handler, 0x08, 0x8e00, (u16)((u32)handler >> 16) };
}

void others_prepare(u32 slb)
{
	u8 *page = (u8 *)AP_PAGE;

	__asm__("" : "+r"(page)); /* an address the compiler knows nothing of */
	for (u32 n = 0; n < 32; n++)
		idt[n] = gate(n == 2 ? stub_nmi : stub_other);
	load_idt(idt, sizeof(idt) - 1);
	memcpy(page, ap_code, (size_t)(ap_code_end - ap_code));
	*(u16 *)(page + (ap_gdt_limit - ap_code)) = GDT_LIMIT;
	*(u32 *)(page + (ap_gdt_base - ap_code)) = (u32)gdt;
	*(u32 *)(page + (ap_slb - ap_code)) = slb;
	*(u32 *)(page + (ap_target - ap_code)) = (u32)ap_entry;
}

static bool all_at(u32 count, u32 stage)
{
	u32 there = 0;

	for (u32 k = 0; k < PATIENCE && there < count; k++)
		for (there = 0; there < count && other[there].arrived >= stage; there++)
			;
	return there == count;
}

bool others_start(u32 count)
{
	bool ok = true;

	if (!count)
		return true;
	if (count > AP_MAX)
		return false;
	send_to_others(SIPI | AP_PAGE >> 12);
	if (!all_at(count, 1)) {
		print("loader: not all of the %u other processors came\n", count);
		return false;
	}
	send_to_others(NMI);
	for (u32 n = 0; n < count; n++)
		other[n].go = 1;
	if (!all_at(count, 2))
		return false;
	for (u32 n = 0; n < count; n++) {
		struct other *o = &other[n];

		print("loader: processor %u: VM_CR 0x%x; an NMI waited for STGI: %s\n", o->id, o->vm_cr,
		      !o->early && o->late == 1 ? "yes" : "NO");
		ok = ok && !o->early && o->late == 1 && o->vm_cr == (VM_CR_DPD | VM_CR_R_INIT | VM_CR_DIS_A20M);
	}
	return ok;
}

void others_release(void)
{
	u32 count = 0;

	for (; count < AP_MAX && other[count].arrived; count++)
		other[count].go = other[count].done = 1; /* whatever it waits for */
	all_at(count, 3);
}
