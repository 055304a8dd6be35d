#!/usr/bin/env python3
"""embed.py OUTPUT PATH=FILE...: a C header with the files' texts, as rows {"PATH", "TEXT"}."""
import sys


def literal(text):
    lines = text.split('\n')
    escaped = [line.replace('\\', '\\\\').replace('"', '\\"').replace('\t', '\\t').replace('?', '\\?') for line in lines]
    return '\n'.join(f'"{line}\\n"' for line in escaped[:-1] + ([escaped[-1]] if escaped[-1] else []))


with open(sys.argv[1], 'w') as out:
    for word in sys.argv[2:]:
        path, _, name = word.partition('=')
        out.write(f'{{"{path}",\n{literal(open(name).read())}}},\n')
