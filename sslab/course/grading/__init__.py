"""Grading: what a submitted function does on inputs that nobody could foresee. docs/grading.md tells it all.

    exercises.py   what there is to mark, read from the lessons' sources
    extract.py     one function out of a submitted notebook
    sandbox.py     runs it in a process of its own, runner.py, and looks to a check like any function
    draws.py       inputs for a check
    marks.py       points and feedback
    steps.py, folder.py   nbgrader: release, autograde, gradebook, feedback
    confusion.py   every planted answer, and the feedback that it got
"""
