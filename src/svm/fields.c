/* The VMCB field table, from the state map, and the fields of a guest for who wants to see them. */
#include "svm/svm.h"

#define FIELD(offset, place, ...) _Static_assert(offsetof(struct vmcb_page, place) == (offset), "VMCB+" #offset);
#define SAVED(offset, place, ...) FIELD(offset, save.place, )
#define SEGMENT(digits, place, ...) FIELD(digits##0, save.place.sel, )
VMCB_MAP(FIELD, FIELD, FIELD, SAVED, SAVED, SEGMENT)
#undef FIELD
#undef SAVED
#undef SEGMENT

/* clang-format off */
#define SIZE(type, member)   sizeof(((struct type *)0)->member)
#define NO_HOST              0, 0
#define IN_HOST(member)      offsetof(struct svm_host, member), SIZE(svm_host, member)
#define ROW(offset, place, clean, part, text, kind, member, ...) /* behind member: where the host's is, its width */ \
	VMCB_ROW(offset, SIZE(vmcb_page, place), clean, part, text, kind, member, __VA_ARGS__)
#define VMCB_ROW(offset_, width_, clean_, part_, text, kind_, member_, host_, host_width_) \
	{.offset = offset_, .width = width_, .clean = CLEAN_##clean_, .part = SVM_PART_##part_, .kind = kind_, \
	 .name = "VMCB+" #offset_ " " text, .member = member_, .host = host_, .host_width = host_width_},
#define FIELD(offset, place, clean, part, text)                     ROW(offset, place, clean, part, text, VMCB_FIELD, "", NO_HOST)
#define LIVE(offset, place, clean, part, text, member, load, keep)  ROW(offset, place, clean, part, text, VMCB_LIVE, #member, NO_HOST)
#define TOLD(offset, place, clean, part, text, told, value)         ROW(offset, place, clean, part, text, VMCB_TOLD, "", NO_HOST)
#define GUEST(offset, place, clean, part, text, member, load, keep) ROW(offset, save.place, clean, part, text, VMCB_GUEST, #member, NO_HOST)
#define SWAPPED(offset, place, clean, part, text, member, load, keep, host, reload) \
	ROW(offset, save.place, clean, part, text, VMCB_SWAPPED, #member, IN_HOST(host))
#define SEGMENT_KIND(part) (SVM_PART_##part == SVM_PART_VMRUN ? VMCB_SWAPPED : VMCB_GUEST)
#define SEGMENT(digits, place, clean, part, text, number) \
	ROW(digits##0, save.place.sel,    clean, part, text " selector",   SEGMENT_KIND(part), "seg[" #number "].sel",   IN_HOST(seg_sel[number & 3])) \
	ROW(digits##2, save.place.attrib, clean, part, text " attributes", SEGMENT_KIND(part), "seg[" #number "].ar",    IN_HOST(seg_ar[number & 3])) \
	ROW(digits##4, save.place.limit,  clean, part, text " limit",      SEGMENT_KIND(part), "seg[" #number "].limit", IN_HOST(seg_limit[number & 3])) \
	ROW(digits##8, save.place.base,   clean, part, text " base",       SEGMENT_KIND(part), "seg[" #number "].base",  IN_HOST(seg_base[number & 3]))

const struct vmcb_field vmcb_fields[] = {VMCB_MAP(FIELD, LIVE, TOLD, GUEST, SWAPPED, SEGMENT)};
/* clang-format on */
const size_t vmcb_field_count = ARRAY_LEN(vmcb_fields);

const char *vmcb_clean_text(unsigned clean)
{
	static const char *const texts[] = {
#define GROUP(bit, name, text) [bit] = text,
	        VMCB_CLEAN_MAP(GROUP)
#undef GROUP
	};

	return clean < ARRAY_LEN(texts) ? texts[clean] : NULL;
}

const char *vmcb_kind_text(unsigned kind)
{
	static const char *const texts[] = {
#define KIND(name, text) text,
	        VMCB_KIND_MAP(KIND)
#undef KIND
	};

	return texts[kind];
}

const struct vmcb_field *vmcb_field_at(unsigned offset)
{
	for (size_t n = 0; n < vmcb_field_count; n++)
		if (vmcb_fields[n].offset == offset)
			return &vmcb_fields[n];
	return NULL;
}

u64 svm_field_value(const struct svm_image *v, unsigned offset)
{
	const struct vmcb_field *f = vmcb_field_at(offset);
	const u8 *base =
	        offset < VMCB_SAVE ? (const u8 *)&v->control + offset : (const u8 *)&v->save + (offset - VMCB_SAVE);
	u64 value = 0;

	if (f && (offset < sizeof(v->control) || offset >= VMCB_SAVE)) /* what lies between them is in no check */
		memcpy(&value, base, f->width);
	return value;
}

static u64 value_at(const void *from, size_t at, size_t width)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)from + at, width);
	return value;
}

/* As the field would have it. */
static u64 host_value(const struct svm_host *h, const struct vmcb_field *f)
{
	const u64 value = value_at(h, f->host, f->host_width);
	const bool rights = f->host >= offsetof(struct svm_host, seg_ar) && f->host < offsetof(struct svm_host, seg_sel);

	return rights ? svm_seg_save(&(struct seg){.ar = (u32)value}).attrib : value;
}

/* The VMCB as it lies in memory, and while a guest runs, the host that VMRUN put aside. */
static size_t fields_of(const struct cpu *c, u64 vmcb, bool host, struct block_field *out, size_t room)
{
	static const u8 of[] = {[VMCB_FIELD] = BLOCK_CONTROL, [VMCB_LIVE] = BLOCK_CONTROL, [VMCB_TOLD] = BLOCK_EXIT,
	                        [VMCB_GUEST] = BLOCK_GUEST, [VMCB_SWAPPED] = BLOCK_GUEST};
	const struct svm *s = svm_of(c);
	u64 left;
	const u8 *page = space_memory(cpu_sees(c), cpu_phys(c, vmcb), USE_READ, &left);
	size_t n = 0;

	for (const struct vmcb_field *f = vmcb_fields; page && f < vmcb_fields + vmcb_field_count && n + 2 <= room; f++) {
		out[n++] = (struct block_field){f->name, of[f->kind], f->width, f->offset, value_at(page, f->offset, f->width)};
		if (f->kind == VMCB_SWAPPED && host)
			out[n++] = (struct block_field){f->name, BLOCK_HOST, f->width, f->offset, host_value(&s->host, f)};
	}
	return n;
}

size_t svm_fields(const struct cpu *c, struct block_field *out, size_t room)
{
	return fields_of(c, svm_of(c)->vmcb_pa, c->guest, out, room);
}

size_t svm_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room)
{
	return svm_pa_ok(c, pa) ? fields_of(c, pa, false, out, room) : 0;
}
