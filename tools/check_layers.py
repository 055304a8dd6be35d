#!/usr/bin/env python3
"""Check src/LAYERS: the declared edges have no cycle; every #include "folder/..." goes along one; and so does every call.

A header can hide a call upwards, so the objects of a build are asked as well: a symbol that is undefined in a floor's
object must be defined in a floor that it may include. So are the files of the floors that LAYERS names as open: no file's
calls lead back to it. Usage: check_layers.py [BUILD]; without BUILD only includes.
"""
import os
import re
import subprocess
import sys

OPEN = 'open inside' # the line of LAYERS that names floors whose files make no circle
OPTIONAL = 'turnstile-tpm.p' # objects that a build has where their libraries are installed
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'src'))


def read_layers(path):
    edges = {}
    for line in open(path):
        line = line.split('#')[0].strip()
        if line:
            name, _, below = line.partition(':')
            edges[name.strip()] = below.split()
    return edges


def resolve(edges):
    """An edge to a folder is one to each of its sub-folders that are floors."""
    return {n: {m for b in below for m in edges if m == b or m.startswith(b + '/')} | {b for b in below if b not in edges}
            for n, below in edges.items()}


def find_cycle(edges):
    state = {}

    def visit(n, trail):
        if state.get(n) == 'done':
            return None
        if state.get(n) == 'open':
            return trail[trail.index(n):] + [n]
        state[n] = 'open'
        for m in sorted(edges.get(n, ())):
            cycle = visit(m, trail + [n])
            if cycle:
                return cycle
        state[n] = 'done'
        return None

    for n in edges:
        cycle = visit(n, [])
        if cycle:
            return cycle
    return None


def floor_of(path, edges):
    """The floor of src/PATH: the longest prefix that LAYERS names."""
    folder = os.path.dirname(path)
    while folder and folder not in edges:
        folder = os.path.dirname(folder)
    return folder or None


def sources():
    for folder, _, names in os.walk(ROOT):
        for name in sorted(names):
            if name.endswith(('.c', '.h')):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def check_includes(path, edges, errors):
    floor = floor_of(path, edges)
    if not floor:
        errors.append(f'{path}: its folder is not in LAYERS')
        return
    for number, line in enumerate(open(os.path.join(ROOT, path)), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m or '/' not in m.group(1):
            continue
        target = 'include' if m.group(1).startswith('turnstile/') else floor_of(m.group(1), edges)
        if target != floor and target not in edges[floor]:
            errors.append(f'{path}:{number}: {floor} may not include {m.group(1)}')


def read_objects(build, files):
    """What each source's object defines and wants: {source: (set, set)}. Meson names objects after their paths."""
    by_name = {}
    for path in files:
        for name in (path, 'src/' + path):
            by_name[name.replace('/', '_') + '.o'] = path
    objects = {}
    for folder in [os.path.join(build, p) for p in ('src/libturnstile.a.p', 'turnstile.p', OPTIONAL)]:
        for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
            if name not in by_name:
                continue
            out = subprocess.run(['nm', os.path.join(folder, name)], check=True, capture_output=True, text=True).stdout
            rows = [line.split() for line in out.splitlines()]
            objects[by_name[name]] = ({r[2] for r in rows if len(r) == 3 and r[1] in 'TDRBVWCG'},
                                      {r[1] for r in rows if len(r) == 2 and r[0] in 'Uvw'})
    return objects


def check_calls(objects, edges, errors):
    # turnstile-tpm is a program of its own: what it defines, the C library's clocks among it, is not what others call.
    owner = {symbol: path for path, (defined, _) in objects.items() if not path.startswith('tpm/') for symbol in defined}
    for path, (_, wanted) in sorted(objects.items()):
        floor = floor_of(path, edges)
        for symbol in sorted(wanted & owner.keys()):
            target = 'include' if symbol.startswith('ts_') else floor_of(owner[symbol], edges)
            if target != floor and target not in edges[floor]:
                errors.append(f'{path}: {floor} may not use {symbol} of {owner[symbol]}')


def check_circles(objects, floors, edges, errors):
    owner = {symbol: path for path, (defined, _) in objects.items() for symbol in defined}
    for floor in floors:
        inside = [path for path in objects if floor_of(path, edges) == floor]
        calls = {path: {owner[s] for s in objects[path][1] & owner.keys() if owner[s] in inside} for path in inside}
        cycle = find_cycle(calls)
        if cycle or not inside:
            errors.append(f'{floor}: ' + ('circle ' + ' -> '.join(cycle) if cycle else 'no files'))


def main():
    declared = read_layers(os.path.join(ROOT, 'LAYERS'))
    without_circles = declared.pop(OPEN)
    edges = resolve(declared)
    files = list(sources())
    errors = []
    cycle = find_cycle(edges)
    if cycle:
        errors.append('LAYERS has a cycle: ' + ' -> '.join(cycle))
    for path in files:
        check_includes(path, edges, errors)
    found = 'no undeclared include'
    if len(sys.argv) > 1:
        objects = read_objects(sys.argv[1], files)
        built = os.path.isdir(os.path.join(sys.argv[1], OPTIONAL))
        missing = [p for p in files if p.endswith('.c') and p not in objects and (built or not p.startswith('tpm/'))]
        if missing:
            errors.append(f'no object in {sys.argv[1]} of ' + ', '.join(missing))
        check_calls(objects, edges, errors)
        check_circles(objects, without_circles, edges, errors)
        found += f', no undeclared call in {len(objects)} objects'
    print('\n'.join(errors) if errors else f'layers: {len(edges)} floors, {found}, no cycle')
    print(f'checks: {len(files)}')
    sys.exit(1 if errors else 0)


if __name__ == '__main__':
    main()
