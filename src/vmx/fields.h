/*
 * The VMCS fields, from the rows of map.h. A cached VMCS keeps every field as 64 bits, in the order of width and type.
 */
#ifndef VMX_FIELDS_H
#define VMX_FIELDS_H

#include "base/base.h"
#include "vmx/map.h"

enum vmcs_encoding {
#define FIELD(name, encoding, ...) VMCS_##name = encoding,
	VMCS_MAP(FIELD, FIELD, FIELD, FIELD)
#undef FIELD
};

/* First slot and number of slots of each (width, type) pair: encoding bits 14:13 and 11:10. */
static const u16 vmcs_group_first[16] = {0, 5, 5, 15, 22, 61, 62, 75, 79, 97, 105, 129, 130, 138, 144, 167};
static const u16 vmcs_group_count[16] = {5, 0, 10, 7, 39, 1, 13, 4, 18, 8, 24, 1, 8, 6, 23, 15};
#define VMCS_SLOTS 182
/* clang-format on */

static inline unsigned vmcs_group(u32 encoding)
{
	return (encoding >> 13 & 3) << 2 | (encoding >> 10 & 3);
}

/* The slot of a field that is known to exist; folds to a constant for a constant encoding. */
static inline unsigned vmcs_slot(u32 encoding)
{
	return vmcs_group_first[vmcs_group(encoding)] + (encoding >> 1 & 0x1ff);
}

/* In bytes; fields of natural width have 8. */
static inline u8 vmcs_width(u32 encoding)
{
	static const u8 width[4] = {2, 8, 4, 8};

	return width[encoding >> 13 & 3];
}

/* The controls whose support decides whether a field exists: word << 5 | bit. */
enum vmx_word { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_PROC3, VMX_EXIT2, VMX_WORDS };
#define VMX_IF(word, bit) ((u8)(VMX_##word << 5 | (bit)))
#define VMX_LATER         0xfe /* every processor but the first, which knew no such field */
#define VMX_ALWAYS        0xff

struct vmcs_field {
	u16 encoding;
	u8 condition;
	const char *name;           /* "Guest RIP (0x681e)" */
	const char *member;         /* of struct cpu; "": none */
	const char *loaded, *saved; /* the condition, as the row has it; "": never */
	const char *kind;           /* in a word, as the reference has it */
};
extern const struct vmcs_field vmcs_fields[];
extern const size_t vmcs_field_count;
const struct vmcs_field *vmcs_field_at(u32 encoding); /* NULL: no such field here; bit 0 (high half) is ignored */

#endif
