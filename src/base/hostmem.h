/*
 * Memory of the computer we run on in large sparse pieces: an anonymous memory file and mappings of it. What nobody
 * touches costs nothing.
 */
#ifndef BASE_HOSTMEM_H
#define BASE_HOSTMEM_H

#include "base/base.h"

int hostmem_file(const char *name, u64 size); /* a descriptor; -1: failed */
bool hostmem_resize(int fd, u64 size);
void *hostmem_map(int fd, u64 offset, u64 size); /* shared, read and write, sparse; NULL: failed */
void hostmem_unmap(void *p, u64 size);
void hostmem_close(int fd);
/* The first piece of [*from, *end) of the file that somebody may have written; false: all of it reads zero. */
bool hostmem_used(int fd, u64 *from, u64 *end);
/* These bytes of the file, mapped at `at`, read zero again and cost nothing. */
void hostmem_zero(int fd, void *at, u64 offset, u64 size);
void *hostmem_filled(u8 value, u64 size); /* private bytes that all read `value`; sparse however large; NULL: failed */

#endif
