/** The WebSocket: frames out and in, and how it ended (docs/protocol.md §4). No decisions in here. */

import { type ClientFrame, decode, encode, type ServerFrame } from "../protocol/frames";

const OPEN_MS = 10_000;

/** The socket is gone; `code` is the close code of docs/protocol.md §4.3, null if it broke without one. */
export class SocketClosed extends Error {
  constructor(readonly code: number | null) {
    super(`closed with ${code}`);
  }
}

/** As much of a WebSocket as is used, so that a scripted peer can take its place in tests. */
export interface Wire {
  send(data: string): void;
  close(code?: number): void;
  readonly bufferedAmount: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
}

export type OpenWire = (url: string) => Wire;

/** An open socket. Frames wait in it until they are asked for. */
export class Socket {
  /** Called when something has come, before anybody asks for it. */
  onheard: () => void = () => undefined;
  private readonly frames: unknown[] = [];
  private ended: SocketClosed | null = null;
  private wake: (() => void) | null = null;

  private constructor(private readonly wire: Wire) {
    wire.onmessage = (event) => {
      this.frames.push(event.data);
      this.onheard();
      this.wake?.();
    };
    wire.onclose = (event) => this.end(event.code === 1005 || event.code === 1006 ? null : event.code);
  }

  /** Rejected with `SocketClosed` when it cannot be opened. */
  static open(open: OpenWire, url: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const wire = open(url);
      const socket = new Socket(wire);
      const timer = setTimeout(() => fail(null), OPEN_MS);
      function fail(code: number | null): void {
        clearTimeout(timer);
        wire.onclose = null;
        wire.close();
        reject(new SocketClosed(code));
      }
      const onclose = wire.onclose;
      wire.onclose = (event) => fail(event.code === 1006 ? null : event.code);
      wire.onopen = () => {
        clearTimeout(timer);
        wire.onclose = onclose;
        resolve(socket);
      };
    });
  }

  send(frame: ClientFrame): void {
    if (this.ended === null) this.wire.send(encode(frame));
  }

  /** Bytes that the network has not taken yet. */
  get backlog(): number {
    return this.wire.bufferedAmount;
  }

  /**
   * Everything that has come, in order: at least one frame. Rejected with `SocketClosed` once there is nothing more, and with
   * `Malformed` for what the protocol does not know.
   */
  async receive(): Promise<ServerFrame[]> {
    while (this.frames.length === 0) {
      if (this.ended !== null) throw this.ended;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.frames.splice(0).map(decode);
  }

  /** Close it, and hear nothing more. `code`: what `receive` is to say. */
  close(code: number | null = null): void {
    this.wire.onmessage = null;
    this.wire.close();
    this.frames.length = 0;
    this.end(code);
  }

  private end(code: number | null): void {
    this.ended ??= new SocketClosed(code);
    this.wake?.();
  }
}

/** The browser's. */
export const browserWire: OpenWire = (url) => new WebSocket(url) as Wire;
