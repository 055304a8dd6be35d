/* libtpms with a TPM 2.0 in it. What it would keep in files is kept here, for the machine to take. */
#include "tpm/tpm.h"
#include "dev/tpm_wire.h"

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_memory.h>
#include <libtpms/tpm_nvfilename.h>
#include <libtpms/tpm_tis.h>
#include <stdlib.h>

static struct {
	bool running;
	u8 locality;
	u8 *permanent; /* what a TPM keeps without power; NULL: it was never made */
	u32 permanent_size, stores;
	u8 *answer;
	u32 answer_room;
} library;

/* ---- what the library calls ---- */

static TPM_RESULT nothing(void)
{
	return TPM_SUCCESS;
}

static u8 *copy(const u8 *data, u32 size)
{
	u8 *p = malloc(size ? size : 1);

	if (p)
		memcpy(p, data, size);
	return p;
}

static TPM_RESULT load(unsigned char **data, uint32_t *size, uint32_t number, const char *name)
{
	(void)number;
	if (strcmp(name, TPM_PERMANENT_ALL_NAME) || !library.permanent)
		return TPM_RETRY; /* there is none: one is made */
	*data = copy(library.permanent, library.permanent_size);
	*size = library.permanent_size;
	return *data ? TPM_SUCCESS : TPM_SIZE;
}

static TPM_RESULT store(const unsigned char *data, uint32_t size, uint32_t number, const char *name)
{
	(void)number;
	if (strcmp(name, TPM_PERMANENT_ALL_NAME))
		return TPM_SUCCESS;
	u8 *p = copy(data, size);
	if (!p)
		return TPM_FAIL;
	free(library.permanent);
	library.permanent = p;
	library.permanent_size = size;
	library.stores++;
	return TPM_SUCCESS;
}

static TPM_RESULT forget(uint32_t number, const char *name, TPM_BOOL must_exist)
{
	(void)number;
	(void)must_exist;
	if (strcmp(name, TPM_PERMANENT_ALL_NAME))
		return TPM_SUCCESS;
	free(library.permanent);
	library.permanent = NULL;
	library.permanent_size = 0;
	library.stores++;
	return TPM_SUCCESS;
}

static TPM_RESULT get_locality(TPM_MODIFIER_INDICATOR *locality, uint32_t number)
{
	(void)number;
	*locality = library.locality;
	return TPM_SUCCESS;
}

static TPM_RESULT get_presence(TPM_BOOL *present, uint32_t number)
{
	(void)number;
	*present = FALSE;
	return TPM_SUCCESS;
}

/* ---- life ---- */

bool library_open(void)
{
	struct libtpms_callbacks calls = {
	        .sizeOfStruct = sizeof(calls),
	        .tpm_nvram_init = nothing,
	        .tpm_nvram_loaddata = load,
	        .tpm_nvram_storedata = store,
	        .tpm_nvram_deletename = forget,
	        .tpm_io_init = nothing,
	        .tpm_io_getlocality = get_locality,
	        .tpm_io_getphysicalpresence = get_presence,
	};

	return TPMLIB_ChooseTPMVersion(TPMLIB_TPM_VERSION_2) == TPM_SUCCESS &&
	       TPMLIB_RegisterCallbacks(&calls) == TPM_SUCCESS;
}

void library_stop(void)
{
	if (library.running)
		TPMLIB_Terminate();
	library.running = false;
}

u32 library_init(void)
{
	library_stop();
	library.locality = 0;
	u32 result = TPMLIB_MainInit();
	library.running = result == TPM_SUCCESS;
	return result;
}

bool library_running(void)
{
	return library.running;
}

u32 library_locality(u8 locality)
{
	if (locality > 4)
		return TPM_BAD_LOCALITY;
	library.locality = locality;
	return TPM_SUCCESS;
}

/* ---- work ---- */

u32 library_command(u8 *command, u32 size, u8 **answer, u32 *answer_size)
{
	u32 result = TPMLIB_Process(&library.answer, answer_size, &library.answer_room, command, size);

	*answer = library.answer;
	return result;
}

u32 library_hash_start(void)
{
	return TPM_IO_Hash_Start();
}

u32 library_hash_data(const u8 *data, u32 size)
{
	return TPM_IO_Hash_Data(data, size);
}

u32 library_hash_end(void)
{
	return TPM_IO_Hash_End();
}

u32 library_established(bool *established)
{
	TPM_BOOL bit = FALSE;
	u32 result = TPM_IO_TpmEstablished_Get(&bit);

	*established = bit;
	return result;
}

u32 library_reset_established(u8 locality)
{
	u8 before = library.locality;
	u32 result = library_locality(locality);

	if (result == TPM_SUCCESS)
		result = TPM_IO_TpmEstablished_Reset();
	library.locality = before;
	return result;
}

u32 library_cancel(void)
{
	return TPMLIB_CancelCommand();
}

u32 library_buffer(u32 wanted, u32 *least, u32 *most)
{
	return TPMLIB_SetBufferSize(wanted, least, most);
}

char *library_info(u32 flags)
{
	return TPMLIB_GetInfo(flags);
}

/* ---- state ---- */

u32 library_stores(void)
{
	return library.stores;
}

u32 library_set_permanent(const u8 *data, u32 size)
{
	u8 *p = copy(data, size);

	if (!p)
		return TPM_SIZE;
	free(library.permanent);
	library.permanent = p;
	library.permanent_size = size;
	u32 result = TPMLIB_ValidateState(TPMLIB_STATE_PERMANENT, 0);
	if (result != TPM_SUCCESS)
		forget(0, TPM_PERMANENT_ALL_NAME, FALSE);
	return result;
}

u32 library_get_state(unsigned type, u8 **data, u32 *size)
{
	*data = NULL;
	*size = 0;
	if (type == WIRE_VOLATILE)
		return TPMLIB_GetState(TPMLIB_STATE_VOLATILE, data, size);
	if (type != WIRE_PERMANENT || !library.permanent)
		return TPM_FAIL;
	*data = copy(library.permanent, library.permanent_size);
	*size = library.permanent_size;
	return *data ? TPM_SUCCESS : TPM_SIZE;
}
