/* elfutils' libdw, loaded at run time. */
#include "symbols/elfutils.h"

#include <dlfcn.h>

static bool find(struct elfutils *u)
{
#define FIND(name)                                                                                                     \
	*(void **)&u->name = dlsym(u->library, #name);                                                                 \
	if (!u->name)                                                                                                  \
		return false;
	ELFUTILS(FIND)
#undef FIND
	return true;
}

struct elfutils *elfutils_load(void)
{
	struct elfutils *u = base_alloc(sizeof(*u));

	if (!u)
		return NULL;
	u->library = dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);
	if (u->library && find(u))
		return u;
	elfutils_unload(u);
	return NULL;
}

void elfutils_unload(struct elfutils *u)
{
	if (u && u->library)
		dlclose(u->library);
	base_free(u);
}
