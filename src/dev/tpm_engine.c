#include "dev/tpm.h"

#include "base/state.h"
#include "dev/tpm_link.h"
#include "dev/tpm_state.h"

#include <errno.h>
#include <stdio.h>

struct tpm {
	struct tpm_config cfg;
	struct tpm_link link;
	char *name;          /* of the file, for messages: "--tpm state=FILE" */
	struct os_kept file; /* path NULL: no state is kept */
	bool started;        /* the file may be written */
	u32 stored;          /* how often the engine had stored its state when the file was written */
	u8 locality;         /* the engine's */
	u8 at;               /* of the command that was sent */
	u8 command[TPM_BUFFER];
	u32 size;            /* of it; 0: nothing was sent */
	u64 now;             /* when it was sent */
	u32 refused;         /* its answer, where it does not go to the engine; 0: it does */
	bool failed;         /* for good; was said */
	bool random, clock;  /* somebody else's engine was asked for what only it knows */
};

/* ---- failing ---- */

static void fail(struct tpm *t, const char *what, const char *why)
{
	char text[400];

	if (t->failed)
		return;
	t->failed = true;
	snprintf(text, sizeof(text), "%s: %s %s; the TPM is in failure mode from here on", t->cfg.option, what, why);
	if (t->cfg.lost)
		t->cfg.lost(t->cfg.arg, text);
}

/* Does the engine still answer? */
static bool alive(struct tpm *t)
{
	if (t->link.broken[0])
		fail(t, t->cfg.socket ? "the swtpm" : "turnstile-tpm", t->link.broken);
	return !t->failed;
}

static bool own(const struct tpm *t)
{
	return t->link.caps & WIRE_CAP_OWN;
}

/* ---- state ---- */

static void lost_file(struct tpm *t, int e)
{
	char text[400];

	t->failed = true;
	snprintf(text, sizeof(text), "%.250s: %s; the file stays as it was, and the TPM is in failure mode from here on",
	         t->name, strerror(e));
	if (t->cfg.lost)
		t->cfg.lost(t->cfg.arg, text);
}

/* 0, or errno. */
static int write_file(struct tpm *t, const u8 *state, u32 size)
{
	u8 *content = base_alloc(TPM_STATE_HEADER + (size_t)size);

	if (!content)
		return ENOMEM;
	tpm_state_header(content, state, size);
	memcpy(content + TPM_STATE_HEADER, state, size);
	int e = os_kept_write(&t->file, content, TPM_STATE_HEADER + (size_t)size) ? 0 : errno;
	base_free(content);
	return e;
}

/* What the engine has stored since goes to the disk. 0, or errno. */
static int save(struct tpm *t)
{
	u32 result, size;
	u8 count[4], *state;

	if (!t->file.path || !t->started || t->failed)
		return 0;
	if (!tpm_link_call(&t->link, WIRE_OWN_CHANGED, NULL, 0, &result, count, sizeof(count)) ||
	    wire_get32(count) == t->stored)
		return 0;
	tpm_link_get_state(&t->link, WIRE_PERMANENT, &state, &size);
	if (!state)
		return 0;
	int e = write_file(t, state, size);
	base_free(state);
	t->stored = wire_get32(count);
	return e;
}

/* After everything that may have changed the state. true: the TPM is well, and nothing that it answers can be lost. */
static bool settled(struct tpm *t)
{
	int e = save(t);

	if (e && !t->failed)
		lost_file(t, e);
	return alive(t);
}

/* ---- opening ---- */

static enum status load_state(struct tpm *t, struct err *err)
{
	enum { MOST = TPM_STATE_HEADER + WIRE_STATE_MAX };
	const u8 *state;
	u8 *file;
	u64 size;
	u32 length, result;
	enum status s = os_kept_read(&t->file, t->name, MOST, &file, &size, err);

	if (s != ST_OK || t->file.fd < 0)
		return s;
	s = tpm_state_parse(file, size, &state, &length, err);
	if (s != ST_OK)
		s = err_in(err, s, t->name);
	else if (!tpm_link_set_state(&t->link, state, length, &result))
		s = err_set(err, ST_ARG, "%s: turnstile-tpm %s when it read it", t->name, t->link.broken);
	else if (result != WIRE_OK)
		s = err_set(err, ST_ARG, "%s: libtpms does not take it (error 0x%x): broken, or of a newer libtpms", t->name,
		            result);
	base_free(file);
	return s;
}

static enum status open_file(struct tpm *t, struct err *err)
{
	static const char state[] = " state=";
	size_t n = strlen(t->cfg.option) + sizeof(state) + strlen(t->cfg.state);

	t->name = base_alloc(n);
	if (!t->name)
		return err_set(err, ST_NOMEM, "out of memory");
	snprintf(t->name, n, "%s%s%s", t->cfg.option, state, t->cfg.state);
	return os_kept_open(&t->file, t->name, t->cfg.state, err);
}

/* The engine's time, where the engine has none of its own. */
static void set_clock(struct tpm *t, u64 now)
{
	u8 body[8];
	u32 result;

	wire_put64(body, now);
	if (own(t))
		tpm_link_call(&t->link, WIRE_OWN_CLOCK, body, sizeof(body), &result, NULL, 0);
}

/* The result of _TPM_Init; not 0 as well where the engine died. */
static u32 init(struct tpm *t, u64 now)
{
	u32 result = WIRE_FAIL;

	set_clock(t, now);
	t->locality = 0;
	tpm_link_call32(&t->link, WIRE_INIT, 0, &result);
	return t->link.broken[0] ? WIRE_FAIL : result;
}

static enum status bring_up(struct tpm *t, struct err *err)
{
	enum status s = t->cfg.state ? open_file(t, err) : ST_OK;

	if (s == ST_OK)
		s = tpm_link_open(&t->link, &t->cfg, err);
	if (s == ST_OK && t->cfg.state)
		s = load_state(t, err);
	if (s != ST_OK)
		return s;
	u32 result = init(t, 0);
	if (t->link.broken[0])
		return err_set(err, ST_ARG, "%s: the TPM's engine %s at power-on", t->cfg.option, t->link.broken);
	if (result != WIRE_OK)
		return err_set(err, ST_ARG, "%s: the TPM does not take its power-on (error 0x%x)",
		               t->name ? t->name : t->cfg.option, result);
	return ST_OK;
}

enum status tpm_open(struct tpm **out, const struct tpm_config *cfg, struct err *err)
{
	struct tpm *t = base_alloc(sizeof(*t));

	*out = NULL;
	if (!t)
		return err_set(err, ST_NOMEM, "out of memory");
	t->cfg = *cfg;
	t->file.fd = t->link.control = t->link.data = -1;
	enum status s = bring_up(t, err);
	if (s != ST_OK) {
		tpm_close(t);
		return s;
	}
	*out = t;
	return ST_OK;
}

enum status tpm_start(struct tpm *t, struct err *err)
{
	t->started = true;
	int e = save(t);
	if (e)
		return err_set(err, ST_ARG, "%s: %s", t->name, strerror(e));
	return t->link.broken[0] ? err_set(err, ST_IO, "%s: the TPM's engine %s", t->cfg.option, t->link.broken) : ST_OK;
}

void tpm_close(struct tpm *t)
{
	if (!t)
		return;
	tpm_link_close(&t->link);
	if (t->file.path)
		os_kept_close(&t->file);
	base_free(t->name);
	base_free(t);
}

void tpm_power_on(struct tpm *t, u64 now)
{
	char why[60];

	t->size = 0;
	if (!alive(t))
		return;
	u32 result = init(t, now);
	snprintf(why, sizeof(why), "does not take a reset (error 0x%x)", result);
	if (settled(t) && result != WIRE_OK)
		fail(t, "the TPM", why);
}

/* ---- commands ---- */

void tpm_send(struct tpm *t, u64 now, unsigned locality, const void *command, u32 size)
{
	t->size = (u32)min_u64(size, TPM_BUFFER);
	memcpy(t->command, command, t->size);
	t->now = now;
	t->at = (u8)locality;
	t->refused = t->size < TPM_HEADER || wire_get32(t->command + 2) != size ? TPM_RC_COMMAND_SIZE : 0;
}

void tpm_cancel(struct tpm *t)
{
	if (t->size)
		t->refused = TPM_RC_CANCELED;
}

static u32 only_code(u8 *answer, u32 code)
{
	answer[0] = 0x80; /* TPM_ST_NO_SESSIONS */
	answer[1] = 0x01;
	wire_put32(answer + 2, TPM_HEADER);
	wire_put32(answer + 6, code);
	return TPM_HEADER;
}

/* TPM_RC_SUCCESS: the engine is at this locality. */
static u32 go_to_locality(struct tpm *t, u8 locality)
{
	u8 body[4] = {locality};
	u32 result;

	if (t->locality == locality)
		return TPM_RC_SUCCESS;
	if (!tpm_link_call(&t->link, WIRE_SET_LOCALITY, body, sizeof(body), &result, NULL, 0))
		return TPM_RC_FAILURE;
	if (result != WIRE_OK)
		return TPM_RC_LOCALITY;
	t->locality = locality;
	return TPM_RC_SUCCESS;
}

static void ask(struct tpm *t, u32 code);

static u32 execute(struct tpm *t, u8 *answer)
{
	u32 code = t->refused ? t->refused : alive(t) ? go_to_locality(t, t->at) : TPM_RC_FAILURE;

	if (code != TPM_RC_SUCCESS)
		return only_code(answer, alive(t) ? code : TPM_RC_FAILURE);
	set_clock(t, t->now);
	ask(t, wire_get32(t->command + 6));
	u32 size = tpm_link_command(&t->link, t->command, t->size, answer);
	return settled(t) ? size : only_code(answer, TPM_RC_FAILURE);
}

u32 tpm_receive(struct tpm *t, void *answer)
{
	if (!t->size)
		return 0;
	u32 n = execute(t, answer);
	t->size = 0;
	return n;
}

/* ---- measuring ---- */

static void hash_step(struct tpm *t, enum wire_command code, const void *body, size_t n)
{
	u32 result;
	char why[60];

	if (!alive(t) || !tpm_link_call(&t->link, code, body, n, &result, NULL, 0)) {
		alive(t);
		return;
	}
	snprintf(why, sizeof(why), "does not measure (error 0x%x)", result);
	if (settled(t) && result != WIRE_OK)
		fail(t, "the TPM", why);
}

void tpm_hash_start(struct tpm *t, u64 now)
{
	set_clock(t, now);
	hash_step(t, WIRE_HASH_START, NULL, 0);
}

void tpm_hash_data(struct tpm *t, const void *data, u64 size)
{
	u8 body[4 + WIRE_CHUNK];

	for (u64 done = 0, n; done < size; done += n) {
		n = min_u64(size - done, WIRE_CHUNK);
		wire_put32(body, (u32)n);
		memcpy(body + 4, (const u8 *)data + done, n);
		hash_step(t, WIRE_HASH_DATA, body, 4 + n);
	}
}

void tpm_hash_end(struct tpm *t)
{
	hash_step(t, WIRE_HASH_END, NULL, 0);
}

bool tpm_established(struct tpm *t)
{
	u8 bit[4];
	u32 result;

	if (!alive(t) || !tpm_link_call(&t->link, WIRE_GET_ESTABLISHED, NULL, 0, &result, bit, sizeof(bit)))
		return alive(t);
	return result == WIRE_OK && bit[0];
}

u32 tpm_reset_established(struct tpm *t, unsigned locality)
{
	u8 body[4] = {(u8)locality};
	u32 result;

	if (!alive(t) || !tpm_link_call(&t->link, WIRE_RESET_ESTABLISHED, body, sizeof(body), &result, NULL, 0) ||
	    !settled(t)) {
		alive(t);
		return TPM_RC_FAILURE;
	}
	return result == WIRE_OK ? TPM_RC_SUCCESS : result == WIRE_BAD_LOCALITY ? TPM_RC_LOCALITY : TPM_RC_FAILURE;
}

/* ---- does a run repeat? ---- */

/* What the answer or the effect of a command has in it that another run would not: TPM 2.0 Part 3. Every command that is
 * not here may draw random numbers, as those do that make keys, seeds, nonces and signatures. Commands in sessions draw
 * nonces as well: StartAuthSession has drawn before. */
enum { NOTHING = 0, CLOCK = 1, RANDOM = 2 };
static const struct {
	u16 code;
	u8 has;
} commands[] = {
        {0x11f, NOTHING},        /* NV_UndefineSpaceSpecial */
        {0x120, NOTHING},        /* EvictControl */
        {0x121, NOTHING},        /* HierarchyControl */
        {0x122, NOTHING},        /* NV_UndefineSpace */
        {0x127, NOTHING},        /* ClearControl */
        {0x128, CLOCK},          /* ClockSet: does it go back? */
        {0x129, NOTHING},        /* HierarchyChangeAuth */
        {0x12a, NOTHING},        /* NV_DefineSpace */
        {0x12b, NOTHING},        /* PCR_Allocate */
        {0x12c, NOTHING},        /* PCR_SetAuthPolicy */
        {0x12d, NOTHING},        /* PP_Commands */
        {0x12e, NOTHING},        /* SetPrimaryPolicy */
        {0x130, CLOCK},          /* ClockRateAdjust */
        {0x132, NOTHING},        /* NV_GlobalWriteLock */
        {0x133, CLOCK | RANDOM}, /* GetCommandAuditDigest: attested, and signed */
        {0x134, NOTHING},        /* NV_Increment */
        {0x135, NOTHING},        /* NV_SetBits */
        {0x136, NOTHING},        /* NV_Extend */
        {0x137, NOTHING},        /* NV_Write */
        {0x138, NOTHING},        /* NV_WriteLock */
        {0x13b, NOTHING},        /* NV_ChangeAuth */
        {0x13c, NOTHING},        /* PCR_Event */
        {0x13d, NOTHING},        /* PCR_Reset */
        {0x13e, NOTHING},        /* SequenceComplete */
        {0x142, NOTHING},        /* IncrementalSelfTest */
        {0x143, NOTHING},        /* SelfTest */
        {0x144, NOTHING},        /* Startup: the nonces it draws show in sessions alone */
        {0x145, NOTHING},        /* Shutdown */
        {0x148, CLOCK | RANDOM}, /* Certify */
        {0x14a, CLOCK | RANDOM}, /* CertifyCreation */
        {0x14c, CLOCK | RANDOM}, /* GetTime */
        {0x14d, CLOCK | RANDOM}, /* GetSessionAuditDigest */
        {0x14e, NOTHING},        /* NV_Read */
        {0x14f, NOTHING},        /* NV_ReadLock */
        {0x155, NOTHING},        /* HMAC */
        {0x157, NOTHING},        /* Load */
        {0x158, CLOCK | RANDOM}, /* Quote */
        {0x15b, NOTHING},        /* HMAC_Start */
        {0x15c, NOTHING},        /* SequenceUpdate */
        {0x15e, NOTHING},        /* Unseal */
        {0x161, NOTHING},        /* ContextLoad */
        {0x162, NOTHING},        /* ContextSave */
        {0x165, NOTHING},        /* FlushContext */
        {0x167, NOTHING},        /* LoadExternal */
        {0x169, NOTHING},        /* NV_ReadPublic */
        {0x16d, CLOCK | RANDOM}, /* PolicyCounterTimer */
        {0x173, NOTHING},        /* ReadPublic */
        {0x177, NOTHING},        /* VerifySignature */
        {0x178, NOTHING},        /* ECC_Parameters */
        {0x17a, NOTHING},        /* GetCapability */
        {0x17c, NOTHING},        /* GetTestResult */
        {0x17d, NOTHING},        /* Hash */
        {0x17e, NOTHING},        /* PCR_Read */
        {0x181, CLOCK},          /* ReadClock */
        {0x182, NOTHING},        /* PCR_Extend */
        {0x184, CLOCK | RANDOM}, /* NV_Certify */
        {0x185, NOTHING},        /* EventSequenceComplete */
        {0x186, NOTHING},        /* HashSequenceStart */
        {0x18a, NOTHING},        /* TestParms */
        {0x197, CLOCK | RANDOM}, /* CertifyX509 */
};

static u8 has(u32 code)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].code == code)
			return commands[i].has;
	return RANDOM;
}

/* A command goes to the engine. */
static void ask(struct tpm *t, u32 code)
{
	t->random |= !(t->link.caps & WIRE_CAP_REPEATABLE) && has(code) & RANDOM;
	t->clock |= !own(t) && has(code) & CLOCK;
}

const char *tpm_unrepeatable(const struct tpm *t)
{
	return t->random ? t->clock ? "TPM random numbers, TPM clock" : "TPM random numbers" : t->clock ? "TPM clock" : NULL;
}

/* A TPM of somebody else's has its own past: of it the machine knows what it was answered. */
u64 tpm_hash(struct tpm *t, u64 seed)
{
	for (unsigned type = WIRE_PERMANENT; own(t) && type <= WIRE_VOLATILE; type++) {
		u8 *state;
		u32 size;
		tpm_link_get_state(&t->link, type, &state, &size);
		if (state)
			seed = state_mix(seed, state, size);
		base_free(state);
	}
	alive(t);
	return seed;
}
