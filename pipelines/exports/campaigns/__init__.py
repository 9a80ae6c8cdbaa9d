"""The five campaign files: each is a pure function of what is known at the end of a day.

Everything counts from the beginning to the end of the day, except the columns of ``link_statistics`` that are of one
day.
"""
