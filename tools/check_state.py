#!/usr/bin/env python3
"""Every piece of state has a row. Of the structures below each member must be named by a state row, or be of a type that a run
does not change, or carry a mark in the comment on its line (or above a line of its own):
  cache   made anew from rows; the comment says from which
  wired   set when the machine is built, or by its owner, and not changed by what runs
  scratch has a meaning only while something is under way that a snapshot never interrupts
  extra_hash  of no fixed size: the device's extra_hash has it
  evidence, statistics    what is told about a run; it decides nothing
A comment `---- <mark>: ...` on a line of its own marks all members below it. Of the processor's structures the rows are read as
the preprocessor leaves them, so that every path and index counts. No table of rows, of whatever structure, has an id twice."""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'src'))
MARK = re.compile(r'\b(cache|wired|scratch|extra_hash|evidence|statistics)\b')
# Wires and handles: what they lead to has state of its own.
WIRES = {'struct device', 'struct platform', 'struct bus_range', 'struct chan', 'struct bus', 'struct clock', 'struct hooks',
         'struct pci_bus', 'struct ioapic_sink', 'struct ferr_sink', 'struct smi_sink', 'struct virtio_class', 'struct pci_cfg_ops',
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

# The processor's, whose rows are read to the last index: file with the structure, its name, where its rows are.
PROCESSOR = [('cpu/state/state.h', 'cpu', 'cpu/state/rows.c'),
             ('cpu/state/lapic.h', 'lapic', 'cpu/state/rows.c'),
             ('vmx/vmx.h', 'vmx', 'vmx/ops.c'),
             ('svm/svm.h', 'svm', 'svm/ops.c')]
HELD_APART = {('cpu', 'apic')}       # structures inside others that have a table of their own, above
CONSTANT = {('cpu', 'r[REG_ZERO]')}  # elements that never change

# ---- structures ----


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


SECTION = re.compile(r'\s*-+ (\w+):')


class Member:
    """kind: type without qualifiers, 'function' for a pointer to one; inner: members of a structure spelled out in place."""
    def __init__(self, kind, name, sizes, comment, inner):
        self.kind, self.name, self.sizes, self.comment, self.inner = kind, name, sizes, comment, inner


def statements(body):
    """(code, what stands between its braces or None, comment) of each declaration."""
    at, code, inner, comment, above, section = 0, '', None, '', '', ''
    while at < len(body):
        if body.startswith('/*', at):
            end = body.index('*/', at) + 2
            if code.strip():
                comment += body[at:end]
            else:
                above = body[at + 2:end - 2].strip()
                if above.startswith('--'):
                    m = SECTION.match(above)
                    section, above = (m.group(1) if m else ''), ''
            at = end
        elif body[at] == '{':
            start, depth = at + 1, 1
            while depth:
                at += 1
                depth += {'{': 1, '}': -1}.get(body[at], 0)
            inner, at, code = body[start:at], at + 1, code + '{}'
            head = re.match(r'[ \t]*/\*(.*?)\*/', inner, re.S)
            comment += head.group(1) if head else ''
        elif body[at] == ';':
            tail = re.match(r';[ \t]*/\*(.*?)\*/', body[at:], re.S)
            yield code, inner, ' '.join([section, above, comment, tail.group(1) if tail else ''])
            at += tail.end() if tail else 1
            code, inner, comment, above = '', None, '', ''
        else:
            code += body[at]
            at += 1


def members_of(body):
    for code, inner, comment in statements(body):
        code = ' '.join(code.split())
        if '(*' in code:
            for n in re.findall(r'\(\*\s*(?:const\s*)?(\w+)', code):
                yield Member('function', n, [], comment, None)
            continue
        m = re.match(r'((?:const |volatile |struct |enum |union )*(?:\w+ ?)?(?:\{\})?)(.*)$', code)
        kind = re.sub(r'\b(const|volatile) |\{\}', '', m.group(1)).strip()
        nested = list(members_of(inner)) if inner is not None else None
        for declared in m.group(2).split(','):
            name = re.search(r'(\w+)(?:\[[^]]*\])*$', declared.strip())
            yield Member(kind + ('*' if '*' in declared else ''), name.group(1) if name else '',
                         re.findall(r'\[([^]]*)\]', declared), comment, nested)


def flat(found):
    """(type, name, comment) of each member; those of a structure spelled out inside count as the outer's own."""
    for m in found:
        yield from flat(m.inner or [])
        if m.name:
            yield m.kind, m.name, m.comment


# ---- rows ----


def expanded(path):
    cc = os.environ.get('CC', 'cc').split()
    return subprocess.run(cc + ['-E', '-P', '-D_GNU_SOURCE', '-I' + ROOT, os.path.join(ROOT, path)],
                          check=True, capture_output=True, text=True).stdout


def tables(text):
    """(name, [(id, structure, path)]) of each table of rows in preprocessed text."""
    text = ' '.join(text.split())
    for m in re.finditer(r'\bstruct state_row (\w+)\[\] = \{(.*?)\};', text):
        rows = re.findall(r'\.id = ([^=]*?), \.width.*?offsetof ?\(struct (\w+), ([^()]*?)\)', m.group(2))
        if len(rows) != len(re.findall(r'\.name =', m.group(2))):
            sys.exit(f'check_state: cannot read every row of {m.group(1)}')
        yield m.group(1), [(number(i), owner, ''.join(place.split())) for i, owner, place in rows]


def number(expression):
    if not re.fullmatch(r'[\d\s()+*-]+', expression):
        sys.exit(f'check_state: not the id of a row: {expression}')
    return eval(expression)  # digits and + - * ( ) alone


def constants(text):
    """The enumeration constants of preprocessed text whose values are plain."""
    known = {}
    for body in re.findall(r'\benum(?: \w+)? \{([^{}]*)\}', text):
        at = 0
        for item in filter(None, (i.strip() for i in body.split(','))):
            name, _, value = (part.strip() for part in item.partition('='))
            if value:
                at = int(value, 0) if re.fullmatch(r'0x[\da-f]+|\d+', value) else known.get(value)
            if at is not None:
                known[name] = at
                at += 1
    return known


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
    for kind, member, comment in flat(members_of(body)):
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


class Processor:
    """The members of one structure against its rows, by whole paths: 'fpu.st', 'seg[3].base'."""
    def __init__(self, path, name, rows_path):
        text = expanded(rows_path)
        self.path, self.name, self.known = path, name, constants(text)
        self.places = {self.plain(place) for _, rows in tables(text) for _, owner, place in rows if owner == name}
        self.exempt = {self.plain(place) for owner, place in HELD_APART | CONSTANT if owner == name}
        self.count, self.errors = 0, []

    def value(self, word):
        return int(word, 0) if word[0].isdigit() else self.known[word]

    def plain(self, place):
        return re.sub(r'\[(\w+)\]', lambda m: f'[{self.value(m.group(1))}]', place)

    def check(self, found, prefix=''):
        for m in found:
            self.count += 1
            place = prefix + m.name
            if place in self.places | self.exempt or m.kind == 'function' or MARK.search(m.comment):
                continue
            if m.sizes and any(p.startswith(place + '[') for p in self.places):
                for k in range(self.value(m.sizes[0])):
                    self.check([Member(m.kind, f'{m.name}[{k}]', m.sizes[1:], '', m.inner)], prefix)
            elif not m.name:
                self.check(m.inner, prefix)
            elif any(p.startswith(place + '.') for p in self.places):
                self.check(m.inner or members_of(self.body(m.kind)), place + '.')
            else:
                self.errors.append(f'{self.path}: struct {self.name}: {place} has neither a row nor a mark')

    def body(self, kind):
        """Of a structure that any header defines."""
        for path in sorted(glob.glob(os.path.join(ROOT, '**', '*.h'), recursive=True)):
            body = body_of(text_of(path), kind.split()[-1])
            if body is not None:
                return body
        sys.exit(f'check_state: no {kind}')


def check_ids(errors):
    """Ids count from 1 and are unique within a table, and nothing has two rows."""
    count = 0
    for path in sorted(glob.glob(os.path.join(ROOT, '**', '*.c'), recursive=True)):
        name = os.path.relpath(path, ROOT)
        if not re.search(r'\bstruct state_row \w+\[\] =', text_of(name)):
            continue
        for table, rows in tables(expanded(name)):
            count += len(rows)
            ids = [i for i, _, _ in rows]
            errors += [f'{name}: {table}: id {i} stands for ' + ' and '.join(p for k, _, p in rows if k == i)
                       for i in sorted(set(ids)) if ids.count(i) > 1]
            places = [(owner, place) for _, owner, place in rows]
            errors += [f'{name}: {table}: {p[1]} has two rows' for p in sorted(set(places)) if places.count(p) > 1]
            errors += [f'{name}: {table}: {place} has id 0' for i, _, place in rows if not i]
    return count


def main():
    errors, count = [], 0
    for path, name, rows in PROCESSOR:
        p = Processor(path, name, rows)
        p.check(members_of(body_of(text_of(path), name)))
        errors, count = errors + p.errors, count + p.count
    ids = check_ids(errors)
    for path, name, rows in CHECKED:
        count += check(path, name, rows, errors)
    for path, name, base, member in devices():
        named = rows_of([path]) | {member}
        if base != 'device' and not re.search(r'\b(PCI|VIRTIO)_ROWS\(', text_of(path)):
            errors.append(f'{path}: no rows of struct {base}')
        count += check(path, name, [path], errors, named)
    for e in errors:
        print(e)
    print(f'state: {count} members and {ids} rows, {len(errors)} errors')
    print(f'checks: {count}')
    return 1 if errors else 0


sys.exit(main())
