#!/usr/bin/env python3
"""Reads a file of Chrome trace events as a stranger would, by the text of "Trace Event Format", and says what is wrong with it. With
the JSON of --stats of the same run, the slices must add up to what was counted.

  trace_format.py TRACE.json [STATS.json]"""
import collections
import json
import sys

checks = 0


def must(true, *what):
    global checks
    checks += 1
    if not true:
        print('FAIL:', *what)
        sys.exit(1)


def number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def read(path):
    events = json.load(open(path))
    must(isinstance(events, list) and events, 'not an array')
    return events


def shape(e):
    must(isinstance(e, dict) and isinstance(e.get('name'), str) and e['name'], e)
    must(e.get('ph') in ('B', 'E', 'X', 'i', 'M'), 'phase', e)
    must(isinstance(e.get('pid'), int), 'pid', e)
    must('args' not in e or isinstance(e['args'], dict), 'args', e)
    if e['ph'] == 'M':
        must(e['name'] in ('process_name', 'thread_name', 'thread_sort_index'), 'metadata', e)
        must('name' in e['args'] or 'sort_index' in e['args'], 'metadata', e)
        return
    must(isinstance(e.get('tid'), int) and number(e.get('ts')) and e['ts'] >= 0, 'tid and ts', e)
    must(e['ph'] != 'X' or (number(e.get('dur')) and e['dur'] >= 0), 'dur', e)
    must(e['ph'] != 'i' or e.get('s') in ('g', 'p', 't'), 'scope', e)
    must('0x' not in e['name'] or len(e['name'].split('0x')[1]) <= 2, 'an address in a name', e) # vectors may be


def tracks(events):
    """Time goes on, slices nest, tracks have names. Returns [(track, begin, end)]."""
    last, open_, named, processes, slices = {}, collections.defaultdict(list), set(), set(), []
    for e in events:
        if e['ph'] == 'M':
            if e['name'] == 'process_name':
                processes.add(e['pid'])
            elif e['name'] == 'thread_name':
                named.add((e['pid'], e['tid']))
            continue
        track = e['pid'], e['tid']
        must(track in named and e['pid'] in processes, 'a track without a name', e)
        must(e['ts'] >= last.get(track, 0), 'time goes back', e)
        last[track] = e['ts']
        if e['ph'] == 'B':
            open_[track].append(e)
        elif e['ph'] == 'E':
            must(open_[track] and open_[track][-1]['name'] == e['name'], 'an end without a beginning', e)
            slices.append((track, open_[track].pop(), e))
    must(not any(open_.values()), 'slices without an end')
    return slices


def adds_up(slices, stats):
    count, insns, guests = collections.Counter(), collections.Counter(), collections.Counter()
    for (pid, tid), b, e in slices:
        if pid == 1:
            count[b['name']] += 1
            if 'exit' not in e['args']: # the run did not end in it
                insns[b['name']] += e['args'].get('insns', 0)
        elif b['name'] == 'run':
            guests[b['args']['guest']] += 1
        else:
            count[b['name']] += 1
    for x in stats['exits']:
        must(count[x['name']] == x['count'], x, count[x['name']])
        must(insns[x['name']] == x['instructions'], x, insns[x['name']])
    must(count['guest'] == stats['entries'], 'entries', count['guest'])
    for g in stats['guests']:
        must(guests[g['guest']] == g['entries'], g, guests)
    must(sum(x['count'] for x in stats['exits']) == sum(x['count'] for g in stats['guests'] for x in g['exits']), 'guests')
    for name, n in stats['exceptions'].items():
        must(count[name] == n, name, n, count[name])
    must(sum(n for name, n in count.items() if name.startswith('interrupt ')) == stats['interrupts'], 'interrupts')
    must(count['SMM'] == stats['smis'], 'SMIs', stats['smis'])


def main():
    events = read(sys.argv[1])
    for e in events:
        shape(e)
    slices = tracks(events)
    if len(sys.argv) > 2:
        adds_up(slices, json.load(open(sys.argv[2])))
    print(f'{sys.argv[1]}: {len(events)} events, {len(slices)} slices')
    print(f'checks: {checks}')


main()
