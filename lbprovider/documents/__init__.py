"""Manifests in files: YAML or JSON in, one Kubernetes object after the other out, each with the place it came from.

The path of a file::

    read(paths, stdin)                  all documents, or the first that is no object (``reading`` tells of all)
    Document.raw                        the object as it is written, ``kind: List`` taken apart
    carried(raw)                        MetalLB's spelling of a pool or advertisement as ours
    typed(document, resource)           the object as ``api`` knows it
    written(objects)                    objects as a file

Read is what ``kubectl apply`` reads: several documents in a file, anchors and merge keys, directories, standard input.
Two keys of one name are refused, for one of them would be lost in silence.

Promises: whatever is in a file ends in documents or in an ``InvalidDocument`` that names file, document and field.
Nesting, and what aliases multiply to, are bounded. One bad document never hides another. Objects go out in the order in
which they are written.

Opens no file to write, never asks a cluster, and knows no rule of any kind: which values a field may have is
``schema``'s and ``admission``'s.
"""

from lbprovider.documents.decoding import typed, without_nulls
from lbprovider.documents.metallb import carried
from lbprovider.documents.reading import Document, Reading, read, reading
from lbprovider.documents.writing import written

__all__ = ["Document", "Reading", "carried", "read", "reading", "typed", "without_nulls", "written"]
