"""A Merkle tree over an append-only list: RFC 6962, section 2.1, and the proofs of RFC 9162, section 2.1.

Leaves count from 0. A node is named by its level and its place on that level: node ``(0, i)`` is leaf ``i``, and
``(level, place)`` covers the leaves from ``place << level`` on, ``1 << level`` of them. A proof is made of ranges, each
of which a few nodes cover: whoever keeps the nodes need not keep the leaves at hand.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

Node = tuple[int, int]
"""Level and place."""
Range = tuple[int, int]
"""The first leaf, and the one after the last."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""
SIZE = 32
"""Bytes of a hash."""


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others. Its prefix keeps a node from passing for a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows: the full subtrees at its right edge, and no more."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[bytes] = []
        """The roots of full subtrees, the largest first: one for each bit of ``size`` that is set."""

    def append(self, leaf: bytes) -> bytes:
        """Add a leaf; return its hash and, behind it, those of the nodes that it completes, from low to high."""
        completed, place = [leaf], self.size
        while place & 1:
            completed.append(node_hash(self._full.pop(), completed[-1]))
            place >>= 1
        self._full.append(completed[-1])
        self.size += 1
        return b"".join(completed)

    def root(self) -> bytes:
        """Return the root."""
        return _fold(self._full)


def completing(node: Node) -> int:
    """Return the leaf that completes ``node``: with it, its hash is known."""
    level, place = node
    return ((place + 1) << level) - 1


def cover(span: Range) -> tuple[Node, ...]:
    """Return the fewest nodes that cover ``span``, from left to right. It begins where a subtree of its length may."""
    return tuple(_cover(*span))


def range_hash(span: Range, known: Mapping[Node, bytes]) -> bytes:
    """Return the hash of ``span``, from the hashes of the nodes that `cover` names."""
    return _fold([known[node] for node in cover(span)])


def inclusion(leaf: int, size: int) -> tuple[Range, ...]:
    """Return the ranges whose hashes prove that ``leaf`` is in a tree of ``size`` leaves, the nearest first."""
    return tuple(_path(leaf, (0, size)))


def consistency(old: int, new: int) -> tuple[Range, ...]:
    """Return the ranges whose hashes prove that a tree of ``new`` leaves only added to one of ``old``."""
    return tuple(_growth(old, (0, new), True)) if 0 < old < new else ()


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that ``proof`` leads to; None where it has the wrong length (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    first, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if first & 1 or first == last:
            found = node_hash(sibling, found)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        first, last = first >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether ``proof`` shows that the new tree begins with the old one (RFC 9162, 2.1.4.2)."""
    if old == new or old == 0:
        return old <= new and not proof and (old_root == new_root if old == new else old_root == EMPTY)
    if old > new or not proof:
        return False
    hashes = list(proof) if old & (old - 1) else [old_root, *proof]
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    roots = _climb(hashes, first, last)
    return roots == (old_root, new_root)


def _climb(hashes: list[bytes], first: int, last: int) -> tuple[bytes, bytes] | None:
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if first & 1 or first == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        first, last = first >> 1, last >> 1
    return (before, after) if last == 0 else None


def _fold(subtrees: Sequence[bytes]) -> bytes:
    """Return the hash over ``subtrees``, the largest first: each lies left of all that follow."""
    if not subtrees:
        return EMPTY
    found = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        found = node_hash(left, found)
    return found


def _cover(begin: int, end: int) -> Iterator[Node]:
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def _split(span: Range) -> int:
    """Return where the left subtree of ``span`` ends: after the largest power of two that is smaller than its length."""
    begin, end = span
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def _path(leaf: int, span: Range) -> Iterator[Range]:
    begin, end = span
    if end - begin == 1:
        return
    middle = _split(span)
    left, right = (begin, middle), (middle, end)
    inside, beside = (left, right) if leaf < middle else (right, left)
    yield from _path(leaf, inside)
    yield beside


def _growth(old: int, span: Range, whole: bool) -> Iterator[Range]:
    """``whole``: the old tree is all of what was looked at so far, and its hash is known to whoever asks."""
    begin, end = span
    if old == end:
        if not whole:
            yield span
        return
    middle = _split(span)
    if old <= middle:
        yield from _growth(old, (begin, middle), whole)
        yield middle, end
    else:
        yield from _growth(old, (middle, end), False)
        yield begin, middle
