/*
 * What stands at the reset vector: the little of a BIOS that has to run as a program, since INIT brings the bootstrap
 * processor there whoever sent it. Software that wants its processor back in real mode prepares the shutdown byte of
 * the CMOS (0Fh) and the pointer at 40:67 ("Warm reset vector" of the MultiProcessor Specification); without that the
 * whole machine is reset, and the loader does its work again.
 */
#include "machine/boot/boot.h"

#define ROM_BASE 0xfffff000ull
enum { VECTOR = 0xff0 };

/* Real mode; CS has the base FFFF0000h, and this page is its last: the code is at CS:F000. */
static const u8 code[] = {
        0xfa,                         /* cli */
        0xfc,                         /* cld */
        0x31, 0xc0,                   /* xor ax, ax */
        0x8e, 0xd8,                   /* mov ds, ax */
        0x8e, 0xd0,                   /* mov ss, ax */
        0xbc, 0x00, 0x04,             /* mov sp, 400h */
        0xb0, 0x8f,                   /* mov al, 8fh: NMI masked */
        0xe6, 0x70,                   /* out 70h, al */
        0xe4, 0x71,                   /* in al, 71h */
        0x88, 0xc4,                   /* mov ah, al */
        0xb0, 0x00,                   /* mov al, 0: it is good for one time */
        0xe6, 0x71,                   /* out 71h, al */
        0x80, 0xfc, 0x05, 0x74, 0x1d, /* cmp ah, 5; je acknowledge */
        0x80, 0xfc, 0x09, 0x74, 0x20, /* cmp ah, 9; je jump: a block move that no BIOS of ours has begun */
        0x80, 0xfc, 0x0a, 0x74, 0x1b, /* cmp ah, 0ah; je jump */
        0x80, 0xfc, 0x0b, 0x74, 0x1a, /* cmp ah, 0bh; je interrupted */
        0x80, 0xfc, 0x0c, 0x74, 0x1b, /* cmp ah, 0ch; je called */
        0xba, 0xf9, 0x0c,             /* mov dx, 0cf9h */
        0xb0, 0x06,                   /* mov al, 6: reset of everything */
        0xee,                         /* out dx, al */
        0xf4, 0xeb, 0xfd,             /* hlt; jmp $-1 */
        /* acknowledge: */
        0xb0, 0x20, /* mov al, 20h */
        0xe6, 0xa0, /* out 0a0h, al: end of interrupt */
        0xe6, 0x20, /* out 20h, al */
        0xe4, 0x60, /* in al, 60h: what the keyboard has */
        /* jump: */
        0xff, 0x2e, 0x67, 0x04, /* jmp far [467h] */
        /* interrupted: */
        0x0f, 0xb2, 0x26, 0x67, 0x04, /* lss sp, [467h] */
        0xcf,                         /* iret */
        /* called: */
        0x0f, 0xb2, 0x26, 0x67, 0x04, /* lss sp, [467h] */
        0xcb,                         /* retf */
};

enum status boot_rom(struct machine *m, struct err *err)
{
	static const u8 vector[] = {0xe9, 0x0d, 0xf0}; /* jmp F000h */
	u8 image[PAGE_SIZE];

	memset(image, 0xff, sizeof(image));
	memcpy(image, code, sizeof(code));
	memcpy(image + VECTOR, vector, sizeof(vector));
	return bus_add_rom(&m->bus, ROM_BASE, image, sizeof(image), err);
}
