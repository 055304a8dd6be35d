/* A monitor whose VMRUN is refused, for one reason after another: each VMCB in the lines of tools/vmdump.h, on the debug console. */
#include "svm.h"
#include "vmdump.h"

static void put(void *arg, char ch)
{
	(void)arg;
	outb(0xe9, (u8)ch);
}

static void guest(void)
{
	asm volatile("hlt");
}

static const struct {
	u16 offset, width;
	u64 value;
} wrongs[] = {
        {0x010, 4, 0},
        {0x058, 4, 0},
        {0x058, 4, 0x8000},
        {0x040, 8, ~0ull},
        {0x048, 8, ~0ull},
        {0x0b0, 8, ~0ull},
        {0x668, 8, 2},
        {0x060, 8, 1 << 26},
        {0x4d0, 8, 0x500},
        {0x4d0, 8, 0x11500},
        {0x548, 8, 0},
        {0x558, 8, 0x80000010},
        {0x558, 8, 0xa0000011},
        {0x558, 8, 0x180000011},
        {0x550, 8, 1ull << 52},
        {0x548, 8, 0x80000020},
        {0x412, 2, 0x69b},
        {0x560, 8, 1ull << 32},
        {0x568, 8, 1ull << 63},
        {0x0a8, 8, 0x80000100},
        {0x0a8, 8, 0x80000302},
        {0x0a8, 8, 0x80000305},
};

int main(void)
{
	static const struct vmdump dump = {.put = put};
	struct vmcb *v;
	u8 *page;

	if (!svm_enable())
		return 1;
	vmdump_caps(&dump);
	v = svm_guest(guest, (u64)page_alloc() + 4096 - 8, true);
	page = (u8 *)v;
	for (u32 n = 0; n < sizeof(wrongs) / sizeof(wrongs[0]); n++) {
		u64 right = 0;

		memcpy(&right, page + wrongs[n].offset, wrongs[n].width);
		memcpy(page + wrongs[n].offset, &wrongs[n].value, wrongs[n].width);
		vmdump_vmcb(&dump, v); /* #VMEXIT clears EVENTINJ */
		svm_run(v);
		check("refused", v->exitcode, ~0ull);
		memcpy(page + wrongs[n].offset, &right, wrongs[n].width);
	}
	svm_run(v);
	check("runs", v->exitcode, EXIT_HLT);
	return guest_verdict();
}
