"""What objects of our kinds may not say.

One by itself (``fields``), several together (``together``), and what an API server would say of a manifest
(``manifests``).

The API server's CEL rules, the lab's API server, the controller's webhook and ``lbprovider validate`` say the same
because all of them say what is said here, or are held to it by tests. Pure: no I/O, no clock. Each promises more in its
own module.
"""

from lbprovider.admission.fields import OMITTED, Refusal, refusals

__all__ = ["OMITTED", "Refusal", "refusals"]
