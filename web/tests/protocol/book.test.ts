/** A device's copy of contacts and blocks: what it claims to have, and who may not be written to (docs/protocol.md §5). */

import { describe, expect, test } from "vitest";

import { completed, isBehind, REPORT_MS, Reports, stored } from "../../src/protocol/book";
import { type Action, type Change, rebased, whoBlocks } from "../../src/protocol/changes";
import type { Relation } from "../../src/protocol/relations";
import { ALICE, CAROL, LAPTOP, PHONE } from "../shapes";

function relation(more: Partial<Relation> = {}): Relation {
  return {
    user: ALICE,
    username: "alice",
    state: "none",
    blocked: false,
    blocked_by: false,
    note: "",
    version: 1,
    changed_by: PHONE,
    changed_at: 1,
    ...more,
  };
}

function change(order: number, action: Action, baseVersion = 5, user = ALICE): Change {
  return { order, action, user, username: null, baseVersion, note: null };
}

describe("a gap", () => {
  test("is not claimed: what lies behind it is stored only", () => {
    const progress = stored({ version: 5, heard: 5 }, 7);
    expect([progress.version, isBehind(progress)]).toEqual([5, true]);
    expect(stored(progress, 6).version).toBe(6);
    expect(completed(progress, 9)).toEqual({ version: 9, heard: 9 });
  });

  test("is not opened again by an old page", () => {
    expect(completed({ version: 9, heard: 9 }, 7)).toEqual({ version: 9, heard: 9 });
  });
});

describe("reports", () => {
  test("tell of a block at once", () => {
    const reports = new Reports(4);
    reports.stored(10_000, false);
    expect(reports.dueAt(5)).toBe(10_000 + REPORT_MS);
    reports.stored(11_000, true);
    expect(reports.dueAt(5)).toBe(11_000);
  });

  test("tell of many changes once", () => {
    const reports = new Reports(0);
    for (let n = 0; n < 50; n++) reports.stored(10_000 + n * 10, false);
    expect(reports.dueAt(50)).toBe(10_000 + REPORT_MS);
    reports.begins();
    reports.arrived(50);
    expect(reports.dueAt(50)).toBe(Number.POSITIVE_INFINITY);
  });

  test("go again when they failed, with what came meanwhile", () => {
    const reports = new Reports(0);
    reports.stored(1_000, true);
    reports.begins();
    reports.stored(2_000, false);
    reports.failed(2_500);
    expect(reports.dueAt(2)).toBe(2_500);
    reports.begins();
    reports.stored(3_000, false);
    reports.arrived(2);
    expect(reports.dueAt(2)).toBe(Number.POSITIVE_INFINITY);
    expect(reports.dueAt(3)).toBe(3_000 + REPORT_MS);
  });
});

describe("a later change of the same device", () => {
  test("is not outdated by the earlier one", () => {
    const made = relation({ version: 6, blocked: true });
    expect(rebased(change(2, "unblock"), change(1, "block"), made, PHONE)).toBe(6);
  });

  test.each([
    [change(2, "unblock"), change(1, "block"), relation({ version: 6, changed_by: LAPTOP, blocked: true })],
    [change(2, "unblock"), change(1, "block"), relation({ version: 6, changed_by: null })],
    // The user was asked about the note, on version 7, and not about this.
    [change(2, "unblock"), change(1, "note", 7), relation({ version: 8, blocked: true })],
    [change(2, "unblock", 5, CAROL), change(1, "block"), relation({ version: 6 })],
    [change(1, "unblock"), change(2, "block"), relation({ version: 6 })],
  ])("but keeps its version when somebody else may have been between (%#)", (later, earlier, made) => {
    expect(rebased(later, earlier, made, PHONE)).toBe(later.baseVersion);
  });
});

describe("who may not be written to", () => {
  const said = (blocked: boolean, blockedBy: boolean) => ({ blocked, blockedBy });
  test.each([
    [undefined, [], null],
    [said(false, false), [], null],
    [said(true, false), [], "you"],
    [said(false, true), [], "peer"],
    [said(true, true), [], "you"],
    // A block counts from the press of the button; lifting it from the server's answer.
    [undefined, ["block"], "you"],
    [said(false, true), ["block"], "you"],
    [said(true, false), ["unblock"], "you"],
    [said(false, false), ["block", "unblock"], null],
    [said(false, false), ["unblock", "block", "note"], "you"],
  ] as const)("%o with %o: %s", (relation, pressed, by) => {
    expect(
      whoBlocks(
        relation,
        pressed.map((action, order) => change(order, action)),
      ),
    ).toBe(by);
  });
});
