#!/usr/bin/env python3
"""No source, test or document names a page or a thread that its reader does not have: pages by their names in capitals that
are not in the repository, and numbered issues."""
import os
import re
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
FOLDERS = ('bench', 'docs', 'guests', 'include', 'src', 'tests', 'tools')
PAGES = ('DESIGN', 'MODELS', 'EXPLAIN', 'TRANSLATOR')
WORDS = re.compile(r'\b(?:%s)\b|\b([A-Z]{3,})\.md\b|\b[Ii]ssue #?\d' % '|'.join(PAGES))


def main():
    names = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True).stdout.split('\n')
    if not any(names): # an unpacked archive
        names = [os.path.relpath(os.path.join(d, n), ROOT) for f in FOLDERS for d, _, ns in os.walk(os.path.join(ROOT, f)) for n in ns]
    ours = {os.path.basename(n)[:-3] for n in names if n.endswith('.md')}
    looked, bad = 0, []
    for name in names:
        path = os.path.join(ROOT, name)
        if not name or name == 'tools/check_words.py' or name.startswith('docs/requirements/') or not os.path.isfile(path):
            continue
        try:
            lines = open(path, encoding='utf-8').read().split('\n')
        except UnicodeDecodeError:
            continue
        looked += 1
        for number, line in enumerate(lines, 1):
            for m in WORDS.finditer(line):
                if not (m[1] and m[1] in ours):
                    bad.append(f'{name}:{number}: {m[0]}')
    print('\n'.join(bad + [f'checks: {looked}']))
    sys.exit(1 if bad or not looked else 0)


main()
