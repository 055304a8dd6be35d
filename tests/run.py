#!/usr/bin/env python3
"""Run the tests: rows of tests/list.tsv plus every unit test and every guest of tests/guest. Two at a time, each with its own
time limit; ends with `N passed, N failed, N skipped`. A failing test's output is shown in full."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
BUDGET = 600  # seconds of test time on two cores; the runner says when the declared costs pass it


def read_list():
    """name<TAB>tier<TAB>cost<TAB>command; tier: check or long; exit status 77 is a skip with its reason on the last line."""
    rows = []
    for line in open(os.path.join(ROOT, 'tests/list.tsv')):
        line = line.rstrip('\n')
        if line and not line.startswith('#'):
            name, tier, cost, command = line.split('\t')
            rows.append((name, tier, float(cost), command))
    return rows


def unit_rows(build):
    folder = os.path.join(build, 'tests')
    return [('unit/' + n[5:], 'check', 1.0, os.path.join(folder, n)) for n in sorted(os.listdir(folder))
            if n.startswith('test_') and os.access(os.path.join(folder, n), os.X_OK) and not n.endswith('.p')]


def run_row(row, build, env):
    name, _, cost, command = row
    start = time.time()
    try:
        p = subprocess.run(['bash', '-c', command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=max(120, cost * 10))
        status, text = p.returncode, p.stdout.decode(errors='replace')
    except subprocess.TimeoutExpired as e:
        status, text = 124, (e.stdout or b'').decode(errors='replace') + f'\ntimed out after {e.timeout:.0f} s'
    return name, status, text, time.time() - start


def count(text):
    """A program that runs many cases says so in its last `N passed, N failed` line; otherwise it counts as one."""
    found = re.findall(r'^(?:\w+: )?([\d,]+) passed, ([\d,]+) failed', text, re.M)
    if not found:
        tap = len(re.findall(r'^\s*(?:\[       OK \]|ok \d)', text, re.M))
        return max(1, tap)
    return max(1, sum(int(a.replace(',', '')) for a, _ in found))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--build', default='build')
    ap.add_argument('--long', action='store_true', help='the long rows as well')
    ap.add_argument('--jobs', type=int, default=2)
    ap.add_argument('pattern', nargs='*', help='only rows whose name contains one of these')
    a = ap.parse_args()
    build = os.path.abspath(a.build)
    rows = [r for r in unit_rows(build) + read_list() if a.long or r[1] == 'check']
    if a.pattern:
        rows = [r for r in rows if any(p in r[0] for p in a.pattern)]
    declared = sum(r[2] for r in rows) / 2
    if declared > BUDGET and not a.long:
        print(f'note: declared costs sum to {declared:.0f} s on two cores, over the budget of {BUDGET} s')
    env = dict(os.environ, BUILD=build, TURNSTILE=os.path.join(build, 'turnstile'))
    rows.sort(key=lambda r: -r[2])
    tally = {'passed': 0, 'failed': 0, 'skipped': 0}
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        for f in concurrent.futures.as_completed([pool.submit(run_row, r, build, env) for r in rows]):
            name, status, text, took = f.result()
            word = 'passed' if status == 0 else 'skipped' if status == 77 else 'failed'
            tally[word] += count(text) if word == 'passed' else 1
            reason = ': ' + text.strip().splitlines()[-1] if word == 'skipped' and text.strip() else ''
            print(f'{word:8}{name} ({took:.1f} s){reason}', flush=True)
            if word == 'failed':
                print(text, flush=True)
    print('{passed} passed, {failed} failed, {skipped} skipped'.format(**tally))
    sys.exit(1 if tally['failed'] else 0)


if __name__ == '__main__':
    main()
