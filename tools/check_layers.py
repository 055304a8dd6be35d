#!/usr/bin/env python3
"""Check src/LAYERS: every #include "folder/..." goes down a declared edge, and the declared edges have no cycle."""
import os
import re
import sys


def read_layers(path):
    edges = {}
    for line in open(path):
        line = line.split('#')[0].strip()
        if line:
            name, _, below = line.partition(':')
            edges[name.strip()] = set(below.split())
    return edges


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


def check_file(root, path, edges, errors):
    folder = os.path.relpath(path, root).split(os.sep)[0]
    if folder not in edges:
        errors.append(f'{path}: folder {folder} is not in LAYERS')
        return
    for number, line in enumerate(open(path), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m or '/' not in m.group(1):
            continue
        target = m.group(1).split('/')[0]
        target = 'include' if target == 'turnstile' else target
        if target != folder and target not in edges[folder]:
            errors.append(f'{path}:{number}: {folder} may not include {m.group(1)}')


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..', 'src')
    edges = read_layers(os.path.join(root, 'LAYERS'))
    errors = []
    cycle = find_cycle(edges)
    if cycle:
        errors.append('LAYERS has a cycle: ' + ' -> '.join(cycle))
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            if name.endswith(('.c', '.h')):
                check_file(root, os.path.join(folder, name), edges, errors)
    print('\n'.join(errors) if errors else f'layers: {len(edges)} floors, no undeclared include, no cycle')
    print(f'checks: {len(edges)}')
    sys.exit(1 if errors else 0)


if __name__ == '__main__':
    main()
