/* gdb's `monitor` commands: what no packet has a word for. */
#include "cpu/decode/decode.h"
#include "gdb/parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

struct call {
	struct gdb *g;
	struct cpu *c; /* the thread that gdb looks at */
	FILE *f;
	char *word[6];
	unsigned words;
};

struct command {
	const char *name, *args, *help;
	void (*run)(struct call *k);
};

/* ---- numbers: as C has them, or a register of the processor at hand ---- */

static bool number(struct call *k, const char *s, u64 *v)
{
	char *end;

	*v = strtoull(s, &end, 0);
	if (*s && !*end && s[0] != '-')
		return true;
	if (!strcmp(s, "$pc") || !strcmp(s, "$rip"))
		*v = registers_pc(k->c);
	else if (!strcmp(s, "$sp") || !strcmp(s, "$rsp"))
		*v = k->c->r[REG_RSP];
	else {
		fprintf(k->f, "%s: not a number\n", s);
		return false;
	}
	return true;
}

static bool space_named(const char *s, enum gdb_space *out)
{
	for (unsigned n = 0; n < GDB_SPACES; n++)
		if (!strcmp(s, gdb_space_names[n])) {
			*out = (enum gdb_space)n;
			return true;
		}
	return false;
}

/* ---- addresses ---- */

static void space(struct call *k)
{
	if (k->words > 1 && !space_named(k->word[1], &k->g->space)) {
		fprintf(k->f, "%s: not a space; linear, host-linear, guest-linear, guest-phys or phys\n", k->word[1]);
		return;
	}
	fprintf(k->f, "addresses are %s\n", gdb_space_names[k->g->space]);
}

static void context(struct call *k)
{
	static const char *const names[] = {[DEBUG_ANYWHERE] = "any", [DEBUG_MONITOR] = "monitor", [DEBUG_GUEST] = "guest"};
	struct debug_points *p = &k->g->points;
	u64 block = UINT64_MAX;

	if (k->words > 2 && !number(k, k->word[2], &block))
		return;
	for (unsigned n = 0; k->words > 1 && n < ARRAY_LEN(names); n++)
		if (!strcmp(names[n], k->word[1])) {
			p->where = (u8)n;
			p->block = block;
			points_changed(k->g);
			k->words = 1;
		}
	if (k->words > 1) {
		fprintf(k->f, "%s: any, monitor, guest or guest ADDRESS\n", k->word[1]);
		return;
	}
	fprintf(k->f, "breakpoints and watchpoints count in: %s", names[p->where]);
	if (p->where == DEBUG_GUEST && p->block != UINT64_MAX)
		fprintf(k->f, " of %s 0x%" PRIx64, k->c->virt->block, p->block);
	fprintf(k->f, "\n");
}

/* x [SPACE] ADDRESS [COUNT]: quadwords. */
static void examine_in(struct call *k, enum gdb_space s)
{
	unsigned at = 1;
	u64 addr, count = 8, v;

	if (k->words > 2 && space_named(k->word[1], &s))
		at = 2;
	if (k->words <= at || !number(k, k->word[at], &addr) || (k->words > at + 1 && !number(k, k->word[at + 1], &count)))
		return;
	for (u64 n = 0; n < min_u64(count, 512); n++) {
		if (n % 2 == 0)
			fprintf(k->f, "%s0x%016" PRIx64 ":", n ? "\n" : "", addr + 8 * n);
		if (gdb_read(k->c, s, addr + 8 * n, &v, 8) == 8)
			fprintf(k->f, " 0x%016" PRIx64, v);
		else
			fprintf(k->f, " not there");
	}
	fprintf(k->f, "\n");
}

static void examine(struct call *k)
{
	examine_in(k, k->g->space);
}

static void examine_phys(struct call *k)
{
	examine_in(k, GDB_PHYS);
}

static void walk(struct call *k)
{
	enum gdb_space s = k->g->space == GDB_PHYS ? GDB_LINEAR : k->g->space;
	unsigned at = 1;
	struct view w;
	u64 addr, pa;

	if (k->words > 2 && space_named(k->word[1], &s))
		at = 2;
	if (k->words <= at || !number(k, k->word[at], &addr))
		return;
	if (!view_open(&w, k->c, s)) {
		fprintf(k->f, "there has been no guest on this processor\n");
		return;
	}
	fprintf(k->f, "%s 0x%" PRIx64 ", CR3 0x%" PRIx64, gdb_space_names[s], addr, w.v.cr3);
	if (w.v.nested)
		fprintf(k->f, ", %s 0x%" PRIx64, w.v.ept ? "EPTP" : "nCR3", w.v.root);
	fprintf(k->f, "\n");
	(void)view_translate(&w, s, addr, &pa);
	view_print(&w, k->f);
}

/* disas [ADDRESS [COUNT]]: in the mode that the processor is in, which gdb does not know. */
static void disassembly(struct call *k)
{
	u64 addr = registers_pc(k->c), count = 10;

	if ((k->words > 1 && !number(k, k->word[1], &addr)) || (k->words > 2 && !number(k, k->word[2], &count)))
		return;
	for (u64 n = 0; n < min_u64(count, 256); n++) {
		struct insn i = {0};
		u8 bytes[15];
		char text[128];
		size_t here = gdb_read(k->c, k->g->space, addr, bytes, sizeof(bytes));
		int len = here ? decode_bytes(k->c, k->c->mode, bytes, here, &i) : 0;

		if (len <= 0) {
			fprintf(k->f, "   0x%" PRIx64 "\tnot there\n", addr);
			return;
		}
		disassemble(k->c, addr, bytes, here, text, sizeof(text));
		fprintf(k->f, "%s 0x%" PRIx64 "\t%s\n", addr == registers_pc(k->c) ? "=>" : "  ", addr, *text ? text : "(bad)");
		addr += (u64)len;
	}
}

/* ---- the processor ---- */

static void registers(struct call *k)
{
	registers_print(k->c, k->f);
}

static void where(struct call *k)
{
	inspect_where(k->g->inspect, k->f);
}

/* Of one part, those with the word in their name. */
static void print_part(struct call *k, const struct block_field *f, size_t count, unsigned part, const char *word)
{
	static const char *const parts[BLOCK_PARTS] = {"control", "guest", "host", "exit information"};
	bool first = true;
	char words[192];

	for (size_t n = 0; n < count; n++) {
		if (f[n].part != part || (word && !strcasestr(f[n].name, word)))
			continue;
		k->c->virt->decode(k->c, f[n].key, f[n].value, words, sizeof(words));
		fprintf(k->f, "%s%s  %s = 0x%0*" PRIx64 "%s%s\n", first ? parts[part] : "", first ? "\n" : "", f[n].name,
		        f[n].width * 2, f[n].value, words[0] ? ": " : "", words);
		first = false;
	}
}

/* vmcs [ADDRESS] [WORD] */
static void block(struct call *k)
{
	enum { ROOM = 512 };
	struct block_field *f = base_alloc(ROOM * sizeof(*f));
	const struct virt_ops *v = k->c->virt;
	bool other = k->words > 1 && k->word[1][0] >= '0' && k->word[1][0] <= '9';
	const char *word = k->words > 1u + other ? k->word[1 + other] : NULL;
	u64 at = v->block_at(k->c);
	size_t count = 0;

	if (f && other) {
		if (number(k, k->word[1], &at))
			count = v->fields_at(k->c, at, f, ROOM);
	} else if (f && at != UINT64_MAX) {
		count = v->fields(k->c, f, ROOM);
	}
	if (!count)
		fprintf(k->f, "there is no %s%s\n", *v->block ? v->block : "VMCS or VMCB", other ? " there" : "");
	else
		fprintf(k->f, "%s 0x%" PRIx64 "\n", v->block, at);
	for (unsigned part = 0; part < BLOCK_PARTS; part++)
		print_part(k, f, count, part, word);
	base_free(f);
}

static void tlb(struct call *k)
{
	static const char *const types[8] = {"UC", "WC", "2", "3", "WT", "WP", "WB", "UC-"};
	struct tlb_entry e;
	unsigned shown = 0;

	fprintf(k->f, "linear             guest-physical     physical           size  space pcid rights\n");
	for (size_t n = 0; mmu_tlb_at(k->c, n, &e); n++) {
		if (!e.valid)
			continue;
		unsigned both = e.perms & (e.perms >> 4 ? e.perms >> 4 : 15u);
		fprintf(k->f, "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 " %4" PRIu64 "K %5u %4u %c%c%c %s%s%s %s\n",
		        e.vpn << e.page_shift, e.gpa, e.pfn << PAGE_SHIFT, (u64)(BIT(e.page_shift) >> 10), e.space, e.pcid,
		        both & ACC_READ ? 'R' : '-', both & ACC_WRITE ? 'W' : '-', both & ACC_EXEC ? 'X' : '-', e.user ? "user" : "supervisor",
		        e.global ? ", global" : "", e.dirty ? ", dirty" : "", types[e.memtype & 7]);
		shown++;
	}
	fprintf(k->f, "%u translations of cpu %u\n", shown, k->c->index);
}

/* ---- what has happened ---- */

static void explain(struct call *k)
{
	const struct gdb *g = k->g;
	unsigned n = g->told_n > GDB_TOLD ? g->told_n - GDB_TOLD : 0;

	if (!g->told_n)
		fprintf(k->f, "nothing has been refused\n");
	for (; n < g->told_n; n++)
		if (g->told[n % GDB_TOLD])
			fprintf(k->f, "%s%s", g->told[n % GDB_TOLD], n + 1 < g->told_n ? "\n" : "");
}

static void exits(struct call *k)
{
	inspect_stats(k->g->inspect, k->f);
}

static void ring(struct call *k)
{
	inspect_ring(k->g->inspect, k->f);
}

static void break_on(struct call *k)
{
	char why[160];

	for (unsigned n = 1; n < k->words; n++) {
		if (!strcmp(k->word[n], "none"))
			stops_clear(k->g);
		else if (!stop_add(k->g, k->word[n], why, sizeof(why))) {
			fprintf(k->f, "%s: %s\n", k->word[n], why);
			return;
		}
	}
	fprintf(k->f, "stops on: ");
	stops_print(k->g, k->f);
}

static void core(struct call *k)
{
	struct err err;

	if (k->words != 2)
		fprintf(k->f, "core FILE\n");
	else if (gdb_core(k->g->m, k->c, "core", k->word[1], &err) != ST_OK)
		fprintf(k->f, "%s\n", err.text);
	else
		fprintf(k->f, "%s is written\n", k->word[1]);
}

static void reset(struct call *k)
{
	k->g->m->reset_pending = true;
	fprintf(k->f, "the machine starts anew when it goes on\n");
}

static void quit(struct call *k)
{
	k->g->killed = true;
}

/* ---- the table ---- */

static void help(struct call *k);

static const struct command commands[] = {
        {"help", "", "this list", help},
        {"regs", "", "all registers of this thread's processor", registers},
        {"where", "", "where every processor is", where},
        {"space", "[SPACE]", "what addresses mean: linear (of what runs), host-linear, guest-linear, guest-phys, phys", space},
        {"context", "[any|monitor|guest [ADDRESS]]", "in which contexts breakpoints and watchpoints count; ADDRESS of a VMCS or VMCB", context},
        {"x", "[SPACE] ADDRESS [COUNT]", "COUNT quadwords", examine},
        {"xp", "ADDRESS [COUNT]", "the same by physical address", examine_phys},
        {"disas", "[ADDRESS [COUNT]]", "instructions in the mode that the processor is in", disassembly},
        {"walk", "[SPACE] ADDRESS", "the page walk, entry by entry, through both stages", walk},
        {"vmcs", "[ADDRESS] [WORD]", "the fields of the current VMCS, or of another one; those with WORD in their name", block},
        {"vmcb", "[ADDRESS] [WORD]", "the same of the VMCB that ran last, or of another one", block},
        {"tlb", "", "the translations that this processor remembers", tlb},
        {"explain", "", "the last things that were refused, and why", explain},
        {"exits", "", "VM exits by reason, and other counts", exits},
        {"ring", "", "the last entries, exits and instructions", ring},
        {"break-on", "[WHAT...]", "stop on: refused, entry, exit, exit=REASON, triple-fault, sanitize, the id of a check; none", break_on},
        {"core", "FILE", "an ELF core of the machine", core},
        {"reset", "", "the machine starts anew", reset},
        {"system_reset", "", "the same, as QEMU calls it", reset},
        {"quit", "", "the machine ends", quit},
};

static void help(struct call *k)
{
	char left[80];

	for (const struct command *w = commands; w < commands + ARRAY_LEN(commands); w++) {
		snprintf(left, sizeof(left), "%s %s", w->name, w->args);
		fprintf(k->f, "  %-40s %s\n", left, w->help);
	}
}

void monitor_run(struct gdb *g, const char *line, FILE *f)
{
	char copy[GDB_PACKET / 2 + 1], *p = copy;
	struct call k = {.g = g, .c = gdb_cpu(g, g->g), .f = f};

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word; k.words < ARRAY_LEN(k.word) && (word = strsep(&p, " \t"));)
		if (*word)
			k.word[k.words++] = word;
	for (const struct command *w = commands; k.words && w < commands + ARRAY_LEN(commands); w++)
		if (!strcmp(w->name, k.word[0])) {
			w->run(&k);
			return;
		}
	fprintf(f, "%s: not a command; monitor help lists them\n", k.words ? k.word[0] : "");
}

void monitor_thread(struct gdb *g, unsigned cpu, char *out, size_t n)
{
	static const char *const doing[] = {
	        [ACT_RUN] = "",     [ACT_HLT] = ", HLT",       [ACT_SHUTDOWN] = ", shut down", [ACT_WAIT_SIPI] = ", waits for SIPI",
	        [ACT_MWAIT] = ", MWAIT", [ACT_TPAUSE] = ", TPAUSE", [ACT_OFF] = ", off",       [ACT_FREEZE] = ", waits for FERR#",
	};
	const struct cpu *c = gdb_cpu(g, cpu);

	if (c->guest)
		snprintf(out, n, "CPU %u guest of %s 0x%" PRIx64 "%s", cpu, c->virt->block, c->virt->block_at(c), doing[c->activity]);
	else
		snprintf(out, n, "CPU %u%s%s", cpu, c->virt_root || c->exits ? " monitor" : "", doing[c->activity]);
}
