/*
 * vmdump.h: prints every field of a VMCS or VMCB, and what the processor can do, as lines of text that `turnstile check`
 * and its --caps read: `0x6820=0x2`, `msr 0x480=0xda040000000004`, `cpuid 0x1.0x0: 0xa0652 0x800 0x7ffafbff 0xbfebfbff`.
 *
 * Copy this file into a hypervisor. It needs nothing: no library, no other header, no memory; GCC or Clang for x86-64, any
 * C from C99 on. Give it a function that puts a character where you can read it (a serial port, a log):
 *
 *     static void put(void *arg, char ch) { outb(0x3f8, ch); }
 *     ...
 *     const struct vmdump d = {.put = put};
 *     vmdump_vmcs(&d);          // VMLAUNCH or VMRESUME has failed: the current VMCS
 *     vmdump_vmcb(&d, vmcb);    // VMRUN has failed: the VMCB at this address
 *     vmdump_caps(&d);          // once: the capability MSRs and CPUID
 *
 * It executes VMREAD, VMPTRST, RDMSR, CPUID and MOV from CR0 at CPL 0; a function of your own in struct vmdump replaces each.
 * VMREAD of a field that the processor does not have fails, and the field is left out; the VM-instruction error is read first.
 *
 * To the extent possible under law, the authors have waived all copyright and related or neighbouring rights to this file:
 * CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/
 */
#ifndef VMDUMP_H
#define VMDUMP_H

struct vmdump {
	void (*put)(void *arg, char ch);
	void *arg;
	/* NULL: the instruction itself. They return 0 where there is no such MSR or field. */
	int (*rdmsr)(void *arg, unsigned index, unsigned long long *value);
	int (*vmread)(void *arg, unsigned encoding, unsigned long long *value);
	void (*cpuid)(void *arg, unsigned leaf, unsigned subleaf, unsigned reg[4]);
	int (*cr0)(void *arg, unsigned long long *value);
	int (*vmptrst)(void *arg, unsigned long long *value);
};

/* ---- characters ---- */

static inline void vmdump_text(const struct vmdump *d, const char *s)
{
	for (; *s; s++)
		d->put(d->arg, *s);
}

static inline void vmdump_hex(const struct vmdump *d, unsigned long long v)
{
	int shift = 60;

	vmdump_text(d, "0x");
	while (shift && !(v >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		d->put(d->arg, "0123456789abcdef"[v >> shift & 15]);
}

static inline void vmdump_named(const struct vmdump *d, const char *name, unsigned long long value)
{
	vmdump_text(d, name);
	vmdump_text(d, "=");
	vmdump_hex(d, value);
	vmdump_text(d, "\n");
}

static inline void vmdump_numbered(const struct vmdump *d, const char *word, unsigned number, unsigned long long value)
{
	vmdump_text(d, word);
	vmdump_hex(d, number);
	vmdump_named(d, "", value);
}

/* ---- instructions ---- */

static inline int vmdump_rdmsr(const struct vmdump *d, unsigned index, unsigned long long *value)
{
	unsigned low, high;

	if (d->rdmsr)
		return d->rdmsr(d->arg, index, value);
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	*value = (unsigned long long)high << 32 | low;
	return 1;
}

static inline void vmdump_cpuid(const struct vmdump *d, unsigned leaf, unsigned subleaf, unsigned reg[4])
{
	if (d->cpuid) {
		d->cpuid(d->arg, leaf, subleaf, reg);
		return;
	}
	__asm__ volatile("cpuid" : "=a"(reg[0]), "=b"(reg[1]), "=c"(reg[2]), "=d"(reg[3]) : "a"(leaf), "c"(subleaf));
}

static inline int vmdump_vmread(const struct vmdump *d, unsigned encoding, unsigned long long *value)
{
	unsigned long long v = 0;
	unsigned char failed;

	if (d->vmread)
		return d->vmread(d->arg, encoding, value);
	__asm__ volatile("vmread %2, %1; setbe %0" : "=q"(failed), "+r"(v) : "r"((unsigned long long)encoding) : "cc");
	*value = v;
	return !failed;
}

static inline int vmdump_vmptrst(const struct vmdump *d, unsigned long long *value)
{
	if (d->vmptrst)
		return d->vmptrst(d->arg, value);
	if (d->vmread)
		return 0;
	__asm__ volatile("vmptrst %0" : "=m"(*value) : : "cc");
	return 1;
}

static inline int vmdump_cr0(const struct vmdump *d, unsigned long long *value)
{
	if (d->cr0)
		return d->cr0(d->arg, value);
	if (d->rdmsr)
		return 0;
	__asm__ volatile("mov %%cr0, %0" : "=r"(*value));
	return 1;
}

/* ---- VMCS: encodings, in order ---- */

static const unsigned short vmdump_vmcs_fields[] = {
	0x0000, 0x0002, 0x0004, 0x0006, 0x0008, 0x0800, 0x0802, 0x0804, 0x0806, 0x0808, 0x080a, 0x080c, 0x080e,
	0x0810, 0x0812, 0x0c00, 0x0c02, 0x0c04, 0x0c06, 0x0c08, 0x0c0a, 0x0c0c, 0x2000, 0x2002, 0x2004, 0x2006,
	0x2008, 0x200a, 0x200c, 0x200e, 0x2010, 0x2012, 0x2014, 0x2016, 0x2018, 0x201a, 0x201c, 0x201e, 0x2020,
	0x2022, 0x2024, 0x2026, 0x2028, 0x202a, 0x202c, 0x202e, 0x2030, 0x2032, 0x2034, 0x2040, 0x2042, 0x2044,
	0x204a, 0x204c, 0x2400, 0x2800, 0x2802, 0x2804, 0x2806, 0x2808, 0x280a, 0x280c, 0x280e, 0x2810, 0x2812,
	0x2814, 0x2816, 0x2818, 0x2c00, 0x2c02, 0x2c04, 0x2c06, 0x4000, 0x4002, 0x4004, 0x4006, 0x4008, 0x400a,
	0x400c, 0x400e, 0x4010, 0x4012, 0x4014, 0x4016, 0x4018, 0x401a, 0x401c, 0x401e, 0x4020, 0x4022, 0x4400,
	0x4402, 0x4404, 0x4406, 0x4408, 0x440a, 0x440c, 0x440e, 0x4800, 0x4802, 0x4804, 0x4806, 0x4808, 0x480a,
	0x480c, 0x480e, 0x4810, 0x4812, 0x4814, 0x4816, 0x4818, 0x481a, 0x481c, 0x481e, 0x4820, 0x4822, 0x4824,
	0x4826, 0x4828, 0x482a, 0x482e, 0x4c00, 0x6000, 0x6002, 0x6004, 0x6006, 0x6008, 0x600a, 0x600c, 0x600e,
	0x6400, 0x6402, 0x6404, 0x6406, 0x6408, 0x640a, 0x6800, 0x6802, 0x6804, 0x6806, 0x6808, 0x680a, 0x680c,
	0x680e, 0x6810, 0x6812, 0x6814, 0x6816, 0x6818, 0x681a, 0x681c, 0x681e, 0x6820, 0x6822, 0x6824, 0x6826,
	0x6828, 0x682a, 0x682c, 0x6c00, 0x6c02, 0x6c04, 0x6c06, 0x6c08, 0x6c0a, 0x6c0c, 0x6c0e, 0x6c10, 0x6c12,
	0x6c14, 0x6c16, 0x6c18, 0x6c1a, 0x6c1c,
};

static inline void vmdump_vmcs(const struct vmdump *d)
{
	unsigned long long value, error;
	int has_error = vmdump_vmread(d, 0x4400, &error); /* before a VMREAD of ours changes it */
	unsigned n;

	vmdump_text(d, "vmdump vmcs\n");
	for (n = 0; n < sizeof(vmdump_vmcs_fields) / sizeof(vmdump_vmcs_fields[0]); n++) {
		if (vmdump_vmcs_fields[n] == 0x4400 && has_error)
			vmdump_numbered(d, "", 0x4400, error);
		else if (vmdump_vmcs_fields[n] != 0x4400 && vmdump_vmread(d, vmdump_vmcs_fields[n], &value))
			vmdump_numbered(d, "", vmdump_vmcs_fields[n], value);
	}
	if (vmdump_vmptrst(d, &value))
		vmdump_named(d, "current", value);
	if (vmdump_rdmsr(d, 0xc0000080, &value)) /* IA32_EFER.LMA */
		vmdump_named(d, "lma", value >> 10 & 1);
	vmdump_text(d, "vmdump end\n");
}

/* ---- VMCB: offsets and widths, in order ---- */

static const unsigned short vmdump_vmcb_fields[][2] = {
	{0x000, 2}, {0x002, 2}, {0x004, 2}, {0x006, 2}, {0x008, 4}, {0x00c, 4}, {0x010, 4}, {0x014, 4}, {0x03c, 2},
	{0x03e, 2}, {0x040, 8}, {0x048, 8}, {0x050, 8}, {0x058, 4}, {0x05c, 1}, {0x060, 8}, {0x068, 8}, {0x070, 8},
	{0x078, 8}, {0x080, 8}, {0x088, 8}, {0x090, 8}, {0x098, 8}, {0x0a0, 8}, {0x0a8, 8}, {0x0b0, 8}, {0x0b8, 8},
	{0x0c0, 4}, {0x0c8, 8}, {0x0d0, 1}, {0x0e0, 8}, {0x0f0, 8}, {0x0f8, 8}, {0x120, 2}, {0x1c8, 8}, {0x1d0, 2},
	{0x400, 2}, {0x402, 2}, {0x404, 4}, {0x408, 8}, {0x410, 2}, {0x412, 2}, {0x414, 4}, {0x418, 8}, {0x420, 2},
	{0x422, 2}, {0x424, 4}, {0x428, 8}, {0x430, 2}, {0x432, 2}, {0x434, 4}, {0x438, 8}, {0x440, 2}, {0x442, 2},
	{0x444, 4}, {0x448, 8}, {0x450, 2}, {0x452, 2}, {0x454, 4}, {0x458, 8}, {0x464, 4}, {0x468, 8}, {0x470, 2},
	{0x472, 2}, {0x474, 4}, {0x478, 8}, {0x484, 4}, {0x488, 8}, {0x490, 2}, {0x492, 2}, {0x494, 4}, {0x498, 8},
	{0x4cb, 1}, {0x4d0, 8}, {0x548, 8}, {0x550, 8}, {0x558, 8}, {0x560, 8}, {0x568, 8}, {0x570, 8}, {0x578, 8},
	{0x5d8, 8}, {0x5f8, 8}, {0x600, 8}, {0x608, 8}, {0x610, 8}, {0x618, 8}, {0x620, 8}, {0x628, 8}, {0x630, 8},
	{0x638, 8}, {0x640, 8}, {0x668, 8}, {0x670, 8}, {0x678, 8}, {0x680, 8}, {0x688, 8}, {0x690, 8}, {0x698, 8},
	{0x6e0, 8}, {0xa70, 8}, {0xa78, 8}, {0xa80, 8}, {0xa88, 8}, {0xa90, 8}, {0xa98, 8}, {0xaa0, 8}, {0xaa8, 8},
	{0xab0, 8}, {0xab8, 8}, {0xac0, 8}, {0xac8, 8}, {0xad0, 8}, {0xad8, 8}, {0xae0, 8}, {0xae8, 8}, {0xaf0, 8},
	{0xaf8, 8}, {0xb00, 8}, {0xb08, 8}, {0xb10, 8}, {0xb18, 8}, {0xb20, 8}, {0xb28, 8}, {0xb30, 8}, {0xb38, 8},
	{0xb40, 8}, {0xb48, 8}, {0xb50, 8}, {0xb58, 8}, {0xb60, 8}, {0xb68, 8}, {0xb70, 8},
};

static inline void vmdump_vmcb(const struct vmdump *d, const void *vmcb)
{
	const volatile unsigned char *p = (const volatile unsigned char *)vmcb;
	unsigned long long value;
	unsigned n, k;

	vmdump_text(d, "vmdump vmcb\n");
	for (n = 0; n < sizeof(vmdump_vmcb_fields) / sizeof(vmdump_vmcb_fields[0]); n++) {
		for (value = 0, k = vmdump_vmcb_fields[n][1]; k-- > 0;)
			value = value << 8 | p[vmdump_vmcb_fields[n][0] + k];
		vmdump_numbered(d, "", vmdump_vmcb_fields[n][0], value);
	}
	if (vmdump_cr0(d, &value))
		vmdump_named(d, "host-cr0", value);
	vmdump_text(d, "vmdump end\n");
}

/* ---- what the processor can do ---- */

static inline unsigned long long vmdump_msr(const struct vmdump *d, unsigned index)
{
	unsigned long long value = 0;

	if (!vmdump_rdmsr(d, index, &value))
		return 0;
	vmdump_numbered(d, "msr ", index, value);
	return value;
}

static inline void vmdump_leaf(const struct vmdump *d, unsigned leaf, unsigned subleaf)
{
	unsigned reg[4], n;

	vmdump_cpuid(d, leaf & 0x80000000u, 0, reg);
	if (reg[0] < leaf) /* the highest leaf of its kind */
		return;
	vmdump_cpuid(d, leaf, subleaf, reg);
	vmdump_text(d, "cpuid ");
	vmdump_hex(d, leaf);
	vmdump_text(d, ".");
	vmdump_hex(d, subleaf);
	vmdump_text(d, ":");
	for (n = 0; n < 4; n++) {
		vmdump_text(d, " ");
		vmdump_hex(d, reg[n]);
	}
	vmdump_text(d, "\n");
}

/* "VMX Capability Reporting Facility": some MSRs are there only with what they report. */
static inline void vmdump_vmx_caps(const struct vmdump *d)
{
	unsigned long long basic = vmdump_msr(d, 0x480), proc = 0, proc2 = 0, exits = 0;
	unsigned n;

	for (n = 0x481; n <= 0x48a; n++) {
		unsigned long long value = vmdump_msr(d, n);

		proc = n == 0x482 ? value : proc;
		exits = n == 0x483 ? value : exits;
	}
	if (proc >> 63)
		proc2 = vmdump_msr(d, 0x48b);
	if (proc2 >> 32 & 0x22) /* EPT, VPID */
		vmdump_msr(d, 0x48c);
	for (n = 0x48d; n <= 0x490 && (basic >> 55 & 1); n++)
		vmdump_msr(d, n);
	if (proc2 >> 45 & 1) /* VM functions */
		vmdump_msr(d, 0x491);
	if (proc >> 49 & 1) /* tertiary controls */
		vmdump_msr(d, 0x492);
	if (exits >> 63) /* secondary VM-exit controls */
		vmdump_msr(d, 0x493);
}

static inline void vmdump_caps(const struct vmdump *d)
{
	static const unsigned leaves[][2] = {{0, 0}, {1, 0}, {6, 0}, {7, 0}, {7, 1}, {0xa, 0}, {0xd, 1}, {0x80000000u, 0},
	                                     {0x80000001u, 0}, {0x80000007u, 0}, {0x80000008u, 0}, {0x8000000au, 0},
	                                     {0x80000021u, 0}, {0x80000022u, 0}};
	unsigned reg[4], n;

	for (n = 0; n < sizeof(leaves) / sizeof(leaves[0]); n++)
		vmdump_leaf(d, leaves[n][0], leaves[n][1]);
	vmdump_cpuid(d, 1, 0, reg);
	if (reg[2] >> 5 & 1)
		vmdump_vmx_caps(d);
}

#endif
