/* What stands in a vendor's table where the vendor has nothing of its own; and the table of a processor without guests. */
#include "cpu/state/events.h"

/* clang-format off */
void virt_nothing(struct cpu *c)                                      { (void)c; }
enum init_answer virt_init_taken(const struct cpu *c)                 { (void)c; return INIT_TAKEN; }
bool virt_never(struct cpu *c)                                        { (void)c; return false; }
bool virt_a20_masks(const struct cpu *c)                              { (void)c; return false; }
bool virt_as_ever(struct cpu *c, bool *decided)                       { (void)c, (void)decided; return false; }
bool virt_all_defined(struct cpu *c, enum icpt id)                    { (void)c, (void)id; return false; }
bool virt_any_value(const struct cpu *c, enum control_register which, u64 value) { (void)c, (void)which, (void)value; return true; }
u64 virt_own_value(struct cpu *c, unsigned n, u64 value)              { (void)c, (void)n; return value; }
void virt_shares_nothing(struct cpu *c, const struct tlb_match *m)    { (void)c, (void)m; }
enum xr virt_goes_on(struct cpu *c)                                   { (void)c; return XR_OK; }
void virt_smm_entered(struct cpu *c, u8 *map)                         { (void)c, (void)map; }
bool virt_smm_left(struct cpu *c, const u8 *map)                      { (void)c, (void)map; return true; }
enum xr virt_rsm_runs(struct cpu *c, const struct insn *i)            { (void)c, (void)i; return XR_OK; }
enum xr virt_intr_exits(struct cpu *c)                                { return cpu_exit(c, NULL, ICPT_INTR, 0, 0); }
u64 virt_unscaled(struct cpu *c, u64 ticks)                           { (void)c; return ticks; }
u64 virt_no_block(const struct cpu *c)                                { (void)c; return UINT64_MAX; }
size_t virt_no_fields(const struct cpu *c, struct block_field *out, size_t room) { (void)c, (void)out, (void)room; return 0; }
size_t virt_no_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room) { (void)c, (void)pa, (void)out, (void)room; return 0; }
void virt_no_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size) { (void)c, (void)key, (void)value, (void)size; *out = 0; }
bool virt_no_view(const struct cpu *c, bool guest, struct virt_view *out) { (void)c, (void)guest, (void)out; return false; }
size_t virt_no_changes(const struct cpu *c, struct check_change *out, size_t room) { (void)c, (void)out, (void)room; return 0; }
const char *virt_no_checks(size_t n)                                  { (void)n; return NULL; }
bool virt_no_exits(size_t n, u64 *code, const char **name)            { (void)n, (void)code, (void)name; return false; }
/* clang-format on */

void virt_no_exit(const struct cpu *c, const struct exit_record *x, struct exit_told *out)
{
	(void)c;
	(void)x;
	*out = (struct exit_told){.text = ""};
}

static enum status none_init(struct cpu *c)
{
	(void)c;
	return ST_OK;
}

static void none_reset(struct cpu *c, bool init)
{
	(void)c, (void)init;
}

const struct virt_ops virt_none = {
        .name = "none",
        .block = "",
        .block_at = virt_no_block,
        .fields = virt_no_fields,
        .fields_at = virt_no_fields_at,
        .decode = virt_no_words,
        .view = virt_no_view,
        .changed = virt_no_changes,
        .check_id = virt_no_checks,
        .exit_told = virt_no_exit,
        .exit_at = virt_no_exits,
        .life = {.init = none_init, .fini = virt_nothing, .reset = none_reset, .loaded = virt_nothing},
        .rules = {.init = virt_init_taken, .started = virt_nothing, .a20_blocked = virt_a20_masks, .control_ok = virt_any_value},
        .smm = {
                .smi = virt_goes_on,
                .enter = virt_smm_entered,
                .leave = virt_smm_left,
                .rsm = virt_rsm_runs,
        },
};
