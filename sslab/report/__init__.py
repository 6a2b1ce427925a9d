"""From a person's own data to one page: what to try, what came out of it, and how sure that is.

    data = sslab.load("folder:PATH")
    report.suggest(data)                                     # which objective, and why
    found = report.examine(lab.objective, data)              # diagnosis, controls, neighbours
    report.write(found, "report.html", lab.history, report.settings(lab))

The page is one file: nothing is fetched when it is opened. Printed from a browser it takes one or two pages of A4.
"""

from sslab.report.examination import Examination, Table, examine, found_again, near_copies, share_interval
from sslab.report.page import settings, write
from sslab.report.suggestion import Suggestion, suggest

__all__ = ["Examination", "Suggestion", "Table", "examine", "found_again", "near_copies", "settings", "share_interval", "suggest",
           "write"]
