/*
 * What firmware and loader do with a TPM before an operating system has it: start it, measure themselves and what they
 * load, and leave a log of that. Trusted Platform Module Library, Part 3: "TPM2_Startup", "TPM2_HashSequenceStart",
 * "TPM2_EventSequenceComplete"; PC Client Platform Firmware Profile: "PCR Usage", "Event Logging".
 */
#include "dev/devices.h"
#include "dev/tpm.h"
#include "machine/boot/boot.h"

#include <stdio.h>

enum { NO_SESSIONS = 0x8001, SESSIONS = 0x8002 };
enum { EVENT_SEQUENCE_COMPLETE = 0x185, HASH_SEQUENCE_START = 0x186, SEQUENCE_UPDATE = 0x15c, STARTUP = 0x144 };
enum { SU_CLEAR = 0, SU_STATE = 1, ALG_NULL = 0x10, DIGEST_BUFFER = 1024 };
#define RS_PW 0x40000009u

enum { EV_NO_ACTION = 3, EV_SEPARATOR = 4, EV_S_CRTM_VERSION = 8, EV_IPL = 0xd };

/* ---- bytes in order ---- */

/* A command, or a piece of the log, under construction. */
struct bytes {
	u8 data[2 * DIGEST_BUFFER];
	u32 len;
};

static void add(struct bytes *b, const void *p, u32 n)
{
	if (n <= sizeof(b->data) - b->len) {
		memcpy(b->data + b->len, p, n);
		b->len += n;
	}
}

static void big(struct bytes *b, u32 v, unsigned size)
{
	for (unsigned i = size; i--;) {
		u8 byte = (u8)(v >> 8 * i);
		add(b, &byte, 1);
	}
}

static void little(struct bytes *b, u32 v, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		u8 byte = (u8)(v >> 8 * i);
		add(b, &byte, 1);
	}
}

static u32 from_big(const u8 *p, unsigned size)
{
	u32 v = 0;

	while (size--)
		v = v << 8 | *p++;
	return v;
}

/* What is left of an answer. */
struct rest {
	const u8 *p;
	u32 n;
};

/* The next so many bytes; NULL: the answer has fewer. */
static const u8 *next(struct rest *r, u32 n)
{
	const u8 *p = r->p;

	if (n > r->n)
		return NULL;
	r->p += n;
	r->n -= n;
	return p;
}

static bool next_big(struct rest *r, unsigned size, u32 *v)
{
	const u8 *p = next(r, size);

	if (p)
		*v = from_big(p, size);
	return p;
}

/* ---- commands ---- */

static void begin(struct bytes *b, u16 tag, u32 code)
{
	b->len = 0;
	big(b, tag, 2);
	big(b, 0, 4);
	big(b, code, 4);
}

/* Empty passwords, for so many handles. */
static void no_passwords(struct bytes *b, unsigned n)
{
	big(b, 9 * n, 4);
	for (unsigned i = 0; i < n; i++) {
		big(b, RS_PW, 4);
		big(b, 0, 2); /* no nonce */
		big(b, 0, 1); /* no attributes */
		big(b, 0, 2);
	}
}

static void sized(struct bytes *b, const void *p, u32 n)
{
	big(b, n, 2);
	add(b, p, n);
}

/* The response code; what follows the header is in rest. */
static u32 ask(const struct machine *m, struct bytes *b, u8 answer[TPM_BUFFER], struct rest *rest)
{
	b->data[4] = (u8)(b->len >> 8);
	b->data[5] = (u8)b->len;
	u32 size = tpm_tis_command(m->tis, b->data, b->len, answer);
	if (size < TPM_HEADER || size > TPM_BUFFER)
		return TPM_RC_FAILURE;
	*rest = (struct rest){.p = answer + TPM_HEADER, .n = size - TPM_HEADER};
	return from_big(answer + 6, 4);
}

static u32 startup(const struct machine *m, u16 how, u8 answer[TPM_BUFFER])
{
	struct bytes b;
	struct rest rest;

	begin(&b, NO_SESSIONS, STARTUP);
	big(&b, how, 2);
	return ask(m, &b, answer, &rest);
}

/* ---- the log ---- */

/* Hash algorithms and the bytes of their digests: Part 2, "TPM_ALG_ID". */
static const struct {
	u16 alg, size;
} hashes[] = {{0x04, 20}, {0x0b, 32}, {0x0c, 48}, {0x0d, 64}, {0x12, 32}, {0x27, 32}, {0x28, 48}, {0x29, 64}};

struct boot_log {
	struct machine *m;
	u64 at;    /* where the next event goes */
	u32 banks; /* of PCRs: a bit for each of hashes[] */
	u8 answer[TPM_BUFFER];
};

/* Which of hashes[]; their number: none. */
static unsigned hash_of(u32 alg)
{
	unsigned i = 0;

	while (i < ARRAY_LEN(hashes) && hashes[i].alg != alg)
		i++;
	return i;
}

static void append(struct boot_log *l, const struct bytes *b)
{
	if (l->at + b->len > MACHINE_TPM_LOG + MACHINE_TPM_LOG_SIZE)
		return;
	bus_write(&l->m->bus, l->at, b->data, b->len);
	l->at += b->len;
}

/* A bank of TPML_PCR_SELECTION. */
static bool add_bank(struct boot_log *l, struct rest *r)
{
	u32 alg, size;
	const u8 *selected;
	bool used = false;

	if (!next_big(r, 2, &alg) || !next_big(r, 1, &size) || !(selected = next(r, size)))
		return false;
	for (u32 i = 0; i < size; i++)
		used |= selected[i];
	if (used && hash_of(alg) < ARRAY_LEN(hashes))
		l->banks |= 1u << hash_of(alg);
	return true;
}

/* Banks that have PCRs: "TPM2_GetCapability". */
static u32 find_banks(struct boot_log *l)
{
	enum { GET_CAPABILITY = 0x17a, CAP_PCRS = 5, MOST = 16 };
	struct bytes b;
	struct rest r;
	u32 count = 0;

	begin(&b, NO_SESSIONS, GET_CAPABILITY);
	big(&b, CAP_PCRS, 4);
	big(&b, 0, 4);
	big(&b, MOST, 4);
	u32 rc = ask(l->m, &b, l->answer, &r);
	if (rc == TPM_RC_SUCCESS && (!next(&r, 1 + 4) || !next_big(&r, 4, &count)))
		return TPM_RC_FAILURE;
	for (; rc == TPM_RC_SUCCESS && count; count--)
		if (!add_bank(l, &r))
			return TPM_RC_FAILURE;
	return rc;
}

/* "Specification ID Version Event": the log's first says which digests all others have. */
static void open_log(struct boot_log *l)
{
	struct bytes b = {.len = 0};
	const u8 no_digest[20] = {0};
	u32 banks = (u32)__builtin_popcount(l->banks);

	little(&b, 0, 4);
	little(&b, EV_NO_ACTION, 4);
	add(&b, no_digest, sizeof(no_digest));
	little(&b, 16 + 4 + 4 + 4 + 4 * banks + 1, 4);
	add(&b, "Spec ID Event03", 16);
	little(&b, 0, 4); /* platform class: client */
	little(&b, 0, 1); /* version 2.0, errata 105 */
	little(&b, 2, 1);
	little(&b, 105, 1);
	little(&b, 2, 1); /* UINTN has 64 bits */
	little(&b, banks, 4);
	for (unsigned i = 0; i < ARRAY_LEN(hashes); i++) {
		if (l->banks >> i & 1) {
			little(&b, hashes[i].alg, 2);
			little(&b, hashes[i].size, 2);
		}
	}
	little(&b, 0, 1); /* of the vendor's own: nothing */
	append(l, &b);
}

/* TPML_DIGEST_VALUES, which may tell of hashes without a bank, as the log has them. */
static bool copy_digests(const struct boot_log *l, struct bytes *b, struct rest *r)
{
	u32 count, alg;

	if (!next_big(r, 4, &count))
		return false;
	for (; count; count--) {
		const u8 *digest;

		if (!next_big(r, 2, &alg) || hash_of(alg) == ARRAY_LEN(hashes))
			return false;
		if (!(digest = next(r, hashes[hash_of(alg)].size)))
			return false;
		if (l->banks >> hash_of(alg) & 1) {
			little(b, alg, 2);
			add(b, digest, hashes[hash_of(alg)].size);
		}
	}
	return true;
}

/* TCG_PCR_EVENT2 */
static u32 write_event(struct boot_log *l, unsigned pcr, u32 type, struct rest *digests, const void *text, u32 n)
{
	struct bytes b = {.len = 0};

	little(&b, pcr, 4);
	little(&b, type, 4);
	little(&b, (u32)__builtin_popcount(l->banks), 4);
	if (!copy_digests(l, &b, digests))
		return TPM_RC_FAILURE;
	little(&b, n, 4);
	add(&b, text, n);
	append(l, &b);
	return TPM_RC_SUCCESS;
}

/* All but the last kilobyte of what is measured. */
static u32 feed(struct boot_log *l, u32 sequence, const u8 **p, u64 *size)
{
	struct bytes b;
	struct rest r;
	u32 rc = TPM_RC_SUCCESS;

	for (; rc == TPM_RC_SUCCESS && *size > DIGEST_BUFFER; *size -= DIGEST_BUFFER, *p += DIGEST_BUFFER) {
		begin(&b, SESSIONS, SEQUENCE_UPDATE);
		big(&b, sequence, 4);
		no_passwords(&b, 1);
		sized(&b, *p, DIGEST_BUFFER);
		rc = ask(l->m, &b, l->answer, &r);
	}
	return rc;
}

/* Extend a PCR of every bank with the hash of these bytes, and write down what was measured. */
static u32 measure(struct boot_log *l, unsigned pcr, u32 type, const void *data, u64 size, const void *text, u32 n)
{
	const u8 *p = data;
	struct bytes b;
	struct rest r;
	u32 sequence;

	begin(&b, NO_SESSIONS, HASH_SEQUENCE_START);
	big(&b, 0, 2);
	big(&b, ALG_NULL, 2); /* of every bank */
	u32 rc = ask(l->m, &b, l->answer, &r);
	if (rc == TPM_RC_SUCCESS)
		rc = next_big(&r, 4, &sequence) ? feed(l, sequence, &p, &size) : TPM_RC_FAILURE;
	if (rc != TPM_RC_SUCCESS)
		return rc;
	begin(&b, SESSIONS, EVENT_SEQUENCE_COMPLETE);
	big(&b, pcr, 4);
	big(&b, sequence, 4);
	no_passwords(&b, 2);
	sized(&b, p, (u32)size);
	rc = ask(l->m, &b, l->answer, &r);
	if (rc != TPM_RC_SUCCESS)
		return rc;
	return next(&r, 4) ? write_event(l, pcr, type, &r, text, n) : TPM_RC_FAILURE;
}

/* ---- what is measured ---- */

/* PCR 0: which firmware this is, in UCS-2. PCRs 0 to 7: where firmware ends. */
static u32 measure_firmware(struct boot_log *l)
{
	static const char version[] = "Turnstile " TS_VERSION;
	static const u8 separator[4];
	u8 wide[2 * sizeof(version)] = {0};

	for (size_t i = 0; i < sizeof(version); i++)
		wide[2 * i] = (u8)version[i];
	u32 rc = measure(l, 0, EV_S_CRTM_VERSION, wide, sizeof(wide), wide, sizeof(wide));
	for (unsigned pcr = 0; rc == TPM_RC_SUCCESS && pcr < 8; pcr++)
		rc = measure(l, pcr, EV_SEPARATOR, separator, sizeof(separator), separator, sizeof(separator));
	return rc;
}

static void complain(const struct machine *m, u32 rc)
{
	char text[96];

	snprintf(text, sizeof(text), "the TPM answered 0x%x to the firmware; nothing more is measured", rc);
	if (m->note)
		m->note(m->note_arg, text);
}

/* Where that was refused, it was the last. */
static void go_on(struct boot *b, u32 rc)
{
	if (rc == TPM_RC_SUCCESS)
		return;
	complain(b->m, rc);
	boot_measure_end(b);
}

enum status boot_measure_start(struct boot *b, struct err *err)
{
	if (!b->m->tis)
		return ST_OK;
	struct boot_log *l = b->log = base_alloc(sizeof(*l));
	if (!l)
		return err_set(err, ST_NOMEM, "out of memory");
	l->m = b->m;
	l->at = MACHINE_TPM_LOG;
	boot_zero(b, MACHINE_TPM_LOG, MACHINE_TPM_LOG_SIZE); /* of an earlier start */
	u32 rc = startup(l->m, SU_CLEAR, l->answer);
	if (rc == TPM_RC_SUCCESS)
		rc = find_banks(l);
	open_log(l);
	if (rc == TPM_RC_SUCCESS)
		rc = measure_firmware(l);
	go_on(b, rc);
	return ST_OK;
}

void boot_measure_file(struct boot *b, const struct os_file *f, const char *what)
{
	if (b->log)
		go_on(b, measure(b->log, 9, EV_IPL, f->data, f->size, what, (u32)strlen(what) + 1));
}

void boot_measure_command_line(struct boot *b)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "kernel_cmdline: %s", b->append);

	if (b->log)
		go_on(b, measure(b->log, 8, EV_IPL, b->append, strlen(b->append), text,
		                 n < (int)sizeof(text) ? (u32)n + 1 : sizeof(text)));
}

void boot_measure_end(struct boot *b)
{
	base_free(b->log);
	b->log = NULL;
}

/* "TPM2_Startup": what TPM2_Shutdown(STATE) kept goes on; without it the TPM starts anew, and its PCRs tell. */
void boot_wake_tpm(struct machine *m)
{
	u8 answer[TPM_BUFFER];

	if (!m->tis)
		return;
	u32 rc = startup(m, SU_STATE, answer);
	if (rc != TPM_RC_SUCCESS)
		rc = startup(m, SU_CLEAR, answer);
	if (rc != TPM_RC_SUCCESS)
		complain(m, rc);
}
