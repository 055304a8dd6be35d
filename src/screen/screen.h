/*
 * screen: what people see of the machine's screen. picture.c: pictures as PPM and PNG; text.c: a text mode as lines, with
 * colors or without; display.c: --display. docs/screen.md says how it is used. Nothing here changes the machine.
 * May call: base, mem, dev, machine. Called by: api.
 */
#ifndef SCREEN_SCREEN_H
#define SCREEN_SCREEN_H

#include <stdio.h>

#include "dev/vga.h"
#include "machine/machine.h"

enum display_kind { DISPLAY_NONE, DISPLAY_TEXT, DISPLAY_PPM, DISPLAY_PNG, DISPLAY_VNC };
struct display_options {
	enum display_kind kind;
	const char *at;     /* PPM, PNG: the file; VNC: the address */
	const char *option; /* as typed, for messages; NULL: not asked for */
};

/* ---- picture.c ---- */
bool picture_ppm(const struct vga_picture *p, FILE *f);
bool picture_png(const struct vga_picture *p, FILE *f);
/* The machine's screen into a file of this kind; a machine without one shows a black dot. err->text names the file. */
enum status screen_dump(struct machine *m, enum display_kind kind, const char *path, struct err *err) must_check;

/* ---- text.c ---- */
/* Lines of UTF-8, without what is blank at their ends and at the end of the screen; in colors for a terminal. false: there
 * is no text mode, or nothing on the screen. */
bool screen_text(struct machine *m, bool colors, FILE *f);

#endif
