"""Picture of the distribution of the perturbation levels."""

import numpy as np

from ..core.levels.perturbation import max_alpha
from .style import new_figure

__all__ = ['alpha_histogram']


def alpha_histogram(
    alpha: np.ndarray, beta: float, bins: int = 40, zoom: bool = False
) -> np.ndarray:
    """Draw a histogram of perturbation levels."""
    figure = new_figure(5, 3, dpi=100)
    axes = figure.add_axes((0.13, 0.17, 0.84, 0.73))
    top = max(float(alpha.max(initial=0.0)) * 1.05, 0.02 * max_alpha(beta))
    span = (float(alpha.min()), float(alpha.max()))
    if not zoom or span[0] == span[1]:
        span = (0.0, top)
    axes.hist(alpha, bins=bins, range=span, color='tab:blue')
    for quantile, style in ((0.05, ':'), (0.5, '-'), (0.95, ':')):
        axes.axvline(np.quantile(alpha, quantile), color='black', lw=1, ls=style)
    axes.set_xlabel('perturbation level of an image')
    axes.set_ylabel('images')
    axes.set_title(
        f'mean {alpha.mean():.4f} (lines: 5, 50 and 95 %), beta {beta:g}', fontsize=9
    )
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
