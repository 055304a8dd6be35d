/*
 * How long the locks of system-management mode last: INIT leaves them, a reset and S3 do not, and firmware has the machine in
 * ACPI mode again behind both. What is in SMRAM stays, as all of DRAM does that nobody clears. Which start this is, the
 * CMOS knows.
 */
#include "comeback.h"

enum { LPC = 0x1f << 3, SMRAM = 0x9d, ESMRAMC = 0x9e, GEN_PMCON_1 = 0xa0, GEN_PMCON_3 = 0xa4, BIOS_CNTL = 0xdc };
enum { G_SMRAME = 8, D_LCK = 0x10, D_OPEN = 0x40, T_EN = 1, SMI_LOCK = 0x10, BLE = 2, RATE = 0xc0 };
enum { PM1_CNT = 0x604, SMI_EN = 0x630, SMI_STS = 0x634, APM_CNT = 0xb2 };
enum { SCI_EN = 1, GBL = 1, BIOS = 4 };
enum { STAGE_AT = 0x7e, FAILED_AT = 0x7f, STAGE = 0xa0, MARK = 0x5a, SECRET = 0xa1234 };

static u8 get(unsigned fn, unsigned reg)
{
	outl(0xcf8, 0x80000000u | fn << 8 | (reg & 0xfc));
	return inb((u16)(0xcfc + (reg & 3)));
}

static void put(unsigned fn, unsigned reg, u8 v)
{
	outl(0xcf8, 0x80000000u | fn << 8 | (reg & 0xfc));
	outb((u16)(0xcfc + (reg & 3)), v);
}

static void lock(void)
{
	put(0, SMRAM, G_SMRAME | D_OPEN);
	*(volatile u8 *)at(SECRET) = MARK;
	put(0, ESMRAMC, T_EN);
	put(0, SMRAM, G_SMRAME | D_LCK);
	outl(SMI_EN, GBL | BIOS);
	put(LPC, GEN_PMCON_1, SMI_LOCK | 1);
	put(LPC, GEN_PMCON_3, RATE);
	put(LPC, BIOS_CNTL, BLE);
	outb(APM_CNT, 0x33);
}

static void expect_locked(void)
{
	put(0, SMRAM, G_SMRAME | D_OPEN);
	put(0, ESMRAMC, 0);
	outl(SMI_EN, BIOS);
	put(LPC, GEN_PMCON_1, 0);
	put(LPC, BIOS_CNTL, 0);
	CHECK("locked: SMRAM", get(0, SMRAM), G_SMRAME | D_LCK | 2);
	CHECK("locked: ESMRAMC", get(0, ESMRAMC), T_EN | 0x38);
	CHECK("locked: not seen", *(volatile u8 *)at(SECRET), 0xff);
	CHECK("locked: GBL_SMI_EN", inl(SMI_EN), GBL | BIOS);
	CHECK("locked: SMI_LOCK", get(LPC, GEN_PMCON_1) & SMI_LOCK, SMI_LOCK);
	CHECK("locked: BLE", get(LPC, BIOS_CNTL), BLE);
	CHECK("locked: APM_CNT", inb(APM_CNT), 0x33);
}

static void expect_open(void)
{
	CHECK("open: SMRAM", get(0, SMRAM), 2);
	CHECK("open: ESMRAMC", get(0, ESMRAMC), 0x38);
	CHECK("open: SMI_EN", inl(SMI_EN), 0);
	CHECK("open: SMI_STS", inl(SMI_STS), 0);
	CHECK("open: GEN_PMCON_1", get(LPC, GEN_PMCON_1), 0);
	CHECK("open: the RTC well", get(LPC, GEN_PMCON_3), RATE);
	CHECK("open: BIOS_CNTL", get(LPC, BIOS_CNTL), 0);
	CHECK("open: APM_CNT", inb(APM_CNT), 0);
	CHECK("open: ACPI mode", inw(PM1_CNT) & SCI_EN, SCI_EN);
	put(0, SMRAM, G_SMRAME | D_OPEN);
	CHECK("open: what is in SMRAM", *(volatile u8 *)at(SECRET), MARK);
	put(0, SMRAM, 0);
}

static __attribute__((noreturn)) void next_stage(u8 stage, void (*way)(void))
{
	lock();
	expect_locked();
	(void)keep_memory(); /* where there is no northbridge nothing clears it */
	set_cmos(STAGE_AT, stage);
	set_cmos(FAILED_AT, (u8)failed);
	way();
	for (;;)
		asm volatile("hlt");
}

static void by_cf9(void)
{
	outb(0xcf9, 2);
	outb(0xcf9, 6);
}

int main(void)
{
	u8 stage = cmos(STAGE_AT);

	if (stage == STAGE || stage == STAGE + 1) {
		failed = cmos(FAILED_AT);
		expect_open();
	}
	if (stage == STAGE)
		next_stage(STAGE + 1, by_sleep);
	if (stage == STAGE + 1) {
		check("what failed before", failed, 0);
		return guest_verdict();
	}
	comeback_prepare();
	lock();
	expect_locked();
	come_back_by(0x0a, COMEBACK >> 4 << 16);
	leave_by(by_keyboard);
	expect_locked(); /* INIT is the processor's alone */
	next_stage(STAGE, by_cf9);
}
