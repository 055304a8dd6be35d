/* Disks, networks, channels and -device: QEMU's words for what MACHINE has. */
#include "api/options.h"

#include <stdlib.h>

#define BAD(...)  opt_bad(o, err, __VA_ARGS__)
#define NOTE(...) opt_note(o, err, __VA_ARGS__)

static struct named_backend *backend(struct options *o, unsigned kind, const char *id)
{
	for (unsigned i = 0; id && i < o->backends; i++)
		if ((unsigned)o->backend[i].kind == kind && o->backend[i].id && !strcmp(o->backend[i].id, id))
			return &o->backend[i];
	return NULL;
}

static struct named_backend *new_backend(struct options *o)
{
	if (o->backends == OPT_BACKENDS)
		return NULL;
	o->backend[o->backends].option = o->option;
	return &o->backend[o->backends++];
}

/* One name for one thing: -device could not tell two apart. */
static enum status check_id(struct options *o, const struct named_backend *b, struct err *err)
{
	if (b->id && !*b->id)
		return BAD(": id= is empty");
	return b->id && backend(o, b->kind, b->id) != b ? BAD(" id=%s: this id is given already", b->id) : ST_OK;
}

/* ---- disks ---- */

static enum status add_disk(struct options *o, const struct disk_config *d, struct err *err)
{
	if (!d->path || !*d->path)
		return BAD(": the file name is empty");
	if (d->serial && strlen(d->serial) > 20)
		return BAD(" serial=%s: at most 20 characters", d->serial);
	if (o->cfg.disks == MACHINE_DISKS)
		return BAD(" %s: at most %d disks", d->path, MACHINE_DISKS);
	o->cfg.disk[o->cfg.disks++] = *d;
	return ST_OK;
}

OPT_SET(disk)
{
	struct disk_config d = {.devfn = -1, .option = o->option};
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
			return BAD(" %s: '%s' is unknown (ro, snapshot, serial=)", value, key ? key : v);
	}
	return add_disk(o, &d, err);
}

OPT_SET(hda)
{
	struct disk_config d = {.path = value, .devfn = -1, .option = o->option};

	(void)row;
	return add_disk(o, &d, err);
}

/* One key of -drive. What only tunes QEMU's block layer, or places the drive on a bus that is not there, is silent. */
static enum status drive_key(struct options *o, struct named_backend *b, const char **interface, const char *key,
                             char *v, struct err *err)
{
	static const char silent[] = "cache aio discard detect-zeroes index bus unit node-name copy-on-read";
	bool *flag = opt_listed("readonly read-only", key) ? &b->readonly
	             : !strcmp(key, "snapshot")            ? &b->snapshot
	                                                   : NULL;

	if (flag)
		return opt_bool(v, flag) ? ST_OK : BAD(" %s=%s: on or off", key, v);
	if (!strcmp(key, "file")) {
		if (b->path)
			return BAD(" file=%s: a file is given already (%s)", v, b->path);
		b->path = v;
	} else if (!strcmp(key, "id")) {
		b->id = v;
	} else if (!strcmp(key, "serial")) {
		b->serial = v;
	} else if (!strcmp(key, "if")) {
		*interface = v;
	} else if (!strcmp(key, "format")) {
		if (strcmp(v, "raw"))
			return BAD(" format=%s: raw images only; convert with: qemu-img convert -O raw IN OUT", v);
	} else if (!strcmp(key, "media")) {
		if (strcmp(v, "disk"))
			return BAD(" media=%s: no CD drive; use --disk FILE,ro", v);
	} else if (opt_listed("werror rerror", key)) {
		if (!opt_listed("report enospc ignore stop auto", v))
			return BAD(" %s=%s: unknown", key, v);
		if (!strcmp(v, "ignore") || !strcmp(v, "stop"))
			return NOTE(" %s=%s: an error is reported to the guest all the same", key, v);
	} else if (!opt_listed(silent, key)) {
		return BAD(" %s=%s: unknown key", key, v);
	}
	return ST_OK;
}

OPT_SET(drive)
{
	struct named_backend *b = new_backend(o);
	const char *p = value, *interface = "virtio";
	char *key, *v;

	(void)row;
	if (!b)
		return BAD(": at most %d drives, networks and channels", OPT_BACKENDS);
	b->kind = BACKEND_DRIVE;
	while (opt_item(o, &p, &key, &v)) {
		bool flag = !key && opt_listed("readonly snapshot", v); /* alone: on */
		enum status s = drive_key(o, b, &interface, flag ? v : key ? key : "file", flag ? NULL : v, err);
		if (s != ST_OK)
			return s;
	}
	if (!b->path)
		return BAD(": file=FILE is needed");
	enum status s = check_id(o, b, err);
	if (s != ST_OK || !strcmp(interface, "none"))
		return s;
	if (strcmp(interface, "virtio"))
		return BAD(" if=%s: no such disk controller; use if=virtio", interface);
	b->used = true;
	struct disk_config d = {b->path, b->serial, b->readonly, b->snapshot, -1, b->option};
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

static void default_card(const struct options *o, struct net_config *n, unsigned index)
{
	static const u8 mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	n->option = o->option;
	memcpy(n->mac, mac, sizeof(mac));
	n->mac[5] = (u8)(n->mac[5] + index);
	n->devfn = -1;
}

static enum status add_net(struct options *o, const struct net_config *n, struct err *err)
{
	if (o->cfg.nets == MACHINE_NETS)
		return BAD(": at most %d network cards", MACHINE_NETS);
	o->cfg.net[o->cfg.nets++] = *n;
	return ST_OK;
}

/* What QEMU's user network can be told and this one cannot. */
static enum status untold(struct options *o, const char *key, const char *v, struct err *err)
{
	static const char plain[] = "vlan name", off[] = "restrict ipv6",
	                  words[] = "net host dns dhcpstart hostname tftp bootfile";
	bool on;

	if (opt_listed(plain, key))
		return ST_OK;
	if (opt_listed(words, key))
		return NOTE(" %s=%s: has no effect", key, v);
	if (!opt_listed(off, key) && strcmp(key, "ipv4"))
		return BAD(": unknown key '%s' (hostfwd, mac)", key);
	if (!opt_bool(v, &on))
		return BAD(" %s=%s: on or off", key, v);
	if (!strcmp(key, "restrict") && on)
		return BAD(" restrict=%s: the network cannot be restricted; leave it out", v);
	return on == !strcmp(key, "ipv4") ? ST_OK : NOTE(" %s=%s: has no effect", key, v);
}

/* The keys of a user network and of its card; *id for -netdev. */
static enum status net_keys(struct options *o, const char *p, struct net_config *n, char **id, struct err *err)
{
	char *key, *v;
	unsigned k = 0;

	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		if (!key)
			return BAD(": '%s' is not KEY=VALUE", v);
		if (!strcmp(key, "hostfwd")) {
			if (k == MACHINE_HOSTFWD)
				return BAD(": at most %d hostfwd", MACHINE_HOSTFWD);
			n->hostfwd[k++] = v;
		} else if (!strcmp(key, "mac") || !strcmp(key, "macaddr")) {
			s = parse_mac(v, n->mac) ? ST_OK : BAD(" mac=%s: not a MAC address", v);
		} else if (!strcmp(key, "id")) {
			*id = v;
		} else if (!strcmp(key, "model")) {
			if (!opt_listed("virtio virtio-net virtio-net-pci", v))
				return BAD(" model=%s: virtio is the only card; use model=virtio-net-pci", v);
		} else {
			s = untold(o, key, v, err);
		}
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

/* What stands before the first comma is `word`: the keys behind it, NULL if it is another word. */
static const char *after(const char *value, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(value, word, n) || (value[n] && value[n] != ','))
		return NULL;
	return value[n] ? value + n + 1 : value + n;
}

/* QEMU's old pair "-net nic -net user": the card comes with the network here, and takes its address. */
static enum status old_card(struct options *o, const char *keys, struct err *err)
{
	struct net_config n;
	char *id = NULL;

	default_card(o, &n, o->cfg.nets);
	n.hostfwd[0] = NULL;
	enum status s = net_keys(o, keys, &n, &id, err);
	if (s == ST_OK && n.hostfwd[0])
		return BAD(" nic: hostfwd belongs to the network");
	if (s == ST_OK && strstr(keys, "mac"))
		return NOTE(" nic,%s: a card gets its address with its network: --net user,mac=...", keys);
	return s;
}

OPT_SET(net)
{
	struct net_config n = {.devfn = -1};
	const char *user = after(value, "user"), *nic = after(value, "nic");
	char *id = NULL;

	if (!strcmp(value, "none"))
		return ST_OK;
	if (nic && !strcmp(row->name, "net"))
		return old_card(o, nic, err);
	if (!user)
		return BAD(" %.*s: no such network; use user or none", (int)strcspn(value, ","), value);
	default_card(o, &n, o->cfg.nets);
	enum status s = net_keys(o, user, &n, &id, err);
	return s == ST_OK ? add_net(o, &n, err) : s;
}

OPT_SET(netdev)
{
	struct named_backend *b = new_backend(o);
	const char *user = after(value, "user");

	(void)row;
	if (!b)
		return BAD(": at most %d drives, networks and channels", OPT_BACKENDS);
	b->kind = BACKEND_NET;
	if (!user)
		return BAD(" %.*s: no such network; use user", (int)strcspn(value, ","), value);
	default_card(o, &b->net, o->backends - 1);
	enum status s = net_keys(o, user, &b->net, &b->id, err);
	if (s == ST_OK)
		s = b->id ? check_id(o, b, err) : BAD(" user: id=ID is needed");
	return s;
}

/* ---- channels and objects ---- */

/* The channel spec that QEMU's -chardev words mean; NULL: out of memory. */
static char *channel_spec(struct options *o, const char *type, const char *path, bool server, bool wait)
{
	char *text = NULL, *copy;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	if (!strcmp(type, "file"))
		fprintf(f, "file:%s", path);
	else if (!strcmp(type, "socket"))
		fprintf(f, "unix:%s%s%s", path, server ? ",server=on" : "", wait ? "" : ",wait=off");
	else
		fputs(type, f);
	fclose(f);
	copy = opt_copy(o, text, n);
	free(text);
	return copy;
}

struct chardev {
	const char *type, *path;
	bool server, wait;
};

static enum status chardev_key(struct options *o, struct named_backend *b, struct chardev *c, char *key, char *v,
                               struct err *err)
{
	const char *name = key ? key : v;
	bool ok = true, on;

	if (!c->type && (!key || !strcmp(key, "backend")))
		c->type = v;
	else if (!strcmp(name, "id") && key)
		b->id = v;
	else if (!strcmp(name, "path") && key)
		c->path = v;
	else if (!strcmp(name, "server"))
		ok = opt_bool(key ? v : NULL, &c->server);
	else if (!strcmp(name, "wait") || (!strcmp(name, "nowait") && !key))
		ok = opt_bool(key ? v : strcmp(name, "wait") ? "off" : NULL, &c->wait);
	else if (key && opt_listed("mux signal", key))
		ok = opt_bool(v, &on);
	else
		return BAD(" %s: unknown key '%s'", c->type ? c->type : "", name);
	return ok ? ST_OK : BAD(" %s=%s: on or off", name, v);
}

OPT_SET(chardev)
{
	struct named_backend *b = new_backend(o);
	struct chardev c = {.wait = true, .path = ""};
	const char *p = value;
	char *key, *v;

	(void)row;
	if (!b)
		return BAD(": at most %d drives, networks and channels", OPT_BACKENDS);
	b->kind = BACKEND_CHAR;
	while (opt_item(o, &p, &key, &v)) {
		enum status s = chardev_key(o, b, &c, key, v, err);
		if (s != ST_OK)
			return s;
	}
	if (!c.type || !opt_listed("stdio null pty file socket", c.type))
		return BAD(" %s: unknown kind (stdio, null, pty, file, socket)", c.type ? c.type : "");
	if (!b->id)
		return BAD(" %s: id=ID is needed", c.type);
	if (opt_listed("file socket", c.type) != (*c.path != 0))
		return BAD(" %s: path=PATH %s", c.type, *c.path ? "belongs to file and socket" : "is needed");
	b->path = channel_spec(o, c.type, c.path, c.server, c.wait);
	if (!strcmp(c.type, "socket") && !c.server)
		b->socket = c.path;
	return b->path ? check_id(o, b, err) : opt_nomem(err);
}

/* Another program's TPM; our own is --tpm. */
OPT_SET(tpmdev)
{
	struct named_backend *b = new_backend(o);
	const char *p = value;
	char *key, *v, *type = NULL;

	(void)row;
	if (!b)
		return BAD(": at most %d drives, networks and channels", OPT_BACKENDS);
	b->kind = BACKEND_TPM;
	while (opt_item(o, &p, &key, &v)) {
		if (!type && (!key || !strcmp(key, "type")))
			type = v;
		else if (key && !strcmp(key, "id"))
			b->id = v;
		else if (key && !strcmp(key, "chardev"))
			b->path = v;
		else
			return BAD(" %s: unknown key '%s' (id, chardev)", type ? type : "", key ? key : v);
	}
	if (!type || strcmp(type, "emulator"))
		return BAD(" %s: emulator is the only kind; --tpm has a TPM of its own", type ? type : "");
	if (!b->id || !b->path)
		return BAD(" %s: id=ID and chardev=ID are needed", type);
	return check_id(o, b, err);
}

/* Randomness comes from --seed, RAM from -m; what these objects are given elsewhere has no say here. */
OPT_SET(object)
{
	char kind[32];

	(void)row;
	snprintf(kind, sizeof(kind), "%.*s", (int)min_u64(strcspn(value, ","), 31), value);
	if (!strncmp(kind, "qom-type=", 9))
		memmove(kind, kind + 9, strlen(kind + 9) + 1);
	if (opt_listed("rng-random rng-builtin", kind))
		return NOTE(" %s: randomness comes from --seed here", kind);
	return opt_listed("memory-backend-ram iothread", kind) ? ST_OK : BAD(" %s: no such object", kind);
}

/* ---- -device ---- */

/* The keys of one -device; what is not among them is a placement or tuning word without meaning here. */
struct keys {
	char *drive, *netdev, *chardev, *tpmdev, *serial, *mac;
	u64 iobase, iosize, dma_mask;
	int devfn;
};

struct device_row {
	const char *name, *alias, *bus, *desc, *keys; /* keys: of its own, space-separated */
	enum status (*add)(struct options *o, const struct keys *k, struct err *err);
};

static enum status add_debugexit(struct options *o, const struct keys *k, struct err *err)
{
	u64 base = k->iobase == ~0ull ? 0x501 : k->iobase, size = k->iosize == ~0ull ? 2 : k->iosize;

	if (base > 0xffff || size < 1 || size > 4 || base + size > 0x10000)
		return BAD(" isa-debug-exit: iobase is a port, iosize 1 to 4");
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

static enum status add_edu(struct options *o, const struct keys *k, struct err *err)
{
	if (o->cfg.edus == MACHINE_EDUS)
		return BAD(" edu: at most %d", MACHINE_EDUS);
	o->cfg.edu[o->cfg.edus++] = (struct edu_config){
	        .dma_mask = k->dma_mask,
	        .devfn = k->devfn,
	};
	return ST_OK;
}

static enum status add_virtio_blk(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_DRIVE, k->drive);

	if (!b)
		return BAD(" virtio-blk-pci: drive=%s: no -drive with this id (with if=none)",
		           k->drive ? k->drive : "");
	if (b->used)
		return BAD(" virtio-blk-pci: drive=%s is in use already", k->drive);
	b->used = true;
	struct disk_config d = {b->path,  k->serial ? k->serial : b->serial, b->readonly, b->snapshot, k->devfn,
	                        b->option};
	return add_disk(o, &d, err);
}

static enum status add_virtio_net(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_NET, k->netdev);

	if (!b || b->used)
		return BAD(" virtio-net-pci: netdev=%s: no free -netdev with this id", k->netdev ? k->netdev : "");
	b->used = true;
	b->net.devfn = k->devfn;
	if (k->mac && !parse_mac(k->mac, b->net.mac))
		return BAD(" virtio-net-pci: mac=%s: not a MAC address", k->mac);
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
		return BAD(" virtconsole: chardev=%s: no free -chardev with this id", k->chardev ? k->chardev : "");
	if (o->cfg.consoles == MACHINE_CONSOLES)
		return BAD(" virtconsole: at most %d", MACHINE_CONSOLES);
	b->used = true;
	o->cfg.console_option[o->cfg.consoles] = b->option;
	o->cfg.console[o->cfg.consoles++] = b->path;
	return ST_OK;
}

static enum status add_tpm_tis(struct options *o, const struct keys *k, struct err *err)
{
	struct named_backend *b = backend(o, BACKEND_TPM, k->tpmdev);

	if (!b || b->used)
		return BAD(" tpm-tis: tpmdev=%s: no free -tpmdev with this id", k->tpmdev ? k->tpmdev : "");
	if (o->cfg.tpm_option)
		return BAD(" tpm-tis: there is a TPM already: %s", o->cfg.tpm_option);
	struct named_backend *c = backend(o, BACKEND_CHAR, b->path);
	if (!c || c->used)
		return BAD(" tpm-tis: chardev=%s: no free -chardev with this id", b->path);
	if (!c->socket)
		return BAD(" tpm-tis: chardev=%s: a socket is meant, of a swtpm that listens there", b->path);
	b->used = c->used = true;
	o->cfg.tpm_option = b->option;
	o->cfg.tpm_socket = c->socket;
	return ST_OK;
}

/* clang-format off */
static const struct device_row devices[] = {
	{"edu", NULL, "PCI", "", "dma_mask addr", add_edu},
	{"isa-debug-exit", NULL, "ISA", "", "iobase iosize", add_debugexit},
	{"pc-testdev", NULL, "ISA", "", "", add_testdev},
	{"pci-testdev", NULL, "PCI", "PCI Test Device", "", add_pcitestdev},
	{"tpm-tis", NULL, "ISA", "", "tpmdev", add_tpm_tis},
	{"virtconsole", NULL, "virtio-serial-bus", "", "chardev", add_virtconsole},
	{"virtio-blk-pci", "virtio-blk", "PCI", "", "drive serial addr", add_virtio_blk},
	{"virtio-net-pci", "virtio-net", "PCI", "", "netdev mac addr", add_virtio_net},
	{"virtio-rng-pci", "virtio-rng", "PCI", "", "", add_virtio_rng},
	{"virtio-serial-pci", "virtio-serial", "PCI", "", "", add_virtio_serial},
};
/* Of every device: names, order of booting, and tuning without a trace in the guest ... */
static const char silent_keys[] = "id bus bootindex romfile rombar multifunction ioeventfd iothread num-queues queue-size vectors "
                                  "mq nr name rng max-bytes period max_ports logical_block_size physical_block_size "
                                  "disable-legacy config-wce write-cache share-rw";
/* ... and what the guest would see, and does not. */
static const char absent_keys[] = "disable-modern iommu_platform packed ats scsi";
/* clang-format on */

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

	int n = sscanf(s, "%x%n.%x%n", &slot, &used, &fn, &used);
	if (n < 1 || s[used] || slot > 31 || fn > 7)
		return false;
	*devfn = (int)(slot << 3 | fn);
	return true;
}

static enum status device_key(struct options *o, const struct device_row *d, struct keys *k, char *key, char *v,
                              struct err *err)
{
	char **text = !strcmp(key, "drive")     ? &k->drive
	              : !strcmp(key, "netdev")  ? &k->netdev
	              : !strcmp(key, "chardev") ? &k->chardev
	              : !strcmp(key, "tpmdev")  ? &k->tpmdev
	              : !strcmp(key, "serial")  ? &k->serial
	              : !strcmp(key, "mac")     ? &k->mac
	                                        : NULL;
	u64 *number = !strcmp(key, "iobase")     ? &k->iobase
	              : !strcmp(key, "iosize")   ? &k->iosize
	              : !strcmp(key, "dma_mask") ? &k->dma_mask
	                                         : NULL;
	bool on;

	if (opt_listed(silent_keys, key))
		return ST_OK;
	if (opt_listed(absent_keys, key))
		return opt_bool(v, &on) && !on ? ST_OK : BAD(" %s: %s=%s: off is all there is", d->name, key, v);
	if (!opt_listed(d->keys, key))
		return !strcmp(key, "addr") ? NOTE(" %s: addr=%s: has no effect", d->name, v)
		                            : BAD(" %s: unknown key '%s'%s%s%s", d->name, key, *d->keys ? " (" : "",
		                                  d->keys, *d->keys ? ")" : "");
	if (text)
		*text = v;
	else if (number && !opt_number(v, number))
		return BAD(" %s: %s=%s: not a number", d->name, key, v);
	else if (!strcmp(key, "addr") && !parse_addr(v, &k->devfn))
		return BAD(" %s: addr=%s: not SLOT or SLOT.FUNCTION", d->name, v);
	return ST_OK;
}

static enum status device_keys(struct options *o, const struct device_row *d, const char *p, struct keys *k,
                               struct err *err)
{
	char *key, *v;

	while (opt_item(o, &p, &key, &v)) {
		if (!key)
			return BAD(" %s: '%s' is not KEY=VALUE", d->name, v);
		enum status s = device_key(o, d, k, key, v, err);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

/* Backends may follow the device that names them: remember the words. */
OPT_SET(device)
{
	(void)row;
	if (o->devices == ARRAY_LEN(o->device))
		return BAD(": at most %d", OPT_BACKENDS);
	o->device_option[o->devices] = o->option;
	o->device[o->devices++] = value;
	return ST_OK;
}

static enum status add_device(struct options *o, const char *value, struct err *err)
{
	size_t n = strcspn(value, ",");
	struct keys k = {.iobase = ~0ull, .iosize = ~0ull, .dma_mask = mask(27, 0), .devfn = -1};
	char name[65];

	snprintf(name, sizeof(name), "%.*s", (int)min_u64(n, 64), value);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		const struct device_row *d = &devices[i];
		if (strcmp(name, d->name) && (!d->alias || strcmp(name, d->alias)))
			continue;
		enum status s = device_keys(o, d, value[n] ? value + n + 1 : "", &k, err);
		return s == ST_OK ? d->add(o, &k, err) : s;
	}
	const char *near = opt_nearest(name, device_name, NULL);
	return BAD(" %s: no such device%s%s%s; -device help lists them", name, near ? "; did you mean " : "",
	           near ? near : "", near ? "?" : "");
}

/* ---- when everything is read ---- */

/* --serial chardev:ID */
static enum status resolve_serial(struct options *o, unsigned i, struct err *err)
{
	char *spec = o->cfg.serial[i];

	if (!spec || strncmp(spec, "chardev:", 8))
		return ST_OK;
	o->option = o->cfg.serial_option[i];
	struct named_backend *b = backend(o, BACKEND_CHAR, spec + 8);
	if (!b || b->used)
		return BAD(" %s: no free -chardev with this id", spec);
	b->used = true;
	o->cfg.serial_option[i] = b->option;
	o->cfg.serial[i] = b->path;
	return ST_OK;
}

/* What was described and is used by nobody. */
static enum status unused(struct options *o, struct err *err)
{
	for (unsigned i = 0; i < o->backends; i++) {
		const struct named_backend *b = &o->backend[i];
		if (b->used)
			continue;
		o->option = b->option;
		enum status s = NOTE(" id=%s: no device uses it", b->id ? b->id : "");
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

enum status opt_finish_devices(struct options *o, struct err *err)
{
	for (unsigned i = 0; i < o->devices; i++) {
		o->option = o->device_option[i];
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
	return unused(o, err);
}
