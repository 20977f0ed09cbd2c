/** Who may do what in a group, as the server has it (docs/protocol.md §3): what is not allowed is not offered. Pure. */

import type { Member, Role, RoomDetail } from "../../messenger";
import type { UserId } from "../../protocol/ids";

export type MemberAction = "promote" | "demote" | "hand-over" | "remove";

const MANAGES: Readonly<Record<Role, readonly Role[]>> = {
  owner: ["admin", "member"],
  admin: ["member"],
  member: [],
};

export function memberActions(
  room: Pick<RoomDetail, "kind" | "myRole">,
  me: UserId,
  member: Member,
): readonly MemberAction[] {
  if (room.kind === "direct" || room.myRole === null || member.role === null || member.user === me) return [];
  const actions: MemberAction[] = [];
  if (room.myRole === "owner") actions.push(member.role === "admin" ? "demote" : "promote", "hand-over");
  if (MANAGES[room.myRole].includes(member.role)) actions.push("remove");
  return actions;
}

/** Those who are members, without those who are only among the readers. */
export function membersOf(room: Pick<RoomDetail, "members">): readonly Member[] {
  return room.members.filter((member) => member.role !== null);
}

export function mayAdd(room: Pick<RoomDetail, "kind" | "myRole">): boolean {
  return room.kind === "group" && (room.myRole === "owner" || room.myRole === "admin");
}

/** An owner hands the group over first, unless nobody else is in it. */
export function mayLeave(room: Pick<RoomDetail, "kind" | "myRole" | "members">): boolean {
  if (room.kind === "direct" || room.myRole === null) return false;
  return room.myRole !== "owner" || membersOf(room).length <= 1;
}
