/* "Advanced Virtual Interrupt Controller": logical destinations, and the targets that it refuses. */
#include "exits.h"

enum { V_MASKING = 1 << 24 };
#define V_AVIC (1ull << 31)

SNIPPET(a_send, "mov $0xfee00000, %ebx; mov icr + 4, %eax; mov %eax, 0x310(%rbx); mov icr, %eax",
        "mov %eax, 0x300(%rbx)");
u64 icr;

static void targets(void)
{
	enum { FLAT = -1, CLUSTER = 0x0fffffff, IRR_61 = 0x230 };
	static const struct {
		const char *name;
		int dfr;
		u64 icr, id, index; /* EXITINFO2; id 9: no exit */
		u32 posted;         /* to the one that does not run, APIC 2 */
	} row[] = {
	        {"AVIC, flat, bit 1", FLAT, 2ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, flat, no such bit", FLAT, 8ull << 56 | 0x861, 2, 3, 0},
	        {"AVIC, cluster 1, member 1", CLUSTER, 0x12ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, cluster 1, member 0", CLUSTER, 0x11ull << 56 | 0x861, 9, 0, 0},
	        {"AVIC, cluster 1, members 0 and 1", CLUSTER, 0x13ull << 56 | 0x861, 1, 2, 2},
	        {"AVIC, a cluster of nobody", CLUSTER, 0x22ull << 56 | 0x861, 2, ~0ull, 0},
	        {"AVIC, physical, runs", FLAT, 0x61, 9, 0, 0},
	        {"AVIC, physical, does not run", FLAT, 2ull << 56 | 0x61, 1, 2, 2},
	        {"AVIC, physical, not valid", FLAT, 1ull << 56 | 0x61, 2, 1, 0},
	        {"AVIC, physical, beyond the table", FLAT, 0x10ull << 56 | 0x61, 2, 0x10, 0},
	        {"AVIC, a backing page that cannot be", FLAT, 3ull << 56 | 0x61, 3, 3, 0},
	        {"AVIC, broadcast", FLAT, 0xffull << 56 | 0x61, 1, 2, 2},
	        {"AVIC, level-triggered", FLAT, 0x8061, 0, ~0ull, 0},
	        {"AVIC, NMI", FLAT, 0x461, 0, ~0ull, 0},
	        {"AVIC, INIT", FLAT, 0x500, 0, ~0ull, 0},
	        {"AVIC, vector 15", FLAT, 0x0f, 4, ~0ull, 0},
	};
	u8 *own = page_alloc(), *other = page_alloc();
	u64 *physical = page_alloc();
	u32 *logical = page_alloc();

	physical[0] = 3ull << 62 | (u64)own;
	physical[2] = 1ull << 63 | (u64)other;
	logical[0] = logical[4] = 1u << 31 | 0;
	logical[1] = logical[5] = 1u << 31 | 2;
	for (unsigned n = 0; n < COUNT(row); n++) {
		bool exits = row[n].id != 9;

		memset(own, 0, 4096);
		memset(other, 0, 4096);
		*(u32 *)(own + 0xe0) = (u32)row[n].dfr;
		physical[3] = row[n].id == 3 ? 1ull << 63 | 0xffffffffff000ull : 0;
		base(&a_send);
		icr = row[n].icr;
		v->vintr = V_AVIC | V_MASKING;
		v->avic_bar = 0xfee00000;
		v->avic_page = (u64)own;
		v->avic_logical = (u64)logical;
		v->avic_physical = (u64)physical | 3;
		vcheck(row[n].name, "code", go(), exits ? EXIT_AVIC_IPI : EXIT_VMMCALL);
		vcheck(row[n].name, "posted", *(u32 *)(other + IRR_61), row[n].posted);
		if (!exits) {
			vcheck(row[n].name, "to itself", *(u32 *)(own + IRR_61), 2);
			continue;
		}
		vcheck(row[n].name, "the ICR", v->exitinfo1, row[n].icr);
		vcheck(row[n].name, "why", v->exitinfo2 >> 32, row[n].id);
		if (row[n].index != ~0ull)
			vcheck(row[n].name, "whom", v->exitinfo2 & 0xfff, row[n].index);
	}
}

void test_avic(void)
{
	if (of_2005)
		return;
	check("AVIC: is there", svm_features() >> 13 & 1, 1);
	if (svm_features() >> 13 & 1)
		targets();
}
