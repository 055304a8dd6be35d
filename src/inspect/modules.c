/*
 * Names of a Linux kernel's modules, from its list of them. What the list is called, its names say; where a module's symbols
 * are in its `struct module`, which differs from build to build, a pointer to the very next field: `kallsyms` points to
 * `core_kallsyms` once the module is loaded. All of it is some guest's memory: everything is counted, nothing is trusted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "inspect/parts.h"
#include "symbols/symbols.h"

#define SYMBOLS_MOST  (1u << 16) /* of one module */
#define ALL_MOST      (1u << 18) /* that one scan of the list reads */
#define MODULE_BYTES  2048       /* of struct module: core_kallsyms lies within */
#define SCAN_INTERVAL 100000     /* ns between two scans */

/* struct module: state, list, name; MODULE_NAME_LEN is 64 - sizeof(unsigned long). */
#define AT_LIST 8
#define AT_NAME 24

struct core_kallsyms {
	u64 symbols, count, strings;
};
/* "Symbol Table", System V ABI: Elf64_Sym. */
struct entry {
	u32 name;
	u8 info, other;
	u16 section;
	u64 value, size;
};

/* What could disturb a terminal or a file of JSON is not in a name. */
static void clean(char *p)
{
	for (; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
}

static bool still_there(const struct eye *e, const struct module *m)
{
	char name[MODULE_NAME];
	struct core_kallsyms there;

	return eye_read(e, m->at + AT_NAME, name, sizeof(name)) == sizeof(name) && !memcmp(name, m->name, sizeof(name)) &&
	       eye_read(e, m->tables, &there, sizeof(there)) == sizeof(there) && there.symbols == m->symbols_at;
}

/* The text of one symbol; false: none. */
static bool read_name(const struct eye *e, u64 at, char out[128])
{
	eye_read(e, at, out, 127);
	out[127] = 0;
	clean(out);
	return out[0] != 0;
}

/* Functions; before Linux 5.2 what is their type in ELF is a letter, as in /proc/kallsyms. */
static bool is_code(const struct entry *s)
{
	return s->value && s->size && s->size < 1u << 24 && ((s->info & 15) == 2 || s->info == 't' || s->info == 'T');
}

/* Values, and the names one behind the other in `text`. */
static size_t read_symbols(const struct eye *e, const struct core_kallsyms *k, struct symbol_name *out, FILE *text,
                           struct module *m)
{
	size_t n = 0;
	struct entry s;
	char name[128];

	for (u64 j = 0; j < k->count; j++) {
		if (eye_read(e, k->symbols + j * sizeof(s), &s, sizeof(s)) != sizeof(s))
			break;
		if (!is_code(&s) || !read_name(e, k->strings + s.name, name) ||
		    fwrite(name, strlen(name) + 1, 1, text) != 1)
			continue;
		out[n++] = (struct symbol_name){.value = s.value, .size = s.size, .code = true};
		m->first = min_u64(m->first, s.value);
		if (s.value + s.size > m->end)
			m->end = s.value + s.size;
	}
	return n;
}

static void open_symbols(const struct eye *e, const struct core_kallsyms *k, struct module *m)
{
	struct symbol_name *names = base_alloc(k->count * sizeof(*names));
	char *text = NULL, *p;
	size_t size, n = 0;
	FILE *f = open_memstream(&text, &size);

	m->first = UINT64_MAX;
	if (names && f)
		n = read_symbols(e, k, names, f, m);
	if (f && fclose(f) == 0 && n) {
		p = text;
		for (size_t j = 0; j < n; p += strlen(p) + 1)
			names[j++].name = p;
		m->symbols = symbols_of_names(names, n, m->end);
	}
	free(text);
	base_free(names);
}

/* Where `kallsyms` is: found in any module that is loaded, good for all of this kernel. 0: not in this one. */
static unsigned find_tables(const u8 bytes[MODULE_BYTES], u64 at)
{
	u64 p;

	for (unsigned off = AT_NAME + MODULE_NAME; off + 8 + sizeof(struct core_kallsyms) <= MODULE_BYTES; off += 8) {
		memcpy(&p, bytes + off, 8);
		if (p == at + off + 8)
			return off;
	}
	return 0;
}

/* While a module is being started, `kallsyms` points to other tables, with what is needed only then. false: there are none. */
static bool open_module(struct kernel *k, const struct eye *e, u64 at, struct module *m, u64 *all)
{
	u8 bytes[MODULE_BYTES];
	struct core_kallsyms t;

	*m = (struct module){.at = at};
	eye_read(e, at, bytes, sizeof(bytes));
	memcpy(m->name, bytes + AT_NAME, MODULE_NAME);
	unsigned off = find_tables(bytes, at);
	m->loaded = off != 0;
	k->tables_at = off ? off : k->tables_at;
	if (!k->tables_at)
		return false;
	memcpy(&m->tables, bytes + k->tables_at, 8);
	if (eye_read(e, m->tables, &t, sizeof(t)) != sizeof(t))
		return false;
	t.count = (u32)t.count;
	if (!t.count || t.count > SYMBOLS_MOST || t.count > *all)
		return false;
	*all -= t.count;
	m->symbols_at = t.symbols;
	open_symbols(e, &t, m);
	return m->symbols != NULL;
}

/* ---- the list ---- */

/* What is known already is kept, if it is still there. */
static bool take_known(struct kernel *k, const struct eye *e, u64 at, struct module *out)
{
	for (unsigned n = 0; n < k->modules; n++) {
		struct module *m = &k->module[n];
		if (m->at != at || !m->symbols || !m->loaded || !still_there(e, m))
			continue;
		*out = *m;
		m->symbols = NULL;
		return true;
	}
	return false;
}

static void scan(struct kernel *k, const struct eye *e, u64 head, u64 first)
{
	struct module *list = base_alloc(MODULES * sizeof(*list));
	u64 all = ALL_MOST, node = first;
	unsigned n = 0;

	if (!list)
		return;
	k->first_module = first;
	for (unsigned steps = 0; node != head && node && steps < MODULES; steps++) {
		u64 at = node - AT_LIST;
		bool known = take_known(k, e, at, &list[n]) || open_module(k, e, at, &list[n], &all);

		if (!known || !list[n].loaded)
			k->first_module = 0; /* one is being loaded: the list is to be read again */
		n += known;
		if (eye_read(e, node, &node, sizeof(node)) != sizeof(node))
			break;
	}
	modules_close(k);
	k->module = list;
	k->modules = n;
}

static bool name_known(const struct kernel *k, const struct eye *e, la_t la, char *out, size_t len)
{
	for (unsigned n = 0; n < k->modules; n++) {
		const struct module *m = &k->module[n];
		if (la < m->first || la >= m->end || !still_there(e, m) || !symbols_name(m->symbols, la, out, len))
			continue;
		size_t used = strlen(out);
		snprintf(out + used, len - used, " [%.*s]", MODULE_NAME, m->name);
		clean(out + used + 1);
		return true;
	}
	return false;
}

bool modules_name(struct kernel *k, const struct eye *e, la_t la, char *out, size_t len)
{
	u64 first;

	if (name_known(k, e, la, out, len))
		return true;
	/* A module that is loaded becomes the list's first. */
	if (!k->list || time_now(e->c) < k->again || eye_read(e, k->list, &first, sizeof(first)) != sizeof(first) ||
	    first == k->first_module)
		return false;
	k->again = time_now(e->c) + SCAN_INTERVAL;
	bool knew = k->tables_at;
	scan(k, e, k->list, first);
	if (!knew && k->tables_at && !k->first_module) /* the newest come first, and are not loaded yet */
		scan(k, e, k->list, first);
	return name_known(k, e, la, out, len);
}

void modules_close(struct kernel *k)
{
	for (unsigned n = 0; n < k->modules; n++)
		symbols_close(k->module[n].symbols);
	base_free(k->module);
	k->module = NULL;
	k->modules = 0;
}
