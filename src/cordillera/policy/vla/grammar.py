"""Text grammars -> the token ids that may come next: constrained decoding, independent of the model.

A grammar is an automaton over tokens. Where only one token may come, the decoder appends it without asking the
model, and feeds such forced tokens together with the next free one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class Grammar(Protocol):
    """An automaton: a start state, the tokens that a state allows (none: the text is complete), and the step."""

    def start(self) -> Any: ...

    def allowed(self, state: Any) -> Sequence[int]: ...

    def advance(self, state: Any, token: int) -> Any: ...


KNOWN = 4096  # states that a text grammar keeps


@dataclass(eq=False)
class _Node:
    children: dict[int, _Node] = field(default_factory=dict)


class TokenTrie:
    """A finite language: one of the given token sequences. No sequence may be a proper beginning of another."""

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        self.root = _Node()
        for sequence in sequences:
            node = self.root
            for token in sequence:
                node = node.children.setdefault(token, _Node())
            if node.children:
                raise ValueError(f"sequence {list(sequence)} is the beginning of another; give both the same ending")

    def start(self) -> _Node:
        return self.root

    def allowed(self, state: _Node) -> Sequence[int]:
        return tuple(state.children)

    def advance(self, state: _Node, token: int) -> _Node:
        return state.children[token]


@dataclass(frozen=True)
class _Progress:
    text: str  # completed pieces
    node: _Node  # within the tokens of the next piece
    pieces: tuple[tuple[_Node, str], ...]  # leaf of each possible piece, and what it adds


class TextGrammar:
    """A language by its continuations: `following(text)` lists the pieces that may come after `text`, "" for its end.

    Pieces are tokenised one by one. After the end come `closing` tokens, for example <|cot_end|> and
    <|traj_future_start|>, and nothing more.
    """

    def __init__(
        self, following: Callable[[str], Iterable[str]], encode: Callable[[str], list[int]], closing: Sequence[int]
    ) -> None:
        self.following, self.encode, self.closing = following, encode, tuple(closing)
        self.known: OrderedDict[str, _Progress] = OrderedDict()  # the latest states: words repeat

    def _at(self, text: str) -> _Progress:
        found = self.known.get(text)
        if found is None:
            found = self.known[text] = self._worked_out(text)
            if len(self.known) > KNOWN:
                self.known.popitem(last=False)
        return found

    def _worked_out(self, text: str) -> _Progress:
        root, leaves = _Node(), []
        for piece in self.following(text):
            node = root
            for token in self.encode(piece) if piece else self.closing:
                node = node.children.setdefault(token, _Node())
            leaves.append((node, piece))
        for leaf, piece in leaves:
            if leaf.children:
                raise ValueError(f"after {text!r}: the tokens of {piece!r} begin another piece; split the longer one")
        return _Progress(text, root, tuple(leaves))

    def start(self) -> _Progress:
        return self._at("")

    def allowed(self, state: _Progress) -> Sequence[int]:
        return tuple(state.node.children)

    def advance(self, state: _Progress, token: int) -> _Progress:
        node = state.node.children[token]
        piece = next((piece for leaf, piece in state.pieces if leaf is node), None)
        if piece:
            return self._at(state.text + piece)
        return _Progress(state.text, node, state.pieces)


def one_of(texts: Iterable[str], encode: Callable[[str], list[int]], closing: Sequence[int]) -> TokenTrie:
    """Whole texts -> the grammar that allows exactly these, each followed by the closing tokens."""
    return TokenTrie([*encode(text), *closing] for text in texts)


def forced(grammar: Grammar, state: Any) -> tuple[list[int], Any]:
    """A state -> the tokens that must come now, one after the other, and the state after them."""
    tokens: list[int] = []
    choice = grammar.allowed(state)
    while len(choice) == 1:
        tokens.append(choice[0])
        state = grammar.advance(state, choice[0])
        choice = grammar.allowed(state)
    return tokens, state
