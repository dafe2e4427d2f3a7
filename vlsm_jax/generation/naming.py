"""Names under the constraint: objects are called what the prompt calls something, each by another name.

A model that nearly copies a name has not copied it: one piece of it wrong, and the object is another one, in every
connection, too. The grammar cannot say so, as to it a name is a text like others. So literals are followed here that
stand where an object is named (`obj.name = "..."`, `setname(obj, "...")`) or looked for (`Model.find("...")`): the
first have to be of the names that are left, the second of those that were given.

A script may put names together (`"Machine " + i`), or take them from a list: a literal may end where a number is all
that lacks of a name, if a plus comes next, and after a name that is no literal every name may be looked for. Where no
name is left, any may come.

A state is a value: what follows from it leaves it as it is.
"""

from __future__ import annotations

import bisect
import dataclasses
import enum
import re
from collections.abc import Iterable, Iterator

_KEPT = 96  # bytes of code that are looked back at
_GIVES = re.compile(rb"(?:\.name=|\bsetname\([^();]*,)$")
_GAVE = re.compile(_GIVES.pattern[:-1] + rb'""$')
_FINDS = re.compile(rb"\b(?:Model|model\(\))\.find\($")
_BLANKS = b" \t\r\n"
_FOLDER = b"Tools/"  # of what is no object: Model.find("Tools/...")
_QUOTE, _BACKSLASH, _APOSTROPHE, _SLASH, _STAR, _PLUS, _EQUALS, _NEWLINE = b"\"\\'/*+=\n"


class _In(enum.Enum):
    """What the next byte is in."""

    CODE = enum.auto()
    TEXT = enum.auto()
    ESCAPE = enum.auto()  # behind a backslash in a text
    CHARACTER = enum.auto()
    LINE = enum.auto()
    BLOCK = enum.auto()


class _Of(enum.Enum):
    """What a text is."""

    ANYTHING = enum.auto()
    GIVEN = enum.auto()  # the name of an object
    SOUGHT = enum.auto()  # the name of an object that there is


@dataclasses.dataclass(frozen=True, slots=True)
class Naming:
    """How far a script has come, as far as names are concerned.

    Attributes:
      names: what objects may be called, in the order of their bytes.
      given: what was given to one.
      computed: whether one was given that is no literal.
      code: the last of what is outside of texts and comments, without blanks; a text is two quotes there.
      place: what the next byte is in.
      of: what the text that it is in is.
      text: what of that has been written.
      lacking: whether a name has ended that more has to come to.
    """

    names: tuple[bytes, ...]
    given: frozenset[bytes] = frozenset()
    computed: bool = False
    code: bytes = b""
    place: _In = _In.CODE
    of: _Of = _Of.ANYTHING
    text: bytes = b""
    lacking: bool = False

    @classmethod
    def of_names(cls, names: Iterable[str]) -> Naming:
        """Returns the state of an empty script; names that a literal cannot hold as they are do not count."""
        encoded = {name.encode() for name in names if name and not set(name) & set('"\\\n')}
        return cls(tuple(sorted(encoded)))

    def after(self, piece: bytes) -> Naming | None:
        """Returns the state after a piece of the script; None where it may not come."""
        state = self
        for byte in piece:
            following = _STEPS[state.place](state, byte)
            if following is None:
                return None
            state = following
        return state

    @property
    def next_bytes(self) -> frozenset[int] | None:
        """What may come next where a name is being written, or lacks something; None elsewhere."""
        if self.lacking:
            return frozenset((*_BLANKS, _PLUS))
        if self.place is not _In.TEXT or self.of is _Of.ANYTHING:
            return None
        written = len(self.text)
        may = {name[written] for name in self._beginning(self.text) if len(name) > written}
        return frozenset(may | ({_QUOTE} if self._may_end() else set()))

    def _allowed(self, name: bytes) -> bool:
        if self.of is _Of.GIVEN:
            return name not in self.given
        return self.computed or name in self.given

    def _all(self) -> Iterator[bytes]:
        return (name for name in self.names if self._allowed(name))

    def _beginning(self, text: bytes) -> Iterator[bytes]:
        """Yields the names that may be meant and begin so."""
        for at in range(bisect.bisect_left(self.names, text), len(self.names)):
            if not self.names[at].startswith(text):
                break
            if self._allowed(self.names[at]):
                yield self.names[at]
        if self.of is _Of.SOUGHT and _FOLDER.startswith(text):
            yield _FOLDER

    def _may_end(self) -> bool:
        """Whether a text may end here: at a name, or where only its number lacks."""
        return any(name[len(self.text) :].isdigit() or name == self.text for name in self._beginning(self.text))

    def _in_code(self, byte: int) -> Naming | None:
        if byte in _BLANKS:
            return self
        if self.lacking and byte != _PLUS:
            return None
        if byte == _QUOTE:
            of = _Of.ANYTHING
            if _GIVES.search(self.code):
                of = _Of.GIVEN
            elif _FINDS.search(self.code):
                of = _Of.SOUGHT
            state = dataclasses.replace(self, code=self._with(b'""'), place=_In.TEXT, of=of, text=b"")
            if of is _Of.ANYTHING or any(state._all()):
                return state
            # An object that gets a name although none is left may be looked for later.
            return dataclasses.replace(state, of=_Of.ANYTHING, names=() if of is _Of.GIVEN else self.names)
        if byte == _APOSTROPHE:
            return dataclasses.replace(self, place=_In.CHARACTER)
        if byte in (_SLASH, _STAR) and self.code.endswith(b"/"):
            return dataclasses.replace(self, code=self.code[:-1], place=_In.LINE if byte == _SLASH else _In.BLOCK)
        # Of "a.name == b" the first = looks like an assignment, and the second tells that it is none.
        named = (_GAVE if byte == _PLUS else _GIVES).search(self.code)
        computed = self.computed or (named is not None and byte != _EQUALS)
        return dataclasses.replace(self, code=self._with(bytes([byte])), computed=computed, lacking=False)

    def _with(self, more: bytes) -> bytes:
        return (self.code + more)[-_KEPT:]

    def _in_text(self, byte: int) -> Naming | None:
        if byte == _QUOTE:
            if self.of is not _Of.ANYTHING and not self._may_end():
                return None
            lacking = self.of is not _Of.ANYTHING and self.text not in self.names
            given = self.given | {self.text} if self.of is _Of.GIVEN else self.given
            return dataclasses.replace(self, given=given, place=_In.CODE, of=_Of.ANYTHING, text=b"", lacking=lacking)
        if self.of is _Of.ANYTHING:
            return dataclasses.replace(self, place=_In.ESCAPE) if byte == _BACKSLASH else self
        state = dataclasses.replace(self, text=self.text + bytes([byte]))
        if self.of is _Of.SOUGHT and state.text == _FOLDER:
            return dataclasses.replace(state, of=_Of.ANYTHING, text=b"")
        return state if any(state._beginning(state.text)) else None

    def _in_escape(self, byte: int) -> Naming:
        del byte
        return dataclasses.replace(self, place=_In.TEXT)

    def _in_character(self, byte: int) -> Naming:
        return dataclasses.replace(self, place=_In.CODE) if byte == _APOSTROPHE else self

    def _in_line(self, byte: int) -> Naming:
        return dataclasses.replace(self, place=_In.CODE) if byte == _NEWLINE else self

    def _in_block(self, byte: int) -> Naming:
        if byte == _SLASH and self.text == b"*":
            return dataclasses.replace(self, place=_In.CODE, text=b"")
        return dataclasses.replace(self, text=b"*" if byte == _STAR else b"")


_STEPS = {
    _In.CODE: Naming._in_code,
    _In.TEXT: Naming._in_text,
    _In.ESCAPE: Naming._in_escape,
    _In.CHARACTER: Naming._in_character,
    _In.LINE: Naming._in_line,
    _In.BLOCK: Naming._in_block,
}
