/* VMREAD and VMWRITE: encodings, widths, both kinds of operand, errors; the encodings of the manual's appendix. */
#include "root.h"
#include "vmx.h"

#define PATTERN 0x8899aabbccddeeffull

static u64 memory[2];

/* Encodings as printed in "Field Encoding in VMCS"; `width` in bytes. */
static const struct {
	u32 encoding;
	u8 width;
} list[] = {
	/* the execution controls */
	{0x4000, 4}, {0x4002, 4}, {0x4004, 4}, {0x4006, 4}, {0x4008, 4}, {0x400a, 4}, {0x401c, 4},
	{0x2000, 8}, {0x2002, 8}, {0x2010, 8}, {0x2012, 8},
	{0x6000, 8}, {0x6002, 8}, {0x6004, 8}, {0x6006, 8}, {0x6008, 8}, {0x600a, 8}, {0x600c, 8}, {0x600e, 8},
	{0x400c, 4}, {0x400e, 4}, {0x4010, 4}, {0x2006, 8}, {0x2008, 8},
	{0x4012, 4}, {0x4014, 4}, {0x4016, 4}, {0x4018, 4}, {0x200a, 8},
	{0x4402, 4}, {0x6400, 8}, {0x4404, 4}, {0x4406, 4}, {0x4408, 4}, {0x440a, 4}, {0x440c, 4}, {0x640a, 8},
	{0x440e, 4}, {0x6402, 8}, {0x6404, 8}, {0x6406, 8}, {0x6408, 8}, {0x2400, 8},
	{0x4824, 4},
	/* the bases of CS, SS, DS and ES */
	{0x6806, 8}, {0x6808, 8}, {0x680a, 8}, {0x680c, 8},
	{0x0800, 2}, {0x0802, 2}, {0x0804, 2}, {0x0806, 2}, {0x0808, 2}, {0x080a, 2}, {0x080c, 2}, {0x080e, 2},
	{0x0c00, 2}, {0x0c02, 2}, {0x0c04, 2}, {0x0c06, 2}, {0x0c08, 2}, {0x0c0a, 2}, {0x0c0c, 2},
};

static u64 low(u64 v, unsigned bytes)
{
	return bytes == 8 ? v : v & ((1ull << 8 * bytes) - 1);
}

/* Each has its own storage and its width: distinct values go in, all come back. */
static void encodings(void)
{
	for (unsigned n = 0; n < sizeof(list) / sizeof(list[0]); n++)
		check(REQ("vmx04.VMWRITE.14") "VMWRITE takes any value", vmx_write(list[n].encoding, PATTERN + n), VMX_OK);
	for (unsigned n = 0; n < sizeof(list) / sizeof(list[0]); n++) {
		u64 want = low(PATTERN + n, list[n].width);

		if (vmx_read(list[n].encoding) != want)
			print("field 0x%x: ", list[n].encoding);
		check(REQ("vmx04.VMREAD.12 vmx04.VMREAD.11 vmx04.VMWRITE.10 vmx04.VMWRITE.11") "field as written", vmx_read(list[n].encoding), want);
	}
	/* the fields they name are in the list */
	proves("vmx04.2.5.0.2 vmx04.2.5.0.3 vmx04.2.5.0.4 vmx04.2.5.0.5 vmx04.2.6.1.1 vmx04.2.6.1.2 "
	       "vmx04.2.6.2.1 vmx04.2.6.2.2 vmx04.2.6.2.10 vmx04.2.6.2.11 vmx04.2.7.0.2 vmx04.2.7.1.1 "
	       "vmx04.2.7.2.1 vmx04.2.7.2.2 vmx04.2.7.3.1 vmx04.2.8.0.1 vmx04.2.8.1.1 vmx04.2.8.1.23 "
	       "vmx04.2.8.2.1 vmx04.2.8.3.18 vmx04.2.8.4.1 vmx04.2.8.4.23 vmx04.2.8.0.3.now vmx04.2.3.2.1 "
	       "vmx04.2.3.2.9 vmx04.2.5.5.1 vmx04.2.5.5.2 vmx04.2.5.9.1 vmx04.2.5.9.4 vmx04.2.5.8.2 "
	       "vmx04.2.5.3.1 vmx04.2.5.6.1 vmx04.2.3.1.17");
}

static u64 full_read(u64 encoding, u64 *dest)
{
	u64 flags, v = *dest;

	asm volatile("vmread %2, %0; pushfq; popq %1" : "+r"(v), "=r"(flags) : "r"(encoding) : "cc");
	*dest = v;
	return flags & ALL_SIX;
}

static u64 full_write(u64 *encoding, u64 value)
{
	u64 flags;

	asm volatile("vmwrite %2, %0; pushfq; popq %1" : "+r"(*encoding), "=r"(flags) : "r"(value) : "cc");
	return flags & ALL_SIX;
}

static void operands(void)
{
	u64 v = 0, e = 0x681c;

	memory[0] = memory[1] = ~0ull;
	vmx_write(0x4000, 0x16);
	asm volatile("vmread %1, %0" : "=m"(memory[0]) : "r"(0x4000ull) : "cc");
	check(REQ("vmx04.VMREAD.15 sdm30.9") "VMREAD to memory: 8 bytes, the high ones 0", memory[0], 0x16);
	check("VMREAD to memory: no more", memory[1], ~0ull);
	check(REQ("vmx04.VMREAD.2") "VMREAD without REX.W: 64 bits", (vmx_write(0x681c, PATTERN), full_read(0x681c, &v), v), PATTERN);
	memory[0] = PATTERN + 9;
	asm volatile("vmwrite %0, %1" ::"m"(memory[0]), "r"(0x681cull) : "cc");
	check(REQ("vmx04.VMWRITE.2 sdm30.10") "VMWRITE from memory: 8 bytes", vmx_read(0x681c), PATTERN + 9);
	check("VMWRITE from a register", full_write(&e, PATTERN + 10), CLEAR);
	check("value", vmx_read(0x681c), PATTERN + 10);
	check(REQ("vmx04.VMWRITE.15") "the encoding register is only read", e, 0x681c);
}

static void errors(void)
{
	u64 v = 0x1234, e = 1ull << 32 | 0x681c;

	vmx_write(0x681c, 77);
	check(REQ("vmx04.VMREAD.10 vmx04.2.8.0.2.now") "VMREAD of no field", full_read(0x3ffe, &v), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("destination unchanged", v, 0x1234);
	vmx_write(0x4400, 0);
	check(REQ("vmx04.VMREAD.14") "VMREAD, encoding bits 63:32", full_read(1ull << 32 | 0x681c, &v), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("destination unchanged", v, 0x1234);
	vmx_write(0x4400, 0);
	check(REQ("vmx04.VMWRITE.13") "VMWRITE, encoding bits 63:32", full_write(&e, 5), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("no field written", vmx_read(0x681c), 77);
	e = 0x3ffe;
	vmx_write(0x4400, 0);
	check(REQ("vmx04.VMWRITE.8") "VMWRITE of no field", full_write(&e, 5), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check(REQ("vmx04.2.8.0.2.now") "VMsucceed leaves the error", full_read(0x681c, &v) == CLEAR && vmx_read(VMCS_ERROR) == 12, 1);
	if (rdmsr(0x485) >> 29 & 1) {
		check(REQ("vmx04.VMWRITE.9.now") "VMWRITE of a read-only field", vmx_write(VMCS_EXIT_REASON, 0x1234), VMX_OK);
		check("value", vmx_read(VMCS_EXIT_REASON), 0x1234);
	} else {
		check("VMWRITE of a read-only field", vmx_write(VMCS_EXIT_REASON, 0x1234), VMX_FAIL_VALID);
		check("error 13", vmx_read(VMCS_ERROR), 13);
	}
}

static void high_halves(void)
{
	u64 v = 0x55;

	vmx_write(0x2010, PATTERN);
	check(REQ("vmx04.VMREAD.16.now") "VMREAD, high access", vmx_read(0x2011), PATTERN >> 32);
	vmx_write(0x2011, 0x7777777712345678);
	check(REQ("vmx04.VMWRITE.16.now") "VMWRITE, high access: source bits 31:0", vmx_read(0x2010), 0x12345678ccddeeff);
	static const u32 others[] = {0x0801, 0x4001, 0x6801};
	for (unsigned n = 0; n < 3; n++) {
		check(REQ("vmx04.VMREAD.16.now") "high access to another width", full_read(others[n], &v), FAIL_VALID);
		check("error 12", vmx_read(VMCS_ERROR), 12);
		check("destination unchanged", v, 0x55);
	}
}

static void no_current(void)
{
	u64 v = 0x4321;

	op_to(ROOT);
	check(REQ("vmx04.VMREAD.9") "VMREAD without a current VMCS", full_read(0x681c, &v), FAIL_INVALID);
	check("destination unchanged", v, 0x4321);
}

/* No encoding reaches the launch state, a bitmap or an area: what is written to every field leaves VMLAUNCH's error 7. */
static void launch_state(void)
{
	u8 zero;
	unsigned found = 0;

	op_to(CURRENT);
	for (u32 e = 0; e < 0x8000; e += 2)
		if (vmx_write(e, 1) == VMX_OK)
			found++;
	check("fields exist", found > 150 && found < 300, 1);
	asm volatile("vmresume; setz %0" : "=q"(zero)::"cc", "memory");
	check(REQ("vmx04.2.10.3") "VMRESUME still fails", zero, 1);
	check("error 5", vmx_read(VMCS_ERROR), 5);
}

/* What the addresses lead to is no field: no VMWRITE changes it, no VMREAD returns it. */
static void related(void)
{
	static const u32 address[] = {0x2000, 0x2002, 0x2004, 0x2006, 0x2008, 0x200a, 0x2012};
	u64 *page = page_alloc();
	unsigned changed = 0, found = 0;

	op_to(CURRENT);
	for (unsigned n = 0; n < 512; n++)
		page[n] = PATTERN ^ n << 3;
	for (u32 e = 0; e < 0x8000; e += 2)
		vmx_write(e, 1);
	for (unsigned n = 0; n < sizeof(address) / 4; n++)
		vmx_write(address[n], (u64)page);
	for (u32 e = 0; e < 0x8000; e += 2)
		found += vmx_read(e) >> 16 == PATTERN >> 16;
	for (unsigned n = 0; n < sizeof(address) / 4; n++)
		check("the address", vmx_read(address[n]), (u64)page);
	for (u32 e = 0; e < 0x8000; e += 2) {
		u64 v = vmx_read(e);

		if (v != (u64)page)
			vmx_write(e, 2);
	}
	for (unsigned n = 0; n < 512; n++)
		changed += page[n] != (PATTERN ^ n << 3);
	check(REQ("vmx04.2.9.2.2") "VMREAD reaches no bitmap, area or page", found, 0);
	check(REQ("vmx04.2.9.2.2") "VMWRITE reaches no bitmap, area or page", changed, 0);
}

/* VMPTRST stores 64 bits and leaves the pointer. */
static void store(void)
{
	u64 m[3] = {1, 1, 1};

	op_to(ROOT);
	asm volatile("vmptrst %0" : "+m"(m[1])::"cc");
	check(REQ("vmx04.VMPTRST.8") "VMPTRST without a current VMCS", m[1], ~0ull);
	op_to(CURRENT);
	asm volatile("vmptrst %0" : "+m"(m[1])::"cc");
	check(REQ("vmx04.VMPTRST.8 sdm30.5") "VMPTRST", m[1], current_region);
	check("VMPTRST: 64 bits", m[0] == 1 && m[2] == 1, 1);
	check("VMPTRST again", op_current(), current_region);
}

void test_fields(void)
{
	op_to(CURRENT);
	check(REQ("vmx04.2.9.1.8 vmx04.2.8.0.4") "a fresh region: RIP", vmx_read(VMCS_GUEST_RIP), 0); /* with the next ones */
	check("a fresh region: exit reason", vmx_read(VMCS_EXIT_REASON), 0);
	check("a fresh region: qualification", vmx_read(VMCS_QUALIFICATION), 0);
	check("a fresh region: information", vmx_read(VMCS_EXIT_EVENT) | vmx_read(VMCS_VECTORING), 0);
	encodings();
	operands();
	errors();
	high_halves();
	no_current();
	launch_state();
	related();
	store();
}
