/* A guest on either maker's processor that does one access at a time, and the tables that its addresses go through. */
#ifndef TABLES_H
#define TABLES_H

#include "cases.h"
#include "svm.h"
#include "vmx.h"

#define AREA 0x12000000ull /* guest-physical, and linear: by small pages */

enum todo { READ, WRITE, CALL };
enum { NOTHING, READABLE, WRITABLE, FULL, CLEAN, UNCACHED };

struct processor {
	struct vmcb *v;
	u64 vmcs, stack;
	bool launched;
};
extern bool intel;
extern struct processor first;
extern u64 *table, page_a, page_b; /* of AREA; two pages, the first of which all of it shows */

u64 table_entry(u64 page, unsigned how);
u64 table_pointer(u64 to);
u64 *table_pde(u64 address); /* of the first 4 GiB, one to one */
void guest_begin(void);
void guest_visit(u64 address, enum todo what);
void guest_end_visits(void);

#endif
