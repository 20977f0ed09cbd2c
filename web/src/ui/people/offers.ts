/** What can be done about a relation, by what it is now. Pure. */

import type { ConnectionAction, Relation } from "../../messenger";

/** In the order of a list of people: which heading somebody stands under; null: none. */
export function placeOf(relation: Relation): "requests" | "contacts" | "requested" | "blocked" | null {
  if (relation.blocked) return "blocked";
  switch (relation.state) {
    case "incoming":
      return "requests";
    case "contact":
      return "contacts";
    case "requested":
      return "requested";
    case "none":
      return null;
  }
}

export function offers(relation: Relation): readonly ConnectionAction[] {
  if (relation.blocked) return ["unblock"];
  switch (relation.state) {
    case "incoming":
      return ["accept", "decline", "block"];
    case "contact":
    case "requested":
      return ["remove", "block"];
    case "none":
      return relation.blockedBy ? ["block"] : ["add", "block"];
  }
}
