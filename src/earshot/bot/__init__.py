"""Sentences about a library, and answers to them; no language model has a part in it.

    dates      words about time -> a stretch of days
    grammar    a sentence -> what is wanted
    session    what was wanted and shown before, in a file
    answering  what is wanted, of a library -> an answer
    assistant  the same, and the library, as tools of the Model Context Protocol

What is said in the recordings is found by sound, as everywhere; only the sentence is read here.
"""
