"""What is made of the figures: markers on a serial line, ratios of rounds that were taken in pairs, and the tables."""
import math
import re
import statistics

MARK = re.compile(r'^(start|end|sum|setup) (\S+)(?: (\S+))?\s*$')


def mark(line):
    """(word, name, value or None) of a line that a job of ours writes, else None: a kernel's lines may fall between."""
    m = MARK.match(line)
    return m.groups() if m else None


class Row:
    """One load: by machine, the seconds of each round; None where there are none."""

    def __init__(self, name, group):
        self.name, self.group, self.rounds, self.notes = name, group, {}, []

    def add(self, machine, seconds):
        self.rounds.setdefault(machine, []).append(seconds)

    def taken(self, machine):
        return [s for s in self.rounds.get(machine, []) if s]

    def least(self, machine):
        return min(self.taken(machine), default=None)

    def median(self, machine):
        taken = self.taken(machine)
        return statistics.median(taken) if taken else None

    def ratios(self, one, other):
        """Of each round in which both were measured."""
        return [a / b for a, b in zip(self.rounds.get(one, []), self.rounds.get(other, [])) if a and b]

    def ratio(self, one, other):
        ratios = self.ratios(one, other)
        return statistics.median(ratios) if ratios else None


def geometric_mean(values):
    values = [v for v in values if v]
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else None


def mean_and_worst(rows, one, other, group):
    """(geometric mean of the group's ratios, how many they are, the row with the worst of all groups or None)."""
    own = [r.ratio(one, other) for r in rows if r.group == group]
    worst = max((r for r in rows if r.ratio(one, other)), key=lambda r: r.ratio(one, other), default=None)
    return geometric_mean(own), sum(v is not None for v in own), worst


def shown(value, form='{:.2f}'):
    return '-' if value is None else form.format(value)


def times(row, machine):
    return f'{shown(row.least(machine), "{:.3f}")}, {shown(row.median(machine), "{:.3f}")}' if row.taken(machine) else '-'


def table(rows, machines, own):
    """A line a load: minimum and median of each machine in seconds, then the medians of the rounds' ratios."""
    others = [m for m in machines if m != own]
    head = ['load'] + [f'{m}: min, median (s)' for m in machines] + [f'{own} / {m}' for m in others]
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for row in rows:
        cells = [row.name] + [times(row, m) for m in machines] + [shown(row.ratio(own, m)) for m in others]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def summary(rows, own, others):
    lines = []
    for other in others:
        mean, count, worst = mean_and_worst(rows, own, other, 'compute')
        if mean:
            lines.append(f'{own} / {other}: geometric mean of {count} compute loads {mean:.2f}; worst of all {worst.name}, '
                         f'{worst.ratio(own, other):.2f}')
    return lines
