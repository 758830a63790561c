"""Queries: a text in the query language -> a tree -> what is to be searched for, and its answer.

`read` makes a tree of a text, `scopes` says which tracks each phrase of it is to be searched in,
and `answers` puts together what was heard. Nothing here knows how anything sounds or where
recordings are kept.
"""

from earshot.query.checks import said
from earshot.query.combining import Answer, alone, answers, ordered
from earshot.query.filters import plain_date
from earshot.query.reading import read, read_filters
from earshot.query.scopes import Place, all_of, holds, named, narrowed, scopes
from earshot.query.tokens import refusal
from earshot.query.tree import FILTERS, And, Choice, Filter, Near, Node, Not, Or, Phrase, nodes

__all__ = [
    "FILTERS",
    "And",
    "Answer",
    "Choice",
    "Filter",
    "Near",
    "Node",
    "Not",
    "Or",
    "Phrase",
    "Place",
    "all_of",
    "alone",
    "answers",
    "holds",
    "named",
    "narrowed",
    "nodes",
    "ordered",
    "plain_date",
    "read",
    "read_filters",
    "refusal",
    "said",
    "scopes",
]
