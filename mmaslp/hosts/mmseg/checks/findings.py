"""The findings of a check of an environment, of a config or of a runner."""

from dataclasses import dataclass

__all__ = ['LEVELS', 'Finding']

LEVELS = ('error', 'warning', 'note', 'ok')


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        level (str): 'error' (will not work, or measures something else), 'warning',
            'note' (good to know) or 'ok'.
        message (str): What was found.
        remedy (str): The command to run or the config line to change, or ''.
    """

    level: str
    message: str
    remedy: str = ''

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f'level must be one of {LEVELS}, not {self.level!r}')

    def __str__(self) -> str:
        lines = [f'{self.level + ":":9}{self.message}']
        return '\n'.join(lines + [f'{"":9}-> {x}' for x in self.remedy.splitlines()])

    def exception(self) -> ValueError:
        """Return an exception with the same text on one line."""
        remedy = '; '.join(self.remedy.splitlines())
        return ValueError(f'{self.message} -> {remedy}' if remedy else self.message)
