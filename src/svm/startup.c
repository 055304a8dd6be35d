/*
 * INIT and the Startup IPI on a processor with SVM. INIT: "INIT Support", what becomes of it once GIF and the
 * intercept have let it through. Startup IPI: "Secure Multiprocessor Initialization", what it does to the others once
 * the bootstrap processor has executed SKINIT.
 */
#include "svm/svm.h"

/* Has the bootstrap processor indicated that it executed SKINIT? */
static bool started_securely(const struct cpu *c)
{
	for (unsigned i = 0; i < c->count; i++)
		if (svm_of(c->all[i])->secure_start)
			return true;
	return false;
}

/*
 * A processor in INIT state takes another INIT as ever, since it comes out the same. Behind SKINIT it is one "that
 * asserts after the processor has accepted the INIT IPI": pending through the Startup IPI, until software sets GIF.
 */
enum init_answer svm_init_answer(const struct cpu *c)
{
	if (c->activity == ACT_WAIT_SIPI)
		return started_securely(c) ? INIT_HELD : INIT_TAKEN;
	return c->vm_cr & VM_CR_R_INIT ? INIT_REDIRECTED : INIT_TAKEN;
}

void svm_started(struct cpu *c)
{
	if (!started_securely(c))
		return;
	if ((c->pend & PEND_INIT) && c->hooks->note)
		c->hooks->note(c->hooks->arg, "an INIT IPI behind SKINIT waits for STGI and is #SX then: a Startup IPI alone "
		                              "starts a processor");
	c->gif = false;
	c->vm_cr |= VM_CR_SECURE;
}

bool svm_secure_start(struct cpu *c)
{
	bool complete = is_bootstrap(c);

	svm_of(c)->secure_start = is_bootstrap(c);
	for (unsigned i = 0; i < c->count; i++)
		if (c->all[i] != c && c->all[i]->activity != ACT_WAIT_SIPI)
			complete = false;
	return complete;
}

/* "Aborting MP initialization": a bootstrap processor whose VM_CR is cleared is in normal operation again. What was
 * held for the others in INIT state is theirs now. */
void svm_secure_start_check(struct cpu *c)
{
	if (!svm_of(c)->secure_start || (c->vm_cr & VM_CR_SECURE))
		return;
	svm_of(c)->secure_start = false;
	for (unsigned i = 0; i < c->count; i++)
		cpu_recheck(c->all[i]);
}
