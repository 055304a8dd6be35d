#!/usr/bin/env python3
"""Run the tests: rows of tests/list.tsv plus every unit test, two at a time. A failing row's output is shown in full.

A row's cost and limit are seconds of a reference computer; what this one needs for tests/calibrate.c, under the load it has
now, is the measure. A row is a process group of its own and ends as a whole. Exit status 77 skips a row, with the reason
on its last line. What a program says on a line of its own is counted:

  checks: N            assertions that are the same in every run
  random cases: N      drawn ones, each compared with another judge
  proved: ID...        statements of docs/requirements (tools/requirements.py); counted if the row passes
  skipped: WHAT: WHY   a part that this computer cannot run

A row that passes and states neither of the first two fails: it has tested nothing."""
import argparse
import concurrent.futures
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
BUDGET = 720    # reference seconds on two cores; the runner says when the declared costs pass it
REFERENCE = 0.4 # seconds of tests/calibrate.c on the reference computer
SKIP = 77


class Row:
    def __init__(self, name, tier, cost, command):
        self.name, self.tier, self.cost, self.command = name, tier, float(cost), command
        self.word, self.text, self.took, self.reason = '', '', 0.0, ''

    def stated(self, what):
        return [m[1] for m in re.finditer(rf'^{what}: (.*?)\r?$', self.text, re.M)]

    def number(self, what):
        return sum(int(v) for v in self.stated(what) if v.isdigit())


def read_list():
    """name<TAB>tier<TAB>cost<TAB>command; tier: check or long."""
    lines = open(os.path.join(ROOT, 'tests/list.tsv')).read().splitlines()
    return [Row(*line.split('\t')) for line in lines if line and not line.startswith('#')]


def unit_rows(build):
    folder = os.path.join(build, 'tests')
    return [Row('unit/' + n[5:], 'check', 0.5, os.path.join(folder, n)) for n in sorted(os.listdir(folder))
            if n.startswith('test_') and os.access(os.path.join(folder, n), os.X_OK) and not n.endswith('.p')]


class Speed:
    """How many times slower than the reference computer this one is, at the moment of the last look."""

    def __init__(self, build, jobs):
        self.program, self.jobs, self.lock = os.path.join(build, 'tests', 'calibrate'), jobs, threading.Lock()
        self.measure()

    def measure(self):
        with self.lock:
            start = time.time()
            running = [subprocess.Popen([self.program], stdout=subprocess.DEVNULL) for _ in range(self.jobs)]
            for p in running:
                p.wait()
            self.factor = max(0.5, (time.time() - start) / REFERENCE)
        return self.factor


class Runner:
    def __init__(self, build, speed):
        self.speed, self.groups, self.lock, self.stopped = speed, set(), threading.Lock(), False
        self.env = dict(os.environ, BUILD=build, TURNSTILE=os.path.join(build, 'turnstile'))

    def stop(self):
        with self.lock:
            self.stopped = True
            end(self.groups)

    def wait(self, p, row):
        """The exit status; None when the limit has passed at the speed that the computer has then."""
        start, allowed = time.time(), max(120, row.cost * 10)
        while True:
            limit = allowed * self.speed.factor
            try:
                return p.wait(max(0.1, start + limit - time.time()))
            except subprocess.TimeoutExpired:
                if time.time() - start >= allowed * self.speed.measure():
                    row.text += f'\ntimed out after {time.time() - start:.0f} s: its limit is {allowed:.0f} calibrated seconds\n'
                    return None

    def run(self, row):
        start = time.time()
        env = dict(self.env, SLOWNESS=str(int(self.speed.factor * 100) + 1)) # in percent, for limits within the row
        with tempfile.TemporaryFile() as out:
            with self.lock:
                if self.stopped:
                    return row
                p = subprocess.Popen(['bash', '-c', row.command], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, start_new_session=True)
                self.groups.add(p.pid)
            status = self.wait(p, row)
            if status is None or send(p.pid, 0): # whatever the row has left behind, too
                end([p.pid])
            p.wait()
            with self.lock:
                self.groups.discard(p.pid)
            out.seek(0)
            row.text = out.read().decode(errors='replace') + row.text
        row.took = time.time() - start
        row.word = 'passed' if status == 0 else 'skipped' if status == SKIP else 'failed'
        row.text += lost(status)
        if row.word == 'skipped':
            row.reason = (row.text.strip().splitlines() or ['no reason given'])[-1]
        if row.word == 'passed' and not row.number('checks') + row.number('random cases'):
            row.word = 'failed'
            row.text += '\nit says neither `checks: N` nor `random cases: N` (docs/add-a-check.md): what has it tested?\n'
        return row


def send(group, number):
    try:
        os.killpg(group, number)
        return True
    except ProcessLookupError:
        return False


def end(groups):
    """Scripts get a second to take their files away."""
    for group in groups:
        send(group, signal.SIGTERM)
    for _ in range(10):
        if not any([send(group, 0) for group in groups]):
            return
        time.sleep(0.1)
    for group in groups:
        send(group, signal.SIGKILL)


def lost(status):
    """In words, how a row lost its program."""
    if status == 127:
        return '\na program of this row is missing\n'
    if status == 126:
        return '\na program of this row cannot be executed\n'
    number = -status if status and status < 0 else status - 128 if status and 128 < status < 128 + 65 else 0
    try:
        return f'\na program of this row was killed: {signal.Signals(number).name}, {signal.strsignal(number)}\n' if number else ''
    except ValueError:
        return ''


def requirements(rows, build):
    """The row that all the others make: what they proved, against docs/requirements."""
    spec = importlib.util.spec_from_file_location('requirements', os.path.join(ROOT, 'tools/requirements.py'))
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    proofs = {}
    for row in rows:
        for ids in row.stated('proved') if row.word == 'passed' else []:
            for one in ids.split():
                proofs.setdefault(one, row.name)
    tool.write_proofs(os.path.join(build, 'proved.tsv'), proofs)
    row = Row('requirements', 'check', 0, '')
    row.text, wrong = tool.judge(proofs)
    row.word = 'failed' if wrong else 'passed'
    row.text += f'checks: {len(proofs)}\n'
    return row


def show(row):
    reason = ': ' + row.reason if row.reason else ''
    print(f'{row.word:8}{row.name} ({row.took:.1f} s){reason}', flush=True)
    if row.word == 'failed':
        print(row.text, flush=True)


def summary(rows):
    tally = {word: sum(r.word == word for r in rows) for word in ('passed', 'failed', 'skipped')}
    for r in rows:
        for text in r.stated('skipped') if r.word != 'skipped' else []:
            print(f'skipped part of {r.name}: {text}')
        if r.word == 'skipped':
            print(f'skipped {r.name}: {r.reason}')
    counts = '{passed} passed, {failed} failed, {skipped} skipped'.format(**tally)
    checks = sum(r.number('checks') for r in rows if r.word == 'passed')
    cases = sum(r.number('random cases') for r in rows if r.word == 'passed')
    print(f'{len(rows)} rows: {counts}; {checks:,} checks; {cases:,} random cases agree')
    print(counts)
    return tally['failed']


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default='build')
    ap.add_argument('--long', action='store_true', help='the long rows as well')
    ap.add_argument('--jobs', type=int, default=2)
    ap.add_argument('pattern', nargs='*', help='only rows whose name contains one of these')
    a = ap.parse_args()
    build = os.path.abspath(a.build)
    rows = [r for r in unit_rows(build) + read_list() if a.long or r.tier == 'check']
    if a.pattern:
        rows = [r for r in rows if any(p in r.name for p in a.pattern)]
    declared = sum(r.cost for r in rows) / 2
    if declared > BUDGET and not a.long:
        print(f'note: declared costs sum to {declared:.0f} s on two cores, over the budget of {BUDGET} s')
    rows.sort(key=lambda r: -r.cost)
    runner, done = Runner(build, Speed(build, a.jobs)), []
    for number in (signal.SIGINT, signal.SIGTERM): # a shell's background job would ignore the first
        signal.signal(number, interrupted)
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        try:
            for f in concurrent.futures.as_completed([pool.submit(runner.run, r) for r in rows]):
                done.append(f.result())
                show(done[-1])
        except KeyboardInterrupt:
            runner.stop()
            pool.shutdown(cancel_futures=True)
            summary([r for r in done if r.word])
            sys.exit('interrupted: the rows that ran are counted')
    if not a.pattern: # they prove only as much as they are
        done.append(requirements(done, build))
        print(done[-1].text.rstrip() if done[-1].word == 'passed' else '')
        show(done[-1])
    sys.exit(1 if summary(done) else 0)


if __name__ == '__main__':
    main()
