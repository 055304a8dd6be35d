/* Check by check: the outcome that SDM 3C documents, its qualification, the requirements that its test proves. */
	{"vmx.basic.mov-ss", 26, 0},
	{"vmx.basic.not-launched", 5, 0}, /* REQ(vmx04.3.2.2.7) */
	{"vmx.basic.not-clear", 4, 0}, /* REQ(vmx04.3.2.2.6) */
	{"vmx.control.pin.reserved", 7, 0}, /* REQ(vmx04.3.2.2.8) */
	{"vmx.control.proc.reserved", 7, 0}, /* REQ(vmx04.3.2.2.9) */
	{"vmx.control.proc2.reserved", 7, 0},
	{"vmx.control.proc3.reserved", 7, 0},
	{"vmx.control.cr3-targets", 7, 0}, /* REQ(vmx04.3.2.2.16) */
	{"vmx.control.io-bitmap", 7, 0}, /* REQ(vmx04.3.2.2.12) */
	{"vmx.control.msr-bitmap", 7, 0}, /* REQ(vmx04.3.2.2.15.now) */
	{"vmx.control.virtual-apic", 7, 0}, /* REQ(vmx04.3.2.2.13) */
	{"vmx.control.apic-access", 7, 0},
	{"vmx.control.pml", 7, 0},
	{"vmx.control.spptp", 7, 0},
	{"vmx.control.eptp-list", 7, 0},
	{"vmx.control.shadow-bitmap", 7, 0},
	{"vmx.control.ve-info", 7, 0},
	{"vmx.control.virtual-nmis", 7, 0}, /* REQ(vmx04.2.5.1.7.now) */
	{"vmx.control.nmi-window", 7, 0},
	{"vmx.control.tpr-threshold.reserved", 7, 0}, /* REQ(vmx04.2.5.9.5.now) */
	{"vmx.control.tpr-threshold.above-tpr", 7, 0}, /* REQ(vmx04.2.5.9.6.now) */
	{"vmx.control.tpr-shadow.x2apic", 7, 0},
	{"vmx.control.tpr-shadow.apic-registers", 7, 0},
	{"vmx.control.tpr-shadow.virtual-interrupts", 7, 0},
	{"vmx.control.tpr-shadow.ipi", 7, 0},
	{"vmx.control.x2apic.apic-access", 7, 0},
	{"vmx.control.virtual-interrupts.external", 7, 0},
	{"vmx.control.posted.virtual-interrupts", 7, 0},
	{"vmx.control.posted.acknowledge", 7, 0},
	{"vmx.control.posted.vector", 7, 0},
	{"vmx.control.posted.descriptor", 7, 0},
	{"vmx.control.ipi.table", 7, 0},
	{"vmx.control.ipi.table-end", 7, 0},
	{"vmx.control.vpid-zero", 7, 0},
	{"vmx.control.eptp.memory-type", 7, 0},
	{"vmx.control.eptp.walk-length", 7, 0},
	{"vmx.control.eptp.accessed-dirty", 7, 0},
	{"vmx.control.eptp.reserved", 7, 0},
	{"vmx.control.eptp.address", 7, 0},
	{"vmx.control.ept.unrestricted", 7, 0},
	{"vmx.control.ept.pml", 7, 0},
	{"vmx.control.ept.mode-based", 7, 0},
	{"vmx.control.ept.sub-page", 7, 0},
	{"vmx.control.ept.paging-write", 7, 0},
	{"vmx.control.ept.guest-paging", 7, 0},
	{"vmx.control.vmfunc.reserved", 7, 0},
	{"vmx.control.vmfunc.ept", 7, 0},
	{"vmx.control.tsc-multiplier", 7, 0},
	{"vmx.control.exit.reserved", 7, 0}, /* REQ(vmx04.3.2.2.10) */
	{"vmx.control.exit2.reserved", 7, 0},
	{"vmx.control.exit.save-timer", 7, 0},
	{"vmx.control.exit.msr-store", 7, 0}, /* REQ(vmx04.3.2.2.14) */
	{"vmx.control.exit.msr-load", 7, 0}, /* REQ(vmx04.3.2.2.14) */
	{"vmx.control.entry.reserved", 7, 0}, /* REQ(vmx04.3.2.2.11) */
	{"vmx.control.entry.msr-load", 7, 0}, /* REQ(vmx04.3.2.2.14) */
	{"vmx.control.entry.smm", 7, 0},
	{"vmx.control.entry.dual-monitor", 7, 0},
	{"vmx.control.entry.smm-and-dual", 7, 0},
	{"vmx.control.inject.type", 7, 0}, /* REQ(vmx04.2.7.3.6) */
	{"vmx.control.inject.vector.nmi", 7, 0}, /* REQ(vmx04.3.2.2.82) */
	{"vmx.control.inject.vector.exception", 7, 0}, /* REQ(vmx04.3.2.2.81) */
	{"vmx.control.inject.vector.other", 7, 0}, /* REQ(vmx04.2.7.3.12.now) */
	{"vmx.control.inject.error-flag.type", 7, 0}, /* REQ(vmx04.3.2.2.84) */
	{"vmx.control.inject.error-flag.real-mode", 7, 0},
	{"vmx.control.inject.error-code", 7, 0}, /* REQ(vmx04.2.7.3.17.now) */
	{"vmx.control.inject.error-flag.missing", 7, 0}, /* REQ(vmx04.3.2.2.86.now) */
	{"vmx.control.inject.error-flag.extra", 7, 0}, /* REQ(vmx04.3.2.2.85.now) */
	{"vmx.control.inject.reserved", 7, 0}, /* REQ(vmx04.2.7.3.15) */
	{"vmx.control.inject.length", 7, 0}, /* REQ(vmx04.2.7.3.18.now) */
	{"vmx.host.cr0.fixed", 8, 0}, /* REQ(vmx04.3.2.2.27) */
	{"vmx.host.cr4.fixed", 8, 0}, /* REQ(vmx04.3.2.2.28, vmx04.3.2.2.29) */
	{"vmx.host.cr3", 8, 0}, /* REQ(vmx04.3.2.2.33) */
	{"vmx.host.sysenter", 8, 0},
	{"vmx.host.perf-global-ctrl", 8, 0},
	{"vmx.host.pat", 8, 0},
	{"vmx.host.efer.reserved", 8, 0},
	{"vmx.host.efer.lma", 8, 0},
	{"vmx.host.efer.lme", 8, 0},
	{"vmx.host.selector.rpl-ti", 8, 0}, /* REQ(vmx04.3.2.2.34, vmx04.3.2.2.35) */
	{"vmx.host.selector.null", 8, 0}, /* REQ(vmx04.3.2.2.36, vmx04.3.2.2.37, vmx04.3.2.2.38, vmx04.3.2.2.39) */
	{"vmx.host.base", 8, 0}, /* REQ(vmx04.3.2.2.40) */
	{"vmx.host.address-space.legacy-guest64", 8, 0}, /* REQ(vmx04.3.2.2.18, vmx04.3.2.2.22.now) */
	{"vmx.host.address-space.legacy-host64", 8, 0}, /* REQ(vmx04.3.2.2.22.now) */
	{"vmx.host.address-space.long-host32", 8, 0}, /* REQ(vmx04.3.2.2.21.now) */
	{"vmx.host.address-space.host32-guest64", 8, 0}, /* REQ(vmx04.3.2.2.19) */
	{"vmx.host.address-space.host32-pcide", 8, 0},
	{"vmx.host.address-space.host32-rip", 8, 0}, /* REQ(vmx04.3.2.2.42) */
	{"vmx.host.address-space.host64-pae", 8, 0}, /* REQ(vmx04.3.2.2.17) */
	{"vmx.host.address-space.host64-rip", 8, 0}, /* REQ(vmx04.3.2.2.41) */
	{"vmx.guest.cr0.fixed", 33, 0}, /* REQ(vmx04.3.2.2.23.now, vmx04.3.2.2.24, vmx04.3.2.2.25.now) */
	{"vmx.guest.cr0.pg-without-pe", 33, 0},
	{"vmx.guest.cr4.fixed", 33, 0}, /* REQ(vmx04.3.2.2.26, vmx04.3.2.2.29) */
	{"vmx.guest.debugctl", 33, 0},
	{"vmx.guest.dr7", 33, 0}, /* REQ(vmx04.3.2.2.30, vmx04.3.2.2.31.now) */
	{"vmx.guest.ia32e.pg", 33, 0},
	{"vmx.guest.ia32e.pae", 33, 0}, /* REQ(vmx04.3.2.2.20) */
	{"vmx.guest.pcide", 33, 0},
	{"vmx.guest.cr3", 33, 0}, /* REQ(vmx04.3.2.2.32) */
	{"vmx.guest.sysenter", 33, 0},
	{"vmx.guest.perf-global-ctrl", 33, 0},
	{"vmx.guest.pat", 33, 0},
	{"vmx.guest.efer.reserved", 33, 0},
	{"vmx.guest.efer.lma", 33, 0},
	{"vmx.guest.efer.lme", 33, 0},
	{"vmx.guest.segment.g-set", 33, 0}, /* REQ(vmx04.3.2.2.70, vmx04.3.2.2.74) */
	{"vmx.guest.segment.g-clear", 33, 0}, /* REQ(vmx04.3.2.2.71, vmx04.3.2.2.76) */
	{"vmx.guest.tr.ti", 33, 0}, /* REQ(vmx04.3.2.2.53) */
	{"vmx.guest.ldtr.ti", 33, 0}, /* REQ(vmx04.3.2.2.54) */
	{"vmx.guest.ss.rpl", 33, 0}, /* REQ(vmx04.3.2.2.55, vmx04.3.2.2.79) */
	{"vmx.guest.base.canonical", 33, 0}, /* REQ(vmx04.3.2.2.51) */
	{"vmx.guest.base.high", 33, 0}, /* REQ(vmx04.3.2.2.52) */
	{"vmx.guest.v86.base", 33, 0}, /* REQ(vmx04.3.2.2.56) */
	{"vmx.guest.v86.limit", 33, 0}, /* REQ(vmx04.3.2.2.57) */
	{"vmx.guest.v86.access-rights", 33, 0}, /* REQ(vmx04.3.2.2.58) */
	{"vmx.guest.cs.type", 33, 0}, /* REQ(vmx04.3.2.2.59, vmx04.3.2.2.79) */
	{"vmx.guest.cs.dpl-data", 33, 0}, /* REQ(vmx04.3.2.2.79) */
	{"vmx.guest.cs.dpl", 33, 0}, /* REQ(vmx04.3.2.2.64) */
	{"vmx.guest.cs.dpl-conforming", 33, 0}, /* REQ(vmx04.3.2.2.64) */
	{"vmx.guest.cs.l-and-d", 33, 0}, /* REQ(vmx04.3.2.2.69) */
	{"vmx.guest.data.accessed", 33, 0}, /* REQ(vmx04.3.2.2.61) */
	{"vmx.guest.data.readable", 33, 0}, /* REQ(vmx04.3.2.2.62) */
	{"vmx.guest.data.dpl", 33, 0}, /* REQ(vmx04.3.2.2.66) */
	{"vmx.guest.ss.type", 33, 0}, /* REQ(vmx04.3.2.2.60) */
	{"vmx.guest.ss.dpl", 33, 0}, /* REQ(vmx04.3.2.2.65) */
	{"vmx.guest.ss.dpl-zero", 33, 0}, /* REQ(vmx04.3.2.2.79) */
	{"vmx.guest.segment.s", 33, 0}, /* REQ(vmx04.3.2.2.63) */
	{"vmx.guest.segment.present", 33, 0}, /* REQ(vmx04.3.2.2.67, vmx04.3.2.2.77.now) */
	{"vmx.guest.segment.reserved", 33, 0}, /* REQ(vmx04.3.2.2.68, vmx04.3.2.2.78) */
	{"vmx.guest.tr.type", 33, 0}, /* REQ(vmx04.3.2.2.72) */
	{"vmx.guest.tr.s", 33, 0}, /* REQ(vmx04.3.2.2.73) */
	{"vmx.guest.tr.present", 33, 0}, /* REQ(vmx04.3.2.2.73) */
	{"vmx.guest.tr.reserved", 33, 0}, /* REQ(vmx04.3.2.2.73) */
	{"vmx.guest.tr.unusable", 33, 0}, /* REQ(vmx04.3.2.2.78) */
	{"vmx.guest.ldtr.type", 33, 0}, /* REQ(vmx04.3.2.2.75) */
	{"vmx.guest.ldtr.s", 33, 0}, /* REQ(vmx04.3.2.2.75) */
	{"vmx.guest.ldtr.present", 33, 0}, /* REQ(vmx04.3.2.2.77.now) */
	{"vmx.guest.ldtr.reserved", 33, 0}, /* REQ(vmx04.3.2.2.76) */
	{"vmx.guest.gdtr.base", 33, 0}, /* REQ(vmx04.3.2.2.49) */
	{"vmx.guest.idtr.base", 33, 0}, /* REQ(vmx04.3.2.2.49) */
	{"vmx.guest.gdtr.limit", 33, 0}, /* REQ(vmx04.3.2.2.50) */
	{"vmx.guest.idtr.limit", 33, 0}, /* REQ(vmx04.3.2.2.50) */
	{"vmx.guest.rip.high", 33, 0}, /* REQ(vmx04.3.2.2.47) */
	{"vmx.guest.rip.width", 33, 0}, /* REQ(vmx04.3.2.2.48) */
	{"vmx.guest.rflags.reserved", 33, 0}, /* REQ(vmx04.3.2.2.44, vmx04.3.2.2.45) */
	{"vmx.guest.rflags.vm-ia32e", 33, 0}, /* REQ(vmx04.3.2.2.46) */
	{"vmx.guest.rflags.vm-real", 33, 0},
	{"vmx.guest.rflags.if-extint", 33, 0}, /* REQ(vmx04.3.2.2.88.now) */
	{"vmx.guest.activity.supported", 33, 0}, /* REQ(vmx04.2.3.1.43.now) */
	{"vmx.guest.activity.hlt-dpl", 33, 0},
	{"vmx.guest.activity.blocking", 33, 0},
	{"vmx.guest.activity.smm", 33, 0},
	{"vmx.guest.activity.inject-hlt", 33, 0},
	{"vmx.guest.activity.inject-shutdown", 33, 0},
	{"vmx.guest.activity.inject-wait", 33, 0},
	{"vmx.guest.interruptibility.reserved", 33, 0}, /* REQ(vmx04.2.3.2.7.now) */
	{"vmx.guest.interruptibility.sti-mov-ss", 33, 0}, /* REQ(vmx04.2.3.2.7.now) */
	{"vmx.guest.interruptibility.sti-if", 33, 0}, /* REQ(vmx04.2.3.2.7.now) */
	{"vmx.guest.interruptibility.smi", 33, 0},
	{"vmx.guest.interruptibility.smi-entry", 33, 0},
	{"vmx.guest.interruptibility.enclave-mov-ss", 33, 0},
	{"vmx.guest.interruptibility.enclave", 33, 0},
	{"vmx.guest.interruptibility.extint", 33, 0}, /* REQ(vmx04.3.2.2.88.now) */
	{"vmx.guest.interruptibility.nmi-mov-ss", 33, 0},
	{"vmx.guest.interruptibility.nmi-sti", 33, 3},
	{"vmx.guest.interruptibility.virtual-nmi", 33, 0},
	{"vmx.guest.pending-debug.reserved", 33, 0},
	{"vmx.guest.pending-debug.bs-missing", 33, 0},
	{"vmx.guest.pending-debug.bs-extra", 33, 0},
	{"vmx.guest.pending-debug.rtm", 33, 0},
	{"vmx.guest.pending-debug.rtm-form", 33, 0},
	{"vmx.guest.pending-debug.rtm-mov-ss", 33, 0},
	{"vmx.guest.link-pointer.address", 33, 4},
	{"vmx.guest.link-pointer.revision", 33, 4}, /* REQ(vmx04.2.3.1.45.now) */
	{"vmx.guest.link-pointer.current", 33, 4},
	{"vmx.guest.pdpte", 33, 2}, /* REQ(vmx04.3.2.2.80.now) */
