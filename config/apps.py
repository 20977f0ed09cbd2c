"""The switchboard: what is bound to what when Django starts."""

from importlib import import_module

from django.apps import AppConfig

from kernel import ports


class AssemblyConfig(AppConfig):
    """Registers the system checks and binds the kernel's ports to their implementations."""

    name = "config"
    label = "assembly"
    verbose_name = "Assembly"

    def ready(self) -> None:
        """Called once per process, after all models are there."""
        import_module("config.checks")
        ports.bind_rosters(import_module("chat.rooms"))
        pending = import_module("delivery.pending")
        hints = import_module("delivery.hints")
        ports.bind(mailbox_port=pending.Mailboxes(), hint_port=hints.Hints())
        ports.bind_blocks(import_module("delivery.blocks").Blocks())
        ports.bind_policy(import_module("connections.policy"))
