"""What is said of a metric beside its values."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A metric: its function, and its names for files and people.

    Args:
        key (str): Its name in results and files.
        function (Callable, optional): Takes what the tuple says that the entry lies in;
            None of a metric that another library computes.
        better (str): 'lower', 'higher' or '' where neither is better.
        label (str): Its name for people.
        text (str): What it means, in a sentence.
    """

    key: str
    function: Any
    better: str
    label: str
    text: str

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return {'lower': '↓', 'higher': '↑'}.get(self.better, '')
