/** What Korean sentences need: names with their particles. */

import { particle } from "../particle";

export const list = (names: readonly string[]): string => names.join(", ");
export const subject = (name: string): string => particle(name, "이", "가");
export const topic = (name: string): string => particle(name, "은", "는");
export const object = (name: string): string => particle(name, "을", "를");
/** Who does something: “내가”, “Bob 님이”. */
export const doer = (name: string): string => (name === "나" ? "내가" : `${name} 님이`);
export const and = (name: string): string => particle(name, "과", "와");
