"""Kur: networks described in a YAML file, not programmed."""

__version__ = "0.1.0"
