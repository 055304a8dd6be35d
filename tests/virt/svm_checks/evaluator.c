/*
 * The consistency checks of VMRUN once more,
 	by a different route: the list of "Canonicalization and Consistency Checks"
 * read line by line over the bytes of the page, every bit looked at by its number. Nothing of src/svm is used.
 */
#include <stddef.h>

#include "checks_test.h"

enum {
	SVME, EFER_MBZ, NO_LM, LME_PAE, LME_PE, L_AND_D, NW, CR0_HIGH, CR3_MBZ, CR4_MBZ, PDPE, DR6_HIGH, DR7_HIGH,
		VMRUN_CLEAR,
	SMI_CLEAR, ASID0, ASID_MANY, IOPM, MSRPM, NP_HOST, NCR3, GPAT, VNMI, X2_ALONE, MAX_INDEX, POINTER, INJ_TYPE,
	INJ_VECTOR, INJ_MODE, IDS,
};
static const char *const names[IDS] = {
	[SVME] = "svm.guest.efer.svme", [EFER_MBZ] = "svm.guest.efer.reserved", [NO_LM] = "svm.guest.efer.no-long-mode",
	[LME_PAE] = "svm.guest.cr4.pae-long", [LME_PE] = "svm.guest.cr0.pe-long", [L_AND_D] = "svm.guest.cs.l-and-d",
	[NW] = "svm.guest.cr0.nw-cd", [CR0_HIGH] = "svm.guest.cr0.upper", [CR3_MBZ] = "svm.guest.cr3.reserved",
	[CR4_MBZ] = "svm.guest.cr4.reserved", [PDPE] = "svm.guest.pdpte.reserved", [DR6_HIGH] = "svm.guest.dr6.upper",
	[DR7_HIGH] = "svm.guest.dr7.upper", [VMRUN_CLEAR] = "svm.control.vmrun-intercept",
	[SMI_CLEAR] = "svm.control.smi-intercept", [ASID0] = "svm.control.asid-zero",
	[ASID_MANY] = "svm.control.asid-range", [IOPM] = "svm.control.iopm-address",
		[MSRPM] = "svm.control.msrpm-address",
	[NP_HOST] = "svm.nested.host-paging", [NCR3] = "svm.nested.ncr3-reserved", [GPAT] = "svm.nested.g-pat",
	[VNMI] = "svm.control.vnmi-nmi-intercept", [X2_ALONE] = "svm.avic.x2avic-alone",
	[MAX_INDEX] = "svm.avic.max-index", [POINTER] = "svm.avic.pointer", [INJ_TYPE] = "svm.inject.type",
	[INJ_VECTOR] = "svm.inject.vector", [INJ_MODE] = "svm.inject.mode",
};

const char *id_name(unsigned n)
{
	return n < IDS ? names[n] : NULL;
}

static int bit(const uint8_t *page, unsigned offset, unsigned n)
{
	return page[offset + n / 8] >> n % 8 & 1;
}

static uint64_t number(const uint8_t *page, unsigned offset, unsigned hi, unsigned lo)
{
	uint64_t v = 0;

	for (unsigned n = hi + 1; n-- > lo;)
		v = v * 2 + (uint64_t)bit(page, offset, n);
	return v;
}

static int any(const uint8_t *page, unsigned offset, unsigned hi, unsigned lo)
{
	for (unsigned n = lo; n <= hi; n++)
		if (bit(page, offset, n))
			return 1;
	return 0;
}

static int any_undefined(const uint8_t *page, unsigned offset, uint64_t defined)
{
	for (unsigned n = 0; n < 64; n++)
		if (bit(page, offset, n) && !(defined >> n & 1))
			return 1;
	return 0;
}

/* The last byte of a map that begins in the page of the field, or the sum, does not fit the physical address. */
static int map_beyond(const uint8_t *page, unsigned offset, uint64_t last, const struct facts *f)
{
	uint64_t first_page = number(page, offset, 63, 12), pages = 1ull << (f->phys_bits - 12);

	return first_page >= pages || first_page + last / 4096 >= pages;
}

static uint64_t registers(const uint8_t *p, const struct facts *f)
{
	const unsigned EFER = 0x4d0, CR4 = 0x548, CR3 = 0x550, CR0 = 0x558, DR7 = 0x560, DR6 = 0x568, CS = 0x412;
	int lme_pg = bit(p, EFER, 8) && bit(p, CR0, 31), bad_pdpe = 0;
	uint64_t r = 0;

	r |= (uint64_t)!bit(p, EFER, 12) << SVME;
	r |= (uint64_t)any_undefined(p, EFER, f->efer_defined | 1 << 8 | 1 << 10) << EFER_MBZ;
	r |= (uint64_t)(!f->has_long_mode && (bit(p, EFER, 8) || bit(p, EFER, 10))) << NO_LM;
	r |= (uint64_t)(lme_pg && !bit(p, CR4, 5)) << LME_PAE;
	r |= (uint64_t)(lme_pg && !bit(p, CR0, 0)) << LME_PE;
	r |= (uint64_t)(lme_pg && bit(p, CR4, 5) && bit(p, CS, 9) && bit(p, CS, 10)) << L_AND_D;
	r |= (uint64_t)(bit(p, CR0, 29) && !bit(p, CR0, 30)) << NW;
	r |= (uint64_t)any(p, CR0, 63, 32) << CR0_HIGH;
	r |= (uint64_t)any(p, CR3, 63, f->phys_bits) << CR3_MBZ;
	r |= (uint64_t)any_undefined(p, CR4, f->cr4_defined) << CR4_MBZ;
	r |= (uint64_t)any(p, DR6, 63, 32) << DR6_HIGH;
	r |= (uint64_t)any(p, DR7, 63, 32) << DR7_HIGH;

	for (unsigned k = 0; k < 4; k++)
		for (unsigned n = 1; n < 64; n++)
			if ((f->pdpe[k] & 1) && (f->pdpe[k] >> n & 1) &&
			    (n <= 2 || (n >= 5 && n <= 8) || n >= f->phys_bits))
				bad_pdpe = 1;
	r |= (uint64_t)(bad_pdpe && bit(p, CR0, 31) && bit(p, CR4, 5) && !bit(p, EFER, 8) &&
	                !(f->has_np && bit(p, 0x90, 0)))
	     << PDPE;
	return r;
}

static uint64_t controls(const uint8_t *p, const struct facts *f)
{
	uint64_t r = 0, asid = number(p, 0x58, 31, 0);

	r |= (uint64_t)!bit(p, 0x10, 0) << VMRUN_CLEAR;
	r |= (uint64_t)(f->of_2005 && !bit(p, 0x0c, 2)) << SMI_CLEAR;
	r |= (uint64_t)(f->has_vnmi && bit(p, 0x60, 26) && !bit(p, 0x0c, 1)) << VNMI;
	r |= (uint64_t)(asid == 0) << ASID0;
	r |= (uint64_t)(asid > f->asids - 1) << ASID_MANY;
	r |= (uint64_t)map_beyond(p, 0x40, 0x2000, f) << IOPM;
	r |= (uint64_t)map_beyond(p, 0x48, 0x1fff, f) << MSRPM;
	return r;
}

static uint64_t paging(const uint8_t *p, const struct facts *f)
{
	uint64_t r = 0;

	if (!f->has_np || !bit(p, 0x90, 0))
		return 0;
	r |= (uint64_t)!f->host_paging << NP_HOST;
	r |= (uint64_t)any(p, 0xb0, 63, f->phys_bits) << NCR3;
	for (unsigned n = 0; n < 8; n++)
		switch (p[0x668 + n]) {
		case 0: case 1: case 4: case 5: case 6: case 7: break;
		default: r |= 1ull << GPAT;
		}
	return r;
}

static uint64_t avic(const uint8_t *p, const struct facts *f)
{
	int on = f->has_avic && bit(p, 0x60, 31) && f->has_np && bit(p, 0x90, 0);
	int x2 = f->has_x2avic && bit(p, 0x60, 30);
	uint64_t r = 0;

	r |= (uint64_t)(x2 && !bit(p, 0x60, 31)) << X2_ALONE;
	if (!on)
		return r;
	r |= (uint64_t)(number(p, 0xf8, 11, 0) >= (x2 ? 512 : 256)) << MAX_INDEX;
	if (f->phys_bits < 52) {
		r |= (uint64_t)any(p, 0xe0, 51, f->phys_bits) << POINTER;
		r |= (uint64_t)any(p, 0xf8, 51, f->phys_bits) << POINTER;
		r |= (uint64_t)(!x2 && any(p, 0xf0, 51, f->phys_bits)) << POINTER;
	}
	return r;
}

/* The exceptions there are, by name: DE DB, BP OF BR UD NM DF, TS NP SS GP PF, MF AC MC XF, SX; today also HV. */
static int is_exception(unsigned v, const struct facts *f)
{
	switch (v) {
	case 0: case 1: case 3: case 4: case 5: case 6: case 7: case 8: case 10: case 11: case 12: case 13:
	case 14: case 16:
	case 17: case 18: case 19: case 30: return 1;
	case 28: return !f->of_2005;
	default: return 0;
	}
}

static uint64_t injection(const uint8_t *p, const struct facts *f)
{
	uint64_t r = 0;
	unsigned vector = p[0xa8], type = (unsigned)number(p, 0xa8, 10, 8);
	int code64 = bit(p, 0x4d0, 8) && bit(p, 0x558, 31) && bit(p, 0x412, 9);

	if (!bit(p, 0xa8, 31))
		return 0;
	if (type == 1 || type > 4)
		r |= 1ull << INJ_TYPE;
	if (type == 3) {
		r |= (uint64_t)!is_exception(vector, f) << INJ_VECTOR;
		r |= (uint64_t)(code64 && (vector == 4 || vector == 5)) << INJ_MODE;
	}
	return r;
}

uint64_t evaluate(const uint8_t page[4096], const struct facts *f)
{
	return registers(page, f) | controls(page, f) | paging(page, f) | avic(page, f) | injection(page, f);
}
