"""Which index each class of a label has. Of two classes, metrics take the last one as the positive one."""

from collections.abc import Collection, Sequence


def in_order(classes: Collection[str], orders: Collection[Sequence[str] | None]) -> list[str]:
    """Classes in index order: that of their labels if these agree, else the alphabetical one.

    Args:
        classes: to put in order.
        orders: the order that each label has; None for a label without one.
    """
    agreed = next(iter(orders), None)
    if agreed is not None and set(agreed) >= set(classes) and all(order == agreed for order in orders):
        return [name for name in agreed if name in classes]
    return sorted(classes)
