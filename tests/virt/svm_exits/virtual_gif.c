/* "Virtual GIF": STGI and CLGI of the guest, virtual interrupts by V_GIF, physical ones by the host's. */
#include "exits.h"

enum { V_IRQ = 1 << 8, V_GIF = 1 << 9, V_GIF_EN = 1 << 25 };
#define V_INTERRUPT (V_IRQ | 0xfull << 16 | 0x61ull << 32)

SNIPPET(g_nops, "nop", "nop");
SNIPPET(g_stgi, "stgi", "nop");
SNIPPET(g_clgi, "clgi", "nop");

static void gif(const struct snippet *s, u64 vintr)
{
	base(s);
	own_idt();
	v->rflags = 0x202;
	v->vintr = V_GIF_EN | vintr;
}

void test_virtual_gif(void)
{
	unsigned before;

	if (of_2005)
		return;
	check("virtual GIF: is there", svm_features() >> 16 & 1, 1);
	gif(&g_nops, V_INTERRUPT);
	vcheck("V_GIF 0", "the virtual interrupt waits", go(), EXIT_VMMCALL);
	vcheck("V_GIF 0", "RIP", v->rip, (u64)g_nops.next);
	vcheck("V_GIF 0", "V_IRQ and V_GIF saved", v->vintr & (V_IRQ | V_GIF), V_IRQ);
	gif(&g_nops, V_INTERRUPT | V_GIF);
	vcheck("V_GIF 1", "the virtual interrupt", go(), EXIT_VMMCALL);
	vcheck("V_GIF 1", "is taken", v->rip, stub_of(0x61));
	vcheck("V_GIF 1", "V_IRQ and V_GIF saved", v->vintr & (V_IRQ | V_GIF), V_GIF);
	gif(&g_stgi, V_INTERRUPT);
	vcheck("STGI by the guest", "no exit", go(), EXIT_VMMCALL);
	vcheck("STGI by the guest", "the virtual interrupt is taken", v->rip, stub_of(0x61));
	vcheck("STGI by the guest", "V_GIF", v->vintr & (V_IRQ | V_GIF), V_GIF);
	gif(&g_clgi, V_GIF);
	vcheck("CLGI by the guest", "no exit", go(), EXIT_VMMCALL);
	vcheck("CLGI by the guest", "V_GIF", v->vintr & V_GIF, 0);
	gif(&g_stgi, 0);
	on((struct icpt)ICPT(EXIT_STGI));
	vcheck("STGI, intercepted", "exits", go(), EXIT_STGI);
	vcheck("STGI, intercepted", "V_GIF", v->vintr & V_GIF, 0);
	before = irqs;
	gif(&g_nops, 0); /* the physical interrupt is the host's GIF's */
	on((struct icpt)ICPT(EXIT_INTR));
	self_ipi(0x40051);
	vcheck("V_GIF 0", "a physical interrupt", go(), EXIT_INTR);
	asm volatile("sti; nop; cli" ::: "memory");
	vcheck("V_GIF 0", "is the host's", irqs, before + 1);
}
