"""A plugin of Kur: a layer, a supplier, a loss and a hook of its own, each in a file."""

__kur__ = "maxout layers, points on spirals, the focal loss, and a table of all epochs"


def setup() -> None:
    """Called by Kur once. Importing the files registers what is in them."""
    from . import focal, maxout, spirals, table

    assert focal and maxout and spirals and table
