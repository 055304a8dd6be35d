/*
 * What the kernels and hypervisors of hardware users print, one row for each piece of a line: the section it stands in, its
 * text, the fields that its numbers are. In a row's text % is a number in hexadecimal digits, # one in decimal ones, a
 * blank at least one blank, ~ any number of blanks and commas, and perhaps the end of a line that mail has wrapped.
 * A piece is found anywhere in a line, behind whatever a log puts before it.
 */
#include "judge/judge.h"

#include <ctype.h>

#define F(name)             VMCS_##name
#define B(offset, width)    ((width) << 12 | (offset))
#define SKIP                0xffff
#define END                 0xfffe
#define KEYS                8

struct piece {
	u8 section; /* enum section */
	const char *text;
	u16 key[KEYS];
};

/* clang-format off */
#define SEG(word, name) \
	{SECTION_GUEST, word ":~sel=%~attr=%~limit=%~base=%", {F(GUEST_##name##_SEL), F(GUEST_##name##_AR), F(GUEST_##name##_LIMIT), F(GUEST_##name##_BASE), END}}, \
	{SECTION_GUEST, word ": % % % %", {F(GUEST_##name##_SEL), F(GUEST_##name##_AR), F(GUEST_##name##_LIMIT), F(GUEST_##name##_BASE), END}}
#define TABLE(word, name) \
	{SECTION_GUEST, word ":~limit=%~base=%", {F(GUEST_##name##_LIMIT), F(GUEST_##name##_BASE), END}}, \
	{SECTION_GUEST, word ": % %", {F(GUEST_##name##_LIMIT), F(GUEST_##name##_BASE), END}}
#define G(text, ...) {SECTION_GUEST, text, {__VA_ARGS__, END}}
#define H(text, ...) {SECTION_HOST, text, {__VA_ARGS__, END}}
#define C(text, ...) {SECTION_CONTROL, text, {__VA_ARGS__, END}}
#define V(text, ...) {SECTION_VMCB, text, {__VA_ARGS__, END}}
#define S(text, ...) {SECTION_SAVE, text, {__VA_ARGS__, END}}
#define X(text, ...) {SECTION_XEN_VMCB, text, {__VA_ARGS__, END}}
#define VMCB_SEG(word, at) S(word ":~s: %~a: %~l: %~b: %", B(at, 2), B((at) + 2, 2), B((at) + 4, 4), B((at) + 8, 8))
#define XEN_SEG(word, at)  X(word ": % % % %", B(at, 2), B((at) + 2, 2), B((at) + 4, 4), B((at) + 8, 8))

static const struct piece pieces[] = {
	G("CR0: actual=%~shadow=%~gh_mask=%", F(GUEST_CR0), F(CR0_SHADOW), F(CR0_MASK)),
	G("CR4: actual=%~shadow=%~gh_mask=%", F(GUEST_CR4), F(CR4_SHADOW), F(CR4_MASK)),
	G("CR3 = %", F(GUEST_CR3)),
	G("PDPTR0 = %~PDPTR1 = %", F(GUEST_PDPTE0), F(GUEST_PDPTE1)), G("PDPTR2 = %~PDPTR3 = %", F(GUEST_PDPTE2), F(GUEST_PDPTE3)),
	G("PDPTE0 = %~PDPTE1 = %", F(GUEST_PDPTE0), F(GUEST_PDPTE1)), G("PDPTE2 = %~PDPTE3 = %", F(GUEST_PDPTE2), F(GUEST_PDPTE3)),
	G("RSP = %", F(GUEST_RSP)), G("RIP = %", F(GUEST_RIP)), G("RFLAGS=%", F(GUEST_RFLAGS)), G("DR7 = %", F(GUEST_DR7)),
	G("Sysenter RSP=%~CS:RIP=%:%", F(GUEST_SYSENTER_ESP), F(GUEST_SYSENTER_CS), F(GUEST_SYSENTER_EIP)),
	SEG("CS", CS), SEG("DS", DS), SEG("SS", SS), SEG("ES", ES), SEG("FS", FS), SEG("GS", GS), SEG("LDTR", LDTR), SEG("TR", TR),
	TABLE("GDTR", GDTR), TABLE("IDTR", IDTR),
	/* Where VM entry does not load EFER, newer kernels print what the guest's is, which is not the field. */
	G("EFER= % (effective)", SKIP), G("EFER= % (autoload)", SKIP), G("EFER= % (vmcs)", F(GUEST_EFER)), G("EFER= %", F(GUEST_EFER)),
	G("EFER = %", F(GUEST_EFER)), G("EFER(VMCS) = %", F(GUEST_EFER)),
	G("PAT = %", F(GUEST_PAT)), G("DebugCtl = %", F(GUEST_DEBUGCTL)), G("DebugExceptions = %", F(GUEST_PENDING_DEBUG)),
	G("PerfGlobCtl = %", F(GUEST_PERF_GLOBAL_CTRL)), G("BndCfgS = %", F(GUEST_BNDCFGS)),
	G("Interruptibility = %", F(GUEST_INTERRUPTIBILITY)), G("ActivityState = %", F(GUEST_ACTIVITY)),
	G("InterruptStatus = %", F(GUEST_INT_STATUS)), G("PreemptionTimer = %", F(PREEMPTION_TIMER)), G("SM Base = %", F(GUEST_SMBASE)),
	G("S_CET = %", F(GUEST_S_CET)), G("SSP = %", F(GUEST_SSP)), G("SSP TABLE = %", F(GUEST_SSP_TABLE)),

	H("RIP = %", F(HOST_RIP)), H("RSP = %", F(HOST_RSP)),
	H("CS=%~SS=%~DS=%~ES=%~FS=%~GS=%~TR=%", F(HOST_CS_SEL), F(HOST_SS_SEL), F(HOST_DS_SEL), F(HOST_ES_SEL), F(HOST_FS_SEL), F(HOST_GS_SEL),
	  F(HOST_TR_SEL)),
	H("FSBase=%", F(HOST_FS_BASE)), H("GSBase=%", F(HOST_GS_BASE)), H("TRBase=%", F(HOST_TR_BASE)),
	H("GDTBase=%", F(HOST_GDTR_BASE)), H("IDTBase=%", F(HOST_IDTR_BASE)), H("CR0=%", F(HOST_CR0)), H("CR3=%", F(HOST_CR3)), H("CR4=%", F(HOST_CR4)),
	H("Sysenter RSP=%~CS:RIP=%:%", F(HOST_SYSENTER_ESP), F(HOST_SYSENTER_CS), F(HOST_SYSENTER_EIP)),
	H("EFER= %", F(HOST_EFER)), H("EFER = %", F(HOST_EFER)), H("PAT = %", F(HOST_PAT)), H("PerfGlobCtl = %", F(HOST_PERF_GLOBAL_CTRL)),
	H("S_CET = %", F(HOST_S_CET)), H("SSP = %", F(HOST_SSP)), H("SSP TABLE = %", F(HOST_SSP_TABLE)),

	C("PinBased=%", F(PIN_CONTROLS)), C("CPUBased=%", F(PROC_CONTROLS)), C("SecondaryExec=%", F(PROC2_CONTROLS)),
	C("TertiaryExec=%", F(PROC3_CONTROLS)), C("EntryControls=%", F(ENTRY_CONTROLS)), C("ExitControls=%", F(EXIT_CONTROLS)),
	C("SecondaryExitControls=%", F(EXIT2_CONTROLS)),
	C("ExceptionBitmap=%", F(EXCEPTION_BITMAP)), C("PFECmask=%", F(PF_MASK)), C("PFECmatch=%", F(PF_MATCH)),
	C("VMEntry: intr_info=%~errcode=%~ilen=%", F(ENTRY_INTR_INFO), F(ENTRY_ERROR_CODE), F(ENTRY_INSN_LEN)),
	C("VMExit: intr_info=%~errcode=%~ilen=%", F(EXIT_INTR_INFO), F(EXIT_INTR_ERROR), F(EXIT_INSN_LEN)),
	C("reason=%~qualification=%", F(EXIT_REASON), F(EXIT_QUALIFICATION)),
	C("IDTVectoring: info=%~errcode=%", F(IDT_VECTORING), F(IDT_VECTORING_ERROR)),
	C("TSC Offset = %", F(TSC_OFFSET)), C("TSC Multiplier = %", F(TSC_MULTIPLIER)), C("TPR Threshold = %", F(TPR_THRESHOLD)),
	C("APIC-access addr = %", F(APIC_ACCESS_ADDR)), C("virt-APIC addr = %", F(VIRTUAL_APIC_ADDR)), C("PostedIntrVec = %", F(POSTED_INT_VECTOR)),
	C("EPT pointer = %", F(EPTP)), C("EPTP index = %", F(EPTP_INDEX)), C("PLE Gap=%~Window=%", F(PLE_GAP), F(PLE_WINDOW)),
	C("CR3 target0=%~target1=%", F(CR3_TARGET0), F(CR3_TARGET1)), C("CR3 target2=%~target3=%", F(CR3_TARGET2), F(CR3_TARGET3)),
	C("Virtual processor ID = %", F(VPID)), C("VMfunc controls = %", F(VMFUNC_CONTROLS)),

	V("cr_read: %", B(0x000, 2)), V("cr_write: %", B(0x002, 2)), V("dr_read: %", B(0x004, 2)), V("dr_write: %", B(0x006, 2)),
	V("exceptions: %", B(0x008, 4)), V("intercepts: % %", B(0x00c, 4), B(0x010, 4)), V("intercepts: %", B(0x00c, 8)),
	V("pause filter count:~#", B(0x03e, 2)), V("pause filter threshold:~#", B(0x03c, 2)),
	V("iopm_base_pa: %", B(0x040, 8)), V("msrpm_base_pa: %", B(0x048, 8)), V("tsc_offset: %", B(0x050, 8)), V("asid: #", B(0x058, 4)),
	V("tlb_ctl: #", B(0x05c, 1)), V("int_ctl: %", B(0x060, 4)), V("int_vector: %", B(0x064, 4)), V("int_state: %", B(0x068, 4)),
	V("exit_code: %", B(0x070, 4)), V("exit_info1: %", B(0x078, 8)), V("exit_info2: %", B(0x080, 8)),
	V("exit_int_info: %", B(0x088, 4)), V("exit_int_info_err:~%", B(0x08c, 4)), V("nested_ctl: #", B(0x090, 8)),
	V("nested_cr3: %", B(0x0b0, 8)), V("avic_vapic_bar: %", B(0x098, 8)), V("ghcb: %", B(0x0a0, 8)), V("event_inj: %", B(0x0a8, 4)),
	V("event_inj_err: %", B(0x0ac, 4)), V("virt_ext: #", B(0x0b8, 8)), V("next_rip: %", B(0x0c8, 8)), V("avic_backing_page: %", B(0x0e0, 8)),
	V("avic_logical_id: %", B(0x0f0, 8)), V("avic_physical_id: %", B(0x0f8, 8)),
	VMCB_SEG("es", 0x400), VMCB_SEG("cs", 0x410), VMCB_SEG("ss", 0x420), VMCB_SEG("ds", 0x430), VMCB_SEG("fs", 0x440),
	VMCB_SEG("gs", 0x450), VMCB_SEG("gdtr", 0x460), VMCB_SEG("ldtr", 0x470), VMCB_SEG("idtr", 0x480), VMCB_SEG("tr", 0x490),
	S("cpl: #", B(0x4cb, 1)), S("efer: %", B(0x4d0, 8)), S("cr0: %", B(0x558, 8)), S("cr2: %", B(0x640, 8)), S("cr3: %", B(0x550, 8)),
	S("cr4: %", B(0x548, 8)), S("dr6: %", B(0x568, 8)), S("dr7: %", B(0x560, 8)), S("rip: %", B(0x578, 8)), S("rflags: %", B(0x570, 8)),
	S("rsp: %", B(0x5d8, 8)), S("rax: %", B(0x5f8, 8)), S("star: %", B(0x600, 8)), S("lstar: %", B(0x608, 8)), S("cstar: %", B(0x610, 8)),
	S("sfmask: %", B(0x618, 8)), S("kernel_gs_base: %", B(0x620, 8)), S("sysenter_cs: %", B(0x628, 8)), S("sysenter_esp: %", B(0x630, 8)),
	S("sysenter_eip: %", B(0x638, 8)), S("gpat: %", B(0x668, 8)), S("dbgctl: %", B(0x670, 8)), S("br_from: %", B(0x678, 8)),
	S("br_to: %", B(0x680, 8)), S("excp_from: %", B(0x688, 8)), S("excp_to: %", B(0x690, 8)),

	X("cr_intercepts = %", B(0x000, 4)), X("dr_intercepts = %", B(0x004, 4)), X("exception_intercepts = %", B(0x008, 4)),
	X("general1_intercepts = %", B(0x00c, 4)), X("general2_intercepts = %", B(0x010, 4)), X("iopm_base_pa = %", B(0x040, 8)),
	X("msrpm_base_pa = %", B(0x048, 8)), X("tsc_offset = %", B(0x050, 8)), X("tlb_control = %", B(0x05c, 1)), X("vintr = %", B(0x060, 8)),
	X("int_stat = %", B(0x068, 8)), X("event_inj %", B(0x0a8, 8)), X("exitcode = %", B(0x070, 8)), X("exit_int_info = %", B(0x088, 8)),
	X("exitinfo1 = %", B(0x078, 8)), X("exitinfo2 = %", B(0x080, 8)), X("np_ctrl = %", B(0x090, 8)), X("guest_asid = %", B(0x058, 4)),
	X("virt_ext = %", B(0x0b8, 8)), X("cpl = #", B(0x4cb, 1)), X("efer = %", B(0x4d0, 8)), X("star = %", B(0x600, 8)), X("lstar = %", B(0x608, 8)),
	X("CR0 = %", B(0x558, 8)), X("CR2 = %", B(0x640, 8)), X("CR3 = %", B(0x550, 8)), X("CR4 = %", B(0x548, 8)), X("RSP = %", B(0x5d8, 8)),
	X("RIP = %", B(0x578, 8)), X("RAX = %", B(0x5f8, 8)), X("RFLAGS=%", B(0x570, 8)), X("DR6 = %", B(0x568, 8)), X("DR7 = %", B(0x560, 8)),
	X("CSTAR = %", B(0x610, 8)), X("SFMask = %", B(0x618, 8)), X("KernGSBase = %", B(0x620, 8)), X("PAT = %", B(0x668, 8)),
	X("H_CR3 = %", B(0x0b0, 8)), X("CleanBits = %", B(0x0c0, 4)),
	XEN_SEG("CS", 0x410), XEN_SEG("DS", 0x430), XEN_SEG("SS", 0x420), XEN_SEG("ES", 0x400), XEN_SEG("FS", 0x440), XEN_SEG("GS", 0x450),
	XEN_SEG("GDTR", 0x460), XEN_SEG("LDTR", 0x470), XEN_SEG("IDTR", 0x480), XEN_SEG("TR", 0x490),

	/* Two numbers of one field. */
	C("SVI|RVI = %|%", F(GUEST_INT_STATUS), F(GUEST_INT_STATUS)),
};
/* clang-format on */

/* ---- reading ---- */

static int digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (char)(ch | 32);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : 99;
}

bool format_number(const char **p, const char *end, unsigned base, u64 *value)
{
	const char *s = *p, *first;
	u64 v = 0;

	if (end - s > 2 && s[0] == '0' && (s[1] | 32) == 'x') {
		s += 2;
		base = 16;
	}
	for (first = s; s < end && (unsigned)digit(*s) < base; s++) {
		if (v > (~0ull - (unsigned)digit(*s)) / base)
			return false;
		v = v * base + (unsigned)digit(*s);
	}
	if (s == first || (s < end && (isalnum((unsigned char)*s) || *s == '_')))
		return false;
	*p = s;
	*value = v;
	return true;
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

enum match { NO_MATCH, MATCH, NO_NUMBER };

static enum match match(const char *text, const char *p, const char *end, u64 value[KEYS], const char **after)
{
	unsigned n = 0;
	bool assigned = false; /* "=" has been seen: what follows can be nothing but a number */

	for (; *text; text++) {
		switch (*text) {
		case ' ':
			if (p >= end || !is_blank(*p))
				return NO_MATCH;
			while (p < end && is_blank(*p))
				p++;
			break;
		case '~':
			while (p < end && (is_blank(*p) || *p == ',' || *p == '\r' || *p == '\n'))
				p++;
			break;
		case '%':
		case '#':
			if (!format_number(&p, end, *text == '%' ? 16 : 10, &value[n++]))
				return assigned ? NO_NUMBER : NO_MATCH;
			break;
		default:
			if (p >= end || *p != *text)
				return NO_MATCH;
			assigned |= *text == '=';
			p++;
			break;
		}
	}
	*after = p;
	return MATCH;
}

static bool word_begins(const char *line, const char *p)
{
	return p == line || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
}

static void take(struct dump *d, const struct piece *k, const u64 value[KEYS], u32 line)
{
	if (k->key[0] == k->key[1]) { /* SVI|RVI */
		dump_put(d, k->key[0], 0, (value[0] & 0xff) << 8 | (value[1] & 0xff), line);
		return;
	}
	for (unsigned n = 0; k->key[n] != END; n++) {
		bool vmcb = k->section >= SECTION_VMCB;
		unsigned key = vmcb ? k->key[n] & 0xfffu : k->key[n], width = vmcb ? k->key[n] >> 12 : 0;

		if (key == 0x070 && value[n] >> 32) /* EXITCODE: half of it, or all */
			width = 8;
		if (k->key[n] == SKIP || dump_put(d, key, width, value[n], line))
			continue;
		dump_note(d, line, "%s: 0x%llx is too large for it; taken as missing", dump_name(d, key),
		          (unsigned long long)value[n]);
	}
}

unsigned format_line(struct dump *d, enum section section, const char *s, const char *eol, const char *end, u32 line)
{
	unsigned found = 0;

	for (const char *p = s; p < eol;) {
		const char *next = p + 1;
		const struct piece *broken = NULL;

		for (size_t n = 0; n < ARRAY_LEN(pieces) && word_begins(s, p); n++) {
			u64 value[KEYS];
			enum match m;

			if (pieces[n].section != section || pieces[n].text[0] != *p)
				continue;
			m = match(pieces[n].text, p, end, value, &next);
			if (m == NO_NUMBER)
				broken = &pieces[n];
			if (m != MATCH)
				continue;
			take(d, &pieces[n], value, line);
			found++;
			broken = NULL;
			break;
		}
		if (broken)
			dump_note(d, line, "no number where \"%s\" has one; taken as missing", broken->text);
		p = next;
	}
	return found;
}
