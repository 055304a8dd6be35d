/*
 * symbols: names and source lines of addresses, from an ELF or PE file: its symbol table ("Symbol Table", System V ABI;
 * "COFF Symbol Table", PE Format) and its DWARF, which elfutils reads; or from what a Linux kernel has in memory.
 * Addresses are those that the file was linked for.
 * May call: base. Called by: inspect, api.
 */
#ifndef SYMBOLS_SYMBOLS_H
#define SYMBOLS_SYMBOLS_H

#include "base/base.h"

struct symbols;

/* Where sections of a relocatable object are. Of one for which none is told, only names can be asked for. */
struct symbols_section {
	const char *name;
	u64 at;
};
/* The n sections are of an object; what is linked takes a single .text as a remark. ST_ARG: neither ELF nor PE; without
 * symbols and lines; no such section; ST_IO, ST_NOMEM. err->text names the path. */
enum status symbols_open(struct symbols **out, const char *path, const struct symbols_section *at, size_t n,
                         struct err *err) must_check;
bool symbols_is_object(const struct symbols *s);
/* The same from names found elsewhere, sorted or not; `name` is copied. */
struct symbol_name {
	u64 value, size; /* size 0: not known */
	const char *name;
	bool code;
};
struct symbols *symbols_of_names(const struct symbol_name *names, size_t n, u64 end); /* NULL: out of memory */
/* A Linux kernel's own names. `bytes`: its memory around the place where kallsyms_sign() has found a sign of them, the
 * first at the linear address `at`, which is a multiple of 8; *tokens: the place of a table that no other kernel has there.
 * NULL: no such tables, or out of memory. */
#define KALLSYMS_SIGN   20 /* bytes of the sign */
#define KALLSYMS_BEFORE (16ull << 20) /* what may belong to the tables in front of it, and behind */
#define KALLSYMS_BEHIND (8ull << 20)
struct symbols *kallsyms_read(const u8 *bytes, size_t size, u64 at, size_t sign, size_t *tokens);
size_t kallsyms_sign(const u8 *bytes, size_t size); /* size: there is none */
void symbols_close(struct symbols *s);

/* "early_print+0x12" of an address. false: no symbol there. */
bool symbols_name(const struct symbols *s, u64 vaddr, char *out, size_t len);
/* "boot.c:41", and of code that was built into its callers "vmcs.c:53 (from 271, boot.c:405)". false: unknown. */
bool symbols_line(struct symbols *s, u64 vaddr, char *out, size_t len);
/* The address of a name; symbols_find_only(): of the only one that is called so. */
bool symbols_find_only(const struct symbols *s, const char *name, u64 *vaddr);
bool symbols_find(const struct symbols *s, const char *name, u64 *vaddr);
/* The linked address of what lies at a physical address. false: not this file's. */
bool symbols_linked(const struct symbols *s, u64 pa, u64 *vaddr);

/* Where the loaded part is linked: [first, end), and the largest alignment that one of its segments asks for. */
struct symbols_image {
	u64 first, end, align;
};
struct symbols_image symbols_image(const struct symbols *s);
/* Bytes that tell this image from every other one: its build id, or a kernel's banner. false: it has neither. */
bool symbols_anchor(const struct symbols *s, u64 *vaddr, const void **bytes, size_t *n);

#endif
