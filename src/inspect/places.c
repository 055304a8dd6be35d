/*
 * Names of addresses. The kernel's file names what leads to where the kernel was loaded, whatever page tables are in
 * force: that holds before paging, in a guest that shares its monitor's memory, and never for a user's or another kernel's
 * code. Files of --symbols name what runs where they were linked, or were told to be; one with a build id or a banner is
 * looked for in memory, for kernels move themselves. What none of them names, a Linux kernel may name itself.
 */
#include "inspect/parts.h"
#include "symbols/symbols.h"

enum place_rule { PLACE_LOADED /* the kernel */, PLACE_FIXED, PLACE_MOVES, PLACE_MODULE /* where Linux says */ };

/* A module has the name of its file, with underscores. */
static void module_name(const char *path, char out[MODULE_NAME])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *end = strstr(name, ".ko");

	snprintf(out, MODULE_NAME, "%.*s", end ? (int)min_u64((u64)(end - name), MODULE_NAME - 1) : 0, name);
	for (char *p = out; *p; p++)
		*p = *p == '-' ? '_' : *p;
}

static enum status open_symbols(struct place_file *f, const struct inspect_symbols *o, struct err *err)
{
	struct symbols_section at[INSPECT_SECTIONS + 1];
	size_t n = 0;

	if (o->has_at)
		at[n++] = (struct symbols_section){".text", o->at};
	for (unsigned k = 0; k < o->sections; k++)
		at[n++] = (struct symbols_section){o->section[k].name, o->section[k].at};
	return symbols_open(&f->symbols, o->path, at, n, err);
}

static enum status open_file(struct place_file *f, const struct inspect_symbols *o, struct err *err)
{
	enum status s = open_symbols(f, o, err);
	const void *bytes;
	u64 at;
	size_t n;

	if (s != ST_OK)
		return err_in(err, s, o->option);
	f->who = o->who;
	if (symbols_is_object(f->symbols)) {
		f->how = o->has_at || o->sections ? PLACE_FIXED : PLACE_MODULE;
		if (f->how == PLACE_MODULE)
			module_name(o->path, f->module);
	} else if (o->has_at) {
		f->how = PLACE_FIXED;
		f->slide = o->at - symbols_image(f->symbols).first;
	} else {
		f->how = symbols_anchor(f->symbols, &at, &bytes, &n) ? PLACE_MOVES : PLACE_FIXED;
	}
	return ST_OK;
}

enum status places_open(struct inspect *i, struct err *err)
{
	enum status s = ST_OK;

	for (unsigned n = 0; n < i->o.symbol_files && s == ST_OK; n++, i->places.count++)
		s = open_file(&i->places.file[n], &i->o.symbols[n], err);
	return s;
}

void places_close(struct inspect *i)
{
	for (unsigned n = 0; n < ARRAY_LEN(i->places.file); n++)
		symbols_close(i->places.file[n].symbols), base_free(i->places.file[n].known);
	kernels_close(&i->kernels);
}

/* Read on first use: most machines end without a question. What is no ELF, or has no symbols, has no names. */
static void open_kernel(struct inspect *i)
{
	struct place_file *f = &i->places.file[i->places.count];
	struct err err;

	if (i->places.kernel_tried)
		return;
	i->places.kernel_tried = true;
	if (!i->m->cfg.kernel || symbols_open(&f->symbols, i->m->cfg.kernel, NULL, 0, &err) != ST_OK)
		return;
	f->how = PLACE_LOADED;
	f->who = PLACE_MONITOR | PLACE_GUEST;
	i->places.count++;
}

/* ---- where a file runs ---- */

static bool holds(struct cpu *c, la_t la, const u8 *bytes, size_t n)
{
	u8 there[128];

	n = min_u64(n, sizeof(there));
	return evidence_bytes(c, la, there, n) == n && !memcmp(there, bytes, n);
}

/* A slide by which the file's anchor is in memory and `la` in the image. The last one is tried first. */
static bool find_slide(struct place_file *f, struct cpu *c, la_t la)
{
	struct symbols_image image = symbols_image(f->symbols);
	const void *bytes;
	u64 at;
	size_t n;

	symbols_anchor(f->symbols, &at, &bytes, &n);
	if (f->looked && la - f->slide - image.first < image.end - image.first && holds(c, at + f->slide, bytes, n))
		return true;
	/* Slides are multiples of the largest alignment: the highest that puts `la` behind the image's beginning first. */
	u64 top = (la - image.first) & ~(image.align - 1);
	for (u64 down = 0; down <= image.end - image.first; down += image.align) {
		f->slide = top - down;
		f->looked = la - f->slide - image.first < image.end - image.first && holds(c, at + f->slide, bytes, n);
		if (f->looked)
			return true;
	}
	return false;
}

static bool linked_at(struct place_file *f, struct cpu *c, la_t la, bool seen, u64 *linked)
{
	pa_t pa;

	*linked = la - f->slide;
	switch (f->how) {
	case PLACE_LOADED: return seen && mmu_peek(c, la, &pa) ? symbols_linked(f->symbols, pa, linked) : !seen || !c->guest;
	case PLACE_MOVES:
		if (seen && !find_slide(f, c, la))
			return false;
		*linked = la - f->slide;
		return seen || f->looked;
	case PLACE_MODULE: return false;
	default: return true;
	}
}

/* "vmx_vcpu_run+0x1a [kvm_intel]", as the kernel says: its file has the line. */
static void add_module_line(struct inspect *i, u8 who, char *out, size_t len)
{
	char function[PLACE_SIZE], module[MODULE_NAME + 1] = "", line[80];
	unsigned offset = 0;
	u64 linked;

	if (sscanf(out, "%191[^+ ]+%x [%56[^]]", function, &offset, module) != 3 && sscanf(out, "%191[^+ ] [%56[^]]", function, module) != 2)
		return;
	for (unsigned n = 0; n < i->places.count; n++) {
		struct place_file *f = &i->places.file[n];
		size_t used = strlen(out);

		if (f->how == PLACE_MODULE && (f->who & who) && !strcmp(f->module, module) &&
		    symbols_find_only(f->symbols, function, &linked) && symbols_line(f->symbols, linked + offset, line, sizeof(line))) {
			snprintf(out + used, len - used, " %s", line);
			return;
		}
	}
}

/* The same few instructions are asked for again and again, and a file's debug information is slow to read. */
#define KNOWN 256u
struct place_known {
	u64 linked;
	char text[PLACE_SIZE]; /* "": not one yet */
};

static bool read_place(const struct place_file *f, u64 linked, char *out, size_t len)
{
	char line[80];
	size_t used;

	if (!symbols_name(f->symbols, linked, out, len - sizeof(line)))
		return false;
	used = strlen(out);
	if (symbols_line(f->symbols, linked, line, sizeof(line)))
		snprintf(out + used, len - used, " %s", line);
	return true;
}

static bool find_place(struct place_file *f, u64 linked, char *out, size_t len)
{
	struct place_known *k;

	if (!f->known)
		f->known = base_alloc(KNOWN * sizeof(*f->known));
	if (!f->known || len != PLACE_SIZE)
		return read_place(f, linked, out, len);
	k = &f->known[(linked ^ linked >> 8) % KNOWN];
	if (!k->text[0] || k->linked != linked) {
		k->text[0] = 0;
		if (!read_place(f, linked, out, len))
			return false;
		k->linked = linked;
		snprintf(k->text, sizeof(k->text), "%s", out);
	}
	snprintf(out, len, "%s", k->text);
	return true;
}

/* `seen`: the tables that translate `la` are in force. */
static void place(struct inspect *i, struct cpu *c, la_t la, bool seen, u8 who, char *out, size_t len)
{
	out[0] = 0;
	open_kernel(i);
	for (unsigned n = 0; n < i->places.count; n++) {
		struct place_file *f = &i->places.file[n];
		u64 linked;

		if ((f->who & who) && linked_at(f, c, la, seen, &linked) && find_place(f, linked, out, len))
			return;
	}
	if (kernels_name(i, c, la, who == PLACE_MONITOR, out, len))
		add_module_line(i, who, out, len);
}

void inspect_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len)
{
	place(i, c, la, true, c->guest ? PLACE_GUEST : PLACE_MONITOR, out, len);
}

void inspect_monitor_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len)
{
	place(i, c, la, !c->guest, PLACE_MONITOR, out, len);
}
