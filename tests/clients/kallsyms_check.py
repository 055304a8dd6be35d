#!/usr/bin/env python3
"""kallsyms_check.py OUTPUT TRACE.jsonl monitor|guest: the place of every event in the kernel, the machine's or a guest's, against
what the /proc/kallsyms that was printed says of its address. Prints how many there were, of how many functions, modules and source lines."""
import base64
import bisect
import gzip
import json
import re
import sys

output = open(sys.argv[1], encoding='latin-1').read().replace('\r', '')
printed = gzip.decompress(base64.b64decode(output.split('kallsyms: begin\n')[1].split('kallsyms: end')[0])).decode()
code = {}
for line in printed.splitlines():
    address, _, name, *module = line.split()
    code.setdefault(int(address, 16), set()).add(' '.join([name] + module))
addresses = sorted(code)

events = 0
functions, modules, lines, wrong = set(), set(), set(), set()
for text in open(sys.argv[2], encoding='utf-8'):
    event = json.loads(text)
    rip = int(event['rip'], 16)
    if rip < 0xffffffff80000000 or bool(event['guest']) != (sys.argv[3] == 'guest'):
        continue
    place = event.get('place', '')
    name, offset, module, line = re.fullmatch(r'([^ +]*)(?:\+0x([0-9a-f]+))?( \[.*?\])?(?: kvm_[a-z]*\.S:(\d+))?', place).groups()
    at = addresses[bisect.bisect_right(addresses, rip) - 1]
    if not place and rip - at > 1 << 20:  # code that the kernel has made: packet filters
        continue
    events += 1
    if name + (module or '') in code[at] and at + int(offset or '0', 16) == rip:
        functions.add(name)
        modules.add(module)
        if line and int(line) != int(offset or '0', 16) + 3:  # behind .type and the label
            wrong.add(f'{place}: the line')
        lines.add(line)
    else:
        wrong.add(f'{event["rip"]} is {place or "nothing"}, and {" ".join(sorted(code[at]))}+0x{rip - at:x}')
for w in sorted(wrong)[:10]:
    print(w)
print(f'{events} events, {len(functions)} functions, {len(modules - {None})} modules, {len(lines - {None})} lines, {len(wrong)} wrong')
sys.exit(1 if wrong else 0)
