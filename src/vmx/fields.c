/* The VMCS field table, from the state map, and the fields of a VMCS for who wants to see them. */
#include "vmx/vmx.h"

/* clang-format off */
const struct vmcs_field vmcs_fields[] = {
#define FIELD(name_, encoding_, condition_, text) {encoding_, condition_, text " (" #encoding_ ")", "", "", "", "stays"},
#define TOLD(name_, encoding_, condition_, text, told, value) {encoding_, condition_, text " (" #encoding_ ")", "", "", #told, "exit"},
#define GUEST(name_, encoding_, condition_, text, member_, loaded_, load, saved_, save) \
	{encoding_, condition_, text " (" #encoding_ ")", #member_, #loaded_, #saved_, "guest"},
#define HOST(name_, encoding_, condition_, text, member_, loaded_, load) \
	{encoding_, condition_, text " (" #encoding_ ")", #member_, #loaded_, "", "host"},
	VMCS_MAP(FIELD, TOLD, GUEST, HOST)
#undef FIELD
#undef TOLD
#undef GUEST
#undef HOST
};
/* clang-format on */
const size_t vmcs_field_count = ARRAY_LEN(vmcs_fields);

/* The rows are in order of encoding. */
const struct vmcs_field *vmcs_field_at(u32 encoding)
{
	size_t lo = 0, hi = vmcs_field_count;

	encoding &= ~1u;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (vmcs_fields[mid].encoding == encoding)
			return &vmcs_fields[mid];
		if (vmcs_fields[mid].encoding < encoding)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Encoding bits 11:10 are the type, 14:13 the width. */
size_t vmx_fields_of(const struct cpu *c, const u64 *values, struct block_field *out, size_t room)
{
	static const u8 of[] = {BLOCK_CONTROL, BLOCK_EXIT, BLOCK_GUEST, BLOCK_HOST}, width[] = {2, 8, 4, 8};
	size_t n = 0;

	for (const struct vmcs_field *f = vmcs_fields; f < vmcs_fields + vmcs_field_count && n < room; f++)
		if (vmx_field_exists(vmx_caps(c), f->encoding))
			out[n++] = (struct block_field){f->name, of[f->encoding >> 10 & 3], width[f->encoding >> 13 & 3],
			                                f->encoding, values[vmcs_slot(f->encoding)]};
	return n;
}

size_t vmx_fields(const struct cpu *c, struct block_field *out, size_t room)
{
	return vmx_fields_of(c, vmx_of(c)->f, out, room);
}
