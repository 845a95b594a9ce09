"""The paper's rule MC on its own, without the package."""


def implicit_mc(alpha, margin, accuracy, beta=2.0, eta=0.002, lam=2000.0):
    """Level a' of one image after a step, as the root of its implicit equation.

    a' = alpha + eta (beta / 2 margin + lam min(0, 1 - beta / 2 a' - accuracy)), found
    by halving an interval: the right side falls with a', the left side rises.
    """

    def excess(level):
        penalty = min(0.0, 1.0 - beta / 2 * level - accuracy)
        return level - alpha - eta * (beta / 2 * margin + lam * penalty)

    low, high = -1e6, 1e6
    for _ in range(120):
        middle = (low + high) / 2
        if excess(middle) > 0:
            high = middle
        else:
            low = middle
    return min(max(low, 0.0), min(1.0, 1.0 / beta - 0.01))
