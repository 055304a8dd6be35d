/* The names of everything that may be refused, whoever made the processor. */
#include "cpu/control/smm_map.h"
#include "model/model.h"

static const char *common_id(size_t n)
{
	return n ? NULL : CHECK_GUEST_SHUTDOWN;
}

const char *model_check_id(size_t n)
{
	const char *(*const lists[])(size_t n) = {model_intel.virt->check_id, model_amd.virt->check_id, smm_check_id, common_id};
	const char *id;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		for (size_t at = 0; (id = lists[k](at)) != NULL; at++)
			if (!n--)
				return id;
	return NULL;
}
