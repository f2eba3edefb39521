"""The admission webhook: says no to an edit of a pool before it is stored, where the controller could only report it.

It promises:

- Refused is a pool that would overlap another one, and an edit or deletion that would leave the holder of an address
  without a pool that allows it, unless the pool is annotated ``lbprovider.io/force``. An advertisement that names a
  missing pool gets a warning. What is refused and in which words is ``admission.together``'s, as in ``validate``.
- It is never in the way: the API server goes on without it (``failurePolicy: Ignore``, 3 s), and whatever it can't
  check in 2.5 s it lets through, with a warning to whoever made the edit. Nothing that fails in here reaches the
  controller's work; so it only ever saves a mistake, and nothing depends on it (two pools made at the same instant
  pass both, and the controller then refuses the younger one).
- Every replica answers, leading or not, from what the API server says at that moment.
- Its certificate makes and renews itself, in one Secret that all replicas share, and the API server believes old and
  new for as long as either may be shown: no review fails while it is renewed. Secret and configuration are put back
  where somebody took or overwrote them. Without its ValidatingWebhookConfiguration it makes nothing and doesn't listen.

It never writes a pool, never keeps anything of the cluster in memory between two reviews, and shows no traceback.

From the outside in: ``app`` all of it as one task · ``keeping`` Secret, configuration and server in step ·
``certificates`` what follows from their dates (pure) · ``making`` ``handshake`` how they are made, and what they are
worth · ``serving`` HTTPS · ``judging`` a review.
"""
