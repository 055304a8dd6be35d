/*
 * flash_kill [--trials N] [--seed S]: a machine that writes its flash is killed at a random moment, as by kill -9. Each of its
 * operations makes two blocks say the next number. What the file holds afterwards is the number that was acknowledged, or
 * the next one, everywhere.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dev/flash.h"
#include "trials.h"

enum { SIZE = 132 * FLASH_BLOCK, MOMENTS_US = 30000, BYTES = 64 };
#define BASE (0x100000000ull - SIZE)

/* ---- the machine ---- */

struct board {
	struct clock clock;
	struct hooks hooks;
	struct bus bus;
	struct device *flash;
};

static u8 *open_file(struct os_kept *k, const char *file, u64 *size, struct err *err)
{
	u8 *data = NULL;

	if (os_kept_open(k, "flash", file, err) != ST_OK || os_kept_read(k, "flash", SIZE, &data, size, err) != ST_OK)
		return NULL;
	return data;
}

static bool power_on(struct board *b, const char *file, struct err *err)
{
	struct flash_config cfg = {.option = "flash", .base = BASE, .size = SIZE, .writable = true};
	const struct dev_env env = {.bus = &b->bus, .clock = &b->clock};
	u64 size = 0;
	u8 *data = open_file(&cfg.file, file, &size, err);

	*b = (struct board){0};
	clock_init(&b->clock);
	if (!data || size != SIZE || bus_init(&b->bus, &b->clock, &b->hooks, 1 << 20, 1 << 20, err) != ST_OK)
		return false;
	cfg.data = data;
	bool ok = flash_create(&b->flash, &env, &cfg, err) == ST_OK;
	base_free(data);
	return ok;
}

static void put(struct board *b, u64 at, u8 v)
{
	phys_write(&b->bus, (struct initiator){.by = BY_CPU}, BASE + at, &v, 1);
}

/* One operation: nothing is an array, and so in the file, before both blocks are done. */
static void say(struct board *b, u8 number)
{
	for (u64 block = 0; block < 2; block++) {
		u64 at = block * 100 * FLASH_BLOCK;
		put(b, at, 0x20);
		put(b, at, 0xd0);
		for (unsigned n = 0; n < BYTES; n++) {
			put(b, at + n * 60, 0x40);
			put(b, at + n * 60, number);
		}
	}
	put(b, 0, 0xff);
}

static _Noreturn void machine(const char *file, u8 number, int fd)
{
	struct board b;
	struct err err;

	if (!power_on(&b, file, &err))
		_exit(1);
	for (;;) {
		say(&b, ++number);
		if (write(fd, &number, 1) != 1)
			_exit(1);
	}
}

/* ---- the test ---- */

static u8 what_it_says(const char *file, unsigned trial)
{
	struct os_kept k;
	struct err err = {""};
	u64 size = 0;
	u8 *d = open_file(&k, file, &size, &err);

	if (!d || size != SIZE)
		bad(d ? "the file has another size" : err.text, trial);
	u8 number = d[0];
	for (u64 at = 0; at < SIZE; at++) {
		u64 block = at / FLASH_BLOCK, in = at % FLASH_BLOCK;
		bool said = (block == 0 || block == 100) && in % 60 == 0 && in < BYTES * 60;
		if (d[at] != (said ? number : 0xff))
			bad("the file is a mixture", trial);
	}
	base_free(d);
	os_kept_close(&k);
	return number;
}

static unsigned trial(const char *file, u8 *number, unsigned n)
{
	u8 told = *number, next;
	unsigned done = 0;
	int fd[2];

	if (pipe(fd))
		bad("no pipe", n);
	pid_t pid = fork();
	if (!pid)
		machine(file, told, fd[1]);
	close(fd[1]);
	/* At least one operation in: the moment counts from there. */
	if (read(fd[0], &told, 1) != 1)
		bad("the machine did not start", n);
	usleep((useconds_t)draw(MOMENTS_US));
	kill(pid, SIGKILL);
	for (done = 1; read(fd[0], &next, 1) == 1; done++)
		told = next;
	close(fd[0]);
	waitpid(pid, NULL, 0);
	*number = what_it_says(file, n);
	if (*number != told && *number != (u8)(told + 1))
		bad("what was acknowledged is lost", n);
	return done;
}

static void make(const char *file)
{
	FILE *f = fopen(file, "w");

	for (unsigned n = 0; f && n < SIZE; n++)
		fputc(0xff, f);
	if (!f || fclose(f))
		bad("no file", 0);
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/flash-kill-XXXXXX", file[64], beside[96];
	unsigned trials = trials_asked(argc, argv), acknowledged = 0;
	u8 number = 0xff;

	if (!mkdtemp(folder))
		return 1;
	snprintf(file, sizeof(file), "%s/vars", folder);
	snprintf(beside, sizeof(beside), "%s.turnstile-next", file);
	make(file);
	for (unsigned n = 1; n <= trials; n++)
		acknowledged += trial(file, &number, n);
	unlink(beside); /* what the last one prepared */
	unlink(file);
	if (rmdir(folder))
		bad("something else is left beside the file", trials);
	printf("%u trials, %u operations acknowledged, none lost\nchecks: %u\n", trials, acknowledged, trials);
	return 0;
}
