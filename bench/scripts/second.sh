#!/bin/sh
# Debian's QEMU with KVM boots a second Linux, from /second, to its shell.
qemu-system-x86_64 -accel kvm -cpu host -M q35 -m 256 -nodefaults -no-user-config -display none -serial stdio -no-reboot \
	-kernel /second/vmlinux -initrd /second/initrd -append 'console=ttyS0 quiet job.nolog' </dev/null | tr -d '\r' |
	grep -x 'shell: sum 190'
