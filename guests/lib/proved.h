/*
 * Statements of docs/requirements that a test program proves by running. The ids stand before the name of the check that
 * proves them, check(REQ("svm.2.3.2 svm.4.VMRUN.18") "CR2", ...), or in a proves() behind the checks of a function. What
 * was executed and held is said at the end, one `proved: ID...` a line; tests/run.py counts it if the whole program passed.
 * Included once by each program's library, on a computer and on the bare machine alike.
 */
#ifndef PROVED_H
#define PROVED_H

#define REQ(ids) "[" ids "] "

struct proved {
	unsigned used; /* bytes of text */
	char text[24576]; /* "ID...\n" each */
	unsigned long long seen[2048]; /* hashes of what is in it */
};

/* `ids` up to its end or a closing bracket; said once however often it runs. False: there is no more room. */
static inline bool proved_add(struct proved *p, const char *ids)
{
	unsigned long long hash = 0xcbf29ce484222325ull;
	unsigned n = 0, slot;

	for (; ids[n] && ids[n] != ']'; n++)
		hash = (hash ^ (unsigned char)ids[n]) * 0x100000001b3ull;
	hash |= 1;
	for (slot = (unsigned)(hash >> 32) % 2048; p->seen[slot] && p->seen[slot] != hash; slot = (slot + 1) % 2048)
		;
	if (p->seen[slot])
		return true;
	if (p->used + n + 1 > sizeof(p->text))
		return false;
	p->seen[slot] = hash;
	for (unsigned k = 0; k < n; k++)
		p->text[p->used++] = ids[k];
	p->text[p->used++] = '\n';
	return true;
}

/* A check of this name held: the ids that open the name are proved. */
static inline bool proved_name(struct proved *p, const char *name)
{
	return name[0] != '[' || proved_add(p, name + 1);
}

static inline void proved_say(const struct proved *p, void (*put)(char ch))
{
	bool fresh = true;

	for (unsigned n = 0; n < p->used; n++) {
		for (const char *s = "proved: "; fresh && *s; s++)
			put(*s);
		put(p->text[n]);
		fresh = p->text[n] == '\n';
	}
}

#endif
