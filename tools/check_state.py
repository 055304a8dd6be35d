#!/usr/bin/env python3
"""Every piece of state has a row. Of the structures below each member must be named by a state row, or be of a type that a run
does not change, or carry a mark in the comment on its line (or above a line of its own):
  cache   made anew from rows; the comment says from which
  wired   set when the machine is built, or by its owner, and not changed by what runs
  scratch has a meaning only while something is under way that a snapshot never interrupts
  extra_hash  of no fixed size: the device's extra_hash has it
  evidence, statistics    what is told about a run; it decides nothing"""
import glob
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'src'))
MARK = re.compile(r'\b(cache|wired|scratch|extra_hash|evidence|statistics)\b')
# Wires and handles: what they lead to has state of its own.
WIRES = {'struct device', 'struct platform', 'struct bus_range', 'struct chan', 'struct bus', 'struct clock', 'struct hooks',
         'struct pci_bus', 'struct ioapic_sink', 'struct ferr_sink', 'struct virtio_class', 'struct pci_cfg_ops',
         'struct device_ops', 'struct code_cache', 'struct decode_index', 'struct cpu', 'struct machine'}
# Structures that stand inside others: their members are looked up by the path that leads there.
PARTS = {'struct irq_line': ['level'], 'struct timer': None}

# file with the structure, its name, where its rows are
CHECKED = [('machine/state/state.h', 'machine', ['machine/state/rows.c']),
           ('machine/state/state.h', 'irq_source', ['machine/state/rows.c']),
           ('machine/state/state.h', 'door', ['machine/state/rows.c']),
           ('mem/mem.h', 'bus', ['machine/state/rows.c']),
           ('mem/space.h', 'space', ['machine/state/rows.c']),
           ('dev/pci.h', 'pci_dev', ['dev/pci.h']),
           ('dev/pci.h', 'pci_bus', ['dev/pci.h']),
           ('dev/virtio.h', 'virtio', ['dev/virtio.h', 'dev/pci.h']),
           ('dev/virtio.h', 'virtq', ['dev/virtio.h'])]


def text_of(path):
    return open(os.path.join(ROOT, path)).read()


def body_of(text, name):
    """Between the braces of `struct name {`; None: no such structure."""
    m = re.search(r'^struct ' + name + r' \{', text, re.M)
    if not m:
        return None
    depth, at = 1, m.end()
    while depth:
        depth += {'{': 1, '}': -1}.get(text[at], 0)
        at += 1
    return text[m.end():at - 1]


def members(body):
    """(type, name, comment) of each member; those of a structure without a name inside count as the outer's own."""
    found, comment_above = [], ''
    body = re.sub(r'/\*.*?\*/', lambda m: m.group(0).replace('\n', ' '), body, flags=re.S)
    body = re.sub(r';[ \t]*(/\*[^\n]*?\*/)', lambda m: ' ' + m.group(1).replace(';', ',') + ';', body)
    body = re.sub(r'\b(struct|union)\s*(\w+\s*)?\{', '', body)
    for statement in body.split(';'):
        comment = ' '.join(re.findall(r'/\*(.*?)\*/', statement))
        code = re.sub(r'/\*.*?\*/', ' ', statement).strip()
        code = re.sub(r'^}\s*', 'struct ', code) if code.startswith('}') else code
        function = re.search(r'\(\*(\w+)', code)
        if not code:
            comment_above = comment
            continue
        if function:
            found += [('function', n, comment or comment_above) for n in re.findall(r'\(\*\s*(?:const\s*)?(\w+)', code)]
            comment_above = ''
            continue
        code = re.sub(r'\[[^]]*\]', '', code)
        m = re.match(r'((?:const |volatile |unsigned |struct |enum |union )*\w+)\s+(.*)$', code, re.S)
        if m:
            kind = re.sub(r'\b(const|volatile) ', '', m.group(1)).strip()
            for n in m.group(2).split(','):
                found.append((kind + ('*' if '*' in n else ''), n.replace('*', '').replace('const', '').strip(), comment))
        comment_above = ''
    return found


def rows_of(paths):
    """Every path that a row names, without indices: 'q.size', 'redir'."""
    text = '\n'.join(text_of(p) for p in paths).replace('\\\n', ' ')
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    named = set()
    for call in re.findall(r'\b[A-Z][A-Z0-9_]*\(([^;{}]*?)\)(?=\s*[,}\n])', text):
        for word in re.split(r'[,()]', call):
            word = re.sub(r'\[[^]]*\]', '', word).strip()
            if re.fullmatch(r'[a-z_]\w*(\.\w+)*', word):
                named.add(word)
    return named


def check(path, name, rows, errors, own=None, prefix=()):
    body = body_of(text_of(path), name)
    if body is None:
        errors.append(f'{path}: no struct {name}')
        return 0
    named, count = rows_of(rows) if own is None else own, 0
    last = {n.split('.')[-1] for n in named}
    for kind, member, comment in members(body):
        count += 1
        plain = kind.rstrip('*')
        if kind == 'function' or plain in WIRES or MARK.search(comment):
            continue
        if plain in PARTS and PARTS[plain] and not kind.endswith('*'):
            if not all(any(n.endswith(f'{member}.{inner}') for n in named) for inner in PARTS[plain]):
                errors.append(f'{path}: struct {name}: {member}.{PARTS[plain][0]} has no row')
            continue
        inner = plain[7:] if plain.startswith('struct ') and not kind.endswith('*') else None
        if inner and inner not in ('timer',) and body_of(text_of(path), inner) is not None and member not in last:
            below = {n for n in named if f'{member}.' in n}
            count += check(path, inner, rows, errors, below)
            continue
        if member not in last and not any(f'.{member}.' in f'.{n}.' for n in named):
            errors.append(f'{path}: struct {name}: {member} has neither a row nor a mark')
    return count


def devices():
    for path in sorted(glob.glob(os.path.join(ROOT, 'dev', '*.c'))):
        name = os.path.relpath(path, ROOT)
        for m in re.finditer(r'^struct (\w+) \{\s*struct (device|pci_dev|virtio) (\w+);', text_of(name), re.M):
            yield name, m.group(1), m.group(2), m.group(3)


def main():
    errors, count = [], 0
    for path, name, rows in CHECKED:
        count += check(path, name, rows, errors)
    for path, name, base, member in devices():
        named = rows_of([path]) | {member}
        if base != 'device' and not re.search(r'\b(PCI|VIRTIO)_ROWS\(', text_of(path)):
            errors.append(f'{path}: no rows of struct {base}')
        count += check(path, name, [path], errors, named)
    for e in errors:
        print(e)
    print(f'state: {count} members, {len(errors)} without a row or a mark')
    print(f'checks: {count}')
    return 1 if errors else 0


sys.exit(main())
