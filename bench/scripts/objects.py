"""Objects, dictionaries, strings, a generator and a recursive function, N times over."""
import sys


class Node:
    def __init__(self, key, left=None, right=None):
        self.key, self.left, self.right = key, left, right

    def insert(self, key):
        side = 'left' if key < self.key else 'right'
        child = getattr(self, side)
        if child is None:
            setattr(self, side, Node(key))
        else:
            child.insert(key)

    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.key
        if self.right:
            yield from self.right.walk()


def numbers(n, seed):
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) % 2147483648
        yield seed >> 8


def one(seed):
    root = Node(1 << 22)
    for k in numbers(200, seed):
        root.insert(k)
    names = {f'k{k % 512}': k for k in root.walk()}
    text = ','.join(sorted(names))
    return sum(v * len(k) for k, v in names.items()) + text.count('1') + sum(x * 0.5 for x in range(300))


total = 0
for n in range(int(sys.argv[1])):
    total = (total * 31 + int(one(n))) % 1000000007
print(total)
