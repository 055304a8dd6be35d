#include "api/api.h"

ts_status api_status(enum status s)
{
	static const ts_status map[] = {
	        [ST_OK] = TS_OK,  [ST_ARG] = TS_EARG,     [ST_NOMEM] = TS_ENOMEM,
	        [ST_IO] = TS_EIO, [ST_FAULT] = TS_EFAULT, [ST_STATE] = TS_ESTATE,
	};

	return map[s];
}
