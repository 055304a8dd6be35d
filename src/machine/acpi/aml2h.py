#!/usr/bin/env python3
"""Compile an ASL source and write the AML as a C header: aml2h.py CC IASL SOURCE.asl OUT.h

The C preprocessor runs first, since iasl's own knows no macros with arguments."""
import os
import subprocess
import sys
import tempfile

cc, iasl, source, out = sys.argv[1:5]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


with tempfile.TemporaryDirectory() as folder:
    prefix = os.path.join(folder, "table")
    run([cc, "-E", "-P", "-undef", "-x", "assembler-with-cpp", source, "-o", prefix + ".asl"])
    # -we: a warning is an error.
    run([iasl, "-we", "-p", prefix, prefix + ".asl"])
    with open(prefix + ".aml", "rb") as f:
        aml = f.read()
name = os.path.splitext(os.path.basename(source))[0]
lines = [", ".join("0x%02x" % b for b in aml[i:i + 16]) for i in range(0, len(aml), 16)]
with open(out, "w") as f:
    f.write("static const unsigned char %s_aml[] = {\n\t%s,\n};\n" % (name, ",\n\t".join(lines)))
