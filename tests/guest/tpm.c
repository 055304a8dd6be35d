/*
 * The TPM's registers by hand (--tpm): TCG PC Client Specific TPM Interface Specification 1.3 and PC Client Platform TPM
 * Profile, "FIFO Interface", section by section. Commands and answers: Trusted Platform Module Library, Part 3.
 */
#include "t64.h"

#define TIS    0xfed40000ull
#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

enum {
	ACCESS = 0, INT_ENABLE = 8, INT_VECTOR = 0xc, INT_STATUS = 0x10, CAPABILITY = 0x14, STS = 0x18, HASH_END = 0x20, FIFO = 0x24,
	HASH_START = 0x28, INTERFACE_ID = 0x30, XFIFO = 0x80, DID_VID = 0xf00, RID = 0xf04,
};
/* TPM_ACCESS: valid, active, seized, seize, pending, request, establishment (1: none) */
enum { A_IDLE = 0x81, A_ACTIVE = 0x20, A_SEIZED = 0x10, A_SEIZE = 0x08, A_PENDING = 0x04, A_REQUEST = 0x02 };
/* TPM_STS: what the low byte says */
enum { S_VALID = 0x80, S_READY = 0x40, S_GO = 0x20, S_AVAIL = 0x10, S_EXPECT = 0x08, S_TESTED = 0x04, S_RETRY = 0x02, S_ALL = 0xfb };
#define S_CANCEL (1u << 24)
#define S_UNESTABLISH (1u << 25)
enum { I_AVAIL = 1, I_VALID = 2, I_LOCALITY = 4, I_READY = 0x80 };
#define I_GLOBAL (1u << 31)

static u64 at(unsigned locality, unsigned offset)
{
	return TIS + ((u64)locality << 12) + offset;
}
static u8 get8(unsigned l, unsigned o)
{
	return *(volatile u8 *)at(l, o);
}
static u16 get16(unsigned l, unsigned o)
{
	return *(volatile u16 *)at(l, o);
}
static u32 get32(unsigned l, unsigned o)
{
	return *(volatile u32 *)at(l, o);
}
static u64 get64(unsigned l, unsigned o)
{
	return *(volatile u64 *)at(l, o);
}
static void put8(unsigned l, unsigned o, u8 v)
{
	*(volatile u8 *)at(l, o) = v;
}
static void put16(unsigned l, unsigned o, u16 v)
{
	*(volatile u16 *)at(l, o) = v;
}
static void put32(unsigned l, unsigned o, u32 v)
{
	*(volatile u32 *)at(l, o) = v;
}
static void put64(unsigned l, unsigned o, u64 v)
{
	*(volatile u64 *)at(l, o) = v;
}

static u8 status(unsigned l)
{
	return get8(l, STS);
}
static unsigned burst(unsigned l)
{
	return get32(l, STS) >> 8 & 0xffff;
}

/* Until the bits of mask are `want`, for a second of the machine's time. */
static bool until(unsigned l, u8 mask, u8 want)
{
	for (u64 start = rdtsc(); rdtsc() - start < 1000000000;)
		if ((status(l) & mask) == want)
			return true;
	return false;
}

static void wait_ns(u64 ns)
{
	for (u64 start = rdtsc(); rdtsc() - start < ns;)
		;
}

/* ---- commands ---- */

static const u8 get_random_16[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16};
static const u8 startup_clear[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};
/* GetCapability(TPM_CAP_ALGS, 1, 32): its answer has 19 + 6 n bytes */
static const u8 get_algorithms[] = {0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 32};
static const u8 self_test[] = {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1};
static u8 answer[4096];
static u32 answer_size;

static u32 be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static void send(unsigned l, const u8 *c, u32 n)
{
	if (!(status(l) & S_READY))
		put8(l, STS, S_READY);
	until(l, S_VALID | S_READY, S_VALID | S_READY);
	for (u32 i = 0; i < n; i++)
		put8(l, FIFO, c[i]);
	until(l, S_VALID | S_EXPECT, S_VALID);
}

static void read_answer(unsigned l)
{
	answer_size = 0;
	while ((status(l) & S_AVAIL) && answer_size < sizeof(answer)) {
		unsigned n = burst(l);
		while (n--)
			answer[answer_size++] = get8(l, FIFO);
		until(l, S_VALID, S_VALID);
	}
}

/* A whole command at a locality that is active; the response code. */
static u32 ask(unsigned l, const u8 *c, u32 n)
{
	send(l, c, n);
	put8(l, STS, S_GO);
	if (!until(l, S_VALID | S_AVAIL, S_VALID | S_AVAIL))
		return 0xffffffff;
	read_answer(l);
	put8(l, STS, S_READY); /* idle */
	return be32(answer + 6);
}

/* TPM2_PCR_Extend of the SHA-256 bank with 32 bytes of `fill`; TPM2_PCR_Reset. An empty password each. */
static u32 make_extend(u8 *c, unsigned pcr, u8 fill)
{
	static const u8 head[] = {0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 0, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xb};

	memcpy(c, head, sizeof(head));
	c[13] = (u8)pcr;
	memset(c + sizeof(head), fill, 32);
	return sizeof(head) + 32;
}

static u32 extend(unsigned l, unsigned pcr, u8 fill)
{
	u8 c[80];

	return ask(l, c, make_extend(c, pcr, fill));
}

static u32 reset_pcr(unsigned l, unsigned pcr)
{
	u8 c[] = {0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x3d, 0, 0, 0, (u8)pcr, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0};

	return ask(l, c, sizeof(c));
}

/* TPM2_PCR_Read of one PCR of the SHA-256 bank; its value is the answer's last 32 bytes. */
static const u8 *pcr(unsigned l, unsigned n)
{
	u8 c[] = {0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 0xb, 3, 0, 0, 0};

	c[17 + n / 8] = (u8)(1 << n % 8);
	ask(l, c, sizeof(c));
	return answer + answer_size - 32;
}

static bool all(const u8 *p, unsigned n, u8 v)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i] != v)
			return false;
	return true;
}

static void release(unsigned l)
{
	put8(l, ACCESS, A_ACTIVE);
}
static void request(unsigned l)
{
	put8(l, ACCESS, A_REQUEST);
}

/* ---- "Interface Identifier Register", "Interface Capability", "DID/VID", "RID" ---- */

static void identification(void)
{
	u32 cap = get32(0, CAPABILITY), id = get32(0, INTERFACE_ID), vendor = get32(0, DID_VID);

	check("all interrupts, level low among the polarities", cap & 0xff, 0xff);
	check("burst counts vary", cap & 0x100, 0);
	check("transfers of 64 bytes", cap >> 9 & 3, 3);
	check("interface version: TIS 1.3, TPM 2.0", cap >> 28 & 7, 3);
	check("reserved bits", cap & 0x8ffff800, 0);
	check("interface type and version: FIFO", id & 0xff, 0);
	check("five localities", id & 0x100, 0x100);
	check("FIFO and no CRB", id & 0x6000, 0x2000);
	check("the selector is at FIFO", id & 0x60000, 0);
	check("the upper half: vendor and device", get32(0, INTERFACE_ID + 4), vendor);
	check("revision", get8(0, RID), id >> 24);
	for (unsigned l = 0; l < 4; l++) {
		check("every locality has them", get32(l, DID_VID), vendor);
		check("every locality has them", get32(l, CAPABILITY), cap);
	}
	for (unsigned i = 0; i < 4; i++)
		check("by bytes", get8(2, DID_VID + i), vendor >> 8 * i & 0xff);
	check("by words", get16(3, DID_VID) | (u32)get16(3, DID_VID + 2) << 16, vendor);
	check("eight bytes at once", get64(0, INTERFACE_ID), (u64)vendor << 32 | id);
	put32(0, DID_VID, 0);
	put32(0, CAPABILITY, 0);
	put32(0, INTERFACE_ID, 0);
	check("read-only", get32(0, DID_VID) == vendor && get32(0, CAPABILITY) == cap && get32(0, INTERFACE_ID) == id, true);
	static const u16 reserved[] = {4, 0x1c, 0x20, 0x28, 0x2c, 0x38, 0x7c, 0xc0, 0xefc, 0xf08, 0xffc};
	for (unsigned i = 0; i < sizeof(reserved) / 2; i++)
		check("reserved: ones", get32(0, reserved[i]), 0xffffffff);
}

/* ---- "Access Register" ---- */

static void requests(void)
{
	for (unsigned l = 0; l < 4; l++)
		check("nobody is active", get8(l, ACCESS), A_IDLE);
	request(0);
	check("granted at once", get8(0, ACCESS), A_IDLE | A_ACTIVE);
	request(0);
	check("it is there already", get8(0, ACCESS), A_IDLE | A_ACTIVE);
	request(1);
	check("1 has to wait", get8(1, ACCESS), A_IDLE | A_REQUEST);
	check("0 sees that somebody waits", get8(0, ACCESS), A_IDLE | A_ACTIVE | A_PENDING);
	check("so does 2", get8(2, ACCESS), A_IDLE | A_PENDING);
	release(1);
	check("1 takes it back", get8(1, ACCESS), A_IDLE);
	check("nobody waits", get8(0, ACCESS), A_IDLE | A_ACTIVE);
	request(1);
	request(3);
	request(2);
	release(0);
	check("the highest is next", get8(3, ACCESS), A_IDLE | A_ACTIVE | A_PENDING);
	check("0 has lost it", get8(0, ACCESS), A_IDLE | A_PENDING);
	check("2 waits on", get8(2, ACCESS), A_IDLE | A_REQUEST | A_PENDING);
	release(3);
	check("then 2", get8(2, ACCESS), A_IDLE | A_ACTIVE | A_PENDING);
	release(2);
	check("then 1", get8(1, ACCESS), A_IDLE | A_ACTIVE);
	release(2);
	release(0);
	check("others cannot release it", get8(1, ACCESS), A_IDLE | A_ACTIVE);
	put8(0, ACCESS, A_REQUEST | A_SEIZED);
	check("more than one bit: nothing", get8(0, ACCESS), A_IDLE);
	put8(1, ACCESS, A_ACTIVE | A_REQUEST);
	check("more than one bit: nothing", get8(1, ACCESS), A_IDLE | A_ACTIVE);
	put8(0, ACCESS + 1, A_REQUEST);
	check("the bytes behind it are not it", get8(0, ACCESS), A_IDLE);
	put32(0, ACCESS, A_REQUEST);
	check("a doubleword's first byte is", get32(0, ACCESS), 0xffffff00 | A_IDLE | A_REQUEST);
	put16(0, ACCESS, A_ACTIVE);
	check("a word's, too", get16(0, ACCESS), 0xff00 | A_IDLE);
	release(1);
}

static void seizing(void)
{
	request(1);
	put8(0, ACCESS, A_SEIZE);
	check("a lower locality cannot", get8(1, ACCESS), A_IDLE | A_ACTIVE);
	put8(1, ACCESS, A_SEIZE);
	check("nor the same", get8(1, ACCESS), A_IDLE | A_ACTIVE);
	request(2);
	put8(3, ACCESS, A_SEIZE);
	check("a higher one can", get8(3, ACCESS), A_IDLE | A_ACTIVE | A_PENDING);
	check("1 was seized from", get8(1, ACCESS), A_IDLE | A_SEIZED | A_PENDING);
	check("2 waits on", get8(2, ACCESS), A_IDLE | A_REQUEST);
	put8(0, ACCESS, A_SEIZED);
	check("others do not clear it", get8(1, ACCESS) & A_SEIZED, A_SEIZED);
	put8(1, ACCESS, A_SEIZED);
	check("written 1, it is clear", get8(1, ACCESS), A_IDLE | A_PENDING);
	release(3);
	check("2 was next", get8(2, ACCESS), A_IDLE | A_ACTIVE);
	release(2);
	put8(0, ACCESS, A_SEIZE);
	check("nobody had it: it is granted", get8(0, ACCESS), A_IDLE | A_ACTIVE);
	check("from nobody", get8(1, ACCESS) | get8(2, ACCESS) | get8(3, ACCESS), A_IDLE);
	release(0);
}

static void others(void)
{
	request(0);
	check("STS of others reads ones", get32(1, STS), 0xffffffff);
	check("byte-wise", get8(2, STS + 1), 0xff);
	check("so does their FIFO", get32(1, FIFO), 0xffffffff);
	check("and the wide one", get64(3, XFIFO), ~0ull);
	put8(1, STS, S_READY);
	wait_ns(100000);
	check("they cannot make it ready", status(0) & S_READY, 0);
	put32(1, INT_ENABLE, I_GLOBAL | 0x87);
	put8(1, INT_VECTOR, 6);
	check("nor enable interrupts", get32(0, INT_ENABLE), 8);
	check("nor route them", get8(0, INT_VECTOR), 0);
	put32(0, INT_ENABLE, 0x87);
	check("there is one set of these registers", get32(2, INT_ENABLE), 0x87);
	put32(0, INT_ENABLE, 8);
	release(0);
}

/* ---- "Status Register", "TPM State Diagram" ---- */

static void states(void)
{
	request(0);
	check("idle: TPM 2.0, tested, valid, nothing else", get32(0, STS), 1u << 26 | S_VALID | S_TESTED);
	put8(0, FIFO, 0x80);
	put8(0, STS, S_GO);
	put8(0, STS, S_RETRY);
	check("idle: FIFO, go and retry do nothing", get32(0, STS), 1u << 26 | S_VALID | S_TESTED);
	check("idle: nothing to read", get8(0, FIFO), 0xff);
	put8(0, STS, S_READY | S_RETRY);
	wait_ns(100000);
	check("two commands at once: neither", status(0) & S_READY, 0);
	put8(0, STS, S_READY);
	check("ready in a while", until(0, S_VALID | S_READY, S_VALID | S_READY), true);
	check("ready: a burst of 64", burst(0), 64);
	put8(0, STS, S_READY);
	put8(0, STS, S_GO);
	put8(0, STS, S_RETRY);
	check("ready: stays so", status(0), S_VALID | S_READY | S_TESTED);
	put8(0, FIFO, get_random_16[0]);
	check("reception: it expects more", status(0), S_VALID | S_EXPECT | S_TESTED);
	check("one byte of the burst is gone", burst(0), 63);
	put8(0, STS, S_GO);
	put8(0, STS, S_RETRY);
	check("go is too early", status(0), S_VALID | S_EXPECT | S_TESTED);
	check("nothing to read", get8(0, FIFO), 0xff);
	for (unsigned i = 1; i < 12; i++)
		put8(0, FIFO, get_random_16[i]);
	check("the last byte: it looks at what it has", status(0) & S_VALID, 0);
	check("and has it all", until(0, S_VALID | S_EXPECT, S_VALID), true);
	check("no burst is left", burst(0), 0);
	put8(0, FIFO, 0xaa);
	put8(0, FIFO, 0xaa);
	check("what comes behind it is dropped", status(0), S_VALID | S_TESTED);
	put8(0, STS, S_GO);
	check("execution: nothing yet", status(0) & (S_AVAIL | S_EXPECT | S_READY), 0);
	check("nothing to read", get8(0, FIFO), 0xff);
	put8(0, FIFO, 0x55);
	put8(0, STS, S_GO);
	put8(0, STS, S_RETRY);
	check("completion", until(0, S_VALID | S_AVAIL, S_VALID | S_AVAIL), true);
	check("the burst is the answer", burst(0), 28);
	put8(0, FIFO, 0x55);
	put8(0, STS, S_GO);
	check("completion: FIFO and go do nothing", get32(0, STS), 1u << 26 | 28 << 8 | S_VALID | S_AVAIL | S_TESTED);
	for (unsigned i = 0; i < 28; i++) {
		check("data is available until the last byte", status(0) & S_AVAIL, S_AVAIL);
		check("the burst shrinks", burst(0), 28 - i);
		answer[i] = get8(0, FIFO);
	}
	check("all was read", status(0), S_VALID | S_TESTED);
	check("behind it: ones", get8(0, FIFO), 0xff);
	check("the answer's tag", answer[0] << 8 | answer[1], 0x8001);
	check("its size", be32(answer + 2), 28);
	check("its code", be32(answer + 6), 0);
	check("16 bytes", answer[10] << 8 | answer[11], 16);
	put8(0, STS, S_RETRY);
	check("retry: all of it again", get32(0, STS), 1u << 26 | 28 << 8 | S_VALID | S_AVAIL | S_TESTED);
	for (unsigned i = 0; i < 10; i++)
		check("the same bytes", get8(0, FIFO), answer[i]);
	put8(0, STS, S_RETRY);
	for (unsigned i = 0; i < 28; i++)
		check("from the first again", get8(0, FIFO), answer[i]);
	put8(0, STS, S_READY);
	check("idle", get32(0, STS), 1u << 26 | S_VALID | S_TESTED);
	put8(0, STS, S_RETRY);
	check("there is nothing to repeat", status(0) & S_AVAIL, 0);
	release(0);
}

/* A command in pieces of 1, 2 and 4 bytes and through both FIFOs; the answer as well. */
static void widths(void)
{
	u8 bytes[32];

	request(2);
	put8(2, STS, S_READY);
	until(2, S_READY, S_READY);
	put32(2, FIFO, 0x00000180);
	put16(2, FIFO + 2, 0x0c00);
	put8(2, FIFO + 3, 0);
	put8(2, FIFO + 1, 0);
	put32(2, XFIFO + 8, 0x10007b01);
	check("the whole command came, in order", until(2, S_VALID | S_EXPECT, S_VALID), true);
	put8(2, STS, S_GO);
	until(2, S_VALID | S_AVAIL, S_VALID | S_AVAIL);
	check("28 bytes", burst(2), 28);
	for (unsigned i = 0; i < 28; i += 4) {
		u32 v = get32(2, FIFO);
		memcpy(bytes + i, &v, 4);
	}
	check("by doublewords", be32(bytes + 2) == 28 && be32(bytes + 6) == 0, true);
	put8(2, STS, S_RETRY);
	for (unsigned i = 0; i < 28; i += 2) {
		u16 v = get16(2, XFIFO + (i & 0x3e));
		check("by words", v, bytes[i] | bytes[i + 1] << 8);
	}
	put8(2, STS, S_RETRY);
	for (unsigned i = 0; i < 24; i += 8) {
		u64 v = get64(2, XFIFO + 0x38);
		check("by quadwords", memcmp(&v, bytes + i, 8), 0);
	}
	check("four bytes are left", burst(2), 4);
	u64 last = get64(2, XFIFO);
	check("the last four", memcmp(&last, bytes + 24, 4), 0);
	check("and ones behind them", last >> 32, 0xffffffff);
	put8(2, STS, S_READY);
	until(2, S_VALID, S_VALID);
	put8(2, STS, S_READY);
	until(2, S_READY, S_READY);
	u64 head;
	memcpy(&head, self_test, 8);
	put64(2, XFIFO, head);
	put32(2, XFIFO, 0xff014301); /* one byte more than there is */
	check("what is too much is dropped", until(2, S_VALID | S_EXPECT, S_VALID), true);
	put8(2, STS, S_READY);
	release(2);
}

/* Commands and answers of more than one burst. */
static void bursts(void)
{
	u8 c[80];
	u32 n = make_extend(c, 16, 1), total;

	request(0);
	put8(0, STS, S_READY);
	until(0, S_READY, S_READY);
	for (u32 i = 0; i < 64; i++)
		put8(0, FIFO, c[i]);
	check("a full burst: not valid, nothing more now", get32(0, STS) & 0xffff80, 0);
	check("a moment later the rest", until(0, S_VALID, S_VALID), true);
	check("one byte is missing", burst(0), n - 64);
	check("it is expected", status(0) & S_EXPECT, S_EXPECT);
	put8(0, FIFO, c[64]);
	check("now it is all there", until(0, S_VALID | S_EXPECT, S_VALID), true);
	put8(0, STS, S_READY);
	send(0, get_algorithms, sizeof(get_algorithms));
	put8(0, STS, S_GO);
	until(0, S_VALID | S_AVAIL, S_VALID | S_AVAIL);
	check("an answer longer than a burst", burst(0), 64);
	for (unsigned i = 0; i < 64; i++)
		answer[i] = get8(0, FIFO);
	total = be32(answer + 2);
	check("as its header says", total > 128 && (total - 19) % 6 == 0, true);
	check("the burst is over", get32(0, STS) & 0xffff80, 0);
	check("there is more all the same", status(0) & S_AVAIL, S_AVAIL);
	until(0, S_VALID, S_VALID);
	check("the next", burst(0), 64);
	for (unsigned i = 64; i < total; i++) /* without a look at the burst: the TPM inserts wait states */
		answer[i] = get8(0, FIFO);
	check("nothing was lost", get8(0, FIFO), 0xff);
	check("all was read", until(0, S_VALID | S_AVAIL, S_VALID), true);
	check("algorithms in order", answer[11 + 8] == 0 && answer[11 + 9] == 1 && be32(answer + 15) == (total - 19) / 6, true);
	put8(0, STS, S_READY);
	release(0);
}

static void sizes(void)
{
	u8 small[] = {0x80, 1, 0, 0, 0, 9, 0, 0, 1, 0x7b}, large[10] = {0x80, 1, 0, 0, 0x13, 0x88, 0, 0, 1, 0x7b};
	enum { COMMAND_SIZE = 0x142, COMMAND_CODE = 0x143, INITIALIZE = 0x100 };

	request(0);
	check("shorter than its header", ask(0, small, 10), COMMAND_SIZE);
	put8(0, STS, S_READY);
	until(0, S_READY, S_READY);
	for (unsigned i = 0; i < 4096; i++)
		put8(0, FIFO, i < 10 ? large[i] : 0);
	check("longer than the buffer: no more is expected", until(0, S_VALID | S_EXPECT, S_VALID), true);
	put8(0, STS, S_GO);
	until(0, S_VALID | S_AVAIL, S_VALID | S_AVAIL);
	read_answer(0);
	check("and refused", be32(answer + 6), COMMAND_SIZE);
	put8(0, STS, S_READY);
	small[5] = 10;
	small[9] = 0;
	check("an unknown command", ask(0, small, 10), COMMAND_CODE);
	check("firmware has started it", ask(0, startup_clear, sizeof(startup_clear)), INITIALIZE);
	release(0);
}

/* ---- aborts and commandCancel ---- */

static void aborts(void)
{
	u8 c[80], before[32];
	u32 n;

	request(1);
	check("PCR 16 can be reset", reset_pcr(1, 16), 0);
	memcpy(before, pcr(1, 16), 32);
	check("to 0", all(before, 32, 0), true);
	n = make_extend(c, 16, 7);
	send(1, c, 20);
	put8(1, STS, S_READY);
	check("reception: aborted, idle", get32(1, STS), 1u << 26 | S_VALID | S_TESTED);
	send(1, c, n);
	put8(1, STS, S_GO);
	put8(1, STS, S_READY);
	check("execution: aborted, idle", get32(1, STS), 1u << 26 | S_VALID | S_TESTED);
	wait_ns(10000000);
	check("no answer comes", status(1) & S_AVAIL, 0);
	check("and nothing was done", all(pcr(1, 16), 32, 0), true);
	send(1, c, n);
	put8(1, STS, S_GO);
	release(1);
	request(1);
	check("released: aborted, idle", get32(1, STS), 1u << 26 | S_VALID | S_TESTED);
	wait_ns(10000000);
	check("nothing was done", all(pcr(1, 16), 32, 0), true);
	send(1, c, n);
	put8(1, STS, S_GO);
	put8(2, ACCESS, A_SEIZE);
	check("seized: idle", get32(2, STS), 1u << 26 | S_VALID | S_TESTED);
	wait_ns(10000000);
	check("nothing was done", all(pcr(2, 16), 32, 0), true);
	put8(1, ACCESS, A_SEIZED);
	send(2, c, n);
	put8(2, STS, S_GO);
	request(0);
	check("a request does not abort", until(2, S_VALID | S_AVAIL, S_VALID | S_AVAIL), true);
	read_answer(2);
	check("it was done", be32(answer + 6), 0);
	put8(2, STS, S_READY);
	check("indeed", all(pcr(2, 16), 32, 0), false);
	send(2, get_random_16, sizeof(get_random_16));
	release(2);
	check("0 is next, and finds nothing of it", get32(0, STS), 1u << 26 | S_VALID | S_TESTED);
	put8(0, STS, S_GO);
	check("nothing to execute", status(0) & S_VALID, S_VALID);
	release(0);
}

static void canceling(void)
{
	enum { CANCELED = 0x909 };
	u8 c[80], before[32];
	u32 n = make_extend(c, 16, 9);

	request(0);
	memcpy(before, pcr(0, 16), 32);
	put32(0, STS, S_CANCEL);
	check("idle: nothing", get32(0, STS), 1u << 26 | S_VALID | S_TESTED);
	send(0, c, n);
	put8(0, STS + 3, S_CANCEL >> 24);
	check("reception: nothing", status(0), S_VALID | S_TESTED);
	put8(0, STS, S_GO);
	put32(0, STS, S_CANCEL);
	check("an answer all the same", until(0, S_VALID | S_AVAIL, S_VALID | S_AVAIL), true);
	read_answer(0);
	check("which says so", be32(answer + 6), CANCELED);
	check("a header alone", answer_size == 10 && be32(answer + 2) == 10 && answer[0] == 0x80 && answer[1] == 1, true);
	put8(0, STS, S_READY);
	check("nothing was done", memcmp(pcr(0, 16), before, 32), 0);
	u64 start = rdtsc();
	send(0, self_test, sizeof(self_test));
	put8(0, STS, S_GO);
	put8(0, STS + 3, S_CANCEL >> 24);
	until(0, S_VALID | S_AVAIL, S_VALID | S_AVAIL);
	check("it does not take its time", rdtsc() - start < 1000000, true);
	put8(0, STS, S_READY);
	start = rdtsc();
	check("the next is not canceled", ask(0, self_test, sizeof(self_test)), 0);
	check("a self test takes a while", rdtsc() - start > 10000000, true);
	release(0);
}

/* ---- "Interrupts" ---- */

static volatile unsigned count;
static volatile u32 seen;
static unsigned owner; /* the locality whose handler this is */
static bool clears;

static bool on_interrupt(struct regs *r)
{
	(void)r;
	count++;
	seen = get32(owner, INT_STATUS);
	if (clears || count == 5)
		put32(owner, INT_STATUS, seen);
	mmio_write(LAPIC + 0xb0, 0);
	return true;
}

static void window(void)
{
	asm volatile("sti; nop; nop; nop; nop; cli" ::: "memory");
}

static void route(unsigned pin, u32 low)
{
	mmio_write(IOAPIC, 0x10 + 2 * pin + 1);
	mmio_write(IOAPIC + 0x10, mmio_read(LAPIC + 0x20) & 0xff000000);
	mmio_write(IOAPIC, 0x10 + 2 * pin);
	mmio_write(IOAPIC + 0x10, low);
}

/* Which interrupts came while the commands `what` names ran with these enabled. */
static unsigned came(u32 enable, void (*what)(void))
{
	put32(0, INT_STATUS, 0xff);
	put32(0, INT_ENABLE, enable);
	count = 0;
	seen = 0;
	what();
	window();
	put32(0, INT_ENABLE, 8);
	put32(0, INT_STATUS, 0xff);
	return count;
}

static void become_ready(void)
{
	put8(0, STS, S_READY);
	until(0, S_VALID | S_READY, S_VALID | S_READY);
}

static void finish_random(void)
{
	for (unsigned i = 0; i < 12; i++)
		put8(0, FIFO, get_random_16[i]);
	until(0, S_VALID, S_VALID);
	window();
	put8(0, STS, S_GO);
	until(0, S_AVAIL, S_AVAIL);
	put8(0, STS, S_READY);
}

static void hand_over(void)
{
	request(1);
	release(0);
	owner = 1;
	window();
	request(0);
	release(1);
	owner = 0;
	window();
}

static void interrupts(void)
{
	enum { LEVEL_LOW = 0xa000, LEVEL_HIGH = 0x8000, EDGE = 0, VECTOR = 0x61 };
	const u32 polarity = 1 << 3;

	on_exception(VECTOR, on_interrupt);
	mmio_write(LAPIC + 0xf0, 0x1ff);
	outb(0x21, 0xff), outb(0xa1, 0xff);
	request(0);
	check("after reset: off, level low", get32(0, INT_ENABLE), 8);
	check("nothing occurred", get32(0, INT_STATUS), 0);
	check("routed nowhere", get8(0, INT_VECTOR), 0);
	put8(0, INT_VECTOR, 0xf6);
	check("four bits", get8(0, INT_VECTOR), 6);
	put32(0, INT_ENABLE, 0xffffffff);
	check("writable bits", get32(0, INT_ENABLE), I_GLOBAL | 0x9f);
	put8(0, INT_ENABLE, 8);
	check("by bytes", get32(0, INT_ENABLE), I_GLOBAL | 8);
	put8(0, INT_ENABLE + 3, 0);
	route(6, LEVEL_LOW | VECTOR);
	clears = true;
	check("commandReady: one", came(I_GLOBAL | polarity | I_READY, become_ready), 1);
	check("and says so", seen, I_READY);
	check("dataAvail: one", came(I_GLOBAL | polarity | I_AVAIL, finish_random), 1);
	check("and says so", seen, I_AVAIL);
	become_ready();
	check("stsValid: the whole command, the answer", came(I_GLOBAL | polarity | I_VALID, finish_random), 2);
	check("and says so", seen, I_VALID);
	check("localityChange: one each", came(I_GLOBAL | polarity | I_LOCALITY, hand_over), 2);
	check("and says so", seen, I_LOCALITY);
	check("not the others", came(I_GLOBAL | polarity | I_LOCALITY, become_ready), 0);
	check("all at once", came(I_GLOBAL | polarity | 0x87, finish_random), 2);
	check("the answer has two causes", seen, I_AVAIL | I_VALID);
	check("globalIntEnable is off: none", came(polarity | 0x87, become_ready), 0);
	put32(0, INT_ENABLE, polarity | I_AVAIL | I_VALID);
	finish_random();
	check("but it occurred", get32(0, INT_STATUS), I_AVAIL | I_VALID);
	put8(0, INT_STATUS, I_VALID);
	check("cleared by ones, bit by bit", get32(0, INT_STATUS), I_AVAIL);
	put32(1, INT_STATUS, I_AVAIL);
	check("by the active locality only", get32(0, INT_STATUS), I_AVAIL);
	count = 0;
	clears = false;
	put32(0, INT_ENABLE, I_GLOBAL | polarity | I_AVAIL);
	window();
	check("a level stays until it is cleared", count, 5);
	count = 0;
	window();
	check("then it is gone", count, 0);
	clears = true;
	put8(0, INT_VECTOR, 5);
	route(5, LEVEL_LOW | (VECTOR + 1));
	on_exception(VECTOR + 1, on_interrupt);
	check("another line", came(I_GLOBAL | polarity | I_READY, become_ready), 1);
	put8(0, INT_VECTOR, 0);
	finish_random();
	check("no line", came(I_GLOBAL | polarity | I_READY, become_ready), 0);
	put8(0, INT_VECTOR, 6);
	route(5, 0x10000);
	route(6, EDGE | VECTOR);
	clears = false;
	check("rising edge: each cause one", came(I_GLOBAL | 2 << 3 | 0x87, finish_random), 2);
	route(6, 0x10000);
	put8(0, INT_VECTOR, 0);
	release(0);
}

/* ---- who may what: "Locality Usage", "PCR Attributes" ---- */

static void localities(void)
{
	enum { BAD_LOCALITY = 0x907 };

	for (unsigned l = 0; l < 4; l++) {
		request(l);
		check("PCR 17 is reset by no software", reset_pcr(l, 17), BAD_LOCALITY);
		check("PCR 17 since power-on", all(pcr(l, 17), 32, 0xff), true);
		check("PCR 0 was measured", all(pcr(l, 0), 32, 0), false);
		put32(l, STS, S_UNESTABLISH);
		check("nothing was established", get8(l, ACCESS), A_IDLE | A_ACTIVE);
		if (l < 2)
			check("PCR 17 is extended from 2 and 3", extend(l, 17, 1), BAD_LOCALITY);
		check("PCR 18 too", extend(l, 18, 1), l < 2 ? BAD_LOCALITY : 0);
		release(l);
	}
}

/* Locality 4 is the platform's: nothing of it reaches software, which so cannot do what SKINIT does. */
static void platform(void)
{
	static const u16 registers[] = {ACCESS, INT_ENABLE, CAPABILITY, STS, HASH_END, FIFO, HASH_START, INTERFACE_ID, XFIFO, DID_VID};
	static const u8 image[] = {8, 0, 64, 0, 0xf4, 0xeb, 0xfd, 0};

	for (unsigned i = 0; i < sizeof(registers) / 2; i++) {
		unsigned o = registers[i];
		check("ones, by bytes", get8(4, o), 0xff);
		check("ones, by words", get16(4, o), 0xffff);
		check("ones, by doublewords", get32(4, o), 0xffffffff);
		check("ones, by quadwords", get64(4, o & ~7u), ~0ull);
	}
	put8(4, ACCESS, A_REQUEST);
	put8(4, ACCESS, A_SEIZE);
	for (unsigned l = 0; l < 4; l++)
		check("it does not become active", get8(l, ACCESS), A_IDLE);
	for (unsigned from = 0; from < 5; from++) { /* the same offsets in the other localities are no registers */
		if (from < 4)
			request(from);
		put8(from, HASH_START, 1);
		put32(from, HASH_START, 0);
		for (unsigned i = 0; i < sizeof(image); i++)
			put8(from, FIFO, image[i]);
		put8(from, HASH_END, 1);
		put64(from, HASH_END, 0);
		if (from == 4)
			request(0);
		check(REQ("svm.3.0.2 svm.3.1.5.1") "no sequence of stores resets or extends PCR 17",
		      all(pcr(from & 3, 17), 32, 0xff), true);
		check(REQ("svm.3.1.5.1") "nor starts a hash", get8(from & 3, ACCESS), A_IDLE | A_ACTIVE);
		release(from & 3);
	}
}

int main(void)
{
	identification();
	requests();
	seizing();
	others();
	states();
	widths();
	bursts();
	sizes();
	aborts();
	canceling();
	interrupts();
	localities();
	platform();
	return guest_verdict();
}
