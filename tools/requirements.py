#!/usr/bin/env python3
"""Which testable statements of the manuals are proved. A statement is proved if a test program named its id when it had
executed the assertions (`proved: ID...`, docs/add-a-check.md) and passed, in the last whole run of tests/run.py.

docs/requirements/excused.tsv holds id<TAB>reason for statements that leave nothing to test; a reason that begins with
`absent: ` is for what no model here has. An id of a finished part that is neither is a failure.

  requirements.py [--build DIR]   the table, and what is wrong
  requirements.py --open          the open ids as well
  requirements.py --md            the table for docs/"""
import argparse
import glob
import os
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
FINISHED = ('2004', 'core', 'secure', 'smm', 'svm', 'vmx')
STATES = ('proved', 'excused', 'open', 'absent')


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
    return dict(line.rstrip('\n').split('\t', 1) for line in open(path, encoding='utf-8') if '\t' in line)


def write_proofs(path, proofs):
    with open(path, 'w') as f:
        f.writelines(f'{one}\t{row}\n' for one, row in sorted(proofs.items()))


def read_proofs(path):
    if not os.path.exists(path):
        sys.exit(f'{path} is missing: tests/run.py without a pattern writes it')
    return dict(line.rstrip('\n').split('\t') for line in open(path))


def state(one, proofs, excused):
    if one in proofs:
        return 'proved'
    if one in excused:
        return 'absent' if excused[one].startswith('absent: ') else 'excused'
    return 'open'


def table(rows, proofs, excused, md=False):
    parts = {}
    for one, cells in rows.items():
        parts.setdefault(cells['part'], dict.fromkeys(STATES, 0))[state(one, proofs, excused)] += 1
    total = {s: sum(n[s] for n in parts.values()) for s in STATES}
    lines = [['part', *STATES]] + [[p, *(str(n[s]) for s in STATES)] for p, n in sorted(parts.items())]
    lines.append([f'all {sum(total.values()):,}', *(str(total[s]) for s in STATES)])
    if md:
        return '\n'.join(['| ' + ' | '.join(lines[0]) + ' |', '|---' * 5 + '|'] + ['| ' + ' | '.join(c) + ' |' for c in lines[1:]]) + '\n'
    return '\n'.join(f'{c[0]:12}' + ''.join(f'{x:>9}' for x in c[1:]) for c in lines) + '\n'


def faults(rows, proofs, excused):
    wrong = [f'{row}: requirement {one} does not exist' for one, row in sorted(proofs.items()) if one not in rows]
    wrong += [f'excused.tsv: requirement {one} does not exist' for one in excused if one not in rows]
    wrong += [f'excused.tsv: {one} is proved by {proofs[one]}' for one in excused if one in proofs]
    wrong += [f"{one} of the finished part {cells['part']} is open: {cells['requirement']}" for one, cells in rows.items()
              if cells['part'] in FINISHED and state(one, proofs, excused) == 'open']
    return wrong


def judge(proofs):
    """For tests/run.py: the table with what is wrong, and whether anything is."""
    rows, excused = read_list(), read_excused()
    wrong = faults(rows, proofs, excused)
    return table(rows, proofs, excused) + ''.join(line + '\n' for line in wrong), bool(wrong)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default='build')
    ap.add_argument('--open', action='store_true')
    ap.add_argument('--md', action='store_true')
    a = ap.parse_args()
    rows, excused, proofs = read_list(), read_excused(), read_proofs(os.path.join(a.build, 'proved.tsv'))
    if a.open:
        for one, cells in rows.items():
            if state(one, proofs, excused) == 'open':
                print(f"{one}\t{cells['part']}\t{cells['requirement']}")
    print(table(rows, proofs, excused, a.md), end='')
    wrong = faults(rows, proofs, excused)
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
