"""`/metrics`: what the web processes and workers of this machine have counted, and what PostgreSQL knows, in one answer.

    kernel.metrics   every metric, once; the apps count
    sharing          each process counts into mapped files; `collect` adds them up, whoever has died since
    backlog          what waits, from PostgreSQL: bounded, kept for seconds, and left out when PostgreSQL is away
    views            who may ask, and the answer

docs/adr/0033 says why it is done this way; docs/operations.md what to do with it.
"""
