#include "writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmdump.h"

#define F(name) (f[vmcs_slot(VMCS_##name)])
#define S(name) ((unsigned)F(name))

static FILE *out;
static char *text;
static size_t length;
static unsigned stamp;

static void start(void)
{
	out = open_memstream(&text, &length);
	stamp = 0;
}

static char *done(void)
{
	fclose(out);
	return text;
}

/* A line of a kernel's log, with its time. */
static void printf_like(1, 2) line(const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "[ %4u.%06u] ", stamp / 1000000, stamp % 1000000);
	stamp += 331;
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

/* ---- VMCS, Linux ---- */

static void linux_segment(const u64 *f, const char *name, unsigned n)
{
	line("%s sel=0x%04x, attr=0x%05x, limit=0x%08x, base=0x%016" PRIx64, name, (unsigned)f[vmcs_slot(VMCS_GUEST_ES_SEL) + n],
	     (unsigned)f[vmcs_slot(VMCS_GUEST_ES_AR) + n], (unsigned)f[vmcs_slot(VMCS_GUEST_ES_LIMIT) + n],
	     f[vmcs_slot(VMCS_GUEST_ES_BASE) + n]);
}

static void linux_guest(const u64 *f, bool old)
{
	line("*** Guest State ***");
	line("CR0: actual=0x%016" PRIx64 ", shadow=0x%016" PRIx64 ", gh_mask=%016" PRIx64, F(GUEST_CR0), F(CR0_SHADOW), F(CR0_MASK));
	line("CR4: actual=0x%016" PRIx64 ", shadow=0x%016" PRIx64 ", gh_mask=%016" PRIx64, F(GUEST_CR4), F(CR4_SHADOW), F(CR4_MASK));
	line("CR3 = 0x%016" PRIx64, F(GUEST_CR3));
	line("PDPTR0 = 0x%016" PRIx64 "  PDPTR1 = 0x%016" PRIx64, F(GUEST_PDPTE0), F(GUEST_PDPTE1));
	line("PDPTR2 = 0x%016" PRIx64 "  PDPTR3 = 0x%016" PRIx64, F(GUEST_PDPTE2), F(GUEST_PDPTE3));
	line("RSP = 0x%016" PRIx64 "  RIP = 0x%016" PRIx64, F(GUEST_RSP), F(GUEST_RIP));
	line("RFLAGS=0x%08" PRIx64 "         DR7 = 0x%016" PRIx64, F(GUEST_RFLAGS), F(GUEST_DR7));
	line("Sysenter RSP=%016" PRIx64 " CS:RIP=%04x:%016" PRIx64, F(GUEST_SYSENTER_ESP), S(GUEST_SYSENTER_CS), F(GUEST_SYSENTER_EIP));
	linux_segment(f, "CS:  ", 1);
	linux_segment(f, "DS:  ", 3);
	linux_segment(f, "SS:  ", 2);
	linux_segment(f, "ES:  ", 0);
	linux_segment(f, "FS:  ", 4);
	linux_segment(f, "GS:  ", 5);
	line("GDTR:                           limit=0x%08x, base=0x%016" PRIx64, S(GUEST_GDTR_LIMIT), F(GUEST_GDTR_BASE));
	linux_segment(f, "LDTR:", 6);
	line("IDTR:                           limit=0x%08x, base=0x%016" PRIx64, S(GUEST_IDTR_LIMIT), F(GUEST_IDTR_BASE));
	linux_segment(f, "TR:  ", 7);
	if (old) {
		line("EFER =     0x%016" PRIx64 "  PAT = 0x%016" PRIx64, F(GUEST_EFER), F(GUEST_PAT));
	} else {
		line("EFER= 0x%016" PRIx64, F(GUEST_EFER));
		line("PAT = 0x%016" PRIx64, F(GUEST_PAT));
	}
	line("DebugCtl = 0x%016" PRIx64 "  DebugExceptions = 0x%016" PRIx64, F(GUEST_DEBUGCTL), F(GUEST_PENDING_DEBUG));
	line("PerfGlobCtl = 0x%016" PRIx64, F(GUEST_PERF_GLOBAL_CTRL));
	line("BndCfgS = 0x%016" PRIx64, F(GUEST_BNDCFGS));
	line("Interruptibility = %08x  ActivityState = %08x", S(GUEST_INTERRUPTIBILITY), S(GUEST_ACTIVITY));
}

static void linux_host(const u64 *f, bool old)
{
	line("*** Host State ***");
	line("RIP = 0x%016" PRIx64 "  RSP = 0x%016" PRIx64, F(HOST_RIP), F(HOST_RSP));
	line("CS=%04x SS=%04x DS=%04x ES=%04x FS=%04x GS=%04x TR=%04x", S(HOST_CS_SEL), S(HOST_SS_SEL), S(HOST_DS_SEL), S(HOST_ES_SEL),
	     S(HOST_FS_SEL), S(HOST_GS_SEL), S(HOST_TR_SEL));
	line("FSBase=%016" PRIx64 " GSBase=%016" PRIx64 " TRBase=%016" PRIx64, F(HOST_FS_BASE), F(HOST_GS_BASE), F(HOST_TR_BASE));
	line("GDTBase=%016" PRIx64 " IDTBase=%016" PRIx64, F(HOST_GDTR_BASE), F(HOST_IDTR_BASE));
	line("CR0=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%016" PRIx64, F(HOST_CR0), F(HOST_CR3), F(HOST_CR4));
	line("Sysenter RSP=%016" PRIx64 " CS:RIP=%04x:%016" PRIx64, F(HOST_SYSENTER_ESP), S(HOST_SYSENTER_CS), F(HOST_SYSENTER_EIP));
	if (old) {
		line("EFER = 0x%016" PRIx64 "  PAT = 0x%016" PRIx64, F(HOST_EFER), F(HOST_PAT));
	} else {
		line("EFER= 0x%016" PRIx64, F(HOST_EFER));
		line("PAT = 0x%016" PRIx64, F(HOST_PAT));
	}
	line("PerfGlobCtl = 0x%016" PRIx64, F(HOST_PERF_GLOBAL_CTRL));
}

static void linux_control(const u64 *f, bool old, u64 reason)
{
	line("*** Control State ***");
	if (old) {
		line("PinBased=%08x CPUBased=%08x SecondaryExec=%08x", S(PIN_CONTROLS), S(PROC_CONTROLS), S(PROC2_CONTROLS));
		line("EntryControls=%08x ExitControls=%08x", S(ENTRY_CONTROLS), S(EXIT_CONTROLS));
	} else {
		line("CPUBased=0x%08x SecondaryExec=0x%08x TertiaryExec=0x%016" PRIx64, S(PROC_CONTROLS), S(PROC2_CONTROLS), F(PROC3_CONTROLS));
		line("PinBased=0x%08x EntryControls=%08x ExitControls=%08x", S(PIN_CONTROLS), S(ENTRY_CONTROLS), S(EXIT_CONTROLS));
	}
	line("ExceptionBitmap=%08x PFECmask=%08x PFECmatch=%08x", S(EXCEPTION_BITMAP), S(PF_MASK), S(PF_MATCH));
	line("VMEntry: intr_info=%08x errcode=%08x ilen=%08x", S(ENTRY_INTR_INFO), S(ENTRY_ERROR_CODE), S(ENTRY_INSN_LEN));
	line("VMExit: intr_info=%08x errcode=%08x ilen=%08x", S(EXIT_INTR_INFO), S(EXIT_INTR_ERROR), S(EXIT_INSN_LEN));
	line("        reason=%08" PRIx64 " qualification=%016" PRIx64, reason, F(EXIT_QUALIFICATION));
	line("IDTVectoring: info=%08x errcode=%08x", S(IDT_VECTORING), S(IDT_VECTORING_ERROR));
	line("TSC Offset = 0x%016" PRIx64, F(TSC_OFFSET));
	line("TSC Multiplier = 0x%016" PRIx64, F(TSC_MULTIPLIER));
	if (old)
		line("TPR Threshold = 0x%02x", S(TPR_THRESHOLD));
	else
		line("SVI|RVI = %02x|%02x TPR Threshold = 0x%02x", S(GUEST_INT_STATUS) >> 8, S(GUEST_INT_STATUS) & 0xff, S(TPR_THRESHOLD));
	if (!old)
		line("APIC-access addr = 0x%016" PRIx64 " virt-APIC addr = 0x%016" PRIx64, F(APIC_ACCESS_ADDR), F(VIRTUAL_APIC_ADDR));
	line("PostedIntrVec = 0x%02x", S(POSTED_INT_VECTOR));
	line("EPT pointer = 0x%016" PRIx64, F(EPTP));
	if (old)
		line("CR3 target0=%016" PRIx64 " target1=%016" PRIx64, F(CR3_TARGET0), F(CR3_TARGET1));
	line("PLE Gap=%08x Window=%08x", S(PLE_GAP), S(PLE_WINDOW));
	line("Virtual processor ID = 0x%04x", S(VPID));
}

char *write_linux_vmcs(const u64 f[VMCS_SLOTS], bool old, u64 reason)
{
	start();
	if (!old)
		line("VMCS 00000000293c37b1, last attempted VM-entry on CPU 0");
	linux_guest(f, old);
	linux_host(f, old);
	linux_control(f, old, reason);
	return done();
}

/* ---- VMCS, Xen ---- */

static void xen_segment(const u64 *f, const char *name, unsigned n)
{
	fprintf(out, "(XEN) %s: %04x %05x %08x %016" PRIx64 "\n", name, (unsigned)f[vmcs_slot(VMCS_GUEST_ES_SEL) + n],
	        (unsigned)f[vmcs_slot(VMCS_GUEST_ES_AR) + n], (unsigned)f[vmcs_slot(VMCS_GUEST_ES_LIMIT) + n],
	        f[vmcs_slot(VMCS_GUEST_ES_BASE) + n]);
}

static void xen_guest(const u64 *f)
{
	static const char *const names[] = {"  ES", "  CS", "  SS", "  DS", "  FS", "  GS", "LDTR", "  TR"};
	static const u8 order[] = {1, 3, 2, 0, 4, 5};

	fprintf(out, "(XEN) *** Guest State ***\n");
	fprintf(out, "(XEN) CR0: actual=0x%016" PRIx64 ", shadow=0x%016" PRIx64 ", gh_mask=%016" PRIx64 "\n", F(GUEST_CR0), F(CR0_SHADOW),
	        F(CR0_MASK));
	fprintf(out, "(XEN) CR4: actual=0x%016" PRIx64 ", shadow=0x%016" PRIx64 ", gh_mask=%016" PRIx64 "\n", F(GUEST_CR4), F(CR4_SHADOW),
	        F(CR4_MASK));
	fprintf(out, "(XEN) CR3 = 0x%016" PRIx64 "\n", F(GUEST_CR3));
	fprintf(out, "(XEN) PDPTE0 = 0x%016" PRIx64 "  PDPTE1 = 0x%016" PRIx64 "\n", F(GUEST_PDPTE0), F(GUEST_PDPTE1));
	fprintf(out, "(XEN) PDPTE2 = 0x%016" PRIx64 "  PDPTE3 = 0x%016" PRIx64 "\n", F(GUEST_PDPTE2), F(GUEST_PDPTE3));
	fprintf(out, "(XEN) RSP = 0x%016" PRIx64 " (0x0000000000000001)  RIP = 0x%016" PRIx64 " (0x0000000000000002)\n", F(GUEST_RSP), F(GUEST_RIP));
	fprintf(out, "(XEN) RFLAGS=0x%08" PRIx64 " (0x00000003)  DR7 = 0x%016" PRIx64 "\n", F(GUEST_RFLAGS), F(GUEST_DR7));
	fprintf(out, "(XEN) Sysenter RSP=%016" PRIx64 " CS:RIP=%04x:%016" PRIx64 "\n", F(GUEST_SYSENTER_ESP), S(GUEST_SYSENTER_CS),
	        F(GUEST_SYSENTER_EIP));
	fprintf(out, "(XEN)        sel  attr  limit   base\n");
	for (unsigned n = 0; n < 6; n++)
		xen_segment(f, names[order[n]], order[n]);
	fprintf(out, "(XEN) GDTR:            %08x %016" PRIx64 "\n", S(GUEST_GDTR_LIMIT), F(GUEST_GDTR_BASE));
	xen_segment(f, names[6], 6);
	fprintf(out, "(XEN) IDTR:            %08x %016" PRIx64 "\n", S(GUEST_IDTR_LIMIT), F(GUEST_IDTR_BASE));
	xen_segment(f, names[7], 7);
	fprintf(out, "(XEN) EFER(VMCS) = 0x%016" PRIx64 "  PAT = 0x%016" PRIx64 "\n", F(GUEST_EFER), F(GUEST_PAT));
	fprintf(out, "(XEN) PreemptionTimer = 0x%08x  SM Base = 0x%08x\n", S(PREEMPTION_TIMER), S(GUEST_SMBASE));
	fprintf(out, "(XEN) DebugCtl = 0x%016" PRIx64 "  DebugExceptions = 0x%016" PRIx64 "\n", F(GUEST_DEBUGCTL), F(GUEST_PENDING_DEBUG));
	fprintf(out, "(XEN) PerfGlobCtl = 0x%016" PRIx64 "  BndCfgS = 0x%016" PRIx64 "\n", F(GUEST_PERF_GLOBAL_CTRL), F(GUEST_BNDCFGS));
	fprintf(out, "(XEN) Interruptibility = %08x  ActivityState = %08x\n", S(GUEST_INTERRUPTIBILITY), S(GUEST_ACTIVITY));
	fprintf(out, "(XEN) InterruptStatus = %04x\n", S(GUEST_INT_STATUS));
}

char *write_xen_vmcs(const u64 f[VMCS_SLOTS], u64 reason)
{
	start();
	fprintf(out, "(XEN) d12v0 vmentry failure (reason %#" PRIx64 "): Invalid guest state (0)\n", reason);
	fprintf(out, "(XEN) ************* VMCS Area **************\n");
	xen_guest(f);
	fprintf(out, "(XEN) *** Host State ***\n");
	fprintf(out, "(XEN) RIP = 0x%016" PRIx64 " (vmx_asm_vmexit_handler)  RSP = 0x%016" PRIx64 "\n", F(HOST_RIP), F(HOST_RSP));
	fprintf(out, "(XEN) CS=%04x SS=%04x DS=%04x ES=%04x FS=%04x GS=%04x TR=%04x\n", S(HOST_CS_SEL), S(HOST_SS_SEL), S(HOST_DS_SEL),
	        S(HOST_ES_SEL), S(HOST_FS_SEL), S(HOST_GS_SEL), S(HOST_TR_SEL));
	fprintf(out, "(XEN) FSBase=%016" PRIx64 " GSBase=%016" PRIx64 " TRBase=%016" PRIx64 "\n", F(HOST_FS_BASE), F(HOST_GS_BASE), F(HOST_TR_BASE));
	fprintf(out, "(XEN) GDTBase=%016" PRIx64 " IDTBase=%016" PRIx64 "\n", F(HOST_GDTR_BASE), F(HOST_IDTR_BASE));
	fprintf(out, "(XEN) CR0=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%016" PRIx64 "\n", F(HOST_CR0), F(HOST_CR3), F(HOST_CR4));
	fprintf(out, "(XEN) Sysenter RSP=%016" PRIx64 " CS:RIP=%04x:%016" PRIx64 "\n", F(HOST_SYSENTER_ESP), S(HOST_SYSENTER_CS),
	        F(HOST_SYSENTER_EIP));
	fprintf(out, "(XEN) EFER = 0x%016" PRIx64 "  PAT = 0x%016" PRIx64 "\n", F(HOST_EFER), F(HOST_PAT));
	fprintf(out, "(XEN) PerfGlobCtl = 0x%016" PRIx64 "\n", F(HOST_PERF_GLOBAL_CTRL));
	fprintf(out, "(XEN) *** Control State ***\n");
	fprintf(out, "(XEN) PinBased=%08x CPUBased=%08x\n", S(PIN_CONTROLS), S(PROC_CONTROLS));
	fprintf(out, "(XEN) SecondaryExec=%08x TertiaryExec=%016" PRIx64 "\n", S(PROC2_CONTROLS), F(PROC3_CONTROLS));
	fprintf(out, "(XEN) EntryControls=%08x ExitControls=%08x\n", S(ENTRY_CONTROLS), S(EXIT_CONTROLS));
	fprintf(out, "(XEN) ExceptionBitmap=%08x PFECmask=%08x PFECmatch=%08x\n", S(EXCEPTION_BITMAP), S(PF_MASK), S(PF_MATCH));
	fprintf(out, "(XEN) VMEntry: intr_info=%08x errcode=%08x ilen=%08x\n", S(ENTRY_INTR_INFO), S(ENTRY_ERROR_CODE), S(ENTRY_INSN_LEN));
	fprintf(out, "(XEN) VMExit: intr_info=%08x errcode=%08x ilen=%08x\n", S(EXIT_INTR_INFO), S(EXIT_INTR_ERROR), S(EXIT_INSN_LEN));
	fprintf(out, "(XEN)         reason=%08" PRIx64 " qualification=%016" PRIx64 "\n", reason, F(EXIT_QUALIFICATION));
	fprintf(out, "(XEN) IDTVectoring: info=%08x errcode=%08x\n", S(IDT_VECTORING), S(IDT_VECTORING_ERROR));
	fprintf(out, "(XEN) TSC Offset = 0x%016" PRIx64 "  TSC Multiplier = 0x%016" PRIx64 "\n", F(TSC_OFFSET), F(TSC_MULTIPLIER));
	fprintf(out, "(XEN) TPR Threshold = 0x%02x  PostedIntrVec = 0x%02x\n", S(TPR_THRESHOLD), S(POSTED_INT_VECTOR));
	fprintf(out, "(XEN) EPT pointer = 0x%016" PRIx64 "  EPTP index = 0x%04x\n", F(EPTP), S(EPTP_INDEX));
	fprintf(out, "(XEN) PLE Gap=%08x Window=%08x\n", S(PLE_GAP), S(PLE_WINDOW));
	fprintf(out, "(XEN) Virtual processor ID = 0x%04x VMfunc controls = %016" PRIx64 "\n", S(VPID), F(VMFUNC_CONTROLS));
	fprintf(out, "(XEN) **************************************\n");
	return done();
}

/* ---- our own header, over a VMCS and a VMCB in memory ---- */

struct source {
	const u64 *f, *in;
	u64 host_cr0;
};

static void put(void *arg, char ch)
{
	(void)arg;
	fputc(ch, out);
}

static int no_msr(void *arg, unsigned index, unsigned long long *value)
{
	(void)arg, (void)index, (void)value;
	return 0;
}

static int from_slots(void *arg, unsigned encoding, unsigned long long *value)
{
	*value = ((struct source *)arg)->f[vmcs_slot(encoding)];
	return 1;
}

static int host_cr0(void *arg, unsigned long long *value)
{
	*value = ((struct source *)arg)->host_cr0;
	return 1;
}

char *write_header_vmcs(const u64 f[VMCS_SLOTS], const u64 in[VMX_IN_END - VMX_IN])
{
	static const char *const names[] = {"lma", "smm", "mov-ss", "resume", "launched", "current", "vmxon", "exec-word", "exec-launched",
	                                    "exec-exit", "link-word", "vtpr", "pdpte0", "pdpte1", "pdpte2", "pdpte3"};
	struct source s = {.f = f};
	const struct vmdump d = {.put = put, .arg = &s, .rdmsr = no_msr, .vmread = from_slots};
	size_t end;

	start();
	vmdump_vmcs(&d);
	fflush(out);
	end = length - strlen("vmdump end\n");
	if (!in)
		return done();
	fseek(out, (long)end, SEEK_SET); /* what the header cannot know is added by hand */
	for (unsigned n = 0; n < ARRAY_LEN(names); n++)
		fprintf(out, "%s=0x%" PRIx64 "\n", names[n], in[n]);
	fprintf(out, "vmdump end\n");
	return done();
}

char *write_header_vmcb(const u8 page[4096], u64 cr0)
{
	struct source s = {.host_cr0 = cr0};
	const struct vmdump d = {.put = put, .arg = &s, .rdmsr = no_msr, .cr0 = host_cr0};

	start();
	vmdump_vmcb(&d, page);
	return done();
}

/* ---- JSON, by the names of our own fields ---- */

char *write_json_vmcs(const u64 f[VMCS_SLOTS])
{
	start();
	fprintf(out, "{\"vmcs\": {");
	for (size_t n = 0; n < vmcs_field_count; n++)
		fprintf(out, "%s\n  \"%s\": \"0x%" PRIx64 "\"", n ? "," : "", vmcs_fields[n].name, f[vmcs_slot(vmcs_fields[n].encoding)]);
	fprintf(out, "\n}}\n");
	return done();
}

char *write_json_vmcb(const u8 page[4096])
{
	start();
	fprintf(out, "[{\"block\": \"vmcb\", \"fields\": [");
	for (size_t n = 0; n < vmcb_field_count; n++) {
		u64 value = 0;

		memcpy(&value, page + vmcb_fields[n].offset, vmcb_fields[n].width);
		fprintf(out, "%s\n  {\"name\": \"%s\", \"value\": %" PRIu64 "}", n ? "," : "", vmcb_fields[n].name, value);
	}
	fprintf(out, "]}]\n");
	return done();
}

/* ---- VMCB, Linux and Xen ---- */

static u64 at(const u8 *page, unsigned offset, unsigned width)
{
	u64 value = 0;

	memcpy(&value, page + offset, width);
	return value;
}
#define U16(o) ((unsigned)at(page, o, 2))
#define U32(o) ((unsigned)at(page, o, 4))
#define U64(o) at(page, o, 8)

static void linux_vmcb_segment(const u8 *page, const char *name, unsigned o)
{
	line("SVM: %-5s s: %04x a: %04x l: %08x b: %016" PRIx64, name, U16(o), U16(o + 2), U32(o + 4), U64(o + 8));
}

static void linux_vmcb_pair(const u8 *page, const char *a, unsigned oa, const char *b, unsigned ob)
{
	line("SVM: %-15s %016" PRIx64 " %-13s %016" PRIx64, a, U64(oa), b, U64(ob));
}

static void linux_vmcb_control(const u8 *page, bool old)
{
	static const struct {
		const char *name;
		u16 offset, width;
	} rows[] = {{"iopm_base_pa:", 0x40, 16}, {"msrpm_base_pa:", 0x48, 16}, {"tsc_offset:", 0x50, 16}, {"asid:", 0x58, 0},
	            {"tlb_ctl:", 0x5c, 1}, {"int_ctl:", 0x60, 8}, {"int_vector:", 0x64, 8}, {"int_state:", 0x68, 8}, {"exit_code:", 0x70, 8},
	            {"exit_info1:", 0x78, 16}, {"exit_info2:", 0x80, 16}, {"exit_int_info:", 0x88, 8}, {"exit_int_info_err:", 0x8c, 8},
	            {"nested_ctl:", 0x90, 2}, {"nested_cr3:", 0xb0, 16}, {"avic_vapic_bar:", 0x98, 16}, {"ghcb:", 0xa0, 16},
	            {"event_inj:", 0xa8, 8}, {"event_inj_err:", 0xac, 8}, {"virt_ext:", 0xb8, 2}, {"next_rip:", 0xc8, 16},
	            {"avic_backing_page:", 0xe0, 16}, {"avic_logical_id:", 0xf0, 16}, {"avic_physical_id:", 0xf8, 16}};

	line("SVM: VMCB Control Area:");
	line("SVM: %-20s%04x", "cr_read:", U16(0));
	line("SVM: %-20s%04x", "cr_write:", U16(2));
	line("SVM: %-20s%04x", "dr_read:", U16(4));
	line("SVM: %-20s%04x", "dr_write:", U16(6));
	line("SVM: %-20s%08x", "exceptions:", U32(8));
	if (old)
		line("SVM: %-20s%016" PRIx64, "intercepts:", U64(0xc));
	else
		line("SVM: %-20s%08x %08x", "intercepts:", U32(0xc), U32(0x10));
	line("SVM: %-20s%u", "pause filter count:", U16(0x3e));
	line("SVM: %-20s%u", "pause filter threshold:", U16(0x3c));
	for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
		unsigned o = rows[n].offset;

		switch (rows[n].width) {
		case 0: line("SVM: %-20s%u", rows[n].name, U32(o)); break;
		case 1: line("SVM: %-20s%u", rows[n].name, page[o]); break;
		case 2: line("SVM: %-20s%" PRIu64, rows[n].name, U64(o)); break;
		case 8: line("SVM: %-20s%08x", rows[n].name, U32(o)); break;
		default: line("SVM: %-20s%016" PRIx64, rows[n].name, U64(o)); break;
		}
	}
}

char *write_linux_vmcb(const u8 page[4096], bool old)
{
	static const char *const names[] = {"es:", "cs:", "ss:", "ds:", "fs:", "gs:", "gdtr:", "ldtr:", "idtr:", "tr:"};

	start();
	if (!old)
		line("SVM: VMCB 0000000013a83eb8, last attempted VMRUN on CPU 0");
	linux_vmcb_control(page, old);
	line("SVM: VMCB State Save Area:");
	for (unsigned n = 0; n < ARRAY_LEN(names); n++)
		linux_vmcb_segment(page, names[n], 0x400 + 16 * n);
	if (old)
		line("SVM: cpl:            %d                efer:         %016" PRIx64, page[0x4cb], U64(0x4d0));
	else
		line("SVM: vmpl: %d   cpl:  %d               efer:          %016" PRIx64, 0, page[0x4cb], U64(0x4d0));
	linux_vmcb_pair(page, "cr0:", 0x558, "cr2:", 0x640);
	linux_vmcb_pair(page, "cr3:", 0x550, "cr4:", 0x548);
	linux_vmcb_pair(page, "dr6:", 0x568, "dr7:", 0x560);
	linux_vmcb_pair(page, "rip:", 0x578, "rflags:", 0x570);
	linux_vmcb_pair(page, "rsp:", 0x5d8, "rax:", 0x5f8);
	linux_vmcb_pair(page, "star:", 0x600, "lstar:", 0x608);
	linux_vmcb_pair(page, "cstar:", 0x610, "sfmask:", 0x618);
	linux_vmcb_pair(page, "kernel_gs_base:", 0x620, "sysenter_cs:", 0x628);
	linux_vmcb_pair(page, "sysenter_esp:", 0x630, "sysenter_eip:", 0x638);
	linux_vmcb_pair(page, "gpat:", 0x668, "dbgctl:", 0x670);
	linux_vmcb_pair(page, "br_from:", 0x678, "br_to:", 0x680);
	linux_vmcb_pair(page, "excp_from:", 0x688, "excp_to:", 0x690);
	return done();
}

char *write_xen_vmcb(const u8 page[4096])
{
	static const char *const names[] = {"  ES", "  CS", "  SS", "  DS", "  FS", "  GS", "GDTR", "LDTR", "IDTR", "  TR"};
	static const u8 order[] = {1, 3, 2, 0, 4, 5, 6, 7, 8, 9};

	start();
	fprintf(out, "(XEN) Dumping guest's current state at exit...\n");
	fprintf(out, "(XEN) Size of VMCB = 4096, paddr = 0000000000012000, vaddr = ffff830000012000\n");
	fprintf(out, "(XEN) cr_intercepts = %#x dr_intercepts = %#x exception_intercepts = %#x\n", U32(0), U32(4), U32(8));
	fprintf(out, "(XEN) general1_intercepts = %#x general2_intercepts = %#x\n", U32(0xc), U32(0x10));
	fprintf(out, "(XEN) iopm_base_pa = %#" PRIx64 " msrpm_base_pa = %#" PRIx64 " tsc_offset = %#" PRIx64 "\n", U64(0x40), U64(0x48), U64(0x50));
	fprintf(out, "(XEN) tlb_control = %#x vintr = %#" PRIx64 " int_stat = %#" PRIx64 "\n", page[0x5c], U64(0x60), U64(0x68));
	fprintf(out, "(XEN) event_inj %016" PRIx64 ", valid? %d, ec? 0, type 0, vector 0\n", U64(0xa8), (int)(U64(0xa8) >> 31 & 1));
	fprintf(out, "(XEN) exitcode = %#" PRIx64 " exit_int_info = %#" PRIx64 "\n", U64(0x70), U64(0x88));
	fprintf(out, "(XEN) exitinfo1 = %#" PRIx64 " exitinfo2 = %#" PRIx64 "\n", U64(0x78), U64(0x80));
	fprintf(out, "(XEN) np_ctrl = %#" PRIx64 " guest_asid = %#x\n", U64(0x90), U32(0x58));
	fprintf(out, "(XEN) virtual vmload/vmsave = 0, virt_ext = %#" PRIx64 "\n", U64(0xb8));
	fprintf(out, "(XEN) cpl = %d efer = %#" PRIx64 " star = %#" PRIx64 " lstar = %#" PRIx64 "\n", page[0x4cb], U64(0x4d0), U64(0x600), U64(0x608));
	fprintf(out, "(XEN) CR0 = 0x%016" PRIx64 " CR2 = 0x%016" PRIx64 "\n", U64(0x558), U64(0x640));
	fprintf(out, "(XEN) CR3 = 0x%016" PRIx64 " CR4 = 0x%016" PRIx64 "\n", U64(0x550), U64(0x548));
	fprintf(out, "(XEN) RSP = 0x%016" PRIx64 "  RIP = 0x%016" PRIx64 "\n", U64(0x5d8), U64(0x578));
	fprintf(out, "(XEN) RAX = 0x%016" PRIx64 "  RFLAGS=0x%016" PRIx64 "\n", U64(0x5f8), U64(0x570));
	fprintf(out, "(XEN) DR6 = 0x%016" PRIx64 ", DR7 = 0x%016" PRIx64 "\n", U64(0x568), U64(0x560));
	fprintf(out, "(XEN) CSTAR = 0x%016" PRIx64 " SFMask = 0x%016" PRIx64 "\n", U64(0x610), U64(0x618));
	fprintf(out, "(XEN) KernGSBase = 0x%016" PRIx64 " PAT = 0x%016" PRIx64 "\n", U64(0x620), U64(0x668));
	fprintf(out, "(XEN) H_CR3 = 0x%016" PRIx64 " CleanBits = %#x\n", U64(0xb0), U32(0xc0));
	fprintf(out, "(XEN)        sel attr  limit   base\n");
	for (unsigned n = 0; n < ARRAY_LEN(order); n++) {
		unsigned o = 0x400 + 16u * order[n];

		fprintf(out, "(XEN) %s: %04x %04x %08x %016" PRIx64 "\n", names[order[n]], U16(o), U16(o + 2), U32(o + 4), U64(o + 8));
	}
	return done();
}
