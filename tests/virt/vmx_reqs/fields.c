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
	{VMCS_PIN, 4}, {VMCS_PROC, 4}, {VMCS_EXCEPTIONS, 4}, {VMCS_PF_MASK, 4}, {VMCS_PF_MATCH, 4}, {VMCS_CR3_COUNT, 4}, {VMCS_TPR_THRESHOLD, 4},
	{VMCS_IO_A, 8}, {VMCS_IO_B, 8}, {VMCS_TSC_OFFSET, 8}, {VMCS_VAPIC, 8},
	{VMCS_CR0_MASK, 8}, {VMCS_CR4_MASK, 8}, {VMCS_CR0_SHADOW, 8}, {VMCS_CR4_SHADOW, 8}, {VMCS_CR3_TARGET0, 8}, {VMCS_CR3_TARGET1, 8}, {VMCS_CR3_TARGET2, 8}, {VMCS_CR3_TARGET3, 8},
	{VMCS_EXIT_CONTROLS, 4}, {VMCS_STORE_COUNT, 4}, {VMCS_LOAD_COUNT, 4}, {VMCS_STORE_ADDR, 8}, {VMCS_LOAD_ADDR, 8},
	{VMCS_ENTRY_CONTROLS, 4}, {VMCS_ENTRY_LOAD_COUNT, 4}, {VMCS_ENTRY_EVENT, 4}, {VMCS_ENTRY_ERROR, 4}, {VMCS_ENTRY_LOAD_ADDR, 8},
	{VMCS_EXIT_REASON, 4}, {VMCS_QUALIFICATION, 8}, {VMCS_EXIT_EVENT, 4}, {VMCS_EXIT_ERROR, 4}, {VMCS_VECTORING, 4}, {VMCS_VECTORING_ERROR, 4}, {VMCS_EXIT_LENGTH, 4}, {VMCS_GUEST_LINEAR, 8},
	{VMCS_INFO, 4}, {VMCS_IO_RCX, 8}, {VMCS_IO_RSI, 8}, {VMCS_IO_RDI, 8}, {VMCS_IO_RIP, 8}, {VMCS_GUEST_PHYSICAL, 8},
	{VMCS_GUEST_INTERRUPTIBILITY, 4},
	/* the bases of CS, SS, DS and ES */
	{VMCS_GUEST_ES_BASE, 8}, {VMCS_GUEST_CS_BASE, 8}, {VMCS_GUEST_SS_BASE, 8}, {VMCS_GUEST_DS_BASE, 8},
	{VMCS_GUEST_ES, 2}, {VMCS_GUEST_CS, 2}, {VMCS_GUEST_SS, 2}, {VMCS_GUEST_DS, 2}, {VMCS_GUEST_FS, 2}, {VMCS_GUEST_GS, 2}, {VMCS_GUEST_LDTR, 2}, {VMCS_GUEST_TR, 2},
	{VMCS_HOST_ES, 2}, {VMCS_HOST_CS, 2}, {VMCS_HOST_SS, 2}, {VMCS_HOST_DS, 2}, {VMCS_HOST_FS, 2}, {VMCS_HOST_GS, 2}, {VMCS_HOST_TR, 2},
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
	vmx_write(VMCS_PIN, 0x16);
	asm volatile("vmread %1, %0" : "=m"(memory[0]) : "r"(0x4000ull) : "cc");
	check(REQ("vmx04.VMREAD.15 sdm30.9") "VMREAD to memory: 8 bytes, the high ones 0", memory[0], 0x16);
	check("VMREAD to memory: no more", memory[1], ~0ull);
	check(REQ("vmx04.VMREAD.2") "VMREAD without REX.W: 64 bits", (vmx_write(VMCS_GUEST_RSP, PATTERN), full_read(VMCS_GUEST_RSP, &v), v), PATTERN);
	memory[0] = PATTERN + 9;
	asm volatile("vmwrite %0, %1" ::"m"(memory[0]), "r"(0x681cull) : "cc");
	check(REQ("vmx04.VMWRITE.2 sdm30.10") "VMWRITE from memory: 8 bytes", vmx_read(VMCS_GUEST_RSP), PATTERN + 9);
	check("VMWRITE from a register", full_write(&e, PATTERN + 10), CLEAR);
	check("value", vmx_read(VMCS_GUEST_RSP), PATTERN + 10);
	check(REQ("vmx04.VMWRITE.15") "the encoding register is only read", e, 0x681c);
}

static void errors(void)
{
	u64 v = 0x1234, e = 1ull << 32 | 0x681c;

	vmx_write(VMCS_GUEST_RSP, 77);
	check(REQ("vmx04.VMREAD.10 vmx04.2.8.0.2.now") "VMREAD of no field", full_read(0x3ffe, &v), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("destination unchanged", v, 0x1234);
	vmx_write(VMCS_ERROR, 0);
	check(REQ("vmx04.VMREAD.14") "VMREAD, encoding bits 63:32", full_read(1ull << 32 | 0x681c, &v), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("destination unchanged", v, 0x1234);
	vmx_write(VMCS_ERROR, 0);
	check(REQ("vmx04.VMWRITE.13") "VMWRITE, encoding bits 63:32", full_write(&e, 5), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check("no field written", vmx_read(VMCS_GUEST_RSP), 77);
	e = 0x3ffe;
	vmx_write(VMCS_ERROR, 0);
	check(REQ("vmx04.VMWRITE.8") "VMWRITE of no field", full_write(&e, 5), FAIL_VALID);
	check("error 12", vmx_read(VMCS_ERROR), 12);
	check(REQ("vmx04.2.8.0.2.now") "VMsucceed leaves the error", full_read(VMCS_GUEST_RSP, &v) == CLEAR && vmx_read(VMCS_ERROR) == 12, 1);
	if (rdmsr(MSR_VMX_MISC) >> 29 & 1) {
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

	vmx_write(VMCS_TSC_OFFSET, PATTERN);
	check(REQ("vmx04.VMREAD.16.now") "VMREAD, high access", vmx_read(VMCS_TSC_OFFSET + 1), PATTERN >> 32);
	vmx_write(VMCS_TSC_OFFSET + 1, 0x7777777712345678);
	check(REQ("vmx04.VMWRITE.16.now") "VMWRITE, high access: source bits 31:0", vmx_read(VMCS_TSC_OFFSET), 0x12345678ccddeeff);
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
	check(REQ("vmx04.VMREAD.9") "VMREAD without a current VMCS", full_read(VMCS_GUEST_RSP, &v), FAIL_INVALID);
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
	static const u32 address[] = {VMCS_IO_A, VMCS_IO_B, VMCS_MSR_BITMAP, VMCS_STORE_ADDR, VMCS_LOAD_ADDR, VMCS_ENTRY_LOAD_ADDR, VMCS_VAPIC};
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
