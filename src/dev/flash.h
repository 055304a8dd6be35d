/* Flash with Intel's command set (flash.c), and what it is made from. */
#ifndef DEV_FLASH_H
#define DEV_FLASH_H

#include "base/os.h"
#include "dev/devices.h"

#define FLASH_BLOCK 4096

struct flash_config {
	const char *option; /* for messages */
	u64 base, size;     /* of whole blocks */
	const u8 *data;     /* what is in it; copied */
	bool writable;      /* else every block is locked */
	bool smm_only;      /* hears nobody outside system management mode */
	struct os_kept file; /* where changes go; becomes the device's. No path: nowhere */
	void (*lost)(void *arg, const char *text); /* the file cannot be written */
	void *arg;
};
enum status flash_create(struct device **out, const struct dev_env *e, struct flash_config *cfg, struct err *err);

#endif
