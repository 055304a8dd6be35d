/* The TPM behind its registers. TCG PC Client TPM Interface Specification 1.3; TPM 2.0 Library, part 3 "Commands". */
#include "tis.h"

/* A page for each locality. */
enum { ACCESS = 0x00, STS = 0x18, DATA_FIFO = 0x24, DID_VID = 0xf00 };
enum { REQUEST_USE = 0x02, ACTIVE = 0x20 };                                        /* TPM_ACCESS */
enum { DATA_AVAIL = 0x10, GO = 0x20, READY = 0x40, VALID = 0x80, BURST_SHIFT = 8 }; /* TPM_STS */
enum { PCR_READ = 0x17e, PCR_EXTEND = 0x182, NO_SESSIONS = 0x8001, SESSIONS = 0x8002, RS_PW = 0x40000009, SHA256 = 0x0b };
enum { HEADER = 10, BUFFER = 128, PATIENCE = 20000000 };

static volatile uint8_t *reg8(unsigned locality, unsigned reg)
{
	return (volatile uint8_t *)(uintptr_t)(0xfed40000u + (locality << 12) + reg);
}

static volatile uint32_t *reg32(unsigned locality, unsigned reg)
{
	return (volatile uint32_t *)(uintptr_t)(0xfed40000u + (locality << 12) + reg);
}

bool tpm_there(void)
{
	uint32_t id = *reg32(0, DID_VID);

	return id != 0 && id != 0xffffffff;
}

/* Without interrupts there is nothing but to look again. */
static bool wait_status(unsigned locality, uint32_t wanted)
{
	for (unsigned n = 0; n < PATIENCE; n++)
		if ((*reg32(locality, STS) & wanted) == wanted)
			return true;
	return false;
}

bool tpm_take(unsigned locality)
{
	*reg8(locality, ACCESS) = REQUEST_USE;
	for (unsigned n = 0; n < PATIENCE; n++)
		if (*reg8(locality, ACCESS) & ACTIVE)
			return true;
	return false;
}

void tpm_leave(unsigned locality)
{
	*reg8(locality, ACCESS) = ACTIVE;
}

/* As many bytes as it takes without waiting. */
static unsigned burst(unsigned locality)
{
	for (unsigned n = 0; n < PATIENCE; n++) {
		unsigned count = *reg32(locality, STS) >> BURST_SHIFT & 0xffff;

		if (count)
			return count;
	}
	return 0;
}

static bool send(unsigned locality, const uint8_t *p, unsigned size)
{
	while (size) {
		unsigned count = burst(locality);

		if (!count)
			return false;
		for (; count && size; count--, size--)
			*reg8(locality, DATA_FIFO) = *p++;
	}
	return true;
}

static bool receive(unsigned locality, uint8_t *p, unsigned size)
{
	while (size) {
		unsigned count = wait_status(locality, VALID | DATA_AVAIL) ? burst(locality) : 0;

		if (!count)
			return false;
		for (; count && size; count--, size--)
			*p++ = *reg8(locality, DATA_FIFO);
	}
	return true;
}

/* ---- commands: big-endian, a header of tag, size and code ---- */

struct command {
	uint8_t b[BUFFER];
	unsigned n;
};

static void add(struct command *c, unsigned bytes, uint32_t v)
{
	while (bytes--)
		c->b[c->n++] = (uint8_t)(v >> 8 * bytes);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void begin(struct command *c, uint32_t tag, uint32_t code)
{
	c->n = 0;
	add(c, 2, tag);
	add(c, 4, 0);
	add(c, 4, code);
}

/* Sends the command; c then holds the answer. */
static uint32_t run(unsigned locality, struct command *c)
{
	unsigned size = c->n;

	c->n = 2;
	add(c, 4, size);
	*reg32(locality, STS) = READY;
	if (!wait_status(locality, READY) || !send(locality, c->b, size))
		return TPM_NO_ANSWER;
	*reg32(locality, STS) = GO;
	if (!wait_status(locality, VALID | DATA_AVAIL) || !receive(locality, c->b, HEADER))
		return TPM_NO_ANSWER;
	c->n = be32(c->b + 2);
	if (c->n < HEADER || c->n > BUFFER || !receive(locality, c->b + HEADER, c->n - HEADER))
		return TPM_NO_ANSWER;
	*reg32(locality, STS) = READY; /* and so idle */
	return be32(c->b + 6);
}

uint32_t tpm_pcr_read(unsigned locality, unsigned pcr, uint8_t digest[DIGEST])
{
	enum { DIGEST_AT = HEADER + 4 + 4 + 6 + 4 + 2 }; /* update counter, selection, count and size of digests */
	struct command c;

	begin(&c, NO_SESSIONS, PCR_READ);
	add(&c, 4, 1);
	add(&c, 2, SHA256);
	add(&c, 1, 3);
	for (unsigned n = 0; n < 3; n++)
		add(&c, 1, pcr / 8 == n ? 1u << pcr % 8 : 0);
	uint32_t rc = run(locality, &c);
	if (!rc && c.n != DIGEST_AT + DIGEST)
		rc = TPM_NO_ANSWER;
	for (unsigned n = 0; !rc && n < DIGEST; n++)
		digest[n] = c.b[DIGEST_AT + n];
	return rc;
}

uint32_t tpm_pcr_extend(unsigned locality, unsigned pcr, const uint8_t digest[DIGEST])
{
	struct command c;

	begin(&c, SESSIONS, PCR_EXTEND);
	add(&c, 4, pcr);
	add(&c, 4, 9); /* the authorisation: a password session with an empty password */
	add(&c, 4, RS_PW);
	add(&c, 5, 0);
	add(&c, 4, 1);
	add(&c, 2, SHA256);
	for (unsigned n = 0; n < DIGEST; n++)
		add(&c, 1, digest[n]);
	return run(locality, &c);
}
