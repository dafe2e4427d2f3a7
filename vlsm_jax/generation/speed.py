"""How fast scripts were written."""

from __future__ import annotations

from typing import NamedTuple


class Speed(NamedTuple):
    """Figures of one or several generations; they add up.

    Attributes:
      tokens: written in all rows that were asked for, ends of text included.
      seconds: wall time, from prompts on the devices to the last token; compilation is not in it.
      first_token_seconds: from prompts on the devices to the first token of every row, summed over generations.
      generations: how many.
      drafted, taken: tokens that were drafted, and those of them that came to stand in a script.
      compile_seconds: what was spent on compilation.
    """

    tokens: int = 0
    seconds: float = 0.0
    first_token_seconds: float = 0.0
    generations: int = 0
    drafted: int = 0
    taken: int = 0
    compile_seconds: float = 0.0

    def plus(self, other: Speed) -> Speed:
        """Returns the figures of both."""
        return Speed(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def tokens_per_second(self) -> float:
        """Tokens written by wall time; 0 where nothing was."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def acceptance(self) -> float | None:
        """Share of drafted tokens that were taken; None without drafts."""
        return self.taken / self.drafted if self.drafted else None

    @property
    def time_to_first_token(self) -> float:
        """Seconds, mean over generations."""
        return self.first_token_seconds / self.generations if self.generations else 0.0

    def __str__(self) -> str:
        drafts = "" if self.acceptance is None else f", {self.acceptance:.0%} of {self.drafted:,} drafted tokens taken"
        return f"{self.tokens_per_second:,.0f} tokens/s, first token after {self.time_to_first_token:.2f} s{drafts}"

    def to_dict(self) -> dict[str, float | int | None]:
        """Returns what a program may read."""
        return {
            "tokens": self.tokens,
            "seconds": round(self.seconds, 4),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "time_to_first_token": round(self.time_to_first_token, 4),
            "compile_seconds": round(self.compile_seconds, 2),
            "acceptance": None if self.acceptance is None else round(self.acceptance, 4),
        }
