/*
 * What the program asks of the computer it runs on, apart from memory: whole files, real time, waiting for input. Real
 * time is read by the machine's door (machine/door.c) and by --timeout only; nothing a guest can see derives from it.
 */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "base/base.h"

/* A file's content, mapped read-only. */
struct os_file {
	const u8 *data;
	u64 size;
};
/* Refuses what is missing, empty, a folder or not a plain file; err->text names the path. */
enum status os_file_map(struct os_file *f, const char *path, struct err *err) must_check;
void os_file_unmap(struct os_file *f);

/* Which file a path or a descriptor means, whatever its spelling: links followed, a file that is yet to be created by its
 * folder and name. What may be shared (terminals, pipes, sockets, /dev/null) is nobody's alone. */
struct os_file_id {
	enum { OS_FILE_NONE, OS_FILE_HERE, OS_FILE_NEW } kind;
	u64 device, inode;
	char name[256]; /* OS_FILE_NEW */
};
struct os_file_id os_path_id(const char *path);
struct os_file_id os_fd_id(int fd);
bool os_same_file(const struct os_file_id *a, const struct os_file_id *b);
/* One writer, or any number of readers. false: somebody else has it; a file system without locks grants everything. */
bool os_lock_file(int fd, bool write);

u64 os_real_ns(void);      /* monotonic */
u64 os_date_seconds(void); /* since 1970, for --rtc base=utc alone */

/* Sleep until one of the descriptors is readable or timeout_ms passed (-1: no limit). */
void os_wait_readable(const int *fds, unsigned n, int timeout_ms);

/* Descriptors behind a channel. Every function returns -1 on failure with errno set. */
int os_open_output(const char *path);
bool os_may_write(const char *path); /* could os_open_output() succeed? Nothing is changed; errno says why not */
/* A new folder, or one that is there and empty; a new file with all of `text`. false: errno. */
bool os_create_folder(const char *path);
bool os_create_file(const char *path, const char *text, size_t n, bool executable);
void os_remove(const char *path);
int os_unix_connect(const char *path);
int os_unix_listen(const char *path);
int os_accept(int fd);
int os_pty(char *name, size_t len);
size_t os_read_ready(int fd, void *buf, size_t n, bool *eof); /* never blocks */
bool os_write_all(int fd, const void *buf, size_t n); /* false: errno says why */
bool os_write_at(int fd, u64 offset, const void *buf, size_t n);
bool os_readable_source(int fd); /* not /dev/null, not closed */
void os_close(int fd);

/* ---- os_msr.c ---- */
bool os_read_msr(unsigned cpu, u32 index, u64 *value, char *why, size_t size); /* false: `why` says why not */
#define OS_INPUT_MOST (1ull << 30)
/* The whole standard input; *data is to be freed with base_free(), also on failure. */
enum status os_read_input(u8 **data, u64 *size, struct err *err) must_check;

/* ---- os_process.c: another program that works for this one ---- */
struct os_process {
	int pid, handle; /* 0: none; the handle knows it even where somebody else has waited for it */
};
/* The folder of the running program, without a slash at its end. */
bool os_program_folder(char *buf, size_t n);
bool os_may_execute(const char *path);
/* path with one argument; `input` becomes its standard input, nothing else but the standard output and error is shared, and
 * signals from the terminal do not reach it. false: errno. Safe where threads run. */
bool os_spawn(struct os_process *p, const char *path, const char *argument, int input);
/* Ends it if it runs, and says how it came to its end: "was killed by signal 9 (Killed)". */
void os_end_process(struct os_process *p, char *how, size_t n);
/* A pair of connected sockets. */
bool os_socket_pair(int fd[2]);
/* All of it as one message, `pass` (-1: none) as a descriptor of the other's. No signal where nobody listens. */
bool os_send(int fd, const void *buf, size_t n, int pass);
/* At least `least` bytes, at most n. 0: the other side is gone or timeout_ms passed (errno: ETIMEDOUT). */
size_t os_receive(int fd, void *buf, size_t least, size_t n, int timeout_ms);

/* ---- os_socket.c: who comes from outside ---- */
/* host "": every address; *port 0: any that is free, and which. -1: *why says it, or, where that is NULL, errno. */
int os_tcp_listen(const char *host, u16 *port, const char **why);
/* false: the other side is gone, or has taken nothing for so long. No signal. */
bool os_socket_write(int fd, const void *buf, size_t n, int patience_ms);

/* ---- os_kept.c: a file that is replaced as a whole and has one owner ---- */
struct os_kept {
	char *path, *next; /* links followed; where the next content is prepared */
	int fd;            /* holds the lock; -1: there is no file yet */
};
/* Locks what is there; changes nothing. ST_ARG: in use, or could not be replaced; the text begins with `name`. */
enum status os_kept_open(struct os_kept *k, const char *name, const char *path, struct err *err) must_check;
/* The content as it is now; NULL and ST_OK: there is no file yet. To be freed. At most `most` bytes, or ST_ARG. */
enum status os_kept_read(struct os_kept *k, const char *name, u64 most, u8 **data, u64 *size, struct err *err) must_check;
/* When it returns true the content is on the disk; else errno, and the old one is untouched. */
bool os_kept_write(struct os_kept *k, const void *data, size_t size) must_check;
void os_kept_close(struct os_kept *k);
/* Where the next content of the file at `path` is prepared; to be freed; NULL: out of memory. */
char *os_kept_next(const char *path);

#endif
