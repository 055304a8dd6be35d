#!/bin/sh
# kvm-client, N times.
n=$1
while [ "$n" -gt 0 ]; do
	./kvm-client || exit 1
	n=$((n - 1))
done
