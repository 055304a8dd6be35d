/*
 * machine: the whole PC, from bottom to top: state/ (struct machine), the firmware tables (acpi/, smbios.c), one loader
 * per boot protocol (boot/), the wiring of the devices (pc.c), the scheduler and its one door for outside input
 * (machine.c, door.c). May call: base, arch, mem, cpu, model, dev. Called by: inspect, api.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "machine/smbios.h"
#include "machine/state/state.h"

enum status machine_create(struct machine **out, const struct machine_config *cfg, struct err *err);
void machine_destroy(struct machine *m);
/* Run until a stop reason arises or max_insns (0: no limit) more instructions retired. A loader that fails after a
 * reset gives MSTOP_INTERNAL with err filled. A machine that has ended stays where it is. */
enum machine_stop machine_run(struct machine *m, u64 max_insns, struct err *err);
void machine_request_stop(struct machine *m); /* async-signal-safe */
u64 machine_insns(const struct machine *m);
/* May the same command give another run? Typed input, network, the computer's clock, a TPM that is not ours. false: no;
 * else the reasons in text. */
bool machine_unrepeatable(const struct machine *m, char *text, size_t n);

/* ---- pc.c ---- */
enum status pc_build(struct machine *m, struct err *err);
void pc_fini(struct machine *m);
void pc_reset(struct machine *m); /* devices to power-on */
void pc_loaded(struct machine *m); /* rows of the machine and its devices were written from outside */
void pc_sleep(struct machine *m); /* devices lose their power, but for those that wake the machine */
/* INIT# of every processor, which a BIOS answers by a reset of everything unless software prepared something else. */
void pc_init(struct machine *m);
void pc_shutdown(struct machine *m, const struct cpu *c); /* c has shut down, and the chipset restarts it */
void pc_stop(struct machine *m, enum machine_stop why, u32 value);

/* ---- jitter.c ---- */
void jitter_start(struct machine *m);
u64 jitter_slice(struct jitter *j); /* instructions of the next turn */

/* ---- tell.c ---- */
void machine_note(struct machine *m, const char *fmt, ...) printf_like(2, 3);
void machine_lost(struct machine *m, const char *fmt, ...) printf_like(2, 3); /* what was promised */

/* ---- door.c ---- */
void door_add(struct door *d, struct chan *c);
enum status door_start(struct machine *m, struct err *err); /* the last step of creation: files change from here on */
bool door_poll(struct machine *m);                          /* true: something came in */
void door_wait(struct machine *m, u64 max_real_ns);         /* sleep until input or the time is over */
bool door_live(const struct machine *m);                    /* sources an idle machine must wait for */
void door_flush(struct machine *m);
void door_close(struct machine *m);

#endif
