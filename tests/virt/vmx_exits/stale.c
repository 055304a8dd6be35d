/*
 * "Caching Translation Information": a changed EPT entry, and a changed entry of the guest's own tables, is not seen while
 * the translation is cached; it is after each of the operations that invalidate it, and after no other. Combined mappings
 * are all that is cached here: what INVVPID removes leaves no guest-physical mapping behind.
 */
#include "exits.h"

#define LA   0x30000000000ull /* a page, and a global one behind it */
#define HOLE 0x12000000ull    /* guest-physical, by small pages */
enum { VPID = 31, OTHER = 32 };
enum { OLD = 0x1111, NEW = 0x2222 };

static volatile u32 *const first = (u32 *)LA, *const second = (u32 *)(LA + 0x1000);
static u64 *small, old_page, new_page, other_eptp;
static volatile u64 todo, todo_address;

static void invpcid(u64 type, u64 la)
{
	u64 descriptor[2] = {0, la};

	asm volatile("invpcid %0, %1" ::"m"(descriptor), "r"(type) : "memory");
}

enum { G_NONE, G_CR3, G_PGE, G_INVLPG, G_INVPCID, G_CR0 = G_INVPCID + 4 };

static void guest_code(void)
{
	switch (todo) {
	case G_CR3: write_cr3(read_cr3()); break;
	case G_PGE:
		write_cr4(read_cr4() & ~0x80ull);
		write_cr4(read_cr4() | 0x80);
		break;
	case G_INVLPG: invlpg((void *)todo_address); break;
	case G_INVPCID: case G_INVPCID + 1: case G_INVPCID + 2: case G_INVPCID + 3:
		invpcid(todo - G_INVPCID, todo_address);
		break;
	default: break;
	}
	seen[0] = *first;
	seen[1] = *second;
	asm volatile("vmcall");
}

static void host_nothing(u64 a, u64 b)
{
	(void)a, (void)b;
}

static void host_invept(u64 type, u64 eptp)
{
	u64 descriptor[2] = {eptp == 1 ? vmx_read(VMCS_EPTP) : eptp == 2 ? other_eptp : eptp, 0};

	asm volatile("invept %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}

static void host_invvpid(u64 type, u64 vpid_and_page)
{
	u64 descriptor[2] = {vpid_and_page & 0xff, LA + (vpid_and_page & ~0xfffull)};

	asm volatile("invvpid %0, %1" ::"m"(descriptor), "r"(type) : "cc", "memory");
}

static void host_flushes(u64 a, u64 b) /* its own, of VPID 0 */
{
	write_cr3(read_cr3());
	write_cr4(read_cr4() | 0x80);
	write_cr4(read_cr4() & ~0x80ull);
	invlpg((void *)LA);
	invlpg((void *)(LA + 0x1000));
	(void)a, (void)b;
}

static const struct row {
	const char *name;
	void (*host)(u64, u64);
	u64 a, b;
	u64 guest, address;
	u32 one, two; /* what the guest then reads */
} rows[] = {
	{"nothing", host_nothing, 0, 0, G_NONE, 0, OLD, OLD},
	{"the host's MOV CR3, CR4.PGE, INVLPG", host_flushes, 0, 0, G_NONE, 0, OLD, OLD},
	{"INVEPT 1", host_invept, 1, 1, G_NONE, 0, NEW, NEW},
	{"INVEPT 1 of another EPTP", host_invept, 1, 2, G_NONE, 0, OLD, OLD},
	{"INVEPT 2", host_invept, 2, 0, G_NONE, 0, NEW, NEW},
	{"INVVPID 0, the first", host_invvpid, 0, VPID, G_NONE, 0, NEW, OLD},
	{"INVVPID 0, the global one", host_invvpid, 0, 0x1000 | VPID, G_NONE, 0, OLD, NEW},
	{"INVVPID 0, a third", host_invvpid, 0, 0x2000 | VPID, G_NONE, 0, OLD, OLD},
	{"INVVPID 0, another VPID", host_invvpid, 0, OTHER, G_NONE, 0, OLD, OLD},
	{"INVVPID 1", host_invvpid, 1, VPID, G_NONE, 0, NEW, NEW},
	{"INVVPID 1, another VPID", host_invvpid, 1, OTHER, G_NONE, 0, OLD, OLD},
	{"INVVPID 2", host_invvpid, 2, 0, G_NONE, 0, NEW, NEW},
	{"INVVPID 3", host_invvpid, 3, VPID, G_NONE, 0, NEW, OLD},
	{"INVVPID 3, another VPID", host_invvpid, 3, OTHER, G_NONE, 0, OLD, OLD},
	{"MOV CR3", host_nothing, 0, 0, G_CR3, 0, NEW, OLD},
	{"CR4.PGE", host_nothing, 0, 0, G_PGE, 0, NEW, NEW},
	{"INVLPG, the first", host_nothing, 0, 0, G_INVLPG, LA, NEW, OLD},
	{"INVLPG, the global one", host_nothing, 0, 0, G_INVLPG, LA + 0x1000, OLD, NEW},
	{"INVLPG, a third", host_nothing, 0, 0, G_INVLPG, LA + 0x2000, OLD, OLD},
	{"INVPCID 0, the first", host_nothing, 0, 0, G_INVPCID, LA, NEW, OLD},
	{"INVPCID 0, the global one", host_nothing, 0, 0, G_INVPCID, LA + 0x1000, OLD, OLD},
	{"INVPCID 1", host_nothing, 0, 0, G_INVPCID + 1, LA, NEW, OLD},
	{"INVPCID 2", host_nothing, 0, 0, G_INVPCID + 2, LA, NEW, NEW},
	{"INVPCID 3", host_nothing, 0, 0, G_INVPCID + 3, LA, NEW, OLD},
};

enum change { BY_EPT, BY_GUEST_TABLES };

/* Both pages at the old or the new data. */
static void point(enum change how, bool fresh)
{
	u64 page = fresh ? new_page : old_page;

	if (how == BY_EPT) {
		small[1] = page | 6 << 3 | 7;
		small[2] = page | 6 << 3 | 7;
	} else {
		map_page(pml4, LA, HOLE + (fresh ? 0x3000 : 0x1000), 3);
		map_page(pml4, LA + 0x1000, HOLE + (fresh ? 0x3000 : 0x1000), 3 | 1 << 8);
	}
}

static void guest(u32 vpid)
{
	const struct snippet s = {(char *)guest_code, NULL, NULL};

	base(&s);
	small = page_alloc();
	small[3] = new_page | 6 << 3 | 7;
	*vmx_ept_entry(HOLE) = (u64)small | 7;
	on(VMCS_GUEST_CR4, 1 << 7);
	on(VMCS_PROC2, S_INVPCID | (vpid ? S_VPID : 0));
	vmx_write(VMCS_VPID, vpid);
	map_page(pml4, LA, HOLE + 0x1000, 3);
	map_page(pml4, LA + 0x1000, HOLE + 0x2000, 3 | 1 << 8);
	point(BY_EPT, false);
	host_invvpid(2, 0);
	todo = G_NONE;
}

static void look(const char *name, const char *how, u64 one, u64 two)
{
	vmx_write(VMCS_GUEST_RIP, (u64)guest_code);
	seen[0] = seen[1] = 0;
	vcheck(name, "runs", again(), R_VMCALL);
	vcheck(name, how, seen[0] << 16 | seen[1], one << 16 | two);
}

static void matrix(void)
{
	static const char *const change_names[] = {"an EPT entry", "an entry of the guest's"};

	for (unsigned n = 0; n < COUNT(rows); n++)
		for (unsigned how = BY_EPT; how <= BY_GUEST_TABLES; how++) {
			const struct row *t = &rows[n];

			guest(VPID);
			vcheck(t->name, "starts", go(), R_VMCALL);
			point(how, true);
			look(t->name, "still cached", OLD, OLD);
			t->host(t->a, t->b);
			todo = t->guest;
			todo_address = t->address;
			look(t->name, change_names[how], t->one, t->two);
		}
	for (unsigned how = BY_EPT; how <= BY_GUEST_TABLES; how++) { /* VPID 0: entry and exit flush, globals as well */
		guest(0);
		check("no VPID: starts", go(), R_VMCALL);
		point(how, true);
		look("no VPID", change_names[how], NEW, NEW);
	}
}

/* Combined mappings carry VPID and EPTP: with another of either, the tables are walked; back again, the old ones are. */
static void tags(void)
{
	u64 eptp;

	guest(VPID);
	check("tags: start", go(), R_VMCALL);
	eptp = vmx_read(VMCS_EPTP);
	point(BY_EPT, true);
	vmx_write(VMCS_VPID, OTHER);
	look("another VPID", "the tables", NEW, NEW);
	vmx_write(VMCS_VPID, VPID);
	look("the VPID again", "the cache", OLD, OLD);

	u64 *l4 = page_alloc();

	memcpy(l4, (void *)(eptp & ~0xfffull), 4096); /* another root, the same tables below */
	vmx_write(VMCS_EPTP, (u64)l4 | (eptp & 0xfff));
	look("another EPTP", "the tables", NEW, NEW);
	vmx_write(VMCS_EPTP, eptp);
	look("the EPTP again", "the cache", OLD, OLD);

	/* what the guest flushes goes under every EPTP of its VPID: not the global page */
	vmx_write(VMCS_EPTP, (u64)l4 | (eptp & 0xfff));
	todo = G_CR3;
	look("MOV CR3 under another EPTP", "its own", NEW, NEW);
	todo = G_NONE;
	vmx_write(VMCS_EPTP, eptp);
	look("MOV CR3 under another EPTP", "the first EPTP", NEW, OLD);

	/* and the other way round */
	point(BY_EPT, false);
	todo = G_CR3;
	look("MOV CR3 under the first EPTP", "its own", OLD, OLD);
	todo = G_NONE;
	vmx_write(VMCS_EPTP, (u64)l4 | (eptp & 0xfff));
	look("MOV CR3 under the first EPTP", "the other EPTP", OLD, NEW);
}

/* "Operations that Invalidate Cached Mappings": without VPIDs EPTP switching takes every combined mapping along, global ones
 * as well. The guest changes its own tables, does not say so, and switches there and back. */
static void switch_code(void)
{
	seen[0] = *second;
	map_page(pml4, LA + 0x1000, HOLE + 0x3000, 3 | 1 << 8);
	asm volatile("vmfunc" ::"a"(0), "c"(1) : "memory");
	asm volatile("vmfunc" ::"a"(0), "c"(0) : "memory");
	seen[1] = *second;
	asm volatile("vmcall");
}

static void switching(void)
{
	u64 *list = page_alloc(), *l4 = page_alloc(), eptp;

	guest(0);
	eptp = vmx_read(VMCS_EPTP);
	memcpy(l4, (void *)(eptp & ~0xfffull), 4096);
	list[0] = eptp;
	list[1] = (u64)l4 | (eptp & 0xfff);
	on(VMCS_PROC2, S_VMFUNC);
	vmx_write(VMCS_VMFUNC, 1);
	vmx_write(VMCS_EPTP_LIST, (u64)list);
	vmx_write(VMCS_GUEST_RIP, (u64)switch_code);
	check("EPTP switching, no VPID: runs", go(), R_VMCALL);
	check("EPTP switching, no VPID: before", seen[0], OLD);
	check("EPTP switching, no VPID: there and back", seen[1], NEW);
}

SNIPPET(t_write, "mov $0x30000000000, %rbx", "movl $0x2222, (%rbx)");

/* "Operations that Invalidate Cached Mappings": the violation takes its own address along, and no other. */
static void violation(void)
{
	for (unsigned happens = 0; happens < 2; happens++) {
		guest(VPID);
		small[1] = old_page | 6 << 3 | 5; /* not writable */
		check("violation: starts", go(), R_VMCALL);
		if (happens) {
			vmx_write(VMCS_GUEST_RIP, (u64)t_write.entry);
			check("violation", again(), R_EPT);
			check("violation: linear address", vmx_read(VMCS_GUEST_LINEAR), LA);
		}
		point(BY_EPT, true);
		look(happens ? "behind a violation" : "no violation", "cached", happens ? NEW : OLD, OLD);
	}
	/* rights that became more are not in the cache: the violation may come, and then it is gone */
	guest(VPID);
	small[1] = old_page | 6 << 3 | 5;
	check("more rights: starts", go(), R_VMCALL);
	small[1] = new_page | 6 << 3 | 7;
	vmx_write(VMCS_GUEST_RIP, (u64)t_write.entry);
	if (again() == R_EPT) {
		vmx_write(VMCS_GUEST_RIP, (u64)t_write.entry);
		check("more rights: at most one violation", again(), R_VMCALL);
	}
	check("more rights: written to the new page", *(u32 *)new_page, NEW);
	check("more rights: not to the old one", *(u32 *)old_page, OLD);
}

/* "VM entry and VM exit": without VPIDs the host's own linear mappings go, with them they stay. */
static void host_side(void)
{
	for (u32 vpid = 0; vpid < 2; vpid++) {
		guest(vpid ? VPID : 0);
		map_page(pml4, LA + 0x4000, old_page, 3);
		invlpg((void *)(LA + 0x4000));
		check("the host's page", *(volatile u32 *)(LA + 0x4000), OLD);
		map_page(pml4, LA + 0x4000, new_page, 3);
		check("the host's page: cached", *(volatile u32 *)(LA + 0x4000), OLD);
		check("the host's page: a guest runs", go(), R_VMCALL);
		check(vpid ? "with a VPID the host's entries stay" : "without a VPID the host's entries go",
		      *(volatile u32 *)(LA + 0x4000), vpid ? OLD : NEW);
	}
}

void test_stale(void)
{
	old_page = (u64)page_alloc();
	new_page = (u64)page_alloc();
	*(u32 *)old_page = OLD;
	*(u32 *)new_page = NEW;
	guest(VPID);
	other_eptp = vmx_read(VMCS_EPTP);
	matrix();
	for (unsigned n = 0; n < 32; n++) /* three spaces each: the processor's are used round and round */
		tags();
	switching();
	violation();
	host_side();
}
