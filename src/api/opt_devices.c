/* Disks, networks, channels and -device: QEMU's words for what MACHINE has. */
#include "api/options.h"

#define BAD(...) err_set(err, ST_ARG, __VA_ARGS__)

static struct named_backend *backend(struct options *o, unsigned kind, const char *id)
{
	for (unsigned i = 0; id && i < o->backends; i++)
		if ((unsigned)o->backend[i].kind == kind && o->backend[i].id && !strcmp(o->backend[i].id, id))
			return &o->backend[i];
	return NULL;
}

static struct named_backend *new_backend(struct options *o)
{
	return o->backends < OPT_BACKENDS ? &o->backend[o->backends++] : NULL;
}

/* ---- disks ---- */

static enum status add_disk(struct options *o, const struct disk_config *d, struct err *err)
{
	if (!d->path || !*d->path)
		return BAD("a disk without a file name");
	if (o->cfg.disks == MACHINE_DISKS)
		return BAD("%s: at most %d disks", d->path, MACHINE_DISKS);
	o->cfg.disk[o->cfg.disks++] = *d;
	return ST_OK;
}

OPT_SET(disk)
{
	struct disk_config d = {.devfn = -1};
	const char *p = value;
	char *key, *v;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		if (!d.path && (!key || !strcmp(key, "file")))
			d.path = v;
		else if (!key && (!strcmp(v, "ro") || !strcmp(v, "readonly")))
			d.readonly = true;
		else if (!key && !strcmp(v, "snapshot"))
			d.snapshot = true;
		else if (key && !strcmp(key, "serial"))
			d.serial = v;
		else
			return BAD("--disk %s: '%s' is unknown (ro, snapshot, serial=)", value, key ? key : v);
	}
	return add_disk(o, &d, err);
}

OPT_SET(hda)
{
	struct disk_config d = {.path = value, .devfn = -1};

	(void)row;
	return add_disk(o, &d, err);
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

OPT_SET(drive)
{
	static const char *const ignored[] = {"cache", "aio",   "discard", "detect-zeroes", "werror",    "rerror",
	                                      "index", "media", "bus",     "unit",          "node-name", NULL};
	struct named_backend *b = new_backend(o);
	const char *p = value, *interface = "virtio";
	char *key, *v;

	(void)row;
	if (!b)
		return BAD("-drive: too many");
	b->kind = BACKEND_DRIVE;
	while (opt_item(o, &p, &key, &v)) {
		bool *flag = key && (!strcmp(key, "readonly") || !strcmp(key, "read-only")) ? &b->readonly
		             : key && !strcmp(key, "snapshot")                              ? &b->snapshot
		                                                                            : NULL;
		if (flag) {
			if (!opt_bool(v, flag))
				return BAD("-drive %s=%s: on or off", key, v);
		} else if (!key || !strcmp(key, "file")) {
			b->path = v;
		} else if (!strcmp(key, "id")) {
			b->id = v;
		} else if (!strcmp(key, "serial")) {
			b->serial = v;
		} else if (!strcmp(key, "if")) {
			interface = v;
		} else if (!strcmp(key, "format")) {
			if (strcmp(v, "raw"))
				return BAD("-drive format=%s: raw images only; convert with: qemu-img convert -O raw "
				           "IN OUT",
				           v);
		} else if (!is_one_of(key, ignored)) {
			return BAD("-drive %s=%s: unknown key", key, v);
		}
	}
	if (!b->path)
		return BAD("-drive: file=FILE is needed");
	if (!strcmp(interface, "none"))
		return ST_OK;
	if (strcmp(interface, "virtio"))
		return BAD("-drive if=%s: no such disk controller; use if=virtio", interface);
	b->used = true;
	struct disk_config d = {b->path, b->serial, b->readonly, b->snapshot, -1};
	return add_disk(o, &d, err);
}

/* ---- networks ---- */

static bool hex_byte(const char *s, u8 *v)
{
	unsigned x = 0;

	for (unsigned i = 0; i < 2; i++) {
		char c = (char)(s[i] | 0x20);
		if (s[i] >= '0' && s[i] <= '9')
			x = x * 16 + (unsigned)(s[i] - '0');
		else if (c >= 'a' && c <= 'f')
			x = x * 16 + (unsigned)(c - 'a' + 10);
		else
			return false;
	}
	*v = (u8)x;
	return true;
}

static bool parse_mac(const char *s, u8 mac[6])
{
	for (unsigned i = 0; i < 6; i++, s += 3)
		if (!hex_byte(s, &mac[i]) || s[2] != (i < 5 ? ':' : 0))
			return false;
	return true;
}

static void default_mac(struct net_config *n, unsigned index)
{
	static const u8 mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	memcpy(n->mac, mac, sizeof(mac));
	n->mac[5] = (u8)(n->mac[5] + index);
	n->devfn = -1;
}

static enum status add_net(struct options *o, const struct net_config *n, struct err *err)
{
	if (o->cfg.nets == MACHINE_NETS)
		return BAD("at most %d network cards", MACHINE_NETS);
	o->cfg.net[o->cfg.nets++] = *n;
	return ST_OK;
}

/* The keys of a user network and of its card; *id for -netdev. */
static enum status net_keys(struct options *o, const char *what, const char *p, struct net_config *n, char **id,
                            struct err *err)
{
	static const char *const ignored[] = {"restrict",  "ipv4",     "ipv6",  "net",  "host", "dns",
	                                      "dhcpstart", "hostname", "model", "vlan", "name", NULL};
	char *key, *v;
	unsigned k = 0;

	while (opt_item(o, &p, &key, &v)) {
		if (!key)
			return BAD("%s: '%s' is not KEY=VALUE", what, v);
		if (!strcmp(key, "hostfwd")) {
			if (k == MACHINE_HOSTFWD)
				return BAD("%s: at most %d hostfwd", what, MACHINE_HOSTFWD);
			n->hostfwd[k++] = v;
		} else if (!strcmp(key, "mac") || !strcmp(key, "macaddr")) {
			if (!parse_mac(v, n->mac))
				return BAD("%s mac=%s: not a MAC address", what, v);
		} else if (!strcmp(key, "id")) {
			*id = v;
		} else if (!strcmp(key, "model") && strncmp(v, "virtio", 6)) {
			return BAD("%s model=%s: virtio is the only card; use model=virtio-net-pci", what, v);
		} else if (!is_one_of(key, ignored)) {
			return BAD("%s: unknown key '%s' (hostfwd, mac)", what, key);
		}
	}
	return ST_OK;
}

OPT_SET(net)
{
	struct net_config n = {.devfn = -1};
	char what[32], *id = NULL;
	size_t k = strcspn(value, ",");

	snprintf(what, sizeof(what), "-%s %.*s", row->name, (int)min_u64(k, 16), value);
	if (!strcmp(value, "none"))
		return ST_OK;
	/* QEMU's old pair "-net nic -net user": the card comes with the network here. */
	if (k == 3 && !memcmp(value, "nic", 3))
		return ST_OK;
	if (k != 4 || memcmp(value, "user", 4))
		return BAD("%s: no such network; use user or none", what);
	default_mac(&n, o->cfg.nets);
	enum status s = net_keys(o, what, value[k] ? value + k + 1 : "", &n, &id, err);
	return s == ST_OK ? add_net(o, &n, err) : s;
}

OPT_SET(netdev)
{
	struct named_backend *b = new_backend(o);
	size_t k = strcspn(value, ",");

	(void)row;
	if (!b)
		return BAD("-netdev: too many");
	b->kind = BACKEND_NET;
	if (k != 4 || memcmp(value, "user", 4))
		return BAD("-netdev %.*s: no such network; use user", (int)min_u64(k, 64), value);
	default_mac(&b->net, o->backends - 1);
	enum status s = net_keys(o, "-netdev", value[k] ? value + k + 1 : "", &b->net, &b->id, err);
	return s != ST_OK ? s : b->id ? ST_OK : BAD("-netdev user: id=ID is needed");
}

/* ---- channels and objects ---- */

/* The channel spec that QEMU's -chardev words mean; NULL: out of memory. */
static char *channel_spec(struct options *o, const char *type, const char *path, bool server, bool wait)
{
	char text[512];

	if (!strcmp(type, "file"))
		snprintf(text, sizeof(text), "file:%s", path);
	else if (!strcmp(type, "socket"))
		snprintf(text, sizeof(text), "unix:%s%s%s", path, server ? ",server=on" : "", wait ? "" : ",wait=off");
	else
		snprintf(text, sizeof(text), "%s", type);
	return opt_copy(o, text, strlen(text));
}

OPT_SET(chardev)
{
	static const char *const types[] = {"stdio", "null", "pty", "file", "socket", NULL};
	struct named_backend *b = new_backend(o);
	const char *p = value, *type = NULL, *path = "";
	bool server = false, wait = true;
	char *key, *v;

	(void)row;
	if (!b)
		return BAD("-chardev: too many");
	b->kind = BACKEND_CHAR;
	while (opt_item(o, &p, &key, &v)) {
		if (!type && (!key || !strcmp(key, "backend")))
			type = v;
		else if (key && !strcmp(key, "id"))
			b->id = v;
		else if (key && !strcmp(key, "path"))
			path = v;
		else if ((key && !strcmp(key, "server")) || (!key && !strcmp(v, "server")))
			opt_bool(key ? v : NULL, &server);
		else if ((key && !strcmp(key, "wait")) || (!key && !strcmp(v, "nowait")))
			opt_bool(key ? v : "off", &wait);
		else if (!key || (strcmp(key, "mux") && strcmp(key, "signal") && strcmp(key, "logfile")))
			return BAD("-chardev %s: unknown key '%s'", type ? type : "", key ? key : v);
	}
	if (!type || !is_one_of(type, types))
		return BAD("-chardev %s: unknown kind (stdio, null, pty, file, socket)", type ? type : "");
	if (!b->id)
		return BAD("-chardev %s: id=ID is needed", type);
	b->path = channel_spec(o, type, path, server, wait);
	return b->path ? ST_OK : opt_nomem(err);
}

OPT_SET(object)
{
	(void)row;
	(void)o;
	if (!strncmp(value, "rng-", 4) || !strncmp(value, "memory-backend-ram", 18))
		return ST_OK; /* randomness comes from --seed, RAM from -m */
	return BAD("-object %.*s: no such object", (int)strcspn(value, ","), value);
}

/* ---- -device ---- */

/* The keys of one -device; what is not among them is a placement or tuning word without meaning here. */
struct keys {
	char *drive, *netdev, *chardev, *serial, *mac;
	u64 iobase, iosize;
	int devfn;
};

struct device_row {
	const char *name, *alias, *bus, *desc;
	enum status (*add)(struct options *o, const struct keys *k, struct err *err);
};

static enum status add_debugexit(struct options *o, const struct keys *k, struct err *err)
{
	u64 base = k->iobase == ~0ull ? 0x501 : k->iobase, size = k->iosize == ~0ull ? 2 : k->iosize;

	if (base > 0xffff || size < 1 || size > 4 || base + size > 0x10000)
		return BAD("-device isa-debug-exit: iobase is a port, iosize 1 to 4");
	o->cfg.debugexit_port = (u16)base;
	o->cfg.debugexit_size = (u16)size;
	return ST_OK;
}

static enum status add_testdev(struct options *o, const struct keys *k, struct err *err)
{
	(void)k;
	(void)err;
	o->cfg.testdev = true;
	return ST_OK;
}

static enum status add_pcitestdev(struct options *o, const struct keys *k, struct err *err)
{
	(void)k;
	(void)err;
	o->cfg.pcitestdev = true;
	return ST_OK;
}

static enum status add_virtio_blk(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_DRIVE, k->drive);

	if (!b)
		return BAD("-device virtio-blk-pci: drive=%s: no -drive with this id (with if=none)",
		           k->drive ? k->drive : "");
	if (b->used)
		return BAD("-device virtio-blk-pci: drive=%s is in use already", k->drive);
	b->used = true;
	struct disk_config d = {b->path, k->serial ? k->serial : b->serial, b->readonly, b->snapshot, k->devfn};
	return add_disk(o, &d, err);
}

static enum status add_virtio_net(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_NET, k->netdev);

	if (!b || b->used)
		return BAD("-device virtio-net-pci: netdev=%s: no free -netdev with this id",
		           k->netdev ? k->netdev : "");
	b->used = true;
	b->net.devfn = k->devfn;
	if (k->mac && !parse_mac(k->mac, b->net.mac))
		return BAD("-device virtio-net-pci: mac=%s: not a MAC address", k->mac);
	return add_net(o, &b->net, err);
}

static enum status add_virtio_rng(struct options *o, const struct keys *k, struct err *err)
{
	(void)k;
	(void)err;
	o->cfg.rngs++;
	return ST_OK;
}

/* The bus of virtconsole: the console brings its own. */
static enum status add_virtio_serial(struct options *o, const struct keys *k, struct err *err)
{
	(void)o;
	(void)k;
	(void)err;
	return ST_OK;
}

static enum status add_virtconsole(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_CHAR, k->chardev);

	if (!b || b->used)
		return BAD("-device virtconsole: chardev=%s: no free -chardev with this id",
		           k->chardev ? k->chardev : "");
	if (o->cfg.consoles == MACHINE_CONSOLES)
		return BAD("-device virtconsole: at most %d", MACHINE_CONSOLES);
	b->used = true;
	o->cfg.console[o->cfg.consoles++] = b->path;
	return ST_OK;
}

static const struct device_row devices[] = {
        {"isa-debug-exit", NULL, "ISA", "", add_debugexit},
        {"pc-testdev", NULL, "ISA", "", add_testdev},
        {"pci-testdev", NULL, "PCI", "PCI Test Device", add_pcitestdev},
        {"virtconsole", NULL, "virtio-serial-bus", "", add_virtconsole},
        {"virtio-blk-pci", "virtio-blk", "PCI", "", add_virtio_blk},
        {"virtio-net-pci", "virtio-net", "PCI", "", add_virtio_net},
        {"virtio-rng-pci", "virtio-rng", "PCI", "", add_virtio_rng},
        {"virtio-serial-pci", "virtio-serial", "PCI", "", add_virtio_serial},
};

static const char *device_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < ARRAY_LEN(devices) ? devices[i].name : NULL;
}

void opt_device_help(FILE *f)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		const struct device_row *d = &devices[i];
		fprintf(f, "name \"%s\", bus %s%s%s%s%s%s%s\n", d->name, d->bus, d->alias ? ", alias \"" : "",
		        d->alias ? d->alias : "", d->alias ? "\"" : "", *d->desc ? ", desc \"" : "", d->desc,
		        *d->desc ? "\"" : "");
	}
}

/* addr=SLOT[.FUNCTION], hexadecimal. */
static bool parse_addr(const char *s, int *devfn)
{
	unsigned slot = 0, fn = 0;
	int used = 0;

	if (sscanf(s, "%x.%x%n", &slot, &fn, &used) < 1 || slot > 31 || fn > 7)
		return false;
	*devfn = (int)(slot << 3 | fn);
	return true;
}

static enum status device_keys(struct options *o, const char *name, const char *p, struct keys *k, struct err *err)
{
	char *key, *v;

	while (opt_item(o, &p, &key, &v)) {
		if (!key)
			return BAD("-device %s: '%s' is not KEY=VALUE", name, v);
		char **text = !strcmp(key, "drive")     ? &k->drive
		              : !strcmp(key, "netdev")  ? &k->netdev
		              : !strcmp(key, "chardev") ? &k->chardev
		              : !strcmp(key, "serial")  ? &k->serial
		              : !strcmp(key, "mac")     ? &k->mac
		                                        : NULL;
		u64 *number = !strcmp(key, "iobase") ? &k->iobase : !strcmp(key, "iosize") ? &k->iosize : NULL;
		if (text)
			*text = v;
		else if (number && !opt_number(v, number))
			return BAD("-device %s: %s=%s: not a number", name, key, v);
		else if (!strcmp(key, "addr") && !parse_addr(v, &k->devfn))
			return BAD("-device %s: addr=%s: not SLOT or SLOT.FUNCTION", name, v);
		else if (!strcmp(key, "disable-modern") && strcmp(v, "off") && strcmp(v, "false"))
			return BAD("-device %s: disable-modern=%s: modern virtio only", name, v);
	}
	return ST_OK;
}

/* Backends may follow the device that names them: remember the words. */
OPT_SET(device)
{
	(void)row;
	if (o->devices == ARRAY_LEN(o->device))
		return BAD("-device: at most %d", OPT_BACKENDS);
	o->device[o->devices++] = value;
	return ST_OK;
}

static enum status add_device(struct options *o, const char *value, struct err *err)
{
	size_t n = strcspn(value, ",");
	struct keys k = {.iobase = ~0ull, .iosize = ~0ull, .devfn = -1};
	char name[65];

	snprintf(name, sizeof(name), "%.*s", (int)min_u64(n, 64), value);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		const struct device_row *d = &devices[i];
		if (strcmp(name, d->name) && (!d->alias || strcmp(name, d->alias)))
			continue;
		enum status s = device_keys(o, d->name, value[n] ? value + n + 1 : "", &k, err);
		return s == ST_OK ? d->add(o, &k, err) : s;
	}
	const char *near = opt_nearest(name, device_name, NULL);
	return BAD("-device %s: no such device%s%s%s; -device help lists them", name, near ? "; did you mean " : "",
	           near ? near : "", near ? "?" : "");
}

/* ---- when everything is read ---- */

/* --serial chardev:ID */
static enum status resolve_serial(struct options *o, unsigned i, struct err *err)
{
	char *spec = o->cfg.serial[i];

	if (!spec || strncmp(spec, "chardev:", 8))
		return ST_OK;
	struct named_backend *b = backend(o, BACKEND_CHAR, spec + 8);
	if (!b || b->used)
		return BAD("--serial %s: no free -chardev with this id", spec);
	b->used = true;
	o->cfg.serial[i] = b->path;
	return ST_OK;
}

enum status opt_finish_devices(struct options *o, struct err *err)
{
	for (unsigned i = 0; i < o->devices; i++) {
		enum status s = add_device(o, o->device[i], err);
		if (s != ST_OK)
			return s;
	}
	for (unsigned i = 0; i < ARRAY_LEN(o->cfg.serial); i++) {
		enum status s = resolve_serial(o, i, err);
		if (s != ST_OK)
			return s;
	}
	for (unsigned i = 0; i < o->cfg.disks; i++)
		o->cfg.disk[i].snapshot |= o->snapshot_all;
	return ST_OK;
}
