#include "dev/tpm_state.h"

enum { AT_VERSION = 8, AT_LENGTH = 12, AT_ZERO = 16, AT_SUM = 20 };
static const u8 magic[8] = {'T', 'S', 'T', 'P', 'M', '\r', '\n', 0x1a};

/* IEEE 802.3, bit-reversed, without the inversions at both ends. */
static u32 crc(u32 sum, const u8 *p, u64 n)
{
	while (n--) {
		sum ^= *p++;
		for (unsigned k = 0; k < 8; k++)
			sum = sum >> 1 ^ (0xedb88320u & (0u - (sum & 1)));
	}
	return sum;
}

static u32 checksum(const u8 *header, const u8 *state, u64 length)
{
	return ~crc(crc(~0u, header, AT_SUM), state, length);
}

static u32 get(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

static void put(u8 *p, u32 v)
{
	for (unsigned k = 0; k < 4; k++)
		p[k] = (u8)(v >> 8 * k);
}

enum status tpm_state_parse(const u8 *file, u64 size, const u8 **state, u32 *length, struct err *err)
{
	if (!size)
		return err_set(err, ST_ARG, "the file is empty");
	if (memcmp(file, magic, min_u64(size, sizeof(magic))))
		return err_set(err, ST_ARG, "not the state of a TPM of Turnstile");
	if (size < TPM_STATE_HEADER)
		return err_set(err, ST_ARG, "cut short within its header");
	if (get(file + AT_VERSION) > TPM_STATE_VERSION)
		return err_set(err, ST_ARG, "version %u; this program knows versions up to %u", get(file + AT_VERSION),
		               TPM_STATE_VERSION);
	if (get(file + AT_VERSION) != TPM_STATE_VERSION || get(file + AT_ZERO))
		return err_set(err, ST_ARG, "broken: no such header was ever written");
	u64 want = get(file + AT_LENGTH);
	if (size - TPM_STATE_HEADER != want)
		return err_set(err, ST_ARG, "broken: %llu bytes behind the header, which says %llu",
		               (unsigned long long)(size - TPM_STATE_HEADER), (unsigned long long)want);
	if (checksum(file, file + TPM_STATE_HEADER, want) != get(file + AT_SUM))
		return err_set(err, ST_ARG, "broken: the checksum is wrong");
	*state = file + TPM_STATE_HEADER;
	*length = (u32)want;
	return ST_OK;
}

void tpm_state_header(u8 header[TPM_STATE_HEADER], const u8 *state, u32 length)
{
	memset(header, 0, TPM_STATE_HEADER);
	memcpy(header, magic, sizeof(magic));
	put(header + AT_VERSION, TPM_STATE_VERSION);
	put(header + AT_LENGTH, length);
	put(header + AT_SUM, checksum(header, state, length));
}
