/*
 * The device exclusion vector, one bit a page of physical memory: "External Access Protection". Its table has 128 KiB for
 * 4 GiB and does not fit into the SLB, which is all that SL_DEV protects. So it begins in the SLB's last two pages: these
 * have the bits of the first 256 MiB, where the SLB and the rest of the table lie. Once they are all ones and DEV is on,
 * no device reaches the rest, which is then filled in: there is no moment at which a device could have changed a bit.
 */
#include "loader.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc, CAPABILITY_ID = 0x0f };
/* "DEV Register Access Mechanism": FUNCTION in bits 15:8 of DEV_OP, INDEX in 7:0. */
enum { BASE_LO, BASE_HI, MAP, CAP, CR, ERR_STATUS, ERR_ADDR_LO };
enum { CR_ENABLE = 1 << 0, CR_IOSPEN = 1 << 2, CR_INVALIDATE = 1 << 4, CR_SL_DEV_EN = 1 << 5 };
enum { BASE_V = 1 << 0, BASE_P = 1 << 1, TABLE_SIZE = 0x20000, IN_SLB = SLB_SIZE - AT_DEV_TABLE };
#define ERR_VALID (1u << 31)

static u32 block; /* configuration address of the capability block; 0: none */

static u32 config_read(u32 address)
{
	outl(CONFIG_ADDRESS, address);
	return inl(CONFIG_DATA);
}

static void config_write(u32 address, u32 v)
{
	outl(CONFIG_ADDRESS, address);
	outl(CONFIG_DATA, v);
}

static u32 dev_read(u32 function, u32 index)
{
	config_write(block + 4, function << 8 | index);
	return config_read(block + 8);
}

static void dev_write(u32 function, u32 index, u32 v)
{
	config_write(block + 4, function << 8 | index);
	config_write(block + 8, v);
}

/* "DEV Capability Block": in a list that begins at 34h if bit 4 of the status register says that there is one. */
static u32 capability(u32 function)
{
	if (config_read(function) == 0xffffffff || !(config_read(function + 4) & 1 << 20))
		return 0;
	for (u32 at = config_read(function + 0x34) & 0xfc, n = 0; at && n < 48; n++) {
		u32 header = config_read(function + at);

		if ((header & 0xff) == CAPABILITY_ID)
			return function + at;
		at = header >> 8 & 0xfc;
	}
	return 0;
}

/* Northbridges are devices 18h to 1Fh of bus 0; the first one's block is the only one on a machine with one node. */
bool dev_find(void)
{
	for (u32 n = 0x18 << 3; n < 0x20 << 3 && !block; n++)
		block = capability(0x80000000 | n << 8);
	return block != 0;
}

static void invalidate(u32 cr)
{
	dev_write(CR, 0, cr | CR_INVALIDATE);
	while (dev_read(CR, 0) & CR_INVALIDATE) /* "cleared by hardware when invalidation is complete" */
		pause();
}

/* Every device has one domain and one table: nothing of memory is for any of them. */
void dev_close_memory(u32 slb)
{
	u32 cap = dev_read(CAP, 0), table = slb + AT_DEV_TABLE, cr = CR_SL_DEV_EN | CR_IOSPEN | CR_ENABLE;

	memset((void *)table, 0xff, IN_SLB);
	for (u32 n = 0; n < (cap >> 16 & 0xff); n++)
		dev_write(MAP, n, 0); /* matches nothing: domain 0 */
	for (u32 n = 0; n < (cap >> 8 & 0xff); n++) {
		dev_write(BASE_HI, n, 0);
		dev_write(BASE_LO, n, table | BASE_P | BASE_V); /* SIZE 0: 4 GiB, and nothing beyond */
	}
	invalidate(cr);
	memset((void *)(table + IN_SLB), 0xff, TABLE_SIZE - IN_SLB); /* behind the closed door */
	invalidate(cr);
	print("loader: DEV is on: %u domains, one table at 0x%x, all memory and ports closed to devices\n", cap >> 8 & 0xff, table);
}

bool dev_refused(u32 *address, u32 *device)
{
	u32 status = dev_read(ERR_STATUS, 0);

	*address = dev_read(ERR_ADDR_LO, 0);
	*device = status >> 8 & 0x1f;
	return status & ERR_VALID;
}

/* "Aborting MP initialization": SL_DEV_EN falls, and with it whatever we turned on. */
void dev_open(void)
{
	if (!block)
		return;
	dev_write(CR, 0, CR_INVALIDATE);
	for (u32 n = 0; n < (dev_read(CAP, 0) >> 8 & 0xff); n++)
		dev_write(BASE_LO, n, 0);
	dev_write(ERR_STATUS, 0, 0);
}
