#!/usr/bin/env python3
"""Which testable statements of the manuals are proved. Tests name ids: REQ(svm.2.5.9.1) beside the assertion, or
REQ_COLUMN tables whose strings are ids. docs/requirements/excused.tsv holds id<TAB>reason.

  requirements.py          summary by issue; exit 1 if a test names an id that does not exist
  requirements.py --open   list the open ids as well
  requirements.py --md     the coverage page of docs/"""
import glob
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), '..'))


def read_list():
    rows = {}
    for path in sorted(glob.glob(os.path.join(ROOT, 'docs/requirements/requirements-*.tsv'))):
        lines = open(path, encoding='utf-8').read().splitlines()
        head = lines[0].split('\t')
        for line in lines[1:]:
            cells = dict(zip(head, line.split('\t')))
            rows[cells['id']] = cells
    return rows


def read_excused():
    path = os.path.join(ROOT, 'docs/requirements/excused.tsv')
    if not os.path.exists(path):
        return {}
    return dict(line.rstrip('\n').split('\t', 1) for line in open(path) if '\t' in line)


def read_proofs():
    proofs = {}
    for folder, _, names in os.walk(os.path.join(ROOT, 'tests')):
        for name in names:
            if not name.endswith(('.c', '.h', '.S', '.py', '.tsv')):
                continue
            path = os.path.join(folder, name)
            text = re.sub(r'(?m)^[ \t]*#define.*', '', open(path, encoding='utf-8').read())
            for m in re.finditer(r'REQ\(([^)]*)\)', text):
                number = text.count('\n', 0, m.start()) + 1
                for one in re.sub(r'[,"*]', ' ', m.group(1)).split():
                    proofs.setdefault(one, []).append(f'{os.path.relpath(path, ROOT)}:{number}')
    return proofs


def main():
    rows, excused, proofs = read_list(), read_excused(), read_proofs()
    unknown = [(i, where[0]) for i, where in sorted(proofs.items()) if i not in rows]
    unknown += [(i, 'excused.tsv') for i in excused if i not in rows]
    by_issue = {}
    for rid, cells in rows.items():
        state = 'proved' if rid in proofs else 'excused' if rid in excused else 'open'
        by_issue.setdefault(cells['issue'], {'proved': 0, 'excused': 0, 'open': 0})[state] += 1
        if '--open' in sys.argv and state == 'open':
            print(f"{rid}\t{cells['issue']}\t{cells['requirement']}")
    bar = '| ' if '--md' in sys.argv else ''
    sep = ' | ' if bar else '\t'
    print(bar + sep.join(['issue', 'proved', 'excused', 'open']))
    if bar:
        print('|---|---|---|---|')
    for issue, n in sorted(by_issue.items()):
        print(bar + sep.join([issue, str(n['proved']), str(n['excused']), str(n['open'])]))
    for rid, where in unknown:
        print(f'{where}: requirement {rid} does not exist')
    sys.exit(1 if unknown else 0)


if __name__ == '__main__':
    main()
