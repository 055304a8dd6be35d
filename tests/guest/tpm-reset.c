/*
 * A reset of the platform and the TPM (--tpm): "TPM_ACCESS_x", "TPM_INT_ENABLE_x" and the others are as at power-on, and
 * firmware has started it again and written its log anew, with nothing of an older one behind it. PC Client Platform
 * Firmware Profile, "Event Logging". Which start this is, the CMOS knows.
 */
#include "comeback.h"

#define TIS     0xfed40000ull
#define LOG     0xe0000ull
#define LOG_END 0xf0000ull
enum { ACCESS = 0, INT_ENABLE = 8, INT_VECTOR = 0xc, INT_STATUS = 0x10, STS = 0x18, FIFO = 0x24, LOCALITY = 0x1000 };
enum { MARK_AT = 0x7f, MARK = 0x54, EV_NO_ACTION = 3 };

static u32 word(u64 a)
{
	u32 v;

	memcpy(&v, at(a), 4);
	return v;
}

/* Behind the log's last event; 0: it is none. */
static u64 log_end(unsigned *events)
{
	static const u8 size_of[] = {[4] = 20, [0xb] = 32, [0xc] = 48, [0xd] = 64};
	u64 p = LOG + 32 + word(LOG + 28);

	*events = 0;
	if (word(LOG) != 0 || word(LOG + 4) != EV_NO_ACTION || memcmp(at(LOG + 32), "Spec ID Event03", 16))
		return 0;
	while (p + 12 < LOG_END && word(p + 4)) { /* no event is of type 0 */
		u32 digests = word(p + 8);
		for (p += 12; digests && p < LOG_END; digests--) {
			u32 alg = word(p) & 0xffff;
			if (alg >= sizeof(size_of) || !size_of[alg])
				return 0;
			p += 2 + size_of[alg];
		}
		p += 4 + word(p);
		++*events;
	}
	return p;
}

static void first(void)
{
	unsigned events;
	u64 end = log_end(&events);

	for (u64 p = end; end && p < LOG_END; p++)
		*at(p) = 0xaa;
	*at(TIS + 2 * LOCALITY + ACCESS) = 2;
	*at(TIS + 3 * LOCALITY + ACCESS) = 2;
	*at(TIS + 2 * LOCALITY + INT_VECTOR) = 6;
	mmio_write(TIS + 2 * LOCALITY + INT_ENABLE, 1u << 31 | 0x87);
	*at(TIS + 2 * LOCALITY + STS) = 0x40;
	while (!(*(volatile u8 *)at(TIS + 2 * LOCALITY + STS) & 0x40))
		;
	*at(TIS + 2 * LOCALITY + FIFO) = 0x80;
	set_cmos(MARK_AT, MARK);
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	for (;;)
		asm volatile("hlt");
}

int main(void)
{
	unsigned events, behind = 0;

	if (cmos(MARK_AT) != MARK)
		first();
	for (unsigned l = 0; l < 4; l++)
		check("nobody is active, waits, or was seized from", *at(TIS + l * LOCALITY + ACCESS), 0x81);
	check("interrupts are off", mmio_read(TIS + INT_ENABLE), 8);
	check("routed nowhere", *at(TIS + INT_VECTOR), 0);
	check("none occurred", mmio_read(TIS + INT_STATUS), 0);
	*at(TIS + ACCESS) = 2;
	check("it is idle", mmio_read(TIS + STS) & 0xfffff8, 0x80);
	u64 end = log_end(&events);
	check("a log", end != 0, true);
	check("of version, separators, command line, kernel", events, 11);
	for (u64 p = end; end && p < LOG_END; p++)
		behind += *at(p) != 0;
	check("nothing behind it", behind, 0);
	return guest_verdict();
}
