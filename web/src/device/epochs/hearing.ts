/** What entries mean for the keys: what they outdate, and what is to be asked for before they are stored. */

import { decodeDevices } from "../../protocol/answers";
import type { EpochEntry, KeysEntry, RoomEntry } from "../../protocol/entries";
import type { DeviceId, RoomId } from "../../protocol/ids";
import * as store from "../../store/epochs";
import { addNotice } from "../../store/notices";
import type { Directory } from "../keys/directory";
import type { Parts } from "../keys/parts";
import { tolerantly } from "../keys/refusing";
import type { KeyEntry, SealedMessage } from "../ports";
import { type Fetcher, placeOf } from "./fetching";
import { leavers, type Shares } from "./sharing";

type Heard = EpochEntry | KeysEntry | RoomEntry;

export class Hearing {
  constructor(
    private readonly parts: Parts,
    private readonly others: Directory,
    private readonly fetcher: Fetcher,
    private readonly shares: Shares,
  ) {}

  /** What these messages need. Rejected with what may go later. */
  async forMessages(messages: readonly SealedMessage[]): Promise<void> {
    if (messages.length === 0) return;
    await this.fetcher.restore();
    const wanted = unique(messages.map(({ room, epoch }) => [room, epoch] as const));
    await this.fetcher.epochs(wanted);
    const makers = await this.makers(wanted);
    const senders = messages.map(({ sender, device }) => [sender, device] as const);
    await this.fetcher.devices(
      [...senders, ...makers],
      wanted.map(([room]) => room),
    );
  }

  /** Entries of kind `epoch`, `keys` and `room`. Rejected with what may go later. */
  async entries(entries: readonly KeyEntry[]): Promise<void> {
    const heard = entries as readonly unknown[] as readonly Heard[];
    const rooms = heard.filter((entry) => entry.kind === "room");
    // Whoever is gone must not read on: what this device knows already holds, whether the server can be asked or not.
    for (const entry of rooms) await this.outdateFor(entry);
    if (heard.length > 0) await this.fetcher.restore();
    await this.keys(heard.filter((entry) => entry.kind === "keys"));
    await this.epochs(heard.filter((entry) => entry.kind === "epoch"));
    for (const entry of rooms) {
      await this.outdateFor(entry);
      if (entry.change === "added") await this.shares.joined(entry);
    }
  }

  private async keys(entries: readonly KeysEntry[]): Promise<void> {
    const rekeyed = new Set(entries.filter(({ change }) => change !== "vault_read").map(({ user }) => user));
    if (rekeyed.size > 0) await tolerantly(this.others.get([...rekeyed], true));
    const me = await this.parts.session.identity();
    for (const { change, user, device, seq } of entries) {
      if (change === "vault_read" && user === me.user && device !== me.device) await this.tellVault(seq, device);
    }
  }

  /** Somebody who knows the password has signed in there. */
  private async tellVault(seq: number, device: DeviceId | null): Promise<void> {
    const { db, bus, session } = this.parts;
    const devices = (await tolerantly((async () => decodeDevices(await session.request("GET", "devices")))())) ?? [];
    const deviceName = devices.find(({ id }) => id === device)?.name ?? null;
    await addNotice(db, { kind: "vault-opened", id: `vault-${seq}`, device, deviceName });
    bus.tell({ type: "notices" });
  }

  private async epochs(entries: readonly EpochEntry[]): Promise<void> {
    const { db } = this.parts;
    // Of those that are here a new device has read the keys: hundreds of rooms' lists come when somebody writes there.
    const news = new Map<RoomId, number>();
    for (const { room, epoch } of entries)
      if ((await store.findEpoch(db, room, epoch)) === undefined) news.set(room, epoch);
    const wanted = unique(entries.map(({ room, epoch }) => [room, epoch] as const));
    const announced = new Map(entries.map(({ room, epoch, hash }) => [placeOf(room, epoch), hash]));
    await this.fetcher.epochs(wanted, announced);
    for (const { room, epoch, seq } of entries) await store.keepSeq(db, room, epoch, seq);
    await this.fetcher.devices(
      await this.makers(wanted),
      wanted.map(([room]) => room),
    );
    for (const [room, epoch] of news) await this.fetcher.roster(room, epoch);
  }

  private async makers(wanted: readonly store.At[]) {
    const rows = await Promise.all(wanted.map(([room, epoch]) => store.findEpoch(this.parts.db, room, epoch)));
    return rows.flatMap((row) => (row === undefined ? [] : [[row.creator, row.device] as const]));
  }

  /** Whoever is gone must not read on, even if a server kept the epoch for them. */
  private async outdateFor(entry: RoomEntry): Promise<void> {
    const gone = new Set(leavers(entry));
    if (gone.size === 0) return;
    const { db } = this.parts;
    const [newest, roster] = await Promise.all([store.newestEpoch(db, entry.room), store.findRoster(db, entry.room)]);
    if (newest === null) return;
    // Whose list is not here (a new device has read keys alone) may be theirs: at worst there is one epoch more.
    const isTheirs = roster?.epoch !== newest.epoch || roster.lines.some(([user]) => gone.has(user));
    if (isTheirs) await store.outdate(db, entry.room, newest.epoch);
  }
}

function unique(places: readonly store.At[]): readonly store.At[] {
  return [...new Map(places.map((at) => [placeOf(...at), at])).values()];
}
