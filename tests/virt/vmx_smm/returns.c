/* "VM Entries that Return from SMM": every check of theirs, what they load, and entries that stay in SMM. */
#include "smm.h"

static u64 got[32], root_guest;
static unsigned count;

static void took(u64 v)
{
	if (count < COUNT(got))
		got[count] = v;
	count++;
}

/* One field of the SMM-transfer VMCS changed for one entry. */
static void with(u32 field, u64 value)
{
	u64 before = vmx_read(field);

	vmx_write(field, value);
	took(refused(true));
	vmx_write(field, before);
}

static void run(hook *h)
{
	count = 0;
	stm = h;
	check("VMCALL", vmcall(0).flags, 0);
	stm = NULL;
}

static void results(const char *name, const u64 *want, unsigned n)
{
	vcheck(name, "entries", count, n);
	for (unsigned k = 0; k < n; k++)
		vcheck(name, "outcome", got[k], want[k]);
}
#define RESULTS(name, ...) results(name, (u64[]){__VA_ARGS__}, COUNT(((u64[]){__VA_ARGS__})))

static void nothing_changed(const char *name)
{
	vcheck(name, "the SMM-transfer VMCS is current", current(), transfer);
	vcheck(name, "in SMM", *(volatile u32 *)mseg, good.revision);
	vcheck(name, "the executive-VMCS pointer", vmx_read(VMCS_EXECUTIVE), vmxon_region);
}

/* ---- "Checks on the Executive-VMCS Pointer Field" ---- */

static u64 wide(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	return 1ull << (r[0] & 0xff);
}

static void executive_pointer(void)
{
	u32 *other = vmx_region(), *shadow = vmx_region();
	u64 clear = (u64)vmx_region();

	*other ^= 1;
	*shadow |= 1u << 31;
	for (unsigned bit = 0; bit < 12; bit++)
		with(VMCS_EXECUTIVE, vmxon_region | 1u << bit);
	with(VMCS_EXECUTIVE, vmxon_region | wide());
	with(VMCS_EXECUTIVE, vmxon_region | 1ull << 63);
	with(VMCS_EXECUTIVE, (u64)other);
	with(VMCS_EXECUTIVE, (u64)shadow);
	with(VMCS_EXECUTIVE, clear);
	vmx_clear(clear);
	with(VMCS_EXECUTIVE, clear);
	with(VMCS_EXECUTIVE, transfer); /* it is launched, but its VM-execution controls are none */
	vmx_write(VMCS_ENTRY_CONTROLS, vmx_read(VMCS_ENTRY_CONTROLS) | E_DEACTIVATE);
	with(VMCS_EXECUTIVE, root_guest);
	with(VMCS_EXECUTIVE, clear);
	with(VMCS_EXECUTIVE, (u64)other);
	vmx_write(VMCS_ENTRY_CONTROLS, vmx_read(VMCS_ENTRY_CONTROLS) & ~(u64)E_DEACTIVATE);
	nothing_changed("executive-VMCS pointer");
}

/* ---- controls ---- */

static void controls(void)
{
	u64 entry = vmx_read(VMCS_ENTRY_CONTROLS);

	with(VMCS_ENTRY_CONTROLS, entry | E_SMM | E_DEACTIVATE);
	with(VMCS_ENTRY_CONTROLS, entry & ~1ull);           /* reserved, 1 */
	with(VMCS_EXIT_CONTROLS, 0);
	with(VMCS_ENTRY_EVENT, 0x80000700);                 /* a pending MTF VM exit, to root operation */
	with(VMCS_ENTRY_EVENT, 0x80000100);                 /* reserved type */
	with(VMCS_HOST_CR3, wide());
	with(VMCS_GUEST_ACTIVITY, 3);                       /* wait-for-SIPI, to root operation */
	with(VMCS_GUEST_RFLAGS, 0);
	with(VMCS_LINK, vmxon_region);                      /* the executive-VMCS pointer */
	took(vmx_read(VMCS_QUALIFICATION));
	with(VMCS_LINK, 0x123);
	took(vmx_read(VMCS_QUALIFICATION));
	took(refused(false));                               /* VMLAUNCH of what is launched */
	nothing_changed("controls");
}

/* VM-execution controls of the executive VMCS, when the entry is to its guest. */
static void executive_controls(void)
{
	vmx_write(VMCS_PIN, 0); /* of the SMM-transfer VMCS: not looked at */
	vmx_write(VMCS_PROC, 0);
	for (unsigned n = 0; n < 3; n++) {
		u64 keep;

		vmx_load(root_guest);
		keep = vmx_read(n == 0 ? VMCS_PIN : n == 1 ? VMCS_PROC : VMCS_CR3_COUNT);
		vmx_write(n == 0 ? VMCS_PIN : n == 1 ? VMCS_PROC : VMCS_CR3_COUNT, n == 2 ? 5 : 0);
		vmx_load(transfer);
		with(VMCS_EXECUTIVE, root_guest);
		vmx_load(root_guest);
		vmx_write(n == 0 ? VMCS_PIN : n == 1 ? VMCS_PROC : VMCS_CR3_COUNT, keep);
		vmx_load(transfer);
	}
	nothing_changed("VM-execution controls of the executive VMCS");
}

/* ---- in the monitor ---- */

static int faults[4];
static u64 vmxoff_flags, vmxoff_error, vmxon_flags;

static void root_instructions(void)
{
	faults[0] = CATCH(asm volatile("rsm"));
	asm volatile("vmxoff; pushfq; pop %0" : "=r"(vmxoff_flags)::"cc", "memory");
	vmxoff_error = vmx_read(VMCS_ERROR);
	asm volatile("vmxon %1; pushfq; pop %0" : "=r"(vmxon_flags) : "m"(vmxon_region) : "cc", "memory");
	nothing_changed("instructions of the monitor");
}

SNIPPET_ENDING(g_rsm, "", "rsm", "vmcall");
SNIPPET_ENDING(g_tseg, "mov mseg, %rax; mov (%rax), %eax; mov %rax, seen_in_guest", "vmcall", "vmcall");
u64 seen_in_guest __attribute__((used));

static void own_guest(const struct snippet *s, u64 more, u64 blocking)
{
	vmx_guest((void (*)(void))s->entry, (u64)page_alloc() + 4096 - 64);
	vmx_write(VMCS_ENTRY_CONTROLS, vmx_read(VMCS_ENTRY_CONTROLS) | more);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, blocking);
	vmx_write(VMCS_GUEST_SMBASE, 0x77777000);
	vmx_write(VMCS_EXECUTIVE, 0xfff); /* of no account */
	took((u64)vmx_run(false));
	took(vmx_read(VMCS_EXIT_REASON));
}

static void own_guests(void)
{
	own_guest(&g_rsm, E_SMM, 4);
	took(*(volatile u32 *)mseg == good.revision);
	own_guest(&g_tseg, E_SMM, 4);
	took(seen_in_guest == good.revision);
	own_guest(&g_tseg, E_SMM, 0); /* blocking by SMI must be 1 */
	took(rdmsr(MSR_SMBASE));      /* as ever: none of these returned from SMM */
	vmx_load(transfer);
	nothing_changed("guests in SMM");
}

/* ---- what a return loads ---- */

static u64 blocking_seen;
static u32 exits_seen;

static void block_smis(void)
{
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 4);
}

static void see_blocking(void)
{
	blocking_seen = vmx_read(VMCS_GUEST_INTERRUPTIBILITY);
	exits_seen = stm_exits;
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	stm = NULL;
}

static void blocking(void)
{
	u32 before = stm_exits;

	stm = block_smis;
	vmcall(0);
	stm = see_blocking;
	send_smi();
	smi_port(1);
	check("SMIs stay blocked if the interruptibility state says so", stm_exits, before + 1);
	vmcall(0);
	check("the state that VMCALL saves", blocking_seen, 4);
	check("the SMI waited until the monitor let it come", stm_exits, before + 3);
}

static void move_smbase(void)
{
	vmx_write(VMCS_GUEST_SMBASE, tseg + 0x20000);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 4); /* ignored by an entry that deactivates */
	memcpy((void *)(tseg + 0x28000), (void *)(tseg + 0x8000), 256);
	memcpy((void *)(tseg + 0x8000), "\x0f\xaa", 2); /* RSM, and no sign of it */
}

static void smbase(void)
{
	u32 before = mailbox->count;

	stm = move_smbase;
	deactivate();
	smi_port(1);
	check(REQ("vmx04.2.3.1.46.now vmcall.56") "the default treatment again, at the SMBASE of the VMCS",
	      mailbox->count, before + 1);
	check("the executive's VMCS operations go on", current(), NONE);
	check("the handler has moved SMBASE back", rdmsr(MSR_SMM_MONITOR_CTL), mseg | 1);
}

/* ---- events, the preemption timer, virtual NMIs, and a return to somewhere else ---- */

static void inject_ud(void)
{
	vmx_write(VMCS_ENTRY_EVENT, 0x80000306);
	stm = NULL;
}

/* "Event Injection" is part of the entry: an SMI that waits comes behind it. */
static u64 rip_at_smi;

static void see_rip(void)
{
	rip_at_smi = vmx_read(VMCS_GUEST_RIP);
	stm = NULL;
}

static void inject_before_smi(void)
{
	send_smi();
	vmx_write(VMCS_ENTRY_EVENT, 0x80000306);
	stm = see_rip;
}

static void events(void)
{
	stm = inject_before_smi;
	check("an exception, and an SMI that waits", (u64)CATCH(vmcall(0)), EX_UD);
	check("the exception is delivered first", rip_at_smi, (u64)exception_stubs[EX_UD]);
	stm = inject_ud;
	check("an exception for the executive", (u64)CATCH(vmcall(0)), EX_UD);
	check("not another time", vmcall(0).flags, 0);
}

static void smi_then_call(void)
{
	smi_port(1);
	for (;;)
		asm volatile("vmcall");
}

static u64 timer_seen;
static bool timer_ends;

static void save_timer(void)
{
	vmx_write(VMCS_EXIT_CONTROLS, vmx_read(VMCS_EXIT_CONTROLS) | X_SAVE_TIMER); /* and no timer: none checks it */
	stm = NULL;
}

static void see_timer(void)
{
	timer_seen = vmx_read(VMCS_TIMER);
	if (timer_ends)
		vmx_write(VMCS_TIMER, 0);
}

static void stop_timer(void)
{
	vmx_write(VMCS_EXIT_CONTROLS, vmx_read(VMCS_EXIT_CONTROLS) & ~(u64)X_SAVE_TIMER);
}

static void timer(void)
{
	stm = save_timer;
	check("\"save VMX-preemption timer value\" for a return to root operation", vmcall(0).flags, 0);
	for (unsigned n = 0; n < 2; n++) {
		vmx_guest(smi_then_call, (u64)page_alloc() + 4096 - 64);
		vmx_write(VMCS_PIN, vmx_read(VMCS_PIN) | PIN_TIMER);
		vmx_write(VMCS_TIMER, 1000000);
		timer_ends = n;
		stm = see_timer;
		check("a guest with the timer", vmx_run(false), VMX_OK);
		check("the SMM VM exit saves the timer", timer_seen > 900000 && timer_seen < 1000000, 1);
		check("it goes on with the value of the SMM-transfer VMCS", vmx_read(VMCS_EXIT_REASON), n ? R_TIMER : R_VMCALL);
		check("the guest's VMCS keeps its own", vmx_read(VMCS_TIMER), 1000000);
	}
	stm = stop_timer;
	check("VMCALL", vmcall(0).flags, 0);
	stm = NULL;
}

static void virtual_nmis(void)
{
	for (u64 blocked = 0; blocked <= 8; blocked += 8) {
		vmx_guest(smi_then_call, (u64)page_alloc() + 4096 - 64);
		vmx_write(VMCS_PIN, vmx_read(VMCS_PIN) | PIN_NMI | PIN_VNMI);
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
		stm = see_blocking;
		check("a guest with virtual NMIs", vmx_run(false), VMX_OK);
		check("virtual-NMI blocking is what an SMM VM exit saves", blocking_seen, blocked);
		check("as it was left by the monitor", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
		check("the guest ends", vmx_read(VMCS_EXIT_REASON), R_VMCALL);
	}
}

static u64 instead;

/* A guest's SMI, and the monitor returns to the executive: as if the guest had left, but nothing tells so. */
static void elsewhere(void)
{
	u64 guest = vmx_read(VMCS_EXECUTIVE), rip, rsp;

	vmx_load(guest);
	rip = vmx_read(VMCS_HOST_RIP);
	rsp = vmx_read(VMCS_HOST_RSP);
	vmx_load(transfer);
	vmx_write(VMCS_EXECUTIVE, vmxon_region);
	vmx_write(VMCS_LINK, instead);
	vmx_write(VMCS_GUEST_RIP, rip);
	vmx_write(VMCS_GUEST_RSP, rsp);
	stm = NULL;
}

static void another_return(void)
{
	u64 guest;

	instead = other_vmcs();
	guest = (u64)vmx_guest(smi_then_call, (u64)page_alloc() + 4096 - 64);
	stm = elsewhere;
	check("a guest that is left in SMM", vmx_run(false), VMX_OK);
	check("the link pointer says which VMCS is current in root operation", current(), instead);
	vmx_load(guest);
	check("the guest's VMCS knows of no VM exit", vmx_read(VMCS_EXIT_REASON), 0);
	check("and is launched", vmx_run(false), VMX_FAIL_VALID);
	check("VM-instruction error", vmx_read(VMCS_ERROR), 4);
}

/* ---- what the processor keeps of a guest in its VMCS goes along: interrupt status, PML index ---- */

static u64 status_seen, index_seen;

static void new_status(void)
{
	status_seen = vmx_read(VMCS_INT_STATUS);
	vmx_write(VMCS_INT_STATUS, 0x20);
}

static void new_index(void)
{
	index_seen = vmx_read(VMCS_PML_INDEX);
	vmx_write(VMCS_PML_INDEX, 99);
}

#define FRESH_PAGE 0x8000000ull /* nobody has written there through the guest's EPT */

static void writing_guest(void)
{
	smi_port(1);
	*(volatile u64 *)FRESH_PAGE = 1;
	for (;;)
		asm volatile("vmcall");
}

static void kept_in_the_vmcs(void)
{
	u64 *log = page_alloc();

	vmx_guest(smi_then_call, (u64)page_alloc() + 4096 - 64);
	vmx_write(VMCS_PIN, vmx_read(VMCS_PIN) | PIN_EXT);
	vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_TPR);
	vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) | S_DELIVERY);
	vmx_write(VMCS_VAPIC, (u64)page_alloc());
	vmx_write(VMCS_INT_STATUS, 0x10); /* it waits: IF is 0 */
	stm = new_status;
	check("a guest with virtual-interrupt delivery", vmx_run(false), VMX_OK);
	check("guest interrupt status, saved", status_seen, 0x10);
	check("guest interrupt status, loaded", vmx_read(VMCS_INT_STATUS), 0x20);

	vmx_guest(writing_guest, (u64)page_alloc() + 4096 - 64);
	vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) | S_PML);
	vmx_write(VMCS_EPTP, vmx_read(VMCS_EPTP) | 1 << 6);
	vmx_write(VMCS_PML, (u64)log);
	vmx_write(VMCS_PML_INDEX, 300);
	stm = new_index;
	check("a guest with page-modification logging", vmx_run(false), VMX_OK);
	check("PML index, saved", index_seen < 300 && index_seen > 290, 1);
	check("PML index, loaded", vmx_read(VMCS_PML_INDEX), 98);
	check("the log goes on there", log[99], FRESH_PAGE);
	stm = NULL;
}

/* ---- translations: an SMM VM exit ends those of VPID 0, a return those of every VPID ---- */

#define WINDOW (1ull << 39)
static u64 *window[5], window_pa[2], seen_first, seen_then;

static void turn(unsigned n)
{
	*window[1] = window_pa[n] | 0x103; /* global; nobody executes INVLPG */
	asm volatile("" ::: "memory");
}

static u64 look(void)
{
	return *(volatile u64 *)WINDOW;
}

static void global_pages(void)
{
	vmx_write(VMCS_HOST_CR4, vmx_read(VMCS_HOST_CR4) | 1 << 7);
	stm = NULL;
}

static void look_in_smm(void)
{
	seen_first = look();
	turn(0);
}

static void turn_in_smm(void)
{
	turn(1);
}

static void looking_guest(void)
{
	seen_first = look();
	smi_port(1);
	seen_then = look();
	for (;;)
		asm volatile("vmcall");
}

static void translations(void)
{
	for (u64 n = 0; n < 2; n++) {
		u64 *page = page_alloc();

		*page = n;
		window_pa[n] = (u64)page;
	}
	map_path(pml4, 1, WINDOW, window_pa[0], 3, 0x103, window);
	write_cr4(read_cr4() | 1 << 7);
	stm = global_pages;
	vmcall(0);
	check("a translation", look(), 0);
	turn(1);
	stm = look_in_smm;
	vmcall(0);
	check("an SMM VM exit ends the translations of VPID 0", seen_first, 1);
	check("a return ends the translations of VPID 0", look(), 0);
	vmx_guest(looking_guest, (u64)page_alloc() + 4096 - 64);
	vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) | S_VPID);
	vmx_write(VMCS_VPID, 5);
	stm = turn_in_smm;
	check("a guest with a VPID", vmx_run(false), VMX_OK);
	check("a translation of the guest's", seen_first, 0);
	check("a return ends the translations of every VPID", seen_then, 1);
	stm = NULL;
	pml4[1] = 0;
	write_cr4(read_cr4() & ~(1ull << 7));
}

static void stay(void)
{
	for (;;)
		asm volatile("vmcall");
}

void test_returns(void)
{
	root_guest = (u64)vmx_guest(stay, (u64)page_alloc() + 4096 - 64);
	check("a launched VMCS", vmx_run(false), VMX_OK);
	if (!activate())
		return;
	run(executive_pointer);
	RESULTS("executive-VMCS pointer", 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, /* bits 11:0 */
		16, 16, 16, 16, 17, 17, 25, 18, 18, 16);
	run(controls);
	RESULTS("controls", 7, 7, 7, 7, 7, 8, R_BAD_GUEST, R_BAD_GUEST, R_BAD_GUEST, 4, R_BAD_GUEST, 4, 4);
	run(executive_controls);
	RESULTS("VM-execution controls of the executive VMCS", 25, 25, 25);
	run(root_instructions);
	check("RSM in the monitor", (u64)faults[0], EX_UD);
	check(REQ("vmcall.55") "VMXOFF in the monitor", vmxoff_flags & (FLAG_ZF | FLAG_CF), FLAG_ZF);
	check(REQ("vmcall.55") "VM-instruction error", vmxoff_error, 23);
	check("VMXON in the monitor", vmxon_flags & (FLAG_ZF | FLAG_CF), FLAG_ZF);
	run(own_guests);
	RESULTS("guests in SMM", VMX_OK, R_RSM, 1, VMX_OK, R_VMCALL, 1, VMX_OK, R_BAD_GUEST, tseg);
	blocking();
	events();
	timer();
	virtual_nmis();
	another_return();
	kept_in_the_vmcs();
	translations();
	no_vmcs();
	smbase();
	proves("vmcall.56");
}
