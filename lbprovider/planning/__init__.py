"""What lbprovider would do, before it does: objects in, what becomes of them out. Pure: no I/O, no clock.

The path of a plan::

    gather(documents, live, options, schemas)    the objects that count, completed as an API server would, and all
                                                 that is wrong with the files
    plan(objects, options, now)                  adopt, let go, decide until nothing changes any more
    Plan.result                                  what ``lbprovider plan -o json`` prints
    manifests(plan, now)                         the objects as they would be, to be read in again
    changes(before, after)                       how it differs from what a live cluster shows

It asks the same code as the controller (``deciding``), so what it says is what the controller does. What only a cluster
knows is assumed in one place (``defaults``, ``docs/plan.md``), and never where the input says it.

Promises: equal input gives equal output, byte by byte. A plan of what a plan wrote is the same plan. No bad pool, and
no bad Service, stops the others; a file that an API server would refuse is said with file, document and field.

Never reads a file or a cluster, never writes an object: that is ``cli``'s.
"""

from lbprovider.planning.changes import changes
from lbprovider.planning.gathering import gather
from lbprovider.planning.manifests import manifests
from lbprovider.planning.objects import Objects, Options
from lbprovider.planning.planning import Plan, before, plan
from lbprovider.planning.result import Change, Problem, Result

__all__ = [
    "Change",
    "Objects",
    "Options",
    "Plan",
    "Problem",
    "Result",
    "before",
    "changes",
    "gather",
    "manifests",
    "plan",
]
