"""The Merkle tree: known roots, and the laws of its proofs."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.merkle import (
    EMPTY,
    SIZE,
    Frontier,
    completing,
    consistency,
    cover,
    inclusion,
    is_consistent,
    leaf_hash,
    node_hash,
    range_hash,
    root_of_inclusion,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
"""The leaves with which Certificate Transparency's logs have been tested since RFC 6962."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Their roots, for the first leaf, the first two, and so on."""

SIZES = st.integers(1, 70)


def plain_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, 2.1, word by word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(plain_root(leaves[:half]), plain_root(leaves[half:]))


class Tree:
    """A tree with every node kept, as the database keeps it."""

    def __init__(self, size: int) -> None:
        self.leaves = [f"entry {n}".encode() for n in range(size)]
        frontier = Frontier()
        self.kept = [frontier.append(leaf_hash(leaf)) for leaf in self.leaves]
        self.root = frontier.root()

    def hashes(self, spans: tuple[tuple[int, int], ...]) -> list[bytes]:
        nodes = {node for span in spans for node in cover(span)}
        known = {node: self.kept[completing(node)][node[0] * SIZE :][:SIZE] for node in nodes}
        return [range_hash(span, known) for span in spans]


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    """Of eight leaves, whose roots every log of the field computes alike."""
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf_hash(bytes.fromhex(leaf)))
    assert frontier.root().hex() == ROOTS[size - 1]


def test_a_known_proof_of_inclusion() -> None:
    """The first leaf of eight, with the proof that RFC 6962's tests have."""
    proof = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    found = root_of_inclusion(leaf_hash(b""), 0, 8, [bytes.fromhex(text) for text in proof])
    assert found is not None and found.hex() == ROOTS[7]


def test_a_known_proof_of_consistency() -> None:
    """From six leaves to eight, with the proof that RFC 6962's tests have."""
    proof = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    hashes = [bytes.fromhex(text) for text in proof]
    assert is_consistent(6, bytes.fromhex(ROOTS[5]), 8, bytes.fromhex(ROOTS[7]), hashes)


@given(st.integers(0, 70))
def test_the_frontier_has_the_root_of_the_definition(size: int) -> None:
    """For every number of leaves, none included."""
    tree = Tree(size)
    assert tree.root == plain_root(tree.leaves)
    assert size or tree.root == EMPTY


@given(SIZES, st.data())
def test_every_leaf_can_be_proved(size: int, data: st.DataObject) -> None:
    """And the same proof leads elsewhere for another leaf, another place, another size, or with a hash changed."""
    tree = Tree(size)
    index = data.draw(st.integers(0, size - 1))
    proof, leaf = tree.hashes(inclusion(index, size)), leaf_hash(tree.leaves[index])
    assert root_of_inclusion(leaf, index, size, proof) == tree.root
    assert root_of_inclusion(leaf_hash(b"another"), index, size, proof) != tree.root
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index)) if size > 1 else size
    assert root_of_inclusion(leaf, other, size, proof) != tree.root
    assert root_of_inclusion(leaf, index, size, [*proof, leaf]) != tree.root
    if proof:
        assert root_of_inclusion(leaf, index, size, proof[:-1]) != tree.root
        spot = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:spot], leaf_hash(b"forged"), *proof[spot + 1 :]]
        assert root_of_inclusion(leaf, index, size, changed) != tree.root


@given(SIZES, st.data())
def test_growth_can_be_proved(size: int, data: st.DataObject) -> None:
    """From any smaller size; and nothing is proved of a tree that was another one."""
    old = data.draw(st.integers(0, size))
    before, after = Tree(old), Tree(size)
    proof = after.hashes(consistency(old, size))
    assert is_consistent(old, before.root, size, after.root, proof)
    if old > 0:
        assert not is_consistent(old, leaf_hash(b"another"), size, after.root, proof)
    if 0 < old < size:
        assert not is_consistent(old, before.root, size, leaf_hash(b"another"), proof)
        assert not is_consistent(old, before.root, size, after.root, [*proof, before.root])
        assert not is_consistent(old, before.root, size, after.root, proof[:-1])


@given(st.integers(0, 200), st.integers(0, 8))
def test_a_cover_is_exact_and_short(place: int, level: int) -> None:
    """It covers each leaf of its span once, by at most one subtree of each height."""
    begin = place << level
    for end in range(begin, begin + (1 << level) + 1):
        nodes = cover((begin, end))
        leaves = [leaf for at, where in nodes for leaf in range(where << at, (where + 1) << at)]
        assert leaves == list(range(begin, end))
        assert len({at for at, _ in nodes}) == len(nodes)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    """The two kinds of hashes differ in their first byte."""
    assert leaf_hash(bytes(64)) != node_hash(bytes(32), bytes(32))
