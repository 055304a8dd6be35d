/* Of programs that stand alone: integers, ports, words on the serial line, and the two functions that compilers call by
 * themselves. For 32 and 64 bits, and for code that runs wherever it is put. */
#ifndef GUEST_PRINT_H
#define GUEST_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(p)); }
static inline void outw(u16 p, u16 v) { __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(p)); }
static inline void outl(u16 p, u32 v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }

#pragma GCC visibility push(hidden) /* all in one image: no table of addresses */

void *memset(void *d, int v, size_t n);
void *memcpy(void *d, const void *s, size_t n);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* %s, %c, %u, %x */

#pragma GCC visibility pop

#endif
