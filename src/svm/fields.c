/* The VMCB field table, from the state map. */
#include "svm/svm.h"

#define FIELD(offset, place, ...) _Static_assert(offsetof(struct vmcb_page, place) == (offset), "VMCB+" #offset);
#define SAVED(offset, place, ...) FIELD(offset, save.place, )
#define SEGMENT(digits, place, ...) FIELD(digits##0, save.place.sel, )
VMCB_MAP(FIELD, SAVED, SAVED, SEGMENT)
#undef FIELD
#undef SAVED
#undef SEGMENT

/* clang-format off */
#define ROW(offset_, place, clean_, part_, text, host_, member_) \
	{.offset = offset_, .width = sizeof(((struct vmcb_page *)0)->place), .clean = CLEAN_##clean_, .part = SVM_PART_##part_, \
	 .host = host_, .name = "VMCB+" #offset_ " " text, .member = member_},
#define FIELD(offset, place, clean, part, text) ROW(offset, place, clean, part, text, false, "")
#define GUEST(offset, place, clean, part, text, member, load, keep) ROW(offset, save.place, clean, part, text, false, #member)
#define SWAPPED(offset, place, clean, part, text, member, load, keep, host, reload) \
	ROW(offset, save.place, clean, part, text, true, #member)
#define SEGMENT(digits, place, clean, part, text, number) \
	ROW(digits##0, save.place.sel, clean, part, text " selector", SVM_PART_##part == SVM_PART_VMRUN, "seg[" #number "].sel") \
	ROW(digits##2, save.place.attrib, clean, part, text " attributes", SVM_PART_##part == SVM_PART_VMRUN, "seg[" #number "].ar") \
	ROW(digits##4, save.place.limit, clean, part, text " limit", SVM_PART_##part == SVM_PART_VMRUN, "seg[" #number "].limit") \
	ROW(digits##8, save.place.base, clean, part, text " base", SVM_PART_##part == SVM_PART_VMRUN, "seg[" #number "].base")

const struct vmcb_field vmcb_fields[] = {VMCB_MAP(FIELD, GUEST, SWAPPED, SEGMENT)};
/* clang-format on */
const size_t vmcb_field_count = ARRAY_LEN(vmcb_fields);

const struct vmcb_field *vmcb_field_at(unsigned offset)
{
	for (size_t n = 0; n < vmcb_field_count; n++)
		if (vmcb_fields[n].offset == offset)
			return &vmcb_fields[n];
	return NULL;
}
