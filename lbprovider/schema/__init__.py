"""What an object may look like, by its kind's schema: what an API server would say before any rule of the kind.

The path of an object::

    read_metadata(metadata)        what every kind has; ``metadata.causes`` what is wrong with it
    Schema(openapi)                of a CustomResourceDefinition, read once
        .prune(object)             without the fields that it doesn't know, and their paths
        .default(object)           with its defaults
        .causes(object, old)       what is wrong, field by field, in the words of a kube-apiserver

Promises: ``tests/contract`` holds every sentence and result to a real kube-apiserver's. Objects go in and out as plain
JSON values and are never changed. Whatever an object holds it is answered, never raised at. Pure: no I/O, no clock.

Knows no kind of ours: their rules beyond the schema are ``admission``'s.
"""

from lbprovider.schema.causes import Cause
from lbprovider.schema.schema import Schema
from lbprovider.schema.shapes import TypeMismatch, read_metadata
from lbprovider.schema.validation import UNCHECKED

__all__ = ["UNCHECKED", "Cause", "Schema", "TypeMismatch", "read_metadata"]
