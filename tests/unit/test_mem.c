/* RAM, ROM, the bus and DMA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "arch/features.h"
#include "mem/mem.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct seen {
	char log[256];
	u8 reg[64];
};

static u64 dev_read(void *dev, u64 offset, unsigned size)
{
	struct seen *s = dev;
	u64 v = 0;

	snprintf(s->log + strlen(s->log), sizeof(s->log) - strlen(s->log), "r%llx.%u ", (unsigned long long)offset,
	         size);
	memcpy(&v, s->reg + offset, size);
	return v;
}

static void dev_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct seen *s = dev;

	snprintf(s->log + strlen(s->log), sizeof(s->log) - strlen(s->log), "w%llx.%u=%llx ", (unsigned long long)offset,
	         size, (unsigned long long)value);
	memcpy(s->reg + offset, &value, size);
}

static const struct bus_ops any_ops = {dev_read, dev_write, 0, 0};
static const struct bus_ops byte_ops = {dev_read, dev_write, 1, 1};
static const struct bus_ops dword_ops = {dev_read, dev_write, 4, 4};

struct fixture {
	struct bus bus;
	struct clock clock;
	struct hooks hooks;
	struct observer code, lines; /* two who are told of stores */
	struct written written, line;
	unsigned written_calls, line_calls;
	struct initiator msi_from;
	u64 msi_addr;
	u32 msi_data;
	char trace[128];
};

static void on_written(void *arg, const struct written *w)
{
	struct fixture *f = arg;
	f->written = *w, f->written_calls++;
}

static void on_line(void *arg, const struct written *w)
{
	struct fixture *f = arg;
	f->line = *w, f->line_calls++;
}

static void on_msi(void *arg, struct initiator who, u64 addr, u32 data)
{
	struct fixture *f = arg;
	f->msi_from = who, f->msi_addr = addr, f->msi_data = data;
}

static void on_io(void *arg, bool mmio, bool write, u64 addr, unsigned size, u64 value)
{
	struct fixture *f = arg;
	snprintf(f->trace, sizeof(f->trace), "%d%d %llx.%u=%llx", mmio, write, (unsigned long long)addr, size,
	         (unsigned long long)value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->hooks.io = on_io;
	f->hooks.arg = f;
	clock_init(&f->clock);
	if (bus_init(&f->bus, &f->clock, &f->hooks, 64 * MIB, 32 * MIB, NULL) != ST_OK)
		return -1;
	f->code = (struct observer){.pages = PAGE_CODE, .written = on_written, .arg = f};
	f->lines = (struct observer){.pages = PAGE_WATCHED, .written = on_line, .arg = f};
	bus_observe(&f->bus, &f->code);
	bus_observe(&f->bus, &f->lines);
	f->bus.msi = on_msi;
	f->bus.msi_arg = f;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	bus_fini(&f->bus);
	free(f);
	return 0;
}

static void test_ram_layout(void **state)
{
	struct bus *b = &((struct fixture *)*state)->bus;

	assert_non_null(bus_memory(b, 0));
	assert_non_null(bus_memory(b, 32 * MIB - 1));
	assert_null(bus_memory(b, 32 * MIB));
	assert_null(bus_memory(b, 4 * GIB - 1));
	assert_non_null(bus_memory(b, 4 * GIB));
	assert_non_null(bus_memory(b, 4 * GIB + 32 * MIB - 1));
	assert_null(bus_memory(b, 4 * GIB + 32 * MIB));
	bus_write_u64(b, 0x1000, 0x1122334455667788);
	assert_int_equal(bus_read_u64(b, 0x1000), 0x1122334455667788);
	assert_int_equal(bus_read_u32(b, 0x1002), 0x33445566);
	bus_write_u32(b, 4 * GIB, 7);
	assert_int_equal(bus_read_u32(b, 4 * GIB), 7);
	assert_int_equal(bus_read_u64(b, 32 * MIB - 4), 0xffffffff00000000); /* half RAM, half nothing */
	assert_int_equal(bus_read_u32(b, 3 * GIB), 0xffffffff);
}

static void test_flags(void **state)
{
	struct fixture *f = *state;
	struct bus *b = &f->bus;
	u8 bytes[8192] = {0};

	assert_int_equal(*mem_flag(b, bus_memory(b, 0x2000)), PAGE_CLEAN);
	bus_write_u32(b, 0x2ffc, 1);
	assert_int_equal(*mem_flag(b, bus_memory(b, 0x2000)), 0);
	assert_int_equal(*mem_flag(b, bus_memory(b, 0x3000)), PAGE_CLEAN);
	assert_int_equal(f->written_calls, 0);
	*mem_flag(b, bus_memory(b, 0x4000)) |= PAGE_CODE;
	assert_true(dma_write(b, 0x18, 0x3800, bytes, 0x1000));
	assert_int_equal(f->written_calls, 1);
	assert_int_equal(f->written.pa, 0x4000);
	assert_int_equal(f->written.len, 0x800);
	assert_int_equal(f->written.who.by, BY_DEVICE);
	assert_int_equal(f->written.who.id, 0x18);
	assert_int_equal(*mem_flag(b, bus_memory(b, 0x3000)), 0);
	assert_int_equal(*mem_flag(b, bus_memory(b, 0x4000)), PAGE_CODE);
	*mem_flag(b, bus_memory(b, 0x5000)) = PAGE_WATCHED;
	bus_write(b, 0x3001, bytes, 8192); /* pages 3, 4 and one byte of 5 */
	assert_int_equal(f->written_calls, 2);
	assert_int_equal(f->written.who.by, BY_LOADER);
	assert_int_equal(f->line_calls, 1); /* each hears of its own pages */
	assert_int_equal(f->line.pa, 0x5000);
	assert_int_equal(f->line.len, 1);
	*mem_flag(b, bus_memory(b, 0x5000)) = PAGE_WATCHED | PAGE_CODE;
	phys_write(b, (struct initiator){.by = BY_WALK, .smm = true, .id = 3}, 0x5ffe, bytes, 2);
	assert_int_equal(f->written_calls, 3);
	assert_int_equal(f->line_calls, 2);
	assert_int_equal(f->line.pa, 0x5ffe);
	assert_int_equal(f->line.who.by, BY_WALK);
	assert_true(f->line.who.smm);
	assert_int_equal(f->line.who.id, 3);
	bus_unobserve(b, &f->code);
	phys_write(b, (struct initiator){.by = BY_CPU}, 0x5000, bytes, 1);
	assert_int_equal(f->written_calls, 3);
	assert_int_equal(f->line_calls, 3);
}

static void test_rom(void **state)
{
	struct bus *b = &((struct fixture *)*state)->bus;
	u8 image[0x1800];
	struct err e;

	memset(image, 0xab, sizeof(image));
	assert_int_equal(bus_add_rom(b, 0xf0000, image, sizeof(image), &e), ST_OK);
	assert_int_equal(bus_add_rom(b, 0xfffff000, image, 0x1000, &e), ST_OK);
	assert_int_equal(bus_add_rom(b, 0xf1000, image, 0x1000, &e), ST_ARG);
	assert_int_equal(bus_add_rom(b, 0x123, image, 0x1000, &e), ST_ARG);
	assert_int_equal(bus_read_u32(b, 0xf0000), 0xabababab);
	assert_int_equal(bus_read_u32(b, 0xf17fe), 0x0000abab);
	bus_write_u32(b, 0xf0000, 0);
	assert_int_equal(bus_read_u32(b, 0xf0000), 0xabababab);
	assert_true(bus_memory(b, 0xf0000) == b->memory + b->ram_size);
	assert_null(space_find(&b->space[SPACE_CPU], 0xf0000, USE_WRITE));
	assert_non_null(space_find(&b->space[SPACE_CPU], 0xeffff, USE_WRITE));
	assert_non_null(space_find(&b->space[SPACE_CPU], 0xf2000, USE_WRITE));
	bus_write_u32(b, 0xf2000, 5);
	bus_write_u32(b, 0xefffc, 6);
	assert_int_equal(bus_read_u32(b, 0xf2000), 5);
	assert_true(bus_memory(b, 0xf2000) == b->memory + 0xf2000);
	assert_true(mem_flag(b, bus_memory(b, 0xf2000)) == b->memory_flags + 0xf2);
	bus_write_u32(b, 0xefffe, 0x11112222); /* straddles: the RAM half lands */
	assert_int_equal(bus_read_u32(b, 0xefffe), 0xabab2222);
}

static void test_ports(void **state)
{
	struct bus *b = &((struct fixture *)*state)->bus;
	struct seen s = {.reg = {1, 2, 3, 4, 5, 6, 7, 8}}, t = {.reg = {0xee}};
	struct bus_range r = {.ops = &byte_ops, .dev = &s, .base = 0x60, .size = 3, .port = true};
	struct bus_range conf = {.ops = &any_ops, .dev = &s, .base = 0xcf8, .size = 8, .port = true};
	struct bus_range rst = {.ops = &byte_ops, .dev = &t, .base = 0xcf9, .size = 1, .port = true};

	bus_map(b, &r);
	assert_int_equal(bus_port_read(b, 0x60, 4), 0xff030201);
	assert_string_equal(s.log, "r0.1 r1.1 r2.1 ");
	s.log[0] = 0;
	bus_port_write(b, 0x5f, 2, 0x4142);
	assert_string_equal(s.log, "w0.1=41 ");
	assert_int_equal(bus_port_read(b, 0x63, 2), 0xffff);
	assert_int_equal(bus_port_read(b, 0xffff, 4), 0xffffffff);

	bus_map(b, &conf);
	bus_map(b, &rst);
	s.log[0] = 0;
	bus_port_write(b, 0xcf8, 4, 0x80000000);
	assert_string_equal(s.log, "w0.4=80000000 "); /* a dword belongs to who owns its first byte */
	bus_port_write(b, 0xcf9, 1, 6);
	assert_string_equal(t.log, "w0.1=6 ");
	bus_unmap(b, &rst);
	bus_port_write(b, 0xcf9, 1, 6);
	assert_string_equal(t.log, "w0.1=6 ");
	bus_move(b, &r, 0x70);
	assert_int_equal(bus_port_read(b, 0x60, 1), 0xff);
	assert_int_equal(bus_port_read(b, 0x71, 1), 6);
}

static void test_mmio(void **state)
{
	struct fixture *f = *state;
	struct bus *b = &f->bus;
	struct seen s = {.reg = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17}}, t = {.reg = {0x99, 0x98}};
	struct bus_range r = {.ops = &dword_ops, .dev = &s, .base = 0xfed00000, .size = 0x40};
	struct bus_range top = {.ops = &any_ops, .dev = &t, .base = 0xfed00004, .size = 2};

	bus_map(b, &r);
	assert_int_equal(bus_mmio_read(b, 0xfed00000, 8), 0x1716151413121110);
	assert_string_equal(s.log, "r0.4 r4.4 ");
	s.log[0] = 0;
	assert_int_equal(bus_mmio_read(b, 0xfed00002, 2), 0x1312); /* widened */
	assert_int_equal(bus_mmio_read(b, 0xfed00005, 1), 0x15);
	assert_string_equal(s.log, "r0.4 r4.4 ");
	s.log[0] = 0;
	bus_mmio_write(b, 0xfed00001, 1, 0x55); /* writes keep their width */
	assert_string_equal(s.log, "w1.1=55 ");
	bus_map(b, &top);
	assert_int_equal(bus_mmio_read(b, 0xfed00000, 4), 0x13125510);
	assert_int_equal(bus_mmio_read(b, 0xfed00004, 2), 0x9899); /* the later mapping wins, cache or not */
	assert_int_equal(bus_mmio_read(b, 0xfed00000, 4), 0x13125510);
	assert_int_equal(bus_mmio_read(b, 0xfed00004, 4), 0x17169899);
	bus_unmap(b, &top);
	assert_int_equal(bus_mmio_read(b, 0xfed00004, 2), 0x1514);
	f->hooks.trace = TRACE_MMIO;
	bus_mmio_write(b, 0xfed00008, 4, 0x1234);
	assert_string_equal(f->trace, "11 fed00008.4=1234");
	f->hooks.trace = TRACE_IO;
	(void)bus_port_read(b, 0x80, 1);
	assert_string_equal(f->trace, "00 80.1=ff");
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	struct bus *b = &f->bus;
	u32 v = 0x4031;
	u8 buf[16];

	assert_true(dma_write(b, 8, 0xfee01000, &v, 4));
	assert_int_equal(f->msi_addr, 0xfee01000);
	assert_int_equal(f->msi_data, 0x4031);
	assert_int_equal(f->msi_from.by, BY_DEVICE);
	assert_int_equal(f->msi_from.id, 8);
	assert_false(dma_write(b, 8, 0xfee01002, &v, 4));
	assert_false(dma_read(b, 8, 3 * GIB, buf, sizeof(buf)));
	assert_int_equal(buf[7], 0xff);
	assert_false(dma_write(b, 8, 32 * MIB - 8, buf, sizeof(buf))); /* runs out of RAM */
	assert_false(dma_read(b, 8, ~0ull - 3, buf, sizeof(buf)));
	assert_true(dma_write(b, 8, 0x8000, "hello", 6));
	assert_true(dma_read(b, 8, 0x8000, buf, 6));
	assert_string_equal((char *)buf, "hello");
}

static unsigned long resident_kib(void)
{
	unsigned long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	return rss * 4;
}

static void test_sparse_tebibyte(void **state)
{
	struct clock c;
	struct bus b;
	struct err e;
	unsigned long before = resident_kib();

	(void)state;
	assert_int_equal(bus_init(&b, &c, NULL, 1ull << 40, 2 * GIB, &e), ST_OK);
	u64 top = 4 * GIB + (1ull << 40) - 2 * GIB - 8;
	bus_write_u64(&b, top, 42);
	assert_int_equal(bus_read_u64(&b, top), 42);
	assert_int_equal(*mem_flag(&b, bus_memory(&b, top)), 0);
	assert_int_equal(*mem_flag(&b, bus_memory(&b, top - PAGE_SIZE)), PAGE_CLEAN);
	assert_true(resident_kib() - before < 8192);
	bus_fini(&b);
	assert_int_equal(bus_init(&b, &c, NULL, 0, 2 * GIB, &e), ST_ARG);
	assert_int_equal(bus_init(&b, &c, NULL, (1ull << 40) + 1, 2 * GIB, &e), ST_ARG);
}

/* Both blocks of RAM, what lies at the edges, who is told of it, and what the computer gets back. */
static void test_clear(void **state)
{
	struct fixture *f = *state;
	struct bus *b = &f->bus;
	u8 image[PAGE_SIZE];
	struct err e;
	struct stat before, after;

	memset(image, 0xab, sizeof(image));
	assert_int_equal(bus_add_rom(b, 0x5000, image, sizeof(image), &e), ST_OK);
	for (u64 i = 0; i < 8; i++)
		bus_write_u64(b, 24 * MIB + i * MIB + 8, 0x1111111111111111 * i + 1);
	for (u64 i = 0; i < 4; i++)
		bus_write_u64(b, 4 * GIB + i * MIB, ~i);
	*bus_memory(b, 4 * GIB + 2 * MIB) = 7; /* by a pointer that somebody kept */
	*mem_flag(b, bus_memory(b, 25 * MIB)) |= PAGE_CODE;
	*mem_flag(b, bus_memory(b, 30 * MIB)) |= PAGE_WATCHED;
	*mem_flag(b, bus_memory(b, 31 * MIB)) |= PAGE_CLEAN;
	assert_int_equal(fstat(b->memfd, &before), 0);
	mem_clear(b, 25 * MIB, 32 * MIB + 3 * MIB); /* RAM above 4 GiB follows that below */
	assert_int_equal(fstat(b->memfd, &after), 0);
	assert_int_equal(bus_read_u64(b, 24 * MIB + 8), 1);
	for (u64 i = 1; i < 8; i++)
		assert_int_equal(bus_read_u64(b, 24 * MIB + i * MIB + 8), 0);
	for (u64 i = 0; i < 3; i++)
		assert_int_equal(bus_read_u64(b, 4 * GIB + i * MIB), 0);
	assert_int_equal(bus_read_u64(b, 4 * GIB + 3 * MIB), ~3ull);
	assert_int_equal(bus_read_u32(b, 0x5000), 0xabababab);
	assert_int_equal(f->written_calls, 1);
	assert_int_equal(f->written.pa, 25 * MIB);
	assert_int_equal(f->written.who.by, BY_LOADER);
	assert_int_equal(f->line_calls, 1);
	assert_int_equal(f->line.pa, 30 * MIB);
	assert_int_equal(*mem_flag(b, bus_memory(b, 31 * MIB)) & PAGE_CLEAN, 0);
	assert_int_equal(*mem_flag(b, bus_memory(b, 26 * MIB + PAGE_SIZE)), PAGE_CLEAN); /* zero before, too */
	assert_true(after.st_blocks <= before.st_blocks - 10 * 8);
	bus_write_u64(b, 26 * MIB, 5); /* and it is memory as before */
	assert_int_equal(bus_read_u64(b, 26 * MIB), 5);
	mem_clear(b, 0, b->file_size);
	assert_int_equal(bus_read_u64(b, 24 * MIB + 8), 0);
	assert_int_equal(bus_read_u64(b, 4 * GIB + 3 * MIB), 0);
	assert_int_equal(bus_read_u32(b, 0x5000), 0xabababab); /* a ROM is none of it */
}

static void test_arch_tables(void **state)
{
	(void)state;
	assert_true(arch_pat_valid(0x0007040600070406));
	assert_false(arch_pat_valid(0x0007040600070402));
	assert_false(arch_pat_valid(0x0807040600070406));
	assert_false(arch_pat_valid(0x0307040600070406));
	for (unsigned n = 0; n < 32; n++)
		assert_non_null(arch_exceptions[n].name);
	/* "has an error code": 8, 10-14, 17, 21, 29, 30 */
	for (unsigned n = 0; n < 32; n++)
		assert_int_equal(arch_exceptions[n].has_error, (0x60227d00u >> n) & 1);
	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		assert_non_null(arch_features[n].name);
		for (unsigned m = n + 1; m < FEAT_COUNT; m++) {
			const struct feature_info *x = &arch_features[n], *y = &arch_features[m];
			assert_string_not_equal(x->name, y->name);
			assert_false(x->leaf == y->leaf && x->subleaf == y->subleaf && x->reg == y->reg &&
			             x->bit == y->bit);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_ram_layout, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ports, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_mmio, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
	        cmocka_unit_test(test_sparse_tebibyte),
	        cmocka_unit_test_setup_teardown(test_clear, setup, teardown),
	        cmocka_unit_test(test_arch_tables),
	};
	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
