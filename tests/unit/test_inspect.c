/* What the machine tells people: the grammar's pieces, names of addresses, evidence, explanations, counts, traces,
 * hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <turnstile/turnstile.h>

#include "api/conditions.h"
#include "inspect/parts.h"
#include "symbols/symbols.h"
#include "model/model.h"

static char folder[] = "/tmp/test_inspect.XXXXXX";

static const char *write_file(const char *name, const void *data, size_t n)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ & 3];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	FILE *f = fopen(p, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
	return p;
}

static char *read_back(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *s = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_non_null(s);
	assert_true(fread(s, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return s;
}

static void contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("missing '%s' in:\n%s", part, text);
}

/* Every line at most 100 columns. */
static void narrow(const char *text)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		assert_true(strcspn(text, "\n") <= 100);
}

/* ---- text.c ---- */

static void numbers(void **state)
{
	(void)state;
	assert_string_equal(commas(0).s, "0");
	assert_string_equal(commas(999).s, "999");
	assert_string_equal(commas(1000).s, "1,000");
	assert_string_equal(commas(1204551).s, "1,204,551");
	assert_string_equal(commas(UINT64_MAX).s, "18,446,744,073,709,551,615");
	assert_string_equal(hex(0, 0).s, "0");
	assert_string_equal(hex(0x2b, 0).s, "0x2b");
	assert_string_equal(hex(0x2b, 2).s, "0x002b");
	assert_string_equal(hex(UINT64_MAX, 8).s, "0xffffffffffffffff");
}

static void labels(void **state)
{
	struct text t = {0};

	(void)state;
	text_label(&t, "rule", "short");
	assert_string_equal(text_str(&t), "  rule   short\n");
	text_reset(&t);
	text_label(&t, "also", "%s", "");
	assert_string_equal(text_str(&t), "  also   \n");
	text_reset(&t);
	for (unsigned n = 0; n < 9; n++)
		text_add(&t, "%s0x12345678 and more words", n ? ", " : "");
	char *value = strdup(text_str(&t));
	text_reset(&t);
	text_label(&t, "walk", "%s", value);
	narrow(text_str(&t));
	contains(text_str(&t), "words,\n         0x12345678");
	text_reset(&t);
	memset(value, 'x', strlen(value)); /* nowhere to break */
	text_label(&t, "walk", "%s", value);
	narrow(text_str(&t));
	free(value);
	text_free(&t);
}

static void json_strings(void **state)
{
	struct text t = {0};

	(void)state;
	text_json(&t, "a \"b\" \\ \n\x01");
	assert_string_equal(text_str(&t), "\"a \\\"b\\\" \\\\ \\u000a\\u0001\"");
	text_free(&t);
}

/* ---- symbols.c ---- */

static void put(u8 *p, u64 v, unsigned size)
{
	memcpy(p, &v, size);
}

enum { TEXT_AT = 0x100000, LINKED = 0x40000000, CODE_OFF = 0x200, ELF_SIZE = 0x600 };

struct sym {
	const char *name;
	u64 value, size;
	u8 info;
};

/* An ELF64 with a PVH note, its code at 1 MiB linked at `vaddr`, and a symbol table. */
static size_t make_elf(u8 *f, u64 vaddr, const void *code, size_t code_len, const struct sym *sym, size_t n)
{
	u8 *ph = f + 64, *sh = f + 0x500, *st = f + 0x300, *str = f + 0x400;
	unsigned used = 1;

	memset(f, 0, ELF_SIZE);
	memcpy(f, "\177ELF\2\1\1", 7);
	put(f + 16, 2, 2), put(f + 18, 62, 2), put(f + 20, 1, 4), put(f + 24, TEXT_AT, 8);
	put(f + 32, 64, 8), put(f + 40, 0x500, 8), put(f + 54, 56, 2), put(f + 56, 2, 2), put(f + 58, 64, 2),
	        put(f + 60, 4, 2);
	put(ph, 1, 4), put(ph + 8, CODE_OFF, 8), put(ph + 16, vaddr, 8), put(ph + 24, TEXT_AT, 8);
	put(ph + 32, 0x100, 8), put(ph + 40, 0x100, 8);
	put(ph + 56, 4, 4), put(ph + 56 + 8, 0xc0, 8), put(ph + 56 + 32, 20, 8), put(ph + 56 + 40, 20, 8);
	put(f + 0xc0, 4, 4), put(f + 0xc4, 4, 4), put(f + 0xc8, 18, 4), memcpy(f + 0xcc, "Xen", 4),
	        put(f + 0xd0, TEXT_AT, 4);
	memcpy(f + CODE_OFF, code, code_len);
	for (size_t k = 0; k < n; k++) {
		u8 *s = st + 24 * (k + 1);
		put(s, used, 4), s[4] = sym[k].info, put(s + 6, 1, 2), put(s + 8, sym[k].value, 8),
		                 put(s + 16, sym[k].size, 8);
		strcpy((char *)str + used, sym[k].name);
		used += (unsigned)strlen(sym[k].name) + 1;
	}
	put(sh + 64 + 4, 1, 4), put(sh + 64 + 16, vaddr, 8), put(sh + 64 + 24, CODE_OFF, 8),
	        put(sh + 64 + 32, 0x100, 8);
	put(sh + 128 + 4, 2, 4), put(sh + 128 + 24, 0x300, 8), put(sh + 128 + 32, 24 * (n + 1), 8),
	        put(sh + 128 + 40, 3, 4);
	put(sh + 128 + 56, 24, 8);
	put(sh + 192 + 4, 3, 4), put(sh + 192 + 24, 0x400, 8), put(sh + 192 + 32, used, 8);
	return ELF_SIZE;
}

static struct symbols *open_symbols(const char *path)
{
	struct symbols *s;
	struct err err;

	return symbols_open(&s, path, NULL, 0, &err) == ST_OK ? s : NULL;
}

static const struct sym names[] = {
        {"start", LINKED, 0x10, 0x12},
        {"label", LINKED + 4, 0, 0x00}, /* inside start */
        {"early_print", LINKED + 0x10, 0x20, 0x02},
        {"tail", LINKED + 0x80, 0, 0x00},
};

static void symbol_names(void **state)
{
	static const struct {
		u64 addr;
		const char *name; /* NULL: none */
	} cases[] = {
	        {LINKED - 1, NULL},
	        {LINKED, "start"},
	        {LINKED + 5, "start+0x5"},
	        {LINKED + 0x10, "early_print"},
	        {LINKED + 0x2f, "early_print+0x1f"},
	        {LINKED + 0x90, "tail+0x10"},
	        {LINKED + 0x100, NULL},
	        {UINT64_MAX, NULL},
	};
	u8 f[ELF_SIZE];
	char name[64];
	u64 linked;

	(void)state;
	make_elf(f, LINKED, "\xf4", 1, names, ARRAY_LEN(names));
	struct symbols *s = open_symbols(write_file("names.elf", f, sizeof(f)));
	assert_non_null(s);
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		bool found = symbols_name(s, cases[k].addr, name, sizeof(name));
		assert_int_equal(found, cases[k].name != NULL);
		if (found)
			assert_string_equal(name, cases[k].name);
	}
	assert_true(symbols_linked(s, TEXT_AT + 5, &linked));
	assert_int_equal(linked, LINKED + 5);
	assert_false(symbols_linked(s, TEXT_AT + 0x100, &linked));
	symbols_close(s);
}

/* Files that lie about themselves: no crash, whatever comes out. */
static void symbol_files(void **state)
{
	u8 f[ELF_SIZE], bad[ELF_SIZE];
	char name[64];
	u64 linked;

	(void)state;
	make_elf(f, LINKED, "\xf4", 1, names, ARRAY_LEN(names));
	for (size_t k = 0; k < sizeof(f); k += k < 64 || k >= 0x500 ? 1 : 7) {
		static const u8 flip[] = {0xff, 0x80, 0x01};
		for (unsigned j = 0; j < ARRAY_LEN(flip); j++) {
			memcpy(bad, f, sizeof(f));
			bad[k] ^= flip[j];
			struct symbols *s = open_symbols(write_file("bad.elf", bad, j ? sizeof(bad) : k + 1));
			if (!s)
				continue;
			symbols_name(s, LINKED + 5, name, sizeof(name));
			symbols_linked(s, TEXT_AT, &linked);
			symbols_close(s);
		}
	}
	assert_null(open_symbols("/nonexistent"));
}

/* ---- a machine with its teller ---- */

struct told {
	char text[4][16384], line[4][512], json[4][4096];
	enum inspect_kind kind[4];
	u64 count[4];
	unsigned n;
};

static void hear(void *arg, const struct inspect_event *e)
{
	struct told *t = arg;
	unsigned n = t->n++ & 3;

	snprintf(t->text[n], sizeof(t->text[n]), "%s", e->text);
	snprintf(t->line[n], sizeof(t->line[n]), "%s", e->line);
	snprintf(t->json[n], sizeof(t->json[n]), "%s", e->json);
	t->kind[n] = e->kind;
	t->count[n] = e->count;
}

struct rig {
	struct machine *m;
	struct inspect *i;
	struct told *told;
	struct err err;
};

static struct rig make_rig(const char *model, const void *code, size_t n, u32 trace, const char *trace_file, bool stats)
{
	struct rig r = {.told = calloc(1, sizeof(*r.told))};
	struct machine_config cfg = {.ram = 8 << 20, .cpus = 1, .seed = 1};
	u8 f[ELF_SIZE];

	make_elf(f, TEXT_AT, code, n, (const struct sym[]){{"start", TEXT_AT, 0x100, 0x12}}, 1);
	cfg.kernel = strdup(write_file("kernel.elf", f, sizeof(f)));
	assert_int_equal(model_parse(model, &cfg.model, &cfg.feat, &r.err), ST_OK);
	assert_int_equal(machine_create(&r.m, &cfg, &r.err), ST_OK);
	struct inspect_options o = {
	        .trace = trace, .trace_file = trace_file, .stats = stats, .put = hear, .arg = r.told};
	assert_int_equal(inspect_new(&r.i, r.m, &o, &r.err), ST_OK);
	return r;
}

static void end_rig(struct rig *r)
{
	char *kernel = r->m->cfg.kernel;

	inspect_free(r->i);
	machine_destroy(r->m);
	free(kernel);
	free(r->told);
}

/* ---- evidence.c ---- */

/*
 * UD2 with an empty IDT: #UD, #GP delivering it (benign and contributory: one after the other), #GP delivering that
 * (now #DF), #GP delivering #DF. "Double Fault Exception". The last three are told, with what the first of them was
 * about.
 */
static void triple_fault(void **state)
{
	static const u8 code[] = {0xeb, 0x00, 0x0f, 0x0b}; /* JMP +0; UD2 */
	struct rig r = make_rig("plain", code, sizeof(code), 0, NULL, false);

	(void)state;
	assert_int_equal(machine_run(r.m, 1000, &r.err), MSTOP_SHUTDOWN);
	assert_int_equal(r.told->n, 1);
	assert_int_equal(r.told->kind[0], INSPECT_DEATH);
	const char *t = r.told->text[0];
	narrow(t);
	contains(t, "triple fault: cpu 0 shut down, 32-bit protected mode, CPL 0, insn 1; status 4\n");
	contains(t, "\n  first  #GP, error 0x32, delivering #UD: gate at IDT+0x30");
	contains(t, "\n  second #GP, error 0x6a, delivering #GP: gate at IDT+0x68");
	contains(t, "\n  third  #GP, error 0x42, delivering #DF: gate at IDT+0x40");
	contains(t, "\n  note   no LIDT since reset\n");
	contains(t, "\n  at     start+0x2, rip 0x100002, ud2\n");
	contains(t, "\n  from   start (1 branch, 0 exits and registers below)\n");
	contains(t, "\n  branch 0x100000 start to 0x100002 start+0x2\n");
	assert_string_equal(r.told->line[0],
	                    "triple fault: cpu 0 shut down, 32-bit protected mode, CPL 0, insn 1; status 4");
	contains(r.told->json[0], "\"chain\":[{\"vector\":13,\"error\":50,");
	end_rig(&r);
}

/* The first exception's page walk; an interrupt's delivery is named. */
static void event_texts(void **state)
{
	static const struct {
		struct event e;
		const char *text;
	} cases[] = {
	        {{.type = EV_HW, .vector = EX_PF, .has_error = true, .error = 2, .payload = 0xb8000},
	         "#PF, error 0x2 (write, not present), CR2 0xb8000"},
	        {{.type = EV_HW, .vector = EX_PF, .has_error = true, .error = 0x15},
	         "#PF, error 0x15 (user fetch, protection), CR2 0"},
	        {{.type = EV_HW, .vector = EX_PF, .has_error = true, .error = 9, .payload = 8},
	         "#PF, error 0x9 (read, reserved bit), CR2 0x8"},
	        {{.type = EV_HW, .vector = EX_GP, .has_error = true, .error = 0}, "#GP, error 0x0"},
	        {{.type = EV_HW, .vector = EX_NP, .has_error = true, .error = 0x2c},
	         "#NP, error 0x2c: LDT selector 0x0028"},
	        {{.type = EV_HW, .vector = EX_UD}, "#UD"},
	        {{.type = EV_EXT, .vector = 0x20}, "external interrupt 0x20"},
	        {{.type = EV_NMI, .vector = 2}, "NMI"},
	        {{.type = EV_SW, .vector = 0x80}, "INT 0x80"},
	        {{.type = EV_SWEX, .vector = EX_BP}, "INT3"},
	};
	struct rig r = make_rig("plain", "\xf4", 1, 0, NULL, false);

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct text t = {0};
		evidence_event(r.m->cpus[0], &cases[k].e, NULL, &t);
		assert_string_equal(text_str(&t), cases[k].text);
		text_free(&t);
	}
	struct text t = {0};
	evidence_event(r.m->cpus[0], &cases[3].e, &cases[6].e, &t);
	assert_string_equal(text_str(&t), "#GP, error 0x0, delivering external interrupt 0x20");
	text_free(&t);
	end_rig(&r);
}

/* ---- explain.c ---- */

static void refusals(void **state)
{
	struct rig r = make_rig("amd", "\xf4", 1, 0, NULL, false);
	struct refusal a = {
	        .event = "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)",
	        .check = "vmx.host.selector.rpl-ti",
	        .rule = "RPL (bits 1:0) and TI (bit 2) of every host selector must be 0",
	        .manual = "SDM 3C \"Checks on Host Segment and Descriptor-Table Registers\"",
	        .field = {{.name = "Host DS selector (0x0c06)",
	                   .value = 0x2b,
	                   .width = 2,
	                   .decoded = "index 5, TI 0, RPL 3"}},
	        .fields = 1,
	        .also = "vmx.host.selector.null",
	        .rip = TEXT_AT + 1,
	        .cpu = 0,
	};
	struct refusal b = a;
	struct hooks *h = &r.m->hooks;

	(void)state;
	b.rip = TEXT_AT + 2;
	for (unsigned n = 0; n < 3; n++)
		h->refused(h->arg, r.m->cpus[0], &a);
	h->refused(h->arg, r.m->cpus[0], &b);
	assert_int_equal(r.told->n, 4);
	assert_int_equal(r.told->count[0], 1);
	assert_int_equal(r.told->count[2], 3);
	assert_int_equal(r.told->count[3], 1);
	assert_string_equal(r.told->text[0],
	                    "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)\n"
	                    "  check  vmx.host.selector.rpl-ti\n"
	                    "  rule   RPL (bits 1:0) and TI (bit 2) of every host selector must be 0\n"
	                    "  field  Host DS selector (0x0c06) = 0x002b: index 5, TI 0, RPL 3\n"
	                    "  also   vmx.host.selector.null\n"
	                    "  at     start+0x1, rip 0x100001, cpu 0, insn 0\n"
	                    "  manual SDM 3C \"Checks on Host Segment and Descriptor-Table Registers\"\n");
	assert_string_equal(r.told->line[0],
	                    "VMLAUNCH refused, error 8: vmx.host.selector.rpl-ti, Host DS selector (0x0c06) "
	                    "0x002b: index 5, TI 0, RPL 3 (RPL (bits 1:0) and TI (bit 2) of every host selector must be "
	                    "0), at start+0x1");
	contains(r.told->json[0], "\"check\":\"vmx.host.selector.rpl-ti\"");
	inspect_flush(r.i);
	inspect_flush(r.i);
	assert_int_equal(r.told->n, 5);
	assert_string_equal(r.told->text[0],
	                    "vmx.host.selector.rpl-ti: refused 2 more times at start+0x1, rip 0x100001");
	end_rig(&r);
}

/* ---- conditions of --fail-on ---- */

static void conditions(void **state)
{
	static const struct {
		enum inspect_kind kind;
		enum refusal_kind refusal;
		bool refused, sanitize;
	} cases[] = {
	        {INSPECT_REFUSED, REFUSAL_ENTRY, true, false},     {INSPECT_REFUSED, REFUSAL_INSN, true, false},
	        {INSPECT_REFUSED, REFUSAL_ABORT, true, false},     {INSPECT_REFUSED, REFUSAL_PAGING, false, false},
	        {INSPECT_REFUSED, REFUSAL_SHUTDOWN, false, false}, {INSPECT_SANITIZE, REFUSAL_SANITIZE, false, true},
	        {INSPECT_NOTE, REFUSAL_ENTRY, false, false},
	};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		const struct inspect_event e = {.kind = cases[k].kind, .refusal = cases[k].refusal, .id = "x.y"};
		struct condition_list refused = {.n = 0}, sanitize = {.n = 0}, named = {.n = 0}, expect = {.n = 0};

		assert_true(condition_add(&refused, "refused", "") && condition_add(&sanitize, "sanitize", ""));
		assert_true(condition_add(&named, "x.y", "") && condition_add(&expect, "x.y", ""));
		assert_int_equal(condition_met(&refused, &(struct condition_list){.n = 0}, &e) != NULL, cases[k].refused);
		assert_int_equal(condition_met(&sanitize, &(struct condition_list){.n = 0}, &e) != NULL, cases[k].sanitize);
		/* By its name each counts, but for the one that is taken off. */
		const struct condition *first = condition_met(&named, &expect, &e), *second = condition_met(&named, &expect, &e);
		assert_null(first);
		assert_int_equal(second != NULL, cases[k].kind != INSPECT_NOTE);
	}
}

/* ---- writers.c ---- */

static void last_writers(void **state)
{
	struct rig r = make_rig("amd", "\xf4", 1, 0, NULL, false);
	struct bus *b = &r.m->bus;
	struct cpu *c = r.m->cpus[0];
	struct writers *w;
	struct origin o;
	struct err err;
	const u8 bytes[16] = {1};

	(void)state;
	assert_int_equal(writers_new(&w, r.m, &err), ST_OK);
	assert_false(writers_find(w, 0x200000, &o));
	c->r[REG_RIP] = TEXT_AT + 3;
	c->insns = 77;
	phys_write(b, cpu_as(c, BY_CPU), 0x200004, bytes, 8); /* two words, a part of each */
	for (unsigned n = 0; n < 2; n++) {
		assert_true(writers_find(w, 0x200000 + 8 * n + n, &o));
		assert_int_equal(o.kind, ORIGIN_STORE);
		assert_true(o.placed);
		assert_int_equal(o.rip, TEXT_AT + 3);
		assert_int_equal(o.insn, 77);
		assert_null(o.name);
	}
	assert_false(writers_find(w, 0x200010, &o));
	/* Accessed bits, and a VMCB as a whole, are nobody's store; a device's and the processor's own are. */
	c->insns = 78;
	phys_write(b, cpu_as(c, BY_WALK), 0x200000, bytes, 8);
	mem_written(b, cpu_as(c, BY_VIRT), bus_memory(b, 0x200000), 0x200000, PAGE_SIZE);
	assert_true(writers_find(w, 0x200000, &o));
	assert_int_equal(o.insn, 77);
	phys_write(b, cpu_as(c, BY_VIRT), 0x200000, bytes, 8);
	assert_true(writers_find(w, 0x200000, &o));
	assert_string_equal(o.name, "stored by the processor itself");
	assert_true(dma_write(b, 3 << 3 | 1, 0x200008, bytes, 8));
	assert_true(writers_find(w, 0x200008, &o));
	assert_false(o.placed);
	assert_int_equal(o.code, 3 << 3 | 1);
	struct text t = {0};
	explain_origin(r.i, c, &o, &t);
	assert_string_equal(text_str(&t), "stored by a device's DMA (00:03.1), insn 78");
	text_free(&t);
	assert_false(writers_find(w, 1ull << 45, &o)); /* no memory */
	writers_free(w);
	end_rig(&r);
}

/* ---- stats.c ---- */

static char *stats_text(struct inspect *i)
{
	char *s = NULL;
	size_t n;
	FILE *f = open_memstream(&s, &n);

	inspect_stats(i, f);
	fclose(f);
	return s;
}

static void statistics(void **state)
{
	struct rig r = make_rig("amd", "\xf4", 1, 0, NULL, true);
	struct hooks *h = &r.m->hooks;
	struct cpu *c = r.m->cpus[0];

	(void)state;
	for (unsigned n = 0; n < 1500; n++) {
		struct exit_record x = {.code = n % 3 ? 0x400 : 0x78, .name = n % 3 ? "VMEXIT_NPF" : "VMEXIT_HLT"};
		h->vm_entry(h->arg, c);
		c->insns += 10;
		h->vm_exit(h->arg, c, &x);
		c->insns += n % 3 ? 7 : 20;
	}
	h->event(h->arg, c, &(struct event){.type = EV_EXT, .vector = 0x20});
	h->event(h->arg, c, &(struct event){.type = EV_HW, .vector = EX_PF});
	char *s = stats_text(r.i);
	contains(s, "VM entries      1,500, refused 0\n");
	contains(s, "VM exits        1,500, and 16,993 instructions of the monitor");
	contains(s, "  VMEXIT_NPF (0x400)                         1,000   66.7 %          7          7          7   0.0 %\n");
	contains(s, "  VMEXIT_HLT (0x78)                            500   33.3 %         20         20         20   0.0 %\n");
	contains(s, "interrupts      1, NMI 0, SMI 0, by software 0\n");
	contains(s, "exceptions      1 (#PF 1)\n");
	contains(s, "\nrepeatable: yes, state ");
	free(s);
	/* More reasons than there is room for: counted all the same. */
	for (unsigned n = 0; n < 2 * EXIT_STATS; n++)
		h->vm_exit(h->arg, c, &(struct exit_record){.code = 0x10000 + n, .name = "X"});
	s = stats_text(r.i);
	contains(s, "VM exits        1,884,");
	contains(s, "others (0x0)");
	free(s);
	end_rig(&r);
}

static int by_value(const void *a, const void *b)
{
	const u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* What --stats says of so many of a hundred, against the sorted values themselves: never less, at most a sixteenth more. */
static void percentiles(void **state)
{
	enum { N = 997 };
	static u64 insns[N];
	struct rig r = make_rig("amd", "\xf4", 1, 0, NULL, true);
	struct hooks *h = &r.m->hooks;
	struct cpu *c = r.m->cpus[0];
	u64 seed = 1;

	(void)state;
	for (unsigned n = 0; n < N; n++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		insns[n] = seed >> 33 >> seed % 31;
		h->vm_entry(h->arg, c);
		h->vm_exit(h->arg, c, &(struct exit_record){.code = 1, .name = "X"});
		c->insns += insns[n];
	}
	h->vm_entry(h->arg, c);
	qsort(insns, N, sizeof(insns[0]), by_value);
	struct exit_table *t = stats_sum(&r.i->stats);
	assert_int_equal(t->n, 1);
	assert_int_equal(t->row[0].count, N);
	for (unsigned p = 1; p <= 100; p++) {
		const u64 exact = insns[(N * p + 99) / 100 - 1], said = hist_percentile(t->row[0].hist, p);
		assert_true(said >= exact && said <= exact + exact / 16);
	}
	exits_free(t);
	end_rig(&r);
}

/* ---- ring.c ---- */

/* What is kept at all times, oldest first: an exit, what an entry injects, an event; the last 32 of them. */
static void ring(void **state)
{
	struct rig r = make_rig("amd", "\xf4", 1, 0, NULL, true);
	struct cpu *c = r.m->cpus[0];
	struct text t = {0};

	(void)state;
	for (unsigned n = 0; n < 40; n++) {
		c->insns = 1000 + n;
		c->lastexit[c->lastexit_n++ % ARRAY_LEN(c->lastexit)] =
		        (struct exit_record){.code = 0x7b, .name = "VMEXIT_IOIO", .info = {0x200010, 0}, .rip = 0x4000 + n};
		recent_exit(c);
		recent_event(c, RECENT_ENTRY, &(struct event){.type = n % 2 ? EV_EXT : EV_NONE, .vector = 0x30});
	}
	recent_event(c, RECENT_EVENT, &(struct event){.type = EV_HW, .vector = EX_GP, .has_error = true});
	ring_recent(c, &t);
	const char *s = text_str(&t);
	assert_memory_equal(s, "  entry  rip 0x", 15); /* the exit before it made room */
	contains(s, "  exit   VMEXIT_IOIO (0x7b), information 0x200010 and 0: OUT of 1 byte at port 0x20,\n"
	            "         guest rip 0x4027, insn 1,039\n"
	            "  entry  injects external interrupt 0x30, rip 0x");
	contains(s, "  event  #GP, error 0x0, rip 0x");
	assert_null(strstr(s, "0x4018,"));
	text_free(&t);
	end_rig(&r);
}

/* ---- trace.c ---- */

/* OUT 80h, AL; MOV EAX, 9; NOP; UD2 */
static const u8 traced[] = {0xe6, 0x80, 0xb8, 9, 0, 0, 0, 0x90, 0x0f, 0x0b};

static char *trace_of(const char *name, u32 kinds)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	struct rig r = make_rig("plain", traced, sizeof(traced), kinds, path, false);
	assert_int_equal(machine_run(r.m, 1000, &r.err), MSTOP_SHUTDOWN);
	end_rig(&r);
	return read_back(path);
}

static void traces(void **state)
{
	char *s = trace_of("t.txt", TRACE_INSN | TRACE_IO | TRACE_INT);

	(void)state;
	contains(s, "      seconds          insn cpu in       event  rip                what\n"
	            "  0.000000000             0   0 monitor  insn   0x100000           start                    e680                 out 0x80, al\n"
	            "  0.000000000             0   0 monitor  io     0x100000           start                    write 1 byte at 0x80 (");
	contains(s, " 1   0 monitor  insn   0x100002           start+0x2                b809000000           mov eax, 0x9\n");
	contains(s, " 3   0 monitor  event  0x100008           start+0x8                #UD\n");
	free(s);
	s = trace_of("t.jsonl", TRACE_INSN);
	contains(s, "{\"kind\":\"insn\",\"cpu\":0,\"insn\":0,\"time\":0,\"guest\":0,\"rip\":\"0x100000\","
	            "\"place\":\"start\",\"text\":\"out 0x80, al\",\"bytes\":\"e680\"}\n");
	assert_null(strstr(s, "\"kind\":\"io\""));
	free(s);
	s = trace_of("t.json", TRACE_IO);
	assert_memory_equal(s, "[{", 2);
	contains(s, "\"cat\":\"io\",\"ph\":\"i\",\"s\":\"t\",\"ts\":0.000,\"pid\":1,\"tid\":100,");
	assert_string_equal(s + strlen(s) - 2, "]\n");
	free(s);
}

static void trace_to_person(void **state)
{
	struct rig r = make_rig("plain", traced, sizeof(traced), TRACE_IO, NULL, false);

	(void)state;
	machine_run(r.m, 2, &r.err);
	assert_int_equal(r.told->n, 1);
	assert_int_equal(r.told->kind[0], INSPECT_TRACE);
	contains(r.told->text[0], " 0   0 monitor  io     0x100000           start                    write 1 byte at 0x80");
	end_rig(&r);
	struct inspect *i = NULL;
	struct machine m = {0};
	struct err err;
	assert_int_equal(
	        inspect_new(&i, &m, &(struct inspect_options){.trace = TRACE_IO, .trace_file = "/nonexistent/x"}, &err),
	        ST_ARG);
	contains(err.text, "/nonexistent/x");
}

/* ---- hash.c ---- */

/* The hash tells content from content, not from history; it sees every kind of change, and repeats. */
static void hashes(void **state)
{
	struct rig a = make_rig("amd", traced, sizeof(traced), 0, NULL, false),
	           b = make_rig("amd", traced, sizeof(traced), 0, NULL, false);
	u64 h = inspect_hash(a.i);

	(void)state;
	assert_int_not_equal(h, 0);
	assert_int_equal(inspect_hash(a.i), h);
	assert_int_equal(inspect_hash(b.i), h);
	bus_write_u64(&a.m->bus, 0x600008, 1);
	assert_int_not_equal(inspect_hash(a.i), h);
	bus_write_u64(&a.m->bus, 0x600008, 0);
	assert_int_equal(inspect_hash(a.i), h);
	a.m->cpus[0]->r[5]++;
	assert_int_not_equal(inspect_hash(a.i), h);
	a.m->cpus[0]->r[5]--;
	a.m->clock.now++;
	assert_int_not_equal(inspect_hash(a.i), h);
	a.m->clock.now--;
	machine_run(a.m, 2, &a.err);
	inspect_hash(a.i);
	machine_run(a.m, 1, &a.err);
	machine_run(b.m, 3, &b.err);
	assert_int_equal(inspect_hash(a.i), inspect_hash(b.i));
	end_rig(&a);
	end_rig(&b);
}

static void hash_text(void *arg, const char *text, size_t len)
{
	snprintf(arg, 20, "%.*s", (int)len, text);
}

/* Two machines of the same command, side by side, step by step; a third one that watches every instruction. */
static void repeats(void **state)
{
	const char *build = getenv("BUILD");
	char kernel[256], hash[3][20];
	ts_machine *m[3];
	ts_stop why[3];

	(void)state;
	snprintf(kernel, sizeof(kernel), "%s/guests/hello.elf", build ? build : "build");
	if (access(kernel, R_OK))
		skip();
	for (unsigned k = 0; k < 3; k++) {
		const char *argv[] = {"turnstile", "run", "--serial", "null", kernel, "--trace=insn:/dev/null"};
		assert_int_equal(ts_create(k == 2 ? 6 : 5, argv, &m[k], NULL, 0), TS_OK);
	}
	do {
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(ts_run(m[k], 1000, &why[k], NULL), TS_OK);
			assert_int_equal(ts_report(m[k], "hash", hash_text, hash[k]), TS_OK);
		}
		assert_string_equal(hash[0], hash[1]);
		assert_string_equal(hash[0], hash[2]);
		assert_int_equal(strlen(hash[0]), 17);
	} while (why[0] == TS_LIMIT);
	assert_int_equal(why[0], TS_POWEROFF);
	for (unsigned k = 0; k < 3; k++)
		ts_destroy(m[k]);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[160];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers),      cmocka_unit_test(labels),          cmocka_unit_test(json_strings),
	        cmocka_unit_test(symbol_names), cmocka_unit_test(symbol_files),    cmocka_unit_test(triple_fault),
	        cmocka_unit_test(event_texts),  cmocka_unit_test(refusals),        cmocka_unit_test(last_writers),
	        cmocka_unit_test(statistics),   cmocka_unit_test(percentiles),     cmocka_unit_test(ring),
	        cmocka_unit_test(conditions),
	        cmocka_unit_test(traces),       cmocka_unit_test(trace_to_person), cmocka_unit_test(hashes),
	        cmocka_unit_test(repeats),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
