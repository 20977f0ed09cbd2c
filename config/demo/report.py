"""The tables at the end of the demo."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from config.demo.ledger import Fault, Ledger, Mailboxes

DEFECTS = ("lost", "doubled")
DISORDER = ("order", "text", "late", "differs", "numbers", "foreign")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _ms(values: Sequence[float]) -> tuple[str, str]:
    if not values:
        return "–", "–"
    return f"{median(values) * 1000:.1f}", f"{percentile(values, 0.99) * 1000:.1f}"


def _mark(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def _table(title: str, *, footer: bool = False) -> Table:
    # Without lines between the columns and padding, so that it fits on a screen of 80.
    return Table(title=title, show_footer=footer, box=box.SIMPLE, padding=0)


def rooms_table(
    ledger: Ledger, mailboxes: Mailboxes, faults: Sequence[Fault], latencies: Mapping[str, Sequence[float]]
) -> Table:
    """One row per room, and their sum."""
    table = _table("Rooms", footer=True)
    total: Counter[str] = Counter()
    rows = []
    for room, record in sorted(ledger.items(), key=lambda item: item[1].name):
        of_room = [fault for fault in faults if fault.room in (room, record.name)]
        devices = sum(len(mailboxes[user]) for user in record.members)
        expected = devices * len(record.lines)
        ids = {line.id for line in record.lines}
        delivered = sum(
            len({entry.id for entry in heard} & ids) for user in record.members for heard in mailboxes[user].values()
        )
        counts = Counter(fault.kind for fault in of_room)
        disorder = sum(counts[kind] for kind in DISORDER)
        total.update(
            members=len(record.members), devices=devices, accepted=len(record.lines), delivered=delivered,
            expected=expected, lost=counts["lost"], doubled=counts["doubled"], disorder=disorder,
        )  # fmt: skip
        rows.append([
            record.name, str(len(record.members)), str(devices), str(len(record.lines)), f"{delivered}/{expected}",
            "[bold red]broken[/]" if disorder else "kept", _mark(counts["lost"]), _mark(counts["doubled"]),
            *_ms(latencies.get(room, ())),
        ])  # fmt: skip
    everything = [value for values in latencies.values() for value in values]
    footer = [
        "all", "", "", str(total["accepted"]), f"{total['delivered']}/{total['expected']}",
        "broken" if total["disorder"] else "kept", str(total["lost"]), str(total["doubled"]), *_ms(everything),
    ]  # fmt: skip
    names = ["room", "users", "devices", "accepted", "delivered", "order", "lost", "doubled", "p50 ms", "p99 ms"]
    for index, (name, foot) in enumerate(zip(names, footer, strict=True)):
        table.add_column(name, footer=foot, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def users_table(
    names: Mapping[str, str], mailboxes: Mailboxes, faults: Sequence[Fault], outages: Mapping[str, Sequence[int]]
) -> Table:
    """One row per user: what each of the devices heard, and how often it was cut off. `names`: user → speaker."""
    table = _table("Users and their devices")
    columns = ["user", "entries", "messages on each", "cut off", "alike", "lost", "doubled"]
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for user, devices in mailboxes.items():
        counts = Counter(fault.kind for fault in faults if fault.user == user)
        newest = max((heard[-1].seq for heard in devices.values() if heard), default=0)
        same = not any(counts[kind] for kind in ("numbers", "differs"))
        table.add_row(
            names[user], f"1–{newest}",
            " ".join(str(sum(1 for entry in heard if entry.id)) for heard in devices.values()),
            " ".join(map(str, outages[user])), "yes" if same else "[bold red]NO[/]",
            _mark(counts["lost"]), _mark(counts["doubled"]),
        )  # fmt: skip
    return table


def print_faults(console: Console, faults: Sequence[Fault], names: Mapping[str, str]) -> None:
    """The first of them, in words."""
    for fault in faults[:20]:
        where = f" in {fault.room}" if fault.room else ""
        console.print(
            f"[red]{fault.kind}[/]: {names.get(fault.user, fault.user)}, device {fault.device}{where}: {fault.detail}"
        )
    if len(faults) > 20:
        console.print(f"… and {len(faults) - 20} more")
