/*
 * What the driver and the secure loader agree on: where things lie, and the few numbers that the driver hands over. All
 * of it is the driver's word, which the loader has no reason to believe: a wrong number makes the launch fail, and must
 * not do more than that.
 */
#ifndef SECURE_LOADER_AGREE_H
#define SECURE_LOADER_AGREE_H

/* The driver sets 384 KiB aside, 64-KiB aligned, above 1 MiB and below 256 MiB. The first 64 are the secure loader block (SLB). */
#define SLB_SIZE      0x10000
#define SLB_RESERVED  0x60000
#define SLB_LOWEST    0x100000 /* what lies below has other uses, AP_PAGE among them */
#define SLB_LIMIT     0x10000000

/* Within the SLB. The image comes first; what lies behind it is not measured. */
#define AT_STACKS     0xa000 /* of the other processors, AP_STACK bytes each */
#define AT_STACK_TOP  0xe000 /* of the loader: a page or more below this */
#define AT_DEV_TABLE  0xe000 /* 128 KiB, of which the first 8 lie in the SLB */
/* Behind the SLB and the table: pages that DEV protects before anything is put there. */
#define AT_PAGES      0x2e000
#define AT_GUEST      0x40000

#define AP_STACK      512
#define AP_MAX        16      /* stacks there are */
#define AP_PAGE       0x8000  /* where the other processors start, below 1 MiB */

#define GUEST_MEMORY  0x10000 /* what the guest has: its own addresses 0 to FFFFh */
#define GUEST_ENTRY   0x1000
#define GUEST_MAX     0x8000

#define HANDOFF_MAGIC 0x4c53 /* "SL" */

#ifndef __ASSEMBLER__
/* Directly behind the image. */
struct handoff {
	unsigned magic;
	unsigned resume;            /* 32-bit code that goes on when the loader returns control */
	unsigned others;            /* processors beside this one */
	unsigned guest, guest_size; /* what to run, anywhere in memory */
};
#endif

#endif
