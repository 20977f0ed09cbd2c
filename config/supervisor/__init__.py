"""What `manage.py up` starts and watches.

    system.System ── watch.Watch, a thread: starts the parts, notices deaths, starts again after a pause
      ├── postgres.Postgres ─┐ data and binaries in a `place.Place`: as root they belong to an unprivileged user
      ├── valkey.Valkey ─────┘
      ├── web-1 … web-N         `manage.py web`, each a host on a port of its own
      ├── worker-1 … worker-M   `manage.py worker`
      └── beat                  `celery beat`

Every child is a `processes.Child`, started through `launch.py`: in a session of its own, so that Ctrl-C in the terminal
reaches only us, and tied to our life by the kernel. The tests run the same code on temporary folders.
"""
