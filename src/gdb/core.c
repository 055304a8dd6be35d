/*
 * The machine as an ELF core: registers of every processor (NT_PRSTATUS), the note that a Linux kernel leaves for its crash
 * tools (VMCOREINFO), and all memory that is not zero. Physical memory is there once; segments by linear address, which gdb
 * reads, and one for each block by physical address, which crash reads, point into the same bytes of the file.
 */
#include "base/os.h"
#include "cpu/mmu/walk.h"
#include "gdb/parts.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>

/* "Elf64 core files", NT_PRSTATUS of x86-64: the kernel's struct elf_prstatus. */
struct prstatus {
	s32 signo, code, error;
	s16 cursig;
	u64 pending, held;
	s32 pid, ppid, pgrp, session;
	u64 times[8];
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss, fs_base,
	        gs_base, ds, es, fs, gs;
	s32 fpvalid;
};
_Static_assert(sizeof(struct prstatus) == 336, "as the kernel has it");

#define SEGMENTS_MAX 60000u /* PN_XNUM is where ELF counts in another way */
#define NOT_LINEAR   (1ull << 63) /* p_vaddr of what is there by its physical address alone: no canonical address */

struct core {
	struct machine *m;
	struct cpu *first;
	int fd;
	Elf64_Phdr *seg;
	unsigned segs, room;
	u64 data; /* where in the file memory begins: at its place in the memory file from there on */
	bool full;
};

/* ---- notes ---- */

static struct prstatus status_of(const struct machine *m, unsigned n)
{
	struct cpu *c = m->cpus[n];
	const u64 *r = c->r;

	return (struct prstatus){
	        .cursig = c->activity == ACT_SHUTDOWN ? SIG_SEGV : 0, .pid = (s32)n + 1,
	        .r15 = r[15], .r14 = r[14], .r13 = r[13], .r12 = r[12], .rbp = r[REG_RBP], .rbx = r[REG_RBX], .r11 = r[11],
	        .r10 = r[10], .r9 = r[9], .r8 = r[8], .rax = r[REG_RAX], .rcx = r[REG_RCX], .rdx = r[REG_RDX], .rsi = r[REG_RSI],
	        .rdi = r[REG_RDI], .orig_rax = ~0ull, .rip = registers_pc(c), .cs = c->seg[SEG_CS].sel, .eflags = flags_get(c),
	        .rsp = r[REG_RSP], .ss = c->seg[SEG_SS].sel, .fs_base = c->seg[SEG_FS].base, .gs_base = c->seg[SEG_GS].base,
	        .ds = c->seg[SEG_DS].sel, .es = c->seg[SEG_ES].sel, .fs = c->seg[SEG_FS].sel, .gs = c->seg[SEG_GS].sel,
	};
}

static void add_note(FILE *f, const char *name, u32 type, const void *desc, size_t n)
{
	const Elf64_Nhdr h = {.n_namesz = (u32)strlen(name) + 1, .n_descsz = (u32)n, .n_type = type};
	static const u8 zero[4];

	fwrite(&h, 1, sizeof(h), f);
	fwrite(name, 1, h.n_namesz, f);
	fwrite(zero, 1, -h.n_namesz & 3, f);
	fwrite(desc, 1, n, f);
	fwrite(zero, 1, -n & 3, f);
}

/* A note as Linux makes it at boot (crash_save_vmcoreinfo_init), at the beginning of a page of its own. */
static const u8 *find_vmcoreinfo(const struct bus *b, u32 *size)
{
	static const char name[12] = "VMCOREINFO";

	for (u64 at = 0; at < b->ram_size; at += PAGE_SIZE) {
		const Elf64_Nhdr *h = (const void *)(b->memory + at);

		if (h->n_namesz != 11 || h->n_type || h->n_descsz > PAGE_SIZE || memcmp(h + 1, name, sizeof(name)))
			continue;
		*size = h->n_descsz;
		if (at + sizeof(*h) + sizeof(name) + *size <= b->ram_size && !memcmp((const u8 *)(h + 1) + 12, "OSRELEASE=", 10))
			return (const u8 *)(h + 1) + sizeof(name);
	}
	return NULL;
}

static void write_notes(const struct core *k, FILE *f)
{
	const struct machine *m = k->m;
	u32 size;
	const u8 *info = find_vmcoreinfo(&m->bus, &size);

	for (unsigned n = 0; n < m->count; n++) { /* the first one is where a debugger begins */
		struct prstatus s = status_of(m, (k->first->index + n) % m->count);
		add_note(f, "CORE", NT_PRSTATUS, &s, sizeof(s));
	}
	if (info)
		add_note(f, "VMCOREINFO", 0, info, size);
}

/* ---- segments ---- */

static void add_segment(struct core *k, u64 la, u64 pa, u64 place, u64 size)
{
	if (k->segs == k->room) {
		unsigned room = k->room ? k->room * 2 : 64;
		Elf64_Phdr *more = room <= SEGMENTS_MAX * 2 ? base_realloc(k->seg, room * sizeof(*more)) : NULL;

		if (!more) {
			k->full = true;
			return;
		}
		k->seg = more;
		k->room = room;
	}
	if (k->segs == SEGMENTS_MAX) {
		k->full = true;
		return;
	}
	k->seg[k->segs++] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X, .p_offset = place, .p_vaddr = la,
	                                 .p_paddr = pa, .p_filesz = size, .p_memsz = size, .p_align = PAGE_SIZE};
}

/* A page that goes on where the last segment ends makes it longer. */
static void add_page(struct core *k, u64 la, u64 pa, u64 size)
{
	Elf64_Phdr *last = k->segs ? &k->seg[k->segs - 1] : NULL;

	while (size) {
		u64 room, piece;
		const u8 *host = space_memory(&k->m->bus.space[SPACE_CPU], pa, USE_READ, &room);
		u64 place = host ? mem_place(&k->m->bus, host) : UINT64_MAX;

		piece = min_u64(size, host ? room : PAGE_SIZE);
		if (host && last && last->p_vaddr + last->p_memsz == la && last->p_offset + last->p_memsz == place) {
			last->p_memsz += piece;
			last->p_filesz += piece;
		} else if (host) {
			add_segment(k, la, pa, place, piece);
			last = k->segs ? &k->seg[k->segs - 1] : NULL;
		}
		la += piece, pa += piece, size -= piece;
	}
}

/* Linux has a table of its own (espfix) stand thousands of times in a row: once says everything. */
static bool same_table(u64 a, u64 b)
{
	return !((a ^ b) & ~(PTE_A | PTE_D));
}

static void walk_table(struct core *k, const struct walk_format *f, unsigned level, u64 table, u64 la)
{
	const unsigned bits_ = f->entry_size == 8 ? 9 : 10, shift = PAGE_SHIFT + (level - 1) * bits_;
	const unsigned count = f == &walk_pae && level == 3 ? 4 : 1u << bits_;
	u64 last = 0;

	for (unsigned n = 0; n < count && !k->full; n++) {
		u64 at = la | (u64)n << shift, e = 0;

		if (gdb_read(k->first, GDB_PHYS, table + n * f->entry_size, &e, f->entry_size) != f->entry_size || !(e & PTE_P))
			continue;
		if (shift + bits_ > 47 && f->addr_bits > 32)
			at = (u64)sign_extend(at, f->addr_bits);
		if (level == 1 || (level <= 3 && (e & PTE_PS) && !(f == &walk_pae && level == 3)))
			add_page(k, at, f->entry_size == 8 ? e & mask(51, shift) : e & mask(31, shift), BIT(shift));
		else if (!same_table(e, last))
			walk_table(k, f, level - 1, f->entry_size == 8 ? e & mask(51, 12) : e & mask(31, 12), at);
		last = e;
	}
}

static void add_linear(struct core *k)
{
	const struct cpu *c = k->first;
	const struct walk_format *f = !(c->efer & EFER_LMA) ? c->cr4 & CR4_PAE ? &walk_pae : &walk_legacy
	                              : c->cr4 & CR4_LA57   ? &walk_long5
	                                                    : &walk_long4;

	if ((c->cr0 & CR0_PG) && !c->guest)
		walk_table(k, f, f->levels, c->cr3 & (f == &walk_pae ? mask(31, 5) : mask(51, 12)), 0);
}

static void add_physical(struct core *k)
{
	const struct bus *b = &k->m->bus;
	const u64 mark = (k->first->cr0 & CR0_PG) && !k->first->guest ? NOT_LINEAR : 0;

	for (unsigned n = 0; n < b->blocks; n++)
		add_segment(k, b->block[n].base | mark, b->block[n].base, b->block[n].offset, b->block[n].size);
}

/* ---- the file ---- */

static bool is_zero(const u8 *page)
{
	static const u8 zero[PAGE_SIZE];

	return !memcmp(page, zero, PAGE_SIZE);
}

static bool write_memory(const struct core *k)
{
	const struct bus *b = &k->m->bus;

	for (u64 at = 0; at < b->file_size; at += PAGE_SIZE)
		if (!is_zero(b->memory + at) && !os_write_at(k->fd, k->data + at, b->memory + at, PAGE_SIZE))
			return false;
	return os_write_at(k->fd, k->data + b->file_size - 1, b->memory + b->file_size - 1, 1); /* its length */
}

static bool write_file(struct core *k)
{
	char *notes = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&notes, &size);

	if (!f)
		return false;
	write_notes(k, f);
	fclose(f);
	const u64 heads = sizeof(Elf64_Ehdr) + (k->segs + 1) * sizeof(Elf64_Phdr);
	const Elf64_Ehdr e = {
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
	        .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(e), .e_ehsize = sizeof(e),
	        .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (u16)(k->segs + 1)};
	const Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = heads, .p_filesz = size, .p_memsz = size, .p_align = 4};

	k->data = (heads + size + PAGE_SIZE - 1) & PAGE_MASK;
	for (unsigned n = 0; n < k->segs; n++)
		k->seg[n].p_offset += k->data;
	bool good = os_write_at(k->fd, 0, &e, sizeof(e)) && os_write_at(k->fd, sizeof(e), &note, sizeof(note)) &&
	            os_write_at(k->fd, sizeof(e) + sizeof(note), k->seg, k->segs * sizeof(*k->seg)) &&
	            os_write_at(k->fd, heads, notes, size) && write_memory(k);
	int e_no = errno;
	free(notes);
	errno = e_no;
	return good;
}

enum status gdb_core(struct machine *m, struct cpu *dead, const char *option, const char *path, struct err *err)
{
	struct core k = {.m = m, .first = dead ? dead : m->cpus[0], .fd = os_open_output(path)};

	if (k.fd < 0)
		return err_set(err, ST_ARG, "%s %s: %s", option, path, strerror(errno));
	add_linear(&k);
	add_physical(&k);
	bool good = write_file(&k);
	int e = errno;
	os_close(k.fd);
	base_free(k.seg);
	return good ? ST_OK : err_set(err, ST_IO, "%s %s: %s", option, path, strerror(e));
}
