#!/usr/bin/env python3
"""Every path that README.md and docs/*.md name is there: in backquotes or plain, with or without a line number. What a build
makes (below build/) and what stands for several (FILE, *, ...) is not looked at. Every row of docs/ERRATA.md has a number
of its own, and "ERRATA E..." anywhere names one of them."""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
FOLDERS = ('bench', 'docs', 'guests', 'include', 'src', 'tests', 'tools')
PATH = re.compile(r'(?<![\w/.-])((?:%s)/[\w./+-]*[\w+-])' % '|'.join(FOLDERS))
# Within the sources paths are written from src/.
SOURCE = re.compile(r'`((?:api|arch|base|cli|cpu|dev|inspect|machine|mem|model|svm|vmx)/[\w./-]*[\w]\.[ch])`')


def tracked():
    """Files of the repository and their folders."""
    names = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True).stdout.split('\n')
    if not any(names): # an unpacked archive
        names = [os.path.relpath(os.path.join(d, n), ROOT) for d, _, ns in os.walk(ROOT) for n in ns]
    have = set(names)
    for name in names:
        while os.path.dirname(name):
            name = os.path.dirname(name)
            have.add(name)
    return have


def errata(files):
    """What is wrong with the rows' numbers, and how many rows and references there are."""
    rows = re.findall(r'^\| (E\d+) \|', open(os.path.join(ROOT, 'docs/ERRATA.md'), encoding='utf-8').read(), re.M)
    wrong = [f'docs/ERRATA.md: {row} is there {rows.count(row)} times' for row in sorted(set(rows)) if rows.count(row) > 1]
    seen = len(rows)
    for name in sorted(files):
        if not os.path.isfile(os.path.join(ROOT, name)):
            continue
        for row in re.findall(r'ERRATA(?:\.md)?,? (E\d+)', open(os.path.join(ROOT, name), encoding='utf-8', errors='replace').read()):
            seen += 1
            if row not in rows:
                wrong.append(f'{name}: ERRATA {row} is not there')
    return wrong, seen


def main():
    have = tracked()
    missing, seen = errata(have)
    for page in ['README.md'] + sorted(glob.glob('docs/*.md', root_dir=ROOT)):
        for number, line in enumerate(open(os.path.join(ROOT, page), encoding='utf-8'), 1):
            if 'ninja -C' in line: # names of targets
                continue
            found = [m[1] for m in PATH.finditer(line)] + ['src/' + m[1] for m in SOURCE.finditer(line)]
            for path in found:
                if '...' in path or re.search(r'[A-Z]{4}', os.path.basename(path).split('.')[0]) and not path.endswith('.md'):
                    continue
                seen += 1
                if path.rstrip('/') not in have and not any(p.startswith(path) and path.endswith('_') for p in have):
                    missing.append(f'{page}:{number}: {path} is not there')
    print('\n'.join(missing) or f'{seen} paths and rows, all there')
    print(f'checks: {seen}')
    sys.exit(bool(missing) or not seen)


main()
