#include "machine/acpi/loader.h"

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, NAME = 56 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

static void put32(u8 *p, u32 v)
{
	for (unsigned n = 0; n < 4; n++)
		p[n] = (u8)(v >> 8 * n);
}

/* The next command, all zeros but for its number. */
static u8 *command(struct acpi_loader *l, u32 what)
{
	static u8 nowhere[LOADER_COMMAND];
	u8 *c = nowhere;

	if (l->n < LOADER_COMMANDS)
		c = l->script + LOADER_COMMAND * l->n++;
	else
		l->failed = true;
	memset(c, 0, LOADER_COMMAND);
	put32(c, what);
	return c + 4;
}

static void name(u8 *c, const char *file)
{
	memcpy(c, file, strlen(file));
}

static void allocate(struct acpi_loader *l, const char *file, u32 align, u8 zone)
{
	u8 *c = command(l, ALLOCATE);

	name(c, file);
	put32(c + NAME, align);
	c[NAME + 4] = zone;
}

void loader_pointer(struct acpi_loader *l, const char *file, u32 at, u8 size)
{
	u8 *c = command(l, ADD_POINTER);

	name(c, file);
	name(c + NAME, LOADER_TABLES);
	put32(c + 2 * NAME, at);
	c[2 * NAME + 4] = size;
}

void loader_checksum(struct acpi_loader *l, const char *file, u32 at, u32 start, u32 length)
{
	u8 *c = command(l, ADD_CHECKSUM);

	name(c, file);
	put32(c + NAME, at);
	put32(c + NAME + 4, start);
	put32(c + NAME + 8, length);
}

struct acpi_loader *loader_new(void)
{
	struct acpi_loader *l = base_alloc(sizeof(*l));

	if (!l)
		return NULL;
	allocate(l, LOADER_RSDP, 16, ZONE_FSEG);
	allocate(l, LOADER_TABLES, 64, ZONE_HIGH);
	return l;
}

void loader_free(struct acpi_loader *l)
{
	base_free(l);
}

void loader_offer(struct acpi_loader *l, struct device *fwcfg, const u8 *tables, u32 size, const u8 *rsdp, u32 rsdp_size)
{
	if (fwcfg_add_file(fwcfg, LOADER_TABLES, tables, size) != ST_OK ||
	    fwcfg_add_file(fwcfg, LOADER_RSDP, rsdp, rsdp_size) != ST_OK ||
	    fwcfg_add_file(fwcfg, "etc/table-loader", l->script, l->n * LOADER_COMMAND) != ST_OK)
		l->failed = true;
}
