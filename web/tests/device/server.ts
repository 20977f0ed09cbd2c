/**
 * A server in a few lines, over real HTTP and real sockets on loopback: it follows docs/protocol.md as far as the device's tests
 * need it, and can be told to misbehave. The real one is spoken to by the end-to-end tests.
 */

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

import type { DeviceId, MessageId, RoomId, UserId } from "../../src/protocol/ids";
import * as shapes from "../shapes";

// biome-ignore lint/suspicious/noExplicitAny: what is on the wire has any shape
export type Wire = any;

interface Who {
  readonly user: UserId;
  readonly username: string;
  readonly device: DeviceId;
}

interface Answer {
  readonly status: number;
  readonly body: Wire;
}

interface Peer {
  readonly who: Who;
  readonly socket: WebSocket;
  sent: number;
}

export interface FakeRoom {
  id: RoomId;
  kind: "direct" | "group";
  members_version: number;
  epoch: number;
  history: "joined" | "all";
  created_at: number;
  members: { user: UserId; username: string; role: string; joined_at: number }[];
  muted: boolean;
}

export class Server {
  readonly requests: string[] = [];
  readonly frames: Wire[] = [];
  readonly mailboxes = new Map<UserId, Wire[]>();
  readonly cursors = new Map<DeviceId, number>();
  readonly rooms = new Map<RoomId, FakeRoom>();
  readonly books = new Map<UserId, { version: number; connections: Map<UserId, Wire> }>();
  readonly receipts = new Map<RoomId, Wire[]>();
  readonly stored = new Map<MessageId, Wire>();
  /** Answers in the place of ours: a problem, or undefined for none, at once or after a while. */
  refuse: (message: Wire) => Wire | undefined = () => undefined;
  answer: (method: string, path: string, body: Wire) => Answer | undefined | Promise<undefined> = () => undefined;
  /** Whether sends are answered at all, and entries pushed. */
  answers = true;
  pushes = true;
  window = 512;
  private readonly tokens = new Map<string, Who>();
  private readonly names = new Map<string, UserId>();
  private readonly peers = new Set<Peer>();
  private number = 0x100;
  private shared: Server = this;
  private readonly http: HttpServer;
  private readonly sockets: WebSocketServer;

  private constructor() {
    this.http = createServer((request, response) => void this.serve(request, response));
    this.sockets = new WebSocketServer({ server: this.http, path: "/api/v1/socket" });
    this.sockets.on("connection", (socket) => this.accept(socket));
  }

  static async start(): Promise<Server> {
    const server = new Server();
    await new Promise<void>((resolve) => server.http.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.dropSockets();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  // What happens on the server's side.

  user(username: string): UserId {
    const known = this.names.get(username) ?? shapes.user(++this.number);
    this.names.set(username, known);
    return known;
  }

  room(...usernames: string[]): FakeRoom {
    return this.makeRoom("group", usernames);
  }

  direct(one: string, other: string): FakeRoom {
    return this.makeRoom("direct", [one, other]);
  }

  private makeRoom(kind: "direct" | "group", usernames: string[]): FakeRoom {
    const members = usernames.map((username, at) => ({
      user: this.user(username),
      username,
      role: kind === "group" && at === 0 ? "owner" : "member",
      joined_at: 1,
    }));
    const id = shapes.room(++this.number);
    const room: FakeRoom = {
      id,
      kind,
      members_version: 1,
      epoch: 1,
      history: "joined",
      created_at: 1,
      members,
      muted: false,
    };
    this.rooms.set(id, room);
    for (const { user } of members) {
      const entry = { kind: "room", room: id, change: "created", by: members[0]!.user, users: [], role: null };
      this.put(user, { ...entry, members_version: 1 });
    }
    return room;
  }

  /** Somebody's message is accepted; its entries go to all members. */
  says(username: string, room: FakeRoom, body: string, more: Wire = {}): Wire {
    const now = ++this.number;
    const direct = room.kind === "direct";
    const sender = this.user(username);
    const message = {
      id: shapes.message(now),
      room: room.id,
      sender,
      device: shapes.device(this.number),
      recipient: direct ? room.members.find((member) => member.user !== sender)!.user : null,
      sent_at: now,
      accepted_at: now,
      alg: "chat.e2ee.v1",
      epoch: room.epoch,
      ciphertext: Buffer.from(body).toString("base64url"),
      delivered: false,
      read: false,
      ...more,
    };
    for (const { user } of room.members) this.put(user, { kind: "message", ...message });
    return message;
  }

  /** An entry for a user's mailbox. */
  put(user: UserId, entry: Wire): number {
    const mailbox = this.mailboxes.get(user) ?? [];
    this.mailboxes.set(user, mailbox);
    mailbox.push({ seq: mailbox.length + 1, ...entry });
    this.push(user);
    return mailbox.length;
  }

  /** What the owner has with another one changes. */
  relate(owner: string, other: string, more: Wire, entry = true): Wire {
    const book = this.bookOf(this.user(owner));
    book.version += 1;
    const user = this.user(other);
    const blank = { user, username: other, state: "none", blocked: false, blocked_by: false, note: "" };
    const before = book.connections.get(user) ?? blank;
    const relation = { ...before, changed_by: null, changed_at: 5, ...more, version: book.version };
    book.connections.set(user, relation);
    if (entry) this.put(this.user(owner), { kind: "connection", version: book.version, connection: relation });
    return relation;
  }

  bookOf(user: UserId) {
    const book = this.books.get(user) ?? { version: 0, connections: new Map<UserId, Wire>() };
    this.books.set(user, book);
    return book;
  }

  tell(username: string, frame: Wire): void {
    for (const peer of this.peers) if (peer.who.username === username) peer.socket.send(JSON.stringify(frame));
  }

  dropSockets(code?: number): void {
    for (const { socket } of this.peers) code === undefined ? socket.terminate() : socket.close(code);
  }

  /** No token of this user holds any more. */
  revoke(username: string): void {
    for (const [token, who] of this.tokens) if (who.username === username) this.tokens.delete(token);
    for (const { who, socket } of this.peers) if (who.username === username) socket.close(4401);
  }

  /** Another host of the same system: who is signed in here is there, too. */
  lendTokensTo(host: Server): void {
    host.shared = this;
  }

  get online(): string[] {
    return [...this.peers].map(({ who }) => who.username);
  }

  sends(): Wire[] {
    return this.frames.filter((frame) => frame.type === "send").flatMap((frame) => frame.messages);
  }

  // REST.

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const path = request.url!.replace("/api/v1/", "");
    const body = text === "" ? null : JSON.parse(text);
    this.requests.push(`${request.method} ${path}`);
    const scripted = await this.answer(request.method!, path, body);
    const who = this.tokens.get((request.headers.authorization ?? "").replace("Bearer ", ""));
    const { status, body: answer } = scripted ?? this.route(request.method!, path, body, who);
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(answer === null ? "" : JSON.stringify(answer));
  }

  private tokensFor(who: Who): Wire {
    const access = `access-${++this.number}`;
    const refresh = `refresh-${++this.number}`;
    this.tokens.set(access, who);
    this.tokens.set(refresh, who);
    return { access, access_expires_at: Date.now() + 600_000, refresh, refresh_expires_at: Date.now() + 6e9 };
  }

  private route(method: string, path: string, body: Wire, who: Who | undefined): Answer {
    const [, ...parts] = /^([^?]*)(?:\?(.*))?$/.exec(path)!;
    const query = new URLSearchParams(parts[1] ?? "");
    const of = (name: string): number => Number(query.get(name) ?? 0);
    const route = `${method} ${parts[0]}`;
    const id = parts[0]!.split("/")[1] as RoomId;
    if (route === "POST accounts/register" || route === "POST accounts/sign-in") {
      const device = shapes.device(++this.number);
      const signed: Who = { user: this.user(body.username), username: body.username, device };
      const tokens = this.tokensFor(signed);
      return ok({
        user: { id: signed.user, username: body.username },
        device: { id: device, name: body.device_name },
        ...tokens,
      });
    }
    if (route === "POST accounts/refresh") {
      const owner = this.tokens.get(body.refresh);
      this.tokens.delete(body.refresh);
      return owner === undefined ? refused(401, "unauthenticated") : ok(this.tokensFor(owner));
    }
    if (who === undefined) return refused(401, "unauthenticated");
    const mailbox = this.mailboxes.get(who.user) ?? [];
    switch (route.replace(/[0-9a-f-]{36}/, "{id}")) {
      case "GET rooms":
        return ok({ rooms: [...this.rooms.values()].filter((room) => isIn(room, who)), next: null });
      case "GET rooms/{id}": {
        const room = this.rooms.get(id);
        return room !== undefined && isIn(room, who) ? ok(room) : refused(404, "not_found");
      }
      case "GET rooms/{id}/messages": {
        const before = of("before") || Number.POSITIVE_INFINITY;
        const found = mailbox.filter((entry) => entry.room === id && entry.seq < before).reverse();
        const page = found.slice(0, of("limit"));
        return ok({ entries: page, next: found.length > page.length ? page.at(-1).seq : null });
      }
      case "GET rooms/{id}/receipts":
        return ok({ receipts: this.receipts.get(id) ?? [] });
      case "GET mailbox": {
        const page = mailbox.slice(of("after"), of("after") + of("limit"));
        const last = page.at(-1)?.seq ?? 0;
        return ok({ entries: page, last_seq: mailbox.length, next: last < mailbox.length && last > 0 ? last : null });
      }
      case "POST mailbox/ack":
        this.cursors.set(who.device, Math.max(body.seq, this.cursors.get(who.device) ?? 0));
        return ok({ acknowledged: body.seq });
      case "GET connections": {
        const book = this.bookOf(who.user);
        const news = [...book.connections.values()].filter((relation) => relation.version > of("since"));
        const settings = { who_may_open: "anyone", who_may_add: "anyone", strangers: "mailbox" };
        return ok({ connections: news, settings, version: book.version, consistency: "confirm", next: null });
      }
      case "POST connections": {
        const other = [...this.names].find(([name, user]) => user === body.user || name === body.username)![0];
        const change = CHANGES[body.action] ?? {};
        const relation = this.relate(who.username, other, { ...change, changed_by: who.device });
        return ok({ connection: relation, version: relation.version });
      }
      case "POST connections/synced":
        return ok({ version: body.version });
      case "GET limits":
        return ok({ disclose_blocks: true });
      case "GET devices":
        return ok({ devices: [] });
      case "POST accounts/sign-out":
        return { status: 204, body: null };
      default:
        return refused(404, "not_found");
    }
  }

  // The socket.

  private accept(socket: WebSocket): void {
    let peer: Peer | null = null;
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data));
      this.frames.push(frame);
      if (frame.type === "hello") peer = this.hello(socket, frame);
      else if (peer !== null) this.frame(peer, frame);
    });
    socket.on("close", () => {
      if (peer !== null) this.peers.delete(peer);
    });
  }

  private hello(socket: WebSocket, frame: Wire): Peer | null {
    const who = this.shared.tokens.get(frame.token);
    if (who === undefined) {
      socket.close(4401);
      return null;
    }
    const acknowledged = this.shared.cursors.get(who.device) ?? 0;
    const peer: Peer = { who, socket, sent: acknowledged };
    const last_seq = this.shared.mailboxes.get(who.user)?.length ?? 0;
    const { user, device } = who;
    socket.send(
      JSON.stringify({ type: "welcome", user, device, host: "web-1", acknowledged, last_seq, window: this.window }),
    );
    this.peers.add(peer);
    this.push(who.user);
    socket.send(JSON.stringify({ type: "drained", seq: peer.sent }));
    return peer;
  }

  push(user: UserId): void {
    for (const peer of this.peers) {
      if (peer.who.user !== user || !this.pushes) continue;
      const entries = (this.mailboxes.get(user) ?? []).slice(peer.sent);
      for (let at = 0; at < entries.length; at += 50) {
        peer.socket.send(JSON.stringify({ type: "entries", entries: entries.slice(at, at + 50) }));
      }
      peer.sent += entries.length;
    }
  }

  private frame(peer: Peer, frame: Wire): void {
    const { who, socket } = peer;
    switch (frame.type) {
      case "ack":
        this.cursors.set(who.device, frame.seq);
        break;
      case "ping":
        socket.send('{"type": "pong"}');
        break;
      case "reject":
        socket.send(JSON.stringify({ type: "rejected", message: frame.message, reason: "late" }));
        break;
      case "send":
        if (this.answers) for (const message of frame.messages) this.send(peer, message, frame.ref);
        break;
      default:
    }
  }

  private send({ who, socket }: Peer, message: Wire, ref: string): void {
    const problem = this.refuse(message);
    if (problem !== undefined) {
      socket.send(JSON.stringify({ type: "error", ref, problem: { id: message.id, ...problem } }));
      return;
    }
    const room = this.rooms.get(message.room)!;
    if (!this.stored.has(message.id)) {
      const entry = this.says(who.username, room, "", { ...message, device: who.device, accepted_at: ++this.number });
      this.stored.set(message.id, entry);
    }
    const { id, sender, recipient, accepted_at } = this.stored.get(message.id);
    const accepted = { id, room: room.id, sender, recipient, accepted_at, delivered: false, read: false };
    socket.send(JSON.stringify({ type: "accepted", messages: [accepted] }));
  }
}

const CHANGES: Readonly<Record<string, Wire>> = {
  add: { state: "requested" },
  accept: { state: "contact" },
  block: { blocked: true },
  unblock: { blocked: false },
};

function isIn(room: FakeRoom, who: Who): boolean {
  return room.members.some((member) => member.user === who.user);
}

function ok(body: Wire): Answer {
  return { status: 200, body };
}

export function refused(status: number, code: string, more: Wire = {}): Answer {
  return { status, body: { type: "about:blank", title: "", detail: "", status, code, ...more } };
}
