/** How good a password must be: it protects the vault from whoever has a copy of the server's database. */

import { Refusal } from "../../messenger";

const LEAST_SCORE = 3; // of zxcvbn's 0 to 4: beyond 10⁸ guesses, each of which costs one Argon2id
const MOST_CHARACTERS = 72; // that are looked at: the time grows faster than the length

type Check = (password: string, names: string[]) => number;
let loading: Promise<Check> | null = null;

/** 0 to 4, zxcvbn's. Its dictionaries are large, and loaded on first use. */
export async function strength(password: string, username: string): Promise<number> {
  if (password === "") return 0;
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw error;
  });
  return (await loading)(password.slice(0, MOST_CHARACTERS), [username]);
}

async function load(): Promise<Check> {
  const [{ ZxcvbnFactory }, common, english] = await Promise.all([
    import("@zxcvbn-ts/core"),
    import("@zxcvbn-ts/language-common"),
    import("@zxcvbn-ts/language-en"),
  ]);
  const zxcvbn = new ZxcvbnFactory({
    dictionary: { ...common.dictionary, ...english.dictionary },
    graphs: common.adjacencyGraphs,
  });
  return (password, names) => zxcvbn.check(password, names).score;
}

/** Rejected with `weak_password` for one that guessing would find; the name is what a guesser would try first. */
export async function checkPassword(password: string, username: string): Promise<void> {
  if ((await strength(password, username)) < LEAST_SCORE) throw new Refusal("weak_password");
}
