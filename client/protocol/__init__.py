"""The protocol without I/O: what the frames are, and what to do when they come. No socket, database or clock in here.

frames, entries, answers, problems   the shapes of docs/protocol.md, decoded and encoded
inbox                                what arrives: order, doubles, gaps, acknowledgements
late                                 the rule for late messages
outbox                               what leaves: strict order per room, repeats
backoff, closing                     when to try again
"""
