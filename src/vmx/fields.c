/* The VMCS field table, from the state map. */
#include "vmx/vmx.h"

/* clang-format off */
const struct vmcs_field vmcs_fields[] = {
#define FIELD(name_, encoding_, condition_, text) {encoding_, condition_, text " (" #encoding_ ")", "", "", ""},
#define GUEST(name_, encoding_, condition_, text, member_, loaded_, load, saved_, save) \
	{encoding_, condition_, text " (" #encoding_ ")", #member_, #loaded_, #saved_},
#define HOST(name_, encoding_, condition_, text, member_, loaded_, load) \
	{encoding_, condition_, text " (" #encoding_ ")", #member_, #loaded_, ""},
	VMCS_MAP(FIELD, GUEST, HOST)
#undef FIELD
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
