"""The Kubernetes objects that we read and write, as frozen values; no I/O.

Only the fields that we use are decoded (a Service has hundreds), so a stream of thousands costs little. What is not
decoded is never written back: writes are creations of our own kinds, compare-and-swap replacements of our own kinds,
and patches of single fields.

``names`` holds every name that users type or read (group, annotations, finalizers, labels); ``meta`` what all objects
share; ``core`` Kubernetes' own kinds; ``managed`` who wrote a Service's fields; ``pool``, ``segment`` and
``allocation`` ours.
"""
